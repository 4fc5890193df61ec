/* picker_random.c - one of what is left, all equally likely. */
#include "plugin/plugins.h"

static size_t
pick(const struct epp_plugin *self, struct epp_cycle *cy, struct epp_endpoint *const *v, size_t n,
        const double *total)
{
        (void)self, (void)v, (void)total;
        return (size_t)epp_rng_below(cy->rng, n);
}

const struct epp_plugin_type epp_picker_random = {
        .name = "random-picker", .kind = EPP_PICKER, .pick = pick,
        .help = "Picks one of the endpoints at random.",
};
