#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_ARGUMENTS = 64, MAX_OUTPUT = 1 << 22 };

struct child {
    pid_t pid;
    int in;    /* its standard input, -1 once all is written */
    int out;   /* its standard output */
};

static int split(char *line, char **arguments)
{
    int count = 0;

    for (char *word = strtok(line, " \t\n"); word != NULL; word = strtok(NULL, " \t\n")) {
        if (count == MAX_ARGUMENTS) {
            return -1;
        }
        arguments[count++] = word;
    }
    arguments[count] = NULL;
    return count > 0 ? 0 : -1;
}

static int start(char **arguments, struct child *c)
{
    int in[2], out[2];

    if (pipe(in) != 0) {
        return -1;
    }
    if (pipe(out) != 0) {
        close(in[0]);
        close(in[1]);
        return -1;
    }
    c->pid = fork();
    if (c->pid == 0) {
        setpgid(0, 0); /* a group of its own, which is ended whole */
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        for (int fd = 3; fd < 64; fd++) {
            close(fd);
        }
        signal(SIGPIPE, SIG_DFL);
        execvp(arguments[0], arguments);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    if (c->pid < 0) {
        close(in[1]);
        close(out[0]);
        return -1;
    }
    setpgid(c->pid, c->pid); /* whoever comes first */
    c->in = in[1];
    c->out = out[0];
    fcntl(c->in, F_SETFL, O_NONBLOCK);
    return 0;
}

static int milliseconds_left(const struct timespec *deadline)
{
    struct timespec now;
    long left;

    clock_gettime(CLOCK_MONOTONIC, &now);
    left = (long) (deadline->tv_sec - now.tv_sec) * 1000 + (deadline->tv_nsec - now.tv_nsec) / 1000000;
    return left > 0 ? (int) left : 0;
}

/* Writes and reads until the child closes its output. Returns the reason why
 * that did not happen, or NULL. */
static const char *talk(struct child *c, const struct text *input,
                        const struct timespec *deadline, struct text *output)
{
    size_t written = 0;

    for (;;) {
        struct pollfd fds[2] = { { c->out, POLLIN, 0 }, { c->in, POLLOUT, 0 } };
        char buffer[4096];
        ssize_t n;
        int ready = poll(fds, c->in < 0 ? 1 : 2, milliseconds_left(deadline));

        if (ready == 0) {
            return "it took too long";
        }
        if (ready < 0 && errno != EINTR) {
            return "poll failed";
        }
        if (ready < 0) {
            continue;
        }
        if (c->in >= 0 && fds[1].revents != 0) {
            n = write(c->in, input->p + written, input->len - written);
            if (n > 0) {
                written += (size_t) n;
            }
            /* A program that does not read its input is free not to. */
            if (written == input->len || (n < 0 && errno != EAGAIN)) {
                close(c->in);
                c->in = -1;
            }
        }
        if (fds[0].revents != 0) {
            n = read(c->out, buffer, sizeof(buffer));
            if (n == 0) {
                return NULL;
            }
            if (n < 0) {
                return "its output cannot be read";
            }
            if (output->len + (size_t) n > MAX_OUTPUT) {
                return "it wrote more than 4 MiB";
            }
            text_add(output, buffer, (size_t) n);
        }
    }
}

/* Waits until the child has ended, or ends it once the time is over. Returns
 * whether it ended by itself. */
static int wait_for(pid_t pid, const struct timespec *deadline, int *status)
{
    const struct timespec pause = { 0, 1000000 };
    pid_t ended;

    while ((ended = waitpid(pid, status, WNOHANG)) == 0 && milliseconds_left(deadline) > 0) {
        nanosleep(&pause, NULL);
    }
    if (ended != 0) {
        return 1;
    }
    kill(-pid, SIGKILL);
    while (waitpid(pid, status, 0) < 0 && errno == EINTR) {
    }
    return 0;
}

int command_run(const char *command, const struct text *input, int seconds,
                struct text *output, const char **reason)
{
    char *line = strdup(command);
    char *arguments[MAX_ARGUMENTS + 1];
    struct child c;
    struct timespec deadline;
    int status = 0;

    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += seconds;
    *reason = "it cannot be started";
    if (line == NULL || split(line, arguments) != 0 || start(arguments, &c) != 0) {
        free(line);
        return -1;
    }
    *reason = talk(&c, input, &deadline, output);
    if (c.in >= 0) {
        close(c.in);
    }
    close(c.out);
    if (*reason != NULL) {
        kill(-c.pid, SIGKILL);
    }
    if (!wait_for(c.pid, &deadline, &status) && *reason == NULL) {
        *reason = "it took too long";
    }
    kill(-c.pid, SIGKILL); /* what it has left behind, if anything */
    free(line);
    if (*reason == NULL && !(WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
        *reason = "it failed";
    }
    if (*reason == NULL && output->failed) {
        *reason = "out of memory";
    }
    return *reason == NULL ? 0 : -1;
}
