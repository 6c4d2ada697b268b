package authenticators

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"attls"
	"attls/handshake/authenticator"
	"attls/internal/rule"
)

// loose is this stack with a rule that is not enforced.
type loose struct {
	Stack
	off rule.Rule
}

type looseStarting struct {
	Starting
	off rule.Rule
}

type looseEnd struct {
	*ownEnd
	off rule.Rule
}

func (l loose) Start(ctx context.Context, s *Setting) (Starting, error) {
	st, err := l.Stack.Start(ctx, s)
	return looseStarting{st, l.off}, err
}

func (l looseStarting) End() (End, error) {
	e, err := l.Starting.End()
	if err != nil {
		return nil, err
	}
	return looseEnd{e.(*ownEnd), l.off}, nil
}

func (l looseEnd) Authenticators() (Authenticators, error) {
	hello, err := authenticator.ParseClientHello(l.hello)
	if err != nil {
		return nil, err
	}
	c, err := authenticator.New(rule.Without(&authenticator.Config{Role: l.set.Role, Version: attls.VersionTLS13,
		HandshakeComplete: true, Hash: l.hash, Export: l.export, ClientHello: hello}, l.off))
	return &ours{c, l.set.Identity.Shown}, err
}

// TestCasesCanFail turns rules off: the cases about each of them fail then, and no others.
func TestCasesCanFail(t *testing.T) {
	for off, want := range map[rule.Rule][]string{
		rule.AuthenticatorContext: {"request-twice", "replayed", "spontaneous"},
		rule.SignatureVerified: {"certificate-changed", "signature-changed", "request-changed", "unasked", "other-connection",
			"other-direction", "spontaneous-other-connection"},
		rule.FinishedVerified:       {"finished-changed", "spontaneous-changed"},
		rule.AuthenticatorMessages:  {"longer"},
		rule.AuthenticatorDirection: {"request-reflected"},
		rule.AuthenticatorAsked:     {"unasked", "spontaneous-of-client"},
		rule.AuthenticatorEmpty:     {"refused", "outstanding"},
	} {
		r := Run(t.Context(), &Choice{Stacks: []Stack{loose{Own()[0], off}}, Suites: Suites()[:1]})
		failed := map[string]bool{}
		for i := range r.Results {
			if k := &r.Results[i]; k.Outcome == Failed {
				failed[k.Case] = true
			}
		}
		for _, name := range want {
			if !failed[name] {
				t.Errorf("without %v, %s passes", off, name)
			}
		}
		if len(failed) == 0 || len(failed) > len(want)+2 {
			t.Errorf("without %v, these fail: %v", off, failed)
		}
	}
}

// TestPrograms: programs that do not do what they must are errors, and take no longer than
// the time limit.
func TestPrograms(t *testing.T) {
	for name, test := range map[string]struct{ script, want string }{
		"nothing":     {"exit 1", "has ended"},
		"its reason":  {"echo no such file >&2; exit 1", "no such file"},
		"junk":        {"echo hello", `says "hello"`},
		"an error":    {"echo error it cannot listen", "it cannot listen"},
		"too long":    {"head -c 5000000 /dev/zero | tr '\\0' a", "too long"},
		"no port":     {"echo listening", `with 1 fields was due`},
		"hangs":       {"exec sleep 100", "has ended"},
		"no hash":     {"echo listening 1; echo connected MD5 00; exec sleep 100", "refused"},
		"cannot run!": {"", "permission denied"},
	} {
		t.Run(name, func(t *testing.T) {
			directory := t.TempDir()
			mode := os.FileMode(0o700)
			if test.script == "" {
				mode = 0o600
			}
			body := "#!/bin/sh\n[ \"$1\" = version ] && { echo 1; exit; }\n" + test.script + "\n"
			if err := os.WriteFile(filepath.Join(directory, "openssl"), []byte(body), mode); err != nil {
				t.Fatal(err)
			}
			stacks := []Stack{Own()[0], Lenders(directory)[0]}
			if test.script == "" {
				_, err := stacks[1].Start(t.Context(), &Setting{Role: attls.RoleClient, Address: "127.0.0.1:1"})
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Error(err)
				}
				return
			}
			c := &Choice{Stacks: stacks, Suites: Suites()[:1], Timeout: 2 * time.Second,
				Pair: func(client, server string) bool { return client == "attls" && server == "openssl" }}
			r := Run(t.Context(), c)
			if n := r.Count(Failed); n != len(r.Results) || n == 0 || !strings.Contains(r.Results[0].Reason, test.want) {
				t.Errorf("%d of %d failed: %s", n, len(r.Results), r.Results[0].Reason)
			}
		})
	}
}
