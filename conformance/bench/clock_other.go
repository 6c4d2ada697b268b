//go:build !unix

package bench

import "time"

// processorTime stands for the time of the process's processors, which this
// system gives in no common way.
func processorTime() time.Duration { return time.Since(start) }
