package campaign

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"attls"
)

// Covered is how much of the code of one side of a campaign was run.
type Covered struct {
	Side   string  // the name in front of the number in the names of the files
	Unit   string  // what is counted: statements or lines
	Growth []Point // how many were run, over time
	// Parts are files of C, or packages of Go, by name, in the last measurement.
	Parts       []CoveredPart
	Units, Runs int // of all parts: how many there are, and were run
}

// CoveredPart is a file or a package.
type CoveredPart struct {
	Name        string
	Units, Runs int
}

// Percent is how much of a part was run.
func (p CoveredPart) Percent() int { return 100 * p.Runs / max(p.Units, 1) }

// maxCoverage bounds a file of a measurement in octets; mostMeasured, the files that are read.
const (
	maxCoverage  = 1 << 26
	mostMeasured = 256
)

// measured is the name of a measurement: a side, seconds since the campaign began, and the format.
var measured = regexp.MustCompile(`^([a-z][a-z0-9-]*)-([0-9]{1,7})\.(txt|json)$`)

// ReadCoverage reads the measurements in a directory: SIDE-SECONDS.txt is a profile of Go, as go tool
// covdata textfmt writes it, and SIDE-SECONDS.json what llvm-cov export --summary-only writes. Files
// that are neither come back with the reason. A directory that is not there has none.
func ReadCoverage(dir string) (list []Covered, unread []string, err error) {
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	sides, last := map[string]*Covered{}, map[string]int{}
	for n, f := range files {
		m := measured.FindStringSubmatch(f.Name())
		if m == nil || !f.Type().IsRegular() {
			continue
		}
		if n >= mostMeasured {
			unread = append(unread, fmt.Sprintf("%s: more than %d measurements", dir, mostMeasured))
			break
		}
		parts, unit, err := readMeasured(filepath.Join(dir, f.Name()), m[3])
		if err != nil {
			unread = append(unread, err.Error())
			continue
		}
		seconds, _ := strconv.Atoi(m[2])
		c := sides[m[1]]
		if c == nil {
			c = &Covered{Side: m[1], Unit: unit}
			sides[m[1]] = c
		}
		units, runs := 0, 0
		for _, p := range parts {
			units, runs = units+p.Units, runs+p.Runs
		}
		c.Growth = append(c.Growth, Point{float64(seconds), runs})
		if c.Parts == nil || seconds >= last[m[1]] {
			last[m[1]], c.Parts, c.Units, c.Runs = seconds, parts, units, runs
		}
	}
	for _, c := range sides {
		slices.SortFunc(c.Growth, func(a, b Point) int { return cmp.Compare(a.Seconds, b.Seconds) })
		list = append(list, *c)
	}
	slices.SortFunc(list, func(a, b Covered) int { return cmp.Compare(a.Side, b.Side) })
	return list, unread, nil
}

func readMeasured(name, format string) (parts []CoveredPart, unit string, err error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, "", err
	}
	if info.Size() > maxCoverage {
		return nil, "", fmt.Errorf("%s: more than %d octets", name, maxCoverage)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, "", err
	}
	read := readGoProfile
	if unit = "statements"; format == "json" {
		read, unit = readLLVM, "lines"
	}
	if parts, err = read(b); err != nil {
		return nil, "", fmt.Errorf("%s: %w", name, err)
	}
	slices.SortFunc(parts, func(a, b CoveredPart) int { return cmp.Compare(a.Name, b.Name) })
	return parts, unit, nil
}

// readGoProfile reads a profile of Go: FILE:FROM,TO STATEMENTS TIMES, of which a place may come twice.
func readGoProfile(b []byte) ([]CoveredPart, error) {
	s := bufio.NewScanner(bytes.NewReader(b))
	if !s.Scan() || !strings.HasPrefix(s.Text(), "mode: ") {
		return nil, errors.New("line 1: no mode, as a profile of Go has it")
	}
	type block struct {
		units int
		ran   bool
	}
	blocks := map[string]block{}
	for n := 2; s.Scan(); n++ {
		var units, times uint32
		place, rest, ok := strings.Cut(s.Text(), " ")
		file, _, named := strings.Cut(place, ":")
		if _, err := fmt.Sscan(rest, &units, &times); !ok || !named || file == "" || err != nil {
			return nil, fmt.Errorf("line %d: not a place and two numbers: %.60q", n, attls.Printable(s.Text()))
		}
		x := blocks[place]
		blocks[place] = block{int(units), x.ran || times > 0}
	}
	if err := s.Err(); err != nil {
		return nil, err
	}
	packages := map[string]CoveredPart{}
	for place, x := range blocks {
		name := path.Dir(place[:strings.IndexByte(place, ':')])
		p := packages[name]
		p.Name, p.Units = name, p.Units+x.units
		if x.ran {
			p.Runs += x.units
		}
		packages[name] = p
	}
	var parts []CoveredPart
	for _, p := range packages {
		parts = append(parts, p)
	}
	return parts, nil
}

// readLLVM reads what llvm-cov exports.
func readLLVM(b []byte) (parts []CoveredPart, err error) {
	var x struct {
		Type string `json:"type"`
		Data []struct {
			Files []struct {
				Filename string `json:"filename"`
				Summary  struct {
					Lines struct{ Count, Covered int } `json:"lines"`
				} `json:"summary"`
			} `json:"files"`
		} `json:"data"`
	}
	if err := json.Unmarshal(b, &x); err != nil {
		return nil, err
	}
	if x.Type != "llvm.coverage.json.export" {
		return nil, fmt.Errorf("the type is %.40q, and not llvm.coverage.json.export", attls.Printable(x.Type))
	}
	for _, d := range x.Data {
		for _, f := range d.Files {
			l := f.Summary.Lines
			if l.Count < 0 || l.Covered < 0 || l.Covered > l.Count {
				return nil, fmt.Errorf("%.60q: %d of %d lines", attls.Printable(f.Filename), l.Covered, l.Count)
			}
			name := path.Join(path.Base(path.Dir(f.Filename)), path.Base(f.Filename))
			parts = append(parts, CoveredPart{name, l.Count, l.Covered})
		}
	}
	return parts, nil
}
