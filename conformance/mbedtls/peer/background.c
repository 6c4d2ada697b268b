/*
 * draft-fossati-tls-attestation-07: four extensions in ClientHello and
 * EncryptedExtensions, the CMW as the certificate itself or in an extension
 * beside an X.509 certificate.
 */
#include <string.h>

#include "mbedtls/ctr_drbg.h"

#include "binder.h"
#include "peer.h"
#include "planted.h"

#include "codepoints/tls-attestation-07.h"

#define EVIDENCE_REQUEST TLS_ATTESTATION_07_EXTENSION_EVIDENCE_REQUEST
#define EVIDENCE_PROPOSAL TLS_ATTESTATION_07_EXTENSION_EVIDENCE_PROPOSAL
#define RESULTS_REQUEST TLS_ATTESTATION_07_EXTENSION_RESULTS_REQUEST
#define RESULTS_PROPOSAL TLS_ATTESTATION_07_EXTENSION_RESULTS_PROPOSAL
#define ATTESTATION_EVIDENCE TLS_ATTESTATION_07_EXTENSION_ATTESTATION_EVIDENCE

enum { KIND_ATTESTATION = 0, KIND_CERT_ATTESTATION = 1 };
enum { CONTENT_FORMAT = 0, MEDIA_TYPE = 1 };
enum { MIN_NONCE = 8 };

#define HELLOS (MBEDTLS_SSL_CUSTOM_EXT_CLIENT_HELLO | MBEDTLS_SSL_CUSTOM_EXT_ENCRYPTED_EXTENSIONS)

/* attestation_evidence has no offer under its own number: the choice of a scheme
 * beside X.509 asks for it, which read_credential() checks. */
static const mbedtls_ssl_custom_ext extensions[] = {
    { EVIDENCE_REQUEST, HELLOS, 0 },
    { EVIDENCE_PROPOSAL, HELLOS, 0 },
    { RESULTS_REQUEST, HELLOS, 0 },
    { RESULTS_PROPOSAL, HELLOS, 0 },
    { ATTESTATION_EVIDENCE, MBEDTLS_SSL_CUSTOM_EXT_CERTIFICATE, MBEDTLS_SSL_CUSTOM_EXT_CERTIFICATE },
};

static const int16_t alerts[FAILURES] = {
    [FAIL_NO_SCHEME_EVIDENCE] = TLS_ATTESTATION_07_ALERT_UNSUPPORTED_EVIDENCE,
    [FAIL_NO_SCHEME_RESULTS] = TLS_ATTESTATION_07_ALERT_UNSUPPORTED_VERIFIERS,
};

/* The list that an extension holds. */
struct slot {
    unsigned type;
    enum role attester;
    enum model model;
    const char *name;
};

static const struct slot slots[] = {
    { EVIDENCE_REQUEST, SERVER, EVIDENCE, "evidence_request" },
    { EVIDENCE_PROPOSAL, CLIENT, EVIDENCE, "evidence_proposal" },
    { RESULTS_REQUEST, SERVER, RESULTS, "results_request" },
    { RESULTS_PROPOSAL, CLIENT, RESULTS, "results_proposal" },
};

static const struct slot *slot_of(unsigned type)
{
    for (size_t i = 0; i < sizeof(slots) / sizeof(slots[0]); i++) {
        if (slots[i].type == type) {
            return &slots[i];
        }
    }
    return NULL;
}

/* Whether this end takes part in what the list is for. */
static int willing(const struct connection *c, const struct slot *s)
{
    return c->options->attests[s->attester] && c->options->scheme.model == s->model;
}

/* The end that relies on Evidence supplies the nonce. */
static int has_nonce(const struct slot *s, int message)
{
    return s->model == EVIDENCE &&
           (message == MBEDTLS_SSL_HS_CLIENT_HELLO) == (s->attester == SERVER);
}

/* struct {
 *     credentialKind credential_kind;    ATTESTATION(0), CERT_ATTESTATION(1)
 *     typeEncoding type_encoding;        CONTENT_FORMAT(0), MEDIA_TYPE(1)
 *     select: uint16 content_format, or opaque media_type<0..2^16-1>
 * } EvidenceType;
 * struct { opaque verifier_identity<0..2^16-1>; } VerifierIdentityType;
 */
static void write_element(const struct scheme *s, struct writer *w)
{
    if (s->model == RESULTS) {
        write_vector(w, 2, (const unsigned char *) s->verifier, strlen(s->verifier));
        return;
    }
    write_number(w, s->credential == ALONE ? KIND_ATTESTATION : KIND_CERT_ATTESTATION, 1);
    if (s->media_type != NULL) {
        write_number(w, MEDIA_TYPE, 1);
        write_vector(w, 2, (const unsigned char *) s->media_type, strlen(s->media_type));
    } else {
        write_number(w, CONTENT_FORMAT, 1);
        write_number(w, s->content_format, 2);
    }
}

static struct octets read_element(enum model model, struct reader *r)
{
    struct octets element = { (unsigned char *) r->p, 0 };

    if (model == RESULTS) {
        read_vector(r, 2);
    } else {
        uint32_t kind = read_number(r, 1), encoding = read_number(r, 1);
        if (kind > KIND_CERT_ATTESTATION || encoding > MEDIA_TYPE) {
            r->bad = 1;
        } else if (encoding == CONTENT_FORMAT) {
            read_number(r, 2);
        } else {
            read_vector(r, 2);
        }
    }
    element.len = (size_t) (r->p - element.p);
    return element;
}

/* The nonce is drawn once, so that a second ClientHello repeats it. */
static int write_nonce(struct connection *c, struct attestation *a, struct writer *w)
{
    unsigned char nonce[255];
    size_t len = c->options->nonce_size;
    int ret;

    if (a->nonce.p == NULL) {
        ret = mbedtls_ctr_drbg_random(c->random, nonce, len);
        if (ret != 0 || octets_set(&a->nonce, nonce, len) != 0) {
            return ret != 0 ? ret : MBEDTLS_ERR_SSL_ALLOC_FAILED;
        }
    }
    write_vector(w, 1, a->nonce.p, a->nonce.len);
    return 0;
}

static int write_credential(struct connection *c, size_t entry, struct writer *w)
{
    int ret;

    if (entry != 0 || !own(c)->chosen || c->options->scheme.credential != BESIDE_X509) {
        return MBEDTLS_SSL_CUSTOM_EXT_OMIT;
    }
    ret = evidence_make(c, own(c), "certificate");
    if (ret == 0) {
        write_octets(w, own(c)->payload.p, own(c)->payload.len);
    }
    return ret;
}

static int background_write(struct connection *c, int message, unsigned type, size_t entry, struct writer *w)
{
    const struct slot *s = slot_of(type);
    struct attestation *a;

    if (message == MBEDTLS_SSL_HS_CERTIFICATE) {
        return write_credential(c, entry, w);
    }
    a = &c->attestations[s->attester];
    if (message == MBEDTLS_SSL_HS_CLIENT_HELLO) {
        size_t begin;
        if (!willing(c, s)) {
            return MBEDTLS_SSL_CUSTOM_EXT_OMIT;
        }
        begin = write_vector_begin(w, 1);
        write_element(&c->options->scheme, w);
        write_vector_end(w, 1, begin);
        a->offered = 1;
    } else {
        if (!a->chosen || strcmp(a->slot, s->name) != 0) {
            return MBEDTLS_SSL_CUSTOM_EXT_OMIT;
        }
        write_octets(w, a->scheme.p, a->scheme.len);
    }
    return has_nonce(s, message) ? write_nonce(c, a, w) : 0;
}

static int malformed(struct connection *c, const struct slot *s, const char *message)
{
    return fail(c, FAIL_MALFORMED_EXTENSION, message, "%s is malformed", s->name);
}

/* Takes the nonce that ends an extension; nothing may follow it. */
static int read_nonce(struct connection *c, const struct slot *s, int message, struct reader *r)
{
    struct attestation *a = &c->attestations[s->attester];
    const char *name = message == MBEDTLS_SSL_HS_CLIENT_HELLO ? "client_hello" : "encrypted_extensions";
    struct reader nonce;

    if (!has_nonce(s, message)) {
        return reader_done(r) ? 0 : malformed(c, s, name);
    }
    nonce = read_vector(r, 1);
    if (!reader_done(r)) {
        return malformed(c, s, name);
    }
    if (planted(PLANTED_NONCE_OVERFLOW)) {
        unsigned char kept[32];
        for (size_t i = 0; i < reader_left(&nonce); i++) {
            ((volatile unsigned char *) kept)[i] = nonce.p[i];
        }
    }
    if (reader_left(&nonce) < MIN_NONCE && !planted(PLANTED_NONCE_SHORT)) {
        return fail(c, FAIL_NONCE_SIZE, name, "the nonce has %zu octets", reader_left(&nonce));
    }
    return octets_set(&a->nonce, nonce.p, reader_left(&nonce)) != 0 ? MBEDTLS_ERR_SSL_ALLOC_FAILED : 0;
}

static int read_offer(struct connection *c, const struct slot *s, struct reader r)
{
    struct attestation *a = &c->attestations[s->attester];
    struct reader list = read_vector(&r, 1);
    unsigned char buffer[1024];
    struct writer mine = write_into(buffer, sizeof(buffer));

    if (reader_left(&list) == 0) {
        return malformed(c, s, "client_hello");
    }
    write_element(&c->options->scheme, &mine);
    while (!list.bad && reader_left(&list) > 0) {
        struct octets element = read_element(s->model, &list);
        if (list.bad) {
            return malformed(c, s, "client_hello");
        }
        if (!willing(c, s)) {
            continue;
        }
        a->offered = 1;
        if (!a->chosen && octets_equal(&element, mine.start, writer_len(&mine)) &&
            choose(a, s->name, &element) != 0) {
            return MBEDTLS_ERR_SSL_ALLOC_FAILED;
        }
    }
    return read_nonce(c, s, MBEDTLS_SSL_HS_CLIENT_HELLO, &r);
}

static int read_choice(struct connection *c, const struct slot *s, struct reader r)
{
    struct attestation *a = &c->attestations[s->attester];
    unsigned char buffer[1024];
    struct writer mine = write_into(buffer, sizeof(buffer));
    struct octets element = read_element(s->model, &r);
    int ret;

    if (r.bad) {
        return malformed(c, s, "encrypted_extensions");
    }
    write_element(&c->options->scheme, &mine);
    if (!octets_equal(&element, mine.start, writer_len(&mine)) && !planted(PLANTED_BACKGROUND_CHOICE)) {
        return fail(c, FAIL_CHOICE_NOT_OFFERED, "encrypted_extensions", "the choice in %s was not offered", s->name);
    }
    ret = read_nonce(c, s, MBEDTLS_SSL_HS_ENCRYPTED_EXTENSIONS, &r);
    return ret != 0 ? ret : choose(a, s->name, &element);
}

static int read_credential(struct connection *c, size_t entry, struct reader r)
{
    struct attestation *a = peers(c);

    if (!a->chosen || c->options->scheme.credential != BESIDE_X509) {
        /* A client's list asks for it, a server's choice does. */
        return fail(c, c->options->role == CLIENT && a->offered ? FAIL_NOT_CHOSEN : FAIL_UNSOLICITED,
                    "certificate", "attestation_evidence was not chosen");
    }
    if (entry != 0) {
        return fail(c, FAIL_MISPLACED, "certificate", "attestation_evidence stands in entry %zu", entry);
    }
    if (reader_left(&r) == 0) {
        return fail(c, FAIL_MALFORMED_CMW, "certificate", "attestation_evidence is empty");
    }
    return octets_set(&a->payload, r.p, reader_left(&r)) != 0 ? MBEDTLS_ERR_SSL_ALLOC_FAILED : 0;
}

static int background_read(struct connection *c, int message, unsigned type, size_t entry, struct reader r)
{
    switch (message) {
        case MBEDTLS_SSL_HS_CLIENT_HELLO:
            return read_offer(c, slot_of(type), r);
        case MBEDTLS_SSL_HS_ENCRYPTED_EXTENSIONS:
            return read_choice(c, slot_of(type), r);
        default:
            return read_credential(c, entry, r);
    }
}

static int after_client_hello(struct connection *c)
{
    const struct attestation *client = &c->attestations[CLIENT], *server = &c->attestations[SERVER];
    int ret;

    if ((client->offered || server->offered) && !client->chosen && !server->chosen) {
        return fail(c, c->options->scheme.model == EVIDENCE ? FAIL_NO_SCHEME_EVIDENCE : FAIL_NO_SCHEME_RESULTS,
                    "client_hello", "no scheme is in common");
    }
    if (client->chosen) {
        ask_client(c);
    }
    ret = settle_certificate_types(c);
    return ret != 0 ? ret : check_demand(c, "client_hello");
}

static int background_done(struct connection *c, int message, int received)
{
    struct attestation *a = peers(c);
    int ret;

    switch (message) {
        case MBEDTLS_SSL_HS_CLIENT_HELLO:
            return after_client_hello(c);
        case MBEDTLS_SSL_HS_ENCRYPTED_EXTENSIONS:
            ret = settle_certificate_types(c);
            return ret != 0 ? ret : check_demand(c, "encrypted_extensions");
        case MBEDTLS_SSL_HS_CERTIFICATE_REQUEST:
            if (!received && own(c)->chosen) {
                return fail(c, FAIL_CHOICE_WITHOUT_REQUEST, "certificate",
                            "our attestation was chosen, but no CertificateRequest came");
            }
            return 0;
        case MBEDTLS_SSL_HS_CERTIFICATE:
            if (!a->chosen) {
                return 0;
            }
            if (a->payload.p == NULL) {
                return fail(c, FAIL_MISSING, "certificate", "the chosen attestation did not come");
            }
            return a->judged ? 0 : evidence_judge(c, peers(c), "certificate");
        default:
            return 0;
    }
}

/* Alone: the nonce. Beside X.509: the exporter's value for the nonce, as long as
 * the nonce, since no field tells another length. Results: nothing is bound. */
static int background_challenge(struct connection *c, struct attestation *a)
{
    unsigned char binder[255];
    int ret = 0;

    if (c->options->scheme.model == RESULTS) {
        return 0;
    }
    if (c->options->scheme.credential == ALONE) {
        return octets_set(&a->challenge, a->nonce.p, a->nonce.len) != 0 ? MBEDTLS_ERR_SSL_ALLOC_FAILED : 0;
    }
    ret = handshake_exporter_binder(c->hash, c->exporter, a->nonce.p, a->nonce.len, binder, a->nonce.len);
    if (ret == 0 && octets_set(&a->challenge, binder, a->nonce.len) != 0) {
        ret = MBEDTLS_ERR_SSL_ALLOC_FAILED;
    }
    return ret;
}

static struct code_point code_points[] = {
    CODE_POINT(EXTENSIONS, "evidence_request", TLS_ATTESTATION_07_EXTENSION_EVIDENCE_REQUEST),
    CODE_POINT(EXTENSIONS, "evidence_proposal", TLS_ATTESTATION_07_EXTENSION_EVIDENCE_PROPOSAL),
    CODE_POINT(EXTENSIONS, "results_request", TLS_ATTESTATION_07_EXTENSION_RESULTS_REQUEST),
    CODE_POINT(EXTENSIONS, "results_proposal", TLS_ATTESTATION_07_EXTENSION_RESULTS_PROPOSAL),
    CODE_POINT(EXTENSIONS, "attestation_evidence", TLS_ATTESTATION_07_EXTENSION_ATTESTATION_EVIDENCE),
    CODE_POINT(CERTIFICATE_TYPES, "attestation", TLS_ATTESTATION_07_CERTIFICATE_TYPE_ATTESTATION),
    CODE_POINT(ALERTS, "unsupported_evidence", TLS_ATTESTATION_07_ALERT_UNSUPPORTED_EVIDENCE),
    CODE_POINT(ALERTS, "unsupported_verifiers", TLS_ATTESTATION_07_ALERT_UNSUPPORTED_VERIFIERS),
};

const struct draft draft_tls_attestation_07 = {
    .id = "tls-attestation-07",
    .extensions = extensions,
    .extension_count = sizeof(extensions) / sizeof(extensions[0]),
    .code_points = code_points,
    .code_point_count = sizeof(code_points) / sizeof(code_points[0]),
    .certificate_type = TLS_ATTESTATION_07_CERTIFICATE_TYPE_ATTESTATION,
    .fit = "pad_right",
    .match = "equal",
    .alerts = alerts,
    .write = background_write,
    .read = background_read,
    .done = background_done,
    .element = write_element,
    .challenge = background_challenge,
};
