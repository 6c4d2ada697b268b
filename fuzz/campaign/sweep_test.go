package campaign

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"attls"
)

// TestSweep: it comes to an end, makes no input twice, and its beginning has each simple edit.
func TestSweep(t *testing.T) {
	x := target(t, "mbedtls-poc")
	w, err := newWorld()
	if err != nil {
		t.Fatal(err)
	}
	list, _, err := x.subjects(w, nil)
	if err != nil {
		t.Fatal(err)
	}
	m := newMutator(rand.New(rand.NewPCG(1, 1)), list)
	all, done, kinds := 0, map[string]bool{}, map[string]bool{}
	for {
		in, s := m.swept(x, list, attls.RoleClient)
		if in == nil {
			break
		}
		if all++; all > mostSwept {
			t.Fatal("it does not end")
		}
		if in.Connection != s.conn || in.role() != attls.RoleClient || len(in.Edits) == 0 || in.check() != nil {
			t.Fatalf("%+v: %v", in, in.check())
		}
		e := &in.Edits[0]
		if e.From == "" { // others are drawn, and may come twice
			key := fmt.Sprint(in.Connection, in.Edits)
			if done[key] {
				t.Errorf("twice: %s", key)
			}
			done[key] = true
		}
		if all < 6000 {
			kinds[e.Do+" "+e.Message] = true
		}
	}
	for _, name := range []string{"ClientHello", "Certificate", "CertificateVerify", "Finished"} {
		for _, do := range []string{"drop", "repeat", "truncate", "length", "field", "append", "insert"} {
			if !kinds[do+" "+name] {
				t.Errorf("the beginning has no %s of %s", do, name)
			}
		}
	}
	for _, do := range []string{"disobey ", "credential ", "signature ", "evidence ", "verdict ", "scheme ", "record ", "pad ",
		"split ", "extension-add ClientHello", "extension-remove ClientHello", "extension-swap ClientHello"} {
		if !kinds[do] {
			t.Errorf("the beginning has no %q", do)
		}
	}
	if all < 10000 || len(done) < 2000 {
		t.Errorf("%d inputs, %d of them once", all, len(done))
	}
}

// TestEnergy: what a rule had to do with is drawn more often than other inputs, so many times.
func TestEnergy(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var k kept
	if k.draw(r) != nil {
		t.Error("an input out of nothing")
	}
	for range 50 {
		k.add(&Input{}, 0)
	}
	special := &Input{}
	k.add(special, energyRule)
	n := 0
	for range 4 * energyRule {
		if k.draw(r) == special {
			n++
		}
	}
	if n < energyRule || n > 2*energyRule || len(k.hot) > 0 {
		t.Errorf("drawn %d times, with %d left", n, len(k.hot))
	}
}

// TestRulesGiveEnergy: the first input that a rule refuses gets it, the next one does not.
func TestRulesGiveEnergy(t *testing.T) {
	w := &worker{rules: map[refused]bool{}}
	r := &run{}
	if w.refusals(r) != 0 {
		t.Error("nothing was refused")
	}
	r.errs[1] = attls.Errorf(attls.Violation, attls.FailUnexpectedMessage, "x")
	if first, second := w.refusals(r), w.refusals(r); first != energyRule || second != 0 {
		t.Errorf("%d, then %d", first, second)
	}
	r.errs[1] = attls.Errorf(attls.FromPeer, attls.FailPeerRefused, "x")
	if w.refusals(r) != 0 {
		t.Error("an alert is not a rule of this end")
	}
}

// TestWhatProfilesAdd: bugs that show under another reading, after the handshake, or with keys of
// another type are noticed, and without them nothing is.
func TestWhatProfilesAdd(t *testing.T) {
	all := bugs(t)
	remove := func(message string, x attls.ExtensionType) []Edit {
		return []Edit{{Do: "extension-remove", Message: message, Extension: x}}
	}
	again := []Edit{{Do: "repeat", Message: "ExtendedKeyUpdate", Number: 2}}
	for bug, c := range map[string]struct {
		law  string
		conn Connection
		// Edits, or the number of a message of an update whose body becomes the client's request.
		edits   []Edit
		request int
	}{
		"flag-agreed":             {law: "flag-agreed", conn: Connection{Attester: "server"}, edits: remove("EncryptedExtensions", attls.ExtTLSFlags)},
		"choice-some":             {law: "choice-some", conn: Connection{Attester: "server", Undemanding: true}, edits: []Edit{{Do: "disobey", Answer: "choose-answered"}}},
		"certificate-type-agreed": {law: "certificate-type-agreed", conn: Connection{Attester: "server", Credential: "attestation"}, edits: remove("EncryptedExtensions", attls.ExtServerCertificateType)},
		"binder-defined":          {law: "evidence-bound", conn: Connection{Attester: "server", Undemanding: true, RSA: true}},
		"quirk-no-ccs":            {law: "quirks", edits: []Edit{{Do: "field", Message: "ClientHello", Path: "client_hello.legacy_session_id", Octets: make([]byte, 32)}}},
		"quirk-never-send":        {law: "quirks", conn: Connection{Attester: "client", Tickets: true, Undemanding: true}},
		"update-payload-due":      {law: "update-attestation", conn: Connection{Attester: "server", ExtendedKeyUpdate: true}, edits: []Edit{{Do: "repeat", Message: "ExtendedKeyUpdate", Number: 1}}},
		"update-outcome-due":      {law: "update-attestation", conn: Connection{Attester: "server", ExtendedKeyUpdate: true}, edits: again},
		"update-outcome-sent":     {law: "update-attestation", conn: Connection{Attester: "server", ExtendedKeyUpdate: true}, request: 2},
		"update-attested":         {law: "update-attestation", conn: Connection{Attester: "server", ExtendedKeyUpdate: true}, request: 1},
	} {
		t.Run(bug, func(t *testing.T) {
			plant := all[bug]
			x, err := target(t, plant.Profile).under(plant.Readings)
			if err != nil {
				t.Fatal(err)
			}
			in := x.input(c.conn, plant.Role.Peer())
			in.Edits = c.edits
			if c.request > 0 {
				r, _ := outcome(t, x, nil, in)
				sent := r.messagesOf(attls.RoleClient)
				at := slices.IndexFunc(sent, func(b []byte) bool { return attls.HandshakeType(b[0]) == attls.TypeExtendedKeyUpdate })
				in.Edits = []Edit{{Do: "body", Message: "ExtendedKeyUpdate", Number: c.request, Octets: sent[at][4:]}}
			}
			if _, broken := outcome(t, x, nil, in); len(broken) > 0 {
				t.Errorf("without the bug: %v", broken)
			}
			if _, broken := outcome(t, x, plant, in); !slices.ContainsFunc(broken, func(v Violation) bool { return v.Law == c.law }) {
				t.Errorf("not noticed: %v", broken)
			}
		})
	}
}

// TestKeyTypes: the keys are what they are called, and the same in each process.
func TestKeyTypes(t *testing.T) {
	for _, x := range keyTypes {
		a, err := x.key()
		if err != nil {
			t.Fatal(err)
		}
		b, _ := x.key()
		if fmt.Sprint(a.Public()) != fmt.Sprint(b.Public()) {
			t.Errorf("%s: two keys", x.answer)
		}
	}
}

// TestTickets: the server of such a connection issues one.
func TestTickets(t *testing.T) {
	x := target(t, TLS)
	r, _ := outcome(t, x, nil, x.input(Connection{Tickets: true}, attls.RoleClient))
	if !slices.ContainsFunc(r.messagesOf(attls.RoleServer), func(b []byte) bool {
		return attls.HandshakeType(b[0]) == attls.TypeNewSessionTicket
	}) {
		t.Error("no ticket")
	}
}

// TestEvidenceOfTheBase: connections have the randomness of the one without edits, so that Evidence
// which was made there for the same challenge is of this connection too.
func TestEvidenceOfTheBase(t *testing.T) {
	x := target(t, "early-attestation-00")
	w, err := newWorld()
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSubject(w, x.Name, x.Profile, Connection{Attester: "client", Model: "evidence", Undemanding: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(s.base.ledger, func(d deed) bool { return d.role == attls.RoleClient && d.payload != nil })
	in := x.input(s.conn, attls.RoleClient)
	in.Edits = []Edit{{Do: "disobey", Answer: "binder-formula"},
		{Do: "field", Message: "attestation", Path: "attestation.cmw_payload", Octets: s.base.ledger[at].payload}}
	r, err := s.run(in)
	if err != nil {
		t.Fatal(err)
	}
	if broken := in.violations(r); len(broken) > 0 || !r.done[attls.RoleServer] ||
		r.accepted(attls.RoleServer) == 0 {
		t.Errorf("%v, %v", broken, r.errs)
	}
}

// accepted counts the payloads that an end has appraised and not refused.
func (r *run) accepted(role attls.Role) (n int) {
	for _, d := range r.ledger {
		if d.role == role && d.appraised != nil && d.refused == "" {
			n++
		}
	}
	return n
}

// TestTypeNobodyKnows: a server without raw public keys need not say anything about them.
func TestTypeNobodyKnows(t *testing.T) {
	x := target(t, TLS)
	in := x.input(Connection{Resumption: true}, attls.RoleClient)
	in.Edits = []Edit{{Do: "extension-add", Message: "ClientHello", At: 6, Extension: attls.ExtServerCertificateType, Octets: Octets{1, 2}}}
	if _, broken := outcome(t, x, nil, in); len(broken) > 0 {
		t.Error(broken)
	}
}
