/* Application data as TLS carries it. */
#include "peer.h"

int traffic_send(struct connection *c, const unsigned char *p, size_t len)
{
    while (len > 0) {
        int n = mbedtls_ssl_write(&c->ssl, p, len);
        if (n < 0) {
            return n;
        }
        c->data_sent += (size_t) n;
        p += n;
        len -= (size_t) n;
    }
    return 0;
}

int traffic_receive(struct connection *c, unsigned char *buf, size_t size)
{
    for (;;) {
        int n = mbedtls_ssl_read(&c->ssl, buf, size);
        if (n == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET) {
            n = c->options->sess_out != NULL ? session_save(c) : 0;
            if (n != 0) {
                return n;
            }
            continue;
        }
        if (n == MBEDTLS_ERR_SSL_WANT_READ) { /* a ticket or a key update has begun */
            continue;
        }
        if (n == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY) {
            c->closed = 1;
            return 0;
        }
        if (n == 0) { /* the transport ended without close_notify */
            return MBEDTLS_ERR_SSL_CONN_EOF;
        }
        if (n > 0) {
            c->data_received += (size_t) n;
        }
        return n;
    }
}
