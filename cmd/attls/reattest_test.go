package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"attls/conformance/claims"
)

// TestReattest: the peer attests again, by command, after so much data, or because the client
// attests after the handshake alone; in key updates and in post-handshake authentication.
func TestReattest(t *testing.T) {
	const changed = "../../extensions/profile/testdata/changed/"
	updating := []string{"--profile", "early-attestation-08pre", "--extended-key-update"}
	of := func(l []string, more ...string) []string { return append(append([]string{}, l...), more...) }
	for name, x := range map[string]struct {
		both, server, client []string
		input                string
		sign                 string // what ends the input, in the messages that the client prints
		times                int64
		phase, slot          string // of the claims of an attestation that was repeated
		attesters            string
	}{
		"client asks":        {both: of(updating, "--attester", "server"), client: []string{"--reattest", "4B"}, input: "one\ntwo\n", sign: "key_update_request", times: 1, phase: claims.PhaseKeyUpdate, slot: "server_update", attesters: "server"},
		"by command":         {both: of(updating, "--attester", "both"), client: []string{"--commands"}, input: "one\nr\ntwo\n", sign: "key_update_request", times: 1, phase: claims.PhaseKeyUpdate, slot: "server_update", attesters: "server client"},
		"server asks":        {both: of(updating, "--attester", "client"), server: []string{"--reattest", "4B"}, input: "one\ntwo\n", sign: "attestation_update_response", times: 1, phase: claims.PhaseKeyUpdate, slot: "client_update", attesters: "client"},
		"both ask":           {both: of(updating, "--attester", "both", "--reattest", "4B"), input: "one\ntwo\n", sign: "attestation_update_response", times: 1, phase: claims.PhaseKeyUpdate, slot: "client_update", attesters: "server client"},
		"request":            {both: []string{"--profile", "early-attestation-06", "--attester", "client"}, server: []string{"--reattest", "4B"}, client: []string{"--pha"}, input: "one\ntwo\n", sign: "Finished", times: 3, slot: "client_attester", attesters: "client"},
		"slot of the phase":  {both: []string{"--profile", changed + "asked-afterwards.yaml", "--attester", "client"}, server: []string{"--reattest", "4B"}, input: "one\ntwo\n", sign: "Finished", times: 3, slot: "again", attesters: "client"},
		"after it alone":     {both: []string{"--profile", changed + "asked-only-afterwards.yaml"}, server: []string{"--require-attestation"}, input: "one\n", sign: "Finished", times: 3, slot: "client", attesters: "client"},
		"peer does not know": {both: []string{"--profile", "early-attestation-08pre"}, client: []string{"--extended-key-update", "--reattest", "4B"}, input: "one\n", sign: "application data", times: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, of(x.both, of(x.server, "--echo", "--json", "--max-connections", "1")...)...)
			input, end := io.Pipe()
			var seen atomic.Int64
			var out, log lockedBuffer
			code := make(chan int, 1)
			go func() {
				flags := of([]string{"client", "--json", "--msg", s.address}, of(x.both, x.client...)...)
				code <- run(context.Background(), flags, input, &out, writerFunc(func(b []byte) (int, error) {
					if seen.Add(int64(bytes.Count(b, []byte(x.sign)))) >= x.times {
						go end.Close()
					}
					return log.Write(b)
				}))
				input.Close()
			}()
			io.WriteString(end, x.input)
			if c := <-code; c != exitOK {
				t.Fatalf("exit code %d, %s", c, log.String())
			}
			if c := s.wait(t); c != exitOK {
				t.Fatalf("server: exit code %d, %s", c, s.log.String())
			}
			if x.slot == "" {
				if !strings.Contains(log.String(), "--reattest does nothing") {
					t.Error(log.String())
				}
				return
			}
			for end, text := range map[string]string{"client": out.String(), "server": s.out.String()} {
				found := false
				for _, a := range claimsIn(t, text)[0].Attestation {
					if a.Phase == x.phase && !strings.Contains(x.attesters, a.Attester) {
						t.Errorf("%s: %+v", end, a)
					}
					if found = found || a.Slot == x.slot && a.Phase == x.phase; a.Attester != end && (a.Verdict == nil || !a.Verdict.Accepted) {
						t.Errorf("%s: %+v", end, a)
					}
				}
				if !found {
					t.Errorf("%s: nothing in slot %s: %s", end, x.slot, text)
				}
			}
		})
	}
}

// TestReattestUsage: what would do nothing is refused before a connection is made.
func TestReattestUsage(t *testing.T) {
	for _, x := range []struct {
		args []string
		want string
	}{
		{[]string{"client", "--profile", "early-attestation-08pre", "--reattest", "30s"}, "say --extended-key-update as well"},
		{[]string{"client", "--profile", "early-attestation-08pre", "--extended-key-update", "--attester", "client", "--reattest", "30s"}, "the server is not to attest"},
		{[]string{"client", "--profile", "early-attestation-06", "--extended-key-update", "--reattest", "30s"}, "only a server asks for that"},
		{[]string{"client", "--profile", "tls-attestation-07", "--reattest", "30s"}, "in the handshake"},
		{[]string{"server", "--profile", "tls-attestation-07", "--attester", "client", "--reattest", "30s"}, "in the handshake"},
		{[]string{"server", "--profile", "early-attestation-06", "--answer-last"}, "has none"},
	} {
		args := x.args
		if args[0] == "client" {
			args = append(args, "localhost:1")
		} else {
			args = append(args, "--port", "0")
		}
		if code, _, stderr := command(t, args...); code != exitUsage || !strings.Contains(stderr, x.want) {
			t.Errorf("%v: exit code %d, %s", x.args, code, stderr)
		}
	}
}
