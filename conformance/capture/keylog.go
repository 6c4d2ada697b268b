package capture

import (
	"bufio"
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

// ReadKeyLog reads a key log in the NSS format: label, ClientHello.random and
// secret on a line, the latter two in hexadecimal; lines that begin with # and
// empty ones are skipped. Errors name the file (as given) and the line.
func ReadKeyLog(file string, r io.Reader) (KeyLog, error) {
	log := KeyLog{}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		fields := strings.Fields(text)
		if len(fields) != 3 {
			return nil, fmt.Errorf("%s:%d: %d fields; a key log line has a label, a random and a secret", file, n, len(fields))
		}
		random, err := hex.DecodeString(fields[1])
		if err != nil || len(random) != 32 {
			return nil, fmt.Errorf("%s:%d: %q is no ClientHello.random of 32 octets in hexadecimal", file, n, fields[1])
		}
		secret, err := hex.DecodeString(fields[2])
		if err != nil || len(secret) == 0 {
			return nil, fmt.Errorf("%s:%d: the secret of %s is not hexadecimal", file, n, fields[0])
		}
		id := [32]byte(random)
		if log[id] == nil {
			log[id] = Secrets{}
		}
		log[id][fields[0]] = secret
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return log, nil
}

// Add takes over the secrets of another log.
func (k KeyLog) Add(other KeyLog) {
	for random, secrets := range other {
		if k[random] == nil {
			k[random] = Secrets{}
		}
		for label, secret := range secrets {
			k[random][label] = secret
		}
	}
}
