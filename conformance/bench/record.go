package bench

import (
	"crypto/cipher"
	"errors"
	"fmt"
	"io"

	"attls"
	"attls/handshake"
	"attls/internal/provider"
)

// recordsPerRun is how many records one run of a subject carries.
const recordsPerRun = 64

// RecordCase is application data in records of one size.
type RecordCase struct {
	Suite  attls.CipherSuite // 0: TLS_AES_128_GCM_SHA256
	Octets int               // of application data in a record; 1 to 16384
}

// RecordCases are the sizes that are worth comparing.
func RecordCases() []RecordCase {
	var cases []RecordCase
	for _, s := range []attls.CipherSuite{attls.TLS_AES_128_GCM_SHA256, attls.TLS_AES_256_GCM_SHA384,
		attls.TLS_CHACHA20_POLY1305_SHA256} {
		for _, n := range []int{64, 1024, 4096, 16384} {
			cases = append(cases, RecordCase{s, n})
		}
	}
	return cases
}

// Throughput is the cost of one record, protected at one end and opened at the
// other, and what that makes in a second.
type Throughput struct {
	Cost
	OctetsPerSecond float64 `json:"octets_per_second"`
}

// RecordResult compares records of one size.
type RecordResult struct {
	Suite     string     `json:"suite"`
	Octets    int        `json:"octets"`
	Ours      Throughput `json:"ours"`       // the engine's two halves
	Conn      Throughput `json:"conn"`       // handshake.Conn, over the same in-memory connection as crypto/tls
	CryptoTLS Throughput `json:"crypto_tls"` // only where it negotiates the suite
	AEAD      Throughput `json:"aead"`
	// Our throughput divided by theirs. 0: not measured.
	ToCryptoTLS     float64 `json:"to_crypto_tls"`
	ConnToCryptoTLS float64 `json:"conn_to_crypto_tls"`
	ToAEAD          float64 `json:"to_aead"`
}

// Records measures one case, every subject in one goroutine.
func Records(c RecordCase, o Options) (*RecordResult, error) {
	if c.Suite == 0 {
		c.Suite = attls.TLS_AES_128_GCM_SHA256
	}
	s, err := newRecordSubjects(c)
	if err != nil {
		return nil, err
	}
	if err := interleave(o, s.list()); err != nil {
		return nil, err
	}
	r := &RecordResult{Suite: c.Suite.String(), Octets: c.Octets, Ours: throughput(c, s.ours), Conn: throughput(c, s.conn),
		AEAD: throughput(c, s.bare), ToAEAD: ratio(s.bare, s.ours)}
	if s.theirs != nil {
		r.CryptoTLS, r.ToCryptoTLS, r.ConnToCryptoTLS = throughput(c, s.theirs), ratio(s.theirs, s.ours),
			ratio(s.theirs, s.conn)
	}
	return r, nil
}

func throughput(c RecordCase, s *subject) Throughput {
	cost := s.cost()
	cost.Nanoseconds /= recordsPerRun
	cost.Allocations /= recordsPerRun
	cost.Octets /= recordsPerRun
	t := Throughput{Cost: cost}
	if cost.Nanoseconds > 0 {
		t.OctetsPerSecond = float64(c.Octets) * 1e9 / cost.Nanoseconds
	}
	return t
}

// recordSubjects are what Records compares; theirs is nil where crypto/tls
// would negotiate another suite, which it does not let anybody choose.
type recordSubjects struct{ ours, conn, theirs, bare *subject }

func (s *recordSubjects) list() []*subject {
	list := []*subject{s.ours, s.conn, s.bare}
	if s.theirs != nil {
		list = append(list, s.theirs)
	}
	return list
}

func newRecordSubjects(c RecordCase) (*recordSubjects, error) {
	if c.Octets < 1 || c.Octets > 16384 {
		return nil, fmt.Errorf("bench: records of %d octets; 1 to 16384 are possible", c.Octets)
	}
	hs := Case{Suite: c.Suite}.withDefaults()
	id, err := newIdentity(hs.Scheme)
	if err != nil {
		return nil, err
	}
	data := make([]byte, c.Octets)
	p, err := hs.configs().pair(&id.answerer)
	if err != nil {
		return nil, err
	}
	s := &recordSubjects{ours: newSubject("attls", recordsPerRun, p.transfer(data))}
	if s.conn, err = connTransfer(hs, id, data); err != nil {
		return nil, err
	}
	if s.theirs, err = tlsTransfer(hs, id, data); err != nil {
		return nil, err
	}
	suite, _ := provider.Real().Suite(c.Suite)
	aead, err := suite.AEAD(make([]byte, suite.KeyLen))
	if err != nil {
		return nil, err
	}
	s.bare = newSubject("AEAD", recordsPerRun, protectAndOpen(aead, data))
	return s, nil
}

// errLost is a record that arrived incomplete.
var errLost = errors.New("bench: the data did not arrive")

// transfer sends data from the client to the server, through the halves that a
// connection is split into.
func (p *pair) transfer(data []byte) func() error {
	_, w := p.ends[attls.RoleClient].Split()
	r, _ := p.ends[attls.RoleServer].Split()
	got := make([]byte, len(data))
	return func() error {
		if err := w.Write(data); err != nil {
			return err
		}
		out := w.Output()
		copy(r.Reserve(len(out)), out)
		r.Commit(len(out))
		w.Wrote(len(out))
		ev, err := r.Next()
		if err != nil {
			return err
		}
		if ev.Kind != handshake.EventData || copy(got, ev.Data) != len(data) {
			return errLost
		}
		return nil
	}
}

func tlsTransfer(c Case, id *identity, data []byte) (*subject, error) {
	client, server := tlsConfigs(c, id)
	client.DynamicRecordSizingDisabled = true
	a, b, err := tlsPair(client, server)
	if err != nil {
		return nil, err
	}
	if a.ConnectionState().CipherSuite != uint16(c.Suite) {
		return nil, nil
	}
	return newSubject("crypto/tls", recordsPerRun, through(a, b, data)), nil
}

// connTransfer is transfer through the adapters to net.Conn.
func connTransfer(c Case, id *identity, data []byte) (*subject, error) {
	x, y := newMemoryConns()
	ends := c.configs()
	client := handshake.Client(x, ends[attls.RoleClient], &id.answerer)
	server := handshake.Server(y, ends[attls.RoleServer], &id.answerer)
	if err := handshakeBoth(client, server); err != nil {
		return nil, err
	}
	return newSubject("attls.Conn", recordsPerRun, through(client, server, data)), nil
}

// through writes data at one end and reads it at the other.
func through(w io.Writer, r io.Reader, data []byte) func() error {
	buf := make([]byte, len(data))
	return func() error {
		if _, err := w.Write(data); err != nil {
			return err
		}
		_, err := io.ReadFull(r, buf)
		return err
	}
}

// protectAndOpen is the AEAD alone over TLSInnerPlaintext.
func protectAndOpen(aead cipher.AEAD, data []byte) func() error {
	inner := append(append([]byte(nil), data...), byte(attls.ContentTypeApplicationData))
	nonce, ad := make([]byte, aead.NonceSize()), make([]byte, 5)
	sealed := make([]byte, 0, len(inner)+aead.Overhead())
	return func() error {
		sealed = aead.Seal(sealed[:0], nonce, inner, ad)
		_, err := aead.Open(sealed[:0], nonce, sealed, ad)
		return err
	}
}
