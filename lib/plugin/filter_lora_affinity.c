/* filter_lora_affinity.c - prefers endpoints that have the adapter, else those with a free slot.
 * With both kinds there, one draw decides: mostly affinity, now and then a fresh endpoint. */
#include "plugin/plugins.h"

enum group { NEITHER, AFFINITY, AVAILABLE };

/* Parameter "slots": 0 union (v0.3.0: an adapter in both lists counts once), 1 sum. */
static enum group
group_of(const struct epp_plugin *self, const struct epp_cycle *cy, const struct epp_load *l)
{
        uint64_t m = cy->req->target_hash;

        if (self->param[1] == 0) {
                if (epp_loras_has(&l->lora_v03, m))
                        return AFFINITY;
                return (int64_t)l->lora_v03.n < l->max_lora_v03 ? AVAILABLE : NEITHER;
        }
        if (epp_loras_has(&l->lora_running, m) || epp_loras_has(&l->lora_waiting, m))
                return AFFINITY;
        return (int64_t)l->lora_running.n + (int64_t)l->lora_waiting.n < l->max_lora ? AVAILABLE
                                                                                    : NEITHER;
}

static size_t
filter(const struct epp_plugin *self, struct epp_cycle *cy, struct epp_endpoint **v, size_t n)
{
        size_t count[3] = { 0 }, kept = 0;
        enum group want;

        for (size_t i = 0; i < n; i++)
                count[group_of(self, cy, &v[i]->load)]++;
        want = count[AFFINITY] ? AFFINITY : AVAILABLE;
        if (count[want] == 0)
                return 0;
        if (count[AFFINITY] && count[AVAILABLE] && epp_rng_unit(cy->rng) >= self->param[0])
                want = AVAILABLE;
        for (size_t i = 0; i < n; i++)
                if (group_of(self, cy, &v[i]->load) == want)
                        v[kept++] = v[i];
        return kept;
}

const struct epp_plugin_type epp_filter_lora_affinity = {
        .name = "lora-affinity-filter", .kind = EPP_FILTER, .filter = filter,
        .help = "Keeps endpoints that have the adapter loaded, or have room to load it.",
        .params = { { "threshold", 0.999, -1e9, 1e9, "share of draws that keep affinity" },
                { "slots", 1, 0, 1, "0 counts an adapter in both lists once, 1 twice" } },
};
