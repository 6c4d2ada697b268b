package campaign

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"attls"
	"attls/conformance/scenario"
	"attls/extensions/profile"
	"attls/internal/rule"
)

// Format is the version of input files.
const Format = "attls-fuzz-input 1"

// maxFile bounds a file of an input, in octets; maxEdits the edits in it.
const (
	maxFile  = 1 << 20
	maxEdits = 64
)

// Input is one connection of a campaign.
type Input struct {
	// Format is Format.
	Format string `yaml:"format"`
	// Profile is the name of a profile; "" is TLS 1.3. Definition is the text of one that is
	// not among the embedded ones, so that the file can be run anywhere.
	Profile    string `yaml:"profile,omitempty"`
	Definition string `yaml:"definition,omitempty"`
	// Connection is the scenario.
	Connection Connection `yaml:"connection"`
	// Peer is the stack, with its version, that was the honest end; empty: attls was.
	Peer string `yaml:"peer,omitempty"`
	// Against is another stack, with its version, that did otherwise than Peer with the same input.
	Against string `yaml:"against,omitempty"`
	// Attacker is the end whose messages and answers are edited: client or server.
	Attacker string `yaml:"attacker"`
	Edits    []Edit `yaml:"edits,omitempty"`
	// Stack is the C program that is the honest end; "" is this engine. Variant is which of its
	// connections this is.
	Stack   string `yaml:"stack,omitempty"`
	Variant int    `yaml:"variant,omitempty"`
	// Law and Says are those of a finding; Reached is what made a corpus keep the input.
	Law     string   `yaml:"law,omitempty"`
	Says    string   `yaml:"says,omitempty"`
	Reached []string `yaml:"reached,omitempty"`
}

// Connection is what varies between the scenarios of a target.
type Connection struct {
	Attester          string `yaml:"attester,omitempty"`
	Model             string `yaml:"model,omitempty"`
	Credential        string `yaml:"credential,omitempty"`
	HelloRetry        bool   `yaml:"hello_retry,omitempty"`
	Cookie            bool   `yaml:"cookie,omitempty"`
	ClientCertificate bool   `yaml:"client_certificate,omitempty"`
	RawPublicKeys     bool   `yaml:"raw_public_keys,omitempty"`
	// Several lets both ends know several schemes, in orders that differ.
	Several bool `yaml:"several,omitempty"`
	GREASE  bool `yaml:"grease,omitempty"`
	// Undemanding lets both ends go on with a peer that does not attest.
	Undemanding bool `yaml:"undemanding,omitempty"`
	// Unwilling takes the policy of the server away; the connection must fail where the profile
	// says so.
	Unwilling bool `yaml:"unwilling,omitempty"`
	// KeyUpdate has the client change its keys after the handshake and ask for the same.
	KeyUpdate bool `yaml:"key_update,omitempty"`
	// Resumption brings back the ticket of an earlier connection.
	Resumption bool `yaml:"resumption,omitempty"`
	// Forgotten is a resumption of a session that the server knows no longer.
	Forgotten bool `yaml:"forgotten,omitempty"`
	// RSA has both ends hold RSA keys; the connection must fail where the profile has no binder
	// for them.
	RSA bool `yaml:"rsa,omitempty"`
	// Tickets has the server issue one where the profile lets it.
	Tickets bool `yaml:"tickets,omitempty"`
	// ExtendedKeyUpdate has both ends offer it, and the client begin one update.
	ExtendedKeyUpdate bool `yaml:"extended_key_update,omitempty"`
	// Ed25519 has both ends hold keys of this type, and accept no other signatures.
	Ed25519 bool `yaml:"ed25519,omitempty"`
	// PostHandshake has the server ask for a certificate after the handshake.
	PostHandshake bool `yaml:"post_handshake,omitempty"`
	// Authenticators has both ends ask each other for exported authenticators without a profile.
	// Under a profile that attests in them, who relies on the peer asks.
	Authenticators bool `yaml:"authenticators,omitempty"`
	// Again has them ask twice, of PostHandshake too.
	Again bool `yaml:"again,omitempty"`
}

// String names a connection in one line.
func (c Connection) String() string {
	parts := []string{}
	for _, p := range []string{c.Attester, c.Model, c.Credential} {
		if p != "" && p != string(scenario.AttestNone) {
			parts = append(parts, p)
		}
	}
	for _, f := range []struct {
		on   bool
		name string
	}{{c.HelloRetry, "HelloRetryRequest"}, {c.Cookie, "cookie"}, {c.ClientCertificate, "client certificate"},
		{c.RawPublicKeys, "raw public keys"}, {c.Several, "several schemes"}, {c.GREASE, "GREASE"},
		{c.Undemanding, "attestation not demanded"},
		{c.Unwilling, "a server without a policy"}, {c.KeyUpdate, "key update"}, {c.Resumption, "resumption"},
		{c.Forgotten, "a forgotten session"}, {c.Tickets, "tickets"}, {c.RSA, "RSA"},
		{c.ExtendedKeyUpdate, "extended key update"}, {c.Ed25519, "Ed25519"},
		{c.PostHandshake, "post-handshake authentication"}, {c.Authenticators, "exported authenticators"},
		{c.Again, "asked twice"}} {
		if f.on {
			parts = append(parts, f.name)
		}
	}
	if len(parts) == 0 {
		return "server certificate"
	}
	return strings.Join(parts, ", ")
}

func (c Connection) scenario(name string, p *profile.Profile) scenario.Scenario {
	return scenario.Scenario{Profile: name, Compiled: p, Attester: scenario.Attesters(c.Attester), Model: c.Model,
		Credential: c.Credential, HelloRetry: c.HelloRetry, Cookie: c.Cookie, ClientCertificate: c.ClientCertificate,
		RawPublicKeys: c.RawPublicKeys, ExtendedKeyUpdate: c.ExtendedKeyUpdate}
}

// Octets are octets that a file shows in hexadecimal.
type Octets []byte

// MarshalYAML writes hexadecimal digits.
func (o Octets) MarshalYAML() (any, error) { return hex.EncodeToString(o), nil }

// UnmarshalYAML reads hexadecimal digits.
func (o *Octets) UnmarshalYAML(n *yaml.Node) error {
	var text string
	if err := n.Decode(&text); err != nil {
		return err
	}
	b, err := hex.DecodeString(text)
	if err != nil {
		return fmt.Errorf("line %d: %w", n.Line, err)
	}
	*o = b
	return nil
}

// Edit is one thing that the attacker does. Which fields count depends on Do.
type Edit struct {
	// Do is one of the operations in Operations.
	Do string `yaml:"do"`
	// Message and Number say which message that the attacker sends is meant: the kind as the
	// RFC's prose spells it (or the name of a message of the profile), and how many of that
	// kind precede it. For records, Number counts the records that it sends.
	Message string `yaml:"message,omitempty"`
	Number  int    `yaml:"number,omitempty"`
	// Entry is the CertificateEntry whose extensions are meant.
	Entry int `yaml:"entry,omitempty"`
	// Extension is the number of an extension.
	Extension attls.ExtensionType `yaml:"extension,omitempty"`
	// Path is a field, as tamper.Field takes it.
	Path string `yaml:"path,omitempty"`
	// At is a place, Octets are what is put there.
	At     int    `yaml:"at,omitempty"`
	Octets Octets `yaml:"octets,omitempty"`
	// Answer is what the end answers: a way in which Evidence is bad, a sort of credential, or
	// the rule that it does not obey.
	Answer string `yaml:"answer,omitempty"`
	// Later says that an answer is one after the handshake; without it, it is any.
	Later bool `yaml:"later,omitempty"`
	// Shadow leaves the original in the attacker's own transcript.
	Shadow bool `yaml:"shadow,omitempty"`
	// From says in words where Octets come from.
	From string `yaml:"from,omitempty"`
}

// Operations are the words of Edit.Do, with what each does.
var Operations = []struct{ Do, Text string }{
	{"drop", "the message is not sent"},
	{"repeat", "the message is sent twice"},
	{"defer", "the message is sent after the one that follows it"},
	{"insert", "octets, a whole message, are sent before the message"},
	{"append", "octets, a whole message, are sent after the message"},
	{"body", "the message has octets as its body"},
	{"flip", "the octet at a place of the body is changed"},
	{"truncate", "the body ends at a place"},
	{"extend", "octets follow the body, within the length of the message"},
	{"length", "the length in the header is another than that of the body"},
	{"extension-remove", "the extension is left out"},
	{"extension-repeat", "the extension is there twice"},
	{"extension-add", "an extension is added at a place, with octets as its body"},
	{"extension-body", "the extension has octets as its body"},
	{"extension-swap", "the extension goes to another place"},
	{"field", "the field at a path has octets as its contents"},
	{"pad", "so many octets of padding are added to a record"},
	{"split", "the record is cut into pieces of so many octets"},
	{"record", "a record with octets is sent before the record, at is its content type"},
	{"evidence", "the Evidence or result is bad in a way"},
	{"verdict", "the Evidence is for another challenge of the same end"},
	{"credential", "another certificate is shown: one of another key's or type of key, or of an unknown authority"},
	{"signature", "another key signs"},
	{"scheme", "a certificate with a P-256 key is shown, whatever was asked for, and the signature is under the " +
		"scheme at"},
	{"early", "early_data is offered, and so many octets follow that no key opens"},
	{"frame", "a member of a frame in which the ends attest is there twice (at 0), other (1) or absent (2)"},
	{"authenticator", "something else is sent in the place of an exported authenticator, or of a request for " +
		"one: that of another connection, the one before, the other end's, the empty one, one that was not asked for, " +
		"nothing, it twice, or a request of the other role"},
	{"reissue", "the attester's certificate is issued again, and what the profile has in it is otherwise"},
	{"disobey", "the attacker's own engine does not obey a rule, which the answer names"},
}

func known(do string) bool {
	for _, o := range Operations {
		if o.Do == do {
			return true
		}
	}
	return false
}

// String says in a line what an edit does.
func (e *Edit) String() string {
	var b strings.Builder
	b.WriteString(e.Do)
	if e.Message != "" {
		fmt.Fprintf(&b, " %s", e.Message)
	}
	if e.Number > 0 {
		fmt.Fprintf(&b, " %d", e.Number)
	}
	if strings.HasPrefix(e.Do, "extension") {
		fmt.Fprintf(&b, " extension %v", e.Extension)
		if e.Entry > 0 {
			fmt.Fprintf(&b, " of entry %d", e.Entry)
		}
	}
	if e.Path != "" {
		fmt.Fprintf(&b, " %s", e.Path)
	}
	if e.Answer != "" {
		fmt.Fprintf(&b, " %s", e.Answer)
	}
	if e.Later {
		b.WriteString(" after the handshake")
	}
	if e.At != 0 {
		fmt.Fprintf(&b, " at %d", e.At)
	}
	if len(e.Octets) > 0 {
		shown := e.Octets
		more := ""
		if len(shown) > 24 {
			shown, more = shown[:24], fmt.Sprintf("… (%d octets)", len(e.Octets))
		}
		fmt.Fprintf(&b, " = %x%s", []byte(shown), more)
	}
	if e.Shadow {
		b.WriteString(", behind the transcript")
	}
	if e.From != "" {
		fmt.Fprintf(&b, " (%s)", e.From)
	}
	return b.String()
}

// role is the attacker's.
func (in *Input) role() attls.Role {
	if in.Attacker == attls.RoleServer.String() {
		return attls.RoleServer
	}
	return attls.RoleClient
}

// clone copies an input so that edits can be changed.
func (in *Input) clone() *Input {
	c := *in
	c.Edits = slices.Clone(in.Edits)
	c.Law, c.Says, c.Reached = "", "", nil
	return &c
}

// VersionError says that a file is of another version of the format.
type VersionError struct{ Found, Reads string }

func (e *VersionError) Error() string {
	return fmt.Sprintf("the file says %q, and this program reads %q", attls.Printable(e.Found), e.Reads)
}

// ReadInput reads an input. Unknown keys, operations and ends are errors with their line.
func ReadInput(r io.Reader) (*Input, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("more than %d octets", maxFile)
	}
	var version struct {
		Format string `yaml:"format"`
	}
	if err := yaml.Unmarshal(b, &version); err != nil {
		return nil, err
	}
	if version.Format != Format {
		return nil, &VersionError{version.Format, Format}
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	in := &Input{}
	if err := d.Decode(in); err != nil {
		return nil, err
	}
	return in, in.check()
}

func (in *Input) check() error {
	if in.Attacker != "client" && in.Attacker != "server" {
		return fmt.Errorf("attacker: %q; it is client or server", attls.Printable(in.Attacker))
	}
	if len(in.Edits) > maxEdits {
		return fmt.Errorf("edits: %d of them; at most %d are read", len(in.Edits), maxEdits)
	}
	for i := range in.Edits {
		e := &in.Edits[i]
		switch {
		case !known(e.Do):
			return fmt.Errorf("edits[%d].do: there is no operation %q", i, attls.Printable(e.Do))
		case e.Number < 0 || e.Entry < 0 || e.At < 0:
			return fmt.Errorf("edits[%d]: a negative number", i)
		case e.Do == "disobey" && !rule.Known(rule.Rule(e.Answer)):
			return fmt.Errorf("edits[%d].answer: there is no rule %q", i, attls.Printable(e.Answer))
		case e.Do == "authenticator" && !slices.Contains(proofKinds, e.Answer):
			return fmt.Errorf("edits[%d].answer: no authenticator is %q", i, attls.Printable(e.Answer))
		case e.Do == "reissue" && reissueOf(e.Answer) == nil:
			return fmt.Errorf("edits[%d].answer: a certificate cannot be issued with %q", i, attls.Printable(e.Answer))
		case e.At > 1<<16:
			return fmt.Errorf("edits[%d].at: %d; at most %d", i, e.At, 1<<16)
		}
	}
	return nil
}

// ReadFile reads an input from a file.
func ReadFile(name string) (*Input, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	in, err := ReadInput(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return in, nil
}

// Write writes an input.
func (in *Input) Write(w io.Writer) error {
	e := yaml.NewEncoder(w)
	e.SetIndent(2)
	if err := e.Encode(in); err != nil {
		return err
	}
	return e.Close()
}

// WriteFile writes an input to a file, whole or not at all.
func (in *Input) WriteFile(name string) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".fuzz-*")
	if err != nil {
		return err
	}
	err = errors.Join(in.Write(f), f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
