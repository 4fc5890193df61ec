/* loop.h - the loop and its two clocks. Knows: base. */
#ifndef EPPD_LOOP_H
#define EPPD_LOOP_H

#include "base/hist.h"

struct event_base;

/* The monotonic clock, microseconds, read anew with each call: 20 ns. */
epp_us loop_now(struct event_base *base);
/* The same clock in nanoseconds. */
uint64_t loop_ns(void);
/* Microseconds since 1970, likewise. */
epp_wall loop_wall(void);

/* Seconds. The loop's thread is the process's: there is one. */
struct loop_timing {
        EPP_HIST(turn, SCH); /* from the first callback of a turn to its end (span says when) */
        EPP_HIST(lag, SCH);  /* how late timers were; up to 1 ms is how exactly libevent waits */
};
const struct loop_timing *loop_timing(void);
/* Runs until event_base_loopbreak, or until there is nothing left to wait for. */
void loop_run(struct event_base *base);
/* A timer that was to fire at <due> (0: it did not matter when) does so <now>. */
void loop_late(epp_us due, epp_us now);

#endif
