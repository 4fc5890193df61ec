/* test_scraper.c - the ring in virtual time: rate, spread, budget, back-off. */
#include "serve/scraper.h"
#include "unit.h"

/* Runs <span> of virtual time; returns how many turns were given, and the most at once. */
static size_t
run(struct epp_scraper *s, size_t n, epp_us span, size_t *ret_most)
{
        size_t all = 0, most = 0;
        epp_us end = 1 + span;

        for (epp_us now = 1; now < end; now = epp_scraper_next(s, n, now)) {
                size_t due = epp_scraper_due(s, n, now);

                all += due;
                most = EPP_MAX(most, due);
        }
        *ret_most = most;
        return all;
}

START_TEST(rate_and_spread)
{
        static const size_t sizes[] = { 1, 3, 100, 1000 };

        for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
                struct epp_scraper s;
                size_t most, all;

                epp_scraper_init(&s, 50000, 0.2);
                all = run(&s, sizes[i], 10000000, &most);
                ck_assert_uint_ge(all, 199 * sizes[i]);
                ck_assert_uint_le(all, 200 * sizes[i]);
                /* A tenth of leeway for ticks that come late. */
                ck_assert_uint_le(most, 1 + sizes[i] * EPP_SCRAPE_GRAIN_US / 45000);
        }
}
END_TEST

START_TEST(budget)
{
        struct epp_scraper s;

        epp_scraper_init(&s, 50000, 0.2);
        for (int i = 0; i < 1000; i++)
                epp_scraper_cost(&s, 40);
        ck_assert_int_eq(epp_scraper_period(&s, 100), 50000); /* 100 x 40 us is 8 % of it */
        ck_assert_int_ge(epp_scraper_period(&s, 1000), 199000);
        ck_assert_int_le(epp_scraper_period(&s, 1000), 200001);
        epp_scraper_init(&s, 50000, 0);
        epp_scraper_cost(&s, 1000000);
        ck_assert_int_eq(epp_scraper_period(&s, 1000), 50000);
}
END_TEST

START_TEST(pause_does_not_pile_up)
{
        struct epp_scraper s;

        epp_scraper_init(&s, 50000, 0);
        ck_assert_uint_eq(epp_scraper_due(&s, 10, 1), 0);
        ck_assert_uint_eq(epp_scraper_due(&s, 10, 60000000), 10);
        ck_assert_uint_eq(epp_scraper_due(&s, 0, 60000001), 0);
        ck_assert_int_gt(epp_scraper_next(&s, 0, 60000001), 60000001);
        /* Of many the turns are taken in pieces, and none is lost. */
        ck_assert_uint_eq(epp_scraper_due(&s, 70, 61000001), EPP_SCRAPE_TURN);
        ck_assert_int_eq(epp_scraper_next(&s, 70, 61000001), 61000001 + EPP_SCRAPE_AGAIN_US);
        ck_assert_uint_eq(epp_scraper_due(&s, 70, 61000001), EPP_SCRAPE_TURN);
        ck_assert_uint_eq(epp_scraper_due(&s, 70, 61000001), 70 - 2 * EPP_SCRAPE_TURN);
}
END_TEST

START_TEST(back_off)
{
        struct epp_scraper s;
        struct epp_scrape e = { 0 };

        epp_scraper_init(&s, 50000, 0);
        ck_assert(epp_scrape_begin(&s, &e, 1));
        ck_assert(!epp_scrape_begin(&s, &e, 2));
        ck_assert_uint_eq(s.skipped, 1);
        for (int i = 0; i < 4; i++) {
                epp_scrape_end(&e, false, 3);
                ck_assert(epp_scrape_begin(&s, &e, 3));
        }
        epp_scrape_end(&e, false, 3);
        ck_assert(!epp_scrape_begin(&s, &e, 4));
        ck_assert(epp_scrape_begin(&s, &e, 1000003));
        epp_scrape_end(&e, true, 1000004);
        ck_assert(epp_scrape_begin(&s, &e, 1000005));
}
END_TEST

UNIT_MAIN("scraper", rate_and_spread, budget, pause_does_not_pile_up, back_off)
