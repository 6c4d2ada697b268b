package exported_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"testing"

	"attls"
	"attls/extensions/profile"
	"attls/handshake/exported"
	"attls/internal/seeds"
)

// framings are the ways in which frames travel.
var framings = []string{"frames", "messages", "application"}

// frameSeeds are frames of a request, an authenticator and data, some of them cut or changed.
func frameSeeds(tb testing.TB, p *profile.Profile) (list [][]byte) {
	frames := exported.NewFrames(&p.Authenticator, 0)
	e := connect(tb, p, [2]bool{server: true}, nil)
	request, answer := recordExchange(tb, e)
	add := func(c exported.Content, octets []byte) []byte {
		b, err := frames.Append(nil, c, octets)
		if err != nil {
			tb.Fatal(err)
		}
		list = append(list, b)
		return b
	}
	r, a, d := add(exported.ContentRequest, request), add(exported.ContentAnswer, answer), add(exported.ContentData, []byte("data"))
	list = append(list, slices.Concat(r, d), slices.Concat(d, a, r), r[:len(r)-1], a[:len(a)/2], d[:len(d)-1], nil)
	for _, b := range [][]byte{r, a} {
		for _, at := range []int{0, 1, 4, len(b) / 2, len(b) - 1} {
			changed := bytes.Clone(b)
			changed[at] ^= 0x41
			list = append(list, changed)
		}
	}
	return append(list, []byte{1, 255, 255, 255, 255}, []byte{2, 0, 0, 0, 0}, []byte{9, 0, 0, 0, 1, 0})
}

// recordExchange is a request of the client, and the server's answer to it.
func recordExchange(tb testing.TB, e *ends) (request, answer []byte) {
	tb.Helper()
	for role, err := range e.both(func(_ attls.Role, c *exported.Conn) error { return c.HandshakeContext(e.ctx) }) {
		if err != nil {
			tb.Fatal(role, err)
		}
	}
	var sessions [2]*exported.Session
	for _, role := range attls.Roles() {
		over, err := e.conns[role].Authenticators()
		if err != nil {
			tb.Fatal(err)
		}
		c := &exported.Config{Profile: e.profile, Accept: evidence}
		if role == server {
			c = &exported.Config{Profile: e.profile, Produce: evidence}
		}
		if sessions[role], err = exported.NewSession(c, over, e.conns[role].Conn.Inputs(), answererOf(&root{}).Answer); err != nil {
			tb.Fatal(err)
		}
	}
	request, err := sessions[client].Request(e.ctx)
	if err == nil {
		answer, _, err = sessions[server].Answer(e.ctx, request)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return request, answer
}

// FuzzFrames: octets are taken apart into the same frames however they come, frames that are
// put together again are those octets, and what is none is refused with a place.
func FuzzFrames(f *testing.F) {
	profiles := seeds.Once(func() (list []*profile.Profile) {
		for _, framing := range framings {
			list = append(list, load(f, "seat-expat-04", map[string]string{"framing": framing}))
		}
		return list
	})
	seeds.Add(f, func() {
		for i, p := range profiles {
			for _, b := range frameSeeds(f, p) {
				f.Add(byte(i), b)
			}
		}
	})
	f.Fuzz(func(t *testing.T, which byte, octets []byte) {
		seeds.Input(t, which, octets)
		frames := exported.NewFrames(&profiles[int(which)%len(profiles)].Authenticator, 1<<12)
		for rest := octets; ; {
			c, content, n, err := frames.Next(rest)
			if err != nil {
				if err.Failure == "" || err.Detail == "" || err.Offset > len(rest) {
					t.Fatalf("%+v", err)
				}
				return
			}
			if n == 0 {
				return
			}
			if c != exported.ContentData && len(content) > 1<<12+4 {
				t.Fatalf("%d octets of a %v", len(content), c)
			}
			if again, err := frames.Append(nil, c, content); err != nil || !bytes.Equal(again, rest[:n]) {
				t.Fatalf("%x is put together as %x, %v", rest[:n], again, err)
			}
			for cut := range min(n, 64) {
				if _, _, n, err := frames.Next(rest[:cut]); err != nil || n > 0 {
					t.Fatalf("%d octets of %x: %d, %v", cut, rest, n, err)
				}
			}
			rest = rest[n:]
		}
	})
}

// livePlan is a connection into which a peer writes what it likes: under a profile, and in a
// role of the end that is watched.
type livePlan struct {
	p       *profile.Profile
	watched attls.Role
	attest  [2]bool
}

func livePlans(tb testing.TB) (list []livePlan) {
	for _, p := range []*profile.Profile{load(tb, "seat-expat-04", nil), load(tb, "seat-expat-00", nil), load(tb, "seat-expat-04", map[string]string{"framing": "messages"}),
		load(tb, "deployed-cocos", nil), load(tb, "deployed-cmc", nil), load(tb, "deployed-privasys-v2", nil)} {
		for _, role := range attls.Roles() {
			attest := [2]bool{server: true}
			if p.LaterSlot(client) >= 0 {
				attest[client] = true
			}
			list = append(list, livePlan{p, role, attest})
		}
	}
	return list
}

// run has the peer write octets in front of everything and end its direction. It returns what
// the watched end says and what it has read.
func (x *livePlan) run(tb testing.TB, octets []byte) (read int, failed error) {
	e := connect(tb, x.p, x.attest, nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		peer := e.conns[x.watched.Peer()].Conn
		if peer.HandshakeContext(e.ctx) != nil {
			return
		}
		go io.Copy(io.Discard, peer)
		if _, err := peer.Write(octets); err == nil {
			_ = peer.CloseWrite()
		}
	}()
	c := e.conns[x.watched]
	if failed = c.HandshakeContext(e.ctx); failed != nil {
		tb.Fatal(failed)
	}
	b, failed := io.ReadAll(c)
	e.conns[client].NetConn().Close()
	<-done
	if err := e.ctx.Err(); err != nil {
		tb.Fatalf("%x holds the %v up", octets, x.watched)
	}
	return len(b), failed
}

// FuzzLiveFrames gives an end any octets as the application data of its peer: nothing is read
// before the peer has attested, and what is wrong is said.
func FuzzLiveFrames(f *testing.F) {
	plans := seeds.Once(func() []livePlan { return livePlans(f) })
	seeds.Add(f, func() {
		for i := range plans {
			for _, b := range liveSeeds(f, &plans[i]) {
				f.Add(byte(i), b)
			}
		}
	})
	f.Fuzz(func(t *testing.T, which byte, octets []byte) {
		seeds.Input(t, which, octets)
		if len(octets) > 1<<14 {
			return
		}
		plans[int(which)%len(plans)].judge(t, octets)
	})
}

// judge runs a plan, and returns the failure.
func (x *livePlan) judge(t testing.TB, octets []byte) attls.Failure {
	read, err := x.run(t, octets)
	var named *attls.Error
	switch {
	case errors.As(err, &named):
		if named.Detail == "" || errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("%+v", named)
		}
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.ErrClosedPipe):
		t.Fatalf("%T: %v", err, err)
	}
	if read > 0 && x.attest[x.watched.Peer()] && (len(x.p.Frames) > 0 || x.p.Authenticator.Waits()) {
		t.Fatalf("%d octets were read of a peer that did not attest", read)
	}
	return failure(err)
}

// liveSeeds are octets that bring an end into its states.
func liveSeeds(tb testing.TB, x *livePlan) [][]byte {
	if len(x.p.Frames) > 0 {
		return [][]byte{nil, {0, 0, 0, 2, '{', '}'}, {0, 0, 0, 0}, {255, 255, 255, 255}, {0, 0, 0, 9, '{'},
			object(`{"version":"1.3.0","attest":0}`), object(`{"version":"1.3.0","attest":1}`),
			object(`{"version":"1.3.0","error":"no report today","x":[{}]}`), object(`{"v":2,"mode":"challenge"}`)}
	}
	return frameSeeds(tb, x.p)
}

// object is a frame of the application with a length of four octets.
func object(text string) []byte { return append([]byte{0, 0, 0, byte(len(text))}, text...) }

// TestLiveSeeds: the seeds end in many ways.
func TestLiveSeeds(t *testing.T) {
	failures := map[attls.Failure]bool{}
	plans := livePlans(t)
	for i := range plans {
		for _, b := range liveSeeds(t, &plans[i]) {
			failures[plans[i].judge(t, b)] = true
		}
	}
	for _, want := range []attls.Failure{attls.FailTruncated, attls.FailDecode, attls.FailUnexpectedMessage, attls.FailCapacity} {
		if !failures[want] {
			t.Errorf("no seed ends with %s", want)
		}
	}
	if len(failures) < 7 {
		t.Errorf("the seeds end with %v", failures)
	}
}
