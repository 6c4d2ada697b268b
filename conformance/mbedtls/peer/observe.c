/* The library tells these things only in its private state. */
#define MBEDTLS_ALLOW_PRIVATE_ACCESS
#include "ssl_misc.h"

#include "peer.h"

void observe_handshake(struct connection *c)
{
    const mbedtls_ssl_handshake_params *hs = c->ssl.handshake;

    if (hs == NULL) {
        return;
    }
    c->hello_retry = hs->hello_retry_request_flag;
    if (hs->client_auth) {
        c->asked = 1;
    }
    c->psk_mode = hs->key_exchange_mode & MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_PSK_ALL;
    c->group = c->psk_mode != MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_PSK ? hs->offered_group_id : 0;
    if (hs->ciphersuite_info != NULL) {
        c->suite = hs->ciphersuite_info->id;
    }
}

void observe_end(struct connection *c, int ret)
{
    if (ret == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE && c->ssl.in_msg != NULL &&
        c->ssl.in_msgtype == MBEDTLS_SSL_MSG_ALERT) {
        c->alert_received = c->ssl.in_msg[1];
    } else if (ret != 0 && c->ssl.alert_reason != 0) {
        c->alert_sent = c->ssl.alert_type;
    }
}
