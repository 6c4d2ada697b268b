/* Cookies of a server: a HelloRetryRequest that only answers an offer would change nothing in ClientHello without one
 * (RFC 8446 section 4.1.4). */
#include "interpretation.h"

enum { COOKIE_SIZE = 32 };

int cookie_write(struct connection *c, enum message message, struct writer *w)
{
    struct interpretation *i = c->interpretation;
    unsigned char cookie[COOKIE_SIZE];
    int ret;

    if (message != IN_HELLO_RETRY_REQUEST || !i->retried) {
        return MBEDTLS_SSL_CUSTOM_EXT_OMIT;
    }
    ret = mbedtls_ctr_drbg_random(c->random, cookie, sizeof(cookie));
    if (ret != 0 || octets_set(&i->cookie, cookie, sizeof(cookie)) != 0) {
        return ret != 0 ? ret : MBEDTLS_ERR_SSL_ALLOC_FAILED;
    }
    write_vector(w, 2, cookie, sizeof(cookie));
    return 0;
}

static int illegal(struct connection *c)
{
    c->message = "client_hello";
    mbedtls_ssl_set_fatal_alert(&c->ssl, MBEDTLS_SSL_ALERT_MSG_ILLEGAL_PARAMETER, MBEDTLS_ERR_SSL_ILLEGAL_PARAMETER);
    return MBEDTLS_ERR_SSL_ILLEGAL_PARAMETER;
}

int cookie_read(struct connection *c, enum message message, struct reader body)
{
    struct interpretation *i = c->interpretation;
    struct reader cookie = read_vector(&body, 2);

    if (message != IN_CLIENT_HELLO || i->cookie.p == NULL) {
        return 0; /* nobody here has sent it */
    }
    i->cookie_came = 1;
    return reader_done(&body) && octets_equal(&i->cookie, cookie.p, reader_left(&cookie)) ? 0 : illegal(c);
}

int cookie_check(struct connection *c)
{
    return c->interpretation->cookie.p != NULL && !c->interpretation->cookie_came ? illegal(c) : 0;
}

int interpret_answered(const struct connection *c)
{
    return c->interpretation != NULL && c->interpretation->answered;
}
