/* The code points and extensions of a compiled profile. */
#include "loader.h"

#include <string.h>

static const char *const message_names[MESSAGES] = {
    [IN_CLIENT_HELLO] = "client_hello", [IN_HELLO_RETRY_REQUEST] = "hello_retry_request",
    [IN_SERVER_HELLO] = "server_hello", [IN_ENCRYPTED_EXTENSIONS] = "encrypted_extensions",
    [IN_CERTIFICATE_REQUEST] = "certificate_request", [IN_CERTIFICATE] = "certificate",
    [IN_NEW_SESSION_TICKET] = "new_session_ticket", [IN_CLIENT_CERTIFICATE_REQUEST] = "client_certificate_request",
};

/* ---- code points ---- */

static int add_point(struct loader *l, enum code_point_kind kind, const char *name, uint64_t value, uint64_t max)
{
    struct draft *d = &l->c->draft;

    if (d->code_point_count == sizeof(l->c->points) / sizeof(l->c->points[0])) {
        return load_refuse(l, "there are too many code points");
    }
    if (!load_is_name(name) || value > max) {
        return -1;
    }
    l->c->points[d->code_point_count++] = (struct code_point) { kind, name, (unsigned) value, (unsigned) value };
    return 0;
}

static int add_point_of(struct loader *l, const struct record *r, const char *name, enum code_point_kind kind,
                        uint64_t max)
{
    uint64_t value;

    if (r->kind != RECORD_KEY || !text_number(r->values[0], &value)) {
        return -1;
    }
    return add_point(l, kind, name, value, max);
}

static int add_extension_point(struct loader *l, const struct record *r, const char *name)
{
    return add_point_of(l, r, name, EXTENSIONS, 0xffff);
}

static int add_alert_point(struct loader *l, const struct record *r, const char *name)
{
    return add_point_of(l, r, name, ALERTS, 0xff);
}

static int add_flag_point(struct loader *l, const struct record *r, const char *name)
{
    return add_point_of(l, r, name, FLAGS, MAX_FLAG);
}

static int add_type_point(struct loader *l, const struct record *r, const char *name)
{
    return add_point_of(l, r, name, CERTIFICATE_TYPES, 0xff);
}

void load_points(struct loader *l)
{
    document_find(l->d, "code_points");
    if (document_find(l->d, "code_points/extensions") != NULL) {
        load_each(l, "code_points/extensions", add_extension_point);
    }
    if (document_find(l->d, "code_points/alerts") != NULL) {
        load_each(l, "code_points/alerts", add_alert_point);
    }
    if (document_find(l->d, "code_points/certificate_types") != NULL) {
        load_each(l, "code_points/certificate_types", add_type_point);
    }
    if (document_find(l->d, "code_points/flags") != NULL) {
        load_each(l, "code_points/flags", add_flag_point);
    }
    document_find(l->d, "code_points/messages");
}

/* ---- extensions ---- */

int load_extension(const struct loader *l, const char *name, size_t len)
{
    for (size_t i = 0; i < l->c->extension_count; i++) {
        const struct placed_extension *x = &l->c->extensions[i];
        if (x->later == l->later && strlen(x->name) == len && memcmp(x->name, name, len) == 0) {
            return (int) i;
        }
    }
    return -1;
}

int load_message_named(const char *name, size_t len)
{
    for (int i = 0; i < MESSAGES; i++) {
        if (strlen(message_names[i]) == len && memcmp(message_names[i], name, len) == 0) {
            return i;
        }
    }
    return -1;
}

int load_is_after(struct loader *l, const char *name)
{
    const char *phase = document_value(l->d, "extensions/%.100s/phase", name);

    return phase != NULL && strcmp(phase, "post_handshake") == 0;
}

static int add_extension(struct loader *l, const struct record *r, const char *name)
{
    const struct code_point *p = load_point(l, EXTENSIONS, name);
    struct placed_extension *x;

    if (load_is_after(l, name)) {
        load_pass_over(l, load_path("extensions/%s", name).p);
        return 0;
    }

    if (l->c->extension_count == MAX_PLACED) {
        return load_refuse(l, "line %zu: there are more than %d extensions", r->line, MAX_PLACED);
    }
    if (r->kind != RECORD_MAP || !load_is_name(name) || p == NULL) {
        return load_refuse(l, "line %zu: extension %.100s has no code point", r->line, name);
    }
    x = &l->c->extensions[l->c->extension_count++];
    x->name = name;
    x->number = p->number;
    x->later = load_flag(l, "handshake", "authenticator", 0, load_path("extensions/%s/phase", name).p);
    return 0;
}

static int read_body(struct loader *l, const char *map, const struct type **type, int *set)
{
    const struct record *r = document_find(l->d, "%s/body", map);

    if (r == NULL) {
        return 0;
    }
    if (r->kind != RECORD_KEY) {
        return load_refuse(l, "line %zu: a body is a type", r->line);
    }
    *set = 1;
    *type = strcmp(r->values[0], "opaque") == 0 ? NULL : load_type(l, r, r->values[0]);
    return l->failed ? -1 : 0;
}

/* One thing that must have been offered: a message, or message.extension. */
static int add_offered_by(struct loader *l, struct placement *p, int sender, int self, const char *what)
{
    size_t len = strcspn(what, ".");
    int message = load_message_named(what, len), extension = self;

    if (strcmp(what, "any") == 0) {
        p->any |= 1 << sender;
        return 0;
    }
    if (what[len] == '.') {
        extension = load_extension(l, what + len + 1, strlen(what + len + 1));
    }
    if (message < 0 || extension < 0 || p->offered_by_count[sender] == MAX_OFFERED_BY) {
        return load_refuse(l, "%.100s cannot have been offered", what);
    }
    p->offered_by[sender][p->offered_by_count[sender]++] = (struct offered_by) { (enum message) message, extension };
    return 0;
}

static int read_offered_by(struct loader *l, struct placement *p, int self, const char *map)
{
    const struct record *all = document_find(l->d, "%s/offered_by", map);

    for (int sender = CLIENT; sender <= SERVER; sender++) {
        const struct record *r = all;
        if (r != NULL && r->kind == RECORD_MAP) {
            r = document_find(l->d, "%s/offered_by/%s", map, role_name((enum role) sender));
        }
        for (size_t i = 0; r != NULL && i < r->count; i++) {
            if (add_offered_by(l, p, sender, self, r->values[i]) != 0) {
                return -1;
            }
        }
    }
    return 0;
}

/* Where the placement holds besides, which is after the handshake only. */
void load_also_in(struct loader *l, const char *map)
{
    const struct record *r = document_find(l->d, "%s/also_in", map);

    if (r != NULL && l->later) {
        load_refuse(l, "line %zu: an extension of authenticators is in no other phase", r->line);
    }
    for (size_t i = 0; r != NULL && i < r->count; i++) {
        if (strcmp(r->values[i], "post_handshake") != 0) {
            load_refuse(l, "line %zu: %.100s is no phase", r->line, r->values[i]);
        }
    }
}

static int load_placement(struct loader *l, int self, enum message m, const struct type *type, int has_type)
{
    struct placement *p = &l->c->extensions[self].at[m];
    const struct path map = load_path("extensions/%s/%s", l->c->extensions[self].name, message_names[m]);

    if (document_find(l->d, "%s", map.p) == NULL) {
        return 0;
    }
    if (m == IN_CLIENT_CERTIFICATE_REQUEST ? !l->later :
        l->later && m != IN_CERTIFICATE_REQUEST && m != IN_CERTIFICATE) {
        return load_refuse(l, "%s is no place in this phase", map.p);
    }
    p->placed = 1;
    p->type = type;
    if (read_body(l, map.p, &p->type, &has_type) != 0 || read_offered_by(l, p, self, map.p) != 0) {
        return -1;
    }
    if (!has_type) {
        return load_refuse(l, "%s has no body", map.p);
    }
    load_also_in(l, map.p);
    p->first = load_flag(l, "any", "first", 0, load_path("%s/entries", map.p).p);
    p->trailing = load_flag(l, "refuse", "ignore", 0, load_path("%s/trailing_octets", map.p).p);
    return l->failed ? -1 : 0;
}

int load_extensions(struct loader *l)
{
    if (document_find(l->d, "extensions") == NULL || load_each(l, "extensions", add_extension) != 0) {
        return l->failed ? -1 : 0;
    }
    for (size_t i = 0; i < l->c->extension_count; i++) {
        struct placed_extension *x = &l->c->extensions[i];
        const struct path map = load_path("extensions/%s", x->name);
        const struct type *type = NULL;
        int set = 0;

        l->later = x->later;
        if (read_body(l, map.p, &type, &set) != 0) {
            return -1;
        }
        x->ignore_unknown_arm = load_flag(l, "decode_error", "ignore_extension", 0, load_path("%s/unknown_arm", map.p).p);
        for (int m = 0; m < MESSAGES; m++) {
            if (load_placement(l, (int) i, (enum message) m, type, set) != 0) {
                return -1;
            }
        }
    }
    l->later = 0;
    return 0;
}
