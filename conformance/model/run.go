package model

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Verdict is what a run of a model says about its goal.
type Verdict string

// The verdicts. What ProVerif cannot prove is not decided: it may still hold.
const (
	Proved      Verdict = "proved"
	AttackFound Verdict = "attack found"
	NotDecided  Verdict = "not decided"
)

// Outcome is what came out of a run.
type Outcome struct {
	Verdict Verdict `json:"verdict"`
	Reason  string  `json:"reason,omitempty"` // of NotDecided
	// Counterexample is the trace of AttackFound as the program prints it.
	Counterexample string `json:"counterexample,omitempty"`
	// Acceptance is what the relying party accepts at its end; nil if it cannot be read.
	Acceptance *Acceptance   `json:"acceptance,omitempty"`
	Took       time.Duration `json:"took"`
}

// Limits bound a run.
type Limits struct {
	Time   time.Duration // 0: DefaultTime
	Output int           // octets; 0: DefaultOutput
}

// The bounds of a run if nothing else is said, and of a counterexample, in octets.
const (
	DefaultTime       = 2 * time.Minute
	DefaultOutput     = 64 << 20
	maxCounterexample = 256 << 10
)

// Program is the command that runs models.
const Program = "proverif"

// ErrMissing says that the program is not installed.
var ErrMissing = errors.New(Program + " is not installed")

// Find is the path of the program, or ErrMissing.
func Find() (string, error) {
	path, err := exec.LookPath(Program)
	if err != nil {
		return "", ErrMissing
	}
	return path, nil
}

var versionLine = regexp.MustCompile(`(?i)^proverif ([0-9][0-9a-z.]*?)\. `)

// Version asks the program for its version, as "2.05".
func Version(ctx context.Context, program string) (string, error) {
	ctx, stop := context.WithTimeout(ctx, 10*time.Second)
	defer stop()
	// It has no option for it: the help begins with the version, and its exit status means nothing.
	out, err := exec.CommandContext(ctx, program, "-help").CombinedOutput()
	first, _, _ := strings.Cut(string(out), "\n")
	m := versionLine.FindStringSubmatch(first)
	if m == nil {
		return "", fmt.Errorf("%s does not say its version: %q (%v)", program, clip(first, 100), err)
	}
	return m[1], nil
}

// bounded keeps the first octets of an output and stops the program at the limit.
type bounded struct {
	kept  bytes.Buffer // not embedded: its ReadFrom would go past the limit
	limit int
	full  func()
	over  bool
}

func (b *bounded) Write(p []byte) (int, error) {
	if room := b.limit - b.kept.Len(); len(p) > room {
		if !b.over {
			b.over = true
			b.full()
		}
		b.kept.Write(p[:max(room, 0)])
		return len(p), nil
	}
	return b.kept.Write(p)
}

// Run runs a model. The error says that the program could not be run or did not take the
// model; that a goal is not decided is an Outcome.
func Run(ctx context.Context, program string, text []byte, l Limits) (*Outcome, error) {
	if l.Time <= 0 {
		l.Time = DefaultTime
	}
	if l.Output <= 0 {
		l.Output = DefaultOutput
	}
	dir, err := os.MkdirTemp("", "attls-model-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "model.pv")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, err
	}
	limited, stop := context.WithTimeout(ctx, l.Time)
	defer stop()
	cmd := exec.CommandContext(limited, program, file)
	cmd.WaitDelay = 5 * time.Second
	out := &bounded{limit: l.Output, full: stop}
	cmd.Stdout, cmd.Stderr = out, out
	start := time.Now()
	err = cmd.Run()
	took := time.Since(start)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case out.over:
		return &Outcome{Verdict: NotDecided, Reason: fmt.Sprintf("more than %d octets of output", l.Output), Took: took}, nil
	case limited.Err() != nil:
		return &Outcome{Verdict: NotDecided, Reason: "no answer within " + l.Time.String(), Took: took}, nil
	}
	o, problem := Read(out.kept.String())
	if problem != nil {
		if err != nil {
			problem = fmt.Errorf("%w (%v)", problem, err)
		}
		return nil, problem
	}
	o.Took = took
	return o, nil
}

// results are the lines with an answer, without those on the parts of an injective query.
func results(output string) (lines []string, ends []int) {
	at := 0
	for _, line := range strings.SplitAfter(output, "\n") {
		s := strings.TrimRight(line, "\r\n")
		if strings.HasPrefix(s, "RESULT ") && !strings.HasPrefix(s, "RESULT (") {
			lines, ends = append(lines, s), append(ends, at)
		}
		at += len(line)
	}
	return lines, ends
}

// Read takes the outcome from what the program printed for a model of Generate: the
// answer to its question whether honest ends can finish, and the one about the goal.
func Read(output string) (*Outcome, error) {
	lines, ends := results(output)
	if len(lines) != 2 {
		return nil, fmt.Errorf("%s answered %d of 2 queries: %s", Program, len(lines), complaint(output))
	}
	switch {
	case strings.HasSuffix(lines[0], " is false."):
	case strings.HasSuffix(lines[0], " is true."):
		return &Outcome{Verdict: NotDecided,
			Reason: "honest ends cannot finish in this model, so that it proves nothing"}, nil
	default:
		return &Outcome{Verdict: NotDecided, Reason: "it was not decided whether honest ends can finish in this model"}, nil
	}
	switch {
	case strings.HasSuffix(lines[1], " is true."):
		return &Outcome{Verdict: Proved}, nil
	case strings.HasSuffix(lines[1], " cannot be proved."):
		return &Outcome{Verdict: NotDecided, Reason: "cannot be proved"}, nil
	case !strings.HasSuffix(lines[1], " is false."):
		return nil, fmt.Errorf("%s gave an answer that is not known: %s", Program, clip(lines[1], 200))
	}
	o := &Outcome{Verdict: AttackFound, Counterexample: trace(output[ends[0]:ends[1]])}
	o.Acceptance = readAcceptance(o.Counterexample)
	return o, nil
}

// trace is the part of an output with the steps of a counterexample.
func trace(s string) string {
	const before = "set traceDisplay = long."
	if i := strings.LastIndex(s, before); i >= 0 {
		s = s[i+len(before):]
	}
	return clip(strings.TrimSpace(s), maxCounterexample)
}

// complaint is what the program said instead of answering.
func complaint(output string) string {
	for _, line := range strings.Split(output, "\n") {
		if strings.Contains(line, "rror") {
			return clip(strings.TrimSpace(line), 300)
		}
	}
	output = strings.TrimSpace(output)
	return clip(output[strings.LastIndexByte(output, '\n')+1:], 300)
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
