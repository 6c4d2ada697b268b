/* What the elements of lists mean: schemes to fields, and back. */
#include "compiled.h"

#include <stdio.h>
#include <string.h>

static const char *const model_names[] = { [EVIDENCE] = "evidence", [RESULTS] = "results" };
static const char *const credential_names[] = { [ALONE] = "alone", [BESIDE_X509] = "x509" };

static int is_numeric(const struct type *element, const char *path)
{
    const struct member *m = member_at(element, path);
    const struct type *t = m != NULL ? plain_type(m->type) : *path == '\0' ? plain_type(element) : NULL;

    return t != NULL && (t->kind == TYPE_NUMBER || t->kind == TYPE_ENUM) && (m == NULL || m->dimension.kind == DIM_ONE);
}

/* The number that a name or decimal number stands for in a field. Certificate types
 * may have other numbers than the profile's on the network. */
static int number_in(const struct compiled *c, const struct type *element, const char *path, const char *text,
                     uint64_t *number)
{
    const struct member *m = member_at(element, path);
    const struct type *t = m != NULL ? m->type : *path == '\0' ? element : NULL;

    for (size_t i = 0; t != NULL && strcmp(plain_type(t)->name, "CertificateType") == 0 &&
         i < c->draft.code_point_count; i++) {
        if (c->points[i].kind == CERTIFICATE_TYPES && strcmp(c->points[i].name, text) == 0) {
            *number = c->points[i].number;
            return 1;
        }
    }
    return t != NULL && (enumerator_number(t, text, number) || text_number(text, number));
}

static int add(struct field *fields, size_t max, size_t *count, struct field f)
{
    if (*count == max) {
        return -1;
    }
    fields[(*count)++] = f;
    return 0;
}

static int add_number(struct field *fields, size_t max, size_t *count, const char *path, uint64_t number)
{
    return add(fields, max, count, (struct field) { .path = path, .is_number = 1, .number = number });
}

static int add_text(struct field *fields, size_t max, size_t *count, const char *path, const char *text)
{
    return add(fields, max, count, (struct field) { .path = path, .p = (const unsigned char *) text,
        .len = strlen(text) });
}

/* A property that is one word for all elements, or told by a field. Adds the field.
 * Returns 0, or -1 where elements do not have the property. */
static int add_property(const struct compiled *c, const struct meaning *e, const char *property, const char *want,
                        struct field *fields, size_t max, size_t *count)
{
    const struct document *d = &c->document;
    const struct record *r = document_find(d, "bind/schemes/%s/%s", e->name, property);
    const char *field, *one;
    char map[1024];

    if (r == NULL) {
        return -1;
    }
    if (r->kind == RECORD_KEY) {
        one = r->values[0];
        return strcmp(one, want) == 0 || strcmp(one, "any") == 0 ? 0 : -1;
    }
    field = document_value(d, "bind/schemes/%s/%s/field", e->name, property);
    snprintf(map, sizeof(map), "bind/schemes/%s/%s", e->name, property);
    for (size_t i = 0; field != NULL && i < d->record_count; i++) {
        const char *name = document_child(&d->records[i], map);
        uint64_t number;
        if (name != NULL && strcmp(name, "field") != 0 && d->records[i].kind == RECORD_KEY &&
            (strcmp(d->records[i].values[0], want) == 0 || strcmp(d->records[i].values[0], "any") == 0) &&
            number_in(c, e->type, field, name, &number)) {
            return add_number(fields, max, count, field, number);
        }
    }
    return -1;
}

/* Whether a format of the profile's, a number or a media type, is our scheme's. */
static int is_format(const struct scheme *s, const char *format)
{
    uint64_t number;

    if (s->media_type != NULL) {
        return strcmp(format, s->media_type) == 0;
    }
    return text_number(format, &number) && number == s->content_format;
}

/* The number that the profile has for our format. */
static int own_number(const struct compiled *c, const struct meaning *e, const char *path, const struct scheme *s,
                      uint64_t *number)
{
    char map[1024];

    snprintf(map, sizeof(map), "bind/schemes/%s/formats", e->name);
    for (size_t i = 0; i < c->document.record_count; i++) {
        const struct record *r = &c->document.records[i];
        const char *name = document_child(r, map);
        for (size_t k = 0; name != NULL && k < r->count; k++) {
            if (is_format(s, r->values[k])) {
                return number_in(c, e->type, path, name, number);
            }
        }
    }
    return 0;
}

static int add_format(const struct compiled *c, const struct meaning *e, const struct scheme *s,
                      struct field *fields, size_t max, size_t *count)
{
    const struct record *paths = document_find(&c->document, "bind/schemes/%s/format", e->name);
    const int own = document_find(&c->document, "bind/schemes/%s/formats", e->name) != NULL;

    for (size_t i = 0; paths != NULL && i < paths->count; i++) {
        const char *path = strcmp(paths->values[i], "self") == 0 ? "" : paths->values[i];
        uint64_t number = s->content_format;
        if (is_numeric(e->type, path)) {
            if (own ? own_number(c, e, path, s, &number) : s->media_type == NULL) {
                return add_number(fields, max, count, path, number);
            }
        } else if (s->media_type != NULL) {
            return add_text(fields, max, count, path, s->media_type);
        }
    }
    return -1;
}

int scheme_fields(const struct compiled *c, const struct meaning *e, const struct scheme *s,
                  struct field *fields, size_t max)
{
    const char *verifier = document_value(&c->document, "bind/schemes/%s/verifier", e->name);
    size_t count = 0;
    int ret;

    if (add_property(c, e, "model", model_names[s->model], fields, max, &count) != 0 ||
        add_property(c, e, "credential", credential_names[s->credential], fields, max, &count) != 0) {
        return -1;
    }
    if (s->model == RESULTS && verifier != NULL) {
        ret = add_text(fields, max, &count, verifier, s->verifier);
    } else {
        ret = add_format(c, e, s, fields, max, &count);
    }
    return ret == 0 ? (int) count : -1;
}

int named_fields(const struct compiled *c, const struct meaning *e, const char *map, struct field *fields, size_t max)
{
    size_t count = 0;

    for (size_t i = 0; i < c->document.record_count; i++) {
        const struct record *r = &c->document.records[i];
        const char *name = document_child(r, map);
        uint64_t number;
        int ret;

        if (name == NULL || r->kind != RECORD_KEY) {
            continue;
        }
        if (is_numeric(e->type, name)) {
            ret = number_in(c, e->type, name, r->values[0], &number) ? add_number(fields, max, &count, name,
                                                                                  number) : -1;
        } else {
            ret = add_text(fields, max, &count, name, r->values[0]);
        }
        if (ret != 0) {
            return -1;
        }
    }
    return (int) count;
}

unsigned element_models(const struct compiled *c, const struct meaning *e, const unsigned char *p, size_t len)
{
    const struct record *r = document_find(&c->document, "bind/schemes/%s/model", e->name);
    const struct place place = { "client_hello", 0 };
    struct reader reader = read_all(p, len);
    struct field f = { .path = document_value(&c->document, "bind/schemes/%s/model/field", e->name) };
    unsigned models = 0;
    char map[1024];

    if (r == NULL || r->kind != RECORD_MAP || f.path == NULL) {
        const char *word = r != NULL && r->kind == RECORD_KEY ? r->values[0] : "any";
        return (strcmp(word, "results") != 0 ? 1U << EVIDENCE : 0) | (strcmp(word, "evidence") != 0 ? 1U << RESULTS :
                                                                      0);
    }
    if (decode(e->type, &place, &reader, &f, 1) != CODEC_OK || !f.found || !f.is_number) {
        return 0;
    }
    snprintf(map, sizeof(map), "bind/schemes/%s/model", e->name);
    for (size_t i = 0; i < c->document.record_count; i++) {
        const char *name = document_child(&c->document.records[i], map);
        uint64_t number;
        if (name != NULL && strcmp(name, "field") != 0 && number_in(c, e->type, f.path, name, &number) &&
            number == f.number) {
            const char *word = c->document.records[i].count > 0 ? c->document.records[i].values[0] : "";
            models |= strcmp(word, "results") != 0 ? 1U << EVIDENCE : 0;
            models |= strcmp(word, "evidence") != 0 ? 1U << RESULTS : 0;
        }
    }
    return models;
}
