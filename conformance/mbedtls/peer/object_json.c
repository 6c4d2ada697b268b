/* Objects in JSON, as they are received. */
#include "object.h"

#include <string.h>

#include "document.h"
#include "json.h"

int json_entries(const unsigned char *p, size_t len, struct entries *e, struct object_error *error)
{
    struct json_walk w = json_walk((const char *) p, len);
    struct json key, value;
    int ret = octets_are_utf8(p, len) ? 1 : -1;

    while (ret == 1 && (ret = json_next(&w, &key, &value)) == 1) {
        struct entry *next = &e->list[e->count];
        if (e->count == MAX_ENTRIES) {
            return object_bad(error, FAIL_LIMIT, "more than %d members", MAX_ENTRIES);
        }
        e->count++;
        *next = (struct entry) { .value = (const unsigned char *) value.p, .len = value.len };
        next->null = value.len == 4 && memcmp(value.p, "null", 4) == 0;
        ret = json_string(key, &next->key) == 0 ? 1 : -1;
    }
    return ret == 0 ? 0 : object_bad(error, FAIL_DECODE, "it is no JSON object");
}

/* An unsigned integer below 2^53, without a fraction, an exponent and leading zeros. */
static int is_number(const struct entry *e)
{
    char digits[17] = { 0 };
    uint64_t n;

    if (e->len >= sizeof(digits)) {
        return 0;
    }
    memcpy(digits, e->value, e->len);
    return text_number(digits, &n) && n < UINT64_C(1) << 53;
}

enum scalar json_scalar(const struct entry *e, struct text *out)
{
    const struct json v = { (const char *) e->value, e->len };

    if (e->value[0] == '"') {
        return json_string(v, out) == 0 ? SCALAR_TEXT : NO_SCALAR;
    }
    text_add(out, v.p, v.len);
    if (v.len > 0 && (v.p[0] == 't' || v.p[0] == 'f')) {
        return SCALAR_BOOLEAN;
    }
    return is_number(e) ? SCALAR_NUMBER : NO_SCALAR;
}
