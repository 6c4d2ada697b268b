/* What the fuzz targets change in our configuration of mbedTLS: no network, and
 * randomness, entropy and time that are the same in each run. */
#include "../config.h"
#undef MBEDTLS_NET_C
#define MBEDTLS_PSA_CRYPTO_EXTERNAL_RNG
#define MBEDTLS_NO_PLATFORM_ENTROPY
#define MBEDTLS_ENTROPY_HARDWARE_ALT
#define MBEDTLS_PLATFORM_MS_TIME_ALT
