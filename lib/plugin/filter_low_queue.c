/* filter_low_queue.c - keeps endpoints whose queue is below a threshold. */
#include "plugin/plugins.h"

static bool
is_low(const void *arg, const struct epp_endpoint *e)
{
        return (double)e->load.waiting < *(const double *)arg;
}

static bool
is_low_or_at(const void *arg, const struct epp_endpoint *e)
{
        return (double)e->load.waiting <= *(const double *)arg;
}

static size_t
filter(const struct epp_plugin *self, struct epp_cycle *cy, struct epp_endpoint **v, size_t n)
{
        const double *threshold = &self->param[0];

        (void)cy;
        if (self->param[1] != 0)
                return epp_filter_keep(v, n, is_low_or_at, threshold);
        return epp_filter_keep(v, n, is_low, threshold);
}

const struct epp_plugin_type epp_filter_low_queue = {
        .name = "low-queue-filter", .kind = EPP_FILTER, .filter = filter,
        .help = "Keeps endpoints with fewer waiting requests than the threshold.",
        .params = { { "threshold", 128, -1e9, 1e9, "requests waiting" },
                { "inclusive", 1, 0, 1, "1: the threshold itself passes (v0.4 and later)" } },
};
