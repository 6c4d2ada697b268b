package handshake

import (
	"fmt"

	"attls"
	"attls/extensions/profile"
	"attls/extensions/profile/binder"
	"attls/negotiation"
)

// binderInputs lets a profile's binder read the handshake.
type binderInputs struct {
	e *Engine
	a *authAnswer // of a post-handshake authentication; nil: the handshake's own
}

// program is the binder of the authentication, or nil.
func (i binderInputs) program() *binder.Program {
	b := &i.e.cfg.Profile.Binder
	if i.a != nil && b.PostHandshake != nil {
		return b.PostHandshake
	}
	return b.Program
}

// proof is what an attester shows in the authentication.
func (i binderInputs) proof(attester attls.Role) *proof {
	if attester == i.e.role {
		return &i.own().proof
	}
	return i.peer().proof
}

func (i binderInputs) own() *ownCredential {
	if i.a != nil && i.e.role == attls.RoleClient {
		return &i.a.own
	}
	return &i.e.own
}

func (i binderInputs) peer() *authenticated {
	if i.a != nil && i.e.role == attls.RoleServer {
		return i.a.peer
	}
	return i.e.peer
}

var _ binder.Inputs = binderInputs{}

func (i binderInputs) Hash() string {
	if i.e.nego.suite == nil {
		return ""
	}
	return i.e.nego.suite.HashName
}

func (i binderInputs) Secret(s binder.Secret) ([]byte, bool) {
	k := &i.e.keys
	var b []byte
	switch s {
	case binder.EarlySecret:
		b = k.early.bytes()
	case binder.ECDHE:
		b = k.ecdhe
	case binder.HandshakeSecret:
		b = k.handshake.bytes()
	case binder.MainSecret:
		b = k.main.bytes()
	case binder.ExporterSecret:
		b = k.exporter.bytes()
	}
	return b, len(b) > 0
}

func (i binderInputs) Transcript(r binder.Range) ([]byte, bool) {
	if i.a != nil {
		return i.a.transcript.over(r)
	}
	return i.e.transcript.over(r)
}

func (i binderInputs) SPKI(r attls.Role) ([]byte, bool) {
	b := i.peer().spki
	if r == i.e.role {
		b = i.own().spki
	}
	return b, len(b) > 0
}

func (i binderInputs) Certificate(r attls.Role) ([]byte, bool) {
	chain := i.peer().chain
	if own := i.own(); r == i.e.role && own.credential != nil {
		chain = own.credential.Chain
	}
	if len(chain) == 0 {
		return nil, false
	}
	return chain[0], true
}

func (i binderInputs) Nonce(attester attls.Role) ([]byte, bool) {
	p, shown := i.e.cfg.Profile, i.proof(attester)
	slot, _ := i.e.attests(attester, shown)
	if slot < 0 || p.Slots[slot].Nonce.Message == attls.KindNone {
		return nil, false
	}
	n := i.e.att.fields.Nonces[slot]
	if shown.later && p.Slots[slot].Nonce.Message == attls.KindCertificateRequest {
		n = shown.nonce
	}
	return n, n != nil
}

var _ binder.Explainer = binderInputs{}

// Absent says why a nonce is missing.
func (i binderInputs) Absent(terminal string, attester attls.Role) string {
	if terminal != "nonce" {
		return ""
	}
	p := i.e.cfg.Profile
	slot, _ := i.e.attests(attester, i.proof(attester))
	switch {
	case slot < 0:
		return fmt.Sprintf("no scheme was chosen for the %s", attester)
	case p.Slots[slot].Nonce.Message == attls.KindNone:
		return fmt.Sprintf("slot %s has no nonce", p.Slots[slot].Name)
	case i.e.role == attester:
		return fmt.Sprintf("slot %s has its nonce in %s, and the %s sent none there", p.Slots[slot].Name, p.Slots[slot].NoncePath, attester.Peer())
	}
	return fmt.Sprintf("slot %s has its nonce in %s, where this end, the %s, had to draw one and did not", p.Slots[slot].Name, p.Slots[slot].NoncePath, attester.Peer())
}

func (i binderInputs) RequestContext(r attls.Role) ([]byte, bool) {
	if i.a != nil {
		return i.a.request.context, r == attls.RoleClient
	}
	return i.e.nego.context, i.e.nego.requested && r == attls.RoleClient
}

func (i binderInputs) AttesterSize(r attls.Role) (int, bool) {
	n := i.e.cfg.AppraiserSize
	if r == i.e.role {
		n = i.e.cfg.AttesterSize
	}
	return n, n > 0
}

// Later has nothing to give: no key exchange after the handshake exists yet.
func (i binderInputs) Later(binder.Later) ([]byte, bool) { return nil, false }

// Inputs lets tools evaluate the profile's binder expressions on a connection.
func (e *Engine) Inputs() binder.Inputs { return binderInputs{e: e} }

// AttestationState is what became of one attester.
type AttestationState struct {
	Attester  attls.Role
	Slot      string
	Scheme    profile.Scheme
	Nonce     []byte
	Challenge []byte
	Payload   []byte
	Verdict   *negotiation.Verdict // at the relying party
}

// ConnectionState is what the two ends agreed on and showed each other.
type ConnectionState struct {
	Role            attls.Role
	State           string
	CipherSuite     attls.CipherSuite
	Group           attls.NamedGroup
	HelloRetry      bool
	ALPN            string
	ServerName      string
	PeerChain       [][]byte
	PeerType        attls.CertificateType // of PeerChain
	PeerSPKI        []byte
	OwnSPKI         []byte
	OwnType         attls.CertificateType // of what has OwnSPKI
	PeerScheme      attls.SignatureScheme
	OwnScheme       attls.SignatureScheme
	ClientRequested bool
	TranscriptHash  []byte // Transcript-Hash(ClientHello...ServerHello); kept under a profile
	ClientRandom    []byte
	Attestation     []AttestationState
	PeerRecordLimit uint16
	// Session is the one that was resumed, or the external key; nil in a full
	// handshake. Its Attestation is nil where it does not count: its validity was
	// over, or the peer has shown another key since.
	Session *Session
	// Attested is what was accepted about the key PeerSPKI, in this connection or
	// in the one whose session it resumes. Nil: nothing, or no verdict is there yet.
	Attested  *AttestedPeer
	EarlyData EarlyDataStatus
	PeerOCSP  []byte
	PeerSCT   []byte
}

// State describes the connection as far as it has come.
func (e *Engine) State() ConnectionState {
	n := &e.nego
	s := ConnectionState{Role: e.role, State: e.StateName(), Group: n.group, HelloRetry: n.retried, ALPN: n.alpn,
		ServerName: n.serverName, PeerChain: e.peer.chain, PeerType: e.peerType(e.peer), OwnType: e.types.agreed[e.role], PeerSPKI: e.peer.spki, OwnSPKI: e.own.spki,
		PeerScheme: e.peer.scheme, OwnScheme: e.own.scheme, ClientRequested: n.requested,
		ClientRandom: n.random[attls.RoleClient][:], PeerRecordLimit: n.recordLimit}
	s.Session, s.EarlyData, s.PeerOCSP, s.PeerSCT = e.resumed(), e.early.status, e.peer.ocsp, e.peer.sct
	if e.role == attls.RoleClient {
		s.ServerName = e.cfg.serverName()
	}
	if n.suite != nil {
		s.CipherSuite = n.suite.ID
	}
	s.TranscriptHash, _ = e.transcript.over(binder.Range{End: binder.PointSH})
	s.Attested = e.attested(e.peer)
	if e.cfg.Profile == nil {
		return s
	}
	for _, attester := range []attls.Role{attls.RoleServer, attls.RoleClient} {
		shown := binderInputs{e: e}.proof(attester)
		slot, scheme := e.attests(attester, shown)
		if scheme == nil {
			continue
		}
		nonce := e.att.fields.Nonces[slot]
		if shown.nonce != nil {
			nonce = shown.nonce
		}
		s.Attestation = append(s.Attestation, AttestationState{Attester: attester, Slot: e.cfg.Profile.Slots[slot].Name,
			Scheme: *scheme, Nonce: nonce, Challenge: shown.challenge, Payload: shown.payload, Verdict: shown.verdict})
	}
	return s
}

// resumed is the session in use, without an attestation that does not count.
func (e *Engine) resumed() *Session {
	s := e.psk.session
	if s == nil || s.Attestation == nil || e.peer.kept == s.Attestation {
		return s
	}
	c := *s
	c.Attestation = nil
	return &c
}
