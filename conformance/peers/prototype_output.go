package peers

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"

	"attls"
	"attls/attestation"
	"attls/conformance/claims"
	"attls/handshake"
	"attls/handshake/message"
	"attls/internal/console"
)

// prototypeOutput is what the proof of concept's programs print at debug level 4:
// every message as it goes out and comes in, and secrets.
type prototypeOutput struct {
	shown
	text     string
	hellos   []message.Raw     // up to ServerHello
	choice   []byte            // evidence_proposal of EncryptedExtensions
	evidence []byte            // the first certificate of the client
	dumps    map[string][]byte // the first of each name
}

// readPrototype makes claims of what an end has printed, and its key log.
func readPrototype(t *Task) reading {
	return func(printed string) (claims.Claims, error) {
		o := &prototypeOutput{shown: shown{role: t.Role}, text: printed, dumps: map[string][]byte{}}
		err := o.read()
		return o.claims(), errors.Join(err, os.WriteFile(t.keyLog(), []byte(o.keyLog()), 0o600))
	}
}

// A dump is a line with its name and its length in octets, and lines of 16 octets
// each. Other text may stand before the first on the same line.
var (
	dumpBegins = regexp.MustCompile(`\|\d\| dumping '([^']*)' \((\d+) bytes\)$`)
	dumpLine   = regexp.MustCompile(`\|\d\| [0-9a-f]{4,}:  ((?:[0-9a-f]{2} ){1,16})`)
)

// read takes every dump that is complete.
func (o *prototypeOutput) read() error {
	var name string
	var left int
	var dump []byte
	for line := range strings.Lines(o.text) {
		line = strings.TrimRight(line, "\r\n")
		if m := dumpBegins.FindStringSubmatch(line); m != nil {
			name, dump = m[1], []byte{}
			left, _ = strconv.Atoi(m[2])
		} else if m := dumpLine.FindStringSubmatch(line); m != nil && left > 0 {
			octets, _ := hex.DecodeString(strings.ReplaceAll(m[1], " ", "")) // the pattern is of digits
			octets = octets[:min(left, len(octets))]
			dump, left = append(dump, octets...), left-len(octets)
		} else {
			continue
		}
		if left > 0 {
			continue
		}
		if err := o.dumped(name, dump); err != nil {
			return fmt.Errorf("a message that the program shows: %w", err)
		}
	}
	return nil
}

func (o *prototypeOutput) dumped(name string, dump []byte) error {
	if _, ok := o.dumps[name]; !ok {
		o.dumps[name] = dump
	}
	shows, ok := mbedTLSNames[name]
	if !ok {
		return nil
	}
	if shows.record {
		if len(dump) < recordHeaderLen || dump[0] != byte(attls.ContentTypeHandshake) {
			return nil
		}
		dump = dump[recordHeaderLen:]
	}
	// What is no handshake message does not have the length of one.
	m, err := message.ParseRaw(dump)
	if err != nil {
		return nil
	}
	return o.message(shows.direction, m)
}

// message takes a handshake message. The client's Certificate holds Evidence, not
// a certificate.
func (o *prototypeOutput) message(d handshake.Direction, m message.Raw) error {
	switch m.Kind {
	case attls.KindClientHello, attls.KindHelloRetryRequest, attls.KindServerHello:
		o.hellos = append(o.hellos, m)
	case attls.KindEncryptedExtensions:
		var v message.EncryptedExtensions
		if err := v.Unmarshal(m.Body()); err != nil {
			return err
		}
		o.choice, _ = v.Extensions.Get(evidenceProposal)
	case attls.KindCertificate:
		if (d == handshake.Sent) != (o.role == attls.RoleClient) {
			break
		}
		var v message.Certificate
		if err := v.Unmarshal(m.Body()); err != nil {
			return err
		}
		if len(v.Entries) > 0 {
			o.evidence = v.Entries[0].Data
		}
		return nil
	}
	o.add(d, attls.ContentTypeHandshake, m.Bytes)
	return nil
}

// evidenceProposal is the extension of the proof of concept.
const evidenceProposal attls.ExtensionType = 100

// prototypeUnclaimed are the claims that the output does not support: the programs
// print neither their own key nor the one that attestation gave them.
var prototypeUnclaimed = map[attls.Role][]string{
	attls.RoleClient: {"own_key", "own_certificate_type", "exporter"},
	attls.RoleServer: {"peer_key", "peer_certificate_type", "exporter"},
}

// claims says what the output supports.
func (o *prototypeOutput) claims() claims.Claims {
	c := newClaims(Prototype{}.Name(), "", o.role)
	o.claim(&c)
	c.Unclaimed, c.Profile = prototypeUnclaimed[o.role], prototypeProfile
	c.TranscriptHash = o.transcript()
	c.Attestation = o.attestation()
	c.AlertSent, c.AlertReceived = o.alert(alertSent), o.alert(alertReceived)
	if complaint := o.complaint(); complaint != nil {
		fail(&c, complaint)
	}
	return c
}

// transcript is Transcript-Hash(ClientHello...ServerHello) of the messages as they
// were dumped (RFC 8446 section 4.4.1).
func (o *prototypeOutput) transcript() string {
	if o.suite == 0 {
		return ""
	}
	h := sha256.New()
	if strings.HasSuffix(o.suite.String(), "SHA384") {
		h = sha512.New384()
	}
	for _, m := range o.hellos {
		if m.Kind == attls.KindHelloRetryRequest {
			first := h.Sum(nil)
			h.Reset()
			h.Write([]byte{byte(attls.TypeMessageHash), 0, 0, byte(len(first))})
			h.Write(first)
		}
		h.Write(m.Bytes)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// attestation claims what EncryptedExtensions chose and the client's Certificate
// carried; nothing where one of them is not there.
func (o *prototypeOutput) attestation() []claims.AttestationClaim {
	const element, nonceLength = 3, 1 // type and format, then opaque nonce<0..2^8-1>
	if len(o.choice) < element+nonceLength || o.evidence == nil {
		return []claims.AttestationClaim{}
	}
	nonce, payload := hex.EncodeToString(o.choice[element+nonceLength:]), sha256.Sum256(o.evidence)
	a := claims.AttestationClaim{Attester: attls.RoleClient.String(), Slot: "evidence_proposal",
		Model:      claims.ModelEvidence,
		Credential: claims.CredentialAttestation, Scheme: hex.EncodeToString(o.choice[:element]),
		Format: claims.FormatName(attestation.PrototypeFormat), Nonce: nonce, Challenge: nonce,
		Payload: hex.EncodeToString(payload[:]), Octets: len(o.evidence)}
	if o.role == attls.RoleServer {
		// It reads CertificateVerify only once its callback has accepted.
		a.Verdict = &claims.VerdictClaim{Accepted: o.ends[attls.RoleClient].scheme != 0}
	}
	return []claims.AttestationClaim{a}
}

// What the programs print of alerts, data and failures.
var (
	alertSent     = regexp.MustCompile(`send alert level=\d+ message=(\d+)`)
	alertReceived = regexp.MustCompile(`got an alert message, type: \[\d+:(\d+)\]`)
	octetsWritten = regexp.MustCompile(`(?m)^ (\d+) bytes written in`)
	octetsRead    = regexp.MustCompile(`(?m)^ (\d+) bytes read`)
	returned      = regexp.MustCompile(`(mbedtls_ssl_\w+ returned -0x[0-9a-fA-F]+)`)
)

// alert is the first alert that a pattern finds, close_notify apart.
func (o *prototypeOutput) alert(pattern *regexp.Regexp) *claims.AlertClaim {
	for _, m := range pattern.FindAllStringSubmatch(o.text, -1) {
		code, err := strconv.ParseUint(m[1], 10, 8)
		if a := attls.AlertDescription(code); err == nil && a != attls.AlertCloseNotify {
			return alertClaim(&a)
		}
	}
	return nil
}

// complaint is why the connection was not closed as it should be; nil when it was.
func (o *prototypeOutput) complaint() error {
	switch why := or(said(o.text, mbedTLSReason), said(o.text, returned)); {
	case why != "":
		return errors.New(why)
	case !strings.Contains(o.text, "<= write close notify"):
		return errors.New("it did not send close_notify")
	}
	return nil
}

// prototypeData is how many octets of application data a program says it has
// written and read.
func prototypeData(p *console.Program) (written, read int64) {
	text := string(p.Printed())
	return total(text, octetsWritten), total(text, octetsRead)
}

// total adds up what a pattern finds.
func total(text string, pattern *regexp.Regexp) (sum int64) {
	for _, m := range pattern.FindAllStringSubmatch(text, -1) {
		n, _ := strconv.ParseInt(m[1], 10, 64) // the pattern is of digits
		sum += n
	}
	return sum
}

// Dumps of secrets, and their labels in an NSS key log.
var secretDumps = []struct{ name, label string }{
	{"Client handshake traffic secret", "CLIENT_HANDSHAKE_TRAFFIC_SECRET"},
	{"Server handshake traffic secret", "SERVER_HANDSHAKE_TRAFFIC_SECRET"},
	{"Client application traffic secret", "CLIENT_TRAFFIC_SECRET_0"},
	{"Server application traffic secret", "SERVER_TRAFFIC_SECRET_0"},
}

// keyLog is the NSS key log of the secrets that were dumped.
func (o *prototypeOutput) keyLog() string {
	var b strings.Builder
	for _, s := range secretDumps {
		if secret := o.dumps[s.name]; secret != nil {
			fmt.Fprintf(&b, "%s %x %x\n", s.label, o.dumps["client hello, random bytes"], secret)
		}
	}
	return b.String()
}
