/*
 * Lends the exporter of a TLS stack: makes one connection of TLS 1.3 on loopback, says
 * of it what a program needs that does RFC 9261 over it, and obeys lines (lines.h).
 *
 *     exporter server CERTIFICATE KEY [SUITE]      "listening PORT" first
 *     exporter client PORT [SUITE]
 *     exporter version
 *
 * The files are DER, the suite is its number. Once the handshake is over it prints
 * "connected HASH CLIENTHELLO".
 */
#include "stack.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RECORD_HEADER = 5, MAX_RECORD = RECORD_HEADER + (1 << 14), SECONDS = 120, MILLISECONDS = 20000 };

static unsigned char record[MAX_RECORD]; /* the first one of the client */
static size_t record_len;

static size_t record_size(const unsigned char *p)
{
    return RECORD_HEADER + ((size_t) p[3] << 8 | p[4]);
}

static int complete(void)
{
    return record_len >= RECORD_HEADER && record_len >= record_size(record);
}

void client_hello_written(const void *p, size_t len)
{
    size_t room = sizeof(record) - record_len;

    if (!complete() && len > 0) {
        memcpy(record + record_len, p, len < room ? len : room);
        record_len += len < room ? len : room;
    }
}

/* Looks at the first record without taking it. */
static int look(int fd)
{
    struct pollfd ready = { fd, POLLIN, 0 };

    for (int waited = 0; !complete(); waited++) {
        ssize_t n;
        if (waited == 1000 || poll(&ready, 1, MILLISECONDS) != 1) {
            return lines_problem("no ClientHello came");
        }
        n = recv(fd, record, sizeof(record), MSG_PEEK);
        if (n <= 0) {
            return lines_problem("the client has gone");
        }
        record_len = (size_t) n;
        if (!complete()) {
            poll(NULL, 0, 10); /* what is there would be ready again at once */
        }
    }
    return 0;
}

static int address(struct sockaddr_in *a, unsigned port)
{
    memset(a, 0, sizeof(*a));
    a->sin_family = AF_INET;
    a->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    a->sin_port = htons((uint16_t) port);
    return socket(AF_INET, SOCK_STREAM, 0);
}

static int dial(const char *port)
{
    struct sockaddr_in a;
    int fd = address(&a, (unsigned) strtoul(port, NULL, 10));

    if (fd < 0 || connect(fd, (struct sockaddr *) &a, sizeof(a)) != 0) {
        return lines_problem("port %s of loopback cannot be reached", port);
    }
    return fd;
}

static int serve(void)
{
    struct sockaddr_in a;
    socklen_t len = sizeof(a);
    struct pollfd ready = { address(&a, 0), POLLIN, 0 };
    int fd = -1;

    if (ready.fd < 0 || bind(ready.fd, (struct sockaddr *) &a, len) != 0 || listen(ready.fd, 1) != 0 ||
        getsockname(ready.fd, (struct sockaddr *) &a, &len) != 0) {
        return lines_problem("loopback cannot be listened on");
    }
    printf("listening %u\n", ntohs(a.sin_port));
    fflush(stdout);
    if (poll(&ready, 1, MILLISECONDS) == 1) {
        fd = accept(ready.fd, NULL, NULL);
    }
    close(ready.fd);
    return fd >= 0 && look(fd) == 0 ? fd : lines_problem("no client came");
}

static int run(int argc, char **argv)
{
    struct setting s = { 0 };
    int one = 1, fd;

    if (argc > 1 && strcmp(argv[1], "version") == 0) {
        printf("%s %s\n", stack.name, stack.version());
        return 0;
    }
    s.server = argc > 1 && strcmp(argv[1], "server") == 0;
    if (argc < (s.server ? 4 : 3) || argc > (s.server ? 5 : 4) || (!s.server && strcmp(argv[1], "client") != 0)) {
        return lines_problem("usage: exporter server CERTIFICATE KEY [SUITE] | client PORT [SUITE] | version");
    }
    s.suite = argc > (s.server ? 4 : 3) ? (int) strtol(argv[argc - 1], NULL, 0) : 0;
    if (s.server) {
        s.cert = argv[2];
        s.key = argv[3];
    }
    fd = s.server ? serve() : dial(argv[2]);
    if (fd < 0) {
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (stack.connect(fd, &s) != 0) {
        return -1;
    }
    if (!complete()) {
        return lines_problem("the ClientHello was not seen");
    }
    lines_begin("connected ");
    lines_begin(stack.hash());
    lines_field(record + RECORD_HEADER, record_size(record) - RECORD_HEADER);
    lines_end();
    return lines_serve(&stack.end);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    alarm(SECONDS); /* nobody waits longer */
    if (run(argc, argv) != 0) {
        fprintf(stderr, "%s: %s\n", stack.name, lines_reason());
        return 1;
    }
    return 0;
}
