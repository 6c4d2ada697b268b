// Package enginetest holds what tests of the engine share: keys and
// certificates that are made from a seed, and an answer to every wait. It
// trusts any certificate.
package enginetest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"time"

	"attls"
	"attls/handshake"
	"attls/internal/provider"
)

// Credential makes a self-signed Ed25519 certificate for a name. The same name
// always gives the same octets.
func Credential(name string) *handshake.Credential {
	seed := sha256.Sum256([]byte(name))
	key := ed25519.NewKeyFromSeed(seed[:])
	return &handshake.Credential{Chain: [][]byte{SelfSigned(name, key)}, Signer: key,
		Schemes: []attls.SignatureScheme{attls.ED25519}}
}

// SelfSigned makes a certificate that is valid from 2020 to 2099.
func SelfSigned(name string, key crypto.Signer) []byte {
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)}
	der, err := x509.CreateCertificate(nil, tmpl, tmpl, key.Public(), key)
	if err != nil {
		panic("enginetest: " + err.Error())
	}
	return der
}

// Answer shows a credential (nil: none), signs with its key and accepts every
// certificate. It refuses the waits of a profile.
func Answer(c *handshake.Credential) func(*handshake.Wait) (handshake.Answer, *attls.Error) {
	return func(w *handshake.Wait) (handshake.Answer, *attls.Error) {
		switch w.Kind {
		case handshake.WaitCredential:
			return handshake.Answer{Credential: c}, nil
		case handshake.WaitSignature:
			s := w.Signature
			sig, err := provider.Sign(s.Credential.Signer, s.Scheme, s.Content)
			if err != nil {
				return handshake.Answer{}, attls.Errorf(attls.Local, attls.FailInternal, "%v", err)
			}
			return handshake.Answer{Signature: sig}, nil
		case handshake.WaitCertificateVerdict:
			return handshake.Answer{}, nil
		}
		return handshake.Answer{}, attls.Errorf(attls.Local, attls.FailInternal, "no answer to %v", w.Kind)
	}
}

// Random is a source whose octets depend on the name alone.
func Random(name string) handshake.Random {
	return handshake.SeededRandom{Seed: sha256.Sum256([]byte(name))}
}

// ECDSA returns one fixed secp256r1 key and its SubjectPublicKeyInfo.
func ECDSA() (crypto.Signer, []byte) {
	seed := sha256.Sum256([]byte("secp256r1"))
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), seed[:])
	if err != nil {
		panic("enginetest: " + err.Error())
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		panic("enginetest: " + err.Error())
	}
	return key, spki
}
