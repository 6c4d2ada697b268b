package adapter

import "maps"

// vars are the variables that a run of a program may have, with what they are.
var vars = map[string]string{
	"address":     "a client's: where the server listens, host and port",
	"host":        "the host of address, or where a server is to listen",
	"port":        "the port of address, or where a server is to listen",
	"name":        "the name in the server's certificate",
	"certificate": "the end's certificate, PEM",
	"key":         "the end's private key, PEM (PKCS #8)",
	"authority":   "the certificate that vouches for both, PEM",
	"directory":   "the run's directory, where prepare makes files",
	"keylog":      "where secrets are to be written in the NSS form",
	"version":     "what the version's pattern found; in conditions only",
	"role":        "client or server",
}

// conformVars are those that a run has in the cases of "attls conform" in addition.
var conformVars = map[string]string{
	"suite":              "the cipher suite that is wanted alone; not set: any",
	"group":              "the group that is to be used; not set: any",
	"groups":             "a list: the groups to offer, of which the first is the share of a client",
	"alpn":               "the application protocol to offer or select; not set: none",
	"client_certificate": "set where the server is to demand a certificate, and the client has to show one",
	"raw_public_keys":    "set where both ends show raw public keys",
	"hello_retry":        "set where a HelloRetryRequest is to come",
	"cookie":             "set where the server is to send a cookie",
	"resumption":         "psk_dhe_ke, psk_ke, refused or unattested, where a second connection brings a ticket back",
	"connections":        "how many connections a server gets, 1 or 2",
	"session_out":        "a client's: the file to which it writes its session; set where another connection follows",
	"session_in":         "a client's: the file of the session that it brings back",
	"early_data": "set where 0-RTT data is to be sent, and taken by a server; a client's: the file that holds it, set " +
		"in the connection that brings a session back",
	"first": "set in the first connection of a client that makes two in one process",
	"asks": "a client's: set where the question is to be typed, which is not so in that connection, nor where it is " +
		"0-RTT data that the server takes",
	"key_update": "set where the end is to send a KeyUpdate, which asks for one in return, before its first " +
		"application data",
	"exporter_label":  "the label under which to export a value",
	"exporter_size":   "how many octets to export",
	"own_public_key":  "the end's public key, PEM",
	"peer_public_key": "the other end's public key, PEM",
	"peer_key":        "SHA-256 of the other end's SubjectPublicKeyInfo, in hexadecimal",
	"messages":        "a file for the messages that the program shows",
	"item":            "an item of a list, within each",
}

// lists are the variables that are lists.
var lists = []string{"groups"}

// Variables lists the variables, with what they are.
func Variables() map[string]string {
	all := maps.Clone(vars)
	maps.Copy(all, conformVars)
	return all
}
