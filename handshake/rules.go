package handshake

import (
	"attls"
	"attls/extensions/profile"
	"attls/handshake/message"
	"attls/internal/rule"
)

// obeys reports whether a rule is in force; see rule.Without.
func (e *Engine) obeys(r rule.Rule) bool { return rule.Obeys(e.profile(), r) }

// enforce returns the error of a broken rule, or nil where the rule is off.
func (e *Engine) enforce(r rule.Rule, err *attls.Error) *attls.Error {
	if !e.obeys(r) {
		return nil
	}
	return err
}

// parsed returns the error of reading a message, unless an extension stands
// twice in it and may.
func (e *Engine) parsed(err *attls.Error) *attls.Error {
	if err != nil && err.Failure == attls.FailDuplicateExtension {
		return e.enforce(rule.ExtensionOnce, err)
	}
	return err
}

// tolerated reports whether the profile lets a failure pass (alert: none).
func (e *Engine) tolerated(f attls.Failure) bool {
	return f.Attestation() && e.profile().AlertFor(f).None
}

// letPass returns an error unless the profile tolerates its failure.
func (e *Engine) letPass(err *attls.Error) *attls.Error {
	if err != nil && e.tolerated(err.Failure) {
		return nil
	}
	return err
}

// attestationFailure makes the error of a failure, or nil where the profile
// says to go on.
func (e *Engine) attestationFailure(f attls.Failure, format string, args ...any) *attls.Error {
	if e.tolerated(f) {
		return nil
	}
	return attls.Errorf(attls.Violation, f, format, args...)
}

// skips reports whether a message that a profile adds may stand anywhere.
func (e *Engine) skips(m *message.Raw) bool {
	return m.Kind == attls.KindAdded && !e.obeys(rule.AddedInPlace)
}

// profile is never nil.
func (e *Engine) profile() *profile.Profile { return e.cfg.profile() }
