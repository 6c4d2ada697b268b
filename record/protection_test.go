package record

import (
	"bytes"
	"crypto/cipher"
	"fmt"
	"testing"

	"attls"
	"attls/internal/provider"
)

// keyOf makes the AEAD and the IV of a traffic secret of octets that are all the same.
func keyOf(t *testing.T, id attls.CipherSuite, octet byte) (cipher.AEAD, []byte) {
	t.Helper()
	suite, ok := provider.Real().Suite(id)
	if !ok {
		t.Fatalf("there is no %v", id)
	}
	aead, iv, err := suite.KDF().TrafficKey(bytes.Repeat([]byte{octet}, suite.HashLen), "tls13 ")
	if err != nil {
		t.Fatal(err)
	}
	return aead, bytes.Clone(iv)
}

const anySuite = attls.TLS_AES_128_GCM_SHA256

// pair are a Writer and a Reader under the same key; octet 0 is not a key.
func pair(t *testing.T, w WriterSettings, r Settings, octet byte) (*Writer, *Reader) {
	t.Helper()
	writer, reader := NewWriter(w), NewReader(r)
	if octet != 0 {
		aead, iv := keyOf(t, anySuite, octet)
		writer.SetKey(aead, iv)
		if err := reader.SetKey(aead, iv); err != nil {
			t.Fatal(err)
		}
	}
	return writer, reader
}

// move brings what a Writer has to a Reader.
func move(w *Writer, r *Reader) {
	out := w.Output()
	feed(r, out)
	w.Wrote(len(out))
}

// items are all that a Reader yields, and the failure that ends it.
func items(r *Reader) (list []Item, failure attls.Failure) {
	for {
		item, ok, err := r.Next()
		if err != nil || !ok {
			return list, failureOf(err)
		}
		item.Data = bytes.Clone(item.Data)
		list = append(list, item)
	}
}

// records are the headers and fragments of what goes over the wire.
func records(t *testing.T, wire []byte) (list [][]byte) {
	t.Helper()
	for len(wire) > 0 {
		n := 5 + int(wire[3])<<8 + int(wire[4])
		if len(wire) < n {
			t.Fatalf("%d octets of a record of %d", len(wire), n)
		}
		list, wire = append(list, wire[:n]), wire[n:]
	}
	return list
}

// sealed is a record with any TLSInnerPlaintext.
func sealed(t *testing.T, w *Writer, inner []byte) []byte {
	t.Helper()
	key := &w.key
	head := make([]byte, headerLen)
	header(head, attls.ContentTypeApplicationData, attls.VersionTLS12, len(inner)+key.aead.Overhead())
	out := key.aead.Seal(head, key.perRecord(), inner, head)
	key.seq++
	return out
}

// TestRoundTrip: what a Writer protects, a Reader opens, in every suite, cut and padded
// as the settings say.
func TestRoundTrip(t *testing.T) {
	for _, id := range []attls.CipherSuite{0, attls.TLS_AES_128_GCM_SHA256, attls.TLS_AES_256_GCM_SHA384, attls.TLS_CHACHA20_POLY1305_SHA256,
		attls.TLS_AES_128_CCM_SHA256, attls.TLS_AES_128_CCM_8_SHA256} {
		for _, set := range []WriterSettings{{}, {MaxPlaintext: 63}, {PadTo: 64}, {MaxPlaintext: 1000, PadTo: 512}} {
			t.Run(fmt.Sprintf("%v, %+v", id, set), func(t *testing.T) {
				w, r := pair(t, set, Settings{}, 0)
				protocol := attls.ContentTypeHandshake // application data is never without protection
				if id != 0 {
					aead, iv := keyOf(t, id, 1)
					w.SetKey(aead, iv)
					r.SetKey(aead, iv)
					protocol = attls.ContentTypeApplicationData
				}
				limit := set.MaxPlaintext
				if limit == 0 {
					limit = MaxPlaintext
				}
				total := uint64(0)
				for _, n := range []int{1, 62, 63, 64, 1000, MaxPlaintext - 4, MaxPlaintext + 1, 40_000} {
					data := bytes.Repeat([]byte{0xa5}, n)
					if protocol == attls.ContentTypeHandshake {
						data = append([]byte{1, byte(n >> 16), byte(n >> 8), byte(n)}, data...)
					}
					if err := w.Write(protocol, data); err != nil {
						t.Fatal(err)
					}
					for _, rec := range records(t, w.Output()) {
						total++
						if rec[1] != 3 || rec[2] != 3 {
							t.Errorf("version %x", rec[1:3])
						}
						if id == 0 && len(rec)-headerLen > limit {
							t.Errorf("a fragment of %d octets", len(rec)-headerLen)
						}
						if id != 0 && rec[0] != byte(attls.ContentTypeApplicationData) {
							t.Errorf("a protected record of type %d", rec[0])
						}
						inner := len(rec) - headerLen
						if id != 0 {
							inner -= w.key.aead.Overhead()
						}
						if id != 0 && (inner > limit+1 || set.PadTo > 0 && inner%set.PadTo != 0 && inner != limit+1) {
							t.Errorf("TLSInnerPlaintext of %d octets", inner)
						}
					}
					move(w, r)
					list, failure := items(r)
					var got []byte
					for _, item := range list {
						got = append(got, item.Data...)
						if item.Type != protocol || item.Protected != (id != 0) || protocol == attls.ContentTypeApplicationData && len(item.Data) > limit {
							t.Errorf("%v, protected %v, %d octets", item.Type, item.Protected, len(item.Data))
						}
					}
					if failure != "" || !bytes.Equal(got, data) {
						t.Fatalf("%d octets came of %d, %q", len(got), len(data), failure)
					}
				}
				if id != 0 && (w.Sequence() != total || r.Sequence() != total) {
					t.Errorf("after %d records the sequence numbers are %d and %d", total, w.Sequence(), r.Sequence())
				}
			})
		}
	}
}

// TestAnySplit: how the octets arrive makes no difference.
func TestAnySplit(t *testing.T) {
	write := func(w *Writer) {
		w.Handshake([]byte{11, 0, 0, 2, 'a', 'b'})
		w.Handshake(append([]byte{15, 0, 1, 0}, make([]byte, 256)...))
		w.Flush()
		w.ChangeCipherSpec()
		w.Write(attls.ContentTypeApplicationData, bytes.Repeat([]byte("data"), 500))
		w.Write(attls.ContentTypeAlert, []byte{1, 0})
	}
	w, whole := pair(t, WriterSettings{MaxPlaintext: 100}, Settings{}, 1)
	write(w)
	wire := bytes.Clone(w.Output())
	feed(whole, wire)
	want, failure := items(whole)
	if failure != "" || len(want) != 2+1+20+1 {
		t.Fatalf("%d items, %q", len(want), failure)
	}
	for _, n := range []int{1, 2, 5, 6, 105, 1000} {
		_, r := pair(t, WriterSettings{}, Settings{}, 1)
		var got []Item
		for rest := wire; len(rest) > 0; rest = rest[min(n, len(rest)):] {
			feed(r, rest[:min(n, len(rest))])
			more, failure := items(r)
			if failure != "" {
				t.Fatal(failure)
			}
			got = append(got, more...)
		}
		if len(got) != len(want) || r.Pending() || r.Buffered() != 0 || r.InMessage() {
			t.Fatalf("in pieces of %d: %d items, %d octets left", n, len(got), r.Buffered())
		}
		for i := range got {
			if got[i].Type != want[i].Type || !bytes.Equal(got[i].Data, want[i].Data) || got[i].Protected != want[i].Protected {
				t.Errorf("in pieces of %d, item %d: %v %x", n, i, got[i].Type, got[i].Data)
			}
		}
	}
}

// TestUnprotectedRefusals: what no peer may send before there are keys.
func TestUnprotectedRefusals(t *testing.T) {
	rec := func(t byte, payload ...byte) []byte {
		return append([]byte{t, 3, 3, byte(len(payload) >> 8), byte(len(payload))}, payload...)
	}
	times := func(n int, b []byte) []byte { return bytes.Repeat(b, n) }
	for name, test := range map[string]struct {
		wire    []byte
		items   int
		failure attls.Failure
	}{
		"nothing":                                  {nil, 0, ""},
		"a header that is not whole":               {[]byte{22, 3, 3}, 0, ""},
		"another version, which is ignored":        {[]byte{21, 9, 9, 0, 2, 1, 0}, 1, ""},
		"application data":                         {rec(23, 1), 0, attls.FailUnexpectedRecord},
		"an unknown content type":                  {rec(99, 1), 0, attls.FailUnexpectedRecord},
		"heartbeat":                                {rec(24, 1), 0, attls.FailUnexpectedRecord},
		"another protocol":                         {[]byte("GET / HTTP/1.1\r\n"), 0, attls.FailUnexpectedRecord},
		"the first octet of another protocol":      {[]byte("G"), 0, attls.FailUnexpectedRecord},
		"the largest fragment":                     {rec(22, append([]byte{1, 0, 0x3f, 0xfc}, make([]byte, 1<<14-4)...)...), 1, ""},
		"a fragment that is larger":                {[]byte{22, 3, 3, 0x40, 1}, 0, attls.FailRecordOverflow},
		"a TLSCiphertext that is larger":           {[]byte{23, 3, 3, 0x41, 1}, 0, attls.FailRecordOverflow},
		"an empty handshake record":                {rec(22), 0, attls.FailUnexpectedRecord},
		"an empty alert record":                    {rec(21), 0, attls.FailUnexpectedRecord},
		"an alert of one octet":                    {rec(21, 2), 0, attls.FailDecode},
		"two alerts in a record":                   {rec(21, 1, 90, 1, 90), 0, attls.FailDecode},
		"change_cipher_spec":                       {rec(20, 1), 1, ""},
		"change_cipher_spec of another value":      {rec(20, 2), 0, attls.FailUnexpectedRecord},
		"change_cipher_spec of two octets":         {rec(20, 1, 1), 0, attls.FailUnexpectedRecord},
		"an empty change_cipher_spec":              {rec(20), 0, attls.FailUnexpectedRecord},
		"as many change_cipher_spec as may be":     {times(32, rec(20, 1)), 32, ""},
		"one more":                                 {times(33, rec(20, 1)), 32, attls.FailUnexpectedRecord},
		"as many warnings as may be":               {times(4, rec(21, 1, 90)), 4, ""},
		"one more warning":                         {times(5, rec(21, 1, 90)), 4, attls.FailUnexpectedRecord},
		"an alert in the middle of a message":      {append(rec(22, 1, 0, 0, 9), rec(21, 1, 0)...), 0, attls.FailUnexpectedRecord},
		"change_cipher_spec in a message":          {append(rec(22, 1, 0, 0, 9), rec(20, 1)...), 0, attls.FailUnexpectedRecord},
		"the header of a message in two records":   {append(rec(22, 1, 0), rec(22, 0, 1, 'x')...), 1, ""},
		"a message that goes on for too long":      {rec(22, 1, 2, 0, 1), 0, attls.FailLimit},
		"a message and the beginning of one":       {rec(22, 1, 0, 0, 0, 2), 1, ""},
		"messages without content, one behind all": {times(3, rec(22, 14, 0, 0, 0)), 3, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := NewReader(Settings{})
			if len(test.wire) > 0 {
				feed(r, test.wire)
			}
			list, failure := items(r)
			if len(list) != test.items || failure != test.failure {
				t.Errorf("%d items, %q; want %d, %q", len(list), failure, test.items, test.failure)
			}
			if _, again := items(r); again != failure {
				t.Errorf("then %q", again)
			}
		})
	}
}

// TestProtectedRefusals: what no peer may send under a key.
func TestProtectedRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		wire    func(t *testing.T, w *Writer) []byte
		set     Settings
		items   int
		failure attls.Failure
	}{
		"application data": {func(t *testing.T, w *Writer) []byte { return sealed(t, w, []byte{'x', 23}) }, Settings{}, 1, ""},
		"with padding":     {func(t *testing.T, w *Writer) []byte { return sealed(t, w, []byte{'x', 23, 0, 0, 0}) }, Settings{}, 1, ""},
		"with the longest padding": {func(t *testing.T, w *Writer) []byte {
			return sealed(t, w, append([]byte{'x', 23}, make([]byte, 1<<14-1)...))
		}, Settings{}, 1, ""},
		"one octet of padding more": {func(t *testing.T, w *Writer) []byte {
			return sealed(t, w, append([]byte{'x', 23}, make([]byte, 1<<14)...))
		}, Settings{}, 0, attls.FailRecordOverflow},
		"only padding":                          {func(t *testing.T, w *Writer) []byte { return sealed(t, w, make([]byte, 9)) }, Settings{}, 0, attls.FailUnexpectedRecord},
		"nothing at all":                        {func(t *testing.T, w *Writer) []byte { return sealed(t, w, nil) }, Settings{}, 0, attls.FailUnexpectedRecord},
		"change_cipher_spec under protection":   {func(t *testing.T, w *Writer) []byte { return sealed(t, w, []byte{1, 20}) }, Settings{}, 0, attls.FailUnexpectedRecord},
		"an unknown type inside":                {func(t *testing.T, w *Writer) []byte { return sealed(t, w, []byte{1, 99}) }, Settings{}, 0, attls.FailUnexpectedRecord},
		"an empty handshake record":             {func(t *testing.T, w *Writer) []byte { return sealed(t, w, []byte{22}) }, Settings{}, 0, attls.FailUnexpectedRecord},
		"an empty alert":                        {func(t *testing.T, w *Writer) []byte { return sealed(t, w, []byte{21}) }, Settings{}, 0, attls.FailUnexpectedRecord},
		"change_cipher_spec without protection": {func(t *testing.T, w *Writer) []byte { return []byte{20, 3, 3, 0, 1, 1} }, Settings{}, 1, ""},
		"a handshake record without protection": {func(t *testing.T, w *Writer) []byte { return []byte{22, 3, 3, 0, 4, 24, 0, 0, 0} }, Settings{}, 0, attls.FailUnexpectedRecord},
		"an alert without protection":           {func(t *testing.T, w *Writer) []byte { return []byte{21, 3, 3, 0, 2, 2, 40} }, Settings{}, 0, attls.FailUnexpectedRecord},
		"a record that is changed": {func(t *testing.T, w *Writer) []byte {
			b := sealed(t, w, []byte{'x', 23})
			b[len(b)-1] ^= 1
			return b
		}, Settings{}, 0, attls.FailBadRecordMAC},
		"a header that is changed": {func(t *testing.T, w *Writer) []byte {
			b := sealed(t, w, []byte{'x', 23})
			b[2] = 1
			return b
		}, Settings{}, 0, attls.FailBadRecordMAC},
		"a record that is shorter than its tag": {func(t *testing.T, w *Writer) []byte { return []byte{23, 3, 3, 0, 3, 1, 2, 3} }, Settings{}, 0, attls.FailBadRecordMAC},
		"a record that comes twice": {func(t *testing.T, w *Writer) []byte {
			b := sealed(t, w, []byte{'x', 23})
			return append(bytes.Clone(b), b...)
		}, Settings{}, 1, attls.FailBadRecordMAC},
		"a record that comes too early": {func(t *testing.T, w *Writer) []byte {
			sealed(t, w, []byte{'x', 23})
			return sealed(t, w, []byte{'y', 23})
		}, Settings{}, 0, attls.FailBadRecordMAC},
		"the content that record_size_limit allows": {func(t *testing.T, w *Writer) []byte { return sealed(t, w, append(make([]byte, 63), 23)) }, Settings{MaxRecord: 63}, 1, ""},
		"one octet more": {func(t *testing.T, w *Writer) []byte { return sealed(t, w, append(make([]byte, 64), 23)) }, Settings{MaxRecord: 63}, 0, attls.FailRecordOverflow},
		"and padding counts": {func(t *testing.T, w *Writer) []byte {
			return sealed(t, w, append([]byte{'x', 23}, make([]byte, 63)...))
		}, Settings{MaxRecord: 63}, 0, attls.FailRecordOverflow},
		"as many empty records as may be": {func(t *testing.T, w *Writer) (b []byte) {
			for range 32 {
				b = append(b, sealed(t, w, []byte{23})...)
			}
			return b
		}, Settings{}, 32, ""},
		"one more": {func(t *testing.T, w *Writer) (b []byte) {
			for range 33 {
				b = append(b, sealed(t, w, []byte{23})...)
			}
			return b
		}, Settings{}, 32, attls.FailUnexpectedRecord},
		"empty records with data between": {func(t *testing.T, w *Writer) (b []byte) {
			for range 20 {
				b = append(append(b, sealed(t, w, []byte{23})...), sealed(t, w, []byte{'x', 23})...)
			}
			return b
		}, Settings{MaxEmptyRecords: 1}, 40, ""},
		"warnings with data between": {func(t *testing.T, w *Writer) (b []byte) {
			for range 20 {
				b = append(append(b, sealed(t, w, []byte{1, 90, 21})...), sealed(t, w, []byte{'x', 23})...)
			}
			return b
		}, Settings{MaxWarningAlerts: 1}, 40, ""},
		"data in the middle of a message": {func(t *testing.T, w *Writer) []byte {
			return append(sealed(t, w, []byte{4, 0, 0, 9, 22}), sealed(t, w, []byte{'x', 23})...)
		}, Settings{}, 0, attls.FailUnexpectedRecord},
		"a message above the limit that was set": {func(t *testing.T, w *Writer) []byte { return sealed(t, w, []byte{4, 0, 0, 9, 22}) }, Settings{MaxHandshakeMessage: 12}, 0, attls.FailLimit},
	} {
		t.Run(name, func(t *testing.T) {
			w, r := pair(t, WriterSettings{}, test.set, 1)
			feed(r, test.wire(t, w))
			if list, failure := items(r); len(list) != test.items || failure != test.failure {
				t.Errorf("%d items, %q; want %d, %q", len(list), failure, test.items, test.failure)
			}
		})
	}
}

// TestKeyChange: a key changes between records and between messages, never inside.
func TestKeyChange(t *testing.T) {
	message := []byte{20, 0, 0, 1, 'f'}
	aead, iv := keyOf(t, anySuite, 2)
	for name, test := range map[string]struct {
		before  []byte // in the last record under the old key
		failure attls.Failure
	}{
		"after a message":               {message, ""},
		"inside a message":              {message[:4], attls.FailMessageBoundary},
		"before one in the same record": {append(bytes.Clone(message), message...), attls.FailMessageBoundary},
		"before the header of one":      {append(bytes.Clone(message), 20), attls.FailMessageBoundary},
	} {
		t.Run(name, func(t *testing.T) {
			w, r := pair(t, WriterSettings{}, Settings{}, 1)
			w.Handshake(test.before)
			w.SetKey(aead, iv) // which sends what is pending under the old key
			w.Write(attls.ContentTypeApplicationData, []byte("data"))
			list := records(t, w.Output())
			feed(r, list[0])
			if _, _, err := r.Next(); err != nil {
				t.Fatal(err)
			}
			if got := failureOf(r.SetKey(aead, iv)); got != test.failure {
				t.Fatalf("%q, not %q", got, test.failure)
			}
			if test.failure != "" {
				return
			}
			feed(r, list[1])
			if list, failure := items(r); len(list) != 1 || failure != "" || string(list[0].Data) != "data" || w.Sequence() != 1 || r.Sequence() != 1 {
				t.Errorf("%v, %q, sequence numbers %d and %d", list, failure, w.Sequence(), r.Sequence())
			}
		})
	}
}

// TestClearKey: after early data, a second ClientHello goes without protection.
func TestClearKey(t *testing.T) {
	w, _ := pair(t, WriterSettings{}, Settings{}, 1)
	w.Write(attls.ContentTypeApplicationData, []byte("early"))
	w.ClearKey()
	w.Handshake([]byte{1, 0, 0, 0})
	w.Flush()
	if list := records(t, w.Output()); len(list) != 2 || list[0][0] != 23 || !bytes.Equal(list[1], []byte{22, 3, 3, 0, 4, 1, 0, 0, 0}) {
		t.Errorf("%x", list)
	}
}

// TestPlaintextAlerts: an alert without protection counts only where it was allowed, and
// until the first record opens.
func TestPlaintextAlerts(t *testing.T) {
	alert := []byte{21, 3, 3, 0, 2, 2, 40}
	for name, test := range map[string]struct {
		allowed, opened bool
		failure         attls.Failure
	}{
		"allowed":                          {true, false, ""},
		"not allowed":                      {false, false, attls.FailUnexpectedRecord},
		"allowed, and a record has opened": {true, true, attls.FailUnexpectedRecord},
	} {
		t.Run(name, func(t *testing.T) {
			w, r := pair(t, WriterSettings{}, Settings{}, 1)
			r.AcceptPlaintextAlerts(test.allowed)
			if test.opened {
				feed(r, sealed(t, w, []byte{'x', 23}))
				items(r)
			}
			feed(r, alert)
			if list, failure := items(r); failure != test.failure || failure == "" && (len(list) != 1 || list[0].Protected) {
				t.Errorf("%v, %q", list, failure)
			}
		})
	}
}

// TestRetainKey: under the key before, only an alert is accepted, and only until a record
// opens under the present one.
func TestRetainKey(t *testing.T) {
	for name, test := range map[string]struct {
		retain, opened bool
		inner          []byte
		failure        attls.Failure
	}{
		"an alert":                              {true, false, []byte{2, 40, 21}, ""},
		"an alert with padding":                 {true, false, []byte{2, 40, 21, 0, 0}, ""},
		"data":                                  {true, false, []byte{'x', 23}, attls.FailUnexpectedRecord},
		"only padding":                          {true, false, []byte{0}, attls.FailUnexpectedRecord},
		"an alert, and nobody asked for it":     {false, false, []byte{2, 40, 21}, attls.FailBadRecordMAC},
		"an alert, and a record has opened yet": {true, true, []byte{2, 40, 21}, attls.FailBadRecordMAC},
	} {
		t.Run(name, func(t *testing.T) {
			old, r := pair(t, WriterSettings{}, Settings{}, 1)
			if test.retain {
				r.RetainKey()
			}
			aead, iv := keyOf(t, anySuite, 2)
			new := NewWriter(WriterSettings{})
			new.SetKey(aead, iv)
			r.SetKey(aead, iv)
			if test.opened {
				feed(r, sealed(t, new, []byte{'x', 23}))
				items(r)
			}
			feed(r, sealed(t, old, test.inner))
			list, failure := items(r)
			if failure != test.failure || failure == "" && (len(list) != 1 || !bytes.Equal(list[0].Data, []byte{2, 40})) {
				t.Errorf("%v, %q", list, failure)
			}
		})
	}
}

// TestSkippingEnds: skipping is over with the first record that opens.
func TestSkippingEnds(t *testing.T) {
	other, r := pair(t, WriterSettings{}, Settings{}, 1)
	aead, iv := keyOf(t, anySuite, 2)
	w := NewWriter(WriterSettings{})
	w.SetKey(aead, iv)
	r.SetKey(aead, iv)
	r.SkipUndecryptable(1000)
	feed(r, sealed(t, other, []byte{'e', 23}))
	feed(r, sealed(t, w, []byte{'x', 23}))
	if list, failure := items(r); len(list) != 1 || failure != "" || string(list[0].Data) != "x" {
		t.Fatalf("%v, %q", list, failure)
	}
	feed(r, sealed(t, other, []byte{'e', 23}))
	if _, failure := items(r); failure != attls.FailBadRecordMAC {
		t.Errorf("a record that does not open is passed over later: %q", failure)
	}
	_, r = pair(t, WriterSettings{}, Settings{}, 2)
	r.SkipUndecryptable(1000)
	r.SkipUndecryptable(0)
	feed(r, sealed(t, other, []byte{'e', 23}))
	if _, failure := items(r); failure != attls.FailBadRecordMAC {
		t.Errorf("a record that does not open is passed over after the end: %q", failure)
	}
}

// TestReaderTap: what a tap drops, changes and inserts.
func TestReaderTap(t *testing.T) {
	const data = attls.ContentTypeApplicationData
	for name, test := range map[string]struct {
		plan Plan
		want string // each item, and what follows
	}{
		"nothing":               {Plan{}, "one.two."},
		"another payload":       {Plan{Replace: []byte("eins")}, "eins.two."},
		"dropped":               {Plan{Drop: true}, "two."},
		"before and after":      {Plan{Before: []Raw{{Type: data, Payload: []byte("0")}}, After: []Raw{{Type: data, Payload: []byte("1½")}}}, "0.one.1½.two."},
		"in place of":           {Plan{Drop: true, After: []Raw{{Type: data, Payload: []byte("a")}, {Type: data, Payload: []byte("b")}}}, "a.b.two."},
		"before a changed one":  {Plan{Before: []Raw{{Type: data, Payload: []byte("0")}}, Replace: []byte("eins")}, "0.eins.two."},
		"padding says nothing":  {Plan{Padding: 7}, "one.two."},
		"an empty one in place": {Plan{Replace: []byte{}}, ".two."},
	} {
		t.Run(name, func(t *testing.T) {
			w, r := pair(t, WriterSettings{}, Settings{}, 1)
			var seen []Raw
			r.OnRecord(func(raw *Raw, p *Plan) {
				if seen = append(seen, *raw); len(seen) == 1 {
					*p = test.plan
				}
			})
			w.Write(data, []byte("one"))
			w.Write(data, []byte("two"))
			move(w, r)
			list, failure := items(r)
			got := ""
			for _, item := range list {
				got += string(item.Data) + "."
			}
			if got != test.want || failure != "" {
				t.Errorf("%q, %q; want %q", got, failure, test.want)
			}
			if len(seen) != 2 || seen[0].Sequence != 0 || seen[1].Sequence != 1 || !seen[0].Protected || seen[1].Type != data {
				t.Errorf("the tap saw %+v", seen)
			}
		})
	}
}

// TestWriterTap: what a tap makes of a record that is sent.
func TestWriterTap(t *testing.T) {
	const data = attls.ContentTypeApplicationData
	for name, test := range map[string]struct {
		plan    Plan
		want    string
		lengths []int // of the fragments
	}{
		"nothing":         {Plan{}, "one.two.", []int{3 + 17, 3 + 17}},
		"another payload": {Plan{Replace: []byte("eins")}, "eins.two.", []int{4 + 17, 3 + 17}},
		"dropped":         {Plan{Drop: true}, "two.", []int{3 + 17}},
		"before and after": {Plan{Before: []Raw{{Type: data, Payload: []byte("0")}}, After: []Raw{{Type: data, Payload: []byte("1+")}}},
			"0.one.1+.two.", []int{1 + 17, 3 + 17, 2 + 17, 3 + 17}},
		"padding":          {Plan{Padding: 100}, "one.two.", []int{3 + 100 + 17, 3 + 17}},
		"too much padding": {Plan{Padding: 1 << 20}, "one.two.", []int{1<<14 + 17, 3 + 17}},
	} {
		t.Run(name, func(t *testing.T) {
			w, r := pair(t, WriterSettings{}, Settings{}, 1)
			var seen []Raw
			w.OnRecord(func(raw *Raw, p *Plan) {
				if seen = append(seen, *raw); len(seen) == 1 {
					*p = test.plan
				}
			})
			w.Write(data, []byte("one"))
			w.Write(data, []byte("two"))
			var lengths []int
			for _, rec := range records(t, w.Output()) {
				lengths = append(lengths, len(rec)-headerLen)
			}
			move(w, r)
			list, failure := items(r)
			got := ""
			for _, item := range list {
				got += string(item.Data) + "."
			}
			if got != test.want || failure != "" || fmt.Sprint(lengths) != fmt.Sprint(test.lengths) {
				t.Errorf("%q, %q, fragments of %v; want %q, %v", got, failure, lengths, test.want, test.lengths)
			}
			if len(seen) != 2 || !seen[0].Protected || seen[0].Type != data || string(seen[1].Payload) != "two" {
				t.Errorf("the tap saw %+v", seen)
			}
		})
	}
}

// TestMessagesInRecords: how handshake messages share records, by the settings.
func TestMessagesInRecords(t *testing.T) {
	message := func(n int) []byte { return append([]byte{11, 0, byte(n >> 8), byte(n)}, make([]byte, n)...) }
	for name, test := range map[string]struct {
		set      WriterSettings
		messages []int // octets behind the header
		records  []int // octets of each fragment
		failure  attls.Failure
	}{
		"as many as fit":                         {WriterSettings{}, []int{6, 16, 26}, []int{60}, ""},
		"one in each record":                     {WriterSettings{MessagesPerRecord: 1}, []int{6, 16, 26}, []int{10, 20, 30}, ""},
		"two in each record":                     {WriterSettings{MessagesPerRecord: 2}, []int{6, 16, 26}, []int{30, 30}, ""},
		"cut where a record is full":             {WriterSettings{MaxPlaintext: 25}, []int{6, 16, 26}, []int{25, 25, 10}, ""},
		"never cut, so that records begin anew":  {WriterSettings{MaxPlaintext: 35, NeverFragment: true}, []int{6, 16, 26}, []int{30, 30}, ""},
		"never cut, and one that does not fit":   {WriterSettings{MaxPlaintext: 25, NeverFragment: true}, []int{6, 26}, []int{10}, attls.FailTooLarge},
		"never cut, and one that fits by a hair": {WriterSettings{MaxPlaintext: 30, NeverFragment: true}, []int{6, 26}, []int{10, 30}, ""},
		"never cut, above what any record holds": {WriterSettings{NeverFragment: true}, []int{1 << 14}, nil, attls.FailTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			w := NewWriter(test.set)
			var failure attls.Failure
			for _, n := range test.messages {
				if f := failureOf(w.Handshake(message(n))); f != "" {
					failure = f
				}
			}
			w.Flush()
			w.Flush() // has nothing to do
			var got []int
			for _, rec := range records(t, w.Output()) {
				got = append(got, len(rec)-headerLen)
			}
			if failure != test.failure || fmt.Sprint(got) != fmt.Sprint(test.records) {
				t.Errorf("records of %v, %q; want %v, %q", got, failure, test.records, test.failure)
			}
		})
	}
}

// TestSettingsChange: limits that are known later hold from then on.
func TestSettingsChange(t *testing.T) {
	w, r := pair(t, WriterSettings{}, Settings{}, 1)
	w.SetMaxPlaintext(1 << 20) // no more than a record holds
	w.Write(attls.ContentTypeApplicationData, make([]byte, 1<<14+1))
	w.SetMaxPlaintext(100)
	w.Write(attls.ContentTypeApplicationData, make([]byte, 101))
	r.SetMaxRecord(100)
	var got []int
	for _, rec := range records(t, w.Output()) {
		got = append(got, len(rec)-headerLen-17)
	}
	if fmt.Sprint(got) != fmt.Sprint([]int{1 << 14, 1, 100, 1}) {
		t.Errorf("records of %v", got)
	}
	move(w, r)
	if _, failure := items(r); failure != attls.FailRecordOverflow {
		t.Errorf("a record above the limit: %q", failure)
	}
}

// TestFirstVersion: only the very first record has the older version.
func TestFirstVersion(t *testing.T) {
	w := NewWriter(WriterSettings{MaxPlaintext: 4})
	w.FirstVersion()
	w.Handshake([]byte{1, 0, 0, 4, 1, 2, 3, 4})
	w.Flush()
	if list := records(t, w.Output()); len(list) != 2 || !bytes.Equal(list[0][:3], []byte{22, 3, 1}) || !bytes.Equal(list[1][:3], []byte{22, 3, 3}) {
		t.Errorf("%x", list)
	}
}

// TestWrote: what was sent is not offered again.
func TestWrote(t *testing.T) {
	w := NewWriter(WriterSettings{})
	w.Write(attls.ContentTypeAlert, []byte{1, 0})
	w.Wrote(3)
	w.Write(attls.ContentTypeAlert, []byte{1, 90})
	if want := []byte{0, 2, 1, 0, 21, 3, 3, 0, 2, 1, 90}; !bytes.Equal(w.Output(), want) {
		t.Errorf("%x", w.Output())
	}
	w.Wrote(len(w.Output()))
	if len(w.Output()) != 0 {
		t.Errorf("%x is left", w.Output())
	}
	for name, call := range map[string]func(){
		"Wrote of more than there is":  func() { w.Wrote(1) },
		"Wrote of less than nothing":   func() { w.Wrote(-1) },
		"Commit of more than there is": func() { r := NewReader(Settings{}); r.Commit(len(r.Reserve(1)) + 1) },
		"Commit of less than nothing":  func() { NewReader(Settings{}).Commit(-1) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s passes", name)
				}
			}()
			call()
		}()
	}
}

// TestExhausted: no sequence number is used twice.
func TestExhausted(t *testing.T) {
	w, r := pair(t, WriterSettings{}, Settings{}, 1)
	w.key.seq, r.key.seq = 1<<64-1, 1<<64-1
	if failure := failureOf(w.Write(attls.ContentTypeApplicationData, []byte("x"))); failure != attls.FailSequenceExhausted {
		t.Errorf("written: %q", failure)
	}
	feed(r, sealed(t, w, []byte{'x', 23}))
	if _, failure := items(r); failure != attls.FailBadRecordMAC {
		t.Errorf("read: %q", failure)
	}
}

// TestClones: a copy goes its own way from the middle of a message, and no tap follows it.
func TestClones(t *testing.T) {
	w, r := pair(t, WriterSettings{}, Settings{}, 1)
	taps := 0
	w.OnRecord(func(*Raw, *Plan) { taps++ })
	r.OnRecord(func(*Raw, *Plan) { taps++ })
	feed(r, sealed(t, w, []byte{11, 0, 0, 4, 'a', 22}))
	if list, failure := items(r); len(list) != 0 || failure != "" || !r.InMessage() || r.Buffered() != 5 {
		t.Fatalf("%v, %q", list, failure)
	}
	w.Handshake([]byte{20, 0, 0, 0})
	taps = 0
	w2, r2 := w.Clone(), r.Clone()
	w2.Handshake([]byte{24, 0, 0, 1, 0})
	w2.Flush()
	w.Flush()
	if len(w.Output()) != 5+4+17 || len(w2.Output()) != 5+9+17 || taps != 1 {
		t.Errorf("%d and %d octets, seen %d times", len(w.Output()), len(w2.Output()), taps)
	}
	end := NewWriter(WriterSettings{})
	end.key = w.key
	end.key.seq = 1
	rest := sealed(t, end, []byte{'b', 'c', 'd', 22})
	for i, reader := range []*Reader{r, r2} {
		feed(reader, bytes.Clone(rest))
		if list, failure := items(reader); len(list) != 1 || failure != "" || string(list[0].Data[4:]) != "abcd" {
			t.Errorf("%d: %v, %q", i, list, failure)
		}
	}
	if taps != 2 {
		t.Errorf("the taps were called %d times", taps)
	}
}

// TestRoomIsGivenBack: after a large burst a Reader that holds nothing keeps little.
func TestRoomIsGivenBack(t *testing.T) {
	r := NewReader(Settings{})
	if n := len(r.Reserve(1 << 20)); n < 1<<20 {
		t.Fatalf("%d octets of room", n)
	}
	if n := len(r.Reserve(1 << 12)); n < 1<<12 || n >= 1<<20 {
		t.Errorf("%d octets of room are kept", n)
	}
	if n := len(r.Reserve(0)); n < 1 {
		t.Errorf("%d octets of room", n)
	}
}
