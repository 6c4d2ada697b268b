package message

import (
	"attls"
	"attls/internal/wire"
)

// ExtendedKeyUpdate is the message of draft-ietf-tls-extended-key-update section 4:
//
//	enum {
//	    key_update_request(0), key_update_response(1), key_update_finish(2), (255)
//	} ExtendedKeyUpdateType;
//
//	struct {
//	    ExtendedKeyUpdateType eku_type;
//	    select (eku_type) {
//	        case key_update_request:  { KeyShareEntry key_share; }
//	        case key_update_response: { KeyShareEntry key_share; }
//	        case key_update_finish:   { /* empty */ }
//	    };
//	} ExtendedKeyUpdate;
type ExtendedKeyUpdate struct {
	Type  attls.ExtendedKeyUpdateType
	Group attls.NamedGroup // but in a finish
	Key   []byte           // key_exchange
}

// Unmarshal reads a body. A subtype that is not known is unexpected_message.
func (m *ExtendedKeyUpdate) Unmarshal(body []byte) *attls.Error {
	r := read(body, attls.KindExtendedKeyUpdate)
	t := attls.ExtendedKeyUpdateType(r.Uint8("eku_type"))
	if len(body) > 0 && t > attls.KeyUpdateFinish {
		return attls.Errorf(attls.Violation, attls.FailUnexpectedMessage, "%v is not known", t).At(0).Under("eku_type").
			In(attls.KindExtendedKeyUpdate).By("draft-ietf-tls-extended-key-update 4")
	}
	*m = ExtendedKeyUpdate{Type: t}
	if t != attls.KeyUpdateFinish {
		m.Group = attls.NamedGroup(r.Uint16("key_share.group"))
		m.Key = r.Vector("key_share.key_exchange", 2, 1, wire.Max(2))
	}
	return r.end()
}

// Append writes the message.
func (m *ExtendedKeyUpdate) Append(b []byte) []byte {
	w := begin(b, attls.TypeExtendedKeyUpdate)
	w.Uint8(uint8(m.Type))
	if m.Type != attls.KeyUpdateFinish {
		w.Uint16(uint16(m.Group))
		w.Vector(2, m.Key)
	}
	return w.end()
}
