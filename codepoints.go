package attls

import (
	"fmt"
	"strconv"
	"strings"
)

// Role is one of the two ends of a connection.
type Role uint8

// The two roles; their values index the arrays of two that hold something for each end.
const (
	RoleClient Role = 0
	RoleServer Role = 1
)

// Roles are both roles, in the order of their values: what is kept for each end is
// an array of two that a Role indexes.
func Roles() [2]Role { return [2]Role{RoleClient, RoleServer} }

// Peer returns the other end.
func (r Role) Peer() Role { return r ^ 1 }

func (r Role) String() string {
	if r == RoleServer {
		return "server"
	}
	return "client"
}

// ContentType is the type of a record (RFC 8446 section 5.1).
type ContentType uint8

// The types of RFC 8446 section 5.1; invalid is not a type of a record.
const (
	ContentTypeInvalid          ContentType = 0
	ContentTypeChangeCipherSpec ContentType = 20
	ContentTypeAlert            ContentType = 21
	ContentTypeHandshake        ContentType = 22
	ContentTypeApplicationData  ContentType = 23
)

func (t ContentType) String() string {
	switch t {
	case ContentTypeChangeCipherSpec:
		return "change_cipher_spec"
	case ContentTypeAlert:
		return "alert"
	case ContentTypeHandshake:
		return "handshake"
	case ContentTypeApplicationData:
		return "application_data"
	}
	return number("content type", uint64(t))
}

// HandshakeType is the first octet of a handshake message (RFC 8446 section 4).
type HandshakeType uint8

// The types of RFC 8446 section 4, compressed_certificate of RFC 8879 and client_certificate_request of RFC 9261.
const (
	TypeClientHello         HandshakeType = 1
	TypeServerHello         HandshakeType = 2
	TypeNewSessionTicket    HandshakeType = 4
	TypeEndOfEarlyData      HandshakeType = 5
	TypeEncryptedExtensions HandshakeType = 8
	TypeCertificate         HandshakeType = 11
	TypeCertificateRequest  HandshakeType = 13
	TypeCertificateVerify   HandshakeType = 15
	// TypeClientCertificateRequest is a client's request of an exported authenticator (RFC 9261 section 4).
	TypeClientCertificateRequest HandshakeType = 17
	TypeFinished                 HandshakeType = 20
	TypeKeyUpdate                HandshakeType = 24
	TypeCompressedCertificate    HandshakeType = 25
	TypeMessageHash              HandshakeType = 254

	// TypeExtendedKeyUpdate is provisional: draft-ietf-tls-extended-key-update has no
	// number yet.
	TypeExtendedKeyUpdate HandshakeType = 0xEA
)

// MessageKind names a handshake message by what it means rather than by its
// first octet: HelloRetryRequest shares ServerHello's number but is a kind of
// its own, and KindAdded is any message that a profile adds.
type MessageKind uint8

// The kinds of message; KindNone is the kind of an error that concerns no message.
const (
	KindNone MessageKind = iota
	KindClientHello
	KindServerHello
	KindHelloRetryRequest
	KindEncryptedExtensions
	KindCertificateRequest
	KindCertificate
	KindCertificateVerify
	KindFinished
	KindNewSessionTicket
	KindEndOfEarlyData
	KindKeyUpdate
	KindCompressedCertificate
	KindExtendedKeyUpdate
	KindAdded
	KindUnknown
	// KindClientCertificateRequest is of no handshake, but of exported authenticators (RFC 9261).
	KindClientCertificateRequest
	numKinds
)

var kindNames = [numKinds]string{
	"none", "client_hello", "server_hello", "hello_retry_request", "encrypted_extensions",
	"certificate_request", "certificate", "certificate_verify", "finished", "new_session_ticket",
	"end_of_early_data", "key_update", "compressed_certificate", "extended_key_update", "added message", "unknown message",
	"client_certificate_request",
}

var kindDisplay = [numKinds]string{
	"none", "ClientHello", "ServerHello", "HelloRetryRequest", "EncryptedExtensions",
	"CertificateRequest", "Certificate", "CertificateVerify", "Finished", "NewSessionTicket",
	"EndOfEarlyData", "KeyUpdate", "CompressedCertificate", "ExtendedKeyUpdate", "added message", "unknown message",
	"ClientCertificateRequest",
}

// Name is the spelling of the presentation language: client_hello.
func (k MessageKind) Name() string {
	if k < numKinds {
		return kindNames[k]
	}
	return number("message", uint64(k))
}

// String is the spelling of the RFC's prose: ClientHello.
func (k MessageKind) String() string {
	if k < numKinds {
		return kindDisplay[k]
	}
	return number("message", uint64(k))
}

// KindByName is the inverse of Name, for the messages of TLS.
func KindByName(name string) (MessageKind, bool) {
	for k, n := range kindNames {
		if n == name && k != 0 && MessageKind(k) != KindAdded && MessageKind(k) != KindUnknown {
			return MessageKind(k), true
		}
	}
	return KindNone, false
}

// Kind returns the kind of a message with this type. ServerHello is returned
// for type 2; telling a HelloRetryRequest apart needs its Random.
func (t HandshakeType) Kind() MessageKind {
	switch t {
	case TypeClientHello:
		return KindClientHello
	case TypeServerHello:
		return KindServerHello
	case TypeNewSessionTicket:
		return KindNewSessionTicket
	case TypeEndOfEarlyData:
		return KindEndOfEarlyData
	case TypeEncryptedExtensions:
		return KindEncryptedExtensions
	case TypeCertificate:
		return KindCertificate
	case TypeCertificateRequest:
		return KindCertificateRequest
	case TypeCertificateVerify:
		return KindCertificateVerify
	case TypeClientCertificateRequest:
		return KindClientCertificateRequest
	case TypeFinished:
		return KindFinished
	case TypeKeyUpdate:
		return KindKeyUpdate
	case TypeCompressedCertificate:
		return KindCompressedCertificate
	case TypeExtendedKeyUpdate:
		return KindExtendedKeyUpdate
	}
	return KindUnknown
}

func (t HandshakeType) String() string {
	if k := t.Kind(); k != KindUnknown {
		return k.Name()
	}
	if t == TypeMessageHash {
		return "message_hash"
	}
	return number("handshake type", uint64(t))
}

// ExtensionType is the number of an extension (IANA TLS ExtensionType Values).
type ExtensionType uint16

// The types in IANA's registry (TLS ExtensionType Values) that attls reads, sends or places.
const (
	ExtServerName                    ExtensionType = 0
	ExtMaxFragmentLength             ExtensionType = 1
	ExtStatusRequest                 ExtensionType = 5
	ExtSupportedGroups               ExtensionType = 10
	ExtECPointFormats                ExtensionType = 11
	ExtSignatureAlgorithms           ExtensionType = 13
	ExtUseSRTP                       ExtensionType = 14
	ExtHeartbeat                     ExtensionType = 15
	ExtALPN                          ExtensionType = 16
	ExtSignedCertificateTimestamp    ExtensionType = 18
	ExtClientCertificateType         ExtensionType = 19
	ExtServerCertificateType         ExtensionType = 20
	ExtPadding                       ExtensionType = 21
	ExtEncryptThenMAC                ExtensionType = 22
	ExtExtendedMainSecret            ExtensionType = 23
	ExtCompressCertificate           ExtensionType = 27
	ExtRecordSizeLimit               ExtensionType = 28
	ExtDelegatedCredential           ExtensionType = 34
	ExtSessionTicket                 ExtensionType = 35
	ExtSupportedEKTCiphers           ExtensionType = 39
	ExtPreSharedKey                  ExtensionType = 41
	ExtEarlyData                     ExtensionType = 42
	ExtSupportedVersions             ExtensionType = 43
	ExtCookie                        ExtensionType = 44
	ExtPSKKeyExchangeModes           ExtensionType = 45
	ExtCertificateAuthorities        ExtensionType = 47
	ExtOIDFilters                    ExtensionType = 48
	ExtPostHandshakeAuth             ExtensionType = 49
	ExtSignatureAlgorithmsCert       ExtensionType = 50
	ExtKeyShare                      ExtensionType = 51
	ExtTransparencyInfo              ExtensionType = 52
	ExtExternalIDHash                ExtensionType = 55
	ExtExternalSessionID             ExtensionType = 56
	ExtQUICTransportParameters       ExtensionType = 57
	ExtTicketRequest                 ExtensionType = 58
	ExtSequenceNumberEncryptionAlgos ExtensionType = 60
	ExtTLSFlags                      ExtensionType = 62 // draft-ietf-tls-tlsflags
	ExtECHOuterExtensions            ExtensionType = 0xfd00
	ExtEncryptedClientHello          ExtensionType = 0xfe0d
	ExtRenegotiationInfo             ExtensionType = 0xff01
)

var extensionNames = map[ExtensionType]string{
	ExtServerName: "server_name", ExtMaxFragmentLength: "max_fragment_length",
	ExtStatusRequest: "status_request", ExtSupportedGroups: "supported_groups",
	ExtECPointFormats: "ec_point_formats", ExtSignatureAlgorithms: "signature_algorithms",
	ExtUseSRTP: "use_srtp", ExtHeartbeat: "heartbeat",
	ExtALPN:                       "application_layer_protocol_negotiation",
	ExtSignedCertificateTimestamp: "signed_certificate_timestamp",
	ExtClientCertificateType:      "client_certificate_type", ExtServerCertificateType: "server_certificate_type",
	ExtPadding: "padding", ExtEncryptThenMAC: "encrypt_then_mac",
	ExtExtendedMainSecret: "extended_main_secret", ExtCompressCertificate: "compress_certificate",
	ExtRecordSizeLimit: "record_size_limit", ExtSessionTicket: "session_ticket",
	ExtPreSharedKey: "pre_shared_key", ExtEarlyData: "early_data",
	ExtSupportedVersions: "supported_versions", ExtCookie: "cookie",
	ExtPSKKeyExchangeModes: "psk_key_exchange_modes", ExtCertificateAuthorities: "certificate_authorities",
	ExtOIDFilters: "oid_filters", ExtPostHandshakeAuth: "post_handshake_auth",
	ExtSignatureAlgorithmsCert: "signature_algorithms_cert", ExtKeyShare: "key_share",
	ExtDelegatedCredential: "delegated_credential", ExtSupportedEKTCiphers: "supported_ekt_ciphers",
	ExtTransparencyInfo: "transparency_info", ExtExternalIDHash: "external_id_hash",
	ExtExternalSessionID: "external_session_id", ExtQUICTransportParameters: "quic_transport_parameters",
	ExtTicketRequest: "ticket_request", ExtECHOuterExtensions: "ech_outer_extensions",
	ExtEncryptedClientHello:          "encrypted_client_hello",
	ExtSequenceNumberEncryptionAlgos: "sequence_number_encryption_algorithms",
	ExtTLSFlags:                      "tls_flags",
	ExtRenegotiationInfo:             "renegotiation_info",
}

func (t ExtensionType) String() string {
	if n, ok := extensionNames[t]; ok {
		return n
	}
	return "extension 0x" + fmt.Sprintf("%04x", uint16(t))
}

// ExtensionByName finds a registered extension by its IANA name.
func ExtensionByName(name string) (ExtensionType, bool) {
	for t, n := range extensionNames {
		if n == name {
			return t, true
		}
	}
	return 0, false
}

// RegisteredExtension reports whether IANA has given the number to an
// extension that this package knows by name.
func RegisteredExtension(t ExtensionType) bool { _, ok := extensionNames[t]; return ok }

// TLSFlag is the number of a flag in tls_flags (draft-ietf-tls-tlsflags section 4), at
// most MaxTLSFlag.
type TLSFlag uint16

// MaxTLSFlag is the last flag for which tls_flags has room.
const MaxTLSFlag TLSFlag = 2039

// FlagExtendedKeyUpdate is provisional: draft-ietf-tls-extended-key-update has no
// number yet. The first 16 are given by Standards Action only.
const FlagExtendedKeyUpdate TLSFlag = 16

func (f TLSFlag) String() string {
	if f == FlagExtendedKeyUpdate {
		return "extended_key_update"
	}
	return number("flag", uint64(f))
}

// ExtendedKeyUpdateType is the subtype of an ExtendedKeyUpdate message
// (draft-ietf-tls-extended-key-update section 4).
type ExtendedKeyUpdateType uint8

// The subtypes, in the order in which an exchange has them.
const (
	KeyUpdateRequest  ExtendedKeyUpdateType = 0
	KeyUpdateResponse ExtendedKeyUpdateType = 1
	KeyUpdateFinish   ExtendedKeyUpdateType = 2
)

func (t ExtendedKeyUpdateType) String() string {
	switch t {
	case KeyUpdateRequest:
		return "key_update_request"
	case KeyUpdateResponse:
		return "key_update_response"
	case KeyUpdateFinish:
		return "key_update_finish"
	}
	return number("eku_type", uint64(t))
}

// AlertDescription is the second octet of an alert (RFC 8446 section 6).
type AlertDescription uint8

// The alerts of RFC 8446 section 6, RFC 9846 and RFC 6066; those that a profile adds have
// numbers of their own.
const (
	AlertCloseNotify                  AlertDescription = 0
	AlertUnexpectedMessage            AlertDescription = 10
	AlertBadRecordMAC                 AlertDescription = 20
	AlertRecordOverflow               AlertDescription = 22
	AlertHandshakeFailure             AlertDescription = 40
	AlertBadCertificate               AlertDescription = 42
	AlertUnsupportedCertificate       AlertDescription = 43
	AlertCertificateRevoked           AlertDescription = 44
	AlertCertificateExpired           AlertDescription = 45
	AlertCertificateUnknown           AlertDescription = 46
	AlertIllegalParameter             AlertDescription = 47
	AlertUnknownCA                    AlertDescription = 48
	AlertAccessDenied                 AlertDescription = 49
	AlertDecodeError                  AlertDescription = 50
	AlertDecryptError                 AlertDescription = 51
	AlertProtocolVersion              AlertDescription = 70
	AlertInsufficientSecurity         AlertDescription = 71
	AlertInternalError                AlertDescription = 80
	AlertInappropriateFallback        AlertDescription = 86
	AlertUserCanceled                 AlertDescription = 90
	AlertMissingExtension             AlertDescription = 109
	AlertUnsupportedExtension         AlertDescription = 110
	AlertUnrecognizedName             AlertDescription = 112
	AlertBadCertificateStatusResponse AlertDescription = 113
	AlertUnknownPSKIdentity           AlertDescription = 115
	AlertCertificateRequired          AlertDescription = 116
	AlertGeneralError                 AlertDescription = 117 // RFC 9846; sent by profiles that name it
	AlertNoApplicationProtocol        AlertDescription = 120
)

var alertNames = map[AlertDescription]string{
	AlertCloseNotify: "close_notify", AlertUnexpectedMessage: "unexpected_message",
	AlertBadRecordMAC: "bad_record_mac", AlertRecordOverflow: "record_overflow",
	AlertHandshakeFailure: "handshake_failure", 41: "no_certificate", AlertBadCertificate: "bad_certificate",
	AlertUnsupportedCertificate: "unsupported_certificate", AlertCertificateRevoked: "certificate_revoked",
	AlertCertificateExpired: "certificate_expired", AlertCertificateUnknown: "certificate_unknown",
	AlertIllegalParameter: "illegal_parameter", AlertUnknownCA: "unknown_ca",
	AlertAccessDenied: "access_denied", AlertDecodeError: "decode_error",
	AlertDecryptError: "decrypt_error", AlertProtocolVersion: "protocol_version",
	AlertInsufficientSecurity: "insufficient_security", AlertInternalError: "internal_error",
	AlertInappropriateFallback: "inappropriate_fallback", AlertUserCanceled: "user_canceled",
	AlertMissingExtension: "missing_extension", AlertUnsupportedExtension: "unsupported_extension",
	AlertUnrecognizedName:             "unrecognized_name",
	AlertBadCertificateStatusResponse: "bad_certificate_status_response",
	AlertUnknownPSKIdentity:           "unknown_psk_identity",
	AlertCertificateRequired:          "certificate_required",
	AlertGeneralError:                 "general_error",
	AlertNoApplicationProtocol:        "no_application_protocol",
}

func (a AlertDescription) String() string {
	if n, ok := alertNames[a]; ok {
		return n
	}
	return number("alert", uint64(a))
}

// AlertByName finds an alert by the name RFC 8446 gives it.
func AlertByName(name string) (AlertDescription, bool) {
	for a, n := range alertNames {
		if n == name {
			return a, true
		}
	}
	return 0, false
}

// CipherSuite is a TLS 1.3 cipher suite (RFC 8446 appendix B.4).
type CipherSuite uint16

// The suites of RFC 8446 appendix B.4, by the names of IANA's registry.
const (
	TLS_AES_128_GCM_SHA256       CipherSuite = 0x1301
	TLS_AES_256_GCM_SHA384       CipherSuite = 0x1302
	TLS_CHACHA20_POLY1305_SHA256 CipherSuite = 0x1303
	TLS_AES_128_CCM_SHA256       CipherSuite = 0x1304
	TLS_AES_128_CCM_8_SHA256     CipherSuite = 0x1305
)

var suiteNames = map[CipherSuite]string{
	TLS_AES_128_GCM_SHA256: "TLS_AES_128_GCM_SHA256", TLS_AES_256_GCM_SHA384: "TLS_AES_256_GCM_SHA384",
	TLS_CHACHA20_POLY1305_SHA256: "TLS_CHACHA20_POLY1305_SHA256",
	TLS_AES_128_CCM_SHA256:       "TLS_AES_128_CCM_SHA256", TLS_AES_128_CCM_8_SHA256: "TLS_AES_128_CCM_8_SHA256",
}

func (s CipherSuite) String() string {
	if n, ok := suiteNames[s]; ok {
		return n
	}
	return "cipher suite 0x" + fmt.Sprintf("%04x", uint16(s))
}

// NamedGroup is a key exchange group (RFC 8446 section 4.2.7).
type NamedGroup uint16

// The groups that attls can use, with the numbers of IANA's registry (TLS Supported Groups).
const (
	GroupSecp256r1          NamedGroup = 23
	GroupSecp384r1          NamedGroup = 24
	GroupSecp521r1          NamedGroup = 25
	GroupX25519             NamedGroup = 29
	GroupX448               NamedGroup = 30
	GroupSecP256r1MLKEM768  NamedGroup = 0x11eb
	GroupX25519MLKEM768     NamedGroup = 0x11ec
	GroupSecP384r1MLKEM1024 NamedGroup = 0x11ed
)

var groupNames = map[NamedGroup]string{
	GroupSecp256r1: "secp256r1", GroupSecp384r1: "secp384r1", GroupSecp521r1: "secp521r1",
	GroupX25519: "x25519", GroupX448: "x448", GroupSecP256r1MLKEM768: "SecP256r1MLKEM768",
	GroupX25519MLKEM768: "X25519MLKEM768", GroupSecP384r1MLKEM1024: "SecP384r1MLKEM1024",
}

func (g NamedGroup) String() string {
	if n, ok := groupNames[g]; ok {
		return n
	}
	return "group 0x" + fmt.Sprintf("%04x", uint16(g))
}

// SignatureScheme is a signature algorithm (RFC 8446 section 4.2.3).
type SignatureScheme uint16

// The schemes of RFC 8446 section 4.2.3 and of later RFCs. Those with SHA-1, and PKCS #1 v1.5,
// are for the signatures in certificates only.
const (
	RSA_PKCS1_SHA1         SignatureScheme = 0x0201
	ECDSA_SHA1             SignatureScheme = 0x0203
	RSA_PKCS1_SHA256       SignatureScheme = 0x0401
	RSA_PKCS1_SHA384       SignatureScheme = 0x0501
	RSA_PKCS1_SHA512       SignatureScheme = 0x0601
	ECDSA_SECP256R1_SHA256 SignatureScheme = 0x0403
	ECDSA_SECP384R1_SHA384 SignatureScheme = 0x0503
	ECDSA_SECP521R1_SHA512 SignatureScheme = 0x0603
	RSA_PSS_RSAE_SHA256    SignatureScheme = 0x0804
	RSA_PSS_RSAE_SHA384    SignatureScheme = 0x0805
	RSA_PSS_RSAE_SHA512    SignatureScheme = 0x0806
	ED25519                SignatureScheme = 0x0807
	ED448                  SignatureScheme = 0x0808
	RSA_PSS_PSS_SHA256     SignatureScheme = 0x0809
	RSA_PSS_PSS_SHA384     SignatureScheme = 0x080a
	RSA_PSS_PSS_SHA512     SignatureScheme = 0x080b
	MLDSA44                SignatureScheme = 0x0904
	MLDSA65                SignatureScheme = 0x0905
	MLDSA87                SignatureScheme = 0x0906
)

var signatureNames = map[SignatureScheme]string{
	RSA_PKCS1_SHA1: "rsa_pkcs1_sha1", ECDSA_SHA1: "ecdsa_sha1",
	RSA_PKCS1_SHA256: "rsa_pkcs1_sha256", RSA_PKCS1_SHA384: "rsa_pkcs1_sha384", RSA_PKCS1_SHA512: "rsa_pkcs1_sha512",
	ECDSA_SECP256R1_SHA256: "ecdsa_secp256r1_sha256", ECDSA_SECP384R1_SHA384: "ecdsa_secp384r1_sha384",
	ECDSA_SECP521R1_SHA512: "ecdsa_secp521r1_sha512",
	RSA_PSS_RSAE_SHA256:    "rsa_pss_rsae_sha256", RSA_PSS_RSAE_SHA384: "rsa_pss_rsae_sha384",
	RSA_PSS_RSAE_SHA512: "rsa_pss_rsae_sha512",
	ED25519:             "ed25519", ED448: "ed448",
	RSA_PSS_PSS_SHA256: "rsa_pss_pss_sha256", RSA_PSS_PSS_SHA384: "rsa_pss_pss_sha384",
	RSA_PSS_PSS_SHA512: "rsa_pss_pss_sha512",
	MLDSA44:            "mldsa44", MLDSA65: "mldsa65", MLDSA87: "mldsa87",
}

func (s SignatureScheme) String() string {
	if n, ok := signatureNames[s]; ok {
		return n
	}
	return "signature scheme 0x" + fmt.Sprintf("%04x", uint16(s))
}

// CertificateType is a type of the registry of RFC 7250.
type CertificateType uint8

// The types that may be negotiated (RFC 7250); 0 is what a connection has without negotiation.
const (
	CertificateX509         CertificateType = 0
	CertificateRawPublicKey CertificateType = 2
)

func (t CertificateType) String() string {
	switch t {
	case CertificateX509:
		return "X509"
	case CertificateRawPublicKey:
		return "RawPublicKey"
	}
	return number("certificate type", uint64(t))
}

// PSKKeyExchangeMode says what goes with a pre-shared key (RFC 8446 section 4.2.9).
type PSKKeyExchangeMode uint8

// The modes of RFC 8446 section 4.2.9.
const (
	PSKOnly    PSKKeyExchangeMode = 0 // psk_ke
	PSKWithDHE PSKKeyExchangeMode = 1 // psk_dhe_ke
)

func (m PSKKeyExchangeMode) String() string {
	switch m {
	case PSKOnly:
		return "psk_ke"
	case PSKWithDHE:
		return "psk_dhe_ke"
	}
	return number("PSK key exchange mode", uint64(m))
}

// Protocol versions as they are on the wire.
const (
	VersionTLS10 uint16 = 0x0301
	VersionTLS12 uint16 = 0x0303
	VersionTLS13 uint16 = 0x0304
)

// Grease reports whether v is one of the reserved values of RFC 8701 for
// sixteen-bit registries.
func Grease(v uint16) bool { return v&0x0f0f == 0x0a0a && v>>8 == v&0xff }

func number(what string, v uint64) string { return what + " " + strconv.FormatUint(v, 10) }

// GroupByName finds a group by its IANA name, in any case, with - or _.
func GroupByName(name string) (NamedGroup, bool) { return byName(groupNames, name) }

// SuiteByName finds a cipher suite by its IANA name, in any case, with - or _.
func SuiteByName(name string) (CipherSuite, bool) { return byName(suiteNames, name) }

// SignatureSchemeByName finds a signature scheme by its IANA name, in any case, with - or _.
func SignatureSchemeByName(name string) (SignatureScheme, bool) { return byName(signatureNames, name) }

// byName finds a name as it is written, or else in another case or with - for _.
func byName[T comparable](names map[T]string, name string) (t T, ok bool) {
	plain := plainName(name)
	for v, n := range names {
		if n == name {
			return v, true
		}
		if plainName(n) == plain {
			t, ok = v, true
		}
	}
	return t, ok
}

func plainName(name string) string { return strings.ReplaceAll(strings.ToLower(name), "-", "_") }
