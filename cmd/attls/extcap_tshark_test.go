package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"attls/internal/fifo"
)

// TestExtcapOfTshark lets tshark itself list the interfaces and capture from one.
func TestExtcapOfTshark(t *testing.T) {
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("tshark is not here")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	folder := filepath.Join(home, "extcap")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf("#!/bin/sh\n%s=1 exec '%s' extcap \"$@\"\n", runAsCommand, self)
	if err := os.WriteFile(filepath.Join(folder, "attls"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (string, string) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		args = append([]string{"-o", "tcp.try_heuristic_first:TRUE"}, args...) // a random port may be that of another protocol
		c := exec.CommandContext(ctx, tshark, args...)
		c.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home, "WIRESHARK_EXTCAP_DIR="+folder)
		var errs strings.Builder
		c.Stderr = &errs
		out, err := c.Output()
		if err != nil {
			t.Fatalf("tshark %q: %v\n%s", args, err, errs.String())
		}
		return string(out), errs.String()
	}
	if out, _ := run("-D"); !strings.Contains(out, "attls-demo (attls demo)") || !strings.Contains(out, "attls-server (attls server)") {
		t.Skipf("this tshark does not look into WIRESHARK_EXTCAP_DIR: %s", out)
	}
	if out, _ := run("-i", demoInterface, "-L"); !strings.Contains(out, "EN10MB") {
		t.Errorf("link types: %q", out)
	}
	lua := filepath.Join(home, "attls.lua")
	if code, _, errs := command(t, "profile", "dissector", "tls-attestation-07", "-o", lua); code != exitOK {
		t.Fatal(errs)
	}
	out, errs := run("-i", demoInterface, "-X", "lua_script:"+lua, "-o", "extcap.attls_demo.profile:tls-attestation-07",
		"-o", "extcap.attls_demo.attester:both", "-T", "fields", "-e", "attls.message", "-e", "attls.payload.text")
	if strings.Count(out, "CMW, ") != 2 {
		t.Errorf("tshark shows %q; %s", out, errs)
	}
}

// TestExtcapIntoPipe plays Wireshark's part: it asks for the dialogue, gives each option a value, makes a
// pipe, and hands what comes through it to tshark.
func TestExtcapIntoPipe(t *testing.T) {
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("tshark is not here")
	}
	const profile = "early-attestation-06"
	lua := filepath.Join(t.TempDir(), "attls.lua")
	if code, _, errs := command(t, "profile", "dissector", profile, "-o", lua); code != exitOK {
		t.Fatal(errs)
	}
	for _, name := range []string{demoInterface, serverInterface} {
		t.Run(name, func(t *testing.T) {
			port := freePort(t)
			args := append([]string{"extcap", "--extcap-interface", name, "--capture"}, dialogue(t, name, port)...)
			pipe := makePipe(t)
			ctx, stop := context.WithTimeout(t.Context(), time.Minute)
			defer stop()
			done := make(chan string, 1)
			go func() {
				var out, errs strings.Builder
				code := run(ctx, append(args, "--fifo", pipe), strings.NewReader(""), &out, &errs)
				done <- fmt.Sprintf("%d %s%s", code, out.String(), errs.String())
			}()
			reader, err := os.Open(pipe)
			if err != nil {
				t.Fatal(err)
			}
			defer reader.Close()
			if name == serverInterface {
				go func() {
					talkTo(ctx, t, port)
					stop() // as Wireshark ends a capture, by a signal
				}()
			}
			c := exec.Command(tshark, "-n", "-o", "tcp.try_heuristic_first:TRUE", "-r", "-", "-X", "lua_script:"+lua, "-T", "fields", "-e", "attls.message",
				"-e", "attls.server_attester.choice", "-e", "attls.payload.text")
			c.Stdin = reader
			c.Env = append(os.Environ(), "HOME="+t.TempDir(), "XDG_CONFIG_HOME="+t.TempDir())
			out, err := c.Output()
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"client_hello", "certificate", "evidence, x509, content format 263", "CMW, "} {
				if !strings.Contains(string(out), want) {
					t.Errorf("tshark does not show %q: %q", want, out)
				}
			}
			if end := <-done; strings.TrimSpace(end) != "0" && name == demoInterface {
				t.Errorf("it ended with %s", end)
			}
		})
	}
}

// dialogue gives each option of an interface the value that Wireshark would: its default, or nothing.
func dialogue(t *testing.T, name string, port int) []string {
	t.Helper()
	code, out, errs := command(t, "extcap", "--extcap-interface", name, "--extcap-config", "--extcap-version=4.0")
	if code != exitOK {
		t.Fatal(errs)
	}
	var args []string
	for _, m := range regexp.MustCompile(`(?m)^arg \{number=\d+\}\{call=(--[a-z-]+)\}.*\{type=([a-z]+)\}(?:.*\{default=([^}]*)\})?`).FindAllStringSubmatch(out, -1) {
		switch {
		case m[2] == "boolflag":
			args = append(args, m[1]+"=false")
		case m[1] == "--port":
			args = append(args, m[1], fmt.Sprint(port))
		default:
			args = append(args, m[1], m[3])
		}
	}
	if len(args) < 12 {
		t.Fatalf("%q of %q", args, out)
	}
	return args
}

func makePipe(t *testing.T) string {
	t.Helper()
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := fifo.Make(pipe, 0o600); err != nil {
		t.Skip("no pipes with names here: ", err)
	}
	return pipe
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// talkTo makes a connection once the server is there.
func talkTo(ctx context.Context, t *testing.T, port int) {
	for ctx.Err() == nil {
		var out, errs strings.Builder
		if code := run(ctx, []string{"client", fmt.Sprintf("127.0.0.1:%d", port), "--require-attestation"}, strings.NewReader("hello\n"), &out, &errs); code == exitOK {
			return
		} else if code != exitUnavailable {
			t.Errorf("the client ended with %d: %s", code, errs.String())
			return
		}
		time.Sleep(20 * time.Millisecond) // it is not there yet
	}
}

// TestExtcapWithoutReader: a capture that nobody reads ends, and says why.
func TestExtcapWithoutReader(t *testing.T) {
	for name, left := range map[string]int64{"at once": 0, "in the middle": 100} {
		for _, i := range []string{demoInterface, serverInterface} {
			t.Run(i+" "+name, func(t *testing.T) {
				pipe := makePipe(t)
				ctx, stop := context.WithTimeout(t.Context(), time.Minute)
				defer stop()
				var out, errs strings.Builder
				code := make(chan int, 1)
				go func() {
					code <- run(ctx, []string{"extcap", "--extcap-interface", i, "--capture", "--fifo", pipe, "--port", fmt.Sprint(freePort(t))},
						strings.NewReader(""), &out, &errs)
				}()
				reader, err := os.Open(pipe)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.CopyN(io.Discard, reader, left); err != nil && !errors.Is(err, io.EOF) {
					t.Fatal(err)
				}
				reader.Close()
				c := <-code
				if c == exitOK && i == demoInterface { // all of it fits into the pipe, and may have been there before
					return
				}
				if c != exitUnavailable || out.String() != "" || !strings.Contains(errs.String(), "pipe") {
					t.Errorf("it ended with %d %q %q", c, out.String(), errs.String())
				}
				if ctx.Err() != nil {
					t.Error("it ended with the test's patience only")
				}
			})
		}
	}
}

// TestExtcapRefuses: what Wireshark cannot mean ends at once, with what is wrong.
func TestExtcapRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "run.pcapng")
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no directory": {[]string{"--fifo", filepath.Join(t.TempDir(), "missing", "pipe")}, "no such file or directory"},
		"a directory":  {[]string{"--fifo", t.TempDir()}, "is a directory"},
		"no pipe":      {nil, "--capture needs --fifo"},
		"profile":      {[]string{"--fifo", file, "--profile", "nothing"}, "nothing"},
		"model":        {[]string{"--fifo", file, "--model", "x"}, `model "x"`},
		"combination":  {[]string{"--fifo", file, "--credential", "attestation"}, "early-attestation-06"},
		"fault":        {[]string{"--fifo", file, "--fail", "no such fault"}, "no such fault"},
		"group":        {[]string{"--fifo", file, "--group", "rot13"}, "rot13"},
		"a flag":       {[]string{"--fifo", file, "--json"}, "unknown flag"},
		"a word":       {[]string{"--fifo", file, "more"}, "more"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errs := command(t, append([]string{"extcap", "--extcap-interface", demoInterface, "--capture"}, c.args...)...)
			if code == exitOK || out != "" || !strings.Contains(errs, c.want) || strings.Contains(errs, "Usage:") {
				t.Errorf("%d %q %q; expected %q", code, out, errs, c.want)
			}
		})
	}
	for _, port := range []string{"-1", "65536", "x"} {
		if code, _, errs := command(t, "extcap", "--extcap-interface", serverInterface, "--capture", "--fifo", file, "--port", port); code == exitOK || !strings.Contains(errs, "port") {
			t.Errorf("port %s: %d %q", port, code, errs)
		}
	}
}
