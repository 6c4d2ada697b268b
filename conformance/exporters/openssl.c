/* OpenSSL lends its exporter. */
#include "stack.h"

#include <stdio.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

static SSL *ssl;

static const char *version(void)
{
    return OpenSSL_version(OPENSSL_VERSION);
}

static int trouble(const char *what)
{
    unsigned long e = ERR_get_error();

    return lines_problem("%s: %s", what, e != 0 ? ERR_reason_error_string(e) : "the connection has ended");
}

static void seen(int write, int v, int type, const void *p, size_t len, SSL *s, void *arg)
{
    static unsigned char header[5];

    (void) v;
    (void) s;
    (void) arg;
    /* The header of the record comes before its content. */
    if (write && type == SSL3_RT_HEADER) {
        client_hello_written(p, len < sizeof(header) ? len : sizeof(header));
    } else if (write && type == SSL3_RT_HANDSHAKE) {
        client_hello_written(p, len);
    }
}

static int configure(SSL_CTX *ctx, const struct setting *s)
{
    if (!SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION)) {
        return trouble("TLS 1.3");
    }
    if (s->suite != 0 && !SSL_CTX_set_ciphersuites(ctx, s->suite == 0x1301 ? "TLS_AES_128_GCM_SHA256" :
                                                   s->suite == 0x1302 ? "TLS_AES_256_GCM_SHA384" :
                                                   s->suite == 0x1303 ? "TLS_CHACHA20_POLY1305_SHA256" : "none")) {
        return trouble("cipher suite");
    }
    if (s->server && (SSL_CTX_use_certificate_file(ctx, s->cert, SSL_FILETYPE_ASN1) != 1 ||
                      SSL_CTX_use_PrivateKey_file(ctx, s->key, SSL_FILETYPE_ASN1) != 1)) {
        return trouble("certificate and key");
    }
    SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
    return 0;
}

static int make(int fd, const struct setting *s)
{
    SSL_CTX *ctx = SSL_CTX_new(s->server ? TLS_server_method() : TLS_client_method());

    if (ctx == NULL || configure(ctx, s) != 0) {
        return ctx == NULL ? trouble("context") : -1;
    }
    ssl = SSL_new(ctx);
    if (ssl == NULL || !SSL_set_fd(ssl, fd)) {
        return trouble("connection");
    }
    if (!s->server) {
        SSL_set_msg_callback(ssl, seen);
        SSL_set_tlsext_host_name(ssl, "exporter");
        SSL_set_tlsext_status_type(ssl, TLSEXT_STATUSTYPE_ocsp);
    }
    return (s->server ? SSL_accept(ssl) : SSL_connect(ssl)) == 1 ? 0 : trouble("handshake");
}

static const char *hash(void)
{
    const EVP_MD *md = SSL_CIPHER_get_handshake_digest(SSL_get_current_cipher(ssl));

    return EVP_MD_get_size(md) == 48 ? "SHA384" : "SHA256";
}

static int export(void *c, const struct field *label, const struct field *value, unsigned char *out, size_t len)
{
    (void) c;
    if (SSL_export_keying_material(ssl, out, len, (const char *) label->p, label->len, value->p, value->len, value->given) != 1) {
        return trouble("SSL_export_keying_material");
    }
    return 0;
}

static int write_all(void *c, const unsigned char *p, size_t len)
{
    size_t n;

    (void) c;
    return len == 0 || SSL_write_ex(ssl, p, len, &n) == 1 ? 0 : trouble("SSL_write");
}

static int read_all(void *c, unsigned char *p, size_t len)
{
    (void) c;
    while (len > 0) {
        size_t n;
        if (SSL_read_ex(ssl, p, len, &n) != 1) {
            return trouble("SSL_read");
        }
        p += n;
        len -= n;
    }
    return 0;
}

static int close_it(void *c)
{
    (void) c;
    return SSL_shutdown(ssl) >= 0 ? 0 : trouble("SSL_shutdown");
}

const struct stack stack = { "OpenSSL", version, make, hash, { NULL, export, write_all, read_all, close_it, NULL } };
