// Package capture reads recorded TLS 1.3 connections: packets of a pcap or
// pcapng file, put together to two streams of octets each, opened with the
// secrets of a key log, down to handshake messages, alerts and application data.
package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"attls"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/gopacket/gopacket/tcpassembly"
)

// Piece is octets that one end sent, in the order in which the capture saw them.
type Piece struct {
	Sender attls.Role
	Data   []byte
	Time   time.Time // of the packet
}

// Connection is one TCP connection of a capture.
type Connection struct {
	// Client is the end that sent the first SYN, or the first octets where the
	// capture begins later.
	Client, Server netip.AddrPort
	Pieces         []Piece
	// Lost is how many octets the capture misses; -1 when it begins amid the
	// connection.
	Lost int
}

// ReadFile reads the TCP connections of a pcap or pcapng file, in the order in
// which they began, and the key log that a pcapng file may contain in
// Decryption Secrets Blocks. Of a broken file it returns what can be read, with
// the error.
func ReadFile(r io.Reader) ([]*Connection, KeyLog, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, nil, err
	}
	source, keys, broken := open(b)
	if source == nil {
		return nil, nil, broken
	}
	asm := newAssembly()
	for n := 1; ; n++ {
		data, info, err := source.ReadPacketData()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			if broken == nil {
				broken = fmt.Errorf("packet %d: %w", n, err)
			}
			break
		}
		asm.packet(gopacket.NewPacket(data, source.LinkType(), gopacket.DecodeOptions{Lazy: true, NoCopy: true}), info)
	}
	asm.FlushAll()
	return asm.connections, keys, broken
}

// packets is what the readers of both file formats have in common.
type packets interface {
	ReadPacketData() ([]byte, gopacket.CaptureInfo, error)
	LinkType() layers.LinkType
}

const sectionHeader = 0x0a0d0d0a

func open(b []byte) (packets, KeyLog, error) {
	if len(b) < 4 || binary.BigEndian.Uint32(b) != sectionHeader {
		p, err := pcapgo.NewReader(bytes.NewReader(b))
		if err != nil {
			return nil, nil, fmt.Errorf("neither pcap nor pcapng: %w", err)
		}
		return p, KeyLog{}, nil
	}
	keys, sound, broken := embeddedKeys(b)
	p, err := pcapgo.NewNgReader(bytes.NewReader(b[:sound]), pcapgo.DefaultNgReaderOptions)
	if err != nil {
		return nil, nil, errors.Join(broken, err)
	}
	return p, keys, broken
}

// embeddedKeys walks the blocks of a pcapng file, which its reader does not
// offer, checks that their lengths fit the file, and reads the key logs in it.
// Before an error, the first sound octets are whole blocks.
func embeddedKeys(b []byte) (keys KeyLog, sound int, _ error) {
	const secretsBlock = 10
	keys = KeyLog{}
	var order binary.ByteOrder = binary.LittleEndian
	for at := 0; at < len(b); {
		if len(b)-at < 12 {
			return keys, at, fmt.Errorf("pcapng: %d octets at octet %d; a block has at least 12", len(b)-at, at)
		}
		if binary.BigEndian.Uint32(b[at:]) == sectionHeader {
			if order = binary.LittleEndian; binary.BigEndian.Uint32(b[at+8:]) == 0x1a2b3c4d {
				order = binary.BigEndian
			}
		}
		size := int64(order.Uint32(b[at+4:]))
		if size < 12 || size > int64(len(b)-at) {
			return keys, at, fmt.Errorf("pcapng: the block at octet %d announces %d octets and %d are left", at, size, len(b)-at)
		}
		block := b[at : at+int(size)]
		at += int(size)
		if order.Uint32(block) != secretsBlock {
			continue
		}
		if len(block) < 20 || int64(order.Uint32(block[12:])) > int64(len(block)-20) {
			return keys, at, fmt.Errorf("pcapng: the secrets of the block that ends at octet %d do not fit in it", at)
		}
		if order.Uint32(block[8:]) != tlsKeyLog {
			continue
		}
		log, err := ReadKeyLog("pcapng secrets", bytes.NewReader(block[16:16+order.Uint32(block[12:])]))
		if err != nil {
			return keys, at, err
		}
		keys.Add(log)
	}
	return keys, len(b), nil
}

// assembly puts TCP segments together.
type assembly struct {
	*tcpassembly.Assembler
	connections []*Connection
	open        map[[2]netip.AddrPort]*Connection // by the ends, client first
	from, to    netip.AddrPort                    // of the packet at hand
	syn         bool
}

func newAssembly() *assembly {
	a := &assembly{open: map[[2]netip.AddrPort]*Connection{}}
	a.Assembler = tcpassembly.NewAssembler(tcpassembly.NewStreamPool(a))
	return a
}

func (a *assembly) packet(p gopacket.Packet, info gopacket.CaptureInfo) {
	tcp, ok := p.TransportLayer().(*layers.TCP)
	if !ok || p.NetworkLayer() == nil {
		return
	}
	flow := p.NetworkLayer().NetworkFlow()
	from, ok1 := netip.AddrFromSlice(flow.Src().Raw())
	to, ok2 := netip.AddrFromSlice(flow.Dst().Raw())
	if !ok1 || !ok2 {
		return
	}
	a.from, a.to = netip.AddrPortFrom(from, uint16(tcp.SrcPort)), netip.AddrPortFrom(to, uint16(tcp.DstPort))
	a.syn = tcp.SYN && !tcp.ACK
	a.AssembleWithTimestamp(flow, tcp, info.Timestamp)
}

// New is called for the first segment of each direction.
func (a *assembly) New(_, _ gopacket.Flow) tcpassembly.Stream {
	if c, ok := a.open[[2]netip.AddrPort{a.to, a.from}]; ok && !a.syn {
		return &stream{c, attls.RoleServer}
	}
	c := &Connection{Client: a.from, Server: a.to}
	a.open[[2]netip.AddrPort{a.from, a.to}] = c
	a.connections = append(a.connections, c)
	return &stream{c, attls.RoleClient}
}

// stream is one direction of a connection.
type stream struct {
	c      *Connection
	sender attls.Role
}

// Reassembled takes octets in their order.
func (s *stream) Reassembled(list []tcpassembly.Reassembly) {
	for _, r := range list {
		switch {
		case r.Skip < 0:
			s.c.Lost = -1
		case s.c.Lost >= 0:
			s.c.Lost += r.Skip
		}
		if len(r.Bytes) > 0 {
			s.c.Pieces = append(s.c.Pieces, Piece{s.sender, append([]byte(nil), r.Bytes...), r.Seen})
		}
	}
}

// ReassemblyComplete has nothing to do: a connection is complete with the file.
func (*stream) ReassemblyComplete() {}
