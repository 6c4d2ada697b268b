package lab

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"attls"
	"attls/conformance/claims"
)

// measures are what the bound of a measurement counts.
var measures = map[string]string{
	"evidence_made":   "payloads that the attester's platform made",
	"read_after":      "octets of application data of a later epoch that M could read",
	"accepted_anyway": "1 if the relying party accepted, else 0",
	"message_octets":  "octets of the largest message that the relying party took in",
}

// result says how the run ended.
func (r *run) result() *Result {
	out := r.outcome()
	if r.repeats() {
		out.Recording = r.recording()
	}
	out.Measured = map[string]int{"evidence_made": r.w.made}
	if out.Outcome == Accepted {
		out.Measured["accepted_anyway"] = 1
	}
	if r.script.Kind == KindMeasurement && !slices.Contains(r.done, false) {
		out.Outcome, out.Detail = Measured, ""
	}
	for _, c := range r.conns {
		for _, t := range c.taps {
			for _, m := range t.seen {
				out.Measured["message_octets"] = max(out.Measured["message_octets"], len(m.Bytes))
			}
		}
	}
	if r.detailed {
		out.Detailed = r.detail()
	}
	return out
}

// repeats reports whether the run sends the same octets again: tickets are sealed under
// keys that are drawn, and so are keys of RSA and whatever a program sends.
func (r *run) repeats() bool {
	if r.programs != nil {
		return false
	}
	for _, role := range attls.Roles() {
		if r.setting(role, "resumption").Text == "yes" || r.setting(role, "early_data").Text == "yes" ||
			r.setting(role, "key").Text == "rsa" {
			return false
		}
	}
	return true
}

// recording is the hash of what was sent on all connections.
func (r *run) recording() string {
	h := sha256.New()
	for _, c := range r.conns {
		for _, role := range attls.Roles() {
			b := c.pair.Wire(role)
			fmt.Fprintf(h, "%s %s %d\n", c.name, role, len(b))
			h.Write(b)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// judged is the connection on which the relying party concludes: the last one that it has.
func (r *run) judged() *connection {
	for i := len(r.conns) - 1; i >= 0; i-- {
		if c := r.conns[i]; c.honest[r.combo.role.Peer()] && !c.over {
			return c
		}
	}
	return nil
}

func (r *run) outcome() *Result {
	if broken := r.brokenPrograms(); broken != nil {
		return broken
	}
	judge := r.judged()
	order := append([]*connection{}, r.conns...)
	if judge != nil {
		order = append([]*connection{judge}, order...)
	}
	for _, c := range order {
		for _, role := range []attls.Role{r.combo.role.Peer(), r.combo.role} {
			if !c.honest[role] {
				continue
			}
			if out := r.refusalOf(c, role); out != nil {
				return out
			}
		}
	}
	for _, c := range order {
		for _, role := range attls.Roles() {
			if c.honest[role] || c.over {
				continue
			}
			if e := c.failure(role); e != nil && e.Class != attls.FromPeer {
				out := r.stuck(fmt.Sprintf("M's end of the connection %s cannot go on: %s", c.name, e.Detail))
				out.Failure = string(e.Failure)
				return out
			}
		}
	}
	for i := range r.steps {
		if !r.done[i] {
			return r.stuck("")
		}
	}
	if judge == nil {
		return r.stuck("the relying party has no connection")
	}
	if o := judge.outside[r.combo.role.Peer()]; o != nil {
		if why := o.took(); why != "" {
			return r.stuck(why)
		}
		return &Result{Outcome: Accepted}
	}
	e := judge.pair.Engine(r.combo.role.Peer())
	if err := judge.failure(r.combo.role.Peer()); !e.Done() || err != nil || r.shown < r.asked {
		why := "the relying party still waits"
		if err != nil {
			why = "the connection was closed: " + err.Detail
		}
		return r.stuck(why)
	}
	if len(judge.received(r.combo.role.Peer())) <= judge.taken {
		return r.stuck("the relying party took no application data")
	}
	if r.setting(attls.RoleClient, "early_data").Text == "yes" && !judge.early {
		return r.stuck("no early data was taken")
	}
	return &Result{Outcome: Accepted}
}

// rejected is the outcome where an honest end refuses.
func (r *run) rejected(c *connection, role attls.Role, e *attls.Error) *Result {
	out := &Result{Outcome: Rejected, By: role.String(), Failure: string(e.Failure), Detail: e.Detail}
	if e.Message != attls.KindNone {
		out.At = e.Message.Name()
	}
	if a := c.taps[role].alert; a != nil {
		out.Alert = claims.AlertName(r.profile, *a)
	}
	return out
}

// stuck is the outcome where the attack does not go on; why counts before what the first
// step that was not done waits for.
func (r *run) stuck(why string) *Result {
	out := &Result{Outcome: Unmounted, Detail: why}
	for i := range r.steps {
		if !r.done[i] {
			out.Step = i + 1
			if why == "" {
				out.Detail = r.waiting[i]
			}
			break
		}
	}
	if out.Detail == "" {
		out.Detail = "a step before it was not done"
	}
	return out
}

// detail is what the page of a run shows.
func (r *run) detail() *Detail {
	d := &Detail{Events: r.events, connections: r.conns}
	for i, s := range r.steps {
		note := r.notes[i]
		if !r.done[i] {
			note = r.waiting[i]
		}
		d.Done = append(d.Done, DoneStep{Text: s.String(), Done: r.done[i], Note: note})
	}
	var attested *claims.BinderNode
	name := r.combo.challenge(r.profile)
	if name == "" {
		return d
	}
	judge := r.judged()
	if judge == nil {
		return d
	}
	expected := r.explain(judge, r.combo.role.Peer(), name)
	if expected != nil {
		d.Binders = append(d.Binders, Binder{End: "relying party, on the connection " + judge.name, Value: expected.Value,
			Tree: expected})
	}
	for i := len(r.conns) - 1; i >= 0; i-- {
		c := r.conns[i]
		if !c.honest[r.combo.role] {
			continue
		}
		if attested = r.explain(c, r.combo.role, name); attested != nil {
			d.Binders = append(d.Binders, Binder{End: "attester, on the connection " + c.name, Value: attested.Value,
				Tree: attested})
			break
		}
	}
	if expected != nil && attested != nil {
		d.Differs = firstDifference(expected, attested)
	}
	return d
}

// explain is the challenge of the attester as an end has it; nil: it has none.
func (r *run) explain(c *connection, at attls.Role, name string) *claims.BinderNode {
	if l := c.later[at]; l != nil && later(r.profile, r.combo.role) {
		if o := l.seen[r.combo.role].outcome; o != nil {
			return claims.MakeBinderNode(r.profile.Binder.Program.Explain(name, r.combo.role, o.Inputs))
		}
		return nil
	}
	e := c.pair.Engine(at)
	if e == nil {
		return nil // a program's, which does not say
	}
	for _, a := range e.State().Attestation {
		if a.Attester != r.combo.role || a.Challenge == nil {
			continue
		}
		v := r.profile.Binder.Program.Explain(name, r.combo.role, e.InputsOf(a.Slot))
		return claims.MakeBinderNode(v)
	}
	return nil
}

// firstDifference is the first input, in the order of the expression, in which two
// binders differ; nil: there is none.
func firstDifference(a, b *claims.BinderNode) *Difference {
	if a.Value == b.Value && a.Expr == b.Expr {
		return nil
	}
	for i := range min(len(a.Parts), len(b.Parts)) {
		if d := firstDifference(a.Parts[i], b.Parts[i]); d != nil {
			return d
		}
	}
	return &Difference{Expr: a.Expr, Expected: a.Value, Attested: b.Value}
}
