/* Reads a compiled profile and checks that it says nothing that this peer cannot do. */
#include "compiled.h"
#include "certificate.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is being loaded. The first failure counts. */
struct loader {
    struct compiled *c;
    const struct document *d;
    char reason[512];
    int failed;
    int whole;                     /* a path may name a body of any type */
    int limit;                     /* what failed is well-formed, and more than we can do */
};

static const char *const message_names[MESSAGES] = {
    [IN_CLIENT_HELLO] = "client_hello", [IN_HELLO_RETRY_REQUEST] = "hello_retry_request",
    [IN_SERVER_HELLO] = "server_hello", [IN_ENCRYPTED_EXTENSIONS] = "encrypted_extensions",
    [IN_CERTIFICATE_REQUEST] = "certificate_request", [IN_CERTIFICATE] = "certificate",
    [IN_NEW_SESSION_TICKET] = "new_session_ticket",
};

static int refuse(struct loader *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int refuse(struct loader *l, const char *format, ...)
{
    va_list args;

    if (!l->failed) {
        l->failed = 1;
        va_start(args, format);
        vsnprintf(l->reason, sizeof(l->reason), format, args);
        va_end(args);
    }
    return -1;
}

/* The same for what a profile may say and this peer cannot do. */
#define cannot(l, ...) ((l)->limit |= !(l)->failed, refuse(l, __VA_ARGS__))

/* ---- words and numbers ---- */

/* The place of a key's value among words, which end with NULL; otherwise where there
 * is no such key. A list has one word for each of its values. */
static int word(struct loader *l, const char *const *words, int otherwise, const char *path)
{
    const struct record *r = document_find(l->d, "%s", path);

    if (r == NULL) {
        return otherwise;
    }
    for (int i = 0; r->kind == RECORD_KEY && words[i] != NULL; i++) {
        if (strcmp(r->values[0], words[i]) == 0) {
            return i;
        }
    }
    refuse(l, "line %zu: %s has a value that is not known", r->line, path);
    return otherwise;
}

static int flag(struct loader *l, const char *no, const char *yes, int otherwise, const char *path)
{
    const char *const words[] = { no, yes, NULL };

    return word(l, words, otherwise, path);
}

static uint64_t number(struct loader *l, uint64_t otherwise, uint64_t max, const char *path)
{
    const struct record *r = document_find(l->d, "%s", path);
    uint64_t n;

    if (r == NULL) {
        return otherwise;
    }
    if (r->kind != RECORD_KEY || !text_number(r->values[0], &n) || n > max) {
        refuse(l, "line %zu: %s is no number up to %llu", r->line, path, (unsigned long long) max);
        return otherwise;
    }
    return n;
}

/* A path from pieces; too long ones find nothing. */
struct path {
    char p[2048];
};

static struct path path_of(const char *format, ...) __attribute__((format(printf, 1, 2)));

static struct path path_of(const char *format, ...)
{
    struct path path;
    va_list args;

    va_start(args, format);
    vsnprintf(path.p, sizeof(path.p), format, args);
    va_end(args);
    return path;
}

/* Calls add for each record directly in a map, with its name as it is encoded. */
static int each_in(struct loader *l, const char *map, int (*add)(struct loader *, const struct record *, const char *))
{
    for (size_t i = 0; i < l->d->record_count && !l->failed; i++) {
        const char *name = document_child(&l->d->records[i], map);
        if (name != NULL) {
            l->d->records[i].used = 1;
            if (add(l, &l->d->records[i], name) != 0) {
                return refuse(l, "line %zu: %s cannot be used", l->d->records[i].line, l->d->records[i].path);
            }
        }
    }
    return l->failed ? -1 : 0;
}

/* Names are identifiers: nothing of them is encoded. */
static int is_name(const char *encoded)
{
    return strchr(encoded, '%') == NULL && strchr(encoded, '.') == NULL && strlen(encoded) <= 200;
}

static const struct type *type_named(struct loader *l, const struct record *r, const char *name)
{
    const struct type *t = document_type(l->d, name);

    if (t == NULL) {
        refuse(l, "line %zu: there is no type %.100s", r->line, name);
    }
    return t;
}

/* ---- code points ---- */

static int add_point(struct loader *l, enum code_point_kind kind, const char *name, uint64_t value, uint64_t max)
{
    struct draft *d = &l->c->draft;

    if (d->code_point_count == sizeof(l->c->points) / sizeof(l->c->points[0])) {
        return refuse(l, "there are too many code points");
    }
    if (!is_name(name) || value > max) {
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

static int add_type_point(struct loader *l, const struct record *r, const char *name)
{
    return add_point_of(l, r, name, CERTIFICATE_TYPES, 0xff);
}

static const struct code_point *point(const struct loader *l, enum code_point_kind kind, const char *name)
{
    for (size_t i = 0; i < l->c->draft.code_point_count; i++) {
        if (l->c->points[i].kind == kind && strcmp(l->c->points[i].name, name) == 0) {
            return &l->c->points[i];
        }
    }
    return NULL;
}

static void load_points(struct loader *l)
{
    document_find(l->d, "code_points");
    if (document_find(l->d, "code_points/extensions") != NULL) {
        each_in(l, "code_points/extensions", add_extension_point);
    }
    if (document_find(l->d, "code_points/alerts") != NULL) {
        each_in(l, "code_points/alerts", add_alert_point);
    }
    if (document_find(l->d, "code_points/certificate_types") != NULL) {
        each_in(l, "code_points/certificate_types", add_type_point);
    }
    document_find(l->d, "code_points/messages");
}

/* ---- extensions ---- */

static int extension_named(const struct loader *l, const char *name, size_t len)
{
    for (size_t i = 0; i < l->c->extension_count; i++) {
        if (strlen(l->c->extensions[i].name) == len && memcmp(l->c->extensions[i].name, name, len) == 0) {
            return (int) i;
        }
    }
    return -1;
}

static int message_named(const char *name, size_t len)
{
    for (int i = 0; i < MESSAGES; i++) {
        if (strlen(message_names[i]) == len && memcmp(message_names[i], name, len) == 0) {
            return i;
        }
    }
    return -1;
}

static int add_extension(struct loader *l, const struct record *r, const char *name)
{
    const struct code_point *p = point(l, EXTENSIONS, name);
    struct placed_extension *x;

    if (l->c->extension_count == MAX_PLACED) {
        return refuse(l, "line %zu: there are more than %d extensions", r->line, MAX_PLACED);
    }
    if (r->kind != RECORD_MAP || !is_name(name) || p == NULL) {
        return refuse(l, "line %zu: extension %.100s has no code point", r->line, name);
    }
    x = &l->c->extensions[l->c->extension_count++];
    x->name = name;
    x->number = p->number;
    return 0;
}

static int read_body(struct loader *l, const char *map, const struct type **type, int *set)
{
    const struct record *r = document_find(l->d, "%s/body", map);

    if (r == NULL) {
        return 0;
    }
    if (r->kind != RECORD_KEY) {
        return refuse(l, "line %zu: a body is a type", r->line);
    }
    *set = 1;
    *type = strcmp(r->values[0], "opaque") == 0 ? NULL : type_named(l, r, r->values[0]);
    return l->failed ? -1 : 0;
}

/* One thing that must have been offered: a message, or message.extension. */
static int add_offered_by(struct loader *l, struct placement *p, int sender, int self, const char *what)
{
    size_t len = strcspn(what, ".");
    int message = message_named(what, len), extension = self;

    if (strcmp(what, "any") == 0) {
        p->any |= 1 << sender;
        return 0;
    }
    if (what[len] == '.') {
        extension = extension_named(l, what + len + 1, strlen(what + len + 1));
    }
    if (message < 0 || extension < 0 || p->offered_by_count[sender] == MAX_OFFERED_BY) {
        return refuse(l, "%.100s cannot have been offered", what);
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
static void read_also_in(struct loader *l, const char *map)
{
    const struct record *r = document_find(l->d, "%s/also_in", map);

    for (size_t i = 0; r != NULL && i < r->count; i++) {
        if (strcmp(r->values[i], "post_handshake") != 0) {
            refuse(l, "line %zu: %.100s is no phase", r->line, r->values[i]);
        }
    }
}

static int load_placement(struct loader *l, int self, enum message m, const struct type *type, int has_type)
{
    struct placement *p = &l->c->extensions[self].at[m];
    const struct path map = path_of("extensions/%s/%s", l->c->extensions[self].name, message_names[m]);

    if (document_find(l->d, "%s", map.p) == NULL) {
        return 0;
    }
    p->placed = 1;
    p->type = type;
    if (read_body(l, map.p, &p->type, &has_type) != 0 || read_offered_by(l, p, self, map.p) != 0) {
        return -1;
    }
    if (!has_type) {
        return refuse(l, "%s has no body", map.p);
    }
    read_also_in(l, map.p);
    p->first = flag(l, "any", "first", 0, path_of("%s/entries", map.p).p);
    p->trailing = flag(l, "refuse", "ignore", 0, path_of("%s/trailing_octets", map.p).p);
    return l->failed ? -1 : 0;
}

static int load_extensions(struct loader *l)
{
    if (document_find(l->d, "extensions") == NULL || each_in(l, "extensions", add_extension) != 0) {
        return l->failed ? -1 : 0;
    }
    for (size_t i = 0; i < l->c->extension_count; i++) {
        struct placed_extension *x = &l->c->extensions[i];
        const struct path map = path_of("extensions/%s", x->name);
        const struct type *type = NULL;
        int set = 0;

        if (read_body(l, map.p, &type, &set) != 0) {
            return -1;
        }
        x->ignore_unknown_arm = flag(l, "decode_error", "ignore_extension", 0, path_of("%s/unknown_arm", map.p).p);
        for (int m = 0; m < MESSAGES; m++) {
            if (load_placement(l, (int) i, (enum message) m, type, set) != 0) {
                return -1;
            }
        }
    }
    return 0;
}

/* ---- added messages ---- */

static int handshake_type(const char *name)
{
    static const struct {
        const char *name;
        int type;
    } types[] = {
        { "server_hello", MBEDTLS_SSL_HS_SERVER_HELLO }, { "encrypted_extensions", MBEDTLS_SSL_HS_ENCRYPTED_EXTENSIONS },
        { "certificate_request", MBEDTLS_SSL_HS_CERTIFICATE_REQUEST }, { "certificate", MBEDTLS_SSL_HS_CERTIFICATE },
        { "certificate_verify", MBEDTLS_SSL_HS_CERTIFICATE_VERIFY }, { "finished", MBEDTLS_SSL_HS_FINISHED },
    };

    for (size_t i = 0; name != NULL && i < sizeof(types) / sizeof(types[0]); i++) {
        if (strcmp(types[i].name, name) == 0) {
            return types[i].type;
        }
    }
    return 0;
}

/* Gaps by what follows; each sender has those in which its own message does. */
static int set_gaps(struct loader *l, struct added_message *m, const struct record *r)
{
    const char *before = document_value(l->d, "messages/%s/before", m->name);
    const char *after = document_value(l->d, "messages/%s/after", m->name);
    int next = handshake_type(before);

    if (next == 0 && after != NULL) { /* the message says it by what it follows */
        next = strcmp(after, "server_hello") == 0 ? MBEDTLS_SSL_HS_ENCRYPTED_EXTENSIONS :
               strcmp(after, "encrypted_extensions") == 0 ? MBEDTLS_SSL_HS_CERTIFICATE_REQUEST :
               strcmp(after, "certificate_request") == 0 || strcmp(after, "finished") == 0 ?
                   MBEDTLS_SSL_HS_CERTIFICATE :
               strcmp(after, "certificate") == 0 ? MBEDTLS_SSL_HS_CERTIFICATE_VERIFY :
               strcmp(after, "certificate_verify") == 0 ? MBEDTLS_SSL_HS_FINISHED : 0;
    }
    if (next == 0 || next == MBEDTLS_SSL_HS_SERVER_HELLO) {
        return cannot(l, "line %zu: message %.100s stands where mbedTLS cannot send one", r->line, m->name);
    }
    m->gap[SERVER] = next;
    m->gap[CLIENT] = next == MBEDTLS_SSL_HS_CERTIFICATE || next == MBEDTLS_SSL_HS_CERTIFICATE_VERIFY ||
                     next == MBEDTLS_SSL_HS_FINISHED ? next : 0;
    if (after != NULL && strcmp(after, "finished") == 0) {
        m->gap[SERVER] = 0; /* the server's */
    }
    if (after != NULL && (strcmp(after, "certificate_request") == 0 || strcmp(after, "encrypted_extensions") == 0)) {
        m->gap[CLIENT] = 0;
    }
    return 0;
}

static int add_message(struct loader *l, const struct record *r, const char *name)
{
    const struct record *body = document_find(l->d, "messages/%s/body", name);
    struct added_message *m;

    if (l->c->added_count == MAX_ADDED || r->kind != RECORD_MAP || !is_name(name) ||
        body == NULL || body->kind != RECORD_KEY) {
        return refuse(l, "line %zu: message %.100s cannot be added", r->line, name);
    }
    m = &l->c->added[l->c->added_count++];
    m->name = name;
    m->type = strcmp(body->values[0], "opaque") == 0 ? NULL : type_named(l, body, body->values[0]);
    m->number = (uint8_t) number(l, 0, 255, path_of("code_points/messages/%s", name).p);
    if (m->number == 0) {
        return refuse(l, "line %zu: message %.100s has no code point", r->line, name);
    }
    read_also_in(l, path_of("messages/%s", name).p);
    return l->failed ? -1 : set_gaps(l, m, r);
}

/* ---- fields of certificates ---- */

static int add_x509(struct loader *l, const struct record *r, const char *name)
{
    static const char *const criticals[] = { "either", "false", "true", NULL };
    const struct path map = path_of("x509/%s", name);
    const char *oid = document_value(l->d, "%s/oid", map.p);
    struct x509_field *x;

    if (l->c->x509_count == MAX_X509 || r->kind != RECORD_MAP || !is_name(name)) {
        return -1;
    }
    x = &l->c->x509[l->c->x509_count++];
    x->name = name;
    x->dns_names = document_value(l->d, "%s/dns_names", map.p);
    if (oid != NULL ? x->dns_names != NULL || oid_from_text(oid, &x->oid) != 0 :
        x->dns_names == NULL || strlen(x->dns_names) > 200) {
        return refuse(l, "line %zu: field %.100s has no object identifier and no DNS names", r->line, name);
    }
    x->critical = word(l, criticals, 0, path_of("%s/critical", map.p).p) - 1;
    x->octet_string = flag(l, "false", "true", 0, path_of("%s/octet_string", map.p).p);
    x->tagged = document_find(l->d, "%s/cbor_tag", map.p) != NULL;
    x->tag = number(l, 0, UINT64_MAX, path_of("%s/cbor_tag", map.p).p);
    x->array = document_find(l->d, "%s/cbor_array", map.p);
    x->content = document_value(l->d, "%s/content", map.p);
    x->content = x->content != NULL ? x->content : "payload";
    x->digits = (size_t) number(l, 2, 6, path_of("%s/digits", map.p).p);
    x->chunk = (size_t) number(l, 48, MAX_LABEL - 1, path_of("%s/chunk", map.p).p);
    x->hex = flag(l, "base32", "hex", 0, path_of("%s/codec", map.p).p);
    return x->chunk > 0 && x->digits > 0 && x->digits + x->chunk <= MAX_LABEL && (x->array == NULL || (x->array->kind == RECORD_LIST &&
                                                                  x->array->count < 16)) ?
           0 : -1;
}

/* ---- paths of fields ---- */

static const struct type *type_at(const struct compiled *c, const struct where *w)
{
    return w->extension >= 0 ? c->extensions[w->extension].at[w->message].type :
           w->added >= 0 ? c->added[w->added].type : NULL;
}

/* message.extension.field, or message.field of an added message. */
static int find_where(struct loader *l, struct where *w, const char *path)
{
    const char *dot = strchr(path, '.'), *rest = dot != NULL ? dot + 1 : "";
    size_t len = strcspn(path, "."), extension_len = strcspn(rest, ".");
    int message = message_named(path, len);

    *w = (struct where) { .set = 1, .extension = -1, .added = -1, .x509 = -1, .field = "" };
    if (strncmp(path, "certificate.x509.", 17) == 0) {
        w->message = IN_CERTIFICATE;
        for (size_t i = 0; i < l->c->x509_count; i++) {
            if (strcmp(l->c->x509[i].name, path + 17) == 0) {
                w->x509 = (int) i;
                return 0;
            }
        }
        return refuse(l, "%.100s is no field of certificates", path);
    }
    for (size_t i = 0; message < 0 && i < l->c->added_count; i++) {
        if (strlen(l->c->added[i].name) == len && memcmp(l->c->added[i].name, path, len) == 0) {
            w->message = IN_ADDED;
            w->added = (int) i;
            w->field = rest;
        }
    }
    if (message >= 0) {
        w->message = (enum message) message;
        w->extension = extension_named(l, rest, extension_len);
        w->field = rest[extension_len] == '.' ? rest + extension_len + 1 : "";
        if (w->extension < 0 || !l->c->extensions[w->extension].at[message].placed) {
            return refuse(l, "%.100s is in no extension of its message", path);
        }
    } else if (w->added < 0) {
        return refuse(l, "%.100s is in no message", path);
    }
    if (w->field[0] == '\0' ? !l->whole && type_at(l->c, w) != NULL : member_at(type_at(l->c, w), w->field) == NULL) {
        return refuse(l, "%.100s is no field of its type", path);
    }
    return 0;
}

/* The same of a key, if there is one. */
static int load_where(struct loader *l, struct where *w, const char *path, int required)
{
    const struct record *r = document_find(l->d, "%s", path);

    if (r == NULL) {
        return required ? refuse(l, "%s is missing", path) : 0;
    }
    if (r->kind != RECORD_KEY) {
        return refuse(l, "line %zu: %s is a field that this peer cannot reach", r->line, path);
    }
    return find_where(l, w, r->values[0]);
}

/* ---- slots ---- */

static const char *const model_words[] = { "evidence", "results", "any", NULL };

static int read_models(struct loader *l, struct slot_rule *s)
{
    const struct path map = path_of("bind/schemes/%s/model", s->element.name);
    const struct record *r = document_find(l->d, "%s", map.p);

    if (r == NULL) {
        return refuse(l, "%s is missing", map.p);
    }
    if (r->kind == RECORD_KEY) {
        int model = word(l, model_words, 0, map.p);
        s->models[EVIDENCE] = model != 1;
        s->models[RESULTS] = model != 0;
        return l->failed ? -1 : 0;
    }
    for (size_t i = 0; i < l->d->record_count; i++) {
        const char *name = document_child(&l->d->records[i], map.p);
        if (name != NULL && strcmp(name, "field") != 0) {
            int model = word(l, model_words, 0, l->d->records[i].path);
            s->models[EVIDENCE] |= model != 1;
            s->models[RESULTS] |= model != 0;
        }
    }
    document_find(l->d, "%s/field", map.p);
    return l->failed ? -1 : 0;
}

/* Marks what scheme_fields() will ask for as known. */
static void know_meaning(struct loader *l, const char *name)
{
    const struct path map = path_of("bind/schemes/%s/", name);

    for (size_t i = 0; i < l->d->record_count; i++) {
        static const char *const known[] = { "model", "credential", "format", "formats", "verifier" };
        struct record *r = &l->d->records[i];
        const char *rest = strncmp(r->path, map.p, strlen(map.p)) == 0 ? r->path + strlen(map.p) : NULL;
        for (size_t k = 0; rest != NULL && k < sizeof(known) / sizeof(known[0]); k++) {
            size_t len = strlen(known[k]);
            r->used |= strncmp(rest, known[k], len) == 0 && (rest[len] == '\0' || rest[len] == '/');
        }
    }
    document_find(l->d, "bind/schemes");
    document_find(l->d, "bind/schemes/%s", name);
}

/* The list's elements tell which schemes there can be. */
static int read_element(struct loader *l, struct slot_rule *s)
{
    const struct member *m = member_at(type_at(l->c, &s->offer), s->offer.field);
    char name[512];

    if (m == NULL || m->dimension.kind != DIM_VECTOR || text_encode(m->type_name, name, sizeof(name)) != 0 ||
        !is_name(name)) {
        return refuse(l, "the offer of slot %.100s is no list", s->name);
    }
    s->element.name = m->type_name;
    s->element.type = m->type;
    know_meaning(l, s->element.name);
    return read_models(l, s);
}

/* How a slot is negotiated that has no list: not at all, or by a flag. */
static int read_way(struct loader *l, struct slot_rule *s, const char *map)
{
    static const char *const words[] = { "evidence/alone", "evidence/x509", "results/alone", "results/x509", NULL };
    const struct path always = path_of("%s/always", map), flagged = path_of("%s/flag", map);
    const char *value = document_value(l->d, "%s/value", map);
    int way;

    s->credentials[ALONE] = s->credentials[BESIDE_X509] = 1;
    s->always = document_find(l->d, "%s", always.p) != NULL;
    s->flagged = document_find(l->d, "%s", flagged.p) != NULL;
    if (!s->always && !s->flagged) {
        return value != NULL ? refuse(l, "only a flag has a value, and slot %.100s has none", s->name) : 0;
    }
    way = word(l, words, -1, s->always ? always.p : flagged.p);
    if (way < 0 || (s->always && (s->flagged || way % 2 == 0))) {
        return refuse(l, "slot %.100s cannot be negotiated", s->name);
    }
    s->models[way < 2 ? EVIDENCE : RESULTS] = 1;
    s->credentials[way % 2 == 0 ? BESIDE_X509 : ALONE] = 0;
    if (value != NULL && (strncmp(value, "0x", 2) != 0 || octets_from_hex(&s->flag, value + 2) != 0 ||
                          s->flag.len == 0 || s->flag.len > 64)) {
        return refuse(l, "the flag of slot %.100s is no octets", s->name);
    }
    return 0;
}

/* N, or LEAST..MOST. */
static int read_bounds(struct loader *l, struct nonce_field *f, const char *path)
{
    const char *text = document_value(l->d, "%s", path), *dots = text != NULL ? strstr(text, "..") : NULL;
    char least[16];
    uint64_t floor, ceiling;

    if (text == NULL || snprintf(least, sizeof(least), "%.*s", dots != NULL ? (int) (dots - text) : 15, text) < 1 ||
        !text_number(least, &floor) || !text_number(dots != NULL ? dots + 2 : text, &ceiling) || floor > ceiling ||
        ceiling == 0 || ceiling > MAX_NONCE) {
        return refuse(l, "%s is no length of a nonce", path);
    }
    f->floor = (size_t) floor;
    f->ceiling = (size_t) ceiling;
    return 0;
}

/* Where a nonce is in a field that an RFC defines, and what of that mbedTLS can send. */
static int check_field(struct loader *l, const struct slot_rule *s, const char *in)
{
    const struct nonce_field *f = &s->field;
    const size_t longest = f->prefix.len + f->suffix.len +
                           (f->codec == SPELT_HEX ? 2 * f->ceiling : (f->ceiling + 2) / 3 * 4);

    if ((s->nonce.message == IN_CLIENT_HELLO) != (s->attester == SERVER)) {
        return refuse(l, "the relying party of slot %.100s does not send %.100s", s->name, in);
    }
    if (f->place == IN_RANDOM && (f->offset + f->ceiling > RANDOM_SIZE || f->floor != f->ceiling ||
                                  f->codec != SPELT_RAW)) {
        return refuse(l, "the nonce of slot %.100s does not fit random", s->name);
    }
    if (f->codec == SPELT_RAW && (f->place == IN_SERVER_NAME || f->place == IN_AUTHORITIES)) {
        return refuse(l, "%.100s is text", in);
    }
    if (f->codec == SPELT_RAW && f->place == IN_ALPN) {
        return cannot(l, "a protocol of ALPN is a text in mbedTLS, and octets as they are may be none: the nonce of slot "
                      "%.100s in client_hello", s->name);
    }
    if ((f->place == IN_SERVER_NAME || f->place == IN_ALPN) && longest > MBEDTLS_SSL_MAX_HOST_NAME_LEN) {
        return cannot(l, "mbedTLS sends at most %d octets in %.100s", MBEDTLS_SSL_MAX_HOST_NAME_LEN, in);
    }
    return 0;
}

static int load_nonce_field(struct loader *l, struct slot_rule *s, const char *map)
{
    static const char *const fields[] = { "client_hello.server_name", "client_hello.application_layer_protocol_negotiation",
        "client_hello.certificate_authorities", "certificate_request.certificate_authorities", "client_hello.random", NULL };
    static const enum nonce_place places[] = { IN_SERVER_NAME, IN_ALPN, IN_AUTHORITIES, IN_AUTHORITIES, IN_RANDOM };
    static const char *const codecs[] = { "raw", "hex", "base64", "base64url", NULL };
    const struct path path = path_of("%s/nonce", map);
    const int in = word(l, fields, -1, path_of("%s/in", path.p).p);
    const char *as = document_value(l->d, "%s/as", path.p);
    struct nonce_field *f = &s->field;

    if (l->failed || in < 0) {
        return refuse(l, "%.200s does not say in which field", path.p);
    }
    f->place = places[in];
    s->nonce = (struct where) { .set = 1, .message = in == 3 ? IN_CERTIFICATE_REQUEST : IN_CLIENT_HELLO, .extension = -2,
        .added = -1, .x509 = -1, .field = "" };
    f->codec = (enum nonce_codec) word(l, codecs, f->place == IN_RANDOM ? SPELT_RAW : -1, path_of("%s/codec", path.p).p);
    f->offset = (size_t) number(l, 0, RANDOM_SIZE, path_of("%s/offset", path.p).p);
    f->selected = flag(l, "never", "if_no_other", 0, path_of("%s/selected", path.p).p);
    if (l->failed || (int) f->codec < 0 || read_bounds(l, f, path_of("%s/octets", path.p).p) != 0) {
        return refuse(l, "%.200s cannot be read", path.p);
    }
    if (f->place != IN_RANDOM && nonce_field_template(f, as != NULL ? as : "{nonce}") != 0) {
        return refuse(l, "%.200s/as is no template", path.p);
    }
    l->c->authorities |= f->place != IN_AUTHORITIES ? 0 : in == 3 ? MBEDTLS_SSL_CUSTOM_EXT_CERTIFICATE_REQUEST :
                         MBEDTLS_SSL_CUSTOM_EXT_CLIENT_HELLO;
    l->c->alpn |= f->place == IN_ALPN;
    return check_field(l, s, fields[in]);
}

/* A nonce in a field that an RFC defines is a map. */
static int load_nonce_of(struct loader *l, struct slot_rule *s, const char *map)
{
    const struct record *r = document_find(l->d, "%s/nonce", map);

    return r != NULL && r->kind == RECORD_MAP ? load_nonce_field(l, s, map) :
           load_where(l, &s->nonce, path_of("%s/nonce", map).p, 0);
}

static int add_slot(struct loader *l, const struct record *r, const char *name)
{
    static const char *const roles[] = { "client", "server", NULL };
    static const char *const phases[] = { "any", "handshake", "post_handshake", NULL };
    struct slot_rule *s;
    const struct path map = path_of("bind/slots/%s", name);

    if (l->c->slot_count == MAX_SLOTS || r->kind != RECORD_MAP || !is_name(name)) {
        return refuse(l, "line %zu: slot %.100s cannot be used", r->line, name);
    }
    s = &l->c->slots[l->c->slot_count++];
    s->name = name;
    s->attester = (enum role) word(l, roles, -1, path_of("%s/attester", map.p).p);
    if (l->failed || (int) s->attester < 0) {
        return refuse(l, "slot %.100s has no attester", name);
    }
    if (read_way(l, s, map.p) != 0) {
        return -1;
    }
    l->whole = s->flagged && s->flag.len == 0;
    if (load_where(l, &s->offer, path_of("%s/offer", map.p).p, !s->always) != 0 ||
        load_where(l, &s->choice, path_of("%s/choice", map.p).p, !s->always) != 0) {
        return -1;
    }
    l->whole = 0;
    if (load_nonce_of(l, s, map.p) != 0 ||
        load_where(l, &s->payload, path_of("%s/carried_in", map.p).p, 0) != 0) {
        return -1;
    }
    if (s->always) {
        return 0;
    }
    if (s->offer.message != IN_CLIENT_HELLO || s->offer.extension < 0) {
        return refuse(l, "the offer of slot %.100s is not in client_hello", name);
    }
    if (word(l, phases, 0, path_of("%s/phase", map.p).p) == 2) {
        return cannot(l, "slot %.100s belongs after the handshake, where mbedTLS has no CertificateRequest", name);
    }
    return s->flagged ? 0 : read_element(l, s);
}

/* Evidence before results, the server before the client, then by name. */
static int slot_before(const struct slot_rule *a, const struct slot_rule *b)
{
    if (a->models[EVIDENCE] != b->models[EVIDENCE]) {
        return a->models[EVIDENCE] > b->models[EVIDENCE];
    }
    return a->attester != b->attester ? a->attester > b->attester : strcmp(a->name, b->name) < 0;
}

static void sort_slots(struct compiled *c)
{
    for (size_t i = 1; i < c->slot_count; i++) {
        for (size_t k = i; k > 0 && slot_before(&c->slots[k], &c->slots[k - 1]); k--) {
            struct slot_rule s = c->slots[k];
            c->slots[k] = c->slots[k - 1];
            c->slots[k - 1] = s;
        }
    }
}

/* ---- credentials ---- */

static int load_keys(struct loader *l, struct credential_rule *k, const char *map)
{
    const struct record *r = document_find(l->d, "%s/keys", map);

    for (size_t i = 0; r != NULL && i < r->count; i++) {
        uint16_t group = group_by_name(r->values[i], strlen(r->values[i]));
        if (group == 0 || k->key_count == MAX_KEYS) {
            return refuse(l, "line %zu: keys on %.100s are not known", r->line, r->values[i]);
        }
        k->keys[k->key_count++] = group;
    }
    return 0;
}

static int load_credential(struct loader *l, enum credential credential, const char *name)
{
    struct credential_rule *k = &l->c->credentials[credential];
    const struct path map = path_of("bind/credentials/%s", name);
    const char *carried = document_value(l->d, "%s/carried_in", map.p);
    const char *type = document_value(l->d, "%s/certificate_type", map.p);
    const struct code_point *p = type != NULL ? point(l, CERTIFICATE_TYPES, type) : NULL;

    if (document_find(l->d, "%s", map.p) == NULL) {
        return 0;
    }
    k->present = 1;
    if (carried != NULL && strcmp(carried, "certificate.cert_data") == 0) {
        k->payload = (struct where) { .set = 1, .message = IN_CERTIFICATE, .extension = -1, .added = -1, .x509 = -1,
            .field = "" };
    } else if (load_where(l, &k->payload, path_of("%s/carried_in", map.p).p, 1) != 0) {
        return -1;
    }
    if (type != NULL && p == NULL && strcmp(type, "X509") != 0) {
        return refuse(l, "there is no certificate type %.100s", type);
    }
    k->certificate_type = p != NULL ? (uint8_t) p->number : 0;
    k->one_entry = flag(l, "any", "1", 0, path_of("%s/entries", map.p).p);
    k->rfc7250 = flag(l, "implied", "rfc7250", 0, path_of("%s/negotiated_by", map.p).p);
    k->key_from_appraisal = flag(l, "x509", "appraisal", 0, path_of("%s/key_from", map.p).p);
    k->pkix = flag(l, "none", "required", 1, path_of("%s/pkix", map.p).p);
    k->empty_context = flag(l, "echo", "empty", 0, path_of("%s/request_context", map.p).p);
    if (credential == ALONE && (k->payload.extension >= 0 || k->payload.added >= 0 || !k->key_from_appraisal)) {
        return cannot(l, "a credential alone is cert_data with the key of the appraisal, or this peer cannot show it");
    }
    if (credential == BESIDE_X509 && ((k->payload.extension < 0 && k->payload.added < 0 && k->payload.x509 < 0) ||
                                      k->key_from_appraisal)) {
        return cannot(l, "a credential beside X.509 is in an extension or a message, or this peer cannot show it");
    }
    return l->failed ? -1 : load_keys(l, k, map.p);
}

/* ---- negotiation ---- */

static void load_negotiation(struct loader *l)
{
    static const char *const scopes[] = { "all", "model", "slot", NULL };
    static const char *const thens[] = { "abort", "omit", "null_choice", NULL };
    static const char *const verdicts[] = { "certificate_verify", "finished", "application_data", "later", NULL };
    static const char *const matches[] = { "equal", "with_parameters", "ignore", NULL };
    static const char *const maps[] = { "offer", "choose", "no_scheme", "answer", "match", "verdict", "offer/first",
                                        "no_scheme/null_choice" };
    struct compiled *c = l->c;

    document_find(l->d, "negotiation");
    for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
        document_find(l->d, "negotiation/%s", maps[i]);
    }
    c->empty_list = flag(l, "omit", "empty_list", 0, "negotiation/offer/when_empty");
    c->at_least = number(l, 0, 1000, "negotiation/offer/at_least");
    c->client_needs_certificate = flag(l, "", "certificate", 0, "negotiation/offer/client_slots_need");
    c->server_order = flag(l, "client", "server", 0, "negotiation/choose/order");
    c->one_per_attester = flag(l, "any", "1", 0, "negotiation/choose/per_attester");
    c->scope = (enum scope) word(l, scopes, SCOPE_ALL, "negotiation/no_scheme/scope");
    c->no_scheme = (enum no_scheme) word(l, thens, NO_SCHEME_ABORT, "negotiation/no_scheme/then");
    c->unwilling_aborts = flag(l, "omit", "abort", 0, "negotiation/unwilling");
    c->none_aborts = flag(l, "continue", "abort", 0, "negotiation/answer/none");
    c->client_choice_needs_request = flag(l, "", "certificate_request", 0, "negotiation/answer/client_choice_needs");
    c->draft.match = matches[word(l, matches, 0, "negotiation/match/format")];
    word(l, verdicts, 1, "negotiation/verdict/before"); /* we judge as soon as we can */
    for (size_t i = 0; i < l->d->record_count; i++) {
        l->d->records[i].used |= document_child(&l->d->records[i], "negotiation/offer/first") != NULL ||
                                 document_child(&l->d->records[i], "negotiation/no_scheme/null_choice") != NULL;
    }
}

static int load_nonce(struct loader *l)
{
    const char *octets = document_value(l->d, "nonce/default");

    document_find(l->d, "nonce");
    l->c->nonce_max = number(l, 0, 65535, "nonce/receive_at_most");
    l->c->nonce_size = number(l, 0, 65535, "nonce/size");
    if (octets != NULL && (strncmp(octets, "0x", 2) != 0 || octets_from_hex(&l->c->nonce_default, octets + 2) != 0)) {
        return refuse(l, "nonce/default is no octets");
    }
    return 0;
}

/* ---- binders ---- */

static int add_claim(struct loader *l, const struct record *r, const char *name)
{
    const struct record *value = document_find(l->d, "binder/claims/%s/value", name);
    int implied = flag(l, "claim", "challenge", 0, path_of("binder/claims/%s/where", name).p);

    if (r->kind != RECORD_MAP || !is_name(name) || value == NULL || value->kind != RECORD_EXPRESSION ||
        l->c->claim_count == sizeof(l->c->claims) / sizeof(l->c->claims[0])) {
        return -1;
    }
    if (!implied) {
        l->c->claims[l->c->claim_count++] = (struct claim_rule) { name, value->expression };
    }
    return 0;
}

static int know(struct loader *l, const struct record *r, const char *name)
{
    (void) l;
    (void) r;
    (void) name;
    return 0;
}

static int load_challenge(struct loader *l, enum model model, enum credential credential, const char *name)
{
    const struct record *r = document_find(l->d, "binder/challenge/%s", name);

    if (r == NULL || (r->kind == RECORD_KEY && strcmp(r->values[0], "none") == 0)) {
        return 0;
    }
    if (r->kind != RECORD_EXPRESSION) {
        return refuse(l, "line %zu: a challenge is an expression", r->line);
    }
    l->c->challenge[model][credential] = r->expression;
    return 0;
}

static int load_binder(struct loader *l)
{
    static const char *const transcripts[] = { "rfc8446", "ch1_sh", "as_sent", "ch2_sh", NULL };
    static const char *const fits[] = { "pad_right", "pad_left", "sha512", "exact", NULL };
    static const char *const maps[] = { "", "/define", "/challenge", "/claims", "/hand_over", "/exporters",
                                        "/post_handshake", "/post_handshake/define", "/hand_over/values" };

    for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
        document_find(l->d, "binder%s", maps[i]);
    }
    l->c->transcript = (enum transcript) word(l, transcripts, 0, "binder/transcript");
    l->c->draft.fit = fits[word(l, fits, 0, "binder/hand_over/fit")];
    if (load_challenge(l, EVIDENCE, ALONE, "evidence%2Falone") != 0 ||
        load_challenge(l, EVIDENCE, BESIDE_X509, "evidence%2Fx509") != 0 ||
        load_challenge(l, RESULTS, ALONE, "results%2Falone") != 0 ||
        load_challenge(l, RESULTS, BESIDE_X509, "results%2Fx509") != 0) {
        return -1;
    }
    each_in(l, "binder/define", know);
    each_in(l, "binder/exporters", know);          /* applications' */
    each_in(l, "binder/post_handshake/define", know);
    return each_in(l, "binder/claims", add_claim);
}

/* ---- alerts ---- */

static int alert_number(const struct loader *l, const char *name)
{
    const struct code_point *p = point(l, ALERTS, name);

    return p != NULL ? (int) p->number : alert_by_name(name);
}

static int add_alert(struct loader *l, const struct record *r, const char *name)
{
    static const char no_scheme[] = "no_scheme";
    char failure[256];
    enum failure f;
    int alert;

    if (r->kind != RECORD_KEY) {
        return -1;
    }
    alert = strcmp(r->values[0], "none") == 0 ? ALERT_NONE : strcmp(r->values[0], "close") == 0 ? ALERT_CLOSE :
            alert_number(l, r->values[0]);
    if (alert == 0) {
        return refuse(l, "line %zu: there is no alert %.100s", r->line, r->values[0]);
    }
    if (strcmp(name, no_scheme) == 0) { /* both, where they are not named by themselves */
        l->c->alerts[FAIL_NO_SCHEME_EVIDENCE] = (int16_t) alert;
        l->c->alerts[FAIL_NO_SCHEME_RESULTS] = (int16_t) alert;
        return 0;
    }
    snprintf(failure, sizeof(failure), "attestation.%s", name);
    f = failure_by_name(failure, strlen(failure));
    if (f == NO_FAILURE) {
        return refuse(l, "line %zu: there is no failure %.100s", r->line, name);
    }
    l->c->alerts[f] = (int16_t) alert;
    return 0;
}

/* ---- what the library has to obey ---- */

static void load_resumption(struct loader *l)
{
    static const char *const accepts[] = { "policy", "unless_due", "within_validity", "never", NULL };
    static const char *const validities[] = { "allow", "within_validity", "never", NULL };

    document_find(l->d, "after");
    document_find(l->d, "after/resumption");
    l->c->never_resume = word(l, accepts, 0, "after/resumption/accept") == 3;
    l->c->refusal_aborts = flag(l, "full_handshake", "abort", 0, "after/resumption/refused");
    l->c->tickets = (enum validity) word(l, validities, 0, "after/resumption/tickets");
    word(l, validities, 0, "after/resumption/early_data"); /* never offered or accepted */
    l->c->discard_tickets = flag(l, "keep", "discard", 0, "after/resumption/received_tickets");
    flag(l, "allow", "forbid", 0, "after/resumption/external_psk_only"); /* there are none */
    document_find(l->d, "after/post_handshake"); /* mbedTLS has no authentication after the handshake */
    flag(l, "false", "true", 0, "after/post_handshake/client_authentication");
    flag(l, "in_request", "carried_over", 0, "after/post_handshake/choice");
}

static int is_quirk_list(struct loader *l, const char *path, const char *const *obeyed)
{
    const struct record *r = document_find(l->d, "%s", path);

    for (size_t i = 0; r != NULL && i < r->count; i++) {
        int known = 0;
        for (size_t k = 0; obeyed[k] != NULL; k++) {
            known |= strcmp(obeyed[k], r->values[i]) == 0;
        }
        if (!known) {
            return cannot(l, "line %zu: mbedTLS cannot obey %s %.100s", r->line, path, r->values[i]);
        }
    }
    return r != NULL;
}

static void load_quirks(struct loader *l)
{
    static const char *const never_sent[] = { "new_session_ticket", "key_update", NULL };
    static const char *const schemes[] = { "ecdsa_secp256r1_sha256", NULL };
    static const char *const obeyed[] = { "never_fragment", "accept_new_random", "accept_reordered_hello",
                                          /* what is read, where more would be welcome: */
                                          "retain_handshake_read_key", "accept_plaintext_alerts" };
    struct draft *d = &l->c->draft;

    document_find(l->d, "quirks");
    document_find(l->d, "quirks/signature_encoding");
    document_find(l->d, "quirks/signature_schemes");
    l->c->raw_signature[CLIENT] = flag(l, "der", "raw", 0, "quirks/signature_encoding/client");
    l->c->raw_signature[SERVER] = flag(l, "der", "raw", 0, "quirks/signature_encoding/server");
    is_quirk_list(l, "quirks/signature_schemes/client", schemes);
    is_quirk_list(l, "quirks/signature_schemes/server", schemes);
    document_find(l->d, "quirks/encrypted_extensions_only"); /* we send ALPN and what the profile has */
    if (is_quirk_list(l, "quirks/never_send", never_sent) > 0) {
        l->c->tickets = VALIDITY_NEVER;
    }
    for (size_t i = 0; i < sizeof(obeyed) / sizeof(obeyed[0]); i++) {
        flag(l, "false", "true", 0, path_of("quirks/%s", obeyed[i]).p);
    }
    d->no_compatibility = flag(l, "false", "true", 0, "quirks/no_ccs");
    if (flag(l, "false", "true", d->no_compatibility, "quirks/empty_session_id") != d->no_compatibility) {
        cannot(l, "mbedTLS has quirks/no_ccs and quirks/empty_session_id together only");
    }
    if (number(l, 1, 1000, "quirks/messages_per_record") != 1) {
        cannot(l, "mbedTLS has one message in a record: quirks/messages_per_record");
    }
    if (number(l, MBEDTLS_SSL_CID_TLS1_3_PADDING_GRANULARITY, 1 << 14, "quirks/pad_to") !=
        MBEDTLS_SSL_CID_TLS1_3_PADDING_GRANULARITY) {
        cannot(l, "mbedTLS pads to a multiple of %d: quirks/pad_to", MBEDTLS_SSL_CID_TLS1_3_PADDING_GRANULARITY);
    }
}

/* What says nothing to an interpreter. */
static void know_remarks(struct loader *l)
{
    static const char *const maps[] = { "draft", "accepted_flaws" };

    for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
        if (document_find(l->d, "%s", maps[i]) != NULL) {
            each_in(l, maps[i], know);
        }
    }
}

static void check_all_known(struct loader *l)
{
    for (size_t i = 0; i < l->d->record_count && !l->failed; i++) {
        if (!l->d->records[i].used) {
            refuse(l, "line %zu: %.200s is not known to this peer", l->d->records[i].line, l->d->records[i].path);
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
    size_t order[MAX_PLACED];
    int cookie = 0;

    for (size_t i = 0; i < c->extension_count; i++) {
        size_t at = i;
        for (; at > 0 && rank(c, order[at - 1]) > rank(c, i); at--) {
            order[at] = order[at - 1];
        }
        order[at] = i;
    }
    for (size_t i = 0; i < c->extension_count; i++) {
        const struct placed_extension *x = &c->extensions[order[i]];
        /* What was offered is for us to check. */
        c->types[i] = (mbedtls_ssl_custom_ext) { (uint16_t) x->number, places_of(x), 0x7f };
    }
    c->draft.extension_count = c->extension_count;
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

static void load(struct loader *l)
{
    struct compiled *c = l->c;

    c->draft.id = document_value(l->d, "profile");
    if (c->draft.id == NULL) {
        refuse(l, "profile is missing");
        return;
    }
    know_remarks(l);
    load_points(l);
    document_find(l->d, "messages");
    document_find(l->d, "x509");
    document_find(l->d, "bind");
    document_find(l->d, "bind/slots");
    document_find(l->d, "bind/credentials");
    document_find(l->d, "alerts");
    if (l->failed || load_extensions(l) != 0 || each_in(l, "messages", add_message) != 0 ||
        each_in(l, "x509", add_x509) != 0 ||
        each_in(l, "bind/slots", add_slot) != 0 || load_credential(l, ALONE, "alone") != 0 ||
        load_credential(l, BESIDE_X509, "x509") != 0 || load_nonce(l) != 0 || load_binder(l) != 0 ||
        each_in(l, "alerts", add_alert) != 0) {
        return;
    }
    load_negotiation(l);
    load_resumption(l);
    load_quirks(l);
    sort_slots(c);
    fill_types(c);
    if (c->draft.extension_count > MAX_EXTENSIONS) {
        refuse(l, "there are more than %d extensions", MAX_EXTENSIONS);
        return;
    }
    fill_messages(c);
    c->draft.alerts = c->alerts;
    c->draft.code_points = c->points;
    c->draft.certificate_type = c->credentials[ALONE].certificate_type != 0 || !c->credentials[ALONE].present ?
                                c->credentials[ALONE].certificate_type : UNNAMED_CERTIFICATE_TYPE;
    if (c->slot_count == 0) {
        refuse(l, "no slot negotiates anything, which this peer does not do");
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

/* Whether a slot or an extension is of exported authenticators. */
static int after_the_handshake(const struct document *d)
{
    static const char tail[] = "/phase";

    for (size_t i = 0; i < d->record_count; i++) {
        const struct record *r = &d->records[i];
        size_t len = strlen(r->path);
        if (r->kind == RECORD_KEY && len >= sizeof(tail) && strcmp(r->path + len - sizeof(tail) + 1, tail) == 0 &&
            strcmp(r->values[0], "authenticator") == 0) {
            return 1;
        }
    }
    return 0;
}

int compiled_read(struct compiled *c, const unsigned char *p, size_t len, char *reason, size_t size)
{
    struct loader l = { .c = c, .d = &c->document };

    memset(c, 0, sizeof(*c));
    l.failed = document_read(&c->document, p, len, l.reason, sizeof(l.reason)) != 0;
    if (!l.failed && after_the_handshake(&c->document)) {
        cannot(&l, "attestation in exported authenticators");
    } else if (!l.failed) {
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
