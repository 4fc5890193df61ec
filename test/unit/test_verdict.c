/* test_verdict.c - from a request to a verdict: who is refused and why, the split, the subset, and
 * counts that are released once. */
#include "serve/director.h"

#include "plugin/plugins.h"
#include "unit.h"

static struct {
        struct epp_director d;
        struct epp_decider decider;
        struct epp_log log;
        struct epp_jscan scan;
        bool explain;
        bool traced; /* an observer got a trace */
        struct epp_trace trace;
} w;

static void
add_model(const char *name, enum epp_criticality c, const struct epp_target *t, size_t n)
{
        ck_assert_int_eq(epp_models_add(w.d.models, epp_slice_str(name), c, t, n), 0);
}

static void
world_init(enum epp_builtin tree, uint64_t seed)
{
        const struct epp_target split[] = { { EPP_SLICE("a"), 1, 0 }, { EPP_SLICE("b"), 2, 0 },
                { EPP_SLICE("c"), 7, 0 } };
        const struct epp_target even[] = { { EPP_SLICE("a"), 0, 0 }, { EPP_SLICE("b"), 9, 0 } };
        const struct epp_target nameless[] = { { EPP_SLICE(""), 0, 0 } };

        memset(&w, 0, sizeof(w));
        ck_assert_int_eq(epp_pool_new(1, &w.d.pool), 0);
        ck_assert_int_eq(epp_models_new(1, &w.d.models), 0);
        ck_assert_int_eq(
                epp_sched_new(tree, &epp_thresholds_default, epp_plugins, seed, &w.d.sched), 0);
        w.d.ready = true;
        w.d.log = &w.log;
        w.decider = epp_director_decider(&w.d);
        add_model("critical", EPP_CRITICAL, NULL, 0);
        add_model("standard", EPP_STANDARD, NULL, 0);
        add_model("sheddable", EPP_SHEDDABLE, NULL, 0);
        add_model("split", EPP_CRITICAL, split, 3);
        add_model("even", EPP_CRITICAL, even, 2);
        add_model("nameless", EPP_CRITICAL, nameless, 1);
}

static void
world_fini(void)
{
        epp_sched_free(w.d.sched);
        epp_models_free(w.d.models);
        epp_pool_free(w.d.pool);
}

static struct epp_endpoint *
add(const char *name, const char *addr, int64_t waiting, double kv)
{
        struct epp_endpoint *e;

        ck_assert_int_ge(epp_pool_put(w.d.pool, epp_slice_str(name), epp_slice_str(addr), NULL), 0);
        e = epp_pool_find(w.d.pool, epp_slice_str(name));
        e->load.at = 1;
        e->load.waiting = waiting;
        e->load.kv_ratio = kv;
        return e;
}

/* Asks with <model> in a body (NULL: no body) and a subset hint (NULL: none). */
static struct epp_verdict
ask(const char *model, const char *subset)
{
        struct epp_verdict v;
        struct epp_ask a = { .has_body = model != NULL, .dialect = epp_dialect_unknown(),
                .scan = &w.scan, .has_subset = subset != NULL, .subset = epp_slice_str(subset),
                .request_id = EPP_SLICE("r"), .now = 2, .explain = w.explain };
        char body[128];

        epp_jscan_init(&w.scan);
        if (model) {
                snprintf(body, sizeof(body), "{\"model\":\"%s\"}", model);
                epp_jscan_feed(&w.scan, epp_slice_str(body));
        }
        epp_jscan_end(&w.scan);
        w.decider.decide(w.decider.ctx, &a, &v);
        ck_assert_int_eq(v.http == 0, v.ticket != NULL);
        return v;
}

static void
release(struct epp_verdict *v)
{
        static const struct epp_outcome good = { .status = 200, .begun = true, .complete = true };

        if (v->ticket)
                w.decider.release(w.decider.ctx, v->ticket, &good);
}

enum pool { EMPTY, IDLE, FULL, STALE };

static const struct {
        enum epp_builtin tree;
        enum pool pool;
        enum epp_model_match match;
        const char *model;
        int http;
        const char *says, *reason;
} rows[] = {
#define UNFOUND "BadConfiguration - no InferenceModel is named \"nobody\""
#define NO_ENDPOINT                                                                                \
        "ServiceUnavailable - failed to find endpoint candidates", "rejected-no-endpoints"
#define SATURATED "ResourceExhausted - system saturated, non-critical", "rejected-saturated"
        { EPP_TREE_V03, IDLE, EPP_MATCH_AUTO, "critical", 0, "", NULL },
        { EPP_TREE_V03, IDLE, EPP_MATCH_AUTO, "standard", 0, "", NULL },
        { EPP_TREE_V03, IDLE, EPP_MATCH_AUTO, "sheddable", 0, "", NULL },
        { EPP_TREE_V03, FULL, EPP_MATCH_AUTO, "critical", 0, "", NULL },
        { EPP_TREE_V03, FULL, EPP_MATCH_AUTO, "standard", 429, SATURATED },
        { EPP_TREE_V03, FULL, EPP_MATCH_AUTO, "sheddable", 429, SATURATED },
        { EPP_TREE_V05, FULL, EPP_MATCH_AUTO, "critical", 0, "", NULL },
        { EPP_TREE_V05, FULL, EPP_MATCH_AUTO, "standard", 429, SATURATED },
        { EPP_TREE_V05, FULL, EPP_MATCH_AUTO, "sheddable", 429, SATURATED },
        { EPP_TREE_V05, STALE, EPP_MATCH_AUTO, "sheddable", 429, SATURATED },
        { EPP_TREE_V03, STALE, EPP_MATCH_AUTO, "sheddable", 0, "", NULL },
        /* Nothing matched and nothing says otherwise: not shed (decisions 13). */
        { EPP_TREE_V03, FULL, EPP_MATCH_PASSTHROUGH, "nobody", 0, "", NULL },
        { EPP_TREE_V05, FULL, EPP_MATCH_PASSTHROUGH, "nobody", 0, "", NULL },
        { EPP_TREE_V03, FULL, EPP_MATCH_REQUIRED, NULL, 0, "", NULL },
        /* An empty pool is 503 for all, before any scheduler (decisions 14). */
        { EPP_TREE_V03, EMPTY, EPP_MATCH_AUTO, "critical", 503, NO_ENDPOINT },
        { EPP_TREE_V03, EMPTY, EPP_MATCH_AUTO, "sheddable", 503, NO_ENDPOINT },
        { EPP_TREE_V05, EMPTY, EPP_MATCH_AUTO, "critical", 503, NO_ENDPOINT },
        { EPP_TREE_V03, EMPTY, EPP_MATCH_AUTO, NULL, 503, NO_ENDPOINT },
        /* Models that are not found, missing, or draw nothing. */
        { EPP_TREE_V03, IDLE, EPP_MATCH_AUTO, "nobody", 404, UNFOUND, NULL },
        { EPP_TREE_V03, EMPTY, EPP_MATCH_AUTO, "nobody", 404, UNFOUND, NULL },
        { EPP_TREE_V03, IDLE, EPP_MATCH_REQUIRED, "nobody", 404, UNFOUND, NULL },
        { EPP_TREE_V03, IDLE, EPP_MATCH_REQUIRED, "Critical", 404, "BadConfiguration", NULL },
        { EPP_TREE_V03, IDLE, EPP_MATCH_AUTO, "", 400, "BadRequest", NULL },
        { EPP_TREE_V03, IDLE, EPP_MATCH_PASSTHROUGH, "", 400, "BadRequest", NULL },
        { EPP_TREE_V03, IDLE, EPP_MATCH_AUTO, "nameless", 404,
                "BadConfiguration - a target of InferenceModel \"nameless\" has no name", NULL },
};

static void
fill_pool(enum pool kind)
{
        if (kind == EMPTY)
                return;
        add("p", "10.0.0.1:80", kind == FULL ? 200 : 0, kind == FULL ? .99 : 0)->load.at =
                kind == STALE ? 2 - 300000 : 1;
        add("q", "10.0.0.2:80", kind == FULL ? 6 : 1, .9)->load.at = kind == STALE ? 2 - 300000 : 1;
}

START_TEST(refusals)
{
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                struct epp_verdict v;

                world_init(rows[i].tree, 1);
                w.d.match = rows[i].match;
                fill_pool(rows[i].pool);
                v = ask(rows[i].model, NULL);
                ck_assert_msg(v.http == rows[i].http, "%zu: %d %s", i, v.http, v.text);
                ck_assert_msg(strstr(v.text, rows[i].says) != NULL, "%zu: %s", i, v.text);
                ck_assert_msg((v.reason == NULL) == (rows[i].reason == NULL) &&
                                (!v.reason || strcmp(v.reason, rows[i].reason) == 0),
                        "%zu: %s", i, v.reason);
                ck_assert_uint_eq(w.d.stats.requests, 1);
                release(&v);
                world_fini();
        }
}
END_TEST

START_TEST(not_read_yet)
{
        world_init(EPP_TREE_V03, 1);
        fill_pool(IDLE);
        w.d.ready = false;
        ck_assert_int_eq(ask("critical", NULL).http, 503);
        world_fini();
}
END_TEST

/* Without models the default lets everything pass; the first model changes that. */
START_TEST(auto_match)
{
        struct epp_models *none, *some;
        struct epp_verdict v;

        world_init(EPP_TREE_V03, 1);
        fill_pool(IDLE);
        some = w.d.models;
        ck_assert_int_eq(epp_models_new(1, &none), 0);
        w.d.models = none;
        v = ask("nobody", NULL);
        ck_assert_int_eq(v.http, 0);
        ck_assert(!v.rename);
        release(&v);
        w.d.models = some; /* swapped between requests */
        ck_assert_int_eq(ask("nobody", NULL).http, 404);
        epp_models_free(none);
        world_fini();
}
END_TEST

/* 10,000 draws of 1, 2 and 7, and of two without weights; four sigma is 200 at most. */
START_TEST(split)
{
        int count[3] = { 0 }, even[3] = { 0 };

        world_init(EPP_TREE_V03, 5);
        fill_pool(IDLE);
        for (int i = 0; i < 10000; i++) {
                struct epp_verdict v = ask("split", NULL);

                ck_assert(v.rename && v.model.n == 1);
                count[v.model.p[0] - 'a']++;
                release(&v);
                v = ask("even", NULL);
                even[v.model.p[0] - 'a']++;
                release(&v);
        }
        ck_assert_int_lt(abs(count[0] - 1000), 120);
        ck_assert_int_lt(abs(count[1] - 2000), 160);
        ck_assert_int_lt(abs(count[2] - 7000), 184);
        ck_assert_int_lt(abs(even[0] - 5000), 200);
        world_fini();
}
END_TEST

/* Only a model of targets is renamed; one without stands for itself. */
START_TEST(rename_only_when_needed)
{
        struct epp_verdict v;

        world_init(EPP_TREE_V03, 1);
        fill_pool(IDLE);
        v = ask("critical", NULL);
        ck_assert(!v.rename);
        ck_assert(epp_slice_eq(v.model, EPP_SLICE("critical")));
        release(&v);
        world_fini();
}
END_TEST

/* The LoRA node sees what was drawn, not what was asked for. */
START_TEST(affinity_of_the_target)
{
        const struct epp_target t[] = { { EPP_SLICE("adapter-7"), 0, 0 } };
        struct epp_endpoint *e;

        world_init(EPP_TREE_V03, 1);
        add_model("food", EPP_CRITICAL, t, 1);
        for (int i = 0; i < 4; i++) {
                char name[2] = { (char)('a' + i), 0 }, addr[24];

                snprintf(addr, sizeof(addr), "10.0.0.%d:80", i + 1);
                e = add(name, addr, 0, 0);
                e->load.max_lora_v03 = 4;
                ck_assert_int_eq(epp_loras_add(&e->load.lora_v03,
                        i == 2 ? EPP_SLICE("adapter-7") : EPP_SLICE("food")), 1);
        }
        for (int i = 0, there = 0; i < 60; i++) {
                struct epp_verdict v = ask("food", NULL);

                there += strcmp(v.endpoint, "10.0.0.3:80") == 0;
                release(&v);
                ck_assert_int_eq(there, i + 1); /* 60 of 60, with this seed */
        }
        world_fini();
}
END_TEST

START_TEST(subset)
{
        static const struct {
                const char *hint, *endpoint; /* NULL: 503 */
        } hints[] = { { "10.0.0.2", "10.0.0.2:80" }, { "10.0.0.2:80", "10.0.0.2:80" },
                { "10.0.0.2:81", NULL }, { "", NULL }, { ",,", NULL },
                { "10.0.0.9, 10.0.0.1", "10.0.0.1:80" }, { "fd00::1", "[fd00::1]:80" },
                { "[fd00::1]", "[fd00::1]:80" }, { "[FD00::1]:80", "[fd00::1]:80" },
                { "[fd00::1]:81", NULL }, { "10.0.0.22", NULL } };

        world_init(EPP_TREE_V03, 1);
        fill_pool(IDLE);
        add("six", "[fd00::1]:80", 5, .5);
        for (size_t i = 0; i < ARRAY_LEN(hints); i++) {
                struct epp_verdict v = ask("critical", hints[i].hint);

                ck_assert_msg(v.http == (hints[i].endpoint ? 0 : 503), "%s", hints[i].hint);
                if (hints[i].endpoint)
                        ck_assert_str_eq(v.endpoint, hints[i].endpoint);
                release(&v);
        }
        world_fini();
}
END_TEST

/* A request's count goes with its endpoint: released once, moved when it went elsewhere, gone with
 * an endpoint that is gone, and never taken from a newcomer in the same slot. */
START_TEST(counts)
{
        struct epp_endpoint *p, *q;
        struct epp_verdict v, u;

        world_init(EPP_TREE_V03, 1);
        p = add("p", "10.0.0.1:80", 0, 0);
        v = ask("critical", NULL);
        u = ask("critical", NULL);
        ck_assert_uint_eq(p->inflight, 2);
        release(&u);
        ck_assert_uint_eq(p->inflight, 1);
        q = add("q", "10.0.0.2:80", 0, 0);
        w.decider.served(w.decider.ctx, v.ticket, EPP_SLICE("10.0.0.2:80"));
        ck_assert_uint_eq(p->inflight, 0);
        ck_assert_uint_eq(q->inflight, 1);
        w.decider.served(w.decider.ctx, v.ticket, EPP_SLICE("10.0.0.2:80"));
        w.decider.served(w.decider.ctx, v.ticket, EPP_SLICE("10.0.0.77:80"));
        ck_assert_uint_eq(q->inflight, 1);
        ck_assert(epp_pool_remove(w.d.pool, EPP_SLICE("q")));
        q = add("new", "10.0.0.2:80", 0, 0); /* takes the slot */
        q->inflight = 5;
        release(&v);
        ck_assert_uint_eq(q->inflight, 5);
        ck_assert_uint_eq(w.d.stats.complete, 2);
        /* The same name at another address begins again. */
        v = ask("critical", "10.0.0.1");
        p = add("p", "10.0.0.3:80", 0, 0);
        release(&v);
        ck_assert_uint_eq(p->inflight, 0);
        world_fini();
}
END_TEST

/* Equal seeds give equal runs: targets and endpoints. */
START_TEST(repeatable)
{
        char run[3][400];

        for (int r = 0; r < 3; r++) {
                world_init(EPP_TREE_V03, r == 2 ? 8 : 7);
                for (int i = 0; i < 4; i++) {
                        char name[2] = { (char)('a' + i), 0 }, addr[24];

                        snprintf(addr, sizeof(addr), "10.0.0.%d:80", i + 1);
                        add(name, addr, 0, 0);
                }
                for (int i = 0; i < 200; i++) {
                        struct epp_verdict v = ask("split", NULL);

                        run[r][2 * i] = v.model.p[0];
                        run[r][2 * i + 1] = v.endpoint[7];
                        release(&v);
                }
                world_fini();
        }
        ck_assert_int_eq(memcmp(run[0], run[1], 400), 0);
        ck_assert_int_ne(memcmp(run[0], run[2], 400), 0);
}
END_TEST

#define STEPS_429 "refused=429 candidates=2 criticality-filter=2>0 capacity-filter=2>0"
#define STEPS_OK                                                                                   \
        "endpoint=10.0.0.1:80 name=p candidates=2 criticality-filter=2>2 low-queue-filter=2>2 "    \
        "lora-affinity-filter=2>0 least-queue-filter=2>1 least-kv-cache-filter=1>1 "               \
        "random-picker=1>1 waiting=0 running=0 kv_cache=0.000 in_flight=0 age_ms=0"
#define STEPS_SCORED                                                                               \
        "endpoint=10.0.0.1:80 name=p candidates=2 prefer-fresh-filter=2>2 "                        \
        "active-request-scorer=2>2 max-score-picker=2>1 waiting=200 running=0 kv_cache=0.990 "     \
        "in_flight=0 age_ms=0 score=1.000"

/* What a client is told that asked why, and that one that did not is told nothing. */
START_TEST(explained)
{
        static const struct {
                enum epp_builtin config;
                enum pool pool;
                const char *model, *expect;
        } cases[] = { { EPP_TREE_V03, IDLE, "critical", STEPS_OK },
                { EPP_TREE_V03, FULL, "standard", STEPS_429 },
                { EPP_TREE_V03, EMPTY, "critical", "refused=503" },
                { EPP_TREE_V03, IDLE, "nobody", "refused=404" },
                { EPP_ACTIVE_REQUEST, FULL, "standard", STEPS_SCORED } };

        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                struct epp_verdict v;

                world_init(cases[i].config, 1);
                fill_pool(cases[i].pool);
                v = ask(cases[i].model, NULL);
                ck_assert_ptr_null(v.explanation);
                release(&v);
                w.explain = true;
                v = ask(cases[i].model, NULL);
                ck_assert_ptr_nonnull(v.explanation);
                ck_assert_msg(strcmp(v.explanation, cases[i].expect) == 0, "%s", v.explanation);
                free(v.explanation);
                release(&v);
                world_fini();
        }
}
END_TEST

/* A header's value whatever the names are: printable, and within its bounds. */
START_TEST(explained_within_bounds)
{
        char name[1200];

        for (size_t n = 1; n < sizeof(name); n += 37) {
                struct epp_verdict v;

                memset(name, n % 2 ? '\n' : 0xff, n);
                name[n] = 0;
                world_init(EPP_TREE_V03, 1);
                add(name, "10.0.0.1:80", 0, 0)->load.at = 0;
                w.explain = true;
                v = ask("critical", NULL);
                ck_assert_uint_lt(strlen(v.explanation), 1024);
                for (const char *p = v.explanation; *p; p++)
                        ck_assert(*p >= ' ' && *p <= '~');
                if (n < 600)
                        ck_assert_ptr_nonnull(strstr(v.explanation, "in_flight=0 age_ms=never"));
                free(v.explanation);
                release(&v);
                world_fini();
        }
}
END_TEST

static void
note(void *ctx, const struct epp_record *r)
{
        (void)ctx;
        w.traced = r->trace != NULL;
        if (r->trace)
                w.trace = *r->trace;
}

/* A cycle is traced when an observer reads traces, or the client asked; else it costs nothing. What
 * never came to a cycle has no trace. */
START_TEST(traced_when_read)
{
        static const struct {
                bool observer, asked, traced;
                enum pool pool;
        } cases[] = { { false, false, false, IDLE }, { true, false, true, IDLE },
                { false, true, true, IDLE }, { true, true, true, IDLE },
                { true, false, true, FULL }, { true, true, false, EMPTY } };

        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                struct epp_verdict v;

                world_init(EPP_TREE_V03, 1);
                fill_pool(cases[i].pool);
                w.d.observer[0] = (struct epp_observer){ .decided = note };
                w.d.observer[1] = (struct epp_observer){ .traces = cases[i].observer };
                w.d.n_observers = 2;
                w.explain = cases[i].asked;
                v = ask("standard", NULL);
                ck_assert_int_eq(w.traced, cases[i].traced);
                if (w.traced) {
                        ck_assert_uint_eq(w.trace.candidates, 2);
                        ck_assert_uint_eq(w.trace.n_seen, 2);
                }
                free(v.explanation);
                release(&v);
                world_fini();
        }
}
END_TEST

/* What is counted does not depend on whether anybody reads traces. */
START_TEST(attempts_without_a_trace)
{
        struct epp_tally *const *list;
        size_t n;

        world_init(EPP_TREE_V03, 1);
        ck_assert_int_eq(epp_series_new(10, 1, &w.d.series), 0);
        fill_pool(FULL);
        ck_assert_int_eq(ask("standard", NULL).http, 429);
        ck_assert_int_eq(ask("nobody", NULL).http, 404);
        list = epp_series_attempts(w.d.series, &n);
        ck_assert_uint_eq(n, 1);
        ck_assert(epp_slice_eq(list[0]->target, EPP_SLICE("standard")));
        ck_assert_uint_eq(list[0]->endpoint.n, 0);
        ck_assert_uint_eq(list[0]->n, 1);
        epp_series_free(w.d.series);
        world_fini();
}
END_TEST

UNIT_MAIN("verdict", refusals, not_read_yet, auto_match, split, rename_only_when_needed,
        affinity_of_the_target, subset, counts, repeatable, explained, explained_within_bounds,
        traced_when_read, attempts_without_a_trace)
