/* test_director.c - from a scanned body to a verdict: model match in its three modes, texts of
 * refusals, split, rename, subset; what is counted. */
#include "serve/director.h"

#include "plugin/plugins.h"
#include "unit.h"

enum { A, R, P }; /* auto, required, passthrough */

static struct {
        struct epp_pool *pool;
        struct epp_models *models;
        struct epp_director d;
        struct epp_decider decider;
        struct epp_jscan scan;
} w;

static const struct epp_log quiet = { .level = EPP_LOG_ERROR };

static void
add_model(const char *name, enum epp_criticality c, const char *t1, uint32_t w1, const char *t2,
        uint32_t w2)
{
        struct epp_target t[] = { { epp_slice_str(t1), w1, 0 }, { epp_slice_str(t2), w2, 0 } };

        ck_assert_int_eq(epp_models_add(w.models, epp_slice_str(name), c, t, !!t1 + !!t2), 0);
}

static void
add_endpoint(const char *name, const char *addr)
{
        struct epp_ref ref;

        ck_assert_int_eq(epp_pool_put(w.pool, epp_slice_str(name), epp_slice_str(addr), &ref), 1);
        epp_pool_get(w.pool, ref)->load.at = 1;
}

static void
world_init(bool with_models)
{
        memset(&w, 0, sizeof(w));
        ck_assert_int_eq(epp_pool_new(1, &w.pool), 0);
        ck_assert_int_eq(epp_models_new(1, &w.models), 0);
        ck_assert_int_eq(
                epp_sched_new(EPP_TREE_V03, &epp_thresholds_default, epp_plugins, 7, &w.d.sched),
                0);
        add_endpoint("a", "10.0.0.1:80");
        if (with_models) {
                add_model("known", EPP_CRITICAL, "known-v1", 0, NULL, 0);
                add_model("itself", EPP_CRITICAL, "itself", 0, NULL, 0);
                add_model("plain", EPP_STANDARD, NULL, 0, NULL, 0);
                add_model("shed", EPP_SHEDDABLE, NULL, 0, NULL, 0);
                add_model("food-review", EPP_CRITICAL, "t", 0, NULL, 0);
                add_model("split", EPP_CRITICAL, "one", 10, "two", 90);
                add_model("even", EPP_CRITICAL, "one", 0, "two", 0);
        }
        w.d.log = &quiet;
        w.d.pool = w.pool;
        w.d.models = w.models;
        w.d.ready = true;
        w.decider = epp_director_decider(&w.d);
}

static void
world_fini(void)
{
        epp_sched_free(w.d.sched);
        epp_models_free(w.models);
        epp_pool_free(w.pool);
}

/* Asks about <body> (NULL: none was seen) on <path>; a ticket is given back at once. */
static struct epp_verdict
ask(const char *path, const char *body, const char *subset)
{
        struct epp_ask q = { .path = epp_slice_str(path), .has_body = body != NULL,
                .dialect = epp_dialect_of(epp_slice_str(path)), .scan = &w.scan,
                .has_subset = subset != NULL, .subset = epp_slice_str(subset), .now = 2 };
        struct epp_outcome o = { .status = 200, .begun = true, .complete = true };
        struct epp_verdict v;

        epp_jscan_init(&w.scan);
        epp_jscan_feed(&w.scan, epp_slice_str(body));
        epp_jscan_end(&w.scan);
        memset(&v, 0x55, sizeof(v)); /* decide must not lean on what was there */
        w.decider.decide(w.decider.ctx, &q, &v);
        ck_assert((v.http == 0) == (v.ticket != NULL));
        if (v.ticket)
                w.decider.release(w.decider.ctx, v.ticket, &o);
        return v;
}

#define C "/v1/completions"
#define BODY(model) "{\"model\":" model ",\"prompt\":\"x\"}"
#define BAD "inference error: BadRequest - "
#define NONE(name)                                                                                 \
        "inference error: BadConfiguration - no InferenceModel is named \"" name "\" in this pool"
#define NO_MODEL BAD "model not found in request body"
#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

static const struct {
        int match;
        bool models;        /* the pool has InferenceModels */
        const char *path, *body;
        int http;           /* 0: routed */
        const char *says;   /* text of the refusal, or what the model becomes; NULL: stays */
        bool unchecked;
} rows[] = {
        /* A name that is there: every mode, exact bytes, escapes decoded. */
        { A, true, C, BODY("\"known\""), 0, "known-v1", false },
        { R, true, C, BODY("\"known\""), 0, "known-v1", false },
        { P, true, C, BODY("\"known\""), 0, "known-v1", false },
        { R, true, C, BODY("\"food\\u002dreview\""), 0, "t", false },
        { R, true, C, BODY("\"itself\""), 0, NULL, false },
        { R, true, C, BODY("\"its\\u0065lf\""), 0, NULL, false },
        { R, true, C, BODY("\"plain\""), 0, NULL, false },
        { R, true, C, "{\"prompt\":\"x\",\"mod\\u0065l\":\"known\"}", 0, "known-v1", false },
        /* One that is not. */
        { A, true, C, BODY("\"unknown\""), 404, NONE("unknown"), false },
        { A, true, C, BODY("\"Known\""), 404, NONE("Known"), false },
        { A, true, C, BODY("\"known \""), 404, NONE("known "), false },
        { A, true, C, BODY("\"know\""), 404, NONE("know"), false },
        { A, true, C, BODY("\"known-v1\""), 404, NONE("known-v1"), false },
        { A, true, C, BODY("\"known\\u00e9\""), 404, NONE("known\xc3\xa9"), false },
        { R, true, C, BODY("\"unknown\""), 404, NONE("unknown"), false },
        { P, true, C, BODY("\"unknown\""), 0, NULL, false },
        { A, false, C, BODY("\"unknown\""), 0, NULL, false },
        { R, false, C, BODY("\"unknown\""), 404, NONE("unknown"), false },
        { P, false, C, BODY("\"unknown\""), 0, NULL, false },
        { R, true, C, BODY("\"" HUNDRED HUNDRED "\""), 404, NONE(HUNDRED TEN TEN), false },
        { R, true, C, BODY("\"" HUNDRED TEN "012345678\xc3\xa9\""), 404,
                NONE(HUNDRED TEN "012345678"), false },
        { R, true, C, BODY("\"a%s%n\""), 404, NONE("a%s%n"), false },
        /* None at all: 400 in every mode. */
        { A, true, C, "{\"prompt\":\"x\"}", 400, NO_MODEL, false },
        { P, false, C, "{\"prompt\":\"x\"}", 400, NO_MODEL, false },
        { P, false, C, BODY("\"\""), 400, NO_MODEL ": it is empty", false },
        { R, true, C, BODY("\"\""), 400, NO_MODEL ": it is empty", false },
        { P, false, C, BODY("7"), 400, NO_MODEL ": it is not a string", false },
        { A, false, C, BODY("null"), 400, NO_MODEL ": it is not a string", false },
        { P, false, C, BODY("\"a\\u0000\""), 400, BAD "the model name holds a control character",
                false },
        { P, false, C, BODY("\"\xff\""), 400, BAD "the model name is not UTF-8", false },
        { P, false, C, "", 400, BAD "the body is empty", false },
        { P, false, C, "nope", 400, BAD "the body is not JSON: a value was expected at byte 1",
                false },
        { P, false, C, "{\"model\":\"m", 400,
                BAD "the body is not JSON: the document is not complete at byte 11", false },
        { P, false, C, "[]", 400, BAD "the body is not a JSON object", false },
        { P, false, C, "{\"model\":\"m\"}", 400,
                BAD "invalid completions request: must have prompt field", false },
        /* Repeated: the last counts, all become the same where they differ (R3 - R5). */
        { R, true, C, "{\"model\":\"nobody\",\"prompt\":\"x\",\"model\":\"known\"}", 0, "known-v1",
                false },
        { R, true, C, "{\"model\":\"known\",\"prompt\":\"x\",\"model\":\"nobody\"}", 404,
                NONE("nobody"), false },
        { R, true, C, "{\"model\":\"nobody\",\"prompt\":\"x\",\"model\":\"plain\"}", 0, "plain",
                false },
        { R, true, C, "{\"model\":[1],\"prompt\":\"x\",\"model\":\"plain\"}", 0, "plain", false },
        { R, true, C, "{\"model\":\"plain\",\"prompt\":\"x\",\"model\":\"pl\\u0061in\"}", 0, NULL,
                false },
        { A, false, C, "{\"model\":\"a\",\"prompt\":\"x\",\"model\":\"b\"}", 0, "b", false },
        { A, false, C, "{\"model\":\"b\",\"prompt\":\"x\",\"model\":\"b\"}", 0, NULL, false },
        { A, false, C, "{\"model\":\"b\",\"prompt\":\"x\",\"model\":7}", 400,
                NO_MODEL ": it is not a string", false },
        /* Unknown paths: an object with a string model is checked, everything else passes. */
        { R, true, "/tokenize", "{\"model\":\"known\"}", 0, "known-v1", false },
        { R, true, "/tokenize", "{\"model\":\"unknown\"}", 404, NONE("unknown"), false },
        { R, true, "/tokenize", "{\"model\":\"\"}", 400, NO_MODEL ": it is empty", false },
        { R, true, "/tokenize", "{\"model\":\"\\n\"}", 400,
                BAD "the model name holds a control character", false },
        { P, true, "/tokenize", "{\"model\":\"unknown\"}", 0, NULL, false },
        { P, true, "/tokenize", "{\"model\":\"\"}", 0, NULL, true },
        { A, false, "/tokenize", "{\"model\":\"a\",\"model\":\"b\"}", 0, NULL, false },
        { R, true, "/tokenize", "{\"model\":\"a\",\"model\":\"plain\"}", 0, "plain", false },
        { R, true, "/tokenize", "{\"model\":7}", 0, NULL, true },
        { R, true, "/tokenize", "{}", 0, NULL, true },
        { R, true, "/tokenize", "{\"model\":\"known\"", 0, NULL, true },
        { R, true, "/tokenize", "\x1f\x8b", 0, NULL, true },
        { R, true, "/tokenize", "", 0, NULL, true },
        { R, true, "/v1/messages/count_tokens", "{\"model\":\"known\"}", 0, "known-v1", false },
        /* A body that we never see. */
        { R, true, C, NULL, 0, NULL, true },
        { A, true, "/v1/models", NULL, 0, NULL, true },
};

static void
check_row(size_t i)
{
        struct epp_verdict v;

        world_init(rows[i].models);
        w.d.match = (enum epp_model_match)rows[i].match;
        v = ask(rows[i].path, rows[i].body, NULL);
        ck_assert_msg(v.http == rows[i].http, "row %zu: %d %s", i, v.http, v.http ? v.text : "");
        if (v.http) {
                ck_assert_msg(strcmp(v.text, rows[i].says) == 0, "row %zu: %s", i, v.text);
                ck_assert_uint_eq(
                        w.d.stats.refused[v.http == 404 ? EPP_FAIL_NOT_FOUND : EPP_FAIL_BAD_REQUEST],
                        1);
                ck_assert_ptr_null(v.reason);
        } else {
                ck_assert_str_eq(v.endpoint, "10.0.0.1:80");
                ck_assert_msg(
                        v.rename == (rows[i].says != NULL), "row %zu: rename %d", i, v.rename);
                if (v.rename)
                        ck_assert_msg(
                                epp_slice_eq(v.model, epp_slice_str(rows[i].says)), "row %zu", i);
        }
        ck_assert_msg(w.d.stats.unchecked == rows[i].unchecked, "row %zu: unchecked", i);
        ck_assert_uint_eq(w.d.stats.requests, 1);
        ck_assert_uint_eq(w.d.stats.complete, v.http == 0);
        world_fini();
}

START_TEST(match)
{
        for (size_t i = 0; i < ARRAY_LEN(rows); i++)
                check_row(i);
}
END_TEST

/* R11: 64 values can be renamed, more only pass when nothing must change. */
START_TEST(model_keys)
{
        static const struct {
                size_t n;
                bool differ;
                const char *model;
                int http;
        } keys[] = { { 64, true, "known", 0 }, { 64, false, "known", 0 },
                { 65, true, "known", 400 }, { 65, false, "known", 400 }, { 65, false, "itself", 0 },
                { 65, true, "itself", 400 }, { 1000, false, "itself", 0 } };

        world_init(true);
        for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
                struct epp_buf b = { 0 };
                struct epp_verdict v;
                char one[64];

                ck_assert_int_eq(epp_buf_append(&b, EPP_SLICE("{\"prompt\":\"x\"")), 0);
                for (size_t k = 0; k < keys[i].n; k++) {
                        bool other = keys[i].differ && k == 0;

                        snprintf(one, sizeof(one), ",\"model\":\"%s\"",
                                other ? "other" : keys[i].model);
                        ck_assert_int_eq(epp_buf_append(&b, epp_slice_str(one)), 0);
                }
                ck_assert_int_eq(epp_buf_append(&b, epp_slice("}", 2)), 0);
                v = ask(C, epp_buf_slice(&b).p, NULL);
                ck_assert_msg(v.http == keys[i].http, "row %zu: %d", i, v.http);
                if (v.http)
                        ck_assert_str_eq(v.text, BAD "too many model keys");
                epp_buf_fini(&b);
        }
        world_fini();
}
END_TEST

static size_t
share(const char *model, size_t n)
{
        char body[64];
        size_t ones = 0;

        snprintf(body, sizeof(body), "{\"model\":\"%s\",\"prompt\":\"x\"}", model);
        for (size_t i = 0; i < n; i++) {
                struct epp_verdict v = ask(C, body, NULL);

                ck_assert(v.http == 0 && v.rename);
                ones += epp_slice_eq(v.model, EPP_SLICE("one"));
        }
        return ones;
}

START_TEST(split)
{
        size_t n;

        world_init(true);
        n = share("split", 10000); /* sigma is 30 */
        ck_assert_msg(n > 850 && n < 1150, "%zu", n);
        n = share("even", 10000); /* sigma is 50 */
        ck_assert_msg(n > 4750 && n < 5250, "%zu", n);
        world_fini();
}
END_TEST

/* Nothing is decided before the sources were read: a half-read list would refuse good models. */
START_TEST(not_ready)
{
        struct epp_verdict v;

        world_init(true);
        w.d.ready = false;
        v = ask(C, BODY("\"unknown\""), NULL);
        ck_assert_int_eq(v.http, 503);
        ck_assert_str_eq(
                v.text, "inference error: ServiceUnavailable - the pool has not been read yet");
        w.d.ready = true;
        ck_assert_int_eq(ask(C, BODY("\"unknown\""), NULL).http, 404);
        world_fini();
}
END_TEST

START_TEST(swap)
{
        world_init(false);
        ck_assert_int_eq(ask(C, BODY("\"late\""), NULL).http, 0);
        add_model("first", EPP_STANDARD, NULL, 0, NULL,
                0); /* from the first model on (decisions 12) */
        ck_assert_int_eq(ask(C, BODY("\"late\""), NULL).http, 404);
        w.d.models = NULL;
        ck_assert_int_eq(ask(C, BODY("\"late\""), NULL).http, 0);
        w.d.match = EPP_MATCH_REQUIRED;
        ck_assert_int_eq(ask(C, BODY("\"late\""), NULL).http, 404);
        world_fini();
}
END_TEST

START_TEST(subset)
{
        static const struct {
                const char *subset, *pick; /* NULL: 503 */
        } hints[] = {
                { "10.0.0.1", "10.0.0.1:80" }, { "10.0.0.2:81", "10.0.0.2:81" },
                { "10.0.0.2:80", NULL }, { "10.0.0.3", NULL }, { "", NULL }, { ",,", NULL },
                { "10.0.0.3, 10.0.0.2", "10.0.0.2:81" }, { "[fd00::1]:82", "[fd00::1]:82" },
                { "fd00::1", "[fd00::1]:82" }, { "[FD00::1]", "[fd00::1]:82" }, { "10.0.0", NULL },
                { "[10.0.0.2]", "10.0.0.2:81" }, { "10.0.0.2:081", "10.0.0.2:81" },
                { "[fd00::1]:81", NULL }, { "fd00::1:82", NULL }, { "[]", NULL },
                { "10.0.0.411", NULL },
        };
        struct epp_verdict v;

        world_init(false);
        add_endpoint("b", "10.0.0.2:81");
        add_endpoint("c", "[fd00::1]:82");
        add_endpoint("d", "10.0.0.4:12593"); /* the port's bytes are "11" */
        for (size_t i = 0; i < 2 * ARRAY_LEN(hints); i++) { /* with a body and without */
                size_t k = i / 2;

                v = ask(C, i & 1 ? BODY("\"m\"") : NULL, hints[k].subset);
                ck_assert_msg(
                        v.http == (hints[k].pick ? 0 : 503), "%s: %d", hints[k].subset, v.http);
                if (hints[k].pick)
                        ck_assert_str_eq(v.endpoint, hints[k].pick);
                else
                        ck_assert_str_eq(v.reason, "rejected-no-endpoints");
        }
        world_fini();
}
END_TEST

/* The gateway says who answered: the pick, as nearly always, another endpoint, or none we know. */
START_TEST(served_elsewhere)
{
        static const struct {
                const char *endpoint;
                int64_t a, b; /* requests in flight */
        } answers[] = { { "10.0.0.1:80", 1, 0 }, { "10.0.0.1", 1, 0 }, { "10.0.0.2:81", 0, 1 },
                { "10.0.0.2:81", 0, 1 }, { "10.9.9.9:1", 0, 1 }, { "", 0, 1 },
                { "10.0.0.1:80", 1, 0 } };
        struct epp_ask q = { .path = EPP_SLICE(C), .dialect = epp_dialect_of(EPP_SLICE(C)),
                .scan = &w.scan, .has_subset = true, .subset = EPP_SLICE("10.0.0.1"), .now = 2 };
        struct epp_outcome o = { .status = 200, .begun = true, .complete = true };
        struct epp_verdict v;

        world_init(false);
        add_endpoint("b", "10.0.0.2:81");
        w.decider.decide(w.decider.ctx, &q, &v);
        ck_assert_ptr_nonnull(v.ticket);
        for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
                w.decider.served(w.decider.ctx, v.ticket, epp_slice_str(answers[i].endpoint));
                ck_assert_int_eq(epp_pool_find(w.pool, EPP_SLICE("a"))->inflight, answers[i].a);
                ck_assert_int_eq(epp_pool_find(w.pool, EPP_SLICE("b"))->inflight, answers[i].b);
        }
        ck_assert_uint_eq(w.d.stats.moved, 2);
        w.decider.release(w.decider.ctx, v.ticket, &o);
        ck_assert_int_eq(epp_pool_find(w.pool, EPP_SLICE("a"))->inflight, 0);
        world_fini();
}
END_TEST

START_TEST(saturated)
{
        struct epp_verdict v;

        world_init(true);
        epp_pool_find(w.pool, EPP_SLICE("a"))->load.waiting = 500;
        epp_pool_find(w.pool, EPP_SLICE("a"))->load.kv_ratio = 1;
        ck_assert_int_eq(ask(C, BODY("\"known\""), NULL).http, 0);
        v = ask(C, BODY("\"shed\""), NULL);
        ck_assert_int_eq(v.http, 429);
        ck_assert_str_eq(v.reason, "rejected-saturated");
        ck_assert_str_eq(v.text,
                "inference error: ResourceExhausted - system saturated, non-critical request "
                "dropped");
        ck_assert_int_eq(ask(C, BODY("\"plain\""), NULL).http, 429);
        w.d.models = NULL; /* nothing matched: never shed (decisions 13) */
        ck_assert_int_eq(ask(C, BODY("\"shed\""), NULL).http, 0);
        ck_assert(epp_pool_remove(w.pool, EPP_SLICE("a")));
        ck_assert_int_eq(ask(C, BODY("\"shed\""), NULL).http, 503);
        ck_assert_uint_eq(w.d.stats.refused[EPP_FAIL_EXHAUSTED], 2);
        ck_assert_uint_eq(w.d.stats.refused[EPP_FAIL_UNAVAILABLE], 1);
        world_fini();
}
END_TEST

/* What the end of a request adds up to; an endpoint may be gone by then. */
START_TEST(outcomes)
{
        struct epp_ask q = {
                .dialect = epp_dialect_of(epp_slice_str(C)), .scan = &w.scan, .now = 2
        };
        struct epp_outcome o[] = {
                { .status = 200, .begun = true, .complete = true, .first_us = 100, .bytes = 10,
                        .usage = { 1, 2, 3, 4, false } },
                { .status = 399, .complete = false, .bytes = 5 },
                { .status = 500, .begun = true, .complete = true, .first_us = 200 },
                { .status = 200, .begun = true, .complete = true, .usage = { .error = true } },
                { .status = 0, .complete = false },
        };
        struct epp_verdict v[ARRAY_LEN(o)];
        struct epp_endpoint *e;

        world_init(false);
        e = epp_pool_find(w.pool, EPP_SLICE("a"));
        for (size_t i = 0; i < ARRAY_LEN(o); i++)
                w.decider.decide(w.decider.ctx, &q, &v[i]);
        ck_assert_uint_eq(e->inflight, ARRAY_LEN(o));
        for (size_t i = 0; i < ARRAY_LEN(o); i++) {
                if (i == 4)
                        ck_assert(epp_pool_remove(w.pool, EPP_SLICE("a")));
                else
                        ck_assert_uint_eq(e->inflight, ARRAY_LEN(o) - i);
                w.decider.release(w.decider.ctx, v[i].ticket, &o[i]);
        }
        ck_assert_uint_eq(w.d.stats.complete, 3);
        ck_assert_uint_eq(w.d.stats.aborted, 2);
        ck_assert_uint_eq(w.d.stats.model_errors, 3); /* 399, 500, and one with 200 */
        ck_assert_uint_eq(w.d.stats.response_bytes, 15);
        ck_assert_uint_eq(w.d.stats.prompt_tokens, 1);
        ck_assert_uint_eq(w.d.stats.completion_tokens, 2);
        ck_assert_uint_eq(w.d.stats.cached_tokens, 4);
        world_fini();
}
END_TEST

UNIT_MAIN("director", match, model_keys, split, not_ready, swap, subset, served_elsewhere,
        saturated, outcomes)
