package message

import "attls"

// longest are the lengths, in octets, of the longest bodies that the grammar of RFC
// 8446 section 4 allows. Certificate and CompressedCertificate have no bound below
// that of every message; Finished is as long as the longest hash.
var longest = map[attls.HandshakeType]int{
	attls.TypeClientHello:         2 + 32 + 1 + 32 + 2 + 65534 + 1 + 255 + 2 + 65535,
	attls.TypeServerHello:         2 + 32 + 1 + 32 + 2 + 1 + 2 + 65535,
	attls.TypeNewSessionTicket:    4 + 4 + 1 + 255 + 2 + 65535 + 2 + 65535,
	attls.TypeEndOfEarlyData:      0,
	attls.TypeEncryptedExtensions: 2 + 65535,
	attls.TypeCertificateRequest:  1 + 255 + 2 + 65535,
	attls.TypeCertificateVerify:   2 + 2 + 65535,
	attls.TypeFinished:            64,
	attls.TypeKeyUpdate:           1,
	attls.TypeExtendedKeyUpdate:   1 + 2 + 2 + 65535,
}

// Overlong is the error of a message whose body is announced with so many octets
// that its grammar cannot hold them: decode_error (RFC 8446 section 6.2), as it
// would be if the message were read. Nil: the length is possible, or the type is
// not known.
func Overlong(t byte, body int) *attls.Error {
	limit, ok := longest[attls.HandshakeType(t)]
	if !ok || body <= limit {
		return nil
	}
	return attls.Errorf(attls.Malformed, attls.FailDecode, "%v announces %d octets; it has at most %d",
		attls.HandshakeType(t), body, limit).
		Under("record").By("RFC 8446 6.2")
}
