/* filter_low_queue.c - keeps endpoints whose queue is below a threshold. */
#include "plugin/plugins.h"

static bool
is_low(const struct epp_plugin *self, const struct epp_cycle *cy, const struct epp_endpoint *e)
{
        double q = (double)e->load.waiting;

        (void)cy;
        return self->param[1] != 0 ? q <= self->param[0] : q < self->param[0];
}

static size_t
filter(const struct epp_plugin *self, struct epp_cycle *cy, struct epp_endpoint **v, size_t n)
{
        return epp_filter_keep(self, cy, v, n, is_low);
}

const struct epp_plugin_type epp_filter_low_queue = {
        .name = "low-queue-filter", .kind = EPP_FILTER, .filter = filter,
        .help = "Keeps endpoints with fewer waiting requests than the threshold.",
        .params = { { "threshold", 128, -1e9, 1e9, "requests waiting" },
                { "inclusive", 1, 0, 1, "1: the threshold itself passes (v0.4 and later)" } },
};
