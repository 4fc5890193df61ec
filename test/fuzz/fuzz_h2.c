/* fuzz_h2.c - a connection: any bytes behind the client preface, through h2 and streams. */
#include "fuzz.h"
#include "serve/health.h"
#include "serve/stream.h"

static void
decide(void *ctx, const struct epp_ask *ask, struct epp_verdict *v)
{
        (void)ask;
        memset(v, 0, sizeof(*v));
        snprintf(v->endpoint, sizeof(v->endpoint), "10.0.0.1:80");
        v->ticket = ctx;
        ++*(long *)ctx;
}

static void
served(void *ctx, void *ticket, struct epp_slice endpoint)
{
        (void)endpoint;
        EPP_ASSERT(ticket == ctx);
}

static void
release(void *ctx, void *ticket, const struct epp_outcome *o)
{
        (void)ticket, (void)o;
        --*(long *)ctx;
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
        static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
        long open = 0;
        struct epp_h2_stats h2_stats = { 0 };
        struct epp_stream_stats stats = { 0 };
        struct epp_stream_config cfg = { .decider = { .ctx = &open, .decide = decide,
                .served = served, .release = release },
                .hint_key = EPP_SLICE("x-hint"),
                .hint_ns = EPP_SLICE("envoy.lb"),
                .max_body = 100000,
                .upload_timeout = 1000000,
                .default_mode = EPP_MODE_DUPLEX,
                .response_marker = true,
                .strip_control = true,
                .stats = &stats };
        struct epp_rpc_handler handlers[1 + EPP_HEALTH_HANDLERS];
        struct epp_health *health;
        static char out[2 * EPP_H2_ROOM];
        struct epp_h2 *h;
        char *x = fuzz_copy(p, n);

        handlers[0] = epp_stream_handler(&cfg, 100000);
        EPP_ASSERT(epp_health_new(&health) == 0);
        epp_health_handlers(health, handlers + 1);
        EPP_ASSERT(epp_h2_new(handlers, ARRAY_LEN(handlers), &h2_stats, &h) == 0);
        if (epp_h2_feed(h, epp_slice(preface, sizeof(preface) - 1), 1) == 0)
                (void)!epp_h2_feed(h, epp_slice(x, n), 2);
        (void)!epp_h2_tick(h, 2000000);
        while (epp_h2_drain(h, out, sizeof(out), 3) > 0)
                ;
        epp_h2_free(h, 4);
        EPP_ASSERT(open == 0 && stats.begun == stats.ended && stats.held_bytes == 0);
        epp_health_free(health);
        free(x);
        return 0;
}
