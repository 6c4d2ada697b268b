package main

import (
	"crypto"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"attls"
	"attls/conformance/capture"
	"attls/handshake"
	"attls/handshake/authenticator"
	"attls/negotiation"
)

// maxAuthenticator bounds a file with a request or an authenticator, in octets.
const maxAuthenticator = 1 << 20

func authenticatorCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "authenticator",
		Short: "Make and check exported authenticators (RFC 9261)",
		Long: `The commands make requests and exported authenticators (RFC 9261), and check them, for
a connection of any stack of which the exporter values are known: in hexadecimal, or
by a key log with its EXPORTER_SECRET. They print JSON.

Requests, authenticators and ClientHellos are given in hexadecimal; @FILE is a file
with hexadecimal digits. docs/authenticators.md shows a run.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(authenticatorRequest(), authenticatorMake(), authenticatorCheck())
	return c
}

// exporterFlags say over which connection authenticators are made.
type exporterFlags struct {
	role                                     string
	context, finished, keyLog, random, hello string
}

func (f *exporterFlags) register(c *cobra.Command, values bool) {
	flags := c.Flags()
	flags.StringVar(&f.role, "role", "", "which `end` of the connection this is: client or server (required)")
	_ = c.MarkFlagRequired("role")
	if !values {
		return
	}
	flags.StringVar(
		&f.context,
		"handshake-context",
		"",
		"Handshake Context of the authenticator's sender, in `hexadecimal`",
	)
	flags.StringVar(&f.finished, "finished-key", "", "Finished MAC Key of the authenticator's sender, in `hexadecimal`")
	flags.StringVar(
		&f.keyLog,
		"key-log",
		"",
		"key log `file` with the EXPORTER_SECRET of the connection, in place of both values",
	)
	flags.StringVar(
		&f.random,
		"client-random",
		"",
		"which connection of the key log, by its ClientHello.random in `hexadecimal`",
	)
	flags.StringVar(
		&f.hello,
		"client-hello",
		"",
		"ClientHello of the connection in `hexadecimal`, for an authenticator without a request",
	)
}

// end reads --role.
func (f *exporterFlags) end() (attls.Role, error) {
	for _, r := range attls.Roles() {
		if strings.EqualFold(f.role, r.String()) {
			return r, nil
		}
	}
	return 0, usage("--role %q: it is client or server", f.role)
}

// open is the connection, for authenticators of a sender.
func (f *exporterFlags) open(role, sender attls.Role) (*authenticator.Connection, error) {
	c := &authenticator.Config{Role: role, Version: attls.VersionTLS13, HandshakeComplete: true}
	var err error
	if c.Hash, c.Export, err = f.exporter(sender); err != nil {
		return nil, err
	}
	if f.hello != "" {
		hello, err := octetsOf("client-hello", f.hello)
		if err != nil {
			return nil, err
		}
		if c.ClientHello, err = authenticator.ParseClientHello(hello); err != nil {
			return nil, usage("--client-hello: %v", err)
		}
	}
	return authenticator.New(c)
}

// exporter is what the flags say of the connection's exporter, and its hash.
func (f *exporterFlags) exporter(sender attls.Role) (crypto.Hash, authenticator.Exporter, error) {
	if f.keyLog != "" {
		if f.context != "" || f.finished != "" {
			return 0, nil, usage("--key-log takes the place of --handshake-context and --finished-key")
		}
		return f.fromKeyLog()
	}
	if f.context == "" || f.finished == "" {
		return 0, nil, usage("the exporter values are missing: --handshake-context and --finished-key, or --key-log")
	}
	var v authenticator.Values
	var err error
	if v[sender].HandshakeContext, err = octetsOf("handshake-context", f.context); err != nil {
		return 0, nil, err
	}
	if v[sender].FinishedKey, err = octetsOf("finished-key", f.finished); err != nil {
		return 0, nil, err
	}
	hash, err := hashOf(len(v[sender].HandshakeContext))
	if err == nil && len(v[sender].FinishedKey) != hash.Size() {
		err = usage("--finished-key has %d octets and --handshake-context %d", len(v[sender].FinishedKey), hash.Size())
	}
	return hash, v.Export, err
}

// hashOf is the hash of so many octets.
func hashOf(n int) (crypto.Hash, error) {
	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384} {
		if h.Size() == n {
			return h, nil
		}
	}
	return 0, usage("a value of %d octets; it has 32 with SHA-256 and 48 with SHA-384", n)
}

// fromKeyLog is the exporter of one connection of a key log.
func (f *exporterFlags) fromKeyLog() (crypto.Hash, authenticator.Exporter, error) {
	file, err := os.Open(f.keyLog)
	if err != nil {
		return 0, nil, err
	}
	defer file.Close()
	log, _, err := capture.ReadKeyLog(f.keyLog, file)
	if err != nil {
		return 0, nil, err
	}
	var found [][]byte
	for random, secrets := range log {
		if secret := secrets[string(handshake.SecretExporter)]; secret != nil &&
			(f.random == "" || strings.EqualFold(f.random, hex.EncodeToString(random[:]))) {
			found = append(found, secret)
		}
	}
	if len(found) != 1 {
		return 0, nil, usage(
			"%s: %d connections with an EXPORTER_SECRET fit; --client-random chooses one",
			f.keyLog,
			len(found),
		)
	}
	hash, err := hashOf(len(found[0]))
	if err != nil {
		return 0, nil, err
	}
	return hash, authenticator.ExporterOf(hash, found[0]), nil
}

// octetsOf reads the value of a flag, or of an argument: hexadecimal, or @FILE with it.
func octetsOf(flag, value string) ([]byte, error) {
	if name, ok := strings.CutPrefix(value, "@"); ok {
		b, err := readFile(name, maxAuthenticator)
		if err != nil {
			return nil, err
		}
		value = strings.Join(strings.Fields(string(b)), "")
	}
	b, err := hex.DecodeString(value)
	if err != nil {
		return nil, usage("%s: %v", flag, err)
	}
	return b, nil
}

func authenticatorRequest() *cobra.Command {
	var f exporterFlags
	var nonce, name string
	var schemes []string
	var ocsp, sct bool
	c := &cobra.Command{
		Use:   "request",
		Short: "Make an authenticator request",
		Long: `request prints an authenticator request: a CertificateRequest of a server, or a
ClientCertificateRequest of a client. It needs nothing of the connection; that its
context is new there is for the caller to see to.`,
		Example: `  attls authenticator request --role client
  attls authenticator request --role server --context 00112233 --schemes ed25519`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			role, err := f.end()
			if err != nil {
				return err
			}
			r := &authenticator.Request{OCSP: ocsp, SCT: sct, Wanted: negotiation.Wanted{ServerName: name}}
			if nonce != "" {
				if r.Context, err = octetsOf("--context", nonce); err != nil {
					return err
				}
			}
			for _, s := range schemes {
				scheme, ok := attls.SignatureSchemeByName(s)
				if !ok {
					return usage("--schemes: no signature scheme is called %q", s)
				}
				r.Wanted.Schemes = append(r.Wanted.Schemes, scheme)
			}
			var none authenticator.Values
			a, err := authenticator.New(&authenticator.Config{Role: role, Version: attls.VersionTLS13, HandshakeComplete: true,
				Hash: crypto.SHA256, Export: none.Export})
			if err != nil {
				return err
			}
			octets, err := a.Request(r)
			if err != nil {
				return usage("%v", err)
			}
			context, err := authenticator.Context(octets)
			if err != nil {
				return err
			}
			return writeJSON(c.OutOrStdout(), map[string]string{"request": hex.EncodeToString(octets),
				"context": hex.EncodeToString(context), "message": attls.HandshakeType(octets[0]).Kind().String()})
		},
	}
	f.register(c, false)
	flags := c.Flags()
	flags.StringVar(&nonce, "context", "", "certificate_request_context in `hexadecimal` (default: 32 random octets)")
	flags.StringSliceVar(&schemes, "schemes", []string{"ecdsa_secp256r1_sha256", "ecdsa_secp384r1_sha384", "ed25519",
		"rsa_pss_rsae_sha256"}, "signature_algorithms, in order of preference")
	flags.StringVar(&name, "server-name", "", "server_name, of a client's request")
	flags.BoolVar(&ocsp, "ocsp", false, "ask for an OCSP response")
	flags.BoolVar(&sct, "sct", false, "ask for signed certificate timestamps")
	return c
}

func authenticatorMake() *cobra.Command {
	var f exporterFlags
	var request, cert, key, nonce string
	var refuse bool
	c := &cobra.Command{
		Use:   "make",
		Short: "Make an exported authenticator",
		Long: `make answers a request with a certificate and its key, or with the empty authenticator
(--refuse, or a certificate that does not fit the request). A server with --client-hello
makes one that answers no request.`,
		Example: `  attls authenticator make --role server --key-log keys.log --request @request.hex --cert server.pem`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			role, err := f.end()
			if err != nil {
				return err
			}
			if request == "" && (f.hello == "" || refuse) || cert == "" && !refuse {
				return usage("what to answer and with what is missing: --request, or a server's --client-hello; " +
					"and --cert, or --refuse with a request")
			}
			a, err := f.open(role, role)
			if err != nil {
				return err
			}
			octets, shown, err := answerWith(a, request, cert, key, nonce, refuse)
			if err != nil {
				return failed("%w", err)
			}
			out := map[string]any{"authenticator": hex.EncodeToString(octets), "empty": shown == nil}
			if context, err := authenticator.Context(octets); err == nil {
				out["context"] = hex.EncodeToString(context)
			}
			return writeJSON(c.OutOrStdout(), out)
		},
	}
	f.register(c, true)
	flags := c.Flags()
	flags.StringVar(&request, "request", "", "the request in `hexadecimal`")
	flags.StringVar(&cert, "cert", "", "PEM `file` with the certificates, end entity first")
	flags.StringVar(&key, "key", "", "PEM `file` with the private key (default: in the file of --cert)")
	flags.StringVar(
		&nonce,
		"context",
		"",
		"certificate_request_context in `hexadecimal`, without a request (default: 32 random octets)",
	)
	flags.BoolVar(&refuse, "refuse", false, "make the empty authenticator")
	return c
}

// answerWith makes the authenticator; shown is nil where it is the empty one.
func answerWith(a *authenticator.Connection, request, cert, key, nonce string, refuse bool) (octets []byte,
	shown *authenticator.Shown, err error) {
	if cert != "" {
		chain, signer, err := readCertificate(cert, key)
		if err != nil {
			return nil, nil, err
		}
		if shown, err = authenticator.NewShown(chain, signer); err != nil {
			return nil, nil, err
		}
	}
	if request == "" {
		var context []byte
		if nonce != "" {
			if context, err = octetsOf("--context", nonce); err != nil {
				return nil, nil, err
			}
		}
		octets, err = a.Spontaneous(context, shown)
		return octets, shown, err
	}
	asked, err := octetsOf("--request", request)
	if err != nil {
		return nil, nil, err
	}
	r, err := a.Receive(asked)
	if err != nil {
		return nil, nil, err
	}
	if refuse {
		octets, err = a.Refuse(r)
		return octets, nil, err
	}
	return a.Answer(r, shown)
}

func authenticatorCheck() *cobra.Command {
	var f exporterFlags
	var request, ca, name string
	var insecure bool
	c := &cobra.Command{
		Use:   "check AUTHENTICATOR",
		Short: "Check an exported authenticator",
		Long: `check checks an authenticator of the peer: that it answers the request that this end has
made or, at a client with --client-hello, none; its extensions, signature and Finished;
and its chain. It prints what it proves, or why it is refused, and exits 1 then. An
empty authenticator is a refusal. That a context was not used before in the connection
is for the caller to see to.`,
		Example: "  attls authenticator check --role client --key-log keys.log --request @request.hex --ca ca.pem " +
			"@authenticator.hex",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			role, err := f.end()
			if err != nil {
				return err
			}
			if (ca == "") != insecure {
				return usage("either --ca names the trust anchors, or --insecure accepts any chain")
			}
			octets, err := octetsOf("AUTHENTICATOR", args[0])
			if err != nil {
				return err
			}
			a, err := f.open(role, role.Peer())
			if err != nil {
				return err
			}
			if request != "" {
				asked, err := octetsOf("--request", request)
				if err == nil {
					err = a.Adopt(asked)
				}
				if err != nil {
					return usage("--request: %v", err)
				}
			}
			trust := handshake.Trust{InsecureSkipVerify: insecure, AnyName: name == ""}
			if ca != "" {
				if trust.Roots, trust.Anchors, _, err = readAnchors(ca, c.ErrOrStderr()); err != nil {
					return err
				}
			}
			return reportAuthenticator(c.OutOrStdout(), a, octets, trust.Authenticator(c.Context(), name))
		},
	}
	f.register(c, true)
	flags := c.Flags()
	flags.StringVar(&request, "request", "", "our request in `hexadecimal`")
	flags.StringVar(&ca, "ca", "", "PEM `file` with the trust anchors")
	flags.StringVar(&name, "server-name", "", "the name that the certificate of a server must have (default: any)")
	flags.BoolVar(&insecure, "insecure", false, "accept any chain: only the possession of the key is checked")
	return c
}

// reportAuthenticator validates an authenticator and says what it proves.
func reportAuthenticator(w io.Writer, a *authenticator.Connection, octets []byte,
	trusted func(*authenticator.Identity) error) error {
	id, err := a.Validate(octets, trusted)
	if err != nil {
		out := map[string]any{"valid": false, "empty": authenticator.Refused(err), "error": err.Error()}
		var named *attls.Error
		if errors.As(err, &named) {
			out["failure"], out["rule"] = string(named.Failure), named.Rule
		}
		if err := writeJSON(w, out); err != nil {
			return err
		}
		return failed("the authenticator is refused: %w", err)
	}
	chain := make([]string, len(id.Chain))
	for i, der := range id.Chain {
		chain[i] = hex.EncodeToString(der)
	}
	return writeJSON(w, map[string]any{"valid": true, "role": id.Role.String(), "context": hex.EncodeToString(id.Context),
		"spontaneous": id.Spontaneous, "scheme": fmt.Sprint(id.Scheme), "key": hex.EncodeToString(id.SPKI), "chain": chain})
}
