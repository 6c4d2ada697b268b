// Package binder is the small total language in which a profile writes down
// what Evidence is bound to:
//
//	definition = name "=" expr
//	expr       = name | name(role|client|server) | "text" | 0xhex | integer | function(expr, …) | range
//	range      = CH..X | CH..<X          X as in the reference of the language; see Words
//
// There are no loops, no conditions and no state: Compile refuses cycles, and
// every value has a bounded length, so each evaluation ends. The one parameter
// of a definition is role, the attester that is being bound.
package binder

import (
	"strings"

	"attls"
)

// Secret names a secret of the key schedule (RFC 8446 section 7.1).
type Secret uint8

// The secrets that an expression may name, in the order in which they come to exist.
const (
	EarlySecret Secret = iota
	ECDHE
	HandshakeSecret
	MainSecret
	ExporterSecret
)

// Variant is how a transcript range treats HelloRetryRequest. It concerns the
// binder only, never TLS itself.
type Variant uint8

// The readings of the texts; a profile chooses one by its switch hrr.
const (
	VariantRFC8446 Variant = iota // ClientHello1 replaced by message_hash
	VariantCH1SH                  // ClientHello1 then from ServerHello on
	VariantAsSent                 // every message as sent
	VariantCH2SH                  // ClientHello2 then from ServerHello on
)

// Point is a place in the handshake, in the order of the messages.
type Point uint8

// The points, in the order of the handshake; a later one compares as greater. Between
// two messages of TLS there is one for the messages that a profile adds there.
const (
	PointNone Point = iota
	PointCH
	PointSH
	PointAfterSH
	PointEE
	PointAfterEE
	PointCR
	PointAfterCR
	PointServerCT
	PointServerAfterCT
	PointServerCV
	PointServerAT // added behind CertificateVerify of the server
	PointServerFin
	PointClientBeforeCT
	PointClientCT
	PointClientAfterCT
	PointClientCV
	PointClientAT
	PointClientFin
	// Post-handshake authentication of the client.
	PointPostHandshakeCR
	PointPostHandshakeAfterCR
	PointPostHandshakeCT
	PointPostHandshakeAfterCT
	PointPostHandshakeCV
	PointPostHandshakeAT
	PointKeyExchange // the second message of a later key exchange
	PointUpdated     // what shows a payload in it, or behind it
)

const addedByServer, addedByClient, addedLater = "AT(server)", "AT(client)", "AT(pha)"

var pointNames = [...]string{
	PointNone: "start", PointCH: "CH", PointSH: "SH", PointAfterSH: addedByServer, PointEE: "EE",
	PointAfterEE: addedByServer, PointCR: "CR", PointAfterCR: addedByServer,
	PointServerCT: "CT(server)", PointServerAfterCT: addedByServer, PointServerCV: "CV(server)",
	PointServerAT: addedByServer, PointServerFin: "Fin(server)",
	PointClientBeforeCT: addedByClient, PointClientCT: "CT(client)", PointClientAfterCT: addedByClient,
	PointClientCV: "CV(client)", PointClientAT: addedByClient, PointClientFin: "Fin(client)",
	PointPostHandshakeCR: "CR(pha)", PointPostHandshakeAfterCR: addedLater, PointPostHandshakeCT: "CT(pha)",
	PointPostHandshakeAfterCT: addedLater, PointPostHandshakeCV: "CV(pha)", PointPostHandshakeAT: addedLater,
	PointKeyExchange: "key exchange", PointUpdated: "the attestation of a key exchange",
}

// Added reports whether the point is of messages that a profile adds.
func (p Point) Added() bool { return strings.HasPrefix(p.String(), "AT(") }

// String is the spelling of the binder language.
func (p Point) String() string {
	if int(p) < len(pointNames) {
		return pointNames[p]
	}
	return "?"
}

// Range is CH..X, up to and including the last message that is not after End;
// with Exclusive, End itself is left out.
type Range struct {
	End       Point
	Exclusive bool
	Variant   Variant
}

func (r Range) String() string {
	if r.Exclusive {
		return "CH..<" + r.End.String()
	}
	return "CH.." + r.End.String()
}

// Later names a value of a key exchange after the handshake. The messages
// include their handshake header, the bodies do not.
type Later uint8

// The values: the secret that comes next, the hash over both messages, and the messages.
const (
	NextMainSecret Later = iota
	NextTranscriptHash
	RekeyRequest
	RekeyRequestBody
	RekeyResponse
	RekeyResponseBody
)

// Explainer may be implemented by Inputs. Absent says why a terminal has no value,
// and who had to supply it; "" where there is nothing to say.
type Explainer interface {
	Absent(terminal string, r attls.Role) string
}

// Inputs is what an evaluation may ask of a handshake. Every method reports
// false when the value does not exist (yet).
type Inputs interface {
	// Hash names the suite's hash: "SHA-256" or "SHA-384".
	Hash() string
	// Secret returns a secret of Hash.length octets (ECDHE: of the group's length).
	Secret(Secret) ([]byte, bool)
	// Transcript returns Transcript-Hash over the range with the suite's hash.
	Transcript(Range) ([]byte, bool)
	// SPKI returns the DER SubjectPublicKeyInfo of the role's end-entity key.
	SPKI(attls.Role) ([]byte, bool)
	// Certificate returns the DER end-entity certificate of the role.
	Certificate(attls.Role) ([]byte, bool)
	// Nonce returns the nonce of the slot whose attester is the role.
	Nonce(attls.Role) ([]byte, bool)
	// RequestContext returns the certificate_request_context that the role answers.
	RequestContext(attls.Role) ([]byte, bool)
	// AttesterSize is the length, in octets, that the attester's challenge field needs; 0: any.
	AttesterSize(attls.Role) (int, bool)
	// Later returns a value of a key exchange after the handshake.
	Later(Later) ([]byte, bool)
}
