package placement

import (
	"fmt"
	"slices"
	"strings"

	"attls"
	"attls/conformance/tamper"
	"attls/extensions"
	"attls/handshake/message"
)

// Case is an extension in a message that the stack under test receives.
type Case struct {
	Role      attls.Role // of the stack under test
	Message   attls.MessageKind
	Extension attls.ExtensionType
	Body      Body
	Octets    []byte // the body

	entry *Entry
}

// Name is the case without its stack: role, message, extension, body. That of a control ends
// with the message.
func (c *Case) Name() string {
	if c.control() {
		return c.Role.String() + "/" + c.Message.Name()
	}
	return strings.Join([]string{c.Role.String(), c.Message.Name(), c.entry.Title(), string(c.Body)}, "/")
}

// control reports whether the case changes nothing: what a stack does with it is what it
// does where it accepts.
func (c *Case) control() bool { return c.entry == nil }

// received are the messages with extensions that a role receives, in the order in which
// they come.
var received = [2][]attls.MessageKind{
	attls.RoleClient: {hrr, sh, ee, cr, ct, nst},
	attls.RoleServer: {ch, ct},
}

// Cases makes the cases of a registry.
func Cases(r *Registry) (list []Case) {
	for _, role := range []attls.Role{attls.RoleClient, attls.RoleServer} {
		for _, k := range received[role] {
			list = append(list, Case{Role: role, Message: k}) // the control
			free := false
			for i := range r.Entries {
				e := &r.Entries[i]
				if e.free() && free {
					continue // one free number is enough
				}
				free = free || e.free()
				octets, _ := bodies(e.Type, k)
				for _, b := range []Body{Empty, WellFormed, Malformed} {
					if body, ok := octets[b]; ok {
						list = append(list, Case{Role: role, Message: k, Extension: e.Type, Body: b, Octets: body, entry: e})
					}
				}
			}
		}
	}
	return list
}

// place puts the extension into a list: in the place of one of its type, or at the end,
// where nothing but pre_shared_key may follow it. unchanged says that the list has the
// extension and that a well-formed body needs no other.
func (c *Case) place(l extensions.List) (out extensions.List, unchanged bool) {
	if i := slices.IndexFunc(l, func(x extensions.Extension) bool { return x.Type == c.Extension }); i >= 0 {
		if c.Body == WellFormed {
			return l, true
		}
		return tamper.SetBody(c.Extension, c.Octets...)(l), false
	}
	added := extensions.Extension{Type: c.Extension, Body: c.Octets}
	if n := len(l); n > 0 && l[n-1].Type == attls.ExtPreSharedKey {
		return slices.Insert(slices.Clone(l), n-1, added), false
	}
	return append(slices.Clone(l), added), false
}

// edit is the message with the extension; nil where it has it as it is to be.
func (c *Case) edit(m *message.Raw) []byte {
	same := c.control()
	if same {
		return nil
	}
	change := func(l extensions.List) extensions.List {
		l, same = c.place(l)
		return l
	}
	var out []byte
	if m.Kind == attls.KindCertificate {
		var v message.Certificate
		if v.Unmarshal(m.Body()) != nil || len(v.Entries) == 0 {
			return nil
		}
		v.Entries[0].Extensions = change(v.Entries[0].Extensions)
		out = v.Append(nil)
	} else {
		out = tamper.WithExtensions(m, change)
	}
	if same {
		return nil
	}
	return out
}

// Sent says what the case sends, in a sentence.
func (c *Case) Sent() string {
	if c.control() {
		return c.Message.String() + " as it is"
	}
	return fmt.Sprintf("%s with %s (%d), extension_data %x (%s)", c.Message, c.entry.Title(), uint16(c.Extension),
		c.Octets, c.Body)
}
