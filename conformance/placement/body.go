package placement

import (
	"encoding/hex"
	"slices"
	"strings"

	"attls"
)

// Body says which body the extension of a case has.
type Body string

// The bodies.
const (
	Empty      Body = "empty"
	WellFormed Body = "well-formed"
	Malformed  Body = "malformed"
)

// The messages of the tables below.
const (
	ch  = attls.KindClientHello
	sh  = attls.KindServerHello
	hrr = attls.KindHelloRetryRequest
	ee  = attls.KindEncryptedExtensions
	cr  = attls.KindCertificateRequest
	ct  = attls.KindCertificate
	nst = attls.KindNewSessionTicket
)

// form is the body of an extension in some messages: a well-formed one, in hexadecimal.
type form struct {
	in   []attls.MessageKind // nil: every other message
	body string
}

// forms are well-formed bodies by the presentation language of the RFC that defines the
// extension. Extensions that are not here have no body that this package knows.
var forms = map[attls.ExtensionType][]form{
	attls.ExtServerName:        {{[]attls.MessageKind{ee}, ""}, {nil, "000c 00 0009 6c6f63616c686f7374"}}, // RFC 6066 3
	attls.ExtMaxFragmentLength: {{nil, "04"}},                                                             // RFC 6066 4
	2:                          {{nil, ""}},                                                               // RFC 6066 5
	3:                          {{nil, "0000"}},                                                           // RFC 6066 6
	4:                          {{nil, ""}},                                                               // RFC 6066 7
	attls.ExtStatusRequest: {{[]attls.MessageKind{cr}, ""}, {[]attls.MessageKind{ct}, "01 000002 3000"},
		{nil, "01 0000 0000"}}, // RFC 6066 8, RFC 8446 4.4.2.1
	9:                            {{[]attls.MessageKind{ch}, "01 00"}, {nil, "00"}}, // RFC 6091 3.1
	attls.ExtSupportedGroups:     {{nil, "0004 001d 0017"}},                         // RFC 8446 4.2.7
	attls.ExtECPointFormats:      {{nil, "01 00"}},                                  // RFC 8422 5.1.2
	12:                           {{nil, "01 61"}},                                  // RFC 5054 2.8.1
	attls.ExtSignatureAlgorithms: {{nil, "0006 0403 0804 0807"}},                    // RFC 8446 4.2.3
	attls.ExtUseSRTP:             {{nil, "0002 0001 00"}},                           // RFC 5764 4.1.1
	attls.ExtHeartbeat:           {{nil, "01"}},                                     // RFC 6520 2
	attls.ExtALPN:                {{nil, "0009 08 687474702f312e31"}},               // RFC 7301 3.1
	attls.ExtSignedCertificateTimestamp: {{[]attls.MessageKind{ct}, "0005 0003 000000"},
		{nil, ""}}, // RFC 6962 3.3
	attls.ExtClientCertificateType: {{[]attls.MessageKind{ch}, "01 00"}, {nil, "00"}}, // RFC 7250 3
	attls.ExtServerCertificateType: {{[]attls.MessageKind{ch}, "01 00"}, {nil, "00"}}, // RFC 7250 3
	attls.ExtEncryptThenMAC:        {{nil, ""}},                                       // RFC 7366 2
	attls.ExtExtendedMainSecret:    {{nil, ""}},                                       // RFC 7627 5.1
	24:                             {{nil, "0100 01 02"}},                             // RFC 8472 2
	attls.ExtCompressCertificate:   {{nil, "02 0002"}},                                // RFC 8879 3
	attls.ExtRecordSizeLimit:       {{nil, "4001"}},                                   // RFC 8449 4
	attls.ExtDelegatedCredential:   {{[]attls.MessageKind{ch, cr}, "0002 0403"}},      // RFC 9345 4.1.1
	attls.ExtPreSharedKey: {{[]attls.MessageKind{ch}, "000a 0004 6e6f6e65 00000000 0021 20" + strings.Repeat("00", 32)},
		{nil, "0000"}}, // RFC 8446 4.2.11
	attls.ExtEarlyData: {{[]attls.MessageKind{nst}, "00001000"}, {nil, ""}}, // RFC 8446 4.2.10
	attls.ExtSupportedVersions: {{[]attls.MessageKind{sh, hrr}, "0304"},
		{nil, "02 0304"}}, // RFC 8446 4.2.1
	attls.ExtCookie:                  {{nil, "0003 616263"}},                            // RFC 8446 4.2.2
	attls.ExtPSKKeyExchangeModes:     {{nil, "01 01"}},                                  // RFC 8446 4.2.9
	attls.ExtCertificateAuthorities:  {{nil, "0010 000e 300c310a300806035504030c0161"}}, // RFC 8446 4.2.4
	attls.ExtOIDFilters:              {{nil, "0000"}},                                   // RFC 8446 4.2.5
	attls.ExtPostHandshakeAuth:       {{nil, ""}},                                       // RFC 8446 4.2.6
	attls.ExtSignatureAlgorithmsCert: {{nil, "0006 0403 0804 0807"}},                    // RFC 8446 4.2.3
	attls.ExtKeyShare: {{[]attls.MessageKind{hrr}, "0018"},
		{[]attls.MessageKind{sh}, "001d 0020 09" + strings.Repeat("00", 31)},
		{nil, "0024 001d 0020 09" + strings.Repeat("00", 31)}}, // RFC 8446 4.2.8
	attls.ExtTransparencyInfo:  {{[]attls.MessageKind{ch, cr}, ""}},               // RFC 9162 6.5
	54:                         {{nil, "00"}},                                     // RFC 9146 3
	attls.ExtExternalIDHash:    {{nil, "00"}},                                     // RFC 8844 3.2
	attls.ExtExternalSessionID: {{nil, "01 61"}},                                  // RFC 8844 4.2
	attls.ExtTicketRequest:     {{[]attls.MessageKind{ch}, "02 00"}, {nil, "02"}}, // RFC 9149 3
	61:                         {{nil, ""}},                                       // rrc
	attls.ExtRenegotiationInfo: {{nil, "00"}},                                     // RFC 5746 3.2
	attls.ExtTLSFlags:          {{nil, "03 000080"}},                              // draft-ietf-tls-tlsflags 2
}

// anyBody is a body for extensions without a form.
var anyBody = []byte{0, 1, 0}

// bodies are the bodies that an extension is sent with in a message. known says that
// this package knows the grammar, so that what is malformed is known to be so.
func bodies(t attls.ExtensionType, k attls.MessageKind) (list map[Body][]byte, known bool) {
	i := slices.IndexFunc(forms[t], func(f form) bool { return f.in == nil || slices.Contains(f.in, k) })
	if i < 0 {
		return map[Body][]byte{Empty: {}, WellFormed: anyBody}, false
	}
	well, err := hex.DecodeString(strings.ReplaceAll(forms[t][i].body, " ", ""))
	if err != nil {
		panic(err) // a test decodes each
	}
	list = map[Body][]byte{WellFormed: well, Malformed: append(slices.Clone(well), 0)}
	if len(well) > 1 {
		list[Malformed] = well[:len(well)-1] // its length lies
	}
	if len(well) > 0 {
		list[Empty] = []byte{}
	}
	return list, true
}

// mayBreak reports whether a body that is not broken may be so for a stack that knows the
// extension: no grammar of it is known here, or it does not belong in the message and has one of
// another message, which the stack may read first.
func mayBreak(t attls.ExtensionType, k attls.MessageKind, belongs bool) bool {
	_, known := bodies(t, k)
	return !known || !belongs && len(forms[t]) > 1
}

// broken reports whether a body does not follow the grammar of an extension in a message.
func broken(t attls.ExtensionType, k attls.MessageKind, b Body) bool {
	list, known := bodies(t, k)
	if !known {
		return false
	}
	return b == Malformed || b == Empty && len(list[WellFormed]) > 0
}
