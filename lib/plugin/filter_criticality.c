/* filter_criticality.c - passes everything for critical requests, nothing for others. */
#include "plugin/plugins.h"

static size_t
filter(const struct epp_plugin *self, struct epp_cycle *cy, struct epp_endpoint **v, size_t n)
{
        (void)self, (void)v;
        return cy->req->critical ? n : 0;
}

const struct epp_plugin_type epp_filter_criticality = {
        .name = "criticality-filter", .kind = EPP_FILTER, .filter = filter,
        .help = "Splits a tree: critical requests pass, others fail.",
};
