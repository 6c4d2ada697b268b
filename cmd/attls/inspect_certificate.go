package main

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"slices"
	"unicode/utf8"

	"attls/attestation/roots"
	"attls/conformance/dissect"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/internal/gate"
)

// certificateIn is the DER of the first certificate of a file; false: it is something else.
func certificateIn(b []byte) ([]byte, bool) {
	text, _, _ := bytes.Cut(b, []byte("-----BEGIN ")) // a quote has certificates in it as well
	if block, _ := pem.Decode(b); block != nil && utf8.Valid(text) && !bytes.ContainsRune(text, 0) {
		return block.Bytes, block.Type == "CERTIFICATE"
	}
	if _, err := handshake.ParseCertificate(b); err != nil {
		return nil, false // no CMW is a certificate, so its error is the CMW's
	}
	return b, true
}

// jsonInCertificate is what "evidence inspect" prints as JSON for each profile that reads
// a certificate. Octets are hexadecimal.
type jsonInCertificate struct {
	Profile   string            `json:"profile"`
	Readings  map[string]string `json:"readings,omitempty"`
	Field     string            `json:"field"`
	Octets    int               `json:"payload_octets"`
	Payload   string            `json:"payload"`
	Values    map[string]string `json:"values,omitempty"`
	Differ    []string          `json:"differ,omitempty"`
	Challenge string            `json:"challenge,omitempty"`
	At        *int              `json:"challenge_offset,omitempty"`
}

func inspectCertificate(w io.Writer, der []byte, m profile.Model, asJSON bool) error {
	found := dissect.Certificate(der)
	if len(found) == 0 {
		return failed("no profile that puts Evidence into certificates reads any in this one")
	}
	if asJSON {
		list := make([]jsonInCertificate, len(found))
		for i, c := range found {
			x := &list[i]
			*x = jsonInCertificate{Profile: c.Profile, Readings: c.Readings, Field: c.Field, Octets: len(c.Payload),
				Payload: fmt.Sprintf("%x", c.Payload), Differ: c.Differ, Challenge: fmt.Sprintf("%x", c.Challenge),
				Values: map[string]string{}}
			for name, v := range c.Values {
				x.Values[name] = fmt.Sprintf("%x", v)
			}
			if c.At >= 0 {
				x.At = &c.At
			}
		}
		return writeJSON(gate.Raw(w), list)
	}
	p := newPainter(w)
	for i := range found {
		c := &found[i]
		if i > 0 {
			p.line()
		}
		title := c.Profile
		for _, name := range slices.Sorted(maps.Keys(c.Readings)) {
			title += fmt.Sprintf(", %s=%s", name, c.Readings[name])
		}
		p.titled(title, plain, "")
		p.line(fmt.Sprintf("%d octets in the %s", len(c.Payload), c.Field))
		for _, name := range slices.Sorted(maps.Keys(c.Values)) {
			says := "of this certificate"
			if slices.Contains(c.Differ, name) {
				says = "NOT of this certificate"
			}
			p.flow(p.width, "  ", fmt.Sprintf("%s (%s): %x", name, says, c.Values[name]))
		}
		switch {
		case c.Challenge == nil:
		case c.At >= 0:
			p.flow(p.width, "  ", fmt.Sprintf("challenge, at octet %d of the payload: %x", c.At, c.Challenge))
		default:
			p.flow(p.width, "  ", fmt.Sprintf("challenge, which is not in the payload: %x", c.Challenge))
		}
		if contents, failure := roots.All().Inspect(c.Payload, m); failure == nil {
			if err := showContents(w, c.Payload, contents, false); err != nil {
				return err
			}
		}
	}
	return nil
}
