// Package bench compares the engine with crypto/tls and with the
// cryptography that neither can avoid. All that is compared runs in one process
// and takes turns, and what counts is processor time, so that the ratios hold on
// a machine that is busy or whose speed varies; times alone say little.
package bench

import (
	"fmt"
	"runtime"
	"slices"
	"time"
)

// Options say how long to measure. More rounds make the medians steadier.
type Options struct {
	Rounds  int // 0: 20
	Repeats int // runs of each subject in a round; 0: 10
}

func (o Options) rounds() int {
	if o.Rounds == 0 {
		return 20
	}
	return o.Rounds
}

func (o Options) repeats() int {
	if o.Repeats == 0 {
		return 10
	}
	return o.Repeats
}

// check refuses numbers that nothing can be measured with.
func (o Options) check() error {
	if o.Rounds < 0 || o.Repeats < 0 {
		return fmt.Errorf("bench: %d rounds of %d runs; neither can be below 0", o.Rounds, o.Repeats)
	}
	return nil
}

// start is where the clock of processorTime begins when there is no better one.
var start = time.Now()

// Cost is what one run costs: the median over the rounds of the processor time,
// and allocations and allocated octets on average.
type Cost struct {
	Nanoseconds float64 `json:"nanoseconds"`
	Allocations float64 `json:"allocations"`
	Octets      float64 `json:"octets"`
}

// subject is something that is measured.
type subject struct {
	name  string
	count int // runs of it that make one unit, such as signatures in a pair
	run   func() error

	times             []float64 // nanoseconds for a unit, one value for each round
	mallocs, octets   uint64
	units             int
	before, afterward runtime.MemStats
}

func newSubject(name string, count int, run func() error) *subject {
	return &subject{name: name, count: count, run: run}
}

// repeat makes n units and takes down what they cost.
func (s *subject) repeat(n int) error {
	runtime.ReadMemStats(&s.before)
	began := processorTime()
	for range n {
		if err := s.unit(); err != nil {
			return err
		}
	}
	took := processorTime() - began
	runtime.ReadMemStats(&s.afterward)
	s.times = append(s.times, float64(took.Nanoseconds())/float64(n))
	s.mallocs += s.afterward.Mallocs - s.before.Mallocs
	s.octets += s.afterward.TotalAlloc - s.before.TotalAlloc
	s.units += n
	return nil
}

// unit makes one unit.
func (s *subject) unit() error {
	for range s.count {
		if err := s.run(); err != nil {
			return err
		}
	}
	return nil
}

func (s *subject) cost() Cost {
	n := float64(s.units)
	return Cost{Nanoseconds: median(s.times), Allocations: float64(s.mallocs) / n, Octets: float64(s.octets) / n}
}

// inTurn joins subjects into one whose unit is a unit of each: what any
// implementation has to do in the course of a handshake meets caches that the
// other steps have used. The parts' times are taken on the way (by the wall clock,
// since the other is too coarse), and what they allocate beforehand.
func inTurn(name string, parts []*subject) (*subject, error) {
	const often = 8
	for _, p := range parts {
		if err := p.repeat(often); err != nil {
			return nil, err
		}
		p.times = p.times[:0]
	}
	return newSubject(name, 1, func() error {
		for _, p := range parts {
			began := time.Now()
			if err := p.unit(); err != nil {
				return err
			}
			p.times = append(p.times, float64(time.Since(began).Nanoseconds()))
		}
		return nil
	}), nil
}

// interleave runs every subject in every round, after one run of each that does
// not count.
func interleave(o Options, subjects []*subject) error {
	if err := o.check(); err != nil {
		return err
	}
	for _, s := range subjects {
		if err := s.run(); err != nil {
			return err
		}
	}
	for range o.rounds() {
		for _, s := range subjects {
			if err := s.repeat(o.repeats()); err != nil {
				return err
			}
		}
	}
	return nil
}

// ratio is the median over the rounds of one subject's time to another's; a
// round that the clock was too coarse for is left out.
func ratio(s, other *subject) float64 {
	var ratios []float64
	for i, t := range other.times[:min(len(s.times), len(other.times))] { // an interrupt may leave one more
		if t > 0 {
			ratios = append(ratios, s.times[i]/t)
		}
	}
	return median(ratios)
}

// difference is the median over the rounds of one subject's time less another's.
func difference(s, other *subject) float64 {
	differences := make([]float64, len(s.times))
	for i := range differences {
		differences[i] = s.times[i] - other.times[i]
	}
	return median(differences)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) == 0 {
		return 0
	}
	mid := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[mid-1] + sorted[mid]) / 2
	}
	return sorted[mid]
}
