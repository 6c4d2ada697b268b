package dissect

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"errors"

	"attls"
	"attls/attestation"
	"attls/attestation/roots"
	"attls/conformance/capture"
	"attls/conformance/claims"
	"attls/conformance/scenario"
	"attls/conformance/trace"
	"attls/extensions"
	"attls/extensions/profile"
	"attls/extensions/profile/binder"
	"attls/handshake"
	"attls/handshake/authenticator"
	"attls/handshake/exported"
	"attls/handshake/message"
	"attls/internal/provider"
	"attls/negotiation"
)

// sent is a request, an authenticator or application data in the records of an end.
type sent struct {
	frame
	from     attls.Role
	messages []message.Raw
	epoch    uint64 // how many extended key updates were complete
	step     int    // in the ladder
}

// exports reports whether requests and authenticators are looked for in application data.
func (d *dissector) exports() bool {
	if d.p == nil || len(d.p.Later) == 0 {
		return false
	}
	r := &d.p.Authenticator
	return r.FlagName == "" || d.flagged(r.Flag)
}

// flagged reports whether both ends have set a TLS flag.
func (d *dissector) flagged(f attls.TLSFlag) bool {
	return d.sets(attls.RoleClient, f) && d.sets(attls.RoleServer, f)
}

// sets reports whether an end has set a TLS flag.
func (d *dissector) sets(own attls.Role, f attls.TLSFlag) bool {
	var l extensions.List
	switch {
	case own == attls.RoleClient && d.seen.hello != nil:
		l = d.seen.hello.Extensions
	case own == attls.RoleServer && d.seen.encrypted != nil:
		l = d.seen.encrypted.Extensions
	}
	x, ok := l.Find(attls.ExtTLSFlags)
	if !ok {
		return false
	}
	flags, err := extensions.ParseTLSFlags(x.Body)
	return err == nil && flags.Has(f)
}

// findExported takes the application data apart. What an end sends that is not framed as the
// profile says is left as it is.
func (d *dissector) findExported() {
	if !d.exports() {
		d.findPlain()
		return
	}
	d.exported, d.inFrame = map[int][]sent{}, map[int]bool{}
	splitters := [2]*splitter{newSplitter(d.p), newSplitter(d.p)}
	epoch := uint64(0)
	for i := range d.items {
		item := &d.items[i]
		if item.Type == attls.ContentTypeHandshake && item.Message.Kind == attls.KindExtendedKeyUpdate && finishes(item) {
			epoch++
		}
		s := splitters[item.Sender]
		if item.Type != attls.ContentTypeApplicationData || item.Sealed || item.Early || s == nil {
			continue
		}
		frames, err := s.split(item.Bytes)
		d.inFrame[i] = err == nil && len(frames) == 0 && len(item.Bytes) > 0
		for _, f := range frames {
			d.exported[i] = append(d.exported[i], sent{frame: f, from: item.Sender,
				messages: messagesOf(f), epoch: epoch, step: -1})
		}
		if err != nil {
			splitters[item.Sender] = nil
			d.note("From here on, application data of the %v is not framed as %s says: %s.", item.Sender, d.p.ID, err.Detail)
		}
	}
	d.cut(splitters)
}

// cut says where the frames of an end are not complete.
func (d *dissector) cut(splitters [2]*splitter) {
	for _, role := range attls.Roles() {
		if s := splitters[role]; s != nil && len(s.rest) > 0 {
			d.note("Of the %v, %d octets at the end are a part of a frame and are not shown.", role, len(s.rest))
		}
	}
}

// finishes reports whether an item ends an extended key update.
func finishes(i *capture.Item) bool {
	var u message.ExtendedKeyUpdate
	return u.Unmarshal(i.Message.Body()) == nil && u.Type == attls.KeyUpdateFinish
}

// messagesOf takes a request or an authenticator apart; nil when it is not one.
func messagesOf(f frame) (list []message.Raw) {
	const header, most = 4, 3
	for rest := f.octets; f.content != exported.ContentData && len(rest) > 0; {
		if len(rest) < header || len(list) == most {
			return nil
		}
		n := header + (int(rest[1])<<16 | int(rest[2])<<8 | int(rest[3]))
		if n > len(rest) {
			return nil
		}
		m, err := message.ParseRaw(rest[:n])
		if err != nil {
			return nil
		}
		list, rest = append(list, m), rest[n:]
	}
	return list
}

// stepsOf are the steps of what an item of application data carries.
func (d *dissector) stepsOf(i int) (steps []trace.Step) {
	list := d.exported[i]
	for k := range list {
		s := &list[k]
		if len(s.messages) == 0 {
			steps = append(steps, trace.DataStep(s.from, len(s.octets)))
			continue
		}
		s.step = len(d.out.Ladder) + len(steps)
		for m := range s.messages {
			step := trace.MessageStep(d.p, s.from, &s.messages[m])
			step.Raw = "" // Bytes has them
			steps = append(steps, step)
		}
	}
	return steps
}

// exchange is what is known of the authenticators of a connection while they are judged.
type exchange struct {
	d      *dissector
	secret []byte
	hash   *provider.Suite
	ends   [2]*authenticator.Connection
	asked  [2]bool // by role: it has asked its peer
	given  [2]bool // by role: it has answered
}

// judgeExported validates requests and authenticators, and compares the binder with what the
// Evidence carries.
func (d *dissector) judgeExported() {
	if len(d.exported) == 0 {
		return
	}
	x := d.newExchange()
	for i := range d.items {
		for k := range d.exported[i] {
			s := &d.exported[i][k]
			if err := x.take(s); err != nil {
				d.foundExported(s, err)
			}
		}
	}
}

func (d *dissector) newExchange() *exchange {
	x := &exchange{d: d}
	if d.seen.server == nil || d.seen.hello == nil {
		return x
	}
	suite, ok := provider.Real().Suite(d.seen.server.CipherSuite)
	if !ok {
		return x
	}
	x.hash = suite
	x.secret, ok = d.recorded(handshake.SecretExporter, suite.HashLen)
	if !ok {
		d.note("Authenticators are shown and not validated: EXPORTER_SECRET is not in the key log.")
		return x
	}
	var added []extensions.Row
	if d.p != nil {
		added = d.p.LaterExtensions
	}
	table, err := extensions.RFC8446().With(added...)
	if err != nil {
		return x
	}
	hash := crypto.SHA256
	if suite.HashLen == crypto.SHA384.Size() {
		hash = crypto.SHA384
	}
	for _, role := range attls.Roles() {
		x.ends[role], _ = authenticator.New(&authenticator.Config{Role: role, Version: attls.VersionTLS13,
			HandshakeComplete: true, Hash: hash, Export: authenticator.ExporterOf(hash, x.secret), Extensions: table,
			ClientHello: d.offered()})
	}
	return x
}

// take judges one thing that an end has sent.
func (x *exchange) take(s *sent) error {
	from, to := s.from, s.from.Peer()
	switch {
	case s.content == exported.ContentData:
		if x.d.p.Authenticator.Waits() && x.asked[to] && !x.given[from] {
			return attls.Errorf(attls.Violation, attls.FailUnexpectedMessage,
				"application data before the attestation is complete").By(x.d.p.ID)
		}
		return nil
	case s.content == exported.ContentRequest:
		x.asked[from] = true
		if x.ends[to] == nil {
			return nil
		}
		_ = x.ends[from].Adopt(s.octets) // its receiver says what is wrong
		_, err := x.ends[to].Receive(s.octets)
		return err
	}
	x.given[from] = true
	var id *authenticator.Identity
	if x.ends[to] != nil {
		var err error
		if id, err = x.ends[to].Open(s.octets); authenticator.Refused(err) {
			x.d.note("The %v refuses to attest, with the empty authenticator.", from)
			return nil
		} else if err != nil {
			return err
		}
	}
	return x.attested(s, id)
}

// attested describes the payload of an authenticator. The identity is nil where nothing
// could be validated.
func (x *exchange) attested(s *sent, id *authenticator.Identity) error {
	if x.d.plain {
		return nil
	}
	slot := x.d.p.LaterSlot(s.from)
	if slot < 0 || len(s.messages) == 0 {
		return nil
	}
	ct := parse[message.Certificate](&s.messages[0])
	if ct == nil || len(ct.Entries) == 0 {
		return nil
	}
	l := &x.d.p.Later[slot]
	e, ok := ct.Entries[0].Extensions.Find(l.Extension)
	if !ok {
		return attls.Errorf(attls.Refused, attls.FailMissing, "the %v shows a certificate and no payload", s.from).
			Under("certificate_list[0].extensions").In(attls.KindCertificate).By(x.d.p.ID)
	}
	var in *exportedInputs
	var value profile.ValueOf // of an object around the payload
	if id != nil {
		in = &exportedInputs{certificateInputs: certificateInputs{id.Chain[0]}, x: x, context: ct.Context}
		value = func(definition string) ([]byte, error) { return x.d.p.Binder.Program.Eval(definition, id.Role, in) }
	}
	payload, err := x.d.p.DecodeLater(slot, e.Body, value)
	if err != nil {
		return err
	}
	scheme := modelOf(payload, l)
	a, unread := x.d.describe(s.from, l.Name, scheme, payload)
	a.Phase, a.Epoch, a.RequestContext = "authenticator", s.epoch, hex.EncodeToString(ct.Context)
	failure := roots.All().CheckForm(&negotiation.AppraisalRequest{Profile: x.d.p.ID, Attester: s.from, Slot: l.Name,
		Scheme: *scheme, CMW: payload, Match: profile.MatchIgnore})
	if failure == nil {
		failure = x.compare(&a, in, payload, unread, id)
	} else {
		a.Reason = failure.Detail
	}
	x.d.out.Attestation = append(x.d.out.Attestation, *a.Attestation)
	if failure != nil {
		return failure.Under("attestation of the " + s.from.String()).In(attls.KindCertificate)
	}
	return nil
}

// modelOf is the scheme of a payload, which nothing in the exchange names.
func modelOf(payload []byte, l *profile.LaterSlot) *profile.Scheme {
	s := &profile.Scheme{Model: l.Models[0], Credential: profile.KindX509}
	for _, m := range l.Models {
		if _, err := roots.All().Inspect(payload, m); err == nil {
			s.Model = m
			break
		}
	}
	if cmw, err := attestation.ParseCMW(payload, attestation.Limits{}); err == nil {
		s.Format = cmw.Format
	}
	return s
}

// compare computes the binder, and says why the payload is not of this connection.
func (x *exchange) compare(a *attested, in *exportedInputs, payload []byte, unread error,
	id *authenticator.Identity) *attls.Error {
	b := &x.d.p.Binder
	model, _ := profile.ParseModel(a.Model)
	name := b.Authenticator[model]
	switch {
	case b.Program == nil || name == "":
		a.Reason = x.d.p.ID + " binds nothing here"
		return nil
	case id == nil:
		a.Reason = "the binder is out of reach: EXPORTER_SECRET is not known"
		return nil
	}
	v := b.Program.Explain(name, id.Role, in)
	a.Binder = scenario.MakeBinder(id.Role, name, v)
	switch {
	case v.Err != nil:
		a.Reason = "the binder is out of reach: " + v.Err.Detail
		return nil
	case a.contents == nil && bytes.Contains(payload, v.Octets):
		a.Comparison, a.Reason = Equal, "attls does not read this format of payload, but the payload contains the challenge"
		return nil
	case a.contents == nil:
		a.Reason = "the payload is not read here: " + unread.Error()
		return nil
	}
	a.Comparison = Equal
	if failure := a.contents.Carries(v.Octets, b.Fit); failure != nil {
		a.Comparison, a.Reason = Different, failure.Detail
		a.Readings = x.d.p.FindLaterReadingsThat(id.Role, model, in, func(c []byte, fit profile.ChallengeFit) bool {
			return a.contents.Carries(c, fit) == nil
		})
		return failure
	}
	return a.contents.Attests(&negotiation.AppraisalRequest{Attester: id.Role, SPKI: id.SPKI, Challenge: v.Octets,
		Fit: b.Fit, KeyBound: b.OverKeyLater(model, id.Role)})
}

// exportedInputs is what a binder of an authenticator sees of a recording.
type exportedInputs struct {
	certificateInputs
	x       *exchange
	context []byte
}

func (i *exportedInputs) Hash() string {
	if i.x.hash.HashLen == crypto.SHA384.Size() {
		return "SHA-384"
	}
	return "SHA-256"
}

func (i *exportedInputs) Secret(s binder.Secret) ([]byte, bool) {
	return i.x.secret, s == binder.ExporterSecret
}

func (i *exportedInputs) RequestContext(attls.Role) ([]byte, bool) { return i.context, true }

// foundExported notes a rule that a sender broke.
func (d *dissector) foundExported(s *sent, err error) {
	var named *attls.Error
	if !errors.As(err, &named) {
		return
	}
	e := *named
	e.HasAlert = false // the application decides what follows (RFC 9261 section 7.4)
	if !d.plain {
		e.Alert, e.HasAlert = attls.DefaultAlert(e.Failure), !d.p.Authenticator.Report
	}
	if e.Failure.Attestation() && !d.plain {
		action := d.p.AlertFor(e.Failure)
		// close_notify is how an end closes that tells of nothing.
		e.Alert, e.HasAlert = action.Alert, e.HasAlert && !action.None && action.Alert != attls.AlertCloseNotify
	}
	f := Finding{Sender: s.from.String(), Receiver: s.from.Peer().String(), Step: s.step,
		ErrorClaim: *claims.MakeErrorClaim(d.p, &e)}
	f.Answered = d.alertOf(s.from.Peer())
	d.out.Findings = append(d.out.Findings, f)
	if s.step >= 0 && d.out.Ladder[s.step].Broken == nil {
		d.out.Ladder[s.step].Broken = &f.ErrorClaim
	}
}

// fitsExported counts the requests and authenticators that a connection has under a profile,
// and those whose binder is the one that their Evidence carries.
func fitsExported(p *profile.Profile, c *capture.Connection, keys capture.KeyLog, items []capture.Item) (n int) {
	if len(p.Later) == 0 {
		return 0
	}
	d := &dissector{p: p, c: c, items: items, out: &Dissection{}}
	d.read(keys)
	if d.findExported(); len(d.exported) == 0 {
		return 0
	}
	for _, list := range d.exported {
		for _, s := range list {
			for i := range s.messages {
				for _, x := range trace.MessageStep(p, s.from, &s.messages[i]).Extensions {
					if x.Added {
						n++
					}
				}
			}
		}
	}
	d.judgeExported()
	for i := range d.out.Attestation {
		if d.out.Attestation[i].Comparison == Equal {
			n++
		}
	}
	return n
}
