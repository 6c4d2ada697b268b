package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"attls"
	"attls/handshake"
	"attls/internal/private"
)

// sessionBlock is the type of the PEM block that --sess-out writes.
const sessionBlock = "ATTLS SESSION"

// maxEarlyFile bounds the file of --early-data, in octets.
const maxEarlyFile = 1 << 24

// sessionFlags are about what outlasts one handshake, and about pre-shared and raw
// public keys.
type sessionFlags struct {
	sessOut, sessIn  string // a client's
	earlyFile        string
	tickets          int // a server's
	takeEarly        bool
	maxEarly         uint32
	psk, pskIdentity string
	pskModes         []string
	refuse           bool // a server's
	rawKeys          bool
	peerKeys         []string
	postHandshake    bool
	commands         bool
	extended         bool
	renewEvery       interval
	saved            *savedSession // of --sess-out
}

func (f *sessionFlags) register(c *cobra.Command, role attls.Role) {
	flags := c.Flags()
	if role == attls.RoleClient {
		flags.StringVar(&f.sessOut, "sess-out", "",
			"write each ticket received, with its secret, to this file as soon as it arrives; the last one stays, and none "+
				"after a fatal alert")
		flags.StringVar(&f.sessIn, "sess-in", "", "resume the session in this file")
		flags.StringVar(&f.earlyFile, "early-data", "",
			"file to send as early data, which can be replayed; needs --sess-in or --psk")
		flags.BoolVar(&f.postHandshake, "pha", false, "let the server ask for a certificate after the handshake")
	} else {
		flags.IntVar(&f.tickets, "tickets", 2, "tickets issued after a handshake; 0: no resumption")
		flags.BoolVar(&f.refuse, "refuse-tickets", false,
			"issue tickets but never accept them, which forces a full handshake")
		flags.BoolVar(&f.takeEarly, "early-data", false, "take early data, each ClientHello once")
		flags.Uint32Var(&f.maxEarly, "max-early-data", 1<<14, "octets of early data announced in tickets")
		flags.BoolVar(&f.postHandshake, "pha", false,
			"ask clients for a certificate after the handshake, by the command c; see --commands")
	}
	flags.StringVar(&f.psk, "psk", "", "external pre-shared key in hexadecimal, used with SHA-256")
	flags.StringVar(&f.pskIdentity, "psk-identity", "Client_identity", "identity of --psk")
	flags.StringSliceVar(&f.pskModes, "psk-modes", nil,
		"modes of pre-shared keys, preferred first: psk_dhe_ke (default), psk_ke")
	flags.BoolVar(&f.rawKeys, "raw-public-key", false,
		"prefer raw public keys (RFC 7250) to certificates, both ways; --key needs no --cert then")
	flags.StringSliceVar(&f.peerKeys, "peer-key", nil,
		"PEM files with the raw public keys accepted of the peer (public keys, or certificates whose keys are meant)")
	flags.BoolVar(&f.extended, "extended-key-update", false,
		"offer Extended Key Update, which takes the place of KeyUpdate and allows no tickets")
	flags.Var(&f.renewEvery, "key-update-every",
		"begin an extended key update after so much time, or so much data sent and received: 30s, 500MB, 1GB")
	flags.BoolVar(&f.commands, "commands", false,
		"a line of standard input that is one letter is a command: k updates our key, K the peer's as well, e both by "+
			"Extended Key Update, r asks the peer to attest again, c asks clients for a certificate")
}

// apply configures an endpoint.
func (f *sessionFlags) apply(e *endpoint) error {
	e.config.PostHandshakeAuthentication = f.postHandshake || e.attestsAfter()
	if f.extended {
		e.config.ExtendedKeyUpdate = &handshake.ExtendedKeyUpdate{}
	}
	if err := f.rawPublicKeys(e); err != nil {
		return err
	}
	if err := f.modes(e.config); err != nil {
		return err
	}
	external, err := f.external()
	if err != nil {
		return err
	}
	if e.flags.role == attls.RoleServer {
		e.config.PSK = f.tickets > 0 || external != nil
		e.config.Tickets = f.tickets
		if e.config.PSK && f.takeEarly {
			e.config.MaxEarlyData = f.maxEarly
		}
		e.answerer.ServerSessions = &handshake.ServerSessions{External: external, EarlyData: new(handshake.SingleUse).Accept}
		if f.refuse {
			e.answerer.ServerSessions.Accept = func(*handshake.Session) bool { return false }
		}
		return nil
	}
	sessions := &handshake.ClientSessions{External: external}
	e.answerer.ClientSessions = sessions
	e.config.PSK = external != nil || f.sessIn != "" || f.sessOut != ""
	if f.sessIn != "" {
		s, err := readSession(f.sessIn)
		if err != nil {
			return unavailable(err)
		}
		sessions.Put(s)
	}
	if f.sessOut != "" {
		f.saved = &savedSession{file: f.sessOut}
		sessions.Added = f.saved.write
	}
	if f.earlyFile == "" {
		return nil
	}
	if e.early, err = readFile(f.earlyFile, maxEarlyFile); err != nil {
		return unavailable(err)
	}
	if !e.config.PSK {
		return usage("--early-data needs a key: --sess-in or --psk")
	}
	e.config.MaxEarlyData = uint32(len(e.early))
	return nil
}

// modes reads --psk-modes.
func (f *sessionFlags) modes(c *handshake.Config) error {
	for _, name := range f.pskModes {
		switch name {
		case attls.PSKOnly.String():
			c.PSKModes = append(c.PSKModes, attls.PSKOnly)
		case attls.PSKWithDHE.String():
			c.PSKModes = append(c.PSKModes, attls.PSKWithDHE)
		default:
			return usage("--psk-modes: %q is neither psk_dhe_ke nor psk_ke", name)
		}
	}
	return nil
}

// external is the key of --psk, if there is one.
func (f *sessionFlags) external() ([]*handshake.Session, error) {
	if f.psk == "" {
		return nil, nil
	}
	key, err := hex.DecodeString(f.psk)
	if err != nil || len(key) == 0 || f.pskIdentity == "" {
		return nil, usage("--psk is a key in hexadecimal, and --psk-identity is not empty")
	}
	return []*handshake.Session{{Identity: []byte(f.pskIdentity), Secret: key, External: true,
		Suite: attls.TLS_AES_128_GCM_SHA256}}, nil
}

// rawPublicKeys turns the types of certificates to raw public keys.
func (f *sessionFlags) rawPublicKeys(e *endpoint) error {
	if !f.rawKeys {
		if len(f.peerKeys) > 0 {
			return usage("--peer-key goes with --raw-public-key")
		}
		return nil
	}
	types := []attls.CertificateType{attls.CertificateRawPublicKey, attls.CertificateX509}
	e.config.ServerCertificateTypes, e.config.ClientCertificateTypes = types, types
	if len(e.answerer.Credentials) > 0 && e.answerer.Credentials[0].Type == attls.CertificateRawPublicKey {
		if e.flags.role == attls.RoleServer {
			e.config.ServerCertificateTypes = types[:1]
		} else {
			e.config.ClientCertificateTypes = types[:1]
		}
	}
	for _, file := range f.peerKeys {
		spki, err := readPublicKey(file)
		if err != nil {
			return unavailable(err)
		}
		e.answerer.Trust.RawKeys = append(e.answerer.Trust.RawKeys, spki)
	}
	return nil
}

func readSession(file string) (*handshake.Session, error) {
	blob, err := readFile(file, maxKeyFile)
	if err != nil {
		return nil, err
	}
	b, _ := pem.Decode(blob)
	if b == nil || b.Type != sessionBlock {
		return nil, fmt.Errorf("%s holds no session of attls", file)
	}
	s, failure := handshake.ParseSession(b.Bytes)
	if failure != nil {
		return nil, fmt.Errorf("%s: %w", file, failure)
	}
	return s, nil
}

// savedSession is the file of --sess-out. It is written with every ticket, so that
// however the connection ends, the last one is there.
type savedSession struct {
	file    string
	mu      sync.Mutex
	written bool
	err     error
}

func (f *savedSession) write(s *handshake.Session) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = private.WriteFile(f.file, pem.EncodeToMemory(&pem.Block{Type: sessionBlock, Bytes: s.Marshal()}))
	f.written = true
}

// result is the error of a connection that ended with err, which may be nil. A
// session whose connection failed with a fatal alert is discarded (RFC 8446 section
// 6.2).
func (f *savedSession) result(err error) error {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var e *attls.Error
	switch {
	case f.err != nil:
		return unavailable(f.err)
	case f.written && errors.As(err, &e) && e.HasAlert && e.Alert != attls.AlertUserCanceled &&
		e.Alert != attls.AlertCloseNotify:
		return unavailable(private.Remove(f.file))
	case !f.written && err == nil:
		return failed("there is no session to save: no ticket that can be used has arrived")
	}
	return nil
}

// command carries a letter of --commands out on a connection; false when the
// line is none.
func (c *connection) command(line []byte) (bool, error) {
	switch string(bytes.TrimRight(line, "\r\n")) {
	case "k":
		return true, c.KeyUpdate(false)
	case "K":
		return true, c.KeyUpdate(true)
	case "e":
		return true, c.ExtendedKeyUpdate()
	case "r":
		return true, c.reattest(context.Background())
	case "c":
		return true, c.RequestAuthentication()
	}
	return false, nil
}

// copyLines writes what is read, a line at a time.
func copyLines(w io.Writer, r io.Reader) error {
	for in := bufio.NewReader(r); ; {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) { // a part of a long line
			err = nil
		}
		if _, failure := w.Write(line); len(line) > 0 && failure != nil {
			return failure
		}
		if err != nil {
			if err == io.EOF {
				err = nil
			}
			return err
		}
	}
}

// commanded writes to a connection, but carries commands out.
type commanded struct{ *connection }

func (c commanded) Write(line []byte) (int, error) {
	is, err := c.command(line)
	if err != nil {
		fmt.Fprintf(c.end.err, "attls: %s\n", strings.TrimPrefix(err.Error(), "attls: "))
	}
	if is {
		return len(line), nil
	}
	return c.connection.Write(line)
}

// destination is where standard input goes.
func (c *connection) destination() net.Conn {
	if c.end.flags.session.commands {
		return commanded{c}
	}
	return c
}

// feed copies standard input to a connection, or to all of a server's.
func (f *sessionFlags) feed(w io.Writer, input io.Reader) error {
	if f.commands {
		return copyLines(w, input)
	}
	_, err := io.Copy(w, input)
	return err
}
