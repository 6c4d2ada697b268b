package cases

import (
	"fmt"
	"slices"

	"attls"
	"attls/conformance/scenario"
	"attls/extensions/profile"
	"attls/internal/rule"
)

// tlsFault is a breach of a rule of TLS 1.3 itself, or something unusual that the
// rules allow, in a connection without attestation.
type tlsFault struct {
	name    string
	rule    rule.Rule // "": none that can be turned off
	does    string
	failure attls.Failure // "": the receiver must take it
	by      attls.Role    // the receiver
	at      attls.MessageKind
	apply   func(*scenario.Setup)
	set     func(*scenario.Scenario)
	several bool // groups in ClientHello; otherwise one to a server, so that it asks for no other
	any     bool // the text names no alert
	may     bool // the text lets the receiver go without the check
}

// refused is a row of the table of what a receiver must reject.
func refused(name string, r rule.Rule, does string, f attls.Failure, by attls.Role, at attls.MessageKind, apply func(*scenario.Setup), more ...tlsOption) tlsFault {
	k := tlsFault{name: name, rule: r, does: does, failure: f, by: by, at: at, apply: apply}
	for _, o := range more {
		o(&k)
	}
	return k
}

// taken is a row of the table of what a receiver must take.
func taken(name string, r rule.Rule, does string, by attls.Role, apply func(*scenario.Setup), more ...tlsOption) tlsFault {
	return refused(name, r, does, "", by, attls.KindNone, apply, more...)
}

// tlsOption is what only some rows have.
type tlsOption func(*tlsFault)

// anyAlert: the text says that the handshake ends, or that something must not be
// sent, and names no alert.
func anyAlert(k *tlsFault) { k.any = true }

// mayPass: the text lets the receiver go without the check.
func mayPass(k *tlsFault) { k.any, k.may = true, true }

// severalGroups: the client offers all groups that it has.
func severalGroups(k *tlsFault) { k.several = true }

// in makes the connection one of a certain sort.
func in(set ...func(*scenario.Scenario)) tlsOption {
	return func(k *tlsFault) {
		k.set = func(s *scenario.Scenario) {
			for _, f := range set {
				f(s)
			}
		}
	}
}

func retried(s *scenario.Scenario)      { s.HelloRetry = true }
func cookied(s *scenario.Scenario)      { s.Cookie = true }
func mutual(s *scenario.Scenario)       { s.ClientCertificate = true }
func withProtocol(s *scenario.Scenario) { s.ALPN = "yes" }

// bothWays is a row for each end as the sender; the name of each ends in the
// sender's.
func bothWays(of func(sender attls.Role) tlsFault) []tlsFault {
	var list []tlsFault
	for _, sender := range attls.Roles() {
		k := of(sender)
		k.name += "." + sender.String()
		list = append(list, k)
	}
	return list
}

// tlsFaults is the whole table.
func tlsFaults() []tlsFault {
	return slices.Concat(helloFaults, answerFaults, retryFaults, sessionFaults, flightFaults(), recordFaults(), tolerances())
}

// fault is the row in a scenario of plain TLS.
func (k *tlsFault) fault(s scenario.Scenario) Fault {
	s.Attester, s.Model, s.Credential = scenario.AttestNone, "", ""
	if k.set != nil {
		k.set(&s)
	}
	if k.by == server && !k.several && s.Group == "" && !s.HelloRetry {
		s.Group = attls.GroupX25519.String()
	}
	f := Fault{Name: k.name, Failure: k.failure, Does: k.does, AnyAlert: k.any, MayPass: k.may, Scenario: s,
		rejects: k.by, at: k.at, rule: k.rule, apply: k.apply}
	if s.HelloRetry && s.Group != "" {
		f.apply = func(set *scenario.Setup) {
			retryTo(set, s.Group)
			k.apply(set)
		}
	}
	if k.failure == "" {
		f.Takes, f.Scenario.Tolerate, f.Scenario.Fail = k.by.String(), k.name, ""
		return f
	}
	f.expect(nil, profile.AlertAction{Alert: attls.DefaultAlert(k.failure)})
	f.Scenario.Fail, f.Scenario.Tolerate = k.name, ""
	return f
}

// retryTo lets the client offer a group after one that the server does not have,
// of which it sends a share.
func retryTo(s *scenario.Setup, group string) {
	g, _ := attls.GroupByName(group)
	s.Ends[client].Config.Groups = []attls.NamedGroup{attls.GroupX25519, g}
	s.Ends[server].Config.Groups = []attls.NamedGroup{g}
	s.Ends[server].Config.Retry.Always = false
}

// TLSFaults lists what can be done wrong or oddly in plain TLS 1.3.
func TLSFaults(s scenario.Scenario) []Fault {
	table := tlsFaults()
	list := make([]Fault, 0, len(table))
	for i := range table {
		list = append(list, table[i].fault(s))
	}
	return list
}

func findTLSFault(s scenario.Scenario, name string) (*Fault, error) {
	table := tlsFaults()
	for i := range table {
		if table[i].name == name {
			f := table[i].fault(s)
			return &f, nil
		}
	}
	return nil, fmt.Errorf("nothing called %q can be provoked in TLS 1.3 without a profile", name)
}

// tlsCases are the cases of TLS 1.3 itself.
func tlsCases() []Case {
	var list []Case
	for _, f := range TLSFaults(scenario.Scenario{}) {
		list = append(list, f.asCase(nil))
	}
	return append(list, tlsChecks...)
}
