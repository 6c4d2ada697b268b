package handshake_test

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"strings"
	"testing"

	"attls"
	"attls/conformance/pair"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/enginetest"
	"attls/handshake/message"
	"attls/negotiation"
)

// updating is a pair whose ends attest in the handshake and with key updates. A payload is the
// challenge, which the other end compares with its own.
type updating struct {
	o          pair.Options
	seen       *flow
	challenges [2][][]byte // by the role of the attester, as both ends had them
	payload    func(role attls.Role, challenge []byte) []byte
}

func newUpdating(t *testing.T, readings map[string]string, attesters ...attls.Role) *updating {
	t.Helper()
	return newUpdatingUnder(loaded(t, "early-attestation-08pre", readings), attesters...)
}

func newUpdatingUnder(p *profile.Profile, attesters ...attls.Role) *updating {
	l := newLaterAttesting(p)
	u := &updating{o: l.o, seen: l.seen, payload: func(_ attls.Role, c []byte) []byte { return c }}
	u.o.Client.ExtendedKeyUpdate, u.o.Server.ExtendedKeyUpdate = &handshake.ExtendedKeyUpdate{}, &handshake.ExtendedKeyUpdate{}
	scheme := u.o.Client.Policy.Produce
	u.o.Client.Policy, u.o.Server.Policy = negotiation.Policy{}, negotiation.Policy{}
	policies := [2]*negotiation.Policy{attls.RoleClient: &u.o.Client.Policy, attls.RoleServer: &u.o.Server.Policy}
	for _, r := range attesters {
		policies[r].Produce, policies[r.Peer()].Accept = scheme, scheme
	}
	for r, own := range map[attls.Role]*handshake.Credential{attls.RoleClient: clientCredential, attls.RoleServer: serverCredential} {
		u.o.Answer[r] = func(w *handshake.Wait) (handshake.Answer, *attls.Error) {
			switch w.Kind {
			case handshake.WaitEvidence:
				u.challenges[r] = append(u.challenges[r], w.Evidence.Challenge)
				return handshake.Answer{Evidence: &negotiation.Evidence{CMW: u.payload(r, w.Evidence.Challenge)}}, nil
			case handshake.WaitAppraisal:
				if !bytes.Equal(w.Appraisal.CMW, w.Appraisal.Challenge) {
					return handshake.Answer{Verdict: &negotiation.Verdict{Failure: attls.FailBinderMismatch, Reason: "another challenge"}}, nil
				}
				return handshake.Answer{Verdict: accept}, nil
			}
			return enginetest.Answer(own)(w)
		}
	}
	return u
}

func (u *updating) connect(t *testing.T) *pair.Pair {
	t.Helper()
	return (&laterAttesting{o: u.o}).connect(t)
}

// nextHash is transcript_hash_N+1 of the last exchange of a connection.
func nextHash(before []byte, updates []message.Raw) []byte {
	i := slices.IndexFunc(updates, func(m message.Raw) bool { return m.Body()[0] == byte(attls.KeyUpdateRequest) })
	sum := sha256.Sum256(slices.Concat(before, updates[i].Bytes, updates[i+1].Bytes))
	return sum[:]
}

// TestUpdateAttestation: who attested attests with every update, whoever begins it, each time
// with the challenge of that update, computed by hand, and is told that it was accepted.
func TestUpdateAttestation(t *testing.T) {
	client, server := attls.RoleClient, attls.RoleServer
	for name, attesters := range map[string][]attls.Role{"client": {client}, "server": {server}, "both": {client, server}} {
		t.Run(name, func(t *testing.T) {
			u := newUpdating(t, nil, attesters...)
			p := u.connect(t)
			var whole []byte
			for _, m := range u.seen.messages {
				whole = append(whole, m.Bytes...)
			}
			sum := sha256.Sum256(whole)
			hash := sum[:]
			for n, from := range []attls.Role{client, server, server} {
				seen := len(u.seen.messages)
				update(t, p, from)
				hash = nextHash(hash, u.seen.messages[seen:])
				for _, r := range attls.Roles() {
					state := p.Engine(r).State()
					if state.KeyEpoch != uint64(n+1) || len(state.Reattestation) != len(attesters) {
						t.Fatalf("update %d: epoch %d, %d attestations", n, state.KeyEpoch, len(state.Reattestation))
					}
					for _, a := range state.Reattestation {
						spki := state.PeerSPKI
						if a.Attester == r {
							spki = state.OwnSPKI
						}
						want := updateChallenge(t, spki, hash)
						if !a.Accepted || a.Epoch != uint64(n+1) || !bytes.Equal(a.Challenge, want) || !bytes.Equal(a.Payload, want) {
							t.Errorf("update %d, %v at the %v: %+v, want the challenge %x", n, a.Attester, r, a, want)
						}
						if (a.Verdict != nil) != (a.Attester != r) {
							t.Errorf("a verdict of the %v on the %v: %v", r, a.Attester, a.Verdict)
						}
						if got, err := u.o.Client.Profile.Binder.Updated().Eval("key_bound", a.Attester, a.Inputs); err != nil || !bytes.Equal(got, want) {
							t.Errorf("the inputs give %x, %v", got, err)
						}
					}
				}
			}
			for _, r := range attesters {
				if got := len(u.challenges[r]); got != 4 || len(slices.CompactFunc(slices.Clone(u.challenges[r]), bytes.Equal)) != 4 {
					t.Errorf("the %v had %d challenges: %x", r, got, u.challenges[r])
				}
			}
		})
	}
}

// TestUpdateAttestationRefused: a refused payload ends the connection, behind the outcome, or
// is reported, unless attestation is demanded; the peer then is not attested any more.
func TestUpdateAttestationRefused(t *testing.T) {
	for _, test := range []struct {
		reading string
		demand  bool
		ends    bool
	}{{"attest", false, true}, {"attest", true, true}, {"report", false, false}, {"report", true, true}} {
		u := newUpdating(t, map[string]string{"key_update": test.reading}, attls.RoleServer)
		u.o.Client.Policy.Demand = test.demand
		p := u.connect(t)
		if p.Engine(attls.RoleClient).State().Attested == nil {
			t.Fatal("the server is not attested")
		}
		u.payload = func(attls.Role, []byte) []byte { return []byte("old") }
		if err := p.Engine(attls.RoleServer).ExtendedKeyUpdate(); err != nil {
			t.Fatal(err)
		}
		_ = p.Run()
		c, s := p.Engine(attls.RoleClient), p.Engine(attls.RoleServer)
		if (c.Err() != nil) != test.ends || test.ends && (c.Err().Failure != attls.FailBinderMismatch || c.Err().Alert != 226) {
			t.Errorf("%+v: %v", test, c.Err())
		}
		if list := s.State().Reattestation; len(list) != 1 || list[0].Accepted {
			t.Errorf("%+v: the server knows %+v", test, list)
		}
		if !test.ends && (c.State().Attested != nil || len(c.State().Reattestation) != 1 || c.State().Reattestation[0].Accepted) {
			t.Errorf("%+v: the server counts as attested: %+v", test, c.State().Reattestation)
		}
	}
}

// TestUpdateAttestationSilent: under the reading without the branch, and where nobody attested
// in the handshake, nothing is attested with an update.
func TestUpdateAttestationSilent(t *testing.T) {
	for _, u := range []*updating{newUpdating(t, map[string]string{"key_update": "silent"}, attls.RoleServer),
		newUpdating(t, map[string]string{"unwilling": "omit", "none_returned": "continue"})} {
		if len(u.o.Server.Policy.Produce) == 0 {
			u.o.Client.Policy.Accept = newLaterAttesting(u.o.Client.Profile).o.Client.Policy.Produce
		}
		p := u.connect(t)
		update(t, p, attls.RoleClient)
		if list := p.Engine(attls.RoleClient).State().Reattestation; len(list) > 0 || len(u.seen.of(attls.KindExtendedKeyUpdate)) != 3 {
			t.Errorf("%d messages, %+v", len(u.seen.of(attls.KindExtendedKeyUpdate)), list)
		}
	}
}

// TestUpdateAttestationPending: until what is attested with an update is settled, neither end
// begins another, and no authentication begins; a fork goes on from there by itself.
func TestUpdateAttestationPending(t *testing.T) {
	u := newUpdating(t, nil, attls.RoleServer)
	p := u.connect(t)
	answer := u.o.Answer[attls.RoleServer]
	var open []*handshake.Wait
	client, server := p.Engine(attls.RoleClient), p.Engine(attls.RoleServer)
	if err := client.ExtendedKeyUpdate(); err != nil {
		t.Fatal(err)
	}
	move := func(from attls.Role) {
		t.Helper()
		sender, receiver := p.Engine(from), p.Engine(from.Peer())
		octets := bytes.Clone(sender.Output())
		sender.Wrote(len(octets))
		if n := copy(receiver.Reserve(len(octets)), octets); len(octets) > 0 {
			if err := receiver.Commit(n); err != nil {
				t.Fatal(err)
			}
		}
		for ev, ok := receiver.Next(); ok; ev, ok = receiver.Next() {
			if ev.Kind == handshake.EventWait {
				open = append(open, ev.Wait)
			}
		}
	}
	for _, from := range []attls.Role{attls.RoleClient, attls.RoleServer, attls.RoleClient} {
		move(from)
	}
	if len(open) != 1 || open[0].Kind != handshake.WaitEvidence {
		t.Fatalf("%d waits", len(open))
	}
	refuses := func(e *handshake.Engine) {
		t.Helper()
		if err := e.ExtendedKeyUpdate(); err == nil {
			t.Error("another update begins")
		}
	}
	refuses(client)
	refuses(server)
	if err := server.RequestAuthentication(); err == nil {
		t.Error("an authentication begins")
	}
	fork, err := server.Fork(handshake.ForkOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []*handshake.Engine{fork, server} {
		a, failure := answer(open[0])
		if failure != nil {
			t.Fatal(failure)
		}
		if err := e.Answer(open[0].ID, a); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(fork.Output(), server.Output()) {
		t.Error("the fork sends something else")
	}
	refuses(server)
	move(attls.RoleServer)
	refuses(client)
	verdict, _ := u.o.Answer[attls.RoleClient](open[1])
	if err := client.Answer(open[1].ID, verdict); err != nil {
		t.Fatal(err)
	}
	if err := client.ExtendedKeyUpdate(); err != nil {
		t.Errorf("the next update: %v", err)
	}
	refuses(server)
	move(attls.RoleClient)
	if server.Err() != nil || server.State().Reattestation[0].Epoch != 1 {
		t.Errorf("%v, %+v", server.Err(), server.State().Reattestation)
	}
	refuses(fork)
}

// before is a profile whose attesters attest in front of their last message under the old keys.
const before = `profile: before
base: early-attestation-00
binder:
  key_update: {define: {bound: 'derive_secret(next.main_secret, "reattestation", concat(rekey.request, rekey.response, $public_key))'}}
bind:
  slots:
    server_update: {attester: server, phase: key_update, carried_in: attestation.cmw_payload}
    client_update: {attester: client, phase: key_update, carried_in: attestation.cmw_payload}
after:
  key_update: {initiator: before_finish, responder: RESPONDER}
`

// TestUpdateAttestationBefore: a payload in front of the attester's finish or response is looked
// at behind the exchange; who does not show one there is refused, and nothing else than an exchange
// has it.
func TestUpdateAttestationBefore(t *testing.T) {
	client, server := attls.RoleClient, attls.RoleServer
	for _, responder := range []string{"before_response", "behind", "never"} {
		p, err := profile.Parse("before.yaml", []byte(strings.Replace(before, "RESPONDER", responder, 1)), profile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for name, attesters := range map[string][]attls.Role{"client": {client}, "server": {server}, "both": {client, server}} {
			t.Run(responder+" "+name, func(t *testing.T) {
				u := newUpdatingUnder(p, attesters...)
				conn := u.connect(t)
				for n, from := range []attls.Role{client, server} {
					update(t, conn, from)
					for _, r := range attls.Roles() {
						for _, a := range attesters {
							i := slices.IndexFunc(conn.Engine(r).State().Reattestation, func(x handshake.Reattestation) bool {
								return x.Attester == a && x.Epoch == uint64(n+1)
							})
							if want := a == from || responder != "never"; (i >= 0) != want {
								t.Errorf("update %d: the %v knows of the %v: %v", n, r, a, i >= 0)
							} else if want && r != a && conn.Engine(r).State().Reattestation[i].Verdict != accept {
								t.Errorf("update %d: %+v", n, conn.Engine(r).State().Reattestation[i])
							}
						}
					}
				}
			})
		}
		for _, from := range attls.Roles() { // the attester
			u := newUpdatingUnder(p, from)
			drop := &planTap{at: at{sender: from, kind: attls.KindAdded, n: 1}, hit: new(bool),
				plan: func(_ *message.Raw, p *handshake.Plan) { p.Drop = true }}
			if from == client {
				u.o.Client.Tap = drop
			} else {
				u.o.Server.Tap = drop
			}
			conn := u.connect(t)
			if err := conn.Engine(from).ExtendedKeyUpdate(); err != nil {
				t.Fatal(err)
			}
			_ = conn.Run()
			if err := conn.Engine(from.Peer()).Err(); err == nil || err.Failure != attls.FailMissing {
				t.Errorf("%s: the %v does not attest: %v", responder, from, err)
			}
		}
	}
}

// TestUpdateFinishTooEarly: a finish that arrives while the response waits for Evidence answers nothing.
func TestUpdateFinishTooEarly(t *testing.T) {
	p, err := profile.Parse("before.yaml", []byte(strings.Replace(before, "RESPONDER", "before_response", 1)), profile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range attls.Roles() { // that asks for the update
		u := newUpdatingUnder(p, from.Peer())
		tap := &planTap{at: at{sender: from, kind: attls.KindExtendedKeyUpdate}, hit: new(bool), plan: func(_ *message.Raw, p *handshake.Plan) {
			p.After = append(p.After, ekuBytes(attls.KeyUpdateFinish, 0, nil))
		}}
		if u.o.Client.Tap = tap; from == attls.RoleServer {
			u.o.Client.Tap, u.o.Server.Tap = nil, tap
		}
		conn := u.connect(t)
		if err := conn.Engine(from).ExtendedKeyUpdate(); err != nil {
			t.Fatal(err)
		}
		_ = conn.Run()
		err := conn.Engine(from.Peer()).Err()
		if err == nil || err.Failure != attls.FailUnexpectedMessage || err.Field != "eku_type" || !strings.Contains(err.Detail, "waits for Evidence") {
			t.Errorf("the %v asks: %v", from, err)
		}
	}
}
