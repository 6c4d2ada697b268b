package nitro

import (
	"bytes"
	"errors"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"attls/attestation"

	"github.com/fxamacker/cbor/v2"
	"github.com/hf/nsm"
)

type file struct{}

func (file) Fd() uintptr  { return 0 }
func (file) Close() error { return nil }

// secureModule is a device that answers each request with the same octets.
func secureModule(answer []byte, errno syscall.Errno, asked *[]byte) nsm.Options {
	return nsm.Options{
		Open: func() (nsm.FileDescriptor, error) { return file{}, nil },
		Syscall: func(_, _, _, message uintptr) (uintptr, uintptr, syscall.Errno) {
			m := (*struct{ request, response syscall.Iovec })(*(*unsafe.Pointer)(unsafe.Pointer(&message)))
			*asked = bytes.Clone(unsafe.Slice(m.request.Base, m.request.Len))
			n := copy(unsafe.Slice(m.response.Base, m.response.Len), answer)
			m.response.SetLen(n)
			return 0, 0, errno
		},
	}
}

// TestModule: a Nitro Secure Module is asked with the nonce and the key, and whatever
// it answers is a document or an error.
func TestModule(t *testing.T) {
	q := &attestation.Question{Field: challenge, SPKI: spki(t, "tik")}
	encode := func(v any) []byte {
		b, err := cbor.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, test := range []struct {
		name   string
		answer []byte
		errno  syscall.Errno
		want   string
	}{
		{"a document", encode(map[string]any{"Attestation": map[string]any{"document": []byte("document")}}), 0, ""},
		{"an error of the module", encode(map[string]any{"Error": "InvalidArgument"}), 0, "InvalidArgument"},
		{"another answer", encode(map[string]any{"GetRandom": map[string]any{"random": []byte{1}}}), 0, "no attestation document"},
		{"an empty document", encode(map[string]any{"Attestation": map[string]any{"document": []byte{}}}), 0, "no attestation document"},
		{"an answer that is not CBOR", []byte{0xff}, 0, "/dev/nsm"},
		{"no answer", nil, 0, "/dev/nsm"},
		{"an error of the system", nil, syscall.EACCES, "/dev/nsm"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var asked []byte
			m := &module{path: "/dev/nsm", options: secureModule(test.answer, test.errno, &asked)}
			b, err := m.Make(t.Context(), q)
			if test.want == "" {
				if err != nil || string(b) != "document" {
					t.Errorf("%q, %v", b, err)
				}
			} else if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
			if !bytes.Contains(asked, challenge) || !bytes.Contains(asked, q.SPKI) {
				t.Errorf("asked %x", asked)
			}
		})
	}
	if _, err := (&module{path: t.TempDir() + "/nsm"}).Make(t.Context(), q); err == nil || errors.Is(err, syscall.EACCES) {
		t.Errorf("a device that does not exist: %v", err)
	}
}
