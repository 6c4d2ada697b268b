package capture

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"time"
)

// rawPacket is one packet of a file.
type rawPacket struct {
	time time.Time
	link uint16 // LINKTYPE_ of the interface
	fcs  int    // octets of a frame check sequence at the end of data
	data []byte // valid until the next one is read
}

// maxPacket is the longest packet that a pcap file may hold, in octets, as in
// libpcap: a longer one means that the file is damaged. The snap length in the
// file's header says nothing that a reader needs.
const maxPacket = 262144

// maxExpanded bounds what a compressed file may expand to, in octets.
const maxExpanded = 256 << 20

// input reads a file in its order. It allocates no more than the file holds.
type input struct {
	r   *bufio.Reader
	buf []byte
	at  int64 // octets read
}

func newInput(r io.Reader) *input { return &input{r: bufio.NewReaderSize(r, 1<<16)} }

// take reads n octets, which stay valid until the next call. At the end of the
// file it returns what there is, with io.EOF (nothing) or io.ErrUnexpectedEOF.
func (in *input) take(n int64) ([]byte, error) {
	const step = 1 << 16
	got := 0
	for int64(got) < n {
		want := min(n, max(int64(len(in.buf)), int64(got)+step))
		if int64(len(in.buf)) < want {
			in.buf = append(in.buf, make([]byte, want-int64(len(in.buf)))...)
		}
		m, err := io.ReadFull(in.r, in.buf[got:want])
		got, in.at = got+m, in.at+int64(m)
		if err != nil {
			if got > 0 && errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return in.buf[:got], err
		}
	}
	return in.buf[:n], nil
}

// skip passes over n octets and returns how many there were.
func (in *input) skip(n int64) (int64, error) {
	m, err := io.CopyN(io.Discard, in.r, n)
	in.at += m
	return m, err
}

// unzip expands a gzipped file of one or several members; any other file is
// returned as it is.
func unzip(r io.Reader, limit int, note func(string)) (io.Reader, error) {
	b := bufio.NewReaderSize(r, 1<<16)
	if head, _ := b.Peek(2); !bytes.Equal(head, []byte{0x1f, 0x8b}) {
		return b, nil
	}
	z, err := gzip.NewReader(b)
	if err != nil {
		return nil, fmt.Errorf("gzip: the header is damaged: %w", err)
	}
	z.Multistream(false)
	return &expanded{z: z, from: b, limit: limit, left: limit, note: note}, nil
}

// expanded reads the members of a gzipped file up to a limit in octets.
type expanded struct {
	z     *gzip.Reader
	from  *bufio.Reader
	limit int
	left  int
	note  func(string)
}

func (e *expanded) Read(b []byte) (int, error) {
	for {
		if e.left == 0 {
			return 0, fmt.Errorf("the compressed file expands to more than %d octets; unpack it and read the result", e.limit)
		}
		n, err := e.z.Read(b[:min(len(b), e.left)])
		e.left -= n
		if n > 0 || err == nil {
			return n, nil // an error comes again
		}
		if err == io.ErrUnexpectedEOF {
			return 0, errors.New("gzip: the compressed data are cut")
		}
		if err != io.EOF {
			return 0, err
		}
		switch err := e.z.Reset(e.from); {
		case err == io.EOF:
			return 0, io.EOF
		case err != nil:
			e.note("What follows the compressed data in the file is not read.")
			return 0, io.EOF
		}
		e.z.Multistream(false)
	}
}

// container reads the packets of a file one by one; io.EOF ends it.
type container interface {
	next() (rawPacket, error)
}

const (
	magicMicro    = 0xa1b2c3d4
	magicNano     = 0xa1b23c4d
	magicModified = 0xa1b2cd34 // A. Kuznetzov's patch: 8 more octets in front of each packet
	magicSection  = 0x0a0d0d0a
	byteOrderMark = 0x1a2b3c4d
)

// others are files that people take for captures that are read here.
var others = []struct{ magic, name string }{
	{"snoop\x00\x00\x00", "a snoop capture"},
	{"GMBU", "a capture of Microsoft Network Monitor"},
	{"RTSS", "a capture of Microsoft Network Monitor"},
	{"TRSNIFF", "a Sniffer capture"},
	{"\x28\xb5\x2f\xfd", "compressed with zstd"},
	{"\x04\x22\x4d\x18", "compressed with lz4"},
	{"\xfd7zXZ\x00", "compressed with xz"},
	{"BZh", "compressed with bzip2"},
	{"PK\x03\x04", "a ZIP archive"},
}

// openContainer finds out what a file is.
func openContainer(in *input, keys KeyLog, note func(string)) (container, error) {
	head, err := in.r.Peek(8)
	if len(head) == 0 {
		if err != nil && err != io.EOF {
			return nil, err
		}
		return nil, errors.New("the file is empty")
	}
	for _, o := range others {
		if bytes.HasPrefix(head, []byte(o.magic)) {
			return nil,
				fmt.Errorf("neither pcap nor pcapng: the file is %s; unpack or convert it first (editcap of Wireshark does)",
					o.name)
		}
	}
	if len(head) < 4 {
		return nil, fmt.Errorf("neither pcap nor pcapng: the file has %d octets", len(head))
	}
	if binary.BigEndian.Uint32(head) == magicSection {
		return &pcapng{in: in, keys: keys, note: note, first: true}, nil
	}
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		switch magic := order.Uint32(head); magic {
		case magicMicro, magicNano, magicModified:
			return newPcap(in, order, magic)
		}
	}
	if err != nil && err != io.EOF {
		return nil, err
	}
	return nil, fmt.Errorf("neither pcap nor pcapng: the file begins with %x", head[:4])
}

// pcap is a file of the older format (draft-ietf-opsawg-pcap).
type pcap struct {
	in       *input
	order    binary.ByteOrder
	unit     int64 // of the second part of a time, in nanoseconds
	header   int64 // of a packet, in octets
	minor    uint16
	link     uint16
	fcs      int
	captured int // packets read
}

func newPcap(in *input, order binary.ByteOrder, magic uint32) (*pcap, error) {
	b, err := in.take(24)
	if err != nil {
		return nil, fmt.Errorf("pcap: the header of the file has %d of 24 octets", len(b))
	}
	p := &pcap{in: in, order: order, unit: 1000, header: 16, minor: order.Uint16(b[6:])}
	switch magic {
	case magicNano:
		p.unit = 1
	case magicModified:
		p.header = 24
	}
	// 543.0 is what some old programs wrote for 2.3 and later.
	if major := order.Uint16(b[4:]); major != 2 && major != 543 || major == 2 && p.minor > 4 {
		return nil, fmt.Errorf("pcap: version %d.%d; read are 2.0 to 2.4", major, p.minor)
	} else if major == 543 {
		p.minor = 4
	}
	link := order.Uint32(b[20:])
	p.link = uint16(link)
	if link&(1<<26) != 0 { // the length of a frame check sequence is known
		p.fcs = 2 * int(link>>28)
	}
	return p, nil
}

func (p *pcap) next() (rawPacket, error) {
	b, err := p.in.take(p.header)
	if err == io.EOF {
		return rawPacket{}, err
	}
	p.captured++
	if err != nil {
		return rawPacket{}, p.failed("its header has %d of %d octets", len(b), p.header, err)
	}
	seconds, fraction := p.order.Uint32(b), p.order.Uint32(b[4:])
	captured, length := p.order.Uint32(b[8:]), p.order.Uint32(b[12:])
	// Up to 2.2 the two lengths are the other way round, and in some files of 2.3.
	if p.minor < 3 || p.minor == 3 && captured > length {
		captured = length
	}
	if captured > maxPacket {
		return rawPacket{}, fmt.Errorf("packet %d: it announces %d octets, and a packet has at most %d", p.captured,
			captured, maxPacket)
	}
	data, err := p.in.take(int64(captured))
	if err != nil && (captured > 0) {
		return rawPacket{}, p.failed("it announces %d octets and %d are left", captured, len(data), err)
	}
	return rawPacket{time: time.Unix(int64(seconds), int64(fraction)*p.unit).UTC(), link: p.link, fcs: p.fcs, data: data},
		nil
}

// failed says what is wrong with the packet at hand; the last argument is the
// error of reading, which counts unless the file has simply ended.
func (p *pcap) failed(format string, args ...any) error {
	err := args[len(args)-1].(error)
	text := fmt.Sprintf("packet %d: "+format, append([]any{p.captured}, args[:len(args)-1]...)...)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return errors.New(text)
	}
	return fmt.Errorf("%s: %w", text, err)
}

// device is an interface of a pcapng section.
type device struct {
	link       uint16
	snap       uint32
	resolution uint8 // if_tsresol
	offset     int64 // if_tsoffset, in seconds
	fcs        int
}

// pcapng is a file of the newer format (draft-ietf-opsawg-pcapng). The secrets
// in it are added to keys.
type pcapng struct {
	in      *input
	keys    KeyLog
	note    func(string)
	order   binary.ByteOrder
	devices []device
	last    time.Time // of the packet before; a Simple Packet Block has none
	first   bool      // no block was read
	foreign bool      // the section has a version that is not read
}

const (
	blockInterface = 1
	blockPacket    = 2 // obsolete
	blockSimple    = 3
	blockEnhanced  = 6
	blockSecrets   = 10
)

func (n *pcapng) next() (rawPacket, error) {
	for {
		kind, body, err := n.block()
		if err != nil {
			return rawPacket{}, err
		}
		var f rawPacket
		ok := false
		switch kind {
		case magicSection:
			n.devices = nil
		case blockInterface:
			n.device(body)
		case blockSecrets:
			if err := n.secrets(body); err != nil {
				return rawPacket{}, err
			}
		case blockEnhanced:
			if len(body) >= 20 {
				f, ok = n.packet(n.order.Uint32(body), n.order.Uint32(body[4:]), n.order.Uint32(body[8:]),
					n.order.Uint32(body[12:]), body[20:])
				n.enhancedFCS(&f, body)
			}
		case blockPacket:
			if len(body) >= 20 {
				f, ok = n.packet(uint32(n.order.Uint16(body)), n.order.Uint32(body[4:]), n.order.Uint32(body[8:]),
					n.order.Uint32(body[12:]), body[20:])
			}
		case blockSimple:
			f, ok = n.simple(body)
		default:
			continue
		}
		if ok {
			n.last = f.time
			return f, nil
		}
	}
}

// block reads a block without its lengths. A section header gives the order of
// octets. Of blocks that nobody needs, the body is nil.
func (n *pcapng) block() (kind uint32, body []byte, _ error) {
	at := n.in.at
	head, err := n.in.take(8)
	switch {
	case err == io.EOF && !n.first:
		return 0, nil, io.EOF
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return 0, nil, fmt.Errorf("pcapng: %d octets at octet %d; a block has at least 12", len(head), at)
	case err != nil:
		return 0, nil, err
	}
	section := binary.BigEndian.Uint32(head) == magicSection
	begin := [8]byte(head) // what is read next takes its place
	if section {
		if err := n.section(at); err != nil {
			return 0, nil, err
		}
	}
	n.first = false
	kind = n.order.Uint32(begin[:])
	total := int64(n.order.Uint32(begin[4:]))
	if total < 12 || section && total < 28 {
		return 0, nil, fmt.Errorf("pcapng: the block at octet %d announces %d octets", at, total)
	}
	left := (total+3)&^3 - (n.in.at - at)
	switch {
	case section || n.foreign:
		kind, body = magicSection, nil
		_, err = n.in.skip(left)
	case kind == blockInterface || kind == blockPacket || kind == blockSimple || kind == blockEnhanced ||
		kind == blockSecrets:
		if body, err = n.in.take(left); err == nil {
			body = body[:len(body)-4]
		}
	default:
		_, err = n.in.skip(left)
	}
	if err == nil {
		return kind, body, nil
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return 0, nil, fmt.Errorf("pcapng: the block at octet %d announces %d octets and %d are left", at, total, n.in.at-at)
	}
	return 0, nil, err
}

// section reads the byte-order magic and the version of a section header.
func (n *pcapng) section(at int64) error {
	b, err := n.in.take(8)
	if err != nil {
		return fmt.Errorf("pcapng: the section header at octet %d is cut", at)
	}
	switch {
	case binary.LittleEndian.Uint32(b) == byteOrderMark:
		n.order = binary.LittleEndian
	case binary.BigEndian.Uint32(b) == byteOrderMark:
		n.order = binary.BigEndian
	default:
		return fmt.Errorf("pcapng: the section header at octet %d has no byte-order magic (%x)", at, b[:4])
	}
	// 1.2 is read as 1.0 (draft-ietf-opsawg-pcapng section 4.1).
	major, minor := n.order.Uint16(b[4:]), n.order.Uint16(b[6:])
	if n.foreign = major != 1 || minor != 0 && minor != 2; !n.foreign {
		return nil
	}
	text := fmt.Sprintf("the section at octet %d has version %d.%d; read are 1.0 and 1.2", at, major, minor)
	if n.first {
		return errors.New("pcapng: " + text)
	}
	n.note("A part of the file is not read: " + text + ".")
	return nil
}

// device adds an interface. One that is cut is kept, so that the numbers fit.
func (n *pcapng) device(body []byte) {
	d := device{resolution: 6}
	if len(body) >= 8 {
		d.link, d.snap = n.order.Uint16(body), n.order.Uint32(body[4:])
		n.options(body[8:], func(code uint16, value []byte) {
			switch {
			case code == 9 && len(value) >= 1:
				d.resolution = value[0]
			case code == 13 && len(value) >= 1:
				d.fcs = int(value[0])
			case code == 14 && len(value) >= 8:
				d.offset = int64(n.order.Uint64(value))
			}
		})
	}
	n.devices = append(n.devices, d)
}

// options calls f for each option that is whole.
func (n *pcapng) options(b []byte, f func(code uint16, value []byte)) {
	for len(b) >= 4 {
		code, size := n.order.Uint16(b), int(n.order.Uint16(b[2:]))
		if code == 0 || size > len(b)-4 {
			return
		}
		f(code, b[4:4+size])
		b = b[min(len(b), 4+(size+3)&^3):]
	}
}

// packet is one with an interface, a time and the length that was captured.
func (n *pcapng) packet(index, high, low, captured uint32, data []byte) (rawPacket, bool) {
	if uint64(index) >= uint64(len(n.devices)) {
		n.note("Packets of an interface that the file does not describe are not read.")
		return rawPacket{}, false
	}
	if int64(captured) > int64(len(data)) {
		n.note("Packets that announce more octets than their block has are cut to what it has.")
		captured = uint32(len(data))
	}
	d := &n.devices[index]
	return rawPacket{time: d.time(uint64(high)<<32 | uint64(low)), link: d.link, fcs: d.fcs, data: data[:captured]}, true
}

// enhancedFCS takes the length of the frame check sequence from epb_flags.
func (n *pcapng) enhancedFCS(f *rawPacket, body []byte) {
	n.options(body[min(len(body), 20+(len(f.data)+3)&^3):], func(code uint16, value []byte) {
		if code == 2 && len(value) >= 4 {
			if fcs := n.order.Uint32(value) >> 5 & 0xf; fcs > 0 {
				f.fcs = int(fcs)
			}
		}
	})
}

// simple is a packet of the first interface, without a time.
func (n *pcapng) simple(body []byte) (rawPacket, bool) {
	if len(body) < 4 || len(n.devices) == 0 {
		n.note("Packets of an interface that the file does not describe are not read.")
		return rawPacket{}, false
	}
	d := &n.devices[0]
	captured := uint64(n.order.Uint32(body))
	if d.snap > 0 {
		captured = min(captured, uint64(d.snap))
	}
	return rawPacket{time: n.last, link: d.link, fcs: d.fcs, data: body[4:min(uint64(len(body)), 4+captured)]}, true
}

// time turns units of if_tsresol into a time that a calendar has.
func (d *device) time(units uint64) time.Time {
	var seconds, nanoseconds uint64
	switch exponent := d.resolution & 0x7f; {
	case d.resolution&0x80 != 0:
		if exponent < 64 {
			seconds = units >> exponent
			high, low := bits.Mul64(units&(1<<exponent-1), 1e9)
			nanoseconds = high<<(64-exponent) | low>>exponent
		}
	case exponent < 20:
		second := uint64(1)
		for range exponent {
			second *= 10
		}
		seconds, nanoseconds = units/second, units%second
		for ; exponent < 9; exponent++ {
			nanoseconds *= 10
		}
		for ; exponent > 9; exponent-- {
			nanoseconds /= 10
		}
	}
	const year10000 = 253402300800
	at := int64(min(seconds, year10000-1))
	if offset := d.offset; offset > -year10000 && offset < year10000 {
		at = min(max(at+offset, 0), year10000-1)
	}
	return time.Unix(at, int64(nanoseconds)).UTC()
}

// secrets reads a Decryption Secrets Block.
func (n *pcapng) secrets(body []byte) error {
	if len(body) < 8 || n.order.Uint32(body) != tlsKeyLog {
		return nil
	}
	size := int64(n.order.Uint32(body[4:]))
	if size > int64(len(body)-8) {
		n.note(fmt.Sprintf(
			"The Decryption Secrets Block that ends at octet %d announces more than it has; its lines are read.", n.in.at))
		size = int64(len(body) - 8)
	}
	log, passedOver, err := ReadKeyLog("Decryption Secrets Block", bytes.NewReader(body[8:8+size]))
	for _, line := range passedOver {
		n.note(line)
	}
	n.keys.Add(log)
	return err
}
