package authenticator

import (
	"crypto"
	"crypto/rand"

	"attls"
	"attls/extensions"
	"attls/handshake/message"
	"attls/internal/provider"
	"attls/internal/rule"
	"attls/internal/wire"
)

// The labels of RFC 9261 section 5.1.
const (
	LabelClientContext  = "EXPORTER-client authenticator handshake context"
	LabelServerContext  = "EXPORTER-server authenticator handshake context"
	LabelClientFinished = "EXPORTER-client authenticator finished key"
	LabelServerFinished = "EXPORTER-server authenticator finished key"
)

// labels are those of the Handshake Context and of the Finished MAC Key, by the role of
// the sender.
var labels = [2][2]string{
	attls.RoleClient: {LabelClientContext, LabelClientFinished},
	attls.RoleServer: {LabelServerContext, LabelServerFinished},
}

// Exporter is the exporter of one connection (RFC 8446 section 7.5, RFC 5705 section 4):
// length octets for a label and a context. handshake.Conn.Export is one, and so is
// tls.ConnectionState.ExportKeyingMaterial.
type Exporter func(label string, context []byte, length int) ([]byte, error)

// Values are exporter values that are known without an exporter, by the role of the
// sender, each of the length of the hash. An end that only checks or only makes
// authenticators needs those of one role.
type Values [2]struct{ HandshakeContext, FinishedKey []byte }

// Export is an Exporter of the values.
func (v *Values) Export(label string, context []byte, length int) ([]byte, error) {
	for _, role := range attls.Roles() {
		for i, value := range [2][]byte{v[role].HandshakeContext, v[role].FinishedKey} {
			if label != labels[role][i] {
				continue
			}
			if len(context) != 0 || len(value) != length {
				return nil, local("the value of %q has %d octets, and %d are needed", label, len(value), length).By(keysRule)
			}
			return value, nil
		}
	}
	return nil, local("no value of %q is known", label)
}

// ExporterOf is the exporter of TLS 1.3 (RFC 8446 section 7.5) over the exporter secret
// of a connection, which key logs have as EXPORTER_SECRET, and its hash: SHA-256 or SHA-384.
func ExporterOf(hash crypto.Hash, secret []byte) Exporter {
	return func(label string, context []byte, length int) ([]byte, error) {
		suite, ok := (&Config{Hash: hash}).suite()
		if !ok || len(secret) != suite.HashLen || length < 0 || length > 255*suite.HashLen || len(label) > 249 {
			return nil, local("%d octets under %q of a secret of %d octets", length, label, len(secret)).By(keysRule)
		}
		return suite.KDF().Export(secret, "tls13 ", label, context, length), nil
	}
}

// ClientHello is what a server may put into an authenticator that nobody has asked for:
// what the client offered in the handshake (RFC 9261 section 5.2).
type ClientHello struct {
	Extensions []attls.ExtensionType
	Schemes    []attls.SignatureScheme // signature_algorithms
	ServerName string                  // server_name
}

// ParseClientHello reads a ClientHello, header included.
func ParseClientHello(msg []byte) (*ClientHello, error) {
	raw, err := message.ParseRaw(msg)
	if err != nil {
		return nil, err
	}
	if raw.Kind != attls.KindClientHello {
		return nil, unexpected(&raw, "ClientHello")
	}
	var ch message.ClientHello
	if err := ch.Unmarshal(raw.Body()); err != nil {
		return nil, err
	}
	w, err := readWanted(ch.Extensions)
	if err != nil {
		return nil, err.In(raw.Kind)
	}
	h := &ClientHello{Schemes: w.Schemes, ServerName: w.ServerName}
	for i := range ch.Extensions {
		h.Extensions = append(h.Extensions, ch.Extensions[i].Type)
	}
	return h, nil
}

// Limits bound what a peer, or a careless application, can make us hold or do.
type Limits struct {
	// Octets bounds a request and an authenticator; at most 2^24. 0: 131072.
	Octets int
	// Entries bounds the certificates of an authenticator. 0: 100.
	Entries int
	// Outstanding bounds our requests that are not answered yet. 0: 64.
	Outstanding int
	// Contexts bounds the requests and authenticators of a connection, whose contexts
	// are remembered in 8 to 16 octets each. 0: 16384.
	Contexts int
}

// Config says over which connection authenticators are made. Its zero value accepts
// nothing.
type Config struct {
	Role attls.Role // of this end
	// Version is that of TLS: attls.VersionTLS13 or VersionTLS12.
	Version uint16
	// ExtendedMainSecret says that a connection of TLS 1.2 has negotiated
	// extended_main_secret (RFC 7627), without which there are no authenticators.
	ExtendedMainSecret bool
	// HandshakeComplete says that the handshake is over; at a server, that the client's
	// Finished was verified (RFC 9261 section 9).
	HandshakeComplete bool
	// Hash is that of the cipher suite, or in TLS 1.2 of its PRF: SHA-256 or SHA-384.
	Hash   crypto.Hash
	Export Exporter
	// ClientHello permits authenticators that answer no request. Nil: none are made or
	// accepted.
	ClientHello *ClientHello
	// Extensions says where extensions may appear. Nil: as in the RFCs.
	Extensions *extensions.Table
	// Random fills dst with the octets of context number n. Nil: crypto/rand.
	Random func(n uint32, dst []byte)
	Limits Limits
	// Tap sees and may change everything. Nil: none.
	Tap Tap

	prov provider.Provider // nil: the real one
	off  []rule.Rule       // not enforced
}

func init() {
	provider.Selectable(func(c *Config, p provider.Provider) { c.prov = p })
	rule.Register(func(c *Config, r rule.Rule) *Config {
		copied := *c
		copied.off = append(append([]rule.Rule(nil), c.off...), r)
		return &copied
	})
}

func (c *Config) provider() provider.Provider {
	if c.prov == nil {
		return provider.Real()
	}
	return c.prov
}

func (c *Config) random(n uint32, dst []byte) {
	if c.Random == nil {
		rand.Read(dst)
		return
	}
	c.Random(n, dst)
}

func (c *Config) table() *extensions.Table {
	if c.Extensions == nil {
		return extensions.RFC8446()
	}
	return c.Extensions
}

const (
	keysRule      = "RFC 9261 5.1"
	structureRule = "RFC 9261 5.2"
)

// suite is any cipher suite of the hash.
func (c *Config) suite() (*provider.Suite, bool) {
	switch c.Hash {
	case crypto.SHA256:
		return c.provider().Suite(attls.TLS_AES_128_GCM_SHA256)
	case crypto.SHA384:
		return c.provider().Suite(attls.TLS_AES_256_GCM_SHA384)
	}
	return nil, false
}

// check refuses a configuration over which no authenticator may be made or accepted.
func (c *Config) check() *attls.Error {
	bad := func(field, format string, args ...any) *attls.Error {
		return local(format, args...).Under(field).Under("authenticator.Config")
	}
	switch {
	case c.Role != attls.RoleClient && c.Role != attls.RoleServer:
		return bad("Role", "%d is neither client nor server", c.Role)
	case c.Version != attls.VersionTLS12 && c.Version != attls.VersionTLS13:
		return bad("Version", "%#04x; it is TLS 1.3, or 1.2", c.Version).By("RFC 9261 7")
	case c.Version == attls.VersionTLS12 && !c.ExtendedMainSecret:
		return bad("ExtendedMainSecret", "TLS 1.2 without extended_main_secret has no authenticators").By("RFC 9261 7")
	case !c.HandshakeComplete:
		return bad("HandshakeComplete", "the handshake is not complete").By("RFC 9261 9")
	case c.Export == nil:
		return bad("Export", "there is no exporter").By(keysRule)
	}
	if _, ok := c.suite(); !ok {
		return bad("Hash", "%d; it is SHA-256 or SHA-384", c.Hash).By(keysRule)
	}
	if c.Limits.Octets > 1<<24 {
		return bad("Limits.Octets", "%d; a message has at most 2^24", c.Limits.Octets)
	}
	for name, v := range map[string]int{"Octets": c.Limits.Octets, "Entries": c.Limits.Entries,
		"Outstanding": c.Limits.Outstanding, "Contexts": c.Limits.Contexts} {
		if v < 0 {
			return bad("Limits."+name, "%d is less than 0", v)
		}
	}
	return nil
}

func (c *Config) limits() Limits {
	l := c.Limits
	for _, d := range [...]struct {
		field *int
		value int
	}{{&l.Octets, 1 << 17}, {&l.Entries, 100}, {&l.Outstanding, 64}, {&l.Contexts, 1 << 14}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	return l
}

func local(format string, args ...any) *attls.Error {
	return attls.Errorf(attls.Local, attls.FailConfiguration, format, args...)
}

func unexpected(m *message.Raw, instead string) *attls.Error {
	what := m.Kind.String()
	if m.Kind == attls.KindUnknown {
		what = m.Type.String()
	}
	return attls.Errorf(attls.Violation, attls.FailUnexpectedMessage, "%s where %s belongs", what, instead)
}

// schemes reads a list of signature schemes.
func schemes(l extensions.Uint16s) []attls.SignatureScheme {
	list := make([]attls.SignatureScheme, l.Len())
	for i := range list {
		list[i] = attls.SignatureScheme(l.At(i))
	}
	return list
}

// split takes the handshake messages out of a sequence of them, and no more than one
// too many for anything that it can be.
func split(octets []byte) (list []message.Raw, err *attls.Error) {
	list = make([]message.Raw, 0, len(order)+1)
	for rest := octets; len(rest) > 0 && len(list) <= len(order); {
		in := wire.NewReader(rest, 0)
		in.Uint8("msg_type")
		n := 4 + in.Uint24("length")
		if err := in.Err(); err != nil {
			return list, err.By(structureRule)
		}
		n = min(n, len(rest)) // ParseRaw says that octets are missing
		raw, err := message.ParseRaw(rest[:n])
		if err != nil {
			return list, err.By(structureRule)
		}
		list = append(list, raw)
		rest = rest[n:]
	}
	return list, nil
}
