/* pool.h - the endpoints a cycle chooses from.
 * One writer (a source), many readers (cycles), one thread: a cycle never yields, so it sees one
 * table. Knows: base, load. Does not know: where endpoints come from. */
#ifndef EPP_POOL_H
#define EPP_POOL_H

#include "base/addr.h"
#include "base/status.h"
#include "model/endpoint.h"

struct epp_pool;

/* An empty pool. <seed> keeps peers from choosing colliding names. Returns 0 or EPP_ENOMEM. */
EPP_MUSTUSE int epp_pool_new(uint64_t seed, struct epp_pool **ret);
/* Accepts NULL. */
void epp_pool_free(struct epp_pool *p);

/* Adds <name> at <addr> ("1.2.3.4:80" or "[::1]:80"; both are copied), or changes its address,
 * which makes it a new endpoint: its load and counts begin again.
 * Returns 1 added, 0 known and the same, 2 changed, EPP_EINVAL (no such address), EPP_ENOMEM;
 * on error the table is unchanged. *ret_ref (may be NULL) is written on success. */
EPP_MUSTUSE int epp_pool_put(struct epp_pool *p, struct epp_slice name, struct epp_slice addr,
        struct epp_ref *ret_ref);
/* Removes it; references to it stop resolving. Returns false when there was none. */
bool epp_pool_remove(struct epp_pool *p, struct epp_slice name);
struct epp_endpoint *epp_pool_find(const struct epp_pool *p, struct epp_slice name);
/* The endpoint behind <ref>, or NULL when it is gone. */
struct epp_endpoint *epp_pool_get(const struct epp_pool *p, struct epp_ref ref);

/* All endpoints, in no lasting order; valid until the next change. */
struct epp_endpoint *const *epp_pool_list(const struct epp_pool *p, size_t *ret_n);
/* Goes up with every change of the set. */
uint64_t epp_pool_version(const struct epp_pool *p);
/* Called with each endpoint before it goes away, so that the daemon drops what hangs on user. */
void epp_pool_on_remove(struct epp_pool *p, void (*fn)(void *ctx, struct epp_endpoint *e),
        void *ctx);

#endif
