package handshake_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"attls"
	"attls/conformance/pair"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/message"
)

// noncePlace is a message in which a server sends the nonce for a client.
type noncePlace struct {
	name   string
	path   string
	ee, cr string // fields of the profile's extension beside the choices
	more   string // of the profile
	again  bool   // each request after the handshake has another nonce
	spelt  func([]byte) string
}

// octets is the nonce as it is sent.
func (n *noncePlace) octets(nonce []byte) []byte {
	if n.spelt == nil {
		return nonce
	}
	return []byte(n.spelt(nonce))
}

// message is the one that carries it.
func (n *noncePlace) message() attls.MessageKind {
	name, _, _ := strings.Cut(strings.TrimPrefix(n.path, "{in: "), ".")
	k, _ := attls.KindByName(name)
	return k
}

const (
	ownExtension = "code_points: {extensions: {fresh: 0xFF42}}\nextensions: {fresh: {body: Fresh, %s}}\n"
	nonceField   = "opaque nonce<8..64>;"
)

var noncePlaces = []noncePlace{
	{name: "in CertificateRequest beside the choice", path: "certificate_request.remoteAttestation.nonce", cr: nonceField, again: true},
	{name: "in CertificateRequest beside the choice, of a fixed length", path: "certificate_request.remoteAttestation.nonce", cr: "opaque nonce[32];", again: true},
	{name: "in CertificateRequest beside the choice, which is carried over", path: "certificate_request.remoteAttestation.nonce", cr: nonceField, again: true,
		more: "after: {post_handshake: {choice: carried_over}}\nswitches: {pha_choice: null}\n"},
	{name: "in EncryptedExtensions without a choice for the server", path: "encrypted_extensions.remoteAttestation.nonce", ee: nonceField},
	{name: "in an extension of its own in CertificateRequest", path: "certificate_request.fresh.nonce", again: true,
		more: fmt.Sprintf(ownExtension, "certificate_request: {also_in: [post_handshake]}")},
	{name: "in an extension of its own in CertificateRequest, the choice carried over", path: "certificate_request.fresh.nonce", again: true,
		more: fmt.Sprintf(ownExtension, "certificate_request: {also_in: [post_handshake]}") + "after: {post_handshake: {choice: carried_over}}\nswitches: {pha_choice: null}\n"},
	{name: "in an extension of its own in EncryptedExtensions", path: "encrypted_extensions.fresh.nonce",
		more: fmt.Sprintf(ownExtension, "encrypted_extensions: {offered_by: [client_hello.remoteAttestation]}") + "accepted_flaws: {answer_not_offered: test}\n"},
	{name: "in an extension of its own in ServerHello", path: "server_hello.fresh.nonce",
		more: fmt.Sprintf(ownExtension, "server_hello: {offered_by: [client_hello.remoteAttestation]}") + "accepted_flaws: {answer_not_offered: test}\n"},
	{name: "in an extension of its own in HelloRetryRequest", path: "hello_retry_request.fresh.nonce",
		more: fmt.Sprintf(ownExtension, "hello_retry_request: {offered_by: [client_hello.remoteAttestation]}") + "accepted_flaws: {answer_not_offered: test}\n"},
	{name: "in EncryptedExtensions in an extension that the client offers empty", path: "encrypted_extensions.fresh.nonce",
		more: fmt.Sprintf(ownExtension, "client_hello: {body: Empty}, encrypted_extensions: {offered_by: [client_hello]}")},
	{name: "in a name of certificate_authorities", again: true, spelt: base64.StdEncoding.EncodeToString,
		path: `{in: certificate_request.certificate_authorities, as: "CN={nonce}", codec: base64, octets: 8..64}`},
	{name: "in a name of certificate_authorities, the choice carried over", again: true, spelt: hex.EncodeToString,
		path: `{in: certificate_request.certificate_authorities, as: "O=x,2.5.4.3=n {nonce}", codec: hex, octets: 8..64}`,
		more: "after: {post_handshake: {choice: carried_over}}\nswitches: {pha_choice: null}\n"},
}

// text is the profile: the client's nonce is in the place, the server's in
// ClientHello, and the binder is of the nonce and the key.
func (n *noncePlace) text(rules string) string {
	more := n.more
	if !strings.Contains(more, "switches:") {
		more += "switches: {pha_base: null}\n"
	}
	return `profile: nonce
base: early-attestation-06
types: |
  struct { } Empty;
  struct { opaque nonce<8..64>; } Fresh;
  struct {
      select (Handshake.msg_type) {
          case client_hello:
              opaque nonce<8..64>;
              AttestationScheme server_attester_schemes<0..2^16-1>;
              AttestationScheme client_attester_schemes<0..2^16-1>;
          case encrypted_extensions:
              AttestationScheme chosen_server_scheme<0..2^8-1>;
              ` + n.ee + `
          case certificate_request:
              ` + n.cr + `
              AttestationScheme chosen_client_scheme;
          case certificate:
              opaque cmw_payload<1..2^24-1>;
      };
  } remoteAttestation;
bind:
  slots:
    server_attester: {nonce: client_hello.remoteAttestation.nonce}
    client_attester: {nonce: ` + n.path + `}
binder:
  define:
    base: null
    key_bound: 'expand_label(zero, "lab", hash(concat(nonce(role), spki(role))), Hash.length)'
  post_handshake: null
` + rules + strings.Replace(more, "switches: {", "switches: {pha_base: null, ", 1)
}

func (n *noncePlace) load(t *testing.T, rules string) *profile.Profile {
	t.Helper()
	text := strings.Replace(n.text(rules), "pha_base: null, pha_base: null", "pha_base: null", 1)
	p, err := profile.Parse("nonce.yaml", []byte(text), profile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// drawing lets the ends draw their nonces at random.
func drawing(l *laterAttesting) *laterAttesting {
	for r := range l.o.Answer {
		answer := l.o.Answer[r]
		l.o.Answer[r] = func(w *handshake.Wait) (handshake.Answer, *attls.Error) {
			if w.Kind == handshake.WaitNonce {
				return handshake.Answer{}, nil
			}
			return answer(w)
		}
	}
	return l
}

// TestClientNonce: wherever a server sends a nonce for the client, in the handshake
// and in a request after it, it is drawn, sent and bound, and each request that
// carries one has another.
func TestClientNonce(t *testing.T) {
	for i := range noncePlaces {
		n := &noncePlaces[i]
		t.Run(n.name, func(t *testing.T) {
			l := drawing(newLaterAttesting(n.load(t, "")))
			p := l.connect(t)
			request(t, p)
			request(t, p)
			if n := len(authenticated(p)); n != 2 || p.Err() != nil {
				t.Fatalf("%d answers: %v", n, p.Err())
			}
			got := l.challenges
			if len(got[0]) != 3 || !slices.EqualFunc(got[0], got[1], bytes.Equal) {
				t.Fatalf("the client works with\n%x, the server with\n%x", got[0], got[1])
			}
			if again := !bytes.Equal(got[0][0], got[0][1]) && !bytes.Equal(got[0][1], got[0][2]); again != n.again {
				t.Errorf("another nonce in each request: %v", again)
			}
			for _, r := range []attls.Role{attls.RoleClient, attls.RoleServer} {
				nonce := p.Engine(r).State().Attestation[0].Nonce
				if n.again && !bytes.Contains(l.seen.of(attls.KindCertificateRequest)[2].Bytes, n.octets(nonce)) {
					t.Errorf("the nonce of the %v, %x, is not that of the last request", r, nonce)
				}
				if len(nonce) != 32 || bytes.Equal(nonce, make([]byte, 32)) {
					t.Errorf("the nonce of the %v is %x", r, nonce)
				}
			}
		})
	}
}

// TestVerifierNonce: the nonce of a verifier is the one that is sent, in the
// handshake and after it, and one that does not fit is refused before it is sent.
func TestVerifierNonce(t *testing.T) {
	for i := range noncePlaces {
		n := &noncePlaces[i]
		t.Run(n.name, func(t *testing.T) {
			given := 0
			l := newLaterAttesting(n.load(t, "nonce: {receive_at_most: 32}\n"))
			size := 32
			server := l.o.Answer[attls.RoleServer]
			l.o.Answer[attls.RoleServer] = func(w *handshake.Wait) (handshake.Answer, *attls.Error) {
				if w.Kind != handshake.WaitNonce {
					return server(w)
				}
				given++
				if w.Nonce.Max != 32 || w.Nonce.Default != 32 {
					t.Errorf("asked for %+v", w.Nonce)
				}
				return handshake.Answer{Nonce: bytes.Repeat([]byte{byte(0xa0 + given)}, size)}, nil
			}
			p := l.connect(t)
			request(t, p)
			want := 1
			if n.again {
				want = 2
			}
			if answers := len(authenticated(p)); given != want || answers != 1 {
				t.Fatalf("%d nonces were asked for, %d answers: %v", given, answers, p.Err())
			}
			for k := 1; k <= want; k++ {
				nonce := n.octets(bytes.Repeat([]byte{byte(0xa0 + k)}, 32))
				if !slices.ContainsFunc(l.seen.messages, func(m message.Raw) bool { return bytes.Contains(m.Bytes, nonce) }) {
					t.Errorf("nonce %d was not sent", k)
				}
			}
			if !n.again {
				return
			}
			size = 33
			if err := p.Engine(attls.RoleServer).RequestAuthentication(); err == nil {
				err = p.Run()
				if e := p.Engine(attls.RoleServer).Err(); e == nil || !strings.Contains(e.Error(), "a nonce of 33 octets; the profile takes") {
					t.Errorf("%v, %v", err, e)
				}
			}
		})
	}
}

// TestNonceTooLong: an attester refuses a nonce that is longer than its profile
// takes, at the message that brought it.
func TestNonceTooLong(t *testing.T) {
	for i := range noncePlaces {
		n := &noncePlaces[i]
		if strings.Contains(n.cr, "[32]") {
			continue
		}
		t.Run(n.name, func(t *testing.T) {
			l := drawing(newLaterAttesting(n.load(t, "nonce: {receive_at_most: 16}\n")))
			l.o.Server.Profile = n.load(t, "nonce: {size: 17}\n")
			p, err := pair.New(l.o)
			if err != nil {
				t.Fatal(err)
			}
			p.Run()
			e := p.Engine(attls.RoleClient).Err()
			if e == nil || e.Failure != attls.FailNonceSize || e.Message != n.message() {
				t.Errorf("%v", e)
			}
		})
	}
}

// TestNonceMissing: a nonce that the server left out is named with its slot, its
// place, and the end that had to send it.
func TestNonceMissing(t *testing.T) {
	n := &noncePlaces[4]
	l := drawing(newLaterAttesting(n.load(t, "")))
	other := n.load(t, "")
	other.Slots = slices.Clone(other.Slots)
	for i := range other.Slots {
		other.Slots[i].Nonce = profile.Place{}
	}
	l.o.Server.Profile = other
	p, err := pair.New(l.o)
	if err != nil {
		t.Fatal(err)
	}
	p.Run()
	const want = "slot client_attester has its nonce in certificate_request.fresh.nonce, and the server sent none there"
	if e := p.Engine(attls.RoleClient).Err(); e == nil || e.Failure != attls.FailBinderUndefined || !strings.Contains(e.Error(), want) {
		t.Errorf("%v", e)
	}
}
