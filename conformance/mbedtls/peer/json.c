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

static int skip_string(struct cursor *c)
{
    if (!take(c, '"')) {
        return -1;
    }
    while (c->p < c->end && *c->p != '"') {
        if (*c->p == '\\') {
            c->p++;
        }
        if (c->p < c->end) {
            c->p++;
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

static int skip_value(struct cursor *c, int depth)
{
    const char *begin;

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
        default: /* a number, true, false or null */
            begin = c->p;
            while (c->p < c->end &&
                   (strchr("+-.", *c->p) != NULL || (*c->p >= '0' && *c->p <= '9') ||
                    (*c->p >= 'a' && *c->p <= 'z') || *c->p == 'E') && *c->p != '\0') {
                c->p++;
            }
            return c->p > begin ? 0 : -1;
    }
}

struct json json_member(const char *text, size_t len, const char *name, int *bad)
{
    struct cursor c = { text, text + len };
    struct json found = { NULL, 0 };

    *bad = 1;
    if (!take(&c, '{')) {
        return found;
    }
    if (!take(&c, '}')) {
        do {
            struct json key, value;

            skip_space(&c);
            key.p = c.p;
            if (skip_string(&c) != 0) {
                return found;
            }
            key.len = (size_t) (c.p - key.p);
            if (!take(&c, ':')) {
                return found;
            }
            skip_space(&c);
            value.p = c.p;
            if (skip_value(&c, 0) != 0) {
                return found;
            }
            value.len = (size_t) (c.p - value.p);
            if (json_is(key, name)) {
                if (found.p != NULL) { /* twice, so that two readers may see two values */
                    return (struct json) { NULL, 0 };
                }
                found = value;
            }
        } while (take(&c, ','));
        if (!take(&c, '}')) {
            return found;
        }
    }
    skip_space(&c);
    *bad = c.p != c.end;
    return found;
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
