package profile

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"attls"
	"attls/extensions/profile/binder"
	"attls/extensions/profile/binder/bindertest"
)

// vectors are the challenges of the test vectors that were made for these
// drafts, by profile and readings.
var vectors = []struct {
	profiles string
	readings map[string]string
	attester attls.Role
	without  binder.Point
	want     string
}{
	{"tls-attestation-03", nil, server, binder.PointCR, "26d9a4d7beff09be407f187683b7c9cd08e1cd1dc8146173021cde62343021c1"},
	{"tls-attestation-03", nil, server, binder.PointNone, "4e7dfaa9c491f7650225c3d022e31798053f8bab178089f09c54f5fd56bd257d"},
	{"tls-attestation-04 tls-attestation-05 tls-attestation-06", nil, server, binder.PointNone, "74be6abd7ac11f3f68ec92ea06b8a3b1b17b629857220f15342eade5455646eb"},
	{"tls-attestation-07 tls-attestation-08 tls-attestation-09", nil, server, binder.PointNone, "020c67b2fcdc492b38ddeab6b3f7bd3e3f88c56f6e109b008cb1beed487b7d20"},
	{"tls-attestation-07", map[string]string{"nonce_size": "attester"}, client, binder.PointNone,
		"77e5208260c8838960a0d31348625f0424ec955d58206b81bf3ae1318c7e92f7dc343edc40359e85d8dd1c84ccdf41fdaaf9bf88283f2b0de1e190055a3ba2eb"},
	{"early-attestation-00 early-attestation-01 early-attestation-02", nil, client, binder.PointNone, "a4396407db67dfabf41ea0b1ef372c18d3ad7a87dde31282e63cd6953770db83"},
	{"early-attestation-00 early-attestation-01 early-attestation-02", nil, server, binder.PointNone, "d7bfddf5baf988d50f843e60e9bde8f0310945efd349779e925dd5667c980cf4"},
	{"early-attestation-03", nil, client, binder.PointNone, "c9861e173a23519b6f3b18dc26066bb3f193cdcdefa15d4b1f499388063d0563"},
	{"early-attestation-03", nil, server, binder.PointNone, "63e10887499446174f09c543a26092cbad691a4ca2733c258322108f5026ed46"},
	{"early-attestation-04 early-attestation-05 early-attestation-06 early-attestation-07 early-attestation-08pre", nil, client, binder.PointNone,
		"2c76b459a5c963e833bffdfddaeebf40ebb3bb81df43071160e462a2e9a0d47d"},
	{"early-attestation-04 early-attestation-05 early-attestation-06 early-attestation-07 early-attestation-08pre", nil, server, binder.PointNone,
		"4bd022cce2a5a16acd6e06d169e82aae5aa35b3c2d6b66e614d2c065537d2647"},
}

func TestVectors(t *testing.T) {
	for _, v := range vectors {
		for _, name := range strings.Fields(v.profiles) {
			p := mustLoad(t, name, Options{Readings: v.readings})
			in := bindertest.Vectors(t)
			in.Without = v.without
			got, err := p.Binder.Program.Eval(p.Binder.Challenge[ModelEvidence][KindX509], v.attester, in)
			if err != nil || hex.EncodeToString(got) != v.want {
				t.Errorf("%s %v: %x, %v; want %s", name, v.attester, got, err, v.want)
			}
		}
	}
	// Where the CMW stands alone the nonce itself is the challenge.
	for _, name := range []string{"tls-attestation-00", "tls-attestation-02", "tls-attestation-07", "mbedtls-poc"} {
		p, in := mustLoad(t, name, Options{}), bindertest.Vectors(t)
		got, err := p.Binder.Program.Eval(p.Binder.Challenge[ModelEvidence][KindAlone], client, in)
		if err != nil || !bytes.Equal(got, in.NonceOctets) {
			t.Errorf("%s: %x, %v", name, got, err)
		}
	}
}

// TestFindReadings names the reading of a peer that got another challenge.
func TestFindReadings(t *testing.T) {
	in := bindertest.Vectors(t)
	challenge := func(name string, readings map[string]string, r attls.Role) []byte {
		p := mustLoad(t, name, Options{Readings: readings})
		b, err := p.Binder.Program.Eval(p.Binder.Challenge[ModelEvidence][KindX509], r, in)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, w := range []struct {
		challenge []byte
		profile   string
		want      string
	}{
		{challenge("tls-attestation-07", nil, server), "tls-attestation-07", "tls-attestation-07, server attesting"},
		{challenge("tls-attestation-07", map[string]string{"nonce_size": "attester"}, server), "tls-attestation-07", "tls-attestation-07, server attesting, nonce_size=attester"},
		{challenge("tls-attestation-07", map[string]string{"nonce_size": "attester", "exporter_secret": "sentence"}, server), "tls-attestation-07",
			"tls-attestation-07, server attesting, exporter_secret=sentence, nonce_size=attester"},
		{challenge("early-attestation-00", map[string]string{"public_key": "hash", "labels": "working_copy"}, client), "early-attestation-00",
			"early-attestation-00, client attesting, labels=working_copy, public_key=hash"},
		{challenge("early-attestation-06", nil, client), "early-attestation-06", "early-attestation-06, client attesting"},
		{challenge("early-attestation-03", nil, server), "early-attestation-06", "early-attestation-03, server attesting"},
		{make([]byte, 32), "early-attestation-06", ""},
	} {
		p := mustLoad(t, w.profile, Options{})
		role := server
		if strings.Contains(w.want, "client") {
			role = client
		}
		got := ""
		if found := p.FindReadings(role, ModelEvidence, KindX509, in, w.challenge); len(found) > 0 {
			got = found[0].String()
		}
		if got != w.want {
			t.Errorf("%s: %q, want %q", w.profile, got, w.want)
		}
	}
	p := mustLoad(t, "early-attestation-06", Options{})
	if found := p.FindReadings(server, ModelEvidence, KindX509, in, challenge("early-attestation-06", nil, client)); len(found) == 0 || found[0].Attester != "client" {
		t.Errorf("a mistaken role: %v", found)
	}
}

// TestCheckKey: the whole key as HKDF context takes small keys only.
func TestCheckKey(t *testing.T) {
	for _, w := range []struct {
		profile  string
		readings map[string]string
		size     int
		ok       bool
	}{
		{"early-attestation-00", nil, 91, true}, {"early-attestation-00", nil, 158, true}, {"early-attestation-00", nil, 294, false},
		{"early-attestation-00", map[string]string{"public_key": "hash"}, 294, true},
		{"early-attestation-03", nil, 294, false}, {"early-attestation-04", nil, 1974, true}, {"tls-attestation-07", nil, 1974, true},
	} {
		p := mustLoad(t, w.profile, Options{Readings: w.readings})
		for _, r := range []attls.Role{client, server} {
			if err := p.CheckKey(r, make([]byte, w.size)); (err == nil) != w.ok {
				t.Errorf("%s %v: %d octets: %v", w.profile, r, w.size, err)
			}
		}
	}
}
