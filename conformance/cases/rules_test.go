package cases

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"attls"
	"attls/conformance/claims"
	"attls/conformance/scenario"
	"attls/conformance/tamper"
	"attls/conformance/trace"
	"attls/extensions"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/message"
	"attls/negotiation"
)

// runWith runs a scenario whose ends were changed; both ends must have been built.
func runWith(t *testing.T, s scenario.Scenario, change func(*scenario.Setup)) *scenario.Result {
	t.Helper()
	result := scenario.Run(context.Background(), s, scenario.Find(Find), scenario.Change(change))
	if result.Profile == nil && s.Profile != "" || result.Claims[0].Schema == "" {
		t.Fatal(result.Err)
	}
	return &result
}

// forEachDesign runs a test for every profile with a wire format of its own, on
// a connection that it allows.
func forEachDesign(t *testing.T, test func(t *testing.T, s scenario.Scenario, p *profile.Profile)) {
	for _, name := range distinct {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := load(t, name)
			test(t, scenario.Scenario{Profile: name, Compiled: p}, p)
		})
	}
}

// added lists the profile's extensions in the messages of a sender.
func added(r *scenario.Result, from attls.Role, what attls.MessageKind) (list []trace.StepExtension) {
	for _, s := range r.Ladder {
		if s.From != from.String() || s.What != what.String() {
			continue
		}
		for _, x := range s.Extensions {
			if x.Added {
				list = append(list, x)
			}
		}
	}
	return list
}

func sound(t *testing.T, r *scenario.Result) {
	t.Helper()
	for _, role := range attls.Roles() {
		if e := r.Claims[role].Error; e != nil {
			t.Errorf("the %v failed: %s, %s", role, e.Failure, e.Detail)
		}
	}
}

// TestUnawareServer: a server that does not know the profile answers none of its
// extensions, and a client that demands nothing goes on.
func TestUnawareServer(t *testing.T) {
	forEachDesign(t, func(t *testing.T, s scenario.Scenario, p *profile.Profile) {
		r := runWith(t, s, func(set *scenario.Setup) {
			set.Ends[attls.RoleClient].Config.Policy.Demand = false
			unaware(set, attls.RoleServer)
		})
		sound(t, r)
		if x := added(r, attls.RoleServer, attls.KindEncryptedExtensions); len(x) > 0 || len(r.Claims[0].Attestation) > 0 {
			t.Errorf("the server answered %v", x)
		}
		if x := added(r, attls.RoleClient, attls.KindClientHello); len(x) == 0 {
			t.Error("the client offered nothing")
		}
	})
}

// TestUnawareClient: a server serves a client that offers nothing, and sends it
// none of the profile's extensions. Where a profile has one sent unasked, as the
// proof of concept does, such a client must refuse it.
func TestUnawareClient(t *testing.T) {
	forEachDesign(t, func(t *testing.T, s scenario.Scenario, p *profile.Profile) {
		r := runWith(t, s, func(set *scenario.Setup) {
			set.Ends[attls.RoleServer].Config.Policy.Demand = false
			unaware(set, attls.RoleClient)
		})
		if p.Rules.NoSchemeThen == profile.ThenNullChoice {
			if e := r.Claims[0].Error; e == nil || e.Failure != string(attls.FailUnsolicited) {
				t.Errorf("the client: %+v", e)
			}
			return
		}
		sound(t, r)
		if x := added(r, attls.RoleServer, attls.KindEncryptedExtensions); len(x) > 0 {
			t.Errorf("the server sent %+v", x)
		}
	})
}

// TestOfferOnlyWhatCanBe: what a client can neither produce nor have appraised is
// not offered; a list without elements is left out or sent empty, as the profile
// says.
func TestOfferOnlyWhatCanBe(t *testing.T) {
	forEachDesign(t, func(t *testing.T, s scenario.Scenario, p *profile.Profile) {
		c, _ := scenario.Default(p)
		s.Attester, s.Model, s.Credential = c.Attester, c.Model, c.Credential
		r := runWith(t, s, func(*scenario.Setup) {})
		sound(t, r)
		model, _ := scenario.ParseModel(c.Model)
		kind, _ := scenario.ParseCredential(c.Credential)
		used := findSlot(p, c.Attester.Roles()[0], model, kind)
		f := p.NewFields()
		for _, step := range r.Ladder {
			if step.Kind != attls.KindClientHello {
				continue
			}
			var ch message.ClientHello
			if err := ch.Unmarshal(step.Bytes()[4:]); err != nil {
				t.Fatal(err)
			}
			for _, x := range ch.Extensions {
				if _, ok := p.Extension(x.Type); ok {
					if err := p.Decode(attls.KindClientHello, attls.RoleClient, x.Type, x.Body, f); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		for i := range p.Slots {
			if n := len(f.Offers[i]); (n > 0) != (i == used) {
				t.Errorf("slot %s: %d elements", p.Slots[i].Name, n)
			}
			if i != used && f.Offered[i] != p.Rules.OfferEmptyList {
				t.Errorf("slot %s: a list stands there: %v", p.Slots[i].Name, f.Offered[i])
			}
		}
	})
}

// TestPreference: of two schemes in common, the one that is first in the order of
// the end whose preference decides is chosen.
func TestPreference(t *testing.T) {
	forEachDesign(t, func(t *testing.T, s scenario.Scenario, p *profile.Profile) {
		s.Model = claims.ModelEvidence
		if err := s.Complete(p); err != nil {
			t.Fatal(err)
		}
		attester := s.Attester.Roles()[0]
		kind, _ := scenario.ParseCredential(s.Credential)
		one := scenario.DemoScheme(p, profile.ModelEvidence, kind)
		two := one
		two.Format = profile.Format{MediaType: "application/eat+cwt"}
		slot := findSlot(p, attester, profile.ModelEvidence, kind)
		if _, ok := p.EncodeScheme(slot, two); !ok || p.Rules.OfferFirst != nil {
			t.Skip("the profile has one format, or wants one first")
		}
		a, _ := p.EncodeScheme(slot, one)
		if b, _ := p.EncodeScheme(slot, two); bytes.Equal(a.Wire, b.Wire) {
			t.Skip("the profile does not tell the two formats apart")
		}
		r := runWith(t, s, func(set *scenario.Setup) {
			for _, role := range attls.Roles() {
				list := []negotiation.Scheme{one, two}
				if role == attls.RoleServer {
					list = []negotiation.Scheme{two, one}
				}
				policy := &set.Ends[role].Config.Policy
				if role == attester {
					policy.Produce = list
				} else {
					policy.Accept = list
				}
			}
		})
		sound(t, r)
		want := claims.FormatName(one.Format)
		if p.Rules.ServerOrder {
			want = claims.FormatName(two.Format)
		}
		if got := r.Claims[0].Attestation[0].Format; got != want {
			t.Errorf("chosen: %s, want %s", got, want)
		}
	})
}

// TestRetryRepeatsOffer: the second ClientHello carries the same offer, nonces
// included.
func TestRetryRepeatsOffer(t *testing.T) {
	forEachDesign(t, func(t *testing.T, s scenario.Scenario, p *profile.Profile) {
		s.HelloRetry = true
		r := runWith(t, s, func(*scenario.Setup) {})
		sound(t, r)
		x := added(r, attls.RoleClient, attls.KindClientHello)
		if len(x) == 0 || len(x)%2 != 0 {
			t.Fatalf("%d extensions in two ClientHellos", len(x))
		}
		for i := range x[:len(x)/2] {
			first, second := x[i], x[i+len(x)/2]
			if first.Type != second.Type || len(first.Fields) != len(second.Fields) {
				t.Fatalf("%+v and %+v", first, second)
			}
			for k := range first.Fields {
				if first.Fields[k] != second.Fields[k] {
					t.Errorf("%+v and %+v", first.Fields[k], second.Fields[k])
				}
			}
		}
	})
}

// TestClientChoiceComesWithRequest: a server that wants the client attested sends
// CertificateRequest, and one that does not neither chooses nor asks.
func TestClientChoiceComesWithRequest(t *testing.T) {
	forEachDesign(t, func(t *testing.T, s scenario.Scenario, p *profile.Profile) {
		for _, a := range []scenario.Attesters{scenario.AttestClient, scenario.AttestServer} {
			s := s
			s.Attester, s.Model, s.Credential = a, "", ""
			if s.Complete(p) != nil {
				continue // poc: the server does not attest
			}
			r := runWith(t, s, func(*scenario.Setup) {})
			sound(t, r)
			asked := false
			for _, step := range r.Ladder {
				asked = asked || step.Kind == attls.KindCertificateRequest
			}
			if asked != (a == scenario.AttestClient) {
				t.Errorf("%s attests, CertificateRequest: %v", a, asked)
			}
			if got := r.Claims[0].Attestation; len(got) != 1 || got[0].Attester != string(a) {
				t.Errorf("%s attests, chosen: %+v", a, got)
			}
		}
	})
}

// TestOwnCertificateNeeded: where client attestation goes beside a certificate, a
// client without one does not offer it; nothing is sent.
func TestOwnCertificateNeeded(t *testing.T) {
	p := load(t, "early-attestation-06")
	r := runWith(t, scenario.Scenario{Profile: p.ID, Compiled: p, Attester: scenario.AttestClient}, func(set *scenario.Setup) {
		set.Ends[attls.RoleClient].Config.CanAuthenticate = false
	})
	if e := r.Claims[0].Error; e == nil || e.Failure != string(attls.FailConfiguration) {
		t.Errorf("the client: %+v", e)
	}
	if len(added(r, attls.RoleClient, attls.KindClientHello)) > 0 {
		t.Error("something was offered")
	}
}

// TestTwoSerializations: Evidence as a CBOR and as a JSON CMW is accepted.
func TestTwoSerializations(t *testing.T) {
	for _, json := range []bool{false, true} {
		r := runWith(t, scenario.Scenario{Profile: "early-attestation-06"}, func(set *scenario.Setup) {
			software, _ := scenario.DemoAttestation(nil)
			software.Offers = software.Offers[:1]
			software.Offers[0].JSON = json
			set.Ends[attls.RoleServer].Attester = software
		})
		sound(t, r)
		if !r.Attested() {
			t.Errorf("JSON %v: not attested", json)
		}
	}
}

// TestDemandOverTolerance: a profile may let every failure pass (alert none). An
// end whose policy demands attestation still completes no handshake without an
// accepted verdict; one that demands nothing goes on after some of them.
func TestDemandOverTolerance(t *testing.T) {
	for _, name := range []string{"tls-attestation-07", "early-attestation-06", "early-attestation-00", "mbedtls-poc"} {
		p := load(t, name)
		lenient := *p
		lenient.Alerts = map[attls.Failure]profile.AlertAction{}
		for _, f := range attls.AttestationFailures {
			lenient.Alerts[f] = profile.AlertAction{None: true}
		}
		passed := 0
		for _, f := range rejected(p, scenario.Scenario{Profile: name, Compiled: p}) {
			for _, demand := range []bool{true, false} {
				s := f.Scenario
				s.Compiled, s.Fail = &lenient, ""
				r := runWith(t, s, func(set *scenario.Setup) {
					f.Apply(set)
					for _, role := range s.Attester.Roles() {
						set.Ends[role.Peer()].Config.Policy.Demand = demand
					}
				})
				for _, attester := range s.Attester.Roles() {
					c := &r.Claims[attester.Peer()]
					through := c.Error == nil && c.DataReceived > 0 && !scenario.Accepted(c, attester)
					switch {
					case through && demand:
						t.Errorf("%s, %s: the %v received data although the %v had to attest and did not", name, f.ID, attester.Peer(), attester)
					case through:
						passed++
					}
					if c.AlertSent != nil && c.AlertSent.Name == "close_notify" {
						t.Errorf("%s, %s: a failure ended the connection with close_notify", name, f.ID)
					}
				}
			}
		}
		if passed == 0 {
			t.Errorf("%s: nothing is tolerated", name)
		}
	}
}

// TestOfferInSecondHello: after HelloRetryRequest the offer is that of the first
// ClientHello. Whether it is changed, added or left out, the profile's alert for
// a changed offer answers it, or, where the profile tolerates that, nothing does. An
// offer that was only moved is what RFC 8446 section 4.1.2 refuses in any ClientHello.
func TestOfferInSecondHello(t *testing.T) {
	forEachDesign(t, func(t *testing.T, s scenario.Scenario, p *profile.Profile) {
		offer := func(x extensions.Extension) bool { _, ok := p.Extension(x.Type); return ok }
		lenient := *p
		lenient.Alerts = map[attls.Failure]profile.AlertAction{attls.FailOfferChanged: {None: true}}
		s.HelloRetry = true
		for name, tap := range map[string]handshake.Tap{
			"left out": tamper.Extensions(attls.KindClientHello, 1, func(l extensions.List) extensions.List { return slices.DeleteFunc(slices.Clone(l), offer) }),
			"added":    tamper.Extensions(attls.KindClientHello, 0, func(l extensions.List) extensions.List { return slices.DeleteFunc(slices.Clone(l), offer) }),
			"moved": tamper.Extensions(attls.KindClientHello, 1, func(l extensions.List) extensions.List {
				l = slices.Clone(l)
				slices.SortStableFunc(l, func(a, b extensions.Extension) int { return rank(offer(b)) - rank(offer(a)) })
				return l
			}),
		} {
			for _, compiled := range []*profile.Profile{p, &lenient} {
				s.Compiled = compiled
				r := runWith(t, s, func(set *scenario.Setup) {
					for _, role := range attls.Roles() {
						set.Ends[role].Config.Policy.Demand = false
					}
					set.Tap(attls.RoleClient, tap.Fork())
				})
				e := r.Claims[attls.RoleServer].Error
				want := attls.FailOfferChanged
				if name == "moved" {
					want = attls.FailRetryMismatch
				}
				if refused := e != nil && e.Failure == string(want); refused != (compiled == p || name == "moved") {
					t.Errorf("%s, tolerated %v: %+v", name, compiled != p, e)
				}
			}
		}
	})
}

func rank(last bool) int {
	if last {
		return 1
	}
	return 0
}
