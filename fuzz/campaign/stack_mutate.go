package campaign

import (
	"fmt"
	"slices"

	"attls"
)

// special makes an input of edits that go together, or of values at the edges of what a C
// program has room for. false: there is nothing of the kind in the connection.
func (m *mutator) special(in *Input, s *subject, role attls.Role) bool {
	ok := false
	switch m.r.IntN(8) {
	case 0:
		ok = m.r.IntN(3) == 0 && m.again(in, s, role) || m.skip(in, s, role)
	case 1:
		in.Edits = []Edit{m.specialRecord()}
		ok = true
	case 2:
		in.Edits = []Edit{m.specialAnswer(s, role)}
		ok = true
	case 3:
		ok = m.presharedKey(in, s, role)
	default:
		ok = m.specialBody(in, s, role)
	}
	return ok && len(in.Edits) > 0
}

// skip leaves out some messages that follow each other.
func (m *mutator) skip(in *Input, s *subject, role attls.Role) bool {
	list := m.samples[s][role]
	if len(list) < 3 {
		return false
	}
	from := m.r.IntN(len(list) - 1)
	for _, x := range list[from:min(len(list), from+1+m.r.IntN(3))] {
		in.Edits = append(in.Edits, Edit{Do: "drop", Message: x.name, Number: x.number})
	}
	return true
}

// again repeats a message in a record of its own.
func (m *mutator) again(in *Input, s *subject, role attls.Role) bool {
	list := m.samples[s][role]
	if len(list) == 0 {
		return false
	}
	i := m.r.IntN(len(list))
	x := list[i]
	in.Edits = []Edit{{Do: "repeat", Message: x.name, Number: x.number},
		{Do: "split", Number: i + m.r.IntN(2), At: len(x.raw)}}
	return true
}

// specialRecord is a record that ends a connection, or must not be there.
func (m *mutator) specialRecord() Edit {
	e := Edit{Do: "record", Number: m.r.IntN(6), From: "a record of its own"}
	switch m.r.IntN(5) {
	case 0:
		e.At, e.Octets = int(attls.ContentTypeChangeCipherSpec), []byte{byte(m.r.IntN(4))}
	case 1:
		e.At, e.Octets = int(attls.ContentTypeApplicationData), m.octets(1+m.r.IntN(8))
	default:
		e.At, e.Octets = int(attls.ContentTypeAlert), []byte{byte(m.r.IntN(4)), byte(m.r.IntN(122))}
	}
	return e
}

// specialAnswer is a lie of an end about who it is.
func (m *mutator) specialAnswer(s *subject, role attls.Role) Edit {
	attests := s.answerers[role].Attester != nil
	switch n := m.r.IntN(8); {
	case n < 2:
		return Edit{Do: "signature"}
	case n < 5 && attests:
		return Edit{Do: "verdict", At: m.r.IntN(64)}
	}
	return Edit{Do: "credential", Answer: pick(m.r, credentialAnswers())}
}

// presharedKey offers a key that the server does not know, with or without what goes with it.
func (m *mutator) presharedKey(in *Input, s *subject, role attls.Role) bool {
	list := m.samples[s][role]
	if role != attls.RoleClient || len(list) == 0 || len(list[0].lists) == 0 {
		return false
	}
	body := slices.Concat([]byte{0, 10, 0, 4}, m.octets(8), []byte{0, 33, 32}, m.octets(32))
	at := pick(m.r, []int{0, 1, len(list[0].lists[0]) + 1})
	if m.r.IntN(2) == 0 {
		in.Edits = append(in.Edits, Edit{Do: "extension-add", Message: list[0].name, Number: list[0].number,
			Extension: attls.ExtPSKKeyExchangeModes, Octets: []byte{1, 1}})
	}
	in.Edits = append(in.Edits, Edit{Do: "extension-add", Message: list[0].name, Number: list[0].number, At: at,
		Extension: attls.ExtPreSharedKey, Octets: body, From: "a key that nobody knows"})
	return true
}

// specialBody gives an extension, or a field, a body whose lengths or size are at an edge.
func (m *mutator) specialBody(in *Input, s *subject, role attls.Role) bool {
	x := m.choose(s, role)
	if x == nil || len(x.lists) == 0 || len(x.lists[0]) == 0 {
		return false
	}
	e := Edit{Message: x.name, Number: x.number, Do: "extension-body"}
	chosen := pick(m.r, x.lists[0])
	if p := s.profile; p != nil && m.r.IntN(2) == 0 {
		for _, y := range x.lists[0] {
			if _, ok := p.Extension(y.t); ok {
				chosen = y
			}
		}
	}
	e.Extension = chosen.t
	e.Octets, e.From = m.edge(chosen.body)
	if x.kind == attls.KindHelloRetryRequest && m.r.IntN(3) == 0 {
		n := 1 + m.r.IntN(300)
		e.Do, e.Extension, e.At = "extension-add", attls.ExtCookie, m.r.IntN(3)
		e.Octets, e.From = append([]byte{byte(n >> 8), byte(n)}, m.octets(n)...), "a cookie"
	}
	in.Edits = []Edit{e}
	return true
}

// edge changes the places of a body that look like lengths, or how much follows them.
func (m *mutator) edge(b []byte) ([]byte, string) {
	var lengths [][2]int // where, width: what counts all that follows, or some of it
	for at := range b {
		for width := 1; width <= 2 && at+width <= len(b); width++ {
			n := int(b[at])
			if width == 2 {
				n = n<<8 | int(b[at+1])
			}
			if n > 0 && n <= len(b)-at-width {
				lengths = append(lengths, [2]int{at, width})
			}
		}
	}
	if len(lengths) == 0 {
		return m.octets(m.r.IntN(4)), "arbitrary octets"
	}
	p := pick(m.r, lengths)
	at, width := p[0], p[1]
	n := int(b[at])
	if width == 2 {
		n = n<<8 | int(b[at+1])
	}
	head, inside, tail := b[:at], b[at+width:at+width+n], b[at+width+n:]
	length := func(n int) []byte {
		if width == 1 {
			return []byte{byte(n)}
		}
		return []byte{byte(n >> 8), byte(n)}
	}
	// Lengths around it are made to fit, where they count to the end.
	fit := func(body []byte, grown int) []byte {
		for i := range head {
			for w := 1; w <= 2 && i+w <= at; w++ {
				v := int(head[i])
				if w == 2 {
					v = v<<8 | int(head[i+1])
				}
				if v == len(b)-i-w && len(tail) == 0 || v == at+width+n-i-w {
					body[i+w-1] = byte(v + grown)
					if w == 2 {
						body[i] = byte((v + grown) >> 8)
					}
				}
			}
		}
		return body
	}
	switch m.r.IntN(6) {
	case 0:
		more := pick(m.r, []int{1, 2, 3, 0xff, 0x7f})
		return slices.Concat(head, length(n+more), inside, tail), "a length that is too large"
	case 1:
		return fit(slices.Concat(head, length(0), tail), -n), "nothing, of a length that says so"
	case 2:
		return slices.Concat(head, length(max(0, n-1)), inside, tail), "a length that is too small"
	case 3:
		few := m.r.IntN(n)
		return fit(slices.Concat(head, length(few), inside[:few], tail), few-n), "its beginning, of a length that says so"
	case 4:
		grown := slices.Concat(inside, m.octets(1+m.r.IntN(3)))
		return fit(slices.Concat(head, length(len(grown)), grown, tail), len(grown)-n),
			"more octets, of a length that says so"
	default:
		times := pick(m.r, []int{2, 3, 9, 17, 33, 65, 100})
		limit := 1<<(8*width) - 1
		for times > 1 && n*times > limit {
			times--
		}
		grown := slices.Repeat(inside, times)
		return fit(slices.Concat(head, length(len(grown)), grown, tail), len(grown)-n),
			fmt.Sprintf("%d times, of a length that says so", times)
	}
}
