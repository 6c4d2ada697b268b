package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"attls"
	"attls/conformance/pair"
	"attls/conformance/scenario"
	"attls/handshake"
	"attls/handshake/authenticator"
	"attls/handshake/enginetest"
	"attls/negotiation"
)

// exporterLog is a connection in memory, and its key log with the exporter secret.
func exporterLog(t *testing.T) (*pair.Pair, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "keys.log")
	tap := &exporterTap{}
	p, err := pair.New(pair.Options{Client: &handshake.Config{ServerName: "localhost", Tap: tap}, Server: &handshake.Config{},
		Answer: [2]pair.Answer{enginetest.Answer(nil), enginetest.Answer(enginetest.Credential("localhost"))}})
	if err == nil {
		err = p.Run()
	}
	if err != nil {
		t.Fatal(err)
	}
	line := fmt.Sprintf("EXPORTER_SECRET %x %x\n", p.Engine(attls.RoleClient).State().ClientRandom, tap.secret)
	if err := os.WriteFile(file, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	return p, file
}

type exporterTap struct {
	handshake.NopTap
	secret []byte
}

func (e *exporterTap) Derived(name handshake.SecretName, secret []byte) []byte {
	if name == handshake.SecretExporter {
		e.secret = bytes.Clone(secret)
	}
	return secret
}

func (e *exporterTap) Fork() handshake.Tap { return &exporterTap{} }

// TestAuthenticator: a request, its answer and the check of it, each by a command, with the
// key log of a connection and with its values; the engines of the connection take them too.
func TestAuthenticator(t *testing.T) {
	p, keys := exporterLog(t)
	dir := t.TempDir()
	authority, err := scenario.NewDemoAuthority()
	if err != nil {
		t.Fatal(err)
	}
	chain, key, err := authority.IssuePEM(scenario.KeyP256, "localhost")
	if err != nil {
		t.Fatal(err)
	}
	cert, ca := filepath.Join(dir, "end.pem"), filepath.Join(dir, "ca.pem")
	for name, b := range map[string][]byte{cert: append(chain, key...), ca: authority.PEM()} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(want int, args ...string) (out struct {
		Request, Context, Message, Authenticator, Failure, Role string
		Valid, Empty                                            bool
	}) {
		t.Helper()
		code, stdout, stderr := command(t, append([]string{"authenticator"}, args...)...)
		if code != want {
			t.Fatalf("%q: code %d\n%s%s", args, code, stdout, stderr)
		}
		if want != exitUsage {
			if err := json.Unmarshal([]byte(stdout), &out); err != nil {
				t.Fatalf("%v: %s", err, stdout)
			}
		}
		return out
	}
	for _, asker := range attls.Roles() {
		maker, role := asker.Peer(), asker.String()
		request := run(exitOK, "request", "--role", role)
		made := run(exitOK, "make", "--role", maker.String(), "--key-log", keys, "--request", request.Request, "--cert", cert)
		if made.Empty || made.Context != request.Context {
			t.Errorf("%+v", made)
		}
		check := []string{"check", "--role", role, "--request", request.Request, made.Authenticator}
		id := run(exitOK, append(check, "--key-log", keys, "--ca", ca, "--server-name", "localhost")...)
		if !id.Valid || id.Role != maker.String() || id.Context != request.Context {
			t.Errorf("%+v", id)
		}
		var values []string
		for flag, what := range map[string]string{"--handshake-context": "handshake context", "--finished-key": "finished key"} {
			v, err := p.Engine(asker).Export("EXPORTER-"+maker.String()+" authenticator "+what, nil, 32)
			if err != nil {
				t.Fatal(err)
			}
			values = append(values, flag, hex.EncodeToString(v))
		}
		run(exitOK, append(append(check, values...), "--insecure")...)
		// What the engine asks, the command answers; and what is checked in the other direction fails.
		a, err := p.Engine(asker).Authenticators()
		if err != nil {
			t.Fatal(err)
		}
		own, err := a.Request(&authenticator.Request{Wanted: negotiation.Wanted{Schemes: []attls.SignatureScheme{attls.ECDSA_SECP256R1_SHA256}}})
		if err != nil {
			t.Fatal(err)
		}
		made = run(exitOK, "make", "--role", maker.String(), "--key-log", keys, "--request", hex.EncodeToString(own), "--cert", cert)
		octets, _ := hex.DecodeString(made.Authenticator)
		if _, err := a.Validate(octets, func(*authenticator.Identity) error { return nil }); err != nil {
			t.Error(err)
		}
		if bad := run(exitFailed, append(check[:3:3], append(values, "--insecure", "--request", hex.EncodeToString(own),
			strings.Replace(made.Authenticator, made.Authenticator[len(made.Authenticator)-8:], "00000000", 1))...)...); bad.Valid || bad.Failure != string(attls.FailFinished) {
			t.Errorf("%+v", bad)
		}
		refusal := run(exitOK, "make", "--role", maker.String(), "--key-log", keys, "--request", request.Request, "--refuse")
		if bad := run(exitFailed, "check", "--role", role, "--request", request.Request, refusal.Authenticator, "--key-log", keys, "--insecure"); !refusal.Empty ||
			!bad.Empty || bad.Failure != string(attls.FailEmptyAuthenticator) {
			t.Errorf("%+v, %+v", refusal, bad)
		}
	}
	for _, args := range [][]string{{"request", "--role", "both"}, {"request", "--role", "server", "--server-name", "a"},
		{"request", "--role", "client", "--context", "xy"}, {"request", "--role", "client", "--schemes", "none"},
		{"make", "--role", "server", "--request", "00"}, {"make", "--role", "server", "--request", "00", "--cert", cert},
		{"make", "--role", "server", "--refuse", "--request", "00", "--handshake-context", "00", "--finished-key", "00"},
		{"check", "--role", "client", "--key-log", keys, "00"},
		{"check", "--role", "client", "--key-log", keys, "--client-random", "00", "--insecure", "00"},
		{"check", "--role", "client", "--key-log", keys, "--finished-key", "00", "--insecure", "00"}} {
		run(exitUsage, args...)
	}
}
