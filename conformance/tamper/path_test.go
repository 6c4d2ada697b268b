package tamper_test

import (
	"bytes"
	"strings"
	"testing"

	"attls"
	"attls/conformance/tamper"
	"attls/extensions/profile"
	"attls/handshake"
	"attls/handshake/message"
)

func load(t *testing.T, name string) *profile.Profile {
	t.Helper()
	p, err := profile.Load(name, profile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// sent is what the tap makes of a message that its end sends.
func sent(t *testing.T, tap handshake.Tap, encoded []byte) (handshake.Plan, *message.Raw) {
	t.Helper()
	m, err := message.ParseRaw(encoded)
	if err != nil {
		t.Fatal(err)
	}
	var p handshake.Plan
	tap.Message(handshake.Sent, &m, &p)
	return p, &m
}

// list is a list of extensions with its length, and vector a vector with a length
// of n octets.
func vector(n int, contents ...byte) []byte {
	b := make([]byte, n, n+len(contents))
	for i := range n {
		b[i] = byte(len(contents) >> (8 * (n - 1 - i)))
	}
	return append(b, contents...)
}

func extension(t attls.ExtensionType, body ...byte) []byte {
	return append([]byte{byte(t >> 8), byte(t)}, vector(2, body...)...)
}

func joined(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// TestFieldEditsByPath: a field of a message, of an RFC's extension, of one
// CertificateEntry, of each, and of a profile's extension and message. Lengths fit
// afterwards: the want is encoded anew.
func TestFieldEditsByPath(t *testing.T) {
	early, tls := load(t, "early-attestation-06"), load(t, "early-attestation-00")
	ra := early.Extensions[0].Type
	entry := func(data byte, extensions ...byte) []byte {
		return joined(vector(3, data), vector(2, extensions...))
	}
	certificate := func(entries ...[]byte) []byte {
		return tamper.Message(attls.TypeCertificate, joined(vector(1), vector(3, joined(entries...)...)))
	}
	payload := func(b ...byte) []byte { return extension(ra, vector(3, b...)...) }
	encrypted := func(x ...[]byte) []byte {
		return tamper.Message(attls.TypeEncryptedExtensions, vector(2, joined(x...)...))
	}
	append9 := func(b []byte) []byte { return append(b, 9) }
	added := tls.Messages
	for name, w := range map[string]struct {
		profile *profile.Profile
		path    string
		message []byte
		want    []byte
	}{
		"a field of a message": {nil, "certificate_verify.signature",
			tamper.Message(attls.TypeCertificateVerify, []byte{8, 4, 0, 1, 7}), tamper.Message(attls.TypeCertificateVerify, []byte{8, 4, 0, 2, 7, 9})},
		"Finished of any hash": {nil, "finished.verify_data", tamper.Message(attls.TypeFinished, make([]byte, 48)), tamper.Message(attls.TypeFinished, append(make([]byte, 48), 9))},
		"a body of an extension": {nil, "encrypted_extensions.early_data", encrypted(extension(1, 5), extension(attls.ExtEarlyData)),
			encrypted(extension(1, 5), extension(attls.ExtEarlyData, 9))},
		"behind the word extensions": {nil, "encrypted_extensions.extensions.early_data", encrypted(extension(attls.ExtEarlyData)), encrypted(extension(attls.ExtEarlyData, 9))},
		"a list in an extension": {nil, "encrypted_extensions.application_layer_protocol_negotiation.protocol_name_list[0]",
			encrypted(extension(attls.ExtALPN, vector(2, vector(1, 'h', '2')...)...)), encrypted(extension(attls.ExtALPN, vector(2, vector(1, 'h', '2', 9)...)...))},
		"an extension by its place": {nil, "encrypted_extensions.extensions[0].extension_data", encrypted(extension(1, 5)), encrypted(extension(1, 5, 9))},
		"each certificate":          {nil, "certificate.cert_data", certificate(entry(1), entry(2)), certificate(joined(vector(3, 1, 9), vector(2)), joined(vector(3, 2, 9), vector(2)))},
		"one certificate": {nil, "certificate.certificate_list[1].cert_data", certificate(entry(1), entry(2)),
			certificate(entry(1), joined(vector(3, 2, 9), vector(2)))},
		"a raw public key": {nil, "certificate.ASN1_subjectPublicKeyInfo", certificate(entry(1)), certificate(joined(vector(3, 1, 9), vector(2)))},
		"a payload in whichever entry": {early, "certificate.remoteAttestation.cmw_payload", certificate(entry(1), entry(2, payload(7)...)),
			certificate(entry(1), entry(2, payload(7, 9)...))},
		"a payload in each entry": {early, "certificate.certificate_list[].remoteAttestation.cmw_payload", certificate(entry(1, payload(6)...), entry(2, payload(7)...)),
			certificate(entry(1, payload(6, 9)...), entry(2, payload(7, 9)...))},
		"a payload in one entry": {early, "certificate.certificate_list[1].extensions.remoteAttestation.cmw_payload", certificate(entry(1, payload(6)...), entry(2, payload(7)...)),
			certificate(entry(1, payload(6)...), entry(2, payload(7, 9)...))},
		"the body of the profile's extension": {early, "certificate.remoteAttestation", certificate(entry(1, extension(ra, 7)...)), nil},
		"an added message":                    {tls, added[0].Name + ".cmw_payload", tamper.Message(added[0].Type, vector(3, 7)), tamper.Message(added[0].Type, vector(3, 7, 9))},
		"another kind of message":             {nil, "finished.verify_data", encrypted(), nil},
	} {
		t.Run(name, func(t *testing.T) {
			tap, err := tamper.Field(w.profile, w.path, append9)
			if err != nil {
				t.Fatal(err)
			}
			plan, m := sent(t, tap, w.message)
			if !bytes.Equal(plan.Replace, w.want) || plan.Reparse != (w.want != nil) || tap.Edits() == 0 != (w.want == nil) {
				t.Errorf("%x became %x, want %x; edits: %d, %v", w.message, plan.Replace, w.want, tap.Edits(), tap.Err())
			}
			plan = handshake.Plan{}
			if tap.Message(handshake.Received, m, &plan); plan.Replace != nil {
				t.Error("a received message has changed")
			}
		})
	}
}

// TestFieldOfOneMessage: with an index, only that message of its kind changes, and a
// fork counts on its own.
func TestFieldOfOneMessage(t *testing.T) {
	tap, err := tamper.Field(nil, "key_update[1].request_update", func(b []byte) []byte { b[0] = 1; return b })
	if err != nil {
		t.Fatal(err)
	}
	update := tamper.Message(attls.TypeKeyUpdate, []byte{0})
	var changed []bool
	next := func(tap handshake.Tap) {
		p, _ := sent(t, tap, update)
		changed = append(changed, p.Replace != nil)
	}
	next(tap)
	fork := tap.Fork()
	next(tap)
	next(tap)
	next(fork)
	if want := []bool{false, true, false, true}; tap.Edits() != 1 || len(changed) != 4 || changed[1] != want[1] || changed[0] || changed[2] || !changed[3] {
		t.Errorf("changed: %v, want %v; %d edits", changed, want, tap.Edits())
	}
}

func TestFieldRefusesPathsThatDoNotExist(t *testing.T) {
	early := load(t, "early-attestation-06")
	for _, w := range []struct {
		profile    *profile.Profile
		path, says string
	}{
		{early, "client_helo.random", `there is no message "client_helo"; did you mean "client_hello"?`},
		{load(t, "early-attestation-00"), "atestation.cmw_payload", `did you mean "attestation"?`},
		{early, "client_hello", "at least two parts"},
		{early, "client_hello[x].random", "not the index of a message"},
		{early, "client_hello[1.random", "not the index of a message"},
		{early, "client_hello.randon", `there is no field or extension of client_hello "randon"; did you mean "random"?`},
		{early, "client_hello.key_shares.client_shares", `did you mean "key_share"?`},
		{early, "certificate.remoteAtestation", `did you mean "remoteAttestation"?`},
		{nil, "certificate.remoteAttestation", `there is no field or extension of certificate "remoteAttestation"`},
		{early, "certificate.remoteAttestation.cmw_paylod", `did you mean "cmw_payload"?`},
		{early, "certificate.certificate_list[0].remoteAttestation.payload", `no field payload`},
		{early, "server_hello.remoteAttestation", "remoteAttestation is not an extension of server_hello"},
		{early, "certificate_request.pre_shared_key", "pre_shared_key is not an extension of certificate_request"},
		{early, "client_hello.key_share.client_shares[0].grup", `did you mean "client_shares[].group"?`},
		{early, "certificate.certificate_list[0].cert_dat", `did you mean "certificate_list[].cert_data"?`},
		{early, "client_hello.padding.octets", "no field octets"},
	} {
		if tap, err := tamper.Field(w.profile, w.path, nil); err == nil || !strings.Contains(err.Error(), w.says) || !strings.Contains(err.Error(), w.path) {
			t.Errorf("%s: %v, %v; want %q", w.path, tap, err, w.says)
		}
	}
}

// TestFieldTellsWhatItDidNotFind: the path exists, but not in what is sent.
func TestFieldTellsWhatItDidNotFind(t *testing.T) {
	nothing := func([]byte) []byte { return nil }
	for path, w := range map[string]struct {
		message []byte
		says    string
	}{
		"encrypted_extensions.early_data":                           {tamper.Message(attls.TypeEncryptedExtensions, vector(2)), "early_data: the message does not have the extension"},
		"certificate.certificate_list[1].cert_data":                 {tamper.Message(attls.TypeCertificate, []byte{0, 0, 0, 0}), "certificate_list[1]: the list has 0 elements"},
		"certificate.certificate_list[1].cookie":                    {tamper.Message(attls.TypeCertificate, []byte{0, 0, 0, 0}), "certificate_list[1]: the list has 0 elements"},
		"certificate_verify.algorithm":                              {tamper.Message(attls.TypeCertificateVerify, []byte{8, 4, 0, 0}), "0 octets for a number of 2"},
		"certificate_request.signature_algorithms":                  {tamper.Message(attls.TypeCertificateRequest, []byte{1}), "certificate_request"},
		"encrypted_extensions.supported_groups.named_group_list[0]": {tamper.Message(attls.TypeEncryptedExtensions, vector(2, extension(attls.ExtSupportedGroups)...)), "supported_groups"},
	} {
		tap, err := tamper.Field(nil, path, nothing)
		if err != nil {
			t.Fatal(err)
		}
		plan, _ := sent(t, tap, w.message)
		if plan.Replace != nil || tap.Edits() != 0 || tap.Err() == nil || !strings.Contains(tap.Err().Error(), w.says) {
			t.Errorf("%s: %v, want %q", path, tap.Err(), w.says)
		}
	}
	if tap, err := tamper.Field(nil, "finished.verify_data", nothing); err != nil || tap.Err() != nil {
		t.Errorf("before anything is sent: %v, %v", err, tap.Err())
	}
}

// TestEachKindHasFields: every message that RFC 8446 defines can be named.
func TestEachKindHasFields(t *testing.T) {
	for k := attls.KindClientHello; k < attls.KindAdded; k++ {
		_, err := tamper.Field(nil, k.Name()+".nonsense", nil)
		if err == nil || !strings.Contains(err.Error(), "of "+k.Name()) {
			t.Errorf("%v: %v", k, err)
		}
	}
}
