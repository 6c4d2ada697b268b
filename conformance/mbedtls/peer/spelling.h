/* Octets as text. */
#ifndef SPELLING_H
#define SPELLING_H

#include "octets.h"

enum spelling { SPELT_RAW, SPELT_HEX, SPELT_BASE64, SPELT_BASE64URL /* without padding */ };

/* Adds the text for octets. */
void spell(enum spelling codec, const struct octets *octets, struct text *out);
/* Reads a text, which is not terminated, and of which octets have one. Returns 0, or -1. */
int unspell(enum spelling codec, const char *text, size_t text_len, struct octets *octets);

#endif
