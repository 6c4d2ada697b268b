/* Reads a compiled profile and checks that it says nothing that this peer cannot do. */
#include "loader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void know_remarks(struct loader *l)
{
    static const char *const maps[] = { "draft", "accepted_flaws" };

    for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
        if (document_find(l->d, "%s", maps[i]) != NULL) {
            load_each(l, maps[i], load_know);
        }
    }
}

static void check_all_known(struct loader *l)
{
    for (size_t i = 0; i < l->d->record_count && !l->failed; i++) {
        if (!l->d->records[i].used) {
            load_refuse(l, "line %zu: %.200s is not known to this peer", l->d->records[i].line, l->d->records[i].path);
        }
    }
}

/* ---- what the library is told ---- */

/* Extensions are written in the order of the first slot that has a field in them;
 * one that has none comes behind those that answer it, then by number. */
static unsigned rank(const struct compiled *c, size_t extension)
{
    for (size_t i = 0; i < c->slot_count; i++) {
        const struct slot_rule *s = &c->slots[i];
        const struct where *fields[] = { &s->offer, &s->choice, &s->nonce, &s->payload };
        for (size_t k = 0; k < 4; k++) {
            if (fields[k]->set && fields[k]->extension == (int) extension) {
                return (unsigned) i << 17 | c->extensions[extension].number;
            }
        }
    }
    return (unsigned) MAX_SLOTS << 17 | c->extensions[extension].number;
}

static uint8_t places_of(const struct placed_extension *x)
{
    static const uint8_t bits[MESSAGES] = {
        [IN_CLIENT_HELLO] = MBEDTLS_SSL_CUSTOM_EXT_CLIENT_HELLO,
        [IN_HELLO_RETRY_REQUEST] = MBEDTLS_SSL_CUSTOM_EXT_HELLO_RETRY_REQUEST,
        [IN_SERVER_HELLO] = MBEDTLS_SSL_CUSTOM_EXT_SERVER_HELLO,
        [IN_ENCRYPTED_EXTENSIONS] = MBEDTLS_SSL_CUSTOM_EXT_ENCRYPTED_EXTENSIONS,
        [IN_CERTIFICATE_REQUEST] = MBEDTLS_SSL_CUSTOM_EXT_CERTIFICATE_REQUEST,
        [IN_CERTIFICATE] = MBEDTLS_SSL_CUSTOM_EXT_CERTIFICATE,
        [IN_NEW_SESSION_TICKET] = MBEDTLS_SSL_CUSTOM_EXT_NEW_SESSION_TICKET,
    };
    uint8_t places = 0;

    for (int m = 0; m < MESSAGES; m++) {
        places |= x->at[m].placed ? bits[m] : 0;
    }
    return places;
}

static void fill_types(struct compiled *c)
{
    size_t order[MAX_PLACED], count = 0;
    int cookie = 0;

    for (size_t i = 0; i < c->extension_count; i++) {
        size_t at = count;
        if (c->extensions[i].later) {
            continue;
        }
        for (; at > 0 && rank(c, order[at - 1]) > rank(c, i); at--) {
            order[at] = order[at - 1];
        }
        order[at] = i;
        count++;
    }
    for (size_t i = 0; i < count; i++) {
        const struct placed_extension *x = &c->extensions[order[i]];
        /* What was offered is for us to check. */
        c->types[i] = (mbedtls_ssl_custom_ext) { (uint16_t) x->number, places_of(x), 0x7f };
    }
    c->draft.extension_count = count;
    for (size_t i = 0; i < c->slot_count && !cookie; i++) {
        const struct slot_rule *s = &c->slots[i];
        cookie = (s->choice.set && s->choice.message == IN_HELLO_RETRY_REQUEST) ||
                 (s->nonce.set && s->nonce.message == IN_HELLO_RETRY_REQUEST);
    }
    if (cookie) {
        c->types[c->draft.extension_count++] = (mbedtls_ssl_custom_ext) { MBEDTLS_TLS_EXT_COOKIE,
            MBEDTLS_SSL_CUSTOM_EXT_CLIENT_HELLO | MBEDTLS_SSL_CUSTOM_EXT_HELLO_RETRY_REQUEST, 0x7f };
    }
    if (c->authorities != 0) {
        c->types[c->draft.extension_count++] = (mbedtls_ssl_custom_ext) { MBEDTLS_TLS_EXT_CERT_AUTH, c->authorities, 0x7f };
    }
    c->draft.extensions = c->types;
}

static void fill_messages(struct compiled *c)
{
    for (size_t i = 0; i < c->added_count; i++) {
        for (int sender = CLIENT; sender <= SERVER; sender++) {
            if (c->added[i].gap[sender] != 0) {
                c->messages[c->message_count++] = (mbedtls_ssl_custom_msg) {
                    c->added[i].number, sender == CLIENT ? MBEDTLS_SSL_IS_CLIENT : MBEDTLS_SSL_IS_SERVER,
                    (uint8_t) c->added[i].gap[sender]
                };
            }
        }
    }
}

/* ---- the whole ---- */

/* Extended Key Update is for connections without a profile here (--lines), so what a profile attests
 * with it is never used. */
static void pass_over_updates(struct loader *l)
{
    static const char *const maps[] = { "key_updates", "code_points/key_updates", "after/key_update",
                                        "binder/key_update" };

    for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
        load_pass_over(l, maps[i]);
    }
}

static void load(struct loader *l)
{
    struct compiled *c = l->c;

    c->draft.id = document_value(l->d, "profile");
    if (c->draft.id == NULL) {
        load_refuse(l, "profile is missing");
        return;
    }
    know_remarks(l);
    load_points(l);
    pass_over_updates(l);
    document_find(l->d, "messages");
    document_find(l->d, "x509");
    document_find(l->d, "bind");
    document_find(l->d, "bind/slots");
    document_find(l->d, "bind/credentials");
    document_find(l->d, "alerts");
    if (l->failed || load_extensions(l) != 0 || load_each(l, "messages", load_message) != 0 ||
        load_each(l, "x509", load_x509) != 0 || load_objects(l) != 0 || load_frames(l) != 0 ||
        load_each(l, "bind/slots", load_slot) != 0 || load_members_used(l) != 0 || load_credential(l, ALONE, "alone") != 0 ||
        load_credential(l, BESIDE_X509, "x509") != 0 || load_nonces(l) != 0 || load_binder(l) != 0 || load_later(l) != 0 ||
        load_each(l, "alerts", load_alert) != 0) {
        return;
    }
    load_negotiation(l);
    load_resumption(l);
    load_quirks(l);
    load_sorted(c);
    fill_types(c);
    if (c->draft.extension_count > MAX_EXTENSIONS) {
        load_refuse(l, "there are more than %d extensions", MAX_EXTENSIONS);
        return;
    }
    fill_messages(c);
    c->draft.alerts = c->alerts;
    c->draft.code_points = c->points;
    c->draft.certificate_type = c->credentials[ALONE].certificate_type != 0 || !c->credentials[ALONE].present ?
                                c->credentials[ALONE].certificate_type : UNNAMED_CERTIFICATE_TYPE;
    if (c->slot_count == 0 && !compiled_later(c)) {
        load_refuse(l, "nothing is negotiated, which this peer does not do");
    }
    check_all_known(l);
}

static int read_whole(const char *file, struct octets *out)
{
    enum { MOST = (1 << 20) + 1 };
    unsigned char *p = malloc(MOST);
    FILE *f = fopen(file, "rb");
    int ret = -1;

    if (f != NULL && p != NULL) {
        size_t n = fread(p, 1, MOST, f);
        ret = ferror(f) ? -1 : octets_set(out, p, n);
    }
    if (f != NULL) {
        fclose(f);
    }
    free(p);
    return ret;
}

int compiled_read(struct compiled *c, const unsigned char *p, size_t len, char *reason, size_t size)
{
    struct loader l = { .c = c, .d = &c->document };

    memset(c, 0, sizeof(*c));
    l.failed = document_read(&c->document, p, len, l.reason, sizeof(l.reason)) != 0;
    if (!l.failed) {
        load(&l);
    }
    if (l.failed) {
        snprintf(reason, size, "%s", l.reason);
        compiled_free(c);
    }
    return l.failed ? l.limit ? COMPILED_LIMIT : -1 : 0;
}

int compiled_load(struct compiled *c, const char *file)
{
    struct octets octets = { 0 };
    char reason[512] = "it cannot be read";
    int ret = read_whole(file, &octets);

    ret = ret == 0 ? compiled_read(c, octets.p, octets.len, reason, sizeof(reason)) : ret;
    octets_free(&octets);
    if (ret != 0) {
        fprintf(stderr, "mbedtls-peer: %s: %s%s\n", file, ret == COMPILED_LIMIT ? "limit: " : "", reason);
    }
    return ret;
}

void compiled_free(struct compiled *c)
{
    document_free(&c->document);
    octets_free(&c->nonce_default);
    for (size_t i = 0; i < c->slot_count; i++) {
        octets_free(&c->slots[i].flag);
        nonce_field_free(&c->slots[i].field);
    }
    for (size_t i = 0; i < c->x509_count; i++) {
        octets_free(&c->x509[i].oid);
    }
    c->slot_count = 0;
    c->x509_count = 0;
}
