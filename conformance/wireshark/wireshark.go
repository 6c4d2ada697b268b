// Package wireshark makes Wireshark and tshark show what a profile adds to TLS: it
// writes a dissector in Lua for any profile, and speaks the protocol by which
// Wireshark captures from another program (extcap).
package wireshark

import (
	_ "embed"
	"fmt"
	"strings"

	"attls"
	"attls/attestation"
	"attls/extensions/profile"
)

//go:embed attls.lua
var interpreter string

// Dissector writes a script for Wireshark 4.0 and later that dissects what the profile
// adds to TLS. The script is the compiled profile and an interpreter of it; nothing that
// the profile says becomes code. It fails where the profile was not made by a loader.
func Dissector(p *profile.Profile) ([]byte, error) {
	compiled, err := p.Compiled()
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "-- A dissector of %s for Wireshark. Made by \"attls profile dissector\".\n", attls.Printable(p.ID))
	b.WriteString("local COMPILED = table.concat({\n")
	for line := range strings.Lines(string(compiled)) {
		fmt.Fprintf(&b, "\t%s,\n", quote(line))
	}
	b.WriteString("})\nlocal MEDIA = {\n")
	for n := range 1 << 16 {
		if t, ok := attestation.MediaType(uint16(n)); ok {
			fmt.Fprintf(&b, "\t[%d] = %s,\n", n, quote(t))
		}
	}
	b.WriteString("}\n\n")
	b.WriteString(interpreter)
	return []byte(b.String()), nil
}

// quote writes a string of Lua in which nothing but letters, digits and harmless signs
// is written as it is.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			fmt.Fprintf(&b, "\\%03d", c)
		} else {
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
