package learn

// watch sees when a peer on this machine has answered: when it has read what it was sent, the
// other end has all that it wrote, and the processes that hold its socket sleep. A peer that is slow, or
// waits for the processor, runs or is runnable. One that sleeps for a while, or waits
// for another process, seems to have answered.
type watch interface {
	// idle reports whether a peer that was sent so many octets has answered, where so many were
	// received. It is not known of a process that cannot be seen, nor of this one.
	idle(sent, received uint64) (idle, known bool)
	close()
}
