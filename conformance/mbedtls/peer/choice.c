/* What the ends choose from what they offer, as all drafts need it. */
#include "compiled.h"
#include "planted.h"

int choose(struct attestation *a, const char *slot, const struct octets *element)
{
    a->chosen = 1;
    a->slot = slot;
    return octets_set(&a->scheme, element->p, element->len) != 0 ? MBEDTLS_ERR_SSL_ALLOC_FAILED : 0;
}

void ask_client(struct connection *c)
{
    mbedtls_ssl_set_hs_authmode(&c->ssl, MBEDTLS_SSL_VERIFY_REQUIRED);
}

int demands_in_handshake(const struct options *o)
{
    const struct compiled *p = o->draft != NULL ? o->draft->compiled : NULL;
    int slots = p == NULL || !compiled_later(p);

    for (size_t i = 0; !slots && i < p->slot_count; i++) {
        slots = p->slots[i].attester != o->role && p->slots[i].models[o->scheme.model] &&
                p->slots[i].credentials[o->scheme.credential];
    }
    return o->require && slots;
}

int check_demand(struct connection *c, const char *message)
{
    if (!demands_in_handshake(c->options) || peers(c)->chosen || planted(PLANTED_DEMAND_UNCHECKED)) {
        return 0;
    }
    return fail(c, c->options->role == CLIENT ? FAIL_DEMANDED_BY_CLIENT : FAIL_DEMANDED_BY_SERVER,
                message, "no scheme was chosen for the %s, who must attest", role_name(peers(c)->attester));
}

uint8_t alone_type(const struct draft *d)
{
    return (uint8_t) code_point_sent(d, CERTIFICATE_TYPES, d->certificate_type);
}

int types_are_negotiated(const struct draft *d)
{
    return d->compiled != NULL && d->compiled->credentials[ALONE].rfc7250;
}

int settle_certificate_types(struct connection *c)
{
    uint8_t own_type = mbedtls_ssl_get_own_certificate_type(&c->ssl);
    uint8_t peer_type = mbedtls_ssl_get_peer_certificate_type(&c->ssl);

    if (c->options->scheme.credential == ALONE) {
        const int negotiated = types_are_negotiated(c->options->draft);
        own_type = own(c)->chosen ? alone_type(c->options->draft) : negotiated ? MBEDTLS_SSL_CERTIFICATE_TYPE_X509 :
            own_type;
        peer_type = peers(c)->chosen ? alone_type(c->options->draft) : negotiated ?
            MBEDTLS_SSL_CERTIFICATE_TYPE_X509 : peer_type;
    }
    return mbedtls_ssl_set_certificate_types(&c->ssl, own_type, peer_type);
}
