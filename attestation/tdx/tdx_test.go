package tdx

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"attls"
	"attls/attestation"
	"attls/attestation/roottest"
	"attls/attestation/tsm"
	"attls/extensions/profile"
	"attls/internal/seeds"
	"attls/negotiation"

	"github.com/google/go-configfs-tsm/configfs/configfsi"
	"github.com/google/go-configfs-tsm/configfs/faketsm"
	"github.com/google/go-tdx-guest/testing/testdata"
	"go.yaml.in/yaml/v3"
)

func TestRoot(t *testing.T) { roottest.Run(t, Format(), roottest.Options{Flips: 600}) }

var (
	challenge = bytes.Repeat([]byte{0xa5}, 64)
	now       = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	seed      = []byte("seed")
)

// bench is an emulated TD, its policy, and what it is asked.
type bench struct {
	authority *authority
	device    *device
	policy    Policy
	request   negotiation.EvidenceRequest
	at        time.Time
}

var emulation = sync.OnceValues(func() (*attestation.Emulation, error) {
	return emulate(context.Background(), attestation.EmulatorOptions{Seed: seed})
})

var emulated = sync.OnceValues(func() (*authority, error) { return newAuthority(seed) })

func newBench(t testing.TB) *bench {
	t.Helper()
	e, err := emulation()
	if err != nil {
		t.Fatal(err)
	}
	a, err := emulated()
	if err != nil {
		t.Fatal(err)
	}
	d, p := *e.Device.(*device), e.Policy.(Policy)
	d.Measurements, p.MinimumTCB, p.Measurements = maps.Clone(d.Measurements), maps.Clone(p.MinimumTCB),
		maps.Clone(p.Measurements)
	return &bench{a, &d, p,
		negotiation.EvidenceRequest{Scheme: negotiation.Scheme{Format: profile.Format{MediaType: tsm.MediaTypeCBOR},
			Credential: profile.KindX509},
			Challenge: challenge, SPKI: []byte("a key"), KeyBound: true}, now}
}

func (b *bench) evidence(t testing.TB) []byte {
	return b.changed(t, func([]byte) {}, func([]byte) {})
}

// changed signs the quote after a change of its body, and of the report on the quoting
// enclave.
func (b *bench) changed(t testing.TB, body, enclave func([]byte)) []byte {
	t.Helper()
	x, r := b.device.body(challenge), b.device.report()
	body(x)
	enclave(r)
	v, err := b.device.quote(x, r)
	if err != nil {
		t.Fatal(err)
	}
	return b.wrapped(t, v)
}

func (b *bench) wrapped(t testing.TB, quote []byte) []byte {
	return b.report(t, &tsm.Report{Provider: Provider + "\n", Out: quote})
}

func (b *bench) report(t testing.TB, r *tsm.Report) []byte {
	t.Helper()
	v, err := r.Encode(profile.Format{MediaType: tsm.MediaTypeCBOR})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (b *bench) judge(t *testing.T, value []byte) *negotiation.Verdict {
	t.Helper()
	return roottest.Judge(t, Format(), b.policy, b.at, &b.request, value)
}

// put writes a field of the body.
func put(name string, v ...byte) func(*testing.T, *bench) []byte {
	return func(t *testing.T, b *bench) []byte {
		return b.changed(t, func(body []byte) {
			for _, p := range fixed {
				if p.name == name {
					copy(body[p.start:p.end], v)
				}
			}
		}, func([]byte) {})
	}
}

// enclave writes octets of the report on the quoting enclave.
func enclave(at int, v ...byte) func(*testing.T, *bench) []byte {
	return func(t *testing.T, b *bench) []byte {
		return b.changed(t, func([]byte) {}, func(r []byte) { copy(r[at:], v) })
	}
}

// with changes what judges.
func with(change func(*bench)) func(*testing.T, *bench) []byte {
	return func(t *testing.T, b *bench) []byte {
		change(b)
		return b.evidence(t)
	}
}

// says judges by other collateral.
func says(w answers) func(*testing.T, *bench) []byte {
	return func(t *testing.T, b *bench) []byte {
		c, err := b.authority.collateral(w)
		if err != nil {
			t.Fatal(err)
		}
		b.policy.Collateral = c
		return b.evidence(t)
	}
}

// octets changes the quote after it was signed.
func octets(change func([]byte) []byte) func(*testing.T, *bench) []byte {
	return func(t *testing.T, b *bench) []byte {
		v, err := b.device.quote(b.device.body(challenge), b.device.report())
		if err != nil {
			t.Fatal(err)
		}
		return b.wrapped(t, change(v))
	}
}

// reissue makes another PCK certificate for the same key.
func (b *bench) reissue(t *testing.T, change func(*x509.Certificate)) {
	t.Helper()
	extension, err := sgxExtension(ppid(seed))
	if err != nil {
		t.Fatal(err)
	}
	template := pckTemplate(extension)
	change(template)
	x, err := certify(template, 3, b.authority.pckKey, b.authority.platform, b.authority.platformKey)
	if err != nil {
		t.Fatal(err)
	}
	b.device.Certificates = slices.Clone(b.device.Certificates)
	b.device.Certificates[0] = x
}

// another is an emulator of another seed.
func another(t *testing.T) (*device, Policy) {
	t.Helper()
	e, err := emulate(t.Context(), attestation.EmulatorOptions{Seed: []byte("another seed")})
	if err != nil {
		t.Fatal(err)
	}
	return e.Device.(*device), e.Policy.(Policy)
}

// TestRefused: what is wrong with a quote, or with what a policy expects, has its own
// failure.
func TestRefused(t *testing.T) {
	for _, test := range []struct {
		name  string
		value func(*testing.T, *bench) []byte
		want  attls.Failure
		text  string
	}{
		{"REPORTDATA of another connection", put("REPORTDATA", 1), attls.FailBinderMismatch, "REPORTDATA"},
		{"the challenge of 32 octets is right and the tail is not zero",
			with(func(b *bench) {
				b.request.Challenge, b.request.Fit = challenge[:32],
					profile.FitPadRight
			}), attls.FailBinderMismatch, "REPORTDATA"},
		{"a TD that the host may debug", put("TDATTRIBUTES", 1), attls.FailAppraisal, "debug"},
		{"another bit of TUD", put("TDATTRIBUTES", 2), attls.FailAppraisal, "debug"},
		{"a TD that may migrate", put("TDATTRIBUTES", 0, 0, 0, 0x30), attls.FailAppraisal, "tdAttributes"},
		{"features of the CPU that must be there", put("XFAM", 0), attls.FailAppraisal, "xfam"},
		{"another MRTD", put("MRTD", 1), attls.FailAppraisal, "mrtd"},
		{"another RTMR2", put("RTMR2", 1), attls.FailAppraisal, "rtmr2"},
		{"MRCONFIGID other than the reference value",
			with(func(b *bench) { b.policy.Measurements["mrconfigid"] = []attestation.Octets{challenge[:48]} }),
			attls.FailAppraisal, "mrconfigid"},
		{"a quoting enclave of somebody else", enclave(128, 1), attls.FailAppraisal, "MRSIGNER"},
		{"a quoting enclave with another product", enclave(256, 9), attls.FailAppraisal, "ISV PRODID"},
		{"a quoting enclave in debug mode", enclave(48, 2), attls.FailAppraisal, "Attributes"},
		{"a quoting enclave that is too old", enclave(258, 1), attls.FailAppraisal, "QE Identity"},
		{"an older SEAM module", put("TEE_TCB_SVN", 4), attls.FailAppraisal, "TCB level"},
		{"a SEAM module of a version that TCB info does not know", put("TEE_TCB_SVN", 5, 1), attls.FailAppraisal,
			"TDX_01"},
		{"a SEAM module other than its identity", func(t *testing.T, b *bench) []byte {
			says(answers{module: strings.Repeat("01", 48)})(t, b)
			return put("TEE_TCB_SVN", 5, 1)(t, b)
		}, attls.FailAppraisal, "not those of TDX_01"},
		{"a SEAM module of somebody else", put("MRSIGNERSEAM", 1), attls.FailAppraisal, "MRSIGNERSEAM"},
		{"the TCB is out of date", says(answers{status: "OutOfDate"}), attls.FailAppraisal, "OutOfDate"},
		{"the TCB needs hardening of software", says(answers{status: "SWHardeningNeeded"}), attls.FailAppraisal,
			"SWHardeningNeeded"},
		{"the TCB needs another configuration", says(answers{status: "ConfigurationNeeded"}), attls.FailAppraisal,
			"ConfigurationNeeded"},
		{"the TCB is revoked", says(answers{status: "Revoked"}), attls.FailAppraisal, "Revoked"},
		{"the quoting enclave is out of date", says(answers{qeStatus: "OutOfDate"}), attls.FailAppraisal, "OutOfDate"},
		{"the quoting enclave is revoked", says(answers{qeStatus: "Revoked"}), attls.FailAppraisal, "Revoked"},
		{"a TCB status that does not exist", says(answers{status: "Fine"}), attls.FailAppraisal, "Fine"},
		{"collateral that has expired", says(answers{next: now}), attls.FailAppraisal, "the TCB info holds from"},
		{"collateral of the future", says(answers{issued: now.Add(time.Hour)}), attls.FailAppraisal,
			"the TCB info holds from"},
		{"collateral of too low an evaluation number", with(func(b *bench) { b.policy.MinimumTCB["evaluation"]++ }),
			attls.FailAppraisal, "evaluation number 17"},
		{"collateral of another quoting enclave", says(answers{signer: make([]byte, 32)}), attls.FailAppraisal,
			"MRSIGNER"},
		{"no TCB info for the platform", func(t *testing.T, b *bench) []byte {
			old := fmspc
			fmspc = []byte{1, 2, 3, 4, 5, 6}
			defer func() { fmspc = old }()
			return says(answers{})(t, b)
		}, attls.FailAppraisal, "no TCB info"},
		{"collateral that somebody else signed", func(t *testing.T, b *bench) []byte {
			_, p := another(t)
			b.policy.Collateral.TCBInfo = p.Collateral.TCBInfo
			return b.evidence(t)
		}, attls.FailAppraisal, "signing certificate"},
		{"collateral under a root that is not trusted", func(t *testing.T, b *bench) []byte {
			_, p := another(t)
			crls := b.policy.Collateral.CRLs
			b.policy.Collateral = p.Collateral
			b.policy.Collateral.CRLs = crls
			return b.evidence(t)
		}, attls.FailAppraisal, "signing certificate"},
		{"a TCB info that was changed", with(func(b *bench) {
			b.policy.Collateral.TCBInfo = []string{strings.Replace(b.policy.Collateral.TCBInfo[0], `"pcesvn":13`,
				`"pcesvn":12`, 1)}
		}), attls.FailAppraisal, "signing certificate"},
		{"a TCB info with a second body beside the signed one", with(func(b *bench) {
			b.policy.Collateral.TCBInfo = []string{strings.Replace(b.policy.Collateral.TCBInfo[0], `"signature"`,
				`"TCBINFO":{},"signature"`, 1)}
		}), attls.FailAppraisal, "TCBINFO"},
		{"a QE identity that is missing", with(func(b *bench) { b.policy.Collateral.QEIdentity = "" }),
			attls.FailAppraisal, "belong together"},
		{"a PCK that was revoked", says(answers{revoked: map[string]int64{namePlatform: 3}}), attls.FailAppraisal,
			"was revoked"},
		{"the authority of PCKs was revoked", says(answers{revoked: map[string]int64{nameRoot: 2}}),
			attls.FailAppraisal, "was revoked"},
		{"the signer of collateral was revoked", says(answers{revoked: map[string]int64{nameRoot: 4}}),
			attls.FailAppraisal, "was revoked"},
		{"no CRL of PCKs", with(func(b *bench) { b.policy.Collateral.CRLs = b.policy.Collateral.CRLs[:1] }),
			attls.FailAppraisal, "no CRL is signed by"},
		{"security versions below the minimum: tdx_module",
			with(func(b *bench) { b.policy.MinimumTCB["tdx_module"] = 6 }), attls.FailAppraisal, "tdx_module"},
		{"security versions below the minimum: qe", with(func(b *bench) { b.policy.MinimumTCB["qe"] = 9 }),
			attls.FailAppraisal, "qe"},
		{"security versions below the minimum: pce", with(func(b *bench) { b.policy.MinimumTCB["pce"] = 14 }),
			attls.FailAppraisal, "pce"},
		{"another platform than those of the policy",
			with(func(b *bench) {
				b.policy.Instances = []attestation.Octets{make([]byte,
					16)}
			}), attls.FailAppraisal, "does not list the platform"},
		{"the REPORTDATA of the quoting enclave is not about the key", func(t *testing.T, b *bench) []byte {
			public, err := b.authority.quotingKey.PublicKey.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			v, err := b.device.assemble(b.device.body(challenge), b.device.report(), public[1:])
			if err != nil {
				t.Fatal(err)
			}
			return b.wrapped(t, v)
		}, attls.FailAppraisal, "SHA 256"},
		{"a key that the quoting enclave did not endorse", func(t *testing.T, b *bench) []byte {
			d, _ := another(t)
			b.device.PCK = d.PCK
			return b.evidence(t)
		}, attls.FailAppraisal, "QE report"},
		{"a quote of another emulator", func(t *testing.T, b *bench) []byte {
			d, _ := another(t)
			b.device = d
			return b.evidence(t)
		}, attls.FailAppraisal, "does not verify under"},
		{"a root with the name of ours and another key", func(t *testing.T, b *bench) []byte {
			d, _ := another(t)
			b.device.Certificates = attestation.Certificates{b.device.Certificates[0], b.device.Certificates[1],
				d.Certificates[2]}
			return b.evidence(t)
		}, attls.FailAppraisal, "does not verify under"},
		{"the root of Intel",
			with(func(b *bench) {
				b.policy.TrustAnchors, b.policy.VendorRoots = nil,
					[]string{"intel-sgx"}
			}), attls.FailAppraisal, "does not verify under"},
		{"no trust anchors", with(func(b *bench) { b.policy.TrustAnchors = nil }), attls.FailAppraisal,
			"under 0 trust anchors"},
		{"the zero policy", with(func(b *bench) { b.policy = Policy{} }), attls.FailAppraisal, ""},
		{"certificates that have expired", with(func(b *bench) { b.at = notAfter.Add(time.Hour) }), attls.FailAppraisal,
			"expired"},
		{"certificates that do not hold yet", with(func(b *bench) { b.at = notBefore.Add(-time.Hour) }),
			attls.FailAppraisal, "not yet valid"},
		{"a PCK that has expired", func(t *testing.T, b *bench) []byte {
			b.reissue(t, func(x *x509.Certificate) { x.NotBefore, x.NotAfter = notBefore, now.Add(-time.Hour) })
			return b.evidence(t)
		}, attls.FailAppraisal, "expired"},
		{"a PCK with another name", func(t *testing.T, b *bench) []byte {
			b.reissue(t, func(x *x509.Certificate) { x.Subject = subject("another name") })
			return b.evidence(t)
		}, attls.FailAppraisal, "another name"},
		{"a PCK without the extension of its platform", func(t *testing.T, b *bench) []byte {
			b.reissue(t, func(x *x509.Certificate) { x.ExtraExtensions = nil })
			return b.evidence(t)
		}, attls.FailMalformedCMW, "pck_certificate_chain"},
		{"a key that nothing attests", with(func(b *bench) { b.request.KeyBound = false }), attls.FailAppraisal,
			"nothing in this Evidence attests the key"},
		{"version 5", put("version", 5), attls.FailMalformedCMW, "version 5"},
		{"version 3", put("version", 3), attls.FailMalformedCMW, "version 3"},
		{"a quote of SGX", put("tee_type", 0), attls.FailMalformedCMW, "TEE"},
		{"a key of P-384", put("att_key_type", 3), attls.FailMalformedCMW, "key type"},
		{"an octet after the end", octets(func(b []byte) []byte { return append(b, 0) }), attls.FailMalformedCMW,
			"signature data"},
		{"an octet after the end that the length counts", octets(func(b []byte) []byte {
			binary.LittleEndian.PutUint32(b[632:], uint32(len(b)-signedData+1))
			return append(b, 0)
		}), attls.FailMalformedCMW, "certification data"},
		{"authentication data that do not end",
			octets(func(b []byte) []byte {
				b[1218], b[1219] = 0xff,
					0xff
				return b
			}), attls.FailMalformedCMW, "authentication data"},
		{"certificates that do not fill their length",
			octets(func(b []byte) []byte { b[authData+len(authentication)+2]--; return b }), attls.FailMalformedCMW,
			"certificates"},
		{"a quote of 1219 octets", octets(func(b []byte) []byte { return b[:authData-1] }), attls.FailMalformedCMW,
			"1219 octets"},
		{"two certificates instead of three", func(t *testing.T, b *bench) []byte {
			b.device.Certificates = b.device.Certificates[:2]
			return b.evidence(t)
		}, attls.FailMalformedCMW, "certificate 3"},
		{"a TSM report of SEV-SNP", func(t *testing.T, b *bench) []byte {
			return b.report(t, &tsm.Report{Provider: "sev_guest\n", Out: make([]byte, 1184)})
		}, attls.FailFormatMismatch, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t)
			v := b.judge(t, test.value(t, b))
			if failure, reason := v.Refusal(b.at); failure != test.want || !strings.Contains(reason, test.text) {
				t.Errorf("%s (%s), want %s and %q; %+v", failure, reason, test.want, test.text, v.Checks)
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
		{"as it is", func(t *testing.T, b *bench) []byte { return b.evidence(t) }},
		{"any platform", with(func(b *bench) { b.policy.Instances = nil })},
		{"debug", func(t *testing.T, b *bench) []byte {
			b.policy.Debug = true
			return put("TDATTRIBUTES", 1)(t, b)
		}},
		{"a SEAM module with an identity of its own", func(t *testing.T, b *bench) []byte {
			says(answers{module: strings.Repeat("00", 48)})(t, b)
			return put("TEE_TCB_SVN", 5, 1)(t, b)
		}},
		{"newer than the collateral wants", put("TEE_TCB_SVN", 9)},
		{"MRCONFIGID with its reference value",
			with(func(b *bench) { b.policy.Measurements["mrconfigid"] = []attestation.Octets{make([]byte, 48)} })},
		{"TCB infos of other platforms besides", func(t *testing.T, b *bench) []byte {
			old := fmspc
			fmspc = []byte{1, 2, 3, 4, 5, 6}
			c, err := b.authority.collateral(answers{})
			fmspc = old
			if err != nil {
				t.Fatal(err)
			}
			b.policy.Collateral.TCBInfo = append(slices.Clone(c.TCBInfo), b.policy.Collateral.TCBInfo...)
			return b.evidence(t)
		}},
		{"a key that nothing attests, where the policy accepts it",
			with(func(b *bench) { b.request.KeyBound, b.policy.UnattestedKey = false, true })},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t)
			v := b.judge(t, test.value(t, b))
			if failure, reason := v.Refusal(now); failure != "" {
				t.Errorf("%s (%s); %+v", failure, reason, v.Checks)
			}
		})
	}
}

// TestUnchecked: what a policy does not say is not appraised; the verdict says so and
// is not affirming. A quoting enclave of anybody passes without collateral, and with
// nothing worse than that.
func TestUnchecked(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Policy)
		value  func(*testing.T, *bench) []byte
		text   string
	}{
		{"no CRLs", func(p *Policy) { p.Collateral.CRLs = nil }, with(func(*bench) {}), "no CRLs"},
		{"no collateral", func(p *Policy) { p.Collateral = Collateral{} }, with(func(*bench) {}),
			"TCB and QE not appraised"},
		{"no collateral but CRLs", func(p *Policy) { p.Collateral = Collateral{CRLs: p.Collateral.CRLs} },
			with(func(*bench) {}), "TCB and QE not appraised"},
		{"no collateral, and a quoting enclave of somebody else", func(p *Policy) { p.Collateral = Collateral{} },
			enclave(128, 1), "TCB and QE not appraised"},
		{"no MRTD", func(p *Policy) { delete(p.Measurements, "mrtd") }, with(func(*bench) {}),
			"no reference value of mrtd"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t)
			test.change(&b.policy)
			v := b.judge(t, test.value(t, b))
			if failure, reason := v.Refusal(now); failure != attls.FailAppraisal || !strings.Contains(reason,
				test.text) {
				t.Errorf("%s (%s); %+v", failure, reason, v.Checks)
			}
			for _, c := range v.Checks {
				if !c.OK && !strings.HasPrefix(c.Text, "not checked") && c.Name != attestation.CheckStatus {
					t.Errorf("%s: %s", c.Name, c.Text)
				}
			}
		})
	}
}

// TestSameSeed: two programs that emulate from one seed trust each other.
func TestSameSeed(t *testing.T) {
	b := newBench(t)
	e, err := emulate(t.Context(), attestation.EmulatorOptions{Seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	b.device = e.Device.(*device)
	if failure, reason := b.judge(t, b.evidence(t)).Refusal(now); failure != "" {
		t.Errorf("%s (%s)", failure, reason)
	}
}

// sample is the quote that the library carries, without the text that the library's
// authors put after its end.
var sample = testdata.RawQuote[:signedData+binary.LittleEndian.Uint32(testdata.RawQuote[632:])]

// TestGenuine: the quote that the library carries verifies under Intel's root where the
// policy names it, and is not affirmed without collateral.
func TestGenuine(t *testing.T) {
	genuine := func(t *testing.T) (*bench, *quote) {
		b := newBench(t)
		r, failure := read(&attestation.CMW{Format: b.request.Scheme.Format, Value: b.wrapped(t, sample)})
		if failure != nil {
			t.Fatal(failure)
		}
		q := r.Statement.(*quote)
		b.request.Challenge = q.field("REPORTDATA")
		b.policy = Policy{VendorRoots: []string{"intel-sgx"},
			Measurements: map[string][]attestation.Octets{"mrtd": {q.field("MRTD")}}}
		b.at = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
		return b, q
	}
	for _, test := range []struct {
		name   string
		change func(*bench)
		want   attls.Failure
		text   string
	}{
		{"without collateral", func(*bench) {}, attls.FailAppraisal, "TCB and QE not appraised"},
		{"collateral of another platform", func(b *bench) { b.policy.Collateral = newBench(t).policy.Collateral },
			attls.FailAppraisal, "no TCB info for platforms"},
		{"another challenge", func(b *bench) { b.request.Challenge = challenge }, attls.FailBinderMismatch,
			"REPORTDATA"},
		{"Intel not named", func(b *bench) {
			b.policy.VendorRoots, b.policy.TrustAnchors = nil,
				newBench(t).policy.TrustAnchors
		}, attls.FailAppraisal, "does not verify under"},
		{"after the end of its PCK", func(b *bench) { b.at = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC) },
			attls.FailAppraisal, "expired"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b, _ := genuine(t)
			test.change(b)
			v := b.judge(t, b.wrapped(t, sample))
			if failure, reason := v.Refusal(b.at); failure != test.want || !strings.Contains(reason, test.text) {
				t.Errorf("%s (%s), want %s and %q; %+v", failure, reason, test.want, test.text, v.Checks)
			}
		})
	}
	t.Run("with the text after its end", func(t *testing.T) {
		b, _ := genuine(t)
		if v := b.judge(t, b.wrapped(t, testdata.RawQuote)); v.Failure != attls.FailMalformedCMW {
			t.Errorf("%s (%s)", v.Failure, v.Reason)
		}
	})
	t.Run("every other check succeeds", func(t *testing.T) {
		b, q := genuine(t)
		for _, c := range b.judge(t, b.wrapped(t, sample)).Checks {
			if !c.OK && c.Name != "revocation" && c.Name != "tcb" {
				t.Errorf("%s: %s", c.Name, c.Text)
			}
		}
		root, _ := pem.Decode(readFile(t, "verify/trusted_root.pem"))
		fingerprint := sha256.Sum256(root.Bytes)
		if got := hex.EncodeToString(fingerprint[:]); got != vendorRoots["intel-sgx"] || !bytes.Equal(root.Bytes,
			q.chain.root.Raw) {
			t.Errorf("the root of Intel has the fingerprint %s", got)
		}
	})
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(roottest.ModuleDir(t, "github.com/google/go-tdx-guest"), name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// fake is a kernel whose TD is the emulated one.
func fake(b *bench, provider string) tsm.Client {
	sub := faketsm.ReportV7(0)
	answer := sub.ReadAttr
	sub.ReadAttr = func(e *faketsm.ReportEntry, attr string) ([]byte, error) {
		switch attr {
		case "provider":
			return []byte(provider), nil
		case "outblob":
			return b.device.quote(b.device.body(e.InAttrs["inblob"].Value), b.device.report())
		}
		return answer(e, attr)
	}
	return &faketsm.Client{Subsystems: map[string]configfsi.Client{"report": sub}}
}

// TestKernel: a TD asks configfs-tsm for its quotes.
func TestKernel(t *testing.T) {
	b := newBench(t)
	q := &attestation.Question{Type: b.request.Scheme.Format, Field: challenge}
	v, err := guest{fake(b, Provider+"\n")}.Make(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if failure, reason := b.judge(t, v).Refusal(now); failure != "" {
		t.Errorf("%s (%s)", failure, reason)
	}
	if _, err := (guest{fake(b, "sev_guest\n")}).Make(t.Context(), q); err == nil {
		t.Error("the Evidence of another root of trust is taken")
	}
}

// TestFiles: sections that could not work are refused where they are wrong; files with
// collateral serve as well as collateral in the policy.
func TestFiles(t *testing.T) {
	const root = "vendor_roots: [intel-sgx]\n"
	dir := t.TempDir()
	b := newBench(t)
	c := b.policy.Collateral
	chain, err := c.IssuerChain.MarshalYAML()
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string][]byte{"tcb.json": []byte(c.TCBInfo[0]), "qe.json": []byte(c.QEIdentity),
		"chain.pem": []byte(chain.(string)),
		"root.crl":  c.CRLs[0].Raw, "pck.crl": c.CRLs[1].Raw, "text": []byte("text"), "empty.json": []byte("{}")} {
		if err := os.WriteFile(filepath.Join(dir, name), v, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	policy := func(text string) (attestation.Policy, error) {
		s, err := attestation.NewSection(filepath.Join(dir, "policy.yaml"), []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return policyOf(s)
	}
	for _, test := range []struct{ name, text, want string }{
		{"sound", root, ""},
		{"files", root + "collateral_files: [tcb.json, qe.json, chain.pem, root.crl, pck.crl]\n", ""},
		{"no anchors", "debug: enabled\n", "policy.yaml:1: there are no trust anchors"},
		{"an unknown root", "vendor_roots: [intel]\n", `policy.yaml:1: there is no "intel"`},
		{"a platform that is too short", root + "instances: ['00']\n", "policy.yaml:2: a PPID of 1 octets"},
		{"an unknown component", root + "minimum_tcb: {seam: 1}\n", `policy.yaml:2: minimum_tcb: there is no "seam"`},
		{"an unknown measurement", root + "measurements: {rtmr4: ['00']}\n",
			`policy.yaml:2: nothing that is measured is called "rtmr4"`},
		{"a measurement of 32 octets", root + "measurements: {mrtd: ['" + strings.Repeat("00", 32) + "']}\n",
			"policy.yaml:2: mrtd: 32 octets"},
		{"collateral in part", root + "collateral_files: [tcb.json]\n", "belong together"},
		{"no file", root + "collateral_files: [none]\n", "policy.yaml:2: collateral_files"},
		{"a file that is nothing", root + "collateral_files: [text]\n", "policy.yaml:2: text: CRLs are"},
		{"an object that is nothing", root + "collateral_files: [empty.json]\n", "policy.yaml:2: empty.json: neither"},
		{"a file twice", root + "collateral_files: [tcb.json, qe.json, qe.json]\n", "a second QE identity"},
		{"a TCB info that is none", root + "collateral: {tcb_info: ['{}'], qe_identity: '{}'}\n",
			"policy.yaml:2: collateral"},
		{"an unknown member", root + "root: [x]\n", "policy.yaml:2"},
		{"an empty list", root + "instances: []\n", "policy.yaml:2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := policy(test.text); (err == nil) != (test.want == "") || err != nil &&
				!strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
	p, err := policy(root + "collateral_files: [tcb.json, qe.json, chain.pem, root.crl, pck.crl]\n")
	if err != nil {
		t.Fatal(err)
	}
	b.policy.Collateral = p.(Policy).Collateral
	if failure, reason := b.judge(t, b.evidence(t)).Refusal(now); failure != "" {
		t.Errorf("collateral of files: %s (%s)", failure, reason)
	}
	for member, change := range map[string]func(*device){
		"configfs-tsm": func(d *device) { *d = device{Source: tsm.Kernel} },
		"source":       func(d *device) { d.Source = tsm.Kernel },
		"key":          func(d *device) { d.Key.Signer = nil },
		"pck":          func(d *device) { d.PCK.Signer = nil },
		"certificates": func(d *device) { d.Certificates = d.Certificates[1:] },
		"measurements": func(d *device) { d.Measurements["mrtd"] = []byte{1} },
	} {
		t.Run("device: "+member, func(t *testing.T) {
			if _, err := os.Stat("/sys/kernel/config/tsm/report"); err == nil && member == "configfs-tsm" {
				t.Skip("this machine has configfs-tsm")
			}
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
			if _, err := open(t.Context(), attestation.DeviceOptions{Section: s}); err == nil ||
				!strings.Contains(err.Error(), member) {
				t.Errorf("%v", err)
			}
		})
	}
}

// FuzzRead: no octets make the reader or the judge panic, and no other header and body
// than those that were signed verify.
func FuzzRead(f *testing.F) {
	b := seeds.Once(func() *bench { return newBench(f) })
	v := seeds.Once(func() []byte { return b.evidence(f) })
	seeds.Add(f, func() {
		f.Add(v)
		f.Add(b.wrapped(f, sample))
	})
	f.Fuzz(func(t *testing.T, value []byte) {
		seeds.Input(t, value)
		got, failure := read(&attestation.CMW{Format: profile.Format{MediaType: tsm.MediaTypeCBOR}, Value: value})
		if failure != nil {
			return
		}
		got.Fields()
		q := got.Statement.(*quote)
		if failure := b.policy.signed(&attestation.Appraisal{At: now}, q); failure == nil && !bytes.Contains(v,
			q.octets[:632]) {
			t.Errorf("verifies: %x", value)
		}
	})
}
