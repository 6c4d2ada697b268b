package placement

import (
	"fmt"
	"slices"
	"strings"

	"attls"
)

// Kind is a kind of finding.
type Kind string

// The kinds, the gravest first.
const (
	KindCrash    Kind = "crash"          // the program ended by a signal
	KindAccepted Kind = "accepted"       // it took what it must refuse
	KindRefused  Kind = "refused"        // it refused what it must ignore
	KindSilent   Kind = "no answer"      // it neither went on nor ended in time
	KindAfter    Kind = "after an alert" // something followed a fatal alert
	KindAlert    Kind = "wrong alert"    // it refused with another alert than the text names
	KindNoAlert  Kind = "no alert"       // it refused without the alert that the text names
)

// Kinds are all kinds, the gravest first.
func Kinds() []Kind {
	return []Kind{KindCrash, KindAccepted, KindRefused, KindSilent, KindAfter, KindAlert, KindNoAlert}
}

// Private reports whether a finding of the kind may be a matter of memory safety, which is
// reported to the stack's authors alone.
func (k Kind) Private() bool { return k == KindCrash }

// Rule is what a text demands.
type Rule struct {
	Reference string // where the text is
	Says      string // in our words
}

// The rules.
var (
	ruleUnsolicited = Rule{"RFC 8446 section 4.2, RFC 9846 section 4.3",
		"an extension response that was not requested is refused with unsupported_extension"}
	rulePlace = Rule{"RFC 8446 section 4.2, RFC 9846 section 4.3",
		"an extension that is recognized and does not belong in the message is refused with illegal_parameter"}
	ruleGrammar = Rule{"RFC 8446 section 6, RFC 9846 section 6",
		"what cannot be parsed by the syntax is refused with decode_error"}
	ruleHello = Rule{"RFC 8446 section 4.1.2, RFC 9846 section 4.2.2",
		"unrecognized extensions of a ClientHello are ignored"}
	ruleRequest = Rule{"RFC 8446 section 4.3.2, RFC 9846 section 4.4.2",
		"unrecognized extensions of a CertificateRequest are ignored"}
	ruleTicket = Rule{"RFC 8446 section 4.6.1, RFC 9846 section 4.7.1",
		"unrecognized extensions of a NewSessionTicket are ignored"}
	rulePlaced = Rule{"RFC 8446 section 4.2, RFC 9846 section 4.3",
		"an extension in a message where it belongs, which asks for nothing, does not end the handshake"}
	ruleAlert = Rule{"RFC 8446 section 6.2, RFC 9846 section 6.2", "nothing is sent after a fatal alert"}
	ruleEnds  = Rule{"RFC 8446 section 6, RFC 9846 section 6",
		"what is received is answered, or the connection ends with an alert"}
)

// Result is a case with what a stack did and how that is judged.
type Result struct {
	Case
	Observation
	// Known says that the stack knows the code point, and KnownBy how it has shown that.
	Known   bool
	KnownBy string
	// Reads says that the stack reads the body in this message, or has to.
	Reads bool
	// Findings are what is wrong; none: nothing is.
	Findings []Finding
}

// Finding is one thing that is wrong.
type Finding struct {
	Kind Kind
	Rule Rule
	Want string // what the rules allow
	Got  string
}

// demand is what the rules want of a stack in a case.
type demand struct {
	refuse bool // it must refuse
	accept bool // it must go on
	alerts []attls.AlertDescription
	rule   Rule
}

// answers reports whether every extension of a message answers one of the other end.
func answers(k attls.MessageKind) bool { return k == sh || k == hrr || k == ee || k == ct }

// demandOf is what the rules want of a result whose Known and Reads are set.
func demandOf(r *Result) demand {
	c, d := &r.Case, demand{}
	if c.control() || r.Present {
		return demand{accept: true, rule: ruleEnds}
	}
	must := func(a attls.AlertDescription, r Rule) {
		d.refuse = true
		if d.alerts = append(d.alerts, a); d.rule.Reference == "" {
			d.rule = r
		}
	}
	cookie := c.Message == hrr && c.Extension == attls.ExtCookie // the one answer without a request
	if answers(c.Message) && !r.Asked && !cookie {
		must(attls.AlertUnsupportedExtension, ruleUnsolicited)
	}
	belongs := c.entry.In(c.Message) || c.Message == ch && c.entry.Legacy
	wrong := broken(c.Extension, c.Message, c.Body) && !(c.Message == ch && c.entry.Legacy)
	if !r.Known {
		if d.accept = !d.refuse && !c.entry.Assigned; d.accept {
			d.rule = ruleOf(c.Message)
		}
		return d
	}
	switch {
	case !belongs:
		must(attls.AlertIllegalParameter, rulePlace)
	case !wrong && (c.Message == cr || c.Message == nst || cookie):
		d.accept, d.rule = !d.refuse, rulePlaced
		return d
	}
	switch {
	case wrong && (r.Reads || d.refuse):
		must(attls.AlertDecodeError, ruleGrammar)
	case d.refuse && mayBreak(c.Extension, c.Message, belongs):
		d.alerts = append(d.alerts, attls.AlertDecodeError)
	}
	return d
}

// ruleOf is the rule about unknown extensions of a message.
func ruleOf(k attls.MessageKind) Rule {
	switch k {
	case ch:
		return ruleHello
	case cr:
		return ruleRequest
	}
	return ruleTicket
}

// text says what the rules allow.
func (d *demand) text() string {
	switch {
	case d.refuse:
		names := make([]string, len(d.alerts))
		for i, a := range d.alerts {
			names[i] = a.String()
		}
		return "refused with " + strings.Join(names, " or ")
	case d.accept:
		return "accepted"
	}
	return "accepted or refused"
}

// judge finds what is wrong with a result. loose says that the stack closes without
// close_notify where it accepts, so that this says nothing.
func (r *Result) judge(loose bool) {
	d := demandOf(r)
	add := func(k Kind, rule Rule) {
		r.Findings = append(r.Findings, Finding{Kind: k, Rule: rule, Want: d.text(), Got: r.Observation.String()})
	}
	if len(r.After) > 0 {
		add(KindAfter, ruleAlert)
	}
	switch {
	case r.Outcome == Unsent || r.Outcome == Closed && loose:
	case r.Outcome == Crashed:
		add(KindCrash, ruleEnds)
	case r.Outcome == Silent:
		add(KindSilent, ruleEnds)
	case d.refuse && r.Outcome == Accepted:
		add(KindAccepted, d.rule)
	case d.refuse && r.Outcome == Closed:
		add(KindNoAlert, d.rule)
	case d.refuse && (r.Outcome == Unreadable || !slices.Contains(d.alerts, *r.Alert)):
		add(KindAlert, d.rule)
	case d.accept && r.Outcome != Accepted:
		add(KindRefused, d.rule)
	}
}

// place is where a case sends its extension.
type place struct {
	role    attls.Role
	message attls.MessageKind
}

// Judge finds out which code points a stack knows, and judges all its results. It
// returns why results could not be judged: a stack that does not go on even where nothing is
// changed says nothing with an end.
func Judge(results []Result) (unjudged []string) {
	controls := map[place]*Result{}
	var stops []*Result // controls after which the stack does not go on
	for i := range results {
		if r := &results[i]; r.control() {
			controls[place{r.Role, r.Message}] = r
		}
	}
	fails := func(p place) (failed, loose bool) {
		c := controls[p]
		return c != nil && c.fails(), c != nil && c.Outcome == Closed && p.message == nst
	}
	for i := range results {
		r := &results[i]
		c := controls[place{r.Role, r.Message}]
		if c != nil && c.Outcome == Silent && r.Message == nst && r.Outcome == Silent && !r.control() {
			r.Outcome = Accepted // it does not answer close_notify, and is still there
		}
	}
	known := knowledge(results, func(p place) bool {
		failed, loose := fails(p)
		return !failed && !loose
	})
	reads := readers(results)
	for i := range results {
		r := &results[i]
		p := place{r.Role, r.Message}
		r.Findings, r.Reads = nil, r.Instead
		failed, loose := fails(p)
		if r.control() {
			if failed {
				stops = append(stops, r)
			}
			continue
		}
		r.KnownBy, r.Known = known[r.Extension]
		r.Reads = r.Reads || r.Asked || reads[read{p, r.Extension}]
		if !failed {
			r.judge(loose)
		}
	}
	return unjudgedOf(stops)
}

// fails reports whether a stack does not go on after a message without any change. After a ticket,
// some close or say nothing.
func (r *Result) fails() bool {
	return r.Outcome != Accepted && !(r.Message == nst && (r.Outcome == Silent || r.Outcome == Closed))
}

// unjudgedOf says of which messages nothing can be said, as a stack does not go on after them
// without any change. Those with the same reason are one text.
func unjudgedOf(stops []*Result) (list []string) {
	for len(stops) > 0 {
		first := stops[0]
		var names []string
		stops = slices.DeleteFunc(stops, func(r *Result) bool {
			same := r.Role == first.Role && r.Outcome == first.Outcome && r.Detail == first.Detail
			if same {
				names = append(names, r.Message.String())
			}
			return same
		})
		list = append(list, fmt.Sprintf("as a %s, it does not go on after %s without any change (%s), so nothing can be "+
			"said of it: %s", first.Role, strings.Join(names, ", "), first.Observation.String(), first.Detail))
	}
	return list
}

// ended reports whether a stack ended the connection.
func (o *Observation) ended() bool {
	return o.Outcome == Refused || o.Outcome == Closed || o.Outcome == Unreadable
}

// knowledge is how a stack has shown that it knows a code point: it sent it, or it
// refused it in a message where it ignores those that nobody knows, as it must or not.
func knowledge(results []Result, sound func(place) bool) map[attls.ExtensionType]string {
	known := map[attls.ExtensionType]string{}
	note := func(t attls.ExtensionType, how string) {
		if _, ok := known[t]; !ok {
			known[t] = how
		}
	}
	ignores := map[place]bool{}
	for i := range results {
		r := &results[i]
		for _, k := range []attls.MessageKind{ch, sh, hrr, ee, cr, ct, nst} {
			for _, t := range r.Shown[k] {
				if !attls.Grease(uint16(t)) && (!answers(k) || r.Message != ch) { // an answer may be an echo
					note(t, fmt.Sprintf("it sends it in %s", k))
				}
			}
		}
		if !r.control() && !r.entry.Assigned && r.Outcome == Accepted {
			ignores[place{r.Role, r.Message}] = true
		}
	}
	for i := range results {
		r := &results[i]
		p := place{r.Role, r.Message}
		if !r.control() && r.ended() && r.entry.Assigned && ignores[p] && sound(p) {
			note(r.Extension, fmt.Sprintf("as a %s it refuses it, %s, in %s", r.Role, r.Body, r.Message))
		}
	}
	return known
}

// read is the body of an extension in a place.
type read struct {
	place
	extension attls.ExtensionType
}

// readers are the bodies that a stack reads: of one extension in one message it accepts one and
// refuses another.
func readers(results []Result) map[read]bool {
	accepts, refuses, out := map[read]bool{}, map[read]bool{}, map[read]bool{}
	for i := range results {
		r := &results[i]
		if r.control() {
			continue
		}
		at := read{place{r.Role, r.Message}, r.Extension}
		accepts[at] = accepts[at] || r.Outcome == Accepted
		refuses[at] = refuses[at] || r.ended()
		out[at] = accepts[at] && refuses[at]
	}
	return out
}
