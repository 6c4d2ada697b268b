/* One line of JSON for each connection, as docs/claims.md describes it. */
#include <stdio.h>
#include <string.h>

#include "mbedtls/error.h"
#include "mbedtls/sha256.h"
#include "mbedtls/version.h"

#include "compiled.h"

static void add_text(struct text *t, const char *member, const char *value)
{
    if (value != NULL && *value != '\0') {
        text_printf(t, ",\"%s\":", member);
        text_json(t, value);
    }
}

static void add_hex(struct text *t, const char *member, const unsigned char *p, size_t len)
{
    if (len > 0) {
        text_printf(t, ",\"%s\":\"", member);
        text_hex(t, p, len);
        text_printf(t, "\"");
    }
}

static void add_fingerprint(struct text *t, const char *member, const struct octets *o)
{
    unsigned char sum[32];

    if (o->len > 0 && mbedtls_sha256(o->p, o->len, sum, 0) == 0) {
        add_hex(t, member, sum, sizeof(sum));
    }
}

static void add_alert(struct text *t, const struct options *o, const char *member, int alert)
{
    if (alert >= 0) {
        text_printf(t, ",\"%s\":{\"code\":%d,\"name\":\"%s\"}", member, alert, alert_name(o, alert));
    }
}

/* Names the media type of a content format (IANA's registry of CoAP content formats); "" where
 * it is none of those that Evidence goes by here. */
static const char *media_type_of(unsigned content_format)
{
    switch (content_format) {
    case 263:
        return " (application/eat+cwt)";
    case 10003:
        return " (application/eat+cwt; eat_profile=\"tag:psacertified.org,2023:psa#tfm\")";
    case 10004:
        return " (application/eat+cwt; eat_profile=\"tag:psacertified.org,2019:psa#legacy\")";
    default:
        return "";
    }
}

static void add_format(struct text *t, const struct scheme *s)
{
    char number[128];

    if (s->media_type != NULL) {
        add_text(t, "format", s->media_type);
        return;
    }
    snprintf(number, sizeof(number), "content format %u%s", s->content_format,
             media_type_of(s->content_format));
    add_text(t, "format", number);
}

static void add_attestation(struct text *t, const struct options *o, const struct attestation *a)
{
    const struct scheme *s = &o->scheme;

    text_printf(t, "{\"attester\":\"%s\",\"slot\":\"%s\",\"model\":\"%s\",\"credential\":\"%s\"",
                role_name(a->attester), a->slot, s->model == EVIDENCE ? "evidence" : "results",
                s->credential == ALONE ? "attestation" : "x509");
    add_hex(t, "scheme", a->scheme.p, a->scheme.len);
    if (s->model == EVIDENCE) {
        add_format(t, s);
    } else {
        add_text(t, "verifier", s->verifier);
    }
    if (a->later) {
        text_printf(t, ",\"phase\":\"%s\"", a->later == IN_FRAME ? "application_frame" : "authenticator");
    }
    add_hex(t, "request_context", a->context.p, a->context.len);
    add_fingerprint(t, "certificate", &a->certificate);
    add_text(t, "signature", signature_name(a->signature));
    if (a->epoch != 0) {
        text_printf(t, ",\"key_epoch\":%llu", (unsigned long long) a->epoch);
    }
    add_hex(t, "nonce", a->nonce.p, a->nonce.len);
    add_hex(t, "challenge", a->challenge.p, a->challenge.len);
    add_fingerprint(t, "payload", &a->payload);
    text_printf(t, ",\"payload_octets\":%zu", a->payload.len);
    if (a->judged) {
        text_printf(t, ",\"verdict\":");
        text_add(t, a->verdict.p, a->verdict.len);
    }
    text_printf(t, "}");
}

static void add_attestations(struct text *t, const struct connection *c)
{
    int first = 1;

    text_printf(t, ",\"attestation\":[");
    for (int role = SERVER; role >= CLIENT; role--) {
        for (size_t i = 0; i < c->attestation_count; i++) {
            const struct attestation *a = &c->attestations[i];
            if (a->chosen && a->attester == (enum role) role) {
                text_printf(t, first ? "" : ",");
                add_attestation(t, c->options, a);
                first = 0;
            }
        }
        for (size_t i = 0; i < c->outcome_count; i++) {
            if (c->outcomes[i].attester == (enum role) role) {
                text_printf(t, first ? "" : ",");
                add_attestation(t, c->options, &c->outcomes[i]);
                first = 0;
            }
        }
    }
    text_printf(t, "]");
}

static void add_error(struct text *t, const struct connection *c, int ret)
{
    char detail[128];

    text_printf(t, ",\"error\":{\"class\":\"%s\",\"failure\":\"%s\"",
                c->alert_received >= 0 || c->failure == FAIL_PEER_REFUSED ? "from peer" : c->failure != NO_FAILURE ? "violation" : "local",
                c->failure != NO_FAILURE ? failure_name(c->failure) :
                c->alert_received >= 0 ? "alert" : "mbedtls");
    add_text(t, "message", c->message);
    mbedtls_strerror(ret, detail, sizeof(detail));
    add_text(t, "detail", c->failure != NO_FAILURE ? c->detail : detail);
    add_alert(t, c->options, "alert", c->alert_received >= 0 ? c->alert_received : c->alert_sent);
    text_printf(t, "}");
}

/* What the session that is resumed knows of the peer's attestation. */
static void add_kept(struct text *t, const struct connection *c)
{
    const struct kept *k = &c->kept;

    if (c->psk_mode == 0 || k->draft == NULL) {
        return;
    }
    text_printf(t, ",\"resumed_attestation\":{\"attester\":\"%s\",\"profile\":\"%s\",\"model\":\"%s\",\"credential\":\"%s\"",
                role_name(!c->options->role), k->draft->id, k->model == EVIDENCE ? "evidence" : "results",
                k->credential == ALONE ? "attestation" : "x509");
    add_hex(t, "scheme", k->scheme.p, k->scheme.len);
    if (k->status.p != NULL) {
        text_printf(t, ",\"status\":%.*s", (int) k->status.len, (const char *) k->status.p);
    }
    if (k->valid_until.p != NULL) {
        text_printf(t, ",\"valid_until\":%.*s", (int) k->valid_until.len, (const char *) k->valid_until.p);
    }
    text_printf(t, "}");
}

/* The key behind a CertificateVerify: the attested one where the attestation is
 * the credential. With a pre-shared key, the one of the earlier connection. */
static const struct octets *key_of(struct connection *c, enum role role)
{
    const struct attestation *a = of_role(c, role);

    if (c->psk_mode != 0) {
        return &c->kept.spki;
    }
    if (a->chosen && c->options->scheme.credential == ALONE) {
        return &a->spki;
    }
    return role == c->options->role ? &c->own_spki : &c->peer_spki;
}

/* The type that was negotiated (RFC 7250). These drafts negotiate none for an
 * attestation in a certificate's place; the library's name for it stays ours. */
static void add_type(struct text *t, const struct draft *draft, const char *member, uint8_t type)
{
    char number[32];

    if (draft != NULL && draft->certificate_type != 0 &&
        code_point_received(draft, CERTIFICATE_TYPES, type) == draft->certificate_type) {
        type = types_are_negotiated(draft) ? type : MBEDTLS_SSL_CERTIFICATE_TYPE_X509;
    }
    snprintf(number, sizeof(number), "certificate type %u", type);
    add_text(t, member, type == MBEDTLS_SSL_CERTIFICATE_TYPE_X509 ? "X509" :
             type == MBEDTLS_SSL_CERTIFICATE_TYPE_RAW_PUBLIC_KEY ? "RawPublicKey" : number);
}

/* What the two ends showed of themselves. */
static void add_credentials(struct text *t, struct connection *c)
{
    const struct octets *peer = key_of(c, !c->options->role);

    add_fingerprint(t, "peer_key", peer);
    if (peer->len > 0 && c->psk_mode == 0) {
        add_type(t, c->options->draft, "peer_certificate_type", c->peer_type);
    }
    add_text(t, "peer_signature", signature_name(c->peer_signature));
    if (c->psk_mode == 0 && (c->options->role == SERVER || of_role(c, CLIENT)->chosen || c->asked)) {
        add_fingerprint(t, "own_key", key_of(c, c->options->role));
        add_type(t, c->options->draft, "own_certificate_type", c->own_type);
    }
    add_text(t, "own_signature", signature_name(c->own_signature));
}

/* What both ends can compare of their secrets; absent before the handshake is done. */
static void add_exporter(struct text *t, struct connection *c)
{
    static const char label[] = "EXPERIMENTAL attls claims";
    unsigned char value[32];

    if (mbedtls_ssl_is_handshake_over(&c->ssl) &&
        mbedtls_ssl_export_keying_material(&c->ssl, value, sizeof(value), label, sizeof(label) - 1, NULL, 0, 1) == 0) {
        add_hex(t, "exporter", value, sizeof(value));
    }
}

/* Whether the draft computes anything from the handshake. */
static int has_binder(const struct draft *d)
{
    static const char map[] = "binder/";
    int found = d != NULL && d->compiled == NULL;

    for (size_t i = 0; d != NULL && d->compiled != NULL && i < d->compiled->document.record_count; i++) {
        const struct record *r = &d->compiled->document.records[i];
        found |= r->kind == RECORD_EXPRESSION && strncmp(r->path, map, sizeof(map) - 1) == 0;
    }
    return found;
}

void claims_print(struct connection *c, int ret)
{
    const struct options *o = c->options;
    struct text t = { 0 };

    text_printf(&t, "{\"schema\":\"attls-claims/1\",\"stack\":\"mbedtls\",\"stack_version\":\"%s\",\"role\":\"%s\",\"profile\":\"%s\",\"protocol\":\"TLS 1.3\"",
                MBEDTLS_VERSION_STRING, role_name(o->role), o->draft != NULL ? o->draft->id : "");
    add_text(&t, "suite", suite_name(c->suite));
    add_text(&t, "group", group_name(c->group));
    text_printf(&t, ",\"hello_retry\":%s,\"resumed\":%s", c->hello_retry ? "true" : "false",
                c->psk_mode != 0 ? "true" : "false");
    if (c->psk_mode != 0) {
        add_text(&t, "psk_mode", c->psk_mode == MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_PSK ? "psk_ke" : "psk_dhe_ke");
    }
    if (c->epoch != 0) {
        text_printf(&t, ",\"key_epoch\":%llu", (unsigned long long) c->epoch);
    }
    add_text(&t, "alpn", fields_protocol(c));
    if (o->role == CLIENT) {
        add_text(&t, "server_name", o->server_name);
    }
    add_hex(&t, "transcript_hash", c->transcript, has_binder(o->draft) ? c->transcript_len : 0);
    add_credentials(&t, c);
    add_exporter(&t, c);
    add_attestations(&t, c);
    add_kept(&t, c);
    add_alert(&t, o, "alert_sent", c->alert_sent);
    add_alert(&t, o, "alert_received", c->alert_received);
    text_printf(&t, ",\"data_sent\":%zu,\"data_received\":%zu,\"state\":\"%s\"", c->data_sent, c->data_received,
                ret != 0 ? "failed" : c->closed ? "closed" : "connected");
    if (ret != 0) {
        add_error(&t, c, ret);
    }
    text_printf(&t, "}\n");
    if (t.failed) {
        fprintf(stderr, "mbedtls-peer: out of memory\n");
    } else {
        fwrite(t.p, 1, t.len, stdout);
        fflush(stdout);
    }
    text_free(&t);
}
