package capture

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// TestKeyLogLines reads the key log of a recording with lines that are spoilt in
// some way (RFC 9850 section 2): what fits is kept, and the rest is named.
func TestKeyLogLines(t *testing.T) {
	whole := string(read(t, sample+".keys"))
	lines := strings.SplitAfter(strings.TrimRight(whole, "\n"), "\n")
	ended := func(end string) string { return strings.ReplaceAll(whole, "\n", end) }
	random := strings.Repeat("0a", 32)
	for _, test := range []struct {
		name, text string
		over       string // in what is said of the lines that were passed over
	}{
		{"LF", whole, ""},
		{"CR", "# a comment\r" + ended("\r"), ""},
		{"CRLF", ended("\r\n"), ""},
		{"all three, and empty lines", "\n\r\r\n\n" + lines[0] + "\r" + strings.Join(lines[1:], "\r\n"), ""},
		{"no line end after the last", strings.TrimRight(whole, "\n"), ""},
		{"upper case", strings.ToUpper(whole), ""},
		{"spaces and tabs around the fields", strings.ReplaceAll(ended(" \t\n"), " ", " \t "), ""},
		{"a byte order mark", "\xef\xbb\xbf" + whole, ""},
		{"a comment with other characters", "# ключи \xff\n" + whole, ""},
		{"NUL at the end", whole + "\x00\x00\x00", ""},
		{"NUL before a line, as a file has that was truncated while it was written", "\x00\x00" + whole, ""},
		{"a backslash at the end of lines", ended("\n") + "A " + random + " 00\\\n", "f:5: passed over: the secret of A is not hexadecimal"},
		{"a last line that is cut in its label", whole + "SERVER_TRA", "f:5: passed over: it has 1 fields"},
		{"a last line that is cut in its random", whole + "SERVER_TRAFFIC_SECRET_0 0a0a", "f:5: passed over: it has 2 fields"},
		{"a last line that is cut in its secret", whole + "SERVER_TRAFFIC_SECRET_0 " + random + " 0a0", "f:5: passed over: the secret of SERVER_TRAFFIC_SECRET_0 is not hexadecimal"},
		{"a last line that repeats a secret and is cut", whole + lines[0][:len(lines[0])-11], ""},
		{"a fourth field", "CLIENT_RANDOM " + random + " 00 00\n" + whole, "f:1: passed over: it has 4 fields"},
		{"no secret", "CLIENT_RANDOM " + random + "\n" + whole, "f:1: passed over: it has 2 fields"},
		{"a label that is not one", "\x1b[31m " + random + " 00\n" + whole, "f:1: passed over: its label is not of letters"},
		{"labels that nobody knows", "QUIC_SECRET_1 " + random + " 00\nECH_SECRET " + random + " 00\n" + whole, ""},
		{"a line of a megabyte", "A " + random + " " + strings.Repeat("00", 1<<19) + "\n" + whole, "f:1: passed over: it has more than 65536 octets"},
		{"a megabyte without an end", whole + strings.Repeat("x", 1<<20), "f:5: passed over: it has more than 65536 octets"},
		{"a thousand lines of something else", strings.Repeat("GET /\n", 1000) + whole, "f: 995 more lines were passed over"},
	} {
		t.Run(test.name, func(t *testing.T) {
			log, over, err := ReadKeyLog("f", strings.NewReader(test.text))
			if err != nil || len(over) > maxNamedLines+1 {
				t.Fatalf("%d warnings, %v", len(over), err)
			}
			said := strings.Join(over, "\n")
			if test.over == "" && said != "" || !strings.Contains(said, test.over) {
				t.Errorf("passed over: %q, want %q", over, test.over)
			}
			if strings.Contains(said, "\x1b") {
				t.Errorf("%q has a control character", said)
			}
			c, _, want := recording(t, sample)
			if items, failure := c.Open(log); failure != nil || len(items) != len(want) {
				t.Errorf("%d items of %d opened, %v", len(items), len(want), failure)
			}
			// The same in a pcapng file.
			file := newer(stampedPackets(t, sample), func(_ int, p stamped) []byte { return enhanced(big, 0, uint64(p.at.UnixMicro()), p.ip) },
				section(big, 0), description(big, linkRawIP, 0), block(big, blockSecrets, uint32(tlsKeyLog), uint32(len(test.text)), test.text))
			f, err := Read(bytes.NewReader(file))
			if err != nil || len(f.Notes) != len(over) {
				t.Fatalf("in the file: %v, notes %q", err, f.Notes)
			}
			if _, failure := f.Connections[0].Open(f.Keys); failure != nil {
				t.Errorf("in the file: %v", failure)
			}
		})
	}
	if log, _, err := ReadKeyLog("f", io.MultiReader(strings.NewReader(whole), iotest.ErrReader(errors.New("broken")))); err == nil || err.Error() != "f: broken" || len(log) != 1 {
		t.Errorf("%d connections, %v", len(log), err)
	}
}

// TestSecretsOfAnotherLength takes the first octets of a secret that is longer
// than it should be, and says what is wrong with one that is shorter.
func TestSecretsOfAnotherLength(t *testing.T) {
	c, keys, want := recording(t, sample)
	for _, secrets := range keys {
		for label, secret := range secrets {
			secrets[label] = append(bytes.Clone(secret), make([]byte, 64-len(secret))...)
		}
	}
	if items, failure := c.Open(keys); failure != nil || len(items) != len(want) {
		t.Errorf("with zeros after the secrets: %d items of %d, %v", len(items), len(want), failure)
	}
	for _, secrets := range keys {
		secrets["SERVER_HANDSHAKE_TRAFFIC_SECRET"] = secrets["SERVER_HANDSHAKE_TRAFFIC_SECRET"][:31]
	}
	items, failure := c.Open(keys)
	if failure == nil || !strings.Contains(failure.Detail, "the SERVER_HANDSHAKE_TRAFFIC_SECRET in the key log has 31 octets, and the cipher suite has secrets of 32") {
		t.Errorf("a secret that is too short: %v", failure)
	}
	for _, i := range items {
		if i.Sealed && i.Sender == 0 {
			t.Error("the other direction is not opened")
		}
	}
}

// endless is a file without end, such as /dev/zero.
type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

// TestEndlessKeyLog: a key log is read up to a limit.
func TestEndlessKeyLog(t *testing.T) {
	if _, _, err := ReadKeyLog("endless", endless{}); err == nil || !strings.Contains(err.Error(), "endless: a key log has at most") {
		t.Error(err)
	}
}
