/* sched.c - see sched.h: one working array, filtered in place; what is left is scored,
 * then one is picked. */
#include "sched/sched.h"

#include "sched/profile.h"
#include "sched/trace.h"

/* Plugins are timed in one cycle out of so many: a reading is 23 ns, as much as some of them take,
 * and all readings of a request are to stay below 2 % of it. Odd, as traffic often alternates. */
#define TIMED_EACH 5

const struct epp_thresholds epp_thresholds_default = { 0.8, 5, 128, 0.999, 200000 };

struct epp_sched {
        struct epp_profile profile;
        struct epp_rng rng;
        struct epp_timing timing;
        uint64_t (*clock_ns)(void); /* NULL: not measured */
        unsigned cycles;            /* since plugins were timed */
        struct epp_endpoint **work;
        double *total; /* of work[i], and behind those <size> the scores of one scorer; NULL: the
                        * profile has none */
        size_t size;
};

/* Plugins of one type share a histogram. */
static struct epp_timed *
timed(struct epp_timing *t, const struct epp_plugin_type *type)
{
        struct epp_timed *p = t->plugin;

        while (p < t->plugin + t->n && p->type != type)
                p++;
        if (p == t->plugin + t->n) {
                EPP_ASSERT(t->n < EPP_TIMED);
                p->type = type;
                EPP_HIST_INIT(p, spent, SCH);
                t->n++;
        }
        return p;
}

static void
time_types(struct epp_sched *s)
{
        for (size_t i = 0; i < s->profile.n; i++) {
                struct epp_plugin *p = &s->profile.node[i];

                p->timed = p->current ? NULL : timed(&s->timing, p->type);
        }
}

int
epp_sched_new(enum epp_builtin config, const struct epp_thresholds *t,
        const struct epp_plugin_type *const *types, uint64_t seed, struct epp_sched **ret)
{
        struct epp_sched *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return EPP_ENOMEM;
        epp_rng_init(&s->rng, seed);
        EPP_HIST_INIT(&s->timing, cycle, SCH);
        r = epp_profile_builtin(&s->profile, config, t, types);
        if (r < 0) {
                free(s);
                return r;
        }
        time_types(s);
        *ret = s;
        return 0;
}

void
epp_sched_free(struct epp_sched *s)
{
        if (!s)
                return;
        free(s->work);
        free(s->total);
        free(s);
}

struct epp_rng *
epp_sched_rng(struct epp_sched *s)
{
        return &s->rng;
}

void
epp_sched_clock(struct epp_sched *s, uint64_t (*clock_ns)(void))
{
        s->clock_ns = clock_ns;
        s->cycles = 0;
        for (size_t i = 0; i < s->timing.n; i++)
                s->timing.plugin[i].runs = 0;
}

const struct epp_timing *
epp_sched_timing(const struct epp_sched *s)
{
        return &s->timing;
}

struct epp_endpoint **
epp_sched_candidates(struct epp_sched *s, size_t n)
{
        size_t size = EPP_MAX(n, (size_t)16);
        struct epp_endpoint **work;
        double *total;

        if (n <= s->size && s->work)
                return s->work;
        if (s->profile.n_scorers) {
                total = realloc(s->total, 2 * size * sizeof(*total));
                if (!total)
                        return NULL;
                s->total = total;
        }
        work = realloc(s->work, size * sizeof(struct epp_endpoint *));
        if (!work)
                return NULL;
        s->work = work;
        s->size = size;
        return work;
}

static void
ran(const struct epp_plugin *self, struct epp_cycle *cy)
{
        struct epp_timed *t = self->timed;
        uint64_t now;

        if (!t)
                return;
        t->runs++;
        if (!cy->clock_ns)
                return;
        now = cy->clock_ns();
        epp_hist_add_n(&t->spent, (double)(int64_t)(now - cy->since_ns) * 1e-9, t->runs);
        t->runs = 0;
        cy->since_ns = now;
}

size_t
epp_filter_run(const struct epp_plugin *self, struct epp_cycle *cy, struct epp_endpoint **v,
        size_t n)
{
        size_t kept = self->type->filter(self, cy, v, n);

        if (self->current)
                return kept; /* the filters in it have told */
        ran(self, cy);
        if (cy->trace)
                epp_trace_ran(cy->trace, self->type->name, v, n, kept);
        return kept;
}

static bool
was_scraped(const void *arg, const struct epp_endpoint *e)
{
        (void)arg;
        return e->load.at != 0;
}

/* Leaves out endpoints that never gave a page, unless there are no others. A step only when it
 * takes some out, as it is no plugin that a configuration names. */
static size_t
prefer_scraped(struct epp_trace *t, struct epp_endpoint **v, size_t n)
{
        size_t kept = epp_filter_keep(v, n, was_scraped, NULL);

        if (t && kept && kept < n)
                epp_trace_ran(t, "prefer-scraped", v, n, kept);
        return kept ? kept : n;
}

/* Clamped to 0..1; what is no number is 0. */
static double
clamp(double score)
{
        return score > 0 ? EPP_MIN(score, 1.0) : 0;
}

void
epp_scorers_run(const struct epp_weighted *scorer, size_t n_scorers, struct epp_cycle *cy,
        struct epp_endpoint *const *v, size_t n, double *total, double *one)
{
        for (size_t i = 0; i < n; i++)
                total[i] = 0;
        for (size_t k = 0; k < n_scorers; k++) {
                const struct epp_plugin *p = scorer[k].plugin;

                p->type->score(p, cy, v, n, one);
                for (size_t i = 0; i < n; i++)
                        total[i] += scorer[k].weight * clamp(one[i]);
                ran(p, cy);
                if (cy->trace)
                        epp_trace_ran(cy->trace, p->type->name, NULL, n, n);
        }
}

/* The totals of the first <n>; NULL: the profile has no scorers. */
static const double *
score(struct epp_sched *s, struct epp_cycle *cy, size_t n)
{
        const struct epp_profile *p = &s->profile;

        if (p->n_scorers == 0)
                return NULL;
        epp_scorers_run(p->scorer, p->n_scorers, cy, s->work, n, s->total, s->total + s->size);
        return s->total;
}

static int
cycle(struct epp_sched *s, struct epp_cycle *cy, size_t n, struct epp_endpoint **ret)
{
        const struct epp_plugin *picker = s->profile.picker;
        const double *total;
        size_t at;

        n = prefer_scraped(cy->trace, s->work, n);
        n = epp_filter_run(s->profile.filter, cy, s->work, n);
        if (n == 0)
                return EPP_EFULL;
        total = score(s, cy, n);
        at = picker->type->pick(picker, cy, s->work, n, total);
        *ret = s->work[at];
        ran(picker, cy);
        if (cy->trace)
                epp_trace_ran(cy->trace, picker->type->name, NULL, n, 1);
        if (cy->trace && total)
                epp_trace_scored(cy->trace, total, at);
        return 0;
}

int
epp_sched_trace(struct epp_sched *s, const struct epp_request *req, size_t n,
        struct epp_trace *trace, struct epp_endpoint **ret)
{
        uint64_t begun = s->clock_ns ? s->clock_ns() : 0;
        bool timed_now = s->cycles++ % TIMED_EACH == 0;
        struct epp_cycle cy = { .req = req, .rng = &s->rng, .trace = trace,
                .clock_ns = timed_now ? s->clock_ns : NULL, .since_ns = begun };
        int r;

        if (trace)
                epp_trace_begin(trace, s->work, n);
        r = cycle(s, &cy, n, ret);
        if (s->clock_ns) { /* the end of the last plugin is the cycle's */
                s->timing.over_ns = timed_now ? cy.since_ns : s->clock_ns();
                epp_hist_add(&s->timing.cycle, (double)(s->timing.over_ns - begun) / 1e9);
        }
        if (trace)
                epp_trace_end(trace, r == 0 ? *ret : NULL, req->now);
        return r;
}

int
epp_sched_run(struct epp_sched *s, const struct epp_request *req, size_t n,
        struct epp_endpoint **ret)
{
        return epp_sched_trace(s, req, n, NULL, ret);
}
