package report

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Grid is a list of cases, of which a report has all or a part.
type Grid struct {
	Options map[string]string `json:"options,omitempty"` // flags that chose the cases
	Cases   int               `json:"cases"`
	Digest  string            `json:"digest"` // SHA-256 of their names, each with a line feed after it
}

// NewGrid is the grid of cases of these names.
func NewGrid(options map[string]string, names []string) *Grid {
	h := sha256.New()
	for _, n := range names {
		_, _ = io.WriteString(h, n+"\n")
	}
	return &Grid{options, len(names), hex.EncodeToString(h.Sum(nil))}
}

// flags are the options as on a command line.
func (g *Grid) flags() string {
	if len(g.Options) == 0 {
		return "none"
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(g.Options)) {
		list = append(list, "--"+name+"="+g.Options[name])
	}
	return strings.Join(list, " ")
}

// Shard is a part of a grid.
type Shard struct {
	Index int `json:"index"` // from 1
	Count int `json:"count"` // of all shards
	Cases int `json:"cases"` // in this one
}

// Whole is the only shard of a grid that is not divided.
var Whole = Shard{Index: 1, Count: 1}

// maxShards bounds a division, so that walks over it are short.
const maxShards = 10000

// ParseShard reads "2/8", the second of eight.
func ParseShard(text string) (Shard, error) {
	index, count, _ := strings.Cut(text, "/")
	i, err := strconv.Atoi(index)
	n, err2 := strconv.Atoi(count)
	if errors.Join(err, err2) != nil {
		return Shard{}, fmt.Errorf("%q is not a shard; the second of eight is 2/8", text)
	}
	s := Shard{Index: i, Count: n}
	if err := s.check(); err != nil {
		return s, fmt.Errorf("%q: %w", text, err)
	}
	return s, nil
}

func (s Shard) check() error {
	switch {
	case s.Count < 1 || s.Count > maxShards:
		return fmt.Errorf("there can be 1 to %d shards", maxShards)
	case s.Index < 1 || s.Index > s.Count:
		return fmt.Errorf("the shards are numbered from 1 to %d", s.Count)
	}
	return nil
}

func (s Shard) String() string { return fmt.Sprintf("%d/%d", s.Index, s.Count) }

// Has reports whether the case at a position of the grid, from 0, is of this
// shard. Cases are dealt out in turn, and each turn begins one shard later, so
// that a shard does not get the same value of a dimension each time.
func (s Shard) Has(position int) bool {
	return position >= 0 && (position+position/s.Count)%s.Count == s.Index-1
}

// check refuses a report that its own header contradicts.
func (r *Report) check() error {
	if len(r.Shards) > 0 && r.Grid == nil {
		return errors.New("it has a shard of no grid")
	}
	for i := range r.Runs {
		if o := r.Runs[i].Outcome; !slices.Contains(Outcomes, o) {
			return fmt.Errorf("run %q has the outcome %q, which there is not", r.Runs[i].ID, o)
		}
	}
	for _, s := range r.Shards {
		if err := s.check(); err != nil {
			return fmt.Errorf("shard %s: %w", s, err)
		}
		if s.Count != r.Shards[0].Count {
			return fmt.Errorf("shard %s and shard %s are of different divisions", r.Shards[0], s)
		}
	}
	return nil
}
