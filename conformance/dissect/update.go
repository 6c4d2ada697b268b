package dissect

import (
	"bytes"
	"slices"
	"strconv"

	"attls"
	"attls/attestation"
	"attls/conformance/capture"
	"attls/conformance/claims"
	"attls/conformance/scenario"
	"attls/extensions/profile"
	"attls/extensions/profile/binder"
	"attls/handshake/message"
)

// updatesSeen is what a recording has of extended key updates.
type updatesSeen struct {
	requests  [2][]byte // by sender: the request that is open, the whole message
	exchanges []exchanged
	hashes    [][]byte // transcript_hash_N, as far as they were computed
	broken    bool     // a response answers no request, so that transcript_hash_N is not known any more
	list      []updatePayload
}

// exchanged are the two messages that an update's keys are made from.
type exchanged struct{ request, response []byte }

// updatePayload is what an end attested with an extended key update.
type updatePayload struct {
	slot    int // into Profile.Updates
	by      int // into Profile.Slots: in which it attested before
	scheme  profile.Scheme
	payload []byte
	epoch   int        // that the update begins
	auth    *laterAuth // of the key that is attested; nil: it was shown in the handshake
	item    int
}

// readUpdate takes a message after the handshake that belongs to an update; false: it does not.
func (d *dissector) readUpdate(sender attls.Role, m *message.Raw) bool {
	u, slot := &d.seen.updates, d.p.UpdateSlot(sender)
	if m.Kind == attls.KindAdded {
		if slot < 0 || !d.p.Updates[slot].Added || d.p.Messages[d.p.Updates[slot].Message].Type != m.Type ||
			sender == attls.RoleClient && d.answers() {
			return false
		}
		d.keepUpdate(sender, slot, m.Body())
		return true
	}
	if m.Kind != attls.KindExtendedKeyUpdate || len(m.Body()) == 0 {
		return false
	}
	switch t := attls.ExtendedKeyUpdateType(m.Body()[0]); {
	case t == attls.KeyUpdateRequest:
		u.requests[sender] = m.Bytes
	case t == attls.KeyUpdateResponse:
		request := u.requests[sender.Peer()]
		u.broken = u.broken || request == nil
		u.exchanges, u.requests = append(u.exchanges, exchanged{request, m.Bytes}), [2][]byte{}
	case slot >= 0 && !d.p.Updates[slot].Added && d.p.UpdateMessage(t) == d.p.Updates[slot].Message:
		d.keepUpdate(sender, slot, m.Body())
	}
	return true
}

// answers reports whether the client has a request for authentication to answer, or answers one.
func (d *dissector) answers() bool {
	return d.seen.answered != nil || slices.ContainsFunc(d.seen.requests, func(a *laterAuth) bool { return a.cert == nil })
}

// keepUpdate keeps a payload with the update that it belongs to: the last whose messages were
// exchanged, or, of a responder that attests in front of its response, the one under way.
func (d *dissector) keepUpdate(sender attls.Role, slot int, body []byte) {
	u := &d.seen.updates
	payload, err := d.p.DecodeUpdate(slot, body)
	if err != nil {
		return // the ladder says that it does not parse
	}
	x := updatePayload{slot: slot, by: -1, payload: payload, epoch: len(u.exchanges), item: d.seen.item}
	if d.p.KeyUpdate.Place(false) == profile.UpdateBefore && u.requests[sender.Peer()] != nil {
		x.epoch++
	}
	for i := range d.p.Slots {
		c := d.seen.fields.Choices[i]
		if c != nil && d.p.Slots[i].Attester == sender && d.seen.payloads[i] != nil && x.by < 0 {
			x.by, x.scheme = i, *c
		}
	}
	for _, l := range d.seen.later {
		if d.p.Slots[l.slot].Attester == sender {
			x.by, x.scheme, x.auth = l.slot, l.scheme, l.auth
		}
	}
	u.list = append(u.list, x)
}

// updateInputs is what a binder of an update sees of a recording.
type updateInputs struct {
	reach
	of *updatePayload
}

func (u updateInputs) certificate() certificateInputs {
	if u.of.auth == nil || u.of.auth.cert == nil || len(u.of.auth.cert.Entries) == 0 {
		return certificateInputs{}
	}
	return certificateInputs{u.of.auth.cert.Entries[0].Data}
}

func (u updateInputs) SPKI(r attls.Role) ([]byte, bool) {
	if r == attls.RoleClient && u.of.auth != nil {
		return u.certificate().SPKI(r)
	}
	return u.reach.SPKI(r)
}

func (u updateInputs) Certificate(r attls.Role) ([]byte, bool) {
	if r == attls.RoleClient && u.of.auth != nil {
		c := u.certificate()
		return c.der, c.der != nil
	}
	return u.reach.Certificate(r)
}

func (u updateInputs) Nonce(attester attls.Role) ([]byte, bool) {
	s := &u.d.p.Slots[u.of.by]
	if s.Attester != attester || u.of.auth == nil || s.Nonce.Message != attls.KindCertificateRequest {
		return u.reach.Nonce(attester)
	}
	n := u.of.auth.fields.Nonces[u.of.by]
	return n, n != nil
}

// Later is of the update.
func (u updateInputs) Later(l binder.Later) ([]byte, bool) {
	const header = 4
	last := u.d.seen.updates.exchanges[u.of.epoch-1]
	switch l {
	case binder.NextMainSecret:
		main := u.d.secrets[capture.LabelMain+"_"+strconv.Itoa(u.of.epoch)]
		if main == nil && *u.missing == "" {
			*u.missing = "it is made from main_secret_" + strconv.Itoa(u.of.epoch) + ", which a key log does not hold (RFC 9850)"
		}
		return main, main != nil
	case binder.NextTranscriptHash:
		return u.d.updatedHash(u.Hash(), u.of.epoch)
	case binder.RekeyRequest:
		return last.request, true
	case binder.RekeyRequestBody:
		return last.request[header:], true
	case binder.RekeyResponse:
		return last.response, true
	case binder.RekeyResponseBody:
		return last.response[header:], true
	}
	return nil, false
}

// updatedHash is transcript_hash_N of an epoch, with the hash of a name: from that of the
// handshake on, the hash of the one before, the request and the response.
func (d *dissector) updatedHash(name string, epoch int) ([]byte, bool) {
	u := &d.seen.updates
	if u.hashes == nil {
		h := d.handshakeHash(name, binder.VariantRFC8446)
		if h == nil || u.broken {
			return nil, false
		}
		u.hashes = [][]byte{h.Sum(nil)}
	}
	for n := len(u.hashes); n <= epoch; n++ {
		next := hashOf(name).New()
		next.Write(u.hashes[n-1])
		next.Write(u.exchanges[n-1].request)
		next.Write(u.exchanges[n-1].response)
		u.hashes = append(u.hashes, next.Sum(nil))
	}
	return u.hashes[epoch], true
}

// describeUpdates adds what is known of the payloads with key updates.
func (d *dissector) describeUpdates() {
	for i := range d.seen.updates.list {
		x := &d.seen.updates.list[i]
		attester := d.p.Updates[x.slot].Attester
		a, unread := d.describe(attester, d.p.Updates[x.slot].Name, &x.scheme, x.payload)
		a.Phase, a.Epoch = claims.PhaseKeyUpdate, uint64(x.epoch)
		d.compareUpdate(x, &a, unread)
		d.out.Attestation = append(d.out.Attestation, *a.Attestation)
		if a.Comparison == Different {
			d.foundLater(x.item, attester, a.Reason)
		}
	}
}

// compareUpdate computes the binder of an update, and compares it with the challenge in the
// payload.
func (d *dissector) compareUpdate(x *updatePayload, a *attested, unread error) {
	b, u := &d.p.Binder, &d.seen.updates
	program, name := b.Updated(), b.Challenge[x.scheme.Model][x.scheme.Credential]
	switch {
	case program == nil || name == "":
		a.Reason = d.p.ID + " binds nothing here"
		return
	case d.shadowed == nil || x.by < 0:
		a.Reason = "the binder is out of reach: the handshake, or what was attested there, is not there"
		return
	case u.broken || x.epoch == 0 || x.epoch > len(u.exchanges):
		a.Reason = "the binder is out of reach: a request or response of the key updates is not there"
		return
	}
	attester := d.p.Updates[x.slot].Attester
	in := updateInputs{reach{Inputs: d.shadowed.engine.InputsOf(d.p.Slots[x.by].Name), d: d, missing: new(string)}, x}
	v := program.Explain(name, attester, in)
	a.Binder = scenario.MakeBinder(attester, name, v)
	a.Binder.Epoch = uint64(x.epoch)
	if d.compareWith(a, x.payload, v, *in.missing, unread); a.Comparison == Different {
		a.Readings = d.p.FindUpdateReadingsThat(attester, x.scheme.Model, in, carriedIn(a.contents))
	}
}

// compareWith compares a computed binder with the challenge in a payload.
func (d *dissector) compareWith(a *attested, payload []byte, v *binder.Value, missing string, unread error) {
	switch {
	case v.Err != nil && missing != "":
		a.Reason = "the binder is out of reach: " + missing
	case v.Err != nil:
		a.Reason = "the binder is out of reach: " + v.Err.Detail
	case a.contents == nil && bytes.Contains(payload, v.Octets):
		a.Comparison, a.Reason = Equal, "attls does not read this format of payload, but the payload contains the challenge"
	case a.contents == nil:
		a.Reason = "the payload is not read here: " + unread.Error()
	default:
		a.Comparison = Equal
		if failure := a.contents.Carries(v.Octets, d.p.Binder.Fit); failure != nil {
			a.Comparison, a.Reason = Different, failure.Detail
		}
	}
}

// carriedIn asks whether a challenge is the one in a payload.
func carriedIn(contents *attestation.Contents) func([]byte, profile.ChallengeFit) bool {
	return func(c []byte, fit profile.ChallengeFit) bool { return contents.Carries(c, fit) == nil }
}

// foundLater notes that what was attested after the handshake is not of this connection.
func (d *dissector) foundLater(item int, attester attls.Role, reason string) {
	e := attls.Errorf(attls.Refused, attls.FailBinderMismatch, "%s", reason).In(d.items[item].Message.Kind).By(d.p.ID)
	action := d.p.AlertFor(e.Failure)
	e.Alert, e.HasAlert = action.Alert, !action.None && !action.Close
	f := Finding{Sender: attester.String(), Receiver: attester.Peer().String(), Step: d.steps[item],
		ErrorClaim: *claims.MakeErrorClaim(d.p, e), Answered: d.alertOf(attester.Peer())}
	d.out.Findings = append(d.out.Findings, f)
	if f.Step >= 0 && d.out.Ladder[f.Step].Broken == nil {
		d.out.Ladder[f.Step].Broken = &f.ErrorClaim
	}
}
