package main

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"slices"

	"attls"
	"attls/handshake"
	"attls/internal/provider"
)

// chain reads the certificates of a PEM file.
func chain(file string) ([][]byte, error) {
	in, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var list [][]byte
	for {
		var block *pem.Block
		if block, in = pem.Decode(in); block == nil {
			return list, nil
		}
		if block.Type == "CERTIFICATE" {
			list = append(list, block.Bytes)
		}
	}
}

func privateKey(file string) (crypto.Signer, error) {
	in, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for {
		var block *pem.Block
		if block, in = pem.Decode(in); block == nil {
			return nil, fmt.Errorf("%s holds no private key", file)
		}
		switch block.Type {
		case "PRIVATE KEY":
			k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return nil, err
			}
			return k.(crypto.Signer), nil
		case "RSA PRIVATE KEY":
			return x509.ParsePKCS1PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			return x509.ParseECPrivateKey(block.Bytes)
		}
	}
}

// credential loads what -cert-file and -key-file name, nil when they name nothing.
func credential(o *options) (*handshake.Credential, error) {
	if o.certFile == "" || o.keyFile == "" {
		return nil, nil
	}
	certs, err := chain(o.certFile)
	if err != nil {
		return nil, err
	}
	key, err := privateKey(o.keyFile)
	if err != nil {
		return nil, err
	}
	c := &handshake.Credential{Chain: certs, Signer: key, OCSP: o.ocspResponse, SCT: o.scts}
	if o.declineOCSP {
		c.OCSP = nil
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	p := provider.Real()
	public, err := p.ParseSPKI(spki)
	if err != nil {
		return c, nil // a key that signs under no scheme of ours
	}
	able := p.Schemes(public)
	if o.signingPrefs == nil {
		c.Schemes = able
		return c, nil
	}
	c.Schemes = []attls.SignatureScheme{}
	for _, s := range o.signingPrefs {
		if slices.Contains(able, s) {
			c.Schemes = append(c.Schemes, s)
		}
	}
	return c, nil
}
