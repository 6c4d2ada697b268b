/* DER certificates: what binders name of them, and Evidence inside of them. */
#ifndef CERTIFICATE_H
#define CERTIFICATE_H

#include "octets.h"

/* Parts of a certificate, which point into it. */
struct certificate_parts {
    struct octets serial;          /* contents of the INTEGER */
    struct octets not_before, not_after; /* characters of the times */
    int before_is_general, after_is_general; /* GeneralizedTime, not UTCTime */
    struct octets subject;         /* a SEQUENCE, with its header */
    struct octets extensions;      /* what is in the SEQUENCE of them */
};

/* Returns 0, or -1 where the octets are no certificate. */
int certificate_split(const struct octets *der, struct certificate_parts *p);
/* Seconds since 1970 of a time. Returns 0 or -1. */
int certificate_seconds(const struct octets *time, int is_general, int64_t *seconds);
/* The one commonName of a subject. Returns 0, or -1 where there is none or another. */
int certificate_common_name(const struct octets *subject, struct octets *name);
/* The extnValue contents of an extension, by the contents of its OBJECT IDENTIFIER.
 * Returns how many there are, or -1 where they are malformed. */
int certificate_extension(const struct certificate_parts *p, const struct octets *oid, struct octets *value,
                          int *critical);
/* The contents of an OBJECT IDENTIFIER from its dotted form. Returns 0 or -1. */
int oid_from_text(const char *text, struct octets *oid);

#endif
