// Package veraison has Evidence appraised by Veraison, through its challenge-response
// API: a Verifier that somebody runs, and that knows endorsements and reference values
// which this module does not.
//
// What the service says is not believed where it can be seen: the Evidence is read
// here too, its whole challenge field is compared with the challenge of the connection
// and the key it names with that of the handshake. Some schemes of Veraison do not
// compare the challenge (attestation.ServiceScheme). What only the service can tell is
// whether the platform is genuine and in a state that is accepted.
package veraison

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"attls"
	"attls/attestation"
	"attls/extensions/profile"
	"attls/negotiation"
)

// Options say which service is asked, and what is believed of it.
type Options struct {
	// URL is the origin of the service, as in https://verifier.example:8443.
	URL string
	// Key is the key of its results, where it is known beforehand: whatever the service
	// says its key is, it is this one. Nil: the key is that of the discovery document,
	// which is believed over verified HTTPS only.
	Key crypto.PublicKey
	// Insecure believes a key that was fetched without HTTPS, or without a verified
	// certificate. It is for tests.
	Insecure bool
	// RootCAs are the trust anchors of the service's certificate; nil: the system's.
	RootCAs *x509.CertPool
	// HTTPClient is for a transport of your own, which then has the trust anchors; nil:
	// one is made. Its cookies and its rule about redirects are not used.
	HTTPClient *http.Client

	// Timeout is that of one appraisal, all requests together; default 10 seconds. The
	// session is deleted after it, for which an appraisal waits at most 100 milliseconds.
	Timeout time.Duration
	// Poll is the time between two questions about a result that is not ready yet;
	// default 100 milliseconds.
	Poll time.Duration
	// MaxAge is the greatest age of a result that is accepted, and how long a verdict
	// holds, as Veraison's results have no end; default an hour.
	MaxAge time.Duration
	Skew   time.Duration    // by which clocks may differ; default a minute
	Clock  func() time.Time // nil: time.Now

	// Table has the readers of the Evidence.
	Table attestation.Formats
	// Identity is that of the service where peers relay its results; empty: such results
	// are not accepted.
	Identity string
	// AcceptUnattested accepts a key of the handshake that nothing attests: the result
	// names none, and the challenge is not computed over it.
	AcceptUnattested bool
}

const (
	defaultTimeout = 10 * time.Second
	defaultPoll    = 100 * time.Millisecond
	defaultMaxAge  = time.Hour
	// forgetting is how long the deletion of a session may take, patience how long an
	// appraisal waits for it, and maxDeleting how many may be under way.
	forgetting  = 2 * time.Second
	patience    = 100 * time.Millisecond
	maxDeleting = 8
	// maxEvidence bounds a CMW, in octets.
	maxEvidence = 1 << 15
	// minNonce and maxNonce bound the nonce of a session, in octets.
	minNonce, maxNonce = 8, 64
)

// Names of the checks, besides those of package attestation.
const (
	CheckService = "service"
	CheckSession = "session"
)

const rule = "Veraison"

// Verifier is a service that is asked. It is safe for concurrent use.
type Verifier struct {
	o      Options
	base   *url.URL
	client *http.Client
	kind   *attestation.Service
	// deleting has an entry for each deletion of a session that is under way.
	deleting chan struct{}

	mu      sync.Mutex
	service *service
}

var _ negotiation.Appraiser = (*Verifier)(nil)

// New asks the service what it takes and which key its results have. Errors say what
// of that is missing, or why it is not believed.
func New(ctx context.Context, o Options) (*Verifier, error) {
	v, err := connect(o)
	if err != nil {
		return nil, err
	}
	if v.base.Scheme != "https" && o.Key == nil && !o.Insecure {
		return nil, fmt.Errorf("%s: the key of its results would be believed without HTTPS; pin the key, or use HTTPS",
			v.base)
	}
	ctx, cancel := context.WithTimeout(ctx, v.o.Timeout)
	defer cancel()
	if v.service, err = v.discover(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", v.base, err)
	}
	if len(v.schemes(v.service)) == 0 {
		return nil, fmt.Errorf("%s: it takes %s, of which nothing can be read here", v.base, strings.Join(v.service.types,
			", "))
	}
	return v, nil
}

// connect checks the options, and makes the client.
func connect(o Options) (*Verifier, error) {
	base, err := url.Parse(o.URL)
	switch {
	case err != nil:
		return nil, err
	case base.Scheme != "https" && base.Scheme != "http" || base.Host == "":
		return nil, fmt.Errorf("%q is not the URL of a service; one begins with https:// (or http://) and names a host",
			o.URL)
	case base.User != nil || base.RawQuery != "" || base.Fragment != "":
		return nil, fmt.Errorf("the URL of the service has a user, a query or a fragment; it is an origin")
	case o.Timeout < 0 || o.Poll < 0 || o.MaxAge < 0 || o.Skew < 0:
		return nil, errors.New("a duration is negative")
	}
	for _, x := range []struct {
		to        *time.Duration
		otherwise time.Duration
	}{{&o.Timeout, defaultTimeout}, {&o.Poll, defaultPoll}, {&o.MaxAge, defaultMaxAge}} {
		if *x.to == 0 {
			*x.to = x.otherwise
		}
	}
	client, err := newClient(&o)
	if err != nil {
		return nil, err
	}
	return &Verifier{o: o, base: base, client: client, kind: attestation.Veraison(),
		deleting: make(chan struct{}, maxDeleting)}, nil
}

// current is what is known of the service.
func (v *Verifier) current() *service {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.service
}

// refresh asks the service again which key it has, after a result did not verify: it
// may have a new one.
func (v *Verifier) refresh(ctx context.Context) (*service, error) {
	s, err := v.discover(ctx)
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.service = s
	return s, nil
}

// Key is the key of the service's results, as it is now.
func (v *Verifier) Key() crypto.PublicKey { return v.current().key }

// Trusted is the service as a Verifier whose results peers may relay.
func (v *Verifier) Trusted() attestation.TrustedVerifier {
	return attestation.TrustedVerifier{Identity: []byte(v.o.Identity), Key: v.Key(), Service: v.kind}
}

// Schemes lists the types that the service takes and that can be read here, in the
// order of the table and as the service writes them, with those at the end whose tokens
// the service cannot read; then its results, if it has an Identity.
func (v *Verifier) Schemes() []negotiation.Scheme {
	out := v.schemes(v.current())
	if v.o.Identity != "" {
		out = append(out, negotiation.Scheme{Model: profile.ModelResults, Verifier: []byte(v.o.Identity)})
	}
	return out
}

func (v *Verifier) schemes(s *service) (out []negotiation.Scheme) {
	var last []negotiation.Scheme
	for _, f := range v.o.Table.All() {
		for _, t := range f.Types {
			media, reads := v.takes(s, t)
			if media == "" {
				continue
			}
			to := &out
			if !reads {
				to = &last
			}
			for _, form := range (attestation.Type{MediaType: media, ContentFormat: t.ContentFormat}).Forms() {
				if !slices.ContainsFunc(*to, func(x negotiation.Scheme) bool { return x.Format == form }) {
					*to = append(*to, negotiation.Scheme{Model: profile.ModelEvidence, Format: form})
				}
			}
		}
	}
	return append(out, last...)
}

// takes is how the service writes a type, and whether it can read its tokens; empty
// where it does not take them.
func (v *Verifier) takes(s *service, t attestation.Type) (media string, reads bool) {
	if t.MediaType == "" || t.Bare {
		return "", false
	}
	media, err := s.spelling(profile.Format{MediaType: t.MediaType})
	if err != nil {
		return "", false
	}
	scheme := v.kind.Scheme(profile.Format{MediaType: media})
	if scheme == nil {
		return "", false
	}
	return media, scheme.Reads(media)
}

// Format is a row of the table with those types alone that the service takes, in their
// order, and with those at the end whose tokens it cannot read. It has no types where
// the service takes none.
func (v *Verifier) Format(f *attestation.Format) *attestation.Format {
	out := *f
	out.Types = nil
	var last []attestation.Type
	for _, t := range f.Types {
		if media, reads := v.takes(v.current(), t); reads {
			out.Types = append(out.Types, t)
		} else if media != "" {
			last = append(last, t)
		}
	}
	out.Types = append(out.Types, last...)
	return &out
}

// ChallengeSize is the length that all formats which the service takes want of a
// challenge; 0 where they do not agree.
func (v *Verifier) ChallengeSize() int {
	size := -1
	for _, s := range v.schemes(v.current()) {
		for _, f := range v.o.Table.Of(s.Format) {
			if size >= 0 && size != f.Challenge.Wants {
				return 0
			}
			size = f.Challenge.Wants
		}
	}
	return max(size, 0)
}

// Nonce supplies none: the service takes the nonce that it is given.
func (v *Verifier) Nonce(context.Context, int) ([]byte, error) { return nil, nil }

// Appraise has the service judge Evidence, after what can be seen here was compared.
// Whatever the service answers, or does not, the outcome is a Verdict. The error is
// the context's.
func (v *Verifier) Appraise(ctx context.Context, r *negotiation.AppraisalRequest) (*negotiation.Verdict, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	within, cancel := context.WithTimeout(ctx, v.o.Timeout)
	defer cancel()
	a := &appraisal{v: v, r: r, verdict: &negotiation.Verdict{Status: negotiation.StatusNone}}
	if r.Scheme.Model == profile.ModelResults {
		return v.relayed(ctx, r)
	}
	a.run(within)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return a.verdict, nil
}

// relayed judges a result that the peer relays.
func (v *Verifier) relayed(ctx context.Context, r *negotiation.AppraisalRequest) (*negotiation.Verdict, error) {
	judge := v.judge()
	if v.o.Identity != "" {
		judge.Trusted = []attestation.TrustedVerifier{v.Trusted()}
	}
	return judge.Appraise(ctx, r)
}

// judge is what judges results.
func (v *Verifier) judge() *attestation.Verifier {
	return &attestation.Verifier{Clock: v.o.Clock, MaxAge: v.o.MaxAge, Skew: v.o.Skew, Table: v.o.Table,
		AcceptUnattested: v.o.AcceptUnattested}
}

// appraisal is one request on its way to a verdict.
type appraisal struct {
	v       *Verifier
	r       *negotiation.AppraisalRequest
	verdict *negotiation.Verdict

	contents *attestation.Contents
	value    []byte // of the CMW
	media    string // its type, as the service writes it
	scheme   *attestation.ServiceScheme
	nonce    []byte // of the session: the whole challenge field
}

// check notes a step; the first error decides the verdict.
func (a *appraisal) check(name string, err *attls.Error, text string) bool {
	if err != nil {
		text = err.Detail
		if err.Field != "" {
			text = err.Field + ": " + text
		}
		if err.Rule != "" {
			text += " (" + err.Rule + ")"
		}
		if a.verdict.Failure == "" {
			a.verdict.Failure, a.verdict.Reason = err.Failure, text
		}
	}
	a.verdict.Checks = append(a.verdict.Checks, negotiation.Check{Name: name, OK: err == nil, Text: text})
	return err == nil
}

func refused(f attls.Failure, format string, args ...any) *attls.Error {
	return attls.Errorf(attls.Refused, f, format, args...)
}

// run reads the Evidence, compares, and asks.
func (a *appraisal) run(ctx context.Context) {
	if !a.check(attestation.CheckTokens, a.read(), "the Evidence is read here as well") {
		return
	}
	text := a.contents.Format.Challenge.Name + " is the challenge"
	if a.r.Challenge == nil {
		text = "nothing is bound to the handshake"
	}
	if !a.check(attestation.CheckChallenge, a.compareChallenge(), text) {
		return
	}
	if a.contents.Reading.Key != nil && !a.check(attestation.CheckKey, a.contents.Attests(a.r),
		"the key in the Evidence is the key of the handshake") {
		return
	}
	if a.check(attestation.CheckClaims, a.compareClaims(), "no further claims are missing") {
		a.ask(ctx)
	}
}

// read takes the Evidence apart, and finds out how the service calls it.
func (a *appraisal) read() *attls.Error {
	table := a.v.o.Table
	if n := len(a.r.CMW); n > maxEvidence {
		return attls.Errorf(attls.Malformed, attls.FailMalformedCMW, "%d octets; at most %d are accepted", n, maxEvidence)
	}
	if err := table.CheckForm(a.r); err != nil {
		return err
	}
	c, err := attestation.ParseCMW(a.r.CMW, attestation.Limits{Size: maxEvidence})
	if err != nil {
		return err
	}
	if c.IsCollection() {
		return attls.Errorf(attls.Refused, attls.FailAppraisal, "the service appraises one Evidence, not a "+
			"collection").By(rule)
	}
	if a.contents, err = table.Inspect(a.r.CMW, profile.ModelEvidence); err != nil {
		return err
	}
	if a.contents.Reading.Critical != nil {
		return a.contents.Reading.Critical
	}
	a.value = c.Value
	media, unknown := a.v.current().spelling(c.Format)
	if unknown != nil {
		return refused(attls.FailAppraisal, "%v", unknown)
	}
	a.media = media
	if a.scheme = a.v.kind.Scheme(c.Format); a.scheme == nil {
		return refused(attls.FailAppraisal, "nobody here knows which appraisals a result on %s has", media)
	}
	return nil
}

// compareChallenge compares the whole challenge field, and makes the nonce of it.
func (a *appraisal) compareChallenge() *attls.Error {
	if a.r.Challenge == nil {
		a.nonce = a.contents.Challenge
	} else {
		if err := a.contents.Carries(a.r.Challenge, a.r.Fit); err != nil {
			return err
		}
		field, err := a.contents.Format.Challenge.Place(a.r.Challenge, a.r.Fit)
		if err != nil {
			return err
		}
		a.nonce = field
	}
	if n := len(a.nonce); n < minNonce || n > maxNonce {
		return refused(attls.FailAppraisal, "the challenge field has %d octets; the service takes a nonce of %d to %d", n,
			minNonce, maxNonce)
	}
	return nil
}

// compareClaims wants the further claims of a profile, which are about the key, to be
// met otherwise where the format does not have them.
func (a *appraisal) compareClaims() *attls.Error {
	reading := a.contents.Reading
	switch {
	case len(a.r.Claims) == 0 || reading.Key != nil || a.bound():
		return nil
	case reading.Claim != nil:
		return a.contents.Attests(a.r)
	}
	return refused(attls.FailAppraisal, "the Evidence has no claim %s, and nothing else attests the key",
		a.r.Claims[0].Name)
}

// bound reports whether the challenge attests the key.
func (a *appraisal) bound() bool { return a.r.KeyBound && a.r.Challenge != nil }

// ask has the service judge the Evidence, and judges the result.
func (a *appraisal) ask(ctx context.Context) {
	service := a.v.current()
	result, err := a.session(ctx, service)
	if !a.check(CheckService, err, fmt.Sprintf("%s appraised it under the scheme %s", a.v.base.Host, a.scheme.Name)) {
		return
	}
	verdict := a.judge(result, service)
	if isForged(verdict) && a.v.o.Key == nil {
		if newer, err := a.v.refresh(ctx); err == nil && !bytes.Equal(newer.id, service.id) {
			verdict = a.judge(result, newer)
		}
	}
	if verdict.Failure != "" && !a.scheme.Reads(a.media) {
		verdict.Reason += "; Veraison takes this type and does not know the profile of its tokens, so have another sent"
	}
	own := a.verdict.Checks
	a.verdict = verdict
	a.verdict.Checks = append(own, verdict.Checks...)
}

// judge judges a result under the key of the service.
func (a *appraisal) judge(result []byte, s *service) *negotiation.Verdict {
	request := *a.r
	request.Challenge, request.Fit, request.KeyBound = a.nonce, profile.FitExact, a.bound()
	if request.SPKI == nil {
		request.SPKI = a.contents.SPKI // it is the whole credential, and names the key
	}
	trusted := &attestation.TrustedVerifier{Identity: []byte(a.v.base.Host), Key: s.key, Service: a.v.kind}
	return a.v.judge().AppraiseAnswer(result, trusted, a.scheme, &request)
}

// isForged reports whether a result does not verify.
func isForged(v *negotiation.Verdict) bool {
	return slices.ContainsFunc(v.Checks, func(c negotiation.Check) bool {
		return c.Name == attestation.CheckResult && !c.OK
	})
}
