#include "program.h"

#include <stdlib.h>
#include <string.h>

#include "mbedtls/hkdf.h"
#include "mbedtls/platform_util.h"

#include "binder.h"

enum { MAX_STEPS = 20000, MAX_CALLS = 64, MAX_VALUE = 131072, MAX_SIZE = 255 * MBEDTLS_MD_MAX_SIZE };

/* A value: octets, or a number. */
struct value {
    int is_number;
    uint64_t number;
    struct text octets;
};

static void value_free(struct value *v)
{
    if (v->octets.p != NULL) {
        mbedtls_platform_zeroize(v->octets.p, v->octets.size);
    }
    text_free(&v->octets);
    memset(v, 0, sizeof(*v));
}

static int undefined(struct program *p, const char *reason)
{
    if (p->reason == NULL) {
        p->reason = reason;
    }
    return PROGRAM_UNDEFINED;
}

static size_t hash_size(const struct program *p)
{
    return mbedtls_md_get_size(mbedtls_md_info_from_type(p->hash));
}

static const unsigned char *octets_of(const struct value *v)
{
    return v->octets.p != NULL ? (const unsigned char *) v->octets.p : (const unsigned char *) "";
}

static int put(struct value *v, const unsigned char *p, size_t len)
{
    if (len > MAX_VALUE - v->octets.len) {
        return PROGRAM_UNDEFINED;
    }
    text_add(&v->octets, (const char *) p, len);
    return v->octets.failed ? PROGRAM_FAILED : PROGRAM_OK;
}

static int put_number(struct value *v, uint64_t number)
{
    v->is_number = 1;
    v->number = number;
    return PROGRAM_OK;
}

static int role_of(const struct program *p, enum expression_role role)
{
    return role == THE_ROLE ? p->attester : role == ROLE_CLIENT ? 0 : role == ROLE_SERVER ? 1 : -1;
}

static int run(struct program *p, const struct expression *e, struct value *out);

/* ---- arguments ---- */

static int want_octets(struct program *p, const struct expression *e, struct value *v)
{
    int ret = run(p, e, v);

    return ret != PROGRAM_OK ? ret : v->is_number ? undefined(p, "a number stands for octets") : PROGRAM_OK;
}

static int want_number(struct program *p, const struct expression *e, uint64_t *number)
{
    struct value v = { 0 };
    int ret = run(p, e, &v);

    if (ret == PROGRAM_OK && !v.is_number) {
        ret = undefined(p, "octets stand for a number");
    }
    *number = v.number;
    value_free(&v);
    return ret;
}

/* The hash of octets, or of the messages of a range. */
static int want_hash(struct program *p, const struct expression *e, unsigned char *hash)
{
    struct value v = { 0 };
    int ret;

    while (e->kind == EXPR_CALL && strcmp(e->name, "per_role") == 0 && e->count == 2) {
        e = e->arguments[p->attester == 0 ? 0 : 1]; /* which may be a range */
    }
    if (e->kind == EXPR_RANGE) {
        ret = p->range(p->ctx, e->name, e->excluded, e->role == ROLE_PHA ? -2 : role_of(p, e->role), hash);
        return ret == PROGRAM_UNDEFINED ? undefined(p, "a message of the range has not come") : ret;
    }
    ret = want_octets(p, e, &v);
    if (ret == PROGRAM_OK && mbedtls_md(mbedtls_md_info_from_type(p->hash), octets_of(&v), v.octets.len, hash) != 0) {
        ret = PROGRAM_FAILED;
    }
    value_free(&v);
    return ret;
}

/* ---- functions of the key schedule ---- */

/* HKDF-Expand-Label. */
static int expand(struct program *p, const struct value *secret, const struct value *label,
                  const unsigned char *context, size_t context_len, uint64_t len, struct value *out)
{
    unsigned char *buffer;
    char name[250];
    int ret;

    if (label->octets.len < 1 || label->octets.len > 249 || memchr(octets_of(label), 0, label->octets.len) != NULL) {
        return undefined(p, "a label has no length from 1 to 249");
    }
    if (context_len > 255) {
        return undefined(p, "a context is longer than 255 octets");
    }
    if (len < 1 || len > 255 * hash_size(p)) {
        return undefined(p, "a length is not possible");
    }
    if (secret->octets.len < hash_size(p)) {
        return undefined(p, "a secret is shorter than the hash");
    }
    memcpy(name, label->octets.p, label->octets.len);
    name[label->octets.len] = '\0';
    buffer = malloc((size_t) len);
    ret = buffer == NULL ? PROGRAM_FAILED :
          expand_label_of(p->hash, octets_of(secret), secret->octets.len, name, context, context_len, buffer,
                          (size_t) len) != 0 ?
          PROGRAM_FAILED : put(out, buffer, (size_t) len);
    if (buffer != NULL) {
        mbedtls_platform_zeroize(buffer, (size_t) len);
    }
    free(buffer);
    return ret;
}

static int derive(struct program *p, const struct value *secret, const struct value *label,
                  const unsigned char *hash, struct value *out)
{
    return expand(p, secret, label, hash, hash_size(p), hash_size(p), out);
}

static int call_expand_label(struct program *p, const struct expression *e, struct value *a, struct value *out)
{
    uint64_t len;
    int ret = want_octets(p, e->arguments[2], &a[2]);

    ret = ret == PROGRAM_OK ? want_number(p, e->arguments[3], &len) : ret;
    return ret == PROGRAM_OK ? expand(p, &a[0], &a[1], octets_of(&a[2]), a[2].octets.len, len, out) : ret;
}

static int call_derive_secret(struct program *p, const struct expression *e, struct value *a, struct value *out)
{
    unsigned char hash[MBEDTLS_MD_MAX_SIZE];
    int ret = want_hash(p, e->arguments[2], hash);

    return ret == PROGRAM_OK ? derive(p, &a[0], &a[1], hash, out) : ret;
}

static int call_exporter(struct program *p, const struct expression *e, struct value *a, struct value *out)
{
    static const struct expression nothing = { .kind = EXPR_OCTETS };
    unsigned char empty[MBEDTLS_MD_MAX_SIZE], context[MBEDTLS_MD_MAX_SIZE];
    struct value label = { 0 };
    uint64_t len;
    int ret = want_hash(p, &nothing, empty);

    ret = ret == PROGRAM_OK ? derive(p, &a[0], &a[1], empty, &a[3]) : ret;
    ret = ret == PROGRAM_OK ? want_hash(p, e->arguments[2], context) : ret;
    ret = ret == PROGRAM_OK ? want_number(p, e->arguments[3], &len) : ret;
    ret = ret == PROGRAM_OK ? put(&label, (const unsigned char *) "exporter", 8) : ret;
    ret = ret == PROGRAM_OK ? expand(p, &a[3], &label, context, hash_size(p), len, out) : ret;
    value_free(&label);
    return ret;
}

static int call_extract(struct program *p, const struct expression *e, struct value *a, struct value *out)
{
    unsigned char prk[MBEDTLS_MD_MAX_SIZE];
    int ret;

    (void) e;
    ret = mbedtls_hkdf_extract(mbedtls_md_info_from_type(p->hash), octets_of(&a[0]), a[0].octets.len,
                               octets_of(&a[1]), a[1].octets.len, prk) != 0 ? PROGRAM_FAILED :
          put(out, prk, hash_size(p));
    mbedtls_platform_zeroize(prk, sizeof(prk));
    return ret;
}

/* ---- functions of octets ---- */

static int call_hash(struct program *p, const struct expression *e, struct value *a, struct value *out)
{
    unsigned char hash[MBEDTLS_MD_MAX_SIZE];
    int ret = want_hash(p, e->arguments[0], hash);

    (void) a;
    return ret == PROGRAM_OK ? put(out, hash, hash_size(p)) : ret;
}

static int call_digest(struct program *p, const struct expression *e, struct value *a, struct value *out)
{
    static const struct {
        const char *name;
        mbedtls_md_type_t type;
    } digests[] = {
        { "SHA-256", MBEDTLS_MD_SHA256 }, { "SHA-384", MBEDTLS_MD_SHA384 }, { "SHA-512", MBEDTLS_MD_SHA512 },
        { "SHA3-256", MBEDTLS_MD_SHA3_256 }, { "SHA3-384", MBEDTLS_MD_SHA3_384 }, { "SHA3-512", MBEDTLS_MD_SHA3_512 },
    };
    unsigned char hash[MBEDTLS_MD_MAX_SIZE];

    (void) e;
    for (size_t i = 0; i < sizeof(digests) / sizeof(digests[0]); i++) {
        const mbedtls_md_info_t *md = mbedtls_md_info_from_type(digests[i].type);
        size_t len = strlen(digests[i].name);
        if (a[0].octets.len == len && memcmp(a[0].octets.p, digests[i].name, len) == 0 && md != NULL) {
            return mbedtls_md(md, octets_of(&a[1]), a[1].octets.len, hash) != 0 ? PROGRAM_FAILED :
                   put(out, hash, mbedtls_md_get_size(md));
        }
    }
    return undefined(p, "a hash has a name that is not known");
}

static int call_concat(struct program *p, const struct expression *e, struct value *a, struct value *out)
{
    int ret = PROGRAM_OK;

    (void) a;
    for (size_t i = 0; ret == PROGRAM_OK && i < e->count; i++) {
        struct value v = { 0 };
        ret = want_octets(p, e->arguments[i], &v);
        ret = ret == PROGRAM_OK ? put(out, octets_of(&v), v.octets.len) : ret;
        value_free(&v);
    }
    return ret;
}

static int call_len(struct program *p, const struct expression *e, struct value *a, struct value *out)
{
    (void) p;
    (void) e;
    return put_number(out, a[0].octets.len);
}

static int call_within(struct program *p, const struct expression *e, struct value *a, struct value *out)
{
    uint64_t min, max;
    int ret = want_number(p, e->arguments[1], &min);

    ret = ret == PROGRAM_OK ? want_number(p, e->arguments[2], &max) : ret;
    if (ret == PROGRAM_OK && (a[0].octets.len < min || a[0].octets.len > max)) {
        ret = undefined(p, "a value is shorter or longer than allowed");
    }
    return ret == PROGRAM_OK ? put(out, octets_of(&a[0]), a[0].octets.len) : ret;
}

static int call_cut(struct program *p, const struct expression *e, struct value *a, struct value *out)
{
    uint64_t offset, len;
    int ret = want_number(p, e->arguments[1], &offset);

    ret = ret == PROGRAM_OK ? want_number(p, e->arguments[2], &len) : ret;
    if (ret == PROGRAM_OK && (offset > a[0].octets.len || len > a[0].octets.len - offset)) {
        ret = undefined(p, "there are not so many octets to cut");
    }
    return ret == PROGRAM_OK ? put(out, octets_of(&a[0]) + offset, (size_t) len) : ret;
}

static int pad(struct program *p, const struct expression *e, struct value *a, struct value *out, int left)
{
    static const unsigned char zero[64];
    uint64_t len;
    int ret = want_number(p, e->arguments[1], &len);

    if (ret == PROGRAM_OK && (a[0].octets.len > len || len > MAX_VALUE)) {
        ret = undefined(p, "a value is longer than it is padded to");
    }
    ret = ret == PROGRAM_OK && !left ? put(out, octets_of(&a[0]), a[0].octets.len) : ret;
    for (uint64_t missing = ret == PROGRAM_OK ? len - a[0].octets.len : 0; ret == PROGRAM_OK && missing > 0; ) {
        size_t n = missing < sizeof(zero) ? (size_t) missing : sizeof(zero);
        ret = put(out, zero, n);
        missing -= n;
    }
    return ret == PROGRAM_OK && left ? put(out, octets_of(&a[0]), a[0].octets.len) : ret;
}

static int call_pad_left(struct program *p, const struct expression *e, struct value *a, struct value *out)
{
    return pad(p, e, a, out, 1);
}

static int call_pad_right(struct program *p, const struct expression *e, struct value *a, struct value *out)
{
    return pad(p, e, a, out, 0);
}

static int call_hex(struct program *p, const struct expression *e, struct value *a, struct value *out)
{
    (void) p;
    (void) e;
    text_hex(&out->octets, octets_of(&a[0]), a[0].octets.len);
    return out->octets.failed ? PROGRAM_FAILED : PROGRAM_OK;
}

static int call_base64(struct program *p, const struct expression *e, struct value *a, struct value *out)
{
    (void) p;
    (void) e;
    text_base64(&out->octets, octets_of(&a[0]), a[0].octets.len);
    return out->octets.failed ? PROGRAM_FAILED : PROGRAM_OK;
}

static int call_base64url(struct program *p, const struct expression *e, struct value *a, struct value *out)
{
    int ret = call_base64(p, e, a, out);

    for (size_t i = 0; i < out->octets.len; i++) {
        char *c = &out->octets.p[i];
        *c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
    }
    while (out->octets.len > 0 && out->octets.p[out->octets.len - 1] == '=') {
        out->octets.len--;
    }
    return ret;
}

/* ---- CBOR (RFC 8949), deterministic (4.2.1) ---- */

static int cbor_head(struct value *out, int major, uint64_t n)
{
    text_cbor_head(&out->octets, major, n);
    return out->octets.failed ? PROGRAM_FAILED : PROGRAM_OK;
}

static int cbor_value(struct value *out, const struct value *v, int major)
{
    int ret = v->is_number ? cbor_head(out, 0, v->number) : cbor_head(out, major, v->octets.len);

    return ret == PROGRAM_OK && !v->is_number ? put(out, octets_of(v), v->octets.len) : ret;
}

enum { BYTES = 2, TEXT = 3, ARRAY = 4, MAP = 5 };

static int cbor_argument(struct program *p, const struct expression *e, int major, struct value *out)
{
    struct value v = { 0 };
    int ret = run(p, e, &v);

    ret = ret == PROGRAM_OK ? cbor_value(out, &v, major) : ret;
    value_free(&v);
    return ret;
}

static int call_cbor_array(struct program *p, const struct expression *e, struct value *a, struct value *out)
{
    int ret = cbor_head(out, ARRAY, e->count);

    (void) a;
    for (size_t i = 0; ret == PROGRAM_OK && i < e->count; i++) {
        ret = cbor_argument(p, e->arguments[i], BYTES, out);
    }
    return ret;
}

static int before(const struct value *a, const struct value *b)
{
    size_t len = a->octets.len < b->octets.len ? a->octets.len : b->octets.len;
    int order = memcmp(octets_of(a), octets_of(b), len);

    return order != 0 ? order < 0 : a->octets.len < b->octets.len;
}

/* Keys in the order of their encodings. */
static int call_cbor_map(struct program *p, const struct expression *e, struct value *a, struct value *out)
{
    struct value keys[64];
    size_t order[64], count = e->count / 2;
    int ret = cbor_head(out, MAP, count);

    (void) a;
    memset(keys, 0, sizeof(keys));
    for (size_t i = 0; ret == PROGRAM_OK && i < count; i++) {
        size_t at = i;
        ret = cbor_argument(p, e->arguments[2 * i], TEXT, &keys[i]);
        while (at > 0 && before(&keys[i], &keys[order[at - 1]])) {
            order[at] = order[at - 1];
            at--;
        }
        order[at] = i;
    }
    for (size_t i = 0; ret == PROGRAM_OK && i < count; i++) {
        ret = put(out, octets_of(&keys[order[i]]), keys[order[i]].octets.len);
        ret = ret == PROGRAM_OK ? cbor_argument(p, e->arguments[2 * order[i] + 1], BYTES, out) : ret;
    }
    for (size_t i = 0; i < count; i++) {
        value_free(&keys[i]);
    }
    return ret;
}

static int call_per_role(struct program *p, const struct expression *e, struct value *a, struct value *out)
{
    (void) a;
    return run(p, e->arguments[p->attester == 0 ? 0 : 1], out);
}

/* ---- all of them ---- */

static const struct function {
    const char *name;
    size_t min, max;               /* arguments */
    size_t evaluated;              /* the first ones, to octets, before the call */
    int (*call)(struct program *p, const struct expression *e, struct value *a, struct value *out);
} functions[] = {
    { "expand_label", 4, 4, 2, call_expand_label },
    { "derive_secret", 3, 3, 2, call_derive_secret },
    { "exporter", 4, 4, 2, call_exporter },
    { "extract", 2, 2, 2, call_extract },
    { "hash", 1, 1, 0, call_hash },
    { "digest", 2, 2, 2, call_digest },
    { "concat", 0, 64, 0, call_concat },
    { "len", 1, 1, 1, call_len },
    { "within", 3, 3, 1, call_within },
    { "cut", 3, 3, 1, call_cut },
    { "pad_left", 2, 2, 1, call_pad_left },
    { "pad_right", 2, 2, 1, call_pad_right },
    { "hex", 1, 1, 1, call_hex },
    { "base64", 1, 1, 1, call_base64 },
    { "base64url", 1, 1, 1, call_base64url },
    { "cbor_array", 0, 64, 0, call_cbor_array },
    { "cbor_map", 0, 128, 0, call_cbor_map },
    { "per_role", 2, 2, 0, call_per_role },
};

static const struct function *function_named(const char *name)
{
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        if (strcmp(functions[i].name, name) == 0) {
            return &functions[i];
        }
    }
    return NULL;
}

static int call(struct program *p, const struct expression *e, struct value *out)
{
    const struct function *f = function_named(e->name);
    struct value a[4];
    int ret = PROGRAM_OK;

    if (f == NULL || e->count < f->min || e->count > f->max) {
        return undefined(p, "there is no such function");
    }
    memset(a, 0, sizeof(a));
    for (size_t i = 0; ret == PROGRAM_OK && i < f->evaluated; i++) {
        ret = want_octets(p, e->arguments[i], &a[i]);
    }
    ret = ret == PROGRAM_OK ? f->call(p, e, a, out) : ret;
    for (size_t i = 0; i < 4; i++) {
        value_free(&a[i]);
    }
    return ret;
}

/* The definition with another role, perhaps. */
static int run_definition(struct program *p, const struct expression *e, struct value *out)
{
    char name[1024];
    const struct record *r = text_encode(e->name, name, sizeof(name)) == 0 ?
                             document_find(p->document, "binder/define/%s", name) : NULL;
    int attester = p->attester, ret;

    if (r == NULL || r->kind != RECORD_EXPRESSION) {
        return undefined(p, "there is no such definition");
    }
    if (role_of(p, e->role) >= 0) {
        p->attester = role_of(p, e->role);
    }
    ret = run(p, r->expression, out);
    p->attester = attester;
    return ret;
}

static int run_value(struct program *p, const struct expression *e, struct value *out)
{
    static const unsigned char zero[MBEDTLS_MD_MAX_SIZE];
    int ret;

    if (strcmp(e->name, "zero") == 0) {
        return put(out, zero, hash_size(p));
    }
    if (strcmp(e->name, "Hash.length") == 0) {
        return put_number(out, hash_size(p));
    }
    ret = p->value(p->ctx, e->name, role_of(p, e->role), &out->octets, &out->number, &out->is_number);
    return ret == PROGRAM_UNDEFINED ? undefined(p, e->name) : out->octets.failed ? PROGRAM_FAILED : ret;
}

static int run(struct program *p, const struct expression *e, struct value *out)
{
    int ret;

    if (++p->steps > MAX_STEPS || p->depth >= MAX_CALLS) {
        return undefined(p, "the binder is too deep or takes too many steps");
    }
    p->depth++;
    switch (e->kind) {
        case EXPR_OCTETS: ret = put(out, e->octets.p, e->octets.len); break;
        case EXPR_INTEGER: ret = put_number(out, e->number); break;
        case EXPR_VALUE: ret = run_value(p, e, out); break;
        case EXPR_DEFINE: ret = run_definition(p, e, out); break;
        case EXPR_CALL: ret = call(p, e, out); break;
        default: ret = undefined(p, "a range stands where no hash is taken");
    }
    p->depth--;
    return ret;
}

int program_run(struct program *p, const struct expression *e, struct octets *out)
{
    struct value v = { 0 };
    int ret;

    p->steps = p->depth = 0;
    p->reason = NULL;
    ret = want_octets(p, e, &v);
    if (ret == PROGRAM_OK && octets_set(out, octets_of(&v), v.octets.len) != 0) {
        ret = PROGRAM_FAILED;
    }
    value_free(&v);
    return ret;
}

static int needs(const struct document *d, const struct expression *e, const char *const *names, size_t *steps)
{
    if (++*steps > MAX_STEPS) {
        return 1;
    }
    if (e->kind == EXPR_VALUE) {
        for (; *names != NULL; names++) {
            if (strcmp(*names, e->name) == 0) {
                return 1;
            }
        }
    }
    if (e->kind == EXPR_DEFINE) {
        char name[1024];
        const struct record *r = text_encode(e->name, name, sizeof(name)) == 0 ?
                                 document_find(d, "binder/define/%s", name) : NULL;
        return r != NULL && r->expression != NULL && needs(d, r->expression, names, steps);
    }
    for (size_t i = 0; i < e->count; i++) {
        if (needs(d, e->arguments[i], names, steps)) {
            return 1;
        }
    }
    return 0;
}

int program_needs(const struct document *d, const struct expression *e, const char *const *names)
{
    size_t steps = 0;

    return needs(d, e, names, &steps);
}
