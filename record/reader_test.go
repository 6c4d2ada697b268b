package record

import (
	"bytes"
	"math"
	"testing"

	"attls"
	"attls/internal/provider"
)

// feed puts octets into a Reader as one read would.
func feed(r *Reader, b []byte) {
	copy(r.Reserve(len(b)), b)
	r.Commit(len(b))
}

// TestMessagesOutliveReserve takes messages that share a record one at a time,
// with more input between them, as an engine does that waits for an answer.
func TestMessagesOutliveReserve(t *testing.T) {
	messages := [][]byte{{11, 0, 0, 2, 'a', 'b'}, {15, 0, 0, 1, 'c'}, {20, 0, 0, 3, 'd', 'e', 'f'}}
	all := bytes.Join(messages, nil)
	for _, cut := range []int{len(all), 8, 3, 1} { // octets of each record
		w := NewWriter(WriterSettings{MaxPlaintext: cut})
		if err := w.Handshake(all); err != nil {
			t.Fatal(err)
		}
		w.Flush()
		r := NewReader(Settings{})
		feed(r, w.Output())
		for i, want := range messages {
			item, ok, err := r.Next()
			if err != nil || !ok || item.Type != attls.ContentTypeHandshake || !bytes.Equal(item.Data, want) {
				t.Fatalf("records of %d octets, message %d: %x, %v, %v; want %x", cut, i, item.Data, ok, err, want)
			}
			r.Reserve(1 << 13)
		}
		if item, ok, err := r.Next(); ok || err != nil || r.Pending() {
			t.Errorf("records of %d octets: after the last message %v, %v, %v, pending %v", cut, item, ok, err, r.Pending())
		}
	}
}

// TestSkippedRecords counts what is passed over as early data that a server
// rejects: content, not protection, and records without content too.
func TestSkippedRecords(t *testing.T) {
	suite, _ := provider.Real().Suite(attls.TLS_AES_128_GCM_SHA256)
	with := func(r *Reader) *Reader {
		aead, iv, err := suite.KDF().TrafficKey(make([]byte, 32), "tls13 ")
		if err != nil {
			t.Fatal(err)
		}
		r.SetKey(aead, iv)
		return r
	}
	const tag = 17 // with the content type
	for name, c := range map[string]struct {
		allowed int
		records []int // octets of each TLSCiphertext
		times   int
		failure attls.Failure
	}{
		"as much as is allowed, in one record":               {16384, []int{16384 + tag}, 1, ""},
		"one octet more":                                     {16384, []int{16384 + tag, 1 + tag}, 1, attls.FailEarlyDataLimit},
		"more than a record, in full records":                {65536, []int{16384 + tag}, 4, ""},
		"in records of one octet":                            {16384, []int{1 + tag}, 16384, ""},
		"one record of one octet too many":                   {16384, []int{1 + tag}, 16385, attls.FailEarlyDataLimit},
		"in records of one octet under AES-CCM-8":            {16384, []int{1 + 9}, 16384, ""},
		"some records without content":                       {1, []int{tag}, 32, ""},
		"some records without content, and all that may be":  {16384, []int{tag, 512 + tag}, 32, ""},
		"records without content and no end":                 {16384, []int{tag}, 32 + 16384 + 1, attls.FailEarlyDataLimit},
		"records without content, and the limit is the most": {math.MaxUint32, []int{tag}, 50_000, ""},
		"a full record with all the expansion that may be":   {1 << 20, []int{16384 + 256}, 1, ""},
		"a record above what may be":                         {1 << 20, []int{16384 + 257}, 1, attls.FailRecordOverflow},
		"an empty record":                                    {16384, []int{0}, 1, attls.FailUnexpectedRecord},
		"a record that is shorter than any tag":              {16384, []int{4}, 1, ""},
		"such records and no end":                            {16384, []int{4}, 32 + 16384 + 1, attls.FailEarlyDataLimit},
	} {
		t.Run(name, func(t *testing.T) {
			for phase, r := range map[string]*Reader{"before there is a key": NewReader(Settings{}), "under a key": with(NewReader(Settings{}))} {
				want := c.failure
				if phase == "under a key" && want == attls.FailUnexpectedRecord {
					want = attls.FailBadRecordMAC
				}
				r.SkipUndecryptable(c.allowed)
				var err *attls.Error
				for range c.times {
					for _, n := range c.records {
						b := make([]byte, 5+n)
						header(b, attls.ContentTypeApplicationData, attls.VersionTLS12, n)
						feed(r, b)
						if _, ok, e := r.Next(); ok {
							t.Fatalf("%s: a record of %d octets is taken", phase, n)
						} else if e != nil && err == nil {
							err = e
						}
					}
				}
				if got := failureOf(err); got != want {
					t.Errorf("%s: %v, want %q", phase, err, want)
				}
			}
		})
	}
}

func failureOf(err *attls.Error) attls.Failure {
	if err == nil {
		return ""
	}
	return err.Failure
}
