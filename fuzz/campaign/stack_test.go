package campaign

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"attls"
	"attls/conformance/claims"
)

// stackProgram is the program that was built, or the test skips.
func stackProgram(t *testing.T, planted bool) string {
	t.Helper()
	program := FindStack(planted)
	if program == "" {
		t.Skip("conformance/mbedtls/targets.sh live has built no program")
	}
	return program
}

// TestStackIsSound: what is found in the C program is known, and its corpus is read again.
func TestStackIsSound(t *testing.T) {
	program := stackProgram(t, false)
	for _, target := range StackTargets() {
		dir := t.TempDir()
		native := filepath.Join(dir, "native")
		sent, err := NativeSeeds(target, filepath.Join(native, "checks"), filepath.Join(native, "mode"))
		if err != nil {
			t.Fatal(err)
		}
		o := StackOptions{Target: target, Program: program, Executions: 25, Seed: 2, Dir: dir, Sent: sent}
		r, err := RunStack(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range r.Found {
			t.Errorf("%s, variant %d: %s\n%v", target, f.Input.Variant, f.Cause, f.Input.Edits)
		}
		if r.Executions < 25 || r.Reached < 12 {
			t.Errorf("%s: %d connections reached %d outcomes", target, r.Executions, r.Reached)
		}
		if o.Messages, err = ReadNative(filepath.Join(native, "mode")); err != nil || len(o.Messages) < 20 {
			t.Errorf("%d messages in the seeds, %v", len(o.Messages), err)
		}
		if err := (&Input{Format: Format, Attacker: "client"}).WriteFile(filepath.Join(dir, "corpus", "other.yaml")); err != nil {
			t.Fatal(err)
		}
		o.Resume, o.Executions = true, 1
		if r, err = RunStack(t.Context(), o); err != nil || len(r.Unread) != 1 || !strings.Contains(r.Unread[0], target) {
			t.Errorf("%v; not read: %v", err, r.Unread)
		}
	}
}

// TestStackEnds: a program that ends or talks nonsense is a finding.
func TestStackEnds(t *testing.T) {
	for name, script := range map[string]string{
		"ends":          "exit 1",
		"nonsense":      "printf 'O\\377\\377\\377\\377'",
		"a sanitizer's": "echo '==1==ERROR: AddressSanitizer: heap-buffer-overflow' >&2; exit 1",
	} {
		program := filepath.Join(t.TempDir(), "program")
		if err := os.WriteFile(program, []byte("#!/bin/sh\nhead -c 6 > /dev/null\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		r, err := RunStack(t.Context(), StackOptions{Target: "mbedtls-client", Program: program, Executions: 1, Seed: 2,
			Dir: t.TempDir(), FirstOnly: true})
		if err != nil || len(r.Found) == 0 || r.Found[0].Law != "crash" ||
			name == "a sanitizer's" && !strings.Contains(r.Found[0].Says, "heap-buffer-overflow") {
			t.Errorf("%s: %v, %+v", name, err, r)
		}
	}
	if _, err := RunStack(t.Context(), StackOptions{Target: "other"}); err == nil {
		t.Error("a target that does not exist is run")
	}
}

// TestStackLoops: a program that computes and says nothing is not waited for as long as one that
// may have no processor.
func TestStackLoops(t *testing.T) {
	program := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nwhile :; do :; done\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	p, err := startStack(program, t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	if p.worked(); runtime.GOOS != "linux" {
		t.Skip("the processor time of a program is read in Linux")
	}
	p.work = 100 * time.Millisecond
	_, _, err = p.read()
	if worked := p.worked(); err == nil || worked < p.work || worked > stackPatience/2 {
		t.Errorf("%v after %v of work", err, worked)
	}
	if says := p.crashed(err); !strings.Contains(says, "hangs") {
		t.Error(says)
	}
}

// TestNativeRecords: what is written for fuzzers of octets is read back, and anything is read.
func TestNativeRecords(t *testing.T) {
	hello := slices.Concat([]byte{1, 0, 0, 40}, make([]byte, 40))
	big := slices.Concat([]byte{11, 0, 0x50, 0}, make([]byte, 0x5000))
	end := []byte{20, 0, 0, 1, 0}
	for _, role := range attls.Roles() {
		b := nullRecords(role, [][]byte{hello, big, end})
		if got := nullMessages(b); !slices.EqualFunc(got, [][]byte{hello, big, end}, bytes.Equal) {
			t.Errorf("%d messages are read back", len(got))
		}
		for n := range b {
			if n%7 == 0 || n < 60 {
				nullMessages(b[:n])
				nullMessages(b[n:])
			}
		}
	}
}

// TestKnownIsNarrow: a difference is known for one end, one law and a part of its text.
func TestKnownIsNarrow(t *testing.T) {
	edited := &Input{Edits: []Edit{{Do: "extend", Message: "ClientHello"}}}
	for _, x := range []struct {
		v     Violation
		known bool
	}{
		{Violation{"transcript", attls.RoleServer, "is done although its peer's transcript is another one"}, true},
		{Violation{"transcript", attls.RoleClient, "is done although its peer's transcript is another one"}, false},
		{Violation{"retry-needed", attls.RoleClient, "took a HelloRetryRequest that changes nothing"}, true},
		{Violation{"retry-needed", attls.RoleClient, "took a HelloRetryRequest for the group x25519, of which it had sent a share"}, false},
		{Violation{"tolerates", attls.RoleServer, "does not complete: Verification of the message MAC failed"}, false},
		{Violation{"message-end", attls.RoleClient, "took 1 octets after the extensions of ServerHello"}, true},
		{Violation{"message-end", attls.RoleClient, "took 1 octets after the extensions of EncryptedExtensions"}, false},
		{Violation{"crash", attls.RoleClient, "ends"}, false},
	} {
		if got := x.v.known(edited) != ""; got != x.known {
			t.Errorf("%v: %v", &x.v, got)
		}
	}
	other := &Input{Edits: []Edit{{Do: "drop", Message: "Finished"}}}
	v := Violation{"transcript", attls.RoleServer, "is done although its peer's transcript is another one"}
	if v.known(other) != "" {
		t.Error("it is known after any edit")
	}
}

// TestFirstCredentialCounts: of two certificates that an input shows, the honest end saw the first.
func TestFirstCredentialCounts(t *testing.T) {
	x := target(t, TLS)
	for _, c := range []struct {
		edits  []Edit
		broken bool
	}{
		{[]Edit{{Do: "credential", Answer: rsaAnswer}, {Do: "credential", Answer: "for clients only"}}, false},
		{[]Edit{{Do: "credential", Answer: "for clients only"}, {Do: "credential", Answer: rsaAnswer}}, true},
	} {
		in := x.input(Connection{}, attls.RoleServer)
		in.Edits = c.edits
		r, _ := outcome(t, x, nil, in)
		r.done[attls.RoleClient] = true // a program that takes anything
		r.states[attls.RoleClient].PeerSPKI = []byte{1}
		broken := slices.ContainsFunc(in.judgeStack(r, &claims.Claims{}), func(v Violation) bool {
			return v.Law == "certificate-trusted" && strings.HasPrefix(v.Says, "is done with a credential")
		})
		if broken != c.broken {
			t.Errorf("%v: broken %v", in.Edits, broken)
		}
	}
}
