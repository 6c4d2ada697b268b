/* The stream of application data in which ends attest: octets that must come, and how an exchange ends. */
#include "exported.h"

int stream_end(struct exported *e, int ret)
{
    struct connection *c = e->c;

    if (c->failure == NO_FAILURE || c->silent) {
        return ret;
    }
    if (e->profile->after.reports) {
        c->silent = 1;
        mbedtls_ssl_close_notify(&c->ssl);
    } else if (failure_closes(c)) {
        c->silent = 1;
    } else {
        mbedtls_ssl_send_alert_message(&c->ssl, MBEDTLS_SSL_ALERT_LEVEL_FATAL, failure_alert(c));
    }
    return ret;
}

int stream_lost(struct exported *e, int ret)
{
    struct connection *c = e->c;

    if (ret == MBEDTLS_ERR_SSL_TIMEOUT && e->awaited != NULL) {
        return stream_end(e, fail(c, FAIL_TIMEOUT, NULL, "the frame %s has not come", e->awaited));
    }
    if (ret == MBEDTLS_ERR_SSL_TIMEOUT) {
        return stream_end(e, fail(c, FAIL_TIMEOUT, NULL, "the peer has not %s", e->open ?
                           "answered our request for its attestation" : "asked for our attestation"));
    }
    if (ret == 0 || ret == MBEDTLS_ERR_SSL_CONN_EOF) {
        fail(c, FAIL_TRUNCATED, NULL, "the peer closed the connection, and the attestation is not complete");
        c->silent = 1;
        return MBEDTLS_ERR_SSL_CONN_EOF;
    }
    return ret;
}

int stream_need(struct exported *e, unsigned char *p, size_t len)
{
    while (len > 0) {
        int n = traffic_receive(e->c, p, len);
        if (n <= 0) {
            return stream_lost(e, n);
        }
        p += n;
        len -= (size_t) n;
    }
    return 0;
}
