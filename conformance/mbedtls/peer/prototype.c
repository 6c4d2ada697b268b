/*
 * The proof of concept of 2022: a client attests with the format that it calls
 * 1, in the certificate's place. One extension in ClientHello and
 * EncryptedExtensions; everything that goes wrong is a decode_error.
 */
#include <string.h>

#include "peer.h"

#include "codepoints/mbedtls-poc.h"

#define EVIDENCE_PROPOSAL MBEDTLS_POC_EXTENSION_EVIDENCE_PROPOSAL

enum { NUMERIC = 0, FORMAT_NONE = 0, FORMAT_EAT = 1, MAX_NONCE = 32 };

/* The server sends the extension whether or not it was asked. */
static const mbedtls_ssl_custom_ext extensions[] = {
    { EVIDENCE_PROPOSAL,
      MBEDTLS_SSL_CUSTOM_EXT_CLIENT_HELLO | MBEDTLS_SSL_CUSTOM_EXT_ENCRYPTED_EXTENSIONS,
      MBEDTLS_SSL_CUSTOM_EXT_ENCRYPTED_EXTENSIONS },
};

static const int16_t alerts[FAILURES] = {
    [FAIL_CHOICE_NOT_OFFERED] = MBEDTLS_SSL_ALERT_MSG_DECODE_ERROR,
    [FAIL_OFFER_CHANGED] = MBEDTLS_SSL_ALERT_MSG_DECODE_ERROR,
    [FAIL_NONCE_SIZE] = MBEDTLS_SSL_ALERT_MSG_DECODE_ERROR,
    [FAIL_MALFORMED_CMW] = MBEDTLS_SSL_ALERT_MSG_DECODE_ERROR,
    [FAIL_BINDER_MISMATCH] = MBEDTLS_SSL_ALERT_MSG_DECODE_ERROR,
    [FAIL_TIK_MISMATCH] = MBEDTLS_SSL_ALERT_MSG_DECODE_ERROR,
    [FAIL_APPRAISAL] = MBEDTLS_SSL_ALERT_MSG_DECODE_ERROR,
    [FAIL_FORMAT_MISMATCH] = MBEDTLS_SSL_ALERT_MSG_DECODE_ERROR,
    [FAIL_VERIFIER_MISMATCH] = MBEDTLS_SSL_ALERT_MSG_DECODE_ERROR,
    [FAIL_VERIFIER_UNREACHABLE] = MBEDTLS_SSL_ALERT_MSG_DECODE_ERROR,
    [FAIL_KEY_UNUSABLE] = MBEDTLS_SSL_ALERT_MSG_DECODE_ERROR,
    [FAIL_MISSING] = MBEDTLS_SSL_ALERT_MSG_CERT_REQUIRED,
};

static void write_format(uint16_t format, struct writer *w)
{
    write_number(w, NUMERIC, 1);
    write_number(w, format, 2);
}

static int prototype_write(struct connection *c, int message, unsigned type, size_t entry, struct writer *w)
{
    static const unsigned char nonce[8] = { 0, 1, 2, 3, 4, 5, 6, 7 };
    struct attestation *a = &c->attestations[CLIENT];
    size_t begin;

    (void) type;
    (void) entry;
    if (message == MBEDTLS_SSL_HS_CLIENT_HELLO) {
        if (!c->options->attests[CLIENT]) {
            return MBEDTLS_SSL_CUSTOM_EXT_OMIT;
        }
        begin = write_vector_begin(w, 1);
        write_format(FORMAT_EAT, w);
        write_vector_end(w, 1, begin);
        a->offered = 1;
        return 0;
    }
    write_format(a->chosen ? FORMAT_EAT : FORMAT_NONE, w);
    write_vector(w, 1, nonce, sizeof(nonce));
    return octets_set(&a->nonce, nonce, sizeof(nonce)) != 0 ? MBEDTLS_ERR_SSL_ALLOC_FAILED : 0;
}

static int malformed(struct connection *c, const char *message)
{
    return fail(c, FAIL_MALFORMED_EXTENSION, message, "evidence_proposal is malformed");
}

/* Elements are three octets: only numbers are known. */
static int read_offer(struct connection *c, struct reader r)
{
    struct attestation *a = &c->attestations[CLIENT];
    struct reader list = read_vector(&r, 1);

    if (r.bad || reader_left(&list) == 0) {
        return malformed(c, "client_hello");
    }
    while (reader_left(&list) > 0 && !a->chosen) {
        struct octets element = { (unsigned char *) list.p, 3 };
        uint32_t encoding = read_number(&list, 1), format = read_number(&list, 2);
        if (list.bad) {
            return malformed(c, "client_hello");
        }
        a->offered = 1;
        if (encoding == NUMERIC && format == FORMAT_EAT && c->options->attests[CLIENT] &&
            choose(a, "evidence_proposal", &element) != 0) {
            return MBEDTLS_ERR_SSL_ALLOC_FAILED;
        }
    }
    return 0;
}

/* Octets after the nonce are ignored. */
static int read_choice(struct connection *c, struct reader r)
{
    struct attestation *a = &c->attestations[CLIENT];
    struct octets element = { (unsigned char *) r.p, 3 };
    uint32_t encoding = read_number(&r, 1), format = read_number(&r, 2);
    struct reader nonce = read_vector(&r, 1);

    if (r.bad || encoding != NUMERIC) {
        return malformed(c, "encrypted_extensions");
    }
    if (reader_left(&nonce) > MAX_NONCE) {
        return fail(c, FAIL_NONCE_SIZE, "encrypted_extensions", "the nonce has %zu octets", reader_left(&nonce));
    }
    if (!a->offered || format == FORMAT_NONE) {
        return 0;
    }
    if (format != FORMAT_EAT) {
        return fail(c, FAIL_CHOICE_NOT_OFFERED, "encrypted_extensions", "format %u was not offered", (unsigned) format);
    }
    if (octets_set(&a->nonce, nonce.p, reader_left(&nonce)) != 0) {
        return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    }
    return choose(a, "evidence_proposal", &element);
}

static int prototype_read(struct connection *c, int message, unsigned type, size_t entry, struct reader r)
{
    (void) type;
    (void) entry;
    return message == MBEDTLS_SSL_HS_CLIENT_HELLO ? read_offer(c, r) : read_choice(c, r);
}

static int prototype_done(struct connection *c, int message, int received)
{
    int ret;

    switch (message) {
        case MBEDTLS_SSL_HS_CLIENT_HELLO:
            if (c->attestations[CLIENT].chosen) {
                ask_client(c);
            }
            ret = settle_certificate_types(c);
            return ret != 0 ? ret : check_demand(c, "client_hello");
        case MBEDTLS_SSL_HS_ENCRYPTED_EXTENSIONS:
            return settle_certificate_types(c);
        case MBEDTLS_SSL_HS_CERTIFICATE_REQUEST:
            if (!received && own(c)->chosen) {
                return fail(c, FAIL_CHOICE_WITHOUT_REQUEST, "certificate",
                            "our attestation was chosen, but no CertificateRequest came");
            }
            return 0;
        case MBEDTLS_SSL_HS_CERTIFICATE:
            if (peers(c)->chosen && !peers(c)->judged) {
                return fail(c, FAIL_MISSING, "certificate", "the chosen attestation did not come");
            }
            return 0;
        default:
            return 0;
    }
}

static int prototype_challenge(struct connection *c, struct attestation *a)
{
    (void) c;
    return octets_set(&a->challenge, a->nonce.p, a->nonce.len) != 0 ? MBEDTLS_ERR_SSL_ALLOC_FAILED : 0;
}

static struct code_point code_points[] = {
    CODE_POINT(EXTENSIONS, "evidence_proposal", MBEDTLS_POC_EXTENSION_EVIDENCE_PROPOSAL),
};

const struct draft draft_mbedtls_poc = {
    .id = "mbedtls-poc",
    .extensions = extensions,
    .extension_count = sizeof(extensions) / sizeof(extensions[0]),
    .code_points = code_points,
    .code_point_count = sizeof(code_points) / sizeof(code_points[0]),
    .certificate_type = UNNAMED_CERTIFICATE_TYPE,
    .raw_signature = 1,
    .fit = "pad_right",
    .match = "ignore",
    .alerts = alerts,
    .write = prototype_write,
    .read = prototype_read,
    .done = prototype_done,
    .challenge = prototype_challenge,
};
