/* slab.h - objects of one size that come and go with every request: the last ones freed are given
 * out again, without a look into the allocator (which above 1 KiB merges and splits: 4 % of a small
 * request, measured). Bytes are not cleared. With EPP_DEBUG nothing is kept, so that sanitizers see
 * every life. Knows: base. */
#ifndef EPP_SLAB_H
#define EPP_SLAB_H

#include "base/base.h"

#define EPP_SLAB_KEPT 64 /* free objects at most */

/* Begins as zeroes. Functions accept NULL in its place and then only allocate and free. */
struct epp_slab {
        void *free;
        unsigned n;
};

/* <size> bytes as they come (always the same <size>, at least that of a pointer), aligned for any
 * type; NULL without memory. */
void *epp_slab_take(struct epp_slab *s, size_t size);
/* <p> may be NULL. */
void epp_slab_give(struct epp_slab *s, void *p);
/* Frees what is kept; what is taken stays its owner's. */
void epp_slab_fini(struct epp_slab *s);

#endif
