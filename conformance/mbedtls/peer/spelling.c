#include "spelling.h"

#include <string.h>

#include "mbedtls/base64.h"

/* base64url is without padding. */
static void to_url(struct text *t, size_t begin)
{
    for (size_t i = begin; i < t->len; i++) {
        if (t->p[i] == '=') {
            t->len = i;
            t->p[i] = '\0';
        } else {
            t->p[i] = t->p[i] == '+' ? '-' : t->p[i] == '/' ? '_' : t->p[i];
        }
    }
}

void spell(enum spelling codec, const struct octets *octets, struct text *out)
{
    const size_t begin = out->len;

    switch (codec) {
        case SPELT_HEX: text_hex(out, octets->p, octets->len); break;
        case SPELT_BASE64: text_base64(out, octets->p, octets->len); break;
        case SPELT_BASE64URL:
            text_base64(out, octets->p, octets->len);
            if (!out->failed) {
                to_url(out, begin);
            }
            break;
        default: text_add(out, (const char *) octets->p, octets->len);
    }
}

/* The octets that a text may be of, whatever its spelling is worth. */
static int guess(enum spelling codec, const char *text, size_t text_len, struct octets *octets)
{
    struct text t = { 0 };
    size_t len = text_len;
    int ret = -1;

    text_add(&t, text, text_len);
    if (codec == SPELT_BASE64URL && !t.failed) {
        for (size_t i = 0; i < t.len; i++) {
            t.p[i] = t.p[i] == '-' ? '+' : t.p[i] == '_' ? '/' : t.p[i];
        }
        text_add(&t, "===", (4 - text_len % 4) % 4);
    }
    if (!t.failed && octets_set(octets, (unsigned char *) t.p, t.len) == 0) {
        ret = codec == SPELT_RAW ? 0 : codec == SPELT_HEX ? octets_from_hex(octets, t.p) :
              mbedtls_base64_decode(octets->p, octets->len, &len, (unsigned char *) t.p, t.len);
        octets->len = codec == SPELT_BASE64 || codec == SPELT_BASE64URL ? len : octets->len;
    }
    text_free(&t);
    return ret == 0 ? 0 : -1;
}

int unspell(enum spelling codec, const char *text, size_t text_len, struct octets *octets)
{
    struct text again = { 0 };
    int ret = guess(codec, text, text_len, octets);

    if (ret == 0) {
        spell(codec, octets, &again);
        ret = !again.failed && again.len == text_len && (text_len == 0 || memcmp(again.p, text, text_len) == 0) ? 0 : -1;
    }
    text_free(&again);
    return ret;
}
