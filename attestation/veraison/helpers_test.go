package veraison_test

import (
	"crypto/tls"
	"encoding/base64"
	"net/http"

	"attls/attestation/corim"
)

func base64url(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// careless verifies no certificate.
func careless() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
}

// corim writes what trusts the emulator as CoRIMs.
func (r *root) corim() (list [][]byte, _ error) {
	e, err := corim.Write(r.name, r.verifier, corim.ExportOptions{})
	if err != nil {
		return nil, err
	}
	for i := range e.Parts {
		list = append(list, e.Parts[i].Octets)
	}
	return list, nil
}
