package claims

import (
	"crypto/sha256"
	"encoding/hex"
	"runtime/debug"
	"time"

	"attls"
	"attls/attestation"
	"attls/extensions/profile"
	"attls/extensions/profile/binder"
	"attls/handshake"
	"attls/handshake/exported"
	"attls/negotiation"
)

// ClaimsSchema names the shape of Claims; docs/claims.md describes it.
const ClaimsSchema = "attls-claims/1"

// Claims is what one end says of one connection: one line of JSON. Hexadecimal
// values are lower case; keys and certificates are named by SHA-256.
type Claims struct {
	Schema  string `json:"schema"`
	Stack   string `json:"stack"`
	Version string `json:"stack_version,omitempty"`
	Role    string `json:"role"`
	// Profile is empty for plain TLS; Readings lists the switches in force.
	Profile  string            `json:"profile"`
	Readings map[string]string `json:"readings,omitempty"`

	Protocol   string `json:"protocol"`
	Suite      string `json:"suite,omitempty"`
	Group      string `json:"group,omitempty"`
	HelloRetry bool   `json:"hello_retry"`
	// Resumed says that a pre-shared key was used, of a session or external.
	Resumed        bool   `json:"resumed"`
	PSKMode        string `json:"psk_mode,omitempty"`   // psk_dhe_ke or psk_ke, where it was
	EarlyData      string `json:"early_data,omitempty"` // accepted or rejected
	ALPN           string `json:"alpn,omitempty"`
	ServerName     string `json:"server_name,omitempty"`
	PeerSignature  string `json:"peer_signature,omitempty"`
	OwnSignature   string `json:"own_signature,omitempty"`
	TranscriptHash string `json:"transcript_hash,omitempty"` // Transcript-Hash(ClientHello...ServerHello)
	PeerKey        string `json:"peer_key,omitempty"`        // SHA-256 of the DER SubjectPublicKeyInfo
	OwnKey         string `json:"own_key,omitempty"`
	PeerType       string `json:"peer_certificate_type,omitempty"`
	OwnType        string `json:"own_certificate_type,omitempty"`

	// Exporter is ExporterSize octets under ExporterLabel (RFC 8446 section 7.5).
	Exporter string `json:"exporter,omitempty"`
	// KeyEpoch is how many extended key updates there were.
	KeyEpoch uint64 `json:"key_epoch,omitempty"`

	Attestation []AttestationClaim `json:"attestation"`
	// ResumedAttestation is what the session that was resumed keeps of the peer.
	ResumedAttestation *ResumedClaim `json:"resumed_attestation,omitempty"`

	// BinderInputs is what any known binder can ask of the handshake; secrets
	// included, so it is there on request only.
	BinderInputs *BinderInputs `json:"binder_inputs,omitempty"`

	AlertSent     *AlertClaim `json:"alert_sent,omitempty"`
	AlertReceived *AlertClaim `json:"alert_received,omitempty"`
	DataSent      int64       `json:"data_sent"`
	DataReceived  int64       `json:"data_received"`
	// Unclaimed names the members of which this stack can say nothing, so that
	// their being empty, zero or false means nothing.
	Unclaimed []string `json:"unclaimed,omitempty"`
	// State is connected, closed or failed; Engine names the engine's own state.
	State  string      `json:"state"`
	Engine string      `json:"engine_state,omitempty"`
	Error  *ErrorClaim `json:"error,omitempty"`
}

// AttestationClaim is the outcome for one attester.
type AttestationClaim struct {
	Attester   string        `json:"attester"`
	Slot       string        `json:"slot"`
	Model      string        `json:"model"`
	Credential string        `json:"credential"`
	Scheme     string        `json:"scheme"` // the element on the wire
	Format     string        `json:"format,omitempty"`
	Verifier   string        `json:"verifier,omitempty"`
	Nonce      string        `json:"nonce,omitempty"`
	Challenge  string        `json:"challenge,omitempty"` // the attestation binder, or the nonce
	Payload    string        `json:"payload,omitempty"`   // SHA-256 of the CMW
	Octets     int           `json:"payload_octets"`
	Verdict    *VerdictClaim `json:"verdict,omitempty"` // at the relying party
	// Phase is authenticator for an attestation in an exported authenticator, application_frame
	// for one in frames of the application, key_update for one with an extended key update, and
	// empty for one in the handshake. RequestContext, Certificate and Signature go with the first
	// two: the certificate_request_context of the request, the SHA-256 of what was shown, and the
	// scheme of CertificateVerify. KeyEpoch is how many extended key updates there were, the one
	// with which an attestation came among them, and Outcome what the attester was told of that
	// attestation, true for accepted.
	Phase          string `json:"phase,omitempty"`
	RequestContext string `json:"request_context,omitempty"`
	Certificate    string `json:"certificate,omitempty"`
	Signature      string `json:"signature,omitempty"`
	KeyEpoch       uint64 `json:"key_epoch,omitempty"`
	Outcome        *bool  `json:"outcome,omitempty"`
	// BinderInputs is as Claims.BinderInputs, for the binder in an authenticator.
	BinderInputs *BinderInputs `json:"binder_inputs,omitempty"`
}

// ResumedClaim is the attestation of an earlier connection on which a resumed
// one relies.
type ResumedClaim struct {
	Attester   string `json:"attester"`
	Profile    string `json:"profile"`
	Model      string `json:"model"`
	Credential string `json:"credential"`
	Scheme     string `json:"scheme"` // the element on the wire
	Status     string `json:"status,omitempty"`
	ValidUntil string `json:"valid_until,omitempty"` // RFC 3339
}

// VerdictClaim is an Appraiser's answer.
type VerdictClaim struct {
	Accepted   bool                `json:"accepted"`
	Failure    string              `json:"failure,omitempty"`
	Reason     string              `json:"reason,omitempty"`
	Status     string              `json:"status,omitempty"`
	ValidUntil string              `json:"valid_until,omitempty"` // RFC 3339
	Checks     []negotiation.Check `json:"checks,omitempty"`
	// PeerChallenge is the challenge in the payload where it is another than the
	// expected one, and PeerReadings are the readings, of this profile and of the
	// others, under which it would have come out; none when no known one gives it.
	PeerChallenge string          `json:"peer_challenge,omitempty"`
	PeerReadings  []profile.Match `json:"peer_readings,omitempty"`
}

// AlertClaim is an alert.
type AlertClaim struct {
	Code uint8  `json:"code"`
	Name string `json:"name"`
}

// ErrorClaim is the error that ended the connection. Offset is in octets from
// the start of the message body.
type ErrorClaim struct {
	Class   string      `json:"class"`
	Failure string      `json:"failure"`
	Message string      `json:"message,omitempty"`
	Field   string      `json:"field,omitempty"`
	Offset  *int        `json:"offset,omitempty"`
	Rule    string      `json:"rule,omitempty"`
	Detail  string      `json:"detail,omitempty"`
	Alert   *AlertClaim `json:"alert,omitempty"`
}

// Claims of a connection compare what both ends export under ExporterLabel with an
// empty context: ExporterSize octets.
const (
	ExporterLabel = "EXPERIMENTAL attls claims"
	ExporterSize  = 32
)

// Exported is the value for Outcome.Exported of a connection whose handshake has
// been tried; nil when it failed.
func Exported(c *handshake.Conn) []byte {
	b, err := c.Export(ExporterLabel, nil, ExporterSize)
	if err != nil {
		return nil
	}
	return b
}

// Outcome is what the caller of a connection knows besides its state.
type Outcome struct {
	Err                      *attls.Error
	AlertSent, AlertReceived *attls.AlertDescription
	DataSent, DataReceived   int64
	Closed                   bool
	Exported                 []byte // see Exported
	// Inputs, when set, lets the claims name the readings under which a peer would
	// have got another binder; KeepInputs puts them into the claims as well.
	Inputs     binder.Inputs
	KeepInputs bool
}

// MakeClaims says what one end knows of a connection.
func MakeClaims(p *profile.Profile, s handshake.ConnectionState, o Outcome) Claims {
	c := Claims{Schema: ClaimsSchema, Stack: "attls", Version: StackVersion(), Role: s.Role.String(), Protocol: "TLS 1.3",
		HelloRetry: s.HelloRetry, ALPN: s.ALPN, ServerName: s.ServerName,
		TranscriptHash: hex.EncodeToString(s.TranscriptHash),
		PeerKey:        fingerprint(s.PeerSPKI), OwnKey: fingerprint(s.OwnSPKI), DataSent: o.DataSent,
		DataReceived: o.DataReceived,
		Exporter:     hex.EncodeToString(o.Exported), State: "connected", Engine: s.State, Attestation: []AttestationClaim{}}
	c.resumed(&s)
	c.KeyEpoch = s.KeyEpoch
	if s.EarlyData == handshake.EarlyDataAccepted || s.EarlyData == handshake.EarlyDataRejected {
		c.EarlyData = s.EarlyData.String()
	}
	if len(s.PeerSPKI) > 0 {
		c.PeerType = s.PeerType.String()
	}
	if len(s.OwnSPKI) > 0 {
		c.OwnType = s.OwnType.String()
	}
	if s.CipherSuite != 0 {
		c.Suite = s.CipherSuite.String()
	}
	if s.Group != 0 {
		c.Group = s.Group.String()
	}
	if s.PeerScheme != 0 {
		c.PeerSignature = s.PeerScheme.String()
	}
	if s.OwnScheme != 0 {
		c.OwnSignature = s.OwnScheme.String()
	}
	if p != nil {
		c.Profile, c.Readings = p.ID, Readings(p)
	}
	for i := range s.Attestation {
		a := attestationClaim(&s.Attestation[i])
		if p != nil && o.Inputs != nil && a.Verdict != nil && a.Verdict.Failure == string(attls.FailBinderMismatch) {
			nameReadings(p, &s.Attestation[i], o.Inputs, a.Verdict)
		}
		c.Attestation = append(c.Attestation, a)
	}
	if p != nil && o.Inputs != nil && o.KeepInputs {
		c.BinderInputs = TakeBinderInputs(p, o.Inputs)
	}
	c.AlertSent, c.AlertReceived = MakeAlertClaim(p, o.AlertSent), MakeAlertClaim(p, o.AlertReceived)
	switch {
	case o.Err != nil:
		c.State, c.Error = "failed", errorClaim(p, o.Err)
	case o.Closed:
		c.State = "closed"
	}
	return c
}

// resumed says which key was used and what its session keeps.
func (c *Claims) resumed(s *handshake.ConnectionState) {
	if s.Session == nil {
		return
	}
	c.Resumed, c.PSKMode = true, attls.PSKWithDHE.String()
	if s.Group == 0 {
		c.PSKMode = attls.PSKOnly.String()
	}
	if a := s.Session.Attestation; a != nil {
		c.ResumedAttestation = &ResumedClaim{Attester: s.Role.Peer().String(), Profile: a.Profile, Model: a.Model.String(),
			Credential: CredentialName(a.Credential), Scheme: hex.EncodeToString(a.Wire), Status: a.Status}
		if !a.ValidUntil.IsZero() {
			c.ResumedAttestation.ValidUntil = a.ValidUntil.UTC().Format(time.RFC3339)
		}
	}
}

func attestationClaim(a *handshake.AttestationState) AttestationClaim {
	c := AttestationClaim{Attester: a.Attester.String(), Slot: a.Slot, Model: a.Scheme.Model.String(),
		Credential: CredentialName(a.Scheme.Credential), Scheme: hex.EncodeToString(a.Scheme.Wire),
		Verifier: string(a.Scheme.Verifier),
		Nonce:    hex.EncodeToString(a.Nonce), Challenge: hex.EncodeToString(a.Challenge), Payload: fingerprint(a.Payload),
		Octets: len(a.Payload)}
	if a.Scheme.Model == profile.ModelEvidence {
		c.Format = FormatName(a.Scheme.Format)
	}
	if a.Verdict != nil {
		c.Verdict = MakeVerdictClaim(a.Verdict)
	}
	return c
}

// AddLater adds an attestation after the handshake: in an exported authenticator (RFC 9261), or in
// frames of the application.
func (c *Claims) AddLater(p *profile.Profile, o *exported.Outcome) {
	x := attestationClaim(&o.AttestationState)
	x.Phase, x.RequestContext, x.KeyEpoch = o.Phase.String(), hex.EncodeToString(o.Context), o.KeyEpoch
	x.Certificate = fingerprint(o.Certificate)
	if o.Signature != 0 {
		x.Signature = o.Signature.String()
	}
	if p != nil && o.Inputs != nil && c.BinderInputs != nil {
		x.BinderInputs = TakeBinderInputs(p, o.Inputs)
	}
	if p != nil && o.Inputs != nil && x.Verdict != nil && x.Verdict.Failure == string(attls.FailBinderMismatch) {
		nameLaterReadings(p, &o.AttestationState, o.Inputs, x.Verdict)
	}
	c.Attestation = append(c.Attestation, x)
}

// PhaseKeyUpdate is AttestationClaim.Phase of an attestation with an extended key update.
const PhaseKeyUpdate = "key_update"

// AddUpdate adds an attestation with an extended key update. The accepted outcome is of what
// the profile has the relying party tell the attester.
func (c *Claims) AddUpdate(p *profile.Profile, a *handshake.Reattestation) {
	x := attestationClaim(&a.AttestationState)
	x.Phase, x.KeyEpoch = PhaseKeyUpdate, a.Epoch
	if p != nil && p.KeyUpdate.Outcome >= 0 {
		accepted := a.Accepted
		x.Outcome = &accepted
	}
	if p != nil && a.Inputs != nil && x.Verdict != nil && x.Verdict.Failure == string(attls.FailBinderMismatch) {
		nameUpdateReadings(p, a, x.Verdict)
	}
	c.Attestation = append(c.Attestation, x)
}

// MakeVerdictClaim writes a Verdict as claims have it.
func MakeVerdictClaim(v *negotiation.Verdict) *VerdictClaim {
	c := &VerdictClaim{Accepted: v.Failure == "", Failure: string(v.Failure), Reason: v.Reason, Status: v.Status,
		Checks: v.Checks}
	if !v.ValidUntil.IsZero() {
		c.ValidUntil = v.ValidUntil.UTC().Format(time.RFC3339)
	}
	return c
}

// MakeAlertClaim writes an alert as claims have it; nil: none.
func MakeAlertClaim(p *profile.Profile, a *attls.AlertDescription) *AlertClaim {
	if a == nil {
		return nil
	}
	return &AlertClaim{Code: uint8(*a), Name: AlertName(p, *a)}
}

// MakeErrorClaim writes an error as claims have it.
func MakeErrorClaim(p *profile.Profile, e *attls.Error) *ErrorClaim { return errorClaim(p, e) }

func errorClaim(p *profile.Profile, e *attls.Error) *ErrorClaim {
	c := &ErrorClaim{Class: e.Class.String(), Failure: string(e.Failure), Field: e.Field, Rule: e.Rule, Detail: e.Detail}
	if e.Err != nil {
		c.Detail = join(c.Detail, e.Err.Error())
	}
	if e.Message != attls.KindNone {
		c.Message = e.Message.Name()
	}
	if e.Offset >= 0 {
		c.Offset = &e.Offset
	}
	if e.HasAlert {
		c.Alert = MakeAlertClaim(p, &e.Alert)
	}
	return c
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + ": " + b
}

// AlertName names an alert with the profile's names for the ones it adds.
func AlertName(p *profile.Profile, a attls.AlertDescription) string {
	if p != nil {
		if n, ok := p.AlertNames[a]; ok {
			return n
		}
	}
	return a.String()
}

// FormatName spells a format: a media type, or a content format with its media
// type where it has one.
func FormatName(f profile.Format) string { return attestation.FormatString(f) }

// Readings maps each switch of a profile to the reading in force.
func Readings(p *profile.Profile) map[string]string {
	if len(p.Readings) == 0 {
		return nil
	}
	m := make(map[string]string, len(p.Readings))
	for _, r := range p.Readings {
		m[r.Switch] = r.Chosen
	}
	return m
}

func fingerprint(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// commit is what the linker is told where the build does not see the repository:
//
//	go build -ldflags "-X attls/conformance/claims.commit=$(git rev-parse HEAD)" ./cmd/attls
var commit string

// develop is the version of a build that knows of no commit.
const develop = "(devel)"

// Release is the newest release that this source contains; CHANGELOG.md describes it.
const Release = "v0.1.0"

// Commit is the commit of this build in hexadecimal digits, with "+dirty" behind it
// where the tree had other changes; it is empty if the build does not know. What the
// linker was told comes first, then what the go command found in the repository.
func Commit() string {
	info, _ := debug.ReadBuildInfo()
	return commitOf(commit, info)
}

func commitOf(told string, info *debug.BuildInfo) string {
	if told != "" || info == nil {
		return told
	}
	var revision, dirty string
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+dirty"
		}
	}
	if revision == "" {
		return ""
	}
	return revision + dirty
}

// StackVersion is the version of the module, as the build recorded it: with the commit
// where the build saw the repository ("go build -buildvcs=true") or the linker was told
// it, otherwise "(devel)".
func StackVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != develop {
		return info.Main.Version
	}
	if commit != "" {
		return "devel-" + commit
	}
	return develop
}

// The words for models and credentials, in claims as in scenarios.
const (
	ModelEvidence         = "evidence"    // background-check model (RFC 9334 section 5.2)
	ModelResults          = "results"     // passport model (RFC 9334 section 5.1)
	CredentialAttestation = "attestation" // the CMW takes the certificate's place
	CredentialX509        = "x509"        // the CMW is sent with an X.509 certificate
)

// CredentialName is the inverse of ParseCredential.
func CredentialName(k profile.CredentialKind) string {
	if k == profile.KindX509 {
		return CredentialX509
	}
	return CredentialAttestation
}
