/* world.c - see world.h. The scrape plan follows daemon/scrape.c. */
#include "sim/world.h"

#include "fail/alloc.h"
#include "plugin/plugins.h"

#define BODY_MAX 1000000

static void
discard(void *ctx, enum epp_log_level level, struct epp_slice line)
{
        (void)ctx, (void)level, (void)line;
}

static epp_wall
wall(void *ctx)
{
        return ((const struct world *)ctx)->now + (epp_wall)1700000000 * 1000000;
}

static void
on_remove(void *ctx, struct epp_endpoint *e)
{
        struct probe *p = e->user;

        (void)ctx;
        if (!p)
                return;
        epp_promscan_fini(&p->scan);
        epp_load_fold_fini(&p->fold);
        free(p);
        e->user = NULL;
}

int
world_init(struct world *w)
{
        int r = ARMED(epp_pool_new(1, &w->pool));

        w->now = WORLD_BEGIN;
        w->staleness = 2000000;
        w->log = (struct epp_log){ EPP_LOG_DEBUG, false, discard, w, wall, NULL };
        w->director = (struct epp_director){ .pool = w->pool, .ready = true, .log = &w->log };
        w->cfg = (struct epp_stream_config){ .decider = epp_director_decider(&w->director),
                .hint_key = EPP_SLICE("x-gateway-destination-endpoint"),
                .hint_ns = EPP_SLICE("envoy.lb"), .max_body = BODY_MAX,
                .default_mode = EPP_MODE_DUPLEX, .response_marker = true, .stats = &w->stats };
        w->handler = epp_stream_handler(&w->cfg, BODY_MAX + 65536);
        if (r < 0)
                return r;
        r = ARMED(epp_series_new(20, 1, &w->director.series));
        if (r < 0)
                return r;
        epp_pool_on_remove(w->pool, on_remove, w);
        return world_scheduler(w, EPP_TREE_V03, &epp_thresholds_default, 1);
}

void
world_fini(struct world *w)
{
        envoy_fini(&w->envoy);
        epp_pool_free(w->pool);
        epp_models_free(w->models);
        epp_sched_free(w->sched);
        epp_series_free(w->director.series);
        epp_buf_fini(&w->objects);
        for (struct server *s = w->servers, *next; s; s = next) {
                next = s->next;
                epp_buf_fini(&s->page);
                free(s);
        }
        *w = (struct world){ 0 };
}

int
world_scheduler(struct world *w, enum epp_builtin tree, const struct epp_thresholds *t,
        uint64_t seed)
{
        struct epp_sched *s;
        int r = ARMED(epp_sched_new(tree, t, epp_plugins, seed, &s));

        if (r < 0)
                return r;
        epp_sched_free(w->sched);
        w->sched = w->director.sched = s;
        return 0;
}

static int
read_all(struct world *w, void (*say)(void *, const char *), void *ctx, struct epp_models **ret)
{
        struct epp_objects *o;
        struct epp_slice pool;
        int r = ARMED(epp_objects_new(EPP_SLICE("pool"), EPP_SLICE("default"), say, ctx, &o));

        if (r < 0)
                return r;
        r = ARMED(epp_objects_add(o, EPP_SLICE("objects"), epp_buf_slice(&w->objects)));
        if (r == 0)
                r = ARMED(epp_objects_finish(o, 1, ret, &pool));
        epp_objects_free(o);
        return r;
}

int
world_objects(struct world *w, const char *text, void (*say)(void *, const char *), void *ctx)
{
        struct epp_models *models;
        int r;

        EPP_ASSERT(epp_buf_append(&w->objects, EPP_SLICE("---\n")) == 0 &&
                epp_buf_append(&w->objects, epp_slice_str(text)) == 0);
        r = read_all(w, say, ctx, &models);
        if (r < 0)
                return r; /* the old set stays */
        epp_models_free(w->models);
        w->models = w->director.models = models;
        return 0;
}

struct server *
world_server(struct world *w, const char *name)
{
        for (struct server *s = w->servers; s; s = s->next)
                if (strcmp(s->name, name) == 0)
                        return s;
        return NULL;
}

struct epp_endpoint *
world_endpoint(const struct world *w, const char *name)
{
        return epp_pool_find(w->pool, epp_slice_str(name));
}

/* A server keeps its address when its endpoint goes and comes again. */
static struct server *
server_of(struct world *w, const char *name, const char *addr)
{
        struct server *s = world_server(w, name);

        if (!s) {
                s = calloc(1, sizeof(*s));
                EPP_ASSERT(s);
                snprintf(s->name, sizeof(s->name), "%s", name);
                snprintf(s->addr, sizeof(s->addr), "10.0.%u.%u:8000", w->n_servers / 250,
                        w->n_servers % 250 + 1);
                w->n_servers++;
                s->next = w->servers;
                w->servers = s;
        }
        if (addr)
                snprintf(s->addr, sizeof(s->addr), "%s", addr);
        return s;
}

int
world_add(struct world *w, const char *name, const char *addr)
{
        struct server *s = server_of(w, name, addr);

        return ARMED(epp_pool_put(w->pool, epp_slice_str(name), epp_slice_str(s->addr), NULL));
}

static struct probe *
probe_of(struct world *w, struct epp_endpoint *e)
{
        char name[64];
        struct probe *p = e->user;

        if (p)
                return p;
        p = ARMED(calloc(1, sizeof(*p)));
        if (!p)
                return NULL;
        snprintf(name, sizeof(name), SLICE_FMT, SLICE_ARG(e->name));
        p->server = server_of(w, name, NULL);
        epp_load_fold_init(&p->fold, epp_load_spec_default());
        EPP_ASSERT(epp_promscan_init(&p->scan, p->fold.names, p->fold.n_names,
                           epp_load_fold_sample, &p->fold) == 0);
        e->user = p;
        return p;
}

/* Reads a whole page into the endpoint's load; found signals, or EPP_ENOMEM. */
static int
read_page(struct probe *p, struct epp_endpoint *e, epp_us asked, epp_wall at, struct epp_slice page,
        size_t piece)
{
        int r = 0;

        alloc_arm();
        epp_promscan_begin(&p->scan);
        epp_load_fold_begin(&p->fold, asked, at);
        for (size_t i = 0; i < page.n; i += piece)
                r |= epp_promscan_feed(&p->scan, epp_slice(page.p + i, EPP_MIN(piece, page.n - i)));
        r |= epp_promscan_end(&p->scan, true);
        r = r < 0 ? EPP_ENOMEM : epp_load_fold_end(&p->fold, &e->load);
        alloc_disarm();
        return r;
}

int
world_scrape(struct world *w, const char *name, struct epp_slice page, size_t piece)
{
        struct epp_endpoint *e = world_endpoint(w, name);
        struct probe *p = e ? probe_of(w, e) : NULL;

        return p ? read_page(p, e, w->now, wall(w), page, piece) : EPP_ENOMEM;
}

/* ---- the plan ---- */

void
world_plan(struct world *w, epp_us period, double budget)
{
        epp_scraper_init(&w->plan, period, budget);
        w->planned = true;
        w->tick_at = w->now;
        w->timeout = 1000000;
}

static void
probe_done(struct world *w, struct epp_endpoint *e)
{
        struct probe *p = e->user;
        struct server *s = p->server;
        bool ok = s->mode == SERVER_UP;

        p->done_at = 0;
        if (ok)
                ok = read_page(p, e, p->asked_at, wall(w), epp_buf_slice(&s->page), 1000) >= 0;
        s->failed += !ok;
        epp_scrape_end(&p->turn, ok, w->now);
        if (w->cost)
                epp_scraper_cost(&w->plan, w->cost);
}

static void
probe_start(struct world *w, struct epp_endpoint *e)
{
        struct probe *p = probe_of(w, e);
        struct server *s;

        if (!p || !epp_scrape_begin(&w->plan, &p->turn, w->now))
                return;
        s = p->server;
        if (s->asked++)
                s->gap = EPP_MAX(s->gap, w->now - s->last);
        s->last = p->asked_at = w->now;
        p->done_at = w->now + (s->mode == SERVER_HANGS ? w->timeout : s->delay);
        if (p->done_at == w->now)
                probe_done(w, e);
}

static void
greet_new(struct world *w, struct epp_endpoint *const *list, size_t n)
{
        if (epp_pool_version(w->pool) == w->version)
                return;
        w->version = epp_pool_version(w->pool);
        for (size_t i = 0; i < n; i++)
                if (!list[i]->user)
                        probe_start(w, list[i]);
}

static void
tick(struct world *w)
{
        struct epp_endpoint *const *list;
        size_t n;

        list = epp_pool_list(w->pool, &n);
        greet_new(w, list, n);
        for (size_t due = epp_scraper_due(&w->plan, n, w->now); due; due--) {
                struct epp_endpoint *e = list[w->cursor++ % n];

                epp_load_age(&e->load, w->now, w->staleness);
                probe_start(w, e);
        }
        w->tick_at = epp_scraper_next(&w->plan, n, w->now);
}

/* The endpoint whose scrape ends first, or NULL. */
static struct epp_endpoint *
first_done(const struct world *w)
{
        struct epp_endpoint *const *list, *first = NULL;
        epp_us at = INT64_MAX;
        size_t n;

        list = epp_pool_list(w->pool, &n);
        for (size_t i = 0; i < n; i++) {
                const struct probe *p = list[i]->user;

                if (p && p->done_at && p->done_at < at) {
                        at = p->done_at;
                        first = list[i];
                }
        }
        return first;
}

static void
age_all(struct world *w)
{
        struct epp_endpoint *const *list;
        size_t n;

        list = epp_pool_list(w->pool, &n);
        for (size_t i = 0; i < n; i++)
                epp_load_age(&list[i]->load, w->now, w->staleness);
}

void
world_advance(struct world *w, epp_us to)
{
        while (w->planned) {
                struct epp_endpoint *e = first_done(w);
                epp_us done = e ? ((struct probe *)e->user)->done_at : INT64_MAX;

                if (EPP_MIN(done, w->tick_at) > to)
                        break;
                w->now = EPP_MIN(done, w->tick_at);
                if (done <= w->tick_at)
                        probe_done(w, e);
                else
                        tick(w);
        }
        w->now = to;
        w->envoy.now = to;
        if (!w->planned)
                age_all(w);
}

struct envoy *
world_envoy(struct world *w)
{
        struct epp_h2 *h2;
        struct call *kept;

        if (w->envoy.h2)
                return &w->envoy;
        if (ARMED(epp_h2_new(&w->handler, 1, &w->h2_stats, &h2)) < 0)
                return NULL;
        kept = w->envoy.calls; /* ended ones can still be asked about */
        if (w->envoy.client)
                nghttp2_session_del(w->envoy.client);
        if (envoy_init(&w->envoy, h2, w->now) < 0) {
                w->envoy.calls = kept;
                return NULL;
        }
        w->envoy.calls = kept;
        return &w->envoy;
}

uint64_t
world_inflight(const struct world *w)
{
        struct epp_endpoint *const *list;
        uint64_t sum = 0;
        size_t n;

        list = epp_pool_list(w->pool, &n);
        for (size_t i = 0; i < n; i++)
                sum += list[i]->inflight;
        return sum;
}
