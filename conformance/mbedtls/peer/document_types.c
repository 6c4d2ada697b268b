/* Compiled profiles: expressions and types. */
#include <stdlib.h>
#include <string.h>

#include "document_lines.h"

/* ---- expressions ---- */

static int read_role(struct lines *l, const char *field, enum expression_role *role)
{
    static const char *const names[] = {
        [NO_ROLE] = "-", [THE_ROLE] = "role", [ROLE_CLIENT] = "client", [ROLE_SERVER] = "server", [ROLE_PHA] = "pha"
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(field, names[i]) == 0) {
            *role = (enum expression_role) i;
            return 0;
        }
    }
    return lines_fail(l, "%.60s is no role", field);
}

static int read_named(struct lines *l, struct expression *e, enum expression_kind kind)
{
    const char *name = l->fields[1];

    e->kind = kind;
    if (kind == EXPR_RANGE && *name == '<') {
        e->excluded = 1;
        name++;
    }
    e->name = *name != '\0' ? lines_text(l, name) : NULL;
    if (e->name == NULL) {
        return lines_fail(l, "it has no name");
    }
    return read_role(l, l->fields[2], &e->role);
}

static int read_octets(struct lines *l, struct expression *e)
{
    const char *field = l->fields[1];

    e->kind = EXPR_OCTETS;
    if (strncmp(field, "0x", 2) != 0) {
        return lines_fail(l, "octets begin with 0x");
    }
    e->octets.len = strlen(field + 2) / 2;
    e->octets.p = lines_alloc(l, e->octets.len);
    if (e->octets.p == NULL) {
        return -1;
    }
    return octets_decode_hex(field + 2, e->octets.p, e->octets.len) == 0 ? 0 :
           lines_fail(l, "octets are pairs of digits 0-9 and a-f");
}

static int read_arguments(struct lines *l, struct expression *e, size_t depth)
{
    for (size_t i = 0; i < e->count; i++) {
        if (!lines_next(l)) {
            return lines_fail(l, "the expression ends before its argument %zu", i + 1);
        }
        if (read_expression(l, &e->arguments[i], depth + 1) != 0) {
            return -1;
        }
    }
    return 0;
}

static int read_call(struct lines *l, struct expression *e, size_t depth)
{
    uint64_t count;

    e->kind = EXPR_CALL;
    e->name = lines_text(l, l->fields[1]);
    if (e->name == NULL || lines_number(l, l->fields[2], &count) != 0) {
        return -1;
    }
    if (count > 64) {
        return lines_fail(l, "it has more than 64 arguments");
    }
    /* A map has a key and a value for each. */
    e->count = (size_t) count * (strcmp(e->name, "cbor_map") == 0 ? 2 : 1);
    e->arguments = lines_alloc(l, e->count * sizeof(*e->arguments));
    return e->arguments != NULL ? read_arguments(l, e, depth) : -1;
}

int read_expression(struct lines *l, struct expression **e, size_t depth)
{
    *e = lines_alloc(l, sizeof(**e));
    if (*e == NULL) {
        return -1;
    }
    if (depth > MAX_DEPTH || ++l->nodes > MAX_NODES) {
        return lines_fail(l, "the expression is too large");
    }
    if (lines_is(l, "octets", 1, 1)) {
        return read_octets(l, *e);
    }
    if (lines_is(l, "integer", 1, 1)) {
        (*e)->kind = EXPR_INTEGER;
        return lines_number(l, l->fields[1], &(*e)->number);
    }
    if (lines_is(l, "value", 2, 2)) {
        return read_named(l, *e, EXPR_VALUE);
    }
    if (lines_is(l, "define", 2, 2)) {
        return read_named(l, *e, EXPR_DEFINE);
    }
    if (lines_is(l, "range", 2, 2)) {
        return read_named(l, *e, EXPR_RANGE);
    }
    if (lines_is(l, "call", 2, 2)) {
        return read_call(l, *e, depth);
    }
    return lines_fail(l, "%.60s is no node of an expression", l->fields[0]);
}

/* ---- types ---- */

static const struct type builtin[] = {
    { .kind = TYPE_NUMBER, .name = "uint8", .width = 1 },
    { .kind = TYPE_NUMBER, .name = "uint16", .width = 2 },
    { .kind = TYPE_NUMBER, .name = "uint24", .width = 3 },
    { .kind = TYPE_NUMBER, .name = "uint32", .width = 4 },
    { .kind = TYPE_NUMBER, .name = "uint64", .width = 8 },
    { .kind = TYPE_OPAQUE, .name = "opaque", .width = 1 },
};

/* A name, where % stands for none. */
static int read_name(struct lines *l, const char *field, const char **name)
{
    *name = lines_text(l, field);
    return *name != NULL ? 0 : -1;
}

static int read_size_token(struct lines *l, const char *field, struct size_token *t)
{
    if (strlen(field) == 1 && strchr("+-*^", *field) != NULL) {
        t->kind = SIZE_OPERATOR;
        t->number = (uint64_t) *field;
        return 0;
    }
    if (strncmp(field, "field.", 6) == 0) {
        t->kind = SIZE_FIELD;
        return read_name(l, field + 6, &t->field);
    }
    t->kind = SIZE_NUMBER;
    return lines_number(l, field, &t->number);
}

/* In prefix order, an operator wants one more operand than it takes the place of. */
static int read_size(struct lines *l, size_t at, struct dimension *dim)
{
    size_t wanted = 1;

    dim->kind = DIM_ARRAY;
    dim->token_count = l->count - at;
    if (dim->token_count > 32) {
        return lines_fail(l, "the size has more than 32 parts");
    }
    dim->tokens = lines_alloc(l, dim->token_count * sizeof(*dim->tokens));
    for (size_t i = 0; dim->tokens != NULL && i < dim->token_count; i++) {
        if (wanted == 0) {
            return lines_fail(l, "the size goes on after its end");
        }
        if (read_size_token(l, l->fields[at + i], &dim->tokens[i]) != 0) {
            return -1;
        }
        wanted += dim->tokens[i].kind == SIZE_OPERATOR ? 1 : (size_t) -1;
    }
    return dim->tokens == NULL ? -1 : wanted == 0 ? 0 : lines_fail(l, "the size ends too early");
}

static int read_dimension(struct lines *l, size_t at, struct dimension *dim)
{
    size_t left = l->count - at;
    const char *word = l->fields[at];

    memset(dim, 0, sizeof(*dim));
    if (strcmp(word, "-") == 0 && left == 1) {
        dim->kind = DIM_ONE;
        return 0;
    }
    if (strcmp(word, "constant") == 0 && left == 2) {
        dim->kind = DIM_CONSTANT;
        return lines_number(l, l->fields[at + 1], &dim->constant);
    }
    if (strcmp(word, "vector") == 0 && left == 3) {
        dim->kind = DIM_VECTOR;
        if (lines_number(l, l->fields[at + 1], &dim->floor) != 0 ||
            lines_number(l, l->fields[at + 2], &dim->ceiling) != 0) {
            return -1;
        }
        return dim->ceiling >= 1 && dim->ceiling <= 0xffffffff && dim->floor <= dim->ceiling ? 0 :
               lines_fail(l, "the bounds of a vector cannot be %s and %s", l->fields[at + 1], l->fields[at + 2]);
    }
    if (strcmp(word, "array") == 0 && left >= 2) {
        return read_size(l, at + 1, dim);
    }
    return lines_fail(l, "%.60s is no dimension", word);
}

/* name type dimension, from a field of the line on. */
static int read_field(struct lines *l, size_t at, struct member *m)
{
    if (l->count < at + 2 || read_name(l, l->fields[at], &m->type_name) != 0) {
        return lines_fail(l, "it has no type");
    }
    return read_dimension(l, at + 1, &m->dimension);
}

static int read_case(struct lines *l, const struct member *select, struct arm *arm)
{
    struct enumerator *c;

    if (l->count != (select->selector == BY_FIELD ? 4U : 2U)) {
        return lines_fail(l, "the case has %zu fields after it", l->count - 1);
    }
    arm->cases = lines_grow(l, arm->cases, arm->case_count, sizeof(*arm->cases));
    if (arm->cases == NULL) {
        return -1;
    }
    c = &arm->cases[arm->case_count++];
    if (read_name(l, l->fields[1], &c->name) != 0) {
        return -1;
    }
    if (select->selector == BY_FIELD &&
        (lines_number(l, l->fields[2], &c->first) != 0 || lines_number(l, l->fields[3], &c->last) != 0)) {
        return -1;
    }
    return c->first <= c->last ? 0 : lines_fail(l, "the case ends before it begins");
}

static int read_members(struct lines *l, struct member **members, size_t *count, size_t depth);

/* The arms of a select, up to and including its end. */
static int read_arms(struct lines *l, struct member *m, size_t depth)
{
    while (lines_next(l)) {
        struct arm *arm;
        int more;
        if (lines_is(l, "end", 0, 0)) {
            return m->arm_count > 0 ? 0 : lines_fail(l, "the select has no arm");
        }
        if (!lines_is(l, "arm", 0, 0)) {
            return lines_fail(l, "%.60s is no arm", l->fields[0]);
        }
        m->arms = lines_grow(l, m->arms, m->arm_count, sizeof(*m->arms));
        if (m->arms == NULL) {
            return -1;
        }
        arm = &m->arms[m->arm_count++];
        memset(arm, 0, sizeof(*arm));
        while ((more = lines_next(l)) && strcmp(l->fields[0], "case") == 0) {
            if (read_case(l, m, arm) != 0) {
                return -1;
            }
        }
        if (!more || arm->case_count == 0) {
            return lines_fail(l, more ? "the arm has no case" : "the arm does not end");
        }
        lines_again(l);
        if (read_members(l, &arm->members, &arm->member_count, depth + 1) != 0) {
            return -1;
        }
    }
    return lines_fail(l, "the select does not end");
}

static int read_select(struct lines *l, struct member *m, size_t depth)
{
    const char *on = l->fields[1];

    m->is_select = 1;
    if (read_name(l, l->fields[2], &m->name) != 0) {
        return -1;
    }
    if (strncmp(on, "field.", 6) == 0) {
        m->selector = BY_FIELD;
        if (read_name(l, on + 6, &m->field) != 0) {
            return -1;
        }
    } else if (strcmp(on, "Handshake.msg_type") == 0) {
        m->selector = BY_MESSAGE;
    } else if (strcmp(on, "ConnectionEnd") == 0) {
        m->selector = BY_CONNECTION_END;
    } else if (strcmp(on, "ClientOrServerExtension") == 0) {
        m->selector = BY_CLIENT_OR_SERVER;
    } else {
        return lines_fail(l, "nothing is selected by %.60s", on);
    }
    return read_arms(l, m, depth);
}

/* Members up to the line that is none of them, which is the next one then. */
static int read_members(struct lines *l, struct member **members, size_t *count, size_t depth)
{
    if (depth > MAX_DEPTH) {
        return lines_fail(l, "arms stand more than %d deep in each other", MAX_DEPTH);
    }
    while (lines_next(l)) {
        int field = lines_is(l, "field", 3, MAX_FIELDS), ret;
        struct member *m;

        if (!field && !lines_is(l, "select", 2, 2)) {
            lines_again(l);
            return l->failed ? -1 : 0;
        }
        *members = lines_grow(l, *members, *count, sizeof(**members));
        if (*members == NULL) {
            return -1;
        }
        m = &(*members)[(*count)++];
        memset(m, 0, sizeof(*m));
        if (field) {
            ret = read_name(l, l->fields[1], &m->name);
            ret = ret == 0 ? read_field(l, 2, m) : ret;
        } else {
            ret = read_select(l, m, depth);
        }
        if (ret != 0) {
            return -1;
        }
    }
    return lines_fail(l, "the structure does not end");
}

static int read_struct(struct lines *l, struct type *t)
{
    t->kind = TYPE_STRUCT;
    if (read_members(l, &t->members, &t->member_count, 0) != 0) {
        return -1;
    }
    return lines_next(l) && lines_is(l, "end", 0, 0) ? 0 : lines_fail(l, "%.60s is no member", l->fields[0]);
}

static int read_enum(struct lines *l, struct type *t)
{
    uint64_t width;

    t->kind = TYPE_ENUM;
    if (lines_number(l, l->fields[2], &width) != 0) {
        return -1;
    }
    if (width < 1 || width > 4) {
        return lines_fail(l, "an enum has 1 to 4 octets");
    }
    t->width = (int) width;
    while (lines_next(l)) {
        struct enumerator *e;
        if (!lines_is(l, "enumerator", 3, 3)) {
            lines_again(l);
            break;
        }
        t->enumerators = lines_grow(l, t->enumerators, t->enumerator_count, sizeof(*t->enumerators));
        if (t->enumerators == NULL) {
            return -1;
        }
        e = &t->enumerators[t->enumerator_count];
        if (read_name(l, l->fields[1], &e->name) != 0 || lines_number(l, l->fields[2], &e->first) != 0 ||
            lines_number(l, l->fields[3], &e->last) != 0) {
            return -1;
        }
        if (e->first > e->last || (t->enumerator_count > 0 && e[-1].last >= e->first) ||
            e->last >= (uint64_t) 1 << (8 * width)) {
            return lines_fail(l, "the number of %.60s is out of order or too large", e->name);
        }
        t->enumerator_count++;
    }
    return l->failed ? -1 : 0;
}

static int read_type(struct lines *l, struct type *t)
{
    memset(t, 0, sizeof(*t));
    if (l->count < 2 || read_name(l, l->fields[1], &t->name) != 0) {
        return lines_fail(l, "it has no name");
    }
    if (lines_is(l, "enum", 2, 2)) {
        return read_enum(l, t);
    }
    if (lines_is(l, "struct", 1, 1)) {
        return read_struct(l, t);
    }
    if (lines_is(l, "alias", 3, MAX_FIELDS)) {
        t->kind = TYPE_ALIAS;
        t->target.name = "";
        return read_field(l, 2, &t->target);
    }
    return lines_fail(l, "%.60s is no record", l->fields[0]);
}

/* ---- names of types ---- */

static const struct type *type_named(const struct document *d, const char *name)
{
    for (size_t i = 0; i < sizeof(builtin) / sizeof(builtin[0]); i++) {
        if (strcmp(builtin[i].name, name) == 0) {
            return &builtin[i];
        }
    }
    return document_type(d, name);
}

static int resolve_members(struct lines *l, const struct document *d, struct member *members, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct member *m = &members[i];
        if (!m->is_select) {
            m->type = type_named(d, m->type_name);
            if (m->type == NULL) {
                return lines_fail(l, "there is no type %.60s", m->type_name);
            }
            continue;
        }
        for (size_t k = 0; k < m->arm_count; k++) {
            if (resolve_members(l, d, m->arms[k].members, m->arms[k].member_count) != 0) {
                return -1;
            }
        }
    }
    return 0;
}

enum { DEEP = 17, UNKNOWN = 0, OPEN = -1 };

/* How many types stand in each other, from this one on: DEEP or more where they are
 * too many, or one stands in itself. Depths that are known are kept, by type. */
static int depth_of(const struct document *d, int *known, const struct type *t);

static int depth_of_members(const struct document *d, int *known, const struct member *members, size_t count)
{
    int depth = 0;

    for (size_t i = 0; i < count && depth < DEEP; i++) {
        int inner = members[i].is_select ? 0 : depth_of(d, known, members[i].type);
        depth = inner > depth ? inner : depth;
        for (size_t k = 0; members[i].is_select && k < members[i].arm_count; k++) {
            inner = depth_of_members(d, known, members[i].arms[k].members, members[i].arms[k].member_count);
            depth = inner > depth ? inner : depth;
        }
    }
    return depth;
}

static int depth_of(const struct document *d, int *known, const struct type *t)
{
    size_t at = (size_t) (t - d->types);

    if (t->kind != TYPE_STRUCT && t->kind != TYPE_ALIAS) {
        return 1;
    }
    if (known[at] == OPEN) {
        return DEEP;
    }
    if (known[at] == UNKNOWN) {
        known[at] = OPEN;
        known[at] = 1 + (t->kind == TYPE_ALIAS ? depth_of(d, known, t->target.type) :
                         depth_of_members(d, known, t->members, t->member_count));
    }
    return known[at];
}

static int resolve(struct lines *l, struct document *d)
{
    int *known = lines_alloc(l, d->type_count * sizeof(*known));

    if (known == NULL) {
        return -1;
    }
    for (size_t i = 0; i < d->type_count; i++) {
        struct type *t = &d->types[i];
        int ret = t->kind == TYPE_ALIAS ? resolve_members(l, d, &t->target, 1) :
                  resolve_members(l, d, t->members, t->member_count);
        if (ret != 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < d->type_count; i++) {
        if (depth_of(d, known, &d->types[i]) >= DEEP) {
            return lines_fail(l, "type %.60s stands in itself, or types more than %d deep in it", d->types[i].name,
                              DEEP);
        }
    }
    return 0;
}

int read_types(struct lines *l, struct document *d)
{
    while (lines_next(l)) {
        if (d->type_count == MAX_TYPES) {
            return lines_fail(l, "there are more than %d types", MAX_TYPES);
        }
        d->types = lines_grow(l, d->types, d->type_count, sizeof(*d->types));
        if (d->types == NULL || read_type(l, &d->types[d->type_count]) != 0) {
            return -1;
        }
        if ((d->type_count > 0 && strcmp(d->types[d->type_count - 1].name, d->types[d->type_count].name) >= 0) ||
            type_named(d, d->types[d->type_count].name) != NULL) {
            return lines_fail(l, "type %.60s is out of order", d->types[d->type_count].name);
        }
        d->type_count++;
    }
    return l->failed ? -1 : resolve(l, d);
}
