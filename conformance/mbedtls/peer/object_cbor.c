/* Objects in CBOR (RFC 8949), as they are received. */
#include "object.h"

#include <stdio.h>

enum { UNSIGNED, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG, SIMPLE };
enum { MAX_ITEM_DEPTH = 16, CBOR_FALSE = 0xf4, CBOR_TRUE, CBOR_NULL };

/* The head of an item of definite length: its major type, or -1. */
static int read_head(struct reader *r, uint64_t *n)
{
    const uint32_t first = read_number(r, 1), info = first & 31;
    const int size = info < 24 ? 0 : info > 27 ? -1 : 1 << (info - 24);

    *n = info;
    if (size == 8) {
        *n = (uint64_t) read_number(r, 4) << 32;
        *n |= read_number(r, 4);
    } else if (size > 0) {
        *n = read_number(r, size);
    }
    r->bad |= size < 0;
    return r->bad ? -1 : (int) (first >> 5);
}

static void skip_item(struct reader *r, int depth)
{
    uint64_t n = 0, items = 0;
    const int major = depth > MAX_ITEM_DEPTH ? -1 : read_head(r, &n);

    r->bad |= major < 0;
    if (major == BYTES || major == TEXT || major == ARRAY || major == MAP) {
        r->bad |= n > reader_left(r);
    }
    if (r->bad) {
        return;
    }
    if (major == BYTES || major == TEXT) {
        r->p += n;
    }
    items = major == ARRAY ? n : major == MAP ? 2 * n : major == TAG;
    for (; items > 0 && !r->bad; items--) {
        skip_item(r, depth + 1);
    }
}

/* A key is a text or an unsigned integer. */
static int read_key(struct reader *r, struct entry *e)
{
    uint64_t n;
    const int major = read_head(r, &n);

    e->numbered = major == UNSIGNED;
    e->number = n;
    if (major == TEXT && n <= reader_left(r) && octets_are_utf8(r->p, (size_t) n)) {
        text_add(&e->key, (const char *) r->p, (size_t) n);
        r->p += n;
        return e->key.failed ? -1 : 0;
    }
    return e->numbered ? 0 : -1;
}

int cbor_entries(const unsigned char *p, size_t len, struct entries *e, struct object_error *error)
{
    struct reader r = read_all(p, len);
    uint64_t count;

    if (read_head(&r, &count) != MAP) {
        return object_bad(error, FAIL_DECODE, "it is no CBOR map of definite length");
    }
    for (; count > 0; count--) {
        struct entry *next = &e->list[e->count];
        if (e->count == MAX_ENTRIES) {
            return object_bad(error, FAIL_LIMIT, "more than %d members", MAX_ENTRIES);
        }
        *next = (struct entry) { 0 };
        e->count++;
        if (read_key(&r, next) != 0) {
            return object_bad(error, FAIL_DECODE, "a key is neither a text nor an unsigned integer");
        }
        next->value = r.p;
        skip_item(&r, 0);
        if (r.bad) {
            return object_bad(error, FAIL_DECODE, "a value is cut off, or nested too deep");
        }
        next->len = (size_t) (r.p - next->value);
        next->null = next->value[0] == CBOR_NULL;
    }
    return reader_done(&r) ? 0 : object_bad(error, FAIL_DECODE, "something follows the map");
}

enum scalar cbor_scalar(const struct entry *e, struct text *out)
{
    struct reader r = read_all(e->value, e->len);
    uint64_t n;
    const int major = read_head(&r, &n);

    switch (major) {
        case UNSIGNED:
            text_printf(out, "%llu", (unsigned long long) n);
            return SCALAR_NUMBER;
        case BYTES:
        case TEXT:
            text_add(out, (const char *) r.p, reader_left(&r));
            return major == BYTES ? SCALAR_OCTETS : octets_are_utf8(r.p, reader_left(&r)) ? SCALAR_TEXT : NO_SCALAR;
        case SIMPLE:
            text_printf(out, e->value[0] == CBOR_TRUE ? "true" : "false");
            return e->value[0] == CBOR_TRUE || e->value[0] == CBOR_FALSE ? SCALAR_BOOLEAN : NO_SCALAR;
        default:
            return NO_SCALAR;
    }
}
