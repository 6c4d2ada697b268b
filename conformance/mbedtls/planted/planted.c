#include "planted.h"

#include <stdlib.h>

int planted(enum planted_bug bug)
{
    static int chosen = -1;

    if (chosen < 0) {
        const char *number = getenv("ATTLS_PLANTED");
        chosen = number != NULL ? atoi(number) : 0;
    }
    return chosen == (int) bug;
}
