/* What is attested after the handshake, and the object that may be around it. */
#include "exported.h"

#include <string.h>

#include "interpretation.h"

static const char certificate_message[] = "certificate";

struct attestation *exported_remember(struct connection *c, struct attestation *a)
{
    if (c->outcome_count == MAX_OUTCOMES) {
        attestation_free(&c->outcomes[1]);
        memmove(&c->outcomes[1], &c->outcomes[2], (MAX_OUTCOMES - 2) * sizeof(*a));
        c->outcome_count--;
    }
    a->epoch = mbedtls_ssl_get_key_epoch(&c->ssl);
    c->outcomes[c->outcome_count] = *a;
    return &c->outcomes[c->outcome_count++];
}

/* A copy of what may not be there. */
static int copy(struct octets *to, const struct octets *from)
{
    return from->p != NULL ? octets_set(to, from->p, from->len) : 0;
}

int exported_attestation(struct exported *e, struct attestation *a, enum role attester, enum later phase,
                         const struct octets *shown, const struct octets *spki, const struct octets *certificate)
{
    const struct octets nothing = { (unsigned char *) "", 0 }; /* is chosen on the wire */

    memset(a, 0, sizeof(*a));
    a->attester = attester;
    a->later = phase;
    return choose(a, e->profile->later[attester].name, &nothing) != 0 ||
           copy(phase == IN_FRAME ? &a->nonce : &a->context, shown) != 0 || copy(&a->spki, spki) != 0 ||
           copy(&a->certificate, certificate) != 0 ? MBEDTLS_ERR_SSL_ALLOC_FAILED : 0;
}

/* ---- an object around a payload ---- */

/* What an object around a payload has: that, or a definition of the attestation. */
struct around {
    struct connection *c;
    const struct attestation *a;
};

static int octets_around(void *context, const struct object_field *f, struct octets *out)
{
    const struct around *x = context;

    return f->means == MEANS_DEFINED ? interpret_definition(x->c, x->a, f->defined, out) :
           octets_set(out, x->a->payload.p, x->a->payload.len) != 0 ? MBEDTLS_ERR_SSL_ALLOC_FAILED : 0;
}

int exported_wrap(struct exported *e, const struct attestation *a, struct text *out)
{
    const struct later_rule *s = &e->profile->later[a->attester];
    struct around x = { e->c, a };
    const struct object_content content = { .context = &x, .octets = octets_around };
    struct object_error error;
    int ret = s->object < 0 ? 0 : object_write(e->profile->objects, s->object, &content, out, &error);

    if (s->object < 0) {
        text_add(out, (char *) a->payload.p, a->payload.len);
    }
    return ret == OBJECT_BAD ? fail(e->c, error.failure, certificate_message, "%s", error.detail) : ret;
}

int exported_unwrap(struct exported *e, struct attestation *a, const unsigned char *p, size_t len)
{
    const struct later_rule *s = &e->profile->later[a->attester];
    struct around x = { e->c, a };
    const struct object_content content = { .context = &x, .octets = octets_around };
    struct object_told told = { 0 };
    struct object_error error;
    int ret = object_read(e->profile->objects, s->object, p, len, &content, &told, &error);

    if (ret == OBJECT_BAD) {
        ret = fail(e->c, error.failure, certificate_message, "%s", error.detail);
    } else if (ret == 0 && told.payload.p == NULL) {
        ret = e->optional ? 0 : fail(e->c, FAIL_MISSING, certificate_message, "the object has no payload");
    } else if (ret == 0) {
        a->payload = told.payload;
        told.payload = (struct octets) { 0 };
        ret = 1;
    }
    object_told_free(&told);
    return ret;
}
