#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "binder.h"
#include "compiled.h"

static const char usage[] =
    "usage: mbedtls-peer --server|--client [option...]\n"
    "  --profile P         early-attestation-06, tls-attestation-07, mbedtls-poc, none\n"
    "  --compiled F        file of attls profile compile, instead of --profile\n"
    "  --check             with --compiled: say whether this peer can do what the file says, and stop;\n"
    "                      the status is 3, behind \"limit:\", where it cannot\n"
    "  --attester WHO      client, server, both, none\n"
    "  --model M           evidence, results\n"
    "  --credential C      x509, attestation\n"
    "  --format F          content format (a number) or media type of Evidence; default 263\n"
    "  --verifier V        verifier_identity of results\n"
    "  --[no-]require-attestation  whether to fail unless the peer attests\n"
    "  --attester-cmd P, --appraiser-cmd P  programs that make and judge Evidence\n"
    "  --evidence F        file with the CMW to send instead\n"
    "  --code-point N=V    another number of a code point, as extensions.name=0xff00\n"
    "  --nonce-size N      octets of our nonces; default 32, or the profile's\n"
    "  --attester-size N   octets of the challenge field of Evidence, for profiles that bind to it\n"
    "  --host H, --port P  default 127.0.0.1 and 0\n"
    "  --servername N      name asked for and verified; default localhost\n"
    "  --cert F, --key F, --ca F  PEM files\n"
    "  --issuer-cert F, --issuer-key F  PEM files that sign certificates made with Evidence; default: --key does\n"
    "  --verify V          require, or evidence: an affirming verdict on the key, where the profile has pkix: none\n"
    "  --raw-public-key    show the public half of --key (RFC 7250) instead of --cert\n"
    "  --peer-key F        PEM file with the raw public key accepted of the peer\n"
    "  --ask-certificate   a server asks for a certificate\n"
    "  --groups L, --suites L, --alpn L  in order of preference, separated by commas\n"
    "  --sigalgs L         likewise: SignatureScheme numbers\n"
    "  --keylog F          append secrets in the NSS key log format, and the Handshake Secret\n"
    "  --json              print one line of claims for each connection\n"
    "  --connections N     stop after so many; 0: never; default 1\n"
    "  --timeout S         seconds for each read and each program; default 20\n"
    "  --data N            octets that a client sends and expects back; default 64\n"
    "  --psk-modes L       use tickets, in these modes: psk_dhe_ke, psk_ke\n"
    "  --sess-out F, --sess-in F  client: file for the session, file with the session to resume\n"
    "  --refuse-tickets    server: issue tickets and take none\n"
    "  --extended-key-update  in plain TLS or with --compiled: offer it, or take the offer\n"
    "  --key-updates N     client: begin so many behind the data; server: how many come before --reattest\n"
    "  --reattest          ask the peer to attest again behind that; a client waits until it is asked again\n"
    "  --answer-last       attest only to a peer that was accepted; one end at most can\n"
    "  --lines             after the handshake, obey lines of standard input (docs/authenticators.md); no\n"
    "                      certificate is validated\n"
    "  --binder-vectors    check the binders against known values\n"
    "  --version           print the version of the library\n";

/* A number for long options without a letter of their own. */
enum option_id {
    OPT_SERVER = 256, OPT_CLIENT, OPT_PROFILE, OPT_COMPILED, OPT_ATTESTER, OPT_MODEL, OPT_CREDENTIAL, OPT_FORMAT,
    OPT_VERIFIER, OPT_REQUIRE, OPT_NO_REQUIRE, OPT_ATTESTER_CMD, OPT_APPRAISER_CMD, OPT_EVIDENCE, OPT_NONCE_SIZE, OPT_ATTESTER_SIZE,
    OPT_HOST, OPT_PORT, OPT_SERVERNAME, OPT_CERT, OPT_KEY, OPT_CA, OPT_ISSUER_CERT, OPT_ISSUER_KEY, OPT_VERIFY, OPT_CODE_POINT, OPT_RAW_KEYS, OPT_PEER_KEY, OPT_ASK, OPT_GROUPS, OPT_SUITES,
    OPT_ALPN, OPT_SIGALGS, OPT_KEYLOG, OPT_JSON, OPT_CONNECTIONS, OPT_TIMEOUT, OPT_DATA,
    OPT_PSK_MODES, OPT_SESS_OUT, OPT_SESS_IN, OPT_REFUSE_TICKETS, OPT_LINES, OPT_KEY_UPDATE, OPT_KEY_UPDATES,
    OPT_REATTEST, OPT_ANSWER_LAST, OPT_VECTORS, OPT_CHECK,
    OPT_VERSION, OPT_HELP
};

static const struct option long_options[] = {
    { "server", no_argument, NULL, OPT_SERVER },
    { "client", no_argument, NULL, OPT_CLIENT },
    { "profile", required_argument, NULL, OPT_PROFILE },
    { "compiled", required_argument, NULL, OPT_COMPILED },
    { "attester", required_argument, NULL, OPT_ATTESTER },
    { "model", required_argument, NULL, OPT_MODEL },
    { "credential", required_argument, NULL, OPT_CREDENTIAL },
    { "format", required_argument, NULL, OPT_FORMAT },
    { "verifier", required_argument, NULL, OPT_VERIFIER },
    { "require-attestation", no_argument, NULL, OPT_REQUIRE },
    { "no-require-attestation", no_argument, NULL, OPT_NO_REQUIRE },
    { "attester-cmd", required_argument, NULL, OPT_ATTESTER_CMD },
    { "appraiser-cmd", required_argument, NULL, OPT_APPRAISER_CMD },
    { "evidence", required_argument, NULL, OPT_EVIDENCE },
    { "nonce-size", required_argument, NULL, OPT_NONCE_SIZE },
    { "attester-size", required_argument, NULL, OPT_ATTESTER_SIZE },
    { "host", required_argument, NULL, OPT_HOST },
    { "port", required_argument, NULL, OPT_PORT },
    { "servername", required_argument, NULL, OPT_SERVERNAME },
    { "cert", required_argument, NULL, OPT_CERT },
    { "key", required_argument, NULL, OPT_KEY },
    { "ca", required_argument, NULL, OPT_CA },
    { "issuer-cert", required_argument, NULL, OPT_ISSUER_CERT },
    { "issuer-key", required_argument, NULL, OPT_ISSUER_KEY },
    { "verify", required_argument, NULL, OPT_VERIFY },
    { "code-point", required_argument, NULL, OPT_CODE_POINT },
    { "raw-public-key", no_argument, NULL, OPT_RAW_KEYS },
    { "peer-key", required_argument, NULL, OPT_PEER_KEY },
    { "ask-certificate", no_argument, NULL, OPT_ASK },
    { "groups", required_argument, NULL, OPT_GROUPS },
    { "suites", required_argument, NULL, OPT_SUITES },
    { "alpn", required_argument, NULL, OPT_ALPN },
    { "sigalgs", required_argument, NULL, OPT_SIGALGS },
    { "keylog", required_argument, NULL, OPT_KEYLOG },
    { "json", no_argument, NULL, OPT_JSON },
    { "connections", required_argument, NULL, OPT_CONNECTIONS },
    { "timeout", required_argument, NULL, OPT_TIMEOUT },
    { "data", required_argument, NULL, OPT_DATA },
    { "psk-modes", required_argument, NULL, OPT_PSK_MODES },
    { "sess-out", required_argument, NULL, OPT_SESS_OUT },
    { "sess-in", required_argument, NULL, OPT_SESS_IN },
    { "refuse-tickets", no_argument, NULL, OPT_REFUSE_TICKETS },
    { "lines", no_argument, NULL, OPT_LINES },
    { "extended-key-update", no_argument, NULL, OPT_KEY_UPDATE },
    { "key-updates", required_argument, NULL, OPT_KEY_UPDATES },
    { "reattest", no_argument, NULL, OPT_REATTEST },
    { "answer-last", no_argument, NULL, OPT_ANSWER_LAST },
    { "binder-vectors", no_argument, NULL, OPT_VECTORS },
    { "check", no_argument, NULL, OPT_CHECK },
    { "version", no_argument, NULL, OPT_VERSION },
    { "help", no_argument, NULL, OPT_HELP },
    { NULL, 0, NULL, 0 },
};

static int bad_value(const char *option, const char *value)
{
    fprintf(stderr, "mbedtls-peer: --%s cannot be %s\n", option, value);
    return -1;
}

/* The value's place in a list of names that ends with NULL. */
static int find(const char *option, const char *value, const char *const *names, int *place)
{
    for (*place = 0; names[*place] != NULL; (*place)++) {
        if (strcmp(names[*place], value) == 0) {
            return 0;
        }
    }
    return bad_value(option, value);
}

static int number(const char *option, const char *value, long min, long max, long *out)
{
    char *end;

    *out = strtol(value, &end, 0);
    return *end != '\0' || end == value || *out < min || *out > max ? bad_value(option, value) : 0;
}

static int set_profile(struct options *o, const char *value)
{
    static const char *const names[] = { "none", "early-attestation-06", "tls-attestation-07", "mbedtls-poc", NULL };
    static const struct draft *const drafts[] = { NULL, &draft_early_attestation_06, &draft_tls_attestation_07,
        &draft_mbedtls_poc };
    int place, ret = find("profile", value, names, &place);

    if (ret == 0) {
        o->draft = drafts[place];
    }
    return ret;
}

static int set_attester(struct options *o, const char *value)
{
    static const char *const names[] = { "none", "client", "server", "both", NULL };
    int place, ret = find("attester", value, names, &place);

    o->attests[CLIENT] = place & 1;
    o->attests[SERVER] = place >> 1 & 1;
    return ret;
}

static int set_model(struct options *o, const char *value)
{
    static const char *const names[] = { "evidence", "results", NULL };
    int place, ret = find("model", value, names, &place);

    o->scheme.model = (enum model) place;
    return ret;
}

static int set_credential(struct options *o, const char *value)
{
    static const char *const names[] = { "x509", "attestation", NULL };
    int place, ret = find("credential", value, names, &place);

    o->scheme.credential = (enum credential) place;
    return ret;
}

static int set_verify(struct options *o, const char *value)
{
    static const char *const names[] = { "require", "evidence", NULL };

    return find("verify", value, names, &o->verify_evidence);
}

static int set_format(struct options *o, const char *value)
{
    long n;

    o->format_given = 1;
    if (strchr(value, '/') != NULL) {
        o->scheme.media_type = value;
        return strlen(value) < 1000 ? 0 : bad_value("format", value);
    }
    o->scheme.media_type = NULL;
    if (number("format", value, 0, 0xffff, &n) != 0) {
        return -1;
    }
    o->scheme.content_format = (uint16_t) n;
    return 0;
}

/* Calls add for each part of a list with commas. */
static int each(const char *list, size_t max, int (*add)(struct options *, size_t, const char *, size_t),
                struct options *o)
{
    for (size_t i = 0;; i++) {
        size_t len = strcspn(list, ",");
        if (i >= max || add(o, i, list, len) != 0) {
            fprintf(stderr, "mbedtls-peer: %.*s cannot be used\n", (int) len, list);
            return -1;
        }
        if (list[len] == '\0') {
            return 0;
        }
        list += len + 1;
    }
}

static int add_group(struct options *o, size_t i, const char *name, size_t len)
{
    o->groups[i] = group_by_name(name, len);
    return o->groups[i] != 0 ? 0 : -1;
}

static int add_suite(struct options *o, size_t i, const char *name, size_t len)
{
    o->suites[i] = suite_by_name(name, len);
    return o->suites[i] != 0 ? 0 : -1;
}

static int add_sigalg(struct options *o, size_t i, const char *name, size_t len)
{
    (void) len;
    o->sigalgs[i] = (uint16_t) strtol(name, NULL, 0);
    return o->sigalgs[i] != 0 ? 0 : -1;
}

static int add_alpn(struct options *o, size_t i, const char *name, size_t len)
{
    o->alpn[i] = strndup(name, len); /* kept to the end of the process */
    return o->alpn[i] != NULL ? 0 : -1;
}

static int add_psk_mode(struct options *o, size_t i, const char *name, size_t len)
{
    (void) i;
    if (len == 10 && memcmp(name, "psk_dhe_ke", len) == 0) {
        o->psk_modes |= MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_PSK_EPHEMERAL;
    } else if (len == 6 && memcmp(name, "psk_ke", len) == 0) {
        o->psk_modes |= MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_PSK;
    } else {
        return -1;
    }
    return 0;
}

static int add_code_point(struct options *o, const char *value)
{
    if (o->code_point_count == sizeof(o->code_points) / sizeof(o->code_points[0])) {
        return bad_value("code-point", value);
    }
    o->code_points[o->code_point_count++] = value;
    return 0;
}

/* Once the draft is known. */
static int set_code_points(const struct options *o)
{
    for (size_t i = 0; i < o->code_point_count; i++) {
        if (o->draft == NULL || code_point_set(o->draft, o->code_points[i]) != 0) {
            return bad_value("code-point", o->code_points[i]);
        }
    }
    return 0;
}

static int set(struct options *o, enum option_id id, const char *value)
{
    long n = 0;
    int ret = 0;

    switch (id) {
        case OPT_SERVER: o->role = SERVER; break;
        case OPT_CLIENT: o->role = CLIENT; break;
        case OPT_PROFILE: return set_profile(o, value);
        case OPT_COMPILED: return interpret_load(o, value);
        case OPT_ATTESTER: return set_attester(o, value);
        case OPT_MODEL: return set_model(o, value);
        case OPT_CREDENTIAL: return set_credential(o, value);
        case OPT_FORMAT: return set_format(o, value);
        case OPT_VERIFIER: o->scheme.verifier = value; return strlen(value) < 250 ? 0 : bad_value("verifier", value);
        case OPT_REQUIRE: o->require = 1; break;
        case OPT_NO_REQUIRE: o->require = 0; break;
        case OPT_ATTESTER_CMD: o->attester_cmd = value; break;
        case OPT_APPRAISER_CMD: o->appraiser_cmd = value; break;
        case OPT_EVIDENCE: o->evidence = value; break;
        case OPT_NONCE_SIZE: ret = number("nonce-size", value, 1, 1024, &n); o->nonce_size = (size_t) n; break;
        case OPT_ATTESTER_SIZE: ret = number("attester-size", value, 1, 1024, &n); o->attester_size = (size_t) n; break;
        case OPT_HOST: o->host = value; break;
        case OPT_PORT: o->port = value; break;
        case OPT_SERVERNAME: o->server_name = value; break;
        case OPT_CERT: o->cert = value; break;
        case OPT_KEY: o->key = value; break;
        case OPT_CA: o->ca = value; break;
        case OPT_ISSUER_CERT: o->issuer_cert = value; break;
        case OPT_ISSUER_KEY: o->issuer_key = value; break;
        case OPT_VERIFY: return set_verify(o, value);
        case OPT_CODE_POINT: return add_code_point(o, value);
        case OPT_RAW_KEYS: o->raw_keys = 1; break;
        case OPT_PEER_KEY: o->peer_key = value; break;
        case OPT_ASK: o->ask_certificate = 1; break;
        case OPT_GROUPS: return each(value, 15, add_group, o);
        case OPT_SUITES: return each(value, 7, add_suite, o);
        case OPT_ALPN: return each(value, 7, add_alpn, o);
        case OPT_SIGALGS: return each(value, 15, add_sigalg, o);
        case OPT_KEYLOG: o->keylog = value; break;
        case OPT_JSON: o->json = 1; break;
        case OPT_CONNECTIONS: ret = number("connections", value, 0, 1000000, &n); o->connections = (int) n; break;
        case OPT_TIMEOUT: ret = number("timeout", value, 1, 3600, &n); o->timeout = (int) n; break;
        case OPT_DATA: ret = number("data", value, 0, 1 << 30, &n); o->data = (size_t) n; break;
        case OPT_PSK_MODES: return each(value, 2, add_psk_mode, o);
        case OPT_SESS_OUT: o->sess_out = value; break;
        case OPT_SESS_IN: o->sess_in = value; break;
        case OPT_REFUSE_TICKETS: o->refuse_tickets = 1; break;
        case OPT_LINES: o->lines = 1; break;
        case OPT_KEY_UPDATE: o->key_update = 1; break;
        case OPT_KEY_UPDATES: ret = number("key-updates", value, 0, 1000000, &n); o->key_updates = (int) n; break;
        case OPT_REATTEST: o->reattest = 1; break;
        case OPT_ANSWER_LAST: o->answer_last = 1; break;
        case OPT_CHECK: o->check_only = 1; break;
        case OPT_VECTORS: exit(binder_vectors());
        case OPT_VERSION: puts(MBEDTLS_VERSION_STRING_FULL); return 1;
        case OPT_HELP: fputs(usage, stdout); return 1;
    }
    return ret;
}

static int check(const struct options *o)
{
    const char *wrong = NULL;

    if (o->raw_keys && (o->key == NULL || o->peer_key == NULL)) {
        wrong = "--raw-public-key needs --key and --peer-key";
    } else if (o->peer_key != NULL && !o->raw_keys) {
        wrong = "--peer-key goes with --raw-public-key";
    } else if (o->role == SERVER && o->cert == NULL && !o->raw_keys &&
               !(o->attests[SERVER] && o->scheme.credential == ALONE)) {
        wrong = "a server needs --cert";
    } else if (o->role == CLIENT && o->attests[CLIENT] && o->scheme.credential == BESIDE_X509 &&
               o->cert == NULL && !o->raw_keys) {
        wrong = "a client that attests beside X.509 needs --cert";
    } else if (o->draft == &draft_early_attestation_06 && o->scheme.credential == ALONE) {
        wrong = "early-attestation-06 has no credential of attestation alone";
    } else if (o->draft == &draft_early_attestation_06 && o->role == CLIENT && !o->attests[CLIENT] &&
               !o->attests[SERVER]) {
        wrong = "a client of early-attestation-06 must offer a scheme";
    } else if (o->draft == &draft_mbedtls_poc &&
               (o->attests[SERVER] || o->scheme.model == RESULTS || o->scheme.credential == BESIDE_X509)) {
        wrong = "in mbedtls-poc, the client attests with Evidence, alone";
    } else if (o->draft == &draft_tls_attestation_07 && o->scheme.model == RESULTS &&
               o->scheme.credential == BESIDE_X509) {
        wrong = "in tls-attestation-07, results are read as a credential of their own";
    } else if (o->draft != NULL && o->draft->compiled != NULL && (wrong = interpret_check(o)) != NULL) {
        /* said there */
    } else if (o->require && (o->draft == NULL || !o->attests[!o->role])) {
        wrong = "--require-attestation, but the peer is not to attest";
    } else if (o->scheme.model == RESULTS && o->scheme.verifier == NULL) {
        wrong = "results need --verifier";
    } else if ((o->issuer_cert == NULL) != (o->issuer_key == NULL)) {
        wrong = "--issuer-cert and --issuer-key go together";
    } else if (o->verify_evidence && (o->draft == NULL || o->draft->compiled == NULL ||
                                      o->draft->compiled->credentials[BESIDE_X509].pkix || !o->attests[!o->role])) {
        wrong = "--verify evidence needs a profile with pkix: none, and a peer that attests";
    } else if (o->lines && (o->connections != 1 || o->draft != NULL || o->json)) {
        wrong = "--lines is for one connection of plain TLS";
    } else if (o->key_update && o->draft != NULL && o->draft->compiled == NULL) {
        wrong = "--extended-key-update goes with plain TLS or --compiled";
    } else if (o->key_update && o->psk_modes != 0) {
        wrong = "with --extended-key-update there are no tickets, as --psk-modes would have them";
    } else if (o->key_updates != 0 && (!o->key_update || o->lines)) {
        wrong = "--key-updates needs --extended-key-update, and does not go with --lines";
    } else if ((o->reattest || o->answer_last) && (o->draft == NULL || o->draft->compiled == NULL)) {
        wrong = "--reattest and --answer-last go with --compiled";
    } else if (o->draft == &draft_mbedtls_poc && o->psk_modes != 0) {
        wrong = "mbedtls-poc has no tickets";
    } else if ((o->sess_in != NULL || o->sess_out != NULL) && (o->role != CLIENT || o->psk_modes == 0)) {
        wrong = "--sess-in and --sess-out are a client's, and need --psk-modes";
    }
    if (wrong != NULL) {
        fprintf(stderr, "mbedtls-peer: %s\n", wrong);
    }
    return wrong == NULL ? 0 : -1;
}

/* --check: what can be said without a connection. */
static int check_profile(const struct options *o)
{
    const char *limit;

    if (o->draft == NULL || o->draft->compiled == NULL) {
        fprintf(stderr, "mbedtls-peer: --check goes with --compiled\n");
        return -1;
    }
    limit = interpret_limit(o);
    if (limit != NULL) {
        fprintf(stderr, "mbedtls-peer: limit: %s\n", limit);
        return -2;
    }
    return 1;
}

int options_parse(struct options *o, int argc, char **argv)
{
    int id, ret;

    memset(o, 0, sizeof(*o));
    o->host = "127.0.0.1";
    o->port = "0";
    o->server_name = "localhost";
    o->scheme.content_format = 263;
    o->connections = 1;
    o->timeout = 20;
    o->data = 64;
    while ((id = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (id == '?') {
            return -1;
        }
        ret = set(o, (enum option_id) id, optarg);
        if (ret != 0) {
            return ret;
        }
    }
    if (optind != argc) {
        fprintf(stderr, "mbedtls-peer: %s is not an option\n", argv[optind]);
        return -1;
    }
    if (o->draft == &draft_mbedtls_poc) {
        o->scheme.content_format = 1; /* its own number of the only format */
    }
    if (o->draft != NULL && o->draft->compiled != NULL) {
        interpret_defaults(o);
    } else if (o->nonce_size == 0) {
        o->nonce_size = 32;
    }
    if (set_code_points(o) != 0) {
        return -1;
    }
    return o->check_only ? check_profile(o) : check(o);
}
