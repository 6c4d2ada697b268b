package exported

import (
	"context"

	"attls"
)

// answer answers a request of the peer.
func (c *Conn) answer(ctx context.Context, request []byte) error {
	c.mu.Lock()
	total := c.answered + len(c.held)
	hold := c.cfg.AnswerLast && c.asks() && !c.accepted
	if hold && len(c.held) == 0 {
		c.held = append(c.held, request)
		c.mu.Unlock()
		return nil
	}
	c.mu.Unlock()
	switch {
	case hold:
		return c.fail(attls.Errorf(attls.Refused, attls.FailLimit, "a second request before the peer was accepted"))
	case total >= c.cfg.requests():
		return c.fail(attls.Errorf(attls.Refused, attls.FailLimit, "%d requests of the peer; MaxRequests is %d", total+1,
			c.cfg.requests()))
	}
	octets, made, err := c.session.Answer(ctx, request)
	if err != nil {
		return c.fail(err)
	}
	if err := c.send(ctx, contentAnswer, octets); err != nil {
		return err
	}
	epoch := c.ConnectionState().KeyEpoch
	c.mu.Lock()
	c.answered++
	if made != nil {
		made.KeyEpoch = epoch
		c.remember(made)
	}
	c.tell()
	c.mu.Unlock()
	return nil
}

// appraise takes an answer of the peer.
func (c *Conn) appraise(ctx context.Context, octets []byte) error {
	epoch := c.ConnectionState().KeyEpoch
	out, err := c.session.Appraise(ctx, octets)
	c.mu.Lock()
	q := c.open
	if out != nil {
		out.KeyEpoch = epoch
		c.remember(out)
	}
	if err == nil {
		c.accepted, c.open = true, nil
		if q != nil {
			q.outcome = out
			close(q.done)
		}
		c.tell()
	} else {
		c.refused = true
		if q != nil {
			q.outcome = out
		}
	}
	held := c.held
	if err == nil {
		c.held = nil
	}
	c.mu.Unlock()
	if err != nil {
		return c.fail(err)
	}
	for _, request := range held {
		if err := c.answer(ctx, request); err != nil {
			return err
		}
	}
	return nil
}

// remember keeps an outcome. The caller holds c.mu.
func (c *Conn) remember(o *Outcome) {
	if len(c.outcomes) == maxOutcomes {
		copy(c.outcomes[1:], c.outcomes[2:])
		c.outcomes = c.outcomes[:maxOutcomes-1]
	}
	c.outcomes = append(c.outcomes, *o)
}

// Outcomes are what was attested so far, in order: the first and the latest 63.
func (c *Conn) Outcomes() []Outcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Outcome(nil), c.outcomes...)
}
