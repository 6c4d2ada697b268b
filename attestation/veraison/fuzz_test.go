package veraison

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"testing"

	"attls/attestation"
	"attls/internal/seeds"
)

// FuzzAnswers: whatever a service answers, reading it ends, and a session is complete
// only with our nonce and our Evidence.
func FuzzAnswers(f *testing.F) {
	seeds.Add(f, func() {
		f.Add([]byte(`{"status":"complete","nonce":"AAAAAAAAAAA","evidence":{"type":"a/b","value":"AQ=="},"result":"x"}`))
		f.Add([]byte(`{"media-types":["a/b"],"api-endpoints":{"newChallengeResponseSession":"/x"},"ear-verification-key":{"kty":"EC","crv":"P-256",` +
			`"x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}}`))
		f.Add([]byte(`{"detail":"x","api-endpoints":{"newChallengeResponseSession":"//other/x"}}`))
	})
	base := &url.URL{Scheme: "https", Host: "verifier.example"}
	v := &Verifier{base: base}
	f.Fuzz(func(t *testing.T, b []byte) {
		seeds.Input(t, b)
		a := &appraisal{v: v, nonce: make([]byte, 8), value: []byte{1}, media: "a/b"}
		for _, media := range []string{typeSession, typeDiscovery, "application/problem+json"} {
			from := &answer{status: 500, header: http.Header{"Content-Type": {media}}, body: b}
			if from.failure("somewhere") == nil {
				t.Fatal("500 is a success")
			}
			result, ready, failure := a.state(from, "complete")
			if failure == nil && (!ready || len(result) == 0 || !bytes.Contains(b, []byte("complete"))) {
				t.Fatalf("%q is the result %q", b, result)
			}
		}
		m, err := attestation.ParseJSON(b)
		if err != nil {
			return
		}
		_, _ = typesOf(m)
		if key, err := keyOf(m["ear-verification-key"]); err == nil && key == nil {
			t.Fatal("no key and no error")
		}
		if u, err := v.endpoint(m, "newChallengeResponseSession"); err == nil && (u.Host != base.Host && u.Hostname() != base.Hostname() || u.Scheme != base.Scheme) {
			t.Fatalf("%v is elsewhere", u)
		}
		if !json.Valid(b) {
			t.Fatalf("%q is read as JSON", b)
		}
	})
}
