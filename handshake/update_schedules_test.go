package handshake_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"attls"
	"attls/conformance/pair"
	"attls/handshake"
	"attls/handshake/enginetest"
	"attls/record"
)

// driven moves what two established engines send by hand, so that requests, responses and
// data meet in a given order. The actions are those of the working group's Promela model
// (model/tls13_extended_key_update.pml), one letter for the end and one for the action:
//
//	cU sU  an end begins an update             c> s>  all that it has sent is read by the peer
//	sP     the server asks for authentication  cD sD  an end sends data (APP, EAReq, EAFin)
//
// With an exclamation mark behind it, an action must be refused.
type driven struct {
	t        *testing.T
	p        *pair.Pair
	answer   [2]pair.Answer
	sent     [2]int // octets of data
	received [2]int
	told     [2]uint64
	asked    int // authentications
	finished int
}

func newDriven(t *testing.T, change func(c, s *handshake.Config)) *driven {
	d := &driven{t: t, p: afterwards(t, enginetest.Answer(clientCredential), extended(change))}
	d.answer = [2]pair.Answer{enginetest.Answer(clientCredential), enginetest.Answer(serverCredential)}
	return d
}

func (d *driven) deliver(from attls.Role) error {
	sender, receiver := d.p.Engine(from), d.p.Engine(from.Peer())
	octets := bytes.Clone(sender.Output())
	sender.Wrote(len(octets))
	for len(octets) > 0 {
		buffer := receiver.Reserve(len(octets))
		n := copy(buffer, octets)
		octets = octets[n:]
		if err := receiver.Commit(n); err != nil {
			return err
		}
		if err := d.events(from.Peer()); err != nil {
			return err
		}
	}
	return nil
}

func (d *driven) events(r attls.Role) error {
	e := d.p.Engine(r)
	for ev, ok := e.Next(); ok; ev, ok = e.Next() {
		switch ev.Kind {
		case handshake.EventWait:
			answer, failure := d.answer[r](ev.Wait)
			if failure != nil {
				return failure
			}
			if err := e.Answer(ev.Wait.ID, answer); err != nil {
				return err
			}
		case handshake.EventData:
			d.received[r] += len(ev.Data)
		case handshake.EventKeyEpoch:
			d.told[r] = ev.Epoch
		case handshake.EventAuthenticated:
			d.finished++
		case handshake.EventError:
			return ev.Err
		}
	}
	return nil
}

// do is one action; refused says that the end would not do it.
func (d *driven) do(action string) (refused, err error) {
	r := attls.RoleClient
	if action[0] == 's' {
		r = attls.RoleServer
	}
	e := d.p.Engine(r)
	switch action[1] {
	case 'U':
		return e.ExtendedKeyUpdate(), nil
	case 'P':
		if refused = e.RequestAuthentication(); refused == nil {
			d.asked++
			return nil, d.events(r)
		}
		return refused, nil
	case 'D':
		if refused = e.Write([]byte("data")); refused == nil {
			d.sent[r] += 4
		}
		return refused, nil
	case '>':
		return nil, d.deliver(r)
	}
	return nil, fmt.Errorf("no action is called %s", action)
}

func (d *driven) run(steps string) error {
	for i, action := range strings.Fields(steps) {
		name, wants := strings.CutSuffix(action, "!")
		refused, err := d.do(name)
		if err != nil {
			return fmt.Errorf("step %d, %s: %w", i+1, action, err)
		}
		if (refused != nil) != wants {
			return fmt.Errorf("step %d, %s: %v", i+1, action, refused)
		}
	}
	return nil
}

// settled delivers what is left, and checks that both ends have come to one state, which is
// the model's property key_sync.
func (d *driven) settled(epoch uint64) error {
	for range 20 {
		for _, r := range attls.Roles() {
			if err := d.deliver(r); err != nil {
				return err
			}
		}
	}
	for _, r := range attls.Roles() {
		if got := d.p.Engine(r).State().KeyEpoch; got != epoch || d.told[r] != epoch {
			return fmt.Errorf("the %v is in epoch %d and was told of %d, not %d", r, got, d.told[r], epoch)
		}
		if d.received[r.Peer()] != d.sent[r] {
			return fmt.Errorf("%d octets of the %v arrive, of %d", d.received[r.Peer()], r, d.sent[r])
		}
	}
	if d.finished != d.asked {
		return fmt.Errorf("%d of %d authentications were finished", d.finished, d.asked)
	}
	a, err := d.p.Engine(attls.RoleClient).ExportEpoch(epoch, "schedule", nil, 32)
	b, other := d.p.Engine(attls.RoleServer).ExportEpoch(epoch, "schedule", nil, 32)
	if err != nil || other != nil || !bytes.Equal(a, b) {
		return errors.Join(fmt.Errorf("epoch %d exports %x and %x", epoch, a, b), err, other)
	}
	return d.run("cD c> sD s>")
}

// modelSchedules come from reading the model: they go through its states and transitions with
// authentication (PHA) and authenticators (data, here) on, and then through later
// generations, which the model does not have.
var modelSchedules = []struct {
	name, steps string
	epoch       uint64
}{
	{"A begins", "cU c> s> c>", 1},
	{"B begins", "sU s> c> s>", 1},
	{"nobody begins", "cD sD c> s>", 0},
	{"data in each state of A's", "cD cU cD sD c> sD cD s> cD sD c> sD", 1},
	{"data in each state of B's", "sD sU sD cD s> cD sD c> sD cD s> cD", 1},
	{"crossed, A's arrives first", "cU sU c> s> c> s>", 1},
	{"crossed, B's arrives first", "cU sU s> c> s> c>", 1},
	{"crossed, with data", "cU cD sU sD c> sD s> cD c> s>", 1},
	{"A waits, and begins no other", "cU cU! c> s> c>", 1},
	{"B has answered, and begins none", "cU c> sU! s> c>", 1},
	{"A has finished, and begins the next at once", "cU c> s> cU c> s> c>", 2},
	{"B has, before its finish arrives", "cU c> s> sU! c> sU s> c> s>", 2},
	{"authentication alone", "sP s> c>", 0},
	{"authentication, then A", "sP s> c> cU c> s> c>", 1},
	{"authentication, then B", "sP s> c> sU s> c> s>", 1},
	{"A, then authentication", "cU c> s> c> sP s> c>", 1},
	{"B begins none during an authentication", "sP sU! s> c> sU s> c> s>", 1},
	{"none begins an authentication during an update", "cU c> sP! s> c> sP s> c>", 1},
	{"B does not ask while its own request is out", "sU sP! s> c> s>", 1},
	{"A's request crosses CertificateRequest, and is deferred", "sP cU c> s> c> s> c>", 1},
	{"the same, and CertificateRequest arrives first", "sP cU s> c> s> c>", 1},
	{"the same with data", "sP cU cD sD c> sD s> cD c> sD s> cD c>", 1},
	{"three generations of A", "cU c> s> c> cU c> s> c> cU c> s> c>", 3},
	{"three generations in turn, crossing once", "cU c> s> c> sU s> c> s> cU sU c> s> c> s>", 3},
	{"three generations with authentication between", "cU c> s> c> sP s> c> sU s> c> s> sP s> c> cU c> s> c>", 3},
}

// TestExtendedKeyUpdateSchedules runs the schedules with several key shares, so that either
// request of two that cross is the higher one.
func TestExtendedKeyUpdateSchedules(t *testing.T) {
	for _, s := range modelSchedules {
		t.Run(s.name, func(t *testing.T) {
			seeds := 1
			if strings.Contains(s.steps, "cU sU") || strings.Contains(s.steps, "cU cD sU") {
				seeds = 6
			}
			for i := range seeds {
				d := newDriven(t, func(c, s *handshake.Config) {
					c.Random, s.Random = enginetest.Random(fmt.Sprint("client", i)), enginetest.Random(fmt.Sprint("server", i))
				})
				err := d.run(s.steps)
				if err == nil {
					err = d.settled(s.epoch)
				}
				if err != nil {
					t.Fatalf("shares %d: %v", i, err)
				}
			}
		})
	}
}

// TestExtendedKeyUpdateWalks takes actions at random: nothing that both ends are willing to
// do may end the connection or leave them in different states.
func TestExtendedKeyUpdateWalks(t *testing.T) {
	actions := strings.Fields("cU sU sP cD sD c> s> c> s>")
	reached := map[string]bool{}
	for i := range 60 {
		random := rand.New(rand.NewPCG(uint64(i), 1))
		d := newDriven(t, func(c, s *handshake.Config) {
			c.Random, s.Random = enginetest.Random(fmt.Sprint("c", i)), enginetest.Random(fmt.Sprint("s", i))
		})
		var taken []string
		for range 40 {
			action := actions[random.IntN(len(actions))]
			refused, err := d.do(action)
			if err != nil {
				t.Fatalf("walk %d, %v, %s: %v", i, taken, action, err)
			}
			if refused == nil {
				taken = append(taken, action)
			} else {
				reached[action+"!"] = true
			}
		}
		for range 20 {
			for _, r := range attls.Roles() {
				if err := d.deliver(r); err != nil {
					t.Fatalf("walk %d, %v: %v", i, taken, err)
				}
			}
		}
		if err := d.settled(d.told[attls.RoleClient]); err != nil {
			t.Fatalf("walk %d, %v: %v", i, taken, err)
		}
		reached[fmt.Sprint("epoch ", min(d.told[attls.RoleClient], 3))] = true
	}
	for _, want := range []string{"cU!", "sU!", "sP!", "epoch 3"} {
		if !reached[want] {
			t.Errorf("no walk has met %s", want)
		}
	}
}

// TestExtendedKeyUpdateInjected: what the model's ErrorInjector sends, in each state.
func TestExtendedKeyUpdateInjected(t *testing.T) {
	share := bytes.Repeat([]byte{9}, 32)
	for name, test := range map[string]struct {
		octets []byte
		idle   attls.Failure // what an end without an update finds
		asked  attls.Failure // one that waits for a response
	}{
		"KeyUpdate":    {[]byte{byte(attls.TypeKeyUpdate), 0, 0, 1, 0}, attls.FailUnexpectedMessage, attls.FailUnexpectedMessage},
		"UnknownEKU":   {[]byte{byte(attls.TypeExtendedKeyUpdate), 0, 0, 1, 9}, attls.FailUnexpectedMessage, attls.FailUnexpectedMessage},
		"BadGroupReq":  {ekuBytes(attls.KeyUpdateRequest, attls.GroupX448, share), attls.FailIllegalParameter, attls.FailIllegalParameter},
		"BadGroupResp": {ekuBytes(attls.KeyUpdateResponse, attls.GroupX448, share), attls.FailUnexpectedMessage, attls.FailIllegalParameter},
	} {
		for state, steps := range map[string]string{"idle": "", "waits for a response": "U", "waits for a finish": "other U, answered"} {
			for _, to := range attls.Roles() {
				t.Run(fmt.Sprintf("%s, %v %s", name, to, state), func(t *testing.T) {
					tap := &recordTap{typ: attls.ContentTypeApplicationData, n: 1,
						plan: insert(record.Raw{Type: attls.ContentTypeHandshake, Payload: test.octets})}
					d := newDriven(t, func(c, s *handshake.Config) {
						if to == attls.RoleClient {
							s.Tap = tap
						} else {
							c.Tap = tap
						}
					})
					receiver, sender := to.String()[:1], to.Peer().String()[:1]
					want := test.idle
					prepare := ""
					switch steps {
					case "U":
						want, prepare = test.asked, receiver+"U"
					case "":
					default:
						prepare = sender + "U " + sender + ">"
						if want == attls.FailIllegalParameter {
							want = attls.FailUnexpectedMessage // a second request is not due
						}
					}
					if err := d.run(prepare); err != nil {
						t.Fatal(err)
					}
					err := d.run(sender + "D " + sender + ">")
					var named *attls.Error
					if !errors.As(err, &named) || named.Failure != want {
						t.Errorf("%v, want %s", err, want)
					}
				})
			}
		}
	}
}
