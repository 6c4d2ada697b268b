package tpm

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"sync"

	"attls"
	"attls/attestation"
	"attls/negotiation"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// device is the section `device` of an attester's file. One of the first three members
// says where the TPM is; an emulator is a swtpm of this process.
type device struct {
	Path        string                 `yaml:"path,omitempty"`         // a device, such as /dev/tpmrm0
	Socket      string                 `yaml:"socket,omitempty"`       // a Unix socket, such as that of swtpm
	EmulatorKey attestation.PrivateKey `yaml:"emulator_key,omitempty"` // the attestation key of an emulator

	AK     string            `yaml:"attestation_key,omitempty"`        // PEM of the type TSS2 PRIVATE KEY
	Handle attestation.Whole `yaml:"attestation_key_handle,omitempty"` // or a persistent key
	Keys   []string          `yaml:"keys,omitempty"`                   // of handshakes, the same PEM
	PCRs   string            `yaml:"pcrs,omitempty"`                   // as tpm2_quote takes them
}

// DefaultPCRs are quoted where nothing else is said: what firmware and boot loader
// measure.
const DefaultPCRs = "sha256:0,1,2,3,4,5,6,7"

// open makes an Attester of a section.
func open(f func() attestation.Format) func(context.Context, attestation.DeviceOptions) (negotiation.Attester, error) {
	return func(_ context.Context, o attestation.DeviceOptions) (negotiation.Attester, error) {
		m, err := makerOf(o.Section)
		if err != nil {
			return nil, err
		}
		m.quotes = f().Name == Name
		return attester(f, m), nil
	}
}

func attester(f func() attestation.Format, m *maker) negotiation.Attester {
	row := f()
	return &attestation.Root{Format: &row, Maker: m}
}

func makerOf(s *attestation.Section) (*maker, error) {
	d := device{PCRs: DefaultPCRs}
	if err := s.Decode(&d); err != nil {
		return nil, err
	}
	places := 0
	for _, there := range []bool{d.Path != "", d.Socket != "", d.EmulatorKey.Signer != nil} {
		if there {
			places++
		}
	}
	if places != 1 {
		return nil, s.Fail("path",
			"a TPM is at a path (of a device), at a socket, or an emulator with emulator_key: name one of them")
	}
	m := &maker{}
	var err error
	if m.pcrs, err = selectionFor(d.PCRs); err != nil {
		return nil, s.Fail("pcrs", "pcrs: %v", err)
	}
	for _, text := range d.Keys {
		o, err := parsePEM(text)
		if err != nil {
			return nil, s.Fail("keys", "keys: %v", err)
		}
		m.own = append(m.own, o)
	}
	switch {
	case d.Path != "":
		m.tpm = atDevice(s.File(d.Path))
	case d.Socket != "":
		m.tpm = atSocket(s.File(d.Socket))
	default:
		if d.AK != "" || d.Handle != 0 || d.Keys != nil {
			return nil, s.Fail("emulator_key", "an emulator has this key alone; a new swtpm knows no others")
		}
		if m.tpm, err = emulator(); err != nil {
			return nil, s.Fail("emulator_key", "%v", err)
		}
		if m.imported, err = onP256(d.EmulatorKey.Signer); err != nil {
			return nil, s.Fail("emulator_key", "%v", err)
		}
		return m, nil
	}
	switch {
	case (d.AK != "") == (d.Handle != 0):
		return nil, s.Fail("attestation_key",
			"the attestation key is either attestation_key, as attls evidence enroll tpm makes it, or attestation_key_handle")
	case d.Handle != 0 && (tpm2.TPMHandle(d.Handle) < firstPersistent || tpm2.TPMHandle(d.Handle) > lastPersistent):
		return nil, s.Fail("attestation_key_handle", "%#x is not the handle of a persistent key (%#x to %#x)",
			uint32(d.Handle), uint32(firstPersistent), uint32(lastPersistent))
	case d.Handle != 0:
		m.handle = tpm2.TPMHandle(d.Handle)
	default:
		if m.ak, err = parsePEM(d.AK); err != nil {
			return nil, s.Fail("attestation_key", "attestation_key: %v", err)
		}
	}
	return m, nil
}

func onP256(k crypto.Signer) (*ecdsa.PrivateKey, error) {
	key, ok := k.(*ecdsa.PrivateKey)
	if !ok || key.Curve.Params().BitSize != 256 {
		return nil, errors.New("the key must be on P-256")
	}
	return key, nil
}

// parsePEM reads a key of a TPM from one PEM block.
func parsePEM(text string) (*object, error) {
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != PEMType || len(bytes.TrimSpace(rest)) > 0 {
		return nil, fmt.Errorf("one block of PEM of the type %q is expected", PEMType)
	}
	return parseKeyFile(block.Bytes)
}

// maxRecent is how many keys of handshakes that were made here are remembered until they
// are certified.
const maxRecent = 256

// maker makes Evidence with a TPM.
type maker struct {
	tpm      *TPM
	pcrs     tpm2.TPMLPCRSelection
	quotes   bool
	handle   tpm2.TPMHandle    // of the attestation key
	imported *ecdsa.PrivateKey // the attestation key of an emulator
	own      []*object         // keys of handshakes, of the file

	mu     sync.Mutex
	ak     *object   // nil until it is needed, where it is not from a file
	recent []*object // keys of handshakes that were made here
}

var _ attestation.KeyMaker = (*maker)(nil)

// NewKey implements attestation.KeyMaker.
func (m *maker) NewKey(ctx context.Context, _ attls.Role) (crypto.Signer, error) {
	k, err := m.tpm.NewKey(ctx)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.recent) == maxRecent {
		m.recent = append(m.recent[:0], m.recent[1:]...)
	}
	m.recent = append(m.recent, k.object)
	return k, nil
}

// find is the key of the handshake.
func (m *maker) find(spki []byte) (*object, error) {
	key, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, list := range [][]*object{m.recent, m.own} {
		for _, o := range list {
			if o.public.Equal(key) {
				return o, nil
			}
		}
	}
	return nil, fmt.Errorf("the key of the handshake is not one of this TPM, which certifies no others: "+
		"make it with attls evidence enroll tpm, and list it under keys of the device (there are %d)", len(m.own))
}

// attestationKey finds or imports the attestation key. It is called during a use of the
// TPM.
func (m *maker) attestationKey(t transport.TPM) (*object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ak != nil {
		return m.ak, nil
	}
	var err error
	if m.imported != nil {
		m.ak, err = importKey(t, m.imported)
	} else {
		m.ak, err = persistentKey(t, m.handle)
	}
	if err != nil {
		return nil, fmt.Errorf("the attestation key: %w", err)
	}
	return m.ak, nil
}

// importKey puts a key into an emulator: the keys that a new swtpm makes are new, and no
// policy could trust them beforehand.
func importKey(t transport.TPM, key *ecdsa.PrivateKey) (*object, error) {
	d, err := key.Bytes()
	if err != nil {
		return nil, err
	}
	area := template(tpm2.TPMAObject{UserWithAuth: true, NoDA: true, SignEncrypt: true, Restricted: true})
	if err := setPoint(&area, &key.PublicKey); err != nil {
		return nil, err
	}
	sensitive := tpm2.Marshal(tpm2.New2B(tpm2.TPMTSensitive{SensitiveType: tpm2.TPMAlgECC,
		Sensitive: tpm2.NewTPMUSensitiveComposite(tpm2.TPMAlgECC, &tpm2.TPM2BECCParameter{Buffer: d})}))
	parent, remove, err := parentOf(t, tpm2.TPMRHOwner)
	if err != nil {
		return nil, err
	}
	defer remove()
	r, err := tpm2.Import{ParentHandle: parent, ObjectPublic: tpm2.New2B(area),
		Duplicate: tpm2.TPM2BPrivate{Buffer: sensitive}, Symmetric: tpm2.TPMTSymDef{Algorithm: tpm2.TPMAlgNull}}.Execute(t)
	if err != nil {
		return nil, err
	}
	return objectOf(&object{parent: tpm2.TPMRHOwner, private: r.OutPrivate.Buffer}, &area)
}

// setPoint makes a public area that of a key which is there already.
func setPoint(area *tpm2.TPMTPublic, key *ecdsa.PublicKey) error {
	point, err := key.Bytes()
	if err != nil {
		return err
	}
	n := len(point) / 2
	area.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{
		X: tpm2.TPM2BECCParameter{Buffer: point[1 : 1+n]}, Y: tpm2.TPM2BECCParameter{Buffer: point[1+n:]}})
	return nil
}

// Make implements attestation.Maker: the TPM certifies the key of the handshake and
// quotes its PCRs, both over the challenge.
func (m *maker) Make(ctx context.Context, q *attestation.Question) ([]byte, error) {
	tik, err := m.find(q.SPKI)
	if err != nil {
		return nil, err
	}
	var out value
	err = m.tpm.use(ctx, func(t transport.TPM) error {
		ak, err := m.attestationKey(t)
		if err != nil {
			return err
		}
		signer, remove, err := ak.load(t)
		if err != nil {
			return fmt.Errorf("the attestation key: %w", err)
		}
		defer remove()
		if out.kid, err = KeyID(ak.public); err != nil {
			return fmt.Errorf("the attestation key: %w", err)
		}
		if err := out.certify(t, signer, tik, q.Field); err != nil || !m.quotes {
			return err
		}
		return out.quote(t, signer, m.pcrs, q.Field)
	})
	if err != nil {
		return nil, err
	}
	return out.encode()
}

// KeyID is the name of an attestation key in Evidence (kid), by which a Verifier finds
// it: an octet 01 and the SHA-256 of its uncompressed point (SEC 1 section 2.3.3), 33
// octets. The error says that the key is not on a curve of ECDSA.
func KeyID(key crypto.PublicKey) ([]byte, error) {
	k, ok := key.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("a key of type %T; attestation keys are for ECDSA", key)
	}
	point, err := k.Bytes()
	if err != nil {
		return nil, err
	}
	h := sha256.Sum256(point)
	return append([]byte{1}, h[:]...), nil
}

// value is what becomes the value of a CMW.
type value struct {
	kid                  []byte
	area                 []byte // TPMT_PUBLIC
	certified, certifier []byte // TPMS_ATTEST and TPMT_SIGNATURE
	quoted, quoter       []byte // the same; none where no PCR is quoted
}

// attested are the octets of a TPM2B_ATTEST.
func attested(b tpm2.TPM2BAttest) []byte { return b.Bytes() }

func (v *value) certify(t transport.TPM, signer tpm2.AuthHandle, tik *object, challenge []byte) error {
	subject, remove, err := tik.load(t)
	if err != nil {
		return fmt.Errorf("the key of the handshake: %w", err)
	}
	defer remove()
	r, err := tpm2.Certify{ObjectHandle: subject, SignHandle: signer, QualifyingData: tpm2.TPM2BData{Buffer: challenge},
		InScheme: scheme(tpm2.TPMAlgSHA256)}.Execute(t)
	if err != nil {
		return tooLong(err, challenge)
	}
	v.area, v.certified, v.certifier = tpm2.Marshal(*tik.area), attested(r.CertifyInfo), tpm2.Marshal(r.Signature)
	return nil
}

func (v *value) quote(t transport.TPM, signer tpm2.AuthHandle, pcrs tpm2.TPMLPCRSelection, challenge []byte) error {
	r, err := tpm2.Quote{SignHandle: signer, QualifyingData: tpm2.TPM2BData{Buffer: challenge}, PCRSelect: pcrs,
		InScheme: scheme(tpm2.TPMAlgSHA256)}.Execute(t)
	if err != nil {
		return tooLong(err, challenge)
	}
	v.quoted, v.quoter = attested(r.Quoted), tpm2.Marshal(r.Signature)
	return nil
}

// tooLong says what an error of a TPM without long hashes means.
func tooLong(err error, challenge []byte) error {
	if errors.Is(err, tpm2.TPMRCSize) {
		return fmt.Errorf("a challenge of %d octets, which is longer than extraData of this TPM: %w", len(challenge), err)
	}
	return err
}

func (v *value) encode() ([]byte, error) {
	all := attestation.Claims{}
	add := func(label, member string, attest, signature, area []byte) {
		c := attestation.Claims{}
		c.Set("tpmVer", "2.0")
		c.Set("kid", v.kid)
		c.Set("sig", signature)
		c.Set(member, attest)
		if area != nil {
			c.Set("pubArea", area)
		}
		all[label] = c.Encode()
	}
	add(labelKAT, "certInfo", v.certified, v.certifier, v.area)
	if v.quoted != nil {
		add(labelPAT, "attestInfo", v.quoted, v.quoter, nil)
	}
	return all.Encode(), nil
}

// selectionFor is a selection as a TPM takes it.
func selectionFor(text string) (list tpm2.TPMLPCRSelection, err error) {
	selection, err := attestation.ParsePCRSelection(text)
	if err != nil {
		return list, err
	}
	for _, bank := range selection {
		bitmap := make([]byte, 3)
		for _, n := range bank.PCRs {
			for n/8 >= len(bitmap) {
				bitmap = append(bitmap, 0)
			}
			bitmap[n/8] |= 1 << (n % 8)
		}
		list.PCRSelections = append(list.PCRSelections,
			tpm2.TPMSPCRSelection{Hash: tpm2.TPMAlgID(bank.Hash), PCRSelect: bitmap})
	}
	return list, nil
}

// emulates is Format.Emulate.
type emulates = func(context.Context, attestation.EmulatorOptions) (*attestation.Emulation, error)

// emulate makes a TPM of which the attestation key comes out of a seed. The rest is that
// of a new swtpm, whose PCRs 0 to 7 are zero.
func emulate(f func() attestation.Format) emulates {
	return func(_ context.Context, o attestation.EmulatorOptions) (*attestation.Emulation, error) {
		ak, err := attestation.DeriveKey(o.Seed, "tpm attestation key")
		if err != nil {
			return nil, err
		}
		t, err := emulator()
		if err != nil {
			return nil, err
		}
		pcrs, err := attestation.ParsePCRSelection(DefaultPCRs)
		if err != nil {
			return nil, err
		}
		selection, err := selectionFor(DefaultPCRs)
		if err != nil {
			return nil, err
		}
		const name = "emulated TPM: proves nothing"
		zeros := sha256.Sum256(make([]byte, len(pcrs[0].PCRs)*sha256.Size))
		row := f()
		e := &attestation.Emulation{
			Attester:     attester(f, &maker{tpm: t, pcrs: selection, quotes: row.Name == Name, imported: ak}),
			Device:       &device{EmulatorKey: attestation.PrivateKey{Signer: ak}},
			Endorsements: []attestation.Endorsement{{Name: name, Key: ak.Public(), References: []string{name}}},
			References:   []attestation.Reference{{Name: name, PCRs: pcrs, PCRDigests: [][]byte{zeros[:]}}},
		}
		if row.Name == CertifyName {
			e.Policy = Policy{Platform: Unquoted}
		}
		return e, nil
	}
}
