package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"attls/conformance/cases"
	"attls/conformance/claims"
	"attls/conformance/scenario"
	"attls/conformance/trace"
	"attls/extensions/profile"
	"attls/internal/columns"
	"attls/internal/gate"
)

// defaultProfile is the profile of commands that are given none.
const defaultProfile = "early-attestation-06"

// profileFlags are the flags that choose and adjust a profile.
type profileFlags struct {
	name       string
	readings   map[string]string
	codePoints []string
}

func (f *profileFlags) register(c *cobra.Command, fallback string) {
	c.Flags().StringVarP(&f.name, "profile", "p", fallback,
		`profile: an id (see "attls profile list"), a YAML file, or none: plain TLS`)
	f.registerAdjustments(c)
	c.RegisterFlagCompletionFunc("profile", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return profile.Names(), cobra.ShellCompDirectiveDefault
	})
}

// registerAdjustments registers what adjusts a profile that is named otherwise.
func (f *profileFlags) registerAdjustments(c *cobra.Command) {
	c.Flags().StringToStringVar(&f.readings, "reading", nil,
		`reading of an ambiguity, as switch=value (see "attls profile show")`)
	c.Flags().StringArrayVar(&f.codePoints, "code-point", nil,
		"number of a code point, as extensions.remoteAttestation=0xff06 (also alerts., messages., certificate_types.)")
}

// schemeFlags say who attests how.
type schemeFlags struct{ attester, model, credential, root string }

func (f *schemeFlags) register(c *cobra.Command) {
	c.Flags().StringVarP(&f.attester, "attester", "a", "",
		"who attests: client, server or both (default: the first that the profile allows)")
	c.Flags().StringVarP(&f.model, "model", "m", "", "evidence (background-check model) or results (passport model)")
	c.Flags().StringVarP(&f.credential, "credential", "c", "",
		"attestation (instead of a certificate) or x509 (with an X.509 certificate)")
	complete(c, "attester", "client", "server", "both")
	complete(c, "model", "evidence", "results")
	complete(c, "credential", "attestation", "x509")
}

func complete(c *cobra.Command, flag string, values ...string) {
	c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

// scenario reads the flags into a scenario.
func (f *schemeFlags) scenario(p *profileFlags) (scenario.Scenario, error) {
	s := scenario.Scenario{Profile: p.name, Readings: p.readings, Model: f.model, Credential: f.credential}
	var err error
	if s.CodePoints, err = parseCodePoints(p.codePoints); err != nil {
		return s, usage("%v", err)
	}
	if err := checkRoot(f.root); err != nil {
		return s, err
	}
	if f.root != "" && p.name == noProfile {
		return s, usage("--root-of-trust %s: without a profile nobody attests", f.root)
	}
	s.RootOfTrust = f.root
	if f.attester != "" {
		if s.Attester, err = scenario.ParseAttesters(f.attester); err != nil {
			return s, usage("%v", err)
		}
	}
	if f.model != "" {
		if _, err := scenario.ParseModel(f.model); err != nil {
			return s, usage("%v", err)
		}
	}
	if f.credential != "" {
		if _, err := scenario.ParseCredential(f.credential); err != nil {
			return s, usage("%v", err)
		}
	}
	return s, nil
}

func demoCommand() *cobra.Command {
	var p profileFlags
	var f schemeFlags
	var s scenario.Scenario
	var v view
	var recordFile, pcapFile string
	var service serviceFlags
	c := &cobra.Command{
		Use:   "demo",
		Short: "Make an attested connection over loopback TCP and explain it",
		Long: `demo connects a client to a server over loopback TCP, with an emulated root of
trust as the attester (--root-of-trust; by default one in software) and an
embedded verifier, sends application data both ways, and draws what happened:
the messages with the attestation fields decoded, what the Evidence is bound to
and how that was computed, and the verdict.

With --fail KIND the connection goes wrong in a chosen way, and demo exits 0
only when the right side rejects it with the right alert at the right message.
"--fail help" lists the kinds that the profile knows.`,
		Example: `  attls demo
  attls demo --attester both --model results
  attls demo --profile tls-attestation-07 --credential attestation
  attls demo --root-of-trust eat
  attls demo --reading hrr=b --hello-retry
  attls demo --attester client --post-handshake
  attls demo --fail reference-value
  attls demo --fail help
  attls demo --record run.json && attls replay run.json
  attls demo --pcap run.pcapng && attls decode run.pcapng
  attls demo --json | jq .client.attestation`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			base, err := f.scenario(&p)
			if err != nil {
				return err
			}
			s.Profile, s.Readings, s.CodePoints = base.Profile, base.Readings, base.CodePoints
			if s.ClientProfile == noProfile {
				return usage("--client-profile %s: both ends need a profile", noProfile)
			}
			s.Attester, s.Model, s.Credential, s.RootOfTrust = base.Attester, base.Model, base.Credential, base.RootOfTrust
			if s.Profile == noProfile {
				s.Profile = ""
			}
			if s.Fail == "help" {
				return listFaults(c.OutOrStdout(), s, v.json)
			}
			served, err := service.serveDemo(c.Context(), s.RootOfTrust)
			if err != nil {
				return err
			}
			recorder, err := createCapture(pcapFile)
			if err != nil {
				return err
			}
			options := append(recorder.option(), scenario.Find(cases.Find))
			result := scenario.Run(c.Context(), s, append(options, served...)...)
			if err := recorder.close(); err != nil {
				return err
			}
			if result.Claims[0].Schema == "" { // it did not begin
				return cannotRun(result.Err)
			}
			v.show(c.OutOrStdout(), &result)
			if recordFile != "" {
				if err := result.Recording().WriteFile(recordFile); err != nil {
					return unavailable(err)
				}
			}
			if result.Err != nil {
				return failed("%w", result.Err)
			}
			return nil
		},
	}
	p.register(c, defaultProfile)
	f.register(c)
	registerRoot(c, c.Flags(), &f.root)
	service.register(c.Flags())
	flags := c.Flags()
	flags.StringVar(&s.Fail, "fail", "", `make it fail: the id of a fault, or "help" for a list`)
	flags.StringVar(&s.Suite, "suite", "", "cipher suite, by its IANA name")
	flags.StringVar(&s.Group, "group", "", "key exchange group, by its IANA name")
	flags.BoolVar(&s.HelloRetry, "hello-retry", false, "let the server send HelloRetryRequest")
	flags.StringToStringVar(&s.ClientReadings, "client-reading", nil,
		"reading of the client alone, as switch=value: two ends that read the text differently")
	flags.StringVar(&s.ClientProfile, "client-profile", "",
		"profile of the client alone: two ends that follow different texts")
	flags.BoolVar(&s.Reattest, "reattest", false,
		"under a profile that attests in exported authenticators: ask a second time, after application data; "+
			"under one that attests with key updates, and with --extended-key-update: let who relies on it begin the update")
	flags.BoolVar(&s.ExtendedKeyUpdate, "extended-key-update", false,
		"offer Extended Key Update at both ends, and let the client begin one")
	flags.BoolVar(&s.PostHandshake, "post-handshake", false,
		"let the server ask for a certificate again after the handshake, and the client attest in its answer")
	flags.BoolVar(&s.Cookie, "cookie", false, "put a cookie into the HelloRetryRequest")
	flags.StringVar(&s.ALPN, "alpn", "", "application protocol to negotiate")
	flags.IntVar(&s.Split, "split", 0, "read at most so many octets at once from the network (0: no limit)")
	flags.StringVar(&recordFile, "record", "", `write a recording that "attls replay" repeats octet for octet`)
	flags.StringVar(&pcapFile, "pcap", "",
		`write the connection to a pcapng file with its secrets, for "attls decode", Wireshark and tshark`)
	v.register(c)
	return c
}

// view is how a run is shown.
type view struct{ json, quiet, raw, secrets bool }

func (v *view) register(c *cobra.Command) {
	flags := c.Flags()
	flags.BoolVar(&v.json, "json", false, "print one JSON object instead of the drawing")
	flags.BoolVarP(&v.quiet, "quiet", "q", false, "print the last line only")
	flags.BoolVar(&v.raw, "raw", false, "show the octets of each message in hexadecimal")
	flags.BoolVar(&v.secrets, "secrets", false, "show the secrets of the key schedule, as the client derived them")
}

func replayCommand() *cobra.Command {
	var v view
	c := &cobra.Command{
		Use:   "replay FILE",
		Short: "Repeat a recorded demonstration octet for octet",
		Long: `replay runs a recording made with "attls demo --record" again over a new
connection, with the recorded random octets and the recorded answers of
certificates, attesters and verifiers, and compares every octet that either end
sends. It exits 1 and names the first octet that differs.`,
		Example: "  attls demo --record run.json && attls replay run.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			rec, err := scenario.ReadRecording(args[0])
			if err != nil {
				return unavailable(err)
			}
			result, err := scenario.Replay(c.Context(), rec, scenario.Find(cases.Find))
			if result.Claims[0].Schema == "" {
				return cannotRun(err)
			}
			result.Err = err
			v.show(c.OutOrStdout(), &result)
			if err != nil {
				return failed("%w", err)
			}
			if !v.json {
				fmt.Fprintf(c.OutOrStdout(), "Replayed octet for octet: %d of the client, %d of the server.\n", len(result.Sent[0]),
					len(result.Sent[1]))
			}
			return nil
		},
	}
	v.register(c)
	return c
}

// cannotRun gives the error of a run that did not begin its exit code.
func cannotRun(err error) error {
	var forbidden *scenario.ForbiddenError
	if errors.As(err, &forbidden) {
		return err
	}
	return usage("%w", err)
}

// listFaults is "--fail help".
func listFaults(w io.Writer, s scenario.Scenario, asJSON bool) error {
	s.Fail = ""
	p, err := s.Load()
	if err != nil {
		return cannotRun(err)
	}
	faults := cases.All().Faults(p, s)
	if asJSON {
		return writeJSON(w, faults)
	}
	under := "TLS 1.3"
	if p != nil {
		under = p.ID
	}
	painter := newPainter(w)
	painter.line("What can be made to fail under ", under, ":")
	painter.line()
	t := columns.Table{Indent: "  "}
	t.Add("NAME", "FAILURE", "REJECTS", "AT", "ALERT")
	for _, f := range faults {
		alert := "(closes without)"
		switch {
		case f.Takes != "":
			t.Add(f.ID, "(the "+f.Takes+" must take it)")
			continue
		case f.Alert != nil:
			alert = f.Alert.Name
		}
		t.Add(f.ID, string(f.Failure), f.Rejects, f.At, alert)
	}
	painter.table(&t, everyRow(plain))
	painter.line()
	painter.line("What is done:")
	for _, f := range faults {
		painter.flow(painter.limit, "  ", "  "+f.ID+": "+f.Does)
	}
	return nil
}

// jsonResult is what --json prints of a run.
type jsonResult struct {
	OK       bool              `json:"ok"`
	Error    string            `json:"error,omitempty"`
	Scenario scenario.Scenario `json:"scenario"`
	Fault    *cases.Case       `json:"fault,omitempty"`
	Ladder   []trace.Step      `json:"ladder"`
	Binders  []scenario.Binder `json:"binders,omitempty"`
	Client   *claims.Claims    `json:"client"`
	Server   *claims.Claims    `json:"server"`
	Secrets  []trace.Secret    `json:"secrets,omitempty"`
}

func (v *view) show(w io.Writer, r *scenario.Result) {
	if !v.raw {
		for i := range r.Ladder {
			r.Ladder[i].Raw = ""
		}
	}
	if !v.secrets {
		r.Secrets = nil
	}
	if v.json {
		out := jsonResult{OK: r.Err == nil, Scenario: r.Scenario, Fault: cases.CaseOf(r), Ladder: r.Ladder,
			Binders: r.Binders,
			Client:  &r.Claims[0], Server: &r.Claims[1], Secrets: r.Secrets}
		if r.Err != nil {
			out.Error = r.Err.Error()
		}
		_ = writeJSON(w, out)
		return
	}
	p := newPainter(w)
	if !v.quiet {
		p.run(r)
	}
	colour, text := conclusion(r)
	p.titled("", colour, text)
}

// run draws everything about a run but its conclusion.
func (p *painter) run(r *scenario.Result) {
	p.titled(title(r), plain, "")
	if f := cases.CaseOf(r); f != nil {
		p.titled("Fault "+f.ID+": ", yellow, f.Does)
	}
	p.line()
	p.ladder(r.Ladder)
	for _, s := range r.Secrets {
		p.flow(p.limit, "  ", pad(s.Name, 34), " ", p.in(green, s.Value))
	}
	if len(r.Secrets) > 0 {
		p.line()
	}
	for i := range r.Binders {
		p.binder(&r.Binders[i])
	}
	for i := range r.Claims {
		p.verdicts(&r.Claims[i])
	}
	p.ends(&r.Claims[0], &r.Claims[1])
}

func title(r *scenario.Result) string {
	s := &r.Scenario
	if r.Profile == nil {
		return "TLS 1.3 without attestation"
	}
	who := map[scenario.Attesters]string{scenario.AttestClient: "the client attests",
		scenario.AttestServer: "the server attests",
		scenario.AttestBoth:   "both attest", scenario.AttestNone: "nobody attests"}[s.Attester]
	what := "Evidence"
	if s.Model == claims.ModelResults {
		what = "Attestation Results"
	}
	how := "with an X.509 certificate"
	if s.Credential == claims.CredentialAttestation {
		how = "in the certificate's place"
	}
	return fmt.Sprintf("%s: %s, %s %s", r.Profile.ID, who, what, how)
}

// conclusion is the last line of a run.
func conclusion(r *scenario.Result) (style, string) {
	f := cases.CaseOf(r)
	switch {
	case r.Err != nil:
		return red, "Not as it should be: " + r.Err.Error()
	case f != nil && f.Takes != "":
		return green, fmt.Sprintf("Accepted as expected: by the %s.", f.Takes)
	case f != nil && f.At == "":
		return green, fmt.Sprintf("Rejected as expected: by the %s, with %s.", f.Rejects, f.Alert.Name)
	case f != nil && f.Alert != nil:
		return green, fmt.Sprintf("Rejected as expected: by the %s, at %s, with %s.", f.Rejects, f.At, f.Alert.Name)
	case f != nil:
		return green, fmt.Sprintf("Rejected as expected: by the %s, at %s, without an alert.", f.Rejects, f.At)
	case r.Profile == nil:
		return green, "Application data went both ways; nobody attested."
	}
	return green, "Attested: application data went both ways over a connection whose peer was appraised."
}

func writeJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := gate.Raw(w).Write(gate.JSON(b.Bytes()))
	return err
}

// parseCodePoints reads "extensions.name=0xff06".
func parseCodePoints(list []string) (map[string]uint64, error) {
	if len(list) == 0 {
		return nil, nil
	}
	m := map[string]uint64{}
	for _, l := range list {
		name, value, ok := strings.Cut(l, "=")
		n, err := strconv.ParseUint(value, 0, 64)
		if !ok || err != nil {
			return nil, fmt.Errorf("--code-point %q: it is written as extensions.name=number", l)
		}
		m[name] = n
	}
	return m, nil
}
