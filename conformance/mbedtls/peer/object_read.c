/* Objects that a profile describes, as they are received, by what their members mean. */
#include "object.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mbedtls/constant_time.h"

/* What is read, and what of it is wrong. */
struct object_reader {
    const struct object_rule *all;
    const struct object_content *c;
    struct object_told *told;
    struct object_error *error;
};

static int same_key(const struct entry *a, const struct entry *b)
{
    return a->numbered == b->numbered && (!a->numbered || a->number == b->number) && a->key.len == b->key.len &&
           (a->key.len == 0 || memcmp(a->key.p, b->key.p, a->key.len) == 0);
}

static const struct object_field *find(const struct object_rule *o, const struct entry *e)
{
    for (size_t i = 0; i < o->field_count; i++) {
        const struct object_field *f = &o->fields[i];
        if (f->numbered ? e->numbered && e->number == f->key :
            !e->numbered && e->key.len == strlen(f->name) && memcmp(f->name, e->key.len > 0 ? e->key.p : "",
                                                                    e->key.len) == 0) {
            return f;
        }
    }
    return NULL;
}

static int may_be_absent(const struct object_reader *r, const struct object_field *f)
{
    return f->optional || f->any ||
           ((f->means == MEANS_ATTESTERS || f->means == MEANS_VERDICT) && f->is[object_which(f, r->c)] == NULL);
}

/* Compares what both ends compute. */
static int compare(const struct object_reader *r, const struct object_field *f, const struct octets *value)
{
    struct octets own = { 0 };
    int ret = f->any ? 0 : r->c->octets(r->c->context, f, &own);

    if (ret == 0 && !f->any &&
        (own.p == NULL || own.len != value->len || mbedtls_ct_memcmp(own.p, value->p, own.len) != 0)) {
        ret = object_bad(r->error, FAIL_BINDER_MISMATCH, "%s is not the value of %s here", f->name, f->defined);
    }
    octets_free(&own);
    return ret;
}

/* Takes the octets of a payload, a nonce or a definition, and frees what is not kept. */
static int take_octets(const struct object_reader *r, const struct object_field *f, struct octets *value)
{
    struct octets *kept = f->means == MEANS_PAYLOAD ? &r->told->payload : f->means == MEANS_NONCE ? &r->told->nonce : NULL;
    int ret = 0;

    if (value->len == 0 && f->optional && f->floor > 0) {
        /* as if it were absent */
    } else if (value->len < f->floor || value->len > f->ceiling) {
        ret = object_bad(r->error, FAIL_DECODE, "%s has %zu octets, and takes %zu to %zu", f->name, value->len, f->floor,
                         f->ceiling);
    } else if (kept != NULL) {
        octets_free(kept);
        *kept = *value;
        *value = (struct octets) { 0 };
    } else if (f->means == MEANS_DEFINED) {
        ret = compare(r, f, value);
    }
    octets_free(value);
    return ret;
}

static int is_constant(const struct object_field *f, int n, const struct text *value)
{
    return f->is[n] != NULL && strlen(f->is[n]) == value->len &&
           (value->len == 0 || memcmp(f->is[n], value->p, value->len) == 0);
}

static int take_text(const struct object_reader *r, const struct object_field *f, const struct text *value)
{
    switch (f->means) {
        case MEANS_VERDICT:
            r->told->refused |= is_constant(f, 1, value);
            if (!f->any && !is_constant(f, 0, value) && !is_constant(f, 1, value)) {
                return object_bad(r->error, FAIL_ILLEGAL_PARAMETER, "%s is no verdict", f->name);
            }
            return 0;
        case MEANS_REASON:
            r->told->refused |= value->len > 0;
            snprintf(r->told->reason, sizeof(r->told->reason), "%s", value->p != NULL ? value->p : "");
            return 0;
        default:
            if (f->any || is_constant(f, object_which(f, r->c), value)) {
                return 0;
            }
            return object_bad(r->error, FAIL_ILLEGAL_PARAMETER, "%s is another one, or not absent", f->name);
    }
}

/* Octets are a text but in CBOR; digits of FIELD_HEX may be of either case. */
static int unspell_field(const struct object_field *f, enum scalar kind, struct text *value, struct octets *out)
{
    if (kind == SCALAR_OCTETS) {
        return octets_set(out, (unsigned char *) value->p, value->len);
    }
    for (size_t i = 0; f->type == FIELD_HEX && i < value->len; i++) {
        value->p[i] = value->p[i] >= 'A' && value->p[i] <= 'F' ? (char) (value->p[i] - 'A' + 'a') : value->p[i];
    }
    return unspell(object_spelling(f->type), value->p != NULL ? value->p : "", value->len, out);
}

static int read_scalar(const struct object_reader *r, const struct object_rule *o, const struct object_field *f,
                       const struct entry *e)
{
    const enum scalar wanted = f->type == FIELD_NUMBER ? SCALAR_NUMBER : f->type == FIELD_BOOLEAN ? SCALAR_BOOLEAN :
        f->type == FIELD_OCTETS && o->cbor ? SCALAR_OCTETS : SCALAR_TEXT;
    struct text value = { 0 };
    struct octets octets = { 0 };
    const enum scalar kind = o->cbor ? cbor_scalar(e, &value) : json_scalar(e, &value);
    int ret;

    if (value.failed) {
        ret = MBEDTLS_ERR_SSL_ALLOC_FAILED;
    } else if (kind != wanted || (f->type >= FIELD_OCTETS && unspell_field(f, kind, &value, &octets) != 0)) {
        ret = object_bad(r->error, FAIL_DECODE, "%s has another type", f->name);
        octets_free(&octets);
    } else {
        ret = f->type >= FIELD_OCTETS ? take_octets(r, f, &octets) : take_text(r, f, &value);
    }
    text_free(&value);
    return ret;
}

static int read_object(const struct object_reader *r, int object, const unsigned char *p, size_t len);

static int read_entries(const struct object_reader *r, const struct object_rule *o, const struct entries *list)
{
    int seen[MAX_OBJECT_FIELDS] = { 0 }, ret = 0;

    for (size_t i = 0; ret == 0 && i < list->count; i++) {
        const struct entry *e = &list->list[i];
        const struct object_field *f = find(o, e);
        for (size_t k = 0; k < i; k++) {
            if (same_key(e, &list->list[k])) {
                return object_bad(r->error, FAIL_DECODE, "a member is there twice");
            }
        }
        if (f == NULL) {
            ret = o->ignores ? 0 : object_bad(r->error, FAIL_DECODE, "%s has a member that is not known", o->name);
        } else if (!e->null || !f->optional) {
            seen[f - o->fields] = 1;
            ret = f->type == FIELD_OBJECT ? read_object(r, f->object, e->value, e->len) : read_scalar(r, o, f, e);
        }
    }
    for (size_t i = 0; ret == 0 && i < o->field_count && !r->told->refused; i++) {
        if (!seen[i] && !may_be_absent(r, &o->fields[i])) {
            ret = object_bad(r->error, FAIL_DECODE, "%s is absent", o->fields[i].name);
        }
    }
    return ret;
}

static int read_object(const struct object_reader *r, int object, const unsigned char *p, size_t len)
{
    const struct object_rule *o = &r->all[object];
    struct entries *list = calloc(1, sizeof(*list));
    int ret = list == NULL ? MBEDTLS_ERR_SSL_ALLOC_FAILED :
        o->cbor ? cbor_entries(p, len, list, r->error) : json_entries(p, len, list, r->error);

    ret = ret == 0 ? read_entries(r, o, list) : ret;
    if (list != NULL) {
        entries_free(list);
    }
    free(list);
    return ret;
}

int object_read(const struct object_rule *all, int object, const unsigned char *p, size_t len,
                const struct object_content *c, struct object_told *told, struct object_error *error)
{
    const struct object_reader r = { all, c, told, error };

    return read_object(&r, object, p, len);
}
