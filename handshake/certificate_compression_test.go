package handshake_test

import (
	"bytes"
	"errors"
	"testing"

	"attls"
	"attls/conformance/pair"
	"attls/handshake"
	"attls/handshake/message"
)

// prefix is a certificate compression that puts octets in front.
type prefix []byte

func (p prefix) Algorithm() uint16 { return 0xff00 | uint16(p[0]) }

func (p prefix) Compress(b []byte) ([]byte, error) { return append(bytes.Clone(p), b...), nil }

func (p prefix) Decompress(b []byte, size int) ([]byte, error) {
	out, ok := bytes.CutPrefix(b, p)
	if !ok || len(out) != size {
		return nil, errors.New("does not fit")
	}
	return out, nil
}

// short is a compressor that does not keep to the size.
type short struct{ prefix }

func (s short) Decompress(b []byte, size int) ([]byte, error) {
	out, err := s.prefix.Decompress(b, size)
	return out[:len(out)-1], err
}

// TestCompression compresses certificates both ways, where both ends can.
func TestCompression(t *testing.T) {
	type list = []handshake.CertificateCompressor
	a, b := prefix{1, 2, 3}, prefix{2}
	for name, test := range map[string]struct {
		client, server list
		kind           attls.MessageKind
		algorithm      uint16
	}{
		"both":               {list{a, b}, list{a, b}, attls.KindCompressedCertificate, 0xff01},
		"the sender's order": {list{a, b}, list{b, a}, attls.KindCompressedCertificate, 0xff02},
		"one in common":      {list{a}, list{b, a}, attls.KindCompressedCertificate, 0xff01},
		"nothing in common":  {list{a}, list{b}, attls.KindCertificate, 0},
		"the client cannot":  {nil, list{a}, attls.KindCertificate, 0},
		"the server cannot":  {list{a}, nil, attls.KindCertificate, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := &watch{}
			o := direct(func(c, s *handshake.Config) {
				c.CertificateCompression, s.CertificateCompression, s.Tap = test.client, test.server, w
			})
			p, err := pair.New(o)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Run(); err != nil {
				t.Fatal(err)
			}
			for _, m := range w.messages[handshake.Sent] {
				if m.Kind != attls.KindCertificate && m.Kind != attls.KindCompressedCertificate {
					continue
				}
				if m.Kind != test.kind {
					t.Errorf("%v, want %v", m.Kind, test.kind)
				}
				var cc message.CompressedCertificate
				if m.Kind == attls.KindCompressedCertificate && (cc.Unmarshal(m.Body()) != nil || cc.Algorithm != test.algorithm) {
					t.Errorf("algorithm %#x, want %#x", cc.Algorithm, test.algorithm)
				}
			}
		})
	}
}

// TestCompressionFields breaks the rules of RFC 8879 section 4.
func TestCompressionFields(t *testing.T) {
	cc := at{attls.RoleServer, attls.KindCompressedCertificate, 0}
	edit := func(f func(*message.CompressedCertificate)) func(*message.Raw, *handshake.Plan) {
		return func(m *message.Raw, p *handshake.Plan) {
			var v message.CompressedCertificate
			v.Unmarshal(m.Body())
			f(&v)
			p.Replace = v.Append(nil)
		}
	}
	for name, test := range map[string]struct {
		plan func(*message.Raw, *handshake.Plan)
		want outcome
	}{
		"algorithm": {edit(func(c *message.CompressedCertificate) { c.Algorithm = 1 }),
			outcome{attls.FailIllegalParameter, attls.AlertIllegalParameter, cc.kind, "algorithm"}},
		"one octet less": {edit(func(c *message.CompressedCertificate) { c.UncompressedLength-- }),
			outcome{attls.FailBadCertificate, attls.AlertBadCertificate, cc.kind, ""}},
		"does not decompress": {edit(func(c *message.CompressedCertificate) { c.Compressed[0] ^= 1 }),
			outcome{attls.FailBadCertificate, attls.AlertBadCertificate, cc.kind, ""}},
		"a bomb": {edit(func(c *message.CompressedCertificate) { c.UncompressedLength = 1<<24 - 1 }),
			outcome{attls.FailLimit, attls.AlertIllegalParameter, cc.kind, "uncompressed_length"}},
		"empty": {edit(func(c *message.CompressedCertificate) { c.Compressed = nil }),
			outcome{attls.FailDecode, attls.AlertDecodeError, cc.kind, ""}},
		"no Certificate inside": {edit(func(c *message.CompressedCertificate) {
			c.Compressed, c.UncompressedLength = []byte{9, 1}, 1
		}), outcome{attls.FailDecode, attls.AlertDecodeError, attls.KindCertificate, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			o := direct(func(c, s *handshake.Config) {
				c.CertificateCompression = []handshake.CertificateCompressor{prefix{9}}
				s.CertificateCompression = c.CertificateCompression
			})
			disturb(t, o, cc, test.plan, test.want)
		})
	}
	t.Run("compressor that gives too little", func(t *testing.T) {
		o := direct(func(c, s *handshake.Config) {
			c.CertificateCompression = []handshake.CertificateCompressor{short{prefix{9}}}
			s.CertificateCompression = []handshake.CertificateCompressor{prefix{9}}
		})
		disturb(t, o, cc, func(*message.Raw, *handshake.Plan) {}, outcome{attls.FailBadCertificate, attls.AlertBadCertificate, cc.kind, ""})
	})
	t.Run("not offered", func(t *testing.T) {
		disturb(t, direct(nil), at{attls.RoleServer, attls.KindCertificate, 0}, func(m *message.Raw, p *handshake.Plan) {
			p.Replace = (&message.CompressedCertificate{Algorithm: 1, UncompressedLength: 1, Compressed: []byte{1}}).Append(nil)
		}, outcome{attls.FailUnexpectedMessage, attls.AlertUnexpectedMessage, cc.kind, ""})
	})
	ch := at{attls.RoleClient, attls.KindClientHello, 0}
	for name, b := range map[string][]byte{"an algorithm twice": {4, 0, 1, 0, 1}, "odd": {3, 0, 1, 0}, "none": {0}} {
		t.Run(name, func(t *testing.T) {
			want := outcome{attls.FailDecode, attls.AlertDecodeError, ch.kind, "compress_certificate"}
			if name == "an algorithm twice" {
				want.failure, want.alert = attls.FailIllegalParameter, attls.AlertIllegalParameter
			}
			disturb(t, direct(nil), ch, editExtensions(t, body(attls.ExtCompressCertificate, b...)), want)
		})
	}
}
