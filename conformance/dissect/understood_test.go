package dissect_test

import (
	"bytes"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"attls"
	"attls/conformance/capture"
	"attls/conformance/dissect"
	"attls/conformance/scenario"
	"attls/extensions"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/enginetest"
	"attls/handshake/message"
	"attls/internal/certcompress"
)

// edits change what an end sends, by the kind of the message.
type edits struct {
	handshake.NopTap
	by map[attls.MessageKind]func([]byte) []byte // of the body; gives the whole message
}

func (e edits) Message(d handshake.Direction, m *message.Raw, p *handshake.Plan) {
	if f := e.by[m.Kind]; f != nil && d == handshake.Sent {
		p.Replace, p.Reparse = f(m.Body()), true
	}
}

func (e edits) Fork() handshake.Tap { return e }

// helloWith changes a ClientHello.
func helloWith(f func(*message.ClientHello)) func([]byte) []byte {
	return func(body []byte) []byte {
		var m message.ClientHello
		m.Unmarshal(body)
		f(&m)
		return m.Append(nil)
	}
}

// serverWith changes a ServerHello or HelloRetryRequest.
func serverWith(f func(*message.ServerHello)) func([]byte) []byte {
	return func(body []byte) []byte {
		var m message.ServerHello
		m.Unmarshal(body)
		f(&m)
		return m.Append(nil)
	}
}

func encryptedWith(x ...extensions.Extension) func([]byte) []byte {
	return func(body []byte) []byte {
		var m message.EncryptedExtensions
		m.Unmarshal(body)
		m.Extensions = append(m.Extensions, x...)
		return m.Append(nil)
	}
}

// set replaces the body of an extension, or adds it in front.
func set(l extensions.List, t attls.ExtensionType, body ...byte) extensions.List {
	for i := range l {
		if l[i].Type == t {
			l[i].Body = body
			return l
		}
	}
	return append(extensions.List{{Type: t, Body: body}}, l...)
}

// meeting is a connection between two engines of ours, at least one of which
// does what no engine of ours would do.
type meeting struct {
	client, server handshake.Config
	sessions       *handshake.ClientSessions
	early          string
}

// record lets the two meet and reads the capture. The handshake may fail.
func (m *meeting) record(t *testing.T) (*capture.Connection, capture.KeyLog) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	x, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	y, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{x, y} {
		c.SetDeadline(time.Now().Add(30 * time.Second))
		defer c.Close()
	}
	var file bytes.Buffer
	w, err := capture.NewWriter(&file, nil)
	if err != nil {
		t.Fatal(err)
	}
	answerer := func(name string) *handshake.Answerer {
		return &handshake.Answerer{Credentials: []*handshake.Credential{enginetest.Credential(name)}, Trust: handshake.Trust{InsecureSkipVerify: true},
			ClientSessions: m.sessions, ServerSessions: &handshake.ServerSessions{}}
	}
	m.client.ServerName, m.client.KeyLog, m.server.KeyLog = "server", w.KeyLog(), w.KeyLog()
	client := handshake.Client(w.Conn(x, attls.RoleClient), &m.client, answerer("client"))
	server := handshake.Server(y, &m.server, answerer("server"))
	if m.early != "" {
		client.SetEarlyData([]byte(m.early))
	}
	done := make(chan error, 1)
	go func() {
		err := server.Handshake()
		if err == nil {
			_, err = server.Write([]byte("answer"))
		}
		if err == nil {
			_, err = server.Read(make([]byte, 100))
		}
		y.Close()
		done <- err
	}()
	err = client.Handshake()
	if err == nil {
		_, err = client.Read(make([]byte, 100))
		client.Write([]byte("question"))
	}
	t.Logf("client: %v", err)
	client.Close()
	t.Logf("server: %v", <-done)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	connections, keys, err := capture.ReadFile(&file)
	if err != nil || len(connections) != 1 {
		t.Fatalf("%d connections, %v", len(connections), err)
	}
	return connections[0], keys
}

// alps is an extension that is not implemented here, application_settings.
const alps attls.ExtensionType = 17613

var (
	offersALPS   = helloWith(func(m *message.ClientHello) { m.Extensions = set(m.Extensions, alps, 0, 3, 2, 'h', '2') })
	sentinel     = message.DowngradeTLS12
	bothVersions = helloWith(func(m *message.ClientHello) {
		m.Extensions = set(m.Extensions, attls.ExtSupportedVersions, 4, 3, 4, 3, 3)
	})
	answersTLS12 = serverWith(func(m *message.ServerHello) {
		m.Extensions, m.NoExtensions, m.CipherSuite = nil, true, 0xc030
		copy(m.Random[24:], sentinel[:])
	})
)

// without drops nothing from a message but its extension.
func without(l extensions.List, t attls.ExtensionType) extensions.List {
	return slices.DeleteFunc(l, func(x extensions.Extension) bool { return x.Type == t })
}

// TestNobodyIsAccusedOfTheUnknown records ends that agree on what is not
// implemented here, and, to compare with, ends that do the same without having
// agreed on it.
func TestNobodyIsAccusedOfTheUnknown(t *testing.T) {
	type by = map[attls.MessageKind]func([]byte) []byte
	share := func(g uint16, n int) []byte {
		return append([]byte{byte(g >> 8), byte(g), byte(n >> 8), byte(n)}, make([]byte, n)...)
	}
	offersGroup := func(g uint16, n int) func([]byte) []byte {
		return helloWith(func(m *message.ClientHello) {
			x, _ := m.Extensions.Find(attls.ExtKeyShare)
			entries := append(share(g, n), x.Body[2:]...)
			m.Extensions = set(m.Extensions, attls.ExtSupportedGroups, 0, 4, byte(g>>8), byte(g), 0, 29)
			m.Extensions = set(m.Extensions, attls.ExtKeyShare, append([]byte{byte(len(entries) >> 8), byte(len(entries))}, entries...)...)
		})
	}
	choosesGroup := func(g uint16, n int) func([]byte) []byte {
		return serverWith(func(m *message.ServerHello) { m.Extensions = set(m.Extensions, attls.ExtKeyShare, share(g, n)...) })
	}
	offersSuite := helloWith(func(m *message.ClientHello) { m.CipherSuites = append([]byte{0, 0xc6}, m.CipherSuites...) })
	choosesSuite := serverWith(func(m *message.ServerHello) { m.CipherSuite = 0xc6 })
	unknownMessage := func(body []byte) []byte {
		whole, mark := message.Begin(nil, 203)
		return append(message.End(append(whole, 1, 2, 3), mark), encryptedWith()(body)...)
	}
	for _, test := range []struct {
		name           string
		client, server by
		note           string // "": a rule is broken
	}{
		{"a group that the client has a share of", by{attls.KindClientHello: offersGroup(30, 56)}, by{attls.KindServerHello: choosesGroup(30, 56)}, "the server chose the group"},
		{"a group that the client did not offer", nil, by{attls.KindServerHello: choosesGroup(30, 56)}, ""},
		{"a cipher suite that the client offers", by{attls.KindClientHello: offersSuite}, by{attls.KindServerHello: choosesSuite}, "the server chose the cipher suite"},
		{"a cipher suite that the client does not offer", nil, by{attls.KindServerHello: choosesSuite}, ""},
		{"TLS 1.2, which the client offers as well", by{attls.KindClientHello: bothVersions}, by{attls.KindServerHello: answersTLS12}, "the server chose TLS 1.2"},
		{"TLS 1.2, which the client does not offer", nil, by{attls.KindServerHello: answersTLS12}, ""},
		{"a draft of TLS 1.3 that the client offers", by{attls.KindClientHello: helloWith(func(m *message.ClientHello) {
			m.Extensions = set(m.Extensions, attls.ExtSupportedVersions, 4, 3, 4, 0x7f, 0x1c)
		})}, by{attls.KindServerHello: serverWith(func(m *message.ServerHello) {
			m.Extensions = set(m.Extensions, attls.ExtSupportedVersions, 0x7f, 0x1c)
		})}, "the server chose draft 28 of TLS 1.3"},
		{"a draft of TLS 1.3 that the client does not offer", nil, by{attls.KindServerHello: serverWith(func(m *message.ServerHello) {
			m.Extensions = set(m.Extensions, attls.ExtSupportedVersions, 0x7f, 0x1c)
		})}, ""},
		{"a client that knows only TLS 1.2", by{attls.KindClientHello: helloWith(func(m *message.ClientHello) {
			m.Extensions = without(without(m.Extensions, attls.ExtSupportedVersions), attls.ExtSignatureAlgorithms)
		})}, nil, "the client does not offer TLS 1.3"},
		{"an extension in the answer that the client offers", by{attls.KindClientHello: offersALPS},
			by{attls.KindEncryptedExtensions: encryptedWith(extensions.Extension{Type: alps, Body: []byte{1}})}, "EncryptedExtensions has the extension"},
		{"an extension in the answer that the client does not offer", nil,
			by{attls.KindEncryptedExtensions: encryptedWith(extensions.Extension{Type: alps, Body: []byte{1}})}, ""},
		{"a message that an extension of the client may have brought", by{attls.KindClientHello: offersALPS}, by{attls.KindEncryptedExtensions: unknownMessage}, "a message of type 203 may belong to"},
		{"a message that nothing brought", nil, by{attls.KindEncryptedExtensions: unknownMessage}, ""},
		{"a signature scheme that the client offers", by{attls.KindClientHello: helloWith(func(m *message.ClientHello) {
			m.Extensions = set(m.Extensions, attls.ExtSignatureAlgorithms, 0, 4, 8, 0x1a, 8, 7)
		})}, by{attls.KindCertificateVerify: func([]byte) []byte {
			return (&message.CertificateVerify{Scheme: 0x081a, Signature: []byte{1}}).Append(nil)
		}}, "the signature scheme"},
		{"a signature scheme that the client does not offer", nil, by{attls.KindCertificateVerify: func([]byte) []byte {
			return (&message.CertificateVerify{Scheme: 0x081a, Signature: []byte{1}}).Append(nil)
		}}, ""},
		{"a certificate of a key that is not known", nil, by{attls.KindCertificate: func(body []byte) []byte {
			return (&message.Certificate{Entries: []message.CertificateEntry{{Data: bytes.Replace(body[len(body)-certificateLength(body)-2:len(body)-2],
				[]byte{0x2b, 0x65, 0x70}, []byte{0x2b, 0x65, 0x7f}, -1)}}}).Append(nil)
		}}, "is judged in part only"},
		{"more certificates than are taken", nil, by{attls.KindCertificate: func(body []byte) []byte {
			var m message.Certificate
			m.Unmarshal(body)
			for range 80 {
				m.Entries = append(m.Entries, m.Entries[0])
			}
			return m.Append(nil)
		}}, "is judged in part only"},
		{"a compression that the client offers", by{attls.KindClientHello: helloWith(func(m *message.ClientHello) {
			m.Extensions = set(m.Extensions, attls.ExtCompressCertificate, 2, 0, 99)
		})}, by{attls.KindCertificate: func(body []byte) []byte {
			return (&message.CompressedCertificate{Algorithm: 99, UncompressedLength: len(body), Compressed: []byte{1, 2}}).Append(nil)
		}}, "compressed in a way"},
		{"a delegated credential", by{attls.KindClientHello: helloWith(func(m *message.ClientHello) {
			m.Extensions = set(m.Extensions, attls.ExtDelegatedCredential, 0, 2, 8, 7)
		})}, by{attls.KindCertificate: func(body []byte) []byte {
			var m message.Certificate
			m.Unmarshal(body)
			m.Entries[0].Extensions = extensions.List{{Type: attls.ExtDelegatedCredential, Body: make([]byte, 60)}}
			return m.Append(nil)
		}, attls.KindCertificateVerify: func(body []byte) []byte {
			return (&message.CertificateVerify{Scheme: attls.ED25519, Signature: make([]byte, 64)}).Append(nil)
		}}, "delegated credential"},
		{"an inner ClientHello that cannot be read", by{attls.KindClientHello: helloWith(func(m *message.ClientHello) {
			m.Extensions = set(m.Extensions, attls.ExtEncryptedClientHello, make([]byte, 60)...)
		})}, by{attls.KindServerHello: serverWith(func(m *message.ServerHello) {
			m.Extensions = set(m.Extensions, attls.ExtKeyShare, share(23, 65)...)
		})}, "Encrypted Client Hello"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := &meeting{client: handshake.Config{Tap: edits{by: test.client}}, server: handshake.Config{Tap: edits{by: test.server}}}
			c, keys := m.record(t)
			if strings.HasPrefix(test.name, "an inner ClientHello") { // its secrets go by its own random
				keys = capture.KeyLog{}
			}
			for _, p := range []*profile.Profile{nil, load(t, "early-attestation-06")} {
				d := dissect.Dissect(c, keys, p)
				notes := strings.Join(d.Notes, "\n")
				switch {
				case test.note == "" && len(d.Findings) != 1:
					t.Errorf("%d findings; %q", len(d.Findings), d.Notes)
				case test.note != "" && len(d.Findings) != 0:
					t.Errorf("accused: %+v; %q", d.Findings, d.Notes)
				case !strings.Contains(notes, test.note):
					t.Errorf("notes %q; want %q", d.Notes, test.note)
				}
				if strings.HasPrefix(test.name, "TLS 1.2, which the client offers") && !strings.Contains(notes, "RFC 8446 section 4.1.3") {
					t.Errorf("nothing is said of the sentinel: %q", d.Notes)
				}
			}
		})
	}
}

// certificateLength is the length of the one certificate in a Certificate.
func certificateLength(body []byte) int { return len(body) - 1 - 3 - 3 - 2 }

// TestAServerOfAnotherProtocol breaks no rule of TLS; one that sends a record of
// a wrong type does.
func TestAServerOfAnotherProtocol(t *testing.T) {
	whole, keys, _ := record(t, scenario.Scenario{Profile: "early-attestation-06"})
	hello := whole.Pieces[0]
	for _, test := range []struct {
		answer   string
		findings int
		note     string
	}{
		{"<!DOCTYPE HTML>\n\x1b[31m", 0, `it does not speak TLS: what it sent begins with "<!DOCTYPE HTML>\n"`},
		{"\x00\x01\x02\x03\x04\x05", 0, "it does not speak TLS"},
		{"\x63\x03\x03\x00\x01\x00", 1, "content type 99"},
	} {
		c := &capture.Connection{Client: whole.Client, Server: whole.Server, Pieces: []capture.Piece{hello, {Sender: attls.RoleServer, Data: []byte(test.answer)}}}
		d := dissect.Dissect(c, keys, nil)
		if notes := strings.Join(d.Notes, "\n"); len(d.Findings) != test.findings || !strings.Contains(notes, test.note) || strings.Contains(notes, "\x1b") {
			t.Errorf("%q: findings %+v, notes %q", test.answer, d.Findings, d.Notes)
		}
	}
}

// TestSoundConnectionsOfOtherKinds expects no finding and no note of what is
// implemented although the shadows have to be told of it.
func TestSoundConnectionsOfOtherKinds(t *testing.T) {
	for _, test := range []struct {
		name string
		*meeting
	}{
		{"a compressed certificate", &meeting{client: handshake.Config{CertificateCompression: certcompress.All()}, server: handshake.Config{CertificateCompression: certcompress.All()}}},
		{"a compressed certificate of the client", &meeting{client: handshake.Config{CanAuthenticate: true, CertificateCompression: certcompress.All()},
			server: handshake.Config{ClientAuthentication: handshake.RequireClientCertificate, CertificateCompression: certcompress.All()}}},
		{"a HelloRetryRequest", &meeting{server: handshake.Config{Retry: handshake.Retry{Always: true, Cookie: true}}}},
		{"a HelloRetryRequest for a cookie alone", &meeting{client: handshake.Config{KeyShares: []attls.NamedGroup{attls.GroupX25519}},
			server: handshake.Config{Groups: []attls.NamedGroup{attls.GroupX25519}, Retry: handshake.Retry{Always: true, Cookie: true}}}},
		{"a HelloRetryRequest for a cookie alone, and two shares", &meeting{client: handshake.Config{KeyShares: []attls.NamedGroup{attls.GroupX25519, attls.GroupSecp384r1}},
			server: handshake.Config{Groups: []attls.NamedGroup{attls.GroupSecp384r1}, Retry: handshake.Retry{Always: true, Cookie: true}}}},
		{"a record size limit", &meeting{client: handshake.Config{RecordSizeLimit: 64}, server: handshake.Config{RecordSizeLimit: 200}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, keys := test.record(t)
			d := dissect.Dissect(c, keys, nil)
			if !d.Complete || len(d.Findings) != 0 || len(d.Notes) != 0 {
				t.Errorf("complete: %v, findings %+v, notes %q", d.Complete, d.Findings, d.Notes)
			}
		})
	}
}

// TestEarlyDataThatIsRefused offers a session to a server that does not know it.
func TestEarlyDataThatIsRefused(t *testing.T) {
	m := &meeting{client: handshake.Config{PSK: true, MaxEarlyData: 100}, server: handshake.Config{PSK: true, Tickets: 1, MaxEarlyData: 100}, sessions: &handshake.ClientSessions{}}
	m.record(t)
	m.early = "early"
	c, keys := m.record(t)
	for _, secrets := range []capture.KeyLog{keys, {}} {
		if d := dissect.Dissect(c, secrets, nil); len(d.Findings) != 0 {
			t.Errorf("accused: %+v; %q", d.Findings, d.Notes)
		}
	}
}

// TestNobodyIsAccusedOfWhatWasNotSeen takes sound connections in part: with
// pieces, sides or secrets that are missing, with secrets that are cut or wrong.
func TestNobodyIsAccusedOfWhatWasNotSeen(t *testing.T) {
	innocent := func(t *testing.T, what string, c *capture.Connection, keys capture.KeyLog, p *profile.Profile) {
		t.Helper()
		d := dissect.Dissect(c, keys, p)
		if len(d.Findings) != 0 {
			t.Errorf("%s: accused: %+v; %q", what, d.Findings, d.Notes)
		}
		for _, a := range d.Attestation {
			if a.Comparison == dissect.Different {
				t.Errorf("%s: another challenge: %+v", what, a)
			}
		}
	}
	for _, name := range designs {
		p := load(t, name)
		s := scenario.Scenario{Profile: name, HelloRetry: true, Cookie: true}
		if name == "tls-attestation-07" {
			s.Attester = scenario.AttestBoth
		}
		t.Run(s.String(), func(t *testing.T) {
			whole, keys, _ := record(t, s)
			innocent(t, "the whole", whole, keys, p)
			part := func(pieces []capture.Piece, lost int) *capture.Connection {
				return &capture.Connection{Client: whole.Client, Server: whole.Server, Pieces: pieces, Lost: lost}
			}
			for i, piece := range whole.Pieces {
				innocent(t, fmt.Sprintf("cut before piece %d", i), part(whole.Pieces[:i], 0), keys, p)
				half := slices.Clone(whole.Pieces[:i+1])
				half[i].Data = piece.Data[:len(piece.Data)/2]
				innocent(t, fmt.Sprintf("cut amid piece %d", i), part(half, 0), keys, p)
				rest := slices.Clone(whole.Pieces[i:])
				for _, role := range []attls.Role{attls.RoleClient, attls.RoleServer} {
					if k := slices.IndexFunc(rest, func(p capture.Piece) bool { return p.Sender == role }); k >= 0 && i > 0 {
						rest[k].Lost = -1
					}
				}
				innocent(t, fmt.Sprintf("begun with piece %d", i), part(rest, -1), keys, p)
				less := slices.Delete(slices.Clone(whole.Pieces), i, i+1)
				if k := slices.IndexFunc(less[i:], func(p capture.Piece) bool { return p.Sender == piece.Sender }); k >= 0 {
					less[i+k].Lost = len(piece.Data)
				}
				innocent(t, fmt.Sprintf("without piece %d", i), part(less, len(piece.Data)), keys, p)
			}
			for _, role := range []attls.Role{attls.RoleClient, attls.RoleServer} {
				one := slices.DeleteFunc(slices.Clone(whole.Pieces), func(p capture.Piece) bool { return p.Sender != role })
				innocent(t, "the "+role.String()+" only", part(one, 0), keys, p)
			}
			differing := part(whole.Pieces, 0)
			differing.Differing = 3
			innocent(t, "octets sent again with other values", differing, keys, p)
			for random, secrets := range keys {
				for label, secret := range secrets {
					for what, value := range map[string][]byte{"without": nil, "with half of": secret[:len(secret)/2], "with zeros after": append(bytes.Clone(secret), make([]byte, 16)...), "with a wrong": wrong(secret)} {
						if what == "with a wrong" && (strings.HasPrefix(label, "ATTLS_") || label == "EXPORTER_SECRET") {
							continue // nothing in the connection shows that it is wrong
						}
						other := capture.KeyLog{random: maps.Clone(secrets)}
						if other[random][label] = value; value == nil {
							delete(other[random], label)
						}
						innocent(t, what+" "+label, whole, other, p)
					}
				}
			}
			innocent(t, "without secrets", whole, capture.KeyLog{}, p)
		})
	}
}

func wrong(secret []byte) []byte {
	b := bytes.Clone(secret)
	b[0] ^= 1
	return b
}
