/* plugin.h - the vtable of every plugin kind, and what a cycle hands to it.
 * A plugin is one file and one row in plugin.def. Knows: model. */
#ifndef EPP_PLUGIN_H
#define EPP_PLUGIN_H

#include "base/hist.h"
#include "base/rng.h"
#include "model/endpoint.h"
#include "sched/request.h"

struct epp_plugin;
struct epp_timed;
struct epp_trace;

struct epp_cycle {
        const struct epp_request *req;
        struct epp_rng *rng;
        struct epp_trace *trace;    /* filled as plugins run; NULL: nobody will read it */
        uint64_t (*clock_ns)(void); /* monotonic; NULL: plugins are not timed this time */
        uint64_t since_ns;          /* with it: when the plugin before ended */
};

enum epp_plugin_kind { EPP_FILTER, EPP_PICKER };

/* One number that a plugin takes. */
struct epp_param {
        const char *name;
        double def, min, max;
        const char *help;
};
#define EPP_PARAMS_MAX 4

struct epp_plugin_type {
        const char *name; /* upstream's string */
        enum epp_plugin_kind kind;
        const char *help;
        struct epp_param params[EPP_PARAMS_MAX]; /* up to the first without a name */
        /* Filter: moves the endpoints that pass to the front of v, in order, and returns how many;
         * behind them lies anything. When none passes the array is left as it was. */
        size_t (*filter)(const struct epp_plugin *self, struct epp_cycle *cy,
                struct epp_endpoint **v, size_t n);
        /* Picker: the index of its choice; n > 0. */
        size_t (*pick)(const struct epp_plugin *self, struct epp_cycle *cy,
                struct epp_endpoint *const *v, size_t n);
};

/* A configured plugin; branches are those of decision-tree-filter. */
struct epp_plugin {
        const struct epp_plugin_type *type;
        double param[EPP_PARAMS_MAX];
        const struct epp_plugin *current, *on_success, *on_failure;
        struct epp_timed *timed; /* of all plugins of its type; NULL: not measured */
};

/* Runs a filter: the only way to call one, as here is noted how it went. Returns as its filter
 * does. */
size_t epp_filter_run(const struct epp_plugin *self, struct epp_cycle *cy, struct epp_endpoint **v,
        size_t n);

/* Keeps the endpoints for which <test> holds, as a filter does; the body of most of them. <arg> is
 * what the test wants to know. Inlined with its test, and without a branch on what that says: a
 * call and a guess for each made the pick among 100 endpoints 0.7 us, not 0.4. */
static EPP_INLINE size_t
epp_filter_keep(struct epp_endpoint **v, size_t n,
        bool (*test)(const void *arg, const struct epp_endpoint *e), const void *arg)
{
        struct epp_endpoint *first = n ? v[0] : NULL; /* when none passes it is written over */
        size_t kept = 0;

        for (size_t i = 0; i < n; i++) {
                struct epp_endpoint *e = v[i];

                v[kept] = e;
                kept += test(arg, e);
        }
        if (n && kept == 0)
                v[0] = first;
        return kept;
}

#endif
