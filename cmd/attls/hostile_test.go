package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"attls"
	"attls/conformance/claims"
	"attls/conformance/report"
	"attls/conformance/scenario"
	"attls/conformance/trace"
	"attls/extensions/profile"
	"attls/handshake"
)

// hostile is text of a peer that moves the cursor, sets the title, turns the
// direction of writing and forges a line.
const hostile = "\x1b]0;PWNED\a\x1b[2J\u009b32m\u202e\u2066\x7f\nINJECTED: accepted\rend"

// hostileOctets is hostile with octets that are not UTF-8.
const hostileOctets = hostile + "\x9b\xff"

// harmless fails when output would do something to a terminal, or has a line that a
// peer forged. with, unless empty, must be there: the test would see nothing otherwise.
func harmless(t *testing.T, what, output, with string) {
	t.Helper()
	if p := attls.PrintableLines(output); p != output {
		t.Errorf("%s: not printable:\n%s", what, p)
	}
	for _, l := range strings.Split(output, "\n") {
		if strings.HasPrefix(strings.TrimLeft(l, " │"), "INJECTED") {
			t.Errorf("%s: a forged line:\n%s", what, output)
		}
	}
	if with != "" && !strings.Contains(unwrapped(output), with) {
		t.Errorf("%s: there is no %q in\n%s", what, with, output)
	}
}

// unwrapped takes the frame of the ladder and the breaks of lines away.
func unwrapped(text string) string {
	return regexp.MustCompile(`[\s│]+`).ReplaceAllString(text, "")
}

// hostileCMW is a CMW record whose media type is hostile.
func hostileCMW() []byte {
	media := `application/eat+cwt; a="` + strings.ReplaceAll(hostile, "\n", "") + `"`
	b := []byte{0x82, 0x78, byte(len(media))}
	return append(append(b, media...), 0x41, 0)
}

// hostileCertificate is a self-signed certificate with hostile names.
func hostileCertificate(t *testing.T, dns ...string) (file string) {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: hostile, Organization: []string{hostile}}, DNSNames: dns,
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "hostile.pem")
	blob := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})...)
	if err := os.WriteFile(file, blob, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// script is the command line of a program that can answer with a text.
func script(t *testing.T, answer []byte, status string) string {
	t.Helper()
	dir := t.TempDir()
	name := filepath.Join(dir, "program")
	if err := os.WriteFile(filepath.Join(dir, "answer"), answer, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte("cat >/dev/null\n"+status+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return "sh " + name // a file that was just written may be busy as a program
}

// shakeHands is a client that sends hostile names.
func shakeHands(t *testing.T, address string) {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	name := []byte(hostileOctets)
	body := binary.BigEndian.AppendUint16(nil, uint16(len(name)+3))
	body = binary.BigEndian.AppendUint16(append(body, 0), uint16(len(name)))
	c := handshake.Client(nc, &handshake.Config{ALPN: []string{hostileOctets},
		ExtraExtensions: []profile.RawExtension{{Type: attls.ExtServerName, Body: append(body, name...)}}},
		&handshake.Answerer{Trust: handshake.Trust{InsecureSkipVerify: true}})
	c.Handshake()
	c.Close()
}

// TestHostilePeers feeds an escape sequence into what a peer chooses and looks at
// everything that is printed.
func TestHostilePeers(t *testing.T) {
	t.Run("names in a ClientHello, as a server prints and records them", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "hello.pcapng")
		s := start(t, "--profile", "none", "--msg", "--alpn", "h2", "--max-connections", "1", "--pcap", file)
		shakeHands(t, s.address)
		s.wait(t)
		harmless(t, "server", s.out.String()+s.log.String(), `\x1b]0;PWNED`)
		_, stdout, stderr := command(t, "decode", file)
		harmless(t, "decode", stdout+stderr, `\x1b]0;PWNED`)
		if _, stdout, _ = command(t, "decode", "--json", file); !json.Valid([]byte(stdout)) || !strings.Contains(stdout, `\u001b]0;PWNED`) {
			t.Errorf("decode --json: %s", stdout)
		}
		harmless(t, "decode --json", stdout, `\u202e`)
	})
	t.Run("the protocol that was agreed and the name, in claims and on the page", func(t *testing.T) {
		t.Parallel()
		s := start(t, "--profile", "none", "--json", "--alpn", hostileOctets, "--max-connections", "1")
		shakeHands(t, s.address)
		s.wait(t)
		harmless(t, "server --json", s.out.String()+s.log.String(), `\u202e`)
	})
	t.Run("a server's certificate", func(t *testing.T) {
		t.Parallel()
		s := start(t, "--profile", "none", "--cert", hostileCertificate(t), "--www")
		_, _, stderr := command(t, "client", "--profile", "none", "--msg", "--verify", "none", "--http-get", "/", s.address)
		harmless(t, "client", stderr, `\x1b]0;PWNED`)
		_, stdout, stderr := command(t, "client", "--profile", "none", "--msg", s.address)
		harmless(t, "client that refuses", stdout+stderr, `\x1b]0;PWNED`)
	})
	t.Run("a client's certificate", func(t *testing.T) {
		t.Parallel()
		s := start(t, "--profile", "none", "--verify", "require", "--msg", "--max-connections", "1")
		_, stdout, stderr := command(t, "client", "--profile", "none", "--cert", hostileCertificate(t), s.address)
		s.wait(t)
		harmless(t, "client", stdout+stderr, "")
		harmless(t, "server", s.out.String()+s.log.String(), `\x1b]0;PWNED`)
	})
	t.Run("the type of a CMW", func(t *testing.T) {
		t.Parallel()
		answer, err := json.Marshal(map[string]string{"cmw": base64.StdEncoding.EncodeToString(hostileCMW())})
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "cmw.pcapng")
		name := script(t, answer, `cat "${0%program}answer"`)
		s := start(t, "--attester-cmd", name, "--pcap", file, "--max-connections", "1")
		code, stdout, stderr := command(t, "client", "--require-attestation", "--msg", s.address)
		s.wait(t)
		if code != exitFailed {
			t.Errorf("exit code %d", code)
		}
		harmless(t, "client", stdout+stderr, `\x1b]0;PWNED`)
		harmless(t, "server", s.out.String()+s.log.String(), "")
		_, stdout, stderr = command(t, "decode", file)
		harmless(t, "decode", stdout+stderr, `\x1b]0;PWNED`)
		cmw := filepath.Join(t.TempDir(), "hostile.cmw")
		if err := os.WriteFile(cmw, hostileCMW(), 0o600); err != nil {
			t.Fatal(err)
		}
		_, stdout, stderr = command(t, "evidence", "appraise", cmw)
		harmless(t, "evidence appraise", stdout+stderr, `\x1b]0;PWNED`)
		_, stdout, _ = command(t, "evidence", "appraise", "--json", cmw)
		harmless(t, "evidence appraise --json", stdout, `]0;PWNED`)
	})
	t.Run("the words of an appraiser and of a program that fails", func(t *testing.T) {
		t.Parallel()
		answer, err := json.Marshal(map[string]any{"status": "contraindicated", "failure": "attestation.appraisal_failed", "reason": hostile,
			"checks": []map[string]any{{"name": hostile, "ok": false, "text": hostile}}})
		if err != nil {
			t.Fatal(err)
		}
		s := start(t, "--www")
		for i, name := range []string{script(t, answer, `cat "${0%program}answer"`), script(t, []byte(hostileOctets), `cat "${0%program}answer"`),
			script(t, []byte(hostileOctets), `cat "${0%program}answer" >&2; exit 1`)} {
			code, stdout, stderr := command(t, "client", "--require-attestation", "--msg", "--appraiser-cmd", name, s.address)
			if code != exitFailed {
				t.Errorf("exit code %d", code)
			}
			harmless(t, "client", stdout+stderr, []string{"PWNED", "", "PWNED"}[i])
			s := start(t, "--attester-cmd", name, "--max-connections", "1")
			command(t, "client", "-q", s.address)
			s.wait(t)
			harmless(t, "server", s.out.String()+s.log.String(), "")
		}
	})
	t.Run("a profile", func(t *testing.T) {
		t.Parallel()
		quoted, _ := json.Marshal(hostile) // a string of YAML, too
		dir := t.TempDir()
		for i, text := range []string{
			"id: " + string(quoted) + "\nbase: early-attestation-06\n",
			"id: x\nbase: " + string(quoted) + "\n",
			"id: x\nbase: early-attestation-06\n" + string(quoted) + ": 1\n",
			"id: x\nbase: early-attestation-06\nstatus: " + string(quoted) + "\nbinder: {challenge: " + string(quoted) + "}\nalerts: {" + string(quoted) + ": 5}\n",
			"id: x\nbase: early-attestation-06\nstructures: " + string(quoted) + "\n",
			"id: x\nbase: early-attestation-06\ndate: " + string(quoted) + "\ndraft: " + string(quoted) + "\n",
			"\x1b[2J\u202e: 1\n", "id: \xff\xfe\x9b\n", "id: \"" + hostileOctets + "\n",
		} {
			file := filepath.Join(dir, string(rune('a'+i))+".yaml")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{{"profile", "lint", file}, {"profile", "show", file}, {"profile", "diff", file, "early-attestation-06"},
				{"profile", "explain", file}, {"demo", "--profile", file}, {"grid", "--profile", file}, {"profile", "lint", "--json", file}, {"profile", "header", file},
				{"client", "--profile", file, "localhost:1"}, {"server", "--profile", file, "--max-connections", "x"}, {"__complete", "client", "--profile", file}} {
				_, stdout, stderr := command(t, args...)
				harmless(t, strings.Join(args[:2], " ")+" of "+text, stdout+stderr, "")
			}
		}
	})
	t.Run("files of other programs", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		for name, content := range map[string]string{"k.pem": "-----BEGIN " + hostile + "-----\nAAAA\n-----END " + hostile + "-----\n", "j.json": `{"` + hostile + `": 1}`,
			"k.keys": "CLIENT_RANDOM " + hostile, "x": hostileOctets, "y.yaml": hostileOctets} {
			file := filepath.Join(dir, name)
			if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{{"client", "--ca", file, "localhost:1"}, {"server", "--cert", file}, {"client", "--sess-in", file}, {"replay", file}, {"decode", file},
				{"decode", "--keys", file, file}, {"conform", "merge", file}, {"evidence", "appraise", file}, {"evidence", "make", "--key", file}, {"evidence", "make", "--attester-file", file},
				{"evidence", "appraise", "--verifier-file", file, file}, {"profile", "explain", "--from-claims", file, "early-attestation-06"}, {"client", file}, {hostileOctets}, {"client", "--" + hostile}} {
				_, stdout, stderr := command(t, args...)
				harmless(t, strings.Join(args, " "), stdout+stderr, "")
			}
		}
	})
	t.Run("reports of runs", func(t *testing.T) {
		t.Parallel()
		e := &claims.ErrorClaim{Failure: hostile, Message: hostile, Field: hostile, Rule: hostile, Detail: hostile}
		claimed := claims.Claims{Role: hostile, Suite: hostile, ALPN: hostile, ServerName: hostile, Error: e, Attestation: []claims.AttestationClaim{{Attester: hostile,
			Verdict: &claims.VerdictClaim{Failure: hostile, Reason: hostile, Status: hostile}}}}
		r := &report.Report{Runs: []report.Run{{ID: hostile, Client: hostile, Server: hostile, Outcome: report.Failed, Reason: hostile, ClientClaims: &claimed, ServerClaims: &claimed}}}
		for name, write := range map[string]func(*report.Report, *bytes.Buffer) error{
			"page":  func(r *report.Report, b *bytes.Buffer) error { return r.WriteHTML(b) },
			"JUnit": func(r *report.Report, b *bytes.Buffer) error { return r.WriteJUnit(b) },
		} {
			var b bytes.Buffer
			if err := write(r, &b); err != nil {
				t.Fatal(err)
			}
			harmless(t, name, strings.ReplaceAll(b.String(), "\nINJECTED", "INJECTED"), "PWNED") // a line is nothing in HTML
		}
		var b bytes.Buffer
		p := &painter{w: &b, width: defaultWidth, colour: true, terminal: true}
		p.end(&claimed)
		p.verdict("Verdict: ", claimed.Attestation[0].Verdict)
		p.ladder([]trace.Step{{From: "client", What: hostile, Details: []string{hostile}, Extensions: []trace.StepExtension{{Name: hostile, Added: true,
			Fields: []trace.FieldValue{{Path: hostile, Value: hostile}}}, {Name: hostile, Fields: []trace.FieldValue{{Value: hostile}}}}, Alert: &claims.AlertClaim{Name: hostile}, Broken: e}})
		p.binder(&scenario.Binder{Attester: hostile, Value: hostile, Tree: &claims.BinderNode{Expr: hostile, Value: hostile, Error: hostile}})
		p.problems(nil)
		own := regexp.MustCompile("\x1b\\[(1|2|31|32|33|36|0)m")
		if !own.MatchString(b.String()) {
			t.Error("there is no colour")
		}
		harmless(t, "painter with colour", own.ReplaceAllString(b.String(), ""), `PWNED`)
	})
	t.Run("what is not TLS", func(t *testing.T) {
		t.Parallel()
		for _, first := range []string{hostileOctets, "GET /" + hostile + " HTTP/1.1\r\n\r\n", "PROXY TCP4 " + hostile, "SSH-2.0-" + hostile} {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				if nc, err := l.Accept(); err == nil {
					nc.Write([]byte(first))
					nc.(*net.TCPConn).CloseWrite()
					defer nc.Close()
				}
			}()
			var out, log bytes.Buffer
			run(context.Background(), []string{"client", "--msg", l.Addr().String()}, strings.NewReader(""), &out, &log)
			l.Close()
			harmless(t, "client", out.String()+log.String(), "")
		}
	})
}

// TestDataIsRaw: application data that the user asked for arrives as it was sent.
func TestDataIsRaw(t *testing.T) {
	s := start(t, "--profile", "none", "--echo", "--max-connections", "1")
	var out, log bytes.Buffer
	if code := run(context.Background(), []string{"client", "-q", "--profile", "none", s.address}, strings.NewReader(hostileOctets), &out, &log); code != exitOK || out.String() != hostileOctets {
		t.Errorf("exit code %d: %q, %s", code, out.String(), log.String())
	}
}
