package collateraltest

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"net/url"
	"strings"

	"github.com/google/go-sev-guest/abi"
	"github.com/google/go-sev-guest/kds"
	"github.com/google/go-tdx-guest/pcs"
)

// URIs of Intel's service, and that of a PCCS for the CRL of the root.
var (
	URIIdentity = uri(pcs.QeIdentityURL())
	URIPCKCRL   = "/sgx/certification/v4/pckcrl?encoding=der&ca=platform"
	URIRootCRL  = "/sgx/certification/v4/rootcacrl"
)

// URITCBInfo is the URI of a TCB info.
func URITCBInfo(fmspc string) string { return uri(pcs.TcbInfoURL(fmspc)) }

// URIVCEK is the URI of the certificate of a chip.
func URIVCEK(line string, chip []byte, tcb uint64) string {
	return uri(kds.VCEKCertURL(line, chip, kds.TCBVersion(tcb)))
}

// URIChain is the URI of the certificates of a product line.
func URIChain(line string) string { return uri(kds.ProductCertChainURL(abi.VcekReportSigner, line)) }

// URICRL is the URI of the CRL of a product line.
func URICRL(line string) string { return uri(kds.CrlLinkByKey(line, abi.VcekReportSigner)) }

// uri is the path and the query.
func uri(address string) string {
	rest := strings.TrimPrefix(address, "https://")
	return rest[strings.Index(rest, "/"):]
}

// KDS are answers as AMD's service gives them: about one chip, of which the certificate,
// its issuer and the root are given.
func KDS(line string, chip []byte, tcb uint64, chain []*x509.Certificate, crl *x509.RevocationList) map[string]Answer {
	return map[string]Answer{
		URIVCEK(line, chip, tcb): {Body: chain[0].Raw},
		URIChain(line):           {Body: PEM(chain[1:]...)},
		URICRL(line):             {Body: crl.Raw},
	}
}

// PCS are answers as a PCCS gives them: statements on one kind of platform with the
// certificate of their signer and the root, the authority of PCK certificates, the CRLs
// of the root and of the authority.
func PCS(fmspc, tcbInfo, identity string, signer, root, authority *x509.Certificate, rootCRL,
	pckCRL *x509.RevocationList) map[string]Answer {
	return map[string]Answer{
		URITCBInfo(fmspc): {Header: map[string]string{"TCB-Info-Issuer-Chain": Chain(signer, root)}, Body: []byte(tcbInfo)},
		URIIdentity: {Header: map[string]string{"SGX-Enclave-Identity-Issuer-Chain": Chain(signer, root)},
			Body: []byte(identity)},
		URIPCKCRL:  {Header: map[string]string{"SGX-PCK-CRL-Issuer-Chain": Chain(authority, root)}, Body: pckCRL.Raw},
		URIRootCRL: {Body: []byte(hex.EncodeToString(rootCRL.Raw))},
	}
}

// Chain is an issuer chain as header fields have it.
func Chain(list ...*x509.Certificate) string {
	return strings.ReplaceAll(url.QueryEscape(string(PEM(list...))), "+", "%20")
}

// PEM are certificates.
func PEM(list ...*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, x := range list {
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: x.Raw})
	}
	return b.Bytes()
}
