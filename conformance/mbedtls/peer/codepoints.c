/* Numbers of what the drafts add, which the command line may change. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer.h"

static const struct {
    const char *prefix;
    unsigned max;
} kinds[] = {
    [EXTENSIONS] = { "extensions.", 0xffff },
    [ALERTS] = { "alerts.", 0xff },
    [CERTIFICATE_TYPES] = { "certificate_types.", 0xff },
    [FLAGS] = { "flags.", MAX_FLAG },
};

/* Whether a setting, as "extensions.name=number", is for a point; its number. */
static const char *number_for(const struct code_point *point, const char *setting)
{
    const char *prefix = kinds[point->kind].prefix;
    size_t len = strlen(prefix), name_len = strlen(point->name);

    if (strncmp(setting, prefix, len) != 0 || strncmp(setting + len, point->name, name_len) != 0 ||
        setting[len + name_len] != '=') {
        return NULL;
    }
    return setting + len + name_len + 1;
}

int code_point_set(const struct draft *d, const char *setting)
{
    for (size_t i = 0; i < d->code_point_count; i++) {
        struct code_point *point = &d->code_points[i];
        const char *number = number_for(point, setting);
        char *end;
        unsigned long n;

        if (number == NULL) {
            continue;
        }
        n = strtoul(number, &end, 0);
        if (end == number || *end != '\0' || n > kinds[point->kind].max) {
            return -1;
        }
        point->number = (unsigned) n;
        return 0;
    }
    return -1;
}

unsigned code_point_sent(const struct draft *d, enum code_point_kind kind, unsigned standard)
{
    for (size_t i = 0; i < d->code_point_count; i++) {
        if (d->code_points[i].kind == kind && d->code_points[i].standard == standard) {
            return d->code_points[i].number;
        }
    }
    return standard;
}

/* The code point that goes over the network as number; NULL if it is none of the draft's. */
static const struct code_point *point_of(const struct draft *d, enum code_point_kind kind, unsigned number)
{
    for (size_t i = 0; d != NULL && i < d->code_point_count; i++) {
        if (d->code_points[i].kind == kind && d->code_points[i].number == number) {
            return &d->code_points[i];
        }
    }
    return NULL;
}

unsigned code_point_received(const struct draft *d, enum code_point_kind kind, unsigned number)
{
    const struct code_point *point = point_of(d, kind, number);

    return point != NULL ? point->standard : number;
}

const char *code_point_name(const struct draft *d, enum code_point_kind kind, unsigned number)
{
    const struct code_point *point = point_of(d, kind, number);

    return point != NULL ? point->name : NULL;
}
