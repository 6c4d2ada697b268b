package scenario

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"attls"
	"attls/handshake"
	"attls/internal/private"
	"attls/negotiation"
)

// RecordingFormat names the format of recordings; docs/recording.md describes it.
const RecordingFormat = "attls-recording/1"

// Recording is a run that can be repeated octet for octet: the scenario, and
// for each end what it drew, what its waits were answered and what it sent.
type Recording struct {
	Format   string      `json:"format"`
	Scenario Scenario    `json:"scenario"`
	Client   RecordedEnd `json:"client"`
	Server   RecordedEnd `json:"server"`
}

// RecordedEnd is one end of a recording.
type RecordedEnd struct {
	Random  *handshake.RecordedRandom `json:"random"`
	Answers []RecordedAnswer          `json:"answers"`
	Sent    []string                  `json:"sent"` // hexadecimal, in lines of up to 512 octets
}

// RecordedAnswer is the answer to a wait. The private keys behind signatures
// are not recorded.
type RecordedAnswer struct {
	Wait  uint64 `json:"wait"` // the WaitID
	Kind  string `json:"kind"`
	Nonce string `json:"nonce,omitempty"`
	// Chain and Schemes are a credential's; SPKI and CMW an attester's.
	Chain     []string                `json:"chain,omitempty"`
	Issued    []string                `json:"issued,omitempty"` // the chain that holds the Evidence
	Schemes   []attls.SignatureScheme `json:"schemes,omitempty"`
	Signature string                  `json:"signature,omitempty"`
	CMW       string                  `json:"cmw,omitempty"`
	SPKI      string                  `json:"spki,omitempty"`
	Verdict   *recordedVerdict        `json:"verdict,omitempty"`
	// Conditional is a certificate verdict's: see handshake.Answer.
	Conditional bool           `json:"conditional,omitempty"`
	Error       *recordedError `json:"error,omitempty"`
}

type recordedVerdict struct {
	Failure    string              `json:"failure,omitempty"`
	Reason     string              `json:"reason,omitempty"`
	Status     string              `json:"status,omitempty"`
	SPKI       string              `json:"spki,omitempty"`
	ValidUntil time.Time           `json:"valid_until,omitzero"`
	Checks     []negotiation.Check `json:"checks,omitempty"`
	// At is the moment of the answer, with which ValidUntil is compared.
	At time.Time `json:"at,omitzero"`
}

type recordedError struct {
	Class   attls.Class `json:"class"`
	Failure string      `json:"failure"`
	Detail  string      `json:"detail"`
}

// End returns the recorded end of a role.
func (r *Recording) End(role attls.Role) *RecordedEnd {
	if role == attls.RoleServer {
		return &r.Server
	}
	return &r.Client
}

// maxRecording bounds what ReadRecording reads, in octets.
const maxRecording = 64 << 20

// ReadRecording reads a recording and checks its format.
func ReadRecording(name string) (*Recording, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxRecording+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxRecording {
		return nil, fmt.Errorf("%s has more than %d octets", name, maxRecording)
	}
	var r Recording
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if r.Format != RecordingFormat {
		return nil, fmt.Errorf("%s has the format %q; this program reads %q", name, r.Format, RecordingFormat)
	}
	if r.Client.Random == nil || r.Server.Random == nil {
		return nil, fmt.Errorf("%s lacks the randomness of an end", name)
	}
	return &r, nil
}

// WriteFile writes the recording as indented JSON. It holds private keys, so only
// the owner of the file can read it.
func (r *Recording) WriteFile(name string) error {
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return private.WriteFile(name, append(b, '\n'))
}

// tape takes down the answers of one end and gives them back when the same wait
// is asked again, by a fork or by a replay.
type tape struct {
	mu       sync.Mutex
	answers  []RecordedAnswer
	complete bool  // a wait without a recorded answer is an error
	missing  error // the first such wait
}

func playback(answers []RecordedAnswer) *tape { return &tape{answers: answers, complete: true} }

// around is the Answerer's hook.
func (t *tape) around(ctx context.Context, w *handshake.Wait,
	next handshake.AnswerFunc) (handshake.Answer, *attls.Error) {
	if r := t.find(w); r != nil {
		return r.give()
	}
	if t.complete {
		err := attls.Errorf(attls.Local, attls.FailInternal, "the recording has no answer to wait %d, %v", w.ID, w.Kind)
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.missing == nil {
			t.missing = err
		}
		return handshake.Answer{}, err
	}
	a, err := next(ctx, w)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.answers = append(t.answers, takeDown(w, a, err))
	return a, err
}

func (t *tape) find(w *handshake.Wait) *RecordedAnswer {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.answers {
		if r := t.answers[i]; r.Wait == uint64(w.ID) && r.Kind == w.Kind.String() {
			return &r
		}
	}
	return nil
}

// recorded returns the answers in the order of their waits.
func (t *tape) recorded() []RecordedAnswer {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := slices.Clone(t.answers)
	slices.SortFunc(list, func(a, b RecordedAnswer) int { return cmp.Compare(a.Wait, b.Wait) })
	return list
}

// give is the answer, or the refusal that was given instead.
func (r *RecordedAnswer) give() (handshake.Answer, *attls.Error) {
	a, err := r.answer()
	if err != nil {
		return a, attls.Errorf(attls.Local, attls.FailInternal, "the recorded answer to wait %d: %v", r.Wait, err)
	}
	if r.Error != nil {
		return a, attls.Errorf(r.Error.Class, attls.Failure(r.Error.Failure), "%s", r.Error.Detail)
	}
	return a, nil
}

func takeDown(w *handshake.Wait, a handshake.Answer, err *attls.Error) RecordedAnswer {
	r := RecordedAnswer{Wait: uint64(w.ID), Kind: w.Kind.String(), Nonce: hex.EncodeToString(a.Nonce),
		Signature: hex.EncodeToString(a.Signature)}
	if c := a.Credential; c != nil {
		for _, der := range c.Chain {
			r.Chain = append(r.Chain, hex.EncodeToString(der))
		}
		r.Schemes = c.Schemes
	}
	for _, der := range a.Chain {
		r.Issued = append(r.Issued, hex.EncodeToString(der))
	}
	if e := a.Evidence; e != nil {
		r.CMW, r.SPKI = hex.EncodeToString(e.CMW), hex.EncodeToString(e.SPKI)
	}
	if v := a.Verdict; v != nil {
		r.Verdict = &recordedVerdict{string(v.Failure), v.Reason, v.Status, hex.EncodeToString(v.SPKI), v.ValidUntil,
			v.Checks, a.Time}
	}
	if a.Conditional {
		r.Conditional = true
	}
	if err != nil {
		detail := err.Detail
		if err.Err != nil {
			detail = strings.TrimPrefix(detail+": "+err.Err.Error(), ": ")
		}
		r.Error = &recordedError{err.Class, string(err.Failure), detail}
	}
	return r
}

// answer is the inverse of takeDown.
func (r *RecordedAnswer) answer() (handshake.Answer, error) {
	var a handshake.Answer
	var h hexReader
	if r.Nonce != "" {
		a.Nonce = h.octets(r.Nonce)
	}
	if r.Signature != "" {
		a.Signature = h.octets(r.Signature)
	}
	if r.Chain != nil {
		a.Credential = &handshake.Credential{Schemes: r.Schemes}
		for _, der := range r.Chain {
			a.Credential.Chain = append(a.Credential.Chain, h.octets(der))
		}
	}
	for _, der := range r.Issued {
		a.Chain = append(a.Chain, h.octets(der))
	}
	if r.CMW != "" {
		a.Evidence = &negotiation.Evidence{CMW: h.octets(r.CMW), SPKI: h.octets(r.SPKI)}
	}
	if v := r.Verdict; v != nil {
		a.Verdict = &negotiation.Verdict{Failure: attls.Failure(v.Failure), Reason: v.Reason, Status: v.Status,
			SPKI:       h.octets(v.SPKI),
			ValidUntil: v.ValidUntil, Checks: v.Checks}
		if a.Time = v.At; v.At.IsZero() && !v.ValidUntil.IsZero() {
			a.Time = v.ValidUntil.Add(-1) // of an older recording: the verdict counted then
		}
	}
	a.Conditional = r.Conditional
	return a, h.err
}

// hexReader decodes several values and keeps the first error.
type hexReader struct{ err error }

func (h *hexReader) octets(s string) []byte {
	b, err := hex.DecodeString(s)
	if h.err == nil {
		h.err = err
	}
	return b
}

// Lines cuts octets into lines of hexadecimal, as RecordedEnd.Sent has them.
func Lines(b []byte) []string {
	const line = 512
	var out []string
	for len(b) > 0 {
		n := min(line, len(b))
		out = append(out, hex.EncodeToString(b[:n]))
		b = b[n:]
	}
	return out
}

// Octets returns what the end sent; an error where a line is not hexadecimal.
func (e *RecordedEnd) Octets() ([]byte, error) {
	var h hexReader
	var all []byte
	for _, l := range e.Sent {
		all = append(all, h.octets(l)...)
	}
	return all, h.err
}

// Difference is the first octet in which a repetition departs from a recording.
type Difference struct {
	Sender string `json:"sender"`
	Offset int    `json:"offset"` // octets from the start of what the end sent
	// Want and Got are up to 16 octets from there on, in hexadecimal.
	Want string `json:"want"`
	Got  string `json:"got"`
}

func (d *Difference) Error() string {
	return fmt.Sprintf("the %s's octets differ from octet %d on: recorded %s, sent now %s", d.Sender, d.Offset,
		orNothing(d.Want), orNothing(d.Got))
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

// compare returns the first difference, or nil.
func compare(role attls.Role, want, got []byte) *Difference {
	i := 0
	for i < len(want) && i < len(got) && want[i] == got[i] {
		i++
	}
	if i == len(want) && i == len(got) {
		return nil
	}
	excerpt := func(b []byte) string { return hex.EncodeToString(b[i:min(i+16, len(b))]) }
	return &Difference{Sender: role.String(), Offset: i, Want: excerpt(want), Got: excerpt(got)}
}

// Replay repeats a recorded run over a new connection and compares every octet
// that either end sends. The error is a *Difference when octets differ.
func Replay(ctx context.Context, rec *Recording, options ...Option) (Result, error) {
	r := newRunner(options)
	r.replay = rec
	result := r.run(ctx, rec.Scenario)
	if result.Err != nil {
		return result, result.Err
	}
	var failures []error
	for _, role := range attls.Roles() {
		end := rec.End(role)
		want, err := end.Octets()
		if err != nil {
			return result, err
		}
		if d := compare(role, want, result.Sent[role]); d != nil {
			failures = append(failures, d)
		}
		if err := end.Random.Err(); err != nil {
			failures = append(failures, fmt.Errorf("%v: %w", role, err))
		}
		if err := r.tapes[role].missing; err != nil {
			failures = append(failures, fmt.Errorf("%v: %w", role, err))
		}
	}
	return result, errors.Join(failures...)
}
