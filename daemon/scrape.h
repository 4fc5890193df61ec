/* scrape.h - reads the metrics page of every endpoint of the pool, forever.
 * Drives serve/scraper over fetch; pages go through wire/promscan into the endpoints' loads.
 * Knows: fetch, serve/scraper, wire/promscan, model. */
#ifndef EPPD_SCRAPE_H
#define EPPD_SCRAPE_H

#include "base/hist.h"
#include "base/log.h"
#include "daemon/fetch.h"
#include "daemon/opt.h"
#include "model/pool.h"
#include "serve/scraper.h"

struct event_base;
struct scrapes;

#define SCRAPE_FAMILIES 6 /* that a page should have */

struct scrape_stats {
        uint64_t result[FETCH_RESULTS];
        uint64_t not_metrics;       /* 200, but none of the families asked for */
        uint64_t bytes, line_errors;
        uint64_t rejected;          /* answers to queries that were not used, nor counted above */
        uint64_t odd_values;        /* that were not believed: the last good one stays */
        uint64_t missing[SCRAPE_FAMILIES]; /* pages without one that was asked for */
        EPP_HIST(duration, SCRAPE); /* seconds, of all that ended, whatever came */
};
const char *scrape_family(size_t i);

/* Starts at once; takes the pool's on_remove. Everything is borrowed until _free.
 * Returns 0 or EPP_ENOMEM. */
EPP_MUSTUSE int scrapes_new(struct event_base *base, const struct opt *o, struct epp_pool *pool,
        const struct epp_log *log, struct scrape_stats *stats, struct scrapes **ret);
/* The period in force, microseconds; turns dropped because a request still ran. */
epp_us scrapes_period(const struct scrapes *s);
uint64_t scrapes_skipped(const struct scrapes *s);
/* Endpoints that are asked for the wanted families only. */
size_t scrapes_filtered(const struct scrapes *s);
/* Accepts NULL. Before the pool is freed. */
void scrapes_free(struct scrapes *s);

#endif
