/* The library's callbacks, handed on to the draft in force. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mbedtls/psa_util.h"

#include "binder.h"
#include "peer.h"
#include "planted.h"

static struct connection *of(mbedtls_ssl_context *ssl)
{
    return mbedtls_ssl_get_user_data_p(ssl);
}

/* A second ClientHello repeats what the first one offered. */
static int same_offer(struct connection *c, unsigned type, const unsigned char *buf, size_t len)
{
    const struct draft *d = c->options->draft;

    for (size_t i = 0; i < d->extension_count; i++) {
        if (d->extensions[i].type != type) {
            continue;
        }
        c->seen[i]++;
        if (planted(PLANTED_OFFER_TRUNCATION)) {
            const uint8_t size = (uint8_t) len;
            unsigned char *kept = malloc(size);
            for (size_t k = 0; kept != NULL && k < len; k++) {
                ((volatile unsigned char *) kept)[k] = buf[k];
            }
            free(kept);
        }
        if (planted(PLANTED_OFFER_CHANGED)) {
            return 0;
        }
        if (c->seen[i] == 1) {
            return octets_set(&c->hellos[i], buf, len) != 0 ? MBEDTLS_ERR_SSL_ALLOC_FAILED : 0;
        }
        if (planted(PLANTED_OFFER_USE_AFTER_FREE) && len != c->hellos[i].len) {
            free(c->hellos[i].p);
            return c->hellos[i].p[0] == buf[0] ? 0 : MBEDTLS_ERR_SSL_DECODE_ERROR;
        }
        if (!octets_equal(&c->hellos[i], buf, len)) {
            return fail(c, FAIL_OFFER_CHANGED, "client_hello",
                        "the offer differs from that of the first ClientHello");
        }
    }
    return 0;
}

static int complete_offer(struct connection *c)
{
    if (!c->hello_retry) {
        return 0;
    }
    for (size_t i = 0; i < c->options->draft->extension_count; i++) {
        if (c->seen[i] == 1 && c->options->draft->extensions[i].type != MBEDTLS_TLS_EXT_COOKIE) {
            return fail(c, FAIL_OFFER_CHANGED, "client_hello",
                        "only one of the two ClientHello messages has the offer");
        }
    }
    return 0;
}

static int on_write(void *ctx, mbedtls_ssl_context *ssl, int message, unsigned int type,
                    size_t entry, unsigned char *buf, size_t size, size_t *len)
{
    struct connection *c = of(ssl);
    struct writer w = write_into(buf, size);
    int ret;

    (void) ctx;
    if (type == EXT_TLS_FLAGS && flags_used(c->options)) {
        ret = flags_write(c, message, &w);
        *len = writer_len(&w);
        return ret;
    }
    type = code_point_received(c->options->draft, EXTENSIONS, type);
    ret = c->options->draft->write(c, message, type, entry, &w);
    if (ret == 0 && w.bad) {
        ret = MBEDTLS_ERR_SSL_BUFFER_TOO_SMALL;
    }
    *len = writer_len(&w);
    return ret;
}

static int on_read(void *ctx, mbedtls_ssl_context *ssl, int message, unsigned int type,
                   size_t entry, const unsigned char *buf, size_t len)
{
    struct connection *c = of(ssl);
    int ret;

    (void) ctx;
    if (type == EXT_TLS_FLAGS && flags_used(c->options)) {
        return flags_read(c, message, read_all(buf, len));
    }
    type = code_point_received(c->options->draft, EXTENSIONS, type);
    ret = message == MBEDTLS_SSL_HS_CLIENT_HELLO ? same_offer(c, type, buf, len) : 0;
    return ret != 0 ? ret : c->options->draft->read(c, message, type, entry, read_all(buf, len));
}

static int on_done(void *ctx, mbedtls_ssl_context *ssl, int message, int received)
{
    struct connection *c = of(ssl);

    (void) ctx;
    observe_handshake(c);
    if (message == MBEDTLS_SSL_HS_CLIENT_HELLO) {
        int ret = complete_offer(c);
        if (ret != 0) {
            return ret;
        }
    }
    if (c->psk_mode != 0) {
        return session_resumed(c);
    }
    return c->options->draft->done(c, message, received);
}

static int on_secrets(void *ctx, mbedtls_ssl_context *ssl, psa_algorithm_t hash,
                      const unsigned char *transcript, size_t len)
{
    struct connection *c = of(ssl);

    (void) ctx;
    observe_handshake(c);
    c->hash = hash == PSA_ALG_SHA_384 ? MBEDTLS_MD_SHA384 : MBEDTLS_MD_SHA256;
    memcpy(c->transcript, transcript, len);
    c->transcript_len = len;
    return mbedtls_ssl_derive_handshake_secret(ssl, "h exp master", 12, c->exporter, sizeof(c->exporter));
}

/* Keeps the key of the peer's end-entity certificate. */
static int on_verify(void *ctx, mbedtls_x509_crt *crt, int depth, uint32_t *flags)
{
    struct connection *c = ctx;

    if (c->options->verify_evidence) {
        *flags = 0; /* the verdict on the key decides, once the message was read */
    }
    if (depth == 0 && (octets_set(&c->peer_spki, crt->pk_raw.p, crt->pk_raw.len) != 0 ||
                       octets_set(&c->peer_certificate, crt->raw.p, crt->raw.len) != 0)) {
        return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    }
    return 0;
}

/* ---- a credential alone: cert_data is the CMW ---- */

static int on_certificate_write(void *ctx, mbedtls_ssl_context *ssl, unsigned char *buf,
                                size_t size, size_t *len)
{
    struct connection *c = of(ssl);
    struct writer w = write_into(buf, size);
    int ret = evidence_make(c, own(c), "certificate");

    (void) ctx;
    *len = 0;
    if (ret != 0) {
        return ret;
    }
    mbedtls_ssl_set_own_key(ssl, &c->attested_key);
    write_octets(&w, own(c)->payload.p, own(c)->payload.len);
    *len = writer_len(&w);
    return w.bad ? MBEDTLS_ERR_SSL_BUFFER_TOO_SMALL : 0;
}

static int on_certificate_read(void *ctx, mbedtls_ssl_context *ssl, const unsigned char *buf,
                               size_t len, mbedtls_pk_context *key)
{
    struct connection *c = of(ssl);
    struct attestation *a = peers(c);
    int ret;

    (void) ctx;
    if (octets_set(&a->payload, buf, len) != 0) {
        return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    }
    ret = evidence_judge(c, a, "certificate");
    if (ret != 0) {
        return ret;
    }
    if (mbedtls_pk_parse_public_key(key, a->spki.p, a->spki.len) != 0) {
        return fail(c, FAIL_KEY_UNUSABLE, "certificate", "the attested key cannot be used");
    }
    if (c->options->draft->raw_signature && /* of 64 octets */
        (!mbedtls_pk_can_do(key, MBEDTLS_PK_ECKEY) || mbedtls_pk_get_bitlen(key) != 256)) {
        return fail(c, FAIL_KEY_UNUSABLE, "certificate", "the attested key is not on secp256r1");
    }
    return 0;
}

/* The prototype's client sends r || s in place of DER. */
static int on_encode_signature(void *ctx, mbedtls_ssl_context *ssl, uint16_t sig_alg,
                               unsigned char *sig, size_t size, size_t *len)
{
    unsigned char raw[2 * 66];
    size_t raw_len;
    int ret;

    (void) ctx;
    (void) sig_alg;
    if (!of(ssl)->options->draft->raw_signature) {
        return 0;
    }
    ret = mbedtls_ecdsa_der_to_raw(256, sig, *len, raw, sizeof(raw), &raw_len);
    if (ret != 0 || raw_len > size) {
        return ret != 0 ? ret : MBEDTLS_ERR_SSL_BUFFER_TOO_SMALL;
    }
    memcpy(sig, raw, raw_len);
    *len = raw_len;
    return 0;
}

static int on_decode_signature(void *ctx, mbedtls_ssl_context *ssl, uint16_t sig_alg,
                               const unsigned char *sig, size_t len,
                               unsigned char *out, size_t size, size_t *olen)
{
    (void) ctx;
    (void) sig_alg;
    if (!of(ssl)->options->draft->raw_signature) {
        if (len > size) {
            return MBEDTLS_ERR_SSL_BUFFER_TOO_SMALL;
        }
        memcpy(out, sig, len);
        *olen = len;
        return 0;
    }
    return mbedtls_ecdsa_raw_to_der(256, sig, len, out, size, olen);
}

/* ---- raw public keys ---- */

static int on_raw_key_read(void *ctx, mbedtls_ssl_context *ssl, const unsigned char *buf,
                           size_t len, mbedtls_pk_context *key)
{
    struct connection *c = of(ssl);

    (void) ctx;
    (void) key;
    if (planted(PLANTED_RAW_KEY_BEGINNING) && len == c->accepted_key->len && memcmp(c->accepted_key->p, buf, 26) == 0) {
        return octets_set(&c->peer_spki, buf, len) != 0 ? MBEDTLS_ERR_SSL_ALLOC_FAILED : 0;
    }
    if (!octets_equal(c->accepted_key, buf, len) && !planted(PLANTED_RAW_KEY_UNCHECKED)) {
        mbedtls_ssl_set_fatal_alert(ssl, MBEDTLS_SSL_ALERT_MSG_CERT_UNKNOWN, MBEDTLS_ERR_X509_CERT_VERIFY_FAILED);
        return MBEDTLS_ERR_X509_CERT_VERIFY_FAILED;
    }
    return octets_set(&c->peer_spki, buf, len) != 0 ? MBEDTLS_ERR_SSL_ALLOC_FAILED : 0;
}

static const uint8_t raw_key_only[] = { MBEDTLS_SSL_CERTIFICATE_TYPE_RAW_PUBLIC_KEY };

static const mbedtls_ssl_certificate_type certificate_types[] = {
    { .type = MBEDTLS_SSL_CERTIFICATE_TYPE_RAW_PUBLIC_KEY, .read = on_raw_key_read },
    { .write = on_certificate_write, .read = on_certificate_read,
      .encode_signature = on_encode_signature, .decode_signature = on_decode_signature },
};

static int configure_certificate_types(mbedtls_ssl_config *conf, const struct options *o, struct session_lists *lists)
{
    int alone = o->draft != NULL && o->draft->certificate_type != 0, ret;

    memcpy(lists->types, certificate_types, sizeof(certificate_types));
    if (alone) {
        lists->types[1].type = alone_type(o->draft);
    }
    ret = mbedtls_ssl_conf_certificate_types(conf, lists->types, alone ? 2 : 1, NULL);
    if (ret == 0 && o->raw_keys) {
        ret = mbedtls_ssl_conf_certificate_type_lists(conf, raw_key_only, sizeof(raw_key_only),
                                                      raw_key_only, sizeof(raw_key_only));
    } else if (ret == 0 && alone && o->scheme.credential == ALONE && types_are_negotiated(o->draft)) {
        const int own = o->attests[o->role], peer = o->attests[!o->role];
        const size_t size = sizeof(lists->alone_or_x509);
        lists->alone_or_x509[0] = alone_type(o->draft);
        lists->alone_or_x509[1] = MBEDTLS_SSL_CERTIFICATE_TYPE_X509;
        ret = mbedtls_ssl_conf_certificate_type_lists(conf, own ? lists->alone_or_x509 : NULL, own ? size : 0,
                                                      peer ? lists->alone_or_x509 : NULL, peer ? size : 0);
    }
    return ret;
}

int session_configure(mbedtls_ssl_config *conf, const struct options *o, struct session_lists *lists)
{
    const struct draft *d = o->draft;
    size_t count = 0;
    int ret = configure_certificate_types(conf, o, lists);

    if (ret != 0 || d == NULL) {
        return ret;
    }
    mbedtls_ssl_conf_handshake_secrets_cb(conf, on_secrets, NULL);
    if (d->compiled != NULL && (ret = interpret_configure(conf, o)) != 0) {
        return ret;
    }
    for (size_t i = 0; i < d->extension_count; i++) {
        if (o->role == CLIENT && d->extensions[i].type == MBEDTLS_TLS_EXT_COOKIE) {
            continue; /* which the library sends back */
        }
        lists->extensions[count] = d->extensions[i];
        lists->extensions[count].type = (uint16_t) code_point_sent(d, EXTENSIONS, d->extensions[i].type);
        count++;
    }
    if (flags_used(o)) {
        lists->extensions[count++] = (mbedtls_ssl_custom_ext) {
            EXT_TLS_FLAGS, MBEDTLS_SSL_CUSTOM_EXT_CLIENT_HELLO | MBEDTLS_SSL_CUSTOM_EXT_ENCRYPTED_EXTENSIONS, 0
        };
    }
    ret = mbedtls_ssl_conf_custom_extensions(conf, lists->extensions, count,
                                             on_write, on_read, on_done, NULL);
    if (ret == MBEDTLS_ERR_SSL_BAD_INPUT_DATA) {
        fprintf(stderr, "mbedtls-peer: mbedTLS handles an extension of this number itself, or two have the same\n");
    }
    return ret;
}

static void on_export(void *ctx, mbedtls_ssl_key_export_type type, const unsigned char *secret, size_t len,
                      const unsigned char client_random[32], const unsigned char server_random[32],
                      mbedtls_tls_prf_types prf)
{
    struct connection *c = ctx;

    interpret_secret(c, type, secret, len);
    if (c->options->keylog != NULL) {
        keylog_export((void *) c->options->keylog, type, secret, len, client_random, server_random, prf);
    }
}

void session_attach(struct connection *c)
{
    mbedtls_ssl_set_user_data_p(&c->ssl, c);
    mbedtls_ssl_set_verify(&c->ssl, on_verify, c);
    mbedtls_ssl_set_export_keys_cb(&c->ssl, on_export, c);
    if (c->options->raw_keys) {
        mbedtls_ssl_set_own_key(&c->ssl, c->key);
    }
}
