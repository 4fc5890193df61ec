/* filter_prefer_fresh.c - endpoints whose page is stale come last: one that does not answer scrapes
 * may be dead, and a dead one ends its requests at once, so that it would look idle. */
#include "plugin/plugins.h"

static bool
is_not_stale(const void *arg, const struct epp_endpoint *e)
{
        (void)arg;
        return e->load.state != EPP_LOAD_STALE;
}

static size_t
filter(const struct epp_plugin *self, struct epp_cycle *cy, struct epp_endpoint **v, size_t n)
{
        size_t kept = epp_filter_keep(v, n, is_not_stale, NULL);

        (void)self, (void)cy;
        return kept ? kept : n;
}

const struct epp_plugin_type epp_filter_prefer_fresh = {
        .name = "prefer-fresh-filter", .kind = EPP_FILTER, .filter = filter,
        .help = "Leaves out endpoints whose metrics page is stale, unless all are.",
};
