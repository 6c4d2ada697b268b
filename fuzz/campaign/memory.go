package campaign

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// collecting counts the campaigns that run, for which garbage is collected less often.
var collecting struct {
	sync.Mutex
	campaigns, usual int
	chosen           bool // by somebody else
}

const (
	// mostGarbage is how much garbage there may be with little in use, in hundredths of that.
	mostGarbage = 400
	// leastGarbage is what Go does by itself.
	leastGarbage = 100
	// garbageLimit bounds the garbage in octets as long as leastGarbage allows it.
	garbageLimit = 1 << 30
)

// collectLess lets the heap grow to five times of what is in use before garbage is collected, and
// not twice: a campaign has little in use, and makes much garbage. What it returns undoes that. GOGC
// in the environment is obeyed.
func collectLess() func() {
	c := &collecting
	c.Lock()
	defer c.Unlock()
	if c.campaigns++; c.campaigns == 1 {
		c.usual = debug.SetGCPercent(mostGarbage)
		if c.chosen = c.usual < 0 || c.usual > mostGarbage || os.Getenv("GOGC") != ""; c.chosen {
			debug.SetGCPercent(c.usual)
		}
	}
	return func() {
		c.Lock()
		defer c.Unlock()
		if c.campaigns--; c.campaigns == 0 {
			debug.SetGCPercent(c.usual)
		}
	}
}

// collectByNeed lets there be less garbage where much is in use, as with many targets and workers.
func collectByNeed(live uint64) {
	c := &collecting
	c.Lock()
	defer c.Unlock()
	if c.campaigns > 0 && !c.chosen {
		debug.SetGCPercent(garbageShare(live))
	}
}

// garbageShare is how much garbage there may be with so many octets in use, in hundredths of them.
func garbageShare(live uint64) int {
	return int(min(mostGarbage, max(leastGarbage, garbageLimit*100/max(live, 1))))
}

// liveHeap is how many octets the last collection of garbage left.
func liveHeap() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	if s[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return s[0].Value.Uint64()
}
