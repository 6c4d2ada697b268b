package main

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"attls/attestation"
	"attls/attestation/collateral"
	"attls/attestation/roots"
	"attls/extensions/profile"
)

// collateralFlags say what is fetched, from where, and where to.
type collateralFlags struct {
	files        *rootFiles
	out, url, ca string
	timeout      time.Duration
	wait         time.Duration
	parameters   map[string]*string
}

func collateralCommand(files *rootFiles) *cobra.Command {
	f := &collateralFlags{files: files, parameters: map[string]*string{}}
	c := &cobra.Command{
		Use:   "collateral [FILE]",
		Short: "Fetch what judging Evidence of a platform needs, to files",
		Long: `collateral reads Evidence (a CMW, or an attestation report or quote alone; - for
standard input) and fetches for its platform what a verifier needs and the Evidence need
not bring: certificates, CRLs, statements on security versions. Without FILE the flags
say which platform is meant, and --root-of-trust of which kind it is:
` + publishersText() + `
It checks that the answers are about this platform, signed and in force, writes them to
files, all or none, and prints the lines for the verifier's file. Judging reads the files
and never goes online. No root becomes trusted: the output names the root with its
fingerprint, and the policy says whether to trust it.`,
		Example: `  attls evidence collateral evidence.cmw --out collateral
  attls evidence collateral --root-of-trust sev-snp --product Milan --out collateral
  attls evidence collateral quote.bin --service-url https://localhost:8081 --service-ca pccs.pem`,
		Args: cobra.MaximumNArgs(1),
		RunE: f.run,
	}
	flags := c.Flags()
	flags.StringVar(&f.out, "out", ".", "directory of the files; those of the same names are replaced")
	flags.StringVar(&f.url, "service-url", "", "another service with the interface of the vendor's: a cache (PCCS), a "+
		"proxy; https, or http on this machine")
	flags.StringVar(&f.ca, "service-ca", "", "PEM file with the trust anchors of its certificate (default: the system's)")
	flags.DurationVar(&f.timeout, "timeout", 20*time.Second, "time-out of one answer")
	flags.DurationVar(&f.wait, "wait", time.Minute, "how long a busy service may have it wait in all (Retry-After)")
	for _, p := range publishers() {
		for _, x := range p.Publisher.Parameters {
			if f.parameters[x.Name] == nil {
				f.parameters[x.Name] = flags.String(x.Name, "", p.Name+": "+x.Text)
			}
		}
	}
	return c
}

func publishers() []*attestation.Format { return roots.All().Publishers() }

// publishersText lists the services.
func publishersText() string {
	var b strings.Builder
	for _, f := range publishers() {
		fmt.Fprintf(&b, "  %-8s %s\n", f.Name, f.Publisher.URL)
	}
	return b.String()
}

func (f *collateralFlags) run(c *cobra.Command, args []string) error {
	if f.files.attester != "" || f.files.verifier != "" {
		return usage("collateral is for the file of a verifier and reads none; omit --attester-file and --verifier-file")
	}
	q := &attestation.PublisherQuery{Service: f.url, At: time.Now(), Parameters: map[string]string{}}
	format, err := f.platform(args, c.InOrStdin(), q)
	if err != nil {
		return err
	}
	for name, v := range f.parameters {
		if *v == "" {
			continue
		}
		if !slices.ContainsFunc(format.Publisher.Parameters,
			func(x attestation.PublisherParameter) bool { return x.Name == name }) {
			return usage("--%s: nothing of %s is asked for by that", name, format.Name)
		}
		q.Parameters[name] = *v
	}
	client := &collateral.Client{Timeout: f.timeout, Wait: f.wait}
	if client.Wait == 0 {
		client.Wait = -1 // none
	}
	if f.ca != "" {
		if client.RootCAs, _, _, err = readAnchors(f.ca, c.ErrOrStderr()); err != nil {
			return unavailable(err)
		}
	}
	q.Getter = client
	published, err := format.Publisher.Fetch(c.Context(), q)
	if err != nil {
		return failed("%s: %w", format.Name, err)
	}
	if err := collateral.Write(f.out, published.Files); err != nil {
		return unavailable(err)
	}
	return unavailable(f.print(c.OutOrStdout(), format, published))
}

// platform is the format in question, and its Evidence if there is some.
func (f *collateralFlags) platform(args []string, in io.Reader, q *attestation.PublisherQuery) (*attestation.Format,
	error) {
	if err := checkRoot(f.files.name); err != nil {
		return nil, err
	}
	if len(args) == 1 {
		b, err := readPayload(args[0], in)
		if err != nil {
			return nil, unavailable(err)
		}
		return f.read(args[0], b, q)
	}
	if f.files.name == "" {
		return nil, usage("name a FILE with Evidence of the platform, or the kind of platform with --root-of-trust")
	}
	format, err := roots.All().Named(f.files.name)
	if err != nil {
		return nil, usage("--root-of-trust: %v", err)
	}
	return format, publishes(format)
}

// publishes says that there is nothing to fetch for a format.
func publishes(f *attestation.Format) error {
	if f.Publisher != nil {
		return nil
	}
	var names []string
	for _, p := range publishers() {
		names = append(names, p.Name)
	}
	return usage(
		"there is no collateral of %s to fetch: its Evidence and the policy have what judging needs; there is for %s",
		f.Name,
		strings.Join(names, ", "),
	)
}

// read reads Evidence: in a CMW, or alone.
func (f *collateralFlags) read(name string, b []byte, q *attestation.PublisherQuery) (*attestation.Format, error) {
	contents, failure := roots.All().Inspect(b, profile.ModelEvidence)
	if failure == nil {
		if f.files.name != "" && f.files.name != contents.Format.Name {
			return nil, usage("--root-of-trust %s: %s is Evidence of %s", f.files.name, name, contents.Format.Name)
		}
		q.Reading = contents.Reading
		return contents.Format, publishes(contents.Format)
	}
	reasons := []string{"as a CMW: " + failure.Error()}
	for _, format := range publishers() {
		if f.files.name != "" && f.files.name != format.Name {
			continue
		}
		reading, failure := format.Publisher.Raw(b)
		if failure == nil {
			q.Reading = reading
			return format, nil
		}
		reasons = append(reasons, "as Evidence of "+format.Name+": "+failure.Error())
	}
	return nil, failed("%s cannot be read\n%s", name, strings.Join(reasons, "\n"))
}

// print prints the lines for the verifier's file, and what the user has to know.
func (f *collateralFlags) print(w io.Writer, format *attestation.Format, p *attestation.Published) error {
	members := map[string][]string{}
	notes := p.Notes
	for _, file := range p.Files {
		name := filepath.Join(f.out, file.Name)
		if file.Member != "" {
			members[file.Member] = append(members[file.Member], name)
		} else {
			notes = append(notes, name+" is the root, which no line names")
		}
	}
	var text bytes.Buffer
	e := yaml.NewEncoder(&text)
	e.SetIndent(2)
	if err := e.Encode(map[string]any{"roots": map[string]any{format.Name: members}}); err != nil {
		return err
	}
	fmt.Fprintf(w, "# For the verifier's file, to which the files are relative. They hold until %s.\n%s",
		p.Until.UTC().Format(time.RFC3339), &text)
	for _, note := range notes {
		fmt.Fprintf(w, "# %s\n", note)
	}
	return nil
}
