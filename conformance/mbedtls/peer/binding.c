/* What Evidence is bound to: the values that binder programs ask for. */
#include <string.h>

#include "mbedtls/hkdf.h"
#include "mbedtls/platform_util.h"

#include "binder.h"
#include "certificate.h"
#include "interpretation.h"
#include "program.h"

/* Whose values are asked for. */
struct inputs {
    struct connection *c;
    const struct attestation *a;
};

static int put(struct text *out, const struct octets *o)
{
    if (o == NULL || o->p == NULL) {
        return PROGRAM_UNDEFINED;
    }
    text_add(out, (const char *) o->p, o->len);
    return PROGRAM_OK;
}

static const struct octets *spki_of(struct connection *c, int role)
{
    const struct attestation *a = of_role(c, (enum role) role);

    if (a->spki.p != NULL) { /* attested alone */
        return &a->spki;
    }
    return role == (int) c->options->role ? &c->own_spki : &c->peer_spki;
}

/* The contents of the BIT STRING of a SubjectPublicKeyInfo, without its first octet. */
static int put_point(struct text *out, const struct octets *spki)
{
    unsigned char *p = spki->p, *end = spki->p + spki->len;
    size_t len;

    if (spki->p == NULL ||
        mbedtls_asn1_get_tag(&p, end, &len, MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE) != 0 ||
        mbedtls_asn1_get_tag(&p, end, &len, MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE) != 0) {
        return PROGRAM_UNDEFINED;
    }
    p += len;
    if (mbedtls_asn1_get_tag(&p, end, &len, MBEDTLS_ASN1_BIT_STRING) != 0 || len < 1) {
        return PROGRAM_UNDEFINED;
    }
    text_add(out, (const char *) p + 1, len - 1);
    return PROGRAM_OK;
}

/* Main Secret = HKDF-Extract(Derive-Secret(Handshake Secret, "derived", ""), 0), which
 * is needed before the library comes to it. */
static int put_main_secret(struct connection *c, struct text *out)
{
    static const unsigned char zero[MBEDTLS_MD_MAX_SIZE];
    const struct octets *handshake = &c->interpretation->secrets[HANDSHAKE_SECRET];
    const mbedtls_md_info_t *md = mbedtls_md_info_from_type(c->hash);
    unsigned char empty[MBEDTLS_MD_MAX_SIZE], derived[MBEDTLS_MD_MAX_SIZE], secret[MBEDTLS_MD_MAX_SIZE];
    size_t len = mbedtls_md_get_size(md);
    int ret = handshake->p == NULL ? PROGRAM_UNDEFINED : PROGRAM_OK;

    if (ret == PROGRAM_OK && (mbedtls_md(md, zero, 0, empty) != 0 ||
        expand_label(c->hash, handshake->p, "derived", empty, len, derived, len) != 0 ||
        mbedtls_hkdf_extract(md, derived, len, zero, len, secret) != 0)) {
        ret = PROGRAM_FAILED;
    }
    if (ret == PROGRAM_OK) {
        text_add(out, (const char *) secret, len);
    }
    mbedtls_platform_zeroize(derived, sizeof(derived));
    mbedtls_platform_zeroize(secret, sizeof(secret));
    return ret;
}

/* The certificate_request_context that the client answers. */
static int put_request_context(struct connection *c, int role, struct text *out)
{
    const struct octets *m = transcript_message(c, MBEDTLS_SSL_HS_CERTIFICATE_REQUEST, 1);
    struct reader r, context;

    if (role != CLIENT || m == NULL) {
        return PROGRAM_UNDEFINED;
    }
    r = read_all(m->p + 4, m->len - 4);
    context = read_vector(&r, 1);
    text_add(out, (const char *) context.p, reader_left(&context));
    return r.bad ? PROGRAM_UNDEFINED : PROGRAM_OK;
}

static int put_nonce(struct connection *c, int role, struct text *out)
{
    const struct attestation *a = of_role(c, (enum role) role);

    return a->chosen ? put(out, &a->nonce) : PROGRAM_UNDEFINED;
}

/* Fields of certificates. */
static int put_field(const struct octets *der, const char *name, struct text *out)
{
    struct certificate_parts p;
    struct octets part;
    const int after = strncmp(name, "not_after", 9) == 0;
    unsigned char seconds[8];
    int64_t n;

    if (der->p == NULL || certificate_split(der, &p) != 0) {
        return PROGRAM_UNDEFINED;
    }
    if (strcmp(name, "serial_number") == 0) {
        return put(out, &p.serial);
    }
    if (strcmp(name, "common_name") == 0) {
        return certificate_common_name(&p.subject, &part) == 0 ? put(out, &part) : PROGRAM_UNDEFINED;
    }
    part = after ? p.not_after : p.not_before;
    if (strcmp(name, "not_before.text") == 0 || strcmp(name, "not_after.text") == 0) {
        return put(out, &part);
    }
    if ((strcmp(name, "not_before.seconds") != 0 && strcmp(name, "not_after.seconds") != 0) ||
        certificate_seconds(&part, after ? p.after_is_general : p.before_is_general, &n) != 0) {
        return PROGRAM_UNDEFINED;
    }
    for (int i = 0; i < 8; i++) {
        seconds[i] = (unsigned char) ((uint64_t) n >> (56 - 8 * i));
    }
    text_add(out, (const char *) seconds, sizeof(seconds));
    return PROGRAM_OK;
}

/* What an attester shows after the handshake takes the place of what the handshake has of it. Returns PROGRAM_..., or -2 where the value is of the handshake. */
static int put_later(const struct attestation *a, const char *name, int role, struct text *out)
{
    const int own = role == (int) a->attester;

    if (strcmp(name, "request_context") == 0) {
        return own && a->later == IN_AUTHENTICATOR ? put(out, &a->context) : PROGRAM_UNDEFINED;
    }
    if (strcmp(name, "nonce") == 0 && a->later == IN_FRAME) {
        return own ? put(out, &a->nonce) : PROGRAM_UNDEFINED;
    }
    if (own && strcmp(name, "spki") == 0) {
        return put(out, &a->spki);
    }
    if (own && strcmp(name, "point") == 0) {
        return put_point(out, &a->spki);
    }
    return own && strcmp(name, "certificate") == 0 ? put(out, &a->certificate) : -2;
}

static int value(void *ctx, const char *name, int role, struct text *octets, uint64_t *number, int *is_number)
{
    static const struct {
        const char *name;
        enum secret secret;
    } secrets[] = {
        { "early_secret", EARLY_SECRET }, { "ecdhe", SHARED_SECRET }, { "handshake_secret", HANDSHAKE_SECRET },
        { "exporter_secret", EXPORTER_SECRET },
    };
    const struct inputs *in = ctx;
    struct connection *c = in->c;

    for (size_t k = 0; k < sizeof(secrets) / sizeof(secrets[0]); k++) {
        if (strcmp(name, secrets[k].name) == 0) {
            return put(octets, &c->interpretation->secrets[secrets[k].secret]);
        }
    }
    if (strcmp(name, "main_secret") == 0) {
        return put_main_secret(c, octets);
    }
    if (strcmp(name, "attester.size") == 0) {
        *is_number = 1;
        *number = c->options->attester_size;
        return *number != 0 ? PROGRAM_OK : PROGRAM_UNDEFINED;
    }
    if (role != CLIENT && role != SERVER) {
        return PROGRAM_UNDEFINED;
    }
    if (in->a->later) {
        const int ret = put_later(in->a, name, role, octets);
        if (ret != -2) {
            return ret;
        }
    }
    if (strcmp(name, "nonce") == 0) {
        return put_nonce(c, role, octets);
    }
    if (strcmp(name, "spki") == 0) {
        return put(octets, spki_of(c, role));
    }
    if (strcmp(name, "point") == 0) {
        return put_point(octets, spki_of(c, role));
    }
    if (strcmp(name, "certificate") == 0) {
        return put(octets, role == (int) c->options->role ? &c->own_certificate : &c->peer_certificate);
    }
    if (strcmp(name, "request_context") == 0) {
        return put_request_context(c, role, octets);
    }
    return put_field(in->a->later && role == (int) in->a->attester ? &in->a->certificate :
                     role == (int) c->options->role ? &c->own_certificate : &c->peer_certificate, name, octets);
}

static int range(void *ctx, const char *end, int excluded, int role, unsigned char *hash)
{
    struct connection *c = ((const struct inputs *) ctx)->c;

    return transcript_hash(c, end, excluded, role, c->hash, hash);
}

/* Runs a program for an attester. */
static int run(struct connection *c, const struct attestation *a, const struct expression *e, const char *what,
               struct octets *out)
{
    struct inputs in = { c, a };
    struct program p = {
        .document = &c->interpretation->profile->document, .hash = c->hash, .attester = a->attester, .ctx = &in,
        .value = value, .range = range
    };
    int ret = program_run(&p, e, out);

    if (ret == PROGRAM_UNDEFINED) {
        return fail(c, FAIL_BINDER_UNDEFINED, "certificate", "the %s is undefined: %s", what, p.reason);
    }
    return ret == PROGRAM_OK ? 0 : MBEDTLS_ERR_SSL_INTERNAL_ERROR;
}

static const struct expression *challenge_of(const struct connection *c, const struct attestation *a)
{
    const struct scheme *s = &c->options->scheme;
    const struct compiled *p = c->interpretation->profile;

    return a->later ? p->later_challenge[s->model] : p->challenge[s->model][s->credential];
}

int interpret_definition(struct connection *c, const struct attestation *a, const char *name, struct octets *out)
{
    char path[1024];
    const struct record *r = text_encode(name, path, sizeof(path)) == 0 ?
                             document_find(&c->interpretation->profile->document, "binder/define/%s", path) : NULL;

    return r != NULL && r->expression != NULL ? run(c, a, r->expression, "definition", out) :
        MBEDTLS_ERR_SSL_INTERNAL_ERROR;
}

int interpret_challenge(struct connection *c, struct attestation *a)
{
    const struct expression *e = challenge_of(c, a);

    return e != NULL ? run(c, a, e, "challenge", &a->challenge) : 0;
}

static void add_member(struct text *t, const char *name, const struct octets *value)
{
    text_json(t, name);
    text_printf(t, ":\"");
    text_base64(t, value->p, value->len);
    text_printf(t, "\"");
}

/* Claims that Evidence beside a certificate carries. */
static int ask_claims(struct connection *c, const struct attestation *a, struct text *request)
{
    const struct compiled *p = c->interpretation->profile;
    int ret = 0;

    if (c->options->scheme.model != EVIDENCE || c->options->scheme.credential != BESIDE_X509 || p->claim_count == 0) {
        return 0;
    }
    text_printf(request, ",\"claims\":[");
    for (size_t k = 0; ret == 0 && k < p->claim_count; k++) {
        struct octets v = { 0 };
        ret = run(c, a, p->claims[k].value, "claim", &v);
        text_printf(request, "%s{\"name\":", k > 0 ? "," : "");
        text_json(request, p->claims[k].name);
        text_printf(request, ",");
        add_member(request, "value", &v);
        text_printf(request, "}");
        octets_free(&v);
    }
    text_printf(request, "]");
    return ret;
}

/* Definitions whose values the Appraiser is given. */
static int ask_values(struct connection *c, const struct attestation *a, struct text *request)
{
    const struct document *d = &c->interpretation->profile->document;
    const struct record *names = document_find(d, "binder/hand_over/values");
    int ret = 0;

    if (names == NULL || names->count == 0 || challenge_of(c, a) == NULL) {
        return 0;
    }
    text_printf(request, ",\"hand_over\":{");
    for (size_t k = 0; ret == 0 && k < names->count; k++) {
        const struct record *r = document_find(d, "binder/define/%s", names->values[k]);
        struct octets v = { 0 };
        if (r == NULL || r->expression == NULL) {
            continue;
        }
        ret = run(c, a, r->expression, "value", &v);
        text_printf(request, "%s", k > 0 ? "," : "");
        add_member(request, names->values[k], &v);
        octets_free(&v);
    }
    text_printf(request, "}");
    return ret;
}

int interpret_ask(struct connection *c, const struct attestation *a, int appraise, struct text *request)
{
    static const char *const of_key[] = { "spki", "point", "certificate", NULL };
    const struct expression *e = challenge_of(c, a);
    int ret = ask_claims(c, a, request);

    if (e != NULL) {
        text_printf(request, ",\"key_bound\":%s",
                    program_needs(&c->interpretation->profile->document, e, of_key) ? "true" : "false");
    }
    return ret == 0 && appraise && c->options->scheme.credential == BESIDE_X509 ? ask_values(c, a, request) : ret;
}
