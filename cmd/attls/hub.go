package main

import (
	"bytes"
	"io"
	"slices"
	"sync"
	"time"
)

const (
	// queued is how many pieces of standard input wait for one connection.
	queued = 16
	// patience is how long the other connections wait for one that does not read.
	patience = 2 * time.Second
)

// hub hands standard input to every connection that is open. While there is none
// the input waits, so that what is piped in reaches the first. A connection that
// does not read while others do is ended: it cannot get a part of the input.
type hub struct {
	mu       sync.Mutex
	opened   sync.Cond
	members  []*member
	joined   chan struct{} // closed and replaced when a connection is added
	patience time.Duration
}

// member is a connection that standard input goes to.
type member struct {
	to      io.Writer
	give    func() // ends the connection, which fell behind
	input   chan []byte
	leaving chan struct{} // closed when nothing more is taken
	drained chan struct{} // closed when everything that was taken is written
}

func newHub() *hub {
	h := &hub{patience: patience, joined: make(chan struct{})}
	h.opened.L = &h.mu
	return h
}

// add lets input go to a connection; behind is called when it does not keep up.
func (h *hub) add(to io.Writer, behind func()) *member {
	m := &member{to: to, give: behind, input: make(chan []byte, queued), leaving: make(chan struct{}),
		drained: make(chan struct{})}
	go m.write()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.members = append(h.members, m)
	close(h.joined)
	h.joined = make(chan struct{})
	h.opened.Signal()
	return m
}

// remove lets no more input go to a connection, and waits until what it took is
// written or has failed.
func (h *hub) remove(m *member) {
	h.mu.Lock()
	h.members = slices.DeleteFunc(h.members, func(o *member) bool { return o == m })
	h.mu.Unlock()
	close(m.leaving)
	<-m.drained
}

// write hands on what comes; a connection that fails reports it itself.
func (m *member) write() {
	defer close(m.drained)
	for {
		select {
		case b := <-m.input:
			_, _ = m.to.Write(b)
		case <-m.leaving:
			for {
				select {
				case b := <-m.input:
					_, _ = m.to.Write(b)
				default:
					return
				}
			}
		}
	}
}

func (h *hub) Write(b []byte) (int, error) {
	h.mu.Lock()
	for len(h.members) == 0 {
		h.opened.Wait()
	}
	members, joined := slices.Clone(h.members), h.joined
	h.mu.Unlock()
	piece := bytes.Clone(b)
	var full []*member
	for _, m := range members {
		select {
		case m.input <- piece:
		case <-m.leaving:
		default:
			full = append(full, m)
		}
	}
	if len(full) > 0 {
		h.wait(full, piece, len(members) > 1, joined)
	}
	return len(b), nil
}

// wait gives a piece to connections that have no room for it. As soon as there are
// others, which wait meanwhile, its patience is bounded.
func (h *hub) wait(full []*member, piece []byte, others bool, joined chan struct{}) {
	timer := time.NewTimer(h.patience)
	defer timer.Stop()
	over := timer.C
	if !others {
		timer.Stop()
		over = nil
	}
	for len(full) > 0 {
		m := full[0]
		select {
		case m.input <- piece:
		case <-m.leaving:
		case <-joined:
			joined = nil
			if over == nil {
				timer.Reset(h.patience)
				over = timer.C
			}
			continue
		case <-over:
			ended := make(chan time.Time)
			close(ended)
			over = ended // for the others, too
			m.give()
		}
		full = full[1:]
	}
}
