package main

import (
	"fmt"
	"slices"
	"strings"

	"attls"
	"attls/conformance/claims"
	"attls/conformance/scenario"
	"attls/conformance/trace"
	"attls/internal/columns"
)

// ladder draws the messages between client and server from top to bottom.
func (p *painter) ladder(steps []trace.Step) {
	p.line(p.in(bold, pad("client", p.width-6)), p.in(bold, "server"))
	for i := range steps {
		p.rung(&steps[i])
	}
	p.line()
}

// rung is one message: its arrow, and below it what it says.
func (p *painter) rung(s *trace.Step) {
	inner := p.width - 4
	what, colour := attls.Printable(s.What), cyan
	if s.Alert != nil {
		what, colour = "alert "+attls.Printable(s.Alert.Name), red
		if s.Alert.Name == "close_notify" {
			colour = plain
		}
	}
	size := fmt.Sprintf(" %d ", s.Octets)
	if s.Seconds != nil {
		size = fmt.Sprintf(" %d, %+.4f s ", s.Octets, *s.Seconds)
	}
	if s.Unread {
		what, size = what+" (not read)", size+"╳ "
	}
	room := inner - columns.Width(size) - 4
	if columns.Width(what) > room-2 { // it has a line of its own
		p.note(colour, "", what)
		what = ""
	}
	rule := strings.Repeat("─", max(2, room-columns.Width(what)))
	if s.From == "client" {
		p.line("│ ", p.in(colour, what), " ", p.in(faint, rule+size), "──▶", " │")
	} else {
		p.line("│ ", "◀──", p.in(faint, size+rule), " ", p.in(colour, what), " │")
	}
	for _, d := range s.Details {
		p.note(plain, "    ", d)
	}
	p.extensions(s.Extensions)
	if s.Broken != nil {
		p.note(red, "    ", "✗ "+claimText(s.Broken))
	}
	for octets := s.Raw; octets != ""; {
		n := min(len(octets), 2*min(rawOctets, (inner-4)/2))
		p.note(faint, "    ", octets[:n])
		octets = octets[n:]
	}
}

// rawOctets is how many octets of --raw a line has, if it has room for them.
const rawOctets = 32

// extensions names RFC 8446's extensions in a paragraph, and gives each of the
// profile's its own lines, and each that carries something of the profile.
func (p *painter) extensions(list []trace.StepExtension) {
	var names []string
	for _, x := range list {
		if x.Added {
			continue
		}
		n := x.Name
		if len(x.Fields) > 0 && x.Fields[0].Path == "" {
			n += " (" + x.Fields[0].Value + ")"
		}
		names = append(names, n)
	}
	if len(names) > 0 {
		p.note(faint, "    ", strings.Join(names, ", "))
	}
	for _, x := range list {
		fields := x.Fields
		if !x.Added { // of an RFC: what it says to the profile besides
			fields = slices.DeleteFunc(slices.Clone(fields), func(f trace.FieldValue) bool { return f.Path == "" })
			if len(fields) == 0 {
				continue
			}
		}
		p.note(green, "    ", fmt.Sprintf("%s, %d octets", x.Name, x.Octets))
		for _, f := range fields {
			text := f.Value
			if f.Path != "" {
				text = f.Path + ": " + f.Value
			}
			p.note(green, "      ", text)
		}
	}
}

// note is text between the two sides of the ladder.
func (p *painter) note(s style, indent, text string) {
	inner := p.width - 4
	for _, l := range wrap(indent+text, inner, indent+"  ") {
		p.line("│ ", p.in(s, pad(l, inner)), " │")
	}
}

// binder draws what an attestation binder was computed from.
func (p *painter) binder(b *scenario.Binder) {
	p.titled("Challenge of the "+b.Attester+inEpoch(b.Epoch)+": ", plain, b.Value)
	if b.Tree != nil {
		p.tree(b.Tree, "", "")
	}
	p.line()
}

// inEpoch is about an extended key update; 0: the handshake.
func inEpoch(epoch uint64) string {
	if epoch == 0 {
		return ""
	}
	return fmt.Sprintf(", key epoch %d", epoch)
}

// tree draws an expression, what it came to, and below it its parts. A name
// stands in one line with what it is defined as.
func (p *painter) tree(n *claims.BinderNode, first, rest string) { p.branch(n, first, rest, 0) }

// leafWidth is what a line of a tree leaves for its text.
const leafWidth = 24

// branch draws a tree at a depth. Where the lines at the left would leave no room, the
// number of the level takes their place.
func (p *painter) branch(n *claims.BinderNode, first, rest string, level int) {
	if columns.Width(rest)+leafWidth > p.width {
		mark := fmt.Sprintf("%d… ", level)
		first, rest = mark, strings.Repeat(" ", len(mark))
	}
	text := attls.Printable(n.Expr)
	parts := n.Parts
	if n.Name != "" && len(parts) == 1 && len(parts[0].Parts) > 0 {
		text, parts = attls.Printable(n.Name+" = "+parts[0].Expr), parts[0].Parts
	}
	value, colour := attls.Printable(p.short(n.Value, p.width-columns.Width(rest)-7)), green
	switch {
	case n.Error != "":
		value, colour = attls.Printable(n.Error), red
	case n.Literal:
		value = ""
	}
	indent := rest
	if len(parts) > 0 {
		indent += "│  "
	} else {
		indent += "   "
	}
	lines := wrap(text, p.width-columns.Width(indent), "  ")
	last := len(lines) - 1
	beside := value != "" && columns.Width(first)+columns.Width(lines[last])+columns.Width(value)+3 <= p.width
	for i, l := range lines {
		before := indent
		if i == 0 {
			before = first
		}
		if i == last && beside {
			p.line(p.in(faint, before), l, " → ", p.in(colour, value))
			continue
		}
		p.line(p.in(faint, before), l)
	}
	if value != "" && !beside {
		mark := "  → "
		for _, piece := range columns.Pieces(value, p.width-columns.Width(indent)-columns.Width(mark)) {
			p.line(p.in(faint, indent), mark, p.in(colour, piece))
			mark = "    "
		}
	}
	for i, part := range parts {
		branch, below := "├─ ", "│  "
		if i == len(parts)-1 {
			branch, below = "└─ ", "   "
		}
		p.branch(part, rest+branch, rest+below, level+1)
	}
}

// slotAmong names the slot of a claim where its attester has shown several credentials.
func slotAmong(list []claims.AttestationClaim, i int) string {
	for k := range list {
		if k != i && list[k].Attester == list[i].Attester {
			return ", " + list[i].Slot
		}
	}
	return ""
}

// verdicts shows what each relying party found.
func (p *painter) verdicts(c *claims.Claims) {
	for i := range c.Attestation {
		if a := &c.Attestation[i]; a.Verdict != nil {
			p.verdict(fmt.Sprintf("Verdict of the %s on the %s%s%s: ", c.Role, a.Attester, slotAmong(c.Attestation, i),
				inEpoch(a.KeyEpoch)), a.Verdict)
		}
	}
}

func (p *painter) verdict(title string, v *claims.VerdictClaim) {
	word, colour := "accepted", green
	if !v.Accepted {
		word, colour = "refused: "+v.Failure, red
	}
	if v.Status != "" {
		word += ", status " + v.Status
	}
	if v.ValidUntil != "" {
		word += ", valid until " + v.ValidUntil
	}
	p.titled(title, colour, word)
	for _, check := range v.Checks {
		mark, colour := "✓", green
		if !check.OK {
			mark, colour = "✗", red
		}
		text := check.Name
		if check.Text != "" {
			text += ": " + check.Text
		}
		p.flow(p.width, "    ", "  ", p.in(colour, mark), " ", text)
	}
	p.peerReadings(v)
	p.line()
}

// maxReadings bounds how many readings are named of a binder that is another.
const maxReadings = 3

// peerReadings says what the peer may have meant by another challenge.
func (p *painter) peerReadings(v *claims.VerdictClaim) {
	if v.PeerChallenge == "" {
		return
	}
	if len(v.PeerReadings) == 0 {
		p.paragraph("  ", "No known reading of any profile gives the peer's value, "+short(v.PeerChallenge)+".")
		return
	}
	p.line("  The peer's value, ", short(v.PeerChallenge), ", comes out under")
	for i, m := range v.PeerReadings {
		if i == maxReadings {
			p.line("    ", count(len(v.PeerReadings)-i, "more reading"))
			break
		}
		p.line("    ", p.in(yellow, m.String()))
	}
}

// ends sums up what both ends claim.
func (p *painter) ends(client, server *claims.Claims) {
	p.end(client)
	p.end(server)
}

func (p *painter) end(c *claims.Claims) {
	colour := green
	text := fmt.Sprintf("%s: %s, %s, %s; %d octets of application data sent, %d received", c.Role, c.State,
		orDash(c.Suite), orDash(c.Group), c.DataSent, c.DataReceived)
	if c.KeyEpoch > 0 {
		text += fmt.Sprintf("; key epoch %d", c.KeyEpoch)
	}
	if c.Error != nil {
		colour = red
		text = fmt.Sprintf("%s: %s", c.Role, errorText(c))
	}
	p.flow(p.width, "        ", p.in(colour, text))
}

func errorText(c *claims.Claims) string {
	text := claimText(c.Error)
	if c.AlertSent != nil {
		text += "; alert sent: " + c.AlertSent.Name
	}
	if c.AlertReceived != nil {
		text += "; alert received: " + c.AlertReceived.Name
	}
	return text
}

// claimText is an error in one line.
func claimText(e *claims.ErrorClaim) string {
	text := e.Failure
	if e.Message != "" {
		text += " at " + e.Message
		if e.Field != "" {
			text += "." + e.Field
		}
	} else if e.Field != "" {
		text += ", " + e.Field
	}
	text += ": " + e.Detail
	if e.Rule != "" {
		text += " [" + e.Rule + "]"
	}
	return text
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
