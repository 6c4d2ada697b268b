package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"attls/conformance/claims"
	"attls/conformance/report"
	"attls/conformance/requirements"
	"attls/conformance/scenario"
	"attls/conformance/trace"
	"attls/internal/columns"
	"attls/negotiation"
)

// drawings are the commands whose output fits the terminal.
func drawings(t *testing.T) map[string][]string {
	pcap := recorded(t, "--attester", "both")
	broken := recorded(t, "--fail", "binder")
	mine := filepath.Join(t.TempDir(), "one.json")
	if code, _, stderr := command(t, append([]string{"conform", "--json", mine}, hereOnly...)...); code != exitOK {
		t.Fatal(stderr)
	}
	return map[string][]string{
		"demo":                {"demo", "--attester", "both"},
		"demo of a fault":     {"demo", "--fail", "reference-value"},
		"demo with octets":    {"demo", "--profile", "tls-attestation-04", "--credential", "x509", "--raw", "--secrets"},
		"demo with retry":     {"demo", "--profile", "tls-attestation-07", "--hello-retry"},
		"faults":              {"demo", "--fail", "help"},
		"decode":              {"decode", pcap},
		"decode with octets":  {"decode", broken, "--hex"},
		"explain":             {"profile", "explain", "early-attestation-06"},
		"explain with claims": {"profile", "explain", "tls-attestation-07", "--hello-retry"},
		"diff":                {"profile", "diff", "early-attestation-00", "early-attestation-06", "--run"},
		"profiles":            {"profile", "list"},
		"profile":             {"profile", "show", "tls-attestation-07"},
		"keys":                {"profile", "reference", "negotiation"},
		"grid":                {"grid", "--profile", "mbedtls-poc"},
		"conform":             append([]string{"conform"}, hereOnly...),
		"cases":               append([]string{"conform", "--list"}, hereOnly...),
		"merge":               {"conform", "merge", mine},
		"bench handshake":     {"bench", "handshake", "--rounds", "1", "--repeats", "1", "--match", "resumed"},
		"bench attestation":   {"bench", "attestation", "--rounds", "1", "--repeats", "1"},
		"bench of roots":      {"bench", "attestation", "--root-of-trust", "psa", "--count", "1"},
		"spoilages":           {"evidence", "make", "--spoil", "help"},
	}
}

// TestDrawingsFitTheTerminal: no line of a drawing is wider than the terminal, and no
// word of the wide drawing is lost in a narrow one; a table may break it after 12 columns.
func TestDrawingsFitTheTerminal(t *testing.T) {
	slowUnderRace(t)
	word := regexp.MustCompile(`[A-Za-z]{4,}`)
	lines := strings.NewReplacer("│", "", " ", "", "\n", "", "─", "", "├", "", "└", "")
	for name, args := range drawings(t) {
		t.Run(name, func(t *testing.T) {
			t.Setenv("COLUMNS", "")
			wantCode, wide, _ := command(t, args...)
			if wide == "" {
				t.Fatalf("%v prints nothing", args)
			}
			for _, width := range []int{40, 80} {
				t.Setenv("COLUMNS", strconv.Itoa(width))
				code, narrow, stderr := command(t, args...)
				if code != wantCode {
					t.Fatalf("at %d, exit code %d: %s", width, code, stderr)
				}
				fits(t, width, narrow)
				text := lines.Replace(narrow)
				for _, w := range word.FindAllString(wide, -1) {
					if strings.Trim(w, "abcdef") != "" && !strings.Contains(text, w[:min(len(w), 12)]) {
						t.Errorf("at %d, %q is lost:\n%s", width, w, narrow)
						break
					}
				}
			}
		})
	}
}

// fits reports lines that are wider than the terminal.
func fits(t *testing.T, width int, text string) {
	t.Helper()
	for i, line := range strings.Split(text, "\n") {
		if n := columns.Width(line); n > width {
			t.Errorf("at %d, line %d has %d columns: %s", width, i+1, n, line)
		}
	}
}

// TestPainterFitsWhatPeersSay: names, values and reasons that a peer chose are as long
// and as wide as they like.
func TestPainterFitsWhatPeersSay(t *testing.T) {
	for name, hostile := range map[string]string{
		"long word":  strings.Repeat("x", 700),
		"words":      strings.Repeat("some words ", 70),
		"wide":       strings.Repeat("証明", 120),
		"combining":  strings.Repeat("e\u0301", 300),
		"controls":   strings.Repeat("\x1b[2J\r\n\t", 50),
		"one letter": "x",
		"nothing":    "",
	} {
		e := &claims.ErrorClaim{Failure: hostile, Message: hostile, Field: hostile, Rule: hostile, Detail: hostile}
		alert := &claims.AlertClaim{Name: hostile}
		claimed := claims.Claims{Role: hostile, State: hostile, Suite: hostile, Error: e, AlertSent: alert}
		deep := &claims.BinderNode{Expr: hostile, Value: hostile}
		for range 40 {
			deep = &claims.BinderNode{Name: "n", Expr: hostile, Value: "00", Parts: []*claims.BinderNode{deep, {Expr: hostile, Error: hostile}}}
		}
		r := report.New(hostile)
		r.Runs = []report.Run{{ID: hostile, Client: hostile, Server: hostile, Outcome: report.Failed, Reason: hostile, ClientClaims: &claimed, ServerClaims: &claims.Claims{ALPN: hostile}}}
		for _, width := range []int{40, 80, 200} {
			var b bytes.Buffer
			p := &painter{w: &b}
			p.fit(width)
			p.end(&claimed)
			p.verdict("Verdict: ", &claims.VerdictClaim{Failure: hostile, Reason: hostile, Status: hostile, ValidUntil: hostile, PeerChallenge: hostile,
				Checks: []negotiation.Check{{Name: hostile, Text: hostile}}})
			p.ladder([]trace.Step{
				{From: "client", What: hostile, Details: []string{hostile}, Raw: strings.Repeat("00", 100), Octets: 1 << 24, Unread: true, Broken: e,
					Extensions: []trace.StepExtension{{Name: hostile, Added: true, Fields: []trace.FieldValue{{Path: hostile, Value: hostile}}},
						{Name: hostile, Fields: []trace.FieldValue{{Value: hostile}}}}},
				{From: "server", What: hostile, Alert: alert}})
			p.binder(&scenario.Binder{Attester: hostile, Value: hostile, Tree: deep})
			p.report(r, &reportFiles{html: strings.Repeat("directory/", 30)})
			p.runs(r)
			p.coverage([]requirements.Document{{Profile: hostile}})
			p.sizes(&report.Sizes{Octets: []int{1, 1 << 20}, Rows: []report.SizeRow{{}}})
			p.dump(bytes.Repeat([]byte("octets\n"), 9))
			t.Run(fmt.Sprint(name, " at ", width), func(t *testing.T) { fits(t, width, b.String()) })
		}
	}
}

// TestProgressFitsTheTerminal: a line of progress leaves the last column free, and
// follows the size of the window.
func TestProgressFitsTheTerminal(t *testing.T) {
	var b bytes.Buffer
	now := time.Unix(0, 0)
	g := newProgress(&b, 123456, "not as expected")
	g.p.terminal, g.now, g.began = true, func() time.Time { return now }, now
	for _, width := range []int{40, 80, 41, 120} {
		t.Setenv("COLUMNS", strconv.Itoa(width))
		now = now.Add(time.Hour)
		b.Reset()
		g.step("attls-証明/"+strings.Repeat("名", 80), true)
		line, ok := strings.CutPrefix(b.String(), "\r\x1b[K")
		if !ok || strings.Contains(line, "\n") {
			t.Errorf("%q", b.String())
		}
		if n := columns.Width(line); n > width-1 || n < width-3 && width > 70 {
			t.Errorf("at %d: %d columns: %s", width, n, line)
		}
	}
}

// TestWidth: COLUMNS, else what is documented for a file.
func TestWidth(t *testing.T) {
	for _, test := range []struct {
		columns              string
		wantWidth, wantLimit int
	}{
		{"", defaultWidth, 0},
		{"80", 80, 80},
		{"1000", maxWidth, 1000},
		{"3", minWidth, minWidth},
		{"0", defaultWidth, 0},
		{"-5", defaultWidth, 0},
		{"wide", defaultWidth, 0},
		{"99999999999999999999999", defaultWidth, 0},
	} {
		t.Setenv("COLUMNS", test.columns)
		file, err := os.Create(filepath.Join(t.TempDir(), "out"))
		if err != nil {
			t.Fatal(err)
		}
		p := newPainter(file)
		if p.width != test.wantWidth || p.limit != test.wantLimit || p.terminal || p.colour {
			t.Errorf("COLUMNS=%s: %+v", test.columns, p)
		}
		file.Close()
	}
}
