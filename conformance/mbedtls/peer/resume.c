/*
 * Sessions and their tickets. None of the drafts says anything of resumption: a
 * connection that resumes a session shows no certificate, hence nothing that
 * could carry an attestation, and stands on what the session keeps of the peer.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "mbedtls/sha256.h"

#include "compiled.h"
#include "json.h"

enum { MAX_SESSION = 1 << 16 };

static int copy(struct octets *to, const struct octets *from)
{
    octets_free(to);
    return from->p != NULL ? octets_set(to, from->p, from->len) : 0;
}

static int kept_copy(struct kept *to, const struct kept *from)
{
    to->draft = from->draft;
    to->model = from->model;
    to->credential = from->credential;
    return copy(&to->scheme, &from->scheme) | copy(&to->spki, &from->spki) |
           copy(&to->status, &from->status) | copy(&to->valid_until, &from->valid_until);
}

/* A member of a verdict as it stands there. */
static int copy_member(struct octets *to, const struct text *verdict, const char *name)
{
    int bad;
    struct json v = json_member(verdict->p, verdict->len, name, &bad);

    return v.p != NULL ? octets_set(to, (const unsigned char *) v.p, v.len) : 0;
}

/* What the session of a connection keeps of the peer. */
static int kept_take(struct kept *k, struct connection *c)
{
    const struct attestation *a = peers(c);
    const struct scheme *s = &c->options->scheme;

    if (c->psk_mode != 0) {
        return kept_copy(k, &c->kept);
    }
    if (!a->judged) {
        return copy(&k->spki, &c->peer_spki);
    }
    k->draft = c->options->draft;
    k->model = s->model;
    k->credential = s->credential;
    return copy(&k->scheme, &a->scheme) |
           copy(&k->spki, s->credential == ALONE ? &a->spki : &c->peer_spki) |
           copy_member(&k->status, &a->verdict, "status") |
           copy_member(&k->valid_until, &a->verdict, "valid_until");
}

/* How many seconds the verdict is still valid; 0: it is over, or has no end. */
static int64_t validity_left(const struct kept *k)
{
    struct json until = { (const char *) k->valid_until.p, k->valid_until.len };
    int64_t end, now = (int64_t) time(NULL);

    return json_time(until, &end) == 0 && end > now ? end - now : 0;
}

/* Whether an attestation was accepted under the scheme that we accept. */
static int same_scheme(const struct kept *k, const struct options *o)
{
    unsigned char buffer[1024];
    struct writer mine = write_into(buffer, sizeof(buffer));

    if (o->draft->compiled != NULL) {
        return k->model == o->scheme.model && k->credential == o->scheme.credential && interpret_accepts(o, &k->scheme);
    }
    if (o->draft->element == NULL || k->model != o->scheme.model || k->credential != o->scheme.credential) {
        return 0;
    }
    o->draft->element(&o->scheme, &mine);
    return !mine.bad && octets_equal(&k->scheme, mine.start, writer_len(&mine));
}

/* Who must attest has to have done so in the connection that is resumed, under
 * the same draft and the scheme that we accept, and the verdict has to hold. */
static int suffices(const struct kept *k, const struct options *o)
{
    struct json status = { (const char *) k->status.p, k->status.len };

    return !demands_in_handshake(o) ||
           (k->draft != NULL && k->draft == o->draft && same_scheme(k, o) && json_is(status, "affirming") &&
            validity_left(k) > 0);
}

/* A verdict that is over counts for nothing. */
static void drop_expired(struct kept *k)
{
    if (k->valid_until.p != NULL && validity_left(k) == 0) {
        k->draft = NULL;
    }
}

int session_resumed(struct connection *c)
{
    for (size_t i = 0; i < c->attestation_count; i++) {
        if (c->attestations[i].chosen && c->options->role == CLIENT) {
            return fail(c, FAIL_CHOICE_WITHOUT_REQUEST, "encrypted_extensions",
                        "a scheme was chosen where nobody shows a certificate");
        }
        c->attestations[i].chosen = 0;
    }
    return 0;
}

/* ---- what a compiled profile says of them ---- */

static int never_resumes(const struct draft *d)
{
    return d != NULL && d->compiled != NULL && d->compiled->never_resume;
}

static int bounds_tickets(const struct draft *d)
{
    return d->compiled != NULL && d->compiled->tickets == VALIDITY_WITHIN;
}

int sends_no_tickets(const struct options *o)
{
    return o->role == SERVER && o->draft != NULL && o->draft->compiled != NULL &&
           o->draft->compiled->tickets == VALIDITY_NEVER;
}

static int discards_tickets(const struct draft *d)
{
    return d != NULL && d->compiled != NULL && d->compiled->discard_tickets;
}

/* ---- a server's tickets: what it keeps of the peer stays here ---- */

int tickets_setup(struct tickets *t, mbedtls_ssl_config *conf, mbedtls_ctr_drbg_context *random)
{
    int ret = mbedtls_ssl_ticket_setup(&t->context, mbedtls_ctr_drbg_random, random,
                                       MBEDTLS_CIPHER_AES_256_GCM, 24 * 60 * 60);

    if (ret == 0) {
        mbedtls_ssl_conf_session_tickets_cb(conf, tickets_write, tickets_parse, t);
    }
    return ret;
}

void tickets_free(struct tickets *t)
{
    mbedtls_ssl_ticket_free(&t->context);
    for (size_t i = 0; i < MAX_ISSUED; i++) {
        kept_free(&t->issued[i].kept);
    }
}

void tickets_begin(struct tickets *t, mbedtls_ssl_config *conf, struct connection *c)
{
    t->current = c;
    /* The library prefers a full handshake to a key without (EC)DHE, and so has
     * to be left no choice. */
    if (c->options->psk_modes == MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_PSK && t->count > 0) {
        mbedtls_ssl_conf_tls13_key_exchange_modes(conf, MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_PSK);
    }
}

int tickets_write(void *ctx, const mbedtls_ssl_session *session, unsigned char *start,
                  const unsigned char *end, size_t *len, uint32_t *lifetime)
{
    struct tickets *t = ctx;
    struct issued *i = &t->issued[t->count % MAX_ISSUED];
    int ret = mbedtls_ssl_ticket_write(&t->context, session, start, end, len, lifetime);

    if (ret != 0) {
        return ret;
    }
    kept_free(&i->kept);
    if (mbedtls_sha256(start, *len, i->name, 0) != 0 || kept_take(&i->kept, t->current) != 0) {
        return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    }
    /* The ticket of a client that must attest does not outlive the verdict. */
    if ((demands_in_handshake(t->current->options) || (i->kept.draft != NULL && bounds_tickets(i->kept.draft))) &&
        validity_left(&i->kept) < (int64_t) *lifetime) {
        *lifetime = (uint32_t) validity_left(&i->kept);
    }
    t->count++;
    return 0;
}

static const struct kept *find(const struct tickets *t, const unsigned char *name)
{
    for (size_t i = 0; i < MAX_ISSUED && i < t->count; i++) {
        if (memcmp(t->issued[i].name, name, sizeof(t->issued[i].name)) == 0) {
            return &t->issued[i].kept;
        }
    }
    return NULL;
}

/* A ticket that is not taken means a full handshake. */
int tickets_parse(void *ctx, mbedtls_ssl_session *session, unsigned char *buf, size_t len)
{
    struct tickets *t = ctx;
    const struct kept *k;
    unsigned char name[32];
    int ret = mbedtls_sha256(buf, len, name, 0);

    if (interpret_answered(t->current)) {
        return MBEDTLS_ERR_SSL_SESSION_TICKET_EXPIRED;
    }
    if (ret == 0) {
        ret = mbedtls_ssl_ticket_parse(&t->context, session, buf, len);
    }
    if (ret != 0) {
        return ret;
    }
    k = find(t, name);
    if (k == NULL || t->current->options->refuse_tickets || !suffices(k, t->current->options) ||
        never_resumes(t->current->options->draft)) {
        t->current->refused_ticket = 1;
        return MBEDTLS_ERR_SSL_SESSION_TICKET_EXPIRED;
    }
    if (kept_copy(&t->current->kept, k) != 0) {
        return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    }
    drop_expired(&t->current->kept);
    return 0;
}

/* ---- a client's session in a file ---- */

static const struct draft *draft_by_id(const struct draft *present, const unsigned char *id, size_t len)
{
    const struct draft *const drafts[] = { present, &draft_early_attestation_06, &draft_tls_attestation_07 };

    for (size_t i = present == NULL; i < sizeof(drafts) / sizeof(drafts[0]); i++) {
        if (strlen(drafts[i]->id) == len && memcmp(drafts[i]->id, id, len) == 0) {
            return drafts[i];
        }
    }
    return NULL;
}

static void write_kept(struct writer *w, const struct kept *k)
{
    const char *id = k->draft != NULL ? k->draft->id : "";

    write_vector(w, 1, (const unsigned char *) id, strlen(id));
    write_number(w, k->model, 1);
    write_number(w, k->credential, 1);
    write_vector(w, 2, k->scheme.p, k->scheme.len);
    write_vector(w, 2, k->spki.p, k->spki.len);
    write_vector(w, 2, k->status.p, k->status.len);
    write_vector(w, 2, k->valid_until.p, k->valid_until.len);
}

static int read_octets(struct reader *r, struct octets *to)
{
    struct reader v = read_vector(r, 2);

    return reader_left(&v) > 0 ? octets_set(to, v.p, reader_left(&v)) : 0;
}

static int read_kept(struct reader *r, const struct draft *present, struct kept *k)
{
    struct reader id = read_vector(r, 1);

    k->draft = draft_by_id(present, id.p, reader_left(&id));
    k->model = (enum model) read_number(r, 1);
    k->credential = (enum credential) read_number(r, 1);
    return read_octets(r, &k->scheme) | read_octets(r, &k->spki) |
           read_octets(r, &k->status) | read_octets(r, &k->valid_until);
}

/* The file holds the key of the session: it is its owner's alone. */
static int write_file(const char *name, const unsigned char *p, size_t len)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    int ret = fd >= 0 && fchmod(fd, 0600) == 0 && write(fd, p, len) == (ssize_t) len ? 0 : -1;

    if (fd >= 0 && close(fd) != 0) {
        ret = -1;
    }
    return ret;
}

int session_save(struct connection *c)
{
    unsigned char *buf = malloc(MAX_SESSION);
    struct writer w = write_into(buf, buf != NULL ? MAX_SESSION : 0);
    struct kept k = { 0 };
    mbedtls_ssl_session session;
    size_t len = 0;
    int ret;

    if (discards_tickets(c->options->draft)) {
        free(buf);
        return 0;
    }
    mbedtls_ssl_session_init(&session);
    ret = mbedtls_ssl_get_session(&c->ssl, &session);
    if (ret == 0) {
        ret = kept_take(&k, c) != 0 ? MBEDTLS_ERR_SSL_ALLOC_FAILED : 0;
        write_kept(&w, &k);
    }
    if (ret == 0 && !w.bad) {
        ret = mbedtls_ssl_session_save(&session, w.p, (size_t) (w.end - w.p), &len);
    }
    if (ret == 0 && (w.bad || write_file(c->options->sess_out, buf, writer_len(&w) + len) != 0)) {
        ret = MBEDTLS_ERR_SSL_INTERNAL_ERROR;
    }
    if (buf != NULL) {
        mbedtls_platform_zeroize(buf, MAX_SESSION);
    }
    free(buf);
    kept_free(&k);
    mbedtls_ssl_session_free(&session);
    return ret;
}

static int read_file(const char *name, unsigned char *buf, size_t size, size_t *len)
{
    FILE *f = fopen(name, "rb");
    int ret;

    if (f == NULL) {
        return -1;
    }
    *len = fread(buf, 1, size, f);
    ret = ferror(f) ? -1 : 0;
    fclose(f);
    return ret;
}

int session_load(struct connection *c)
{
    unsigned char *buf = malloc(MAX_SESSION);
    mbedtls_ssl_session session;
    struct reader r;
    size_t len;
    int ret = MBEDTLS_ERR_SSL_BAD_INPUT_DATA;

    mbedtls_ssl_session_init(&session);
    if (buf != NULL && read_file(c->options->sess_in, buf, MAX_SESSION, &len) == 0) {
        r = read_all(buf, len);
        if (read_kept(&r, c->options->draft, &c->kept) == 0 && !r.bad) {
            ret = mbedtls_ssl_session_load(&session, r.p, reader_left(&r));
        }
    }
    drop_expired(&c->kept);
    if (ret == 0 && suffices(&c->kept, c->options)) {
        ret = mbedtls_ssl_set_session(&c->ssl, &session);
    }
    if (buf != NULL) {
        mbedtls_platform_zeroize(buf, MAX_SESSION);
    }
    free(buf);
    mbedtls_ssl_session_free(&session);
    return ret;
}
