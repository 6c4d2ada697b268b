/* What the parts of the reader of compiled profiles share: lines, fields, memory. */
#ifndef DOCUMENT_LINES_H
#define DOCUMENT_LINES_H

#include "document.h"

enum {
    MAX_FILE = 1 << 20, MAX_LINE = 65535, MAX_FIELDS = 1024, MAX_RECORDS = 8192, MAX_DEPTH = 32,
    MAX_NODES = 8192, MAX_TYPES = 1024
};

/* Memory that is freed as a whole. */
struct arena {
    struct arena *next;
    _Alignas(max_align_t) unsigned char p[];
};

struct lines {
    char *next, *end;          /* what is left of a copy of the file */
    size_t number;             /* of the present line */
    char *fields[MAX_FIELDS];  /* of the present line, as they are written */
    size_t count;
    struct arena **arena;
    size_t nodes;              /* of expressions, all together */
    char *reason;
    size_t reason_size;
    int failed;
};

/* Takes the next line apart. Returns whether there is one. */
int lines_next(struct lines *l);
/* Makes the present line the next one again. */
void lines_again(struct lines *l);
/* Says what is wrong with the present line; only the first time counts. Returns -1. */
int lines_fail(struct lines *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Whether the present line begins with this word and has so many fields after it;
 * a line with another number of them is wrong. */
int lines_is(struct lines *l, const char *word, size_t min, size_t max);

/* Zeroed memory of the document; NULL, and a failure, without any. */
void *lines_alloc(struct lines *l, size_t size);
/* A copy of an array that grows by one: of count elements, doubled as needed. */
void *lines_grow(struct lines *l, void *array, size_t count, size_t size);
/* So many characters as they were before they were encoded; NULL, and a failure, if
 * they are no text. A text has one encoding only: nothing is encoded that need not be. */
const char *lines_decode(struct lines *l, const char *field, size_t len);
/* A text field as it was before it was encoded; NULL, and a failure, if it is none. */
const char *lines_text(struct lines *l, const char *field);
int lines_number(struct lines *l, const char *field, uint64_t *number);

/* The parts of a document, each from the present line on. They return 0 or -1. */
int read_expression(struct lines *l, struct expression **e, size_t depth);
int read_types(struct lines *l, struct document *d);

#endif
