package peers

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"attls"
	"attls/conformance/claims"
	"attls/conformance/scenario"
	"attls/extensions/profile"
)

const mineYAML = `profile: mine
base: early-attestation-06
code_points: {extensions: {remoteAttestation: 0xFF42}}
`

func writeMine(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "mine.yaml")
	if err := os.WriteFile(file, []byte(mineYAML), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func mustCases(t *testing.T, o Options) []Case {
	t.Helper()
	list, err := Cases(o)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for i := range list {
		if name := list[i].String(); names[name] {
			t.Errorf("%s appears twice", name)
		} else {
			names[name] = true
		}
	}
	return list
}

// TestInterpretedCases: by default the interpreter meets this stack under every
// combination of every profile in both directions, and under every reading.
func TestInterpretedCases(t *testing.T) {
	has := map[string]bool{}
	for _, c := range mustCases(t, Defaults()) {
		s := c.Scenario
		has[fmt.Sprint(c.Client, c.Server, s.Profile, s.Attester, s.Model, s.Credential)] = true
		has[fmt.Sprint(c.Client, c.Server, s.Profile, s.Attester)] = true
		for name, option := range s.Readings {
			has[fmt.Sprint(name, option)] = true
		}
	}
	combinations, err := allowed(profile.Names())
	if err != nil {
		t.Fatal(err)
	}
	later := map[string]bool{} // profiles of which a selection has every pair of values: see TestLaterSelection
	for _, name := range profile.Names() {
		p, err := profile.Load(name, profile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		later[name] = len(p.Later) > 0
	}
	for _, c := range combinations {
		for _, pair := range with(interpreterName) {
			if later[c.Profile] {
				if !has[fmt.Sprint(pair[0], pair[1], c.Profile, c.Attester)] {
					t.Errorf("%v do not meet under %s, attester %s", pair, c.Profile, c.Attester)
				}
			} else if !has[fmt.Sprint(pair[0], pair[1], c.Profile, c.Attester, c.Model, c.Credential)] {
				t.Errorf("%v do not meet under %s", pair, c.Scenario)
			}
		}
	}
	for _, name := range profile.Names() {
		p, err := profile.Load(name, profile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range p.Readings {
			for _, option := range r.Options {
				if option != r.Default && !has[fmt.Sprint(r.Switch, option)] {
					t.Errorf("nobody meets under %s=%s, as in %s", r.Switch, option, name)
				}
			}
		}
	}
}

// TestInterpretedInFull: all profiles have more than 2,000 attested scenarios of which
// no two are alike but for suites and groups.
func TestInterpretedInFull(t *testing.T) {
	o := Defaults()
	o.Full = true
	known := map[string]bool{}
	list, err := interpreted(&o, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		if slices.Contains([]string{c.Client, c.Server}, (InProcess{}).Name()) {
			c.Scenario.Suite, c.Scenario.Group, c.Scenario.Fragment, c.Scenario.Split = "", "", 0, 0
			known[c.String()] = true
		}
	}
	if len(known) < 2000 {
		t.Errorf("%d scenarios", len(known))
	}
}

// TestOwnProfile: names of cases hold the name of a file's profile and not its path, and
// the interpreter takes the place of the peer that does not know it.
func TestOwnProfile(t *testing.T) {
	file := writeMine(t)
	o := Defaults()
	o.Under([]string{file})
	list := mustCases(t, o)
	for i := range list {
		c := &list[i]
		if name := c.String(); strings.Contains(name, filepath.Dir(file)) || !strings.Contains(name, "/mine/") ||
			c.Client == "mbedtls" || c.Server == "mbedtls" {
			t.Errorf("%s", name)
		}
	}
	o.Brief = true
	if brief := mustCases(t, o); len(brief) != 12 || len(list) < 60 {
		t.Errorf("%d cases, of which %d are brief", len(list), len(brief))
	}
	other := filepath.Join(t.TempDir(), "other.yaml")
	if err := os.WriteFile(other, []byte(mineYAML), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := allowed([]string{file, other}); err == nil || !strings.Contains(err.Error(), "are both called mine") {
		t.Errorf("two profiles of one name: %v", err)
	}
}

// stub is a peer that answers with a script.
func stub(t *testing.T, script string) Interpreter {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mbedtls-peer")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	return NewInterpreter(MbedTLS{Path: path})
}

// TestInterpreterLimit: what mbedTLS cannot send, the peer says once for each profile
// and combination; a build that interprets nothing is missing.
func TestInterpreterLimit(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	i := stub(t, `case "$*" in
*--help*) echo "  --compiled F" ;;
*) head -1 "$2" >>`+log+`; echo "$@" >>`+log+`
   case "$*" in *"--model results"*) echo "mbedtls-peer: limit: it sends no certificate_request" >&2; exit 3 ;; esac
   exit 1 ;;
esac
`)
	s := &scenario.Scenario{Profile: "early-attestation-06", Attester: scenario.AttestServer, Model: "results",
		Credential: claims.CredentialX509}
	for range 2 {
		if reason := i.Limit(s, attls.RoleServer); reason != "it sends no certificate_request" {
			t.Errorf("%q", reason)
		}
	}
	s.Model = "evidence"
	if reason := i.Limit(s, attls.RoleServer); reason != "" {
		t.Errorf("what the peer refuses is no limit of mbedTLS: %q", reason)
	}
	text, _ := os.ReadFile(log)
	if n := strings.Count(string(text), "attls-compiled-profile 1\n"); n != 2 {
		t.Errorf("the peer was asked %d times: %s", n, text)
	}
	if reason := i.Missing(); reason != "" {
		t.Errorf("it is missing: %s", reason)
	}
	if reason := stub(t, "echo --profile\n").Missing(); !strings.Contains(reason, "does not interpret compiled profiles") {
		t.Errorf("a build that interprets nothing: %q", reason)
	}
	if reason := i.Limit(&scenario.Scenario{Attester: scenario.AttestNone}, attls.RoleServer); !strings.Contains(reason, "plain TLS") {
		t.Errorf("plain TLS: %q", reason)
	}
}

// TestPlaces: a difference is told with the message, the field, the octet and the line
// of the file.
func TestPlaces(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mine.yaml")
	if err := os.WriteFile(file, []byte(mineYAML+`bind:
  slots:
    server_attester: {choice: encrypted_extensions.remoteAttestation.chosen_server_scheme}
binder:
  define:
    base: 'expand_label(zero, "mine", hash(CH..SH), Hash.length)'
`), 0o600); err != nil {
		t.Fatal(err)
	}
	offset := 9
	attested := func(challenge, scheme string) []claims.AttestationClaim {
		return []claims.AttestationClaim{{Attester: "server", Slot: "server_attester", Challenge: challenge, Scheme: scheme}}
	}
	r := &Result{Case: Case{"attls", interpreterName, scenario.Scenario{Profile: file, Attester: scenario.AttestServer,
		Model: "evidence", Credential: claims.CredentialX509}}, Ends: []claims.Claims{
		{Attestation: attested("aa", "01"), Error: &claims.ErrorClaim{Class: attls.Malformed.String(), Failure: "decode.malformed",
			Message: "encrypted_extensions", Field: "extensions.remoteAttestation.chosen_server_scheme[0].argument", Offset: &offset,
			Detail: "3 octets where 4 are needed"}},
		{Attestation: attested("bb", "02")}}}
	got := strings.Join(places(r), "\n")
	for _, want := range []string{
		"octet 9: attls, the client, refuses: 3 octets where 4 are needed",
		"profiles/early-attestation-0", // where the field is defined
		"the challenge of the server: attls computes aa, mbedtls-compiled computes bb",
		file + ":6:31: the choice for the server: attls has 01, mbedtls-compiled has 02"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s\nlacks %s", got, want)
		}
	}
}

// TestAcknowledged: a case that fails over what the profile acknowledges is a limit, and
// only then.
func TestAcknowledged(t *testing.T) {
	undefined := &claims.ErrorClaim{Class: attls.Violation.String(), Failure: string(attls.FailBinderUndefined)}
	alert := &claims.ErrorClaim{Class: attls.FromPeer.String(), Failure: string(attls.FailPeerAlert)}
	other := &claims.ErrorClaim{Class: attls.Violation.String(), Failure: string(attls.FailBinderMismatch)}
	for i, c := range []struct {
		profile        string
		client, server *claims.ErrorClaim
		want           bool
	}{
		{"early-attestation-00", alert, undefined, true}, {"early-attestation-00", undefined, undefined, true},
		{"early-attestation-00", other, undefined, false}, {"early-attestation-00", nil, undefined, false},
		{"early-attestation-00", alert, alert, false}, {"early-attestation-06", alert, undefined, false},
	} {
		r := &Result{Case: Case{Scenario: scenario.Scenario{Profile: c.profile}}, Ends: []claims.Claims{{Error: c.client}, {Error: c.server}}}
		if acknowledged(r) != c.want {
			t.Errorf("%d: %v", i, !c.want)
		}
	}
}

const changedDrafts = "../../extensions/profile/testdata/changed/"

const toldYAML = `profile: told
base: early-attestation-06
bind:
  slots:
    server_attester: {nonce: {in: client_hello.certificate_authorities, as: "O=x y, 2.5.4.3=n:{nonce}", codec: base64url, octets: 8..40}}
    client_attester: {nonce: {in: certificate_request.certificate_authorities, as: "CN={nonce}.", codec: hex, octets: 32}}
binder:
  define:
    base: null
    key_bound: 'expand_label(zero, "lab", hash(concat(nonce(role), spki(role))), Hash.length)'
  post_handshake: null
switches: {pha_base: null}
`

// TestInterpreter: the peer that build.sh has built interprets a file of somebody's own, and profiles with what
// needs more of the library than extensions, in both directions, for each role; of nonces in fields of RFCs it
// refuses what is not spelt as the profile says.
func TestInterpreter(t *testing.T) {
	t.Setenv(evidenceHelper, "1")
	interpreter := NewInterpreter(MbedTLS{Path: FindMbedTLS(), Evidence: os.Args[0]})
	if interpreter.Missing() != "" {
		t.Skip(interpreter.Missing())
	}
	told := filepath.Join(t.TempDir(), "told.yaml")
	if err := os.WriteFile(told, []byte(toldYAML), 0o600); err != nil {
		t.Fatal(err)
	}
	o := Defaults()
	o.Under([]string{writeMine(t), told, changedDrafts + "choices-in-messages.yaml", changedDrafts + "choices-in-hellos.yaml", "deployed-contrast", "deployed-constellation",
		"deployed-cocos-atls", "deployed-client-random"})
	combinations, err := allowed(o.Compiled)
	if err != nil {
		t.Fatal(err)
	}
	o.Brief = true
	list := mustCases(t, o)
	for _, c := range faults(o.Interpreted, scenarios(combinations)) {
		if strings.HasPrefix(c.Scenario.Fail, "nonce-") {
			list = append(list, c)
		}
	}
	for _, r := range RunAll(t.Context(), list, []Peer{InProcess{}, interpreter}, Settings{}, func(*Result) {}) {
		if r.Status != Passed {
			t.Errorf("%s: %s: %s %v", r.String(), r.Status, r.Reason, r.Places)
		}
	}
}
