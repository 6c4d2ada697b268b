// Package roottest is the test suite that every root of trust runs on its own row of
// the table of Evidence formats:
//
//	func TestRoot(t *testing.T) { roottest.Run(t, mine.Format(), roottest.Options{}) }
//
// It makes Evidence with the emulator of the row and judges it with the embedded
// verifier, for both roles and for challenges of all lengths that occur; then it
// spoils the Evidence in every way that needs no knowledge of the format, and wants
// each refused.
package roottest

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"attls"
	"attls/attestation"
	"attls/extensions/profile"
	"attls/negotiation"

	"go.yaml.in/yaml/v3"
)

// Options adapt the suite to a root of trust.
type Options struct {
	// Clock is the time of all tests; nil: noon of 1 March 2026.
	Clock func() time.Time
	// Emulate is in place of the row's own emulator, for roots of trust that are
	// emulated by a program outside. It may skip the test.
	Emulate func(t *testing.T, o attestation.EmulatorOptions) *attestation.Emulation
	// Flips is how many octets are changed, one after the other; 0: 3000. Evidence
	// that is longer is changed at so many places, spread evenly, and at the borders
	// of all fields.
	Flips int
}

// Lengths are those of the challenges that profiles make, in octets: a nonce of the
// shortest kind, SHA-256, SHA-384, and what fills the longest fields.
var Lengths = []int{8, 32, 48, 64}

// suite is one run.
type suite struct {
	Options
	f     *attestation.Format
	table attestation.Formats
	e     *attestation.Emulation
}

// Run runs the suite.
func Run(t *testing.T, f attestation.Format, o Options) {
	if o.Clock == nil {
		o.Clock = func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }
	}
	if o.Flips == 0 {
		o.Flips = 3000
	}
	table, err := attestation.NewFormats(f)
	if err != nil {
		t.Fatal(err)
	}
	row, err := table.Named(f.Name)
	if err != nil {
		t.Fatal(err)
	}
	s := &suite{Options: o, f: row, table: table}
	s.e = s.emulate(t, "the seed of this test")
	for _, x := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"Evidence is affirmed for both roles and all lengths of a challenge", s.affirming},
		{"the attestation is the whole credential where the Evidence names the key", s.alone},
		{"a key that nothing attests is not affirmed", s.unattested},
		{"Evidence of another challenge, key or end of the challenge field is refused", s.bound},
		{"an emulator is trusted by configuration only", s.configured},
		{"two processes that emulate with one seed trust each other", s.repeated},
		{"Evidence that is bad in a general way is refused", s.spoilt},
		{"the policy and the device can be written to files and read", s.files},
		{"Evidence that ends too early is refused", s.truncated},
		{"a changed octet is refused unless no signature covers it", s.flipped},
		{"octets after the end are refused", s.trailing},
		{"another format under this type is refused, and this one under another", s.confused},
		{"64 KB of anything are refused", s.junk},
		{"fields are inside the octets", s.fields},
	} {
		t.Run(x.name, x.run)
	}
}

func (s *suite) emulate(t *testing.T, seed string) *attestation.Emulation {
	t.Helper()
	o := attestation.EmulatorOptions{Seed: sha256Of(seed), Clock: s.Clock}
	if s.Emulate != nil {
		return s.Emulate(t, o)
	}
	if s.f.Emulate == nil {
		t.Skipf("%s has no emulator in this process", s.f.Name)
	}
	e, err := s.f.Emulate(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func sha256Of(text string) []byte {
	h := sha256.Sum256([]byte(text))
	return h[:]
}

// Verifier is one that trusts an emulation and nothing else.
func Verifier(f attestation.Formats, name string, e *attestation.Emulation,
	clock func() time.Time) *attestation.Verifier {
	v := &attestation.Verifier{Table: f, Endorsements: e.Endorsements, References: e.References, Clock: clock}
	if e.Policy != nil {
		v.Policies = map[string]attestation.Policy{name: e.Policy}
	}
	return v
}

// Judge has a policy judge the value of a CBOR record, of the type that was asked for, as
// the answer to a request.
func Judge(t *testing.T, f attestation.Format, p attestation.Policy, at time.Time, r *negotiation.EvidenceRequest,
	value []byte) *negotiation.Verdict {
	t.Helper()
	table, err := attestation.NewFormats(f)
	if err != nil {
		t.Fatal(err)
	}
	c := &attestation.CMW{Form: attestation.CBORRecord, Format: r.Scheme.Format, Value: value,
		Indicator: attestation.IndEvidence}
	payload, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	v := &attestation.Verifier{Table: table, Policies: map[string]attestation.Policy{f.Name: p}, Clock: func() time.Time {
		return at
	}}
	return appraise(t, v, r, payload)
}

func (s *suite) verifier() *attestation.Verifier {
	return Verifier(s.table, s.f.Name, s.e, s.Clock)
}

// challenge is one of n octets.
func challenge(n int) []byte { return bytes.Repeat([]byte{0xa5}, n) }

// key is a key of the handshake.
func key(t *testing.T, use string) []byte {
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

// request is a usual one: a challenge of 32 octets over the key, or as many as the
// field takes.
func (s *suite) request(t *testing.T) *negotiation.EvidenceRequest {
	t.Helper()
	for _, n := range []int{32, 48, 64} {
		if _, err := s.f.Challenge.Place(challenge(n), profile.FitPadRight); err == nil {
			return &negotiation.EvidenceRequest{Scheme: s.scheme(), Challenge: challenge(n), Fit: profile.FitPadRight,
				SPKI: tik(t, s.e.Attester), KeyBound: true}
		}
	}
	t.Fatalf("%s takes no challenge of 32, 48 or 64 octets", s.f.Name)
	return nil
}

func (s *suite) scheme() negotiation.Scheme {
	scheme := s.f.Schemes()[0]
	scheme.Credential = profile.KindX509
	return scheme
}

// tik is the key to attest: one of the Attester's where it holds keys itself.
func tik(t *testing.T, a negotiation.Attester) []byte {
	t.Helper()
	m := attestation.KeysOf(a)
	if m == nil {
		return key(t, "tik")
	}
	k, err := m.NewKey(t.Context(), attls.RoleServer)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	return spki
}

func (s *suite) make(t *testing.T, r *negotiation.EvidenceRequest) *negotiation.Evidence {
	t.Helper()
	ev, err := s.e.Attester.Attest(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return ev
}

// appraise judges a payload as the answer to a request.
func appraise(t *testing.T, v *attestation.Verifier, r *negotiation.EvidenceRequest,
	payload []byte) *negotiation.Verdict {
	t.Helper()
	verdict, err := v.Appraise(t.Context(), &negotiation.AppraisalRequest{
		Attester: r.Attester, Scheme: r.Scheme, CMW: payload,
		Challenge: r.Challenge, Fit: r.Fit, SPKI: r.SPKI, KeyBound: r.KeyBound})
	if err != nil {
		t.Fatal(err)
	}
	return verdict
}

// affirmed wants a verdict that accepts.
func affirmed(t *testing.T, v *negotiation.Verdict, at time.Time) {
	t.Helper()
	if failure, reason := v.Refusal(at); failure != "" {
		t.Errorf("refused: %s, %s; %+v", failure, reason, v.Checks)
	}
	if v.ValidUntil.IsZero() {
		t.Error("the verdict does not say until when it holds")
	}
}

// refused wants a verdict with one of the failures.
func refused(t *testing.T, v *negotiation.Verdict, want ...attls.Failure) {
	t.Helper()
	if v.Failure == "" || v.Status == negotiation.StatusAffirming || v.Reason == "" ||
		len(want) > 0 && !slices.Contains(want, v.Failure) {
		t.Errorf("%q, status %s (%s), want %q and a reason", v.Failure, v.Status, v.Reason, want)
	}
}

func (s *suite) affirming(t *testing.T) {
	says := map[string]bool{}
	for _, role := range []attls.Role{attls.RoleClient, attls.RoleServer} {
		for _, scheme := range s.f.Schemes() {
			for _, n := range Lengths {
				t.Run(fmt.Sprintf("%v, %s, %d octets", role, attestation.FormatString(scheme.Format), n), func(t *testing.T) {
					r := s.request(t)
					r.Attester, r.Challenge = role, challenge(n)
					r.Scheme.Format = scheme.Format
					field, unplaced := s.f.Challenge.Place(r.Challenge, r.Fit)
					ev, err := s.e.Attester.Attest(t.Context(), r)
					if unplaced != nil {
						if err == nil {
							t.Error("Evidence is made with a challenge that has no place in it")
						}
						return
					}
					if err != nil {
						t.Fatal(err)
					}
					verdict := appraise(t, s.verifier(), r, ev.CMW)
					affirmed(t, verdict, s.Clock())
					if !bytes.Equal(verdict.SPKI, r.SPKI) {
						t.Errorf("the verdict is about the key %x, not that of the handshake", verdict.SPKI)
					}
					c, failure := s.table.Inspect(ev.CMW, profile.ModelEvidence)
					if failure != nil || !bytes.Equal(c.Challenge, field) {
						t.Errorf("the challenge field is not %x: %v", field, failure)
					}
					s.vector(t, r, ev.CMW, says)
				})
			}
		}
	}
	for _, claim := range s.f.Says {
		if !says[claim] && !t.Failed() {
			t.Errorf("no verdict says anything of %s, as the row promises", claim)
		}
	}
}

// vector collects which claims an Attestation Result has, and wants no others than
// the row lists.
func (s *suite) vector(t *testing.T, r *negotiation.EvidenceRequest, payload []byte, says map[string]bool) {
	v := s.verifier()
	k, err := attestation.DeriveKey(nil, "results")
	if err != nil {
		t.Fatal(err)
	}
	v.Identity, v.Key = "verifier", k
	for claim, value := range vectorOf(t, appraise(t, v, r, payload).Result) {
		if value == 0 {
			continue
		}
		if says[claim] = true; !slices.Contains(s.f.Says, claim) {
			t.Errorf("the verdict says something of %s, which the row does not list", claim)
		}
	}
}

// vectorOf is the trustworthiness vector of a result.
func vectorOf(t *testing.T, jwt []byte) map[string]int {
	t.Helper()
	var result struct {
		Submods map[string]struct {
			Vector map[string]int `json:"ear.trustworthiness-vector"`
		} `json:"submods"`
	}
	parts := bytes.Split(jwt, []byte("."))
	if len(parts) != 3 {
		t.Fatalf("the result is %q", jwt)
	}
	payload, err := base64.RawURLEncoding.DecodeString(string(parts[1]))
	if err == nil {
		err = json.Unmarshal(payload, &result)
	}
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]int{}
	for _, submod := range result.Submods {
		maps.Copy(all, submod.Vector)
	}
	return all
}

func (s *suite) alone(t *testing.T) {
	r := s.request(t)
	r.SPKI, r.Scheme.Credential = nil, profile.KindAlone
	ev, err := s.e.Attester.Attest(t.Context(), r)
	if !s.f.Key.Named {
		if err == nil {
			t.Error("Evidence that names no key is made as the whole credential")
		}
		with := s.request(t)
		refused(t, appraise(t, s.verifier(), r, s.make(t, with).CMW), attls.FailTIKMismatch)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	verdict := appraise(t, s.verifier(), r, ev.CMW)
	affirmed(t, verdict, s.Clock())
	if !bytes.Equal(verdict.SPKI, ev.SPKI) || ev.Signer == nil {
		t.Errorf("the verdict is about the key %x, the Evidence about %x", verdict.SPKI, ev.SPKI)
	}
}

func (s *suite) unattested(t *testing.T) {
	r := s.request(t)
	payload := s.make(t, r).CMW
	r.KeyBound = false
	verdict := appraise(t, s.verifier(), r, payload)
	if s.f.Key.Named {
		affirmed(t, verdict, s.Clock())
		return
	}
	says := slices.ContainsFunc(verdict.Checks, func(c negotiation.Check) bool {
		return c.Name == attestation.CheckKey && bytes.Contains([]byte(c.Text),
			[]byte("nothing in this Evidence attests the key"))
	})
	if !says {
		t.Errorf("the verdict does not say that nothing attests the key: %+v", verdict.Checks)
	}
}

func (s *suite) bound(t *testing.T) {
	r := s.request(t)
	payload := s.make(t, r).CMW
	other := *r
	for i := range r.Challenge {
		other.Challenge = bytes.Clone(r.Challenge)
		other.Challenge[i] ^= 1
		refused(t, appraise(t, s.verifier(), &other, payload), attls.FailBinderMismatch)
	}
	for _, n := range []int{8, 31, 32, 33, 48, 64} {
		field, err := s.f.Challenge.Place(challenge(n), r.Fit)
		want := []attls.Failure{attls.FailBinderMismatch}
		if err != nil {
			want = []attls.Failure{attls.FailBinderUndefined}
		} else if whole, _ := s.f.Challenge.Place(r.Challenge, r.Fit); bytes.Equal(field, whole) {
			continue
		}
		other.Challenge = challenge(n)
		refused(t, appraise(t, s.verifier(), &other, payload), want...)
	}
	s.tail(t)
	if s.f.Key.Named {
		other := *r
		other.SPKI = key(t, "another key")
		refused(t, appraise(t, s.verifier(), &other, payload), attls.FailTIKMismatch)
	}
}

// tail puts octets after the challenge where the field has room for zeros.
func (s *suite) tail(t *testing.T) {
	r := s.request(t)
	field, failure := s.f.Challenge.Place(r.Challenge, r.Fit)
	if failure != nil || len(field) == len(r.Challenge) {
		return // it has no tail
	}
	for _, i := range []int{len(r.Challenge), len(field) - 1} {
		tampered := *r
		tampered.Challenge = bytes.Clone(field)
		tampered.Challenge[i] = 1
		refused(t, appraise(t, s.verifier(), r, s.make(t, &tampered).CMW), attls.FailBinderMismatch)
	}
}

func (s *suite) configured(t *testing.T) {
	r := s.request(t)
	payload := s.make(t, r).CMW
	refused(t, appraise(t, &attestation.Verifier{Table: s.table, Clock: s.Clock}, r, payload), attls.FailAppraisal)
	if s.Emulate != nil {
		return
	}
	other := Verifier(s.table, s.f.Name, s.emulate(t, "another seed"), s.Clock)
	refused(t, appraise(t, other, r, payload), attls.FailAppraisal)
}

func (s *suite) repeated(t *testing.T) {
	if s.Emulate != nil {
		return
	}
	r := s.request(t)
	again := s.emulate(t, "the seed of this test")
	affirmed(t, appraise(t, Verifier(s.table, s.f.Name, again, s.Clock), r, s.make(t, r).CMW), s.Clock())
}

func (s *suite) spoilt(t *testing.T) {
	for _, x := range attestation.Spoilages {
		bad, err := attestation.SpoilAny(x.Kind, s.f, s.e.Attester)
		if err != nil {
			continue // not of any root of trust, or not of this one
		}
		r := s.request(t)
		ev, err := bad.Attest(t.Context(), r)
		if err != nil {
			t.Errorf("%s: %v", x.Kind, err)
			continue
		}
		if v := appraise(t, s.verifier(), r, ev.CMW); v.Failure != x.Failure || v.Status == negotiation.StatusAffirming {
			t.Errorf("%s: %q, status %s (%s), want %q", x.Kind, v.Failure, v.Status, v.Reason, x.Failure)
		}
	}
}

func (s *suite) files(t *testing.T) {
	r := s.request(t)
	v, attester := s.verifier(), s.e.Attester
	if s.e.Policy != nil {
		p, err := s.f.Policy(s.section(t, s.e.Policy))
		if err != nil {
			t.Fatal(err)
		}
		v.Policies = map[string]attestation.Policy{s.f.Name: p}
		if _, err := s.f.Policy(s.section(t, map[string]any{"no_such_member": 1})); err == nil {
			t.Error("a policy with a member that does not exist is accepted")
		}
	}
	if s.f.Open != nil && s.e.Device != nil {
		var err error
		if attester, err = s.f.Open(t.Context(), attestation.DeviceOptions{
			Section: s.section(t, s.e.Device), Clock: s.Clock}); err != nil {
			t.Fatal(err)
		}
		r.SPKI = tik(t, attester)
	}
	ev, err := attester.Attest(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	affirmed(t, appraise(t, v, r, ev.CMW), s.Clock())
}

func (s *suite) section(t *testing.T, v any) *attestation.Section {
	t.Helper()
	text, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	section, err := attestation.NewSection("section.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	return section
}

// value is the CMW of a usual request, taken apart.
func (s *suite) value(t *testing.T) (*attestation.CMW, *negotiation.EvidenceRequest) {
	t.Helper()
	r := s.request(t)
	c, failure := attestation.ParseCMW(s.make(t, r).CMW, attestation.Limits{})
	if failure != nil {
		t.Fatal(failure)
	}
	return c, r
}

// leaves are the records of a CMW.
func leaves(c *attestation.CMW) []*attestation.CMW {
	if !c.IsCollection() {
		return []*attestation.CMW{c}
	}
	var list []*attestation.CMW
	for _, m := range c.Members {
		list = append(list, leaves(m.CMW)...)
	}
	return list
}

// with judges the CMW with one of its values replaced.
func (s *suite) with(t *testing.T, c, leaf *attestation.CMW, r *negotiation.EvidenceRequest,
	value []byte) *negotiation.Verdict {
	t.Helper()
	old := leaf.Value
	defer func() { leaf.Value = old }()
	leaf.Value = value
	payload, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return appraise(t, s.verifier(), r, payload)
}

func (s *suite) truncated(t *testing.T) {
	c, r := s.value(t)
	payload, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for n := range payload {
		refused(t, appraise(t, s.verifier(), r, payload[:n]))
	}
	for _, leaf := range leaves(c) {
		for _, n := range spread(len(leaf.Value), s.Flips) {
			if n > 0 { // a CMW has no empty value
				refused(t, s.with(t, c, leaf, r, leaf.Value[:n]))
			}
		}
	}
}

// spread are at most limit numbers below n, evenly.
func spread(n, limit int) (list []int) {
	step := (n + limit - 1) / limit
	for i := 0; i < n; i += max(step, 1) {
		list = append(list, i)
	}
	return list
}

func (s *suite) flipped(t *testing.T) {
	c, r := s.value(t)
	for _, leaf := range leaves(c) {
		unsigned := func(int) bool { return false }
		positions := spread(len(leaf.Value), s.Flips)
		if !c.IsCollection() {
			fields := s.read(t, c)
			unsigned = func(i int) bool {
				return slices.ContainsFunc(fields, func(f attestation.Field) bool {
					return f.Unsigned && i >= f.Start && i < f.End
				})
			}
			for _, f := range fields {
				if f.End > f.Start {
					positions = append(positions, f.Start, f.End-1)
				}
			}
		}
		for _, i := range positions {
			changed := bytes.Clone(leaf.Value)
			changed[i] ^= 0x21
			verdict := s.with(t, c, leaf, r, changed)
			if unsigned(i) {
				continue
			}
			if verdict.Failure == "" {
				t.Errorf("octet %d may be %02x instead of %02x, and no field says that nothing signs it", i,
					changed[i], leaf.Value[i])
			}
		}
	}
}

// read are the fields of a record.
func (s *suite) read(t *testing.T, c *attestation.CMW) []attestation.Field {
	t.Helper()
	reading, failure := s.f.Read(c)
	if failure != nil {
		t.Fatal(failure)
	}
	if reading.Fields == nil {
		return nil
	}
	return reading.Fields()
}

func (s *suite) trailing(t *testing.T) {
	c, r := s.value(t)
	payload, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 16, 1000} {
		refused(t, appraise(t, s.verifier(), r, append(bytes.Clone(payload), make([]byte, n)...)), attls.FailMalformedCMW)
		for _, leaf := range leaves(c) {
			refused(t, s.with(t, c, leaf, r, append(bytes.Clone(leaf.Value), make([]byte, n)...)), attls.FailMalformedCMW)
		}
	}
}

func (s *suite) confused(t *testing.T) {
	c, r := s.value(t)
	software, verifier := attestation.Demo([]byte("another format"), s.Clock)
	other, err := software.Attest(t.Context(), &negotiation.EvidenceRequest{
		Scheme: software.Schemes()[0], Challenge: r.Challenge, SPKI: r.SPKI})
	if err != nil {
		t.Fatal(err)
	}
	v := s.verifier()
	v.Endorsements = append(slices.Clone(v.Endorsements), verifier.Endorsements...)
	v.References = append(slices.Clone(v.References), verifier.References...)
	if s.f.Name != attestation.EAT {
		refused(t, appraise(t, v, r, other.CMW), attls.FailFormatMismatch, attls.FailMalformedCMW)
		tokens, failure := attestation.ParseCMW(other.CMW, attestation.Limits{})
		if failure != nil {
			t.Fatal(failure)
		}
		for _, leaf := range leaves(c) {
			refused(t, s.with(t, c, leaf, r, tokens.Members[0].CMW.Value), attls.FailMalformedCMW, attls.FailFormatMismatch)
		}
	}
	for _, typ := range []profile.Format{{ContentFormat: 65000}, {MediaType: "application/vnd.example.other"}} {
		under := *r
		under.Scheme.Format = typ
		payload, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		refused(t, appraise(t, v, &under, payload), attls.FailFormatMismatch)
	}
}

func (s *suite) junk(t *testing.T) {
	c, r := s.value(t)
	const size = 1 << 16
	stream := make([]byte, 0, size)
	for block := sha256.Sum256(nil); len(stream) < size; block = sha256.Sum256(block[:]) {
		stream = append(stream, block[:]...)
	}
	v := s.verifier()
	v.Limits.Size = 2 * size
	for name, b := range map[string][]byte{"zeros": make([]byte, size), "ones": bytes.Repeat([]byte{0xff}, size),
		"arrays in arrays": bytes.Repeat([]byte{0x81}, size), "maps in maps": bytes.Repeat([]byte{0xa1}, size),
		"tags before tags": bytes.Repeat([]byte{0xd2}, size), "braces": bytes.Repeat([]byte("{"), size),
		"SEQUENCE": bytes.Repeat([]byte{0x30, 0x80}, size/2), "random octets": stream} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			refused(t, appraise(t, v, r, b))
			for _, leaf := range leaves(c) {
				refused(t, s.with(t, c, leaf, r, b))
				refused(t, s.with(t, c, leaf, r, append(bytes.Clone(leaf.Value[:len(leaf.Value)/2]), b...)))
			}
		}()
		select {
		case <-done:
		case <-time.After(time.Minute): // not a measurement: a reader that does not end
			t.Fatalf("%s: no verdict in a minute", name)
		}
	}
}

func (s *suite) fields(t *testing.T) {
	c, _ := s.value(t)
	if c.IsCollection() {
		return
	}
	list := s.read(t, c)
	if len(list) == 0 {
		t.Error("the reader shows no field")
	}
	seen := map[string]bool{}
	for _, f := range list {
		if f.Start < 0 || f.Start > f.End || f.End > len(c.Value) || f.Name == "" {
			t.Errorf("the field %q is at octets %d to %d of %d", f.Name, f.Start, f.End, len(c.Value))
		}
		if seen[f.Name] {
			t.Errorf("two fields are called %q", f.Name)
		}
		seen[f.Name] = true
	}
}

// ModuleDir is the folder with the source of a module that go.mod requires, for tests
// on the samples in it. It asks the go command; without one the test is skipped.
func ModuleDir(t *testing.T, path string) string {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skipf("the samples of %s are found with the go command: %v", path, err)
	}
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", path).Output()
	if err != nil {
		t.Fatalf("go list -m %s: %v", path, err)
	}
	return strings.TrimSpace(string(out))
}
