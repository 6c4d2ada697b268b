/*
 * What the files that load a compiled profile share. Each load_ function marks what it reads
 * as known and returns 0, or -1 after it has refused the file.
 */
#ifndef LOADER_H
#define LOADER_H

#include "compiled.h"

/* What is being loaded. The first failure counts. */
struct loader {
    struct compiled *c;
    const struct document *d;
    char reason[512];
    int failed;
    int whole;                     /* a path may name a body of any type */
    int later;                     /* extensions are those of exported authenticators */
    int object;                    /* whose members are loaded */
    int limit;                     /* what failed is well-formed, and more than we can do */
};

/* loader.c */
int load_refuse(struct loader *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same for what a profile may say and this peer cannot do. */
#define load_cannot(l, ...) ((l)->limit |= !(l)->failed, load_refuse(l, __VA_ARGS__))
int load_word(struct loader *l, const char *const *words, int otherwise, const char *path);
extern const char *const load_models[]; /* of slots and elements */
int load_flag(struct loader *l, const char *no, const char *yes, int otherwise, const char *path);
uint64_t load_number(struct loader *l, uint64_t otherwise, uint64_t max, const char *path);
/* N, or LEAST..MOST, which are not 0. */
int load_bounds(struct loader *l, size_t *floor, size_t *ceiling, uint64_t most, const char *path);
/* A path from pieces; too long ones find nothing. */
struct path {
    char p[2048];
};
struct path load_path(const char *format, ...) __attribute__((format(printf, 1, 2)));
int load_each(struct loader *l, const char *map, int (*add)(struct loader *, const struct record *, const char *));
int load_is_name(const char *encoded);
const struct type *load_type(struct loader *l, const struct record *r, const char *name);
const struct code_point *load_point(const struct loader *l, enum code_point_kind kind, const char *name);
/* For load_each(): what says nothing more to this peer. */
int load_know(struct loader *l, const struct record *r, const char *name);
/* Marks what stands under a map as known. */
void load_pass_over(struct loader *l, const char *map);

/* Whether an extension belongs to post-handshake authentication alone, which mbedTLS does not have, so that
 * it is passed over with the slots of that phase. */
int load_is_after(struct loader *l, const char *name);

/* compiled_extensions.c */
void load_points(struct loader *l);
int load_extensions(struct loader *l);
int load_extension(const struct loader *l, const char *name, size_t len);
int load_message_named(const char *name, size_t len);
/* The phases in which a placement holds besides its own. */
void load_also_in(struct loader *l, const char *map);

/* compiled_places.c */
int load_message(struct loader *l, const struct record *r, const char *name);
int load_x509(struct loader *l, const struct record *r, const char *name);
const struct type *load_type_at(const struct compiled *c, const struct where *w);
/* A key whose value is the path of a field, if there is one. */
int load_where(struct loader *l, struct where *w, const char *path, int required);

/* compiled_objects.c: before what refers to them. */
int load_objects(struct loader *l);
int load_object_named(const struct loader *l, const char *name);
/* Ties a member, by its path of names with "." between them, to a slot. NULL: there is none that could be. */
struct object_field *load_member(struct loader *l, int object, const char *path, enum field_meaning means);
/* Once all slots were loaded. */
int load_members_used(struct loader *l);

/* compiled_frames.c */
int load_frames(struct loader *l);
int load_frame_slot(struct loader *l, struct later_rule *s, enum role attester, const char *map);
int load_inside(struct loader *l, struct later_rule *s, const char *map);

/* compiled_later.c */
int load_later_slot(struct loader *l, const struct record *r, const char *name, int in_frames);
int load_later(struct loader *l);

/* compiled_slots.c */
int load_slot(struct loader *l, const struct record *r, const char *name);
void load_sorted(struct compiled *c);
int load_credential(struct loader *l, enum credential credential, const char *name);

/* compiled_rules.c */
void load_negotiation(struct loader *l);
int load_nonces(struct loader *l);
int load_binder(struct loader *l);
int load_alert(struct loader *l, const struct record *r, const char *name);
void load_resumption(struct loader *l);
void load_quirks(struct loader *l);

#endif
