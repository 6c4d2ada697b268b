/*
 * The peer: what its parts share.
 *
 * main.c      over TCP; end.c   connections and application data
 * attend.c    an application that speaks in lines
 * framed.c    requests and authenticators in application data, which traffic.c has as it is
 * exported.c  what they attest; authenticator.c, authenticator_make.c,
 *             authenticator_check.c   RFC 9261
 * flags.c     the TLS flags that negotiate this, and Extended Key Update
 * options.c   the command line
 * session.c   callbacks of the library to the draft in force
 * interpret.c a compiled profile as a draft
 * compiled.c, compiled_places.c, compiled_slots.c, compiled_rules.c, compiled_later.c,
 *             loader.c   what it says; document.c, document_types.c, document_look.c,
 *             document_lines.c   how that stands in its file
 * binding.c, program.c, transcript.c   what it binds Evidence to
 * resume.c    sessions that are resumed, and their tickets
 * early.c, background.c, prototype.c   the drafts, each with its own encoding
 * evidence.c  making and judging Evidence through programs
 * binder.c    attestation binders
 * choosing.c, meaning.c, codec.c   negotiation by a compiled profile
 * choice.c    what both ends choose, for every draft
 * observe.c   what only the library's private state tells
 * claims.c, keylog.c   what is written down
 * failure.c   what can fail and which alert says so
 * codepoints.c numbers that may differ from the draft's
 * connection.c, interpretation.c   what a connection starts with and owns
 * names.c     names of numbers
 * octets.c, json.c, command.c   octets, JSON and other programs
 *
 * The list goes from the top down: no file needs one that needs it, which
 * conformance/peers/build_test.go checks.
 */
#ifndef PEER_H
#define PEER_H

#include "mbedtls/ssl.h"
#include "mbedtls/ctr_drbg.h"
#include "mbedtls/entropy.h"
#include "mbedtls/ssl_ticket.h"

#include "octets.h"

enum role { CLIENT, SERVER };
enum model { EVIDENCE, RESULTS };
enum credential { BESIDE_X509, ALONE };

/* Spelt as in docs/claims.md. */
enum failure {
    NO_FAILURE,
    FAIL_NO_SCHEME_EVIDENCE, FAIL_NO_SCHEME_RESULTS, FAIL_NOTHING_OFFERED, FAIL_UNWILLING,
    FAIL_DEMANDED_BY_CLIENT, FAIL_DEMANDED_BY_SERVER, FAIL_CHOICE_NOT_OFFERED,
    FAIL_TWO_CHOICES, FAIL_CHOICE_WITHOUT_REQUEST, FAIL_NOT_CHOSEN, FAIL_OFFER_CHANGED,
    FAIL_MISPLACED, FAIL_MISSING, FAIL_NONCE_SIZE, FAIL_MALFORMED_CMW, FAIL_BINDER_MISMATCH,
    FAIL_TIK_MISMATCH, FAIL_APPRAISAL, FAIL_FORMAT_MISMATCH, FAIL_VERIFIER_MISMATCH,
    FAIL_VERIFIER_UNREACHABLE, FAIL_ATTESTER_UNAVAILABLE, FAIL_KEY_UNUSABLE,
    FAIL_MALFORMED_EXTENSION, FAIL_UNSOLICITED, FAIL_CHOICE_NONE, FAIL_BINDER_UNDEFINED,
    FAIL_CERTIFICATE_TYPE, FAIL_RESUMPTION_REFUSED,
    /* of exported authenticators and what carries them */
    FAIL_DECODE, FAIL_TRAILING, FAIL_LIMIT, FAIL_CAPACITY, FAIL_OWN_LIMIT, FAIL_UNEXPECTED_MESSAGE, FAIL_DUPLICATE,
    FAIL_WRONG_MESSAGE, FAIL_MISSING_EXTENSION, FAIL_ILLEGAL_PARAMETER, FAIL_SIGNATURE, FAIL_FINISHED,
    FAIL_BAD_CERTIFICATE, FAIL_CERTIFICATE_EXPIRED, FAIL_CERTIFICATE_REVOKED, FAIL_UNKNOWN_CA, FAIL_KEY_USAGE,
    FAIL_CERTIFICATE_NAME, FAIL_REQUEST_CONTEXT, FAIL_EMPTY_AUTHENTICATOR, FAIL_INTERNAL, FAIL_CONFIGURATION, FAIL_TIMEOUT,
    FAIL_TRUNCATED, FAIL_PEER_REFUSED, FAILURES
};

/* In place of an alert: go on, or close without one. */
enum { ALERT_NONE = -1, ALERT_CLOSE = -2 };

/* An attestation scheme: a format of Evidence, or the Verifier of results. */
struct scheme {
    enum model model;
    enum credential credential;
    uint16_t content_format;
    const char *media_type;   /* instead of content_format, or NULL */
    const char *verifier;
};

struct draft;
struct compiled;
struct interpretation;

/* A certificate type that is in no registry and never goes over the network. */
enum { UNNAMED_CERTIFICATE_TYPE = 255 };

/* A number of a draft. The code of the draft uses the standard one. */
enum code_point_kind { EXTENSIONS, ALERTS, CERTIFICATE_TYPES, FLAGS };
enum { MAX_FLAG = 2039 };    /* of tls_flags */
struct code_point {
    enum code_point_kind kind;
    const char *name;          /* as a profile has it */
    unsigned standard;
    unsigned number;           /* what goes over the network; the command line may change it */
};
#define CODE_POINT(kind, name, number) { kind, name, number, number }

struct options {
    enum role role;
    const struct draft *draft; /* NULL: plain TLS */
    int attests[2];            /* by role */
    struct scheme scheme;
    int format_given;          /* otherwise it is the draft's, if that has one */
    int require;               /* the peer must attest */

    const char *host, *port, *server_name;
    const char *cert, *key, *ca;
    const char *issuer_cert, *issuer_key; /* of certificates that are made with Evidence */
    int verify_evidence;       /* a verdict on the key will do, where the profile has pkix: none */
    const char *code_points[16];
    size_t code_point_count;
    int raw_keys;              /* raw public keys of both ends (RFC 7250) */
    const char *peer_key;      /* the one accepted of the peer */
    int ask_certificate;       /* a server asks for a certificate */
    uint16_t groups[16], sigalgs[16];
    int suites[8];
    const char *alpn[8];
    const char *attester_cmd, *appraiser_cmd, *evidence;
    size_t nonce_size;         /* 0: what the draft has */
    size_t attester_size;      /* of the challenge field of Evidence; 0: unknown */
    const char *keylog;
    int check_only;            /* whether the profile can be interpreted */
    int json, connections, timeout;
    size_t data;               /* octets that a client sends and gets back */

    int psk_modes;             /* MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_PSK...; 0: no tickets */
    const char *sess_in, *sess_out; /* a client's */
    int refuse_tickets;        /* a server's */
    int key_update;            /* Extended Key Update is offered, or taken */
    int key_updates;           /* a client begins so many */
    int reattest;              /* the peer is asked again, and is waited for to ask again */
    int answer_last;           /* only a peer that was accepted is answered */
    int lines;                 /* the application is at the other end of standard input */
};

enum { EXIT_LIMIT = 3 };

/* Reads the command line. Returns 0, 1 when there is nothing more to do, -1
 * after an error message, or -2 after one of what this peer cannot do. */
int options_parse(struct options *o, int argc, char **argv);

/* What became of one attester. */
struct attestation {
    enum role attester;
    int offered, chosen;
    const char *slot;          /* name of the list in which it was offered */
    struct octets scheme;      /* the element on the wire */
    struct octets nonce;       /* on the wire */
    struct octets challenge;   /* what the Evidence had to hold */
    struct octets payload;     /* the CMW */
    struct octets spki;        /* the attested key */
    int judged;
    struct text verdict;       /* as claims have it */
    /* After the handshake: */
    enum later { NOT_LATER, IN_AUTHENTICATOR, IN_FRAME } later;
    struct octets context;     /* of the request that an authenticator answers */
    struct octets certificate; /* that the attester shows, DER */
    uint16_t signature;        /* scheme of its CertificateVerify */
    uint64_t epoch;            /* of keys, when it was sent */
};

/* What a session keeps of the peer. */
struct kept {
    const struct draft *draft; /* under which its attestation was accepted; NULL: it was not */
    enum model model;
    enum credential credential;
    struct octets scheme, spki;
    struct octets status, valid_until; /* as they stand in the verdict */
};

enum {
    MAX_EXTENSIONS = 16, MAX_SLOTS = 16,
    MAX_OUTCOMES = 64,         /* the first, and the latest ones */
    FIRST_SLOT = 2             /* of a compiled profile */
};

/* One connection. */
struct connection {
    const struct options *options;
    mbedtls_ssl_context ssl;
    mbedtls_ctr_drbg_context *random;
    mbedtls_pk_context *key;   /* of --key, owned by main.c */
    mbedtls_x509_crt *issuer;  /* of --issuer-cert, likewise; NULL: none */
    mbedtls_pk_context *issuer_key;
    const struct octets *accepted_key; /* of --peer-key, likewise */
    struct octets own_spki;    /* of --cert or, for a raw public key, --key */
    struct octets peer_spki;   /* of the peer's X.509 certificate or raw public key */
    struct octets own_certificate, peer_certificate; /* end-entity certificates, DER */
    mbedtls_pk_context attested_key; /* ours, where there is no X.509 */

    /* By role; those of a compiled profile's slots come behind. */
    struct attestation attestations[FIRST_SLOT + MAX_SLOTS];
    size_t attestation_count;
    struct interpretation *interpretation; /* of a compiled profile, or NULL */
    struct attestation outcomes[MAX_OUTCOMES]; /* after the handshake, in their order */
    size_t outcome_count;
    struct exported *exported; /* what attests after the handshake, or NULL */
    struct octets hellos[MAX_EXTENSIONS]; /* bodies in the first ClientHello */
    int seen[MAX_EXTENSIONS];  /* how many ClientHello messages had it */
    int attested_entry;        /* the peer's Certificate had the extension */

    mbedtls_md_type_t hash;    /* of the cipher suite */
    unsigned char transcript[MBEDTLS_MD_MAX_SIZE]; /* through ServerHello */
    size_t transcript_len;     /* 0 before ServerHello */
    unsigned char exporter[MBEDTLS_MD_MAX_SIZE];   /* tls-attestation-07 */

    enum failure failure;
    const char *message;       /* the handshake message concerned */
    char detail[256];
    int silent;                /* it closed without an alert */
    int tells;                 /* the peer is told in a frame of what has failed, before the connection ends */
    int alert_sent, alert_received; /* -1: none */
    uint16_t group;
    int suite, hello_retry;
    int asked;                 /* the server asked for a certificate */
    int state;                 /* of the library, after the last step */
    uint8_t own_type, peer_type; /* of certificates */
    uint16_t own_signature, peer_signature; /* schemes of CertificateVerify; 0: none */
    int psk_mode;              /* as in options; 0: a full handshake */
    struct kept kept;          /* of the session that is resumed */
    int refused_ticket;        /* a server has refused one */
    size_t data_sent, data_received;
    int updates;               /* the peer has set the flag of Extended Key Update */
    int agreed;                /* and that of the profile */
    uint64_t epoch;            /* of keys, at the end */
    int closed;
};

/* One revision of the drafts. Where the library asks, a draft writes and reads
 * the bodies of its extensions; done is called after each message. */
struct draft {
    const char *id;
    const mbedtls_ssl_custom_ext *extensions;
    size_t extension_count;
    struct code_point *code_points;
    size_t code_point_count;
    uint8_t certificate_type;  /* of a credential alone; 0: there is none */
    int raw_signature;         /* CertificateVerify of such a client is r || s */
    const char *fit, *match;   /* as docs/attester-command.md has them */
    int no_compatibility;      /* no change_cipher_spec, no session id */
    const struct compiled *compiled; /* where this is one, or NULL */
    const int16_t *alerts;     /* by failure, as they are on the wire or ALERT_...; 0: the general one */
    /* Returns 0, MBEDTLS_SSL_CUSTOM_EXT_OMIT or an error. */
    int (*write)(struct connection *c, int message, unsigned type, size_t entry, struct writer *w);
    int (*read)(struct connection *c, int message, unsigned type, size_t entry, struct reader r);
    int (*done)(struct connection *c, int message, int received);
    /* Writes our scheme as it stands in a list; NULL: the draft has none. */
    void (*element)(const struct scheme *s, struct writer *w);
    /* Fills challenge; leaves it empty where nothing is bound. */
    int (*challenge)(struct connection *c, struct attestation *a);
    /* Adds members to what a program is asked; may be NULL. */
    int (*ask)(struct connection *c, const struct attestation *a, int appraise, struct text *request);
};

extern const struct draft draft_early_attestation_06;
extern const struct draft draft_tls_attestation_07;
extern const struct draft draft_mbedtls_poc;

/* connection.c */
void connection_init(struct connection *c, const struct options *o);
void connection_free(struct connection *c);
/* The attestation of a role: the first one that was chosen, or what there is where
 * none was. */
struct attestation *of_role(struct connection *c, enum role role);
struct attestation *own(struct connection *c);
struct attestation *peers(struct connection *c);
void kept_free(struct kept *k);
void attestation_free(struct attestation *a);

/* session.c */
/* What a configuration refers to, and which must last as long. */
struct session_lists {
    mbedtls_ssl_custom_ext extensions[MAX_EXTENSIONS + 1]; /* and tls_flags */
    mbedtls_ssl_certificate_type types[2];
    uint8_t alone_or_x509[2];  /* RFC 7250: for an end that need not show the first */
};

int session_configure(mbedtls_ssl_config *conf, const struct options *o, struct session_lists *lists);
/* After mbedtls_ssl_setup(). */
void session_attach(struct connection *c);

/* choice.c */
/* Whether the peer must attest in the handshake. */
int demands_in_handshake(const struct options *o);
/* The check of both ends once all choices are known. */
int check_demand(struct connection *c, const char *message);
/* The certificate type of a credential alone. */
uint8_t alone_type(const struct draft *d);
/* Whether that type is negotiated by RFC 7250 besides. */
int types_are_negotiated(const struct draft *d);
/* The choice of a credential alone is the choice of its certificate type. */
int settle_certificate_types(struct connection *c);
/* Server: ask for a client certificate in this handshake. */
void ask_client(struct connection *c);
int choose(struct attestation *a, const char *slot, const struct octets *element);

/* resume.c */
enum { MAX_ISSUED = 16 };

/* The tickets of a server. */
struct tickets {
    mbedtls_ssl_ticket_context context;
    struct connection *current;
    struct issued {
        unsigned char name[32]; /* SHA-256 of the ticket */
        struct kept kept;
    } issued[MAX_ISSUED];      /* the last ones */
    size_t count;              /* of all that were issued */
};

int tickets_setup(struct tickets *t, mbedtls_ssl_config *conf, mbedtls_ctr_drbg_context *random);
void tickets_free(struct tickets *t);
/* Before each connection of a server. */
void tickets_begin(struct tickets *t, mbedtls_ssl_config *conf, struct connection *c);
mbedtls_ssl_ticket_write_t tickets_write;
mbedtls_ssl_ticket_parse_t tickets_parse;
/* A client's: writes the session to the file, or offers the one in the file
 * where it may be resumed. */
int session_save(struct connection *c);
int session_load(struct connection *c);
/* Whether a server sends no tickets, whatever the command line says. */
int sends_no_tickets(const struct options *o);
/* Once a pre-shared key was chosen: nothing is attested in this connection. */
int session_resumed(struct connection *c);

/* codepoints.c */
/* Takes "extensions.name=number" and returns 0, or -1. */
int code_point_set(const struct draft *d, const char *setting);
unsigned code_point_sent(const struct draft *d, enum code_point_kind kind, unsigned standard);
unsigned code_point_received(const struct draft *d, enum code_point_kind kind, unsigned number);
/* The profile's name for a number on the wire, NULL if it is none of the draft's. */
const char *code_point_name(const struct draft *d, enum code_point_kind kind, unsigned number);

/* failure.c */
const char *failure_name(enum failure f);
enum failure failure_by_name(const char *name, size_t len);
/* Names the alert that the draft has for a failure, and returns an error; 0 where the
 * draft wants to go on as if nothing had happened. */
int fail(struct connection *c, enum failure f, const char *message, const char *format, ...)
__attribute__((format(printf, 4, 5)));
/* The alert of the failure of a connection, as it is sent, and whether it closes without one. */
unsigned char failure_alert(const struct connection *c);
int failure_closes(const struct connection *c);
const char *alert_name(const struct options *o, int alert);
/* 0 where there is none of the name. */
int alert_by_name(const char *name);

/* evidence.c */
int evidence_make(struct connection *c, struct attestation *a, const char *message);
int evidence_judge(struct connection *c, struct attestation *a, const char *message);

/* observe.c */
void observe_handshake(struct connection *c);
void observe_end(struct connection *c, int ret);

/* claims.c */
void claims_print(struct connection *c, int ret);

/* names.c: NULL or 0 where there is none. */
const char *suite_name(int suite);
const char *group_name(uint16_t group);
const char *signature_name(uint16_t scheme);
uint16_t group_by_name(const char *name, size_t len);
int suite_by_name(const char *name, size_t len);
const char *role_name(enum role r);

/* interpret.c: a compiled profile as a draft. */
/* Loads the file and makes it the draft in force. Returns 0, or an error of
 * compiled_load() after a message. */
int interpret_load(struct options *o, const char *file);
void interpret_unload(void);
/* Fills in what the command line left open. */
void interpret_defaults(struct options *o);
/* What mbedTLS cannot do of the profile under these options, or NULL. */
const char *interpret_limit(const struct options *o);
/* What is wrong with options under the profile, or NULL. */
const char *interpret_check(const struct options *o);
/* Whether a server selects from other protocols than those of the command line. */
int interpret_selects(const struct options *o);
int interpret_configure(mbedtls_ssl_config *conf, const struct options *o);
/* cookie.c: whether a HelloRetryRequest has said what is attested, so that no session is resumed. */
int interpret_answered(const struct connection *c);
/* interpretation.c */
int interpret_begin(struct connection *c);
void interpret_end(struct connection *c);
/* A secret of the key schedule. */
void interpret_secret(struct connection *c, mbedtls_ssl_key_export_type type, const unsigned char *secret, size_t len);
/* fields.c */
/* Once an interpretation has begun: a client sets the fields of its ClientHello that have nonces. */
int fields_begin(struct connection *c);
/* The protocol of the application that was selected, NULL for none. */
const char *fields_protocol(struct connection *c);
/* choosing.c: whether an element stands for a scheme that we accept of the peer. */
int interpret_accepts(const struct options *o, const struct octets *element);

/* traffic.c: application data as it is. */
int traffic_send(struct connection *c, const unsigned char *p, size_t len);
/* Reads once. Returns the octets, 0 when the peer closed, or an error. */
int traffic_receive(struct connection *c, unsigned char *buf, size_t size);

/* attend.c */
/* Keeps the ClientHello of the connection. */
void attend_configure(mbedtls_ssl_config *conf);
/* Says that the connection is there and obeys lines until it is closed. */
int attend(struct connection *c, mbedtls_x509_crt *chain);

/* flags.c: tls_flags, with the flags of Extended Key Update and of a profile. */
enum { EXT_TLS_FLAGS = 62 };
/* Whether this end has any. */
int flags_used(const struct options *o);
/* Likewise without a draft, whose other extensions come with it. */
int flags_configure(mbedtls_ssl_config *conf);
/* What is done before a draft's extensions are configured. */
void flags_prepare(mbedtls_ssl_config *conf, const struct options *o);
int flags_write(struct connection *c, int message, struct writer *w);
int flags_read(struct connection *c, int message, struct reader body);

/* keylog.c: a mbedtls_ssl_export_keys_t whose context is the file's name. */
void keylog_export(void *file, mbedtls_ssl_key_export_type type, const unsigned char *secret,
                   size_t secret_len, const unsigned char client_random[32],
                   const unsigned char server_random[32], mbedtls_tls_prf_types prf);

#endif
