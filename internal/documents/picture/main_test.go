package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
)

const output = `a title

client                  server
│ ClientHello ──── 212 ──▶ │
│     suites A & <B>       │
` + "│ ◀── 1 ──── Certificate │\n│     payload │\n" + `
Challenge of the server: 3a
left out
Verdict of the client on the server: accepted, status affirming, valid until
  2026-11-24T22:53:22Z
  ✓ key: fits
client: closed
` + "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n"

func TestDrawShowsTheLadderAndTheVerdict(t *testing.T) {
	var b strings.Builder
	if err := draw(&b, strings.NewReader(output)); err != nil {
		t.Fatal(err)
	}
	if err := wellFormed(b.String()); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{"ClientHello": true, "A &amp; &lt;B&gt;": true, "affirming<": true, "✓ key": true, "left out": false, "2026": false, "closed": false} {
		if strings.Contains(b.String(), text) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
	if err := draw(io.Discard, strings.NewReader("attls: no\n")); err == nil {
		t.Error("an error of attls became a picture")
	}
}

// TestThePictureIsCurrent: what README.md shows has the messages of a demonstration
// and is well-formed.
func TestThePictureIsCurrent(t *testing.T) {
	text, err := os.ReadFile("../../../docs/demo.svg")
	if err != nil {
		t.Fatal(err)
	}
	if err := wellFormed(string(text)); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"ClientHello", "EncryptedExtensions", "CertificateVerify", "Finished", "payload: CMW", "Evidence with an X.509 certificate", "status affirming", "Attested: application data"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("docs/demo.svg lacks %q: run make picture", want)
		}
	}
}

func wellFormed(s string) error {
	for d := xml.NewDecoder(strings.NewReader(s)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}
