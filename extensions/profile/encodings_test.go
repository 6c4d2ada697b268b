package profile

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"attls"
)

// TestEncodingsAreKept encodes the same schemes again and from several goroutines at
// once: the octets stay those of the slot and the scheme, and no more are kept than
// may be.
func TestEncodingsAreKept(t *testing.T) {
	p, err := Load("early-attestation-06", Options{})
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := Load("early-attestation-06", Options{})
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for n := range 2 * maxEncodings {
				for slot := range p.Slots {
					s := Scheme{Model: ModelResults, Credential: KindX509, Verifier: fmt.Appendf(nil, "v%d.example", n)}
					if n%2 == 0 {
						s = Scheme{Model: ModelEvidence, Credential: KindX509, Format: Format{ContentFormat: uint16(n)}}
					}
					got, ok := p.EncodeScheme(slot, s)
					again, same := p.EncodeScheme(slot, s)
					want, can := fresh.codec.(*codec).slots[slot].encode(&s)
					if ok != can || ok != same || !bytes.Equal(got.Wire, want) || !bytes.Equal(again.Wire, want) {
						t.Errorf("slot %d, %v: %x and %x; want %x", slot, s, got.Wire, again.Wire, want)
						return
					}
				}
			}
		})
	}
	all.Wait()
	if n := len(p.codec.(*codec).known.wires); n != maxEncodings {
		t.Errorf("%d encodings are kept; want %d", n, maxEncodings)
	}
}

// TestElementsOfOthers refuses the octets of a scheme that do not parse, and takes
// those that are not what the scheme is encoded to as they are.
func TestElementsOfOthers(t *testing.T) {
	p, err := Load("early-attestation-06", Options{})
	if err != nil {
		t.Fatal(err)
	}
	one := Scheme{Model: ModelEvidence, Credential: KindX509, Format: Format{ContentFormat: 263}}
	for slot := range p.Slots {
		s, ok := p.EncodeScheme(slot, one)
		if !ok {
			continue
		}
		other, _ := p.EncodeScheme(slot, Scheme{Model: ModelEvidence, Credential: KindX509, Format: Format{ContentFormat: 264}})
		encode := func(s Scheme) ([]RawExtension, error) {
			f := p.NewFields()
			f.Offered[slot], f.Offers[slot] = true, []Scheme{s}
			return p.Encode(attls.KindClientHello, attls.RoleClient, f)
		}
		s.Wire = other.Wire
		list, err := encode(s)
		if err != nil || len(list) != 1 || !bytes.Contains(list[0].Body, other.Wire) {
			t.Errorf("slot %d: %v, %v; want the octets %x", slot, list, err, other.Wire)
		}
		s.Wire = other.Wire[:1]
		if list, err := encode(s); err == nil {
			t.Errorf("slot %d: octets that do not parse are sent: %v", slot, list)
		}
	}
}
