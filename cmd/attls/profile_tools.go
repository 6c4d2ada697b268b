package main

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"attls/extensions/profile"
	"attls/extensions/schema"
)

func lintCommand() *cobra.Command {
	var asJSON, strict bool
	c := &cobra.Command{
		Use:   "lint PROFILE|FILE…",
		Short: "Tell everything that is wrong with a profile, and where",
		Long: `lint checks profiles without a handshake: names, structures and their bounds,
code points, placement, paths, the binder (names, types, the moment at which each
secret exists, lengths), alerts, and every reading of every switch.

An error keeps a profile from loading. A warning does not; the defects of the
published texts that a profile acknowledges in accepted_flaws are warnings. A file
named - is standard input. lint exits 1 when there are errors.`,
		Example: `  attls profile lint mine.yaml
  attls profile lint early-attestation-03 tls-attestation-09
  sed s/0xFF06/0xFF07/ mine.yaml | attls profile lint -`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: cobra.FixedCompletions(profile.Names(), cobra.ShellCompDirectiveDefault),
		RunE: func(c *cobra.Command, args []string) error {
			found := schema.Problems{}
			for _, name := range args {
				problems, err := lint(name, c.InOrStdin())
				if err != nil {
					return unavailable(err)
				}
				found = append(found, problems...)
			}
			errors := len(found) - len(found.Warnings())
			if asJSON {
				if err := writeJSON(c.OutOrStdout(), found); err != nil {
					return unavailable(err)
				}
			} else {
				newPainter(c.OutOrStdout()).problems(found)
			}
			if unread(found) {
				return unavailable(fmt.Errorf("%s, %s", count(errors, "error"), count(len(found)-errors, "warning")))
			}
			if errors > 0 || strict && len(found) > 0 {
				return failed("%s, %s", count(errors, "error"), count(len(found)-errors, "warning"))
			}
			if !asJSON {
				fmt.Fprintf(c.OutOrStdout(), "no errors, %s\n", count(len(found), "warning"))
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON array of problems")
	c.Flags().BoolVar(&strict, "strict", false, "exit 1 on warnings as well")
	return c
}

// lint checks one argument.
func lint(name string, stdin io.Reader) (schema.Problems, error) {
	if name != "-" {
		return profile.Lint(name), nil
	}
	src, err := io.ReadAll(io.LimitReader(stdin, profile.MaxFile+1))
	if err != nil {
		return nil, err
	}
	return profile.LintText("-", src), nil
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// problems prints findings as compilers do: place, severity, what, and below it
// what to do.
func (p *painter) problems(list schema.Problems) {
	for _, x := range list {
		severity, colour := "error", red
		if x.Warning {
			severity, colour = "warning", yellow
		}
		p.line(p.in(bold, x.Pos.String()), ": ", p.in(colour, severity), ": ", x.Text)
		if x.Advice != "" {
			p.line("    ", x.Advice)
		}
	}
}

// profileName is the form of the names that profile new gives.
var profileName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

func newProfileCommand() *cobra.Command {
	var base, name string
	c := &cobra.Command{
		Use:   "new",
		Short: "Print a profile that changes another one, to be edited",
		Long: `new prints a profile to start from. It inherits everything from --base and shows
what that says as comments, so that an edit is to remove a "# " and change a line.`,
		Example: `  attls profile new --base early-attestation-06 --name mine > mine.yaml
  attls profile lint mine.yaml && attls demo --profile mine.yaml`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case name == "":
				name = "edited"
			case !profileName.MatchString(name):
				return usage(
					"--name %q: letters, digits, \".\", \"_\" and \"-\" are possible, and the first is a letter or a digit", name)
			case name == noProfile || slices.Contains(profile.Names(), name):
				return usage("--name %q means something else already; see \"attls profile list\"", name)
			}
			text, err := profile.New(name, base)
			if err != nil {
				return usage("%w", err)
			}
			_, err = io.WriteString(c.OutOrStdout(), text)
			return unavailable(err)
		},
	}
	c.Flags().StringVarP(&base, "base", "b", defaultProfile, "the profile to change: an id or a YAML file")
	c.Flags().StringVarP(&name, "name", "n", "", "identifier of the new profile")
	c.RegisterFlagCompletionFunc("base", cobra.FixedCompletions(profile.Names(), cobra.ShellCompDirectiveDefault))
	return c
}

func referenceCommand() *cobra.Command {
	var asJSON, markdown bool
	c := &cobra.Command{
		Use:   "reference [KEY]",
		Short: "List all keys of a profile and what they mean",
		Long: `reference lists every key that a profile may have with its form and meaning, the
words that it takes, the causes that have alerts, and the words of the binder
language. With KEY it lists the keys below that one, or with that name.`,
		Example: `  attls profile reference negotiation
  attls profile reference offered_by
  attls profile reference binder`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			w := c.OutOrStdout()
			if markdown {
				return unavailable(profile.WriteReference(w))
			}
			r := profile.MakeReference()
			if len(args) == 1 {
				if r = under(r, args[0]); len(r.Keys)+len(r.Binder) == 0 {
					return usage("no key of a profile is named %q; did you mean %s?", args[0], nearestKey(args[0]))
				}
			}
			if asJSON {
				return writeJSON(w, r)
			}
			newPainter(w).reference(r)
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	c.Flags().BoolVar(&markdown, "markdown", false, "print Markdown (docs/profile-reference.md)")
	return c
}

// under keeps of a reference what stands below a key or has its name.
func under(r profile.Reference, name string) profile.Reference {
	kept := profile.Reference{Messages: r.Messages}
	for _, k := range r.Keys {
		if k.Path == name || strings.HasPrefix(k.Path, name+".") || strings.HasSuffix(k.Path, "."+name) ||
			strings.Contains(k.Path, "."+name+".") {
			kept.Keys = append(kept.Keys, k)
		}
	}
	switch name {
	case "messages":
		kept.Gaps = r.Gaps
	case "binder":
		kept.Binder = r.Binder
	case "switches":
		kept.Switch = r.Switch
	case "accepted_flaws":
		kept.Flaws = r.Flaws
	case "alerts":
		kept.Causes = r.Causes
	}
	return kept
}

func nearestKey(name string) string {
	var known []string
	for _, k := range profile.Keys() {
		known = append(known, k.Path, k.Path[strings.LastIndexByte(k.Path, '.')+1:])
	}
	if s := schema.Nearest(name, known); s != "" {
		return s
	}
	return `one of "attls profile reference"`
}

func (p *painter) reference(r profile.Reference) {
	for _, k := range r.Keys {
		p.line(p.in(bold, k.Path), k.Mark(), p.in(faint, "  ("+k.Form+")"))
		p.paragraph("    ", k.Meaning)
		for _, v := range k.Values {
			if v.Meaning != "" {
				p.paragraph("      ", v.Word+": "+v.Meaning)
			}
		}
	}
	for _, part := range []struct {
		title string
		list  []profile.Meaning
	}{{"Places for added messages", r.Gaps}, {"Keys of a switch", r.Switch},
		{"Flaws that a profile may acknowledge", r.Flaws},
		{"Causes, and the alert of each that the profile does not name", r.Causes},
		{"Words of the binder language", r.Binder}} {
		if len(part.list) == 0 {
			continue
		}
		p.line()
		p.line(p.in(bold, part.title))
		for _, m := range part.list {
			p.paragraph("  ", m.Word+": "+m.Meaning)
		}
	}
	p.line()
	p.paragraph("", "NAME is a name that the profile chooses, MESSAGE is one of "+strings.Join(r.Messages, ", ")+
		". Keys marked ° change neither the wire nor a verdict.")
}
