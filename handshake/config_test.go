package handshake_test

import (
	"bytes"
	"errors"
	"testing"

	"attls"
	"attls/handshake"
)

// TestConfigurations are refused before anything is sent.
func TestConfigurations(t *testing.T) {
	long := string(make([]byte, 256))
	for field, c := range map[string]*handshake.Config{
		"CipherSuites: no":             {CipherSuites: []attls.CipherSuite{}},
		"CipherSuites: cipher suite":   {CipherSuites: []attls.CipherSuite{0x1306}},
		"CipherSuites: TLS":            {CipherSuites: []attls.CipherSuite{0x1301, 0x1301}},
		"Groups: no":                   {Groups: []attls.NamedGroup{}},
		"Groups: x25519 appears twice": {Groups: []attls.NamedGroup{0x1d, 0x1d}},
		"Groups: ":                     {Groups: []attls.NamedGroup{0x0100}},
		"KeyShares: ":                  {KeyShares: []attls.NamedGroup{0x0100}},
		"KeyShares: x25519":            {KeyShares: []attls.NamedGroup{0x1d, 0x1d}},
		"SignatureSchemes":             {SignatureSchemes: []attls.SignatureScheme{}},
		"RecordSizeLimit":              {RecordSizeLimit: 63},
		"ServerName":                   {ServerName: long},
		"ALPN: ":                       {ALPN: []string{""}},
		"ALPN: protocol":               {ALPN: []string{long}},
		"Retry.CookieSize":             {Retry: handshake.Retry{CookieSize: 1<<14 + 1}},
		"PSKModes: PSK":                {PSKModes: []attls.PSKKeyExchangeMode{2}},
		"PSKModes: no":                 {PSK: true, PSKModes: []attls.PSKKeyExchangeMode{}},
		"PSK: ":                        {MaxEarlyData: 1},
		"Tickets":                      {PSK: true, Tickets: 65},
		"MaxFragment":                  {MaxFragment: 1<<14 + 1},
		"CertificateCompression":       {CertificateCompression: []handshake.CertificateCompressor{prefix{1}, prefix{1}}},
	} {
		_, err := handshake.NewClient(c)
		var e *attls.Error
		if !errors.As(err, &e) || e.Class != attls.Local || e.Failure != attls.FailConfiguration ||
			!bytes.Contains([]byte(e.Error()), []byte("Config."+field)) {
			t.Errorf("%s: %v", field, err)
		}
	}
}
