#include "authenticator.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mbedtls/constant_time.h"
#include "mbedtls/ecp.h"
#include "mbedtls/md.h"
#include "mbedtls/platform_util.h"
#include "mbedtls/rsa.h"
#include "mbedtls/sha256.h"

enum {
    CLIENT_HELLO = 1, CERTIFICATE = 11, CERTIFICATE_REQUEST = 13, CERTIFICATE_VERIFY = 15,
    CLIENT_CERTIFICATE_REQUEST = 17, FINISHED = 20
};
enum { EXT_SERVER_NAME = 0, EXT_STATUS_REQUEST = 5, EXT_SIGNATURE_ALGORITHMS = 13, EXT_SCT = 18 };
enum { HEADER = 4, MAX_SIGNATURE = 1024 };

/* A request of ours that is not answered yet, or what a spontaneous authenticator may
 * have: the extensions and schemes that were offered. */
struct asked {
    struct octets context;
    struct octets raw;              /* empty: no request */
    uint16_t extensions[AUTHENTICATOR_EXTENSIONS];
    size_t extension_count;
    uint16_t schemes[AUTHENTICATOR_SCHEMES];
    size_t scheme_count;
};

/* The values of RFC 9261 section 5.1 for a sender. */
struct keys {
    int there;
    unsigned char context[MBEDTLS_MD_MAX_SIZE], finished[MBEDTLS_MD_MAX_SIZE];
};

struct authenticators {
    const struct authenticator_config *config;
    size_t hash_len;
    struct keys keys[2];            /* by the role of the sender: 1 is the server */
    struct asked open[AUTHENTICATOR_OPEN];
    size_t open_count;
    struct asked hello;             /* of the ClientHello */
    int hello_read;
    unsigned char (*used)[32];      /* SHA-256 of each context */
    size_t used_count;
    const char *failure;
    char reason[256];
};

static int __attribute__((format(printf, 3, 4))) failed(struct authenticators *a, const char *failure, const char *format, ...)
{
    va_list args;

    a->failure = failure;
    va_start(args, format);
    vsnprintf(a->reason, sizeof(a->reason), format, args);
    va_end(args);
    return -1;
}

static int no_memory(struct authenticators *a)
{
    return failed(a, "internal", "out of memory");
}

const char *authenticators_failure(const struct authenticators *a)
{
    return a->failure != NULL ? a->failure : "internal";
}

const char *authenticators_reason(const struct authenticators *a)
{
    return a->reason;
}

void authenticator_claim_free(struct authenticator_claim *c)
{
    octets_free(&c->context);
}

static void asked_free(struct asked *q)
{
    octets_free(&q->context);
    octets_free(&q->raw);
    memset(q, 0, sizeof(*q));
}

struct authenticators *authenticators_new(const struct authenticator_config *config)
{
    struct authenticators *a = calloc(1, sizeof(*a));

    if (a == NULL) {
        return NULL;
    }
    a->config = config;
    a->hash_len = mbedtls_md_get_size(mbedtls_md_info_from_type(config->hash));
    a->used = calloc(AUTHENTICATOR_CONTEXTS, sizeof(*a->used));
    if (a->used == NULL) {
        free(a);
        return NULL;
    }
    return a;
}

void authenticators_free(struct authenticators *a)
{
    if (a == NULL) {
        return;
    }
    for (size_t i = 0; i < a->open_count; i++) {
        asked_free(&a->open[i]);
    }
    asked_free(&a->hello);
    mbedtls_platform_zeroize(a->keys, sizeof(a->keys));
    free(a->used);
    free(a);
}

/* Exported values. */

static struct keys *keys_of(struct authenticators *a, int server)
{
    static const char *const labels[2][2] = {
        { "EXPORTER-client authenticator handshake context", "EXPORTER-client authenticator finished key" },
        { "EXPORTER-server authenticator handshake context", "EXPORTER-server authenticator finished key" }
    };
    struct keys *k = &a->keys[server];

    if (!k->there) {
        const struct authenticator_config *c = a->config;
        if (c->export(c->exporter, labels[server][0], k->context, a->hash_len) != 0 ||
            c->export(c->exporter, labels[server][1], k->finished, a->hash_len) != 0) {
            failed(a, "internal", "the exporter failed");
            return NULL;
        }
        k->there = 1;
    }
    return k;
}

/* The hash of the Handshake Context and up to three messages. */
static int hash_all(struct authenticators *a, const struct keys *k, const struct octets *parts, size_t count, unsigned char *out)
{
    mbedtls_md_context_t md;
    int ret;

    mbedtls_md_init(&md);
    ret = mbedtls_md_setup(&md, mbedtls_md_info_from_type(a->config->hash), 0);
    if (ret == 0) {
        ret = mbedtls_md_starts(&md);
    }
    if (ret == 0) {
        ret = mbedtls_md_update(&md, k->context, a->hash_len);
    }
    for (size_t i = 0; ret == 0 && i < count; i++) {
        if (parts[i].len > 0) {
            ret = mbedtls_md_update(&md, parts[i].p, parts[i].len);
        }
    }
    if (ret == 0) {
        ret = mbedtls_md_finish(&md, out);
    }
    mbedtls_md_free(&md);
    return ret != 0 ? failed(a, "internal", "the hash failed") : 0;
}

static int mac_of(struct authenticators *a, const struct keys *k, const struct octets *parts, size_t count, unsigned char *out)
{
    unsigned char sum[MBEDTLS_MD_MAX_SIZE];

    if (hash_all(a, k, parts, count, sum) != 0) {
        return -1;
    }
    if (mbedtls_md_hmac(mbedtls_md_info_from_type(a->config->hash), k->finished, a->hash_len, sum, a->hash_len, out) != 0) {
        return failed(a, "internal", "HMAC failed");
    }
    return 0;
}

/* Contexts. */

static int context_unused(struct authenticators *a, const unsigned char *p, size_t len, unsigned char *sum)
{
    if (mbedtls_sha256(p, len, sum, 0) != 0) {
        return failed(a, "internal", "the hash failed");
    }
    for (size_t i = 0; i < a->used_count; i++) {
        if (memcmp(a->used[i], sum, 32) == 0) {
            return failed(a, "authenticator.context", "certificate_request_context was used before on this connection");
        }
    }
    if (a->used_count == AUTHENTICATOR_CONTEXTS) {
        return failed(a, "limit.capacity", "%d contexts were used", AUTHENTICATOR_CONTEXTS);
    }
    return 0;
}

static int context_use(struct authenticators *a, const unsigned char *p, size_t len)
{
    unsigned char sum[32];

    if (context_unused(a, p, len, sum) != 0) {
        return -1;
    }
    memcpy(a->used[a->used_count++], sum, 32);
    return 0;
}

/* Extensions. */

/* Those that RFC 8446 section 4.2 knows and that are in neither CertificateRequest nor
 * Certificate. */
static int belongs_elsewhere(unsigned type)
{
    static const uint8_t types[] = { 1, 10, 14, 15, 16, 19, 20, 21, 41, 42, 43, 44, 45, 49, 51 };

    return type < 256 && memchr(types, (int) type, sizeof(types)) != NULL;
}

static int was_offered(const struct asked *q, unsigned type)
{
    for (size_t i = 0; i < q->extension_count; i++) {
        if (q->extensions[i] == type) {
            return 1;
        }
    }
    return 0;
}

static int read_schemes(struct authenticators *a, struct reader body, struct asked *q)
{
    struct reader list = read_vector(&body, 2);

    if (!reader_done(&body) || reader_left(&list) == 0 || reader_left(&list) % 2 != 0) {
        return failed(a, "decode.malformed", "signature_algorithms");
    }
    while (reader_left(&list) > 0) {
        uint16_t scheme = (uint16_t) read_number(&list, 2);
        if (q->scheme_count < AUTHENTICATOR_SCHEMES) { /* the others are not used */
            q->schemes[q->scheme_count++] = scheme;
        }
    }
    return 0;
}

/* Takes down the extensions of a request, or of a ClientHello, which may have any. */
static int read_offer(struct authenticators *a, struct reader list, struct asked *q, unsigned char type)
{
    while (!list.bad && reader_left(&list) > 0) {
        unsigned x = read_number(&list, 2);
        struct reader body = read_vector(&list, 2);
        if (list.bad) {
            break;
        }
        if (was_offered(q, x)) {
            return failed(a, "extension.duplicate", "extension %u appears twice", x);
        }
        if (q->extension_count == AUTHENTICATOR_EXTENSIONS) {
            return failed(a, "limit.capacity", "more than %d extensions", AUTHENTICATOR_EXTENSIONS);
        }
        q->extensions[q->extension_count++] = (uint16_t) x;
        if (x == EXT_SIGNATURE_ALGORITHMS && read_schemes(a, body, q) != 0) {
            return -1;
        }
        if (type == CLIENT_HELLO) {
            continue;
        }
        if (belongs_elsewhere(x) || (x == EXT_SERVER_NAME && type == CERTIFICATE_REQUEST)) {
            return failed(a, "extension.wrong_message", "extension %u is not one of a request", x);
        }
        if ((x == EXT_STATUS_REQUEST || x == EXT_SCT) && reader_left(&body) > 0) {
            return failed(a, "decode.trailing_octets", "extension %u has a body", x);
        }
    }
    return list.bad ? failed(a, "decode.malformed", "extensions") : 0;
}

/* What a ClientHello offered, once. */
static const struct asked *offered_by_hello(struct authenticators *a)
{
    struct reader r = read_all(a->config->client_hello.p, a->config->client_hello.len);
    struct reader body, list;

    if (a->hello_read) {
        return &a->hello;
    }
    if (a->config->client_hello.len == 0 || read_number(&r, 1) != CLIENT_HELLO) {
        failed(a, "configuration", "the ClientHello is not known");
        return NULL;
    }
    body = read_vector(&r, 3);
    for (int i = 0; i < 34; i++) { /* legacy_version, random */
        read_number(&body, 1);
    }
    read_vector(&body, 1);
    read_vector(&body, 2);
    read_vector(&body, 1);
    list = read_vector(&body, 2);
    if (!reader_done(&body) || read_offer(a, list, &a->hello, CLIENT_HELLO) != 0) {
        failed(a, "decode.malformed", "the ClientHello cannot be read");
        return NULL;
    }
    a->hello_read = 1;
    return &a->hello;
}

/* Signature schemes. */

static const struct scheme_of {
    uint16_t number;
    mbedtls_pk_type_t key;
    mbedtls_ecp_group_id curve;
    mbedtls_md_type_t hash;
} schemes[] = {
    { 0x0403, MBEDTLS_PK_ECKEY, MBEDTLS_ECP_DP_SECP256R1, MBEDTLS_MD_SHA256 },
    { 0x0503, MBEDTLS_PK_ECKEY, MBEDTLS_ECP_DP_SECP384R1, MBEDTLS_MD_SHA384 },
    { 0x0603, MBEDTLS_PK_ECKEY, MBEDTLS_ECP_DP_SECP521R1, MBEDTLS_MD_SHA512 },
    { 0x0804, MBEDTLS_PK_RSA, MBEDTLS_ECP_DP_NONE, MBEDTLS_MD_SHA256 },
    { 0x0805, MBEDTLS_PK_RSA, MBEDTLS_ECP_DP_NONE, MBEDTLS_MD_SHA384 },
    { 0x0806, MBEDTLS_PK_RSA, MBEDTLS_ECP_DP_NONE, MBEDTLS_MD_SHA512 },
};

static const struct scheme_of *scheme_numbered(unsigned number)
{
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (schemes[i].number == number) {
            return &schemes[i];
        }
    }
    return NULL;
}

static int scheme_fits(const struct scheme_of *s, mbedtls_pk_context *key)
{
    if (!mbedtls_pk_can_do(key, s->key)) {
        return 0;
    }
    return s->key == MBEDTLS_PK_RSA || mbedtls_ecp_keypair_get_group_id(mbedtls_pk_ec(*key)) == s->curve;
}

static int scheme_in(const struct asked *q, unsigned number)
{
    for (size_t i = 0; i < q->scheme_count; i++) {
        if (q->schemes[i] == number) {
            return 1;
        }
    }
    return 0;
}

/* What is signed (RFC 9261 section 5.2.2), hashed. */
static int signed_hash(const struct scheme_of *s, const unsigned char *hash, size_t hash_len, unsigned char *out)
{
    static const char string[] = "Exported Authenticator"; /* with its zero octet */
    unsigned char content[64 + sizeof(string) + MBEDTLS_MD_MAX_SIZE];

    memset(content, ' ', 64);
    memcpy(content + 64, string, sizeof(string));
    memcpy(content + 64 + sizeof(string), hash, hash_len);
    return mbedtls_md(mbedtls_md_info_from_type(s->hash), content, 64 + sizeof(string) + hash_len, out);
}

static int sign(struct authenticators *a, const struct scheme_of *s, const unsigned char *hash, unsigned char *out, size_t *len)
{
    const struct authenticator_config *c = a->config;
    unsigned char sum[MBEDTLS_MD_MAX_SIZE];
    size_t n = mbedtls_md_get_size(mbedtls_md_info_from_type(s->hash));
    int ret = signed_hash(s, hash, a->hash_len, sum);

    if (ret == 0) {
        ret = mbedtls_pk_sign_ext(s->key == MBEDTLS_PK_RSA ? MBEDTLS_PK_RSASSA_PSS : MBEDTLS_PK_ECDSA, c->key, s->hash, sum, n,
                                  out, MAX_SIGNATURE, len, c->random, c->rng);
    }
    return ret != 0 ? failed(a, "internal", "signing: -%#x", (unsigned) -ret) : 0;
}

static int verifies(struct authenticators *a, const struct scheme_of *s, mbedtls_pk_context *key, const unsigned char *hash,
                    struct reader signature)
{
    const mbedtls_pk_rsassa_pss_options pss = { s->hash, (int) mbedtls_md_get_size(mbedtls_md_info_from_type(s->hash)) };
    unsigned char sum[MBEDTLS_MD_MAX_SIZE];
    size_t n = mbedtls_md_get_size(mbedtls_md_info_from_type(s->hash));
    int rsa = s->key == MBEDTLS_PK_RSA;

    return signed_hash(s, hash, a->hash_len, sum) == 0 &&
           mbedtls_pk_verify_ext(rsa ? MBEDTLS_PK_RSASSA_PSS : MBEDTLS_PK_ECDSA, rsa ? &pss : NULL, key, s->hash, sum, n,
                                 signature.p, reader_left(&signature)) == 0;
}

/* Messages. */

/*
 * struct {
 *     opaque certificate_request_context<0..2^8-1>;
 *     Extension extensions<2..2^16-1>;
 * } CertificateRequest, ClientCertificateRequest;
 */
static int read_request(struct authenticators *a, const unsigned char *p, size_t len, struct asked *q,
                        struct authenticator_claim *claim)
{
    struct reader r = read_all(p, len), body, context, list;
    unsigned type = read_number(&r, 1), due = a->config->server ? CLIENT_CERTIFICATE_REQUEST : CERTIFICATE_REQUEST;

    body = read_vector(&r, 3);
    if (r.bad || len > AUTHENTICATOR_OCTETS) {
        return failed(a, r.bad ? "decode.malformed" : "limit.capacity", "a request of %zu octets", len);
    }
    if (type != due || !reader_done(&r)) {
        return failed(a, "message.unexpected", "message %u where one of type %u belongs, and nothing behind it", type, due);
    }
    context = read_vector(&body, 1);
    list = read_vector(&body, 2);
    if (!reader_done(&body)) {
        return failed(a, body.bad ? "decode.malformed" : "decode.trailing_octets", "the request");
    }
    if (read_offer(a, list, q, (unsigned char) type) != 0) {
        return -1;
    }
    if (!was_offered(q, EXT_SIGNATURE_ALGORITHMS)) {
        return failed(a, "extension.missing", "signature_algorithms is missing in the request");
    }
    if (octets_set(&q->context, context.p, reader_left(&context)) != 0 || octets_set(&q->raw, p, len) != 0 ||
        octets_set(&claim->context, context.p, reader_left(&context)) != 0) {
        return no_memory(a);
    }
    claim->type = (unsigned char) type;
    claim->extension_count = q->extension_count;
    memcpy(claim->extensions, q->extensions, sizeof(claim->extensions));
    claim->scheme_count = q->scheme_count;
    memcpy(claim->schemes, q->schemes, sizeof(claim->schemes));
    return 0;
}

int authenticators_request(struct authenticators *a, const unsigned char *context, size_t len, struct octets *out,
                           struct authenticator_claim *made)
{
    static const uint16_t wanted[] = { 0x0403, 0x0503, 0x0804, 0x0805 };
    unsigned char buffer[512];
    struct writer w = write_into(buffer, sizeof(buffer));
    struct asked *q;
    size_t message, list, body, own;

    if (a->open_count == AUTHENTICATOR_OPEN) {
        return failed(a, "limit.capacity", "%d requests are open", AUTHENTICATOR_OPEN);
    }
    if (len > 255) {
        return failed(a, "configuration", "a context of %zu octets; at most 255 fit", len);
    }
    if (context_use(a, context, len) != 0) {
        return -1;
    }
    write_number(&w, a->config->server ? CERTIFICATE_REQUEST : CLIENT_CERTIFICATE_REQUEST, 1);
    message = write_vector_begin(&w, 3);
    write_vector(&w, 1, context, len);
    list = write_vector_begin(&w, 2);
    write_number(&w, EXT_SIGNATURE_ALGORITHMS, 2);
    body = write_vector_begin(&w, 2);
    own = write_vector_begin(&w, 2);
    q = &a->open[a->open_count];
    memset(q, 0, sizeof(*q));
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        write_number(&w, wanted[i], 2);
        q->schemes[q->scheme_count++] = wanted[i];
    }
    write_vector_end(&w, 2, own);
    write_vector_end(&w, 2, body);
    write_vector_end(&w, 2, list);
    write_vector_end(&w, 3, message);
    q->extensions[q->extension_count++] = EXT_SIGNATURE_ALGORITHMS;
    if (w.bad || octets_set(&q->context, context, len) != 0 || octets_set(&q->raw, w.start, writer_len(&w)) != 0 ||
        octets_set(out, w.start, writer_len(&w)) != 0 || octets_set(&made->context, context, len) != 0) {
        asked_free(q);
        return no_memory(a);
    }
    made->type = buffer[0];
    made->extension_count = q->extension_count;
    memcpy(made->extensions, q->extensions, sizeof(made->extensions));
    made->scheme_count = q->scheme_count;
    memcpy(made->schemes, q->schemes, sizeof(made->schemes));
    a->open_count++;
    return 0;
}

static int note_certificate(struct authenticators *a, const unsigned char *p, size_t len, struct authenticator_claim *claim)
{
    if (claim->chain_count == AUTHENTICATOR_ENTRIES) {
        return failed(a, "limit.capacity", "more than %d certificates", AUTHENTICATOR_ENTRIES);
    }
    if (mbedtls_sha256(p, len, claim->chain[claim->chain_count++], 0) != 0) {
        return failed(a, "internal", "the hash failed");
    }
    return 0;
}

static int write_certificate(struct authenticators *a, struct writer *w, const struct octets *context, int empty,
                             struct authenticator_claim *made)
{
    size_t message, list;

    write_number(w, CERTIFICATE, 1);
    message = write_vector_begin(w, 3);
    write_vector(w, 1, context->p, context->len);
    list = write_vector_begin(w, 3);
    for (mbedtls_x509_crt *crt = a->config->chain; !empty && crt != NULL && crt->raw.p != NULL; crt = crt->next) {
        write_vector(w, 3, crt->raw.p, crt->raw.len);
        write_number(w, 0, 2); /* no extensions */
        if (note_certificate(a, crt->raw.p, crt->raw.len, made) != 0) {
            return -1;
        }
    }
    write_vector_end(w, 3, list);
    write_vector_end(w, 3, message);
    return w->bad ? failed(a, "limit.own", "the certificates do not fit") : 0;
}

static int write_finished(struct authenticators *a, struct writer *w, const struct keys *k, const struct octets *parts, size_t count)
{
    unsigned char mac[MBEDTLS_MD_MAX_SIZE];

    if (mac_of(a, k, parts, count, mac) != 0) {
        return -1;
    }
    write_number(w, FINISHED, 1);
    write_vector(w, 3, mac, a->hash_len);
    return w->bad ? failed(a, "limit.own", "Finished does not fit") : 0;
}

/* The empty authenticator (section 6): Finished, over a Certificate without entries that
 * is not sent. */
static int write_empty(struct authenticators *a, const struct asked *q, struct octets *out, struct authenticator_claim *made)
{
    unsigned char certificate[HEADER + 1 + 255 + 3], finished[HEADER + MBEDTLS_MD_MAX_SIZE];
    struct writer hashed = write_into(certificate, sizeof(certificate)), w = write_into(finished, sizeof(finished));
    struct keys *k = keys_of(a, a->config->server);
    struct octets parts[2] = { q->raw, { certificate, 0 } };

    if (k == NULL || write_certificate(a, &hashed, &q->context, 1, made) != 0) {
        return -1;
    }
    parts[1].len = writer_len(&hashed);
    made->empty = 1;
    if (write_finished(a, &w, k, parts, 2) != 0) {
        return -1;
    }
    return octets_set(out, w.start, writer_len(&w)) != 0 ? no_memory(a) : 0;
}

/* Certificate, CertificateVerify and Finished (section 5.2). */
static int write_proof(struct authenticators *a, const struct asked *q, const struct scheme_of *s, struct octets *out,
                       struct authenticator_claim *made)
{
    unsigned char *buffer = malloc(AUTHENTICATOR_OCTETS), hash[MBEDTLS_MD_MAX_SIZE], signature[MAX_SIGNATURE];
    struct writer w = write_into(buffer, buffer != NULL ? AUTHENTICATOR_OCTETS : 0);
    struct keys *k = keys_of(a, a->config->server);
    struct octets parts[3] = { q->raw, { buffer, 0 }, { NULL, 0 } };
    size_t len, body;
    int ret = -1;

    if (buffer == NULL) {
        return no_memory(a);
    }
    if (k == NULL || write_certificate(a, &w, &q->context, 0, made) != 0) {
        goto end;
    }
    parts[1].len = writer_len(&w);
    if (hash_all(a, k, parts, 2, hash) != 0 || sign(a, s, hash, signature, &len) != 0) {
        goto end;
    }
    parts[2].p = w.p;
    write_number(&w, CERTIFICATE_VERIFY, 1);
    body = write_vector_begin(&w, 3);
    write_number(&w, s->number, 2);
    write_vector(&w, 2, signature, len);
    write_vector_end(&w, 3, body);
    parts[2].len = (size_t) (w.p - parts[2].p);
    if (write_finished(a, &w, k, parts, 3) != 0) {
        goto end;
    }
    made->schemes[0] = s->number;
    made->scheme_count = 1;
    ret = octets_set(out, w.start, writer_len(&w)) != 0 ? no_memory(a) : 0;
end:
    free(buffer);
    return ret;
}

/* The first scheme that was offered and fits our key. */
static const struct scheme_of *choose(const struct authenticators *a, const struct asked *q)
{
    if (a->config->chain == NULL || a->config->chain->raw.p == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < q->scheme_count; i++) {
        const struct scheme_of *s = scheme_numbered(q->schemes[i]);
        if (s != NULL && scheme_fits(s, a->config->key)) {
            return s;
        }
    }
    return NULL;
}

int authenticators_answer(struct authenticators *a, const unsigned char *request, size_t len, int refuse, struct octets *out,
                          struct authenticator_claim *asked, struct authenticator_claim *made)
{
    struct asked q = { 0 };
    const struct scheme_of *s;
    int ret = -1;

    if (read_request(a, request, len, &q, asked) != 0 || context_use(a, q.context.p, q.context.len) != 0) {
        goto end;
    }
    if (octets_set(&made->context, q.context.p, q.context.len) != 0) {
        no_memory(a);
        goto end;
    }
    s = choose(a, &q);
    ret = refuse || s == NULL ? write_empty(a, &q, out, made) : write_proof(a, &q, s, out, made);
end:
    asked_free(&q);
    return ret;
}

int authenticators_spontaneous(struct authenticators *a, const unsigned char *context, size_t len, struct octets *out,
                               struct authenticator_claim *made)
{
    const struct asked *hello;
    const struct scheme_of *s;
    struct asked q;
    int ret;

    if (!a->config->server) {
        return failed(a, "configuration", "only a server makes an authenticator that answers no request");
    }
    if (len > 255 || (hello = offered_by_hello(a)) == NULL) {
        return len > 255 ? failed(a, "configuration", "a context of %zu octets; at most 255 fit", len) : -1;
    }
    q = *hello;
    memset(&q.context, 0, sizeof(q.context));
    s = choose(a, &q);
    if (s == NULL) {
        return failed(a, "negotiation.signature_scheme", "no scheme of the ClientHello fits our key");
    }
    if (context_use(a, context, len) != 0) {
        return -1;
    }
    if (octets_set(&q.context, context, len) != 0 || octets_set(&made->context, context, len) != 0) {
        octets_free(&q.context);
        return no_memory(a);
    }
    made->spontaneous = 1;
    ret = write_proof(a, &q, s, out, made);
    octets_free(&q.context);
    return ret;
}

/* Validation. */

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
            return failed(a, "decode.malformed", "message %zu is cut off", *count);
        }
        part->whole.len = (size_t) (r.p - part->whole.p);
    }
    return 0;
}

static void close_request(struct authenticators *a, size_t i)
{
    asked_free(&a->open[i]);
    a->open[i] = a->open[--a->open_count];
    memset(&a->open[a->open_count], 0, sizeof(a->open[0]));
}

static int right_length(struct authenticators *a, const struct part *finished)
{
    size_t n = reader_left(&finished->body);

    return n != a->hash_len ? failed(a, "decode.malformed", "Finished has %zu octets instead of %zu", n, a->hash_len) : 0;
}

/* Finds the request that the empty authenticator refuses. */
static int check_empty(struct authenticators *a, const struct part *finished, struct authenticator_claim *got)
{
    struct keys *k = keys_of(a, !a->config->server);

    if (a->open_count == 0) {
        return failed(a, "message.unexpected", "the empty authenticator answers a request, and none is open");
    }
    if (right_length(a, finished) != 0 || k == NULL) {
        return -1;
    }
    for (size_t i = 0; i < a->open_count; i++) {
        unsigned char certificate[HEADER + 1 + 255 + 3], mac[MBEDTLS_MD_MAX_SIZE];
        struct writer w = write_into(certificate, sizeof(certificate));
        struct octets parts[2] = { a->open[i].raw, { certificate, 0 } };
        if (write_certificate(a, &w, &a->open[i].context, 1, got) != 0) {
            return -1;
        }
        parts[1].len = writer_len(&w);
        if (mac_of(a, k, parts, 2, mac) != 0) {
            return -1;
        }
        if (mbedtls_ct_memcmp(mac, finished->body.p, a->hash_len) == 0) {
            got->empty = 1;
            if (octets_set(&got->context, a->open[i].context.p, a->open[i].context.len) != 0) {
                return no_memory(a);
            }
            close_request(a, i);
            return 0;
        }
    }
    return failed(a, "authentication.finished", "it refuses none of the %zu requests that are open", a->open_count);
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
    if (context_unused(a, context.p, reader_left(&context), sum) != 0) {
        return NULL;
    }
    if (a->config->server) {
        failed(a, "authenticator.context", "certificate_request_context is that of no open request");
        return NULL;
    }
    hello = offered_by_hello(a);
    if (hello == NULL) {
        failed(a, "authenticator.context", "certificate_request_context is that of no open request, and the ClientHello is not known");
    }
    return hello;
}

static int check_entry(struct authenticators *a, const struct asked *q, struct reader list)
{
    struct asked seen = { 0 };

    while (!list.bad && reader_left(&list) > 0) {
        unsigned x = read_number(&list, 2);
        read_vector(&list, 2);
        if (list.bad) {
            break;
        }
        if (was_offered(&seen, x)) {
            return failed(a, "extension.duplicate", "extension %u appears twice", x);
        }
        if (belongs_elsewhere(x) || x == EXT_SERVER_NAME || x == EXT_SIGNATURE_ALGORITHMS) {
            return failed(a, "extension.wrong_message", "extension %u is not one of Certificate", x);
        }
        if (!was_offered(q, x)) {
            return failed(a, "extension.unsolicited", "extension %u was not asked for", x);
        }
        if (seen.extension_count < AUTHENTICATOR_EXTENSIONS) {
            seen.extensions[seen.extension_count++] = (uint16_t) x;
        }
    }
    return list.bad ? failed(a, "decode.malformed", "extensions of a CertificateEntry") : 0;
}

static int check_entries(struct authenticators *a, const struct asked *q, struct reader list, mbedtls_x509_crt *chain,
                         struct authenticator_claim *got)
{
    if (!list.bad && reader_left(&list) == 0) {
        return failed(a, "decode.malformed", "an authenticator shows a certificate, or is a Finished alone");
    }
    while (!list.bad && reader_left(&list) > 0) {
        struct reader data = read_vector(&list, 3), extensions = read_vector(&list, 2);
        if (list.bad) {
            break;
        }
        if (note_certificate(a, data.p, reader_left(&data), got) != 0 || check_entry(a, q, extensions) != 0) {
            return -1;
        }
        if (mbedtls_x509_crt_parse_der(chain, data.p, reader_left(&data)) != 0) {
            return failed(a, "certificate.bad", "entry %zu", got->chain_count - 1);
        }
    }
    return list.bad ? failed(a, "decode.malformed", "certificate_list") : 0;
}

static int check_signature(struct authenticators *a, const struct asked *q, const struct part *verify, mbedtls_x509_crt *chain,
                           const unsigned char *hash, struct authenticator_claim *got)
{
    struct reader body = verify->body;
    unsigned number = read_number(&body, 2);
    struct reader signature = read_vector(&body, 2);
    const struct scheme_of *s = scheme_numbered(number);

    if (!reader_done(&body)) {
        return failed(a, body.bad ? "decode.malformed" : "decode.trailing_octets", "CertificateVerify");
    }
    if (!scheme_in(q, number) || s == NULL || !scheme_fits(s, &chain->pk)) {
        return failed(a, "parameter.illegal", "scheme %#06x was not asked for, or does not fit the key", number);
    }
    if (!verifies(a, s, &chain->pk, hash, signature)) {
        return failed(a, "authentication.signature", "the signature does not verify");
    }
    got->schemes[0] = (uint16_t) number;
    got->scheme_count = 1;
    return 0;
}

static int check_proof(struct authenticators *a, const struct part *parts, mbedtls_x509_crt *chain, struct authenticator_claim *got)
{
    struct reader body = parts[0].body, context = read_vector(&body, 1), list = read_vector(&body, 3);
    unsigned char hash[MBEDTLS_MD_MAX_SIZE], mac[MBEDTLS_MD_MAX_SIZE];
    struct octets hashed[3] = { { NULL, 0 }, parts[0].whole, parts[1].whole };
    const struct asked *q;
    struct keys *k;
    size_t place;

    if (!reader_done(&body)) {
        return failed(a, body.bad ? "decode.malformed" : "decode.trailing_octets", "Certificate");
    }
    q = answers(a, context, &place);
    if (q == NULL || check_entries(a, q, list, chain, got) != 0) {
        return -1;
    }
    k = keys_of(a, !a->config->server);
    hashed[0] = q->raw;
    if (k == NULL || hash_all(a, k, hashed, 2, hash) != 0 || check_signature(a, q, &parts[1], chain, hash, got) != 0 ||
        right_length(a, &parts[2]) != 0 || mac_of(a, k, hashed, 3, mac) != 0) {
        return -1;
    }
    if (mbedtls_ct_memcmp(mac, parts[2].body.p, a->hash_len) != 0) {
        return failed(a, "authentication.finished", "Finished does not match the authenticator");
    }
    got->spontaneous = q->raw.len == 0;
    if (octets_set(&got->context, context.p, reader_left(&context)) != 0) {
        return no_memory(a);
    }
    if (got->spontaneous) {
        return context_use(a, context.p, reader_left(&context));
    }
    close_request(a, place);
    return 0;
}

int authenticators_check(struct authenticators *a, const unsigned char *p, size_t len, struct authenticator_claim *got)
{
    static const unsigned order[3] = { CERTIFICATE, CERTIFICATE_VERIFY, FINISHED };
    struct part parts[4];
    mbedtls_x509_crt chain;
    size_t count;
    int ret;

    if (len > AUTHENTICATOR_OCTETS) {
        return failed(a, "limit.capacity", "an authenticator of %zu octets; at most %d are taken", len, AUTHENTICATOR_OCTETS);
    }
    if (split(a, p, len, parts, &count) != 0) {
        return -1;
    }
    if (count == 1 && parts[0].type == FINISHED) {
        return check_empty(a, &parts[0], got);
    }
    for (size_t i = 0; i < 3; i++) {
        if (i == count) {
            return failed(a, "decode.malformed", "the authenticator ends where message %u belongs", order[i]);
        }
        if (parts[i].type != order[i]) {
            return failed(a, "message.unexpected", "message %u where %u belongs", parts[i].type, order[i]);
        }
    }
    if (count > 3) {
        return failed(a, "message.unexpected", "message %u behind Finished", parts[3].type);
    }
    mbedtls_x509_crt_init(&chain);
    ret = check_proof(a, parts, &chain, got);
    mbedtls_x509_crt_free(&chain);
    return ret;
}
