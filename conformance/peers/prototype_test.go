package peers

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"attls"
	"attls/attestation"
	"attls/conformance/cases"
	"attls/conformance/claims"
	"attls/conformance/scenario"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/message"
	"attls/negotiation"
	"attls/record"
)

// dumps writes messages in the form in which the proof of concept's programs print
// them.
type dumps struct{ w io.Writer }

func (d dumps) Message(dir handshake.Direction, m *message.Raw, _ *handshake.Plan) {
	hello := m.Kind == attls.KindClientHello || m.Kind == attls.KindServerHello || m.Kind == attls.KindHelloRetryRequest
	name, octets := map[handshake.Direction]string{handshake.Sent: "before encrypt: output payload", handshake.Received: "input payload after decrypt"}[dir], m.Bytes
	if hello {
		name = map[handshake.Direction]string{handshake.Sent: "output record sent to network", handshake.Received: "input record from network"}[dir]
		octets = append([]byte{22, 3, 3, byte(len(octets) >> 8), byte(len(octets))}, octets...)
	}
	d.dump(name, octets)
}

func (d dumps) dump(name string, octets []byte) {
	fmt.Fprintf(d.w, "  . Some step...file.c:0001: |4| dumping '%s' (%d bytes)\n", name, len(octets))
	for i := 0; i < len(octets); i += 16 {
		line := octets[i:min(i+16, len(octets))]
		fmt.Fprintf(d.w, "file.c:0001: |4| %04x:  %-48s %s\n", i, fmt.Sprintf("% x ", line), "00 01 as text")
	}
}

func (dumps) Record(handshake.Direction, *record.Raw, *record.Plan) {}
func (dumps) Derived(_ handshake.SecretName, secret []byte) []byte  { return secret }
func (d dumps) Alert(dir handshake.Direction, a attls.AlertDescription) {
	if dir == handshake.Sent {
		fmt.Fprintf(d.w, "file.c:0001: |3| send alert level=2 message=%d\n", a)
	} else {
		fmt.Fprintf(d.w, "file.c:0001: |2| got an alert message, type: [2:%d]\n", a)
	}
}
func (d dumps) Fork() handshake.Tap { return d }

// newRandom changes the random of a second ClientHello, as the proof of concept's
// client does.
type newRandom struct {
	dumps
	hellos *int
}

func (n newRandom) Message(dir handshake.Direction, m *message.Raw, p *handshake.Plan) {
	if dir == handshake.Sent && m.Kind == attls.KindClientHello {
		if *n.hellos++; *n.hellos == 2 {
			changed := *m
			changed.Bytes = bytes.Clone(m.Bytes)
			changed.Bytes[6] ^= 1 // behind the header and legacy_version
			m, p.Replace = &changed, changed.Bytes
		}
	}
	n.dumps.Message(dir, m, p)
}

func (n newRandom) Fork() handshake.Tap { return n }

// prototypeHelper makes this test binary a client that prints what the proof of
// concept's prints, or with "server" a server that fails.
const prototypeHelper = "ATTLS_TEST_POC"

func playPrototype() int {
	options := map[string]string{}
	for _, arg := range os.Args[1:] {
		name, value, _ := strings.Cut(arg, "=")
		options[name] = value
	}
	address := net.JoinHostPort(options["server_addr"], options["server_port"])
	if options["client_att_type"] == "" {
		return playPrototypeServer(address)
	}
	end, err := scenario.NewEnd(scenario.Scenario{Profile: prototypeProfile}, attls.RoleClient, Prototype{}.Root(), scenario.Find(cases.Find))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	list, err := groupNumbers(strings.Split(options["curves"], ","))
	if err != nil || options["server_name"] != serverName || options["debug_level"] != "4" {
		fmt.Println(err, options)
		return 1
	}
	suite, _ := attls.SuiteByName("TLS_" + strings.ReplaceAll(strings.TrimPrefix(options["force_ciphersuite"], "TLS1-3-"), "-", "_"))
	end.Config.Groups, end.Config.CipherSuites, end.Config.Tap = list, []attls.CipherSuite{suite}, newRandom{dumps{os.Stdout}, new(int)}
	os.WriteFile("key.psa_its", nil, 0o600) // it leaves files where it runs
	nc, err := net.Dial("tcp", address)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	claims, err := end.Exchange(context.Background(), nc)
	if err != nil || claims.Error != nil {
		fmt.Printf("mbedtls_ssl_handshake returned -0x1\nLast error was: -0x1 - %v %+v\n", err, claims.Error)
		return 1
	}
	fmt.Printf("\n %d bytes written in 1 fragments\n\n %d bytes read\n<= write close notify\n", claims.DataSent, claims.DataReceived)
	return 0
}

func playPrototypeServer(address string) int {
	l, err := net.Listen("tcp", address)
	if err != nil {
		fmt.Println("mbedtls_net_bind returned -0x46")
		return 1
	}
	fmt.Print("  . Waiting for a remote connection ...")
	nc, err := l.Accept()
	if err != nil {
		return 1
	}
	nc.Close()
	fmt.Print(" failed\n  ! mbedtls_ssl_handshake returned -0x7280\n\nLast error was: -0x7280 - it ended\n\n  . Waiting for a remote connection ...")
	select {} // until it is stopped
}

func prototypeCase(client, server string) Case {
	return Case{client, server, scenario.Scenario{Profile: prototypeProfile, Attester: scenario.AttestClient, Model: claims.ModelEvidence,
		Credential: claims.CredentialAttestation, Suite: "TLS_AES_256_GCM_SHA384", Group: "secp256r1", HelloRetry: true}}
}

// TestPrototypeClient: a program that prints what the proof of concept's client
// does is started as it is, and believed as far as what it prints is true.
func TestPrototypeClient(t *testing.T) {
	t.Setenv(prototypeHelper, "1")
	for _, name := range []string{"ATTLS_POC_CLIENT", "ATTLS_POC_SERVER", "ATTLS_POC_VERIFIER"} {
		t.Setenv(name, "") // the programs themselves are another test's
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPrototype(self, "", "")
	if err != nil {
		t.Fatal(err)
	}
	c := prototypeCase("poc", "attls")
	// This program holds the text by which a client that uses Parsec is known.
	if reason := p.Limit(&c.Scenario, attls.RoleClient); !strings.Contains(reason, "--poc-verifier") {
		t.Error(reason)
	}
	verifier := filepath.Join(t.TempDir(), "verifier.yaml")
	if err := os.WriteFile(verifier, []byte("references: [{name: zeros, pcrs: 'sha256:0,1,2,3,4,5,6,7', pcr_digests: ["+strings.Repeat("00", 32)+"]}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	if p, err = NewPrototype(self, "", verifier); err != nil {
		t.Fatal(err)
	}
	stacks := map[string]Peer{"poc": p, "attls": InProcess{}}
	r := Run(t.Context(), c, stacks, Settings{Recorder: &Recorder{}})
	if r.Status != Passed || r.Unrecorded != "" {
		t.Fatal(r.Reason, r.Unrecorded)
	}
	if len(r.Findings) > 0 || len(r.Ladder) < 13 {
		t.Errorf("%d messages were recorded, findings %+v", len(r.Ladder), r.Findings)
	}
	client, server := r.Ends[0], r.Ends[1]
	for _, v := range []struct{ what, got, want string }{
		{"transcript", client.TranscriptHash, server.TranscriptHash},
		{"payload", client.Attestation[0].Payload, server.Attestation[0].Payload},
		{"nonce", client.Attestation[0].Nonce, server.Attestation[0].Nonce},
		{"server's key", client.PeerKey, server.OwnKey},
		{"client's signature", client.OwnSignature, server.PeerSignature},
	} {
		if v.got != v.want || v.got == "" {
			t.Errorf("%s: %q, the server says %q", v.what, v.got, v.want)
		}
	}
	if !client.HelloRetry || client.Suite != c.Scenario.Suite || client.Group != c.Scenario.Group || client.DataSent == 0 {
		t.Errorf("%+v", client)
	}
	c.Server = "poc"
	if r := Run(t.Context(), c, stacks, Settings{}); r.Status != Limit || !strings.Contains(r.Reason, "ssl_server2 is not here") {
		t.Errorf("%s: %s", r.Status, r.Reason)
	}
}

// TestPrototypeServer: a server that gives up a connection and waits for the next
// one is stopped, and has failed.
func TestPrototypeServer(t *testing.T) {
	t.Setenv(prototypeHelper, "1")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := Run(t.Context(), prototypeCase("attls", "poc"), map[string]Peer{"poc": Prototype{Server: self}, "attls": InProcess{}}, Settings{})
	if r.Status != Failed || !strings.Contains(r.Reason, "the server failed: -0x7280 - it ended (poc)") {
		t.Errorf("%s: %s", r.Status, r.Reason)
	}
}

// TestPrototypeOutput: what the programs print of a connection becomes claims, at
// both ends, and one octet that differs is noticed.
func TestPrototypeOutput(t *testing.T) {
	for _, role := range roles {
		var printed bytes.Buffer
		c := prototypeCase("attls", "attls")
		claimed := printedBy(t, role, &c, &printed)
		text := printed.String() + " 44 bytes written in 1 fragments\n 44 bytes read\n<= write close notify\n"
		read := func(text string) claims.Claims {
			task := &Task{Role: role, Directory: t.TempDir()}
			got, err := readPrototype(task)(text)
			if err != nil {
				t.Fatal(err)
			}
			got.DataSent, got.DataReceived = total(text, octetsWritten), total(text, octetsRead)
			log, err := os.ReadFile(task.keyLog())
			if want := "SERVER_HANDSHAKE_TRAFFIC_SECRET " + strings.Repeat("ab", 32) + " 0102\n"; err != nil || string(log) != want {
				t.Errorf("the key log is %q: %v", log, err)
			}
			return got
		}
		judge := func(text string) error {
			ends := claimed
			ends[role] = read(text)
			return Judge(&c, &ends[attls.RoleClient], &ends[attls.RoleServer])
		}
		if err := judge(text); err != nil {
			t.Errorf("%v: %v", role, err)
		}
		for name, spoiled := range map[string]string{
			"open":    strings.Replace(text, "<= write close notify", "", 1),
			"failed":  text + "mbedtls_ssl_read returned -0x7780\n",
			"alert":   text + "Last error was: -0x7780 - it",
			"payload": strings.Replace(text, "75 65 69 64", "75 65 69 65", 1), // in the name of the device
			"nonce":   strings.Replace(text, "00 01 02 03 04 05 06 07", "00 01 02 03 04 05 06 08", 1),
			"data":    strings.Replace(text, " 44 bytes read", "", 1),
		} {
			if spoiled == text || judge(spoiled) == nil {
				t.Errorf("%v, %s: no difference was noticed", role, name)
			}
		}
		if got := read(text + "got an alert message, type: [2:51]\nsend alert level=1 message=0\nsend alert level=2 message=50\n"); got.AlertReceived == nil ||
			got.AlertReceived.Code != 51 || got.AlertSent == nil || got.AlertSent.Code != 50 {
			t.Errorf("%v: alerts %+v %+v", role, got.AlertSent, got.AlertReceived)
		}
	}
}

// printedBy makes a connection of ours, with what one end would print of it.
func printedBy(t *testing.T, role attls.Role, c *Case, w io.Writer) (claimed [2]claims.Claims) {
	t.Helper()
	directory := t.TempDir()
	var ends [2]*scenario.End
	for _, r := range roles {
		end, err := scenario.NewEnd(c.Scenario, r, Prototype{}.Root(), scenario.Find(cases.Find))
		if err != nil {
			t.Fatal(err)
		}
		if end.Config.Groups, err = groupNumbers(groups(&c.Scenario, r)); err != nil {
			t.Fatal(err)
		}
		ends[r] = end
	}
	d := dumps{w}
	ends[role].Config.Tap = d
	d.dump("client hello, random bytes", bytes.Repeat([]byte{0xab}, 32))
	d.dump("Server handshake traffic secret", []byte{1, 2})
	var processes [2]Process
	for _, r := range []attls.Role{attls.RoleServer, attls.RoleClient} {
		task := &Task{Role: r, Directory: directory}
		if r == attls.RoleClient {
			task.Address = processes[attls.RoleServer].Address()
		}
		p, err := startHere(t.Context(), task, func(ctx context.Context, nc net.Conn, _ io.Writer) (claims.Claims, error) {
			return ends[r].Exchange(ctx, nc)
		})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Stop()
		processes[r] = p
	}
	for _, r := range roles {
		var err error
		if claimed[r], err = processes[r].Claims(); err != nil {
			t.Fatal(err)
		}
	}
	return claimed
}

// TestVeraison: the test double answers as the service does, with results that a
// Verifier of ours takes for good Evidence and for no other.
func TestVeraison(t *testing.T) {
	software, verifier := Prototype{}.Root()(nil)
	service, err := startVeraison(verifier, "")
	if err != nil {
		t.Fatal(err)
	}
	defer service.stop()
	var found struct {
		Key       struct{ X, Y, Alg string } `json:"ear-verification-key"`
		State     string                     `json:"service-state"`
		Endpoints map[string]string          `json:"api-endpoints"`
	}
	call(t, http.MethodGet, service.url()+"/.well-known/veraison/verification", nil, http.StatusOK, &found)
	point, err := prototypeSigner().PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if found.State != "READY" || found.Key.Alg != "ES256" || found.Key.X+found.Key.Y != base64.RawURLEncoding.EncodeToString(point[1:33])+base64.RawURLEncoding.EncodeToString(point[33:]) {
		t.Errorf("%+v", found)
	}
	newSession := service.url() + found.Endpoints["newChallengeResponseSession"]
	for _, size := range []string{"", "7", "65", "x"} {
		call(t, http.MethodPost, newSession+"?nonceSize="+size, nil, http.StatusBadRequest, nil)
	}
	for _, test := range []struct {
		bad bool
		lie string
	}{{}, {bad: true}, {lie: "key-type"}} {
		service.lie = test.lie
		var session struct {
			Nonce          []byte
			Status, Result string
		}
		location := call(t, http.MethodPost, newSession+"?nonceSize=8", nil, http.StatusCreated, &session)
		if session.Status != "waiting" || !bytes.Equal(session.Nonce, []byte{0, 1, 2, 3, 4, 5, 6, 7}) {
			t.Fatalf("%+v", session)
		}
		if test.bad {
			session.Nonce[0] ^= 1
		}
		scheme := negotiation.Scheme{Model: profile.ModelEvidence, Format: attestation.PrototypeFormat}
		evidence, err := software.Attest(t.Context(), &negotiation.EvidenceRequest{Scheme: scheme, Challenge: session.Nonce, Attester: attls.RoleClient})
		if err != nil {
			t.Fatal(err)
		}
		call(t, http.MethodPost, location, evidence.CMW, http.StatusOK, &session)
		if session.Status != "complete" {
			t.Errorf("%+v", session)
		}
		relayed, err := (&attestation.CMW{Format: profile.Format{ContentFormat: attestation.FormatJWT}, Value: []byte(session.Result)}).Encode()
		if err != nil {
			t.Fatal(err)
		}
		relying := &attestation.Verifier{Trusted: []attestation.TrustedVerifier{{Identity: []byte(verifier.Identity), Key: verifier.Key.Public()}}}
		verdict, err := relying.Appraise(t.Context(), &negotiation.AppraisalRequest{CMW: relayed,
			Scheme: negotiation.Scheme{Model: profile.ModelResults, Verifier: []byte(verifier.Identity)}})
		if err != nil {
			t.Fatal(err)
		}
		if accepted := verdict.Failure == ""; accepted == test.bad || accepted && bytes.Equal(verdict.SPKI, evidence.SPKI) != (test.lie == "") {
			t.Errorf("%+v: %+v", test, verdict)
		}
	}
	call(t, http.MethodPost, service.url()+"/challenge-response/v1/session/9", nil, http.StatusNotFound, nil)
}

// call makes a request and returns the location of what it made.
func call(t *testing.T, method, address string, body []byte, status int, answer any) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, address, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/cmw")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != status {
		t.Fatalf("%s %s: %s", method, address, response.Status)
	}
	if answer != nil {
		if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
			t.Fatal(err)
		}
	}
	location, err := response.Location() // relative to the request's address
	if err != nil {
		return ""
	}
	return location.String()
}

// TestPrototypeLimits: what the programs cannot do is told by role.
func TestPrototypeLimits(t *testing.T) {
	p := Prototype{Client: "client", Server: "server"} // not there, hence of no variant that asks a Verifier or uses Parsec
	for name, change := range map[string]func(*scenario.Scenario){
		"mbedtls-poc only":      func(s *scenario.Scenario) { s.Profile = "early-attestation-06" },
		"no group":              func(s *scenario.Scenario) { s.Group = "X25519MLKEM768" },
		"no cipher suite":       func(s *scenario.Scenario) { s.Suite = "TLS_SHA256_SHA256" },
		"no tickets":            func(s *scenario.Scenario) { s.Resumption = scenario.ResumePSKOnly },
		"Evidence itself":       func(s *scenario.Scenario) { s.Fail = "attester-unavailable" },
		"built in":              func(s *scenario.Scenario) { s.Fail = "verifier-unreachable" },
		"verdict inside":        func(s *scenario.Scenario) { s.Fail = cases.Lies()[0] },
		"demands attestation":   func(s *scenario.Scenario) { s.Tolerate = "unaware-server" },
		"one reading":           func(s *scenario.Scenario) { s.Readings = map[string]string{"a": "b"} },
		"mbedTLS sends no cook": func(s *scenario.Scenario) { s.Cookie = true },
	} {
		s := prototypeCase("", "").Scenario
		if said := p.Limit(&s, attls.RoleClient) + p.Limit(&s, attls.RoleServer); said != "" {
			t.Fatal(said)
		}
		change(&s)
		if said := p.Limit(&s, attls.RoleClient) + p.Limit(&s, attls.RoleServer); !strings.Contains(said, name) {
			t.Errorf("%s: %q", name, said)
		}
	}
}

// TestPrototypeDeviations: those of the built-in verifier are not those of a server
// that asks one.
func TestPrototypeDeviations(t *testing.T) {
	self, err := os.Executable() // holds the name of the option for a Verifier's address
	if err != nil {
		t.Fatal(err)
	}
	for fail, want := range map[string][2]bool{"trailing": {true, false}, "reference-value": {true, false}, "key-type": {false, true}, "offer-changed": {true, true}, "binder": {}} {
		for i, p := range []Prototype{{Server: "server"}, {Server: self}} {
			if d := p.Deviation(&scenario.Scenario{Fail: fail}, attls.RoleServer); (d != nil) != want[i] {
				t.Errorf("%s of %+v: %+v", fail, p, d)
			}
		}
	}
}

// TestPrototypePrograms meets the programs themselves.
func TestPrototypePrograms(t *testing.T) {
	p, err := NewPrototype("", "", "")
	if err != nil {
		t.Fatal(err)
	}
	if reason := p.Missing(); reason != "" {
		t.Skip(reason)
	}
	o := Defaults()
	o.Pairs, o.Plain, o.Profiles, o.Faults = nil, nil, []string{prototypeProfile}, true
	cases, err := Cases(o)
	if err != nil {
		t.Fatal(err)
	}
	passed := 0
	for _, r := range RunAll(t.Context(), cases, []Peer{InProcess{}, p}, Settings{Parallel: 2, Recorder: &Recorder{}}, func(*Result) {}) {
		if r.Status == Failed || r.Status == Skipped {
			t.Errorf("%s: %s", r.String(), r.Reason)
		}
		if r.Status == Passed {
			passed++
		}
		if r.Status == Passed && r.Scenario.Injected() == "" && (len(r.Findings) > 0 || len(r.Ladder) < 13 || r.Unrecorded != "") {
			t.Errorf("%s: recorded %d messages, findings %+v, %s", r.String(), len(r.Ladder), r.Findings, r.Unrecorded)
		}
	}
	if passed < 10 {
		t.Errorf("%d of %d cases passed", passed, len(cases))
	}
}

// withoutCertificateVerify leaves it out.
type withoutCertificateVerify struct{ dumps }

func (w withoutCertificateVerify) Message(dir handshake.Direction, m *message.Raw, p *handshake.Plan) {
	p.Drop = dir == handshake.Sent && m.Kind == attls.KindCertificateVerify
}

func (w withoutCertificateVerify) Fork() handshake.Tap { return w }

// TestPrototypeUnproven: a server that asks a Verifier lets in a client that proves no
// key, where the result attests one on P-384. Should it no longer do so, what is
// known of it has to be changed.
func TestPrototypeUnproven(t *testing.T) {
	p, err := NewPrototype("", "", "")
	if err != nil {
		t.Fatal(err)
	}
	if p.Server == "" || !p.asksVerifier() {
		t.Skip("there is no ssl_server2 of the proof of concept that asks a Verifier")
	}
	for fail, want := range map[string]bool{"": false, "key-type": true} {
		s := prototypeCase("", "").Scenario
		end, err := scenario.NewEnd(s, attls.RoleClient, p.Root(), scenario.Find(cases.Find))
		if err != nil {
			t.Fatal(err)
		}
		end.OwnAnswer, end.Config.Tap = true, withoutCertificateVerify{dumps{io.Discard}}
		s.Fail = fail // the server's verifier lies
		task := Task{Scenario: s, Role: attls.RoleServer, Directory: t.TempDir()}
		if err := writeFiles(task.Directory); err != nil {
			t.Fatal(err)
		}
		server, err := p.Start(t.Context(), &task)
		if err != nil {
			t.Fatal(err)
		}
		defer server.Stop()
		nc, err := net.Dial("tcp", server.Address())
		if err != nil {
			t.Fatal(err)
		}
		claims, err := end.Exchange(t.Context(), nc)
		if err != nil {
			t.Fatal(err)
		}
		if got := claims.State == "closed" && claims.DataReceived > 0; got != want {
			t.Errorf("%q: let in %t: %+v", fail, got, claims.Error)
		}
	}
}

// TestSwapped: a client in the server's place, or the other way round, is told from the
// right one by how it explains itself; nothing is said of what explains nothing.
func TestSwapped(t *testing.T) {
	directory := t.TempDir()
	program := func(name, text string) string {
		path := filepath.Join(directory, name)
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	client, server := program("client", "\n usage: ssl_client2 param=<>...\n"), program("server", "\n usage: ssl_server2 param=<>...\n usage: ssl_client2 [param=value] [...]\n")
	silent := program("silent", "#!/bin/sh\n")
	for _, test := range []struct{ name, client, server, want string }{
		{"as they have to be", client, server, ""},
		{"only one of them", client, "", ""},
		{"programs that explain nothing", silent, silent, ""},
		{"both swapped", server, client, "--poc-client wants ssl_client2, and " + server + " is ssl_server2"},
		{"a server as client", server, server, "--poc-client wants ssl_client2"},
		{"a client as server", client, client, "--poc-server wants ssl_server2, and " + client + " is ssl_client2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := NewPrototype(test.client, test.server, "")
			if got := fmt.Sprint(err); test.want == "" && err != nil || !strings.Contains(got, test.want) {
				t.Errorf("%v, not %s", err, test.want)
			}
		})
	}
}
