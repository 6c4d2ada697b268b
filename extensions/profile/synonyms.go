package profile

import (
	"slices"
	"strings"
)

// synonyms are other names for the words of profiles, flags and scenarios. The
// right side is what attls prints in profiles.
var synonyms = map[string]string{
	"background_check":    "evidence", // RFC 9334 section 5.2
	"passport":            "results",  // RFC 9334 section 5.1
	"attestation_results": "results",
	"attestation":         "alone",
}

// canonical returns the known name that a name means: itself, the same in another
// case or with - for _, or one that it is a synonym of; itself if there is none.
func canonical(name string, known []string) string {
	if slices.Contains(known, name) {
		return name
	}
	plain := plainName(name)
	for _, k := range known {
		if plainName(k) == plain {
			return k
		}
	}
	if s := synonyms[plain]; slices.Contains(known, s) {
		return s
	}
	if a, b, ok := strings.Cut(name, "/"); ok { // model/kind of binder.challenge
		if s := canonical(a, modelWords.names()) + "/" + canonical(b, kindWords.names()); slices.Contains(known, s) {
			return s
		}
	}
	return name
}

func plainName(name string) string { return strings.ReplaceAll(strings.ToLower(name), "-", "_") }

// ParseModel reads the name of a model: evidence or background-check, results or
// passport, in any case, with - or _.
func ParseModel(name string) (Model, bool) {
	w := modelWords[:2].find(canonical(name, modelWords[:2].names()))
	if w == nil {
		return 0, false
	}
	return Model(w.value), true
}

// ParseCredentialKind reads the name of a credential kind: alone or attestation, or
// x509, in any case.
func ParseCredentialKind(name string) (CredentialKind, bool) {
	w := kindWords.find(canonical(name, kindWords.names()))
	if w == nil {
		return 0, false
	}
	return CredentialKind(w.value), true
}

// respell gives the keys and words of a document the names of the table, so that
// it merges with its base whatever names each uses. Names that a profile gives stay.
func (k *key) respell(v *value) {
	switch v.form {
	case formScalar:
		if k.words != nil && !v.refers() {
			v.text = canonical(v.text, k.words.names())
		}
	case formList:
		for _, x := range v.items {
			if item := k.each; item != nil {
				if item.form == formList && item.each != nil {
					item = item.each
				}
				item.respell(x)
			}
		}
	case formMap:
		if k.free {
			return
		}
		for _, list := range [][]*entry{v.entries, v.deleted} {
			for _, e := range list {
				k.respellEntry(v, e)
			}
		}
	}
}

func (k *key) respellEntry(v *value, e *entry) {
	if k.find(e.key) == nil && (k.each == nil || k.names != nil) {
		if name := canonical(e.key, k.known()); v.entry(name) == nil { // otherwise the check tells that it is unknown
			e.key = name
		}
	}
	child := k.find(e.key)
	if child == nil {
		child = k.each
	}
	if child != nil && e.value != nil {
		child.respell(e.value)
	}
}
