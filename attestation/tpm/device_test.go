//go:build unix

package tpm

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"attls"
	"attls/attestation"
	"attls/extensions/profile"
	"attls/negotiation"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"go.yaml.in/yaml/v3"
)

// tool finds a program, or skips the test.
func tool(t *testing.T, name, pkg string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed (on Debian it is in the package %s)", name, pkg)
	}
	return path
}

// manufactured is the state of a TPM that swtpm_setup has made, with certificates of its
// endorsement keys under a CA of its own.
func manufactured(t *testing.T) (directory string, anchors []*x509.Certificate) {
	t.Helper()
	tool(t, "swtpm", "swtpm")
	setup := tool(t, "swtpm_setup", "swtpm-tools")
	localca := tool(t, "swtpm_localca", "swtpm-tools")
	directory = t.TempDir()
	ca := filepath.Join(directory, "ca")
	state := filepath.Join(directory, "state")
	for _, d := range []string{ca, state} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write := func(name, text string) string {
		path := filepath.Join(directory, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	options := write("localca.options", "--platform-manufacturer attls\n--platform-version 1\n--platform-model test\n")
	config := write("localca.conf", fmt.Sprintf("statedir = %s\nsigningkey = %s/key.pem\nissuercert = %s/issuer.pem\ncertserial = %s/serial\n", ca, ca, ca, ca))
	conf := write("setup.conf", fmt.Sprintf("create_certs_tool= %s\ncreate_certs_tool_config = %s\ncreate_certs_tool_options = %s\nactive_pcr_banks = sha256\n", localca, config, options))
	c := exec.CommandContext(t.Context(), setup, "--tpm2", "--tpmstate", state, "--ecc", "--create-ek-cert", "--lock-nvram", "--overwrite", "--config", conf)
	if out, err := c.CombinedOutput(); err != nil {
		t.Skipf("swtpm_setup makes no TPM here: %v\n%s", err, out)
	}
	for _, name := range []string{"swtpm-localca-rootca-cert.pem", "issuer.pem"} {
		text, err := os.ReadFile(filepath.Join(ca, name))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(text)
		anchors = append(anchors, must(x509.ParseCertificate(block.Bytes)))
	}
	return state, anchors
}

// served runs swtpm at a socket.
func served(t *testing.T, state string) *TPM {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	if len(socket) > 100 {
		t.Skipf("the path of a socket has at most 107 octets, and %s is longer", socket)
	}
	c := exec.Command(tool(t, "swtpm", "swtpm"), "socket", "--tpm2", "--tpmstate", "dir="+state, "--server", "type=unixio,path="+socket,
		"--ctrl", "type=unixio,path="+socket+"c", "--flags", "not-need-init,startup-clear", "--log", "level=0")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Signal(os.Interrupt)
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	// The socket is there before somebody listens: the first command is tried again.
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		tpm := atSocket(socket)
		err := tpm.use(ctx, func(l transport.TPM) error {
			_, err := tpm2.GetRandom{BytesRequested: 4}.Execute(l)
			return err
		})
		if err == nil {
			return tpm
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("swtpm does not answer: %v", err)
		}
	}
}

// TestEnroll: a TPM whose endorsement key is certified under the anchors is enrolled, and
// what is written makes and judges Evidence; tpm2_checkquote agrees.
func TestEnroll(t *testing.T) {
	state, anchors := manufactured(t)
	tpm := served(t, state)
	o := EnrollOptions{Anchors: anchors, At: anchors[0].NotBefore.AddDate(0, 0, 1), Name: "host 7", Subject: "host7.example", Hosts: []string{"host7.example", "127.0.0.1"}}
	e, err := Enroll(t.Context(), tpm, o)
	if err != nil {
		t.Fatal(err)
	}
	if e.Hardware.Manufacturer == "" || e.Hardware.Model == "" || e.Hardware.Version == "" {
		t.Errorf("%+v", e.Hardware)
	}
	request := must(x509.ParseCertificateRequest(e.Request))
	if err := request.CheckSignature(); err != nil || request.DNSNames[0] != "host7.example" || len(request.IPAddresses) != 1 {
		t.Errorf("the certificate request: %v, %+v", err, request)
	}
	section := must(attestation.NewSection("device.yaml", must(yaml.Marshal(e.Device))))
	attester, err := Format().Open(t.Context(), attestation.DeviceOptions{Section: section})
	if err != nil {
		t.Fatal(err)
	}
	v := &attestation.Verifier{Clock: testClock, Table: table, Formats: []profile.Format{format},
		Endorsements: []attestation.Endorsement{e.Endorsement}, References: []attestation.Reference{e.Reference}}
	file := filepath.Join(t.TempDir(), "verifier.yaml")
	if err := os.WriteFile(file, must(v.File()), 0o600); err != nil {
		t.Fatal(err)
	}
	if v, err = attestation.LoadVerifier(file, table); err != nil {
		t.Fatal(err)
	}
	v.Clock = testClock
	r := negotiation.EvidenceRequest{Scheme: negotiation.Scheme{Format: format}, Challenge: testChallenge,
		SPKI: must(x509.MarshalPKIXPublicKey(e.Key.Public()))}
	ev, err := attester.Attest(t.Context(), &r)
	if err != nil {
		t.Fatal(err)
	}
	accepted(t, appraise(t, v, r, ev.CMW))

	t.Run("tpm2_checkquote", func(t *testing.T) { checkquote(t, ev.CMW, e.Endorsement.Key) })
	t.Run("the key signs as any other", func(t *testing.T) { signs(t, tpm, e.Key) })
	t.Run("a credential for another attestation key is not opened", func(t *testing.T) { foreignCredential(t, tpm) })
	t.Run("a certificate under another CA is refused", func(t *testing.T) {
		other := o
		other.Anchors = []*x509.Certificate{selfSigned(t)}
		refusesEnrollment(t, tpm, other, "does not verify under 1 trust anchors")
		other.Anchors = nil
		refusesEnrollment(t, tpm, other, "there are no trust anchors")
		other.Anchors = anchors[1:] // the issuer alone, which nobody trusts
		refusesEnrollment(t, tpm, other, "does not verify")
		other = o
		other.At = anchors[0].NotBefore.AddDate(-1, 0, 0)
		refusesEnrollment(t, tpm, other, "does not verify")
	})
	t.Run("a bank that the TPM does not have is refused", func(t *testing.T) {
		other := o
		other.PCRs = "sha1:0"
		refusesEnrollment(t, tpm, other, "")
	})
	t.Run("each of the TPM's endorsement keys will do", func(t *testing.T) {
		all := endorsementKeys
		t.Cleanup(func() { endorsementKeys = all })
		endorsementKeys = all[2:]
		if e, err := Enroll(t.Context(), tpm, o); err != nil || e.EK.PublicKeyAlgorithm != x509.ECDSA {
			t.Errorf("ECC: %v", err)
		}
		endorsementKeys = slices.Clone(all[:1])
		endorsementKeys[0].persistent = 0x81018888 // it is made of the template
		if e, err := Enroll(t.Context(), tpm, o); err != nil || e.EK.PublicKeyAlgorithm != x509.RSA {
			t.Errorf("RSA: %v", err)
		}
		endorsementKeys = nil
		refusesEnrollment(t, tpm, o, "has no certificate of an endorsement key")
	})
	t.Run("nothing stays loaded", func(t *testing.T) {
		err := tpm.use(t.Context(), func(l transport.TPM) error {
			r, err := tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: 0x80000000, PropertyCount: 8}.Execute(l)
			if err != nil {
				return err
			}
			if h, err := r.CapabilityData.Data.Handles(); err != nil || len(h.Handle) != 0 {
				t.Errorf("%v are still loaded: %v", h, err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func refusesEnrollment(t *testing.T, tpm *TPM, o EnrollOptions, says string) {
	t.Helper()
	if _, err := Enroll(t.Context(), tpm, o); err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("%v, want %q", err, says)
	}
}

// checkquote has another implementation verify the quote.
func checkquote(t *testing.T, cmw []byte, ak crypto.PublicKey) {
	program := tool(t, "tpm2_checkquote", "tpm2-tools")
	c := must2(attestation.ParseCMW(cmw, attestation.Limits{}))
	p := must2(parseParsec(c.Value, true))
	directory := t.TempDir()
	files := map[string][]byte{"ak.pem": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(ak))}),
		"attest": p.pat.octets, "sig": tpm2.Marshal(*p.pat.signature)}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(directory, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	check := func(nonce []byte) error {
		c := exec.CommandContext(t.Context(), program, "-u", "ak.pem", "-m", "attest", "-s", "sig", "-q", hex.EncodeToString(nonce), "-g", "sha256")
		c.Dir = directory
		out, err := c.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return err
	}
	if err := check(testChallenge); err != nil {
		t.Errorf("it refuses our quote: %v", err)
	}
	wrong := bytes.Clone(testChallenge)
	wrong[31] ^= 1
	if check(wrong) == nil {
		t.Error("it accepts another nonce")
	}
}

// signs wants signatures that verify, and the key in a file that can be read.
func signs(t *testing.T, tpm *TPM, k *Key) {
	block, _ := pem.Decode(must(k.PEM()))
	again, err := ParseKey(tpm, block.Bytes)
	if err != nil || block.Type != PEMType || !again.Public().(*ecdsa.PublicKey).Equal(k.Public()) {
		t.Fatalf("%s: %v", block.Type, err)
	}
	short, long := sha256.Sum256([]byte("x")), sha512.Sum384([]byte("x"))
	for _, key := range []*Key{k, again, again} { // loaded, loaded from a file, and loaded again
		for h, digest := range map[crypto.Hash][]byte{crypto.SHA256: short[:], crypto.SHA384: long[:]} {
			sig, err := key.Sign(rand.Reader, digest, h)
			if err != nil || !ecdsa.VerifyASN1(k.public, digest, sig) {
				t.Errorf("%v: %v", h, err)
			}
		}
	}
	again.saved = &tpm2.TPMSContext{Sequence: 1, SavedHandle: 0x80000000, Hierarchy: tpm2.TPMRHOwner} // of a TPM before its reset
	if _, err := again.Sign(rand.Reader, short[:], crypto.SHA256); err != nil {
		t.Errorf("after a reset: %v", err)
	}
	for h, digest := range map[crypto.Hash][]byte{crypto.SHA1: make([]byte, 20), crypto.SHA256: long[:]} {
		if _, err := k.Sign(rand.Reader, digest, h); err == nil {
			t.Errorf("%v over %d octets is signed", h, len(digest))
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := k.SignContext(ended, short[:], crypto.SHA256); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: %v", err)
	}
	if _, err := k.Sign(rand.Reader, short[:], crypto.SHA256); err != nil {
		t.Errorf("and after that: %v", err)
	}
}

// foreignCredential: a credential for another attestation key is not opened.
func foreignCredential(t *testing.T, tpm *TPM) {
	err := tpm.use(t.Context(), func(l transport.TPM) error {
		ek, err := findEK(l)
		if err != nil {
			return err
		}
		h, remove, err := ek.load(l)
		if err != nil {
			return err
		}
		defer remove()
		ak, err := create(l, true)
		if err != nil {
			return err
		}
		name := bytes.Clone(ak.name.Buffer)
		name[len(name)-1] ^= 1
		_, err = ek.activate(l, h, ak, must(makeCredential(ek.area, name, make([]byte, secretSize))))
		return err
	})
	if err == nil || !errors.Is(err, tpm2.TPMRCIntegrity) || !strings.Contains(err.Error(), "made for another attestation key") {
		t.Error(err)
	}
}

func selfSigned(t *testing.T) *x509.Certificate {
	t.Helper()
	k := must(attestation.DeriveKey(nil, "another CA"))
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "another CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: testTime.AddDate(-9, 0, 0), NotAfter: testTime.AddDate(9, 0, 0)}
	return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, c, c, k.Public(), k))))
}

// TestExternalKey: the TPM certifies a key that was made outside and only loaded,
// and the appraisal refuses it.
func TestExternalKey(t *testing.T) {
	e := emulated(Format).Emulate(t, attestation.EmulatorOptions{Seed: []byte("seed")})
	m := e.Attester.(*attestation.Root).Maker.(*maker)
	outside := must(attestation.DeriveKey(nil, "made outside"))
	err := m.tpm.use(t.Context(), func(l transport.TPM) error {
		area := template(tpm2.TPMAObject{UserWithAuth: true, NoDA: true, SignEncrypt: true})
		if err := setPoint(&area, &outside.PublicKey); err != nil {
			return err
		}
		r, err := tpm2.LoadExternal{InPublic: tpm2.New2B(area), Hierarchy: tpm2.TPMRHNull,
			InPrivate: tpm2.New2B(tpm2.TPMTSensitive{SensitiveType: tpm2.TPMAlgECC,
				Sensitive: tpm2.NewTPMUSensitiveComposite(tpm2.TPMAlgECC, &tpm2.TPM2BECCParameter{Buffer: must(outside.Bytes())})})}.Execute(l)
		if err != nil {
			return err
		}
		defer flush(l, r.ObjectHandle)
		s, err := tpm2.ContextSave{SaveHandle: r.ObjectHandle}.Execute(l)
		if err != nil {
			return err
		}
		o, err := objectOf(&object{saved: &s.Context}, &area)
		m.recent = append(m.recent, o)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	r := negotiation.EvidenceRequest{Scheme: negotiation.Scheme{Format: format}, Challenge: testChallenge, SPKI: must(x509.MarshalPKIXPublicKey(outside.Public()))}
	ev, err := e.Attester.Attest(t.Context(), &r)
	if err != nil {
		t.Fatal(err)
	}
	v := &attestation.Verifier{Clock: testClock, Table: table, Endorsements: e.Endorsements, References: e.References, Formats: []profile.Format{format}}
	wants(t, appraise(t, v, r, ev.CMW), attls.FailAppraisal, "fixedTPM false, sensitiveDataOrigin false")
}

// TestSameSeed: who trusts one emulator trusts another of the same seed, and of no other.
func TestSameSeed(t *testing.T) {
	options := emulated(Format)
	one := options.Emulate(t, attestation.EmulatorOptions{Seed: []byte("seed")})
	for seed, want := range map[string]attls.Failure{"seed": "", "another": attls.FailAppraisal} {
		other := options.Emulate(t, attestation.EmulatorOptions{Seed: []byte(seed)})
		r := negotiation.EvidenceRequest{Scheme: negotiation.Scheme{Format: format}, Challenge: testChallenge}
		ev, err := one.Attester.Attest(t.Context(), &r)
		if err != nil {
			t.Fatal(err)
		}
		v := &attestation.Verifier{Clock: testClock, Table: table, Endorsements: other.Endorsements, References: other.References, Formats: []profile.Format{format}}
		wants(t, appraise(t, v, r, ev.CMW), want, "")
	}
}

// TestEmulatorIsGone: a use of an emulator that has ended fails, and goes on failing.
func TestEmulatorIsGone(t *testing.T) {
	tpm, err := emulator()
	if err != nil {
		t.Skip(err)
	}
	if _, err := tpm.NewKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	tpm.kept.Close()
	for range 2 {
		if _, err := tpm.NewKey(t.Context()); err == nil || !strings.Contains(err.Error(), "the TPM at swtpm") {
			t.Errorf("%v", err)
		}
	}
}

// TestManyKeys: keys that are made for one handshake each do not add up.
func TestManyKeys(t *testing.T) {
	e := emulated(Format).Emulate(t, attestation.EmulatorOptions{Seed: []byte("seed")})
	m := e.Attester.(*attestation.Root).Maker.(*maker)
	if _, err := m.NewKey(t.Context(), attls.RoleClient); err != nil {
		t.Fatal(err)
	}
	for len(m.recent) < maxRecent {
		m.recent = append(m.recent, m.recent[0])
	}
	if _, err := m.NewKey(t.Context(), attls.RoleClient); err != nil || len(m.recent) != maxRecent {
		t.Errorf("%d keys are remembered: %v", len(m.recent), err)
	}
}

// TestAnswers: whatever answers in the place of a TPM, a use of it ends with an error that
// names it.
func TestAnswers(t *testing.T) {
	success := func(body string) string { return "8002" + fmt.Sprintf("%08x", 10+len(body)/2) + "00000000" + body }
	for name, answer := range map[string]string{
		"nothing":                  "",
		"half a header":            "8001 0000",
		"a length below a header":  "8001 00000009 00000000",
		"a length without end":     "8001 ffffffff 00000000",
		"more than it has":         "8001 00000fff 00000000 00",
		"an error":                 "8001 0000000a 00000101",
		"success and nothing":      "8001 0000000a 00000000",
		"handles without end":      success("80000000 ffffffff"),
		"a key of a length beyond": success("80000000 00000010 ffff 0023 000b"),
		"octets of no kind":        success(strings.Repeat("ff", 300)),
		"zeros":                    success(strings.Repeat("00", 300)),
	} {
		t.Run(name, func(t *testing.T) {
			socket := filepath.Join(t.TempDir(), "s")
			l, err := net.Listen("unix", socket)
			if err != nil {
				t.Skip(err)
			}
			defer l.Close()
			octets := unhex(t, answer)
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					_, _ = c.Read(make([]byte, 4096))
					_, _ = c.Write(octets)
					c.Close()
				}
			}()
			if _, err := atSocket(socket).NewKey(t.Context()); err == nil || !strings.Contains(err.Error(), socket) {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("silence", func(t *testing.T) {
		socket := filepath.Join(t.TempDir(), "s")
		l, err := net.Listen("unix", socket)
		if err != nil {
			t.Skip(err)
		}
		defer l.Close()
		tpm := atSocket(socket)
		tpm.limit = 20 * time.Millisecond
		if _, err := tpm.NewKey(t.Context()); err == nil || !strings.Contains(err.Error(), "no answer within 20ms") {
			t.Errorf("%v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		tpm.limit = time.Hour
		time.AfterFunc(10*time.Millisecond, cancel)
		if _, err := tpm.NewKey(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
}

// slow is a device that answers when it is told to.
type slow struct {
	asked   chan struct{}
	answers chan []byte
}

func (s slow) Send([]byte) ([]byte, error) {
	s.asked <- struct{}{}
	return <-s.answers, nil
}

func (slow) Close() error { return nil }

// TestSlowDevice: a command that nobody waits for any more keeps the next one waiting,
// which does not take its answer.
func TestSlowDevice(t *testing.T) {
	s := slow{make(chan struct{}, 2), make(chan []byte)}
	b := &blocking{TPMCloser: s, idle: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	given := make(chan error)
	go func() {
		_, err := b.send(ctx, nil)
		given <- err
	}()
	<-s.asked
	cancel()
	if err := <-given; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if _, err := b.send(ctx, nil); !errors.Is(err, context.Canceled) { // the device is not free
		t.Fatal(err)
	}
	second := make(chan []byte)
	go func() {
		answer, _ := b.send(context.Background(), nil)
		second <- answer
	}()
	s.answers <- []byte("first")
	s.answers <- []byte("second")
	if got := <-second; string(got) != "second" {
		t.Errorf("%s", got)
	}
}

// TestDevices: sections that cannot be are refused with the line.
func TestDevices(t *testing.T) {
	key := must(attestation.PrivateKey{Signer: must(attestation.DeriveKey(nil, "ak"))}.MarshalYAML()).(string)
	p384 := must(attestation.PrivateKey{Signer: must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))}.MarshalYAML()).(string)
	for text, says := range map[string]string{
		"pcrs: sha256:0":               "name one of them",
		"path: /dev/tpmrm0\nsocket: s": "name one of them",
		"path: /dev/tpmrm0":            "is either attestation_key",
		"path: /dev/tpmrm0\nattestation_key_handle: 0x40000001":                              "is not the handle of a persistent key",
		"path: /dev/tpmrm0\nattestation_key_handle: 0x81000003\npcrs: sha256:99":             "pcrs",
		"path: /dev/tpmrm0\nattestation_key_handle: 0x81000003\npcrs: ''":                    "pcrs",
		"path: /dev/tpmrm0\nattestation_key: x":                                              "one block of PEM",
		"path: /dev/tpmrm0\nattestation_key_handle: 0x81000003\nkeys: [x]":                   "one block of PEM",
		"path: /dev/tpmrm0\nno_such_member: x":                                               "no_such_member",
		must2text(map[string]any{"emulator_key": key, "attestation_key_handle": 0x81000003}): "an emulator has this key alone",
		must2text(map[string]any{"emulator_key": p384}):                                      "must be on P-256",
	} {
		section, err := attestation.NewSection("device.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		_, err = Format().Open(t.Context(), attestation.DeviceOptions{Section: section})
		if errors.Is(err, ErrNoEmulator) {
			continue
		}
		if err == nil || !strings.Contains(err.Error(), says) || !strings.HasPrefix(err.Error(), "device.yaml:") {
			t.Errorf("%s: %v, want %q", text, err, says)
		}
	}
	section := must(attestation.NewSection("device.yaml", []byte("path: /dev/null/tpm\nattestation_key_handle: 0x81000003")))
	a := must(Format().Open(t.Context(), attestation.DeviceOptions{Section: section}))
	if _, err := a.Attest(t.Context(), &negotiation.EvidenceRequest{Scheme: negotiation.Scheme{Format: format}}); err == nil || !strings.Contains(err.Error(), "/dev/null/tpm") {
		t.Errorf("a device that is not there: %v", err)
	}
}

func must2text(v any) string { return string(must(yaml.Marshal(v))) }

// TestLocate: names of TPMs, as paths and as the tools of the TSS write them.
func TestLocate(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	for text, want := range map[string]string{socket: socket, "device:/dev/tpmrm0": "/dev/tpmrm0", "swtpm:path=/run/s": "/run/s"} {
		if tpm, err := Locate(text); err != nil || tpm.String() != want || (tpm.kind == kindSocket) != strings.HasSuffix(want, "s") {
			t.Errorf("%s: %v, %v", text, tpm, err)
		}
	}
	for _, text := range []string{"mssim:host=localhost,port=2321", "swtpm:port=1", "/no/such/file", "swtpm:"} {
		if _, err := Locate(text); err == nil {
			t.Errorf("%s is a TPM", text)
		}
	}
	t.Setenv(EnvTools, "device:/dev/b")
	if tpm := must(Locate("")); tpm.String() != "/dev/b" {
		t.Error(tpm)
	}
	t.Setenv(EnvOpenSSL, "device:/dev/a")
	if tpm := must(Locate("")); tpm.String() != "/dev/a" {
		t.Error(tpm)
	}
}

// TestKeyFiles: files that are not keys of a TPM, or of another kind, are refused.
func TestKeyFiles(t *testing.T) {
	area, _ := areaOf(t, "k")
	o := must(objectOf(&object{parent: tpm2.TPMRHOwner, private: []byte{1, 2, 3}}, &area))
	der := must(o.der())
	if _, err := ParseKey(nil, der); err != nil {
		t.Fatal(err)
	}
	change := func(f func(*keyFile)) []byte {
		var k keyFile
		if _, err := asn1.Unmarshal(der, &k); err != nil {
			t.Fatal(err)
		}
		f(&k)
		return must(asn1.Marshal(k))
	}
	area.ObjectAttributes.Restricted = true
	restricted := must(must(objectOf(&object{parent: tpm2.TPMRHOwner, private: []byte{1}}, &area)).der())
	for name, der := range map[string][]byte{
		"nothing": nil, "an octet more": append(bytes.Clone(der), 0), "another type": change(func(k *keyFile) { k.Type = asn1.ObjectIdentifier{2, 23, 133, 10, 1, 5} }),
		"a password": change(func(k *keyFile) { k.EmptyAuth = false }), "a parent of no kind": change(func(k *keyFile) { k.Parent = 0x80000001 }),
		"a parent beyond": change(func(k *keyFile) { k.Parent = 1<<33 | 0x81000001 }), "no public area": change(func(k *keyFile) { k.Public = nil }),
		"a public area that ends": change(func(k *keyFile) { k.Public = k.Public[:9] }), "no private area": change(func(k *keyFile) { k.Private = []byte{0, 0} }),
		"a restricted key": restricted,
	} {
		if _, err := ParseKey(nil, der); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	for i := range der { // no panic
		spoiled := bytes.Clone(der)
		spoiled[i] ^= 0x81
		_, _ = ParseKey(nil, spoiled)
		_, _ = ParseKey(nil, der[:i])
	}
}

// TestEKCertificates: what a certificate of an endorsement key must have, by certificates
// of our own.
func TestEKCertificates(t *testing.T) {
	caKey := must(attestation.DeriveKey(nil, "another CA"))
	ca := selfSigned(t)
	type attribute struct {
		Type  asn1.ObjectIdentifier
		Value string `asn1:"utf8"`
	}
	name := func(list ...attribute) []byte {
		var sequence pkix.RDNSequence
		for _, a := range list {
			sequence = append(sequence, pkix.RelativeDistinguishedNameSET{{Type: a.Type, Value: a.Value}})
		}
		directory := must(asn1.MarshalWithParams(asn1.RawValue{Class: 2, Tag: 4, IsCompound: true, Bytes: must(asn1.Marshal(sequence))}, ""))
		return must(asn1.Marshal(asn1.RawValue{Class: 0, Tag: 16, IsCompound: true, Bytes: directory}))
	}
	tpmName := name(attribute{oidManufacturer, "id:00001014"}, attribute{oidModel, "test"}, attribute{oidVersion, "id:1"})
	san := func(b []byte) pkix.Extension { return pkix.Extension{Id: oidSAN, Critical: true, Value: b} }
	issue := func(eku []asn1.ObjectIdentifier, extensions ...pkix.Extension) *x509.Certificate {
		c := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: testTime.AddDate(-1, 0, 0), NotAfter: testTime.AddDate(1, 0, 0),
			UnknownExtKeyUsage: eku, ExtraExtensions: extensions, KeyUsage: x509.KeyUsageKeyEncipherment}
		key := must(rsa.GenerateKey(rand.Reader, 2048))
		return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, c, ca, key.Public(), caKey))))
	}
	ek := []asn1.ObjectIdentifier{oidEK}
	for _, test := range []struct {
		name string
		c    *x509.Certificate
		says string
	}{
		{"as it should be", issue(ek, san(tpmName)), ""},
		{"no subjectAltName", issue(ek), "missing"},
		{"a subjectAltName of other names", issue(ek, san(must(asn1.Marshal([]string{})))), "0 directory names"},
		{"a version that is missing", issue(ek, san(name(attribute{oidManufacturer, "x"}, attribute{oidModel, "x"}))), "manufacturer, model and version"},
		{"another use", issue(nil, san(tpmName)), "not one of an endorsement key"},
		{"another critical extension", issue(ek, san(tpmName), pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}), "unhandled critical extension"},
	} {
		h, err := CheckEK(test.c, []*x509.Certificate{ca}, testTime)
		if test.says == "" {
			if err != nil || h.Model != "test" || h.Manufacturer != "id:00001014" {
				t.Errorf("%s: %v, %v", test.name, h, err)
			}
			continue
		}
		if e := (*attls.Error)(nil); err == nil || !strings.Contains(err.Error(), test.says) || !errors.As(err, &e) || e.Failure != attls.FailAppraisal {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// TestAttestationKeys: keys that could sign what no TPM has made are not enrolled.
func TestAttestationKeys(t *testing.T) {
	good := made
	good.Restricted = true
	area := func(a tpm2.TPMAObject) *tpm2.TPMTPublic {
		p, _ := areaOf(t, "k")
		p.ObjectAttributes = a
		return &p
	}
	if err := checkAK(area(good)); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*tpm2.TPMAObject){
		"restricted": func(a *tpm2.TPMAObject) { a.Restricted = false }, "sign": func(a *tpm2.TPMAObject) { a.SignEncrypt = false },
		"fixedTPM": func(a *tpm2.TPMAObject) { a.FixedTPM = false }, "fixedParent": func(a *tpm2.TPMAObject) { a.FixedParent = false },
		"sensitiveDataOrigin": func(a *tpm2.TPMAObject) { a.SensitiveDataOrigin = false }, "not decrypt": func(a *tpm2.TPMAObject) { a.Decrypt = true },
	} {
		a := good
		change(&a)
		if err := checkAK(area(a)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	weak := area(good)
	weak.NameAlg = tpm2.TPMAlgSHA1
	if err := checkAK(weak); err == nil {
		t.Error("a name made with SHA-1 is accepted")
	}
}
