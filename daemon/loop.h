/* loop.h - the time on the loop. Knows: base. */
#ifndef EPPD_LOOP_H
#define EPPD_LOOP_H

#include "base/base.h"

struct event_base;

/* The monotonic clock, microseconds, read anew with each call: 20 ns. */
epp_us loop_now(struct event_base *base);

#endif
