/* scraper.c - see scraper.h. */
#include "serve/scraper.h"

#define FAILURES_MAX 5
#define RETRY_US 1000000
#define SMOOTH 0.05 /* weight of the newest cost: about 20 scrapes, one period of a small pool */

void
epp_scraper_init(struct epp_scraper *s, epp_us period_us, double budget)
{
        EPP_ASSERT(period_us >= 1000 && budget >= 0 && budget <= 1);
        *s = (struct epp_scraper){ .period_us = period_us, .budget = budget };
}

epp_us
epp_scraper_period(const struct epp_scraper *s, size_t n)
{
        epp_us least = s->budget > 0 ? (epp_us)(s->cost_us * (double)n / s->budget) : 0;

        return EPP_MAX(s->period_us, least);
}

size_t
epp_scraper_due(struct epp_scraper *s, size_t n, epp_us now)
{
        double most = (double)n;
        size_t due;

        if (n == 0) {
                s->last = now;
                return 0;
        }
        if (s->last)
                s->credit += (double)(now - s->last) * most / (double)epp_scraper_period(s, n);
        s->last = now;
        if (s->credit > most)
                s->credit = most; /* after a pause nobody is asked twice */
        due = (size_t)EPP_MIN(s->credit, (double)EPP_SCRAPE_TURN);
        s->credit -= (double)due;
        return due;
}

epp_us
epp_scraper_next(const struct epp_scraper *s, size_t n, epp_us now)
{
        double wait;

        if (n == 0)
                return now + s->period_us;
        wait = (1.0 - s->credit) * (double)epp_scraper_period(s, n) / (double)n;
        if (wait <= 0)
                return now + EPP_SCRAPE_AGAIN_US;
        return now + EPP_MAX((epp_us)wait + 1, (epp_us)EPP_SCRAPE_GRAIN_US);
}

void
epp_scraper_cost(struct epp_scraper *s, epp_us us)
{
        s->cost_us += ((double)us - s->cost_us) * SMOOTH;
}

bool
epp_scrape_begin(struct epp_scraper *s, struct epp_scrape *e, epp_us now)
{
        if (e->busy) {
                s->skipped++;
                return false;
        }
        if (e->failures >= FAILURES_MAX && now < e->retry_at)
                return false;
        e->busy = true;
        return true;
}

void
epp_scrape_end(struct epp_scrape *e, bool ok, epp_us now)
{
        e->busy = false;
        e->failures = ok ? 0 : EPP_MIN(e->failures + 1, (unsigned)FAILURES_MAX);
        e->retry_at = now + RETRY_US;
}
