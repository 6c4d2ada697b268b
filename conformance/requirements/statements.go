package requirements

import (
	"slices"
	"strings"
)

// Statements reads the registry without running anything: rows of a base are
// there, and each has its class and the cases that the file cites, whether its
// profile has room for them or not.
func Statements() ([]Document, error) {
	all, err := read()
	if err != nil {
		return nil, err
	}
	for i := range all {
		if err := all[i].inherit(all[:i]); err != nil {
			return nil, all[i].wrong(err)
		}
		all[i].classify()
	}
	return all, nil
}

// Key names a row among those of all documents: early-attestation-06 R14, RFC
// 8446 4.2.8-1.
func (d *Document) Key(r *Row) string {
	if number, rest, ok := strings.Cut(r.ID, "-"); d.TLS && ok && len(number) == 4 && !strings.Contains(number, ".") {
		return "RFC " + number + " " + rest // of the RFC of an extension
	}
	return d.Title() + " " + r.ID
}

// rowName names a row among those of its document and of the documents whose
// cases run in the same way: with its RFC, except in RFC 8446 itself.
func (d *Document) rowName(r *Row) string {
	if d.TLS && d.Set != "rfc8446" {
		return d.Key(r)
	}
	return r.ID
}

// Citing lists the keys of the rows that cite a case under a profile: those of
// its own text and those of every profile, or, without one, those of TLS 1.3.
func Citing(all []Document, profile, name string) []string {
	var keys []string
	for i := range all {
		d := &all[i]
		if profile == "" && !d.TLS || profile != "" && !d.Common && d.Profile != profile {
			continue
		}
		for k := range d.Rows {
			if cases := d.Rows[k].Cases; slices.Contains(cases, name) ||
				strings.HasPrefix(name, "binder-reading@") && slices.Contains(cases, "binder") {
				keys = append(keys, d.Key(&d.Rows[k]))
			}
		}
	}
	return keys
}
