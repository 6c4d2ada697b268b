package handshake

import (
	"slices"

	"attls"
)

type waiting struct {
	wait     *Wait
	gate     gate
	slot     int
	auth     *authAnswer    // of a post-handshake authentication
	peer     *authenticated // whom a verdict is about
	after    bool           // of something after the handshake
	update   bool           // of an attestation with an extended key update
	answered bool
	answer   Answer
}

// ask registers a wait and tells of it.
func (e *Engine) ask(g gate, w *Wait) *waiting {
	e.nextID++
	w.ID = e.nextID
	switch g {
	case gateNow:
		w.Blocks = BlocksFlight
	case gateCertificateVerify:
		w.Blocks, w.Due = BlocksHandshake, attls.KindCertificateVerify
	case gateFinished:
		w.Blocks, w.Due = BlocksHandshake, attls.KindFinished
	case gateData:
		w.Blocks = BlocksData
	case gateNever:
		w.Blocks = BlocksNothing
	}
	e.waits = append(e.waits, waiting{wait: w, gate: g, peer: e.peer})
	e.emit(Event{Kind: EventWait, Wait: w})
	return &e.waits[len(e.waits)-1]
}

// held reports whether an open wait must be answered before the gate is passed.
func (e *Engine) held(g gate) bool {
	for i := range e.waits {
		w := &e.waits[i]
		if !w.answered && g >= w.gate {
			return true
		}
	}
	return false
}

// Waits lists the waits that are not answered yet.
func (e *Engine) Waits() []*Wait {
	var open []*Wait
	for i := range e.waits {
		if !e.waits[i].answered {
			open = append(open, e.waits[i].wait)
		}
	}
	return open
}

// take removes and returns the answered wait of a kind, or nil; it is valid
// until the next one is taken.
func (e *Engine) take(k WaitKind) *waiting {
	for i := range e.waits {
		if w := &e.waits[i]; w.answered && w.wait.Kind == k {
			e.taken = *w
			e.waits = slices.Delete(e.waits, i, i+1)
			return &e.taken
		}
	}
	return nil
}

func (e *Engine) find(id WaitID) *waiting {
	for i := range e.waits {
		if e.waits[i].wait.ID == id && !e.waits[i].answered {
			return &e.waits[i]
		}
	}
	return nil
}

// drop forgets a wait.
func (e *Engine) drop(id WaitID) {
	e.waits = slices.DeleteFunc(e.waits, func(w waiting) bool { return w.wait.ID == id })
}
