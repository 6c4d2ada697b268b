/* Evidence in fields of X.509 certificates, which are made for each connection. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mbedtls/oid.h"
#include "mbedtls/x509_crt.h"

#include "certificate.h"
#include "interpretation.h"

enum { MAX_CERTIFICATE = 1 << 14, MAX_NAMES = 256, LIFETIME = 24 * 60 * 60 };

/* ---- values in a field ---- */

static size_t value_count(const struct x509_field *x)
{
    return x->array != NULL ? x->array->count : 1;
}

static const char *value_name(const struct x509_field *x, size_t at)
{
    return x->array != NULL ? x->array->values[at] : x->content;
}

/* The content of a field as it is wrapped. */
static int content_of(struct connection *c, const struct attestation *a, const struct x509_field *x, struct text *out)
{
    struct text inner = { 0 };
    int ret = 0;

    if (x->tagged) {
        text_cbor_head(&inner, 6, x->tag);
    }
    if (x->array != NULL) {
        text_cbor_head(&inner, 4, x->array->count);
    }
    for (size_t i = 0; ret == 0 && i < value_count(x); i++) {
        struct octets v = { 0 };
        const int payload = strcmp(value_name(x, i), "payload") == 0;
        ret = payload ? octets_set(&v, a->payload.p, a->payload.len) : interpret_definition(c, a, value_name(x, i), &v);
        if (x->tagged || x->array != NULL) {
            text_cbor_head(&inner, 2, v.len);
        }
        text_add(&inner, (char *) v.p, v.len);
        octets_free(&v);
    }
    if (x->octet_string) {
        text_der_head(out, MBEDTLS_ASN1_OCTET_STRING, inner.len);
    }
    text_add(out, inner.p, inner.len);
    ret = inner.failed || out->failed ? MBEDTLS_ERR_SSL_ALLOC_FAILED : ret;
    text_free(&inner);
    return ret;
}

static int cbor_take(struct reader *r, int major, uint64_t *n)
{
    uint32_t first = read_number(r, 1), info = first & 31;

    if (r->bad || first >> 5 != (uint32_t) major || info > 27) {
        return -1;
    }
    *n = info < 24 ? info : info == 24 ? read_number(r, 1) : info == 25 ? read_number(r, 2) : read_number(r, 4);
    if (info == 27) {
        *n = *n << 32 | read_number(r, 4);
    }
    return r->bad ? -1 : 0;
}

static struct octets take_octets(struct reader *r, uint64_t len)
{
    struct octets o = { (unsigned char *) r->p, (size_t) len };

    if (len > reader_left(r)) {
        r->bad = 1;
        o.len = 0;
    } else {
        r->p += len;
    }
    return o;
}

static int malformed(struct connection *c, const struct x509_field *x)
{
    return fail(c, FAIL_MALFORMED_CMW, "certificate", "the field %s of the certificate is malformed", x->name);
}

/* One value: the payload is kept, a definition has to be what we compute. */
static int take_value(struct connection *c, struct attestation *a, const char *name, const struct octets *v)
{
    struct octets mine = { 0 };
    int ret;

    if (strcmp(name, "payload") == 0) {
        return octets_set(&a->payload, v->p, v->len) != 0 ? MBEDTLS_ERR_SSL_ALLOC_FAILED : 0;
    }
    ret = interpret_definition(c, a, name, &mine);
    if (ret == 0 && !octets_equal(&mine, v->p, v->len)) {
        ret = fail(c, FAIL_BINDER_MISMATCH, "certificate", "%s in the certificate is not what we compute", name);
    }
    octets_free(&mine);
    return ret;
}

static int read_content(struct connection *c, struct attestation *a, const struct x509_field *x,
                        const struct octets *value)
{
    struct reader r = read_all(value->p, value->len);
    const int wrapped = x->tagged || x->array != NULL;
    uint64_t n = 0;
    int ret = 0;

    if (x->octet_string) {
        unsigned char *p = value->p;
        size_t len;
        if (mbedtls_asn1_get_tag(&p, value->p + value->len, &len, MBEDTLS_ASN1_OCTET_STRING) != 0 ||
            p + len != value->p + value->len) {
            return malformed(c, x);
        }
        r = read_all(p, len);
    }
    if ((x->tagged && (cbor_take(&r, 6, &n) != 0 || n != x->tag)) ||
        (x->array != NULL && (cbor_take(&r, 4, &n) != 0 || n != x->array->count))) {
        return malformed(c, x);
    }
    for (size_t i = 0; ret == 0 && i < value_count(x); i++) {
        struct octets v;
        if (wrapped && cbor_take(&r, 2, &n) != 0) {
            return malformed(c, x);
        }
        v = take_octets(&r, wrapped ? n : reader_left(&r));
        ret = r.bad ? malformed(c, x) : take_value(c, a, value_name(x, i), &v);
    }
    return ret != 0 ? ret : reader_left(&r) > 0 ? malformed(c, x) : 0;
}

/* ---- text in DNS names ---- */

static const char base32[] = "abcdefghijklmnopqrstuvwxyz234567";

static void encode_text(struct text *out, const struct octets *o, int hex)
{
    uint32_t bits = 0;
    int count = 0;

    if (hex) {
        text_hex(out, o->p, o->len);
        return;
    }
    for (size_t i = 0; i < o->len; i++) {
        bits = bits << 8 | o->p[i];
        for (count += 8; count >= 5; count -= 5) {
            text_add(out, &base32[bits >> (count - 5) & 31], 1);
        }
    }
    if (count > 0) {
        text_add(out, &base32[bits << (5 - count) & 31], 1);
    }
}

/* Digits of a base, most significant bits first; what is left over has to be zero. */
static int decode_text(const struct text *in, int hex, struct text *out)
{
    const char *digits = hex ? "0123456789abcdef" : base32;
    const int width = hex ? 4 : 5;
    uint32_t bits = 0;
    int count = 0;

    for (size_t i = 0; i < in->len; i++) {
        const char *at = in->p[i] != '\0' ? strchr(digits, tolower((unsigned char) in->p[i])) : NULL;
        if (at == NULL) {
            return -1;
        }
        bits = bits << width | (uint32_t) (at - digits);
        count += width;
        if (count >= 8) {
            char octet = (char) (bits >> (count - 8));
            text_add(out, &octet, 1);
            count -= 8;
        }
        bits &= (1U << count) - 1;
    }
    return count < width && bits == 0 && !out->failed ? 0 : -1;
}

/* The text behind the number of a name that is one of ours: <number><text>.<suffix>. */
static const unsigned char *text_of_name(const struct x509_field *x, const struct octets *name, size_t *number,
                                         size_t *len)
{
    const size_t suffix = strlen(x->dns_names);

    if (name->len < x->digits + 1 + suffix || name->p[name->len - suffix - 1] != '.' ||
        strncasecmp((char *) name->p + name->len - suffix, x->dns_names, suffix) != 0) {
        return NULL;
    }
    *number = 0;
    *len = name->len - suffix - 1 - x->digits;
    for (size_t i = 0; i < x->digits; i++) {
        if (name->p[i] < '0' || name->p[i] > '9') {
            return NULL;
        }
        *number = 10 * *number + (size_t) (name->p[i] - '0');
    }
    return memchr(name->p, '.', x->digits + *len) == NULL ? name->p + x->digits : NULL;
}

static int read_names(struct connection *c, struct attestation *a, const struct x509_field *x,
                      const struct certificate_parts *parts)
{
    static const struct octets san = { (unsigned char *) MBEDTLS_OID_SUBJECT_ALT_NAME,
        MBEDTLS_OID_SIZE(MBEDTLS_OID_SUBJECT_ALT_NAME) };
    struct octets value = { 0 }, names[MAX_NAMES] = { { 0 } };
    struct text joined = { 0 }, decoded = { 0 };
    size_t count = 0, highest = 0, len;
    int critical, ret = 0;
    unsigned char *p, *end;

    if (certificate_extension(parts, &san, &value, &critical) != 1) {
        return fail(c, FAIL_MISSING, "certificate", "the certificate has no names");
    }
    p = value.p;
    end = value.p + value.len;
    if (mbedtls_asn1_get_tag(&p, end, &len, MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE) != 0) {
        return malformed(c, x);
    }
    for (end = p + len; p < end; p += len) {
        const int tag = *p++;
        struct octets name;
        const unsigned char *text;
        size_t number, text_len;
        if (mbedtls_asn1_get_len(&p, end, &len) != 0) {
            return malformed(c, x);
        }
        name = (struct octets) { p, len };
        text = tag == (MBEDTLS_ASN1_CONTEXT_SPECIFIC | 2) ? text_of_name(x, &name, &number, &text_len) : NULL;
        if (text == NULL) {
            continue;
        }
        if (number >= MAX_NAMES || names[number].p != NULL) {
            return malformed(c, x);
        }
        names[number] = (struct octets) { (unsigned char *) text, text_len };
        highest = number > highest ? number : highest;
        count++;
    }
    if (count == 0) {
        return fail(c, FAIL_MISSING, "certificate", "the certificate has no name of the field %s", x->name);
    }
    for (size_t i = 0; i < count; i++) {
        text_add(&joined, (char *) names[i].p, names[i].len);
    }
    if (highest + 1 != count || joined.failed || decode_text(&joined, x->hex, &decoded) != 0) {
        ret = malformed(c, x);
    } else {
        struct octets all = { (unsigned char *) decoded.p, decoded.len };
        ret = read_content(c, a, x, &all);
    }
    text_free(&joined);
    text_free(&decoded);
    return ret;
}

/* ---- the peer's certificate ---- */

static int read_field(struct connection *c, struct attestation *a, const struct x509_field *x,
                      const struct certificate_parts *parts)
{
    struct octets value;
    int critical, count;

    if (x->dns_names != NULL) {
        return read_names(c, a, x, parts);
    }
    count = certificate_extension(parts, &x->oid, &value, &critical);
    if (count == 0) {
        return fail(c, FAIL_MISSING, "certificate", "the certificate has no field %s", x->name);
    }
    if (count != 1) {
        return malformed(c, x);
    }
    if (x->critical >= 0 && critical != x->critical) {
        mbedtls_ssl_set_fatal_alert(&c->ssl, MBEDTLS_SSL_ALERT_MSG_BAD_CERT, MBEDTLS_ERR_X509_CERT_VERIFY_FAILED);
        return MBEDTLS_ERR_X509_CERT_VERIFY_FAILED;
    }
    return read_content(c, a, x, &value);
}

int carried_is_there(const struct connection *c, const struct where *payload)
{
    const struct x509_field *x = &c->interpretation->profile->x509[payload->x509];
    struct certificate_parts parts;
    struct octets value;
    int critical;

    if (c->peer_certificate.p == NULL || certificate_split(&c->peer_certificate, &parts) != 0) {
        return 0;
    }
    return x->dns_names != NULL || certificate_extension(&parts, &x->oid, &value, &critical) != 0;
}

int carried_read(struct connection *c, struct attestation *a)
{
    const struct compiled *p = c->interpretation->profile;
    struct certificate_parts parts;
    int ret = 0;

    if (c->peer_certificate.p == NULL || certificate_split(&c->peer_certificate, &parts) != 0) {
        return fail(c, FAIL_MISSING, "certificate", "there is no X.509 certificate");
    }
    for (size_t i = 0; ret == 0 && i < p->x509_count; i++) {
        ret = read_field(c, a, &p->x509[i], &parts);
    }
    return ret;
}

/* ---- our certificate ---- */

static void add_name(struct text *t, const char *name, size_t len)
{
    text_der_head(t, MBEDTLS_ASN1_CONTEXT_SPECIFIC | 2, len);
    text_add(t, name, len);
}

/* subjectAltName: what --cert has, and the names that carry a field. */
static int write_names(struct connection *c, const struct attestation *a, mbedtls_x509write_cert *crt,
                       const struct certificate_parts *parts)
{
    static const struct octets san = { (unsigned char *) MBEDTLS_OID_SUBJECT_ALT_NAME,
        MBEDTLS_OID_SIZE(MBEDTLS_OID_SUBJECT_ALT_NAME) };
    const struct compiled *p = c->interpretation->profile;
    struct text names = { 0 }, all = { 0 };
    struct octets value;
    int critical, ret = 0;

    if (certificate_extension(parts, &san, &value, &critical) == 1) {
        unsigned char *q = value.p;
        size_t len;
        if (mbedtls_asn1_get_tag(&q, value.p + value.len, &len,
                                 MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE) == 0) {
            text_add(&names, (char *) q, len);
        }
    }
    for (size_t i = 0; a != NULL && ret == 0 && i < p->x509_count; i++) {
        const struct x509_field *x = &p->x509[i];
        struct text content = { 0 }, text = { 0 };
        if (x->dns_names != NULL && (ret = content_of(c, a, x, &content)) == 0) {
            struct octets o = { (unsigned char *) content.p, content.len };
            encode_text(&text, &o, x->hex);
            for (size_t at = 0, n = 0; at < text.len || n == 0; at += x->chunk, n++) {
                size_t len = text.len - at < x->chunk ? text.len - at : x->chunk;
                char name[512];
                int written = snprintf(name, sizeof(name), "%0*zu%.*s.%s", (int) x->digits, n, (int) len,
                                       text.p != NULL ? text.p + at : "", x->dns_names);
                add_name(&names, name, written > 0 && written < (int) sizeof(name) ? (size_t) written : 0);
            }
        }
        text_free(&content);
        text_free(&text);
    }
    if (ret == 0 && names.len > 0) {
        text_der_head(&all, MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE, names.len);
        text_add(&all, names.p, names.len);
        ret = all.failed ? MBEDTLS_ERR_SSL_ALLOC_FAILED :
              mbedtls_x509write_crt_set_extension(crt, MBEDTLS_OID_SUBJECT_ALT_NAME,
                                                  MBEDTLS_OID_SIZE(MBEDTLS_OID_SUBJECT_ALT_NAME),
                                                  0, (unsigned char *) all.p, all.len);
    }
    text_free(&names);
    text_free(&all);
    return ret;
}

static int write_fields(struct connection *c, const struct attestation *a, mbedtls_x509write_cert *crt)
{
    const struct compiled *p = c->interpretation->profile;
    int ret = 0;

    for (size_t i = 0; ret == 0 && i < p->x509_count; i++) {
        const struct x509_field *x = &p->x509[i];
        struct text content = { 0 };
        if (x->dns_names == NULL && (ret = content_of(c, a, x, &content)) == 0) {
            ret = mbedtls_x509write_crt_set_extension(crt, (char *) x->oid.p, x->oid.len, x->critical == 1,
                                                      (unsigned char *) content.p, content.len);
        }
        text_free(&content);
    }
    return ret;
}

/* What stays the same in all certificates of one connection. */
struct settled {
    unsigned char serial[16];
    char not_before[16], not_after[16], subject[512], issuer[512];
};

static int settle(struct connection *c, const mbedtls_x509_crt *template, struct settled *s)
{
    const mbedtls_x509_crt *issuer = c->issuer != NULL ? c->issuer : template;
    time_t now = time(NULL) - 60, end = now + LIFETIME;
    struct tm tm;

    if (mbedtls_ctr_drbg_random(c->random, s->serial, sizeof(s->serial)) != 0) {
        return MBEDTLS_ERR_SSL_INTERNAL_ERROR;
    }
    s->serial[0] = (unsigned char) ((s->serial[0] & 0x7f) | 0x40); /* positive, without leading zeros */
    strftime(s->not_before, sizeof(s->not_before), "%Y%m%d%H%M%S", gmtime_r(&now, &tm));
    strftime(s->not_after, sizeof(s->not_after), "%Y%m%d%H%M%S", gmtime_r(&end, &tm));
    return mbedtls_x509_dn_gets(s->subject, sizeof(s->subject), &template->subject) < 0 ||
           mbedtls_x509_dn_gets(s->issuer, sizeof(s->issuer), &issuer->subject) < 0 ?
               MBEDTLS_ERR_SSL_INTERNAL_ERROR : 0;
}

/*
 * Gives a name the string types that the issuer's certificate has: a path is found by
 * comparing octets (RFC 5280 7.1), and what was made of text is UTF8String throughout.
 */
static void same_types(mbedtls_asn1_named_data *written, const mbedtls_x509_name *of)
{
    for (; written != NULL; written = written->next) {
        for (const mbedtls_x509_name *n = of; n != NULL; n = n->next) {
            if (written->oid.len == n->oid.len && memcmp(written->oid.p, n->oid.p, n->oid.len) == 0 &&
                written->val.len == n->val.len && memcmp(written->val.p, n->val.p, n->val.len) == 0) {
                written->val.tag = n->val.tag;
            }
        }
    }
}

/* Makes the certificate; without an attestation, one that has no fields. */
static int make(struct connection *c, const struct attestation *a, const struct settled *s,
                const struct certificate_parts *parts,
                struct octets *out)
{
    mbedtls_x509write_cert crt;
    unsigned char *der = malloc(MAX_CERTIFICATE);
    int ret, len = 0;

    mbedtls_x509write_crt_init(&crt);
    mbedtls_x509write_crt_set_version(&crt, MBEDTLS_X509_CRT_VERSION_3);
    mbedtls_x509write_crt_set_md_alg(&crt, MBEDTLS_MD_SHA256);
    mbedtls_x509write_crt_set_subject_key(&crt, c->key);
    mbedtls_x509write_crt_set_issuer_key(&crt, c->issuer_key != NULL ? c->issuer_key : c->key);
    ret = der == NULL ? MBEDTLS_ERR_SSL_ALLOC_FAILED : 0;
    ret = ret == 0 ? mbedtls_x509write_crt_set_serial_raw(&crt, (unsigned char *) s->serial, sizeof(s->serial)) : ret;
    ret = ret == 0 ? mbedtls_x509write_crt_set_validity(&crt, s->not_before, s->not_after) : ret;
    ret = ret == 0 ? mbedtls_x509write_crt_set_subject_name(&crt, s->subject) : ret;
    ret = ret == 0 ? mbedtls_x509write_crt_set_issuer_name(&crt, s->issuer) : ret;
    if (ret == 0 && c->issuer != NULL) {
        same_types(crt.MBEDTLS_PRIVATE(issuer), &c->issuer->subject);
    }
    ret = ret == 0 ? mbedtls_x509write_crt_set_basic_constraints(&crt, 0, -1) : ret;
    ret = ret == 0 ? mbedtls_x509write_crt_set_key_usage(&crt, MBEDTLS_X509_KU_DIGITAL_SIGNATURE) : ret;
    ret = ret == 0 ? write_names(c, a, &crt, parts) : ret;
    ret = ret == 0 && a != NULL ? write_fields(c, a, &crt) : ret;
    if (ret == 0) {
        len = mbedtls_x509write_crt_der(&crt, der, MAX_CERTIFICATE, mbedtls_ctr_drbg_random, c->random);
        ret = len < 0 ? len : octets_set(out, der + MAX_CERTIFICATE - len, (size_t) len);
    }
    mbedtls_x509write_crt_free(&crt);
    free(der);
    return ret;
}

int carried_write(struct connection *c, struct attestation *a)
{
    struct interpretation *i = c->interpretation;
    struct octets template_der = { 0 };
    struct certificate_parts parts;
    mbedtls_x509_crt template;
    struct settled s;
    int ret;

    mbedtls_x509_crt_init(&template);
    ret = octets_set(&template_der, c->own_certificate.p, c->own_certificate.len);
    ret = ret == 0 ? mbedtls_x509_crt_parse_der(&template, template_der.p, template_der.len) :
        MBEDTLS_ERR_SSL_ALLOC_FAILED;
    ret = ret == 0 && certificate_split(&template_der, &parts) != 0 ? MBEDTLS_ERR_X509_INVALID_FORMAT : ret;
    ret = ret == 0 ? settle(c, &template, &s) : ret;
    /* The binder can name what is settled, so the Evidence comes after a certificate without it. */
    ret = ret == 0 ? make(c, NULL, &s, &parts, &c->own_certificate) : ret;
    ret = ret == 0 ? evidence_make(c, a, "certificate") : ret;
    ret = ret == 0 ? make(c, a, &s, &parts, &c->own_certificate) : ret;
    ret = ret == 0 ? mbedtls_x509_crt_parse_der(&i->made, c->own_certificate.p, c->own_certificate.len) : ret;
    ret = ret == 0 ? mbedtls_ssl_set_hs_own_cert(&c->ssl, &i->made, c->key) : ret;
    mbedtls_x509_crt_free(&template);
    octets_free(&template_der);
    return ret;
}
