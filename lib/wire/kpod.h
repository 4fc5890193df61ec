/* kpod.h - the few fields of a Pod that make endpoints of it. Knows: yaml (trees). */
#ifndef EPP_KPOD_H
#define EPP_KPOD_H

#include "wire/jtree.h"

#define EPP_KPOD_PORTS 8

/* All text is lent by the tree. */
struct epp_kpod {
        struct epp_slice name, ns, uid, version, ip;
        struct epp_slice kind; /* empty in lists */
        bool ready;       /* the first condition of type Ready says True */
        bool terminating; /* deletionTimestamp is set */
        bool restricted;  /* an active-ports annotation is there: */
        unsigned active[EPP_KPOD_PORTS]; /* the ports it names */
        size_t n_active;
};

/* What a reflector must keep of pods. */
extern const struct epp_jkeep epp_kpod_keep[];

/* Reads a Pod. Returns 0, or EPP_EINVAL and a field in *why (borrowed): name, uid or version are
 * missing, no text, or longer than an API server lets them be (253 bytes). An ip that is no IP
 * literal is left empty. */
EPP_MUSTUSE int epp_kpod_decode(
        const struct epp_node *object, struct epp_kpod *ret, const char **why);

#endif
