/*
 * A fuzz target over compiled profiles: the reader and its checks, and the codec and
 * the binder programs of whatever it takes. With clang it is a target of libFuzzer;
 * with another compiler, main() below makes inputs out of the files that it is given.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mbedtls/sha256.h"

#include "compiled.h"
#include "program.h"

/* What a handshake would know: octets of some length for every name. */
static int value(void *ctx, const char *name, int role, struct text *octets, uint64_t *number, int *is_number)
{
    (void) ctx;
    (void) number;
    (void) is_number;
    for (int i = 0; i < 40; i++) {
        text_printf(octets, "%c", 'a' + (name[0] + role + i) % 26);
    }
    return PROGRAM_OK;
}

static int range(void *ctx, const char *end, int excluded, int role, unsigned char *hash)
{
    (void) ctx;
    memset(hash, end[0] + excluded + role, MBEDTLS_MD_MAX_SIZE);
    return PROGRAM_OK;
}

static void run_programs(const struct compiled *c)
{
    for (size_t i = 0; i < c->document.record_count; i++) {
        struct program p = {
            .document = &c->document, .hash = MBEDTLS_MD_SHA256, .attester = i % 2, .value = value, .range = range
        };
        struct octets out = { 0 };
        if (c->document.records[i].expression != NULL) {
            program_run(&p, c->document.records[i].expression, &out);
        }
        octets_free(&out);
    }
}

/* Elements of every slot, and bodies of every extension from what was written of them. */
static void run_codec(const struct compiled *c)
{
    static const char *const messages[] = { "client_hello", "encrypted_extensions", "certificate_request",
        "certificate" };
    struct scheme scheme = { .content_format = 263, .verifier = "v.example" };
    unsigned char buffer[4096];

    for (size_t i = 0; i < c->slot_count * 4; i++) {
        struct writer w = write_into(buffer, sizeof(buffer));
        struct field fields[MAX_FORMATS];
        const struct slot_rule *s = &c->slots[i / 4];
        const struct place place = { "client_hello", 0 };
        int count;
        scheme.model = (enum model) (i % 2);
        scheme.credential = (enum credential) (i / 2 % 2);
        count = scheme_fields(c, &s->element, &scheme, fields, MAX_FORMATS);
        if (count >= 0 && encode(s->element.type, &place, &w, fields, (size_t) count) == 0) {
            element_models(c, &s->element, buffer, writer_len(&w));
        }
    }
    for (size_t i = 0; i < c->document.type_count * 4; i++) {
        struct writer w = write_into(buffer, sizeof(buffer));
        const struct place place = { messages[i % 4], (int) i % 2 };
        struct reader r;
        if (encode(&c->document.types[i / 4], &place, &w, NULL, 0) == 0) {
            r = read_all(buffer, writer_len(&w));
            decode(&c->document.types[i / 4], &place, &r, NULL, 0);
        }
        r = read_all((const unsigned char *) "\0\1\2\0\0\3\1\0\0\0\7", 11);
        decode(&c->document.types[i / 4], &place, &r, NULL, 0);
    }
}

/* Nonces in fields of RFCs, as they are written and with other octets. */
static void run_nonces(const struct compiled *c)
{
    static const unsigned char drawn[64];

    for (size_t i = 0; i < c->slot_count; i++) {
        const struct nonce_field *f = &c->slots[i].field;
        struct octets nonce = { (unsigned char *) drawn, f->ceiling < sizeof(drawn) ? f->ceiling : sizeof(drawn) };
        struct text value = { 0 };
        if (f->place == IN_NO_FIELD) {
            continue;
        }
        nonce_field_write(f, &nonce, &value);
        for (size_t k = 0; k <= value.len; k++) { /* whole, and cut; then with another octet */
            struct octets read = { 0 };
            nonce_field_read(f, (unsigned char *) value.p, value.len - k, &read);
            octets_free(&read);
        }
        for (size_t k = 0; k < value.len; k++) {
            struct octets read = { 0 };
            value.p[k] ^= 1;
            nonce_field_read(f, (unsigned char *) value.p, value.len, &read);
            value.p[k] ^= 1;
            octets_free(&read);
        }
        text_free(&value);
    }
}

/* Extensions of exported authenticators, as they are written and cut. */
static void run_later(const struct compiled *c)
{
    static const unsigned char payload[] = "payload";
    unsigned char buffer[4096];

    for (int attester = CLIENT; attester <= SERVER; attester++) {
        const struct later_rule *s = &c->later[attester];
        const struct place place = { "certificate", attester == SERVER };
        struct writer w = write_into(buffer, sizeof(buffer));
        struct field f = { .path = s->payload.field, .p = payload, .len = sizeof(payload) };
        const struct type *type;
        if (s->name == NULL || s->frame >= 0) {
            continue;
        }
        type = c->extensions[s->payload.extension].at[IN_CERTIFICATE].type;
        if (encode(type, &place, &w, &f, 1) != 0) {
            continue;
        }
        for (size_t len = 0; len <= writer_len(&w); len++) {
            struct reader r = read_all(buffer, len);
            struct field read = { .path = s->payload.field };
            decode(type, &place, &r, &read, 1);
        }
        if (s->asks >= 0) {
            w = write_into(buffer, sizeof(buffer));
            encode(c->extensions[s->asks].at[attester == SERVER ? IN_CLIENT_CERTIFICATE_REQUEST : IN_CERTIFICATE_REQUEST].type,
                   &place, &w, NULL, 0);
        }
    }
}

static int octets_of_field(void *context, const struct object_field *f, struct octets *out)
{
    static const unsigned char some[32];
    const size_t len = f->ceiling < sizeof(some) ? f->ceiling : f->floor > sizeof(some) ? 0 : sizeof(some);

    (void) context;
    return octets_set(out, some, len);
}

/* Objects of the application, as they are written, cut, and with each octet changed. */
static void run_objects(const struct compiled *c)
{
    for (size_t i = 0; i < 2 * c->object_count; i++) {
        struct object_content content = { .attesters = { i % 2, 1 }, .reason = i % 2 ? "other" : NULL,
            .octets = octets_of_field };
        struct object_error error;
        struct object_told told = { 0 };
        struct text written = { 0 };
        const int ret = object_write(c->objects, (int) i / 2, &content, &written, &error);
        content.reason = NULL;
        for (size_t k = 0; ret == 0 && k < 2 * written.len && k < 4096; k++) {
            const size_t at = k / 2, len = k % 2 ? at : written.len;
            written.p[at] ^= 1 << k % 7;
            object_read(c->objects, (int) i / 2, (unsigned char *) written.p, len, &content, &told, &error);
            written.p[at] ^= 1 << k % 7;
        }
        object_told_free(&told);
        text_free(&written);
    }
}

int LLVMFuzzerTestOneInput(const unsigned char *p, size_t len)
{
    static struct compiled c;
    char reason[512];

    if (compiled_read(&c, p, len, reason, sizeof(reason)) == 0) {
        run_codec(&c);
        run_programs(&c);
        run_nonces(&c);
        run_later(&c);
        run_objects(&c);
        compiled_free(&c);
    }
    return 0;
}

#ifndef __clang__

enum { MOST = 1 << 18 };

static uint64_t state;

/* xorshift64: the same numbers for the same seed. */
static size_t draw(size_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return below > 0 ? (size_t) (state % below) : 0;
}

/* The place of a line, and its length with its line feed. */
static size_t any_line(const unsigned char *p, size_t len, size_t *line)
{
    size_t at = draw(len);

    while (at > 0 && p[at - 1] != '\n') {
        at--;
    }
    for (*line = 0; at + *line < len && p[at + (*line)++] != '\n'; ) {
    }
    return at;
}

static void erase(unsigned char *p, size_t *len, size_t at, size_t count)
{
    memmove(p + at, p + at + count, *len - at - count);
    *len -= count;
}

static void insert(unsigned char *p, size_t *len, size_t at, const unsigned char *q, size_t count)
{
    if (*len + count <= MOST) {
        memmove(p + at + count, p + at, *len - at);
        memcpy(p + at, q, count);
        *len += count;
    }
}

/* Puts one token of the file in the place of another. */
static void swap_tokens(unsigned char *p, size_t *len)
{
    static unsigned char token[256];
    size_t from = draw(*len), to = draw(*len), count = 0, old = 0;

    while (from > 0 && p[from - 1] > ' ') {
        from--;
    }
    while (to > 0 && p[to - 1] > ' ') {
        to--;
    }
    while (from + count < *len && count < sizeof(token) && p[from + count] > ' ') {
        token[count] = p[from + count];
        count++;
    }
    while (to + old < *len && p[to + old] > ' ') {
        old++;
    }
    if (count > 0 && old > 0) {
        erase(p, len, to, old);
        insert(p, len, to, token, count);
    }
}

static void mutate(unsigned char *p, size_t *len)
{
    static unsigned char copy[MOST];
    size_t line, at = any_line(p, *len, &line);

    switch (draw(6)) {
        case 0: erase(p, len, at, line); break;
        case 1:
            memcpy(copy, p + at, line);
            insert(p, len, any_line(p, *len, &at), copy, line);
            break;
        case 2: p[draw(*len)] = (unsigned char) draw(256); break;
        case 3: p[draw(*len)] = (unsigned char) ("0123456789 -/.%\n"[draw(16)]); break;
        default: swap_tokens(p, len);
    }
}

/* The last line is made anew, so that more than the checksum is tried. */
static void seal(unsigned char *p, size_t *len)
{
    unsigned char sum[32];
    struct text line = { 0 };

    if (mbedtls_sha256(p, *len, sum, 0) == 0) {
        text_printf(&line, "sha256 ");
        text_hex(&line, sum, sizeof(sum));
        text_printf(&line, "\n");
        insert(p, len, *len, (unsigned char *) line.p, line.len);
    }
    text_free(&line);
}

static size_t read_file(const char *name, unsigned char *p, size_t size)
{
    FILE *f = fopen(name, "rb");
    size_t len = f != NULL ? fread(p, 1, size, f) : 0;

    if (f != NULL) {
        fclose(f);
    }
    return len;
}

/* Every octet of a file: cut off with all behind it, left out, and changed in each of four ways. */
static unsigned long each_octet(const unsigned char *file, size_t body)
{
    static unsigned char p[MOST + 128];
    unsigned long runs = 0;

    for (size_t at = 0; at < body; at++) {
        static const unsigned char changes[] = { 0x01, 0x20, 0x80, 0xff };
        for (int how = 0; how < 6; how++) {
            size_t len = how == 0 ? at : body;
            memcpy(p, file, len);
            if (how == 1) {
                erase(p, &len, at, 1);
            } else if (how > 1) {
                p[at] ^= changes[how - 2];
            }
            seal(p, &len);
            LLVMFuzzerTestOneInput(p, len);
            runs++;
        }
        LLVMFuzzerTestOneInput(file, at); /* and without a checksum */
    }
    return runs;
}

int main(int argc, char **argv)
{
    static unsigned char file[MOST / 2], p[MOST + 128];
    const int each = argc > 1 && strcmp(argv[1], "each") == 0;
    const time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 0);
    unsigned long runs = 0;

    if (argc < 3) {
        fprintf(stderr, "usage: %s SECONDS|each FILE...\n", argv[0]);
        return 2;
    }
    for (int i = 2; i < argc; i++) {
        size_t len = read_file(argv[i], file, sizeof(file));
        struct compiled c;
        char reason[512];
        if (compiled_read(&c, file, len, reason, sizeof(reason)) != 0) {
            fprintf(stderr, "%s: %s\n", argv[i], reason);
            return 1;
        }
        compiled_free(&c);
        runs += each ? each_octet(file, len > 72 ? len - 72 : len) : 0;
    }
    while (!each) {
        size_t len = read_file(argv[2 + runs % (size_t) (argc - 2)], file, sizeof(file));
        const size_t body = len > 72 ? len - 72 : len;
        state = 0x9e3779b97f4a7c15 ^ (runs + 1);
        memcpy(p, file, body);
        len = body;
        for (size_t n = 1 + draw(4); n > 0 && len > 1; n--) {
            mutate(p, &len);
        }
        seal(p, &len);
        LLVMFuzzerTestOneInput(p, len);
        runs++;
        if (time(NULL) >= end) {
            break;
        }
    }
    printf("%lu inputs\n", runs);
    return 0;
}

#endif
