#include "codec.h"

#include <string.h>

enum { MAX_STEPS = 4096, MAX_NUMBERS = 64, MAX_NAME = 4096, MAX_LENGTH = 1 << 24 };

/* A number that was read or written, for the selects and sizes behind it. */
struct number {
    const char *name;
    uint64_t value;
};

/* One run of the codec. */
struct run {
    const struct place *place;
    struct reader *r;              /* reading, or */
    struct writer *w;              /* writing */
    struct field *fields;
    size_t count;
    int quiet;                     /* inside of a list: no field has a path there */
    struct number numbers[MAX_NUMBERS];
    size_t number_count, scope;    /* those of the present struct begin at scope */
    size_t steps;
    enum codec_error error;
    char path[MAX_NAME];
};

static int malformed(struct run *c)
{
    if (c->error == CODEC_OK) {
        c->error = CODEC_MALFORMED;
    }
    return -1;
}

/* ---- types ---- */

const struct type *plain_type(const struct type *type)
{
    while (type != NULL && type->kind == TYPE_ALIAS && type->target.dimension.kind == DIM_ONE) {
        type = type->target.type;
    }
    return type;
}

int enumerator_number(const struct type *type, const char *name, uint64_t *number)
{
    type = plain_type(type);
    for (size_t i = 0; type != NULL && i < type->enumerator_count; i++) {
        if (strcmp(type->enumerators[i].name, name) == 0) {
            *number = type->enumerators[i].first;
            return 1;
        }
    }
    return 0;
}

static int octets_for(uint64_t ceiling)
{
    return ceiling <= 0xff ? 1 : ceiling <= 0xffff ? 2 : ceiling <= 0xffffff ? 3 : 4;
}

/* A type with its dimension, behind aliases: an alias may bring the dimension. */
struct shape {
    const struct type *type;
    const struct dimension *dimension;
};

static struct shape shape_of(const struct type *type, const struct dimension *dimension)
{
    struct shape s = { type, dimension };

    while (s.type->kind == TYPE_ALIAS && s.dimension->kind == DIM_ONE) {
        s.dimension = &s.type->target.dimension;
        s.type = s.type->target.type;
    }
    return s;
}

static int is_vector(const struct dimension *d)
{
    return d->kind == DIM_VECTOR || d->kind == DIM_ARRAY;
}

/* Octets, rather than a list of elements. */
static int is_string(struct shape s)
{
    const struct type *t = plain_type(s.type);

    return is_vector(s.dimension) && (t->kind == TYPE_OPAQUE || (t->kind == TYPE_NUMBER && t->width == 1));
}

static int is_number(struct shape s)
{
    const struct type *t = plain_type(s.type);

    return !is_vector(s.dimension) && (t->kind == TYPE_NUMBER || t->kind == TYPE_ENUM);
}

/* What a nameless field joins: the struct around it. */
static int joins(const struct member *m)
{
    return m->name[0] == '\0' && plain_type(m->type)->kind == TYPE_STRUCT && m->dimension.kind == DIM_ONE;
}

/* A labelled arm of one nameless field that is no struct is the label's value. */
static int is_value_of_label(const struct member *select, const struct arm *arm)
{
    return select->name[0] != '\0' && arm->member_count == 1 && !arm->members[0].is_select &&
           arm->members[0].name[0] == '\0' && !joins(&arm->members[0]);
}

static const char *name_of(const struct member *m)
{
    return m->name[0] != '\0' ? m->name : m->type_name;
}

/* ---- paths ---- */

/* Goes into a name; returns where the path was before, or -1. */
static int enter(struct run *c, const char *name)
{
    size_t len = strlen(c->path), more = strlen(name);

    if (len + more + 2 > sizeof(c->path)) {
        return malformed(c);
    }
    if (len > 0) {
        c->path[len] = '.';
    }
    memcpy(c->path + len + (len > 0), name, more + 1);
    return (int) len;
}

static void leave(struct run *c, int before)
{
    c->path[before] = '\0';
}

static struct field *field_here(struct run *c)
{
    for (size_t i = 0; !c->quiet && i < c->count; i++) {
        if (strcmp(c->fields[i].path, c->path) == 0) {
            return &c->fields[i];
        }
    }
    return NULL;
}

/* ---- numbers ---- */

static int keep_number(struct run *c, const char *name, uint64_t value)
{
    if (c->number_count == MAX_NUMBERS) {
        return malformed(c);
    }
    c->numbers[c->number_count].name = name;
    c->numbers[c->number_count++].value = value;
    return 0;
}

static int number_before(const struct run *c, const char *name, uint64_t *value)
{
    for (size_t i = c->number_count; i > c->scope; i--) {
        if (strcmp(c->numbers[i - 1].name, name) == 0) {
            *value = c->numbers[i - 1].value;
            return 1;
        }
    }
    return 0;
}

static int calculate(struct run *c, const struct dimension *d, size_t *at, int64_t *value)
{
    const struct size_token *t = &d->tokens[(*at)++];
    int64_t a, b, power = 1;
    uint64_t number = t->number;

    if (t->kind == SIZE_FIELD && !number_before(c, t->field, &number)) {
        return malformed(c);
    }
    if (t->kind != SIZE_OPERATOR) {
        *value = number <= MAX_LENGTH ? (int64_t) number : MAX_LENGTH + 1;
        return number <= MAX_LENGTH ? 0 : malformed(c);
    }
    if (calculate(c, d, at, &a) != 0 || calculate(c, d, at, &b) != 0) {
        return -1;
    }
    switch (t->number) {
        case '+': *value = a + b; break;
        case '-': *value = a - b; break;
        case '*': *value = a * b; break;
        default:
            for (int64_t i = 0; i < b && power > -MAX_LENGTH && power < MAX_LENGTH && (power != 0 && power != 1 ? 1 :
                                                                                       i == 0); i++) {
                power *= a;
            }
            *value = b < 0 ? -1 : power;
    }
    return *value >= -(int64_t) MAX_LENGTH && *value <= MAX_LENGTH ? 0 : malformed(c);
}

static int array_length(struct run *c, const struct dimension *d, size_t *len)
{
    size_t at = 0;
    int64_t value;

    if (calculate(c, d, &at, &value) != 0 || value < 0) {
        return malformed(c);
    }
    *len = (size_t) value;
    return 0;
}

/* ---- selects ---- */

/* The arm that the message, the sender or a number selects. */
static const struct arm *arm_by_case(struct run *c, const struct member *select)
{
    const char *want = select->selector == BY_MESSAGE ? c->place->message :
                       select->selector == BY_CONNECTION_END ? (c->place->from_server ? "server" : "client") :
                       strcmp(c->place->message, "client_hello") == 0 ? "client" : "server";
    uint64_t number = 0;

    if (select->selector == BY_FIELD && !number_before(c, select->field, &number)) {
        return NULL;
    }
    for (size_t i = 0; i < select->arm_count; i++) {
        for (size_t k = 0; k < select->arms[i].case_count; k++) {
            const struct enumerator *e = &select->arms[i].cases[k];
            if (select->selector == BY_FIELD ? e->first <= number && number <= e->last : strcmp(e->name, want) == 0) {
                return &select->arms[i];
            }
        }
    }
    return NULL;
}

static int walk_members(struct run *c, const struct member *members, size_t count);
static int walk(struct run *c, struct shape s, const char *name, uint64_t otherwise);

static int walk_select(struct run *c, const struct member *select)
{
    const struct arm *arm = arm_by_case(c, select);
    int before = (int) strlen(c->path), ret;

    if (arm == NULL) {
        if (c->error == CODEC_OK) {
            c->error = select->selector == BY_FIELD ? CODEC_UNKNOWN_ARM : CODEC_MALFORMED;
        }
        return -1;
    }
    if (select->name[0] != '\0' && enter(c, select->name) < 0) {
        return -1;
    }
    if (is_value_of_label(select, arm)) {
        ret = walk(c, shape_of(arm->members[0].type, &arm->members[0].dimension), NULL, 0);
    } else {
        ret = walk_members(c, arm->members, arm->member_count);
    }
    leave(c, before);
    return ret;
}

/* ---- which arm the given fields belong to ---- */

/* Whether a path goes on from a prefix, and how. */
static const char *beyond(const char *path, const char *prefix)
{
    size_t len = strlen(prefix);

    if (len == 0) {
        return path;
    }
    return strncmp(path, prefix, len) == 0 && path[len] == '.' ? path + len + 1 : NULL;
}

static const struct member *find_in_members(const struct member *members, size_t count, const char *path);

static const struct member *find_in_type(const struct type *type, const char *path)
{
    type = plain_type(type);
    return type->kind == TYPE_STRUCT ? find_in_members(type->members, type->member_count, path) : NULL;
}

static const struct member *find_in_arm(const struct member *select, const struct arm *arm, const char *path)
{
    size_t len = strlen(select->name);

    if (len > 0) {
        if (strncmp(path, select->name, len) != 0 || (path[len] != '.' && path[len] != '\0')) {
            return NULL;
        }
        if (path[len] == '\0') {
            return is_value_of_label(select, arm) ? &arm->members[0] : NULL;
        }
        path += len + 1;
    }
    return find_in_members(arm->members, arm->member_count, path);
}

static const struct member *find_in_members(const struct member *members, size_t count, const char *path)
{
    for (size_t i = 0; i < count; i++) {
        const struct member *m = &members[i], *found = NULL;
        size_t len;

        if (m->is_select) {
            for (size_t k = 0; found == NULL && k < m->arm_count; k++) {
                found = find_in_arm(m, &m->arms[k], path);
            }
        } else if (joins(m)) {
            found = find_in_type(m->type, path);
        } else {
            len = strlen(name_of(m));
            if (strncmp(path, name_of(m), len) == 0 && path[len] == '\0') {
                return m;
            }
            if (strncmp(path, name_of(m), len) == 0 && path[len] == '.' && m->dimension.kind == DIM_ONE) {
                found = find_in_type(m->type, path + len + 1);
            }
        }
        if (found != NULL) {
            return found;
        }
    }
    return NULL;
}

const struct member *member_at(const struct type *type, const char *path)
{
    return type != NULL ? find_in_type(type, path) : NULL;
}

static int fits_kind(const struct field *f, const struct member *m)
{
    return f->is_number == is_number(shape_of(m->type, &m->dimension));
}

/* The names that an arm has for the given fields, which are below prefix: all of
 * those that any arm of the select has, and of a kind that fits. */
static int arm_has_fields(const struct run *c, const struct member *select, const struct arm *arm, int *any)
{
    for (size_t i = 0; i < c->count; i++) {
        const char *path = beyond(c->fields[i].path, c->path);
        const struct member *m;
        int some = 0;

        if (path == NULL || *path == '\0') {
            continue;
        }
        for (size_t k = 0; !some && k < select->arm_count; k++) {
            some = find_in_arm(select, &select->arms[k], path) != NULL;
        }
        m = find_in_arm(select, arm, path);
        if (some && (m == NULL || !fits_kind(&c->fields[i], m))) {
            return 0;
        }
        *any |= some;
    }
    return 1;
}

/* The first number of the arm that the given fields belong to, or of the first. */
static uint64_t number_for_fields(struct run *c, const struct member *select)
{
    for (size_t k = 0; !c->quiet && k < select->arm_count; k++) {
        int any = 0;
        if (arm_has_fields(c, select, &select->arms[k], &any) && any) {
            return select->arms[k].cases[0].first;
        }
    }
    return select->arms[0].cases[0].first;
}

/* What the selects on a number behind it make of it. */
static int number_by_select(struct run *c, const struct member *members, size_t count, const char *name,
                            uint64_t *number)
{
    for (size_t i = 0; i < count; i++) {
        const struct member *m = &members[i];
        int before = (int) strlen(c->path), found = 0;

        if (!m->is_select) {
            continue;
        }
        if (m->selector == BY_FIELD && strcmp(m->field, name) == 0) {
            *number = number_for_fields(c, m);
            return 1;
        }
        if (m->name[0] != '\0' && enter(c, m->name) < 0) {
            return 0;
        }
        for (size_t k = 0; !found && k < m->arm_count; k++) {
            found = number_by_select(c, m->arms[k].members, m->arms[k].member_count, name, number);
        }
        leave(c, before);
        if (found) {
            return 1;
        }
    }
    return 0;
}

/* The octets that are given for the array whose length is this field alone. */
static int number_by_array(struct run *c, const struct member *members, size_t count, const char *name, uint64_t *len)
{
    for (size_t i = 0; i < count; i++) {
        const struct member *m = &members[i];
        const struct field *f;
        int before;

        if (m->is_select || m->dimension.kind != DIM_ARRAY || m->dimension.token_count != 1 ||
            m->dimension.tokens[0].kind != SIZE_FIELD || strcmp(m->dimension.tokens[0].field, name) != 0) {
            continue;
        }
        before = enter(c, name_of(m));
        if (before < 0) {
            return 0;
        }
        f = field_here(c);
        leave(c, before);
        *len = f != NULL ? f->len : 0;
        return 1;
    }
    return 0;
}

/* ---- one value ---- */

static uint64_t smallest(const struct type *t)
{
    return t->kind == TYPE_ENUM && t->enumerator_count > 0 ? t->enumerators[0].first : 0;
}

/* What is written for a number that is not given, among the members around it. */
static uint64_t number_otherwise(struct run *c, const struct member *m, const struct member *members, size_t count)
{
    struct shape s = shape_of(m->type, &m->dimension);
    uint64_t number;

    if (c->w == NULL || !is_number(s)) {
        return 0;
    }
    if (s.dimension->kind == DIM_CONSTANT) {
        return s.dimension->constant;
    }
    if (number_by_select(c, members, count, name_of(m), &number) ||
        number_by_array(c, members, count, name_of(m), &number)) {
        return number;
    }
    return smallest(plain_type(s.type));
}

static int walk_number(struct run *c, struct shape s, const char *name, uint64_t otherwise)
{
    const struct type *t = plain_type(s.type);
    struct field *f = field_here(c);
    uint64_t value = 0;

    if (c->r != NULL) {
        value = t->width <= 4 ? read_number(c->r, t->width) : (uint64_t) read_number(c->r, 4) << 32;
        value |= t->width > 4 ? read_number(c->r, 4) : 0;
        if (c->r->bad || (s.dimension->kind == DIM_CONSTANT && value != s.dimension->constant)) {
            return malformed(c);
        }
        if (f != NULL) {
            f->found = f->is_number = 1;
            f->number = value;
            f->p = c->r->p - t->width;
            f->len = (size_t) t->width;
        }
    } else {
        value = otherwise;
        if (f != NULL && f->is_number) {
            value = f->number;
            f->found = 1;
        } else if (f != NULL && f->len == (size_t) t->width) { /* encoded already */
            value = 0;
            for (size_t i = 0; i < f->len; i++) {
                value = value << 8 | f->p[i];
            }
            f->found = 1;
        }
        if (t->width < 8 && value >> (8 * t->width) != 0) {
            return malformed(c);
        }
        if (t->width > 4) {
            write_number(c->w, (uint32_t) (value >> 32), 4);
            write_number(c->w, (uint32_t) value, 4);
        } else {
            write_number(c->w, (uint32_t) value, t->width);
        }
    }
    return name != NULL ? keep_number(c, name, value) : 0;
}

/* The struct by its members, in a scope of its own. */
static int walk_struct(struct run *c, const struct type *t)
{
    size_t scope = c->scope, count = c->number_count;
    int ret;

    c->scope = count;
    ret = walk_members(c, t->members, t->member_count);
    c->scope = scope;
    c->number_count = count;
    return ret;
}

/* Elements to the end of what there is to read, or up to a floor. */
static int walk_list(struct run *c, struct shape s, size_t floor)
{
    static const struct dimension one = { .kind = DIM_ONE };
    const int quiet = c->quiet;
    size_t begin = c->w != NULL ? writer_len(c->w) : 0;
    int ret = 0;

    c->quiet = 1;
    while (ret == 0 && (c->r != NULL ? reader_left(c->r) > 0 : writer_len(c->w) - begin < floor && !c->w->bad)) {
        const unsigned char *at = c->r != NULL ? c->r->p : c->w->p;
        ret = walk(c, shape_of(s.type, &one), NULL, smallest(plain_type(s.type)));
        if (ret == 0 && at == (c->r != NULL ? c->r->p : c->w->p)) {
            ret = malformed(c); /* elements without octets */
        }
    }
    c->quiet = quiet;
    return ret;
}

static int read_vector_value(struct run *c, struct shape s)
{
    struct field *f = field_here(c);
    struct reader *outer = c->r, inner;
    size_t len;
    int ret = 0;

    if (s.dimension->kind == DIM_VECTOR) {
        inner = read_vector(outer, octets_for(s.dimension->ceiling));
        len = reader_left(&inner);
        if (outer->bad || len < s.dimension->floor || len > s.dimension->ceiling) {
            if (f != NULL && !outer->bad) {
                f->p = inner.p;
                f->len = len;
            }
            return malformed(c);
        }
    } else {
        if (array_length(c, s.dimension, &len) != 0 || len > reader_left(outer)) {
            return malformed(c);
        }
        inner = read_all(outer->p, len);
        outer->p += len;
    }
    if (f != NULL) {
        f->found = 1;
        f->is_number = 0;
        f->p = inner.p;
        f->len = len;
    }
    if (!is_string(s)) {
        c->r = &inner;
        ret = walk_list(c, s, 0);
        c->r = outer;
    }
    return ret;
}

static int write_vector_value(struct run *c, struct shape s)
{
    const struct dimension *d = s.dimension;
    struct field *f = field_here(c);
    size_t begin, len, floor = (size_t) d->floor;
    int ret = 0;

    if (d->kind == DIM_ARRAY && array_length(c, d, &floor) != 0) {
        return -1;
    }
    begin = d->kind == DIM_VECTOR ? write_vector_begin(c->w, octets_for(d->ceiling)) : 0;
    len = writer_len(c->w);
    if (f != NULL && f->is_number) {
        return malformed(c);
    }
    if (f != NULL) {
        write_octets(c->w, f->p, f->len);
        f->found = 1;
    } else if (is_string(s)) {
        for (size_t i = 0; i < floor && !c->w->bad; i++) {
            write_number(c->w, 0, 1);
        }
    } else {
        ret = walk_list(c, s, floor);
    }
    len = writer_len(c->w) - len;
    if (ret == 0 && d->kind == DIM_ARRAY && len != floor) {
        return malformed(c);
    }
    if (d->kind == DIM_VECTOR) {
        if (len < d->floor || len > d->ceiling) {
            return malformed(c);
        }
        write_vector_end(c->w, octets_for(d->ceiling), begin);
    }
    return ret;
}

/* name: under which a number can be referred to, NULL for none; otherwise: what is
 * written for a number that is not given. */
static int walk(struct run *c, struct shape s, const char *name, uint64_t otherwise)
{
    const struct type *t = plain_type(s.type);
    struct field *f;
    const unsigned char *begin;
    int ret;

    if (++c->steps > MAX_STEPS) {
        return malformed(c);
    }
    if (is_vector(s.dimension)) {
        return c->r != NULL ? read_vector_value(c, s) : write_vector_value(c, s);
    }
    if (t->kind == TYPE_OPAQUE) {
        return malformed(c);
    }
    if (t->kind != TYPE_STRUCT) {
        return walk_number(c, s, name, otherwise);
    }
    f = field_here(c);
    if (f != NULL && c->w != NULL && !f->is_number) { /* encoded already */
        write_octets(c->w, f->p, f->len);
        f->found = 1;
        return 0;
    }
    begin = c->r != NULL ? c->r->p : NULL;
    ret = walk_struct(c, t);
    if (ret == 0 && f != NULL && c->r != NULL) {
        f->found = 1;
        f->p = begin;
        f->len = (size_t) (c->r->p - begin);
    }
    return ret;
}

static int walk_members(struct run *c, const struct member *members, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct member *m = &members[i];
        int before = (int) strlen(c->path), ret;
        uint64_t otherwise;

        if (++c->steps > MAX_STEPS) {
            return malformed(c);
        }
        if (m->is_select) {
            ret = walk_select(c, m);
        } else if (joins(m)) {
            ret = walk_struct(c, plain_type(m->type));
        } else {
            otherwise = number_otherwise(c, m, members, count);
            ret = enter(c, name_of(m)) < 0 ? -1 :
                  walk(c, shape_of(m->type, &m->dimension), name_of(m), otherwise);
        }
        leave(c, before);
        if (ret != 0) {
            return ret;
        }
    }
    return 0;
}

/* ---- the whole ---- */

static const struct dimension one_value = { .kind = DIM_ONE };

enum codec_error decode(const struct type *type, const struct place *place, struct reader *r,
                        struct field *fields, size_t count)
{
    struct run c = { .place = place, .r = r, .fields = fields, .count = count };

    for (size_t i = 0; i < count; i++) {
        fields[i].found = 0;
        fields[i].p = NULL;
        fields[i].len = 0;
    }
    if (type != NULL) {
        walk(&c, shape_of(type, &one_value), NULL, 0);
        return c.error;
    }
    for (size_t i = 0; i < count; i++) {
        if (fields[i].path[0] == '\0') {
            fields[i].found = 1;
            fields[i].is_number = 0;
            fields[i].p = r->p;
            fields[i].len = reader_left(r);
        }
    }
    r->p = r->end;
    return CODEC_OK;
}

int encode(const struct type *type, const struct place *place, struct writer *w, struct field *fields, size_t count)
{
    struct run c = { .place = place, .w = w, .fields = fields, .count = count };

    for (size_t i = 0; i < count; i++) {
        fields[i].found = 0;
    }
    if (type != NULL) {
        walk(&c, shape_of(type, &one_value), NULL, smallest(plain_type(type)));
    } else if (count == 1 && fields[0].path[0] == '\0' && !fields[0].is_number) {
        write_octets(w, fields[0].p, fields[0].len);
        fields[0].found = 1;
    }
    for (size_t i = 0; i < count; i++) {
        if (!fields[i].found) {
            return -1;
        }
    }
    return c.error == CODEC_OK && !w->bad ? 0 : -1;
}
