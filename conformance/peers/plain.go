package peers

import (
	"slices"

	"attls"
	"attls/conformance/scenario"
)

// with are the pairs of our engine with other stacks, in both directions.
func with(names ...string) [][2]string {
	var pairs [][2]string
	for _, n := range names {
		pairs = append(pairs, [2]string{(InProcess{}).Name(), n}, [2]string{n, (InProcess{}).Name()})
	}
	return pairs
}

// plainSuites and plainGroups are those of plain TLS. Without a suite both ends
// choose.
var (
	plainSuites = []string{"", attls.TLS_AES_128_GCM_SHA256.String(), attls.TLS_AES_256_GCM_SHA384.String(),
		attls.TLS_CHACHA20_POLY1305_SHA256.String(),
		attls.TLS_AES_128_CCM_SHA256.String(), attls.TLS_AES_128_CCM_8_SHA256.String()}
	plainGroups = append([]string{"x25519", "secp256r1", "secp384r1", "secp521r1"}, hybrids...)
)

// hybrids are the groups with ML-KEM.
var hybrids = []string{"X25519MLKEM768", "SecP256r1MLKEM768", "SecP384r1MLKEM1024"}

// plainPoint is a case of plain TLS as the values of its dimensions.
type plainPoint struct {
	pair, suite, group, retry, certificate, resumption int
}

func (p plainPoint) values() []int {
	return []int{p.pair, p.suite, p.group, p.retry, p.certificate, p.resumption}
}

func (p plainPoint) on(o *Options) Case {
	return Case{o.Plain[p.pair][0], o.Plain[p.pair][1], scenario.Scenario{
		Attester: scenario.AttestNone, Suite: plainSuites[p.suite],
		Group: plainGroups[p.group], HelloRetry: p.retry == 1, ClientCertificate: p.certificate == 1,
		Resumption: o.Resumptions[p.resumption]}}
}

// plain are the cases of plain TLS: of what each pair of stacks can do, all or a
// selection, and of what it cannot do, all or one for each reason.
func plain(o *Options) []Case {
	limits := map[string]bool{}
	var points []plainPoint
	var cases []Case
	for _, p := range plainPoints(o) {
		c := p.on(o)
		reason := o.limit(&c)
		if reason == "" {
			points = append(points, p)
		} else if o.Full || !limits[reason] {
			limits[reason] = true
			cases = append(cases, c)
		}
	}
	if !o.Full {
		points = cover(points)
	}
	for _, p := range points {
		cases = append(cases, p.on(o))
	}
	return append(append(cases, keyUpdates(o)...), earlyData(o)...)
}

// earlyData are the cases with 0-RTT data: taken with either mode of the key, and rejected with
// the ticket and by a HelloRetryRequest. Of what a pair cannot do, one for each reason.
func earlyData(o *Options) (cases []Case) {
	limits := map[string]bool{}
	for _, pair := range o.Plain {
		for _, s := range []scenario.Scenario{{Resumption: scenario.ResumeWithDHE}, {Resumption: scenario.ResumePSKOnly},
			{Resumption: scenario.ResumeRefused}, {Resumption: scenario.ResumeWithDHE, Group: "secp256r1", HelloRetry: true}} {
			s.Attester, s.EarlyData = scenario.AttestNone, true
			s.Group = or(s.Group, plainGroups[0])
			c := between(pair, s)
			if reason := o.limit(&c); reason == "" || o.Full || !limits[reason] {
				limits[reason] = limits[reason] || reason != ""
				cases = append(cases, c)
			}
		}
	}
	return cases
}

// keyUpdates are the cases in which an end begins a KeyUpdate: each that this engine can begin
// or has to answer.
func keyUpdates(o *Options) (cases []Case) {
	for _, pair := range o.Plain {
		if !slices.Contains(pair[:], (InProcess{}).Name()) {
			continue // who begins is not told apart
		}
		for _, role := range roles {
			cases = append(cases, between(pair, scenario.Scenario{Attester: scenario.AttestNone, Group: plainGroups[0],
				KeyUpdate: role.String()}))
		}
	}
	return cases
}

// plainPoints are all combinations of values.
func plainPoints(o *Options) (points []plainPoint) {
	for pair := range o.Plain {
		for s := range plainSuites {
			for g := range plainGroups {
				for choice := range 4 * len(o.Resumptions) {
					if o.Resumptions[choice>>2] == scenario.ResumeUnattested {
						continue // as everything here is
					}
					points = append(points, plainPoint{pair, s, g, choice & 1, choice >> 1 & 1, choice >> 2})
				}
			}
		}
	}
	return points
}

// limit is the reason for which one of Stacks cannot take part in a case; empty
// when all can, as far as is known.
func (o *Options) limit(c *Case) string {
	for _, p := range o.Stacks {
		for _, role := range roles {
			if c.Stack(role) != p.Name() {
				continue
			}
			if reason := p.Limit(&c.Scenario, role); reason != "" {
				return p.Name() + " " + role.String() + " " + reason
			}
		}
	}
	return ""
}
