package main

import (
	"crypto"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"attls/attestation"
	"attls/conformance"
	"attls/extensions/profile"
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
	c.AddCommand(makeCommand(), appraiseCommand(), serveCommand())
	return c
}

// evidenceFlags describe what Evidence is to be bound to.
type evidenceFlags struct {
	challenge, key, format, model, verifier, fit string
}

func (f *evidenceFlags) register(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.challenge, "challenge", "", "the challenge in hexadecimal: the attestation binder, or the nonce")
	flags.StringVar(&f.key, "key", "", "PEM file with the key to attest: a certificate, a public key or a private key")
	flags.StringVar(&f.format, "format", attestation.MediaTypeCWT, "format of the Evidence: a media type or the number of a content format")
	flags.StringVar(&f.model, "model", "evidence", "evidence, or results of a Verifier")
	flags.StringVar(&f.verifier, "verifier", attestation.DemoVerifier, "the Verifier whose results are meant")
	flags.StringVar(&f.fit, "fit", "pad_right", "how the challenge enters a field of another size: pad_right, pad_left, sha512, exact")
	complete(c, "model", "evidence", "results")
	complete(c, "fit", fitNames...)
}

// fitNames are in the order of profile.ChallengeFit.
var fitNames = []string{"pad_right", "pad_left", "sha512", "exact"}

func (f *evidenceFlags) request() (*negotiation.AppraisalRequest, error) {
	r := &negotiation.AppraisalRequest{}
	var err error
	if r.Scheme.Model, err = conformance.ParseModel(f.model); err != nil {
		return nil, usage("%v", err)
	}
	if r.Scheme.Model == profile.ModelResults {
		r.Scheme.Verifier = []byte(f.verifier)
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

// readPublicKey reads a key as DER SubjectPublicKeyInfo out of a PEM file.
func readPublicKey(name string) ([]byte, error) {
	blob, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	for {
		var b *pem.Block
		if b, blob = pem.Decode(blob); b == nil {
			return nil, fmt.Errorf("%s holds no certificate and no key", name)
		}
		switch b.Type {
		case "PUBLIC KEY":
			return b.Bytes, nil
		case "CERTIFICATE":
			cert, err := x509.ParseCertificate(b.Bytes)
			if err != nil {
				return nil, err
			}
			return cert.RawSubjectPublicKeyInfo, nil
		}
		if key := parseKey(b); key != nil {
			return x509.MarshalPKIXPublicKey(crypto.PublicKey(key.Public()))
		}
	}
}

func makeCommand() *cobra.Command {
	var f evidenceFlags
	var spoil, keyOut string
	var asJSON bool
	c := &cobra.Command{
		Use:   "make",
		Short: "Make Evidence (or have a Verifier issue results) as a CMW",
		Long: `make writes a CMW to standard output: Evidence of the software root of trust on
a key and a challenge, or, with --model results, Attestation Results of the
demonstration verifier. Without --key it attests a key of its own, whose private
half --key-out takes.`,
		Example: `  attls evidence make --challenge 00112233445566778899aabbccddeeff --key server.pem > evidence.cmw
  attls evidence make --spoil reference-value --key server.pem | attls evidence appraise --key server.pem -
  attls evidence make --model results --key server.pem --json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := f.request()
			if err != nil {
				return err
			}
			software, _ := conformance.DemoAttestation(nil)
			var attester negotiation.Attester = software
			if spoil == "help" {
				for _, x := range attestation.Spoilages {
					fmt.Fprintf(c.OutOrStdout(), "%-16s %s (%s)\n", x.Kind, x.Text, x.Failure)
				}
				return nil
			}
			if spoil != "" {
				if attester, err = attestation.Spoil(spoil, software); err != nil {
					return usage("%w", err)
				}
			}
			ev, err := attester.Attest(c.Context(), &negotiation.EvidenceRequest{Scheme: r.Scheme, Challenge: r.Challenge, Fit: r.Fit, SPKI: r.SPKI})
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
			_, err = c.OutOrStdout().Write(ev.CMW)
			return unavailable(err)
		},
	}
	f.register(c)
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
	return os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

func appraiseCommand() *cobra.Command {
	var f evidenceFlags
	var ear string
	var asJSON bool
	c := &cobra.Command{
		Use:   "appraise FILE",
		Short: "Judge a CMW with the embedded verifier",
		Long: `appraise reads a CMW from FILE (- for standard input) and judges it: against the
challenge and the key, reference values and endorsed keys, or, with --model
results, against the trusted verifiers. It exits 0 when the CMW is accepted and
1 when it is refused; the first check that failed is the reason.`,
		Example: `  attls evidence appraise --challenge 00112233445566778899aabbccddeeff --key server.pem evidence.cmw
  attls evidence appraise --key server.pem --ear result.jwt evidence.cmw`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			r, err := f.request()
			if err != nil {
				return err
			}
			if r.CMW, err = readPayload(args[0], c.InOrStdin()); err != nil {
				return unavailable(err)
			}
			_, verifier := conformance.DemoAttestation(nil)
			v, err := verifier.Appraise(c.Context(), r)
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
				p.verdict("Verdict: ", conformance.MakeVerdictClaim(v))
			}
			if v.Failure != "" {
				return failed("refused: %s", v.Failure)
			}
			return nil
		},
	}
	f.register(c)
	c.Flags().StringVar(&ear, "ear", "", "write the Attestation Result (a JWT) to this file")
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return c
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

func serveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Answer one JSON request, as --attester-cmd and --appraiser-cmd ask it",
		Long: `serve reads one JSON request from standard input and answers it on standard
output with the software root of trust or the embedded verifier. It shows what a
program of your own has to do to take their place; docs/attester-command.md
describes the requests.`,
		Example: `  attls server --attester-cmd "attls evidence serve"
  attls client --appraiser-cmd "attls evidence serve" --require-attestation`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			software, verifier := conformance.DemoAttestation(nil)
			if err := attestation.Serve(c.Context(), software, verifier, c.InOrStdin(), c.OutOrStdout()); err != nil {
				return failed("%w", err)
			}
			return nil
		},
	}
}

// tools returns the Attester and the Appraiser of an endpoint.
func (f *endpointFlags) tools() (negotiation.Attester, negotiation.Appraiser, error) {
	software, verifier := conformance.DemoAttestation(nil)
	var attester negotiation.Attester = software
	var appraiser negotiation.Appraiser = verifier
	if f.attesterCommand != "" {
		args := strings.Fields(f.attesterCommand)
		if len(args) == 0 {
			return nil, nil, usage("--attester-cmd names no program")
		}
		attester = &attestation.Command{Args: args, Timeout: f.timeout, Offered: software.Schemes()}
	}
	if f.appraiserCommand != "" {
		args := strings.Fields(f.appraiserCommand)
		if len(args) == 0 {
			return nil, nil, usage("--appraiser-cmd names no program")
		}
		appraiser = &attestation.Command{Args: args, Timeout: f.timeout, Offered: verifier.Schemes(), AskNonce: true}
	}
	return attester, appraiser, nil
}
