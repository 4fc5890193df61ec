/* rope.c - see rope.h. */
#include "base/rope.h"

#define SMALLEST 256
#define BELIEVED (1u << 20)

struct epp_rope_piece {
        struct epp_rope_piece *next;
        size_t n, size;
        char bytes[];
};

/* The last piece with room for more, <n> bytes if a piece can have them; NULL without memory. */
static struct epp_rope_piece *
room(struct epp_rope *r, size_t n)
{
        struct epp_rope_piece *p = r->last, *full = NULL;
        size_t size;

        if (p && p->n == EPP_ROPE_PIECE)
                full = p, p = NULL;
        if (p && (p->size - p->n >= n || p->size == EPP_ROPE_PIECE))
                return p;
        size = EPP_MAX(p ? 2 * p->size : (size_t)SMALLEST, p ? p->n + n : n);
        size = EPP_MAX(size, EPP_MIN(r->hint, (size_t)BELIEVED));
        if (full || size > EPP_ROPE_PIECE)
                size = EPP_ROPE_PIECE;
        p = realloc(p, sizeof(*p) + size);
        if (!p)
                return NULL;
        if (full || !r->last)
                *p = (struct epp_rope_piece){ 0 };
        p->size = size;
        if (full)
                full->next = p;
        else
                r->first = p; /* while it grows it is the only one */
        r->last = p;
        return p;
}

int
epp_rope_append(struct epp_rope *r, struct epp_slice s)
{
        if (r->cap && s.n > r->cap - r->n)
                return EPP_ETOOBIG;
        while (s.n) {
                struct epp_rope_piece *p = room(r, s.n);
                size_t n;

                if (!p)
                        return EPP_ENOMEM;
                n = EPP_MIN(s.n, p->size - p->n);
                memcpy(p->bytes + p->n, s.p, n);
                p->n += n;
                r->n += n;
                s.p += n, s.n -= n;
        }
        return 0;
}

struct epp_slice
epp_rope_next(const struct epp_rope *r, struct epp_rope_at *at, size_t n)
{
        struct epp_slice s = epp_slice(NULL, 0);

        if (!at->piece)
                *at = (struct epp_rope_at){ r->first, 0 };
        if (at->piece && at->off == at->piece->n && at->piece->next)
                *at = (struct epp_rope_at){ at->piece->next, 0 };
        if (!at->piece)
                return s;
        s = epp_slice(at->piece->bytes + at->off, EPP_MIN(n, at->piece->n - at->off));
        at->off += s.n;
        return s;
}

void
epp_rope_skip(const struct epp_rope *r, struct epp_rope_at *at, size_t n)
{
        while (n) {
                size_t part = epp_rope_next(r, at, n).n;

                EPP_ASSERT(part);
                n -= part;
        }
}

static void
free_first(struct epp_rope *r, struct epp_grave *g)
{
        struct epp_rope_piece *p = r->first;

        r->first = p->next;
        r->gone += p->n;
        epp_grave_bury(g, p, p->size);
}

void
epp_rope_release(struct epp_rope *r, const struct epp_rope_at *at)
{
        while (at->piece && r->first != at->piece)
                free_first(r, NULL);
}

void
epp_rope_fini(struct epp_rope *r, struct epp_grave *g)
{
        while (r->first)
                free_first(r, g);
        *r = (struct epp_rope){ .cap = r->cap };
}
