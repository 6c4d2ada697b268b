#include "lines.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LINE = 4 * MAX_FRAME };

static char reason[512] = "no reason is known";

int lines_problem(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    return -1;
}

const char *lines_reason(void)
{
    return reason;
}

void lines_begin(const char *word)
{
    fputs(word, stdout);
}

void lines_field(const unsigned char *p, size_t len)
{
    fputs(len > 0 ? " " : " .", stdout);
    for (size_t i = 0; i < len; i++) {
        printf("%02x", p[i]);
    }
}

void lines_end(void)
{
    putchar('\n');
    fflush(stdout);
}

void lines_answer(const char *word, const unsigned char *p, size_t len)
{
    lines_begin(word);
    if (p != NULL) {
        lines_field(p, len);
    }
    lines_end();
}

static void refuse(void)
{
    for (char *c = reason; *c != '\0'; c++) {
        if ((unsigned char) *c < ' ') {
            *c = ' '; /* one line */
        }
    }
    printf("error %s\n", reason);
    fflush(stdout);
}

static int digit(int c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Decodes hexadecimal digits in their place. */
static int decode(char *text, struct field *f)
{
    size_t n = strlen(text);

    f->p = (unsigned char *) text;
    f->len = 0;
    f->given = strcmp(text, "-") != 0;
    if (!f->given) {
        return 0;
    }
    if (strcmp(text, ".") == 0) { /* no octets, but given */
        return 0;
    }
    if (n % 2 != 0) {
        return lines_problem("an odd number of hexadecimal digits");
    }
    for (size_t i = 0; i < n; i += 2) {
        int high = digit(text[i]), low = digit(text[i + 1]);
        if (high < 0 || low < 0) {
            return lines_problem("digit %zu is not hexadecimal", high < 0 ? i : i + 1);
        }
        f->p[f->len++] = (unsigned char) (high << 4 | low);
    }
    return 0;
}

static int export(const struct end *e, const struct field *fields)
{
    static unsigned char out[MAX_EXPORT];
    size_t len = 0;

    for (size_t i = 0; i < fields[2].len; i++) {
        len = len << 8 | fields[2].p[i];
        if (len > sizeof(out)) {
            return lines_problem("more than %d octets are asked for", MAX_EXPORT);
        }
    }
    if (e->export(e->context, &fields[0], &fields[1], out, len) != 0) {
        return -1;
    }
    lines_answer("value", out, len);
    return 0;
}

/* A frame is its length in three octets, and so many octets. */
static int send_frame(const struct end *e, const struct field *f)
{
    unsigned char *frame;
    int ret;

    if (f->len > MAX_FRAME) {
        return lines_problem("a frame of %zu octets; at most %d are carried", f->len, MAX_FRAME);
    }
    frame = malloc(3 + f->len);
    if (frame == NULL) {
        return lines_problem("out of memory");
    }
    frame[0] = (unsigned char) (f->len >> 16);
    frame[1] = (unsigned char) (f->len >> 8);
    frame[2] = (unsigned char) f->len;
    memcpy(frame + 3, f->p, f->len);
    ret = e->write(e->context, frame, 3 + f->len);
    free(frame);
    if (ret == 0) {
        lines_answer("sent", NULL, 0);
    }
    return ret;
}

static int receive_frame(const struct end *e)
{
    unsigned char head[3], *frame;
    size_t len;
    int ret;

    if (e->read(e->context, head, sizeof(head)) != 0) {
        return -1;
    }
    len = (size_t) head[0] << 16 | (size_t) head[1] << 8 | head[2];
    if (len > MAX_FRAME) {
        return lines_problem("a frame of %zu octets; at most %d are carried", len, MAX_FRAME);
    }
    frame = malloc(len + 1);
    if (frame == NULL) {
        return lines_problem("out of memory");
    }
    ret = e->read(e->context, frame, len);
    if (ret == 0) {
        lines_answer("frame", frame, len);
    }
    free(frame);
    return ret;
}

static int run(const struct end *e, const char *name, const struct field *fields, int count)
{
    static const struct word own[] = { { "export", 3, NULL }, { "send", 1, NULL }, { "receive", 0, NULL }, { NULL, 0, NULL } };

    for (const struct word *list = own; list != NULL; list = list == own ? e->words : NULL) {
        for (const struct word *w = list; w->name != NULL; w++) {
            if (strcmp(w->name, name) != 0) {
                continue;
            }
            if (count != w->fields) {
                return lines_problem("%s has %d fields, not %d", name, w->fields, count);
            }
            if (w->run != NULL) {
                return w->run(e->context, fields);
            }
            return w == &own[0] ? export(e, fields) : w == &own[1] ? send_frame(e, fields) : receive_frame(e);
        }
    }
    return lines_problem("no such word: %.40s", name);
}

static int obey(const struct end *e, char *line)
{
    struct field fields[MAX_FIELDS];
    int count = 0;
    char *name = strtok(line, " \r\n");

    if (name == NULL) {
        return lines_problem("an empty line");
    }
    for (char *text = strtok(NULL, " \r\n"); text != NULL; text = strtok(NULL, " \r\n")) {
        if (count == MAX_FIELDS) {
            return lines_problem("more than %d fields", MAX_FIELDS);
        }
        if (decode(text, &fields[count++]) != 0) {
            return -1;
        }
    }
    return run(e, name, fields, count);
}

int lines_serve(const struct end *e)
{
    char *line = malloc(MAX_LINE);
    int ret = 0;

    if (line == NULL) {
        return lines_problem("out of memory");
    }
    while (fgets(line, MAX_LINE, stdin) != NULL) {
        if (strchr(line, '\n') == NULL) {
            lines_problem("a line of more than %d characters, or without an end", MAX_LINE - 2);
            refuse();
            break;
        }
        if (strcmp(line, "close\n") == 0) {
            ret = e->close(e->context);
            if (ret != 0) {
                refuse();
            } else {
                lines_answer("closed", NULL, 0);
            }
            break;
        }
        if (obey(e, line) != 0) {
            refuse();
        }
    }
    free(line);
    return ret;
}
