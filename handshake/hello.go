package handshake

import (
	"attls"
	"attls/extensions"
	"attls/internal/provider"
	"slices"
)

// extensionBuilder collects extension bodies and puts them in order.
type extensionBuilder struct {
	buf     []byte
	items   []builtExtension
	ordered extensions.List
}

type builtExtension struct {
	t          attls.ExtensionType
	start, end int
}

// reset begins anew. Its first allocations are enough for most messages.
func (b *extensionBuilder) reset() {
	if b.buf == nil {
		b.buf, b.items, b.ordered = make([]byte, 0, 512), make([]builtExtension, 0, 12), make(extensions.List, 0, 12)
	}
	b.buf, b.items = b.buf[:0], b.items[:0]
}

// startExtensions begins a message with the configured extensions.
func (e *Engine) startExtensions() {
	e.ext.reset()
	for _, x := range e.cfg.ExtraExtensions {
		e.ext.add(x.Type, x.Body)
	}
}

// has reports whether a type is among the extensions already; the first of a
// type counts.
func (b *extensionBuilder) has(t attls.ExtensionType) bool {
	return slices.ContainsFunc(b.items, func(x builtExtension) bool { return x.t == t })
}

// add appends an extension unless there is one of its type.
func (b *extensionBuilder) add(t attls.ExtensionType, body []byte) {
	b.body(t, func(buf []byte) []byte { return append(buf, body...) })
}

// body appends an extension whose body f writes, unless there is one of its type.
func (b *extensionBuilder) body(t attls.ExtensionType, f func([]byte) []byte) {
	if b.has(t) {
		return
	}
	start := len(b.buf)
	b.buf = f(b.buf)
	b.items = append(b.items, builtExtension{t, start, len(b.buf)})
}

// list returns the extensions in the wanted order; it is valid until the next
// call of list or reset.
func (b *extensionBuilder) list(order []attls.ExtensionType) extensions.List {
	dst := b.ordered[:0]
	for _, t := range order {
		for _, x := range b.items {
			if x.t == t {
				dst = append(dst, extensions.Extension{Type: x.t, Body: b.buf[x.start:x.end]})
			}
		}
	}
	for _, x := range b.items {
		if !slices.Contains(order, x.t) {
			dst = append(dst, extensions.Extension{Type: x.t, Body: b.buf[x.start:x.end]})
		}
	}
	b.ordered = dst
	return dst
}

// share is a key share that this client generated.
type share struct {
	group attls.NamedGroup
	key   provider.PrivateKey
}

// generate makes a key share from fresh octets. n numbers the shares of a
// connection.
func (e *Engine) generate(g attls.NamedGroup, n int) (share, *attls.Error) {
	group, ok := e.prov.Group(g)
	if !ok {
		return share{}, attls.Errorf(attls.Local, attls.FailInternal, "%v is not implemented", g)
	}
	seed := &e.scratch.seed
	defer clear(seed[:])
	for attempt := 0; attempt < 8; attempt++ {
		b := seed[:group.SeedLen()]
		e.random.Fill(UseKeyShare, uint32(n<<8|attempt), b)
		if k, err := group.Generate(b); err == nil {
			return share{g, k}, nil
		}
	}
	return share{}, attls.Errorf(attls.Local, attls.FailInternal, "no seed that was drawn makes a key of %v", g)
}

// respond makes the server's share and the shared secret.
func (e *Engine) respond(g attls.NamedGroup, theirs []byte) (ours, shared []byte, _ *attls.Error) {
	group, ok := e.prov.Group(g)
	if !ok {
		return nil, nil, attls.Errorf(attls.Local, attls.FailInternal, "%v is not implemented", g)
	}
	seed := &e.scratch.seed
	defer clear(seed[:])
	for attempt := 0; attempt < 8; attempt++ {
		b := seed[:group.RespondSeedLen()]
		e.random.Fill(UseKeyShare, uint32(attempt), b)
		ours, shared, err := group.Respond(b, theirs)
		if err == nil {
			return ours, shared, nil
		}
		if bad, ok := err.(*attls.Error); ok {
			return nil, nil, bad.Under("extensions.key_share").In(attls.KindClientHello)
		}
	}
	return nil, nil, attls.Errorf(attls.Local, attls.FailInternal, "no seed that was drawn makes a key of %v", g)
}

// write builds a message with extensions and sends it.
func (e *Engine) write(m interface{ Append([]byte) []byte }) *attls.Error {
	e.flight = m.Append(e.flight[:0])
	return e.send(e.flight)
}

// helloKeys derives everything that follows from ServerHello and switches the
// keys of both directions.
func (e *Engine) helloKeys(shared []byte) *attls.Error {
	e.keys.extract(e.nego.suite, shared, e.transcript.checkpoints)
	var sum [maxHash]byte
	e.keys.handshakeTraffic(e.transcript.sum(sum[:0]))
	reading := e.keys.handshakeSecret(e.role.Peer())
	if e.role == attls.RoleServer && e.early.status == EarlyDataAccepted {
		reading = &e.early.traffic
	}
	// The writing side first, so that an alert about the reading side is
	// protected. Early data that is open goes on under its own key until
	// EncryptedExtensions refuses it or the server's Finished ends it.
	if e.early.status != EarlyDataOpen {
		if err := e.setWriteKey(e.keys.handshakeSecret(e.role)); err != nil {
			return err
		}
	}
	return e.setReadKey(reading)
}

// missing is the error for an extension that RFC 8446 section 9.2 demands.
func missing(t attls.ExtensionType) *attls.Error { return missingBy(t, "RFC 8446 9.2") }

// missingBy is the error for an extension that another rule demands.
func missingBy(t attls.ExtensionType, rule string) *attls.Error {
	return attls.Errorf(attls.Violation, attls.FailMissingExtension, "the extension is missing").Under("extensions." + t.String()).By(rule)
}

// in adds the place of an extension to an error.
func in(err *attls.Error, x *extensions.Extension) *attls.Error {
	if err == nil {
		return nil
	}
	if err.Offset >= 0 {
		err.Offset += x.Offset
	}
	return err.Under("extensions." + x.Type.String())
}

func schemes(l extensions.Uint16s) []attls.SignatureScheme {
	out := make([]attls.SignatureScheme, l.Len())
	for i := range out {
		out[i] = attls.SignatureScheme(l.At(i))
	}
	return out
}
