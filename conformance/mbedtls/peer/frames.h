/* What a profile says of frames of the application ("frames", "after/application_frame"). */
#ifndef FRAMES_H
#define FRAMES_H

#include "object.h"

enum { MAX_FRAMES = 16 };

struct frame_rule {
    const char *name;
    enum role from;
    int object;
    int type;                      /* of the octet in front of the length; -1: there is none */
    int when;                      /* the end that has to attest for the frame to be sent; -1: it always is */
};

struct exchange_rules {
    struct frame_rule frames[MAX_FRAMES]; /* in the order in which they are sent; none: nobody attests in them */
    size_t count;
    size_t length_octets, most;
    int at_report;                 /* a payload is appraised before the next report; otherwise when it comes */
};

#endif
