package attestation

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"attls"
	"attls/extensions/profile"
	"attls/negotiation"
)

// Passport is an Attester that fetches the results it relays before they are needed,
// and keeps them. A result is fetched again when two thirds of its life are over: that
// ends with its exp, or with its greatest age where it has none. Results that a profile
// binds to the connection are fetched for each; so are those on a key that is made for
// the connection. It is safe for concurrent use.
type Passport struct {
	Attester negotiation.Attester
	// Age is the greatest age of a result without exp; default an hour. A relying party
	// that accepts less than this needs a smaller one.
	Age time.Duration
	// Timeout is that of fetching a result again while the old one serves; default 30
	// seconds.
	Timeout time.Duration
	Clock   func() time.Time // nil: time.Now

	mu   sync.Mutex
	kept map[[sha256.Size]byte]*keptResult
}

const (
	defaultPassportAge = time.Hour
	// maxKept bounds the results that are kept. An Attester has few keys.
	maxKept = 64
)

// keptResult is a result that is kept.
type keptResult struct {
	fetching sync.Mutex // one at a time
	cmw      []byte
	again    time.Time // when it is fetched again
	end      time.Time
	renewing bool // under Passport.mu
}

var _ negotiation.Attester = (*Passport)(nil)

// Schemes are those of the Attester.
func (p *Passport) Schemes() []negotiation.Scheme { return p.Attester.Schemes() }

// ChallengeSize is that of the Attester.
func (p *Passport) ChallengeSize() int { return p.Attester.ChallengeSize() }

func (p *Passport) now() time.Time {
	if p.Clock != nil {
		return p.Clock()
	}
	return time.Now()
}

// Attest gives the result that is kept, if there is one that still holds; otherwise it
// has the Attester fetch it. Everything else is the Attester's.
func (p *Passport) Attest(ctx context.Context, q *negotiation.EvidenceRequest) (*negotiation.Evidence, error) {
	if q.Scheme.Model != profile.ModelResults || q.Challenge != nil || q.SPKI == nil {
		return p.Attester.Attest(ctx, q)
	}
	r := p.of(q)
	if cmw := p.holding(r, q); cmw != nil {
		return &negotiation.Evidence{CMW: cmw}, nil
	}
	r.fetching.Lock()
	defer r.fetching.Unlock()
	if cmw := p.holding(r, q); cmw != nil { // somebody else fetched it meanwhile
		return &negotiation.Evidence{CMW: cmw}, nil
	}
	if err := p.fetch(ctx, r, q); err != nil {
		return nil, unavailable(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return &negotiation.Evidence{CMW: r.cmw}, nil
}

// of is what is kept for a request.
func (p *Passport) of(q *negotiation.EvidenceRequest) *keptResult {
	h := sha256.New()
	for _, part := range [][]byte{q.SPKI, q.Scheme.Verifier, {byte(q.Attester)}, []byte(q.Profile), fmt.Append(nil,
		q.Claims)} {
		fmt.Fprintf(h, "%d ", len(part))
		h.Write(part)
	}
	key := [sha256.Size]byte(h.Sum(nil))
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kept == nil {
		p.kept = map[[sha256.Size]byte]*keptResult{}
	}
	if p.kept[key] == nil {
		if len(p.kept) >= maxKept {
			now := p.now()
			maps.DeleteFunc(p.kept, func(_ [sha256.Size]byte, r *keptResult) bool { return !now.Before(r.end) })
		}
		if len(p.kept) >= maxKept {
			return &keptResult{}
		}
		p.kept[key] = &keptResult{}
	}
	return p.kept[key]
}

// holding is a result that still holds; nil otherwise. One that will not hold for long
// is fetched again, for the next time.
func (p *Passport) holding(r *keptResult, q *negotiation.EvidenceRequest) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if r.cmw == nil || !now.Before(r.end) {
		return nil
	}
	if !now.Before(r.again) && !r.renewing {
		r.renewing = true
		copied := *q
		go p.renew(r, &copied)
	}
	return r.cmw
}

// renew fetches a result again.
func (p *Passport) renew(r *keptResult, q *negotiation.EvidenceRequest) {
	ctx, cancel := context.WithTimeout(context.Background(), or(p.Timeout, defaultTimeout))
	defer cancel()
	r.fetching.Lock()
	defer r.fetching.Unlock()
	err := p.fetch(ctx, r, q)
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.renewing = false; err != nil { // tried again later, and by Attest when it has ended
		r.again = p.now().Add(r.end.Sub(p.now()) / 2)
	}
}

// fetch has the Attester fetch a result.
func (p *Passport) fetch(ctx context.Context, r *keptResult, q *negotiation.EvidenceRequest) error {
	e, err := p.Attester.Attest(ctx, q)
	if err != nil {
		return err
	}
	now := p.now()
	end, err := endOfResult(e.CMW, or(p.Age, defaultPassportAge))
	if err != nil {
		return err
	}
	if !now.Before(end) {
		return fmt.Errorf("the result that was fetched ended at %v", end.UTC())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r.cmw, r.end, r.again = e.CMW, end, now.Add(end.Sub(now)*2/3)
	return nil
}

// Fetch fetches results before they are needed: of every Verifier whose results can be
// keptResult, on a key as DER SubjectPublicKeyInfo, for a profile that binds no results.
func (p *Passport) Fetch(ctx context.Context, profileID string, attester attls.Role, spki []byte) error {
	var failures []error
	for _, s := range p.Schemes() {
		if s.Model == profile.ModelResults {
			s.Credential = profile.KindX509
			_, err := p.Attest(ctx, &negotiation.EvidenceRequest{Profile: profileID, Attester: attester, Scheme: s,
				SPKI: slices.Clone(spki)})
			failures = append(failures, err)
		}
	}
	return errors.Join(failures...)
}

// endOfResult is when a result ends: with the earliest exp in it, or when it has
// reached an age.
func endOfResult(cmw []byte, age time.Duration) (time.Time, error) {
	c, failure := ParseCMW(cmw, Limits{Size: defaultSize})
	if failure != nil {
		return time.Time{}, failure
	}
	open, failure := openerOf(c)
	if failure != nil {
		return time.Time{}, failure
	}
	signed, err := open(c.Value)
	if err != nil {
		return time.Time{}, err
	}
	r, err := signed.result()
	if err != nil {
		return time.Time{}, err
	}
	end := r.issued().Add(age)
	for i := range r.limits {
		end = r.limits[i].dates.soonest(end)
	}
	return end, nil
}
