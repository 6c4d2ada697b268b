/* What RFC 9261 asks of the application that attests in exported authenticators. */
#include "exported.h"

#include <string.h>

#include "mbedtls/oid.h"

static const char certificate_message[] = "certificate";

/* The message with which an end asks for an attester. */
static enum message request_to(enum role attester)
{
    return attester == SERVER ? IN_CLIENT_CERTIFICATE_REQUEST : IN_CERTIFICATE_REQUEST;
}

const char *exported_request_name(enum role attester)
{
    return attester == SERVER ? "client_certificate_request" : "certificate_request";
}

static const struct placed_extension *extension_of(const struct exported *e, unsigned number)
{
    number = code_point_received(e->c->options->draft, EXTENSIONS, number);
    for (size_t i = 0; i < e->profile->extension_count; i++) {
        const struct placed_extension *x = &e->profile->extensions[i];
        if (x->later && x->number == number) {
            return x;
        }
    }
    return NULL;
}

static unsigned number_of(const struct exported *e, int extension)
{
    return code_point_sent(e->c->options->draft, EXTENSIONS, e->profile->extensions[extension].number);
}

/* The body of an extension in a list that was checked; p is NULL where it is not there. */
static struct reader find(struct reader list, unsigned number)
{
    struct reader none = { NULL, NULL, 0 };

    while (!list.bad && reader_left(&list) > 0) {
        unsigned type = read_number(&list, 2);
        struct reader body = read_vector(&list, 2);
        if (!list.bad && type == number) {
            return body;
        }
    }
    return none;
}

/* The extensions of a request. */
static struct reader extensions_of(const struct octets *request)
{
    struct reader r = read_all(request->p, request->len);

    read_number(&r, 4);
    read_vector(&r, 1);
    return read_vector(&r, 2);
}

/* ---- what RFC 9261 asks of its application ---- */

static int export(void *context, const char *label, unsigned char *out, size_t len)
{
    struct exported *e = context;

    return mbedtls_ssl_export_keying_material(&e->c->ssl, out, len, label, strlen(label), NULL, 0, 0);
}

static int ask(void *context, struct writer *w)
{
    struct exported *e = context;
    const enum role attester = !e->c->options->role;
    const struct later_rule *s = &e->profile->later[attester];
    const struct place place = { exported_request_name(attester), attester == CLIENT };
    size_t body;

    if (s->asks < 0) {
        return 0;
    }
    write_number(w, number_of(e, s->asks), 2);
    body = write_vector_begin(w, 2);
    if (encode(e->profile->extensions[s->asks].at[request_to(attester)].type, &place, w, NULL, 0) != 0) {
        return -1;
    }
    write_vector_end(w, 2, body);
    return 0;
}

static enum authenticator_place place_of(void *context, unsigned type, int message, size_t entry,
                                         const uint16_t *asked, size_t count)
{
    struct exported *e = context;
    const struct placed_extension *x = e->c->agreed || e->profile->after.flag < 0 ? extension_of(e, type) : NULL;
    const enum message m = message == MBEDTLS_SSL_HS_CERTIFICATE ? IN_CERTIFICATE :
        message == MBEDTLS_SSL_HS_CERTIFICATE_REQUEST ? IN_CERTIFICATE_REQUEST : IN_CLIENT_CERTIFICATE_REQUEST;
    const enum role sender = !e->c->options->role;
    const struct placement *p;

    if (x == NULL) {
        return PLACE_UNKNOWN;
    }
    p = &x->at[m];
    if (!p->placed) {
        return PLACE_WRONG_MESSAGE;
    }
    if (m != IN_CERTIFICATE || (!(p->first && entry > 0) && (p->any & 1 << sender))) {
        return PLACE_FITS;
    }
    if (p->first && entry > 0) {
        return PLACE_WRONG_ENTRY;
    }
    for (size_t i = 0; i < p->offered_by_count[sender]; i++) {
        for (size_t k = 0; k < count; k++) {
            if (p->offered_by[sender][i].message == request_to(sender) &&
                number_of(e, p->offered_by[sender][i].extension) == asked[k]) {
                return PLACE_FITS;
            }
        }
    }
    return PLACE_UNASKED;
}

static int begin_attestation(struct exported *e, struct attestation *a, enum role attester,
                             const struct octets *context, const mbedtls_x509_crt *crt)
{
    const struct octets spki = { crt->pk_raw.p, crt->pk_raw.len }, der = { crt->raw.p, crt->raw.len };

    return exported_attestation(e, a, attester, IN_AUTHENTICATOR, context, &spki, &der);
}

int exported_is_asked(struct exported *e)
{
    const enum role self = e->c->options->role;
    const struct later_rule *s = &e->profile->later[self];
    const struct place place = { exported_request_name(self), self == CLIENT };
    struct reader body;

    if (s->name == NULL || (!e->c->agreed && e->profile->after.flag >= 0)) {
        return 0;
    }
    body = s->asks < 0 ? (struct reader) { 0 } : find(extensions_of(&e->request), number_of(e, s->asks));
    if (body.p == NULL) {
        return s->every;
    }
    if (decode(e->profile->extensions[s->asks].at[request_to(self)].type, &place, &body, NULL, 0) != CODEC_OK ||
        reader_left(&body) > 0) {
        return fail(e->c, FAIL_MALFORMED_EXTENSION, place.message, "the extension that asks is malformed");
    }
    return 1;
}

static int show(void *context, const struct authenticator_claim *asked, struct writer *w)
{
    struct exported *e = context;
    const enum role self = e->c->options->role;
    const struct later_rule *s = &e->profile->later[self];
    const struct place place = { certificate_message, self == SERVER };
    struct attestation a = { 0 };
    struct field f = { .path = s->payload.field };
    struct text wrapped = { 0 };
    size_t body;

    e->ret = exported_is_asked(e);
    if (e->ret <= 0) {
        return e->ret;
    }
    e->ret = begin_attestation(e, &a, self, &asked->context, e->config.chain);
    e->ret = e->ret == 0 ? evidence_make(e->c, &a, certificate_message) : e->ret;
    e->ret = e->ret == 0 ? exported_wrap(e, &a, &wrapped) : e->ret;
    if (e->ret != 0) {
        text_free(&wrapped);
        attestation_free(&a);
        return -1;
    }
    f.p = (unsigned char *) wrapped.p;
    f.len = wrapped.len;
    e->shown = exported_remember(e->c, &a);
    write_number(w, number_of(e, s->payload.extension), 2);
    body = write_vector_begin(w, 2);
    if (encode(e->profile->extensions[s->payload.extension].at[IN_CERTIFICATE].type, &place, w, &f, 1) != 0) {
        e->ret = fail(e->c, FAIL_OWN_LIMIT, certificate_message, "there is no room for a payload of %zu octets", f.len);
    }
    text_free(&wrapped);
    write_vector_end(w, 2, body);
    return e->ret != 0 ? -1 : 0;
}

/* ---- the peer's ---- */

static int check_chain(struct exported *e, mbedtls_x509_crt *chain)
{
    static const struct {
        uint32_t flags;
        enum failure failure;
    } failures[] = {
        { MBEDTLS_X509_BADCERT_EXPIRED | MBEDTLS_X509_BADCERT_FUTURE, FAIL_CERTIFICATE_EXPIRED },
        { MBEDTLS_X509_BADCERT_REVOKED, FAIL_CERTIFICATE_REVOKED },
        { MBEDTLS_X509_BADCERT_NOT_TRUSTED, FAIL_UNKNOWN_CA },
        { MBEDTLS_X509_BADCERT_CN_MISMATCH, FAIL_CERTIFICATE_NAME },
    };
    const struct options *o = e->c->options;
    const char *const purpose = o->role == CLIENT ? MBEDTLS_OID_SERVER_AUTH : MBEDTLS_OID_CLIENT_AUTH;
    uint32_t flags = 0;
    int ret = mbedtls_x509_crt_verify(chain, e->anchors, NULL, o->role == CLIENT ? o->server_name : NULL, &flags,
                                      NULL, NULL);

    for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
        if (flags & failures[i].flags) {
            return fail(e->c, failures[i].failure, certificate_message, "the certification path is not valid: %#x",
                        (unsigned) flags);
        }
    }
    if (ret != 0) {
        return fail(e->c, FAIL_BAD_CERTIFICATE, certificate_message, "the certification path is not valid: %#x",
                    (unsigned) flags);
    }
    if (mbedtls_x509_crt_check_extended_key_usage(chain, purpose, MBEDTLS_OID_SIZE(MBEDTLS_OID_SERVER_AUTH)) != 0 ||
        mbedtls_x509_crt_check_key_usage(chain, MBEDTLS_X509_KU_DIGITAL_SIGNATURE) != 0) {
        return fail(e->c, FAIL_KEY_USAGE, certificate_message, "the certificate is not for its purpose");
    }
    return 0;
}

/* Takes the payload out of the extensions of the first entry: 1, 0 where there is none, or an error. */
static int take_payload(struct exported *e, const struct later_rule *s, struct reader extensions,
                        struct attestation *a)
{
    const struct placement *p = &e->profile->extensions[s->payload.extension].at[IN_CERTIFICATE];
    const struct place place = { certificate_message, e->c->options->role == CLIENT };
    struct reader body = find(extensions, number_of(e, s->payload.extension));
    struct field f = { .path = s->payload.field };

    if (body.p == NULL) {
        return e->optional ? 0 : fail(e->c, FAIL_MISSING, certificate_message, "the authenticator has no payload");
    }
    if (decode(p->type, &place, &body, &f, 1) != CODEC_OK || (reader_left(&body) > 0 && !p->trailing) || !f.found) {
        return fail(e->c, FAIL_MALFORMED_CMW, certificate_message, "%s is malformed",
                    e->profile->extensions[s->payload.extension].name);
    }
    if (f.len == 0) {
        return fail(e->c, FAIL_MALFORMED_CMW, certificate_message, "the payload is empty");
    }
    if (s->object >= 0) {
        return exported_unwrap(e, a, f.p, f.len);
    }
    return octets_set(&a->payload, f.p, f.len) != 0 ? MBEDTLS_ERR_SSL_ALLOC_FAILED : 1;
}

static int judge(struct exported *e, const struct authenticator_claim *got, mbedtls_x509_crt *chain,
                 struct reader extensions)
{
    const enum role peer = !e->c->options->role;
    const struct later_rule *s = &e->profile->later[peer];
    struct attestation a;
    int ret;

    if (got->spontaneous) {
        return fail(e->c, FAIL_REQUEST_CONTEXT, certificate_message, "the authenticator answers no request");
    }
    ret = check_chain(e, chain);
    if (ret != 0 || s->name == NULL) {
        return ret;
    }
    ret = begin_attestation(e, &a, peer, &got->context, chain);
    ret = ret == 0 ? take_payload(e, s, extensions, &a) : ret;
    if (ret <= 0) {
        attestation_free(&a);
        return ret;
    }
    a.signature = got->schemes[0];
    ret = evidence_judge(e->c, &a, certificate_message);
    exported_remember(e->c, &a);
    return ret;
}

static int take(void *context, const struct authenticator_claim *got, mbedtls_x509_crt *chain, struct reader extensions)
{
    struct exported *e = context;

    e->ret = judge(e, got, chain, extensions);
    return e->ret;
}

void exported_obey(struct exported *e)
{
    e->config.export = export;
    e->config.exporter = e;
    e->config.application.context = e;
    e->config.application.ask = ask;
    e->config.application.show = show;
    e->config.application.place = place_of;
    e->config.application.take = take;
}
