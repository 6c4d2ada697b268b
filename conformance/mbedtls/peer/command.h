/* Runs the programs that attest and appraise. */
#ifndef COMMAND_H
#define COMMAND_H

#include "octets.h"

/*
 * Starts the command (split at white space, no shell), hands it the input and
 * collects what it writes to standard output, at most 1 MiB. Its standard error
 * is ours. Returns 0 when it exits with status 0 within the time, otherwise -1
 * with a reason.
 */
int command_run(const char *command, const struct text *input, int seconds,
                struct text *output, const char **reason);

#endif
