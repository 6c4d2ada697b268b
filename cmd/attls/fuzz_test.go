package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"attls"
	"attls/fuzz/learn"
)

// TestFuzz: a short campaign, its page, and what a wrong use says.
func TestFuzz(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	code, stdout, stderr := command(t, "fuzz", "run", "none", "--time", "0", "--executions", "200", "--workers", "1", "--dir", dir)
	if code != exitOK || !strings.Contains(stdout, "200 connections") || !strings.Contains(stdout, "0 findings") {
		t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
	}
	if code, stdout, stderr = command(t, "fuzz", "report", dir); code != exitOK || !strings.Contains(stdout, "<h1>Campaign: none</h1>") {
		t.Errorf("exit code %d: %.200s%s", code, stdout, stderr)
	}
	if code, _, stderr = command(t, "fuzz", "triage", dir); code != exitOK {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	if code, stdout, _ = command(t, "fuzz", "list"); code != exitOK || !strings.Contains(stdout, "early-attestation-06") {
		t.Errorf("exit code %d: %s", code, stdout)
	}
	input := filepath.Join(t.TempDir(), "input.yaml")
	text := "format: attls-fuzz-input 1\nconnection: {}\nattacker: server\nedits:\n- {do: field, message: CertificateVerify, " +
		"path: certificate_verify.signature, octets: \"0011\"}\n"
	if err := os.WriteFile(input, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr = command(t, "fuzz", "replay", input)
	if code != exitOK || !strings.Contains(stdout, "No law is broken.") || !strings.Contains(stdout, "CertificateVerify") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	pcap := filepath.Join(t.TempDir(), "x.pcapng")
	code, stdout, stderr = command(t, "fuzz", "replay", input, "--plant", "signature-verified", "--pcap", pcap)
	if code != exitOK { // the bug is planted in a server, and the attacker is one
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	if code, stdout, _ = command(t, "decode", pcap); !strings.Contains(stdout, "CertificateVerify") {
		t.Errorf("decode of the capture: exit code %d: %s", code, stdout)
	}
	for _, args := range [][]string{{"run"}, {"run", "none", "--workers", "0"}, {"run", "none", "--time", "0"}, {"run", "no-such-profile"},
		{"score", "--trials", "0"}, {"score", "--campaign", "other"}, {"score", "--bug", "other"}, {"replay", input, "--plant", "other"}} {
		if code, _, stderr := command(t, append([]string{"fuzz"}, args...)...); code != exitUsage {
			t.Errorf("%v: exit code %d: %s", args, code, stderr)
		}
	}
	if code, _, stderr := command(t, "fuzz", "replay", filepath.Join(dir, "missing")); code != exitUnavailable {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

// TestFuzzLearn: the machine of this engine is written and is the same once more.
func TestFuzzLearn(t *testing.T) {
	slowUnderRace(t)
	file := filepath.Join(t.TempDir(), "m.json")
	code, stdout, stderr := command(t, "fuzz", "learn", "--words", "10", "--json", file)
	if code != exitOK || !strings.Contains(stdout, "4 states") {
		t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
	}
	if code, stdout, _ = command(t, "fuzz", "learn", "--words", "10", "--diff", file); code != exitOK {
		t.Errorf("exit code %d: %s", code, stdout)
	}
	code, stdout, _ = command(t, "fuzz", "learn", "--words", "1", "--client-certificate", "--diff", file)
	if code != exitFailed || !strings.Contains(stdout, "CertificateRequest") {
		t.Errorf("exit code %d: %s", code, stdout)
	}
	svg := filepath.Join(t.TempDir(), "m.svg")
	code, stdout, stderr = command(t, "fuzz", "learn", "--words", "1", "--profile", "tls-attestation-07", "--alphabet", "pha", "--svg", svg)
	if picture, err := os.ReadFile(svg); code != exitOK || err != nil || !strings.Contains(stdout, "Certificate+evidence") ||
		!strings.Contains(string(picture), "Ask / CertificateRequest") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	for _, args := range [][]string{{"--role", "other"}, {"--peer", "127.0.0.1:1", "--role", "client"}, {"--peer", "no-port"}, {"--words", "0"}, {"--parallel", "0"}, {"--parallel", "65"}, {"--quiet", "0s"}, {"--repeat", "-1"}, {"--adapter", "/nonexistent"},
		{"--alphabet", "all"}, {"--attester", "client"}, {"--profile", "nothing"},
		{"--profile", "early-attestation-06", "--attester", "both"}, {"--profile", "seat-expat-04"}} {
		if code, _, stderr := command(t, append([]string{"fuzz", "learn"}, args...)...); code != exitUsage {
			t.Errorf("%v: exit code %d: %s", args, code, stderr)
		}
	}
}

// TestFuzzLearnAnswers: answers are kept, a run with them asks nothing again, and those of another peer
// are refused, as are files that are none. An interrupted run says where they are.
func TestFuzzLearnAnswers(t *testing.T) {
	slowUnderRace(t)
	file := filepath.Join(t.TempDir(), "answers")
	args := []string{"fuzz", "learn", "--shallow", "--words", "5", "--answers", file}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, stderr bytes.Buffer
	if code := run(ctx, args, strings.NewReader(""), &out, &stderr); code != exitInterrupted ||
		!strings.Contains(stderr.String(), "kept in "+file) {
		t.Errorf("exit code %d: %s%s", code, &out, &stderr)
	}
	for _, want := range []string{" words with", "from 0 words"} {
		if code, stdout, stderr := command(t, args...); code != exitOK || !strings.Contains(stdout, want) {
			t.Errorf("exit code %d: %s%s", code, stdout, stderr)
		}
	}
	for _, x := range []struct {
		more []string
		want string
	}{{[]string{"--role", "client"}, "are those of"}, {[]string{"--client-certificate"}, "are those of"},
		{[]string{"--alphabet", "tickets"}, "other inputs"}, {[]string{"--profile", "tls-attestation-07"}, "are those of"}} {
		code, _, stderr := command(t, append(slices.Clone(args), x.more...)...)
		if code != exitUnavailable || !strings.Contains(stderr, x.want) {
			t.Errorf("%v: exit code %d: %s", x.more, code, stderr)
		}
	}
	if err := os.WriteFile(file, []byte("no answers"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := command(t, args...); code != exitUnavailable || !strings.Contains(stderr, file) {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

// changing is a transport to a peer that answers nothing, and closes at the seventh message.
type changing struct{ open, messages *int }

func (changing) Send([]byte) error { return nil }
func (c changing) Receive() ([]byte, bool, error) {
	*c.messages++
	return nil, *c.messages%7 == 0, nil
}
func (c changing) Close() { *c.open-- }

// TestLearnAgainClosesFirst: a peer that is asked again with more time is not kept waiting by the
// connection that was open before.
func TestLearnAgainClosesFirst(t *testing.T) {
	var open, messages, mappers int
	f := fuzzLearnFlags{peer: "127.0.0.1:1", quiet: time.Millisecond, o: learn.Options{Words: 50}}
	_, _, err := f.learn(t.Context(), func(time.Duration) []*learn.Mapper {
		if mappers++; open != 0 {
			t.Errorf("%d connections are open when it is asked for the %d. time", open, mappers)
		}
		return []*learn.Mapper{learn.NewMapper(attls.RoleServer, "", func(bool) (learn.Transport, error) {
			open++
			return changing{&open, &messages}, nil
		}, learn.Alphabet{})}
	}, io.Discard)
	var twice *learn.Nondeterminism
	if !errors.As(err, &twice) || mappers < 2 || open != 0 {
		t.Errorf("%v; asked %d times, %d open", err, mappers, open)
	}
}
