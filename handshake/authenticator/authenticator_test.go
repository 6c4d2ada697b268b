package authenticator_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"math/big"
	"strings"
	"testing"

	"attls"
	"attls/extensions"
	"attls/handshake"
	"attls/handshake/authenticator"
	"attls/handshake/enginetest"
	"attls/negotiation"
)

// exporter is one of a connection that exists by its name alone.
func exporter(name string) authenticator.Exporter {
	return func(label string, context []byte, length int) ([]byte, error) {
		sum := sha512.Sum512([]byte(name + "\x00" + label + "\x00" + string(context)))
		return sum[:length], nil
	}
}

func config(role attls.Role, name string) *authenticator.Config {
	return &authenticator.Config{Role: role, Version: attls.VersionTLS13, HandshakeComplete: true, Hash: crypto.SHA256,
		Export: exporter(name), ClientHello: &authenticator.ClientHello{Schemes: all,
			Extensions: []attls.ExtensionType{attls.ExtSignatureAlgorithms, attls.ExtStatusRequest}}}
}

func open(t testing.TB, c *authenticator.Config) *authenticator.Connection {
	t.Helper()
	connection, err := authenticator.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return connection
}

// all are schemes of each key that the tests have.
var all = []attls.SignatureScheme{attls.ECDSA_SECP256R1_SHA256, attls.ED25519, attls.RSA_PSS_RSAE_SHA256}

func shownWith(t testing.TB, key crypto.Signer) *authenticator.Shown {
	t.Helper()
	s, err := authenticator.NewShown([][]byte{enginetest.SelfSigned("authenticator", key)}, key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

var (
	p256 = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	ed   = enginetest.Credential("authenticator").Shown()
	long = must(rsa.GenerateKey(rand.Reader, 2048))
)

func shown(t testing.TB) *authenticator.Shown {
	return shownWith(t, p256)
}

func any509(*authenticator.Identity) error { return nil }

// two are both ends of a connection: index a role.
type two [2]*authenticator.Connection

func pairOf(t testing.TB, change func(*authenticator.Config)) two {
	t.Helper()
	var ends two
	for _, role := range attls.Roles() {
		c := config(role, "connection")
		if change != nil {
			change(c)
		}
		ends[role] = open(t, c)
	}
	return ends
}

func failure(err error) attls.Failure {
	var named *attls.Error
	if errors.As(err, &named) {
		return named.Failure
	}
	return ""
}

// asks has an end ask and the other receive.
func (e two) asks(t testing.TB, asker attls.Role, r authenticator.Request) ([]byte, *authenticator.Received) {
	t.Helper()
	if r.Wanted.Schemes == nil {
		r.Wanted.Schemes = all
	}
	octets, err := e[asker].Request(&r)
	if err != nil {
		t.Fatal(err)
	}
	received, err := e[asker.Peer()].Receive(octets)
	if err != nil {
		t.Fatal(err)
	}
	return octets, received
}

// answers makes the answer of an end.
func (e two) answers(t testing.TB, r *authenticator.Received, by attls.Role, s *authenticator.Shown) []byte {
	t.Helper()
	octets, chosen, err := e[by].Answer(r, s)
	if err != nil || chosen != s {
		t.Fatalf("%v, %v", chosen, err)
	}
	return octets
}

// TestSequences: the three sequences of RFC 9261 section 3, with each hash and type of
// key, and the same octets from an independent computation.
func TestSequences(t *testing.T) {
	keys := map[string]*authenticator.Shown{"P-256": shown(t), "Ed25519": ed, "RSA": shownWith(t, long)}
	for name, own := range keys {
		for h, label := range map[crypto.Hash]string{crypto.SHA256: "SHA-256", crypto.SHA384: "SHA-384"} {
			for _, asker := range attls.Roles() {
				t.Run(fmt.Sprintf("%s/%s/the %v asks", name, label, asker), func(t *testing.T) {
					ends := pairOf(t, func(c *authenticator.Config) { c.Hash = h })
					request, received := ends.asks(t, asker, authenticator.Request{})
					proof := ends.answers(t, received, asker.Peer(), own)
					independent(t, h, asker.Peer(), own, request, received.Context, proof)
					id, err := ends[asker].Validate(proof, any509)
					if err != nil || !bytes.Equal(id.Chain[0], own.Chain[0]) || !bytes.Equal(id.Context, received.Context) ||
						id.Spontaneous || id.Role != asker.Peer() || ends[asker].Outstanding() != 0 {
						t.Fatalf("%+v, %v", id, err)
					}
					for _, octets := range [][]byte{request, proof} {
						if context, err := authenticator.Context(octets); err != nil || !bytes.Equal(context, received.Context) {
							t.Errorf("get context: %x, %v", context, err)
						}
					}
				})
			}
			t.Run(fmt.Sprintf("%s/%s/spontaneous", name, label), func(t *testing.T) {
				ends := pairOf(t, func(c *authenticator.Config) { c.Hash = h })
				proof, err := ends[attls.RoleServer].Spontaneous(nil, own)
				if err != nil {
					t.Fatal(err)
				}
				context := must(authenticator.Context(proof))
				independent(t, h, attls.RoleServer, own, nil, context, proof)
				if id, err := ends[attls.RoleClient].Validate(proof, any509); err != nil || !id.Spontaneous || len(context) != 32 {
					t.Fatalf("%+v, %v", id, err)
				}
			})
		}
	}
}

// independent checks an authenticator with nothing but hashes and signatures.
func independent(t *testing.T, h crypto.Hash, sender attls.Role, own *authenticator.Shown, request, context, proof []byte) {
	t.Helper()
	newHash := map[crypto.Hash]func() hash.Hash{crypto.SHA256: sha256.New, crypto.SHA384: sha512.New384}[h]
	value := func(what string) []byte {
		return must(exporter("connection")("EXPORTER-"+sender.String()+" authenticator "+what, nil, newHash().Size()))
	}
	u24 := func(n int) []byte { return []byte{byte(n >> 16), byte(n >> 8), byte(n)} }
	der := own.Chain[0]
	list := append(append(u24(len(der)), der...), 0, 0)
	body := append([]byte{byte(len(context))}, context...)
	body = append(append(body, u24(len(list))...), list...)
	certificate := append(append([]byte{11}, u24(len(body))...), body...)
	rest, ok := bytes.CutPrefix(proof, certificate)
	if !ok || len(rest) < 8 || rest[0] != 15 {
		t.Fatalf("the authenticator does not begin with the Certificate and a CertificateVerify: %x", proof)
	}
	n := 4 + int(rest[2])<<8 + int(rest[3])
	verify, finished := rest[:n], rest[n:]
	sum := func(parts ...[]byte) []byte {
		d := newHash()
		for _, p := range parts {
			d.Write(p)
		}
		return d.Sum(nil)
	}
	content := append([]byte(strings.Repeat(" ", 64)+"Exported Authenticator\x00"),
		sum(value("handshake context"), request, certificate)...)
	scheme, signature := binary.BigEndian.Uint16(verify[4:]), verify[8:]
	cert := must(x509.ParseCertificate(der))
	algorithm := map[uint16]x509.SignatureAlgorithm{0x0403: x509.ECDSAWithSHA256, 0x0807: x509.PureEd25519,
		0x0804: x509.SHA256WithRSAPSS}[scheme]
	if err := cert.CheckSignature(algorithm, content, signature); err != nil {
		t.Errorf("the signature: %v", err)
	}
	mac := hmac.New(newHash, value("finished key"))
	mac.Write(sum(value("handshake context"), request, certificate, verify))
	if want := append([]byte{20, 0, 0, byte(newHash().Size())}, mac.Sum(nil)...); !bytes.Equal(finished, want) {
		t.Errorf("Finished is %x, not %x", finished, want)
	}
}

// TestEmpty: a refusal, of several open requests the one that it refuses.
func TestEmpty(t *testing.T) {
	for _, asker := range attls.Roles() {
		ends := pairOf(t, nil)
		_, a := ends.asks(t, asker, authenticator.Request{Context: []byte("first")})
		_, b := ends.asks(t, asker, authenticator.Request{Context: []byte("second")})
		refusal, err := ends[asker.Peer()].Refuse(b)
		if err != nil {
			t.Fatal(err)
		}
		if len(refusal) != 4+32 {
			t.Errorf("%d octets", len(refusal))
		}
		if _, err := authenticator.Context(refusal); !authenticator.Refused(err) {
			t.Errorf("get context: %v", err)
		}
		id, err := ends[asker].Validate(refusal, any509)
		if id != nil || !authenticator.Refused(err) || !strings.Contains(err.Error(), fmt.Sprintf("%x", "second")) {
			t.Errorf("%v, %v", id, err)
		}
		if _, err := ends[asker].Validate(refusal, any509); failure(err) != attls.FailFinished {
			t.Errorf("the refusal again: %v", err)
		}
		// Nothing that we have fits: the answer is the empty authenticator.
		octets, chosen, err := ends[asker.Peer()].Answer(a)
		if err != nil || chosen != nil {
			t.Fatalf("%v, %v", chosen, err)
		}
		if _, err := ends[asker].Validate(octets, any509); !authenticator.Refused(err) || ends[asker].Outstanding() != 0 {
			t.Errorf("%v", err)
		}
		if _, err := ends[asker].Validate(octets, any509); failure(err) != attls.FailUnexpectedMessage {
			t.Errorf("a refusal where no request is open: %v", err)
		}
	}
}

// TestOutstanding: requests are answered in any order, and forgotten ones not at all.
func TestOutstanding(t *testing.T) {
	for _, asker := range attls.Roles() {
		ends := pairOf(t, func(c *authenticator.Config) { c.Limits.Outstanding = 5 })
		var received []*authenticator.Received
		for range 5 {
			_, r := ends.asks(t, asker, authenticator.Request{})
			received = append(received, r)
		}
		if _, err := ends[asker].Request(&authenticator.Request{Wanted: negotiation.Wanted{Schemes: all}}); failure(err) != attls.FailCapacity {
			t.Errorf("a sixth request: %v", err)
		}
		if !ends[asker].Forget(received[2].Context) || ends[asker].Forget([]byte("never")) {
			t.Error("what is forgotten")
		}
		for _, i := range []int{3, 0, 4, 2, 1} {
			proof := ends.answers(t, received[i], asker.Peer(), shown(t))
			id, err := ends[asker].Validate(proof, any509)
			if i == 2 {
				if failure(err) != attls.FailRequestContext {
					t.Errorf("a forgotten request: %v", err)
				}
			} else if err != nil || !bytes.Equal(id.Context, received[i].Context) {
				t.Errorf("%d: %v", i, err)
			}
		}
	}
}

// TestExtensionsAndChoice: what an answer may have, and which certificate it shows.
func TestExtensionsAndChoice(t *testing.T) {
	const evidence = attls.ExtensionType(0xff80)
	own := *shown(t)
	own.OCSP, own.SCT = []byte("response"), []byte{0, 3, 0, 1, 7}
	with := own
	with.Extensions = []extensions.List{{{Type: evidence, Body: []byte("Evidence")}}}
	for _, asker := range attls.Roles() {
		ends := pairOf(t, nil)
		_, r := ends.asks(t, asker, authenticator.Request{OCSP: true, SCT: true, Extensions: extensions.List{{Type: evidence}}})
		if !r.Asks(evidence) || r.Asks(0xff81) {
			t.Error("what the request asks for")
		}
		id, err := ends[asker].Validate(ends.answers(t, r, asker.Peer(), &with), any509)
		if err != nil {
			t.Fatal(err)
		}
		if body, ok := id.Extensions[0].Get(evidence); !ok || string(body) != "Evidence" || string(id.OCSP) != "response" ||
			!bytes.Equal(id.SCT, own.SCT) {
			t.Errorf("%+v", id)
		}
		_, r = ends.asks(t, asker, authenticator.Request{})
		if _, _, err := ends[asker.Peer()].Answer(r, &with); failure(err) != attls.FailConfiguration {
			t.Errorf("an extension that nobody asked for: %v", err)
		}
		without := &own
		id, err = ends[asker].Validate(ends.answers(t, r, asker.Peer(), without), any509)
		if err != nil || id.OCSP != nil || id.SCT != nil {
			t.Errorf("%+v, %v", id, err)
		}
		_, r = ends.asks(t, asker, authenticator.Request{Wanted: negotiation.Wanted{Schemes: []attls.SignatureScheme{attls.ED25519}}})
		if _, chosen, err := ends[asker.Peer()].Answer(r, without, ed); err != nil ||
			chosen != ed {
			t.Errorf("%v, %v", chosen, err)
		}
	}
}

// TestSignedAsAsked: a chain that is signed under no scheme of the request is not shown.
func TestSignedAsAsked(t *testing.T) {
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true}
	ca = must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, ca, ca, long.Public(), long))))
	leaf := must(x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "end"}}, ca, p256.Public(), long))
	own := must(authenticator.NewShown([][]byte{leaf}, p256))
	ends := pairOf(t, nil)
	for name, test := range map[string]struct {
		wanted negotiation.Wanted
		shown  bool
	}{
		"signature_algorithms does not have it":      {negotiation.Wanted{Schemes: all}, false},
		"signature_algorithms_cert has it":           {negotiation.Wanted{Schemes: all, SchemesCert: []attls.SignatureScheme{attls.RSA_PKCS1_SHA256}}, true},
		"signature_algorithms_cert does not have it": {negotiation.Wanted{Schemes: all, SchemesCert: all}, false},
	} {
		_, r := ends.asks(t, attls.RoleClient, authenticator.Request{Wanted: test.wanted})
		if _, chosen, err := ends[attls.RoleServer].Answer(r, own); err != nil || (chosen != nil) != test.shown {
			t.Errorf("%s: %v, %v", name, chosen, err)
		}
	}
}

// TestConfigurations: what cannot have authenticators.
func TestConfigurations(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*authenticator.Config)
		ok     bool
	}{
		"as it is":                     {func(c *authenticator.Config) {}, true},
		"no role":                      {func(c *authenticator.Config) { c.Role = 7 }, false},
		"TLS 1.1":                      {func(c *authenticator.Config) { c.Version = 0x0302 }, false},
		"TLS 1.2":                      {func(c *authenticator.Config) { c.Version = 0x0303 }, false},
		"TLS 1.2, extended":            {func(c *authenticator.Config) { c.Version, c.ExtendedMainSecret = 0x0303, true }, true},
		"a handshake that goes on":     {func(c *authenticator.Config) { c.HandshakeComplete = false }, false},
		"no exporter":                  {func(c *authenticator.Config) { c.Export = nil }, false},
		"no hash":                      {func(c *authenticator.Config) { c.Hash = 0 }, false},
		"a hash that no suite has":     {func(c *authenticator.Config) { c.Hash = crypto.SHA1 }, false},
		"a limit that is less than 0":  {func(c *authenticator.Config) { c.Limits.Entries = -1 }, false},
		"nothing at all":               {func(c *authenticator.Config) { *c = authenticator.Config{} }, false},
		"an exporter that fails later": {func(c *authenticator.Config) { c.Export = new(authenticator.Values).Export }, true},
	} {
		c := config(attls.RoleClient, "connection")
		test.change(c)
		connection, err := authenticator.New(c)
		if (err == nil) != test.ok || (err != nil && failure(err) != attls.FailConfiguration) {
			t.Errorf("%s: %v", name, err)
		}
		if name == "an exporter that fails later" {
			ends := pairOf(t, nil)
			octets := must(ends[attls.RoleServer].Request(&authenticator.Request{Wanted: negotiation.Wanted{Schemes: all}}))
			r := must(connection.Receive(octets))
			if _, _, err := connection.Answer(r, shown(t)); err == nil || !strings.Contains(err.Error(), "EXPORTER-client") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if _, err := authenticator.New(nil); err == nil {
		t.Error("without a Config")
	}
}

// TestValues: an end that knows no exporter, only its values.
func TestValues(t *testing.T) {
	var v authenticator.Values
	for _, role := range attls.Roles() {
		v[role].HandshakeContext = must(exporter("connection")("EXPORTER-"+role.String()+" authenticator handshake context", nil, 32))
		v[role].FinishedKey = must(exporter("connection")("EXPORTER-"+role.String()+" authenticator finished key", nil, 32))
	}
	ends := pairOf(t, nil)
	ends[attls.RoleServer] = open(t, func() *authenticator.Config {
		c := config(attls.RoleServer, "")
		c.Export = v.Export
		return c
	}())
	_, r := ends.asks(t, attls.RoleClient, authenticator.Request{})
	if _, err := ends[attls.RoleClient].Validate(ends.answers(t, r, attls.RoleServer, shown(t)), any509); err != nil {
		t.Error(err)
	}
	for _, bad := range []struct {
		label   string
		context string
		length  int
	}{{"EXPORTER-another", "", 32}, {authenticator.LabelClientContext, "context", 32}, {authenticator.LabelClientContext, "", 48}} {
		if _, err := v.Export(bad.label, []byte(bad.context), bad.length); err == nil {
			t.Errorf("%+v is exported", bad)
		}
	}
}

// TestTrusted: the function that judges the chain has the last word, and must be there.
func TestTrusted(t *testing.T) {
	ends := pairOf(t, nil)
	_, r := ends.asks(t, attls.RoleClient, authenticator.Request{})
	proof := ends.answers(t, r, attls.RoleServer, shown(t))
	if _, err := ends[attls.RoleClient].Validate(proof, nil); failure(err) != attls.FailConfiguration {
		t.Errorf("nobody judges: %v", err)
	}
	want := errors.New("not trusted")
	if id, err := ends[attls.RoleClient].Validate(proof, func(*authenticator.Identity) error { return want }); id != nil || !errors.Is(err, want) {
		t.Errorf("%v, %v", id, err)
	}
}

// TestContextOfTheCaller: of any length, and new.
func TestContextOfTheCaller(t *testing.T) {
	for _, asker := range attls.Roles() {
		ends := pairOf(t, nil)
		for _, context := range [][]byte{{}, {1}, bytes.Repeat([]byte{2}, 255)} {
			_, r := ends.asks(t, asker, authenticator.Request{Context: context})
			if id, err := ends[asker].Validate(ends.answers(t, r, asker.Peer(), shown(t)), any509); err != nil || !bytes.Equal(id.Context, context) {
				t.Errorf("%d octets: %v", len(context), err)
			}
		}
		for name, r := range map[string]*authenticator.Request{
			"256 octets":      {Context: make([]byte, 256), Wanted: negotiation.Wanted{Schemes: all}},
			"one used before": {Context: []byte{1}, Wanted: negotiation.Wanted{Schemes: all}},
			"no scheme":       {},
			"an extension of another message": {Wanted: negotiation.Wanted{Schemes: all},
				Extensions: extensions.List{{Type: attls.ExtKeyShare}}},
			"an extension twice": {Wanted: negotiation.Wanted{Schemes: all},
				Extensions: extensions.List{{Type: attls.ExtSignatureAlgorithms}}},
			"more than 65535 octets": {Wanted: negotiation.Wanted{Schemes: all},
				Extensions: extensions.List{{Type: 0xff80, Body: make([]byte, 65500)}, {Type: 0xff81, Body: make([]byte, 65500)}}},
		} {
			if _, err := ends[asker].Request(r); err == nil {
				t.Errorf("%s: the request is made", name)
			}
		}
		// The same context in the other direction is one that was used.
		if _, err := ends[asker.Peer()].Request(&authenticator.Request{Context: []byte{1}, Wanted: negotiation.Wanted{Schemes: all}}); failure(err) != attls.FailRequestContext {
			t.Errorf("a context of the other end's: %v", err)
		}
	}
}

// TestRawKeys: what is not X.509 is not shown.
func TestRawKeys(t *testing.T) {
	ends := pairOf(t, nil)
	_, r := ends.asks(t, attls.RoleClient, authenticator.Request{})
	raw := must(handshake.NewRawCredential(p256)).Shown()
	if _, err := ends[attls.RoleServer].Start(r, raw); failure(err) != attls.FailConfiguration {
		t.Errorf("a raw public key: %v", err)
	}
	if _, chosen, err := ends[attls.RoleServer].Answer(r, raw); err != nil || chosen != nil {
		t.Errorf("%v, %v", chosen, err)
	}
}

// TestNoScheme: a key that signs under no scheme that the peer accepts.
func TestNoScheme(t *testing.T) {
	ends := pairOf(t, func(c *authenticator.Config) {
		c.ClientHello = &authenticator.ClientHello{Schemes: []attls.SignatureScheme{attls.ED25519}}
	})
	if _, err := ends[attls.RoleServer].Spontaneous(nil, shown(t)); failure(err) != attls.FailSignatureScheme {
		t.Errorf("spontaneous: %v", err)
	}
	_, r := ends.asks(t, attls.RoleClient, authenticator.Request{Wanted: negotiation.Wanted{Schemes: []attls.SignatureScheme{attls.ED25519}}})
	if _, err := ends[attls.RoleServer].Start(r, shown(t)); failure(err) != attls.FailSignatureScheme {
		t.Errorf("asked: %v", err)
	}
	if octets, chosen, err := ends[attls.RoleServer].Answer(r, shown(t)); err != nil || chosen != nil || len(octets) != 36 {
		t.Errorf("%v, %v", chosen, err)
	}
}
