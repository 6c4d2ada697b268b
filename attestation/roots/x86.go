//go:build !js

package roots

import (
	"attls/attestation"
	"attls/attestation/snp"
	"attls/attestation/tdx"
)

// x86 are the rows of AMD SEV-SNP and Intel TDX.
func x86() []attestation.Format { return []attestation.Format{snp.Format(), tdx.Format()} }
