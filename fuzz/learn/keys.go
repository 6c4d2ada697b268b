package learn

import (
	"slices"
	"strings"

	"attls"
	"attls/extensions/profile/binder"
	"attls/handshake/message"
)

// mark is how long the transcript was after a message of the handshake.
type mark struct {
	kind   attls.MessageKind
	sender attls.Role
	end    int
}

// record adds a message to the transcript of what it belongs to.
func (m *Mapper) record(b []byte, sender attls.Role) {
	r, err := message.ParseRaw(b)
	switch {
	case err != nil:
	case r.Kind == attls.KindNewSessionTicket || r.Kind == attls.KindKeyUpdate:
	case m.exchange != nil:
		m.exchange.transcript = append(m.exchange.transcript, b...)
	default:
		m.transcript = append(m.transcript, b...)
		m.marks = append(m.marks, mark{r.Kind, sender, len(m.transcript)})
	}
}

// hash is the Transcript-Hash of what went through.
func (m *Mapper) hash() []byte { return m.sum(m.transcript) }

func (m *Mapper) sum(b []byte) []byte {
	h := m.suite.New()
	h.Write(b)
	return h.Sum(nil)
}

// retry puts message_hash in the place of the first ClientHello (RFC 8446 section 4.4.1).
func (m *Mapper) retry() {
	sum := m.hash()
	m.transcript = slices.Concat([]byte{byte(attls.TypeMessageHash), 0, 0, byte(len(sum))}, sum)
	m.marks = nil
}

// traffic is the secret of a role; zero before there is one.
func (m *Mapper) traffic(r attls.Role) []byte {
	if s := m.secret[r]; s != nil {
		return s
	}
	return m.zeros()
}

func (m *Mapper) zeros() []byte { return make([]byte, m.suite.HashLen) }

func (m *Mapper) derive(secret []byte, label string, sum []byte) []byte {
	return m.suite.ExpandLabel(nil, secret, "tls13 ", label, sum, m.suite.HashLen)
}

func (m *Mapper) empty() []byte { return m.suite.New().Sum(nil) }

// earlySecret is that of a pre-shared key, or of none.
func (m *Mapper) earlySecret(psk []byte) []byte {
	if psk == nil {
		psk = m.zeros()
	}
	return m.suite.Extract(nil, nil, psk)
}

// handshakeKeys follow ServerHello (RFC 8446 section 7.1).
func (m *Mapper) handshakeKeys(share []byte) {
	at := slices.Index(groups[:], m.group)
	if at < 0 {
		return
	}
	shared, err := m.shares[at].Finish(share)
	if err != nil {
		return
	}
	m.shared, m.early = shared, m.earlySecret(m.psk)
	m.handshake = m.suite.Extract(nil, m.derive(m.early, "derived", m.empty()), shared)
	sum := m.hash()
	m.secret[attls.RoleClient] = m.derive(m.handshake, "c hs traffic", sum)
	m.secret[attls.RoleServer] = m.derive(m.handshake, "s hs traffic", sum)
	m.main = m.suite.Extract(nil, m.derive(m.handshake, "derived", m.empty()), m.zeros())
	m.master = m.main
	m.readUnder(m.secret[m.role.Peer()])
	m.writeUnder(m.secret[m.role])
}

func (m *Mapper) readUnder(secret []byte) {
	if aead, iv, err := m.suite.KDF().TrafficKey(secret, "tls13 "); err == nil {
		_ = m.in.SetKey(aead, iv)
	}
}

func (m *Mapper) writeUnder(secret []byte) {
	if aead, iv, err := m.suite.KDF().TrafficKey(secret, "tls13 "); err == nil {
		m.out.SetKey(aead, iv)
	}
}

// after changes the keys that a message changes at its sender, once it is on its way.
func (m *Mapper) after(input string) {
	switch {
	case m.exchange != nil && input == "Finished":
		m.exchange = nil // the answer is complete
	case m.secret[0] == nil && (input == "ServerHello" || strings.HasPrefix(input, "ServerHello+")):
		m.handshakeKeys(m.peerShares[m.group])
	case input == "Finished" && m.role == attls.RoleServer && m.main != nil:
		sum := m.hash()
		m.writeUnder(m.derive(m.main, "s ap traffic", sum))
		m.secret[attls.RoleServer] = m.derive(m.main, "s ap traffic", sum)
		m.pendingClient(sum)
	case input == "Finished" && m.role == attls.RoleClient && m.later != nil:
		m.secret[attls.RoleClient], m.later = m.later, nil
		m.writeUnder(m.secret[attls.RoleClient])
		m.complete()
	case (input == "KeyUpdate" || input == "KeyUpdate"+withRequest) && m.main == nil:
		m.secret[m.role] = m.derive(m.traffic(m.role), "traffic upd", nil)
		m.writeUnder(m.secret[m.role])
	}
}

// pendingClient keeps the client's application secret until its Finished; main is spent.
func (m *Mapper) pendingClient(sum []byte) {
	m.later, m.main = m.derive(m.main, "c ap traffic", sum), nil
}

// complete follows the client's Finished.
func (m *Mapper) complete() {
	m.resumption, m.finished = m.derive(m.master, "res master", m.hash()), len(m.transcript)
}

// points are the places in the handshake of messages, by the role that sends them.
var points = map[attls.MessageKind][2]binder.Point{
	attls.KindClientHello:         {attls.RoleClient: binder.PointCH},
	attls.KindServerHello:         {attls.RoleServer: binder.PointSH},
	attls.KindEncryptedExtensions: {attls.RoleServer: binder.PointEE},
	attls.KindCertificateRequest:  {attls.RoleServer: binder.PointCR},
	attls.KindCertificate:         {attls.RoleClient: binder.PointClientCT, attls.RoleServer: binder.PointServerCT},
	attls.KindCertificateVerify:   {attls.RoleClient: binder.PointClientCV, attls.RoleServer: binder.PointServerCV},
	attls.KindFinished:            {attls.RoleClient: binder.PointClientFin, attls.RoleServer: binder.PointServerFin},
}

// overRange is the hash over a range of the handshake's transcript, as binders take it.
func (m *Mapper) overRange(r binder.Range) ([]byte, bool) {
	if r.Variant != binder.VariantRFC8446 {
		return nil, false
	}
	end := -1
	for _, k := range m.marks {
		if p := points[k.kind][k.sender]; p != binder.PointNone && p <= r.End && !(r.Exclusive && p == r.End) {
			end = max(end, k.end)
		}
	}
	if end < 0 {
		return nil, false
	}
	return m.sum(m.transcript[:end]), true
}
