#include "fixed.h"

#include <stdint.h>
#include <string.h>
#include <time.h>

#include "mbedtls/entropy.h"
#include "mbedtls/platform_time.h"
#include "psa/crypto.h"

#include "command.h"
#include "json.h"

static uint64_t state;

void fixed_begin(void)
{
    state = 0x9e3779b97f4a7c15;
}

/* xorshift64 */
static void draw(unsigned char *out, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out[i] = (unsigned char) (state >> 32);
    }
}

psa_status_t mbedtls_psa_external_get_random(mbedtls_psa_external_random_context_t *context, uint8_t *out, size_t size,
                                             size_t *len)
{
    (void) context;
    draw(out, size);
    *len = size;
    return PSA_SUCCESS;
}

int mbedtls_hardware_poll(void *data, unsigned char *out, size_t len, size_t *olen)
{
    (void) data;
    memset(out, 0x5a, len);
    *olen = len;
    return 0;
}

/* An hour after the certificates of campaigns were issued. */
enum { NOW = 1577836800 + 3600 };

time_t __wrap_time(time_t *t);
time_t __wrap_time(time_t *t)
{
    if (t != NULL) {
        *t = NOW;
    }
    return NOW;
}

mbedtls_ms_time_t mbedtls_ms_time(void)
{
    return (mbedtls_ms_time_t) NOW * 1000;
}

/*
 * In the place of programs. An attester's Evidence is the challenge, in base64, and an
 * appraiser believes a CMW that contains the challenge, as octets or in base64, or any
 * where there is none: fuzzers of octets get past it, and what is bound to another
 * connection does not.
 */
static int contains(const struct octets *where, const unsigned char *p, size_t len)
{
    for (size_t i = 0; i + len <= where->len; i++) {
        if (len == 0 || memcmp(where->p + i, p, len) == 0) {
            return 1;
        }
    }
    return 0;
}

int command_run(const char *command, const struct text *input, int seconds, struct text *output, const char **reason)
{
    struct octets challenge = { 0 }, cmw = { 0 };
    int bad, found;

    (void) command;
    (void) seconds;
    *reason = NULL;
    json_base64(json_member(input->p, input->len, "challenge", &bad), &challenge);
    if (!json_is(json_member(input->p, input->len, "action", &bad), "appraise")) {
        static const char head[] = "\x82\x19\x01\x07\x58"; /* a CMW: [263, h'...'] */
        text_add(output, head, sizeof(head) - 1);
        text_printf(output, "%c", (int) (challenge.len < 256 ? challenge.len : 0));
        text_add(output, (const char *) challenge.p, challenge.len < 256 ? challenge.len : 0);
    } else {
        json_base64(json_member(input->p, input->len, "cmw", &bad), &cmw);
        found = contains(&cmw, challenge.p, challenge.len);
        text_printf(output, found ? "{\"status\":\"affirming\"}" :
                    "{\"status\":\"contraindicated\",\"failure\":\"attestation.binder_mismatch\"}");
    }
    octets_free(&challenge);
    octets_free(&cmw);
    return 0;
}
