/* cluster.h - the pool as a Kubernetes API server describes it, kept in the table.
 * Owns a reflector for each kind: InferencePool (either group), pods, InferenceModel, objectives
 * and rewrites (either group). The pool's selector says which pods are reflected; pods that are
 * ready become endpoints, one per target port; the other kinds go through the same decoder and the
 * same set as object files. Knows: reflector, objects, model. Does not know: HTTP, credentials.
 *
 *   reflector(pools) --selector, ports--> reflector(pods) --ready pods--> epp_pool
 *   reflector(models, objectives, rewrites) --objects--> epp_models, swapped whole */
#ifndef EPP_CLUSTER_H
#define EPP_CLUSTER_H

#include "model/objective.h"
#include "model/pool.h"
#include "serve/reflector.h"

enum epp_pool_group { EPP_GROUP_AUTO, EPP_GROUP_V1, EPP_GROUP_X };

struct epp_cluster_config {
        struct epp_slice pool_name;  /* empty: <selector> and <ports> instead of an InferencePool */
        struct epp_slice ns;
        enum epp_pool_group group;   /* AUTO: v1 wins where both exist */
        struct epp_slice selector;   /* label selector in kubectl's syntax */
        unsigned ports[8];
        size_t n_ports;
        struct epp_pool *pool;       /* filled; borrowed */
        struct epp_models **models;  /* the set in force; replaced, the old one is freed */
        const struct epp_log *log;
        bool streaming;
        uint64_t seed;
};

/* Of one kind; its reflector has more. */
struct epp_cluster_kind {
        uint64_t objects; /* known now */
        uint64_t rejected, foreign; /* as below */
};
struct epp_cluster_stats {
        uint64_t rejected; /* objects that could not be used; each version is named once in the log
                            */
        uint64_t foreign;    /* objects of another namespace, kind or pool */
        uint64_t pods, ready_pods; /* known now */
};

struct epp_cluster;

/* Returns 0, EPP_EINVAL (the selector cannot be read), EPP_ENOMEM. */
EPP_MUSTUSE int epp_cluster_new(const struct epp_cluster_config *cfg, struct epp_cluster **ret);
/* The pool and the models stay as they are. Accepts NULL. */
void epp_cluster_free(struct epp_cluster *c);
/* The reflectors to be driven, always the same ones. */
struct epp_reflector *const *epp_cluster_reflectors(const struct epp_cluster *c, size_t *ret_n);
/* Does what was put off: a model set is rebuilt once per turn, however many objects changed;
 * targets of reflectors follow. Call after anything was reported to a reflector, and at
 * epp_cluster_next. */
void epp_cluster_tick(struct epp_cluster *c, epp_us now);
epp_us epp_cluster_next(const struct epp_cluster *c);
/* True when requests can be answered: pool known, pods listed, other kinds listed or known to be
 * absent or refused, or 10 s have passed since. Else *why says what is missing, for people; it is
 * borrowed. Once true it stays true through faults, and ends when the pool is deleted. */
bool epp_cluster_ready(struct epp_cluster *c, epp_us now, const char **why);
const struct epp_cluster_stats *epp_cluster_stats(struct epp_cluster *c);
/* That of reflector <i>. */
const struct epp_cluster_kind *epp_cluster_kind(struct epp_cluster *c, size_t i);

#endif
