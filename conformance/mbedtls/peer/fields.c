/* Nonces of a compiled profile in fields that RFCs define: what is sent of them in a connection, and read. */
#include <string.h>

#include "mbedtls/platform_util.h"

#include "interpretation.h"

static const struct slot_rule *slot_of(const struct connection *c, size_t slot)
{
    return &c->interpretation->profile->slots[slot];
}

/* ---- a client, before the handshake ---- */

static int set_server_name(struct connection *c, const struct text *value)
{
    return mbedtls_ssl_set_sent_server_name(&c->ssl, value->p);
}

/* The protocol with the nonce comes before those of the command line. */
static int set_protocols(struct connection *c, struct text *value)
{
    struct interpretation *i = c->interpretation;
    size_t count = 0;

    i->protocol = *value;
    *value = (struct text) { 0 };
    i->protocols[count++] = i->protocol.p;
    for (size_t k = 0; k < MAX_PROTOCOLS && c->options->alpn[k] != NULL; k++) {
        i->protocols[count++] = c->options->alpn[k];
    }
    i->protocols[count] = NULL;
    return mbedtls_ssl_set_alpn_protocols(&c->ssl, i->protocols);
}

static int set_random(struct connection *c, const struct nonce_field *f, const struct octets *nonce,
                      unsigned char random[RANDOM_SIZE], int *drawn)
{
    int ret = *drawn ? 0 : mbedtls_ctr_drbg_random(c->random, random, RANDOM_SIZE);

    if (ret == 0) {
        *drawn = 1;
        memcpy(random + f->offset, nonce->p, nonce->len);
        mbedtls_ssl_set_hello_random(&c->ssl, random);
    }
    return ret;
}

int fields_begin(struct connection *c)
{
    const struct compiled *p = c->interpretation->profile;
    unsigned char random[RANDOM_SIZE], element[MAX_ELEMENT];
    int drawn = 0, ret = 0;

    for (size_t slot = 0; ret == 0 && slot < p->slot_count && c->options->role == CLIENT; slot++) {
        const struct nonce_field *f = &p->slots[slot].field;
        struct writer w = write_into(element, sizeof(element));
        struct text value = { 0 };
        if (f->place == IN_NO_FIELD || p->slots[slot].attester != SERVER || !slot_element(c->options, &p->slots[slot], &w)) {
            continue;
        }
        ret = nonce_draw(c, slot, f->floor, f->ceiling);
        if (ret == 0) {
            nonce_field_write(f, &attestation_of(c, slot)->nonce, &value);
            ret = value.failed || value.p == NULL ? MBEDTLS_ERR_SSL_ALLOC_FAILED : 0;
        }
        if (ret == 0) {
            switch (f->place) {
                case IN_SERVER_NAME: ret = set_server_name(c, &value); break;
                case IN_ALPN: ret = set_protocols(c, &value); break;
                case IN_RANDOM: ret = set_random(c, f, &attestation_of(c, slot)->nonce, random, &drawn); break;
                default: break; /* fields_write() */
            }
        }
        text_free(&value);
    }
    mbedtls_platform_zeroize(random, sizeof(random));
    return ret;
}

/* ---- reading ---- */

/* A value of a field: whether it holds the nonce of a slot. Two are one too many. */
static int take_value(struct connection *c, size_t slot, const unsigned char *p, size_t len, const char *message,
                      struct octets *nonce)
{
    const struct slot_rule *s = slot_of(c, slot);
    struct octets found = { 0 };
    const enum found what = nonce_field_read(&s->field, p, len, &found);

    if (what == FOUND_BAD) {
        return fail(c, FAIL_MALFORMED_EXTENSION, message, "the nonce of %s is not spelt as the profile says", s->name);
    }
    if (what == FOUND_NONCE && nonce->p != NULL) {
        octets_free(&found);
        c->message = message;
        mbedtls_ssl_set_fatal_alert(&c->ssl, MBEDTLS_SSL_ALERT_MSG_ILLEGAL_PARAMETER, MBEDTLS_ERR_SSL_ILLEGAL_PARAMETER);
        return MBEDTLS_ERR_SSL_ILLEGAL_PARAMETER;
    }
    if (what == FOUND_NONCE) {
        *nonce = found;
    }
    return 0;
}

/* The values of a list whose elements have a length in so many octets. What is malformed is the library's
 * to refuse. */
static int take_list(struct connection *c, size_t slot, struct reader list, int length, const char *message,
                     struct octets *nonce)
{
    int ret = 0;

    while (ret == 0 && !list.bad && reader_left(&list) > 0) {
        struct reader value = read_vector(&list, length);
        ret = list.bad ? 0 : take_value(c, slot, value.p, reader_left(&value), message, nonce);
    }
    return ret;
}

/* The one host_name of server_name. */
static int take_server_name(struct connection *c, size_t slot, struct reader body, struct octets *nonce)
{
    struct reader list = read_vector(&body, 2);

    while (!list.bad && reader_left(&list) > 0) {
        const uint32_t type = read_number(&list, 1);
        struct reader name = read_vector(&list, 2);
        if (!list.bad && type == MBEDTLS_TLS_EXT_SERVERNAME_HOSTNAME) {
            return take_value(c, slot, name.p, reader_left(&name), "client_hello", nonce);
        }
    }
    return 0;
}

/* The body of an extension of a ClientHello; one that is bad where there is none. */
static struct reader extension_body(struct reader extensions, unsigned type)
{
    while (!extensions.bad && reader_left(&extensions) > 0) {
        const unsigned found = read_number(&extensions, 2);
        struct reader body = read_vector(&extensions, 2);
        if (found == type && !extensions.bad) {
            return body;
        }
    }
    extensions.bad = 1;
    return extensions;
}

static int take_from_hello(struct connection *c, size_t slot, const unsigned char *random, struct reader extensions,
                           struct octets *nonce)
{
    static const unsigned types[] = {
        [IN_SERVER_NAME] = MBEDTLS_TLS_EXT_SERVERNAME, [IN_ALPN] = MBEDTLS_TLS_EXT_ALPN,
        [IN_AUTHORITIES] = MBEDTLS_TLS_EXT_CERT_AUTH
    };
    const struct nonce_field *f = &slot_of(c, slot)->field;
    struct reader body;

    if (f->place == IN_RANDOM) {
        return octets_set(nonce, random + f->offset, f->ceiling) != 0 ? MBEDTLS_ERR_SSL_ALLOC_FAILED : 0;
    }
    body = extension_body(extensions, types[f->place]);
    if (body.bad) {
        return 0;
    }
    return f->place == IN_SERVER_NAME ? take_server_name(c, slot, body, nonce) :
           take_list(c, slot, read_vector(&body, 2), f->place == IN_ALPN ? 1 : 2, "client_hello", nonce);
}

/* What a nonce that came means to its slot. */
static int keep(struct connection *c, size_t slot, struct octets *nonce, int again, const char *message)
{
    struct attestation *a = attestation_of(c, slot);
    const uint64_t most = c->interpretation->profile->nonce_max;

    if (again && ((nonce->p == NULL) != (a->nonce.p == NULL) ||
                  (nonce->p != NULL && !octets_equal(&a->nonce, nonce->p, nonce->len)))) {
        return fail(c, FAIL_OFFER_CHANGED, message, "the second ClientHello has another nonce for %s", a->slot != NULL ?
                    a->slot : slot_of(c, slot)->name);
    }
    if (nonce->p != NULL && most != 0 && nonce->len > most) {
        return fail(c, FAIL_NONCE_SIZE, message, "the nonce has %zu octets", nonce->len);
    }
    if (nonce->p != NULL) {
        octets_free(&a->nonce);
        a->nonce = *nonce;
        *nonce = (struct octets) { 0 };
    }
    return 0;
}

/* Server: the protocols to select from. The name with the nonce is none of them; where the profile says so,
 * it is selected if no other is. */
static int select_from(struct connection *c, struct reader extensions)
{
    struct interpretation *i = c->interpretation;
    struct reader body = extension_body(extensions, MBEDTLS_TLS_EXT_ALPN), list;
    size_t others = 0, count = 0;

    if (!i->profile->alpn || body.bad) {
        return 0;
    }
    for (list = read_vector(&body, 2); !list.bad && reader_left(&list) > 0; ) {
        struct reader name = read_vector(&list, 1);
        int ours = 0;
        for (size_t slot = 0; !list.bad && slot < i->profile->slot_count; slot++) {
            const struct nonce_field *f = &slot_of(c, slot)->field;
            struct octets nonce = { 0 };
            if (f->place == IN_ALPN && nonce_field_read(f, name.p, reader_left(&name), &nonce) == FOUND_NONCE) {
                ours = 1;
                if (f->selected && i->protocol.len == 0) {
                    text_add(&i->protocol, (const char *) name.p, reader_left(&name));
                }
            }
            octets_free(&nonce);
        }
        others += !ours;
    }
    for (size_t k = 0; others > 0 && k < MAX_PROTOCOLS && c->options->alpn[k] != NULL; k++) {
        i->protocols[count++] = c->options->alpn[k];
    }
    if (i->protocol.len > 0) {
        i->protocols[count++] = i->protocol.p;
    }
    i->protocols[count] = NULL;
    return count > 0 ? mbedtls_ssl_set_alpn_protocols(&c->ssl, i->protocols) : 0;
}

int fields_hello(struct connection *c, const unsigned char *msg, size_t len)
{
    const struct compiled *p = c->interpretation->profile;
    const int again = transcript_message(c, MBEDTLS_SSL_HS_CLIENT_HELLO, 0) != NULL;
    struct reader r, extensions;
    const unsigned char *random;
    int ret = 0;

    if (len < 4 + 2 + RANDOM_SIZE) {
        return 0; /* which the library refuses */
    }
    random = msg + 4 + 2;
    r = read_all(random + RANDOM_SIZE, len - 4 - 2 - RANDOM_SIZE);
    read_vector(&r, 1);            /* legacy_session_id */
    read_vector(&r, 2);            /* cipher_suites */
    read_vector(&r, 1);            /* legacy_compression_methods */
    extensions = read_vector(&r, 2);
    if (r.bad) {
        return 0;
    }
    for (size_t slot = 0; ret == 0 && slot < p->slot_count; slot++) {
        struct octets nonce = { 0 };
        if (p->slots[slot].field.place == IN_NO_FIELD || p->slots[slot].attester != SERVER) {
            continue;
        }
        ret = take_from_hello(c, slot, random, extensions, &nonce);
        ret = ret == 0 ? keep(c, slot, &nonce, again, "client_hello") : ret;
        octets_free(&nonce);
    }
    return ret == 0 && !again ? select_from(c, extensions) : ret;
}

/* ---- certificate_authorities ---- */

int fields_write(struct connection *c, enum message message, struct writer *w)
{
    const struct compiled *p = c->interpretation->profile;
    size_t begin = write_vector_begin(w, 2), empty = writer_len(w);
    int ret = 0;

    for (size_t slot = 0; ret == 0 && slot < p->slot_count; slot++) {
        const struct slot_rule *s = &p->slots[slot];
        struct attestation *a = attestation_of(c, slot);
        struct text name = { 0 };
        if (s->field.place != IN_AUTHORITIES || s->nonce.message != message || s->attester == c->options->role ||
            !(message == IN_CLIENT_HELLO ? a->offered : a->chosen)) {
            continue;
        }
        ret = nonce_draw(c, slot, s->field.floor, s->field.ceiling);
        if (ret == 0) {
            nonce_field_write(&s->field, &a->nonce, &name);
            ret = name.failed ? MBEDTLS_ERR_SSL_ALLOC_FAILED : 0;
            write_vector(w, 2, (unsigned char *) name.p, name.len);
        }
        text_free(&name);
    }
    if (ret == 0 && writer_len(w) == empty) {
        return MBEDTLS_SSL_CUSTOM_EXT_OMIT;
    }
    write_vector_end(w, 2, begin);
    return ret;
}

int fields_read(struct connection *c, enum message message, struct reader body, const char *name)
{
    const struct compiled *p = c->interpretation->profile;
    struct reader list = read_vector(&body, 2);
    int ret = 0;

    if (message == IN_CLIENT_HELLO) {
        return 0; /* fields_hello() has read it */
    }
    if (!reader_done(&body) || reader_left(&list) == 0) {
        return fail(c, FAIL_MALFORMED_EXTENSION, name, "certificate_authorities is malformed");
    }
    for (size_t slot = 0; ret == 0 && slot < p->slot_count; slot++) {
        const struct slot_rule *s = &p->slots[slot];
        struct octets nonce = { 0 };
        if (s->field.place != IN_AUTHORITIES || s->nonce.message != message || s->attester != c->options->role) {
            continue;
        }
        ret = take_list(c, slot, list, 2, name, &nonce);
        ret = ret == 0 ? keep(c, slot, &nonce, 0, name) : ret;
        octets_free(&nonce);
    }
    return ret;
}

/* ---- the protocol ---- */

const char *fields_protocol(struct connection *c)
{
    const char *selected = mbedtls_ssl_get_alpn_protocol(&c->ssl);
    const struct interpretation *i = c->interpretation;

    return i != NULL && selected != NULL && i->protocol.p != NULL && strcmp(selected, i->protocol.p) == 0 ? NULL : selected;
}

int fields_check_protocol(struct connection *c)
{
    const struct compiled *p = c->interpretation->profile;

    if (mbedtls_ssl_get_alpn_protocol(&c->ssl) == NULL || fields_protocol(c) != NULL) {
        return 0;
    }
    for (size_t slot = 0; slot < p->slot_count; slot++) {
        if (p->slots[slot].field.place == IN_ALPN && p->slots[slot].field.selected) {
            return 0;
        }
    }
    c->message = "encrypted_extensions";
    mbedtls_ssl_set_fatal_alert(&c->ssl, MBEDTLS_SSL_ALERT_MSG_ILLEGAL_PARAMETER, MBEDTLS_ERR_SSL_ILLEGAL_PARAMETER);
    return MBEDTLS_ERR_SSL_ILLEGAL_PARAMETER;
}
