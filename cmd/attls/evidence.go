package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"attls/attestation"
	"attls/attestation/roots"
	"attls/conformance/cases"
	"attls/conformance/claims"
	"attls/conformance/scenario"
	"attls/extensions/profile"
	"attls/extensions/schema"
	"attls/internal/gate"
	"attls/internal/private"
	"attls/negotiation"
)

// maxPayload bounds a CMW that is read from a file, in octets.
const maxPayload = 1 << 20

func evidenceCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "evidence",
		Short: "Make and judge Evidence and Attestation Results outside a handshake",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	files := &rootFiles{}
	files.register(c, c.PersistentFlags())
	c.AddCommand(makeCommand(files), appraiseCommand(files), inspectCommand(files), serveCommand(files),
		initCommand(files), enrollCommand(), formatsCommand(), importCommand(), exportCommand())
	c.AddCommand(provisionCommand(), collateralCommand(files))
	return c
}

// rootFiles name a root of trust, its file and that of a verifier; without files the
// demonstration ones are used.
type rootFiles struct {
	name, attester, verifier string
	service                  serviceFlags
	timeout                  time.Duration // of one appraisal by the service; 0: the usual one
}

func (f *rootFiles) register(c *cobra.Command, flags *pflag.FlagSet) {
	flags.StringVar(&f.attester, "attester-file", "",
		`file of a root of trust, as "attls evidence init" writes it (default: the demonstration root)`)
	flags.StringVar(
		&f.verifier,
		"verifier-file",
		"",
		"file with endorsed keys, reference values, policies and trusted verifiers (default: those of the demonstration "+
			"root)",
	)
	registerRoot(c, flags, &f.name)
}

// registerRoot registers --root-of-trust.
func registerRoot(c *cobra.Command, flags *pflag.FlagSet, name *string) {
	flags.StringVar(
		name,
		"root-of-trust",
		"",
		`root of trust whose emulator attests: `+strings.Join(emulators(),
			", ")+` (default: eat; several with + between them: composite Evidence; see "attls evidence formats")`,
	)
	c.RegisterFlagCompletionFunc("root-of-trust", cobra.FixedCompletions(emulators(), cobra.ShellCompDirectiveNoFileComp))
}

// emulators are the names of the roots of trust that a demonstration can have.
func emulators() (list []string) {
	for _, f := range roots.All().All() {
		if f.Emulate != nil {
			list = append(list, f.Name)
		}
	}
	return list
}

// checkRoot says that a root of trust does not exist or cannot be emulated.
func checkRoot(name string) error {
	if parts := strings.Split(name, "+"); len(parts) > 1 {
		for _, part := range parts {
			if part == "" {
				return usage("--root-of-trust %s: a name is missing before or after +", name)
			}
			if err := checkRoot(part); err != nil {
				return err
			}
		}
		return nil
	}
	if name == "" || slices.Contains(emulators(), name) {
		return nil
	}
	if _, err := roots.All().Named(name); err == nil {
		return usage(
			"--root-of-trust: the root of trust %s has no emulator here; name its device in a file (--attester-file)",
			name)
	}
	if near := schema.Nearest(name, emulators()); near != "" {
		return usage("--root-of-trust: no root of trust is called %q; did you mean %q?", name, near)
	}
	return usage("--root-of-trust: no root of trust is called %q; there are %s", name, strings.Join(emulators(), ", "))
}

// loaded is what attests and what judges.
type loaded struct {
	attester negotiation.Attester
	verifier *attestation.Verifier
	// appraiser judges: the verifier, or a service.
	appraiser negotiation.Appraiser
	format    *attestation.Format // of the Evidence that attester makes
}

// attests reports whether the flags say which root of trust made the Evidence.
func (f *rootFiles) attests() bool { return f.name != "" || f.attester != "" }

// announced takes the format that the CMW itself has, if the verifier appraises that:
// nothing was negotiated that it could differ from.
func announced(r *negotiation.AppraisalRequest, v negotiation.Appraiser) {
	c, err := attestation.ParseCMW(r.CMW, attestation.Limits{})
	if err != nil || c.IsCollection() {
		return // the verifier says what is wrong with it
	}
	for _, s := range v.Schemes() {
		if s.Model == profile.ModelEvidence && attestation.Matches(c.Format, s.Format, profile.MatchEqual) == nil {
			r.Scheme.Format = c.Format
			return
		}
	}
}

// software is the software root of trust, nil where another one attests.
func (l *loaded) software() *attestation.Software {
	s, _ := l.attester.(*attestation.Software)
	return s
}

func (f *rootFiles) load(ctx context.Context) (*loaded, error) {
	if err := checkRoot(f.name); err != nil {
		return nil, err
	}
	if err := f.service.check("", f.verifier); err != nil {
		return nil, err
	}
	out := &loaded{}
	var err error
	if f.name == "" || f.name == attestation.EAT {
		out.attester, out.verifier = scenario.DemoAttestation(nil)
		out.verifier.Table = roots.All()
		out.format, err = roots.All().Named(attestation.EAT)
	} else {
		out.attester, out.verifier, out.format, err = scenario.DemoRoot(ctx, roots.All(), f.name, nil)
	}
	if err != nil {
		return nil, unavailable(err)
	}
	if f.attester != "" {
		a, format, err := attestation.LoadAttester(ctx, f.attester, roots.All())
		if err != nil {
			return nil, unavailable(err)
		}
		if f.name != "" && f.name != format.Name {
			return nil, usage("--root-of-trust %s: the file %s is that of %s", f.name, f.attester, format.Name)
		}
		out.attester, out.format = a, format
	}
	if f.verifier != "" {
		if out.verifier, err = attestation.LoadVerifier(f.verifier, roots.All()); err != nil {
			return nil, unavailable(err)
		}
	}
	out.appraiser = out.verifier
	if f.service.url == "" {
		return out, nil
	}
	return out, out.serve(ctx, &f.service, f.timeout)
}

func initCommand(files *rootFiles) *cobra.Command {
	return &cobra.Command{
		Use:   "init DIRECTORY",
		Short: "Write a root of trust and a verifier with new keys as files",
		Long: `init writes attester.yaml (keys and what the platform claims) and verifier.yaml
(endorsed keys, reference values, trusted verifiers) that fit each other, with
keys of their own. Edit them and name them with --attester-file and
--verifier-file. Each endorsement says for which platforms its key may speak, and
a reference without "debug" admits none that can be debugged; docs/evidence.md
describes every key. attester.yaml and verifier.yaml hold private keys.

With --root-of-trust R the files are those of an emulator of R, under keys and
certificates of its own. They prove nothing: only a verifier that is given this
verifier.yaml trusts them.`,
		Example: `  attls evidence init roots
  attls server --attester-file roots/attester.yaml
  attls client --verifier-file roots/verifier.yaml --require-attestation`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if files.attester != "" || files.verifier != "" {
				return usage("init writes files and reads none; omit --attester-file and --verifier-file")
			}
			if err := checkRoot(files.name); err != nil {
				return err
			}
			const verifierName = "verifier.yaml"
			if strings.Contains(files.name, "+") {
				return usage("init writes the files of one root of trust, not of %s", files.name)
			}
			attesterFile, verifierFile, err := newRoot(c.Context(), files.name, verifierName)
			if err != nil {
				return unavailable(err)
			}
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return unavailable(err)
			}
			attesterName := filepath.Join(args[0], "attester.yaml")
			if err := writeNew(attesterName, attesterFile); err != nil {
				return unavailable(err)
			}
			if err := writeNew(filepath.Join(args[0], verifierName), verifierFile); err != nil {
				// An attester.yaml alone would fit no verifier.yaml, and stop the next init.
				return unavailable(errors.Join(err, os.Remove(attesterName)))
			}
			return nil
		},
	}
}

// newRoot writes the files of a root of trust with new keys, and of what trusts it.
func newRoot(ctx context.Context, name, verifierName string) (attesterFile, verifierFile []byte, err error) {
	seed := make([]byte, 32)
	rand.Read(seed)
	relays := map[string]string{attestation.DemoVerifier: verifierName}
	if name == "" || name == attestation.EAT {
		software, verifier := attestation.Demo(seed, nil)
		if attesterFile, err = software.File(relays); err != nil {
			return nil, nil, err
		}
		verifierFile, err = verifier.File()
		return attesterFile, verifierFile, err
	}
	f, err := roots.All().Named(name)
	if err != nil {
		return nil, nil, err
	}
	e, err := f.Emulate(ctx, attestation.EmulatorOptions{Seed: seed})
	if err != nil {
		return nil, nil, err
	}
	_, verifier, err := e.Demonstration(roots.All(), name, seed, nil)
	if err != nil {
		return nil, nil, err
	}
	if attesterFile, err = e.File(name, relays); err != nil {
		return nil, nil, err
	}
	if verifierFile, err = verifier.File(); err != nil {
		return nil, nil, err
	}
	const warning = "# An emulator of the root of trust %s, under keys of its own: what it attests proves nothing.\n"
	head := []byte(fmt.Sprintf(warning, name))
	return append(head, attesterFile...), append(bytes.Clone(head), verifierFile...), nil
}

// writeNew writes a private file that does not exist yet.
func writeNew(name string, b []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(name)) // half a key is of no use
	}
	return nil
}

// evidenceFlags describe what Evidence is to be bound to.
type evidenceFlags struct {
	challenge, key, format, model, verifier, fit string
	keyBound                                     bool
}

func (f *evidenceFlags) register(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.challenge, "challenge", "", "the challenge in hexadecimal: the attestation binder, or the nonce")
	flags.StringVar(&f.key, "key", "", "PEM file with the key to attest: a certificate, a public key or a private key")
	flags.StringVar(
		&f.format,
		"format",
		"",
		"format of the Evidence: a media type or the number of a content format (default: the first of the root of trust;\n"+
			"to appraise without --root-of-trust, or with --verifier-url: the type of the CMW, if the verifier appraises it)",
	)
	flags.StringVar(&f.model, "model", "evidence", "evidence, or results of a Verifier")
	flags.StringVar(&f.verifier, "verifier", attestation.DemoVerifier, "the Verifier whose results are meant")
	flags.StringVar(&f.fit, "fit", "pad_right",
		"how the challenge enters a field of another size: pad_right, pad_left, sha512, exact")
	complete(c, "model", "evidence", "results")
	complete(c, "fit", fitNames...)
}

// fitNames are in the order of profile.ChallengeFit.
var fitNames = []string{"pad_right", "pad_left", "sha512", "exact"}

func (f *evidenceFlags) request(format *attestation.Format) (*negotiation.AppraisalRequest, error) {
	r := &negotiation.AppraisalRequest{}
	var err error
	if r.Scheme.Model, err = scenario.ParseModel(f.model); err != nil {
		return nil, usage("%v", err)
	}
	if r.Scheme.Model == profile.ModelResults {
		r.Scheme.Verifier = []byte(f.verifier)
	} else if f.format == "" {
		r.Scheme.Format = profile.Format{MediaType: format.Types[0].MediaType}
		if r.Scheme.Format.MediaType == "" {
			r.Scheme.Format.ContentFormat = format.Types[0].ContentFormat
		}
	} else if n, err := strconv.ParseUint(f.format, 0, 16); err == nil {
		r.Scheme.Format.ContentFormat = uint16(n)
	} else {
		r.Scheme.Format.MediaType = f.format
	}
	if f.challenge != "" {
		if r.Challenge, err = hex.DecodeString(f.challenge); err != nil {
			return nil, usage("--challenge: %v", err)
		}
	}
	fit := -1
	for i, n := range fitNames {
		if n == f.fit {
			fit = i
		}
	}
	if fit < 0 {
		return nil, usage("--fit %q: it is one of %s", f.fit, strings.Join(fitNames, ", "))
	}
	r.Fit = profile.ChallengeFit(fit)
	if f.key != "" {
		r.Scheme.Credential = profile.KindX509
		if r.SPKI, err = readPublicKey(f.key); err != nil {
			return nil, unavailable(err)
		}
	}
	return r, nil
}

func makeCommand(files *rootFiles) *cobra.Command {
	var f evidenceFlags
	var spoil, keyOut string
	var asJSON bool
	c := &cobra.Command{
		Use:   "make",
		Short: "Make Evidence (or have a Verifier issue results) as a CMW",
		Long: `make writes a CMW to standard output: Evidence of a root of trust on a key and a
challenge, or, with --model results, Attestation Results of the demonstration
verifier. Without --key it attests a key of its own, whose private half --key-out
takes; Evidence that names no key needs --key.`,
		Example: `  attls evidence make --challenge 00112233445566778899aabbccddeeff --key server.pem > evidence.cmw
  attls evidence make --spoil reference-value --key server.pem | attls evidence appraise --key server.pem -
  attls evidence make --model results --key server.pem --json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			root, err := files.load(c.Context())
			if err != nil {
				return err
			}
			if files.service.name != "" && !c.Flags().Changed("verifier") {
				f.verifier = files.service.name
			}
			r, err := f.request(root.format)
			if err != nil {
				return err
			}
			attester := root.attester
			if spoil == "help" {
				p := newPainter(c.OutOrStdout())
				for _, x := range attestation.Spoilages {
					p.flow(p.limit, strings.Repeat(" ", 17), fmt.Sprintf("%-16s %s (%s)", x.Kind, x.Text, x.Failure))
				}
				return nil
			}
			if spoil != "" {
				if root.software() == nil {
					return usage("--spoil makes bad tokens of the software root of trust; %s makes none", root.format.Name)
				}
				if attester, err = attestation.Spoil(spoil, root.software()); err != nil {
					return usage("%w", err)
				}
			}
			if r.SPKI == nil && attestation.KeysOf(attester) == nil && !root.format.Key.Named {
				return usage("%s Evidence names no key; name the key of the handshake with --key", root.format.Name)
			}
			ev, err := attester.Attest(c.Context(),
				&negotiation.EvidenceRequest{Scheme: r.Scheme, Challenge: r.Challenge, Fit: r.Fit, SPKI: r.SPKI})
			if err != nil {
				return failed("%w", err)
			}
			if keyOut != "" && ev.Signer != nil {
				if err := writeKey(keyOut, ev.Signer); err != nil {
					return unavailable(err)
				}
			}
			if asJSON {
				return writeJSON(c.OutOrStdout(), attestation.AttestResponse{CMW: ev.CMW, SPKI: ev.SPKI})
			}
			_, err = gate.Raw(c.OutOrStdout()).Write(ev.CMW)
			return unavailable(err)
		},
	}
	f.register(c)
	files.service.register(c.Flags())
	files.service.registerName(c.Flags())
	c.Flags().StringVar(&spoil, "spoil", "", `make it bad in one way; "help" lists the ways`)
	c.Flags().StringVar(&keyOut, "key-out", "", "without --key: write the attested private key to this PEM file")
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object with the CMW in base64")
	return c
}

func writeKey(name string, key crypto.Signer) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return private.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func appraiseCommand(files *rootFiles) *cobra.Command {
	var f evidenceFlags
	var ear string
	var asJSON bool
	c := &cobra.Command{
		Use:   "appraise FILE",
		Short: "Judge a CMW with the embedded verifier, or with a Veraison",
		Long: `appraise reads a CMW from FILE (- for standard input) and judges it: against the
challenge and the key, reference values and endorsed keys, or, with --model
results, against the trusted verifiers. What a token restricts (exp, nbf, aud,
crit) is enforced. It exits 0 when the CMW is accepted and 1 when it is refused;
the first check that failed is the reason.

With --verifier-url a Veraison judges, after the challenge and the key in the Evidence
were compared here; docs/veraison.md tells who checks what.`,
		Example: `  attls evidence appraise --challenge 00112233445566778899aabbccddeeff --key server.pem evidence.cmw
  attls evidence appraise --key server.pem --ear result.jwt evidence.cmw
  attls evidence appraise --root-of-trust psa --verifier-url https://localhost:8443 --verifier-ca rootCA.pem \
    --challenge 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff \
    --key server.pem --key-bound evidence.cmw`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			root, err := files.load(c.Context())
			if err != nil {
				return err
			}
			if files.name == "" && files.attester == "" {
				root.format = preferred(root.verifier, root.format)
			}
			if files.service.name != "" && !c.Flags().Changed("verifier") {
				f.verifier = files.service.name
			}
			r, err := f.request(root.format)
			if err != nil {
				return err
			}
			r.KeyBound = f.keyBound
			if r.CMW, err = readPayload(args[0], c.InOrStdin()); err != nil {
				return unavailable(err)
			}
			if f.format == "" && (!files.attests() || files.service.url != "") && r.Scheme.Model == profile.ModelEvidence {
				announced(r, root.appraiser)
			}
			v, err := root.appraiser.Appraise(c.Context(), r)
			if err != nil {
				return failed("%w", err)
			}
			if ear != "" && v.Result != nil {
				if err := os.WriteFile(ear, v.Result, 0o644); err != nil {
					return unavailable(err)
				}
			}
			if asJSON {
				if err := writeJSON(c.OutOrStdout(), attestation.NewAppraiseResponse(v)); err != nil {
					return unavailable(err)
				}
			} else {
				p := newPainter(c.OutOrStdout())
				p.verdict("Verdict: ", claims.MakeVerdictClaim(v))
			}
			if failure, _ := v.Refusal(time.Now()); failure != "" {
				return failed("refused: %s", failure)
			}
			return nil
		},
	}
	f.register(c)
	files.service.register(c.Flags())
	files.service.registerName(c.Flags())
	c.Flags().
		BoolVar(&f.keyBound, "key-bound", false,
			"the challenge was computed over the key, as the profile says: what attests a key that the Evidence does not name")
	c.Flags().StringVar(&ear, "ear", "", "write the Attestation Result (a JWT) to this file")
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return c
}

// preferred is the format of the Evidence that a verifier names first, or another if
// it names none.
func preferred(v *attestation.Verifier, other *attestation.Format) *attestation.Format {
	if len(v.Formats) > 0 {
		if list := v.Table.Of(v.Formats[0]); len(list) > 0 {
			return list[0]
		}
	}
	return other
}

func readPayload(name string, stdin io.Reader) ([]byte, error) {
	in := stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxPayload+1))
	if err == nil && len(b) > maxPayload {
		err = fmt.Errorf("%s has more than %d octets", name, maxPayload)
	}
	return b, err
}

func serveCommand(files *rootFiles) *cobra.Command {
	var lie string
	var opaque int
	c := &cobra.Command{
		Use:   "serve",
		Short: "Answer one JSON request, as --attester-cmd and --appraiser-cmd ask it",
		Long: `serve reads one JSON request from standard input and answers it on standard
output with the software root of trust or the embedded verifier. It shows what a
program of your own has to do to take their place; docs/attester-command.md
describes the requests. With --lie its verdicts are wrong in one way, to see whether
a relying party notices.`,
		Example: `  attls server --attester-cmd "attls evidence serve"
  attls client --appraiser-cmd "attls evidence serve" --require-attestation`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			root, err := files.load(c.Context())
			if err != nil {
				return err
			}
			attester := root.attester
			appraiser := root.appraiser
			if opaque > 0 {
				attester, appraiser = attestation.Opaque{Size: opaque}, attestation.Opaque{Size: opaque}
			}
			if lie != "" {
				if appraiser, err = cases.Lying(lie, appraiser); err != nil {
					return usage("--lie: %w", err)
				}
			}
			if err := attestation.Serve(c.Context(), attester, appraiser, c.InOrStdin(), gate.Raw(c.OutOrStdout())); err != nil {
				return failed("%w", err)
			}
			return nil
		},
	}
	files.service.register(c.Flags())
	files.service.registerName(c.Flags())
	c.Flags().StringVar(&lie, "lie", "", "give verdicts that are wrong in one way: "+strings.Join(cases.Lies(), ", "))
	complete(c, "lie", cases.Lies()...)
	c.Flags().IntVar(&opaque, "opaque", 0,
		"Evidence without a format, of exactly so many octets, and its appraisal: to look at sizes")
	return c
}

// tools returns the Attester and the Appraiser of an endpoint, and the format of the
// Evidence.
func (f *endpointFlags) tools(
	ctx context.Context) (negotiation.Attester, negotiation.Appraiser, *attestation.Format, error) {
	if err := f.roots.service.check(f.appraiserCommand, f.roots.verifier); err != nil {
		return nil, nil, nil, err
	}
	f.roots.timeout = f.timeout
	root, err := f.roots.load(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	attester, appraiser := root.attester, root.appraiser
	if f.attesterCommand != "" {
		args, err := program("--attester-cmd", f.attesterCommand)
		if err != nil {
			return nil, nil, nil, err
		}
		attester = &attestation.Command{
			Args:    args,
			Timeout: f.timeout,
			Offered: root.attester.Schemes(),
			Size:    root.format.Challenge.Wants,
		}
	}
	if f.appraiserCommand != "" {
		args, err := program("--appraiser-cmd", f.appraiserCommand)
		if err != nil {
			return nil, nil, nil, err
		}
		appraiser = &attestation.Command{Args: args, Timeout: f.timeout, Offered: root.verifier.Schemes(), AskNonce: true}
	}
	return attester, appraiser, root.format, nil
}

// program splits a command line and looks for its program now, rather than in
// the first handshake.
func program(flag, line string) ([]string, error) {
	args := strings.Fields(line)
	if len(args) == 0 {
		return nil, usage("%s names no program", flag)
	}
	if _, err := exec.LookPath(args[0]); err != nil {
		return nil, unavailable(fmt.Errorf("%s: %w", flag, err))
	}
	return args, nil
}
