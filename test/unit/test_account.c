/* test_account.c - one request's life, event by event, and what it leaves in the series: through
 * the director, as streams use it. */
#include "serve/account.h"

#include "plugin/plugins.h"
#include "serve/director.h"
#include "unit.h"

static struct {
        struct epp_pool *pool;
        struct epp_models *models;
        struct epp_director d;
        struct epp_decider decider;
        struct epp_jscan scan;
        struct epp_response response;
        struct epp_verdict v;
        struct epp_slice rewrite, objective, fairness; /* headers of requests */
        size_t body_bytes;
} w;
static const struct epp_log quiet = { .level = EPP_LOG_ERROR };

#define BEGUN 1000000 /* when the request's headers came */

static struct epp_slice
text(const char *t)
{
        return epp_slice_str(t);
}

static void
add_endpoint(const char *name, const char *addr)
{
        struct epp_ref ref;

        ck_assert_int_eq(epp_pool_put(w.pool, text(name), text(addr), &ref), 1);
        epp_pool_get(w.pool, ref)->load.at = 1;
}

static struct epp_models *
read_models(void)
{
        struct epp_target split[] = { { EPP_SLICE("v1"), 1, 0 } };
        struct epp_target tuned[] = { { EPP_SLICE("tuned"), 1, 0 } };
        struct epp_models *m;

        ck_assert_int_eq(epp_models_new(1, &m), 0);
        ck_assert_int_eq(epp_models_add(m, EPP_SLICE("split"), EPP_CRITICAL, split, 1), 0);
        ck_assert_int_eq(epp_models_add(m, EPP_SLICE("cheap"), EPP_SHEDDABLE, NULL, 0), 0);
        ck_assert_int_eq(epp_models_add_objective(m, EPP_SLICE("batch"), -5), 0);
        ck_assert_int_eq(
                epp_models_add_rewrite(m, EPP_SLICE("rw"), EPP_SLICE("raw"), tuned, 1), 0);
        return m;
}

static void
begin(void)
{
        memset(&w, 0, sizeof(w));
        ck_assert_int_eq(epp_pool_new(1, &w.pool), 0);
        w.models = read_models();
        add_endpoint("pod-a", "[fd00::1]:8000");
        ck_assert_int_eq(
                epp_sched_new(EPP_TREE_V03, &epp_thresholds_default, epp_plugins, 7, &w.d.sched),
                0);
        ck_assert_int_eq(epp_series_new(100, 1, &w.d.series), 0);
        w.d.log = &quiet;
        w.d.pool = w.pool;
        w.d.models = w.models;
        w.d.match = EPP_MATCH_PASSTHROUGH;
        w.d.ready = true;
        w.body_bytes = 100;
        w.decider = epp_director_decider(&w.d);
}

static void
end(void)
{
        epp_sched_free(w.d.sched);
        epp_series_free(w.d.series);
        epp_models_free(w.models);
        epp_pool_free(w.pool);
}

static struct epp_ask
question(const char *body)
{
        epp_jscan_init(&w.scan);
        epp_jscan_feed(&w.scan, text(body));
        epp_jscan_end(&w.scan);
        return (struct epp_ask){ .path = EPP_SLICE("/v1/completions"), .has_body = body != NULL,
                .dialect = epp_dialect_of(EPP_SLICE("/v1/completions")), .scan = &w.scan,
                .rewrite = w.rewrite, .objective = w.objective, .fairness = w.fairness,
                .body_bytes = w.body_bytes, .begun = BEGUN, .now = BEGUN + 2000 };
}

static void
ask(const char *model)
{
        char body[200];
        struct epp_ask q;

        snprintf(body, sizeof(body), "{\"model\":\"%s\",\"prompt\":\"x\"}", model ? model : "");
        q = question(model ? body : NULL);
        w.response = (struct epp_response){ .status = 0 };
        w.decider.decide(w.decider.ctx, &q, &w.v);
}

static void
answer_head(const char *status, const char *type)
{
        epp_response_header(&w.response, EPP_SLICE(":status"), text(status));
        epp_response_header(&w.response, EPP_SLICE("content-type"), text(type));
        epp_response_begin(&w.response);
}

/* A piece of the response <ms> after the request's headers. */
static void
piece(const char *bytes, int ms)
{
        epp_us gap = epp_response_body(&w.response, text(bytes), BEGUN + ms * 1000);

        if (gap >= 0)
                w.decider.gap(w.decider.ctx, w.v.ticket, gap);
}

static void
over(int ms, bool complete)
{
        struct epp_outcome o =
                epp_response_end(&w.response, BEGUN, BEGUN + ms * 1000, complete);

        w.decider.release(w.decider.ctx, w.v.ticket, &o);
}

static struct epp_cell *
cell_of(const char *model, const char *target, const char *fairness, int32_t priority)
{
        struct epp_cell *const *list;
        size_t n;

        list = epp_series_list(w.d.series, &n);
        for (size_t i = 0; i < n; i++)
                if (epp_slice_eq(list[i]->labels.model, text(model)) &&
                        epp_slice_eq(list[i]->labels.target, text(target)) &&
                        epp_slice_eq(list[i]->labels.fairness, text(fairness)) &&
                        list[i]->labels.priority == priority)
                        return list[i];
        ck_abort_msg("no cell %s %s %s %d", model, target, fairness, (int)priority);
}

/* All cells taken together. */
static struct {
        uint64_t requests, running, failures[EPP_FAIL_COUNT];
#define X(name, bounds) uint64_t name; double sum_##name;
        EPP_CELL_HISTS(X)
#undef X
        uint64_t picked, failed;
} all;

static void
sum_up(void)
{
        struct epp_tally *const *tries;
        struct epp_cell *const *list;
        size_t n;

        memset(&all, 0, sizeof(all));
        list = epp_series_list(w.d.series, &n);
        for (size_t i = 0; i < n; i++) {
                all.requests += list[i]->requests;
                all.running += list[i]->running;
                for (int k = 0; k < EPP_FAIL_COUNT; k++)
                        all.failures[k] += list[i]->failures[k];
#define X(name, bounds) \
                all.name += epp_hist_count(&list[i]->name); \
                all.sum_##name += list[i]->name.sum;
                EPP_CELL_HISTS(X)
#undef X
        }
        tries = epp_series_attempts(w.d.series, &n);
        for (size_t i = 0; i < n; i++)
                *(tries[i]->endpoint.n ? &all.picked : &all.failed) += tries[i]->n;
}

static void
near(double got, double want)
{
        ck_assert_msg(got > want - 1e-9 && got < want + 1e-9, "%.9f, wanted %.9f", got, want);
}

static uint64_t
failures(void)
{
        uint64_t n = 0;

        for (int k = 0; k < EPP_FAIL_COUNT; k++)
                n += all.failures[k];
        return n;
}

/* A whole response that is not streamed: TTFT is nearly all; nothing of streams. */
START_TEST(json)
{
        ask("m");
        sum_up();
        ck_assert(all.requests == 1 && all.running == 1 && all.request_bytes == 1);
        ck_assert(all.picked == 1 && all.failed == 0 && all.duration == 0);
        near(all.sum_request_bytes, 100);
        answer_head("200", "application/json");
        piece("{\"usage\":{\"prompt_tokens\":7,", 500);
        piece("\"completion_tokens\":4}}", 900);
        over(1000, true);
        sum_up();
        ck_assert(all.requests == 1 && all.running == 0 && all.request_bytes == 1);
        ck_assert(all.duration == 1 && all.ttft == 1 && all.ttft_streaming == 0);
        ck_assert(all.itl == 0 && all.tpot == 0 && all.cached_tokens == 0 && failures() == 0);
        near(all.sum_duration, 1.0);
        near(all.sum_ttft, 0.5);
        near(all.sum_ntpot, 0.25);
        near(all.sum_response_bytes, 51);
        near(all.sum_input_tokens, 7);
        near(all.sum_output_tokens, 4);
        ck_assert_uint_eq(cell_of("m", "m", "default-flow", 0)->requests, 1);
}
END_TEST

#define EVENT "data: {\"choices\":[]}\n\n"
#define LAST \
        "data: {\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":5," \
        "\"prompt_tokens_details\":{\"cached_tokens\":0}}}\n\ndata: [DONE]\n\n"

START_TEST(streaming)
{
        ask("m");
        answer_head("200", "text/event-stream; charset=utf-8");
        piece("", 100); /* no byte yet */
        piece(EVENT, 200);
        piece(EVENT, 300);
        piece("", 350);
        piece(LAST, 500);
        over(1000, true);
        sum_up();
        ck_assert(all.ttft == 0 && all.ttft_streaming == 1 && all.itl == 2 && all.tpot == 1);
        ck_assert(all.duration == 1 && all.running == 0 && all.ntpot == 1);
        near(all.sum_ttft_streaming, 0.2);
        near(all.sum_itl, 0.1 + 0.2);
        near(all.sum_tpot, (1.0 - 0.2) / 4);
        near(all.sum_ntpot, 1.0 / 5);
        near(all.sum_response_bytes, (double)strlen(EVENT EVENT LAST)); /* not 0, unlike theirs */
        ck_assert_uint_eq(all.cached_tokens, 1); /* of 0 */
        near(all.sum_cached_tokens, 0);
}
END_TEST

/* One token has no time per further token; none has no time per token. */
START_TEST(few_tokens)
{
        static const struct {
                const char *usage;
                uint64_t in, out, cached, ntpot, tpot;
        } rows[] = {
                { "{\"completion_tokens\":1}", 0, 1, 0, 1, 0 },
                { "{\"prompt_tokens\":3}", 1, 0, 0, 0, 0 },
                { "{\"prompt_tokens\":3,\"prompt_tokens_details\":null}", 1, 0, 0, 0, 0 },
                { "{\"prompt_tokens\":3,\"prompt_tokens_details\":{\"cached_tokens\":2}}", 1, 0, 1, 0,
                        0 },
                { "{\"prompt_tokens\":0,\"completion_tokens\":0}", 0, 0, 0, 0, 0 },
                { "null", 0, 0, 0, 0, 0 },
        };
        char event[200];

        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                end();
                begin();
                ask("m");
                answer_head("200", "text/event-stream");
                snprintf(event, sizeof(event), "data: {\"usage\":%s}\n\n", rows[i].usage);
                piece(event, 10);
                over(20, true);
                sum_up();
                ck_assert_msg(all.input_tokens == rows[i].in && all.output_tokens == rows[i].out &&
                                all.cached_tokens == rows[i].cached && all.ntpot == rows[i].ntpot &&
                                all.tpot == rows[i].tpot && all.duration == 1 &&
                                all.ttft_streaming == 1, "%s", rows[i].usage);
        }
}
END_TEST

/* The stream ends before the response does, at any point: no latency, nothing runs on. */
START_TEST(aborted)
{
        for (int point = 0; point < 3; point++) {
                ask("m");
                if (point > 0)
                        answer_head("200", "text/event-stream");
                if (point > 1)
                        piece(LAST, 100);
                over(200, false);
        }
        sum_up();
        ck_assert(all.requests == 3 && all.running == 0 && failures() == 0);
        ck_assert(all.duration + all.ttft_streaming + all.response_bytes + all.tpot + all.ntpot +
                        all.input_tokens == 0);
        ck_assert_uint_eq(w.d.stats.aborted, 3);
}
END_TEST

/* The end of a response that was not shown (lean profile): its duration, no first byte. */
START_TEST(not_shown)
{
        ask("m");
        answer_head("200", "text/event-stream");
        over(300, true);
        sum_up();
        ck_assert(all.duration == 1 && all.ttft_streaming == 0 && all.tpot == 0);
        ck_assert(all.running == 0 && all.response_bytes == 1);
        near(all.sum_duration, 0.3);
}
END_TEST

/* Each refusal counts once, under what is known by then, and is no request; only those that a cycle
 * refused are attempts. */
START_TEST(refused)
{
        struct epp_endpoint *e;

        ask("");
        sum_up();
        ck_assert(all.failures[EPP_FAIL_BAD_REQUEST] == 1 && failures() == 1 && all.failed == 0);
        ck_assert_uint_eq(cell_of("", "", "default-flow", 0)->failures[EPP_FAIL_BAD_REQUEST], 1);
        w.d.match = EPP_MATCH_REQUIRED;
        w.fairness = EPP_SLICE("tenant");
        ask("unknown");
        sum_up();
        ck_assert(all.failures[EPP_FAIL_NOT_FOUND] == 1 && failures() == 2 && all.failed == 0);
        ck_assert_uint_eq(cell_of("unknown", "unknown", "tenant", 0)->failures[EPP_FAIL_NOT_FOUND],
                1);
        e = epp_pool_find(w.pool, EPP_SLICE("pod-a"));
        e->load.waiting = 1000;
        w.objective = EPP_SLICE("batch");
        ask("cheap");
        sum_up();
        ck_assert(all.failures[EPP_FAIL_EXHAUSTED] == 1 && failures() == 3 && all.failed == 1);
        ck_assert_uint_eq(cell_of("cheap", "cheap", "tenant", -5)->failures[EPP_FAIL_EXHAUSTED], 1);
        epp_pool_remove(w.pool, EPP_SLICE("pod-a"));
        ask("split");
        sum_up();
        ck_assert(all.failures[EPP_FAIL_UNAVAILABLE] == 1 && failures() == 4 && all.failed == 1);
        ck_assert_uint_eq(cell_of("split", "v1", "tenant", -5)->failures[EPP_FAIL_UNAVAILABLE], 1);
        w.d.ready = false;
        ask("split");
        sum_up();
        ck_assert(all.failures[EPP_FAIL_UNAVAILABLE] == 2 && failures() == 5);
        ck_assert(all.requests == 0 && all.running == 0 && all.request_bytes == 0);
        ck_assert(all.picked == 0 && all.failed == 1 && all.duration == 0);
}
END_TEST

/* Refused by the stream, before anything was asked: 413, 408, 503. */
START_TEST(without_a_question)
{
        static const struct {
                int http;
                enum epp_failure as;
        } rows[] = { { 413, EPP_FAIL_BAD_REQUEST }, { 408, EPP_FAIL_BAD_REQUEST },
                { 503, EPP_FAIL_UNAVAILABLE } };

        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                struct epp_ask q = question("{\"model\":\"m\"}");

                w.decider.failed(w.decider.ctx, &q, rows[i].http, "why");
                sum_up();
                ck_assert_uint_eq(failures(), i + 1);
                ck_assert_uint_eq(all.failures[rows[i].as], i == 1 ? 2 : 1);
        }
        ck_assert_uint_eq(cell_of("", "", "default-flow", 0)->failures[EPP_FAIL_BAD_REQUEST], 2);
        ck_assert(all.requests == 0 && all.running == 0 && all.picked + all.failed == 0);
}
END_TEST

static const struct {
        const char *status, *said; /* :status, and a header named status */
        uint64_t errors, compat;
} answers[] = {
        { "200", NULL, 0, 0 }, { "204", NULL, 0, 0 }, { "299", NULL, 0, 0 }, { "301", NULL, 1, 0 },
        { "404", NULL, 1, 0 }, { "500", NULL, 1, 0 }, { "503", NULL, 1, 0 },
        { "200", "200", 0, 0 }, { "200", "200 OK", 0, 0 }, { "200", "500", 1, 1 },
        { "200", "201", 0, 1 }, { "500", "200", 1, 0 }, { "500", "503 no", 1, 1 },
        { "200", "ready", 0, 0 },
};

/* One error per response at most; latencies are counted all the same. */
START_TEST(model_server_errors)
{
        for (size_t i = 0; i < 2 * ARRAY_LEN(answers); i++) {
                size_t row = i / 2;

                end();
                begin();
                w.d.compat_errors = i % 2;
                ask("m");
                if (answers[row].said)
                        epp_response_header(&w.response, EPP_SLICE("Status"),
                                text(answers[row].said));
                answer_head(answers[row].status, "application/json");
                over(10, i % 3 != 0);
                sum_up();
                ck_assert_msg(all.failures[EPP_FAIL_MODEL_SERVER] ==
                                (i % 2 ? answers[row].compat : answers[row].errors),
                        "%s %s", answers[row].status, answers[row].said);
                ck_assert_uint_eq(failures(), all.failures[EPP_FAIL_MODEL_SERVER]);
                ck_assert(all.requests == 1 && all.running == 0 && all.duration == (i % 3 != 0));
        }
}
END_TEST

/* A response whose request nobody showed us. */
START_TEST(stray)
{
        struct epp_outcome o;

        answer_head("404", "application/json");
        piece("{\"usage\":{\"prompt_tokens\":3}}", 100);
        o = epp_response_end(&w.response, BEGUN, BEGUN + 200000, true);
        w.decider.stray(w.decider.ctx, &o);
        sum_up();
        ck_assert(all.requests == 0 && all.running == 0 && all.picked + all.failed == 0);
        ck_assert(all.duration == 1 && all.input_tokens == 1 && failures() == 1);
        ck_assert_uint_eq(epp_hist_count(&cell_of("", "", "default-flow", 0)->duration), 1);
}
END_TEST

/* Whose request, which model became which, how urgent; the gauge knows no nameless requests. */
START_TEST(labels)
{
        struct epp_tally *const *list;
        struct epp_cell *c;
        size_t n;

        w.objective = EPP_SLICE("batch");
        w.fairness = EPP_SLICE("tenant");
        ask("split");
        c = cell_of("split", "v1", "tenant", -5);
        ck_assert(c->requests == 1 && c->running == 1 && c->labels.pinned &&
                c->labels.pinned_target);
        over(1, true);
        ask("raw");
        c = cell_of("raw", "tuned", "tenant", -5);
        ck_assert(c->labels.pinned && c->labels.pinned_target);
        over(1, true);
        w.rewrite = EPP_SLICE("mine");
        ask("client's");
        c = cell_of("client's", "mine", "tenant", -5);
        ck_assert(!c->labels.pinned && !c->labels.pinned_target);
        over(1, true);
        ask(NULL);
        c = cell_of("", "", "tenant", -5);
        ck_assert(c->requests == 1 && c->running == 0);
        over(1, true);
        ck_assert_uint_eq(c->running, 0);
        list = epp_series_attempts(w.d.series, &n);
        ck_assert_uint_eq(n, 4);
        ck_assert(epp_slice_eq(list[0]->target, EPP_SLICE("v1")));
        ck_assert(epp_slice_eq(list[0]->endpoint, EPP_SLICE("pod-a")));
        ck_assert(epp_slice_eq(list[0]->port, EPP_SLICE("8000")));
        list = epp_series_rewrites(w.d.series, &n);
        ck_assert_uint_eq(n, 1);
        ck_assert(epp_slice_eq(list[0]->rewrite, EPP_SLICE("rw")) && list[0]->n == 1);
        ck_assert(epp_slice_eq(list[0]->model, EPP_SLICE("raw")));
        ck_assert(epp_slice_eq(list[0]->to, EPP_SLICE("tuned")));
}
END_TEST

/* Models are read anew and the endpoint goes while requests run: each ends once, where it began. */
START_TEST(reload)
{
        struct epp_verdict first;
        struct epp_models *old = w.models;

        ask("split");
        first = w.v;
        ask("split");
        w.models = w.d.models = read_models();
        epp_models_free(old);
        epp_pool_remove(w.pool, EPP_SLICE("pod-a"));
        add_endpoint("pod-a", "[fd00::1]:8000");
        sum_up();
        ck_assert(all.requests == 2 && all.running == 2);
        answer_head("200", "application/json");
        over(10, true);
        w.v = first;
        over(10, false);
        ask("split");
        over(10, true); /* of which nothing was shown: no latency */
        sum_up();
        ck_assert(all.requests == 3 && all.running == 0 && all.picked == 3 && all.duration == 1);
        ck_assert_uint_eq(cell_of("split", "v1", "default-flow", 0)->requests, 3);
}
END_TEST

static uint64_t clock_at;

static uint64_t
clock_ns(void)
{
        return clock_at += 1000;
}

/* The verdict says when the cycle ended, be it routed or refused by it. */
START_TEST(decided_when)
{
        ask("m");
        ck_assert_uint_eq(w.v.done_ns, 0); /* no clock */
        over(1, true);
        epp_sched_clock(w.d.sched, clock_ns);
        ask("m");
        ck_assert(w.v.done_ns == clock_at && clock_at > 0);
        over(1, true);
        epp_pool_find(w.pool, EPP_SLICE("pod-a"))->load.waiting = 1000;
        ask("cheap");
        ck_assert(w.v.http == 429 && w.v.done_ns == clock_at);
        ask(""); /* no cycle */
        ck_assert(w.v.http == 400 && w.v.done_ns == 0);
}
END_TEST

/* Without a series nothing is counted and nothing breaks. */
START_TEST(no_series)
{
        struct epp_series *s = w.d.series;
        struct epp_outcome o = { .status = 200 };

        w.d.series = NULL;
        ask("m");
        answer_head("200", "text/event-stream");
        piece(EVENT, 1);
        piece(EVENT, 2);
        over(3, true);
        w.decider.stray(w.decider.ctx, &o);
        w.d.series = s;
        sum_up();
        ck_assert(all.requests == 0 && all.itl == 0 && w.d.stats.complete == 1);
}
END_TEST

UNIT_MAIN_WITH("account", begin, end, json, streaming, few_tokens, aborted, not_shown, refused,
        without_a_question, model_server_errors, stray, labels, reload, decided_when,
        no_series)
