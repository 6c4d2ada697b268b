package bench

import (
	"crypto/tls"

	"attls"
	"attls/handshake"
)

// Case is one sort of handshake.
type Case struct {
	Name   string                // for the reader
	Suite  attls.CipherSuite     // 0: TLS_AES_128_GCM_SHA256
	Group  attls.NamedGroup      // 0: x25519
	Scheme attls.SignatureScheme // of the certificates' keys; 0: ecdsa_secp256r1_sha256
	Mutual bool
	// Resumed is a handshake with psk_dhe_ke and a ticket. VerifiedAgain lets its
	// client validate the server's chain once more, which TLS does not ask for.
	Resumed, VerifiedAgain bool
}

// Cases are the handshakes that are worth comparing.
func Cases() []Case {
	return []Case{
		{Name: "x25519"},
		{Name: "x25519, mutual", Mutual: true},
		{Name: "secp256r1", Group: attls.GroupSecp256r1},
		{Name: "secp256r1, mutual", Group: attls.GroupSecp256r1, Mutual: true},
		{Name: "X25519MLKEM768", Group: attls.GroupX25519MLKEM768},
		{Name: "X25519MLKEM768, mutual", Group: attls.GroupX25519MLKEM768, Mutual: true},
		{Name: "x25519, Ed25519 certificates", Scheme: attls.ED25519},
		{Name: "x25519, resumed", Resumed: true},
		{Name: "x25519, resumed, chain verified again", Resumed: true, VerifiedAgain: true},
		{Name: "secp256r1, resumed", Group: attls.GroupSecp256r1, Resumed: true},
		{Name: "X25519MLKEM768, resumed", Group: attls.GroupX25519MLKEM768, Resumed: true},
	}
}

func (c Case) withDefaults() Case {
	if c.Suite == 0 {
		c.Suite = attls.TLS_AES_128_GCM_SHA256
	}
	if c.Group == 0 {
		c.Group = attls.GroupX25519
	}
	if c.Scheme == 0 {
		c.Scheme = attls.ECDSA_SECP256R1_SHA256
	}
	return c
}

func (c Case) configs() configs {
	var ends configs
	for i := range ends {
		ends[i] = &handshake.Config{CipherSuites: []attls.CipherSuite{c.Suite}, Groups: []attls.NamedGroup{c.Group},
			PSK: c.Resumed}
	}
	ends[attls.RoleClient].ServerName = serverName
	if c.Mutual {
		ends[attls.RoleServer].ClientAuthentication = handshake.RequireClientCertificate
	}
	return ends
}

// Primitive is one line of the sum: Count of it make the Cost in one pair.
type Primitive struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
	Cost  Cost   `json:"cost"`
}

// HandshakeResult compares one handshake, both ends together.
type HandshakeResult struct {
	Case       string      `json:"case"`
	Ours       Cost        `json:"ours"`
	CryptoTLS  Cost        `json:"crypto_tls"`
	Primitives []Primitive `json:"primitives"`
	// Sum is all of the Primitives, one after the other.
	Sum Cost `json:"sum"`
	// ToPrimitives and ToCryptoTLS are our time divided by theirs.
	ToPrimitives float64 `json:"to_primitives"`
	ToCryptoTLS  float64 `json:"to_crypto_tls"`
	// AllocationsAbove is how many allocations we make beyond those of the primitives.
	AllocationsAbove float64 `json:"allocations_above_primitives"`
}

// handshakeSubjects are what Handshake compares.
func handshakeSubjects(c Case) (ours, theirs *subject, sum []*subject, err error) {
	id, err := newIdentity(c.Scheme)
	if err != nil {
		return nil, nil, nil, err
	}
	if c.Resumed {
		return resumedSubjects(c, id)
	}
	if sum, err = primitives(c, id); err != nil {
		return nil, nil, nil, err
	}
	ends := c.configs()
	client, server := tlsConfigs(c, id)
	ours = newSubject("attls", 1, func() error { _, err := ends.pair(&id.answerer); return err })
	theirs = newSubject("crypto/tls", 1, func() error { return tlsHandshake(client, server) })
	return ours, theirs, sum, nil
}

func tlsHandshake(client, server *tls.Config) error {
	_, _, err := tlsPair(client, server)
	return err
}

// Handshake measures one case.
func Handshake(c Case, o Options) (*HandshakeResult, error) {
	c = c.withDefaults()
	ours, theirs, sum, err := handshakeSubjects(c)
	if err != nil {
		return nil, err
	}
	all, err := inTurn("primitives", sum)
	if err != nil {
		return nil, err
	}
	if err := interleave(o, []*subject{ours, theirs, all}); err != nil {
		return nil, err
	}
	r := &HandshakeResult{Case: c.Name, Ours: ours.cost(), CryptoTLS: theirs.cost(),
		ToPrimitives: ratio(ours, all), ToCryptoTLS: ratio(ours, theirs)}
	r.Primitives, r.Sum = totalled(sum, all)
	r.AllocationsAbove = r.Ours.Allocations - r.Sum.Allocations
	return r, nil
}
