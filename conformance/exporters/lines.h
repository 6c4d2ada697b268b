/*
 * One end of a TLS connection that obeys lines of text: what a program in another
 * language needs of a connection in order to do RFC 9261 over it. docs/authenticators.md
 * has the words.
 */
#ifndef LINES_H
#define LINES_H

#include <stddef.h>

enum { MAX_FRAME = 1 << 20, MAX_EXPORT = 1 << 14, MAX_FIELDS = 6 };

struct field {
    unsigned char *p;
    size_t len;
    int given;            /* "-" is a field that is not given */
};

/* A word with its number of fields in hexadecimal. What it returns is printed behind
 * the word of its answer. */
struct word {
    const char *name;
    int fields;
    /* Returns 0 after lines_answer(), or -1 after lines_problem(). */
    int (*run)(void *end, const struct field *fields);
};

/* What a stack does. Each function returns 0, or -1 after lines_problem(). */
struct end {
    void *context;
    int (*export)(void *context, const struct field *label, const struct field *value, unsigned char *out, size_t len);
    int (*write)(void *context, const unsigned char *p, size_t len);
    int (*read)(void *context, unsigned char *p, size_t len); /* all of it */
    int (*close)(void *context);
    const struct word *words; /* further ones, the last without a name; or NULL */
};

/* Prints a line in parts: a word, then its fields, in hexadecimal. */
void lines_begin(const char *word);
void lines_field(const unsigned char *p, size_t len);
void lines_end(void);
/* A line with one field; p is NULL where it has none. */
void lines_answer(const char *word, const unsigned char *p, size_t len);
/* Keeps a reason for the line "error REASON", and returns -1. */
int lines_problem(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *lines_reason(void);
/* Obeys lines until "close", the end of the input, or a line that is too long. Returns
 * 0, or -1 where the connection could not be closed. */
int lines_serve(const struct end *e);

#endif
