/* Negotiation by the rules of a compiled profile. */
#include <stdio.h>
#include <string.h>

#include "interpretation.h"

const struct where *payload_of(const struct compiled *p, const struct slot_rule *s, enum credential credential)
{
    if (s->payload.set) {
        return &s->payload;
    }
    return p->credentials[credential].present ? &p->credentials[credential].payload : NULL;
}

int slot_is_used(const struct options *o, const struct slot_rule *s)
{
    const struct compiled *p = o->draft->compiled;

    return o->attests[s->attester] && s->models[o->scheme.model] && s->credentials[o->scheme.credential] && payload_of(p, s, o->scheme.credential) != NULL &&
           p->credentials[o->scheme.credential].present;
}

/* The name of a scheme that no message holds, for claims. */
static int write_unwritten(const struct scheme *s, struct writer *w)
{
    char text[600];
    int n;

    if (s->model == RESULTS) {
        n = snprintf(text, sizeof(text), "results %s", s->verifier != NULL ? s->verifier : "");
    } else if (s->media_type != NULL) {
        n = snprintf(text, sizeof(text), "evidence 0 %s", s->media_type);
    } else {
        n = snprintf(text, sizeof(text), "evidence %u ", s->content_format);
    }
    if (n < 0 || n >= (int) sizeof(text)) {
        return 0;
    }
    write_octets(w, (unsigned char *) text, (size_t) n);
    return !w->bad;
}

int slot_element(const struct options *o, const struct slot_rule *s, struct writer *w)
{
    static const struct place offer = { "client_hello", 0 };
    const struct compiled *p = o->draft->compiled;
    struct field fields[MAX_FORMATS];
    int count;

    if (!slot_is_used(o, s)) {
        return 0;
    }
    if (o->role == CLIENT && s->attester == CLIENT && p->client_needs_certificate && o->cert == NULL && !o->raw_keys) {
        return 0;
    }
    if (s->always) {
        return write_unwritten(&o->scheme, w);
    }
    if (s->flagged) {
        write_octets(w, s->flag.len > 0 ? s->flag.p : (const unsigned char *) "flag", s->flag.len > 0 ? s->flag.len : 4);
        return !w->bad;
    }
    count = scheme_fields(p, &s->element, &o->scheme, fields, MAX_FORMATS);
    return count >= 0 && encode(s->element.type, &offer, w, fields, (size_t) count) == 0;
}

int interpret_accepts(const struct options *o, const struct octets *element)
{
    const struct compiled *p = o->draft->compiled;

    for (size_t k = 0; k < p->slot_count; k++) {
        unsigned char buffer[MAX_ELEMENT];
        struct writer mine = write_into(buffer, sizeof(buffer));
        if (p->slots[k].attester != o->role && slot_element(o, &p->slots[k], &mine) &&
            octets_equal(element, mine.start, writer_len(&mine))) {
            return 1;
        }
    }
    return 0;
}

/* The next element of a list; its length is 0 at the end, or where it is malformed. */
static struct octets next_element(const struct slot_rule *s, struct reader *list)
{
    static const struct place offer = { "client_hello", 0 };
    struct octets element = { (unsigned char *) list->p, 0 };

    if (reader_left(list) > 0 && decode(s->element.type, &offer, list, NULL, 0) == CODEC_OK) {
        element.len = (size_t) (list->p - element.p);
    }
    return element;
}

/* ---- a server ---- */

/* What came of all slots. */
struct tally {
    int lists, elements, own;      /* lists that came, elements in them, slots that we have schemes for */
    unsigned failed, chosen;       /* models, as bits */
    int any;                       /* a scheme was chosen */
    int roles[2];                  /* for whom one was */
};

/* Whether a slot that nobody negotiates is asked for: it was sent its nonce, or one is still
 * to come. */
static int asks(const struct slot_rule *s, const struct attestation *a)
{
    return !s->nonce.set || s->nonce.message != IN_CLIENT_HELLO || a->nonce.p != NULL;
}

/* A scheme without elements is chosen. */
static int chosen_without(struct attestation *a, const struct slot_rule *s, const struct writer *name, struct tally *t)
{
    const struct octets element = { name->start, writer_len(name) };

    t->roles[s->attester] = 1;
    return choose(a, s->name, &element);
}

static int choose_in_slot(struct connection *c, size_t slot, struct tally *t)
{
    const struct compiled *p = c->interpretation->profile;
    const struct slot_rule *s = &p->slots[slot];
    struct slot_state *state = &c->interpretation->slots[slot];
    struct attestation *a = attestation_of(c, slot);
    struct reader list = read_all(state->list.p, state->list.len);
    unsigned char buffer[MAX_ELEMENT];
    struct writer mine = write_into(buffer, sizeof(buffer));
    struct octets element;
    unsigned models = 0;
    int own = slot_is_used(c->options, s), expressed = slot_element(c->options, s, &mine);

    t->own += own;
    if (s->always) {
        return own && expressed && asks(s, a) && !(p->one_per_attester && t->roles[s->attester]) ?
               chosen_without(a, s, &mine, t) : 0;
    }
    if (!state->listed) {
        return 0;
    }
    t->lists++;
    t->elements += state->list.len > 0;
    if (!own || state->list.len == 0 || (p->one_per_attester && t->roles[s->attester])) {
        return 0;
    }
    a->offered = 1;
    if (s->flagged) {
        t->any = 1;
        t->chosen |= 1U << c->options->scheme.model;
        return expressed ? chosen_without(a, s, &mine, t) : 0;
    }
    for (element = next_element(s, &list); element.len > 0; element = next_element(s, &list)) {
        models |= element_models(p, &s->element, element.p, element.len);
        if (expressed && octets_equal(&element, mine.start, writer_len(&mine))) {
            t->any = t->roles[s->attester] = 1;
            t->chosen |= 1U << c->options->scheme.model;
            return choose(a, s->name, &element);
        }
    }
    t->failed |= models;
    return 0;
}

/* The models for which the lack of a common scheme ends the handshake. */
static unsigned lacking(const struct compiled *p, const struct tally *t)
{
    if (p->no_scheme != NO_SCHEME_ABORT) {
        return 0;
    }
    return p->scope == SCOPE_SLOT ? t->failed : p->scope == SCOPE_MODEL ? t->failed & ~t->chosen :
           t->any ? 0 : t->failed;
}

static int check_tally(struct connection *c, const struct tally *t)
{
    const struct compiled *p = c->interpretation->profile;
    unsigned lack = lacking(p, t);
    int ret = 0;

    if (t->lists > 0 && t->elements == 0 && p->at_least > 0) {
        ret = fail(c, FAIL_NOTHING_OFFERED, "client_hello", "no list has a scheme");
    }
    if (ret == 0 && t->own == 0 && t->elements > 0 && p->unwilling_aborts) {
        ret = fail(c, FAIL_UNWILLING, "client_hello", "we want no attestation");
    }
    if (ret == 0 && lack != 0) {
        ret = fail(c, lack & 1U << EVIDENCE ? FAIL_NO_SCHEME_EVIDENCE : FAIL_NO_SCHEME_RESULTS,
                   "client_hello", "no scheme is in common");
    }
    if (ret == 0 && demands_in_handshake(c->options) && !t->roles[CLIENT]) {
        ret = fail(c, FAIL_DEMANDED_BY_SERVER, "client_hello", "no scheme was chosen for the client, who must attest");
    }
    return ret;
}

/* Whether an answer of a chosen slot is in HelloRetryRequest. */
static int wants_retry(struct connection *c)
{
    const struct compiled *p = c->interpretation->profile;

    for (size_t k = 0; k < p->slot_count; k++) {
        const struct slot_rule *s = &p->slots[k];
        if (attestation_of(c, k)->chosen && (s->choice.message == IN_HELLO_RETRY_REQUEST ||
            (s->nonce.set && s->nonce.message == IN_HELLO_RETRY_REQUEST))) {
            return 1;
        }
    }
    return 0;
}

int choose_schemes(struct connection *c)
{
    struct interpretation *i = c->interpretation;
    struct tally t = { 0 };
    int ret = 0;

    for (size_t k = 0; k < i->profile->slot_count; k++) {
        attestation_of(c, k)->chosen = 0;
        if ((ret = choose_in_slot(c, k, &t)) != 0) {
            return ret;
        }
    }
    if ((ret = check_tally(c, &t)) != 0) {
        return ret;
    }
    i->decided = 1;
    for (size_t k = 0; k < i->profile->slot_count; k++) {
        i->slots[k].answered_null = i->profile->no_scheme == NO_SCHEME_NULL && !attestation_of(c, k)->chosen;
    }
    if (t.roles[CLIENT]) {
        ask_client(c);
    }
    i->answered |= wants_retry(c);
    if (i->answered && !c->hello_retry && !i->retried) {
        i->retried = 1;
        return MBEDTLS_SSL_CUSTOM_EXT_HELLO_RETRY;
    }
    return 0;
}

/* ---- a client ---- */

static int is_null_choice(const struct compiled *p, const struct slot_rule *s, const struct octets *element)
{
    static const struct place offer = { "client_hello", 0 };
    unsigned char buffer[MAX_ELEMENT];
    struct writer fixed = write_into(buffer, sizeof(buffer));
    struct field fields[MAX_FORMATS];
    int count = named_fields(p, &s->element, "negotiation/no_scheme/null_choice", fields, MAX_FORMATS);

    return p->no_scheme == NO_SCHEME_NULL && count >= 0 &&
           encode(s->element.type, &offer, &fixed, fields, (size_t) count) == 0 &&
           octets_equal(element, fixed.start, writer_len(&fixed));
}

int take_flag(struct connection *c, size_t slot, const char *message)
{
    const struct slot_state *state = &c->interpretation->slots[slot];
    const struct slot_rule *s = &c->interpretation->profile->slots[slot];

    if (!attestation_of(c, slot)->offered) {
        return fail(c, FAIL_CHOICE_NOT_OFFERED, message, "the choice in %s was not offered", s->name);
    }
    return choose(attestation_of(c, slot), s->name, &state->list);
}

int take_always(struct connection *c, int requested)
{
    const struct compiled *p = c->interpretation->profile;
    int ret = 0;

    for (size_t k = 0; ret == 0 && k < p->slot_count; k++) {
        const struct slot_rule *s = &p->slots[k];
        struct attestation *a = attestation_of(c, k);
        if (s->always && !a->offered) { /* no extension of ours has asked for it */
            unsigned char buffer[MAX_ELEMENT];
            struct writer name = write_into(buffer, sizeof(buffer));
            a->offered = slot_element(c->options, s, &name);
            if (a->offered && octets_set(&c->interpretation->slots[k].list, buffer, writer_len(&name)) != 0) {
                return MBEDTLS_ERR_SSL_ALLOC_FAILED;
            }
        }
        if (s->always && a->offered && !a->chosen &&
            (s->attester == SERVER || (requested && (!s->nonce.set || a->nonce.p != NULL)))) {
            ret = choose(a, s->name, &c->interpretation->slots[k].list);
        }
    }
    return ret;
}

int take_choice(struct connection *c, size_t slot, const struct field *choice, const char *message)
{
    const struct interpretation *i = c->interpretation;
    const struct slot_rule *s = &i->profile->slots[slot];
    const struct slot_state *state = &i->slots[slot];
    struct reader list = read_all(choice->p, choice->len);
    struct octets element = next_element(s, &list);

    if (element.len == 0 || is_null_choice(i->profile, s, &element)) {
        return 0;
    }
    if (reader_left(&list) > 0) {
        return fail(c, FAIL_TWO_CHOICES, message, "%s has more than one choice", s->name);
    }
    if (!octets_equal(&state->list, element.p, element.len)) { /* we offer one */
        return fail(c, FAIL_CHOICE_NOT_OFFERED, message, "the choice in %s was not offered", s->name);
    }
    return choose(attestation_of(c, slot), s->name, &element);
}

int check_choices(struct connection *c, int requested)
{
    const struct compiled *p = c->interpretation->profile;
    int chosen[2] = { 0 }, offered = 0, ret;

    for (size_t k = 0; k < p->slot_count; k++) {
        chosen[p->slots[k].attester] += attestation_of(c, k)->chosen;
        offered += attestation_of(c, k)->offered;
    }
    if (p->one_per_attester && (chosen[CLIENT] > 1 || chosen[SERVER] > 1) &&
        (ret = fail(c, FAIL_TWO_CHOICES, "encrypted_extensions", "two schemes were chosen for one attester")) != 0) {
        return ret;
    }
    if (p->client_choice_needs_request && chosen[CLIENT] && !requested &&
        (ret = fail(c, FAIL_CHOICE_WITHOUT_REQUEST, "certificate",
                    "our attestation was chosen, but no CertificateRequest came")) != 0) {
        return ret;
    }
    if (p->none_aborts && offered && !chosen[CLIENT] && !chosen[SERVER] &&
        (ret = fail(c, FAIL_CHOICE_NONE, "encrypted_extensions", "nothing was chosen of what we offered")) != 0) {
        return ret;
    }
    return check_demand(c, requested ? "certificate_request" : "encrypted_extensions");
}
