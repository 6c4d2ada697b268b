package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"attls"
	"attls/handshake"
	"attls/record"
)

// keyUpdateInterval is --key-update-every: a time, or octets of application data.
type keyUpdateInterval struct {
	text   string
	time   time.Duration
	octets int64
}

// dataUnits are the units of data, longest first where one ends with another.
var dataUnits = []struct {
	name   string
	octets int64
}{{"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"B", 1}}

func (i *keyUpdateInterval) String() string { return i.text }
func (i *keyUpdateInterval) Type() string   { return "time|data" }
func (i *keyUpdateInterval) given() bool    { return i.text != "" }

// Set reads a duration of at least a millisecond, or a number with a unit of data.
func (i *keyUpdateInterval) Set(text string) error {
	if d, err := time.ParseDuration(text); err == nil {
		if d < time.Millisecond {
			return errors.New("it is shorter than 1ms")
		}
		*i = keyUpdateInterval{text: text, time: d}
		return nil
	}
	for _, unit := range dataUnits {
		number, ok := strings.CutSuffix(text, unit.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil || n < 1 || n > math.MaxInt64/unit.octets {
			break
		}
		*i = keyUpdateInterval{text: text, octets: n * unit.octets}
		return nil
	}
	return errors.New("it is neither a time, such as 30s, nor an amount of data, such as 500MB or 1GB")
}

// renewal begins extended key updates on a connection. As a tap it counts data.
type renewal struct {
	handshake.NopTap
	every keyUpdateInterval
	data  atomic.Int64  // since the last update
	due   chan struct{} // so much data has gone through
	over  chan struct{}
	once  sync.Once
}

func newRenewal(every keyUpdateInterval) *renewal {
	return &renewal{every: every, due: make(chan struct{}, 1), over: make(chan struct{})}
}

// Record counts application data in both directions.
func (r *renewal) Record(_ handshake.Direction, rec *record.Raw, _ *record.Plan) {
	if rec.Type != attls.ContentTypeApplicationData || r.every.octets == 0 {
		return
	}
	if r.data.Add(int64(len(rec.Payload))) >= r.every.octets {
		select {
		case r.due <- struct{}{}:
		default:
		}
	}
}

// Fork returns what a forked engine is counted by.
func (r *renewal) Fork() handshake.Tap { return newRenewal(r.every) }

// stop ends the updates.
func (r *renewal) stop() { r.once.Do(func() { close(r.over) }) }

// renew begins the updates of a connection until it is over.
func (c *connection) renew() {
	if !c.ConnectionState().ExtendedKeyUpdate {
		fmt.Fprintf(c.end.err, "attls: %s does not know extended key update; --key-update-every does nothing\n", c.remote)
		return
	}
	r := c.renewal
	var ticks <-chan time.Time
	ticker := (*time.Ticker)(nil)
	if r.every.time > 0 {
		ticker = time.NewTicker(r.every.time)
		ticks = ticker.C
	}
	go func() {
		if ticker != nil {
			defer ticker.Stop()
		}
		for {
			select {
			case <-ticks:
			case <-r.due:
				r.data.Store(0)
			case <-r.over:
				return
			}
			// One that is under way already, or waits for an authentication, will do.
			var e *attls.Error
			if err := c.ExtendedKeyUpdate(); err != nil && (!errors.As(err, &e) || e.Failure != attls.FailConfiguration) {
				return
			}
		}
	}()
}

// Close ends the updates and the connection.
func (c *connection) Close() error {
	if c.renewal != nil {
		c.renewal.stop()
	}
	return c.Conn.Close()
}
