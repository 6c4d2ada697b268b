package bench

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

const testDelay = 10 * time.Millisecond

// inBubble runs a test on both ends of a pipe, on a clock that only waiting moves.
func inBubble(t *testing.T, run func(t *testing.T, a, b net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a, b := DelayedPipe(testDelay)
		run(t, a, b)
		_, _ = a.Close(), b.Close()
	})
}

func mustWrite(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if n, err := c.Write([]byte(text)); n != len(text) || err != nil {
		t.Fatalf("%d octets of %q were written: %v", n, text, err)
	}
}

func mustRead(t *testing.T, c net.Conn, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if _, err := io.ReadFull(c, b); err != nil || string(b) != want {
		t.Fatalf("read %q, %v; want %q", b, err, want)
	}
}

// TestDelayedPipeDelays: what is written arrives after the delay, in order, in both
// directions, and each Write has its own delay.
func TestDelayedPipeDelays(t *testing.T) {
	inBubble(t, func(t *testing.T, a, b net.Conn) {
		began := time.Now()
		took := func(want time.Duration) {
			t.Helper()
			if got := time.Since(began); got != want {
				t.Errorf("%v have passed, not %v", got, want)
			}
		}
		mustWrite(t, a, "one")
		time.Sleep(testDelay / 2)
		mustWrite(t, a, "two")
		took(testDelay / 2)
		mustRead(t, b, "one")
		took(testDelay)
		mustRead(t, b, "two")
		took(testDelay * 3 / 2)
		mustWrite(t, b, "back")
		mustRead(t, a, "back")
		took(testDelay * 5 / 2)
		mustWrite(t, a, "a")
		mustWrite(t, a, "b")
		time.Sleep(testDelay)
		mustRead(t, b, "ab")
		took(testDelay * 7 / 2)
	})
}

// TestDelayedPipeEnds: what was written before Close arrives, then io.EOF, both after the
// delay; a closed end neither reads nor writes, and nobody writes to it.
func TestDelayedPipeEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, a, b net.Conn) {
		began := time.Now()
		mustWrite(t, a, "last")
		if err := errors.Join(a.Close(), a.Close()); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(b); string(got) != "last" || err != nil || time.Since(began) != testDelay {
			t.Errorf("%q, %v after %v", got, err, time.Since(began))
		}
		for name, err := range map[string]error{"read of a closed end": second(a.Read(make([]byte, 1))),
			"write of a closed end": second(a.Write([]byte("x"))), "write to a closed end": second(b.Write([]byte("x")))} {
			if !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	inBubble(t, func(t *testing.T, a, b net.Conn) {
		waiting := make(chan error, 1)
		go func() { _, err := a.Read(make([]byte, 1)); waiting <- err }()
		synctest.Wait()
		a.Close()
		if err := <-waiting; !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("a Read that waits when its end is closed: %v", err)
		}
	})
}

func second(_ int, err error) error { return err }

// TestDelayedPipeDeadlines: a Read and a Write end at their deadline, and the pipe can be
// used again after a new one; a deadline in the past ends what waits.
func TestDelayedPipeDeadlines(t *testing.T) {
	inBubble(t, func(t *testing.T, a, b net.Conn) {
		mustWrite(t, a, "x")
		_ = b.SetReadDeadline(time.Now().Add(testDelay / 2))
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a Read before anything arrives: %v", err)
		}
		_ = b.SetReadDeadline(time.Time{})
		mustRead(t, b, "x")

		waiting := make(chan error, 1)
		go func() { _, err := b.Read(make([]byte, 1)); waiting <- err }()
		synctest.Wait()
		_ = b.SetDeadline(time.Unix(1, 0))
		if err := <-waiting; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a Read that waits: %v", err)
		}
		if err := second(b.Write([]byte("x"))); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a Write: %v", err)
		}

		big := bytes.Repeat([]byte{7}, maxUnderway+1)
		_ = a.SetWriteDeadline(time.Now().Add(testDelay))
		if n, err := a.Write(big); n != maxUnderway || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%d octets were written that nobody reads: %v", n, err)
		}
	})
}

// TestDelayedPipeFull: a Write of more than fits waits for its reader, and loses nothing.
func TestDelayedPipeFull(t *testing.T) {
	inBubble(t, func(t *testing.T, a, b net.Conn) {
		big := make([]byte, 2*maxUnderway+12345)
		for i := range big {
			big[i] = byte(i >> 8)
		}
		written := make(chan error, 1)
		go func() { written <- errors.Join(second(a.Write(big)), a.Close()) }()
		got, err := io.ReadAll(b)
		if !bytes.Equal(got, big) || err != nil || <-written != nil {
			t.Errorf("%d of %d octets arrived: %v", len(got), len(big), err)
		}
	})
}
