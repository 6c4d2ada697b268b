/* Secrets in the NSS key log format. The Handshake Secret is not one of that format's; attls writes it under the
 * same label. */
#include <stdio.h>
#include <string.h>

#include "peer.h"

static const char *label(mbedtls_ssl_key_export_type type)
{
    switch (type) {
        case MBEDTLS_SSL_KEY_EXPORT_TLS1_3_CLIENT_EARLY_SECRET:
            return "CLIENT_EARLY_TRAFFIC_SECRET";
        case MBEDTLS_SSL_KEY_EXPORT_TLS1_3_EARLY_EXPORTER_SECRET:
            return "EARLY_EXPORTER_SECRET";
        case MBEDTLS_SSL_KEY_EXPORT_TLS1_3_CLIENT_HANDSHAKE_TRAFFIC_SECRET:
            return "CLIENT_HANDSHAKE_TRAFFIC_SECRET";
        case MBEDTLS_SSL_KEY_EXPORT_TLS1_3_SERVER_HANDSHAKE_TRAFFIC_SECRET:
            return "SERVER_HANDSHAKE_TRAFFIC_SECRET";
        case MBEDTLS_SSL_KEY_EXPORT_TLS1_3_CLIENT_APPLICATION_TRAFFIC_SECRET:
            return "CLIENT_TRAFFIC_SECRET_0";
        case MBEDTLS_SSL_KEY_EXPORT_TLS1_3_SERVER_APPLICATION_TRAFFIC_SECRET:
            return "SERVER_TRAFFIC_SECRET_0";
        case MBEDTLS_SSL_KEY_EXPORT_TLS1_3_HANDSHAKE_SECRET:
            return "ATTLS_HANDSHAKE_SECRET";
        default:
            return NULL;
    }
}

void keylog_export(void *file, mbedtls_ssl_key_export_type type, const unsigned char *secret,
                   size_t secret_len, const unsigned char client_random[32],
                   const unsigned char server_random[32], mbedtls_tls_prf_types prf)
{
    struct text line = { 0 };
    FILE *f;

    (void) server_random;
    (void) prf;
    if (label(type) == NULL) {
        return;
    }
    text_printf(&line, "%s ", label(type));
    text_hex(&line, client_random, 32);
    text_printf(&line, " ");
    text_hex(&line, secret, secret_len);
    text_printf(&line, "\n");
    f = fopen(file, "a");
    if (f != NULL) {
        fwrite(line.p, 1, line.len, f);
        fclose(f);
    }
    mbedtls_platform_zeroize(line.p, line.len);
    text_free(&line);
}
