package tsm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"

	"attls"
	"attls/attestation"
	"attls/extensions/profile"
	"attls/internal/seeds"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-configfs-tsm/configfs/configfsi"
	"github.com/google/go-configfs-tsm/configfs/faketsm"
	"go.yaml.in/yaml/v3"
)

var types = []profile.Format{{MediaType: MediaTypeCBOR}, {MediaType: MediaTypeJSON}}

func parsed(typ profile.Format, b []byte) (*Report, *attls.Error) {
	return Read(&attestation.CMW{Format: typ, Value: b})
}

// TestWritten: what is written as a report is read as the same report, and the fields
// are where the octets are.
func TestWritten(t *testing.T) {
	for name, r := range map[string]Report{
		"Evidence alone":   {Provider: "arm_cca_guest\n", Out: []byte{0xd9, 3, 0x8b}},
		"everything":       {Provider: "sev_guest\n", Out: bytes.Repeat([]byte{7}, 1184), Aux: []byte("certificates"), Manifest: []byte("manifest"), ServiceProvider: "svsm"},
		"an empty auxblob": {Provider: "sev_guest", Out: []byte{1}, Aux: []byte{}},
	} {
		for _, typ := range types {
			t.Run(name+" as "+typ.MediaType, func(t *testing.T) {
				b, err := r.Encode(typ)
				if err != nil {
					t.Fatal(err)
				}
				got, failure := parsed(typ, b)
				if failure != nil {
					t.Fatal(failure)
				}
				if i := got.OutStart(); (i >= 0) != (typ.MediaType == MediaTypeCBOR) || i >= 0 && !bytes.HasPrefix(b[i:], r.Out) {
					t.Errorf("the Evidence is at octet %d of %x", i, b)
				}
				for _, f := range got.Fields() {
					if f.End > 0 && f.Name == "tsm.provider" && string(b[f.Start:f.End]) != r.Provider {
						t.Errorf("the provider is at octets %d to %d of %x", f.Start, f.End, b)
					}
				}
				if !Mine(r.Name())(b) || Mine("tdx_guest")(b) {
					t.Error("the provider is not recognised")
				}
				got.at = nil
				if !reflect.DeepEqual(*got, r) {
					t.Errorf("%+v, want %+v", *got, r)
				}
			})
		}
	}
	if _, err := (&Report{Provider: "x", Out: []byte{1}}).Encode(profile.Format{MediaType: "application/cbor"}); err == nil {
		t.Error("a report of another type is written")
	}
}

// TestRefused: what is not exactly one report within the limits is refused.
func TestRefused(t *testing.T) {
	cborOf := func(v any) []byte {
		b, err := cbor.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	sound := map[string]any{"provider": "sev_guest\n", "outblob": []byte{1}}
	with := func(key string, v any) []byte {
		m := map[string]any{}
		for k, x := range sound {
			m[k] = x
		}
		if m[key] = v; v == nil {
			delete(m, key)
		}
		return cborOf(m)
	}
	for _, test := range []struct {
		name  string
		json  bool
		value []byte
		want  string
	}{
		{"no provider", false, with("provider", nil), "provider"},
		{"an empty provider", false, with("provider", ""), "provider"},
		{"a provider of 65 octets", false, with("provider", strings.Repeat("x", 65)), "65 octets"},
		{"a provider in octets", false, with("provider", []byte("sev_guest")), "provider"},
		{"no outblob", false, with("outblob", nil), "outblob"},
		{"an empty outblob", false, with("outblob", []byte{}), "outblob"},
		{"an outblob that is text", false, with("outblob", "x"), "outblob"},
		{"an outblob that is too long", false, with("outblob", make([]byte, maxBlob+1)), "65537 octets"},
		{"an auxblob that is too long", false, with("auxblob", make([]byte, maxBlob+1)), "auxblob"},
		{"a member that does not exist", false, with("inblob", []byte{1}), "inblob"},
		{"a number as key", false, cborOf(map[int]any{1: 2}), "the member 1"},
		{"an octet after the end", false, append(cborOf(sound), 0), "follow the end"},
		{"a member that appears twice", false, append([]byte{0xa3}, append(cborOf(sound)[1:], cborOf(map[string]any{"outblob": []byte{2}})[1:]...)...), "twice"},
		{"an array", false, cborOf([]int{1}), "an array"},
		{"JSON as CBOR", false, []byte(`{"provider":"sev_guest","outblob":"AQ"}`), ""},
		{"CBOR as JSON", true, cborOf(sound), ""},
		{"no outblob in JSON", true, []byte(`{"provider":"sev_guest"}`), "outblob"},
		{"no provider in JSON", true, []byte(`{"outblob":"AQ"}`), "provider"},
		{"null in JSON", true, []byte(`{"provider":"sev_guest","outblob":null}`), "outblob"},
		{"base64 with padding", true, []byte(`{"provider":"sev_guest","outblob":"AQ=="}`), "base64url"},
		{"base64 with a line break", true, []byte(`{"provider":"sev_guest","outblob":"AQ\n"}`), "base64url"},
		{"base64 with spare bits", true, []byte(`{"provider":"sev_guest","outblob":"AR"}`), "base64url"},
		{"a member in other case", true, []byte(`{"Provider":"sev_guest","outblob":"AQ"}`), "Provider"},
		{"a member twice in JSON", true, []byte(`{"provider":"sev_guest","outblob":"AQ","outblob":"Ag"}`), "twice"},
		{"more JSON after the end", true, []byte(`{"provider":"sev_guest","outblob":"AQ"}{}`), "follows"},
		{"JSON that is not UTF-8", true, []byte("{\"provider\":\"\xff\",\"outblob\":\"AQ\"}"), "UTF-8"},
	} {
		t.Run(test.name, func(t *testing.T) {
			typ := types[0]
			if test.json {
				typ = types[1]
			}
			_, failure := parsed(typ, test.value)
			if failure == nil || failure.Failure != attls.FailMalformedCMW || !strings.Contains(failure.Error(), test.want) {
				t.Errorf("%v, want %q", failure, test.want)
			}
		})
	}
	if _, failure := Read(&attestation.CMW{Form: attestation.CBORCollection}); failure == nil {
		t.Error("a collection is read as a report")
	}
	r := &Report{Provider: "tdx_guest\n"}
	if failure := r.From("sev_guest"); failure == nil || failure.Failure != attls.FailFormatMismatch {
		t.Errorf("the report of another platform: %v", failure)
	}
}

// fake is a configfs-tsm of one platform, whose Evidence is its inblob.
func fake(provider string) *faketsm.ReportSubsystem {
	sub := faketsm.ReportV7(0)
	read := sub.ReadAttr
	sub.ReadAttr = func(e *faketsm.ReportEntry, attr string) ([]byte, error) {
		switch attr {
		case "provider":
			return []byte(provider), nil
		case "outblob":
			return bytes.Clone(e.InAttrs["inblob"].Value), nil
		}
		return read(e, attr)
	}
	return sub
}

func client(sub configfsi.Client) Client {
	return &faketsm.Client{Subsystems: map[string]configfsi.Client{"report": sub}}
}

// TestGet: a report is that of the platform that was asked, about the challenge that
// it was asked with, also when several ask at a time.
func TestGet(t *testing.T) {
	c := client(fake("arm_cca_guest\n"))
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			challenge := bytes.Repeat([]byte{byte(i)}, 64)
			r, err := Get(t.Context(), c, &Request{Provider: "arm_cca_guest", Challenge: challenge, Aux: i%2 == 0})
			if err != nil || !bytes.Equal(r.Out, challenge) || (r.Aux != nil) != (i%2 == 0) {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
	all.Wait()
}

// TestGetRefused: a platform that does not answer as it should gives an error that
// says why.
func TestGetRefused(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	blocked := fake("arm_cca_guest\n")
	release := make(chan struct{})
	defer close(release)
	blocked.ReadAttr = func(*faketsm.ReportEntry, string) ([]byte, error) { <-release; return nil, errors.New("released") }
	empty := fake("arm_cca_guest\n")
	empty.ReadAttr = func(_ *faketsm.ReportEntry, attr string) ([]byte, error) { return []byte(attr)[:0], nil }
	level := uint(7)
	for _, test := range []struct {
		name string
		ctx  context.Context
		sub  *faketsm.ReportSubsystem
		q    Request
		want string
	}{
		{"another platform", t.Context(), fake("tdx_guest\n"), Request{Challenge: make([]byte, 64)}, `"tdx_guest"`},
		{"a challenge that is too long", t.Context(), fake("arm_cca_guest\n"), Request{Challenge: make([]byte, 65)}, "inblob"},
		{"a level that does not exist", t.Context(), fake("arm_cca_guest\n"), Request{Challenge: make([]byte, 64), Privilege: &level}, "privlevel"},
		{"an empty report", t.Context(), empty, Request{Challenge: make([]byte, 64)}, "0 octets"},
		{"a context that has ended", ended, blocked, Request{Challenge: make([]byte, 64)}, "canceled"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.q.Provider = "arm_cca_guest"
			if r, err := Get(test.ctx, client(test.sub), &test.q); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%+v, %v, want %q", r, err, test.want)
			}
		})
	}
}

// disturbing writes between the request and the answer.
type disturbing struct {
	Client
	left int
}

func (d *disturbing) ReadFile(name string) ([]byte, error) {
	if strings.HasSuffix(name, "outblob") {
		if d.left--; d.left >= 0 {
			if err := d.Client.WriteFile(strings.TrimSuffix(name, "outblob")+"inblob", []byte("another request")); err != nil {
				return nil, err
			}
		}
	}
	return d.Client.ReadFile(name)
}

// TestGetAgain: a request that another disturbs is made again, a few times; its answer
// is never the other's.
func TestGetAgain(t *testing.T) {
	challenge := make([]byte, 64)
	for _, test := range []struct {
		name  string
		fails int
		ok    bool
	}{{"once", 1, true}, {"three times", attempts - 1, true}, {"always", 100, false}} {
		t.Run(test.name, func(t *testing.T) {
			r, err := Get(t.Context(), &disturbing{client(fake("arm_cca_guest\n")), test.fails}, &Request{Provider: "arm_cca_guest", Challenge: challenge})
			if (err == nil) != test.ok || err == nil && !bytes.Equal(r.Out, challenge) {
				t.Errorf("disturbed: %+v, %v", r, err)
			}
		})
	}
}

// TestSource: the source of Evidence in a file is one of those that there are.
func TestSource(t *testing.T) {
	for text, want := range map[string]string{"emulator": "", "configfs-tsm": "", "tpm": "line 1"} {
		var s Source
		if err := yaml.Unmarshal([]byte(text), &s); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// FuzzRead: no octets make the reader panic, and what is read can be written and read
// again.
func FuzzRead(f *testing.F) {
	seeds.Add(f, func() {
		r := &Report{Provider: "sev_guest\n", Out: []byte("report"), Aux: []byte("certificates"), ServiceProvider: "svsm"}
		for i, typ := range types {
			b, err := r.Encode(typ)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b, i == 1)
		}
	})
	f.Fuzz(func(t *testing.T, b []byte, inJSON bool) {
		seeds.Input(t, b, inJSON)
		typ := types[0]
		if inJSON {
			typ = types[1]
		}
		Mine("sev_guest")(b)
		r, failure := parsed(typ, b)
		if failure != nil {
			return
		}
		if !json.Valid(b) && inJSON {
			t.Error("what is not JSON is read as JSON")
		}
		for _, x := range r.Fields() {
			if x.Start > x.End || x.End > len(b) {
				t.Errorf("%+v", x)
			}
		}
		again, err := r.Encode(typ)
		if err != nil {
			t.Fatal(err)
		}
		if _, failure := parsed(typ, again); failure != nil {
			t.Fatal(failure)
		}
	})
}
