/* Objects that a profile describes, as they are sent. */
#include "object.h"

#include <string.h>

#include "document.h"

static void write_text(const struct object_rule *o, const char *value, struct text *out)
{
    if (o->cbor) {
        text_cbor_head(out, 3, strlen(value));
        text_add(out, value, strlen(value));
    } else {
        text_json(out, value);
    }
}

/* A number, a text or a boolean. */
static void write_constant(const struct object_rule *o, const struct object_field *f, const char *value,
                           struct text *out)
{
    uint64_t n = 0;

    if (f->type == FIELD_TEXT) {
        write_text(o, value, out);
    } else if (!o->cbor) {
        text_add(out, value, strlen(value));
    } else if (f->type == FIELD_NUMBER && text_number(value, &n)) {
        text_cbor_head(out, 0, n);
    } else {
        text_add(out, strcmp(value, "true") == 0 ? "\xf5" : "\xf4", 1);
    }
}

static void write_octets_of(const struct object_rule *o, const struct object_field *f, const struct octets *value,
                            struct text *out)
{
    struct text spelt = { 0 };

    if (o->cbor && f->type == FIELD_OCTETS) {
        text_cbor_head(out, 2, value->len);
        text_add(out, (char *) value->p, value->len);
        return;
    }
    spell(object_spelling(f->type), value, &spelt);
    if (spelt.failed || spelt.p == NULL) {
        out->failed |= spelt.failed;
        write_text(o, "", out);
    } else {
        write_text(o, spelt.p, out);
    }
    text_free(&spelt);
}

static void write_name(const struct object_rule *o, const struct object_field *f, struct text *out)
{
    if (o->cbor && f->numbered) {
        text_cbor_head(out, 0, f->key);
        return;
    }
    write_text(o, f->name, out);
    text_add(out, ":", o->cbor ? 0 : 1);
}

/* The octets of a member. Returns 0, with NULL where it is absent. */
static int octets_of(const struct object_field *f, const struct object_content *c, struct octets *value,
                     struct object_error *error)
{
    int ret = c->octets(c->context, f, value);

    if (ret == 0 && value->p == NULL && !f->optional && c->reason == NULL) {
        return object_bad(error, FAIL_CONFIGURATION, "there is nothing to send in %s", f->name);
    }
    if (ret == 0 && value->p != NULL && (value->len < f->floor || value->len > f->ceiling)) {
        return object_bad(error, FAIL_OWN_LIMIT, "%zu octets, and %s takes %zu to %zu", value->len, f->name, f->floor,
                          f->ceiling);
    }
    return ret;
}

/* Adds a member to those before it. */
static int write_field(const struct object_rule *all, const struct object_rule *o, const struct object_field *f,
                       const struct object_content *c, struct text *body, size_t *count, struct object_error *error)
{
    struct octets octets = { 0 };
    struct text nested = { 0 };
    const char *constant = NULL;
    int ret = 0, there;

    if (f->type == FIELD_OBJECT) {
        ret = object_write(all, f->object, c, &nested, error);
        there = ret == 0;
    } else if (f->means >= MEANS_CONSTANT && f->means <= MEANS_REASON) {
        constant = f->means == MEANS_REASON ? c->reason : f->is[object_which(f, c)];
        there = constant != NULL;
    } else {
        ret = octets_of(f, c, &octets, error);
        there = ret == 0 && octets.p != NULL;
    }
    if (there) {
        text_add(body, ",", !o->cbor && *count > 0 ? 1 : 0);
        write_name(o, f, body);
        if (f->type == FIELD_OBJECT) {
            text_add(body, nested.p, nested.len);
            body->failed |= nested.failed;
        } else if (constant != NULL) {
            write_constant(o, f, constant, body);
        } else {
            write_octets_of(o, f, &octets, body);
        }
        (*count)++;
    }
    text_free(&nested);
    octets_free(&octets);
    return ret;
}

int object_write(const struct object_rule *all, int object, const struct object_content *c, struct text *out,
                 struct object_error *error)
{
    const struct object_rule *o = &all[object];
    struct text body = { 0 };
    size_t count = 0;
    int ret = 0;

    for (size_t i = 0; ret == 0 && i < o->field_count; i++) {
        ret = write_field(all, o, &o->fields[i], c, &body, &count, error);
    }
    if (ret == 0) {
        if (o->cbor) {
            text_cbor_head(out, 5, count);
        } else {
            text_add(out, "{", 1);
        }
        text_add(out, body.p, body.len);
        text_add(out, "}", o->cbor ? 0 : 1);
        if (out->failed | body.failed) {
            ret = MBEDTLS_ERR_SSL_ALLOC_FAILED;
        }
    }
    text_free(&body);
    return ret;
}
