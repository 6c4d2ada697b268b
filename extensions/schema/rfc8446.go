package schema

import (
	_ "embed"
	"sync"
)

//go:embed rfc8446.tls
var rfc8446Text []byte

// RFC8446 is the grammar of the handshake of RFC 8446 and of the extensions
// that other RFCs place in it. The File is shared and must not change.
var RFC8446 = sync.OnceValue(func() *File {
	f, err := Parse(rfc8446Text, Position{File: "rfc8446.tls"})
	if err != nil {
		panic(err) // the text is part of this package and a test parses it
	}
	return f
})
