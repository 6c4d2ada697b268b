/*
 * One end: what its connections share, and one connection over a transport that somebody
 * else owns.
 */
#ifndef END_H
#define END_H

#include "peer.h"

/* What all connections share. */
struct end {
    struct options options;
    mbedtls_entropy_context entropy;
    mbedtls_ctr_drbg_context random;
    mbedtls_ssl_config config;
    struct session_lists lists;
    mbedtls_x509_crt chain, anchors;
    mbedtls_pk_context key;
    mbedtls_x509_crt issuer;
    mbedtls_pk_context issuer_key;
    struct octets own_key, peer_key; /* raw public keys */
    struct tickets tickets;
};

/* How octets travel, as mbedtls_ssl_set_bio() has it. recv or recv_timeout is NULL. */
struct transport {
    void *context;
    mbedtls_ssl_send_t *send;
    mbedtls_ssl_recv_t *recv;
    mbedtls_ssl_recv_timeout_t *recv_timeout;
};

void end_init(struct end *e);
void end_free(struct end *e);
/* By options; returns 0, or an error after a message. */
int end_configure(struct end *e);
/* Makes one connection: the handshake, application data, and what became of it. Returns 0,
 * or why it failed. */
int end_run(struct end *e, const struct transport *t);
/* Prints a message and returns ret. */
int end_trouble(const char *what, int ret);

#endif
