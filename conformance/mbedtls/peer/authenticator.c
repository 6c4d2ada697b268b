/* Exported authenticators: contexts, exported values, extensions and schemes. */
#include "authenticator_state.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mbedtls/platform_util.h"
#include "mbedtls/rsa.h"
#include "mbedtls/sha256.h"

int au_failed(struct authenticators *a, const char *failure, const char *format, ...)
{
    va_list args;

    a->failure = failure;
    va_start(args, format);
    vsnprintf(a->reason, sizeof(a->reason), format, args);
    va_end(args);
    return -1;
}

int au_no_memory(struct authenticators *a)
{
    return au_failed(a, "internal", "out of memory");
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

void au_asked_free(struct asked *q)
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
        au_asked_free(&a->open[i]);
    }
    au_asked_free(&a->hello);
    mbedtls_platform_zeroize(a->keys, sizeof(a->keys));
    free(a->used);
    free(a);
}

/* Exported values. */

struct au_keys *au_keys(struct authenticators *a, int server)
{
    static const char *const labels[2][2] = {
        { "EXPORTER-client authenticator handshake context", "EXPORTER-client authenticator finished key" },
        { "EXPORTER-server authenticator handshake context", "EXPORTER-server authenticator finished key" }
    };
    struct au_keys *k = &a->keys[server];

    if (!k->there) {
        const struct authenticator_config *c = a->config;
        if (c->export(c->exporter, labels[server][0], k->context, a->hash_len) != 0 ||
            c->export(c->exporter, labels[server][1], k->finished, a->hash_len) != 0) {
            au_failed(a, "internal", "the exporter failed");
            return NULL;
        }
        k->there = 1;
    }
    return k;
}

/* The hash of the Handshake Context and up to three messages. */
int au_hash(struct authenticators *a, const struct au_keys *k, const struct octets *parts, size_t count, unsigned char *out)
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
    return ret != 0 ? au_failed(a, "internal", "the hash failed") : 0;
}

int au_mac(struct authenticators *a, const struct au_keys *k, const struct octets *parts, size_t count, unsigned char *out)
{
    unsigned char sum[MBEDTLS_MD_MAX_SIZE];

    if (au_hash(a, k, parts, count, sum) != 0) {
        return -1;
    }
    if (mbedtls_md_hmac(mbedtls_md_info_from_type(a->config->hash), k->finished, a->hash_len, sum, a->hash_len, out) != 0) {
        return au_failed(a, "internal", "HMAC failed");
    }
    return 0;
}

/* Contexts. */

int au_context_unused(struct authenticators *a, const unsigned char *p, size_t len, unsigned char *sum)
{
    if (mbedtls_sha256(p, len, sum, 0) != 0) {
        return au_failed(a, "internal", "the hash failed");
    }
    for (size_t i = 0; i < a->used_count; i++) {
        if (memcmp(a->used[i], sum, 32) == 0) {
            return au_failed(a, "authenticator.context", "certificate_request_context was used before on this connection");
        }
    }
    if (a->used_count == AUTHENTICATOR_CONTEXTS) {
        return au_failed(a, "limit.capacity", "%d contexts were used", AUTHENTICATOR_CONTEXTS);
    }
    return 0;
}

int au_context_use(struct authenticators *a, const unsigned char *p, size_t len)
{
    unsigned char sum[32];

    if (au_context_unused(a, p, len, sum) != 0) {
        return -1;
    }
    memcpy(a->used[a->used_count++], sum, 32);
    return 0;
}

/* Extensions. */

/* Those that RFC 8446 section 4.2 knows and that are in neither CertificateRequest nor
 * Certificate. */
int au_belongs_elsewhere(unsigned type)
{
    static const uint8_t types[] = { 1, 10, 14, 15, 16, 19, 20, 21, 41, 42, 43, 44, 45, 49, 51 };

    return type < 256 && memchr(types, (int) type, sizeof(types)) != NULL;
}

int au_offered(const struct asked *q, unsigned type)
{
    for (size_t i = 0; i < q->extension_count; i++) {
        if (q->extensions[i] == type) {
            return 1;
        }
    }
    return 0;
}

enum authenticator_place au_place(const struct authenticators *a, unsigned type, int message, size_t entry, const struct asked *q)
{
    const struct authenticator_application *app = &a->config->application;

    return app->place == NULL ? PLACE_UNKNOWN : app->place(app->context, type, message, entry, q->extensions, q->extension_count);
}

static int read_schemes(struct authenticators *a, struct reader body, struct asked *q)
{
    struct reader list = read_vector(&body, 2);

    if (!reader_done(&body) || reader_left(&list) == 0 || reader_left(&list) % 2 != 0) {
        return au_failed(a, "decode.malformed", "signature_algorithms");
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
int au_read_offer(struct authenticators *a, struct reader list, struct asked *q, unsigned char type)
{
    while (!list.bad && reader_left(&list) > 0) {
        unsigned x = read_number(&list, 2);
        struct reader body = read_vector(&list, 2);
        if (list.bad) {
            break;
        }
        if (au_offered(q, x)) {
            return au_failed(a, "extension.duplicate", "extension %u appears twice", x);
        }
        if (q->extension_count == AUTHENTICATOR_EXTENSIONS) {
            return au_failed(a, "limit.capacity", "more than %d extensions", AUTHENTICATOR_EXTENSIONS);
        }
        q->extensions[q->extension_count++] = (uint16_t) x;
        if (x == EXT_SIGNATURE_ALGORITHMS && read_schemes(a, body, q) != 0) {
            return -1;
        }
        if (type == CLIENT_HELLO) {
            continue;
        }
        if (au_belongs_elsewhere(x) || (x == EXT_SERVER_NAME && type == CERTIFICATE_REQUEST) ||
            au_place(a, x, type, 0, q) == PLACE_WRONG_MESSAGE) {
            return au_failed(a, "extension.wrong_message", "extension %u is not one of a request", x);
        }
        if ((x == EXT_STATUS_REQUEST || x == EXT_SCT) && reader_left(&body) > 0) {
            return au_failed(a, "decode.trailing_octets", "extension %u has a body", x);
        }
    }
    return list.bad ? au_failed(a, "decode.malformed", "extensions") : 0;
}

/* What a ClientHello offered, once. */
const struct asked *au_hello(struct authenticators *a)
{
    struct reader r = read_all(a->config->client_hello.p, a->config->client_hello.len);
    struct reader body, list;

    if (a->hello_read) {
        return &a->hello;
    }
    if (a->config->client_hello.len == 0 || read_number(&r, 1) != CLIENT_HELLO) {
        au_failed(a, "configuration", "the ClientHello is not known");
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
    if (!reader_done(&body) || au_read_offer(a, list, &a->hello, CLIENT_HELLO) != 0) {
        au_failed(a, "decode.malformed", "the ClientHello cannot be read");
        return NULL;
    }
    a->hello_read = 1;
    return &a->hello;
}

/* Signature schemes. */

static const struct au_scheme schemes[] = {
    { 0x0403, MBEDTLS_PK_ECKEY, MBEDTLS_ECP_DP_SECP256R1, MBEDTLS_MD_SHA256 },
    { 0x0503, MBEDTLS_PK_ECKEY, MBEDTLS_ECP_DP_SECP384R1, MBEDTLS_MD_SHA384 },
    { 0x0603, MBEDTLS_PK_ECKEY, MBEDTLS_ECP_DP_SECP521R1, MBEDTLS_MD_SHA512 },
    { 0x0804, MBEDTLS_PK_RSA, MBEDTLS_ECP_DP_NONE, MBEDTLS_MD_SHA256 },
    { 0x0805, MBEDTLS_PK_RSA, MBEDTLS_ECP_DP_NONE, MBEDTLS_MD_SHA384 },
    { 0x0806, MBEDTLS_PK_RSA, MBEDTLS_ECP_DP_NONE, MBEDTLS_MD_SHA512 },
};

const struct au_scheme *au_scheme(unsigned number)
{
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (schemes[i].number == number) {
            return &schemes[i];
        }
    }
    return NULL;
}

int au_scheme_fits(const struct au_scheme *s, mbedtls_pk_context *key)
{
    if (!mbedtls_pk_can_do(key, s->key)) {
        return 0;
    }
    return s->key == MBEDTLS_PK_RSA || mbedtls_ecp_keypair_get_group_id(mbedtls_pk_ec(*key)) == s->curve;
}

int au_scheme_in(const struct asked *q, unsigned number)
{
    for (size_t i = 0; i < q->scheme_count; i++) {
        if (q->schemes[i] == number) {
            return 1;
        }
    }
    return 0;
}

/* What is signed (RFC 9261 section 5.2.2), hashed. */
static int signed_hash(const struct au_scheme *s, const unsigned char *hash, size_t hash_len, unsigned char *out)
{
    static const char string[] = "Exported Authenticator"; /* with its zero octet */
    unsigned char content[64 + sizeof(string) + MBEDTLS_MD_MAX_SIZE];

    memset(content, ' ', 64);
    memcpy(content + 64, string, sizeof(string));
    memcpy(content + 64 + sizeof(string), hash, hash_len);
    return mbedtls_md(mbedtls_md_info_from_type(s->hash), content, 64 + sizeof(string) + hash_len, out);
}

int au_sign(struct authenticators *a, const struct au_scheme *s, const unsigned char *hash, unsigned char *out, size_t *len)
{
    const struct authenticator_config *c = a->config;
    unsigned char sum[MBEDTLS_MD_MAX_SIZE];
    size_t n = mbedtls_md_get_size(mbedtls_md_info_from_type(s->hash));
    int ret = signed_hash(s, hash, a->hash_len, sum);

    if (ret == 0) {
        ret = mbedtls_pk_sign_ext(s->key == MBEDTLS_PK_RSA ? MBEDTLS_PK_RSASSA_PSS : MBEDTLS_PK_ECDSA, c->key, s->hash, sum, n,
                                  out, MAX_SIGNATURE, len, c->random, c->rng);
    }
    return ret != 0 ? au_failed(a, "internal", "signing: -%#x", (unsigned) -ret) : 0;
}

int au_verifies(struct authenticators *a, const struct au_scheme *s, mbedtls_pk_context *key, const unsigned char *hash,
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
