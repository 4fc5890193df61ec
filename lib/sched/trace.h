/* trace.h - how a cycle went: which plugins ran, how many endpoints each left, and for some of the
 * candidates (all of a small pool; the finalists of a large one) how far they came and the load
 * that was seen. Filled by epp_sched_run; fixed size, no allocation. Knows: model. */
#ifndef EPP_TRACE_H
#define EPP_TRACE_H

#include "model/endpoint.h"

#define EPP_TRACE_STEPS 16
#define EPP_TRACE_SHOWN 16

struct epp_plugin;

struct epp_trace {
        struct epp_trace_step {
                const struct epp_plugin *plugin;
                uint32_t in, out;       /* a filter that leaves none hands its input on */
        } step[EPP_TRACE_STEPS];        /* in the order they ran */
        unsigned n_steps;               /* more may have run: the last ones are not recorded */
        uint32_t candidates;            /* of the request */
        struct epp_trace_seen {
                const struct epp_endpoint *endpoint; /* valid until the pool changes */
                unsigned steps;         /* how many steps it passed, from the first on */
                int64_t waiting, running;
                double kv_ratio;
                uint32_t inflight;
                epp_us age;             /* of its last page; -1: never read */
        } seen[EPP_TRACE_SHOWN];        /* the chosen one first, then finalists, then others */
        unsigned n_seen;
};

#endif
