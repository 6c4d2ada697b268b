package learn

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"attls"
	"attls/extensions"
	"attls/handshake"
	"attls/handshake/enginetest"
	"attls/handshake/message"
	"attls/internal/provider"
	"attls/record"
)

// Closed is the answer of a peer whose connection is over.
const Closed = "closed"

// Nothing is the output of a peer that does not answer.
const Nothing = "-"

// Alphabet is what a Mapper speaks besides a handshake with certificates.
type Alphabet struct {
	// PostHandshake adds authentication of the client after the handshake (RFC 8446 section
	// 4.6.2).
	PostHandshake bool
	// Asks says that the peer, a server, can be told to ask: its transports are Askers.
	Asks bool
	// Resumption adds connections that follow one another, and pre-shared keys out of tickets
	// (section 2.2).
	Resumption bool
	// Attestation adds the extensions of a profile; nil: none.
	Attestation *Attestation
}

// Mapper is a System over a peer: it turns the names of messages into records and records
// into names. It computes keys, Finished and signatures for the messages that went through,
// whatever their order was.
type Mapper struct {
	dial     Dialer
	alphabet Alphabet
	role     attls.Role // that the mapper has
	name     string     // server_name

	watched  bool // the peer of the last connection
	patience int  // how many times longer a peer is waited for than usual; 0: once

	shown *handshake.Credential // nil: one that nobody vouches for

	ticket *ticket // of an earlier connection of the same word; nil: there is none
	issued uint8   // tickets that the mapper gave out in this word

	connection
}

// connection is what a Mapper knows of a connection.
type connection struct {
	t          Transport
	in         *record.Reader
	out        *record.Writer
	suite      *provider.Suite
	transcript []byte
	marks      []mark                 // how far the transcript was after each message
	shares     [2]provider.PrivateKey // of x25519 and secp256r1
	secret     [2][]byte              // traffic secrets by role: of the handshake, then of application data
	psk        []byte                 // what the early secret is made of; nil: nothing
	shared     []byte                 // ECDHE
	early      []byte
	handshake  []byte // the handshake secret
	main       []byte // until both application secrets are derived
	master     []byte // the main secret, as long as the connection lasts
	resumption []byte // resumption_master_secret
	finished   int    // length of the transcript up to the client's Finished
	later      []byte // the client's application secret, until its Finished
	over       bool
	hello      message.ClientHello // of a client that the mapper meets
	peerShares map[attls.NamedGroup][]byte
	group      attls.NamedGroup
	credential *handshake.Credential
	exchange   *exchange // of post-handshake authentication; nil: none is under way
	requests   uint8     // that the mapper made
	attested   attested
}

// NewMapper makes a mapper that plays the other role than its peer. dial begins a connection.
func NewMapper(peer attls.Role, serverName string, dial Dialer, a Alphabet) *Mapper {
	return &Mapper{dial: dial, alphabet: a, role: peer.Peer(), name: serverName}
}

// The inputs. Reconnect ends the connection and begins another; Ask has the peer, a server,
// ask for a certificate. A name with a plus is a message with more in it: with a
// certificate_request_context, with pre_shared_key, with update_requested, or with what the
// profile adds.
const (
	inputReconnect = "Reconnect"
	inputAsk       = "Ask"
	withContext    = "+context"
	withPSK        = "+psk"
	withRequest    = "+request"
)

var clientInputs = []string{"ClientHello", "ChangeCipherSpec", "EmptyCertificate", "Certificate",
	"CertificateVerify", "Finished", "EndOfEarlyData", "KeyUpdate", "KeyUpdate+request", "ApplicationData",
	"CloseNotify"}

var serverInputs = []string{"ServerHello", "HelloRetryRequest", "ChangeCipherSpec", "EncryptedExtensions",
	"CertificateRequest", "Certificate", "CertificateVerify", "Finished", "NewSessionTicket", "KeyUpdate",
	"KeyUpdate+request", "ApplicationData", "CloseNotify"}

// Inputs are the messages that the mapper's role can send.
func (m *Mapper) Inputs() []string {
	list := slices.Clone(serverInputs)
	if m.role == attls.RoleClient {
		list = slices.Clone(clientInputs)
	}
	if m.alphabet.PostHandshake {
		if m.role == attls.RoleClient {
			if m.alphabet.Asks {
				list = append(list, inputAsk)
			}
			list = append(list, "Certificate"+withContext, "EmptyCertificate"+withContext)
		} else {
			list = append(list, "CertificateRequest"+withContext)
		}
	}
	if m.alphabet.Resumption {
		hello := "ServerHello"
		if m.role == attls.RoleClient {
			hello = "ClientHello"
		}
		list = append(list, hello+withPSK, inputReconnect)
	}
	return append(list, m.alphabet.Attestation.inputs(m.role)...)
}

// Reset begins a word with a connection. What a client says first is read.
func (m *Mapper) Reset() error {
	m.ticket, m.issued = nil, 0
	if err := m.connect(false); err != nil {
		return err
	}
	if m.role == attls.RoleServer {
		_, err := m.receive()
		return err
	}
	return nil
}

// Close ends the connection. A peer that serves one after another would wait for it.
func (m *Mapper) Close() {
	if m.t != nil {
		m.t.Close()
		m.t = nil
	}
}

func (m *Mapper) connect(again bool) (err error) {
	m.Close()
	suite, ok := provider.Real().Suite(attls.TLS_AES_128_GCM_SHA256)
	if !ok {
		return errors.New("no cipher suite")
	}
	m.connection = connection{suite: suite, credential: m.alphabet.Attestation.credential(m.role),
		in: record.NewReader(record.Settings{}), out: record.NewWriter(record.WriterSettings{MessagesPerRecord: 1}),
		peerShares: map[attls.NamedGroup][]byte{}}
	if m.credential == nil {
		m.credential = m.shown
	}
	if m.credential == nil {
		m.credential = enginetest.Credential("learner")
	}
	m.attested.reset(m.alphabet.Attestation)
	m.in.AcceptPlaintextAlerts(true)
	if m.shares, err = keyShares(); err != nil {
		return err
	}
	m.t, err = m.dial(again)
	if t, ok := m.t.(*network); ok {
		m.watched = t.watch != nil
		t.wait.Quiet *= time.Duration(max(m.patience, 1))
	}
	return err
}

// Show has the mapper show this certificate, which peers trust.
func (m *Mapper) Show(c *handshake.Credential) { m.shown = c }

// Watched reports whether the peer is watched, so that Wait.Quiet does not decide what it answers.
func (m *Mapper) Watched() bool { return m.watched }

// Patience implements Patient.
func (m *Mapper) Patience(times int) { m.patience = times }

// keyShares are the same in every connection, so that a peer sees nothing else vary than
// what is asked.
var keyShares = sync.OnceValues(func() (keys [2]provider.PrivateKey, err error) {
	for i, g := range groups {
		group, ok := provider.Real().Group(g)
		if !ok {
			return keys, fmt.Errorf("no group %v", g)
		}
		seed := make([]byte, group.SeedLen())
		for k := range seed {
			seed[k] = byte(17*i + k + 1)
		}
		if keys[i], err = group.Generate(seed); err != nil {
			return keys, err
		}
	}
	return keys, nil
})

var groups = [2]attls.NamedGroup{attls.GroupX25519, attls.GroupSecp256r1}

// Step sends a message and returns the names of those that came back.
func (m *Mapper) Step(input string) (string, error) {
	switch {
	case input == inputReconnect:
		return m.reconnect()
	case m.over:
		return Closed, nil
	case input == inputAsk:
		return m.ask()
	}
	if err := m.send(input); err != nil {
		return "", err
	}
	m.out.Flush()
	b := slices.Clone(m.out.Output())
	m.out.Wrote(len(b))
	if err := m.t.Send(b); err != nil {
		m.over = true // the answer to what was sent before may still be there
	}
	m.after(input)
	return m.receive()
}

// reconnect begins another connection of the same word.
func (m *Mapper) reconnect() (string, error) {
	if err := m.connect(true); err != nil {
		return "", err
	}
	if m.role == attls.RoleServer {
		return m.receive()
	}
	return Nothing, nil
}

// send writes a message.
func (m *Mapper) send(input string) error {
	switch input {
	case "ChangeCipherSpec":
		m.out.ChangeCipherSpec()
		return nil
	case "ApplicationData":
		return failure(m.out.Write(attls.ContentTypeApplicationData, []byte("data")))
	case "CloseNotify":
		return failure(m.out.Write(attls.ContentTypeAlert, []byte{1, byte(attls.AlertCloseNotify)}))
	}
	raw, err := m.message(input)
	if err != nil {
		return err
	}
	m.record(raw, m.role)
	return failure(m.out.Handshake(raw))
}

func failure(err *attls.Error) error {
	if err == nil {
		return nil
	}
	return err
}

// receive reads what came back and names it.
func (m *Mapper) receive() (string, error) {
	b, closed, err := m.t.Receive()
	if err != nil {
		return "", err
	}
	copy(m.in.Reserve(len(b)), b)
	m.in.Commit(len(b))
	var names []string
	for {
		item, ok, err := m.in.Next()
		if err != nil {
			names = append(names, "unreadable")
			m.over = true
			break
		}
		if !ok {
			break
		}
		switch item.Type {
		case attls.ContentTypeHandshake:
			names = append(names, m.heard(item.Data))
		case attls.ContentTypeAlert:
			if len(item.Data) == 2 {
				alert := attls.AlertDescription(item.Data[1]).String() // "alert 226", if it has no name
				names = append(names, "alert "+strings.TrimPrefix(alert, "alert "))
			}
		case attls.ContentTypeApplicationData:
			if len(item.Data) > 0 {
				names = append(names, "data")
			}
		}
	}
	if t, ok := m.t.(*network); ok {
		m.watched = m.watched && !t.blind
	}
	if closed {
		m.over = true
		m.fate(&names)
	}
	if len(names) == 0 {
		if closed {
			return Closed, nil
		}
		return Nothing, nil
	}
	return strings.Join(slices.Compact(names), " "), nil
}

// fate names what ended the connection, if it was not the peer's closing it.
func (m *Mapper) fate(names *[]string) {
	if t, ok := m.t.(Fated); ok {
		alerted := slices.ContainsFunc(*names, func(s string) bool { return strings.HasPrefix(s, "alert ") })
		if fate := t.Fate(alerted); fate != "" {
			*names = append(*names, fate)
		}
	}
}

// Over implements Ending.
func (m *Mapper) Over() bool { return m.over }

// heard takes a message of the peer and returns its name.
func (m *Mapper) heard(b []byte) string {
	b = slices.Clone(b)
	parsed, err := message.ParseRaw(b)
	if err != nil {
		return "unreadable"
	}
	r := &parsed
	m.record(b, m.role.Peer())
	name := r.Kind.String()
	switch r.Kind {
	case attls.KindClientHello:
		if m.heardClientHello(r) {
			name += withPSK
		}
	case attls.KindServerHello:
		if m.heardServerHello(r) {
			name += withPSK
		}
	case attls.KindFinished:
		m.heardFinished()
	case attls.KindKeyUpdate:
		peer := m.role.Peer()
		m.secret[peer] = m.derive(m.traffic(peer), "traffic upd", nil)
		m.readUnder(m.secret[peer])
	case attls.KindCertificateRequest:
		m.heardRequest(r)
	case attls.KindNewSessionTicket:
		m.heardTicket(r)
	}
	return name + m.attested.heard(m, r)
}

// heardClientHello reports whether the client offers a pre-shared key.
func (m *Mapper) heardClientHello(r *message.Raw) bool {
	var h message.ClientHello
	if h.Unmarshal(r.Body()) != nil {
		return false
	}
	m.hello = h
	body, _ := h.Extensions.Get(attls.ExtKeyShare)
	if list, err := extensions.ParseKeyShares(body); err == nil {
		clear(m.peerShares)
		for _, g := range groups {
			if share, ok := list.Find(g); ok {
				m.peerShares[g] = slices.Clone(share)
			}
		}
	}
	_, offers := h.Extensions.Get(attls.ExtPreSharedKey)
	return offers
}

// heardServerHello reports whether the server takes a pre-shared key.
func (m *Mapper) heardServerHello(r *message.Raw) bool {
	var h message.ServerHello
	if h.Unmarshal(r.Body()) != nil {
		return false
	}
	_, takes := h.Extensions.Get(attls.ExtPreSharedKey)
	if m.secret[0] != nil {
		return takes
	}
	if !takes {
		m.psk = nil
	}
	body, _ := h.Extensions.Get(attls.ExtKeyShare)
	if share, err := extensions.ParseKeyShareEntry(body); err == nil {
		m.group = share.Group
		m.handshakeKeys(share.Key)
	}
	return takes
}

func (m *Mapper) heardFinished() {
	switch {
	case m.role == attls.RoleClient && m.main != nil:
		sum := m.hash()
		m.secret[attls.RoleServer] = m.derive(m.main, "s ap traffic", sum)
		m.readUnder(m.secret[attls.RoleServer])
		m.pendingClient(sum)
	case m.role == attls.RoleServer && m.later != nil:
		m.secret[attls.RoleClient], m.later = m.later, nil
		m.readUnder(m.secret[attls.RoleClient])
		m.complete()
	}
}
