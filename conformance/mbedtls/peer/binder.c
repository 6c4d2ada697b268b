#include "binder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mbedtls/hkdf.h"

#include "octets.h"

int expand_label_of(mbedtls_md_type_t hash, const unsigned char *secret, size_t secret_len, const char *label,
                    const unsigned char *context, size_t context_len, unsigned char *out, size_t len)
{
    const mbedtls_md_info_t *md = mbedtls_md_info_from_type(hash);
    unsigned char info[2 + 1 + 255 + 1 + 255];
    struct writer w = write_into(info, sizeof(info));
    size_t begin;

    /* struct {
     *     uint16 length;
     *     opaque label<7..255> = "tls13 " + Label;
     *     opaque context<0..255>;
     * } HkdfLabel;
     */
    write_number(&w, (uint32_t) len, 2);
    begin = write_vector_begin(&w, 1);
    write_octets(&w, (const unsigned char *) "tls13 ", 6);
    write_octets(&w, (const unsigned char *) label, strlen(label));
    write_vector_end(&w, 1, begin);
    write_vector(&w, 1, context, context_len);
    if (w.bad || len > 0xffff) {
        return MBEDTLS_ERR_MD_BAD_INPUT_DATA;
    }
    return mbedtls_hkdf_expand(md, secret, secret_len, info, writer_len(&w), out, len);
}

int expand_label(mbedtls_md_type_t hash, const unsigned char *secret, const char *label,
                 const unsigned char *context, size_t context_len, unsigned char *out, size_t len)
{
    return expand_label_of(hash, secret, mbedtls_md_get_size(mbedtls_md_info_from_type(hash)), label,
                           context, context_len, out, len);
}

static int digest(mbedtls_md_type_t hash, const unsigned char *p, size_t len, unsigned char *out)
{
    return mbedtls_md(mbedtls_md_info_from_type(hash), p, len, out);
}

static size_t hash_len(mbedtls_md_type_t hash)
{
    return mbedtls_md_get_size(mbedtls_md_info_from_type(hash));
}

int early_binder(mbedtls_md_type_t hash, const unsigned char *transcript,
                 const unsigned char *spki, size_t spki_len, unsigned char *out)
{
    static const unsigned char zero[MBEDTLS_MD_MAX_SIZE];
    unsigned char base[MBEDTLS_MD_MAX_SIZE], key[MBEDTLS_MD_MAX_SIZE];
    size_t len = hash_len(hash);
    int ret = expand_label(hash, zero, "attestation base", transcript, len, base, len);

    if (ret == 0) {
        ret = digest(hash, spki, spki_len, key);
    }
    if (ret == 0) {
        ret = expand_label(hash, base, "attestation", key, len, out, len);
    }
    return ret;
}

int handshake_exporter_binder(mbedtls_md_type_t hash, const unsigned char *secret,
                              const unsigned char *nonce, size_t nonce_len,
                              unsigned char *out, size_t len)
{
    unsigned char empty[MBEDTLS_MD_MAX_SIZE], derived[MBEDTLS_MD_MAX_SIZE],
                  context[MBEDTLS_MD_MAX_SIZE];
    size_t h = hash_len(hash);
    int ret = digest(hash, (const unsigned char *) "", 0, empty);

    if (ret == 0) {
        ret = expand_label(hash, secret, "attestation-binder", empty, h, derived, h);
    }
    if (ret == 0) {
        ret = digest(hash, nonce, nonce_len, context);
    }
    if (ret == 0) {
        ret = expand_label(hash, derived, "exporter", context, h, out, len);
    }
    return ret;
}

/* ---- known values, SHA-256: two Hello messages with bodies of eight octets,
 * the P-256 points G (server) and 2G (client), the Handshake Secret 0001..1f and
 * the nonce a0a1..bf ---- */

static const char hellos[] = "01000008434c49454e5448490200000853455256" "45524849";
#define SPKI_PREFIX "3059301306072a8648ce3d020106082a8648ce3d03010703420004"
static const char server_key[] = SPKI_PREFIX
                                 "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
                                 "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
static const char client_key[] = SPKI_PREFIX
                                 "7cf27b188d034f7e8a52380304b51ac3c08969e277f21b35a60b48fc47669978"
                                 "07775510db8ed040293d9ac69f7430dbba7dade63ce982299e04b79d227873d1";

static int agrees(const char *name, const unsigned char *got, size_t len, const char *want)
{
    struct text t = { 0 };
    int same;

    text_hex(&t, got, len);
    same = !t.failed && strcmp(t.p, want) == 0;
    printf("%s: %s\n", name, same ? "ok" : "differs");
    if (!same) {
        printf("  computed %s\n  expected %s\n", t.failed ? "" : t.p, want);
    }
    text_free(&t);
    return same;
}

int binder_vectors(void)
{
    struct octets messages = { 0 }, server = { 0 }, client = { 0 };
    unsigned char transcript[32], secret[32], nonce[32], handshake[32], out[64];
    int ok = octets_from_hex(&messages, hellos) == 0 && octets_from_hex(&server, server_key) == 0 &&
             octets_from_hex(&client, client_key) == 0;

    for (int i = 0; i < 32; i++) {
        handshake[i] = (unsigned char) i;
        nonce[i] = (unsigned char) (0xa0 + i);
    }
    ok = ok && digest(MBEDTLS_MD_SHA256, messages.p, messages.len, transcript) == 0;

    ok = ok && early_binder(MBEDTLS_MD_SHA256, transcript, client.p, client.len, out) == 0;
    ok = ok && agrees("early-attestation, binder of the client", out, 32,
                      "2c76b459a5c963e833bffdfddaeebf40ebb3bb81df43071160e462a2e9a0d47d");
    ok = ok && early_binder(MBEDTLS_MD_SHA256, transcript, server.p, server.len, out) == 0;
    ok = ok && agrees("early-attestation, binder of the server", out, 32,
                      "4bd022cce2a5a16acd6e06d169e82aae5aa35b3c2d6b66e614d2c065537d2647");

    ok = ok && expand_label(MBEDTLS_MD_SHA256, handshake, "h exp master", transcript, 32, secret, 32) == 0;
    ok = ok && agrees("tls-attestation-07, handshake_exporter_secret", secret, 32,
                      "99e84122fdf90a3a13c1e381349b5aab9c9c77008f166358e527fa94116b494a");
    ok = ok && handshake_exporter_binder(MBEDTLS_MD_SHA256, secret, nonce, 32, out, 32) == 0;
    ok = ok && agrees("tls-attestation-07, binder of 32 octets", out, 32,
                      "020c67b2fcdc492b38ddeab6b3f7bd3e3f88c56f6e109b008cb1beed487b7d20");
    ok = ok && handshake_exporter_binder(MBEDTLS_MD_SHA256, secret, nonce, 32, out, 64) == 0;
    ok = ok && agrees("tls-attestation-07, binder of 64 octets", out, 64,
                      "77e5208260c8838960a0d31348625f0424ec955d58206b81bf3ae1318c7e92f7"
                      "dc343edc40359e85d8dd1c84ccdf41fdaaf9bf88283f2b0de1e190055a3ba2eb");

    octets_free(&messages);
    octets_free(&server);
    octets_free(&client);
    return ok ? 0 : 1;
}
