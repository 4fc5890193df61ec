/* slab.c - see slab.h. Free objects are a list through their first bytes. */
#include "base/slab.h"

#ifdef EPP_DEBUG
#define KEPT 0
#else
#define KEPT EPP_SLAB_KEPT
#endif

void *
epp_slab_take(struct epp_slab *s, size_t size)
{
        void *p = s ? s->free : NULL;

        if (!p)
                return malloc(size);
        memcpy(&s->free, p, sizeof(void *));
        s->n--;
        return p;
}

void
epp_slab_give(struct epp_slab *s, void *p)
{
        if (!p)
                return;
        if (!s || s->n + 1 > KEPT) {
                free(p);
                return;
        }
        memcpy(p, &s->free, sizeof(void *));
        s->free = p;
        s->n++;
}

void
epp_slab_fini(struct epp_slab *s)
{
        while (s->n) {
                void *p = epp_slab_take(s, 0);

                free(p);
        }
}
