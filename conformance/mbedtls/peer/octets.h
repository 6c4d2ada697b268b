/*
 * Octet strings, readers and writers of the TLS presentation language, and a
 * text that grows.
 */
#ifndef OCTETS_H
#define OCTETS_H

#include <stddef.h>
#include <stdint.h>

/* A string of octets on the heap; p is NULL when there is none. */
struct octets {
    unsigned char *p;
    size_t len;
};

/* Frees what was there and copies len octets. Returns 0, or -1 without memory. */
int octets_set(struct octets *o, const unsigned char *p, size_t len);
void octets_free(struct octets *o);
int octets_equal(const struct octets *a, const unsigned char *p, size_t len);
/* Whether they are UTF-8: no surrogates, nothing longer than needed. */
int octets_are_utf8(const unsigned char *p, size_t len);

/* Reads left to right; once it ran out of octets, bad stays set and every
 * further read gives zero. */
struct reader {
    const unsigned char *p;
    const unsigned char *end;
    int bad;
};

struct reader read_all(const unsigned char *p, size_t len);
uint32_t read_number(struct reader *r, int octets);
/* A vector whose length has so many octets. */
struct reader read_vector(struct reader *r, int length_octets);
size_t reader_left(const struct reader *r);
/* Whether all was read and nothing was missing. */
int reader_done(const struct reader *r);

/* Writes into a buffer of fixed size; bad is set when it is too small. */
struct writer {
    unsigned char *start;
    unsigned char *p;
    unsigned char *end;
    int bad;
};

struct writer write_into(unsigned char *p, size_t size);
void write_number(struct writer *w, uint32_t value, int octets);
void write_octets(struct writer *w, const unsigned char *p, size_t len);
void write_vector(struct writer *w, int length_octets, const unsigned char *p, size_t len);
/* Begins a vector; what is written until write_vector_end() is in it. */
size_t write_vector_begin(struct writer *w, int length_octets);
void write_vector_end(struct writer *w, int length_octets, size_t begin);
size_t writer_len(const struct writer *w);

/* A text that grows. Without memory it stays as it is and failed is set. */
struct text {
    char *p;
    size_t len;
    size_t size;
    int failed;
};

void text_add(struct text *t, const char *s, size_t len);
void text_printf(struct text *t, const char *format, ...)
__attribute__((format(printf, 2, 3)));
void text_hex(struct text *t, const unsigned char *p, size_t len);
void text_base64(struct text *t, const unsigned char *p, size_t len);
/* The head of a CBOR data item, as short as it can be (RFC 8949 section 4.2.1). */
void text_cbor_head(struct text *t, int major, uint64_t n);
/* The tag and the length of a value in DER, of less than 2^24 octets. */
void text_der_head(struct text *t, int tag, size_t len);
/* A JSON string, quotation marks included. */
void text_json(struct text *t, const char *s);
void text_free(struct text *t);

/* Reads an even number of hexadecimal digits. Returns 0 or -1. */
int octets_from_hex(struct octets *o, const char *hex);
/* Likewise, exactly len octets of them, into out. */
int octets_decode_hex(const char *hex, unsigned char *out, size_t len);

#endif
