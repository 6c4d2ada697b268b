/*
 * A fuzz target over RFC 9261 in the peer. An input says which message is made and how it
 * is changed on its way: its first octet is the message, and every four octets behind it
 * are an edit. An authenticator that was changed must be refused, and the true one taken
 * afterwards. With clang it is a target of libFuzzer; with another compiler, main() below
 * makes inputs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mbedtls/ecp.h"
#include "mbedtls/sha256.h"
#include "mbedtls/x509_crt.h"

#include "authenticator.h"

static uint64_t state = 0x9e3779b97f4a7c15;

/* xorshift64: the same numbers for the same seed. */
static uint64_t draw(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static int drawn(void *rng, unsigned char *out, size_t len)
{
    (void) rng;
    for (size_t i = 0; i < len; i++) {
        out[i] = (unsigned char) draw();
    }
    return 0;
}

/* The exporter of a connection that exists by its name alone. */
static int export(void *context, const char *label, unsigned char *out, size_t len)
{
    unsigned char sum[32];

    (void) context;
    mbedtls_sha256((const unsigned char *) label, strlen(label), sum, 0);
    memcpy(out, sum, len < sizeof(sum) ? len : sizeof(sum));
    return 0;
}

static mbedtls_pk_context key;
static mbedtls_x509_crt chain;

static int make_identity(void)
{
    static unsigned char der[2048];
    mbedtls_x509write_cert w;
    int n, ret;

    mbedtls_pk_init(&key);
    mbedtls_x509_crt_init(&chain);
    mbedtls_x509write_crt_init(&w);
    ret = mbedtls_pk_setup(&key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY));
    if (ret == 0) {
        ret = mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(key), drawn, NULL);
    }
    mbedtls_x509write_crt_set_md_alg(&w, MBEDTLS_MD_SHA256);
    mbedtls_x509write_crt_set_subject_key(&w, &key);
    mbedtls_x509write_crt_set_issuer_key(&w, &key);
    if (ret != 0 || mbedtls_x509write_crt_set_subject_name(&w, "CN=fuzz") != 0 ||
        mbedtls_x509write_crt_set_issuer_name(&w, "CN=fuzz") != 0 ||
        mbedtls_x509write_crt_set_validity(&w, "20200101000000", "20990101000000") != 0 ||
        mbedtls_x509write_crt_set_serial_raw(&w, (unsigned char *) "\1", 1) != 0) {
        return -1;
    }
    n = mbedtls_x509write_crt_der(&w, der, sizeof(der), drawn, NULL);
    mbedtls_x509write_crt_free(&w);
    return n < 0 ? n : mbedtls_x509_crt_parse_der(&chain, der + sizeof(der) - n, (size_t) n);
}

/* A ClientHello with signature_algorithms and status_request. */
static unsigned char hello[] = {
    1, 0, 0, 64, 3, 3,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 2, 0x13, 1, 1, 0, 0, 21, 0, 13, 0, 8, 0, 6, 4, 3, 5, 3, 8, 4, 0, 5, 0, 5, 1, 0, 0, 0, 0
};

static struct authenticator_config configs[2];

static struct authenticators *end(int server)
{
    configs[server] = (struct authenticator_config) {
        .server = server, .hash = MBEDTLS_MD_SHA256, .export = export, .random = drawn, .chain = &chain, .key = &key,
        .client_hello = { hello, sizeof(hello) }
    };
    return authenticators_new(&configs[server]);
}

/* Applies the edits to a copy. Returns its length. */
static size_t edit(const struct octets *in, unsigned char *out, size_t size, const unsigned char *p, size_t len)
{
    size_t n = in->len;

    memcpy(out, in->p, n);
    for (; len >= 4; p += 4, len -= 4) {
        size_t at = n > 0 ? ((size_t) p[1] << 8 | p[2]) % n : 0;
        if (n == 0) {
            break;
        }
        switch (p[0] % 5) {
            case 0: out[at] = p[3]; break;
            case 1: out[at] ^= (unsigned char) (1 << p[3] % 8); break;
            case 2: n = at; break;
            case 3: memmove(out + at, out + at + 1, n - at - 1); n--; break;
            case 4:
                if (n < size) {
                    memmove(out + at + 1, out + at, n - at);
                    out[at] = p[3];
                    n++;
                }
                break;
        }
    }
    return n;
}

static void must(int holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}

static void one(int asker, int what, const unsigned char *p, size_t len)
{
    struct authenticators *a = end(asker), *b = end(!asker);
    struct authenticator_claim claims[3] = { 0 };
    struct octets request = { 0 }, proof = { 0 };
    static unsigned char copy[1 << 14];
    size_t n;
    int ret;

    if (what == 3) { /* one that answers no request */
        must(authenticators_spontaneous(b, (const unsigned char *) "none", 4, &proof, &claims[1]) == 0, "it is not made");
    } else {
        must(authenticators_request(a, (const unsigned char *) "fuzz", 4, &request, &claims[0]) == 0, "it is not asked");
        if (what == 0) {
            n = edit(&request, copy, sizeof(copy), p, len);
            ret = authenticators_answer(b, copy, n, 0, &proof, &claims[1], &claims[2]);
            must(ret == 0 || !octets_equal(&request, copy, n), "a good request is refused");
            must(ret == 0 || authenticators_reason(b)[0] != '\0', "a refusal without a reason");
            goto end;
        }
        must(authenticators_answer(b, request.p, request.len, what == 2, &proof, &claims[1], &claims[2]) == 0, "it is not answered");
    }
    n = edit(&proof, copy, sizeof(copy), p, len);
    authenticator_claim_free(&claims[2]);
    memset(&claims[2], 0, sizeof(claims[2]));
    ret = authenticators_check(a, copy, n, &claims[2]);
    must((ret == 0) == octets_equal(&proof, copy, n), "an authenticator that was changed is accepted, or a good one is not");
    if (ret != 0) {
        authenticator_claim_free(&claims[2]);
        memset(&claims[2], 0, sizeof(claims[2]));
        must(authenticators_check(a, proof.p, proof.len, &claims[2]) == 0, "the true one is refused after it");
    }
end:
    for (size_t i = 0; i < 3; i++) {
        authenticator_claim_free(&claims[i]);
    }
    octets_free(&request);
    octets_free(&proof);
    authenticators_free(a);
    authenticators_free(b);
}

int LLVMFuzzerTestOneInput(const unsigned char *p, size_t len)
{
    static int made;

    if (!made) {
        must(make_identity() == 0, "the identity is not made");
        made = 1;
    }
    if (len > 0) {
        int what = p[0] % 4;
        one(what == 3 ? 0 : p[0] >> 2 & 1, what, p + 1, len - 1);
    }
    return 0;
}

#ifndef __clang__

int main(int argc, char **argv)
{
    const time_t end_time = time(NULL) + (argc > 1 ? atoi(argv[1]) : 0);
    unsigned long runs = 0;

    do {
        unsigned char input[1 + 4 * 8];
        size_t len;
        state = 0x9e3779b97f4a7c15 ^ (runs + 1) * 0xd1342543de82ef95;
        drawn(NULL, input, sizeof(input));
        len = 1 + 4 * (runs < 8 ? 0 : draw() % 8);
        input[0] = (unsigned char) runs;
        LLVMFuzzerTestOneInput(input, len);
        runs++;
    } while (time(NULL) < end_time);
    printf("%lu inputs\n", runs);
    return 0;
}

#endif
