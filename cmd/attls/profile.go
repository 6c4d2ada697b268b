package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"attls"
	"attls/conformance/claims"
	"attls/conformance/scenario"
	"attls/extensions/profile"
	"attls/internal/columns"
)

func profileCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "profile",
		Short: "Show, check, compare and create profiles: revisions of the drafts as data",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(profileListCommand(), profileShowCommand(), headerCommand(), lintCommand(), diffCommand(),
		explainCommand(), newProfileCommand(), compileCommand(), dissectorCommand(), proverifCommand(),
		referenceCommand())
	return c
}

// profileSummary is one line of "profile list".
type profileSummary struct {
	ID       string `json:"id"`
	Draft    string `json:"draft"`
	Revision string `json:"revision,omitempty"`
	Date     string `json:"date,omitempty"`
	Status   string `json:"status"`
}

func summary(p *profile.Profile) profileSummary {
	return profileSummary{p.ID, p.DraftName, p.Revision, p.Date, p.Status}
}

func profileListCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List the profiles",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var list []profileSummary
			for _, name := range profile.Names() {
				p, err := profile.Load(name, profile.Options{})
				if err != nil {
					return failed("%w", err)
				}
				list = append(list, summary(p))
			}
			if asJSON {
				return writeJSON(c.OutOrStdout(), list)
			}
			p := newPainter(c.OutOrStdout())
			var drafts, designs columns.Table
			drafts.Add("PROFILE", "DRAFT", "REVISION", "DATE", "STATUS")
			designs.Add("DEPLOYED", "DESIGN", "REVISION", "DATE")
			for _, s := range list {
				if s.Status == "deployed" {
					designs.Add(s.ID, s.Draft, s.Revision, s.Date)
				} else {
					drafts.Add(s.ID, s.Draft, s.Revision, s.Date, string(s.Status))
				}
			}
			p.table(&drafts, everyRow(plain))
			p.line()
			p.table(&designs, everyRow(plain))
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON array")
	return c
}

// profileDetail is what "profile show" prints as JSON.
type profileDetail struct {
	profileSummary
	Extensions   []string               `json:"extensions"`
	Messages     []string               `json:"messages"`
	Slots        []string               `json:"slots"`
	Credentials  []string               `json:"credentials"`
	After        []string               `json:"after_the_handshake,omitempty"`
	Binder       []binderText           `json:"binder"`
	Alerts       []alertText            `json:"alerts"`
	Readings     []readingText          `json:"readings"`
	Combinations []scenario.Combination `json:"combinations"`
}

type binderText struct {
	Name string `json:"name"`
	Expr string `json:"expr"`
}

type alertText struct {
	Failure string `json:"failure"`
	Alert   string `json:"alert"`
}

type readingText struct {
	Switch  string   `json:"switch"`
	AMB     string   `json:"ambiguity"`
	Chosen  string   `json:"chosen"`
	Default string   `json:"default"`
	Options []string `json:"options"`
}

func profileShowCommand() *cobra.Command {
	var f profileFlags
	var asJSON bool
	c := &cobra.Command{
		Use:   "show PROFILE",
		Short: "Show what a profile says: placement, slots, binder, alerts, readings",
		Example: `  attls profile show early-attestation-06
  attls profile show ./mine.yaml --reading hrr=b`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.FixedCompletions(profile.Names(), cobra.ShellCompDirectiveDefault),
		RunE: func(c *cobra.Command, args []string) error {
			numbers, err := parseCodePoints(f.codePoints)
			if err != nil {
				return usage("%w", err)
			}
			p, err := profile.Load(args[0], profile.Options{Readings: f.readings, CodePoints: numbers})
			if err != nil {
				return usage("%w", err)
			}
			d := detail(p)
			if asJSON {
				return writeJSON(c.OutOrStdout(), d)
			}
			d.print(c.OutOrStdout())
			return nil
		},
	}
	f.registerAdjustments(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return c
}

func detail(p *profile.Profile) *profileDetail {
	d := &profileDetail{profileSummary: summary(p), Combinations: scenario.Combinations(p)}
	for _, x := range p.Extensions {
		var where []string
		for _, l := range x.Placements {
			where = append(where, l.Message.String())
		}
		d.Extensions = append(d.Extensions, fmt.Sprintf("%s (0x%04x) in %s", x.Name, uint16(x.Type),
			strings.Join(where, ", ")))
	}
	for _, m := range p.Messages {
		d.Messages = append(d.Messages, fmt.Sprintf("%s (%d) after %v, before %v", m.Name, uint8(m.Type), m.After, m.Before))
	}
	for i := range p.Slots {
		d.Slots = append(d.Slots, slotText(p, &p.Slots[i]))
	}
	d.later(p)
	for i := range p.Credentials {
		d.Credentials = append(d.Credentials, credentialText(p, &p.Credentials[i]))
	}
	if p.Binder.Program != nil {
		for _, n := range p.Binder.Program.Names() {
			d.Binder = append(d.Binder, binderText{n, p.Binder.Program.Text(n)})
		}
	}
	for _, failure := range attls.AttestationFailures {
		d.Alerts = append(d.Alerts, alertText{string(failure), actionText(p, failure)})
	}
	for _, r := range p.Readings {
		d.Readings = append(d.Readings, readingText{r.Switch, r.AMB, r.Chosen, r.Default, r.Options})
	}
	return d
}

func slotText(p *profile.Profile, s *profile.Slot) string {
	place := func(at profile.Place) string {
		name := at.Extension.String()
		if x, ok := p.Extension(at.Extension); ok {
			name = x.Name
		}
		return at.Message.Name() + "." + name
	}
	var models, kinds []string
	for _, m := range s.Models {
		models = append(models, m.String())
	}
	for _, k := range s.Kinds {
		kinds = append(kinds, claims.CredentialName(k))
	}
	text := fmt.Sprintf("%s: the %v attests with %s, credential %s; ", s.Name, s.Attester, strings.Join(models, " or "),
		strings.Join(kinds, " or "))
	if s.PostHandshake {
		text += "in post-handshake authentication; "
	}
	switch {
	case s.Always:
		text += "nothing is negotiated"
	case s.Unoffered():
		text += fmt.Sprintf("a flag in %s asks for it", place(s.Choice))
	case s.Flagged:
		text += fmt.Sprintf("a flag in %s, repeated in %s", place(s.Offer), place(s.Choice))
	default:
		text += fmt.Sprintf("offered in %s, chosen in %s", place(s.Offer), place(s.Choice))
	}
	if s.Nonce.Message == attls.KindNone {
		return text
	}
	octets := fmt.Sprint(s.NonceMax)
	if s.NonceMin != s.NonceMax {
		octets = fmt.Sprintf("%d to %d", s.NonceMin, s.NonceMax)
	}
	text += fmt.Sprintf("; nonce of %s octets in ", octets)
	switch n := &s.NonceField; {
	case !n.Used:
		return text + place(s.Nonce)
	case s.Nonce.Random:
		return text + fmt.Sprintf("%s, from octet %d on", s.NoncePath, n.Offset)
	default:
		return text + fmt.Sprintf("%s, as %s in %s", s.NoncePath, n.Template(), n.Codec)
	}
}

func credentialText(p *profile.Profile, c *profile.Credential) string {
	where := "in cert_data"
	switch c.Carrier {
	case profile.CarrierExtension:
		where = "in an extension of the CertificateEntry"
		if x, ok := p.Extension(c.Extension); ok {
			where = "in the extension " + x.Name + " of the CertificateEntry"
		}
	case profile.CarrierMessage:
		where = "in the message " + p.Messages[c.Message].Name
	case profile.CarrierCertificate:
		where = "in the certificate, as " + p.X509[c.Field].String()
	}
	key := "the key comes from the certificate"
	if c.KeyFrom == profile.KeyFromAppraisal {
		key = "the key comes from the appraisal"
	}
	return fmt.Sprintf("%s: the payload is %s, at most %d octets; %s", claims.CredentialName(c.Kind), where,
		c.MaxPayload, key)
}

func actionText(p *profile.Profile, f attls.Failure) string {
	switch a := p.AlertFor(f); {
	case a.None:
		return "none: the handshake goes on"
	case a.Close:
		return "none: the connection is closed"
	default:
		return fmt.Sprintf("%s (%d)", claims.AlertName(p, a.Alert), a.Alert)
	}
}

func (d *profileDetail) print(w io.Writer) {
	p := newPainter(w)
	p.titled(d.ID, plain, fmt.Sprintf(": %s-%s %s, %s", d.Draft, d.Revision, d.Date, d.Status))
	section := func(title string, lines []string) {
		if len(lines) == 0 {
			return
		}
		p.line()
		p.line(p.in(bold, title))
		for _, l := range lines {
			p.flow(p.width, "    ", "  "+l)
		}
	}
	section("Extensions", d.Extensions)
	section("Messages", d.Messages)
	section("Slots", d.Slots)
	section("Credentials", d.Credentials)
	section("After the handshake", d.After)
	var lines []string
	for _, b := range d.Binder {
		lines = append(lines, b.Name+" = "+b.Expr)
	}
	section("Binder", lines)
	lines = nil
	for _, a := range d.Alerts {
		lines = append(lines, fmt.Sprintf("%-40s %s", a.Failure, a.Alert))
	}
	section("Alerts", lines)
	lines = nil
	for _, r := range d.Readings {
		lines = append(lines, fmt.Sprintf("%s = %s (%s; also %s)", r.Switch, r.Chosen, r.AMB, strings.Join(r.Options, ", ")))
	}
	section("Readings", lines)
	lines = nil
	for _, c := range d.Combinations {
		text := fmt.Sprintf("%-7s %-9s %-12s ", c.Attester, c.Model, c.Credential)
		if c.Reason == "" {
			text += "yes"
		} else {
			text += "no: " + c.Reason
		}
		lines = append(lines, text)
	}
	section("Combinations (attester, model, credential)", lines)
}
