#include "nonce_field.h"

#include <string.h>
#include <strings.h>

#include "mbedtls/asn1.h"

#include "certificate.h"

/* ---- templates ---- */

static const char mark[] = "{nonce}";

static const struct {
    const char *name, *oid;
} attribute_types[] = {
    { "CN", "2.5.4.3" }, { "serialNumber", "2.5.4.5" }, { "C", "2.5.4.6" }, { "L", "2.5.4.7" }, { "ST", "2.5.4.8" },
    { "STREET", "2.5.4.9" }, { "O", "2.5.4.10" }, { "OU", "2.5.4.11" }, { "title", "2.5.4.12" },
    { "DC", "0.9.2342.19200300.100.1.25" }, { "UID", "0.9.2342.19200300.100.1.1" },
};

/* Text with {nonce} once. */
static int split(struct nonce_field *f, struct part text)
{
    const size_t len = strlen(mark);
    int count = 0;

    for (size_t i = 0; i + len <= text.len; i++) {
        if (memcmp(text.p + i, mark, len) == 0) {
            f->prefix = (struct part) { text.p, i };
            f->suffix = (struct part) { text.p + i + len, text.len - i - len };
            count++;
        }
    }
    return count;
}

static struct part trim(struct part text)
{
    while (text.len > 0 && text.p[0] == ' ') {
        text = (struct part) { text.p + 1, text.len - 1 };
    }
    while (text.len > 0 && text.p[text.len - 1] == ' ') {
        text.len--;
    }
    return text;
}

static int read_type(struct part type, struct octets *oid)
{
    char text[128];

    type = trim(type);
    if (type.len >= sizeof(text)) {
        return -1;
    }
    memcpy(text, type.p, type.len);
    text[type.len] = '\0';
    for (size_t i = 0; i < sizeof(attribute_types) / sizeof(attribute_types[0]); i++) {
        if (strcasecmp(attribute_types[i].name, text) == 0) {
            return oid_from_text(attribute_types[i].oid, oid);
        }
    }
    return oid_from_text(text, oid);
}

/* TYPE=TEXT,TYPE=TEXT, where one text has the nonce. */
static int split_name(struct nonce_field *f, const char *as)
{
    int nonces = 0;

    for (const char *p = as, *end; ; p = end + 1) {
        struct name_attribute *a;
        const char *equals;
        struct part whole;
        end = p + strcspn(p, ",");
        whole = trim((struct part) { p, (size_t) (end - p) });
        equals = memchr(whole.p, '=', whole.len);
        if (f->attribute_count == MAX_ATTRIBUTES || equals == NULL) {
            return -1;
        }
        a = &f->attributes[f->attribute_count];
        if (read_type((struct part) { whole.p, (size_t) (equals - whole.p) }, &a->oid) != 0) {
            return -1;
        }
        f->attribute_count++;
        a->value = (struct part) { equals + 1, (size_t) (whole.p + whole.len - equals - 1) };
        a->has_nonce = split(f, a->value);
        nonces += a->has_nonce;
        if (*end == '\0') {
            return nonces == 1 ? 0 : -1;
        }
    }
}

int nonce_field_template(struct nonce_field *f, const char *as)
{
    if (f->place == IN_AUTHORITIES) {
        return split_name(f, as);
    }
    return split(f, (struct part) { as, strlen(as) }) == 1 ? 0 : -1;
}

void nonce_field_free(struct nonce_field *f)
{
    for (size_t i = 0; i < f->attribute_count; i++) {
        octets_free(&f->attributes[i].oid);
    }
    f->attribute_count = 0;
}

/* ---- names ---- */

static int is_printable(const char *p, size_t len)
{
    static const char others[] = " '()+,-./:=?";

    for (size_t i = 0; i < len; i++) {
        const char c = p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) &&
            (c == '\0' || strchr(others, c) == NULL)) {
            return 0;
        }
    }
    return 1;
}

static void add_tlv(struct text *out, int tag, const char *p, size_t len)
{
    text_der_head(out, tag, len);
    text_add(out, p, len);
}

static void write_name(const struct nonce_field *f, const struct text *text, struct text *out)
{
    struct text name = { 0 };

    for (size_t i = 0; i < f->attribute_count; i++) {
        const struct name_attribute *a = &f->attributes[i];
        const struct part v = a->has_nonce ? (struct part) { text->p, text->len } : a->value;
        struct text pair = { 0 }, sequence = { 0 };
        add_tlv(&pair, MBEDTLS_ASN1_OID, (char *) a->oid.p, a->oid.len);
        add_tlv(&pair, is_printable(v.p, v.len) ? MBEDTLS_ASN1_PRINTABLE_STRING : MBEDTLS_ASN1_UTF8_STRING, v.p, v.len);
        add_tlv(&sequence, MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE, pair.p, pair.len);
        add_tlv(&name, MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SET, sequence.p, sequence.len);
        name.failed |= pair.failed | sequence.failed;
        text_free(&pair);
        text_free(&sequence);
    }
    add_tlv(out, MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE, name.p, name.len);
    out->failed |= name.failed;
    text_free(&name);
}

/* The contents of a value that fills the rest. */
static int only(unsigned char **p, const unsigned char *end, int tag)
{
    size_t len;

    return mbedtls_asn1_get_tag(p, end, &len, tag) == 0 && *p + len == end ? 0 : -1;
}

static int read_attribute(unsigned char **p, const unsigned char *end, const struct octets *oid, struct part *value)
{
    unsigned char *q, *set_end;
    size_t len;

    if (mbedtls_asn1_get_tag(p, end, &len, MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SET) != 0) {
        return -1;
    }
    q = *p;
    set_end = *p += len;
    if (only(&q, set_end, MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE) != 0 ||
        mbedtls_asn1_get_tag(&q, set_end, &len, MBEDTLS_ASN1_OID) != 0 || !octets_equal(oid, q, len)) {
        return -1;
    }
    q += len;
    if (set_end - q < 2 || (*q != MBEDTLS_ASN1_PRINTABLE_STRING && *q != MBEDTLS_ASN1_UTF8_STRING &&
                            *q != MBEDTLS_ASN1_IA5_STRING && *q != MBEDTLS_ASN1_T61_STRING) ||
        only(&q, set_end, *q) != 0) {
        return -1;
    }
    *value = (struct part) { (char *) q, (size_t) (set_end - q) };
    return 0;
}

/* The text with the nonce in a name that has the attributes of the template and no others. */
static int read_name(const struct nonce_field *f, const unsigned char *der, size_t len, struct part *text)
{
    unsigned char *p = (unsigned char *) der;
    const unsigned char *end = der + len;

    if (only(&p, end, MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE) != 0) {
        return -1;
    }
    for (size_t i = 0; i < f->attribute_count; i++) {
        const struct name_attribute *a = &f->attributes[i];
        struct part value;
        if (read_attribute(&p, end, &a->oid, &value) != 0) {
            return -1;
        }
        if (a->has_nonce) {
            *text = value;
        } else if (value.len != a->value.len || (value.len > 0 && memcmp(value.p, a->value.p, value.len) != 0)) {
            return -1;
        }
    }
    return p == end ? 0 : -1;
}

/* ---- values ---- */

void nonce_field_write(const struct nonce_field *f, const struct octets *nonce, struct text *out)
{
    struct text text = { 0 };

    text_add(&text, f->prefix.p, f->prefix.len);
    spell(f->codec, nonce, &text);
    text_add(&text, f->suffix.p, f->suffix.len);
    out->failed |= text.failed;
    if (f->place == IN_AUTHORITIES) {
        write_name(f, &text, out);
    } else {
        text_add(out, text.p, text.len);
    }
    text_free(&text);
}

static int has_at(struct part text, size_t at, struct part what)
{
    return what.len == 0 || memcmp(text.p + at, what.p, what.len) == 0;
}

enum found nonce_field_read(const struct nonce_field *f, const unsigned char *p, size_t len, struct octets *nonce)
{
    struct part text = { (const char *) p, len };
    const size_t around = f->prefix.len + f->suffix.len;
    const int told = around > 0 || f->attribute_count > 1;

    if ((f->place == IN_AUTHORITIES && read_name(f, p, len, &text) != 0) || text.len < around ||
        !has_at(text, 0, f->prefix) || !has_at(text, text.len - f->suffix.len, f->suffix)) {
        return FOUND_NONE;
    }
    text = (struct part) { text.p + f->prefix.len, text.len - around };
    if (unspell(f->codec, text.p, text.len, nonce) == 0 && nonce->len >= f->floor && nonce->len <= f->ceiling) {
        return FOUND_NONCE;
    }
    octets_free(nonce);
    return told ? FOUND_BAD : FOUND_NONE;
}
