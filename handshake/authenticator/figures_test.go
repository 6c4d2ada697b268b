package authenticator_test

import (
	"crypto/sha256"
	"crypto/x509"
	"runtime"
	"sync"
	"testing"

	"attls"
	"attls/handshake/authenticator"
	"attls/internal/provider"
	"attls/negotiation"
)

// exchangeOnce makes a request, its answer and the check of it.
func exchangeOnce(t testing.TB, ends two, s *authenticator.Shown) {
	octets, err := ends[attls.RoleClient].Request(&authenticator.Request{Wanted: negotiation.Wanted{Schemes: all}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := ends[attls.RoleServer].Receive(octets)
	if err != nil {
		t.Fatal(err)
	}
	proof, _, err := ends[attls.RoleServer].Answer(r, s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ends[attls.RoleClient].Validate(proof, any509); err != nil {
		t.Fatal(err)
	}
}

// primitives are what an exchange cannot do without: a signature made and verified, the
// key parsed, the transcript hashed four times and two HMACs.
func primitives(t testing.TB, own *authenticator.Shown, spki []byte) {
	suite, _ := provider.Real().Suite(attls.TLS_AES_128_GCM_SHA256)
	content := make([]byte, 64+23+32)
	signature, err := provider.Sign(own.Signer, own.Schemes[0], content)
	if err != nil {
		t.Fatal(err)
	}
	key, err := provider.Real().ParseSPKI(spki)
	if err == nil {
		err = provider.Real().Verify(key, own.Schemes[0], content, signature)
	}
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		h := sha256.New()
		h.Write(own.Chain[0])
		suite.Extract(nil, content[:32], h.Sum(nil))
	}
}

func spkiOf(own *authenticator.Shown) []byte {
	return must(x509.ParseCertificate(own.Chain[0])).RawSubjectPublicKeyInfo
}

// TestAllocations: an authenticator made and checked needs at most 60 allocations more
// than its primitives.
func TestAllocations(t *testing.T) {
	ends, s := pairOf(t, nil), shown(t)
	spki := spkiOf(s)
	exchangeOnce(t, ends, s)
	have := testing.AllocsPerRun(100, func() { exchangeOnce(t, ends, s) })
	least := testing.AllocsPerRun(100, func() { primitives(t, s, spki) })
	t.Logf("%.0f allocations, of which the primitives need %.0f", have, least)
	if have-least > 60 {
		t.Errorf("%.0f allocations above the %.0f of the primitives", have-least, least)
	}
}

// TestManyOnOneConnection: of a thousand authenticators a connection keeps the digests of
// their contexts and nothing else.
func TestManyOnOneConnection(t *testing.T) {
	ends, s := pairOf(t, nil), shown(t)
	inUse := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for range 10 {
		exchangeOnce(t, ends, s)
	}
	before := inUse()
	for range 1000 {
		exchangeOnce(t, ends, s)
	}
	after := inUse()
	runtime.KeepAlive(ends)
	const most = 2*(2048*8) + 32<<10 // two tables, and what the runtime itself does meanwhile
	if after > before && after-before > most {
		t.Errorf("%d octets more after 1000 authenticators", after-before)
	}
	if n := ends[attls.RoleClient].Outstanding(); n != 0 {
		t.Errorf("%d requests are open", n)
	}
}

// TestConcurrently: several goroutines ask over one connection.
func TestConcurrently(t *testing.T) {
	ends, s := pairOf(t, nil), shown(t)
	var wait sync.WaitGroup
	for range 8 {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for range 10 {
				exchangeOnce(t, ends, s)
			}
		}()
	}
	wait.Wait()
}

// BenchmarkAuthenticator compares an authenticator, from request to verdict, with its
// primitives.
func BenchmarkAuthenticator(b *testing.B) {
	s := shown(b)
	spki := spkiOf(s)
	b.Run("exchange", func(b *testing.B) {
		b.ReportAllocs()
		ends := pairOf(b, func(c *authenticator.Config) { c.Limits.Contexts = 1 << 30 })
		for b.Loop() {
			exchangeOnce(b, ends, s)
		}
	})
	b.Run("primitives", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			primitives(b, s, spki)
		}
	})
}
