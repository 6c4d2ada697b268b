package exported_test

import (
	"io"
	"runtime"
	"testing"
	"time"

	"attls"
	"attls/handshake/exported"
)

// TestManyReattestations: of a thousand attestations on one connection neither end keeps more
// than the latest outcomes and the digests of contexts, whoever asks.
func TestManyReattestations(t *testing.T) {
	n := 1000
	if testing.Short() {
		n = 200
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for _, relying := range attls.Roles() {
		t.Run(relying.String()+" asks", func(t *testing.T) {
			attest := [2]bool{}
			attest[relying.Peer()] = true
			e := connect(t, load(t, "seat-expat-04", nil), attest, nil)
			var before, after uint64
			check(t, e.both(func(role attls.Role, c *exported.Conn) error {
				if err := c.SetDeadline(time.Time{}); err != nil { // a busy machine needs what it needs
					return err
				}
				if role != relying {
					_, err := io.ReadFull(c, make([]byte, 1)) // it answers meanwhile
					return err
				}
				for i := range n + 100 {
					if i == 100 { // the outcomes that are kept are there
						before = heap()
					}
					if _, err := c.Reattest(t.Context()); err != nil {
						return err
					}
				}
				after = heap()
				_, err := c.Write([]byte{1})
				return err
			}))
			runtime.KeepAlive(e)
			if most := uint64(64<<10 + 2*32*n); after > before+most { // of each end, a table of digests
				t.Errorf("the heap has grown from %d to %d octets", before, after)
			}
			if n := len(e.conns[relying].Outcomes()); n != 64 {
				t.Errorf("%d outcomes are kept", n)
			}
		})
	}
}
