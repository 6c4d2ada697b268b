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

void attestation_free(struct attestation *a)
{
    octets_free(&a->scheme);
    octets_free(&a->nonce);
    octets_free(&a->challenge);
    octets_free(&a->payload);
    octets_free(&a->spki);
    octets_free(&a->context);
    octets_free(&a->certificate);
    text_free(&a->verdict);
}

struct attestation *of_role(struct connection *c, enum role role)
{
    for (size_t i = FIRST_SLOT; i < c->attestation_count; i++) {
        if (c->attestations[i].attester == role && c->attestations[i].chosen) {
            return &c->attestations[i];
        }
    }
    return &c->attestations[role];
}

struct attestation *own(struct connection *c)
{
    return of_role(c, c->options->role);
}

struct attestation *peers(struct connection *c)
{
    return of_role(c, !c->options->role);
}

void connection_init(struct connection *c, const struct options *o)
{
    memset(c, 0, sizeof(*c));
    c->options = o;
    c->alert_sent = c->alert_received = -1;
    c->attestations[CLIENT].attester = CLIENT;
    c->attestations[SERVER].attester = SERVER;
    c->attestation_count = FIRST_SLOT;
    mbedtls_ssl_init(&c->ssl);
    mbedtls_pk_init(&c->attested_key);
}

void connection_free(struct connection *c)
{
    mbedtls_ssl_free(&c->ssl);
    mbedtls_pk_free(&c->attested_key);
    octets_free(&c->own_spki);
    octets_free(&c->peer_spki);
    octets_free(&c->own_certificate);
    octets_free(&c->peer_certificate);
    interpret_end(c);
    kept_free(&c->kept);
    for (size_t i = 0; i < c->attestation_count; i++) {
        attestation_free(&c->attestations[i]);
    }
    for (size_t i = 0; i < c->outcome_count; i++) {
        attestation_free(&c->outcomes[i]);
    }
    for (int i = 0; i < MAX_EXTENSIONS; i++) {
        octets_free(&c->hellos[i]);
    }
    mbedtls_platform_zeroize(c->exporter, sizeof(c->exporter));
}
