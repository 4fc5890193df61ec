/* picker_max_score.c - the highest total; those that have it alike are all equally likely. */
#include "plugin/plugins.h"

/* A reservoir of one: the k-th of equals takes the place with a chance of 1 / k. */
static size_t
pick(const struct epp_plugin *self, struct epp_cycle *cy, struct epp_endpoint *const *v, size_t n,
        const double *total)
{
        size_t best = 0, equal = 1;

        (void)self, (void)v;
        if (!total)
                return (size_t)epp_rng_below(cy->rng, n);
        for (size_t i = 1; i < n; i++) {
                if (total[i] > total[best]) {
                        best = i;
                        equal = 1;
                } else if (total[i] == total[best] && epp_rng_below(cy->rng, ++equal) == 0) {
                        best = i;
                }
        }
        return best;
}

const struct epp_plugin_type epp_picker_max_score = {
        .name = "max-score-picker", .kind = EPP_PICKER, .pick = pick,
        .help = "Picks the endpoint with the highest total of scores, at random among equals.",
};
