package authenticators

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"

	"attls"
)

// mbedTLS is the patched mbedTLS with our peer, which has an RFC 9261 of its own, written
// in C from the text.
type mbedTLS struct{ path string }

// MbedTLS is that stack, with the program that conformance/mbedtls/build.sh has built.
func MbedTLS(path string) Stack { return &mbedTLS{path} }

// Name implements Stack.
func (*mbedTLS) Name() string { return "mbedtls" }

// Missing implements Stack.
func (m *mbedTLS) Missing() string {
	if m.path == "" {
		return "conformance/mbedtls/build.sh has not built the mbedTLS peer"
	}
	if _, err := os.Stat(m.path); err != nil {
		return "the mbedTLS peer is not at " + m.path
	}
	return ""
}

// Version implements Stack.
func (m *mbedTLS) Version(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, m.path, "--version").Output()
	return strings.TrimSpace(string(out)), err
}

// Start implements Stack.
func (m *mbedTLS) Start(ctx context.Context, s *Setting) (Starting, error) {
	directory, certificate, key, err := s.Identity.files()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(directory))
	}
	args := []string{"--lines", "--suites", s.Suite.String(), "--cert", certificate, "--key", key}
	if s.Updates {
		args = append(args, "--extended-key-update")
	}
	if s.Group != 0 {
		args = append(args, "--groups", s.Group.String())
	}
	if s.Role == attls.RoleServer {
		args = append(args, "--server")
	} else {
		host, port, err := net.SplitHostPort(s.Address)
		if err != nil {
			return nil, errors.Join(err, os.RemoveAll(directory))
		}
		args = append(args, "--client", "--host", host, "--port", port)
	}
	return begin(ctx, s, directory, m.path, func(p *program) End { return &speaker{p} }, args...)
}

// speaker is an end whose program does RFC 9261 itself.
type speaker struct{ *program }

// Authenticators implements End. The program has one state, which a new one replaces.
func (s *speaker) Authenticators() (Authenticators, error) {
	_, err := s.do("fresh", 0, "fresh", "-")
	return theirs{s.program}, err
}

// HasUpdates implements Updating.
func (*mbedTLS) HasUpdates() bool { return true }

// Update implements Epochs.
func (s *speaker) Update() error {
	_, err := s.do("updating", 0, "update")
	return err
}

// Epoch implements Epochs.
func (s *speaker) Epoch() (uint64, error) {
	b, err := s.octets("epoch", "epoch")
	if err != nil || len(b) != 8 {
		return 0, errors.Join(err, fmt.Errorf("an epoch of %d octets", len(b)))
	}
	return binary.BigEndian.Uint64(b), nil
}

func epochField(epoch uint64) string { return given(binary.BigEndian.AppendUint64(nil, epoch)) }

// ExportEpoch implements Epochs.
func (s *speaker) ExportEpoch(epoch uint64, label string, context []byte, length int) ([]byte, error) {
	if length < 0 {
		return nil, errors.New("a negative length")
	}
	n := binary.BigEndian.AppendUint32(nil, uint32(length))
	return s.octets("value", "export-epoch", epochField(epoch), given([]byte(label)), given(context), given(n))
}

// AuthenticatorsOf implements Epochs.
func (s *speaker) AuthenticatorsOf(epoch uint64) (Authenticators, error) {
	_, err := s.do("fresh", 0, "fresh", epochField(epoch))
	return theirs{s.program}, err
}

// theirs is Authenticators of a program.
type theirs struct{ p *program }

func (t theirs) sender(peer bool) string {
	if peer {
		return t.p.set.Role.Peer().String()
	}
	return t.p.set.Role.String()
}

// requestFields are what a program says of a request: its type, context, extensions and
// schemes.
const requestFields = 4

func (t theirs) request(fields []string, peer bool) (c Claim, err error) {
	c = Claim{Message: "message " + fields[0], Sender: t.sender(peer), Context: plain(fields[1])}
	switch fields[0] {
	case fmt.Sprintf("%02x", uint8(attls.TypeCertificateRequest)):
		c.Message = attls.KindCertificateRequest.String()
	case fmt.Sprintf("%02x", uint8(attls.TypeClientCertificateRequest)):
		c.Message = attls.KindClientCertificateRequest.String()
	}
	if c.Extensions, err = numbers(fields[2]); err == nil {
		c.Schemes, err = numbers(fields[3])
	}
	return c, err
}

// proofFields are what it says of an authenticator: context, whether it is empty, whether
// it is spontaneous, scheme and certificates.
const proofFields = 5

func (t theirs) proof(fields []string, peer bool) (c Claim, err error) {
	c = Claim{Message: proof, Sender: t.sender(peer), Context: plain(fields[0]), Empty: fields[1] == "01",
		Spontaneous: fields[2] == "01"}
	if c.Schemes, err = numbers(fields[3]); err != nil {
		return c, err
	}
	for rest := plain(fields[4]); rest != ""; {
		n := min(64, len(rest))
		c.Chain, rest = append(c.Chain, rest[:n]), rest[n:]
	}
	return c, nil
}

func (t theirs) Request(context []byte) ([]byte, Claim, error) {
	fields, err := t.p.do("request", 1+requestFields, "request", given(context))
	if err != nil {
		return nil, Claim{}, err
	}
	claim, err := t.request(fields[1:], false)
	if err != nil {
		return nil, Claim{}, err
	}
	octets, err := octetsOf(fields[0])
	return octets, claim, err
}

func (t theirs) Answer(request []byte, refuse bool) ([]byte, []Claim, error) {
	flag := "00"
	if refuse {
		flag = "01"
	}
	fields, err := t.p.do("answer", 1+requestFields+proofFields, "answer", given(request), flag)
	if err != nil {
		return nil, nil, err
	}
	asked, err := t.request(fields[1:1+requestFields], true)
	if err != nil {
		return nil, nil, err
	}
	made, err := t.proof(fields[1+requestFields:], false)
	if err != nil {
		return nil, nil, err
	}
	octets, err := octetsOf(fields[0])
	return octets, []Claim{asked, made}, err
}

func (t theirs) Spontaneous(context []byte) ([]byte, Claim, error) {
	fields, err := t.p.do("spontaneous", 1+proofFields, "spontaneous", given(context))
	if err != nil {
		return nil, Claim{}, err
	}
	claim, err := t.proof(fields[1:], false)
	if err != nil {
		return nil, Claim{}, err
	}
	octets, err := octetsOf(fields[0])
	return octets, claim, err
}

func (t theirs) Check(octets []byte) (Claim, error) {
	fields, err := t.p.do("checked", proofFields, "check", given(octets))
	if err != nil {
		return Claim{}, err
	}
	return t.proof(fields, true)
}

// plain is a field without the sign for no octets.
func plain(field string) string {
	if field == "." {
		return ""
	}
	return field
}

// octetsOf are those of a field.
func octetsOf(field string) ([]byte, error) { return hex.DecodeString(plain(field)) }

// numbers are those of a field, in two octets each.
func numbers(field string) (list []uint16, err error) {
	b, err := octetsOf(field)
	if err == nil && len(b)%2 != 0 {
		err = fmt.Errorf("%d octets of numbers", len(b))
	}
	for ; err == nil && len(b) > 0; b = b[2:] {
		list = append(list, uint16(b[0])<<8|uint16(b[1]))
	}
	return list, err
}
