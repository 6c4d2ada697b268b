package handshake

import (
	"errors"

	"attls"
	"attls/handshake/message"
)

// asError brings any error into the project's type.
func asError(err error) *attls.Error {
	var e *attls.Error
	if errors.As(err, &e) {
		return e
	}
	return attls.Errorf(attls.Local, attls.FailInternal, "%v", err)
}

// asLocal marks an error in building a message of ours.
func asLocal(err error) *attls.Error {
	e := asError(err)
	e.Class = attls.Local
	return e
}

// asGoError keeps a nil *attls.Error from becoming an error that is not nil.
func asGoError(err *attls.Error) error {
	if err == nil {
		return nil
	}
	return err
}

// ours is a copy of an error that comes from outside: it is completed here, and
// may be one that its maker gives to several connections.
func ours(err *attls.Error) *attls.Error {
	c := *err
	return &c
}

// because makes an error of ours with its cause.
func because(cause error, f attls.Failure, format string, args ...any) *attls.Error {
	e := attls.Errorf(attls.Local, f, format, args...)
	e.Err = cause
	return e
}

// missing is the error for an extension that RFC 8446 section 9.2 demands.
func missing(t attls.ExtensionType) *attls.Error { return missingBy(t, "RFC 8446 9.2") }

// missingBy is the error for an extension that another rule demands.
func missingBy(t attls.ExtensionType, rule string) *attls.Error {
	return attls.Errorf(attls.Violation, attls.FailMissingExtension, "the extension is missing").
		Under("extensions." + t.String()).By(rule)
}

// changed is the error of a field that the second ClientHello may not change.
func changed(field string) *attls.Error {
	return attls.Errorf(attls.Violation, attls.FailRetryMismatch, "differs from the first ClientHello").Under(field).
		By("RFC 8446 4.1.2")
}

// reordered is the error of a second ClientHello in another order.
func reordered(field, format string, args ...any) *attls.Error {
	return attls.Errorf(attls.Violation, attls.FailRetryMismatch,
		"the extensions are in another order than in the first ClientHello: "+format, args...).
		Under(field).By("RFC 8446 4.1.2")
}

// unexpected is the error for a message that a state does not take.
func unexpected(m *message.Raw, s state) *attls.Error {
	what := m.Kind.String()
	if m.Kind == attls.KindUnknown || m.Kind == attls.KindAdded {
		what = m.Type.String()
	}
	return attls.Errorf(attls.Violation, attls.FailUnexpectedMessage, "%s in state %s", what, s.name()).By("RFC 8446 4")
}

// truncated is the error of a connection that ends without close_notify.
func truncated() *attls.Error {
	return attls.Errorf(attls.FromPeer, attls.FailTruncated, "the connection ended without close_notify").
		By("RFC 8446 6.1")
}

// badField is the error about a field.
func badField(field, format string, args ...any) *attls.Error {
	return attls.Errorf(attls.Local, attls.FailConfiguration, format, args...).Under(field)
}

// noSchemes is the error of a client that cannot be shown a certificate: either it
// offers no pre-shared key, or none that this server uses.
func noSchemes() *attls.Error { return missingBy(attls.ExtSignatureAlgorithms, "RFC 8446 4.2.3") }

// exhausted is the error of data that would be protected beyond the limit of a
// key that no other follows.
func exhausted(limit uint64) *attls.Error {
	return attls.Errorf(attls.Local, attls.FailLimit,
		"the sending key has protected %d records, and no other can follow it", limit).By("RFC 9846 5.5")
}
