package profile

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"

	"attls"
)

// jsonMembers are the members of a JSON object, which is all of the octets.
func jsonMembers(octets []byte) (list []member, failed *attls.Error) {
	malformed := func(at int64, err error) *attls.Error {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return attls.Errorf(attls.Malformed, attls.FailDecode, "is not a JSON object: %v", err).At(int(at))
	}
	if !validText(string(octets)) {
		return nil, malformed(0, errors.New("the text is not UTF-8"))
	}
	d := json.NewDecoder(bytes.NewReader(octets))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		if err == nil {
			err = errors.New("it begins otherwise")
		}
		return nil, malformed(0, err)
	}
	for d.More() {
		m := member{at: int(d.InputOffset())}
		t, err := d.Token()
		if err != nil {
			return nil, malformed(d.InputOffset(), err)
		}
		m.key, _ = t.(string) // a key is a string, or Token has failed
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, malformed(d.InputOffset(), err)
		}
		m.raw, m.null = raw, string(raw) == "null"
		if failed = tooMany(list, m.at); failed != nil {
			return nil, failed
		}
		list = append(list, m)
	}
	if _, err := d.Token(); err != nil {
		return nil, malformed(d.InputOffset(), err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, malformed(d.InputOffset(), errors.New("something follows it"))
	}
	return list, nil
}

func jsonString(raw []byte) (s string, ok bool) {
	err := json.Unmarshal(raw, &s)
	return s, err == nil
}

// More of CBOR (RFC 8949 section 3.1).
const (
	cborUnsigned = 0
	cborNegative = 1
	cborText     = 3
	cborMap      = 5
	cborSimple   = 7
	cborFalse    = 0xf4
	cborNull     = 0xf6
)

// maxCBORDepth bounds items within items that are skipped.
const maxCBORDepth = 16

// cborMembers are the members of a CBOR map of definite length, which is all of the octets.
func cborMembers(octets []byte) (list []member, failed *attls.Error) {
	malformed := func(rest []byte, why string) *attls.Error {
		return attls.Errorf(attls.Malformed, attls.FailDecode, "is not a CBOR map of definite length: %s", why).
			At(len(octets) - len(rest))
	}
	n, rest, ok := readHead(octets, cborMap)
	if !ok {
		return nil, malformed(octets, "it begins otherwise")
	}
	for range n {
		m := member{at: len(octets) - len(rest)}
		key, after, ok := cborItem(rest, 0)
		if !ok {
			return nil, malformed(rest, "a key is cut off, or nested too deep")
		}
		switch key[0] >> 5 {
		case cborUnsigned:
			m.numbered = true
			m.number, _, _ = readHead(key, cborUnsigned)
		case cborText:
			s, _, ok := cborScalar(key)
			if !ok {
				return nil, malformed(rest, "a key is not UTF-8")
			}
			m.key = s
		default:
			return nil, malformed(rest, "a key is neither a text nor an unsigned integer")
		}
		rest = after
		if m.raw, after, ok = cborItem(rest, 0); !ok {
			return nil, malformed(rest, "a value is cut off, or nested too deep")
		}
		m.null = m.raw[0] == cborNull
		rest = after
		if failed = tooMany(list, m.at); failed != nil {
			return nil, failed
		}
		list = append(list, m)
	}
	if len(rest) > 0 {
		return nil, malformed(rest, "something follows it")
	}
	return list, nil
}

// cborItem splits a data item of definite length off.
func cborItem(b []byte, depth int) (item, rest []byte, ok bool) {
	if len(b) == 0 || depth > maxCBORDepth {
		return nil, b, false
	}
	major := b[0] >> 5
	n, after, ok := readHead(b, major)
	if !ok {
		return nil, b, false
	}
	items := uint64(0)
	switch major {
	case cborBytes, cborText:
		if n > uint64(len(after)) {
			return nil, b, false
		}
		after = after[n:]
	case cborArray:
		items = n
	case cborMap:
		if n > uint64(len(after)) {
			return nil, b, false
		}
		items = 2 * n
	case cborTag:
		items = 1
	}
	if items > uint64(len(after)) {
		return nil, b, false
	}
	for range items {
		if _, after, ok = cborItem(after, depth+1); !ok {
			return nil, b, false
		}
	}
	return b[:len(b)-len(after)], after, true
}

// cborScalar is the value of an item that is neither a map nor an array.
func cborScalar(item []byte) (s string, kind scalarKind, ok bool) {
	if len(item) == 0 {
		return "", 0, false
	}
	major := item[0] >> 5
	n, rest, ok := readHead(item, major)
	switch {
	case !ok:
	case major == cborUnsigned:
		return strconv.FormatUint(n, 10), scalarUnsigned, true
	case major == cborText:
		return string(rest), scalarString, validText(string(rest))
	case major == cborBytes:
		return string(rest), scalarBytes, true
	case item[0] == cborFalse:
		return "false", scalarBool, true
	case item[0] == cborFalse+1:
		return "true", scalarBool, true
	}
	return "", 0, false
}
