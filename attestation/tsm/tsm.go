// Package tsm reads and writes the report of Linux's trusted security module
// interface (configfs-tsm), which holds the Evidence of several roots of trust: Arm
// CCA, AMD SEV-SNP, Intel TDX. It asks the kernel for such reports as well.
package tsm

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"attls"
	"attls/attestation"
	"attls/extensions/profile"
)

// The media types of a report.
const (
	MediaTypeCBOR = "application/vnd.veraison.tsm-report+cbor"
	MediaTypeJSON = "application/vnd.veraison.tsm-report+json"
)

// Rule is the specification of a report.
const Rule = "CDDL of a TSM report (ratsd)"

// Limits of what is read, in octets. The kernel's own limit was 32,768 for each blob
// for long.
const (
	maxBlob     = 1 << 16
	maxProvider = 64
)

// Types are the types of a report. A format that has them needs Mine as well, since
// others have them too.
func Types() []attestation.Type {
	return []attestation.Type{{MediaType: MediaTypeCBOR}, {MediaType: MediaTypeJSON}}
}

// Is reports whether a type is one of a report.
func Is(typ profile.Format) bool { return isType(typ, MediaTypeCBOR) || isType(typ, MediaTypeJSON) }

func isType(typ profile.Format, mediaType string) bool {
	return attestation.Matches(typ, profile.Format{MediaType: mediaType}, profile.MatchEqual) == nil
}

// Report is what the kernel gives for one request. The report itself is not signed;
// what is in its blobs may be.
type Report struct {
	// Provider names the kind of platform. Linux ends it with a line feed.
	Provider string
	// Out is the Evidence (outblob).
	Out []byte
	// Aux holds what goes with it: certificates for SEV-SNP. Nil: absent.
	Aux []byte
	// Manifest is that of the service which answered (manifestblob). Nil: absent.
	Manifest []byte
	// ServiceProvider names the service that answered. Empty: absent.
	ServiceProvider string

	at map[string]int // where the octets of a member are in the value that was read
}

// Names of the members.
const (
	memberOut             = "outblob"
	memberAux             = "auxblob"
	memberManifest        = "manifestblob"
	memberProvider        = "provider"
	memberServiceProvider = "service_provider"
)

// jsonReport is a report in JSON, with blobs in base64url without padding.
type jsonReport struct {
	Provider        *string `json:"provider"`
	Out             *string `json:"outblob"`
	Aux             *string `json:"auxblob,omitempty"`
	Manifest        *string `json:"manifestblob,omitempty"`
	ServiceProvider *string `json:"service_provider,omitempty"`
}

// Name is the provider without the line feed.
func (r *Report) Name() string { return strings.TrimSuffix(r.Provider, "\n") }

// From wants a report of one provider: that of another is the Evidence of another
// root of trust.
func (r *Report) From(provider string) *attls.Error {
	if r.Name() == provider {
		return nil
	}
	return attls.Errorf(attls.Violation, attls.FailFormatMismatch, "a report of %q, not of %q", r.Name(), provider).
		Under(memberProvider).By(Rule)
}

// Mine tells the reports of a provider from others, for Format.Mine.
func Mine(provider string) func([]byte) bool {
	return func(b []byte) bool {
		r, err := parse(b, looksLikeJSON(b))
		return err == nil && r.Name() == provider
	}
}

// Read reads the report that is the value of a CMW record: one item and nothing after
// it, with the members of the specification and no others.
func Read(c *attestation.CMW) (*Report, *attls.Error) {
	if c.IsCollection() {
		return nil, attestation.Malformed(-1, Rule, "a TSM report is one record, not a collection")
	}
	inJSON := looksLikeJSON(c.Value)
	if Is(c.Format) {
		inJSON = isType(c.Format, MediaTypeJSON)
	}
	return parse(c.Value, inJSON)
}

// looksLikeJSON tells an object of JSON from a map of CBOR, whose first octet is
// above 0x9f.
func looksLikeJSON(b []byte) bool { return bytes.HasPrefix(bytes.TrimLeft(b, " \t\r\n"), []byte("{")) }

func parse(b []byte, inJSON bool) (*Report, *attls.Error) {
	r, err := &Report{}, (*attls.Error)(nil)
	if inJSON {
		err = r.fromJSON(b)
	} else {
		err = r.fromCBOR(b)
	}
	if err != nil {
		return nil, err
	}
	return r, r.check()
}

// check wants what a report must have, within the limits.
func (r *Report) check() *attls.Error {
	for _, x := range []struct {
		member         string
		least, n, most int
	}{
		{memberProvider, 1, len(r.Provider), maxProvider}, {memberServiceProvider, 0, len(r.ServiceProvider), maxProvider},
		{memberOut, 1, len(r.Out), maxBlob}, {memberAux, 0, len(r.Aux), maxBlob},
		{memberManifest, 0, len(r.Manifest), maxBlob},
	} {
		if x.n < x.least || x.n > x.most {
			return attestation.Malformed(-1, Rule, "%d octets; %d to %d are accepted", x.n, x.least, x.most).Under(x.member)
		}
	}
	return nil
}

func (r *Report) fromCBOR(b []byte) *attls.Error {
	c, err := attestation.ParseClaims(b)
	if err != nil {
		return err.By(Rule)
	}
	for key := range c {
		if name, ok := key.(string); !ok || !slices.Contains(members, name) {
			return attestation.Malformed(-1, Rule, "the member %v; members are %s", key, strings.Join(members, ", "))
		}
	}
	r.at = map[string]int{}
	for member, to := range map[string]*[]byte{memberOut: &r.Out, memberAux: &r.Aux, memberManifest: &r.Manifest} {
		if *to, err = c.Octets(member); err != nil {
			return err.By(Rule)
		}
		r.locate(b, c[member], member, *to)
	}
	for member, to := range map[string]*string{memberProvider: &r.Provider, memberServiceProvider: &r.ServiceProvider} {
		if _, err := c.Read(member, to); err != nil {
			return err.By(Rule)
		}
		r.locate(b, c[member], member, []byte(*to))
	}
	return nil
}

// locate notes where the octets of a member are: they end its item, unless it is
// written in chunks.
func (r *Report) locate(b, item []byte, member string, octets []byte) {
	if len(octets) == 0 || !bytes.HasSuffix(item, octets) {
		return
	}
	start := cap(b) - cap(item) // the item is a part of b
	r.at[member] = start + len(item) - len(octets)
}

// members are those that a report may have, in the order in which they are shown.
var members = []string{memberProvider, memberOut, memberAux, memberManifest, memberServiceProvider}

func (r *Report) fromJSON(b []byte) *attls.Error {
	var j jsonReport
	if err := attestation.ReadJSON(b, &j); err != nil {
		return attestation.Malformed(-1, Rule, "%v", err)
	}
	for _, x := range []struct {
		member string
		text   *string
		to     *[]byte
	}{{memberOut, j.Out, &r.Out}, {memberAux, j.Aux, &r.Aux}, {memberManifest, j.Manifest, &r.Manifest}} {
		if x.text == nil {
			continue
		}
		v, err := base64.RawURLEncoding.DecodeString(*x.text)
		if err != nil || base64.RawURLEncoding.EncodeToString(v) != *x.text {
			// the decoder skips line breaks and ignores spare bits
			return attestation.Malformed(-1, Rule, "not base64url without padding").Under(x.member)
		}
		*x.to = v
	}
	if j.Provider != nil {
		r.Provider = *j.Provider
	}
	if j.ServiceProvider != nil {
		r.ServiceProvider = *j.ServiceProvider
	}
	return nil
}

// Encode writes a report as one of its types.
func (r *Report) Encode(typ profile.Format) ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	if isType(typ, MediaTypeJSON) {
		return r.json()
	}
	if !isType(typ, MediaTypeCBOR) {
		return nil, fmt.Errorf("a TSM report is not of the type %s", attestation.FormatString(typ))
	}
	c := attestation.Claims{}
	c.Set(memberProvider, r.Provider)
	c.Set(memberOut, r.Out)
	for member, v := range map[string][]byte{memberAux: r.Aux, memberManifest: r.Manifest} {
		if v != nil {
			c.Set(member, v)
		}
	}
	if r.ServiceProvider != "" {
		c.Set(memberServiceProvider, r.ServiceProvider)
	}
	return c.Encode(), nil
}

func (r *Report) json() ([]byte, error) {
	text := func(b []byte) *string {
		if b == nil {
			return nil
		}
		s := base64.RawURLEncoding.EncodeToString(b)
		return &s
	}
	j := jsonReport{Provider: &r.Provider, Out: text(r.Out), Aux: text(r.Aux), Manifest: text(r.Manifest)}
	if r.ServiceProvider != "" {
		j.ServiceProvider = &r.ServiceProvider
	}
	return json.Marshal(j)
}

// OutStart is where the Evidence begins in the value that the report was read from;
// -1 where it is not there in one piece, as in JSON.
func (r *Report) OutStart() int {
	if i, ok := r.at[memberOut]; ok {
		return i
	}
	return -1
}

// Fields lists the parts of a report that was read, except those of the Evidence in
// it. No signature covers the names, and whether one covers the blobs is for the
// format to say.
func (r *Report) Fields() (list []attestation.Field) {
	for _, x := range []struct {
		member string
		n      int
		text   string
	}{
		{memberProvider, len(r.Provider), fmt.Sprintf("%q", r.Provider)},
		{memberAux, len(r.Aux), fmt.Sprintf("%d octets", len(r.Aux))},
		{memberManifest, len(r.Manifest), fmt.Sprintf("%d octets", len(r.Manifest))},
		{memberServiceProvider, len(r.ServiceProvider), fmt.Sprintf("%q", r.ServiceProvider)},
	} {
		if x.n == 0 {
			continue
		}
		f := attestation.Field{Name: "tsm." + x.member, Text: x.text, Unsigned: true}
		if i, ok := r.at[x.member]; ok {
			f.Start, f.End = i, i+x.n
		}
		list = append(list, f)
	}
	return list
}
