/* test_sched.c - every row of the worked example of the decision tree, for both trees. */
#include "sched/sched.h"

#include <xxhash.h>

#include "plugin/plugins.h"
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
                ck_assert_msg(seen[(unsigned char)*c] > 60, "row %zu: %c picked %zu of 200", r, *c,
                        seen[(unsigned char)*c]);
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

START_TEST(never_scraped)
{
        struct epp_request req = { .critical = true };
        struct epp_endpoint busy = { .load = { .at = 1, .waiting = 50 } }, fresh = { 0 }, *got;
        struct epp_sched *s;

        ck_assert_int_eq(epp_sched_new(EPP_TREE_V03, &epp_thresholds_default, epp_plugins, 1, &s),
                0);
        for (int i = 0; i < 50; i++) {
                struct epp_endpoint **v = epp_sched_candidates(s, 2);

                v[0] = &fresh;
                v[1] = &busy;
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

UNIT_MAIN("sched", worked_example, never_scraped, bands)
