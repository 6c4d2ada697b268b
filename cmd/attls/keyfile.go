package main

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"attls/attestation/tpm"
	"attls/handshake"
)

// maxKeyFile bounds a file with keys or certificates, in octets.
const maxKeyFile = 16 << 20

// readFile reads a whole file that is not too long; a pipe will do.
func readFile(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s has more than %d octets", name, limit)
	}
	return b, err
}

// pemBlock is a block of a PEM file and the line that it begins in.
type pemBlock struct {
	*pem.Block
	number, line int
}

func (b *pemBlock) where() string {
	return fmt.Sprintf("block %d (%s, line %d)", b.number, b.Type, b.line)
}

// readPEM reads the blocks of a file; one without any says what it is instead.
func readPEM(name string) ([]pemBlock, error) {
	blob, err := readFile(name, maxKeyFile)
	if err != nil {
		return nil, err
	}
	blocks := pemBlocks(blob)
	if len(blocks) == 0 {
		return nil, fmt.Errorf("%s %s", name, notPEM(blob))
	}
	return blocks, nil
}

func pemBlocks(blob []byte) (blocks []pemBlock) {
	for rest := blob; ; {
		b, after := pem.Decode(rest)
		if b == nil {
			return blocks
		}
		// The block begins where its header is, behind what Decode passed over.
		skipped := bytes.Index(rest, []byte("-----BEGIN "+b.Type+"-----"))
		line := 1 + bytes.Count(blob[:len(blob)-len(rest)+max(0, skipped)], []byte("\n"))
		blocks = append(blocks, pemBlock{b, len(blocks) + 1, line})
		rest = after
	}
}

// notPEM says what a file is that has no PEM block.
func notPEM(blob []byte) string {
	in := cryptobyte.String(blob)
	var seq cryptobyte.String
	var version int
	switch {
	case len(bytes.TrimSpace(blob)) == 0:
		return "is empty"
	case bytes.Contains(blob, []byte("-----BEGIN ")):
		return "holds no complete PEM block: its -----BEGIN line has no matching end, or what is between is not base64"
	case !in.ReadASN1(&seq, cbasn1.SEQUENCE):
		return "is not PEM: there is no -----BEGIN line"
	case seq.PeekASN1Tag(cbasn1.INTEGER) && seq.ReadASN1Integer(&version) && version == 3:
		return "is PKCS #12, not PEM; convert it with: openssl pkcs12 -nodes -in FILE -out FILE.pem"
	case version == 0 || version == 1:
		if _, err := x509.ParseCertificate(blob); err == nil {
			return "is a certificate in DER, not PEM; convert it with: openssl x509 -inform DER -in FILE -out FILE.pem"
		}
		return "is DER, not PEM; convert it with: openssl pkey -inform DER -in FILE -out FILE.pem (or openssl x509)"
	}
	return "is not PEM: there is no -----BEGIN line"
}

// certificates are the certificates among blocks; none is an error.
func certificates(name string, blocks []pemBlock) (list []pemBlock, err error) {
	for _, b := range blocks {
		if b.Type == "CERTIFICATE" || b.Type == "X509 CERTIFICATE" {
			list = append(list, b)
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s holds no certificate: its first PEM block is %s", name, blocks[0].Type)
	}
	return list, nil
}

// readAnchors reads trust anchors. A certificate that does not parse is passed over
// with a warning, unless it is the only one. Keys that crypto/x509 does not know go
// into anchors; all are those of both.
func readAnchors(name string, warn io.Writer) (pool *x509.CertPool, anchors, all []*x509.Certificate, _ error) {
	blocks, err := readPEM(name)
	if err != nil {
		return nil, nil, nil, err
	}
	if blocks, err = certificates(name, blocks); err != nil {
		return nil, nil, nil, err
	}
	pool = x509.NewCertPool()
	var failures []error
	for _, b := range blocks {
		cert, err := handshake.ParseCertificate(b.Bytes)
		switch {
		case err != nil:
			failures = append(failures, fmt.Errorf("%s: %s: %w", name, b.where(), err))
		case cert.PublicKey == nil:
			anchors = append(anchors, cert)
		default:
			pool.AddCert(cert)
		}
		if err == nil {
			all = append(all, cert)
		}
	}
	if len(failures) == len(blocks) {
		return nil, nil, nil, failures[0]
	}
	for _, err := range failures {
		fmt.Fprintf(warn, "attls: warning: a certificate is not used: %v\n", err)
	}
	return pool, anchors, all, nil
}

// readCertificate reads a chain and its private key out of PEM files. Of several
// keys the one of the first certificate is taken.
func readCertificate(certFile, keyFile string) ([][]byte, crypto.Signer, error) {
	blocks, err := readPEM(certFile)
	if err != nil {
		return nil, nil, err
	}
	list, err := certificates(certFile, blocks)
	if err != nil {
		return nil, nil, err
	}
	var chain [][]byte
	for _, b := range list {
		chain = append(chain, b.Bytes)
	}
	leaf, err := handshake.ParseCertificate(chain[0])
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %s: %w", certFile, list[0].where(), err)
	}
	if keyFile == "" {
		keyFile = certFile
	} else if blocks, err = readPEM(keyFile); err != nil {
		return nil, nil, err
	}
	keys, err := findKeys(keyFile, blocks)
	if err != nil {
		return nil, nil, err
	}
	for _, key := range keys {
		if spki, err := handshake.MarshalPublicKey(key.Public()); err == nil &&
			bytes.Equal(spki, leaf.RawSubjectPublicKeyInfo) {
			return chain, key, nil
		}
	}
	return chain, keys[0], nil // of a key that is another's, NewCredential says so
}

// readKey reads the first private key out of a PEM file.
func readKey(file string) (crypto.Signer, error) {
	blocks, err := readPEM(file)
	if err != nil {
		return nil, err
	}
	keys, err := findKeys(file, blocks)
	if err != nil {
		return nil, err
	}
	return keys[0], nil
}

// findKeys returns the private keys among blocks; where there is none that can be
// used, the error says why.
func findKeys(file string, blocks []pemBlock) (keys []crypto.Signer, err error) {
	for i := range blocks {
		key, failure := parseKey(&blocks[i])
		switch {
		case key != nil:
			keys = append(keys, key)
		case failure != nil && err == nil:
			err = fmt.Errorf("%s: %s: %w", file, blocks[i].where(), failure)
		}
	}
	switch {
	case len(keys) > 0:
		return keys, nil
	case err != nil:
		return nil, err
	}
	return nil, fmt.Errorf("%s holds no private key: its first PEM block is %s", file, blocks[0].Type)
}

var errEncrypted = errors.New(
	"the private key is encrypted; attls asks for no password: decrypt it with: openssl pkey -in FILE -out FILE.pem")

// parseKey reads a private key; nil without an error when the block is not one.
func parseKey(b *pemBlock) (crypto.Signer, error) {
	if b.Headers["DEK-Info"] != "" {
		return nil, errEncrypted
	}
	switch b.Type {
	case "PRIVATE KEY":
		return handshake.ParsePrivateKey(b.Bytes)
	case "EC PRIVATE KEY":
		return handshake.ParseECPrivateKey(b.Bytes)
	case "RSA PRIVATE KEY":
		key, err := x509.ParsePKCS1PrivateKey(b.Bytes)
		if err != nil {
			return nil, err
		}
		return key, nil
	case "ENCRYPTED PRIVATE KEY":
		return nil, errEncrypted
	case "OPENSSH PRIVATE KEY":
		return nil, errors.New("a private key in the format of OpenSSH; convert it with: ssh-keygen -p -m PKCS8 -f FILE")
	case tpm.PEMType:
		t, err := tpm.Locate("")
		if err != nil {
			return nil, err
		}
		key, err := tpm.ParseKey(t, b.Bytes)
		if err != nil {
			return nil, err
		}
		return key, nil
	case "DSA PRIVATE KEY":
		return nil, errors.New("a DSA key, which TLS 1.3 has no signature scheme for")
	}
	return nil, nil
}

// readPublicKey reads a key as DER SubjectPublicKeyInfo out of a PEM file with a
// public key, a certificate or a private key.
func readPublicKey(name string) ([]byte, error) {
	blocks, err := readPEM(name)
	if err != nil {
		return nil, err
	}
	for i := range blocks {
		b := &blocks[i]
		switch b.Type {
		case "PUBLIC KEY":
			return b.Bytes, nil
		case "CERTIFICATE":
			cert, err := x509.ParseCertificate(b.Bytes)
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", name, b.where(), err)
			}
			return cert.RawSubjectPublicKeyInfo, nil
		}
		key, err := parseKey(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", name, b.where(), err)
		}
		if key != nil {
			return handshake.MarshalPublicKey(key.Public())
		}
	}
	return nil, fmt.Errorf("%s holds no certificate and no key: its first PEM block is %s", name, blocks[0].Type)
}
