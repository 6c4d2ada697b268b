package capture

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"attls"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// Writer writes connections to a pcapng file, as packets of Ethernet, IP and
// TCP made up around the octets that went through, with the secrets that open
// them in Decryption Secrets Blocks: Wireshark and tshark show such a file
// decrypted. It may be used by several connections at once.
//
// A program that reads the file once needs the secrets before the packets, so
// packets are held until a connection is closed, Flush is called or maxHeld
// octets are at hand.
type Writer struct {
	// Hold keeps packets until Flush although connections are closed, for secrets
	// that are known only afterwards.
	Hold bool

	mu      sync.Mutex
	ng      *pcapgo.NgWriter
	clock   func() time.Time
	secrets bytes.Buffer    // lines that are not written yet
	logged  map[string]bool // lines seen
	held    []packet
	octets  int
	ports   uint16 // connections that have no TCP addresses of their own
	err     error
}

type packet struct {
	at   time.Time
	data []byte
}

// maxHeld bounds what a Writer holds back, in octets.
const maxHeld = 1 << 20

const tlsKeyLog = 0x544c534b // "TLSK": the secrets are a key log in the NSS format

// NewWriter begins a file. A nil clock is time.Now.
func NewWriter(w io.Writer, clock func() time.Time) (*Writer, error) {
	if clock == nil {
		clock = time.Now
	}
	device := pcapgo.NgInterface{Name: "attls", LinkType: layers.LinkTypeEthernet, TimestampResolution: 9}
	about := pcapgo.NgWriterOptions{SectionInfo: pcapgo.NgSectionInfo{
		Application: "attls", Comment: "packets made up around what a connection carried"}}
	ng, err := pcapgo.NewNgWriterInterface(w, device, about)
	if err != nil {
		return nil, err
	}
	_ = ng.Flush() // who reads along waits for the head; an error is that of each later Flush, too
	return &Writer{ng: ng, clock: clock, logged: map[string]bool{}}, nil
}

// KeyLog takes lines of a key log in the NSS format, whole lines at a time, as
// handshake.Config.KeyLog gives them. Both ends of a connection may write theirs.
func (w *Writer) KeyLog() io.Writer { return keyLogWriter{w} }

type keyLogWriter struct{ w *Writer }

func (k keyLogWriter) Write(line []byte) (int, error) {
	k.w.mu.Lock()
	defer k.w.mu.Unlock()
	if !k.w.logged[string(line)] {
		k.w.logged[string(line)] = true
		k.w.secrets.Write(line)
	}
	return len(line), nil
}

// Flush writes what is held, and returns the first error of writing.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flush()
	return w.err
}

func (w *Writer) flush() {
	if w.secrets.Len() > 0 {
		w.keep(w.ng.WriteDecryptionSecretsBlock(tlsKeyLog, w.secrets.Bytes()))
		w.secrets.Reset()
	}
	for _, p := range w.held {
		w.keep(w.ng.WritePacket(gopacket.CaptureInfo{Timestamp: p.at, CaptureLength: len(p.data), Length: len(p.data)},
			p.data))
	}
	w.held, w.octets = nil, 0
	w.keep(w.ng.Flush())
}

func (w *Writer) keep(err error) {
	if w.err == nil {
		w.err = err
	}
}

// Conn returns a connection that passes everything on to c and records it. local
// is the end that holds c. Closing it closes c.
func (w *Writer) Conn(c net.Conn, local attls.Role) net.Conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := &recorded{Conn: c, w: w, local: local}
	r.ends[local], r.ends[local.Peer()] = address(c.LocalAddr()), address(c.RemoteAddr())
	if !r.ends[0].IsValid() || !r.ends[1].IsValid() || r.ends[0].Addr().Is4() != r.ends[1].Addr().Is4() {
		w.ports++
		r.ends = [2]netip.AddrPort{netip.AddrPortFrom(documentation[0], 49151+w.ports),
			netip.AddrPortFrom(documentation[1], 4433)}
	}
	r.next = [2]uint32{1000, 5000}
	r.segment(attls.RoleClient, layers.TCP{SYN: true}, nil)
	r.segment(attls.RoleServer, layers.TCP{SYN: true, ACK: true}, nil)
	r.segment(attls.RoleClient, layers.TCP{ACK: true}, nil)
	return r
}

// documentation are addresses for connections without any (RFC 5737), by role.
var documentation = [2]netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, 1}), netip.AddrFrom4([4]byte{192, 0, 2, 2})}

func address(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	p := t.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap().WithZone(""), p.Port())
}

// recorded is one end of a recorded connection.
type recorded struct {
	net.Conn
	w     *Writer
	local attls.Role
	ends  [2]netip.AddrPort // by role
	next  [2]uint32         // the next sequence number, by sender
	ended [2]bool           // FIN was sent, by sender
}

func (r *recorded) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	r.data(r.local.Peer(), b[:n])
	if err == io.EOF {
		r.finish(r.local.Peer())
	}
	return n, err
}

// Write records first, so that no answer to it is recorded before.
func (r *recorded) Write(b []byte) (int, error) {
	r.data(r.local, b)
	return r.Conn.Write(b)
}

// CloseWrite ends our direction where the connection can.
func (r *recorded) CloseWrite() error {
	r.finish(r.local)
	if c, ok := r.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}

// Close closes the connection and writes what was held.
func (r *recorded) Close() error {
	err := r.Conn.Close()
	r.finish(r.local)
	if !r.w.Hold {
		_ = r.w.Flush()
	}
	return err
}

// maxSegment is what an Ethernet frame carries of TCP, in octets.
const maxSegment = 1440

func (r *recorded) data(from attls.Role, b []byte) {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	for len(b) > 0 {
		n := min(len(b), maxSegment)
		r.segment(from, layers.TCP{ACK: true, PSH: n == len(b)}, b[:n])
		b = b[n:]
	}
	if r.w.octets > maxHeld {
		r.w.flush()
	}
}

func (r *recorded) finish(from attls.Role) {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	if r.ended[from] {
		return
	}
	r.ended[from] = true
	r.segment(from, layers.TCP{FIN: true, ACK: true}, nil)
	if r.ended[from.Peer()] {
		r.segment(from.Peer(), layers.TCP{ACK: true}, nil)
	}
}

// macs are locally administered addresses, by role.
var macs = [2]net.HardwareAddr{{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}}

// segment holds one packet to be written.
func (r *recorded) segment(from attls.Role, tcp layers.TCP, payload []byte) {
	to := from.Peer()
	tcp.SrcPort, tcp.DstPort = layers.TCPPort(r.ends[from].Port()), layers.TCPPort(r.ends[to].Port())
	tcp.Seq, tcp.Window = r.next[from], 65535
	if tcp.ACK {
		tcp.Ack = r.next[to]
	}
	r.next[from] += uint32(len(payload))
	if tcp.SYN || tcp.FIN {
		r.next[from]++
	}
	frame, err := frame(&tcp, r.ends[from].Addr(), r.ends[to].Addr(), macs[from], macs[to], payload)
	if err != nil {
		r.w.keep(fmt.Errorf("a packet of %d octets: %w", len(payload), err))
		return
	}
	r.w.held = append(r.w.held, packet{r.w.clock(), frame})
	r.w.octets += len(frame)
}

// frame puts a TCP segment into IP and Ethernet, with lengths and checksums.
func frame(tcp *layers.TCP, from, to netip.Addr, source, destination net.HardwareAddr, payload []byte) ([]byte, error) {
	ethernet := &layers.Ethernet{SrcMAC: source, DstMAC: destination, EthernetType: layers.EthernetTypeIPv4}
	var network interface {
		gopacket.NetworkLayer
		gopacket.SerializableLayer
	}
	if from.Is4() {
		network = &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, Flags: layers.IPv4DontFragment,
			SrcIP: from.AsSlice(), DstIP: to.AsSlice()}
	} else {
		ethernet.EthernetType = layers.EthernetTypeIPv6
		network = &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolTCP, SrcIP: from.AsSlice(),
			DstIP: to.AsSlice()}
	}
	if err := tcp.SetNetworkLayerForChecksum(network); err != nil {
		return nil, err
	}
	b := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, ethernet,
		network, tcp, gopacket.Payload(payload))
	return b.Bytes(), err
}
