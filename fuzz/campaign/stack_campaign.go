package campaign

import (
	"context"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"time"

	"attls"
	"attls/conformance/claims"
	"attls/handshake"
)

// StackOptions say how a campaign against a C program runs. Such a campaign repeats by its
// seed as long as the program does the same.
type StackOptions struct {
	// Target is one of StackTargets, Program what conformance/mbedtls/targets.sh live built.
	Target, Program string
	// Planted is the number of a bug of a program that was built with them; 0: none.
	Planted    int
	Workers    int
	Seed       uint64
	Time       time.Duration
	Executions int
	Dir        string
	Resume     bool // begins with the corpus in Dir
	FirstOnly  bool
	Progress   func(Stats)
	// Sent is called with what the attacker sent in each connection that reached something
	// new, as an input of the native targets.
	Sent func(variant int, r StackSent)
	// Messages are values for edits, from the corpus of a native target.
	Messages [][]byte
}

// StackSent is one connection of a campaign for a fuzzer of octets: what was sent, and the
// handshake messages in it.
type StackSent struct {
	Wire     []byte
	Messages [][]byte
}

// RunStack runs a campaign whose honest end is a C program.
func RunStack(ctx context.Context, o StackOptions) (*Report, error) {
	if _, ok := stackTargets[o.Target]; !ok {
		return nil, fmt.Errorf("campaign: no target is called %q", o.Target)
	}
	if o.Time == 0 && o.Executions == 0 {
		return nil, errors.New("campaign: neither a time nor a number of executions bounds it")
	}
	o.Workers = max(o.Workers, 1)
	c := &campaign{o: Options{Dir: o.Dir, Resume: o.Resume, Workers: o.Workers, Time: o.Time, FirstOnly: o.FirstOnly,
		Progress: o.Progress}, began: time.Now(),
		report: &Report{Seed: o.Seed, Outcomes: map[string]int{}, Targets: []string{o.Target}}, causes: map[string]*Finding{}}
	return c.drive(ctx, func(inner context.Context, id int) error { return c.hunt(inner, &o, id) })
}

// hunter is a worker of such a campaign.
type hunter struct {
	worker
	*stackBench
	o       *StackOptions
	process *stackProcess
}

func (c *campaign) hunt(ctx context.Context, o *StackOptions, id int) error {
	b, err := newStackBench(o.Target, filepath.Join(o.Dir, "target", fmt.Sprint(id)))
	if err != nil {
		return err
	}
	h := &hunter{worker: worker{c: c, id: id, r: rand.New(rand.NewPCG(o.Seed, uint64(id))), seen: map[string]bool{}},
		stackBench: b, o: o}
	defer h.end()
	attacker := h.role.Peer()
	mutators := map[string]*mutator{}
	for i, x := range h.places { // without edits, each of them ends well
		if ctx.Err() != nil {
			return nil
		}
		if mutators[x.profile] == nil {
			mutators[x.profile] = newMutator(h.r, h.subjects(x.profile))
			mutators[x.profile].addMessages(h.list[i], o.Messages)
		}
		in := h.input(i)
		if err := h.one(ctx, i, in); err != nil {
			return err
		}
	}
	resumed := h.resumed()
	for n := 0; ctx.Err() == nil && (o.Executions == 0 || n < o.Executions); n++ {
		i := h.r.IntN(len(h.places))
		m := mutators[h.places[i].profile]
		in, i := h.next(m, i, attacker, resumed)
		before := len(h.seen)
		if err := h.one(ctx, i, in); err != nil {
			return err
		}
		if len(h.seen) > before {
			resumed[i].add(in.clone(), energyOutcome)
		}
	}
	return c.err
}

// next is an input for a variant, or for another one of its profile that a sweep comes to.
func (h *hunter) next(m *mutator, i int, attacker attls.Role, resumed []kept) (*Input, int) {
	t := &Target{Name: h.places[i].profile, Profile: h.list[i].profile}
	if h.r.IntN(2) == 0 {
		if in, s := m.swept(t, h.subjects(t.Name), attacker); in != nil {
			i = slices.Index(h.list, s)
			in.Stack, in.Variant, in.Profile = h.o.Target, i, h.places[i].profile
			return in, i
		}
	}
	var from *Input
	if h.r.IntN(2) == 0 {
		from = resumed[i].draw(h.r)
	}
	in := h.input(i)
	if from != nil || h.r.IntN(3) > 0 || !m.special(in, h.list[i], attacker) {
		in = m.input(t, h.list[i], attacker, from)
		in.Stack, in.Variant = h.o.Target, i
	}
	return in, i
}

// resumed are the inputs of a corpus that was read, by variant. One of another version or
// target is left out, with the reason.
func (h *hunter) resumed() []kept {
	list := make([]kept, len(h.places))
	for _, in := range h.c.seeds {
		if h.has(in) {
			list[in.Variant].add(in, 0)
			continue
		}
		if h.id == 0 {
			h.c.mu.Lock()
			h.c.report.Unread = append(h.c.report.Unread, fmt.Sprintf(
				"corpus/%s.yaml: variant %d of %q is not a connection of %s",
				in.digest(), in.Variant, in.Stack, h.o.Target))
			h.c.mu.Unlock()
		}
	}
	return list
}

// subjects are those of a profile.
func (h *hunter) subjects(profile string) (list []*subject) {
	for i, x := range h.places {
		if x.profile == profile {
			list = append(list, h.list[i])
		}
	}
	return list
}

func (h *hunter) end() {
	if h.process != nil {
		h.process.stop()
		h.process = nil
	}
}

// execute makes a connection. A program that ends or hangs is a violation, and is started
// again for the next one.
func (h *hunter) execute(in *Input) (*run, []Violation, []byte, error) {
	if h.process == nil {
		p, err := startStack(h.o.Program, h.dir, h.o.Planted)
		if err != nil {
			return nil, nil, nil, err
		}
		h.process = p
	}
	r, c, wire, err := h.list[in.Variant].against(h.process, in.Variant, in)
	var none *notBegun
	switch {
	case errors.As(err, &none):
		return nil, nil, nil, nil
	case err != nil:
		v := Violation{"crash", h.role, h.process.crashed(err)}
		h.end()
		return r, []Violation{v}, wire, nil
	}
	return r, in.judgeStack(r, c), wire, nil
}

// one makes an input's connection and keeps what is new.
func (h *hunter) one(ctx context.Context, variant int, in *Input) error {
	r, list, wire, err := h.execute(in)
	if err != nil || r == nil {
		return err
	}
	h.c.mu.Lock()
	h.c.executions++
	h.c.mu.Unlock()
	for _, v := range list {
		if known := v.known(in); known != "" {
			h.c.mu.Lock()
			h.c.report.Known = note(h.c.report.Known, known)
			h.c.mu.Unlock()
			continue
		}
		h.finding(ctx, in, v)
	}
	h.keep(variant, in, r, wire)
	return nil
}

func note(list []string, text string) []string {
	if slices.Contains(list, text) {
		return list
	}
	return append(list, text)
}

// finding keeps the first of a cause, made smaller.
func (h *hunter) finding(ctx context.Context, in *Input, v Violation) {
	h.c.found(in, v, 0, func(x *Input) *Input {
		return smaller(x, func(x *Input) bool {
			if ctx.Err() != nil {
				return false
			}
			_, list, _, err := h.execute(x)
			same := func(o Violation) bool { return o.cause(x, false) == v.cause(in, false) }
			return err == nil && slices.ContainsFunc(list, same)
		})
	})
}

// keep notes what a connection reached.
func (h *hunter) keep(variant int, in *Input, r *run, wire []byte) {
	text := fmt.Sprintf("%v %s", h.role, r.states[h.role].State)
	if e := r.errs[h.role]; e != nil {
		text = fmt.Sprintf("%v refuses with %s: %s, alert %v", h.role, e.Failure, plainText(e.Detail), e.Alert)
	}
	last := attls.KindNone
	var messages [][]byte
	for i := range r.log {
		if x := &r.log[i]; x.role == h.role && x.raw != nil {
			last = x.kind
			if !x.sent {
				messages = append(messages, x.raw)
			}
		}
	}
	text += fmt.Sprintf(" after %v, variant %d", last, variant)
	if h.seen[text] {
		return
	}
	h.seen[text] = true
	if h.o.Sent != nil {
		h.o.Sent(variant, StackSent{wire, messages})
	}
	kept := in.clone()
	kept.Reached = []string{text}
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	if h.c.report.Outcomes[text]++; h.c.report.Outcomes[text] > 1 {
		return
	}
	h.c.corpus++
	name := filepath.Join(h.c.o.Dir, "corpus", kept.digest()+".yaml")
	if err := kept.WriteFile(name); err != nil && h.c.err == nil {
		h.c.err = err
	}
}

// judgeStack lists what the program broke.
func (in *Input) judgeStack(r *run, c *claims.Claims) (list []Violation) {
	honest := r.attacker.Peer()
	say := func(law, text string) { list = append(list, Violation{law, honest, text}) }
	fatal := 0
	for i := range r.log {
		if x := &r.log[i]; x.role == r.attacker && !x.sent && x.alert != nil && *x.alert != attls.AlertCloseNotify {
			fatal++
		}
	}
	if fatal > 1 {
		say("invariant", fmt.Sprintf("sent %d fatal alerts", fatal))
	}
	v := r.view(honest)
	if text := v.wrongAlert(); text != "" {
		say("alert", text)
	}
	for _, l := range slices.Concat(laws, stackLaws) {
		if l.done && !r.done[honest] {
			continue
		}
		if text := l.check(v); text != "" && l.name != "evidence" && l.name != "demand" {
			say(l.name, text)
		}
	}
	if in.Profile != "" && in.Connection.Attester == r.attacker.String() && v.unasked() {
		say("demand", "goes on with a client that must attest and was not asked to")
	}
	accepted := slices.ContainsFunc(c.Attestation, func(a claims.AttestationClaim) bool {
		return a.Attester == r.attacker.String() && a.Verdict != nil && a.Verdict.Accepted
	})
	if in.Profile != "" && in.Connection.Attester == r.attacker.String() && r.done[honest] && !accepted {
		say("demand", "is done, demands that its peer attests, and has no accepting verdict")
	}
	shown := slices.IndexFunc(in.Edits, func(e Edit) bool { return e.Do == "credential" || e.Do == "scheme" })
	for i := range in.Edits {
		switch e := &in.Edits[i]; {
		case !r.done[honest] || e.Do == "credential" && i != shown: // the first one counts
		case e.Do == "credential" && r.agents[r.attacker].waits[handshake.WaitCredential] &&
			len(r.states[honest].PeerSPKI) > 0 && in.distrusted(e.Answer):
			say("certificate-trusted", "is done with a credential that it must not trust: "+e.Answer)
		case e.Do == "verdict" && accepted:
			say("evidence", "has an accepting verdict on Evidence for another challenge")
		}
	}
	if (len(in.Edits) == 0 || in.harmless()) && (!r.done[honest] || c.State == "failed") {
		law := "tolerates"
		if len(in.Edits) == 0 {
			law = "completes"
		}
		text := "does not complete a connection in which nothing that matters was changed"
		if c.Error != nil {
			text += ": " + c.Error.Detail
		}
		if e := r.errs[r.attacker]; e != nil {
			text += "; its peer: " + e.Error()
		}
		say(law, text)
	}
	return list
}

// spkiOf is the key of a certificate, after which octets may follow; nil: it cannot be read.
func spkiOf(der []byte) []byte {
	var whole asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &whole); err == nil {
		der = der[:len(der)-len(rest)]
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil
	}
	return c.RawSubjectPublicKeyInfo
}
