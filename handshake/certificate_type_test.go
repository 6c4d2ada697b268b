package handshake_test

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"testing"
	"time"

	"attls"
	"attls/conformance/pair"
	"attls/handshake"
	"attls/handshake/enginetest"
	"attls/handshake/message"
)

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

// TestTypeInResumption: a server tells a client that resumes a session the type of
// its certificate, which it does not show (RFC 7250 section 4.2).
func TestTypeInResumption(t *testing.T) {
	key, x509 := attls.CertificateRawPublicKey, attls.CertificateX509
	types := func(list ...attls.CertificateType) func(c, s *handshake.Config) {
		return func(c, s *handshake.Config) { c.ServerCertificateTypes = list }
	}
	told := func(t *testing.T, w *watch) []byte {
		t.Helper()
		m := w.sent(t, attls.KindEncryptedExtensions)
		var v message.EncryptedExtensions
		if err := v.Unmarshal(m.Body()); err != nil {
			t.Fatal(err)
		}
		b, _ := v.Extensions.Get(attls.ExtServerCertificateType)
		return b
	}
	for name, test := range map[string]struct {
		client func(c, s *handshake.Config)
		server []attls.CertificateType
		want   []byte
	}{
		"raw public keys alone":                    {types(key), []attls.CertificateType{key}, []byte{2}},
		"raw public keys first":                    {types(key, x509), []attls.CertificateType{key, x509}, []byte{2}},
		"X.509 of both":                            {types(key, x509), nil, []byte{0}},
		"nothing, as nothing was offered":          {types(), []attls.CertificateType{x509}, nil},
		"nothing, as the client knows X.509 alone": {types(x509), []attls.CertificateType{x509}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMeeting()
			m.answer[attls.RoleServer] = func(w *handshake.Wait, a handshake.Answer) handshake.Answer {
				if w.Kind == handshake.WaitCredential && w.Credential.Type == key {
					a.Credential = raw(a.Credential)
				}
				return a
			}
			for i := range 2 {
				w := &watch{}
				m.now = m.now.Add(time.Minute)
				_, resumed := m.mustMeet(t, func(c, s *handshake.Config) {
					test.client(c, s)
					s.ServerCertificateTypes, s.Tap = test.server, w
				})
				if resumed != (i == 1) {
					t.Fatalf("connection %d is resumed: %v", i+1, resumed)
				}
				if got := told(t, w); !slices.Equal(got, test.want) {
					t.Errorf("connection %d: the server tells %v, want %v", i+1, got, test.want)
				}
			}
		})
	}
	t.Run("a type that was not offered", func(t *testing.T) {
		m := newMeeting()
		change := types(key, x509)
		m.mustMeet(t, change)
		hit := false
		p, err := m.meet(t, func(c, s *handshake.Config) {
			change(c, s)
			s.Tap = &planTap{at: at{attls.RoleServer, attls.KindEncryptedExtensions, 0}, hit: &hit, plan: editExtensions(t, inPlace(attls.ExtServerCertificateType, 7))}
		})
		if !hit {
			t.Fatal("no EncryptedExtensions was sent")
		}
		checkOutcome(t, p, attls.RoleClient, err, illegal(attls.KindEncryptedExtensions, "server_certificate_type"))
	})
}
