package bench

import (
	"fmt"
	"testing"

	"attls"
	"attls/handshake"
)

func BenchmarkHandshake(b *testing.B) {
	for _, c := range Cases() {
		c = c.withDefaults()
		ours, theirs, sum, err := handshakeSubjects(c)
		if err != nil {
			b.Fatal(err)
		}
		for _, s := range []*subject{ours, theirs} {
			b.Run(c.Name+"/"+s.name, func(b *testing.B) { run(b, s) })
		}
		for _, s := range sum {
			b.Run(c.Name+"/primitive/"+s.name, func(b *testing.B) { run(b, s) })
		}
	}
}

func run(b *testing.B, s *subject) {
	b.ReportAllocs()
	for b.Loop() {
		if err := s.unit(); err != nil {
			b.Fatal(err)
		}
	}
}

// TestHandshake checks that what is measured is what it says.
func TestHandshake(t *testing.T) {
	for _, c := range Cases() {
		r, err := Handshake(c, Options{Rounds: 1, Repeats: 1})
		if err != nil {
			t.Fatal(err)
		}
		counts := map[string]int{}
		for _, p := range r.Primitives {
			counts[p.Name] = p.Count
		}
		signatures := 1
		if c.Mutual {
			signatures = 2
		}
		chains, steps := signatures, 4
		if c.Resumed {
			signatures, chains, steps = 0, 0, 1 // the ticket
		}
		if c.VerifiedAgain {
			chains, steps = 1, 3
		}
		if counts["signature"] != signatures || counts["chain verification"] != chains {
			t.Errorf("%s: %v; want %d signatures and %d chains", c.Name, counts, signatures, chains)
		}
		// Two flights are protected, each in one record.
		if n := len(r.Primitives); n != 3+steps+3+1+2*2 {
			t.Errorf("%s: %d primitives", c.Name, n)
		}
		if r.Ours.Allocations <= 0 || r.CryptoTLS.Allocations <= 0 || r.Sum.Allocations <= 0 {
			t.Errorf("%s: %+v", c.Name, r)
		}
	}
}

func BenchmarkRecords(b *testing.B) {
	for _, c := range RecordCases() {
		subjects, err := newRecordSubjects(c)
		if err != nil {
			b.Fatal(err)
		}
		for _, s := range subjects.list() {
			b.Run(fmt.Sprintf("%v/%d/%s", c.Suite, c.Octets, s.name), func(b *testing.B) {
				b.SetBytes(int64(c.Octets * s.count))
				run(b, s)
			})
		}
	}
}

// TestHandshakeAllocations holds a handshake of both ends to what its
// primitives allocate and at most 90 allocations more, or 110 with a client's
// certificate.
func TestHandshakeAllocations(t *testing.T) {
	for _, c := range Cases() {
		ceiling := 90.0
		if c.Mutual {
			ceiling = 110
		}
		if c.Resumed { // session and ticket besides
			ceiling = 105
		}
		ours, _, sum, err := handshakeSubjects(c.withDefaults())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := inTurn("", sum); err != nil {
			t.Fatal(err)
		}
		primitives := 0.0
		for _, s := range sum {
			primitives += s.cost().Allocations
		}
		n := testing.AllocsPerRun(20, func() {
			if err := ours.run(); err != nil {
				t.Error(err)
			}
		})
		if n > primitives+ceiling {
			t.Errorf("%s: %v allocations, the primitives have %v; at most %v more are allowed", c.Name, n, primitives, ceiling)
		}
	}
}

// TestSessions: Config.PSK alone adds no allocation to a full handshake. The
// handshake is one whose allocations are the same every time.
func TestSessions(t *testing.T) {
	c := Case{Scheme: attls.ED25519}.withDefaults()
	id, err := newIdentity(c.Scheme)
	if err != nil {
		t.Fatal(err)
	}
	a := id.answerer
	a.ClientSessions, a.ServerSessions = &handshake.ClientSessions{}, &handshake.ServerSessions{}
	count := func(psk bool) float64 {
		ends := c.configs()
		ends[attls.RoleClient].PSK, ends[attls.RoleServer].PSK = psk, psk
		return testing.AllocsPerRun(50, func() {
			if _, err := ends.pair(&a); err != nil {
				t.Error(err)
			}
		})
	}
	if without, with := count(false), count(true); with > without {
		t.Errorf("%v allocations, with PSK %v", without, with)
	}
	r, err := Sessions(c, Options{Rounds: 1, Repeats: 2})
	if err != nil || r.Without <= 0 || r.Ticket <= 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestRecords checks that nothing is allocated for a record, and that what is
// measured is what it says.
func TestRecords(t *testing.T) {
	compared := false
	for _, c := range RecordCases() {
		subjects, err := newRecordSubjects(c)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []*subject{subjects.ours, subjects.conn} {
			if err := s.unit(); err != nil { // buffers grow to their size
				t.Fatal(err)
			}
			n := testing.AllocsPerRun(10, func() {
				if err := s.run(); err != nil {
					t.Error(err)
				}
			})
			if n != 0 {
				t.Errorf("%s, %v, %d octets: %v allocations for a record", s.name, c.Suite, c.Octets, n)
			}
		}
		r, err := Records(c, Options{Rounds: 1, Repeats: 1})
		if err != nil {
			t.Fatal(err)
		}
		if r.Octets != c.Octets || r.Suite != c.Suite.String() {
			t.Errorf("%+v", r)
		}
		compared = compared || r.CryptoTLS.Allocations > 0
	}
	if !compared {
		t.Error("crypto/tls was not measured")
	}
	if _, err := Records(RecordCase{Octets: 16385}, Options{}); err == nil {
		t.Error("a record of 16385 octets was measured")
	}
}

// TestRatio checks the figures that the results consist of.
func TestRatio(t *testing.T) {
	if m := median([]float64{5, 1, 3}); m != 3 {
		t.Errorf("the median is %v", m)
	}
	if m := median([]float64{4, 1, 3, 2}); m != 2.5 {
		t.Errorf("the median is %v", m)
	}
	a, b := &subject{times: []float64{10, 20, 90, 7}}, &subject{times: []float64{5, 5, 10, 0}}
	if r := ratio(a, b); r != 4 {
		t.Errorf("the ratio is %v", r)
	}
	if d := difference(a, b); d != 11 {
		t.Errorf("the difference is %v", d)
	}
	s := newSubject("", 3, func() error { return nil })
	if err := interleave(Options{Rounds: 2, Repeats: 5}, []*subject{s}); err != nil {
		t.Fatal(err)
	}
	if len(s.times) != 2 || s.units != 10 {
		t.Errorf("%d rounds, %d units", len(s.times), s.units)
	}
}

func BenchmarkAttestation(b *testing.B) {
	for _, c := range AttestationCases() {
		with, without, binding, err := attestationSubjects(c)
		if err != nil {
			b.Fatal(err)
		}
		for _, s := range []*subject{with, without, binding} {
			b.Run(c.Name+"/"+s.name, func(b *testing.B) { run(b, s) })
		}
	}
}

// TestLater: what is done after the handshake is measured next to its primitives, and an
// authenticator needs at most 60 allocations above them.
func TestLater(t *testing.T) {
	list, err := Later(Options{Rounds: 3, Repeats: 3})
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 2 {
		t.Fatalf("%d results", len(list))
	}
	for _, r := range list {
		if r.Ours.Nanoseconds <= 0 || r.Sum.Nanoseconds <= 0 || r.ToPrimitives <= 0 || r.AllocationsAbove > 60 || len(r.Primitives) < 5 {
			t.Errorf("%+v", r)
		}
	}
}

// TestAttestation runs every case once; that the end attested is checked on
// the way.
func TestAttestation(t *testing.T) {
	for _, c := range AttestationCases() {
		r, err := Attestation(c, Options{Rounds: 1, Repeats: 1})
		if err != nil {
			t.Fatal(err)
		}
		if r.Added.Octets < payloadSize || r.Case != c.Name {
			t.Errorf("%+v", r)
		}
	}
}
