package attls

import (
	"fmt"
	"strings"
)

// Class says what sort of failure an Error is.
type Class uint8

// The classes of failure; an Error has exactly one.
const (
	// Malformed: the bytes do not follow the grammar.
	Malformed Class = iota
	// Violation: the grammar is followed, a rule is broken.
	Violation
	// NothingInCommon: both ends follow the rules and share too little.
	NothingInCommon
	// Refused: a credential, Evidence or a peer was judged and found wanting.
	Refused
	// Local: our configuration or a local resource; nothing the peer did.
	Local
	// FromPeer: the peer sent a fatal alert or closed the connection.
	FromPeer
)

var classNames = [...]string{"malformed", "violation", "nothing in common", "refused", "local", "from peer"}

func (c Class) String() string { return classNames[c] }

// Failure is a name out of the closed list of ways in which a connection can
// fail. States name failures; DefaultAlert (or a profile, for the failures
// that begin with "attestation.") turns them into alerts.
type Failure string

// The failures. The part before the dot is the subject that failed.
const (
	FailDecode              Failure = "decode.malformed"             // RFC 8446 6.2 decode_error
	FailTrailing            Failure = "decode.trailing_octets"       // octets left over after a complete value
	FailLimit               Failure = "limit.exceeded"               // a configured limit
	FailCapacity            Failure = "limit.capacity"               // a limit of ours on what a peer may send by right
	FailTooLarge            Failure = "limit.own"                    // what we would send does not fit where it goes
	FailRecordOverflow      Failure = "record.overflow"              // RFC 8446 5.1, 5.2, RFC 8449
	FailBadRecordMAC        Failure = "record.bad_mac"               // RFC 8446 5.2
	FailUnexpectedRecord    Failure = "record.unexpected"            // RFC 8446 5, 5.1
	FailSequenceExhausted   Failure = "record.sequence_exhausted"    // RFC 8446 5.3
	FailUnexpectedMessage   Failure = "message.unexpected"           // RFC 8446 4
	FailMessageBoundary     Failure = "message.boundary"             // RFC 8446 5.1: key change inside a record
	FailDuplicateExtension  Failure = "extension.duplicate"          // RFC 8446 4.2
	FailUnsolicited         Failure = "extension.unsolicited"        // RFC 8446 4.2
	FailWrongMessage        Failure = "extension.wrong_message"      // RFC 8446 4.2
	FailMissingExtension    Failure = "extension.missing"            // RFC 8446 9.2
	FailIllegalParameter    Failure = "parameter.illegal"            // RFC 8446 6.2 illegal_parameter
	FailVersion             Failure = "negotiation.version"          // RFC 8446 4.2.1
	FailDowngrade           Failure = "negotiation.downgrade"        // RFC 8446 4.1.3
	FailSuite               Failure = "negotiation.cipher_suite"     // RFC 8446 4.1.1
	FailGroup               Failure = "negotiation.group"            // RFC 8446 4.1.1
	FailSignatureScheme     Failure = "negotiation.signature_scheme" // RFC 8446 4.4.2.2
	FailALPN                Failure = "negotiation.alpn"             // RFC 7301 3.2
	FailServerName          Failure = "negotiation.server_name"      // RFC 6066 3
	FailCertificateType     Failure = "negotiation.certificate_type" // RFC 7250 4.2
	FailRetryMismatch       Failure = "retry.mismatch"               // RFC 8446 4.1.2
	FailRetryUnchanged      Failure = "retry.unchanged"              // RFC 8446 4.1.4
	FailSignature           Failure = "authentication.signature"     // RFC 8446 4.4.3
	FailFinished            Failure = "authentication.finished"      // RFC 8446 4.4.4
	FailBadCertificate      Failure = "certificate.bad"
	FailCertificateExpired  Failure = "certificate.expired"
	FailCertificateRevoked  Failure = "certificate.revoked"
	FailCertificateUnknown  Failure = "certificate.unknown"
	FailUnsupportedCert     Failure = "certificate.unsupported"
	FailUnknownCA           Failure = "certificate.unknown_ca"
	FailKeyUsage            Failure = "certificate.key_usage" // RFC 8446 4.4.2.2
	FailCertificateStatus   Failure = "certificate.status"    // RFC 6066 8: the OCSP response is not acceptable
	FailCertificateName     Failure = "certificate.name"      // RFC 9525: not the name that was asked for
	FailCertificateRequired Failure = "certificate.required"  // RFC 8446 4.4.2.4
	FailBinder              Failure = "psk.binder"            // RFC 8446 4.2.11.2
	FailEarlyDataLimit      Failure = "early_data.limit"      // RFC 8446 4.2.10
	FailRequestContext      Failure = "authenticator.context" // RFC 9261 4, 5.2: used before, or of no request
	FailEmptyAuthenticator  Failure = "authenticator.empty"   // RFC 9261 6: an authenticated refusal
	FailInternal            Failure = "internal"
	FailConfiguration       Failure = "configuration"
	FailTimeout             Failure = "timeout"
	FailCanceled            Failure = "canceled"
	FailPeerAlert           Failure = "peer.alert"
	FailPeerRefused         Failure = "peer.refused"   // said in a frame of the application
	FailTruncated           Failure = "peer.truncated" // closed without close_notify

	// Causes of a profile (the alert is the profile's to name).
	FailNoSchemeEvidence     Failure = "attestation.no_scheme.evidence"
	FailNoSchemeResults      Failure = "attestation.no_scheme.results"
	FailNothingOffered       Failure = "attestation.nothing_offered"
	FailUnwilling            Failure = "attestation.unwilling"
	FailDemandedByClient     Failure = "attestation.demanded_by_client"
	FailDemandedByServer     Failure = "attestation.demanded_by_server"
	FailChoiceNotOffered     Failure = "attestation.choice_not_offered"
	FailTwoChoices           Failure = "attestation.two_choices"
	FailChoiceNone           Failure = "attestation.choice_none"
	FailChoiceWithoutRequest Failure = "attestation.choice_without_request"
	FailNotChosen            Failure = "attestation.not_chosen"
	FailOfferChanged         Failure = "attestation.offer_changed"
	FailMisplaced            Failure = "attestation.misplaced"
	FailMissing              Failure = "attestation.missing"
	FailNonceSize            Failure = "attestation.nonce_size"
	FailMalformedCMW         Failure = "attestation.malformed_cmw"
	FailBinderMismatch       Failure = "attestation.binder_mismatch"
	FailTIKMismatch          Failure = "attestation.tik_mismatch"
	FailAppraisal            Failure = "attestation.appraisal_failed"
	FailFormatMismatch       Failure = "attestation.format_mismatch"
	FailVerifierMismatch     Failure = "attestation.verifier_mismatch"
	FailVerifierUnreachable  Failure = "attestation.verifier_unreachable"
	FailAttesterUnavailable  Failure = "attestation.attester_unavailable" // our own Attester failed
	FailBinderUndefined      Failure = "attestation.binder_undefined"
	FailCertTypeMismatch     Failure = "attestation.certificate_type_mismatch"
	FailAttestationKey       Failure = "attestation.key_unusable" // the key of the Verdict does not fit
	FailAttestationExtension Failure = "attestation.malformed_extension"
	FailResumptionRefused    Failure = "attestation.resumption_refused"
)

// AttestationFailures lists the failures whose alert a profile may name.
var AttestationFailures = []Failure{
	FailNoSchemeEvidence, FailNoSchemeResults, FailNothingOffered, FailUnwilling,
	FailDemandedByClient, FailDemandedByServer, FailChoiceNotOffered, FailTwoChoices,
	FailChoiceNone, FailChoiceWithoutRequest, FailNotChosen, FailOfferChanged, FailMisplaced,
	FailMissing, FailNonceSize, FailMalformedCMW, FailBinderMismatch, FailTIKMismatch,
	FailAppraisal, FailFormatMismatch, FailVerifierMismatch, FailVerifierUnreachable,
	FailAttesterUnavailable, FailBinderUndefined, FailCertTypeMismatch, FailAttestationKey,
	FailAttestationExtension, FailResumptionRefused,
}

// DefaultAlert is the one mapping from failures to alerts. A profile may
// override it for the failures in AttestationFailures.
func DefaultAlert(f Failure) AlertDescription {
	switch f {
	case FailDecode, FailTrailing, FailAttestationExtension, FailNonceSize:
		return AlertDecodeError
	case FailRecordOverflow:
		return AlertRecordOverflow
	case FailBadRecordMAC:
		return AlertBadRecordMAC
	case FailUnexpectedRecord, FailUnexpectedMessage, FailMessageBoundary, FailChoiceWithoutRequest,
		FailEarlyDataLimit:
		return AlertUnexpectedMessage
	case FailDuplicateExtension, FailWrongMessage, FailIllegalParameter, FailDowngrade, FailRetryMismatch,
		FailRetryUnchanged, FailRequestContext, FailLimit, FailTwoChoices, FailChoiceNotOffered, FailNotChosen,
		FailOfferChanged,
		FailMisplaced, FailBinderUndefined:
		return AlertIllegalParameter
	case FailUnsolicited:
		return AlertUnsupportedExtension
	case FailMissingExtension, FailMissing:
		return AlertMissingExtension
	case FailVersion:
		return AlertProtocolVersion
	case FailSuite, FailGroup, FailSignatureScheme, FailDemandedByClient, FailDemandedByServer, FailChoiceNone,
		FailUnwilling, FailNothingOffered, FailNoSchemeEvidence, FailNoSchemeResults:
		return AlertHandshakeFailure
	case FailALPN:
		return AlertNoApplicationProtocol
	case FailServerName:
		return AlertUnrecognizedName
	case FailCertificateType, FailUnsupportedCert, FailKeyUsage, FailCertTypeMismatch:
		return AlertUnsupportedCertificate
	case FailSignature, FailFinished, FailBinder:
		return AlertDecryptError
	case FailBadCertificate, FailCertificateName, FailMalformedCMW, FailBinderMismatch, FailTIKMismatch, FailAppraisal,
		FailFormatMismatch, FailVerifierMismatch, FailAttestationKey:
		return AlertBadCertificate
	case FailCertificateExpired:
		return AlertCertificateExpired
	case FailCertificateRevoked:
		return AlertCertificateRevoked
	case FailCertificateUnknown:
		return AlertCertificateUnknown
	case FailCertificateStatus:
		return AlertBadCertificateStatusResponse
	case FailUnknownCA:
		return AlertUnknownCA
	case FailCertificateRequired, FailEmptyAuthenticator:
		return AlertCertificateRequired
	case FailCanceled, FailTimeout: // RFC 8446 6.1: for a reason unrelated to a protocol failure
		return AlertUserCanceled
	}
	return AlertInternalError
}

// Attestation reports whether the alert of this failure is a profile's to name.
func (f Failure) Attestation() bool { return strings.HasPrefix(string(f), "attestation.") }

// Error is the one error type of the protocol rooms: what failed, where in
// which message, and why.
type Error struct {
	Class   Class
	Failure Failure
	Message MessageKind // KindNone when no message is concerned
	Offset  int         // octets from the start of the message body (or value); -1 when unknown
	Field   string      // path such as "extensions.key_share.client_shares[1]"
	Rule    string      // "RFC 8446 4.2.8", or a requirement id such as "profile/R14"
	Detail  string      // one sentence, no trailing period
	Alert   AlertDescription
	// AlertName is a profile's name for an alert that it adds; empty: the
	// standard's holds.
	AlertName string
	// HasAlert is set once an alert was sent or received for this error.
	HasAlert bool
	Err      error
}

// prefix begins every Error, once.
const prefix = "attls: "

// Error is the error in one line. What a peer chose of its text is made Printable.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(prefix)
	if e.Message != KindNone {
		b.WriteString(e.Message.String())
		if e.Field != "" {
			b.WriteString("." + e.Field)
		}
		if e.Offset >= 0 {
			fmt.Fprintf(&b, " at octet %d", e.Offset)
		}
		b.WriteString(": ")
	} else if e.Field != "" {
		b.WriteString(e.Field + ": ")
	}
	b.WriteString(e.Detail)
	if e.Err != nil {
		if e.Detail != "" {
			b.WriteString(": ")
		}
		b.WriteString(strings.TrimPrefix(e.Err.Error(), prefix))
	}
	b.WriteString(" [" + string(e.Failure))
	if e.Rule != "" {
		b.WriteString(", " + e.Rule)
	}
	if e.HasAlert {
		name := e.AlertName
		if name == "" {
			name = e.Alert.String()
		}
		b.WriteString(", alert " + strings.TrimPrefix(name, "alert "))
	}
	b.WriteString("]")
	return Printable(b.String())
}

func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an Error without a place; callers on the way up add the
// message and the field.
func Errorf(c Class, f Failure, format string, args ...any) *Error {
	return &Error{Class: c, Failure: f, Offset: -1, Detail: fmt.Sprintf(format, args...)}
}

// In sets the message unless one is set already, and returns e.
func (e *Error) In(k MessageKind) *Error {
	if e.Message == KindNone {
		e.Message = k
	}
	return e
}

// At sets the offset unless one is set already, and returns e.
func (e *Error) At(offset int) *Error {
	if e.Offset < 0 {
		e.Offset = offset
	}
	return e
}

// Under puts a field before the path and returns e.
func (e *Error) Under(field string) *Error {
	switch {
	case e.Field == "":
		e.Field = field
	case strings.HasPrefix(e.Field, "["):
		e.Field = field + e.Field
	default:
		e.Field = field + "." + e.Field
	}
	return e
}

// By sets the rule that was broken unless one is set already, and returns e.
func (e *Error) By(rule string) *Error {
	if e.Rule == "" {
		e.Rule = rule
	}
	return e
}
