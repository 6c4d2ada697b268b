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

// interval is the value of --key-update-every and --reattest: a time, or octets of application data.
type interval struct {
	text   string
	time   time.Duration
	octets int64
}

// dataUnits are the units of data, longest first where one ends with another.
var dataUnits = []struct {
	name   string
	octets int64
}{{"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"B", 1}}

func (i *interval) String() string { return i.text }
func (i *interval) Type() string   { return "time|data" }
func (i *interval) given() bool    { return i.text != "" }

// Set reads a duration of at least a millisecond, or a number with a unit of data.
func (i *interval) Set(text string) error {
	if d, err := time.ParseDuration(text); err == nil {
		if d < time.Millisecond {
			return errors.New("it is shorter than 1ms")
		}
		*i = interval{text: text, time: d}
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
		*i = interval{text: text, octets: n * unit.octets}
		return nil
	}
	return errors.New("it is neither a time, such as 30s, nor an amount of data, such as 500MB or 1GB")
}

// recurrence is something that is done again and again on a connection: after so much time,
// or so much application data in both directions.
type recurrence struct {
	every interval
	ticks func(time.Duration) (ticks <-chan time.Time, stop func())
	data  atomic.Int64  // since the last time
	due   chan struct{} // so much data has gone through
	over  chan struct{}
	once  sync.Once
}

func recur(every interval) *recurrence {
	return &recurrence{every: every, ticks: ticker, due: make(chan struct{}, 1), over: make(chan struct{})}
}

func ticker(d time.Duration) (<-chan time.Time, func()) {
	t := time.NewTicker(d)
	return t.C, t.Stop
}

// count counts application data.
func (r *recurrence) count(octets int) {
	if r == nil || r.every.octets == 0 {
		return
	}
	if r.data.Add(int64(octets)) >= r.every.octets {
		select {
		case r.due <- struct{}{}:
		default:
		}
	}
}

// stop ends it.
func (r *recurrence) stop() {
	if r != nil {
		r.once.Do(func() { close(r.over) })
	}
}

// run calls do whenever it is due, until it reports false or the recurrence is stopped.
func (r *recurrence) run(do func() bool) {
	var ticks <-chan time.Time
	if r.every.time > 0 {
		var stop func()
		ticks, stop = r.ticks(r.every.time)
		defer stop()
	}
	for {
		select {
		case <-ticks:
		case <-r.due:
			r.data.Store(0)
		case <-r.over:
			return
		}
		if !do() {
			return
		}
	}
}

// renewal counts the records of a connection whose keys are updated.
type renewal struct {
	handshake.NopTap
	*recurrence
}

// Record counts application data in both directions.
func (r renewal) Record(_ handshake.Direction, rec *record.Raw, _ *record.Plan) {
	if rec.Type == attls.ContentTypeApplicationData {
		r.count(len(rec.Payload))
	}
}

// Fork returns what a forked engine is counted by.
func (r renewal) Fork() handshake.Tap { return renewal{recurrence: recur(r.every)} }

// renew begins extended key updates of a connection until it is over.
func (c *connection) renew() {
	if !c.ConnectionState().ExtendedKeyUpdate {
		fmt.Fprintf(c.end.err, "attls: %s does not know extended key update; --key-update-every does nothing\n", c.remote)
		return
	}
	go c.renewal.run(func() bool {
		// One that is under way already, or waits for an authentication, will do.
		var e *attls.Error
		err := c.ExtendedKeyUpdate()
		return err == nil || errors.As(err, &e) && e.Failure == attls.FailConfiguration
	})
}

// Close ends what recurs, and the connection.
func (c *connection) Close() error {
	c.renewal.stop()
	c.again.stop()
	return c.Conn.Close()
}
