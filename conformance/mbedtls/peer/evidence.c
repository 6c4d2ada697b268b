/* Evidence and results: made and judged by programs, or read from a file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "command.h"
#include "json.h"
#include "peer.h"
#include "planted.h"

enum { MAX_PAYLOAD = 1 << 20 };

static void add_member(struct text *t, const char *name, const struct octets *value)
{
    if (value->p == NULL) {
        return;
    }
    text_printf(t, ",\"%s\":\"", name);
    text_base64(t, value->p, value->len);
    text_printf(t, "\"");
}

/* The members that attest and appraise have in common. */
static void begin_request(const struct connection *c, const struct attestation *a,
                          const char *action, struct text *t)
{
    const struct scheme *s = &c->options->scheme;

    text_printf(t, "{\"action\":\"%s\",\"profile\":\"%s\",\"attester\":\"%s\",\"scheme\":{\"model\":\"%s\",\"credential\":\"%s\"",
                action, c->options->draft->id, role_name(a->attester),
                s->model == EVIDENCE ? "evidence" : "results", s->credential == ALONE ? "alone" : "x509");
    if (s->model == RESULTS) {
        struct octets v = { (unsigned char *) s->verifier, strlen(s->verifier) };
        add_member(t, "verifier", &v);
    } else if (s->media_type != NULL) {
        text_printf(t, ",\"media_type\":");
        text_json(t, s->media_type);
    } else {
        text_printf(t, ",\"content_format\":%u", s->content_format);
    }
    text_printf(t, "},\"fit\":\"%s\"", c->options->draft->fit);
    if (!planted(PLANTED_CHALLENGE_LEFT_OUT) || strcmp(action, "attest") == 0) {
        add_member(t, "challenge", &a->challenge);
    }
    add_member(t, "spki", &a->spki);
}

static int from_file(const char *name, struct octets *out)
{
    FILE *f = fopen(name, "rb");
    unsigned char *p = malloc(MAX_PAYLOAD);
    size_t n = 0;
    int ret = -1;

    if (f != NULL && p != NULL) {
        n = fread(p, 1, MAX_PAYLOAD, f);
        ret = ferror(f) || n == 0 ? -1 : octets_set(out, p, n);
    }
    if (f != NULL) {
        fclose(f);
    }
    free(p);
    return ret;
}

/* The answer is the CMW by itself, or an object. */
static int parse_attest(struct connection *c, struct attestation *a, const struct text *answer, const char *message)
{
    struct octets key = { 0 };
    int bad, ret = 0;
    struct json cmw = json_member(answer->p, answer->len, "cmw", &bad);

    if (c->options->scheme.credential == BESIDE_X509 && (bad || cmw.p == NULL)) {
        return octets_set(&a->payload, (unsigned char *) answer->p, answer->len) != 0 ?
               MBEDTLS_ERR_SSL_ALLOC_FAILED : 0;
    }
    if (bad || json_base64(cmw, &a->payload) != 0) {
        return fail(c, FAIL_ATTESTER_UNAVAILABLE, message, "the program's answer has no cmw");
    }
    if (c->options->scheme.credential == ALONE) {
        if (json_base64(json_member(answer->p, answer->len, "spki", &bad), &a->spki) != 0 ||
            json_base64(json_member(answer->p, answer->len, "private_key", &bad), &key) != 0 ||
            mbedtls_pk_parse_key(&c->attested_key, key.p, key.len, NULL, 0,
                                 mbedtls_ctr_drbg_random, c->random) != 0) {
            ret = fail(c, FAIL_ATTESTER_UNAVAILABLE, message, "the program's answer has no usable key");
        }
        if (key.p != NULL) {
            mbedtls_platform_zeroize(key.p, key.len);
        }
        octets_free(&key);
    }
    return ret;
}

/* The key that is attested beside X.509 is the certificate's; that of an exported
 * authenticator is known already. */
static int prepare(struct connection *c, struct attestation *a, const struct octets *spki)
{
    if (c->options->scheme.credential == BESIDE_X509 && !a->later &&
        (spki->p == NULL || octets_set(&a->spki, spki->p, spki->len) != 0)) {
        return MBEDTLS_ERR_SSL_INTERNAL_ERROR;
    }
    return c->options->draft->challenge(c, a);
}

int evidence_make(struct connection *c, struct attestation *a, const char *message)
{
    struct text request = { 0 }, answer = { 0 };
    const char *reason = "neither --attester-cmd nor --evidence was given";
    int ret = prepare(c, a, &c->own_spki);

    if (ret != 0) {
        return ret;
    }
    if (c->options->evidence != NULL && c->options->scheme.credential == BESIDE_X509) {
        return from_file(c->options->evidence, &a->payload) == 0 ? 0 :
               fail(c, FAIL_ATTESTER_UNAVAILABLE, message, "%s cannot be read", c->options->evidence);
    }
    begin_request(c, a, "attest", &request);
    ret = c->options->draft->ask != NULL ? c->options->draft->ask(c, a, 0, &request) : 0;
    text_printf(&request, "}\n");
    if (ret != 0) {
        /* said already */
    } else if (request.failed || c->options->attester_cmd == NULL ||
        command_run(c->options->attester_cmd, &request, c->options->timeout, &answer, &reason) != 0 ||
        answer.len == 0) {
        ret = fail(c, FAIL_ATTESTER_UNAVAILABLE, message, "the attester: %s", reason);
    } else {
        ret = parse_attest(c, a, &answer, message);
    }
    text_free(&request);
    text_free(&answer);
    return ret;
}

/* Copies a member of the answer into the verdict as it stands, but on one line,
 * as claims are. */
static void copy_member(struct text *verdict, const struct text *answer, const char *name)
{
    int bad;
    struct json v = json_member(answer->p, answer->len, name, &bad);

    if (v.p != NULL) {
        size_t begin;

        text_printf(verdict, ",\"%s\":", name);
        begin = verdict->len;
        text_add(verdict, v.p, v.len);
        for (size_t i = begin; i < verdict->len; i++) {
            if (verdict->p[i] == '\n' || verdict->p[i] == '\r') {
                verdict->p[i] = ' ';
            }
        }
    }
}

/* Whether two SubjectPublicKeyInfo hold the same key, in whatever encoding. */
static int same_key(const struct octets *a, const struct octets *b)
{
    enum { MAX_KEY = 1 << 13 };
    unsigned char der[2][MAX_KEY];
    const struct octets *keys[] = { a, b };
    int len[2];

    if (octets_equal(a, b->p, b->len)) {
        return 1;
    }
    for (int i = 0; i < 2; i++) {
        mbedtls_pk_context key;

        mbedtls_pk_init(&key);
        len[i] = mbedtls_pk_parse_public_key(&key, keys[i]->p, keys[i]->len) == 0 ?
                 mbedtls_pk_write_pubkey_der(&key, der[i], MAX_KEY) : -1;
        mbedtls_pk_free(&key);
    }
    return len[0] > 0 && len[0] == len[1] &&
           memcmp(der[0] + MAX_KEY - len[0], der[1] + MAX_KEY - len[1], (size_t) len[0]) == 0;
}

/* Whether a verdict names another key than the certificate's, beside which the
 * attestation stands. */
static int names_another(struct connection *c, const struct attestation *a, struct json spki)
{
    struct octets key = { 0 };
    int other = 0;

    if (spki.p != NULL && c->options->scheme.credential == BESIDE_X509) {
        other = json_base64(spki, &key) != 0 || !same_key(&key, &a->spki);
        octets_free(&key);
    }
    return other;
}

static int parse_verdict(struct connection *c, struct attestation *a, const struct text *answer, const char *message)
{
    static const char *const members[] = { "status", "failure", "reason", "spki", "valid_until", "checks" };
    int bad = 0;
    int64_t end;
    struct json status, failure, until, spki;
    enum failure f = NO_FAILURE;

    for (size_t i = 0; !bad && i < sizeof(members) / sizeof(members[0]); i++) {
        json_member(answer->p, answer->len, members[i], &bad); /* bad where it appears twice */
    }
    if (bad) {
        return fail(c, FAIL_VERIFIER_UNREACHABLE, message, "the appraiser's answer is not an object, or has a member twice");
    }
    status = json_member(answer->p, answer->len, "status", &bad);
    failure = json_member(answer->p, answer->len, "failure", &bad);
    until = json_member(answer->p, answer->len, "valid_until", &bad);
    spki = json_member(answer->p, answer->len, "spki", &bad);
    if (status.p == NULL) {
        return fail(c, FAIL_VERIFIER_UNREACHABLE, message, "the appraiser's answer has no status");
    }
    if (until.p != NULL && json_time(until, &end) != 0) {
        return fail(c, FAIL_VERIFIER_UNREACHABLE, message, "valid_until of the appraiser's answer is not a time of RFC 3339");
    }
    if (failure.p != NULL && failure.len > 2) {
        f = failure_by_name(failure.p + 1, failure.len - 2);
    }
    if (planted(PLANTED_VERDICT_IGNORED)) {
        f = NO_FAILURE;
    } else if (f == NO_FAILURE && (failure.p != NULL || !json_is(status, "affirming"))) {
        f = FAIL_APPRAISAL;
    }
    if (f == NO_FAILURE && until.p != NULL && end <= (int64_t) time(NULL)) {
        f = FAIL_APPRAISAL; /* it held once */
    }
    if (f == NO_FAILURE && names_another(c, a, spki)) {
        f = FAIL_TIK_MISMATCH;
    }
    a->judged = 1;
    text_printf(&a->verdict, "{\"accepted\":%s", f == NO_FAILURE ? "true" : "false");
    if (f != NO_FAILURE) {
        text_printf(&a->verdict, ",\"failure\":\"%s\"", failure_name(f));
    }
    copy_member(&a->verdict, answer, "reason");
    copy_member(&a->verdict, answer, "status");
    copy_member(&a->verdict, answer, "valid_until");
    copy_member(&a->verdict, answer, "checks");
    text_printf(&a->verdict, "}");
    if (f != NO_FAILURE) {
        return fail(c, f, message, "the appraiser refuses the attestation");
    }
    if (a->spki.p == NULL &&
        json_base64(json_member(answer->p, answer->len, "spki", &bad), &a->spki) != 0) {
        return fail(c, FAIL_KEY_UNUSABLE, message, "the appraiser's answer has no key");
    }
    return 0;
}

int evidence_judge(struct connection *c, struct attestation *a, const char *message)
{
    struct text request = { 0 }, answer = { 0 };
    const char *reason = "no --appraiser-cmd was given";
    int ret = prepare(c, a, &c->peer_spki);

    if (ret != 0) {
        return ret;
    }
    if (planted(PLANTED_CHALLENGE_BEGINNING) && a->challenge.len > 8) {
        a->challenge.len = 8;
    }
    begin_request(c, a, "appraise", &request);
    add_member(&request, "cmw", &a->payload);
    text_printf(&request, ",\"match\":\"%s\"", c->options->draft->match);
    ret = c->options->draft->ask != NULL ? c->options->draft->ask(c, a, 1, &request) : 0;
    text_printf(&request, "}\n");
    if (ret != 0) {
        /* said already */
    } else if (request.failed || c->options->appraiser_cmd == NULL ||
        command_run(c->options->appraiser_cmd, &request, c->options->timeout, &answer, &reason) != 0) {
        ret = fail(c, FAIL_VERIFIER_UNREACHABLE, message, "the appraiser: %s", reason);
    } else {
        ret = parse_verdict(c, a, &answer, message);
    }
    text_free(&request);
    text_free(&answer);
    return ret;
}
