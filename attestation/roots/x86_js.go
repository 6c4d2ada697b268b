package roots

import "attls/attestation"

// x86 is empty in a browser: the libraries that read Evidence of AMD SEV-SNP and Intel
// TDX do not compile there.
func x86() []attestation.Format { return nil }
