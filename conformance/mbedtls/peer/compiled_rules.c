/* The rules of a compiled profile: negotiation, binders, alerts, and what the library has to obey. */
#include "loader.h"

#include <stdio.h>
#include <string.h>

/* ---- negotiation ---- */

void load_negotiation(struct loader *l)
{
    static const char *const scopes[] = { "all", "model", "slot", NULL };
    static const char *const thens[] = { "abort", "omit", "null_choice", NULL };
    static const char *const verdicts[] = { "certificate_verify", "finished", "application_data", "later", NULL };
    static const char *const matches[] = { "equal", "with_parameters", "ignore", NULL };
    static const char *const maps[] = { "offer", "choose", "no_scheme", "answer", "match", "verdict", "offer/first",
                                        "no_scheme/null_choice" };
    struct compiled *c = l->c;

    document_find(l->d, "negotiation");
    for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
        document_find(l->d, "negotiation/%s", maps[i]);
    }
    c->empty_list = load_flag(l, "omit", "empty_list", 0, "negotiation/offer/when_empty");
    c->at_least = load_number(l, 0, 1000, "negotiation/offer/at_least");
    c->client_needs_certificate = load_flag(l, "", "certificate", 0, "negotiation/offer/client_slots_need");
    c->server_order = load_flag(l, "client", "server", 0, "negotiation/choose/order");
    c->one_per_attester = load_flag(l, "any", "1", 0, "negotiation/choose/per_attester");
    c->scope = (enum scope) load_word(l, scopes, SCOPE_ALL, "negotiation/no_scheme/scope");
    c->no_scheme = (enum no_scheme) load_word(l, thens, NO_SCHEME_ABORT, "negotiation/no_scheme/then");
    c->unwilling_aborts = load_flag(l, "omit", "abort", 0, "negotiation/unwilling");
    c->none_aborts = load_flag(l, "continue", "abort", 0, "negotiation/answer/none");
    c->client_choice_needs_request = load_flag(l, "", "certificate_request", 0, "negotiation/answer/client_choice_needs");
    c->draft.match = matches[load_word(l, matches, 0, "negotiation/match/format")];
    load_word(l, verdicts, 1, "negotiation/verdict/before"); /* we judge as soon as we can */
    for (size_t i = 0; i < l->d->record_count; i++) {
        l->d->records[i].used |= document_child(&l->d->records[i], "negotiation/offer/first") != NULL ||
                                 document_child(&l->d->records[i], "negotiation/no_scheme/null_choice") != NULL;
    }
}

int load_nonces(struct loader *l)
{
    const char *octets = document_value(l->d, "nonce/default");

    document_find(l->d, "nonce");
    l->c->nonce_max = load_number(l, 0, 65535, "nonce/receive_at_most");
    l->c->nonce_size = load_number(l, 0, 65535, "nonce/size");
    if (octets != NULL && (strncmp(octets, "0x", 2) != 0 || octets_from_hex(&l->c->nonce_default, octets + 2) != 0)) {
        return load_refuse(l, "nonce/default is no octets");
    }
    return 0;
}

/* ---- binders ---- */

static int add_claim(struct loader *l, const struct record *r, const char *name)
{
    const struct record *value = document_find(l->d, "binder/claims/%s/value", name);
    int implied = load_flag(l, "claim", "challenge", 0, load_path("binder/claims/%s/where", name).p);

    if (r->kind != RECORD_MAP || !load_is_name(name) || value == NULL || value->kind != RECORD_EXPRESSION ||
        l->c->claim_count == sizeof(l->c->claims) / sizeof(l->c->claims[0])) {
        return -1;
    }
    if (!implied) {
        l->c->claims[l->c->claim_count++] = (struct claim_rule) { name, value->expression };
    }
    return 0;
}

/* The challenge of a scheme, in the map of a phase. */
static int load_challenge(struct loader *l, const struct expression **e, const char *map, const char *name)
{
    const struct record *r = document_find(l->d, "%s/%s", map, name);

    if (r == NULL || (r->kind == RECORD_KEY && strcmp(r->values[0], "none") == 0)) {
        return 0;
    }
    if (r->kind != RECORD_EXPRESSION) {
        return load_refuse(l, "line %zu: a challenge is an expression", r->line);
    }
    *e = r->expression;
    return 0;
}

int load_binder(struct loader *l)
{
    static const char *const transcripts[] = { "rfc8446", "ch1_sh", "as_sent", "ch2_sh", NULL };
    static const char *const fits[] = { "pad_right", "pad_left", "sha512", "exact", NULL };
    static const char *const maps[] = { "", "/define", "/challenge", "/claims", "/hand_over", "/exporters",
                                        "/post_handshake", "/post_handshake/define", "/hand_over/values",
                                        "/authenticator", "/authenticator/challenge", "/application_frame",
                                        "/application_frame/challenge" };
    static const char in_handshake[] = "binder/challenge";
    struct compiled *c = l->c;
    const char *later = compiled_frames(c) ? "binder/application_frame/challenge" : "binder/authenticator/challenge";

    for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
        document_find(l->d, "binder%s", maps[i]);
    }
    l->c->transcript = (enum transcript) load_word(l, transcripts, 0, "binder/transcript");
    l->c->draft.fit = fits[load_word(l, fits, 0, "binder/hand_over/fit")];
    if (load_challenge(l, &c->challenge[EVIDENCE][ALONE], in_handshake, "evidence%2Falone") != 0 ||
        load_challenge(l, &c->challenge[EVIDENCE][BESIDE_X509], in_handshake, "evidence%2Fx509") != 0 ||
        load_challenge(l, &c->challenge[RESULTS][ALONE], in_handshake, "results%2Falone") != 0 ||
        load_challenge(l, &c->challenge[RESULTS][BESIDE_X509], in_handshake, "results%2Fx509") != 0 ||
        load_challenge(l, &c->later_challenge[EVIDENCE], later, "evidence%2Fx509") != 0 ||
        load_challenge(l, &c->later_challenge[RESULTS], later, "results%2Fx509") != 0) {
        return -1;
    }
    load_each(l, "binder/define", load_know);
    load_each(l, "binder/exporters", load_know);          /* applications' */
    load_each(l, "binder/post_handshake/define", load_know);
    return load_each(l, "binder/claims", add_claim);
}

/* ---- alerts ---- */

static int alert_number(const struct loader *l, const char *name)
{
    const struct code_point *p = load_point(l, ALERTS, name);

    return p != NULL ? (int) p->number : alert_by_name(name);
}

int load_alert(struct loader *l, const struct record *r, const char *name)
{
    static const char no_scheme[] = "no_scheme";
    char failure[256];
    enum failure f;
    int alert;

    if (r->kind != RECORD_KEY) {
        return -1;
    }
    alert = strcmp(r->values[0], "none") == 0 ? ALERT_NONE : strcmp(r->values[0], "close") == 0 ? ALERT_CLOSE :
            alert_number(l, r->values[0]);
    if (alert == 0) {
        return load_refuse(l, "line %zu: there is no alert %.100s", r->line, r->values[0]);
    }
    if (strcmp(name, no_scheme) == 0) { /* both, where they are not named by themselves */
        l->c->alerts[FAIL_NO_SCHEME_EVIDENCE] = (int16_t) alert;
        l->c->alerts[FAIL_NO_SCHEME_RESULTS] = (int16_t) alert;
        return 0;
    }
    snprintf(failure, sizeof(failure), "attestation.%s", name);
    f = failure_by_name(failure, strlen(failure));
    if (f == NO_FAILURE) {
        return load_refuse(l, "line %zu: there is no failure %.100s", r->line, name);
    }
    l->c->alerts[f] = (int16_t) alert;
    return 0;
}

/* ---- what the library has to obey ---- */

void load_resumption(struct loader *l)
{
    static const char *const accepts[] = { "policy", "unless_due", "within_validity", "never", NULL };
    static const char *const validities[] = { "allow", "within_validity", "never", NULL };

    document_find(l->d, "after");
    document_find(l->d, "after/resumption");
    l->c->never_resume = load_word(l, accepts, 0, "after/resumption/accept") == 3;
    l->c->refusal_aborts = load_flag(l, "full_handshake", "abort", 0, "after/resumption/refused");
    l->c->tickets = (enum validity) load_word(l, validities, 0, "after/resumption/tickets");
    load_word(l, validities, 0, "after/resumption/early_data"); /* never offered or accepted */
    l->c->discard_tickets = load_flag(l, "keep", "discard", 0, "after/resumption/received_tickets");
    load_flag(l, "allow", "forbid", 0, "after/resumption/external_psk_only"); /* there are none */
    document_find(l->d, "after/post_handshake"); /* mbedTLS has no authentication after the handshake */
    load_flag(l, "false", "true", 0, "after/post_handshake/client_authentication");
    load_flag(l, "in_request", "carried_over", 0, "after/post_handshake/choice");
}

static int is_quirk_list(struct loader *l, const char *path, const char *const *obeyed)
{
    const struct record *r = document_find(l->d, "%s", path);

    for (size_t i = 0; r != NULL && i < r->count; i++) {
        int known = 0;
        for (size_t k = 0; obeyed[k] != NULL; k++) {
            known |= strcmp(obeyed[k], r->values[i]) == 0;
        }
        if (!known) {
            return load_cannot(l, "line %zu: mbedTLS cannot obey %s %.100s", r->line, path, r->values[i]);
        }
    }
    return r != NULL;
}

void load_quirks(struct loader *l)
{
    static const char *const never_sent[] = { "new_session_ticket", "key_update", NULL };
    static const char *const schemes[] = { "ecdsa_secp256r1_sha256", NULL };
    static const char *const obeyed[] = { "never_fragment", "accept_new_random", "accept_reordered_hello",
                                          /* what is read, where more would be welcome: */
                                          "retain_handshake_read_key", "accept_plaintext_alerts" };
    struct draft *d = &l->c->draft;

    document_find(l->d, "quirks");
    document_find(l->d, "quirks/signature_encoding");
    document_find(l->d, "quirks/signature_schemes");
    l->c->raw_signature[CLIENT] = load_flag(l, "der", "raw", 0, "quirks/signature_encoding/client");
    l->c->raw_signature[SERVER] = load_flag(l, "der", "raw", 0, "quirks/signature_encoding/server");
    is_quirk_list(l, "quirks/signature_schemes/client", schemes);
    is_quirk_list(l, "quirks/signature_schemes/server", schemes);
    document_find(l->d, "quirks/encrypted_extensions_only"); /* we send ALPN and what the profile has */
    if (is_quirk_list(l, "quirks/never_send", never_sent) > 0) {
        l->c->tickets = VALIDITY_NEVER;
    }
    for (size_t i = 0; i < sizeof(obeyed) / sizeof(obeyed[0]); i++) {
        load_flag(l, "false", "true", 0, load_path("quirks/%s", obeyed[i]).p);
    }
    d->no_compatibility = load_flag(l, "false", "true", 0, "quirks/no_ccs");
    if (load_flag(l, "false", "true", d->no_compatibility, "quirks/empty_session_id") != d->no_compatibility) {
        load_cannot(l, "mbedTLS has quirks/no_ccs and quirks/empty_session_id together only");
    }
    if (load_number(l, 1, 1000, "quirks/messages_per_record") != 1) {
        load_cannot(l, "mbedTLS has one message in a record: quirks/messages_per_record");
    }
    if (load_number(l, MBEDTLS_SSL_CID_TLS1_3_PADDING_GRANULARITY, 1 << 14, "quirks/pad_to") !=
        MBEDTLS_SSL_CID_TLS1_3_PADDING_GRANULARITY) {
        load_cannot(l, "mbedTLS pads to a multiple of %d: quirks/pad_to", MBEDTLS_SSL_CID_TLS1_3_PADDING_GRANULARITY);
    }
}
