/* Where a compiled profile places what it adds besides extensions: messages, fields of certificates, and paths of fields. */
#include "certificate.h"
#include "loader.h"

#include <stdio.h>
#include <string.h>

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
        return load_cannot(l, "line %zu: message %.100s stands where mbedTLS cannot send one", r->line, m->name);
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

int load_message(struct loader *l, const struct record *r, const char *name)
{
    const struct record *body = document_find(l->d, "messages/%s/body", name);
    struct added_message *m;

    if (l->c->added_count == MAX_ADDED || r->kind != RECORD_MAP || !load_is_name(name) ||
        body == NULL || body->kind != RECORD_KEY) {
        return load_refuse(l, "line %zu: message %.100s cannot be added", r->line, name);
    }
    m = &l->c->added[l->c->added_count++];
    m->name = name;
    m->type = strcmp(body->values[0], "opaque") == 0 ? NULL : load_type(l, body, body->values[0]);
    m->number = (uint8_t) load_number(l, 0, 255, load_path("code_points/messages/%s", name).p);
    if (m->number == 0) {
        return load_refuse(l, "line %zu: message %.100s has no code point", r->line, name);
    }
    load_also_in(l, load_path("messages/%s", name).p);
    return l->failed ? -1 : set_gaps(l, m, r);
}

/* ---- fields of certificates ---- */

int load_x509(struct loader *l, const struct record *r, const char *name)
{
    static const char *const criticals[] = { "either", "false", "true", NULL };
    const struct path map = load_path("x509/%s", name);
    const char *oid = document_value(l->d, "%s/oid", map.p);
    struct x509_field *x;

    if (l->c->x509_count == MAX_X509 || r->kind != RECORD_MAP || !load_is_name(name)) {
        return -1;
    }
    x = &l->c->x509[l->c->x509_count++];
    x->name = name;
    x->dns_names = document_value(l->d, "%s/dns_names", map.p);
    if (oid != NULL ? x->dns_names != NULL || oid_from_text(oid, &x->oid) != 0 :
        x->dns_names == NULL || strlen(x->dns_names) > 200) {
        return load_refuse(l, "line %zu: field %.100s has no object identifier and no DNS names", r->line, name);
    }
    x->critical = load_word(l, criticals, 0, load_path("%s/critical", map.p).p) - 1;
    x->octet_string = load_flag(l, "false", "true", 0, load_path("%s/octet_string", map.p).p);
    x->tagged = document_find(l->d, "%s/cbor_tag", map.p) != NULL;
    x->tag = load_number(l, 0, UINT64_MAX, load_path("%s/cbor_tag", map.p).p);
    x->array = document_find(l->d, "%s/cbor_array", map.p);
    x->content = document_value(l->d, "%s/content", map.p);
    x->content = x->content != NULL ? x->content : "payload";
    x->digits = (size_t) load_number(l, 2, 6, load_path("%s/digits", map.p).p);
    x->chunk = (size_t) load_number(l, 48, MAX_LABEL - 1, load_path("%s/chunk", map.p).p);
    x->hex = load_flag(l, "base32", "hex", 0, load_path("%s/codec", map.p).p);
    return x->chunk > 0 && x->digits > 0 && x->digits + x->chunk <= MAX_LABEL && (x->array == NULL || (x->array->kind == RECORD_LIST &&
                                                                  x->array->count < 16)) ?
           0 : -1;
}

/* ---- paths of fields ---- */

const struct type *load_type_at(const struct compiled *c, const struct where *w)
{
    return w->extension >= 0 ? c->extensions[w->extension].at[w->message].type :
           w->added >= 0 ? c->added[w->added].type : NULL;
}

/* message.extension.field, or message.field of an added message. */
static int find_where(struct loader *l, struct where *w, const char *path)
{
    const char *dot = strchr(path, '.'), *rest = dot != NULL ? dot + 1 : "";
    size_t len = strcspn(path, "."), extension_len = strcspn(rest, ".");
    int message = load_message_named(path, len);

    *w = (struct where) { .set = 1, .extension = -1, .added = -1, .x509 = -1, .field = "" };
    if (strncmp(path, "certificate.x509.", 17) == 0) {
        w->message = IN_CERTIFICATE;
        for (size_t i = 0; i < l->c->x509_count; i++) {
            if (strcmp(l->c->x509[i].name, path + 17) == 0) {
                w->x509 = (int) i;
                return 0;
            }
        }
        return load_refuse(l, "%.100s is no field of certificates", path);
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
        w->extension = load_extension(l, rest, extension_len);
        w->field = rest[extension_len] == '.' ? rest + extension_len + 1 : "";
        if (w->extension < 0 || !l->c->extensions[w->extension].at[message].placed) {
            return load_refuse(l, "%.100s is in no extension of its message", path);
        }
    } else if (w->added < 0) {
        return load_refuse(l, "%.100s is in no message", path);
    }
    if (w->field[0] == '\0' ? !l->whole && load_type_at(l->c, w) != NULL : member_at(load_type_at(l->c, w), w->field) == NULL) {
        return load_refuse(l, "%.100s is no field of its type", path);
    }
    return 0;
}

/* The same of a key, if there is one. */
int load_where(struct loader *l, struct where *w, const char *path, int required)
{
    const struct record *r = document_find(l->d, "%s", path);

    if (r == NULL) {
        return required ? load_refuse(l, "%s is missing", path) : 0;
    }
    if (r->kind != RECORD_KEY) {
        return load_refuse(l, "line %zu: %s is a field that this peer cannot reach", r->line, path);
    }
    return find_where(l, w, r->values[0]);
}
