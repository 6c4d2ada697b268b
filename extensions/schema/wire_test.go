package schema

import (
	"bytes"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"attls"
)

// unhex reads octets written with spaces.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// compile compiles texts, each one replacing definitions of those before it.
func compile(t testing.TB, env *Environment, texts ...string) *Schema {
	t.Helper()
	var files []*File
	for _, text := range texts {
		f, err := Parse([]byte(text), Position{File: "test"})
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	s, problems := Compile(env, files...)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return s
}

// figure reads the figures of a revision, with the repairs that make them
// well-formed.
func figure(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile("testdata/figures/" + name + ".tls")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const exported = `
    struct { } Empty;
    struct {
        select (Handshake.msg_type) {
            case client_certificate_request: Empty;
            case certificate_request: Empty;
            case certificate: opaque cmw_data<1..2^16-1>;
        };
    } CMWAttestation;`

// codePoints numbers what the drafts leave to be assigned.
func codePoints() *Environment {
	env := DefaultEnvironment()
	env.Enumerators = map[string]map[string]uint64{
		"CertificateType": {"EAT": 0xe0, "TPM": 0xe1, "attestation": 0xe2},
		"HandshakeType":   {"attestation": 0xe0},
		"ExtensionType":   {"attestation_evidence": 0xff10},
	}
	env.Parameters[0].Tags = append(env.Parameters[0].Tags, "client_certificate_request")
	return env
}

const mediaType = "0013 6170706c69636174696f6e2f6561742b637774"

// The wire examples of the drafts: what each path says, and back to the same octets.
func TestWireExamples(t *testing.T) {
	ch := Context{Message: attls.KindClientHello}
	ee := Context{Message: attls.KindEncryptedExtensions, Sender: attls.RoleServer}
	cr := Context{Message: attls.KindCertificateRequest, Sender: attls.RoleServer}
	ct := Context{Message: attls.KindCertificate}
	for _, c := range []struct {
		name  string
		texts []string
		of    string
		in    Context
		wire  string
		want  map[string]any // numbers, hexadecimal octets, lengths of lists
	}{
		{"A-01 CH", []string{figure(t, "tls-attestation-00")}, "ClientAttestationTypeExtension", ch, "01 E0 00 00",
			map[string]any{"client_attestation_types": 1, "client_attestation_types[0]": uint64(0xe0), "nonce": ""}},
		{"A-01 EE", []string{figure(t, "tls-attestation-00")}, "ClientAttestationTypeExtension", ee, "E0 00 08 0102030405060708",
			map[string]any{"client_attestation_type": uint64(0xe0), "nonce": "0102030405060708"}},
		{"A-02 request CH", []string{figure(t, "tls-attestation-02")}, "evidenceRequestTypeExtension", ch, "03 00 01 07 08 0102030405060708",
			map[string]any{"supported_evidence_types[0].content_format": uint64(263), "nonce": "0102030405060708"}},
		{"A-02 request EE", []string{figure(t, "tls-attestation-02")}, "evidenceRequestTypeExtension", ee, "00 01 07",
			map[string]any{"selected_evidence_type.content_format": uint64(263)}},
		{"A-02 proposal CH", []string{figure(t, "tls-attestation-02")}, "evidenceProposalTypeExtension", ch, "03 00 01 07",
			map[string]any{"supported_evidence_types[0].type": uint64(0)}},
		{"A-02 proposal EE", []string{figure(t, "tls-attestation-02")}, "evidenceProposalTypeExtension", ee, "00 01 07 08 0102030405060708",
			map[string]any{"selected_evidence_type.content_format": uint64(263), "nonce": "0102030405060708"}},
		{"A-02 media type", []string{figure(t, "tls-attestation-02")}, "EvidenceType", ch, "01" + mediaType,
			map[string]any{"type": uint64(1), "media_type": hex.EncodeToString([]byte("application/eat+cwt"))}},
		{"A-03 numeric", []string{figure(t, "tls-attestation-02"), figure(t, "tls-attestation-03")}, "EvidenceType", ch, "00 01 0107",
			map[string]any{"type": uint64(0), "cred_type": uint64(1), "content_format": uint64(263)}},
		{"A-03 string", []string{figure(t, "tls-attestation-02"), figure(t, "tls-attestation-03")}, "EvidenceType", ch, "01 01" + mediaType,
			map[string]any{"type": uint64(1), "cred_type": uint64(1)}},
		{"A-04 CH", []string{figure(t, "tls-attestation-04")}, "resultsRequestTypeExtension", ch, "0b 00 09 762e6578616d706c65",
			map[string]any{"trusted_verifiers[0].verifier_identity": hex.EncodeToString([]byte("v.example"))}},
		{"A-04 EE", []string{figure(t, "tls-attestation-04")}, "resultsRequestTypeExtension", ee, "00 09 762e6578616d706c65",
			map[string]any{"selected_verifier.verifier_identity": hex.EncodeToString([]byte("v.example"))}},
		{"A-05 mixed", []string{figure(t, "tls-attestation-05")}, "EvidenceType", ch, "00 01" + mediaType,
			map[string]any{"credential_kind": uint64(0), "type_encoding": uint64(1)}},
		{"A-05 CH", []string{figure(t, "tls-attestation-05")}, "evidenceRequestTypeExtension", ch, "04 01 00 01 07 08 0102030405060708",
			map[string]any{"supported_evidence_types[0].credential_kind": uint64(1)}},
		{"B-00 CH", []string{figure(t, "early-attestation-00")}, "evidenceRequestTypeExtension", ch, "03 00 01 07",
			map[string]any{"supported_evidence_types[0].content_format": uint64(263)}},
		{"B-00 EE", []string{figure(t, "early-attestation-00")}, "evidenceRequestTypeExtension", ee, "00 01 07",
			map[string]any{"selected_evidence_type.content_format": uint64(263)}},
		{"B-00 message", []string{figure(t, "early-attestation-00")}, "Attestation", Context{MessageName: "attestation"}, "000002 8200",
			map[string]any{"cmw_payload": "8200"}},
		{"B-05 CH evidence", []string{figure(t, "early-attestation-06")}, "remoteAttestation", ch, "00 04 00 00 01 07 00 00",
			map[string]any{"server_attester_schemes": 1, "server_attester_schemes[0].mechanism": uint64(0),
				"server_attester_schemes[0].argument.content_format": uint64(263), "client_attester_schemes": 0}},
		{"B-05 CH results", []string{figure(t, "early-attestation-06")}, "remoteAttestation", ch, "00 0c 01 00 09 762e6578616d706c65 00 00",
			map[string]any{"server_attester_schemes[0].argument.verifier_identity": hex.EncodeToString([]byte("v.example"))}},
		{"B-05 EE evidence", []string{figure(t, "early-attestation-06")}, "remoteAttestation", ee, "00 00 01 07",
			map[string]any{"chosen_server_scheme.argument.content_format": uint64(263)}},
		{"B-05 EE results", []string{figure(t, "early-attestation-06")}, "remoteAttestation", ee, "01 00 09 762e6578616d706c65",
			map[string]any{"chosen_server_scheme.mechanism": uint64(1)}},
		{"B-05 CR", []string{figure(t, "early-attestation-06")}, "remoteAttestation", cr, "00 00 01 07",
			map[string]any{"chosen_client_scheme.argument.type_encoding": uint64(0)}},
		{"B-05 CT", []string{figure(t, "early-attestation-06")}, "remoteAttestation", ct, "000003 820102",
			map[string]any{"cmw_payload": "820102"}},
		{"C CR", []string{exported}, "CMWAttestation", cr, "", nil},
		{"C client CR", []string{exported}, "CMWAttestation", Context{MessageName: "client_certificate_request"}, "", nil},
		{"C CT", []string{exported}, "CMWAttestation", ct, "0002 8201", map[string]any{"cmw_data": "8201"}},
		{"extension 60", nil, "opaque", ct, "8201", map[string]any{"": "8201"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := compile(t, codePoints(), c.texts...)
			codec, err := s.Codec(c.of, c.in)
			if err != nil {
				t.Fatal(err)
			}
			wire := unhex(t, c.wire)
			v, bad := codec.Decode(wire)
			if bad != nil {
				t.Fatal(bad)
			}
			for path, want := range c.want {
				x := v.Get(path)
				if x == nil {
					t.Fatalf("%s leads nowhere", path)
				}
				switch want := want.(type) {
				case uint64:
					if x.Kind != KindNumber || x.Number != want {
						t.Errorf("%s is %v %d, want %d", path, x.Kind, x.Number, want)
					}
				case string:
					if x.Kind != KindOctets || hex.EncodeToString(x.Octets) != want {
						t.Errorf("%s is %v %x, want %s", path, x.Kind, x.Octets, want)
					}
				case int:
					if x.Kind != KindList || len(x.Items) != want {
						t.Errorf("%s is %v of %d, want %d elements", path, x.Kind, len(x.Items), want)
					}
				}
				if x.Offset+len(x.Wire) > len(wire) || !bytes.Equal(wire[x.Offset:x.Offset+len(x.Wire)], x.Wire) {
					t.Errorf("%s reports the wrong octets %x at %d", path, x.Wire, x.Offset)
				}
			}
			again, bad := codec.Encode(v)
			if bad != nil {
				t.Fatal(bad)
			}
			if !bytes.Equal(again, wire) {
				t.Errorf("encodes to %x, decoded from %x", again, wire)
			}
		})
	}
}

// Elements report exactly the octets they had, for a comparison octet by octet.
func TestElementOctets(t *testing.T) {
	s := compile(t, nil, figure(t, "early-attestation-06"))
	v, err := s.Decode("remoteAttestation", Context{Message: attls.KindClientHello},
		unhex(t, "0010 00000107 01 0009 762e6578616d706c65 0004 00000107"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path   string
		offset int
		wire   string
	}{
		{"server_attester_schemes", 0, "0010 00000107 01 0009 762e6578616d706c65"},
		{"server_attester_schemes[0]", 2, "00000107"},
		{"server_attester_schemes[1]", 6, "01 0009 762e6578616d706c65"},
		{"server_attester_schemes[1].argument", 7, "0009 762e6578616d706c65"},
		{"client_attester_schemes[0]", 20, "00000107"},
	} {
		x := v.Get(c.path)
		if x == nil || x.Offset != c.offset || !bytes.Equal(x.Wire, unhex(t, c.wire)) {
			t.Errorf("%s: %+v, want %s at %d", c.path, x, c.wire, c.offset)
		}
	}
}
