/* dump.c - see dump.h. Parts follow each other, each writes one line per call; what a line says is
 * read when it is written, so two lines may be some milliseconds apart. */
#include "daemon/dump.h"

#include <event2/event.h>
#include <malloc.h>
#include <unistd.h>

#include "daemon/loop.h"
#include "daemon/process.h"

#define TURN_US 1000   /* of writing, then others have their turn */
#define TURN_LINES 20
#define PAUSE_US 2000  /* until the next: who reads the log has to follow */
#define ENDPOINTS_MAX 150
#define MODELS_MAX 100

struct dump {
        struct event_base *base;
        const struct pages *p;
        struct epp_log log; /* ours, so that no limit swallows a line */
        struct event *next;
        size_t part, at; /* what is written next */
        bool running;
        size_t lines;
        epp_us began;
        struct epp_ref refs[ENDPOINTS_MAX]; /* the endpoints that were there when it began */
        size_t n_refs;
};

static void
put(struct dump *d, const char *part, const struct epp_log_field *fields, size_t n)
{
        struct epp_log_field all[24] = { LOG_T("part", part) };

        EPP_ASSERT(n < ARRAY_LEN(all));
        memcpy(all + 1, fields, n * sizeof(*fields));
        epp_log_write(&d->log, EPP_LOG_INFO, "dump", all, n + 1);
        d->lines++;
}
#define PUT(d, part, ...) \
        put(d, part, (const struct epp_log_field[]){ __VA_ARGS__ }, \
                ARRAY_LEN(((const struct epp_log_field[]){ __VA_ARGS__ })))

/* Milliseconds since <at>; -1: never. */
static int64_t
age_ms(const struct dump *d, epp_us at)
{
        return at ? (loop_now(d->base) - at) / 1000 : -1;
}

/* ---- the parts: each writes its line <i>, or returns false when it has no more ---- */

static bool
put_process(struct dump *d, size_t i)
{
        const struct pages *p = d->p;
        size_t endpoints;

        if (i)
                return false;
        (void)epp_pool_list(p->pool, &endpoints);
        PUT(d, "process", LOG_N("pid", getpid()), LOG_N("ready", epp_health_ready(p->health)),
                LOG_T("why", epp_health_ready(p->health) ? "" : *p->why),
                LOG_N("endpoints", endpoints),
                LOG_N("models", epp_models_count(p->director->models)),
                LOG_N("requests", p->director->stats.requests),
                LOG_N("complete", p->director->stats.complete),
                LOG_N("aborted", p->director->stats.aborted));
        return true;
}

static bool
put_streams(struct dump *d, size_t i)
{
        const struct epp_h2_stats *h2 = d->p->h2;
        const struct epp_stream_stats *s = d->p->streams;

        if (i)
                return false;
        PUT(d, "streams", LOG_N("connections", h2->opened - h2->closed),
                LOG_N("streams", s->begun - s->ended), LOG_N("begun", s->begun),
                LOG_N("routed", s->routed), LOG_N("refused", s->refused),
                LOG_N("disconnected", s->disconnected), LOG_N("held_bytes", s->held_bytes),
                LOG_N("calls", h2->streams), LOG_N("resets", h2->resets),
                LOG_N("stalled", h2->stalled), LOG_N("aged", h2->aged));
        return true;
}

static bool
put_endpoint(struct dump *d, size_t i)
{
        const struct epp_endpoint *e;
        size_t all;

        (void)epp_pool_list(d->p->pool, &all);
        if (i == d->n_refs && all > i) {
                PUT(d, "endpoint", LOG_N("more", all - i));
                return true;
        }
        if (i >= d->n_refs)
                return false;
        e = epp_pool_get(d->p->pool, d->refs[i]);
        if (!e)
                return true; /* it has gone since */
        PUT(d, "endpoint", LOG_S("name", e->name), LOG_S("addr", e->addr),
                LOG_T("state", epp_load_state_name(e->load.state)),
                LOG_N("age_ms", age_ms(d, e->load.at)), LOG_N("waiting", e->load.waiting),
                LOG_N("running", e->load.running),
                LOG_N("kv_percent", e->load.kv_ratio * 100 + 0.5),
                LOG_N("adapters", e->load.lora_v03.n), LOG_N("inflight", e->inflight),
                LOG_N("picks", e->picks), LOG_N("ttft_us", e->ttft_us));
        return true;
}

/* What was counted under the model's name. */
static void
count_model(struct dump *d, struct epp_slice model, uint64_t *ret_requests, uint64_t *ret_errors)
{
        struct epp_cell *const *cells;
        size_t n;

        *ret_requests = *ret_errors = 0;
        cells = epp_series_list(d->p->director->series, &n);
        for (size_t i = 0; i < n; i++) {
                if (!epp_slice_eq(cells[i]->labels.model, model))
                        continue;
                *ret_requests += cells[i]->requests;
                for (size_t k = 0; k < EPP_FAIL_COUNT; k++)
                        *ret_errors += cells[i]->failures[k];
        }
}

static bool
put_model(struct dump *d, size_t i)
{
        const struct epp_models *models = d->p->director->models; /* others by now, it may be */
        size_t all = epp_models_count(models);
        const struct epp_model *m;
        uint64_t requests, errors;

        if (i == MODELS_MAX && all > i) {
                PUT(d, "model", LOG_N("more", all - i));
                return true;
        }
        if (i >= EPP_MIN(all, MODELS_MAX))
                return false;
        m = epp_models_list(models)[i];
        count_model(d, m->name, &requests, &errors);
        PUT(d, "model", LOG_S("name", m->name),
                LOG_T("criticality", epp_criticality_name(m->criticality)),
                LOG_N("targets", m->n_targets), LOG_N("requests", requests),
                LOG_N("errors", errors));
        return true;
}

static bool
put_scrapes(struct dump *d, size_t i)
{
        struct epp_log_field f[3 + FETCH_RESULTS] = {
                LOG_N("period_us", scrapes_period(d->p->scrapes)),
                LOG_N("skipped", scrapes_skipped(d->p->scrapes)),
                LOG_N("bytes", d->p->scrape->bytes),
        };

        if (i)
                return false;
        for (size_t r = 0; r < FETCH_RESULTS; r++)
                f[3 + r] = LOG_N(fetch_result_name((enum fetch_result)r), d->p->scrape->result[r]);
        put(d, "scrapes", f, ARRAY_LEN(f));
        return true;
}

static bool
put_watch(struct dump *d, size_t i)
{
        struct epp_reflector *const *list;
        const struct epp_reflect_stats *s;
        size_t n = 0;

        list = d->p->watch ? epp_cluster_reflectors(watch_cluster(d->p->watch), &n) : NULL;
        if (i >= n)
                return false;
        s = epp_reflector_stats(list[i]);
        PUT(d, "watch", LOG_T("kind", epp_reflector_name(list[i])),
                LOG_T("state", epp_reflector_state_name(epp_reflector_state(list[i]))),
                LOG_N("synced", epp_reflector_synced(list[i])),
                LOG_N("objects", epp_cluster_kind(watch_cluster(d->p->watch), i)->objects),
                LOG_N("synced_age_ms", age_ms(d, s->synced_at)),
                LOG_N("event_age_ms", age_ms(d, s->heard_at)),
                LOG_N("lists", s->lists), LOG_N("watches", s->watches),
                LOG_N("http", epp_reflector_trouble(list[i])));
        return true;
}

static bool
put_sources(struct dump *d, size_t i)
{
        if (i)
                return false;
        PUT(d, "sources", LOG_N("reloads", d->p->sources->reloads),
                LOG_N("failures", d->p->sources->failures), LOG_T("leader", !d->p->lease
                ? "no election" : lease_leading(d->p->lease) ? "we" : "another, or none"));
        return true;
}

static bool
put_memory(struct dump *d, size_t i)
{
        struct mallinfo2 m;

        if (i)
                return false;
        m = mallinfo2();
        PUT(d, "memory", LOG_N("resident_kib", process_resident() / 1024),
                LOG_N("heap_kib", (m.uordblks + m.hblkhd) / 1024),
                LOG_N("heap_free_kib", m.fordblks / 1024));
        return true;
}

static bool (*const parts[])(struct dump *d, size_t i) = { put_process, put_streams, put_endpoint,
        put_model, put_scrapes, put_watch, put_sources, put_memory };

/* ---- turns ---- */

/* Writes a line, or goes to the next part. Returns false when all is written. */
static bool
step(struct dump *d)
{
        if (d->part == ARRAY_LEN(parts)) {
                d->running = false;
                PUT(d, "end", LOG_N("lines", d->lines + 1),
                        LOG_N("us", loop_now(d->base) - d->began));
                return false;
        }
        if (parts[d->part](d, d->at)) {
                d->at++;
        } else {
                d->part++;
                d->at = 0;
        }
        return true;
}

static void
on_turn(evutil_socket_t fd, short what, void *user)
{
        struct timeval pause = { 0, PAUSE_US };
        struct dump *d = user;
        struct span span = span_begin(SPAN_DUMP);
        size_t first = d->lines;

        (void)fd, (void)what;
        while (step(d)) {
                if (d->lines - first < TURN_LINES && loop_now(d->base) - span.wall < TURN_US)
                        continue;
                evtimer_add(d->next, &pause);
                break;
        }
        span_end(SPAN_DUMP, span);
}

int
dump_new(struct event_base *base, const struct pages *what, const struct epp_log *log,
        struct dump **ret)
{
        struct dump *d = calloc(1, sizeof(*d));

        if (!d)
                return EPP_ENOMEM;
        *d = (struct dump){ .base = base, .p = what, .log = *log };
        d->log.limit = NULL;
        d->next = evtimer_new(base, on_turn, d);
        if (!d->next) {
                free(d);
                return EPP_ENOMEM;
        }
        *ret = d;
        return 0;
}

void
dump_start(struct dump *d)
{
        struct epp_endpoint *const *list;
        size_t n;

        if (d->running)
                return;
        d->running = true;
        d->part = d->at = d->lines = 0;
        d->began = loop_now(d->base);
        list = epp_pool_list(d->p->pool, &n);
        d->n_refs = EPP_MIN(n, ENDPOINTS_MAX);
        for (size_t i = 0; i < d->n_refs; i++)
                d->refs[i] = list[i]->ref;
        on_turn(-1, 0, d);
}

void
dump_free(struct dump *d)
{
        if (!d)
                return;
        event_free(d->next);
        free(d);
}
