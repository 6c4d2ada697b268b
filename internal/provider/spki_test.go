package provider

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"attls"
)

// rsaSPKI is a SubjectPublicKeyInfo of any modulus and exponent.
func rsaSPKI(t *testing.T, n *big.Int, e int) []byte {
	t.Helper()
	key := must(asn1.Marshal(struct {
		N *big.Int
		E int
	}{n, e}))(t)
	return spki(t, oidRSA, key, asn1.NullRawValue)
}

// TestRefusedKeys: a SubjectPublicKeyInfo that is not whole, or not one that is
// supported, names itself in the error and makes no key.
func TestRefusedKeys(t *testing.T) {
	key := must(rsaKey())(t)
	curve := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	ec, plain := spkiOf(t, curve.Public()), spkiOf(t, key.Public())
	point := must(curve.PublicKey.Bytes())(t)
	ecOf := func(oid asn1.ObjectIdentifier, point []byte) []byte {
		return spki(t, oidECDSA, point, asn1.RawValue{FullBytes: must(asn1.Marshal(oid))(t)})
	}
	off := bytes.Clone(point)
	off[64] ^= 1
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	edKey := ed.Public().(ed25519.PublicKey)
	bit := func(n uint) *big.Int { return new(big.Int).Lsh(big.NewInt(1), n) }
	sha1 := asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}
	mixed := pssOf(t, oidSHA256, 32)
	mixed.MGF.Parameters.FullBytes = must(asn1.Marshal(algorithmIdentifier{Algorithm: oidSHA384}))(t)
	noMGF := pssOf(t, oidSHA256, 32)
	noMGF.MGF.Algorithm = oidSHA256
	noInner := pssOf(t, oidSHA256, 32)
	noInner.MGF.Parameters = asn1.NullRawValue
	unknownInner := pssOf(t, oidSHA256, 32)
	unknownInner.MGF.Parameters.FullBytes = must(asn1.Marshal(algorithmIdentifier{Algorithm: sha1}))(t)
	bits := must(asn1.Marshal(struct {
		Algorithm algorithmIdentifier
		Key       asn1.BitString
	}{algorithmIdentifier{Algorithm: oidEd25519}, asn1.BitString{Bytes: edKey, BitLength: 8*len(edKey) - 1}}))(t)
	for name, der := range map[string][]byte{
		"nothing":                             nil,
		"an INTEGER":                          {2, 1, 1},
		"octets behind it":                    append(bytes.Clone(ec), 0),
		"cut off":                             ec[:len(ec)-1],
		"an empty SEQUENCE":                   {0x30, 0},
		"an algorithm without a name":         {0x30, 2, 0x30, 0},
		"no BIT STRING":                       {0x30, 7, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70},
		"a BIT STRING of odd bits":            bits,
		"an unknown algorithm":                spki(t, asn1.ObjectIdentifier{1, 2, 3}, []byte{1}),
		"X25519, which signs nothing":         spki(t, asn1.ObjectIdentifier{1, 3, 101, 110}, make([]byte, 32)),
		"ECDSA without a curve":               spki(t, oidECDSA, point),
		"ECDSA with NULL for a curve":         spki(t, oidECDSA, point, asn1.NullRawValue),
		"ECDSA on secp256k1":                  ecOf(asn1.ObjectIdentifier{1, 3, 132, 0, 10}, point),
		"ECDSA with a point of another curve": ecOf(oidP384, point),
		"ECDSA with a point off the curve":    ecOf(oidP256, off),
		"ECDSA with a compressed point":       ecOf(oidP256, elliptic.MarshalCompressed(elliptic.P256(), curve.X, curve.Y)),
		"Ed25519 that is too short":           spki(t, oidEd25519, edKey[1:]),
		"Ed25519 with parameters":             spki(t, oidEd25519, edKey, asn1.NullRawValue),
		"RSA without NULL":                    spki(t, oidRSA, x509.MarshalPKCS1PublicKey(&key.PublicKey)),
		"RSA with another parameter":          spki(t, oidRSA, x509.MarshalPKCS1PublicKey(&key.PublicKey), asn1.RawValue{FullBytes: []byte{2, 1, 0}}),
		"RSA that holds no key":               spki(t, oidRSA, []byte{0x30, 0}, asn1.NullRawValue),
		"RSA with octets behind the key":      spki(t, oidRSA, append(x509.MarshalPKCS1PublicKey(&key.PublicKey), 0), asn1.NullRawValue),
		"RSA of 1023 bits":                    rsaSPKI(t, new(big.Int).Sub(bit(1023), big.NewInt(1)), 65537),
		"RSA of 16385 bits":                   rsaSPKI(t, new(big.Int).Add(bit(16384), big.NewInt(1)), 65537),
		"RSA with a negative modulus":         rsaSPKI(t, new(big.Int).Neg(key.N), 65537),
		"RSA with the exponent 1":             rsaSPKI(t, key.N, 1),
		"RSA with an even exponent":           rsaSPKI(t, key.N, 65536),
		"RSA with an exponent of 33 bits":     rsaSPKI(t, key.N, 1<<32+1),
		"PSS with SHA-1 by default":           pssSPKI(t, key, pssParameters{}),
		"PSS with SHA-1 by name":              pssSPKI(t, key, pssOf(t, sha1, 20)),
		"PSS with two hashes":                 pssSPKI(t, key, mixed),
		"PSS with another mask":               pssSPKI(t, key, noMGF),
		"PSS with a mask without a hash":      pssSPKI(t, key, noInner),
		"PSS with a mask over SHA-1":          pssSPKI(t, key, unknownInner),
		"PSS with a salt that is too long":    pssSPKI(t, key, pssOf(t, oidSHA256, 33)),
		"PSS with parameters of another kind": pssSPKI(t, key, 7),
		"PSS that holds no key":               spki(t, oidRSAPSS, []byte{0x30, 0}),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Real().ParseSPKI(der); failureOf(err) != attls.FailUnsupportedCert {
				t.Errorf("%v", err)
			}
		})
	}
	for name, der := range map[string][]byte{"RSA": plain, "ECDSA": ec, "PSS with a hash and no mask": pssSPKI(t, key, pssParameters{Hash: algorithmIdentifier{Algorithm: oidSHA256}})} {
		if _, err := Real().ParseSPKI(der); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPSSPrivateKey: a private key of the type id-RSASSA-PSS, which crypto/x509 does not read.
func TestPSSPrivateKey(t *testing.T) {
	key := must(rsaKey())(t)
	info := func(oid asn1.ObjectIdentifier, private []byte) []byte {
		return must(asn1.Marshal(struct {
			Version   int
			Algorithm algorithmIdentifier
			Key       []byte
		}{0, algorithmIdentifier{Algorithm: oid}, private}))(t)
	}
	pkcs1 := x509.MarshalPKCS1PrivateKey(key)
	if got, err := ParsePSSPrivateKey(info(oidRSAPSS, pkcs1)); err != nil || !got.Equal(key) {
		t.Errorf("%v", err)
	}
	for name, der := range map[string][]byte{
		"nothing": nil, "another type": info(oidRSA, pkcs1), "no key inside": info(oidRSAPSS, []byte{1}),
		"octets behind it": append(info(oidRSAPSS, pkcs1), 0), "cut off": info(oidRSAPSS, pkcs1)[:40], "a bare key": pkcs1,
	} {
		if _, err := ParsePSSPrivateKey(der); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// certificate is a self-signed certificate with what usage and extensions say.
func certificate(t *testing.T, usage x509.KeyUsage, more ...pkix.Extension) ([]byte, *ecdsa.PrivateKey) {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, KeyUsage: usage, ExtraExtensions: more,
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<31, 0)}
	return must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))(t), key
}

// TestKeyUsage: only a certificate whose Key Usage leaves digitalSignature out forbids
// CertificateVerify (RFC 8446 section 4.4.2.2).
func TestKeyUsage(t *testing.T) {
	unreadable := pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 15}, Value: []byte{4, 0}}
	other := pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}
	for name, test := range map[string]struct {
		usage   x509.KeyUsage
		more    []pkix.Extension
		forbids bool
	}{
		"without the extension":         {0, nil, false},
		"with another extension":        {0, []pkix.Extension{other}, false},
		"digitalSignature":              {x509.KeyUsageDigitalSignature, nil, false},
		"digitalSignature among others": {x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, []pkix.Extension{other}, false},
		"keyCertSign alone":             {x509.KeyUsageCertSign, nil, true},
		"keyAgreement, behind another":  {x509.KeyUsageKeyAgreement, []pkix.Extension{other}, true},
		"an extension of another form":  {0, []pkix.Extension{unreadable}, true},
	} {
		t.Run(name, func(t *testing.T) {
			cert, _ := certificate(t, test.usage, test.more...)
			if got := ForbidsSignatures(cert); got != test.forbids {
				t.Error(got)
			}
			for n := range cert { // and nothing is read beyond the end
				ForbidsSignatures(cert[:n:n])
			}
		})
	}
}

// TestSPKIFromCertificate: the key of a certificate is found, and what is not a certificate
// is an error that says where.
func TestSPKIFromCertificate(t *testing.T) {
	cert, key := certificate(t, x509.KeyUsageDigitalSignature)
	got, failed := SPKIFromCertificate(cert)
	if failed != nil || !bytes.Equal(got, spkiOf(t, key.Public())) {
		t.Fatalf("%x, %v", got, failed)
	}
	for n := range cert {
		if _, err := SPKIFromCertificate(cert[:n:n]); err == nil || err.Failure != attls.FailBadCertificate {
			t.Fatalf("%d octets of %d: %v", n, len(cert), err)
		}
	}
	if _, err := SPKIFromCertificate(append(bytes.Clone(cert), 0)); err == nil || err.Offset != len(cert) {
		t.Errorf("an octet behind it: %v", err)
	}
	// A TBSCertificate that ends after each of its fields.
	fields := [][]byte{{2, 1, 1}, {0x30, 0}, {0x30, 0}, {0x30, 0}, {0x30, 0}}
	for n := range fields {
		var tbs []byte
		for _, f := range fields[:n] {
			tbs = append(tbs, f...)
		}
		der := append([]byte{0x30, byte(len(tbs) + 2), 0x30, byte(len(tbs))}, tbs...)
		if _, err := SPKIFromCertificate(der); err == nil || err.Failure != attls.FailBadCertificate {
			t.Errorf("%d fields: %v", n, err)
		}
		if ForbidsSignatures(der) {
			t.Errorf("%d fields forbid signatures", n)
		}
	}
}

// TestSuites: the sizes and limits of each suite (RFC 8446 sections 5.5 and B.4).
func TestSuites(t *testing.T) {
	for _, p := range []Provider{Real(), Null()} {
		for id, want := range map[attls.CipherSuite]struct{ hash, key, tag int }{
			attls.TLS_AES_128_GCM_SHA256: {32, 16, 16}, attls.TLS_AES_256_GCM_SHA384: {48, 32, 16}, attls.TLS_CHACHA20_POLY1305_SHA256: {32, 32, 16},
			attls.TLS_AES_128_CCM_SHA256: {32, 16, 16}, attls.TLS_AES_128_CCM_8_SHA256: {32, 16, 8},
		} {
			s, ok := p.Suite(id)
			if !ok || s.ID != id || s.HashLen != want.hash || s.KeyLen != want.key || s.Overhead != want.tag || s.NonceLen != 12 || s.New().Size() != want.hash {
				t.Fatalf("%v: %+v, %v", id, s, ok)
			}
			aead, err := s.AEAD(make([]byte, s.KeyLen))
			if err != nil || aead.Overhead() != s.Overhead || aead.NonceSize() != s.NonceLen {
				t.Errorf("%v: %v", id, err)
			}
		}
		if _, ok := p.Suite(0x1301 - 1); ok {
			t.Error("there is a suite of another number")
		}
	}
	for i := range suites {
		if _, err := suites[i].AEAD(make([]byte, 7)); err == nil {
			t.Errorf("%v takes a key of 7 octets", suites[i].ID)
		}
	}
}
