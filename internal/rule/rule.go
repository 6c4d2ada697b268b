// Package rule names the rules that the engine enforces, each at one point of
// the code. Turning one off shows that the cases which check it would notice;
// nothing else may do so, and a profile that comes from a file cannot.
package rule

// Rule is a rule out of the closed list below.
type Rule string

// What a client offers.
const (
	OfferProducible       Rule = "offer-producible"        // nothing is offered that this end cannot attest with
	OfferAppraisable      Rule = "offer-appraisable"       // nothing is asked for that this end cannot have appraised
	OfferOmitsEmpty       Rule = "offer-omits-empty"       // a list without elements is left out
	OfferOrder            Rule = "offer-order"             // lists are in the order of preference
	OfferAtLeast          Rule = "offer-at-least"          // an offer of fewer schemes than the profile wants is not made
	OfferNeedsCertificate Rule = "offer-needs-certificate" // attestation with a certificate is offered with one
	OfferFirst            Rule = "offer-first"             // the scheme that the profile puts first is first
)

// What a server chooses.
const (
	ChooseOrder Rule = "choose-order" // the order of the end whose preference decides
	// what is chosen was offered and is usable; nothing is chosen without a match
	ChooseCommon   Rule = "choose-common"
	ChooseWanted   Rule = "choose-wanted"        // nothing is chosen for a role that is not to attest
	ChooseAnswered Rule = "choose-answered"      // a wanted scheme in common is chosen and answered
	ChooseNull     Rule = "choose-null"          // the fixed answer that means no choice is sent
	NoEvidence     Rule = "no-scheme-evidence"   // no Evidence format in common ends the handshake
	NoResults      Rule = "no-scheme-results"    // no Verifier in common ends the handshake
	NothingOffered Rule = "offer-nothing"        // an offer of empty lists ends the handshake
	Unwilling      Rule = "choose-unwilling"     // an offer to a server that wants no attestation ends the handshake
	DemandByServer Rule = "demand-server"        // a client that must attest and cannot is refused
	RequestSent    Rule = "request-sent"         // a choice for the client goes with CertificateRequest
	UnknownIgnored Rule = "extension-unknown-ok" // what is not known in ClientHello is ignored
)

// What a client checks of the answers.
const (
	ChoiceOffered  Rule = "choice-offered"          // the choice is an element of the offer
	ChoiceOne      Rule = "choice-one-per-attester" // one scheme for one attester
	ChoiceRequest  Rule = "choice-with-request"     // a choice for the client comes with CertificateRequest
	ChoiceSome     Rule = "choice-some"             // something was chosen
	DemandByClient Rule = "demand-client"           // a server that must attest and does not is refused
)

// Extensions and their grammar.
const (
	ExtensionSolicited Rule = "extension-solicited"     // an answer has its offer
	ExtensionKnown     Rule = "extension-known"         // an answer that nothing known offered is refused
	ExtensionInPlace   Rule = "extension-in-place"      // an extension is in the messages that it belongs to
	GrammarBounds      Rule = "grammar-bounds"          // floors and ceilings of the grammar
	GrammarComplete    Rule = "grammar-complete"        // bodies follow the grammar to the last octet
	FlagKnown          Rule = "flag-known"              // a flag has its value, or none
	NonceBound         Rule = "nonce-bound"             // a nonce longer than the profile accepts is refused
	NonceSpelled       Rule = "nonce-spelled"           // a nonce in a field of an RFC has one spelling
	NonceOnce          Rule = "nonce-once"              // one value of a list carries it
	NonceUnselected    Rule = "nonce-unselected"        // an ALPN name that carries it is not selected
	OfferUnchanged     Rule = "retry-offer"             // the second ClientHello repeats the offer
	TypeAgreed         Rule = "certificate-type-agreed" // the certificate type goes with the chosen scheme
)

// Fields of the attester's certificate that a profile adds.
const (
	FieldOnce     Rule = "certificate-field-once"     // a certificate has an extension that carries something once
	FieldCritical Rule = "certificate-field-critical" // its critical flag is what the profile says
	FieldNumbered Rule = "certificate-names-numbered" // names that carry something are read in the order of their numbers
	FieldBound    Rule = "certificate-field-bound"    // a value of the binder in it is what it has to be
)

// The credential, at its sender and at its receiver.
const (
	CredentialSent   Rule = "credential-sent"        // an attester sends the payload of the chosen scheme
	CredentialPlaced Rule = "credential-placed"      // the payload travels where its kind says
	CredentialThere  Rule = "credential-present"     // a chosen payload that is missing is refused
	CredentialChosen Rule = "credential-chosen"      // a payload that nothing chose is refused
	CredentialFirst  Rule = "credential-first-entry" // the payload is in the first CertificateEntry
	AddedInPlace     Rule = "message-in-place"       // the added message is where the profile puts it
	KeyUsable        Rule = "key-usable"             // the verdict's key can verify CertificateVerify
	KeyPermitted     Rule = "key-permitted"          // the attested key is of a type that the profile permits
)

// Binding and appraisal.
const (
	EvidenceBound  Rule = "evidence-bound"    // an attester is given the challenge and the claims
	BinderDefined  Rule = "binder-defined"    // a binder that cannot be computed ends the handshake
	BinderFormula  Rule = "binder-formula"    // the binder is the profile's
	BinderCompared Rule = "verdict-binder"    // another binder than the expected one is refused
	KeyCompared    Rule = "verdict-key"       // another key than the handshake's is refused
	Appraised      Rule = "verdict-appraisal" // a payload that was judged and found wanting is refused
	WellFormed     Rule = "verdict-cmw"       // a payload that is not a CMW is refused
	FormatCompared Rule = "verdict-format"    // another format than the chosen one is refused
	IssuerCompared Rule = "verdict-verifier"  // results of another Verifier than the chosen one are refused
	VerdictNeeded  Rule = "verdict-needed"    // a relying party without a verdict does not go on
	VerdictAccepts Rule = "verdict-accepts"   // a verdict accepts only when it is affirming and its validity is not over
	KeyAttested    Rule = "demand-later-key"  // a client that must attest shows no other key after the handshake
	ExporterApart  Rule = "exporter-named"    // the profile's exporters can be used under their names
)

// Sessions.
const (
	ResumptionDue Rule = "resumption-due" // a session is resumed only while its attestation is valid
	// and, where attestation is demanded, only under a scheme that the policy accepts
	ResumptionScheme   Rule = "resumption-scheme"
	ResumptionExternal Rule = "resumption-external" // no connection begins with an external pre-shared key alone
	TicketBounded      Rule = "resumption-ticket"   // a ticket does not outlive the verdict
)

// How one end must speak to a peer with quirks.
const (
	SignatureRaw     Rule = "quirk-signature-encoding"
	NeverSent        Rule = "quirk-never-send" // messages that the profile never sends
	NoCCS            Rule = "quirk-no-ccs"
	OneMessage       Rule = "quirk-messages-per-record"
	Padded           Rule = "quirk-pad-to"
	RestrictedAnswer Rule = "quirk-encrypted-extensions-only"
)

// TLS 1.3 itself, as far as extensions and certificates are concerned.
const (
	CertificateShown    Rule = "certificate-shown"    // a server's Certificate is not empty
	ContextEmpty        Rule = "certificate-context"  // certificate_request_context is empty in the handshake
	RequestAlgorithms   Rule = "request-algorithms"   // CertificateRequest has signature_algorithms
	RequestContext      Rule = "request-context"      // and an empty context
	SchemeOffered       Rule = "signature-offered"    // CertificateVerify uses a scheme that was offered
	SchemeFits          Rule = "signature-fits"       // and one that goes with the key
	SignatureVerified   Rule = "signature-verified"   // and verifies
	FinishedVerified    Rule = "finished-verified"    // Finished matches the transcript
	ExtensionOnce       Rule = "extension-once"       // no extension appears twice in a message
	CertificateRequired Rule = "certificate-required" // a client that must show a certificate does
	ChainTrusted        Rule = "certificate-trusted"  // a certificate that is not trusted is refused
	PSKLast             Rule = "extension-psk-last"   // pre_shared_key is the last extension
	HelloComplete       Rule = "hello-complete"       // the extensions that ClientHello must have
	SchemesNeeded       Rule = "hello-schemes"        // without a usable key the server needs signature_algorithms
	SchemesOptional     Rule = "hello-schemes-ok"     // and with one it does not
	ShareListed         Rule = "key-share-listed"     // a share is of a group that supported_groups lists
	HelloRepeated       Rule = "hello-repeated"       // the second ClientHello differs where it may
	VersionOffered      Rule = "version-offered"      // the selected version was offered
	ALPNOffered         Rule = "alpn-offered"         // so was the protocol
	EarlyDataSkipped    Rule = "early-data-skipped"   // early data that is rejected is skipped
	EarlyDataBounded    Rule = "early-data-bounded"   // as much of it as was announced
	BodyEmpty           Rule = "extension-empty"      // a body that must be empty is
	GREASERefused       Rule = "grease-refused"       // a reserved value is not an answer, though it was offered
	NameUnanswered      Rule = "name-resumed"         // a resumption does not acknowledge server_name
	TypeRepeated        Rule = "type-resumed"         // and tells the type of the server's certificate
	RetryOrder          Rule = "retry-order"          // the second ClientHello keeps the order of its extensions
	RetryNeeded         Rule = "retry-needed"         // HelloRetryRequest changes something
)

// Exported authenticators (RFC 9261).
const (
	AuthenticatorContext   Rule = "authenticator-context"   // a context is used once on a connection
	AuthenticatorDirection Rule = "authenticator-direction" // a request is the message of its sender's role
	AuthenticatorName      Rule = "authenticator-name"      // only a client asks for a server_name
	AuthenticatorAsked     Rule = "authenticator-asked"     // a client only answers requests
	AuthenticatorOnce      Rule = "authenticator-once"      // a request is answered once
	AuthenticatorMessages  Rule = "authenticator-messages"  // nothing follows Finished
	FrameConstant          Rule = "frame-constant"          // a constant in a frame or around a payload is right
	FrameDefined           Rule = "frame-defined"           // a value of the binder in or around them is right
	FrameMembers           Rule = "frame-members"           // a member is there once, and known where it must be
	RefusalTaken           Rule = "refusal-taken"           // a peer that reports a failure is not attested
	AuthenticatorEmpty     Rule = "authenticator-empty"     // the empty authenticator is a refusal
)

// Extended Key Update (draft-ietf-tls-extended-key-update).
const (
	FlagAgreed     Rule = "flag-agreed"     // without the flag of both ends nobody asks
	FlagProposed   Rule = "flag-proposed"   // a TLS flag is set in an answer where it was proposed
	UpdateGroup    Rule = "update-group"    // key shares of an update are of the handshake's group
	UpdateDue      Rule = "update-due"      // a response or a finish comes when it is due
	UpdateReplaces Rule = "update-replaces" // it takes the place of KeyUpdate
)

// Attestation with Extended Key Update.
const (
	UpdateAttested    Rule = "update-attested"     // who attested before attests with each update
	UpdatePayloadDue  Rule = "update-payload-due"  // a payload comes when it is due
	UpdateAnswered    Rule = "update-answered"     // a relying party tells the outcome of each
	UpdateOutcomeSent Rule = "update-outcome-sent" // one that goes on without it is refused
	UpdateOutcomeDue  Rule = "update-outcome-due"  // an outcome comes when it is due
)
