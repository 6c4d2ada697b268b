/* The exchange of frames in which ends attest behind the handshake, where a profile has one. */
#include "exported.h"

#include <stdlib.h>
#include <string.h>

#include "interpretation.h"

struct exchange {
    struct exported *e;
    const struct compiled *profile;
    enum role self;
    size_t at;                     /* of the frame that comes next */
    int attests[2];                /* by role */
    struct octets nonces[2];       /* by attester */
    struct octets payload;         /* of the peer, until it is appraised */
    int arrived, judged;
    int ret;                       /* why this end refuses the peer; 0: it does not */
    int told;                      /* and has said so, so that nothing else follows */
};

/* ---- what frames are made of ---- */

/* The attester whose payload the frame has, or whose nonce, or who sends it. */
static enum role about(const struct compiled *p, size_t frame)
{
    for (int role = CLIENT; role <= SERVER; role++) {
        if (p->later[role].name != NULL && p->later[role].frame == (int) frame) {
            return (enum role) role;
        }
    }
    for (int role = CLIENT; role <= SERVER; role++) {
        if (p->later[role].name != NULL && p->later[role].nonce_frame == (int) frame) {
            return (enum role) role;
        }
    }
    return p->exchange.frames[frame].from;
}

static int begin_attestation(const struct exchange *x, struct attestation *a, enum role attester)
{
    const struct connection *c = x->e->c;
    const int own = attester == x->self;

    return exported_attestation(x->e, a, attester, IN_FRAME, &x->nonces[attester],
                                own ? &c->own_spki : &c->peer_spki, own ? &c->own_certificate : &c->peer_certificate);
}

/* The payload of this end. Its Evidence may be refused, by our own Attester for example. */
static int attest(struct exchange *x, struct octets *out)
{
    const struct later_rule *s = &x->profile->later[x->self];
    struct attestation a;
    int ret;

    if (s->name == NULL || s->frame != (int) x->at || !x->attests[x->self] || x->ret != 0) {
        return 0;
    }
    ret = begin_attestation(x, &a, x->self);
    ret = ret == 0 ? evidence_make(x->e->c, &a, NULL) : ret;
    if (ret != 0 || octets_set(out, a.payload.p, a.payload.len) != 0) {
        attestation_free(&a);
        return ret != 0 ? ret : MBEDTLS_ERR_SSL_ALLOC_FAILED;
    }
    exported_remember(x->e->c, &a);
    return 0;
}

/* The nonce for the peer. */
static int draw(struct exchange *x, const struct object_field *f, struct octets *out)
{
    struct connection *c = x->e->c;
    const enum role peer = !x->self;
    const struct later_rule *s = &x->profile->later[peer];
    size_t len = c->options->nonce_size != 0 ? c->options->nonce_size : 32;
    unsigned char nonce[255];
    int ret;

    if (s->name == NULL || (!x->attests[peer] && f->optional)) {
        return 0;
    }
    len = len < s->nonce_floor ? s->nonce_floor : len > s->nonce_ceiling ? s->nonce_ceiling : len;
    ret = mbedtls_ctr_drbg_random(c->random, nonce, len);
    if (ret == 0 && (octets_set(out, nonce, len) != 0 || octets_set(&x->nonces[peer], nonce, len) != 0)) {
        ret = MBEDTLS_ERR_SSL_ALLOC_FAILED;
    }
    return ret;
}

static int octets_of(void *context, const struct object_field *f, struct octets *out)
{
    struct exchange *x = context;
    struct attestation a;
    int ret;

    if (f->means == MEANS_PAYLOAD) {
        return attest(x, out);
    }
    if (f->means == MEANS_NONCE) {
        return draw(x, f, out);
    }
    ret = begin_attestation(x, &a, about(x->profile, x->at));
    ret = ret == 0 ? interpret_definition(x->e->c, &a, f->defined, out) : ret;
    attestation_free(&a);
    return ret;
}

/* ---- the peer's payload ---- */

static void judge(struct exchange *x)
{
    const enum role peer = !x->self;
    struct connection *c = x->e->c;
    struct attestation a;

    if (x->judged || x->ret != 0 || !x->arrived || !x->attests[peer]) {
        return;
    }
    x->judged = 1;
    if (x->payload.p == NULL) {
        x->ret = x->e->optional ? 0 : fail(c, FAIL_MISSING, NULL, "the frame has no payload");
        return;
    }
    x->ret = begin_attestation(x, &a, peer);
    if (x->ret != 0) {
        attestation_free(&a);
        return;
    }
    a.payload = x->payload;
    x->payload = (struct octets) { 0 };
    x->ret = evidence_judge(c, &a, NULL);
    exported_remember(c, &a);
}

/* ---- frames ---- */

/* The frame that comes next, or NULL. An end that refuses the other waits for nothing, and says so
 * where it can before it has sent anything else. */
static const struct frame_rule *next(struct exchange *x, int *own)
{
    const struct exchange_rules *r = &x->profile->exchange;

    for (; x->at < r->count && !x->told; x->at++) {
        const struct frame_rule *f = &r->frames[x->at];
        const int in = f->when < 0 || x->attests[f->when];
        *own = f->from == x->self;
        if (in && (x->ret == 0 || (*own && x->profile->objects[f->object].reports))) {
            return f;
        }
        if (in && *own) {
            return NULL;
        }
    }
    return NULL;
}

/* Whether the frame that comes next is the last of this end that reports. */
static int is_last_report(const struct exchange *x)
{
    const struct exchange_rules *r = &x->profile->exchange;

    for (size_t i = r->count; i-- > x->at; ) {
        const struct frame_rule *f = &r->frames[i];
        if (f->from == x->self && (f->when < 0 || x->attests[f->when]) && x->profile->objects[f->object].reports) {
            return i == x->at;
        }
    }
    return 0;
}

static int make(struct exchange *x, const struct frame_rule *f, struct text *out)
{
    struct connection *c = x->e->c;
    struct object_error error;
    const struct object_content content = {
        .attesters = { x->attests[0], x->attests[1] },
        .reason = x->ret == 0 ? NULL : failure_name(c->failure != NO_FAILURE ? c->failure : FAIL_INTERNAL),
        .context = x, .octets = octets_of
    };
    const int ret = object_write(x->profile->objects, f->object, &content, out, &error);

    return ret == OBJECT_BAD ? fail(c, error.failure, NULL, "%s: %s", f->name, error.detail) : ret;
}

static int send_frame(struct exchange *x, const struct frame_rule *f, const struct text *body)
{
    const struct exchange_rules *r = &x->profile->exchange;
    const size_t header = (f->type >= 0) + r->length_octets;
    unsigned char *frame;
    struct writer w;
    int ret;

    if (body->len > r->most || (r->length_octets < 4 && body->len >> 8 * r->length_octets != 0)) {
        return fail(x->e->c, FAIL_OWN_LIMIT, NULL, "%s has %zu octets; at most %zu are sent", f->name, body->len, r->most);
    }
    frame = malloc(header + body->len);
    if (frame == NULL) {
        return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    }
    w = write_into(frame, header + body->len);
    write_number(&w, (uint32_t) f->type, f->type >= 0);
    write_number(&w, (uint32_t) body->len, (int) r->length_octets);
    write_octets(&w, (unsigned char *) body->p, body->len);
    ret = traffic_send(x->e->c, frame, writer_len(&w));
    free(frame);
    return ret;
}

static int send_next(struct exchange *x, const struct frame_rule *f)
{
    struct text body = { 0 };
    int ret;

    if (is_last_report(x)) {
        judge(x);
    }
    ret = make(x, f, &body);
    if (ret != 0 && x->ret == 0) { /* our Attester has none, for example: the peer is told where a frame can */
        x->ret = ret;
        text_free(&body);
        ret = x->profile->objects[f->object].reports ? make(x, f, &body) : ret;
    }
    ret = ret == 0 ? send_frame(x, f, &body) : ret;
    text_free(&body);
    x->told = x->ret != 0;
    x->at++;
    return ret;
}

/* Reads the frame that comes next, and not one octet more. */
static int read_frame(struct exchange *x, const struct frame_rule *f, struct text *body)
{
    const struct exchange_rules *r = &x->profile->exchange;
    struct connection *c = x->e->c;
    unsigned char header[5] = { 0 }, chunk[4096];
    const size_t len = (f->type >= 0) + r->length_octets;
    struct reader h = read_all(header, len);
    int ret = stream_need(x->e, header, len), type;
    size_t left;

    if (ret != 0) {
        return ret;
    }
    type = f->type >= 0 ? (int) read_number(&h, 1) : f->type;
    left = read_number(&h, (int) r->length_octets);
    if (type != f->type) {
        return fail(c, FAIL_UNEXPECTED_MESSAGE, NULL, "a frame of type %d, where %s belongs", type, f->name);
    }
    if (left > r->most) {
        return fail(c, FAIL_CAPACITY, NULL, "a frame of %zu octets, where %s has at most %zu", left, f->name, r->most);
    }
    if (left == 0) {
        return fail(c, FAIL_DECODE, NULL, "a frame without content, where %s belongs", f->name);
    }
    while (left > 0 && !body->failed) { /* more is kept as it is sent, not as it is announced */
        const size_t n = left < sizeof(chunk) ? left : sizeof(chunk);
        if ((ret = stream_need(x->e, chunk, n)) != 0) {
            return ret;
        }
        text_add(body, (char *) chunk, n);
        left -= n;
    }
    return body->failed ? MBEDTLS_ERR_SSL_ALLOC_FAILED : 0;
}

/* The peer has refused this end, whose alert comes behind its frame. */
static int refused(struct exchange *x, const struct frame_rule *f, const char *reason)
{
    struct connection *c = x->e->c;
    unsigned char rest[256];
    int ret;

    fail(c, FAIL_PEER_REFUSED, NULL, "%s reports a failure: %s", f->name, *reason != '\0' ? reason : "no reason is given");
    c->silent = 1;
    do {
        ret = traffic_receive(c, rest, sizeof(rest));
    } while (ret > 0);
    return ret != 0 ? ret : MBEDTLS_ERR_SSL_CONN_EOF;
}

/* Takes the frame that comes next. What is wrong with it may have to be said: next() sees to that. */
static int take_next(struct exchange *x, const struct frame_rule *f)
{
    struct connection *c = x->e->c;
    const struct later_rule *s = &x->profile->later[!x->self];
    const struct object_content content = {
        .attesters = { x->attests[0], x->attests[1] }, .context = x, .octets = octets_of
    };
    struct object_told told = { 0 };
    struct object_error error;
    struct text body = { 0 };
    int ret = read_frame(x, f, &body), wrong;

    if (ret != 0) {
        text_free(&body);
        return ret;
    }
    wrong = object_read(x->profile->objects, f->object, (unsigned char *) body.p, body.len, &content, &told, &error);
    text_free(&body);
    if (wrong != 0) {
        x->ret = wrong == OBJECT_BAD ? fail(c, error.failure, NULL, "%s: %s", f->name, error.detail) : wrong;
    } else if (told.refused) {
        ret = refused(x, f, told.reason);
    } else {
        if (told.nonce.p != NULL) {
            octets_free(&x->nonces[x->self]);
            x->nonces[x->self] = told.nonce;
            told.nonce = (struct octets) { 0 };
        }
        if (s->name != NULL && s->frame == (int) x->at) {
            x->arrived = 1;
            octets_free(&x->payload);
            x->payload = told.payload;
            told.payload = (struct octets) { 0 };
        }
    }
    object_told_free(&told);
    x->at++;
    if (ret == 0 && !x->profile->exchange.at_report) {
        judge(x);
    }
    return ret;
}

/* How an exchange has ended, behind its last frame. */
static int finish(struct exchange *x)
{
    judge(x);
    if (x->ret == 0 && x->attests[!x->self] && !x->judged && !x->e->optional) {
        x->ret = fail(x->e->c, FAIL_MISSING, NULL, "the peer was not appraised");
    }
    return x->ret;
}

int frames_attest(struct connection *c)
{
    struct exported *e = c->exported;
    struct exchange x = { .e = e, .profile = e->profile, .self = c->options->role };
    const struct frame_rule *f;
    int ret = 0, own;

    x.attests[x.self] = e->attests;
    x.attests[!x.self] = e->asks;
    c->tells = 1;
    while (ret == 0 && (f = next(&x, &own)) != NULL) {
        e->awaited = own ? NULL : f->name;
        ret = own ? send_next(&x, f) : take_next(&x, f);
    }
    ret = ret == 0 ? finish(&x) : ret;
    octets_free(&x.nonces[CLIENT]);
    octets_free(&x.nonces[SERVER]);
    octets_free(&x.payload);
    return ret != 0 ? stream_end(e, ret) : 0;
}
