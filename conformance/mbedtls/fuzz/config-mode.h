/* Likewise, in the mode in which TLS protects nothing. */
#include "config.h"
#define MBEDTLS_SSL_FUZZER_MODE
