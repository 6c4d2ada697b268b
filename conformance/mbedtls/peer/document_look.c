/* Compiled profiles: what is in a document. */
#include "document.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static struct record *find(const struct document *d, const char *path)
{
    for (size_t i = 0; i < d->record_count; i++) {
        if (strcmp(d->records[i].path, path) == 0) {
            d->records[i].used = 1;
            return &d->records[i];
        }
    }
    return NULL;
}

enum { MAX_PATH = 2048 };

struct record *document_find(const struct document *d, const char *format, ...)
{
    char path[MAX_PATH];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(path, sizeof(path), format, args);
    va_end(args);
    return n >= 0 && n < MAX_PATH ? find(d, path) : NULL;
}

const char *document_value(const struct document *d, const char *format, ...)
{
    char path[MAX_PATH];
    const struct record *r;
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(path, sizeof(path), format, args);
    va_end(args);
    r = n >= 0 && n < MAX_PATH ? find(d, path) : NULL;
    return r != NULL && r->kind == RECORD_KEY ? r->values[0] : NULL;
}

const char *document_child(const struct record *r, const char *map)
{
    size_t len = strlen(map);

    if (strncmp(r->path, map, len) != 0 || r->path[len] != '/' || strchr(r->path + len + 1, '/') != NULL) {
        return NULL;
    }
    return r->path + len + 1;
}

const struct type *document_type(const struct document *d, const char *name)
{
    for (size_t i = 0; i < d->type_count; i++) {
        if (strcmp(d->types[i].name, name) == 0) {
            return &d->types[i];
        }
    }
    return NULL;
}
