/* Names of numbers, as docs/claims.md has them. */
#include <string.h>

#include "mbedtls/ssl_ciphersuites.h"

#include "peer.h"

static const struct {
    int number;
    const char *name;
} suites[] = {
    { MBEDTLS_TLS1_3_AES_128_GCM_SHA256, "TLS_AES_128_GCM_SHA256" },
    { MBEDTLS_TLS1_3_AES_256_GCM_SHA384, "TLS_AES_256_GCM_SHA384" },
    { MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256, "TLS_CHACHA20_POLY1305_SHA256" },
    { MBEDTLS_TLS1_3_AES_128_CCM_SHA256, "TLS_AES_128_CCM_SHA256" },
    { MBEDTLS_TLS1_3_AES_128_CCM_8_SHA256, "TLS_AES_128_CCM_8_SHA256" },
}, signatures[] = {
    { MBEDTLS_TLS1_3_SIG_ECDSA_SECP256R1_SHA256, "ecdsa_secp256r1_sha256" },
    { MBEDTLS_TLS1_3_SIG_ECDSA_SECP384R1_SHA384, "ecdsa_secp384r1_sha384" },
    { MBEDTLS_TLS1_3_SIG_ECDSA_SECP521R1_SHA512, "ecdsa_secp521r1_sha512" },
    { MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA256, "rsa_pss_rsae_sha256" },
    { MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA384, "rsa_pss_rsae_sha384" },
    { MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA512, "rsa_pss_rsae_sha512" },
}, groups[] = {
    { MBEDTLS_SSL_IANA_TLS_GROUP_X25519, "x25519" },
    { MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1, "secp256r1" },
    { MBEDTLS_SSL_IANA_TLS_GROUP_SECP384R1, "secp384r1" },
    { MBEDTLS_SSL_IANA_TLS_GROUP_SECP521R1, "secp521r1" },
    { MBEDTLS_SSL_IANA_TLS_GROUP_X448, "x448" },
    { MBEDTLS_SSL_IANA_TLS_GROUP_FFDHE2048, "ffdhe2048" },
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

const char *suite_name(int suite)
{
    for (size_t i = 0; i < COUNT(suites); i++) {
        if (suites[i].number == suite) {
            return suites[i].name;
        }
    }
    return NULL;
}

const char *group_name(uint16_t group)
{
    for (size_t i = 0; i < COUNT(groups); i++) {
        if (groups[i].number == group) {
            return groups[i].name;
        }
    }
    return NULL;
}

const char *signature_name(uint16_t scheme)
{
    for (size_t i = 0; i < COUNT(signatures); i++) {
        if (signatures[i].number == scheme) {
            return signatures[i].name;
        }
    }
    return NULL;
}

int suite_by_name(const char *name, size_t len)
{
    for (size_t i = 0; i < COUNT(suites); i++) {
        if (strlen(suites[i].name) == len && memcmp(suites[i].name, name, len) == 0) {
            return suites[i].number;
        }
    }
    return 0;
}

uint16_t group_by_name(const char *name, size_t len)
{
    for (size_t i = 0; i < COUNT(groups); i++) {
        if (strlen(groups[i].name) == len && memcmp(groups[i].name, name, len) == 0) {
            return (uint16_t) groups[i].number;
        }
    }
    return 0;
}

const char *role_name(enum role r)
{
    return r == SERVER ? "server" : "client";
}
