/* thresholds.h - the original's environment variables. Knows: sched. */
#ifndef EPPD_THRESHOLDS_H
#define EPPD_THRESHOLDS_H

#include "sched/sched.h"

/* Fills *ret for <config> from the environment (get is getenv; tests pass their own). Returns true,
 * or false and one line in <err> for a value that is none: the original would silently take its
 * default. */
bool thresholds_read(enum epp_builtin config, char *(*get)(const char *name),
        struct epp_thresholds *ret, char *err, size_t err_size);

#endif
