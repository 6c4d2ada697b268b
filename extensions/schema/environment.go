package schema

import (
	"slices"

	"attls"
)

// The outer parameters that every Environment of DefaultEnvironment has.
const (
	// ParamMessage is the kind of the enclosing handshake message
	// (RFC 8446 section 4). hello_retry_request is a kind of its own.
	ParamMessage = "Handshake.msg_type"
	// ParamClientOrServerExtension is client in a ClientHello and server in
	// the answer to it (RFC 7250 section 3).
	ParamClientOrServerExtension = "ClientOrServerExtension"
	// ParamConnectionEnd is the role of the sender (RFC 5246 section 6.1).
	ParamConnectionEnd = "ConnectionEnd"
	// ParamCertificateType is the certificate type in force (RFC 8446 section 4.4.2).
	ParamCertificateType = "certificate_type"
	// ParamHashLength is the length of the hash of the cipher suite, in octets.
	ParamHashLength = "Hash.length"
	// ParamCoordinateLength is the length of a coordinate of a point of the
	// group (RFC 8446 section 4.2.8.2), in octets.
	ParamCoordinateLength = "coordinate_length"
)

// Parameter is a value from outside that a text may name.
type Parameter struct {
	Name string
	// Tags are what a select on the parameter may have as cases. Enum names an
	// enum whose enumerators are cases as well.
	Tags []string
	Enum string
	// Min and Max bound a parameter that is a length in octets; both are 0 for
	// a parameter that only selects.
	Min, Max uint64
}

func (p *Parameter) length() bool { return p.Max > 0 }

// Environment is what a text may use without defining it.
type Environment struct {
	// Base defines types. A definition of the text takes the place of one of
	// the Base, except that an enum of the text adds to an enum of the Base.
	Base []*File
	// Enumerators gives numbers to enumerators, by enum and name: it adds names
	// to an enum, numbers those that the text leaves without (TBD), and
	// overrides the others. This is where code points come in.
	Enumerators map[string]map[string]uint64
	Parameters  []Parameter
}

// DefaultEnvironment has the types of RFC 8446, of the RFCs whose extensions
// TLS 1.3 takes over, and the parameters above. The caller owns the result.
func DefaultEnvironment() *Environment {
	messages := make([]string, 0, attls.KindAdded)
	for k := attls.KindClientHello; k < attls.KindAdded; k++ {
		messages = append(messages, k.Name())
	}
	messages = append(messages, attls.KindClientCertificateRequest.Name())
	ends := []string{attls.RoleClient.String(), attls.RoleServer.String()}
	return &Environment{
		Base: []*File{RFC8446()},
		Parameters: []Parameter{
			{Name: ParamMessage, Tags: messages, Enum: "HandshakeType"},
			{Name: ParamClientOrServerExtension, Tags: ends},
			{Name: ParamConnectionEnd, Tags: ends},
			{Name: ParamCertificateType, Enum: "CertificateType"},
			{Name: ParamHashLength, Min: 32, Max: 64},
			{Name: ParamCoordinateLength, Min: 32, Max: 66},
		},
	}
}

func (e *Environment) parameter(name string) *Parameter {
	for i := range e.Parameters {
		if e.Parameters[i].Name == name {
			return &e.Parameters[i]
		}
	}
	return nil
}

// Context is where a value is and how strictly it is read.
type Context struct {
	Message attls.MessageKind
	// MessageName replaces Message where that has no name of its own: an
	// added message, or one outside the handshake.
	MessageName string
	Sender      attls.Role
	// Tags are the cases that outer parameters select, by the parameter's name.
	Tags map[string]string
	// Lengths are the outer parameters that are lengths.
	Lengths map[string]int

	// IgnoreTrailing accepts octets after a complete value.
	IgnoreTrailing bool
	// IgnoreConstants accepts another number than the constant of a field.
	IgnoreConstants bool
	// IgnoreBounds accepts and writes vectors outside their floor and ceiling.
	IgnoreBounds bool
	Limits       Limits
}

// Limits bound what decoding may cost. Zero fields mean the defaults.
type Limits struct {
	Size     int // octets that are decoded; default 2^24-1
	Elements int // Values that are made; default 4096
}

const (
	defaultSize     = 1<<24 - 1
	defaultElements = 4096
)

// tag is the case that a parameter selects.
func (c *Context) tag(parameter string) (string, bool) {
	if t, ok := c.Tags[parameter]; ok {
		return t, true
	}
	switch parameter {
	case ParamMessage:
		return c.messageName()
	case ParamClientOrServerExtension:
		if m, ok := c.messageName(); ok {
			if m == attls.KindClientHello.Name() {
				return attls.RoleClient.String(), true
			}
			return attls.RoleServer.String(), true
		}
		return c.Sender.String(), true
	case ParamConnectionEnd:
		return c.Sender.String(), true
	}
	return "", false
}

func (c *Context) messageName() (string, bool) {
	if c.MessageName != "" {
		return c.MessageName, true
	}
	return c.Message.Name(), c.Message != attls.KindNone
}

// enum is an enum with all its names.
type enum struct {
	name    string
	width   int // octets
	members []enumerator
}

type enumerator struct {
	name        string
	pos         Position
	first, last uint64
	numbered    bool
}

// index is the place of a name, -1 when the enum does not have it.
func (e *enum) index(name string) int {
	return slices.IndexFunc(e.members, func(m enumerator) bool { return m.name == name })
}

func (e *enum) find(name string) *enumerator {
	if i := e.index(name); i >= 0 {
		return &e.members[i]
	}
	return nil
}

func (e *enum) nameOf(v uint64) string {
	for i := range e.members {
		if m := &e.members[i]; m.numbered && m.first <= v && v <= m.last {
			return m.name
		}
	}
	return ""
}

func (e *enum) names() []string {
	names := make([]string, len(e.members))
	for i := range e.members {
		names[i] = e.members[i].name
	}
	return names
}

// least is the smallest number that has a name.
func (e *enum) least() (uint64, bool) {
	least, ok := uint64(0), false
	for _, m := range e.members {
		if m.numbered && (!ok || m.first < least) {
			least, ok = m.first, true
		}
	}
	return least, ok
}

// octetsFor is how many octets hold a number.
func octetsFor(n uint64) int {
	w := 1
	for n > 0xff {
		n >>= 8
		w++
	}
	return w
}

// sortedKeys gives maps an order.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
