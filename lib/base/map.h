/* map.h - a hash map from text to pointer. Keys are borrowed: they live in the value.
 * Knows: base, xxHash. */
#ifndef EPP_MAP_H
#define EPP_MAP_H

#include "base/slice.h"
#include "base/status.h"

struct epp_map_cell {
        uint64_t hash;
        struct epp_slice key;
        void *value; /* NULL: empty */
};
struct epp_map {
        struct epp_map_cell *cells;
        size_t n, size; /* size is 0 or a power of two */
        uint64_t seed;
};

void epp_map_fini(struct epp_map *m);
/* The value of <key>, or NULL. */
void *epp_map_get(const struct epp_map *m, struct epp_slice key);
/* Sets <key> to <value> (not NULL); key bytes must live as long as the entry.
 * Returns 1 added, 0 replaced (the key is replaced too), EPP_ENOMEM (unchanged). */
EPP_MUSTUSE int epp_map_put(struct epp_map *m, struct epp_slice key, void *value);
/* Removes <key>; returns its value or NULL. */
void *epp_map_remove(struct epp_map *m, struct epp_slice key);

#endif
