/* loop.h - the two clocks of the loop. Knows: base. */
#ifndef EPPD_LOOP_H
#define EPPD_LOOP_H

#include "base/base.h"

struct event_base;

/* The monotonic clock, microseconds, read anew with each call: 20 ns. */
epp_us loop_now(struct event_base *base);
/* Microseconds since 1970, likewise. */
epp_wall loop_wall(void);

#endif
