package tpm

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/subtle"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"attls/attestation"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

const (
	ruleEK     = "TCG EK Credential Profile"
	ruleAK     = "TPM 2.0 Library, Part 1, 9.5.3"
	secretSize = 32        // octets of the secret that a credential protects
	maxNV      = 16 * 1024 // octets of a certificate in a TPM: a bound of ours
	nvChunk    = 512       // octets that every TPM reads at once
)

// endorsementKeys are those with certificates in a TPM, in the order in which they are
// looked for: where the certificate is, where the key may be, and of which template it is
// made otherwise.
var endorsementKeys = []struct {
	name        string
	certificate tpm2.TPMHandle
	persistent  tpm2.TPMHandle
	template    *tpm2.TPMTPublic
}{
	{"RSA 2048", 0x01c00002, 0x81010001, &tpm2.RSAEKTemplate},
	{"ECC P-256", 0x01c0000a, 0x81010002, &tpm2.ECCEKTemplate},
	{"ECC P-384", 0x01c00016, 0x81010016, nil},
}

// EnrollOptions are what a TPM is enrolled with.
type EnrollOptions struct {
	// Anchors are the roots of the chain of the endorsement key's certificate, and
	// certificates between. Those that issued themselves are trusted, and no others.
	Anchors []*x509.Certificate
	At      time.Time // at which certificates must be valid
	// Name is that of the endorsement and of its reference.
	Name string
	// PCRs are quoted, and their present values become the reference. Empty:
	// DefaultPCRs.
	PCRs string
	// Subject and Hosts (names and addresses) are those of the certificate request.
	Subject string
	Hosts   []string
}

// Enrollment is what there is after a TPM was enrolled.
type Enrollment struct {
	// Device is the section `device` of an attester's file. It can be written as YAML.
	Device any
	// Key is that of handshakes, and Request a certificate request for it (DER).
	Key     *Key
	Request []byte
	// Endorsement and Reference are for the file of a Verifier: the attestation key,
	// and the state of the platform, for which alone it may speak.
	Endorsement attestation.Endorsement
	Reference   attestation.Reference
	// EK is the certificate of the endorsement key, Hardware what it says of the TPM.
	EK       *x509.Certificate
	Hardware Hardware
}

// Hardware is the maker, model and version of a TPM, as its certificate says it.
type Hardware struct{ Manufacturer, Model, Version string }

// String shows the three.
func (h Hardware) String() string {
	return fmt.Sprintf("manufacturer %s, model %s, version %s", h.Manufacturer, h.Model, h.Version)
}

// Enroll makes an attestation key and a key for handshakes in a TPM, and shows that the
// first is in a genuine TPM: one whose endorsement key is certified under the anchors can
// open a credential for the attestation key only if it holds both (TPM 2.0 Library,
// Part 1, 24). The endorsement is written after that alone. It does both parts, that of
// the TPM and that of who enrolls it.
func Enroll(ctx context.Context, t *TPM, o EnrollOptions) (*Enrollment, error) {
	if o.PCRs == "" {
		o.PCRs = DefaultPCRs
	}
	pcrs, err := attestation.ParsePCRSelection(o.PCRs)
	if err != nil {
		return nil, err
	}
	selection, err := selectionFor(o.PCRs)
	if err != nil {
		return nil, err
	}
	out := &Enrollment{Key: &Key{tpm: t}}
	var ak *object
	var digest []byte
	err = t.use(ctx, func(l transport.TPM) (err error) {
		if ak, err = create(l, true); err != nil {
			return err
		}
		if err := out.activated(l, ak, &o); err != nil {
			return err
		}
		if digest, err = ak.state(l, selection); err != nil {
			return err
		}
		out.Key.object, err = create(l, false)
		return err
	})
	if err != nil {
		return nil, err
	}
	if out.Request, err = out.Key.request(ctx, o.Subject, o.Hosts); err != nil {
		return nil, err
	}
	if out.Device, err = t.section(ak, out.Key.object, o.PCRs); err != nil {
		return nil, err
	}
	out.Endorsement = attestation.Endorsement{Name: o.Name, Key: ak.public, References: []string{o.Name}}
	out.Reference = attestation.Reference{Name: o.Name, PCRs: pcrs, PCRDigests: [][]byte{digest}}
	return out, nil
}

// activated shows that the attestation key is in the TPM that the certificate is about.
func (e *Enrollment) activated(t transport.TPM, ak *object, o *EnrollOptions) error {
	ek, err := findEK(t)
	if err != nil {
		return err
	}
	if e.Hardware, err = CheckEK(ek.certificate, o.Anchors, o.At); err != nil {
		return err
	}
	e.EK = ek.certificate
	handle, remove, err := ek.load(t)
	if err != nil {
		return err
	}
	defer remove()
	if err := checkAK(ak.area); err != nil {
		return err
	}
	secret := make([]byte, secretSize)
	rand.Read(secret)
	c, err := makeCredential(ek.area, ak.name.Buffer, secret)
	if err != nil {
		return err
	}
	opened, err := ek.activate(t, handle, ak, c)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(opened, secret) != 1 {
		return attestation.Refuse(ruleEK, "the TPM opens the credential to something else")
	}
	return nil
}

// checkAK refuses a key that could sign what the TPM has not made: with one that is not
// restricted, its owner makes statements of a TPM outside any.
func checkAK(area *tpm2.TPMTPublic) error {
	a := area.ObjectAttributes
	for _, x := range []struct {
		name string
		ok   bool
	}{{"restricted", a.Restricted}, {"sign", a.SignEncrypt}, {"not decrypt", !a.Decrypt}, {"fixedTPM", a.FixedTPM},
		{"fixedParent", a.FixedParent}, {"sensitiveDataOrigin", a.SensitiveDataOrigin}} {
		if !x.ok {
			return attestation.Refuse(ruleAK, "the attestation key must be restricted, for signatures, made in the TPM "+
				"and fixed to it; it is not %q", x.name)
		}
	}
	if h, err := area.NameAlg.Hash(); err != nil || h.Size() < minHash {
		return attestation.Refuse(ruleAK, "the name of the attestation key is made with the algorithm %04x",
			uint16(area.NameAlg))
	}
	if _, err := keyOf(area); err != nil {
		return err
	}
	return nil
}

// credential is what only the TPM with the endorsement key and the named key opens.
type credential struct{ object, secret []byte }

func makeCredential(ek *tpm2.TPMTPublic, name, secret []byte) (*credential, error) {
	key, err := tpm2.ImportEncapsulationKey(ek)
	if err != nil {
		return nil, fmt.Errorf("the endorsement key: %w", err)
	}
	c := &credential{}
	c.object, c.secret, err = tpm2.CreateCredential(rand.Reader, key, name, secret)
	return c, err
}

// endorsementKey is the key of a TPM with a certificate of its maker.
type endorsementKey struct {
	name        string
	certificate *x509.Certificate
	persistent  tpm2.TPMHandle // 0: made of the template
	template    *tpm2.TPMTPublic
	area        *tpm2.TPMTPublic
}

// findEK finds the first certificate in the TPM, and its key.
func findEK(t transport.TPM) (*endorsementKey, error) {
	for _, x := range endorsementKeys {
		der, err := readNV(t, x.certificate)
		if errors.Is(err, tpm2.TPMRCHandle) { // no such index
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("the certificate of the endorsement key (%s): %w", x.name, err)
		}
		ek := &endorsementKey{name: x.name, template: x.template}
		if ek.certificate, err = parseEK(der); err != nil {
			return nil, fmt.Errorf("the certificate of the endorsement key (%s): %w", x.name, err)
		}
		if r, err := (tpm2.ReadPublic{ObjectHandle: x.persistent}).Execute(t); err == nil {
			if area, err := r.OutPublic.Contents(); err == nil && ek.certifies(area) {
				ek.persistent, ek.area = x.persistent, area
				return ek, nil
			}
		}
		if x.template == nil {
			return nil, fmt.Errorf("the endorsement key (%s) must be at %#x, and it is not there", x.name, uint32(x.persistent))
		}
		return ek, nil
	}
	return nil, errors.New("the TPM has no certificate of an endorsement key (at 01c00002, 01c0000a or 01c00016), " +
		"so nothing shows that it is genuine")
}

// certifies reports whether the certificate is about a key.
func (e *endorsementKey) certifies(area *tpm2.TPMTPublic) bool {
	var key crypto.PublicKey
	var err error
	switch area.Type {
	case tpm2.TPMAlgRSA, tpm2.TPMAlgECC:
		key, err = tpm2.Pub(*area)
	default:
		return false
	}
	if err != nil {
		return false
	}
	switch k := key.(type) {
	case *rsa.PublicKey:
		return k.Equal(e.certificate.PublicKey)
	case *ecdsa.PublicKey:
		return k.Equal(e.certificate.PublicKey)
	}
	return false
}

// load makes the endorsement key usable.
func (e *endorsementKey) load(t transport.TPM) (tpm2.NamedHandle, func(), error) {
	if e.persistent != 0 {
		name, err := tpm2.ObjectName(e.area)
		if err != nil {
			return tpm2.NamedHandle{}, nil, err
		}
		return tpm2.NamedHandle{Handle: e.persistent, Name: *name}, func() {}, nil
	}
	r, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHEndorsement, InPublic: tpm2.New2B(*e.template)}.Execute(t)
	if err != nil {
		return tpm2.NamedHandle{}, nil, fmt.Errorf("the endorsement key (%s): %w", e.name, err)
	}
	remove := func() { flush(t, r.ObjectHandle) }
	if e.area, err = r.OutPublic.Contents(); err == nil && !e.certifies(e.area) {
		err = attestation.Refuse(ruleEK, "the certificate in the TPM is about another key than the TPM makes of the template")
	}
	if err != nil {
		remove()
		return tpm2.NamedHandle{}, nil, err
	}
	return tpm2.NamedHandle{Handle: r.ObjectHandle, Name: r.Name}, remove, nil
}

// activate has the TPM open a credential for a key.
func (e *endorsementKey) activate(t transport.TPM, ek tpm2.NamedHandle, key *object, c *credential) ([]byte, error) {
	h, remove, err := key.load(t)
	if err != nil {
		return nil, err
	}
	defer remove()
	auth := tpm2.PasswordAuth(nil)
	if !e.area.ObjectAttributes.UserWithAuth {
		// The policy of the TCG's templates: who may use the endorsement hierarchy.
		auth = tpm2.Policy(tpm2.TPMAlgSHA256, 16,
			func(t transport.TPM, session tpm2.TPMISHPolicy, nonce tpm2.TPM2BNonce) error {
				_, err := tpm2.PolicySecret{AuthHandle: tpm2.TPMRHEndorsement, PolicySession: session, NonceTPM: nonce}.Execute(t)
				return err
			})
	}
	r, err := tpm2.ActivateCredential{ActivateHandle: h,
		KeyHandle:      tpm2.AuthHandle{Handle: ek.Handle, Name: ek.Name, Auth: auth},
		CredentialBlob: tpm2.TPM2BIDObject{Buffer: c.object}, Secret: tpm2.TPM2BEncryptedSecret{Buffer: c.secret}}.Execute(t)
	switch {
	case errors.Is(err, tpm2.TPMRCIntegrity):
		return nil, fmt.Errorf("the credential was made for another attestation key: %w", err)
	case err != nil:
		return nil, fmt.Errorf("TPM2_ActivateCredential: %w", err)
	}
	return r.CertInfo.Buffer, nil
}

// readNV reads an index that everybody may read.
func readNV(t transport.TPM, index tpm2.TPMHandle) ([]byte, error) {
	r, err := tpm2.NVReadPublic{NVIndex: index}.Execute(t)
	if err != nil {
		return nil, err
	}
	public, err := r.NVPublic.Contents()
	if err != nil {
		return nil, err
	}
	size := int(public.DataSize)
	if size > maxNV {
		return nil, fmt.Errorf("%d octets; at most %d are read", size, maxNV)
	}
	b := make([]byte, 0, size)
	for len(b) < size {
		r, err := tpm2.NVRead{AuthHandle: tpm2.AuthHandle{Handle: index, Name: r.NVName, Auth: tpm2.PasswordAuth(nil)},
			NVIndex: tpm2.NamedHandle{Handle: index, Name: r.NVName}, Size: uint16(min(nvChunk, size-len(b))),
			Offset: uint16(len(b))}.Execute(t)
		if err != nil {
			return nil, err
		}
		if len(r.Data.Buffer) == 0 {
			return nil, errors.New("the TPM reads nothing")
		}
		b = append(b, r.Data.Buffer...)
	}
	return b, nil
}

// parseEK reads a certificate, after which makers leave other octets.
func parseEK(der []byte) (*x509.Certificate, error) {
	in := cryptobyte.String(der)
	var one cryptobyte.String
	if !in.ReadASN1Element(&one, cbasn1.SEQUENCE) {
		return nil, errors.New("it is not DER")
	}
	return x509.ParseCertificate(one)
}

var (
	oidSAN = asn1.ObjectIdentifier{2, 5, 29, 17}
	// tcg-kp-EKCertificate
	oidEK           = asn1.ObjectIdentifier{2, 23, 133, 8, 1}
	oidManufacturer = asn1.ObjectIdentifier{2, 23, 133, 2, 1}
	oidModel        = asn1.ObjectIdentifier{2, 23, 133, 2, 2}
	oidVersion      = asn1.ObjectIdentifier{2, 23, 133, 2, 3}
)

// CheckEK verifies the certificate of an endorsement key at a time, under those anchors
// that issued themselves, and returns what it says of the TPM. The subject of such a
// certificate is empty and its subjectAltName critical: a directory name, which
// crypto/x509 leaves to us.
func CheckEK(c *x509.Certificate, anchors []*x509.Certificate, at time.Time) (h Hardware, _ error) {
	if len(anchors) == 0 {
		return h, attestation.Refuse(ruleEK, "there are no trust anchors for the certificate of the endorsement key")
	}
	h, err := hardwareOf(c)
	if err != nil {
		return h, attestation.Refuse(ruleEK, "%v", err).Under("subjectAltName")
	}
	handled := *c
	handled.UnhandledCriticalExtensions = slices.DeleteFunc(slices.Clone(c.UnhandledCriticalExtensions), oidSAN.Equal)
	if !slices.ContainsFunc(c.UnknownExtKeyUsage, oidEK.Equal) {
		return h, attestation.Refuse(ruleEK, "the certificate is not one of an endorsement key (%v)", oidEK).
			Under("extKeyUsage")
	}
	o := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: at,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	for _, a := range anchors {
		if bytes.Equal(a.RawSubject, a.RawIssuer) {
			o.Roots.AddCert(a)
		} else {
			o.Intermediates.AddCert(a)
		}
	}
	if _, err := handled.Verify(o); err != nil {
		return h, attestation.Refuse(ruleEK,
			"the certificate of the endorsement key (%v) does not verify under %d trust anchors: %v", h, len(anchors), err)
	}
	return h, nil
}

// hardwareOf reads the one directory name of the subjectAltName.
func hardwareOf(c *x509.Certificate) (h Hardware, err error) {
	i := slices.IndexFunc(c.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(oidSAN) })
	if i < 0 {
		return h, errors.New("it is missing, so nothing says which TPM this is")
	}
	in := cryptobyte.String(c.Extensions[i].Value)
	var names, name cryptobyte.String
	if !in.ReadASN1(&names, cbasn1.SEQUENCE) || !in.Empty() {
		return h, errors.New("it is not a list of names")
	}
	found := 0
	for !names.Empty() {
		var tag cbasn1.Tag
		if !names.ReadAnyASN1(&name, &tag) {
			return h, errors.New("it is not a list of names")
		}
		if tag != cbasn1.Tag(4).Constructed().ContextSpecific() {
			continue
		}
		var sequence pkix.RDNSequence
		if rest, err := asn1.Unmarshal(name, &sequence); err != nil || len(rest) > 0 {
			return h, errors.New("the directory name cannot be read")
		}
		found++
		for _, set := range sequence {
			for _, a := range set {
				text, _ := a.Value.(string)
				switch {
				case a.Type.Equal(oidManufacturer):
					h.Manufacturer = text
				case a.Type.Equal(oidModel):
					h.Model = text
				case a.Type.Equal(oidVersion):
					h.Version = text
				}
			}
		}
	}
	if found != 1 || h.Manufacturer == "" || h.Model == "" || h.Version == "" {
		return h, fmt.Errorf("it has %d directory names; one says manufacturer, model and version of the TPM", found)
	}
	return h, nil
}

// state is the digest of PCRs, from a quote of the TPM.
func (o *object) state(t transport.TPM, pcrs tpm2.TPMLPCRSelection) ([]byte, error) {
	signer, remove, err := o.load(t)
	if err != nil {
		return nil, err
	}
	defer remove()
	r, err := tpm2.Quote{SignHandle: signer, PCRSelect: pcrs, InScheme: scheme(tpm2.TPMAlgSHA256)}.Execute(t)
	if err != nil {
		return nil, fmt.Errorf("TPM2_Quote: %w", err)
	}
	attest, err := r.Quoted.Contents()
	if err != nil {
		return nil, err
	}
	q, err := attest.Attested.Quote()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(tpm2.Marshal(q.PCRSelect), tpm2.Marshal(pcrs)) {
		return nil, fmt.Errorf("the TPM quotes the PCRs %v, not those that are wanted: it has no such bank",
			selectionOf(q.PCRSelect))
	}
	return q.PCRDigest.Buffer, nil
}

// request makes a certificate request that the key signs.
func (k *Key) request(ctx context.Context, subject string, hosts []string) ([]byte, error) {
	r := &x509.CertificateRequest{Subject: pkix.Name{CommonName: subject}, SignatureAlgorithm: x509.ECDSAWithSHA256}
	for _, host := range hosts {
		if ip := net.ParseIP(strings.Trim(host, "[]")); ip != nil {
			r.IPAddresses = append(r.IPAddresses, ip)
		} else {
			r.DNSNames = append(r.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, r, within{k, ctx})
	if err != nil {
		return nil, fmt.Errorf("the certificate request: %w", err)
	}
	return der, nil
}

// within is a key whose signatures end with a context.
type within struct {
	*Key
	ctx context.Context
}

// Sign implements crypto.Signer.
func (w within) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return w.SignContext(w.ctx, digest, opts)
}

// section is the device of an attester's file.
func (t *TPM) section(ak, tik *object, pcrs string) (*device, error) {
	d := &device{PCRs: pcrs}
	path, err := filepath.Abs(t.name)
	if err != nil {
		return nil, err
	}
	switch t.kind {
	case kindDevice:
		d.Path = path
	case kindSocket:
		d.Socket = path
	default:
		return nil, fmt.Errorf("the TPM of %s ends with this process, so no file can name it", t.name)
	}
	text, err := ak.pem()
	if err != nil {
		return nil, err
	}
	d.AK = string(text)
	if text, err = tik.pem(); err != nil {
		return nil, err
	}
	d.Keys = []string{string(text)}
	return d, nil
}
