package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"attls"
	"attls/attestation"
	"attls/attestation/corim"
	"attls/attestation/roots"
	"attls/conformance/scenario"
	"attls/internal/gate"
	"attls/internal/private"
)

func importCommand() *cobra.Command {
	var key, out string
	c := &cobra.Command{
		Use:   "import FILE.corim...",
		Short: "Put reference values and keys of CoRIMs into a verifier's file",
		Long: `import reads CoRIMs (unsigned, or signed: then --key names the key of the signer),
and puts their reference values and attestation keys into the policies of a
verifier's file: the file of --output, which it makes where there is none and
otherwise adds to; without --output it prints a file.

What is added is listed on standard error. A CoRIM that says what a policy cannot
say is refused with the place in it, and so is one after which a device would be
accepted with values that are those of others. The profile of the CoRIM says whose
policy it is: ` + strings.Join(corim.Roots(), ", ") + `. docs/corim.md has the rules.`,
		Example: `  attls evidence import psa.corim -o verifier.yaml
  attls evidence import --key signer.pem platform.corim realm.corim -o verifier.yaml`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			pub, err := signerOf(key)
			if err != nil {
				return err
			}
			var list []*corim.Manifest
			for _, name := range args {
				m, err := readManifest(name, c.InOrStdin(), pub)
				if err != nil {
					return err
				}
				list = append(list, m)
			}
			text, changes, err := corim.Merge(out, roots.All(), list...)
			if err != nil {
				return failed("%w", err)
			}
			if out == "" {
				_, err = gate.Raw(c.OutOrStdout()).Write(text)
				err = unavailable(err)
			} else {
				err = replaceVerifier(out, text)
			}
			if err == nil {
				printChanges(c.ErrOrStderr(), changes)
			}
			return err
		},
	}
	c.Flags().StringVar(&key, "key", "", "PEM file with the key that signed the CoRIMs: a public key or a certificate")
	c.Flags().StringVarP(&out, "output", "o", "", "the verifier's file (default: standard output)")
	return c
}

// signerOf reads the key that must have signed; empty: no signature is expected.
func signerOf(name string) (crypto.PublicKey, error) {
	if name == "" {
		return nil, nil
	}
	spki, err := readPublicKey(name)
	if err != nil {
		return nil, unavailable(err)
	}
	pub, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, usage("--key %s: %w", name, err)
	}
	return pub, nil
}

func readManifest(name string, stdin io.Reader, pub crypto.PublicKey) (*corim.Manifest, error) {
	b, err := readPayload(name, stdin)
	if err != nil {
		return nil, unavailable(err)
	}
	m, err := corim.Read(b, corim.Options{Key: pub})
	if err != nil {
		return nil, failed("%s: %w", name, err)
	}
	return m, nil
}

func printChanges(w io.Writer, changes *corim.Changes) {
	for _, x := range []struct {
		word  string
		lines []string
	}{{"added", changes.Added}, {"known", changes.Known}, {"note", changes.Notes}} {
		for _, l := range x.lines {
			fmt.Fprintf(w, "attls: %s: %s\n", x.word, attls.Printable(l))
		}
	}
}

// replaceVerifier puts a verifier's file in place of the one there is, once it has been
// read as one.
func replaceVerifier(name string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return unavailable(err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return unavailable(err)
	}
	if _, err := attestation.LoadVerifier(f.Name(), roots.All()); err != nil {
		return failed("after the import: %s", strings.ReplaceAll(err.Error(), f.Name(), name))
	}
	return unavailable(private.WriteFile(name, text))
}

func exportCommand() *cobra.Command {
	var root, out, key, signer string
	var validity time.Duration
	var partial bool
	c := &cobra.Command{
		Use:   "export [VERIFIER.yaml]",
		Short: "Write a policy of a verifier's file as CoRIM",
		Long: `export writes the policy of one root of trust as a CoRIM, signed where --sign names
a private key. A policy that needs two profiles (cca: platform and realm) is
written to two files, with the names of the parts before the extension. Without a
file it is the policy that trusts the demonstration's emulator, for a Veraison that
is to judge "attls demo".

What the policy says and a CoRIM cannot say is listed, and then nothing is written
unless --partial is given.`,
		Example: `  attls evidence export --root-of-trust psa verifier.yaml -o psa.corim
  attls evidence export --root-of-trust cca --sign signer.pem --partial verifier.yaml -o cca.corim
  attls evidence export --root-of-trust cca --partial -o demo.corim`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if root == "" || out == "" {
				return usage("--root-of-trust and --output are needed")
			}
			if validity < 0 {
				return usage("--validity %v: a negative duration", validity)
			}
			v, from, err := exportable(c.Context(), root, args)
			if err != nil {
				return err
			}
			o := corim.ExportOptions{Signer: signer}
			if key != "" {
				if o.Key, err = readKey(key); err != nil {
					return unavailable(err)
				}
			}
			if validity > 0 {
				o.NotAfter = time.Now().Add(validity)
			}
			e, err := corim.Write(root, v, o)
			if err != nil {
				return failed("%s: %w", from, err)
			}
			for _, text := range e.Missing {
				fmt.Fprintf(c.ErrOrStderr(), "attls: not in the CoRIM: %s\n", attls.Printable(text))
			}
			if len(e.Missing) > 0 && !partial {
				return failed("%s: the policy says what a CoRIM cannot say (above); with --partial the rest is written", from)
			}
			return writeParts(c.ErrOrStderr(), out, e)
		},
	}
	f := c.Flags()
	f.StringVar(&root, "root-of-trust", "", "whose policy: "+strings.Join(corim.Roots(), ", "))
	f.StringVarP(&out, "output", "o", "", "the file to write")
	f.StringVar(&key, "sign", "", "PEM file with the private key to sign with")
	f.StringVar(&signer, "signer", "attls", "with --sign: the name of the signer in the CoRIM")
	f.DurationVar(&validity, "validity", 0, "how long the CoRIM is valid; 0: it does not say")
	f.BoolVar(&partial, "partial", false, "write it although a part of the policy cannot be said")
	complete(c, "root-of-trust", corim.Roots()...)
	return c
}

// exportable is the verifier whose policy is written, and where it is from: a file, or the
// demonstration.
func exportable(ctx context.Context, root string, args []string) (*attestation.Verifier, string, error) {
	if len(args) > 0 {
		v, err := attestation.LoadVerifier(args[0], roots.All())
		return v, args[0], unavailable(err)
	}
	if !slices.Contains(corim.Roots(), root) { // which says why
		_, err := corim.Write(root, &attestation.Verifier{}, corim.ExportOptions{})
		return nil, "", failed("%w", err)
	}
	_, v, _, err := scenario.DemoRoot(ctx, roots.All(), root, nil)
	return v, "the demonstration", unavailable(err)
}

// writeParts writes the manifests of an export.
func writeParts(w io.Writer, out string, e *corim.Export) error {
	for _, p := range e.Parts {
		name := out
		if p.Name != "" {
			ext := filepath.Ext(out)
			name = strings.TrimSuffix(out, ext) + "." + p.Name + ext
		}
		if err := os.WriteFile(name, p.Octets, 0o644); err != nil {
			return unavailable(err)
		}
		fmt.Fprintf(w, "attls: wrote %s: %d octets of the profile %s\n", name, len(p.Octets), p.Profile)
	}
	return nil
}
