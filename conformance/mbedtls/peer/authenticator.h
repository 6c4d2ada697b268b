/*
 * Exported authenticators (RFC 9261) of one end of a connection. It needs an exporter,
 * the hash of the cipher suite and the ClientHello, and nothing else of TLS.
 */
#ifndef AUTHENTICATOR_H
#define AUTHENTICATOR_H

#include "mbedtls/pk.h"
#include "mbedtls/x509_crt.h"

#include "octets.h"

/* What bounds a peer. */
enum {
    AUTHENTICATOR_OCTETS = 1 << 17, /* of a request or an authenticator */
    AUTHENTICATOR_ENTRIES = 16,     /* certificates */
    AUTHENTICATOR_OPEN = 16,        /* requests of ours without an answer */
    AUTHENTICATOR_CONTEXTS = 4096,  /* of requests and authenticators together */
    AUTHENTICATOR_SCHEMES = 64,
    AUTHENTICATOR_EXTENSIONS = 64
};

/* What is said of a request or an authenticator. */
struct authenticator_claim {
    unsigned char type;             /* of a request, the message */
    struct octets context;
    uint16_t extensions[AUTHENTICATOR_EXTENSIONS]; /* of a request, in their order */
    size_t extension_count;
    uint16_t schemes[AUTHENTICATOR_SCHEMES];       /* of a request; of an authenticator, the one */
    size_t scheme_count;
    int empty, spontaneous;
    unsigned char chain[AUTHENTICATOR_ENTRIES][32]; /* SHA-256 of each certificate */
    size_t chain_count;
};

/* Where an extension of the application stands that has come. */
enum authenticator_place {
    PLACE_UNKNOWN,                  /* it is none of the application's */
    PLACE_FITS, PLACE_UNASKED, PLACE_WRONG_ENTRY, PLACE_WRONG_MESSAGE
};

/* What the application adds to requests and authenticators. Each function may be NULL; one
 * that returns -1 has kept its own reason. */
struct authenticator_application {
    void *context;
    /* Writes extensions of a request of ours. */
    int (*ask)(void *context, struct writer *w);
    /* Writes the extensions of our first CertificateEntry. */
    int (*show)(void *context, const struct authenticator_claim *asked, struct writer *w);
    /* message is the request or Certificate; asked are the extensions of the request. */
    enum authenticator_place (*place)(void *context, unsigned type, int message, size_t entry, const uint16_t *asked,
                                      size_t count);
    /* Judges an authenticator that was right: its chain, and the extensions of the first entry. */
    int (*take)(void *context, const struct authenticator_claim *got, mbedtls_x509_crt *chain,
                struct reader extensions);
};

struct authenticator_config {
    int server;                     /* the role of this end */
    mbedtls_md_type_t hash;
    int (*export)(void *context, const char *label, unsigned char *out, size_t len); /* returns 0 or an error */
    void *exporter;
    int (*random)(void *context, unsigned char *out, size_t len);
    void *rng;
    mbedtls_x509_crt *chain;        /* what is shown; NULL: nothing */
    mbedtls_pk_context *key;
    struct octets client_hello;     /* whole, with its header; empty: no authenticator without a request */
    struct authenticator_application application;
};

void authenticator_claim_free(struct authenticator_claim *c);

struct authenticators;

/* Each function below returns 0, or -1 after it has kept a failure and its reason. The
 * config, and what it points to, must live as long. NULL without memory. */
struct authenticators *authenticators_new(const struct authenticator_config *config);
void authenticators_free(struct authenticators *a);
/* The name of the failure, as docs/claims.md spells it, and what happened. */
const char *authenticators_failure(const struct authenticators *a);
const char *authenticators_reason(const struct authenticators *a);

int authenticators_request(struct authenticators *a, const unsigned char *context, size_t len, struct octets *out,
                           struct authenticator_claim *made);
/* Answers a request with our certificate, or by refusing it, as it does where our key
 * fits no scheme of the request. */
int authenticators_answer(struct authenticators *a, const unsigned char *request, size_t len, int refuse, struct octets *out,
                          struct authenticator_claim *asked, struct authenticator_claim *made);
/* A server's, that answers no request. */
int authenticators_spontaneous(struct authenticators *a, const unsigned char *context, size_t len, struct octets *out,
                               struct authenticator_claim *made);
/* Validates one of the peer. Whether its chain is trusted is for the caller to say. */
int authenticators_check(struct authenticators *a, const unsigned char *p, size_t len, struct authenticator_claim *got);

#endif
