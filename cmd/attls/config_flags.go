package main

import "regexp"

// configFlags are the flags behind the fields that errors of the library name.
var configFlags = map[string]string{
	"ALPN":                   "--alpn",
	"Accept":                 "--attester and --model",
	"CanAuthenticate":        "--cert",
	"CertificateCompression": "--cert-compression",
	"CipherSuites":           "--suites",
	"ClientCertificateTypes": "--raw-public-key",
	"ExtendedKeyUpdate":      "--extended-key-update",
	"Groups":                 "--groups",
	"KeyShares":              "--key-shares",
	"MaxRequests":            "--max-requests",
	"MaxEarlyData":           "--max-early-data",
	"PadTo":                  "--pad-to",
	"Policy":                 "--attester, --model and --credential",
	"Policy.Accept":          "--attester, --model and --credential",
	"Policy.Demand":          "--require-attestation",
	"Policy.Produce":         "--attester, --model and --credential",
	"Produce":                "--attester and --model",
	"Profile":                "--profile",
	"PSK":                    "--psk",
	"PSKModes":               "--psk-modes",
	"RecordSizeLimit":        "--record-size-limit",
	"Retry.Cookie":           "--cookie",
	"Retry.Secrets":          "--stateless",
	"ServerCertificateTypes": "--raw-public-key",
	"ServerName":             "--servername",
	"SignatureSchemes":       "--sigalgs",
	"Tickets":                "--tickets",
}

var configField = regexp.MustCompile(`\b(?:exported\.)?Config\.([A-Z]\w*(?:\.[A-Z]\w*)?)|\bamong (Groups)\b`)

// inFlags says flags where an error of the library names fields of a Config, which
// a user of the command never sees.
func inFlags(text string) string {
	return configField.ReplaceAllStringFunc(text, func(s string) string {
		m := configField.FindStringSubmatch(s)
		if m[2] != "" {
			return "among " + configFlags[m[2]]
		}
		if flag, ok := configFlags[m[1]]; ok {
			return flag
		}
		return s
	})
}
