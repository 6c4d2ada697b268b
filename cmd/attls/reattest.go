package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"attls"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/exported"
	"attls/negotiation"
)

// repetition is how a peer attests again on a connection, as the profile and the flags have it.
type repetition uint8

const (
	repeatsNever         repetition = iota
	repeatsAuthenticator            // in an exported authenticator, or a frame
	repeatsUpdate                   // with an extended key update, which this end begins
	repeatsRequest                  // a client, in post-handshake authentication
)

// repetition is how the peer of this end attests again.
func (e *endpoint) repetition() repetition {
	peer := e.flags.role.Peer()
	switch {
	case e.profile == nil || len(e.accepts()) == 0:
		return repeatsNever
	case e.exported != nil && len(e.exported.Accept) > 0:
		return repeatsAuthenticator
	case e.profile.UpdateSlot(peer) >= 0 && e.flags.session.extended:
		return repeatsUpdate
	case peer == attls.RoleClient && e.profile.PostHandshake.ClientAuthentication:
		return repeatsRequest
	}
	return repeatsNever
}

// applyAgain checks that --reattest does something in a connection without authenticators.
func (f *laterFlags) applyAgain(e *endpoint) error {
	peer := e.flags.role.Peer()
	switch how := e.repetition(); {
	case !f.every.given():
		return nil
	case len(e.accepts()) == 0:
		return usage("--reattest, but the %v is not to attest; see --attester", peer)
	case how == repeatsUpdate && e.profile.KeyUpdate.Place(false) == profile.UpdateNever:
		return usage("--reattest: under this reading of %s only who begins a key update attests with it; say "+
			"--key-update-every at the %v", e.profile.ID, peer)
	case how == repeatsNever && e.profile.UpdateSlot(peer) >= 0:
		return usage("--reattest: under profile %s the %v attests again with an extended key update; say "+
			"--extended-key-update as well", e.profile.ID, peer)
	case how == repeatsNever && e.profile.PostHandshake.ClientAuthentication:
		return usage("--reattest: under profile %s a client attests again after the handshake; only a server asks for that "+
			"(RFC 8446 4.6.2)", e.profile.ID)
	case how == repeatsNever:
		return usage("--reattest is about attestation after the handshake, and under profile %s it is in the handshake",
			e.profile.ID)
	}
	return nil
}

// attestsAfter reports whether the client is to attest in post-handshake authentication: in a
// slot of that phase, or because --reattest asks for it.
func (e *endpoint) attestsAfter() bool {
	policy := &e.config.Policy
	list := policy.Produce
	if e.flags.role == attls.RoleServer {
		list = policy.Accept
	}
	return e.profile != nil && len(list) > 0 && (e.flags.later.every.given() && e.repetition() == repeatsRequest ||
		slices.ContainsFunc(e.profile.Slots, func(s profile.Slot) bool { return s.PostHandshake }))
}

// news is what Read tells of attestations with key updates.
type news struct {
	settled chan struct{} // one is settled
	over    chan struct{} // nothing more is read
	once    sync.Once
	told    sync.Once
}

// listen has the connection tell of what is attested again, by an Answerer of its own.
func (c *connection) listen(a *handshake.Answerer) *handshake.Answerer {
	c.news = &news{settled: make(chan struct{}, 1), over: make(chan struct{})}
	tell := func() {
		select {
		case c.news.settled <- struct{}{}:
		default:
		}
	}
	own := *a
	switch c.end.repetition() {
	case repeatsUpdate:
		own.Reattested = func(uint64) { tell() }
	case repeatsRequest:
		own.Authenticated = tell
	}
	return &own
}

// attest makes the exchange of authenticators, where there is one, and begins what --reattest
// asks for. Application data waits, even where the profile lets it come before: what the
// peer sends early is kept. Where a client attests in post-handshake authentication alone, a
// server asks it at once.
func (c *connection) attest(ctx context.Context) error {
	if c.later != nil {
		if err := c.later.Attest(ctx); err != nil {
			return err
		}
	} else if c.end.repetition() == repeatsRequest && c.end.profile.AttestsOnlyAfter() {
		if err := c.RequestAuthentication(); err != nil {
			return err
		}
		go func() { // the answer comes while application data is read
			ctx, cancel := context.WithTimeout(context.Background(), c.end.flags.timeout)
			defer cancel()
			_ = c.awaitNews(ctx, "did not answer the request for its certificate")
		}()
	}
	if c.again == nil {
		return nil
	}
	if c.end.repetition() == repeatsUpdate && !c.ConnectionState().ExtendedKeyUpdate {
		fmt.Fprintf(c.end.err, "attls: %s does not know extended key update; --reattest does nothing\n", c.remote)
		return nil
	}
	go c.again.run(func() bool {
		err := c.reattest(context.Background())
		return err == nil || errors.Is(err, exported.ErrUnanswered) || c.skips(err)
	})
	return nil
}

// skips reports whether a request could not be made for now: an update or an authentication
// is under way. A client that does not take part in post-handshake authentication is named once.
func (c *connection) skips(err error) bool {
	var why *attls.Error
	if c.later != nil || !errors.As(err, &why) || why.Class != attls.Local || why.Failure != attls.FailConfiguration {
		return false
	}
	if c.end.repetition() == repeatsRequest {
		c.news.told.Do(func() { fmt.Fprintf(c.end.err, "attls: --reattest: %s: %v\n", c.remote, why.Detail) })
	}
	return true
}

// reattest has the peer attest again. Where that fails the connection is over.
func (c *connection) reattest(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.end.flags.timeout)
	defer cancel()
	c.asking.RLock()
	defer c.asking.RUnlock()
	switch c.end.repetition() {
	case repeatsAuthenticator:
		return c.reattestLater(ctx)
	case repeatsUpdate:
		return c.reattestUpdating(ctx)
	case repeatsRequest:
		c.forget()
		if err := c.RequestAuthentication(); err != nil {
			return err
		}
		return c.awaitNews(ctx, "did not answer the request for its certificate")
	}
	return attls.Errorf(attls.Local, attls.FailConfiguration,
		"the %v is not asked to attest after the handshake; see --profile and --attester", c.end.flags.role.Peer())
}

// reattestLater asks for another authenticator.
func (c *connection) reattestLater(ctx context.Context) error {
	_, err := c.later.Reattest(ctx)
	var why *attls.Error
	switch {
	case !errors.As(err, &why) || why.Class == attls.FromPeer || errors.Is(err, exported.ErrUnanswered):
	case why.Failure == attls.FailConfiguration || why.Failure == attls.FailCanceled: // nothing was asked, or we close
	default:
		c.transport.end(why)
	}
	return err
}

// reattestUpdating begins an extended key update, and waits until what the ends attest with it
// is settled. The engine ends the connection where it is refused.
func (c *connection) reattestUpdating(ctx context.Context) error {
	peer := c.end.flags.role.Peer()
	if !slices.ContainsFunc(c.ConnectionState().Attestation, func(a handshake.AttestationState) bool {
		return a.Attester == peer
	}) {
		return attls.Errorf(attls.Local, attls.FailConfiguration,
			"the %v did not attest in the handshake, and so attests nothing with a key update", peer)
	}
	c.forget()
	if err := c.ExtendedKeyUpdate(); err != nil {
		return err
	}
	return c.awaitNews(ctx, "did not attest with the key update")
}

// forget takes back what was told of an update that the peer began, or of an answer before.
func (c *connection) forget() {
	select {
	case <-c.news.settled:
	default:
	}
}

// awaitNews waits until the peer has attested, and otherwise ends the connection in time.
func (c *connection) awaitNews(ctx context.Context, failing string) error {
	select {
	case <-c.news.settled:
	case <-c.news.over:
	case <-ctx.Done():
		why := attls.Errorf(attls.Local, attls.FailTimeout, "the %v %s within %v", c.end.flags.role.Peer(), failing,
			c.end.flags.timeout)
		err := c.Abort(why) // the peer is told
		c.transport.end(why)
		return err
	}
	return nil
}

// accepts are the schemes that this end has appraised, in the handshake and after it.
func (e *endpoint) accepts() []negotiation.Scheme {
	if e.exported == nil {
		return e.config.Policy.Accept
	}
	return slices.Concat(e.config.Policy.Accept, e.exported.Accept)
}

// Read reads application data.
func (c *connection) Read(b []byte) (n int, err error) {
	if c.later == nil {
		n, err = c.Conn.Read(b)
	} else {
		n, err = c.later.Read(b)
	}
	c.again.count(n)
	if err != nil {
		c.news.once.Do(func() { close(c.news.over) })
	}
	return n, err
}

// Write writes application data.
func (c *connection) Write(b []byte) (n int, err error) {
	if c.later == nil {
		n, err = c.Conn.Write(b)
	} else {
		n, err = c.later.Write(b)
	}
	c.again.count(n)
	return n, err
}

// CloseWrite ends our direction, in which no more requests go. A request that is being made
// goes first, and is answered.
func (c *connection) CloseWrite() error {
	c.again.stop()
	c.asking.Lock()
	defer c.asking.Unlock()
	if c.later == nil {
		return c.Conn.CloseWrite()
	}
	return c.later.CloseWrite()
}
