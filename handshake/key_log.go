package handshake

import (
	"encoding/hex"
	"strings"
)

// keyLogger takes the secrets of a connection for its key log.
type keyLogger func(name SecretName, clientRandom, secret []byte)

// logged lists the secrets that the key log format has labels for (RFC 9850
// section 2.1), and those of later generations that extended key update has. Those
// after a KeyUpdate have none: readers derive them.
func logged(name SecretName) bool {
	switch name {
	case SecretClientEarly, SecretEarlyExporter, SecretClientHandshake, SecretServerHandshake, SecretClientTraffic,
		SecretServerTraffic, SecretExporter:
		return true
	}
	for _, first := range [...]SecretName{SecretClientTraffic, SecretServerTraffic, SecretEpochExporter} {
		if strings.HasPrefix(string(name), strings.TrimSuffix(string(first), "0")) {
			return true
		}
	}
	return false
}

// keyLog writes lines in the NSS key log format to Config.KeyLog: label, client
// random and secret, the latter two in hexadecimal.
func (c *Config) keyLog(name SecretName, clientRandom, secret []byte) {
	if !logged(name) {
		return
	}
	line := append([]byte(name), ' ')
	line = hex.AppendEncode(line, clientRandom)
	line = append(line, ' ')
	line = hex.AppendEncode(line, secret)
	line = append(line, '\n')
	c.logging.Lock()
	defer c.logging.Unlock()
	_, _ = c.KeyLog.Write(line) // a key log that cannot be written stops no connection
}
