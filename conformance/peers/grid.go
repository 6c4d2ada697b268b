package peers

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"

	"attls"
	"attls/conformance/claims"
	"attls/conformance/scenario"
	"attls/extensions/profile"
)

// Options choose the cases of a grid.
type Options struct {
	// Pairs are the stacks that meet, client and server.
	Pairs [][2]string
	// Plain are stacks that meet in plain TLS, in suites and groups of their own,
	// with and without a client's certificate.
	Plain [][2]string
	// Stacks are asked what they cannot do, so that a selection is made of what
	// they can. None: everything can be selected.
	Stacks []Peer
	// RawKeys are stacks that meet with raw public keys (RFC 7250), in plain TLS and
	// with an attestation in addition.
	RawKeys [][2]string
	// Renumbered are stacks that meet with other code points than the texts'.
	Renumbered [][2]string
	// Prototype are stacks that meet under the proof of concept's profile, if that
	// is among Profiles, in the suites and groups that its programs have.
	Prototype [][2]string
	Profiles  []string
	// Interpreted are stacks of which one interprets compiled profiles: those of
	// Compiled, by name or file. Doubled are stacks that have the same profiles as
	// programs and interpreted.
	Interpreted [][2]string
	Doubled     [][2]string
	Compiled    []string
	// Later are stacks that meet where something is attested after the handshake, under the
	// profiles of Compiled.
	Later [][2]string
	// Brief has each combination of Compiled once for each of Interpreted, and nothing
	// else.
	Brief  bool
	Suites []string
	Groups []string
	// Resumptions are the uses of a ticket; "", and an empty list: there is none.
	Resumptions []scenario.Resumption
	// Splittings are how handshake messages and records are cut. With Full they take
	// turns instead of multiplying the cases.
	Splittings []Splitting
	// Any holds every case that some choice of Brief and Full holds.
	Any bool
	// Full takes every combination; otherwise a selection holds, for each of Pairs,
	// every pair of values of two different dimensions that occurs in one of them.
	Full bool
	// Faults adds, for each pair and combination, what our engine can do wrong or
	// oddly and the other end must reject or take.
	Faults bool
	// Chosen reports whether a case is wanted, so that a selection of faults is made of
	// the cases that are; nil: all are.
	Chosen func(*Case) bool
	// Roots adds, for each pair and combination, the Evidence of roots of trust, by
	// name, where the profile can carry it. Another stack makes and judges it with the
	// same command.
	Roots []string
	// Sizes adds, for each pair and each combination in which one end sends
	// Evidence, Evidence of so many octets.
	Sizes []int
}

// Splitting is how this stack cuts what it sends, in process.
type Splitting struct {
	Fragment int // as Scenario.Fragment
	Split    int // as Scenario.Split
}

// Defaults are the dimensions that our engine and mbedTLS share. others are stacks
// that meet ours in plain TLS in addition to those that always do.
func Defaults(others ...string) Options {
	plain := append(with("attls-command", "mbedtls", "mbedtls-unpatched", "crypto/tls", "openssl", "gnutls"),
		with(others...)...)
	return Options{
		Pairs: append(with("mbedtls", "attls-command"),
			[][2]string{{"attls-command", "mbedtls"}, {"mbedtls", "attls-command"}}...),
		Plain:       append(plain, [][2]string{{"mbedtls", "crypto/tls"}, {"crypto/tls", "mbedtls"}}...),
		Renumbered:  with("mbedtls"),
		RawKeys:     with(append([]string{"mbedtls", "attls-command", "gnutls"}, others...)...),
		Prototype:   prototypePairs,
		Interpreted: with(interpreterName),
		Doubled:     [][2]string{{interpreterName, "mbedtls"}, {"mbedtls", interpreterName}},
		Later:       append([][2]string{{"attls", "attls"}}, with("attls-command", interpreterName)...),
		Compiled:    profile.Names(),
		Profiles:    []string{"early-attestation-06", "tls-attestation-07", prototypeProfile},
		Suites:      []string{"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"},
		Groups:      []string{"x25519", "secp256r1", "secp384r1", "secp521r1"},
		Resumptions: []scenario.Resumption{"", scenario.ResumeWithDHE, scenario.ResumePSKOnly, scenario.ResumeRefused,
			scenario.ResumeUnattested},
		Splittings: []Splitting{{}, {Fragment: 64}, {Split: 7}, {Fragment: 16, Split: 3}},
	}
}

// Under narrows the cases to profiles, by name or file: nobody meets in plain TLS, and,
// without Full, no stack as a program of its own that is here in the process as well.
func (o *Options) Under(profiles []string) {
	o.Profiles, o.Compiled, o.Plain = profiles, profiles, nil
	o.RawKeys = with((MbedTLS{}).Name())
	if !o.Full {
		o.Pairs = with((MbedTLS{}).Name())
	}
}

// point is a case as the values of its dimensions.
type point struct {
	pair, combination, suite, group, retry, resumption, splitting int
}

// values lists a point's coordinates.
func (p point) values() []int {
	return []int{p.pair, p.combination, p.suite, p.group, p.retry, p.resumption, p.splitting}
}

// Cases lists the cases in a fixed order.
func Cases(o Options) ([]Case, error) {
	if o.Any {
		return anyCases(o)
	}
	if len(o.Resumptions) == 0 {
		o.Resumptions = []scenario.Resumption{""}
	}
	everything, err := allowed(o.Profiles)
	if err != nil {
		return nil, err
	}
	if o.Brief {
		return brief(&o, everything), nil
	}
	combinations, _ := apart(everything)
	all := points(&o, combinations)
	selected := o.cover(all)
	if o.Full {
		selected = o.full(all, selected, combinations)
	}
	var cases []Case
	for _, p := range selected {
		cases = append(cases, o.at(p, combinations))
	}
	more, err := interpreted(&o, combinations)
	if err != nil {
		return nil, err
	}
	cases = append(cases, more...)
	after, err := later(&o)
	if err != nil {
		return nil, err
	}
	cases = append(append(cases, after...), plain(&o)...)
	cases = append(cases, sized(&o, everything)...)
	rooted, err := rooted(&o, everything)
	if err != nil {
		return nil, err
	}
	cases = append(cases, rooted...)
	cases = append(cases, renumbered(&o, scenarios(everything))...)
	cases = append(cases, rawKeys(&o, combinations)...)
	if o.Faults {
		list := append(faults(o.Pairs, scenarios(everything)), plainFaults(o.Plain)...)
		if more, err := interpretedFaults(&o); err != nil {
			return nil, err
		} else {
			list = append(list, more...)
		}
		if !o.Full {
			list = coverFaults(&o, list)
		}
		cases = append(cases, list...)
	}
	if len(o.Prototype) > 0 && slices.Contains(o.Profiles, prototypeProfile) {
		more, err := Cases(prototypeOptions(o))
		if err != nil {
			return nil, err
		}
		cases = append(cases, more...)
	}
	return cases, nil
}

// anyCases are those of Options.Any, each once.
func anyCases(o Options) (all []Case, err error) {
	known := map[string]bool{}
	type choice struct{ full, brief, faults bool }
	choices := []choice{{true, false, true}, {false, false, true}, {}, {false, true, false}}
	if len(o.Interpreted) == 0 {
		choices = choices[:1] // the whole grid, from which others select
	}
	for _, choice := range choices {
		of := o
		of.Any, of.Full, of.Brief, of.Faults = false, choice.full, choice.brief, choice.faults
		cases, err := Cases(of)
		if err != nil {
			return nil, err
		}
		for i := range cases {
			if name := cases[i].String(); !known[name] {
				known[name] = true
				all = append(all, cases[i])
			}
		}
	}
	return all, nil
}

// at is the case of a point.
func (o *Options) at(p point, combinations []combination) Case {
	s := combinations[p.combination].Scenario
	s.Suite, s.Group, s.HelloRetry, s.Resumption = o.Suites[p.suite], o.Groups[p.group], p.retry == 1,
		o.Resumptions[p.resumption]
	if len(o.Splittings) > 0 {
		s.Fragment, s.Split = o.Splittings[p.splitting].Fragment, o.Splittings[p.splitting].Split
	}
	return between(o.Pairs[p.pair], s)
}

// points are all combinations of values that can occur together.
func points(o *Options, combinations []combination) []point {
	var points []point
	for pair := range o.Pairs {
		for c := range combinations {
			for s := range o.Suites {
				for g := range o.Groups {
					for retry := range 2 {
						for r := range o.Resumptions {
							// A combination that resumes nothing has one case, which says why.
							why := s == 0 && g == 0 && retry == 0 && r == 1
							if why || combinations[c].resumes(o.Resumptions[r], retry == 1) {
								for cut := range o.splittings(pair, &combinations[c]) {
									points = append(points, point{pair, c, s, g, retry, r, cut})
								}
							}
						}
					}
				}
			}
		}
	}
	return points
}

// cover selects points of each pair of stacks by itself.
func (o *Options) cover(points []point) (selected []point) {
	for pair := range o.Pairs {
		selected = append(selected, cover(slices.DeleteFunc(slices.Clone(points), func(p point) bool {
			return p.pair != pair
		}))...)
	}
	return selected
}

// splittings are how many ways of cutting there are for a scenario: it is the stack
// in this process that cuts.
func (o *Options) splittings(pair int, c *combination) int {
	if !c.fragmentable || !slices.Contains(o.Pairs[pair][:], (InProcess{}).Name()) {
		return 1
	}
	return max(1, len(o.Splittings))
}

// renumbered are the cases in which every code point of a profile has another
// number than the text's, one for each combination.
func renumbered(o *Options, combinations []scenario.Scenario) []Case {
	if len(o.Renumbered) == 0 {
		return nil
	}
	points := map[string]map[string]uint64{} // of each profile
	for i := range combinations {
		s := &combinations[i]
		if points[s.Profile] != nil {
			continue
		}
		if p, err := s.Load(); err == nil { // as allowed has
			points[s.Profile] = otherCodePoints(p)
		}
	}
	var cases []Case
	for _, pair := range o.Renumbered {
		for _, s := range combinations {
			s.CodePoints = points[s.Profile]
			cases = append(cases, between(pair, s))
		}
	}
	return cases
}

// otherCodePoints gives each code point of a profile another number: extensions one
// for private use, alerts and types of certificates one that differs in a bit.
func otherCodePoints(p *profile.Profile) map[string]uint64 {
	points := map[string]uint64{}
	for i, x := range slices.Concat(p.Extensions, p.LaterExtensions) {
		points["extensions."+x.Name] = 0xff80 + uint64(i)
	}
	if r := &p.Authenticator; r.FlagName != "" {
		points["flags."+r.FlagName] = uint64(r.Flag) ^ 0x10
	}
	for n, name := range p.AlertNames {
		points["alerts."+name] = uint64(n) ^ 0x10
	}
	for n, name := range p.CertificateTypes {
		points["certificate_types."+name] = uint64(n) ^ 0x10
	}
	return points
}

// rawKeys are the cases with raw public keys: of the server, of both ends, and
// beside each attestation that can go beside an X.509 certificate.
func rawKeys(o *Options, combinations []combination) []Case {
	var cases []Case
	for _, pair := range o.RawKeys {
		list := combinations
		if o.Plain != nil {
			list = append([]combination{{Scenario: scenario.Scenario{Attester: scenario.AttestNone}},
				{Scenario: scenario.Scenario{Attester: scenario.AttestNone, ClientCertificate: true}}}, combinations...)
		}
		for i := range list {
			s := list[i].Scenario
			if len(s.Attester.Roles()) > 0 && s.Credential != claims.CredentialX509 || list[i].inX509 {
				continue
			}
			s.RawPublicKeys, s.Group, s.HelloRetry = true, o.Groups[i%len(o.Groups)], i%2 == 1
			if c := between(pair, s); s.Profile == "" || o.limit(&c) == "" {
				cases = append(cases, c)
			}
		}
	}
	return cases
}

// full leaves out those points that are not selected and whose splitting it is not
// the turn of.
func (o *Options) full(points, selected []point, combinations []combination) []point {
	chosen := map[point]bool{}
	for _, p := range selected {
		chosen[p] = true
	}
	return slices.DeleteFunc(points, func(p point) bool {
		turn := (p.combination + p.suite + p.group + p.retry + p.resumption) % o.splittings(p.pair,
			&combinations[p.combination])
		return p.splitting != turn && !chosen[p]
	})
}

func scenarios(combinations []combination) []scenario.Scenario {
	var list []scenario.Scenario
	for i := range combinations {
		list = append(list, combinations[i].Scenario)
	}
	return list
}

// combination is one that a profile allows, as a scenario.
type combination struct {
	scenario.Scenario
	resumable    bool          // the profile has tickets
	fragmentable bool          // and lets messages spread over several records
	unasked      bool          // the server attests to clients that know nothing of the profile, too
	inX509       bool          // Evidence is in certificates, which raw public keys have not
	retries      bool          // what is attested is answered in HelloRetryRequest
	phase        profile.Phase // when somebody attests, the latest
	repeats      bool          // after the handshake, more than once
}

// combine is a combination that a profile allows, in a scenario of that profile.
func combine(p *profile.Profile, of *scenario.Scenario, c scenario.Combination) combination {
	k := combination{Scenario: of.With(c), resumable: ticketed(p), fragmentable: !p.Quirks.NeverFragment}
	k.PostHandshake = k.PostHandshake || p.AttestsOnlyAfter() && c.Attester.Has(attls.RoleClient)
	for _, role := range c.Attester.Roles() {
		k.phase = max(k.phase, phaseOf(&k.Scenario, role))
	}
	k.repeats = k.phase == profile.PhaseAuthenticator && p.Authenticator.Repeats()
	for i := range p.Slots {
		s := &p.Slots[i]
		row, there := p.CredentialFor(i, profile.KindX509)
		k.unasked = k.unasked || s.Always && s.Attester == attls.RoleServer &&
			(s.Nonce.Message == attls.KindNone || s.Nonce.Random)
		k.retries = k.retries || p.AnswersInRetry(i) && c.Attester.Has(s.Attester)
		k.inX509 = k.inX509 || there && row.Carrier == profile.CarrierCertificate && c.Attester.Has(s.Attester)
	}
	return k
}

// resumes reports whether something can become of a ticket so, with or without a HelloRetryRequest.
func (c *combination) resumes(r scenario.Resumption, retry bool) bool {
	switch {
	case r == "":
		return true
	case c.phase != profile.PhaseHandshake && r == scenario.ResumeUnattested: // a server insists on frames
		return false
	case c.phase == profile.PhaseFrame && r != scenario.ResumeRefused: // there is no certificate to attest
		return false
	}
	switch r {
	case scenario.ResumeUnattested: // a server that relies on the client has it attest at once
		return c.resumable && c.Attester == scenario.AttestServer && !c.unasked
	case scenario.ResumeWithDHE, scenario.ResumePSKOnly: // a HelloRetryRequest that answers settles for certificates
		return c.resumable && !(c.retries && retry)
	}
	return c.resumable
}

// allowed are the combinations that the profiles allow.
func allowed(profiles []string) ([]combination, error) {
	var list []combination
	seen := map[string]string{} // where each identifier is from
	for _, name := range profiles {
		p, err := profile.Load(name, profile.Options{})
		if err != nil {
			return nil, err
		}
		of := scenario.Scenario{Profile: p.ID}
		if profile.IsFile(name) { // the other end and a repetition elsewhere must find it
			of.Called = p.ID
			if of.Profile, err = filepath.Abs(name); err != nil {
				return nil, err
			}
		}
		if seen[p.ID] != "" && seen[p.ID] != of.Profile {
			return nil, fmt.Errorf("%s and %s are both called %s; change the key profile of one", seen[p.ID], name, p.ID)
		}
		if seen[p.ID] != "" {
			continue
		}
		seen[p.ID] = of.Profile
		for _, c := range scenario.Combinations(p) {
			if c.Reason == "" {
				list = append(list, combine(p, &of, c))
			}
		}
	}
	return list, nil
}

// coordinates is a case as the values of its dimensions.
type coordinates interface{ values() []int }

// pairNumbers gives each pair of values of two dimensions a number: first come the
// pairs of the first two dimensions.
func pairNumbers[P coordinates](points []P) (pairs [][]int, numbers int) {
	values := make([][]int, len(points))
	var sizes []int // of the dimensions
	for i, p := range points {
		values[i] = p.values()
		if sizes == nil {
			sizes = make([]int, len(values[i]))
		}
		for d, v := range values[i] {
			sizes[d] = max(sizes[d], v+1)
		}
	}
	pairs = make([][]int, len(points))
	for i := range sizes {
		for j := i + 1; j < len(sizes); j++ {
			for k, v := range values {
				pairs[k] = append(pairs[k], numbers+v[i]*sizes[j]+v[j])
			}
			numbers += sizes[i] * sizes[j]
		}
	}
	return pairs, numbers
}

// cover selects points until every pair of values is in one: always the first
// point that brings the most new pairs.
func cover[P coordinates](points []P) []P {
	pairs, numbers := pairNumbers(points)
	open, left := make([]bool, numbers), 0
	most := make([]int, len(points)) // that each can bring; it never grows
	for i := range points {
		most[i] = len(pairs[i])
		for _, n := range pairs[i] {
			if !open[n] {
				open[n], left = true, left+1
			}
		}
	}
	var chosen []P
	for left > 0 {
		best := -1
		for i := range points {
			if best >= 0 && most[i] <= most[best] {
				continue
			}
			most[i] = 0
			for _, n := range pairs[i] {
				if open[n] {
					most[i]++
				}
			}
			if most[i] > 0 && (best < 0 || most[i] > most[best]) {
				best = i
			}
		}
		for _, n := range pairs[best] {
			open[n] = false
		}
		left -= most[best]
		chosen = append(chosen, points[best])
	}
	return chosen
}

// RunAll runs cases and hands on each result as it comes, one at a time. Where
// ctx ends, it stops what is under way and returns; a case that this ended has no
// result. The results are in the order of the cases.
func RunAll(ctx context.Context, cases []Case, peers []Peer, settings Settings, each func(*Result)) []Result {
	byName := map[string]Peer{}
	for _, p := range peers {
		byName[p.Name()] = p
	}
	if settings.versions == nil {
		settings.versions = &versions{}
	}
	results := make([]*Result, len(cases))
	next := make(chan int)
	var mu sync.Mutex
	var wait sync.WaitGroup
	for range settings.parallel() {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for i := range next {
				r := Run(ctx, cases[i], byName, settings)
				mu.Lock()
				if ctx.Err() == nil || r.Status != Failed {
					results[i] = &r
					each(&r)
				}
				mu.Unlock()
			}
		}()
	}
	for i := 0; i < len(cases) && ctx.Err() == nil; i++ {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	wait.Wait()
	list := make([]Result, 0, len(results))
	for _, r := range results {
		if r != nil {
			list = append(list, *r)
		}
	}
	return list
}
