/* trace.h - how a cycle went: which plugins ran, how many endpoints each left, and for some of the
 * candidates (all of a small pool; a sample of a large one) which plugin took them out and the load
 * that was seen. Filled by epp_sched_trace; fixed size, no allocation. Knows: model. */
#ifndef EPP_TRACE_H
#define EPP_TRACE_H

#include <limits.h>

#include "model/endpoint.h"

#define EPP_TRACE_STEPS 16
#define EPP_TRACE_SHOWN 16
#define EPP_TRACE_FRONT 32
#define EPP_TRACE_NEVER UINT_MAX

struct epp_trace_step {
        const char *plugin; /* its type; the text is never freed */
        uint32_t in, out;   /* a filter that leaves none (out 0) hands its input on */
};

/* What was seen of one endpoint. */
struct epp_seen {
        unsigned dropped_at; /* the step that took it out; EPP_TRACE_NEVER: it was chosen */
        uint32_t inflight;
        int64_t waiting, running;
        double kv_ratio;
        epp_us age;   /* of its last page; -1: never read */
        double score; /* the scorers' total; NAN: no scorer was asked about it */
};

struct epp_trace {
        struct epp_trace_step step[EPP_TRACE_STEPS]; /* in the order they ran */
        unsigned n_steps;    /* more may have run: the last ones are not recorded */
        uint32_t candidates; /* of the request */
        struct {
                const struct epp_endpoint *endpoint; /* valid until the pool changes */
                struct epp_seen as;
        } seen[EPP_TRACE_SHOWN]; /* the chosen one first, then finalists, then the last to go */
        unsigned n_seen;
        /* While the cycle runs: the first of those still in, and the last that went. */
        const struct epp_endpoint *front[EPP_TRACE_FRONT];
        struct {
                const struct epp_endpoint *endpoint;
                unsigned at;
        } lost[EPP_TRACE_SHOWN]; /* number i is in i % EPP_TRACE_SHOWN */
        unsigned n_front, n_lost, n_ran;
        bool scored; /* score[i] is front[i]'s total, chosen that of the chosen one */
        double score[EPP_TRACE_FRONT], chosen;
};

/* How many of <n> steps an endpoint passed that was dropped at <dropped_at>: it stays in, but does
 * not pass, where a filter left none. */
unsigned epp_trace_passed(const struct epp_trace_step *step, unsigned n, unsigned dropped_at);
/* The name of the plugin that took it out; NULL: none did, or a step that was not recorded. */
const char *epp_trace_dropped_by(
        const struct epp_trace_step *step, unsigned n, unsigned dropped_at);

/* For the scheduler. <v> are the candidates as the first plugin gets them; *t need not be zero. */
void epp_trace_begin(struct epp_trace *t, struct epp_endpoint *const *v, size_t n);
/* <plugin> has got <in> of them and left the first <out> of <v>, in order; NULL: a picker ran. */
void epp_trace_ran(struct epp_trace *t, const char *plugin, struct epp_endpoint *const *v,
        size_t in, size_t out);
/* <total> of the endpoints that are still in, in order; number <at> was picked. Not called: there
 * are no scorers. */
void epp_trace_scored(struct epp_trace *t, const double *total, size_t at);
/* All plugins have run; NULL: none was chosen. */
void epp_trace_end(struct epp_trace *t, const struct epp_endpoint *chosen, epp_us now);

#endif
