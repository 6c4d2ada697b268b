package main

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/cryptobyte"

	"attls"
	"attls/attestation"
	"attls/conformance/scenario"
	"attls/handshake"
	"attls/internal/certcompress"
)

// credentialFlags are about our certificates and about what is sent beside and in
// front of them.
type credentialFlags struct {
	certs, keys                []string
	issuerCert, issuerKey      string
	compression                []string
	statusFile, sctFile        string
	statusRequest, sctRequest  bool
	noAuthorities, isStateless bool // a server's
}

// compressors are the names of --cert-compression.
var compressors = []string{"brotli", "zstd", "zlib"}

func (f *credentialFlags) register(c *cobra.Command, role attls.Role) {
	flags := c.Flags()
	flags.StringArrayVar(&f.certs, "cert", nil,
		"PEM file with our certificate chain, end entity first (may be repeated: the one that fits what the peer names is "+
			"shown; default: a fresh demonstration certificate)")
	flags.StringArrayVar(&f.keys, "key", nil,
		"PEM file with its private key (as often as --cert, in the same order; default: the file of --cert)")
	flags.StringVar(&f.issuerCert, "issuer-cert", "",
		"PEM file with the certificate of the authority that signs our certificates with Evidence, where a profile "+
			"puts Evidence into certificates (default: they are self-signed)")
	flags.StringVar(&f.issuerKey, "issuer-key", "", "PEM file with the private key of --issuer-cert (default: the "+
		"same file)")
	flags.StringSliceVar(&f.compression, "cert-compression", nil,
		"algorithms for compressed certificates (RFC 8879), both ways, in order of preference: "+
			strings.Join(compressors, ", "))
	flags.StringVar(&f.statusFile, "status-file", "",
		"file with an OCSP response (DER) that is sent with our first certificate to a peer that requests it")
	flags.BoolVar(&f.statusRequest, "status-request", false,
		"ask the peer for an OCSP response; --msg shows it, nothing judges it")
	flags.StringVar(&f.sctFile, "sct-file", "",
		"file with a SignedCertificateTimestampList (RFC 6962 section 3.3) that is sent with our first certificate to a "+
			"peer that requests it")
	flags.BoolVar(&f.sctRequest, "sct-request", false,
		"ask the peer for signed certificate timestamps; --msg shows them, nothing judges them")
	if role == attls.RoleServer {
		flags.BoolVar(&f.noAuthorities, "no-ca-names", false,
			"do not name the trust anchors of --ca to clients that are asked for a certificate (certificate_authorities)")
		flags.BoolVar(&f.isStateless, "stateless", false,
			"keep nothing between HelloRetryRequest and the second ClientHello: an encrypted cookie carries it; not under a "+
				"profile whose binder needs the first ClientHello")
	}
	complete(c, "cert-compression", compressors...)
}

// extensions configures what goes with certificates.
func (f *credentialFlags) extensions(e *endpoint) error {
	for _, name := range f.compression {
		a, ok := certcompress.ByName(name)
		if !ok {
			return usage("--cert-compression: %q is none of %s", name, strings.Join(compressors, ", "))
		}
		e.config.CertificateCompression = append(e.config.CertificateCompression, a)
	}
	e.config.RequestOCSP, e.config.RequestSCT = f.statusRequest, f.sctRequest
	if f.isStateless {
		e.config.Retry.Secrets = make([][32]byte, 1)
		rand.Read(e.config.Retry.Secrets[0][:])
	}
	return nil
}

// certificate loads our certificates, or makes one. A client without --cert has one
// only where it is to attest beside it.
func (f *endpointFlags) certificate(e *endpoint) error {
	list, err := f.credential.load(e)
	if err != nil || list == nil {
		return err
	}
	if err := f.credential.issuer(list); err != nil {
		return err
	}
	e.answerer.Credentials = list
	e.config.CanAuthenticate = true
	for _, c := range list {
		if err := e.checkKey(c); err != nil {
			return err
		}
	}
	return f.credential.attach(list[0])
}

// attach puts what goes beside the end entity to a certificate.
func (f *credentialFlags) attach(c *handshake.Credential) (err error) {
	for _, part := range []struct {
		name string
		to   *[]byte
	}{{f.statusFile, &c.OCSP}, {f.sctFile, &c.SCT}} {
		if part.name == "" {
			continue
		}
		if *part.to, err = readFile(part.name, 1<<16); err != nil {
			return unavailable(err)
		}
		switch {
		case len(*part.to) == 0:
			return unavailable(fmt.Errorf("%s is empty", part.name))
		case bytes.HasPrefix(*part.to, []byte("-----BEGIN ")):
			return unavailable(
				fmt.Errorf("%s is PEM; the octets themselves are needed, as openssl writes them with -outform DER", part.name))
		case part.to == &c.SCT && !isList(c.SCT):
			return unavailable(fmt.Errorf("%s is not a SignedCertificateTimestampList (RFC 6962 section 3.3)", part.name))
		}
	}
	return nil
}

// isList reports whether octets are a list of one or more opaque<1..2^16-1>, as RFC 6962
// section 3.3 has it; what is in them is the peer's to judge.
func isList(b []byte) bool {
	s := cryptobyte.String(b)
	var list, item cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&list) || !s.Empty() || list.Empty() {
		return false
	}
	for !list.Empty() {
		if !list.ReadUint16LengthPrefixed(&item) || item.Empty() {
			return false
		}
	}
	return true
}

func (f *credentialFlags) load(e *endpoint) (list []*handshake.Credential, _ error) {
	if len(f.keys) > max(1, len(f.certs)) {
		return nil, usage("--key is given %d times, and --cert %d times", len(f.keys), len(f.certs))
	}
	switch {
	case len(f.certs) > 0:
		for i, cert := range f.certs {
			keyFile := ""
			if i < len(f.keys) {
				keyFile = f.keys[i]
			}
			chain, key, err := readCertificate(cert, keyFile)
			if err != nil {
				return nil, unavailable(err)
			}
			c, err := handshake.NewCredential(chain, key)
			if err != nil {
				return nil, usage("%s: %w", cert, err)
			}
			list = append(list, c)
		}
		return list, nil
	case len(f.keys) > 0 && e.flags.session.rawKeys:
		key, err := readKey(f.keys[0])
		if err != nil {
			return nil, unavailable(err)
		}
		c, err := handshake.NewRawCredential(key)
		if err != nil {
			return nil, usage("%s: %w", f.keys[0], err)
		}
		return append(list, c), nil
	case e.flags.role == attls.RoleServer || len(e.produces()) > 0:
		authority, err := scenario.NewDemoAuthority()
		if err != nil {
			return nil, err
		}
		names := []string{"localhost", "127.0.0.1", "::1"}
		if e.flags.serverName != "" {
			names = append(names, e.flags.serverName)
		}
		c, err := e.issue(authority, names)
		if err != nil {
			return nil, err
		}
		return append(list, c), nil
	case f.statusFile != "" || f.sctFile != "":
		return nil, usage("--status-file and --sct-file need a certificate: --cert")
	}
	return nil, nil
}

// issuer gives our certificates the authority that signs them again once Evidence is in them.
func (f *credentialFlags) issuer(list []*handshake.Credential) error {
	if f.issuerCert == "" {
		return nil
	}
	chain, key, err := readCertificate(f.issuerCert, f.issuerKey)
	if err != nil {
		return unavailable(err)
	}
	if _, err := handshake.NewCredential(chain, key); err != nil {
		return usage("%s: %w", f.issuerCert, err)
	}
	authority, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return unavailable(fmt.Errorf("%s: %w", f.issuerCert, err))
	}
	if !authority.IsCA {
		return usage("%s: --issuer-cert is not the certificate of an authority (basicConstraints CA, RFC 5280 section "+
			"4.2.1.9)",
			f.issuerCert)
	}
	for _, c := range list {
		c.Issuer = handshake.Authority{Certificate: authority, Signer: key}
	}
	return nil
}

// issue makes our demonstration certificate: of a key that the root of trust holds, where
// it holds the keys itself.
func (e *endpoint) issue(authority *scenario.DemoAuthority, names []string) (*handshake.Credential, error) {
	keys := attestation.KeysOf(e.answerer.Attester)
	if keys == nil {
		return authority.Issue(scenario.KeyP256, names...)
	}
	signer, err := keys.NewKey(e.flags.context, e.flags.role)
	if err != nil {
		return nil, unavailable(err)
	}
	return authority.Certify(signer, names...)
}

// maxAuthorities bounds certificate_authorities, in octets, its length included (RFC
// 8446 section 4.2.4; the extensions of a CertificateRequest share 2^16-1 octets).
const maxAuthorities = 1 << 15

// authorities names the trust anchors to clients, so that they know which of their
// certificates fits (RFC 8446 section 4.2.4).
func (f *credentialFlags) authorities(anchors []*x509.Certificate, warn io.Writer) (names [][]byte) {
	if f.noAuthorities {
		return nil
	}
	octets := 2
	seen := map[string]bool{}
	for _, c := range anchors {
		if seen[string(c.RawSubject)] {
			continue
		}
		seen[string(c.RawSubject)] = true
		names = append(names, c.RawSubject)
		octets += 2 + len(c.RawSubject)
	}
	if octets > maxAuthorities {
		fmt.Fprintf(warn,
			"attls: warning: clients are not told the names of %d trust anchors, which are too many for "+
				"certificate_authorities\n", len(names))
		return nil
	}
	return names
}
