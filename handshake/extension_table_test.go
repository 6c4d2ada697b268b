package handshake

import (
	"testing"

	"attls"
	"attls/extensions"
)

func TestEachExtensionIsListedOnceAndHasAPlace(t *testing.T) {
	listed := map[attls.ExtensionType]bool{}
	for i := range extensionTable {
		row := &extensionTable[i]
		if row.t >= seenTypes {
			t.Fatalf("%v is beyond the %d types that a message remembers", row.t, seenTypes)
		}
		if listed[row.t] {
			t.Errorf("%v is listed twice", row.t)
		}
		listed[row.t] = true
		place, ok := extensions.RFC8446().Lookup(row.t)
		if !ok {
			t.Errorf("%v appears in no message", row.t)
			continue
		}
		offered := place.In(attls.KindClientHello) != nil || place.In(attls.KindCertificateRequest) != nil
		answered := len(place.Placements) > 0 && place.In(attls.KindServerHello) != nil || place.In(attls.KindHelloRetryRequest) != nil ||
			place.In(attls.KindEncryptedExtensions) != nil || place.In(attls.KindCertificate) != nil || place.In(attls.KindNewSessionTicket) != nil
		if (row.offer != nil || row.readOffer != nil) && !offered {
			t.Errorf("%v is offered and no message of an offer may have it", row.t)
		}
		if (row.answer != nil || row.readAnswer != nil) && !answered {
			t.Errorf("%v is answered and no message of an answer may have it", row.t)
		}
	}
	for k, types := range firstAnswers {
		for _, x := range types {
			if place, ok := extensions.RFC8446().Lookup(x); !ok || place.In(k) == nil || !listed[x] {
				t.Errorf("%v is ordered in %v and cannot appear there", x, k)
			}
		}
	}
}

func TestBodiesAreReadOnce(t *testing.T) {
	list := extensions.List{
		{Type: attls.ExtSupportedGroups, Body: extensions.AppendUint16s(nil, []attls.NamedGroup{attls.GroupX25519})},
		{Type: attls.ExtALPN, Body: extensions.AppendALPN(nil, []string{"h2"})},
	}
	o := offers{messageExtensions: extensionsOf(attls.KindClientHello, list)}
	if !o.has(attls.ExtALPN) || o.has(attls.ExtKeyShare) || o.has(attls.ExtensionType(0xff00)) {
		t.Error("what the message has is not told")
	}
	if err := o.readBodies(attls.ExtALPN); err != nil || !o.protocols.Contains("h2") || o.groups != nil {
		t.Fatalf("the body that was named: %v, %v, %v", err, o.protocols, o.groups)
	}
	list[1].Body = []byte{0xff} // malformed, and read already
	if err := o.readBodies(); err != nil || o.groups.Len() != 1 {
		t.Errorf("the other bodies: %v, %v", err, o.groups)
	}
	list[0].Body = nil
	if err := o.readBodies(); err != nil {
		t.Errorf("a body is read again: %v", err)
	}
	o = offers{messageExtensions: extensionsOf(attls.KindClientHello, list)}
	err := o.readBodies()
	if err == nil || err.Field != "extensions.supported_groups.named_group_list" {
		t.Errorf("a malformed body: %v", err)
	}
}

func TestABodyIsReadWhereItsExtensionMayAppear(t *testing.T) {
	list := extensions.List{{Type: attls.ExtKeyShare, Body: []byte{0xff}}}
	o := offers{messageExtensions: extensionsOf(attls.KindCertificateRequest, list)}
	if err := o.readBodies(); err != nil || !o.has(attls.ExtKeyShare) {
		t.Errorf("key_share in CertificateRequest: %v", err)
	}
}
