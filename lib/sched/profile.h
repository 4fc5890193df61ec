/* profile.h - a graph of configured plugins, and the built-in ones. Knows: plugin. */
#ifndef EPP_PROFILE_H
#define EPP_PROFILE_H

#include "sched/sched.h"

#define EPP_PROFILE_NODES 32
#define EPP_PROFILE_SCORERS 8

struct epp_profile {
        struct epp_plugin node[EPP_PROFILE_NODES];
        size_t n;
        const struct epp_plugin *filter, *picker;
        struct epp_weighted scorer[EPP_PROFILE_SCORERS]; /* in the order they run */
        size_t n_scorers;
};

/* Fills *p with a built-in configuration; *p must stay where it is, as nodes point at each other.
 * Returns 0 or EPP_ENOTFOUND. */
EPP_MUSTUSE int epp_profile_builtin(struct epp_profile *p, enum epp_builtin config,
        const struct epp_thresholds *t, const struct epp_plugin_type *const *types);

#endif
