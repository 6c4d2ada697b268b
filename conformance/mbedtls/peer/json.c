#include "json.h"

#include <stdlib.h>
#include <string.h>

#include "mbedtls/base64.h"

enum { MAX_DEPTH = 32 };

struct cursor {
    const char *p;
    const char *end;
};

static void skip_space(struct cursor *c)
{
    while (c->p < c->end && strchr(" \t\r\n", *c->p) != NULL && *c->p != '\0') {
        c->p++;
    }
}

/* Passes the character if it comes next. */
static int take(struct cursor *c, char wanted)
{
    skip_space(c);
    if (c->p == c->end || *c->p != wanted) {
        return 0;
    }
    c->p++;
    return 1;
}

/* Four hexadecimal digits, or -1. */
static int32_t hex4(const char *p, const char *end)
{
    int32_t n = 0;

    for (int i = 0; i < 4; i++) {
        const char c = p + i < end ? p[i] : '\0';
        const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 :
            c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (digit < 0) {
            return -1;
        }
        n = n << 4 | digit;
    }
    return n;
}

static int skip_string(struct cursor *c)
{
    if (!take(c, '"')) {
        return -1;
    }
    for (; c->p < c->end && *c->p != '"'; c->p++) {
        if ((unsigned char) *c->p < 0x20) {
            return -1;
        }
        if (*c->p != '\\') {
            continue;
        }
        if (++c->p == c->end || *c->p == '\0' || strchr("\"\\/bfnrtu", *c->p) == NULL ||
            (*c->p == 'u' && hex4(c->p + 1, c->end) < 0)) {
            return -1;
        }
    }
    if (c->p == c->end) {
        return -1;
    }
    c->p++;
    return 0;
}

static int skip_value(struct cursor *c, int depth);

/* Members or elements until the closing character. */
static int skip_list(struct cursor *c, char close, int named, int depth)
{
    c->p++;
    if (take(c, close)) {
        return 0;
    }
    do {
        if (named && (skip_string(c) != 0 || !take(c, ':'))) {
            return -1;
        }
        if (skip_value(c, depth + 1) != 0) {
            return -1;
        }
    } while (take(c, ','));
    return take(c, close) ? 0 : -1;
}

static int skip_word(struct cursor *c, const char *word)
{
    const size_t len = strlen(word);

    if ((size_t) (c->end - c->p) < len || memcmp(c->p, word, len) != 0) {
        return 0;
    }
    c->p += len;
    return 1;
}

static int skip_digits(struct cursor *c)
{
    const char *begin = c->p;

    while (c->p < c->end && *c->p >= '0' && *c->p <= '9') {
        c->p++;
    }
    return c->p > begin;
}

static int skip_number(struct cursor *c)
{
    if (c->p < c->end && *c->p == '-') {
        c->p++;
    }
    if (!skip_word(c, "0") && !skip_digits(c)) {
        return 0;
    }
    if (skip_word(c, ".") && !skip_digits(c)) {
        return 0;
    }
    if (skip_word(c, "e") || skip_word(c, "E")) {
        if (!skip_word(c, "+")) {
            skip_word(c, "-");
        }
        return skip_digits(c);
    }
    return 1;
}

static int skip_value(struct cursor *c, int depth)
{
    skip_space(c);
    if (c->p == c->end || depth > MAX_DEPTH) {
        return -1;
    }
    switch (*c->p) {
        case '{':
            return skip_list(c, '}', 1, depth);
        case '[':
            return skip_list(c, ']', 0, depth);
        case '"':
            return skip_string(c);
        default:
            return skip_word(c, "true") || skip_word(c, "false") || skip_word(c, "null") || skip_number(c) ? 0 : -1;
    }
}

int json_next(struct json_walk *w, struct json *key, struct json *value)
{
    struct cursor c = { w->p, w->end };
    const int first = !w->begun;

    w->begun = 1;
    if (first && !take(&c, '{')) {
        return -1;
    }
    if (take(&c, '}')) {
        skip_space(&c);
        return c.p == c.end ? 0 : -1;
    }
    if (!first && !take(&c, ',')) {
        return -1;
    }
    skip_space(&c);
    key->p = c.p;
    if (skip_string(&c) != 0) {
        return -1;
    }
    key->len = (size_t) (c.p - key->p);
    if (!take(&c, ':')) {
        return -1;
    }
    skip_space(&c);
    value->p = c.p;
    if (skip_value(&c, 0) != 0) {
        return -1;
    }
    value->len = (size_t) (c.p - value->p);
    w->p = c.p;
    return 1;
}

struct json json_member(const char *text, size_t len, const char *name, int *bad)
{
    struct json_walk w = json_walk(text, len);
    struct json found = { NULL, 0 }, key, value;
    int ret;

    while ((ret = json_next(&w, &key, &value)) == 1) {
        if (json_is(key, name)) {
            if (found.p != NULL) { /* twice, so that two readers may see two values */
                *bad = 1;
                return (struct json) { NULL, 0 };
            }
            found = value;
        }
    }
    *bad = ret != 0;
    return found;
}

struct json_walk json_walk(const char *text, size_t len)
{
    return (struct json_walk) { text, text + len, 0 };
}

static void add_character(struct text *out, uint32_t c)
{
    char utf8[4];
    const int more = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const unsigned char heads[] = { 0, 0xc0, 0xe0, 0xf0 };

    for (int i = more; i > 0; i--, c >>= 6) {
        utf8[i] = (char) (0x80 | (c & 0x3f));
    }
    utf8[0] = (char) (heads[more] | c);
    text_add(out, utf8, (size_t) more + 1);
}

/* Half of a character that stands alone is no character. */
static const char *add_escape(struct text *out, const char *p, const char *end)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    uint32_t c;

    if (*p != 'u') {
        text_add(out, &values[strchr(names, *p) - names], 1);
        return p + 1;
    }
    c = (uint32_t) hex4(p + 1, end);
    p += 5;
    if (c >= 0xd800 && c < 0xdc00 && end - p > 2 && p[0] == '\\' && p[1] == 'u') {
        const uint32_t low = (uint32_t) hex4(p + 2, end);
        if (low >= 0xdc00 && low < 0xe000) {
            add_character(out, 0x10000 + ((c - 0xd800) << 10) + low - 0xdc00);
            return p + 6;
        }
    }
    add_character(out, c >= 0xd800 && c < 0xe000 ? 0xfffd : c);
    return p;
}

int json_string(struct json v, struct text *out)
{
    const char *p, *end;

    if (v.p == NULL || v.len < 2 || v.p[0] != '"') {
        return -1;
    }
    for (p = v.p + 1, end = v.p + v.len - 1; p < end; ) {
        const char *run = p;
        while (p < end && *p != '\\') {
            p++;
        }
        text_add(out, run, (size_t) (p - run));
        if (p < end) {
            p = add_escape(out, p + 1, end);
        }
    }
    return out->failed ? -1 : 0;
}

int json_is(struct json v, const char *s)
{
    size_t len = strlen(s);
    return v.p != NULL && v.len == len + 2 && v.p[0] == '"' && memcmp(v.p + 1, s, len) == 0;
}

int json_base64(struct json v, struct octets *out)
{
    size_t size;
    unsigned char *p;

    if (v.p == NULL || v.len < 2 || v.p[0] != '"') {
        return -1;
    }
    p = malloc(v.len);
    if (p == NULL ||
        mbedtls_base64_decode(p, v.len, &size, (const unsigned char *) v.p + 1, v.len - 2) != 0) {
        free(p);
        return -1;
    }
    free(out->p);
    out->p = p;
    out->len = size;
    return 0;
}

/* Takes so many digits; -1: there are others. */
static int digits(struct cursor *c, int count)
{
    int n = 0;

    for (; count > 0; count--, c->p++) {
        if (c->p == c->end || *c->p < '0' || *c->p > '9') {
            return -1;
        }
        n = n * 10 + (*c->p - '0');
    }
    return n;
}

/* Takes a character that must come next, without space before it. */
static int exactly(struct cursor *c, char wanted)
{
    if (c->p == c->end || *c->p != wanted) {
        return 0;
    }
    c->p++;
    return 1;
}

/* Days since 1970-01-01 in the Gregorian calendar, years beginning in March. */
static int64_t days_since_1970(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year, m = month <= 2 ? month + 9 : month - 3;

    return y * 365 + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

/* The offset from UTC in seconds. */
static int zone(struct cursor *c, int64_t *offset)
{
    int sign, hours, minutes;

    *offset = 0;
    if (exactly(c, 'Z') || exactly(c, 'z')) {
        return 0;
    }
    sign = exactly(c, '+') ? 1 : exactly(c, '-') ? -1 : 0;
    hours = digits(c, 2);
    if (sign == 0 || hours < 0 || hours > 23 || !exactly(c, ':')) {
        return -1;
    }
    minutes = digits(c, 2);
    *offset = sign * (hours * 3600 + minutes * 60);
    return minutes < 0 || minutes > 59 ? -1 : 0;
}

int json_time(struct json v, int64_t *seconds)
{
    static const int last[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    struct cursor c = { v.p, v.p + v.len };
    int year, month, day, hour, minute, second;
    int64_t offset;

    if (v.p == NULL || v.len < 2 || !exactly(&c, '"') || v.p[v.len - 1] != '"') {
        return -1;
    }
    c.end--;
    if ((year = digits(&c, 4)) < 0 || !exactly(&c, '-') || (month = digits(&c, 2)) < 1 || month > 12 ||
        !exactly(&c, '-') || (day = digits(&c, 2)) < 1 || day > last[month - 1] ||
        !(exactly(&c, 'T') || exactly(&c, 't')) || (hour = digits(&c, 2)) < 0 || hour > 23 ||
        !exactly(&c, ':') || (minute = digits(&c, 2)) < 0 || minute > 59 ||
        !exactly(&c, ':') || (second = digits(&c, 2)) < 0 || second > 60) {
        return -1;
    }
    if (exactly(&c, '.')) {
        if (digits(&c, 1) < 0) {
            return -1;
        }
        while (c.p < c.end && *c.p >= '0' && *c.p <= '9') {
            c.p++;
        }
    }
    if (zone(&c, &offset) != 0 || c.p != c.end) {
        return -1;
    }
    *seconds = days_since_1970(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset;
    return 0;
}
