/* hist.h - a histogram: how many values came to lie under each bound, and their sum.
 * Knows: base. */
#ifndef EPP_HIST_H
#define EPP_HIST_H

#include "base/base.h"

enum epp_bounds_id {
#define BOUNDS(id, ...) EPP_BOUNDS_##id,
#include "base/bounds.def"
#undef BOUNDS
        EPP_BOUNDS_COUNT
};
/* EPP_CELLS_GEN and so on: cells of such a histogram, one per bound and one for +Inf. */
enum {
#define BOUNDS(id, ...) EPP_CELLS_##id = 1 + sizeof((double[]){ __VA_ARGS__ }) / sizeof(double),
#include "base/bounds.def"
#undef BOUNDS
};

struct epp_bounds {
        const double *le; /* ascending; +Inf is not among them */
        size_t n;
};
extern const struct epp_bounds epp_bounds[EPP_BOUNDS_COUNT];

struct epp_hist {
        const struct epp_bounds *bounds;
        double sum;
        uint64_t *cell; /* bounds->n + 1; not cumulative */
};
/* A histogram and its cells as members of a struct; epp_hist_init ties them. */
#define EPP_HIST(name, id) \
        struct epp_hist name; \
        uint64_t name##_cell[EPP_CELLS_##id]
#define EPP_HIST_INIT(owner, name, id) \
        ((owner)->name = (struct epp_hist){ &epp_bounds[EPP_BOUNDS_##id], 0, (owner)->name##_cell })

/* A value in the unit of the bounds (seconds, bytes, tokens). A bound counts what is equal to it,
 * as Prometheus' le does. */
void epp_hist_add(struct epp_hist *h, double value);
/* The same, <n> times. */
void epp_hist_add_n(struct epp_hist *h, double value, uint64_t n);
uint64_t epp_hist_count(const struct epp_hist *h);

#endif
