package handshake_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"attls"
	"attls/conformance/pair"
	"attls/extensions"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/enginetest"
	"attls/internal/provider"
	"attls/negotiation"
)

var (
	noon      = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	evidence  = negotiation.Scheme{Model: profile.ModelEvidence, Credential: profile.KindX509, Format: profile.Format{ContentFormat: 263}}
	admin     = enginetest.Credential("admin")
	forAnHour = &negotiation.Verdict{Status: negotiation.StatusAffirming, ValidUntil: noon.Add(time.Hour)}
)

func spkiOf(t *testing.T, c *handshake.Credential) []byte {
	t.Helper()
	spki, err := provider.SPKIFromCertificate(c.Chain[0])
	if err != nil {
		t.Fatal(err)
	}
	return spki
}

// seen is what a server shows of its client: the key, and how many verdicts that
// accept stand beside it.
func seen(e *handshake.Engine) (spki []byte, accepted int) {
	s := e.State()
	for _, a := range s.Attestation {
		if a.Attester == attls.RoleClient && a.Verdict != nil && a.Verdict.Failure == "" {
			accepted++
		}
	}
	return s.PeerSPKI, accepted
}

// withTickets lets the server of a pair issue tickets and returns where their
// sessions appear.
func (l *laterAttesting) withTickets() *[]*handshake.Session {
	var sessions []*handshake.Session
	l.o.Client.PSK, l.o.Server.PSK = true, true
	server := l.o.Answer[attls.RoleServer]
	l.o.Answer[attls.RoleServer] = func(w *handshake.Wait) (handshake.Answer, *attls.Error) {
		switch w.Kind {
		case handshake.WaitTicket:
			sessions = append(sessions, w.Ticket.Session)
			return handshake.Answer{Ticket: []byte("ticket"), TicketLifetime: time.Minute}, nil
		case handshake.WaitPSK, handshake.WaitNonce:
			return handshake.Answer{}, nil
		}
		a, err := server(w)
		a.Time = noon
		return a, err
	}
	client := l.o.Answer[attls.RoleClient]
	l.o.Answer[attls.RoleClient] = func(w *handshake.Wait) (handshake.Answer, *attls.Error) {
		if w.Kind == handshake.WaitPSK {
			return handshake.Answer{}, nil
		}
		return client(w)
	}
	return &sessions
}

// TestAnotherKeyAfterTheHandshake: a client that was attested authenticates again,
// where nothing asks for attestation. What was said of its first key is not shown,
// nor kept in a ticket, beside another one.
func TestAnotherKeyAfterTheHandshake(t *testing.T) {
	for _, name := range []string{"tls-attestation-07", "tls-attestation-09", "early-attestation-00", "early-attestation-03"} {
		for sentence, test := range map[string]struct {
			shows    *handshake.Credential
			demand   bool
			refused  bool
			attested bool // what the server says in the end
			isAdmin  bool
		}{
			"another key, nothing demanded":           {shows: admin, isAdmin: true},
			"another key, attestation demanded":       {shows: admin, demand: true, refused: true},
			"the attested key again":                  {shows: clientCredential, attested: true},
			"the attested key again, and demanded":    {shows: clientCredential, demand: true, attested: true},
			"no certificate, which changes nothing":   {demand: true, attested: true},
			"no certificate, with nothing demanded":   {attested: true},
			"another certificate of the attested key": {shows: sameKeyOtherName(), demand: true, attested: true},
		} {
			t.Run(name+"/"+sentence, func(t *testing.T) {
				l := newLaterAttesting(loaded(t, name, nil))
				l.verdict = func() *negotiation.Verdict { return forAnHour }
				l.payload = func([]byte) []byte { return []byte("payload") }
				l.o.Server.Policy.Demand = test.demand
				l.anyChallenge = true
				sessions := l.withTickets()
				p := l.connect(t)
				server := p.Engine(attls.RoleServer)
				if spki, n := seen(server); n != 1 || !bytes.Equal(spki, spkiOf(t, clientCredential)) {
					t.Fatalf("after the handshake: key %x, %d accepting verdicts", spki, n)
				}
				l.credential = test.shows
				request(t, p)
				p.Run()
				err := server.Err()
				if test.refused {
					if err == nil || err.Failure != attls.FailDemandedByServer || !err.HasAlert {
						t.Fatalf("%v, want %s", err, attls.FailDemandedByServer)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				own := spkiOf(t, clientCredential)
				if test.isAdmin {
					own = spkiOf(t, admin)
				}
				spki, n := seen(server)
				if !bytes.Equal(spki, own) || (n == 1) != test.attested || (server.State().Attested != nil) != test.attested {
					t.Errorf("the server shows the key %x (want %x) beside %d accepting verdicts, %+v", spki, own, n, server.State().Attested)
				}
				if own := p.Engine(attls.RoleClient).State(); (len(own.Attestation) == 1) != test.attested {
					t.Errorf("the client shows %+v of its own key", own.Attestation)
				}
				if err := server.IssueTicket(); err != nil {
					t.Fatal(err)
				}
				p.Run()
				if len(*sessions) != 1 || ((*sessions)[0].Attestation != nil) != test.attested {
					t.Errorf("the ticket keeps %+v", *sessions)
				}
			})
		}
	}
}

// sameKeyOtherName is a certificate of the client's key for another name.
func sameKeyOtherName() *handshake.Credential {
	c := *clientCredential
	c.Chain = [][]byte{enginetest.SelfSigned("another name", c.Signer)}
	return &c
}

// TestLateVerdictOnAnEarlierKey: the verdict on the handshake's payload comes after
// the client has authenticated with another key.
func TestLateVerdictOnAnEarlierKey(t *testing.T) {
	for name, fork := range map[string]bool{"on the connection": false, "on a fork of it": true} {
		t.Run(name, func(t *testing.T) {
			p := *loaded(t, "early-attestation-07", nil)
			p.Rules.Verdict = profile.BeforeNothing
			l := newLaterAttesting(&p)
			var open []*handshake.Wait
			l.o.Delay = func(_ attls.Role, w *handshake.Wait) int {
				if w.Kind == handshake.WaitAppraisal {
					return pair.WhenIdle // it is answered by hand
				}
				return 0
			}
			both, err := pair.New(l.o)
			if err != nil {
				t.Fatal(err)
			}
			run := func() { // to where nothing is possible but an answer
				for {
					before, err := both.Fork([2]handshake.ForkOptions{})
					if err != nil {
						t.Fatal(err)
					}
					s, ok := both.Step()
					if ok && s.Action == pair.Answered && s.Wait.Kind == handshake.WaitAppraisal {
						both = before
						return
					}
					if !ok {
						return
					}
				}
			}
			run()
			l.credential, l.payload = admin, func([]byte) []byte { return []byte("worthless") }
			request(t, both)
			run()
			for _, w := range both.Engine(attls.RoleServer).Waits() {
				if w.Kind == handshake.WaitAppraisal {
					open = append(open, w)
				}
			}
			if len(open) != 2 {
				t.Fatalf("%d appraisals are asked for", len(open))
			}
			if fork {
				if both, err = both.Fork([2]handshake.ForkOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			server := both.Engine(attls.RoleServer)
			if err := server.Answer(open[0].ID, handshake.Answer{Verdict: accept}); err != nil {
				t.Fatal(err)
			}
			if s := server.State(); string(s.Attestation[0].Payload) != "worthless" || s.Attestation[0].Verdict != nil || s.Attested != nil {
				t.Errorf("beside the payload %q stands %+v, which was said of another", s.Attestation[0].Payload, s.Attestation[0].Verdict)
			}
			if err := server.Answer(open[1].ID, handshake.Answer{Verdict: &negotiation.Verdict{Failure: attls.FailAppraisal}}); err != nil {
				t.Fatal(err)
			}
			if s := server.State(); s.Attestation[0].Verdict == nil || s.Attestation[0].Verdict.Failure != attls.FailAppraisal {
				t.Errorf("the verdict on the second payload: %+v", s.Attestation[0].Verdict)
			}
		})
	}
}

// TestVerdictsThatAcceptNothing gives a relying party that demands nothing of the
// profile's tolerance verdicts that do not say yes, or not any more.
func TestVerdictsThatAcceptNothing(t *testing.T) {
	for sentence, test := range map[string]struct {
		verdict negotiation.Verdict
		want    attls.Failure
	}{
		"affirming, without an end":       {negotiation.Verdict{Status: "affirming"}, ""},
		"affirming for another second":    {negotiation.Verdict{Status: "affirming", ValidUntil: noon.Add(time.Second)}, ""},
		"the zero value":                  {negotiation.Verdict{}, attls.FailAppraisal},
		"a warning":                       {negotiation.Verdict{Status: "warning"}, attls.FailAppraisal},
		"contraindicated":                 {negotiation.Verdict{Status: "contraindicated"}, attls.FailAppraisal},
		"none":                            {negotiation.Verdict{Status: "none"}, attls.FailAppraisal},
		"a status that does not exist":    {negotiation.Verdict{Status: "afirming"}, attls.FailAppraisal},
		"a status in capitals":            {negotiation.Verdict{Status: "Affirming"}, attls.FailAppraisal},
		"a validity that ends now":        {negotiation.Verdict{Status: "affirming", ValidUntil: noon}, attls.FailAppraisal},
		"a validity that is long over":    {negotiation.Verdict{Status: "affirming", ValidUntil: time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)}, attls.FailAppraisal},
		"a failure with affirming status": {negotiation.Verdict{Status: "affirming", Failure: attls.FailBinderMismatch}, attls.FailBinderMismatch},
	} {
		t.Run(sentence, func(t *testing.T) {
			for due, blocks := range map[profile.VerdictBefore]bool{profile.BeforeCertificateVerify: true, profile.BeforeFinished: true,
				profile.BeforeApplicationData: true, profile.BeforeNothing: false} {
				judge := func(context.Context) (*negotiation.Verdict, error) { v := test.verdict; return &v, nil }
				ca := &handshake.Answerer{Appraiser: attesting{judge: judge}, Time: func() time.Time { return noon }}
				client, server, p := attested(t, due, ca, &handshake.Answerer{Attester: attesting{}})
				ce, se := both(client, server)
				if err := client.Settled(t.Context()); err != nil && ce == nil {
					t.Fatal(err)
				}
				v := client.ConnectionState().Attestation[0].Verdict
				if v == nil || v.Failure != test.want {
					t.Errorf("due before %v: the state has %+v, want %q", due, v, test.want)
				}
				var e *attls.Error
				switch {
				case test.want == "" || !blocks:
					if ce != nil || se != nil {
						t.Errorf("due before %v: %v, %v", due, ce, se)
					}
				case !errors.As(ce, &e) || e.Failure != test.want || e.Alert != p.AlertFor(test.want).Alert:
					t.Errorf("due before %v: %v, want %s", due, ce, test.want)
				}
			}
		})
	}
	t.Run("an end of validity where nobody says what time it is", func(t *testing.T) {
		l := newLaterAttesting(loaded(t, "early-attestation-07", nil))
		l.verdict = func() *negotiation.Verdict { return forAnHour }
		p, err := pair.New(l.o)
		if err != nil {
			t.Fatal(err)
		}
		p.Run()
		if err := p.Engine(attls.RoleServer).Err(); err == nil || err.Failure != attls.FailAppraisal {
			t.Errorf("%v", err)
		}
	})
	t.Run("an end of validity that is over after the handshake", func(t *testing.T) {
		l := newLaterAttesting(loaded(t, "early-attestation-07", nil))
		l.withTickets()
		p := l.connect(t)
		l.verdict = func() *negotiation.Verdict {
			return &negotiation.Verdict{Status: "affirming", ValidUntil: noon.Add(-1)}
		}
		request(t, p)
		p.Run()
		if err := p.Engine(attls.RoleServer).Err(); err == nil || err.Failure != attls.FailAppraisal {
			t.Errorf("%v", err)
		}
	})
}

// kept is an attestation that meets a demand for evidence under a profile.
func kept(t *testing.T, name string) *handshake.AttestedPeer {
	t.Helper()
	p := loaded(t, name, nil)
	for i := range p.Slots {
		if s, ok := p.EncodeScheme(i, evidence); ok {
			return &handshake.AttestedPeer{Profile: p.ID,
				AttestedScheme: handshake.AttestedScheme{Model: s.Model, Credential: s.Credential, Format: s.Format, Wire: s.Wire},
				Status:         "affirming", ValidUntil: noon.Add(time.Hour)}
		}
	}
	t.Fatal("no slot has room for evidence")
	return nil
}

// TestSessionUnderDemand: a session counts as the peer's attestation only while
// all that was said of this peer stands, and is what the policy accepts now.
func TestSessionUnderDemand(t *testing.T) {
	results := negotiation.Scheme{Model: profile.ModelResults, Credential: profile.KindX509, Verifier: []byte("verifier.example")}
	for sentence, test := range map[string]struct {
		change   func(a *handshake.AttestedPeer)
		accept   []negotiation.Scheme
		standing func(*handshake.Session) negotiation.Standing
		later    time.Duration
		none     bool
		resumes  bool
	}{
		"everything holds":                               {resumes: true},
		"no attestation":                                 {none: true},
		"of another profile":                             {change: func(a *handshake.AttestedPeer) { a.Profile = "early-attestation-05" }},
		"without a scheme":                               {change: func(a *handshake.AttestedPeer) { a.Wire = nil }},
		"without an end of validity":                     {change: func(a *handshake.AttestedPeer) { a.ValidUntil = time.Time{} }},
		"with a warning":                                 {change: func(a *handshake.AttestedPeer) { a.Status = "warning" }},
		"without a status":                               {change: func(a *handshake.AttestedPeer) { a.Status = "" }},
		"said of another key":                            {change: func(a *handshake.AttestedPeer) { a.SPKI = spkiOf(t, admin) }},
		"that was the whole credential":                  {change: func(a *handshake.AttestedPeer) { a.Credential = profile.KindAlone }},
		"by Evidence where results are accepted":         {accept: []negotiation.Scheme{results}},
		"by one of two schemes that are accepted":        {accept: []negotiation.Scheme{results, evidence}, resumes: true},
		"in another format":                              {change: func(a *handshake.AttestedPeer) { a.Format.ContentFormat = 7 }},
		"shortly before its end":                         {later: time.Hour - time.Millisecond, resumes: true},
		"at its end":                                     {later: time.Hour},
		"long after its end":                             {later: 5 * time.Hour},
		"that local policy wants anew":                   {standing: func(*handshake.Session) negotiation.Standing { return negotiation.StandingDue }},
		"of which nobody says how it stands":             {standing: func(*handshake.Session) negotiation.Standing { return negotiation.StandingUnknown }},
		"that is over, whatever its keeper says":         {later: 2 * time.Hour, standing: func(*handshake.Session) negotiation.Standing { return negotiation.StandingHolds }},
		"that holds on the word of its keeper as well":   {standing: func(*handshake.Session) negotiation.Standing { return negotiation.StandingHolds }, resumes: true},
		"that its keeper calls over before the end came": {standing: func(*handshake.Session) negotiation.Standing { return negotiation.StandingExpired }},
	} {
		t.Run(sentence, func(t *testing.T) {
			for _, accepts := range []string{"policy", "unless_due", "within_validity"} {
				for _, relying := range []attls.Role{attls.RoleClient, attls.RoleServer} {
					m := newMeeting()
					m.now = noon
					m.early = []byte("early")
					first := func(c, s *handshake.Config) {
						c.MaxEarlyData, s.MaxEarlyData = 100, 100
						s.ClientAuthentication = handshake.RequireClientCertificate
					}
					m.early = nil
					m.mustMeet(t, first)
					m.early = []byte("early")
					peer := map[attls.Role]*handshake.Credential{attls.RoleClient: serverCredential, attls.RoleServer: clientCredential}[relying]
					a := kept(t, "early-attestation-06")
					a.SPKI = spkiOf(t, peer)
					if test.change != nil {
						test.change(a)
					}
					if test.none {
						a = nil
					}
					// The keepers of both ends have it from elsewhere.
					standing := func(s *handshake.Session) negotiation.Standing {
						if test.standing != nil {
							return test.standing(s)
						}
						return negotiation.StandingHolds
					}
					m.answer[relying] = func(w *handshake.Wait, answer handshake.Answer) handshake.Answer {
						for i := range answer.PSKs {
							psk := &answer.PSKs[i]
							psk.Session.Attestation = a
							psk.Standing = standing(psk.Session)
							if a != nil && !a.ValidUntil.IsZero() && !m.now.Before(a.ValidUntil) {
								psk.Standing = negotiation.StandingExpired
							}
						}
						return answer
					}
					m.now = m.now.Add(test.later)
					accept := test.accept
					if accept == nil {
						accept = []negotiation.Scheme{evidence}
					}
					met, _ := m.meet(t, func(c, s *handshake.Config) {
						first(c, s)
						end := c
						if relying == attls.RoleServer {
							end = s
						}
						p := *loaded(t, "early-attestation-06", nil)
						p.Resumption.Accept = accepts
						end.Profile, end.Policy = &p, negotiation.Policy{Accept: accept, Demand: true}
					})
					engine := met.Engine(relying)
					resumed := engine.Err() == nil && engine.State().Session != nil
					if resumed != test.resumes {
						t.Errorf("%v, accept: %s: resumed %v, want %v: %v", relying, accepts, resumed, test.resumes, engine.Err())
					}
					if !test.resumes && m.replayed != nil {
						t.Errorf("%v, accept: %s: the server took %q as early data", relying, accepts, m.replayed)
					}
					if resumed && (engine.State().Attested == nil || string(m.replayed) != "early") {
						t.Errorf("%v, accept: %s: attested %+v, early data %q", relying, accepts, engine.State().Attested, m.replayed)
					}
				}
			}
		})
	}
}

// TestSessionWithoutDemand: where nothing is demanded a session is resumed whatever
// it keeps; what does not count under the present profile and policy is neither
// shown nor kept in a ticket, and replaces no path validation.
func TestSessionWithoutDemand(t *testing.T) {
	results := negotiation.Scheme{Model: profile.ModelResults, Credential: profile.KindX509, Verifier: []byte("verifier.example")}
	for sentence, test := range map[string]struct {
		change    func(a *handshake.AttestedPeer)
		accept    []negotiation.Scheme
		noProfile bool
		expired   bool
		counts    bool
	}{
		"everything holds":                    {counts: true},
		"of another profile":                  {change: func(a *handshake.AttestedPeer) { a.Profile = "early-attestation-05" }},
		"without a profile":                   {noProfile: true},
		"without a scheme":                    {change: func(a *handshake.AttestedPeer) { a.Wire = nil }},
		"without an end of validity":          {change: func(a *handshake.AttestedPeer) { a.ValidUntil = time.Time{} }},
		"with a warning":                      {change: func(a *handshake.AttestedPeer) { a.Status = "warning" }},
		"said of another key":                 {change: func(a *handshake.AttestedPeer) { a.SPKI = spkiOf(t, admin) }},
		"said of no key":                      {change: func(a *handshake.AttestedPeer) { a.SPKI = nil }},
		"that was the whole credential":       {change: func(a *handshake.AttestedPeer) { a.Credential = profile.KindAlone }},
		"under a scheme accepted then":        {accept: []negotiation.Scheme{results}},
		"that is over":                        {expired: true},
		"in one of the ways that are allowed": {accept: []negotiation.Scheme{results, evidence}, counts: true},
	} {
		for _, conditional := range []bool{false, true} {
			for _, relying := range []attls.Role{attls.RoleClient, attls.RoleServer} {
				t.Run(fmt.Sprintf("%s/%v/accepted on condition %v", sentence, relying, conditional), func(t *testing.T) {
					m := newMeeting()
					m.now = noon
					m.mustMeet(t, func(_, s *handshake.Config) { s.ClientAuthentication = handshake.RequireClientCertificate })
					a := kept(t, "early-attestation-06")
					a.SPKI = spkiOf(t, map[attls.Role]*handshake.Credential{attls.RoleClient: serverCredential, attls.RoleServer: clientCredential}[relying])
					if test.change != nil {
						test.change(a)
					}
					var sealed *handshake.Session
					m.answer[relying] = func(w *handshake.Wait, answer handshake.Answer) handshake.Answer {
						for i := range answer.PSKs {
							answer.PSKs[i].Session.Attestation, answer.PSKs[i].Standing = a, negotiation.StandingHolds
							if test.expired {
								answer.PSKs[i].Standing = negotiation.StandingExpired
							}
						}
						if w.Kind == handshake.WaitTicket {
							sealed = w.Ticket.Session
						}
						answer.Conditional = conditional && w.Kind == handshake.WaitCertificateVerdict
						return answer
					}
					met, _ := m.meet(t, func(c, s *handshake.Config) {
						end := map[attls.Role]*handshake.Config{attls.RoleClient: c, attls.RoleServer: s}[relying]
						if test.noProfile {
							return
						}
						p := *loaded(t, "early-attestation-06", nil)
						p.Resumption.Accept = ""
						end.Profile, end.Policy.Accept = &p, []negotiation.Scheme{evidence}
						if test.accept != nil {
							end.Policy.Accept = test.accept
						}
					})
					e := met.Engine(relying)
					if conditional && !test.counts {
						if err := e.Err(); err == nil || err.Failure != attls.FailUnknownCA {
							t.Errorf("%v, want %s", err, attls.FailUnknownCA)
						}
						return
					}
					if err := e.Err(); err != nil {
						t.Fatal(err)
					}
					s := e.State()
					if s.Session == nil {
						t.Fatal("the session was not resumed")
					}
					if (s.Attested != nil) != test.counts || (s.Session.Attestation != nil) != test.counts {
						t.Errorf("attested %+v, the session %+v", s.Attested, s.Session.Attestation)
					}
					if relying == attls.RoleServer && (sealed == nil || (sealed.Attestation != nil) != test.counts) {
						t.Errorf("the ticket keeps %+v", sealed)
					}
				})
			}
		}
	}
}

// TestKeepersOfSessions: both kinds read the end of a verdict off their clock
// before they ask anybody, and of external keys as well.
func TestKeepersOfSessions(t *testing.T) {
	now := noon
	clock := func() time.Time { return now }
	holds := func(*handshake.Session) negotiation.Standing { return negotiation.StandingHolds }
	a := kept(t, "early-attestation-06")
	a.SPKI = spkiOf(t, serverCredential)
	external := &handshake.Session{Identity: []byte("key"), Secret: []byte("secret"), External: true, Suite: attls.TLS_AES_128_GCM_SHA256, Attestation: a}
	servers := &handshake.ServerSessions{Standing: holds, External: []*handshake.Session{external}}
	servers.Keys.Now = clock
	for after, want := range map[time.Duration]negotiation.Standing{0: negotiation.StandingHolds, time.Hour - 1: negotiation.StandingHolds,
		time.Hour: negotiation.StandingExpired, -time.Hour: negotiation.StandingHolds} {
		now = noon
		clients := &handshake.ClientSessions{Now: clock, Standing: holds, External: []*handshake.Session{external}}
		s := &handshake.Session{Secret: []byte("secret"), Suite: attls.TLS_AES_128_GCM_SHA256, Lifetime: 1 << 19, Attestation: a}
		ticket, _ := servers.Ticket(&handshake.TicketRequest{Session: s})
		s.Identity = ticket
		if after >= 0 { // a clock that went back: neither end uses the ticket
			clients.Put(s)
		}
		now = noon.Add(after)
		offers := clients.Offers(&handshake.PSKRequest{})
		for _, o := range offers {
			if o.Standing != want {
				t.Errorf("after %v a client has %v of %q, want %v", after, o.Standing, o.Session.Identity, want)
			}
			p, ok := servers.Find(&handshake.PSKRequest{Identities: identities(o)})
			if !ok || p.Standing != want {
				t.Errorf("after %v a server has %v (%v), want %v", after, p.Standing, ok, want)
			}
		}
	}
	t.Run("a session that ends with the verdict", func(t *testing.T) {
		now = noon
		s := &handshake.Session{Secret: []byte("secret"), Suite: attls.TLS_AES_128_GCM_SHA256, Lifetime: 1 << 19, NotAfter: noon.Add(time.Minute)}
		ticket, lifetime := servers.Ticket(&handshake.TicketRequest{Session: s, NotAfter: s.NotAfter})
		if lifetime != time.Minute {
			t.Errorf("a ticket for %v", lifetime)
		}
		s.Identity = ticket
		for after, use := range map[time.Duration]bool{59 * time.Second: true, time.Minute: false} {
			clients := &handshake.ClientSessions{Now: clock}
			now = noon
			clients.Put(s)
			now = noon.Add(after)
			_, found := servers.Find(&handshake.PSKRequest{Identities: identities(handshake.PSK{Session: s})})
			if offered := len(clients.Offers(&handshake.PSKRequest{})) == 1; offered != use || found != use {
				t.Errorf("after %v: offered %v, found %v, want %v", after, offered, found, use)
			}
		}
	})
}

// TestTicketsUnderDemand: the tickets of a server that demands attestation end with
// the verdict, and there are none where it has no end.
func TestTicketsUnderDemand(t *testing.T) {
	for sentence, test := range map[string]struct {
		verdict *negotiation.Verdict
		due     profile.VerdictBefore
		demand  bool
		tickets int
		bounded bool
	}{
		"a verdict with an end, demanded":          {forAnHour, profile.BeforeFinished, true, 1, true},
		"a verdict before application data":        {forAnHour, profile.BeforeApplicationData, true, 1, true},
		"a verdict without an end, demanded":       {accept, profile.BeforeFinished, true, 0, false},
		"a verdict that comes later, and demanded": {forAnHour, profile.BeforeNothing, true, 0, false},
		"a verdict with an end, not demanded":      {forAnHour, profile.BeforeFinished, false, 1, false},
		"a verdict without an end, not demanded":   {accept, profile.BeforeFinished, false, 1, false},
	} {
		t.Run(sentence, func(t *testing.T) {
			p := *loaded(t, "early-attestation-07", nil)
			p.Rules.Verdict = test.due
			l := newLaterAttesting(&p)
			l.verdict = func() *negotiation.Verdict { return test.verdict }
			l.o.Server.Policy.Demand, l.o.Server.Tickets = test.demand, 1
			if test.due == profile.BeforeNothing {
				l.o.Delay = func(_ attls.Role, w *handshake.Wait) int {
					if w.Kind == handshake.WaitAppraisal {
						return pair.WhenIdle
					}
					return 0
				}
			}
			sessions := l.withTickets()
			l.connect(t)
			if len(*sessions) != test.tickets {
				t.Fatalf("%d tickets, want %d", len(*sessions), test.tickets)
			}
			for _, s := range *sessions {
				if bounded := s.NotAfter.Equal(noon.Add(time.Hour)); bounded != test.bounded {
					t.Errorf("the session ends %v", s.NotAfter)
				}
				if attested := s.Attestation != nil; attested == test.verdict.ValidUntil.IsZero() {
					t.Errorf("the session keeps %+v", s.Attestation)
				}
			}
		})
	}
}

// TestSessionsOfEarlierVersions: a file that does not say all that an attestation
// can be judged by is read, and counts as unattested.
func TestSessionsOfEarlierVersions(t *testing.T) {
	a := kept(t, "early-attestation-06")
	a.SPKI, a.Verifier = []byte("key"), []byte("verifier")
	s := &handshake.Session{Identity: []byte("id"), Secret: []byte("secret"), Suite: attls.TLS_AES_128_GCM_SHA256, Chain: [][]byte{{1}},
		Created: noon, NotAfter: noon.Add(time.Hour), Attestation: a}
	got, err := handshake.ParseSession(s.Marshal())
	if err != nil || got.Attestation == nil || !bytes.Equal(got.Attestation.SPKI, a.SPKI) || !got.NotAfter.Equal(s.NotAfter) ||
		string(got.Attestation.Verifier) != "verifier" || got.Attestation.Format != a.Format {
		t.Errorf("%+v, %v", got, err)
	}
	for sentence, change := range map[string]func(*handshake.AttestedPeer){
		"without a scheme":   func(a *handshake.AttestedPeer) { a.Wire = nil },
		"without an end":     func(a *handshake.AttestedPeer) { a.ValidUntil = time.Time{} },
		"without a status":   func(a *handshake.AttestedPeer) { a.Status = "" },
		"without a profile":  func(a *handshake.AttestedPeer) { a.Profile = "" },
		"with a bad verdict": func(a *handshake.AttestedPeer) { a.Status = "contraindicated" },
	} {
		other, b := *s, *a
		change(&b)
		other.Attestation = &b
		if got, err := handshake.ParseSession(other.Marshal()); err != nil || got.Attestation != nil || !bytes.Equal(got.Secret, s.Secret) {
			t.Errorf("%s: %+v, %v", sentence, got, err)
		}
	}
	// What version 2 wrote of a session with an attestation.
	old := slices.Concat([]byte{2, 0, 0x13, 1, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0}, make([]byte, 7), []byte{1}, []byte{0, 0, 0, 1, 0, 0, 0, 0},
		[]byte{0, 2, 'i', 'd', 0, 3, 'k', 'e', 'y', 0, 0, 0, 0, 0, 8, 7, 0, 0, 0, 0, 0},
		[]byte{1, 0, 1, 'p', 0, 1, 0, 1, 4, 0, 9}, []byte("affirming"), []byte{0, 0, 2, 5, 6})
	if got, err := handshake.ParseSession(old); err != nil || string(got.Secret) != "key" || len(got.Chain) != 1 || got.Attestation != nil {
		t.Errorf("version 2: %+v, %v", got, err)
	}
	if _, err := handshake.ParseSession([]byte{1}); err == nil {
		t.Error("version 1 was never written")
	}
}

// TestAttestationThatCannotTakePlace: it is refused, not left out.
func TestAttestationThatCannotTakePlace(t *testing.T) {
	list := []negotiation.Scheme{evidence}
	alone := []negotiation.Scheme{{Format: evidence.Format}} // the zero value of Credential
	for sentence, test := range map[string]struct {
		profile string
		policy  negotiation.Policy
		field   string // "": it can
	}{
		"demanded without a profile":       {"", negotiation.Policy{Demand: true}, "Config.Policy"},
		"to be made without a profile":     {"", negotiation.Policy{Produce: list}, "Config.Policy"},
		"to be accepted without a profile": {"", negotiation.Policy{Accept: list}, "Config.Policy"},
		"demanded of nothing":              {"early-attestation-06", negotiation.Policy{Demand: true, Produce: list}, "Config.Policy.Demand"},
		"made as the profile has no room":  {"early-attestation-06", negotiation.Policy{Produce: alone}, "Config.Policy.Produce"},
		"accepted as the profile has none": {"early-attestation-06", negotiation.Policy{Accept: alone}, "Config.Policy.Accept"},
		"made in one way that has room":    {"early-attestation-06", negotiation.Policy{Produce: append(alone, list...)}, ""},
		"demanded of what can be accepted": {"early-attestation-06", negotiation.Policy{Demand: true, Accept: list}, ""},
		"alone where the profile has room": {"tls-attestation-07", negotiation.Policy{Demand: true, Accept: alone}, ""},
		"nothing, and no profile":          {"", negotiation.Policy{}, ""},
		"nothing under a profile":          {"early-attestation-06", negotiation.Policy{}, ""},
	} {
		c := &handshake.Config{Policy: test.policy, CanAuthenticate: true}
		if test.profile != "" {
			c.Profile = loaded(t, test.profile, nil)
		}
		err := c.Check()
		var e *attls.Error
		if errors.As(err, &e); (test.field == "") != (err == nil) || e != nil && (e.Failure != attls.FailConfiguration || e.Field != test.field) {
			t.Errorf("%s: %v", sentence, err)
		}
	}
}

// TestAnotherKeyInAResumedConnection: what the session keeps of its peer does not
// pass to another key either.
func TestAnotherKeyInAResumedConnection(t *testing.T) {
	for sentence, test := range map[string]struct {
		shows  *handshake.Credential
		demand bool
		want   attls.Failure
		keeps  bool
	}{
		"another key, nothing demanded":     {shows: admin},
		"another key, attestation demanded": {shows: admin, demand: true, want: attls.FailDemandedByServer},
		"the attested key, and demanded":    {shows: clientCredential, demand: true, keeps: true},
		"no certificate, and demanded":      {demand: true, keeps: true},
	} {
		t.Run(sentence, func(t *testing.T) {
			m := newMeeting()
			m.now = noon
			m.mustMeet(t, func(_, s *handshake.Config) { s.ClientAuthentication = handshake.RequireClientCertificate })
			a := kept(t, "early-attestation-03")
			a.SPKI = spkiOf(t, clientCredential)
			var sealed *handshake.Session
			m.answer[attls.RoleServer] = func(w *handshake.Wait, answer handshake.Answer) handshake.Answer {
				for i := range answer.PSKs {
					answer.PSKs[i].Session.Attestation = a
				}
				if w.Kind == handshake.WaitTicket {
					sealed = w.Ticket.Session
				}
				return answer
			}
			m.answer[attls.RoleClient] = func(w *handshake.Wait, answer handshake.Answer) handshake.Answer {
				if w.Kind == handshake.WaitCredential {
					answer.Credential = test.shows
				}
				return answer
			}
			met, err := m.meet(t, func(c, s *handshake.Config) {
				c.PostHandshakeAuthentication, s.PostHandshakeAuthentication = true, true
				s.Profile, s.Policy = loaded(t, "early-attestation-03", nil), negotiation.Policy{Accept: []negotiation.Scheme{evidence}, Demand: test.demand}
			})
			if err != nil {
				t.Fatal(err)
			}
			e := met.Engine(attls.RoleServer)
			if s := e.State(); s.Session == nil || s.Attested == nil || s.Session.Attestation == nil {
				t.Fatalf("resumed with %+v", s.Attested)
			}
			request(t, met)
			met.Run()
			if err := e.Err(); (test.want == "") != (err == nil) || err != nil && err.Failure != test.want {
				t.Fatalf("%v, want %q", err, test.want)
			}
			if test.want != "" {
				return
			}
			if s := e.State(); (s.Attested != nil) != test.keeps || (s.Session.Attestation != nil) != test.keeps {
				t.Errorf("attested %+v, the session %+v", s.Attested, s.Session.Attestation)
			}
			sealed = nil
			if err := e.IssueTicket(); err != nil {
				t.Fatal(err)
			}
			met.Run()
			if sealed == nil || (sealed.Attestation != nil) != test.keeps {
				t.Errorf("the ticket keeps %+v", sealed)
			}
		})
	}
}

// TestWithoutPathValidation: a profile that asks for no path validation beside the
// attestation does not switch off what the configuration asks for.
func TestWithoutPathValidation(t *testing.T) {
	key := func(c *handshake.Conn) []byte { return c.ConnectionState().PeerSPKI }
	for sentence, test := range map[string]struct {
		trust   handshake.Trust
		verdict func(spki []byte) *negotiation.Verdict
		pkix    bool
		due     profile.VerdictBefore
		lenient bool // failures of the verdict pass
		want    attls.Failure
	}{
		"the trust that is configured decides": {trust: handshake.Trust{}, want: attls.FailUnknownCA},
		"whoever skips validation skips it":    {trust: handshake.Trust{InsecureSkipVerify: true}, verdict: func([]byte) *negotiation.Verdict { return accept }},
		"Verify has the last word": {trust: handshake.Trust{AcceptAttested: true, Verify: func(context.Context, attls.Role, [][]byte) error {
			return errors.New("not this one")
		}}, want: attls.FailBadCertificate},
		"an affirming verdict on the key": {trust: handshake.Trust{AcceptAttested: true}},
		"an affirming verdict on no key": {trust: handshake.Trust{AcceptAttested: true},
			verdict: func([]byte) *negotiation.Verdict { return accept }, want: attls.FailUnknownCA},
		"a verdict on another key": {trust: handshake.Trust{AcceptAttested: true}, verdict: func([]byte) *negotiation.Verdict {
			return &negotiation.Verdict{Status: "affirming", SPKI: spkiOf(t, admin)}
		}, want: attls.FailTIKMismatch},
		"a refusal that the profile lets pass": {trust: handshake.Trust{AcceptAttested: true}, lenient: true, verdict: func(spki []byte) *negotiation.Verdict {
			return &negotiation.Verdict{Status: "contraindicated", SPKI: spki}
		}, want: attls.FailUnknownCA},
		"a verdict that comes later":         {trust: handshake.Trust{AcceptAttested: true}, due: profile.BeforeNothing, want: attls.FailUnknownCA},
		"a verdict before application data":  {trust: handshake.Trust{AcceptAttested: true}, due: profile.BeforeApplicationData},
		"a profile that asks for validation": {trust: handshake.Trust{AcceptAttested: true}, pkix: true, want: attls.FailUnknownCA},
	} {
		t.Run(sentence, func(t *testing.T) {
			spki := spkiOf(t, enginetest.Credential("server"))
			verdict := &negotiation.Verdict{Status: "affirming", SPKI: spki}
			if test.verdict != nil {
				verdict = test.verdict(spki)
			}
			judge := func(context.Context) (*negotiation.Verdict, error) { return verdict, nil }
			p := *loaded(t, "early-attestation-06", nil)
			p.Rules.Verdict = test.due
			if test.due == 0 {
				p.Rules.Verdict = profile.BeforeFinished
			}
			p.Credentials = slices.Clone(p.Credentials)
			for i := range p.Credentials {
				p.Credentials[i].PKIX = test.pkix
			}
			if test.lenient {
				p.Alerts = map[attls.Failure]profile.AlertAction{attls.FailAppraisal: {None: true}}
			}
			cc := &handshake.Config{Profile: &p, ServerName: "server", Policy: negotiation.Policy{Accept: []negotiation.Scheme{evidence}}}
			sc := &handshake.Config{Profile: &p, CanAuthenticate: true, Policy: negotiation.Policy{Produce: []negotiation.Scheme{evidence}}}
			ca := &handshake.Answerer{Trust: test.trust, Appraiser: attesting{judge: judge}}
			sa := &handshake.Answerer{Attester: attesting{}, Credentials: trusting("server").Credentials}
			a, b := loopback(t)
			client, server := conns(t, a, b, cc, sc, ca, sa)
			ce, _ := both(client, server)
			var e *attls.Error
			if errors.As(ce, &e); (test.want == "") != (ce == nil) || e != nil && e.Failure != test.want {
				t.Errorf("%v, want %q", ce, test.want)
			}
			if ce == nil && !bytes.Equal(key(client), spki) {
				t.Errorf("the peer's key is %x", key(client))
			}
		})
	}
}

// TestExternalKeys: the end of a key's use, the word of a policy and a clock that
// does not know the time count for external keys as they do for tickets.
func TestExternalKeys(t *testing.T) {
	attestation := kept(t, "early-attestation-06")
	attestation.SPKI = spkiOf(t, serverCredential)
	for sentence, test := range map[string]struct {
		now      time.Time
		notAfter time.Time
		accept   func(*handshake.Session) bool
		attested bool
		server   bool
		client   bool
		standing negotiation.Standing
	}{
		"without an end":                      {now: noon, server: true, client: true, standing: negotiation.StandingHolds},
		"before its end":                      {now: noon, notAfter: noon.Add(1), server: true, client: true, standing: negotiation.StandingHolds},
		"at its end":                          {now: noon, notAfter: noon},
		"with an end, at an unknown time":     {notAfter: noon},
		"that the policy passes over":         {now: noon, accept: func(*handshake.Session) bool { return false }, client: true, standing: negotiation.StandingHolds},
		"attested":                            {now: noon, attested: true, server: true, client: true, standing: negotiation.StandingHolds},
		"attested once":                       {now: noon.Add(time.Hour), attested: true, server: true, client: true, standing: negotiation.StandingExpired},
		"attested, at an unknown time":        {attested: true, server: true, client: true, standing: negotiation.StandingDue},
		"with nothing, and an unknown time":   {server: true, client: true, standing: negotiation.StandingHolds},
		"attested, by a clock that went back": {now: noon.Add(-time.Hour), attested: true, server: true, client: true, standing: negotiation.StandingHolds},
	} {
		clock := func() time.Time { return test.now }
		key := &handshake.Session{Identity: []byte("key"), Secret: []byte("secret"), External: true, Suite: attls.TLS_AES_128_GCM_SHA256, NotAfter: test.notAfter}
		if test.attested {
			key.Attestation = attestation
		}
		servers := &handshake.ServerSessions{External: []*handshake.Session{key}, Accept: test.accept}
		servers.Keys.Now = clock
		clients := &handshake.ClientSessions{External: servers.External, Now: clock}
		if p, ok := servers.Find(&handshake.PSKRequest{Identities: identities(handshake.PSK{Session: key})}); ok != test.server || ok && p.Standing != test.standing {
			t.Errorf("%s: a server finds %v, %v", sentence, ok, p.Standing)
		}
		if offers := clients.Offers(&handshake.PSKRequest{}); (len(offers) == 1) != test.client || test.client && offers[0].Standing != test.standing {
			t.Errorf("%s: a client offers %+v", sentence, offers)
		}
	}
}

func identities(p handshake.PSK) []extensions.PSKIdentity {
	return []extensions.PSKIdentity{{Identity: p.Session.Identity, ObfuscatedTicketAge: p.ObfuscatedAge}}
}
