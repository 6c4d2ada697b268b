package cca

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"attls"
	"attls/attestation"
	"attls/attestation/psa"

	"github.com/veraison/ear"
	"github.com/veraison/psatoken"
)

// Policy says which CCA platforms a relying party trusts and in which state, and which
// realms on them. The zero value trusts none. What it does not list is not appraised,
// and the verdict is not affirming then.
type Policy struct {
	// Devices are the platforms whose tokens are believed. None: no token is.
	Devices psa.Devices `yaml:"devices,omitempty"`
	// Software is what the firmware of the platform must be.
	psa.Software `yaml:",inline"`
	// Lifecycle lists the states of the platform's security lifecycle that are
	// accepted; empty: secured.
	Lifecycle []string `yaml:"lifecycle,omitempty"`
	// Config lists the values that the configuration of the platform may have
	// (cca-platform-config).
	Config []attestation.Octets `yaml:"config,omitempty"`
	// Realm is what the realm must be.
	Realm Realm `yaml:"realm,omitempty"`
	// Any lists what may have every value, and is not appraised for that reason:
	// measurements, config, personalization, rim, rem0 to rem3.
	Any []string `yaml:"any,omitempty"`
	// UnattestedKey is for profiles whose binder does not cover the key of the
	// handshake: CCA tokens have no claim for one.
	UnattestedKey attestation.UnattestedKey `yaml:"unattested_key,omitempty"`
}

// Realm is what a policy expects of a realm.
type Realm struct {
	// Measurements are the reference values by what is measured: rim, rem0, rem1, rem2
	// and rem3.
	Measurements map[string][]attestation.Octets `yaml:"measurements,omitempty"`
	// Personalization lists the personalization values (RPV) of 64 octets.
	Personalization []attestation.Octets `yaml:"personalization,omitempty"`
	// HashAlgorithms lists the algorithms of the measurements that are accepted; empty:
	// sha-256, sha-384 and sha-512.
	HashAlgorithms []string `yaml:"hash_algorithms,omitempty"`
}

// Words of Policy.Any, beside the names of realm measurements.
const (
	anyMeasurements    = "measurements"
	anyConfig          = "config"
	anyPersonalization = "personalization"
)

// Names of the realm measurements.
var realmMeasurements = []string{"rim", "rem0", "rem1", "rem2", "rem3"}

// words are what Policy.Any can list.
var words = append([]string{anyMeasurements, anyConfig, anyPersonalization}, realmMeasurements...)

// hashAlgorithms are those of measurements that are accepted by default, and all that
// a policy can list.
var hashAlgorithms = []string{"sha-256", "sha-384", "sha-512"}

// policyOf reads the section of a verifier's file.
func policyOf(s *attestation.Section) (attestation.Policy, error) {
	if s == nil {
		return nil, nil
	}
	var p Policy
	if err := s.Decode(&p); err != nil {
		return nil, err
	}
	for _, x := range []struct {
		member string
		err    error
	}{
		{"devices", p.Devices.Check()}, {"lifecycle", lifecycles.Check(p.Lifecycle)}, {"measurements", p.Software.Check()},
		{"realm", p.Realm.check()}, {"any", p.check()},
	} {
		if x.err != nil {
			return nil, s.Fail(x.member, "%v", x.err)
		}
	}
	return p, nil
}

// check says which word of Any means nothing, or contradicts the policy.
func (p *Policy) check() error {
	for _, word := range p.Any {
		if !slices.Contains(words, word) {
			return fmt.Errorf("there is no %q; there are %s", word, strings.Join(words, ", "))
		}
		listed := word == anyMeasurements && p.Measurements != nil || word == anyConfig && p.Config != nil ||
			word == anyPersonalization && p.Realm.Personalization != nil || p.Realm.Measurements[word] != nil
		if listed {
			return fmt.Errorf("%s may have any value, and the policy lists values for it", word)
		}
	}
	return nil
}

func (r *Realm) check() error {
	for name, values := range r.Measurements {
		if !slices.Contains(realmMeasurements, name) {
			return fmt.Errorf("measurements: there is no %q; there are %s", name, strings.Join(realmMeasurements, ", "))
		}
		for _, v := range values {
			if err := psatoken.ValidatePSAHashType(v); err != nil {
				return fmt.Errorf("measurements: %s: %w", name, err)
			}
		}
	}
	for _, v := range r.Personalization {
		if len(v) != challengeSize {
			return fmt.Errorf("personalization: a value of %d octets; it has %d", len(v), challengeSize)
		}
	}
	for _, name := range r.HashAlgorithms {
		if !slices.Contains(hashAlgorithms, name) {
			return fmt.Errorf("hash_algorithms: there is no %q; there are %s", name, strings.Join(hashAlgorithms, ", "))
		}
	}
	return nil
}

// Names of the steps.
const (
	checkLifecycle       = "lifecycle"
	checkConfig          = "platform-config"
	checkRealm           = "realm"
	checkPersonalization = "realm-personalization"
	checkKeyToken        = "key-token"
)

// Judge implements attestation.Policy.
func (p Policy) Judge(_ context.Context, a *attestation.Appraisal) {
	switch t := a.Reading.Statement.(type) {
	case *token:
		p.judge(a, t)
	case *bundle:
		p.judgeParsec(a, t)
	default:
		a.Check(attestation.CheckTokens, attestation.Refuse(rule, "a reading of type %T", t), "")
	}
}

func (p *Policy) judge(a *attestation.Appraisal, t *token) {
	a.AcceptUnattested = bool(p.UnattestedKey)
	a.Vector.InstanceIdentity = ear.CryptoValidationFailedClaim
	platform := a.Check(attestation.CheckPlatform, p.signed(t),
		"the platform token is signed by the key of a listed device")
	realm := a.Check(attestation.CheckLinkage, t.linked(),
		"the platform token vouches for the key that signed the realm token")
	if platform && realm {
		a.Vector.InstanceIdentity = ear.TrustworthyInstanceClaim
	}
	if platform {
		a.Vector.Hardware = ear.GenuineHardwareClaim
	}
	configuration := check(a, checkLifecycle, lifecycles.Accepted(rule, p.Lifecycle, t.lifecycle),
		"the security lifecycle of the platform is "+lifecycles.Name(t.lifecycle))
	configuration = max(configuration, p.config(a, t))
	a.Vector.Configuration = map[outcome]ear.TrustClaim{good: ear.ApprovedConfigClaim,
		unchecked: ear.UnsafeConfigClaim, bad: ear.UnsupportableConfigClaim}[configuration]
	executables := max(p.firmware(a, t), p.realm(a, t), p.personalization(a, t))
	a.Vector.Executables = map[outcome]ear.TrustClaim{good: ear.ApprovedRuntimeClaim,
		unchecked: ear.UnrecognizedRuntimeClaim, bad: ear.ContraindicatedRuntimeClaim}[executables]
}

// outcome is that of a step; the greatest of several steps is that of all.
type outcome int

const (
	good outcome = iota
	unchecked
	bad
)

// check notes a step.
func check(a *attestation.Appraisal, name string, err *attls.Error, text string) outcome {
	if a.Check(name, err, text) {
		return good
	}
	return bad
}

// signed finds the device that signed the platform token.
func (p *Policy) signed(t *token) *attls.Error {
	return p.Devices.Signed(rule, t.instance, t.implementation, t.platform.Verify)
}

// leftOut notes a step that the policy leaves out: on purpose, or since it lists
// nothing.
func (p *Policy) leftOut(a *attestation.Appraisal, step, word, text string) outcome {
	if slices.Contains(p.Any, word) {
		return check(a, step, nil, "the policy accepts any "+text)
	}
	a.Unchecked(step, "the policy lists no %s", text)
	return unchecked
}

// config compares the configuration of the platform.
func (p *Policy) config(a *attestation.Appraisal, t *token) outcome {
	if len(p.Config) == 0 {
		return p.leftOut(a, checkConfig, anyConfig, "configuration of the platform")
	}
	var err *attls.Error
	if !psa.Listed(p.Config, t.config) {
		err = attestation.Refuse(rule, "the configuration of the platform is %x, which the policy does not list", t.config)
	}
	return check(a, checkConfig, err, "the policy lists the configuration of the platform")
}

// firmware compares the software components of the platform.
func (p *Policy) firmware(a *attestation.Appraisal, t *token) outcome {
	if len(p.Measurements) == 0 {
		return p.leftOut(a, attestation.CheckReference, anyMeasurements, "measurements of the platform")
	}
	return check(a, attestation.CheckReference, p.Measured(rule, t.components),
		"each software component of the platform has a reference value")
}

// realm compares the measurements of the realm.
func (p *Policy) realm(a *attestation.Appraisal, t *token) outcome {
	err := p.hashed(t)
	var compared, any, unlisted []string
	values := append([][]byte{t.initial}, t.extensible...)
	for i, name := range realmMeasurements {
		references := p.Realm.Measurements[name]
		switch {
		case i >= len(values) && references == nil:
		case i >= len(values):
			err = first(err, "the realm token has no %s, for which there is a reference value", name)
		case references != nil && !psa.Listed(references, values[i]):
			err = first(err, "%s of the realm is %x, which is not a reference value", name, values[i])
		case references != nil:
			compared = append(compared, name)
		case slices.Contains(p.Any, name):
			any = append(any, name)
		default:
			unlisted = append(unlisted, name)
		}
	}
	result := good
	if err != nil || compared != nil {
		result = check(a, checkRealm, err, "reference values for "+strings.Join(compared, ", ")+" of the realm match")
	}
	if any != nil {
		check(a, checkRealm, nil, "the policy accepts any "+strings.Join(any, ", ")+" of the realm")
	}
	if unlisted != nil {
		a.Unchecked(checkRealm, "the policy lists no %s of the realm", strings.Join(unlisted, ", "))
		result = max(result, unchecked)
	}
	return result
}

// first is an error, or where there is none yet a refusal.
func first(err *attls.Error, format string, args ...any) *attls.Error {
	if err != nil {
		return err
	}
	return attestation.Refuse(rule, format, args...)
}

// hashed says why the algorithm of the measurements is not accepted.
func (p *Policy) hashed(t *token) *attls.Error {
	accepted := p.Realm.HashAlgorithms
	if len(accepted) == 0 {
		accepted = hashAlgorithms
	}
	if !slices.Contains(accepted, t.hashAlgorithm) {
		return attestation.Refuse(rule, "the realm is measured with %q; the policy accepts %s",
			t.hashAlgorithm, strings.Join(accepted, ", "))
	}
	return nil
}

// personalization compares the personalization value of the realm.
func (p *Policy) personalization(a *attestation.Appraisal, t *token) outcome {
	if len(p.Realm.Personalization) == 0 {
		return p.leftOut(a, checkPersonalization, anyPersonalization, "personalization values of the realm")
	}
	var err *attls.Error
	if !psa.Listed(p.Realm.Personalization, t.personalization) {
		err = attestation.Refuse(rule, "the personalization value of the realm is %x, which the policy does not list",
			t.personalization)
	}
	return check(a, checkPersonalization, err, "the policy lists the personalization value of the realm")
}
