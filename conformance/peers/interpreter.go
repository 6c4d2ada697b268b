package peers

import (
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"attls"
	"attls/conformance/scenario"
	"attls/internal/process"
)

// Interpreter is our peer on the patched mbedTLS where it interprets a compiled
// profile (docs/compiled-profile.md). What it knows of a revision is in that file, so
// that it speaks whatever a profile says and mbedTLS can send.
type Interpreter struct {
	MbedTLS

	checked *sync.Map // sentences by checkKey, and by path what it says of itself
}

// NewInterpreter makes the interpreter of a peer.
func NewInterpreter(m MbedTLS) Interpreter { return Interpreter{m, &sync.Map{}} }

// Name implements Peer: it is what grids, pages and flags call the stack.
func (Interpreter) Name() string { return interpreterName }

const interpreterName = "mbedtls-compiled"

// Identify implements Identifier.
func (i Interpreter) Identify(ctx context.Context) (version, where string, err error) {
	return i.MbedTLS.Identify(ctx)
}

// Missing implements Peer: older builds of the peer interpret nothing.
func (i Interpreter) Missing() string {
	if reason := i.MbedTLS.Missing(); reason != "" {
		return reason
	}
	return i.lacks("--compiled", "does not interpret compiled profiles")
}

// lacks says what a build does not do whose help does not have a text; empty: it has it.
func (i Interpreter) lacks(text, what string) string {
	if known, ok := i.checked.Load(i.Path); ok {
		if strings.Contains(known.(string), text) {
			return ""
		}
		return "the mbedTLS peer at " + i.Path + " " + what + "; conformance/mbedtls/build.sh builds one that does"
	}
	out, _ := process.Output(context.Background(), versionTimeout, "", i.Path, "--help")
	i.checked.Store(i.Path, string(out))
	return i.lacks(text, what)
}

// checkKey is what a limit depends on.
type checkKey struct {
	profile                     [sha256.Size]byte
	attester, model, credential string
}

// exitLimit is the exit status with which the peer says that mbedTLS cannot do what a
// profile says.
const exitLimit = 3

// limitMark precedes the sentence that says what that is.
const limitMark = "limit: "

// Limit implements Peer: the peer itself says what mbedTLS cannot do.
func (i Interpreter) Limit(s *scenario.Scenario, r attls.Role) string {
	rest := *s
	rest.Profile, rest.Readings = "", nil
	if reason := i.MbedTLS.Limit(&rest, r); reason != "" {
		return reason
	}
	if s.Profile == "" {
		return "it interprets profiles, and plain TLS has none"
	}
	if i.Missing() != "" {
		return ""
	}
	if s.Updates() > 0 || s.Reattest {
		const what = "neither updates keys nor attests again under compiled profiles"
		if reason := i.lacks("--key-updates", what); reason != "" {
			return reason
		}
	}
	p, err := s.Load()
	if err != nil {
		return ""
	}
	if s.Resumption != "" && !ticketed(p) {
		return p.ID + " has no tickets and therefore no resumption"
	}
	text, err := p.Compiled()
	if err != nil {
		return err.Error()
	}
	key := checkKey{sha256.Sum256(text), string(s.Attester), s.Model, s.Credential}
	if known, ok := i.checked.Load(key); ok {
		return known.(string)
	}
	sentence := i.check(text, &key)
	i.checked.Store(key, sentence)
	return sentence
}

// check asks the peer whether mbedTLS can do what a profile says.
func (i Interpreter) check(text []byte, k *checkKey) string {
	directory, err := os.MkdirTemp("", "attls-compiled-")
	if err != nil {
		return ""
	}
	defer os.RemoveAll(directory)
	file := filepath.Join(directory, "profile.compiled")
	if os.WriteFile(file, text, 0o600) != nil {
		return ""
	}
	out, err := process.Output(context.Background(), versionTimeout, "", i.Path, "--compiled", file, "--check",
		"--attester", k.attester, "--model", k.model, "--credential", k.credential)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitLimit {
		return "" // what it refuses, the case shows
	}
	_, sentence, _ := strings.Cut(strings.TrimSpace(string(out)), limitMark)
	return or(sentence, "it says that mbedTLS cannot send what the profile says")
}

// Start implements Peer.
func (i Interpreter) Start(ctx context.Context, t *Task) (Process, error) {
	p, err := t.Scenario.Load()
	if err != nil {
		return nil, err
	}
	task := *t
	task.Scenario.Readings, task.Scenario.CodePoints = nil, nil // they are settled in the file
	if p != nil {
		text, err := p.Compiled()
		if err != nil {
			return nil, err
		}
		task.compiled = filepath.Join(t.Directory, t.Role.String()+".compiled")
		if err := os.WriteFile(task.compiled, text, 0o600); err != nil {
			return nil, err
		}
	}
	return i.MbedTLS.Start(ctx, &task)
}
