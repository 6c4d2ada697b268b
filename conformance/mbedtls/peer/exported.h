/*
 * Attestation after the handshake of one connection: exported.c makes and takes the octets of
 * requests and authenticators, and framed.c carries them in application data; frames.c has the
 * exchange of frames that takes their place in other profiles.
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
    const char *awaited;           /* the frame that is; NULL: none */
};

/* exported.c: once the handshake is complete. Return 0, or an error. */
int exported_begin(struct connection *c, mbedtls_x509_crt *chain, mbedtls_x509_crt *anchors);
void exported_end(struct connection *c);
int exported_request(struct exported *e, struct octets *out);
int exported_answer(struct exported *e, const unsigned char *request, size_t len, struct octets *out);
int exported_appraise(struct exported *e, const unsigned char *p, size_t len);
/* exported_application.c */
/* Tells RFC 9261 what it asks of its application. */
void exported_obey(struct exported *e);
/* Whether the request that is answered asks for a payload: 1, 0 or an error. */
int exported_is_asked(struct exported *e);
const char *exported_request_name(enum role attester);

/* attested.c */
/* Begins an attestation of this phase; shown is the context of the request, or the nonce. */
int exported_attestation(struct exported *e, struct attestation *a, enum role attester, enum later phase,
                         const struct octets *shown, const struct octets *spki, const struct octets *certificate);
/* Puts an attestation behind the others, which own it then. */
struct attestation *exported_remember(struct connection *c, struct attestation *a);
/* Puts the payload into its object, where it has one. */
int exported_wrap(struct exported *e, const struct attestation *a, struct text *out);
/* Takes the payload out of its object: 1, 0 where it is refused and nothing follows, or an error. */
int exported_unwrap(struct exported *e, struct attestation *a, const unsigned char *p, size_t len);

/* frames.c: the exchange at the beginning. */
int frames_attest(struct connection *c);

/* stream.c */
/* Reads so many octets, or ends the exchange. */
int stream_need(struct exported *e, unsigned char *p, size_t len);
/* What a failed read means in the middle of an exchange. */
int stream_lost(struct exported *e, int ret);
/* Ends the connection after an error, with the alert of a failure, or, where the profile says so,
 * only tells the application of it: then the connection is closed. Returns the error. */
int stream_end(struct exported *e, int ret);

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
