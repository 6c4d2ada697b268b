package handshake_test

import (
	"slices"
	"testing"
	"time"

	"attls"
	"attls/handshake"
	"attls/handshake/message"
)

// TestPreSharedKeyIsLast: whatever order is configured, pre_shared_key ends every
// ClientHello (RFC 8446 section 4.2.11), and the others keep that order.
func TestPreSharedKeyIsLast(t *testing.T) {
	for name, test := range map[string]struct {
		order []attls.ExtensionType
		pad   bool
		retry bool
	}{
		"no order":                             {},
		"padding":                              {pad: true},
		"pre_shared_key first":                 {order: []attls.ExtensionType{attls.ExtPreSharedKey, attls.ExtKeyShare}},
		"pre_shared_key in the middle":         {order: []attls.ExtensionType{attls.ExtKeyShare, attls.ExtPreSharedKey, attls.ExtSupportedVersions}},
		"pre_shared_key before padding":        {order: []attls.ExtensionType{attls.ExtPreSharedKey, attls.ExtPadding}, pad: true},
		"pre_shared_key first, and in a retry": {order: []attls.ExtensionType{attls.ExtPreSharedKey, attls.ExtKeyShare}, retry: true},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMeeting()
			m.mustMeet(t, nil)
			m.now = m.now.Add(time.Minute)
			var w watch
			_, resumed := m.mustMeet(t, func(c, s *handshake.Config) {
				c.Tap, c.ExtensionOrder, c.PadClientHello = &w, test.order, test.pad
				if test.retry {
					s.Retry = handshake.Retry{Always: true}
				}
			})
			hellos := 0
			for _, raw := range w.messages[handshake.Sent] {
				var ch message.ClientHello
				if raw.Kind != attls.KindClientHello {
					continue
				}
				if err := ch.Unmarshal(raw.Body()); err != nil {
					t.Fatal(err)
				}
				hellos++
				var types []attls.ExtensionType
				for i := range ch.Extensions {
					types = append(types, ch.Extensions[i].Type)
				}
				if types[len(types)-1] != attls.ExtPreSharedKey {
					t.Errorf("ClientHello %d ends with %v", hellos, types[len(types)-1])
				}
				var configured, sent []attls.ExtensionType
				for _, x := range test.order {
					if x != attls.ExtPreSharedKey && slices.Contains(types, x) {
						configured = append(configured, x)
					}
				}
				for _, x := range types {
					if slices.Contains(configured, x) {
						sent = append(sent, x)
					}
				}
				if !slices.Equal(sent, configured) {
					t.Errorf("ClientHello %d has %v, not %v", hellos, sent, configured)
				}
			}
			if !resumed || hellos != map[bool]int{false: 1, true: 2}[test.retry] {
				t.Errorf("resumed: %v, after %d ClientHellos", resumed, hellos)
			}
		})
	}
}
