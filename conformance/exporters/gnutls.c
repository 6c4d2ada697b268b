/* GnuTLS lends its exporter. */
#include "stack.h"

#include <errno.h>
#include <sys/socket.h>

#include <gnutls/gnutls.h>

static gnutls_session_t session;
static gnutls_certificate_credentials_t credentials;
static int socket_fd, is_server;

static const char *version(void)
{
    return gnutls_check_version(NULL);
}

static int trouble(const char *what, ssize_t ret)
{
    return lines_problem("%s: %s", what, ret == 0 ? "the connection has ended" : gnutls_strerror((int) ret));
}

static ssize_t push(gnutls_transport_ptr_t p, const void *data, size_t len)
{
    ssize_t n = send(socket_fd, data, len, MSG_NOSIGNAL);

    (void) p;
    if (n < 0) {
        gnutls_transport_set_errno(session, errno);
    } else if (!is_server) {
        client_hello_written(data, (size_t) n);
    }
    return n;
}

static ssize_t pull(gnutls_transport_ptr_t p, void *data, size_t len)
{
    ssize_t n = recv(socket_fd, data, len, 0);

    (void) p;
    if (n < 0) {
        gnutls_transport_set_errno(session, errno);
    }
    return n;
}

static const char *priorities(int suite)
{
    switch (suite) {
        case 0:
            return "NORMAL:-VERS-ALL:+VERS-TLS1.3";
        case 0x1301:
            return "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM";
        case 0x1302:
            return "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-256-GCM";
        case 0x1303:
            return "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+CHACHA20-POLY1305";
    }
    return "none";
}

static int make(int fd, const struct setting *s)
{
    int ret;

    socket_fd = fd;
    is_server = s->server;
    if ((ret = gnutls_certificate_allocate_credentials(&credentials)) < 0 ||
        (ret = gnutls_init(&session, s->server ? GNUTLS_SERVER : GNUTLS_CLIENT)) < 0) {
        return trouble("session", ret);
    }
    if ((ret = gnutls_priority_set_direct(session, priorities(s->suite), NULL)) < 0) {
        return trouble("priorities", ret);
    }
    if (s->server && (ret = gnutls_certificate_set_x509_key_file(credentials, s->cert, s->key, GNUTLS_X509_FMT_DER)) < 0) {
        return trouble("certificate and key", ret);
    }
    if ((ret = gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials)) < 0) {
        return trouble("credentials", ret);
    }
    if (!s->server) {
        gnutls_server_name_set(session, GNUTLS_NAME_DNS, "exporter", 8);
    }
    gnutls_transport_set_push_function(session, push);
    gnutls_transport_set_pull_function(session, pull);
    do {
        ret = gnutls_handshake(session);
    } while (ret < 0 && !gnutls_error_is_fatal(ret));
    return ret < 0 ? trouble("handshake", ret) : 0;
}

static const char *hash(void)
{
    return gnutls_prf_hash_get(session) == GNUTLS_DIG_SHA384 ? "SHA384" : "SHA256";
}

static int export(void *c, const struct field *label, const struct field *value, unsigned char *out, size_t len)
{
    int ret = gnutls_prf_rfc5705(session, label->len, (const char *) label->p, value->given ? value->len : 0,
                                 value->given ? (const char *) value->p : NULL, len, (char *) out);

    (void) c;
    return ret < 0 ? trouble("gnutls_prf_rfc5705", ret) : 0;
}

static int write_all(void *c, const unsigned char *p, size_t len)
{
    (void) c;
    while (len > 0) {
        ssize_t n = gnutls_record_send(session, p, len);
        if (n < 0 && !gnutls_error_is_fatal((int) n)) {
            continue;
        }
        if (n <= 0) {
            return trouble("gnutls_record_send", n);
        }
        p += n;
        len -= (size_t) n;
    }
    return 0;
}

static int read_all(void *c, unsigned char *p, size_t len)
{
    (void) c;
    while (len > 0) {
        ssize_t n = gnutls_record_recv(session, p, len);
        if (n < 0 && !gnutls_error_is_fatal((int) n)) {
            continue;
        }
        if (n <= 0) {
            return trouble("gnutls_record_recv", n);
        }
        p += n;
        len -= (size_t) n;
    }
    return 0;
}

static int close_it(void *c)
{
    int ret = gnutls_bye(session, GNUTLS_SHUT_WR);

    (void) c;
    return ret < 0 ? trouble("gnutls_bye", ret) : 0;
}

const struct stack stack = { "GnuTLS", version, make, hash, { NULL, export, write_all, read_all, close_it, NULL } };
