package handshake

import (
	"context"
	"encoding/asn1"
	"errors"
	"time"

	"attls"
	"attls/extensions"
	"attls/negotiation"
)

// WaitKind names what a wait asks for.
type WaitKind uint8

// The kinds of wait. The field of Wait with the name of its kind holds what is asked, and Answer
// the field or fields that answer it.
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
	WaitIssuance
)

var waitNames = [...]string{"Nonce", "Credential", "Signature", "Evidence", "CertificateVerdict", "Appraisal", "PSK",
	"EarlyDataDecision", "Ticket", "Issuance"}

func (k WaitKind) String() string { return waitNames[k] }

// Blocks says what does not continue until a wait is answered.
type Blocks uint8

// What an open wait holds up.
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
	Issuance    *IssuanceRequest

	brought attls.MessageKind // of an appraisal: what carried the payload
}

// NonceRequest asks for a nonce that this end, as relying party, sends.
type NonceRequest struct {
	Attester attls.Role
	Slot     string // of the profile, whose attester the nonce is for
	Min, Max int    // octets that the grammar allows
	Default  int    // octets to use when the source does not say how many it wants
}

// CredentialRequest asks for our own certificate.
type CredentialRequest struct {
	Role        attls.Role
	Type        attls.CertificateType
	ServerName  string // a server's: as the client sent it
	Schemes     []attls.SignatureScheme
	SchemesCert []attls.SignatureScheme
	Authorities [][]byte // DER distinguished names that the peer listed
	Attests     bool     // a payload accompanies this certificate
	// Issued says that the payload travels in the end-entity certificate, which is made
	// later: the Issuance wait asks for it. The answer is a certificate without it.
	Issued bool
	// Nonce is the peer's, for our attestation; nil: there is none.
	Nonce []byte
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
	OCSP, SCT  []byte   // what came with the end entity; see Credential
	ServerName string   // a client's: the name it asked for
	// Resumed says that the chain was shown, and accepted, in the connection
	// whose session is resumed.
	Resumed bool
	// Optional says that the profile does not ask for path validation in addition to the
	// attestation (pkix: none). The answer decides; see Answer.Conditional.
	Optional bool
	// Handled are the extensions of the end entity that the engine reads, so that they
	// may be critical.
	Handled []asn1.ObjectIdentifier
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
	// data; the engine refuses the peer otherwise, whatever the profile accepts.
	Conditional bool
	// PSKs are the keys that a client offers, in order of preference, or the one
	// that a server uses. Empty: none.
	PSKs []PSK
	// AcceptEarlyData lets a server handle early data.
	AcceptEarlyData bool
	// Ticket identifies the session, as opaque octets; empty: none is issued.
	// It may be used for TicketLifetime, whole seconds of which count.
	Ticket         []byte
	TicketLifetime time.Duration
	// Chain is the certificate that was issued, with the rest of its chain, in DER.
	Chain [][]byte
	// A CertificateVerdict wait needs nothing more: any Answer accepts the chain.
}

// EarlyDataRequest asks a server's application whether the early data that a
// client sends may be handled. Whether it is a replay, only the holder of what
// was seen before can say (RFC 8446 section 8).
type EarlyDataRequest struct {
	Session *Session
	// Binder identifies the ClientHello: a replay has the same.
	Binder []byte
}

// PSKRequest asks for pre-shared keys.
type PSKRequest struct {
	// ServerName and ALPN are a client's: what it is going to ask for.
	ServerName string
	ALPN       []string
	// Identities are a server's: what the client offers, in its order.
	Identities []extensions.PSKIdentity
	// EarlyData says that early data would be sent, or was sent, with the first.
	EarlyData bool
}

// TicketRequest asks a server's holder of sessions for a ticket: something that
// it can turn back into the session.
type TicketRequest struct {
	Session *Session
	// NotAfter bounds the life of the ticket where a profile ties it to the
	// validity of the verdict on the client, or Policy.Demand does. Zero: no bound.
	NotAfter time.Time
}

// unanswered makes the failure of a wait whose source gave an error, or no
// answer in time. An *attls.Error of the source's says itself what failed.
func unanswered(ctx context.Context, k WaitKind, cause error) *attls.Error {
	var e *attls.Error
	if errors.As(cause, &e) {
		return e
	}
	failure := attls.FailTimeout
	switch {
	case ctx.Err() == context.Canceled:
		failure = attls.FailCanceled
	case k == WaitNonce || k == WaitAppraisal:
		failure = attls.FailVerifierUnreachable
	case k == WaitEvidence:
		failure = attls.FailAttesterUnavailable
	}
	return because(cause, failure, "no answer to the %v wait", k)
}
