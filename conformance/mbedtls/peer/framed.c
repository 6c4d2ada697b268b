/* Requests and authenticators in application data, in the framing of a profile. */
#include "exported.h"

#include <stdlib.h>
#include <string.h>

enum content { REQUEST, ANSWER, DATA };
enum { MAX_HEADER = 5, MAX_CHUNK = (1 << 14) - 64 }; /* a frame of data fits a record */

static const struct later_rules *rules(const struct exported *e)
{
    return &e->profile->after;
}

static int typed(const struct exported *e)
{
    return rules(e)->framing == FRAMING_TYPED;
}

/* Whether the ends have agreed on the exchange. */
static int agreed(const struct exported *e)
{
    return rules(e)->flag < 0 || e->c->agreed;
}

/* Whether application data has frames. */
static int framed(const struct exported *e)
{
    return agreed(e) && typed(e) && rules(e)->data >= 0;
}

/* Whether application data waits for the attestations at the beginning, which is also where it
 * could not be told from them. */
static int comes_first(const struct exported *e)
{
    return !rules(e)->data_before || !typed(e) || rules(e)->data < 0;
}

static int complete(const struct exported *e)
{
    return (e->accepted || !e->asks) && (e->answered > 0 || !e->attests || !comes_first(e));
}

/* ---- frames ---- */

static size_t header_octets(const struct exported *e)
{
    return typed(e) ? 1 + rules(e)->length_octets : 4;
}

static int send_frame(struct exported *e, enum content content, const unsigned char *p, size_t len)
{
    const int types[] = { rules(e)->request, rules(e)->answer, rules(e)->data };
    const size_t header = typed(e) ? header_octets(e) : 0;
    unsigned char *frame = malloc(header + len);
    struct writer w = write_into(frame, frame != NULL ? header + len : 0);
    int ret;

    if (frame == NULL) {
        return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    }
    if (typed(e)) {
        write_number(&w, (uint32_t) types[content], 1);
        w.bad |= header < MAX_HEADER && len >> 8 * (header - 1) != 0;
        write_number(&w, (uint32_t) len, (int) header - 1);
    }
    write_octets(&w, p, len);
    ret = w.bad ? stream_end(e, fail(e->c, FAIL_OWN_LIMIT, NULL, "a frame has no room for %zu octets", len)) :
          traffic_send(e->c, frame, header + len);
    free(frame);
    return ret;
}

static int malformed(struct exported *e, enum failure f, const char *what, unsigned number)
{
    return stream_end(e, fail(e->c, f, NULL, "%s: %u", what, number));
}

/* What a header says comes behind it. */
static int read_header(struct exported *e, const unsigned char *p, enum content *content, size_t *len)
{
    struct reader r = read_all(p, header_octets(e));
    const int type = (int) read_number(&r, 1);

    *len = read_number(&r, (int) header_octets(e) - 1);
    if (!typed(e)) {
        *content = type == MBEDTLS_SSL_HS_CERTIFICATE_REQUEST || type == 17 ? REQUEST : ANSWER;
        if (*content == ANSWER && type != MBEDTLS_SSL_HS_CERTIFICATE && type != MBEDTLS_SSL_HS_CERTIFICATE_VERIFY &&
            type != MBEDTLS_SSL_HS_FINISHED) {
            return malformed(e, FAIL_UNEXPECTED_MESSAGE, "a message where a request or an authenticator belongs",
                             (unsigned) type);
        }
    } else if (type == rules(e)->request || type == rules(e)->answer || type == rules(e)->data) {
        *content = type == rules(e)->request ? REQUEST : type == rules(e)->answer ? ANSWER : DATA;
    } else {
        return malformed(e, FAIL_DECODE, "a frame of an unknown type", (unsigned) type);
    }
    if (*content != DATA && *len > AUTHENTICATOR_OCTETS) {
        return malformed(e, FAIL_CAPACITY, "too many octets are announced", (unsigned) *len);
    }
    return typed(e) && *len == 0 ? malformed(e, FAIL_DECODE, "a frame without content, of type", (unsigned) type) : 0;
}

/* Whether an authenticator goes on behind a message, where no frame says so. */
static int goes_on(int type)
{
    return type == MBEDTLS_SSL_HS_CERTIFICATE || type == MBEDTLS_SSL_HS_CERTIFICATE_VERIFY;
}

/* Reads the rest of a request or an authenticator whose header came. */
static int read_rest(struct exported *e, const unsigned char *header, size_t len, struct text *out)
{
    unsigned char chunk[4096], next[MAX_HEADER];
    int type = header[0], ret;

    if (!typed(e)) {
        text_add(out, (const char *) header, 4);
    }
    for (;;) {
        while (len > 0) {
            const size_t n = len < sizeof(chunk) ? len : sizeof(chunk);
            if ((ret = stream_need(e, chunk, n)) != 0) {
                return ret;
            }
            text_add(out, (const char *) chunk, n);
            len -= n;
        }
        if (out->failed) {
            return MBEDTLS_ERR_SSL_ALLOC_FAILED;
        }
        if (typed(e) || !goes_on(type)) {
            return 0;
        }
        enum content content;
        if ((ret = stream_need(e, next, 4)) != 0 || (ret = read_header(e, next, &content, &len)) != 0) {
            return ret;
        }
        type = next[0];
        text_add(out, (const char *) next, 4);
        if (out->len + len > AUTHENTICATOR_OCTETS) {
            return malformed(e, FAIL_CAPACITY, "too many octets of an authenticator", (unsigned) (out->len + len));
        }
    }
}

/* ---- what comes ---- */

static int answer(struct exported *e, const unsigned char *request, size_t len)
{
    struct octets out = { 0 };
    int ret;

    if (e->c->options->answer_last && e->asks && !e->accepted) {
        if (e->held.p != NULL) {
            return malformed(e, FAIL_LIMIT, "requests before the peer was accepted", 2);
        }
        return octets_set(&e->held, request, len) != 0 ? MBEDTLS_ERR_SSL_ALLOC_FAILED : 0;
    }
    if (e->answered == MAX_REQUESTS) {
        return malformed(e, FAIL_LIMIT, "requests of the peer", MAX_REQUESTS + 1);
    }
    ret = exported_answer(e, request, len, &out);
    ret = ret != 0 ? stream_end(e, ret) : send_frame(e, ANSWER, out.p, out.len);
    e->answered += ret == 0;
    octets_free(&out);
    return ret;
}

static int appraise(struct exported *e, const unsigned char *p, size_t len)
{
    struct octets held = e->held;
    int ret = exported_appraise(e, p, len);

    if (ret != 0) {
        return stream_end(e, ret);
    }
    e->accepted = 1;
    e->open = 0;
    e->held = (struct octets) { 0 };
    ret = held.p != NULL ? answer(e, held.p, held.len) : 0;
    octets_free(&held);
    return ret;
}

/* Handles one frame, whose first octet came. Of data only the header is read. */
static int step_behind(struct exported *e, unsigned char first)
{
    unsigned char header[MAX_HEADER] = { first };
    struct text body = { 0 };
    enum content content;
    size_t len;
    int ret = stream_need(e, header + 1, header_octets(e) - 1);

    ret = ret == 0 ? read_header(e, header, &content, &len) : ret;
    if (ret != 0) {
        return ret;
    }
    if (content == DATA) {
        if (comes_first(e) && !complete(e) && !e->optional) {
            return stream_end(e, fail(e->c, FAIL_UNEXPECTED_MESSAGE, NULL,
                               "application data before the attestation is complete"));
        }
        e->left = len;
        return 0;
    }
    ret = read_rest(e, header, len, &body);
    if (ret == 0) {
        const unsigned char *p = (unsigned char *) body.p;
        ret = content == REQUEST ? answer(e, p, body.len) : appraise(e, p, body.len);
    }
    text_free(&body);
    return ret;
}

/* Keeps what has come of a data frame. */
static int keep(struct exported *e)
{
    unsigned char chunk[4096];
    int n;

    while (e->left > 0) {
        if (e->data.len - e->taken + e->left > MAX_HELD) {
            return malformed(e, FAIL_CAPACITY, "octets of application data while an authenticator is waited for",
                             MAX_HELD + 1);
        }
        n = traffic_receive(e->c, chunk, e->left < sizeof(chunk) ? e->left : sizeof(chunk));
        if (n <= 0) {
            return stream_lost(e, n);
        }
        text_add(&e->data, (char *) chunk, (size_t) n);
        e->left -= (size_t) n;
    }
    return e->data.failed ? MBEDTLS_ERR_SSL_ALLOC_FAILED : 0;
}

static int step(struct exported *e)
{
    unsigned char first;
    int ret = keep(e);

    ret = ret == 0 ? stream_need(e, &first, 1) : ret;
    return ret == 0 ? step_behind(e, first) : ret;
}

/* ---- for the application ---- */

int framed_ask(struct connection *c)
{
    struct exported *e = c->exported;
    struct octets out = { 0 };
    int ret;

    if (e == NULL || !e->asks || !agreed(e)) {
        return 0;
    }
    ret = exported_request(e, &out);
    ret = ret != 0 ? stream_end(e, ret) : send_frame(e, REQUEST, out.p, out.len);
    e->open = 1;
    octets_free(&out);
    return ret;
}

int framed_wait(struct connection *c, int answered)
{
    struct exported *e = c->exported;
    int ret = 0;

    while (ret == 0 && e != NULL && agreed(e) && (e->open || (e->attests && e->answered < answered))) {
        ret = step(e);
    }
    return ret == 0 && e != NULL ? keep(e) : ret;
}

int framed_attest(struct connection *c)
{
    struct exported *e = c->exported;
    int ret;

    if (e == NULL) {
        return 0;
    }
    if (compiled_frames(e->profile)) {
        return frames_attest(c);
    }
    if (!agreed(e)) {
        if (!e->asks || e->optional) {
            return 0;
        }
        return stream_end(e, fail(c, FAIL_MISSING, "encrypted_extensions",
                           "the flag is not set, so that the peer cannot be asked to attest"));
    }
    ret = framed_ask(c);
    return ret == 0 ? framed_wait(c, comes_first(e)) : ret;
}

int framed_send(struct connection *c, const unsigned char *p, size_t len)
{
    struct exported *e = c->exported;
    int ret = 0;

    if (e == NULL || !framed(e)) {
        return traffic_send(c, p, len);
    }
    while (ret == 0 && len > 0) {
        const size_t most = rules(e)->length_octets == 1 ? 255 : MAX_CHUNK, n = len < most ? len : most;
        ret = send_frame(e, DATA, p, n);
        p += n;
        len -= n;
    }
    return ret;
}

int framed_receive(struct connection *c, unsigned char *buf, size_t size)
{
    struct exported *e = c->exported;
    unsigned char first;
    int n, ret;

    while (e != NULL && framed(e)) {
        if (e->taken < e->data.len) {
            const size_t kept = e->data.len - e->taken;
            n = (int) (kept < size ? kept : size);
            memcpy(buf, e->data.p + e->taken, (size_t) n);
            e->taken += (size_t) n;
            if (e->taken == e->data.len) {
                e->taken = e->data.len = 0;
            }
            return n;
        }
        if (e->left > 0) {
            n = traffic_receive(c, buf, e->left < size ? e->left : size);
            e->left -= n > 0 ? (size_t) n : 0;
            return n != 0 ? n : MBEDTLS_ERR_SSL_CONN_EOF;
        }
        n = traffic_receive(c, &first, 1);
        if (n <= 0) {
            return e->open || (n == 0 && !complete(e)) ? stream_lost(e, n) : n;
        }
        ret = step_behind(e, first);
        if (ret != 0) {
            return ret;
        }
    }
    return traffic_receive(c, buf, size);
}
