package handshake

import (
	"net"
	"testing"
	"time"
)

// deadlined is a net.Conn that knows its deadlines only.
type deadlined struct {
	net.Conn
	last [2]time.Time
}

func (d *deadlined) SetReadDeadline(t time.Time) error  { d.last[reads] = t; return nil }
func (d *deadlined) SetWriteDeadline(t time.Time) error { d.last[writes] = t; return nil }

// TestTheEarlierDeadlineHolds: a deadline that the user sets and a bound of the
// connection's own do not replace each other, in whatever order they come, until the
// connection fails.
func TestTheEarlierDeadlineHolds(t *testing.T) {
	now := time.Now()
	soon, later, latest, over := now.Add(time.Hour), now.Add(2*time.Hour), now.Add(3*time.Hour), now.Add(-time.Hour)
	user := func(when time.Time) func(*Conn) { return func(c *Conn) { c.SetDeadline(when) } }
	bound := func(when time.Time) func(*Conn) {
		return func(c *Conn) { c.bound(reads, when); c.bound(writes, when) }
	}
	freeze := func(when time.Time) func(*Conn) {
		return func(c *Conn) { c.freeze(reads, when); c.freeze(writes, when) }
	}
	for name, test := range map[string]struct {
		steps []func(*Conn)
		want  time.Time
	}{
		"the user's alone":                         {[]func(*Conn){user(soon)}, soon},
		"the user's moved":                         {[]func(*Conn){user(soon), user(later)}, later},
		"the user's taken away":                    {[]func(*Conn){user(soon), user(time.Time{})}, time.Time{}},
		"a bound alone":                            {[]func(*Conn){bound(soon)}, soon},
		"a bound after an earlier deadline":        {[]func(*Conn){user(soon), bound(later)}, soon},
		"a bound after a later deadline":           {[]func(*Conn){user(later), bound(soon)}, soon},
		"a deadline that is set behind a bound":    {[]func(*Conn){bound(soon), user(later)}, soon},
		"a deadline that is set before a bound":    {[]func(*Conn){bound(later), user(soon)}, soon},
		"no deadline behind a bound":               {[]func(*Conn){user(soon), bound(later), user(time.Time{})}, later},
		"an interruption":                          {[]func(*Conn){user(later), (*Conn).interrupt}, past},
		"a deadline behind an interruption":        {[]func(*Conn){(*Conn).interrupt, user(later)}, past},
		"a failure":                                {[]func(*Conn){freeze(soon)}, soon},
		"a failure before the user's deadline":     {[]func(*Conn){user(later), freeze(soon)}, soon},
		"a failure after the user's deadline":      {[]func(*Conn){user(soon), freeze(later)}, soon},
		"a failure behind a deadline that ran out": {[]func(*Conn){user(over), freeze(soon)}, soon},
		"a failure behind an interruption":         {[]func(*Conn){user(later), (*Conn).interrupt, freeze(latest)}, later},
		"a deadline behind a failure":              {[]func(*Conn){freeze(later), user(soon)}, later},
	} {
		t.Run(name, func(t *testing.T) {
			var d deadlined
			c := &Conn{nc: &d}
			for _, step := range test.steps {
				step(c)
			}
			if want := [2]time.Time{test.want, test.want}; d.last != want {
				t.Errorf("deadlines %v, want %v", d.last, want)
			}
		})
	}
}
