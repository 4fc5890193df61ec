/* sched.c - see sched.h: one working array, filtered in place, then one pick. */
#include "sched/sched.h"

#include "sched/profile.h"

const struct epp_thresholds epp_thresholds_default = { 0.8, 5, 128, 0.999, 200000 };

struct epp_sched {
        struct epp_profile profile;
        struct epp_rng rng;
        struct epp_endpoint **work;
        size_t size;
};

int
epp_sched_new(enum epp_builtin config, const struct epp_thresholds *t,
        const struct epp_plugin_type *const *types, uint64_t seed, struct epp_sched **ret)
{
        struct epp_sched *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return EPP_ENOMEM;
        epp_rng_init(&s->rng, seed);
        r = epp_profile_builtin(&s->profile, config, t, types);
        if (r < 0) {
                free(s);
                return r;
        }
        *ret = s;
        return 0;
}

void
epp_sched_free(struct epp_sched *s)
{
        if (!s)
                return;
        free(s->work);
        free(s);
}

struct epp_rng *
epp_sched_rng(struct epp_sched *s)
{
        return &s->rng;
}

struct epp_endpoint **
epp_sched_candidates(struct epp_sched *s, size_t n)
{
        struct epp_endpoint **work;

        if (n <= s->size && s->work)
                return s->work;
        work = realloc(s->work, EPP_MAX(n, (size_t)16) * sizeof(struct epp_endpoint *));
        if (!work)
                return NULL;
        s->work = work;
        s->size = EPP_MAX(n, (size_t)16);
        return work;
}

size_t
epp_filter_keep(const struct epp_plugin *self, struct epp_cycle *cy, struct epp_endpoint **v,
        size_t n, bool (*test)(const struct epp_plugin *self, const struct epp_cycle *cy,
                         const struct epp_endpoint *e))
{
        size_t kept = 0;

        for (size_t i = 0; i < n; i++)
                if (test(self, cy, v[i]))
                        v[kept++] = v[i];
        return kept;
}

/* Leaves out endpoints that never gave a page, unless there are no others. */
static size_t
prefer_scraped(struct epp_endpoint **v, size_t n)
{
        size_t kept = 0;

        for (size_t i = 0; i < n; i++)
                if (v[i]->load.at)
                        v[kept++] = v[i];
        return kept ? kept : n;
}

int
epp_sched_run(struct epp_sched *s, const struct epp_request *req, size_t n,
        struct epp_endpoint **ret)
{
        struct epp_cycle cy = { req, &s->rng };
        const struct epp_plugin *filter = s->profile.filter, *picker = s->profile.picker;

        n = prefer_scraped(s->work, n);
        n = filter->type->filter(filter, &cy, s->work, n);
        if (n == 0)
                return EPP_EFULL;
        *ret = s->work[picker->type->pick(picker, &cy, s->work, n)];
        return 0;
}
