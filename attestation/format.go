package attestation

import (
	"fmt"
	"mime"
	"strconv"
	"strings"

	"attls"
	"attls/extensions/profile"

	"github.com/veraison/cmw"
)

// Content formats of RFC 9782.
const (
	FormatCWT = 263 // application/eat+cwt
	FormatJWT = 264 // application/eat+jwt
)

// The media types of the same.
const (
	MediaTypeCWT = "application/eat+cwt"
	MediaTypeJWT = "application/eat+jwt"
)

// MediaType is the media type, with its parameters, of a CoAP content format;
// false for a number that IANA's registry does not hold. There is one table,
// that of veraison/cmw.
func MediaType(contentFormat uint16) (string, bool) {
	var t cmw.Type
	if err := t.Set(contentFormat); err != nil {
		return "", false
	}
	s := t.String()
	return s, strings.Contains(s, "/")
}

// kind is a format with its parameters apart. Content formats that have no
// media type keep their number as name.
type kind struct {
	name       string
	parameters map[string]string
}

func kindOf(f profile.Format) (kind, error) {
	name := f.MediaType
	if name == "" {
		m, ok := MediaType(f.ContentFormat)
		if !ok {
			return kind{name: strconv.Itoa(int(f.ContentFormat))}, nil
		}
		name = m
	}
	name, parameters, err := mime.ParseMediaType(name)
	if err != nil {
		return kind{}, err
	}
	if !strings.Contains(name, "/") {
		return kind{}, fmt.Errorf("%q has no subtype", name)
	}
	return kind{name, parameters}, nil
}

// Matches compares the type of a CMW with the negotiated format (FORMATS 1.7):
// equal after mapping content formats to media types; the media type with more
// parameters than were negotiated; or not at all.
func Matches(got, want profile.Format, m profile.FormatMatch) *attls.Error {
	if m == profile.MatchIgnore {
		return nil
	}
	g, errGot := kindOf(got)
	w, errWant := kindOf(want)
	if errGot != nil || errWant != nil || g.name != w.name || !fits(g.parameters, w.parameters, m) {
		return attls.Errorf(attls.Violation, attls.FailFormatMismatch, "the CMW holds %s, negotiated was %s",
			FormatString(got), FormatString(want)).
			Under("type").By("RFC 9999 3.1")
	}
	return nil
}

func fits(got, want map[string]string, m profile.FormatMatch) bool {
	if m == profile.MatchEqual && len(got) != len(want) {
		return false
	}
	for k, v := range want {
		g, ok := got[k]
		// RFC 9782 makes the value of eat_profile insensitive to case.
		if !ok || g != v && !(k == "eat_profile" && strings.EqualFold(g, v)) {
			return false
		}
	}
	return true
}

// FormatString prints a format: the media type, or the number with its media
// type where there is one.
func FormatString(f profile.Format) string {
	if f.MediaType != "" {
		return f.MediaType
	}
	if m, ok := MediaType(f.ContentFormat); ok {
		return fmt.Sprintf("content format %d (%s)", f.ContentFormat, m)
	}
	return fmt.Sprintf("content format %d", f.ContentFormat)
}
