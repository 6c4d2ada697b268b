/*
 * A compiled profile as it stands in its file (docs/compiled-profile.md): records
 * by path, expressions, types. What the records mean is for compiled.c to say.
 */
#ifndef DOCUMENT_H
#define DOCUMENT_H

#include <stddef.h>
#include <stdint.h>

#include "octets.h"

/* ---- expressions ---- */

enum expression_kind { EXPR_OCTETS, EXPR_INTEGER, EXPR_VALUE, EXPR_DEFINE, EXPR_RANGE, EXPR_CALL };

/* Whose value: THE_ROLE is that of the attester in question. */
enum expression_role { NO_ROLE, THE_ROLE, ROLE_CLIENT, ROLE_SERVER, ROLE_PHA };

struct expression {
    enum expression_kind kind;
    const char *name;              /* terminal, definition, end of the range, function */
    enum expression_role role;
    int excluded;                  /* a range that stops in front of its end */
    uint64_t number;
    struct octets octets;
    size_t count;                  /* of arguments; a map has two for each pair */
    struct expression **arguments;
};

/* ---- records ---- */

enum record_kind { RECORD_MAP, RECORD_KEY, RECORD_LIST, RECORD_EXPRESSION };

/* A path as it is written: components, in their encoded form, with "/" between
 * them. Every text has one encoding, so that paths can be compared as they are. */
struct record {
    enum record_kind kind;
    const char *path;
    size_t line;
    size_t count;                  /* of values: one for a key */
    const char **values;
    struct expression *expression;
    int used;                      /* somebody asked for it */
};

/* ---- types ---- */

struct type;

/* Numbers of a dimension, in prefix order as in the file. */
struct size_token {
    enum { SIZE_NUMBER, SIZE_OPERATOR, SIZE_FIELD } kind;
    uint64_t number;               /* or the operator's character */
    const char *field;
};

enum dimension_kind { DIM_ONE, DIM_CONSTANT, DIM_VECTOR, DIM_ARRAY };

struct dimension {
    enum dimension_kind kind;
    uint64_t constant;
    uint64_t floor, ceiling;       /* octets */
    struct size_token *tokens;
    size_t token_count;
};

enum selector { BY_FIELD, BY_MESSAGE, BY_CONNECTION_END, BY_CLIENT_OR_SERVER };

struct enumerator {
    const char *name;              /* "" where the number has none */
    uint64_t first, last;
};

struct arm {
    struct enumerator *cases;      /* of an outer parameter: the name counts only */
    size_t case_count;
    struct member *members;
    size_t member_count;
};

struct member {
    int is_select;
    const char *name;              /* of a field, "" for none; the label of a select */
    const char *type_name;
    const struct type *type;
    struct dimension dimension;
    enum selector selector;
    const char *field;             /* BY_FIELD */
    struct arm *arms;
    size_t arm_count;
};

enum type_kind { TYPE_NUMBER, TYPE_OPAQUE, TYPE_ENUM, TYPE_STRUCT, TYPE_ALIAS };

struct type {
    enum type_kind kind;
    const char *name;
    int width;                     /* octets of a number or enum */
    struct enumerator *enumerators;
    size_t enumerator_count;
    struct member *members;
    size_t member_count;
    struct member target;          /* of an alias */
};

/* ---- the whole ---- */

struct document {
    struct record *records;
    size_t record_count;
    struct type *types;
    size_t type_count;
    void *arena;                   /* what all of this is made of */
};

/* Reads a whole file's octets. Returns 0, or -1 after it wrote to reason which
 * line is wrong, and how. Nothing is kept of the octets. */
int document_read(struct document *d, const unsigned char *p, size_t len, char *reason, size_t size);
void document_free(struct document *d);

/* The record of a path made like printf() does, or NULL. It counts as used. */
struct record *document_find(const struct document *d, const char *format, ...)
__attribute__((format(printf, 2, 3)));
/* The value of a key; NULL where there is no such key, or it is no key. */
const char *document_value(const struct document *d, const char *format, ...)
__attribute__((format(printf, 2, 3)));
/* The component of a map's path that a record adds, if the record stands directly
 * in the map; NULL otherwise. It is still encoded. */
const char *document_child(const struct record *r, const char *map);
const struct type *document_type(const struct document *d, const char *name);
/* Writes the encoded form of a text. Returns 0, or -1 where it does not fit. */
int text_encode(const char *text, char *out, size_t size);
/* Whether a text is a decimal number without leading zeros, and which. */
int text_number(const char *text, uint64_t *number);

#endif
