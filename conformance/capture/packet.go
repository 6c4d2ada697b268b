package capture

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// maxDepth bounds how many headers are taken off a packet: tunnels may lie in
// each other.
const maxDepth = 32

// decoder takes packets apart down to TCP, through the tunnels that it knows.
// What it cannot read it counts, and notes says so.
type decoder struct {
	segment   func(segment) // is called for each TCP segment
	fragments fragments
	at        time.Time // of the packet at hand
	depth     int
	unread    map[string]int // what was left out, with the number of packets
}

// maxUnread bounds how many link types are named.
const maxUnread = 8

func newDecoder(f func(segment)) *decoder {
	return &decoder{segment: f, fragments: fragments{}, unread: map[string]int{}}
}

// LINKTYPE_ values (https://www.tcpdump.org/linktypes.html).
const (
	linkNull         = 0
	linkEthernet     = 1
	linkPPP          = 9
	linkFDDI         = 10
	linkRaw          = 12
	linkRawOpenBSD   = 14
	linkPPPSerial    = 50
	linkPPPoE        = 51
	linkRawIP        = 101
	linkCHDLC        = 104
	link80211        = 105
	linkLoop         = 108
	linkEnc          = 109
	linkSLL          = 113
	linkPFLog        = 117
	linkPrism        = 119
	linkRadiotap     = 127
	linkAVS          = 163
	linkPPPDirection = 204
	linkPPI          = 192
	linkIPv4         = 228
	linkIPv6         = 229
	linkNFLog        = 239
	linkPKTAP        = 258
	linkSLL2         = 276
)

// frame takes one captured packet.
func (d *decoder) frame(f *rawPacket) {
	data := f.data
	if f.link != link80211 { // elsewhere, the length in the IP header leaves it out
		f.fcs = 0
	}
	d.at, d.depth = f.time, 0
	d.link(f.link, data[:len(data)-min(len(data), f.fcs)])
}

// link takes a packet by the link type of its interface.
func (d *decoder) link(link uint16, b []byte) {
	if d.tooDeep() {
		return
	}
	switch link {
	case linkEthernet:
		d.ethernet(b)
	case linkRaw, linkRawOpenBSD, linkRawIP, linkIPv4, linkIPv6:
		d.ip(b)
	case linkNull, linkLoop:
		d.ip(from(b, 4)) // the family is that of the host; the version of IP says as much
	case linkSLL:
		if len(b) >= 16 {
			d.etherType(binary.BigEndian.Uint16(b[14:]), b[16:])
		}
	case linkSLL2:
		if len(b) >= 20 {
			d.etherType(binary.BigEndian.Uint16(b), b[20:])
		}
	case linkPPP, linkPPPSerial:
		d.ppp(b)
	case linkPPPDirection:
		d.ppp(from(b, 1))
	case linkPPPoE:
		d.ppp(from(b, 6))
	case linkCHDLC:
		d.hdlc(b)
	case linkFDDI:
		d.llc(from(b, 13))
	case linkEnc:
		d.ip(from(b, 12))
	case linkPFLog:
		if len(b) > 0 {
			d.ip(from(b, (int(b[0])+3)&^3))
		}
	case linkNFLog:
		d.ip(nflogPayload(b))
	case linkPKTAP:
		if len(b) >= 12 {
			d.link(uint16(binary.LittleEndian.Uint32(b[8:])), from(b, int(binary.LittleEndian.Uint32(b))))
		}
	case linkPPI:
		if len(b) >= 8 {
			d.link(uint16(binary.LittleEndian.Uint32(b[4:])), from(b, int(binary.LittleEndian.Uint16(b[2:]))))
		}
	case link80211:
		d.wireless(b, false)
	case linkRadiotap:
		d.radiotap(b)
	case linkPrism, linkAVS:
		d.monitor(b)
	default:
		d.unknownLink(link)
	}
}

func (d *decoder) unknownLink(link uint16) {
	what := fmt.Sprintf("packets of link type %d, which is not read here", link)
	if d.unread[what] == 0 && len(d.unread) >= maxUnread {
		what = "packets of more link types, which are not read here"
	}
	d.unread[what]++
}

// from is b without its first n octets; nil when it has fewer.
func from(b []byte, n int) []byte {
	if n < 0 || n > len(b) {
		return nil
	}
	return b[n:]
}

func (d *decoder) tooDeep() bool {
	d.depth++
	return d.depth > maxDepth
}

// sealed counts a packet that is in a tunnel which is not opened.
func (d *decoder) sealed(tunnel string) {
	d.unread["packets in "+tunnel+", which is not opened"]++
}

// notes are the sentences on what was not read.
func (d *decoder) notes() (list []string) {
	for what, n := range d.unread {
		list = append(list, fmt.Sprintf("Left out: %s (%d).", what, n))
	}
	slices.Sort(list)
	if n := d.fragments.waiting(); n > 0 {
		list = append(list, fmt.Sprintf("Left out: fragmented IP packets of which a part was not captured (%d).", n))
	}
	return list
}

func (d *decoder) ethernet(b []byte) {
	if len(b) < 14 || d.tooDeep() {
		return
	}
	d.etherType(binary.BigEndian.Uint16(b[12:]), b[14:])
}

// etherType takes what follows an EtherType, or a length before LLC.
func (d *decoder) etherType(t uint16, b []byte) {
	if d.tooDeep() {
		return
	}
	switch t {
	case 0x0800, 0x86dd:
		d.ip(b)
	case 0x8100, 0x88a8, 0x9100, 0x9200, 0x9300: // VLAN tags
		if len(b) >= 4 {
			d.etherType(binary.BigEndian.Uint16(b[2:]), b[4:])
		}
	case 0x893f: // E-TAG of 802.1BR
		if len(b) >= 8 {
			d.etherType(binary.BigEndian.Uint16(b[6:]), b[8:])
		}
	case 0x88e7: // I-TAG of 802.1ah
		d.ethernet(from(b, 4))
	case 0x6558: // Transparent Ethernet Bridging
		d.ethernet(b)
	case 0x8847, 0x8848:
		d.mpls(b)
	case 0x8864:
		d.ppp(from(b, 6))
	case 0x880b:
		d.ppp(b)
	case 0x88be: // ERSPAN type II; type I has no sequence number in GRE
		d.ethernet(from(b, 8))
	case 0x22eb: // ERSPAN type III
		if len(b) >= 12 {
			d.ethernet(from(b, 12+8*int(b[11]&1)))
		}
	case 0x894f: // NSH
		if len(b) >= 8 {
			next := map[byte]uint16{1: 0x0800, 2: 0x86dd, 3: 0x6558}[b[3]]
			d.etherType(next, from(b, 4*int(b[1]&0x3f)))
		}
	case 0x88e5:
		d.sealed("MACsec (802.1AE)")
	default:
		if t >= 4 && t < 1536 { // a length; LINUX_SLL has 4 there
			d.llc(b)
		}
	}
}

// llc takes 802.2, with SNAP or with IP in it.
func (d *decoder) llc(b []byte) {
	switch {
	case len(b) >= 8 && b[0] == 0xaa && b[1] == 0xaa && b[2] == 3:
		d.etherType(binary.BigEndian.Uint16(b[6:]), b[8:])
	case len(b) >= 3 && b[0] == 6 && b[1] == 6 && b[2] == 3:
		d.ip(b[3:])
	}
}

// mpls takes off a stack of labels; what is under it has no type.
func (d *decoder) mpls(b []byte) {
	for len(b) >= 4 {
		bottom := b[2]&1 != 0
		b = b[4:]
		if !bottom {
			continue
		}
		switch {
		case len(b) == 0:
		case b[0]>>4 == 4 || b[0]>>4 == 6:
			d.ip(b)
		case b[0]>>4 == 0: // the control word of a pseudowire
			d.ethernet(from(b, 4))
		default:
			d.ethernet(b)
		}
		return
	}
}

// ppp takes a PPP frame, with or without address, control and the first octet
// of its protocol.
func (d *decoder) ppp(b []byte) {
	if len(b) >= 2 && b[0] == 0xff && b[1] == 3 {
		b = b[2:]
	}
	if len(b) >= 4 && (b[0] == 0x0f || b[0] == 0x8f) && b[1] == 0 {
		d.hdlc(b)
		return
	}
	if len(b) < 2 {
		return
	}
	protocol, b := uint16(b[0]), b[1:]
	if protocol&1 == 0 {
		protocol, b = protocol<<8|uint16(b[0]), b[1:]
	}
	switch protocol {
	case 0x0021, 0x0057:
		d.ip(b)
	case 0x0281, 0x0283:
		d.mpls(b)
	case 0x003d:
		d.sealed("PPP Multilink")
	case 0x0053, 0x00fd:
		d.sealed("encrypted or compressed PPP")
	}
}

// hdlc takes a frame of Cisco's HDLC.
func (d *decoder) hdlc(b []byte) {
	if len(b) >= 4 {
		d.etherType(binary.BigEndian.Uint16(b[2:]), b[4:])
	}
}

// nflogPayload finds NFULA_PAYLOAD among the attributes of NFLOG, which are in
// the order of octets of the host.
func nflogPayload(b []byte) []byte {
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		for rest := from(b, 4); len(rest) >= 4; {
			size, kind := int(order.Uint16(rest)), order.Uint16(rest[2:])&0x7fff
			if size < 4 || size > len(rest) {
				if kind == 9 && size >= 4 { // cut by the snap length
					return rest[4:]
				}
				break
			}
			if kind == 9 {
				return rest[4:size]
			}
			rest = rest[min(len(rest), (size+3)&^3):]
		}
	}
	return nil
}

// radiotap takes off that header and a frame check sequence that it announces.
func (d *decoder) radiotap(b []byte) {
	if len(b) < 8 {
		return
	}
	size := int(binary.LittleEndian.Uint16(b[2:]))
	head, body := b[:min(len(b), size)], from(b, size)
	present := binary.LittleEndian.Uint32(b[4:])
	at := 8
	for more := present; more&(1<<31) != 0 && at+4 <= len(head); at += 4 {
		more = binary.LittleEndian.Uint32(head[at:])
	}
	if present&1 != 0 { // TSFT
		at = (at+7)&^7 + 8
	}
	flags := byte(0)
	if present&2 != 0 && at < len(head) {
		flags = head[at]
	}
	if flags&0x10 != 0 {
		body = body[:len(body)-min(len(body), 4)]
	}
	d.wireless(body, flags&0x20 != 0)
}

// monitor takes off the header of Prism or AVS; either link type is used for both.
func (d *decoder) monitor(b []byte) {
	if len(b) < 8 {
		return
	}
	size := int(binary.BigEndian.Uint32(b[4:]))
	if binary.BigEndian.Uint32(b)>>12 != 0x80211 {
		size = 144
		if n := binary.LittleEndian.Uint32(b[4:]); n >= 24 && n <= uint32(len(b)) {
			size = int(n)
		}
	}
	d.wireless(from(b, size), false)
}

// wireless takes a data frame of 802.11. With padded, its header was filled up to
// four octets.
func (d *decoder) wireless(b []byte, padded bool) {
	const typeData, null, quality, protected, order = 0x08, 0x40, 0x80, 0x4000, 0x8000
	if len(b) < 24 {
		return
	}
	control := binary.LittleEndian.Uint16(b)
	if control&0x0c != typeData || control&null != 0 {
		return
	}
	size, aggregated := 24, false
	if control&0x0300 == 0x0300 { // a fourth address
		size += 6
	}
	if control&quality != 0 {
		aggregated = len(b) > size && b[size]&0x80 != 0
		if size += 2; control&order != 0 {
			size += 4
		}
	}
	if padded {
		size = (size + 3) &^ 3
	}
	b = from(b, size)
	if control&protected != 0 {
		d.sealed("encrypted 802.11")
		return
	}
	if !aggregated {
		d.llc(b)
		return
	}
	for depth := d.depth; len(b) >= 14; d.depth = depth {
		n := int(binary.BigEndian.Uint16(b[12:]))
		d.llc(b[14:min(len(b), 14+n)])
		b = b[min(len(b), (14+n+3)&^3):]
	}
}

// datagram is an IP packet without its headers.
type datagram struct {
	from, to netip.Addr
	protocol byte
	payload  []byte // what was captured of it
	missing  int    // octets of it that the snap length cut off
}

// Numbers of protocols in IP.
const (
	protoIPv4     = 4
	protoTCP      = 6
	protoUDP      = 17
	protoIPv6     = 41
	protoGRE      = 47
	protoESP      = 50
	protoAH       = 51
	protoMinimal  = 55
	protoEtherIP  = 97
	protoIPComp   = 108
	protoL2TP     = 115
	protoMPLS     = 137
	protoFragment = 44
)

func (d *decoder) ip(b []byte) {
	if len(b) < 20 || d.tooDeep() {
		return
	}
	switch b[0] >> 4 {
	case 4:
		d.ipv4(b)
	case 6:
		d.ipv6(b)
	}
}

func (d *decoder) ipv4(b []byte) {
	header, total := 4*int(b[0]&15), int(binary.BigEndian.Uint16(b[2:]))
	if total == 0 { // segmentation offload: the length came after the capture
		total = len(b)
	}
	if header < 20 || header > total || header > len(b) {
		return
	}
	g := datagram{from: netip.AddrFrom4([4]byte(b[12:16])), to: netip.AddrFrom4([4]byte(b[16:20])), protocol: b[9],
		payload: b[header:min(total, len(b))], missing: max(0, total-len(b))}
	if f := binary.BigEndian.Uint16(b[6:]); f&0x3fff != 0 {
		d.fragment(&g, uint32(binary.BigEndian.Uint16(b[4:])), 8*int(f&0x1fff), f&0x2000 != 0)
		return
	}
	d.datagram(&g)
}

func (d *decoder) ipv6(b []byte) {
	if len(b) < 40 {
		return
	}
	total := 40 + int(binary.BigEndian.Uint16(b[4:]))
	if total == 40 { // a jumbogram or segmentation offload
		total = len(b)
	}
	d.datagram(&datagram{from: netip.AddrFrom16([16]byte(b[8:24])), to: netip.AddrFrom16([16]byte(b[24:40])),
		protocol: b[6],
		payload:  b[40:min(total, len(b))], missing: max(0, total-len(b))})
}

// datagram goes by the protocol in IP, through the extension headers of IPv6.
func (d *decoder) datagram(g *datagram) {
	if d.tooDeep() {
		return
	}
	b := g.payload
	switch g.protocol {
	case protoTCP:
		d.tcp(g)
	case protoUDP:
		d.udp(g)
	case protoIPv4, protoIPv6:
		d.ip(b)
	case protoGRE:
		d.gre(b)
	case protoEtherIP:
		d.ethernet(from(b, 2))
	case protoMPLS:
		d.mpls(b)
	case 0, 43, 60, 135, 139, 140: // hop-by-hop, routing, destination, mobility, HIP, shim6
		if len(b) >= 8 && g.from.Is6() {
			d.extension(g, b[0], 8+8*int(b[1]))
		}
	case protoAH:
		if len(b) >= 8 {
			d.extension(g, b[0], 8+4*int(b[1]))
		}
	case protoFragment:
		if len(b) >= 8 && g.from.Is6() {
			offset, more := int(binary.BigEndian.Uint16(b[2:])&^7), b[3]&1 != 0
			id := binary.BigEndian.Uint32(b[4:])
			g.protocol, g.payload = b[0], b[8:]
			if offset == 0 && !more { // RFC 6946
				d.datagram(g)
				return
			}
			d.fragment(g, id, offset, more)
		}
	case protoESP:
		d.sealed("IPsec (ESP)")
	case protoIPComp:
		d.sealed("IPComp")
	case protoL2TP:
		d.sealed("L2TPv3")
	case protoMinimal:
		d.sealed("minimal encapsulation (RFC 2004)")
	}
}

func (d *decoder) extension(g *datagram, next byte, size int) {
	if rest := from(g.payload, size); rest != nil {
		g.protocol, g.payload = next, rest
		d.datagram(g)
	}
}

// fragment takes a part of a packet; the last one to come yields the packet.
func (d *decoder) fragment(g *datagram, id uint32, offset int, more bool) {
	if g.missing > 0 {
		d.unread["IP fragments that the snap length cut"]++
		return
	}
	if whole, ok := d.fragments.add(g, id, offset, more, d.at); ok {
		d.datagram(whole)
	}
}

func (d *decoder) gre(b []byte) {
	if len(b) < 4 {
		return
	}
	flags, protocol := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	size := 4
	if flags&0x4000 != 0 { // source routes, RFC 1701
		d.sealed("GRE with source routes")
		return
	}
	if flags&0x8000 != 0 && flags&7 == 0 {
		size += 4
	}
	for _, bit := range []uint16{0x2000, 0x1000} { // key, sequence number
		if flags&bit != 0 {
			size += 4
		}
	}
	if flags&7 == 1 && flags&0x0080 != 0 { // acknowledgment number, RFC 2637
		size += 4
	}
	b = from(b, size)
	switch {
	case protocol == 0x88be && flags&0x1000 == 0:
		d.ethernet(b)
	case protocol == 0x883e && len(b) > 4 && b[0]>>4 != 4: // WCCP with its redirect header
		d.ip(b[4:])
	case protocol == 0x883e:
		d.ip(b)
	default:
		d.etherType(protocol, b)
	}
}

func (d *decoder) udp(g *datagram) {
	b := g.payload
	if len(b) < 8 {
		return
	}
	source, destination := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	b = b[8:]
	for _, port := range []uint16{destination, source} {
		if d.tunnel(port, b) {
			return
		}
	}
}

// tunnel opens what is known to be sent to a UDP port.
func (d *decoder) tunnel(port uint16, b []byte) bool {
	if len(b) < 8 {
		return false
	}
	switch port {
	case 4789, 8472: // VXLAN, RFC 7348
		if b[0]&8 == 0 {
			return false
		}
		d.ethernet(b[8:])
	case 4790: // VXLAN-GPE
		next := map[byte]uint16{1: 0x0800, 2: 0x86dd, 3: 0x6558, 4: 0x894f}[b[3]]
		d.etherType(next, b[8:])
	case 6081: // Geneve, RFC 8926
		d.etherType(binary.BigEndian.Uint16(b[2:]), from(b, 8+4*int(b[0]&0x3f)))
	case 2152:
		d.gtp(b)
	case 3544: // Teredo, RFC 4380
		if b[0] == 0 && b[1] == 1 && len(b) >= 4 { // authentication
			b = from(b, 13+int(b[2])+int(b[3]))
		}
		if len(b) >= 8 && b[0] == 0 && b[1] == 0 { // origin
			b = b[8:]
		}
		d.ip(b)
	case 1701:
		d.l2tp(b)
	case 4754: // RFC 8086
		d.gre(b)
	case 6635: // RFC 7510
		d.mpls(b)
	case 37008:
		d.tzsp(b)
	case 6080:
		d.sealed("GUE")
	case 5247:
		d.sealed("CAPWAP")
	case 4500: // RFC 3948
		if binary.BigEndian.Uint32(b) != 0 {
			d.sealed("IPsec (ESP in UDP)")
		}
	case 51820:
		if b[0] < 1 || b[0] > 4 || b[1]|b[2]|b[3] != 0 {
			return false
		}
		d.sealed("WireGuard")
	case 1194:
		d.sealed("OpenVPN by its port")
	default:
		return false
	}
	return true
}

// gtp takes a G-PDU of GTP-U (3GPP TS 29.281).
func (d *decoder) gtp(b []byte) {
	const gpdu = 255
	if b[0]>>5 != 1 || b[0]&0x10 == 0 || b[1] != gpdu {
		return
	}
	flags := b[0]
	b = b[8:]
	if flags&7 != 0 {
		if len(b) < 4 {
			return
		}
		next := b[3]
		b = b[4:]
		for flags&4 != 0 && next != 0 {
			if len(b) < 4 || b[0] == 0 || 4*int(b[0]) > len(b) {
				return
			}
			n := 4 * int(b[0])
			next, b = b[n-1], b[n:]
		}
	}
	switch {
	case len(b) > 0 && (b[0]>>4 == 4 || b[0]>>4 == 6):
		d.ip(b)
	case len(b) > 1 && b[0] == 0xff && b[1] == 3:
		d.ppp(b)
	default:
		d.ethernet(b)
	}
}

// l2tp takes a data message of L2TP (RFC 2661).
func (d *decoder) l2tp(b []byte) {
	const control, length, sequence, offset = 0x8000, 0x4000, 0x0800, 0x0200
	flags := binary.BigEndian.Uint16(b)
	if flags&15 == 3 {
		d.sealed("L2TPv3")
		return
	}
	if flags&control != 0 || flags&15 != 2 {
		return
	}
	size := 6
	if flags&length != 0 {
		size += 2
	}
	if flags&sequence != 0 {
		size += 4
	}
	if flags&offset != 0 && len(b) >= size+2 {
		size += 2 + int(binary.BigEndian.Uint16(b[size:]))
	}
	d.ppp(from(b, size))
}

// tzsp takes a packet of the TaZmen Sniffer Protocol.
func (d *decoder) tzsp(b []byte) {
	link := map[uint16]uint16{1: linkEthernet, 18: link80211}[binary.BigEndian.Uint16(b[2:])]
	for b = b[4:]; len(b) > 0; {
		switch {
		case b[0] == 0: // padding
			b = b[1:]
		case b[0] == 1: // the end of the tags
			if link != 0 {
				d.link(link, b[1:])
			}
			return
		case len(b) < 2:
			return
		default:
			b = from(b, 2+int(b[1]))
		}
	}
}

// Bits of the TCP header.
const (
	flagFIN = 1
	flagSYN = 2
	flagRST = 4
	flagACK = 16
)

func (d *decoder) tcp(g *datagram) {
	b := g.payload
	if len(b) < 20 {
		return
	}
	header := 4 * int(b[12]>>4)
	if header < 20 {
		return
	}
	data := from(b, header)
	s := segment{at: d.at, from: netip.AddrPortFrom(g.from, binary.BigEndian.Uint16(b)),
		to:  netip.AddrPortFrom(g.to, binary.BigEndian.Uint16(b[2:])),
		seq: binary.BigEndian.Uint32(b[4:]), ack: binary.BigEndian.Uint32(b[8:]), flags: b[13],
		size: max(0, len(b)+g.missing-header)}
	if s.flags&flagRST != 0 { // may carry the reason in words
		data, s.size = nil, 0
	}
	s.data = append([]byte(nil), data...)
	d.segment(s)
}
