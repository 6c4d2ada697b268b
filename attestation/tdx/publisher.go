package tdx

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"time"

	"attls"
	"attls/attestation"
)

const pcsRule = "Intel PCS API version 4"

// Services of Intel, and the paths of the interface. A PCCS has the same paths, and one
// for the CRL of the root, which Intel has in a place of its own.
const (
	pcsURL       = "https://api.trustedservices.intel.com"
	rootCRLURL   = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"
	pathTCBInfo  = "/tdx/certification/v4/tcb?fmspc="
	pathIdentity = "/tdx/certification/v4/qe/identity"
	pathPCKCRL   = "/sgx/certification/v4/pckcrl?encoding=der&ca="
	pathRootCRL  = "/sgx/certification/v4/rootcacrl"
)

// Header fields with issuer chains.
const (
	headerTCBInfo  = "Tcb-Info-Issuer-Chain"
	headerIdentity = "Sgx-Enclave-Identity-Issuer-Chain"
	headerPCKCRL   = "Sgx-Pck-Crl-Issuer-Chain"
)

// Names of the parameters.
const (
	askFMSPC   = "fmspc"
	askCA      = "pck-ca"
	askRootCRL = "root-crl-url"
)

// authorities are those of PCK certificates, by the word of the interface.
var authorities = map[string]string{"platform": namePlatform, "processor": "Intel SGX PCK Processor CA"}

const sizeFMSPC = 6

// memberCollateral is the member of a policy that names the files.
const memberCollateral = "collateral_files"

// publisher is the provisioning certification service.
func publisher() *attestation.Publisher {
	return &attestation.Publisher{
		URL: pcsURL,
		Parameters: []attestation.PublisherParameter{
			{Name: askFMSPC, Text: "the kind of platform: 6 octets in hexadecimal, as its PCK certificate says"},
			{Name: askCA, Text: "the authority of its PCK certificate: platform (default) or processor"},
			{Name: askRootCRL, Text: "where the CRL of the root is, if not at Intel or, with --service-url, there (" +
				pathRootCRL + ")"},
		},
		Raw: func(value []byte) (*attestation.Reading, *attls.Error) {
			return (&quote{octets: value, at: -1}).reading()
		},
		Fetch: func(ctx context.Context, q *attestation.PublisherQuery) (*attestation.Published, error) {
			p, err := asked(q)
			if err != nil {
				return nil, err
			}
			return p.fetch(ctx)
		},
	}
}

// pcsQuery is what the service is asked.
type pcsQuery struct {
	*attestation.PublisherQuery
	fmspc, ca     string
	base, rootCRL string
	quote         *quote // nil: there is none

	root *x509.Certificate // of all answers
	out  attestation.Published
}

// asked reads the query.
func asked(q *attestation.PublisherQuery) (*pcsQuery, error) {
	p := &pcsQuery{PublisherQuery: q, base: pcsURL, rootCRL: rootCRLURL}
	if q.Service != "" {
		p.base = strings.TrimRight(q.Service, "/")
		p.rootCRL = p.base + pathRootCRL
	}
	if v := q.Parameters[askRootCRL]; v != "" {
		p.rootCRL = v
	}
	var fmspc, ca string
	if q.Reading != nil {
		var ok bool
		if p.quote, ok = q.Reading.Statement.(*quote); !ok {
			return nil, fmt.Errorf("a reading of type %T", q.Reading.Statement)
		}
		fmspc = p.quote.pck.FMSPC
		for word, name := range authorities {
			if p.quote.chain.intermediate.Subject.CommonName == name {
				ca = word
			}
		}
	}
	var err error
	if p.fmspc, err = q.Parameter(askFMSPC, fmspc); err != nil {
		return nil, err
	}
	if p.ca, err = q.Parameter(askCA, ca); err != nil {
		return nil, err
	}
	if p.ca == "" {
		p.ca = "platform"
	}
	p.fmspc = strings.ToLower(p.fmspc)
	if b, err := hex.DecodeString(p.fmspc); err != nil || len(b) != sizeFMSPC {
		return nil, fmt.Errorf("%s: %q; it is %d octets in hexadecimal, and a quote says it too", askFMSPC, p.fmspc,
			sizeFMSPC)
	}
	if authorities[p.ca] == "" {
		return nil, fmt.Errorf("%s: %q is neither platform nor processor", askCA, p.ca)
	}
	return p, nil
}

// Bounds of answers, in octets.
const (
	maxStatement = 1 << 20
	maxRootCRL   = 1 << 18
)

// fetch fetches what the platform is appraised by.
func (p *pcsQuery) fetch(ctx context.Context) (*attestation.Published, error) {
	signers, err := p.statement(ctx, p.base+pathTCBInfo+p.fmspc, headerTCBInfo, "tcb-info-"+p.fmspc+".json", p.tcbInfo)
	if err != nil {
		return nil, err
	}
	address := p.base + pathIdentity
	others, err := p.statement(ctx, address, headerIdentity, "qe-identity.json", identity)
	if err != nil {
		return nil, err
	}
	if !slices.EqualFunc(signers, others, (*x509.Certificate).Equal) {
		return nil, wrong(address, "the certificates in %s are not those in %s, and a policy names one issuer chain",
			headerIdentity, headerTCBInfo)
	}
	var chain []byte
	for _, x := range signers {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: x.Raw})...)
		p.until(x.NotAfter)
	}
	p.add("issuer-chain.pem", chain)
	if err := p.crls(ctx, signers[0]); err != nil {
		return nil, err
	}
	fingerprint, known := sha256.Sum256(p.root.Raw), ""
	for name, v := range vendorRoots {
		if v == hex.EncodeToString(fingerprint[:]) {
			known = name
		}
	}
	p.out.Notes = append(p.out.Notes, p.out.Root(p.root.Subject.CommonName, fingerprint, known))
	return &p.out, nil
}

func (p *pcsQuery) add(name string, b []byte) {
	p.out.Files = append(p.out.Files, attestation.PublishedFile{Name: name, Octets: b, Member: memberCollateral})
}

func (p *pcsQuery) until(t time.Time) {
	if p.out.Until.IsZero() || t.Before(p.out.Until) {
		p.out.Until = t
	}
}

// signedStatement is a TCB info or a QE identity.
type signedStatement struct {
	body, signature []byte
	issued, next    time.Time
}

// statement fetches one that is signed, with the certificate of its signer and its root.
func (p *pcsQuery) statement(ctx context.Context, address, field, name string,
	parse func(text string) (*signedStatement, error)) ([]*x509.Certificate, error) {
	header, b, err := p.Getter.Get(ctx, address, maxStatement)
	if err != nil {
		return nil, err
	}
	list, err := p.chain(header, field, nameTCB)
	if err != nil {
		return nil, wrong(address, "%v", err)
	}
	s, err := parse(string(bytes.TrimSpace(b)))
	if err != nil {
		return nil, wrong(address, "%v", err)
	}
	key, ok := list[0].PublicKey.(*ecdsa.PublicKey)
	digest := sha256.Sum256(s.body)
	if !ok || len(s.signature) != 64 || !ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(s.signature[:32]),
		new(big.Int).SetBytes(s.signature[32:])) {
		return nil, wrong(address, "%q did not sign it", list[0].Subject.CommonName)
	}
	if s.issued.After(p.At) || !p.At.Before(s.next) {
		return nil, wrong(address, "it holds from %v to %v", s.issued, s.next)
	}
	p.until(s.next)
	p.add(name, b)
	return list, nil
}

// tcbInfo reads a TCB info, which must be about the platform.
func (p *pcsQuery) tcbInfo(text string) (*signedStatement, error) {
	x, err := parseTCBInfo(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("not a TCB info: %w", err)
	case x.ID != "TDX":
		return nil, fmt.Errorf("a TCB info for %q, not for TDX", x.ID)
	case x.Fmspc != p.fmspc:
		return nil, fmt.Errorf("the TCB info is for the FMSPC %s; asked was for %s", x.Fmspc, p.fmspc)
	}
	return &signedStatement{x.body, x.signature, x.IssueDate, x.NextUpdate}, nil
}

// identity reads the identity of the quoting enclave of TDX.
func identity(text string) (*signedStatement, error) {
	x, err := parseQEIdentity(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("not a QE identity: %w", err)
	case x.ID != "TD_QE":
		return nil, fmt.Errorf("the identity of %q, not of TD_QE", x.ID)
	}
	return &signedStatement{x.body, x.signature, x.IssueDate, x.NextUpdate}, nil
}

// chain reads the issuer chain in a header field: a certificate of a name and its root,
// which is that of all answers and of the quote.
func (p *pcsQuery) chain(header textproto.MIMEHeader, field, name string) ([]*x509.Certificate, error) {
	text, err := url.QueryUnescape(header.Get(field))
	if err != nil || text == "" {
		return nil, fmt.Errorf("the header field %s is missing or cannot be read (%v)", field, err)
	}
	list, err := attestation.ParseCertificates([]byte(text))
	if err != nil || len(list) != 2 {
		return nil, fmt.Errorf("the header field %s has %d certificates; an issuer chain has 2 (%v)", field, len(list), err)
	}
	signer, root := list[0], list[1]
	if signer.Subject.CommonName != name {
		return nil, fmt.Errorf("%s: the certificate of %q; %q is expected", field, signer.Subject.CommonName, name)
	}
	for _, x := range list {
		if err := attestation.InForce(x, p.At); err != nil {
			return nil, fmt.Errorf("%s: %w", field, err)
		}
		if err := x.CheckSignatureFrom(root); err != nil {
			return nil, fmt.Errorf("%s: %q did not sign the certificate of %q: %w", field, root.Subject.CommonName,
				x.Subject.CommonName, err)
		}
	}
	if p.root == nil {
		p.root = root
	}
	if !sameAuthority(root, p.root) {
		return nil, fmt.Errorf("%s: another root than that of the other answers", field)
	}
	if p.quote != nil && !sameAuthority(root, p.quote.chain.root) {
		return nil, fmt.Errorf("%s: the root is not that of the quote: the service is of another vendor or an emulator",
			field)
	}
	return list, nil
}

// sameAuthority reports whether two certificates are of the same name and key.
func sameAuthority(x, y *x509.Certificate) bool {
	return bytes.Equal(x.RawSubject, y.RawSubject) && bytes.Equal(x.RawSubjectPublicKeyInfo, y.RawSubjectPublicKeyInfo)
}

// crls fetches the CRLs of the root and of the authority of PCK certificates.
func (p *pcsQuery) crls(ctx context.Context, signer *x509.Certificate) error {
	address := p.base + pathPCKCRL + p.ca
	header, b, err := p.Getter.Get(ctx, address, maxCollateral)
	if err != nil {
		return err
	}
	issuers, err := p.chain(header, headerPCKCRL, authorities[p.ca])
	if err != nil {
		return wrong(address, "%v", err)
	}
	if err := p.crl(address, "pck-crl-"+p.ca+".der", b, issuers[0], p.pck()); err != nil {
		return err
	}
	if _, b, err = p.Getter.Get(ctx, p.rootCRL, maxRootCRL); err != nil {
		return err
	}
	return p.crl(p.rootCRL, "root-crl.der", b, p.root, signer, issuers[0])
}

// pck is the certificate of the platform; without a quote one that is in no CRL.
func (p *pcsQuery) pck() *x509.Certificate {
	if p.quote != nil {
		return p.quote.chain.pck
	}
	return &x509.Certificate{SerialNumber: new(big.Int)}
}

// crl reads a CRL, in which no certificate of a list may be. A PCCS answers in
// hexadecimal.
func (p *pcsQuery) crl(address, name string, b []byte, issuer *x509.Certificate, list ...*x509.Certificate) error {
	if der, err := hex.DecodeString(string(bytes.TrimSpace(b))); err == nil {
		b = der
	}
	crls, err := attestation.ParseCRLs(b)
	if err != nil {
		return wrong(address, "%v", err)
	}
	for _, x := range list {
		until, failure := crls.Check(x, issuer, p.At, 0)
		if failure != nil {
			return wrong(address, "%s", failure.Detail)
		}
		p.until(until)
	}
	p.add(name, b)
	return nil
}

// wrong is the error of an answer that is not what was asked for.
func wrong(address string, format string, args ...any) error {
	return fmt.Errorf("%s: %s (%s)", address, fmt.Sprintf(format, args...), pcsRule)
}
