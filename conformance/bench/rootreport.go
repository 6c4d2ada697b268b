package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"time"

	"attls"
	"attls/internal/gate"
)

// RootSchema names the form of a RootReport as JSON.
const RootSchema = "attls-bench-roots/1"

// RootReport is what Roots measured. Times are in nanoseconds.
type RootReport struct {
	Schema     string    `json:"schema"`
	Profile    string    `json:"profile"`
	Attester   string    `json:"attester"`   // client, server
	Credential string    `json:"credential"` // attestation, x509
	Machine    Machine   `json:"machine"`
	Complete   bool      `json:"complete"`        // all rounds were run
	Ended      string    `json:"ended,omitempty"` // why they were not
	Plain      RootRow   `json:"plain"`           // the same handshake without attestation
	Rows       []RootRow `json:"rows"`
}

// Machine is where something was measured.
type Machine struct {
	System       string `json:"system"`
	Architecture string `json:"architecture"`
	Processors   int    `json:"processors"`
	Go           string `json:"go"`
}

func thisMachine() Machine {
	return Machine{runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version()}
}

func (m Machine) String() string {
	return fmt.Sprintf("%s/%s, %d processors, %s", m.System, m.Architecture, m.Processors, m.Go)
}

// RootRow is one root of trust, model and Verifier, or the handshake without
// attestation.
type RootRow struct {
	Root     string `json:"root_of_trust,omitempty"`
	Title    string `json:"title,omitempty"`
	Model    string `json:"model,omitempty"`    // evidence (background check), results (passport)
	Verifier string `json:"verifier,omitempty"` // embedded, http
	// Skipped says why the row could not be measured, Failed which error a handshake
	// had. Nothing else is set then.
	Skipped string `json:"skipped,omitempty"`
	Failed  string `json:"failed,omitempty"`

	// Rounds is how often the costs were measured.
	Rounds int `json:"rounds"`
	// Cost is that of a whole handshake: processor time and allocations of this process,
	// both ends and the Verifier together. An emulator that is a program of its own is
	// not in it.
	Cost Cost `json:"cost"`
	// ToPlain is the time divided by that of the plain handshake in the same round, the
	// median; AddedAllocations are those that the plain one does not have.
	ToPlain          float64 `json:"to_plain"`
	AddedAllocations float64 `json:"added_allocations"`

	// Make is the time for Evidence, Judge the Verifier's for judging it, Check the
	// relying party's for a Result. They pass on the clock, at a round-trip time of 0.
	Make  float64 `json:"make_nanoseconds"`
	Judge float64 `json:"judge_nanoseconds"`
	Check float64 `json:"check_nanoseconds"`

	EvidenceOctets int `json:"evidence_octets"` // the CMW with Evidence
	PayloadOctets  int `json:"payload_octets"`  // the CMW in the handshake: Evidence, or the Result
	// Octets are those that each end sends until the handshake is complete at both.
	// Signatures differ in length by an octet or two from handshake to handshake.
	Octets      EndOctets `json:"octets"`
	AddedOctets int       `json:"added_octets"` // of both ends, compared with the plain handshake

	// RoundTrips are those until the client has the first application data of the server;
	// VerifierRoundTrips come in addition, one for each request to the Verifier.
	RoundTrips         int           `json:"round_trips"`
	VerifierRoundTrips int           `json:"verifier_round_trips"`
	Latencies          []RootLatency `json:"latencies,omitempty"`
}

// EndOctets are octets by the end that sends them.
type EndOctets struct {
	Client int `json:"client"`
	Server int `json:"server"`
}

// Sum is what both ends send.
func (o EndOctets) Sum() int { return o.Client + o.Server }

// RootLatency is the time until the client has the first application data that the
// server answers, at one round-trip time.
type RootLatency struct {
	RTT         time.Duration `json:"rtt_nanoseconds"`
	Runs        int           `json:"runs"`
	Nanoseconds float64       `json:"nanoseconds"` // the median
}

// Measured reports whether the row has figures.
func (r *RootRow) Measured() bool { return r.Rounds > 0 }

// Latency is the row's latency at a round-trip time; nil: it was not measured.
func (r *RootRow) Latency(rtt time.Duration) *RootLatency {
	for i := range r.Latencies {
		if r.Latencies[i].RTT == rtt {
			return &r.Latencies[i]
		}
	}
	return nil
}

// Network is the time that the row's round trips take.
func (r *RootRow) Network(rtt time.Duration) time.Duration {
	return time.Duration(r.RoundTrips+r.VerifierRoundTrips) * rtt
}

// RTTs are the round-trip times at which anything was measured, in their order.
func (r *RootReport) RTTs() (list []time.Duration) {
	for _, l := range r.Plain.Latencies {
		list = append(list, l.RTT)
	}
	return list
}

// Counts are the rows that were measured, skipped, and failed.
func (r *RootReport) Counts() (measured, skipped, failed int) {
	for i := range r.Rows {
		switch {
		case r.Rows[i].Failed != "":
			failed++
		case r.Rows[i].Measured():
			measured++
		default:
			skipped++
		}
	}
	return measured, skipped, failed
}

// Write writes the report as JSON.
func (r *RootReport) Write(w io.Writer) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	_, err = gate.Raw(w).Write(append(gate.JSON(b), '\n'))
	return err
}

// bareRow is the row of the handshake without attestation.
func (c *rootCase) bareRow(rtts []time.Duration) RootRow {
	row := c.row
	if c.subject == nil || c.subject.units == 0 {
		return row
	}
	row.Rounds, row.Cost, row.ToPlain = len(c.subject.times), c.subject.cost(), 1
	row.Octets = EndOctets{Client: c.pair.octets[attls.RoleClient], Server: c.pair.octets[attls.RoleServer]}
	// The client's data goes with its last flight; the answer is the flight after that.
	row.RoundTrips = (c.pair.flights + 1) / 2
	for i, rtt := range rtts {
		if n := len(c.latencies[i]); n > 0 {
			row.Latencies = append(row.Latencies, RootLatency{rtt, n, median(c.latencies[i])})
		}
	}
	return row
}

// finish is the row of a case.
func (c *rootCase) finish(plain *rootCase, rtts []time.Duration) RootRow {
	if c.row.Skipped != "" || c.row.Failed != "" {
		return c.row
	}
	row := c.bareRow(rtts)
	if !row.Measured() {
		row.Skipped = "the measurement ended before its turn"
		return row
	}
	without := plain.bareRow(rtts)
	row.ToPlain = ratio(c.subject, plain.subject)
	row.AddedAllocations = row.Cost.Allocations - without.Cost.Allocations
	row.Make, row.Judge, row.Check = c.meter.took(making), c.meter.took(judging), c.meter.took(checking)
	row.EvidenceOctets, row.PayloadOctets = c.meter.evidence, c.meter.payload
	row.AddedOctets = row.Octets.Sum() - without.Octets.Sum()
	row.VerifierRoundTrips = c.requests
	return row
}
