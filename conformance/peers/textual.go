package peers

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"attls"
	"attls/conformance/claims"
	"attls/internal/console"
)

// textual is an end that is a program which talks to people: its claims are read
// out of what it prints.
type textual struct {
	talker
	address string
	done    chan struct{}
	claims  claims.Claims
	err     error
}

// talker is a program that runs.
type talker interface {
	Printed() []byte
	Stop()
}

// adapterLimit says that the programs can what we do not ask of them.
const adapterLimit = "the adapter makes one connection with a program, and brings no session back"

// conversation is one end's part in a connection, by typing and reading. It
// returns how many octets of application data went each way as far as their
// content was seen.
type conversation func(ctx context.Context) (sent, received int64, err error)

// withProgram is the conversation that a function has with a program.
func withProgram(p *console.Program,
	talk func(ctx context.Context, p *console.Program) (sent, received int64, err error)) conversation {
	return func(ctx context.Context) (sent, received int64, err error) { return talk(ctx, p) }
}

// reading makes claims of what a program has printed.
type reading func(printed string) (claims.Claims, error)

// follow has a conversation with a program that has started, and makes claims of
// what it has printed then.
func follow(ctx context.Context, p talker, address string, talk conversation, read reading) *textual {
	t := &textual{talker: p, address: address, done: make(chan struct{})}
	go func() {
		defer close(t.done)
		sent, received, err := talk(ctx)
		printed := string(p.Printed())
		t.claims, t.err = read(printed)
		t.claims.DataSent, t.claims.DataReceived = sent, received
		if err != nil {
			fail(&t.claims, fmt.Errorf("%w%s", err, last(printed)))
		}
	}()
	return t
}

// maxLast bounds what is shown of what a program printed, in octets.
const maxLast = 200

// last are the last words of a program.
func last(printed string) string {
	words := strings.Join(strings.Fields(attls.PrintableLines(printed)), " ")
	if words == "" {
		return "; it printed nothing"
	}
	if n := len(words); n > maxLast {
		words = "…" + strings.ToValidUTF8(words[n-maxLast:], "")
	}
	return "; it printed last: " + words
}

// fail says in claims that a conversation came to nothing, unless they say why.
func fail(c *claims.Claims, err error) {
	c.State = "failed"
	if c.Error != nil {
		return
	}
	c.Error = &claims.ErrorClaim{Class: attls.Local.String(), Failure: c.Stack, Detail: err.Error()}
	if c.AlertReceived != nil {
		c.Error.Class, c.Error.Alert = attls.FromPeer.String(), c.AlertReceived
	} else if c.AlertSent != nil {
		c.Error.Class, c.Error.Alert = attls.Violation.String(), c.AlertSent
	}
}

func (t *textual) Address() string { return t.address }

func (t *textual) Claims() (claims.Claims, error) {
	<-t.done
	return t.claims, t.err
}

func (t *textual) Stop() {
	t.talker.Stop()
	<-t.done
}

// said is a part of what a program printed; empty when it did not say that.
func said(printed string, pattern *regexp.Regexp) string {
	m := pattern.FindStringSubmatch(printed)
	if m == nil {
		return ""
	}
	return m[1]
}

// settle holds a claim out of the messages that a program shows to what it says in
// words; where they do not tell, the words are the claim.
func settle(what string, claim *string, words string) error {
	switch {
	case words == "" || strings.EqualFold(words, *claim):
	case *claim == "":
		*claim = words
	default:
		return fmt.Errorf("%s: the program says %q and shows messages with %q", what, words, *claim)
	}
	return nil
}
