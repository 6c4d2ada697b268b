/*
 * The peer as a target of libFuzzer, and of AFL++ in persistent mode. The first octet of an
 * input chooses the variant, the rest is what the other end sends. ATTLS_FUZZ_DIR has the
 * variants, and the keys and certificates that they name.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "target.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const unsigned char *p, size_t len);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *directory = getenv("ATTLS_FUZZ_DIR");

    (void) argc;
    (void) argv;
    if (target_load(directory != NULL ? directory : ".") < 0) {
        exit(2);
    }
    if (freopen("/dev/null", "w", stdout) == NULL) {
        exit(2);
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const unsigned char *p, size_t len)
{
    if (len > 0) {
        target_octets(p[0], p + 1, len - 1);
    }
    return 0;
}
