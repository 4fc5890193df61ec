/* director.c - see director.h. decide() is the story; each step refuses or goes on. */
#include "serve/director.h"

#include <inttypes.h>
#include <stdarg.h>
#include <xxhash.h>

#include "serve/account.h"
#include "serve/explain.h"
#include "serve/subset.h"

#define NAME_SHOWN 120 /* bytes of a client's model name in an answer */

#define TTFT_WEIGHT 0.1 /* of the newest: the last ten or so count */

/* A routed request that has not ended. */
struct ticket {
        struct epp_ref ref;
        struct epp_record record; /* its texts follow the ticket, ... */
        char *moved;              /* ... but those of the endpoint after a retry of the gateway */
};

static const struct {
        const char *name;
        int http;
        const char *reason; /* x-llm-d-request-dropped-reason */
} refusals[EPP_FAIL_COUNT] = {
        [EPP_FAIL_BAD_REQUEST] = { "BadRequest", 400, NULL },
        [EPP_FAIL_NOT_FOUND] = { "BadConfiguration", 404, NULL },
        [EPP_FAIL_EXHAUSTED] = { "ResourceExhausted", 429, "rejected-saturated" },
        [EPP_FAIL_UNAVAILABLE] = { "ServiceUnavailable", 503, "rejected-no-endpoints" },
        [EPP_FAIL_INTERNAL] = { "Internal", 500, NULL },
        [EPP_FAIL_MODEL_SERVER] = { "ModelServerError", 0, NULL },
};

const char *
epp_failure_name(enum epp_failure r)
{
        return refusals[r].name;
}

/* 413 and 408 are the client's mistakes, too. */
static enum epp_failure
failure_of(int http)
{
        for (size_t i = 0; i < EPP_FAIL_COUNT; i++)
                if (refusals[i].http == http)
                        return (enum epp_failure)i;
        return EPP_FAIL_BAD_REQUEST;
}

/* ---- who hears of requests ---- */

static struct epp_record
record_of(const struct epp_ask *ask)
{
        return (struct epp_record){ .id = ask->request_id, .fairness = ask->fairness,
                .request_bytes = ask->body_bytes, .begun = ask->begun, .decided = ask->now };
}

static void
tell_decided(struct epp_director *d, struct epp_record *r)
{
        if (d->series)
                epp_account_decided(d->series, r);
        for (size_t i = 0; i < d->n_observers; i++)
                if (d->observer[i].decided)
                        d->observer[i].decided(d->observer[i].ctx, r);
}

static void
tell_ended(struct epp_director *d, const struct epp_record *r)
{
        if (d->series)
                epp_account_ended(r, d->compat_errors);
        for (size_t i = 0; i < d->n_observers; i++)
                if (d->observer[i].ended)
                        d->observer[i].ended(d->observer[i].ctx, r);
}

static void EPP_PRINTF(4, 5)
refuse(struct epp_director *d, struct epp_verdict *v, enum epp_failure code, const char *fmt, ...)
{
        size_t n = (size_t)snprintf(v->text, sizeof(v->text), "inference error: %s - ",
                refusals[code].name);
        va_list ap;

        d->stats.refused[code]++;
        v->http = refusals[code].http;
        v->reason = refusals[code].reason;
        va_start(ap, fmt);
        vsnprintf(v->text + n, sizeof(v->text) - n, fmt, ap);
        va_end(ap);
}

/* The first <max> bytes of <s>, less where that would cut a UTF-8 character. */
static struct epp_slice
shorten(struct epp_slice s, size_t max)
{
        if (s.n <= max)
                return s;
        while (max && (s.p[max] & 0xc0) == 0x80)
                max--;
        return epp_slice(s.p, max);
}

static bool
models_required(const struct epp_director *d)
{
        if (d->match == EPP_MATCH_AUTO)
                return d->models && epp_models_count(d->models);
        return d->match == EPP_MATCH_REQUIRED;
}

/* Whether what the body says of its model must be good: always where a path demands JSON; elsewhere
 * when it is an object with a string for a model, and models are required. */
static bool
must_check(const struct epp_director *d, const struct epp_ask *ask)
{
        const struct epp_jscan *j = ask->scan;

        if (ask->dialect->json)
                return true;
        return !j->error && j->top == EPP_J_OBJECT && j->model_state > EPP_JM_TYPE &&
               models_required(d);
}

/* The model of the body into *req; false when the request has been refused. */
static bool
read_model(struct epp_director *d, const struct epp_ask *ask, struct epp_request *req,
        struct epp_verdict *v)
{
        const char *wrong;
        char buf[160];

        if (!ask->has_body)
                return true;
        if (must_check(d, ask)) {
                wrong = epp_dialect_check(ask->dialect, ask->scan, buf, sizeof(buf));
                if (wrong) {
                        refuse(d, v, EPP_FAIL_BAD_REQUEST, "%s", wrong);
                        return false;
                }
        }
        if (!ask->scan->error && ask->scan->top == EPP_J_OBJECT)
                req->model = epp_jscan_model(ask->scan);
        return true;
}

/* Whether the body's model values must change on the way: another target, or values that do not
 * agree, of which a server may read any. Unknown paths keep their bytes unless a model is named. */
static bool
must_rename(const struct epp_ask *ask, const struct epp_request *req, bool named)
{
        return (named || ask->dialect->json) &&
               (ask->scan->conflict || !epp_slice_eq(req->model, req->target));
}

/* With auto the first model and the last one change what unknown models get: worth a line. */
static bool
required_now(struct epp_director *d)
{
        bool required = models_required(d);

        if (required != d->was_required && d->match == EPP_MATCH_AUTO)
                epp_log(d->log, required ? EPP_LOG_INFO : EPP_LOG_WARN, "model_match",
                        LOG_T("unknown_models",
                        required ? "refused" : "routed"),
                        LOG_T("why", required ? "the pool has InferenceModels"
                                              : "no InferenceModel of the pool is left"));
        d->was_required = required;
        return required;
}

/* Nothing matched: the objective of the header says how critical it is (decisions 13). */
static bool
objective_is_critical(const struct epp_director *d, const struct epp_ask *ask)
{
        return !d->models || !ask->objective.n ||
               epp_models_priority(d->models, ask->objective) >= 0;
}

/* What names another model: the InferenceModel, else a rewrite rule, never both (decisions 12). */
static struct epp_model *
find_model(struct epp_director *d, const struct epp_ask *ask, struct epp_request *req)
{
        struct epp_model *m = d->models ? epp_models_find(d->models, req->model) : NULL;

        req->critical = m ? m->criticality == EPP_CRITICAL : objective_is_critical(d, ask);
        return m || !d->models ? m : epp_models_rewrite(d->models, req->model);
}

/* Finds the model and draws its target; false when the request has been refused. */
static bool
match_model(struct epp_director *d, const struct epp_ask *ask, struct epp_request *req,
        struct epp_record *r, struct epp_verdict *v)
{
        const struct epp_target *t;
        struct epp_model *m;

        req->target = req->model;
        if (req->model.n == 0) {
                req->critical = objective_is_critical(d, ask);
                d->stats.unchecked++;
                return true;
        }
        m = find_model(d, ask, req);
        r->named = m && epp_slice_eq(m->name, req->model);
        r->target_named = r->named;
        if (required_now(d) && !m) {
                refuse(d, v, EPP_FAIL_NOT_FOUND,
                        "no InferenceModel is named \"" SLICE_FMT "\" in this pool",
                        SLICE_ARG(shorten(req->model, NAME_SHOWN)));
                return false;
        }
        t = m ? epp_model_draw(m, epp_sched_rng(d->sched)) : NULL;
        if (t && t->name.n == 0) { /* the CRD lets it through */
                refuse(d, v, EPP_FAIL_NOT_FOUND,
                        "a target of InferenceModel \"" SLICE_FMT "\" has no name",
                        SLICE_ARG(shorten(req->model, NAME_SHOWN)));
                return false;
        }
        if (t) {
                req->target = t->name;
                r->target_named = true;
                r->rewrite = m->source;
        } else if (!m && ask->rewrite.n) {
                req->target = ask->rewrite;
        }
        req->target_hash = t ? t->name_hash : XXH3_64bits(req->target.p, req->target.n);
        v->model = req->target;
        v->rename = must_rename(ask, req, m != NULL || ask->rewrite.n);
        if (v->rename && ask->scan->n_spans > EPP_JSCAN_SPANS) {
                refuse(d, v, EPP_FAIL_BAD_REQUEST, "too many model keys");
                return false;
        }
        return true;
}

/* Copies the endpoints that may be chosen; how many. None when memory is short for the subset: no
 * other endpoint may be chosen. */
static size_t
candidates(struct epp_director *d, const struct epp_ask *ask, struct epp_endpoint **out)
{
        struct epp_endpoint *const *list;
        struct epp_subset subset;
        size_t n, k = 0;

        list = epp_pool_list(d->pool, &n);
        if (!ask->has_subset) {
                if (n)
                        memcpy(out, list, n * sizeof(struct epp_endpoint *));
                return n;
        }
        if (epp_subset_init(&subset, ask->subset) < 0)
                return 0;
        for (size_t i = 0; i < n; i++)
                if (epp_subset_has(&subset, list[i]))
                        out[k++] = list[i];
        epp_subset_fini(&subset);
        return k;
}

/* A version 4 UUID for requests that came without an id. */
static void
make_id(struct epp_director *d, char out[37])
{
        uint64_t a = epp_rng_next(&d->ids), b = epp_rng_next(&d->ids);

        snprintf(out, 37, "%08x-%04x-4%03x-%04x-%012" PRIx64, (unsigned)(a >> 32),
                (unsigned)(a >> 16 & 0xffff), (unsigned)(a & 0xfff),
                (unsigned)(b >> 48 & 0x3fff) | 0x8000, b & 0xffffffffffff);
}

static struct epp_slice
append(char **at, struct epp_slice s)
{
        char *p = *at;

        if (s.n)
                memcpy(p, s.p, s.n);
        *at += s.n;
        return epp_slice(p, s.n);
}

/* A ticket with its own copy of what <r> borrows; NULL without memory. */
static struct ticket *
ticket_new(const struct epp_record *r)
{
        struct ticket *t = malloc(sizeof(*t) + r->id.n + r->model.n + r->target.n + r->fairness.n +
                r->endpoint.n + r->addr.n);
        char *at = (char *)(t + 1);

        if (!t)
                return NULL;
        t->record = *r;
        t->moved = NULL;
        t->record.trace = NULL;
        t->record.text = NULL;
        t->record.rewrite = epp_slice(NULL, 0);
        t->record.id = append(&at, r->id);
        t->record.model = append(&at, r->model);
        t->record.target = append(&at, r->target);
        t->record.fairness = append(&at, r->fairness);
        t->record.endpoint = append(&at, r->endpoint);
        t->record.addr = append(&at, r->addr);
        return t;
}

static struct ticket *
take(struct epp_director *d, const struct epp_ask *ask, struct epp_record *r,
        struct epp_endpoint *e, struct epp_verdict *v)
{
        struct ticket *t;

        if (ask->request_id.n == 0) {
                make_id(d, v->request_id);
                r->id = epp_slice_str(v->request_id);
        }
        r->endpoint = e->name;
        r->addr = e->addr;
        t = ticket_new(r);
        if (!t) {
                refuse(d, v, EPP_FAIL_UNAVAILABLE, "out of memory");
                return NULL;
        }
        t->ref = e->ref;
        e->inflight++;
        e->picks++;
        v->ticket = t;
        memcpy(v->endpoint, e->addr.p, EPP_MIN(e->addr.n, sizeof(v->endpoint) - 1));
        epp_log(d->log, EPP_LOG_DEBUG, "pick", LOG_S("id", r->id), LOG_S("model", r->model),
                LOG_S("target", r->target), LOG_S("ep", e->name), LOG_N("critical", r->critical));
        return t;
}

/* Whether somebody will read how the cycle went: else nothing is noted. */
static bool
traced(const struct epp_director *d, const struct epp_ask *ask)
{
        bool wished = ask->explain;

        for (size_t i = 0; i < d->n_observers; i++)
                wished |= d->observer[i].traces;
        return wished;
}

/* The endpoint for what is asked, or NULL when it has been refused. *trace is written when it will
 * be read, and is r->trace then. */
static struct epp_endpoint *
choose(struct epp_director *d, const struct epp_ask *ask, struct epp_request *req,
        struct epp_record *r, struct epp_trace *trace, struct epp_verdict *v)
{
        struct epp_endpoint **room, *chosen;
        size_t n;
        int left;

        if (!d->ready) {
                refuse(d, v, EPP_FAIL_UNAVAILABLE, "the pool has not been read yet");
                return NULL;
        }
        if (!read_model(d, ask, req, v) || !match_model(d, ask, req, r, v))
                return NULL;
        (void)epp_pool_list(d->pool, &n);
        room = epp_sched_candidates(d->sched, n);
        n = room ? candidates(d, ask, room) : 0;
        if (n == 0) {
                refuse(d, v, EPP_FAIL_UNAVAILABLE,
                        "failed to find endpoint candidates for serving the request");
                return NULL;
        }
        r->scheduled = true;
        if (traced(d, ask))
                r->trace = trace;
        left = epp_sched_trace(d->sched, req, n, r->trace ? trace : NULL, &chosen);
        v->done_ns = epp_sched_timing(d->sched)->over_ns;
        if (left < 0) {
                refuse(d, v, EPP_FAIL_EXHAUSTED, "system saturated, non-critical request dropped");
                return NULL;
        }
        return chosen;
}

static void
decide(void *ctx, const struct epp_ask *ask, struct epp_verdict *v)
{
        struct epp_director *d = ctx;
        struct epp_request req = { .now = ask->now };
        struct epp_record r = record_of(ask);
        struct epp_trace trace;
        struct epp_endpoint *e;
        struct ticket *t;

        memset(v, 0, sizeof(*v));
        d->stats.requests++;
        if (d->models && ask->objective.n)
                r.priority = epp_models_priority(d->models, ask->objective);
        e = choose(d, ask, &req, &r, &trace, v);
        r.model = req.model;
        r.target = req.target;
        r.critical = req.critical;
        t = e ? take(d, ask, &r, e, v) : NULL;
        r.http = v->http;
        if (v->http)
                r.failure = failure_of(v->http);
        r.text = v->text;
        tell_decided(d, &r);
        if (ask->explain)
                v->explanation = epp_explain(&r);
        if (t)
                t->record.cell = r.cell;
}

static void
failed(void *ctx, const struct epp_ask *ask, int http, const char *text)
{
        struct epp_record r = record_of(ask);

        r.http = http;
        r.failure = failure_of(http);
        r.text = text;
        tell_decided(ctx, &r);
}

/* The record names who answered. Without memory it keeps naming who was picked. */
static void
rename_endpoint(struct ticket *t, const struct epp_endpoint *e)
{
        char *text = malloc(e->name.n + e->addr.n + 1), *at = text;

        if (!text)
                return;
        t->record.endpoint = append(&at, e->name);
        t->record.addr = append(&at, e->addr);
        free(t->moved);
        t->moved = text;
}

/* The request went elsewhere than picked (a retry of the gateway): its count moves along. */
static void
served(void *ctx, void *ticket, struct epp_slice endpoint)
{
        struct epp_director *d = ctx;
        struct ticket *t = ticket;
        struct epp_endpoint *from = epp_pool_get(d->pool, t->ref), *const *list;
        size_t n;

        if (from && epp_subset_names(endpoint, from))
                return; /* nearly always: the pool is not walked */
        list = epp_pool_list(d->pool, &n);
        for (size_t i = 0; i < n; i++) {
                if (!epp_subset_names(endpoint, list[i]))
                        continue;
                if (from)
                        from->inflight--;
                list[i]->inflight++;
                t->ref = list[i]->ref;
                rename_endpoint(t, list[i]);
                d->stats.moved++;
                return;
        }
}

static void
release(void *ctx, void *ticket, const struct epp_outcome *o)
{
        struct epp_director *d = ctx;
        struct ticket *t = ticket;
        struct epp_endpoint *e = epp_pool_get(d->pool, t->ref);

        if (e) {
                e->inflight--;
                if (o->first_us)
                        e->ttft_us += ((double)o->first_us - e->ttft_us) *
                                (e->ttft_us ? TTFT_WEIGHT : 1);
        }
        t->record.outcome = o;
        tell_ended(d, &t->record);
        free(t->moved);
        free(t);
        if (o->complete && !o->begun)
                d->stats.unseen++;
        else if (o->complete)
                d->stats.complete++;
        else
                d->stats.aborted++;
        if (epp_status_is_bad(o->status) || o->usage.error)
                d->stats.model_errors++;
        d->stats.response_bytes += o->bytes;
        d->stats.prompt_tokens += o->usage.prompt;
        d->stats.completion_tokens += o->usage.completion;
        d->stats.cached_tokens += o->usage.cached;
}

static void
gap(void *ctx, void *ticket, epp_us us)
{
        struct ticket *t = ticket;

        (void)ctx;
        if (t->record.cell)
                epp_hist_add(&t->record.cell->itl, (double)us / 1e6);
}

static void
stray(void *ctx, const struct epp_outcome *o)
{
        struct epp_director *d = ctx;

        if (d->series)
                epp_account_stray(d->series, o, d->compat_errors);
}

struct epp_decider
epp_director_decider(struct epp_director *d)
{
        return (struct epp_decider){ .ctx = d, .decide = decide, .failed = failed,
                .served = served, .release = release, .gap = gap, .stray = stray };
}
