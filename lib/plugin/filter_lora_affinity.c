/* filter_lora_affinity.c - prefers endpoints that have the adapter, else those with a free slot.
 * With both kinds there, one draw decides: mostly affinity, now and then a fresh endpoint. */
#include "plugin/plugins.h"

enum group { NEITHER, AFFINITY, AVAILABLE };

struct question {
        uint64_t model; /* hash of its name */
        bool sum;       /* parameter "slots" */
        enum group want;
};

/* In v0.3.0 an adapter in both lists counts once. */
static inline enum group
group_of(const struct question *q, const struct epp_load *l)
{
        const struct epp_loras *run = &l->lora_running, *wait = &l->lora_waiting;

        if (!q->sum) {
                if (epp_loras_has(&l->lora_v03, q->model))
                        return AFFINITY;
                return (int64_t)l->lora_v03.n < l->max_lora_v03 ? AVAILABLE : NEITHER;
        }
        if (epp_loras_has(run, q->model) || epp_loras_has(wait, q->model))
                return AFFINITY;
        return (int64_t)run->n + (int64_t)wait->n < l->max_lora ? AVAILABLE : NEITHER;
}

static bool
is_wanted(const void *arg, const struct epp_endpoint *e)
{
        const struct question *q = arg;

        return group_of(q, &e->load) == q->want;
}

static size_t
filter(const struct epp_plugin *self, struct epp_cycle *cy, struct epp_endpoint **v, size_t n)
{
        struct question q = { cy->req->target_hash, self->param[1] != 0, AVAILABLE };
        size_t affinity = 0, available = 0;

        for (size_t i = 0; i < n; i++) {
                enum group g = group_of(&q, &v[i]->load);

                affinity += g == AFFINITY;
                available += g == AVAILABLE;
        }
        if (affinity == 0 && available == 0)
                return 0;
        if (affinity && (!available || epp_rng_unit(cy->rng) < self->param[0]))
                q.want = AFFINITY;
        if (available == n)
                return n; /* the base model, or an adapter that none has */
        return epp_filter_keep(v, n, is_wanted, &q);
}

const struct epp_plugin_type epp_filter_lora_affinity = {
        .name = "lora-affinity-filter", .kind = EPP_FILTER, .filter = filter,
        .help = "Keeps endpoints that have the adapter loaded, or have room to load it.",
        .params = { { "threshold", 0.999, -1e9, 1e9, "share of draws that keep affinity" },
                { "slots", 1, 0, 1, "0 counts an adapter in both lists once, 1 twice" } },
};
