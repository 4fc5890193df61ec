/* test_hist.c - where values come to lie; the bounds are those of the Go pickers. */
#include "base/hist.h"
#include "unit.h"

START_TEST(bounds)
{
        /* How many, the first, the last: from the tables of the Go pickers. */
        static const struct {
                enum epp_bounds_id id;
                size_t n;
                double first, last;
        } rows[] = {
                { EPP_BOUNDS_GEN, 35, 0.005, 3600 }, { EPP_BOUNDS_REQ, 25, 64, 1073741824 },
                { EPP_BOUNDS_RESP, 15, 1, 65536 }, { EPP_BOUNDS_TIN, 19, 1, 1048576 },
                { EPP_BOUNDS_TOUT, 12, 1, 8192 }, { EPP_BOUNDS_NTPOT, 13, 0.001, 10 },
                { EPP_BOUNDS_SCH, 10, 0.0001, 0.1 }, { EPP_BOUNDS_TTFT, 24, 0.005, 120 },
                { EPP_BOUNDS_TPOT, 19, 0.0005, 2 }, { EPP_BOUNDS_ITL, 15, 0.001, 2 },
                { EPP_BOUNDS_RQP, 16, 0.0005, 10 }, { EPP_BOUNDS_RSP, 15, 0.0001, 5 },
                { EPP_BOUNDS_DEF, 11, 0.005, 10 }, { EPP_BOUNDS_SCRAPE, 14, 0.0005, 10 },
                { EPP_BOUNDS_STR, 14, 0.001, 600 },
        };

        ck_assert_uint_eq(ARRAY_LEN(rows), EPP_BOUNDS_COUNT);
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                const struct epp_bounds *b = &epp_bounds[rows[i].id];

                ck_assert_uint_eq(b->n, rows[i].n);
                ck_assert(b->le[0] == rows[i].first && b->le[b->n - 1] == rows[i].last);
                for (size_t k = 1; k < b->n; k++)
                        ck_assert(b->le[k - 1] < b->le[k]);
        }
        ck_assert(epp_bounds[EPP_BOUNDS_RESP].le[13] == 32778); /* their slip */
        /* TTFT is GEN up to 120, TIN goes on from RESP. */
        ck_assert_int_eq(memcmp(epp_bounds[EPP_BOUNDS_TTFT].le, epp_bounds[EPP_BOUNDS_GEN].le,
                                 24 * sizeof(double)), 0);
        ck_assert_int_eq(memcmp(epp_bounds[EPP_BOUNDS_TIN].le, epp_bounds[EPP_BOUNDS_RESP].le,
                                 15 * sizeof(double)), 0);
}
END_TEST

struct owner {
        EPP_HIST(time, SCH);
        uint64_t guard;
        EPP_HIST(size, REQ);
};

/* A value equal to a bound counts there; what is above all counts only under +Inf. */
START_TEST(every_cell)
{
        struct owner o = { .guard = 7 };
        double sum = 0;

        EPP_HIST_INIT(&o, time, SCH);
        EPP_HIST_INIT(&o, size, REQ);
        for (size_t i = 0; i < o.time.bounds->n; i++) {
                double le = o.time.bounds->le[i];

                epp_hist_add(&o.time, le);
                ck_assert_uint_eq(o.time.cell[i], i ? 2 : 1); /* with the one from above */
                epp_hist_add(&o.time, le * 1.0000001);
                ck_assert_uint_eq(o.time.cell[i + 1], 1);
                sum += le + le * 1.0000001;
        }
        ck_assert_uint_eq(epp_hist_count(&o.time), 20);
        ck_assert(o.time.sum > sum - 1e-9 && o.time.sum < sum + 1e-9);
        epp_hist_add(&o.time, 0);
        epp_hist_add(&o.time, 1e300);
        ck_assert_uint_eq(o.time.cell[0], 2);
        ck_assert_uint_eq(o.time.cell[10], 2);
        ck_assert_uint_eq(o.guard, 7);
        epp_hist_add_n(&o.time, 0.0002, 5);
        ck_assert_uint_eq(o.time.cell[1], 2 + 5);
        ck_assert_uint_eq(epp_hist_count(&o.time), 22 + 5);
        epp_hist_add_n(&o.size, 100, 3);
        ck_assert(o.size.cell[1] == 3 && o.size.sum == 300);
}
END_TEST

UNIT_MAIN("hist", bounds, every_cell)
