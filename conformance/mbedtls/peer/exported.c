/* Requests and authenticators of one connection. */
#include "exported.h"

#include <stdlib.h>
#include <string.h>

#include "interpretation.h"

static const char certificate_message[] = "certificate";

/* The error of what RFC 9261 or we ourselves have refused. */
static int refused(struct exported *e, const char *message)
{
    const char *name = authenticators_failure(e->authenticators);
    enum failure f = failure_by_name(name, strlen(name));

    if (e->ret != 0) {
        return e->ret;
    }
    return fail(e->c, f != NO_FAILURE ? f : FAIL_INTERNAL, message, "%s", authenticators_reason(e->authenticators));
}

int exported_request(struct exported *e, struct octets *out)
{
    const struct options *o = e->c->options;
    const struct later_rules *r = &e->profile->after;
    struct authenticator_claim made = { 0 };
    unsigned char context[255];
    size_t len = r->nonce_context && o->nonce_size != 0 ? o->nonce_size : r->context_octets;
    int ret;

    len = len > sizeof(context) ? sizeof(context) : len;
    ret = mbedtls_ctr_drbg_random(e->c->random, context, len);
    if (ret != 0) {
        return ret;
    }
    e->ret = 0;
    ret = authenticators_request(e->authenticators, context, len, out, &made);
    authenticator_claim_free(&made);
    return ret != 0 ? refused(e, exported_request_name(!o->role)) : 0;
}

int exported_answer(struct exported *e, const unsigned char *request, size_t len, struct octets *out)
{
    struct authenticator_claim asked = { 0 }, made = { 0 };
    int ret;

    e->request = (struct octets) { (unsigned char *) request, len };
    e->shown = NULL;
    e->ret = 0;
    ret = authenticators_answer(e->authenticators, request, len, !e->attests, out, &asked, &made);
    if (ret == 0 && made.empty && exported_is_asked(e) < 0) { /* nothing is shown, and the request is malformed all the same */
        ret = -1;
        e->ret = MBEDTLS_ERR_SSL_HANDSHAKE_FAILURE;
    }
    if (ret == 0 && e->shown != NULL) {
        e->shown->signature = made.schemes[0];
    }
    e->request = (struct octets) { 0 };
    authenticator_claim_free(&asked);
    authenticator_claim_free(&made);
    return ret != 0 ? refused(e, exported_request_name(e->c->options->role)) : 0;
}

int exported_appraise(struct exported *e, const unsigned char *p, size_t len)
{
    struct authenticator_claim got = { 0 };
    int ret;

    e->ret = 0;
    ret = authenticators_check(e->authenticators, p, len, &got);
    if (ret != 0) {
        ret = refused(e, certificate_message);
    } else if (got.empty && !e->optional) {
        ret = fail(e->c, FAIL_EMPTY_AUTHENTICATOR, "finished", "the peer refuses to show anything");
    }
    authenticator_claim_free(&got);
    return ret;
}

/* Whether an attester attests after the handshake under our scheme. */
static int has_slot(const struct options *o, enum role attester)
{
    const struct later_rule *s = &o->draft->compiled->later[attester];

    return o->attests[attester] && s->name != NULL && s->models[o->scheme.model] && o->scheme.credential == BESIDE_X509;
}

int exported_begin(struct connection *c, mbedtls_x509_crt *chain, mbedtls_x509_crt *anchors)
{
    const struct options *o = c->options;
    const struct compiled *p = o->draft != NULL ? o->draft->compiled : NULL;
    const struct octets *hello = p != NULL ? transcript_message(c, MBEDTLS_SSL_HS_CLIENT_HELLO, 0) : NULL;
    const int sha384 = c->hash == MBEDTLS_MD_SHA384;
    struct exported *e;

    if (p == NULL || !compiled_later(p)) {
        return 0;
    }
    e = calloc(1, sizeof(*e));
    if (e == NULL) {
        return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    }
    c->exported = e;
    e->c = c;
    e->profile = p;
    e->anchors = anchors->raw.p != NULL ? anchors : NULL;
    e->asks = has_slot(o, !o->role);
    e->attests = has_slot(o, o->role);
    e->optional = !o->require && p->after.data_before;
    e->config = (struct authenticator_config) {
        .server = o->role == SERVER, .hash = sha384 ? MBEDTLS_MD_SHA384 : MBEDTLS_MD_SHA256,
        .random = mbedtls_ctr_drbg_random, .rng = c->random, .chain = chain->raw.p != NULL ? chain : NULL, .key = c->key
    };
    exported_obey(e);
    if (hello != NULL) { /* what is shown without a request is judged by it, before it is refused */
        e->config.client_hello = *hello;
    }
    e->authenticators = authenticators_new(&e->config);
    return e->authenticators != NULL ? 0 : MBEDTLS_ERR_SSL_ALLOC_FAILED;
}

void exported_end(struct connection *c)
{
    if (c->exported == NULL) {
        return;
    }
    authenticators_free(c->exported->authenticators);
    octets_free(&c->exported->held);
    text_free(&c->exported->data);
    free(c->exported);
    c->exported = NULL;
}
