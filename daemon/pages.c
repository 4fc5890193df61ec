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
                { "eppd_grpc_malformed_total", "Calls with broken framing.", p->h2->malformed },
        };

        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                family(out, rows[i].name, "counter", rows[i].help);
                put(out, "%s %" PRIu64 "\n", rows[i].name, rows[i].value);
        }
        family(out, "eppd_streams", "gauge", "ext_proc streams open now.");
        put(out, "eppd_streams %" PRIu64 "\n", p->streams->begun - p->streams->ended);
}

static void
by_endpoint(struct epp_buf *out, const struct pages *p)
{
        struct epp_endpoint *const *list;
        size_t n;

        list = epp_pool_list(p->pool, &n);
        family(out, "eppd_picks_total", "counter", "Requests routed, by endpoint.");
        for (size_t i = 0; i < n; i++)
                put(out, "eppd_picks_total{endpoint=\"" SLICE_FMT "\"} %" PRIu64 "\n",
                        SLICE_ARG(list[i]->name), list[i]->picks);
        family(out, "eppd_inflight_requests", "gauge", "Routed requests that have not ended, by endpoint.");
        for (size_t i = 0; i < n; i++)
                put(out, "eppd_inflight_requests{endpoint=\"" SLICE_FMT "\"} %" PRIu32 "\n",
                        SLICE_ARG(list[i]->name), list[i]->inflight);
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
        return 200;
}

const struct admin_page pages_table[PAGES] = {
        { "/healthz", "text/plain; charset=utf-8", render_health },
        { "/readyz", "text/plain; charset=utf-8", render_ready },
        { "/metrics", "text/plain; version=0.0.4; charset=utf-8", render_metrics },
};
