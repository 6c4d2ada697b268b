package placement

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"attls"
	"attls/conformance/adapter"
	"attls/extensions"
)

// TestRegistry: the copy is whole, and says of each extension in TLS 1.3 what the engine's
// table says.
func TestRegistry(t *testing.T) {
	table := extensions.RFC8446()
	numbers := map[attls.ExtensionType]*Entry{}
	assigned := 0
	for i := range IANA().Entries {
		e := &IANA().Entries[i]
		numbers[e.Type] = e
		if e.Assigned {
			assigned++
		}
	}
	if assigned < 60 || IANA().Date == "unknown" {
		t.Errorf("%d extensions, date %q", assigned, IANA().Date)
	}
	for n := range attls.ExtensionType(64) {
		if numbers[n] == nil {
			t.Errorf("no row for %d", n)
		}
	}
	for n, e := range numbers {
		row, ok := table.Lookup(n)
		if !ok || e.Legacy {
			continue
		}
		for _, k := range []attls.MessageKind{ch, sh, hrr, ee, cr, ct, nst} {
			if (row.In(k) != nil) != e.In(k) {
				t.Errorf("%s in %s: the registry says %v", e.Name, k, e.In(k))
			}
		}
	}
}

func TestBrokenRegistries(t *testing.T) {
	head := "Value,Extension Name,TLS 1.3\n"
	for name, w := range map[string]struct{ text, says string }{
		"empty":     {"", "f: it is empty"},
		"no column": {"Value,Name\n", "f:1:1: no column"},
		"number":    {head + "x,a,CH\n", "f:2:1: \"x\" is not a number"},
		"too large": {head + "65536,a,CH\n", "f:2:1: \"65536\" is not a number"},
		"message":   {head + "1,a,\"CH, XX\"\n", "f:2:5: \"XX\" is not one of"},
		"twice":     {head + "1,a,CH\n1,b,CH\n", "f:3:1: 1 appears twice"},
		"short":     {head + "1\n", ""},
		"quote":     {head + "1,\"a,CH\n", "f: 2:"},
		"no rows":   {head, "f: it has no rows"},
	} {
		_, err := ReadRegistry("f", strings.NewReader(w.text))
		if w.says == "" && err != nil || w.says != "" && (err == nil || !strings.HasPrefix(err.Error(), w.says)) {
			t.Errorf("%s: %v, want %q", name, err, w.says)
		}
	}
}

// TestForms: the well-formed bodies are so for the engine's own parsers, and what is called
// malformed is not.
func TestForms(t *testing.T) {
	parse := map[attls.ExtensionType]func([]byte) bool{
		attls.ExtSupportedGroups:        func(b []byte) bool { _, err := extensions.ParseSupportedGroups(b); return err == nil },
		attls.ExtSignatureAlgorithms:    func(b []byte) bool { _, err := extensions.ParseSignatureAlgorithms(b); return err == nil },
		attls.ExtCookie:                 func(b []byte) bool { _, err := extensions.ParseCookie(b); return err == nil },
		attls.ExtALPN:                   func(b []byte) bool { _, err := extensions.ParseALPN(b); return err == nil },
		attls.ExtServerName:             func(b []byte) bool { _, err := extensions.ParseServerName(b); return err == nil },
		attls.ExtKeyShare:               func(b []byte) bool { _, err := extensions.ParseKeyShares(b); return err == nil },
		attls.ExtSupportedVersions:      func(b []byte) bool { _, err := extensions.ParseSupportedVersions(b); return err == nil },
		attls.ExtPSKKeyExchangeModes:    func(b []byte) bool { _, err := extensions.ParsePSKKeyExchangeModes(b); return err == nil },
		attls.ExtCertificateAuthorities: func(b []byte) bool { _, err := extensions.ParseCertificateAuthorities(b); return err == nil },
		attls.ExtRecordSizeLimit:        func(b []byte) bool { _, err := extensions.ParseRecordSizeLimit(b); return err == nil },
		attls.ExtTicketRequest:          func(b []byte) bool { _, err := extensions.ParseTicketRequest(b); return err == nil },
		attls.ExtPostHandshakeAuth:      func(b []byte) bool { return extensions.ParseEmpty(b) == nil },
	}
	for x := range attls.ExtensionType(0xffff) {
		list, known := bodies(x, ch)
		p := parse[x]
		if !known || p == nil {
			continue
		}
		for b, octets := range list {
			if p(octets) == broken(x, ch, b) {
				t.Errorf("%s, %s: %x", x, b, octets)
			}
		}
	}
}

// result makes a result by the name of a case.
func result(t *testing.T, name string, o Observation) Result {
	t.Helper()
	for _, c := range Cases(IANA()) {
		if c.Name() == name {
			return Result{Case: c, Observation: o}
		}
	}
	t.Fatalf("no case %s", name)
	return Result{}
}

func refused(a attls.AlertDescription) Observation { return Observation{Outcome: Refused, Alert: &a} }

// TestJudge: what is a finding, and of which kind.
func TestJudge(t *testing.T) {
	unsupported, illegal, decode := attls.AlertUnsupportedExtension, attls.AlertIllegalParameter, attls.AlertDecodeError
	ok := Observation{Outcome: Accepted}
	asked := func(o Observation) Observation { o.Asked = true; return o }
	knows := Observation{Outcome: Accepted, Shown: map[attls.MessageKind][]attls.ExtensionType{ch: {attls.ExtKeyShare, attls.ExtOIDFilters, attls.ExtCookie, attls.ExtUseSRTP, attls.ExtDelegatedCredential, attls.ExtPreSharedKey}}}
	for _, w := range []struct {
		name  string
		o     Observation
		kinds []Kind
	}{
		{"client/encrypted_extensions/unassigned_63/empty", refused(unsupported), nil},
		{"client/encrypted_extensions/unassigned_63/empty", ok, []Kind{KindAccepted}},
		{"client/encrypted_extensions/unassigned_63/empty", refused(illegal), []Kind{KindAlert}},
		{"client/encrypted_extensions/unassigned_63/empty", Observation{Outcome: Closed}, []Kind{KindNoAlert}},
		{"client/encrypted_extensions/unassigned_63/empty", Observation{Outcome: Unreadable}, []Kind{KindAlert}},
		{"client/encrypted_extensions/unassigned_63/empty", Observation{Outcome: Silent}, []Kind{KindSilent}},
		{"client/encrypted_extensions/unassigned_63/empty", Observation{Outcome: Crashed}, []Kind{KindCrash}},
		{"client/encrypted_extensions/unassigned_63/empty", Observation{Outcome: Unsent}, nil},
		// Two rules apply, and both alerts are right.
		{"client/encrypted_extensions/cookie/well-formed", refused(unsupported), nil},
		{"client/encrypted_extensions/cookie/well-formed", refused(illegal), nil},
		{"client/encrypted_extensions/cookie/well-formed", refused(decode), []Kind{KindAlert}},
		{"client/encrypted_extensions/cookie/malformed", refused(decode), nil},
		// Where no grammar is known here, or one of another message, the body may not be well-formed.
		{"client/certificate/delegated_credential/well-formed", refused(decode), nil},
		{"client/certificate/delegated_credential/empty", asked(refused(decode)), nil},
		{"client/encrypted_extensions/delegated_credential/well-formed", asked(refused(decode)), nil},
		{"client/encrypted_extensions/delegated_credential/well-formed", asked(ok), []Kind{KindAccepted}},
		{"client/encrypted_extensions/pre_shared_key/well-formed", refused(decode), nil},
		{"client/encrypted_extensions/pre_shared_key/well-formed", refused(attls.AlertHandshakeFailure), []Kind{KindAlert}},
		{"client/server_hello/pre_shared_key/well-formed", refused(decode), []Kind{KindAlert}}, // it has one grammar there
		{"client/encrypted_extensions/unassigned_63/empty", refused(decode), []Kind{KindAlert}},
		// It asked for it, and the message is the wrong one.
		{"client/encrypted_extensions/key_share/well-formed", asked(refused(illegal)), nil},
		{"client/encrypted_extensions/key_share/well-formed", asked(refused(unsupported)), []Kind{KindAlert}},
		// It asked for it, and the message is right.
		{"client/encrypted_extensions/use_srtp/well-formed", asked(ok), nil},
		{"client/encrypted_extensions/use_srtp/well-formed", asked(refused(illegal)), nil},
		{"client/encrypted_extensions/use_srtp/malformed", asked(refused(decode)), nil},
		{"client/encrypted_extensions/use_srtp/malformed", asked(ok), []Kind{KindAccepted}},
		// The one answer without a request.
		{"client/hello_retry_request/cookie/well-formed", ok, nil},
		{"client/hello_retry_request/cookie/well-formed", refused(unsupported), []Kind{KindRefused}},
		// What is not known is ignored, what is known is not.
		{"client/certificate_request/private_65280/empty", ok, nil},
		{"client/certificate_request/private_65280/empty", refused(unsupported), []Kind{KindRefused}},
		{"client/certificate_request/heartbeat/empty", ok, nil},
		{"client/certificate_request/key_share/well-formed", ok, []Kind{KindAccepted}},
		{"client/certificate_request/key_share/well-formed", refused(illegal), nil},
		{"client/certificate_request/oid_filters/well-formed", refused(illegal), []Kind{KindRefused}},
		{"server/client_hello/oid_filters/well-formed", ok, []Kind{KindAccepted}},
		{"server/client_hello/ec_point_formats/empty", ok, nil},
		// Nothing may follow a fatal alert.
		{"client/encrypted_extensions/unassigned_63/empty", Observation{Outcome: Refused, Alert: &unsupported, After: []byte{21}}, []Kind{KindAfter}},
	} {
		results := []Result{result(t, "client/server_hello", knows), result(t, w.name, w.o)}
		if unjudged := Judge(results); len(unjudged) > 0 {
			t.Errorf("%s: %v", w.name, unjudged)
		}
		var got []Kind
		for _, f := range results[1].Findings {
			got = append(got, f.Kind)
		}
		if !slices.Equal(got, w.kinds) {
			t.Errorf("%s, %s: %v, want %v", w.name, w.o.String(), got, w.kinds)
		}
	}
}

// TestControls: where a stack does not go on without any change, nothing is judged and that is said.
func TestControls(t *testing.T) {
	results := []Result{result(t, "client/server_hello", refused(attls.AlertHandshakeFailure)),
		result(t, "client/server_hello/unassigned_63/empty", Observation{Outcome: Accepted}),
		result(t, "client/new_session_ticket", Observation{Outcome: Closed}),
		result(t, "client/new_session_ticket/unassigned_63/empty", Observation{Outcome: Closed})}
	unjudged := Judge(results)
	if len(unjudged) != 1 || !strings.Contains(unjudged[0], "handshake_failure") || len(results[1].Findings)+len(results[3].Findings) > 0 {
		t.Errorf("unjudged %q, findings %v, %v", unjudged, results[1].Findings, results[3].Findings)
	}
}

// sample is a few cases of each message.
func sample() (list []Case) {
	for _, c := range Cases(IANA()) {
		if c.control() || slices.Contains([]string{"server_name", "cookie", "key_share", "unassigned_63", "reserved_0a0a", "early_data"}, c.entry.Title()) {
			list = append(list, c)
		}
	}
	return list
}

// TestOwn: this stack has no finding in a sample, and one that is spoiled has.
func TestOwn(t *testing.T) {
	own, err := Own()
	if err != nil {
		t.Fatal(err)
	}
	cases := sample()
	results, err := Run(t.Context(), own, cases, Options{Parallel: 4, Timeout: 4 * DefaultTimeout})
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != len(cases) {
		t.Fatalf("%d results of %d cases", len(results), len(cases))
	}
	unjudged := Judge(results)
	s := NewStacked("attls", "", results, unjudged, nil, true)
	for _, g := range s.Groups {
		t.Errorf("%s: %v", g.Title(), g.Cases)
	}
	outcomes := map[Outcome]int{}
	for i := range results {
		outcomes[results[i].Outcome]++
	}
	if len(unjudged) > 0 || outcomes[Accepted] < 20 || outcomes[Refused] < 50 || outcomes[Accepted]+outcomes[Refused] != len(results) {
		t.Errorf("outcomes %v, unjudged %q", outcomes, unjudged)
	}
	c := s.Find("client/certificate/cookie/empty")
	if c == nil || !c.Known || c.Alert != "unsupported_extension" && c.Alert != "illegal_parameter" {
		t.Errorf("%+v", c)
	}
}

// TestCryptoTLS: a stack that takes everything in answers is found out, what is known of it is told
// apart, an entry that nothing shows is an error, and a page says what was sent.
func TestCryptoTLS(t *testing.T) {
	stack, err := CryptoTLS()
	if err != nil {
		t.Fatal(err)
	}
	cases := Select(sample(), "client/encrypted_extensions")
	results, err := Run(t.Context(), stack, cases, Options{Timeout: 4 * DefaultTimeout, Captures: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	unjudged := Judge(results)
	a, err := adapter.Parse("f", []byte(`adapter: x
built_in: x
deviations:
  - {does: it takes what it does not know, placement: {kinds: [accepted], known: false}}
  - {does: it crashes, placement: {kinds: [crash]}}
`))
	if err != nil {
		t.Fatal(err)
	}
	s := NewStacked("x", "1.0", results, unjudged, a, true)
	unknown, deviations := s.Count()
	if deviations == 0 || unknown == 0 || len(s.Unused) != 1 || !strings.HasPrefix(s.Unused[0], "f:5:") {
		t.Errorf("%d unknown, %d deviations, unused %q, unjudged %q", unknown, deviations, s.Unused, unjudged)
	}
	r := Report{Schema: Schema, Stacks: []Stacked{s}}
	if err := r.Verdict(); err == nil || !strings.Contains(err.Error(), "did not occur") {
		t.Errorf("verdict: %v", err)
	}
	var page bytes.Buffer
	g := slices.IndexFunc(s.Groups, func(g Group) bool { return g.Deviation != "" })
	if err := (&Issue{Stack: &s, Group: &s.Groups[g], Command: "again", Capture: "a.pcapng"}).Write(&page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"RFC 8446 section 4.2", "Known: it takes what it does not know", "002c 0000", "unassigned_63", "again", "a.pcapng", "finished"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page lacks %q:\n%s", want, page.String())
		}
	}
	var b bytes.Buffer
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	again, err := ReadReport("f", &b)
	if err != nil || len(again.Stacks[0].Results) != len(cases) {
		t.Errorf("%v", err)
	}
}

// TestVerdict: what was asked for and not tried is no success.
func TestVerdict(t *testing.T) {
	sent := Line{Name: "a", Extension: "x", Outcome: Accepted}
	unsent := Line{Name: "b", Extension: "x", Outcome: Unsent}
	for says, s := range map[string]Stacked{
		"": {Name: "s", Results: []Line{sent}}, "no case was run with s": {Name: "s"},
		"1 cases were not sent to s": {Name: "s", Results: []Line{sent, unsent}},
	} {
		err := (&Report{Stacks: []Stacked{s}}).Verdict()
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
	if err := (&Report{Stacks: []Stacked{{Name: "s", Missing: "it is"}, {Name: "i", Unrun: 1}}}).Verdict(); err != nil {
		t.Error(err)
	}
}

// TestAnsweredLate: a case without an answer is sent once more.
func TestAnsweredLate(t *testing.T) {
	calls := 0
	s := &InProcess{Server: func(_ context.Context, nc net.Conn) error {
		if _, err := nc.Read(make([]byte, 4096)); err != nil {
			return err
		}
		if calls++; calls == 1 {
			_, err := nc.Read(make([]byte, 1))
			return err
		}
		_, err := nc.Write([]byte{21, 3, 3, 0, 2, 2, 110})
		return err
	}}
	cases := []Case{result(t, "server/client_hello/unassigned_63/empty", Observation{}).Case}
	results, err := Run(t.Context(), s, cases, Options{Parallel: 1, Timeout: DefaultTimeout / 5})
	if err != nil || len(results) != 1 || results[0].Outcome != Refused {
		t.Errorf("%+v, %v", results, err)
	}
}

// dying is a stack whose servers end after the first connection, and accept one more.
type dying struct{ InProcess }

func (*dying) Serve(context.Context) (Peer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	g := &goroutine{address: l.Addr().String(), ended: make(chan struct{}), stop: func() { l.Close() }}
	go func() {
		defer close(g.ended)
		defer l.Close()
		for i := range 2 {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			if i == 0 {
				_, _ = nc.Read(make([]byte, 4096))
				_, _ = nc.Write([]byte{21, 3, 3, 0, 2, 2, 110})
			}
			nc.Close()
		}
	}()
	return g, nil
}

// TestDyingServer: a server that ends by itself is not taken for the answer to the next case.
func TestDyingServer(t *testing.T) {
	cases := []Case{result(t, "server/client_hello/unassigned_63/empty", Observation{}).Case,
		result(t, "server/client_hello/unassigned_63/well-formed", Observation{}).Case}
	results, err := Run(t.Context(), &dying{}, cases, Options{Parallel: 1})
	if err != nil || len(results) != 2 || results[0].Outcome != Refused || results[1].Outcome != Refused {
		t.Errorf("%+v, %v", results, err)
	}
}

// TestNoTickets: a client that takes no tickets is told apart from one that refuses them.
func TestNoTickets(t *testing.T) {
	stack := &InProcess{Client: func(ctx context.Context, nc net.Conn) error {
		c := tls.Client(nc, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, ServerName: serverName}) // without a cache
		defer c.Close()
		if err := c.HandshakeContext(ctx); err != nil {
			return err
		}
		return answer(c, false)
	}}
	results, err := Run(t.Context(), stack, []Case{result(t, "client/new_session_ticket", Observation{}).Case}, Options{Parallel: 1})
	if err != nil || len(results) != 1 || results[0].Outcome != Unsent || !strings.Contains(results[0].Detail, "psk_key_exchange_modes") {
		t.Errorf("%+v, %v", results, err)
	}
}

// TestUnseen: messages after which an end shows nothing are not sent to it.
func TestUnseen(t *testing.T) {
	a, err := adapter.Parse("f", []byte("adapter: x\nclient: {command: [a], unseen: [new_session_ticket]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	p := &Programs{stack: a.Find(t.Context(), nil)}
	for name, want := range map[string]bool{"client/new_session_ticket/unassigned_63/empty": false,
		"client/new_session_ticket": false, "client/certificate/unassigned_63/empty": true} {
		if c := result(t, name, Observation{}).Case; p.Takes(&c) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}

// TestHostileStack: one that floods after an alert, one that says nothing and one that closes.
func TestHostileStack(t *testing.T) {
	alert := []byte{21, 3, 3, 0, 2, 2, 110}
	for name, w := range map[string]struct {
		server func(nc net.Conn)
		want   Outcome
		after  bool
	}{
		"floods": {func(nc net.Conn) { _, _ = nc.Write(append(slices.Clone(alert), make([]byte, maxKept+maxKept/2)...)) }, Refused, true},
		"alert":  {func(nc net.Conn) { _, _ = nc.Write(alert) }, Refused, false},
		"closes": {func(net.Conn) {}, Closed, false},
		"silent": {func(nc net.Conn) { _, _ = nc.Read(make([]byte, 1)) }, Silent, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := &InProcess{Server: func(_ context.Context, nc net.Conn) error {
				if _, err := nc.Read(make([]byte, 4096)); err != nil {
					return err
				}
				w.server(nc)
				return nil
			}}
			o := Options{Parallel: 1}
			if w.want == Silent {
				o.Timeout = DefaultTimeout / 20
			}
			results, err := Run(t.Context(), s, []Case{result(t, "server/client_hello/unassigned_63/empty", Observation{}).Case}, o)
			if err != nil || len(results) != 1 || results[0].Outcome != w.want || len(results[0].After) > 0 != w.after {
				t.Errorf("%+v, %v", results, err)
			}
		})
	}
}

// halfAStack is a stack whose server cannot be started, and whose client ends at once where that is asked for.
type halfAStack struct {
	Stack
	ends     bool
	connects atomic.Int32
}

func (b *halfAStack) Serve(context.Context) (Peer, error) { return nil, errors.New("no licence") }

func (b *halfAStack) Connect(ctx context.Context, address string) (Peer, error) {
	b.connects.Add(1)
	if b.ends {
		return (&InProcess{Client: func(context.Context, net.Conn) error { return nil }}).Connect(ctx, address)
	}
	return b.Stack.Connect(ctx, address)
}

// TestHalfAStack: an end that cannot be run takes nothing away from the other one, and one that goes on
// after no message is asked no more, and says so once.
func TestHalfAStack(t *testing.T) {
	own, err := Own()
	if err != nil {
		t.Fatal(err)
	}
	cases, clients, controls := sample(), 0, 0
	for i := range cases {
		if cases[i].Role == attls.RoleClient {
			if clients++; cases[i].control() {
				controls++
			}
		}
	}
	for _, ends := range []bool{false, true} {
		s := &halfAStack{Stack: own, ends: ends}
		results, err := Run(t.Context(), s, cases, Options{Parallel: 2, Timeout: 4 * DefaultTimeout})
		if len(results) != clients || err == nil || err.Error() != "as a server, it cannot be run: no licence" {
			t.Fatalf("%d results of %d cases of the client, %v", len(results), clients, err)
		}
		unjudged, want, most := Judge(results), 0, 2*clients
		if ends {
			want, most = 1, tries*controls
		}
		if n := int(s.connects.Load()); len(unjudged) != want || n > most {
			t.Errorf("%d connections, %q", n, unjudged)
		}
	}
}
