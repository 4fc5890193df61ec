/* pods.h - the pods of a pool and the endpoints they become: one per pod and target port.
 * Known pods are kept whether they are ready or not; what is published follows them at once, or,
 * while a new selector is being listed, in one step when that list is complete. Knows: wire/kpod,
 * model/pool. */
#ifndef EPP_PODS_H
#define EPP_PODS_H

#include "model/pool.h"
#include "wire/kpod.h"

/* What makes endpoints of pods. */
struct epp_pods_plan {
        unsigned ports[EPP_KPOD_PORTS]; /* target ports in order: the index is the rank */
        size_t n_ports;                 /* 0: nothing is published */
        bool ranked;                    /* endpoints are named POD-rank-I, else POD */
};

struct epp_pods_stats {
        uint64_t known, ready; /* pods now */
        uint64_t swept;        /* gone by a list that lacked them */
};

struct epp_pods;

/* <pool> is filled and borrowed. Returns 0 or EPP_ENOMEM. */
EPP_MUSTUSE int epp_pods_new(struct epp_pool *pool, uint64_t seed, struct epp_pods **ret);
/* Endpoints stay in the pool. Accepts NULL. */
void epp_pods_free(struct epp_pods *p);
/* Pods are endpoints by <plan> from now on; those of before that it lacks leave. */
void epp_pods_plan(struct epp_pods *p, const struct epp_pods_plan *plan);
/* A list begins. <hold>: of another selector; until it is complete nothing published changes. */
void epp_pods_begin(struct epp_pods *p, bool hold);
/* Adds or changes one. A pod that is there under another uid was another pod.
 * Returns 1 something published changed, 0, EPP_ENOMEM (the pod is as it was, or gone, or not
 * all of it is published: the next list repairs that). */
EPP_MUSTUSE int epp_pods_put(struct epp_pods *p, const struct epp_kpod *pod);
/* Removes it unless the one we know has another uid. */
void epp_pods_gone(struct epp_pods *p, const struct epp_kpod *pod);
/* The list is complete: pods it lacked go; with a hold, all is published by <plan> (may be NULL: as
 * before) in this call. */
void epp_pods_synced(struct epp_pods *p, const struct epp_pods_plan *plan);
/* All pods and their endpoints go. */
void epp_pods_clear(struct epp_pods *p);
const struct epp_pods_stats *epp_pods_stats(const struct epp_pods *p);

#endif
