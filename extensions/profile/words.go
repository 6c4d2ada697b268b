package profile

import (
	"attls"
	"attls/extensions"
)

// word is one value that a key takes, with the constant it stands for.
type word struct {
	name  string
	value int
	text  string
}

type words []word

func (w words) names() []string {
	list := make([]string, len(w))
	for i := range w {
		list[i] = w[i].name
	}
	return list
}

func (w words) find(name string) *word {
	for i := range w {
		if w[i].name == name {
			return &w[i]
		}
	}
	return nil
}

// name is the word for a constant.
func (w words) name(value int) string {
	for i := range w {
		if w[i].value == value {
			return w[i].name
		}
	}
	return ""
}

const (
	yes = 1
	no  = 0
)

var (
	flagWords  = words{{"true", yes, ""}, {"false", no, ""}}
	roleWords  = words{{"client", 0, "the client attests"}, {"server", 1, "the server attests"}}
	modelWords = words{
		{"evidence", int(ModelEvidence), "background-check model (RFC 9334 5.2)"},
		{"results", int(ModelResults), "passport model (RFC 9334 5.1)"},
		{"any", modelAny, "the element does not say; both models may use it"}}
	kindWords = words{
		{"alone", int(KindAlone), "the CMW replaces the certificate"},
		{"x509", int(KindX509), "the CMW accompanies an X.509 certificate"}}
	entriesWords = words{
		{"any", int(extensions.EntriesAny), "in any CertificateEntry"},
		{"first", int(extensions.EntriesFirst), "in the end-entity's entry only; elsewhere it is misplaced"}}
	oneEntryWords = words{
		{"any", int(extensions.EntriesAny), "any number of entries; the first counts"},
		{"1", int(extensions.EntriesFirst), "exactly one CertificateEntry"}}
	unknownArmWords = words{
		{"decode_error", no, "a number that selects no arm is malformed"},
		{"ignore_extension", yes, "the whole extension counts as not received"}}
	trailingWords = words{
		{"refuse", no, "octets after a complete body are malformed"},
		{"ignore", yes, "octets after a complete body are ignored"}}
	negotiatedWords = words{
		{"implied", no, "the choice of a scheme switches the body of that role's Certificate"},
		{"rfc7250", yes, "the extensions of RFC 7250 must agree on the certificate type as well"}}
	keyWords = words{
		{"x509", int(KeyFromX509), "the end-entity certificate"},
		{"appraisal", int(KeyFromAppraisal), "the verdict of the appraisal, so that CertificateVerify waits for it"}}
	pkixWords = words{
		{"none", no,
			"the text asks for no validation of the certification path: an end validates it all the same, unless its " +
				"configuration is content with an affirming verdict on the key"},
		{"required", yes, "the certification path must be valid"}}
	contextWords = words{
		{"echo", no, "as in the CertificateRequest"},
		{"empty", yes, "always empty"}}
	emptyOfferWords = words{
		{"omit", no, "a list without schemes is left out with its extension"},
		{"empty_list", yes, "an empty list is sent"}}
	needWords = words{
		{"certificate", yes, "a client that offers to attest must be able to authenticate with a certificate"}}
	orderWords = words{
		{"client", no, "the client's preference decides"},
		{"server", yes, "the server's preference decides"}}
	perAttesterWords = words{
		{"any", no, "as many schemes as slots"},
		{"1", yes, "one scheme for each attester over all slots"}}
	scopeWords = words{
		{"slot", int(ScopeSlot), "any slot without a common scheme counts"},
		{"model", int(ScopeModel), "all offered slots of one model must be without a common scheme"},
		{"all", int(ScopeAll), "no slot at all has a common scheme"}}
	thenWords = words{
		{"abort", int(ThenAbort), "the server ends the handshake"},
		{"omit", int(ThenOmit), "the server leaves the answer out"},
		{"null_choice", int(ThenNullChoice), "the server answers a fixed value"}}
	unwillingWords = words{
		{"omit", no, "a server that wants attestation of no role leaves its answers out"},
		{"abort", yes, "it ends the handshake"}}
	answerWords = words{
		{"continue", no, "a client goes on when nothing was chosen"},
		{"abort", yes, "it ends the handshake"}}
	requestWords = words{{"certificate_request", yes, "a choice for the client needs a CertificateRequest"}}
	matchWords   = words{
		{"equal", int(MatchEqual), "the type inside the CMW equals the chosen one"},
		{"with_parameters", int(MatchWithParameters), "parameters of a media type may be added"},
		{"ignore", int(MatchIgnore), "any type passes"}}
	verdictWords = words{
		{"certificate_verify", int(BeforeCertificateVerify), "CertificateVerify is not checked without a verdict"},
		{"finished", int(BeforeFinished), "a client does not send, a server does not accept Finished"},
		{"application_data", int(BeforeApplicationData), "no application data passes"},
		{"later", int(BeforeNothing), "the verdict is an event of the application"}}
	transcriptWords = words{
		{"rfc8446", 0, "ClientHello1 is replaced by message_hash (RFC 8446 4.4.1)"},
		{"ch1_sh", 1, "ClientHello1, then from ServerHello on"},
		{"as_sent", 2, "every message as it was sent"},
		{"ch2_sh", 3, "ClientHello2, then from ServerHello on"}}
	whereWords = words{
		{"claim", no, "a claim of its own in the Evidence"},
		{"challenge", yes, "implied by the challenge"}}
	fitWords = words{
		{"pad_right", int(FitPadRight), "the value, then zero octets; too long: cut at the end"},
		{"pad_left", int(FitPadLeft), "zero octets, then the value"},
		{"sha512", int(FitSHA512), "SHA-512 of the value"},
		{"exact", int(FitExact), "no other size is possible"}}
	acceptWords = words{
		{"policy", 0,
			"local policy decides: a session is resumed unless its owner wants the peer to attest again or the verdict has " +
				"expired"},
		{"unless_due", 1, "unless the policy requires new attestation"},
		{"within_validity", 2, "while the earlier appraisal is valid"},
		{"never", 3, "no session is resumed"}}
	refusedWords = words{
		{"full_handshake", 0, "a full handshake follows"},
		{"abort", 1, "the handshake ends"}}
	ticketWords = words{
		{"allow", 0, "without a rule of the profile"},
		{"within_validity", 1, "for no longer than the appraisal is valid"},
		{"never", 2, "not at all"}}
	receivedWords = words{
		{"keep", 0, "a client keeps the tickets it receives"},
		{"discard", 1, "a client throws them away"}}
	externalWords = words{
		{"allow", yes, "an external PSK may replace certificates"},
		{"forbid", no, "it may not"}}
	codecWords = words{
		{"raw", int(CodecRaw), "the octets as they are"},
		{"hex", int(CodecHex), "hexadecimal digits, in lower case"},
		{"base64", int(CodecBase64), "base64 with padding (RFC 4648 4)"},
		{"base64url", int(CodecBase64URL), "base64url without padding (RFC 4648 5)"}}
	selectedWords = words{
		{"never", no, "a server passes over it, and a client refuses its selection"},
		{"if_no_other", yes, "a server that selects no other protocol selects it"}}
	choiceWords = words{
		{"in_request", no, "the later CertificateRequest carries the choice again"},
		{"carried_over", yes, "the choice of the handshake holds"}}
	signatureWords = words{
		{"der", int(SignatureDER), "ECDSA-Sig-Value (RFC 8446 4.2.3)"},
		{"raw", int(SignatureRaw), "r and s, each as long as the order of the curve"}}
	alwaysWords = words{
		{"evidence/x509", int(ModelEvidence), "Evidence in the certificate"},
		{"results/x509", int(ModelResults), "Attestation Results in the certificate"}}
	flagSchemeWords = words{ // the value is twice the model and the kind
		{"evidence/alone", 2*int(ModelEvidence) + int(KindAlone), "Evidence in the place of a certificate"},
		{"evidence/x509", 2*int(ModelEvidence) + int(KindX509), "Evidence with an X.509 certificate"},
		{"results/alone", 2*int(ModelResults) + int(KindAlone), "Attestation Results in the place of a certificate"},
		{"results/x509", 2*int(ModelResults) + int(KindX509), "Attestation Results with an X.509 certificate"}}
	criticalWords = words{
		{"either", int(CriticalEither), "whatever it is; sent as false"},
		{"false", int(CriticalNo), "not critical"},
		{"true", int(CriticalYes), "critical"}}
	nameWords = words{
		{"base32", int(NamesBase32), "base32 without padding (RFC 4648 6), in lower case"},
		{"hex", int(NamesHex), "hexadecimal digits, in lower case"}}
	extensionPhaseWords = words{
		{"handshake", int(PhaseHandshake), "the handshake and post-handshake authentication"},
		{"post_handshake", int(PhasePostHandshake), "post-handshake authentication (RFC 8446 4.6.2), with its " +
			"certificate_request and certificate and not those of the handshake; its other messages offer it"},
		{"authenticator", int(PhaseAuthenticator), "exported authenticators and their requests (RFC 9261), and nothing else"}}
	encodingWords = words{
		{"json", no, "a JSON object (RFC 8259)"},
		{"cbor", yes, "a CBOR map of definite length (RFC 8949)"}}
	unknownWords = words{
		{"refuse", no, "they are malformed"},
		{"ignore", yes, "they are ignored"}}
	fieldTypeWords = words{
		{"number", int(FieldNumber), "an unsigned integer below 2^53"},
		{"text", int(FieldText), "a text"},
		{"boolean", int(FieldBoolean), "true or false"},
		{"octets", int(FieldOctets), "a byte string in CBOR; in JSON as base64"},
		{"base64", int(FieldBase64), "octets in base64 with padding (RFC 4648 4), as a text"},
		{"base64url", int(FieldBase64URL), "octets in base64url without padding (RFC 4648 5), as a text"},
		{"hex", int(FieldHex), "octets in hexadecimal digits, as a text"},
		{"object", int(FieldObject), "an object of the profile"}}
	memberWords = words{
		{"compare", no, "it refuses another value than the expected one"},
		{"any", yes, "it takes any, also none"}}
	appraisedWords = words{
		{"arrival", no, "when the payload arrives, before anything else is sent"},
		{"report", yes, "before the last frame of this end that tells the peer of a verdict or a failure, or at the end " +
			"of the exchange"}}
	whenWords = words{
		{"always", frameAlways, "in every exchange"},
		{"client", int(attls.RoleClient), "where the client attests"},
		{"server", int(attls.RoleServer), "where the server attests"}}
	phaseWords = words{
		{"handshake", int(PhaseHandshake), "in the handshake"},
		{"post_handshake", int(PhasePostHandshake), "in post-handshake authentication (RFC 8446 4.6.2), and not in the " +
			"handshake; " +
			"only a server asks there, so that the attester is the client"},
		{"authenticator", int(PhaseAuthenticator), "in an exported authenticator, after the handshake (RFC 9261)"},
		{"key_update", int(PhaseKeyUpdate), "with each Extended Key Update, under the scheme of the handshake"},
		{"application_frame", int(PhaseFrame), "in a frame of the application, after the handshake"}}
	framingWords = words{
		{"application", int(FramingApplication), "the application carries requests and authenticators as it likes"},
		{"messages", int(FramingMessages), "they are sent as application data one after the other: each message of them " +
			"has its length; application data is sent as it is, and comes after them"}}
	dataWords = words{
		{"forbid", no, "no application data before the verdict: a relying party sends none and refuses what arrives, " +
			"and an attester sends none before its authenticator"},
		{"allow", yes, "application data may come before"}}
	contextValueWords = words{
		{"random", no, "random octets"},
		{"nonce", yes, "a nonce of the Verifier, where it gives one; otherwise random octets"}}
	failedWords = words{
		{"alert", no, "the relying party ends the connection with the alert of the failure"},
		{"report", yes, "the application is told, and decides"}}
	initiatorWords = words{
		{"behind", int(UpdateBehind), "once the exchange is complete, under its keys"},
		{"before_finish", int(UpdateBefore), "in front of its key_update_finish, under the keys that are replaced; the " +
			"peer looks at it once the exchange is complete"}}
	responderWords = words{
		{"behind", int(UpdateBehind), "once the exchange is complete, under its keys"},
		{"before_response", int(UpdateBefore), "in front of its key_update_response, likewise"},
		{"never", int(UpdateNever), "not at all: who is to attest begins the update"}}
	updateFailedWords = words{
		{"alert", no, "the relying party ends the connection with the alert of the failure, behind the outcome where it " +
			"sends one"},
		{"report", yes, "the application is told, and decides"}}
	statusWords = words{
		{"active", 0, ""}, {"superseded", 1, ""}, {"expired", 2, ""}, {"withdrawn", 3, ""}, {"known_attack", 4, ""},
		{"prototype", 5, ""}, {"preview", 6, ""}, {"unverified", 7, ""}, {"experiment", 8, ""}, {"deployed", 9, ""}}
	flawWords = words{
		{"payload_bound", 0, "the ceiling of the payload is above what its container holds"},
		{"element_bound", 0, "the ceiling of another field is above what its container holds"},
		{"answer_not_offered", 0, "an extension answers what was offered under another number"},
		{"context_bound", 0, "a key of any length is the context of an HkdfLabel, which takes 255 octets"},
		{"number_taken", 0, "the number of an extension belongs to another in the IANA registry"},
		{"host_name", 0, "a server_name that holds a nonce is not the name of a host"}}
)

// modelAny is a model that the element of a list does not say.
const modelAny = 2
