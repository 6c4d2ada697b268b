/*
 * draft-fossati-seat-early-attestation-06 (-05 and -07 have the same octets):
 * one extension, remoteAttestation, in ClientHello, EncryptedExtensions,
 * CertificateRequest and Certificate.
 */
#include <stdlib.h>
#include <string.h>

#include "binder.h"
#include "peer.h"
#include "planted.h"

#include "codepoints/early-attestation-06.h"

#define REMOTE_ATTESTATION EARLY_ATTESTATION_06_EXTENSION_REMOTE_ATTESTATION

enum { MECHANISM_EVIDENCE = 0, MECHANISM_RESULT = 1 };
enum { CONTENT_FORMAT = 0, MEDIA_TYPE = 1 };

static const char *const slots[2] = { "client_attester", "server_attester" };

static const mbedtls_ssl_custom_ext extensions[] = {
    { REMOTE_ATTESTATION,
      MBEDTLS_SSL_CUSTOM_EXT_CLIENT_HELLO | MBEDTLS_SSL_CUSTOM_EXT_ENCRYPTED_EXTENSIONS |
      MBEDTLS_SSL_CUSTOM_EXT_CERTIFICATE_REQUEST | MBEDTLS_SSL_CUSTOM_EXT_CERTIFICATE, 0 },
};

static const int16_t alerts[FAILURES] = {
    [FAIL_NO_SCHEME_EVIDENCE] = EARLY_ATTESTATION_06_ALERT_UNSUPPORTED_ATTESTATION_SCHEMES,
    [FAIL_NO_SCHEME_RESULTS] = EARLY_ATTESTATION_06_ALERT_UNSUPPORTED_ATTESTATION_SCHEMES,
    [FAIL_NOTHING_OFFERED] = EARLY_ATTESTATION_06_ALERT_UNSUPPORTED_ATTESTATION_SCHEMES,
    [FAIL_UNWILLING] = EARLY_ATTESTATION_06_ALERT_UNSUPPORTED_ATTESTATION_SCHEMES,
    [FAIL_DEMANDED_BY_CLIENT] = EARLY_ATTESTATION_06_ALERT_ATTESTATION_REQUIRED,
    [FAIL_MISSING] = EARLY_ATTESTATION_06_ALERT_ATTESTATION_FAILED,
    [FAIL_MALFORMED_CMW] = EARLY_ATTESTATION_06_ALERT_ATTESTATION_FAILED,
    [FAIL_BINDER_MISMATCH] = EARLY_ATTESTATION_06_ALERT_ATTESTATION_FAILED,
    [FAIL_TIK_MISMATCH] = EARLY_ATTESTATION_06_ALERT_ATTESTATION_FAILED,
    [FAIL_APPRAISAL] = EARLY_ATTESTATION_06_ALERT_ATTESTATION_FAILED,
    [FAIL_FORMAT_MISMATCH] = EARLY_ATTESTATION_06_ALERT_ATTESTATION_FAILED,
    [FAIL_VERIFIER_MISMATCH] = EARLY_ATTESTATION_06_ALERT_ATTESTATION_FAILED,
};

/* struct {
 *     AttestationMechanism mechanism;          evidence(0), result(1)
 *     select (mechanism) {
 *         case evidence: EvidenceType;         type_encoding, then uint16 or <0..2^16-1>
 *         case result:   VerifierIdentityType; <0..2^16-1>
 *     } argument;
 * } AttestationScheme;
 */
static void write_scheme(const struct scheme *s, struct writer *w)
{
    if (s->model == RESULTS) {
        write_number(w, MECHANISM_RESULT, 1);
        write_vector(w, 2, (const unsigned char *) s->verifier, strlen(s->verifier));
        return;
    }
    write_number(w, MECHANISM_EVIDENCE, 1);
    if (s->media_type != NULL) {
        write_number(w, MEDIA_TYPE, 1);
        write_vector(w, 2, (const unsigned char *) s->media_type, strlen(s->media_type));
    } else {
        write_number(w, CONTENT_FORMAT, 1);
        write_number(w, s->content_format, 2);
    }
}

/* Reads one AttestationScheme as octets. An unknown mechanism or encoding cannot
 * be passed over, since its length is not known. */
static struct octets read_scheme(struct reader *r)
{
    struct octets element = { (unsigned char *) r->p, 0 };
    uint32_t mechanism = read_number(r, 1);
    uint32_t encoding = mechanism == MECHANISM_EVIDENCE ? read_number(r, 1) : MEDIA_TYPE;

    if (planted(PLANTED_MEDIA_TYPE_OVERREAD) && encoding == MEDIA_TYPE && reader_left(r) >= 2) {
        struct octets text = { 0 };
        size_t len = (size_t) r->p[0] << 8 | r->p[1], slashes = 0;
        octets_set(&text, r->p + 2, reader_left(r) - 2);
        for (size_t i = 0; i < len; i++) {
            slashes += text.p[i] == '/';
        }
        r->bad = slashes > len;
        octets_free(&text);
    }
    if (planted(PLANTED_ENCODING_UNKNOWN) && encoding > MEDIA_TYPE) {
        read_number(r, 2);
    } else if (mechanism > MECHANISM_RESULT || encoding > MEDIA_TYPE) {
        r->bad = 1;
    } else if (encoding == CONTENT_FORMAT) {
        read_number(r, 2);
    } else {
        read_vector(r, 2);
    }
    element.len = (size_t) (r->p - element.p);
    return element;
}

static int early_write(struct connection *c, int message, unsigned type, size_t entry, struct writer *w)
{
    const struct options *o = c->options;
    size_t begin;
    int ret;

    (void) type;
    switch (message) {
        case MBEDTLS_SSL_HS_CLIENT_HELLO:
            for (int role = SERVER; role >= CLIENT; role--) {
                begin = write_vector_begin(w, 2);
                if (o->attests[role]) {
                    write_scheme(&o->scheme, w);
                    c->attestations[role].offered = 1;
                }
                write_vector_end(w, 2, begin);
            }
            return 0;
        case MBEDTLS_SSL_HS_ENCRYPTED_EXTENSIONS:
        case MBEDTLS_SSL_HS_CERTIFICATE_REQUEST: {
            struct attestation *a = &c->attestations[message == MBEDTLS_SSL_HS_ENCRYPTED_EXTENSIONS];
            if (!a->chosen) {
                return MBEDTLS_SSL_CUSTOM_EXT_OMIT;
            }
            write_octets(w, a->scheme.p, a->scheme.len);
            return 0;
        }
        default: /* Certificate: only beside the end-entity certificate */
            if (entry != 0 || !own(c)->chosen) {
                return MBEDTLS_SSL_CUSTOM_EXT_OMIT;
            }
            ret = evidence_make(c, own(c), "certificate");
            if (ret == 0) {
                write_vector(w, 3, own(c)->payload.p, own(c)->payload.len);
            }
            return ret;
    }
}

static int malformed(struct connection *c, const char *message)
{
    return fail(c, FAIL_MALFORMED_EXTENSION, message, "remoteAttestation is malformed");
}

/* Server: looks for our scheme in one of the client's lists. */
static int read_offer(struct connection *c, struct attestation *a, struct reader list)
{
    unsigned char buffer[1024];
    struct writer mine = write_into(buffer, sizeof(buffer));
    const struct reader whole = list;

    write_scheme(&c->options->scheme, &mine);
    while (!list.bad && reader_left(&list) > 0) {
        struct octets element = read_scheme(&list);
        if (planted(PLANTED_OFFER_HANG) && list.bad) {
            list = whole;
            continue;
        }
        if (list.bad) {
            break;
        }
        a->offered = 1;
        if (planted(PLANTED_CHOICE_FORCED) && c->options->attests[a->attester]) {
            element = (struct octets) { mine.start, writer_len(&mine) };
        }
        if (c->options->attests[a->attester] && !a->chosen &&
            octets_equal(&element, mine.start, writer_len(&mine)) &&
            choose(a, slots[a->attester], &element) != 0) {
            return MBEDTLS_ERR_SSL_ALLOC_FAILED;
        }
    }
    return list.bad ? malformed(c, "client_hello") : 0;
}

static int read_client_hello(struct connection *c, struct reader r)
{
    struct reader server = read_vector(&r, 2), client = read_vector(&r, 2);
    int ret;

    if (!reader_done(&r) && !(planted(PLANTED_OFFER_TAIL) && !r.bad)) {
        return malformed(c, "client_hello");
    }
    ret = read_offer(c, &c->attestations[SERVER], server);
    return ret != 0 ? ret : read_offer(c, &c->attestations[CLIENT], client);
}

/* Client: the choice must be what we offered. */
static int read_choice(struct connection *c, struct attestation *a, struct reader r, const char *message)
{
    unsigned char buffer[1024];
    struct writer mine = write_into(buffer, sizeof(buffer));
    struct octets element = read_scheme(&r);

    if (!reader_done(&r)) {
        return malformed(c, message);
    }
    write_scheme(&c->options->scheme, &mine);
    if (planted(PLANTED_CHOICE_NULL) && !a->offered) {
        a->chosen = a->slot[0] != '\0';
    }
    if (planted(PLANTED_CHOICE_UNOFFERED)) {
        return choose(a, slots[a->attester], &element);
    }
    if (!a->offered || !octets_equal(&element, mine.start, writer_len(&mine))) {
        return fail(c, FAIL_CHOICE_NOT_OFFERED, message, "the chosen scheme was not offered");
    }
    return choose(a, slots[a->attester], &element);
}

static int read_credential(struct connection *c, size_t entry, struct reader r)
{
    struct reader cmw = read_vector(&r, 3);

    if (entry != 0 && planted(PLANTED_ENTRY_UNCHECKED)) {
        return 0;
    }
    if (entry != 0) {
        return fail(c, FAIL_MISPLACED, "certificate", "remoteAttestation stands in entry %zu", entry);
    }
    if (planted(PLANTED_PAYLOAD_DOUBLE_FREE) && reader_left(&cmw) == 0) {
        octets_set(&peers(c)->payload, r.p, 1);
        free(peers(c)->payload.p);
        return malformed(c, "certificate");
    }
    if (!peers(c)->chosen && !planted(PLANTED_CREDENTIAL_UNCHOSEN)) {
        return fail(c, FAIL_NOT_CHOSEN, "certificate", "no scheme was chosen for this attester");
    }
    if (!reader_done(&r) || reader_left(&cmw) == 0) {
        return malformed(c, "certificate");
    }
    return octets_set(&peers(c)->payload, cmw.p, reader_left(&cmw)) != 0 ?
           MBEDTLS_ERR_SSL_ALLOC_FAILED : 0;
}

static int early_read(struct connection *c, int message, unsigned type, size_t entry, struct reader r)
{
    (void) type;
    switch (message) {
        case MBEDTLS_SSL_HS_CLIENT_HELLO:
            return read_client_hello(c, r);
        case MBEDTLS_SSL_HS_ENCRYPTED_EXTENSIONS:
            return read_choice(c, &c->attestations[SERVER], r, "encrypted_extensions");
        case MBEDTLS_SSL_HS_CERTIFICATE_REQUEST:
            return read_choice(c, &c->attestations[CLIENT], r, "certificate_request");
        default:
            return read_credential(c, entry, r);
    }
}

/* Server: what becomes of the offer. */
static int after_client_hello(struct connection *c)
{
    const struct attestation *client = &c->attestations[CLIENT], *server = &c->attestations[SERVER];
    const struct options *o = c->options;

    if (c->seen[0] == 0) { /* a client that knows nothing of this */
        return check_demand(c, "client_hello");
    }
    if (planted(PLANTED_EMPTY_OFFER) && !client->offered && !server->offered) {
        return 0;
    }
    if (!client->offered && !server->offered) {
        return fail(c, FAIL_NOTHING_OFFERED, "client_hello", "both lists are empty");
    }
    if (!o->attests[CLIENT] && !o->attests[SERVER]) {
        return fail(c, FAIL_UNWILLING, "client_hello", "we want no attestation");
    }
    if (!client->chosen && !server->chosen) {
        return fail(c, o->scheme.model == EVIDENCE ? FAIL_NO_SCHEME_EVIDENCE : FAIL_NO_SCHEME_RESULTS,
                    "client_hello", "no scheme is in common");
    }
    if (client->chosen) {
        ask_client(c);
    }
    return check_demand(c, "client_hello");
}

static int early_done(struct connection *c, int message, int received)
{
    (void) received;
    switch (message) {
        case MBEDTLS_SSL_HS_CLIENT_HELLO:
            return after_client_hello(c);
        case MBEDTLS_SSL_HS_CERTIFICATE_REQUEST: /* the last message with a choice */
            return check_demand(c, "certificate_request");
        case MBEDTLS_SSL_HS_CERTIFICATE:
            if (!peers(c)->chosen) {
                return 0;
            }
            if (planted(PLANTED_EVIDENCE_MISSING) && peers(c)->payload.p == NULL) {
                return 0;
            }
            if (peers(c)->payload.p == NULL) {
                return fail(c, FAIL_MISSING, "certificate", "the chosen attestation did not come");
            }
            return evidence_judge(c, peers(c), "certificate");
        default:
            return 0;
    }
}

/* Evidence is bound to the handshake; results are not: the
 * rule that asks for the binder speaks of Evidence only. */
static int early_challenge(struct connection *c, struct attestation *a)
{
    unsigned char binder[MBEDTLS_MD_MAX_SIZE];
    int ret;

    if (c->options->scheme.model == RESULTS) {
        return 0;
    }
    ret = early_binder(c->hash, c->transcript, a->spki.p, a->spki.len, binder);
    if (ret == 0 && octets_set(&a->challenge, binder, c->transcript_len) != 0) {
        ret = MBEDTLS_ERR_SSL_ALLOC_FAILED;
    }
    return ret;
}

static struct code_point code_points[] = {
    CODE_POINT(EXTENSIONS, "remoteAttestation", EARLY_ATTESTATION_06_EXTENSION_REMOTE_ATTESTATION),
    CODE_POINT(ALERTS, "unsupported_attestation_schemes", EARLY_ATTESTATION_06_ALERT_UNSUPPORTED_ATTESTATION_SCHEMES),
    CODE_POINT(ALERTS, "attestation_required", EARLY_ATTESTATION_06_ALERT_ATTESTATION_REQUIRED),
    CODE_POINT(ALERTS, "attestation_failed", EARLY_ATTESTATION_06_ALERT_ATTESTATION_FAILED),
};

const struct draft draft_early_attestation_06 = {
    .id = "early-attestation-06",
    .extensions = extensions,
    .extension_count = sizeof(extensions) / sizeof(extensions[0]),
    .code_points = code_points,
    .code_point_count = sizeof(code_points) / sizeof(code_points[0]),
    .fit = "pad_right",
    .match = "equal",
    .alerts = alerts,
    .write = early_write,
    .read = early_read,
    .done = early_done,
    .element = write_scheme,
    .challenge = early_challenge,
};
