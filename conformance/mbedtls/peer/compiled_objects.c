/* The objects of a compiled profile. */
#include "loader.h"

#include <stdio.h>
#include <string.h>

/* The octets of a name, which is encoded in the file. */
static int decode_name(const char *encoded, char *out, size_t size)
{
    size_t len = 0;

    for (; *encoded != '\0' && len + 1 < size; encoded++) {
        unsigned c = (unsigned char) *encoded;
        if (c == '%' && encoded[1] != '\0') {
            sscanf(encoded + 1, "%2X", &c);
            encoded += 2;
        }
        out[len++] = (char) c;
    }
    out[len] = '\0';
    return *encoded == '\0' ? 0 : -1;
}

int load_object_named(const struct loader *l, const char *name)
{
    for (size_t i = 0; name != NULL && i < l->c->object_count; i++) {
        if (strcmp(l->c->objects[i].name, name) == 0) {
            return (int) i;
        }
    }
    return -1;
}

/* ---- members ---- */

static int is_constant(enum field_type type, const char *value)
{
    uint64_t n;

    return type == FIELD_TEXT ||
           (type == FIELD_NUMBER && text_number(value, &n) && n < UINT64_C(1) << 53) ||
           (type == FIELD_BOOLEAN && (strcmp(value, "true") == 0 || strcmp(value, "false") == 0));
}

/* Constants by their keys in a map. */
static int load_constants(struct loader *l, struct object_field *f, const char *map, const char *const *keys)
{
    for (int i = 0; keys[i] != NULL; i++) {
        f->is[i] = document_value(l->d, "%s/%s", map, keys[i]);
        if (f->is[i] != NULL && !is_constant(f->type, f->is[i])) {
            return load_refuse(l, "%s/%s is no constant of its type", map, keys[i]);
        }
    }
    return 0;
}

static int is_defined(const struct loader *l, const char *name)
{
    char encoded[1024];
    const struct record *r = text_encode(name, encoded, sizeof(encoded)) == 0 ?
                             document_find(l->d, "binder/define/%s", encoded) : NULL;

    return r != NULL && r->kind == RECORD_EXPRESSION;
}

/* What gives a member its value, which is one thing at most. */
static int load_meaning(struct loader *l, struct object_field *f, const char *path)
{
    static const char *const attesters[] = { "none", "client", "server", "both", NULL };
    static const char *const verdict[] = { "accepted", "refused", NULL };
    static const char *const is[] = { "is", NULL };
    const int reason = load_flag(l, "false", "true", 0, load_path("%s/reason", path).p);
    const struct path of_attesters = load_path("%s/attesters", path), of_verdict = load_path("%s/verdict", path);
    int meanings = reason;

    f->defined = document_value(l->d, "%s/value", path);
    f->means = reason ? MEANS_REASON : f->defined != NULL ? MEANS_DEFINED : MEANS_NOTHING;
    meanings += f->defined != NULL;
    if (document_find(l->d, "%s/is", path) != NULL) {
        f->means = MEANS_CONSTANT;
        meanings++;
        load_constants(l, f, path, is);
    }
    if (document_find(l->d, "%s", of_attesters.p) != NULL) {
        f->means = MEANS_ATTESTERS;
        meanings++;
        load_constants(l, f, of_attesters.p, attesters);
    }
    if (document_find(l->d, "%s", of_verdict.p) != NULL) {
        f->means = MEANS_VERDICT;
        meanings++;
        load_constants(l, f, of_verdict.p, verdict);
    }
    if (meanings > 1 || (f->type == FIELD_OBJECT && meanings > 0) || (reason && f->type != FIELD_TEXT) ||
        (f->defined != NULL && (f->type < FIELD_OCTETS || !is_defined(l, f->defined)))) {
        return load_refuse(l, "nothing says what %s is, or too much does", path);
    }
    f->optional |= reason;
    return l->failed ? -1 : 0;
}

static int add_field(struct loader *l, const struct record *r, const char *name)
{
    static const char *const types[] = { "number", "text", "boolean", "octets", "base64", "base64url", "hex", "object",
                                         NULL };
    struct object_rule *o = &l->c->objects[l->object];
    struct object_field *f = &o->fields[o->field_count];
    const char *of = document_value(l->d, "%s/of", r->path);
    const int type = load_word(l, types, -1, load_path("%s/type", r->path).p);

    if (o->field_count == MAX_OBJECT_FIELDS || decode_name(name, f->name, sizeof(f->name)) != 0) {
        return load_cannot(l, "line %zu: more than %d members, or a name of more than %d octets", r->line,
                           MAX_OBJECT_FIELDS, MAX_FIELD_NAME - 1);
    }
    if (r->kind != RECORD_MAP || type < 0) {
        return load_refuse(l, "line %zu: %s has no type", r->line, r->path);
    }
    o->field_count++;
    f->type = (enum field_type) type;
    f->numbered = document_find(l->d, "%s/key", r->path) != NULL && o->cbor;
    f->key = load_number(l, 0, UINT32_MAX, load_path("%s/key", r->path).p);
    f->optional = load_flag(l, "false", "true", 0, load_path("%s/optional", r->path).p);
    f->any = load_flag(l, "compare", "any", 0, load_path("%s/received", r->path).p);
    f->floor = 1;
    f->ceiling = MAX_OBJECT_OCTETS;
    if (document_find(l->d, "%s/octets", r->path) != NULL &&
        load_bounds(l, &f->floor, &f->ceiling, MAX_OBJECT_OCTETS, load_path("%s/octets", r->path).p) != 0) {
        return -1;
    }
    f->object = f->type == FIELD_OBJECT ? load_object_named(l, of) : -1;
    if ((f->type == FIELD_OBJECT && f->object < 0) || (f->type != FIELD_OBJECT && of != NULL)) {
        return load_refuse(l, "line %zu: %s is an object that is not there", r->line, r->path);
    }
    return load_meaning(l, f, r->path);
}

/* ---- objects ---- */

static int add_object(struct loader *l, const struct record *r, const char *name)
{
    static const char *const encodings[] = { "json", "cbor", NULL };
    const int encoding = load_word(l, encodings, -1, load_path("%s/encoding", r->path).p);

    if (l->c->object_count == MAX_OBJECTS) {
        return load_cannot(l, "line %zu: more than %d objects", r->line, MAX_OBJECTS);
    }
    if (r->kind != RECORD_MAP || !load_is_name(name) || encoding < 0) {
        return load_refuse(l, "line %zu: %s has no encoding", r->line, r->path);
    }
    l->c->objects[l->c->object_count++] = (struct object_rule) {
        .name = name, .cbor = encoding == 1,
        .ignores = load_flag(l, "refuse", "ignore", 0, load_path("%s/unknown", r->path).p)
    };
    return 0;
}

/* How deep objects are nested, and what they tell of in any depth. */
static int look_inside(struct compiled *c)
{
    int depth[MAX_OBJECTS] = { 0 };

    for (int round = 0; round <= MAX_OBJECT_DEPTH; round++) {
        for (size_t i = 0; i < c->object_count; i++) {
            struct object_rule *o = &c->objects[i];
            for (size_t k = 0; k < o->field_count; k++) {
                const struct object_field *f = &o->fields[k];
                const struct object_rule *of = f->type == FIELD_OBJECT ? &c->objects[f->object] : NULL;
                o->reports |= f->means == MEANS_VERDICT || f->means == MEANS_REASON || (of != NULL && of->reports);
                o->tells |= o->reports || f->means == MEANS_ATTESTERS || (of != NULL && of->tells);
                if (of != NULL && depth[f->object] >= depth[i]) {
                    depth[i] = depth[f->object] + 1;
                }
                if (depth[i] > MAX_OBJECT_DEPTH) {
                    return -1;
                }
            }
        }
    }
    return 0;
}

int load_objects(struct loader *l)
{
    document_find(l->d, "objects");
    if (load_each(l, "objects", add_object) != 0) {
        return -1;
    }
    for (l->object = 0; l->object < (int) l->c->object_count; l->object++) {
        const struct path map = load_path("objects/%s/fields", l->c->objects[l->object].name);
        document_find(l->d, "%s", map.p);
        if (load_each(l, map.p, add_field) != 0) {
            return -1;
        }
    }
    return look_inside(l->c) == 0 ? 0 : load_refuse(l, "an object contains itself, or is nested more than %d deep",
                                                    MAX_OBJECT_DEPTH);
}

/* ---- members of slots ---- */

struct object_field *load_member(struct loader *l, int object, const char *path, enum field_meaning means)
{
    const size_t len = strcspn(path, ".");
    struct object_rule *o = &l->c->objects[object];

    for (size_t i = 0; i < o->field_count; i++) {
        struct object_field *f = &o->fields[i];
        if (strlen(f->name) != len || memcmp(f->name, path, len) != 0) {
            continue;
        }
        if (path[len] == '.') {
            return f->type == FIELD_OBJECT ? load_member(l, f->object, path + len + 1, means) : NULL;
        }
        if (f->means != means && (f->means != MEANS_NOTHING || f->type < FIELD_OCTETS || f->type == FIELD_OBJECT)) {
            return NULL;
        }
        f->means = means;
        return f;
    }
    return NULL;
}

int load_members_used(struct loader *l)
{
    for (size_t i = 0; i < l->c->object_count; i++) {
        const struct object_rule *o = &l->c->objects[i];
        for (size_t k = 0; k < o->field_count; k++) {
            if (o->fields[k].means == MEANS_NOTHING && o->fields[k].type != FIELD_OBJECT) {
                return load_refuse(l, "nothing says what objects/%s/fields/%s is", o->name, o->fields[k].name);
            }
        }
    }
    return 0;
}
