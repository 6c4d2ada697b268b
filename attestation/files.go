package attestation

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"attls/extensions/profile"

	"github.com/veraison/eat"
	"go.yaml.in/yaml/v3"
)

// The files below are YAML, or JSON, which is YAML too. Unknown members are
// errors; every error begins with file:line. Octet strings are hexadecimal,
// keys are PEM or the base64 of their DER (PKCS #8, SubjectPublicKeyInfo).

// attesterFile is the file of a software root of trust.
type attesterFile struct {
	PlatformKey       PrivateKey   `yaml:"platform_key"`
	KeyAttestationKey PrivateKey   `yaml:"key_attestation_key"`
	Platform          platformFile `yaml:"platform"`
	Offers            []offerFile  `yaml:"offers,omitempty"`
	Relays            []relayFile  `yaml:"relays,omitempty"`
	// TokenLifetime is after how long tokens expire; absent: never.
	TokenLifetime time.Duration `yaml:"token_lifetime,omitempty"`
}

type platformFile struct {
	UEID       Octets          `yaml:"ueid"`
	OEMID      Octets          `yaml:"oemid,omitempty"`
	OEMPEN     Whole           `yaml:"oem_pen,omitempty"`
	Model      string          `yaml:"model,omitempty"`
	Debug      debugState      `yaml:"debug"`
	Profile    string          `yaml:"profile"`
	Components []componentFile `yaml:"components,omitempty"`
}

type componentFile struct {
	Name    string `yaml:"name"`
	Version string `yaml:"version"`
	Digest  SHA256 `yaml:"digest"`
}

type offerFile struct {
	Format formatName `yaml:"format"` // a content format or a media type
	Tokens tokensName `yaml:"tokens,omitempty"`
	JSON   bool       `yaml:"json,omitempty"`
}

// relayFile names a verifier's file, next to this one, whose results are relayed.
type relayFile struct {
	Identity string `yaml:"identity"`
	Verifier string `yaml:"verifier"`
}

// verifierFile is the file of a Verifier.
type verifierFile struct {
	Identity     string            `yaml:"identity,omitempty"`
	Build        string            `yaml:"build,omitempty"`
	SigningKey   PrivateKey        `yaml:"signing_key,omitempty"` // for results; ECDSA with P-256
	Formats      []formatName      `yaml:"formats,omitempty"`
	Validity     time.Duration     `yaml:"validity,omitempty"`
	MaxResultAge time.Duration     `yaml:"max_result_age,omitempty"`
	ClockSkew    time.Duration     `yaml:"clock_skew,omitempty"`
	MaxSize      Whole             `yaml:"max_size,omitempty"`  // octets of a CMW
	Audiences    []string          `yaml:"audiences,omitempty"` // names besides identity
	Endorsements []endorsementFile `yaml:"endorsements,omitempty"`
	References   []referenceFile   `yaml:"references,omitempty"`
	Trusted      []trustedFile     `yaml:"trusted_verifiers,omitempty"`
	Unattested   UnattestedKey     `yaml:"unattested_key,omitempty"`
	Machines     []machineFile     `yaml:"machines,omitempty"`
	Roots        map[string]any    `yaml:"roots,omitempty"` // policies by the name of the format
}

// endorsementFile is a key and the platforms for which it may speak; one of the
// last five members must be there.
type endorsementFile struct {
	Name       string    `yaml:"name"`
	Key        PublicKey `yaml:"key"`
	UEIDs      []Octets  `yaml:"ueids,omitempty"`
	OEMID      Octets    `yaml:"oemid,omitempty"`
	OEMPEN     Whole     `yaml:"oem_pen,omitempty"`
	Model      string    `yaml:"model,omitempty"`
	References []string  `yaml:"references,omitempty"`
}

type referenceFile struct {
	Name       string             `yaml:"name"`
	UEIDs      []Octets           `yaml:"ueids,omitempty"`
	OEMID      Octets             `yaml:"oemid,omitempty"`
	OEMPEN     Whole              `yaml:"oem_pen,omitempty"`
	Model      string             `yaml:"model,omitempty"`
	Debug      *debugState        `yaml:"debug,omitempty"` // the least accepted; absent: disabled
	Profile    string             `yaml:"profile,omitempty"`
	Components []referencePartial `yaml:"components,omitempty"`
	Prototype  bool               `yaml:"prototype,omitempty"`   // for the prototype's tokens only
	PCRs       pcrSelection       `yaml:"pcrs,omitempty"`        // for Parsec's Evidence of a TPM only
	PCRDigests []SHA256           `yaml:"pcr_digests,omitempty"` // the same; of exactly those PCRs
}

type referencePartial struct {
	Name     string   `yaml:"name"`
	Versions []string `yaml:"versions,omitempty"`
	Digests  []SHA256 `yaml:"digests"`
}

type trustedFile struct {
	Identity  string    `yaml:"identity"`
	Developer string    `yaml:"developer,omitempty"`
	Key       PublicKey `yaml:"key"`
	Service   string    `yaml:"service,omitempty"` // veraison; absent: none of a known kind
}

// machineFile is a machine with its devices, by the names of formats.
type machineFile struct {
	Name      string            `yaml:"name"`
	Instances map[string]Octets `yaml:"instances"`
}

// at puts the line of a node before an error; place makes file:line of it.
func at(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("line %d: %w", n.Line, fmt.Errorf(format, args...))
}

// Whole is a whole number that is not negative. The library would take 1.5 for 1.
type Whole uint32

// UnmarshalYAML reads 0 to 4294967295 without a fraction.
func (w *Whole) UnmarshalYAML(n *yaml.Node) error {
	var v uint32
	if n.ShortTag() != "!!int" || n.Decode(&v) != nil {
		return at(n, "%q is not a whole number of 0 to %d", n.Value, uint32(math.MaxUint32))
	}
	*w = Whole(v)
	return nil
}

// Octets is an octet string as a file writes it, in hexadecimal; spaces between its
// digits are ignored, and it is not empty.
type Octets []byte

// UnmarshalYAML reads hexadecimal.
func (o *Octets) UnmarshalYAML(n *yaml.Node) error {
	b, err := hex.DecodeString(strings.ReplaceAll(n.Value, " ", ""))
	if err != nil || n.Kind != yaml.ScalarNode || len(b) == 0 {
		return at(n, "%q is not an octet string in hexadecimal", n.Value)
	}
	*o = b
	return nil
}

// MarshalYAML writes hexadecimal.
func (o Octets) MarshalYAML() (any, error) { return hex.EncodeToString(o), nil }

// SHA256 is a SHA-256 digest as a file writes it, in hexadecimal: 32 octets.
type SHA256 []byte

// UnmarshalYAML reads 32 octets in hexadecimal.
func (o *SHA256) UnmarshalYAML(n *yaml.Node) error {
	if err := (*Octets)(o).UnmarshalYAML(n); err != nil {
		return err
	}
	if len(*o) != digestSize {
		return at(n, "a digest of %d octets; SHA-256 has %d", len(*o), digestSize)
	}
	return nil
}

// MarshalYAML writes hexadecimal.
func (o SHA256) MarshalYAML() (any, error) { return Octets(o).MarshalYAML() }

// pcrSelection is a bank and its PCRs, as in sha256:0,1,2.
type pcrSelection PCRSelection

func (s *pcrSelection) UnmarshalYAML(n *yaml.Node) error {
	selection, err := ParsePCRSelection(n.Value)
	if err != nil || n.Kind != yaml.ScalarNode {
		return at(n, "pcrs: %w", err)
	}
	*s = pcrSelection(selection)
	return nil
}

func (s pcrSelection) IsZero() bool              { return len(s) == 0 }
func (s pcrSelection) MarshalYAML() (any, error) { return PCRSelection(s).String(), nil }

// derOf reads PEM of the given type, or base64.
func derOf(n *yaml.Node, typ string) ([]byte, error) {
	if block, rest := pem.Decode([]byte(n.Value)); block != nil {
		if block.Type != typ {
			return nil, at(n, "PEM of type %q; one block of type %q is expected", block.Type, typ)
		}
		if len(bytes.TrimSpace(rest)) > 0 {
			return nil, at(n, "%d octets after the PEM of type %q; one block is expected", len(rest), typ)
		}
		return block.Bytes, nil
	}
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(n.Value), ""))
	if err != nil || len(der) == 0 {
		return nil, at(n, "a key is PEM or base64")
	}
	return der, nil
}

const (
	pemPublic  = "PUBLIC KEY"
	pemPrivate = "PRIVATE KEY"
)

func pemOf(typ string, der []byte, err error) (any, error) {
	return string(pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der})), err
}

// PublicKey is a public key as a file writes it: PEM, or base64 of its DER
// SubjectPublicKeyInfo.
type PublicKey struct{ crypto.PublicKey }

// UnmarshalYAML reads PEM, or base64 of SubjectPublicKeyInfo, and refuses a key that no signature here is made with.
func (k *PublicKey) UnmarshalYAML(n *yaml.Node) error {
	der, err := derOf(n, pemPublic)
	if err != nil {
		return err
	}
	if k.PublicKey, err = parseSPKI(der); err != nil {
		return at(n, "%w", err)
	}
	if _, err := algorithmOf(k.PublicKey); err != nil { // it would verify nothing
		return at(n, "%w", err)
	}
	return nil
}

// MarshalYAML writes PEM.
func (k PublicKey) MarshalYAML() (any, error) {
	der, err := spkiOf(k.PublicKey)
	return pemOf(pemPublic, der, err)
}

// PrivateKey is a private key as a file writes it: PEM, or base64 of its DER PKCS #8.
type PrivateKey struct{ crypto.Signer }

// UnmarshalYAML reads PEM, or base64 of PKCS #8.
func (k *PrivateKey) UnmarshalYAML(n *yaml.Node) error {
	der, err := derOf(n, pemPrivate)
	if err != nil {
		return err
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return at(n, "%w", err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return at(n, "a key of type %T does not sign", key)
	}
	if _, err := algorithmOf(signer.Public()); err != nil {
		return at(n, "%w", err)
	}
	k.Signer = signer
	return nil
}

// IsZero reports whether there is no key.
func (k PrivateKey) IsZero() bool { return k.Signer == nil }

// MarshalYAML writes PEM.
func (k PrivateKey) MarshalYAML() (any, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.Signer)
	return pemOf(pemPrivate, der, err)
}

// oneOf finds a scalar among names.
func oneOf(n *yaml.Node, names []string) (int, error) {
	for i, name := range names {
		if n.Value == name {
			return i, nil
		}
	}
	return 0, at(n, "%q is none of %s", n.Value, strings.Join(names, ", "))
}

// debugState is dbgstat (RFC 9711 section 4.2.9) by name.
type debugState eat.Debug

var debugNames = []string{
	eat.DebugNotDisabled:          "enabled",
	eat.DebugDisabled:             "disabled",
	eat.DebugDisabledSinceBoot:    "disabled-since-boot",
	eat.DebugPermanentDisable:     "disabled-permanently",
	eat.DebugFullPermanentDisable: "disabled-fully-and-permanently",
}

func (d *debugState) UnmarshalYAML(n *yaml.Node) error {
	i, err := oneOf(n, debugNames)
	*d = debugState(i)
	return err
}

func (d debugState) MarshalYAML() (any, error) { return debugNames[d], nil }

type tokensName Tokens

var tokensNames = []string{KATAndPAT: "kat-and-pat", Combined: "combined", Prototype: "prototype"}

func (t *tokensName) UnmarshalYAML(n *yaml.Node) error {
	i, err := oneOf(n, tokensNames)
	*t = tokensName(i)
	return err
}

func (t tokensName) MarshalYAML() (any, error) { return tokensNames[t], nil }

type formatName profile.Format

func (f *formatName) UnmarshalYAML(n *yaml.Node) error {
	format, err := ParseFormat(n.Value)
	if err != nil {
		return at(n, "%w", err)
	}
	*f = formatName(format)
	return nil
}

func (f formatName) MarshalYAML() (any, error) {
	if f.MediaType != "" {
		return f.MediaType, nil
	}
	return int(f.ContentFormat), nil
}

// ParseFormat reads a content format (a number) or a media type.
func ParseFormat(s string) (profile.Format, error) {
	if s == "" {
		return profile.Format{}, errors.New("a format is a content format (0 to 65535) or a media type, and this is empty")
	}
	if n, err := strconv.ParseUint(s, 0, 16); err == nil {
		return profile.Format{ContentFormat: uint16(n)}, nil
	}
	f := profile.Format{MediaType: s}
	if _, err := kindOf(f); err != nil {
		return f, fmt.Errorf("%q is neither a content format (0 to 65535) nor a media type: %w", s, err)
	}
	return f, nil
}

const maxFile = 1 << 20 // octets

// readFile decodes a file into v, and returns it for the lines of its members.
func readFile(name string, v any) (*document, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("%s: more than %d octets; at most so many are read", name, maxFile)
	}
	doc := &document{name: name}
	d := yaml.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(&doc.root); err == io.EOF {
		return nil, fmt.Errorf("%s: the file is empty", name)
	} else if err != nil {
		return nil, place(name, err)
	}
	if err := doc.acyclic(&doc.root, map[*yaml.Node]bool{}); err != nil {
		return nil, err
	}
	if err := doc.known(&doc.root, reflect.TypeOf(v)); err != nil {
		return nil, err
	}
	if err := doc.root.Decode(v); err != nil {
		return nil, place(name, err)
	}
	var second yaml.Node
	if err := d.Decode(&second); err != io.EOF {
		if err != nil {
			return nil, place(name, err)
		}
		return nil, fmt.Errorf("%s:%d: a second document, which nobody would read", name, second.Line)
	}
	if err := doc.noNull(&doc.root, ""); err != nil {
		return nil, err
	}
	return doc, nil
}

// document is a file that was decoded, kept for its lines.
type document struct {
	name string
	root yaml.Node
}

// fail is an error at the item i of a list, at one of its members where there is
// such a member.
func (d *document) fail(list string, i int, member, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	if len(d.root.Content) == 0 {
		return fmt.Errorf("%s: %s", d.name, text)
	}
	n := child(d.root.Content[0], list)
	if n == nil || i >= len(n.Content) {
		return fmt.Errorf("%s: %s", d.name, text)
	}
	n = n.Content[i]
	if m := child(n, member); m != nil {
		n = m
	}
	return fmt.Errorf("%s:%d: %s", d.name, n.Line, text)
}

// member is a member of the file itself.
func (d *document) member(name string) *yaml.Node {
	if len(d.root.Content) == 0 {
		return nil
	}
	return child(d.root.Content[0], name)
}

// fileError is an error at a node.
func (d *document) fileError(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s", d.name, n.Line, fmt.Sprintf(format, args...))
}

// zero refuses the members of the file that are there although their value is
// zero, which would mean the default.
func (d *document) zero(of *yaml.Node, members map[string]bool) error {
	for _, name := range slices.Sorted(maps.Keys(members)) {
		switch n := child(of, name); {
		case n == nil || !members[name]:
		case n.Kind == yaml.ScalarNode:
			return d.fileError(n, "%s is %q, with which nothing would be accepted; remove it for the default", name, n.Value)
		default:
			return d.fileError(n, "%s lists nothing; remove it for the default", name)
		}
	}
	return nil
}

// noNull refuses null, which the library takes for a member that is not there. A
// name may be left open.
func (d *document) noNull(n *yaml.Node, name string) error {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" && name != "name" {
		return d.fileError(n, "%s says nothing; fill it, or remove it", cmp.Or(name, "the file"))
	}
	return d.inside(n, name, d.noNull)
}

// inside visits what a node holds, with the name of the member that it is.
func (d *document) inside(n *yaml.Node, name string, visit func(*yaml.Node, string) error) error {
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode {
			if i%2 == 0 {
				continue
			}
			name = n.Content[i-1].Value
		}
		if err := visit(c, name); err != nil {
			return err
		}
	}
	return nil
}

// filled refuses members of a Verifier's file that are there and say nothing: an
// empty list of devices would admit every device. The lists of the file itself may
// be empty, and so may their items: those restrict nothing, and say so.
func (d *document) filled(n *yaml.Node, name string) error {
	for _, list := range []string{"references", "endorsements", "trusted_verifiers"} {
		if n == d.member(list) {
			for _, item := range n.Content {
				if err := d.inside(item, list, d.filled); err != nil {
					return err
				}
			}
			return nil
		}
	}
	empty := n.Kind == yaml.ScalarNode && n.Value == "" || (n.Kind == yaml.MappingNode || n.Kind == yaml.SequenceNode) &&
		len(n.Content) == 0
	var number float64
	if empty && name != "name" || name == "oem_pen" && n.Decode(&number) == nil && number == 0 {
		return d.fileError(n, "%s says nothing; fill it, or remove it", name)
	}
	return d.inside(n, name, d.filled)
}

// child is the value of a member of a mapping, also of one that is merged into it;
// nil where there is none.
func child(n *yaml.Node, member string) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	var merged *yaml.Node
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		switch n.Content[i].Value {
		case member:
			return n.Content[i+1]
		case "<<":
			merged = n.Content[i+1]
		}
	}
	if merged == nil {
		return nil
	}
	for _, m := range append([]*yaml.Node{merged}, merged.Content...) {
		if v := child(m, member); v != nil {
			return v
		}
	}
	return nil
}

var (
	lineNumber = regexp.MustCompile(`line (\d+): `)
	yamlPrefix = regexp.MustCompile(`^yaml: (unmarshal errors:\s*)?`)
	yamlBreak  = regexp.MustCompile(`\n\s*`)
	yamlField  = regexp.MustCompile(`field (\S+) not found in type [^\s;]+`)
	yamlKind   = regexp.MustCompile(` into attestation\.[^\s;]+`)
)

// place writes the lines of a YAML error as file:line.
func place(name string, err error) error {
	text := yamlPrefix.ReplaceAllString(err.Error(), "")
	text = yamlBreak.ReplaceAllString(text, "; ")
	text = yamlField.ReplaceAllString(text, "field $1 not found")
	text = yamlKind.ReplaceAllString(text, " into the map that belongs here")
	if !lineNumber.MatchString(text) {
		return fmt.Errorf("%s: %s", name, text)
	}
	return errors.New(lineNumber.ReplaceAllString(text, name+":$1: "))
}

// LoadSoftware reads a software root of trust from a file, and the verifiers
// whose results it relays from theirs.
func LoadSoftware(name string) (*Software, error) {
	var f attesterFile
	doc, err := readFile(name, &f)
	if err != nil {
		return nil, err
	}
	return f.software(&Section{doc, doc.root.Content[0], "the file"})
}

// software makes the root of trust that the file describes.
func (f *attesterFile) software(section *Section) (*Software, error) {
	if f.PlatformKey.Signer == nil || f.KeyAttestationKey.Signer == nil {
		return nil, fmt.Errorf("%s: platform_key and key_attestation_key are needed", section.doc.name)
	}
	if n := child(section.node, "token_lifetime"); n != nil && f.TokenLifetime <= 0 {
		return nil, section.Fail("token_lifetime",
			"token_lifetime is %q; tokens that expire do so after a time, and without it they do not expire", n.Value)
	}
	if err := section.doc.zero(section.node, map[string]bool{"offers": len(f.Offers) == 0}); err != nil {
		return nil, err
	}
	s := &Software{PlatformKey: f.PlatformKey.Signer, KeyAttestationKey: f.KeyAttestationKey.Signer, Clock: time.Now,
		Lifetime: f.TokenLifetime,
		Platform: Platform{UEID: eat.UEID(f.Platform.UEID), OEMID: f.Platform.OEMID, OEMPEN: uint32(f.Platform.OEMPEN),
			Debug: eat.Debug(f.Platform.Debug), Profile: f.Platform.Profile}}
	if f.Platform.Model != "" {
		s.Platform.Model = []byte(f.Platform.Model)
	}
	for _, c := range f.Platform.Components {
		s.Platform.Components = append(s.Platform.Components, Component{c.Name, c.Version, c.Digest})
	}
	if _, err := s.Platform.claims(); err != nil {
		return nil, section.Fail("platform", "platform: %v", err)
	}
	for _, o := range f.Offers {
		s.Offers = append(s.Offers, Offer{profile.Format(o.Format), Tokens(o.Tokens), o.JSON})
	}
	for _, r := range f.Relays {
		v, err := LoadVerifier(section.File(r.Verifier), Formats{})
		if err != nil {
			return nil, err
		}
		s.Relays = append(s.Relays, Relay{[]byte(r.Identity), v})
	}
	return s, nil
}

// LoadVerifier reads a Verifier from a file, which may have policies for the formats
// of a table. A zero table has the software root of trust alone.
func LoadVerifier(name string, table Formats) (*Verifier, error) {
	var f verifierFile
	doc, err := readFile(name, &f)
	if err != nil {
		return nil, err
	}
	v := &Verifier{Identity: f.Identity, Build: f.Build, Key: f.SigningKey.Signer, Audiences: f.Audiences,
		Validity: f.Validity, MaxAge: f.MaxResultAge, Skew: f.ClockSkew, Limits: Limits{Size: int(f.MaxSize)}, Table: table,
		AcceptUnattested: bool(f.Unattested)}
	if v.Policies, err = v.table().policies(doc, doc.member("roots")); err != nil {
		return nil, err
	}
	if err := doc.zero(doc.root.Content[0], map[string]bool{"validity": v.Validity == 0, "max_result_age": v.MaxAge == 0,
		"max_size": v.Limits.Size == 0,
		"formats":  len(f.Formats) == 0, "audiences": len(f.Audiences) == 0}); err != nil {
		return nil, err
	}
	if err := doc.filled(&doc.root, ""); err != nil {
		return nil, err
	}
	for member, d := range map[string]time.Duration{"validity": v.Validity, "max_result_age": v.MaxAge,
		"clock_skew": v.Skew} {
		if n := doc.member(member); n != nil && d < 0 {
			return nil, doc.fileError(n, "%s is %q, a negative duration", member, n.Value)
		}
	}
	if v.Skew == 0 && doc.member("clock_skew") != nil {
		v.Skew = 1 // none; zero is the default
	}
	if n := doc.member("signing_key"); n != nil && !canSignResults(v.Key) {
		return nil, doc.fileError(n, "signing_key: results are signed with ES256, which needs an ECDSA key on P-256")
	}
	for _, format := range f.Formats {
		v.Formats = append(v.Formats, profile.Format(format))
	}
	for i := range f.References {
		r := &f.References[i]
		if err := r.check(doc, i, f.References[:i]); err != nil {
			return nil, err
		}
		v.References = append(v.References, r.reference())
	}
	for i := range f.Endorsements {
		e := &f.Endorsements[i]
		if err := e.check(doc, i, f.References); err != nil {
			return nil, err
		}
		v.Endorsements = append(v.Endorsements, e.endorsement())
	}
	for i, t := range f.Trusted {
		if t.Key.PublicKey == nil || t.Identity == "" {
			return nil, doc.fail("trusted_verifiers", i, "", "the trusted verifier %q needs an identity and a key", t.Identity)
		}
		service, err := serviceNamed(t.Service)
		if err != nil {
			return nil, doc.fail("trusted_verifiers", i, "service", "the trusted verifier %q: %v", t.Identity, err)
		}
		v.Trusted = append(v.Trusted, TrustedVerifier{[]byte(t.Identity), t.Developer, t.Key.PublicKey, service})
	}
	for i, m := range f.Machines {
		out := Machine{Name: m.Name, Instances: map[string][]byte{}}
		for name, id := range m.Instances {
			if _, err := v.table().Named(name); err != nil {
				return nil, doc.fail("machines", i, "instances", "the machine %q: %v", m.Name, err)
			}
			out.Instances[name] = id
		}
		if len(out.Instances) < 2 {
			return nil, doc.fail("machines", i, "instances",
				"the machine %q has fewer than two devices; it would show nothing", m.Name)
		}
		v.Machines = append(v.Machines, out)
	}
	return v, nil
}

// check refuses a reference that would mean less than it says.
func (r *referenceFile) check(doc *document, i int, before []referenceFile) error {
	fail := func(member, format string, args ...any) error {
		return doc.fail("references", i, member, "the reference %q "+format, append([]any{r.Name}, args...)...)
	}
	for _, other := range before {
		if r.Name != "" && r.Name == other.Name {
			return fail("name", "appears twice; an endorsement that lists it would mean both")
		}
	}
	switch {
	case r.PCRDigests != nil && len(r.PCRs) == 0:
		return fail("pcr_digests",
			"has pcr_digests and does not say what they are digests of; add pcrs with the bank and the PCRs, as in pcrs: "+
				"sha256:0,1,2,3")
	case r.PCRDigests == nil && len(r.PCRs) > 0:
		return fail("pcrs",
			"selects PCRs and accepts no value of them; add pcr_digests with the digests of the quote that are accepted")
	case r.PCRDigests != nil && r.Prototype:
		return fail("prototype", "is for a TPM (pcr_digests) and for the prototype's tokens; make two of it")
	}
	// What tokens do not claim can neither be met nor restrict them.
	for _, x := range []struct {
		member string
		stated bool
	}{
		{"debug", r.Debug != nil}, {"oemid", r.OEMID != nil}, {"oem_pen", r.OEMPEN != 0}, {"model", r.Model != ""},
		{"profile", r.Profile != ""}, {"components", r.Components != nil}, {"ueids", r.UEIDs != nil && !r.Prototype},
	} {
		if x.stated && (r.PCRDigests != nil || r.Prototype) {
			return fail(x.member, "states %s, which its tokens do not claim; remove it", x.member)
		}
	}
	if err := makerOf(r.OEMID, r.OEMPEN, r.Model, fail); err != nil {
		return err
	}
	for i, c := range r.Components {
		twice := slices.ContainsFunc(r.Components[:i], func(o referencePartial) bool { return o.Name == c.Name })
		switch {
		case c.Name == "":
			return fail("components", "has a component without a name")
		case c.Digests == nil:
			return fail("components", "accepts no digest of the component %q; add digests", c.Name)
		case twice:
			return fail("components", "has the component %q twice; list what is accepted of it in one", c.Name)
		}
	}
	return nil
}

// makerOf refuses a maker and a model that no platform can claim.
func makerOf(oemid Octets, pen Whole, model string, fail func(member, format string, args ...any) error) error {
	switch n := len(oemid); {
	case n > 0 && pen != 0:
		return fail("oem_pen", "has an oemid and an oem_pen; they are two forms of one claim")
	case n > 0 && n != oemidIEEE && n != oemidAtRandom:
		return fail("oemid", "has an oemid of %d octets; it has %d or %d", n, oemidIEEE, oemidAtRandom)
	case len(model) > maxModel:
		return fail("model", "has a model of %d octets; it has at most %d", len(model), maxModel)
	}
	return nil
}

// check refuses an endorsement that does not say for whom its key may speak.
func (e *endorsementFile) check(doc *document, i int, references []referenceFile) error {
	fail := func(member, format string, args ...any) error {
		return doc.fail("endorsements", i, member, "the endorsement %q "+format, append([]any{e.Name}, args...)...)
	}
	if e.Key.PublicKey == nil {
		return fail("", "has no key")
	}
	out := e.endorsement()
	if !out.namesPlatform() {
		return fail("",
			"names no platform for which its key may speak; add ueids (devices), oemid or oem_pen and model (an "+
				"implementation), or references (names of references)")
	}
	if err := makerOf(e.OEMID, e.OEMPEN, e.Model, fail); err != nil {
		return err
	}
	for _, name := range e.References {
		if !slices.ContainsFunc(references, func(r referenceFile) bool { return r.Name != "" && r.Name == name }) {
			return fail("references", "lists the reference %q, and there is none of that name", name)
		}
	}
	return nil
}

func (e *endorsementFile) endorsement() Endorsement {
	out := Endorsement{Name: e.Name, Key: e.Key.PublicKey, OEMID: e.OEMID, OEMPEN: uint32(e.OEMPEN),
		References: e.References}
	if e.Model != "" {
		out.Model = []byte(e.Model)
	}
	for _, u := range e.UEIDs {
		out.UEIDs = append(out.UEIDs, u)
	}
	if len(out.References) == 0 {
		out.References = nil
	}
	return out
}

func (r *referenceFile) reference() Reference {
	out := Reference{Name: r.Name, OEMID: r.OEMID, OEMPEN: uint32(r.OEMPEN), Profile: r.Profile, Prototype: r.Prototype,
		PCRs: PCRSelection(r.PCRs)}
	if r.Debug != nil {
		out.Debug = eat.Debug(*r.Debug)
		out.AllowDebug = out.Debug == eat.DebugNotDisabled
	}
	if r.Model != "" {
		out.Model = []byte(r.Model)
	}
	for _, u := range r.UEIDs {
		out.UEIDs = append(out.UEIDs, u)
	}
	for _, d := range r.PCRDigests {
		out.PCRDigests = append(out.PCRDigests, d)
	}
	for _, c := range r.Components {
		component := ReferenceComponent{Name: c.Name, Versions: c.Versions}
		for _, d := range c.Digests {
			component.Digests = append(component.Digests, d)
		}
		out.Components = append(out.Components, component)
	}
	return out
}

// File writes a root of trust as LoadSoftware reads it. The results of the
// verifiers in relays, by identity, are looked for in the files named there.
func (s *Software) File(relays map[string]string) ([]byte, error) {
	return yaml.Marshal(s.file(relays))
}

func (s *Software) file(relays map[string]string) *attesterFile {
	f := &attesterFile{PlatformKey: PrivateKey{s.PlatformKey}, KeyAttestationKey: PrivateKey{s.KeyAttestationKey},
		TokenLifetime: s.Lifetime,
		Platform: platformFile{UEID: Octets(s.Platform.UEID), OEMID: s.Platform.OEMID, OEMPEN: Whole(s.Platform.OEMPEN),
			Model: string(s.Platform.Model),
			Debug: debugState(s.Platform.Debug), Profile: s.Platform.Profile}}
	for _, c := range s.Platform.Components {
		f.Platform.Components = append(f.Platform.Components, componentFile{c.Name, c.Version, c.Digest})
	}
	for _, o := range s.Offers {
		f.Offers = append(f.Offers, offerFile{formatName(o.Format), tokensName(o.Tokens), o.JSON})
	}
	for _, r := range s.Relays {
		if name, ok := relays[string(r.Identity)]; ok {
			f.Relays = append(f.Relays, relayFile{string(r.Identity), name})
		}
	}
	return f
}

// File writes a Verifier as LoadVerifier reads it.
func (v *Verifier) File() ([]byte, error) {
	f := verifierFile{
		Identity:     v.Identity,
		Build:        v.Build,
		SigningKey:   PrivateKey{v.Key},
		Audiences:    v.Audiences,
		Validity:     v.Validity,
		MaxResultAge: v.MaxAge,
		ClockSkew:    v.Skew,
		MaxSize:      Whole(v.Limits.Size),
		Unattested:   UnattestedKey(v.AcceptUnattested),
	}
	for _, format := range v.Formats {
		f.Formats = append(f.Formats, formatName(format))
	}
	for _, e := range v.Endorsements {
		out := endorsementFile{Name: e.Name, Key: PublicKey{e.Key}, OEMID: e.OEMID, OEMPEN: Whole(e.OEMPEN),
			Model: string(e.Model), References: e.References}
		for _, u := range e.UEIDs {
			out.UEIDs = append(out.UEIDs, u)
		}
		f.Endorsements = append(f.Endorsements, out)
	}
	for i := range v.References {
		f.References = append(f.References, v.References[i].file())
	}
	for _, t := range v.Trusted {
		out := trustedFile{Identity: string(t.Identity), Developer: t.Developer, Key: PublicKey{t.Key}}
		if t.Service != nil {
			out.Service = t.Service.Name
		}
		f.Trusted = append(f.Trusted, out)
	}
	for _, m := range v.Machines {
		out := machineFile{m.Name, map[string]Octets{}}
		for name, id := range m.Instances {
			out.Instances[name] = id
		}
		f.Machines = append(f.Machines, out)
	}
	for name, p := range v.Policies {
		if f.Roots == nil {
			f.Roots = map[string]any{}
		}
		f.Roots[name] = p
	}
	return yaml.Marshal(f)
}

func (r *Reference) file() referenceFile {
	out := referenceFile{Name: r.Name, OEMID: r.OEMID, OEMPEN: Whole(r.OEMPEN), Model: string(r.Model), Profile: r.Profile,
		Prototype: r.Prototype, PCRs: pcrSelection(r.PCRs)}
	if r.Debug != eat.DebugNotDisabled || r.AllowDebug {
		debug := debugState(r.Debug)
		out.Debug = &debug
	}
	for _, u := range r.UEIDs {
		out.UEIDs = append(out.UEIDs, u)
	}
	for _, d := range r.PCRDigests {
		out.PCRDigests = append(out.PCRDigests, d)
	}
	for _, c := range r.Components {
		component := referencePartial{Name: c.Name, Versions: c.Versions}
		for _, d := range c.Digests {
			component.Digests = append(component.Digests, d)
		}
		out.Components = append(out.Components, component)
	}
	return out
}
