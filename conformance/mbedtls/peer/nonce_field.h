/*
 * Nonces in fields that RFCs define (docs/compiled-profile.md): a name of server_name, a protocol of ALPN, a name
 * of certificate_authorities, ClientHello.random. Here is how one is spelt, not when it is sent.
 */
#ifndef NONCE_FIELD_H
#define NONCE_FIELD_H

#include "spelling.h"

enum { MAX_ATTRIBUTES = 8, RANDOM_SIZE = 32 };

enum nonce_place { IN_NO_FIELD, IN_SERVER_NAME, IN_ALPN, IN_AUTHORITIES, IN_RANDOM };

/* Characters of a template, which belong to it. */
struct part {
    const char *p;
    size_t len;
};

struct nonce_field {
    enum nonce_place place;
    enum spelling codec;
    struct part prefix, suffix;    /* the text around the nonce */
    struct name_attribute {        /* of a name, each in a SET of its own */
        struct octets oid;
        struct part value;
        int has_nonce;             /* value is not used */
    } attributes[MAX_ATTRIBUTES];
    size_t attribute_count;
    size_t offset;                 /* in random */
    size_t floor, ceiling;         /* octets of the nonce */
    int selected;                  /* a server may select the protocol that holds it */
};

/* Takes a template apart, which must outlive f. Returns 0 or -1. */
int nonce_field_template(struct nonce_field *f, const char *as);
void nonce_field_free(struct nonce_field *f);

/* Adds the value with a nonce: text, or in certificate_authorities a name in DER. */
void nonce_field_write(const struct nonce_field *f, const struct octets *nonce, struct text *out);

enum found { FOUND_NONE, FOUND_NONCE, FOUND_BAD };
/* Whether a value is meant for the slot, and holds a nonce as the codec writes it, which is then taken. Without
 * memory it is FOUND_NONE. */
enum found nonce_field_read(const struct nonce_field *f, const unsigned char *p, size_t len, struct octets *nonce);

#endif
