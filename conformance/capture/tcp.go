package capture

import (
	"bytes"
	"container/heap"
	"net/netip"
	"slices"
	"sort"
	"time"

	"attls"
)

// segment is a TCP segment.
type segment struct {
	at       time.Time
	from, to netip.AddrPort
	seq, ack uint32
	flags    byte
	data     []byte // what was captured of it
	size     int    // octets of data on the wire
}

// assembly puts segments, in the order of their times, together to connections.
type assembly struct {
	list []*tcp
	open map[[2]netip.AddrPort]*tcp // the latest between two ends, the lower end first
}

// tcp is a connection; its sides are numbered, the one that spoke first is 0.
type tcp struct {
	ends     [2]netip.AddrPort
	sides    [2]side
	previous *tcp
}

// side is what one end sent. Positions in it count from the first octet that
// is known of, so that they do not wrap.
type side struct {
	known    bool   // a segment was seen
	syn      bool   // its SYN was seen
	answers  bool   // with ACK
	origin   uint32 // sequence number of the first octet
	lastSeq  uint32
	last     int64 // position of lastSeq
	low      int64
	high     int64 // the position after the last octet
	reached  int64 // the highest position of a segment without data
	fin, rst bool
	finAt    int64
	segments []placed

	acked            bool   // the other side acknowledged something
	ackFirst, ackTop uint32 // the first and the highest acknowledgment
}

// placed is a segment with its position and its place in the order of times.
type placed struct {
	segment
	position int64
	order    int
}

const (
	// maxJump is how far a segment may lie ahead of what was seen of its side. The
	// window of TCP has at most 2^30 octets.
	maxJump = 1 << 30
	// nearby is how far packets that a capture lost, or that came late, may reach.
	nearby = 1 << 20
)

// assemble makes connections of all segments of a file.
func assemble(segments []segment) []*Connection {
	slices.SortStableFunc(segments, func(a, b segment) int { return a.at.Compare(b.at) })
	a := assembly{open: map[[2]netip.AddrPort]*tcp{}}
	for i := range segments {
		a.add(&segments[i], i)
	}
	var list []*Connection
	for _, c := range a.list {
		list = append(list, c.connection())
	}
	return list
}

// add finds the connection of a segment.
func (a *assembly) add(s *segment, order int) {
	key := [2]netip.AddrPort{s.from, s.to}
	if s.to.Compare(s.from) < 0 {
		key = [2]netip.AddrPort{s.to, s.from}
	}
	c := a.open[key]
	switch {
	case c != nil && !c.begins(s):
		c.add(s, order)
	case c != nil && c.previous != nil && s.flags&flagSYN == 0 && c.previous.near(s): // it came late
		c.previous.add(s, order)
	case s.flags&flagSYN == 0 && len(s.data) == 0: // nothing begins with it
		if c != nil {
			c.add(s, order)
		}
	default:
		if c != nil {
			c.previous = nil
		}
		c = &tcp{ends: [2]netip.AddrPort{s.from, s.to}, previous: c}
		a.open[key] = c
		a.list = append(a.list, c)
		c.add(s, order)
	}
}

// sideOf is the side that sent a segment. A connection of an end with itself
// has one side only.
func (c *tcp) sideOf(s *segment) int {
	if s.from == c.ends[0] {
		return 0
	}
	return 1
}

// begins reports whether a segment belongs to a later connection between the
// same ends, whose ports are used again.
func (c *tcp) begins(s *segment) bool {
	i := c.sideOf(s)
	h, peer := &c.sides[i], &c.sides[1-i]
	if s.flags&flagSYN != 0 {
		return c.beginsSYN(s, h, peer)
	}
	if !h.known {
		return len(s.data) > 0 && (peer.rst || peer.fin) && isHello(s.data, kindClientHello)
	}
	ahead := h.position(s.seq) - h.high
	if ahead >= maxJump || ahead <= -maxJump {
		return true
	}
	if len(s.data) == 0 || ahead <= 1 {
		return false
	}
	hello := isHello(s.data, kindClientHello) || isHello(s.data, kindServerHello)
	return hello && (ahead > nearby || c.over()) || c.over() && ahead > nearby
}

func (c *tcp) beginsSYN(s *segment, h, peer *side) bool {
	start := s.seq + 1
	switch {
	case h.syn: // again, or another one
		return start != h.origin
	case h.known: // it came late
		before := h.low - h.position(start)
		return before < 0 || before > nearby
	case s.flags&flagACK != 0 && peer.known:
		ahead := peer.position(s.ack) - peer.low
		return ahead < 0 || ahead > nearby
	default: // both sides may open a connection at once
		return peer.high > peer.low || peer.fin || peer.rst
	}
}

// near reports whether a segment goes on with a connection.
func (c *tcp) near(s *segment) bool {
	h := &c.sides[c.sideOf(s)]
	if !h.known {
		return false
	}
	ahead := h.position(s.seq) - h.high
	return ahead <= nearby && ahead >= -maxJump
}

// over reports whether a connection has ended.
func (c *tcp) over() bool {
	return c.sides[0].rst || c.sides[1].rst || c.sides[0].fin && c.sides[1].fin
}

// position is where a sequence number lies, as the one nearest to the last.
func (h *side) position(seq uint32) int64 { return h.last + int64(int32(seq-h.lastSeq)) }

// add takes a segment of this connection.
func (c *tcp) add(s *segment, order int) {
	i := c.sideOf(s)
	h := &c.sides[i]
	if s.flags&flagACK != 0 {
		c.sides[1-i].acknowledge(s.ack)
	}
	seq := s.seq
	if s.flags&flagSYN != 0 {
		seq++
		if !h.known {
			h.answers = s.flags&flagACK != 0
		}
	}
	if !h.known {
		h.known, h.origin, h.lastSeq = true, seq, seq
	}
	at := h.position(seq)
	if s.flags&flagSYN != 0 && !h.syn {
		h.syn, h.answers = true, s.flags&flagACK != 0
		h.origin, h.low = seq, at
	}
	h.low = min(h.low, at)
	end := at + int64(s.size)
	if s.flags&flagRST != 0 {
		h.rst = true
		return
	}
	if s.flags&flagFIN != 0 && !h.fin {
		h.fin, h.finAt = true, end
	}
	if len(s.data) > 0 {
		h.segments = append(h.segments, placed{*s, at, order})
	}
	if s.size > 0 {
		h.high = max(h.high, end)
	}
	h.reached = max(h.reached, at)
	h.last, h.lastSeq = at, seq
}

func (h *side) acknowledge(ack uint32) {
	if !h.acked {
		h.acked, h.ackFirst, h.ackTop = true, ack, ack
	}
	if int32(ack-h.ackTop) > 0 {
		h.ackTop = ack
	}
	if int32(ack-h.ackFirst) < 0 {
		h.ackFirst = ack
	}
}

// ordered is a Piece with what is known of when it was sent.
type ordered struct {
	Piece
	position int64
	order    int    // in time; no piece of a side comes before an earlier one of it
	begin    uint32 // sequence number
	ack      uint32 // what its sender had received of the other side
	acks     bool
}

// connection puts both sides together.
func (c *tcp) connection() *Connection {
	var pieces [2][]ordered
	out := &Connection{}
	unknown := false
	for i := range c.sides {
		h := &c.sides[i]
		list, lost, differing, whole := h.pieces(&c.sides[1-i])
		pieces[i] = list
		out.Lost, out.Differing = out.Lost+lost, out.Differing+differing
		unknown = unknown || !whole
	}
	if unknown {
		out.Lost = -1
	}
	client := c.client(pieces)
	out.Client, out.Server = c.ends[client], c.ends[1-client]
	out.Pieces = interleave(pieces[client], pieces[1-client])
	out.skipPreamble()
	return out
}

// pieces puts what a side sent in order; of octets that came twice, the first
// count. lost is how many octets of it were not captured, differing how many came
// again with other values, and whole is false where the capture begins amid it.
func (h *side) pieces(peer *side) (list []ordered, lost, differing int, whole bool) {
	slices.SortStableFunc(h.segments, func(a, b placed) int {
		if a.position != b.position {
			return sign(a.position - b.position)
		}
		return a.order - b.order
	})
	next, whole := h.start(peer)
	var open byOrder // segments that reach over next
	last := -1       // the segment of the last piece
	for i := 0; i < len(h.segments) || len(open) > 0; {
		at := next
		if len(open) == 0 {
			at = max(next, h.segments[i].position)
		}
		for ; i < len(h.segments) && h.segments[i].position <= at; i++ {
			heap.Push(&open, &h.segments[i])
		}
		s := open[0]
		if s.end() <= at {
			heap.Pop(&open)
			continue
		}
		end := s.end()
		if i < len(h.segments) { // which may have come earlier
			end = min(end, h.segments[i].position)
		}
		if n := len(list); n > 0 && last == s.order && at == next { // the same segment goes on
			p := &list[n-1]
			p.Data = s.data[p.position-s.position : end-s.position]
			next = end
			continue
		}
		p := ordered{Piece: Piece{Data: s.data[at-s.position : end-s.position], Time: s.at, Lost: int(at - next)},
			position: at, order: s.order, begin: h.seq(at), ack: s.ack, acks: s.flags&flagACK != 0}
		if len(list) == 0 && !whole {
			p.Lost = -1
		} else {
			lost += p.Lost
		}
		if n := len(list); n > 0 {
			p.order = max(p.order, list[n-1].order)
		}
		list, next, last = append(list, p), end, s.order
	}
	for i := range h.segments {
		if s := &h.segments[i]; len(s.data) > 1 { // one octet is a probe that keeps a connection alive
			differing += differ(list, s.position, s.data)
		}
	}
	return list, lost + h.missing(next), differing, whole
}

// end is the position after what was captured of a segment.
func (s *placed) end() int64 { return s.position + int64(len(s.data)) }

// byOrder is a heap of segments, the one that was captured first on top.
type byOrder []*placed

func (l byOrder) Len() int           { return len(l) }
func (l byOrder) Less(i, j int) bool { return l[i].order < l[j].order }
func (l byOrder) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }
func (l *byOrder) Push(x any)        { *l = append(*l, x.(*placed)) }
func (l *byOrder) Pop() any {
	last := len(*l) - 1
	x := (*l)[last]
	*l = (*l)[:last]
	return x
}

func sign(n int64) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}

// seq is the sequence number of a position.
func (h *side) seq(position int64) uint32 { return h.lastSeq + uint32(position-h.last) }

// start is the position of the first octet that a side sent, and whether that
// is known: by its SYN, by the answer to it, or because TLS begins there.
func (h *side) start(peer *side) (int64, bool) {
	if h.syn || len(h.segments) == 0 {
		return h.low, true
	}
	first := h.segments[0].position
	if h.acked && peer.syn && !peer.answers { // the end of a handshake of TCP acknowledges a SYN
		if at := h.position(h.ackFirst); at <= first && first-at <= nearby {
			return at, true
		}
	}
	data := h.head()
	return first, isHello(data, kindClientHello) || isHello(data, kindServerHello) || isAlert(data)
}

// headSize is how many octets tell what an end begins with. Some programs send
// the first octets of a ClientHello alone.
const headSize = recordHeader + 2

// head is what a side began with, at least headSize octets if they were captured.
func (h *side) head() []byte {
	b, next := h.segments[0].data, h.segments[0].end()
	for i := 1; i < len(h.segments) && len(b) < headSize && h.segments[i].position <= next; i++ {
		if s := &h.segments[i]; s.end() > next {
			b, next = append(b[:len(b):len(b)], s.data[next-s.position:]...), s.end()
		}
	}
	return b
}

// headOf is what the sender of the first piece began with there, at least headSize
// octets if they were captured.
func headOf(list []Piece) []byte {
	b := list[0].Data
	for i := 1; i < len(list) && len(b) < headSize; i++ {
		switch p := &list[i]; {
		case p.Sender != list[0].Sender:
		case p.Lost != 0:
			return b
		default:
			b = append(b[:len(b):len(b)], p.Data...)
		}
	}
	return b
}

// missing is how many octets after a position were sent: they are acknowledged,
// or lie before a FIN, or the snap length cut them off.
func (h *side) missing(next int64) int {
	if !h.known {
		if h.acked {
			return int(h.ackTop - h.ackFirst)
		}
		return 0
	}
	end := h.high
	if h.fin {
		end = h.finAt
	} else {
		// The last number may be that of a FIN which was not captured.
		end = max(end, h.reached-1)
		if acked := h.position(h.ackTop) - 1; h.acked && acked-end < maxJump {
			end = max(end, acked)
		}
	}
	return int(max(0, end-next))
}

// differ counts the octets from a position on that are not those which came
// before, as far as list has them.
func differ(list []ordered, at int64, again []byte) (n int) {
	i := sort.Search(len(list), func(i int) bool { return list[i].position+int64(len(list[i].Data)) > at })
	for ; i < len(list) && len(again) > 0; i++ {
		p := &list[i]
		if skip := p.position - at; skip > 0 {
			if skip >= int64(len(again)) {
				return n
			}
			again, at = again[skip:], p.position
		}
		had := p.Data[at-p.position:]
		size := min(len(had), len(again))
		for k := range size {
			if had[k] != again[k] {
				n++
			}
		}
		again, at = again[size:], at+int64(size)
	}
	return n
}

// interleave puts the pieces of both ends in the order of time, but none before
// what its sender had received.
func interleave(client, server []ordered) (list []Piece) {
	queues := [2][]ordered{client, server}
	for len(queues[0])+len(queues[1]) > 0 {
		role := attls.RoleClient
		switch {
		case len(queues[0]) == 0:
			role = attls.RoleServer
		case len(queues[1]) > 0:
			c, s := &queues[0][0], &queues[1][0]
			clientWaits, serverWaits := c.acks && int32(c.ack-s.begin) > 0, s.acks && int32(s.ack-c.begin) > 0
			if serverWaits == clientWaits && s.order < c.order || clientWaits && !serverWaits {
				role = attls.RoleServer
			}
		}
		p := queues[role][0].Piece
		p.Sender = role
		list = append(list, p)
		queues[role] = queues[role][1:]
	}
	return list
}

// client is the side that sent the ClientHello; without TLS, the one that opened
// the connection, uses the higher port or spoke first.
func (c *tcp) client(pieces [2][]ordered) int {
	for i, list := range pieces {
		if len(list) == 0 {
			continue
		}
		var first []Piece
		for k := range min(len(list), headSize) {
			first = append(first, list[k].Piece)
		}
		switch head := headOf(first); {
		case isHello(head, kindClientHello):
			return i
		case isHello(head, kindServerHello):
			return 1 - i
		}
	}
	for i := range c.sides {
		switch h := &c.sides[i]; {
		case h.syn && !h.answers:
			return i
		case h.syn:
			return 1 - i
		}
	}
	if a, b := c.ends[0].Port(), c.ends[1].Port(); (a < 1024) != (b < 1024) {
		if a < 1024 {
			return 1
		}
	}
	return 0
}

const (
	kindClientHello = 1
	kindServerHello = 2
)

// isHello reports whether octets begin a record with a handshake message of a
// type.
func isHello(b []byte, kind byte) bool {
	return len(b) >= 6 && b[0] == byte(attls.ContentTypeHandshake) && b[1] == 3 && b[2] <= 4 && b[5] == kind
}

// isAlert reports whether octets are an unprotected alert.
func isAlert(b []byte) bool {
	return len(b) >= 7 && b[0] == byte(attls.ContentTypeAlert) && b[1] == 3 && b[2] <= 4 && b[3] == 0 && b[4] == 2
}

// isRecord reports whether octets begin as a record does.
func isRecord(b []byte) bool {
	const maxRecord = 1<<14 + 2048
	return len(b) >= recordHeader && b[0] >= byte(attls.ContentTypeChangeCipherSpec) &&
		b[0] <= byte(attls.ContentTypeApplicationData) &&
		b[1] == 3 && b[2] <= 4 && int(b[3])<<8|int(b[4]) <= maxRecord
}

// skipPreamble drops what two ends said in another protocol before they began
// TLS on the same connection (STARTTLS, or a proxy with CONNECT). Which end is
// the client of TLS shows only then.
func (c *Connection) skipPreamble() {
	for i := range c.Pieces {
		p := &c.Pieces[i]
		if n := proxyHeader(p.Data); n > 0 && isHello(p.Data[n:], kindClientHello) {
			p.Data, c.Preamble = p.Data[n:], c.Preamble+n
		}
		switch head := headOf(c.Pieces[i:]); {
		case isHello(head, kindClientHello):
			if i == 0 {
				return
			}
			for _, before := range c.Pieces[:i] {
				c.Preamble += len(before.Data)
			}
			if p.Sender == attls.RoleServer {
				c.Client, c.Server = c.Server, c.Client
				for k := range c.Pieces {
					c.Pieces[k].Sender = c.Pieces[k].Sender.Peer()
				}
			}
			c.Pieces = c.Pieces[i:]
			c.recount()
			return
		case isRecord(head):
			return
		}
	}
}

// proxyHeader is the length of a header of the PROXY protocol of HAProxy, of
// version 1 or 2; 0 when there is none.
func proxyHeader(b []byte) int {
	const maxLine, head = 107, 16
	if bytes.HasPrefix(b, []byte("PROXY ")) {
		if n := bytes.Index(b[:min(len(b), maxLine)], []byte("\r\n")); n > 0 {
			return n + 2
		}
		return 0
	}
	if len(b) >= head && bytes.HasPrefix(b, []byte("\r\n\r\n\x00\r\nQUIT\n")) {
		if n := head + int(b[14])<<8 + int(b[15]); n <= len(b) {
			return n
		}
	}
	return 0
}

// recount leaves what the capture misses of the preamble out of Lost, where the
// capture begins amid it.
func (c *Connection) recount() {
	if c.Lost >= 0 {
		return
	}
	c.Lost = 0
	for i := range c.Pieces {
		if c.Pieces[i].Lost < 0 {
			c.Lost = -1
			return
		}
		c.Lost += c.Pieces[i].Lost
	}
}
