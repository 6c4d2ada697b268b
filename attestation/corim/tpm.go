package corim

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"

	"attls/attestation"
	"attls/attestation/tpm"

	"github.com/veraison/corim/comid"
)

// profileTPM is the profile of Parsec's Evidence of a TPM.
const profileTPM = "tag:github.com/parallaxsecond,2023-03-03:tpm"

// banks are the TPM_ALG_ID of the banks of PCRs by the algorithms of digests.
var banks = map[uint64]uint16{1: 0x0b, 7: 0x0c, 8: 0x0d}

const maxPCR = 31

var tpmRow = &row{root: tpm.Name, profiles: []string{profileTPM}, add: addTPM, export: exportTPM}

// addTPM adds a reference for the PCRs of each class, and an endorsement for each key.
func addTPM(m *Manifest, v *attestation.Verifier, c *Changes) error {
	references, endorsements := slices.Clone(v.References), slices.Clone(v.Endorsements)
	for _, r := range m.references {
		if r.Environment.Instance != nil {
			return fmt.Errorf("%s.environment.instance: PCRs are those of a class here", r.where)
		}
		list, err := quotes(r)
		if err != nil {
			return err
		}
		for _, q := range list {
			text := fmt.Sprintf("references: %q: %s with the digest %x (%s)", q.Name, q.PCRs, q.PCRDigests[0], r.where)
			i := slices.IndexFunc(references, func(x attestation.Reference) bool { return x.Name == q.Name })
			switch {
			case i < 0:
				references = append(references, q)
				c.Added = append(c.Added, text)
			case references[i].PCRs.String() == q.PCRs.String() && len(references[i].PCRDigests) == 1 &&
				bytes.Equal(references[i].PCRDigests[0], q.PCRDigests[0]):
				c.Known = append(c.Known, text)
			default:
				return fmt.Errorf("%s: the file has a reference %q with other values", r.where, q.Name)
			}
		}
	}
	for _, k := range m.keys {
		e, err := endorsement(k, references)
		if err != nil {
			return err
		}
		text := fmt.Sprintf("endorsements: the attestation key %q (%s)", e.Name, k.where)
		if slices.ContainsFunc(endorsements, func(x attestation.Endorsement) bool {
			return sameKey(x.Key, e.Key) && slices.Equal(x.References, e.References)
		}) {
			c.Known = append(c.Known, text)
			continue
		}
		endorsements = append(endorsements, e)
		c.Added = append(c.Added, text)
		c.note("%s.environment.instance: the key is compared, not its name", k.where)
	}
	v.References, v.Endorsements = references, endorsements
	return nil
}

// classOfTPM is the UUID of a class, as text.
func classOfTPM(where string, e *comid.Environment) (string, error) {
	if _, err := class(where, e, comid.UUIDType); err != nil {
		return "", err
	}
	return e.Class.ClassID.String(), nil
}

// quotes are the references of a triple: one for each bank of PCRs.
func quotes(r reference) (list []attestation.Reference, err error) {
	id, err := classOfTPM(r.where, &r.Environment)
	if err != nil {
		return nil, err
	}
	values := map[uint64]map[int][]byte{}
	for i := range r.Measurements.Values {
		x := &r.Measurements.Values[i]
		where := fmt.Sprintf("%s.measurements[%d]", r.where, i)
		if x.Key == nil || !x.Key.IsSet() {
			return nil, fmt.Errorf("%s.mkey is missing", where)
		}
		n, err := x.Key.GetKeyUint()
		if err != nil || n > maxPCR {
			return nil, fmt.Errorf("%s.mkey: %s is not the number of a PCR (0 to %d)", where, x.Key.Value, maxPCR)
		}
		if err := only(where, &x.Val, "digests"); err != nil {
			return nil, err
		}
		if x.Val.Digests == nil || len(*x.Val.Digests) == 0 {
			return nil, fmt.Errorf("%s.digests: there is none", where)
		}
		for _, d := range *x.Val.Digests {
			if banks[d.HashAlgID] == 0 || hashes[len(d.HashValue)] != d.HashAlgID {
				return nil,
					fmt.Errorf(
						"%s.digests: the algorithm %d is not that of a bank; there are sha-256 (1), sha-384 (7) and sha-512 (8)",
						where, d.HashAlgID)
			}
			if values[d.HashAlgID] == nil {
				values[d.HashAlgID] = map[int][]byte{}
			}
			if values[d.HashAlgID][int(n)] != nil {
				return nil, fmt.Errorf("%s.digests: two values of PCR %d in one bank; exactly one can be compared", where, n)
			}
			values[d.HashAlgID][int(n)] = d.HashValue
		}
	}
	var first []int
	for _, alg := range slices.Sorted(maps.Keys(values)) {
		pcrs := slices.Sorted(maps.Keys(values[alg]))
		if first == nil {
			first = pcrs
		}
		if !slices.Equal(first, pcrs) {
			return nil, fmt.Errorf("%s: the banks have values of different PCRs", r.where)
		}
		var all []byte
		for _, n := range pcrs {
			all = append(all, values[alg][n]...)
		}
		digest := sha256.Sum256(all)
		selection := attestation.PCRSelection{{Hash: banks[alg], PCRs: pcrs}}
		name := id
		if len(list) > 0 {
			name = fmt.Sprintf("%s %s", id, selection)
		}
		list = append(list, attestation.Reference{Name: name, PCRs: selection, PCRDigests: [][]byte{digest[:]}})
	}
	return list, nil
}

// endorsement is that of a key, for the platforms of its class.
func endorsement(k key, references []attestation.Reference) (e attestation.Endorsement, err error) {
	id, err := classOfTPM(k.where, &k.Environment)
	if err != nil {
		return e, err
	}
	kid, err := instance(k.where, &k.Environment, comid.BytesType)
	if err != nil {
		return e, err
	}
	if e.Key, err = verificationKey(k); err != nil {
		return e, err
	}
	e.Name = fmt.Sprintf("%s %x", id, kid)
	for _, r := range references {
		if r.PCRDigests != nil && (r.Name == id || len(r.Name) > len(id) && r.Name[:len(id)+1] == id+" ") {
			e.References = append(e.References, r.Name)
		}
	}
	if e.References == nil {
		return e,
			fmt.Errorf(
				"%s: there are no reference values of the class %s, so that the key could speak for none; read them first",
				k.where, id)
	}
	return e, nil
}

// exportTPM writes the attestation keys. Of PCRs a policy has the digest of all, and a
// manifest the value of each.
func exportTPM(v *attestation.Verifier, e *Export) error {
	quoted := map[string]bool{}
	for _, r := range v.References {
		if r.PCRDigests != nil {
			quoted[r.Name] = true
			e.missing(true, "references: %q: it has a digest of all PCRs, and a manifest has the value of each", r.Name)
		}
	}
	keys := comid.NewComid()
	for _, x := range v.Endorsements {
		i := slices.IndexFunc(x.References, func(name string) bool { return quoted[name] })
		if i < 0 {
			continue // of another root of trust
		}
		id, err := comid.ParseUUID(x.References[i])
		if err != nil {
			e.missing(true, "endorsements: %q: its first reference is not named by the UUID of a class", x.Name)
			continue
		}
		k, err := newKey(x.Key)
		if err != nil {
			return err
		}
		kid, err := tpm.KeyID(x.Key)
		if err != nil {
			return fmt.Errorf("endorsements: %q: %w", x.Name, err)
		}
		inst, err := comid.NewBytesInstance(kid)
		if err != nil {
			return err
		}
		keys.AddAttestVerifKey(&comid.KeyTriple{Environment: comid.Environment{Class: comid.NewClassUUID(id), Instance: inst},
			VerifKeys: comid.CryptoKeys{k}})
	}
	e.part("", profileTPM, keys)
	return nil
}
