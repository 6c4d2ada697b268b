package capture

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// stamped is a packet of a recording, without the header of Ethernet.
type stamped struct {
	at time.Time
	ip []byte
}

// stampedPackets are the packets of a recording of ours.
func stampedPackets(t testing.TB, name string) (list []stamped) {
	t.Helper()
	c, err := openContainer(newInput(bytes.NewReader(read(t, name+".pcap"))), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for {
		p, err := c.next()
		if err == io.EOF {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, stamped{p.time, bytes.Clone(p.data[14:])})
	}
}

var (
	little binary.AppendByteOrder = binary.LittleEndian
	big    binary.AppendByteOrder = binary.BigEndian
)

// put appends numbers, each with its own width, and octets.
func put(order binary.AppendByteOrder, b []byte, values ...any) []byte {
	for _, v := range values {
		switch v := v.(type) {
		case uint8:
			b = append(b, v)
		case uint16:
			b = order.AppendUint16(b, v)
		case uint32:
			b = order.AppendUint32(b, v)
		case uint64:
			b = order.AppendUint64(b, v)
		case []byte:
			b = append(b, v...)
		case string:
			b = append(b, v...)
		default:
			panic("put: a value of another type")
		}
	}
	return b
}

// oldFile says how a pcap file is written.
type oldFile struct {
	order    binary.AppendByteOrder
	magic    uint32
	major    uint16
	minor    uint16
	snap     uint32
	link     uint32
	swapped  bool // the two lengths
	trailing int  // octets that were not captured
}

func (f oldFile) write(list []stamped, wrap func([]byte) []byte) []byte {
	b := put(f.order, nil, f.magic, f.major, f.minor, uint32(0), uint32(0), f.snap, f.link)
	for _, p := range list {
		data := wrap(p.ip)
		fraction := uint32(p.at.Nanosecond())
		if f.magic != magicNano {
			fraction /= 1000
		}
		lengths := []any{uint32(len(data) - f.trailing), uint32(len(data))}
		if f.swapped {
			slices.Reverse(lengths)
		}
		b = put(f.order, b, uint32(p.at.Unix()), fraction, lengths[0], lengths[1])
		if f.magic == magicModified {
			b = put(f.order, b, uint32(1), uint16(0x0800), uint8(0), uint8(0))
		}
		b = append(b, data[:len(data)-f.trailing]...)
	}
	return b
}

func plain(ip []byte) []byte { return ip }

// ethernet is a frame around an IP packet.
func ethernet(ip []byte) []byte {
	t := uint16(0x0800)
	if ip[0]>>4 == 6 {
		t = 0x86dd
	}
	return put(big, nil, make([]byte, 12), t, ip)
}

// block is one of a pcapng file.
func block(order binary.AppendByteOrder, kind uint32, body ...any) []byte {
	b := put(order, nil, body...)
	b = append(b, make([]byte, -len(b)&3)...)
	return put(order, nil, kind, uint32(len(b)+12), b, uint32(len(b)+12))
}

func section(order binary.AppendByteOrder, minor uint16) []byte {
	return block(order, magicSection, uint32(byteOrderMark), uint16(1), minor, ^uint64(0))
}

func description(order binary.AppendByteOrder, link uint16, snap uint32, options ...any) []byte {
	return block(order, blockInterface, append([]any{link, uint16(0), snap}, options...)...)
}

func enhanced(order binary.AppendByteOrder, device uint32, at uint64, data []byte) []byte {
	return block(order, blockEnhanced, device, uint32(at>>32), uint32(at), uint32(len(data)), uint32(len(data)), data)
}

func newer(list []stamped, write func(i int, p stamped) []byte, head ...[]byte) []byte {
	b := bytes.Join(head, nil)
	for i, p := range list {
		b = append(b, write(i, p)...)
	}
	return b
}

func zipped(t testing.TB, parts ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, p := range parts {
		w := gzip.NewWriter(&b)
		if _, err := w.Write(p); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// expectRecording reads a file and expects the whole recording in it.
func expectRecording(t *testing.T, file []byte, name string) *File {
	t.Helper()
	f, err := Read(bytes.NewReader(file))
	if err != nil || len(f.Connections) != 1 {
		t.Fatalf("read: %+v, %v", f, err)
	}
	_, keys, want := recording(t, name)
	c := f.Connections[0]
	items, failure := c.Open(keys)
	if failure != nil || len(items) != len(want) || c.Lost != 0 {
		t.Fatalf("%d items of %d, %d octets lost, %v; notes %q", len(items), len(want), c.Lost, failure, f.Notes)
	}
	for i := range items {
		if items[i].Sender != want[i].Sender || !bytes.Equal(items[i].Message.Bytes, want[i].Message.Bytes) || !bytes.Equal(items[i].Bytes, want[i].Bytes) {
			t.Errorf("item %d differs", i)
		}
	}
	return f
}

const sample = "648e-648e"

func TestFileFormats(t *testing.T) {
	list := stampedPackets(t, sample)
	micro := func(p stamped) uint64 { return uint64(p.at.UnixMicro()) }
	old := func(change func(*oldFile)) []byte {
		f := oldFile{order: little, magic: magicMicro, major: 2, minor: 4, snap: 262144, link: 1}
		change(&f)
		wrap := ethernet
		if uint16(f.link) == linkRawIP {
			wrap = plain
		}
		return f.write(list, wrap)
	}
	ng := func(order binary.AppendByteOrder, minor uint16) []byte {
		return newer(list, func(_ int, p stamped) []byte { return enhanced(order, 0, micro(p), ethernet(p.ip)) },
			section(order, minor), description(order, 1, 0))
	}
	resolution := func(code uint8, units func(time.Time) uint64, more ...any) []byte {
		options := append([]any{uint16(9), uint16(1), code, uint8(0), uint16(0)}, more...)
		return newer(list, func(_ int, p stamped) []byte { return enhanced(little, 0, units(p.at), ethernet(p.ip)) },
			section(little, 0), description(little, 1, 0, options...))
	}
	mixed := func(i int, p stamped) []byte {
		switch i % 3 {
		case 0:
			return enhanced(little, 0, micro(p), ethernet(p.ip))
		case 1:
			return enhanced(little, 1, uint64(p.at.UnixNano()), p.ip)
		}
		return enhanced(little, 2, micro(p), put(big, nil, make([]byte, 14), uint16(0x0800), p.ip))
	}
	for _, test := range []struct {
		name string
		file []byte
	}{
		{"pcap in the order of a little-endian host", old(func(f *oldFile) {})},
		{"pcap in the order of a big-endian host", old(func(f *oldFile) { f.order = big })},
		{"pcap with nanoseconds", old(func(f *oldFile) { f.magic = magicNano })},
		{"pcap with nanoseconds, big-endian", old(func(f *oldFile) { f.magic, f.order = magicNano, big })},
		{"pcap of Kuznetzov's patch", old(func(f *oldFile) { f.magic = magicModified })},
		{"pcap of Kuznetzov's patch, big-endian", old(func(f *oldFile) { f.magic, f.order = magicModified, big })},
		{"pcap 2.3", old(func(f *oldFile) { f.minor = 3 })},
		{"pcap 2.3 with the lengths the other way round", old(func(f *oldFile) { f.minor, f.swapped, f.link = 3, true, linkRawIP })},
		{"pcap 2.2", old(func(f *oldFile) { f.minor, f.swapped = 2, true })},
		{"pcap 2.1", old(func(f *oldFile) { f.minor, f.swapped = 1, true })},
		{"pcap 2.0, big-endian", old(func(f *oldFile) { f.minor, f.swapped, f.order = 0, true, big })},
		{"pcap 543.0", old(func(f *oldFile) { f.major, f.minor = 543, 0 })},
		{"pcap with a snap length of 0", old(func(f *oldFile) { f.snap = 0 })},
		{"pcap with a snap length that its packets exceed", old(func(f *oldFile) { f.snap = 64 })},
		{"pcap with a snap length of ffffffff", old(func(f *oldFile) { f.snap = 0xffffffff })},
		{"pcap whose link type says that a frame check sequence follows", old(func(f *oldFile) { f.link = 0x24000001 })},
		{"pcapng 1.0", ng(little, 0)},
		{"pcapng 1.2", ng(little, 2)},
		{"pcapng 1.0, big-endian", ng(big, 0)},
		{"pcapng with interfaces of three link types and two resolutions", newer(list, mixed, section(little, 0), description(little, 1, 0),
			description(little, linkRawIP, 0, uint16(9), uint16(1), uint8(9), make([]byte, 3)), description(little, linkSLL, 262144))},
		{"pcapng with nanoseconds", resolution(9, func(t time.Time) uint64 { return uint64(t.UnixNano()) })},
		{"pcapng with seconds, so that all times are alike", resolution(0, func(t time.Time) uint64 { return uint64(t.Unix()) })},
		{"pcapng with parts of two", resolution(0x80|20, func(t time.Time) uint64 { return uint64(t.Unix())<<20 | uint64(t.Nanosecond())<<20/1e9 })},
		{"pcapng with a resolution that no time has", resolution(0xff, func(t time.Time) uint64 { return uint64(t.UnixNano()) })},
		{"pcapng with simple packets", newer(list, func(_ int, p stamped) []byte {
			data := ethernet(p.ip)
			return block(little, blockSimple, uint32(len(data)), data)
		}, section(little, 0), description(little, 1, 0))},
		{"pcapng with the obsolete packets", newer(list, func(_ int, p stamped) []byte {
			data := ethernet(p.ip)
			return block(little, blockPacket, uint16(1), uint16(0xffff), uint32(micro(p)>>32), uint32(micro(p)), uint32(len(data)), uint32(len(data)), data)
		}, section(little, 0), description(little, linkNull, 0), description(little, 1, 0))},
		{"pcapng with a section for each packet, in both orders", newer(list, func(i int, p stamped) []byte {
			order := little
			if i%2 == 1 {
				order = big
			}
			return bytes.Join([][]byte{section(order, 0), description(order, 1, 0), enhanced(order, 0, micro(p), ethernet(p.ip))}, nil)
		})},
		{"pcapng with blocks that nobody knows, and statistics", newer(list, func(_ int, p stamped) []byte {
			return append(block(little, 0x0bad, make([]byte, 100)), append(block(little, 5, make([]byte, 12)), enhanced(little, 0, micro(p), ethernet(p.ip))...)...)
		}, section(little, 0), block(little, 4, make([]byte, 40)), description(little, 1, 0))},
		{"a gzipped pcap", zipped(t, old(func(f *oldFile) {}))},
		{"a gzipped pcapng", zipped(t, ng(little, 0))},
		{"a gzipped pcapng in three members", zipped(t, ng(little, 0)[:100], ng(little, 0)[100:3001], ng(little, 0)[3001:])},
		{"a gzipped pcapng with an empty member at the end", zipped(t, ng(big, 0), nil)},
		{"a gzipped pcapng with zeros after it", append(zipped(t, ng(little, 0)), make([]byte, 600)...)},
	} {
		t.Run(test.name, func(t *testing.T) { expectRecording(t, test.file, sample) })
	}
}

func TestTimes(t *testing.T) {
	for _, test := range []struct {
		name   string
		device device
		units  uint64
		want   string
	}{
		{"microseconds", device{resolution: 6}, 1700000000_123456, "2023-11-14T22:13:20.123456Z"},
		{"nanoseconds", device{resolution: 9}, 1700000000_123456789, "2023-11-14T22:13:20.123456789Z"},
		{"picoseconds lose what a time does not have", device{resolution: 12}, 1700000_123456789012, "1970-01-20T16:13:20.123456789Z"},
		{"parts of 2^32", device{resolution: 0x80 | 32}, 1700000000<<32 | 1<<31, "2023-11-14T22:13:20.5Z"},
		{"an offset", device{resolution: 0, offset: 1700000000}, 20, "2023-11-14T22:13:40Z"},
		{"a time after the year 9999", device{resolution: 0}, 1 << 63, "9999-12-31T23:59:59Z"},
		{"an offset to before 1970", device{resolution: 0, offset: -100}, 20, "1970-01-01T00:00:00Z"},
		{"an offset that overflows", device{resolution: 0, offset: -1 << 63}, 20, "1970-01-01T00:00:20Z"},
		{"a resolution of 10^-127", device{resolution: 127}, 20, "1970-01-01T00:00:00Z"},
	} {
		t.Run(test.name, func(t *testing.T) {
			at := test.device.time(test.units)
			if got := at.Format(time.RFC3339Nano); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
			if _, err := at.MarshalJSON(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestBrokenFiles expects an error that says what is wrong, and what comes before
// it.
func TestBrokenFiles(t *testing.T) {
	list := stampedPackets(t, sample)
	old := oldFile{order: little, magic: magicMicro, major: 2, minor: 4, link: 1}.write(list, ethernet)
	head := bytes.Join([][]byte{section(little, 0), description(little, 1, 0)}, nil)
	whole := newer(list, func(_ int, p stamped) []byte { return enhanced(little, 0, uint64(p.at.UnixMicro()), ethernet(p.ip)) }, head)
	damaged := zipped(t, whole)
	damaged[len(damaged)-6] ^= 1
	for _, test := range []struct {
		name string
		file []byte
		want string // in the error
		none bool   // it is not a capture at all
	}{
		{"an empty file", nil, "the file is empty", true},
		{"three octets", []byte{0xd4, 0xc3, 0xb2}, "has 3 octets", true},
		{"a text", []byte("not a capture"), "neither pcap nor pcapng: the file begins with 6e6f7420", true},
		{"snoop", []byte("snoop\x00\x00\x00\x00\x00\x00\x02"), "a snoop capture", true},
		{"zstd", []byte("\x28\xb5\x2f\xfd\x00\x00\x00\x00"), "compressed with zstd", true},
		{"a header of pcap that is cut", old[:23], "the header of the file has 23 of 24 octets", true},
		{"pcap of a version to come", put(little, nil, uint32(magicMicro), uint16(2), uint16(5), make([]byte, 16)), "version 2.5", true},
		{"a packet header that is cut", old[:24+7], "packet 1: its header has 7 of 16 octets", false},
		{"a packet that is cut", old[:len(old)-3], "packet 25: it announces 54 octets and 51 are left", false},
		{"a packet of 3.7 GB", put(little, slices.Clone(old[:24]), uint64(0), uint32(0xe0000000), uint32(0xe0000000), make([]byte, 20)), "packet 1: it announces 3758096384 octets", false},
		{"a section without a byte-order magic", block(little, magicSection, make([]byte, 16)), "no byte-order magic", false},
		{"a section of version 2.0", block(little, magicSection, uint32(byteOrderMark), uint16(2), uint16(0), ^uint64(0)), "version 2.0", false},
		{"a block that is cut", whole[:len(whole)-5], "announces", false},
		{"a block shorter than its own header", append(slices.Clone(head), put(little, nil, uint32(6), uint32(8), uint32(8))...), "announces 8 octets", false},
		{"a block of 4 GB", append(slices.Clone(head), put(little, nil, uint32(6), ^uint32(0), make([]byte, 40))...), "announces 4294967295 octets and 48 are left", false},
		{"gzip that is cut", zipped(t, whole)[:900], "the compressed data are cut", false},
		{"gzip whose checksum is wrong", damaged, "gzip: invalid checksum", false},
		{"a header of gzip that is damaged", []byte{0x1f, 0x8b, 99, 0, 0, 0, 0, 0, 0, 0}, "gzip: the header is damaged", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, err := Read(bytes.NewReader(test.file))
			if err == nil || !strings.Contains(err.Error(), test.want) || (f == nil) != test.none {
				t.Errorf("%+v, %v; want %s", f, err, test.want)
			}
			if f != nil && len(test.file) > 700 && (len(f.Connections) != 1 || len(f.Connections[0].Pieces) == 0) {
				t.Errorf("nothing is left of what comes before the error: %+v", f.Connections)
			}
		})
	}
}

// TestOddBlocks reads around blocks that do not fit.
func TestOddBlocks(t *testing.T) {
	list := stampedPackets(t, sample)
	write := func(_ int, p stamped) []byte {
		return enhanced(little, 0, uint64(p.at.UnixMicro()), ethernet(p.ip))
	}
	for _, test := range []struct {
		name string
		odd  []byte
		note string
	}{
		{"a packet of an interface that is not described", enhanced(little, 7, 0, make([]byte, 60)), "does not describe"},
		{"a packet longer than its block", block(little, blockEnhanced, uint32(0), uint64(0), uint32(0xe0000000), uint32(60), make([]byte, 60)), "more octets than their block has"},
		{"an enhanced packet without its fields", block(little, blockEnhanced, make([]byte, 8)), ""},
		{"an obsolete packet without its fields", block(little, blockPacket, make([]byte, 4)), ""},
		{"a simple packet without its field", block(little, blockSimple), "does not describe"},
		{"an interface without its fields", block(little, blockInterface), ""},
		{"an interface whose option is longer than the block", description(little, 1, 0, uint16(9), uint16(400), uint8(1)), ""},
		{"an interface whose resolution has no octet", description(little, 1, 0, uint16(9), uint16(0), uint16(14), uint16(2), uint16(0)), ""},
		{"secrets without their fields", block(little, blockSecrets, uint32(tlsKeyLog)), ""},
		{"secrets longer than their block", block(little, blockSecrets, uint32(tlsKeyLog), uint32(4000), "# x\n"), "announces more than it has"},
		{"secrets of another format", block(little, blockSecrets, uint32(0x57474b4c), uint32(4), "abcd"), ""},
		{"a section of a version to come, with blocks in it", append(append(block(little, magicSection, uint32(byteOrderMark), uint16(2), uint16(0), ^uint64(0)),
			append(description(little, 1, 0), enhanced(little, 0, 0, make([]byte, 60))...)...), append(section(little, 0), description(little, 1, 0)...)...), "has version 2.0"},
		{"a block without a body", block(little, 0x80000001), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := expectRecording(t, newer(list, write, section(little, 0), description(little, 1, 0), test.odd), sample)
			if got := strings.Join(f.Notes, " "); !strings.Contains(got, test.note) || test.note == "" && got != "" {
				t.Errorf("notes %q, want %q", got, test.note)
			}
		})
	}
}

// TestExpansionIsBounded reads a small file that expands to more than is taken.
func TestExpansionIsBounded(t *testing.T) {
	bomb := zipped(t, put(little, oldFile{order: little, magic: magicMicro, major: 2, minor: 4, link: 1}.write(nil, plain), make([]byte, 1<<20)))
	r, err := unzip(bytes.NewReader(bomb), 1<<16, nil)
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, r)
	if n != 1<<16 || err == nil || !strings.Contains(err.Error(), "unpack it") {
		t.Errorf("%d octets, %v", n, err)
	}
}

// allocated is how many octets a function allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestAnnouncedLengthsAreNotAllocated reads short files that announce gigabytes.
func TestAnnouncedLengthsAreNotAllocated(t *testing.T) {
	head := bytes.Join([][]byte{section(little, 0), description(little, 1, 0xffffffff)}, nil)
	huge := uint32(0xe0000000)
	for name, file := range map[string][]byte{
		"pcap":                 put(little, nil, uint32(magicMicro), uint16(2), uint16(4), uint64(0), uint32(0xffffffff), uint32(1), uint64(0), huge, huge, make([]byte, 20)),
		"an enhanced packet":   put(little, slices.Clone(head), uint32(blockEnhanced), huge, make([]byte, 40)),
		"secrets":              put(little, slices.Clone(head), uint32(blockSecrets), huge, uint32(tlsKeyLog), huge, make([]byte, 40)),
		"an unknown block":     put(little, slices.Clone(head), uint32(0x0bad), huge, make([]byte, 40)),
		"an IPv6 jumbo packet": oldFile{order: little, magic: magicMicro, major: 2, minor: 4, link: linkRawIP}.write([]stamped{{ip: put(big, nil, uint32(0x60000000), uint16(0), uint8(0), uint8(64), make([]byte, 32), uint8(6), uint8(0), uint16(0xc204), uint32(0xffffff00), make([]byte, 30))}}, plain),
	} {
		if n := allocated(func() { Read(bytes.NewReader(file)) }); n > 2<<20 {
			t.Errorf("%s: %d octets allocated for a file of %d", name, n, len(file))
		}
	}
}

// TestFilesCutAnywhere cuts files after each octet: nothing panics, and no more
// is read than from the whole file.
func TestFilesCutAnywhere(t *testing.T) {
	list := stampedPackets(t, sample)[:9]
	log := read(t, sample+".keys")
	ng := newer(list, func(i int, p stamped) []byte { return enhanced(big, 0, uint64(p.at.UnixMicro()), ethernet(p.ip)) },
		section(big, 0), description(big, 1, 0, uint16(9), uint16(1), uint8(6), make([]byte, 3)), block(big, blockSecrets, uint32(tlsKeyLog), uint32(len(log)), log))
	old := oldFile{order: big, magic: magicNano, major: 2, minor: 4, link: 1}.write(list, ethernet)
	for name, file := range map[string][]byte{"pcap": old, "pcapng": ng, "gzip": zipped(t, old)} {
		for n := range file {
			f, err := Read(bytes.NewReader(file[:n]))
			if f == nil && err == nil {
				t.Fatalf("%s cut to %d octets: neither a file nor an error", name, n)
			}
			if f != nil && len(f.Connections) > 1 {
				t.Fatalf("%s cut to %d octets: %d connections", name, n, len(f.Connections))
			}
		}
	}
}

// TestReadingIsRepeatable reads a damaged file several times.
func TestReadingIsRepeatable(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	file := bytes.Clone(read(t, sample+".pcap"))
	for range 40 {
		file[24+random.IntN(len(file)-24)] ^= byte(random.Uint32())
	}
	var first string
	for i := range 10 {
		f, err := Read(bytes.NewReader(file))
		if f == nil {
			t.Fatal(err)
		}
		text := strings.Join(f.Notes, "\n")
		for _, c := range f.Connections {
			text += c.Client.String() + c.Server.String()
			items, failure := c.Open(f.Keys)
			for _, item := range items {
				text += item.Type.String() + string(item.Bytes) + string(item.Message.Bytes)
			}
			if failure != nil {
				text += failure.Error()
			}
		}
		if i == 0 {
			first = text
		} else if text != first {
			t.Fatal("the file was read in two ways")
		}
	}
}

// TestStreamsAndFiles reads what is not a regular file.
func TestStreamsAndFiles(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Skip(err)
	}
	go func() {
		for _, b := range read(t, sample+".pcap") { // as slowly as a capture that is still made
			w.Write([]byte{b})
		}
		w.Close()
	}()
	f, err := Read(r)
	if err != nil || len(f.Connections) != 1 || f.Connections[0].Lost != 0 {
		t.Errorf("%+v, %v", f, err)
	}
	directory, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer directory.Close()
	if f, err := Read(directory); f != nil || err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("a directory: %+v, %v", f, err)
	}
}
