package message

import (
	"bytes"
	"testing"

	"attls"
)

// TestExtendedKeyUpdateMessage: the three subtypes are written and read as
// draft-ietf-tls-extended-key-update section 4 has them; each octet that lacks, or that
// is too many, is an error.
func TestExtendedKeyUpdateMessage(t *testing.T) {
	for name, test := range map[string]struct {
		m    ExtendedKeyUpdate
		want []byte
	}{
		"request":  {ExtendedKeyUpdate{attls.KeyUpdateRequest, attls.GroupX25519, []byte{7, 8}}, []byte{0, 0, 29, 0, 2, 7, 8}},
		"response": {ExtendedKeyUpdate{attls.KeyUpdateResponse, attls.GroupSecp256r1, []byte{9}}, []byte{1, 0, 23, 0, 1, 9}},
		"finish":   {ExtendedKeyUpdate{Type: attls.KeyUpdateFinish}, []byte{2}},
	} {
		raw, err := ParseRaw(test.m.Append(nil))
		if err != nil || raw.Kind != attls.KindExtendedKeyUpdate || !bytes.Equal(raw.Body(), test.want) {
			t.Errorf("%s: %v of %x, %v", name, raw.Kind, raw.Body(), err)
		}
		var m ExtendedKeyUpdate
		if err := m.Unmarshal(test.want); err != nil || m.Type != test.m.Type || m.Group != test.m.Group || !bytes.Equal(m.Key, test.m.Key) {
			t.Errorf("%s is read as %+v, %v", name, m, err)
		}
		for n := range test.want {
			if err := m.Unmarshal(test.want[:n]); err == nil || err.Failure != attls.FailDecode {
				t.Errorf("%s, first %d octets: %v", name, n, err)
			}
		}
		if err := m.Unmarshal(append(test.want, 0)); err == nil || err.Failure != attls.FailTrailing {
			t.Errorf("%s with an octet behind it: %v", name, err)
		}
	}
	var m ExtendedKeyUpdate
	if err := m.Unmarshal([]byte{3}); err == nil || err.Failure != attls.FailUnexpectedMessage {
		t.Errorf("an unknown subtype: %v", err)
	}
	if err := m.Unmarshal([]byte{0, 0, 29, 0, 0}); err == nil || err.Failure != attls.FailDecode {
		t.Errorf("an empty key_exchange: %v", err)
	}
}
