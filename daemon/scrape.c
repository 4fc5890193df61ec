/* scrape.c - see scrape.h. One timer walks the ring of endpoints; an endpoint's own state hangs on
 * its user pointer and goes with it. */
#include "daemon/scrape.h"

#include <event2/event.h>

#include "daemon/loop.h"
#include "model/metricspec.h"
#include "serve/narrow.h"
#include "wire/promscan.h"

#define PAGE_MAX (4u << 20)
#define CONNECTIONS_MAX 4096
/* New endpoints greeted, and removed ones buried, per turn: a handle takes some 8 us to make, up to
 * 90 to connect, 20 to free, and 1,000 pods may come or go in one event. */
#define TURN_MAX 16
#define TURN_AGAIN_US 1000

struct scrape {
        struct scrapes *all;
        struct scrape *next;    /* in graves */
        struct epp_endpoint *e; /* NULL: removed */
        struct fetch *fetch;
        struct epp_scrape turn;
        struct epp_promscan scan;
        struct epp_load_fold fold;
        struct epp_narrow narrow;
        bool named;             /* the fetch's address has the query */
        epp_us asked;           /* when the page under way was */
        bool nomem;
        bool refused;           /* since the last page: it may be another process by now */
        enum fetch_result last; /* said in the log when it changes */
        uint32_t missing;       /* said too */
        bool odd;               /* likewise: values that are not believed */
};

struct scrapes {
        struct event_base *base;
        const struct opt *opt;
        struct epp_pool *pool;
        const struct epp_log *log;
        struct scrape_stats *stats;
        struct epp_load_spec spec;
        char *metrics[5];   /* the texts of the spec */
        struct epp_buf query; /* for the wanted families, with its ? or &; empty: never asked so */
        struct fetcher *fetcher;
        struct epp_scraper plan;
        struct event *tick;
        struct scrape *graves; /* of endpoints that are gone; freed some at a time */
        size_t cursor;
        epp_us due;         /* when the tick is */
        uint64_t version;   /* of the pool when endpoints were looked through last */
        epp_us ticks;       /* time that the ticks took */
        uint64_t spent;     /* of that and the fetcher's time, what has been accounted for */
};

static bool
on_data(void *ctx, struct epp_slice piece)
{
        struct scrape *s = ctx;

        if (!s->e)
                return false;
        s->all->stats->bytes += piece.n;
        s->nomem |= epp_promscan_feed(&s->scan, piece) < 0;
        return true;
}

static void
say_change(struct scrape *s, enum fetch_result r, long status)
{
        if (r == s->last)
                return;
        s->last = r;
        epp_log(s->all->log, r == FETCH_OK ? EPP_LOG_INFO : EPP_LOG_WARN, "scrape",
                LOG_S("ep", s->e->name), LOG_T("result", fetch_result_name(r)),
                LOG_N("status", status));
}

/* Adapters have no family before the first request for one: it is not missed. */
static const struct {
        enum epp_load_signal signal;
        const char *name;
} families[SCRAPE_FAMILIES] = { { EPP_LOAD_WAITING, "waiting" }, { EPP_LOAD_RUNNING, "running" },
        { EPP_LOAD_KV, "kv" }, { EPP_LOAD_CACHE_INFO, "cache_info" },
        { EPP_LOAD_BLOCK_SIZE, "block_size" }, { EPP_LOAD_BLOCKS, "blocks" } };

const char *
scrape_family(size_t i)
{
        return families[i].name;
}

/* Families that are asked for and not there. */
static void
say_missing(struct scrape *s)
{
        uint32_t now = 0;
        char list[80] = "none";
        size_t n = 0;

        for (size_t i = 0; i < SCRAPE_FAMILIES; i++) {
                if (!(s->e->load.missing & 1u << families[i].signal))
                        continue;
                now |= 1u << i;
                s->all->stats->missing[i]++;
                n += (size_t)snprintf(
                        list + n, sizeof(list) - n, "%s%s", n ? "," : "", families[i].name);
        }
        if (now == s->missing)
                return;
        s->missing = now;
        epp_log(s->all->log, now ? EPP_LOG_WARN : EPP_LOG_INFO, "metrics", LOG_S("ep", s->e->name),
                LOG_T("missing", list));
}

/* Values that no server can mean: a negative queue, a cache that is 55 times full, no number. */
static void
say_odd(struct scrape *s)
{
        uint32_t n = s->fold.rejected;

        s->all->stats->odd_values += n;
        if (s->odd == (n != 0))
                return;
        s->odd = n != 0;
        epp_log(s->all->log, n ? EPP_LOG_WARN : EPP_LOG_INFO, "metrics", LOG_S("ep", s->e->name),
                LOG_N("values_not_believed", n));
}

static void
account(struct scrapes *all)
{
        uint64_t spent = fetcher_spent(all->fetcher) + (uint64_t)all->ticks;

        epp_scraper_cost(&all->plan, (epp_us)(spent - all->spent));
        all->spent = spent;
}

/* What the page says goes to the endpoint; returns whether it is one of metrics. A page of
 * something else is as good as none. */
static bool
take(struct scrape *s, enum fetch_result r, long status)
{
        struct scrapes *all = s->all;
        int found = 0;

        epp_hist_add(&all->stats->duration, (double)(loop_now(all->base) - s->asked) / 1e6);
        all->stats->result[r]++;
        all->stats->line_errors += s->scan.errors;
        if (r == FETCH_OK && !s->nomem) {
                if (s->refused)
                        epp_load_restart(&s->e->load);
                s->refused = false;
                found = epp_load_fold_end(&s->fold, &s->e->load);
                all->stats->not_metrics += found == 0;
                say_missing(s);
                say_odd(s);
        }
        say_change(s, r, status);
        return found > 0;
}

/* Without memory of our own nothing is learnt about the server. */
static bool
judge(struct scrape *s, enum fetch_result r, long status)
{
        static const enum epp_came came[FETCH_RESULTS] = { [FETCH_OK] = EPP_CAME_PAGE,
                [FETCH_CONNECT] = EPP_CAME_NOTHING, [FETCH_TIMEOUT] = EPP_CAME_LATE,
                [FETCH_STATUS] = EPP_CAME_ERROR, [FETCH_TOO_LARGE] = EPP_CAME_ERROR,
                [FETCH_TRUNCATED] = EPP_CAME_CUT, [FETCH_ENCODING] = EPP_CAME_ERROR };
        static const char *const states[] = { "whole", "trial", "on", "rejected" };
        enum epp_narrow_state before = s->narrow.state;
        bool used = s->nomem ||
                    epp_narrow_judge(&s->narrow, came[r], s->fold.found, s->scan.bytes);

        s->all->stats->rejected += !used;
        if (s->narrow.state != before)
                epp_log(s->all->log, EPP_LOG_DEBUG, "name_filter", LOG_S("ep", s->e->name),
                        LOG_T("is", states[s->narrow.state]), LOG_T("result", fetch_result_name(r)),
                        LOG_N("status", status), LOG_N("bytes", s->scan.bytes));
        return used;
}

static void
on_done(void *ctx, enum fetch_result r, long status)
{
        struct scrape *s = ctx;
        bool ok;

        if (!s->e)
                return;
        s->nomem |= epp_promscan_end(&s->scan, r == FETCH_OK) < 0;
        s->refused |= r == FETCH_CONNECT;
        /* An answer that is not used was our experiment, and no failure of the endpoint. */
        ok = !judge(s, r, status) || take(s, r, status);
        epp_scrape_end(&s->turn, ok, loop_now(s->all->base));
        account(s->all);
}

static const struct fetch_ops ops = { .data = on_data, .done = on_done };

static void
scrape_free(struct scrape *s)
{
        if (!s)
                return;
        fetch_free(s->fetch);
        epp_promscan_fini(&s->scan);
        epp_load_fold_fini(&s->fold);
        free(s);
}

/* The page's address; the port is the endpoint's unless a flag says otherwise. NULL: no memory. */
static char *
page_url(const struct scrapes *all, const struct epp_endpoint *e, bool named)
{
        static const char *const schemes[] = { "http", "https" };
        const struct opt *o = all->opt;
        struct epp_slice query = named ? epp_buf_slice(&all->query) : EPP_SLICE("");
        bool six = memchr(e->ip.p, ':', e->ip.n) != NULL;
        char *url;

        if (asprintf(&url, "%s://%s" SLICE_FMT "%s:%u%s%s" SLICE_FMT, schemes[o->metrics_scheme],
                    six ? "[" : "", SLICE_ARG(e->ip), six ? "]" : "",
                    o->server_metrics_port ? o->server_metrics_port : e->port,
                    *o->metrics_path == '/' ? "" : "/", o->metrics_path, SLICE_ARG(query)) < 0)
                return NULL;
        return url;
}

/* The address is given to libcurl only when it changes, which is hardly ever. */
static bool
point(struct scrape *s)
{
        bool named = epp_narrow_asks(&s->narrow), done;
        char *url;

        if (named == s->named)
                return true;
        url = page_url(s->all, s->e, named);
        done = url && fetch_url(s->fetch, url) == 0;
        if (done)
                s->named = named;
        free(url);
        return done;
}

static struct scrape *
scrape_new(struct scrapes *all, struct epp_endpoint *e)
{
        struct scrape *s = calloc(1, sizeof(*s));
        char *url = page_url(all, e, false);
        struct fetch_config cfg = { .url = url, .max_body = PAGE_MAX,
                /* 0 would be no deadline */
                .timeout_ms = (unsigned)EPP_MAX(all->opt->scrape_timeout / 1000, (epp_us)1),
                .insecure = all->opt->metrics_insecure };

        if (!s || !url)
                goto fail;
        s->all = all;
        s->e = e;
        if (epp_buf_len(&all->query) == 0)
                epp_narrow_off(&s->narrow);
        epp_load_fold_init(&s->fold, &all->spec);
        if (epp_promscan_init(&s->scan, s->fold.names, s->fold.n_names, epp_load_fold_sample,
                    &s->fold) < 0 ||
                fetch_new(all->fetcher, &cfg, &ops, s, &s->fetch) < 0)
                goto fail;
        free(url);
        return s;
fail:
        free(url);
        scrape_free(s);
        return NULL;
}

static void
scrape_start(struct scrape *s, epp_us now)
{
        if (!epp_scrape_begin(&s->all->plan, &s->turn, now))
                return;
        s->nomem = false;
        s->asked = now;
        epp_promscan_begin(&s->scan);
        epp_load_fold_begin(&s->fold, now, loop_wall());
        if (!point(s) || !fetch_start(s->fetch))
                epp_scrape_end(&s->turn, false, now);
}

/* New endpoints are asked at once, or as soon as it is their turn. Returns true when some wait. */
static bool
greet_new(struct scrapes *all, struct epp_endpoint *const *list, size_t n, epp_us now)
{
        size_t met = 0;
        bool whole = true;

        if (epp_pool_version(all->pool) == all->version)
                return false;
        for (size_t i = 0; i < n; i++) {
                if (list[i]->user)
                        continue;
                if (met++ == TURN_MAX)
                        return true;
                list[i]->user = scrape_new(all, list[i]);
                whole &= list[i]->user != NULL;
                if (list[i]->user)
                        scrape_start(list[i]->user, now);
        }
        if (whole)
                all->version = epp_pool_version(all->pool);
        return false;
}

/* Returns true when some are left. */
static bool
bury(struct scrapes *all, size_t most)
{
        while (all->graves && most--) {
                struct scrape *s = all->graves;

                all->graves = s->next;
                scrape_free(s);
        }
        return all->graves != NULL;
}

static void
on_tick(evutil_socket_t fd, short what, void *user)
{
        struct scrapes *all = user;
        struct span span = span_begin(SPAN_SCRAPE_TICK);
        epp_us now = span.wall, wait;
        struct epp_endpoint *const *list;
        struct timeval tv;
        bool again;
        size_t n;

        (void)fd, (void)what;
        loop_late(all->due, now);
        list = epp_pool_list(all->pool, &n);
        again = bury(all, TURN_MAX);
        again |= greet_new(all, list, n, now);
        for (size_t due = epp_scraper_due(&all->plan, n, now); due; due--) {
                struct epp_endpoint *e = list[all->cursor++ % n];

                epp_load_age(&e->load, now, all->opt->staleness);
                if (e->user)
                        scrape_start(e->user, now);
        }
        wait = epp_scraper_next(&all->plan, n, now) - now;
        if (again)
                wait = EPP_MIN(wait, (epp_us)TURN_AGAIN_US);
        tv = (struct timeval){ wait / 1000000, wait % 1000000 };
        all->due = now + wait;
        evtimer_add(all->tick, &tv);
        all->ticks += loop_now(all->base) - now;
        span_end(SPAN_SCRAPE_TICK, span);
}

static void
on_remove(void *ctx, struct epp_endpoint *e)
{
        struct scrapes *all = ctx;
        struct scrape *s = e->user;

        if (!s)
                return;
        e->user = NULL;
        s->e = NULL;
        s->next = all->graves;
        all->graves = s;
}

/* The default engine, with what the flags say otherwise; they have been checked. */
static bool
choose_metrics(struct scrapes *s)
{
        const struct {
                enum epp_load_signal signal;
                const char *text;
        } flags[ARRAY_LEN(s->metrics)] = { { EPP_LOAD_WAITING, s->opt->queued_metric },
                { EPP_LOAD_RUNNING, s->opt->running_metric }, { EPP_LOAD_KV, s->opt->kv_metric },
                { EPP_LOAD_LORA, s->opt->lora_metric },
                { EPP_LOAD_CACHE_INFO, s->opt->cache_metric } };

        s->spec = *epp_load_spec_default();
        for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
                s->metrics[i] = strdup(flags[i].text);
                if (!s->metrics[i] ||
                        epp_metricspec_parse(s->metrics[i], &s->spec.metric[flags[i].signal]) < 0)
                        return false;
        }
        return true;
}

/* All that is scanned for, both names of the KV cache and what is not there yet included; names
 * have nothing to escape. */
static bool
make_query(struct scrapes *s)
{
        struct epp_load_fold f; /* only for its list, where each is once */
        bool ok = true;

        epp_load_fold_init(&f, &s->spec);
        for (unsigned i = 0; i < f.n_names && ok && s->opt->name_filter; i++) {
                bool more = i > 0 || strchr(s->opt->metrics_path, '?');

                ok = epp_buf_append(&s->query, epp_slice_str(more ? "&" : "?")) == 0 &&
                     epp_buf_append(&s->query, EPP_SLICE("name%5B%5D=")) == 0 &&
                     epp_buf_append(&s->query, f.names[i]) == 0;
        }
        epp_load_fold_fini(&f);
        return ok;
}

int
scrapes_new(struct event_base *base, const struct opt *o, struct epp_pool *pool,
        const struct epp_log *log, struct scrape_stats *stats, struct scrapes **ret)
{
        struct scrapes *s = calloc(1, sizeof(*s));
        struct timeval soon = { 0, 0 };

        if (!s)
                return EPP_ENOMEM;
        *s = (struct scrapes){ .base = base, .opt = o, .pool = pool, .log = log, .stats = stats };
        EPP_HIST_INIT(stats, duration, SCRAPE);
        epp_scraper_init(&s->plan, EPP_MAX(o->refresh, (epp_us)1000), o->scrape_budget);
        s->tick = evtimer_new(base, on_tick, s);
        if (!choose_metrics(s) || !make_query(s) || !s->tick ||
                fetcher_new(base, CONNECTIONS_MAX, SPAN_SCRAPE, &s->fetcher) < 0 ||
                evtimer_add(s->tick, &soon) < 0) {
                scrapes_free(s);
                return EPP_ENOMEM;
        }
        epp_pool_on_remove(pool, on_remove, s);
        *ret = s;
        return 0;
}

epp_us
scrapes_period(const struct scrapes *s)
{
        size_t n;

        (void)epp_pool_list(s->pool, &n);
        return epp_scraper_period(&s->plan, n);
}

uint64_t
scrapes_skipped(const struct scrapes *s)
{
        return s->plan.skipped;
}

size_t
scrapes_filtered(const struct scrapes *s)
{
        struct epp_endpoint *const *list;
        size_t n, count = 0;

        list = epp_pool_list(s->pool, &n);
        for (size_t i = 0; i < n; i++) {
                const struct scrape *one = list[i]->user;

                count += one && one->narrow.state == EPP_NARROW_ON;
        }
        return count;
}

void
scrapes_free(struct scrapes *s)
{
        struct epp_endpoint *const *list;
        size_t n;

        if (!s)
                return;
        list = epp_pool_list(s->pool, &n);
        for (size_t i = 0; i < n; i++)
                on_remove(s, list[i]);
        epp_pool_on_remove(s->pool, NULL, NULL);
        (void)bury(s, SIZE_MAX);
        if (s->tick)
                event_free(s->tick);
        fetcher_free(s->fetcher);
        for (size_t i = 0; i < ARRAY_LEN(s->metrics); i++)
                free(s->metrics[i]);
        epp_buf_fini(&s->query);
        free(s);
}
