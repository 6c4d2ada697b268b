/* Requests and exported authenticators of ours, and requests of the peer. */
#include "authenticator_state.h"

#include <stdlib.h>
#include <string.h>

#include "mbedtls/sha256.h"

/*
 * struct {
 *     opaque certificate_request_context<0..2^8-1>;
 *     Extension extensions<2..2^16-1>;
 * } CertificateRequest, ClientCertificateRequest;
 */
static int read_request(struct authenticators *a, const unsigned char *p, size_t len, struct asked *q,
                        struct authenticator_claim *claim)
{
    struct reader r = read_all(p, len), body, context, list;
    unsigned type = read_number(&r, 1), due = a->config->server ? CLIENT_CERTIFICATE_REQUEST : CERTIFICATE_REQUEST;

    body = read_vector(&r, 3);
    if (r.bad || len > AUTHENTICATOR_OCTETS) {
        return au_failed(a, r.bad ? "decode.malformed" : "limit.capacity", "a request of %zu octets", len);
    }
    if (type != due || !reader_done(&r)) {
        return au_failed(a, "message.unexpected", "message %u where one of type %u belongs, and nothing behind it", type, due);
    }
    context = read_vector(&body, 1);
    list = read_vector(&body, 2);
    if (!reader_done(&body)) {
        return au_failed(a, body.bad ? "decode.malformed" : "decode.trailing_octets", "the request");
    }
    if (au_read_offer(a, list, q, (unsigned char) type) != 0) {
        return -1;
    }
    if (!au_offered(q, EXT_SIGNATURE_ALGORITHMS)) {
        return au_failed(a, "extension.missing", "signature_algorithms is missing in the request");
    }
    if (octets_set(&q->context, context.p, reader_left(&context)) != 0 || octets_set(&q->raw, p, len) != 0 ||
        octets_set(&claim->context, context.p, reader_left(&context)) != 0) {
        return au_no_memory(a);
    }
    claim->type = (unsigned char) type;
    claim->extension_count = q->extension_count;
    memcpy(claim->extensions, q->extensions, sizeof(claim->extensions));
    claim->scheme_count = q->scheme_count;
    memcpy(claim->schemes, q->schemes, sizeof(claim->schemes));
    return 0;
}

int authenticators_request(struct authenticators *a, const unsigned char *context, size_t len, struct octets *out,
                           struct authenticator_claim *made)
{
    static const uint16_t wanted[] = { 0x0403, 0x0503, 0x0804, 0x0805 };
    const struct authenticator_application *app = &a->config->application;
    unsigned char buffer[1024];
    struct writer w = write_into(buffer, sizeof(buffer));
    struct asked *q;
    struct reader r, extensions;
    size_t message, list, body, own;

    if (a->open_count == AUTHENTICATOR_OPEN) {
        return au_failed(a, "limit.capacity", "%d requests are open", AUTHENTICATOR_OPEN);
    }
    if (len > 255) {
        return au_failed(a, "configuration", "a context of %zu octets; at most 255 fit", len);
    }
    if (au_context_use(a, context, len) != 0) {
        return -1;
    }
    write_number(&w, a->config->server ? CERTIFICATE_REQUEST : CLIENT_CERTIFICATE_REQUEST, 1);
    message = write_vector_begin(&w, 3);
    write_vector(&w, 1, context, len);
    list = write_vector_begin(&w, 2);
    write_number(&w, EXT_SIGNATURE_ALGORITHMS, 2);
    body = write_vector_begin(&w, 2);
    own = write_vector_begin(&w, 2);
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        write_number(&w, wanted[i], 2);
    }
    write_vector_end(&w, 2, own);
    write_vector_end(&w, 2, body);
    if (app->ask != NULL && app->ask(app->context, &w) != 0) {
        return au_failed(a, "internal", "the application refuses");
    }
    write_vector_end(&w, 2, list);
    write_vector_end(&w, 3, message);
    if (w.bad) {
        return au_failed(a, "limit.own", "the extensions do not fit a request");
    }
    q = &a->open[a->open_count];
    memset(q, 0, sizeof(*q));
    r = read_all(w.start, writer_len(&w));
    read_number(&r, HEADER);
    read_vector(&r, 1);
    extensions = read_vector(&r, 2);
    if (au_read_offer(a, extensions, q, buffer[0]) != 0) {
        au_asked_free(q);
        return -1;
    }
    if ( octets_set(&q->context, context, len) != 0 || octets_set(&q->raw, w.start, writer_len(&w)) != 0 ||
        octets_set(out, w.start, writer_len(&w)) != 0 || octets_set(&made->context, context, len) != 0) {
        au_asked_free(q);
        return au_no_memory(a);
    }
    made->type = buffer[0];
    made->extension_count = q->extension_count;
    memcpy(made->extensions, q->extensions, sizeof(made->extensions));
    made->scheme_count = q->scheme_count;
    memcpy(made->schemes, q->schemes, sizeof(made->schemes));
    a->open_count++;
    return 0;
}

int au_note_certificate(struct authenticators *a, const unsigned char *p, size_t len, struct authenticator_claim *claim)
{
    if (claim->chain_count == AUTHENTICATOR_ENTRIES) {
        return au_failed(a, "limit.capacity", "more than %d certificates", AUTHENTICATOR_ENTRIES);
    }
    if (mbedtls_sha256(p, len, claim->chain[claim->chain_count++], 0) != 0) {
        return au_failed(a, "internal", "the hash failed");
    }
    return 0;
}

int au_write_certificate(struct authenticators *a, struct writer *w, const struct octets *context, int empty,
                         const struct authenticator_claim *asked, struct authenticator_claim *made)
{
    const struct authenticator_application *app = &a->config->application;
    size_t message, list, extensions;

    write_number(w, CERTIFICATE, 1);
    message = write_vector_begin(w, 3);
    write_vector(w, 1, context->p, context->len);
    list = write_vector_begin(w, 3);
    for (mbedtls_x509_crt *crt = a->config->chain; !empty && crt != NULL && crt->raw.p != NULL; crt = crt->next) {
        write_vector(w, 3, crt->raw.p, crt->raw.len);
        extensions = write_vector_begin(w, 2);
        if (crt == a->config->chain && asked != NULL && app->show != NULL && app->show(app->context, asked, w) != 0) {
            return au_failed(a, "internal", "the application refuses");
        }
        write_vector_end(w, 2, extensions);
        if (au_note_certificate(a, crt->raw.p, crt->raw.len, made) != 0) {
            return -1;
        }
    }
    write_vector_end(w, 3, list);
    write_vector_end(w, 3, message);
    return w->bad ? au_failed(a, "limit.own", "the certificates do not fit") : 0;
}

static int write_finished(struct authenticators *a, struct writer *w, const struct au_keys *k, const struct octets *parts, size_t count)
{
    unsigned char mac[MBEDTLS_MD_MAX_SIZE];

    if (au_mac(a, k, parts, count, mac) != 0) {
        return -1;
    }
    write_number(w, FINISHED, 1);
    write_vector(w, 3, mac, a->hash_len);
    return w->bad ? au_failed(a, "limit.own", "Finished does not fit") : 0;
}

/* The empty authenticator (section 6): Finished, over a Certificate without entries that
 * is not sent. */
static int write_empty(struct authenticators *a, const struct asked *q, struct octets *out, struct authenticator_claim *made)
{
    unsigned char certificate[HEADER + 1 + 255 + 3], finished[HEADER + MBEDTLS_MD_MAX_SIZE];
    struct writer hashed = write_into(certificate, sizeof(certificate)), w = write_into(finished, sizeof(finished));
    struct au_keys *k = au_keys(a, a->config->server);
    struct octets parts[2] = { q->raw, { certificate, 0 } };

    if (k == NULL || au_write_certificate(a, &hashed, &q->context, 1, NULL, made) != 0) {
        return -1;
    }
    parts[1].len = writer_len(&hashed);
    made->empty = 1;
    if (write_finished(a, &w, k, parts, 2) != 0) {
        return -1;
    }
    return octets_set(out, w.start, writer_len(&w)) != 0 ? au_no_memory(a) : 0;
}

/* Certificate, CertificateVerify and Finished (section 5.2). */
static int write_proof(struct authenticators *a, const struct asked *q, const struct au_scheme *s, struct octets *out,
                       const struct authenticator_claim *asked, struct authenticator_claim *made)
{
    unsigned char *buffer = malloc(AUTHENTICATOR_OCTETS), hash[MBEDTLS_MD_MAX_SIZE], signature[MAX_SIGNATURE];
    struct writer w = write_into(buffer, buffer != NULL ? AUTHENTICATOR_OCTETS : 0);
    struct au_keys *k = au_keys(a, a->config->server);
    struct octets parts[3] = { q->raw, { buffer, 0 }, { NULL, 0 } };
    size_t len, body;
    int ret = -1;

    if (buffer == NULL) {
        return au_no_memory(a);
    }
    if (k == NULL || au_write_certificate(a, &w, &q->context, 0, asked, made) != 0) {
        goto end;
    }
    parts[1].len = writer_len(&w);
    if (au_hash(a, k, parts, 2, hash) != 0 || au_sign(a, s, hash, signature, &len) != 0) {
        goto end;
    }
    parts[2].p = w.p;
    write_number(&w, CERTIFICATE_VERIFY, 1);
    body = write_vector_begin(&w, 3);
    write_number(&w, s->number, 2);
    write_vector(&w, 2, signature, len);
    write_vector_end(&w, 3, body);
    parts[2].len = (size_t) (w.p - parts[2].p);
    if (write_finished(a, &w, k, parts, 3) != 0) {
        goto end;
    }
    made->schemes[0] = s->number;
    made->scheme_count = 1;
    ret = octets_set(out, w.start, writer_len(&w)) != 0 ? au_no_memory(a) : 0;
end:
    free(buffer);
    return ret;
}

/* The first scheme that was offered and fits our key. */
static const struct au_scheme *choose(const struct authenticators *a, const struct asked *q)
{
    if (a->config->chain == NULL || a->config->chain->raw.p == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < q->scheme_count; i++) {
        const struct au_scheme *s = au_scheme(q->schemes[i]);
        if (s != NULL && au_scheme_fits(s, a->config->key)) {
            return s;
        }
    }
    return NULL;
}

int authenticators_answer(struct authenticators *a, const unsigned char *request, size_t len, int refuse, struct octets *out,
                          struct authenticator_claim *asked, struct authenticator_claim *made)
{
    struct asked q = { 0 };
    const struct au_scheme *s;
    int ret = -1;

    if (read_request(a, request, len, &q, asked) != 0 || au_context_use(a, q.context.p, q.context.len) != 0) {
        goto end;
    }
    if (octets_set(&made->context, q.context.p, q.context.len) != 0) {
        au_no_memory(a);
        goto end;
    }
    s = choose(a, &q);
    ret = refuse || s == NULL ? write_empty(a, &q, out, made) : write_proof(a, &q, s, out, asked, made);
end:
    au_asked_free(&q);
    return ret;
}

int authenticators_spontaneous(struct authenticators *a, const unsigned char *context, size_t len, struct octets *out,
                               struct authenticator_claim *made)
{
    const struct asked *hello;
    const struct au_scheme *s;
    struct asked q;
    int ret;

    if (!a->config->server) {
        return au_failed(a, "configuration", "only a server makes an authenticator that answers no request");
    }
    if (len > 255 || (hello = au_hello(a)) == NULL) {
        return len > 255 ? au_failed(a, "configuration", "a context of %zu octets; at most 255 fit", len) : -1;
    }
    q = *hello;
    memset(&q.context, 0, sizeof(q.context));
    s = choose(a, &q);
    if (s == NULL) {
        return au_failed(a, "negotiation.signature_scheme", "no scheme of the ClientHello fits our key");
    }
    if (au_context_use(a, context, len) != 0) {
        return -1;
    }
    if (octets_set(&q.context, context, len) != 0 || octets_set(&made->context, context, len) != 0) {
        octets_free(&q.context);
        return au_no_memory(a);
    }
    made->spontaneous = 1;
    ret = write_proof(a, &q, s, out, NULL, made);
    octets_free(&q.context);
    return ret;
}
