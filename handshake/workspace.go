package handshake

import (
	"attls"
	"attls/handshake/message"
)

// Most connections are idle most of the time, and their engines keep only what an
// established connection needs. What a handshake needs beside it is an opening;
// what one message needs is a workspace, which a message after the handshake gets
// anew.

// workspace is what an engine needs while it handles messages.
type workspace struct {
	taken   waiting     // the last wait that was answered and used
	message message.Raw // the one being handled
	flight  []byte      // for building messages
	ext     extensionBuilder
	scratch scratch
}

// opening is what the handshake needs. It is not taken from a pool: an open wait
// may be part of it, which whoever answers keeps as long as they like.
type opening struct {
	workspace
	transcript transcript
	secrets    handshakeSecrets
	early      earlySecrets
	keys       keyQuestion
	types      typeNegotiation
	att        attestation
}

// open gives an engine what its handshake needs.
func (e *Engine) open() {
	o := &opening{}
	e.workspace, e.transcript, e.keys.handshakeSecrets = &o.workspace, &o.transcript, &o.secrets
	e.early.earlySecrets, e.psk.keyQuestion, e.types.typeNegotiation, e.att = &o.early, &o.keys, &o.types, &o.att
}

// work gives an engine what it needs to handle a message.
func (e *Engine) work() {
	if e.workspace == nil {
		e.workspace = &workspace{}
	}
}

// rest lets an engine whose handshake is complete give up what no message needs
// that is still to come.
func (e *Engine) rest() {
	if !e.done || e.err != nil || e.workspace == nil {
		return
	}
	e.workspace = nil
	if len(e.waits) == 0 {
		e.waits = nil
	}
	if e.psk.keyQuestion == nil {
		return // the handshake was over before
	}
	e.keys.forget(e.cfg.Profile != nil)
	e.early.forget()
	e.psk.keyQuestion, e.types.typeNegotiation = nil, nil
	e.transcript = e.transcript.lasting(e.authenticatesLater())
	n := &e.nego
	n.peerCert, n.authorities, n.sessionID, n.compressor = nil, nil, nil, nil
	if e.role == attls.RoleClient { // a server's authenticators may still be signed under them
		n.peerSchemes = nil
	}
	if e.cfg.Profile == nil {
		e.att, e.first.key = &noAttestation, nil
		return
	}
	att := *e.att // a verdict may come that is about this and the key
	e.att = &att
}

// noAttestation is what nobody changes after a handshake without a profile.
var noAttestation attestation

// forget wipes the secrets of the handshake but those that a binder may use.
func (k *schedule) forget(binds bool) {
	k.kdf, k.own, k.log = nil, nil, nil
	s := k.handshakeSecrets
	k.handshakeSecrets = nil
	if binds {
		k.handshakeSecrets = &handshakeSecrets{early: s.early, handshake: s.handshake, main: s.main, ecdhe: s.ecdhe}
	}
	*s = handshakeSecrets{}
}

// forget wipes the secrets of early data but the one to export from.
func (d *earlyData) forget() {
	s := d.earlySecrets
	d.earlySecrets = nil
	if s.exporter.n > 0 {
		d.earlySecrets = &earlySecrets{exporter: s.exporter}
	}
	*s = earlySecrets{}
}

// lasting is the transcript as far as it is of use after the handshake; nil: not
// at all.
func (t *transcript) lasting(authenticates bool) *transcript {
	if t.checkpoints == nil && !authenticates {
		return nil
	}
	c := *t
	c.first = nil
	return &c
}

// forkOpening gives a fork of an engine what the original has.
func (e *Engine) forkOpening(f *Engine) {
	f.open()
	if e.workspace != nil {
		f.taken, f.message = e.taken, e.message
	}
	*f.att = e.att.clone()
	if e.transcript == nil {
		f.transcript = nil
	} else {
		*f.transcript = e.transcript.clone()
	}
	if e.keys.handshakeSecrets == nil {
		f.keys.handshakeSecrets = nil
	} else {
		*f.keys.handshakeSecrets = *e.keys.handshakeSecrets
	}
	if e.early.earlySecrets == nil {
		f.early.earlySecrets = nil
	} else {
		*f.early.earlySecrets = *e.early.earlySecrets
	}
	if e.psk.keyQuestion == nil {
		f.psk.keyQuestion, f.types.typeNegotiation = nil, nil
	} else {
		*f.psk.keyQuestion, *f.types.typeNegotiation = *e.psk.keyQuestion, *e.types.typeNegotiation
	}
}
