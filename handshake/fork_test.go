package handshake_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"

	"attls"
	"attls/conformance/pair"
	"attls/handshake"
	"attls/handshake/enginetest"
	"attls/handshake/message"
	"attls/internal/provider"
	"attls/record"
)

// digestTap takes down everything that a tap is shown, in order, as one hash;
// its fork goes on from there.
type digestTap struct{ sum [32]byte }

func (d *digestTap) mix(parts ...any) {
	d.sum = sha256.Sum256([]byte(fmt.Sprintf("%x %v", d.sum, parts)))
}

func (d *digestTap) Fork() handshake.Tap { f := *d; return &f }
func (d *digestTap) Message(dir handshake.Direction, m *message.Raw, _ *handshake.Plan) {
	d.mix("message", dir, m.Kind, m.Bytes)
}
func (d *digestTap) Record(dir handshake.Direction, r *record.Raw, _ *record.Plan) {
	d.mix("record", dir, r.Type, r.Payload)
}
func (d *digestTap) Alert(dir handshake.Direction, a attls.AlertDescription) {
	d.mix("alert", dir, a)
}
func (d *digestTap) Derived(name handshake.SecretName, secret []byte) []byte {
	d.mix("derived", name, secret)
	return secret
}

// forked names the handshakes that are forked at every step.
var forked = map[string]func() pair.Options{
	"Evidence in the certificate": placedOptions,
	"server authentication": func() pair.Options {
		return direct(func(_, s *handshake.Config) { s.ClientAuthentication = handshake.NoClientCertificate })
	},
	"mutual":            func() pair.Options { return direct(nil) },
	"HelloRetryRequest": func() pair.Options { return full(nil) },
	"hybrid, SHA-384": func() pair.Options {
		return direct(func(c, s *handshake.Config) {
			c.Groups = []attls.NamedGroup{attls.GroupX25519MLKEM768}
			s.Groups = c.Groups
			s.CipherSuites = []attls.CipherSuite{attls.TLS_AES_256_GCM_SHA384}
		})
	},
	"small records": func() pair.Options {
		return direct(func(c, s *handshake.Config) { c.RecordSizeLimit, s.RecordSizeLimit = 64, 64 })
	},
	"refused": func() pair.Options {
		o := direct(nil)
		o.Answer[attls.RoleServer] = func(w *handshake.Wait) (handshake.Answer, *attls.Error) {
			if w.Kind == handshake.WaitCertificateVerdict {
				return handshake.Answer{}, attls.Errorf(attls.Refused, attls.FailUnknownCA, "not trusted")
			}
			return enginetest.Answer(serverCredential)(w)
		}
		return o
	},
	"null provider": func() pair.Options {
		o := direct(func(c, s *handshake.Config) { provider.Select(c, provider.Null()); provider.Select(s, provider.Null()) })
		for r := range o.Answer {
			o.Answer[r] = nullAnswer(o.Answer[r])
		}
		return o
	},
}

// nullAnswer signs as the null provider wants it.
func nullAnswer(a pair.Answer) pair.Answer {
	return func(w *handshake.Wait) (handshake.Answer, *attls.Error) {
		if w.Kind == handshake.WaitSignature {
			return handshake.Answer{Signature: provider.NullSignature}, nil
		}
		return a(w)
	}
}

// result is all that can be seen of a finished pair.
type result struct {
	wire     [2][]byte
	received [2][]byte
	taps     [2][32]byte
	errors   [2]string
	exported [2][]byte
}

func (r *result) equal(o *result) bool {
	for i := range r.wire {
		if !bytes.Equal(r.wire[i], o.wire[i]) || !bytes.Equal(r.received[i], o.received[i]) || r.taps[i] != o.taps[i] ||
			r.errors[i] != o.errors[i] || !bytes.Equal(r.exported[i], o.exported[i]) {
			return false
		}
	}
	return true
}

// finish runs a pair to its end: the handshake, a KeyUpdate of the client's that
// asks for the server's, close_notify both ways.
func finish(p *pair.Pair, taps [2]*digestTap) *result {
	p.Run()
	if p.Done() {
		p.Engine(attls.RoleClient).KeyUpdate(true)
		p.Engine(attls.RoleClient).Write([]byte("more"))
		p.Run()
		p.Engine(attls.RoleServer).Write([]byte("and more"))
		for r := attls.RoleClient; r <= attls.RoleServer; r++ {
			p.Engine(r).CloseNotify()
		}
		p.Run()
	}
	var out result
	for r := attls.RoleClient; r <= attls.RoleServer; r++ {
		e := p.Engine(r)
		out.wire[r], out.received[r], out.taps[r] = bytes.Clone(p.Wire(r)), bytes.Clone(p.Received(r)), taps[r].sum
		if err := e.Err(); err != nil {
			out.errors[r] = err.Error()
		}
		out.exported[r], _ = e.Export("label", nil, 32)
	}
	return &out
}

// TestForkEverywhere forks each handshake at every step, under taps, with waits
// open. All halves must finish with the same octets and tell the same to taps.
func TestForkEverywhere(t *testing.T) {
	for name, options := range forked {
		t.Run(name, func(t *testing.T) {
			o := options()
			o.KeepWire = true
			o.Split = [2]pair.Split{pair.Sizes(37, 1, 400), pair.Sizes(211, 3)}
			o.Delay = func(_ attls.Role, w *handshake.Wait) int { return 3 * int(w.ID) }
			start := [2]*digestTap{{}, {}}
			o.Client.Tap, o.Server.Tap = start[0], start[1]
			p, err := pair.New(o)
			if err != nil {
				t.Fatal(err)
			}
			var forks []*result
			for ok := true; ok; _, ok = p.Step() {
				taps := [2]*digestTap{start[0].Fork().(*digestTap), start[1].Fork().(*digestTap)}
				f, err := p.Fork([2]handshake.ForkOptions{{Tap: taps[0]}, {Tap: taps[1]}})
				if err != nil {
					t.Fatal(err)
				}
				forks = append(forks, finish(f, taps))
			}
			want := finish(p, start)
			for i, f := range forks {
				if !f.equal(want) {
					t.Fatalf("the fork at step %d of %d ends otherwise: %v, the original %v", i, len(forks), f.errors, want.errors)
				}
			}
			if (name == "refused") != (want.errors[0]+want.errors[1] != "") {
				t.Errorf("errors %v", want.errors)
			}
		})
	}
}

// TestForkKeepsTap: without another tap, a fork uses the fork of the one there is.
func TestForkKeepsTap(t *testing.T) {
	tap := &digestTap{}
	e, err := handshake.NewClient(&handshake.Config{Tap: tap, Random: enginetest.Random("fork")})
	if err != nil {
		t.Fatal(err)
	}
	before := tap.sum
	f, err := e.Fork(handshake.ForkOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f.Abort(attls.Errorf(attls.Local, attls.FailInternal, "stop"))
	if tap.sum != before {
		t.Error("the fork tells the original's tap")
	}
}

// TestForkRandom: with other randomness, a fork goes another way.
func TestForkRandom(t *testing.T) {
	o := direct(nil)
	o.KeepWire = true
	p, err := pair.New(o)
	if err != nil {
		t.Fatal(err)
	}
	var forks [3]handshake.ForkOptions
	forks[1].Random, forks[2].Random = enginetest.Random("other"), enginetest.Random("third")
	var wires [3]string
	for i, fork := range forks {
		f, err := p.Fork([2]handshake.ForkOptions{attls.RoleServer: fork})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Run(); err != nil {
			t.Fatal(err)
		}
		wires[i] = string(f.Wire(attls.RoleServer))
	}
	if wires[0] == wires[1] || wires[1] == wires[2] {
		t.Error("two forks with different randomness send the same")
	}
}

// TestForkHalves forks connections whose halves are in use, and uses original
// and fork at the same time, under every cipher suite.
func TestForkHalves(t *testing.T) {
	for _, suite := range []attls.CipherSuite{attls.TLS_AES_128_GCM_SHA256, attls.TLS_AES_256_GCM_SHA384,
		attls.TLS_CHACHA20_POLY1305_SHA256, attls.TLS_AES_128_CCM_SHA256, attls.TLS_AES_128_CCM_8_SHA256} {
		t.Run(suite.String(), func(t *testing.T) {
			p, err := pair.New(direct(func(c, s *handshake.Config) {
				c.CipherSuites = []attls.CipherSuite{suite}
				s.CipherSuites = c.CipherSuites
			}))
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Run(); err != nil {
				t.Fatal(err)
			}
			p.Engine(attls.RoleServer).Split()
			_, w := p.Engine(attls.RoleClient).Split()
			if err := w.Write([]byte("before")); err != nil {
				t.Fatal(err)
			}
			f, err := p.Fork([2]handshake.ForkOptions{})
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			var got, answered [2]string
			for i, side := range []*pair.Pair{p, f} {
				wg.Go(func() { got[i], answered[i] = useHalves(side.Engine(attls.RoleClient), side.Engine(attls.RoleServer)) })
			}
			wg.Wait()
			if got[0] != "before, after" || answered[0] != "answer" || got[0] != got[1] || answered[0] != answered[1] {
				t.Errorf("received %q and %q", got, answered)
			}
		})
	}
}

// useHalves sends data and a KeyUpdate from the client, and an answer back.
func useHalves(client, server *handshake.Engine) (got, answered string) {
	clientReader, clientWriter := client.Split()
	serverReader, serverWriter := server.Split()
	clientWriter.KeyUpdate(true)
	clientWriter.Write([]byte(", after"))
	got = deliver(clientWriter, serverReader)
	serverWriter.Write([]byte("answer"))
	return got, deliver(serverWriter, clientReader)
}

// deliver hands everything from a Writer to a Reader and returns the data.
func deliver(w *handshake.Writer, r *handshake.Reader) string {
	out := w.Output()
	copy(r.Reserve(len(out)), out)
	r.Commit(len(out))
	w.Wrote(len(out))
	var data []byte
	for {
		ev, err := r.Next()
		if err != nil {
			return err.Error()
		}
		switch ev.Kind {
		case handshake.EventData:
			data = append(data, ev.Data...)
		case handshake.EventNone:
			return string(data)
		}
	}
}

// TestForkClosed: a fork knows what was received before it.
func TestForkClosed(t *testing.T) {
	p, _ := established(t, nil)
	p.Engine(attls.RoleClient).CloseNotify()
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	f, err := p.Fork([2]handshake.ForkOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Engine(attls.RoleServer).InputEOF(); err != nil {
		t.Errorf("close_notify is forgotten: %v", err)
	}
	if err := f.Engine(attls.RoleClient).Write([]byte("x")); err == nil {
		t.Error("the fork writes after close_notify")
	}
	if err := p.Engine(attls.RoleClient).InputEOF(); err == nil {
		t.Error("truncation of the original is not seen")
	} else if f.Engine(attls.RoleClient).Err() != nil {
		t.Error("the fork fails with the original")
	}
}
