/* metrics.h - /metrics: the rows of stat.def as exposition text, Prometheus' 0.0.4 or OpenMetrics
 * 1.0.0 as Accept wants it, in pieces that never hold the loop. Not compressed: that would cost
 * milliseconds of the loop per megabyte, for a network that is next door.
 * Knows: admin, stat. */
#ifndef EPPD_METRICS_H
#define EPPD_METRICS_H

#include "daemon/admin.h"

struct metrics;

/* What stays between pages. <generations>: names as --metrics-generations takes them.
 * Returns 0, EPP_ENOMEM, or EPP_EINVAL with one line in <err>. */
EPP_MUSTUSE int metrics_new(const char *generations, char *err, size_t err_size,
        struct metrics **ret);
/* After the last page has ended. Accepts NULL. */
void metrics_free(struct metrics *m);
/* As struct admin_page wants it; <ctx> is a struct pages. */
void metrics_render(void *ctx, const struct admin_request *q, struct admin_reply *r);

#endif
