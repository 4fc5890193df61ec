/* objects.h - from the text of object files to the models of one pool.
 * A set is built from all files at once and given out whole, or not at all.
 * Knows: wire/kobj, model. Does not know: where text comes from. */
#ifndef EPP_OBJECTS_H
#define EPP_OBJECTS_H

#include "model/objective.h"
#include "wire/kobj.h"

struct epp_objects;

/* An empty set for pool <name> in <ns>; an empty name takes the one pool that the objects name, an
 * empty <ns> that pool's. Objects without a namespace are in the pool's, as `kubectl apply -n`
 * would put them there. <fn> hears of mistakes as "file:line: field: what". Returns 0 or
 * EPP_ENOMEM. */
EPP_MUSTUSE int epp_objects_new(struct epp_slice name, struct epp_slice ns,
        void (*fn)(void *ctx, const char *line), void *ctx, struct epp_objects **ret);
void epp_objects_free(struct epp_objects *o);
/* Reads the documents of one file; <file> is for messages. All or nothing: every mistake is told,
 * and one is enough for the set to stay as it was. An object read again replaces the one before.
 * Returns 0, EPP_EINVAL (there were mistakes), EPP_ENOMEM. */
EPP_MUSTUSE int epp_objects_add(struct epp_objects *o, struct epp_slice file,
        struct epp_slice text);
/* The models of the pool: of several with one name the oldest wins, then by namespace and name.
 * To be called once. Returns 0 and *ret, EPP_EINVAL (several pools and no name, told), EPP_ENOMEM.
 * *ret_pool is the pool's name, lent by <o>; empty when no object names one. */
EPP_MUSTUSE int epp_objects_finish(struct epp_objects *o, uint64_t seed, struct epp_models **ret,
        struct epp_slice *ret_pool);
/* After that: how many models were left out, as they are of another pool, deleted, or younger than
 * the winner of their name. */
size_t epp_objects_others(const struct epp_objects *o);
/* And whether the pool was found: as an object, or, where its name or namespace was asked for in
 * part only, as one that models refer to. */
bool epp_objects_named(const struct epp_objects *o);

#endif
