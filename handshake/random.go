package handshake

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"

	"attls"
)

// Use says what random octets are for. Randomness is keyed by purpose and
// index and never read as a stream, so that a fork, a replay or a changed
// profile shifts nothing.
type Use uint8

// The purposes. An index tells apart what one purpose draws several times; 0 where none is named.
const (
	UseClientRandom Use = iota + 1
	UseServerRandom
	UseSessionID
	UseKeyShare // index: 256 times the place of the share, plus the attempt
	UseCookie
	UseNonce     // index: the slot
	UseSalt      // of a signature; index: the number of the draw
	UseKey       // of a credential that is made for the connection; index: the draw
	UseTicketAge // ticket_age_add; index: the number of the ticket
	UseGREASE    // index: the registry
	// UseRequestContext is for certificate_request_context of exported authenticators;
	// index: the draw.
	UseRequestContext
	UseKeyUpdate // key share of an extended key update; index: as for UseKeyShare
)

var useNames = [...]string{"", "client_random", "server_random", "session_id", "key_share", "cookie", "nonce", "salt",
	"key", "ticket_age_add", "grease", "request_context", "key_update"}

func (u Use) String() string {
	if int(u) < len(useNames) && u > 0 {
		return useNames[u]
	}
	return fmt.Sprintf("use %d", uint8(u))
}

// MarshalText writes the name.
func (u Use) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// UnmarshalText reads a name.
func (u *Use) UnmarshalText(b []byte) error {
	i := slices.Index(useNames[:], string(b))
	if i < 1 {
		return fmt.Errorf("attls: %q is not a use of randomness", b)
	}
	*u = Use(i)
	return nil
}

// Random fills dst with the octets for a use and an index. The same use and
// index are asked for at most once in a connection.
type Random interface {
	Fill(use Use, n uint32, dst []byte)
}

// SystemRandom is the operating system's generator.
type SystemRandom struct{}

// Fill reads crypto/rand, which does not fail.
func (SystemRandom) Fill(_ Use, _ uint32, dst []byte) { rand.Read(dst) }

// SeededRandom derives every octet from a seed: a recorded run is replayed by
// keeping its seed.
type SeededRandom struct{ Seed [32]byte }

// Fill expands SHA-256(seed, use, n, counter).
func (s SeededRandom) Fill(use Use, n uint32, dst []byte) {
	var block [32 + 1 + 4 + 4]byte
	copy(block[:], s.Seed[:])
	block[32] = byte(use)
	binary.BigEndian.PutUint32(block[33:], n)
	for i := uint32(0); len(dst) > 0; i++ {
		binary.BigEndian.PutUint32(block[37:], i)
		sum := sha256.Sum256(block[:])
		dst = dst[copy(dst, sum[:]):]
	}
}

// Draw is the octets that were drawn for one use and index.
type Draw struct {
	Use    Use
	Index  uint32
	Octets []byte
}

type drawKey struct {
	use Use
	n   uint32
}

// RecordedRandom holds draws. It gives them back, or, when it wraps another
// source, takes down what that source gives. As JSON it is a list of draws
// {"use":"key_share","index":0,"octets":"<hex>"} in a fixed order. It is safe
// for concurrent use, so that forks may share one.
type RecordedRandom struct {
	mu    sync.Mutex
	from  Random // nil: only what is recorded
	draws map[drawKey][]byte
	err   *attls.Error
}

// NewRecordedRandom returns a source that gives the draws back.
func NewRecordedRandom(draws ...Draw) *RecordedRandom {
	r := &RecordedRandom{draws: make(map[drawKey][]byte, len(draws))}
	for _, d := range draws {
		r.draws[drawKey{d.Use, d.Index}] = append([]byte(nil), d.Octets...)
	}
	return r
}

// RecordRandom returns a source that takes down what from gives.
func RecordRandom(from Random) *RecordedRandom {
	return &RecordedRandom{from: from, draws: map[drawKey][]byte{}}
}

// Fill gives the recorded octets. What was not recorded, or in another length,
// is drawn from the wrapped source; without one it is zero and Err says so.
func (r *RecordedRandom) Fill(use Use, n uint32, dst []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	have, ok := r.draws[drawKey{use, n}]
	switch {
	case ok && len(have) == len(dst):
		copy(dst, have)
	case r.from != nil:
		r.from.Fill(use, n, dst)
		r.draws[drawKey{use, n}] = append([]byte(nil), dst...)
	default:
		clear(dst)
		if r.err == nil {
			r.err = attls.Errorf(attls.Local, attls.FailInternal, "%d octets for %v %d are wanted and %d are recorded", len(dst),
				use, n, len(have))
		}
	}
}

// Err returns the first draw that was not recorded, or nil.
func (r *RecordedRandom) Err() *attls.Error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Draws lists the draws, ordered by use and index.
func (r *RecordedRandom) Draws() []Draw {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]Draw, 0, len(r.draws))
	for k, b := range r.draws {
		list = append(list, Draw{k.use, k.n, append([]byte(nil), b...)})
	}
	slices.SortFunc(list, func(a, b Draw) int {
		return cmp.Or(cmp.Compare(a.Use, b.Use), cmp.Compare(a.Index, b.Index))
	})
	return list
}

type jsonDraw struct {
	Use    Use    `json:"use"`
	Index  uint32 `json:"index"`
	Octets string `json:"octets"`
}

// MarshalJSON writes the draws.
func (r *RecordedRandom) MarshalJSON() ([]byte, error) {
	list := []jsonDraw{}
	for _, d := range r.Draws() {
		list = append(list, jsonDraw{d.Use, d.Index, hex.EncodeToString(d.Octets)})
	}
	return json.Marshal(list)
}

// UnmarshalJSON replaces the draws.
func (r *RecordedRandom) UnmarshalJSON(b []byte) error {
	var list []jsonDraw
	if err := json.Unmarshal(b, &list); err != nil {
		return err
	}
	draws := make(map[drawKey][]byte, len(list))
	for _, d := range list {
		octets, err := hex.DecodeString(d.Octets)
		if err != nil {
			return fmt.Errorf("attls: draw %v %d: %w", d.Use, d.Index, err)
		}
		if _, twice := draws[drawKey{d.Use, d.Index}]; twice {
			return fmt.Errorf("attls: draw %v %d appears twice", d.Use, d.Index)
		}
		draws[drawKey{d.Use, d.Index}] = octets
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.draws, r.err = draws, nil
	return nil
}

// RandomReader reads a source as signers want it: read number i is draw i of the use.
func RandomReader(r Random, use Use) io.Reader { return &randomReader{r: r, use: use} }

type randomReader struct {
	r   Random
	use Use
	n   uint32
}

func (r *randomReader) Read(p []byte) (int, error) {
	r.r.Fill(r.use, r.n, p)
	r.n++
	return len(p), nil
}
