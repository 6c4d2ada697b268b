package veraison_test

import (
	"crypto/tls"
	"encoding/base64"
	"net/http"
)

func base64url(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// careless verifies no certificate.
func careless() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
}
