package dissect

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"attls"
	"attls/attestation"
	"attls/attestation/roots"
	"attls/conformance/capture"
	"attls/conformance/claims"
	"attls/conformance/scenario"
	"attls/conformance/trace"
	"attls/extensions/profile"
	"attls/extensions/profile/binder"
	"attls/handshake"
	"attls/negotiation"
)

// judge lets an engine in the place of each end judge what its peer sent, and validates what
// came behind the handshake.
func (d *dissector) judge() {
	judged := d.judgeHandshake()
	d.judgeExported()
	slices.SortStableFunc(d.out.Findings, func(a, b Finding) int { return a.Step - b.Step })
	if judged {
		d.alerts()
	}
}

// judgeHandshake reports whether it could judge anything.
func (d *dissector) judgeHandshake() bool {
	switch {
	case d.seen.hello == nil:
		d.note("No ClientHello was recorded that could be read, so nothing is judged.")
		return false
	case d.seen.resumed():
		d.note(
			"The connection resumes a session. Its key is not in a key log, so only the messages are shown and nothing is " +
				"judged.")
		return false
	case d.c.Differing > 0:
		d.note(
			"%d octets were sent again with other values. Which of them the receiver took is not seen, so nothing is judged.",
			d.c.Differing)
		return false
	}
	if d.findHorizon(); d.horizon.item < len(d.items) {
		kind := d.items[d.horizon.item].Message.Kind
		if kind == attls.KindClientHello {
			d.note("Nothing is judged: %s.", d.horizon.why)
			return false
		}
		d.note("What is sent from %v on is not judged: %s.", kind, d.horizon.why)
	}
	for _, own := range []attls.Role{attls.RoleServer, attls.RoleClient} {
		s := d.shadow(own)
		if err := s.run(); err != nil {
			d.judged(s, err)
		}
		if s.engine != nil && s.engine.Done() {
			d.shadowed = s
		}
		if s.engine != nil && s.stopped == "" && s.engine.Err() == nil && !s.engine.Done() && s.got < len(s.theirs) {
			d.note("What the %v sent is judged up to %v.", own.Peer(), d.items[s.theirs[max(s.got-1, 0)]].Message.Kind)
		}
		if s.stopped != "" && s.got < len(s.theirs) {
			d.note("What the %v sent is judged in part only: %s.", own.Peer(), s.stopped)
		}
	}
	return true
}

// ownBinder reports whether an end whose binder is not defined was about to attest itself: it
// had shown its certificate, and, where it is the server, had not seen the client's.
func (d *dissector) ownBinder(own attls.Role) bool {
	return d.seen.certificate[own] != nil && (own == attls.RoleClient || d.seen.certificate[attls.RoleClient] == nil)
}

// judged sorts what ended a shadow.
func (d *dissector) judged(s *shadow, err *attls.Error) {
	switch {
	case err.Class == attls.FromPeer || d.reached(s) >= d.horizon.item:
		return
	case err.Failure == attls.FailUnexpectedRecord && !d.speaksTLS(s.own.Peer()): // the capture's error says so
		return
	case err.Failure == attls.FailBinderUndefined && d.ownBinder(s.own): // what it could not show, not what it was shown
		return
	case slices.Contains(ownLimits, err.Failure):
		d.note("What the %v sent is judged in part only: %s", s.own.Peer(), err.Detail)
		return
	case err.Class == attls.Local || err.Class == attls.NothingInCommon && err.Failure != attls.FailNothingOffered:
		// What an end can and wants does not stand in a recording.
		d.note(
			"What the %v sent is judged in part only: an engine in the place of the %v would not have gone on as it did: %s",
			s.own.Peer(), s.own, err.Detail)
		return
	}
	step := d.stepOf(s, err.Message)
	f := Finding{Sender: s.own.Peer().String(), Receiver: s.own.String(), Step: step,
		ErrorClaim: *claims.MakeErrorClaim(d.p, err)}
	f.Answered = d.alertOf(s.own)
	d.out.Findings = append(d.out.Findings, f)
	if step >= 0 && d.out.Ladder[step].Broken == nil {
		d.out.Ladder[step].Broken = &f.ErrorClaim
	}
}

// ownLimits are failures of what is read here, not of the peer: it may send
// more than the engine takes, a certificate of a kind that the engine does not
// know, or something that the wrong key opens.
var ownLimits = []attls.Failure{attls.FailLimit, attls.FailEarlyDataLimit, attls.FailUnsupportedCert,
	attls.FailAttestationKey, attls.FailBadRecordMAC}

// speaksTLS reports whether an end sent at least one record.
func (d *dissector) speaksTLS(role attls.Role) bool {
	for _, p := range d.c.Pieces {
		if p.Sender == role {
			return capture.SpeaksTLS(p.Data)
		}
	}
	return true
}

// reached is the item of the peer's message that a shadow handled last.
func (d *dissector) reached(s *shadow) int {
	if n := min(s.got, len(s.theirs)); n > 0 {
		return s.theirs[n-1]
	}
	return 0
}

// stepOf is the step of the peer's message that an error is about: the last one
// handled, or the last of its kind before.
func (d *dissector) stepOf(s *shadow, k attls.MessageKind) int {
	last := -1
	for i := min(s.got, len(s.theirs)) - 1; i >= 0; i-- {
		item := s.theirs[i]
		if last < 0 {
			last = item
		}
		if d.items[item].Message.Kind == k {
			last = item
			break
		}
	}
	if last < 0 {
		return -1
	}
	return d.steps[last]
}

// alertOf is the alert with which a role ended the recorded connection.
func (d *dissector) alertOf(sender attls.Role) *claims.AlertClaim {
	for i := range d.out.Ladder {
		s := &d.out.Ladder[i]
		if s.Alert != nil && s.From == sender.String() && s.Alert.Code != uint8(attls.AlertCloseNotify) {
			return s.Alert
		}
	}
	return nil
}

// alerts says what is known of alerts that no finding explains.
func (d *dissector) alerts() {
	for _, sender := range []attls.Role{attls.RoleClient, attls.RoleServer} {
		a := d.alertOf(sender)
		if a == nil || slices.ContainsFunc(d.out.Findings, func(f Finding) bool { return f.Receiver == sender.String() }) {
			continue
		}
		text := "The " + sender.String() + " ended the connection with " + a.Name +
			"; the checks that a recording allows find nothing wrong with what it had received."
		if d.p != nil {
			if causes := d.causes(attls.AlertDescription(a.Code)); len(causes) > 0 {
				text += " Under " + d.p.ID + " this alert means " + strings.Join(causes, ", ") + "."
			}
		}
		d.note("%s", text)
	}
}

// causes are the profile's failures that have an alert.
func (d *dissector) causes(a attls.AlertDescription) (names []string) {
	for _, f := range attls.AttestationFailures {
		if action := d.p.AlertFor(f); !action.None && !action.Close && action.Alert == a {
			names = append(names, string(f))
		}
	}
	return names
}

// attested is what was found out about one attester.
type attested struct {
	*Attestation
	contents *attestation.Contents // nil: of a format that is not read here
	spki     []byte
	failure  *attls.Error // why the payload does not belong to this connection
}

// attestation describes a payload and compares the challenge in it with the
// binder; once for each payload, by whichever end comes to it first.
func (d *dissector) attestation(
	s *shadow,
	attester attls.Role,
	slot string,
	scheme *profile.Scheme,
	payload, challenge []byte,
	fit profile.ChallengeFit,
) attested {
	a, unread := d.describe(attester, slot, scheme, payload)
	contents := a.contents
	if !d.compute(s, &a, attester, scheme, challenge) {
		d.keep(&a)
		return a
	}
	switch {
	case contents != nil:
		a.failure = contents.Carries(challenge, fit)
		a.Comparison = Equal
		if a.failure != nil {
			a.Comparison, a.Reason = Different, a.failure.Detail
			a.Readings = d.p.FindReadings(
				attester,
				scheme.Model,
				scheme.Credential,
				reach{Inputs: s.engine.InputsOf(slot), d: d},
				contents.Challenge,
			)
		}
	case bytes.Contains(payload, challenge):
		a.Comparison, a.Reason = Equal, "attls does not read this format of payload, but the payload contains the challenge"
	default:
		a.Reason = "the payload is not read here: " + unread.Error()
	}
	d.keep(&a)
	return a
}

// describe says what a payload is, without judging it; the error says why it was not read.
func (d *dissector) describe(attester attls.Role, slot string, scheme *profile.Scheme, payload []byte) (attested,
	error) {
	a := attested{Attestation: &Attestation{Attester: attester.String(), Slot: slot, Model: scheme.Model.String(),
		Credential: claims.CredentialName(scheme.Credential),
		Payload:    trace.DescribeCMW(payload), Comparison: NotComparing, evidence: sha256.Sum256(payload)}}
	if scheme.Model == profile.ModelEvidence {
		a.Format = claims.FormatName(scheme.Format)
	} else {
		a.Verifier = string(scheme.Verifier)
	}
	contents, unread := roots.All().Inspect(payload, scheme.Model)
	if a.contents = contents; contents != nil {
		a.Challenge, a.spki = hex.EncodeToString(contents.Challenge), contents.SPKI
		a.Fields = contents.Fields()
		if contents.Format != nil {
			a.RootOfTrust = contents.Format.Name
		}
	}
	if a.spki != nil {
		sum := sha256.Sum256(a.spki)
		a.Key = hex.EncodeToString(sum[:])
	}
	return a, unread
}

func (d *dissector) keep(a *attested) {
	for i := range d.out.Attestation {
		if old := &d.out.Attestation[i]; old.Slot == a.Slot && old.evidence == a.evidence {
			if old.Comparison == NotComparing {
				*old = *a.Attestation
			}
			return
		}
	}
	d.out.Attestation = append(d.out.Attestation, *a.Attestation)
}

// compute evaluates the binder; false where there is none or it is out of reach.
func (d *dissector) compute(s *shadow, a *attested, attester attls.Role, scheme *profile.Scheme,
	challenge []byte) bool {
	b := &d.p.Binder
	if b.Program == nil || b.Challenge[scheme.Model][scheme.Credential] == "" {
		a.Reason = d.p.ID + " binds nothing here"
		return false
	}
	name := b.Challenge[scheme.Model][scheme.Credential]
	in := reach{Inputs: s.engine.InputsOf(a.Slot), d: d, missing: new(string)}
	v := b.Program.Explain(name, attester, in)
	a.Binder = scenario.MakeBinder(attester, name, v)
	if v.Err == nil {
		return true
	}
	a.Reason = "the binder is out of reach: " + v.Err.Detail
	if *in.missing != "" {
		a.Reason = "the binder is out of reach: " + *in.missing
	}
	return false
}

// reach are the inputs of a binder without the secrets that the shadow made up
// because the key log does not hold them.
type reach struct {
	binder.Inputs
	d       *dissector
	missing *string // why the first of them is missing
}

func (r reach) Secret(s binder.Secret) ([]byte, bool) {
	need, ok := logged[s]
	own, known := r.Inputs.Secret(s)
	if _, have := r.d.recorded(need.secret, len(own)); ok && known && !have {
		if r.missing != nil && *r.missing == "" {
			*r.missing = "it is made from " + need.name
		}
		return nil, false
	}
	return own, known
}

// logged are the secrets that have to come from a key log. Early Secret is not
// among them: without a pre-shared key it is the same in every connection.
var logged = map[binder.Secret]struct {
	secret handshake.SecretName
	name   string
}{
	binder.ECDHE:           {handshake.SecretECDHE, "the (EC)DHE shared secret, which a key log does not hold (RFC 9850)"},
	binder.HandshakeSecret: {handshake.SecretHandshake, "the Handshake Secret, which a key log does not hold (RFC 9850)"},
	binder.MainSecret:      {handshake.SecretMain, "the Main Secret, which a key log does not hold (RFC 9850)"},
	binder.ExporterSecret:  {handshake.SecretExporter, "EXPORTER_SECRET, which this key log lacks"},
}

// appraise answers in the place of the relying party. What only a Verifier can
// tell, whether the attester is to be trusted, is not asked.
func (s *shadow) appraise(r *negotiation.AppraisalRequest) handshake.Answer {
	if slices.ContainsFunc(s.d.p.Slots, func(x profile.Slot) bool { return x.Always && x.Attester == r.Attester }) {
		unmatched := *r // nothing was negotiated that the type could differ from
		unmatched.Match, r = profile.MatchIgnore, &unmatched
	}
	if failure := roots.All().CheckForm(r); failure != nil {
		return refuse(failure)
	}
	a := s.d.attestation(s, r.Attester, r.Slot, &r.Scheme, r.CMW, r.Challenge, r.Fit)
	if a.failure == nil && a.contents != nil {
		a.failure = a.contents.Attests(r)
	}
	if a.failure != nil {
		return refuse(a.failure)
	}
	if a.spki == nil && r.Scheme.Credential == profile.KindAlone {
		s.stop("the key that the %v's payload attests is not known", r.Attester)
	}
	return handshake.Answer{Verdict: &negotiation.Verdict{Status: negotiation.StatusAffirming, SPKI: a.spki}}
}

func refuse(err *attls.Error) handshake.Answer {
	return handshake.Answer{Verdict: &negotiation.Verdict{Failure: err.Failure, Reason: err.Detail}}
}
