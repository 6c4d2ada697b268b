package attestation

import (
	"bytes"
	"fmt"

	"attls"

	"github.com/fxamacker/cbor/v2"
)

// maxFieldText bounds the text of one field, in characters.
const maxFieldText = 200

// ClaimFields lists the entries of a CBOR map as fields, in the order of the octets:
// for Reading.Fields of formats that are claims sets. The map begins at the octet
// start of the CMW's value; what ParseClaims does not read gives no fields. Names are
// those of the keys (int64 or string), and each gets the prefix; a key without a name
// is shown as it is.
func ClaimFields(b []byte, start int, prefix string, names map[any]string) (list []Field) {
	if _, err := parseClaims(b); err != nil {
		return nil
	}
	s := scanner{b: b}
	e, err := s.begin(majorMap)
	if err != nil {
		return nil
	}
	_ = s.pairs(e, 0, func(key []byte) *attls.Error {
		label, err := labelOf(s.off-len(key), key)
		if err != nil {
			return err
		}
		from := s.off
		raw, err := s.item(1)
		if err != nil {
			return err
		}
		name, ok := names[label]
		if !ok {
			name = fmt.Sprintf("claim %v", label)
		}
		list = append(list, Field{Name: prefix + name, Start: start + from, End: start + s.off, Text: diagnose(raw)})
		return nil
	})
	return list
}

// diagnose is a value in CBOR's diagnostic notation, shortened where it is long.
func diagnose(raw []byte) string {
	text, err := cbor.Diagnose(raw)
	if err != nil {
		text = fmt.Sprintf("%x", raw)
	}
	if r := []rune(text); len(r) > maxFieldText {
		return string(r[:maxFieldText-1]) + "…"
	}
	return text
}

// TokenFields lists a token as fields: its algorithm, the entries of its claims set and
// its signature. The octets of the token begin at the octet start of the CMW's value;
// names and prefix are those of ClaimFields.
func TokenFields(t *Token, octets []byte, start int, prefix string, names map[any]string) (list []Field) {
	list = append(list, Field{Name: prefix + "alg", Text: t.AlgorithmName()})
	if i := bytes.Index(octets, t.payload); i >= 0 {
		list = append(list, ClaimFields(t.payload, start+i, prefix, names)...)
	}
	f := Field{Name: prefix + "signature", Text: fmt.Sprintf("%x", t.signature)}
	if i := bytes.LastIndex(octets, t.signature); i >= 0 {
		f.Start, f.End = start+i, start+i+len(t.signature)
	}
	return append(list, f)
}
