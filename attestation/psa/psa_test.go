package psa

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
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
	"github.com/veraison/go-cose"
	"github.com/veraison/psatoken"
	"go.yaml.in/yaml/v3"
)

func TestRoot(t *testing.T) { roottest.Run(t, Format(), roottest.Options{}) }

var challenge = bytes.Repeat([]byte{0xa5}, 32)

func clock() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// bench is an emulated device, its policy, and what it is asked.
type bench struct {
	device  *device
	policy  Policy
	request negotiation.EvidenceRequest
}

func newBench(t *testing.T) *bench {
	t.Helper()
	e, err := emulate(t.Context(), attestation.EmulatorOptions{Seed: []byte("seed")})
	if err != nil {
		t.Fatal(err)
	}
	return &bench{e.Device.(*device), e.Policy.(Policy), negotiation.EvidenceRequest{
		Scheme: negotiation.Scheme{Format: profile.Format{ContentFormat: formatTFM}, Credential: profile.KindX509}, Challenge: challenge, SPKI: keyOf(t), KeyBound: true}}
}

func keyOf(t *testing.T) []byte {
	t.Helper()
	k, err := attestation.DeriveKey([]byte("handshake"), "")
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	return spki
}

// token makes the value of the CMW.
func (b *bench) token(t *testing.T) []byte {
	t.Helper()
	v, err := b.device.Make(t.Context(), &attestation.Question{Type: b.request.Scheme.Format, Field: b.request.Challenge})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// judge judges the value of a CMW under the type that was asked for.
func (b *bench) judge(t *testing.T, value []byte) *negotiation.Verdict {
	t.Helper()
	return roottest.Judge(t, Format(), b.policy, clock(), &b.request, value)
}

// changed signs the claims of a token after a change.
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
	r, failure := read(&attestation.CMW{Format: b.request.Scheme.Format, Value: b.token(t)})
	if failure != nil {
		t.Fatal(failure)
	}
	out, err := attestation.SignToken(b.device.Key.Signer, change(r.Statement.(*token).message.Payload()))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestRefused: what is wrong with a token, or with what a policy expects, has its own
// failure.
func TestRefused(t *testing.T) {
	lifecycle := func(v attestation.Whole) func(*testing.T, *bench) []byte {
		return func(t *testing.T, b *bench) []byte { b.device.Lifecycle = v; return b.token(t) }
	}
	for _, test := range []struct {
		name  string
		value func(*testing.T, *bench) []byte
		want  attls.Failure
		text  string
	}{
		{"a nonce of another connection", func(t *testing.T, b *bench) []byte {
			v := b.token(t)
			b.request.Challenge = bytes.Repeat([]byte{1}, 32)
			return v
		}, attls.FailBinderMismatch, "psa-nonce"},
		{"a nonce whose head alone is the challenge", func(t *testing.T, b *bench) []byte {
			b.request.Challenge = append(bytes.Clone(challenge), make([]byte, 16)...)
			v := b.token(t)
			b.request.Challenge, b.request.Fit = challenge, profile.FitPadRight
			return v
		}, attls.FailBinderMismatch, "psa-nonce"},
		{"a nonce of 33 octets", func(t *testing.T, b *bench) []byte {
			return b.changed(t, func(c attestation.Claims) { c.Set(int64(10), make([]byte, 33)) })
		}, attls.FailMalformedCMW, "length 33"},
		{"two nonces", func(t *testing.T, b *bench) []byte {
			return b.changed(t, func(c attestation.Claims) { c.Set(int64(10), [][]byte{challenge, make([]byte, 32)}) })
		}, attls.FailMalformedCMW, "2 nonces"},
		{"no nonce", func(t *testing.T, b *bench) []byte {
			return b.changed(t, func(c attestation.Claims) { delete(c, int64(10)) })
		}, attls.FailMalformedCMW, "missing"},
		{"debugging of the application", lifecycle(0x4000), attls.FailAppraisal, "non-psa-rot-debug (0x4000)"},
		{"debugging of the root of trust", lifecycle(0x50ff), attls.FailAppraisal, "recoverable-psa-rot-debug"},
		{"a decommissioned device", lifecycle(0x6000), attls.FailAppraisal, "decommissioned"},
		{"a device of which nobody knows the state", lifecycle(0), attls.FailAppraisal, "unknown"},
		{"a state that does not exist", func(t *testing.T, b *bench) []byte {
			return b.changed(t, func(c attestation.Claims) { c.Set(int64(2395), 0x3100) })
		}, attls.FailAppraisal, "0x3100"},
		{"a token of the profile before, under the type of RFC 9783", func(t *testing.T, b *bench) []byte {
			b.request.Scheme.Format = profile.Format{ContentFormat: formatLegacy}
			v := b.token(t)
			b.request.Scheme.Format = profile.Format{ContentFormat: formatTFM}
			return v
		}, attls.FailFormatMismatch, psatoken.Profile1Name},
		{"a token of RFC 9783 under the type of the profile before", func(t *testing.T, b *bench) []byte {
			v := b.token(t)
			b.request.Scheme.Format = profile.Format{ContentFormat: formatLegacy}
			return v
		}, attls.FailFormatMismatch, ProfileTFM},
		{"a token of the drafts under the type of RFC 9783", func(t *testing.T, b *bench) []byte {
			return b.changed(t, func(c attestation.Claims) { c.Set(keyProfile, ProfilePSA2) })
		}, attls.FailFormatMismatch, ProfilePSA2},
		{"an unknown profile", func(t *testing.T, b *bench) []byte {
			return b.changed(t, func(c attestation.Claims) { c.Set(keyProfile, "tag:example.org,2026:psa") })
		}, attls.FailMalformedCMW, "unknown profile"},
		{"a profile that is a number", func(t *testing.T, b *bench) []byte {
			return b.changed(t, func(c attestation.Claims) { c.Set(keyProfile, 1) })
		}, attls.FailMalformedCMW, "265"},
		{"a COSE_Sign1 without its tag", func(t *testing.T, b *bench) []byte { return b.token(t)[1:] }, attls.FailMalformedCMW, "tag"},
		{"a COSE_Mac0", func(t *testing.T, b *bench) []byte {
			v := b.token(t)
			v[0] = 0xd1
			return v
		}, attls.FailMalformedCMW, ""},
		{"an octet after the end", func(t *testing.T, b *bench) []byte { return append(b.token(t), 0) }, attls.FailMalformedCMW, ""},
		{"a claim that appears twice", func(t *testing.T, b *bench) []byte {
			return b.signed(t, func(payload []byte) []byte {
				twice := append([]byte{payload[0] + 1}, payload[1:]...)
				return append(twice, 0x0a, 0x58, 0x20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32)
			})
		}, attls.FailMalformedCMW, "twice"},
		{"a boot seed that is too short", func(t *testing.T, b *bench) []byte {
			return b.changed(t, func(c attestation.Claims) { c.Set(keyBootSeed, make([]byte, 7)) })
		}, attls.FailMalformedCMW, "psa-boot-seed"},
		{"a header parameter that is critical", func(t *testing.T, b *bench) []byte {
			signer, err := cose.NewSigner(cose.AlgorithmES256, b.device.Key.Signer)
			if err != nil {
				t.Fatal(err)
			}
			m := cose.NewSign1Message()
			b.signed(t, func(payload []byte) []byte { m.Payload = payload; return payload })
			m.Headers.Protected = cose.ProtectedHeader{cose.HeaderLabelAlgorithm: cose.AlgorithmES256, cose.HeaderLabelCritical: []any{"unknown"}, "unknown": 1}
			if err := m.Sign(rand.Reader, nil, signer); err != nil {
				t.Fatal(err)
			}
			v, err := m.MarshalCBOR()
			if err != nil {
				t.Fatal(err)
			}
			return v
		}, attls.FailAppraisal, "crit"},
		{"a signature of another key", func(t *testing.T, b *bench) []byte {
			k, err := attestation.DeriveKey([]byte("another"), "")
			if err != nil {
				t.Fatal(err)
			}
			b.device.Key.Signer = k
			return b.token(t)
		}, attls.FailAppraisal, "none of 1 listed keys"},
		{"a listed key that speaks for another instance", func(t *testing.T, b *bench) []byte {
			b.device.Instance = append([]byte{1}, make([]byte, 32)...)
			return b.token(t)
		}, attls.FailAppraisal, "which is the instance"},
		{"a listed key that speaks for another implementation", func(t *testing.T, b *bench) []byte {
			b.device.Implementation = make([]byte, 32)
			return b.token(t)
		}, attls.FailAppraisal, "which is of the implementation"},
		{"another measurement", func(t *testing.T, b *bench) []byte {
			b.device.Components[1].Value = make([]byte, 32)
			return b.token(t)
		}, attls.FailAppraisal, "PRoT"},
		{"a component that nobody expects", func(t *testing.T, b *bench) []byte {
			b.device.Components = append(b.device.Components, Component{Value: make([]byte, 32), Signer: make([]byte, 32)})
			return b.token(t)
		}, attls.FailAppraisal, "unnamed"},
		{"a component that is missing", func(t *testing.T, b *bench) []byte {
			b.device.Components = b.device.Components[:2]
			return b.token(t)
		}, attls.FailAppraisal, "ARoT"},
		{"a component of another signer", func(t *testing.T, b *bench) []byte {
			b.device.Components[2].Signer = make([]byte, 32)
			return b.token(t)
		}, attls.FailAppraisal, "is signed by"},
		{"a policy that trusts nobody", func(t *testing.T, b *bench) []byte {
			b.policy.Devices = nil
			return b.token(t)
		}, attls.FailAppraisal, "none of 0 listed keys"},
		{"the zero policy", func(t *testing.T, b *bench) []byte {
			b.policy = Policy{}
			return b.token(t)
		}, attls.FailAppraisal, ""},
		{"a key of the handshake that nothing attests", func(t *testing.T, b *bench) []byte {
			b.request.KeyBound = false
			return b.token(t)
		}, attls.FailAppraisal, "nothing in this Evidence attests the key"},
		{"a challenge for which there is no room", func(t *testing.T, b *bench) []byte {
			v := b.token(t)
			b.request.Challenge = make([]byte, 31)
			return v
		}, attls.FailBinderUndefined, "31 octets"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t)
			v := b.judge(t, test.value(t, b))
			if failure, _ := v.Refusal(clock()); failure != test.want || !strings.Contains(v.Reason, test.text) {
				t.Errorf("%s (%s), want %s and %q; %+v", failure, v.Reason, test.want, test.text, v.Checks)
			}
		})
	}
}

// TestAccepted: what a policy allows expressly is affirmed, and the types and profiles
// that belong together.
func TestAccepted(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*bench)
	}{
		{"as it is", func(*bench) {}},
		{"a state that the policy lists", func(b *bench) { b.device.Lifecycle, b.policy.Lifecycle = 0x4001, []string{"non-psa-rot-debug"} }},
		{"a device without an instance in the policy", func(b *bench) { b.policy.Devices[0].Instance = nil }},
		{"any signer", func(b *bench) { b.policy.Signers = nil }},
		{"an unattested key that the policy accepts", func(b *bench) { b.request.KeyBound, b.policy.UnattestedKey = false, true }},
		{"the type of the profile before", func(b *bench) { b.request.Scheme.Format = profile.Format{ContentFormat: formatLegacy} }},
		{"the type of the drafts", func(b *bench) { b.request.Scheme.Format = profile.Format{MediaType: mediaTypePSA2} }},
		{"the first type", func(b *bench) { b.request.Scheme.Format = profile.Format{MediaType: mediaTypeToken} }},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t)
			test.change(b)
			v := b.judge(t, b.token(t))
			if failure, reason := v.Refusal(clock()); failure != "" {
				t.Errorf("%s (%s)", failure, reason)
			}
		})
	}
}

// TestUnchecked: without reference values the software is not appraised, and the
// verdict says so and is not affirming.
func TestUnchecked(t *testing.T) {
	b := newBench(t)
	b.policy.Measurements = nil
	v := b.judge(t, b.token(t))
	if failure, reason := v.Refusal(clock()); failure != attls.FailAppraisal || !strings.Contains(reason, "lists no measurements") {
		t.Errorf("%s (%s), status %s", failure, reason, v.Status)
	}
}

// TestSamples: tokens of TF-M verify under their key, and a policy refuses what it
// does not expect of them.
func TestSamples(t *testing.T) {
	folder := filepath.Join(roottest.ModuleDir(t, "github.com/veraison/psatoken"), "testvectors", "tf-m")
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	block, _ := pem.Decode(read("public.pem"))
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, file string
		format     profile.Format
	}{
		{"PSA_IOT_PROFILE_1", "psa-iot-1_sign1.bin", profile.Format{ContentFormat: formatLegacy}},
		{"http://arm.com/psa/2.0.0", "psa-2_0_0_sign1.bin", profile.Format{MediaType: mediaTypePSA2}},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t)
			value := read(test.file)
			b.policy = Policy{Devices: []Device{{Key: attestation.PublicKey{PublicKey: key.(*ecdsa.PublicKey)}}}, Software: Software{Measurements: map[string][]attestation.Octets{}}}
			b.request.Scheme.Format, b.request.Challenge = test.format, make([]byte, 64)
			r, failure := readToken(test.format, value)
			if failure != nil {
				t.Fatal(failure)
			}
			for _, c := range r.components {
				v, err := c.GetMeasurementValue()
				if err != nil {
					t.Fatal(err)
				}
				name := componentName(c)
				b.policy.Measurements[name] = append(b.policy.Measurements[name], v)
			}
			b.policy.Lifecycle = []string{lifecycles.Name(r.lifecycle)}
			if failure, reason := b.judge(t, value).Refusal(clock()); failure != "" {
				t.Errorf("%s (%s)", failure, reason)
			}
			if lifecycles.Name(r.lifecycle) != "secured" {
				b.policy.Lifecycle = nil
				if failure, _ := b.judge(t, value).Refusal(clock()); failure != attls.FailAppraisal {
					t.Errorf("the state %#x: %s", r.lifecycle, failure)
				}
			}
			b.request.Challenge = challenge
			if failure, _ := b.judge(t, value).Refusal(clock()); failure != attls.FailBinderMismatch {
				t.Errorf("another challenge: %s", failure)
			}
		})
	}
	for _, name := range []string{"psa-iot-1_mac0.bin", "psa-2_0_0_mac0.bin"} {
		if _, failure := readToken(profile.Format{MediaType: mediaTypeToken}, read(name)); failure == nil || failure.Failure != attls.FailMalformedCMW {
			t.Errorf("%s: %v", name, failure)
		}
	}
}

func readToken(f profile.Format, value []byte) (*token, *attls.Error) {
	r, err := read(&attestation.CMW{Format: f, Value: value})
	if err != nil {
		return nil, err
	}
	return r.Statement.(*token), nil
}

// TestPolicyFiles: a section that says less than it seems is refused where it is
// wrong.
func TestPolicyFiles(t *testing.T) {
	const key = `key: "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeeupDov0UKZ1FXatRZmwet+TjaO7\nC9F9ADbtSaLQ/D+/zfqJVrVov9uGc+ZI2LWNkplVsUomwwgPNBF9lx1oZA==\n-----END PUBLIC KEY-----\n"`
	for _, test := range []struct{ name, text, want string }{
		{"sound", "devices:\n- " + key + "\n", ""},
		{"no device", "lifecycle: [secured]\n", "policy.yaml:1: no device is listed"},
		{"a device without a key", "devices:\n- instance: 01\n", "policy.yaml:2: device 1 has no key"},
		{"an instance that is too short", "devices:\n- " + key + "\n  instance: '01'\n", "device 1: instance"},
		{"an implementation that is too short", "devices:\n- " + key + "\n  implementation: '01'\n", "device 1: implementation"},
		{"an unknown state", "devices:\n- " + key + "\nlifecycle: [debug]\n", `policy.yaml:3: there is no state "debug"`},
		{"a measurement that is too short", "devices:\n- " + key + "\nmeasurements: {BL: ['00']}\n", "policy.yaml:3: BL"},
		{"a member that does not exist", "device: []\n", `did you mean "devices"`},
		{"an empty list", "devices: []\n", "policy.yaml:1"},
		{"null", "devices: null\n", "policy.yaml:1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := attestation.NewSection("policy.yaml", []byte(test.text))
			if err != nil {
				t.Fatal(err)
			}
			_, err = policyOf(s)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

// TestDeviceFiles: a device that could make no sound token is refused where it is
// wrong.
func TestDeviceFiles(t *testing.T) {
	b := newBench(t)
	for member, change := range map[string]func(*device){
		"key":            func(d *device) { d.Key.Signer = nil },
		"instance":       func(d *device) { d.Instance = d.Instance[1:] },
		"implementation": func(d *device) { d.Implementation = nil },
		"lifecycle":      func(d *device) { d.Lifecycle = 0x13000 },
		"components":     func(d *device) { d.Components = d.Components[:0] },
	} {
		t.Run(member, func(t *testing.T) {
			d := *b.device
			change(&d)
			if _, err := open(t.Context(), attestation.DeviceOptions{Section: section(t, d)}); err == nil || !strings.Contains(err.Error(), "device.yaml:") || !strings.Contains(err.Error(), member) {
				t.Errorf("%v", err)
			}
		})
	}
}

// FuzzRead: no octets make the reader panic, and what it reads is written as CBOR.
func FuzzRead(f *testing.F) {
	e := seeds.Once(func() *attestation.Emulation {
		e, err := emulate(context.Background(), attestation.EmulatorOptions{Seed: []byte("seed")})
		if err != nil {
			f.Fatal(err)
		}
		return e
	})
	seeds.Add(f, func() {
		for _, typ := range types {
			v, err := e.Device.(*device).Make(f.Context(), &attestation.Question{Type: typ.Forms()[0], Field: challenge})
			if err != nil {
				f.Fatal(err)
			}
			f.Add(v)
		}
	})
	f.Fuzz(func(t *testing.T, b []byte) {
		seeds.Input(t, b)
		for _, typ := range types {
			r, failure := read(&attestation.CMW{Format: typ.Forms()[0], Value: b})
			if failure != nil {
				continue
			}
			r.Fields()
			if err := cbor.Wellformed(b); err != nil {
				t.Error(err)
			}
			p := Policy{Devices: []Device{{Key: attestation.PublicKey{PublicKey: e.Device.(*device).Key.Public()}}}}
			_ = p.signed(r.Statement.(*token))
		}
	})
}

func section(t *testing.T, v any) *attestation.Section {
	t.Helper()
	text, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	s, err := attestation.NewSection("device.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
