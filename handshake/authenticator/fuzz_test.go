package authenticator_test

import (
	"bytes"
	"testing"

	"attls"
	"attls/extensions"
	"attls/handshake/authenticator"
	"attls/internal/provider"
	"attls/internal/seeds"
	"attls/negotiation"
)

// nullEnds are both ends of a connection under the provider that protects nothing, so
// that what a fuzzer changes fails for what it says, and not for a signature.
func nullEnds(t testing.TB) (ends two) {
	for _, role := range attls.Roles() {
		c := config(role, "connection")
		provider.Select(c, provider.Null())
		ends[role] = open(t, c)
	}
	return ends
}

// refusal checks that an error for octets of the peer's says what, where and why.
func refusal(t *testing.T, err error, size int) {
	t.Helper()
	named, ok := err.(*attls.Error)
	switch {
	case err == nil:
	case !ok || named.Failure == "" || named.Detail == "":
		t.Fatalf("%T: %v", err, err)
	case named.Offset > size:
		t.Fatalf("octet %d of %d: %v", named.Offset, size, err)
	case named.Class == attls.Local && named.Failure != attls.FailCapacity:
		t.Fatalf("octets of a peer's are blamed on us: %v", err)
	}
}

// examples are a request and the answers to it, of either role.
func examples(f *testing.F) (requests, proofs [][]byte) {
	const evidence = attls.ExtensionType(0xff80)
	own := *shown(f)
	own.OCSP, own.SCT = []byte("response"), []byte{0, 3, 0, 1, 7}
	for _, asker := range attls.Roles() {
		ends := nullEnds(f)
		r := authenticator.Request{Context: []byte("fuzz"), OCSP: true, SCT: true, Extensions: extensions.List{{Type: evidence}}}
		octets, received := ends.asks(f, asker, r)
		requests = append(requests, octets)
		with := own
		with.Extensions = []extensions.List{{{Type: evidence, Body: []byte("Evidence")}}}
		d, err := ends[asker.Peer()].Start(received, &with)
		if err != nil {
			f.Fatal(err)
		}
		proofs = append(proofs, must(d.Finish(provider.NullSignature)))
		ends = nullEnds(f)
		_, received = ends.asks(f, asker, r)
		proofs = append(proofs, must(ends[asker.Peer()].Refuse(received)))
	}
	d := must(nullEnds(f)[attls.RoleServer].StartSpontaneous([]byte("unasked"), &own))
	return requests, append(proofs, must(d.Finish(provider.NullSignature)))
}

// FuzzRequest: octets that claim to be a request are refused with a reason, or are one
// that can be answered, and its context is what Context says.
func FuzzRequest(f *testing.F) {
	seeds.Add(f, func() {
		requests, proofs := examples(f)
		for _, b := range append(requests, proofs...) {
			f.Add(b)
		}
	})
	f.Fuzz(func(t *testing.T, octets []byte) {
		seeds.Input(t, octets)
		for _, role := range attls.Roles() {
			c := nullEnds(t)[role]
			r, err := c.Receive(octets)
			refusal(t, err, len(octets))
			if err != nil {
				continue
			}
			if context, err := authenticator.Context(octets); err != nil || !bytes.Equal(context, r.Context) {
				t.Fatalf("the context is %x and %x, %v", r.Context, context, err)
			}
			if _, err := c.Receive(octets); failure(err) != attls.FailRequestContext {
				t.Fatalf("a second time: %v", err)
			}
			if _, err := c.Refuse(r); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// FuzzAuthenticator: octets that claim to be an authenticator are refused with a reason,
// or answer the one open request, once.
func FuzzAuthenticator(f *testing.F) {
	seeds.Add(f, func() {
		requests, proofs := examples(f)
		for _, b := range append(proofs, requests...) {
			f.Add(b)
		}
	})
	f.Fuzz(func(t *testing.T, octets []byte) {
		seeds.Input(t, octets)
		for _, role := range attls.Roles() {
			c := nullEnds(t)[role]
			if _, err := c.Request(&authenticator.Request{Context: []byte("fuzz"), OCSP: true, Wanted: negotiation.Wanted{Schemes: all}}); err != nil {
				t.Fatal(err)
			}
			id, err := c.Validate(octets, any509)
			refusal(t, err, len(octets))
			if err != nil {
				continue
			}
			if context, err := authenticator.Context(octets); err != nil || !bytes.Equal(context, id.Context) {
				t.Fatalf("the context is %x and %x, %v", id.Context, context, err)
			}
			if id.Spontaneous == bytes.Equal(id.Context, []byte("fuzz")) || id.Spontaneous && role == attls.RoleServer {
				t.Fatalf("%+v", id)
			}
			if _, err := c.Validate(octets, any509); err == nil {
				t.Fatal("taken twice")
			}
		}
	})
}

// FuzzConnection carries any octets as requests and authenticators inside a connection of
// two engines: nothing of it ends the connection, and a true exchange still works.
func FuzzConnection(f *testing.F) {
	seeds.Add(f, func() {
		requests, proofs := examples(f)
		for i, b := range append(requests, proofs...) {
			f.Add(uint8(i), b)
		}
	})
	own := seeds.Once(func() *authenticator.Shown { return shown(f) })
	f.Fuzz(func(t *testing.T, which uint8, octets []byte) {
		seeds.Input(t, which, octets)
		p := nullEngines(t)
		ends := overEngines(t, p)
		from := attls.Role(which & 1)
		if err := p.Engine(from).Write(octets); err != nil {
			t.Fatal(err)
		}
		for _, ok := p.Step(); ok; _, ok = p.Step() {
		}
		carried := p.Received(from.Peer())
		if !bytes.Equal(carried, octets) {
			t.Fatalf("%d octets arrive as %d", len(octets), len(carried))
		}
		if _, err := ends[from.Peer()].Request(&authenticator.Request{Context: []byte("fuzz"), Wanted: negotiation.Wanted{Schemes: all}}); err != nil {
			t.Fatal(err)
		}
		_, err := ends[from.Peer()].Validate(carried, any509)
		refusal(t, err, len(carried))
		_, err = ends[from.Peer()].Receive(carried)
		refusal(t, err, len(carried))
		for _, asker := range attls.Roles() {
			_, r := ends.asks(t, asker, authenticator.Request{})
			d, err := ends[asker.Peer()].Start(r, own)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := ends[asker].Validate(must(d.Finish(provider.NullSignature)), any509); err != nil {
				t.Fatal(err)
			}
			if err := p.Engine(asker).Err(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
