#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "peer.h"

static const struct {
    const char *name;
    uint8_t alert; /* where a draft names none */
} failures[FAILURES] = {
    [FAIL_NO_SCHEME_EVIDENCE] = { "attestation.no_scheme.evidence", MBEDTLS_SSL_ALERT_MSG_HANDSHAKE_FAILURE },
    [FAIL_NO_SCHEME_RESULTS] = { "attestation.no_scheme.results", MBEDTLS_SSL_ALERT_MSG_HANDSHAKE_FAILURE },
    [FAIL_NOTHING_OFFERED] = { "attestation.nothing_offered", MBEDTLS_SSL_ALERT_MSG_HANDSHAKE_FAILURE },
    [FAIL_UNWILLING] = { "attestation.unwilling", MBEDTLS_SSL_ALERT_MSG_HANDSHAKE_FAILURE },
    [FAIL_DEMANDED_BY_CLIENT] = { "attestation.demanded_by_client", MBEDTLS_SSL_ALERT_MSG_HANDSHAKE_FAILURE },
    [FAIL_DEMANDED_BY_SERVER] = { "attestation.demanded_by_server", MBEDTLS_SSL_ALERT_MSG_HANDSHAKE_FAILURE },
    [FAIL_CHOICE_NOT_OFFERED] = { "attestation.choice_not_offered", MBEDTLS_SSL_ALERT_MSG_ILLEGAL_PARAMETER },
    [FAIL_TWO_CHOICES] = { "attestation.two_choices", MBEDTLS_SSL_ALERT_MSG_ILLEGAL_PARAMETER },
    [FAIL_CHOICE_WITHOUT_REQUEST] = { "attestation.choice_without_request", MBEDTLS_SSL_ALERT_MSG_UNEXPECTED_MESSAGE },
    [FAIL_NOT_CHOSEN] = { "attestation.not_chosen", MBEDTLS_SSL_ALERT_MSG_ILLEGAL_PARAMETER },
    [FAIL_OFFER_CHANGED] = { "attestation.offer_changed", MBEDTLS_SSL_ALERT_MSG_ILLEGAL_PARAMETER },
    [FAIL_MISPLACED] = { "attestation.misplaced", MBEDTLS_SSL_ALERT_MSG_ILLEGAL_PARAMETER },
    [FAIL_MISSING] = { "attestation.missing", MBEDTLS_SSL_ALERT_MSG_MISSING_EXTENSION },
    [FAIL_NONCE_SIZE] = { "attestation.nonce_size", MBEDTLS_SSL_ALERT_MSG_DECODE_ERROR },
    [FAIL_MALFORMED_CMW] = { "attestation.malformed_cmw", MBEDTLS_SSL_ALERT_MSG_BAD_CERT },
    [FAIL_BINDER_MISMATCH] = { "attestation.binder_mismatch", MBEDTLS_SSL_ALERT_MSG_BAD_CERT },
    [FAIL_TIK_MISMATCH] = { "attestation.tik_mismatch", MBEDTLS_SSL_ALERT_MSG_BAD_CERT },
    [FAIL_APPRAISAL] = { "attestation.appraisal_failed", MBEDTLS_SSL_ALERT_MSG_BAD_CERT },
    [FAIL_FORMAT_MISMATCH] = { "attestation.format_mismatch", MBEDTLS_SSL_ALERT_MSG_BAD_CERT },
    [FAIL_VERIFIER_MISMATCH] = { "attestation.verifier_mismatch", MBEDTLS_SSL_ALERT_MSG_BAD_CERT },
    [FAIL_VERIFIER_UNREACHABLE] = { "attestation.verifier_unreachable", MBEDTLS_SSL_ALERT_MSG_INTERNAL_ERROR },
    [FAIL_ATTESTER_UNAVAILABLE] = { "attestation.attester_unavailable", MBEDTLS_SSL_ALERT_MSG_INTERNAL_ERROR },
    [FAIL_KEY_UNUSABLE] = { "attestation.key_unusable", MBEDTLS_SSL_ALERT_MSG_BAD_CERT },
    [FAIL_MALFORMED_EXTENSION] = { "attestation.malformed_extension", MBEDTLS_SSL_ALERT_MSG_DECODE_ERROR },
    [FAIL_CHOICE_NONE] = { "attestation.choice_none", MBEDTLS_SSL_ALERT_MSG_HANDSHAKE_FAILURE },
    [FAIL_BINDER_UNDEFINED] = { "attestation.binder_undefined", MBEDTLS_SSL_ALERT_MSG_ILLEGAL_PARAMETER },
    [FAIL_CERTIFICATE_TYPE] = { "attestation.certificate_type_mismatch", MBEDTLS_SSL_ALERT_MSG_UNSUPPORTED_CERT },
    [FAIL_RESUMPTION_REFUSED] = { "attestation.resumption_refused", MBEDTLS_SSL_ALERT_MSG_INTERNAL_ERROR },
    [FAIL_UNSOLICITED] = { "extension.unsolicited", MBEDTLS_SSL_ALERT_MSG_UNSUPPORTED_EXT },
    [FAIL_DECODE] = { "decode.malformed", MBEDTLS_SSL_ALERT_MSG_DECODE_ERROR },
    [FAIL_TRAILING] = { "decode.trailing_octets", MBEDTLS_SSL_ALERT_MSG_DECODE_ERROR },
    [FAIL_LIMIT] = { "limit.exceeded", MBEDTLS_SSL_ALERT_MSG_ILLEGAL_PARAMETER },
    [FAIL_CAPACITY] = { "limit.capacity", MBEDTLS_SSL_ALERT_MSG_INTERNAL_ERROR },
    [FAIL_OWN_LIMIT] = { "limit.own", MBEDTLS_SSL_ALERT_MSG_INTERNAL_ERROR },
    [FAIL_UNEXPECTED_MESSAGE] = { "message.unexpected", MBEDTLS_SSL_ALERT_MSG_UNEXPECTED_MESSAGE },
    [FAIL_DUPLICATE] = { "extension.duplicate", MBEDTLS_SSL_ALERT_MSG_ILLEGAL_PARAMETER },
    [FAIL_WRONG_MESSAGE] = { "extension.wrong_message", MBEDTLS_SSL_ALERT_MSG_ILLEGAL_PARAMETER },
    [FAIL_MISSING_EXTENSION] = { "extension.missing", MBEDTLS_SSL_ALERT_MSG_MISSING_EXTENSION },
    [FAIL_ILLEGAL_PARAMETER] = { "parameter.illegal", MBEDTLS_SSL_ALERT_MSG_ILLEGAL_PARAMETER },
    [FAIL_SIGNATURE] = { "authentication.signature", MBEDTLS_SSL_ALERT_MSG_DECRYPT_ERROR },
    [FAIL_FINISHED] = { "authentication.finished", MBEDTLS_SSL_ALERT_MSG_DECRYPT_ERROR },
    [FAIL_BAD_CERTIFICATE] = { "certificate.bad", MBEDTLS_SSL_ALERT_MSG_BAD_CERT },
    [FAIL_CERTIFICATE_EXPIRED] = { "certificate.expired", MBEDTLS_SSL_ALERT_MSG_CERT_EXPIRED },
    [FAIL_CERTIFICATE_REVOKED] = { "certificate.revoked", MBEDTLS_SSL_ALERT_MSG_CERT_REVOKED },
    [FAIL_UNKNOWN_CA] = { "certificate.unknown_ca", MBEDTLS_SSL_ALERT_MSG_UNKNOWN_CA },
    [FAIL_KEY_USAGE] = { "certificate.key_usage", MBEDTLS_SSL_ALERT_MSG_UNSUPPORTED_CERT },
    [FAIL_CERTIFICATE_NAME] = { "certificate.name", MBEDTLS_SSL_ALERT_MSG_BAD_CERT },
    [FAIL_REQUEST_CONTEXT] = { "authenticator.context", MBEDTLS_SSL_ALERT_MSG_ILLEGAL_PARAMETER },
    [FAIL_EMPTY_AUTHENTICATOR] = { "authenticator.empty", MBEDTLS_SSL_ALERT_MSG_CERT_REQUIRED },
    [FAIL_INTERNAL] = { "internal", MBEDTLS_SSL_ALERT_MSG_INTERNAL_ERROR },
    [FAIL_CONFIGURATION] = { "configuration", MBEDTLS_SSL_ALERT_MSG_INTERNAL_ERROR },
    [FAIL_TIMEOUT] = { "timeout", MBEDTLS_SSL_ALERT_MSG_USER_CANCELED },
    [FAIL_TRUNCATED] = { "peer.truncated", MBEDTLS_SSL_ALERT_MSG_INTERNAL_ERROR },
    [FAIL_PEER_REFUSED] = { "peer.refused", MBEDTLS_SSL_ALERT_MSG_INTERNAL_ERROR }, /* never sent */
};

const char *failure_name(enum failure f)
{
    return failures[f].name;
}

enum failure failure_by_name(const char *name, size_t len)
{
    for (int f = 1; f < FAILURES; f++) {
        if (strlen(failures[f].name) == len && memcmp(failures[f].name, name, len) == 0) {
            return (enum failure) f;
        }
    }
    return NO_FAILURE;
}

/* What is sent is thrown away from now on: the connection closes without an alert. */
static int send_nothing(void *ctx, const unsigned char *buf, size_t len)
{
    (void) ctx;
    (void) buf;
    return (int) len;
}

unsigned char failure_alert(const struct connection *c)
{
    const struct draft *draft = c->options->draft;
    const int alert = draft->alerts[c->failure] != 0 ? draft->alerts[c->failure] : failures[c->failure].alert;

    return (unsigned char) code_point_sent(draft, ALERTS, (unsigned) alert);
}

int failure_closes(const struct connection *c)
{
    return c->options->draft->alerts[c->failure] == ALERT_CLOSE;
}

int fail(struct connection *c, enum failure f, const char *message, const char *format, ...)
{
    const struct draft *draft = c->options->draft;
    int alert = draft->alerts[f] != 0 ? draft->alerts[f] : failures[f].alert;
    va_list args;

    if (alert == ALERT_NONE) {
        return 0;
    }
    c->failure = f;
    c->message = message;
    va_start(args, format);
    vsnprintf(c->detail, sizeof(c->detail), format, args);
    va_end(args);
    if (alert == ALERT_CLOSE) {
        if (!c->tells) {
            c->silent = 1;
            mbedtls_ssl_set_bio(&c->ssl, NULL, send_nothing, NULL, NULL);
        }
        alert = MBEDTLS_SSL_ALERT_MSG_INTERNAL_ERROR;
    }
    alert = (int) code_point_sent(draft, ALERTS, (unsigned) alert);
    mbedtls_ssl_set_fatal_alert(&c->ssl, (unsigned char) alert, MBEDTLS_ERR_SSL_HANDSHAKE_FAILURE);
    return MBEDTLS_ERR_SSL_HANDSHAKE_FAILURE;
}

static const struct {
    int alert;
    const char *name;
} alerts[] = {
    { MBEDTLS_SSL_ALERT_MSG_CLOSE_NOTIFY, "close_notify" },
    { MBEDTLS_SSL_ALERT_MSG_UNEXPECTED_MESSAGE, "unexpected_message" },
    { MBEDTLS_SSL_ALERT_MSG_BAD_RECORD_MAC, "bad_record_mac" },
    { MBEDTLS_SSL_ALERT_MSG_RECORD_OVERFLOW, "record_overflow" },
    { MBEDTLS_SSL_ALERT_MSG_HANDSHAKE_FAILURE, "handshake_failure" },
    { MBEDTLS_SSL_ALERT_MSG_NO_CERT, "no_certificate" },
    { MBEDTLS_SSL_ALERT_MSG_BAD_CERT, "bad_certificate" },
    { MBEDTLS_SSL_ALERT_MSG_UNSUPPORTED_CERT, "unsupported_certificate" },
    { MBEDTLS_SSL_ALERT_MSG_CERT_REVOKED, "certificate_revoked" },
    { MBEDTLS_SSL_ALERT_MSG_CERT_EXPIRED, "certificate_expired" },
    { MBEDTLS_SSL_ALERT_MSG_CERT_UNKNOWN, "certificate_unknown" },
    { MBEDTLS_SSL_ALERT_MSG_ILLEGAL_PARAMETER, "illegal_parameter" },
    { MBEDTLS_SSL_ALERT_MSG_UNKNOWN_CA, "unknown_ca" },
    { MBEDTLS_SSL_ALERT_MSG_ACCESS_DENIED, "access_denied" },
    { MBEDTLS_SSL_ALERT_MSG_DECODE_ERROR, "decode_error" },
    { MBEDTLS_SSL_ALERT_MSG_DECRYPT_ERROR, "decrypt_error" },
    { MBEDTLS_SSL_ALERT_MSG_PROTOCOL_VERSION, "protocol_version" },
    { MBEDTLS_SSL_ALERT_MSG_INSUFFICIENT_SECURITY, "insufficient_security" },
    { MBEDTLS_SSL_ALERT_MSG_INTERNAL_ERROR, "internal_error" },
    { MBEDTLS_SSL_ALERT_MSG_INAPROPRIATE_FALLBACK, "inappropriate_fallback" },
    { MBEDTLS_SSL_ALERT_MSG_USER_CANCELED, "user_canceled" },
    { MBEDTLS_SSL_ALERT_MSG_MISSING_EXTENSION, "missing_extension" },
    { MBEDTLS_SSL_ALERT_MSG_UNSUPPORTED_EXT, "unsupported_extension" },
    { MBEDTLS_SSL_ALERT_MSG_UNRECOGNIZED_NAME, "unrecognized_name" },
    { MBEDTLS_SSL_ALERT_MSG_UNKNOWN_PSK_IDENTITY, "unknown_psk_identity" },
    { MBEDTLS_SSL_ALERT_MSG_CERT_REQUIRED, "certificate_required" },
    { MBEDTLS_SSL_ALERT_MSG_NO_APPLICATION_PROTOCOL, "no_application_protocol" },
};

const char *alert_name(const struct options *o, int alert)
{
    const char *added = code_point_name(o->draft, ALERTS, (unsigned) alert);

    if (added != NULL) {
        return added;
    }
    for (size_t i = 0; i < sizeof(alerts) / sizeof(alerts[0]); i++) {
        if (alerts[i].alert == alert) {
            return alerts[i].name;
        }
    }
    return "unknown";
}

int alert_by_name(const char *name)
{
    for (size_t i = 0; i < sizeof(alerts) / sizeof(alerts[0]); i++) {
        if (strcmp(alerts[i].name, name) == 0) {
            return alerts[i].alert;
        }
    }
    return 0;
}
