package rule

import "slices"

// All lists the rules.
func All() []Rule { return slices.Clone(all) }

// Known reports whether a rule is in the list.
func Known(r Rule) bool { return slices.Contains(all, r) }

var all = []Rule{
	OfferProducible, OfferAppraisable, OfferOmitsEmpty, OfferOrder, OfferAtLeast, OfferNeedsCertificate,
	OfferFirst, ChooseOrder, ChooseCommon, ChooseWanted, ChooseAnswered, ChooseNull, NoEvidence, NoResults,
	NothingOffered, Unwilling, DemandByServer, RequestSent, UnknownIgnored, ChoiceOffered, ChoiceOne,
	ChoiceRequest, ChoiceSome, DemandByClient, ExtensionSolicited, ExtensionKnown, ExtensionInPlace,
	GrammarBounds, GrammarComplete, FlagKnown, NonceBound, NonceSpelled, NonceOnce, NonceUnselected, OfferUnchanged,
	TypeAgreed, CredentialSent, CredentialPlaced,
	CredentialThere, CredentialChosen, CredentialFirst, AddedInPlace, KeyUsable, KeyPermitted, EvidenceBound,
	BinderDefined, BinderFormula, BinderCompared, KeyCompared, Appraised, WellFormed, FormatCompared,
	IssuerCompared, VerdictNeeded, VerdictAccepts, KeyAttested, ExporterApart, ResumptionDue, ResumptionScheme,
	ResumptionExternal, TicketBounded, SignatureRaw, NeverSent, NoCCS, OneMessage, Padded, RestrictedAnswer,
	CertificateShown, ContextEmpty, RequestAlgorithms, RequestContext, SchemeOffered, SchemeFits,
	SignatureVerified, FinishedVerified, ExtensionOnce, CertificateRequired, ChainTrusted, PSKLast, HelloComplete,
	SchemesNeeded, SchemesOptional, ShareListed, HelloRepeated, VersionOffered, ALPNOffered, EarlyDataSkipped,
	EarlyDataBounded, BodyEmpty, GREASERefused, NameUnanswered, TypeRepeated, RetryOrder, RetryNeeded,
	FieldOnce, FieldCritical, FieldNumbered, FieldBound,
	AuthenticatorContext, AuthenticatorDirection, AuthenticatorName, AuthenticatorAsked, AuthenticatorOnce,
	AuthenticatorMessages, AuthenticatorEmpty, RefusalTaken, FrameConstant, FrameDefined, FrameMembers,
	FlagProposed, FlagAgreed, UpdateGroup, UpdateDue, UpdateReplaces,
	UpdateAttested, UpdatePayloadDue, UpdateAnswered, UpdateOutcomeSent, UpdateOutcomeDue,
}
