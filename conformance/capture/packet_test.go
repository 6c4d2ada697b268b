package capture

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
	"time"

	"attls/internal/seeds"
)

// ip4 is an IP packet of version 4 around a payload.
func ip4(protocol uint8, payload []byte) []byte {
	return put(big, nil, uint8(0x45), uint8(0), uint16(20+len(payload)), uint32(0x00010000), uint8(64), protocol, uint16(0),
		[]byte{10, 0, 0, 1}, []byte{10, 0, 0, 2}, payload)
}

// ip6 is an IP packet of version 6.
func ip6(next uint8, payload []byte) []byte {
	return put(big, nil, uint32(0x60000000), uint16(len(payload)), next, uint8(64), make([]byte, 15), uint8(1), make([]byte, 15), uint8(1), payload)
}

func udp(port uint16, payload []byte) []byte {
	return ip4(protoUDP, put(big, nil, uint16(50000), port, uint16(8+len(payload)), uint16(0), payload))
}

// as6 is the TCP of an IP packet of version 4 in version 6, behind extension
// headers.
func as6(next uint8, headers ...[]byte) func([]byte) []byte {
	return func(ip []byte) []byte {
		return ip6(next, append(bytes.Join(headers, nil), ip[20:]...))
	}
}

// wrapper puts an IP packet into a frame of a link type.
type wrapper struct {
	name string
	link uint16
	wrap func([]byte) []byte
}

// join puts a head before an IP packet, and a tail after it.
func join(head []byte, wrap func([]byte) []byte, tail ...byte) func([]byte) []byte {
	return func(ip []byte) []byte { return append(append(bytes.Clone(head), wrap(ip)...), tail...) }
}

// snap is LLC with SNAP.
var snap = []byte{0xaa, 0xaa, 3, 0, 0, 0, 8, 0}

// dataFrame is the header of a data frame of 802.11, with Quality of Service.
func dataFrame(control uint16, quality uint16) []byte {
	return put(little, nil, control, make([]byte, 22), quality)
}

func attribute(order binary.AppendByteOrder, kind uint16, value []byte) []byte {
	return put(order, nil, uint16(4+len(value)), kind, value, make([]byte, -len(value)&3))
}

// wrappers are the frames that are read, each around the recording.
var wrappers = []wrapper{
	{"Ethernet", linkEthernet, ethernet},
	{"Ethernet with padding", linkEthernet, join(nil, ethernet, 0, 0, 0, 0, 0, 0)},
	{"a VLAN tag", linkEthernet, join(put(big, nil, make([]byte, 12), uint16(0x8100), uint16(7), uint16(0x0800)), plain)},
	{"802.1ad", linkEthernet, join(put(big, nil, make([]byte, 12), uint16(0x88a8), uint16(7), uint16(0x8100), uint16(8), uint16(0x0800)), plain)},
	{"tags of type 0x9100 and 0x9200", linkEthernet, join(put(big, nil, make([]byte, 12), uint16(0x9100), uint16(7), uint16(0x9200), uint16(8), uint16(0x0800)), plain)},
	{"802.3 with SNAP", linkEthernet, join(append(append(make([]byte, 12), 0, 200), snap...), plain)},
	{"MPLS", linkEthernet, join(put(big, nil, make([]byte, 12), uint16(0x8847), uint32(0x00010040), uint32(0x00020140)), plain)},
	{"a pseudowire with its control word", linkEthernet, join(put(big, nil, make([]byte, 12), uint16(0x8847), uint32(0x00020140), uint32(0)), ethernet)},
	{"PPPoE", linkEthernet, join(put(big, nil, make([]byte, 12), uint16(0x8864), uint8(0x11), uint8(0), uint16(1), uint16(0), uint16(0x0021)), plain)},
	{"802.1ah", linkEthernet, join(put(big, nil, make([]byte, 12), uint16(0x88e7), uint32(1)), ethernet)},
	{"802.1BR", linkEthernet, join(put(big, nil, make([]byte, 12), uint16(0x893f), make([]byte, 6), uint16(0x0800)), plain)},
	{"NSH", linkEthernet, join(put(big, nil, make([]byte, 12), uint16(0x894f), uint8(0), uint8(2), uint8(2), uint8(3), uint32(0)), ethernet)},
	{"raw IP", linkRaw, plain},
	{"raw IP of OpenBSD", linkRawOpenBSD, plain},
	{"raw IP by its LINKTYPE", linkRawIP, plain},
	{"IPv4", linkIPv4, plain},
	{"IPv6", linkIPv6, as6(protoTCP)},
	{"loopback of BSD", linkNull, join([]byte{2, 0, 0, 0}, plain)},
	{"loopback of OpenBSD", linkLoop, join([]byte{0, 0, 0, 24}, as6(protoTCP))},
	{"Linux cooked", linkSLL, join(append(make([]byte, 14), 8, 0), plain)},
	{"Linux cooked with a tag", linkSLL, join(append(make([]byte, 14), 0x81, 0, 0, 7, 8, 0), plain)},
	{"Linux cooked, version 2", linkSLL2, join(append([]byte{8, 0}, make([]byte, 18)...), plain)},
	{"PPP", linkPPP, join([]byte{0xff, 3, 0, 0x21}, plain)},
	{"PPP with a short protocol", linkPPPSerial, join([]byte{0x21}, plain)},
	{"PPP with a direction", linkPPPDirection, join([]byte{1, 0xff, 3, 0, 0x21}, plain)},
	{"PPPoE without Ethernet", linkPPPoE, join([]byte{0x11, 0, 0, 1, 0, 0, 0, 0x21}, plain)},
	{"HDLC", linkCHDLC, join([]byte{0x0f, 0, 8, 0}, plain)},
	{"FDDI", linkFDDI, join(append(make([]byte, 13), snap...), plain)},
	{"IPsec of BSD", linkEnc, join(make([]byte, 12), plain)},
	{"a log of pf", linkPFLog, join(append([]byte{61}, make([]byte, 63)...), plain)},
	{"NFLOG", linkNFLog, func(ip []byte) []byte {
		return put(little, nil, uint32(2), attribute(little, 1, make([]byte, 4)), attribute(little, 10, []byte("prefix")), attribute(little, 9, ip))
	}},
	{"NFLOG of a big-endian host", linkNFLog, func(ip []byte) []byte {
		return put(big, nil, uint32(2), attribute(big, 1, make([]byte, 4)), attribute(big, 9, ip))
	}},
	{"PKTAP", linkPKTAP, join(put(little, nil, uint32(108), uint32(1), uint32(linkEthernet), make([]byte, 96)), ethernet)},
	{"PPI", linkPPI, join(put(little, nil, uint16(0), uint16(8), uint32(linkEthernet)), ethernet)},
	{"802.11", link80211, join(append(dataFrame(0x0108, 0)[:24], snap...), plain)},
	{"802.11 with Quality of Service", link80211, join(append(dataFrame(0x0188, 0), snap...), plain)},
	{"802.11 with four addresses", link80211, join(append(append(dataFrame(0x0308, 0)[:24], make([]byte, 6)...), snap...), plain)},
	{"802.11 with aggregated frames", link80211, func(ip []byte) []byte {
		inner := append(bytes.Clone(snap), ip...)
		return put(big, dataFrame(0x0188, 0x80), make([]byte, 12), uint16(2), []byte{1, 2}, make([]byte, 12), uint16(len(inner)), inner)
	}},
	{"802.11 with radiotap and a frame check sequence", linkRadiotap, join(append(append(put(little, nil, uint16(0), uint16(20), uint32(3), uint64(0), uint8(0x10), make([]byte, 3)),
		dataFrame(0x0108, 0)[:24]...), snap...), plain, 1, 2, 3, 4)},
	{"802.11 with AVS", linkAVS, join(append(append(put(big, nil, uint32(0x80211001), uint32(64), make([]byte, 56)), dataFrame(0x0108, 0)[:24]...), snap...), plain)},
	{"802.11 with Prism", linkPrism, join(append(append(put(little, nil, uint32(0x44), uint32(144), make([]byte, 136)), dataFrame(0x0108, 0)[:24]...), snap...), plain)},

	{"IPv6 with extension headers", linkRawIP, as6(0, []byte{43, 0, 0, 0, 0, 0, 0, 0}, []byte{60, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, []byte{protoTCP, 0, 0, 0, 0, 0, 0, 0})},
	{"IPv6 with an authentication header", linkRawIP, as6(protoAH, []byte{protoTCP, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})},
	{"an atomic fragment of IPv6", linkRawIP, as6(protoFragment, []byte{protoTCP, 0, 0, 0, 0, 0, 0, 9})},
	{"IPv4 whose length segmentation offload left open", linkRawIP, func(ip []byte) []byte { ip = bytes.Clone(ip); ip[2], ip[3] = 0, 0; return ip }},
	{"IPv6 whose length segmentation offload left open", linkRawIP, func(ip []byte) []byte { ip = as6(protoTCP)(ip); ip[4], ip[5] = 0, 0; return ip }},
	{"IPv4 with options", linkRawIP, func(ip []byte) []byte {
		b := append(append(bytes.Clone(ip[:20]), 1, 1, 1, 0), ip[20:]...)
		b[0] = 0x46
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
		return b
	}},

	{"IP in IP", linkRawIP, func(ip []byte) []byte { return ip4(protoIPv4, ip) }},
	{"IPv6 in IPv4", linkRawIP, func(ip []byte) []byte { return ip4(protoIPv6, as6(protoTCP)(ip)) }},
	{"IPv4 in IPv6", linkRawIP, func(ip []byte) []byte { return ip6(protoIPv4, ip) }},
	{"GRE", linkRawIP, func(ip []byte) []byte { return ip4(protoGRE, join([]byte{0, 0, 8, 0}, plain)(ip)) }},
	{"GRE with checksum, key and sequence number", linkRawIP, func(ip []byte) []byte {
		return ip4(protoGRE, join(append([]byte{0xb0, 0, 8, 0}, make([]byte, 12)...), plain)(ip))
	}},
	{"GRE with Ethernet", linkRawIP, func(ip []byte) []byte {
		return ip4(protoGRE, join([]byte{0x20, 0, 0x65, 0x58, 0, 0, 0, 1}, ethernet)(ip))
	}},
	{"PPTP", linkRawIP, func(ip []byte) []byte {
		return ip4(protoGRE, join(append([]byte{0x30, 0x81, 0x88, 0x0b}, append(make([]byte, 12), 0xff, 3, 0, 0x21)...), plain)(ip))
	}},
	{"ERSPAN", linkRawIP, func(ip []byte) []byte { return ip4(protoGRE, join([]byte{0, 0, 0x88, 0xbe}, ethernet)(ip)) }},
	{"ERSPAN type II", linkRawIP, func(ip []byte) []byte {
		return ip4(protoGRE, join(append([]byte{0x10, 0, 0x88, 0xbe}, make([]byte, 12)...), ethernet)(ip))
	}},
	{"ERSPAN type III", linkRawIP, func(ip []byte) []byte {
		return ip4(protoGRE, join(append([]byte{0x10, 0, 0x22, 0xeb}, append(append(make([]byte, 15), 1), make([]byte, 8)...)...), ethernet)(ip))
	}},
	{"EtherIP", linkRawIP, func(ip []byte) []byte { return ip4(protoEtherIP, join([]byte{0x30, 0}, ethernet)(ip)) }},
	{"MPLS in IP", linkRawIP, func(ip []byte) []byte { return ip4(protoMPLS, join([]byte{0, 1, 1, 64}, plain)(ip)) }},
	{"an authentication header in IPv4", linkRawIP, func(ip []byte) []byte {
		b := ip4(protoAH, append([]byte{protoTCP, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, ip[20:]...))
		copy(b[12:20], ip[12:20])
		return b
	}},
	{"VXLAN", linkEthernet, func(ip []byte) []byte {
		return ethernet(udp(4789, join([]byte{8, 0, 0, 0, 0, 0, 5, 0}, ethernet)(ip)))
	}},
	{"VXLAN on the older port", linkRawIP, func(ip []byte) []byte {
		return udp(8472, join([]byte{8, 0, 0, 0, 0, 0, 5, 0}, ethernet)(ip))
	}},
	{"VXLAN-GPE", linkRawIP, func(ip []byte) []byte { return udp(4790, join([]byte{12, 0, 0, 1, 0, 0, 5, 0}, plain)(ip)) }},
	{"Geneve", linkRawIP, func(ip []byte) []byte {
		return udp(6081, join([]byte{1, 0, 0x65, 0x58, 0, 0, 5, 0, 0, 0, 0, 0}, ethernet)(ip))
	}},
	{"GTP-U", linkRawIP, func(ip []byte) []byte { return udp(2152, join([]byte{0x30, 255, 0, 0, 0, 0, 0, 1}, plain)(ip)) }},
	{"GTP-U with extension headers", linkRawIP, func(ip []byte) []byte {
		return udp(2152, join([]byte{0x34, 255, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0x85, 1, 0, 0, 0x85, 1, 0, 0, 0}, plain)(ip))
	}},
	{"Teredo", linkRawIP, func(ip []byte) []byte {
		return udp(3544, join([]byte{0, 0, 1, 2, 3, 4, 5, 6}, as6(protoTCP))(ip))
	}},
	{"L2TP", linkRawIP, func(ip []byte) []byte {
		return udp(1701, join([]byte{0x48, 2, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0xff, 3, 0, 0x21}, plain)(ip))
	}},
	{"GRE in UDP", linkRawIP, func(ip []byte) []byte { return udp(4754, join([]byte{0, 0, 8, 0}, plain)(ip)) }},
	{"MPLS in UDP", linkRawIP, func(ip []byte) []byte { return udp(6635, join([]byte{0, 1, 1, 64}, plain)(ip)) }},
	{"TZSP", linkRawIP, func(ip []byte) []byte { return udp(37008, join([]byte{1, 0, 0, 1, 10, 1, 0, 0, 1}, ethernet)(ip)) }},
	{"a tunnel in a tunnel", linkEthernet, func(ip []byte) []byte {
		inner := ethernet(udp(2152, join([]byte{0x30, 255, 0, 0, 0, 0, 0, 1}, plain)(ip)))
		return ethernet(udp(4789, append([]byte{8, 0, 0, 0, 0, 0, 5, 0}, inner...)))
	}},
}

func TestFramesAndTunnels(t *testing.T) {
	list := stampedPackets(t, sample)
	for _, w := range wrappers {
		t.Run(w.name, func(t *testing.T) {
			file := newer(list, func(_ int, p stamped) []byte { return enhanced(little, 0, uint64(p.at.UnixMicro()), w.wrap(p.ip)) },
				section(little, 0), description(little, w.link, 0))
			if f := expectRecording(t, file, sample); len(f.Notes) > 0 {
				t.Errorf("notes %q", f.Notes)
			}
		})
	}
}

// TestFrameCheckSequenceOf80211 takes it off where an interface or a packet says
// that it is there.
func TestFrameCheckSequenceOf80211(t *testing.T) {
	list := stampedPackets(t, sample)
	wrap := join(append(dataFrame(0x0108, 0)[:24], snap...), plain, 1, 2, 3, 4)
	for name, file := range map[string][]byte{
		"pcap": oldFile{order: little, magic: magicMicro, major: 2, minor: 4, link: 0x24000000 | link80211}.write(list, wrap),
		"interface": newer(list, func(_ int, p stamped) []byte { return enhanced(little, 0, uint64(p.at.UnixMicro()), wrap(p.ip)) },
			section(little, 0), description(little, link80211, 0, uint16(13), uint16(1), uint8(4), make([]byte, 3))),
		"packet": newer(list, func(_ int, p stamped) []byte {
			data := wrap(p.ip)
			at := uint64(p.at.UnixMicro())
			return block(little, blockEnhanced, uint32(0), uint32(at>>32), uint32(at), uint32(len(data)), uint32(len(data)), data, make([]byte, -len(data)&3),
				uint16(2), uint16(4), uint32(4<<5), uint32(0))
		}, section(little, 0), description(little, link80211, 0)),
	} {
		t.Run(name, func(t *testing.T) { expectRecording(t, file, sample) })
	}
}

// TestWhatIsNotOpenedIsSaid expects a sentence with the number of packets.
func TestWhatIsNotOpenedIsSaid(t *testing.T) {
	list := stampedPackets(t, sample)
	in := func(protocol uint8) func([]byte) []byte {
		return func(ip []byte) []byte { return ip4(protocol, ip) }
	}
	under := func(port uint16, head ...byte) func([]byte) []byte {
		return func(ip []byte) []byte { return udp(port, append(bytes.Clone(head), ip...)) }
	}
	for _, test := range []struct {
		name string
		wrapper
		want string
	}{
		{"a link type that is not known", wrapper{link: 147, wrap: plain}, "Left out: packets of link type 147, which is not read here (25)."},
		{"ESP", wrapper{link: linkRawIP, wrap: in(protoESP)}, "packets in IPsec (ESP), which is not opened (25)."},
		{"ESP in UDP", wrapper{link: linkRawIP, wrap: under(4500, 0, 0, 1, 0)}, "packets in IPsec (ESP in UDP), which is not opened (25)."},
		{"IPComp", wrapper{link: linkRawIP, wrap: in(protoIPComp)}, "packets in IPComp, which is not opened (25)."},
		{"L2TPv3", wrapper{link: linkRawIP, wrap: in(protoL2TP)}, "packets in L2TPv3, which is not opened (25)."},
		{"L2TPv3 in UDP", wrapper{link: linkRawIP, wrap: under(1701, 0, 3, 0, 0)}, "packets in L2TPv3, which is not opened (25)."},
		{"WireGuard", wrapper{link: linkRawIP, wrap: under(51820, 4, 0, 0, 0)}, "packets in WireGuard, which is not opened (25)."},
		{"GUE", wrapper{link: linkRawIP, wrap: under(6080)}, "packets in GUE, which is not opened (25)."},
		{"CAPWAP", wrapper{link: linkRawIP, wrap: under(5247)}, "packets in CAPWAP, which is not opened (25)."},
		{"MACsec", wrapper{link: linkEthernet, wrap: join(put(big, nil, make([]byte, 12), uint16(0x88e5)), plain)}, "packets in MACsec (802.1AE), which is not opened (25)."},
		{"encrypted 802.11", wrapper{link: link80211, wrap: join(dataFrame(0x4108, 0)[:24], plain)}, "packets in encrypted 802.11, which is not opened (25)."},
		{"GRE with source routes", wrapper{link: linkRawIP, wrap: func(ip []byte) []byte { return ip4(protoGRE, join([]byte{0x40, 0, 8, 0}, plain)(ip)) }}, "packets in GRE with source routes, which is not opened (25)."},
		{"PPP Multilink", wrapper{link: linkPPP, wrap: join([]byte{0, 0x3d}, plain)}, "packets in PPP Multilink, which is not opened (25)."},
		{"fragments without their end", wrapper{link: linkRawIP, wrap: func(ip []byte) []byte {
			ip = bytes.Clone(ip)
			ip[6] = 0x20
			return ip
		}}, "fragmented IP packets of which a part was not captured"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, err := Read(bytes.NewReader(oldFile{order: little, magic: magicMicro, major: 2, minor: 4, link: uint32(test.link)}.write(list, test.wrap)))
			if err != nil || len(f.Connections) != 0 || !strings.Contains(strings.Join(f.Notes, "\n"), test.want) {
				t.Errorf("%d connections, %v, notes %q; want %q", len(f.Connections), err, f.Notes, test.want)
			}
		})
	}
	many := newer(nil, nil, section(little, 0))
	for link := range uint16(100) {
		many = append(many, description(little, 1000+link, 0)...)
	}
	for i := range uint32(100) {
		many = append(many, enhanced(little, i, 0, make([]byte, 60))...)
	}
	if f, err := Read(bytes.NewReader(many)); err != nil || len(f.Notes) != maxUnread+1 {
		t.Errorf("100 link types: %q, %v", f.Notes, err)
	}
}

// split cuts an IP packet into fragments of n octets.
func split(ip []byte, n int) (list [][]byte) {
	payload := ip[20:binary.BigEndian.Uint16(ip[2:])]
	for at := 0; at < len(payload); at += n {
		end := min(len(payload), at+n)
		b := append(bytes.Clone(ip[:20]), payload[at:end]...)
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
		flags := uint16(at / 8)
		if end < len(payload) {
			flags |= 0x2000
		}
		binary.BigEndian.PutUint16(b[6:], flags)
		list = append(list, b)
	}
	return list
}

// split6 is split for the TCP of an IP packet in IPv6.
func split6(ip []byte, id uint32, n int) (list [][]byte) {
	payload := ip[20:]
	for at := 0; at < len(payload); at += n {
		end := min(len(payload), at+n)
		offset := uint16(at)
		if end < len(payload) {
			offset |= 1
		}
		list = append(list, ip6(0, put(big, nil, []byte{protoFragment, 0, 0, 0, 0, 0, 0, 0}, uint8(protoTCP), uint8(0), offset, id, payload[at:end])))
	}
	return list
}

func TestFragments(t *testing.T) {
	list := stampedPackets(t, sample)
	file := func(each func(i int, ip []byte) [][]byte) []byte {
		b := put(little, nil, uint32(magicMicro), uint16(2), uint16(4), uint64(0), uint32(0), uint32(linkRawIP))
		for i, p := range list {
			for _, part := range each(i, p.ip) {
				b = put(little, b, uint32(p.at.Unix()), uint32(p.at.Nanosecond()/1000), uint32(len(part)), uint32(len(part)), part)
			}
		}
		return b
	}
	reversed := func(parts [][]byte) [][]byte {
		var back [][]byte
		for i := range parts {
			back = append(back, parts[len(parts)-1-i])
		}
		return back
	}
	for _, test := range []struct {
		name string
		each func(i int, ip []byte) [][]byte
	}{
		{"IPv4", func(_ int, ip []byte) [][]byte { return split(ip, 64) }},
		{"IPv4, so short that TCP's own header is cut", func(_ int, ip []byte) [][]byte { return split(ip, 8) }},
		{"IPv4, the last one first", func(_ int, ip []byte) [][]byte { return reversed(split(ip, 64)) }},
		{"IPv4, each twice", func(_ int, ip []byte) [][]byte { return append(split(ip, 64), split(ip, 64)...) }},
		{"IPv4, overlapping", func(_ int, ip []byte) [][]byte { return append(split(ip, 24)[:1], split(ip, 64)...) }},
		{"IPv4 of one packet between those of another", func(i int, ip []byte) [][]byte {
			other := udp(9, make([]byte, 100))
			other[4] = byte(i)
			parts, others := split(ip, 64), split(other, 64)
			return append(append(parts[:1:1], others...), parts[1:]...)
		}},
		{"IPv6", func(i int, ip []byte) [][]byte { return split6(ip, uint32(i), 64) }},
		{"IPv6, the last one first", func(i int, ip []byte) [][]byte { return reversed(split6(ip, uint32(i), 64)) }},
		{"inside a tunnel", func(i int, ip []byte) [][]byte {
			parts := split(ip, 128)
			for k := range parts {
				parts[k] = udp(4789, join([]byte{8, 0, 0, 0, 0, 0, 5, 0}, ethernet)(parts[k]))
			}
			return parts
		}},
		{"of a tunnel", func(i int, ip []byte) [][]byte {
			outer := udp(4789, join([]byte{8, 0, 0, 0, 0, 0, 5, 0}, ethernet)(ip))
			outer[5] = byte(i)
			return split(outer, 80)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			more := strings.HasSuffix(test.name, "twice") || strings.HasSuffix(test.name, "overlapping") // parts are left over
			if f := expectRecording(t, file(test.each), sample); !more && len(f.Notes) > 0 {
				t.Errorf("notes %q", f.Notes)
			}
		})
	}
}

// TestFragmentsAreBounded adds fragments of hostile packets.
func TestFragmentsAreBounded(t *testing.T) {
	g := func() *datagram {
		return &datagram{from: netip.MustParseAddr("10.0.0.1"), to: netip.MustParseAddr("10.0.0.2"), protocol: protoTCP, payload: make([]byte, 64)}
	}
	f := fragments{}
	if _, ok := f.add(g(), 1, 65528, false, time.Time{}); ok || f.waiting() != 0 {
		t.Error("a fragment that ends after the largest packet")
	}
	for i := range 3 * maxFragments { // never the first
		if _, ok := f.add(g(), 2, 8+8*(i%8000), i%2 == 0, time.Time{}); ok {
			t.Fatal("a packet without its beginning")
		}
		for _, p := range f {
			if len(p.parts) > maxFragments {
				t.Fatalf("%d fragments are kept", len(p.parts))
			}
		}
	}
	if _, ok := f.add(g(), 3, 0, true, time.Unix(0, 0)); ok {
		t.Error("half a packet")
	}
	if _, ok := f.add(g(), 3, 64, false, time.Unix(100, 0)); ok {
		t.Error("the other half came a hundred seconds later, and the number may be used again by then")
	}
}

// TestNestingIsBounded reads packets inside packets.
func TestNestingIsBounded(t *testing.T) {
	ip := stampedPackets(t, sample)[0].ip
	for range 3000 {
		ip = ip4(protoIPv4, ip)
		if len(ip) > 60000 {
			break
		}
	}
	found := 0
	d := newDecoder(func(segment) { found++ })
	d.frame(&rawPacket{link: linkRawIP, data: ip})
	if found != 0 || d.depth > maxDepth+1 {
		t.Errorf("%d segments at a depth of %d", found, d.depth)
	}
}

// FuzzPacket feeds frames of any link type.
func FuzzPacket(f *testing.F) {
	seeds.Add(f, func() {
		ip := stampedPackets(f, sample)[3].ip
		for _, w := range wrappers {
			f.Add(w.link, w.wrap(ip), uint8(0))
		}
	})
	f.Fuzz(func(t *testing.T, link uint16, data []byte, fcs uint8) {
		seeds.Input(t, link, data, fcs)
		octets := 0
		d := newDecoder(func(s segment) { octets += len(s.data) })
		d.frame(&rawPacket{link: link, data: data, fcs: int(fcs)})
		d.notes()
		if octets > len(data) {
			t.Errorf("%d octets of TCP in a packet of %d", octets, len(data))
		}
	})
}
