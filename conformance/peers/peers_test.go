package peers

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"attls"
	"attls/attestation"
	"attls/conformance/capture"
	"attls/conformance/cases"
	"attls/conformance/claims"
	"attls/conformance/report"
	"attls/conformance/scenario"
	"attls/negotiation"
)

// evidenceHelper makes this test binary a program that makes and judges Evidence.
const evidenceHelper = "ATTLS_TEST_EVIDENCE"

func TestMain(m *testing.M) {
	if os.Getenv(prototypeHelper) != "" {
		os.Exit(playPrototype())
	}
	if os.Getenv(evidenceHelper) == "" {
		os.Exit(m.Run())
	}
	if err := serveEvidence(os.Args[1:]); err != nil {
		io.WriteString(os.Stderr, err.Error())
		os.Exit(1)
	}
}

// serveEvidence is "attls evidence serve".
func serveEvidence(args []string) error {
	var attester negotiation.Attester
	var appraiser negotiation.Appraiser
	attester, appraiser = scenario.DemoAttestation(nil)
	if len(args) == 2 && args[0] == "--opaque" {
		size, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		attester, appraiser = attestation.Opaque{Size: size}, attestation.Opaque{Size: size}
	}
	if len(args) == 2 && args[0] == "--lie" {
		var err error
		if appraiser, err = cases.Lying(args[1], appraiser); err != nil {
			return err
		}
	}
	if os.Getenv(evidenceHelper) != evidenceTwice {
		return attestation.Serve(context.Background(), attester, appraiser, os.Stdin, os.Stdout)
	}
	var answer bytes.Buffer
	if err := attestation.Serve(context.Background(), attester, appraiser, os.Stdin, &answer); err != nil {
		return err
	}
	_, err := os.Stdout.WriteString(`{"status":"contraindicated",` + answer.String()[1:])
	return err
}

// evidenceTwice as the value of evidenceHelper makes an appraiser whose answers have
// two statuses: one that refuses, and the one it would have given.
const evidenceTwice = "twice"

// TestTwoStatuses: neither stack takes the verdict that it likes better out of an
// answer that has two.
func TestTwoStatuses(t *testing.T) {
	all := stacks(t)
	if reason := all[1].Missing(); reason != "" {
		t.Skip(reason)
	}
	t.Setenv(evidenceHelper, evidenceTwice)
	c := Case{"mbedtls", "attls", scenario.Scenario{Profile: "early-attestation-06", Attester: scenario.AttestServer,
		Model: claims.ModelEvidence, Credential: claims.CredentialX509}}
	r := Run(t.Context(), c, map[string]Peer{"attls": all[0], "mbedtls": all[1]}, Settings{})
	if r.Status != Failed || !strings.Contains(r.Reason, string(attls.FailVerifierUnreachable)) {
		t.Errorf("%s: %s", r.Status, r.Reason)
	}
}

func stacks(t *testing.T) []Peer {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(evidenceHelper, "1") // of the programs that our peers start
	return []Peer{InProcess{}, MbedTLS{Path: FindMbedTLS(), Evidence: self}}
}

// TestMbedTLS: every combination of each profile, in both directions, with both
// ends' claims equal; and some of what mbedTLS must reject.
func TestMbedTLS(t *testing.T) {
	all := stacks(t)
	if reason := all[1].Missing(); reason != "" {
		t.Skip(reason)
	}
	pairs := with("mbedtls")
	var cases []Case
	for i, resumptions := range [][]scenario.Resumption{ // shared between the directions
		{"", scenario.ResumeWithDHE, scenario.ResumeRefused}, {"", scenario.ResumePSKOnly, scenario.ResumeUnattested}} {
		o := Defaults()
		o.Pairs, o.RawKeys, o.Resumptions = pairs[i:i+1], pairs[i:i+1], resumptions
		o.Suites, o.Groups, o.Plain, o.Prototype = o.Suites[1:2], o.Groups[:2], nil, nil
		o.Interpreted, o.Doubled, o.Later = nil, nil, nil
		more, err := Cases(o)
		if err != nil {
			t.Fatal(err)
		}
		cases = append(cases, more...)
	}
	for _, size := range []int{1, 15 << 10, 60 << 10} {
		for _, pair := range pairs {
			cases = append(cases, Case{pair[0], pair[1], scenario.Scenario{Profile: "tls-attestation-07", Attester: scenario.AttestServer,
				Model: claims.ModelEvidence, Credential: claims.CredentialX509, Payload: size}})
		}
	}
	mutual := []scenario.Scenario{{Profile: "early-attestation-06", Attester: scenario.AttestBoth,
		Model: claims.ModelEvidence, Credential: claims.CredentialX509}}
	allowed := len(cases)
	cases = append(cases, faults(pairs, mutual)...)
	if allowed < 32 || len(cases) < allowed+20 {
		t.Errorf("%d cases, %d of them faults", len(cases), len(cases)-allowed)
	}
	results := RunAll(t.Context(), cases, all, Settings{Recorder: &Recorder{}}, func(*Result) {})
	if len(results) != len(cases) {
		t.Errorf("%d of %d cases were run", len(results), len(cases))
	}
	for _, r := range results {
		if r.Status == Limit && r.Scenario.Profile == "mbedtls-poc" && r.Scenario.Resumption != "" {
			continue
		}
		if r.Scenario.Payload > 16<<10 && r.Status == Deviation {
			continue
		}
		if r.Status != Passed && (r.Scenario.Fail == "" || r.Status == Failed || r.Status == Skipped) {
			t.Errorf("%s: %s: %s", r.String(), r.Status, r.Reason)
		}
		if r.Scenario.Fail == "" && (len(r.Ladder) < 10 || len(r.Findings) > 0 || r.Unrecorded != "") {
			t.Errorf("%s: recorded %d messages, findings %+v, %s", r.String(), len(r.Ladder), r.Findings, r.Unrecorded)
		}
	}
}

// TestInProcess: the driver by itself, without another stack, and a judge that
// notices a difference in any claim that both ends make.
func TestInProcess(t *testing.T) {
	c := Case{"attls", "attls", scenario.Scenario{Profile: "early-attestation-06", Attester: scenario.AttestBoth,
		Model: claims.ModelEvidence, Credential: claims.CredentialX509, Group: "secp256r1", HelloRetry: true}}
	r := Run(t.Context(), c, map[string]Peer{"attls": InProcess{}}, Settings{})
	if r.Status != Passed {
		t.Fatal(r.Reason)
	}
	for name, spoil := range map[string]func(*claims.Claims){
		"suite":      func(c *claims.Claims) { c.Suite = "TLS_AES_128_CCM_SHA256" },
		"group":      func(c *claims.Claims) { c.Group = "x25519" },
		"transcript": func(c *claims.Claims) { c.TranscriptHash = "00" },
		"peer_key":   func(c *claims.Claims) { c.PeerKey = "00" },
		"own_key":    func(c *claims.Claims) { c.OwnKey = "00" },
		"retry":      func(c *claims.Claims) { c.HelloRetry = false },
		"challenge":  func(c *claims.Claims) { c.Attestation[1].Challenge = "00" },
		"payload":    func(c *claims.Claims) { c.Attestation[0].Payload = "00" },
		"scheme":     func(c *claims.Claims) { c.Attestation[0].Scheme = "00" },
		"unattested": func(c *claims.Claims) { c.Attestation = c.Attestation[:1] },
		"data":       func(c *claims.Claims) { c.DataReceived = 0 },
		"sent":       func(c *claims.Claims) { c.DataSent++ },
		"exporter":   func(c *claims.Claims) { c.Exporter = "00" },
		"unexported": func(c *claims.Claims) { c.Exporter = "" },
		"signed":     func(c *claims.Claims) { c.OwnSignature = "" },
		"type":       func(c *claims.Claims) { c.PeerType = "RawPublicKey" },
		"open":       func(c *claims.Claims) { c.State = "connected" },
		"verdict": func(c *claims.Claims) {
			for i := range c.Attestation {
				c.Attestation[i].Verdict = nil
			}
		},
	} {
		for role := range r.Ends {
			var ends []claims.Claims
			blob, err := json.Marshal(r.Ends)
			if err == nil {
				err = json.Unmarshal(blob, &ends)
			}
			if err != nil {
				t.Fatal(err)
			}
			spoil(&ends[role])
			if Judge(&c, &ends[attls.RoleClient], &ends[attls.RoleServer]) == nil {
				t.Errorf("%s of end %d: no difference was noticed", name, role)
			}
		}
	}
}

// TestUnclaimed: of what one end cannot tell, the other one is believed, and what
// neither tells is not compared; but what the scenario asks for is still held to.
func TestUnclaimed(t *testing.T) {
	c := Case{"attls", "attls", scenario.Scenario{Attester: scenario.AttestNone, ClientCertificate: true, ALPN: "conform"}}
	r := Run(t.Context(), c, map[string]Peer{"attls": InProcess{}}, Settings{})
	if r.Status != Passed || r.Ends[attls.RoleServer].PeerKey == "" {
		t.Fatal(r.Reason)
	}
	for i := range comparisons {
		k := &comparisons[i]
		if k.due != nil && !k.due(&c.Scenario) {
			continue
		}
		silent := func(members ...string) error {
			ends := [2]claims.Claims{r.Ends[0], r.Ends[1]}
			server := &ends[attls.RoleServer]
			server.Unclaimed = members
			silence(t, server, k.server.member)
			return Judge(&c, &ends[attls.RoleClient], server)
		}
		if strings.HasPrefix(k.server.member, "data") {
			continue // is always told
		}
		if err := silent(k.server.member); err != nil {
			t.Errorf("%s: %v", k.what, err)
		}
		if !slices.Contains([]string{"hello_retry", "resumed", "key_epoch"}, k.server.member) && silent() == nil { // false and 0 say something
			t.Errorf("%s: that the server says nothing was not noticed", k.what)
		}
	}
	wanted := c
	wanted.Scenario.ALPN = "other"
	ends := [2]claims.Claims{r.Ends[0], r.Ends[1]}
	ends[attls.RoleServer].Unclaimed = []string{"alpn"}
	if Judge(&wanted, &ends[0], &ends[1]) == nil {
		t.Error("another protocol than was wanted was not noticed")
	}
}

// silence takes a member out of claims.
func silence(t *testing.T, c *claims.Claims, member string) {
	t.Helper()
	members := map[string]any{}
	blob, err := json.Marshal(c)
	if err == nil {
		err = json.Unmarshal(blob, &members)
	}
	if err != nil {
		t.Fatal(err)
	}
	delete(members, member)
	if blob, err = json.Marshal(members); err != nil {
		t.Fatal(err)
	}
	*c = claims.Claims{}
	if err := json.Unmarshal(blob, c); err != nil {
		t.Fatal(err)
	}
}

// TestCover: the selection holds every pair of values between each two stacks, with
// far fewer cases, and hundreds of attested scenarios between this stack and mbedTLS.
func TestCover(t *testing.T) {
	o := Defaults()
	o.Interpreted, o.Doubled = nil, nil // whose cases take turns
	o.Later = nil                       // see TestLaterSelection
	selected, err := Cases(o)
	if err != nil {
		t.Fatal(err)
	}
	o.Full = true
	full, err := Cases(o)
	if err != nil {
		t.Fatal(err)
	}
	pairs := func(cases []Case) map[[3]string]bool {
		m := map[[3]string]bool{}
		for _, c := range cases {
			s, stacks, client := c.Scenario, c.Client+">"+c.Server, ""
			if s.Profile == "" { // one selection for all stacks
				stacks, client = "", c.Client
			}
			v := []string{client, s.Profile + string(s.Attester) + s.Model + s.Credential, s.Suite, s.Group, map[bool]string{true: "retry"}[s.HelloRetry],
				string(s.Resumption), fmt.Sprint(s.Fragment, s.Split)}
			for i := range v {
				for j := range i {
					m[[3]string{stacks, v[j], v[i]}] = true
				}
			}
		}
		return m
	}
	if got, want := len(pairs(selected)), len(pairs(full)); got != want {
		t.Errorf("%d of %d pairs of values", got, want)
	}
	if len(selected)*5 > len(full) {
		t.Errorf("%d of %d cases were selected", len(selected), len(full))
	}
	var passed []Result
	for _, c := range selected {
		passed = append(passed, Result{Case: c, Status: Passed})
	}
	attested := Report("", selected, passed).Attested()
	if !slices.ContainsFunc(attested, func(a report.Attested) bool { return a.Stacks == [2]string{"attls", "mbedtls"} && a.Passed >= 250 }) {
		t.Errorf("selected are %v", attested)
	}
}

// TestRecorder: a sound and a faulty connection, each with its file and what was
// seen on the wire.
func TestRecorder(t *testing.T) {
	rec := &Recorder{Directory: t.TempDir()}
	for fail, want := range map[string]string{"": "", "misplaced": "attestation.misplaced"} {
		c := Case{"attls", "attls", scenario.Scenario{Profile: "early-attestation-06", Attester: scenario.AttestServer,
			Model: claims.ModelEvidence, Credential: claims.CredentialX509, Fail: fail}}
		r := Run(t.Context(), c, map[string]Peer{"attls": InProcess{}}, Settings{Recorder: rec})
		if r.Status != Passed || r.Unrecorded != "" || len(r.Ladder) < 7 {
			t.Errorf("%s: %s %s, %d messages, %s", fail, r.Status, r.Reason, len(r.Ladder), r.Unrecorded)
		}
		if (want == "") != (len(r.Findings) == 0) || want != "" && r.Findings[0].Failure != want {
			t.Errorf("%s: %+v", fail, r.Findings)
		}
		file, err := os.Open(r.Capture)
		if err != nil {
			t.Fatal(err)
		}
		connections, keys, err := capture.ReadFile(file)
		file.Close()
		if err != nil || len(connections) != 1 || len(keys) != 1 {
			t.Errorf("%s: %d connections, %d secrets, %v", r.Capture, len(connections), len(keys), err)
		}
		if page := Report("", []Case{{}, c}, []Result{r}); page.Runs[0].Number != 2 || page.Runs[0].Fault == nil != (fail == "") || len(page.Runs[0].Ladder) != len(r.Ladder) {
			t.Errorf("%+v", page.Runs[0])
		}
	}
}

// TestSkip: a limit or a missing stack skips a case with its reason, and reports
// tell it.
func TestSkip(t *testing.T) {
	cases := []Case{{"attls", "mbedtls", scenario.Scenario{Profile: "early-attestation-00"}}, {"attls", "nobody", scenario.Scenario{}}}
	results := RunAll(t.Context(), cases, []Peer{InProcess{}, MbedTLS{Path: os.Args[0]}}, Settings{}, func(*Result) {})
	status := []string{Limit, Skipped}
	for i, want := range []string{"implements early-attestation-06", "no peer is called nobody"} {
		if results[i].Status != status[i] || !strings.Contains(results[i].Reason, want) {
			t.Errorf("%s: %s", results[i].Status, results[i].Reason)
		}
	}
	page := Report("what was skipped", cases, results)
	if page.Count(report.Limit) != 1 || page.Count(report.Skipped) != 1 || page.Runs[1].Number != 2 {
		t.Errorf("%+v", page)
	}
	var b bytes.Buffer
	if err := page.WriteJUnit(&b); err != nil {
		t.Fatal(err)
	}
	if s := b.String(); !strings.Contains(s, `skipped="2"`) || !strings.Contains(s, "nobody") {
		t.Error(s)
	}
}

// TestPlain: crypto/tls with us and with mbedTLS, without attestation.
func TestPlain(t *testing.T) {
	all := append(stacks(t), CryptoTLS{})
	plain := scenario.Scenario{Attester: scenario.AttestNone, Group: "secp256r1", ALPN: "conform"}
	retry, mutual := plain, plain
	retry.HelloRetry, mutual.ClientCertificate = true, true
	var cases []Case
	for _, s := range []scenario.Scenario{plain, retry, mutual} {
		for _, other := range []string{"attls", "mbedtls"} {
			if other == "mbedtls" && all[1].Missing() != "" {
				continue
			}
			cases = append(cases, Case{"crypto/tls", other, s}, Case{other, "crypto/tls", s})
		}
	}
	for _, r := range RunAll(t.Context(), cases, all, Settings{}, func(*Result) {}) {
		if r.Status != Passed {
			t.Errorf("%s: %s: %s", r.String(), r.Status, r.Reason)
		}
	}
}
