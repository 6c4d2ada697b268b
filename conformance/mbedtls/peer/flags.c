/* tls_flags (draft-ietf-tls-tlsflags): the flags of Extended Key Update and of a profile whose
 * exported authenticators one negotiates. The extension and the flag and message of Extended Key
 * Update have provisional numbers, as in docs/extended-key-update.md. */
#include "compiled.h"

enum { UPDATE_FLAG = 16, UPDATE_MESSAGE = 234 };

static struct connection *of(mbedtls_ssl_context *ssl)
{
    return mbedtls_ssl_get_user_data_p(ssl);
}

/* That of the profile; -1: it has none. */
static int later_flag(const struct options *o)
{
    const struct compiled *p = o->draft != NULL ? o->draft->compiled : NULL;

    return p != NULL && compiled_later(p) && p->after.flag >= 0 ?
           (int) code_point_sent(o->draft, FLAGS, (unsigned) p->after.flag) : -1;
}

int flags_used(const struct options *o)
{
    return o->key_update || later_flag(o) >= 0;
}

static void add_flag(unsigned char *flags, size_t *len, int flag)
{
    const size_t octet = (size_t) flag / 8;

    flags[octet] |= (unsigned char) (1 << flag % 8);
    *len = octet + 1 > *len ? octet + 1 : *len;
}

/* struct { opaque flags<1..255>; }: flag n is bit n mod 8 of octet n / 8, and the last
 * octet is not zero. */
int flags_write(struct connection *c, int message, struct writer *w)
{
    const int answers = message == MBEDTLS_SSL_HS_ENCRYPTED_EXTENSIONS, later = later_flag(c->options);
    unsigned char flags[MAX_FLAG / 8 + 1] = { 0 };
    size_t len = 0;

    if (c->options->key_update && (!answers || c->updates)) {
        if (answers && mbedtls_ssl_set_extended_key_update(&c->ssl) != 0) {
            return MBEDTLS_ERR_SSL_ALLOC_FAILED;
        }
        add_flag(flags, &len, UPDATE_FLAG);
    }
    if (later >= 0 && (!answers || c->agreed)) {
        add_flag(flags, &len, later);
    }
    if (len == 0) { /* the client has set none of ours */
        return MBEDTLS_SSL_CUSTOM_EXT_OMIT;
    }
    write_vector(w, 1, flags, len);
    return w->bad ? MBEDTLS_ERR_SSL_BUFFER_TOO_SMALL : 0;
}

static int bad_flags(mbedtls_ssl_context *ssl, unsigned char alert)
{
    mbedtls_ssl_set_fatal_alert(ssl, alert, MBEDTLS_ERR_SSL_ILLEGAL_PARAMETER);
    return MBEDTLS_ERR_SSL_ILLEGAL_PARAMETER;
}

int flags_read(struct connection *c, int message, struct reader r)
{
    const int later = later_flag(c->options);
    struct reader flags = read_vector(&r, 1);
    int updates = 0, agreed = 0, others = 0;

    if (!reader_done(&r) || reader_left(&flags) == 0) {
        return bad_flags(&c->ssl, MBEDTLS_SSL_ALERT_MSG_DECODE_ERROR);
    }
    if (flags.end[-1] == 0) {
        return bad_flags(&c->ssl, MBEDTLS_SSL_ALERT_MSG_ILLEGAL_PARAMETER);
    }
    for (int n = 0; n < 8 * (int) (flags.end - flags.p); n++) {
        if ((flags.p[n / 8] >> n % 8 & 1) == 0) {
            continue;
        }
        updates |= n == UPDATE_FLAG && c->options->key_update;
        agreed |= n == later;
        others |= n != later && !(n == UPDATE_FLAG && c->options->key_update);
    }
    c->updates = updates;
    c->agreed = agreed;
    if (message != MBEDTLS_SSL_HS_ENCRYPTED_EXTENSIONS) {
        return 0;
    }
    if (others) { /* which we have not set */
        return bad_flags(&c->ssl, MBEDTLS_SSL_ALERT_MSG_ILLEGAL_PARAMETER);
    }
    return updates ? mbedtls_ssl_set_extended_key_update(&c->ssl) : 0;
}

/* ---- without a draft ---- */

static int on_write(void *ctx, mbedtls_ssl_context *ssl, int message, unsigned int type, size_t entry,
                    unsigned char *buf, size_t size, size_t *len)
{
    struct writer w = write_into(buf, size);
    const int ret = flags_write(of(ssl), message, &w);

    (void) ctx;
    (void) type;
    (void) entry;
    *len = writer_len(&w);
    return ret;
}

static int on_read(void *ctx, mbedtls_ssl_context *ssl, int message, unsigned int type, size_t entry,
                   const unsigned char *buf, size_t len)
{
    (void) ctx;
    (void) type;
    (void) entry;
    return flags_read(of(ssl), message, read_all(buf, len));
}

static int on_done(void *ctx, mbedtls_ssl_context *ssl, int message, int received)
{
    (void) ctx;
    (void) ssl;
    (void) message;
    (void) received;
    return 0;
}

void flags_prepare(mbedtls_ssl_config *conf, const struct options *o)
{
    if (o->key_update) {
        mbedtls_ssl_conf_extended_key_update(conf, UPDATE_MESSAGE, NULL, NULL);
    }
}

int flags_configure(mbedtls_ssl_config *conf)
{
    static const mbedtls_ssl_custom_ext extension = {
        EXT_TLS_FLAGS, MBEDTLS_SSL_CUSTOM_EXT_CLIENT_HELLO | MBEDTLS_SSL_CUSTOM_EXT_ENCRYPTED_EXTENSIONS, 0
    };

    return mbedtls_ssl_conf_custom_extensions(conf, &extension, 1, on_write, on_read, on_done, NULL);
}
