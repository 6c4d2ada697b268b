package nitro

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"attls"
	"attls/attestation"
	"attls/attestation/roottest"
	"attls/extensions/profile"
	"attls/internal/seeds"
	"attls/negotiation"

	"github.com/fxamacker/cbor/v2"
	"github.com/hf/nitrite"
	"go.yaml.in/yaml/v3"
)

func TestRoot(t *testing.T) { roottest.Run(t, Format(), roottest.Options{Flips: 600}) }

var (
	challenge = bytes.Repeat([]byte{0xa5}, 32)
	now       = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

// bench is an emulated enclave, its policy, and what it is asked.
type bench struct {
	device  *device
	policy  Policy
	request negotiation.EvidenceRequest
	at      time.Time
}

func emulation(t testing.TB, seed string) *attestation.Emulation {
	t.Helper()
	e, err := emulate(t.Context(), attestation.EmulatorOptions{Seed: []byte(seed), Clock: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func newBench(t *testing.T) *bench {
	t.Helper()
	e := emulation(t, "seed")
	return &bench{e.Device.(*device), e.Policy.(Policy), negotiation.EvidenceRequest{
		Scheme: negotiation.Scheme{Format: profile.Format{MediaType: MediaType}, Credential: profile.KindX509}, Challenge: challenge, SPKI: spki(t, "tik")}, now}
}

func key(t testing.TB, use string) *ecdsa.PrivateKey {
	t.Helper()
	k, err := attestation.DeriveKeyOn(elliptic.P384(), []byte("handshake"), use)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func spki(t testing.TB, use string) []byte {
	t.Helper()
	b, err := x509.MarshalPKIXPublicKey(key(t, use).Public())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) document(t testing.TB) []byte {
	t.Helper()
	v, err := b.device.Make(t.Context(), &attestation.Question{Field: b.request.Challenge, SPKI: b.request.SPKI})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (b *bench) judge(t *testing.T, value []byte) *negotiation.Verdict {
	t.Helper()
	return roottest.Judge(t, Format(), b.policy, b.at, &b.request, value)
}

// changed signs the document after a change.
func (b *bench) changed(t *testing.T, change func(attestation.Claims)) []byte {
	t.Helper()
	return b.signed(t, func(payload []byte) []byte {
		c, err := attestation.ParseClaims(payload)
		if err != nil {
			t.Fatal(err)
		}
		change(c)
		return c.Encode()
	})
}

func (b *bench) signed(t *testing.T, change func([]byte) []byte) []byte {
	t.Helper()
	var s sign1
	if err := cbor.Unmarshal(b.document(t), &s); err != nil {
		t.Fatal(err)
	}
	out, err := attestation.SignToken(b.device.Key.Signer, change(s.Payload))
	if err != nil {
		t.Fatal(err)
	}
	return out[1:]
}

// set changes one field.
func set(name string, v any) func(*testing.T, *bench) []byte {
	return func(t *testing.T, b *bench) []byte {
		return b.changed(t, func(c attestation.Claims) { c.Set(name, v) })
	}
}

// without takes one field away.
func without(name string) func(*testing.T, *bench) []byte {
	return func(t *testing.T, b *bench) []byte {
		return b.changed(t, func(c attestation.Claims) { delete(c, name) })
	}
}

// TestRefused: what is wrong with a document, or with what a policy expects, has its
// own failure.
func TestRefused(t *testing.T) {
	debug := map[string]attestation.Octets{"pcr0": make([]byte, 48), "pcr1": make([]byte, 48), "pcr2": make([]byte, 48)}
	for _, test := range []struct {
		name  string
		value func(*testing.T, *bench) []byte
		want  attls.Failure
		text  string
	}{
		{"a nonce of another connection", set("nonce", make([]byte, 32)), attls.FailBinderMismatch, "nonce"},
		{"a nonce with more octets after the challenge", set("nonce", append(bytes.Clone(challenge), 0)), attls.FailBinderMismatch, "nonce"},
		{"no nonce", without("nonce"), attls.FailBinderMismatch, "holds no challenge"},
		{"a nonce that is null", set("nonce", nil), attls.FailBinderMismatch, "holds no challenge"},
		{"a nonce that is text", set("nonce", "text"), attls.FailMalformedCMW, "nonce"},
		{"a nonce that is too long", set("nonce", make([]byte, 513)), attls.FailMalformedCMW, "nonce"},
		{"user data that are too long", set("user_data", make([]byte, 513)), attls.FailMalformedCMW, "user_data"},
		{"another key", func(t *testing.T, b *bench) []byte { return set("public_key", spki(t, "another"))(t, b) }, attls.FailTIKMismatch, ""},
		{"a public key that is no SubjectPublicKeyInfo", set("public_key", []byte{4, 1, 2}), attls.FailMalformedCMW, "public_key"},
		{"no key, where the binder does not cover it either", without("public_key"), attls.FailAppraisal, "attests the key"},
		{"an enclave in debug mode", func(t *testing.T, b *bench) []byte {
			b.device.Registers = debug
			return b.document(t)
		}, attls.FailAppraisal, "debug mode"},
		{"an enclave in debug mode without the registers of the image", func(t *testing.T, b *bench) []byte {
			b.device.Registers = map[string]attestation.Octets{"pcr8": bytes.Repeat([]byte{1}, 48)}
			return b.document(t)
		}, attls.FailAppraisal, "debug mode"},
		{"another image", func(t *testing.T, b *bench) []byte {
			b.device.Registers["pcr0"] = bytes.Repeat([]byte{1}, 48)
			return b.document(t)
		}, attls.FailAppraisal, "register 0"},
		{"a register that is missing", func(t *testing.T, b *bench) []byte {
			delete(b.device.Registers, "pcr2")
			return b.document(t)
		}, attls.FailAppraisal, "no register 2"},
		{"another module", func(t *testing.T, b *bench) []byte {
			b.device.Module = "i-1-enc2"
			return b.document(t)
		}, attls.FailAppraisal, `does not list "i-1-enc2"`},
		{"a sound signature under another root", func(t *testing.T, b *bench) []byte {
			b.policy.TrustAnchors = emulation(t, "another").Policy.(Policy).TrustAnchors
			return b.document(t)
		}, attls.FailAppraisal, "trust anchors"},
		{"a signature of another key", func(t *testing.T, b *bench) []byte {
			b.device.Key.Signer = key(t, "another")
			return b.document(t)
		}, attls.FailAppraisal, "signature"},
		{"a leaf that another authority issued", func(t *testing.T, b *bench) []byte {
			other := emulation(t, "another").Device.(*device)
			b.device.Key, b.device.Certificates = other.Key, attestation.Certificates{other.Certificates[0], b.device.Certificates[1]}
			return b.document(t)
		}, attls.FailAppraisal, "does not verify"},
		{"no trust anchors", func(t *testing.T, b *bench) []byte {
			b.policy.TrustAnchors = nil
			return b.document(t)
		}, attls.FailAppraisal, "0 trust anchors"},
		{"the zero policy", func(t *testing.T, b *bench) []byte {
			b.policy = Policy{}
			return b.document(t)
		}, attls.FailAppraisal, ""},
		{"certificates that have expired", func(t *testing.T, b *bench) []byte {
			v := b.document(t)
			b.at = now.Add(after + time.Hour)
			return v
		}, attls.FailAppraisal, "expired"},
		{"certificates that do not hold yet", func(t *testing.T, b *bench) []byte {
			v := b.document(t)
			b.at = now.Add(-before - time.Hour)
			return v
		}, attls.FailAppraisal, "not yet valid"},
		{"a document of the future", set("timestamp", uint64(now.Add(time.Hour).UnixMilli())), attls.FailAppraisal, "after now"},
		{"a time of zero", set("timestamp", 0), attls.FailMalformedCMW, "timestamp"},
		{"a time out of all reach", set("timestamp", uint64(1)<<63), attls.FailMalformedCMW, "timestamp"},
		{"another digest", set("digest", "SHA256"), attls.FailMalformedCMW, "digest"},
		{"an empty module", set("module_id", ""), attls.FailMalformedCMW, "module_id"},
		{"no registers", set("pcrs", map[uint64][]byte{}), attls.FailMalformedCMW, "pcrs"},
		{"a register that does not exist", set("pcrs", map[uint64][]byte{32: make([]byte, 48)}), attls.FailMalformedCMW, "register 32"},
		{"a short register", set("pcrs", map[uint64][]byte{0: make([]byte, 47)}), attls.FailMalformedCMW, "47 octets"},
		{"no certificate", without("certificate"), attls.FailMalformedCMW, "certificate"},
		{"a certificate that is none", set("certificate", []byte{0x30, 0}), attls.FailMalformedCMW, "certificate"},
		{"a certificate that is too long", set("certificate", make([]byte, 1025)), attls.FailMalformedCMW, "1025 octets"},
		{"an empty bundle", set("cabundle", [][]byte{}), attls.FailMalformedCMW, "cabundle"},
		{"an empty certificate in the bundle", set("cabundle", [][]byte{{}}), attls.FailMalformedCMW, "cabundle[0]"},
		{"a field that appears twice", func(t *testing.T, b *bench) []byte {
			return b.signed(t, func(p []byte) []byte {
				return append(append([]byte{p[0] + 1}, p[1:]...), append([]byte("\x65nonce\x58\x20"), challenge...)...)
			})
		}, attls.FailMalformedCMW, "twice"},
		{"a tag", func(t *testing.T, b *bench) []byte { return append([]byte{0xd2}, b.document(t)...) }, attls.FailMalformedCMW, ""},
		{"another algorithm", func(t *testing.T, b *bench) []byte {
			return bytes.Replace(b.document(t), protected, []byte{0xa1, 0x01, 0x38, 0x23}, 1)
		}, attls.FailMalformedCMW, "ES384"},
		{"a header that nothing protects", func(t *testing.T, b *bench) []byte {
			return bytes.Replace(b.document(t), append(bytes.Clone(protected), 0xa0), append(bytes.Clone(protected), 0xa1, 0x04, 0x40), 1)
		}, attls.FailMalformedCMW, "header is not empty"},
		{"an octet after the end", func(t *testing.T, b *bench) []byte { return append(b.document(t), 0) }, attls.FailMalformedCMW, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t)
			v := b.judge(t, test.value(t, b))
			if failure, _ := v.Refusal(b.at); failure != test.want || !strings.Contains(v.Reason, test.text) {
				t.Errorf("%s (%s), want %s and %q; %+v", failure, v.Reason, test.want, test.text, v.Checks)
			}
		})
	}
}

// TestAccepted: what a policy allows expressly is affirmed.
func TestAccepted(t *testing.T) {
	for _, test := range []struct {
		name  string
		value func(*testing.T, *bench) []byte
	}{
		{"as it is", func(t *testing.T, b *bench) []byte { return b.document(t) }},
		{"any module", func(t *testing.T, b *bench) []byte {
			b.policy.Modules = nil
			return b.document(t)
		}},
		{"debug mode, where the policy accepts it", func(t *testing.T, b *bench) []byte {
			b.policy.Debug = true
			for name := range b.policy.Measurements {
				b.device.Registers[name], b.policy.Measurements[name] = make([]byte, 48), []attestation.Octets{make([]byte, 48)}
			}
			return b.document(t)
		}},
		{"a binder that covers the key, without a public key", func(t *testing.T, b *bench) []byte {
			b.request.KeyBound = true
			return without("public_key")(t, b)
		}},
		{"a key that nothing attests, where the policy accepts it", func(t *testing.T, b *bench) []byte {
			b.policy.UnattestedKey = true
			return without("public_key")(t, b)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t)
			if failure, reason := b.judge(t, test.value(t, b)).Refusal(now); failure != "" {
				t.Errorf("%s (%s)", failure, reason)
			}
		})
	}
}

// TestUnchecked: without reference values the image is not appraised, and the verdict
// says so and is not affirming.
func TestUnchecked(t *testing.T) {
	b := newBench(t)
	b.policy.Measurements = nil
	if failure, reason := b.judge(t, b.document(t)).Refusal(now); failure != attls.FailAppraisal || !strings.Contains(reason, "lists no measurements") {
		t.Errorf("%s (%s)", failure, reason)
	}
}

// TestLibraryRoot: the library's own root, that of AWS, is trusted only by a policy
// that names it.
func TestLibraryRoot(t *testing.T) {
	text, err := yaml.Marshal(map[string]any{"trust_anchors": nitrite.DefaultCARoots})
	if err != nil {
		t.Fatal(err)
	}
	s, err := attestation.NewSection("policy.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	p, err := policyOf(s)
	if err != nil || len(p.(Policy).TrustAnchors) != 1 {
		t.Fatalf("%v, %v", p, err)
	}
	b := newBench(t)
	b.policy.TrustAnchors = p.(Policy).TrustAnchors
	if failure, _ := b.judge(t, b.document(t)).Refusal(now); failure != attls.FailAppraisal {
		t.Errorf("an emulator under the root of AWS: %s", failure)
	}
}

// TestTooLong: a key that public_key has no room for is an error of the attester.
func TestTooLong(t *testing.T) {
	d := newBench(t).device
	for _, q := range []*attestation.Question{{Field: challenge, SPKI: make([]byte, 1025)}, {Field: make([]byte, 513)}} {
		if _, err := d.Make(t.Context(), q); err == nil {
			t.Errorf("%d octets of key, %d of nonce", len(q.SPKI), len(q.Field))
		}
	}
}

// TestFiles: sections that could not work are refused where they are wrong.
func TestFiles(t *testing.T) {
	anchors := func() string {
		text, err := yaml.Marshal(map[string]any{"trust_anchors": nitrite.DefaultCARoots})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}()
	for _, test := range []struct{ name, text, want string }{
		{"sound", anchors, ""},
		{"no anchors", "modules: [i-1]\n", "policy.yaml:1: there are no trust anchors"},
		{"a register that does not exist", anchors + "measurements: {pcr32: ['00']}\n", `no register "pcr32"`},
		{"a register by its number", anchors + "measurements: {'0': ['00']}\n", `no register "0"`},
		{"a register written in another way", anchors + "measurements: {pcr00: ['00']}\n", `no register "pcr00"`},
		{"a short value", anchors + "measurements: {pcr0: ['00']}\n", "pcr0: 1 octets"},
		{"an unknown word", anchors + "debug: maybe\n", "policy.yaml:"},
		{"an unknown member", anchors + "module: [x]\n", `did you mean "modules"`},
		{"an empty list", anchors + "modules: []\n", "policy.yaml:"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := attestation.NewSection("policy.yaml", []byte(test.text))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := policyOf(s); (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
	for member, change := range map[string]func(*device){
		"path":         func(d *device) { d.Path = "/dev/nsm" },
		"key":          func(d *device) { d.Key.Signer = nil },
		"certificates": func(d *device) { d.Certificates = d.Certificates[1:] },
		"module":       func(d *device) { d.Module = "" },
		"registers":    func(d *device) { d.Registers["pcr0"] = []byte{1} },
	} {
		t.Run("device: "+member, func(t *testing.T) {
			d := *newBench(t).device
			change(&d)
			text, err := yaml.Marshal(d)
			if err != nil {
				t.Fatal(err)
			}
			s, err := attestation.NewSection("device.yaml", text)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := open(t.Context(), attestation.DeviceOptions{Section: s}); err == nil || !strings.Contains(err.Error(), member) {
				t.Errorf("%v", err)
			}
		})
	}
}

// FuzzRead: no octets make the reader or the check of the signature panic.
func FuzzRead(f *testing.F) {
	e := seeds.Once(func() *attestation.Emulation { return emulation(f, "seed") })
	v := seeds.Once(func() []byte {
		v, err := e.Device.(*device).Make(context.Background(), &attestation.Question{Field: challenge, SPKI: spki(f, "tik")})
		if err != nil {
			f.Fatal(err)
		}
		return v
	})
	seeds.Add(f, func() { f.Add(v) })
	f.Fuzz(func(t *testing.T, b []byte) {
		seeds.Input(t, b)
		r, failure := read(&attestation.CMW{Value: b})
		if failure != nil {
			return
		}
		r.Fields()
		p := e.Policy.(Policy)
		if err := p.signed(&attestation.Appraisal{At: now}, r.Statement.(*document)); err == nil && !bytes.Equal(b, v) {
			t.Errorf("verifies: %x", b)
		}
	})
}
