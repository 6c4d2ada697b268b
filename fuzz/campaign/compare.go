package campaign

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Compared is how two campaigns did with one bug that both tried.
type Compared struct {
	Name string `json:"name"`
	// A and B are the numbers of trials, and FoundA and FoundB those with a finding.
	A      int `json:"a"`
	B      int `json:"b"`
	FoundA int `json:"foundA"`
	FoundB int `json:"foundB"`
	// Faster is the effect size of Vargha and Delaney, A12: how probable it is that a trial of
	// the first campaign needs less than one of the second, where equal ones count half.
	Faster float64 `json:"faster"`
	// P is that of the Mann–Whitney test, two-sided: the probability of a difference of ranks as
	// large as this one if the campaigns were alike. Holm is P corrected for all bugs (Holm).
	P    float64 `json:"p"`
	Holm float64 `json:"holm"`
}

// Comparison is of two campaigns.
type Comparison struct {
	A string `json:"a"`
	B string `json:"b"`
	// Unit is connections or seconds.
	Unit string     `json:"unit"`
	Bugs []Compared `json:"bugs"` // tried at least fewest times by both
	// OnlyA and OnlyB are the bugs that one of them detected, of those that both tried.
	OnlyA []string `json:"onlyA,omitempty"`
	OnlyB []string `json:"onlyB,omitempty"`
	Both  int      `json:"both"`
	None  int      `json:"none"`
}

// fewest are the trials below which two campaigns cannot differ: with three of each, the most
// different ones have P 0.1.
const fewest = 4

// Compare compares two scores, by connections if these bounded the trials of both, and by
// seconds if time did. Trials without a finding count as longer than all that have one.
func Compare(a, b *Score) (*Comparison, error) {
	c := &Comparison{A: a.Kind, B: b.Kind, Unit: "connections"}
	switch {
	case a.Seconds != b.Seconds || a.Connections != b.Connections:
		return nil, fmt.Errorf("trials of %s end after %s, those of %s after %s", a.Kind, a.Bound(), b.Kind, b.Bound())
	case a.Connections == 0:
		c.Unit = "seconds"
	}
	for i := range a.Bugs {
		x, y := &a.Bugs[i], b.bug(a.Bugs[i].Name)
		if y == nil || x.Trials == 0 || y.Trials == 0 {
			continue
		}
		switch {
		case x.Found > 0 && y.Found > 0:
			c.Both++
		case x.Found > 0:
			c.OnlyA = append(c.OnlyA, x.Name)
		case y.Found > 0:
			c.OnlyB = append(c.OnlyB, x.Name)
		default:
			c.None++
		}
		if x.Trials < fewest || y.Trials < fewest {
			continue
		}
		faster, p := mannWhitney(x.lengths(c.Unit), y.lengths(c.Unit))
		c.Bugs = append(c.Bugs, Compared{Name: x.Name, A: x.Trials, B: y.Trials, FoundA: x.Found, FoundB: y.Found,
			Faster: faster, P: p})
	}
	if c.Both+c.None+len(c.OnlyA)+len(c.OnlyB) == 0 {
		return nil, errors.New("they tried no bug in common")
	}
	holm(c.Bugs)
	return c, nil
}

// lengths are the trials' connections or seconds, +Inf where nothing was found.
func (b *BugScore) lengths(unit string) (list []float64) {
	for _, t := range b.Tries {
		switch {
		case !t.Found:
			list = append(list, math.Inf(1))
		case unit == "seconds":
			list = append(list, t.Seconds)
		default:
			list = append(list, float64(t.Connections))
		}
	}
	return list
}

// holm corrects for the number of tests: the least P times their number, the next one times one
// less, and so on, never less than the one before.
func holm(list []Compared) {
	order := make([]*Compared, len(list))
	for i := range list {
		order[i] = &list[i]
	}
	slices.SortStableFunc(order, func(a, b *Compared) int { return cmp.Compare(a.P, b.P) })
	last := 0.0
	for i, x := range order {
		last = max(last, min(1, x.P*float64(len(order)-i)))
		x.Holm = last
	}
}

// mannWhitney is A12, the probability that one of a is less than one of b, and the two-sided P
// of the test. P is exact, ties included: of all ways to divide the ranks, how many are at least
// as far from the middle.
func mannWhitney(a, b []float64) (faster, p float64) {
	less := 0.0
	for _, x := range a {
		for _, y := range b {
			switch {
			case x < y:
				less++
			case x == y:
				less += 0.5
			}
		}
	}
	faster = less / float64(len(a)*len(b))
	all := slices.Sorted(slices.Values(slices.Concat(a, b)))
	ranks := make([]int, len(all)) // twice the rank, so that ties have whole numbers
	for i := 0; i < len(all); {
		k := i
		for k < len(all) && all[k] == all[i] {
			k++
		}
		for j := i; j < k; j++ {
			ranks[j] = i + k + 1
		}
		i = k
	}
	total := 0
	for _, r := range ranks {
		total += r
	}
	// ways[n][s] is the share of divisions in which n ranks have the sum s.
	ways := make([][]float64, len(a)+1)
	for n := range ways {
		ways[n] = make([]float64, total+1)
	}
	ways[0][0] = 1
	most := 0 // the largest sum until now
	for i, r := range ranks {
		most += r
		for n := min(len(a), i+1); n > 0; n-- {
			for s := most; s >= r; s-- {
				ways[n][s] += ways[n-1][s-r]
			}
		}
	}
	sum := 0
	for _, x := range a {
		sum += ranks[slices.Index(all, x)]
	}
	middle := float64(len(a)) * float64(total) / float64(len(all))
	far, whole := 0.0, 0.0
	for s, w := range ways[len(a)] {
		whole += w
		if math.Abs(float64(s)-middle) >= math.Abs(float64(sum)-middle)-1e-9 {
			far += w
		}
	}
	return faster, min(1, far/whole)
}
