package attestation

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// PCRBank is the PCRs that a TPM quotes of one bank.
type PCRBank struct {
	Hash uint16 // TPM_ALG_ID of the bank, for example 000b for SHA-256
	PCRs []int  // their numbers, ascending
}

// PCRSelection is a TPML_PCR_SELECTION (TPM 2.0 Library, Part 2, 10.9.7): the PCRs
// that a digest of PCRs is taken over, bank by bank in the order of the digest.
type PCRSelection []PCRBank

// maxPCR is the highest number of a PCR; the bitmap of a TPM has 24 bits or 32.
const maxPCR = 31

// pcrBanks are the TPM_ALG_ID of hashes (TCG Algorithm Registry) by the names of
// tpm2-tools.
var pcrBanks = map[string]uint16{"sha1": 0x04, "sha256": 0x0b, "sha384": 0x0c, "sha512": 0x0d, "sha3_256": 0x27,
	"sha3_384": 0x28, "sha3_512": 0x29}

func bankName(hash uint16) string {
	for name, id := range pcrBanks {
		if id == hash {
			return name
		}
	}
	return fmt.Sprintf("0x%04x", hash)
}

// ParsePCRSelection reads a selection as tpm2_quote takes it: sha256:0,1,2,7, and
// further banks after a plus sign.
func ParsePCRSelection(text string) (PCRSelection, error) {
	var out PCRSelection
	for _, part := range strings.Split(text, "+") {
		name, list, ok := strings.Cut(strings.TrimSpace(part), ":")
		hash, known := pcrBanks[name]
		if !ok || !known {
			return nil, fmt.Errorf("%q is not a bank and its PCRs, as in sha256:0,1,2", part)
		}
		bank := PCRBank{Hash: hash}
		for _, field := range strings.Split(list, ",") {
			n, err := strconv.Atoi(strings.TrimSpace(field))
			if err != nil || n < 0 || n > maxPCR {
				return nil, fmt.Errorf("%q is not the number of a PCR (0 to %d)", field, maxPCR)
			}
			if slices.Contains(bank.PCRs, n) {
				return nil, fmt.Errorf("the PCR %d appears twice in the bank %s", n, name)
			}
			bank.PCRs = append(bank.PCRs, n)
		}
		slices.Sort(bank.PCRs)
		out = append(out, bank)
	}
	return out, nil
}

// String prints a selection as ParsePCRSelection reads it.
func (s PCRSelection) String() string {
	if len(s) == 0 {
		return "(none)"
	}
	var banks []string
	for _, b := range s {
		var numbers []string
		for _, n := range b.PCRs {
			numbers = append(numbers, strconv.Itoa(n))
		}
		banks = append(banks, bankName(b.Hash)+":"+strings.Join(numbers, ","))
	}
	return strings.Join(banks, "+")
}

// equal compares two selections; the order of banks counts, since it is that of
// the digest.
func (s PCRSelection) equal(t PCRSelection) bool {
	return slices.EqualFunc(s, t, func(a, b PCRBank) bool { return a.Hash == b.Hash && slices.Equal(a.PCRs, b.PCRs) })
}
