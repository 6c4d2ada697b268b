package attestation

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"attls"
)

// restriction is what a claims set says of when, for whom and for what it may be
// used. Whatever it says is enforced; what cannot be read is malformed.
type restriction struct {
	where    string // the claims set, for messages
	dates    dates
	audience []string // nil: for anybody
	use      uint64   // claim intuse, 0: not stated
}

// Values of intuse (RFC 9711 section 4.3.3) that allow to prove a key in a
// handshake.
const (
	useGeneric           = 1
	useProofOfPossession = 5
)

// readRestriction reads the restrictions of a CBOR claims set.
func readRestriction(where string, c claims) (r restriction, err *attls.Error) {
	r.where = where
	if r.dates, err = readDates(c); err != nil {
		return r, under(err, where)
	}
	if raw, ok := c[claimAudience]; ok {
		if r.audience, err = audience(raw); err != nil {
			return r, under(under(err, "aud"), where)
		}
	}
	if ok, err := c.read(claimUse, &r.use); err != nil || ok && r.use == 0 {
		return r, under(malformed(-1, "RFC 9711 4.3.3", "an intended use is an integer from 1").Under("intuse"), where)
	}
	return r, nil
}

func audience(raw []byte) ([]string, *attls.Error) {
	if raw[0]>>5 == majorText {
		s := scanner{b: raw}
		text, err := s.text()
		return []string{text}, err
	}
	var list []string
	if isNull(raw) || decoding.Unmarshal(shortest(raw), &list) != nil || len(list) == 0 {
		return nil, malformed(-1, "RFC 7519 4.1.3", "an audience is text or a list of texts")
	}
	return list, nil
}

// allows checks a restriction at the time of an appraisal.
func (v *Verifier) allows(r *restriction, at time.Time, skew time.Duration) *attls.Error {
	if err := r.dates.check(at, skew); err != nil {
		return under(err, r.where)
	}
	if r.audience != nil && !slices.ContainsFunc(r.audience, v.answersTo) {
		return refused(attls.FailAppraisal, "RFC 7519 4.1.3", "it is meant for %q, which is nobody here", r.audience).
			Under(r.where)
	}
	if r.use != 0 && r.use != useGeneric && r.use != useProofOfPossession {
		return refused(attls.FailAppraisal, "RFC 9711 4.3.3", "its intended use (intuse) is %d; %d and %d allow a handshake",
			r.use, useGeneric, useProofOfPossession).Under(r.where)
	}
	return nil
}

// answersTo reports whether an audience is this Verifier.
func (v *Verifier) answersTo(name string) bool {
	return name != "" && (name == v.Identity || slices.Contains(v.Audiences, name))
}

// dates are the claims that limit a token in time (RFC 7519 sections 4.1.4 to
// 4.1.6, RFC 8392 section 3.1). A nil one is absent.
type dates struct {
	expires, notBefore, issued *time.Time
}

const (
	ruleDates  = "RFC 8392 3.1"
	ruleIssued = "RFC 9711 4.3.1"
)

// farthest bounds a date, in seconds before and after 1970: beyond it a date says
// never, and arithmetic with it would wrap.
const farthest = 1 << 40

func secondsOf(v float64) *time.Time {
	t := time.Unix(int64(max(-farthest, min(farthest, v))), 0)
	return &t
}

// readDates reads the dates of a CBOR claims set. A fraction of a second is legal
// in exp and nbf (RFC 8392 section 2) and counts against the token; RFC 9711 wants
// iat to be an integer.
func readDates(c claims) (d dates, err *attls.Error) {
	if d.expires, err = c.date(claimExpires, math.Floor); err != nil {
		return d, err
	}
	if d.notBefore, err = c.date(claimNotBefore, math.Ceil); err != nil {
		return d, err
	}
	d.issued, err = c.date(claimIssuedAt, nil)
	return d, err
}

// date reads a NumericDate, which is an integer or, if it may be rounded, a number
// in floating point, without a tag.
func (c claims) date(label int64, round func(float64) float64) (*time.Time, *attls.Error) {
	raw, ok := c[label]
	if !ok {
		return nil, nil
	}
	s := scanner{b: raw}
	major, arg, _, err := s.head()
	if err != nil {
		return nil, under(err, label)
	}
	switch {
	case major == majorUnsigned:
		return secondsOf(float64(arg)), nil
	case major == majorNegative:
		return secondsOf(-1 - float64(arg)), nil
	case major == majorSimple && raw[0] >= 0xf9 && raw[0] <= 0xfb:
		if round == nil {
			return nil, malformed(-1, ruleIssued, "a number in floating point where an integer belongs").Under("iat")
		}
		var v float64
		if e := decoding.Unmarshal(raw, &v); e == nil && !math.IsNaN(v) && !math.IsInf(v, 0) {
			return secondsOf(round(v)), nil
		}
	}
	return nil, malformed(-1, ruleDates, "%s where a date in seconds belongs", majorNames[major]).Under(dateNames[label])
}

var dateNames = map[int64]string{claimExpires: "exp", claimNotBefore: "nbf", claimIssuedAt: "iat"}

var (
	errNoDate    = errors.New("not a date in seconds")
	errNoInteger = fmt.Errorf("a number in floating point where an integer belongs (%s)", ruleIssued)
)

// jsonDate reads a NumericDate of JSON. One that may not be rounded has neither a
// fraction nor an exponent.
func jsonDate(v any, round func(float64) float64) (*time.Time, error) {
	n, ok := v.(json.Number)
	if !ok {
		return nil, errNoDate
	}
	integer := !strings.ContainsAny(n.String(), ".eE")
	if !integer && round == nil {
		return nil, errNoInteger
	}
	seconds, err := strconv.ParseFloat(n.String(), 64)
	if err != nil && !math.IsInf(seconds, 0) {
		return nil, errNoDate
	}
	if !integer {
		seconds = round(seconds)
	}
	return secondsOf(seconds), nil
}

// check compares the dates with the time of the appraisal. Clocks may differ by
// skew.
func (d *dates) check(at time.Time, skew time.Duration) *attls.Error {
	switch {
	case d.expires != nil && !at.Before(d.expires.Add(skew)):
		return refused(attls.FailAppraisal, ruleDates, "expired at %v", d.expires.UTC())
	case d.notBefore != nil && d.notBefore.After(at.Add(skew)):
		return refused(attls.FailAppraisal, ruleDates, "valid from %v, which is not yet", d.notBefore.UTC())
	case d.issued != nil && d.issued.After(at.Add(skew)):
		return refused(attls.FailAppraisal, ruleDates, "issued at %v, which is not yet", d.issued.UTC())
	}
	return nil
}

// soonest is the earlier of a time and exp.
func (d *dates) soonest(end time.Time) time.Time {
	if d.expires != nil && d.expires.Before(end) {
		return *d.expires
	}
	return end
}
