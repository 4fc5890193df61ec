/* filter_saturation.c - passes everything while one endpoint has room and fresh metrics, else
 * nothing: the saturation gate of v0.4 and v0.5. */
#include "plugin/plugins.h"

static size_t
filter(const struct epp_plugin *self, struct epp_cycle *cy, struct epp_endpoint **v, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                const struct epp_load *l = &v[i]->load;

                if (l->at && (double)(cy->req->now - l->at) <= self->param[2] &&
                        (double)l->waiting <= self->param[0] && l->kv_ratio <= self->param[1])
                        return n;
        }
        return 0;
}

const struct epp_plugin_type epp_filter_saturation = {
        .name = "saturation-filter", .kind = EPP_FILTER, .filter = filter,
        .help = "Passes all endpoints unless the pool is saturated.",
        .params = { { "queueThreshold", 5, -1e9, 1e9, "requests waiting" },
                { "kvCacheThreshold", 0.8, -1e9, 1e9, "share of the KV cache in use" },
                { "stalenessUs", 200000, 0, 1e15, "older metrics do not count, microseconds" } },
};
