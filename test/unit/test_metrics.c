/* test_metrics.c - the page of metrics as a scraper gets it: families, values, forms, pieces. */
#include <event2/event.h>
#include <math.h>
#include <time.h>

#include "daemon/metrics.h"
#include "daemon/stat.h"
#include "plugin/plugins.h"
#include "unit.h"

#define CLEAN "text/plain; version=0.0.4; charset=utf-8"
#define OPEN "application/openmetrics-text; version=1.0.0; charset=utf-8"

/* Everything a page shows, with the flags of <args>. */
static struct {
        struct opt opt;
        struct event_base *base;
        struct epp_director director;
        struct epp_log log;
        struct epp_h2_stats h2;
        struct epp_stream_stats streams;
        struct sources_stats sources;
        struct auth_stats auth;
        struct certs_stats certs;
        struct scrape_stats scrape;
        struct scrapes *scrapes;
        struct epp_stream_timing timing;
        struct access_stats access;
        struct epp_health *health;
        struct pages pages;
        struct epp_buf text;     /* the last page */
        size_t pieces, largest, bytes, lines; /* of it */
        double slowest, all;     /* CPU seconds of its slowest piece, and of all */
        const char *type;
} w;

static void
world_end(void)
{
        metrics_free(w.pages.metrics);
        scrapes_free(w.scrapes);
        epp_health_free(w.health);
        epp_series_free(w.director.series);
        epp_sched_free(w.director.sched);
        epp_pool_free(w.director.pool);
        event_base_free(w.base);
        opt_fini(&w.opt);
        epp_buf_fini(&w.text);
        memset(&w, 0, sizeof(w));
}

static void
world_begin(int n, const char *const *args)
{
        char *argv[8] = { (char *)(uintptr_t) "eppd" };
        char err[256];

        for (int i = 0; i < n; i++)
                argv[i + 1] = (char *)(uintptr_t)args[i];
        ck_assert_int_eq(opt_parse(&w.opt, n + 1, argv, NULL, NULL), OPT_RUN);
        w.base = event_base_new();
        ck_assert_int_eq(epp_pool_new(1, &w.director.pool), 0);
        ck_assert_int_eq(epp_series_new(w.opt.metrics_values, 1, &w.director.series), 0);
        ck_assert_int_eq(scrapes_new(w.base, &w.opt, w.director.pool, &w.log, &w.scrape, &w.scrapes), 0);
        ck_assert_int_eq(epp_health_new(&w.health), 0);
        w.pages = (struct pages){ .pool = w.director.pool, .director = &w.director, .h2 = &w.h2,
                .health = w.health, .streams = &w.streams, .auth = &w.auth, .certs = &w.certs,
                .sources = &w.sources, .scrape = &w.scrape, .scrapes = w.scrapes,
                .timing = &w.timing, .access = &w.access, .opt = &w.opt };
        epp_stream_timing_init(&w.timing, NULL);
        ck_assert_int_eq(epp_sched_new(EPP_TREE_V03, &epp_thresholds_default, epp_plugins, 1, &w.director.sched), 0);
        ck_assert_int_eq(metrics_new(w.opt.metrics_generations, err, sizeof(err), &w.pages.metrics), 0);
}
#define WORLD(...) \
        world_begin(sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *), (const char *[]){ __VA_ARGS__ })

static double
cpu(void)
{
        struct timespec t;

        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A piece that was begun at <since> CPU seconds goes to the page. */
static void
take_piece(double since, struct epp_buf *piece)
{
        double spent = cpu() - since;
        struct epp_slice text = epp_buf_slice(piece);

        if (w.bytes < 256 << 20)
                ck_assert_int_eq(epp_buf_append(&w.text, text), 0);
        w.pieces++;
        w.largest = EPP_MAX(w.largest, text.n);
        w.slowest = EPP_MAX(w.slowest, spent);
        w.all += spent;
        w.bytes += text.n;
        while (text.n)
                w.lines += epp_slice_cut(&text, '\n').n != 0;
        epp_buf_fini(piece);
}

/* The page as text (not all of it, if it is huge), with all its pieces. */
static const char *
page(const char *accept)
{
        struct admin_request q = { .accept = epp_slice_str(accept) };
        struct admin_reply r = { .code = 200 };
        double since = cpu();
        int more = 1;

        epp_buf_fini(&w.text);
        w.pieces = w.largest = w.bytes = w.lines = 0;
        w.slowest = w.all = 0;
        metrics_render(&w.pages, &q, &r);
        ck_assert_int_eq(r.code, 200);
        take_piece(since, &r.body);
        while (r.more && more) {
                since = cpu();
                more = r.more(r.state, &r.body);
                ck_assert_int_ge(more, 0);
                take_piece(since, &r.body);
        }
        if (r.done)
                r.done(r.state);
        w.type = r.type;
        ck_assert_int_eq(epp_buf_append(&w.text, epp_slice("", 1)), 0);
        return epp_buf_slice(&w.text).p;
}

static size_t
count(const char *text, const char *what)
{
        size_t n = 0;

        for (const char *p = text; (p = strstr(p, what)); p++)
                n++;
        return n;
}

/* The value of the sample "name{labels}", NAN when it is not on the page. */
static double
value(const char *text, const char *sample)
{
        size_t n = strlen(sample);

        for (const char *p = text; (p = strstr(p, sample)); p++)
                if ((p == text || p[-1] == '\n') && p[n] == ' ')
                        return strtod(p + n, NULL);
        return NAN;
}

static void
wants(const char *text, const char *sample, double v)
{
        double got = value(text, sample);

        ck_assert_msg(got == v, "%s is %g, not %g", sample, got, v);
}

static void
wants_none(const char *text, const char *what)
{
        ck_assert_msg(!strstr(text, what), "%s is on the page", what);
}

static struct epp_cell *
cell(const char *model, const char *target, const char *fairness, int32_t priority)
{
        return epp_series_cell(w.director.series, &(struct epp_labels){ epp_slice_str(model),
                epp_slice_str(target), epp_slice_str(fairness), priority, false, false });
}

/* Something in every field. */
static void
fill(struct epp_cell *c, double v)
{
        c->requests += (uint64_t)v;
        c->running++;
        for (size_t i = 0; i < EPP_FAIL_COUNT; i++)
                c->failures[i] += i + 1;
#define X(name, bounds) epp_hist_add(&c->name, v);
        EPP_CELL_HISTS(X)
#undef X
}

static struct epp_endpoint *
endpoint(const char *name, const char *addr, enum epp_load_state state, int64_t waiting, double kv)
{
        struct epp_endpoint *e;

        ck_assert_int_eq(epp_pool_put(w.director.pool, epp_slice_str(name), epp_slice_str(addr), NULL), 1);
        e = epp_pool_find(w.director.pool, epp_slice_str(name));
        e->load.state = state;
        e->load.waiting = waiting;
        e->load.running = 2 * waiting;
        e->load.kv_ratio = kv;
        return e;
}

/* Traffic of every kind. */
static uint64_t
clock_ns(void)
{
        static uint64_t at;

        return at += 1000000;
}

/* One decision of seven steps, each of 1 ms by that clock. */
static void
schedule(void)
{
        struct epp_request req = { .critical = true, .now = 1 };
        struct epp_endpoint *got;

        epp_sched_clock(w.director.sched, clock_ns);
        *epp_sched_candidates(w.director.sched, 1) = *epp_pool_list(w.director.pool, &(size_t){ 0 });
        ck_assert_int_eq(epp_sched_run(w.director.sched, &req, 1, &got), 0);
}

static void
traffic(void)
{
        fill(cell("m", "t1", "a", 0), 1);
        fill(cell("m", "t1", "b", 0), 2);
        fill(cell("m", "t1", "a", 5), 4);
        fill(cell("m", "t2", "a", 0), 8);
        fill(cell("n", "n", "a", -1), 16);
        endpoint("ns/one", "10.0.0.1:80", EPP_LOAD_FRESH, 1, 0.001);
        endpoint("two", "10.0.0.2:80", EPP_LOAD_FRESH, 4, 0.006);
        endpoint("three", "10.0.0.3:80", EPP_LOAD_STALE, 100, 1);
        epp_series_attempt(w.director.series, EPP_SLICE("t1"), EPP_SLICE("ns/one"), EPP_SLICE("80"));
        epp_series_attempt(w.director.series, EPP_SLICE("t1"), EPP_SLICE(""), EPP_SLICE(""));
        epp_series_rewrite(w.director.series, EPP_SLICE("rw"), EPP_SLICE("m"), EPP_SLICE("t3"));
        schedule();
        epp_hist_add(&w.timing.request, 0.003);
        epp_hist_add(&w.timing.response, 0.004);
        epp_hist_add(&w.timing.stream, 0.005);
        w.streams.begun = 7;
        w.streams.ended = 5;
        w.streams.code[1] = 2;
        w.scrape.result[FETCH_OK] = 100;
        w.scrape.result[FETCH_CONNECT] = 3;
        w.scrape.result[FETCH_TIMEOUT] = 4;
        w.scrape.not_metrics = 5;
}

/* ---- families ---- */

/* The names of the labels of the first sample of <name>, as a,b,c or -; le is left out. */
static void
label_names(const char *text, const char *name, bool histogram, char *out, size_t size)
{
        char sample[256];
        size_t n = 0;
        const char *p;

        snprintf(sample, sizeof(sample), "\n%s%s", name, histogram ? "_count" : "");
        p = strstr(text, sample);
        ck_assert_msg(p && strchr("{ ", p[strlen(sample)]), "%s has no sample", name);
        p += strlen(sample);
        snprintf(out, size, "-");
        while (*p == '{' || *p == ',') {
                size_t len = strcspn(++p, "=");

                n += (size_t)snprintf(out + n, size - n, "%s%.*s", n ? "," : "", (int)len, p);
                p = strchr(p + len + 2, '"') + 1;
        }
}

/* The bounds of the first series of <name>. */
static void
bounds(const char *text, const char *name, char *out, size_t size)
{
        char sample[256];
        size_t n = 0;

        snprintf(sample, sizeof(sample), "\n%s_bucket{", name);
        for (const char *p = strstr(text, sample); p; p = strchr(p + 1, '\n')) {
                const char *le = strstr(p, "le=\"") + 4;

                if (strncmp(le, "+Inf", 4) == 0)
                        break;
                n += (size_t)snprintf(out + n, size - n, "%s%.*s", n ? " " : "", (int)strcspn(le, "\""), le);
        }
}

static void
check_family(const char *text, const char *type, const char *name, const char *labels, const char *help,
        const char *want)
{
        bool histogram = strcmp(type, "histogram") == 0;
        char line[1024], got[1024] = "";

        snprintf(line, sizeof(line), "\n# HELP %s %s\n# TYPE %s %s\n%s", name, help, name, type, name);
        ck_assert_msg(count(text, line) == 1, "not on the page:%s", line);
        label_names(text, name, histogram, got, sizeof(got));
        ck_assert_msg(strcmp(got, labels) == 0, "%s has the labels %s, not %s", name, got, labels);
        if (!histogram)
                return;
        bounds(text, name, got, sizeof(got));
        ck_assert_msg(strcmp(got, want) == 0, "%s has the bounds %s, not %s", name, got, want);
}

/* A line of test/data/families.txt that is no comment, without its newline. */
static bool
next_line(FILE *f, char *buf, size_t size)
{
        do
                if (!fgets(buf, (int)size, f))
                        return false;
        while (*buf == '#');
        buf[strcspn(buf, "\n")] = 0;
        return true;
}

START_TEST(every_family_as_declared)
{
        FILE *f = fopen("test/data/families.txt", "r");
        char head[512], help[512], le[512] = "", gen[16], type[16], name[128], labels[256];
        size_t n = 0, theirs;
        const char *text;

        ck_assert_ptr_nonnull(f);
        WORLD("--pool-name=pool", "--enable-grpc-stream-metrics");
        traffic();
        text = page("");
        while (next_line(f, head, sizeof(head))) {
                ck_assert_int_eq(sscanf(head, "%15s %15s %127s %255s", gen, type, name, labels), 4);
                ck_assert(next_line(f, help, sizeof(help)));
                if (strcmp(type, "histogram") == 0)
                        ck_assert(next_line(f, le, sizeof(le)));
                check_family(text, type, name, labels, help + 1, le + 1); /* behind the tab */
                n++;
        }
        fclose(f);
        theirs = count(text, "# TYPE llm_d_") + count(text, "# TYPE inference_");
        ck_assert_msg(n == theirs && n > 50, "%zu of the file, %zu on the page", n, theirs);
        world_end();
}
END_TEST

/* The generation of each row is that of the file. */
START_TEST(generations)
{
        static const char *const all[] = { "gaie-v0", "gaie-v1", "current", "eppd" };
        FILE *f = fopen("test/data/families.txt", "r");
        char head[512], gen[16], name[128], type[160], flag[64];

        ck_assert_ptr_nonnull(f);
        for (size_t i = 0; i < ARRAY_LEN(all); i++) {
                const char *text;

                snprintf(flag, sizeof(flag), "--metrics-generations=%s", all[i]);
                WORLD("--pool-name=pool", "--enable-grpc-stream-metrics", flag);
                traffic();
                text = page("");
                rewind(f);
                while (fgets(head, sizeof(head), f)) {
                        if (sscanf(head, "%15s %*s %127s", gen, name) != 2 || *head == '\t' || *head == '#')
                                continue;
                        snprintf(type, sizeof(type), "# TYPE %s ", name);
                        ck_assert_msg((strstr(text, type) != NULL) == (strncmp(all[i], gen, strlen(gen)) == 0),
                                "%s with %s", name, all[i]);
                }
                ck_assert_int_eq(strstr(text, "# TYPE eppd_") != NULL, i == 3);
                ck_assert_ptr_nonnull(strstr(text, "# TYPE process_"));
                world_end();
        }
        fclose(f);
}
END_TEST

START_TEST(no_generation)
{
        const char *text;

        WORLD("--metrics-generations=");
        traffic();
        text = page("");
        ck_assert_uint_eq(count(text, "# TYPE "), count(text, "# TYPE process_"));
        ck_assert_uint_ge(count(text, "# TYPE "), 9);
        world_end();
}
END_TEST

START_TEST(bad_generations)
{
        static const struct {
                const char *text, *named;
        } rows[] = { { "v0", "\"v0\"" }, { "current,gaie", "\"gaie\"" }, { ",current", "\"\"" }, { "none", "\"none\"" },
                { "Current", "\"Current\"" } };
        struct metrics *m = NULL;
        char err[256];

        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                ck_assert_int_eq(metrics_new(rows[i].text, err, sizeof(err), &m), EPP_EINVAL);
                ck_assert_msg(strstr(err, rows[i].named) && strstr(err, "gaie-v1") && !strchr(err, '\n'), "%s", err);
        }
        ck_assert_int_eq(metrics_new("current, eppd", err, sizeof(err), &m), 0);
        metrics_free(m);
}
END_TEST

/* ---- values ---- */

START_TEST(coarser_labels_are_sums)
{
        const char *text;

        WORLD("--pool-name=pool", "--enable-grpc-stream-metrics");
        traffic();
        text = page("");
        wants(text, "llm_d_epp_request_total{fairness_id=\"a\",model_name=\"m\",priority=\"0\",target_model_name=\"t1\"}", 1);
        wants(text, "llm_d_epp_request_total{fairness_id=\"b\",model_name=\"m\",priority=\"0\",target_model_name=\"t1\"}", 2);
        wants(text, "llm_d_epp_request_total{fairness_id=\"a\",model_name=\"m\",priority=\"5\",target_model_name=\"t1\"}", 4);
        wants(text, "llm_d_epp_request_total{fairness_id=\"a\",model_name=\"n\",priority=\"-1\",target_model_name=\"n\"}", 16);
        wants(text, "inference_objective_request_total{model_name=\"m\",priority=\"0\",target_model_name=\"t1\"}", 3);
        wants(text, "inference_objective_request_total{model_name=\"m\",priority=\"5\",target_model_name=\"t1\"}", 4);
        wants(text, "inference_objective_request_total{model_name=\"m\",priority=\"0\",target_model_name=\"t2\"}", 8);
        wants(text, "inference_model_request_total{model_name=\"m\",target_model_name=\"t1\"}", 7);
        wants(text, "inference_model_running_requests{model_name=\"m\"}", 4);
        wants(text, "inference_objective_running_requests{model_name=\"n\"}", 1);
        wants(text, "inference_model_output_tokens_count{model_name=\"m\",target_model_name=\"t1\"}", 3);
        wants(text, "inference_model_output_tokens_sum{model_name=\"m\",target_model_name=\"t1\"}", 7);
        wants(text, "inference_model_output_tokens_bucket{model_name=\"m\",target_model_name=\"t1\",le=\"1\"}", 1);
        wants(text, "inference_model_output_tokens_bucket{model_name=\"m\",target_model_name=\"t1\",le=\"8\"}", 3);
        wants(text, "inference_model_output_tokens_bucket{model_name=\"m\",target_model_name=\"t1\",le=\"+Inf\"}", 3);
        world_end();
}
END_TEST

START_TEST(error_codes)
{
        static const struct {
                const char *v0, *now;
        } rows[EPP_FAIL_COUNT] = { { "BadRequest", "BadRequest" }, { "BadConfiguration", "NotFound" },
                { "InferencePoolResourceExhausted", "ResourceExhausted" }, { "ServiceUnavailable", "ServiceUnavailable" },
                { "Internal", "Internal" }, { "ModelServerError", "ModelServerError" } };
        char sample[256];
        const char *text;

        WORLD("--metrics-generations=gaie-v0,gaie-v1,current");
        cell("m", "t", "f", 0)->failures[EPP_FAIL_INTERNAL] = 0; /* no child before it counted */
        for (size_t i = 0; i < EPP_FAIL_COUNT; i++)
                cell("m", "t", i % 2 ? "f" : "g", 0)->failures[i] = 10 + i;
        text = page("");
        for (size_t i = 0; i < EPP_FAIL_COUNT; i++) {
                snprintf(sample, sizeof(sample),
                        "inference_model_request_error_total{error_code=\"%s\",model_name=\"m\",target_model_name=\"t\"}", rows[i].v0);
                wants(text, sample, 10 + (double)i);
                snprintf(sample, sizeof(sample),
                        "inference_objective_request_error_total{error_code=\"%s\",model_name=\"m\",target_model_name=\"t\"}", rows[i].now);
                wants(text, sample, 10 + (double)i);
                snprintf(sample, sizeof(sample),
                        "llm_d_epp_request_error_total{error_code=\"%s\",fairness_id=\"%s\",model_name=\"m\",priority=\"0\",target_model_name=\"t\"}",
                        rows[i].now, i % 2 ? "f" : "g");
                wants(text, sample, 10 + (double)i);
        }
        ck_assert_uint_eq(count(text, "\nllm_d_epp_request_error_total{"), EPP_FAIL_COUNT);
        wants_none(text, "request_total"); /* none was routed */
        wants_none(text, "running");
        world_end();
}
END_TEST

START_TEST(without_fairness)
{
        const char *text;

        WORLD("--metrics-fairness-label=false");
        traffic();
        text = page("");
        wants(text, "llm_d_epp_request_total{fairness_id=\"\",model_name=\"m\",priority=\"0\",target_model_name=\"t1\"}", 3);
        wants(text, "llm_d_epp_request_total{fairness_id=\"\",model_name=\"m\",priority=\"5\",target_model_name=\"t1\"}", 4);
        ck_assert_uint_eq(count(text, "\nllm_d_epp_request_total{"), 4);
        world_end();
}
END_TEST

START_TEST(averages)
{
        struct epp_endpoint *e;
        const char *text;

        WORLD("--pool-name=pool", "--enable-grpc-stream-metrics");
        traffic();
        text = page("");
        wants(text, "llm_d_epp_average_queue_size{name=\"pool\"}", 2.5);
        wants(text, "inference_pool_average_queue_size{name=\"pool\"}", 2.5);
        wants(text, "llm_d_epp_average_kv_cache_utilization{name=\"pool\"}", 0.0035);
        wants(text, "llm_d_epp_average_running_requests{name=\"pool\"}", 5);
        wants(text, "llm_d_epp_std_dev_queue_size{name=\"pool\"}", sqrt(4.5));
        wants(text, "llm_d_epp_std_dev_running_requests{name=\"pool\"}", sqrt(18));
        wants(text, "llm_d_epp_ready_endpoints{name=\"pool\"}", 2);
        wants(text, "llm_d_epp_per_endpoint_queue_size{model_server_endpoint=\"three\",name=\"pool\"}", 100);
        wants(text, "inference_pool_per_pod_queue_size{model_server_pod=\"one\",name=\"pool\"}", 1);
        e = epp_pool_find(w.director.pool, EPP_SLICE("two"));
        e->load.state = EPP_LOAD_MISSING;
        text = page("");
        wants(text, "llm_d_epp_average_queue_size{name=\"pool\"}", 1);
        wants(text, "llm_d_epp_std_dev_queue_size{name=\"pool\"}", 0);
        world_end();
}
END_TEST

/* Nobody is fresh: nothing, or with the switch what was. */
START_TEST(ready)
{
        WORLD("--compat-stale-averages=false");
        wants(page(""), "eppd_ready", 0);
        epp_health_set(w.health, true);
        wants(page(""), "eppd_ready", 1);
        world_end();
}
END_TEST

START_TEST(stale_averages)
{
        for (int compat = 0; compat < 2; compat++) {
                const char *text;

                WORLD(compat ? "--compat-stale-averages" : "--compat-stale-averages=false");
                endpoint("e", "10.0.0.1:80", EPP_LOAD_FRESH, 7, 0.5);
                wants(page(""), "inference_pool_average_queue_size{name=\"\"}", 7);
                epp_pool_find(w.director.pool, EPP_SLICE("e"))->load.state = EPP_LOAD_STALE;
                text = page("");
                wants(text, "llm_d_epp_ready_endpoints{name=\"\"}", 0);
                if (compat)
                        wants(text, "inference_pool_average_queue_size{name=\"\"}", 7);
                else
                        wants_none(text, "average");
                world_end();
        }
}
END_TEST

/* Decisions by object, and time by plugin: a filter that did not run has none. */
START_TEST(decisions)
{
        const char *text;

        WORLD("--pool-name=pool");
        traffic();
        text = page("");
        wants(text, "llm_d_epp_model_rewrite_decisions_total{model_name=\"m\",model_rewrite_name=\"rw\",target_model=\"t3\"}", 1);
        wants(text, "llm_d_epp_scheduler_e2e_duration_seconds_bucket{le=\"0.005\"}", 0);
        wants(text, "llm_d_epp_scheduler_e2e_duration_seconds_bucket{le=\"0.01\"}", 1);
        wants(text, "llm_d_epp_scheduler_e2e_duration_seconds_sum", 0.006);
        wants(text, "llm_d_epp_plugin_duration_seconds_sum{extension_point=\"Filter\",plugin_name=\"least-queue-filter\",plugin_type=\"least-queue-filter\"}", 0.001);
        wants(text, "inference_extension_scheduler_plugin_duration_seconds_count{plugin_name=\"random-picker\",plugin_type=\"Picker\"}", 1);
        wants_none(text, "capacity-filter");
        wants_none(text, "decision-tree-filter");
        wants_none(text, "extproc_stream"); /* only when asked for */
        wants(text, "llm_d_epp_request_processing_duration_seconds_sum", 0.003);
        wants(text, "llm_d_epp_response_processing_duration_seconds_sum", 0.004);
        world_end();
        WORLD("--enable-grpc-stream-metrics");
        traffic();
        text = page("");
        wants(text, "llm_d_epp_extproc_streams_inflight", 2);
        wants(text, "llm_d_epp_extproc_stream_duration_seconds_sum", 0.005);
        wants(text, "llm_d_epp_extproc_streams_total{code=\"Canceled\"}", 2);
        ck_assert_uint_eq(count(text, "extproc_streams_total{"), 1);
        world_end();
}
END_TEST

START_TEST(attempts)
{
        const char *text;

        WORLD("--pool-name=pool", "--enable-grpc-stream-metrics");
        traffic();
        text = page("");
        wants(text, "llm_d_epp_scheduler_attempts_total{endpoint_name=\"one\",namespace=\"ns\",port=\"80\",status=\"success\",target_model_name=\"t1\"}", 1);
        wants(text, "llm_d_epp_scheduler_attempts_total{endpoint_name=\"\",namespace=\"\",port=\"\",status=\"failure\",target_model_name=\"t1\"}", 1);
        wants(text, "inference_extension_scheduler_attempts_total{namespace=\"ns\",pod_name=\"one\",port=\"80\",status=\"success\",target_model_name=\"t1\"}", 1);
        wants(text, "llm_d_epp_datalayer_poll_errors_total{source_type=\"metrics-data-source\"}", 7);
        wants(text, "llm_d_epp_datalayer_extract_errors_total{extractor_type=\"core-metrics-extractor\",source_type=\"metrics-data-source\"}", 5);
        world_end();
}
END_TEST

START_TEST(process)
{
        struct timespec now;
        const char *text;

        WORLD("--metrics-generations=eppd");
        text = page("");
        wants(text, "eppd_metrics_page_bytes", 0);
        clock_gettime(CLOCK_REALTIME, &now);
        ck_assert_double_gt(value(text, "process_cpu_seconds_total"), 0);
        ck_assert_double_gt(value(text, "process_resident_memory_bytes"), 1 << 20);
        ck_assert_double_gt(value(text, "process_virtual_memory_bytes"), value(text, "process_resident_memory_bytes"));
        ck_assert_double_gt(value(text, "process_open_fds"), 2);
        ck_assert_double_gt(value(text, "process_max_fds"), value(text, "process_open_fds"));
        ck_assert_double_lt(fabs(value(text, "process_start_time_seconds") - (double)now.tv_sec), 60);
        text = page("");
        ck_assert_double_gt(value(text, "eppd_metrics_page_bytes"), 1000);
        ck_assert_double_gt(value(text, "eppd_metrics_render_seconds"), 0);
        world_end();
}
END_TEST

/* ---- form ---- */

/* A family or series that stands twice, or families out of order; NULL when all is well. */
static const char *
disorder(const char *text)
{
        static char last[256], name[256];

        last[0] = 0;
        for (const char *p = text; (p = strstr(p, "# TYPE ")); p++) {
                snprintf(name, sizeof(name), "%.*s", (int)strcspn(p + 7, " "), p + 7);
                if (strcmp(last, name) >= 0)
                        return name;
                memcpy(last, name, sizeof(last));
        }
        return NULL;
}

static int
by_text(const void *a, const void *b)
{
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A sample that is on the page twice, or NULL; cuts the page into lines. */
static const char *
twice(void)
{
        static const char *lines[1000000];
        char *line = w.text.p + w.text.head, *end;
        size_t n = 0;

        for (; (end = strchr(line, '\n')); line = end + 1) {
                *end = 0;
                if (*line == '#')
                        continue;
                *strrchr(line, ' ') = 0;
                ck_assert_uint_lt(n, ARRAY_LEN(lines));
                lines[n++] = line;
        }
        qsort(lines, n, sizeof(*lines), by_text);
        for (size_t i = 1; i < n; i++)
                if (strcmp(lines[i - 1], lines[i]) == 0)
                        return lines[i];
        return NULL;
}

START_TEST(negotiation)
{
        static const struct {
                const char *accept;
                bool open;
        } rows[] = { { "", false }, { "*/*", false }, { "text/plain", false }, { "application/openmetrics-text", true },
                { "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
                  "text/plain;version=0.0.4;q=0.3,*/*;q=0.2", true },
                { "text/plain;q=0.5, Application/OpenMetrics-Text; version=1.0.0; Q=0.4", false },
                { "application/openmetrics-text;q=0", false }, { "application/openmetrics-text;q=0.9,text/*;q=1.0", false },
                { "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited", false },
                { ",;=,application/openmetrics-text;q=", false }, { "application/openmetrics-text-x", false } };

        WORLD("--pool-name=pool", "--enable-grpc-stream-metrics");
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                const char *text = page(rows[i].accept);

                ck_assert_str_eq(w.type, rows[i].open ? OPEN : CLEAN);
                ck_assert_msg((strstr(text, "# EOF\n") != NULL) == rows[i].open, "%s", rows[i].accept);
        }
        world_end();
}
END_TEST

/* Counters lose their ending in the head of the family, and no two families share what is left. */
START_TEST(openmetrics)
{
        const char *text, *bad;

        WORLD("--pool-name=pool", "--enable-grpc-stream-metrics");
        traffic();
        text = page("application/openmetrics-text");
        ck_assert_str_eq(text + strlen(text) - 6, "# EOF\n");
        ck_assert_uint_eq(count(text, "# EOF"), 1);
        ck_assert_ptr_nonnull(strstr(text, "\n# HELP llm_d_epp_request [ALPHA] Total number of processed requests.\n"
                                           "# TYPE llm_d_epp_request counter\nllm_d_epp_request_total{"));
        wants_none(text, "_total counter");
        wants_none(text, "_total [ALPHA]");
        for (const char *p = text; (p = strstr(p, "# TYPE ")); p++) {
                char type[256];

                snprintf(type, sizeof(type), "%.*s ", (int)strcspn(p + 7, " ") + 7, p);
                ck_assert_msg(count(text, type) == 1, "two families: %s", type);
        }
        text = page("");
        bad = disorder(text);
        ck_assert_msg(!bad, "%s is out of order", bad);
        bad = twice();
        ck_assert_msg(!bad, "twice on the page: %s", bad);
        world_end();
}
END_TEST

/* Each HELP has its TYPE and a sample; without traffic most families are not there. */
START_TEST(no_empty_families)
{
        const char *text;

        WORLD("--metrics-generations=gaie-v0,gaie-v1,current");
        (void)cell("known", "known", "f", 0); /* has counted nothing */
        text = page("");
        ck_assert_uint_eq(count(text, "# HELP "), count(text, "# TYPE "));
        wants_none(text, "known");
        for (const char *p = text; (p = strstr(p, "# TYPE ")); p++)
                ck_assert_msg(strncmp(strchr(p, '\n') + 1, p + 7, strcspn(p + 7, " ")) == 0, "%.80s", p);
        ck_assert_ptr_nonnull(strstr(text, "\nllm_d_epp_ready_endpoints{name=\"\"} 0\n"));
        world_end();
}
END_TEST

START_TEST(odd_names)
{
        const char *text;

        WORLD("--metrics-generations=gaie-v0");
        fill(cell("a\\b\"c\nd", "\xff\xfe", "f", 0), 1);
        fill(cell("", "", "f", 0), 2);
        fill(cell("other", "other", "other", 0), 3);
        fill(*epp_series_list(w.director.series, &(size_t){ 0 }), 0);
        text = page("");
        wants(text, "inference_model_request_total{model_name=\"a\\\\b\\\"c\\nd\",target_model_name=\"\xef\xbf\xbd\xef\xbf\xbd\"}", 1);
        wants(text, "inference_model_request_total{model_name=\"\",target_model_name=\"\"}", 2);
        wants_none(text, "running_requests{model_name=\"\"}");
        ck_assert_ptr_null(twice());
        world_end();
}
END_TEST

/* ---- size ---- */

/* Sanitizers make it twenty times slower. */
#ifdef EPP_DEBUG
#define MODELS 100
#define CELLS 1000
#else
#define MODELS 1000
#define CELLS 10000
#endif

static void
many_models(size_t n)
{
        char name[32];

        for (size_t i = 0; i < n; i++) {
                snprintf(name, sizeof(name), "model-%zu", i);
                fill(cell(name, name, "f", 0), 1);
        }
}

/* The series of <name>, which is not a histogram. */
static size_t
series_of(const char *text, const char *name)
{
        char sample[300];

        snprintf(sample, sizeof(sample), "\n%s{", name);
        return count(text, sample);
}

START_TEST(two_thousand_models)
{
        char flag[64];
        const char *text;
        size_t n;

        snprintf(flag, sizeof(flag), "--metrics-label-values=%d", MODELS);
        WORLD("--pool-name=pool", flag);
        many_models(2 * MODELS);
        text = page("");
        for (const char *p = text; (p = strstr(p, "# TYPE ")); p++) {
                bool histogram = strncmp(strchr(p + 7, ' '), " histogram", 10) == 0;
                char name[256];

                snprintf(name, sizeof(name), "%.*s%s", (int)strcspn(p + 7, " "), p + 7, histogram ? "_count" : "");
                n = series_of(text, name);
                if (n < MODELS)
                        continue; /* not by model */
                n /= strstr(name, "error_total") ? EPP_FAIL_COUNT : strstr(name, "ttft") ? 2 : 1;
                ck_assert_msg(n == MODELS + 1, "%s has %zu series", name, n);
        }
        wants(text, "inference_model_request_total{model_name=\"other\",target_model_name=\"other\"}", MODELS);
        printf("# a page of %d models: %zu lines, %zu bytes, %.1f ms\n", MODELS, w.lines, w.bytes, w.all * 1e3);
        ck_assert_uint_eq(series_of(text, "llm_d_epp_request_total"), MODELS + 1);
        ck_assert_uint_eq(series_of(text, "inference_objective_request_duration_seconds_count"), MODELS + 1);
        ck_assert_ptr_null(twice());
        world_end();
}
END_TEST

/* The longest piece of all cells there can be: of as many models, and of one with all of them. */
START_TEST(pieces_are_short)
{
        static const struct {
                size_t models, fairness;
        } rows[] = { { CELLS, 1 }, { 10, CELLS / 10 }, { 1, CELLS } };

        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                char model[32], fairness[32];
                size_t cells;
                double best = 1;

                WORLD("--metrics-label-values=20000", i == 2 ? "--metrics-fairness-label=false" : "--pool-name=p");
                for (size_t k = 0; k < CELLS; k++) {
                        snprintf(model, sizeof(model), "model-%05zu", k % rows[i].models);
                        snprintf(fairness, sizeof(fairness), "team-%05zu", k / rows[i].models);
                        fill(cell(model, model, fairness, 0), 1);
                }
                (void)epp_series_list(w.director.series, &cells);
                for (int try = 0; try < 3 && best > 0.005; try++) {
                        (void)page("");
                        best = EPP_MIN(best, w.slowest);
                        ck_assert_uint_lt(w.largest, 65536 + 16384);
                }
                printf("# %zu models by %zu: %zu cells, %zu lines, %zu bytes, %zu pieces, slowest %.2f ms, %.0f ns per line\n",
                        rows[i].models, rows[i].fairness, cells, w.lines, w.bytes, w.pieces, w.slowest * 1e3,
                        w.all * 1e9 / (double)w.lines);
#ifndef EPP_DEBUG
                ck_assert_msg(best <= 0.005, "the longest piece took %.1f ms", best * 1e3);
#endif
                world_end();
        }
}
END_TEST

/* A page that is read slowly, while requests go on: every histogram agrees with itself. */
START_TEST(counts_agree_while_requests_run)
{
        struct admin_request q = { .accept = { NULL, 0 } };
        struct admin_reply r = { .code = 200 };
        size_t n = 0;
        int more = 1;

        WORLD("--pool-name=pool");
        many_models(100);
        metrics_render(&w.pages, &q, &r);
        while (more) {
                many_models(150);
                endpoint("new", "10.0.0.1:80", EPP_LOAD_FRESH, 1, 0);
                more = r.more(r.state, &r.body);
                epp_pool_remove(w.director.pool, EPP_SLICE("new"));
                n++;
        }
        r.done(r.state);
        ck_assert_uint_gt(n, 10);
        ck_assert_int_eq(epp_buf_append(&r.body, epp_slice("", 1)), 0);
        for (const char *p = r.body.p + r.body.head; (p = strstr(p, "le=\"+Inf\"} ")); p++) {
                const char *sum = strchr(p, '\n') + 1, *last = strchr(sum, '\n') + 1;

                ck_assert_msg(strtod(p + 11, NULL) == strtod(strchr(last, ' ') + 1, NULL), "%.300s", p);
        }
        wants_none(r.body.p + r.body.head, "model-149");
        epp_buf_fini(&r.body);
        world_end();
}
END_TEST

UNIT_MAIN("metrics", every_family_as_declared, generations, no_generation, bad_generations, coarser_labels_are_sums,
        error_codes, without_fairness, averages, stale_averages, ready, attempts, decisions, process, negotiation,
        openmetrics,
        no_empty_families, odd_names, two_thousand_models, pieces_are_short, counts_agree_while_requests_run)
