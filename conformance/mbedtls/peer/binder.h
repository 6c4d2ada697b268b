/*
 * The binders of the drafts. All functions return 0 or a negative error code.
 * Hash is the hash of the cipher suite; keys are DER SubjectPublicKeyInfo.
 */
#ifndef BINDER_H
#define BINDER_H

#include <stddef.h>

#include "mbedtls/md.h"

/* HKDF-Expand-Label(secret, label, context, len), RFC 8446 section 7.1, of a secret of
 * any length from that of the hash on, and of one that has the length of the hash. */
int expand_label_of(mbedtls_md_type_t hash, const unsigned char *secret, size_t secret_len, const char *label,
                    const unsigned char *context, size_t context_len, unsigned char *out, size_t len);
int expand_label(mbedtls_md_type_t hash, const unsigned char *secret, const char *label,
                 const unsigned char *context, size_t context_len, unsigned char *out, size_t len);

/* draft-fossati-seat-early-attestation-04 and later: the binder of the end that
 * owns the key. transcript is the hash of ClientHello...ServerHello. */
int early_binder(mbedtls_md_type_t hash, const unsigned char *transcript,
                 const unsigned char *spki, size_t spki_len, unsigned char *out);

/* draft-fossati-tls-attestation-07: TLS-Handshake-Exporter("attestation-binder",
 * nonce, len). secret is handshake_exporter_secret. */
int handshake_exporter_binder(mbedtls_md_type_t hash, const unsigned char *secret,
                              const unsigned char *nonce, size_t nonce_len,
                              unsigned char *out, size_t len);

/* Computes the known values; prints each. Returns 0 if all agree. */
int binder_vectors(void);

#endif
