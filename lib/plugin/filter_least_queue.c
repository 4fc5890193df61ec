/* filter_least_queue.c - keeps the lowest band of queues: min .. min + (max - min) / n, in whole
 * numbers as the original computes it, which makes it strict for short queues. */
#include "plugin/plugins.h"

static bool
is_within(const void *arg, const struct epp_endpoint *e)
{
        return e->load.waiting <= *(const int64_t *)arg;
}

static size_t
filter(const struct epp_plugin *self, struct epp_cycle *cy, struct epp_endpoint **v, size_t n)
{
        int64_t min = INT64_MAX, max = 0, bound;

        (void)self, (void)cy;
        if (n == 0)
                return 0;
        for (size_t i = 0; i < n; i++) {
                min = EPP_MIN(min, v[i]->load.waiting);
                max = EPP_MAX(max, v[i]->load.waiting);
        }
        if (min == max)
                return n; /* an idle pool */
        bound = min + (max - min) / (int64_t)n;
        return epp_filter_keep(v, n, is_within, &bound);
}

const struct epp_plugin_type epp_filter_least_queue = {
        .name = "least-queue-filter", .kind = EPP_FILTER, .filter = filter,
        .help = "Keeps endpoints in the lowest n-th of the range of queue lengths.",
};
