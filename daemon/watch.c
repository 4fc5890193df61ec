/* watch.c - see watch.h. One slot per reflector; after anything that was reported, every slot is
 * brought in line with what its reflector wishes. */
#include "daemon/watch.h"

#include <event2/event.h>

#include "daemon/loop.h"
#include "daemon/span.h"

#define SLOTS 16

struct slot {
        struct watch *w;
        struct epp_reflector *r;
        struct api_call *call;
        uint64_t request;       /* that <call> carries out; 0: none */
};

struct watch {
        struct event_base *base;
        const struct epp_log *log;
        struct api *api;
        struct epp_cluster *cluster;
        struct slot slots[SLOTS];
        size_t n;
        struct event *wake;     /* for the earliest wish, or at once after a report */
        char ns[256];
        void (*ready)(void *ctx);
        void *ctx;
        bool was_ready;
};

static void settle(struct watch *w);

/* ---- what comes ---- */

static void
soon(struct watch *w)
{
        struct timeval now = { 0, 0 };

        evtimer_add(w->wake, &now);
}

static void
on_status(void *ctx, int http, long retry_after_s)
{
        struct slot *s = ctx;
        struct watch *w = s->w;
        epp_us now = loop_now(w->base);

        epp_reflector_status(s->r, s->request, http, retry_after_s, now);
        for (size_t i = 0; i < w->n; i++)
                if (&w->slots[i] != s)
                        epp_reflector_nudge(w->slots[i].r, now);
        soon(w);
}

static bool
on_data(void *ctx, struct epp_slice piece)
{
        struct slot *s = ctx;

        soon(s->w);
        return epp_reflector_data(s->r, s->request, piece, loop_now(s->w->base)) == 0;
}

static void
on_end(void *ctx, bool ok)
{
        struct slot *s = ctx;
        uint64_t request = s->request;

        s->call = NULL;
        s->request = 0;
        epp_reflector_end(s->r, request, ok, loop_now(s->w->base));
        soon(s->w);
}

static const struct api_ops ops = { on_status, on_data, on_end };

static void
on_rotation(void *ctx)
{
        struct watch *w = ctx;

        for (size_t i = 0; i < w->n; i++)
                epp_reflector_new_credentials(w->slots[i].r, loop_now(w->base));
        soon(w);
}

/* ---- what is wanted ---- */

/* Returns when to look again. */
static epp_us
settle_slot(struct slot *s, epp_us now)
{
        struct epp_reflect_wish wish;
        struct api_request q = { .method = "GET" };

        epp_reflector_wish(s->r, now, &wish);
        if (wish.request == s->request)
                return wish.at;
        api_drop(s->call);
        s->call = NULL;
        s->request = wish.request;
        if (!wish.request)
                return wish.at;
        q.path = wish.url;
        q.timeout_ms = wish.timeout_ms;
        q.stream = wish.watch;
        if (api_begin(s->w->api, &q, &ops, s, &s->call) < 0) {
                s->request = 0;
                epp_reflector_end(s->r, wish.request, false, now);
                return now; /* what it wishes now is another thing */
        }
        return wish.at;
}

static void
settle(struct watch *w)
{
        epp_us now = loop_now(w->base), at, wait;
        struct timeval tv;

        epp_cluster_tick(w->cluster, now);
        at = epp_cluster_next(w->cluster);
        for (size_t i = 0; i < w->n; i++)
                at = EPP_MIN(at, settle_slot(&w->slots[i], now));
        wait = EPP_MIN(EPP_MAX(at - now, (epp_us)1000), (epp_us)3600000000);
        tv = (struct timeval){ wait / 1000000, wait % 1000000 };
        if (!evtimer_pending(w->wake, NULL))
                evtimer_add(w->wake, &tv);
        w->ready(w->ctx);
}

static void
on_wake(evutil_socket_t fd, short what, void *user)
{
        struct span span = span_begin(SPAN_WATCH);

        (void)fd, (void)what;
        settle(user);
        span_end(SPAN_WATCH, span);
}

/* ---- life ---- */

static bool
parse_ports(const char *text, struct epp_cluster_config *cfg)
{
        struct epp_slice rest = epp_slice_str(text);

        while (rest.p) {
                struct epp_slice port = epp_slice_trim(epp_slice_cut(&rest, ','));
                unsigned v = 0;
                bool again = false;

                if (port.n == 0 || port.n > 5)
                        return false;
                for (size_t i = 0; i < port.n; i++) {
                        if (port.p[i] < '0' || port.p[i] > '9')
                                return false;
                        v = v * 10 + (unsigned)(port.p[i] - '0');
                }
                for (size_t i = 0; i < cfg->n_ports; i++)
                        again |= cfg->ports[i] == v;
                if (v < 1 || v > 65535 || (!again && cfg->n_ports == ARRAY_LEN(cfg->ports)))
                        return false;
                if (!again)
                        cfg->ports[cfg->n_ports++] = v;
        }
        return true;
}

static int
refuse(const char *what)
{
        fprintf(stderr, "eppd: %s\n", what);
        return -1;
}

static int
check_flags(const struct opt *o, struct epp_cluster_config *cfg)
{
        if (!*o->pool_name && !*o->endpoint_selector)
                return refuse("no source of endpoints: give --pool-name (an InferencePool), "
                              "--endpoint-selector, --endpoint or --endpoints-file");
        if (*o->pool_name && *o->endpoint_selector)
                return refuse("--pool-name and --endpoint-selector: give one of them");
        if (o->objects.n)
                return refuse("--objects needs --endpoint or --endpoints-file: with Kubernetes the "
                              "objects come from the API server");
        if (*o->endpoint_selector && !*o->endpoint_ports)
                return refuse("--endpoint-selector needs --endpoint-target-ports");
        if (*o->endpoint_ports && !parse_ports(o->endpoint_ports, cfg))
                return refuse("--endpoint-target-ports: not a list of 1 to 8 ports, 1 to 65535");
        return 0;
}

/* --pool-namespace, or NAMESPACE, or that of the service account where nothing was said. */
static void
choose_namespace(struct watch *w, const struct opt *o)
{
        const char *env = getenv("NAMESPACE");

        snprintf(w->ns, sizeof(w->ns), "%s", *o->pool_namespace ? o->pool_namespace
                        : env && *env ? env : "default");
        if (!*o->pool_namespace && !(env && *env) && *api_namespace(w->api) &&
                strcmp(api_namespace(w->api), w->ns) != 0)
                epp_log(w->log, EPP_LOG_WARN, "namespace", LOG_T("watched", w->ns),
                        LOG_T("own", api_namespace(w->api)),
                        LOG_T("why", "give --pool-namespace if it should be our own"));
}

int
watch_new(struct event_base *base, const struct opt *o, struct epp_director *d, uint64_t seed,
        const struct epp_log *log, void (*ready)(void *ctx), void *ctx, struct watch **ret)
{
        struct epp_cluster_config cfg = { .pool = d->pool, .models = &d->models, .log = log,
                .streaming = o->k8s_streaming_list == 0, .seed = seed };
        struct api_config where = { .from = { .kubeconfig = *o->kubeconfig ? o->kubeconfig : NULL,
                .context = *o->kube_context ? o->kube_context : NULL, .env = getenv } };
        struct watch *w = calloc(1, sizeof(*w));
        struct epp_reflector *const *list;
        char err[512];
        int r;

        *ret = w;
        if (!w)
                return refuse("out of memory");
        w->base = base;
        w->log = log;
        w->ready = ready;
        w->ctx = ctx;
        w->wake = evtimer_new(base, on_wake, w);
        if (check_flags(o, &cfg) < 0)
                return -1;
        if (!w->wake)
                return refuse("out of memory");
        if (api_new(base, &where, log, &w->api, err, sizeof(err)) < 0)
                return refuse(err);
        choose_namespace(w, o);
        cfg.pool_name = epp_slice_str(o->pool_name);
        cfg.ns = epp_slice_str(w->ns);
        cfg.group = (enum epp_pool_group)(o->pool_group > 2 ? o->pool_group - 2 : o->pool_group);
        cfg.selector = epp_slice_str(o->endpoint_selector);
        r = epp_cluster_new(&cfg, &w->cluster);
        if (r < 0)
                return refuse(r == EPP_EINVAL ? "--endpoint-selector is not a label selector"
                                              : "out of memory");
        list = epp_cluster_reflectors(w->cluster, &w->n);
        EPP_ASSERT(w->n <= SLOTS);
        for (size_t i = 0; i < w->n; i++)
                w->slots[i] = (struct slot){ .w = w, .r = list[i] };
        api_on_rotation(w->api, on_rotation, w);
        epp_log(log, EPP_LOG_INFO, "kubernetes", LOG_T("server", api_server(w->api)),
                LOG_T("namespace", w->ns), LOG_T("pool", o->pool_name));
        soon(w);
        return 0;
}

void
watch_free(struct watch *w)
{
        if (!w)
                return;
        for (size_t i = 0; i < w->n; i++)
                api_drop(w->slots[i].call);
        epp_cluster_free(w->cluster);
        api_free(w->api);
        if (w->wake)
                event_free(w->wake);
        free(w);
}

bool
watch_ready(struct watch *w, const char **why)
{
        return epp_cluster_ready(w->cluster, loop_now(w->base), why);
}

struct api *
watch_api(struct watch *w)
{
        return w->api;
}

const char *
watch_namespace(const struct watch *w)
{
        return w->ns;
}

struct epp_cluster *
watch_cluster(struct watch *w)
{
        return w->cluster;
}
