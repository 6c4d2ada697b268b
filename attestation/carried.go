package attestation

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"

	"attls/extensions/profile"
)

// CarriedChallenge returns the challenge that a payload carries: the eat_nonce of
// the key attestation token, or of the Attestation Results. Nothing is verified; it
// is for telling what a peer meant. False: the payload carries none, or does not
// parse.
func CarriedChallenge(cmw []byte, m profile.Model) ([]byte, bool) {
	if len(cmw) > 0 && cmw[0] == prototypeFirst {
		t, err := parsePrototype(cmw, defaultSize)
		return nonceIn(t, err == nil)
	}
	c, err := ParseCMW(cmw, Limits{Size: defaultSize})
	if err != nil {
		return nil, false
	}
	if m == profile.ModelResults {
		return resultNonce(c.Value)
	}
	t, err := parseTokens(c)
	return nonceIn(t, err == nil)
}

func nonceIn(t *tokens, ok bool) ([]byte, bool) {
	if !ok {
		return nil, false
	}
	b, err := t.kat.claims.octets(claimNonce)
	return b, err == nil
}

// resultNonce reads the eat_nonce of a JWT, whose payload is its second part.
func resultNonce(jwt []byte) ([]byte, bool) {
	parts := bytes.Split(jwt, []byte("."))
	if len(parts) != 3 {
		return nil, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(string(parts[1]))
	if err != nil {
		return nil, false
	}
	var claims struct {
		Nonce *string `json:"eat_nonce"`
	}
	if json.Unmarshal(payload, &claims) != nil || claims.Nonce == nil {
		return nil, false
	}
	b, err := decodeNonce(*claims.Nonce)
	return b, err == nil
}

// decodeNonce reads base64; Verifiers differ in its alphabet and in padding.
func decodeNonce(s string) ([]byte, error) {
	return base64.RawURLEncoding.DecodeString(strings.NewReplacer("+", "-", "/", "_", "=", "").Replace(s))
}
