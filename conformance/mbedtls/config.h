/* What is switched on in our build of mbedTLS, on top of its default. */
#define MBEDTLS_SSL_CUSTOM_EXTENSIONS
#define MBEDTLS_SSL_CERTIFICATE_TYPES
#define MBEDTLS_SSL_HANDSHAKE_SECRETS
#undef MBEDTLS_DEBUG_C
