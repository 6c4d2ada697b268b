package capture

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"attls"
	"attls/handshake/message"
	"attls/internal/seeds"

	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// recordings are runs of the proof of concept's programs against each other.
var recordings = []string{"648e-648e", "f4ac-85cc", "f4ac-ph"}

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// recording opens the one connection of a recording.
func recording(t testing.TB, name string) (*Connection, KeyLog, []Item) {
	t.Helper()
	connections, _, err := ReadFile(bytes.NewReader(read(t, name+".pcap")))
	if err != nil || len(connections) != 1 {
		t.Fatalf("%d connections, %v", len(connections), err)
	}
	keys, _, err := ReadKeyLog(name+".keys", bytes.NewReader(read(t, name+".keys")))
	if err != nil {
		t.Fatal(err)
	}
	items, failure := connections[0].Open(keys)
	if failure != nil {
		t.Fatal(failure)
	}
	return connections[0], keys, items
}

// codec is what every message type of package message can do.
type codec interface {
	Unmarshal([]byte) *attls.Error
	Append([]byte) []byte
}

func codecOf(k attls.MessageKind) codec {
	switch k {
	case attls.KindClientHello:
		return &message.ClientHello{}
	case attls.KindServerHello, attls.KindHelloRetryRequest:
		return &message.ServerHello{}
	case attls.KindEncryptedExtensions:
		return &message.EncryptedExtensions{}
	case attls.KindCertificateRequest:
		return &message.CertificateRequest{}
	case attls.KindCertificate:
		return &message.Certificate{}
	case attls.KindCertificateVerify:
		return &message.CertificateVerify{}
	case attls.KindFinished:
		return &message.Finished{}
	}
	return nil
}

func TestRecordedMessagesRoundTrip(t *testing.T) {
	want := "ClientHello ServerHello EncryptedExtensions CertificateRequest Certificate CertificateVerify Finished " +
		"Certificate CertificateVerify Finished"
	for _, name := range recordings {
		c, _, items := recording(t, name)
		if c.Lost != 0 || c.Server.Port() != 14433 {
			t.Errorf("%s: %+v", name, c)
		}
		var kinds []string
		for _, i := range items {
			if i.Type != attls.ContentTypeHandshake {
				continue
			}
			kinds = append(kinds, i.Message.Kind.String())
			m := codecOf(i.Message.Kind)
			if err := m.Unmarshal(i.Message.Body()); err != nil {
				t.Errorf("%s: %v: %v", name, i.Message.Kind, err)
			} else if again := m.Append(nil); !bytes.Equal(again, i.Message.Bytes) {
				t.Errorf("%s: %v\n was %x\n now %x", name, i.Message.Kind, i.Message.Bytes, again)
			}
		}
		if got := strings.Join(kinds, " "); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestEmbeddedKeys reads a pcapng file that bears its key log.
func TestEmbeddedKeys(t *testing.T) {
	for _, name := range recordings {
		source, err := pcapgo.NewReader(bytes.NewReader(read(t, name+".pcap")))
		if err != nil {
			t.Fatal(err)
		}
		var file bytes.Buffer
		w, err := pcapgo.NewNgWriter(&file, layers.LinkTypeEthernet)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.WriteDecryptionSecretsBlock(0x544c534b, read(t, name+".keys")); err != nil {
			t.Fatal(err)
		}
		for {
			data, info, err := source.ReadPacketData()
			if errors.Is(err, io.EOF) {
				break
			}
			info.InterfaceIndex = 0
			if err := w.WritePacket(info, data); err != nil {
				t.Fatal(err)
			}
		}
		w.Flush()
		connections, keys, err := ReadFile(bytes.NewReader(file.Bytes()))
		if err != nil || len(connections) != 1 || len(keys) != 1 {
			t.Fatalf("%s: %d connections, %d key logs, %v", name, len(connections), len(keys), err)
		}
		if items, err := connections[0].Open(keys); err != nil || len(items) != 14 {
			t.Errorf("%s: %d items, %v", name, len(items), err)
		}
		for _, cut := range []int{6, 40, file.Len() / 2, file.Len() - 3} {
			if _, _, err := ReadFile(bytes.NewReader(file.Bytes()[:cut])); err == nil {
				t.Errorf("%s: cut to %d octets it is read without an error", name, cut)
			}
		}
	}
}

// opened are the items that are no sealed records.
func opened(items []Item) []Item {
	return slices.DeleteFunc(slices.Clone(items), func(i Item) bool { return i.Sealed })
}

func TestBadKeys(t *testing.T) {
	const name = "f4ac-ph"
	c, keys, _ := recording(t, name)
	if items, err := c.Open(KeyLog{}); err == nil || err.Failure != attls.FailConfiguration || len(opened(items)) != 2 || len(items) < 8 {
		t.Errorf("without keys: %d items, %d opened, %v", len(items), len(opened(items)), err)
	}
	for _, secrets := range keys {
		secrets["SERVER_HANDSHAKE_TRAFFIC_SECRET"][0] ^= 1
	}
	if items, err := c.Open(keys); err == nil || err.Failure != attls.FailBadRecordMAC || err.Field != "server.record" || len(opened(items)) != 7 {
		t.Errorf("with a wrong secret: %d items, %d opened, %v", len(items), len(opened(items)), err)
	}
	for _, test := range []struct{ text, want string }{
		{"A B", "f:1: passed over: it has 2 fields"},
		{"# x\n\nA 00 00", "f:3: passed over: its second field is not a ClientHello.random"},
		{"A " + strings.Repeat("00", 32) + " 0", "f:1: passed over: the secret of A"},
	} {
		if _, over, err := ReadKeyLog("f", strings.NewReader(test.text)); err != nil || len(over) != 1 || !strings.HasPrefix(over[0], test.want) {
			t.Errorf("%q: %v, %v; want %s", test.text, over, err, test.want)
		}
	}
}

// FuzzReadFile feeds any octets: neither reading nor opening may panic, and what
// is read is at most what was fed.
func FuzzReadFile(f *testing.F) {
	seeds.Add(f, func() {
		for _, name := range recordings {
			f.Add(read(f, name+".pcap"))
		}
		list := stampedPackets(f, recordings[0])
		write := func(i int, p stamped) []byte {
			return enhanced(little, uint32(i%2), uint64(p.at.UnixMicro()), ethernet(p.ip))
		}
		newest := newer(list, write, section(little, 0), description(little, linkEthernet, 0), description(little, linkEthernet, 0, uint16(9), uint16(1), uint8(9), make([]byte, 3)),
			block(little, blockSecrets, uint32(tlsKeyLog), uint32(30), "CLIENT_TRAFFIC_SECRET_0 00 00\r"))
		f.Add(newest)
		f.Add(zipped(f, newest))
		for _, w := range wrappers {
			f.Add(oldFile{order: big, magic: magicModified, major: 2, minor: 2, link: uint32(w.link), swapped: true}.write(list[:6], w.wrap))
		}
	})
	keys := seeds.Once(func() KeyLog {
		b, err := seeds.ReadTestdata("testdata/" + recordings[0] + ".keys")
		if err != nil {
			f.Fatal(err)
		}
		keys, _, err := ReadKeyLog("fuzz", bytes.NewReader(b))
		if err != nil {
			f.Fatal(err)
		}
		return keys
	})
	f.Fuzz(func(t *testing.T, b []byte) {
		seeds.Input(t, b)
		file, err := Read(bytes.NewReader(b))
		if file == nil {
			if err == nil {
				t.Fatal("neither a file nor an error")
			}
			return
		}
		octets := 0
		file.Keys.Add(keys)
		for _, c := range file.Connections {
			for _, p := range c.Pieces {
				octets += len(p.Data)
			}
			c.Open(file.Keys)
		}
		if octets > len(b) && !bytes.HasPrefix(b, []byte{0x1f, 0x8b}) {
			t.Errorf("%d octets of TCP in a file of %d", octets, len(b))
		}
	})
}

// FuzzReadKeyLog feeds any text: what fits is kept, and lines are counted alike
// whatever ends them.
func FuzzReadKeyLog(f *testing.F) {
	seeds.Add(f, func() {
		f.Add(read(f, recordings[0]+".keys"))
		f.Add([]byte("# x\r\nA B\rCLIENT_RANDOM " + strings.Repeat("aB", 32) + " 00\x00\n"))
	})
	f.Fuzz(func(t *testing.T, b []byte) {
		seeds.Input(t, b)
		log, over, err := ReadKeyLog("f", bytes.NewReader(b))
		if err != nil || len(over) > maxNamedLines+1 {
			t.Fatalf("%d warnings, %v", len(over), err)
		}
		again, _, _ := ReadKeyLog("f", bytes.NewReader(bytes.ReplaceAll(b, []byte("\n"), []byte("\r"))))
		if len(log) != len(again) {
			t.Errorf("%d connections with LF, %d with CR", len(log), len(again))
		}
	})
}
