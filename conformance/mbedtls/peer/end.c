/* Connections and application data. */
#include "end.h"
#include "exported.h"

#include <stdio.h>
#include <string.h>

#include "mbedtls/error.h"
#include "psa/crypto.h"

int end_trouble(const char *what, int ret)
{
    char text[128];

    mbedtls_strerror(ret, text, sizeof(text));
    fprintf(stderr, "mbedtls-peer: %s: %s\n", what, text);
    return ret;
}

void end_init(struct end *e)
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

void end_free(struct end *e)
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
        return end_trouble(o->key, ret);
    }
    mbedtls_pk_init(&peer);
    if ((ret = mbedtls_pk_parse_public_keyfile(&peer, o->peer_key)) != 0 ||
        (ret = public_key(&peer, &e->peer_key)) != 0) {
        end_trouble(o->peer_key, ret);
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
            return end_trouble(o->cert, ret);
        }
        if ((ret = mbedtls_pk_parse_keyfile(&e->key, key, NULL, mbedtls_ctr_drbg_random, &e->random)) != 0) {
            return end_trouble(key, ret);
        }
        ret = mbedtls_ssl_conf_own_cert(&e->config, &e->chain, &e->key);
    }
    if (ret == 0 && o->issuer_cert != NULL) {
        if ((ret = mbedtls_x509_crt_parse_file(&e->issuer, o->issuer_cert)) != 0) {
            return end_trouble(o->issuer_cert, ret);
        }
        if ((ret = mbedtls_pk_parse_keyfile(&e->issuer_key, o->issuer_key, NULL, mbedtls_ctr_drbg_random, &e->random)) != 0) {
            return end_trouble(o->issuer_key, ret);
        }
    }
    if (ret == 0 && o->ca != NULL) {
        if ((ret = mbedtls_x509_crt_parse_file(&e->anchors, o->ca)) != 0) {
            return end_trouble(o->ca, ret);
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

int end_configure(struct end *e)
{
    const struct options *o = &e->options;
    mbedtls_ssl_config *conf = &e->config;
    int ret;

    if (psa_crypto_init() != PSA_SUCCESS) {
        return end_trouble("PSA", MBEDTLS_ERR_SSL_HW_ACCEL_FAILED);
    }
    ret = mbedtls_ctr_drbg_seed(&e->random, mbedtls_entropy_func, &e->entropy, NULL, 0);
    if (ret == 0) {
        ret = mbedtls_ssl_config_defaults(conf, o->role == SERVER ? MBEDTLS_SSL_IS_SERVER : MBEDTLS_SSL_IS_CLIENT,
                                          MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);
    }
    if (ret != 0) {
        return end_trouble("configuration", ret);
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
    if (o->alpn[0] != NULL && !(o->role == SERVER && selects_itself(o)) &&
        (ret = mbedtls_ssl_conf_alpn_protocols(conf, (const char **) o->alpn)) != 0) {
        return end_trouble("--alpn", ret);
    }
    if ((ret = load_files(e)) != 0) {
        return ret;
    }
    if ((ret = configure_tickets(e)) != 0) {
        return end_trouble("tickets", ret);
    }
    flags_prepare(conf, o);
    if (o->draft == NULL && o->key_update && (ret = flags_configure(conf)) != 0) {
        return end_trouble("--extended-key-update", ret);
    }
    return session_configure(conf, o, &e->lists);
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

/* A server sends everything back until the client closes. Behind the first data under the keys of
 * the last update it asks the client to attest again, if it is to. */
static int talk_server(struct connection *c)
{
    unsigned char buf[4096];
    int again = c->options->reattest, n, ret;

    while ((n = framed_receive(c, buf, sizeof(buf))) > 0) {
        if ((ret = framed_send(c, buf, (size_t) n)) != 0) {
            return ret;
        }
        if (again && mbedtls_ssl_get_key_epoch(&c->ssl) == (uint64_t) c->options->key_updates) {
            again = 0;
            if ((ret = framed_ask(c)) != 0) {
                return ret;
            }
        }
    }
    return n != 0 ? n : mbedtls_ssl_close_notify(&c->ssl);
}

/* Sends so many octets in lines, and expects each back. */
static int exchange(struct connection *c, size_t left)
{
    unsigned char buf[4096], line[64];
    int ret;

    for (size_t i = 0; i < sizeof(line); i++) {
        line[i] = i + 1 == sizeof(line) ? '\n' : (unsigned char) ('a' + i % 26);
    }
    while (left > 0) {
        size_t len = left < sizeof(line) ? left : sizeof(line), want = len;
        if ((ret = framed_send(c, line, len)) != 0) {
            return ret;
        }
        while (want > 0) {
            int n = framed_receive(c, buf, want < sizeof(buf) ? want : sizeof(buf));
            if (n <= 0) {
                return n != 0 ? n : MBEDTLS_ERR_SSL_CONN_EOF;
            }
            want -= (size_t) n;
        }
        left -= len;
    }
    return 0;
}

enum { LINE = 64 };

/* Begins a key update, and lets data go both ways until its keys are in use, and once under them. */
static int update(struct connection *c, uint64_t epoch)
{
    enum { MOST = 8 };
    int ret = mbedtls_ssl_extended_key_update(&c->ssl);

    for (int i = 0; ret == 0 && i < MOST; i++) {
        ret = exchange(c, LINE);
        if (ret == 0 && mbedtls_ssl_get_key_epoch(&c->ssl) == epoch) {
            return exchange(c, LINE);
        }
    }
    return ret != 0 ? ret : MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE;
}

/* A client sends, expects its data back, closes and waits for the server to; before that come key
 * updates, and a second attestation with data behind it. */
static int talk_client(struct connection *c)
{
    unsigned char buf[4096];
    int n, ret = exchange(c, c->options->data);

    for (int i = 0; ret == 0 && i < c->options->key_updates; i++) {
        ret = update(c, (uint64_t) i + 1);
    }
    if (ret == 0 && c->options->reattest) {
        ret = framed_ask(c);
        ret = ret == 0 ? framed_wait(c, 2) : ret;
        ret = ret == 0 ? exchange(c, LINE) : ret;
    }
    if (ret != 0 || (ret = mbedtls_ssl_close_notify(&c->ssl)) != 0) {
        return ret;
    }
    do {
        n = framed_receive(c, buf, sizeof(buf));
    } while (n > 0);
    return n;
}

int end_run(struct end *e, const struct transport *t)
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
        mbedtls_ssl_set_bio(&c.ssl, t->context, t->send, t->recv, t->recv_timeout);
        ret = handshake(&c);
    }
    if (ret == 0 && e->options.lines) {
        ret = attend(&c, &e->chain);
    } else if (ret == 0 && (ret = exported_begin(&c, &e->chain, &e->anchors)) == 0 && (ret = framed_attest(&c)) == 0) {
        ret = e->options.role == SERVER ? talk_server(&c) : talk_client(&c);
    }
    observe_end(&c, ret);
    if (e->options.json) {
        claims_print(&c, ret);
    } else if (ret != 0) {
        end_trouble(c.failure != NO_FAILURE ? c.detail : "the connection failed", ret);
    }
    exported_end(&c);
    connection_free(&c);
    return ret;
}
