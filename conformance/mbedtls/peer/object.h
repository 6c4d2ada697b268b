/*
 * JSON objects and CBOR maps that a profile describes member by member (docs/compiled-profile.md):
 * what frames of the application are, and what may be around a payload.
 */
#ifndef OBJECT_H
#define OBJECT_H

#include "peer.h"
#include "spelling.h"

enum { MAX_OBJECTS = 16, MAX_OBJECT_FIELDS = 32, MAX_OBJECT_DEPTH = 4, MAX_FIELD_NAME = 64, MAX_OBJECT_OCTETS = 1 << 20 };

enum field_type { FIELD_NUMBER, FIELD_TEXT, FIELD_BOOLEAN, FIELD_OCTETS, FIELD_BASE64, FIELD_BASE64URL, FIELD_HEX,
                  FIELD_OBJECT };

/* What a member has for a value. */
enum field_meaning {
    MEANS_NOTHING,                 /* of an object: that of its members */
    MEANS_CONSTANT, MEANS_ATTESTERS, MEANS_VERDICT, MEANS_REASON, MEANS_DEFINED, MEANS_PAYLOAD, MEANS_NONCE
};

struct object_field {
    char name[MAX_FIELD_NAME];
    int numbered;                  /* key is the one of the member, in CBOR */
    uint64_t key;
    enum field_type type;
    enum field_meaning means;
    const char *is[4];             /* constants: one; by client + 2 * server; accepted and refused. NULL: absent */
    const char *defined;
    int object;                    /* of FIELD_OBJECT */
    int optional, any;
    size_t floor, ceiling;         /* octets */
};

struct object_rule {
    const char *name;
    int cbor, ignores;
    int reports;                   /* it tells the peer of a verdict or a failure */
    int tells;                     /* of those, or of who attests */
    struct object_field fields[MAX_OBJECT_FIELDS]; /* in the order in which they are written */
    size_t field_count;
};

/* What is wrong with an object. */
struct object_error {
    enum failure failure;
    char detail[200];
};

/* What members are made of, and compared with. */
struct object_content {
    int attesters[2];              /* by role */
    const char *reason;            /* why this end refuses the peer; NULL: it does not */
    void *context;
    /* The octets of a payload, a nonce or a definition, or NULL where there are none. Returns 0 or an error.
     * What is read asks for definitions alone. */
    int (*octets)(void *context, const struct object_field *f, struct octets *out);
};

/* What an object has told. */
struct object_told {
    struct octets payload, nonce;  /* NULL: it has none */
    int refused;
    char reason[100];
};

enum { OBJECT_BAD = 1 };

/* Write and read one of a profile's objects. Return 0, OBJECT_BAD after filling error, or what octets() has
 * returned. */
int object_write(const struct object_rule *all, int object, const struct object_content *c, struct text *out,
                 struct object_error *error);
int object_read(const struct object_rule *all, int object, const unsigned char *p, size_t len,
                const struct object_content *c, struct object_told *told, struct object_error *error);
void object_told_free(struct object_told *told);

/* Writes what is wrong, and returns OBJECT_BAD. */
int object_bad(struct object_error *error, enum failure f, const char *format, ...)
__attribute__((format(printf, 3, 4)));

/* Which of its constants a member has. */
int object_which(const struct object_field *f, const struct object_content *c);
/* The text that octets are in a member that is no byte string. */
enum spelling object_spelling(enum field_type t);

/* ---- the two encodings ---- */

/* A member that was received. */
struct entry {
    struct text key;
    int numbered;
    uint64_t number;
    const unsigned char *value;    /* as it stands there */
    size_t len;
    int null;
};

enum { MAX_ENTRIES = 64 };
struct entries {
    struct entry list[MAX_ENTRIES];
    size_t count;
};
void entries_free(struct entries *e);

/* What a value is that is neither an object nor a list. */
enum scalar { NO_SCALAR, SCALAR_TEXT, SCALAR_NUMBER, SCALAR_BOOLEAN, SCALAR_OCTETS };

/* object_json.c, object_cbor.c: all members of an object, which is all of the octets. Return 0 or OBJECT_BAD. */
int json_entries(const unsigned char *p, size_t len, struct entries *e, struct object_error *error);
int cbor_entries(const unsigned char *p, size_t len, struct entries *e, struct object_error *error);
/* The value as a text, or as octets. */
enum scalar json_scalar(const struct entry *e, struct text *out);
enum scalar cbor_scalar(const struct entry *e, struct text *out);

#endif
