/*
 * Attestation in exported authenticators of one connection: exported.c makes and takes the
 * octets, and framed.c carries them in application data.
 */
#ifndef EXPORTED_H
#define EXPORTED_H

#include "authenticator.h"
#include "compiled.h"

enum { MAX_REQUESTS = 4096, MAX_HELD = 1 << 20 };

struct exported {
    struct connection *c;
    const struct compiled *profile;
    struct authenticator_config config;
    struct authenticators *authenticators;
    mbedtls_x509_crt *anchors;
    int asks, attests;             /* what this end does */
    int optional;                  /* a peer may have nothing to show */
    struct octets request;         /* that is being answered, a view */
    struct attestation *shown;     /* in the answer */
    int ret;                       /* why the application refused */

    int answered;                  /* requests of the peer */
    int open;                      /* a request of ours is */
    int accepted;                  /* the peer, as far as it is asked */
    struct octets held;            /* a request that waits for that */
    size_t left;                   /* octets of a data frame that are still to come */
    struct text data;              /* that came while something else was waited for */
    size_t taken;                  /* of them */
};

/* exported.c: once the handshake is complete. Return 0, or an error. */
int exported_begin(struct connection *c, mbedtls_x509_crt *chain, mbedtls_x509_crt *anchors);
void exported_end(struct connection *c);
int exported_request(struct exported *e, struct octets *out);
int exported_answer(struct exported *e, const unsigned char *request, size_t len, struct octets *out);
int exported_appraise(struct exported *e, const unsigned char *p, size_t len);

/* framed.c */
/* The exchange at the beginning. */
int framed_attest(struct connection *c);
/* Asks again. framed_wait() waits for the verdict, and until the peer has asked so often. */
int framed_ask(struct connection *c);
int framed_wait(struct connection *c, int answered);
/* As traffic_send() and traffic_receive() of a connection whose data may have frames. */
int framed_send(struct connection *c, const unsigned char *p, size_t len);
int framed_receive(struct connection *c, unsigned char *buf, size_t size);

#endif
