/* scorer_active_request.c - the fewer requests that we sent there and that have not ended, the
 * better. What a scrape says is up to an interval old; this counts each pick at once. */
#include "plugin/plugins.h"

/* Above the idle threshold, which is at least 0, the most is not 0. */
static void
score(const struct epp_plugin *self, struct epp_cycle *cy, struct epp_endpoint *const *v, size_t n,
        double *score)
{
        double most = 0;

        (void)cy;
        for (size_t i = 0; i < n; i++) {
                score[i] = v[i]->inflight;
                most = EPP_MAX(most, score[i]);
        }
        for (size_t i = 0; i < n; i++)
                score[i] = score[i] <= self->param[0]
                        ? 1
                        : (most - score[i]) / most * self->param[1];
}

const struct epp_plugin_type epp_scorer_active_request = {
        .name = "active-request-scorer", .kind = EPP_SCORER, .score = score,
        .help = "Prefers endpoints with few requests in flight, as counted here. The most of all "
                "give 0, none or no more than the threshold 1.",
        .params = { { "idleThreshold", 0, 0, 1e9, "requests in flight that count as none" },
                { "maxBusyScore", 1, 0, 1, "what an endpoint above it gets at most" } },
};
