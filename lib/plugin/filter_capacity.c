/* filter_capacity.c - keeps endpoints with room: a short queue and KV cache left (v0.3.0
 * node 6). */
#include "plugin/plugins.h"

static bool
has_room(const void *arg, const struct epp_endpoint *e)
{
        const double *param = arg;

        return (double)e->load.waiting <= param[0] && e->load.kv_ratio <= param[1];
}

static size_t
filter(const struct epp_plugin *self, struct epp_cycle *cy, struct epp_endpoint **v, size_t n)
{
        (void)cy;
        return epp_filter_keep(v, n, has_room, self->param);
}

const struct epp_plugin_type epp_filter_capacity = {
        .name = "capacity-filter", .kind = EPP_FILTER, .filter = filter,
        .help = "Keeps endpoints whose queue and KV cache use are both at most their thresholds.",
        .params = { { "queueThreshold", 5, -1e9, 1e9, "requests waiting" },
                { "kvCacheThreshold", 0.8, -1e9, 1e9, "share of the KV cache in use" } },
};
