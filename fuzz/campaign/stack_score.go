package campaign

import (
	"context"
	"os"
	"slices"
)

// StackKind is the kind of campaign whose bugs are those of a C program (StackBugs).
const StackKind = "mbedtls"

// measureStack scores campaigns against the C program. What it does without bugs is not asked,
// but as for other kinds, there must be no finding in it.
func measureStack(ctx context.Context, o *ScoreOptions) (*Score, error) {
	bugs, err := StackBugs()
	if err != nil {
		return nil, err
	}
	program := FindStack(true)
	if program == "" {
		return nil, &NoProgramError{StackKind, "conformance/mbedtls/targets.sh live --planted"}
	}
	run := func(target string, planted int, seed uint64) (*Report, error) {
		dir, err := os.MkdirTemp("", "attls-fuzz-*")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		return RunStack(ctx, StackOptions{Target: target, Program: program, Planted: planted, Seed: seed, Time: o.Time,
			Executions: o.Executions, Dir: dir, FirstOnly: planted > 0})
	}
	score := o.score()
	numbers := map[string]*StackBug{}
	for i := range bugs {
		b := &bugs[i]
		if o.Bugs != nil && !slices.Contains(o.Bugs, b.Name) {
			continue
		}
		numbers[b.Name] = b
		score.Bugs = append(score.Bugs, BugScore{Name: b.Name, Role: b.Side, Text: b.Wrong, Hidden: b.Hidden})
	}
	if score.Sound == 0 {
		made := int64(0)
		for _, target := range StackTargets() {
			report, err := run(target, 0, o.Seed)
			if err != nil {
				return nil, err
			}
			made += report.Executions
			for _, f := range report.Found {
				score.Noise = append(score.Noise, f.Cause)
			}
		}
		if ctx.Err() == nil {
			score.Sound = max(made, 1)
		}
	}
	score.try(ctx, o, func(name string, seed uint64) (*Report, error) {
		return run(numbers[name].Target(), numbers[name].Number, seed)
	})
	return score, nil
}
