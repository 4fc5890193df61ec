/* filter_decision_tree.c - one filter, then another by whether something was left.
 * A filter that empties the set hands its own input on, so it drops a request only as the last. */
#include "plugin/plugins.h"

static size_t
filter(const struct epp_plugin *self, struct epp_cycle *cy, struct epp_endpoint **v, size_t n)
{
        size_t kept = epp_filter_run(self->current, cy, v, n);
        const struct epp_plugin *next = kept ? self->on_success : self->on_failure;

        if (!next)
                return kept;
        return epp_filter_run(next, cy, v, kept ? kept : n);
}

const struct epp_plugin_type epp_filter_decision_tree = {
        .name = "decision-tree-filter", .kind = EPP_FILTER, .filter = filter,
        .help = "Runs a filter and goes on with nextOnSuccess over what is left, or with "
                "nextOnFailure over what came in.",
};
