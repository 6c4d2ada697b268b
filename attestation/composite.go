package attestation

import (
	"bytes"
	"context"
	"crypto"
	"fmt"
	"slices"
	"strings"

	"attls"
	"attls/extensions/profile"
	"attls/negotiation"

	"github.com/veraison/ear"
)

// Composite is the name of the format of composite Evidence.
const Composite = "composite"

// MediaTypeCMW is that of a CMW itself (draft-ietf-rats-msg-wrap-23 section 9): what is
// negotiated for Evidence of several formats in one collection.
const MediaTypeCMW = "application/cmw+cbor"

const (
	ruleComposite = "draft-ietf-rats-msg-wrap-23 3.3"
	// CheckMachine is the check that the parts of composite Evidence are of one machine.
	CheckMachine = "machine"
)

// Part is Evidence of one format inside composite Evidence.
type Part struct {
	Label   string // in the collection
	Format  *Format
	Reading *Reading
}

// Machine is what a relying party knows of one machine: the devices in it, by the names
// of the formats in which they attest (Reading.Instance, Appraisal.Instance). Composite
// Evidence whose parts are of these devices is of one machine.
type Machine struct {
	Name      string
	Instances map[string][]byte
}

// WithComposite is the table with composite Evidence: a CMW collection of records (or
// collections) of the formats of this table, all of which must be affirming. The parts
// must be shown to be of one machine: they attest the same key, have a value in common
// (Link), or are devices of a Machine that the Verifier knows. Otherwise the verdict
// says that they were not, and is not affirming.
func (t Formats) WithComposite() (Formats, error) { return t.With(t.composite()) }

// composite is the row of composite Evidence whose parts are of the table.
func (t Formats) composite() Format {

	return Format{
		Name:   Composite,
		Title:  "Evidence of several formats in one collection",
		Source: ruleComposite,
		Types:  []Type{{MediaType: MediaTypeCMW, Bare: true, Note: "the type of a CMW itself"}},
		Mine: func(b []byte) bool {
			c, err := ParseCMW(b, Limits{Size: defaultSize})
			return err == nil && c.IsCollection() &&
				!slices.ContainsFunc(t.rows, func(f *Format) bool { return slices.Contains(f.Collections, c.CollectionType) })
		},
		Challenge: ChallengeField{
			Name:    "the challenge fields of all parts",
			Rule:    ruleComposite,
			Max:     maxNonce,
			Padding: true,
		},
		Key:           KeyNaming{Named: true, How: "the parts that name one"},
		Says:          []string{"instance-identity", "configuration", "executables", "hardware", "runtime-opaque"},
		FurtherClaims: true,
		Read:          t.readComposite,
		Policy:        Listed(compositePolicy{}),
	}
}

// readComposite reads the parts with the readers of their formats.
func (t Formats) readComposite(c *CMW) (*Reading, *attls.Error) {
	inner, err := ParseCMW(c.Value, Limits{Size: defaultSize})
	if err != nil {
		return nil, err
	}
	if !inner.IsCollection() || len(inner.Members) < 2 {
		return nil, malformed(-1, ruleComposite, "composite Evidence is a collection of two records or more")
	}
	if err := inner.checkIndicators(profile.ModelEvidence); err != nil {
		return nil, err
	}
	out := &Reading{}
	for _, m := range inner.Members {
		label := fmt.Sprint(m.Label)
		f, err := t.part(m.CMW)
		if err != nil {
			return nil, under(err, label)
		}
		r, err := f.read(m.CMW)
		if err == nil {
			err = r.Critical
		}
		if err != nil {
			return nil, under(err, label)
		}
		out.Parts = append(out.Parts, Part{label, f, r})
		if out.Key == nil {
			out.Key = r.Key
		}
		if out.Claim == nil {
			out.Claim = r.Claim
		}
	}
	out.Fields = func() (list []Field) {
		for _, p := range out.Parts {
			if p.Reading.Fields == nil {
				continue
			}
			for _, f := range p.Reading.Fields() {
				f.Name, f.Start, f.End = p.Label+"."+f.Name, 0, 0
				list = append(list, f)
			}
		}
		return list
	}
	return out, nil
}

// part is the row that reads a part. Its type must be that of a row.
func (t Formats) part(c *CMW) (*Format, *attls.Error) {
	known := slices.ContainsFunc(t.rows, func(f *Format) bool { return slices.Contains(f.Collections, c.CollectionType) })
	if c.IsCollection() && known || !c.IsCollection() && t.Of(c.Format) != nil {
		return t.find(c, c.Format)
	}
	what := FormatString(c.Format)
	if c.IsCollection() {
		what = fmt.Sprintf("a collection of the type %q", c.CollectionType)
	}
	return nil, attls.Errorf(attls.Violation, attls.FailFormatMismatch, "a part of no known format: %s", what).
		Under("type").By(ruleComposite)
}

// compositePolicy has the policy of each part's format judge it.
type compositePolicy struct{}

// Judge implements Policy.
func (compositePolicy) Judge(ctx context.Context, a *Appraisal) {
	judged := make([]*Appraisal, len(a.Reading.Parts))
	for i, p := range a.Reading.Parts {
		x := *a
		x.Format, x.Reading, x.Vector, x.prefix, x.unchecked = p.Format, p.Reading, ear.TrustVector{}, p.Label+": ", nil
		policy, err := a.verifier.policy(p.Format)
		if err != nil {
			x.Check(CheckPolicy, err, "")
		} else {
			x.judge(ctx, policy)
		}
		judged[i] = &x
		a.part(&x)
	}
	a.Check(CheckKey, sameKeys(a.Reading.Parts), "no two parts name different keys")
	a.machine(judged)
}

// part takes in the verdict on a part: the worst of each claim, the soonest end.
func (a *Appraisal) part(x *Appraisal) {
	if tier := tierOf(&x.Vector); tier != ear.TrustTierAffirming && len(x.unchecked) == 0 {
		x.Check(
			CheckStatus,
			refused(attls.FailAppraisal, ruleComposite, "the status is %s; all parts must be affirming",
				ear.TrustTierToString[tier]),
			"",
		)
	}
	worst := func(to *ear.TrustClaim, from ear.TrustClaim) {
		if from.GetTier() > to.GetTier() || *to == 0 {
			*to = from
		}
	}
	worst(&a.Vector.InstanceIdentity, x.Vector.InstanceIdentity)
	worst(&a.Vector.Configuration, x.Vector.Configuration)
	worst(&a.Vector.Executables, x.Vector.Executables)
	worst(&a.Vector.FileSystem, x.Vector.FileSystem)
	worst(&a.Vector.Hardware, x.Vector.Hardware)
	worst(&a.Vector.RuntimeOpaque, x.Vector.RuntimeOpaque)
	worst(&a.Vector.StorageOpaque, x.Vector.StorageOpaque)
	worst(&a.Vector.SourcedData, x.Vector.SourcedData)
	a.Ends(x.Until)
	a.AcceptUnattested = a.AcceptUnattested || x.AcceptUnattested
	a.unchecked = append(a.unchecked, x.unchecked...)
}

// sameKeys refuses parts that name different keys.
func sameKeys(parts []Part) *attls.Error {
	var first crypto.PublicKey
	for _, p := range parts {
		switch {
		case p.Reading.Key == nil:
		case first == nil:
			first = p.Reading.Key
		case !sameKey(first, p.Reading.Key):
			return refused(attls.FailTIKMismatch, ruleComposite,
				"the part %q names another key than the parts before it", p.Label)
		}
	}
	return nil
}

// machine looks for what shows that the parts are of one machine.
func (a *Appraisal) machine(parts []*Appraisal) {
	for i := range a.verifier.Machines {
		if m := &a.verifier.Machines[i]; m.has(parts) {
			a.Check(CheckMachine, nil, fmt.Sprintf("the parts are devices of the machine %q", m.Name))
			return
		}
	}
	// Parts that have a link in common are of one machine; all must be, with the first.
	reached := []*Appraisal{parts[0]}
	for grown := true; grown; {
		grown = false
		for _, x := range parts {
			if !slices.Contains(reached, x) && slices.ContainsFunc(reached, func(y *Appraisal) bool { return linked(x, y) }) {
				reached, grown = append(reached, x), true
			}
		}
	}
	if len(reached) == len(parts) {
		a.Check(CheckMachine, nil, "the parts have the key, or another value, in common")
		return
	}
	var names []string
	for _, x := range parts {
		if !slices.Contains(reached, x) {
			names = append(names, x.Format.Name)
		}
	}
	a.Unchecked(CheckMachine, "nothing shows that the Evidence of %s is of the same machine as that of %s",
		strings.Join(names, ", "), parts[0].Format.Name)
}

// has reports whether all parts are devices of the machine.
func (m *Machine) has(parts []*Appraisal) bool {
	return !slices.ContainsFunc(parts, func(x *Appraisal) bool {
		id := x.instance()
		return id == nil || !bytes.Equal(m.Instances[x.Format.Name], id)
	})
}

// instance is the identifier of the device: what the policy found, or what the Evidence
// says.
func (a *Appraisal) instance() []byte {
	if a.Instance != nil {
		return a.Instance
	}
	return a.Reading.Instance
}

// linked reports whether two parts have a value in common: the key that both attest, or
// a link of the same kind.
func linked(x, y *Appraisal) bool {
	if x.Reading.Key != nil && y.Reading.Key != nil && x.Format.Machine != "" && y.Format.Machine != "" &&
		sameKey(x.Reading.Key, y.Reading.Key) {
		return true
	}
	return slices.ContainsFunc(x.Reading.Links, func(l Link) bool {
		return slices.ContainsFunc(
			y.Reading.Links,
			func(o Link) bool { return l.Kind == o.Kind && bytes.Equal(l.Value, o.Value) },
		)
	})
}

// CompositeAttester makes Evidence of several formats, in one collection. The first
// part that holds keys itself, or else the first that names one, makes the key of a
// credential that is the attestation alone.
type CompositeAttester struct {
	Parts []AttesterPart // two or more
	// Relays lists the Verifiers whose results can be relayed.
	Relays []Relay
}

// AttesterPart is the Attester of one format, and its label in the collection.
type AttesterPart struct {
	Label    string
	Attester negotiation.Attester
	Format   *Format
}

var _ negotiation.Attester = (*CompositeAttester)(nil)

// Schemes lists the type of a CMW, then results by Relays.
func (c *CompositeAttester) Schemes() []negotiation.Scheme {
	return append(compositeSchemes(), relayed(c.Relays)...)
}

func compositeSchemes() []negotiation.Scheme {
	return []negotiation.Scheme{{Model: profile.ModelEvidence, Format: profile.Format{MediaType: MediaTypeCMW}}}
}

// ChallengeSize is the greatest that a part wants.
func (c *CompositeAttester) ChallengeSize() (n int) {
	for _, p := range c.Parts {
		n = max(n, p.Attester.ChallengeSize())
	}
	return n
}

// Attest makes Evidence of all parts, or has a Verifier make the result to relay.
func (c *CompositeAttester) Attest(ctx context.Context, r *negotiation.EvidenceRequest) (*negotiation.Evidence, error) {
	if r.Scheme.Model == profile.ModelResults {
		return c.relay(ctx, r)
	}
	out := &negotiation.Evidence{}
	q := *r
	collection := &CMW{Form: CBORCollection}
	for _, i := range c.order() {
		p := &c.Parts[i]
		q.Scheme = p.Format.Schemes()[0]
		q.Scheme.Credential = r.Scheme.Credential
		ev, err := p.Attester.Attest(ctx, &q)
		if err != nil {
			return nil, unavailable(fmt.Errorf("the part %q: %w", p.Label, err))
		}
		if q.SPKI == nil {
			q.SPKI, out.SPKI, out.Signer = ev.SPKI, ev.SPKI, ev.Signer
		}
		member, failure := ParseCMW(ev.CMW, Limits{})
		if failure != nil {
			return nil, unavailable(fmt.Errorf("the part %q: %w", p.Label, failure))
		}
		collection.Members = append(collection.Members, Member{p.Label, member})
	}
	var err error
	if out.CMW, err = collection.Encode(); err != nil {
		return nil, unavailable(err)
	}
	return out, nil
}

// relay has a Verifier judge Evidence of ours. The key of a credential that is the
// attestation alone comes with that Evidence.
func (c *CompositeAttester) relay(ctx context.Context, r *negotiation.EvidenceRequest) (*negotiation.Evidence, error) {
	out, spki := &negotiation.Evidence{}, r.SPKI
	if spki == nil {
		i := c.order()[0]
		q := *r
		q.Scheme = c.Parts[i].Format.Schemes()[0]
		ev, err := c.Parts[i].Attester.Attest(ctx, &q)
		if err != nil {
			return nil, unavailable(err)
		}
		out.Signer, out.SPKI, spki = ev.Signer, ev.SPKI, ev.SPKI
	}
	keyless := !slices.ContainsFunc(c.Parts, func(p AttesterPart) bool { return p.Format.Key.Named })
	var err error
	out.CMW, err = relay(ctx, c.Relays, compositeSchemes(), keyless, r, spki,
		func(ctx context.Context, q *negotiation.EvidenceRequest, spki []byte) ([]byte, error) {
			with := *q
			with.SPKI = spki
			ev, err := c.Attest(ctx, &with)
			if err != nil {
				return nil, err
			}
			return ev.CMW, nil
		})
	if err != nil {
		return nil, unavailable(err)
	}
	return out, nil
}

// Compose makes one machine of the emulators of several roots of trust, and what trusts
// it: each part, and that the parts are of one machine.
func (t Formats) Compose(ctx context.Context, names []string, o EmulatorOptions) (*Emulation, error) {
	if len(names) < 2 {
		return nil, fmt.Errorf("composite Evidence has two parts or more, not %d", len(names))
	}
	c := &CompositeAttester{}
	out := &Emulation{Attester: c, Policies: map[string]Policy{}}
	for i, name := range names {
		f, err := t.Named(name)
		if err != nil {
			return nil, err
		}
		if slices.Contains(names[:i], name) {
			return nil, fmt.Errorf("%s appears twice; each part of composite Evidence is of another format", name)
		}
		if f.Emulate == nil {
			return nil, fmt.Errorf("%s has no emulator", name)
		}
		e, err := f.Emulate(ctx, o)
		if err != nil {
			return nil, fmt.Errorf("the emulator of %s: %w", name, err)
		}
		c.Parts = append(c.Parts, AttesterPart{name, e.Attester, f})
		out.Endorsements = append(out.Endorsements, e.Endorsements...)
		out.References = append(out.References, e.References...)
		if e.Policy != nil {
			out.Policies[name] = e.Policy
		}
	}
	machine, err := c.machine(ctx, &Verifier{Table: t, Endorsements: out.Endorsements, References: out.References,
		Policies: out.Policies, Clock: o.Clock})
	out.Machines = []Machine{machine}
	return out, err
}

// machine asks the parts once which devices they are, and a Verifier that trusts them.
func (c *CompositeAttester) machine(ctx context.Context, v *Verifier) (m Machine, err error) {
	m = Machine{Name: "the emulators", Instances: map[string][]byte{}}
	key, err := deriveKey(nil, "a key that is asked about once")
	if err != nil {
		return m, err
	}
	spki, err := spkiOf(key.Public())
	if err != nil {
		return m, err
	}
	for _, p := range c.Parts {
		r := &negotiation.EvidenceRequest{Scheme: p.Format.Schemes()[0], SPKI: spki}
		if KeysOf(p.Attester) != nil {
			r.SPKI = nil
		}
		ev, err := p.Attester.Attest(ctx, r)
		if err != nil {
			return m, fmt.Errorf("the emulator of %s: %w", p.Label, err)
		}
		if id := v.deviceOf(ctx, r.Scheme, ev.CMW); id != nil {
			m.Instances[p.Format.Name] = id
		}
	}
	return m, nil
}

// deviceOf is the device that Evidence is of; nil where neither it nor its policy says.
func (v *Verifier) deviceOf(ctx context.Context, s negotiation.Scheme, payload []byte) []byte {
	r := &negotiation.AppraisalRequest{Scheme: s, CMW: payload}
	a := &appraisal{Verifier: v, r: r, at: v.now(), verdict: &negotiation.Verdict{}}
	x, policy, ok := a.take()
	if !ok {
		return nil
	}
	x.judge(ctx, policy)
	return x.instance()
}

// order lists the parts with the one that makes the key first.
func (c *CompositeAttester) order() (list []int) {
	first := slices.IndexFunc(c.Parts, func(p AttesterPart) bool { return KeysOf(p.Attester) != nil })
	if first < 0 {
		first = max(0, slices.IndexFunc(c.Parts, func(p AttesterPart) bool { return p.Format.Key.Named }))
	}
	list = []int{first}
	for i := range c.Parts {
		if i != first {
			list = append(list, i)
		}
	}
	return list
}
