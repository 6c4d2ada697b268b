package handshake

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"time"

	"attls"
)

// Trust decides which certificate chains of a peer are accepted: path
// validation of RFC 5280 with crypto/x509.
type Trust struct {
	// Roots are the trust anchors. Nil: the system's, unless there are Anchors.
	// Certificates with a key of type RSASSA-PSS have to come from ParseCertificate.
	Roots *x509.CertPool
	// Anchors are trust anchors in addition to Roots. Their keys may be of any type that
	// signs under a scheme of this module: crypto/x509 passes over those of Ed448 and
	// ML-DSA in a pool. A certificate is in Roots or here, not in both.
	Anchors []*x509.Certificate
	// ServerName is compared with a server's certificate: a DNS name or an IP
	// address. Empty: Config.ServerName.
	ServerName string
	// AnyName leaves the names in a server's certificate unchecked.
	AnyName bool
	// Time is the moment of validation. Nil: time.Now.
	Time func() time.Time
	// KeyUsages are extended key usages of which the end entity needs one. Nil:
	// serverAuth of a server and clientAuth of a client.
	KeyUsages []x509.ExtKeyUsage
	// RawKeys are the raw public keys that are accepted, as DER
	// SubjectPublicKeyInfo; a raw public key says nothing of a name (RFC 7250
	// section 6).
	RawKeys [][]byte
	// InsecureSkipVerify accepts every chain. CertificateVerify is checked all
	// the same; nothing ties its key to a name.
	InsecureSkipVerify bool
	// AcceptAttested accepts a chain without path validation where the profile does
	// not ask for it in addition to the attestation (pkix: none), on condition that an
	// affirming verdict names the end entity's key. False: every chain is validated,
	// whatever the profile says.
	AcceptAttested bool
	// Verify, when set, has the last word on a chain that was accepted so far
	// (DER, end entity first). An *attls.Error it returns names the failure; any
	// other error is certificate.bad.
	Verify func(ctx context.Context, peer attls.Role, chain [][]byte) error
}

// check decides on a chain; conditional: see Answer.Conditional.
func (t *Trust) check(ctx context.Context, r *CertificateVerdictRequest) (conditional bool, _ *attls.Error) {
	conditional = t.AcceptAttested && r.Optional && !t.InsecureSkipVerify
	if !t.InsecureSkipVerify && !conditional {
		if err := t.validate(r); err != nil {
			return false, err.Under("certificate_list").In(attls.KindCertificate)
		}
	}
	return conditional, t.verify(ctx, r)
}

// verify lets Verify have the last word.
func (t *Trust) verify(ctx context.Context, r *CertificateVerdictRequest) *attls.Error {
	if t.Verify == nil {
		return nil
	}
	err := t.Verify(ctx, r.Peer, r.Chain)
	var named *attls.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &named):
		return named
	case ctx.Err() != nil:
		return unanswered(ctx, WaitCertificateVerdict, err)
	}
	return refused(attls.FailBadCertificate, err)
}

// validate builds and checks a path to a trust anchor.
func (t *Trust) validate(r *CertificateVerdictRequest) *attls.Error {
	if r.Type == attls.CertificateRawPublicKey {
		if slices.ContainsFunc(t.RawKeys, func(k []byte) bool { return bytes.Equal(k, r.Chain[0]) }) {
			return nil
		}
		return attls.Errorf(attls.Refused, attls.FailCertificateUnknown,
			"the raw public key is not among those that are trusted").By("RFC 7250 6")
	}
	o := x509.VerifyOptions{KeyUsages: t.KeyUsages}
	if t.Time != nil {
		o.CurrentTime = t.Time()
	}
	if o.KeyUsages == nil {
		o.KeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		if r.Peer == attls.RoleClient {
			o.KeyUsages[0] = x509.ExtKeyUsageClientAuth
		}
	}
	if r.Peer == attls.RoleServer && !t.AnyName {
		if o.DNSName = t.ServerName; o.DNSName == "" {
			o.DNSName = r.ServerName
		}
		o.DNSName = strings.TrimSuffix(o.DNSName, ".")
		if o.DNSName == "" {
			return attls.Errorf(attls.Local, attls.FailConfiguration,
				"there is no server name to compare with; set Config.ServerName, or AnyName")
		}
	}
	var leaf *x509.Certificate
	var intermediates []*x509.Certificate
	for i, der := range r.Chain {
		cert, err := ParseCertificate(der)
		switch {
		case i == 0 && err != nil:
			return refused(attls.FailBadCertificate, err).Under("[0].cert_data")
		case i == 0:
			cert.UnhandledCriticalExtensions = unhandled(cert, r.Handled)
			leaf = cert
		case err == nil: // what does not parse can be no part of a path
			intermediates = append(intermediates, cert)
		}
	}
	shown := append([]*x509.Certificate{leaf}, intermediates...)
	leaf = path(&o, t.Roots, t.Anchors, leaf, intermediates)
	if _, err := leaf.Verify(o); err != nil {
		failure := chainFailure(err)
		if bad := badSignature(shown); bad != nil && failure == attls.FailUnknownCA {
			failure, err = attls.FailBadCertificate, bad
		}
		return refused(failure, err)
	}
	return nil
}

// badSignature says what is wrong with a signature on the way from the end entity
// to an anchor, where path validation knows only that it has found no path: MD5 and
// SHA-1 must not be relied on (RFC 8446 section 4.4.2.4), and a certificate of the
// chain may not have signed what names it.
func badSignature(chain []*x509.Certificate) error {
	cert := chain[0]
	for range chain {
		if bytes.Equal(cert.RawSubject, cert.RawIssuer) {
			return nil
		}
		switch a := cert.SignatureAlgorithm; a {
		case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
			return x509.InsecureAlgorithmError(a)
		}
		var issuer *x509.Certificate
		var wrong error
		for _, c := range chain {
			if !bytes.Equal(c.RawSubject, cert.RawIssuer) {
				continue
			}
			err := c.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature)
			if err == nil || errors.Is(err, x509.ErrUnsupportedAlgorithm) {
				issuer, wrong = c, nil
				break
			}
			wrong = err
		}
		if wrong != nil || issuer == nil {
			return wrong
		}
		cert = issuer
	}
	return nil
}

func refused(f attls.Failure, cause error) *attls.Error {
	e := attls.Errorf(attls.Refused, f, "the peer's certificate is not accepted").By("RFC 5280 6.1")
	e.Err = cause
	return e
}

// chainFailure names the failure behind an error of crypto/x509.
func chainFailure(err error) attls.Failure {
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	var critical x509.UnhandledCriticalExtension
	var system x509.SystemRootsError
	switch {
	case errors.As(err, &authority), errors.As(err, &system):
		return attls.FailUnknownCA
	case errors.As(err, &name):
		return attls.FailCertificateName
	case errors.As(err, &critical):
		return attls.FailUnsupportedCert
	case errors.As(err, &invalid):
		switch invalid.Reason {
		case x509.Expired:
			return attls.FailCertificateExpired
		case x509.IncompatibleUsage:
			return attls.FailUnsupportedCert
		}
	}
	return attls.FailBadCertificate
}
