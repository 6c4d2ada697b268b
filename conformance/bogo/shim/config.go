package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"attls"
	"attls/extensions"
	"attls/handshake"
	"attls/handshake/message"
	"attls/record"
)

// config makes the engine's configuration out of the flags.
func (c *connection) config() (*handshake.Config, error) {
	o := c.o
	cfg := &handshake.Config{
		ServerName:       o.hostName,
		Groups:           o.groups,
		SignatureSchemes: slices.DeleteFunc(o.verifyPrefs, func(s attls.SignatureScheme) bool { return s == md5SHA1 }),
		ClientSuites:     true,
		MaxCertificates:  256,
		PadClientHello:   true,
		GREASE:           o.grease || o.server, // as BoringSSL does
		MaxFragment:      o.maxFragment,
		Retry:            handshake.Retry{Preferred: true},
	}
	// The runner expects what BoringSSL enables by itself.
	if o.groups == nil {
		cfg.Groups = []attls.NamedGroup{attls.GroupX25519, attls.GroupSecp256r1, attls.GroupSecp384r1}
	}
	if o.verifyPrefs == nil {
		cfg.SignatureSchemes = []attls.SignatureScheme{attls.ECDSA_SECP256R1_SHA256, attls.RSA_PSS_RSAE_SHA256,
			attls.ECDSA_SECP384R1_SHA384, attls.RSA_PSS_RSAE_SHA384, attls.RSA_PSS_RSAE_SHA512}
	}
	switch {
	case o.fips:
		cfg.CipherSuites = []attls.CipherSuite{attls.TLS_AES_128_GCM_SHA256, attls.TLS_AES_256_GCM_SHA384}
		cfg.Groups = []attls.NamedGroup{attls.GroupSecp256r1, attls.GroupSecp384r1}
	case o.wpa:
		cfg.CipherSuites = []attls.CipherSuite{attls.TLS_AES_256_GCM_SHA384}
		cfg.Groups = []attls.NamedGroup{attls.GroupSecp384r1}
		cfg.SignatureSchemes = []attls.SignatureScheme{attls.ECDSA_SECP384R1_SHA384, attls.RSA_PSS_RSAE_SHA384,
			attls.RSA_PSS_RSAE_SHA512}
	}
	if c.cred != nil && (o.fips || o.wpa) {
		c.cred.Schemes = slices.DeleteFunc(c.cred.Schemes, func(s attls.SignatureScheme) bool {
			return !slices.Contains(cfg.SignatureSchemes, s)
		})
	}
	if o.expectHRR && !o.server && len(cfg.KeyShares) == 0 { // not the group of the session, with which none would come
		cfg.KeyShares = []attls.NamedGroup{attls.GroupX25519}
		if len(cfg.Groups) > 0 {
			cfg.KeyShares[0] = cfg.Groups[0]
		}
	}
	cfg.PSK = !o.noTicket
	if cfg.PSK && o.server {
		cfg.Tickets = 2
	}
	if o.earlyData && cfg.PSK {
		cfg.MaxEarlyData = 14336 // what the runner takes for BoringSSL's limit
	}
	cfg.RequestOCSP, cfg.RequestSCT = o.ocspStapling && !o.server, o.sctEnabled && !o.server
	for _, a := range []mockCompressor{expands, shrinks, random} {
		if o.compressAll || o.compressOne == int(a) {
			cfg.CertificateCompression = append(cfg.CertificateCompression, a)
		}
	}
	if o.maxCertList > 0 {
		cfg.Limits.MaxHandshakeMessage = o.maxCertList
	}
	switch {
	case o.requireClientCert:
		cfg.ClientAuthentication = handshake.RequireClientCertificate
	case o.verifyPeer:
		cfg.ClientAuthentication = handshake.OptionalClientCertificate
	}
	if !o.server {
		for list := []byte(o.advertiseALPN); len(list) > 0; {
			n := int(list[0])
			if n == 0 || len(list) < 1+n {
				return nil, fmt.Errorf("-advertise-alpn: malformed list")
			}
			cfg.ALPN = append(cfg.ALPN, string(list[1:1+n]))
			list = list[1+n:]
		}
	} else if o.selectALPN != "" {
		cfg.ALPN = []string{o.selectALPN}
	} else if o.rejectALPN {
		cfg.ALPN = []string{"no protocol that a test offers"}
	}
	var err error
	if o.server {
		cfg.CertificateAuthorities, err = caNames(o.useClientCAs)
	}
	if o.permute {
		cfg.ExtensionOrder = permutation()
	}
	if o.earlyWriteAfter != 0 || o.expectMessages != "" || o.exportSecrets || o.expectAdvertisedALPN != "" {
		c.watch = &watcher{role: attls.RoleClient}
		if o.server {
			c.watch.role = attls.RoleServer
		}
		cfg.Tap = c.watch
	}
	return cfg, err
}

// permutation is a random order of the extensions of a ClientHello.
func permutation() []attls.ExtensionType {
	order := []attls.ExtensionType{attls.ExtServerName, attls.ExtSupportedGroups, attls.ExtSignatureAlgorithms,
		attls.ExtALPN,
		attls.ExtStatusRequest, attls.ExtSignedCertificateTimestamp, attls.ExtSupportedVersions, attls.ExtKeyShare,
		attls.ExtPSKKeyExchangeModes, attls.ExtCompressCertificate, attls.ExtEarlyData}
	rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	return order
}

// checkState holds the state of the connection against the flags.
func (c *connection) checkState() error {
	o, s := c.o, c.engine.State()
	switch {
	case o.expectServerName != "" && s.ServerName != o.expectServerName:
		return fmt.Errorf("server name %q, want %q", s.ServerName, o.expectServerName)
	case !o.server && s.ALPN != o.expectALPN:
		return fmt.Errorf("ALPN %q, want %q", s.ALPN, o.expectALPN)
	case o.server && s.ALPN != o.selectALPN:
		return fmt.Errorf("ALPN %q, want %q", s.ALPN, o.selectALPN)
	case o.expectPeerScheme != 0 && s.PeerScheme != o.expectPeerScheme:
		return fmt.Errorf("signature scheme %v, want %v", s.PeerScheme, o.expectPeerScheme)
	case o.expectGroup != 0 && s.Group != o.expectGroup:
		return fmt.Errorf("group %v, want %v", s.Group, o.expectGroup)
	case o.expectSuite != 0 && s.CipherSuite != o.expectSuite:
		return fmt.Errorf("cipher suite %v, want %v", s.CipherSuite, o.expectSuite)
	case o.expectSuiteAES != 0 && s.CipherSuite != o.expectSuiteAES:
		return fmt.Errorf("cipher suite %v, want %v", s.CipherSuite, o.expectSuiteAES)
	case o.expectVersion != 0 && o.expectVersion != int(attls.VersionTLS13):
		return fmt.Errorf("TLS 1.3, want version %#04x", o.expectVersion)
	case o.expectHRR && !s.HelloRetry:
		return fmt.Errorf("no HelloRetryRequest")
	case o.expectNoHRR && s.HelloRetry:
		return fmt.Errorf("a HelloRetryRequest")
	case c.resumes() != (s.Session != nil):
		return fmt.Errorf("resumed: %v, want %v", s.Session != nil, c.resumes())
	case o.expectAccept && s.EarlyData != handshake.EarlyDataAccepted, o.expectReject &&
		s.EarlyData == handshake.EarlyDataAccepted:
		return fmt.Errorf("early data %v", s.EarlyData)
	case o.expectNoOffer && c.resumed && s.EarlyData != handshake.EarlyDataNone:
		return fmt.Errorf("early data was offered")
	case c.resumed && o.expectAgeSkew != 0 && int(c.skew.Round(time.Second)/time.Second) != o.expectAgeSkew:
		return fmt.Errorf("ticket age skew %v, want %d seconds", c.skew, o.expectAgeSkew)
	case o.expectOCSP != nil && !bytes.Equal(s.PeerOCSP, o.expectOCSP):
		return fmt.Errorf("OCSP response %x, want %x", s.PeerOCSP, o.expectOCSP)
	case o.expectSCTs != nil && !bytes.Equal(s.PeerSCT, o.expectSCTs):
		return fmt.Errorf("SCT list %x, want %x", s.PeerSCT, o.expectSCTs)
	case o.expectAdvertisedALPN != "" && o.expectAdvertisedALPN != c.watch.alpn:
		return fmt.Errorf("the client offered ALPN %q, want %q", c.watch.alpn, o.expectAdvertisedALPN)
	case (!o.server || o.requireClientCert) && len(s.PeerChain) == 0:
		return fmt.Errorf("the peer showed no certificate")
	}
	if o.expectPeerCert == "" {
		return nil
	}
	want, err := chain(o.expectPeerCert)
	if err != nil {
		return err
	}
	if len(want) != len(s.PeerChain) {
		return fmt.Errorf("a chain of %d certificates, want %d", len(s.PeerChain), len(want))
	}
	for i := range want {
		if !bytes.Equal(want[i], s.PeerChain[i]) {
			return fmt.Errorf("certificate %d differs", i)
		}
	}
	return nil
}

// resumes reports whether the connection is to use a session.
func (c *connection) resumes() bool { return c.resumed && !c.o.expectMiss }

// checkTickets holds the tickets that a client got against the flags.
func (c *connection) checkTickets() error {
	if c.o.server {
		return nil
	}
	want := !c.o.expectNoSession && !c.o.shutsDown
	if want != (len(c.tickets) > 0) {
		return fmt.Errorf("%d tickets that can be used", len(c.tickets))
	}
	if want && c.o.expectTicketEarlyData != (c.tickets[len(c.tickets)-1].MaxEarlyData > 0) {
		return fmt.Errorf("a ticket for %d octets of early data", c.tickets[len(c.tickets)-1].MaxEarlyData)
	}
	return nil
}

// checkMessages compares the messages that went by with -expect-msg-callback.
func (c *connection) checkMessages() error {
	if want := c.o.expectMessages; want != "" && c.watch.trace != want {
		return fmt.Errorf("messages:\n%swant:\n%s", c.watch.trace, want)
	}
	return nil
}

// watcher is a tap that only looks.
type watcher struct {
	handshake.NopTap
	role    attls.Role
	last    attls.HandshakeType // received
	trace   string              // as -expect-msg-callback spells it
	alpn    string              // the list of a ClientHello
	traffic [2][]byte
}

var verbs = [...]string{handshake.Sent: "write", handshake.Received: "read"}

func (w *watcher) Message(d handshake.Direction, m *message.Raw, _ *handshake.Plan) {
	w.trace += fmt.Sprintf("%s hs %d\n", verbs[d], m.Type)
	if d == handshake.Received {
		w.last = m.Type
	}
	var ch message.ClientHello
	if m.Kind == attls.KindClientHello && ch.Unmarshal(m.Body()) == nil {
		if body, ok := ch.Extensions.Get(attls.ExtALPN); ok {
			names, _ := extensions.ParseALPN(body)
			w.alpn = string(names)
		}
	}
}

func (w *watcher) Record(d handshake.Direction, r *record.Raw, _ *record.Plan) {
	if r.Type == attls.ContentTypeChangeCipherSpec {
		w.trace += verbs[d] + " ccs\n"
	}
}

func (w *watcher) Alert(d handshake.Direction, a attls.AlertDescription) {
	level := 2
	if a == attls.AlertCloseNotify || a == attls.AlertUserCanceled {
		level = 1
	}
	w.trace += fmt.Sprintf("%s alert %d %d\n", verbs[d], level, a)
}

func (w *watcher) Derived(name handshake.SecretName, secret []byte) []byte {
	switch name {
	case handshake.SecretClientTraffic:
		w.traffic[attls.RoleClient] = bytes.Clone(secret)
	case handshake.SecretServerTraffic:
		w.traffic[attls.RoleServer] = bytes.Clone(secret)
	}
	return secret
}

func (w *watcher) Fork() handshake.Tap { f := *w; return &f }

// secrets is the answer to -export-traffic-secrets: the length of a secret,
// little-endian, then the reading and the writing one.
func (w *watcher) secrets(role attls.Role) []byte {
	read, write := w.traffic[role.Peer()], w.traffic[role]
	b := []byte{byte(len(read)), byte(len(read) >> 8)}
	return append(append(b, read...), write...)
}

// mockCompressor is one of the algorithms that the runner makes up.
type mockCompressor uint16

const (
	shrinks mockCompressor = 0xff01 // leaves out two leading zeros
	expands mockCompressor = 0xff02 // puts 1, 2, 3, 4 in front
	random  mockCompressor = 0xff03 // puts a random octet in front
)

func (m mockCompressor) Algorithm() uint16 { return uint16(m) }

func (m mockCompressor) Compress(b []byte) ([]byte, error) {
	switch m {
	case shrinks:
		if rest, ok := bytes.CutPrefix(b, []byte{0, 0}); ok {
			return rest, nil
		}
		return nil, fmt.Errorf("no two zeros in front")
	case expands:
		return append([]byte{1, 2, 3, 4}, b...), nil
	}
	return append([]byte{byte(rand.Uint32())}, b...), nil
}

func (m mockCompressor) Decompress(b []byte, size int) ([]byte, error) {
	var out []byte
	switch {
	case m == shrinks:
		out = append([]byte{0, 0}, b...)
	case m == expands && bytes.HasPrefix(b, []byte{1, 2, 3, 4}):
		out = b[4:]
	case m == random && len(b) > 0:
		out = b[1:]
	}
	if len(out) != size {
		return nil, fmt.Errorf("%d octets, want %d", len(out), size)
	}
	return out, nil
}

// md5SHA1 is BoringSSL's own number for a scheme of TLS 1.1, which has none.
const md5SHA1 attls.SignatureScheme = 0xff01
