/*
 * Bodies of extensions and messages by the types of a compiled profile (RFC 8446
 * section 3). Fields are told by path: names with "." between them, as
 * docs/compiled-profile.md gives them; "" is the body as a whole.
 */
#ifndef CODEC_H
#define CODEC_H

#include "document.h"
#include "octets.h"

/* Where a body stands, which decides its outer selects. */
struct place {
    const char *message;           /* client_hello, ..., or the added message's name */
    int from_server;
};

/* A field that is to be written, or found in what is read. */
struct field {
    const char *path;
    int is_number;
    uint64_t number;
    const unsigned char *p;        /* octets without a length; of a list or a struct, */
    size_t len;                    /* its encoded elements or members */
    int found;                     /* by a decoder */
};

enum codec_error { CODEC_OK, CODEC_MALFORMED, CODEC_UNKNOWN_ARM };

/* Reads one value of the type and fills in the fields that it has. The reader
 * stays behind the value. Type NULL: opaque octets to the end. */
enum codec_error decode(const struct type *type, const struct place *place, struct reader *r,
                        struct field *fields, size_t count);

/* Writes one value in which these fields are given and all others are as small as
 * they can be. Returns 0, or -1 where something does not fit; a field that the type
 * does not have is an error as well. */
int encode(const struct type *type, const struct place *place, struct writer *w,
           struct field *fields, size_t count);

/* What a path names in a type: its member, or NULL. Arms of all messages count. */
const struct member *member_at(const struct type *type, const char *path);
/* The type of what stands behind aliases. */
const struct type *plain_type(const struct type *type);
/* The number of an enumerator; 0 where there is none of the name. */
int enumerator_number(const struct type *type, const char *name, uint64_t *number);

#endif
