/*
 * What a compiled profile says, checked and in the form in which the interpreter
 * uses it. Words are those of docs/compiled-profile.md.
 */
#ifndef COMPILED_H
#define COMPILED_H

#include "codec.h"
#include "document.h"
#include "frames.h"
#include "nonce_field.h"
#include "peer.h"

enum { MAX_PLACED = 16, MAX_ADDED = 16, MAX_OFFERED_BY = 8, MAX_KEYS = 8, MAX_FORMATS = 16, MAX_X509 = 8,
       MAX_NONCE = 1024, MAX_LABEL = 63 /* of a DNS name */ };

/* Messages that bear extensions, in the order of the handshake. */
enum message {
    IN_CLIENT_HELLO, IN_HELLO_RETRY_REQUEST, IN_SERVER_HELLO, IN_ENCRYPTED_EXTENSIONS, IN_CERTIFICATE_REQUEST,
    IN_CERTIFICATE, IN_NEW_SESSION_TICKET,
    IN_CLIENT_CERTIFICATE_REQUEST, /* of exported authenticators only */
    MESSAGES,
    IN_ADDED = MESSAGES            /* an added message, or, of a payload, cert_data */
};

/* A field by its path: of an extension in a message, or of an added message. */
struct where {
    int set;
    enum message message;
    int extension;                 /* -1: an added message, or cert_data; -2: a field of an RFC */
    int added;                     /* -1: none */
    int x509;                      /* a field of the end-entity certificate; -1: none */
    const char *field;             /* "": the body as a whole */
};

/* A field of the attester's end-entity certificate. */
struct x509_field {
    const char *name;
    struct octets oid;             /* of the extension; p is NULL: DNS names */
    int critical;                  /* -1: either */
    int octet_string, tagged, is_array;
    uint64_t tag;
    const struct record *array;    /* the values: payload, or names of definitions */
    const char *content;           /* the one value, without an array */
    const char *dns_names;
    size_t digits, chunk;
    int hex;
};

/* One placement of an extension. */
struct placement {
    int placed;
    const struct type *type;       /* NULL: opaque */
    int any;                       /* nothing needs to have been offered */
    struct offered_by {
        enum message message;
        int extension;
    } offered_by[2][MAX_OFFERED_BY]; /* by the role that sends it */
    size_t offered_by_count[2];
    int first;                     /* in the first entry only */
    int trailing;                  /* octets after the body are ignored */
};

struct placed_extension {
    const char *name;
    unsigned number;
    int ignore_unknown_arm;
    int later;                     /* of exported authenticators, and not of the handshake */
    struct placement at[MESSAGES];
};

struct added_message {
    const char *name;
    uint8_t number;
    const struct type *type;
    int gap[2];                    /* by sender: the message in front of which it stands; 0: none */
};

/* What an element of a list means. */
struct meaning {
    const char *name;              /* of its type, as the paths have it */
    const struct type *type;
};

struct slot_rule {
    const char *name;
    enum role attester;
    struct meaning element;
    int models[2];                 /* which the element can express */
    int credentials[2];            /* which it can have: without elements one, with them any */
    int always;                    /* nothing is negotiated */
    int flagged;                   /* a flag takes the place of the list */
    struct octets flag;            /* its value; empty: that the extension is there */
    struct where offer, choice, nonce, payload;
    struct nonce_field field;      /* where the nonce is in a field that an RFC defines */
};

struct credential_rule {
    int present;
    struct where payload;
    int one_entry;
    uint8_t certificate_type;
    int rfc7250, key_from_appraisal, pkix, empty_context;
    uint16_t keys[MAX_KEYS];       /* groups; none: any */
    size_t key_count;
};

/* An attester that shows its payload after the handshake: in exported authenticators, or in
 * frames of the application. */
struct later_rule {
    const char *name;              /* of the slot; NULL: there is none */
    int models[2];
    int object;                    /* around the payload of an authenticator; -1: none */
    int frame, nonce_frame;        /* that have the payload and the nonce for it; -1: none */
    size_t nonce_floor, nonce_ceiling;
    int every;                     /* each request asks for the payload */
    int asks;                      /* the extension with which a request asks; -1: none */
    struct where payload;          /* in an extension of the first CertificateEntry */
};

enum framing { FRAMING_APPLICATION, FRAMING_MESSAGES, FRAMING_TYPED };

/* How requests and authenticators travel. */
struct later_rules {
    enum framing framing;
    int request, answer, data;     /* type octets of frames; data is -1 where it has none */
    size_t length_octets;
    int data_before;               /* application data may come before the verdict */
    int nonce_context;             /* the context is the Verifier's nonce */
    size_t context_octets;
    int reports;                   /* a failure ends nothing */
    int flag;                      /* of tls_flags, which negotiates it; -1: nothing does */
};

enum scope { SCOPE_ALL, SCOPE_MODEL, SCOPE_SLOT };
enum no_scheme { NO_SCHEME_ABORT, NO_SCHEME_OMIT, NO_SCHEME_NULL };
enum transcript { TRANSCRIPT_RFC8446, TRANSCRIPT_CH1_SH, TRANSCRIPT_AS_SENT, TRANSCRIPT_CH2_SH };
enum validity { VALIDITY_ALLOW, VALIDITY_WITHIN, VALIDITY_NEVER };

struct claim_rule {
    const char *name;
    const struct expression *value;
};

struct compiled {
    struct document document;
    struct draft draft;            /* as the rest of the peer sees it */
    struct code_point points[64];
    int16_t alerts[FAILURES];
    mbedtls_ssl_custom_ext types[MAX_PLACED + 2];
    struct placed_extension extensions[MAX_PLACED];
    size_t extension_count;
    struct added_message added[MAX_ADDED];
    size_t added_count;
    mbedtls_ssl_custom_msg messages[2 * MAX_ADDED];
    size_t message_count;
    struct x509_field x509[MAX_X509];
    size_t x509_count;
    uint8_t authorities;           /* in which messages certificate_authorities has nonces, as the library's bits */
    int alpn;                      /* protocols have nonces */
    struct slot_rule slots[MAX_SLOTS];
    size_t slot_count;
    struct credential_rule credentials[2]; /* by enum credential */
    struct later_rule later[2];    /* by attester */
    struct later_rules after;
    struct object_rule objects[MAX_OBJECTS];
    size_t object_count;
    struct exchange_rules exchange;
    const struct expression *later_challenge[2]; /* by model; NULL: none */

    int empty_list, client_needs_certificate, server_order, one_per_attester;
    uint64_t at_least;
    enum scope scope;
    enum no_scheme no_scheme;
    int unwilling_aborts, none_aborts, client_choice_needs_request;
    uint64_t nonce_size, nonce_max;
    struct octets nonce_default;   /* p is NULL: a fresh one */
    enum transcript transcript;
    const struct expression *challenge[2][2]; /* by model and credential; NULL: none */
    struct claim_rule claims[8];
    size_t claim_count;
    enum validity tickets;
    int never_resume, refusal_aborts, discard_tickets;
    int raw_signature[2];          /* by role */
};

enum { COMPILED_LIMIT = -2 };

/* Reads a whole file's octets and checks all of it. Returns 0, or -1 after it wrote
 * to reason what is wrong, or COMPILED_LIMIT where nothing is, but this peer cannot do
 * what the file says. Nothing is kept of the octets. */
int compiled_read(struct compiled *c, const unsigned char *p, size_t len, char *reason, size_t size);
/* Reads the file and checks all of it. Returns 0, or likewise after an error message. */
int compiled_load(struct compiled *c, const char *file);
void compiled_free(struct compiled *c);

/* Whether somebody attests after the handshake. */
int compiled_later(const struct compiled *c);
/* Likewise in frames of the application. */
int compiled_frames(const struct compiled *c);

/* Fills in the fields of an element by which it means our scheme. Returns how many
 * there are, at most max, or -1 where the element cannot express it. */
int scheme_fields(const struct compiled *c, const struct meaning *element, const struct scheme *scheme,
                  struct field *fields, size_t max);
/* The fields that the profile gives by name below a map, as offer/first does. */
int named_fields(const struct compiled *c, const struct meaning *element, const char *map,
                 struct field *fields, size_t max);
/* Which models an element that was received means: bits, by enum model. */
unsigned element_models(const struct compiled *c, const struct meaning *element, const unsigned char *p, size_t len);

#endif
