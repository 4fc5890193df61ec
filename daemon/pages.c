/* pages.c - see pages.h. */
#include "daemon/pages.h"

#include "daemon/debug.h"
#include "daemon/metrics.h"
#include "daemon/status.h"
#include "daemon/text.h"

struct epp_slice
pages_pool(const struct pages *p)
{
        if (*p->opt->pool_name || !p->files)
                return epp_slice_str(p->opt->pool_name);
        return epp_slice_str(sources_pool(p->files));
}

static void
render_health(void *ctx, const struct admin_request *q, struct admin_reply *r)
{
        struct text t = { &r->body, false };

        (void)ctx, (void)q;
        text_putf(&t, "ok\n");
        r->code = t.failed ? 500 : 200;
}

static void
render_ready(void *ctx, const struct admin_request *q, struct admin_reply *r)
{
        const struct pages *p = ctx;
        bool ready = epp_health_ready(p->health);
        struct text t = { &r->body, false };

        (void)q;
        text_putf(&t, ready ? "ready\n" : "not ready: %s\n", *p->why);
        r->code = t.failed ? 500 : ready ? 200 : 503;
}

const struct admin_page pages_table[PAGES] = {
        { "/healthz", ADMIN_HEALTH, render_health },
        { "/readyz", ADMIN_HEALTH, render_ready },
        { "/metrics", ADMIN_METRICS, metrics_render },
        { "/debug/", ADMIN_DEBUG, debug_index },
        { "/debug/config", ADMIN_DEBUG, debug_config },
        { "/debug/decisions", ADMIN_DEBUG, debug_decisions },
        { "/debug/memory", ADMIN_DEBUG, debug_memory },
        { "/debug/pool", ADMIN_DEBUG, status_render_json },
        { "/", ADMIN_DEBUG, status_render_html },
};
