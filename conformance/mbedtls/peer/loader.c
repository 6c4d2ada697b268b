/* What the loaders of compiled profiles have in common: words, numbers, paths, and the first failure. */
#include "loader.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int load_refuse(struct loader *l, const char *format, ...)
{
    va_list args;

    if (!l->failed) {
        l->failed = 1;
        va_start(args, format);
        vsnprintf(l->reason, sizeof(l->reason), format, args);
        va_end(args);
    }
    return -1;
}

/* The place of a key's value among words, which end with NULL; otherwise where there
 * is no such key. A list has one word for each of its values. */
int load_word(struct loader *l, const char *const *words, int otherwise, const char *path)
{
    const struct record *r = document_find(l->d, "%s", path);

    if (r == NULL) {
        return otherwise;
    }
    for (int i = 0; r->kind == RECORD_KEY && words[i] != NULL; i++) {
        if (strcmp(r->values[0], words[i]) == 0) {
            return i;
        }
    }
    load_refuse(l, "line %zu: %s has a value that is not known", r->line, path);
    return otherwise;
}

const char *const load_models[] = { "evidence", "results", "any", NULL };

int load_flag(struct loader *l, const char *no, const char *yes, int otherwise, const char *path)
{
    const char *const words[] = { no, yes, NULL };

    return load_word(l, words, otherwise, path);
}

uint64_t load_number(struct loader *l, uint64_t otherwise, uint64_t max, const char *path)
{
    const struct record *r = document_find(l->d, "%s", path);
    uint64_t n;

    if (r == NULL) {
        return otherwise;
    }
    if (r->kind != RECORD_KEY || !text_number(r->values[0], &n) || n > max) {
        load_refuse(l, "line %zu: %s is no number up to %llu", r->line, path, (unsigned long long) max);
        return otherwise;
    }
    return n;
}

int load_bounds(struct loader *l, size_t *floor, size_t *ceiling, uint64_t most, const char *path)
{
    const char *text = document_value(l->d, "%s", path), *dots = text != NULL ? strstr(text, "..") : NULL;
    char first[16];
    uint64_t least, last;

    if (text == NULL || snprintf(first, sizeof(first), "%.*s", dots != NULL ? (int) (dots - text) : 15, text) < 1 ||
        !text_number(first, &least) || !text_number(dots != NULL ? dots + 2 : text, &last) || least > last ||
        last == 0 || last > most) {
        return load_refuse(l, "%s is no length", path);
    }
    *floor = (size_t) least;
    *ceiling = (size_t) last;
    return 0;
}

struct path load_path(const char *format, ...)
{
    struct path path;
    va_list args;

    va_start(args, format);
    vsnprintf(path.p, sizeof(path.p), format, args);
    va_end(args);
    return path;
}

/* Calls add for each record directly in a map, with its name as it is encoded. */
int load_each(struct loader *l, const char *map, int (*add)(struct loader *, const struct record *, const char *))
{
    for (size_t i = 0; i < l->d->record_count && !l->failed; i++) {
        const char *name = document_child(&l->d->records[i], map);
        if (name != NULL) {
            l->d->records[i].used = 1;
            if (add(l, &l->d->records[i], name) != 0) {
                return load_refuse(l, "line %zu: %s cannot be used", l->d->records[i].line, l->d->records[i].path);
            }
        }
    }
    return l->failed ? -1 : 0;
}

/* Names are identifiers: nothing of them is encoded. */
int load_is_name(const char *encoded)
{
    return strchr(encoded, '%') == NULL && strchr(encoded, '.') == NULL && strlen(encoded) <= 200;
}

const struct type *load_type(struct loader *l, const struct record *r, const char *name)
{
    const struct type *t = document_type(l->d, name);

    if (t == NULL) {
        load_refuse(l, "line %zu: there is no type %.100s", r->line, name);
    }
    return t;
}

const struct code_point *load_point(const struct loader *l, enum code_point_kind kind, const char *name)
{
    for (size_t i = 0; i < l->c->draft.code_point_count; i++) {
        if (l->c->points[i].kind == kind && strcmp(l->c->points[i].name, name) == 0) {
            return &l->c->points[i];
        }
    }
    return NULL;
}

int load_know(struct loader *l, const struct record *r, const char *name)
{
    (void) l;
    (void) r;
    (void) name;
    return 0;
}

void load_pass_over(struct loader *l, const char *map)
{
    const size_t len = strlen(map);

    for (size_t i = 0; i < l->d->record_count; i++) {
        const char *path = l->d->records[i].path;
        if (strncmp(path, map, len) == 0 && (path[len] == '\0' || path[len] == '/')) {
            l->d->records[i].used = 1;
        }
    }
}
