package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"attls"
	"attls/attestation"
	"attls/attestation/roots"
	"attls/negotiation"
)

// TestRoots: every root of trust has a row for each model and each Verifier, with figures
// or with the reason why there are none.
func TestRoots(t *testing.T) {
	for _, attester := range attls.Roles() {
		steps := 0
		r, err := Roots(t.Context(), RootOptions{Count: 1, Attester: attester, Progress: func(string, int, int) { steps++ }})
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]int{}
		for i := range r.Rows {
			row := &r.Rows[i]
			seen[row.Root]++
			checkRootRow(t, row, &r.Plain, attester)
		}
		for _, f := range roots.All().All() {
			if f.Name != attestation.Composite && seen[f.Name] == 0 {
				t.Errorf("%s has no row", f.Name)
			}
		}
		measured, _, failed := r.Counts()
		if !r.Complete || r.Ended != "" || measured == 0 || failed > 0 || steps != 2*(1+measured) {
			t.Errorf("complete %t, %q; %d rows measured, %d failed; %d steps", r.Complete, r.Ended, measured, failed, steps)
		}
	}
}

func checkRootRow(t *testing.T, row, plain *RootRow, attester attls.Role) {
	t.Helper()
	where := strings.Join([]string{attester.String(), row.Root, row.Model, row.Verifier}, "/")
	if row.Failed != "" {
		t.Errorf("%s failed: %s", where, row.Failed)
		return
	}
	if !row.Measured() {
		if len(strings.Fields(row.Skipped)) < 3 {
			t.Errorf("%s: %q is not a reason", where, row.Skipped)
		}
		return
	}
	results := row.Model == "results"
	if row.EvidenceOctets == 0 || row.PayloadOctets == 0 || results == (row.PayloadOctets == row.EvidenceOctets) {
		t.Errorf("%s: %d octets of Evidence in a payload of %d", where, row.EvidenceOctets, row.PayloadOctets)
	}
	// The payload is sent once, in its structures and in records.
	if more := row.AddedOctets - row.PayloadOctets; more < 0 || more > 1000 {
		t.Errorf("%s: the payload has %d octets, and the handshake %d more than a plain one", where, row.PayloadOctets, row.AddedOctets)
	}
	sent := map[attls.Role]int{attls.RoleClient: row.Octets.Client, attls.RoleServer: row.Octets.Server}
	if sent[attester] < row.PayloadOctets {
		t.Errorf("%s: %+v", where, row.Octets)
	}
	asked := 0
	if row.Verifier == "http" {
		asked = 1
	}
	if row.RoundTrips != 2 || plain.RoundTrips != 2 || row.VerifierRoundTrips != asked {
		t.Errorf("%s: %d round trips and %d to the Verifier; plain %d", where, row.RoundTrips, row.VerifierRoundTrips, plain.RoundTrips)
	}
	if row.Make <= 0 || row.Judge <= 0 || (row.Check > 0) != results {
		t.Errorf("%s: make %v, judge %v, check %v", where, row.Make, row.Judge, row.Check)
	}
	if row.AddedAllocations <= 0 || row.Latency(0) == nil || row.Latency(0).Runs != 1 || row.Latency(time.Second) != nil {
		t.Errorf("%s: %v allocations added; %+v", where, row.AddedAllocations, row.Latencies)
	}
}

// inTime are roots of trust whose emulators open no socket, so that a clock which only
// waiting moves can measure them.
var inTime = []string{attestation.EAT, "psa", "sev-snp"}

// TestRoundTrips: at every round-trip time the delaying pipe takes exactly as long as the
// round trips that are counted, those to the Verifier included.
func TestRoundTrips(t *testing.T) {
	for _, attester := range attls.Roles() {
		synctest.Test(t, func(t *testing.T) {
			rtts := []time.Duration{0, 20 * time.Millisecond, time.Second}
			r, err := Roots(t.Context(), RootOptions{Count: 2, Names: inTime, RTTs: rtts, Attester: attester})
			if err != nil {
				t.Fatal(err)
			}
			measured, _, failed := r.Counts()
			if want := len(inTime) * 4; measured != want || failed != 0 || !slices.Equal(r.RTTs(), rtts) {
				t.Errorf("%d of %d rows measured, %d failed, at %v: %+v", measured, want, failed, r.RTTs(), r.Rows)
			}
			for _, row := range append(slices.Clone(r.Rows), r.Plain) {
				for _, rtt := range rtts {
					l := row.Latency(rtt)
					if l == nil {
						t.Errorf("%s, %s, %s: not measured at %v", row.Root, row.Model, row.Verifier, rtt)
						continue
					}
					if got := time.Duration(l.Nanoseconds); got != row.Network(rtt) || l.Runs != 2 {
						t.Errorf("%s, %s, %s, %s attests: %v in %d runs at %v, with %d + %d round trips", row.Root, row.Model, row.Verifier,
							r.Attester, got, l.Runs, rtt, row.RoundTrips, row.VerifierRoundTrips)
					}
				}
			}
		})
	}
}

// TestRootsEndEarly: when the time is up or an interrupt comes, what was measured is kept,
// and the report says why it ends.
func TestRootsEndEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, err := Roots(t.Context(), RootOptions{Names: inTime[:1], RTTs: []time.Duration{time.Second}, Time: 5 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		if r.Complete || r.Ended != "the time of 5s was up" || r.Plain.Rounds != 1 || r.Plain.Latencies[0].Runs != 1 || r.Rows[0].Latencies[0].Runs != 1 {
			t.Errorf("%+v", r)
		}
	})
	ctx, interrupt := context.WithCancel(t.Context())
	r, err := Roots(ctx, RootOptions{Names: inTime[:1], Progress: func(_ string, done, _ int) {
		if done == 2 {
			interrupt()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Complete || r.Ended != "interrupted" || r.Plain.Rounds != 1 || !r.Rows[0].Measured() || r.Rows[1].Skipped == "" || r.Rows[0].Latencies != nil {
		t.Errorf("%+v", r)
	}
	// Before the first one there is nothing to report.
	if r, err := Roots(ctx, RootOptions{Names: inTime[:1]}); !errors.Is(err, context.Canceled) {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestRootOptions: what cannot be measured is refused by name.
func TestRootOptions(t *testing.T) {
	for _, test := range []struct {
		o    RootOptions
		want string
	}{
		{RootOptions{Count: -1}, "-1 rounds"},
		{RootOptions{Count: MaxCount + 1}, "100001 rounds"},
		{RootOptions{Time: -1}, "below 0"},
		{RootOptions{RTTs: []time.Duration{-1}}, "-1ns"},
		{RootOptions{RTTs: []time.Duration{MaxRTT + 1}}, "is 0 to 10s"},
		{RootOptions{RTTs: []time.Duration{5, 5}}, "5ns appears twice"},
		{RootOptions{Names: []string{"eat", "eat"}}, "eat appears twice"},
		{RootOptions{Names: []string{"eat+nothing"}}, "nothing"},
		{RootOptions{Profile: "early-attestation-99"}, "early-attestation-99"},
	} {
		if _, err := Roots(t.Context(), test.o); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v; want %q", test.o, err, test.want)
		}
	}
}

// missing is a table with a root of trust whose emulator is not installed, and one that
// no profile can name.
func missing(t *testing.T) *attestation.Formats {
	t.Helper()
	f := *roots.All().All()[0]
	f.Name, f.Title, f.Collections = "absent", "A root of trust that is not here", nil
	f.Types = []attestation.Type{{MediaType: "application/vnd.absent"}}
	f.Emulate = func(context.Context, attestation.EmulatorOptions) (*attestation.Emulation, error) {
		return nil, errors.New("the program emulatord\nis not installed")
	}
	table, err := attestation.NewFormats(append(attestation.SoftwareFormats(), f)...)
	if err != nil {
		t.Fatal(err)
	}
	return &table
}

// TestRootMissing: a root of trust that is not here is a row that says why, and the others
// are measured; the report survives JSON.
func TestRootMissing(t *testing.T) {
	r, err := Roots(t.Context(), RootOptions{Table: missing(t), Names: []string{"absent", attestation.EAT}, Count: 1,
		Verifiers: []RootVerifier{EmbeddedVerifier(), {Name: "none", Open: func(context.Context, *attestation.Verifier, *Link) (negotiation.Appraiser, func(), error) {
			return nil, nil, errors.New("there is no such service")
		}}}})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Rows) != 5 || !strings.Contains(r.Rows[0].Skipped, "the program emulatord is not installed") || !r.Rows[1].Measured() ||
		r.Rows[2].Skipped != "there is no such service" {
		t.Errorf("%+v", r.Rows)
	}
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	var back RootReport
	if err := json.Unmarshal(b.Bytes(), &back); err != nil || !reflect.DeepEqual(&back, r) {
		t.Errorf("%v: %s", err, b.Bytes())
	}
}
