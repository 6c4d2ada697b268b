package capture

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
)

// Secrets are the secrets of one connection by their label in the NSS key log
// format, such as CLIENT_HANDSHAKE_TRAFFIC_SECRET.
type Secrets map[string][]byte

// KeyLog holds the secrets of connections by their ClientHello.random.
type KeyLog map[[32]byte]Secrets

// Labels of secrets that no key log of RFC 9850 holds and that binders are made
// from. Captures of our own connections have them; other programs skip them.
const (
	LabelECDHE     = "ATTLS_ECDHE"
	LabelHandshake = "ATTLS_HANDSHAKE_SECRET"
	LabelMain      = "ATTLS_MAIN_SECRET"
)

// Limits of a key log. A line that is longer than any secret needs is passed
// over, and only the first lines that do not fit are named.
const (
	maxKeyLogLine = 64 << 10 // octets
	maxKeyLog     = 64 << 20 // octets of a whole file
	maxNamedLines = 5
)

// ReadKeyLog reads a key log in the NSS format (RFC 9850 section 2): label,
// ClientHello.random and secret on a line, the latter two in hexadecimal. Lines
// end with LF, CR or CRLF; empty ones and those that begin with # are skipped.
// A line that does not fit is passed over, since a file that is still written,
// or was damaged, should yield its other secrets; passedOver names the file (as
// given), the line and the reason. The error is one of reading.
func ReadKeyLog(file string, r io.Reader) (log KeyLog, passedOver []string, _ error) {
	k := keyLogReader{file: file, log: KeyLog{}}
	lines := bufio.NewReaderSize(r, 1<<16)
	var line []byte
	long, cr := false, false
	for n := 0; ; n++ {
		c, err := lines.ReadByte()
		if err == nil && n == maxKeyLog {
			return k.log, k.warnings(), fmt.Errorf("%s: a key log has at most %d octets", file, maxKeyLog)
		}
		if err != nil && err != io.EOF {
			return k.log, k.warnings(), fmt.Errorf("%s: %w", file, err)
		}
		switch {
		case err == nil && c == '\n' && cr: // the second half of CRLF
			cr = false
		case err == io.EOF && len(line) == 0 && !long:
			return k.log, k.warnings(), nil
		case err == io.EOF || c == '\n' || c == '\r':
			k.line(line, long)
			if err == io.EOF {
				return k.log, k.warnings(), nil
			}
			line, long, cr = line[:0], false, c == '\r'
		case len(line) == maxKeyLogLine:
			long, cr = true, false
		default:
			line, cr = append(line, c), false
		}
	}
}

// keyLogReader takes a key log in line by line.
type keyLogReader struct {
	file   string
	log    KeyLog
	number int // of the line at hand
	bad    []string
	more   int // lines that do not fit and are not named
}

func (k *keyLogReader) line(b []byte, long bool) {
	if k.number++; k.number == 1 {
		b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")) // editors add a byte order mark
	}
	text := strings.TrimSpace(strings.Trim(string(b), "\x00"))
	if text == "" || text[0] == '#' {
		return
	}
	fields := strings.Fields(text)
	switch {
	case long:
		k.passOver("it has more than %d octets", maxKeyLogLine)
		return
	case len(fields) != 3:
		k.passOver("it has %d fields; a key log line has a label, a random and a secret", len(fields))
		return
	case !isLabel(fields[0]):
		k.passOver("its label is not of letters, digits, _ and +")
		return
	}
	random, err := hex.DecodeString(fields[1])
	if err != nil || len(random) != 32 {
		k.passOver("its second field is not a ClientHello.random of 32 octets in hexadecimal")
		return
	}
	secret, err := hex.DecodeString(fields[2])
	if err != nil || len(secret) == 0 {
		k.passOver("the secret of %s is not hexadecimal", fields[0])
		return
	}
	k.log.set([32]byte(random), fields[0], secret)
}

func isLabel(s string) bool {
	for _, c := range s {
		if c != '_' && c != '+' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return len(s) <= 64
}

func (k *keyLogReader) passOver(format string, args ...any) {
	if len(k.bad) == maxNamedLines {
		k.more++
		return
	}
	k.bad = append(k.bad, fmt.Sprintf("%s:%d: passed over: %s", k.file, k.number, fmt.Sprintf(format, args...)))
}

func (k *keyLogReader) warnings() []string {
	if k.more > 0 {
		return append(k.bad, fmt.Sprintf("%s: %d more lines were passed over", k.file, k.more))
	}
	return k.bad
}

// Add takes over the secrets of another log.
func (k KeyLog) Add(other KeyLog) {
	for random, secrets := range other {
		for label, secret := range secrets {
			k.set(random, label, secret)
		}
	}
}

// set keeps a secret; one that is shorter than what is there was cut.
func (k KeyLog) set(random [32]byte, label string, secret []byte) {
	if k[random] == nil {
		k[random] = Secrets{}
	}
	if len(secret) >= len(k[random][label]) {
		k[random][label] = secret
	}
}
