/* pages.h - what the HTTP port shows: /healthz, /readyz, /metrics, /debug/.
 * Knows: the modules it shows. */
#ifndef EPPD_PAGES_H
#define EPPD_PAGES_H

#include "daemon/access.h"
#include "daemon/admin.h"
#include "daemon/auth.h"
#include "daemon/certs.h"
#include "daemon/lease.h"
#include "daemon/scrape.h"
#include "daemon/sources.h"
#include "daemon/span.h"
#include "daemon/watch.h"
#include "serve/director.h"
#include "serve/health.h"
#include "serve/ring.h"

struct opt;

struct metrics;

struct pages {
        const struct epp_pool *pool;
        const struct epp_director *director;
        const struct epp_health *health;
        const struct epp_h2_stats *h2;
        const struct epp_stream_stats *streams;
        const struct epp_stream_timing *timing;
        const struct access_stats *access;
        const struct sources_stats *sources;
        const struct scrape_stats *scrape;
        const struct scrapes *scrapes;
        struct watch *watch;    /* NULL: no API server */
        const char *const *why; /* not ready, for people */
        const struct lease *lease; /* NULL: no election */
        const struct auth_stats *auth;
        const struct certs_stats *certs;
        const struct epp_ring *ring;    /* NULL: decisions are not remembered */
        const struct opt *opt;
        const struct sources *files;    /* NULL: the API server is the source */
        struct metrics *metrics;        /* what stays between pages of them */
        epp_us begun; /* when eppd started */
};

/* The pool's name: the flag's, or what the objects name; may be empty. */
struct epp_slice pages_pool(const struct pages *p);

#define PAGES 9
/* For admin_new, with a struct pages as its context. */
extern const struct admin_page pages_table[PAGES];

#endif
