package attestation

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"attls"
	"attls/extensions/profile"
	"attls/negotiation"
)

// Action is what a program is asked to do.
type Action string

// What a program may be asked, by the member action of a Request, and what answers it.
const (
	ActionAttest   Action = "attest"   // make Evidence or relay results; answered by AttestResponse or a bare CMW
	ActionSign     Action = "sign"     // sign with a key that an attest left in the program; SignResponse
	ActionAppraise Action = "appraise" // judge a CMW; AppraiseResponse
	ActionNonce    Action = "nonce"    // supply a nonce; NonceResponse
)

// Request is what a program that attests or appraises reads from its standard
// input: one JSON object. Octet strings are base64 with padding (RFC 4648
// section 4); members without a value are left out.
type Request struct {
	Action   Action      `json:"action"`
	Profile  string      `json:"profile,omitempty"`
	Attester string      `json:"attester,omitempty"` // client, server
	Scheme   *SchemeJSON `json:"scheme,omitempty"`
	// Challenge is what the nonce must be; absent when nothing is bound.
	Challenge []byte `json:"challenge,omitempty"`
	// Fit says how a challenge enters a field of another length: exact,
	// pad_right, pad_left, sha512.
	Fit    string      `json:"fit,omitempty"`
	Claims []ClaimJSON `json:"claims,omitempty"`
	// SPKI is the TIK as DER SubjectPublicKeyInfo. Without it an attester
	// supplies the key and an appraiser returns it.
	SPKI []byte `json:"spki,omitempty"`
	// KeyBound is whether the challenge is computed over that key. Absent: as the
	// embedded profile of that id says, false for others.
	KeyBound *bool `json:"key_bound,omitempty"`

	// Of appraise.
	CMW      []byte            `json:"cmw,omitempty"`
	Match    string            `json:"match,omitempty"` // equal, with_parameters, ignore
	HandOver map[string][]byte `json:"hand_over,omitempty"`

	// Of sign: what is signed, and the hash that made it (SHA-256, SHA-384,
	// SHA-512); without a hash it is the message itself.
	Digest []byte `json:"digest,omitempty"`
	Hash   string `json:"hash,omitempty"`

	// Of nonce: the number of octets requested.
	Size int `json:"size,omitempty"`
}

// SchemeJSON is an attestation scheme.
type SchemeJSON struct {
	Model         string  `json:"model"`                // evidence, results
	Credential    string  `json:"credential,omitempty"` // alone, x509
	ContentFormat *uint16 `json:"content_format,omitempty"`
	MediaType     string  `json:"media_type,omitempty"`
	Verifier      []byte  `json:"verifier,omitempty"`
}

// ClaimJSON is a value that Evidence carries besides the challenge.
type ClaimJSON struct {
	Name  string `json:"name"`
	Value []byte `json:"value"`
}

// AttestResponse answers attest. A program may write the CMW by itself
// instead, unless the request asks for a key.
type AttestResponse struct {
	CMW []byte `json:"cmw"`
	// Where the request has no spki: the key as DER SubjectPublicKeyInfo, and
	// either its private half as DER PKCS #8 or Sign, which promises that the
	// program answers sign for it.
	SPKI       []byte `json:"spki,omitempty"`
	PrivateKey []byte `json:"private_key,omitempty"`
	Sign       bool   `json:"sign,omitempty"`
}

// SignResponse answers sign: a signature as crypto.Signer makes it (ECDSA: DER).
type SignResponse struct {
	Signature []byte `json:"signature"`
}

// NonceResponse answers nonce. Without a nonce random octets are taken.
type NonceResponse struct {
	Nonce []byte `json:"nonce,omitempty"`
}

// AppraiseResponse answers appraise. It accepts only when the status is
// affirming and there is no failure; a failure is a name that begins with
// "attestation.".
type AppraiseResponse struct {
	Failure    attls.Failure       `json:"failure,omitempty"`
	Reason     string              `json:"reason,omitempty"`
	Status     string              `json:"status"` // affirming, warning, contraindicated, none
	SPKI       []byte              `json:"spki,omitempty"`
	ValidUntil *time.Time          `json:"valid_until,omitempty"` // RFC 3339
	Checks     []negotiation.Check `json:"checks,omitempty"`
	Result     string              `json:"result,omitempty"` // an EAR as JWT
}

// Names of enumerations in the order of their values.
var (
	roleNames  = []string{attls.RoleClient.String(), attls.RoleServer.String()}
	modelNames = []string{profile.ModelEvidence.String(), profile.ModelResults.String()}
	kindNames  = []string{profile.KindAlone.String(), profile.KindX509.String()}
	fitNames   = []string{profile.FitPadRight: "pad_right", profile.FitPadLeft: "pad_left", profile.FitSHA512: "sha512",
		profile.FitExact: "exact"}
	matchNames = []string{profile.MatchEqual: "equal", profile.MatchWithParameters: "with_parameters",
		profile.MatchIgnore: "ignore"}
	tiers = []string{"affirming", "warning", "contraindicated", "none"}
)

// named finds the value of a name; an empty one is the first.
func named[T ~uint8](field string, names []string, name string) (T, error) {
	if name == "" {
		return 0, nil
	}
	i := slices.Index(names, name)
	if i < 0 {
		return 0, fmt.Errorf("%s is %q; it is one of %s", field, name, strings.Join(names, ", "))
	}
	return T(i), nil
}

// NewAttestRequest writes an EvidenceRequest as JSON has it.
func NewAttestRequest(r *negotiation.EvidenceRequest) *Request {
	return &Request{Action: ActionAttest, Profile: r.Profile, Attester: r.Attester.String(), Scheme: schemeJSON(r.Scheme),
		Challenge: r.Challenge, Fit: fitNames[r.Fit], Claims: claimsJSON(r.Claims), SPKI: r.SPKI, KeyBound: &r.KeyBound}
}

// NewAppraiseRequest writes an AppraisalRequest as JSON has it.
func NewAppraiseRequest(r *negotiation.AppraisalRequest) *Request {
	return &Request{Action: ActionAppraise, Profile: r.Profile, Attester: r.Attester.String(),
		Scheme:    schemeJSON(r.Scheme),
		Challenge: r.Challenge, Fit: fitNames[r.Fit], Claims: claimsJSON(r.Claims), SPKI: r.SPKI, KeyBound: &r.KeyBound,
		CMW: r.CMW, Match: matchNames[r.Match], HandOver: r.HandOver}
}

func schemeJSON(s negotiation.Scheme) *SchemeJSON {
	out := &SchemeJSON{Model: s.Model.String(), Credential: s.Credential.String(), MediaType: s.Format.MediaType,
		Verifier: s.Verifier}
	if s.Model == profile.ModelEvidence && s.Format.MediaType == "" {
		out.ContentFormat = &s.Format.ContentFormat
	}
	return out
}

func claimsJSON(list []negotiation.ClaimValue) (out []ClaimJSON) {
	for _, c := range list {
		out = append(out, ClaimJSON(c))
	}
	return out
}

// EvidenceRequest reads the members that attest has.
func (r *Request) EvidenceRequest() (*negotiation.EvidenceRequest, error) {
	a, err := r.AppraisalRequest()
	if err != nil {
		return nil, err
	}
	return &negotiation.EvidenceRequest{Profile: a.Profile, Attester: a.Attester, Scheme: a.Scheme,
		Challenge: a.Challenge, Fit: a.Fit,
		Claims: a.Claims, SPKI: a.SPKI, KeyBound: a.KeyBound}, nil
}

// AppraisalRequest reads the members that appraise has.
func (r *Request) AppraisalRequest() (*negotiation.AppraisalRequest, error) {
	attester, err1 := named[attls.Role]("attester", roleNames, r.Attester)
	fit, err2 := named[profile.ChallengeFit]("fit", fitNames, r.Fit)
	match, err3 := named[profile.FormatMatch]("match", matchNames, r.Match)
	scheme, err4 := r.Scheme.scheme()
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	out := &negotiation.AppraisalRequest{Profile: r.Profile, Attester: attester, Scheme: scheme, CMW: r.CMW,
		Challenge: r.Challenge,
		Fit:       fit, Match: match, HandOver: r.HandOver, SPKI: r.SPKI, KeyBound: r.keyBound(scheme, attester)}
	for _, c := range r.Claims {
		out.Claims = append(out.Claims, negotiation.ClaimValue(c))
	}
	return out, nil
}

// keyBound is whether the challenge is computed over the key.
func (r *Request) keyBound(s negotiation.Scheme, attester attls.Role) bool {
	if r.KeyBound != nil {
		return *r.KeyBound
	}
	if !slices.Contains(profile.Names(), r.Profile) {
		return false // perhaps a file, which a request must not have read
	}
	p, err := profile.Load(r.Profile, profile.Options{})
	return err == nil && len(r.Challenge) > 0 && p.Binder.OverKey(s.Model, s.Credential, attester)
}

func (s *SchemeJSON) scheme() (out negotiation.Scheme, err error) {
	if s == nil {
		return out, errors.New("the request has no scheme")
	}
	model, ok := profile.ParseModel(s.Model)
	var err1, err2 error
	if !ok {
		model, err1 = named[profile.Model]("scheme.model", modelNames, s.Model)
	}
	credential, ok := profile.ParseCredentialKind(s.Credential)
	if !ok {
		credential, err2 = named[profile.CredentialKind]("scheme.credential", kindNames, s.Credential)
	}
	out = negotiation.Scheme{Model: model, Credential: credential, Verifier: s.Verifier,
		Format: profile.Format{MediaType: s.MediaType}}
	if s.ContentFormat != nil {
		out.Format.ContentFormat = *s.ContentFormat
	}
	if model == profile.ModelEvidence && (s.ContentFormat == nil) == (s.MediaType == "") {
		err = errors.New("scheme: Evidence has either a content_format or a media_type")
	}
	return out, errors.Join(err1, err2, err)
}

// NewAppraiseResponse writes a Verdict as JSON has it.
func NewAppraiseResponse(v *negotiation.Verdict) *AppraiseResponse {
	out := &AppraiseResponse{Failure: v.Failure, Reason: v.Reason, Status: v.Status, SPKI: v.SPKI, Checks: v.Checks,
		Result: string(v.Result)}
	if !v.ValidUntil.IsZero() {
		out.ValidUntil = &v.ValidUntil
	}
	return out
}

// Verdict reads an answer so that nothing is accepted by omission.
func (r *AppraiseResponse) Verdict() (*negotiation.Verdict, error) {
	if !slices.Contains(tiers, r.Status) {
		return nil, fmt.Errorf("status is %q; it is one of %s", r.Status, strings.Join(tiers, ", "))
	}
	if r.Failure != "" && !slices.Contains(attls.AttestationFailures, r.Failure) {
		return nil, fmt.Errorf("failure is %q, which is not a name of the closed list", r.Failure)
	}
	v := &negotiation.Verdict{Failure: r.Failure, Reason: r.Reason, Status: r.Status, SPKI: r.SPKI, Checks: r.Checks,
		Result: []byte(r.Result)}
	if r.ValidUntil != nil {
		v.ValidUntil = *r.ValidUntil
	}
	if v.Failure == "" && v.Status != tiers[0] {
		v.Failure, v.Reason = attls.FailAppraisal, or(v.Reason, "the status is "+v.Status)
	}
	return v, nil
}

const maxRequest = 1 << 22 // octets of a JSON request or answer

// Serve answers one Request: it is the other end of Command, with an Attester
// or an Appraiser in the place of the program. Either may be nil.
func Serve(ctx context.Context, attester negotiation.Attester, appraiser negotiation.Appraiser, in io.Reader,
	out io.Writer) error {
	b, err := io.ReadAll(io.LimitReader(in, maxRequest+1))
	if err != nil {
		return err
	}
	if len(b) > maxRequest {
		return fmt.Errorf("a request of more than %d octets", maxRequest)
	}
	var r Request
	if err := readJSON(b, &r); err != nil {
		return fmt.Errorf("the request: %w", err)
	}
	answer, err := r.serve(ctx, attester, appraiser)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(answer)
}

func (r *Request) serve(ctx context.Context, attester negotiation.Attester,
	appraiser negotiation.Appraiser) (any, error) {
	switch {
	case r.Action == ActionAttest && attester != nil:
		return r.attest(ctx, attester)
	case r.Action == ActionAppraise && appraiser != nil:
		request, err := r.AppraisalRequest()
		if err != nil {
			return nil, err
		}
		verdict, err := appraiser.Appraise(ctx, request)
		if err != nil {
			return nil, err
		}
		return NewAppraiseResponse(verdict), nil
	case r.Action == ActionNonce && appraiser != nil:
		nonce, err := appraiser.Nonce(ctx, r.Size)
		return NonceResponse{nonce}, err
	}
	return nil, fmt.Errorf("the action %q is not served here", r.Action)
}

func (r *Request) attest(ctx context.Context, attester negotiation.Attester) (*AttestResponse, error) {
	request, err := r.EvidenceRequest()
	if err != nil {
		return nil, err
	}
	ev, err := attester.Attest(ctx, request)
	if err != nil {
		return nil, err
	}
	out := &AttestResponse{CMW: ev.CMW, SPKI: ev.SPKI}
	if ev.Signer != nil {
		if out.PrivateKey, err = x509.MarshalPKCS8PrivateKey(ev.Signer); err != nil {
			return nil, fmt.Errorf("the key cannot be handed out: %w", err)
		}
	}
	return out, nil
}

// evidence reads an answer to attest: a bare CMW, or a JSON object whose
// member cmw is text (the members of a JSON CMW never are).
func (c *Command) evidence(answer []byte, wantKey bool) (*negotiation.Evidence, error) {
	object, _ := strictObject(answer)
	if text, ok := object["cmw"].(string); !ok || text == "" {
		if wantKey {
			return nil, errors.New("the answer is a bare CMW, but the request wants a key with it")
		}
		return &negotiation.Evidence{CMW: answer}, nil
	}
	var r AttestResponse
	if err := readJSON(answer, &r); err != nil {
		return nil, err
	}
	out := &negotiation.Evidence{CMW: r.CMW}
	if !wantKey {
		return out, nil
	}
	pub, err := parseSPKI(r.SPKI)
	if err != nil {
		return nil, err
	}
	out.SPKI = r.SPKI
	switch {
	case r.Sign && r.PrivateKey == nil:
		out.Signer = &commandSigner{c, pub, r.SPKI}
	case r.PrivateKey != nil:
		key, err := x509.ParsePKCS8PrivateKey(r.PrivateKey)
		if err != nil {
			return nil, err
		}
		signer, ok := key.(crypto.Signer)
		if !ok || !sameKey(signer.Public(), pub) {
			return nil, errors.New("private_key does not belong to spki")
		}
		out.Signer = signer
	default:
		return nil, errors.New("the answer has neither private_key nor sign")
	}
	return out, nil
}
