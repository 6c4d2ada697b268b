package main

import (
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"attls/attestation"
	"attls/attestation/roots"
	"attls/attestation/tpm"
	"attls/extensions/profile"
)

func enrollCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "enroll",
		Short: "Make the files of a device whose keys cannot be copied",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(enrollTPMCommand())
	return c
}

// enrollFlags are those of enrolling a TPM.
type enrollFlags struct {
	where, anchors string
	tpm.EnrollOptions
}

func enrollTPMCommand() *cobra.Command {
	f := &enrollFlags{}
	c := &cobra.Command{
		Use:   "tpm DIRECTORY",
		Short: "Enroll a TPM 2.0",
		Long: `tpm makes an attestation key and a key for handshakes in a TPM, verifies the
certificate of its endorsement key under the CA certificates of its maker (--ca), and has
the TPM open a credential for the attestation key: only the genuine TPM that holds both
keys can. Then it writes
  attester.yaml  the TPM and its keys, for --attester-file
  key.pem        the key for handshakes (TSS2 PRIVATE KEY), for --key; only this TPM uses it
  request.pem    a certificate request for it
  verifier.yaml  the endorsement of the attestation key and the present PCRs as reference
                 value, for --verifier-file
The TPM is a path (a device or a Unix socket), device:PATH or swtpm:path=PATH. Where
--key names the key, the TPM is the one in TPM2OPENSSL_TCTI or TPM2TOOLS_TCTI, or
` + tpm.DefaultPath + `.`,
		Example: `  attls evidence enroll tpm host7 --ca maker.pem --host host7.example
  attls server --attester-file host7/attester.yaml --cert host7.pem --key host7/key.pem
  attls client --verifier-file host7/verifier.yaml --require-attestation host7.example`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, args[0]) },
	}
	flags := c.Flags()
	flags.StringVar(&f.where, "tpm", "", "the TPM (default: that of the environment, or "+tpm.DefaultPath+")")
	flags.StringVar(&f.anchors, "ca", "", "PEM file with the CA certificates of the TPM's maker: roots, and those between")
	flags.StringVar(&f.Name, "name", "", "name of the endorsement and of the reference value (default: the directory's)")
	flags.StringVar(&f.PCRs, "pcrs", tpm.DefaultPCRs, "a bank and its PCRs, which are quoted")
	flags.StringArrayVar(&f.Hosts, "host", nil, "name or address for the certificate request (may be repeated)")
	return c
}

func (f *enrollFlags) run(c *cobra.Command, directory string) error {
	if f.anchors == "" {
		return usage("--ca is missing: the certificates of the TPM's maker show that it is genuine")
	}
	if _, err := attestation.ParsePCRSelection(f.PCRs); err != nil {
		return usage("--pcrs: %w", err)
	}
	var err error
	if _, _, f.Anchors, err = readAnchors(f.anchors, c.ErrOrStderr()); err != nil {
		return unavailable(err)
	}
	device, err := tpm.Locate(f.where)
	if err != nil {
		return unavailable(err)
	}
	if f.Name == "" {
		f.Name = filepath.Base(filepath.Clean(directory))
	}
	if len(f.Hosts) > 0 {
		f.Subject = f.Hosts[0]
	}
	f.At = time.Now()
	e, err := tpm.Enroll(c.Context(), device, f.EnrollOptions)
	if err != nil {
		return failed("%w", err)
	}
	return unavailable(writeEnrollment(c.OutOrStdout(), directory, e))
}

// writeEnrollment writes the files of an enrolled TPM. Its keys are encrypted by the TPM.
func writeEnrollment(w io.Writer, directory string, e *tpm.Enrollment) error {
	attester, err := (&attestation.Emulation{Device: e.Device}).File(tpm.Name, nil)
	if err != nil {
		return err
	}
	v := &attestation.Verifier{Table: roots.All(), Formats: []profile.Format{{MediaType: tpm.MediaType}},
		Endorsements: []attestation.Endorsement{e.Endorsement}, References: []attestation.Reference{e.Reference}}
	verifier, err := v.File()
	if err != nil {
		return err
	}
	key, err := e.Key.PEM()
	if err != nil {
		return err
	}
	request := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: e.Request})
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return err
	}
	for _, file := range []struct {
		name   string
		octets []byte
	}{{"attester.yaml", attester}, {"key.pem", key}, {"request.pem", request}, {"verifier.yaml", verifier}} {
		if err := writeNew(filepath.Join(directory, file.name), file.octets); err != nil {
			return err
		}
	}
	fmt.Fprintf(w, "the TPM is genuine: %v\n", e.Hardware)
	fmt.Fprintf(w, "its PCRs %v have the digest %x now\n", e.Reference.PCRs, e.Reference.PCRDigests[0])
	return nil
}
