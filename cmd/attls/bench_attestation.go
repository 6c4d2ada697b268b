package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"attls"
	"attls/conformance/bench"
	"attls/conformance/claims"
	"attls/conformance/report"
	"attls/extensions/profile"
)

// attestationBench are the flags of "bench attestation".
type attestationBench struct {
	o                    bench.Options
	root, profile        string
	attester, credential string
	count                int
	time                 time.Duration
	rtts                 []string
	json, html, svg      string
	service              serviceFlags
}

// everyRoot is the name of all roots of trust together.
const everyRoot = "all"

func benchAttestationCommand() *cobra.Command {
	f := &attestationBench{}
	c := &cobra.Command{
		Use:   "attestation",
		Short: "Measure what attestation adds to a handshake",
		Long: `attestation measures the codec, rules and binder of each profile when no one makes
or judges Evidence.

With --root-of-trust it measures handshakes in which the emulator of a root of
trust makes Evidence, next to the same handshake without attestation: the time to
make and to judge it, octets, allocations, and the time until the client has the
first application data. It has a row each for background check and passport, with
the embedded Verifier and with one over HTTP. An interrupt (Ctrl-C) ends it early;
what was measured until then is printed and written.

  attls bench attestation --root-of-trust all --rtt 0,20ms,100ms --html roots.html
  attls bench attestation --root-of-trust psa,sev-snp --attester client --count 50`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c) },
	}
	flags := c.Flags()
	flags.StringVar(&f.root, "root-of-trust", "", "measure these roots of trust, with commas between them: "+
		everyRoot+", "+strings.Join(emulators(), ", ")+" (several with + between them: composite Evidence)")
	complete(c, "root-of-trust", append([]string{everyRoot}, emulators()...)...)
	flags.StringVarP(&f.profile, "profile", "p", defaultProfile,
		`profile: an id (see "attls profile list") or a YAML file`)
	complete(c, "profile", profile.Names()...)
	flags.StringVarP(&f.attester, "attester", "a", attls.RoleServer.String(), "who attests: client or server")
	complete(c, "attester", attls.RoleClient.String(), attls.RoleServer.String())
	flags.StringVarP(&f.credential, "credential", "c", claims.CredentialX509,
		"attestation (instead of a certificate) or x509 (with an X.509 certificate)")
	complete(c, "credential", claims.CredentialAttestation, claims.CredentialX509)
	flags.IntVar(&f.count, "count", 10, "`rounds` in which all roots of trust take turns")
	flags.DurationVar(&f.time, "time", 0, "end early after this time (default: no bound)")
	flags.StringSliceVar(&f.rtts, "rtt", []string{"0"},
		"round-trip `times` of a delaying pipe at which latencies are measured")
	registerRounds(c, &f.o)
	flags.StringVar(&f.service.url, "verifier-url", "",
		"also ask the Veraison at this `origin` (https://…), which knows the emulators")
	f.service.registerTrust(flags)
	f.service.registerKey(flags)
	flags.StringVar(&f.json, "json", "", "write the figures to this `file`, as JSON")
	flags.StringVar(&f.html, "html", "", "write a page with a chart to this `file`")
	flags.StringVar(&f.svg, "svg", "", "write the chart to this `file`")
	return c
}

// ofRoots and ofProfiles are the flags of one way to measure alone.
var (
	ofRoots = []string{
		"profile",
		"attester",
		"credential",
		"count",
		"time",
		"rtt",
		"html",
		"svg",
		"verifier-url",
		"verifier-key",
		"verifier-ca",
		"verifier-insecure",
	}
	ofProfiles = []string{"rounds", "repeats"}
)

func (f *attestationBench) run(c *cobra.Command) error {
	given := c.Flags().Changed
	if f.root == "" {
		if name := firstGiven(given, ofRoots); name != "" {
			return usage("--%s needs --root-of-trust: without it no one makes Evidence", name)
		}
		return f.profiles(c)
	}
	if name := firstGiven(given, ofProfiles); name != "" {
		return usage("--%s and --root-of-trust exclude each other; rounds with roots of trust are counted by --count", name)
	}
	o, err := f.options(given("time"))
	if err != nil {
		return err
	}
	return f.roots(c, o)
}

func firstGiven(given func(string) bool, names []string) string {
	at := slices.IndexFunc(names, given)
	if at < 0 {
		return ""
	}
	return names[at]
}

// options reads the flags and refuses what cannot be measured. timed is whether --time
// was given.
func (f *attestationBench) options(timed bool) (o bench.RootOptions, err error) {
	o = bench.RootOptions{Profile: f.profile, Count: f.count, Time: f.time}
	if f.count < 1 || f.count > bench.MaxCount {
		return o, usage("--count %d: there are 1 to %d rounds", f.count, bench.MaxCount)
	}
	if f.time < 0 || f.time == 0 && timed {
		return o, usage("--time %v: a time above 0 is needed", f.time)
	}
	if _, err := profile.Load(f.profile, profile.Options{}); err != nil {
		return o, usage("--profile: %w", err)
	}
	all := attls.Roles()
	at := slices.IndexFunc(all[:], func(r attls.Role) bool { return r.String() == f.attester })
	if at < 0 {
		return o, usage("--attester %q: it is client or server", f.attester)
	}
	o.Attester = all[at]
	if o.Alone = f.credential == claims.CredentialAttestation; !o.Alone && f.credential != claims.CredentialX509 {
		return o, usage("--credential %q: it is %s or %s", f.credential, claims.CredentialAttestation, claims.CredentialX509)
	}
	for _, text := range f.rtts {
		rtt, err := time.ParseDuration(text)
		switch {
		case err != nil:
			return o, usage("--rtt %q: a time with its unit is needed, such as 20ms", text)
		case rtt < 0 || rtt > bench.MaxRTT:
			return o, usage("--rtt %s: a round-trip time is 0 to %v", text, bench.MaxRTT)
		case slices.Contains(o.RTTs, rtt):
			return o, usage("--rtt: %s appears twice", text)
		}
		o.RTTs = append(o.RTTs, rtt)
	}
	if len(o.RTTs) == 0 {
		return o, usage("--rtt: no round-trip time is given")
	}
	if err := f.service.check("", ""); err != nil {
		return o, err
	}
	if f.service.url != "" {
		service, err := f.service.options(io.Discard)
		if err != nil {
			return o, err
		}
		o.Verifiers = []bench.RootVerifier{bench.EmbeddedVerifier(), bench.HTTPVerifier(), bench.VeraisonVerifier(service)}
	}
	if f.root == everyRoot {
		return o, nil
	}
	for name := range strings.SplitSeq(f.root, ",") {
		switch {
		case name == "":
			return o, usage("--root-of-trust %q: a name is empty", f.root)
		case name == everyRoot:
			return o, usage("--root-of-trust: %s already has the others", everyRoot)
		case slices.Contains(o.Names, name):
			return o, usage("--root-of-trust: %s appears twice", name)
		}
		if err := checkRoot(name); err != nil {
			return o, err
		}
		o.Names = append(o.Names, name)
	}
	return o, nil
}

// roots measures roots of trust, prints and writes the figures.
func (f *attestationBench) roots(c *cobra.Command, o bench.RootOptions) error {
	files := resultFiles[*report.RootsPage]{}
	if err := files.create(
		resultFile[*report.RootsPage]{f.json, func(p *report.RootsPage, w io.Writer) error { return p.Write(w) }},
		resultFile[*report.RootsPage]{f.html, (*report.RootsPage).WriteHTML},
		resultFile[*report.RootsPage]{f.svg, func(p *report.RootsPage, w io.Writer) error {
			return report.RootsChart(p.RootReport).WriteSVG(w)
		}},
	); err != nil {
		return unavailable(err)
	}
	var bar *progress
	after := o.Progress
	o.Progress = func(what string, done, total int) {
		if bar == nil {
			bar = newProgress(c.ErrOrStderr(), total, "failed")
		}
		bar.step(what, false)
		if after != nil {
			after(what, done, total)
		}
	}
	r, err := bench.Roots(c.Context(), o)
	if bar != nil {
		bar.clear()
	}
	switch {
	case err != nil && c.Context().Err() != nil:
		return &exitError{exitInterrupted, fmt.Errorf("interrupted before anything was measured")}
	case err != nil:
		return failed("%w", err)
	}
	p := newPainter(c.OutOrStdout())
	p.rootFigures(r)
	page := &report.RootsPage{RootReport: r, Version: claims.StackVersion(), Command: invocation() + " " + commandLine(c)}
	if err := files.write(page); err != nil {
		return unavailable(err)
	}
	p.page(f.html)
	measured, _, bad := r.Counts()
	switch {
	case c.Context().Err() != nil:
		return &exitError{exitInterrupted, fmt.Errorf("interrupted; the figures are those until then")}
	case bad > 0:
		return failed("%d of %d rows failed", bad, len(r.Rows))
	case measured == 0 && r.Complete:
		return unavailable(fmt.Errorf("none of these roots of trust could be measured"))
	}
	return nil
}

// rootFigures prints the tables, and what was not measured.
func (p *painter) rootFigures(r *bench.RootReport) {
	p.line(fmt.Sprintf("%s, the %s attests, credential %s; %v", r.Profile, r.Attester, r.Credential, r.Machine))
	for _, f := range report.RootsFigures(r) {
		p.line("")
		p.line(p.in(bold, f.Title))
		t := newTable(f.Head...)
		for _, row := range f.Rows {
			t.Add(row...)
		}
		p.table(t, everyRow(plain))
	}
	if notices := report.RootsNotices(r); len(notices) > 0 {
		p.line("")
		for _, n := range notices {
			p.paragraph("", n)
		}
	}
}

// profiles measures what each profile adds when no one makes or judges Evidence.
func (f *attestationBench) profiles(c *cobra.Command) error {
	files := resultFiles[[]*bench.AttestationResult]{}
	if err := files.create(resultFile[[]*bench.AttestationResult]{f.json, writeResults}); err != nil {
		return unavailable(err)
	}
	var list []*bench.AttestationResult
	for _, x := range bench.AttestationCases() {
		r, err := bench.Attestation(x, f.o)
		if err != nil {
			return failed("%w", err)
		}
		list = append(list, r)
	}
	t := newTable("with µs", "without µs", "added µs", "binder µs", "to plain", "allocations added", "attester")
	for _, r := range list {
		t.Add(fixed(r.With.Nanoseconds/1e3, 0), fixed(r.Without.Nanoseconds/1e3, 0), fixed(r.Added.Nanoseconds/1e3, 1),
			fixed(r.Binder.Nanoseconds/1e3, 1), fixed(r.ToPlain, 2), fixed(r.Added.Allocations, 0), fmt.Sprint(r.Case))
	}
	newPainter(c.OutOrStdout()).table(t, everyRow(plain))
	return unavailable(files.write(list))
}

func writeResults(list []*bench.AttestationResult, w io.Writer) error { return writeJSON(w, list) }
