package binder_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"attls"
	. "attls/extensions/profile/binder"
	"attls/extensions/profile/binder/bindertest"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func vectorInputs(t testing.TB) *bindertest.Recorded { return bindertest.Vectors(t) }

// programs are the binders of the revisions.
var programs = map[string]string{
	"tls-attestation-03": `channel = hash(CH..<CT(role))
map = cbor_map(1: within(nonce(role), 8, 64), 2: hash(spki(role)), 3: channel)
binder = hash(map)`,
	"tls-attestation-04": `early = derive_secret(early_secret, "e exp master", CH..CH)
channel = exporter(early, "attestation-binder", "", 32)
map = cbor_map(3: channel, 1: within(nonce(role), 8, 64), 2: hash(spki(role)))
binder = hash(map)`,
	"tls-attestation-07": `secret = derive_secret(handshake_secret, "h exp master", CH..SH)
binder = exporter(secret, "attestation-binder", nonce(role), len(nonce(role)))
sized = exporter(secret, "attestation-binder", nonce(role), attester.size)`,
	"early-attestation-00": `zero_main = extract(derive_secret(handshake_secret, "derived", ""), zero)
main = derive_secret(main_secret, per_role("c attestation main", "s attestation main"), CH..SH)
binder = expand_label(main, "attestation", spki(role), Hash.length)`,
	"early-attestation-03": `base = derive_secret(zero, per_role("c attestation base", "s attestation base"), per_role(CH..Fin(server), CH..EE))
binder = expand_label(base, "attestation", spki(role), Hash.length)`,
	"early-attestation-04": `base = expand_label(zero, "attestation base", hash(CH..SH), Hash.length)
binder = expand_label(base, "attestation", hash(spki(role)), Hash.length)
both = concat(base(client), binder(client), binder(server))`,
	"seat-expat": `value = exporter(exporter_secret, "Attestation", request_context(role), 32)
binder = hash(concat(spki(role), value))
with_nonce = hash(concat(request_context(role), spki(role), value))
other = exporter(exporter_secret, "Attestation Binding", request_context(role), 32)
other_binder = hash(concat(spki(role), other))`,
}

func program(t testing.TB, text string) *Program {
	t.Helper()
	var defs []Definition
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		name, expr, _ := strings.Cut(line, " = ")
		defs = append(defs, Definition{Name: name, Text: expr})
	}
	p, errs := Compile(defs, VariantRFC8446)
	if errs != nil {
		t.Fatal(errs)
	}
	return p
}

const server, client = attls.RoleServer, attls.RoleClient

// TestVectors computes the binder test vectors that were made for these drafts,
// intermediate values included.
func TestVectors(t *testing.T) {
	for _, v := range []struct {
		program, name string
		role          attls.Role
		without       Point
		want          string
	}{
		{"tls-attestation-03", "binder", server, PointCR, "26d9a4d7beff09be407f187683b7c9cd08e1cd1dc8146173021cde62343021c1"},
		{"tls-attestation-03", "binder", server, PointNone, "4e7dfaa9c491f7650225c3d022e31798053f8bab178089f09c54f5fd56bd257d"},
		{"tls-attestation-04", "early", server, PointNone, "3a90498511ad4ec2927fcd079fff6063d4f3bbfde1aba91f58ea5f808c176579"},
		{"tls-attestation-04", "channel", server, PointNone, "0e2fd2c635618d4ebea8304ce7167139de911ac5dd4e0c8b996a3d2ea70fef40"},
		{"tls-attestation-04", "map", server, PointNone, "a3015820a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf0258205cd252fb0ce8932436faf8ccd1040981b89ee4ad6b9fe9e2a2b7e71aacb27cd30358200e2fd2c635618d4ebea8304ce7167139de911ac5dd4e0c8b996a3d2ea70fef40"},
		{"tls-attestation-04", "binder", server, PointNone, "74be6abd7ac11f3f68ec92ea06b8a3b1b17b629857220f15342eade5455646eb"},
		{"tls-attestation-07", "secret", server, PointNone, "99e84122fdf90a3a13c1e381349b5aab9c9c77008f166358e527fa94116b494a"},
		{"tls-attestation-07", "binder", server, PointNone, "020c67b2fcdc492b38ddeab6b3f7bd3e3f88c56f6e109b008cb1beed487b7d20"},
		{"tls-attestation-07", "sized", server, PointNone, "77e5208260c8838960a0d31348625f0424ec955d58206b81bf3ae1318c7e92f7dc343edc40359e85d8dd1c84ccdf41fdaaf9bf88283f2b0de1e190055a3ba2eb"},
		{"early-attestation-00", "zero_main", server, PointNone, "bb3a6d33dbe32a5f3ad217b82ff361dde4896c9cbd0529682183de2c6cb0d21a"},
		{"early-attestation-00", "main", client, PointNone, "7d4806a66b217978b40ad906ed2b291763425ef7c420ed526f914f1051e28be8"},
		{"early-attestation-00", "main", server, PointNone, "da4152291bdbd23639c3b2aba14aa6f896c4d2efbfae63c7c606a49ae7edec72"},
		{"early-attestation-00", "binder", client, PointNone, "a4396407db67dfabf41ea0b1ef372c18d3ad7a87dde31282e63cd6953770db83"},
		{"early-attestation-00", "binder", server, PointNone, "d7bfddf5baf988d50f843e60e9bde8f0310945efd349779e925dd5667c980cf4"},
		{"early-attestation-03", "base", client, PointNone, "07c3fb4fed5c5e1957c263fc6b002f81be5f89bc8816c17bb25f04645b1d8f85"},
		{"early-attestation-03", "base", server, PointNone, "d8623247ef6d573e49a01300316828cccdf729502d654e6bf590bbddb759edec"},
		{"early-attestation-03", "binder", client, PointNone, "c9861e173a23519b6f3b18dc26066bb3f193cdcdefa15d4b1f499388063d0563"},
		{"early-attestation-03", "binder", server, PointNone, "63e10887499446174f09c543a26092cbad691a4ca2733c258322108f5026ed46"},
		{"early-attestation-04", "base", server, PointNone, "a0047b409fd633c39dc77e466b5cf175ca94c3f869ff2229f61b8677f4538538"},
		{"early-attestation-04", "binder", client, PointNone, "2c76b459a5c963e833bffdfddaeebf40ebb3bb81df43071160e462a2e9a0d47d"},
		{"early-attestation-04", "binder", server, PointNone, "4bd022cce2a5a16acd6e06d169e82aae5aa35b3c2d6b66e614d2c065537d2647"},
		{"early-attestation-04", "both", server, PointNone, "a0047b409fd633c39dc77e466b5cf175ca94c3f869ff2229f61b8677f4538538" +
			"2c76b459a5c963e833bffdfddaeebf40ebb3bb81df43071160e462a2e9a0d47d4bd022cce2a5a16acd6e06d169e82aae5aa35b3c2d6b66e614d2c065537d2647"},
		{"seat-expat", "value", server, PointNone, "f20143d830e537a1df1ad6461a9e481dcd976e31e821a16f84652b021dd3609f"},
		{"seat-expat", "binder", server, PointNone, "47d70d43da9fafeee6c1e382c9cbf15d86a15e6dea2ade06a50f261be9d39d8b"},
		{"seat-expat", "with_nonce", server, PointNone, "14bf2a703d3a884592f0164086e6f63bc5c4823b2ced0ecf773cb98d81e5a353"},
		{"seat-expat", "other", server, PointNone, "8971e92b517f89cbfa1f512f7eb71d0fd6e6e3a2c3778c95edd70977e592cb65"},
		{"seat-expat", "other_binder", server, PointNone, "04e23a763834ad751b05eb9bb49666885002a2c7663a86de5e21817e01fd91d4"},
	} {
		in := vectorInputs(t)
		in.Without = v.without
		got, err := program(t, programs[v.program]).Eval(v.name, v.role, in)
		if err != nil || !bytes.Equal(got, unhex(v.want)) {
			t.Errorf("%s %s(%v): %x, %v; want %s", v.program, v.name, v.role, got, err, v.want)
		}
	}
}

// TestRFC8448 holds HKDF and the label encoding against RFC 8448 section 3.
func TestRFC8448(t *testing.T) {
	p := program(t, "early = extract(zero, zero)\nderived = derive_secret(early, \"derived\", \"\")")
	for name, want := range map[string]string{
		"early":   "33ad0a1c607ec03b09e6cd9893680ce210adf300aa1f2660e1b22e10f170f92a",
		"derived": "6f2615a108c702c5678f54fc9dbab69716c076189c48250cebeac3576c3611ba",
	} {
		if got, err := p.Eval(name, client, vectorInputs(t)); err != nil || hex.EncodeToString(got) != want {
			t.Errorf("%s: %x, %v", name, got, err)
		}
	}
}

// TestExplain wants every intermediate value in the tree, each definition once.
func TestExplain(t *testing.T) {
	v := program(t, programs["early-attestation-04"]).Explain("binder", server, vectorInputs(t))
	var lines []string
	var walk func(*Value, int)
	walk = func(v *Value, depth int) {
		shown := fmt.Sprintf("%x", v.Octets)
		if v.Kind == KindInteger {
			shown = fmt.Sprint(v.Number)
		}
		lines = append(lines, strings.Repeat(" ", depth)+v.Expr+" = "+shown[:min(8, len(shown))])
		for _, x := range v.Parts {
			walk(x, depth+1)
		}
	}
	walk(v, 0)
	want := `binder = 4bd022cc
 expand_label(base, "attestation", hash(spki(role)), Hash.length) = 4bd022cc
  base = a0047b40
   expand_label(zero, "attestation base", hash(CH..SH), Hash.length) = a0047b40
    zero = 00000000
    "attestation base" = 61747465
    hash(CH..SH) = ` + lines[6][len("    hash(CH..SH) = "):] + `
     CH..SH = ` + lines[7][len("     CH..SH = "):] + `
    Hash.length = 32
  "attestation" = 61747465
  hash(spki(role)) = 5cd252fb
   spki(role) = 30593013
  Hash.length = 32`
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
