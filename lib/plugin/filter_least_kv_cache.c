/* filter_least_kv_cache.c - keeps the lowest band of KV cache use: min .. min + (max - min) / n. */
#include "plugin/plugins.h"

static size_t
filter(const struct epp_plugin *self, struct epp_cycle *cy, struct epp_endpoint **v, size_t n)
{
        double min = 1e300, max = 0, bound;
        size_t kept = 0;

        (void)self, (void)cy;
        for (size_t i = 0; i < n; i++) {
                min = EPP_MIN(min, v[i]->load.kv_ratio);
                max = EPP_MAX(max, v[i]->load.kv_ratio);
        }
        bound = min + (max - min) / (double)n;
        for (size_t i = 0; i < n; i++)
                if (v[i]->load.kv_ratio <= bound)
                        v[kept++] = v[i];
        return kept;
}

const struct epp_plugin_type epp_filter_least_kv_cache = {
        .name = "least-kv-cache-filter", .kind = EPP_FILTER, .filter = filter,
        .help = "Keeps endpoints in the lowest n-th of the range of KV cache use.",
};
