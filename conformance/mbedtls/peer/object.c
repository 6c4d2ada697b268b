/* What objects that are written and objects that are read have in common. */
#include "object.h"

#include <stdarg.h>
#include <stdio.h>

int object_bad(struct object_error *error, enum failure f, const char *format, ...)
{
    va_list args;

    error->failure = f;
    va_start(args, format);
    vsnprintf(error->detail, sizeof(error->detail), format, args);
    va_end(args);
    return OBJECT_BAD;
}

void object_told_free(struct object_told *told)
{
    octets_free(&told->payload);
    octets_free(&told->nonce);
}

void entries_free(struct entries *e)
{
    for (size_t i = 0; i < e->count; i++) {
        text_free(&e->list[i].key);
    }
    e->count = 0;
}

int object_which(const struct object_field *f, const struct object_content *c)
{
    return f->means == MEANS_ATTESTERS ? (c->attesters[CLIENT] != 0) + 2 * (c->attesters[SERVER] != 0) :
           f->means == MEANS_VERDICT ? c->reason != NULL : 0;
}

enum spelling object_spelling(enum field_type t)
{
    return t == FIELD_HEX ? SPELT_HEX : t == FIELD_BASE64URL ? SPELT_BASE64URL : SPELT_BASE64;
}
