/* page.c - /metrics in the order, names and habits of a vLLM 0.30 page written by Python's client:
 * labels sorted, values as floats, the interesting families first and last, histograms between. */
#include "test/vllmsim/sim.h"

#include <math.h>

static const char *const histograms[] = { "time_to_first_token_seconds",
        "inter_token_latency_seconds", "request_time_per_output_token_seconds",
        "e2e_request_latency_seconds", "request_queue_time_seconds",
        "request_inference_time_seconds", "request_prefill_time_seconds",
        "request_decode_time_seconds", "request_prompt_tokens", "request_generation_tokens",
        "iteration_tokens_total", "request_max_num_generation_tokens", "request_params_max_tokens",
        "request_prefill_kv_computed_tokens" };

static const char *const bounds[] = { "0.001", "0.005", "0.01", "0.02", "0.04", "0.06", "0.08",
        "0.1", "0.25", "0.5", "0.75", "1.0", "2.5", "5.0", "7.5", "10.0", "20.0", "40.0", "80.0",
        "160.0", "640.0", "2560.0", "+Inf" };

/* As Python prints a float: always with a point or an exponent. */
static const char *
num(char *out, size_t size, double v)
{
        if (v == floor(v) && fabs(v) < 1e6)
                snprintf(out, size, "%.1f", v);
        else if (fabs(v) < 1e6)
                snprintf(out, size, "%.12g", v);
        else
                snprintf(out, size, "%.15e", v);
        return out;
}

static void
head(struct evbuffer *b, const char *name, const char *type, const char *help)
{
        evbuffer_add_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void
one(struct server *sv, struct evbuffer *b, const char *name, const char *type, const char *help,
        double v)
{
        char text[40];

        head(b, name, type, help);
        evbuffer_add_printf(b, "%s{engine=\"0\",model_name=\"%s\"} %s\n", name, sv->opt->model,
                num(text, sizeof(text), v));
}

static void
histogram(struct server *sv, struct evbuffer *b, int copy, const char *name)
{
        char family[120], a[40], c[40];
        double count = (double)sv->done;

        snprintf(family, sizeof(family), copy ? "vllm:%s_%d" : "vllm:%s", name, copy);
        head(b, family, "histogram", "Histogram of a simulated quantity.");
        for (size_t i = 0; i < ARRAY_LEN(bounds); i++) {
                double part = (double)(i + 1) / ARRAY_LEN(bounds);

                evbuffer_add_printf(b, "%s_bucket{engine=\"0\",le=\"%s\",model_name=\"%s\"} %s\n",
                        family, bounds[i], sv->opt->model, num(a, sizeof(a), floor(count * part)));
        }
        evbuffer_add_printf(b, "%s_count{engine=\"0\",model_name=\"%s\"} %s\n", family,
                sv->opt->model, num(a, sizeof(a), count));
        evbuffer_add_printf(b, "%s_sum{engine=\"0\",model_name=\"%s\"} %s\n", family,
                sv->opt->model, num(c, sizeof(c), sv->e2e_sum));
}

/* The bulk of a real page and nothing a picker reads: rendered once a second, not per scrape. */
static void
ballast(struct server *sv)
{
        double now = sim_now();
        struct evbuffer *b;

        if (sv->ballast && now - sv->ballast_at < 1)
                return;
        b = evbuffer_new();
        for (int i = 0; evbuffer_get_length(b) < sv->opt->ballast_bytes; i++)
                histogram(sv, b, i / (int)ARRAY_LEN(histograms),
                        histograms[i % (int)ARRAY_LEN(histograms)]);
        free(sv->ballast);
        sv->ballast_len = evbuffer_get_length(b);
        sv->ballast = xcalloc(1, sv->ballast_len + 1);
        evbuffer_remove(b, sv->ballast, sv->ballast_len);
        evbuffer_free(b);
        sv->ballast_at = now;
}

static void
load(struct server *sv, struct evbuffer *b)
{
        const struct fault *f = &sv->fault;
        double waiting = f->waiting >= 0 ? f->waiting : sv->nwaiting + sv->nhung;
        char text[40];

        one(sv, b, "vllm:num_requests_running", "gauge",
                "Number of requests in model execution batches.",
                f->running >= 0 ? f->running : sv->nrunning);
        one(sv, b, "vllm:num_requests_waiting", "gauge",
                "Number of requests waiting to be processed.", waiting);
        head(b, "vllm:num_requests_waiting_by_reason", "gauge",
                "Number of waiting requests by reason.");
        evbuffer_add_printf(b,
                "vllm:num_requests_waiting_by_reason{engine=\"0\",model_name=\"%s\","
                "reason=\"capacity\"} %s\n",
                sv->opt->model, num(text, sizeof(text), waiting));
        one(sv, b, sv->opt->old_kv_name ? "vllm:gpu_cache_usage_perc" : "vllm:kv_cache_usage_perc",
                "gauge", "KV-cache usage. 1 means 100 percent usage.",
                f->kv >= 0 ? f->kv : kv_usage(&sv->kv));
}

static void
counters(struct server *sv, struct evbuffer *b)
{
        one(sv, b, "vllm:prefix_cache_queries_total", "counter",
                "Prefix cache queries, in terms of number of queried tokens.",
                (double)sv->queried_tokens);
        one(sv, b, "vllm:prefix_cache_hits_total", "counter",
                "Prefix cache hits, in terms of number of cached tokens.",
                (double)sv->cached_tokens);
        one(sv, b, "vllm:prompt_tokens_total", "counter", "Number of prefill tokens processed.",
                (double)sv->prompt_tokens);
        one(sv, b, "vllm:generation_tokens_total", "counter",
                "Number of generation tokens processed.", (double)sv->out_tokens);
}

static void
lora(struct server *sv, struct evbuffer *b)
{
        if (sv->opt->nlora == 0)
                return;
        engine_note_lora(sv);
        head(b, "vllm:lora_requests_info", "gauge", "Running stats on lora requests.");
        for (int i = 0; i < sv->nrows; i++)
                evbuffer_add_printf(b,
                        "vllm:lora_requests_info{max_lora=\"%d\",running_lora_adapters=\"%s\","
                        "waiting_lora_adapters=\"%s\"} %.16e\n",
                        sv->opt->max_lora, sv->rows[i].running, sv->rows[i].waiting,
                        sv->rows[i].set_at);
}

static void
cache_config(struct server *sv, struct evbuffer *b)
{
        head(b, "vllm:cache_config_info", "gauge", "Information of the LLMEngine CacheConfig");
        evbuffer_add_printf(b,
                "vllm:cache_config_info{_block_size_resolved=\"True\",block_size=\"%d\","
                "cache_dtype=\"auto\",enable_prefix_caching=\"True\",engine=\"0\","
                "gpu_memory_utilization=\"0.92\",mamba_block_size=\"None\",num_cpu_blocks=\"None\","
                "num_gpu_blocks=\"%d\",num_gpu_blocks_override=\"None\","
                "prefix_caching_hash_algo=\"sha256\",sliding_window=\"None\","
                "user_specified_block_size=\"False\"} 1.0\n",
                SIM_BLOCK_TOKENS, sv->opt->kv_blocks);
}

static void
send_page(struct server *sv, struct evhttp_request *req)
{
        struct evbuffer *b = evbuffer_new();
        char text[40];

        ballast(sv);
        head(b, "python_info", "gauge", "Python platform information");
        evbuffer_add_printf(b, "python_info{implementation=\"CPython\",major=\"3\",minor=\"12\","
                               "patchlevel=\"3\",version=\"3.12.3\"} 1.0\n");
        head(b, "process_start_time_seconds", "gauge",
                "Start time of the process since unix epoch in seconds.");
        evbuffer_add_printf(b, "process_start_time_seconds %s\n",
                num(text, sizeof(text), sv->started_at));
        load(sv, b);
        counters(sv, b);
        evbuffer_add(b, sv->ballast, sv->ballast_len);
        lora(sv, b);
        cache_config(sv, b);
        api_reply(sv, req, sv->fault.metrics_status ? sv->fault.metrics_status : 200,
                "text/plain; version=0.0.4; charset=utf-8", evbuffer_pullup(b, -1),
                evbuffer_get_length(b));
        evbuffer_free(b);
}

static void
send_or_fault(struct server *sv, struct evhttp_request *req)
{
        const char *body = sv->fault.metrics_body;

        if (body)
                api_reply(sv, req, sv->fault.metrics_status ? sv->fault.metrics_status : 200,
                        "text/plain; version=0.0.4; charset=utf-8", body, strlen(body));
        else
                send_page(sv, req);
}

/* A scrape being held back; its connection may close meanwhile. */
struct late {
        struct server *sv;
        struct evhttp_request *req;
        struct event *timer;
};

static void
late_free(struct late *l)
{
        event_free(l->timer);
        free(l);
}

static void
on_late_close(struct evhttp_connection *conn, void *arg)
{
        (void)conn;
        late_free(arg);
}

static void
on_late(evutil_socket_t fd, short what, void *arg)
{
        struct late *l = arg;

        (void)fd, (void)what;
        evhttp_connection_set_closecb(evhttp_request_get_connection(l->req), NULL, NULL);
        send_or_fault(l->sv, l->req);
        late_free(l);
}

void
page_reply(struct server *sv, struct evhttp_request *req)
{
        int ms = sv->fault.metrics_delay_ms;
        struct timeval tv = { ms / 1000, ms % 1000 * 1000 };
        struct late *l;

        if (!ms) {
                send_or_fault(sv, req);
                return;
        }
        l = xcalloc(1, sizeof(*l));
        *l = (struct late){ sv, req, evtimer_new(sv->evbase, on_late, l) };
        evhttp_connection_set_closecb(evhttp_request_get_connection(req), on_late_close, l);
        event_add(l->timer, &tv);
}
