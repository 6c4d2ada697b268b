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

// ReadScoreFile reads a file. What is not true of scores is an error: another version, a trial
// of a bug that no peer can see, two bugs of a name.
func ReadScoreFile(name string) (*ScoreFile, error) {
	from, err := os.Open(filepath.Clean(name))
	if err != nil {
		return nil, err
	}
	defer from.Close()
	f := &ScoreFile{}
	if err := json.NewDecoder(io.LimitReader(from, maxScoreFile)).Decode(f); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if f.Format != ScoreFormat {
		return nil, fmt.Errorf("%s: %w", name, &VersionError{f.Format, ScoreFormat})
	}
	for i, s := range f.Scores {
		if s == nil || !slices.Contains(Kinds, s.Kind) || f.Of(s.Kind) != s {
			return nil, fmt.Errorf("%s: scores[%d] is of no kind of campaign, or of one that is there twice", name, i)
		}
		for k := range s.Bugs {
			b := &s.Bugs[k]
			if b.Name == "" || s.bug(b.Name) != b || b.Hidden != "" && len(b.Tries) > 0 {
				return nil, fmt.Errorf("%s: scores[%d].bugs[%d], %q: it has no name, is there twice, or was tried "+
					"although no peer can see it", name, i, k, b.Name)
			}
			if len(b.Tries) > MostTrials {
				return nil, fmt.Errorf("%s: scores[%d].bugs[%d], %q: more than %d trials", name, i, k, b.Name, MostTrials)
			}
			for _, t := range b.Tries {
				if t.Connections < 0 || t.Seconds < 0 {
					return nil, fmt.Errorf("%s: scores[%d].bugs[%d], %q: a trial has less than no connections or seconds",
						name, i, k, b.Name)
				}
			}
			b.settle()
		}
	}
	return f, nil
}

// Continues reports why the trials of a score are not a part of those that options ask for.
func (s *Score) Continues(o *ScoreOptions) error {
	want := o.score()
	if s.Seconds != want.Seconds || s.Connections != want.Connections {
		return fmt.Errorf("its trials of %s end after %s, not after %s", s.Kind, s.Bound(), want.Bound())
	}
	if s.Seed != want.Seed || s.Drawn != want.Drawn {
		return fmt.Errorf("it is of %s with --seed %d and --drawn %d, not %d and %d", s.Kind, s.Seed, s.Drawn, want.Seed,
			want.Drawn)
	}
	return nil
}
