package handshake

import (
	"bytes"
	"crypto/sha256"
	"testing"

	"attls"
	"attls/extensions/profile/binder"
	"attls/internal/provider"
)

// TestTranscriptVariants: a binder may read a HelloRetryRequest in four ways;
// without one they agree, and a fork goes its own way.
func TestTranscriptVariants(t *testing.T) {
	suite, ok := provider.Real().Suite(attls.TLS_AES_128_GCM_SHA256)
	if !ok {
		t.Fatal("no suite")
	}
	sum := func(parts ...string) []byte {
		h := sha256.New()
		for _, p := range parts {
			h.Write([]byte(p))
		}
		return h.Sum(nil)
	}
	hash := "\xfe\x00\x00\x20" + string(sum("hello1"))
	for _, test := range []struct {
		retry bool
		want  [4][]byte // by variant
	}{
		{false, [4][]byte{sum("hello1", "server"), sum("hello1", "server"), sum("hello1", "server"), sum("hello1", "server")}},
		{true, [4][]byte{
			binder.VariantRFC8446: sum(hash, "retry", "hello2", "server"),
			binder.VariantCH1SH:   sum("hello1", "server"),
			binder.VariantAsSent:  sum("hello1", "retry", "hello2", "server"),
			binder.VariantCH2SH:   sum("hello2", "server")}},
	} {
		tr := transcript{checkpoints: &checkpoints{}}
		tr.add(binder.PointCH, []byte("hello1"))
		tr.start(suite)
		if test.retry {
			tr.retry(tr.first)
			tr.add(binder.PointNone, []byte("retry"))
			tr.add(binder.PointCH, []byte("hello2"))
		}
		tr.add(binder.PointSH, []byte("server"))
		fork := tr.clone()
		tr.add(binder.PointEE, []byte("more"))
		for _, c := range []*transcript{&tr, &fork} {
			for v, want := range test.want {
				got, ok := c.over(binder.Range{End: binder.PointSH, Variant: binder.Variant(v)})
				if !ok || !bytes.Equal(got, want) {
					t.Errorf("retry %v, variant %d: %x, want %x", test.retry, v, got, want)
				}
			}
		}
	}
}
