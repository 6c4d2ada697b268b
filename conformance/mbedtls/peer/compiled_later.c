/* What a compiled profile says of attestation after the handshake. */
#include "loader.h"

#include <string.h>

/* The message with which the relying party of an attester asks. */
static enum message request_of(enum role attester)
{
    return attester == SERVER ? IN_CLIENT_CERTIFICATE_REQUEST : IN_CERTIFICATE_REQUEST;
}

/* message.extension, which asks for the payload of a slot, or "any". */
static int load_offer(struct loader *l, struct later_rule *s, enum role attester, const char *map)
{
    const char *offer = document_value(l->d, "%s/offer", map);
    const size_t len = offer != NULL ? strcspn(offer, ".") : 0;
    const struct placed_extension *x = &l->c->extensions[s->payload.extension];

    s->every = offer != NULL && strcmp(offer, "any") == 0;
    if (s->every) {
        s->asks = x->at[request_of(attester)].placed ? s->payload.extension : -1;
        return 0;
    }
    if (offer == NULL || offer[len] != '.' || load_message_named(offer, len) != (int) request_of(attester)) {
        return load_refuse(l, "bind/slots/%.100s has no offer in a request to its attester", s->name);
    }
    s->asks = load_extension(l, offer + len + 1, strlen(offer + len + 1));
    if (s->asks < 0 || !l->c->extensions[s->asks].at[request_of(attester)].placed) {
        return load_refuse(l, "the offer of bind/slots/%.100s is in no request", s->name);
    }
    return 0;
}

/* Whether an authenticator may have the payload where the request asks for it. */
static int is_answer(const struct compiled *c, const struct later_rule *s, enum role attester)
{
    const struct placement *p = &c->extensions[s->payload.extension].at[IN_CERTIFICATE];
    int found = (p->any & 1 << attester) != 0;

    for (size_t i = 0; i < p->offered_by_count[attester]; i++) {
        found |= p->offered_by[attester][i].message == request_of(attester) &&
                 p->offered_by[attester][i].extension == s->asks;
    }
    return found;
}

/* The payload in an extension of an authenticator, and what asks for it. */
static int load_authenticator_slot(struct loader *l, struct later_rule *s, enum role attester, const char *map)
{
    int ret;

    l->later = 1;
    ret = load_where(l, &s->payload, load_path("%s/carried_in", map).p, 1);
    if (ret == 0 && (s->payload.message != IN_CERTIFICATE || s->payload.extension < 0)) {
        ret = load_refuse(l, "the payload of bind/slots/%.100s is in no extension of certificate", s->name);
    }
    ret = ret == 0 ? load_offer(l, s, attester, map) : ret;
    if (ret == 0 && !is_answer(l->c, s, attester)) {
        ret = load_refuse(l, "the payload of bind/slots/%.100s answers nothing that its request has", s->name);
    }
    l->later = 0;
    return ret == 0 ? load_inside(l, s, map) : ret;
}

int load_later_slot(struct loader *l, const struct record *r, const char *name, int in_frames)
{
    static const char *const roles[] = { "client", "server", NULL };
    const struct path map = load_path("bind/slots/%s", name);
    const int attester = load_word(l, roles, -1, load_path("%s/attester", map.p).p);
    const int models = load_word(l, load_models, -1, load_path("%s/models", map.p).p);
    struct later_rule *s;

    if (l->failed || attester < 0 || models < 0) {
        return load_refuse(l, "bind/slots/%.100s has no attester or no models", name);
    }
    s = &l->c->later[attester];
    if (s->name != NULL) {
        return load_refuse(l, "line %zu: bind/slots/%.100s is a second one of its attester", r->line, name);
    }
    *s = (struct later_rule) { .name = name, .object = -1, .frame = -1, .nonce_frame = -1 };
    s->models[EVIDENCE] = models != 1;
    s->models[RESULTS] = models != 0;
    return in_frames ? load_frame_slot(l, s, (enum role) attester, map.p) :
           load_authenticator_slot(l, s, (enum role) attester, map.p);
}

/* The type octets of frames, each another one. */
static int load_framing(struct loader *l, struct later_rules *r)
{
    static const char map[] = "after/authenticator/framing";

    r->framing = FRAMING_TYPED;
    if (document_value(l->d, "%s/request", map) == NULL || document_value(l->d, "%s/answer", map) == NULL) {
        return load_refuse(l, "frames have no types for requests and answers");
    }
    r->request = (int) load_number(l, 0, 255, "after/authenticator/framing/request");
    r->answer = (int) load_number(l, 0, 255, "after/authenticator/framing/answer");
    if (document_find(l->d, "%s/data", map) != NULL) {
        r->data = (int) load_number(l, 0, 255, "after/authenticator/framing/data");
    }
    r->length_octets = (size_t) load_number(l, 4, 4, "after/authenticator/framing/length");
    if (r->request == r->answer || r->request == r->data || r->answer == r->data || r->length_octets == 0) {
        return load_refuse(l, "two types of frames are the same, or their length has no octets");
    }
    return l->failed ? -1 : 0;
}

static int load_flag_name(struct loader *l, struct later_rules *r)
{
    const char *name = document_value(l->d, "after/authenticator/flag");
    const struct code_point *p = name != NULL ? load_point(l, FLAGS, name) : NULL;

    if (name != NULL && p == NULL) {
        return load_refuse(l, "there is no flag %.100s", name);
    }
    r->flag = p != NULL ? (int) p->number : -1;
    return 0;
}

/* Whether one end attests in frames and the other in authenticators. */
static int later_twice(const struct compiled *c)
{
    return c->later[CLIENT].name != NULL && c->later[SERVER].name != NULL &&
           (c->later[CLIENT].frame >= 0) != (c->later[SERVER].frame >= 0);
}

int load_later(struct loader *l)
{
    static const char *const framings[] = { "application", "messages", NULL };
    static const char framing[] = "after/authenticator/framing";
    struct later_rules *r = &l->c->after;
    const struct record *record = document_find(l->d, "%s", framing);

    r->data = -1;
    if (document_find(l->d, "after/authenticator") != NULL && (!compiled_later(l->c) || compiled_frames(l->c))) {
        return load_refuse(l, "after/authenticator is about no slot");
    }
    if (compiled_frames(l->c) != (l->c->exchange.count > 0) || later_twice(l->c)) {
        return load_refuse(l, "the ends do not attest in frames alone, or in none");
    }
    if (record != NULL && record->kind == RECORD_MAP) {
        load_framing(l, r);
    } else {
        r->framing = (enum framing) load_word(l, framings, FRAMING_APPLICATION, framing);
    }
    r->data_before = load_flag(l, "forbid", "allow", 0, "after/authenticator/data_before");
    r->nonce_context = load_flag(l, "random", "nonce", 0, "after/authenticator/context");
    r->context_octets = (size_t) load_number(l, 32, 255, "after/authenticator/context_octets");
    r->reports = load_flag(l, "alert", "report", 0, compiled_frames(l->c) ? "after/application_frame/failed" :
                           "after/authenticator/failed");
    if (r->context_octets == 0) {
        return load_refuse(l, "after/authenticator/context_octets is 0");
    }
    return load_flag_name(l, r);
}

int compiled_frames(const struct compiled *c)
{
    return (c->later[CLIENT].name != NULL && c->later[CLIENT].frame >= 0) ||
           (c->later[SERVER].name != NULL && c->later[SERVER].frame >= 0);
}

int compiled_later(const struct compiled *c)
{
    return c->later[CLIENT].name != NULL || c->later[SERVER].name != NULL;
}
