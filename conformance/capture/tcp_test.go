package capture

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"attls"
)

var (
	alice = netip.MustParseAddrPort("10.0.0.1:40000")
	bob   = netip.MustParseAddrPort("10.0.0.2:4433")
)

// said is a segment of alice (a) or bob (b), captured at a time in milliseconds.
func said(from byte, at int, flags byte, seq, ack uint32, text string) segment {
	s := segment{at: time.UnixMilli(int64(1700000000000 + at)).UTC(), from: alice, to: bob, flags: flags, seq: seq, ack: ack, data: []byte(text), size: len(text)}
	if from == 'b' {
		s.from, s.to = bob, alice
	}
	return s
}

const (
	syn    = flagSYN
	synAck = flagSYN | flagACK
	ack    = flagACK
	fin    = flagFIN | flagACK
	rst    = flagRST | flagACK
)

// hello begins as a record with a ClientHello or ServerHello does.
func hello(kind byte, text string) string {
	return string([]byte{22, 3, 1, 0, byte(len(text) + 4), kind, 0, 0, byte(len(text))}) + text
}

// opening is a handshake of TCP whose first octets are 1001 and 5001.
func opening(at int) []segment {
	return []segment{said('a', at, syn, 1000, 0, ""), said('b', at+1, synAck, 5000, 1001, ""), said('a', at+2, ack, 1001, 5001, "")}
}

// told writes a connection as text: who is the client, what was said in order,
// with gaps, and what is known about it.
func told(c *Connection) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d", c.Client.Port())
	for _, p := range c.Pieces {
		who := " c:"
		if p.Sender == attls.RoleServer {
			who = " s:"
		}
		if p.Lost != 0 {
			who += fmt.Sprintf("<%d>", p.Lost)
		}
		text := string(p.Data)
		if len(text) > 9 && text[0] == 22 {
			text = fmt.Sprintf("H%d%s", text[5], text[9:])
		}
		b.WriteString(who + text)
	}
	if c.Lost != 0 {
		fmt.Fprintf(&b, " lost %d", c.Lost)
	}
	if c.Differing != 0 {
		fmt.Fprintf(&b, " differing %d", c.Differing)
	}
	if c.Preamble != 0 {
		fmt.Fprintf(&b, " preamble %d", c.Preamble)
	}
	return b.String()
}

func TestReassembly(t *testing.T) {
	after := func(list []segment, more ...segment) []segment { return append(list, more...) }
	client, server := hello(kindClientHello, "one"), hello(kindServerHello, "two")
	n := uint32(len(client))
	for _, test := range []struct {
		name string
		list []segment
		want []string
	}{
		{"in order", after(opening(0), said('a', 3, ack, 1001, 5001, "abc"), said('b', 4, ack, 5001, 1004, "xyz"), said('a', 5, ack, 1004, 5004, "def")),
			[]string{"40000 c:abc s:xyz c:def"}},
		{"out of order", after(opening(0), said('a', 3, ack, 1004, 5001, "def"), said('a', 4, ack, 1001, 5001, "abc"), said('b', 5, ack, 5001, 1007, "xyz")),
			[]string{"40000 c:abc c:def s:xyz"}},
		{"sent again", after(opening(0), said('a', 3, ack, 1001, 5001, "abc"), said('a', 4, ack, 1001, 5001, "abc"), said('a', 5, ack, 1001, 5001, "abcdef")),
			[]string{"40000 c:abc c:def"}},
		{"overlapping on both sides", after(opening(0), said('a', 3, ack, 1001, 5001, "abc"), said('a', 4, ack, 1007, 5001, "ghi"), said('a', 5, ack, 1003, 5001, "cdefgh")),
			[]string{"40000 c:abc c:def c:ghi"}},
		{"sent again with other octets", after(opening(0), said('a', 3, ack, 1001, 5001, "abcdef"), said('a', 4, ack, 1003, 5001, "cXeY")),
			[]string{"40000 c:abcdef differing 2"}},
		{"sent again with other octets, of two segments", after(opening(0), said('a', 3, ack, 1001, 5001, "abc"), said('a', 4, ack, 1004, 5001, "def"), said('a', 5, ack, 1002, 5001, "XXXXX")),
			[]string{"40000 c:abc c:def differing 5"}},
		{"sent again with other octets, each captured before what it is compared with", after(opening(0), said('a', 3, ack, 1004, 5001, "def"), said('a', 4, ack, 1001, 5001, "abcXef"), said('a', 5, ack, 1012, 5001, "lm"), said('a', 6, ack, 1012, 5001, "lmn")),
			[]string{"40000 c:abc c:def c:<5>lm c:n lost 5 differing 1"}},
		{"a probe that keeps the connection alive", after(opening(0), said('a', 3, ack, 1001, 5001, "abc"), said('a', 4, ack, 1003, 5001, "\x00"), said('a', 5, ack, 1003, 5001, ""), said('a', 6, ack, 1004, 5001, "def")),
			[]string{"40000 c:abc c:def"}},
		{"sequence numbers that wrap", []segment{said('a', 0, syn, 0xfffffffe, 0, ""), said('b', 1, synAck, 0xffffffff, 0xffffffff, ""), said('a', 2, ack, 0xffffffff, 0, "abc"),
			said('b', 3, ack, 0, 2, "xyz"), said('a', 4, ack, 2, 3, "def")}, []string{"40000 c:abc s:xyz c:def"}},
		{"data in the SYN", []segment{said('a', 0, syn, 1000, 0, "abc"), said('b', 1, synAck, 5000, 1004, "xyz"), said('a', 2, ack, 1004, 5004, "def")},
			[]string{"40000 c:abc s:xyz c:def"}},
		{"urgent data", after(opening(0), said('a', 3, ack|32, 1001, 5001, "abc"), said('a', 4, ack, 1004, 5001, "def")), []string{"40000 c:abc c:def"}},
		{"octets that were not captured", after(opening(0), said('a', 3, ack, 1001, 5001, "abc"), said('a', 4, ack, 1014, 5001, "def")),
			[]string{"40000 c:abc c:<10>def lost 10"}},
		{"octets at the end that were acknowledged and not captured", after(opening(0), said('a', 3, ack, 1001, 5001, "abc"), said('b', 4, ack, 5001, 1024, "xyz")),
			[]string{"40000 c:abc s:xyz lost 19"}}, // one may be a FIN
		{"octets before a FIN that were not captured", after(opening(0), said('a', 3, ack, 1001, 5001, "abc"), said('a', 4, fin, 1010, 5001, "")),
			[]string{"40000 c:abc lost 6"}},
		{"a FIN that was not captured", after(opening(0), said('a', 3, ack, 1001, 5001, "abc"), said('b', 4, ack, 5001, 1005, ""), said('a', 5, ack, 1005, 5001, "")),
			[]string{"40000 c:abc"}},
		{"octets that the snap length cut off", after(opening(0), segment{at: time.UnixMilli(1700000000003), from: alice, to: bob, flags: ack, seq: 1001, ack: 5001, data: []byte("abc"), size: 9},
			said('a', 4, ack, 1010, 5001, "def")), []string{"40000 c:abc c:<6>def lost 6"}},
		{"octets of the last segment that the snap length cut off", after(opening(0), segment{at: time.UnixMilli(1700000000003), from: alice, to: bob, flags: ack, seq: 1001, ack: 5001, data: []byte("abc"), size: 9}),
			[]string{"40000 c:abc lost 6"}},
		{"segments of which nothing was captured", after(opening(0), segment{at: time.UnixMilli(1700000000003), from: alice, to: bob, flags: ack, seq: 1011, ack: 5001, size: 9}, said('a', 4, ack, 1011, 5001, "def")),
			[]string{"40000 c:<10>def lost 16"}},
		{"without the handshake of TCP", []segment{said('a', 3, ack, 1001, 5001, "abc"), said('b', 4, ack, 5001, 1004, "xyz")}, []string{"40000 c:<-1>abc s:<-1>xyz lost -1"}},
		{"without the handshake of TCP, and TLS begins", []segment{said('a', 3, ack, 1001, 5001, client), said('b', 4, ack, 5001, 1001+n, server)}, []string{"40000 c:H1one s:H2two"}},
		{"without the handshake of TCP, the server's octets first in the file", []segment{said('b', 4, ack, 5001, 1001+n, server), said('a', 3, ack, 1001, 5001, client)}, []string{"40000 c:H1one s:H2two"}},
		{"without the handshake of TCP, and TLS begins with an octet of its own", []segment{said('a', 3, ack, 1001, 5001, client[:1]), said('a', 4, ack, 1002, 5001, client[1:]),
			said('b', 5, ack, 5001, 1001+n, server[:2]), said('b', 6, ack, 5003, 1001+n, server[2:])}, []string{"40000 c:" + client[:1] + " c:" + client[1:] + " s:" + server[:2] + " s:" + server[2:]}},
		{"without the handshake of TCP, and the octets of a ServerHello one by one", []segment{{at: time.UnixMilli(1), from: alice, to: bob, flags: ack, seq: 1, data: []byte(server[:3]), size: 3},
			{at: time.UnixMilli(2), from: alice, to: bob, flags: ack, seq: 3, data: []byte(server[2:]), size: len(server) - 2}}, []string{"4433 s:" + server[:3] + " s:" + server[3:]}},
		{"TLS after STARTTLS, which begins with an octet of its own", after(opening(0), said('b', 3, ack, 5001, 1001, "go ahead"), said('a', 4, ack, 1001, 5009, client[:2]), said('a', 5, ack, 1003, 5009, client[2:])),
			[]string{"40000 c:" + client[:2] + " c:" + client[2:] + " preamble 8"}},
		{"without a SYN of the client", []segment{said('b', 1, synAck, 5000, 1001, ""), said('a', 3, ack, 1001, 5001, "abc")}, []string{"40000 c:<-1>abc lost -1"}},
		{"without the answer to the SYN", []segment{said('a', 0, syn, 1000, 0, ""), said('a', 2, ack, 1001, 5001, "abc"), said('b', 3, ack, 5001, 1004, "xyz")}, []string{"40000 c:abc s:xyz"}},
		{"without the answer to the SYN and what follows it", []segment{said('a', 0, syn, 1000, 0, ""), said('a', 2, ack, 1001, 5001, "abc"), said('b', 3, ack, 5011, 1004, "xyz")}, []string{"40000 c:abc s:<10>xyz lost 10"}},
		{"one direction only", []segment{said('a', 0, syn, 1000, 0, ""), said('a', 2, ack, 1001, 5001, "abc"), said('a', 4, ack, 1004, 5101, "def")}, []string{"40000 c:abc c:def lost 100"}},
		{"the other direction only", []segment{said('b', 4, ack, 5001, 1001, server)}, []string{"40000 s:H2two"}},
		{"the other direction only, by ports", []segment{{at: time.UnixMilli(1), from: netip.MustParseAddrPort("10.0.0.2:443"), to: alice, flags: ack, data: []byte("abc"), size: 3}}, []string{"40000 s:<-1>abc lost -1"}},
		{"times that go back", []segment{said('a', 0, syn, 1000, 0, ""), said('b', 1, synAck, 5000, 1001, ""), said('a', 90, ack, 1001, 5001, "abc"), said('b', 4, ack, 5001, 1004, "xyz"), said('a', 5, ack, 1004, 5004, "def")},
			[]string{"40000 c:abc s:xyz c:def"}},
		{"a file that is not in the order of times", []segment{said('b', 4, ack, 5001, 1004, "xyz"), said('a', 5, ack, 1004, 5004, "def"), said('a', 0, syn, 1000, 0, ""), said('a', 3, ack, 1001, 5001, "abc"), said('b', 1, synAck, 5000, 1001, "")},
			[]string{"40000 c:abc s:xyz c:def"}},
		{"two captures of the same packets", after(after(opening(0), said('a', 3, ack, 1001, 5001, "abc"), said('b', 4, ack, 5001, 1004, "xyz"), said('a', 5, fin, 1004, 5004, ""), said('b', 6, fin, 5004, 1005, "")),
			after(opening(7), said('a', 10, ack, 1001, 5001, "abc"), said('b', 11, ack, 5001, 1004, "xyz"), said('a', 12, fin, 1004, 5004, ""), said('b', 13, fin, 5004, 1005, ""))...), []string{"40000 c:abc s:xyz"}},
		{"a SYN that is sent again", after([]segment{said('a', -9, syn, 1000, 0, "")}, after(opening(0), said('a', 3, ack, 1001, 5001, "abc"))...), []string{"40000 c:abc"}},
		{"a SYN that comes late", []segment{said('a', 3, ack, 1001, 5001, "abc"), said('a', 4, syn, 1000, 0, ""), said('b', 5, synAck, 5000, 1001, ""), said('b', 6, ack, 5001, 1004, "xyz")}, []string{"40000 c:abc s:xyz"}},
		{"ports that are used again after a FIN", after(opening(0), said('a', 3, ack, 1001, 5001, "abc"), said('a', 4, fin, 1004, 5001, ""), said('b', 5, fin, 5001, 1005, ""),
			said('a', 10, syn, 9000, 0, ""), said('b', 11, synAck, 7000, 9001, ""), said('a', 12, ack, 9001, 7001, "def")), []string{"40000 c:abc", "40000 c:def"}},
		{"ports that are used again without a FIN", after(opening(0), said('a', 3, ack, 1001, 5001, "abc"),
			said('a', 10, syn, 9000, 0, ""), said('b', 11, synAck, 7000, 9001, ""), said('a', 12, ack, 9001, 7001, "def")), []string{"40000 c:abc", "40000 c:def"}},
		{"ports that are used again after a RST", after(opening(0), said('a', 3, ack, 1001, 5001, "abc"), said('b', 4, rst, 5001, 1004, ""),
			said('a', 10, syn, 9000, 0, ""), said('b', 11, synAck, 7000, 9001, ""), said('a', 12, ack, 9001, 7001, "def")), []string{"40000 c:abc", "40000 c:def"}},
		{"ports that are used again by the other end", after(opening(0), said('a', 3, ack, 1001, 5001, "abc"), said('b', 4, rst, 5001, 1004, ""),
			said('b', 10, syn, 9000, 0, ""), said('a', 11, synAck, 7000, 9001, ""), said('b', 12, ack, 9001, 7001, "def")), []string{"40000 c:abc", "4433 c:def"}},
		{"ports that are used again, the SYN of which was not captured", after(opening(0), said('a', 3, ack, 1001, 5001, "abc"),
			said('b', 11, synAck, 0x60000000, 0x50000001, ""), said('a', 12, ack, 0x50000001, 0x60000001, "def")), []string{"40000 c:abc", "40000 c:<-1>def lost -1"}},
		{"ports that are used again without either SYN", after(opening(0), said('a', 3, ack, 1001, 5001, "abc"),
			said('a', 12, ack, 0x50000001, 0x60000001, client), said('b', 13, ack, 0x60000001, 0x50000001+n, server)), []string{"40000 c:abc", "40000 c:H1one s:H2two"}},
		{"a late packet of the connection before", after(opening(0), said('a', 3, ack, 1001, 5001, "abc"),
			said('a', 10, syn, 0x50000000, 0, ""), said('b', 11, synAck, 0x60000000, 0x50000001, ""), said('a', 12, ack, 1004, 5001, "ghi"), said('a', 13, ack, 0x50000001, 0x60000001, "def")), []string{"40000 c:abc c:ghi", "40000 c:def"}},
		{"data after a RST that somebody else sent", after(opening(0), said('a', 3, ack, 1001, 5001, "abc"), said('b', 4, rst, 5001, 1004, ""), said('a', 5, ack, 1004, 5001, "def"), said('b', 6, ack, 5001, 1007, "xyz")),
			[]string{"40000 c:abc c:def s:xyz"}},
		{"a RST with words in it", after(opening(0), said('a', 3, ack, 1001, 5001, "abc"), said('a', 4, rst, 1004, 5001, "")), []string{"40000 c:abc"}},
		{"both ends open at once", []segment{said('a', 0, syn, 1000, 0, ""), said('b', 0, syn, 5000, 0, ""), said('a', 2, synAck, 1000, 5001, ""), said('b', 2, synAck, 5000, 1001, ""), said('a', 3, ack, 1001, 5001, "abc")}, []string{"40000 c:abc"}},
		{"a SYN without an answer", []segment{said('a', 0, syn, 1000, 0, "")}, []string{"40000"}},
		{"nothing but a RST", []segment{said('a', 0, rst, 1000, 0, "")}, nil},
		{"nothing but acknowledgments", []segment{said('a', 0, ack, 1000, 5, ""), said('b', 0, ack, 5, 1000, "")}, nil},
		{"TLS after another protocol", after(opening(0), said('b', 3, ack, 5001, 1001, "220 ready"), said('a', 4, ack, 1001, 5010, "STARTTLS"), said('b', 5, ack, 5010, 1009, "220 go"), said('a', 6, ack, 1009, 5016, client), said('b', 7, ack, 5016, 1009+n, server)),
			[]string{"40000 c:H1one s:H2two preamble 23"}},
		{"TLS after another protocol, with the client of TLS at the server of TCP", after(opening(0), said('a', 3, ack, 1001, 5001, "AUTH"), said('b', 4, ack, 5001, 1005, client)),
			[]string{"4433 c:H1one preamble 4"}},
		{"TLS after another protocol, amid which the capture begins", []segment{said('a', 4, ack, 1001, 5010, "STARTTLS"), said('b', 5, ack, 5010, 1009, "220 go"), said('a', 6, ack, 1009, 5016, client), said('b', 7, ack, 5016, 1009+n, server)},
			[]string{"40000 c:H1one s:H2two preamble 14"}},
		{"TLS after a line of the PROXY protocol", after(opening(0), said('a', 3, ack, 1001, 5001, "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n"+client)), []string{"40000 c:H1one preamble 32"}},
		{"TLS after a header of the PROXY protocol 2", after(opening(0), said('a', 3, ack, 1001, 5001, "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"+strings.Repeat("\x00", 12)+client)), []string{"40000 c:H1one preamble 28"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, c := range assemble(slices.Clone(test.list)) {
				got = append(got, told(c))
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("\n got %q\nwant %q", got, test.want)
			}
		})
	}
}

// TestOrderInTheFileDoesNotMatter shuffles the packets of a recording, each with
// its time.
func TestOrderInTheFileDoesNotMatter(t *testing.T) {
	for _, name := range recordings {
		list := stampedPackets(t, name)
		slices.Reverse(list)
		expectRecording(t, oldFile{order: little, magic: magicNano, major: 2, minor: 4, link: linkRawIP}.write(list, plain), name)
		for i := range list { // and without times, what was acknowledged says as much
			list[i].at = time.Unix(0, 0)
		}
		expectRecording(t, oldFile{order: little, magic: magicNano, major: 2, minor: 4, link: linkRawIP}.write(list[:len(list)-3], plain), name)
	}
}

// TestManyConnections assembles as many connections as there are segments, and
// one connection of as many segments: the work per segment does not grow.
func TestManyConnections(t *testing.T) {
	scan := func(n int) (list []segment) {
		for i := range n {
			s := said('a', 0, syn, uint32(i), 0, "")
			s.to = netip.AddrPortFrom(s.to.Addr(), uint16(i))
			list = append(list, s)
		}
		return list
	}
	if got := assemble(scan(3000)); len(got) != 3000 {
		t.Fatalf("%d connections", len(got))
	}
	overlapping := func(n int) (list []segment) {
		for i := range n { // each reaches over all that came before and adds an octet
			list = append(list, said('a', i, ack, 1000, 1, string(bytes.Repeat([]byte{'a'}, min(i, 1000)+1))))
		}
		return list
	}
	small, large := allocated(func() { assemble(overlapping(500)) }), allocated(func() { assemble(overlapping(1000)) })
	if large > 8*small {
		t.Errorf("%d octets for 500 overlapping segments, %d for 1000", small, large)
	}
}
