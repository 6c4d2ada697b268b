package capture

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/binary"
	"testing"

	"attls"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/message"
	"attls/negotiation"

	"github.com/fxamacker/cbor/v2"
)

// format is the private content format that the prototype negotiates.
var format = profile.Scheme{Model: profile.ModelEvidence, Credential: profile.KindAlone, Format: profile.Format{ContentFormat: 1}}

// loadProfile loads the prototype's profile.
func loadProfile(t *testing.T) *profile.Profile {
	t.Helper()
	p, err := profile.Load("mbedtls-poc", profile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestRecordedExtensions decodes the prototype's extensions and writes them again.
func TestRecordedExtensions(t *testing.T) {
	p := loadProfile(t)
	for _, name := range recordings {
		_, _, items := recording(t, name)
		found := 0
		for _, i := range items {
			var list []profile.RawExtension
			switch m := codecOf(i.Message.Kind).(type) {
			case *message.ClientHello:
				m.Unmarshal(i.Message.Body())
				for _, x := range m.Extensions {
					list = append(list, profile.RawExtension{Type: x.Type, Body: x.Body})
				}
			case *message.EncryptedExtensions:
				m.Unmarshal(i.Message.Body())
				for _, x := range m.Extensions {
					list = append(list, profile.RawExtension{Type: x.Type, Body: x.Body})
				}
			}
			for _, x := range list {
				if _, ok := p.Extension(x.Type); !ok {
					continue
				}
				found++
				f := p.NewFields()
				if err := p.Decode(i.Message.Kind, i.Sender, x.Type, x.Body, f); err != nil {
					t.Fatalf("%s: %v: %v", name, i.Message.Kind, err)
				}
				again, err := p.Encode(i.Message.Kind, i.Sender, f)
				if err != nil || len(again) != 1 || again[0].Type != x.Type || !bytes.Equal(again[0].Body, x.Body) {
					t.Errorf("%s: %v: %x became %x, %v", name, i.Message.Kind, x.Body, again, err)
				}
			}
		}
		if found != 2 {
			t.Errorf("%s: %d extensions of the profile", name, found)
		}
	}
}

// substitute puts the messages of a recording in the place of our own, all but
// Finished, and its secrets in the place of ours.
type substitute struct {
	handshake.NopTap
	own     attls.Role
	items   []Item
	secrets Secrets
}

func (s substitute) Message(d handshake.Direction, m *message.Raw, p *handshake.Plan) {
	if d == handshake.Received || m.Kind == attls.KindFinished {
		return
	}
	for _, i := range s.items {
		if i.Sender == s.own && i.Message.Kind == m.Kind && i.Type == attls.ContentTypeHandshake {
			p.Replace, p.Reparse = i.Message.Bytes, true
		}
	}
}

func (s substitute) Derived(name handshake.SecretName, secret []byte) []byte {
	if recorded, ok := s.secrets[string(name)]; ok {
		return recorded
	}
	return secret
}

func (s substitute) Fork() handshake.Tap { return s }

// TestRecordedFlows lets our client and our server take the place of each end
// of each recording. With the recorded secrets, the peer's recorded records open
// under our keys, its CertificateVerify and Finished verify over our transcript,
// its Evidence (or ours) goes the way of the profile, our own Finished has the
// recorded octets, and every octet that we send is the recorded one.
func TestRecordedFlows(t *testing.T) {
	p := loadProfile(t)
	for _, name := range recordings {
		for _, own := range []attls.Role{attls.RoleClient, attls.RoleServer} {
			t.Run(name+"/"+own.String(), func(t *testing.T) { replay(t, p, name, own) })
		}
	}
}

func replay(t *testing.T, p *profile.Profile, name string, own attls.Role) {
	c, keys, items := recording(t, name)
	var secrets Secrets
	for _, s := range keys {
		secrets = s
	}
	cfg := &handshake.Config{Profile: p, NoMiddleboxCompatibility: true, ServerName: "localhost",
		Tap: substitute{own: own, items: items, secrets: secrets}}
	open := handshake.NewServer
	cfg.Policy.Accept = []negotiation.Scheme{format}
	if own == attls.RoleClient {
		open, cfg.Policy = handshake.NewClient, negotiation.Policy{Produce: []negotiation.Scheme{format}}
	}
	e, err := open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := run{t: t, e: e, items: items}
	r.settle()
	for _, piece := range c.Pieces {
		if piece.Sender == own || e.Done() {
			continue
		}
		copy(e.Reserve(len(piece.Data)), piece.Data)
		if err := e.Commit(len(piece.Data)); err != nil {
			t.Fatal(err)
		}
		r.settle()
	}
	if !e.Done() {
		t.Fatalf("in state %s at the end of the recording", e.StateName())
	}
	if want := (own == attls.RoleServer); r.appraised != want {
		t.Errorf("appraised: %v, want %v", r.appraised, want)
	}
	var recorded []byte
	for _, piece := range c.Pieces {
		if piece.Sender == own {
			recorded = append(recorded, piece.Data...)
		}
	}
	// An initial ClientHello may bear the record version 0x0301, as ours does
	// (RFC 8446 section 5.1).
	copy(r.sent[1:3], recorded[1:3])
	if !bytes.HasPrefix(recorded, r.sent) || len(r.sent) < 400 {
		t.Errorf("sent\n%x\nrecorded\n%x", r.sent, recorded)
	}
}

// run answers the waits of one engine out of a recording.
type run struct {
	t         *testing.T
	e         *handshake.Engine
	items     []Item
	sent      []byte
	appraised bool
}

func (r *run) settle() {
	for {
		r.sent = append(r.sent, r.e.Output()...)
		r.e.Wrote(len(r.e.Output()))
		ev, ok := r.e.Next()
		if !ok {
			return
		}
		if ev.Kind != handshake.EventWait {
			continue
		}
		if err := r.e.Answer(ev.Wait.ID, r.answer(ev.Wait)); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *run) answer(w *handshake.Wait) handshake.Answer {
	switch w.Kind {
	case handshake.WaitCredential:
		return handshake.Answer{Credential: &handshake.Credential{Chain: certificates(r.t, r.items, attls.RoleServer),
			Schemes: []attls.SignatureScheme{attls.ECDSA_SECP256R1_SHA256}}}
	case handshake.WaitSignature:
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			r.t.Fatal(err)
		}
		signature, err := ecdsa.SignASN1(rand.Reader, key, make([]byte, 32))
		if err != nil {
			r.t.Fatal(err)
		}
		return handshake.Answer{Signature: signature} // the recorded one takes its place
	case handshake.WaitEvidence:
		payload := certificates(r.t, r.items, attls.RoleClient)[0]
		return handshake.Answer{Evidence: &negotiation.Evidence{CMW: payload, SPKI: attestedKey(r.t, payload)}}
	case handshake.WaitAppraisal:
		a := w.Appraisal
		r.appraised = true
		if want := certificates(r.t, r.items, attls.RoleClient)[0]; !bytes.Equal(a.CMW, want) || !bytes.Contains(a.CMW, a.Challenge) {
			r.t.Errorf("to be appraised against the challenge %x: %x", a.Challenge, a.CMW)
		}
		return handshake.Answer{Verdict: &negotiation.Verdict{Status: "affirming", SPKI: attestedKey(r.t, a.CMW)}}
	}
	return handshake.Answer{}
}

// certificates returns cert_data of the entries that a role sent.
func certificates(t *testing.T, items []Item, sender attls.Role) (data [][]byte) {
	for _, i := range items {
		var m message.Certificate
		if i.Sender != sender || i.Message.Kind != attls.KindCertificate {
			continue
		}
		if err := m.Unmarshal(i.Message.Body()); err != nil {
			t.Fatal(err)
		}
		for _, x := range m.Entries {
			data = append(data, x.Data)
		}
	}
	return data
}

// attestedKey reads the identity key out of recorded Evidence, as a
// SubjectPublicKeyInfo.
func attestedKey(t *testing.T, payload []byte) []byte {
	t.Helper()
	point := []byte{4}
	if payload[0] == 1 { // 01, then the KAT after its length; claim 8 is the point
		i := bytes.Index(payload, []byte{0x08, 0x58, 0x41, 4})
		point = payload[i+3 : i+68]
	} else { // a CMW record; pubArea of the KAT ends in the two TPM2B of the point
		var cmw struct {
			_     struct{} `cbor:",toarray"`
			Type  string
			Value []byte
		}
		if err := cbor.Unmarshal(payload, &cmw); err != nil {
			t.Fatal(err)
		}
		var bundle map[string]map[string]any
		if err := cbor.Unmarshal(cmw.Value, &bundle); err != nil {
			t.Fatal(err)
		}
		area := bundle["kat"]["pubArea"].([]byte)
		for tail := area[len(area)-68:]; len(tail) > 0; {
			n := int(binary.BigEndian.Uint16(tail))
			point = append(point, tail[2:2+n]...)
			tail = tail[2+n:]
		}
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return spki
}
