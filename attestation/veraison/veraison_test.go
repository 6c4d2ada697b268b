package veraison_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"attls"
	"attls/attestation"
	"attls/attestation/cca"
	"attls/attestation/psa"
	"attls/attestation/roottest"
	"attls/attestation/veraison"
	"attls/attestation/veraison/veraisontest"
	"attls/extensions/profile"
	"attls/negotiation"
)

// noon is the time of all tests.
func noon() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// root is a root of trust with what a service is provisioned with.
type root struct {
	name     string
	format   *attestation.Format
	attester negotiation.Attester
	verifier *attestation.Verifier
	table    attestation.Formats
}

func table(t testing.TB) attestation.Formats {
	t.Helper()
	table, err := attestation.NewFormats(psa.Format(), cca.Format(), cca.ParsecFormat())
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// rootNamed emulates a root of trust.
func rootNamed(t testing.TB, name string) *root {
	t.Helper()
	r := &root{name: name, table: table(t)}
	var err error
	if r.format, err = r.table.Named(name); err != nil {
		t.Fatal(err)
	}
	seed := sha256.Sum256([]byte("the seed of this test"))
	e, err := r.format.Emulate(t.Context(), attestation.EmulatorOptions{Seed: seed[:], Clock: noon})
	if err != nil {
		t.Fatal(err)
	}
	r.attester, r.verifier = e.Attester, roottest.Verifier(r.table, name, e, noon)
	return r
}

// key is a key of the handshake.
func key(t testing.TB, use string) []byte {
	t.Helper()
	k, err := attestation.DeriveKey([]byte("a key of the handshake"), use)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return spki
}

// challenge is one of n octets.
func challenge(n int) []byte { return bytes.Repeat([]byte{0xa5}, n) }

// request is one on good Evidence with a challenge, which is nil for 0 octets.
func (r *root) request(t testing.TB, n int) *negotiation.AppraisalRequest {
	t.Helper()
	out := &negotiation.AppraisalRequest{Profile: "test", Attester: attls.RoleServer, Fit: profile.FitPadRight,
		SPKI: key(t, "server"), KeyBound: true,
		Scheme: negotiation.Scheme{Model: profile.ModelEvidence, Credential: profile.KindX509,
			Format: profile.Format{MediaType: r.media()}}}
	if n > 0 {
		out.Challenge = challenge(n)
	}
	out.CMW = r.evidence(t, out)
	return out
}

// media is the first type of the root of trust that a Veraison reads.
func (r *root) media() string {
	for _, t := range r.format.Types {
		typ := profile.Format{MediaType: t.MediaType}
		if x := attestation.Veraison().Scheme(typ); x != nil && x.Reads(t.MediaType) {
			return t.MediaType
		}
	}
	return r.format.Types[0].MediaType
}

// evidence makes what a request is about.
func (r *root) evidence(t testing.TB, q *negotiation.AppraisalRequest) []byte {
	t.Helper()
	e, err := r.attester.Attest(t.Context(), &negotiation.EvidenceRequest{Profile: q.Profile, Attester: q.Attester,
		Scheme: q.Scheme, Challenge: q.Challenge, Fit: q.Fit, SPKI: q.SPKI, KeyBound: q.KeyBound})
	if err != nil {
		t.Fatal(err)
	}
	return e.CMW
}

// value is that of a CMW.
func value(t testing.TB, b []byte) []byte {
	t.Helper()
	c, err := attestation.ParseCMW(b, attestation.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return c.Value
}

// wrapped is a value in a CMW.
func wrapped(t testing.TB, typ profile.Format, indicator uint32, value []byte) []byte {
	t.Helper()
	c := &attestation.CMW{Form: attestation.CBORRecord, Format: typ, Value: value, Indicator: indicator}
	b, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// options are those for a double over plain HTTP.
func (r *root) options(url string) veraison.Options {
	return veraison.Options{URL: url, Insecure: true, Clock: noon, Table: r.table, Timeout: 5 * time.Second,
		Poll: time.Millisecond}
}

// start starts a double and connects to it.
func (r *root) start(t testing.TB, s veraisontest.Switches, change func(*veraison.Options)) (*veraisontest.Service,
	*veraison.Verifier) {
	t.Helper()
	if s.Verifier == nil {
		s.Verifier = r.verifier
	}
	s.Clock = noon
	d := veraisontest.Start(t, s)
	o := r.options(d.URL)
	o.RootCAs = d.Roots
	if change != nil {
		change(&o)
	}
	v, err := veraison.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return d, v
}

func appraise(t testing.TB, v negotiation.Appraiser, r *negotiation.AppraisalRequest) *negotiation.Verdict {
	t.Helper()
	verdict, err := v.Appraise(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return verdict
}

// wants compares a verdict with the failure that is expected; empty: affirming.
func wants(t testing.TB, verdict *negotiation.Verdict, failure attls.Failure, says string) {
	t.Helper()
	refused, reason := verdict.Refusal(noon())
	if refused != failure || !strings.Contains(reason, says) {
		t.Errorf("the verdict is %q, %q; expected is %q, %q\n%+v", refused, reason, failure, says, verdict.Checks)
	}
	if failure != "" && (verdict.SPKI != nil || verdict.Status == negotiation.StatusAffirming) {
		t.Errorf("a refusal says %s of the key %x", verdict.Status, verdict.SPKI)
	}
}

// TestSound: what is sound is affirmed, by every scheme, whatever the older or newer
// form of the service, and the session is deleted.
func TestSound(t *testing.T) {
	at := func(step veraisontest.Step, do veraisontest.Trouble) map[veraisontest.Step]veraisontest.Trouble {
		return map[veraisontest.Step]veraisontest.Trouble{step: do}
	}
	for name, s := range map[string]veraisontest.Switches{
		"Veraison of August 2026":          {},
		"a Location with its origin":       {AbsoluteLocation: true},
		"nonces in padded standard base64": {StandardNonce: true},
		"a result that is ready later":     {Processing: 3},
		"the deletion fails":               {Trouble: at(veraisontest.Deletion, veraisontest.Status(500))},
		"over verified HTTPS, with HTTP/2": {TLS: true},
		"at a name that is verified":       {TLS: true, Name: "localhost"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range []*root{rootNamed(t, psa.Name), rootNamed(t, cca.Name), rootNamed(t, cca.Parsec)} {
				d, v := r.start(t, s, func(o *veraison.Options) {
					if o.Insecure = !s.TLS; s.Name != "" {
						o.URL = strings.Replace(o.URL, "127.0.0.1", s.Name, 1)
					}
				})
				for _, n := range []int{32, 48, 64} {
					q := r.request(t, n)
					verdict := appraise(t, v, q)
					wants(t, verdict, "", "")
					if !bytes.Equal(verdict.SPKI, q.SPKI) || verdict.Result == nil ||
						!verdict.ValidUntil.Equal(noon().Add(time.Hour)) {
						t.Errorf("%s: the verdict is about %x until %v", r.name, verdict.SPKI, verdict.ValidUntil)
					}
				}
				if failing := s.Trouble != nil; d.Open() != 0 != failing {
					t.Errorf("%d sessions are left", d.Open())
				}
			}
		})
	}
}

// TestUnbound: a profile that binds nothing has the Evidence judged all the same, if
// something attests the key.
func TestUnbound(t *testing.T) {
	r := rootNamed(t, cca.Parsec)
	_, v := r.start(t, veraisontest.Switches{}, nil)
	q := r.request(t, 32)
	q.Challenge = nil
	wants(t, appraise(t, v, q), "", "")
	r = rootNamed(t, psa.Name)
	_, v = r.start(t, veraisontest.Switches{}, nil)
	wants(t, appraise(t, v, r.request(t, 0)), attls.FailTIKMismatch, "nothing in this result attests the key")
	q = r.request(t, 32)
	q.KeyBound = false
	wants(t, appraise(t, v, q), attls.FailTIKMismatch, "the challenge is not computed over it")
	_, accepting := r.start(t, veraisontest.Switches{}, func(o *veraison.Options) { o.AcceptUnattested = true })
	wants(t, appraise(t, accepting, q), "", "")
	q.SPKI = nil
	wants(t, appraise(t, accepting, q), attls.FailTIKMismatch, "cannot be the whole credential")
}

// edit is a change of the first appraisal of a result.
func edit(change func(a map[string]any)) func(map[string]any) {
	return func(claims map[string]any) {
		submods := claims["submods"].(map[string]any)
		change(submods[slices.Min(slices.Collect(maps.Keys(submods)))].(map[string]any))
	}
}

// TestEchoes: nothing that the service merely repeats is believed.
func TestEchoes(t *testing.T) {
	never := false
	foreign := challenge(64)
	foreign[63] ^= 1
	claim := []negotiation.ClaimValue{{Name: "tik_pub_hash", Value: []byte{1}}}
	for _, test := range []struct {
		name, root string
		change     func(t *testing.T, r *root, q *negotiation.AppraisalRequest)
		failure    attls.Failure
		says       string
	}{
		{"a foreign challenge", psa.Name,
			func(t *testing.T, r *root, q *negotiation.AppraisalRequest) { q.Challenge = foreign },
			attls.FailBinderMismatch, "the challenge of this connection is"},
		{"a foreign challenge under a scheme that does not compare it", cca.Parsec,
			func(t *testing.T, r *root, q *negotiation.AppraisalRequest) { q.Challenge = foreign },
			attls.FailBinderMismatch, "the challenge of this connection is"},
		{"a field that continues after the challenge", cca.Name,
			func(t *testing.T, r *root, q *negotiation.AppraisalRequest) {
				q.Challenge = foreign
				q.CMW = r.evidence(t, q)
				q.Challenge = challenge(32)
			}, attls.FailBinderMismatch, "the challenge of this connection is"},
		{"another key", cca.Parsec,
			func(t *testing.T, r *root, q *negotiation.AppraisalRequest) { q.SPKI = key(t, "client") },
			attls.FailTIKMismatch, "is not the key of the handshake"},
		{"a further claim that is not there", psa.Name,
			func(t *testing.T, r *root, q *negotiation.AppraisalRequest) { q.Claims, q.KeyBound = claim, false },
			attls.FailAppraisal, "no claim tik_pub_hash"},
		{"a value that is something else", cca.Parsec,
			func(t *testing.T, r *root, q *negotiation.AppraisalRequest) {
				q.CMW = wrapped(t, q.Scheme.Format, attestation.IndEvidence, []byte("nothing"))
			}, attls.FailMalformedCMW, ""},
		{"a CMW that ends too early", psa.Name,
			func(t *testing.T, r *root, q *negotiation.AppraisalRequest) { q.CMW = q.CMW[:len(q.CMW)-1] },
			attls.FailMalformedCMW, ""},
		{"another type than was negotiated", psa.Name,
			func(t *testing.T, r *root, q *negotiation.AppraisalRequest) {
				q.Scheme.Format = profile.Format{MediaType: "application/eat+cwt"}
			}, attls.FailFormatMismatch, ""},
		{"64 KB", psa.Name,
			func(t *testing.T, r *root, q *negotiation.AppraisalRequest) { q.CMW = make([]byte, 1<<16) },
			attls.FailMalformedCMW, "at most 32768"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := rootNamed(t, test.root)
			d, v := r.start(t, veraisontest.Switches{Compares: &never}, nil)
			q := r.request(t, 64)
			test.change(t, r, q)
			wants(t, appraise(t, v, q), test.failure, test.says)
			if slices.Contains(d.Log(), string(veraisontest.NewSession)) {
				t.Error("the service was asked nevertheless")
			}
		})
	}
}

// TestResults: a result that does not say exactly what it must is refused.
func TestResults(t *testing.T) {
	iat := func(d time.Duration) func(map[string]any) {
		return func(c map[string]any) { c["iat"] = noon().Add(d).Unix() }
	}
	set := func(name string, v any) func(map[string]any) { return func(c map[string]any) { c[name] = v } }
	without := func(name string) func(map[string]any) { return func(c map[string]any) { delete(c, name) } }
	akpub := func(v any) func(map[string]any) {
		return edit(func(a map[string]any) { a["ear.veraison.key-attestation"] = v })
	}
	vector := func(name string, v int) func(map[string]any) {
		return edit(func(a map[string]any) { a["ear.trustworthiness-vector"].(map[string]any)[name] = v })
	}
	submods := func(change func(map[string]any)) func(map[string]any) {
		return func(c map[string]any) { change(c["submods"].(map[string]any)) }
	}
	rename := func(from, to string) func(map[string]any) {
		return submods(func(m map[string]any) { m[to] = m[from]; delete(m, from) })
	}
	const af, tik = attls.FailAppraisal, attls.FailTIKMismatch
	for _, test := range []struct {
		name, root string
		claims     func(map[string]any)
		failure    attls.Failure
		says       string
	}{
		{"it is 59 minutes old", psa.Name, iat(-59 * time.Minute), "", ""},
		{"it is an hour and two minutes old", psa.Name, iat(-62 * time.Minute), af, "the greatest age"},
		{"it is of the future", psa.Name, iat(2 * time.Minute), af, "not yet"},
		{"it has no iat", psa.Name, without("iat"), af, "iat"},
		{"it has expired", psa.Name, set("exp", noon().Add(-2*time.Minute).Unix()), af, "expired"},
		{"it is for somebody else", psa.Name, set("aud", "somebody"), af, "meant for"},
		{"another nonce", psa.Name, set("eat_nonce", base64url(challenge(32))), attls.FailBinderMismatch, "eat_nonce"},
		{"no nonce", psa.Name, without("eat_nonce"), attls.FailBinderMismatch, "no eat_nonce"},
		{"a nonce that is a number", psa.Name, set("eat_nonce", 7), af, "eat_nonce"},
		{"another profile", psa.Name, set("eat_profile", "tag:other"), af, "eat_profile"},
		{"no profile", psa.Name, without("eat_profile"), af, "eat_profile"},
		{"no verifier", psa.Name, without("ear.verifier-id"), af, "verifier-id"},
		{"another developer", psa.Name, set("ear.verifier-id", map[string]any{"build": "1", "developer": "me"}), "", ""},
		{"a status that the vector contradicts", psa.Name, vector("executables", 33), af, "although executables is 33"},
		{"a verifier that failed", psa.Name, vector("hardware", -1), af, "although hardware"},
		{"no status", psa.Name, edit(func(a map[string]any) { delete(a, "ear.status") }), af, "ear.status"},
		{"the name of the scheme in place of the two", cca.Name, func(c map[string]any) {
			c["submods"] = map[string]any{"ARM_CCA": c["submods"].(map[string]any)["CCA_REALM"]}
		}, af, "the result has the appraisals ARM_CCA; the scheme ARM_CCA has CCA_REALM, CCA_SSD_PLATFORM"},
		{"one of two appraisals", cca.Name, submods(func(m map[string]any) { delete(m, "CCA_REALM") }), af,
			"the result has the appraisals CCA_SSD_PLATFORM;"},
		{"an appraisal more", psa.Name, submods(func(m map[string]any) { m["extra"] = m["PSA_IOT"] }), af,
			"PSA_IOT, extra"},
		{"the appraisal of another scheme", psa.Name, rename("PSA_IOT", "SEVSNP"), af,
			"the result has the appraisals SEVSNP; the scheme PSA_IOT has PSA_IOT"},
		{"no appraisal", psa.Name, set("submods", map[string]any{}), af, "submods"},
		{"no submods", psa.Name, without("submods"), af, "submods"},
		{"no key where the scheme gives one", cca.Parsec,
			edit(func(a map[string]any) { delete(a, "ear.veraison.key-attestation") }), tik, "no appraisal attests a key"},
		{"a key attestation without a key", cca.Parsec, akpub(map[string]any{}), tik, "no akpub"},
		{"a key that is not one", cca.Parsec, akpub(map[string]any{"akpub": "AAAA"}), tik, "akpub"},
		{"a key in another alphabet", cca.Parsec, akpub(map[string]any{"akpub": "+/+/"}), tik, "no akpub in base64url"},
		{"another key", cca.Parsec, akpub(map[string]any{"akpub": base64url(key(t, "client"))}), tik,
			"is not the key of the handshake"},
		{"another key where the scheme gives none", psa.Name,
			akpub(map[string]any{"akpub": base64url(key(t, "client"))}), tik, "is not the key of the handshake"},
		{"a key under a status that is not affirming", cca.Parsec,
			edit(func(a map[string]any) { a["ear.status"] = "warning" }), af, "PARSEC_CCA is warning"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := rootNamed(t, test.root)
			d, v := r.start(t, veraisontest.Switches{Claims: test.claims}, nil)
			wants(t, appraise(t, v, r.request(t, 64)), test.failure, test.says)
			if d.Open() != 0 {
				t.Error("the session is left")
			}
		})
	}
}

// TestStatuses: each of several appraisals must be affirming.
func TestStatuses(t *testing.T) {
	for _, test := range []struct {
		statuses map[string]string
		says     string
	}{
		{map[string]string{"CCA_REALM": "warning"}, "CCA_REALM is warning"},
		{map[string]string{"CCA_SSD_PLATFORM": "contraindicated"}, "CCA_SSD_PLATFORM is contraindicated"},
		{map[string]string{"CCA_SSD_PLATFORM": "none", "CCA_REALM": "none"}, "CCA_REALM is none, CCA_SSD_PLATFORM is none"},
	} {
		r := rootNamed(t, cca.Name)
		_, v := r.start(t, veraisontest.Switches{Statuses: test.statuses}, nil)
		wants(t, appraise(t, v, r.request(t, 32)), attls.FailAppraisal, test.says)
	}
}

// TestRefusedByService: what the service refuses is refused, with its reason.
func TestRefusedByService(t *testing.T) {
	r := rootNamed(t, psa.Name)
	_, v := r.start(t, veraisontest.Switches{Verifier: &attestation.Verifier{Table: r.table, Clock: noon}}, nil)
	wants(t, appraise(t, v, r.request(t, 32)), attls.FailAppraisal, "PSA_IOT is contraindicated (it says: ")
}

// TestSignatures: a result counts under the key of the service, with the algorithm of
// that key.
func TestSignatures(t *testing.T) {
	r := rootNamed(t, psa.Name)
	for name, s := range map[string]veraisontest.Switches{
		"another key":              {SignsWith: veraisontest.NewKey(t)},
		"none":                     {Algorithm: "none"},
		"HS256 with the known key": {Algorithm: "HS256"},
		"ES384 by name":            {Algorithm: "ES384"},
	} {
		d, v := r.start(t, s, nil)
		wants(t, appraise(t, v, r.request(t, 32)), attls.FailAppraisal, "the result does not verify")
		if n := count(d.Log(), veraisontest.Discovery); n != 2 {
			t.Errorf("%s: the service was asked for its key %d times; once more is enough", name, n)
		}
	}
}

func count(log []string, step veraisontest.Step) (n int) {
	for _, s := range log {
		if s == string(step) {
			n++
		}
	}
	return n
}

// TestRotation: a new key of the service is fetched once where the old one does not
// verify; a pinned key is not replaced.
func TestRotation(t *testing.T) {
	r := rootNamed(t, psa.Name)
	d, v := r.start(t, veraisontest.Switches{}, nil)
	wants(t, appraise(t, v, r.request(t, 32)), "", "")
	d.Rotate(t)
	wants(t, appraise(t, v, r.request(t, 32)), "", "")
	wants(t, appraise(t, v, r.request(t, 32)), "", "")
	if n := count(d.Log(), veraisontest.Discovery); n != 2 {
		t.Errorf("discovery was asked %d times; one more than the first is needed", n)
	}
	if !d.Key().Equal(v.Key()) {
		t.Error("the new key is not kept")
	}
	d = veraisontest.Start(t, veraisontest.Switches{Verifier: r.verifier, Clock: noon})
	o := r.options(d.URL)
	o.Insecure, o.Key = false, d.Key()
	v, err := veraison.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	wants(t, appraise(t, v, r.request(t, 32)), "", "")
	d.Rotate(t)
	wants(t, appraise(t, v, r.request(t, 32)), attls.FailAppraisal, "the result does not verify")
}

// TestKeyIsBelieved: only over verified HTTPS, or where it is pinned or told to.
func TestKeyIsBelieved(t *testing.T) {
	r := rootNamed(t, psa.Name)
	plain := veraisontest.Start(t, veraisontest.Switches{Verifier: r.verifier})
	secure := veraisontest.Start(t, veraisontest.Switches{Verifier: r.verifier, TLS: true})
	other := veraisontest.Start(t, veraisontest.Switches{Verifier: r.verifier, TLS: true, Name: "another.example"})
	const unreadable = "nothing can be read here"
	for _, test := range []struct {
		name string
		o    veraison.Options
		says string // empty: it is
	}{
		{"plain HTTP on loopback", veraison.Options{URL: plain.URL}, "pin the key, or use HTTPS"},
		{"plain HTTP, told to", veraison.Options{URL: plain.URL, Insecure: true}, ""},
		{"plain HTTP, pinned", veraison.Options{URL: plain.URL, Key: plain.Key()}, ""},
		{"plain HTTP, another key pinned", veraison.Options{URL: plain.URL, Key: secure.Key()}, "not the one that is pinned"},
		{"verified HTTPS", veraison.Options{URL: secure.URL, RootCAs: secure.Roots}, ""},
		{"an unknown trust anchor", veraison.Options{URL: secure.URL, RootCAs: other.Roots}, "certificate"},
		{"an unknown trust anchor, the key pinned", veraison.Options{URL: secure.URL, RootCAs: other.Roots, Key: secure.Key()},
			"certificate"},
		{"a certificate for another name", veraison.Options{URL: other.URL, RootCAs: other.Roots}, "127.0.0.1"},
		{"HTTPS that nobody verifies", veraison.Options{URL: secure.URL, HTTPClient: careless()}, "without a verified certificate"},
		{"HTTPS that nobody verifies, pinned", veraison.Options{URL: secure.URL, HTTPClient: careless(), Key: secure.Key()}, ""},
		{"trust anchors that a transport would not use", veraison.Options{URL: secure.URL, RootCAs: secure.Roots,
			HTTPClient: careless()}, "RootCAs"},
		{"no URL", veraison.Options{}, "is not the URL of a service"},
		{"another scheme", veraison.Options{URL: "ftp://127.0.0.1"}, "is not the URL of a service"},
		{"a user", veraison.Options{URL: "http://a:b@127.0.0.1"}, "it is an origin"},
		{"a negative time-out", veraison.Options{URL: plain.URL, Timeout: -1}, "negative"},
		{"an empty table", veraison.Options{URL: plain.URL, Insecure: true}, unreadable},
	} {
		if test.says != unreadable {
			test.o.Table = r.table
		}
		_, err := veraison.New(t.Context(), test.o)
		if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v; expected is %q", test.name, err, test.says)
		}
	}
}

const (
	typeSession   = "application/vnd.veraison.challenge-response-session+json"
	typeDiscovery = "application/vnd.veraison.discovery+json"
)

// TestTrouble: a service that is slow, closed, huge, redirecting or lying ends in a
// refusal with a reason, at every step, within the time-out.
func TestTrouble(t *testing.T) {
	r := rootNamed(t, psa.Name)
	elsewhere := veraisontest.Start(t, veraisontest.Switches{Verifier: r.verifier, Clock: noon})
	const silent, refused = attls.FailVerifierUnreachable, attls.FailAppraisal
	q := r.request(t, 32)
	for _, test := range []struct {
		name    string
		do      veraisontest.Trouble
		failure attls.Failure
		says    string
		timeout time.Duration
	}{
		{"slow", veraisontest.Slow, silent, "deadline", 300 * time.Millisecond},
		{"an octet at a time", veraisontest.Drip, silent, "deadline", 300 * time.Millisecond},
		{"closed", veraisontest.Closed, silent, "EOF", 0},
		{"cut off", veraisontest.Cut, silent, "EOF", 0},
		{"huge", veraisontest.Huge, silent, "more than 262144 octets", 0},
		{"redirecting", veraisontest.Redirect(elsewhere.URL), refused, "which is not followed", 0},
		{"500", veraisontest.Status(500), refused, `500 Internal Server Error: "a switch of the double"`, 0},
		{"503", veraisontest.Status(503), silent, "503", 0},
		{"415", veraisontest.Status(415), refused, "415", 0},
		{"404", veraisontest.Status(404), refused, "404", 0},
		{"204", veraisontest.Status(204), refused, "", 0},
		{"a page", veraisontest.Says(200, "text/html", "<p>"), refused, "", 0},
		{"no JSON", veraisontest.Says(200, typeSession, "{"), refused, "", 0},
		{"nothing", veraisontest.Says(200, typeSession, "{}"), refused, "", 0},
		{"a list", veraisontest.Says(200, typeSession, "[]"), refused, "", 0},
		{"two results", veraisontest.Says(200, typeSession, `{"result":"a","result":"b"}`), refused, "", 0},
	} {
		for _, step := range []veraisontest.Step{veraisontest.NewSession, veraisontest.Evidence, veraisontest.Result} {
			t.Run(test.name+" at "+string(step), func(t *testing.T) {
				s := veraisontest.Switches{Processing: 1, Trouble: map[veraisontest.Step]veraisontest.Trouble{step: test.do}}
				d, v := r.start(t, s, func(o *veraison.Options) {
					if test.timeout != 0 {
						o.Timeout = test.timeout
					}
				})
				wants(t, appraise(t, v, q), test.failure, test.says)
				if step != veraisontest.NewSession && d.Open() != 0 {
					t.Error("the session is left")
				}
			})
		}
	}
	if len(elsewhere.Log()) > 0 {
		t.Error("a redirect was followed")
	}
	_, v := r.start(t, veraisontest.Switches{Processing: 1 << 30}, func(o *veraison.Options) { o.Timeout = 300 * time.Millisecond })
	wants(t, appraise(t, v, q), silent, "")
}

// TestTroubleAtDiscovery: New fails where discovery does.
func TestTroubleAtDiscovery(t *testing.T) {
	r := rootNamed(t, psa.Name)
	nowhere, err := veraisontest.Nowhere()
	if err != nil {
		t.Fatal(err)
	}
	const types = `"media-types":["application/eat+cwt; eat_profile=\"tag:psacertified.org,2023:psa#tfm\""]`
	const points = `"api-endpoints":{"newChallengeResponseSession":"/x"}`
	const key = `"ear-verification-key":{"kty":"EC","crv":"P-256",` +
		`"x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}`
	object := func(parts ...string) veraisontest.Trouble {
		return veraisontest.Says(200, typeDiscovery, "{"+strings.Join(parts, ",")+"}")
	}
	in := func(do veraisontest.Trouble) error {
		d := veraisontest.Start(t, veraisontest.Switches{Trouble: map[veraisontest.Step]veraisontest.Trouble{veraisontest.Discovery: do}})
		o := r.options(d.URL)
		o.Timeout = 300 * time.Millisecond
		_, err := veraison.New(t.Context(), o)
		return err
	}
	for name, test := range map[string]struct {
		do   veraisontest.Trouble
		says string
	}{
		"slow":        {veraisontest.Slow, "deadline"},
		"closed":      {veraisontest.Closed, "EOF"},
		"huge":        {veraisontest.Huge, "more than"},
		"redirecting": {veraisontest.Redirect(nowhere), "not followed"},
		"404":         {veraisontest.Status(404), "404"},
		"a page":      {veraisontest.Says(200, "text/html", "{}"), "text/html"},
		"nothing":     {object(), "media-types"},
		"no key":      {object(types, points), "there is none"},
		"a key for HMAC": {object(types, points, `"ear-verification-key":{"kty":"oct","k":"AAAA"}`),
			"ear-verification-key"},
		"a point that is not on the curve": {object(types, points, strings.Replace(key, "4Etl", "AEtl", 1)),
			"ear-verification-key"},
		"a private key": {object(types, points, strings.Replace(key, `"kty"`,
			`"d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE","kty"`, 1)), "public key"},
		"a member twice":              {object(types, types, points, key), "twice"},
		"an endpoint of another host": {object(types, strings.Replace(points, "/x", "http://another.example/x", 1), key), "origin"},
		"no endpoint":                 {object(types, key), "newChallengeResponseSession"},
		"types of nobody":             {object(strings.Replace(types, "tfm", "other", 1), points, key), "nothing can be read"},
		"types that are numbers":      {object(`"media-types":[1]`, points, key), "not text"},
	} {
		if err := in(test.do); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v; expected is %q", name, err, test.says)
		}
	}
	if err := in(object(types, points, key)); err != nil {
		t.Errorf("the document from which the others differ: %v", err)
	}
	if _, err := veraison.New(t.Context(), r.options(nowhere)); err == nil {
		t.Error("New accepts a service that is not there")
	}
}

// TestLies: a session that is not what it should be is refused.
func TestLies(t *testing.T) {
	r := rootNamed(t, psa.Name)
	foreign := value(t, r.request(t, 48).CMW)
	for _, test := range []struct {
		name string
		s    veraisontest.Switches
		says string
	}{
		{"another nonce", veraisontest.Switches{SessionNonce: challenge(33)}, "its nonce is not the one"},
		{"a nonce that is cut", veraisontest.Switches{SessionNonce: challenge(31)}, "its nonce is not the one"},
		{"a Location at another host", veraisontest.Switches{Location: "http://another.example/session/1"}, "not at the origin"},
		{"the same without a scheme", veraisontest.Switches{Location: "//another.example/session/1"}, "not at the origin"},
		{"a Location at another port", veraisontest.Switches{Location: "http://127.0.0.1:1/session/1"}, "not at the origin"},
		{"a Location over HTTPS", veraisontest.Switches{Location: "https://127.0.0.1/session/1"}, "not at the origin"},
		{"a Location with a query", veraisontest.Switches{Location: "session/1?x=y"}, "query"},
		{"a Location that is the old one", veraisontest.Switches{Location: "newSession"}, "there is none"},
		{"a Location where nothing is",
			veraisontest.Switches{Location: "session/00000000-0000-0000-0000-000000000000"}, "404"},
		{"a Location outside the API", veraisontest.Switches{Location: "/elsewhere"}, "404"},
		{"a session that has expired", veraisontest.Switches{Short: -1}, "404"},
		{"the status failed", veraisontest.Switches{Fails: true}, `its status is "failed"`},
		{"somebody else's Evidence", veraisontest.Switches{Overwritten: foreign}, "about other Evidence"},
		{"somebody else's Evidence later", veraisontest.Switches{Overwritten: foreign, Processing: 1}, "about other Evidence"},
		{"somebody else's Evidence, and it is not said",
			veraisontest.Switches{Overwritten: foreign, KeepEcho: true}, "PSA_IOT is contraindicated"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, v := r.start(t, test.s, nil)
			wants(t, appraise(t, v, r.request(t, 32)), attls.FailAppraisal, test.says)
		})
	}
}

// TestContext: the end of the context is an error, and the session is deleted.
func TestContext(t *testing.T) {
	r := rootNamed(t, psa.Name)
	ctx, cancel := context.WithCancel(t.Context())
	d, v := r.start(t, veraisontest.Switches{Trouble: map[veraisontest.Step]veraisontest.Trouble{
		veraisontest.Evidence: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			cancel()
			veraisontest.Slow(w, r, next)
		}}}, nil)
	if verdict, err := v.Appraise(ctx, r.request(t, 32)); err == nil || verdict != nil {
		t.Errorf("%+v, %v", verdict, err)
	}
	if d.Open() != 0 {
		t.Error("the session is left")
	}
	if _, err := v.Appraise(ctx, r.request(t, 32)); err == nil {
		t.Error("a context that has ended is not seen")
	}
}

// TestSlowDeletion: a service that does not answer to the deletion of sessions holds no
// appraisal up for long, and is not asked more often at a time than is bounded.
func TestSlowDeletion(t *testing.T) {
	r := rootNamed(t, psa.Name)
	var asked, most atomic.Int32
	d, v := r.start(t, veraisontest.Switches{Trouble: map[veraisontest.Step]veraisontest.Trouble{
		veraisontest.Deletion: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			for n := asked.Add(1); n > most.Load(); {
				most.Store(n)
			}
			defer asked.Add(-1)
			veraisontest.Slow(w, r, next)
		}}}, nil)
	var last string
	for range 10 {
		began := time.Now()
		verdict, err := v.Appraise(t.Context(), r.request(t, 32))
		if err != nil || verdict.Failure != "" {
			t.Fatalf("%+v, %v", verdict, err)
		}
		if took := time.Since(began); took > 1500*time.Millisecond { // deletions have 2 seconds
			t.Errorf("an appraisal takes %v", took)
		}
		for _, c := range verdict.Checks {
			if c.Name == veraison.CheckSession {
				last = c.Text
			}
		}
		if !strings.Contains(last, "takes long") && !strings.Contains(last, "has not answered to 8 deletions") &&
			!strings.Contains(last, "could not be deleted") {
			t.Errorf("the check says %q", last)
		}
	}
	if n := most.Load(); n > 8 || n < 2 {
		t.Errorf("%d deletions at a time", n)
	}
	if d.Open() == 0 {
		t.Error("there are no sessions left, which the service does not delete")
	}
}

// TestSchemes: the types of the service that can be read here are offered, as it
// writes them.
func TestSchemes(t *testing.T) {
	r := rootNamed(t, psa.Name)
	d, v := r.start(t, veraisontest.Switches{}, func(o *veraison.Options) { o.Identity = "veraison.example" })
	var media, other []string
	for _, s := range v.Schemes() {
		switch {
		case s.Model == profile.ModelResults:
			other = append(other, string(s.Verifier))
		case s.Format.MediaType == "":
			other = append(other, attestation.FormatString(s.Format))
		default:
			media = append(media, s.Format.MediaType)
		}
	}
	for _, m := range media {
		if !slices.Contains(d.Types(), m) {
			t.Errorf("%s is offered, which the service does not take", m)
		}
	}
	if len(media) < 6 || !slices.Contains(other, "veraison.example") || len(other) != 3 { // two content formats of PSA
		t.Errorf("offered are %q and %q", media, other)
	}
	const tfm = `application/eat+cwt; eat_profile="tag:psacertified.org,2023:psa#tfm"`
	if media[len(media)-1] != tfm {
		t.Errorf("offered are %q; what the service takes and cannot read is the last", media)
	}
	if f := v.Format(r.format); len(f.Types) != len(r.format.Types) || f.Types[0].MediaType == tfm {
		t.Errorf("the types of PSA for this service are %v", f.Types)
	}
	if nonce, err := v.Nonce(t.Context(), 32); nonce != nil || err != nil {
		t.Errorf("a nonce %x, %v", nonce, err)
	}
}

// TestUnread: a token that the service takes and cannot read is refused, and the verdict
// says what can be done. A service that reads it affirms it.
func TestUnread(t *testing.T) {
	r := rootNamed(t, psa.Name)
	for _, test := range []struct {
		all     bool
		failure attls.Failure
		says    string
	}{{false, attls.FailAppraisal, "does not know the profile of its tokens"}, {true, "", ""}} {
		_, v := r.start(t, veraisontest.Switches{ReadsAll: test.all}, nil)
		q := r.request(t, 32)
		q.Scheme.Format.MediaType = r.format.Types[0].MediaType
		q.CMW = r.evidence(t, q)
		wants(t, appraise(t, v, q), test.failure, test.says)
	}
}

// TestProxy: a proxy of the environment is not used for loopback.
func TestProxy(t *testing.T) {
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"} {
		t.Setenv(name, "http://proxy.invalid:1")
	}
	r := rootNamed(t, psa.Name)
	_, v := r.start(t, veraisontest.Switches{}, nil)
	wants(t, appraise(t, v, r.request(t, 32)), "", "")
}

// TestRelayed: a result that the peer relays counts where the service compared the
// challenge with the Evidence, and something attests the key.
func TestRelayed(t *testing.T) {
	for _, test := range []struct {
		root    string
		bound   bool
		failure attls.Failure
		says    string
	}{
		{psa.Name, true, "", ""},
		{cca.Name, true, "", ""},
		{psa.Name, false, attls.FailTIKMismatch, "nothing in this result attests the key"},
		{cca.Parsec, true, attls.FailAppraisal, "does not compare the challenge"},
		{cca.Parsec, false, attls.FailAppraisal, "does not compare the challenge"},
	} {
		r := rootNamed(t, test.root)
		_, v := r.start(t, veraisontest.Switches{}, func(o *veraison.Options) { o.Identity = "veraison.example" })
		q := r.request(t, 32)
		verdict := appraise(t, v, q)
		wants(t, verdict, "", "")
		relayed := *q
		relayed.Scheme = negotiation.Scheme{Model: profile.ModelResults, Verifier: []byte("veraison.example")}
		relayed.KeyBound = test.bound
		relayed.CMW = wrapped(t, profile.Format{ContentFormat: attestation.FormatJWT}, attestation.IndAttestationResults, verdict.Result)
		wants(t, appraise(t, v, &relayed), test.failure, test.says)
		relayed.Challenge = challenge(31)
		if refused, _ := appraise(t, v, &relayed).Refusal(noon()); refused == "" {
			t.Error("the result of another connection is accepted")
		}
	}
}

// TestProvision: a CoRIM is taken or there is an error, although the service answers
// 200 to both.
func TestProvision(t *testing.T) {
	secure := veraisontest.Start(t, veraisontest.Switches{TLS: true})
	plain := veraisontest.Start(t, veraisontest.Switches{})
	list, err := rootNamed(t, psa.Name).corim()
	if err != nil {
		t.Fatal(err)
	}
	corim := list[0]
	const media = `application/rim+cbor; profile="tag:arm.com,2025:psa#1.0.0"`
	const other = `application/rim+cbor; profile="tag:arm.com,2025:cca_realm#1.0.0"`
	changed := bytes.Replace(corim, []byte("PUBLIC"), []byte("public"), 1)
	trusting := veraison.Options{URL: secure.URL, RootCAs: secure.Roots}
	failing := func(step veraisontest.Step, do veraisontest.Trouble) veraison.Options {
		d := veraisontest.Start(t, veraisontest.Switches{Trouble: map[veraisontest.Step]veraisontest.Trouble{step: do}})
		return veraison.Options{URL: d.URL, Insecure: true, Timeout: 300 * time.Millisecond}
	}
	for _, test := range []struct {
		name  string
		o     veraison.Options
		media string
		corim []byte
		says  string // empty: taken
	}{
		{"the first time", trusting, media, corim, ""},
		{"the same octets again", trusting, media, corim, "already in store"},
		{"another one under its identifier", trusting, media, changed, "different token with manifest ID"},
		{"under the type of another profile", trusting, other, corim, "does not match media type profile"},
		{"under the type of a signed one", trusting, strings.Replace(media, "cbor", "cose", 1), corim, "invalid COSE_Sign1_Tagged"},
		{"a type without a profile", trusting, "application/rim+cbor", corim, "it does not take application/rim+cbor; it takes"},
		{"a profile that nobody has", trusting, strings.Replace(media, "arm.com", "arm.example", 1), corim, "it does not take"},
		{"written otherwise", trusting, strings.Replace(media, "; p", ";P", 1), corim, "already in store"},
		{"no CoRIM", trusting, media, []byte("x"), "did not see unsigned CoRIM tag"},
		{"nothing", trusting, media, nil, "400"},
		{"an older type", trusting, "application/corim-unsigned+cbor", corim, "it does not take application/corim-unsigned+cbor; it takes"},
		{"no type", trusting, "", corim, "is not a media type"},
		{"plain HTTP", veraison.Options{URL: plain.URL}, media, corim, "over verified HTTPS only"},
		{"plain HTTP, told to", veraison.Options{URL: plain.URL, Insecure: true}, media, corim, ""},
		{"slow", failing(veraisontest.Provision, veraisontest.Slow), media, corim, "deadline"},
		{"huge", failing(veraisontest.Provision, veraisontest.Huge), media, corim, "more than"},
		{"redirecting", failing(veraisontest.Provision, veraisontest.Redirect(plain.URL)), media, corim, "not followed"},
		{"401", failing(veraisontest.Provision, veraisontest.Status(401)), media, corim, "401"},
		{"closed at discovery", failing(veraisontest.Discovery, veraisontest.Closed), media, corim, "EOF"},
	} {
		err := veraison.Provision(t.Context(), test.o, test.media, test.corim)
		if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v; expected is %q", test.name, err, test.says)
		}
	}
}

// TestTypeOfCoRIM: the media type follows from the octets.
func TestTypeOfCoRIM(t *testing.T) {
	for _, test := range []struct {
		hexadecimal, want string // empty: an error
	}{
		{"d901f5a1006161", "application/rim+cbor"},
		{"d901f5a200616103d8206874616728613a62", ""},
		{"d901f5a200616103d820687461673a613a622f", `application/rim+cbor; profile="tag:a:b/"`},
		{"d901f5a200616103d86f442b060104", `application/rim+cbor; profile="1.3.6.1.4"`},
		{"d901f5a200616103d8206161", `application/rim+cbor; profile="a"`},
		{"d901f5a200616103d820622261", ""},
		{"d901f5a2006161036161", ""},
		{"d284" + "40" + "a0" + "47d901f5a1006161" + "4100", "application/rim+cose"},
		{"d284" + "40" + "a0" + "43a10061" + "4100", ""},
		{"d28340a040", ""}, {"a1006161", ""}, {"", ""}, {"d901f5", ""}, {"d901f5a0a0", ""}, {"d901f680", ""},
	} {
		b, err := hex.DecodeString(test.hexadecimal)
		if err != nil {
			t.Fatal(err)
		}
		got, err := veraison.TypeOfCoRIM(b)
		if got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%s: %q, %v; expected is %q", test.hexadecimal, got, err, test.want)
		}
	}
}
