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

enum epp_plugin_kind { EPP_FILTER, EPP_SCORER, EPP_PICKER };

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
        /* Scorer: how well each of v does, 0 (worst) to 1; n > 0, score[i] is v[i]'s. What lies
         * outside counts as the nearer of the two, what is no number as 0. */
        void (*score)(const struct epp_plugin *self, struct epp_cycle *cy,
                struct epp_endpoint *const *v, size_t n, double *score);
        /* Picker: the index of its choice; n > 0. total[i] is what the scorers give v[i], each
         * times its weight; NULL: there are no scorers. */
        size_t (*pick)(const struct epp_plugin *self, struct epp_cycle *cy,
                struct epp_endpoint *const *v, size_t n, const double *total);
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

/* A scorer of a profile, and how much it counts: any number, totals are not normalised. */
struct epp_weighted {
        const struct epp_plugin *plugin;
        double weight;
};
/* Runs <n_scorers> > 0 of them, likewise the only way, over the <n> of <v>: total[i] is the sum of
 * weight times score, clamped. <one> has room for the scores of one scorer. */
void epp_scorers_run(const struct epp_weighted *scorer, size_t n_scorers, struct epp_cycle *cy,
        struct epp_endpoint *const *v, size_t n, double *total, double *one);

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
