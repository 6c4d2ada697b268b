package peers

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"

	"attls"
	"attls/conformance/claims"
	"attls/conformance/scenario"
	"attls/conformance/trace"
	"attls/extensions/profile"
	"attls/extensions/schema"
)

// places say where two stacks differ in a case that failed, one sentence each: the
// message, the field, the octet, and the line of the profile that says what is there.
func places(r *Result) (list []string) {
	p, err := r.Scenario.Load()
	if err != nil || p == nil || len(r.Ends) != len(roles) {
		return nil
	}
	f := finder{p: p, r: r}
	for _, role := range roles {
		if e := r.Ends[role].Error; e != nil && e.Class != attls.FromPeer.String() {
			f.refusal(r.Stack(role)+", the "+role.String()+", refuses", e)
		}
	}
	for i := range r.Findings {
		f.refusal("the recording shows that the "+r.Findings[i].Sender+" broke a rule", &r.Findings[i].ErrorClaim)
	}
	for _, attester := range r.Scenario.Attester.Roles() {
		f.attestation(attester)
	}
	return f.list
}

// acknowledged reports whether a case failed over a defect that the profile knows of: a
// key or certificate that is the context of an HkdfLabel and has more than 255 octets.
// An end then finds the binder undefined, and the other receives its alert.
func acknowledged(r *Result) bool {
	p, err := r.Scenario.Load()
	if err != nil || p == nil || r.Scenario.Injected() != "" || !slices.ContainsFunc(p.Flaws, func(f profile.Flaw) bool {
		return f.Name == "context_bound"
	}) {
		return false
	}
	undefined := 0
	for i := range r.Ends {
		switch e := r.Ends[i].Error; {
		case e == nil:
			return false
		case e.Failure == string(attls.FailBinderUndefined):
			undefined++
		case e.Failure != string(attls.FailPeerAlert) && e.Failure != "alert":
			return false
		}
	}
	return undefined > 0
}

type finder struct {
	p    *profile.Profile
	r    *Result
	list []string
}

func (f *finder) add(at schema.Position, known bool, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if known {
		text = at.String() + ": " + text
	}
	f.list = append(f.list, text)
}

// refusal is an error that names a message.
func (f *finder) refusal(who string, e *claims.ErrorClaim) {
	if e.Message == "" {
		return
	}
	at, known := f.p.Origin(e.Message, e.Field)
	where := e.Message
	if e.Field != "" {
		where += ", field " + e.Field
	}
	if e.Offset != nil && *e.Offset >= 0 {
		where += fmt.Sprintf(", octet %d", *e.Offset)
	}
	f.add(at, known, "%s: %s: %s (%s)", where, who, or(e.Detail, "no detail"), e.Failure)
}

// attestation compares what both ends say of an attester, value by value.
func (f *finder) attestation(attester attls.Role) {
	client, server := claimOf(&f.r.Ends[attls.RoleClient], attester), claimOf(&f.r.Ends[attls.RoleServer], attester)
	if client == nil || server == nil {
		return
	}
	if client.Challenge != server.Challenge {
		m, _ := scenario.ParseModel(f.r.Scenario.Model)
		k, _ := scenario.ParseCredential(f.r.Scenario.Credential)
		at, known := f.p.BinderOrigin(m, k)
		f.add(at, known, "the challenge of the %v: %s computes %s, %s computes %s", attester, f.r.Client,
			or(client.Challenge, "none"), f.r.Server, or(server.Challenge, "none"))
	}
	for _, x := range []struct{ key, client, server string }{
		{"choice", client.Scheme, server.Scheme}, {"nonce", client.Nonce, server.Nonce}} {
		if x.client == x.server {
			continue
		}
		at, known := f.p.SlotOrigin(or(client.Slot, server.Slot), x.key)
		text := fmt.Sprintf("the %s for the %v: %s has %s, %s has %s", x.key, attester, f.r.Client, or(x.client, "none"),
			f.r.Server, or(x.server, "none"))
		for _, value := range []string{x.client, x.server} {
			if where := sentIn(f.r.Ladder, value); where != "" {
				text += "; " + value + " was sent in " + where
			}
		}
		f.add(at, known, "%s", text)
	}
}

// sentIn is the first message that holds a value, and the octet at which it begins.
func sentIn(ladder []trace.Step, value string) string {
	want, err := hex.DecodeString(value)
	if err != nil || len(want) == 0 {
		return ""
	}
	for i := range ladder {
		raw, _ := hex.DecodeString(ladder[i].Raw)
		if at := bytes.Index(raw, want); at >= 0 {
			return fmt.Sprintf("%s of the %s, octet %d", ladder[i].What, ladder[i].From, at)
		}
	}
	return ""
}
