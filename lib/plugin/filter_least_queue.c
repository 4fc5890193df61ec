/* filter_least_queue.c - keeps the lowest band of queues: min .. min + (max - min) / n, in whole
 * numbers as the original computes it, which makes it strict for short queues. */
#include "plugin/plugins.h"

static size_t
filter(const struct epp_plugin *self, struct epp_cycle *cy, struct epp_endpoint **v, size_t n)
{
        int64_t min = INT64_MAX, max = 0, bound;
        size_t kept = 0;

        (void)self, (void)cy;
        if (n == 0)
                return 0;
        for (size_t i = 0; i < n; i++) {
                min = EPP_MIN(min, v[i]->load.waiting);
                max = EPP_MAX(max, v[i]->load.waiting);
        }
        bound = min + (max - min) / (int64_t)n;
        for (size_t i = 0; i < n; i++)
                if (v[i]->load.waiting <= bound)
                        v[kept++] = v[i];
        return kept;
}

const struct epp_plugin_type epp_filter_least_queue = {
        .name = "least-queue-filter", .kind = EPP_FILTER, .filter = filter,
        .help = "Keeps endpoints in the lowest n-th of the range of queue lengths.",
};
