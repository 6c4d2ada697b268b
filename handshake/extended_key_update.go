package handshake

import (
	"bytes"
	"math"

	"attls"
	"attls/extensions/profile"
	"attls/handshake/message"
	"attls/internal/provider"
	"attls/internal/rule"
)

// Extended Key Update, draft-ietf-tls-extended-key-update: a fresh key exchange in a
// connection that is established. Either end may begin.
//
//	initiator: [IDLE] -- request --> [WAIT_RESP] response -- finish --> [IDLE]
//	responder: [IDLE] request -- response --> [WAIT_FIN] finish --> [IDLE]
//	           [IDLE] request, amid post-handshake authentication --> [RESPOND] -- response --> [WAIT_FIN]
//
// All three messages are protected with the keys that they replace. The responder sends
// with the new ones behind its response, the initiator behind its finish. Where
// two requests cross, the end with the lower key_exchange becomes the responder.

const updateDraft = "draft-ietf-tls-extended-key-update"

// KeyLogNumbering is how a key log numbers the secrets of a generation, which the draft
// calls CLIENT_TRAFFIC_SECRET_N+1, SERVER_TRAFFIC_SECRET_N+1 and EXPORTER_SECRET_N+1.
type KeyLogNumbering uint8

// The readings. RFC 9850 has CLIENT_TRAFFIC_SECRET_0 for the handshake's secret, so
// that the first update makes number 1.
const (
	KeyLogByGeneration KeyLogNumbering = iota // N is the generation before: the first update logs ..._1
	KeyLogByIteration                         // N is the number of the update: the first logs ..._2
	KeyLogLiteral                             // every update logs ..._N+1
)

// ExtendedKeyUpdate configures Extended Key Update. Its zero value is usable. The
// readings, at which both ends must agree, are for what the draft leaves open.
type ExtendedKeyUpdate struct {
	// Flag is its number in tls_flags. 0: attls.FlagExtendedKeyUpdate.
	Flag attls.TLSFlag
	// MaxPeerUpdates bounds the updates that the peer may begin with no application
	// data between them. 0: no bound, as each costs the peer as much.
	MaxPeerUpdates int
	// RFC8446Exporter makes exporter_secret of RFC 8446 the secret of epoch 0, instead
	// of one of its own.
	RFC8446Exporter bool
	// OmitHeaders leaves the header of the handshake messages out of the transcript,
	// which RFC 8446 section 4.4.1 includes.
	OmitHeaders bool
	// HashTwice lets Derive-Secret hash transcript_hash_N+1, as it does its last
	// argument in RFC 8446 section 7.1, instead of taking it for the hash.
	HashTwice bool
	// KeyLog is how Config.KeyLog numbers generations.
	KeyLog KeyLogNumbering
}

func (c *ExtendedKeyUpdate) flag() attls.TLSFlag {
	if c.Flag == 0 {
		return attls.FlagExtendedKeyUpdate
	}
	return c.Flag
}

// updatePhase is a state of an exchange.
type updatePhase uint8

const (
	updateIdle      updatePhase = iota
	updateAsked                 // WAIT_RESP: our request is out
	updateDeferred              // RESPOND: the peer's request waits for post-handshake authentication
	updateAnswered              // WAIT_FIN: our response is out, or waits for our Evidence
	updateFinishing             // our finish waits for our Evidence
)

var updatePhases = [...]string{"IDLE", "WAIT_RESP", "RESPOND", "WAIT_FIN", "FINISH"}

func (p updatePhase) String() string { return updatePhases[p] }

// extendedUpdates is the state of a connection that has negotiated Extended Key Update.
type extendedUpdates struct {
	cfg   *ExtendedKeyUpdate
	log   func(SecretName, []byte)
	phase updatePhase
	// crossed: a request of the peer's was ignored, and there is no other behind it.
	crossed bool
	drawn   uint32 // numbers the key shares
	key     provider.PrivateKey
	request []byte // the whole message, ours or the peer's

	now, next generation
	previous  secret // exporter secret of the epoch before

	att   *updateAttestation // what is attested with the last update; nil: nothing
	early []byte             // a payload of the peer's in front of its response
}

// clone copies the state for a fork.
func (u *extendedUpdates) clone() *extendedUpdates {
	if u == nil {
		return nil
	}
	c := *u
	return &c
}

// negotiatesUpdates reports whether this end offers Extended Key Update, or, as a
// server, is about to accept it.
func (e *Engine) negotiatesUpdates() bool {
	return e.cfg.ExtendedKeyUpdate != nil && (e.role == attls.RoleClient || e.nego.updatesOffered)
}

// agreeOnUpdates notes that both ends have said that they know it.
func (e *Engine) agreeOnUpdates() {
	e.rekey = &extendedUpdates{cfg: e.cfg.ExtendedKeyUpdate, log: e.keys.log}
	e.keys.epochs = true
}

// startUpdates keeps what the first update begins with, which is no longer there once
// the handshake is over.
func (e *Engine) startUpdates() {
	u := e.rekey
	if u == nil {
		return
	}
	u.now.hash.n = len(e.transcript.sum(u.now.hash.b[:0]))
	e.keys.retain(&u.now.salt)
	u.now.exporter = e.keys.epochExporter
	if u.cfg.RFC8446Exporter {
		u.now.exporter = e.keys.exporter
	}
}

// ExtendedKeyUpdate asks the peer for a fresh key exchange. EventKeyEpoch tells when the
// keys that come of it are in use. Only one exchange is under way at a time, and none
// together with post-handshake authentication.
func (e *Engine) ExtendedKeyUpdate() error {
	if e.err != nil {
		return e.err
	}
	u := e.rekey
	bad := func(format string, args ...any) error {
		return attls.Errorf(attls.Local, attls.FailConfiguration, format, args...).By(updateDraft + " 5")
	}
	switch {
	case !e.done || u == nil:
		return bad("extended key update was not negotiated")
	case e.nego.group == 0:
		return bad("the handshake has used no group")
	case u.phase != updateIdle:
		return bad("an update is under way already")
	case e.authenticating():
		return bad("post-handshake authentication is under way")
	case !u.att.settled():
		return bad("what is attested with the update before is not settled yet")
	case u.now.number >= maxGeneration:
		return attls.Errorf(attls.Local, attls.FailLimit, "no epoch is left")
	}
	e.work()
	defer e.rest()
	return asGoError(e.askUpdate())
}

// askUpdate sends the request.
func (e *Engine) askUpdate() *attls.Error {
	u := e.rekey
	n, err := u.draw()
	if err != nil {
		return err
	}
	share, err := e.generateFor(UseKeyUpdate, e.nego.group, n)
	if err != nil {
		return err
	}
	u.key = share.key
	m := message.ExtendedKeyUpdate{Type: attls.KeyUpdateRequest, Group: e.nego.group, Key: share.key.Share()}
	u.request, u.phase = m.Append(nil), updateAsked
	return e.release(flight{messages: [][]byte{u.request}})
}

// draw numbers a key share.
func (u *extendedUpdates) draw() (int, *attls.Error) {
	if u.drawn > math.MaxUint32>>8 {
		return 0, attls.Errorf(attls.Local, attls.FailLimit, "no key share is left")
	}
	u.drawn++
	return int(u.drawn - 1), nil
}

// withheld reports whether our response waits for our Evidence, so that nothing can answer it.
func (u *extendedUpdates) withheld() bool {
	return u.phase == updateAnswered && u.att != nil && u.att.message != nil
}

// updates handles an ExtendedKeyUpdate.
func (e *Engine) updates(m *message.Raw) *attls.Error {
	u := e.rekey
	if body := m.Body(); len(body) > 0 {
		if i := e.profile().UpdateMessage(attls.ExtendedKeyUpdateType(body[0])); i >= 0 {
			return e.updateMessage(m, i)
		}
	}
	var k message.ExtendedKeyUpdate
	if err := k.Unmarshal(m.Body()); err != nil {
		return err
	}
	switch {
	case k.Type == attls.KeyUpdateRequest && (u.phase == updateIdle || u.phase == updateAsked && !u.crossed):
		return e.takeUpdateRequest(m, &k)
	case k.Type == attls.KeyUpdateResponse && u.phase == updateAsked && !e.authenticating():
		return e.takeUpdateResponse(m, &k)
	case k.Type == attls.KeyUpdateFinish && u.phase == updateAnswered && !u.withheld():
		return e.takeUpdateFinish()
	}
	if !e.obeys(rule.UpdateDue) {
		return nil
	}
	during := ""
	if u.withheld() {
		during = ", while our response waits for Evidence"
	}
	if e.authenticating() {
		during = ", during post-handshake authentication"
	}
	return attls.Errorf(attls.Violation, attls.FailUnexpectedMessage, "%v in state %v%s", k.Type, u.phase, during).
		Under("eku_type").By(updateDraft + " 4")
}

// checkUpdateGroup holds the peer to the group of the handshake.
func (e *Engine) checkUpdateGroup(k *message.ExtendedKeyUpdate) *attls.Error {
	if k.Group == e.nego.group || !e.obeys(rule.UpdateGroup) {
		return nil
	}
	return attls.Errorf(attls.Violation, attls.FailIllegalParameter, "%v is not the group of the handshake, %v", k.Group,
		e.nego.group).Under("key_share.group").By(updateDraft + " 4")
}

// takeUpdateRequest handles a request.
func (e *Engine) takeUpdateRequest(m *message.Raw, k *message.ExtendedKeyUpdate) *attls.Error {
	u := e.rekey
	if err := e.checkUpdateGroup(k); err != nil {
		return err
	}
	if err := e.checkUpdateSettled(); err != nil {
		return err
	}
	if e.authenticating() && e.role == attls.RoleClient {
		return attls.Errorf(attls.Violation, attls.FailUnexpectedMessage,
			"the server asks for an update amid an authentication that it has asked for").By(updateDraft + " 9")
	}
	if u.phase == updateAsked {
		switch order := bytes.Compare(k.Key, u.key.Share()); {
		case order < 0:
			u.crossed = true
			return nil
		case order == 0:
			return attls.Errorf(attls.Violation, attls.FailUnexpectedMessage, "the requests that cross have one key_exchange").
				Under("key_share.key_exchange").By(updateDraft + " 5")
		}
		u.key = nil // the request of ours is abandoned
	}
	if n := e.reader.countUpdate(); u.cfg.MaxPeerUpdates > 0 && n > u.cfg.MaxPeerUpdates {
		return attls.Errorf(attls.Violation, attls.FailLimit, "more than %d updates in a row", u.cfg.MaxPeerUpdates)
	}
	u.request, u.phase = bytes.Clone(m.Bytes), updateDeferred
	return e.resumeUpdate()
}

// resumeUpdate answers a request that has waited for post-handshake authentication, or
// did not have to.
func (e *Engine) resumeUpdate() *attls.Error {
	u := e.rekey
	if u == nil || u.phase != updateDeferred || e.authenticating() {
		return nil
	}
	var k message.ExtendedKeyUpdate
	if err := k.Unmarshal(u.request[messageHeader:]); err != nil {
		return err
	}
	n, err := u.draw()
	if err != nil {
		return err
	}
	ours, shared, err := e.respondFor(UseKeyUpdate, e.nego.group, n, k.Key)
	if err != nil {
		return err.Under("key_share.key_exchange")
	}
	m := message.ExtendedKeyUpdate{Type: attls.KeyUpdateResponse, Group: e.nego.group, Key: ours}
	response := m.Append(nil)
	main := u.derive(e.nego.suite, e.tap(), shared, response)
	e.beginUpdateAttestation(false, &main, u.request, response)
	u.phase, u.request = updateAnswered, nil
	f := flight{messages: [][]byte{response}, next: &u.next.traffic[e.role]}
	if waits, err := e.attestBefore(f); waits || err != nil {
		return err
	}
	return e.release(f)
}

// takeUpdateResponse handles the response, with which both keys of an initiator change.
func (e *Engine) takeUpdateResponse(m *message.Raw, k *message.ExtendedKeyUpdate) *attls.Error {
	u := e.rekey
	if err := e.checkUpdateGroup(k); err != nil {
		return err
	}
	shared, failure := u.key.Finish(k.Key)
	if failure != nil {
		return asError(failure).Under("key_share.key_exchange")
	}
	main := u.derive(e.nego.suite, e.tap(), shared, m.Bytes)
	e.beginUpdateAttestation(true, &main, u.request, bytes.Clone(m.Bytes))
	u.phase = updateFinishing
	if err := e.takeEarly(); err != nil {
		return err
	}
	if err := e.reader.rekey(&u.next.traffic[e.role.Peer()]); err != nil {
		return err
	}
	own := u.next.traffic[e.role]
	u.request, u.key, u.crossed = nil, nil, false
	finish := message.ExtendedKeyUpdate{Type: attls.KeyUpdateFinish}
	f := flight{messages: [][]byte{finish.Append(nil)}, next: &own}
	if waits, err := e.attestBefore(f); waits || err != nil {
		return err
	}
	if err := e.release(f); err != nil {
		return err
	}
	return e.enterEpoch()
}

// takeUpdateFinish handles the finish, with which the receiving key of a responder changes.
func (e *Engine) takeUpdateFinish() *attls.Error {
	u := e.rekey
	if err := e.reader.rekey(&u.next.traffic[e.role.Peer()]); err != nil {
		return err
	}
	if a := u.att; a != nil && a.ends[e.role.Peer()].place == profile.UpdateBefore {
		if err := e.updateMissing(a, "in front of its key_update_finish"); err != nil {
			return err
		}
	}
	return e.enterEpoch()
}

// enterEpoch makes the next generation the one in use.
func (e *Engine) enterEpoch() *attls.Error {
	u := e.rekey
	u.previous, u.phase = u.now.exporter, updateIdle
	u.now, u.next = u.next, generation{}
	u.now.traffic = [2]secret{} // the halves have them
	e.emit(Event{Kind: EventKeyEpoch, Epoch: u.now.number})
	return e.attestUpdated()
}

// authenticating reports whether post-handshake authentication is under way, at a
// client until its answer is made and at a server until it has read it.
func (e *Engine) authenticating() bool {
	return len(e.post.requests)+e.post.pending > 0 || e.post.reading()
}

// checkRequestOrder refuses a CertificateRequest of a server that takes part in an update.
// One that crosses a request of ours goes first.
func (e *Engine) checkRequestOrder() *attls.Error {
	u := e.rekey
	if u != nil {
		if err := e.checkUpdateSettled(); err != nil {
			return err
		}
	}
	if u == nil || u.phase == updateIdle || u.phase == updateAsked && !u.crossed {
		return nil
	}
	return attls.Errorf(attls.Violation, attls.FailUnexpectedMessage, "CertificateRequest amid an extended key update").
		By(updateDraft + " 9")
}

// afterTranscript is what a post-handshake authentication begins its transcript with:
// the handshake, or transcript_hash_N after an update.
func (e *Engine) afterTranscript() transcript {
	t := e.transcript.clone()
	if u := e.rekey; u != nil && u.now.number > 0 {
		t.hash = e.nego.suite.New()
		t.hash.Write(u.now.hash.bytes())
	}
	return t
}

// ExportEpoch is the exporter of draft-ietf-tls-extended-key-update section 8: as
// Export, from the exporter secret of an epoch, the current or the one before it. Epoch 0
// is that of the handshake.
func (e *Engine) ExportEpoch(epoch uint64, label string, context []byte, length int) ([]byte, error) {
	u := e.rekey
	switch {
	case u == nil || !e.done:
		return nil, attls.Errorf(attls.Local, attls.FailConfiguration, "extended key update was not negotiated")
	case epoch == u.now.number:
		return e.exportFrom(u.now.exporter.bytes(), label, context, length)
	case epoch+1 == u.now.number:
		return e.exportFrom(u.previous.bytes(), label, context, length)
	}
	return nil, attls.Errorf(attls.Local, attls.FailConfiguration,
		"the exporter secret of epoch %d is not kept, the connection is in epoch %d", epoch, u.now.number)
}
