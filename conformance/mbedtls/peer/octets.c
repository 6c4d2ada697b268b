#include "octets.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int octets_set(struct octets *o, const unsigned char *p, size_t len)
{
    unsigned char *copy = malloc(len > 0 ? len : 1);

    if (copy == NULL) {
        return -1;
    }
    if (len > 0) {
        memcpy(copy, p, len);
    }
    free(o->p);
    o->p = copy;
    o->len = len;
    return 0;
}

void octets_free(struct octets *o)
{
    free(o->p);
    o->p = NULL;
    o->len = 0;
}

int octets_equal(const struct octets *a, const unsigned char *p, size_t len)
{
    return a->len == len && (len == 0 || memcmp(a->p, p, len) == 0);
}

int octets_are_utf8(const unsigned char *p, size_t len)
{
    const unsigned char *end = p + len;

    while (p < end) {
        const int more = *p < 0x80 ? 0 : *p >= 0xc2 && *p < 0xe0 ? 1 : (*p & 0xf0) == 0xe0 ? 2 :
            *p >= 0xf0 && *p < 0xf5 ? 3 : -1;
        if (more < 0 || end - p <= more || (*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) ||
            (*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] > 0x8f)) {
            return 0;
        }
        p++;
        for (int i = 0; i < more; i++, p++) {
            if ((*p & 0xc0) != 0x80) {
                return 0;
            }
        }
    }
    return 1;
}

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef";
    const char *at = c == '\0' ? NULL : strchr(digits, c);

    return at == NULL ? -1 : (int) (at - digits);
}

int octets_decode_hex(const char *hex, unsigned char *out, size_t len)
{
    if (strlen(hex) != 2 * len) {
        return -1;
    }
    for (size_t i = 0; i < len; i++) {
        int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);
        if (high < 0 || low < 0) {
            return -1;
        }
        out[i] = (unsigned char) (high << 4 | low);
    }
    return 0;
}

int octets_from_hex(struct octets *o, const char *hex)
{
    size_t len = strlen(hex) / 2;
    unsigned char *p = malloc(len + 1);

    if (p == NULL || octets_decode_hex(hex, p, len) != 0) {
        free(p);
        return -1;
    }
    free(o->p);
    o->p = p;
    o->len = len;
    return 0;
}

struct reader read_all(const unsigned char *p, size_t len)
{
    struct reader r = { p, p + len, 0 };
    return r;
}

size_t reader_left(const struct reader *r)
{
    return (size_t) (r->end - r->p);
}

int reader_done(const struct reader *r)
{
    return !r->bad && r->p == r->end;
}

uint32_t read_number(struct reader *r, int octets)
{
    uint32_t value = 0;

    if (r->bad || reader_left(r) < (size_t) octets) {
        r->bad = 1;
        return 0;
    }
    for (int i = 0; i < octets; i++) {
        value = value << 8 | *r->p++;
    }
    return value;
}

struct reader read_vector(struct reader *r, int length_octets)
{
    size_t len = read_number(r, length_octets);
    struct reader v = { r->p, r->p, 0 };

    if (r->bad || reader_left(r) < len) {
        r->bad = 1;
        v.bad = 1;
        return v;
    }
    v.end = r->p + len;
    r->p += len;
    return v;
}

struct writer write_into(unsigned char *p, size_t size)
{
    struct writer w = { p, p, p + size, 0 };
    return w;
}

size_t writer_len(const struct writer *w)
{
    return (size_t) (w->p - w->start);
}

void write_number(struct writer *w, uint32_t value, int octets)
{
    unsigned char b[4];

    for (int i = 0; i < octets; i++) {
        b[i] = (unsigned char) (value >> 8 * (octets - 1 - i));
    }
    write_octets(w, b, (size_t) octets);
}

void write_octets(struct writer *w, const unsigned char *p, size_t len)
{
    if (w->bad || (size_t) (w->end - w->p) < len) {
        w->bad = 1;
        return;
    }
    if (len > 0) {
        memcpy(w->p, p, len);
    }
    w->p += len;
}

void write_vector(struct writer *w, int length_octets, const unsigned char *p, size_t len)
{
    size_t begin = write_vector_begin(w, length_octets);

    write_octets(w, p, len);
    write_vector_end(w, length_octets, begin);
}

size_t write_vector_begin(struct writer *w, int length_octets)
{
    write_number(w, 0, length_octets);
    return writer_len(w);
}

void write_vector_end(struct writer *w, int length_octets, size_t begin)
{
    size_t len = writer_len(w) - begin;
    struct writer at = { w->start, w->start + begin - length_octets, w->end, 0 };

    if (w->bad || len >> 8 * length_octets != 0) {
        w->bad = 1;
        return;
    }
    write_number(&at, (uint32_t) len, length_octets);
}

void text_add(struct text *t, const char *s, size_t len)
{
    if (t->failed) {
        return;
    }
    if (t->len + len + 1 > t->size) {
        size_t size = 2 * (t->len + len + 1);
        char *p = realloc(t->p, size);
        if (p == NULL) {
            t->failed = 1;
            return;
        }
        t->p = p;
        t->size = size;
    }
    if (len > 0) {
        memcpy(t->p + t->len, s, len);
    }
    t->len += len;
    t->p[t->len] = '\0';
}

void text_printf(struct text *t, const char *format, ...)
{
    char line[512];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (n < 0 || (size_t) n >= sizeof(line)) {
        t->failed = 1;
        return;
    }
    text_add(t, line, (size_t) n);
}

void text_hex(struct text *t, const unsigned char *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        text_printf(t, "%02x", p[i]);
    }
}

void text_base64(struct text *t, const unsigned char *p, size_t len)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < len; i += 3) {
        uint32_t group = (uint32_t) p[i] << 16;
        char out[4];

        if (i + 1 < len) {
            group |= (uint32_t) p[i + 1] << 8;
        }
        if (i + 2 < len) {
            group |= p[i + 2];
        }
        for (int k = 0; k < 4; k++) {
            out[k] = alphabet[group >> (18 - 6 * k) & 63];
        }
        if (i + 1 >= len) {
            out[2] = '=';
        }
        if (i + 2 >= len) {
            out[3] = '=';
        }
        text_add(t, out, 4);
    }
}

void text_cbor_head(struct text *t, int major, uint64_t n)
{
    size_t len = n < 24 ? 0 : n <= 0xff ? 1 : n <= 0xffff ? 2 : n <= 0xffffffff ? 4 : 8;
    unsigned char head[9];

    head[0] = (unsigned char) (major << 5 | (len == 0 ? (int) n : len == 1 ? 24 : len == 2 ? 25 : len == 4 ? 26 : 27));
    for (size_t i = 0; i < len; i++) {
        head[1 + i] = (unsigned char) (n >> (8 * (len - 1 - i)));
    }
    text_add(t, (const char *) head, 1 + len);
}

void text_der_head(struct text *t, int tag, size_t len)
{
    unsigned char head[6] = { (unsigned char) tag };
    size_t n = len < 0x80 ? 0 : len <= 0xff ? 1 : len <= 0xffff ? 2 : 3;

    head[1] = (unsigned char) (n == 0 ? len : 0x80 | n);
    for (size_t i = 0; i < n; i++) {
        head[2 + i] = (unsigned char) (len >> (8 * (n - 1 - i)));
    }
    text_add(t, (char *) head, 2 + n);
}

void text_json(struct text *t, const char *s)
{
    text_add(t, "\"", 1);
    for (; *s != '\0'; s++) {
        if (*s == '"' || *s == '\\') {
            text_add(t, "\\", 1);
        }
        if ((unsigned char) *s < 0x20) {
            text_printf(t, "\\u%04x", (unsigned) (unsigned char) *s);
        } else {
            text_add(t, s, 1);
        }
    }
    text_add(t, "\"", 1);
}

void text_free(struct text *t)
{
    free(t->p);
    memset(t, 0, sizeof(*t));
}
