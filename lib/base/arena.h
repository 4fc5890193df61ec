/* arena.h - memory that is given back all at once. Knows: base. */
#ifndef EPP_ARENA_H
#define EPP_ARENA_H

#include "base/slice.h"

struct epp_arena_block;
struct epp_arena {
        struct epp_arena_block *blocks;
        bool failed; /* an allocation was refused; stays set until _fini */
};

/* <n> zeroed bytes, aligned for any type, or NULL (and failed is set). */
void *epp_arena_alloc(struct epp_arena *a, size_t n);
/* A copy of <s> with a NUL behind it; p is NULL when memory is short. */
struct epp_slice epp_arena_copy(struct epp_arena *a, struct epp_slice s);
/* Gives everything back; the arena is empty and usable. */
void epp_arena_fini(struct epp_arena *a);

#endif
