/* Extended key updates (draft-ietf-tls-extended-key-update): the TLS flag that negotiates
 * them. The extension, the flag and the message have provisional numbers, as in
 * docs/extended-key-update.md. */
#include "peer.h"

enum { EXT_TLS_FLAGS = 62, FLAG = 16, MESSAGE = 234 };

static struct connection *of(mbedtls_ssl_context *ssl)
{
    return mbedtls_ssl_get_user_data_p(ssl);
}

/* struct { opaque flags<1..255>; }: flag n is bit n mod 8 of octet n / 8, and the last
 * octet is not zero. */
static int write_flags(void *ctx, mbedtls_ssl_context *ssl, int message, unsigned int type, size_t entry, unsigned char *buf,
                       size_t size, size_t *len)
{
    struct writer w = write_into(buf, size);
    unsigned char flags[FLAG / 8 + 1] = { 0 };

    (void) ctx;
    (void) type;
    (void) entry;
    if (message == MBEDTLS_SSL_HS_ENCRYPTED_EXTENSIONS) {
        if (of(ssl)->updates == 0) { /* the client has not set it */
            return MBEDTLS_SSL_CUSTOM_EXT_OMIT;
        }
        if (mbedtls_ssl_set_extended_key_update(ssl) != 0) {
            return MBEDTLS_ERR_SSL_ALLOC_FAILED;
        }
    }
    flags[FLAG / 8] = 1 << FLAG % 8;
    write_vector(&w, 1, flags, sizeof(flags));
    *len = writer_len(&w);
    return w.bad ? MBEDTLS_ERR_SSL_BUFFER_TOO_SMALL : 0;
}

static int bad_flags(mbedtls_ssl_context *ssl, unsigned char alert)
{
    mbedtls_ssl_set_fatal_alert(ssl, alert, MBEDTLS_ERR_SSL_ILLEGAL_PARAMETER);
    return MBEDTLS_ERR_SSL_ILLEGAL_PARAMETER;
}

static int read_flags(void *ctx, mbedtls_ssl_context *ssl, int message, unsigned int type, size_t entry, const unsigned char *buf,
                      size_t len)
{
    struct reader r = read_all(buf, len), flags = read_vector(&r, 1);
    int ours = 0, others = 0;

    (void) ctx;
    (void) type;
    (void) entry;
    if (!reader_done(&r) || reader_left(&flags) == 0) {
        return bad_flags(ssl, MBEDTLS_SSL_ALERT_MSG_DECODE_ERROR);
    }
    if (flags.end[-1] == 0) {
        return bad_flags(ssl, MBEDTLS_SSL_ALERT_MSG_ILLEGAL_PARAMETER);
    }
    for (size_t n = 0; n < 8 * (size_t) (flags.end - flags.p); n++) {
        int set = flags.p[n / 8] >> n % 8 & 1;
        ours |= set && n == FLAG;
        others |= set && n != FLAG;
    }
    of(ssl)->updates = ours;
    if (message != MBEDTLS_SSL_HS_ENCRYPTED_EXTENSIONS) {
        return 0;
    }
    if (others) { /* we have set one */
        return bad_flags(ssl, MBEDTLS_SSL_ALERT_MSG_ILLEGAL_PARAMETER);
    }
    return ours ? mbedtls_ssl_set_extended_key_update(ssl) : 0;
}

static int done(void *ctx, mbedtls_ssl_context *ssl, int message, int received)
{
    (void) ctx;
    (void) ssl;
    (void) message;
    (void) received;
    return 0;
}

int update_configure(mbedtls_ssl_config *conf)
{
    static const mbedtls_ssl_custom_ext extension = {
        EXT_TLS_FLAGS, MBEDTLS_SSL_CUSTOM_EXT_CLIENT_HELLO | MBEDTLS_SSL_CUSTOM_EXT_ENCRYPTED_EXTENSIONS, 0
    };

    mbedtls_ssl_conf_extended_key_update(conf, MESSAGE, NULL, NULL);
    return mbedtls_ssl_conf_custom_extensions(conf, &extension, 1, write_flags, read_flags, done, NULL);
}
