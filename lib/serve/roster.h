/* roster.h - decoded objects -> the models, objectives and rewrites in force for one pool.
 * Files and the API server give the same objects and so the same roster. Knows: wire/kobj, model.
 */
#ifndef EPP_ROSTER_H
#define EPP_ROSTER_H

#include "model/objective.h"
#include "wire/kobj.h"

struct epp_roster_pool {
        struct epp_slice name, ns; /* objects without a namespace are of <ns> */
        struct epp_slice group;    /* that objectives and rewrites must refer to; empty: any */
};

/* Of objects that say the same the oldest wins, then by namespace and name; <list> is sorted so.
 * Returns 0 and *ret, or EPP_ENOMEM. *ret_others: models left out, as they are of another pool,
 * deleted, or younger than the winner of their name. */
EPP_MUSTUSE int epp_roster_build(const struct epp_kobj **list, size_t n,
        const struct epp_roster_pool *pool, uint64_t seed, struct epp_models **ret,
        size_t *ret_others);

#endif
