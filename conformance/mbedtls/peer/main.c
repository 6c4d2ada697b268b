/* Connections and application data. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "mbedtls/error.h"
#include "mbedtls/net_sockets.h"
#include "psa/crypto.h"

#include "peer.h"

/* What all connections share. */
struct end {
    struct options options;
    mbedtls_entropy_context entropy;
    mbedtls_ctr_drbg_context random;
    mbedtls_ssl_config config;
    mbedtls_x509_crt chain, anchors;
    mbedtls_pk_context key;
    mbedtls_x509_crt issuer;
    mbedtls_pk_context issuer_key;
    struct octets own_key, peer_key; /* raw public keys */
    struct tickets tickets;
};

static int trouble(const char *what, int ret)
{
    char text[128];

    mbedtls_strerror(ret, text, sizeof(text));
    fprintf(stderr, "mbedtls-peer: %s: %s\n", what, text);
    return ret;
}

static void end_init(struct end *e)
{
    memset(e, 0, sizeof(*e));
    mbedtls_entropy_init(&e->entropy);
    mbedtls_ctr_drbg_init(&e->random);
    mbedtls_ssl_config_init(&e->config);
    mbedtls_x509_crt_init(&e->chain);
    mbedtls_x509_crt_init(&e->anchors);
    mbedtls_pk_init(&e->key);
    mbedtls_x509_crt_init(&e->issuer);
    mbedtls_pk_init(&e->issuer_key);
    mbedtls_ssl_ticket_init(&e->tickets.context);
}

static void end_free(struct end *e)
{
    interpret_unload();
    mbedtls_ssl_config_free(&e->config);
    tickets_free(&e->tickets);
    mbedtls_x509_crt_free(&e->chain);
    mbedtls_x509_crt_free(&e->anchors);
    mbedtls_pk_free(&e->key);
    mbedtls_x509_crt_free(&e->issuer);
    mbedtls_pk_free(&e->issuer_key);
    octets_free(&e->own_key);
    octets_free(&e->peer_key);
    mbedtls_ctr_drbg_free(&e->random);
    mbedtls_entropy_free(&e->entropy);
    mbedtls_psa_crypto_free();
}

static int public_key(mbedtls_pk_context *key, struct octets *out)
{
    unsigned char der[1024];
    int len = mbedtls_pk_write_pubkey_der(key, der, sizeof(der));

    if (len < 0) {
        return len;
    }
    return octets_set(out, der + sizeof(der) - len, (size_t) len) != 0 ? MBEDTLS_ERR_SSL_ALLOC_FAILED : 0;
}

static int load_raw_keys(struct end *e)
{
    const struct options *o = &e->options;
    mbedtls_pk_context peer;
    int ret;

    if ((ret = mbedtls_pk_parse_keyfile(&e->key, o->key, NULL, mbedtls_ctr_drbg_random, &e->random)) != 0 ||
        (ret = public_key(&e->key, &e->own_key)) != 0) {
        return trouble(o->key, ret);
    }
    mbedtls_pk_init(&peer);
    if ((ret = mbedtls_pk_parse_public_keyfile(&peer, o->peer_key)) != 0 ||
        (ret = public_key(&peer, &e->peer_key)) != 0) {
        trouble(o->peer_key, ret);
    }
    mbedtls_pk_free(&peer);
    return ret;
}

static int load_files(struct end *e)
{
    const struct options *o = &e->options;
    int ret = 0;

    if (o->raw_keys) {
        return load_raw_keys(e);
    }

    if (o->cert != NULL) {
        const char *key = o->key != NULL ? o->key : o->cert;
        if ((ret = mbedtls_x509_crt_parse_file(&e->chain, o->cert)) != 0) {
            return trouble(o->cert, ret);
        }
        if ((ret = mbedtls_pk_parse_keyfile(&e->key, key, NULL, mbedtls_ctr_drbg_random, &e->random)) != 0) {
            return trouble(key, ret);
        }
        ret = mbedtls_ssl_conf_own_cert(&e->config, &e->chain, &e->key);
    }
    if (ret == 0 && o->issuer_cert != NULL) {
        if ((ret = mbedtls_x509_crt_parse_file(&e->issuer, o->issuer_cert)) != 0) {
            return trouble(o->issuer_cert, ret);
        }
        if ((ret = mbedtls_pk_parse_keyfile(&e->issuer_key, o->issuer_key, NULL, mbedtls_ctr_drbg_random, &e->random)) != 0) {
            return trouble(o->issuer_key, ret);
        }
    }
    if (ret == 0 && o->ca != NULL) {
        if ((ret = mbedtls_x509_crt_parse_file(&e->anchors, o->ca)) != 0) {
            return trouble(o->ca, ret);
        }
        mbedtls_ssl_conf_ca_chain(&e->config, &e->anchors, NULL);
    }
    return ret;
}

/* Pre-shared keys come from tickets only. */
static int configure_tickets(struct end *e)
{
    const struct options *o = &e->options;
    mbedtls_ssl_config *conf = &e->config;

    mbedtls_ssl_conf_tls13_key_exchange_modes(conf, MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_EPHEMERAL | o->psk_modes);
    if (o->psk_modes == 0 || sends_no_tickets(o)) {
        return 0;
    }
    if (o->role == SERVER) {
        return tickets_setup(&e->tickets, conf, &e->random);
    }
    mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets(
        conf, MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED);
    return 0;
}

/* Whether the protocols of a connection depend on what its ClientHello holds. */
static int selects_itself(const struct options *o)
{
    return o->draft != NULL && o->draft->compiled != NULL && interpret_selects(o);
}

static int configure(struct end *e)
{
    const struct options *o = &e->options;
    mbedtls_ssl_config *conf = &e->config;
    int ret;

    if (psa_crypto_init() != PSA_SUCCESS) {
        return trouble("PSA", MBEDTLS_ERR_SSL_HW_ACCEL_FAILED);
    }
    ret = mbedtls_ctr_drbg_seed(&e->random, mbedtls_entropy_func, &e->entropy, NULL, 0);
    if (ret == 0) {
        ret = mbedtls_ssl_config_defaults(conf, o->role == SERVER ? MBEDTLS_SSL_IS_SERVER : MBEDTLS_SSL_IS_CLIENT,
                                          MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);
    }
    if (ret != 0) {
        return trouble("configuration", ret);
    }
    mbedtls_ssl_conf_rng(conf, mbedtls_ctr_drbg_random, &e->random);
    mbedtls_ssl_conf_min_tls_version(conf, MBEDTLS_SSL_VERSION_TLS1_3);
    mbedtls_ssl_conf_max_tls_version(conf, MBEDTLS_SSL_VERSION_TLS1_3);
    mbedtls_ssl_conf_read_timeout(conf, (uint32_t) o->timeout * 1000);
    if (o->draft != NULL && o->draft->no_compatibility) {
        mbedtls_ssl_conf_tls13_compatibility_mode(conf, 0);
    }
    if (o->lines) {
        attend_configure(conf);
        mbedtls_ssl_conf_authmode(conf, MBEDTLS_SSL_VERIFY_NONE);
    } else if (o->role == CLIENT || o->ask_certificate) {
        mbedtls_ssl_conf_authmode(conf, MBEDTLS_SSL_VERIFY_REQUIRED);
    }
    if (o->groups[0] != 0) {
        mbedtls_ssl_conf_groups(conf, o->groups);
    }
    if (o->sigalgs[0] != 0) {
        mbedtls_ssl_conf_sig_algs(conf, o->sigalgs);
    }
    if (o->suites[0] != 0) {
        mbedtls_ssl_conf_ciphersuites(conf, o->suites);
    }
    if (o->alpn[0] != NULL && !(o->role == SERVER && selects_itself(o)) && (ret = mbedtls_ssl_conf_alpn_protocols(conf, (const char **) o->alpn)) != 0) {
        return trouble("--alpn", ret);
    }
    if ((ret = load_files(e)) != 0) {
        return ret;
    }
    if ((ret = configure_tickets(e)) != 0) {
        return trouble("tickets", ret);
    }
    if (o->key_update && (ret = update_configure(conf)) != 0) {
        return trouble("--extended-key-update", ret);
    }
    return session_configure(conf, o);
}

static int handshake(struct connection *c)
{
    int ret = 0;

    while (ret == 0 && !mbedtls_ssl_is_handshake_over(&c->ssl)) {
        ret = mbedtls_ssl_handshake_step(&c->ssl);
        observe_handshake(c);
    }
    return ret;
}

static int send_all(struct connection *c, const unsigned char *p, size_t len)
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

/* Reads once. Returns the octets, 0 when the peer closed, or an error. */
static int receive(struct connection *c, unsigned char *buf, size_t size)
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
        if (n == MBEDTLS_ERR_SSL_WANT_READ) { /* a ticket has begun */
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

/* A server sends everything back until the client closes. */
static int talk_server(struct connection *c)
{
    unsigned char buf[4096];
    int n, ret;

    while ((n = receive(c, buf, sizeof(buf))) > 0) {
        if ((ret = send_all(c, buf, (size_t) n)) != 0) {
            return ret;
        }
    }
    return n != 0 ? n : mbedtls_ssl_close_notify(&c->ssl);
}

/* A client sends, expects its data back, closes and waits for the server to. */
static int talk_client(struct connection *c)
{
    unsigned char buf[4096], line[64];
    int n = 1, ret;

    for (size_t i = 0; i < sizeof(line); i++) {
        line[i] = i + 1 == sizeof(line) ? '\n' : (unsigned char) ('a' + i % 26);
    }
    for (size_t left = c->options->data; left > 0;) {
        size_t len = left < sizeof(line) ? left : sizeof(line);
        size_t want = c->data_received + len;
        if ((ret = send_all(c, line, len)) != 0) {
            return ret;
        }
        while (c->data_received < want && n > 0) {
            n = receive(c, buf, sizeof(buf));
        }
        if (n <= 0) {
            return n != 0 ? n : MBEDTLS_ERR_SSL_CONN_EOF;
        }
        left -= len;
    }
    if ((ret = mbedtls_ssl_close_notify(&c->ssl)) != 0) {
        return ret;
    }
    do {
        n = receive(c, buf, sizeof(buf));
    } while (n > 0);
    return n;
}

static int run(struct end *e, mbedtls_net_context *net)
{
    struct connection c;
    int ret;

    connection_init(&c, &e->options);
    c.random = &e->random;
    ret = mbedtls_ssl_setup(&c.ssl, &e->config);
    if (ret == 0 && e->options.role == CLIENT) {
        ret = mbedtls_ssl_set_hostname(&c.ssl, e->options.server_name);
    }
    c.key = &e->key;
    c.issuer = e->options.issuer_cert != NULL ? &e->issuer : NULL;
    c.issuer_key = e->options.issuer_cert != NULL ? &e->issuer_key : NULL;
    c.accepted_key = &e->peer_key;
    if (ret == 0 && e->options.raw_keys) {
        ret = octets_set(&c.own_spki, e->own_key.p, e->own_key.len);
    } else if (ret == 0 && e->chain.pk_raw.p != NULL) {
        ret = octets_set(&c.own_spki, e->chain.pk_raw.p, e->chain.pk_raw.len) |
              octets_set(&c.own_certificate, e->chain.raw.p, e->chain.raw.len);
    }
    if (ret == 0 && e->options.draft != NULL && e->options.draft->compiled != NULL) {
        ret = interpret_begin(&c);
        ret = ret == 0 ? fields_begin(&c) : ret;
    }
    if (ret == 0 && e->options.sess_in != NULL) {
        ret = session_load(&c);
    }
    if (ret == 0) {
        session_attach(&c);
        if (e->options.role == SERVER) {
            tickets_begin(&e->tickets, &e->config, &c);
        }
        mbedtls_ssl_set_bio(&c.ssl, net, mbedtls_net_send, NULL, mbedtls_net_recv_timeout);
        ret = handshake(&c);
    }
    if (ret == 0 && e->options.lines) {
        ret = attend(&c, &e->chain);
    } else if (ret == 0) {
        ret = e->options.role == SERVER ? talk_server(&c) : talk_client(&c);
    }
    observe_end(&c, ret);
    if (e->options.json) {
        claims_print(&c, ret);
    } else if (ret != 0) {
        trouble(c.failure != NO_FAILURE ? c.detail : "the connection failed", ret);
    }
    connection_free(&c);
    return ret;
}

/* Lets the peer read our last record before the connection goes. */
static void hang_up(mbedtls_net_context *net)
{
    unsigned char rest[1024];

    shutdown(net->fd, SHUT_WR);
    while (mbedtls_net_recv_timeout(net, rest, sizeof(rest), 2000) > 0) {
    }
    mbedtls_net_free(net);
}

static int announce(int fd, int lines)
{
    struct sockaddr_in address;
    socklen_t len = sizeof(address);
    char host[INET_ADDRSTRLEN];

    if (getsockname(fd, (struct sockaddr *) &address, &len) != 0 ||
        inet_ntop(AF_INET, &address.sin_addr, host, sizeof(host)) == NULL) {
        return -1;
    }
    if (lines) {
        printf("listening %u\n", ntohs(address.sin_port));
        fflush(stdout);
        return 0;
    }
    fprintf(stderr, "mbedtls-peer: listening on %s:%u\n", host, ntohs(address.sin_port));
    return 0;
}

static int serve(struct end *e)
{
    mbedtls_net_context listening;
    int failed = 0, ret;

    mbedtls_net_init(&listening);
    ret = mbedtls_net_bind(&listening, e->options.host, e->options.port, MBEDTLS_NET_PROTO_TCP);
    if (ret != 0 || announce(listening.fd, e->options.lines) != 0) {
        mbedtls_net_free(&listening);
        return trouble("listening", ret);
    }
    for (int i = 0; ret == 0 && (e->options.connections == 0 || i < e->options.connections); i++) {
        mbedtls_net_context net;
        mbedtls_net_init(&net);
        ret = mbedtls_net_accept(&listening, &net, NULL, 0, NULL);
        if (ret == 0) {
            failed |= run(e, &net) != 0;
            hang_up(&net);
        }
    }
    mbedtls_net_free(&listening);
    return ret != 0 ? ret : failed;
}

static int dial(struct end *e)
{
    int failed = 0;

    for (int i = 0; i < e->options.connections; i++) {
        mbedtls_net_context net;
        int ret;

        mbedtls_net_init(&net);
        ret = mbedtls_net_connect(&net, e->options.host, e->options.port, MBEDTLS_NET_PROTO_TCP);
        if (ret != 0) {
            return trouble("connecting", ret);
        }
        failed |= run(e, &net) != 0;
        hang_up(&net);
    }
    return failed;
}

int main(int argc, char **argv)
{
    struct end e;
    int ret;

    end_init(&e);
    signal(SIGPIPE, SIG_IGN);
    ret = options_parse(&e.options, argc, argv);
    if (ret != 0) {
        end_free(&e);
        return ret > 0 ? 0 : ret == -2 ? EXIT_LIMIT : 2;
    }
    ret = configure(&e);
    if (ret == 0) {
        ret = e.options.role == SERVER ? serve(&e) : dial(&e);
    }
    end_free(&e);
    return ret == 0 ? 0 : 1;
}
