package attestation

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"attls"
	"attls/extensions/profile"
	"attls/negotiation"
)

const programVariable = "ATTLS_TEST_PROGRAM"

// TestMain makes the test binary its own program for the tests of Command.
func TestMain(m *testing.M) {
	if how := os.Getenv(programVariable); how != "" {
		os.Exit(program(how, os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

func program(how string, in io.Reader, out, errs io.Writer) int {
	s, v := testDemo()
	switch how {
	case "serve":
		if err := Serve(context.Background(), s, v, in, out); err != nil {
			fmt.Fprintln(errs, err)
			return 3
		}
	case "bare":
		var r Request
		if err := json.NewDecoder(in).Decode(&r); err != nil {
			return 4
		}
		request, err := r.EvidenceRequest()
		if err != nil {
			return 5
		}
		ev, err := s.Attest(context.Background(), request)
		if err != nil {
			return 6
		}
		out.Write(ev.CMW)
	case "signer":
		return signerProgram(s, in, out)
	case "exit":
		fmt.Fprintln(errs, "the enclave is on holiday")
		return 7
	case "hang":
		time.Sleep(time.Hour)
	case "flood":
		for {
			if _, err := out.Write(make([]byte, 1<<16)); err != nil {
				return 8
			}
		}
	case "family hangs", "family floods", "family fails", "family answers":
		return family(how, out)
	case "grandchild":
		return grandchild()
	default:
		io.WriteString(out, how)
	}
	return 0
}

// signerProgram keeps its key and signs on request.
func signerProgram(s *Software, in io.Reader, out io.Writer) int {
	key := must(deriveKey([]byte("kept"), "kept"))
	var r Request
	if err := json.NewDecoder(in).Decode(&r); err != nil {
		return 9
	}
	if r.Action == ActionSign {
		sig, err := deterministic{key}.Sign(nil, r.Digest, nil)
		if err != nil || r.Hash != crypto.SHA256.String() {
			return 10
		}
		json.NewEncoder(out).Encode(SignResponse{sig})
		return 0
	}
	request, err := r.EvidenceRequest()
	if err != nil {
		return 11
	}
	request.SPKI = must(spkiOf(key.Public()))
	ev, err := s.Attest(context.Background(), request)
	if err != nil {
		return 12
	}
	json.NewEncoder(out).Encode(AttestResponse{CMW: ev.CMW, SPKI: request.SPKI, Sign: true})
	return 0
}

func testCommand(t *testing.T, how string) *Command {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s, _ := testDemo()
	return &Command{Args: []string{exe}, Env: append(os.Environ(), programVariable+"="+how), Offered: s.Schemes()}
}

// TestCommand: a program in the place of the Attester, of the Appraiser, and of both.
func TestCommand(t *testing.T) {
	s, v := testDemo()
	serve := testCommand(t, "serve")
	for _, spki := range [][]byte{nil, testSPKI(t)} {
		for i, scheme := range s.Schemes() {
			scheme.Credential = profile.KindX509
			r := negotiation.EvidenceRequest{Profile: "test", Attester: attls.RoleServer, Scheme: scheme, Challenge: testChallenge, SPKI: spki,
				Claims: []negotiation.ClaimValue{{Name: "tik_pub_hash", Value: testChallenge}}}
			ev := attest(t, serve, r)
			accepted(t, appraise(t, v, r, ev.CMW))
			verdict := appraise(t, serve, r, ev.CMW)
			accepted(t, verdict)
			if len(verdict.Result) == 0 {
				t.Errorf("%v: no result came through", scheme)
			}
			if spki == nil && ev.Signer == nil {
				t.Errorf("%v: no signer", scheme)
			}
			if spki != nil && i == 0 {
				bare := attest(t, testCommand(t, "bare"), r)
				accepted(t, appraise(t, v, r, bare.CMW))
			}
			r.Challenge = flipped(testChallenge)
			if verdict := appraise(t, serve, r, ev.CMW); verdict.Failure != attls.FailBinderMismatch || verdict.Reason == "" {
				t.Errorf("%v: %q", scheme, verdict.Failure)
			}
		}
	}
	serve.AskNonce = true
	if nonce, err := serve.Nonce(context.Background(), 32); nonce != nil || err != nil {
		t.Errorf("nonce %x, %v", nonce, err)
	}
	echo := testCommand(t, `{"nonce":"AAECAwQFBgc="}`)
	if nonce, _ := echo.Nonce(context.Background(), 8); nonce != nil {
		t.Errorf("a nonce that was not asked for: %x", nonce)
	}
	echo.AskNonce = true
	if nonce, err := echo.Nonce(context.Background(), 8); !bytes.Equal(nonce, []byte{0, 1, 2, 3, 4, 5, 6, 7}) || err != nil {
		t.Errorf("nonce %x, %v", nonce, err)
	}
}

// TestCommandSigner: a key that stays in the program.
func TestCommandSigner(t *testing.T) {
	_, v := testDemo()
	c := testCommand(t, "signer")
	r := negotiation.EvidenceRequest{Scheme: c.Offered[0], Challenge: testChallenge}
	ev := attest(t, c, r)
	accepted(t, appraise(t, v, r, ev.CMW))
	digest := sha256.Sum256([]byte("message"))
	sig, err := ev.Signer.Sign(nil, digest[:], crypto.SHA256)
	if err != nil || !ecdsa.VerifyASN1(ev.Signer.Public().(*ecdsa.PublicKey), digest[:], sig) {
		t.Errorf("signature %x, %v", sig, err)
	}
	if _, err := ev.Signer.Sign(nil, digest[:], crypto.SHA384); err == nil || !strings.Contains(err.Error(), "exit status 10") {
		t.Errorf("a hash that the program does not want: %v", err)
	}
}

func TestCommandFailures(t *testing.T) {
	attestRequest := &negotiation.EvidenceRequest{Scheme: negotiation.Scheme{Format: profile.Format{ContentFormat: FormatCWT}}, Challenge: testChallenge}
	appraiseRequest := &negotiation.AppraisalRequest{Scheme: attestRequest.Scheme, CMW: []byte{0}}
	for _, test := range []struct {
		how      string
		timeout  time.Duration
		appraise attls.Failure // empty: not tried
		attest   attls.Failure
		says     string
	}{
		{how: "exit", appraise: attls.FailVerifierUnreachable, attest: attls.FailAttesterUnavailable, says: "exit status 7; it says: the enclave is on holiday"},
		{how: "hang", timeout: 50 * time.Millisecond, appraise: attls.FailTimeout, attest: attls.FailTimeout, says: "deadline exceeded"},
		{how: "flood", appraise: attls.FailVerifierUnreachable, attest: attls.FailAttesterUnavailable, says: "more than 4194304 octets"},
		{how: "{}", appraise: attls.FailVerifierUnreachable, attest: attls.FailAttesterUnavailable},
		{how: `{"status":"fine"}`, appraise: attls.FailVerifierUnreachable, says: "affirming, warning"},
		{how: `{"status":"none","failure":"bad"}`, appraise: attls.FailVerifierUnreachable, says: "closed list"},
		{how: `{"status":"affirming"} x`, appraise: attls.FailVerifierUnreachable, says: "more follows"},
		{how: `{"status":"affirming"} {}`, appraise: attls.FailVerifierUnreachable, says: "more follows"},
		{how: `{"status":"affirming","faliure":""}`, appraise: attls.FailVerifierUnreachable, says: `unknown member "faliure"`},
		{how: `{"status":"contraindicated","Status":"affirming"}`, appraise: attls.FailVerifierUnreachable, says: `unknown member "Status"`},
		{how: `{"status":"contraindicated","status":"affirming"}`, appraise: attls.FailVerifierUnreachable, says: "appears twice"},
		{how: `{"status":"affirming","checks":[{"OK":true}]}`, appraise: attls.FailVerifierUnreachable, says: `unknown member "OK"`},
		{how: "bare octets", attest: attls.FailAttesterUnavailable, says: "wants a key"},
		{how: `{"cmw":"AA==","spki":"AA=="}`, attest: attls.FailAttesterUnavailable, says: "subjectPublicKeyInfo"},
		{how: `{"cmw":"!"}`, attest: attls.FailAttesterUnavailable, says: "base64"},
	} {
		c := testCommand(t, test.how)
		c.Timeout = test.timeout
		check := func(err error, want attls.Failure) {
			var e *attls.Error
			if want == "" {
				return
			}
			if !errors.As(err, &e) || e.Failure != want || !strings.Contains(e.Error(), test.says) {
				t.Errorf("%s: %v, want %s and %q", test.how, err, want, test.says)
			}
		}
		if test.attest != "" {
			_, err := c.Attest(context.Background(), attestRequest)
			check(err, test.attest)
		}
		if test.appraise != "" {
			_, err := c.Appraise(context.Background(), appraiseRequest)
			check(err, test.appraise)
		}
	}
	// A status that is not affirming is a refusal even without a failure.
	v, err := testCommand(t, `{"status":"warning"}`).Appraise(context.Background(), appraiseRequest)
	if err != nil || v.Failure != attls.FailAppraisal || v.Reason == "" {
		t.Errorf("%+v, %v", v, err)
	}
	for _, c := range []*Command{{}, {Args: []string{"/no/such/program"}}} {
		if _, err := c.Attest(context.Background(), attestRequest); err == nil {
			t.Errorf("%q attests", c.Args)
		}
	}
	// An answer without a private key or the promise to sign.
	spki := testSPKI(t)
	foreign := must(x509.MarshalPKCS8PrivateKey(must(deriveKey(nil, "foreign"))))
	for _, r := range []AttestResponse{{CMW: []byte{1}, SPKI: spki, PrivateKey: foreign}, {CMW: []byte{1}, SPKI: spki}, {CMW: []byte{1}, SPKI: spki, PrivateKey: []byte{1}}} {
		b := must(json.Marshal(r))
		if _, err := (&Command{}).evidence(b, true); err == nil {
			t.Errorf("%s is taken", b)
		}
	}
}

// TestServeRefuses: requests that are no requests.
func TestServeRefuses(t *testing.T) {
	s, v := testDemo()
	for in, says := range map[string]string{
		"":                      "EOF",
		`{"action":"sing"}`:     "is not served",
		`{"action":"sign"}`:     "is not served",
		`{"acton":"attest"}`:    `unknown member "acton"`,
		`{"action":"attest"}{}`: "more follows",
		`{"action":"attest"}`:   "no scheme",
		`{"action":"attest","scheme":{"model":"evidence"}}`:                                                       "content_format or a media_type",
		`{"action":"attest","scheme":{"model":"evidence","content_format":263,"media_type":"a/b"}}`:               "content_format or a media_type",
		`{"action":"attest","scheme":{"model":"license"}}`:                                                        `scheme.model is "license"`,
		`{"action":"attest","attester":"verifier","scheme":{"model":"evidence","content_format":263}}`:            `attester is "verifier"`,
		`{"action":"appraise","fit":"loose","scheme":{"model":"evidence","content_format":263}}`:                  `fit is "loose"`,
		`{"action":"appraise","match":"loose","scheme":{"model":"evidence","content_format":263}}`:                `match is "loose"`,
		`{"action":"attest","scheme":{"model":"evidence","content_format":70000}}`:                                "70000",
		`{"action":"attest","challenge":"AA","scheme":{"model":"evidence","content_format":263}}`:                 "base64",
		`{"action":"attest","challenge":"AA==","fit":"exact","scheme":{"model":"evidence","content_format":263}}`: "a challenge of 1 octets",
		strings.Repeat(" ", maxRequest+1):                                                                         "more than 4194304 octets",
	} {
		var out bytes.Buffer
		if err := Serve(context.Background(), s, v, strings.NewReader(in), &out); err == nil || !strings.Contains(err.Error(), says) || out.Len() > 0 {
			t.Errorf("%.80s: %v, want %q", in, err, says)
		}
	}
	if err := Serve(context.Background(), nil, nil, strings.NewReader(`{"action":"attest"}`), io.Discard); err == nil {
		t.Error("an Attester that is not there attests")
	}
}
