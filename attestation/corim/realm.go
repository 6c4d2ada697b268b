package corim

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"attls/attestation"
	"attls/attestation/cca"

	"github.com/veraison/corim/comid"
	profilecca "github.com/veraison/corim/profiles/cca"
)

// realmElements are the names of measured elements by those of a policy, in the order
// of the policy; the personalization value is not a measurement there.
var realmElements = []struct{ word, element string }{
	{"rim", profilecca.CCARealmInitialMeasurementMkey},
	{"rem0", profilecca.CCARealmExtendedMeasurement0Mkey}, {"rem1", profilecca.CCARealmExtendedMeasurement1Mkey},
	{"rem2", profilecca.CCARealmExtendedMeasurement2Mkey}, {"rem3", profilecca.CCARealmExtendedMeasurement3Mkey},
	{personalization, profilecca.CCARealmPersonalizationMkey},
}

const (
	personalization     = "personalization"
	personalizationSize = 64 // octets
)

// addRealm merges the reference values of realms. A policy accepts every combination of
// its values, and a triple has the values of one realm: realms can be merged where they
// differ in one value.
func addRealm(r cca.Realm, m *Manifest, c *Changes, section string) (cca.Realm, error) {
	if len(m.keys) > 0 {
		return r, fmt.Errorf("%s: a realm has no key that is known beforehand", m.keys[0].where)
	}
	accepted := map[string][]attestation.Octets{}
	maps.Copy(accepted, r.Measurements)
	if r.Personalization != nil {
		accepted[personalization] = r.Personalization
	}
	for _, t := range m.references {
		values, err := realmOf(t)
		if err != nil {
			return r, err
		}
		if err := mergeRealm(accepted, values, c, section, t.where); err != nil {
			return r, err
		}
	}
	r.Personalization = accepted[personalization]
	delete(accepted, personalization)
	r.Measurements = accepted
	return r, nil
}

// realmOf are the values of one triple.
func realmOf(t reference) (map[string][]attestation.Octets, error) {
	id, err := class(t.where, &t.Environment, comid.BytesType)
	if err != nil {
		return nil, err
	}
	if t.Environment.Instance != nil {
		return nil, fmt.Errorf("%s.environment.instance: a policy has no instances of realms", t.where)
	}
	out := map[string][]attestation.Octets{}
	for i := range t.Measurements.Values {
		x := &t.Measurements.Values[i]
		where := fmt.Sprintf("%s.measurements[%d]", t.where, i)
		element, err := mkey(where, x)
		if err != nil {
			return nil, err
		}
		word, value, err := realmValue(where, element, &x.Val)
		if err != nil {
			return nil, err
		}
		out[word] = append(out[word], value)
	}
	if rim := out["rim"]; len(rim) != 1 || string(rim[0]) != string(id) {
		return nil, fmt.Errorf("%s: the class is the realm %x, and its initial measurements are %x", t.where, id, rim)
	}
	return out, nil
}

func realmValue(where, element string, v *comid.Mval) (word string, value []byte, err error) {
	for _, x := range realmElements {
		if x.element == element {
			word = x.word
		}
	}
	switch {
	case word == "":
		return "", nil, fmt.Errorf("%s.mkey: %q is not known", where, element)
	case word != personalization:
		if err = only(where, v, "digests"); err == nil {
			value, err = digest(where, v)
		}
		return word, value, err
	}
	if err = only(where, v, "raw-value", "raw-value-mask"); err == nil {
		value, err = raw(where, v)
	}
	if err == nil && len(value) != personalizationSize {
		err = fmt.Errorf("%s.raw-value: %d octets; a personalization value has %d", where, len(value), personalizationSize)
	}
	return word, value, err
}

// mergeRealm adds the values of a realm to those of a policy.
func mergeRealm(accepted, values map[string][]attestation.Octets, c *Changes, section, where string) error {
	var words []string
	for _, x := range realmElements {
		words = append(words, x.word)
	}
	return combine(words, accepted, values, c, where, func(word string) string {
		if word == personalization {
			return section + "." + word
		}
		return section + ".measurements." + word
	})
}

// combine adds the values of one triple to a policy that accepts every combination of
// its values. The union of both is such a set of combinations where they differ in one
// value, or where one includes the other. A value that only one of them has is compared
// afterwards.
func combine(words []string, accepted, values map[string][]attestation.Octets, c *Changes, where string,
	place func(word string) string) error {
	first := len(accepted) == 0
	var differ []string
	known := true
	for _, word := range words {
		has, gets := accepted[word], values[word]
		if !first && has != nil && gets == nil {
			c.note("%s has no %s; that of the policy is compared still", where, word)
		}
		covered := has == nil || subset(gets, has)
		known = known && covered
		if !covered || gets != nil && !subset(has, gets) {
			differ = append(differ, word)
		}
	}
	if !first && !known && len(differ) > 1 {
		return fmt.Errorf("%s differs from the policy in %s: a policy accepts every combination of its values, "+
			"so also ones that no manifest has; use a file for each", where, strings.Join(differ, " and "))
	}
	for _, word := range words {
		if !first && known && accepted[word] == nil {
			continue // the policy accepts any
		}
		if !first && accepted[word] == nil && values[word] != nil {
			c.note("%s: it was not compared before", place(word))
		}
		for _, v := range values[word] {
			accepted[word] = c.octets(slices.Clone(accepted[word]), v, place(word), where)
		}
	}
	return nil
}

func subset(a, b []attestation.Octets) bool {
	return !slices.ContainsFunc(a, func(v attestation.Octets) bool { return !contains(b, v) })
}

// exportRealm writes a triple for each initial measurement.
func exportRealm(r cca.Realm, e *Export, section string) error {
	e.missing(len(r.HashAlgorithms) > 0, "%s.hash_algorithms", section)
	rims := r.Measurements["rim"]
	if len(rims) == 0 {
		e.missing(len(r.Measurements)+len(r.Personalization) > 0, "%s: a realm is named by its rim, and the policy has none",
			section)
		return nil
	}
	c := comid.NewComid()
	for _, rim := range rims {
		t := &comid.ValueTriple{Environment: comid.Environment{Class: comid.NewClassBytes([]byte(rim))}}
		t.Measurements.Add(newMeasurement(realmElements[0].element).AddDigest(hashes[len(rim)], rim))
		for _, x := range realmElements[1:] {
			for _, v := range r.Measurements[x.word] {
				t.Measurements.Add(newMeasurement(x.element).AddDigest(hashes[len(v)], v))
			}
		}
		for _, v := range r.Personalization {
			t.Measurements.Add(newMeasurement(profilecca.CCARealmPersonalizationMkey).SetRawValueBytes(v, nil))
		}
		c.AddReferenceValue(t)
	}
	e.part("realm", profilecca.RealmProfileURI, c)
	return nil
}
