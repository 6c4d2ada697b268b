package binder

import (
	"bytes"
	"fmt"
	"reflect"
	"sync"
	"testing"

	"attls"
)

// constant is a handshake of which nothing but the hash is known.
type constant struct{ Inputs }

func (constant) Hash() string { return "SHA-256" }

// TestRoom evaluates more definitions, parts and octets than an evaluation has room
// for at first: earlier values stay as they were.
func TestRoom(t *testing.T) {
	const many = 40
	definitions := []Definition{{"d0", `expand_label(zero, "0", "", Hash.length)`}}
	all := "d0"
	for i := 1; i < many; i++ {
		definitions = append(definitions, Definition{fmt.Sprintf("d%d", i), fmt.Sprintf(`expand_label(d%d, "%d", hash(d%d), Hash.length)`, i-1, i, i-1)})
		all += fmt.Sprintf(", d%d", i)
	}
	definitions = append(definitions, Definition{"all", "concat(" + all + ")"})
	p, errs := Compile(definitions, VariantRFC8446)
	if errs != nil {
		t.Fatal(errs[0])
	}
	var want []byte
	for i := range many {
		b, err := p.Eval(fmt.Sprintf("d%d", i), attls.RoleServer, constant{})
		if err != nil || len(b) != 32 {
			t.Fatalf("d%d: %x, %v", i, b, err)
		}
		want = append(want, b...)
	}
	got, err := p.Eval("all", attls.RoleServer, constant{})
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%x, %v; want %x", got, err, want)
	}
}

// TestDependsIsCollectedOnce asks from several goroutines at once, and for each role.
func TestDependsIsCollectedOnce(t *testing.T) {
	p, errs := Compile([]Definition{{"a", `expand_label(main_secret, "a", hash(spki(server)), 32)`}}, VariantRFC8446)
	if errs != nil {
		t.Fatal(errs[0])
	}
	want := map[attls.Role]Dependencies{attls.RoleClient: {Secrets: []Secret{MainSecret}}, attls.RoleServer: {Secrets: []Secret{MainSecret}, Key: true}}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 100 {
				for role, d := range want {
					if got := p.Depends("a", role); !reflect.DeepEqual(got, d) {
						t.Errorf("%v: %+v; want %+v", role, got, d)
						return
					}
				}
			}
		})
	}
	all.Wait()
	if d := p.Depends("nobody", attls.RoleServer); !reflect.DeepEqual(d, Dependencies{}) {
		t.Errorf("of what is not defined: %+v", d)
	}
}
