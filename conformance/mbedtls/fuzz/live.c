/*
 * The peer with another program as its other end.
 *
 *   live DIRECTORY          connections over standard input and output
 *   live DIRECTORY FILE...  inputs of the fuzz targets, a line of claims for each
 *
 * What is written and read are frames: a letter, a length of four octets and contents. The
 * program sends V (a variant, one octet) to begin a connection, I (octets of the other end)
 * and E (it has closed). The peer sends O (octets to the other end), S and R (a handshake
 * message that it sends or takes), W (it waits for octets) and, at the end of a connection,
 * C (its claims).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "target.h"

enum { MAX_FRAME = 1 << 20 };

static unsigned char frame[MAX_FRAME];
static size_t frame_len, frame_at;
static struct text sent;

static int read_whole(unsigned char *p, size_t len)
{
    for (size_t n = 0; n < len;) {
        ssize_t got = read(STDIN_FILENO, p + n, len - n);
        if (got <= 0) {
            return -1;
        }
        n += (size_t) got;
    }
    return 0;
}

static void write_whole(const unsigned char *p, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDOUT_FILENO, p, len);
        if (n <= 0) {
            _exit(1);
        }
        p += n;
        len -= (size_t) n;
    }
}

/* Returns the letter, or 0 at the end. */
static int read_frame(void)
{
    unsigned char head[5];

    if (read_whole(head, sizeof(head)) != 0) {
        return 0;
    }
    frame_len = (size_t) head[1] << 24 | (size_t) head[2] << 16 | (size_t) head[3] << 8 | head[4];
    frame_at = 0;
    return frame_len <= sizeof(frame) && read_whole(frame, frame_len) == 0 ? head[0] : 0;
}

static void write_frame(int letter, const void *p, size_t len)
{
    const unsigned char head[5] = { (unsigned char) letter, (unsigned char) (len >> 24), (unsigned char) (len >> 16),
        (unsigned char) (len >> 8), (unsigned char) len };

    write_whole(head, sizeof(head));
    write_whole(p, len);
}

static void flush_sent(void)
{
    if (sent.len > 0) {
        write_frame('O', sent.p, sent.len);
        sent.len = 0;
    }
}

static int on_send(void *context, const unsigned char *p, size_t len)
{
    (void) context;
    text_add(&sent, (const char *) p, len);
    return (int) len;
}

static int on_receive(void *context, unsigned char *p, size_t size)
{
    int *ended = context;
    size_t n;

    while (frame_at == frame_len && !*ended) {
        flush_sent();
        write_frame('W', "", 0);
        if (read_frame() != 'I') {
            *ended = 1;
            frame_len = frame_at = 0;
        }
    }
    n = frame_len - frame_at < size ? frame_len - frame_at : size;
    memcpy(p, frame + frame_at, n);
    frame_at += n;
    return (int) n;
}

/* Runs one connection and returns its claims, to be freed. */
static char *claims(int (*run)(void *), void *context, size_t *len)
{
    FILE *usual = stdout;
    char *text = NULL;

    stdout = open_memstream(&text, len);
    if (stdout == NULL) {
        exit(1);
    }
    run(context);
    fclose(stdout);
    stdout = usual;
    return text;
}

static void on_message(int is_sent, const unsigned char *p, size_t len)
{
    write_frame(is_sent ? 'S' : 'R', p, len);
}

static int run_live(void *context)
{
    int ended = 0;
    const struct transport t = { &ended, on_send, on_receive, NULL };

    return target_run(*(const size_t *) context, &t);
}

static int serve(void)
{
    int letter;

    while ((letter = read_frame()) != 0) {
        size_t variant = frame_len > 0 ? frame[0] : 0, len;
        char *text;
        if (letter != 'V') {
            continue; /* the end of a connection that has ended */
        }
        frame_at = frame_len = 0;
        text = claims(run_live, &variant, &len);
        flush_sent();
        write_frame('C', text, len);
        free(text);
    }
    return 0;
}

static int run_input(void *context)
{
    return target_octets(frame[0], frame + 1, *(const size_t *) context - 1);
}

static int replay(const char *name)
{
    FILE *f = fopen(name, "rb");
    size_t n = f != NULL ? fread(frame, 1, sizeof(frame), f) : 0, len;
    char *text;

    if (f != NULL) {
        fclose(f);
    }
    if (n == 0) {
        fprintf(stderr, "%s cannot be read, or is empty\n", name);
        return -1;
    }
    text = claims(run_input, &n, &len);
    fwrite(text, 1, len, stdout);
    free(text);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2) {
        target_message = on_message;
    }
    if (argc < 2 || target_load(argv[1]) < 0) {
        fprintf(stderr, "usage: live DIRECTORY [FILE...]\n");
        return 2;
    }
    if (argc == 2) {
        return serve();
    }
    for (int i = 2; i < argc; i++) {
        if (replay(argv[i]) != 0) {
            return 2;
        }
    }
    return 0;
}
