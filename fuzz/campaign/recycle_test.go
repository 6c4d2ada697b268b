package campaign

import (
	"reflect"
	"runtime/debug"
	"testing"

	"attls"
)

// TestRecycle: a run that is used again has nothing of the one before, and ends as a new one does.
func TestRecycle(t *testing.T) {
	x := target(t, TLS)
	w, err := newWorld()
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSubject(w, "", nil, Connection{ClientCertificate: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	in := x.input(s.conn, attls.RoleClient)
	in.Edits = []Edit{{Do: "signature"}, {Do: "record", At: 99, Octets: Octets{1}}}
	first, err := s.run(in)
	if err != nil {
		t.Fatal(err)
	}
	seen, ledger, outcome := len(first.log), len(first.ledger), first.outcomes(map[string]string{})
	s.w.recycle(first)
	r := s.w.run()
	if r != first {
		t.Fatal("it is not used again")
	}
	v := reflect.ValueOf(*r)
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if f := v.Field(i); name != "agents" && !(f.Kind() == reflect.Slice && f.Len() == 0) && !f.IsZero() {
			t.Errorf("%s is left of the run before", name)
		}
	}
	for _, e := range r.log[:cap(r.log)] {
		if e.raw != nil || e.alert != nil {
			t.Fatal("an entry of the log is left")
		}
	}
	s.w.recycle(r)
	again, err := s.run(in)
	if err != nil {
		t.Fatal(err)
	}
	if again != first || len(again.log) != seen || len(again.ledger) != ledger ||
		!reflect.DeepEqual(again.outcomes(map[string]string{}), outcome) || again.agents[attls.RoleServer].edits != nil {
		t.Errorf("%d entries and %d deeds, and %d and %d the second time", seen, ledger, len(again.log), len(again.ledger))
	}
}

// TestOctetsKey: where one value ends and the next begins is part of a key.
func TestOctetsKey(t *testing.T) {
	have := map[string]bool{}
	for _, list := range [][][]byte{nil, {{}}, {{1}}, {{1}, {}}, {{}, {1}}, {{1, 1}}, {{1}, {1}}, {{1}, {1}, {}}} {
		key := octetsKey("x", list...)
		if have[key] {
			t.Errorf("%x: a key of another list", list)
		}
		have[key] = true
	}
}

// TestCollectLess: what garbage collection was set to comes back with the last campaign.
func TestCollectLess(t *testing.T) {
	t.Setenv("GOGC", "")
	usual := debug.SetGCPercent(90)
	defer debug.SetGCPercent(usual)
	one, two := collectLess(), collectLess()
	one()
	if now := debug.SetGCPercent(400); now != 400 {
		t.Errorf("%d with a campaign that runs", now)
	}
	for live, want := range map[uint64]int{0: 400, 1 << 20: 400, 1 << 29: 200, 1 << 30: 100, 1 << 40: 100} {
		collectByNeed(live)
		if now := debug.SetGCPercent(want); now != want {
			t.Errorf("%d with %d octets in use, want %d", now, live, want)
		}
	}
	two()
	if now := debug.SetGCPercent(90); now != 90 {
		t.Errorf("%d afterwards", now)
	}
	debug.SetGCPercent(-1)
	collectLess()()
	if now := debug.SetGCPercent(90); now != -1 {
		t.Errorf("%d, where it was turned off", now)
	}
	t.Setenv("GOGC", "90")
	end := collectLess()
	collectByNeed(1 << 20)
	if now := debug.SetGCPercent(90); now != 90 {
		t.Errorf("%d, where the environment says 90", now)
	}
	end()
	collectByNeed(1 << 20)
	if now := debug.SetGCPercent(90); now != 90 {
		t.Errorf("%d without a campaign", now)
	}
}
