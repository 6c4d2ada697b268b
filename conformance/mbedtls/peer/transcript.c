/* The messages of a handshake and the ranges of them that binders name. */
#include <string.h>

#include "interpretation.h"
#include "program.h"

/* HelloRetryRequest is a ServerHello with this random (RFC 8446 section 4.1.3). */
static const unsigned char retry_random[32] = {
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c
};

int transcript_add(struct connection *c, int from_server, const unsigned char *msg, size_t len)
{
    struct interpretation *i = c->interpretation;
    struct shown *m;

    if (msg[0] == MBEDTLS_SSL_HS_NEW_SESSION_TICKET) {
        return 0; /* not of the handshake */
    }
    if (i->message_count == MAX_MESSAGES) {
        return MBEDTLS_ERR_SSL_INTERNAL_ERROR;
    }
    m = &i->messages[i->message_count];
    if (octets_set(&m->octets, msg, len) != 0) {
        return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    }
    m->type = msg[0];
    m->from_server = from_server;
    m->retry = msg[0] == MBEDTLS_SSL_HS_SERVER_HELLO && len >= 4 + 2 + 32 && memcmp(msg + 6, retry_random, 32) == 0;
    i->message_count++;
    return 0;
}

const struct octets *transcript_message(const struct connection *c, int type, int from_server)
{
    const struct interpretation *i = c->interpretation;

    for (size_t k = i->message_count; k > 0; k--) {
        const struct shown *m = &i->messages[k - 1];
        if (m->type == type && m->from_server == from_server && !m->retry) {
            return &m->octets;
        }
    }
    return NULL;
}

/* The type of the added message with the payload of an attester; 0: there is none. */
static int payload_message(struct connection *c, enum role role)
{
    const struct compiled *p = c->interpretation->profile;

    for (size_t k = 0; k < p->slot_count; k++) {
        const struct where *w = payload_of(p, &p->slots[k], c->options->scheme.credential);
        if (p->slots[k].attester == role && w != NULL && w->added >= 0) {
            return p->added[w->added].number;
        }
    }
    return 0;
}

/* Finds the last message of a range. A range up to a message that has not come is
 * undefined; one in front of it has all that there is. */
static int find_end(struct connection *c, const char *end, int role, int *type, int *from_server)
{
    static const struct {
        const char *name;
        int type, from_server;
    } ends[] = {
        { "CH", MBEDTLS_SSL_HS_CLIENT_HELLO, 0 }, { "SH", MBEDTLS_SSL_HS_SERVER_HELLO, 1 },
        { "EE", MBEDTLS_SSL_HS_ENCRYPTED_EXTENSIONS, 1 }, { "CR", MBEDTLS_SSL_HS_CERTIFICATE_REQUEST, 1 },
        { "CT", MBEDTLS_SSL_HS_CERTIFICATE, -1 }, { "CV", MBEDTLS_SSL_HS_CERTIFICATE_VERIFY, -1 },
        { "Fin", MBEDTLS_SSL_HS_FINISHED, -1 },
    };

    if (strcmp(end, "AT") == 0 && role >= 0) {
        *type = payload_message(c, (enum role) role);
        *from_server = role;
        return *type != 0 ? 0 : -1;
    }
    for (size_t k = 0; k < sizeof(ends) / sizeof(ends[0]); k++) {
        if (strcmp(ends[k].name, end) == 0 && (ends[k].from_server >= 0 || role >= 0)) {
            *type = ends[k].type;
            *from_server = ends[k].from_server >= 0 ? ends[k].from_server : role;
            return 0;
        }
    }
    return -1;
}

/* How many messages a range has; -1 where its end has not come. */
static int count_messages(struct connection *c, const char *end, int excluded, int role)
{
    const struct interpretation *i = c->interpretation;
    int type, from_server;

    if (find_end(c, end, role, &type, &from_server) != 0) {
        return -1;
    }
    for (size_t k = i->message_count; k > 0; k--) {
        const struct shown *m = &i->messages[k - 1];
        if (m->type == type && m->from_server == from_server && !m->retry) {
            return (int) k - (excluded ? 1 : 0);
        }
    }
    if (excluded) {
        return (int) i->message_count;
    }
    return type == MBEDTLS_SSL_HS_CERTIFICATE_REQUEST ? count_messages(c, "EE", 0, role) : -1;
}

/* After a HelloRetryRequest the messages begin with ClientHello1, HelloRetryRequest
 * and ClientHello2; what of them counts is the profile's reading. */
static int counts(enum transcript transcript, size_t at)
{
    switch (transcript) {
        case TRANSCRIPT_CH1_SH: return at != 1 && at != 2;
        case TRANSCRIPT_CH2_SH: return at != 0 && at != 1;
        default: return 1;
    }
}

static int add_message(const struct interpretation *i, mbedtls_md_context_t *md, const mbedtls_md_info_t *info,
                       size_t at)
{
    const struct octets *o = &i->messages[at].octets;
    const int retried = i->message_count > 1 && i->messages[1].retry;
    unsigned char head[4] = { MBEDTLS_SSL_HS_MESSAGE_HASH, 0, 0, mbedtls_md_get_size(info) };
    unsigned char hash[MBEDTLS_MD_MAX_SIZE];

    if (retried && !counts(i->profile->transcript, at)) {
        return 0;
    }
    if (!retried || at > 0 || i->profile->transcript != TRANSCRIPT_RFC8446) {
        return mbedtls_md_update(md, o->p, o->len);
    }
    return mbedtls_md(info, o->p, o->len, hash) != 0 || mbedtls_md_update(md, head, sizeof(head)) != 0 ||
           mbedtls_md_update(md, hash, mbedtls_md_get_size(info)) != 0;
}

int transcript_hash(struct connection *c, const char *end, int excluded, int role,
                    mbedtls_md_type_t hash, unsigned char *out)
{
    const mbedtls_md_info_t *info = mbedtls_md_info_from_type(hash);
    mbedtls_md_context_t md;
    int count = count_messages(c, end, excluded, role), ret;

    if (count < 0) {
        return PROGRAM_UNDEFINED;
    }
    mbedtls_md_init(&md);
    ret = mbedtls_md_setup(&md, info, 0);
    ret = ret == 0 ? mbedtls_md_starts(&md) : ret;
    for (int k = 0; ret == 0 && k < count; k++) {
        ret = add_message(c->interpretation, &md, info, (size_t) k);
    }
    ret = ret == 0 ? mbedtls_md_finish(&md, out) : ret;
    mbedtls_md_free(&md);
    return ret == 0 ? PROGRAM_OK : PROGRAM_FAILED;
}
