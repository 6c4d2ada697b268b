/* Compiled profiles: lines and fields, and the memory of what is made of them. */
#include "document_lines.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory ---- */

void *lines_alloc(struct lines *l, size_t size)
{
    struct arena *a = calloc(1, sizeof(*a) + (size > 0 ? size : 1));

    if (a == NULL) {
        lines_fail(l, "out of memory");
        return NULL;
    }
    a->next = *l->arena;
    *l->arena = a;
    return a->p;
}

void *lines_grow(struct lines *l, void *array, size_t count, size_t size)
{
    void *bigger;

    if ((count & (count - 1)) != 0) { /* there is room up to the next power of two */
        return array;
    }
    bigger = lines_alloc(l, (count > 0 ? 2 * count : 1) * size);
    if (bigger != NULL && count > 0) {
        memcpy(bigger, array, count * size);
    }
    return bigger;
}

/* ---- lines and fields ---- */

int lines_fail(struct lines *l, const char *format, ...)
{
    va_list args;
    int n;

    if (l->failed) {
        return -1;
    }
    l->failed = 1;
    n = snprintf(l->reason, l->reason_size, "line %zu: ", l->number);
    if (n > 0 && (size_t) n < l->reason_size) {
        va_start(args, format);
        vsnprintf(l->reason + n, l->reason_size - (size_t) n, format, args);
        va_end(args);
    }
    return -1;
}

int lines_next(struct lines *l)
{
    char *end, *field;

    if (l->failed || l->next == l->end) {
        return 0;
    }
    l->number++;
    end = memchr(l->next, '\n', (size_t) (l->end - l->next));
    if (end == NULL || end - l->next > MAX_LINE) {
        lines_fail(l, end == NULL ? "there is no line feed at its end" : "it has more than %d octets", MAX_LINE);
        return 0;
    }
    *end = '\0';
    l->count = 0;
    for (field = l->next; field != NULL; ) {
        char *space = memchr(field, ' ', (size_t) (end - field));
        if (space == field || field == end) {
            lines_fail(l, "a field is empty");
            return 0;
        }
        if (l->count == MAX_FIELDS) {
            lines_fail(l, "it has more than %d fields", MAX_FIELDS);
            return 0;
        }
        l->fields[l->count++] = field;
        if (space != NULL) {
            *space++ = '\0';
        }
        field = space;
    }
    for (char *p = l->next; p < end; p++) {
        if (*p != '\0' && (*p < 0x21 || *p > 0x7e)) {
            lines_fail(l, "octet 0x%02x cannot stand in it", (unsigned char) *p);
            return 0;
        }
    }
    l->next = end + 1;
    return 1;
}

void lines_again(struct lines *l)
{
    char *begin = l->fields[0];

    for (char *p = begin; p < l->next - 1; p++) {
        if (*p == '\0') {
            *p = ' ';
        }
    }
    l->next[-1] = '\n';
    l->next = begin;
    l->number--;
}

int lines_is(struct lines *l, const char *word, size_t min, size_t max)
{
    if (strcmp(l->fields[0], word) != 0) {
        return 0;
    }
    if (l->count - 1 < min || l->count - 1 > max) {
        lines_fail(l, "%s has %zu fields after it", word, l->count - 1);
        return 0;
    }
    return 1;
}

static int hex_upper(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int is_plain(unsigned char c)
{
    return c >= 0x21 && c <= 0x7e && c != '%' && c != '/';
}

const char *lines_decode(struct lines *l, const char *field, size_t len)
{
    char *out = lines_alloc(l, len + 1), *o = out;

    if (out == NULL || (len == 1 && field[0] == '%')) {
        return out;
    }
    for (size_t i = 0; i < len; i++) {
        int high, low;
        if (is_plain((unsigned char) field[i])) {
            *o++ = field[i];
            continue;
        }
        high = field[i] == '%' && i + 2 < len ? hex_upper(field[i + 1]) : -1;
        low = high >= 0 ? hex_upper(field[i + 2]) : -1;
        if (low < 0 || (high << 4 | low) == 0 || is_plain((unsigned char) (high << 4 | low))) {
            lines_fail(l, "%.*s is no text in its only encoding", (int) (len < 60 ? len : 60), field);
            return NULL;
        }
        *o++ = (char) (high << 4 | low);
        i += 2;
    }
    if (len == 0 || !octets_are_utf8((unsigned char *) out, strlen(out))) {
        lines_fail(l, "%.60s is no text", field);
        return NULL;
    }
    return out;
}

const char *lines_text(struct lines *l, const char *field)
{
    return lines_decode(l, field, strlen(field));
}

int text_number(const char *text, uint64_t *number)
{
    uint64_t n = 0;

    if (*text == '\0' || (*text == '0' && text[1] != '\0')) {
        return 0;
    }
    for (const char *p = text; *p != '\0'; p++) {
        if (*p < '0' || *p > '9' || n > (UINT64_MAX - (uint64_t) (*p - '0')) / 10) {
            return 0;
        }
        n = 10 * n + (uint64_t) (*p - '0');
    }
    *number = n;
    return 1;
}

int lines_number(struct lines *l, const char *field, uint64_t *number)
{
    return text_number(field, number) ? 0 : lines_fail(l, "%.60s is no number", field);
}

int text_encode(const char *text, char *out, size_t size)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t n = 0;

    if (*text == '\0') {
        text = "%";
        return snprintf(out, size, "%s", text) < (int) size ? 0 : -1;
    }
    for (const unsigned char *p = (const unsigned char *) text; *p != '\0'; p++) {
        if (n + 4 > size) {
            return -1;
        }
        if (is_plain(*p)) {
            out[n++] = (char) *p;
        } else {
            out[n++] = '%';
            out[n++] = digits[*p >> 4];
            out[n++] = digits[*p & 15];
        }
    }
    out[n] = '\0';
    return 0;
}
