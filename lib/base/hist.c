/* hist.c - see hist.h. */
#include "base/hist.h"

#define BOUNDS(id, ...) static const double bounds_##id[] = { __VA_ARGS__ };
#include "base/bounds.def"
#undef BOUNDS

const struct epp_bounds epp_bounds[EPP_BOUNDS_COUNT] = {
#define BOUNDS(id, ...) { bounds_##id, ARRAY_LEN(bounds_##id) },
#include "base/bounds.def"
#undef BOUNDS
};

void
epp_hist_add_n(struct epp_hist *h, double value, uint64_t n)
{
        size_t low = 0, high = h->bounds->n;

        if (EPP_LIKELY(value <= h->bounds->le[0]))
                high = 0; /* the time of a plugin, always */
        while (low < high) {
                size_t mid = (low + high) / 2;

                if (value <= h->bounds->le[mid])
                        high = mid;
                else
                        low = mid + 1;
        }
        h->cell[low] += n;
        h->sum += value * (double)n;
}

void
epp_hist_add(struct epp_hist *h, double value)
{
        epp_hist_add_n(h, value, 1);
}

uint64_t
epp_hist_count(const struct epp_hist *h)
{
        uint64_t n = 0;

        for (size_t i = 0; i <= h->bounds->n; i++)
                n += h->cell[i];
        return n;
}
