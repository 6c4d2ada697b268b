package nitro

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"attls"
	"attls/attestation"

	"github.com/hf/nitrite"
	"github.com/veraison/ear"
)

// Policy says which enclaves a relying party trusts. The zero value trusts none.
type Policy struct {
	// TrustAnchors are the roots of the chain to the key that signs documents: that of
	// AWS, or of an emulator. None: no document is believed. There is no default, that
	// of the library included.
	TrustAnchors attestation.Certificates `yaml:"trust_anchors,omitempty"`
	// Measurements are the reference values of registers, by their names pcr0 to
	// pcr31. Registers that are not listed are not compared. Empty: the enclave's
	// image is not appraised, so no verdict is affirming.
	Measurements map[string][]attestation.Octets `yaml:"measurements,omitempty"`
	// Modules are the module ids (instance and enclave) that are accepted; empty: any.
	Modules []string `yaml:"modules,omitempty"`
	// Debug is whether enclaves in debug mode are accepted, whose registers are zero.
	Debug attestation.Debugging `yaml:"debug,omitempty"`
	// UnattestedKey is for documents without a public_key, in profiles whose binder
	// does not cover the key of the handshake.
	UnattestedKey attestation.UnattestedKey `yaml:"unattested_key,omitempty"`
}

// policyOf reads the section of a verifier's file.
func policyOf(s *attestation.Section) (attestation.Policy, error) {
	if s == nil {
		return nil, nil
	}
	var p Policy
	if err := s.Decode(&p); err != nil {
		return nil, err
	}
	if len(p.TrustAnchors) == 0 {
		return nil, s.Fail("trust_anchors", "there are no trust anchors, so no document would be accepted")
	}
	for name, values := range p.Measurements {
		if _, err := pcrNamed(name); err != nil {
			return nil, s.Fail("measurements", "%v", err)
		}
		for _, v := range values {
			if n := len(v); n != 32 && n != 48 && n != 64 {
				return nil, s.Fail("measurements", "%s: %d octets; registers have 32, 48 or 64", name, n)
			}
		}
	}
	return p, nil
}

// pcrNamed is the index of a register.
func pcrNamed(name string) (uint64, error) {
	digits, ok := strings.CutPrefix(name, "pcr")
	i, err := strconv.ParseUint(digits, 10, 8)
	if !ok || err != nil || i >= maxPCRs || pcrName(i) != name {
		return 0, fmt.Errorf("there is no register %q; they are pcr0 to pcr%d", name, maxPCRs-1)
	}
	return i, nil
}

// Judge implements attestation.Policy.
func (p Policy) Judge(_ context.Context, a *attestation.Appraisal) {
	d, ok := a.Reading.Statement.(*document)
	if !ok {
		a.Check(attestation.CheckTokens, attestation.Refuse(rule, "a reading of type %T", a.Reading.Statement), "")
		return
	}
	a.AcceptUnattested = bool(p.UnattestedKey)
	a.Vector.InstanceIdentity = ear.CryptoValidationFailedClaim
	if a.Check(attestation.CheckPlatform, p.signed(a, d),
		"the document is signed by a key that a trust anchor vouches for") {
		a.Vector.Hardware = ear.GenuineHardwareClaim
		if a.Check("instance", p.instance(d), "the enclave is "+d.module) {
			a.Vector.InstanceIdentity = ear.TrustworthyInstanceClaim
		}
	}
	a.Vector.Configuration = ear.UnsupportableConfigClaim
	if a.Check("debug", p.debug(d), "the enclave is not in debug mode, or the policy accepts it") {
		a.Vector.Configuration = ear.ApprovedConfigClaim
	}
	a.Vector.Executables = ear.ContraindicatedRuntimeClaim
	if len(p.Measurements) == 0 {
		a.Vector.Executables = ear.UnrecognizedRuntimeClaim
		a.Unchecked(attestation.CheckReference, "the policy lists no measurements")
	} else if a.Check(attestation.CheckReference, p.measured(d), "each listed register has a reference value") {
		a.Vector.Executables = ear.ApprovedRuntimeClaim
	}
}

// signed checks the signature and the chain at the time of the appraisal.
func (p *Policy) signed(a *attestation.Appraisal, d *document) *attls.Error {
	roots := x509.NewCertPool() // never nil: then the library would trust AWS
	for _, x := range p.TrustAnchors {
		roots.AddCert(x)
	}
	// The library returns a result beside an error: only the error counts.
	if _, err := nitrite.Verify(d.octets, nitrite.VerifyOptions{Roots: roots, CurrentTime: a.At}); err != nil {
		return attestation.Refuse(rule, "the document does not verify under %d trust anchors: %v", len(p.TrustAnchors), err)
	}
	if ahead := d.at.Sub(a.At); ahead > a.Skew {
		return attestation.Refuse(rule, "the document was made %v after now", ahead).Under("timestamp")
	}
	for _, x := range append(slices.Clone(d.bundle), d.certificate) {
		a.Ends(x.NotAfter)
	}
	return nil
}

func (p *Policy) instance(d *document) *attls.Error {
	if len(p.Modules) > 0 && !slices.Contains(p.Modules, d.module) {
		return attestation.Refuse(rule, "the policy does not list %q", d.module).Under("module_id")
	}
	return nil
}

// debug refuses documents of which the registers of the image are zero: so it is in
// debug mode, whatever runs.
func (p *Policy) debug(d *document) *attls.Error {
	if p.Debug {
		return nil
	}
	for i := range uint64(3) {
		if v, ok := d.pcrs[i]; ok && !zero(v) {
			return nil
		}
	}
	return attestation.Refuse(rule, "registers 0 to 2 are zero, so the enclave is in debug mode").Under("pcrs")
}

func zero(b []byte) bool { return !slices.ContainsFunc(b, func(x byte) bool { return x != 0 }) }

func (p *Policy) measured(d *document) *attls.Error {
	for name, references := range p.Measurements {
		i, err := pcrNamed(name)
		if err != nil {
			return attestation.Refuse(rule, "%v", err)
		}
		v, ok := d.pcrs[i]
		if !ok {
			return attestation.Refuse(rule, "the document has no register %d, for which there is a reference value", i).
				Under("pcrs")
		}
		if !slices.ContainsFunc(references, func(x attestation.Octets) bool { return string(x) == string(v) }) {
			return attestation.Refuse(rule, "register %d is %x, which is not a reference value", i, v).Under("pcrs")
		}
	}
	return nil
}
