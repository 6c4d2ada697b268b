package profile

// none is never changed: every connection without a profile shares it.
var none = Profile{Resumption: Resumption{ExternalPSK: true}}

// None is the profile of a connection without one: it has no slot, extension,
// message, alert or quirk, and sessions are resumed as RFC 8446 says. It must not
// be changed.
func None() *Profile { return &none }
