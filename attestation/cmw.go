package attestation

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"attls"
	"attls/extensions/profile"

	"github.com/veraison/cmw"
)

// Form is a serialization of a CMW (RFC 9999 section 3).
type Form uint8

// The forms, two in JSON and three in CBOR; ParseCMW tells them apart by the first octet
// (RFC 9999 section 3.4).
const (
	CBORRecord Form = iota
	CBORTag
	CBORCollection
	JSONRecord
	JSONCollection
)

// Bits of a record's ind member.
const (
	IndReferenceValues    = 1 << iota // 1
	IndEndorsements                   // 2
	IndEvidence                       // 4
	IndAttestationResults             // 8
	IndAppraisalPolicy                // 16
)

// CMW is a Conceptual Message Wrapper.
type CMW struct {
	Form      Form
	Format    profile.Format // records and tags
	Value     []byte         // records and tags: the message, as its original octets
	Indicator uint32         // records: the ind bit set; 0 when absent

	CollectionType string // collections: __cmwc_t, or empty
	Members        []Member
}

// Member is a labelled CMW of a collection. The label is a text (string) or,
// in CBOR, an integer (int64).
type Member struct {
	Label any
	CMW   *CMW
}

// Limits bound what ParseCMW accepts; a field that is zero takes the default.
type Limits struct {
	Size    int // octets; default 65536
	Nesting int // collections in collections; default 8
	Members int // of one collection; default 64
}

func (l Limits) withDefaults() Limits {
	if l.Size == 0 {
		l.Size = 1 << 16
	}
	if l.Nesting == 0 {
		l.Nesting = 8
	}
	if l.Members == 0 {
		l.Members = 64
	}
	return l
}

const (
	ruleCMW         = "RFC 9999 3"
	ruleRecord      = "RFC 9999 3.1"
	ruleCollection  = "RFC 9999 3.3"
	ruleTN          = "RFC 9277 4.3"
	collectionLabel = "__cmwc_t"
)

// under adds a field to the path of an error that may be nil.
func under(err *attls.Error, field any) *attls.Error {
	if err == nil {
		return nil
	}
	return err.Under(fmt.Sprint(field))
}

// ParseCMW reads one CMW in any of its unsigned forms, told apart by the first
// octet. CBOR is read as RFC 8949 has it, indefinite lengths and longer heads
// included (the first octets 9f and bf of section 3.4). It is stricter than the
// library that writes them: nothing may follow, labels are unique, and the limits
// hold.
// Errors are FailMalformedCMW with the offset and the path of the member.
func ParseCMW(b []byte, limits Limits) (*CMW, *attls.Error) {
	limits = limits.withDefaults()
	if len(b) == 0 {
		return nil, malformed(0, ruleCMW, "an empty CMW").Under("cmw")
	}
	if len(b) > limits.Size {
		return nil, malformed(limits.Size, "", "a CMW of %d octets; at most %d are accepted", len(b), limits.Size).
			Under("cmw")
	}
	var c *CMW
	var err *attls.Error
	switch first := firstOctet(b); {
	case first == '[' || first == '{':
		c, err = parseJSON(b, limits)
	case b[0]>>5 == majorArray && b[0] != 0x84 || b[0]>>5 == majorMap || b[0]>>5 == majorTag:
		s := scanner{b: b}
		if c, err = s.cmw(limits, 0); err == nil {
			err = s.end()
		}
	case b[0] == 0x84 || first == 'e':
		err = malformed(0, ruleCMW, "a record of four elements or a signed CMW, where an unsigned CMW belongs")
	default:
		err = malformed(0, ruleCMW, "no form of a CMW begins with octet %02x", b[0])
	}
	if err != nil {
		return nil, err.Under("cmw")
	}
	return c, nil
}

// firstOctet skips the white space that may precede JSON.
func firstOctet(b []byte) byte {
	if rest := bytes.TrimLeft(b, " \t\r\n"); len(rest) > 0 {
		return rest[0]
	}
	return 0
}

func (s *scanner) cmw(limits Limits, depth int) (*CMW, *attls.Error) {
	switch s.peek() {
	case majorArray:
		return s.record()
	case majorTag:
		return s.tag()
	case majorMap:
		return s.collection(limits, depth)
	}
	start := s.off
	major, _, _, err := s.head()
	if err != nil {
		return nil, err
	}
	return nil, malformed(start, ruleCMW, "%s where a CMW belongs", majorNames[major])
}

// record reads [type, value, ? ind].
func (s *scanner) record() (*CMW, *attls.Error) {
	start := s.off
	e, err := s.begin(majorArray)
	if err != nil {
		return nil, err
	}
	if e.left >= 0 && (e.left < 2 || e.left > 3) {
		return nil, elements(start, e.left)
	}
	c := &CMW{Form: CBORRecord}
	for {
		more, err := s.more(e)
		switch {
		case err != nil:
			return nil, err
		case !more && e.read < 2, e.read > 3:
			return nil, elements(start, e.read)
		case !more:
			return c, nil
		}
		at := s.off
		switch e.read {
		case 1:
			if c.Format, err = s.recordType(); err != nil {
				return nil, under(err, "type").By(ruleRecord)
			}
		case 2:
			if c.Value, err = s.bytes(); err != nil {
				return nil, under(err, "value").By(ruleRecord)
			}
		case 3:
			ind, err := s.number(majorUnsigned)
			if err != nil {
				return nil, under(err, "ind").By(ruleRecord)
			}
			if c.Indicator, err = indicator(at, ind); err != nil {
				return nil, err
			}
		}
	}
}

func elements(offset, n int) *attls.Error {
	return malformed(offset, ruleRecord, "a record of %d elements; it has two or three", n)
}

// recordType reads a content format or a media type.
func (s *scanner) recordType() (f profile.Format, err *attls.Error) {
	start := s.off
	if s.peek() == majorText {
		text, err := s.text()
		if err != nil {
			return f, err
		}
		return mediaType(start, text)
	}
	n, err := s.number(majorUnsigned)
	if err != nil {
		return f, err
	}
	if n > 0xffff {
		return f, malformed(start, ruleRecord, "content format %d does not fit 16 bits", n)
	}
	return profile.Format{ContentFormat: uint16(n)}, nil
}

func mediaType(offset int, text string) (profile.Format, *attls.Error) {
	f := profile.Format{MediaType: text}
	if !utf8.ValidString(text) {
		return f, malformed(offset, ruleRecord, "a media type that is not UTF-8")
	}
	if text == "" {
		return f, malformed(offset, ruleRecord, "an empty media type")
	}
	if _, err := kindOf(f); err != nil {
		return f, malformed(offset, ruleRecord, "%q is not a media type: %v", text, err)
	}
	return f, nil
}

func indicator(offset int, v uint64) (uint32, *attls.Error) {
	if v == 0 || v > 0xffffffff {
		return 0, malformed(offset, ruleRecord, "ind is %d; it is left out rather than zero and has at most 32 bits", v).
			Under("ind")
	}
	return uint32(v), nil
}

// tag reads #6.<TN>(bytes).
func (s *scanner) tag() (*CMW, *attls.Error) {
	start := s.off
	n, err := s.number(majorTag)
	if err != nil {
		return nil, err
	}
	cf, ok := contentFormat(n)
	if !ok {
		return nil, malformed(start, ruleTN, "tag %d does not correspond to a content format", n)
	}
	value, err := s.bytes()
	if err != nil {
		return nil, under(err, "value").By(ruleTN)
	}
	return &CMW{Form: CBORTag, Format: profile.Format{ContentFormat: cf}, Value: value}, nil
}

// contentFormat inverts the TN transform. The library's inverse maps numbers
// outside the image too, so its answer is transformed forth again.
func contentFormat(tag uint64) (uint16, bool) {
	cf, err := cmw.CF(tag)
	if err != nil {
		return 0, false
	}
	back, err := cmw.TN(cf)
	return cf, err == nil && back == tag
}

// collection reads {? "__cmwc_t": type, + label: cmw}.
func (s *scanner) collection(limits Limits, depth int) (*CMW, *attls.Error) {
	start := s.off
	e, err := s.begin(majorMap)
	if err != nil {
		return nil, err
	}
	c := &CMW{Form: CBORCollection}
	if err := c.admits(start, max(e.left, 1), depth, limits); err != nil {
		return nil, err
	}
	err = s.pairs(e, depth, func(key []byte) *attls.Error {
		if err := c.admits(start, e.read, depth, limits); err != nil {
			return err
		}
		at := s.off - len(key)
		label, err := labelOf(at, key)
		if err != nil {
			return err.By(ruleCollection)
		}
		if label == collectionLabel {
			at = s.off
			if c.CollectionType, err = s.text(); err != nil {
				return under(err, collectionLabel)
			}
			return under(collectionType(at, c.CollectionType), collectionLabel)
		}
		m, err := s.cmw(limits, depth+1)
		if err != nil {
			return under(err, label)
		}
		c.Members = append(c.Members, Member{label, m})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return c, c.notEmpty(start)
}

func (c *CMW) admits(offset, n, depth int, limits Limits) *attls.Error {
	if depth >= limits.Nesting {
		return malformed(offset, ruleCollection, "collections nested deeper than %d levels", limits.Nesting)
	}
	if n > limits.Members {
		return malformed(offset, ruleCollection, "a collection of %d members; at most %d are accepted", n, limits.Members)
	}
	return nil
}

func (c *CMW) notEmpty(offset int) *attls.Error {
	if len(c.Members) == 0 {
		return malformed(offset, ruleCollection, "a collection without a member")
	}
	return nil
}

// What __cmwc_t may be: an object identifier that is not relative, or an absolute
// URI, which has no fragment (RFC 3986 section 4.3).
var (
	oidText = regexp.MustCompile(`^[0-2](\.0|\.[1-9][0-9]*)*$`)
	uriText = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:[!"$-~]+$`)
)

func collectionType(offset int, text string) *attls.Error {
	if !oidText.MatchString(text) && !uriText.MatchString(text) {
		return malformed(offset, ruleCollection, "%q is neither an absolute URI nor an object identifier", text)
	}
	return nil
}

// jsonReader walks JSON token by token: encoding/json's Unmarshal keeps the
// last of two equal names and says nothing.
type jsonReader struct {
	*json.Decoder
}

func parseJSON(b []byte, limits Limits) (*CMW, *attls.Error) {
	if !utf8.Valid(b) {
		return nil, malformed(-1, "RFC 8259 8.1", "JSON that is not UTF-8")
	}
	r := jsonReader{json.NewDecoder(bytes.NewReader(b))}
	r.UseNumber()
	c, err := r.cmw(limits, 0)
	if err != nil {
		return nil, err
	}
	if _, e := r.Token(); e != io.EOF {
		return nil, malformed(r.at(), "", "more follows the end of the JSON")
	}
	return c, nil
}

func (r jsonReader) at() int { return int(r.InputOffset()) }

func (r jsonReader) token() (json.Token, *attls.Error) {
	t, err := r.Token()
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, malformed(r.at(), "RFC 8259 2", "%v", err)
	}
	return t, nil
}

func (r jsonReader) cmw(limits Limits, depth int) (*CMW, *attls.Error) {
	t, err := r.token()
	switch {
	case err != nil:
		return nil, err
	case t == json.Delim('['):
		return r.record()
	case t == json.Delim('{'):
		return r.collection(limits, depth)
	}
	return nil, malformed(r.at(), ruleCMW, "a JSON CMW is an array or an object")
}

// text reads a string.
func (r jsonReader) text() (string, *attls.Error) {
	t, err := r.token()
	if err != nil {
		return "", err
	}
	s, ok := t.(string)
	if !ok {
		return "", malformed(r.at(), "", "a string belongs here, not %v", t)
	}
	return s, nil
}

func (r jsonReader) record() (*CMW, *attls.Error) {
	c := &CMW{Form: JSONRecord}
	text, err := r.text()
	if err != nil {
		return nil, under(err, "type").By(ruleRecord)
	}
	if c.Format, err = mediaType(r.at(), text); err != nil {
		return nil, under(err, "type")
	}
	if text, err = r.text(); err != nil {
		return nil, under(err, "value").By(ruleRecord)
	}
	value, e := base64.RawURLEncoding.Strict().DecodeString(text)
	if e != nil || len(value) == 0 || strings.ContainsAny(text, "\r\n") { // which the decoder passes over
		return nil, malformed(r.at(), ruleRecord, "%.40q is not base64url without padding of at least one octet", text).
			Under("value")
	}
	c.Value = value
	t, err := r.token()
	if err != nil {
		return nil, err
	}
	if n, ok := t.(json.Number); ok {
		v, e := strconv.ParseUint(n.String(), 10, 64)
		if e != nil {
			return nil, malformed(r.at(), ruleRecord, "%s is not an unsigned integer", n).Under("ind")
		}
		if c.Indicator, err = indicator(r.at(), v); err != nil {
			return nil, err
		}
		if t, err = r.token(); err != nil {
			return nil, err
		}
	}
	if t != json.Delim(']') {
		return nil, malformed(r.at(), ruleRecord, "%v in a record; it has a type, a value and perhaps ind", t)
	}
	return c, nil
}

func (r jsonReader) collection(limits Limits, depth int) (*CMW, *attls.Error) {
	start := r.at() - 1
	c := &CMW{Form: JSONCollection}
	seen := map[string]bool{}
	for r.More() {
		if err := c.admits(r.at(), len(seen)+1, depth, limits); err != nil {
			return nil, err
		}
		label, err := r.text()
		if err != nil {
			return nil, err
		}
		if seen[label] {
			return nil, malformed(r.at(), ruleCollection, "the label %q appears twice", label)
		}
		seen[label] = true
		if label == collectionLabel {
			if c.CollectionType, err = r.text(); err == nil {
				err = collectionType(r.at(), c.CollectionType)
			}
		} else {
			var m *CMW
			m, err = r.cmw(limits, depth+1)
			c.Members = append(c.Members, Member{label, m})
		}
		if err != nil {
			return nil, under(err, label)
		}
	}
	if _, err := r.token(); err != nil { // the closing brace
		return nil, err
	}
	return c, c.notEmpty(start)
}

// Encode writes a CMW. The library does the writing, which fixes two things:
// maps are sorted (RFC 8949 section 4.2.1), and an empty value is an error.
func (c *CMW) Encode() ([]byte, error) {
	m, err := c.library()
	if err != nil {
		return nil, err
	}
	if c.Form == JSONRecord || c.Form == JSONCollection {
		return m.MarshalJSON()
	}
	return m.MarshalCBOR()
}

func (c *CMW) library() (*cmw.CMW, error) {
	if c.IsCollection() {
		if len(c.Members) == 0 {
			return nil, errors.New("a collection without a member")
		}
		m, err := cmw.NewCollection(c.CollectionType)
		if err != nil {
			return nil, err
		}
		for _, member := range c.Members {
			inner, err := member.CMW.library()
			if err != nil {
				return nil, fmt.Errorf("member %v: %w", member.Label, err)
			}
			if err := m.AddCollectionItem(member.Label, inner); err != nil {
				return nil, fmt.Errorf("member %v: %w", member.Label, err)
			}
		}
		return m, nil
	}
	var typ any = c.Format.ContentFormat
	if c.Format.MediaType != "" {
		typ = c.Format.MediaType
	} else if c.Form == JSONRecord {
		m, ok := MediaType(c.Format.ContentFormat)
		if !ok {
			return nil, fmt.Errorf("content format %d has no media type and JSON needs one", c.Format.ContentFormat)
		}
		typ = m
	}
	m, err := cmw.NewMonad(typ, c.Value, cmw.Indicator(c.Indicator))
	if err != nil {
		return nil, err
	}
	if c.Form == CBORTag {
		m.UseCBORTagFormat()
	}
	return m, nil
}

// IsCollection reports whether the CMW is a collection of others.
func (c *CMW) IsCollection() bool { return c.Form == CBORCollection || c.Form == JSONCollection }

// Match compares a CMW with the negotiated format. A collection has no type of
// its own; it matches when each of its members does (the reading of FORMATS 1.7).
func (c *CMW) Match(want profile.Format, m profile.FormatMatch) *attls.Error {
	if !c.IsCollection() {
		return Matches(c.Format, want, m)
	}
	for _, member := range c.Members {
		if err := member.CMW.Match(want, m); err != nil {
			return under(err, member.Label)
		}
	}
	return nil
}

// checkIndicators refuses a CMW that says it holds something else than the
// negotiated model; without ind it says nothing (FORMATS 10).
func (c *CMW) checkIndicators(model profile.Model) *attls.Error {
	want := uint32(IndEvidence)
	if model == profile.ModelResults {
		want = IndAttestationResults
	}
	if c.Indicator != 0 && c.Indicator&want == 0 {
		return attls.Errorf(attls.Violation, attls.FailFormatMismatch, "ind is %d, negotiated was %v (%d)", c.Indicator,
			model, want).Under("ind").By(ruleRecord)
	}
	for _, member := range c.Members {
		if err := member.CMW.checkIndicators(model); err != nil {
			return under(err, member.Label)
		}
	}
	return nil
}

// member finds a labelled member of a collection.
func (c *CMW) member(label any) (*CMW, bool) {
	for _, m := range c.Members {
		if m.Label == label {
			return m.CMW, true
		}
	}
	return nil, false
}
