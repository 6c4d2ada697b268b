package profile

// codecs are the compiled schemas of a profile.
type codecs struct{}
