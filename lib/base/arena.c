/* arena.c - see arena.h: blocks of doubling size, a bump pointer in the newest. */
#include "base/arena.h"

#define FIRST_BLOCK 4096
#define LARGEST_BLOCK (1 << 20)

struct epp_arena_block {
        struct epp_arena_block *next;
        size_t used, size;
        max_align_t bytes[];
};

static struct epp_arena_block *
block_new(struct epp_arena *a, size_t n)
{
        size_t size = a->blocks ? EPP_MIN(a->blocks->size * 2, (size_t)LARGEST_BLOCK) : FIRST_BLOCK;
        struct epp_arena_block *b;

        size = EPP_MAX(size, n);
        b = calloc(1, sizeof(*b) + size);
        if (!b)
                return NULL;
        b->size = size;
        b->next = a->blocks;
        a->blocks = b;
        return b;
}

void *
epp_arena_alloc(struct epp_arena *a, size_t n)
{
        struct epp_arena_block *b = a->blocks;
        const size_t align = _Alignof(max_align_t);

        if (n > SIZE_MAX / 4) {
                a->failed = true;
                return NULL;
        }
        n = (n + align - 1) / align * align;
        if (!b || b->size - b->used < n)
                b = block_new(a, n);
        if (!b) {
                a->failed = true;
                return NULL;
        }
        b->used += n;
        return (char *)b->bytes + b->used - n;
}

struct epp_slice
epp_arena_copy(struct epp_arena *a, struct epp_slice s)
{
        char *p = epp_arena_alloc(a, s.n + 1);

        if (!p)
                return epp_slice(NULL, 0);
        if (s.n)
                memcpy(p, s.p, s.n);
        return epp_slice(p, s.n);
}

void
epp_arena_fini(struct epp_arena *a)
{
        for (struct epp_arena_block *b = a->blocks, *next; b; b = next) {
                next = b->next;
                free(b);
        }
        *a = (struct epp_arena){ NULL, false };
}
