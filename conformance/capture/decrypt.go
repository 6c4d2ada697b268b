package capture

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"attls"
	"attls/extensions"
	"attls/handshake"
	"attls/handshake/message"
	"attls/internal/provider"
	"attls/record"
)

// Item is one handshake message, alert, change_cipher_spec or record of
// application data.
type Item struct {
	Sender    attls.Role
	Type      attls.ContentType
	Protected bool
	// Early says that it came under the early traffic secret (0-RTT).
	Early bool
	// Sealed says that the record could not be opened, for want of a secret or
	// after an error; Bytes is then its protected payload.
	Sealed bool
	// Message is set for handshake messages; Bytes is the payload of all others.
	Message message.Raw
	Bytes   []byte
	// Time is when the record that completed the item was captured, Offset where
	// that record begins in what the sender sent, in octets.
	Time   time.Time
	Offset int
}

// Open takes the records of a connection apart and removes their protection.
// What cannot be opened is listed as sealed records; the error is the first one
// met and says in which end's octets. An error of one direction does not end the
// other.
func (c *Connection) Open(keys KeyLog) ([]Item, *attls.Error) {
	o := opener{keys: keys, suite: c.suite()}
	for i := range o.in {
		o.in[i].reader = newReader()
	}
	for i := range c.Pieces {
		o.piece(&c.Pieces[i])
	}
	for i := range o.in {
		if rest := len(o.in[i].rest); rest > 0 && !o.in[i].amid {
			o.fail(attls.Role(i), attls.Errorf(attls.FromPeer, attls.FailTruncated,
				"the capture ends %d octets into a record", rest))
		}
	}
	return o.items, o.err
}

func newReader() *record.Reader {
	r := record.NewReader(record.Settings{MaxHandshakeMessage: 1 << 24})
	r.AcceptPlaintextAlerts(true)
	return r
}

// suite looks ahead for the ServerHello: early data is protected before it is
// on the wire. Nil when there is none of a suite that we know.
func (c *Connection) suite() *provider.Suite {
	r := newReader()
	for _, p := range c.Pieces {
		if p.Sender != attls.RoleServer {
			continue
		}
		if p.Lost != 0 {
			return nil
		}
		feed(r, p.Data)
		for {
			found, ok, err := r.Next()
			if err != nil {
				return nil
			}
			if !ok {
				break
			}
			m, err := message.ParseRaw(found.Data)
			if found.Type != attls.ContentTypeHandshake || err != nil || m.Kind != attls.KindServerHello {
				continue
			}
			var sh message.ServerHello
			if sh.Unmarshal(m.Body()) != nil {
				return nil
			}
			s, _ := provider.Real().Suite(sh.CipherSuite)
			return s
		}
	}
	return nil
}

func feed(r *record.Reader, b []byte) {
	copy(r.Reserve(len(b)), b)
	r.Commit(len(b))
}

// epoch says under which of its secrets an end sends.
type epoch uint8

const (
	epochPlain epoch = iota
	epochEarly
	epochHandshake
	epochApplication
)

// direction is what one end sends.
type direction struct {
	reader  *record.Reader
	epoch   epoch
	traffic []byte // the current application traffic secret
	updates uint64 // extended key updates
	rest    []byte // octets of an incomplete record
	offset  int    // of rest
	shut    bool   // records are listed unopened from here on
	amid    bool   // where the next record begins is not known
}

// opener follows a connection far enough to know when its keys change.
type opener struct {
	keys    KeyLog
	random  [32]byte
	secrets Secrets
	suite   *provider.Suite
	in      [2]direction
	hello   [2]bool // ClientHello, ServerHello: they were read
	items   []Item
	err     *attls.Error
	now     time.Time
}

// fail keeps the first error and shuts the direction in which it was met.
func (o *opener) fail(sender attls.Role, err *attls.Error) {
	o.in[sender].shut = true
	if o.err == nil {
		o.err = err.Under(sender.String())
	}
}

const recordHeader = 5

// piece cuts what arrived into records.
func (o *opener) piece(p *Piece) {
	d := &o.in[p.Sender]
	o.now = p.Time
	if p.Lost != 0 {
		d.offset += len(d.rest)
		d.rest, d.amid = nil, true
		o.fail(p.Sender, o.lost(p))
	}
	if d.amid && !isRecord(p.Data) {
		d.offset += len(p.Data)
		return
	}
	d.amid = false
	d.rest = append(d.rest, p.Data...)
	for len(d.rest) >= recordHeader {
		n := recordHeader + int(binary.BigEndian.Uint16(d.rest[3:]))
		if t := attls.ContentType(d.rest[0]); t < attls.ContentTypeChangeCipherSpec || t > attls.ContentTypeApplicationData {
			switch {
			case d.shut:
			case d.offset == 0 && !SpeaksTLS(d.rest):
				o.fail(p.Sender, attls.Errorf(attls.FromPeer, attls.FailUnexpectedRecord,
					"it does not speak TLS: what it sent begins with %q", d.rest[:min(len(d.rest), 16)]))
			default: // the reader says what is wrong
				feed(d.reader, d.rest)
				o.drain(p.Sender)
			}
			d.offset += len(d.rest)
			d.shut, d.amid, d.rest = true, true, nil
			return
		}
		if len(d.rest) < n {
			return
		}
		o.record(p.Sender, d.rest[:n])
		d.rest, d.offset = d.rest[n:], d.offset+n
	}
}

// lost says what octets that the capture misses mean.
func (o *opener) lost(p *Piece) *attls.Error {
	what, end := "ServerHello", ""
	if p.Sender == attls.RoleClient {
		what = "ClientHello"
	}
	if !o.hello[p.Sender] {
		end = ", and what is protected cannot be opened without the " + what + " among them"
	}
	if p.Lost < 0 {
		return attls.Errorf(attls.FromPeer, attls.FailTruncated, "the capture begins amid what it sent%s", end)
	}
	return attls.Errorf(attls.FromPeer, attls.FailTruncated, "the capture misses %d octets of what it sent%s", p.Lost, end)
}

// record handles one whole record.
func (o *opener) record(sender attls.Role, rec []byte) {
	d := &o.in[sender]
	if d.epoch == epochEarly && !o.stillEarly(d, rec) {
		return
	}
	if d.shut {
		o.sealed(sender, rec)
		return
	}
	if d.epoch == epochPlain && attls.ContentType(rec[0]) == attls.ContentTypeApplicationData &&
		!o.hello[attls.RoleServer] {
		o.fail(sender, attls.Errorf(attls.FromPeer, attls.FailTruncated,
			"protected records cannot be opened without the ServerHello, which the capture does not have before them"))
		o.sealed(sender, rec)
		return
	}
	before := len(o.items)
	feed(d.reader, rec)
	o.drain(sender)
	if d.shut && len(o.items) == before {
		o.sealed(sender, rec)
	}
}

// stillEarly finds out whether a client goes on with early data. A server that
// refuses it need not say so before more of it arrives, so the keys are tried.
// False: the record was listed as sealed.
func (o *opener) stillEarly(d *direction, rec []byte) bool {
	switch {
	case attls.ContentType(rec[0]) == attls.ContentTypeHandshake: // the ClientHello after a HelloRetryRequest
		*d = direction{reader: newReader(), rest: d.rest, offset: d.offset}
		return true
	case attls.ContentType(rec[0]) != attls.ContentTypeApplicationData || opens(d.reader, rec):
		return true
	}
	later := newReader()
	if _, err := o.protect(later, handshake.SecretClientHandshake); err == nil && opens(later, rec) {
		d.reader, d.epoch, d.shut = later, epochHandshake, false
		return true
	}
	o.sealed(attls.RoleClient, rec)
	return false
}

// opens tries a record on a copy of a reader.
func opens(r *record.Reader, rec []byte) bool {
	c := r.Clone()
	feed(c, rec)
	_, _, err := c.Next()
	return err == nil
}

// sealed lists a record that is not opened; what came unprotected is shown.
func (o *opener) sealed(sender attls.Role, rec []byte) {
	t := attls.ContentType(rec[0])
	payload := append([]byte(nil), rec[recordHeader:]...)
	readable := t == attls.ContentTypeChangeCipherSpec && len(payload) == 1 ||
		t == attls.ContentTypeAlert && len(payload) == 2
	o.add(Item{Sender: sender, Type: t, Sealed: !readable, Protected: !readable, Bytes: payload})
}

func (o *opener) add(i Item) {
	i.Time, i.Offset = o.now, o.in[i.Sender].offset
	o.items = append(o.items, i)
}

// drain reads what the octets of one end yield.
func (o *opener) drain(sender attls.Role) {
	d := &o.in[sender]
	for {
		found, ok, err := d.reader.Next()
		if err != nil {
			o.fail(sender, err)
			return
		}
		if !ok {
			return
		}
		item := Item{Sender: sender, Type: found.Type, Protected: found.Protected, Early: d.epoch == epochEarly &&
			found.Protected,
			Bytes: append([]byte(nil), found.Data...)}
		if found.Type != attls.ContentTypeHandshake {
			o.add(item)
			continue
		}
		if item.Message, err = message.ParseRaw(item.Bytes); err != nil {
			o.fail(sender, err)
			return
		}
		item.Bytes = nil
		o.add(item)
		if err := o.follow(sender, &item.Message); err != nil {
			o.fail(sender, err)
			return
		}
	}
}

// follow changes the keys where RFC 8446 section 7 changes them.
func (o *opener) follow(sender attls.Role, m *message.Raw) *attls.Error {
	d := &o.in[sender]
	switch m.Kind {
	case attls.KindClientHello:
		return o.clientHello(m)
	case attls.KindServerHello:
		return o.serverHello(m)
	case attls.KindEndOfEarlyData:
		return o.setKey(sender, handshake.SecretClientHandshake, epochHandshake)
	case attls.KindFinished:
		if d.epoch != epochHandshake { // post-handshake authentication changes no keys
			return nil
		}
		name := handshake.SecretClientTraffic
		if sender == attls.RoleServer {
			name = handshake.SecretServerTraffic
		}
		d.reader.RetainKey()
		return o.setKey(sender, name, epochApplication)
	case attls.KindKeyUpdate:
		if d.epoch != epochApplication {
			return attls.Errorf(attls.Violation, attls.FailUnexpectedMessage, "KeyUpdate before the handshake has keys").
				In(m.Kind)
		}
		d.traffic = o.suite.ExpandLabel(nil, d.traffic, tlsPrefix, "traffic upd", nil, o.suite.HashLen)
		return o.use(d.reader, d.traffic)
	case attls.KindExtendedKeyUpdate:
		return o.extendedKeyUpdate(sender, m)
	}
	return nil
}

// extendedKeyUpdate changes a sender's key behind its response or finish
// (draft-ietf-tls-extended-key-update section 5).
func (o *opener) extendedKeyUpdate(sender attls.Role, m *message.Raw) *attls.Error {
	d := &o.in[sender]
	var u message.ExtendedKeyUpdate
	if b := m.Body(); len(b) > 0 && attls.ExtendedKeyUpdateType(b[0]) > attls.KeyUpdateFinish {
		return nil // of a profile: it changes no key
	}
	if err := u.Unmarshal(m.Body()); err != nil {
		return err
	}
	if d.epoch != epochApplication {
		return attls.Errorf(attls.Violation, attls.FailUnexpectedMessage, "%v before the handshake has keys", m.Kind).
			In(m.Kind)
	}
	if u.Type == attls.KeyUpdateRequest {
		return nil
	}
	d.updates++
	return o.setKey(sender, o.updated(sender, d.updates), epochApplication)
}

// updated is the label of a sender's secret after so many updates. The draft writes
// it CLIENT_TRAFFIC_SECRET_N+1, which programs read differently: as the number of the
// generation, as one more, or literally, and then only the last is kept.
func (o *opener) updated(sender attls.Role, n uint64) handshake.SecretName {
	label := "CLIENT_TRAFFIC_SECRET_"
	if sender == attls.RoleServer {
		label = "SERVER_TRAFFIC_SECRET_"
	}
	first, second, literal := o.secrets[label+"1"], o.secrets[label+"2"], o.secrets[label+"N+1"]
	switch {
	case first == nil && second != nil:
		n++
	case first == nil && literal != nil:
		return handshake.SecretName(label + "N+1")
	}
	return handshake.SecretName(label + strconv.FormatUint(n, 10))
}

func (o *opener) clientHello(m *message.Raw) *attls.Error {
	var ch message.ClientHello
	if err := ch.Unmarshal(m.Body()); err != nil {
		return err.In(m.Kind)
	}
	o.hello[attls.RoleClient] = true
	if o.secrets == nil { // a second ClientHello should have the random of the first, and some have not
		o.random = [32]byte(ch.Random)
		o.secrets = o.keys[o.random]
	}
	if _, ok := ch.Extensions.Find(attls.ExtEarlyData); ok {
		d := &o.in[attls.RoleClient]
		d.epoch = epochEarly
		_, _ = o.protect(d.reader, handshake.SecretClientEarly) // without it, early data is listed as sealed
	}
	return nil
}

func (o *opener) serverHello(m *message.Raw) *attls.Error {
	var sh message.ServerHello
	o.hello[attls.RoleServer] = true
	if v := NegotiatedVersion(m.Body()); v != 0 && v != attls.VersionTLS13 {
		o.in[attls.RoleClient].shut = true
		return attls.Errorf(attls.Local, attls.FailVersion, "the ServerHello chooses %s, and only TLS 1.3 is read here",
			VersionName(v)).In(m.Kind)
	}
	if err := sh.Unmarshal(m.Body()); err != nil {
		return err.In(m.Kind)
	}
	suite, ok := provider.Real().Suite(sh.CipherSuite)
	if !ok {
		o.in[attls.RoleClient].shut = true
		return attls.Errorf(attls.Local, attls.FailSuite, "%v is not implemented", sh.CipherSuite).In(m.Kind)
	}
	o.suite = suite
	client := &o.in[attls.RoleClient]
	if client.epoch != epochEarly && !client.shut {
		if err := o.setKey(attls.RoleClient, handshake.SecretClientHandshake, epochHandshake); err != nil {
			o.fail(attls.RoleClient, err)
		}
	}
	return o.setKey(attls.RoleServer, handshake.SecretServerHandshake, epochHandshake)
}

// setKey opens what a sender sends from here on under a secret of the key log.
func (o *opener) setKey(sender attls.Role, name handshake.SecretName, next epoch) *attls.Error {
	d := &o.in[sender]
	secret, err := o.protect(d.reader, name)
	if err != nil {
		return err
	}
	d.traffic, d.epoch = secret, next
	return nil
}

// protect gives a reader the key of a secret of the key log.
func (o *opener) protect(r *record.Reader, name handshake.SecretName) ([]byte, *attls.Error) {
	secret, ok := o.secrets[string(name)]
	switch {
	case !o.hello[attls.RoleClient]:
		return nil, attls.Errorf(attls.FromPeer, attls.FailTruncated,
			"protected records cannot be opened without the ClientHello, whose random names the secrets")
	case !ok && len(o.keys) == 0:
		return nil, attls.Errorf(attls.Local, attls.FailConfiguration,
			"there is no key log, neither in the file nor next to it")
	case !ok && o.secrets == nil:
		return nil, attls.Errorf(attls.Local, attls.FailConfiguration,
			"the key log has no secrets of this connection, whose ClientHello.random is %x; it has those of %d others",
			o.random, len(o.keys))
	case !ok:
		return nil, attls.Errorf(attls.Local, attls.FailConfiguration, "the key log has no %s for this connection", name)
	case o.suite == nil:
		return nil, attls.Errorf(attls.Violation, attls.FailUnexpectedMessage, "protected records without a ServerHello")
	}
	// Some programs log a buffer that is longer than the secret.
	if len(secret) < o.suite.HashLen {
		return nil, attls.Errorf(attls.Local, attls.FailConfiguration,
			"the %s in the key log has %d octets, and the cipher suite has secrets of %d", name, len(secret), o.suite.HashLen)
	}
	secret = secret[:o.suite.HashLen]
	return secret, o.use(r, secret)
}

const tlsPrefix = "tls13 "

// use opens records under a traffic secret.
func (o *opener) use(r *record.Reader, secret []byte) *attls.Error {
	aead, iv, err := o.suite.KDF().TrafficKey(secret, tlsPrefix)
	if err != nil {
		return attls.Errorf(attls.Local, attls.FailInternal, "%v", err)
	}
	return r.SetKey(aead, iv)
}

// SpeaksTLS reports whether the first octets of an end are those of a record, if
// perhaps of a wrong one: their second is that of the version.
func SpeaksTLS(b []byte) bool { return len(b) < 2 || b[1] == 3 }

// NegotiatedVersion is the version that the body of a ServerHello or
// HelloRetryRequest chooses, in supported_versions or without that extension
// in legacy_version; 0 when it cannot be told.
func NegotiatedVersion(body []byte) uint16 {
	if len(body) < 2 {
		return 0
	}
	legacy := binary.BigEndian.Uint16(body)
	var sh message.ServerHello
	if sh.Unmarshal(body) != nil {
		if legacy == attls.VersionTLS12 {
			return 0
		}
		return legacy // an old draft of TLS 1.3 has another form
	}
	x, ok := sh.Extensions.Find(attls.ExtSupportedVersions)
	if !ok {
		return legacy
	}
	v, err := extensions.ParseSelectedVersion(x.Body)
	if err != nil {
		return 0
	}
	return v
}

// VersionName names a version of TLS.
func VersionName(v uint16) string {
	switch {
	case v == 0x0300:
		return "SSL 3.0"
	case v > 0x0300 && v <= attls.VersionTLS13:
		return fmt.Sprintf("TLS 1.%d", v-attls.VersionTLS10)
	case v>>8 == 0x7f:
		return fmt.Sprintf("draft %d of TLS 1.3", v&0xff)
	}
	return fmt.Sprintf("version 0x%04x", v)
}
