package handshake

import (
	"hash"

	"attls/extensions/profile/binder"
	"attls/handshake/message"
	"attls/internal/provider"

	"attls"
)

const maxHash = 64

// transcript is the running Transcript-Hash of RFC 8446 section 4.4.1, with
// the checkpoints that a profile's binder may ask for.
type transcript struct {
	suite        *provider.Suite
	hash         hash.Hash
	early        []byte        // ClientHello1 until the suite is known
	last         [maxHash]byte // what sum copies from
	*checkpoints               // kept only when a profile binds something; otherwise nil
	// kept are the octets of every message of a handshake with a
	// HelloRetryRequest, for binders that read one otherwise than RFC 8446 does;
	// without one all readings agree. first is ClientHello1 until the next message.
	retried bool
	first   []byte
	kept    []keptMessage
}

// checkpoints are the hashes up to each message that a binder may name.
type checkpoints struct {
	sums [binder.PointKeyExchange][maxHash]byte
	set  [binder.PointKeyExchange]bool
}

type keptMessage struct {
	point binder.Point // PointNone for HelloRetryRequest
	first bool         // ClientHello1
	raw   []byte
}

// start fixes the hash once the cipher suite is chosen.
func (t *transcript) start(s *provider.Suite) {
	t.suite = s
	t.hash = s.New()
	if t.early != nil {
		t.hash.Write(t.early)
		t.checkpoint(binder.PointCH)
		t.first, t.early = t.early, nil
	}
}

// add puts a message with its header into the transcript.
func (t *transcript) add(p binder.Point, raw []byte) {
	if t.retried && t.checkpoints != nil {
		t.kept = append(t.kept, keptMessage{point: p, raw: append([]byte(nil), raw...)})
	}
	if t.hash == nil {
		t.early = append(t.early, raw...)
		return
	}
	t.first = nil
	t.hash.Write(raw)
	t.checkpoint(p)
}

// retry replaces ClientHello1 by the synthetic message_hash message. It is
// called after start and before HelloRetryRequest is added; first is ClientHello1.
func (t *transcript) retry(first []byte) {
	var b [4 + maxHash]byte
	sum := t.hash.Sum(b[4:4])
	b[0], b[3] = byte(attls.TypeMessageHash), byte(len(sum))
	t.hash.Reset()
	t.hash.Write(b[:4+len(sum)])
	t.retried = true
	if t.checkpoints != nil {
		t.set[binder.PointCH] = false
		t.kept = append(t.kept, keptMessage{point: binder.PointCH, first: true, raw: append([]byte(nil), first...)})
	}
}

func (t *transcript) checkpoint(p binder.Point) {
	if t.checkpoints != nil && p != binder.PointNone {
		t.hash.Sum(t.sums[p][:0])
		t.set[p] = true
	}
}

// sum appends the hash of everything so far.
func (t *transcript) sum(dst []byte) []byte { return append(dst, t.hash.Sum(t.last[:0])...) }

// restore begins the transcript behind a HelloRetryRequest that another engine
// has sent, from the hash of the first ClientHello.
func (t *transcript) restore(s *provider.Suite, first, retry []byte) {
	t.start(s)
	t.hash.Write([]byte{byte(attls.TypeMessageHash), 0, 0, byte(len(first))})
	t.hash.Write(first)
	t.hash.Write(retry)
}

// with appends the hash, by a suite's hash function, of everything so far and
// of more octets that are not added. Before a suite is chosen nothing but
// ClientHello1 has been added.
func (t *transcript) with(dst []byte, s *provider.Suite, more []byte) []byte {
	var h hash.Hash
	if t.hash != nil {
		h = cloneHash(t.hash)
	} else {
		h = s.New()
		h.Write(t.early)
	}
	h.Write(more)
	return h.Sum(dst)
}

// over returns the hash over a range, or false while its end is not reached.
func (t *transcript) over(r binder.Range) ([]byte, bool) {
	if t == nil || t.hash == nil || t.checkpoints == nil {
		return nil, false
	}
	last := binder.PointNone
	for p := binder.PointCH; p <= r.End && int(p) < len(t.set); p++ {
		if t.set[p] && !(r.Exclusive && p == r.End) {
			last = p
		}
	}
	if last == binder.PointNone {
		return nil, false
	}
	if r.Variant == binder.VariantRFC8446 || !t.retried {
		return t.sums[last][:t.suite.HashLen], true
	}
	h := t.suite.New()
	for _, m := range t.kept {
		if m.point > last {
			break
		}
		first, retry, second := m.first, m.point == binder.PointNone, m.point == binder.PointCH && !m.first
		if r.Variant == binder.VariantCH1SH && (retry || second) || r.Variant == binder.VariantCH2SH && (first || retry) {
			continue
		}
		h.Write(m.raw)
	}
	return h.Sum(nil), true
}

func (t *transcript) clone() transcript {
	c := *t
	if t.hash != nil {
		c.hash = cloneHash(t.hash)
	}
	c.early = append([]byte(nil), t.early...)
	c.kept = append([]keptMessage(nil), t.kept...)
	if t.checkpoints != nil {
		sums := *t.checkpoints
		c.checkpoints = &sums
	}
	return c
}

// cloneHash copies a running hash; every hash of the standard library can.
func cloneHash(h hash.Hash) hash.Hash {
	c, err := h.(hash.Cloner).Clone()
	if err != nil {
		panic("attls: hash of the provider cannot be cloned: " + err.Error())
	}
	return c
}

// pointOf places a message of TLS in the first handshake for the binder.
func pointOf(k attls.MessageKind, sender attls.Role) binder.Point {
	server := sender == attls.RoleServer
	of := func(client, server binder.Point, isServer bool) binder.Point {
		if isServer {
			return server
		}
		return client
	}
	switch k {
	case attls.KindClientHello:
		return binder.PointCH
	case attls.KindServerHello:
		return binder.PointSH
	case attls.KindEncryptedExtensions:
		return binder.PointEE
	case attls.KindCertificateRequest:
		return binder.PointCR
	case attls.KindCertificate, attls.KindCompressedCertificate:
		return of(binder.PointClientCT, binder.PointServerCT, server)
	case attls.KindCertificateVerify:
		return of(binder.PointClientCV, binder.PointServerCV, server)
	case attls.KindFinished:
		return of(binder.PointClientFin, binder.PointServerFin, server)
	}
	return binder.PointNone
}

// behind is where messages are added behind one of TLS.
func behind(k attls.MessageKind, sender attls.Role) binder.Point { return pointOf(k, sender) + 1 }

// transcribe adds a message of the first handshake.
func (e *Engine) transcribe(m *message.Raw, sender attls.Role) {
	at := pointOf(m.Kind, sender)
	if m.Kind == attls.KindAdded {
		for i := range e.profile().Messages {
			if a := &e.profile().Messages[i]; a.Type == m.Type {
				at = a.At[sender]
			}
		}
	}
	e.transcript.add(at, m.Bytes)
}
