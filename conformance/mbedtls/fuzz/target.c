#include "target.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mbedtls/ctr_drbg.h"

#include "fixed.h"

enum { MAX_VARIANTS = 64, MAX_ARGUMENTS = 64, MAX_LINE = 4096 };

static struct end *variants[MAX_VARIANTS];
static size_t count;

/* Words that options may point to, kept where a checker of leaks finds them. */
static char *words[MAX_VARIANTS * MAX_ARGUMENTS];
static size_t word_count;

static char *keep_word(const char *directory, const char *word)
{
    size_t size = strlen(directory) + strlen(word) + 2;
    char *kept = word_count < sizeof(words) / sizeof(words[0]) ? malloc(size) : NULL;

    if (kept != NULL) {
        words[word_count++] = kept;
        snprintf(kept, size, "%s%s%s", directory, directory[0] != 0 ? "/" : "", word);
    }
    return kept;
}

/* Splits at spaces; "@" at the beginning of a word is the directory. */
static int split(char *line, const char *directory, char **arguments)
{
    int n = 1;

    arguments[0] = (char *) "target";
    for (char *word = strtok(line, " \n"); word != NULL; word = strtok(NULL, " \n")) {
        if (n == MAX_ARGUMENTS) {
            return -1;
        }
        arguments[n] = word[0] == '@' ? keep_word(directory, word + 1) : keep_word("", word);
        if (arguments[n++] == NULL) {
            return -1;
        }
    }
    arguments[n] = NULL;
    return n;
}

void (*target_message)(int sent, const unsigned char *p, size_t len);

static int on_message(void *context, mbedtls_ssl_context *ssl, int sent, const unsigned char *p, size_t len)
{
    (void) context;
    (void) ssl;
    target_message(sent, p, len);
    return 0;
}

static int add(char *line, const char *directory)
{
    char *arguments[MAX_ARGUMENTS + 1];
    int n = split(line, directory, arguments);
    struct end *e = count < MAX_VARIANTS && n > 1 ? malloc(sizeof(*e)) : NULL;

    if (e == NULL) {
        return -1;
    }
    fixed_begin();
    end_init(e);
    optind = 0; /* getopt begins anew */
    if (options_parse(&e->options, n, arguments) != 0 || end_configure(e) != 0) {
        return -1;
    }
    if (target_message != NULL && (e->options.draft == NULL || e->options.draft->compiled == NULL)) {
        mbedtls_ssl_conf_handshake_messages_cb(&e->config, on_message, NULL);
    }
    variants[count++] = e;
    return 0;
}

int target_load(const char *directory)
{
    char name[PATH_MAX], line[MAX_LINE];
    FILE *f;
    int ret = 0;

    snprintf(name, sizeof(name), "%s/variants", directory);
    f = fopen(name, "r");
    if (f == NULL) {
        perror(name);
        return -1;
    }
    while (ret == 0 && fgets(line, sizeof(line), f) != NULL) {
        ret = add(line, directory);
        if (ret != 0) {
            fprintf(stderr, "%s: line %zu cannot be used\n", name, count + 1);
        }
    }
    fclose(f);
    return ret == 0 && count > 0 ? (int) count : -1;
}

int target_run(size_t variant, const struct transport *t)
{
    struct end *e = variants[variant % count];

    fixed_begin();
    mbedtls_ctr_drbg_free(&e->random);
    mbedtls_ctr_drbg_init(&e->random);
    if (mbedtls_ctr_drbg_seed(&e->random, mbedtls_entropy_func, &e->entropy, NULL, 0) != 0) {
        abort();
    }
    return end_run(e, t);
}

static int discard(void *context, const unsigned char *p, size_t len)
{
    (void) context;
    (void) p;
    return (int) len;
}

static int take(void *context, unsigned char *p, size_t size)
{
    struct reader *r = context;
    size_t n = reader_left(r) < size ? reader_left(r) : size;

    memcpy(p, r->p, n);
    r->p += n;
    return (int) n; /* 0: the peer has closed the transport */
}

int target_octets(size_t variant, const unsigned char *p, size_t len)
{
    struct reader r = read_all(p, len);
    const struct transport t = { &r, discard, take, NULL };

    return target_run(variant, &t);
}
