/* rng.c - see rng.h. */
#include "base/rng.h"

static uint64_t
splitmix(uint64_t *x)
{
        uint64_t z = (*x += 0x9e3779b97f4a7c15u);

        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
}

static uint64_t
rotl(uint64_t x, int k)
{
        return x << k | x >> (64 - k);
}

void
epp_rng_init(struct epp_rng *r, uint64_t seed)
{
        for (size_t i = 0; i < ARRAY_LEN(r->s); i++)
                r->s[i] = splitmix(&seed);
}

uint64_t
epp_rng_next(struct epp_rng *r)
{
        uint64_t *s = r->s, out = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;

        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = rotl(s[3], 45);
        return out;
}

uint64_t
epp_rng_below(struct epp_rng *r, uint64_t n)
{
        unsigned __int128 m = (unsigned __int128)epp_rng_next(r) * n;

        EPP_ASSERT(n > 0);
        if ((uint64_t)m < n) {
                uint64_t least = -n % n;

                while ((uint64_t)m < least)
                        m = (unsigned __int128)epp_rng_next(r) * n;
        }
        return (uint64_t)(m >> 64);
}

double
epp_rng_unit(struct epp_rng *r)
{
        return (double)(epp_rng_next(r) >> 11) * 0x1p-53;
}
