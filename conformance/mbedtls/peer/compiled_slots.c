/* The slots and credentials of a compiled profile. */
#include "loader.h"

#include <stdio.h>
#include <string.h>

/* ---- slots ---- */

static int read_models(struct loader *l, struct slot_rule *s)
{
    const struct path map = load_path("bind/schemes/%s/model", s->element.name);
    const struct record *r = document_find(l->d, "%s", map.p);

    if (r == NULL) {
        return load_refuse(l, "%s is missing", map.p);
    }
    if (r->kind == RECORD_KEY) {
        int model = load_word(l, load_models, 0, map.p);
        s->models[EVIDENCE] = model != 1;
        s->models[RESULTS] = model != 0;
        return l->failed ? -1 : 0;
    }
    for (size_t i = 0; i < l->d->record_count; i++) {
        const char *name = document_child(&l->d->records[i], map.p);
        if (name != NULL && strcmp(name, "field") != 0) {
            int model = load_word(l, load_models, 0, l->d->records[i].path);
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
    const struct path map = load_path("bind/schemes/%s/", name);

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
    const struct member *m = member_at(load_type_at(l->c, &s->offer), s->offer.field);
    char name[512];

    if (m == NULL || m->dimension.kind != DIM_VECTOR || text_encode(m->type_name, name, sizeof(name)) != 0 ||
        !load_is_name(name)) {
        return load_refuse(l, "the offer of bind/slots/%.100s is no list", s->name);
    }
    s->element.name = m->type_name;
    s->element.type = m->type;
    know_meaning(l, s->element.name);
    return read_models(l, s);
}

/* How what has no list is negotiated: not at all, or by a flag. */
static int read_way(struct loader *l, struct slot_rule *s, const char *map)
{
    static const char *const words[] = { "evidence/alone", "evidence/x509", "results/alone", "results/x509", NULL };
    const struct path always = load_path("%s/always", map), flagged = load_path("%s/flag", map);
    const char *value = document_value(l->d, "%s/value", map);
    int way;

    s->credentials[ALONE] = s->credentials[BESIDE_X509] = 1;
    s->always = document_find(l->d, "%s", always.p) != NULL;
    s->flagged = document_find(l->d, "%s", flagged.p) != NULL;
    if (!s->always && !s->flagged) {
        return value != NULL ? load_refuse(l, "only a flag has a value, and bind/slots/%.100s has none", s->name) : 0;
    }
    way = load_word(l, words, -1, s->always ? always.p : flagged.p);
    if (way < 0 || (s->always && (s->flagged || way % 2 == 0))) {
        return load_refuse(l, "bind/slots/%.100s cannot be negotiated", s->name);
    }
    s->models[way < 2 ? EVIDENCE : RESULTS] = 1;
    s->credentials[way % 2 == 0 ? BESIDE_X509 : ALONE] = 0;
    if (value != NULL && (strncmp(value, "0x", 2) != 0 || octets_from_hex(&s->flag, value + 2) != 0 ||
                          s->flag.len == 0 || s->flag.len > 64)) {
        return load_refuse(l, "the flag of bind/slots/%.100s is no octets", s->name);
    }
    return 0;
}

/* Where a nonce is in a field that an RFC defines, and what of that mbedTLS can send. */
static int check_field(struct loader *l, const struct slot_rule *s, const char *in)
{
    const struct nonce_field *f = &s->field;
    const size_t longest = f->prefix.len + f->suffix.len +
                           (f->codec == SPELT_HEX ? 2 * f->ceiling : (f->ceiling + 2) / 3 * 4);

    if ((s->nonce.message == IN_CLIENT_HELLO) != (s->attester == SERVER)) {
        return load_refuse(l, "the relying party of bind/slots/%.100s does not send %.100s", s->name, in);
    }
    if (f->place == IN_RANDOM && (f->offset + f->ceiling > RANDOM_SIZE || f->floor != f->ceiling ||
                                  f->codec != SPELT_RAW)) {
        return load_refuse(l, "the nonce of bind/slots/%.100s does not fit random", s->name);
    }
    if (f->codec == SPELT_RAW && (f->place == IN_SERVER_NAME || f->place == IN_AUTHORITIES)) {
        return load_refuse(l, "%.100s is text", in);
    }
    if (f->codec == SPELT_RAW && f->place == IN_ALPN) {
        return load_cannot(l, "a protocol of ALPN is a text in mbedTLS, and octets as they are may be none: the nonce of bind/slots/"
                      "%.100s in client_hello", s->name);
    }
    if ((f->place == IN_SERVER_NAME || f->place == IN_ALPN) && longest > MBEDTLS_SSL_MAX_HOST_NAME_LEN) {
        return load_cannot(l, "mbedTLS sends at most %d octets in %.100s", MBEDTLS_SSL_MAX_HOST_NAME_LEN, in);
    }
    return 0;
}

static int load_nonce_field(struct loader *l, struct slot_rule *s, const char *map)
{
    static const char *const fields[] = { "client_hello.server_name", "client_hello.application_layer_protocol_negotiation",
        "client_hello.certificate_authorities", "certificate_request.certificate_authorities", "client_hello.random", NULL };
    static const enum nonce_place places[] = { IN_SERVER_NAME, IN_ALPN, IN_AUTHORITIES, IN_AUTHORITIES, IN_RANDOM };
    static const char *const codecs[] = { "raw", "hex", "base64", "base64url", NULL };
    const struct path path = load_path("%s/nonce", map);
    const int in = load_word(l, fields, -1, load_path("%s/in", path.p).p);
    const char *as = document_value(l->d, "%s/as", path.p);
    struct nonce_field *f = &s->field;

    if (l->failed || in < 0) {
        return load_refuse(l, "%.200s does not say in which field", path.p);
    }
    f->place = places[in];
    s->nonce = (struct where) { .set = 1, .message = in == 3 ? IN_CERTIFICATE_REQUEST : IN_CLIENT_HELLO, .extension = -2,
        .added = -1, .x509 = -1, .field = "" };
    f->codec = (enum spelling) load_word(l, codecs, f->place == IN_RANDOM ? SPELT_RAW : -1, load_path("%s/codec", path.p).p);
    f->offset = (size_t) load_number(l, 0, RANDOM_SIZE, load_path("%s/offset", path.p).p);
    f->selected = load_flag(l, "never", "if_no_other", 0, load_path("%s/selected", path.p).p);
    if (l->failed || (int) f->codec < 0 ||
        load_bounds(l, &f->floor, &f->ceiling, MAX_NONCE, load_path("%s/octets", path.p).p) != 0) {
        return load_refuse(l, "%.200s cannot be read", path.p);
    }
    if (f->place != IN_RANDOM && nonce_field_template(f, as != NULL ? as : "{nonce}") != 0) {
        return load_refuse(l, "%.200s/as is no template", path.p);
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
           load_where(l, &s->nonce, load_path("%s/nonce", map).p, 0);
}

int load_slot(struct loader *l, const struct record *r, const char *name)
{
    static const char *const roles[] = { "client", "server", NULL };
    static const char *const phases[] = { "any", "handshake", "post_handshake", "authenticator", "application_frame",
                                          "key_update", NULL };
    struct slot_rule *s;
    const struct path map = load_path("bind/slots/%s", name);
    const int phase = load_word(l, phases, 0, load_path("%s/phase", map.p).p);

    if (l->c->slot_count == MAX_SLOTS || r->kind != RECORD_MAP || !load_is_name(name)) {
        return load_refuse(l, "line %zu: bind/slots/%.100s cannot be used", r->line, name);
    }
    if (phase == 3 || phase == 4) {
        return load_later_slot(l, r, name, phase == 4);
    }
    if (phase == 2 || phase == 5) { /* see load_is_after() and pass_over_updates() */
        load_pass_over(l, map.p);
        return 0;
    }
    s = &l->c->slots[l->c->slot_count++];
    s->name = name;
    s->attester = (enum role) load_word(l, roles, -1, load_path("%s/attester", map.p).p);
    if (l->failed || (int) s->attester < 0) {
        return load_refuse(l, "bind/slots/%.100s has no attester", name);
    }
    if (read_way(l, s, map.p) != 0) {
        return -1;
    }
    l->whole = s->flagged && s->flag.len == 0;
    if (load_where(l, &s->offer, load_path("%s/offer", map.p).p, !s->always) != 0 ||
        load_where(l, &s->choice, load_path("%s/choice", map.p).p, !s->always) != 0) {
        return -1;
    }
    l->whole = 0;
    if (load_nonce_of(l, s, map.p) != 0 ||
        load_where(l, &s->payload, load_path("%s/carried_in", map.p).p, 0) != 0) {
        return -1;
    }
    if (s->always) {
        return 0;
    }
    if (s->offer.message != IN_CLIENT_HELLO || s->offer.extension < 0) {
        return load_refuse(l, "the offer of bind/slots/%.100s is not in client_hello", name);
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

void load_sorted(struct compiled *c)
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
            return load_refuse(l, "line %zu: keys on %.100s are not known", r->line, r->values[i]);
        }
        k->keys[k->key_count++] = group;
    }
    return 0;
}

int load_credential(struct loader *l, enum credential credential, const char *name)
{
    struct credential_rule *k = &l->c->credentials[credential];
    const struct path map = load_path("bind/credentials/%s", name);
    const char *carried = document_value(l->d, "%s/carried_in", map.p);
    const char *type = document_value(l->d, "%s/certificate_type", map.p);
    const struct code_point *p = type != NULL ? load_point(l, CERTIFICATE_TYPES, type) : NULL;

    if (document_find(l->d, "%s", map.p) == NULL) {
        return 0;
    }
    k->present = 1;
    if (carried != NULL && strncmp(carried, "certificate.", 12) == 0) {
        const char *extension = carried + 12;
        if (load_is_after(l, load_path("%.*s", (int) strcspn(extension, "."), extension).p)) {
            return load_cannot(l, "a payload in post-handshake authentication, which mbedTLS does not have");
        }
    }
    if (carried != NULL && strcmp(carried, "certificate.cert_data") == 0) {
        k->payload = (struct where) { .set = 1, .message = IN_CERTIFICATE, .extension = -1, .added = -1, .x509 = -1,
            .field = "" };
    } else if (load_where(l, &k->payload, load_path("%s/carried_in", map.p).p, 1) != 0) {
        return -1;
    }
    if (type != NULL && p == NULL && strcmp(type, "X509") != 0) {
        return load_refuse(l, "there is no certificate type %.100s", type);
    }
    k->certificate_type = p != NULL ? (uint8_t) p->number : 0;
    k->one_entry = load_flag(l, "any", "1", 0, load_path("%s/entries", map.p).p);
    k->rfc7250 = load_flag(l, "implied", "rfc7250", 0, load_path("%s/negotiated_by", map.p).p);
    k->key_from_appraisal = load_flag(l, "x509", "appraisal", 0, load_path("%s/key_from", map.p).p);
    k->pkix = load_flag(l, "none", "required", 1, load_path("%s/pkix", map.p).p);
    k->empty_context = load_flag(l, "echo", "empty", 0, load_path("%s/request_context", map.p).p);
    if (credential == ALONE && (k->payload.extension >= 0 || k->payload.added >= 0 || !k->key_from_appraisal)) {
        return load_cannot(l, "a credential alone is cert_data with the key of the appraisal, or this peer cannot show it");
    }
    if (credential == BESIDE_X509 && ((k->payload.extension < 0 && k->payload.added < 0 && k->payload.x509 < 0) ||
                                      k->key_from_appraisal)) {
        return load_cannot(l, "a credential beside X.509 is in an extension or a message, or this peer cannot show it");
    }
    return l->failed ? -1 : load_keys(l, k, map.p);
}
