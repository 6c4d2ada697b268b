package capture

import (
	"attls"
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
	// Message is set for handshake messages; Bytes is the payload of all others.
	Message message.Raw
	Bytes   []byte
}

// Open takes the records of a connection apart and removes their protection.
// What was read before an error is returned with it; an error says which end's
// octets it met.
func (c *Connection) Open(keys KeyLog) ([]Item, *attls.Error) {
	o := opener{keys: keys}
	for i := range o.in {
		o.in[i] = record.NewReader(record.Settings{MaxHandshakeMessage: 1 << 24})
		o.in[i].AcceptPlaintextAlerts(true)
	}
	for _, p := range c.Pieces {
		in := o.in[p.Sender]
		copy(in.Reserve(len(p.Data)), p.Data)
		in.Commit(len(p.Data))
		if err := o.drain(p.Sender); err != nil {
			return o.items, err.Under(p.Sender.String())
		}
	}
	return o.items, nil
}

// opener follows a connection far enough to know when its keys change.
type opener struct {
	keys    KeyLog
	secrets Secrets
	suite   *provider.Suite
	traffic [2][]byte // current application traffic secrets, by sender
	in      [2]*record.Reader
	items   []Item
}

// drain reads what the octets of one end yield.
func (o *opener) drain(sender attls.Role) *attls.Error {
	for {
		found, ok, err := o.in[sender].Next()
		if err != nil || !ok {
			return err
		}
		item := Item{Sender: sender, Type: found.Type, Protected: found.Protected, Bytes: append([]byte(nil), found.Data...)}
		if found.Type == attls.ContentTypeHandshake {
			if item.Message, err = message.ParseRaw(item.Bytes); err != nil {
				return err
			}
			item.Bytes = nil
			if err := o.follow(sender, &item.Message); err != nil {
				return err
			}
		}
		o.items = append(o.items, item)
	}
}

// follow changes the keys where RFC 8446 section 7 changes them.
func (o *opener) follow(sender attls.Role, m *message.Raw) *attls.Error {
	switch m.Kind {
	case attls.KindClientHello:
		var ch message.ClientHello
		if err := ch.Unmarshal(m.Body()); err != nil {
			return err.In(m.Kind)
		}
		o.secrets = o.keys[[32]byte(ch.Random)]
	case attls.KindServerHello:
		var sh message.ServerHello
		if err := sh.Unmarshal(m.Body()); err != nil {
			return err.In(m.Kind)
		}
		suite, ok := provider.Real().Suite(sh.CipherSuite)
		if !ok {
			return attls.Errorf(attls.Local, attls.FailSuite, "%v is not implemented", sh.CipherSuite).In(m.Kind)
		}
		o.suite = suite
		if err := o.setKey(attls.RoleServer, handshake.SecretServerHandshake); err != nil {
			return err
		}
		return o.setKey(attls.RoleClient, handshake.SecretClientHandshake)
	case attls.KindFinished:
		name := handshake.SecretClientTraffic
		if sender == attls.RoleServer {
			name = handshake.SecretServerTraffic
		}
		o.in[sender].RetainKey()
		return o.setKey(sender, name)
	case attls.KindKeyUpdate:
		if o.traffic[sender] == nil {
			return attls.Errorf(attls.Violation, attls.FailUnexpectedMessage, "KeyUpdate before the handshake has keys").In(m.Kind)
		}
		return o.use(sender, o.suite.ExpandLabel(nil, o.traffic[sender], "tls13 ", "traffic upd", nil, o.suite.HashLen))
	}
	return nil
}

func (o *opener) setKey(sender attls.Role, name handshake.SecretName) *attls.Error {
	secret, ok := o.secrets[string(name)]
	if !ok {
		return attls.Errorf(attls.Local, attls.FailConfiguration, "the key log has no %s for this connection", name)
	}
	if o.suite == nil {
		return attls.Errorf(attls.Violation, attls.FailUnexpectedMessage, "Finished before ServerHello")
	}
	return o.use(sender, secret)
}

// use opens what a sender sends from here on under a traffic secret.
func (o *opener) use(sender attls.Role, secret []byte) *attls.Error {
	if o.suite == nil || len(secret) != o.suite.HashLen {
		return attls.Errorf(attls.Local, attls.FailConfiguration, "a traffic secret of %d octets does not fit the cipher suite", len(secret))
	}
	o.traffic[sender] = secret
	key := o.suite.ExpandLabel(nil, secret, "tls13 ", "key", nil, o.suite.KeyLen)
	aead, err := o.suite.AEAD(key)
	if err != nil {
		return attls.Errorf(attls.Local, attls.FailInternal, "%v", err)
	}
	return o.in[sender].SetKey(aead, o.suite.ExpandLabel(nil, secret, "tls13 ", "iv", nil, o.suite.NonceLen))
}
