package scenario

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"attls"
	"attls/conformance/claims"
	"attls/extensions/profile"
	"attls/handshake"
)

// Attesters says which ends attest.
type Attesters string

// The choices of Scenario.Attester.
const (
	AttestNone   Attesters = "none"
	AttestClient Attesters = "client"
	AttestServer Attesters = "server"
	AttestBoth   Attesters = "both"
)

// Resumption says what is done with a ticket.
type Resumption string

// What the second connection of a scenario does with the ticket of the first.
const (
	ResumeWithDHE Resumption = "psk_dhe_ke" // the session is resumed, with (EC)DHE (RFC 8446 section 4.2.9)
	ResumePSKOnly Resumption = "psk_ke"     // without
	ResumeRefused Resumption = "refused"    // the server does not take it: a full handshake
	// The connection before was plain TLS, so that the session keeps no attestation
	// and the client, which demands the server's, does not offer it.
	ResumeUnattested Resumption = "unattested"
)

// Roles lists the attesting roles, the server first as on the wire.
func (a Attesters) Roles() []attls.Role {
	switch a {
	case AttestClient:
		return []attls.Role{attls.RoleClient}
	case AttestServer:
		return []attls.Role{attls.RoleServer}
	case AttestBoth:
		return []attls.Role{attls.RoleServer, attls.RoleClient}
	}
	return nil
}

// Has reports whether a role attests.
func (a Attesters) Has(r attls.Role) bool { return slices.Contains(a.Roles(), r) }

// Scenario is one connection as data. The zero value of a field leaves the
// choice to Run; Profile "" is plain TLS 1.3.
type Scenario struct {
	Profile string `json:"profile"` // id, alias or file
	// Called is the identifier of the profile, where Profile is a file: what names say.
	Called     string            `json:"called,omitempty"`
	Readings   map[string]string `json:"readings,omitempty"`    // switch: reading
	CodePoints map[string]uint64 `json:"code_points,omitempty"` // "extensions.name": number
	// ClientReadings are those of a client that reads the text otherwise, and ClientProfile
	// is the profile of one that follows another text; "": that of the server.
	ClientReadings map[string]string `json:"client_readings,omitempty"`
	ClientProfile  string            `json:"client_profile,omitempty"`
	Attester       Attesters         `json:"attester"`
	Model          string            `json:"model,omitempty"`
	Credential     string            `json:"credential,omitempty"`
	Suite          string            `json:"suite,omitempty"` // IANA name; both ends offer it alone
	Group          string            `json:"group,omitempty"` // IANA name; the share that is sent
	HelloRetry     bool              `json:"hello_retry,omitempty"`
	// ExtendedKeyUpdate has both ends offer it, and the client begin KeyUpdates updates, one
	// after the other; 0: one.
	ExtendedKeyUpdate bool `json:"extended_key_update,omitempty"`
	KeyUpdates        int  `json:"key_updates,omitempty"`
	// KeyUpdate is the role of the end that sends a KeyUpdate, which asks for one in return,
	// before its first application data; "": none does. Runs between stacks do so (package peers).
	KeyUpdate string `json:"key_update,omitempty"`
	// PostHandshake has the server ask for a certificate again, after the handshake and
	// application data, and the client attest in its answer.
	PostHandshake bool `json:"post_handshake,omitempty"`
	Cookie        bool `json:"cookie,omitempty"` // a cookie in the HelloRetryRequest
	// Reattest has who relies on an attestation in exported authenticators ask a second
	// time, after application data.
	Reattest bool `json:"reattest,omitempty"`
	// Resumption makes an earlier connection of the same kind first, whose ticket
	// the client brings back. Runs between stacks do so (package peers).
	Resumption Resumption `json:"resumption,omitempty"`
	// EarlyData has the client send its request as 0-RTT data in the connection that brings the
	// ticket back (see EarlyOutcome).
	EarlyData bool   `json:"early_data,omitempty"`
	ALPN      string `json:"alpn,omitempty"`
	// ClientCertificate has the server ask for a certificate and insist on it.
	ClientCertificate bool `json:"client_certificate,omitempty"`
	// RawPublicKeys has both ends show raw public keys (RFC 7250) in place of X.509,
	// and attest in addition where Credential is CredentialX509.
	RawPublicKeys bool   `json:"raw_public_keys,omitempty"`
	ServerName    string `json:"server_name,omitempty"` // "": localhost
	// RootOfTrust is the name of the root of trust in the environment's table, whose
	// emulator attests; "": the software one.
	RootOfTrust string `json:"root_of_trust,omitempty"`
	// Payload is the size of the Evidence in octets, which is opaque then
	// (attestation.Opaque); 0: that of the root of trust.
	Payload int `json:"payload,omitempty"`
	// Fragment bounds the content of the records that this stack sends, in octets,
	// and each handshake message begins a record; 0: up to 2^14, with as many
	// messages as fit.
	Fragment int `json:"fragment,omitempty"`
	// Split bounds the octets that this stack writes to the network, and reads from
	// it, at once; 0: as they come.
	Split    int    `json:"split,omitempty"`
	Fail     string `json:"fail,omitempty"`     // name of a Fault that must be rejected
	Tolerate string `json:"tolerate,omitempty"` // name of one that must be taken as it is
	// Concurrent takes the answers of an end in whatever order they come; such a
	// run need not repeat octet for octet.
	Concurrent bool `json:"concurrent,omitempty"`

	// Compiled is used instead of loading Profile.
	Compiled *profile.Profile `json:"-"`
}

// Load compiles the scenario's profile; nil for plain TLS. A profile that this program
// brings is compiled once for each choice of readings, as a grid asks for it thousands of
// times: what is returned must not be changed.
func (s *Scenario) Load() (*profile.Profile, error) {
	if s.Compiled != nil || s.Profile == "" {
		return s.Compiled, nil
	}
	o := profile.Options{Readings: s.Readings, CodePoints: s.CodePoints}
	if len(s.CodePoints) > 0 || profile.IsFile(s.Profile) { // any number of them, and files change
		return profile.Load(s.Profile, o)
	}
	key := s.Profile + fmt.Sprintf("%q", s.Readings)
	if p, ok := loaded.Load(key); ok {
		return p.(*profile.Profile), nil
	}
	p, err := profile.Load(s.Profile, o)
	if err == nil {
		loaded.Store(key, p)
		kept.Store(p, true)
	}
	return p, err
}

// loaded are the compiled profiles of Load. Their number is that of names and readings.
var loaded sync.Map

// kept are the profiles in loaded.
var kept sync.Map

// Kept reports whether a profile is one of those that Load keeps: what is worked out of it may
// be kept too.
func Kept(p *profile.Profile) bool {
	_, ok := kept.Load(p)
	return ok
}

// Reading is the scenario under further readings.
func (s Scenario) Reading(more map[string]string) Scenario {
	s.Compiled, s.Readings = nil, maps.Clone(s.Readings)
	if s.Readings == nil {
		s.Readings = map[string]string{}
	}
	maps.Copy(s.Readings, more)
	return s
}

// ProfileName is the identifier of the profile, where that is known.
func (s *Scenario) ProfileName() string {
	if s.Called != "" {
		return s.Called
	}
	return s.Profile
}

// String names the scenario: early-attestation-06/server/evidence/x509.
func (s Scenario) String() string {
	parts := []string{s.ProfileName(), string(s.Attester)}
	for _, p := range []string{s.Model, s.Credential, s.Suite, s.Group} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	if s.RootOfTrust != "" {
		parts = append(parts, "root-"+s.RootOfTrust)
	}
	if s.HelloRetry {
		parts = append(parts, "hello_retry")
	}
	switch n := s.Updates(); {
	case n == 1:
		parts = append(parts, "extended_key_update")
	case n > 1:
		parts = append(parts, fmt.Sprintf("extended_key_update-%d", n))
	}
	if s.KeyUpdate != "" {
		parts = append(parts, "key_update-"+s.KeyUpdate)
	}
	if s.PostHandshake {
		parts = append(parts, "post_handshake")
	}
	if s.Reattest {
		parts = append(parts, "reattest")
	}
	if s.ClientProfile != "" {
		parts = append(parts, "client-"+s.ClientProfile)
	}
	if s.Resumption != "" {
		parts = append(parts, "resume-"+string(s.Resumption))
	}
	if s.EarlyData {
		parts = append(parts, "early_data")
	}
	if s.Cookie {
		parts = append(parts, "cookie")
	}
	if s.ClientCertificate {
		parts = append(parts, "client_certificate")
	}
	if s.Payload > 0 {
		parts = append(parts, fmt.Sprintf("payload-%d", s.Payload))
	}
	if s.Fragment > 0 {
		parts = append(parts, fmt.Sprintf("fragment-%d", s.Fragment))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Readings)) {
		parts = append(parts, "reading-"+name+"="+s.Readings[name])
	}
	if len(s.CodePoints) > 0 {
		parts = append(parts, "code_points")
	}
	if s.RawPublicKeys {
		parts = append(parts, "raw_public_keys")
	}
	if s.Split > 0 {
		parts = append(parts, fmt.Sprintf("split-%d", s.Split))
	}
	if s.Fail != "" {
		parts = append(parts, "fail-"+s.Fail)
	}
	if s.Tolerate != "" {
		parts = append(parts, "tolerate-"+s.Tolerate)
	}
	return strings.Join(parts, "/")
}

// Updates is how many extended key updates the client begins.
func (s *Scenario) Updates() int {
	if !s.ExtendedKeyUpdate {
		return 0
	}
	return max(s.KeyUpdates, 1)
}

// EarlyOutcome is the outcome of 0-RTT data: the server has to take it unless it passes over the
// ticket or asks for another group (RFC 8446 section 4.2.10), and a client whose data is
// rejected sends it again. "": none is sent.
func (s *Scenario) EarlyOutcome() string {
	switch {
	case !s.EarlyData:
		return ""
	case s.Resumption == ResumePSKOnly, s.Resumption == ResumeWithDHE && !s.HelloRetry:
		return handshake.EarlyDataAccepted.String()
	}
	return handshake.EarlyDataRejected.String()
}

// Injected is the name of the fault that a scenario holds, one to be rejected or
// one to be taken; "" when there is none.
func (s *Scenario) Injected() string {
	if s.Fail != "" {
		return s.Fail
	}
	return s.Tolerate
}

// ParseModel reads Scenario.Model.
func ParseModel(name string) (profile.Model, error) {
	if m, ok := profile.ParseModel(name); ok {
		return m, nil
	}
	return 0, fmt.Errorf("model %q: it is evidence (background-check) or results (passport)", name)
}

// ParseCredential reads Scenario.Credential.
func ParseCredential(name string) (profile.CredentialKind, error) {
	if k, ok := profile.ParseCredentialKind(name); ok {
		return k, nil
	}
	return 0, fmt.Errorf("credential %q: it is attestation or x509", name)
}

// ParseAttesters reads Scenario.Attester.
func ParseAttesters(name string) (Attesters, error) {
	switch a := Attesters(strings.ToLower(name)); a {
	case AttestNone, AttestClient, AttestServer, AttestBoth:
		return a, nil
	}
	return "", fmt.Errorf("attester %q: it is client, server, both or none", name)
}

// Combination is one way to attest and whether a profile allows it.
type Combination struct {
	Attester   Attesters `json:"attester"`
	Model      string    `json:"model"`
	Credential string    `json:"credential"`
	// Reason is empty when the profile allows the combination, and otherwise one
	// sentence that says why not.
	Reason string `json:"reason,omitempty"`
}

// LeavesOpen reports whether a combination agrees with what the scenario says of
// attester, model and credential.
func (s *Scenario) LeavesOpen(c Combination) bool {
	return (s.Attester == "" || s.Attester == c.Attester) && (s.Model == "" || s.Model == c.Model) &&
		(s.Credential == "" || s.Credential == c.Credential)
}

// With is the scenario in one combination.
func (s Scenario) With(c Combination) Scenario {
	s.Attester, s.Model, s.Credential = c.Attester, c.Model, c.Credential
	return s
}

// Combinations lists every combination of attester, model and credential, the
// allowed ones with an empty reason.
func Combinations(p *profile.Profile) []Combination {
	var all []Combination
	for _, a := range []Attesters{AttestServer, AttestClient, AttestBoth} {
		for _, m := range []profile.Model{profile.ModelEvidence, profile.ModelResults} {
			for _, k := range []profile.CredentialKind{profile.KindX509, profile.KindAlone} {
				all = append(all, Combination{Attester: a, Model: m.String(), Credential: claims.CredentialName(k),
					Reason: Forbidden(p, a, m, k)})
			}
		}
	}
	return all
}

// Forbidden says in one sentence why a profile does not allow a combination;
// it is empty when the profile does.
func Forbidden(p *profile.Profile, a Attesters, m profile.Model, k profile.CredentialKind) string {
	for _, role := range a.Roles() {
		if reason := forbidden(p, role, m, k); reason != "" {
			return reason
		}
	}
	return ""
}

func forbidden(p *profile.Profile, attester attls.Role, m profile.Model, k profile.CredentialKind) string {
	slots := 0
	var models, kinds bool
	for i := range p.Slots {
		s := &p.Slots[i]
		if s.Attester != attester {
			continue
		}
		slots++
		hasModel, hasKind := slices.Contains(s.Models, m), slices.Contains(s.Kinds, k)
		models, kinds = models || hasModel, kinds || hasModel && hasKind
	}
	_, credential := p.Credential(k)
	if i := p.LaterSlot(attester); i >= 0 {
		slots++
		models = models || slices.Contains(p.Later[i].Models, m)
		credential = credential || k == profile.KindX509
		kinds = kinds || k == profile.KindX509 && slices.Contains(p.Later[i].Models, m)
	}
	switch {
	case slots == 0:
		return fmt.Sprintf("%s has no list in which the attestation of the %v could be offered.", p.ID, attester)
	case !credential:
		return fmt.Sprintf("%s has no credential of kind %s: %s.", p.ID, claims.CredentialName(k), otherKind(k))
	case !models:
		return fmt.Sprintf("No list of %s for the %v takes %s.", p.ID, attester, modelName(m))
	case !kinds:
		return fmt.Sprintf("%s does not carry %s of the %v in a credential of kind %s.", p.ID, modelName(m), attester,
			claims.CredentialName(k))
	}
	return ""
}

func otherKind(k profile.CredentialKind) string {
	if k == profile.KindAlone {
		return "its payload accompanies an X.509 certificate and never replaces it"
	}
	return "its payload replaces the certificate and never accompanies one"
}

func modelName(m profile.Model) string {
	if m == profile.ModelResults {
		return "Attestation Results (passport model)"
	}
	return "Evidence (background-check model)"
}

// Default is the first combination that a profile allows.
func Default(p *profile.Profile) (Combination, bool) {
	for _, c := range Combinations(p) {
		if c.Reason == "" {
			return c, true
		}
	}
	return Combination{}, false
}

// Complete fills what the scenario leaves open with the first combination that
// the profile allows, and refuses one that it forbids.
func (s *Scenario) Complete(p *profile.Profile) error {
	s.respell()
	if p == nil {
		s.Attester, s.Model, s.Credential = AttestNone, "", ""
		return nil
	}
	if s.Attester == AttestNone {
		s.Model, s.Credential = "", ""
		return nil
	}
	var first string
	for _, c := range s.Combinations(p) {
		if !s.LeavesOpen(c) {
			continue
		}
		if c.Reason == "" {
			s.Attester, s.Model, s.Credential = c.Attester, c.Model, c.Credential
			s.PostHandshake = s.PostHandshake || p.AttestsOnlyAfter() && s.Attester.Has(attls.RoleClient)
			return nil
		}
		if first == "" {
			first = c.Reason
		}
	}
	if first == "" {
		return fmt.Errorf("no attester, model or credential is called %q, %q, %q", s.Attester, s.Model, s.Credential)
	}
	return &ForbiddenError{Reason: first}
}

// respell gives model, credential and attester the names that claims have.
func (s *Scenario) respell() {
	if m, ok := profile.ParseModel(s.Model); ok {
		s.Model = m.String()
	}
	if k, ok := profile.ParseCredentialKind(s.Credential); ok {
		s.Credential = claims.CredentialName(k)
	}
	if a, err := ParseAttesters(string(s.Attester)); err == nil {
		s.Attester = a
	}
}

// ForbiddenError says that a profile does not allow a combination.
type ForbiddenError struct{ Reason string }

func (e *ForbiddenError) Error() string { return e.Reason }
