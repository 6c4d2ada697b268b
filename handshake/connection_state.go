package handshake

import (
	"attls"
	"attls/extensions/profile"
	"attls/extensions/profile/binder"
	"attls/negotiation"
)

// AttestationState is the outcome for one attester under one slot.
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
	// ExtendedKeyUpdate: it was negotiated. KeyEpoch is how many updates there were.
	ExtendedKeyUpdate bool
	KeyEpoch          uint64
	// Reattestation is what was attested with the last update that attests, of each end.
	Reattestation []Reattestation
}

// State describes the connection as far as it has come.
func (e *Engine) State() ConnectionState {
	n := &e.nego
	s := ConnectionState{Role: e.role, State: e.StateName(), Group: n.group, HelloRetry: n.retried, ALPN: n.alpn,
		ServerName: n.serverName, PeerChain: e.peer.chain, PeerType: e.peerType(e.peer), OwnType: e.types.agreed[e.role],
		PeerSPKI: e.peer.spki, OwnSPKI: e.own.spki,
		PeerScheme: e.peer.scheme, OwnScheme: e.own.scheme, ClientRequested: n.requested,
		ClientRandom: n.random[:], PeerRecordLimit: n.recordLimit}
	s.Session, s.EarlyData, s.PeerOCSP, s.PeerSCT = e.resumed(), e.early.status, e.peer.ocsp, e.peer.sct
	if e.role == attls.RoleClient {
		s.ServerName = e.cfg.serverName()
	}
	if e.rekey != nil {
		s.ExtendedKeyUpdate, s.KeyEpoch = true, e.rekey.now.number
	}
	if n.suite != nil {
		s.CipherSuite = n.suite.ID
	}
	s.TranscriptHash, _ = e.transcript.over(binder.Range{End: binder.PointSH})
	s.Attested, s.Reattestation = e.attested(e.peer), e.reattestations()
	for _, attester := range []attls.Role{attls.RoleServer, attls.RoleClient} {
		shown := binderInputs{e: e}.proof(attester)
		for _, by := range e.attests(attester, shown) {
			x := shown.of(by.slot)
			nonce := e.att.fields.Nonces[by.slot]
			if x.nonce != nil {
				nonce = x.nonce
			}
			s.Attestation = append(s.Attestation, AttestationState{Attester: attester, Slot: e.profile().Slots[by.slot].Name,
				Scheme: *by.scheme, Nonce: nonce, Challenge: x.challenge, Payload: x.payload, Verdict: x.verdict})
		}
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
