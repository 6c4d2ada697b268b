/* What the parts of the interpreter of compiled profiles share in one connection. */
#ifndef INTERPRETATION_H
#define INTERPRETATION_H

#include "compiled.h"

enum { MAX_MESSAGES = 48, MAX_ELEMENT = 1 << 14, MAX_PROTOCOLS = 8 };

enum secret { EARLY_SECRET, SHARED_SECRET, HANDSHAKE_SECRET, EXPORTER_SECRET, SECRETS };

/* What became of a slot, besides its attestation. */
struct slot_state {
    int listed;                /* its list was in the ClientHello */
    struct octets list;        /* encoded, as it came or was sent */
    int answered_null;         /* the fixed answer instead of a choice */
};

struct interpretation {
    const struct compiled *profile;
    struct shown {             /* a handshake message as it was sent */
        uint8_t type;
        int from_server, retry;
        struct octets octets;
    } messages[MAX_MESSAGES];
    size_t message_count;
    struct octets secrets[SECRETS];
    struct slot_state slots[MAX_SLOTS];
    unsigned sent[MESSAGES], received[MESSAGES]; /* bits of extensions */
    size_t entries;            /* of the peer's Certificate */
    int retried;               /* a HelloRetryRequest was asked for */
    int answered;              /* it has answers, so that what was chosen holds */
    struct octets cookie;      /* that it had */
    int cookie_came;           /* and that came back */
    int decided;               /* the server has chosen */
    int requested;             /* a CertificateRequest was sent */
    mbedtls_x509_crt made;     /* our certificate, made for this connection */
    struct text protocol;      /* of ALPN, with a nonce */
    const char *protocols[MAX_PROTOCOLS + 2]; /* the library's list */
};

/* The attestation of a slot. */
struct attestation *attestation_of(struct connection *c, size_t slot);
/* Whether our configuration has a scheme for a slot, and whether elements of its list
 * can express it: then the element is written. */
int slot_is_used(const struct options *o, const struct slot_rule *s);
int slot_element(const struct options *o, const struct slot_rule *s, struct writer *w);
/* Draws the nonce of a slot, once, within bounds. */
int nonce_draw(struct connection *c, size_t slot, uint64_t floor, uint64_t ceiling);
/* Where the payload of a slot is. */
const struct where *payload_of(const struct compiled *p, const struct slot_rule *s, enum credential credential);

/* choosing.c */
/* Server: what becomes of the offer. Returns 0, MBEDTLS_SSL_CUSTOM_EXT_HELLO_RETRY or
 * an error. */
int choose_schemes(struct connection *c);
/* Client: the choice of a slot as it stands in a message; empty for none. */
int take_choice(struct connection *c, size_t slot, const struct field *choice, const char *message);
/* Client: the flag in the place of a choice. */
int take_flag(struct connection *c, size_t slot, const char *message);
/* Client: what nobody chooses, once it is known whether the server asks for a certificate. */
int take_always(struct connection *c, int requested);
/* Client: once all choices are known. */
int check_choices(struct connection *c, int requested);

/* carried.c */
/* Reads the fields of the peer's certificate, and takes the payload from the one that
 * has it. */
int carried_read(struct connection *c, struct attestation *a);
/* Whether the peer's certificate has the field of a payload. */
int carried_is_there(const struct connection *c, const struct where *payload);
/* Makes our certificate, with the Evidence of a slot in it, and gives it to the
 * library. */
int carried_write(struct connection *c, struct attestation *a);

/* The body of cookie: of a server, in the HelloRetryRequest that it asked for, and as it comes back. */
int cookie_write(struct connection *c, enum message message, struct writer *w);
int cookie_read(struct connection *c, enum message message, struct reader body);
int cookie_check(struct connection *c);

/* fields.c */
/* Server: reads those of a ClientHello, before the library does. */
int fields_hello(struct connection *c, const unsigned char *msg, size_t len);
/* The body of certificate_authorities. */
int fields_write(struct connection *c, enum message message, struct writer *w);
int fields_read(struct connection *c, enum message message, struct reader body, const char *name);
/* Client: whether the protocol that was selected may be. */
int fields_check_protocol(struct connection *c);

/* transcript.c */
/* Keeps a message. */
int transcript_add(struct connection *c, int from_server, const unsigned char *msg, size_t len);
/* The hash of a range. Returns PROGRAM_.... */
int transcript_hash(struct connection *c, const char *end, int excluded, int role,
                    mbedtls_md_type_t hash, unsigned char *out);
/* The last message of a type that an end sent; NULL if there is none. */
const struct octets *transcript_message(const struct connection *c, int type, int from_server);

/* binding.c */
int interpret_challenge(struct connection *c, struct attestation *a);
/* The value of a definition, for an attester. */
int interpret_definition(struct connection *c, const struct attestation *a, const char *name, struct octets *out);
int interpret_ask(struct connection *c, const struct attestation *a, int appraise, struct text *request);

#endif
