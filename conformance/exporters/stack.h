/* What openssl.c, gnutls.c and nss.c each implement, and main.c runs. */
#ifndef STACK_H
#define STACK_H

#include "lines.h"

struct setting {
    int server;
    const char *cert, *key;   /* DER files of a server: X.509, and PKCS #8 */
    int suite;                /* the only one; 0: as the stack has it */
};

struct stack {
    const char *name;
    const char *(*version)(void);
    /* Makes the handshake of TLS 1.3 over a socket that is connected. A client
     * validates no certificate. */
    int (*connect)(int fd, const struct setting *s);
    /* "SHA256" or "SHA384": the hash of the cipher suite. */
    const char *(*hash)(void);
    struct end end;
};

extern const struct stack stack;

/* A client calls it with what it writes, from the first octet on. */
void client_hello_written(const void *p, size_t len);

#endif
