/* pages.c - see pages.h. The metrics page is one table of plain counters and a few families with
 * labels; values are read when the page is asked for. */
#include "daemon/pages.h"

#include <inttypes.h>
#include <stdarg.h>

static void EPP_PRINTF(2, 3)
put(struct epp_buf *out, const char *fmt, ...)
{
        va_list ap;
        char *at;
        int n;

        if (epp_buf_reserve(out, 1024, &at) < 0)
                return;
        va_start(ap, fmt);
        n = vsnprintf(at, 1024, fmt, ap);
        va_end(ap);
        epp_buf_commit(out, (size_t)EPP_MIN(EPP_MAX(n, 0), 1023));
}

static int
render_health(void *ctx, struct epp_buf *out)
{
        (void)ctx;
        put(out, "ok\n");
        return 200;
}

static int
render_ready(void *ctx, struct epp_buf *out)
{
        const struct pages *p = ctx;
        bool ready = epp_health_ready(p->health);

        put(out, ready ? "ready\n" : "not ready: starting or draining\n");
        return ready ? 200 : 503;
}

static void
family(struct epp_buf *out, const char *name, const char *type, const char *help)
{
        put(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void
plain(struct epp_buf *out, const struct pages *p)
{
        const struct epp_director_stats *d = &p->director->stats;
        const struct {
                const char *name, *help;
                uint64_t value;
        } rows[] = {
                { "eppd_requests_total", "Requests that asked for an endpoint.", d->requests },
                { "eppd_requests_unchecked_total", "Requests passed without a look at their model.",
                        d->unchecked },
                { "eppd_requests_complete_total", "Routed requests whose response went by whole.",
                        d->complete },
                { "eppd_requests_aborted_total", "Routed requests that ended early.", d->aborted },
                { "eppd_model_server_errors_total", "Responses with a status of 400 or above.",
                        d->model_errors },
                { "eppd_response_bytes_total", "Bytes of response bodies.", d->response_bytes },
                { "eppd_prompt_tokens_total", "Prompt tokens reported by model servers.",
                        d->prompt_tokens },
                { "eppd_completion_tokens_total", "Completion tokens reported by model servers.",
                        d->completion_tokens },
                { "eppd_cached_tokens_total", "Prompt tokens served from a prefix cache.",
                        d->cached_tokens },
                { "eppd_streams_total", "ext_proc streams begun.", p->streams->begun },
                { "eppd_messages_ignored_total", "ext_proc messages that asked for nothing.",
                        p->streams->ignored },
                { "eppd_streams_disconnected_total", "Streams that ended before their response.",
                        p->streams->disconnected },
                { "eppd_grpc_calls_total", "gRPC calls of all kinds.", p->h2->streams },
                { "eppd_grpc_resets_total", "RST_STREAM frames received.", p->h2->resets },
                { "eppd_grpc_refused_total", "Calls of unknown methods or shapes.", p->h2->refused },
                { "eppd_scrape_bytes_total", "Bytes of metrics pages.", p->scrape->bytes },
                { "eppd_scrape_line_errors_total", "Broken lines on metrics pages.",
                        p->scrape->line_errors },
                { "eppd_scrape_not_metrics_total", "Pages without any of the families asked for.", p->scrape->not_metrics },
                { "eppd_scrape_skipped_ticks_total", "Turns dropped as the last request still ran.",
                        scrapes_skipped(p->scrapes) },
                { "eppd_reloads_total", "Times the files were read again.", p->sources->reloads },
                { "eppd_reload_failures_total", "Times that left the old state.", p->sources->failures },
                { "eppd_grpc_malformed_total", "Calls with broken framing.", p->h2->malformed },
                { "eppd_grpc_stalled_total", "Calls reset as their peer did not read.",
                        p->h2->stalled },
        };

        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                family(out, rows[i].name, "counter", rows[i].help);
                put(out, "%s %" PRIu64 "\n", rows[i].name, rows[i].value);
        }
        family(out, "eppd_streams", "gauge", "ext_proc streams open now.");
        put(out, "eppd_streams %" PRIu64 "\n", p->streams->begun - p->streams->ended);
}

static double
waiting_of(const struct epp_endpoint *e)
{
        return (double)e->load.waiting;
}

static double
running_of(const struct epp_endpoint *e)
{
        return (double)e->load.running;
}

static double
kv_of(const struct epp_endpoint *e)
{
        return e->load.kv_ratio;
}

static double
adapters_of(const struct epp_endpoint *e)
{
        return (double)e->load.lora_v03.n;
}

static double
inflight_of(const struct epp_endpoint *e)
{
        return (double)e->inflight;
}

static double
picks_of(const struct epp_endpoint *e)
{
        return (double)e->picks;
}

static double
ttft_of(const struct epp_endpoint *e)
{
        return e->ttft_us / 1e6;
}

static void
by_endpoint(struct epp_buf *out, const struct pages *p)
{
        static const struct {
                const char *name, *type, *help;
                double (*value)(const struct epp_endpoint *e);
        } rows[] = {
                { "eppd_picks_total", "counter", "Requests routed, by endpoint.", picks_of },
                { "eppd_inflight_requests", "gauge", "Routed requests that have not ended.", inflight_of },
                { "eppd_endpoint_waiting_requests", "gauge", "Scraped: requests in the queue.", waiting_of },
                { "eppd_endpoint_running_requests", "gauge", "Scraped: requests in the batch.", running_of },
                { "eppd_endpoint_kv_cache_ratio", "gauge", "Scraped: share of the KV cache in use.", kv_of },
                { "eppd_endpoint_adapters", "gauge", "Scraped: LoRA adapters loaded or wanted.", adapters_of },
                { "eppd_endpoint_ttft_seconds", "gauge", "Time to the first response byte, smoothed.", ttft_of },
        };
        struct epp_endpoint *const *list;
        size_t n;

        list = epp_pool_list(p->pool, &n);
        for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
                family(out, rows[r].name, rows[r].type, rows[r].help);
                for (size_t i = 0; i < n; i++)
                        put(out, "%s{endpoint=\"" SLICE_FMT "\"} %.17g\n", rows[r].name,
                                SLICE_ARG(list[i]->name), rows[r].value(list[i]));
        }
}

static void
by_state(struct epp_buf *out, const struct pages *p)
{
        static const char *const names[] = { "never", "fresh", "stale", "missing" };
        size_t count[ARRAY_LEN(names)] = { 0 }, n;
        struct epp_endpoint *const *list;

        list = epp_pool_list(p->pool, &n);
        for (size_t i = 0; i < n; i++)
                count[list[i]->load.state]++;
        family(out, "eppd_endpoints", "gauge", "Endpoints by the state of their metrics.");
        for (size_t i = 0; i < ARRAY_LEN(names); i++)
                put(out, "eppd_endpoints{state=\"%s\"} %zu\n", names[i], count[i]);
}

static void
scrapes(struct epp_buf *out, const struct pages *p)
{
        family(out, "eppd_scrape_total", "counter", "Metrics pages asked for, by result.");
        for (unsigned i = 0; i < FETCH_RESULTS; i++)
                put(out, "eppd_scrape_total{result=\"%s\"} %" PRIu64 "\n", fetch_result_name(i),
                        p->scrape->result[i]);
        family(out, "eppd_scrape_period_seconds", "gauge", "The period in force.");
        put(out, "eppd_scrape_period_seconds %.6f\n", (double)scrapes_period(p->scrapes) / 1e6);
}

static int
render_metrics(void *ctx, struct epp_buf *out)
{
        const struct pages *p = ctx;

        plain(out, p);
        family(out, "eppd_request_errors_total", "counter", "Requests refused, by error code.");
        for (unsigned i = 0; i < EPP_REF_COUNT; i++)
                put(out, "eppd_request_errors_total{error_code=\"%s\"} %" PRIu64 "\n",
                        epp_refusal_name(i), p->director->stats.refused[i]);
        by_endpoint(out, p);
        by_state(out, p);
        scrapes(out, p);
        return 200;
}

const struct admin_page pages_table[PAGES] = {
        { "/healthz", "text/plain; charset=utf-8", render_health },
        { "/readyz", "text/plain; charset=utf-8", render_ready },
        { "/metrics", "text/plain; version=0.0.4; charset=utf-8", render_metrics },
};
