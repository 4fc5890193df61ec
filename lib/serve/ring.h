/* ring.h - the last N decisions, and why. An observer of the director; memory is fixed at its
 * start. Knows: record, sched. Does not know: how a decision is shown (daemon/debug does). */
#ifndef EPP_RING_H
#define EPP_RING_H

#include "serve/record.h"

#define EPP_RING_NAME 64 /* bytes of a name that are kept, NUL included */

struct epp_decision {
        uint64_t number; /* from 1 on */
        epp_us at;
        int http;        /* 0: routed */
        int32_t priority;
        bool critical;
        char id[EPP_RING_NAME], model[EPP_RING_NAME], target[EPP_RING_NAME];
        char text[128];  /* why it was refused, "" when it was not */
        uint32_t candidates;
        unsigned n_steps, n_seen;
        struct {
                const char *plugin;
                uint32_t in, out;
        } step[EPP_TRACE_STEPS];
        struct epp_ring_seen {
                char name[EPP_RING_NAME];
                unsigned steps;
                int64_t waiting, running;
                double kv_ratio;
                uint32_t inflight;
                epp_us age;
        } seen[EPP_TRACE_SHOWN]; /* seen[0] was chosen when http is 0 */
};

struct epp_ring;

/* Remembers <n> > 0 decisions. Returns 0 or EPP_ENOMEM. */
EPP_MUSTUSE int epp_ring_new(size_t n, struct epp_ring **ret);
/* Accepts NULL. */
void epp_ring_free(struct epp_ring *r);
struct epp_observer epp_ring_observer(struct epp_ring *r);
/* Number of the newest decision, 0 without any. */
uint64_t epp_ring_last(const struct epp_ring *r);
/* Decision <number>, or NULL when it is too old or not made yet; valid until the next one. */
const struct epp_decision *epp_ring_get(const struct epp_ring *r, uint64_t number);
size_t epp_ring_bytes(const struct epp_ring *r);

#endif
