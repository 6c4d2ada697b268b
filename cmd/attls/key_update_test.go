package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"
)

func TestInterval(t *testing.T) {
	for text, want := range map[string]interval{
		"30s": {time: 30 * time.Second}, "1h30m": {time: 90 * time.Minute}, "1GB": {octets: 1e9}, "500MB": {octets: 5e8},
		"64KiB": {octets: 65536}, "7B": {octets: 7}, "3kB": {octets: 3000},
	} {
		var got interval
		want.text = text
		if err := got.Set(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0s", "-3s", "1us", "0B", "-1GB", "1.5GB", "GB", "10", "99999999999GB", "1TB", "1 GB"} {
		var got interval
		if err := got.Set(text); err == nil || got.given() {
			t.Errorf("%q is taken as %+v", text, got)
		}
	}
}

// TestDemoExtendedKeyUpdate: demo draws an update, replay repeats it, and decode opens what
// was sent under the new keys.
func TestDemoExtendedKeyUpdate(t *testing.T) {
	dir := t.TempDir()
	record, pcap := dir+"/run.json", dir+"/run.pcapng"
	for _, test := range []struct {
		args []string
		want []string
	}{
		{[]string{"demo", "--extended-key-update", "--group", "secp256r1", "--record", record, "--pcap", pcap},
			[]string{"extended_key_update", "key_update_request, secp256r1 of 65 octets", "key_update_response", "key_update_finish", "key epoch 1"}},
		{[]string{"replay", record}, []string{"key_update_finish", "Replayed octet for octet"}},
		{[]string{"decode", pcap}, []string{"key_update_finish", "close_notify", "No rule is seen to be broken"}},
	} {
		code, out, errs := command(t, test.args...)
		if code != 0 {
			t.Fatalf("%v: exit code %d, %s", test.args, code, errs)
		}
		for _, want := range test.want {
			if !strings.Contains(out, want) {
				t.Errorf("%v prints no %q:\n%s", test.args, want, out)
			}
		}
	}
}

// TestRecurrence: something is done once for each tick of the clock, or each time that so
// much data has gone through, until it fails or is stopped; then the clock is stopped too.
func TestRecurrence(t *testing.T) {
	clock, stopped := make(chan time.Time), make(chan struct{})
	r := recur(interval{time: 30 * time.Second})
	r.ticks = func(d time.Duration) (<-chan time.Time, func()) {
		if d != 30*time.Second {
			t.Errorf("the clock ticks every %v", d)
		}
		return clock, func() { close(stopped) }
	}
	done := make(chan struct{})
	go r.run(func() bool { done <- struct{}{}; return true })
	for range 3 {
		clock <- time.Time{}
		<-done
	}
	r.count(1 << 20) // data is not what it waits for
	r.stop()
	r.stop()
	<-stopped
	select {
	case <-done:
		t.Error("it is done a fourth time")
	default:
	}

	r = recur(interval{octets: 100})
	left := 2
	over := make(chan struct{})
	go func() {
		r.run(func() bool { done <- struct{}{}; left--; return left > 0 })
		close(over)
	}()
	for range 2 {
		r.count(60)
		r.count(60)
		<-done
	}
	<-over // it has failed
	var none *recurrence
	none.count(1)
	none.stop()
}

// TestKeyUpdateEvery: after so much data the keys are new, in both commands, also where
// attestation has gone before and goes again.
func TestKeyUpdateEvery(t *testing.T) {
	for name, args := range map[string][]string{
		"plain":    {"--profile", "none"},
		"attested": {"--profile", "seat-expat-04", "--attester", "both"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args = append(args, "--extended-key-update", "--json")
			s := start(t, append(args, "--echo", "--max-connections", "1")...)
			input, end := io.Pipe()
			var out, log lockedBuffer
			updated := make(chan struct{}, 1)
			code := make(chan int, 1)
			go func() {
				flags := append([]string{"client", "--msg", "--key-update-every", "10B", s.address}, args...)
				code <- run(context.Background(), flags, input, &out, writerFunc(func(b []byte) (int, error) {
					if bytes.Contains(b, []byte("key_update_finish")) {
						select {
						case updated <- struct{}{}:
						default:
						}
					}
					return log.Write(b)
				}))
			}()
			io.WriteString(end, "more than ten octets\n")
			select {
			case <-updated:
			case <-time.After(20 * time.Second):
				t.Error("no update")
			}
			end.Close()
			if c := <-code; c != exitOK {
				t.Fatalf("exit code %d, %s", c, log.String())
			}
			s.wait(t)
			for _, text := range []string{out.String(), s.out.String()} {
				if c := claimsIn(t, text)[0]; c.KeyEpoch == 0 || c.Error != nil {
					t.Errorf("key epoch %d, %+v", c.KeyEpoch, c.Error)
				}
			}
		})
	}
}
