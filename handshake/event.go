package handshake

import (
	"crypto"
	"time"

	"attls"
	"attls/negotiation"
)

// EventKind says what an Event tells.
type EventKind uint8

const (
	EventNone EventKind = iota
	// EventWait: the engine asks for something; Event.Wait says what. It is
	// answered with Answer or Fail, at any time and in any order.
	EventWait
	// EventDone: the handshake is complete, application data may be sent.
	EventDone
	// EventData: Event.Data holds application data, valid until the next Reserve.
	EventData
	// EventTicket: a NewSessionTicket arrived; Event.Data is its body and
	// Event.Session what it stands for, nil when it is not to be kept.
	EventTicket
	// EventKeyUpdate: the peer changed its sending key.
	EventKeyUpdate
	// EventVerdict: a verdict that blocked nothing has arrived; Event.Wait is its wait.
	EventVerdict
	// EventEarlyData tells a client what may become and what became of its early
	// data: Event.Early is EarlyDataOpen, then EarlyDataAccepted or EarlyDataRejected.
	EventEarlyData
	// EventAuthenticated tells a server that the client has answered a request of
	// RequestAuthentication; Event.Data is its context. The client may have shown
	// no certificate: State says.
	EventAuthenticated
	// EventPostHandshake is what a Reader makes of a message that the Engine has
	// to handle, every one but KeyUpdate: give it to Engine.HandlePost.
	EventPostHandshake
	// EventClosed: the peer sent close_notify; no data follows.
	EventClosed
	// EventError: the connection failed; Err says why. It is the last event.
	EventError
)

var eventNames = [...]string{"none", "wait", "done", "data", "ticket", "key update", "verdict", "early data", "authenticated", "post-handshake", "closed", "error"}

func (k EventKind) String() string { return eventNames[k] }

// Event is something that happened.
type Event struct {
	Kind EventKind
	Wait *Wait
	Data []byte
	Err  *attls.Error
	// Early is EarlyDataAccepted for data that a server received before the
	// handshake was complete: it may be a replay.
	Early   EarlyDataStatus
	Session *Session

	secret *secret // under which the peer sent the message of an EventPostHandshake
}

// WaitKind names what a wait asks for.
type WaitKind uint8

const (
	WaitNonce WaitKind = iota
	WaitCredential
	WaitSignature
	WaitEvidence
	WaitCertificateVerdict
	WaitAppraisal
	WaitPSK
	WaitEarlyData
	WaitTicket
)

var waitNames = [...]string{"Nonce", "Credential", "Signature", "Evidence", "CertificateVerdict", "Appraisal", "PSK", "EarlyDataDecision", "Ticket"}

func (k WaitKind) String() string { return waitNames[k] }

// Blocks says what stands still until a wait is answered.
type Blocks uint8

const (
	BlocksFlight    Blocks = iota // our next flight; nothing is sent
	BlocksHandshake               // the handling of the peer's messages from Due on
	BlocksData                    // application data in both directions
	BlocksNothing                 // the answer becomes EventVerdict
)

var blocksNames = [...]string{"flight", "handshake", "application data", "nothing"}

func (b Blocks) String() string { return blocksNames[b] }

// WaitID identifies a wait of one engine and of its forks.
type WaitID uint64

// Wait is a request of the engine. Exactly one of the request fields is set,
// the one that belongs to Kind.
type Wait struct {
	ID     WaitID
	Kind   WaitKind
	Blocks Blocks
	// Due is the message before which the answer is needed.
	Due attls.MessageKind

	Nonce       *NonceRequest
	Credential  *CredentialRequest
	Signature   *SignatureRequest
	Evidence    *negotiation.EvidenceRequest
	Certificate *CertificateVerdictRequest
	Appraisal   *negotiation.AppraisalRequest
	PSK         *PSKRequest
	EarlyData   *EarlyDataRequest
	Ticket      *TicketRequest
}

// NonceRequest asks for a nonce that this end, as relying party, sends.
type NonceRequest struct {
	Attester attls.Role
	Min, Max int // octets that the grammar allows
	Default  int // octets to use when the source has no wish
}

// Credential is a certificate chain and what its key can sign with.
type Credential struct {
	// Chain is DER, end entity first; for a raw public key one
	// SubjectPublicKeyInfo, with Type CertificateRawPublicKey. An X.509 chain
	// serves where a raw public key was agreed on: its end entity's key is shown.
	Chain   [][]byte
	Type    attls.CertificateType
	Schemes []attls.SignatureScheme
	// OCSP is a DER OCSPResponse and SCT a SignedCertificateTimestampList (RFC
	// 6962 section 3.3); a peer that asks gets them beside the end entity.
	OCSP, SCT []byte
	// Signer is carried for whoever answers the Signature wait; the engine does
	// not call it.
	Signer crypto.Signer
}

// CredentialRequest asks for our own certificate.
type CredentialRequest struct {
	Role        attls.Role
	Type        attls.CertificateType
	ServerName  string // a server's: as the client sent it
	Schemes     []attls.SignatureScheme
	SchemesCert []attls.SignatureScheme
	Authorities [][]byte // DER distinguished names that the peer listed
	Attests     bool     // a payload goes beside this certificate
}

// SignatureRequest asks for the signature of our CertificateVerify.
type SignatureRequest struct {
	Role       attls.Role
	Scheme     attls.SignatureScheme
	Content    []byte // what is signed (RFC 8446 section 4.4.3), not hashed
	Credential *Credential
}

// CertificateVerdictRequest asks whether a peer's chain is trusted.
type CertificateVerdictRequest struct {
	Peer       attls.Role
	Type       attls.CertificateType
	Chain      [][]byte // DER, end entity first; of a raw public key, the one SubjectPublicKeyInfo
	OCSP, SCT  []byte   // what came beside the end entity; see Credential
	ServerName string   // a client's: the name it asked for
	// Resumed says that the chain was shown, and accepted, in the connection
	// whose session is resumed.
	Resumed bool
	// Optional says that the profile does not ask for path validation beside the
	// attestation (pkix: none). Whoever answers decides; see Answer.Conditional.
	Optional bool
}

// Answer answers a wait; the field that belongs to the wait's kind counts.
type Answer struct {
	// Nonce nil lets the engine take random octets of the default size.
	Nonce []byte
	// Credential nil: there is none. A client then sends an empty Certificate.
	Credential *Credential
	Signature  []byte
	Evidence   *negotiation.Evidence
	Verdict    *negotiation.Verdict
	// Time is the moment of the answer, with which the end of a verdict's validity
	// is compared: the engine has no clock. Answerer sets it. Without it, a verdict
	// that has an end of validity is refused.
	Time time.Time
	// Conditional accepts a chain whose path was not validated, on condition that
	// a verdict which names the end entity's key accepts it before application
	// data; the engine refuses the peer otherwise, whatever the profile lets pass.
	Conditional bool
	// PSKs are the keys that a client offers, in order of preference, or the one
	// that a server uses. Empty: none.
	PSKs []PSK
	// AcceptEarlyData lets a server handle early data.
	AcceptEarlyData bool
	// Ticket stands for the session, as opaque octets; empty: none is issued.
	// It may be used for TicketLifetime, whole seconds of which count.
	Ticket         []byte
	TicketLifetime time.Duration
	// A CertificateVerdict wait needs nothing more: any Answer accepts the chain.
}
