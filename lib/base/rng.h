/* rng.h - a seeded generator (xoshiro256**, seeded by splitmix64), so that a run can be repeated.
 * Not for secrets. Knows: base. */
#ifndef EPP_RNG_H
#define EPP_RNG_H

#include "base/base.h"

struct epp_rng {
        uint64_t s[4];
};

void epp_rng_init(struct epp_rng *r, uint64_t seed);
uint64_t epp_rng_next(struct epp_rng *r);
/* Uniform in 0 .. n-1, without bias (Lemire's rejection); n > 0. */
uint64_t epp_rng_below(struct epp_rng *r, uint64_t n);
/* Uniform in [0, 1). */
double epp_rng_unit(struct epp_rng *r);

#endif
