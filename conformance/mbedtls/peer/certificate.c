#include "certificate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mbedtls/asn1.h"
#include "mbedtls/oid.h"

enum { SEQUENCE = MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE };

/* Goes into a value of a tag: returns its contents, behind which the reader stands. */
static int take(struct reader *r, int tag, struct octets *contents)
{
    unsigned char *p = (unsigned char *) r->p;
    size_t len;

    if (r->bad || mbedtls_asn1_get_tag(&p, r->end, &len, tag) != 0) {
        r->bad = 1;
        return -1;
    }
    *contents = (struct octets) { p, len };
    r->p = p + len;
    return 0;
}

static int is_next(const struct reader *r, int tag)
{
    return !r->bad && r->p < r->end && *r->p == tag;
}

static struct reader into(const struct octets *o)
{
    return read_all(o->p, o->len);
}

static int take_time(struct reader *r, struct octets *time, int *is_general)
{
    *is_general = is_next(r, MBEDTLS_ASN1_GENERALIZED_TIME);
    return take(r, *is_general ? MBEDTLS_ASN1_GENERALIZED_TIME : MBEDTLS_ASN1_UTC_TIME, time);
}

int certificate_split(const struct octets *der, struct certificate_parts *p)
{
    struct octets outer, tbs, skipped, validity;
    struct reader r = into(der), dates;
    const unsigned char *subject;

    memset(p, 0, sizeof(*p));
    take(&r, SEQUENCE, &outer);
    r = r.bad ? r : into(&outer);
    take(&r, SEQUENCE, &tbs);
    r = r.bad ? r : into(&tbs);
    if (is_next(&r, MBEDTLS_ASN1_CONTEXT_SPECIFIC | MBEDTLS_ASN1_CONSTRUCTED | 0)) {
        take(&r, MBEDTLS_ASN1_CONTEXT_SPECIFIC | MBEDTLS_ASN1_CONSTRUCTED | 0, &skipped); /* version */
    }
    take(&r, MBEDTLS_ASN1_INTEGER, &p->serial);
    take(&r, SEQUENCE, &skipped);  /* signature */
    take(&r, SEQUENCE, &skipped);  /* issuer */
    if (take(&r, SEQUENCE, &validity) != 0) {
        return -1;
    }
    dates = into(&validity);
    take_time(&dates, &p->not_before, &p->before_is_general);
    take_time(&dates, &p->not_after, &p->after_is_general);
    subject = r.p;
    take(&r, SEQUENCE, &skipped);
    p->subject = (struct octets) { (unsigned char *) subject, (size_t) (r.p - subject) };
    take(&r, SEQUENCE, &skipped);  /* subjectPublicKeyInfo */
    if (is_next(&r, MBEDTLS_ASN1_CONTEXT_SPECIFIC | MBEDTLS_ASN1_CONSTRUCTED | 3) &&
        take(&r, MBEDTLS_ASN1_CONTEXT_SPECIFIC | MBEDTLS_ASN1_CONSTRUCTED | 3, &skipped) == 0) {
        r = into(&skipped);
        take(&r, SEQUENCE, &p->extensions);
    }
    return r.bad || dates.bad ? -1 : 0;
}

int certificate_seconds(const struct octets *time, int is_general, int64_t *seconds)
{
    static const int before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334 };
    int n[7] = { 0 };              /* century, year in it, month, day, hour, minute, second */
    const size_t digits = is_general ? 14 : 12;
    int64_t year, days;

    if (time->len != digits + 1 || time->p[digits] != 'Z') {
        return -1;
    }
    for (size_t i = 0; i < digits; i++) {
        if (time->p[i] < '0' || time->p[i] > '9') {
            return -1;
        }
        n[(is_general ? 0 : 1) + i / 2] = 10 * n[(is_general ? 0 : 1) + i / 2] + time->p[i] - '0';
    }
    year = is_general ? 100 * n[0] + n[1] : n[1] < 50 ? 2000 + n[1] : 1900 + n[1];
    if (n[2] < 1 || n[2] > 12 || n[3] < 1 || n[3] > 31 || n[4] > 23 || n[5] > 59 || n[6] > 59 || year < 1970) {
        return -1;
    }
    days = 365 * (year - 1970) + (year - 1969) / 4 - (year - 1901) / 100 + (year - 1601) / 400 + before[n[2] - 1] + n[3] - 1;
    days += n[2] > 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    *seconds = 60 * (60 * (24 * days + n[4]) + n[5]) + n[6];
    return 0;
}

int certificate_common_name(const struct octets *subject, struct octets *name)
{
    struct reader r = into(subject), set, attribute;
    struct octets sequence, contents, oid;
    int found = 0;

    if (take(&r, SEQUENCE, &sequence) != 0) {
        return -1;
    }
    for (r = into(&sequence); !r.bad && reader_left(&r) > 0; ) {
        if (take(&r, MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SET, &contents) != 0) {
            return -1;
        }
        for (set = into(&contents); !set.bad && reader_left(&set) > 0; ) {
            struct octets pair;
            if (take(&set, SEQUENCE, &pair) != 0) {
                return -1;
            }
            attribute = into(&pair);
            if (take(&attribute, MBEDTLS_ASN1_OID, &oid) != 0 || reader_left(&attribute) < 2) {
                return -1;
            }
            if (octets_equal(&oid, (const unsigned char *) MBEDTLS_OID_AT_CN, MBEDTLS_OID_SIZE(MBEDTLS_OID_AT_CN))) {
                found++;
                if (take(&attribute, *attribute.p, name) != 0) {
                    return -1;
                }
            }
        }
    }
    return found == 1 ? 0 : -1;
}

int certificate_extension(const struct certificate_parts *p, const struct octets *oid, struct octets *value,
                          int *critical)
{
    struct reader all = into(&p->extensions), one;
    struct octets contents, id, flag, found;
    int count = 0;

    while (p->extensions.p != NULL && !all.bad && reader_left(&all) > 0) {
        if (take(&all, SEQUENCE, &contents) != 0) {
            return -1;
        }
        one = into(&contents);
        flag = (struct octets) { 0 };
        take(&one, MBEDTLS_ASN1_OID, &id);
        if (is_next(&one, MBEDTLS_ASN1_BOOLEAN)) {
            take(&one, MBEDTLS_ASN1_BOOLEAN, &flag);
        }
        if (take(&one, MBEDTLS_ASN1_OCTET_STRING, &found) != 0) {
            return -1;
        }
        if (octets_equal(&id, oid->p, oid->len)) {
            *value = found;
            *critical = flag.len == 1 && flag.p[0] != 0;
            count++;
        }
    }
    return all.bad ? -1 : count;
}

int oid_from_text(const char *text, struct octets *oid)
{
    unsigned char out[128];
    size_t len = 0, count = 0;
    uint64_t first = 0;

    for (const char *p = text; ; p++) {
        uint64_t n = 0;
        int octets = 1;
        if (*p < '0' || *p > '9' || (*p == '0' && p[1] >= '0' && p[1] <= '9')) {
            return -1;
        }
        for (; *p >= '0' && *p <= '9'; p++) {
            if (n > UINT32_MAX) {
                return -1;
            }
            n = 10 * n + (uint64_t) (*p - '0');
        }
        if (count == 0 && n > 2) {
            return -1;
        }
        if (count == 1 && first < 2 && n > 39) {
            return -1;
        }
        if (count > 0) {
            uint64_t value = count == 1 ? 40 * first + n : n;
            for (uint64_t rest = value >> 7; rest > 0; rest >>= 7) {
                octets++;
            }
            if (len + (size_t) octets > sizeof(out)) {
                return -1;
            }
            for (int i = octets - 1; i >= 0; i--) {
                out[len++] = (unsigned char) ((value >> (7 * i) & 0x7f) | (i > 0 ? 0x80 : 0));
            }
        } else {
            first = n;
        }
        count++;
        if (*p == '\0') {
            break;
        }
        if (*p != '.') {
            return -1;
        }
    }
    return count >= 2 ? octets_set(oid, out, len) : -1;
}
