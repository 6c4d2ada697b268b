/* JSON (RFC 8259), read where it stands: the answers of programs, and objects of a peer. */
#ifndef JSON_H
#define JSON_H

#include <stdint.h>

#include "octets.h"

/* A value as it stands in the text, not terminated; p is NULL when missing. */
struct json {
    const char *p;
    size_t len;
};

/* The members of an object, one after the other. */
struct json_walk {
    const char *p, *end;
    int begun;
};
struct json_walk json_walk(const char *text, size_t len);
/* The next one: 1; 0 behind the last, where the text is one JSON object; or -1. What follows a
 * member has not been looked at. */
int json_next(struct json_walk *w, struct json *key, struct json *value);
/* Adds the characters of a string that json_next() has found. Returns 0, or -1 when it is none. */
int json_string(struct json v, struct text *out);
/* The member of an object. Sets *bad when the text is not one JSON object, or has
 * the member twice. */
struct json json_member(const char *text, size_t len, const char *name, int *bad);
/* Whether the value is this string (without escapes). */
int json_is(struct json v, const char *s);
/* Reads a string with a time as RFC 3339 has it, as seconds since 1970. Returns 0,
 * or -1 when it is not that. */
int json_time(struct json v, int64_t *seconds);
/* Decodes a string with base64. Returns 0, or -1 when it is not that. */
int json_base64(struct json v, struct octets *out);

#endif
