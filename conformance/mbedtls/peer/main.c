/* Over TCP: servers and clients. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "mbedtls/net_sockets.h"

#include "end.h"

static int run(struct end *e, mbedtls_net_context *net)
{
    const struct transport t = { net, mbedtls_net_send, NULL, mbedtls_net_recv_timeout };

    return end_run(e, &t);
}

/* Lets the peer read our last record before the connection goes. */
static void hang_up(mbedtls_net_context *net)
{
    unsigned char rest[1024];

    shutdown(net->fd, SHUT_WR);
    while (mbedtls_net_recv_timeout(net, rest, sizeof(rest), 2000) > 0) {
    }
    mbedtls_net_free(net);
}

static int announce(int fd, int lines)
{
    struct sockaddr_in address;
    socklen_t len = sizeof(address);
    char host[INET_ADDRSTRLEN];

    if (getsockname(fd, (struct sockaddr *) &address, &len) != 0 ||
        inet_ntop(AF_INET, &address.sin_addr, host, sizeof(host)) == NULL) {
        return -1;
    }
    if (lines) {
        printf("listening %u\n", ntohs(address.sin_port));
        fflush(stdout);
        return 0;
    }
    fprintf(stderr, "mbedtls-peer: listening on %s:%u\n", host, ntohs(address.sin_port));
    return 0;
}

static int serve(struct end *e)
{
    mbedtls_net_context listening;
    int failed = 0, ret;

    mbedtls_net_init(&listening);
    ret = mbedtls_net_bind(&listening, e->options.host, e->options.port, MBEDTLS_NET_PROTO_TCP);
    if (ret != 0 || announce(listening.fd, e->options.lines) != 0) {
        mbedtls_net_free(&listening);
        return end_trouble("listening", ret);
    }
    for (int i = 0; ret == 0 && (e->options.connections == 0 || i < e->options.connections); i++) {
        mbedtls_net_context net;
        mbedtls_net_init(&net);
        ret = mbedtls_net_accept(&listening, &net, NULL, 0, NULL);
        if (ret == 0) {
            failed |= run(e, &net) != 0;
            hang_up(&net);
        }
    }
    mbedtls_net_free(&listening);
    return ret != 0 ? ret : failed;
}

static int dial(struct end *e)
{
    int failed = 0;

    for (int i = 0; i < e->options.connections; i++) {
        mbedtls_net_context net;
        int ret;

        mbedtls_net_init(&net);
        ret = mbedtls_net_connect(&net, e->options.host, e->options.port, MBEDTLS_NET_PROTO_TCP);
        if (ret != 0) {
            return end_trouble("connecting", ret);
        }
        failed |= run(e, &net) != 0;
        hang_up(&net);
    }
    return failed;
}

int main(int argc, char **argv)
{
    struct end e;
    int ret;

    end_init(&e);
    signal(SIGPIPE, SIG_IGN);
    ret = options_parse(&e.options, argc, argv);
    if (ret != 0) {
        end_free(&e);
        return ret > 0 ? 0 : ret == -2 ? EXIT_LIMIT : 2;
    }
    ret = end_configure(&e);
    if (ret == 0) {
        ret = e.options.role == SERVER ? serve(&e) : dial(&e);
    }
    end_free(&e);
    return ret == 0 ? 0 : 1;
}
