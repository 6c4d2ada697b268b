/*
 * Binder programs: the expressions of a compiled profile, evaluated over values of a
 * handshake for one attester.
 */
#ifndef PROGRAM_H
#define PROGRAM_H

#include "mbedtls/md.h"

#include "document.h"
#include "octets.h"

enum { PROGRAM_OK = 0, PROGRAM_UNDEFINED = 1, PROGRAM_FAILED = -1 };

/* What a program may ask for. Roles are 0 for the client and 1 for the server; -1
 * where an expression names none. */
struct program {
    const struct document *document;
    mbedtls_md_type_t hash;        /* of the cipher suite */
    int attester;                  /* the role in question */
    void *ctx;
    /* Appends octets, or sets number. Return PROGRAM_... */
    int (*value)(void *ctx, const char *name, int role, struct text *octets, uint64_t *number, int *is_number);
    /* Transcript-Hash of a range. */
    int (*range)(void *ctx, const char *end, int excluded, int role, unsigned char *hash);
    size_t steps, depth;           /* so far */
    const char *reason;            /* what is undefined */
};

/* Evaluates to octets, or to a number in number. Returns PROGRAM_.... */
int program_run(struct program *p, const struct expression *e, struct octets *out);
/* Whether evaluating may ask for one of these values, ended by NULL. */
int program_needs(const struct document *d, const struct expression *e, const char *const *names);

#endif
