/* Numbers of what the drafts add, which the command line may change. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer.h"

#include "codepoints/early-attestation-06.h"
#include "codepoints/mbedtls-poc.h"
#include "codepoints/tls-attestation-07.h"

static struct {
    const struct draft *draft;
    enum code_point_kind kind;
    const char *name;    /* as a profile has it */
    unsigned standard;   /* what the code of the draft uses */
    unsigned number;     /* what goes over the network */
} points[] = {
#define POINT(draft, kind, name, number) { draft, kind, name, number, number }
    POINT(&draft_early_attestation_06, EXTENSIONS, "remoteAttestation", EARLY_ATTESTATION_06_EXTENSION_REMOTE_ATTESTATION),
    POINT(&draft_early_attestation_06, ALERTS, "unsupported_attestation_schemes", EARLY_ATTESTATION_06_ALERT_UNSUPPORTED_ATTESTATION_SCHEMES),
    POINT(&draft_early_attestation_06, ALERTS, "attestation_required", EARLY_ATTESTATION_06_ALERT_ATTESTATION_REQUIRED),
    POINT(&draft_early_attestation_06, ALERTS, "attestation_failed", EARLY_ATTESTATION_06_ALERT_ATTESTATION_FAILED),
    POINT(&draft_tls_attestation_07, EXTENSIONS, "evidence_request", TLS_ATTESTATION_07_EXTENSION_EVIDENCE_REQUEST),
    POINT(&draft_tls_attestation_07, EXTENSIONS, "evidence_proposal", TLS_ATTESTATION_07_EXTENSION_EVIDENCE_PROPOSAL),
    POINT(&draft_tls_attestation_07, EXTENSIONS, "results_request", TLS_ATTESTATION_07_EXTENSION_RESULTS_REQUEST),
    POINT(&draft_tls_attestation_07, EXTENSIONS, "results_proposal", TLS_ATTESTATION_07_EXTENSION_RESULTS_PROPOSAL),
    POINT(&draft_tls_attestation_07, EXTENSIONS, "attestation_evidence", TLS_ATTESTATION_07_EXTENSION_ATTESTATION_EVIDENCE),
    POINT(&draft_tls_attestation_07, CERTIFICATE_TYPES, "attestation", TLS_ATTESTATION_07_CERTIFICATE_TYPE_ATTESTATION),
    POINT(&draft_tls_attestation_07, ALERTS, "unsupported_evidence", TLS_ATTESTATION_07_ALERT_UNSUPPORTED_EVIDENCE),
    POINT(&draft_tls_attestation_07, ALERTS, "unsupported_verifiers", TLS_ATTESTATION_07_ALERT_UNSUPPORTED_VERIFIERS),
    POINT(&draft_mbedtls_poc, EXTENSIONS, "evidence_proposal", MBEDTLS_POC_EXTENSION_EVIDENCE_PROPOSAL),
#undef POINT
};

static const struct {
    const char *prefix;
    unsigned max;
} kinds[] = {
    [EXTENSIONS] = { "extensions.", 0xffff },
    [ALERTS] = { "alerts.", 0xff },
    [CERTIFICATE_TYPES] = { "certificate_types.", 0xff },
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Whether a setting, as "extensions.name=number", is for a point; its number. */
static const char *number_for(size_t i, const char *setting)
{
    const char *prefix = kinds[points[i].kind].prefix;
    size_t len = strlen(prefix), name_len = strlen(points[i].name);

    if (strncmp(setting, prefix, len) != 0 || strncmp(setting + len, points[i].name, name_len) != 0 ||
        setting[len + name_len] != '=') {
        return NULL;
    }
    return setting + len + name_len + 1;
}

int code_point_set(const struct draft *d, const char *setting)
{
    for (size_t i = 0; i < COUNT(points); i++) {
        const char *number = points[i].draft == d ? number_for(i, setting) : NULL;
        char *end;
        unsigned long n;

        if (number == NULL) {
            continue;
        }
        n = strtoul(number, &end, 0);
        if (end == number || *end != '\0' || n > kinds[points[i].kind].max) {
            return -1;
        }
        points[i].number = (unsigned) n;
        return 0;
    }
    return -1;
}

unsigned code_point_sent(const struct draft *d, enum code_point_kind kind, unsigned standard)
{
    for (size_t i = 0; i < COUNT(points); i++) {
        if (points[i].draft == d && points[i].kind == kind && points[i].standard == standard) {
            return points[i].number;
        }
    }
    return standard;
}

unsigned code_point_received(const struct draft *d, enum code_point_kind kind, unsigned number)
{
    for (size_t i = 0; i < COUNT(points); i++) {
        if (points[i].draft == d && points[i].kind == kind && points[i].number == number) {
            return points[i].standard;
        }
    }
    return number;
}

const char *code_point_name(const struct draft *d, enum code_point_kind kind, unsigned number)
{
    for (size_t i = 0; i < COUNT(points); i++) {
        if (points[i].draft == d && points[i].kind == kind && points[i].number == number) {
            return points[i].name;
        }
    }
    return NULL;
}
