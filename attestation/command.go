package attestation

import (
	"bytes"
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"attls"
	"attls/negotiation"
)

// Command has a program attest or appraise. The program is started once for
// each request, reads one JSON Request from its standard input, writes its
// answer to standard output and exits with status 0. Anything else is an error
// that quotes what the program wrote to standard error.
//
// On Unix the program runs in a process group of its own. When the request is over,
// because the program has ended, its time is up, the context is cancelled or it
// wrote too much, whatever is left of the group is killed, so that a peer cannot
// make processes pile up. A program that wants to leave something running must start
// it in a session of its own. Elsewhere only the program itself is killed.
//
// A program that attests may be as little as one that prints a CMW:
//
//	{"action":"attest","profile":"early-attestation-06","attester":"server",
//	 "scheme":{"model":"evidence","credential":"x509","content_format":263},
//	 "challenge":"paWlpaWl…","fit":"pad_right","spki":"MFkwEwYHKo…"}
//	-> the CMW itself, or {"cmw":"g3Y…"}
//
// One that appraises answers
//
//	{"status":"affirming","spki":"MFkwEwYHKo…","valid_until":"2026-03-01T13:00:00Z"}
//	{"status":"contraindicated","failure":"attestation.binder_mismatch","reason":"…"}
type Command struct {
	Args []string // the program and its arguments
	Dir  string   // where it runs; empty: here
	Env  []string // its environment, as exec.Cmd has it; nil: ours

	Timeout time.Duration // of one request; default 30 seconds. The context's deadline holds too.
	// Offered is what Schemes answers.
	Offered []negotiation.Scheme
	// Size is what ChallengeSize answers.
	Size int
	// AskNonce has the program supply nonces.
	AskNonce bool
}

const (
	defaultTimeout = 30 * time.Second
	maxStderr      = 4096 // octets quoted of standard error
	// waitDelay is how long output is read after the program has ended, while
	// something that it started holds the pipe.
	waitDelay = time.Second
)

// Schemes is what Offered says.
func (c *Command) Schemes() []negotiation.Scheme { return c.Offered }

// ChallengeSize is what Size says.
func (c *Command) ChallengeSize() int { return c.Size }

// Attest runs the program with the action attest. Errors are *attls.Error,
// FailAttesterUnavailable or FailTimeout.
func (c *Command) Attest(ctx context.Context, r *negotiation.EvidenceRequest) (*negotiation.Evidence, error) {
	answer, err := c.run(ctx, NewAttestRequest(r))
	if err != nil {
		return nil, c.failed(attls.FailAttesterUnavailable, err)
	}
	ev, err := c.evidence(answer, r.SPKI == nil)
	if err != nil {
		return nil, c.failed(attls.FailAttesterUnavailable, err)
	}
	return ev, nil
}

// Appraise runs the program with the action appraise. Errors are *attls.Error,
// FailVerifierUnreachable or FailTimeout.
func (c *Command) Appraise(ctx context.Context, r *negotiation.AppraisalRequest) (*negotiation.Verdict, error) {
	var answer AppraiseResponse
	if err := c.ask(ctx, NewAppraiseRequest(r), &answer); err != nil {
		return nil, c.failed(attls.FailVerifierUnreachable, err)
	}
	v, err := answer.Verdict()
	if err != nil {
		return nil, c.failed(attls.FailVerifierUnreachable, err)
	}
	return v, nil
}

// Nonce runs the program with the action nonce if AskNonce says so.
func (c *Command) Nonce(ctx context.Context, size int) ([]byte, error) {
	if !c.AskNonce {
		return nil, nil
	}
	var answer NonceResponse
	if err := c.ask(ctx, &Request{Action: ActionNonce, Size: size}, &answer); err != nil {
		return nil, c.failed(attls.FailVerifierUnreachable, err)
	}
	return answer.Nonce, nil
}

// commandSigner has the program sign with a key that it keeps.
type commandSigner struct {
	c    *Command
	pub  crypto.PublicKey
	spki []byte
}

func (s *commandSigner) Public() crypto.PublicKey { return s.pub }

func (s *commandSigner) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	r := &Request{Action: ActionSign, SPKI: s.spki, Digest: digest}
	if opts != nil && opts.HashFunc() != 0 {
		r.Hash = opts.HashFunc().String()
	}
	var answer SignResponse
	if err := s.c.ask(context.Background(), r, &answer); err != nil {
		return nil, s.c.failed(attls.FailAttesterUnavailable, err)
	}
	return answer.Signature, nil
}

func (c *Command) failed(f attls.Failure, err error) *attls.Error {
	if errors.Is(err, context.DeadlineExceeded) {
		f = attls.FailTimeout
	}
	return &attls.Error{Class: attls.Local, Failure: f, Offset: -1, Detail: strings.Join(c.Args, " "), Err: err}
}

func (c *Command) ask(ctx context.Context, r *Request, answer any) error {
	b, err := c.run(ctx, r)
	if err != nil {
		return err
	}
	if err := readJSON(b, answer); err != nil {
		return fmt.Errorf("the answer: %w", err)
	}
	return nil
}

// run starts the program for one request and returns what it wrote.
func (c *Command) run(ctx context.Context, r *Request) ([]byte, error) {
	if len(c.Args) == 0 {
		return nil, errors.New("no program is named")
	}
	ctx, cancel := context.WithTimeout(ctx, or(c.Timeout, defaultTimeout))
	defer cancel()
	request, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	stdout, stderr := &limited{max: maxRequest, exceeded: cancel}, &limited{max: maxStderr}
	cmd := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = c.Dir, c.Env, waitDelay
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(request), stdout, stderr
	end := ownGroup(cmd)
	err = cmd.Run()
	end()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // the program has written its answer and ended; what it started has not
	}
	switch {
	case stdout.over:
		return nil, fmt.Errorf("it wrote more than %d octets", maxRequest)
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, fmt.Errorf("%w%s", err, stderr.quote())
	}
	return stdout.kept.Bytes(), nil
}

// limited keeps the first octets it is given. The buffer is not embedded: its
// ReadFrom would go past the limit.
type limited struct {
	kept     bytes.Buffer
	max      int
	over     bool
	exceeded func() // nil: the rest is dropped quietly
}

func (l *limited) Write(b []byte) (int, error) {
	n := len(b)
	if room := l.max - l.kept.Len(); n > room {
		b, l.over = b[:room], true
		if l.exceeded != nil {
			l.exceeded()
		}
	}
	l.kept.Write(b)
	return n, nil
}

func (l *limited) quote() string {
	text := strings.ToValidUTF8(strings.TrimSpace(l.kept.String()), "\ufffd")
	if text == "" {
		return ""
	}
	return "; it says: " + text
}
