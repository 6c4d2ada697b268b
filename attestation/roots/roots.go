// Package roots is the table of the roots of trust of this project. A program that
// has one of its own adds a row:
//
//	table, err := roots.All().With(mine.Format())
package roots

import (
	"sync"

	"attls/attestation"
	"attls/attestation/cca"
	"attls/attestation/nitro"
	"attls/attestation/psa"
	"attls/attestation/tpm"
)

// All is the table, the software root of trust first. Each package adds one line. The table
// is made once, since all cases of a run ask for it, and its rows must not be changed: to
// have other rows, add them with [attestation.Formats.With].
func All() attestation.Formats { return all() }

var all = sync.OnceValue(func() attestation.Formats {
	rows := append(attestation.SoftwareFormats(),
		cca.Format(),
		cca.ParsecFormat(),
		nitro.Format(),
		psa.Format(),
	)
	rows = append(rows, x86()...)
	table, err := attestation.NewFormats(append(rows,
		tpm.Format(),
		tpm.CertifyFormat(),
	)...)
	if err == nil {
		table, err = table.WithComposite()
	}
	if err != nil {
		panic(err) // a mistake in a row, which the test of this package finds
	}
	return table
})
