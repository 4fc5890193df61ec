/* sources.h - endpoints and models from the command line and from files, read again when they
 * change. All or nothing per file: what a bad one said before stands. Knows: filewatch,
 * serve/objects, serve/endpoints. */
#ifndef EPPD_SOURCES_H
#define EPPD_SOURCES_H

#include "base/log.h"
#include "daemon/opt.h"
#include "serve/director.h"

struct event_base;
struct sources;

struct sources_stats {
        uint64_t reloads, failures; /* of files */
};

/* Reads everything into d->pool and d->models (replaced). Mistakes go to stderr, one line each.
 * Returns 0, or -1 when eppd cannot start. <o>, <d> and <stats> are borrowed until _free. */
EPP_MUSTUSE int sources_new(struct event_base *base, const struct opt *o, struct epp_director *d,
        uint64_t seed, const struct epp_log *log, struct sources_stats *stats,
        struct sources **ret);
/* Reads all files again now (SIGHUP). */
void sources_reload(struct sources *s);
/* The pool that the objects are of, lent until the next reload; empty when none is named. */
const char *sources_pool(const struct sources *s);
/* Accepts NULL. */
void sources_free(struct sources *s);

#endif
