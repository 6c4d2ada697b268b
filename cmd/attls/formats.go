package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"attls"
	"attls/attestation"
	"attls/attestation/roots"
	"attls/conformance/claims"
	"attls/conformance/trace"
	"attls/extensions/profile"
	"attls/internal/columns"
	"attls/internal/gate"
)

// jsonFormat is a row of the table of Evidence formats.
type jsonFormat struct {
	Name          string     `json:"name"`
	Title         string     `json:"title"`
	Source        string     `json:"source"`
	Types         []jsonType `json:"types"`
	Field         string     `json:"challenge_field"`
	Lengths       string     `json:"challenge_octets"`
	Padding       bool       `json:"challenge_padding"`
	Wants         int        `json:"challenge_wants,omitempty"`
	NamesKey      bool       `json:"names_key"`
	Key           string     `json:"key"`
	FurtherClaims bool       `json:"further_claims"`
	Says          []string   `json:"verdict"`
	Machine       string     `json:"machine,omitempty"`
	Unsigned      string     `json:"unsigned,omitempty"`
	Device        bool       `json:"device"`
	Emulator      bool       `json:"emulator"`
	// Under a profile: what it makes of the format, one for each combination.
	Under []jsonFitness `json:"under,omitempty"`
}

type jsonType struct {
	MediaType     string `json:"media_type,omitempty"`
	ContentFormat uint16 `json:"content_format,omitempty"`
	Tag           uint64 `json:"cbor_tag,omitempty"`
	Bare          bool   `json:"without_cmw,omitempty"`
	Note          string `json:"note,omitempty"`
}

type jsonFitness struct {
	Profile    string   `json:"profile"`
	Attester   string   `json:"attester"`
	Model      string   `json:"model"`
	Credential string   `json:"credential"`
	Refused    string   `json:"refused,omitempty"`
	Notes      []string `json:"notes,omitempty"`
}

func formatsCommand() *cobra.Command {
	var asJSON bool
	var name string
	c := &cobra.Command{
		Use:   "formats [NAME]",
		Short: "Print the table of Evidence formats",
		Long: `formats prints what is known of each Evidence format: its types in a CMW, the field
that the challenge enters, whether the Evidence names the key of the handshake, and
what a verdict on it can say. With --profile it tells for each attester, model and
credential of that profile whether the format can be carried, and what has to be said
about it.`,
		Example: `  attls evidence formats
  attls evidence formats tpm --profile tls-attestation-07
  attls evidence formats --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			list := roots.All().All()
			if len(args) == 1 {
				f, err := roots.All().Named(args[0])
				if err != nil {
					return usage("%w", err)
				}
				list = []*attestation.Format{f}
			}
			var p *profile.Profile
			if name != "" {
				var err error
				if p, err = profile.Load(name, profile.Options{}); err != nil {
					return usage("%w", err)
				}
			}
			var rows []jsonFormat
			for _, f := range list {
				rows = append(rows, describeFormat(f, p))
			}
			if asJSON {
				return writeJSON(c.OutOrStdout(), rows)
			}
			newPainter(c.OutOrStdout()).formats(rows)
			return nil
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return roots.All().Names(), cobra.ShellCompDirectiveNoFileComp
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON array")
	c.Flags().StringVarP(&name, "profile", "p", "", "a profile: what it makes of each format")
	c.RegisterFlagCompletionFunc("profile", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return profile.Names(), cobra.ShellCompDirectiveDefault
	})
	return c
}

func describeFormat(f *attestation.Format, p *profile.Profile) jsonFormat {
	out := jsonFormat{
		Name:          f.Name,
		Title:         f.Title,
		Source:        f.Source,
		Field:         f.Challenge.Name,
		Lengths:       f.Challenge.Lengths(),
		Padding:       f.Challenge.Padding,
		Wants:         f.Challenge.Wants,
		NamesKey:      f.Key.Named,
		Key:           f.Key.How,
		FurtherClaims: f.FurtherClaims,
		Says:          f.Says,
		Machine:       f.Machine,
		Unsigned:      f.Unsigned,
		Device:        f.Open != nil,
		Emulator:      f.Emulate != nil,
	}
	for _, t := range f.Types {
		tag, _ := t.Tag()
		out.Types = append(out.Types, jsonType{t.MediaType, t.ContentFormat, tag, t.Bare, t.Note})
	}
	if p == nil {
		return out
	}
	for _, role := range attls.Roles() {
		for _, m := range []profile.Model{profile.ModelEvidence, profile.ModelResults} {
			for _, k := range []profile.CredentialKind{profile.KindAlone, profile.KindX509} {
				x := jsonFitness{Profile: p.ID, Attester: role.String(), Model: m.String(), Credential: claims.CredentialName(k)}
				fit, err := f.Under(p, role, m, k)
				if err != nil {
					x.Refused = err.Error()
				} else {
					x.Notes = fit.Notes
				}
				out.Under = append(out.Under, x)
			}
		}
	}
	return out
}

func (p *painter) formats(rows []jsonFormat) {
	for i, f := range rows {
		if i > 0 {
			p.line()
		}
		p.line(p.in(bold, f.Name), ": ", f.Title)
		t := columns.Table{Indent: "  "}
		t.Add("type", "content format", "CBOR tag", "")
		for _, x := range f.Types {
			note := x.Note
			if x.Bare {
				note += "; sent without a CMW"
			}
			t.Add(orDash(x.MediaType), number(uint64(x.ContentFormat)), number(x.Tag), note)
		}
		p.table(&t, everyRow(plain))
		challenge := fmt.Sprintf("%s, %s octets", f.Field, f.Lengths)
		if f.Padding {
			challenge += ", zeros on the right where a profile says so"
		}
		p.paragraph("  ", "challenge: "+challenge)
		names := "named by the Evidence: "
		if !f.NamesKey {
			names = "not named by the Evidence: "
		}
		p.paragraph("  ", "key: "+names+f.Key)
		p.paragraph("  ", "verdict: "+strings.Join(f.Says, ", "))
		for title, text := range map[string]string{"same machine: ": f.Machine, "not signed: ": f.Unsigned} {
			if text != "" {
				p.paragraph("  ", title+text)
			}
		}
		p.paragraph("  ", "made from: "+madeFrom(f.Device, f.Emulator))
		p.paragraph("  ", "source: "+f.Source)
		for _, x := range f.Under {
			where := fmt.Sprintf("%s, %s, %s, %s: ", x.Profile, x.Attester, x.Model, x.Credential)
			if x.Refused != "" {
				p.flow(p.width, "    ", "  ", p.in(red, "✗ "), where+x.Refused)
				continue
			}
			p.flow(p.width, "    ", "  ", p.in(green, "✓ "), where+orDash(strings.Join(x.Notes, "; ")))
		}
	}
}

func madeFrom(device, emulator bool) string {
	switch {
	case device && emulator:
		return "a device or an emulator (attls evidence init)"
	case emulator:
		return "an emulator"
	case device:
		return "a device"
	}
	return "nothing here: it is read and judged only"
}

func number(n uint64) string {
	if n == 0 {
		return "-"
	}
	return strconv.FormatUint(n, 10)
}

// jsonContents is what "evidence inspect --json" prints.
type jsonContents struct {
	Payload   string              `json:"payload"`
	Format    string              `json:"root_of_trust,omitempty"`
	Challenge string              `json:"challenge,omitempty"` // hexadecimal
	SPKI      []byte              `json:"spki,omitempty"`
	Fields    []attestation.Field `json:"fields,omitempty"`
}

func inspectCommand(*rootFiles) *cobra.Command {
	var asJSON bool
	var model string
	c := &cobra.Command{
		Use:   "inspect FILE",
		Short: "Show what a CMW, or the Evidence in a certificate, says, without a judgement",
		Long: `inspect reads Evidence (or, with --model results, an Attestation Result) from FILE (-
for standard input) and shows its fields by name, with the octets of the CMW's value
at which they are. No signature is verified: "attls evidence appraise" judges.

Of a certificate (PEM or DER) it shows what each profile that puts Evidence there reads in
it, under the reading that fits best: the payload, the values that go with it and whether
they are of the certificate's key, and where in the payload the challenge is that the
profile binds Evidence to.`,
		Example: `  attls evidence make --key server.pem | attls evidence inspect -
  attls evidence inspect server-cert.pem`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			m := profile.ModelEvidence
			switch model {
			case claims.ModelEvidence:
			case claims.ModelResults:
				m = profile.ModelResults
			default:
				return usage("--model %q: it is evidence or results", model)
			}
			payload, err := readPayload(args[0], c.InOrStdin())
			if err != nil {
				return unavailable(err)
			}
			if der, ok := certificateIn(payload); ok {
				return inspectCertificate(c.OutOrStdout(), der, m, asJSON)
			}
			contents, failure := roots.All().Inspect(payload, m)
			if failure != nil {
				return failed("%w", failure)
			}
			return showContents(c.OutOrStdout(), payload, contents, asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	c.Flags().StringVar(&model, "model", claims.ModelEvidence, "evidence, or results of a Verifier")
	complete(c, "model", claims.ModelEvidence, claims.ModelResults)
	return c
}

func showContents(w io.Writer, payload []byte, contents *attestation.Contents, asJSON bool) error {
	out := jsonContents{
		Payload:   trace.DescribeCMW(payload),
		Challenge: fmt.Sprintf("%x", contents.Challenge),
		SPKI:      contents.SPKI,
		Fields:    contents.Fields(),
	}
	if contents.Format != nil {
		out.Format = contents.Format.Name
	}
	if asJSON {
		return writeJSON(gate.Raw(w), out)
	}
	p := newPainter(w)
	p.line(out.Payload)
	if out.Format != "" {
		p.line("root of trust: ", out.Format)
	}
	p.line("challenge: ", orDash(out.Challenge))
	p.fields(out.Fields, "")
	return nil
}

// fields draws named parts of Evidence.
func (p *painter) fields(list []attestation.Field, indent string) {
	if len(list) == 0 {
		return
	}
	t := columns.Table{Indent: indent}
	t.Add("octets", "field", "value")
	for _, f := range list {
		where := "-"
		if f.End > 0 {
			where = fmt.Sprintf("%d–%d", f.Start, f.End-1)
		}
		text := f.Text
		if f.Unsigned {
			text += " (no signature covers it)"
		}
		t.Add(where, f.Name, p.short(text, 64))
	}
	p.table(&t, everyRow(plain))
}
