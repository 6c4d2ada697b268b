package handshake_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
	"testing"
	"time"

	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"

	"attls"
	"attls/conformance/pair"
	"attls/extensions"
	"attls/handshake"
	"attls/handshake/message"
	"attls/internal/enginetest"
)

// prefix is a certificate compression that puts octets in front.
type prefix []byte

func (p prefix) Algorithm() uint16 { return 0xff00 | uint16(p[0]) }

func (p prefix) Compress(b []byte) ([]byte, error) { return append(bytes.Clone(p), b...), nil }

func (p prefix) Decompress(b []byte, size int) ([]byte, error) {
	out, ok := bytes.CutPrefix(b, p)
	if !ok || len(out) != size {
		return nil, errors.New("does not fit")
	}
	return out, nil
}

// short is a compressor that does not keep to the size.
type short struct{ prefix }

func (s short) Decompress(b []byte, size int) ([]byte, error) {
	out, err := s.prefix.Decompress(b, size)
	return out[:len(out)-1], err
}

// raw is a credential as a raw public key.
func raw(c *handshake.Credential) *handshake.Credential {
	spki, err := x509.MarshalPKIXPublicKey(c.Signer.Public())
	if err != nil {
		panic(err)
	}
	return &handshake.Credential{Chain: [][]byte{spki}, Type: attls.CertificateRawPublicKey, Schemes: c.Schemes, Signer: c.Signer}
}

// TestCertificateTypes agrees on X.509 or raw public keys in both directions
// (RFC 7250, RFC 8446 section 4.4.2).
func TestCertificateTypes(t *testing.T) {
	x, r := attls.CertificateX509, attls.CertificateRawPublicKey
	type list = []attls.CertificateType
	both := list{r, x}
	for name, test := range map[string]struct {
		cs, cc, ss, sc list // client's and server's lists for the server's and the client's certificate
		server, client *handshake.Credential
		wantS, wantC   attls.CertificateType
		failure        attls.Failure
		victim         attls.Role
	}{
		"X.509":                       {wantS: x, wantC: x},
		"raw both ways":               {cs: both, cc: both, ss: both, sc: both, wantS: r, wantC: r},
		"raw only":                    {cs: list{r}, cc: list{r}, ss: list{r}, sc: list{r}, server: raw(serverCredential), client: raw(clientCredential), wantS: r, wantC: r},
		"raw of the server":           {cs: both, ss: both, wantS: r, wantC: x},
		"raw of the client":           {cc: both, sc: both, wantS: x, wantC: r},
		"the client prefers X.509":    {cs: list{x, r}, ss: both, wantS: x, wantC: x},
		"server falls back":           {cs: both, cc: both, wantS: x, wantC: x},
		"client does not know it":     {ss: both, sc: both, wantS: x, wantC: x},
		"nothing in common, server's": {cs: list{r}, victim: attls.RoleServer, failure: attls.FailCertificateType},
		"nothing in common, client's": {cc: list{r}, victim: attls.RoleServer, failure: attls.FailCertificateType},
		"server has raw only":         {ss: list{r}, victim: attls.RoleServer, failure: attls.FailCertificateType},
	} {
		t.Run(name, func(t *testing.T) {
			o := direct(func(c, s *handshake.Config) {
				c.ServerCertificateTypes, c.ClientCertificateTypes = test.cs, test.cc
				s.ServerCertificateTypes, s.ClientCertificateTypes = test.ss, test.sc
			})
			verdicts := map[attls.Role]*handshake.CertificateVerdictRequest{}
			for role, own := range map[attls.Role]*handshake.Credential{attls.RoleServer: serverCredential, attls.RoleClient: clientCredential} {
				if other := map[attls.Role]*handshake.Credential{attls.RoleServer: test.server, attls.RoleClient: test.client}[role]; other != nil {
					own = other
				}
				plain := enginetest.Answer(own)
				o.Answer[role] = func(w *handshake.Wait) (handshake.Answer, *attls.Error) {
					if w.Kind == handshake.WaitCertificateVerdict {
						verdicts[w.Certificate.Peer] = w.Certificate
					}
					return plain(w)
				}
			}
			p, err := pair.New(o)
			if err != nil {
				t.Fatal(err)
			}
			runErr := p.Run()
			if test.failure != "" {
				if got := p.Engine(test.victim).Err(); got == nil || got.Failure != test.failure || got.Alert != attls.AlertUnsupportedCertificate {
					t.Errorf("%v, want %s", got, test.failure)
				}
				return
			}
			if runErr != nil {
				t.Fatal(runErr)
			}
			for role, want := range map[attls.Role]attls.CertificateType{attls.RoleServer: test.wantS, attls.RoleClient: test.wantC} {
				v := verdicts[role]
				if v == nil || v.Type != want || len(v.Chain) != 1 {
					t.Fatalf("the %v shows %+v, want type %v", role, v, want)
				}
				if want == r && !bytes.Equal(v.Chain[0], p.Engine(role.Peer()).State().PeerSPKI) {
					t.Errorf("the %v's raw key is not its SubjectPublicKeyInfo", role)
				}
			}
		})
	}
}

// TestCertificateTypeFields breaks the rules about the types.
func TestCertificateTypeFields(t *testing.T) {
	ee := at{attls.RoleServer, attls.KindEncryptedExtensions, 0}
	ct := at{attls.RoleServer, attls.KindCertificate, 0}
	both := []attls.CertificateType{attls.CertificateRawPublicKey, attls.CertificateX509}
	raws := func(c, s *handshake.Config) { c.ServerCertificateTypes, s.ServerCertificateTypes = both, both }
	for name, test := range map[string]struct {
		at     at
		plan   func(*message.Raw, *handshake.Plan)
		change func(c, s *handshake.Config)
		want   outcome
	}{
		"answer that was not offered": {ee, editExtensions(t, body(attls.ExtServerCertificateType, 1)), raws,
			outcome{attls.FailIllegalParameter, attls.AlertIllegalParameter, ee.kind, "server_certificate_type"}},
		"unsolicited answer": {ee, editExtensions(t, body(attls.ExtServerCertificateType, 2)), nil,
			outcome{attls.FailUnsolicited, attls.AlertUnsupportedExtension, ee.kind, "server_certificate_type"}},
		"two octets": {ee, editExtensions(t, body(attls.ExtServerCertificateType, 2, 2)), raws,
			outcome{attls.FailTrailing, attls.AlertDecodeError, ee.kind, "server_certificate_type"}},
		"answer taken away": {ee, editExtensions(t, without(attls.ExtServerCertificateType)), func(c, s *handshake.Config) {
			raws(c, s)
			c.ServerCertificateTypes = both[:1]
		}, outcome{attls.FailCertificateType, attls.AlertUnsupportedCertificate, ee.kind, "server_certificate_type"}},
		"two raw keys": {ct, func(m *message.Raw, p *handshake.Plan) {
			var v message.Certificate
			v.Unmarshal(m.Body())
			v.Entries = append(v.Entries, v.Entries[0])
			p.Replace = v.Append(nil)
		}, raws, outcome{attls.FailIllegalParameter, attls.AlertIllegalParameter, ct.kind, "certificate_list"}},
	} {
		t.Run(name, func(t *testing.T) { disturb(t, direct(test.change), test.at, test.plan, test.want) })
	}
}

// TestTrustRawKeys lets a Conn's Answerer decide on raw public keys.
func TestTrustRawKeys(t *testing.T) {
	key := raw(serverCredential).Chain[0]
	for name, test := range map[string]struct {
		trust handshake.Trust
		fails bool
	}{
		"known":   {trust: handshake.Trust{RawKeys: [][]byte{{1}, key}}},
		"unknown": {trust: handshake.Trust{RawKeys: [][]byte{{1}}}, fails: true},
		"none":    {fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			a := handshake.Answerer{Trust: test.trust}
			_, err := a.Answer(t.Context(), &handshake.Wait{Kind: handshake.WaitCertificateVerdict, Certificate: &handshake.CertificateVerdictRequest{
				Peer: attls.RoleServer, Type: attls.CertificateRawPublicKey, Chain: [][]byte{key}}})
			if (err != nil) != test.fails {
				t.Error(err)
			}
		})
	}
}

// TestStatus carries OCSP responses and SCTs beside certificates, both ways.
func TestStatus(t *testing.T) {
	with := func(c *handshake.Credential) *handshake.Credential {
		d := *c
		d.OCSP, d.SCT = []byte("ocsp"), []byte{0, 3, 0, 1, 7}
		return &d
	}
	for _, asked := range []bool{true, false} {
		o := direct(func(c, s *handshake.Config) {
			c.RequestOCSP, c.RequestSCT, s.RequestOCSP, s.RequestSCT = asked, asked, asked, asked
		})
		o.Answer = [2]pair.Answer{enginetest.Answer(with(clientCredential)), enginetest.Answer(with(serverCredential))}
		p, err := pair.New(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Run(); err != nil {
			t.Fatal(err)
		}
		for _, r := range []attls.Role{attls.RoleClient, attls.RoleServer} {
			s := p.Engine(r).State()
			if got := string(s.PeerOCSP) == "ocsp" && bytes.Equal(s.PeerSCT, []byte{0, 3, 0, 1, 7}); got != asked || !asked && (s.PeerOCSP != nil || s.PeerSCT != nil) {
				t.Errorf("asked %v: the %v has OCSP %q, SCT %x", asked, r, s.PeerOCSP, s.PeerSCT)
			}
		}
	}
}

// TestStatusFields sends malformed and unsolicited status.
func TestStatusFields(t *testing.T) {
	ct := at{attls.RoleServer, attls.KindCertificate, 0}
	ch := at{attls.RoleClient, attls.KindClientHello, 0}
	asks := func(c, s *handshake.Config) { c.RequestOCSP, c.RequestSCT = true, true }
	for name, test := range map[string]struct {
		at     at
		x      attls.ExtensionType
		body   []byte
		change func(c, s *handshake.Config)
		want   attls.Failure
	}{
		"OCSP":                        {ct, attls.ExtStatusRequest, []byte{1, 0, 0, 1, 9}, asks, ""},
		"unsolicited OCSP":            {ct, attls.ExtStatusRequest, []byte{1, 0, 0, 1, 9}, nil, attls.FailUnsolicited},
		"unsolicited SCT":             {ct, attls.ExtSignedCertificateTimestamp, []byte{0, 3, 0, 1, 7}, nil, attls.FailUnsolicited},
		"OCSP of another type":        {ct, attls.ExtStatusRequest, []byte{2, 0, 0, 1, 9}, asks, attls.FailDecode},
		"empty OCSP":                  {ct, attls.ExtStatusRequest, []byte{1, 0, 0, 0}, asks, attls.FailDecode},
		"OCSP with more":              {ct, attls.ExtStatusRequest, []byte{1, 0, 0, 1, 9, 9}, asks, attls.FailTrailing},
		"empty SCT list":              {ct, attls.ExtSignedCertificateTimestamp, []byte{0, 0}, asks, attls.FailDecode},
		"empty SCT":                   {ct, attls.ExtSignedCertificateTimestamp, []byte{0, 2, 0, 0}, asks, attls.FailDecode},
		"malformed request":           {ch, attls.ExtStatusRequest, []byte{1, 0, 1}, nil, attls.FailDecode},
		"request for SCT with a body": {ch, attls.ExtSignedCertificateTimestamp, []byte{0}, nil, attls.FailTrailing},
		"other status type":           {ch, attls.ExtStatusRequest, []byte{2}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			plan := func(m *message.Raw, p *handshake.Plan) {
				editExtensions(t, body(test.x, test.body...))(m, p)
				p.Reparse = true
			}
			if test.want != "" {
				want := outcome{test.want, attls.DefaultAlert(test.want), test.at.kind, test.x.String()}
				disturb(t, direct(test.change), test.at, plan, want)
				return
			}
			hit := false
			o := direct(test.change)
			tap := &planTap{at: test.at, hit: &hit, plan: plan}
			if test.at.sender == attls.RoleClient {
				o.Client.Tap = tap
			} else {
				o.Server.Tap = tap
			}
			p, err := pair.New(o)
			if err != nil {
				t.Fatal(err)
			}
			p.Run()
			if err := p.Engine(test.at.sender.Peer()).Err(); err != nil && err.Failure != attls.FailPeerAlert {
				t.Error(err)
			}
		})
	}
}

// TestCompression compresses certificates both ways, where both ends can.
func TestCompression(t *testing.T) {
	type list = []handshake.CertificateCompressor
	a, b := prefix{1, 2, 3}, prefix{2}
	for name, test := range map[string]struct {
		client, server list
		kind           attls.MessageKind
		algorithm      uint16
	}{
		"both":               {list{a, b}, list{a, b}, attls.KindCompressedCertificate, 0xff01},
		"the sender's order": {list{a, b}, list{b, a}, attls.KindCompressedCertificate, 0xff02},
		"one in common":      {list{a}, list{b, a}, attls.KindCompressedCertificate, 0xff01},
		"nothing in common":  {list{a}, list{b}, attls.KindCertificate, 0},
		"the client cannot":  {nil, list{a}, attls.KindCertificate, 0},
		"the server cannot":  {list{a}, nil, attls.KindCertificate, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := &watch{}
			o := direct(func(c, s *handshake.Config) {
				c.CertificateCompression, s.CertificateCompression, s.Tap = test.client, test.server, w
			})
			p, err := pair.New(o)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Run(); err != nil {
				t.Fatal(err)
			}
			for _, m := range w.messages[handshake.Sent] {
				if m.Kind != attls.KindCertificate && m.Kind != attls.KindCompressedCertificate {
					continue
				}
				if m.Kind != test.kind {
					t.Errorf("%v, want %v", m.Kind, test.kind)
				}
				var cc message.CompressedCertificate
				if m.Kind == attls.KindCompressedCertificate && (cc.Unmarshal(m.Body()) != nil || cc.Algorithm != test.algorithm) {
					t.Errorf("algorithm %#x, want %#x", cc.Algorithm, test.algorithm)
				}
			}
		})
	}
}

// TestCompressionFields breaks the rules of RFC 8879 section 4.
func TestCompressionFields(t *testing.T) {
	cc := at{attls.RoleServer, attls.KindCompressedCertificate, 0}
	edit := func(f func(*message.CompressedCertificate)) func(*message.Raw, *handshake.Plan) {
		return func(m *message.Raw, p *handshake.Plan) {
			var v message.CompressedCertificate
			v.Unmarshal(m.Body())
			f(&v)
			p.Replace = v.Append(nil)
		}
	}
	for name, test := range map[string]struct {
		plan func(*message.Raw, *handshake.Plan)
		want outcome
	}{
		"algorithm": {edit(func(c *message.CompressedCertificate) { c.Algorithm = 1 }),
			outcome{attls.FailIllegalParameter, attls.AlertIllegalParameter, cc.kind, "algorithm"}},
		"one octet less": {edit(func(c *message.CompressedCertificate) { c.UncompressedLength-- }),
			outcome{attls.FailBadCertificate, attls.AlertBadCertificate, cc.kind, ""}},
		"does not decompress": {edit(func(c *message.CompressedCertificate) { c.Compressed[0] ^= 1 }),
			outcome{attls.FailBadCertificate, attls.AlertBadCertificate, cc.kind, ""}},
		"a bomb": {edit(func(c *message.CompressedCertificate) { c.UncompressedLength = 1<<24 - 1 }),
			outcome{attls.FailLimit, attls.AlertIllegalParameter, cc.kind, "uncompressed_length"}},
		"empty": {edit(func(c *message.CompressedCertificate) { c.Compressed = nil }),
			outcome{attls.FailDecode, attls.AlertDecodeError, cc.kind, ""}},
		"no Certificate inside": {edit(func(c *message.CompressedCertificate) {
			c.Compressed, c.UncompressedLength = []byte{9, 1}, 1
		}), outcome{attls.FailDecode, attls.AlertDecodeError, attls.KindCertificate, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			o := direct(func(c, s *handshake.Config) {
				c.CertificateCompression = []handshake.CertificateCompressor{prefix{9}}
				s.CertificateCompression = c.CertificateCompression
			})
			disturb(t, o, cc, test.plan, test.want)
		})
	}
	t.Run("compressor that gives too little", func(t *testing.T) {
		o := direct(func(c, s *handshake.Config) {
			c.CertificateCompression = []handshake.CertificateCompressor{short{prefix{9}}}
			s.CertificateCompression = []handshake.CertificateCompressor{prefix{9}}
		})
		disturb(t, o, cc, func(*message.Raw, *handshake.Plan) {}, outcome{attls.FailBadCertificate, attls.AlertBadCertificate, cc.kind, ""})
	})
	t.Run("not offered", func(t *testing.T) {
		disturb(t, direct(nil), at{attls.RoleServer, attls.KindCertificate, 0}, func(m *message.Raw, p *handshake.Plan) {
			p.Replace = (&message.CompressedCertificate{Algorithm: 1, UncompressedLength: 1, Compressed: []byte{1}}).Append(nil)
		}, outcome{attls.FailUnexpectedMessage, attls.AlertUnexpectedMessage, cc.kind, ""})
	})
	ch := at{attls.RoleClient, attls.KindClientHello, 0}
	for name, b := range map[string][]byte{"an algorithm twice": {4, 0, 1, 0, 1}, "odd": {3, 0, 1, 0}, "none": {0}} {
		t.Run(name, func(t *testing.T) {
			want := outcome{attls.FailDecode, attls.AlertDecodeError, ch.kind, "compress_certificate"}
			if name == "an algorithm twice" {
				want.failure, want.alert = attls.FailIllegalParameter, attls.AlertIllegalParameter
			}
			disturb(t, direct(nil), ch, editExtensions(t, body(attls.ExtCompressCertificate, b...)), want)
		})
	}
}

// TestKeyUsage refuses a key that must not sign (RFC 8446 section 4.4.2.2).
func TestKeyUsage(t *testing.T) {
	seed := sha256.Sum256([]byte("usage"))
	key := ed25519.NewKeyFromSeed(seed[:])
	for name, test := range map[string]struct {
		usage x509.KeyUsage
		fails bool
	}{
		"no extension":           {},
		"digitalSignature":       {usage: x509.KeyUsageDigitalSignature},
		"both":                   {usage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyAgreement},
		"keyAgreement only":      {usage: x509.KeyUsageKeyAgreement, fails: true},
		"decipherOnly, 2 octets": {usage: x509.KeyUsageDecipherOnly, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "usage"}, KeyUsage: test.usage,
				NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0), DNSNames: []string{"usage"}}
			der, err := x509.CreateCertificate(nil, tmpl, tmpl, key.Public(), key)
			if err != nil {
				t.Fatal(err)
			}
			o := direct(nil)
			o.Answer[attls.RoleServer] = enginetest.Answer(&handshake.Credential{Chain: [][]byte{der}, Signer: key, Schemes: []attls.SignatureScheme{attls.ED25519}})
			p, err := pair.New(o)
			if err != nil {
				t.Fatal(err)
			}
			runErr := p.Run()
			want := outcome{}
			if test.fails {
				want = outcome{attls.FailKeyUsage, attls.AlertUnsupportedCertificate, attls.KindCertificate, "cert_data"}
			}
			checkOutcome(t, p, attls.RoleClient, runErr, want)
		})
	}
}

// TestGREASE finds a reserved value wherever a client may put one (RFC 8701),
// and a server that does not mind.
func TestGREASE(t *testing.T) {
	w := &watch{}
	for range 8 { // the system's randomness gives no value twice
		*w = watch{}
		p, err := pair.New(full(func(c, s *handshake.Config) { c.GREASE, c.Tap, c.Random = true, w, handshake.SystemRandom{} }))
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Run(); err != nil {
			t.Fatal(err)
		}
	}
	var ch message.ClientHello
	if err := ch.Unmarshal(w.messages[handshake.Sent][0].Body()); err != nil {
		t.Fatal(err)
	}
	has := func(name string, list extensions.Uint16s) {
		if !attls.Grease(list.At(0)) {
			t.Errorf("no reserved value in %s: %x", name, []byte(list))
		}
	}
	has("cipher_suites", ch.CipherSuites)
	x, _ := ch.Extensions.Get(attls.ExtSupportedGroups)
	groups, _ := extensions.ParseSupportedGroups(x)
	has("supported_groups", groups)
	x, _ = ch.Extensions.Get(attls.ExtSupportedVersions)
	versions, _ := extensions.ParseSupportedVersions(x)
	has("supported_versions", versions)
	x, _ = ch.Extensions.Get(attls.ExtKeyShare)
	shares, _ := extensions.ParseKeyShares(x)
	if _, ok := shares.Find(attls.NamedGroup(groups.At(0))); !ok {
		t.Error("no share of a reserved group")
	}
	n := 0
	for _, e := range ch.Extensions {
		if attls.Grease(uint16(e.Type)) {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d extensions of reserved types, want 2", n)
	}
}

// TestLaterCertificateTypes asks the client after the handshake, of a full and of
// a resumed connection: both ends know the type of its certificate from this
// connection, whatever the session has.
func TestLaterCertificateTypes(t *testing.T) {
	const x, r = attls.CertificateX509, attls.CertificateRawPublicKey
	type list = []attls.CertificateType
	for name, test := range map[string]struct {
		first, cc, sc list // the client's list in the first connection; both ends' in the next
		shows         bool // a certificate in the first connection
		want          attls.CertificateType
		none          bool // the client shows none
	}{
		"X.509":                          {want: x},
		"raw only":                       {first: list{r}, cc: list{r}, sc: list{r, x}, want: r},
		"raw only, and shown before":     {first: list{r}, cc: list{r}, sc: list{r, x}, shows: true, want: r},
		"raw in the session, X.509 now":  {first: list{r}, shows: true, want: x},
		"X.509 in the session, raw now":  {cc: list{r}, sc: list{r}, shows: true, want: r},
		"the server does not know it":    {cc: list{r}, none: true},
		"the client prefers raw":         {cc: list{r, x}, sc: list{r, x}, want: r},
		"the server has X.509 alone":     {cc: list{r, x}, sc: list{x}, want: x},
		"nothing in common, and no harm": {cc: list{r}, sc: list{x}, none: true},
	} {
		for _, resumed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, resumed %v", name, resumed), func(t *testing.T) {
				m := newMeeting()
				later := func(c, s *handshake.Config) {
					c.PostHandshakeAuthentication, s.PostHandshakeAuthentication = true, true
				}
				if resumed {
					m.mustMeet(t, func(c, s *handshake.Config) {
						later(c, s)
						c.ClientCertificateTypes, s.ClientCertificateTypes = test.first, list{r, x}
						if test.shows {
							s.ClientAuthentication = handshake.RequireClientCertificate
						}
					})
				}
				p, was := m.mustMeet(t, func(c, s *handshake.Config) {
					later(c, s)
					s.Tickets = 0
					c.ClientCertificateTypes, s.ClientCertificateTypes = test.cc, test.sc
				})
				if was != resumed {
					t.Fatalf("resumed: %v", was)
				}
				server := p.Engine(attls.RoleServer)
				if s := server.State(); resumed && test.shows && (s.PeerType == r) != (test.first != nil) {
					t.Errorf("the session's certificate has the type %v", s.PeerType)
				}
				if err := server.RequestAuthentication(); err != nil {
					t.Fatal(err)
				}
				if n := len(authenticated(p)); n != 1 {
					t.Fatalf("%d answers; %v", n, p.Err())
				}
				s := server.State()
				if test.none {
					if len(s.PeerChain) > 0 && !test.shows {
						t.Errorf("the client shows %d certificates", len(s.PeerChain))
					}
					return
				}
				if len(s.PeerChain) != 1 || s.PeerType != test.want || (test.want == r) != bytes.Equal(s.PeerChain[0], s.PeerSPKI) || p.Engine(attls.RoleClient).State().OwnType != test.want {
					t.Errorf("%d certificates of type %v at the server, %v at the client; want %v", len(s.PeerChain), s.PeerType, p.Engine(attls.RoleClient).State().OwnType, test.want)
				}
			})
		}
	}
}
