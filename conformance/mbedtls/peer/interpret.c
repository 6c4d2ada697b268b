/* A compiled profile as a draft: what the library asks and tells. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "certificate.h"
#include "interpretation.h"

static struct compiled loaded;

static struct draft *draft_of(void)
{
    return &loaded.draft;
}

/* ---- names and places ---- */

static const char *const names[MESSAGES] = {
    [IN_CLIENT_HELLO] = "client_hello", [IN_HELLO_RETRY_REQUEST] = "hello_retry_request",
    [IN_SERVER_HELLO] = "server_hello", [IN_ENCRYPTED_EXTENSIONS] = "encrypted_extensions",
    [IN_CERTIFICATE_REQUEST] = "certificate_request", [IN_CERTIFICATE] = "certificate",
    [IN_NEW_SESSION_TICKET] = "new_session_ticket", [IN_CLIENT_CERTIFICATE_REQUEST] = "client_certificate_request",
};

static enum message message_of(int type)
{
    switch (type) {
        case MBEDTLS_SSL_HS_CLIENT_HELLO: return IN_CLIENT_HELLO;
        case MBEDTLS_SSL_CUSTOM_EXT_MSG_HELLO_RETRY_REQUEST: return IN_HELLO_RETRY_REQUEST;
        case MBEDTLS_SSL_HS_SERVER_HELLO: return IN_SERVER_HELLO;
        case MBEDTLS_SSL_HS_ENCRYPTED_EXTENSIONS: return IN_ENCRYPTED_EXTENSIONS;
        case MBEDTLS_SSL_HS_CERTIFICATE_REQUEST: return IN_CERTIFICATE_REQUEST;
        case MBEDTLS_SSL_HS_CERTIFICATE: return IN_CERTIFICATE;
        default: return IN_NEW_SESSION_TICKET;
    }
}

/* The code point may be another on the network. */
static int extension_of(const struct compiled *p, unsigned standard)
{
    for (size_t k = 0; k < p->extension_count; k++) {
        if (p->extensions[k].number == standard && !p->extensions[k].later) {
            return (int) k;
        }
    }
    return -1;
}

static int is_at(const struct where *w, enum message message, int extension, int added)
{
    return w != NULL && w->set && w->message == message && w->extension == extension && w->added == added;
}

/* ---- what must have been offered ---- */

static int may_send(const struct placement *p, int sender, const unsigned *offered, enum message message)
{
    if (p->any & 1 << sender) {
        return 1;
    }
    if (p->offered_by_count[sender] == 0) {
        return message == IN_CLIENT_HELLO || message == IN_CERTIFICATE_REQUEST || message == IN_NEW_SESSION_TICKET;
    }
    for (size_t k = 0; k < p->offered_by_count[sender]; k++) {
        const struct offered_by *o = &p->offered_by[sender][k];
        if (offered[o->message] & 1U << o->extension) {
            return 1;
        }
    }
    return 0;
}

/* Whether an extension in one message is an offer for another one, sent in answer. */
static int is_offer_for(const struct compiled *p, int extension, enum message message, const struct where *w,
                        int sender)
{
    const struct placement *answer;

    if (w == NULL || !w->set || w->extension < 0) {
        return 0;
    }
    answer = &p->extensions[w->extension].at[w->message];
    for (size_t k = 0; k < answer->offered_by_count[sender]; k++) {
        if (answer->offered_by[sender][k].message == message && answer->offered_by[sender][k].extension == extension) {
            return 1;
        }
    }
    return 0;
}

/* ---- flags ---- */

static int is_number(const struct member *m)
{
    const enum type_kind kind = plain_type(m->type)->kind;

    return m->dimension.kind == DIM_ONE && (kind == TYPE_NUMBER || kind == TYPE_ENUM);
}

static uint64_t flag_number(const struct octets *flag)
{
    uint64_t n = 0;

    for (size_t k = 0; k < flag->len; k++) {
        n = n << 8 | flag->p[k];
    }
    return n;
}

/* ---- nonces ---- */

static int add_nonce(struct connection *c, size_t slot, const struct where *w, struct field *f)
{
    const struct compiled *p = c->interpretation->profile;
    struct attestation *a = attestation_of(c, slot);
    const struct type *type = w->extension >= 0 ? p->extensions[w->extension].at[w->message].type :
        p->added[w->added].type;
    const struct member *m = member_at(type, w->field);
    const int bounded = m != NULL && m->dimension.kind == DIM_VECTOR;
    const int ret = nonce_draw(c, slot, bounded ? m->dimension.floor : 0, bounded ? m->dimension.ceiling : MAX_NONCE);

    if (ret != 0) {
        return ret;
    }
    f->path = w->field;
    f->p = a->nonce.p;
    f->len = a->nonce.len;
    return 0;
}

static int take_nonce(struct connection *c, size_t slot, const struct field *f, const char *message)
{
    const struct compiled *p = c->interpretation->profile;

    if (p->nonce_max != 0 && f->len > p->nonce_max) {
        return fail(c, FAIL_NONCE_SIZE, message, "the nonce has %zu octets", f->len);
    }
    return octets_set(&attestation_of(c, slot)->nonce, f->p, f->len) != 0 ? MBEDTLS_ERR_SSL_ALLOC_FAILED : 0;
}

/* ---- writing ---- */

enum { MAX_FIELDS_WRITTEN = 4 * MAX_SLOTS };

/* The fields of a body that have a value. */
struct content {
    struct field fields[MAX_FIELDS_WRITTEN];
    size_t count;
    unsigned char elements[MAX_SLOTS][1024]; /* fixed answers */
    int wanted;                    /* it is to be sent though it may have no fields */
};

static struct field *add_field(struct content *k, const struct where *w, const unsigned char *p, size_t len)
{
    struct field *f = &k->fields[k->count++];

    *f = (struct field) { .path = w->field, .p = p, .len = len };
    return f;
}

/* A flag in its field, or the extension that is the flag. */
static void add_flag(const struct compiled *p, const struct slot_rule *s, const struct where *w, struct content *k)
{
    const struct type *type = w->extension >= 0 ? p->extensions[w->extension].at[w->message].type :
        p->added[w->added].type;
    const struct member *m = member_at(type, w->field);
    struct field *f;

    k->wanted = 1;
    if (s->flag.len == 0) {
        return;
    }
    f = add_field(k, w, s->flag.p, s->flag.len);
    if (m != NULL && is_number(m)) {
        f->is_number = 1;
        f->number = flag_number(&s->flag);
    }
}

/* Client: the list of a slot, as it is offered. */
static int add_offer(struct connection *c, size_t slot, struct content *k)
{
    struct interpretation *i = c->interpretation;
    const struct slot_rule *s = &i->profile->slots[slot];
    struct slot_state *state = &i->slots[slot];
    unsigned char buffer[MAX_ELEMENT];
    struct writer w = write_into(buffer, sizeof(buffer));
    int used = slot_element(c->options, s, &w);

    if (!used && (!i->profile->empty_list || s->always || s->flagged)) {
        return 0;
    }
    if (octets_set(&state->list, buffer, used ? writer_len(&w) : 0) != 0) {
        return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    }
    state->listed = 1;
    attestation_of(c, slot)->offered = used;
    if (s->flagged) {
        add_flag(i->profile, s, &s->offer, k);
    } else if (!s->always) {
        add_field(k, &s->offer, state->list.p, state->list.len);
    }
    return 0;
}

static int add_null_choice(struct connection *c, size_t slot, struct content *k)
{
    static const struct place offer = { "client_hello", 0 };
    const struct compiled *p = c->interpretation->profile;
    const struct slot_rule *s = &p->slots[slot];
    struct writer w = write_into(k->elements[slot], sizeof(k->elements[slot]));
    struct field fields[MAX_FORMATS];
    int count = named_fields(p, &s->element, "negotiation/no_scheme/null_choice", fields, MAX_FORMATS);

    if (count < 0 || encode(s->element.type, &offer, &w, fields, (size_t) count) != 0) {
        return MBEDTLS_ERR_SSL_INTERNAL_ERROR;
    }
    add_field(k, &s->choice, w.start, writer_len(&w));
    return 0;
}

static int add_payload(struct connection *c, size_t slot, const struct where *w, const char *message, struct content *k)
{
    struct attestation *a = attestation_of(c, slot);
    int ret;

    for (size_t n = 0; n < k->count; n++) {
        if (strcmp(k->fields[n].path, w->field) == 0) {
            return 0; /* another slot's, which has its place */
        }
    }
    ret = a->payload.p == NULL ? evidence_make(c, a, message) : 0;
    if (ret == 0) {
        add_field(k, w, a->payload.p, a->payload.len);
    }
    return ret;
}

/* Whether a slot has a field in an extension. */
static int has_fields(const struct compiled *p, enum message message, int extension)
{
    for (size_t slot = 0; slot < p->slot_count; slot++) {
        const struct slot_rule *s = &p->slots[slot];
        if (is_at(&s->offer, message, extension, -1) || is_at(&s->choice, message, extension, -1) ||
            is_at(&s->nonce, message, extension, -1) || is_at(payload_of(p, s, ALONE), message, extension, -1) ||
            is_at(payload_of(p, s, BESIDE_X509), message, extension, -1)) {
            return 1;
        }
    }
    return 0;
}

/* What one slot has to say in a body of ours. */
static int add_slot_fields(struct connection *c, size_t slot, enum message message, int extension, int added,
                           struct content *k)
{
    struct interpretation *i = c->interpretation;
    const struct slot_rule *s = &i->profile->slots[slot];
    const struct where *payload = payload_of(i->profile, s, c->options->scheme.credential);
    struct attestation *a = attestation_of(c, slot);
    const enum role self = c->options->role;
    int ret = 0;

    if (self == CLIENT && is_at(&s->offer, message, extension, added)) {
        ret = add_offer(c, slot, k);
    }
    if (ret == 0 && self == SERVER && is_at(&s->choice, message, extension, added)) {
        if (a->chosen && s->flagged) {
            add_flag(i->profile, s, &s->choice, k);
        } else if (a->chosen) {
            add_field(k, &s->choice, a->scheme.p, a->scheme.len);
        } else if (i->slots[slot].answered_null) {
            ret = add_null_choice(c, slot, k);
        }
    }
    if (ret == 0 && self != s->attester && is_at(&s->nonce, message, extension, added) &&
        (self == CLIENT ? a->offered : a->chosen)) {
        struct field *f = &k->fields[k->count++];
        *f = (struct field) { 0 };
        ret = add_nonce(c, slot, &s->nonce, f);
    }
    if (ret == 0 && self == s->attester && a->chosen && is_at(payload, message, extension, added)) {
        ret = add_payload(c, slot, payload, added >= 0 ? i->profile->added[added].name : names[message], k);
    }
    /* An extension that never has fields is sent where it asks for one that will have some. */
    if (ret == 0 && extension >= 0 && !has_fields(i->profile, message, extension) && (self == CLIENT ? a->offered :
                                                                                      a->chosen)) {
        k->wanted |= is_offer_for(i->profile, extension, message, &s->choice, SERVER) && self == CLIENT;
        k->wanted |= is_offer_for(i->profile, extension, message, payload, s->attester) && self != s->attester;
    }
    return ret;
}

static int write_body(struct connection *c, const struct type *type, const struct place *place, enum message message,
                      int extension, int added, struct writer *w)
{
    struct content *k = calloc(1, sizeof(*k));
    int ret = k == NULL ? MBEDTLS_ERR_SSL_ALLOC_FAILED : 0;

    for (size_t slot = 0; ret == 0 && slot < c->interpretation->profile->slot_count; slot++) {
        ret = add_slot_fields(c, slot, message, extension, added, k);
    }
    if (ret == 0 && k->count == 0 && !k->wanted) {
        ret = MBEDTLS_SSL_CUSTOM_EXT_OMIT;
    }
    if (ret == 0 && encode(type, place, w, k->fields, k->count) != 0) {
        ret = w->bad ? MBEDTLS_ERR_SSL_BUFFER_TOO_SMALL : MBEDTLS_ERR_SSL_INTERNAL_ERROR;
    }
    free(k);
    return ret;
}

/* Offers first: whether an extension without fields is wanted depends on them. */
static int note_offers(struct connection *c)
{
    for (size_t slot = 0; slot < c->interpretation->profile->slot_count; slot++) {
        struct content *k = calloc(1, sizeof(*k));
        int ret = k == NULL ? MBEDTLS_ERR_SSL_ALLOC_FAILED : add_offer(c, slot, k);
        free(k);
        if (ret != 0) {
            return ret;
        }
    }
    return 0;
}

static int interpret_write(struct connection *c, int type, unsigned standard, size_t entry, struct writer *w)
{
    struct interpretation *i = c->interpretation;
    const enum message message = message_of(type);
    const int extension = extension_of(i->profile, standard);
    const struct placement *p;
    struct place place = { names[message], c->options->role == SERVER };
    const int with_key = c->psk_mode != 0 && message > IN_HELLO_RETRY_REQUEST;
    int ret = message == IN_CLIENT_HELLO ? note_offers(c) : 0;

    if (ret != 0) {
        return ret;
    }
    if (message == IN_HELLO_RETRY_REQUEST && !i->decided) {
        ret = choose_schemes(c); /* the library asks for another group, and has not told us of ClientHello */
        if (ret < 0) {
            return ret;
        }
        i->retried = 0;
    }
    if (extension < 0) {
        return standard == MBEDTLS_TLS_EXT_COOKIE ? cookie_write(c, message, w) :
               with_key ? MBEDTLS_SSL_CUSTOM_EXT_OMIT : fields_write(c, message, w);
    }
    p = &i->profile->extensions[extension].at[message];
    if (entry != 0 || with_key ||
        !may_send(p, c->options->role, i->received, message)) {
        return MBEDTLS_SSL_CUSTOM_EXT_OMIT;
    }
    ret = write_body(c, p->type, &place, message, extension, -1, w);
    if (ret == 0) {
        i->sent[message] |= 1U << extension;
    }
    return ret;
}

/* ---- reading ---- */

/* Where a field of a slot went. */
struct wanted {
    struct field fields[MAX_FIELDS_WRITTEN];
    size_t field_count;
    struct {
        size_t slot, field;        /* slots may share a field */
        enum { IS_OFFER, IS_CHOICE, IS_NONCE, IS_PAYLOAD } kind;
    } what[MAX_FIELDS_WRITTEN];
    size_t count;
};

static void want(struct wanted *w, size_t slot, int kind, const struct where *at, enum message message,
                 int extension, int added)
{
    size_t field = 0;

    if (!is_at(at, message, extension, added)) {
        return;
    }
    while (field < w->field_count && strcmp(w->fields[field].path, at->field) != 0) {
        field++;
    }
    if (field == w->field_count) {
        w->fields[w->field_count++] = (struct field) { .path = at->field };
    }
    w->what[w->count].slot = slot;
    w->what[w->count].field = field;
    w->what[w->count++].kind = kind;
}

static void want_all(struct connection *c, enum message message, int extension, int added, struct wanted *w)
{
    const struct compiled *p = c->interpretation->profile;
    const enum role sender = !c->options->role;

    for (size_t slot = 0; slot < p->slot_count; slot++) {
        const struct slot_rule *s = &p->slots[slot];
        if (s->flagged && s->flag.len == 0) {
            /* there is no field */
        } else if (sender == CLIENT) {
            want(w, slot, IS_OFFER, &s->offer, message, extension, added);
        } else {
            want(w, slot, IS_CHOICE, &s->choice, message, extension, added);
        }
        if (sender != s->attester) {
            want(w, slot, IS_NONCE, &s->nonce, message, extension, added);
        } else {
            want(w, slot, IS_PAYLOAD, payload_of(p, s, c->options->scheme.credential), message, extension, added);
        }
    }
}

static int take_offer(struct connection *c, size_t slot, const struct field *f)
{
    struct slot_state *state = &c->interpretation->slots[slot];

    state->listed = 1;
    return octets_set(&state->list, f->p, f->len) != 0 ? MBEDTLS_ERR_SSL_ALLOC_FAILED : 0;
}

/* A flag that came: 1 where it is set, 0 where it is not, or an error. */
static int flag_is_set(struct connection *c, const struct slot_rule *s, const struct field *f, const char *message)
{
    int set, zero;

    if (f->is_number) {
        set = f->number == flag_number(&s->flag);
        zero = f->number == 0;
    } else {
        set = octets_equal(&s->flag, f->p, f->len);
        zero = 1;
        for (size_t k = 0; k < f->len; k++) {
            zero &= f->p[k] == 0;
        }
    }
    if (!set && !zero) {
        return fail(c, FAIL_MALFORMED_EXTENSION, message, "the flag of %s has another value", s->name);
    }
    return set;
}

/* The flag of a slot is set in a message of the peer's. */
static int flag_came(struct connection *c, size_t slot, int offer, const char *message)
{
    struct slot_state *state = &c->interpretation->slots[slot];
    const struct octets any = { (unsigned char *) "flag", 4 };

    if (!offer) {
        return take_flag(c, slot, message);
    }
    state->listed = 1;
    return octets_set(&state->list, any.p, any.len) != 0 ? MBEDTLS_ERR_SSL_ALLOC_FAILED : 0;
}

static int take_payload(struct connection *c, size_t slot, const struct field *f, const char *message)
{
    struct attestation *a = attestation_of(c, slot);

    if (!a->chosen) {
        return 0;
    }
    if (f->len == 0) {
        return fail(c, FAIL_MALFORMED_CMW, message, "the payload is empty");
    }
    return octets_set(&a->payload, f->p, f->len) != 0 ? MBEDTLS_ERR_SSL_ALLOC_FAILED : 0;
}

/* What was found, the choices first: a nonce counts where a scheme was chosen. */
static int take_all(struct connection *c, const struct wanted *w, const char *message)
{
    int ret = 0;

    for (int pass = 0; pass < 2; pass++) {
        for (size_t k = 0; ret == 0 && k < w->count; k++) {
            const struct field *f = &w->fields[w->what[k].field];
            const size_t slot = w->what[k].slot;
            if (!f->found || (w->what[k].kind == IS_NONCE) != pass) {
                continue;
            }
            if (c->interpretation->profile->slots[slot].flagged && w->what[k].kind <= IS_CHOICE) {
                ret = flag_is_set(c, &c->interpretation->profile->slots[slot], f, message);
                ret = ret == 1 ? flag_came(c, slot, w->what[k].kind == IS_OFFER, message) : ret;
                continue;
            }
            switch (w->what[k].kind) {
                case IS_OFFER: ret = take_offer(c, slot, f); break;
                case IS_CHOICE: ret = take_choice(c, slot, f, message); break;
                case IS_PAYLOAD: ret = take_payload(c, slot, f, message); break;
                default: ret = take_nonce(c, slot, f, message);
            }
        }
    }
    return ret;
}

/* Flags that are an extension. */
static int take_extensions_as_flags(struct connection *c, enum message message, int extension, int added,
                                    const char *name)
{
    const struct compiled *p = c->interpretation->profile;
    const int offer = c->options->role == SERVER;
    int ret = 0;

    for (size_t slot = 0; ret == 0 && slot < p->slot_count; slot++) {
        const struct slot_rule *s = &p->slots[slot];
        if (s->flagged && s->flag.len == 0 && is_at(offer ? &s->offer : &s->choice, message, extension, added)) {
            ret = flag_came(c, slot, offer, name);
        }
    }
    return ret;
}

static int malformed(struct connection *c, const char *name, const char *message)
{
    return fail(c, strcmp(message, names[IN_CERTIFICATE]) == 0 ? FAIL_MALFORMED_CMW : FAIL_MALFORMED_EXTENSION,
                message, "%s is malformed", name);
}

static int read_body(struct connection *c, const struct type *type, const struct place *place, enum message message,
                     int extension, int added, int trailing, int ignore_unknown_arm, const char *name, struct reader r)
{
    struct wanted *w = calloc(1, sizeof(*w));
    enum codec_error error;
    int ret;

    if (w == NULL) {
        return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    }
    want_all(c, message, extension, added, w);
    error = decode(type, place, &r, w->fields, w->field_count);
    if (error == CODEC_UNKNOWN_ARM && ignore_unknown_arm) {
        ret = MBEDTLS_SSL_CUSTOM_EXT_OMIT; /* as if it had not come */
    } else if (error != CODEC_OK || (reader_left(&r) > 0 && !trailing)) {
        ret = malformed(c, name, place->message);
    } else {
        ret = take_extensions_as_flags(c, message, extension, added, place->message);
        ret = ret == 0 ? take_all(c, w, place->message) : ret;
    }
    free(w);
    return ret;
}

/* Whether a scheme was chosen whose payload this extension or message carries. */
static int carries_chosen(struct connection *c, enum message message, int extension, int added)
{
    const struct compiled *p = c->interpretation->profile;
    int carrier = 0;

    for (size_t slot = 0; slot < p->slot_count; slot++) {
        const struct where *w = payload_of(p, &p->slots[slot], c->options->scheme.credential);
        if (p->slots[slot].attester != c->options->role && is_at(w, message, extension, added)) {
            carrier = 1;
            if (attestation_of(c, slot)->chosen) {
                return 1;
            }
        }
    }
    return message == IN_CERTIFICATE || added >= 0 ? 0 : !carrier;
}

static int interpret_read(struct connection *c, int type, unsigned standard, size_t entry, struct reader r)
{
    struct interpretation *i = c->interpretation;
    const enum message message = message_of(type);
    const int extension = extension_of(i->profile, standard);
    struct place place = { names[message], c->options->role == CLIENT };
    const struct placed_extension *x;
    const struct placement *p;
    int ret;

    if (extension < 0) {
        return standard == MBEDTLS_TLS_EXT_COOKIE ? cookie_read(c, message, r) :
               fields_read(c, message, r, place.message);
    }
    x = &i->profile->extensions[extension];
    p = &x->at[message];
    if (!may_send(p, !c->options->role, i->sent, message)) {
        if (message == IN_CERTIFICATE_REQUEST) {
            return 0; /* what we did not ask for */
        }
        return fail(c, FAIL_UNSOLICITED, place.message, "%s was not asked for", x->name);
    }
    if (p->first && entry != 0 &&
        (ret = fail(c, FAIL_MISPLACED, place.message, "%s stands in entry %zu", x->name, entry)) != 0) {
        return ret;
    }
    if (message == IN_CERTIFICATE && !carries_chosen(c, message, extension, -1)) {
        return fail(c, FAIL_NOT_CHOSEN, place.message, "no scheme was chosen that %s carries", x->name);
    }
    if (entry != 0) {
        return 0;
    }
    ret = read_body(c, p->type, &place, message, extension, -1, p->trailing, x->ignore_unknown_arm, x->name, r);
    if (ret == MBEDTLS_SSL_CUSTOM_EXT_OMIT) {
        return 0;
    }
    i->received[message] |= ret == 0 ? 1U << extension : 0;
    return ret;
}

/* ---- once a message was read ---- */

/* Under RFC 7250, the types of the extensions must be the one of the choice as well. */
static int check_negotiated_types(struct connection *c)
{
    const struct credential_rule *k = &c->interpretation->profile->credentials[c->options->scheme.credential];
    const uint8_t alone = alone_type(c->options->draft);
    const uint8_t own_type = mbedtls_ssl_get_own_certificate_type(&c->ssl);
    const uint8_t peer_type = mbedtls_ssl_get_peer_certificate_type(&c->ssl);

    if (c->options->scheme.credential != ALONE || !k->rfc7250) {
        return 0;
    }
    if ((own(c)->chosen && own_type != alone) || (peers(c)->chosen && peer_type != alone)) {
        return fail(c, FAIL_CERTIFICATE_TYPE, "encrypted_extensions",
                    "the certificate types do not agree with the choice");
    }
    return 0;
}

static int after_client_hello(struct connection *c)
{
    int ret;

    if (c->refused_ticket && c->interpretation->profile->refusal_aborts &&
        (ret = fail(c, FAIL_RESUMPTION_REFUSED, "client_hello", "the session is not resumed")) != 0) {
        return ret;
    }
    if ((ret = cookie_check(c)) != 0) {
        return ret;
    }
    ret = choose_schemes(c);
    ret = ret == 0 ? check_negotiated_types(c) : ret;
    return ret == 0 ? settle_certificate_types(c) : ret;
}

/* The size of the keys on a curve, which tells those that TLS 1.3 signs with apart. */
static size_t bits_of(uint16_t group)
{
    return group == MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1 ? 256 : group == MBEDTLS_SSL_IANA_TLS_GROUP_SECP384R1 ? 384 :
           group == MBEDTLS_SSL_IANA_TLS_GROUP_SECP521R1 ? 521 : 0;
}

static int is_key_allowed(const struct credential_rule *k, const struct octets *spki)
{
    mbedtls_pk_context key;
    int allowed = k->key_count == 0;

    mbedtls_pk_init(&key);
    if (!allowed && mbedtls_pk_parse_public_key(&key, spki->p, spki->len) == 0 && mbedtls_pk_can_do(&key,
                                                                                                    MBEDTLS_PK_ECKEY)) {
        for (size_t n = 0; n < k->key_count; n++) {
            allowed |= mbedtls_pk_get_bitlen(&key) == bits_of(k->keys[n]);
        }
    }
    mbedtls_pk_free(&key);
    return allowed;
}

/* Whether an added message comes before the sender's Certificate, whose key Evidence is about. */
static int precedes_certificate(const struct compiled *p, int added, enum role sender)
{
    const int gap = added >= 0 ? p->added[added].gap[sender] : 0;

    return gap == MBEDTLS_SSL_HS_ENCRYPTED_EXTENSIONS || gap == MBEDTLS_SSL_HS_CERTIFICATE_REQUEST ||
           gap == MBEDTLS_SSL_HS_CERTIFICATE;
}

/* What was chosen must have come in this message, and is judged, unless the Certificate that it is
 * about has yet to come. */
static int judge_all(struct connection *c, enum message message, int added, const char *name)
{
    const struct compiled *p = c->interpretation->profile;
    int ret = 0;

    for (size_t slot = 0; ret == 0 && slot < p->slot_count; slot++) {
        struct attestation *a = attestation_of(c, slot);
        const struct where *w = payload_of(p, &p->slots[slot], c->options->scheme.credential);
        const int waits = precedes_certificate(p, w != NULL ? w->added : -1, a->attester);
        if (a->attester == c->options->role || !a->chosen || a->judged) {
            continue;
        }
        if (w->message == message && w->added == added && a->payload.p == NULL) {
            ret = fail(c, FAIL_MISSING, name, "the chosen attestation did not come");
        } else if (waits ? message == IN_CERTIFICATE : w->message == message && w->added == added) {
            ret = evidence_judge(c, a, name);
        }
    }
    return ret;
}

static int after_certificate(struct connection *c)
{
    const struct interpretation *i = c->interpretation;
    const struct credential_rule *k = &i->profile->credentials[c->options->scheme.credential];
    int ret = 0;

    if (!peers(c)->chosen) {
        return 0;
    }
    if (k->one_entry && i->entries != 1) {
        ret = fail(c, FAIL_MISPLACED, "certificate", "there are %zu entries", i->entries);
    }
    for (size_t slot = 0; ret == 0 && slot < i->profile->slot_count; slot++) {
        const struct where *w = payload_of(i->profile, &i->profile->slots[slot], c->options->scheme.credential);
        struct attestation *a = attestation_of(c, slot);
        if (a->chosen && a->attester != c->options->role && w->x509 >= 0) {
            if (i->profile->slots[slot].always && !c->options->require && !carried_is_there(c, w)) {
                a->chosen = 0; /* nothing was agreed on: this peer does not attest */
                continue;
            }
            ret = carried_read(c, a);
        }
    }
    if (ret == 0 && c->options->scheme.credential == BESIDE_X509 && c->peer_spki.p != NULL && !is_key_allowed(k,
                                                                                                              &c->peer_spki)) {
        ret = fail(c, FAIL_KEY_UNUSABLE, "certificate", "the key of the certificate may not attest");
    }
    return ret != 0 ? ret : judge_all(c, IN_CERTIFICATE, -1, "certificate");
}

static int interpret_done(struct connection *c, int type, int received)
{
    int ret;

    switch (type) {
        case MBEDTLS_SSL_HS_CLIENT_HELLO:
            return after_client_hello(c);
        case MBEDTLS_SSL_HS_ENCRYPTED_EXTENSIONS:
            ret = fields_check_protocol(c);
            ret = ret != 0 ? ret : check_negotiated_types(c);
            return ret != 0 ? ret : settle_certificate_types(c);
        case MBEDTLS_SSL_HS_CERTIFICATE_REQUEST:
            c->interpretation->requested = received;
            ret = take_always(c, received);
            return ret != 0 ? ret : check_choices(c, received);
        case MBEDTLS_SSL_HS_CERTIFICATE:
            return after_certificate(c);
        default:
            return 0;
    }
}

/* ---- added messages ---- */

static int added_of(const struct compiled *p, const mbedtls_ssl_custom_msg *msg)
{
    for (size_t k = 0; k < p->added_count; k++) {
        const int sender = msg->sender == MBEDTLS_SSL_IS_SERVER ? SERVER : CLIENT;
        if (p->added[k].number == msg->type && p->added[k].gap[sender] == msg->before) {
            return (int) k;
        }
    }
    return -1;
}

static int on_write_message(void *ctx, mbedtls_ssl_context *ssl, const mbedtls_ssl_custom_msg *msg,
                            unsigned char *buf, size_t size, size_t *len)
{
    struct connection *c = mbedtls_ssl_get_user_data_p(ssl);
    const struct compiled *p = c->interpretation->profile;
    const int added = added_of(p, msg);
    struct writer w = write_into(buf, size);
    struct place place;
    int ret;

    (void) ctx;
    if (added < 0 || c->psk_mode != 0) {
        return MBEDTLS_SSL_CUSTOM_MSG_OMIT;
    }
    place = (struct place) { p->added[added].name, c->options->role == SERVER };
    ret = write_body(c, p->added[added].type, &place, IN_ADDED, -1, added, &w);
    *len = writer_len(&w);
    return ret;
}

/* Whether the peer has something to say in an added message. */
static int is_expected(struct connection *c, int added)
{
    const struct compiled *p = c->interpretation->profile;

    for (size_t slot = 0; slot < p->slot_count; slot++) {
        const struct slot_rule *s = &p->slots[slot];
        if (attestation_of(c, slot)->chosen && s->attester != c->options->role &&
            is_at(payload_of(p, s, c->options->scheme.credential), IN_ADDED, -1, added)) {
            return 1;
        }
    }
    return 0;
}

/* Whether it may say something: a choice or a nonce, or what was chosen. */
static int is_possible(struct connection *c, int added)
{
    const struct compiled *p = c->interpretation->profile;

    for (size_t slot = 0; slot < p->slot_count; slot++) {
        const struct slot_rule *s = &p->slots[slot];
        if (c->options->role == CLIENT && attestation_of(c, slot)->offered &&
            (is_at(&s->choice, IN_ADDED, -1, added) || is_at(&s->nonce, IN_ADDED, -1, added))) {
            return 1;
        }
    }
    return is_expected(c, added);
}

static int on_read_message(void *ctx, mbedtls_ssl_context *ssl, const mbedtls_ssl_custom_msg *msg,
                           const unsigned char *buf, size_t len)
{
    struct connection *c = mbedtls_ssl_get_user_data_p(ssl);
    const struct compiled *p = c->interpretation->profile;
    const int added = added_of(p, msg);
    struct place place;
    int ret = 0;

    (void) ctx;
    if (added < 0) {
        return 0;
    }
    observe_handshake(c);
    if (buf != NULL && (c->psk_mode != 0 || !is_possible(c, added))) {
        mbedtls_ssl_set_fatal_alert(ssl, MBEDTLS_SSL_ALERT_MSG_UNEXPECTED_MESSAGE, MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE);
        return MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE;
    }
    if (c->psk_mode != 0) {
        return 0;
    }
    place = (struct place) { p->added[added].name, c->options->role == CLIENT };
    if (buf != NULL) {
        ret = read_body(c, p->added[added].type, &place, IN_ADDED, -1, added, 0, 0, p->added[added].name,
                        read_all(buf, len));
    }
    return ret != 0 ? ret : judge_all(c, IN_ADDED, added, p->added[added].name);
}

/* ---- a certificate that is made for the connection ---- */

static int on_own_certificate(void *ctx, mbedtls_ssl_context *ssl)
{
    struct connection *c = mbedtls_ssl_get_user_data_p(ssl);
    const struct compiled *p = c->interpretation->profile;

    (void) ctx;
    for (size_t slot = 0; slot < p->slot_count; slot++) {
        const struct where *w = payload_of(p, &p->slots[slot], c->options->scheme.credential);
        struct attestation *a = attestation_of(c, slot);
        if (a->chosen && a->attester == c->options->role && w->x509 >= 0) {
            return carried_write(c, a);
        }
    }
    return 0;
}

/* ---- messages as they are ---- */

/* How many entries a Certificate has; what is malformed is the library's to refuse. */
static size_t count_entries(const unsigned char *msg, size_t len)
{
    struct reader r = read_all(msg + 4, len - 4), list;
    size_t count = 0;

    read_vector(&r, 1);
    for (list = read_vector(&r, 3); !r.bad && !list.bad && reader_left(&list) > 0; count++) {
        read_vector(&list, 3);
        read_vector(&list, 2);
    }
    return count;
}

static int on_message(void *ctx, mbedtls_ssl_context *ssl, int sent, const unsigned char *msg, size_t len)
{
    struct connection *c = mbedtls_ssl_get_user_data_p(ssl);

    (void) ctx;
    if (!sent && msg[0] == MBEDTLS_SSL_HS_CERTIFICATE) {
        c->interpretation->entries = count_entries(msg, len);
    }
    if (!sent && msg[0] == MBEDTLS_SSL_HS_CLIENT_HELLO) {
        const int ret = fields_hello(c, msg, len);
        if (ret != 0) {
            return ret;
        }
    }
    return transcript_add(c, sent == (c->options->role == SERVER), msg, len);
}

/* ---- the life of an interpretation ---- */

int interpret_load(struct options *o, const char *file)
{
    struct draft *d = draft_of();

    const int ret = compiled_load(&loaded, file);

    if (ret != 0) {
        return ret;
    }
    d->compiled = &loaded;
    d->raw_signature = loaded.raw_signature[CLIENT] || loaded.raw_signature[SERVER];
    d->write = interpret_write;
    d->read = interpret_read;
    d->done = interpret_done;
    d->challenge = interpret_challenge;
    d->ask = interpret_ask;
    o->draft = d;
    return 0;
}

void interpret_unload(void)
{
    compiled_free(&loaded);
}

void interpret_defaults(struct options *o)
{
    const struct compiled *p = o->draft->compiled;

    /* In frames a client attests the key of its certificate in the handshake. */
    o->ask_certificate |= o->role == SERVER && o->attests[CLIENT] && p->later[CLIENT].name != NULL &&
                          p->later[CLIENT].frame >= 0;
    for (size_t k = 0; !o->format_given && k < p->slot_count; k++) {
        struct field fields[MAX_FORMATS];
        int count = named_fields(p, &p->slots[k].element, "negotiation/offer/first", fields, MAX_FORMATS);
        const struct record *formats = document_find(&p->document, "bind/schemes/%s/format", p->slots[k].element.name);
        for (int n = 0; formats != NULL && n < count; n++) {
            for (size_t m = 0; m < formats->count; m++) {
                if (fields[n].is_number && strcmp(formats->values[m], fields[n].path) == 0) {
                    o->scheme.content_format = (uint16_t) fields[n].number; /* the one that has to come first */
                }
            }
        }
    }
}

const char *interpret_check(const struct options *o)
{
    const struct compiled *p = o->draft->compiled;
    int usable[2] = { 0 }, later[2];

    if (!p->credentials[o->scheme.credential].present && (o->attests[CLIENT] || o->attests[SERVER]) &&
        !(compiled_later(p) && o->scheme.credential == BESIDE_X509)) {
        return "the profile has no credential of this kind";
    }
    if (compiled_later(p) && o->raw_keys) {
        return "attestation after the handshake shows X.509 certificates";
    }
    for (size_t k = 0; k < p->slot_count; k++) {
        unsigned char buffer[MAX_ELEMENT];
        struct writer w = write_into(buffer, sizeof(buffer));
        usable[p->slots[k].attester] |= slot_element(o, &p->slots[k], &w) ||
                                        (o->role == SERVER && slot_is_used(o, &p->slots[k]));
    }
    for (int role = CLIENT; role <= SERVER; role++) {
        const struct later_rule *s = &p->later[role];
        later[role] = s->name != NULL && s->models[o->scheme.model] && o->scheme.credential == BESIDE_X509;
        if (o->attests[role] && !usable[role] && !later[role]) {
            return role == CLIENT ? "the profile has no slot in which the client could attest with this scheme" :
                   "the profile has no slot in which the server could attest with this scheme";
        }
    }
    if (o->role == CLIENT && (uint64_t) (usable[CLIENT] + usable[SERVER]) < p->at_least) {
        return "a client of this profile must offer more schemes";
    }
    if (o->reattest && (!compiled_later(p) || p->after.framing != FRAMING_TYPED || p->after.data < 0)) {
        return "--reattest: a second request could not be told from application data";
    }
    if (o->answer_last && (compiled_frames(p) || !o->attests[CLIENT] || !o->attests[SERVER] || !later[o->role] ||
                           !later[!o->role])) {
        return "--answer-last needs two ends that attest in authenticators";
    }
    return NULL;
}

const char *interpret_limit(const struct options *o)
{
    const struct compiled *p = o->draft->compiled;

    for (size_t k = 0; k < p->slot_count; k++) {
        const struct where *w = payload_of(p, &p->slots[k], o->scheme.credential);
        if (slot_is_used(o, &p->slots[k]) && w != NULL && w->added >= 0 && p->added[w->added].gap[p->slots[k].attester] == 0) {
            return "mbedTLS does not send the message with the payload where the profile has it";
        }
    }
    return NULL;
}

int interpret_selects(const struct options *o)
{
    return o->draft->compiled->alpn;
}

int interpret_configure(mbedtls_ssl_config *conf, const struct options *o)
{
    const struct compiled *p = o->draft->compiled;

    mbedtls_ssl_conf_handshake_messages_cb(conf, on_message, NULL);
    mbedtls_ssl_conf_own_certificate_cb(conf, on_own_certificate, NULL);
    return mbedtls_ssl_conf_custom_messages(conf, p->messages, p->message_count, on_write_message, on_read_message,
                                            NULL);
}
