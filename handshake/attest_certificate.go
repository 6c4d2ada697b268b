package handshake

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"slices"

	"attls"
	"attls/extensions/profile"
	"attls/internal/provider"
	"attls/internal/rule"
)

// Evidence in the end-entity certificate (profile.CarrierCertificate). The certificate
// is made once the Evidence is there:
//
//	[Credential] -> [Evidence] -> [Issuance] -> Certificate
//
// What the Credential wait is answered with is a certificate without the fields: its
// key, subject, serial number and validity are those of the certificate that is issued,
// so that Evidence can be bound to them.

// IssuanceRequest asks for the end-entity certificate that holds our Evidence.
type IssuanceRequest struct {
	Role attls.Role
	// Credential is what was answered to the Credential wait. The certificate that is
	// asked for has its key, subject, serial number and validity.
	Credential *Credential
	// Extensions are to be in the certificate as they are, and DNSNames in its
	// subjectAltName with the names that there are.
	Extensions []X509Extension
	DNSNames   []string

	parts [][][]byte // of the fields, by profile.Profile.X509
}

// X509Extension is an Extension of RFC 5280 section 4.1.
type X509Extension struct {
	OID      asn1.ObjectIdentifier
	Critical bool
	Value    []byte // contents of extnValue
}

// inCertificate is how an end attests with a payload in its end-entity certificate; nil:
// it does not.
func inCertificate(list []*attesting) *attesting {
	for _, by := range list {
		if by.credential.Carrier == profile.CarrierCertificate {
			return by
		}
	}
	return nil
}

// issuance is the request for the certificate of an authentication.
func (e *Engine) issuance(inputs binderInputs, by *attesting) (*IssuanceRequest, *attls.Error) {
	own := inputs.own()
	payload := own.proof.of(by.slot).payload
	if err := checkRoom(by.credential, payload); err != nil {
		return nil, err
	}
	r := &IssuanceRequest{Role: e.role, Credential: own.credential}
	for i := range e.profile().X509 {
		f := &e.profile().X509[i]
		parts, err := fieldParts(inputs, f, e.role, payload)
		if err != nil {
			return nil, err.In(attls.KindCertificate)
		}
		r.parts = append(r.parts, parts)
		if f.OID == nil {
			names, err := f.WriteNames(parts[0])
			if err != nil {
				return nil, asLocal(err)
			}
			r.DNSNames = append(r.DNSNames, names...)
			continue
		}
		value, cause := f.Write(parts)
		if cause != nil {
			return nil, asLocal(cause)
		}
		r.Extensions = append(r.Extensions, X509Extension{f.OID, f.Critical == profile.CriticalYes, value})
	}
	return r, nil
}

// fieldParts are what an attester's field holds: the payload, and values of the binder.
func fieldParts(inputs binderInputs, f *profile.CertificateField, attester attls.Role,
	payload []byte) ([][]byte, *attls.Error) {
	parts := make([][]byte, len(f.Parts))
	for i, name := range f.Parts {
		if name == "" {
			parts[i] = payload
			continue
		}
		v, err := inputs.program().Eval(name, attester, inputs)
		if err != nil {
			return nil, asError(err).Under("x509." + f.Name)
		}
		parts[i] = v
	}
	return parts, nil
}

// issued takes the certificate that was made, after a look at whether it is the one
// that was asked for.
func (e *Engine) issued(own *ownCredential, r *IssuanceRequest, chain [][]byte) *attls.Error {
	bad := func(format string, args ...any) *attls.Error {
		return attls.Errorf(attls.Local, attls.FailConfiguration, format, args...).Under("Answer.Chain")
	}
	if len(chain) == 0 {
		return bad("there is no certificate for the Evidence")
	}
	before, ok := provider.ParseCertificateFields(r.Credential.Chain[0])
	after, also := provider.ParseCertificateFields(chain[0])
	switch {
	case !ok || !also:
		return bad("the certificate is not one of X.509")
	case !bytes.Equal(before.SPKI, after.SPKI):
		return bad("the certificate is of another key than the credential")
	case !bytes.Equal(before.Serial, after.Serial) || !before.Begin.Equal(after.Begin) || !before.End.Equal(after.End) ||
		!bytes.Equal(before.CommonName, after.CommonName):
		return bad("the certificate has another serial number, validity or subject than the credential")
	}
	p := e.profile()
	for i := range p.X509 {
		parts, err := p.ReadField(i, chain[0])
		if err != nil || !slices.EqualFunc(parts, r.parts[i], bytes.Equal) {
			return bad("the certificate does not hold the field %s as it was asked for", p.X509[i].Name)
		}
	}
	with := *r.Credential
	with.Chain = chain
	own.credential = &with
	return nil
}

// proveIssued follows the Issuance wait.
type proveIssued struct{}

func (proveIssued) name() string { return "PROVE_ISSUED" }
func (proveIssued) due() gate    { return gateNow }

func (s proveIssued) step(e *Engine) (state, *attls.Error) {
	w := e.take(WaitIssuance)
	if err := e.issued(&e.own, w.wait.Issuance, w.answer.Chain); err != nil {
		return nil, err
	}
	return e.show()
}

// askIssuance asks for the certificate of the handshake.
func (e *Engine) askIssuance(by *attesting) *attls.Error {
	r, err := e.issuance(binderInputs{e: e, by: by}, by)
	if err != nil {
		return err
	}
	e.ask(gateNow, &Wait{Kind: WaitIssuance, Due: attls.KindCertificate, Issuance: r})
	return nil
}

// askLaterIssuance asks for the certificate of an answer after the handshake.
func (e *Engine) askLaterIssuance(a *authAnswer, by *attesting) *attls.Error {
	r, err := e.issuance(binderInputs{e: e, a: a, by: by}, by)
	if err != nil {
		return err
	}
	w := e.ask(gateNever, &Wait{Kind: WaitIssuance, Due: attls.KindCertificate, Issuance: r})
	w.after, w.auth = true, a
	return nil
}

// fieldExtensions are the object identifiers of the profile's fields: a critical
// extension that the profile reads is not unknown.
func (e *Engine) fieldExtensions() (list []asn1.ObjectIdentifier) {
	for i := range e.profile().X509 {
		if f := &e.profile().X509[i]; f.OID != nil {
			list = append(list, f.OID)
		}
	}
	return list
}

// readFields takes the payload and the values of the binder out of a certificate.
func (e *Engine) readFields(der []byte, by *attesting, to *proof) *attls.Error {
	p := e.profile()
	to.fields = make([][][]byte, len(p.X509))
	for i := range p.X509 {
		f := &p.X509[i]
		parts, err := p.ReadField(i, der)
		if err == nil && parts == nil && e.absent(by) {
			to.of(by.slot).payload = nil
			return nil
		}
		if err == nil && parts == nil {
			err = e.attestationFailure(attls.FailMissing, "the certificate has no %s", f)
		}
		switch {
		case err == nil:
		case e.tolerated(err.Failure):
			continue
		default:
			return err.Under("certificate_list[0].cert_data")
		}
		to.fields[i] = parts
		if payload := f.Payload(parts); payload != nil {
			to.of(by.slot).payload = bytes.Clone(payload)
		}
	}
	return nil
}

// checkFields compares the values of the binder that a peer's certificate holds with
// what they have to be.
func (e *Engine) checkFields(inputs binderInputs, peer attls.Role, by *attesting) *attls.Error {
	if by.credential.Carrier != profile.CarrierCertificate {
		return nil
	}
	shown := inputs.proof(peer)
	for i := range e.profile().X509 {
		f := &e.profile().X509[i]
		if i >= len(shown.fields) || shown.fields[i] == nil {
			continue
		}
		want, err := fieldParts(inputs, f, peer, shown.of(by.slot).payload)
		if err != nil {
			return err
		}
		for k := range want {
			if !bytes.Equal(want[k], shown.fields[i][k]) && e.obeys(rule.FieldBound) {
				return attls.Errorf(attls.Refused, attls.FailBinderMismatch, "%s is %x, not %x", f.Parts[k],
					excerpt(shown.fields[i][k]), excerpt(want[k])).Under("x509." + f.Name).In(attls.KindCertificate)
			}
		}
	}
	return nil
}

// excerpt is the beginning of octets that a peer chose, for an error.
func excerpt(b []byte) []byte { return b[:min(len(b), 80)] }

// unhandled are the critical extensions of a certificate that nobody reads.
func unhandled(c *x509.Certificate, handled []asn1.ObjectIdentifier) []asn1.ObjectIdentifier {
	return slices.DeleteFunc(slices.Clone(c.UnhandledCriticalExtensions), func(x asn1.ObjectIdentifier) bool {
		return slices.ContainsFunc(handled, x.Equal)
	})
}
