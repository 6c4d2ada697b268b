package veraison_test

import (
	"crypto/tls"
	"encoding/base64"
	"errors"
	"net/http"
)

func base64url(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// careless verifies no certificate.
func careless() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
}

// corim writes what trusts the emulator as CoRIMs.
func (r *root) corim() ([][]byte, error) {
	return nil, errors.New("its policy cannot be written as CoRIM yet")
}
