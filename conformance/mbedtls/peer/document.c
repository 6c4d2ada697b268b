/* Compiled profiles: the frame of the file, its lines and its records. */
#include "document.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mbedtls/sha256.h"

#include "document_lines.h"

static const char first_line[] = "attls-compiled-profile 1\n";
static const char last_word[] = "sha256 ";

/* ---- paths ---- */

/* The components of a path, decoded. */
struct path {
    const char *components[MAX_DEPTH];
    size_t count;
    int map;                       /* others may stand in it */
};

static int read_path(struct lines *l, const char *field, struct path *path)
{
    path->count = 0;
    for (;;) {
        size_t len = strcspn(field, "/");
        if (path->count == MAX_DEPTH) {
            return lines_fail(l, "the path has more than %d components", MAX_DEPTH);
        }
        path->components[path->count] = lines_decode(l, field, len);
        if (path->components[path->count++] == NULL) {
            return -1;
        }
        if (field[len] == '\0') {
            return 0;
        }
        field += len + 1;
    }
}

/* Depth first, the keys of each map in the order of their octets: a path either
 * goes on from the map in front of it, or comes after one of its components. */
static int follows(const struct path *path, const struct path *before)
{
    size_t same = 0, last = path->count - 1;

    while (same < path->count && same < before->count &&
           strcmp(path->components[same], before->components[same]) == 0) {
        same++;
    }
    if (same != last) {
        return 0;
    }
    if (path->count == before->count + 1) {
        return before->map;
    }
    return path->count <= before->count && strcmp(before->components[last], path->components[last]) < 0;
}

/* ---- records ---- */

static int read_values(struct lines *l, struct record *r)
{
    r->count = l->count - 2;
    r->values = lines_alloc(l, r->count * sizeof(*r->values));
    for (size_t i = 0; r->values != NULL && i < r->count; i++) {
        r->values[i] = lines_text(l, l->fields[2 + i]);
        if (r->values[i] == NULL) {
            return -1;
        }
    }
    return r->values != NULL ? 0 : -1;
}

/* Whether the present line is a record, and which. */
static int record_kind(struct lines *l, enum record_kind *kind)
{
    static const struct {
        const char *word;
        size_t min, max;
    } words[] = {
        [RECORD_MAP] = { "map", 1, 1 },
        [RECORD_KEY] = { "key", 2, 2 },
        [RECORD_LIST] = { "list", 1, MAX_FIELDS },
        [RECORD_EXPRESSION] = { "expression", 1, 1 },
    };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (lines_is(l, words[i].word, words[i].min, words[i].max)) {
            *kind = (enum record_kind) i;
            return 1;
        }
    }
    return 0;
}

static int read_record(struct lines *l, enum record_kind kind, struct record *r, struct path *last)
{
    struct path path;
    size_t len = strlen(l->fields[1]) + 1;
    char *copy;

    memset(r, 0, sizeof(*r));
    r->kind = kind;
    r->line = l->number;
    if (read_path(l, l->fields[1], &path) != 0) {
        return -1;
    }
    if (!follows(&path, last)) {
        return lines_fail(l, "%.200s is out of order", l->fields[1]);
    }
    path.map = kind == RECORD_MAP;
    *last = path;
    copy = lines_alloc(l, len);
    if (copy == NULL) {
        return -1;
    }
    memcpy(copy, l->fields[1], len);
    r->path = copy;
    if (kind == RECORD_KEY || kind == RECORD_LIST) {
        return read_values(l, r);
    }
    if (kind == RECORD_EXPRESSION) {
        if (!lines_next(l)) {
            return lines_fail(l, "the expression is missing");
        }
        return read_expression(l, &r->expression, 0);
    }
    return 0;
}

static int read_records(struct lines *l, struct document *d)
{
    struct path last = { .map = 1 };
    enum record_kind kind;

    while (lines_next(l)) {
        if (!record_kind(l, &kind)) {
            lines_again(l);
            return 0;
        }
        if (d->record_count == MAX_RECORDS) {
            return lines_fail(l, "there are more than %d records", MAX_RECORDS);
        }
        d->records = lines_grow(l, d->records, d->record_count, sizeof(*d->records));
        if (d->records == NULL || read_record(l, kind, &d->records[d->record_count], &last) != 0) {
            return -1;
        }
        d->record_count++;
    }
    return l->failed ? -1 : 0;
}

/* The readings that were chosen: they stand in the records already. */
static int read_readings(struct lines *l)
{
    const char *before = NULL;

    while (lines_next(l)) {
        if (!lines_is(l, "reading", 5, 5)) {
            lines_again(l);
            return l->failed ? -1 : 0;
        }
        for (size_t i = 1; i < l->count; i++) {
            const char *text = lines_text(l, l->fields[i]);
            if (text == NULL) {
                return -1;
            }
            if (i == 1 && before != NULL && strcmp(before, text) >= 0) {
                return lines_fail(l, "the reading of %.60s is out of order", text);
            }
            before = i == 1 ? text : before;
        }
    }
    return l->failed ? -1 : 0;
}

/* ---- the frame ---- */

/* The checksum is over all octets in front of its line. Returns their number, or 0. */
static size_t check_frame(struct lines *l, const unsigned char *p, size_t len)
{
    enum { LAST = sizeof(last_word) - 1 + 64 + 1, FIRST = sizeof(first_line) - 1 };
    unsigned char sum[32];
    struct text hex = { 0 };
    size_t body = len - LAST;
    int ok;

    if (len > MAX_FILE) {
        lines_fail(l, "the file has more than %d octets", MAX_FILE);
        return 0;
    }
    l->number = 1;
    if (len < FIRST || memcmp(p, first_line, FIRST) != 0) {
        lines_fail(l, "this is no compiled profile of version 1");
        return 0;
    }
    l->number = 0;
    for (size_t i = 0; i < len; i++) {
        l->number += p[i] == '\n';
    }
    if (len < FIRST + LAST || p[len - 1] != '\n' || p[body - 1] != '\n' ||
        memcmp(p + body, last_word, sizeof(last_word) - 1) != 0) {
        lines_fail(l, "the last line has no checksum");
        return 0;
    }
    if (mbedtls_sha256(p, body, sum, 0) != 0) {
        lines_fail(l, "SHA-256 failed");
        return 0;
    }
    text_hex(&hex, sum, sizeof(sum));
    ok = !hex.failed && memcmp(hex.p, p + body + sizeof(last_word) - 1, 64) == 0;
    text_free(&hex);
    if (!ok) {
        lines_fail(l, "the checksum is wrong");
        return 0;
    }
    return body;
}

int document_read(struct document *d, const unsigned char *p, size_t len, char *reason, size_t size)
{
    struct arena *arena = NULL;
    struct lines *l = calloc(1, sizeof(*l));
    char *copy = NULL;
    size_t body;
    int ret = -1;

    memset(d, 0, sizeof(*d));
    if (l == NULL) {
        snprintf(reason, size, "out of memory");
        return -1;
    }
    l->reason = reason;
    l->reason_size = size;
    l->arena = &arena;
    body = check_frame(l, p, len);
    if (body != 0 && (copy = lines_alloc(l, body)) != NULL) {
        memcpy(copy, p, body);
        l->next = copy + sizeof(first_line) - 1;
        l->end = copy + body;
        l->number = 1;
        if (read_records(l, d) == 0 && read_readings(l) == 0) {
            ret = read_types(l, d);
        }
    }
    d->arena = arena;
    free(l);
    if (ret != 0) {
        document_free(d);
    }
    return ret;
}

void document_free(struct document *d)
{
    for (struct arena *a = d->arena, *next; a != NULL; a = next) {
        next = a->next;
        free(a);
    }
    memset(d, 0, sizeof(*d));
}
