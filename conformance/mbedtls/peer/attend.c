/* The application of a connection is a program that writes lines to us: it exports,
 * carries frames, and has RFC 9261 done here. */
#include <stdio.h>
#include <string.h>

#include "mbedtls/error.h"

#include "authenticator.h"
#include "lines.h"
#include "peer.h"

static struct octets client_hello;

struct application {
    struct connection *c;
    int of_epoch;              /* authenticators are those of an epoch */
    uint64_t epoch;
    struct authenticator_config config;
    struct authenticators *authenticators;
};

static int on_message(void *ctx, mbedtls_ssl_context *ssl, int sent, const unsigned char *msg, size_t len)
{
    (void) ctx;
    (void) ssl;
    (void) sent;
    if (len > 0 && msg[0] == MBEDTLS_SSL_HS_CLIENT_HELLO && octets_set(&client_hello, msg, len) != 0) {
        return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    }
    return 0;
}

void attend_configure(mbedtls_ssl_config *conf)
{
    mbedtls_ssl_conf_handshake_messages_cb(conf, on_message, NULL);
}

static int trouble(const char *what, int ret)
{
    char text[128];

    mbedtls_strerror(ret, text, sizeof(text));
    return lines_problem("%s: %s", what, text);
}

/* The connection. */

static int export(void *context, const struct field *label, const struct field *value, unsigned char *out, size_t len)
{
    struct application *app = context;
    int ret = mbedtls_ssl_export_keying_material(&app->c->ssl, out, len, (const char *) label->p, label->len, value->p, value->len,
                                                 value->given);

    return ret != 0 ? trouble("mbedtls_ssl_export_keying_material", ret) : 0;
}

static int export_label(void *context, const char *label, unsigned char *out, size_t len)
{
    struct application *app = context;

    if (app->of_epoch) {
        return mbedtls_ssl_export_epoch_keying_material(&app->c->ssl, app->epoch, out, len, label, strlen(label), NULL, 0);
    }
    return mbedtls_ssl_export_keying_material(&app->c->ssl, out, len, label, strlen(label), NULL, 0, 0);
}

static int write_all(void *context, const unsigned char *p, size_t len)
{
    struct application *app = context;

    while (len > 0) {
        int n = mbedtls_ssl_write(&app->c->ssl, p, len);
        if (n < 0) {
            return trouble("mbedtls_ssl_write", n);
        }
        p += n;
        len -= (size_t) n;
    }
    return 0;
}

static int read_octets(void *context, unsigned char *p, size_t len)
{
    struct application *app = context;

    while (len > 0) {
        int n = mbedtls_ssl_read(&app->c->ssl, p, len);
        if (n == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET || n == MBEDTLS_ERR_SSL_WANT_READ) {
            continue;
        }
        if (n <= 0) {
            return n == 0 ? lines_problem("mbedtls_ssl_read: the connection has ended") : trouble("mbedtls_ssl_read", n);
        }
        p += n;
        len -= (size_t) n;
    }
    return 0;
}

static int close_it(void *context)
{
    struct application *app = context;
    int ret = mbedtls_ssl_close_notify(&app->c->ssl);

    return ret != 0 ? trouble("mbedtls_ssl_close_notify", ret) : 0;
}

/* RFC 9261. */

static int refused(const struct application *app)
{
    return lines_problem("%s: %s", authenticators_failure(app->authenticators), authenticators_reason(app->authenticators));
}

static void numbers(const uint16_t *list, size_t count)
{
    unsigned char octets[2 * AUTHENTICATOR_EXTENSIONS];

    for (size_t i = 0; i < count; i++) {
        octets[2 * i] = (unsigned char) (list[i] >> 8);
        octets[2 * i + 1] = (unsigned char) list[i];
    }
    lines_field(octets, 2 * count);
}

static void flag(int value)
{
    const unsigned char octet = value != 0;

    lines_field(&octet, 1);
}

/* TYPE CONTEXT EXTENSIONS SCHEMES */
static void say_request(const struct authenticator_claim *c)
{
    lines_field(&c->type, 1);
    lines_field(c->context.p, c->context.len);
    numbers(c->extensions, c->extension_count);
    numbers(c->schemes, c->scheme_count);
}

/* CONTEXT EMPTY SPONTANEOUS SCHEME CHAIN */
static void say_authenticator(const struct authenticator_claim *c)
{
    lines_field(c->context.p, c->context.len);
    flag(c->empty);
    flag(c->spontaneous);
    numbers(c->schemes, c->scheme_count);
    lines_field(c->chain[0], sizeof(c->chain[0]) * c->chain_count);
}

static uint64_t number(const struct field *f)
{
    uint64_t n = 0;

    for (size_t i = 0; i < f->len; i++) {
        n = n << 8 | f->p[i];
    }
    return n;
}

/* With a field, of that epoch. */
static int fresh(void *context, const struct field *fields)
{
    struct application *app = context;

    app->of_epoch = fields[0].given;
    app->epoch = number(&fields[0]);
    authenticators_free(app->authenticators);
    app->authenticators = authenticators_new(&app->config);
    if (app->authenticators == NULL) {
        return lines_problem("out of memory");
    }
    lines_answer("fresh", NULL, 0);
    return 0;
}

static int request(void *context, const struct field *fields)
{
    struct application *app = context;
    struct authenticator_claim made = { 0 };
    struct octets out = { 0 };
    int ret = authenticators_request(app->authenticators, fields[0].p, fields[0].len, &out, &made);

    if (ret == 0) {
        lines_begin("request");
        lines_field(out.p, out.len);
        say_request(&made);
        lines_end();
    }
    octets_free(&out);
    authenticator_claim_free(&made);
    return ret != 0 ? refused(app) : 0;
}

static int answer(void *context, const struct field *fields)
{
    struct application *app = context;
    struct authenticator_claim asked = { 0 }, made = { 0 };
    struct octets out = { 0 };
    int ret = authenticators_answer(app->authenticators, fields[0].p, fields[0].len, fields[1].len > 0 && fields[1].p[0] != 0,
                                    &out, &asked, &made);

    if (ret == 0) {
        lines_begin("answer");
        lines_field(out.p, out.len);
        say_request(&asked);
        say_authenticator(&made);
        lines_end();
    }
    octets_free(&out);
    authenticator_claim_free(&asked);
    authenticator_claim_free(&made);
    return ret != 0 ? refused(app) : 0;
}

static int spontaneous(void *context, const struct field *fields)
{
    struct application *app = context;
    struct authenticator_claim made = { 0 };
    struct octets out = { 0 };
    int ret = authenticators_spontaneous(app->authenticators, fields[0].p, fields[0].len, &out, &made);

    if (ret == 0) {
        lines_begin("spontaneous");
        lines_field(out.p, out.len);
        say_authenticator(&made);
        lines_end();
    }
    octets_free(&out);
    authenticator_claim_free(&made);
    return ret != 0 ? refused(app) : 0;
}

static int check(void *context, const struct field *fields)
{
    struct application *app = context;
    struct authenticator_claim got = { 0 };
    int ret = authenticators_check(app->authenticators, fields[0].p, fields[0].len, &got);

    if (ret == 0) {
        lines_begin("checked");
        say_authenticator(&got);
        lines_end();
    }
    authenticator_claim_free(&got);
    return ret != 0 ? refused(app) : 0;
}

/* Extended Key Update. */

static int update(void *context, const struct field *fields)
{
    struct application *app = context;
    int ret = mbedtls_ssl_extended_key_update(&app->c->ssl);

    (void) fields;
    if (ret != 0) {
        return trouble("mbedtls_ssl_extended_key_update", ret);
    }
    lines_answer("updating", NULL, 0);
    return 0;
}

static int epoch(void *context, const struct field *fields)
{
    struct application *app = context;
    uint64_t n = mbedtls_ssl_get_key_epoch(&app->c->ssl);
    unsigned char octets[8];

    (void) fields;
    for (int i = 7; i >= 0; i--, n >>= 8) {
        octets[i] = (unsigned char) n;
    }
    lines_answer("epoch", octets, sizeof(octets));
    return 0;
}

static int export_epoch(void *context, const struct field *fields)
{
    struct application *app = context;
    unsigned char out[MAX_EXPORT];
    uint64_t len = number(&fields[3]);
    int ret;

    if (len > sizeof(out)) {
        return lines_problem("more than %d octets are asked for", MAX_EXPORT);
    }
    ret = mbedtls_ssl_export_epoch_keying_material(&app->c->ssl, number(&fields[0]), out, (size_t) len, (const char *) fields[1].p,
                                                   fields[1].len, fields[2].p, fields[2].len);
    if (ret != 0) {
        return trouble("mbedtls_ssl_export_epoch_keying_material", ret);
    }
    lines_answer("value", out, (size_t) len);
    return 0;
}

int attend(struct connection *c, mbedtls_x509_crt *chain)
{
    static const struct word words[] = {
        { "fresh", 1, fresh }, { "request", 1, request }, { "answer", 2, answer }, { "spontaneous", 1, spontaneous },
        { "check", 1, check }, { "update", 0, update }, { "epoch", 0, epoch }, { "export-epoch", 4, export_epoch }, { NULL, 0, NULL }
    };
    const int sha384 = mbedtls_ssl_get_ciphersuite_id_from_ssl(&c->ssl) == MBEDTLS_TLS1_3_AES_256_GCM_SHA384;
    struct application app = { .c = c };
    const struct end end = { &app, export, write_all, read_octets, close_it, words };
    int ret;

    app.config = (struct authenticator_config) {
        .server = c->options->role == SERVER, .hash = sha384 ? MBEDTLS_MD_SHA384 : MBEDTLS_MD_SHA256, .export = export_label,
        .exporter = &app, .random = mbedtls_ctr_drbg_random, .rng = c->random, .chain = chain, .key = c->key,
        .client_hello = client_hello
    };
    app.authenticators = authenticators_new(&app.config);
    if (app.authenticators == NULL) {
        return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    }
    lines_begin(sha384 ? "connected SHA384" : "connected SHA256");
    lines_field(client_hello.p, client_hello.len);
    lines_end();
    ret = lines_serve(&end);
    authenticators_free(app.authenticators);
    octets_free(&client_hello);
    return ret != 0 ? MBEDTLS_ERR_SSL_INTERNAL_ERROR : 0;
}
