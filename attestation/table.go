package attestation

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"attls"
	"attls/extensions/profile"
	"attls/negotiation"
)

// Format is a row of the table of Evidence formats: all that is known here of one
// root of trust. A root of trust is a package that makes one such row; nothing else
// has to learn of it. docs/roots-of-trust.md tells how to add one.
type Format struct {
	// Name is what --root-of-trust and the files call it: lower-case letters,
	// digits and hyphens.
	Name string
	// Title says in a few words what the root of trust is.
	Title string
	// Source is the specification of the Evidence.
	Source string

	// Types are those of a CMW that holds this Evidence, the preferred one first.
	// At least one; all are Bare or none is.
	Types []Type
	// Collections are the types (__cmwc_t) of CMW collections that as a whole are
	// Evidence of this format.
	Collections []string
	// Mine tells this format from others that share a type with it, by the value of
	// a record. Formats that share a type must all have it.
	Mine func(value []byte) bool

	Challenge ChallengeField
	Key       KeyNaming
	// FurtherClaims is whether the Evidence can carry values that a profile wants
	// besides the challenge (claims tik_pub, tik_pub_hash).
	FurtherClaims bool
	// Says lists the claims of the trustworthiness vector
	// (draft-ietf-rats-ar4si) that a verdict on this Evidence can set.
	Says []string
	// Machine says how the Evidence is shown to come from the same machine as
	// accompanying Evidence of another format; empty: it cannot be shown.
	Machine string
	// Unsigned says which octets no signature covers, and why that does no harm;
	// empty: none.
	Unsigned string

	// Read takes the Evidence apart without a judgement: a CMW record of one of
	// Types, or a collection of one of Collections. What it returns may refer to the
	// octets of the CMW. Errors are FailMalformedCMW, or FailFormatMismatch where
	// the octets are sound and of something else.
	Read func(c *CMW) (*Reading, *attls.Error)
	// Policy reads the section of this format in a verifier's file, and makes of it
	// what judges. A nil section: the file has none; then the format is judged by
	// Endorsements and References, or nothing is trusted and Policy returns nil.
	Policy func(s *Section) (Policy, error)
	// Publisher is the service with what judging needs besides the Evidence; nil: none.
	Publisher *Publisher

	// Open makes an Attester of the section `device` of an attester's file. Nil
	// where nothing here makes this Evidence.
	Open func(ctx context.Context, o DeviceOptions) (negotiation.Attester, error)
	// Emulate makes an emulator out of a seed, and what trusts it. Nil where there
	// is none.
	Emulate func(ctx context.Context, o EmulatorOptions) (*Emulation, error)
	// OwnKeys is whether the root of trust holds the keys of handshakes itself
	// (KeyMaker). Its emulator may have new keys in each process, so that what one
	// attests another does not trust without its files.
	OwnKeys bool

	parts []*Format // of composite Evidence whose parts are known
}

// Type is a type of a CMW: a media type with its parameters, a CoAP content format,
// or both for one that has both.
type Type struct {
	MediaType     string
	ContentFormat uint16 // 0: it has none
	// Bare: the Evidence is sent without a CMW around it.
	Bare bool
	// Note says who defines the type, where no registry does.
	Note string
}

// Forms are the ways to negotiate the type: by content format, by media type.
func (t Type) Forms() (list []profile.Format) {
	if t.ContentFormat != 0 {
		list = append(list, profile.Format{ContentFormat: t.ContentFormat})
	}
	if t.MediaType != "" {
		list = append(list, profile.Format{MediaType: t.MediaType})
	}
	return list
}

// Tag is the number of the CBOR tag of a CMW of this type (RFC 9277 section 4.3);
// false for a type without a content format.
func (t Type) Tag() (uint64, bool) {
	if t.ContentFormat == 0 {
		return 0, false
	}
	return tagOf(t.ContentFormat), true
}

// String is the media type, or the number of the content format.
func (t Type) String() string { return FormatString(t.Forms()[len(t.Forms())-1]) }

// ChallengeField is the field of Evidence that a challenge enters.
type ChallengeField struct {
	Name string // as the specification calls it
	Rule string // where it is specified
	// Sizes are the lengths that the field can have, in octets, ascending. Nil: any
	// from Min to Max.
	Sizes    []int
	Min, Max int
	// Padding is whether zero octets may fill the field, where a profile wants that
	// (ChallengeFit). It is false for fields whose verifiers compare a value of its
	// own length.
	Padding bool
	// Wants is the length that an Attester asks the profile to derive, where one
	// lets it (negotiation.Attester.ChallengeSize); 0: any.
	Wants int
}

// KeyNaming is how Evidence is tied to the key of the handshake.
type KeyNaming struct {
	Named bool   // the Evidence itself names the key
	How   string // by what: cnf, TPM2_Certify, …; where not Named: what there is instead
}

// least is the length of the shortest field, in octets.
func (f *ChallengeField) least() int {
	if len(f.Sizes) > 0 {
		return f.Sizes[0]
	}
	return f.Min
}

// most is the length of the longest.
func (f *ChallengeField) most() int {
	if n := len(f.Sizes); n > 0 {
		return f.Sizes[n-1]
	}
	return f.Max
}

// takes reports whether a field can have n octets.
func (f *ChallengeField) takes(n int) bool {
	if f.Sizes != nil {
		return slices.Contains(f.Sizes, n)
	}
	return n >= f.Min && n <= f.Max
}

// Place puts a challenge into the field: the whole field, padding included. A
// challenge that fits goes in as it is, and both ends do the same. Otherwise the fit
// of the profile decides; where it does not help the error is FailBinderUndefined. A
// nil challenge, which binds nothing, gives zero octets of the least length.
func (f *ChallengeField) Place(challenge []byte, fit profile.ChallengeFit) ([]byte, *attls.Error) {
	n := len(challenge)
	switch {
	case challenge == nil:
		return make([]byte, f.least()), nil
	case f.takes(n):
		return challenge, nil
	}
	for _, size := range f.larger(n) {
		if f.Padding && (fit == profile.FitPadRight || fit == profile.FitPadLeft) {
			return PlaceChallenge(challenge, size, size, fit)
		}
	}
	if fit == profile.FitSHA512 && f.takes(hashedChallenge) {
		return PlaceChallenge(challenge, hashedChallenge, hashedChallenge, fit)
	}
	return nil, attls.Errorf(attls.Violation, attls.FailBinderUndefined,
		"a challenge of %d octets; the field takes %s and the profile's fit (%s) does not help",
		n, f.Lengths(), fitNames[fit]).Under(f.Name).By(f.Rule)
}

// hashedChallenge is what ChallengeFit sha512 makes, in octets.
const hashedChallenge = 64

// larger are the lengths of the field that have room for n octets, the least of them
// alone.
func (f *ChallengeField) larger(n int) []int {
	for _, size := range f.Sizes {
		if size > n {
			return []int{size}
		}
	}
	if f.Sizes == nil && n < f.Min {
		return []int{f.Min}
	}
	return nil
}

// Lengths says which lengths the field can have, in octets.
func (f *ChallengeField) Lengths() string {
	if f.Sizes == nil {
		if f.Min == f.Max {
			return fmt.Sprint(f.Min)
		}
		return fmt.Sprintf("%d to %d", f.Min, f.Max)
	}
	var list []string
	for _, n := range f.Sizes {
		list = append(list, fmt.Sprint(n))
	}
	if n := len(list); n > 1 {
		return strings.Join(list[:n-1], ", ") + " or " + list[n-1]
	}
	return list[0]
}

// tagOf is TN() of RFC 9277 section 4.3.
func tagOf(contentFormat uint16) uint64 {
	n := uint64(contentFormat)
	var base [8]byte
	copy(base[4:], "ct\x01\x01")
	return binary.BigEndian.Uint64(base[:]) + n/255*256 + n%255
}

// Formats is a table of Evidence formats. It is a value: With makes a new table, and
// nothing is registered anywhere. The zero value is empty.
type Formats struct{ rows []*Format }

// NewFormats makes a table. Rows that are not complete, or that cannot be told apart,
// are an error.
func NewFormats(rows ...Format) (Formats, error) { return Formats{}.With(rows...) }

// With is the table with further rows.
func (t Formats) With(rows ...Format) (Formats, error) {
	out := Formats{slices.Clone(t.rows)}
	for i := range rows {
		f := rows[i]
		if err := f.check(); err != nil {
			return Formats{}, fmt.Errorf("the format %q: %w", f.Name, err)
		}
		if other := out.clash(&f); other != "" {
			return Formats{}, fmt.Errorf("the format %q %s", f.Name, other)
		}
		out.rows = append(out.rows, &f)
	}
	out.recompose()
	return out, nil
}

// recompose lets composite Evidence have parts of all rows, those that came after it
// included.
func (t Formats) recompose() {
	for i, f := range t.rows {
		if f.Name == Composite {
			row := Formats{slices.Delete(slices.Clone(t.rows), i, i+1)}.composite()
			t.rows[i] = &row
		}
	}
}

// check says what a row lacks.
func (f *Format) check() error {
	for _, x := range []struct {
		missing bool
		what    string
	}{
		{f.Name == "" || strings.Trim(f.Name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "",
			"a name is lower-case letters, digits and hyphens"},
		{f.Title == "" || f.Source == "", "it has no title or names no source"},
		{len(f.Types) == 0, "it has no type"},
		{f.Challenge.Name == "" || f.Challenge.most() == 0,
			"it does not say which field takes the challenge, and of which length"},
		{f.Key.How == "", "it does not say how it names the key of the handshake"},
		{len(f.Says) == 0, "it does not list what a verdict can say"},
		{f.Read == nil || f.Policy == nil, "it can be read and judged only with the functions Read and Policy"},
	} {
		if x.missing {
			return fmt.Errorf("%s", x.what)
		}
	}
	for _, t := range f.Types {
		if t.Bare != f.Types[0].Bare || t.Bare && f.Mine == nil {
			return fmt.Errorf(
				"the type %s: Evidence without a CMW is told from one by Mine, and such a format has no other types", t)
		}
		if len(t.Forms()) == 0 {
			return fmt.Errorf("a type without a media type and a content format")
		}
		for _, form := range t.Forms() {
			if _, err := kindOf(form); err != nil {
				return fmt.Errorf("the type %s: %w", t, err)
			}
		}
	}
	for _, claim := range f.Says {
		if !slices.Contains(VectorClaims, claim) {
			return fmt.Errorf("%q is not a claim of a trustworthiness vector", claim)
		}
	}
	return nil
}

// clash says what a row has in common with one of the table, by which they could not
// be told apart.
func (t Formats) clash(f *Format) string {
	for _, other := range t.rows {
		if other.Name == f.Name {
			return "is in the table already"
		}
		for _, c := range f.Collections {
			if slices.Contains(other.Collections, c) {
				return fmt.Sprintf("and the format %q both have collections of the type %q", other.Name, c)
			}
		}
		if other.Mine != nil && f.Mine != nil {
			continue
		}
		for _, x := range f.Types {
			if other.has(x.Forms()...) {
				return fmt.Sprintf("and the format %q both have the type %s, and not both can tell their own (Mine)", other.Name, x)
			}
		}
	}
	return ""
}

// has reports whether one of the given types is a type of the format.
func (f *Format) has(types ...profile.Format) bool {
	for _, want := range types {
		for _, t := range f.Types {
			for _, form := range t.Forms() {
				if Matches(form, want, profile.MatchEqual) == nil {
					return true
				}
			}
		}
	}
	return false
}

// All lists the rows in the order in which they were added. They must not be changed.
func (t Formats) All() []*Format { return slices.Clone(t.rows) }

// Names lists the names of all rows, in their order.
func (t Formats) Names() (list []string) {
	for _, f := range t.rows {
		list = append(list, f.Name)
	}
	return list
}

// Named finds a row.
func (t Formats) Named(name string) (*Format, error) {
	for _, f := range t.rows {
		if f.Name == name {
			return f, nil
		}
	}
	return nil, fmt.Errorf("no root of trust is called %q; there are %s", name, strings.Join(t.Names(), ", "))
}

// Combined is the row of several formats with plus signs between their names:
// composite Evidence of them, or the one row that the name is of.
func (t Formats) Combined(names string) (*Format, error) {
	parts := strings.Split(names, "+")
	if len(parts) == 1 {
		return t.Named(names)
	}
	row, err := t.Named(Composite)
	if err != nil {
		return nil, err
	}
	f := *row
	f.Key = KeyNaming{How: "no part of " + names + " names one"}
	for _, name := range parts {
		part, err := t.Named(name)
		if err != nil {
			return nil, err
		}
		if part.Key.Named {
			f.Key = row.Key
		}
		f.parts, f.OwnKeys = append(f.parts, part), f.OwnKeys || part.OwnKeys
		f.Challenge.Wants = max(f.Challenge.Wants, part.Challenge.Wants)
	}
	return &f, nil
}

// Of lists the rows that have a type. There may be several; Format.Mine tells them
// apart.
func (t Formats) Of(typ profile.Format) (list []*Format) {
	for _, f := range t.rows {
		if f.has(typ) {
			list = append(list, f)
		}
	}
	return list
}

// Schemes lists what the format can be negotiated as, in its order.
func (f *Format) Schemes() (list []negotiation.Scheme) {
	for _, t := range f.Types {
		for _, form := range t.Forms() {
			list = append(list, negotiation.Scheme{Model: profile.ModelEvidence, Format: form})
		}
	}
	return list
}

// bare is the row of a payload that is sent without a CMW around it, under a type
// that was negotiated; nil: it is in a CMW.
func (t Formats) bare(payload []byte, negotiated func(profile.Format) bool) *Format {
	for _, f := range t.rows {
		for _, typ := range f.Types {
			if typ.Bare && slices.ContainsFunc(typ.Forms(), negotiated) && (f.Mine == nil || f.Mine(payload)) {
				return f
			}
		}
	}
	return nil
}

// find is the row that reads a CMW which was negotiated as a type: the row of the
// CMW's own type or collection, otherwise that of the negotiated type. A type that
// nobody has is taken for another name of the software root of trust's tokens, as
// the member `formats` of its files may give them.
func (t Formats) find(c *CMW, negotiated profile.Format) (*Format, *attls.Error) {
	if c.IsCollection() {
		for _, f := range t.rows {
			if slices.Contains(f.Collections, c.CollectionType) {
				return f, nil
			}
		}
	}
	var candidates []*Format
	if !c.IsCollection() {
		candidates = t.Of(c.Format)
	}
	if candidates == nil {
		candidates = t.Of(negotiated)
	}
	candidates = slices.DeleteFunc(candidates, func(f *Format) bool { return f.Types[0].Bare }) // this is in a CMW
	for _, f := range candidates {
		if len(candidates) == 1 || f.Mine(c.Value) {
			return f, nil
		}
	}
	if len(candidates) > 0 {
		return nil, attls.Errorf(attls.Violation, attls.FailFormatMismatch,
			"the value is of none of the formats that have the type %s", FormatString(c.Format)).Under("value")
	}
	if f, err := t.Named(EAT); err == nil {
		return f, nil
	}
	return nil, attls.Errorf(attls.Violation, attls.FailFormatMismatch, "Evidence of the type %s is not known here",
		FormatString(negotiated)).Under("type")
}
