/* What the files of RFC 9261 share of one end of a connection. */
#ifndef AUTHENTICATOR_STATE_H
#define AUTHENTICATOR_STATE_H

#include "mbedtls/ecp.h"
#include "mbedtls/md.h"

#include "authenticator.h"

enum {
    CLIENT_HELLO = 1, CERTIFICATE = 11, CERTIFICATE_REQUEST = 13, CERTIFICATE_VERIFY = 15,
    CLIENT_CERTIFICATE_REQUEST = 17, FINISHED = 20
};
enum { EXT_SERVER_NAME = 0, EXT_STATUS_REQUEST = 5, EXT_SIGNATURE_ALGORITHMS = 13, EXT_SCT = 18 };
enum { HEADER = 4, MAX_SIGNATURE = 1024 };

/* A request of ours that is not answered yet, or what a spontaneous authenticator may
 * have: the extensions and schemes that were offered. */
struct asked {
    struct octets context;
    struct octets raw;              /* empty: no request */
    uint16_t extensions[AUTHENTICATOR_EXTENSIONS];
    size_t extension_count;
    uint16_t schemes[AUTHENTICATOR_SCHEMES];
    size_t scheme_count;
};

/* The values of RFC 9261 section 5.1 for a sender. */
struct au_keys {
    int there;
    unsigned char context[MBEDTLS_MD_MAX_SIZE], finished[MBEDTLS_MD_MAX_SIZE];
};

struct authenticators {
    const struct authenticator_config *config;
    size_t hash_len;
    struct au_keys keys[2];            /* by the role of the sender: 1 is the server */
    struct asked open[AUTHENTICATOR_OPEN];
    size_t open_count;
    struct asked hello;             /* of the ClientHello */
    int hello_read;
    unsigned char (*used)[32];      /* SHA-256 of each context */
    size_t used_count;
    const char *failure;
    char reason[256];
};

/* A signature scheme. */
struct au_scheme {
    uint16_t number;
    mbedtls_pk_type_t key;
    mbedtls_ecp_group_id curve;
    mbedtls_md_type_t hash;
};

int au_failed(struct authenticators *a, const char *failure, const char *format, ...)
__attribute__((format(printf, 3, 4)));
int au_no_memory(struct authenticators *a);
void au_asked_free(struct asked *q);
struct au_keys *au_keys(struct authenticators *a, int server);
int au_hash(struct authenticators *a, const struct au_keys *k, const struct octets *parts, size_t count, unsigned char *out);
int au_mac(struct authenticators *a, const struct au_keys *k, const struct octets *parts, size_t count, unsigned char *out);
int au_context_unused(struct authenticators *a, const unsigned char *p, size_t len, unsigned char *sum);
int au_context_use(struct authenticators *a, const unsigned char *p, size_t len);
int au_belongs_elsewhere(unsigned type);
int au_offered(const struct asked *q, unsigned type);
enum authenticator_place au_place(const struct authenticators *a, unsigned type, int message, size_t entry, const struct asked *q);
int au_read_offer(struct authenticators *a, struct reader list, struct asked *q, unsigned char type);
const struct asked *au_hello(struct authenticators *a);
const struct au_scheme *au_scheme(unsigned number);
int au_scheme_fits(const struct au_scheme *s, mbedtls_pk_context *key);
int au_scheme_in(const struct asked *q, unsigned number);
int au_sign(struct authenticators *a, const struct au_scheme *s, const unsigned char *hash, unsigned char *out, size_t *len);
int au_verifies(struct authenticators *a, const struct au_scheme *s, mbedtls_pk_context *key, const unsigned char *hash,
                    struct reader signature);
int au_note_certificate(struct authenticators *a, const unsigned char *p, size_t len, struct authenticator_claim *claim);
/* asked is the request that it answers, NULL for none. */
int au_write_certificate(struct authenticators *a, struct writer *w, const struct octets *context, int empty,
                         const struct authenticator_claim *asked, struct authenticator_claim *made);

#endif
