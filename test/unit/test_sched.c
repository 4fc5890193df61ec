/* test_sched.c - every row of the worked example of the decision tree, for both trees. */
#include "sched/sched.h"

#include <math.h>
#include <xxhash.h>

#include "plugin/plugins.h"
#include "sched/trace.h"
#include "unit.h"

static const struct {
        char name;
        int q;
        double kv;
        const char *run, *wait;
        int max;
} pods[] = {
        { 'A', 0, .70, "sql", "", 2 }, { 'B', 2, .30, "sql chat", "", 2 },
        { 'C', 5, .80, "", "", 2 }, { 'D', 6, .10, "chat tone", "", 2 },
        { 'E', 127, .05, "sql", "", 2 }, { 'F', 128, .00, "", "sql", 2 },
        { 'G', 300, .95, "", "", 0 }, { 'H', 3, .81, "tone", "chat", 2 },
        { 'X', 127, .90, "", "", 2 }, { 'Y', 128, .10, "sql", "", 2 },
        { 'M', 10, .40, "", "", 0 }, { 'N', 12, .40, "", "", 0 }, { 'O', 30, .60, "", "", 0 },
        { 'V', 1, .5, "x", "x", 2 }, { 'W', 1, .5, "y z", "", 2 },
        { 'a', 1, .5, "", "", 0 }, { 'b', 1, .5, "", "", 0 }, { 'c', 1, .5, "", "", 0 },
        { 'd', 1, .5, "", "", 0 },
        /* the reference's own test */
        { '1', 0, .2, "foo bar", "", 2 }, { '2', 3, .1, "foo critical", "", 2 },
        { '3', 10, .2, "foo", "", 2 }, { '4', 10, .9, "foo bar", "", 2 },
        { '5', 3, .85, "foo critical", "", 2 }, { '6', 10, .85, "foo", "", 2 },
};

#define AFFINITY 2.0 /* a threshold that u never reaches: u = 0.5 in the table */
#define FRESH 0.0    /* and one that it always reaches: u = 0.9995 */

static const struct {
        enum epp_builtin tree;
        const char *pods;
        bool critical;
        const char *model;
        double lora;
        bool old;           /* metrics older than 200 ms */
        const char *expect; /* those that may be picked; empty: dropped */
} rows[] = {
        { EPP_TREE_V03, "ABCDEFGH", true, "sql", AFFINITY, true, "B" },
        { EPP_TREE_V03, "ABCDEFGH", true, "sql", FRESH, true, "C" },
        { EPP_TREE_V03, "ABCDEFGH", true, "base", AFFINITY, true, "A" },
        { EPP_TREE_V03, "ABCDEFGH", true, "chat", AFFINITY, true, "B" },
        { EPP_TREE_V03, "ABCDEFGH", true, "tone", AFFINITY, true, "H" },
        { EPP_TREE_V03, "FG", true, "sql", AFFINITY, true, "F" },
        { EPP_TREE_V03, "XY", true, "sql", AFFINITY, true, "X" },
        { EPP_TREE_V03, "DGH", true, "sql", AFFINITY, true, "H" },
        { EPP_TREE_V03, "G", true, "base", AFFINITY, true, "G" },
        { EPP_TREE_V03, "MNO", true, "base", AFFINITY, true, "MN" },
        { EPP_TREE_V03, "ABCDEFGH", false, "sql", AFFINITY, true, "A" },
        { EPP_TREE_V03, "ABCDEFGH", false, "chat", AFFINITY, true, "A" },
        { EPP_TREE_V03, "BDG", false, "tone", AFFINITY, true, "B" },
        { EPP_TREE_V03, "CEH", false, "sql", AFFINITY, true, "C" },
        { EPP_TREE_V03, "DGH", false, "sql", AFFINITY, true, "" },
        { EPP_TREE_V03, "", true, "sql", AFFINITY, true, "" },
        { EPP_TREE_V03, "123", true, "critical", .999, true, "2" },
        { EPP_TREE_V03, "123", false, "sheddable", .999, true, "1" },
        { EPP_TREE_V03, "456", false, "sheddable", .999, true, "" },
        { EPP_TREE_V05, "ABCDEFGH", true, "sql", AFFINITY, false, "B" },
        { EPP_TREE_V05, "ABCDEFGH", true, "base", AFFINITY, false, "A" },
        { EPP_TREE_V05, "FG", true, "sql", AFFINITY, false, "F" },
        { EPP_TREE_V05, "XY", true, "sql", AFFINITY, false, "Y" },
        { EPP_TREE_V05, "XY", true, "sql", FRESH, false, "X" },
        { EPP_TREE_V05, "ABCDEFGH", false, "sql", AFFINITY, false, "B" },
        { EPP_TREE_V05, "ABCDEFGH", false, "chat", AFFINITY, false, "B" },
        { EPP_TREE_V05, "BDG", false, "tone", AFFINITY, false, "D" },
        { EPP_TREE_V05, "CEH", false, "sql", AFFINITY, false, "E" },
        { EPP_TREE_V05, "DGH", false, "sql", AFFINITY, false, "" },
        { EPP_TREE_V05, "ABCDEFGH", false, "sql", AFFINITY, true, "" },
        { EPP_TREE_V05, "ABCDEFGH", true, "sql", AFFINITY, true, "B" },
        { EPP_TREE_V05, "", true, "sql", AFFINITY, false, "" },
        /* Where the two agree. */
        { EPP_TREE_V05, "ABCDEFGH", true, "sql", FRESH, false, "C" },
        { EPP_TREE_V05, "ABCDEFGH", true, "chat", AFFINITY, false, "B" },
        { EPP_TREE_V05, "ABCDEFGH", true, "tone", AFFINITY, false, "H" },
        { EPP_TREE_V05, "DGH", true, "sql", AFFINITY, false, "H" },
        { EPP_TREE_V05, "G", true, "base", AFFINITY, false, "G" },
        { EPP_TREE_V05, "MNO", true, "base", AFFINITY, false, "MN" },
        { EPP_TREE_V05, "123", true, "critical", .999, false, "2" },
        { EPP_TREE_V05, "456", false, "sheddable", .999, false, "" },
        { EPP_TREE_V05, "", false, "sql", AFFINITY, false, "" },
        { EPP_TREE_V03, "", false, "sql", AFFINITY, true, "" },
        /* An adapter in both lists takes one slot of two in v0.3.0, both in v0.5. */
        { EPP_TREE_V03, "VW", true, "new", AFFINITY, true, "V" },
        { EPP_TREE_V05, "VW", true, "new", AFFINITY, false, "VW" },
        /* All equal: all are kept, one in four each. */
        { EPP_TREE_V03, "abcd", true, "base", AFFINITY, true, "abcd" },
        { EPP_TREE_V03, "abcd", false, "base", AFFINITY, true, "abcd" },
        { EPP_TREE_V05, "abcd", false, "base", AFFINITY, false, "abcd" },
};

static void
add_adapters(struct epp_loras *a, struct epp_loras *b, const char *text)
{
        struct epp_slice rest = epp_slice_str(text), one;

        while (rest.p && rest.n) {
                one = epp_slice_cut(&rest, ' ');
                ck_assert_int_ge(epp_loras_add(a, one), 0);
                ck_assert_int_ge(epp_loras_add(b, one), 0);
        }
}

static void
fill(struct epp_endpoint *e, char name)
{
        for (size_t i = 0; i < ARRAY_LEN(pods); i++) {
                if (pods[i].name != name)
                        continue;
                *e = (struct epp_endpoint){ .name = epp_slice(&pods[i].name, 1) };
                e->load.at = 1000000;
                e->load.waiting = pods[i].q;
                e->load.kv_ratio = pods[i].kv;
                e->load.max_lora = e->load.max_lora_v03 = pods[i].max;
                add_adapters(&e->load.lora_running, &e->load.lora_v03, pods[i].run);
                add_adapters(&e->load.lora_waiting, &e->load.lora_v03, pods[i].wait);
                return;
        }
        ck_abort();
}

static void
check_row(size_t r)
{
        struct epp_thresholds t = epp_thresholds_default;
        struct epp_request req = { .model = epp_slice_str(rows[r].model),
                .critical = rows[r].critical, .now = rows[r].old ? 1300000 : 1100000 };
        struct epp_endpoint e[16], *got;
        size_t n = strlen(rows[r].pods), seen[128] = { 0 };
        struct epp_sched *s;

        t.lora_affinity = rows[r].lora;
        req.target = req.model;
        req.target_hash = XXH3_64bits(req.model.p, req.model.n);
        ck_assert_int_eq(epp_sched_new(rows[r].tree, &t, epp_plugins, 7, &s), 0);
        for (size_t i = 0; i < n; i++)
                fill(&e[i], rows[r].pods[i]);
        for (int round = 0; round < 200; round++) {
                struct epp_endpoint **v = epp_sched_candidates(s, n);
                int result;

                for (size_t i = 0; i < n; i++)
                        v[i] = &e[(i + (size_t)round) % n]; /* order must not matter */
                result = epp_sched_run(s, &req, n, &got);
                if (!*rows[r].expect) {
                        ck_assert_int_eq(result, EPP_EFULL);
                        continue;
                }
                ck_assert_msg(result == 0, "row %zu: %d", r, result);
                ck_assert_msg(strchr(rows[r].expect, got->name.p[0]) != NULL, "row %zu: picked %c",
                        r, got->name.p[0]);
                seen[(unsigned char)got->name.p[0]]++;
        }
        for (const char *c = rows[r].expect; *c; c++)
                ck_assert_msg(seen[(unsigned char)*c] > 120 / strlen(rows[r].expect),
                        "row %zu: %c picked %zu of 200", r, *c, seen[(unsigned char)*c]);
        for (size_t i = 0; i < n; i++)
                epp_load_fini(&e[i].load);
        epp_sched_free(s);
}

START_TEST(worked_example)
{
        for (size_t r = 0; r < ARRAY_LEN(rows); r++)
                check_row(r);
}
END_TEST

/* A filter that keeps as many as its parameter says, for the table of a node's cases. */
static size_t
keep_some(const struct epp_plugin *self, struct epp_cycle *cy, struct epp_endpoint **v, size_t n)
{
        (void)cy, (void)v;
        return EPP_MIN((size_t)self->param[0], n);
}

static size_t last_n; /* what the next node was given */

static size_t
keep_all(const struct epp_plugin *self, struct epp_cycle *cy, struct epp_endpoint **v, size_t n)
{
        (void)self, (void)cy, (void)v;
        last_n = n;
        return n;
}

/* What a node hands on: the filtered set when something was left, else its own input; without a
 * next node its own result. */
START_TEST(node_cases)
{
        static const struct epp_plugin_type some = { .name = "some", .filter = keep_some };
        static const struct epp_plugin_type all = { .name = "all", .filter = keep_all };
        static const struct epp_plugin next = { .type = &all };
        static const struct {
                double keep;
                bool success, failure; /* there is a next node */
                size_t expect, given;
        } cases[] = { { 2, true, false, 2, 2 }, { 2, true, true, 2, 2 }, { 2, false, true, 2, 0 },
                { 2, false, false, 2, 0 }, { 0, false, true, 5, 5 }, { 0, true, true, 5, 5 },
                { 0, true, false, 0, 0 }, { 0, false, false, 0, 0 }, { 5, true, false, 5, 5 } };

        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                struct epp_plugin current = { .type = &some, .param = { cases[i].keep } };
                struct epp_plugin tree = { .type = &epp_filter_decision_tree, .current = &current,
                        .on_success = cases[i].success ? &next : NULL,
                        .on_failure = cases[i].failure ? &next : NULL };
                struct epp_endpoint e[5], *v[5] = { e, e + 1, e + 2, e + 3, e + 4 };
                struct epp_cycle cy = { 0 };

                last_n = 0;
                ck_assert_uint_eq(tree.type->filter(&tree, &cy, v, 5), cases[i].expect);
                ck_assert_uint_eq(last_n, cases[i].given);
        }
}
END_TEST

/* The bands of nodes 4 and 5; digits say how many of the front are kept. */
START_TEST(band_cases)
{
        static const struct {
                int n, q[4];
                double kv[4];
                size_t queue, cache;
        } cases[] = {
                { 1, { 300 }, { .99 }, 1, 1 }, { 3, { 7, 7, 7 }, { .3, .3, .3 }, 3, 3 },
                { 2, { 0, 0 }, { 0, 0 }, 2, 2 }, { 3, { 0, 1, 2 }, { 0, .3, 1 }, 1, 2 },
                { 3, { 0, 3, 10 }, { 0, .3334, 1 }, 2, 1 }, { 2, { 5, 6 }, { .5, .6 }, 1, 1 },
                { 4, { 0, 3, 10, 12 }, { 0, .25, .26, 1 }, 2, 2 },
                { 3, { 0, 4, 10 }, { .9, .95, 1.2 }, 1, 2 },
        };

        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                struct epp_endpoint e[4] = { 0 }, *v[4] = { e, e + 1, e + 2, e + 3 };
                size_t n = (size_t)cases[i].n;
                struct epp_cycle cy = { 0 };

                for (size_t k = 0; k < n; k++) {
                        e[k].load.waiting = cases[i].q[k];
                        e[k].load.kv_ratio = cases[i].kv[k];
                }
                ck_assert_msg(
                        epp_filter_least_queue.filter(NULL, &cy, v, n) == cases[i].queue, "%zu", i);
                for (size_t k = 0; k < n; k++)
                        v[k] = &e[k];
                ck_assert_msg(epp_filter_least_kv_cache.filter(NULL, &cy, v, n) == cases[i].cache,
                        "%zu", i);
        }
        ck_assert_uint_eq(epp_filter_least_queue.filter(NULL, NULL, NULL, 0), 0);
        ck_assert_uint_eq(epp_filter_least_kv_cache.filter(NULL, NULL, NULL, 0), 0);
}
END_TEST

/* Picks of <rounds> requests for sql among A and C: how many went to A, which has the adapter. */
static int
share(double threshold, uint64_t seed, int rounds, char *out)
{
        struct epp_thresholds t = epp_thresholds_default;
        struct epp_request req = { .critical = true, .target_hash = XXH3_64bits("sql", 3) };
        struct epp_endpoint e[2], *got;
        struct epp_sched *s;
        int n = 0;

        t.lora_affinity = threshold;
        ck_assert_int_eq(epp_sched_new(EPP_TREE_V03, &t, epp_plugins, seed, &s), 0);
        fill(&e[0], 'A');
        fill(&e[1], 'C');
        for (int i = 0; i < rounds; i++) {
                struct epp_endpoint **v = epp_sched_candidates(s, 2);

                v[0] = &e[0];
                v[1] = &e[1];
                ck_assert_int_eq(epp_sched_run(s, &req, 2, &got), 0);
                n += got == &e[0];
                if (out)
                        out[i] = got->name.p[0];
        }
        epp_load_fini(&e[0].load);
        epp_load_fini(&e[1].load);
        epp_sched_free(s);
        return n;
}

/* The draw of the LoRA node follows its threshold; equal seeds draw equally, others do not. */
START_TEST(lora_draw)
{
        char a[64], b[64], c[64];

        ck_assert_int_eq(share(1, 1, 5000, NULL), 5000);
        ck_assert_int_eq(share(0, 1, 5000, NULL), 0);
        ck_assert_int_lt(abs(share(.5, 1, 5000, NULL) - 2500), 150); /* four sigma */
        ck_assert_int_lt(abs(share(.9, 2, 5000, NULL) - 4500), 90);
        ck_assert_int_ge(share(.999, 3, 5000, NULL), 4985);
        share(.5, 9, 64, a);
        share(.5, 9, 64, b);
        share(.5, 10, 64, c);
        ck_assert_int_eq(memcmp(a, b, 64), 0);
        ck_assert_int_ne(memcmp(a, c, 64), 0);
}
END_TEST

/* Each threshold moves what it names. Rows of one endpoint and a request that is not critical,
 * or of X (q 127), Y (q 128) and a critical one for sql. */
START_TEST(thresholds)
{
        static const struct {
                enum epp_builtin tree;
                size_t field;
                double value;
                const char *pods;
                bool critical;
                const char *expect;
        } cases[] = {
#define F(x) offsetof(struct epp_thresholds, x)
                { EPP_TREE_V03, F(queue_critical), 5, "D", false, "" },
                { EPP_TREE_V03, F(queue_critical), 6, "D", false, "D" },
                { EPP_TREE_V03, F(kv), .80, "H", false, "" },
                { EPP_TREE_V03, F(kv), .81, "H", false, "H" },
                { EPP_TREE_V03, F(queuing_lora), 128, "XY", true, "X" },
                { EPP_TREE_V03, F(queuing_lora), 129, "XY", true, "Y" },
                { EPP_TREE_V03, F(queuing_lora), 127, "XY", true,
                        "X" }, /* none is low: least queue */
                { EPP_TREE_V05, F(queue_critical), 5, "D", false, "" },
                { EPP_TREE_V05, F(queue_critical), 6, "D", false, "D" },
                { EPP_TREE_V05, F(kv), .80, "H", false, "" },
                { EPP_TREE_V05, F(kv), .81, "H", false, "H" },
                { EPP_TREE_V05, F(staleness_us), 99999, "A", false, "" },
                { EPP_TREE_V05, F(staleness_us), 100000, "A", false, "A" },
                { EPP_TREE_V05, F(staleness_us), 99999, "A", true, "A" },
        };

        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                struct epp_thresholds t = epp_thresholds_default;
                struct epp_request req = { .critical = cases[i].critical, .now = 1100000,
                        .target_hash = XXH3_64bits("sql", 3) };
                struct epp_endpoint e[2], *got, **v;
                size_t n = strlen(cases[i].pods);
                struct epp_sched *s;
                int r;

                t.lora_affinity = AFFINITY;
                *(double *)(void *)((char *)&t + cases[i].field) = cases[i].value;
                ck_assert_int_eq(epp_sched_new(cases[i].tree, &t, epp_plugins, 1, &s), 0);
                v = epp_sched_candidates(s, n);
                for (size_t k = 0; k < n; k++) {
                        fill(&e[k], cases[i].pods[k]);
                        v[k] = &e[k];
                }
                r = epp_sched_run(s, &req, n, &got);
                ck_assert_msg(r == (*cases[i].expect ? 0 : EPP_EFULL), "%zu", i);
                if (r == 0)
                        ck_assert_msg(
                                got->name.p[0] == *cases[i].expect, "%zu: %c", i, got->name.p[0]);
                for (size_t k = 0; k < n; k++)
                        epp_load_fini(&e[k].load);
                epp_sched_free(s);
        }
}
END_TEST

/* Soon after the start of the clock an endpoint without a page is no fresh one. */
START_TEST(no_page_is_no_room)
{
        struct epp_request req = { .critical = false, .now = 1000 };
        struct epp_endpoint never = { 0 }, *got;
        struct epp_sched *s;

        ck_assert_int_eq(
                epp_sched_new(EPP_TREE_V05, &epp_thresholds_default, epp_plugins, 1, &s), 0);
        *epp_sched_candidates(s, 1) = &never;
        ck_assert_int_eq(epp_sched_run(s, &req, 1, &got), EPP_EFULL);
        epp_sched_free(s);
}
END_TEST

static uint64_t clock_at;

static uint64_t
clock_ns(void)
{
        return clock_at += 3000;
}

static void
run_cycles(struct epp_sched *s, struct epp_endpoint *e, bool critical, int n)
{
        struct epp_request req = { .critical = critical };
        struct epp_endpoint *got;

        while (n--) {
                *epp_sched_candidates(s, 1) = e;
                ck_assert_int_eq(epp_sched_run(s, &req, 1, &got), critical ? 0 : EPP_EFULL);
        }
}

static const struct epp_hist *
time_of(const struct epp_sched *s, const struct epp_plugin_type *type)
{
        const struct epp_timing *t = epp_sched_timing(s);

        for (size_t i = 0; i < t->n; i++)
                if (t->plugin[i].type == type)
                        return &t->plugin[i].spent;
        return NULL;
}

static void
check_time(const struct epp_hist *h, uint64_t count, double us)
{
        ck_assert_uint_eq(epp_hist_count(h), count);
        ck_assert(h->sum > us * 1e-6 - 1e-12 && h->sum < us * 1e-6 + 1e-12);
}

/* Every cycle has its time; every run of a plugin counts under its type, with what was measured in
 * each fifth cycle. A branch has none, and no clock is read before one was given. */
START_TEST(timing)
{
        static const struct epp_plugin_type *const path[] = { &epp_filter_criticality,
                &epp_filter_low_queue, &epp_filter_least_queue, &epp_filter_lora_affinity,
                &epp_filter_least_kv_cache, &epp_picker_random };
        struct epp_endpoint e = { .load = { .at = 1, .waiting = 1000 } };
        struct epp_sched *s;

        clock_at = 0;
        ck_assert_int_eq(epp_sched_new(EPP_TREE_V03, &epp_thresholds_default, epp_plugins, 1, &s),
                0);
        run_cycles(s, &e, true, 3);
        ck_assert_uint_eq(epp_sched_timing(s)->over_ns, 0);
        epp_sched_clock(s, clock_ns);
        run_cycles(s, &e, true, 1);
        check_time(&epp_sched_timing(s)->cycle, 1, 6 * 3);
        for (size_t i = 0; i < ARRAY_LEN(path); i++)
                check_time(time_of(s, path[i]), 1, 3);
        run_cycles(s, &e, true, 5);
        check_time(&epp_sched_timing(s)->cycle, 6, 2 * 6 * 3 + 4 * 3);
        for (size_t i = 0; i < ARRAY_LEN(path); i++)
                check_time(time_of(s, path[i]), 6, 6 * 3);
        ck_assert_uint_eq(clock_at, (2 * (1 + 6) + 4 * 2) * 3000);
        ck_assert_uint_eq(epp_sched_timing(s)->over_ns, clock_at);
        run_cycles(s, &e, false, 5); /* critical? no: capacity? no: refused */
        check_time(&epp_sched_timing(s)->cycle, 11, 2 * 6 * 3 + 4 * 3 + 4 * 3 + 2 * 3);
        check_time(time_of(s, &epp_filter_criticality), 11, 11 * 3);
        check_time(time_of(s, &epp_filter_capacity), 5, 5 * 3);
        check_time(time_of(s, &epp_picker_random), 6, 6 * 3);
        ck_assert_uint_eq(epp_sched_timing(s)->over_ns, clock_at);
        ck_assert_uint_eq(epp_sched_timing(s)->n, 7);
        ck_assert_ptr_null(time_of(s, &epp_filter_decision_tree));
        epp_sched_free(s);
}
END_TEST

/* A table without one of the types cannot make a scheduler. */
START_TEST(unknown_plugin)
{
        const struct epp_plugin_type *few[] = { &epp_picker_random, NULL };
        struct epp_sched *s;

        ck_assert_int_eq(
                epp_sched_new(EPP_TREE_V03, &epp_thresholds_default, few, 1, &s), EPP_ENOTFOUND);
}
END_TEST

START_TEST(never_scraped)
{
        struct epp_request req = { .critical = true };
        struct epp_endpoint busy = { .load = { .at = 1, .waiting = 50 } }, fresh = { 0 }, *got;
        struct epp_sched *s;

        ck_assert_int_eq(epp_sched_new(EPP_TREE_V03, &epp_thresholds_default, epp_plugins, 1, &s),
                0);
        for (int i = 0; i < 50; i++) {
                struct epp_endpoint **v = epp_sched_candidates(s, 2);

                v[i & 1] = &fresh;
                v[!(i & 1)] = &busy;
                ck_assert_int_eq(epp_sched_run(s, &req, 2, &got), 0);
                ck_assert_ptr_eq(got, &busy);
                v[0] = &fresh;
                ck_assert_int_eq(epp_sched_run(s, &req, 1, &got), 0);
                ck_assert_ptr_eq(got, &fresh);
        }
        epp_sched_free(s);
}
END_TEST

START_TEST(bands)
{
        static const int q[] = { 0, 3, 10 };
        static const double kv[] = { 0, .3, 1 };
        struct epp_endpoint e[3] = { 0 }, *v[3] = { &e[0], &e[1], &e[2] };
        struct epp_cycle cy = { 0 };

        for (size_t i = 0; i < 3; i++) {
                e[i].load.waiting = q[i];
                e[i].load.kv_ratio = kv[i];
        }
        ck_assert_uint_eq(epp_filter_least_queue.filter(NULL, &cy, v, 3), 2);
        v[0] = &e[0], v[1] = &e[1], v[2] = &e[2];
        ck_assert_uint_eq(epp_filter_least_kv_cache.filter(NULL, &cy, v, 3), 2);
        v[0] = &e[0], v[1] = &e[1], v[2] = &e[2];
        e[1].load.waiting = 1;
        e[2].load.waiting = 2;
        ck_assert_uint_eq(epp_filter_least_queue.filter(NULL, &cy, v, 3), 1);
}
END_TEST

static bool
is_odd(const void *arg, const struct epp_endpoint *e)
{
        (void)arg;
        return e->port & 1;
}

/* What passes comes to the front, in order; when none does, the array is as it was. */
START_TEST(keeping)
{
        struct epp_endpoint e[64] = { 0 }, *v[64], *twin[64];
        struct epp_rng rng;

        epp_rng_init(&rng, 1);
        for (int round = 0; round < 2000; round++) {
                size_t n = epp_rng_below(&rng, 65), kept = 0;
                uint64_t odds = 1 + epp_rng_below(&rng, 20);

                for (size_t i = 0; i < n; i++) {
                        e[i].port = epp_rng_below(&rng, odds) == 0;
                        v[i] = twin[i] = &e[i];
                }
                for (size_t i = 0; i < n; i++)
                        if (e[i].port)
                                twin[kept++] = &e[i];
                ck_assert_uint_eq(epp_filter_keep(v, n, is_odd, NULL), kept);
                for (size_t i = 0; i < (kept ? kept : n); i++)
                        ck_assert_ptr_eq(v[i], twin[i]);
        }
}
END_TEST

/* A trace as text: its steps as name in>out, then who is shown, as name=passed steps, with the
 * plugin that took it out. */
static void
trace_text(const struct epp_trace *t, char *out, size_t size)
{
        size_t n = 0;

        for (unsigned i = 0; i < t->n_steps; i++)
                n += (size_t)snprintf(out + n, size - n, "%s%s %u>%u", i ? ", " : "",
                        t->step[i].plugin, t->step[i].in, t->step[i].out);
        for (unsigned i = 0; i < t->n_seen; i++) {
                unsigned at = t->seen[i].as.dropped_at;
                const char *by = epp_trace_dropped_by(t->step, t->n_steps, at);

                n += (size_t)snprintf(out + n, size - n, "%s" SLICE_FMT "=%u%s%s", i ? " " : " | ",
                        SLICE_ARG(t->seen[i].endpoint->name),
                        epp_trace_passed(t->step, t->n_steps, at), by ? ":" : "", by ? by : "");
        }
}

#define CRIT "criticality-filter"
#define LOW "low-queue-filter"
#define LORA "lora-affinity-filter"
#define QUEUE "least-queue-filter"
#define KV "least-kv-cache-filter"
#define ROOM "capacity-filter"
#define GATE "saturation-filter"
#define PICK "random-picker 1>1"

/* Every branch of both trees. */
static const struct {
        enum epp_builtin tree;
        const char *pods;
        bool critical;
        const char *model;
        bool old;
        const char *expect;
} traces[] = {
        /* latency: the order LoRA, queue, cache */
        { EPP_TREE_V03, "ABCDEFGH", true, "sql", true,
                CRIT " 8>8, " LOW " 8>6, " LORA " 6>3, " QUEUE " 3>2, " KV " 2>1, " PICK
                " | B=6 A=4:" KV " E=3:" QUEUE " H=2:" LORA " D=2:" LORA " C=2:" LORA " G=1:" LOW
                " F=1:" LOW },
        { EPP_TREE_V03, "DGH", true, "sql", true, /* neither adapter nor room for one */
                CRIT " 3>3, " LOW " 3>2, " LORA " 2>0, " QUEUE " 2>1, " KV " 1>1, " PICK
                " | H=5 D=2:" QUEUE " G=1:" LOW },
        /* no low queue: the order queue, LoRA, cache */
        { EPP_TREE_V03, "FG", true, "sql", true,
                CRIT " 2>2, " LOW " 2>0, " QUEUE " 2>1, " LORA " 1>1, " KV " 1>1, " PICK
                " | F=5 G=1:" QUEUE },
        { EPP_TREE_V03, "MN", true, "base", true,
                CRIT " 2>2, " LOW " 2>2, " LORA " 2>0, " QUEUE " 2>1, " KV " 1>1, " PICK
                " | M=5 N=2:" QUEUE },
        /* not critical: room for more, the same order; none: dropped */
        { EPP_TREE_V03, "BDG", false, "tone", true,
                CRIT " 3>0, " ROOM " 3>1, " QUEUE " 1>1, " LORA " 1>0, " KV " 1>1, " PICK
                " | B=4 G=0:" ROOM " D=0:" ROOM },
        { EPP_TREE_V03, "DGH", false, "sql", true,
                CRIT " 3>0, " ROOM " 3>0 | D=0:" ROOM " G=0:" ROOM " H=0:" ROOM },
        { EPP_TREE_V05, "XY", true, "sql", false,
                CRIT " 2>2, " LOW " 2>2, " LORA " 2>1, " QUEUE " 1>1, " KV " 1>1, " PICK
                " | Y=6 X=2:" LORA },
        { EPP_TREE_V05, "G", true, "base", false,
                CRIT " 1>1, " LOW " 1>0, " QUEUE " 1>1, " LORA " 1>0, " KV " 1>1, " PICK
                " | G=4" },
        { EPP_TREE_V05, "BDG", false, "tone", false,
                CRIT " 3>0, " GATE " 3>3, " LOW " 3>2, " LORA " 2>1, " QUEUE " 1>1, " KV " 1>1, "
                PICK " | D=6 B=2:" LORA " G=1:" LOW },
        { EPP_TREE_V05, "ABC", false, "sql", true,
                CRIT " 3>0, " GATE " 3>0 | A=0:" GATE " B=0:" GATE " C=0:" GATE },
        { EPP_TREE_V03, "", true, "sql", true,
                CRIT " 0>0, " ROOM " 0>0" }, /* nobody to be critical for */
};

START_TEST(every_branch_traced)
{
        for (size_t r = 0; r < ARRAY_LEN(traces); r++) {
                struct epp_thresholds t = epp_thresholds_default;
                struct epp_request req = { .critical = traces[r].critical,
                        .now = traces[r].old ? 1300000 : 1100000 };
                size_t n = strlen(traces[r].pods);
                struct epp_endpoint e[16], *got, **v;
                struct epp_trace trace;
                struct epp_sched *s;
                char text[1024];

                memset(&trace, 0x55, sizeof(trace)); /* what was there does not matter */
                t.lora_affinity = AFFINITY;
                req.target_hash = XXH3_64bits(traces[r].model, strlen(traces[r].model));
                ck_assert_int_eq(epp_sched_new(traces[r].tree, &t, epp_plugins, 7, &s), 0);
                v = epp_sched_candidates(s, n);
                for (size_t i = 0; i < n; i++) {
                        fill(&e[i], traces[r].pods[i]);
                        v[i] = &e[i];
                }
                (void)!epp_sched_trace(s, &req, n, &trace, &got);
                trace_text(&trace, text, sizeof(text));
                ck_assert_msg(strcmp(text, traces[r].expect) == 0, "%zu: %s", r, text);
                ck_assert_uint_eq(trace.candidates, n);
                for (size_t i = 0; i < n; i++)
                        epp_load_fini(&e[i].load);
                epp_sched_free(s);
        }
}
END_TEST

/* A pool of <n>: the first <never> have no page, the next <full> a long queue, the others none. */
static void
trace_pool(size_t n, size_t never, size_t full, struct epp_trace *trace, struct epp_endpoint *e,
        struct epp_endpoint **ret)
{
        struct epp_request req = { .critical = true, .now = 3000 };
        struct epp_endpoint **v;
        struct epp_sched *s;

        ck_assert_int_eq(
                epp_sched_new(EPP_TREE_V03, &epp_thresholds_default, epp_plugins, n, &s), 0);
        v = epp_sched_candidates(s, n);
        for (size_t i = 0; i < n; i++) {
                e[i] = (struct epp_endpoint){ .index = i, .inflight = (uint32_t)i,
                        .load = { .at = i < never ? 0 : 1000, .running = (int64_t)i,
                                .waiting = i >= never && i < never + full ? 500 : 0 } };
                v[i] = &e[i];
        }
        ck_assert_int_eq(epp_sched_trace(s, &req, n, trace, ret), 0);
        epp_sched_free(s);
}

/* Whatever the pool's size: the chosen one first, nobody twice, finalists, and of those that went
 * earlier at least as many as there is half the room for. */
START_TEST(pools_of_every_size_traced)
{
        static const struct {
                size_t n, never, full;
                unsigned seen, gone; /* shown; of them dropped before the picker */
        } cases[] = { { 1, 0, 0, 1, 0 }, { 2, 1, 0, 2, 1 }, { 16, 0, 0, 16, 0 },
                { 16, 3, 3, 16, 6 }, { 17, 0, 0, 16, 0 }, { 17, 0, 1, 16, 1 },
                { 17, 0, 16, 16, 15 }, { 100, 0, 20, 16, 8 }, { 1000, 0, 0, 16, 0 },
                { 1000, 0, 5, 16, 5 }, { 1000, 10, 980, 16, 8 }, { 1000, 999, 0, 16, 15 } };
        static struct epp_endpoint e[1000];

        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                struct epp_endpoint *got;
                struct epp_trace t;
                unsigned gone = 0, last;

                trace_pool(cases[i].n, cases[i].never, cases[i].full, &t, e, &got);
                last = t.n_steps - 1;
                ck_assert_uint_eq(t.candidates, cases[i].n);
                ck_assert_msg(t.n_seen == cases[i].seen, "%zu: %u", i, t.n_seen);
                ck_assert_ptr_eq(t.seen[0].endpoint, got);
                ck_assert_uint_eq(t.seen[0].as.dropped_at, EPP_TRACE_NEVER);
                for (unsigned k = 0; k < t.n_seen; k++) {
                        const struct epp_endpoint *one = t.seen[k].endpoint;
                        const struct epp_seen *as = &t.seen[k].as;

                        gone += as->dropped_at < last;
                        ck_assert(isnan(as->score));
                        for (unsigned j = 0; j < k; j++)
                                ck_assert_ptr_ne(t.seen[j].endpoint, one);
                        ck_assert_int_eq(as->age, one->load.at ? 2000 : -1);
                        ck_assert_int_eq(as->running, (int64_t)one->index);
                        ck_assert_uint_eq(as->inflight, one->index);
                        ck_assert_int_eq(as->waiting, one->load.waiting);
                        if (one->load.at == 0)
                                ck_assert_str_eq(t.step[as->dropped_at].plugin, "prefer-scraped");
                        else if (one->load.waiting)
                                ck_assert_str_eq(t.step[as->dropped_at].plugin, LOW);
                        else if (k)
                                ck_assert_uint_eq(as->dropped_at, last);
                }
                ck_assert_msg(gone == cases[i].gone, "%zu: %u gone", i, gone);
        }
}
END_TEST

/* More steps than there is room for: the last are left out, and nothing is written behind. */
START_TEST(long_traces)
{
        struct epp_endpoint e[20] = { 0 }, *v[20];
        struct epp_trace t;

        for (size_t i = 0; i < 20; i++)
                v[i] = &e[19 - i];
        epp_trace_begin(&t, v, 20);
        for (size_t n = 20; n > 1; n--)
                epp_trace_ran(&t, "p", v, n, n - 1); /* the last one goes */
        epp_trace_end(&t, v[0], 0);
        ck_assert_uint_eq(t.n_steps, EPP_TRACE_STEPS);
        ck_assert_uint_eq(t.n_seen, EPP_TRACE_SHOWN);
        ck_assert_ptr_eq(t.seen[1].endpoint, &e[18]); /* went last, at a step without a name */
        ck_assert_ptr_null(epp_trace_dropped_by(t.step, t.n_steps, t.seen[1].as.dropped_at));
        ck_assert_ptr_eq(t.seen[15].endpoint, &e[4]);
        ck_assert_uint_eq(t.seen[15].as.dropped_at, 4);
}
END_TEST

/* Noting how a cycle goes changes nothing of it. */
START_TEST(trace_changes_nothing)
{
        static struct epp_endpoint e[1000];
        struct epp_request req = { .critical = true, .now = 3000 };
        struct epp_sched *s[2];
        struct epp_trace t;

        for (size_t i = 0; i < 1000; i++)
                e[i] = (struct epp_endpoint){ .load = { .at = i % 7 ? 1 : 0,
                        .waiting = (int64_t)(i * 7919 % 13), .kv_ratio = (double)(i % 11) / 11 } };
        for (int k = 0; k < 2; k++)
                ck_assert_int_eq(epp_sched_new(EPP_TREE_V05, &epp_thresholds_default, epp_plugins,
                                         5, &s[k]), 0);
        for (size_t n = 1; n <= 1000; n += 37) {
                struct epp_endpoint *got[2], **v;

                for (int k = 0; k < 2; k++) {
                        v = epp_sched_candidates(s[k], n);
                        for (size_t i = 0; i < n; i++)
                                v[i] = &e[i];
                        ck_assert_int_eq(
                                epp_sched_trace(s[k], &req, n, k ? &t : NULL, &got[k]), 0);
                }
                ck_assert_ptr_eq(got[0], got[1]);
        }
        epp_sched_free(s[0]);
        epp_sched_free(s[1]);
}
END_TEST

/* What each gets from the scorer, by what it has in flight. */
START_TEST(active_scores)
{
        static const struct {
                double idle, busy;
                size_t n;
                uint32_t inflight[4];
                double expect[4];
        } cases[] = {
                { 0, 1, 3, { 0, 0, 0 }, { 1, 1, 1 } },
                { 0, 1, 1, { 0 }, { 1 } },
                { 0, 1, 1, { 7 }, { 0 } },
                { 0, 1, 3, { 5, 5, 5 }, { 0, 0, 0 } }, /* all equal and busy */
                { 0, 1, 4, { 0, 1, 2, 4 }, { 1, .75, .5, 0 } },
                { 0, 1, 2, { 1, 4 }, { .75, 0 } },
                { 0, .5, 4, { 0, 1, 2, 4 }, { 1, .375, .25, 0 } },
                { 0, 0, 3, { 0, 1, 4 }, { 1, 0, 0 } },
                { 2, 1, 4, { 0, 2, 3, 4 }, { 1, 1, .25, 0 } }, /* the threshold itself is idle */
                { 4, 1, 3, { 4, 4, 4 }, { 1, 1, 1 } },
                { 3, 1, 3, { 4, 4, 4 }, { 0, 0, 0 } },
                { 2, .5, 2, { 2, 4 }, { 1, 0 } },
                { 0, 1, 2, { UINT32_MAX, 0 }, { 0, 1 } },
        };

        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                struct epp_plugin self = { .type = &epp_scorer_active_request,
                        .param = { cases[i].idle, cases[i].busy } };
                struct epp_endpoint e[4] = { 0 }, *v[4] = { e, e + 1, e + 2, e + 3 };
                double got[4];

                for (size_t k = 0; k < cases[i].n; k++)
                        e[k].inflight = cases[i].inflight[k];
                self.type->score(&self, NULL, v, cases[i].n, got);
                for (size_t k = 0; k < cases[i].n; k++)
                        ck_assert_msg(got[k] == cases[i].expect[k], "%zu, %zu: %g", i, k, got[k]);
        }
}
END_TEST

static const double odd_scores[] = { .5, 0, 1, -1, 2, -0.0, .25, (double)NAN, (double)INFINITY,
        -(double)INFINITY, 1e-300, 1 + 1e-15 };

/* A scorer that says what its endpoints' numbers stand for, moved by its parameter. */
static void
say_odd(const struct epp_plugin *self, struct epp_cycle *cy, struct epp_endpoint *const *v,
        size_t n, double *score)
{
        (void)cy;
        for (size_t i = 0; i < n; i++)
                score[i] = odd_scores[(v[i]->port + (size_t)self->param[0]) %
                        ARRAY_LEN(odd_scores)];
}

static double
twin_clamp(double score)
{
        if (isnan(score) || score < 0)
                return 0;
        return score > 1 ? 1 : score;
}

/* Totals are the clamped scores times their weights, whatever a scorer says. */
START_TEST(totals)
{
        static const struct epp_plugin_type odd = { .name = "odd", .kind = EPP_SCORER,
                .score = say_odd };
        struct epp_plugin p[3] = { { &odd, .param = { 0 } }, { &odd, .param = { 1 } },
                { &odd, .param = { 7 } } };
        struct epp_weighted w[3] = { { &p[0], 2 }, { &p[1], -1.5 }, { &p[2], 0 } };
        struct epp_endpoint e[24] = { 0 }, *v[24];
        double total[24], one[24];

        for (unsigned i = 0; i < 24; i++) {
                e[i].port = i;
                v[i] = &e[i];
        }
        for (size_t n_scorers = 1; n_scorers <= 3; n_scorers++) {
                struct epp_trace t;
                struct epp_cycle cy = { .trace = &t };

                epp_trace_begin(&t, v, 24);
                epp_scorers_run(w, n_scorers, &cy, v, 24, total, one);
                for (size_t i = 0; i < 24; i++) {
                        double expect = 0;

                        for (size_t k = 0; k < n_scorers; k++)
                                expect += w[k].weight * twin_clamp(odd_scores[(i +
                                        (size_t)p[k].param[0]) % ARRAY_LEN(odd_scores)]);
                        ck_assert_msg(total[i] == expect, "%zu of %zu: %g", i, n_scorers, total[i]);
                }
                ck_assert_uint_eq(t.n_steps, n_scorers);
                ck_assert_str_eq(t.step[n_scorers - 1].plugin, "odd");
                ck_assert_uint_eq(t.step[n_scorers - 1].in, 24);
                ck_assert_uint_eq(t.step[n_scorers - 1].out, 24);
        }
}
END_TEST

/* The highest, exactly; those that are equal, wherever they stand, equally often. */
START_TEST(highest_total)
{
        static const struct {
                size_t n;
                double total[5];
                const char *best; /* their numbers */
        } cases[] = { { 1, { 0 }, "0" }, { 2, { -1, -2 }, "0" }, { 3, { 0, 1, .5 }, "1" },
                { 3, { 1, 1 + 1e-15, 1 }, "1" }, { 4, { 1, 0, 1, 1 }, "023" },
                { 5, { .5, .5, 1, .5, 1 }, "24" }, { 5, { 0, 0, 0, 0, 0 }, "01234" } };
        struct epp_rng rng;
        struct epp_cycle cy = { .rng = &rng };
        const int rounds = 30000;

        epp_rng_init(&rng, 3);
        for (size_t i = 0; i <= ARRAY_LEN(cases); i++) { /* the last one without scorers */
                bool none = i == ARRAY_LEN(cases);
                const char *best = none ? "01234" : cases[i].best;
                size_t n = none ? 5 : cases[i].n;
                int got[5] = { 0 }, share = rounds / (int)strlen(best);

                for (int k = 0; k < rounds; k++)
                        got[epp_picker_max_score.pick(NULL, &cy, NULL, n,
                                none ? NULL : cases[i].total)]++;
                for (size_t k = 0; k < 5; k++) {
                        bool is_best = strchr(best, '0' + (int)k) != NULL;

                        ck_assert_msg(abs(got[k] - (is_best ? share : 0)) < (is_best ? 400 : 1),
                                "%zu, %zu: %d", i, k, got[k]);
                }
        }
}
END_TEST

static struct epp_sched *
active_new(uint64_t seed)
{
        struct epp_sched *s;

        ck_assert_int_eq(epp_sched_new(EPP_ACTIVE_REQUEST, &epp_thresholds_default, epp_plugins,
                                 seed, &s), 0);
        return s;
}

/* 1,000 requests that are there at once: each pick counts before the next one. Critical or not,
 * and whatever the pages say. */
START_TEST(bursts)
{
        static const size_t sizes[] = { 1, 7, 10, 16, 17, 300, 10 }; /* one scheduler that grows */
        static struct epp_endpoint e[300];
        struct epp_sched *s = active_new(1);

        for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
                size_t n = sizes[k];
                uint32_t low = UINT32_MAX, high = 0;

                for (size_t i = 0; i < n; i++)
                        e[i] = (struct epp_endpoint){ .load = { .at = 1, .state = EPP_LOAD_FRESH,
                                .waiting = i % 2 ? 500 : 0, .kv_ratio = .99 } };
                for (int r = 0; r < 1000; r++) {
                        struct epp_request req = { .critical = r % 2 };
                        struct epp_endpoint **v = epp_sched_candidates(s, n), *got;

                        for (size_t i = 0; i < n; i++)
                                v[i] = &e[i];
                        ck_assert_int_eq(epp_sched_run(s, &req, n, &got), 0);
                        got->inflight++;
                }
                for (size_t i = 0; i < n; i++) {
                        low = EPP_MIN(low, e[i].inflight);
                        high = EPP_MAX(high, e[i].inflight);
                }
                ck_assert_msg(high - low <= 1, "%zu: %u to %u", n, low, high);
        }
        epp_sched_free(s);
}
END_TEST

/* Endpoints by a letter: Fresh, Missing families, Stale, Never scraped; with what is in flight.
 * How a cycle went: its steps, and the score of each that is shown. */
START_TEST(active_traced)
{
#define FRESH_FIRST "prefer-fresh-filter"
#define BY "active-request-scorer"
#define MAX "max-score-picker"
        static const struct {
                const char *pods;
                bool critical;
                const char *expect;
        } cases[] = {
                { "F4F0F1", true, FRESH_FIRST " 3>3, " BY " 3>3, " MAX " 3>1 | F0 1 F4 0 F1 0.75" },
                { "S0F4F2", false,
                        FRESH_FIRST " 3>2, " BY " 2>2, " MAX " 2>1 | F2 0.5 F4 0 S0 nan" },
                { "N0F9", true, "prefer-scraped 2>1, " FRESH_FIRST " 1>1, " BY " 1>1, " MAX
                        " 1>1 | F9 0 N0 nan" },
                { "N0S3S2", true, "prefer-scraped 3>2, " FRESH_FIRST " 2>2, " BY " 2>2, " MAX
                        " 2>1 | S2 0.333 S3 0 N0 nan" },
                { "N4N1", false, FRESH_FIRST " 2>2, " BY " 2>2, " MAX " 2>1 | N1 0.75 N4 0" },
                { "F2M1S0", true, FRESH_FIRST " 3>2, " BY " 2>2, " MAX " 2>1 | M1 0.5 F2 0 S0 nan" },
                { "", true, FRESH_FIRST " 0>0" },
        };
        struct epp_sched *s = active_new(1);

        for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
                size_t n = strlen(cases[c].pods) / 2, at;
                struct epp_request req = { .critical = cases[c].critical };
                struct epp_endpoint e[3], *got, **v = epp_sched_candidates(s, n);
                struct epp_trace t;
                char text[512];

                for (size_t i = 0; i < n; i++) {
                        const char *pod = cases[c].pods + 2 * i;

                        e[i] = (struct epp_endpoint){ .name = epp_slice(pod, 2),
                                .inflight = (uint32_t)(pod[1] - '0'),
                                .load = { .at = *pod != 'N',
                                        .state = (enum epp_load_state)(strchr("NFSM", *pod) -
                                                "NFSM") } };
                        v[i] = &e[i];
                }
                memset(&t, 0x55, sizeof(t));
                ck_assert_int_eq(epp_sched_trace(s, &req, n, &t, &got), n ? 0 : EPP_EFULL);
                at = 0;
                for (unsigned i = 0; i < t.n_steps; i++)
                        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s %u>%u",
                                i ? ", " : "", t.step[i].plugin, t.step[i].in, t.step[i].out);
                for (unsigned i = 0; i < t.n_seen; i++)
                        at += (size_t)snprintf(text + at, sizeof(text) - at,
                                "%s" SLICE_FMT " %.3g", i ? " " : " | ",
                                SLICE_ARG(t.seen[i].endpoint->name), t.seen[i].as.score);
                ck_assert_msg(strcmp(text, cases[c].expect) == 0, "%zu: %s", c, text);
        }
        epp_sched_free(s);
}
END_TEST

/* In a large pool the chosen one is none of the first, which are followed; its score is there. */
START_TEST(far_score_traced)
{
        static struct epp_endpoint e[1000];
        struct epp_request req = { .critical = true };
        struct epp_sched *s = active_new(1);
        struct epp_endpoint **v = epp_sched_candidates(s, 1000), *got;
        struct epp_trace t;

        for (size_t i = 0; i < 1000; i++) {
                e[i] = (struct epp_endpoint){ .index = i, .inflight = i == 900 ? 1 : 2 + i % 3,
                        .load = { .at = 1 } };
                v[i] = &e[i];
        }
        ck_assert_int_eq(epp_sched_trace(s, &req, 1000, &t, &got), 0);
        ck_assert_ptr_eq(got, &e[900]);
        ck_assert_uint_eq(t.n_seen, EPP_TRACE_SHOWN);
        for (unsigned i = 0; i < t.n_seen; i++)
                ck_assert(t.seen[i].as.score == (4 - t.seen[i].endpoint->inflight) / 4.0);
        epp_sched_free(s);
}
END_TEST

/* Scorers are timed as the others are. */
START_TEST(scorers_timed)
{
        struct epp_endpoint e = { .load = { .at = 1 } };
        struct epp_sched *s = active_new(1);

        clock_at = 0;
        epp_sched_clock(s, clock_ns);
        run_cycles(s, &e, true, 1);
        check_time(&epp_sched_timing(s)->cycle, 1, 3 * 3);
        check_time(time_of(s, &epp_filter_prefer_fresh), 1, 3);
        check_time(time_of(s, &epp_scorer_active_request), 1, 3);
        check_time(time_of(s, &epp_picker_max_score), 1, 3);
        epp_sched_free(s);
}
END_TEST

UNIT_MAIN("sched", worked_example, node_cases, band_cases, lora_draw, thresholds,
        no_page_is_no_room, unknown_plugin, never_scraped, bands, keeping, timing, every_branch_traced,
        pools_of_every_size_traced, long_traces, trace_changes_nothing, active_scores,
        totals, highest_total, bursts, active_traced, far_score_traced, scorers_timed)
