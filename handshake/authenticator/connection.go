package authenticator

import (
	"bytes"
	"crypto/subtle"
	"slices"
	"sync"

	"attls"
	"attls/extensions"
	"attls/internal/provider"
	"attls/internal/rule"
)

// Connection is what one end knows of the authenticators of a connection: its requests
// that are open, and which contexts were used, by either end and in requests and
// authenticators alike (RFC 9261 section 4). There must be one for a connection at
// either end. It may be used concurrently.
type Connection struct {
	cfg    Config
	limits Limits
	suite  *provider.Suite
	prov   provider.Provider
	table  *extensions.Table

	mu    sync.Mutex
	kdf   *provider.KDF
	keys  [2]*keys // by the role of the sender; nil: not derived yet
	used  contexts
	open  []*asked
	drawn uint32 // contexts
}

// keys are the values of RFC 9261 section 5.1.
type keys struct{ context, finished []byte }

// asked is a request of ours without an answer.
type asked struct {
	context []byte
	raw     []byte // as it enters the hash
	schemes []attls.SignatureScheme
	offered extensions.Sent
}

// New returns the state of a connection on which no authenticator was made yet.
func New(c *Config) (*Connection, error) {
	if c == nil {
		return nil, local("there is no authenticator.Config")
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	suite, _ := c.suite()
	return &Connection{cfg: *c, limits: c.limits(), suite: suite, kdf: suite.KDF(),
		prov: c.provider(), table: c.table()}, nil
}

// ForkOptions say what a fork does differently; what is nil is kept.
type ForkOptions struct {
	Export Exporter
	Random func(n uint32, dst []byte)
	Tap    Tap
}

// Fork returns a copy that goes its own way, open requests and contexts included.
func (c *Connection) Fork(o ForkOptions) *Connection {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := &Connection{cfg: c.cfg, limits: c.limits, suite: c.suite, kdf: c.suite.KDF(), prov: c.prov, table: c.table,
		keys: c.keys, used: c.used.clone(), open: slices.Clone(c.open), drawn: c.drawn}
	if o.Export != nil {
		f.cfg.Export = o.Export
	}
	if o.Random != nil {
		f.cfg.Random = o.Random
	}
	if o.Tap != nil {
		f.cfg.Tap = o.Tap
	}
	return f
}

// Role is that of this end.
func (c *Connection) Role() attls.Role { return c.cfg.Role }

// Export asks the exporter of the connection, as a binder of Evidence does.
func (c *Connection) Export(label string, context []byte, length int) ([]byte, error) {
	return c.cfg.Export(label, context, length)
}

// Knows reports whether an extension has a place in a message: one that this end does not
// know is ignored in requests and sent in none.
func (c *Connection) Knows(t attls.ExtensionType, kind attls.MessageKind) bool {
	row, ok := c.table.Lookup(t)
	return ok && row.In(kind) != nil
}

// Outstanding is how many requests of ours are not answered.
func (c *Connection) Outstanding() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
}

// Forget gives up a request of ours; an authenticator that answers it is refused from
// then on. Its context stays used. It reports whether there was such a request.
func (c *Connection) Forget(context []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.open, func(a *asked) bool { return bytes.Equal(a.context, context) })
	if i >= 0 {
		c.open = slices.Delete(c.open, i, i+1)
	}
	return i >= 0
}

func (c *Connection) obeys(r rule.Rule) bool { return !slices.Contains(c.cfg.off, r) }

// keysOf are the values for authenticators of a sender.
func (c *Connection) keysOf(sender attls.Role) (*keys, *attls.Error) {
	if k := c.keys[sender]; k != nil {
		return k, nil
	}
	k := &keys{}
	for i, value := range [2]*[]byte{&k.context, &k.finished} {
		label := labels[sender][i]
		v, err := c.cfg.Export(label, nil, c.suite.HashLen)
		if err == nil && c.cfg.Tap != nil {
			v = c.cfg.Tap.Derived(label, v)
		}
		if err == nil && len(v) != c.suite.HashLen {
			err = local("%d octets of %q were exported, and the hash has %d", len(v), label, c.suite.HashLen)
		}
		if err != nil {
			wrapped := local("the exporter failed").By(keysRule)
			wrapped.Err = err
			return nil, wrapped
		}
		*value = bytes.Clone(v)
	}
	c.keys[sender] = k
	return k, nil
}

// use remembers a context, which must be new.
func (c *Connection) use(context []byte) *attls.Error {
	if err := c.unused(context); err != nil {
		return err
	}
	c.used.add(context)
	return nil
}

// unused refuses a context that was used before.
func (c *Connection) unused(context []byte) *attls.Error {
	switch {
	case c.used.has(context) && c.obeys(rule.AuthenticatorContext):
		return attls.Errorf(attls.Violation, attls.FailRequestContext, "was used before on this connection").
			Under("certificate_request_context").By("RFC 9261 4")
	case c.used.n >= c.limits.Contexts:
		return attls.Errorf(attls.Local, attls.FailCapacity, "%d contexts were used; Limits.Contexts is %d", c.used.n,
			c.limits.Contexts).Under("certificate_request_context")
	}
	return nil
}

// DrawContext returns a context of so many octets, 1 to 255, that nobody can predict: out of
// Config.Random, as those that Request and Spontaneous draw. Other lengths are 32.
func (c *Connection) DrawContext(octets int) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.draw(octets)
}

// drawContext is one of the usual length.
func (c *Connection) drawContext() []byte { return c.draw(0) }

func (c *Connection) draw(octets int) []byte {
	if octets < 1 || octets > 255 {
		octets = 32
	}
	context := make([]byte, octets)
	c.cfg.random(c.drawn, context)
	c.drawn++
	return context
}

// mac is HMAC with the Finished MAC Key over the hash of a transcript.
func (c *Connection) mac(k *keys, hash []byte) []byte { return c.kdf.Extract(nil, k.finished, hash) }

// emptyTranscript is the hash behind the empty authenticator: that of the request and of
// a Certificate without entries (RFC 9261 section 6).
func (c *Connection) emptyTranscript(k *keys, request, context []byte) []byte {
	h := c.suite.New()
	h.Write(k.context)
	h.Write(request)
	h.Write(emptyCertificate(context))
	return h.Sum(nil)
}

func equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }
