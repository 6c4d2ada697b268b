/* What the interpreter keeps of one connection. */
#include "interpretation.h"

#include <stdlib.h>

#include "mbedtls/platform_util.h"

struct attestation *attestation_of(struct connection *c, size_t slot)
{
    return &c->attestations[FIRST_SLOT + slot];
}

int nonce_draw(struct connection *c, size_t slot, uint64_t floor, uint64_t ceiling)
{
    const struct compiled *p = c->options->draft->compiled;
    struct octets *drawn = &attestation_of(c, slot)->nonce;
    unsigned char nonce[MAX_NONCE];
    uint64_t len = c->options->nonce_size != 0 ? c->options->nonce_size : p->nonce_size != 0 ? p->nonce_size : 32;
    int ret;

    if (drawn->p != NULL) { /* a second ClientHello repeats it */
        return 0;
    }
    if (p->nonce_default.p != NULL) {
        return octets_set(drawn, p->nonce_default.p, p->nonce_default.len) != 0 ? MBEDTLS_ERR_SSL_ALLOC_FAILED : 0;
    }
    len = len < floor ? floor : len > ceiling ? ceiling : len;
    len = p->nonce_max != 0 && len > p->nonce_max ? p->nonce_max : len;
    len = len > sizeof(nonce) ? sizeof(nonce) : len;
    ret = mbedtls_ctr_drbg_random(c->random, nonce, (size_t) len);
    return ret != 0 ? ret : octets_set(drawn, nonce, (size_t) len) != 0 ? MBEDTLS_ERR_SSL_ALLOC_FAILED : 0;
}

int interpret_begin(struct connection *c)
{
    const struct compiled *p = c->options->draft->compiled;

    c->interpretation = calloc(1, sizeof(*c->interpretation));
    if (c->interpretation == NULL) {
        return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    }
    c->interpretation->profile = p;
    mbedtls_x509_crt_init(&c->interpretation->made);
    c->attestation_count = FIRST_SLOT + p->slot_count;
    for (size_t k = 0; k < p->slot_count; k++) {
        attestation_of(c, k)->attester = p->slots[k].attester;
    }
    return 0;
}

void interpret_end(struct connection *c)
{
    struct interpretation *i = c->interpretation;

    if (i == NULL) {
        return;
    }
    for (size_t k = 0; k < i->message_count; k++) {
        octets_free(&i->messages[k].octets);
    }
    for (size_t k = 0; k < MAX_SLOTS; k++) {
        octets_free(&i->slots[k].list);
    }
    for (size_t k = 0; k < SECRETS; k++) {
        if (i->secrets[k].p != NULL) {
            mbedtls_platform_zeroize(i->secrets[k].p, i->secrets[k].len);
        }
        octets_free(&i->secrets[k]);
    }
    octets_free(&i->cookie);
    mbedtls_x509_crt_free(&i->made);
    text_free(&i->protocol);
    free(i);
    c->interpretation = NULL;
}

void interpret_secret(struct connection *c, mbedtls_ssl_key_export_type type, const unsigned char *secret, size_t len)
{
    static const struct {
        mbedtls_ssl_key_export_type type;
        enum secret secret;
    } kept[] = {
        { MBEDTLS_SSL_KEY_EXPORT_TLS1_3_EARLY_SECRET, EARLY_SECRET },
        { MBEDTLS_SSL_KEY_EXPORT_TLS1_3_SHARED_SECRET, SHARED_SECRET },
        { MBEDTLS_SSL_KEY_EXPORT_TLS1_3_HANDSHAKE_SECRET, HANDSHAKE_SECRET },
        { MBEDTLS_SSL_KEY_EXPORT_TLS1_3_EXPORTER_MASTER_SECRET, EXPORTER_SECRET },
    };

    for (size_t k = 0; c->interpretation != NULL && k < sizeof(kept) / sizeof(kept[0]); k++) {
        if (kept[k].type == type) {
            octets_set(&c->interpretation->secrets[kept[k].secret], secret, len);
        }
    }
}
