/* subset.h - the endpoints that a gateway lets be chosen: a list of addresses, looked up.
 * Knows: base/map, model/endpoint. Does not know: where the list stood. */
#ifndef EPP_SUBSET_H
#define EPP_SUBSET_H

#include "base/map.h"
#include "model/endpoint.h"

struct epp_subset {
        struct epp_map names; /* of addresses; keys in text */
        char *text;
};

/* Reads <list>: ip, ip:port, [ip6] or [ip6]:port, with commas between; what is no address is kept
 * and names nobody. Copies. Returns 0 or EPP_ENOMEM (nothing to be freed). */
EPP_MUSTUSE int epp_subset_init(struct epp_subset *s, struct epp_slice list);
void epp_subset_fini(struct epp_subset *s);
/* True when an entry is the address of <e>, or its ip. */
bool epp_subset_has(const struct epp_subset *s, const struct epp_endpoint *e);
/* The same for a list of one. */
bool epp_subset_names(struct epp_slice entry, const struct epp_endpoint *e);

#endif
