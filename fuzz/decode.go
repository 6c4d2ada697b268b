package fuzz

import (
	"bytes"
	"fmt"

	"attls"
	"attls/extensions"
	"attls/handshake/message"
	"attls/internal/provider"
	"attls/record"
)

// checkDecode holds a decoder's error for an input of so many octets against
// the invariants.
func checkDecode(err *attls.Error, size int) error {
	switch {
	case err == nil:
		return nil
	case err.Failure == "" || err.Detail == "":
		return fmt.Errorf("an error without a failure or a reason: %v", err)
	case err.Class == attls.Local || err.Class == attls.FromPeer:
		return fmt.Errorf("octets of a peer's are blamed on another: %v", err)
	case err.Offset > size:
		return fmt.Errorf("offset %d of %d octets: %v", err.Offset, size, err)
	case attls.DefaultAlert(err.Failure) == attls.AlertInternalError:
		return fmt.Errorf("the alert for octets of a peer's is internal_error: %v", err)
	}
	return nil
}

// codec is a message that is read from a body and written with its header.
type codec interface {
	Unmarshal([]byte) *attls.Error
	Append([]byte) []byte
}

// messages makes a value for each type of message that has a codec.
var messages = map[attls.HandshakeType]func() codec{
	attls.TypeClientHello:              func() codec { return new(message.ClientHello) },
	attls.TypeServerHello:              func() codec { return new(message.ServerHello) },
	attls.TypeEncryptedExtensions:      func() codec { return new(message.EncryptedExtensions) },
	attls.TypeCertificateRequest:       func() codec { return new(message.CertificateRequest) },
	attls.TypeClientCertificateRequest: func() codec { return new(message.ClientCertificateRequest) },
	attls.TypeCertificate:              func() codec { return new(message.Certificate) },
	attls.TypeCertificateVerify:        func() codec { return new(message.CertificateVerify) },
	attls.TypeFinished:                 func() codec { return new(message.Finished) },
	attls.TypeKeyUpdate:                func() codec { return new(message.KeyUpdate) },
	attls.TypeNewSessionTicket:         func() codec { return new(message.NewSessionTicket) },
	attls.TypeExtendedKeyUpdate:        func() codec { return new(message.ExtendedKeyUpdate) },
}

// DecodeMessage reads a message: what is accepted must be written back to the
// same octets, and be read into a used value as into a fresh one.
func DecodeMessage(msg []byte) error {
	raw, err := message.ParseRaw(msg)
	if err != nil {
		return checkDecode(err, len(msg))
	}
	create := messages[raw.Type]
	if create == nil {
		return nil
	}
	m := create()
	if err := m.Unmarshal(raw.Body()); err != nil {
		return checkDecode(err, len(msg))
	}
	for range 2 {
		if again := m.Append(nil); !bytes.Equal(again, msg) {
			return fmt.Errorf("%v %x is written again as %x", raw.Kind, msg, again)
		}
		if err := m.Unmarshal(raw.Body()); err != nil {
			return fmt.Errorf("read twice: %v", err)
		}
	}
	return nil
}

// bodies are the decoders of extension bodies.
var bodies = []func([]byte) *attls.Error{
	func(b []byte) *attls.Error { return second(extensions.ParseServerName(b)) },
	func(b []byte) *attls.Error { return second(extensions.ParseSupportedGroups(b)) },
	func(b []byte) *attls.Error { return second(extensions.ParseSignatureAlgorithms(b)) },
	func(b []byte) *attls.Error { return second(extensions.ParseSupportedVersions(b)) },
	func(b []byte) *attls.Error { return second(extensions.ParseSelectedVersion(b)) },
	func(b []byte) *attls.Error { return second(extensions.ParseSelectedGroup(b)) },
	func(b []byte) *attls.Error { return second(extensions.ParsePreSharedKeySelected(b)) },
	func(b []byte) *attls.Error { return second(extensions.ParseALPNSelected(b)) },
	func(b []byte) *attls.Error { return second(extensions.ParseKeyShareEntry(b)) },
	func(b []byte) *attls.Error { return second(extensions.ParseCookie(b)) },
	func(b []byte) *attls.Error { return second(extensions.ParseRecordSizeLimit(b)) },
	func(b []byte) *attls.Error { return second(extensions.ParsePSKKeyExchangeModes(b)) },
	func(b []byte) *attls.Error { return second(extensions.ParseCertificateTypes(b)) },
	func(b []byte) *attls.Error { return second(extensions.ParseCertificateType(b)) },
	func(b []byte) *attls.Error { return second(extensions.ParsePreSharedKeyOffer(b)) },
	func(b []byte) *attls.Error { return second(extensions.ParseEarlyDataMax(b)) },
	func(b []byte) *attls.Error { return second(extensions.ParseTicketRequest(b)) },
	func(b []byte) *attls.Error { return second(extensions.ParseTicketRequestHint(b)) },
	func(b []byte) *attls.Error {
		f, err := extensions.ParseTLSFlags(b)
		for range f.All() {
		}
		return err
	},
	extensions.ParseEmpty,
	func(b []byte) *attls.Error {
		list, err := extensions.ParseALPN(b)
		for name := range list.All() {
			_ = name[0]
		}
		return err
	},
	func(b []byte) *attls.Error {
		list, err := extensions.ParseKeyShares(b)
		for g := range list.All() {
			if _, ok := list.Find(g); !ok {
				panic("a share is there and cannot be found")
			}
		}
		return err
	},
	func(b []byte) *attls.Error {
		list, err := extensions.ParseCertificateAuthorities(b)
		for name := range list.All() {
			_ = name[0]
		}
		return err
	},
}

func second[T any](_ T, err *attls.Error) *attls.Error { return err }

// DecodeBody reads the body of an extension; which is the place of its decoder.
func DecodeBody(which int, body []byte) error {
	return checkDecode(bodies[which%len(bodies)](body), len(body))
}

// DecodeKey reads a certificate's and a bare SubjectPublicKeyInfo.
func DecodeKey(der []byte) error {
	if spki, err := provider.SPKIFromCertificate(der); err == nil && !bytes.Contains(der, spki) {
		return fmt.Errorf("the key %x is not in the certificate", spki)
	}
	for _, p := range []provider.Provider{provider.Real(), provider.Null()} {
		k, err := p.ParseSPKI(der)
		if err != nil {
			continue
		}
		for _, s := range p.Schemes(k) {
			if p.Verify(k, s, []byte("message"), []byte("signature")) == nil {
				return fmt.Errorf("a signature of no meaning verifies under %v", s)
			}
		}
	}
	return nil
}

// DecodeRecords reads octets as records, plaintext first and protected (by the
// null provider) from the given item on, in pieces of the given size; 0: whole.
// It returns what was found, ended by the failure if there was one.
func DecodeRecords(octets []byte, protectAt, piece int) ([]string, error) {
	suite, _ := provider.Null().Suite(attls.TLS_AES_128_GCM_SHA256)
	aead, err := suite.AEAD(nil)
	if err != nil {
		return nil, err
	}
	if piece == 0 {
		piece = len(octets)
	}
	r := record.NewReader(record.Settings{})
	var found []string
	given := 0
	for rest := octets; len(rest) > 0; {
		n := min(piece, len(rest))
		copy(r.Reserve(n), rest[:n])
		r.Commit(n)
		given, rest = given+n, rest[n:]
		for {
			item, ok, err := r.Next()
			if err != nil {
				if failure := checkDecode(err, 1<<24); failure != nil {
					return nil, failure
				}
				return append(found, string(err.Failure)), nil
			}
			if !ok {
				break
			}
			found = append(found, fmt.Sprintf("%v %x %v", item.Type, item.Data, item.Protected))
			if len(found) == protectAt {
				if err := r.SetKey(aead, make([]byte, 12)); err != nil {
					return append(found, string(err.Failure)), nil
				}
			}
		}
		if n := r.Buffered(); n > given {
			return nil, fmt.Errorf("%d octets are held of %d", n, given)
		}
	}
	return found, nil
}
