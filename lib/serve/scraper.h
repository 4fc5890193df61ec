/* scraper.h - when to scrape whom.
 * Endpoints stand in a ring; one turn of the ring takes one period, so scrapes are spread evenly
 * without a timer per endpoint. Above its budget of loop time the period stretches.
 * Knows: base. Does not know: endpoints, HTTP. */
#ifndef EPP_SCRAPER_H
#define EPP_SCRAPER_H

#include "base/base.h"

/* Wake-ups are so far apart: five pages of 100 endpoints at once, which costs 5 % less than two
 * at each millisecond (measured); or AGAIN while turns are owed. */
#define EPP_SCRAPE_GRAIN_US 2500
#define EPP_SCRAPE_AGAIN_US 1000
#define EPP_SCRAPE_TURN 32 /* endpoints due at once: to connect costs up to 90 us, and may fail */

struct epp_scraper {
        epp_us period_us;  /* wanted */
        double budget;     /* share of the loop's time, 0..1; 0 = no limit */
        double cost_us;    /* of one scrape, smoothed */
        epp_us last;       /* when credit was counted last; 0 = never */
        double credit;     /* scrapes owed */
        uint64_t skipped;  /* turns dropped because the last request still ran */
};

/* One endpoint's own state; zero is the beginning. */
struct epp_scrape {
        bool busy;
        unsigned failures;  /* in a row */
        epp_us retry_at;    /* not before, while failing */
};

/* period_us >= 1000; budget 0..1. */
void epp_scraper_init(struct epp_scraper *s, epp_us period_us, double budget);
/* The period in force for <n> endpoints: the wanted one, or what the budget allows. */
epp_us epp_scraper_period(const struct epp_scraper *s, size_t n);
/* How many of <n> endpoints, taken from the ring in order, have their turn now. At most n and
 * EPP_SCRAPE_TURN; the others have it at the next call. */
size_t epp_scraper_due(struct epp_scraper *s, size_t n, epp_us now);
/* When to call _due again; <now> is the time of the last _due. */
epp_us epp_scraper_next(const struct epp_scraper *s, size_t n, epp_us now);
/* One scrape took <us> of the loop's time. */
void epp_scraper_cost(struct epp_scraper *s, epp_us us);

/* True when a request may start for this endpoint (and marks it busy); a turn that comes
 * while the last request runs is counted as skipped. */
bool epp_scrape_begin(struct epp_scraper *s, struct epp_scrape *e, epp_us now);
/* The request ended. After 5 failures in a row the endpoint is asked once a second. */
void epp_scrape_end(struct epp_scrape *e, bool ok, epp_us now);

#endif
