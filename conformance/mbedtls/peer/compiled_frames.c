/* The frames of a compiled profile, and the slots in which ends attest in them. */
#include "loader.h"

#include <string.h>

static const char exchange[] = "after/application_frame";
static const char *const roles[] = { "client", "server", NULL };

/* A frame that the exchange names. */
static int add_frame(struct loader *l, const char *name)
{
    static const char *const whens[] = { "client", "server", "always", NULL };
    struct exchange_rules *x = &l->c->exchange;
    const struct path map = load_path("frames/%s", name);
    const int from = load_word(l, roles, -1, load_path("%s/from", map.p).p);
    const int when = load_word(l, whens, 2, load_path("%s/when", map.p).p);
    const int typed = document_find(l->d, "%s/type", map.p) != NULL;
    const int type = (int) load_number(l, 0, 255, load_path("%s/type", map.p).p);
    const int object = load_object_named(l, document_value(l->d, "%s/body", map.p));

    if (x->count == MAX_FRAMES) {
        return load_cannot(l, "more than %d frames", MAX_FRAMES);
    }
    if (document_find(l->d, "%s", map.p) == NULL || from < 0 || object < 0) {
        return load_refuse(l, "the frame %.100s has no sender or no object", name);
    }
    for (size_t i = 0; i < x->count; i++) {
        if (strcmp(x->frames[i].name, name) == 0) {
            return load_refuse(l, "the frame %.100s is sent twice", name);
        }
    }
    x->frames[x->count++] = (struct frame_rule) { .name = name, .from = (enum role) from, .object = object,
        .type = typed ? type : -1, .when = when < 2 ? when : -1 };
    return l->failed ? -1 : 0;
}

int load_frames(struct loader *l)
{
    struct exchange_rules *x = &l->c->exchange;
    const struct record *order = document_find(l->d, "%s/exchange", exchange);

    document_find(l->d, "frames");
    document_find(l->d, "%s", exchange);
    x->length_octets = (size_t) load_number(l, 4, 4, load_path("%s/length", exchange).p);
    x->most = (size_t) load_number(l, 1 << 16, MAX_OBJECT_OCTETS, load_path("%s/most", exchange).p);
    x->at_report = load_flag(l, "arrival", "report", 0, load_path("%s/appraised", exchange).p);
    if (x->length_octets == 0 || x->most == 0) {
        return load_refuse(l, "frames have no length");
    }
    for (size_t i = 0; order != NULL && i < order->count; i++) {
        if (add_frame(l, order->values[i]) != 0) {
            return -1;
        }
    }
    return l->failed ? -1 : 0;
}

/* frame.member of a frame that somebody sends. */
static struct object_field *in_frame(struct loader *l, const char *where, enum role from, enum field_meaning means,
                                     int *frame)
{
    const struct exchange_rules *x = &l->c->exchange;
    const size_t len = where != NULL ? strcspn(where, ".") : 0;

    for (size_t i = 0; where != NULL && where[len] == '.' && i < x->count; i++) {
        if (strlen(x->frames[i].name) == len && memcmp(x->frames[i].name, where, len) == 0 && x->frames[i].from == from) {
            *frame = (int) i;
            return load_member(l, x->frames[i].object, where + len + 1, means);
        }
    }
    return NULL;
}

int load_frame_slot(struct loader *l, struct later_rule *s, enum role attester, const char *map)
{
    enum { MOST_NONCE = 255 };
    const char *nonce = document_value(l->d, "%s/nonce", map);
    struct object_field *f = in_frame(l, document_value(l->d, "%s/carried_in", map), attester, MEANS_PAYLOAD, &s->frame);

    if (f == NULL) {
        return load_refuse(l, "the payload of bind/slots/%.100s is in no frame", s->name);
    }
    if (nonce == NULL) {
        return document_find(l->d, "%s/nonce", map) == NULL ? 0 : load_refuse(l, "the nonce of a frame is a member of it");
    }
    f = in_frame(l, nonce, !attester, MEANS_NONCE, &s->nonce_frame);
    if (f == NULL || s->nonce_frame > s->frame) {
        return load_refuse(l, "the nonce of bind/slots/%.100s is in no frame before its payload", s->name);
    }
    s->nonce_floor = f->floor;
    s->nonce_ceiling = f->ceiling < MOST_NONCE ? f->ceiling : MOST_NONCE;
    return s->nonce_floor <= s->nonce_ceiling ? 0 : load_refuse(l, "the nonce of bind/slots/%.100s is too long", s->name);
}

/* object.member around the payload of an authenticator. */
int load_inside(struct loader *l, struct later_rule *s, const char *map)
{
    const char *inside = document_value(l->d, "%s/inside", map);
    const size_t len = inside != NULL ? strcspn(inside, ".") : 0;

    for (size_t i = 0; inside != NULL && inside[len] == '.' && i < l->c->object_count; i++) {
        if (strlen(l->c->objects[i].name) == len && memcmp(l->c->objects[i].name, inside, len) == 0) {
            s->object = (int) i;
        }
    }
    if (inside != NULL && (s->object < 0 || load_member(l, s->object, inside + len + 1, MEANS_PAYLOAD) == NULL ||
                           l->c->objects[s->object].tells)) {
        return load_refuse(l, "the payload of bind/slots/%.100s is inside of nothing", s->name);
    }
    return 0;
}
