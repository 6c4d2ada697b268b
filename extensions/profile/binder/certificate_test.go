package binder_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"math/big"
	"strings"
	"testing"
	"time"

	"attls/extensions/profile/binder/bindertest"
)

var (
	begin = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	end   = time.Date(2051, 2, 3, 4, 5, 6, 0, time.UTC) // GeneralizedTime
)

// leaf is a certificate with a subject.
func leaf(t *testing.T, subject pkix.Name) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(0x80), Subject: subject, NotBefore: begin, NotAfter: end}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// TestCertificateFields compares each field with what made the certificate.
func TestCertificateFields(t *testing.T) {
	in := vectorInputs(t)
	in.Leaf = leaf(t, pkix.Name{CommonName: "node 1", Organization: []string{"x"}})
	seconds := func(t time.Time) []byte { return binary.BigEndian.AppendUint64(nil, uint64(t.Unix())) }
	for expr, want := range map[string][]byte{
		"not_before.seconds(role)": seconds(begin), "not_after.seconds(role)": seconds(end),
		"not_before.text(role)": []byte("261129120000Z"), "not_after.text(role)": []byte("20510203040506Z"),
		"common_name(role)": []byte("node 1"), "serial_number(role)": {0, 0x80},
	} {
		got, err := program(t, "a = "+expr).Eval("a", server, in)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %x, %v, want %x", expr, got, err, want)
		}
	}
}

// TestNoSuchField: what a certificate lacks, or has twice, does not exist.
func TestNoSuchField(t *testing.T) {
	two := pkix.Name{CommonName: "a", ExtraNames: []pkix.AttributeTypeAndValue{
		{Type: []int{2, 5, 4, 3}, Value: "a"}, {Type: []int{2, 5, 4, 3}, Value: "b"}}}
	for name, der := range map[string][]byte{"none": leaf(t, pkix.Name{}), "two": leaf(t, two), "cut short": leaf(t,
		pkix.Name{CommonName: "a"})[:40], "nothing": nil} {
		in := vectorInputs(t)
		in.Leaf = der
		if got, err := program(t, "a = common_name(role)").Eval("a", server, in); err == nil ||
			!strings.Contains(err.Error(), "does not exist") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// TestTransforms covers hashes by name, cutting, padding and text.
func TestTransforms(t *testing.T) {
	in := vectorInputs(t)
	n := in.NonceOctets
	sha := sha3.Sum512(n)
	sum := sha256.Sum256(n)
	for expr, want := range map[string][]byte{
		`digest("SHA3-512", nonce(role))`:               sha[:],
		`cut(nonce(role), 3, 5)`:                        n[3:8],
		`pad_right(nonce(role), 40)`:                    append(bytes.Clone(n), make([]byte, 8)...),
		`pad_left(nonce(role), 40)`:                     append(make([]byte, 8), n...),
		`hex(nonce(role))`:                              []byte(hex.EncodeToString(n)),
		`base64(nonce(role))`:                           []byte(base64.StdEncoding.EncodeToString(n)),
		`base64url(nonce(role))`:                        []byte(base64.RawURLEncoding.EncodeToString(n)),
		`cbor_array(1, digest("SHA-256", nonce(role)))`: append([]byte{0x82, 1, 0x58, 32}, sum[:]...),
	} {
		got, err := program(t, "a = "+expr).Eval("a", server, in)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %x, %v, want %x", expr, got, err, want)
		}
	}
}

// TestTransformsRefuse: what the values at hand do not allow is undefined.
func TestTransformsRefuse(t *testing.T) {
	for expr, want := range map[string]string{
		"cut(nonce(role), 30, 3)":   "nonce(role) has 32 octets; 3 are cut from octet 30 on",
		"pad_left(nonce(role), 31)": "nonce(role) has 32 octets, which do not fit into 31",
		"pad_right(\"x\", 2000000)": "x\" has 1 octets, which do not fit into 2000000",
	} {
		var in *bindertest.Recorded = vectorInputs(t)
		if got, err := program(t, "a = "+expr).Eval("a", server, in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %x, %v", expr, got, err)
		}
	}
}
