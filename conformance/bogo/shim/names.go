package main

import (
	"errors"
	"fmt"
	"strings"

	"attls"
)

// name ties a failure of ours to one of BoringSSL's names for errors. The zero
// message is any message; the field is a prefix of the path.
type name struct {
	theirs  string
	failure attls.Failure
	message attls.MessageKind
	field   string
}

// names says what the runner calls our failures. It is a relation: two of our
// failures may share one name, and one failure has several where BoringSSL
// splits what RFC 8446 does not.
var names = []name{
	{"DECODE_ERROR", attls.FailDecode, 0, ""},
	{"DECODE_ERROR", attls.FailTrailing, 0, ""},
	{"DECODE_ERROR", attls.FailIllegalParameter, attls.KindKeyUpdate, "request_update"},
	{"DECODE_ERROR", attls.FailIllegalParameter, attls.KindCertificateRequest, "certificate_request_context"},
	{"DECODE_ERROR", attls.FailIllegalParameter, attls.KindServerHello, "legacy_"},
	{"DECODE_ERROR", attls.FailMissingExtension, attls.KindCertificateRequest, "extensions.signature_algorithms"},
	{"PARSE_TLSEXT", attls.FailDecode, 0, "extensions."},
	{"ERROR_PARSING_EXTENSION", attls.FailDecode, 0, "extensions."},
	{"ERROR_PARSING_EXTENSION", attls.FailTrailing, 0, "extensions."},
	{"ERROR_PARSING_EXTENSION", attls.FailWrongMessage, 0, "extensions."},
	{"ERROR_PARSING_EXTENSION", attls.FailIllegalParameter, 0, "extensions."},
	{"DUPLICATE_EXTENSION", attls.FailDuplicateExtension, 0, ""},
	{"UNEXPECTED_EXTENSION", attls.FailUnsolicited, 0, ""},
	{"UNEXPECTED_EXTENSION", attls.FailWrongMessage, attls.KindServerHello, ""},
	{"UNEXPECTED_EXTENSION_ON_EARLY_DATA", attls.FailUnsolicited, attls.KindEncryptedExtensions, "extensions.early_data"},
	{"UNEXPECTED_EXTENSION", attls.FailIllegalParameter, attls.KindEncryptedExtensions, "extensions.early_data"},
	{"CIPHER_MISMATCH_ON_EARLY_DATA", attls.FailIllegalParameter, attls.KindEncryptedExtensions, "extensions.early_data"},
	{"ALPN_MISMATCH_ON_EARLY_DATA", attls.FailIllegalParameter, attls.KindEncryptedExtensions, "extensions.early_data"},
	{"MISSING_EXTENSION", attls.FailMissingExtension, 0, ""},
	{"MISSING_KEY_SHARE", attls.FailMissingExtension, 0, "extensions.key_share"},
	{"NO_SHARED_GROUP", attls.FailMissingExtension, 0, "extensions.supported_groups"},
	{"NO_SHARED_GROUP", attls.FailGroup, 0, ""},
	{"NO_COMMON_SIGNATURE_ALGORITHMS", attls.FailMissingExtension, attls.KindClientHello,
		"extensions.signature_algorithms"},
	{"NO_COMMON_SIGNATURE_ALGORITHMS", attls.FailSignatureScheme, 0, ""},

	{"UNEXPECTED_MESSAGE", attls.FailUnexpectedMessage, 0, ""},
	{"EXCESS_HANDSHAKE_DATA", attls.FailMessageBoundary, 0, ""},
	{"UNEXPECTED_RECORD", attls.FailUnexpectedRecord, 0, ""},
	{"UNEXPECTED_RECORD", attls.FailBadRecordMAC, 0, ""},
	{"APPLICATION_DATA_INSTEAD_OF_HANDSHAKE", attls.FailUnexpectedRecord, 0, "record"},
	{"INVALID_OUTER_RECORD_TYPE", attls.FailUnexpectedRecord, 0, "record"},
	{"HTTP_REQUEST", attls.FailUnexpectedRecord, 0, "record"},
	{"HTTPS_PROXY_REQUEST", attls.FailUnexpectedRecord, 0, "record"},
	{"WRONG_VERSION_NUMBER", attls.FailUnexpectedRecord, 0, "record"},
	{"WRONG_VERSION_NUMBER", attls.FailVersion, 0, "record"},
	{"TOO_MANY_EMPTY_FRAGMENTS", attls.FailUnexpectedRecord, 0, "record"},
	{"TOO_MANY_WARNING_ALERTS", attls.FailUnexpectedRecord, 0, "record"},
	{"EXCESS_HANDSHAKE_DATA", attls.FailUnexpectedRecord, 0, "record"},
	{"BAD_ALERT", attls.FailDecode, 0, "record"},
	{"UNKNOWN_ALERT_TYPE", attls.FailIllegalParameter, 0, ""},
	{"BAD_DECRYPT", attls.FailBadRecordMAC, 0, ""},
	{"DECRYPTION_FAILED_OR_BAD_RECORD_MAC", attls.FailBadRecordMAC, 0, ""},
	{"DECRYPTION_FAILED_OR_BAD_RECORD_MAC", attls.FailUnexpectedRecord, 0, "record"},
	{"DATA_LENGTH_TOO_LONG", attls.FailRecordOverflow, 0, ""},
	{"ENCRYPTED_LENGTH_TOO_LONG", attls.FailRecordOverflow, 0, ""},
	{"EXCESSIVE_MESSAGE_SIZE", attls.FailLimit, 0, "record"},
	{"TOO_MANY_KEY_UPDATES", attls.FailLimit, attls.KindKeyUpdate, ""},
	{"TOO_MUCH_READ_EARLY_DATA", attls.FailEarlyDataLimit, 0, ""},
	{"TOO_MUCH_SKIPPED_EARLY_DATA", attls.FailEarlyDataLimit, 0, "record"},
	{"TOO_MUCH_SKIPPED_EARLY_DATA", attls.FailRecordOverflow, 0, "record"},

	{"UNSUPPORTED_PROTOCOL", attls.FailVersion, 0, ""},
	{"SECOND_SERVERHELLO_VERSION_MISMATCH", attls.FailVersion, attls.KindServerHello, ""},
	{"SECOND_SERVERHELLO_VERSION_MISMATCH", attls.FailIllegalParameter, attls.KindServerHello,
		"extensions.supported_versions"},
	{"DECODE_ERROR", attls.FailVersion, attls.KindServerHello, "legacy_version"},
	{"TLS13_DOWNGRADE", attls.FailDowngrade, 0, ""},
	{"NO_SHARED_CIPHER", attls.FailSuite, 0, ""},
	{"WRONG_CIPHER_RETURNED", attls.FailIllegalParameter, attls.KindServerHello, "cipher_suite"},
	{"WRONG_CIPHER_RETURNED", attls.FailIllegalParameter, attls.KindHelloRetryRequest, "cipher_suite"},
	{"UNKNOWN_CIPHER_RETURNED", attls.FailIllegalParameter, attls.KindServerHello, "cipher_suite"},
	{"INVALID_COMPRESSION_LIST", attls.FailIllegalParameter, attls.KindClientHello, "legacy_compression_methods"},
	{"SERVER_ECHOED_INVALID_SESSION_ID", attls.FailIllegalParameter, attls.KindServerHello, "legacy_session_id_echo"},
	{"WRONG_CURVE", attls.FailIllegalParameter, 0, "extensions.key_share"},
	{"WRONG_CURVE", attls.FailRetryMismatch, 0, "extensions.key_share"},
	{"BAD_ECPOINT", attls.FailIllegalParameter, 0, "extensions.key_share.key_exchange"},
	{"BAD_ECPOINT", attls.FailGroup, 0, ""},
	{"DUPLICATE_KEY_SHARE", attls.FailIllegalParameter, attls.KindClientHello, "extensions.key_share"},
	{"EMPTY_HELLO_RETRY_REQUEST", attls.FailRetryUnchanged, 0, ""},
	{"INCONSISTENT_CLIENT_HELLO", attls.FailRetryMismatch, 0, ""},
	{"UNEXPECTED_EXTENSION", attls.FailRetryMismatch, 0, "extensions.early_data"},
	{"INVALID_ALPN_PROTOCOL", attls.FailIllegalParameter, 0, "extensions.application_layer_protocol_negotiation"},
	{"NO_APPLICATION_PROTOCOL", attls.FailALPN, 0, ""},

	{"PRE_SHARED_KEY_MUST_BE_LAST", attls.FailIllegalParameter, attls.KindClientHello, "extensions.pre_shared_key"},
	{"PSK_IDENTITY_BINDER_COUNT_MISMATCH", attls.FailIllegalParameter, attls.KindClientHello, "extensions.pre_shared_key"},
	{"PSK_IDENTITY_NOT_FOUND", attls.FailIllegalParameter, attls.KindServerHello, "extensions.pre_shared_key"},
	{"OLD_SESSION_PRF_HASH_MISMATCH", attls.FailIllegalParameter, attls.KindServerHello, "extensions.pre_shared_key"},
	{"DIGEST_CHECK_FAILED", attls.FailBinder, 0, ""},
	{"DIGEST_CHECK_FAILED", attls.FailFinished, 0, ""},
	{"BAD_SIGNATURE", attls.FailSignature, 0, ""},
	{"WRONG_SIGNATURE_TYPE", attls.FailIllegalParameter, attls.KindCertificateVerify, "algorithm"},
	{"WRONG_SIGNATURE_TYPE", attls.FailUnsupportedCert, attls.KindCertificate, ""},
	{"CANNOT_PARSE_LEAF_CERT", attls.FailBadCertificate, attls.KindCertificate, ""},
	{"KEY_USAGE_BIT_INCORRECT", attls.FailKeyUsage, 0, ""},
	{"CERTIFICATE_VERIFY_FAILED", attls.FailCertificateUnknown, 0, ""},
	{"CERT_CB_ERROR", attls.FailInternal, 0, ""},
	{"OCSP_CB_ERROR", attls.FailInternal, 0, ""},
	{"OCSP_CB_ERROR", attls.FailCertificateStatus, 0, ""},
	{"PEER_DID_NOT_RETURN_A_CERTIFICATE", attls.FailCertificateRequired, 0, ""},
	{"PEER_DID_NOT_RETURN_A_CERTIFICATE", attls.FailDecode, attls.KindCertificate, "certificate_list"},
	{"CERT_DECOMPRESSION_FAILED", attls.FailBadCertificate, attls.KindCompressedCertificate, ""},
	{"UNKNOWN_CERT_COMPRESSION_ALG", attls.FailIllegalParameter, attls.KindCompressedCertificate, "algorithm"},
	{"UNCOMPRESSED_CERT_TOO_LARGE", attls.FailLimit, attls.KindCompressedCertificate, ""},
	{"INVALID_SCT_LIST", attls.FailConfiguration, 0, "Credential.SCT"},
	{"HANDSHAKE_NOT_COMPLETE", attls.FailConfiguration, 0, ""},
}

// alertNames are BoringSSL's names for alerts that the peer sent.
var alertNames = map[attls.AlertDescription]string{
	attls.AlertHandshakeFailure: "SSLV3_ALERT_HANDSHAKE_FAILURE",
	attls.AlertRecordOverflow:   "TLSV1_ALERT_RECORD_OVERFLOW",
	30:                          "SSLV3_ALERT_DECOMPRESSION_FAILURE",
}

// describe adds to an error what the runner may call it.
func describe(err error) string {
	var e *attls.Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	b := fmt.Sprintf("%v\nfailure=%s alert=%v message=%v field=%s.\n", err, e.Failure, e.Alert, e.Message, e.Field)
	if e.Failure == attls.FailPeerAlert {
		if e.Alert == attls.AlertHandshakeFailure && strings.Contains(e.Detail, "WAIT_SH") {
			b += ":HANDSHAKE_FAILURE_ON_CLIENT_HELLO:\n"
		}
		return b + ":" + alertNames[e.Alert] + ":"
	}
	for _, n := range names {
		if n.failure == e.Failure && (n.message == 0 || n.message == e.Message) && strings.HasPrefix(e.Field, n.field) {
			b += ":" + n.theirs + ":\n"
		}
	}
	return b
}
