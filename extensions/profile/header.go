package profile

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// Header writes the code points of a profile as macros of a C header, so that
// programs in C take them from the same place as we do:
//
//	#define EARLY_ATTESTATION_06_EXTENSION_REMOTE_ATTESTATION 0xff06
func Header(p *Profile) string {
	var b strings.Builder
	prefix := macro(p.ID)
	fmt.Fprintf(&b, "/* Code points of %s. Made by \"attls profile header\". */\n#ifndef %s_H\n#define %[2]s_H\n\n",
		p.ID, prefix)
	define := func(kind, name string, value any) {
		fmt.Fprintf(&b, "#define %s_%s_%s %v\n", prefix, kind, macro(name), value)
	}
	for _, x := range p.Extensions {
		define("EXTENSION", x.Name, fmt.Sprintf("%#04x", uint16(x.Type)))
	}
	for _, x := range p.LaterExtensions {
		if _, ok := p.Extension(x.Type); !ok {
			define("EXTENSION", x.Name, fmt.Sprintf("%#04x", uint16(x.Type)))
		}
	}
	if r := &p.Authenticator; r.FlagName != "" {
		define("FLAG", r.FlagName, uint16(r.Flag))
	}
	for _, n := range slices.Sorted(maps.Keys(p.CertificateTypes)) {
		define("CERTIFICATE_TYPE", p.CertificateTypes[n], uint8(n))
	}
	for _, m := range p.Messages {
		define("MESSAGE", m.Name, uint8(m.Type))
	}
	for _, n := range slices.Sorted(maps.Keys(p.AlertNames)) {
		define("ALERT", p.AlertNames[n], uint8(n))
	}
	b.WriteString("\n#endif\n")
	return b.String()
}

// macro spells a name as macros are: REMOTE_ATTESTATION for remoteAttestation.
func macro(name string) string {
	var b strings.Builder
	for i, r := range name {
		switch {
		case unicode.IsUpper(r) && i > 0 && !strings.HasSuffix(b.String(), "_"):
			b.WriteByte('_')
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			r = '_'
		}
		b.WriteRune(unicode.ToUpper(r))
	}
	return b.String()
}
