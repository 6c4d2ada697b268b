package provider

import (
	"encoding/asn1"
	"encoding/binary"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// CertificateFields are the fields of a DER certificate (RFC 5280 section 4.1) that
// are known before it is signed. They are views of it.
type CertificateFields struct {
	Serial []byte // contents of the INTEGER serialNumber
	// NotBefore and NotAfter are the characters of UTCTime or GeneralizedTime; nil where
	// they are neither.
	NotBefore, NotAfter []byte
	Begin, End          time.Time // the same moments
	CommonName          []byte    // of the subject; nil unless it has exactly one
	SPKI                []byte    // SubjectPublicKeyInfo with its header
	Extensions          []CertificateExtension
}

// CertificateExtension is an Extension of RFC 5280 section 4.1.
type CertificateExtension struct {
	OID      asn1.ObjectIdentifier
	Critical bool
	Value    []byte // contents of extnValue
	Offset   int    // of Value in the certificate
}

var oidCommonName = asn1.ObjectIdentifier{2, 5, 4, 3}

// ParseCertificateFields walks a DER certificate. It reports false where its structure
// is not that of one; what single fields hold, and duplicates among the extensions, are
// left to the caller.
func ParseCertificateFields(der []byte) (f CertificateFields, ok bool) {
	p, ok := walkCertificate(der)
	if !ok {
		return f, false
	}
	f.Serial, f.SPKI, f.CommonName = p.serial, p.spki, commonName(p.subject)
	f.NotBefore, f.Begin = readTime(&p.validity)
	f.NotAfter, f.End = readTime(&p.validity)
	list := p.extensions
	for !list.Empty() {
		x, ok := readExtension(&list)
		if !ok {
			return f, false
		}
		x.Offset = offsetOf(der, x.Value)
		f.Extensions = append(f.Extensions, x)
	}
	return f, true
}

// certificateParts are views of the parts of a DER certificate; without extensions, that
// is empty.
type certificateParts struct{ serial, validity, subject, spki, extensions cryptobyte.String }

// walkCertificate finds the parts of a certificate. It allocates nothing.
func walkCertificate(der []byte) (p certificateParts, ok bool) {
	in := cryptobyte.String(der)
	var body, tbs, list cryptobyte.String
	var have bool
	ok = in.ReadASN1(&body, cbasn1.SEQUENCE) && in.Empty() && body.ReadASN1(&tbs, cbasn1.SEQUENCE) &&
		tbs.SkipOptionalASN1(cbasn1.Tag(0).Constructed().ContextSpecific()) &&
		tbs.ReadASN1(&p.serial, cbasn1.INTEGER) && tbs.SkipASN1(cbasn1.SEQUENCE) && tbs.SkipASN1(cbasn1.SEQUENCE) &&
		tbs.ReadASN1(&p.validity, cbasn1.SEQUENCE) && tbs.ReadASN1(&p.subject, cbasn1.SEQUENCE) &&
		tbs.ReadASN1Element(&p.spki, cbasn1.SEQUENCE) &&
		tbs.SkipOptionalASN1(cbasn1.Tag(1).ContextSpecific()) && tbs.SkipOptionalASN1(cbasn1.Tag(2).ContextSpecific()) &&
		tbs.ReadOptionalASN1(&list, &have, cbasn1.Tag(3).Constructed().ContextSpecific()) &&
		(!have || list.ReadASN1(&p.extensions, cbasn1.SEQUENCE))
	return p, ok
}

// offsetOf is where a view begins in the octets that it is a view of.
func offsetOf(whole, view []byte) int { return cap(whole) - cap(view) }

func readExtension(list *cryptobyte.String) (x CertificateExtension, ok bool) {
	var seq, value cryptobyte.String
	ok = list.ReadASN1(&seq, cbasn1.SEQUENCE) && seq.ReadASN1ObjectIdentifier(&x.OID)
	if ok && seq.PeekASN1Tag(cbasn1.BOOLEAN) {
		ok = seq.ReadASN1Boolean(&x.Critical)
	}
	ok = ok && seq.ReadASN1(&value, cbasn1.OCTET_STRING) && seq.Empty()
	x.Value = value
	return x, ok
}

func readTime(in *cryptobyte.String) (text []byte, t time.Time) {
	var element cryptobyte.String
	var tag cbasn1.Tag
	if !in.ReadAnyASN1Element(&element, &tag) {
		return nil, t
	}
	value, ok := element, false
	if tag == cbasn1.UTCTime {
		ok = element.ReadASN1UTCTime(&t)
	} else if tag == cbasn1.GeneralizedTime {
		ok = element.ReadASN1GeneralizedTime(&t)
	}
	if !ok || !value.ReadASN1(&value, tag) {
		return nil, time.Time{}
	}
	return value, t
}

// commonName is the one commonName of a Name, or nil.
func commonName(subject cryptobyte.String) (name []byte) {
	for !subject.Empty() {
		var set cryptobyte.String
		if !subject.ReadASN1(&set, cbasn1.SET) {
			return nil
		}
		for !set.Empty() {
			var pair, value cryptobyte.String
			var oid asn1.ObjectIdentifier
			var tag cbasn1.Tag
			if !set.ReadASN1(&pair, cbasn1.SEQUENCE) || !pair.ReadASN1ObjectIdentifier(&oid) ||
				!pair.ReadAnyASN1(&value, &tag) {
				return nil
			}
			switch {
			case !oid.Equal(oidCommonName):
			case name != nil:
				return nil
			default:
				name = value
			}
		}
	}
	return name
}

// Seconds writes a moment as the seconds since 1970 in eight octets, the most
// significant first. It reports false for a moment before 1970.
func Seconds(t time.Time) ([]byte, bool) {
	s := t.Unix()
	return binary.BigEndian.AppendUint64(nil, uint64(s)), s >= 0
}
