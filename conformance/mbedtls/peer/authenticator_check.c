/* Validation of exported authenticators of the peer. */
#include "authenticator_state.h"

#include <string.h>

#include "mbedtls/constant_time.h"

struct part {
    unsigned type;
    struct octets whole;            /* a view */
    struct reader body;
};

/* Takes messages apart: no more than one too many. */
static int split(struct authenticators *a, const unsigned char *p, size_t len, struct part *parts, size_t *count)
{
    struct reader r = read_all(p, len);

    for (*count = 0; *count < 4 && reader_left(&r) > 0; (*count)++) {
        struct part *part = &parts[*count];
        part->whole.p = (unsigned char *) r.p;
        part->type = read_number(&r, 1);
        part->body = read_vector(&r, 3);
        if (r.bad) {
            return au_failed(a, "decode.malformed", "message %zu is cut off", *count);
        }
        part->whole.len = (size_t) (r.p - part->whole.p);
    }
    return 0;
}

static void close_request(struct authenticators *a, size_t i)
{
    au_asked_free(&a->open[i]);
    a->open[i] = a->open[--a->open_count];
    memset(&a->open[a->open_count], 0, sizeof(a->open[0]));
}

static int right_length(struct authenticators *a, const struct part *finished)
{
    size_t n = reader_left(&finished->body);

    return n != a->hash_len ? au_failed(a, "decode.malformed", "Finished has %zu octets instead of %zu", n, a->hash_len) : 0;
}

/* Finds the request that the empty authenticator refuses. */
static int check_empty(struct authenticators *a, const struct part *finished, struct authenticator_claim *got)
{
    struct au_keys *k = au_keys(a, !a->config->server);

    if (a->open_count == 0) {
        return au_failed(a, "message.unexpected", "the empty authenticator answers a request, and none is open");
    }
    if (right_length(a, finished) != 0 || k == NULL) {
        return -1;
    }
    for (size_t i = 0; i < a->open_count; i++) {
        unsigned char certificate[HEADER + 1 + 255 + 3], mac[MBEDTLS_MD_MAX_SIZE];
        struct writer w = write_into(certificate, sizeof(certificate));
        struct octets parts[2] = { a->open[i].raw, { certificate, 0 } };
        if (au_write_certificate(a, &w, &a->open[i].context, 1, NULL, got) != 0) {
            return -1;
        }
        parts[1].len = writer_len(&w);
        if (au_mac(a, k, parts, 2, mac) != 0) {
            return -1;
        }
        if (mbedtls_ct_memcmp(mac, finished->body.p, a->hash_len) == 0) {
            got->empty = 1;
            if (octets_set(&got->context, a->open[i].context.p, a->open[i].context.len) != 0) {
                return au_no_memory(a);
            }
            close_request(a, i);
            return 0;
        }
    }
    return au_failed(a, "authentication.finished", "it refuses none of the %zu requests that are open", a->open_count);
}

/* The request that a context belongs to, or the ClientHello. */
static const struct asked *answers(struct authenticators *a, struct reader context, size_t *place)
{
    const struct asked *hello;
    unsigned char sum[32];

    for (*place = 0; *place < a->open_count; (*place)++) {
        if (octets_equal(&a->open[*place].context, context.p, reader_left(&context))) {
            return &a->open[*place];
        }
    }
    if (au_context_unused(a, context.p, reader_left(&context), sum) != 0) {
        return NULL;
    }
    if (a->config->server) {
        au_failed(a, "authenticator.context", "certificate_request_context is that of no open request");
        return NULL;
    }
    hello = au_hello(a);
    if (hello == NULL) {
        au_failed(a, "authenticator.context", "certificate_request_context is that of no open request, and the ClientHello is not known");
    }
    return hello;
}

static int check_entry(struct authenticators *a, const struct asked *q, size_t entry, struct reader list)
{
    struct asked seen = { 0 };

    while (!list.bad && reader_left(&list) > 0) {
        unsigned x = read_number(&list, 2);
        enum authenticator_place place;
        read_vector(&list, 2);
        if (list.bad) {
            break;
        }
        place = au_place(a, x, CERTIFICATE, entry, q);
        if (au_offered(&seen, x)) {
            return au_failed(a, "extension.duplicate", "extension %u appears twice", x);
        }
        if (au_belongs_elsewhere(x) || x == EXT_SERVER_NAME || x == EXT_SIGNATURE_ALGORITHMS ||
            place == PLACE_WRONG_MESSAGE) {
            return au_failed(a, "extension.wrong_message", "extension %u is not one of Certificate", x);
        }
        if (place == PLACE_WRONG_ENTRY) {
            return au_failed(a, "attestation.misplaced", "extension %u is in entry %zu", x, entry);
        }
        if (place == PLACE_UNASKED || (place == PLACE_UNKNOWN && !au_offered(q, x))) {
            return au_failed(a, "extension.unsolicited", "extension %u was not asked for", x);
        }
        if (seen.extension_count < AUTHENTICATOR_EXTENSIONS) {
            seen.extensions[seen.extension_count++] = (uint16_t) x;
        }
    }
    return list.bad ? au_failed(a, "decode.malformed", "extensions of a CertificateEntry") : 0;
}

static int check_entries(struct authenticators *a, const struct asked *q, struct reader list, mbedtls_x509_crt *chain,
                         struct reader *first, struct authenticator_claim *got)
{
    if (!list.bad && reader_left(&list) == 0) {
        return au_failed(a, "decode.malformed", "an authenticator shows a certificate, or is a Finished alone");
    }
    while (!list.bad && reader_left(&list) > 0) {
        struct reader data = read_vector(&list, 3), extensions = read_vector(&list, 2);
        if (list.bad) {
            break;
        }
        if (au_note_certificate(a, data.p, reader_left(&data), got) != 0 ||
            check_entry(a, q, got->chain_count - 1, extensions) != 0) {
            return -1;
        }
        if (got->chain_count == 1) {
            *first = extensions;
        }
        if (mbedtls_x509_crt_parse_der(chain, data.p, reader_left(&data)) != 0) {
            return au_failed(a, "certificate.bad", "entry %zu", got->chain_count - 1);
        }
    }
    return list.bad ? au_failed(a, "decode.malformed", "certificate_list") : 0;
}

static int check_signature(struct authenticators *a, const struct asked *q, const struct part *verify, mbedtls_x509_crt *chain,
                           const unsigned char *hash, struct authenticator_claim *got)
{
    struct reader body = verify->body;
    unsigned number = read_number(&body, 2);
    struct reader signature = read_vector(&body, 2);
    const struct au_scheme *s = au_scheme(number);

    if (!reader_done(&body)) {
        return au_failed(a, body.bad ? "decode.malformed" : "decode.trailing_octets", "CertificateVerify");
    }
    if (!au_scheme_in(q, number) || s == NULL || !au_scheme_fits(s, &chain->pk)) {
        return au_failed(a, "parameter.illegal", "scheme %#06x was not asked for, or does not fit the key", number);
    }
    if (!au_verifies(a, s, &chain->pk, hash, signature)) {
        return au_failed(a, "authentication.signature", "the signature does not verify");
    }
    got->schemes[0] = (uint16_t) number;
    got->scheme_count = 1;
    return 0;
}

static int check_proof(struct authenticators *a, const struct part *parts, mbedtls_x509_crt *chain, struct reader *first,
                       struct authenticator_claim *got)
{
    struct reader body = parts[0].body, context = read_vector(&body, 1), list = read_vector(&body, 3);
    unsigned char hash[MBEDTLS_MD_MAX_SIZE], mac[MBEDTLS_MD_MAX_SIZE];
    struct octets hashed[3] = { { NULL, 0 }, parts[0].whole, parts[1].whole };
    const struct asked *q;
    struct au_keys *k;
    size_t place;

    if (!reader_done(&body)) {
        return au_failed(a, body.bad ? "decode.malformed" : "decode.trailing_octets", "Certificate");
    }
    q = answers(a, context, &place);
    if (q == NULL || check_entries(a, q, list, chain, first, got) != 0) {
        return -1;
    }
    k = au_keys(a, !a->config->server);
    hashed[0] = q->raw;
    if (k == NULL || au_hash(a, k, hashed, 2, hash) != 0 || check_signature(a, q, &parts[1], chain, hash, got) != 0 ||
        right_length(a, &parts[2]) != 0 || au_mac(a, k, hashed, 3, mac) != 0) {
        return -1;
    }
    if (mbedtls_ct_memcmp(mac, parts[2].body.p, a->hash_len) != 0) {
        return au_failed(a, "authentication.finished", "Finished does not match the authenticator");
    }
    got->spontaneous = q->raw.len == 0;
    if (octets_set(&got->context, context.p, reader_left(&context)) != 0) {
        return au_no_memory(a);
    }
    if (got->spontaneous) {
        return au_context_use(a, context.p, reader_left(&context));
    }
    close_request(a, place);
    return 0;
}

int authenticators_check(struct authenticators *a, const unsigned char *p, size_t len, struct authenticator_claim *got)
{
    static const unsigned order[3] = { CERTIFICATE, CERTIFICATE_VERIFY, FINISHED };
    const struct authenticator_application *app = &a->config->application;
    struct part parts[4];
    struct reader first = { 0 };
    mbedtls_x509_crt chain;
    size_t count;
    int ret;

    if (len > AUTHENTICATOR_OCTETS) {
        return au_failed(a, "limit.capacity", "an authenticator of %zu octets; at most %d are taken", len, AUTHENTICATOR_OCTETS);
    }
    if (split(a, p, len, parts, &count) != 0) {
        return -1;
    }
    if (count == 1 && parts[0].type == FINISHED) {
        return check_empty(a, &parts[0], got);
    }
    for (size_t i = 0; i < 3; i++) {
        if (i == count) {
            return au_failed(a, "decode.malformed", "the authenticator ends where message %u belongs", order[i]);
        }
        if (parts[i].type != order[i]) {
            return au_failed(a, "message.unexpected", "message %u where %u belongs", parts[i].type, order[i]);
        }
    }
    if (count > 3) {
        return au_failed(a, "message.unexpected", "message %u behind Finished", parts[3].type);
    }
    mbedtls_x509_crt_init(&chain);
    ret = check_proof(a, parts, &chain, &first, got);
    if (ret == 0 && app->take != NULL && app->take(app->context, got, &chain, first) != 0) {
        ret = au_failed(a, "internal", "the application refuses");
    }
    mbedtls_x509_crt_free(&chain);
    return ret;
}
