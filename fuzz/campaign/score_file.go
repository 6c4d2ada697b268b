package campaign

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// ScoreFormat is the version of files with scores.
const ScoreFormat = "attls-fuzz-score 1"

// MostTrials are those that a bug may have.
const MostTrials = 100

// maxScoreFile bounds a file of scores, in octets.
const maxScoreFile = 1 << 24

// ScoreFile is a file with scores of one build.
type ScoreFile struct {
	Format string `json:"format"`
	// Version is the build that was measured.
	Version string   `json:"version"`
	Scores  []*Score `json:"scores"`
}

// Of is the score of a kind of campaign; nil: there is none.
func (f *ScoreFile) Of(kind string) *Score {
	for _, s := range f.Scores {
		if s.Kind == kind {
			return s
		}
	}
	return nil
}

// Put adds a score, or replaces the one of its kind.
func (f *ScoreFile) Put(s *Score) {
	if i := slices.IndexFunc(f.Scores, func(x *Score) bool { return x.Kind == s.Kind }); i >= 0 {
		f.Scores[i] = s
		return
	}
	f.Scores = append(f.Scores, s)
}

// WriteFile writes the file, whole or not at all.
func (f *ScoreFile) WriteFile(name string) error {
	f.Format = ScoreFormat
	b, err := json.MarshalIndent(f, "", " ")
	if err != nil {
		return err
	}
	to, err := os.CreateTemp(filepath.Dir(name), ".score-*")
	if err != nil {
		return err
	}
	_, err = to.Write(append(b, '\n'))
	if err = errors.Join(err, to.Chmod(0o644), to.Close()); err == nil {
		err = os.Rename(to.Name(), name)
	}
	if err != nil {
		_ = os.Remove(to.Name())
	}
	return err
}

// ReadScoreFile reads a file of at most 16 MiB. What is not true of scores is an error: another
// version, a trial of a bug that no peer can see, two bugs of a name, two trials of a seed.
func ReadScoreFile(name string) (*ScoreFile, error) {
	from, err := os.Open(filepath.Clean(name))
	if err != nil {
		return nil, err
	}
	defer from.Close()
	b, err := io.ReadAll(io.LimitReader(from, maxScoreFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxScoreFile {
		return nil, fmt.Errorf("%s: it has more than %d octets", name, maxScoreFile)
	}
	f := &ScoreFile{}
	if err := json.Unmarshal(b, f); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if f.Format != ScoreFormat {
		return nil, fmt.Errorf("%s: %w", name, &VersionError{f.Format, ScoreFormat})
	}
	for i, s := range f.Scores {
		if s == nil || !slices.Contains(Kinds, s.Kind) || f.Of(s.Kind) != s {
			return nil, fmt.Errorf("%s: scores[%d] is of no kind of campaign, or of one that is there twice", name, i)
		}
		if err := s.check(); err != nil {
			return nil, fmt.Errorf("%s: scores[%d]: %w", name, i, err)
		}
	}
	return f, nil
}

// mostBugs bounds the bugs of a score that is read.
const mostBugs = 1000

// check reports what cannot be of a score, and computes what follows from its trials.
func (s *Score) check() error {
	if s.Seconds < 0 || s.Connections < 0 || s.Sound < 0 || s.Missing < 0 {
		return errors.New("a number is less than 0")
	}
	if len(s.Bugs) > mostBugs {
		return fmt.Errorf("more than %d bugs", mostBugs)
	}
	for k := range s.Bugs {
		b := &s.Bugs[k]
		if b.Name == "" || s.bug(b.Name) != b || b.Hidden != "" && len(b.Tries) > 0 {
			return fmt.Errorf("bugs[%d], %q: it has no name, is there twice, or was tried although no peer can see it", k,
				b.Name)
		}
		if len(b.Tries) > MostTrials {
			return fmt.Errorf("bugs[%d], %q: more than %d trials", k, b.Name, MostTrials)
		}
		for j, t := range b.Tries {
			if t.Connections < 0 || t.Seconds < 0 {
				return fmt.Errorf("bugs[%d], %q: a trial has less than no connections or seconds", k, b.Name)
			}
			if slices.ContainsFunc(b.Tries[:j], func(o Try) bool { return o.Seed == t.Seed }) {
				return fmt.Errorf("bugs[%d], %q: two trials have the seed %d", k, b.Name, t.Seed)
			}
		}
		b.settle()
	}
	return nil
}

// Continues reports why the trials of a score cannot be gone on with under these options. Trials
// beyond those that the options ask for are kept.
func (s *Score) Continues(o *ScoreOptions) error {
	want := o.score()
	if s.Seconds != want.Seconds || s.Connections != want.Connections {
		return fmt.Errorf("its trials of %s end after %s, not after %s", s.Kind, s.Bound(), want.Bound())
	}
	if s.Seed != want.Seed || s.Drawn != want.Drawn {
		return fmt.Errorf("it is of %s with --seed %d and --drawn %d, not %d and %d", s.Kind, s.Seed, s.Drawn, want.Seed,
			want.Drawn)
	}
	for i := range s.Bugs {
		if b := &s.Bugs[i]; len(b.Tries) > 0 && o.Bugs != nil && !slices.Contains(o.Bugs, b.Name) {
			return fmt.Errorf("it has trials of %s, which the bugs that are asked for leave out", b.Name)
		}
	}
	return nil
}
