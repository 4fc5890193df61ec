/* filter_least_kv_cache.c - keeps the lowest band of KV cache use: min .. min + (max - min) / n. */
#include "plugin/plugins.h"

static bool
is_within(const void *arg, const struct epp_endpoint *e)
{
        return e->load.kv_ratio <= *(const double *)arg;
}

static size_t
filter(const struct epp_plugin *self, struct epp_cycle *cy, struct epp_endpoint **v, size_t n)
{
        double min = 1e300, max = 0, bound;

        (void)self, (void)cy;
        for (size_t i = 0; i < n; i++) {
                min = EPP_MIN(min, v[i]->load.kv_ratio);
                max = EPP_MAX(max, v[i]->load.kv_ratio);
        }
        if (min == max)
                return n; /* an idle pool */
        bound = min + (max - min) / (double)n;
        return epp_filter_keep(v, n, is_within, &bound);
}

const struct epp_plugin_type epp_filter_least_kv_cache = {
        .name = "least-kv-cache-filter", .kind = EPP_FILTER, .filter = filter,
        .help = "Keeps endpoints in the lowest n-th of the range of KV cache use.",
};
