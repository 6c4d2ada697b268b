/* Connections over memory, of the ends that a file describes. */
#ifndef TARGET_H
#define TARGET_H

#include "end.h"

/* Reads the lines of DIRECTORY/variants: each has the options of one end. Returns how many
 * there are, or -1 after a message. */
int target_load(const char *directory);
/* Called for each handshake message, in the order in which the library sends and takes them, but
 * for compiled profiles, whose interpreter has the library's callback; NULL: nothing is. */
extern void (*target_message)(int sent, const unsigned char *p, size_t len);
/* One connection of a variant. Returns what end_run() does. */
int target_run(size_t variant, const struct transport *t);
/* Likewise, with all that the peer sends. */
int target_octets(size_t variant, const unsigned char *p, size_t len);

#endif
