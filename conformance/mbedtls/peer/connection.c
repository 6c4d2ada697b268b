/* A connection: what it starts with, what it owns. */
#include <string.h>

#include "mbedtls/platform_util.h"

#include "peer.h"

void kept_free(struct kept *k)
{
    octets_free(&k->scheme);
    octets_free(&k->spki);
    octets_free(&k->status);
    octets_free(&k->valid_until);
    k->draft = NULL;
}

struct attestation *own(struct connection *c)
{
    return &c->attestations[c->options->role];
}

struct attestation *peers(struct connection *c)
{
    return &c->attestations[!c->options->role];
}

void connection_init(struct connection *c, const struct options *o)
{
    memset(c, 0, sizeof(*c));
    c->options = o;
    c->alert_sent = c->alert_received = -1;
    c->attestations[CLIENT].attester = CLIENT;
    c->attestations[SERVER].attester = SERVER;
    mbedtls_ssl_init(&c->ssl);
    mbedtls_pk_init(&c->attested_key);
}

void connection_free(struct connection *c)
{
    mbedtls_ssl_free(&c->ssl);
    mbedtls_pk_free(&c->attested_key);
    octets_free(&c->own_spki);
    octets_free(&c->peer_spki);
    kept_free(&c->kept);
    for (int i = 0; i < 2; i++) {
        struct attestation *a = &c->attestations[i];
        octets_free(&a->scheme);
        octets_free(&a->nonce);
        octets_free(&a->challenge);
        octets_free(&a->payload);
        octets_free(&a->spki);
        text_free(&a->verdict);
    }
    for (int i = 0; i < MAX_EXTENSIONS; i++) {
        octets_free(&c->hellos[i]);
    }
    mbedtls_platform_zeroize(c->exporter, sizeof(c->exporter));
}
