/* watch.h - the pool from the API server: drives serve/cluster's reflectors over api.
 * Knows: api, serve/cluster. Does not know: what objects mean. */
#ifndef EPPD_WATCH_H
#define EPPD_WATCH_H

#include "daemon/api.h"
#include "daemon/opt.h"
#include "serve/cluster.h"
#include "serve/director.h"

struct event_base;
struct watch;

/* Begins to fill d->pool and d->models from the API server that <o> and the environment name.
 * <ready> is called whenever readiness may have changed. Mistakes go to stderr, one line.
 * Returns 0, or -1 when eppd cannot start: the API server being away is no reason. */
EPP_MUSTUSE int watch_new(struct event_base *base, const struct opt *o, struct epp_director *d,
        uint64_t seed, const struct epp_log *log, void (*ready)(void *ctx), void *ctx,
        struct watch **ret);
/* Accepts NULL. */
void watch_free(struct watch *w);
/* True when the pool can be served; else *why says what is missing, for people, borrowed. */
bool watch_ready(struct watch *w, const char **why);
struct api *watch_api(struct watch *w);
/* The namespace that is watched. */
const char *watch_namespace(const struct watch *w);
struct epp_cluster *watch_cluster(struct watch *w);

#endif
