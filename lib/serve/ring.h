/* ring.h - the last N decisions, and why. An observer of the director; memory is fixed at its
 * start. Knows: record, sched (trace). Does not know: how a decision is shown (daemon/debug). */
#ifndef EPP_RING_H
#define EPP_RING_H

#include "serve/record.h"

#define EPP_RING_TEXT 1024 /* bytes of all names of a decision together */
#define EPP_RING_NAME 128  /* of each of those that clients choose */

/* Names are the decision's own. Those of clients are cut where they are too long, never in a UTF-8
 * character; those of endpoints are whole: what has no room is not in <seen>. */
struct epp_decision {
        uint64_t number; /* from 1 on; 0: none yet */
        epp_us at;
        int http;        /* 0: routed */
        enum epp_failure failure; /* with it */
        int32_t priority;
        bool critical;
        struct epp_slice id, model, target;
        struct epp_slice why; /* it was refused; empty when it was not */
        uint32_t candidates;
        unsigned n_steps, n_seen;
        struct epp_trace_step step[EPP_TRACE_STEPS];
        struct {
                struct epp_slice name;
                struct epp_seen as;
        } seen[EPP_TRACE_SHOWN]; /* the chosen one first */
        size_t n_text;
        char text[EPP_RING_TEXT]; /* where the names are */
};

struct epp_ring;

/* Remembers <n> > 0 decisions. Returns 0 or EPP_ENOMEM. */
EPP_MUSTUSE int epp_ring_new(size_t n, struct epp_ring **ret);
/* Accepts NULL. */
void epp_ring_free(struct epp_ring *r);
/* <r> is borrowed for the observer's life. */
struct epp_observer epp_ring_observer(struct epp_ring *r);
/* Number of the newest decision, 0 without any. */
uint64_t epp_ring_last(const struct epp_ring *r);
/* Decision <number>, or NULL when it is too old or not made yet; valid until the next one. */
const struct epp_decision *epp_ring_get(const struct epp_ring *r, uint64_t number);
/* How many are remembered, at most. */
size_t epp_ring_size(const struct epp_ring *r);
/* What the ring takes when it is full. */
size_t epp_ring_bytes(const struct epp_ring *r);
/* <name> as the ring keeps names that clients choose. */
struct epp_slice epp_ring_cut(struct epp_slice name);

#endif
