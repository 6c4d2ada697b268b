/* The library tells these things only in its private state. */
#define MBEDTLS_ALLOW_PRIVATE_ACCESS
#include "ssl_misc.h"

#include "peer.h"

/* The scheme that the library is about to sign with: the first of the peer's that
 * fits our key. */
static uint16_t own_signature(struct connection *c)
{
    const uint16_t *offered = c->ssl.handshake->received_sig_algs;
    mbedtls_pk_context *key = mbedtls_ssl_own_key(&c->ssl);

    if (c->own_type != MBEDTLS_SSL_CERTIFICATE_TYPE_X509) {
        key = c->ssl.own_raw_key;
    }
    for (size_t i = 0; key != NULL && offered != NULL && offered[i] != MBEDTLS_TLS_SIG_NONE; i++) {
        if (mbedtls_ssl_sig_alg_is_offered(&c->ssl, offered[i]) &&
            mbedtls_ssl_tls13_sig_alg_for_cert_verify_is_supported(offered[i]) &&
            mbedtls_ssl_tls13_check_sig_alg_cert_key_match(offered[i], key)) {
            return offered[i];
        }
    }
    return 0;
}

/* What the two CertificateVerify messages say: ours before it is written, the
 * peer's while it is still in the buffer. */
static void observe_signatures(struct connection *c)
{
    const int server = c->options->role == SERVER;
    const int own = server ? MBEDTLS_SSL_CERTIFICATE_VERIFY : MBEDTLS_SSL_CLIENT_CERTIFICATE_VERIFY;
    const int peers = server ? MBEDTLS_SSL_CLIENT_CERTIFICATE_VERIFY : MBEDTLS_SSL_CERTIFICATE_VERIFY;
    const unsigned char *in = c->ssl.in_msg;

    if (c->ssl.state == own) {
        c->own_signature = own_signature(c);
    }
    if (c->state == peers && c->ssl.state != peers && in != NULL &&
        in[0] == MBEDTLS_SSL_HS_CERTIFICATE_VERIFY && c->ssl.in_hslen >= 4 + 2) {
        c->peer_signature = MBEDTLS_GET_UINT16_BE(in, 4);
    }
    c->state = c->ssl.state;
}

void observe_handshake(struct connection *c)
{
    const mbedtls_ssl_handshake_params *hs = c->ssl.handshake;

    if (hs == NULL) {
        return;
    }
    c->own_type = hs->own_certificate_type;
    c->peer_type = hs->peer_certificate_type;
    c->hello_retry = hs->hello_retry_request_flag;
    if (hs->client_auth) {
        c->asked = 1;
    }
    c->psk_mode = hs->key_exchange_mode & MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_PSK_ALL;
    c->group = c->psk_mode != MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_PSK ? hs->offered_group_id : 0;
    if (hs->ciphersuite_info != NULL) {
        c->suite = hs->ciphersuite_info->id;
    }
    observe_signatures(c);
}

void observe_end(struct connection *c, int ret)
{
    c->epoch = mbedtls_ssl_get_key_epoch(&c->ssl);
    if (ret == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE && c->ssl.in_msg != NULL &&
        c->ssl.in_msgtype == MBEDTLS_SSL_MSG_ALERT) {
        c->alert_received = c->ssl.in_msg[1];
    } else if (ret != 0 && c->ssl.alert_reason != 0 && !c->silent) {
        c->alert_sent = c->ssl.alert_type;
    }
}
