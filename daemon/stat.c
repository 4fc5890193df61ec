/* stat.c - see stat.h. The values of labels, what rows reckon with, and stat.def itself. */
#include "daemon/stat.h"

#include <math.h>

#include "daemon/commit.h"
#include "daemon/logs.h"
#include "daemon/loop.h"

/* A counter whose upstream twin has no series before it counted. */
static double
seen(uint64_t n)
{
        return n ? (double)n : NAN;
}

/* Requests of <c> in progress, once it had one. Those without a model's name do not count there. */
static double
running(const struct epp_cell *c)
{
        return c->labels.model.n && c->requests ? (double)c->running : NAN;
}

static size_t
in_state(const struct epp_pool *pool, size_t state)
{
        struct epp_endpoint *const *list;
        size_t n, count = 0;

        list = epp_pool_list(pool, &n);
        for (size_t i = 0; i < n; i++)
                count += list[i]->load.state == state;
        return count;
}

/* No page came, or another code, or not all of it. */
static uint64_t
poll_errors(const struct scrape_stats *s)
{
        uint64_t n = 0;

        for (size_t i = 0; i < FETCH_RESULTS; i++)
                n += i == FETCH_OK ? 0 : s->result[i];
        return n;
}

/* ---- the API server's side ---- */

static const struct epp_reflector *
reflector(const struct pages *p, size_t i)
{
        size_t n;

        return epp_cluster_reflectors(watch_cluster(p->watch), &n)[i];
}

static const struct epp_reflect_stats *
reflect(const struct pages *p, size_t i)
{
        return epp_reflector_stats(reflector(p, i));
}

static const struct epp_cluster_kind *
kind(const struct pages *p, size_t i)
{
        return epp_cluster_kind(watch_cluster(p->watch), i);
}

/* Seconds from <at> until now, or -1 for never. */
static double
age(epp_us at)
{
        return at ? (double)(loop_now(NULL) - at) / 1e6 : -1;
}

static double
wait_of(const struct epp_reflector *r)
{
        epp_us until = epp_reflector_until(r);

        return until ? EPP_MAX(0, -age(until)) : 0;
}

static size_t
kinds(const struct pages *p)
{
        size_t n = 0;

        if (p->watch)
                (void)epp_cluster_reflectors(watch_cluster(p->watch), &n);
        return n;
}

static size_t
answers(const struct pages *p)
{
        return p->watch ? api_stats(watch_api(p->watch))->n_counts : 0;
}

static const struct api_count *
answer(const struct pages *p, size_t i)
{
        return &api_stats(watch_api(p->watch))->counts[i];
}

/* ---- picks ---- */

static size_t
attempts(const struct pages *p)
{
        size_t n = 0;

        if (p->director->series)
                (void)epp_series_attempts(p->director->series, &n);
        return n;
}

static const struct epp_tally *
attempt(const struct pages *p, size_t i)
{
        size_t n;

        return epp_series_attempts(p->director->series, &n)[i];
}

/* ---- time ---- */

/* NULL: nothing was measured. */
static const struct epp_hist *
measured(const struct epp_hist *h)
{
        return h->bounds ? h : NULL;
}

static size_t
timed(const struct pages *p)
{
        return p->director->sched ? epp_sched_timing(p->director->sched)->n : 0;
}

static const struct epp_timed *
timed_plugin(const struct pages *p, size_t i)
{
        return &epp_sched_timing(p->director->sched)->plugin[i];
}

static const struct epp_hist *
cycle_time(const struct pages *p)
{
        return p->director->sched ? &epp_sched_timing(p->director->sched)->cycle : NULL;
}

/* ---- rewrites ---- */

static size_t
rewrites(const struct pages *p)
{
        size_t n = 0;

        if (p->director->series)
                (void)epp_series_rewrites(p->director->series, &n);
        return n;
}

static const struct epp_tally *
rewrite(const struct pages *p, size_t i)
{
        size_t n;

        return epp_series_rewrites(p->director->series, &n)[i];
}

/* ---- labels: a function for each of those in stat.def ---- */

static struct epp_slice
one_of(const char *const *names, size_t i)
{
        return epp_slice_str(names[i]);
}

static struct epp_slice
number(int n)
{
        static char text[16];

        return epp_slice(text, (size_t)snprintf(text, sizeof(text), "%d", n));
}

static struct epp_slice
model_name(const struct stat_at *at)
{
        return at->c->labels.model;
}

static struct epp_slice
target_name(const struct stat_at *at)
{
        return at->c->labels.target;
}

static struct epp_slice
fairness_id(const struct stat_at *at)
{
        return at->f->fairness ? at->c->labels.fairness : EPP_SLICE("");
}

static struct epp_slice
priority(const struct stat_at *at)
{
        return number(at->c->labels.priority);
}

static struct epp_slice
streaming(const struct stat_at *at)
{
        static const char *const names[] = { "false", "true" };

        return one_of(names, at->i);
}

static struct epp_slice
error_code(const struct stat_at *at)
{
        return epp_slice_str(epp_failure_name((enum epp_failure)at->i));
}

/* As the first pickers called them, ... */
static struct epp_slice
error_code_v0(const struct stat_at *at)
{
        static const char *const names[EPP_FAIL_COUNT] = { "BadRequest", "BadConfiguration",
                "InferencePoolResourceExhausted", "ServiceUnavailable", "Internal",
                "ModelServerError" };

        return one_of(names, at->i);
}

/* ... and as today's does. */
static struct epp_slice
error_code_now(const struct stat_at *at)
{
        static const char *const names[EPP_FAIL_COUNT] = { "BadRequest", "NotFound",
                "ResourceExhausted", "ServiceUnavailable", "Internal", "ModelServerError" };

        return one_of(names, at->i);
}

static struct epp_slice
pool_name(const struct stat_at *at)
{
        return at->f->pool;
}

static struct epp_slice
endpoint(const struct stat_at *at)
{
        return at->e->name;
}

/* Names from files are namespace/name, others have no namespace of their own. */
static struct epp_slice
bare(struct epp_slice name)
{
        struct epp_slice rest = name, ns = epp_slice_cut(&rest, '/');

        return rest.p ? rest : ns;
}

static struct epp_slice
endpoint_bare(const struct stat_at *at)
{
        return bare(at->e->name);
}

static struct epp_slice
picked_name(const struct stat_at *at)
{
        return bare(attempt(at->p, at->i)->endpoint);
}

static struct epp_slice
picked_namespace(const struct stat_at *at)
{
        struct epp_slice name = attempt(at->p, at->i)->endpoint, rest = name;
        struct epp_slice ns = epp_slice_cut(&rest, '/');

        if (rest.p)
                return ns;
        return name.n && at->p->watch ? epp_slice_str(watch_namespace(at->p->watch))
                                      : EPP_SLICE("");
}

static struct epp_slice
picked_port(const struct stat_at *at)
{
        return attempt(at->p, at->i)->port;
}

static struct epp_slice
picked_status(const struct stat_at *at)
{
        return attempt(at->p, at->i)->endpoint.n ? EPP_SLICE("success") : EPP_SLICE("failure");
}

static struct epp_slice
picked_target(const struct stat_at *at)
{
        return attempt(at->p, at->i)->target;
}

static struct epp_slice
rewrite_name(const struct stat_at *at)
{
        return rewrite(at->p, at->i)->rewrite;
}

static struct epp_slice
rewritten_name(const struct stat_at *at)
{
        return rewrite(at->p, at->i)->model;
}

static struct epp_slice
rewritten_target(const struct stat_at *at)
{
        return rewrite(at->p, at->i)->to;
}

/* Where a plugin is called. */
static struct epp_slice
timed_point(const struct stat_at *at)
{
        static const char *const names[] = { [EPP_FILTER] = "Filter", [EPP_SCORER] = "Scorer",
                [EPP_PICKER] = "Picker" };

        return one_of(names, timed_plugin(at->p, at->i)->type->kind);
}

static struct epp_slice
timed_type(const struct stat_at *at)
{
        return epp_slice_str(timed_plugin(at->p, at->i)->type->name);
}

static struct epp_slice
grpc_code(const struct stat_at *at)
{
        return epp_slice_str(epp_grpc_code_name(at->i));
}

static struct epp_slice
phase_name(const struct stat_at *at)
{
        static const char *const names[EPP_ABORTED_COUNT] = { "request", "waiting", "response" };

        return one_of(names, at->i);
}

static struct epp_slice
family_name(const struct stat_at *at)
{
        return epp_slice_str(scrape_family(at->i));
}

static struct epp_slice
state_name(const struct stat_at *at)
{
        return epp_slice_str(epp_load_state_name((enum epp_load_state)at->i));
}

static struct epp_slice
result_name(const struct stat_at *at)
{
        return epp_slice_str(fetch_result_name((enum fetch_result)at->i));
}

/* What the Go pickers call the parts that read metrics pages. */
static struct epp_slice
source_type(const struct stat_at *at)
{
        (void)at;
        return EPP_SLICE("metrics-data-source");
}

static struct epp_slice
extractor_type(const struct stat_at *at)
{
        (void)at;
        return EPP_SLICE("core-metrics-extractor");
}

static struct epp_slice
auth_name(const struct stat_at *at)
{
        return epp_slice_str(auth_result_name(at->i));
}

static struct epp_slice
callback_name(const struct stat_at *at)
{
        return epp_slice_str(span_name(at->i));
}

static struct epp_slice
kind_name(const struct stat_at *at)
{
        return epp_slice_str(epp_reflector_name(reflector(at->p, at->i)));
}

/* Pairs are numbered kind * (number of the second) + second. */
static struct epp_slice
kind_of(const struct stat_at *at, size_t n)
{
        return epp_slice_str(epp_reflector_name(reflector(at->p, at->i / n)));
}

static struct epp_slice
event_kind(const struct stat_at *at)
{
        return kind_of(at, EPP_REFLECT_EVENTS);
}

static struct epp_slice
event_name(const struct stat_at *at)
{
        static const char *const names[EPP_REFLECT_EVENTS] = { "added", "modified", "deleted",
                "bookmark" };

        return one_of(names, at->i % EPP_REFLECT_EVENTS);
}

static struct epp_slice
error_kind(const struct stat_at *at)
{
        return kind_of(at, EPP_REFLECT_ERRORS);
}

static struct epp_slice
cause_name(const struct stat_at *at)
{
        static const char *const names[EPP_REFLECT_ERRORS] = { "transport", "auth", "forbidden",
                "expired", "busy", "server", "format", "other" };

        return one_of(names, at->i % EPP_REFLECT_ERRORS);
}

static struct epp_slice
step_kind(const struct stat_at *at)
{
        return kind_of(at, EPP_REFLECT_STATES);
}

static struct epp_slice
step_name(const struct stat_at *at)
{
        enum epp_reflect_state state = (enum epp_reflect_state)(at->i % EPP_REFLECT_STATES);

        return epp_slice_str(epp_reflector_state_name(state));
}

static struct epp_slice
code_name(const struct stat_at *at)
{
        int code = answer(at->p, at->i)->code;

        return code ? number(code) : EPP_SLICE("<error>");
}

static struct epp_slice
host_name(const struct stat_at *at)
{
        const char *url = api_server(watch_api(at->p->watch)), *host = strstr(url, "://");

        return epp_slice_str(host ? host + 3 : url);
}

static struct epp_slice
method_name(const struct stat_at *at)
{
        return epp_slice_str(answer(at->p, at->i)->method);
}

static struct epp_slice
lock_name(const struct stat_at *at)
{
        return epp_slice_str(lease_name(at->p->lease));
}

static struct epp_slice
commit(const struct stat_at *at)
{
        (void)at;
        return EPP_SLICE(EPPD_COMMIT);
}

static struct epp_slice
version(const struct stat_at *at)
{
        (void)at;
        return EPP_SLICE(EPPD_VERSION);
}

static struct epp_slice
compiler(const struct stat_at *at)
{
        (void)at;
        return EPP_SLICE(__VERSION__);
}

/* ---- stat.def: its label sets, a function per row, the rows ---- */

#define LABELS(id, over_, count_, ...) \
        static size_t count_of_##id(const struct pages *p) \
        { \
                (void)p; \
                return count_; \
        } \
        static const struct stat_labels labels_##id = { STAT_##over_, count_of_##id, \
                { __VA_ARGS__ } };
#define ROW(result, function, expression) \
        static result function(const struct stat_at *at) \
        { \
                const struct pages *p = at->p; \
                const struct stat_facts *f = at->f; \
                const struct epp_endpoint *e = at->e; \
                const struct epp_cell *c = at->c; \
                size_t i = at->i; \
                \
                (void)p, (void)f, (void)e, (void)c, (void)i; \
                return expression; \
        }
#define STAT(generation, name, type, labels, value, help) \
        ROW(double, value_of_##name, (double)(value))
#define HIST(generation, name, labels, hist, help) \
        ROW(const struct epp_hist *, hist_of_##name, hist)
#include "daemon/stat.def"
#undef LABELS
#undef STAT
#undef HIST

static const struct stat_row rows[] = {
#define LABELS(...)
#define STAT(gen, name, type, labels, value, help) \
        { STAT_##gen, #name, #type, help, &labels_##labels, value_of_##name, NULL },
#define HIST(gen, name, labels, hist, help) \
        { STAT_##gen, #name, "histogram", help, &labels_##labels, NULL, hist_of_##name },
#include "daemon/stat.def"
#undef LABELS
#undef STAT
#undef HIST
};

const struct stat_row *
stat_rows(size_t *ret_n)
{
        *ret_n = ARRAY_LEN(rows);
        return rows;
}
