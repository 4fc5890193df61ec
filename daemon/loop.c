/* loop.c - see loop.h. */
#include "daemon/loop.h"

#include <event2/event.h>
#include <time.h>

#include "daemon/span.h"

static struct loop_timing timing;

epp_us
loop_now(struct event_base *base)
{
        struct timespec t;

        (void)base;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (epp_us)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

epp_wall
loop_wall(void)
{
        struct timespec t;

        clock_gettime(CLOCK_REALTIME, &t);
        return (epp_wall)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

uint64_t
loop_ns(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

const struct loop_timing *
loop_timing(void)
{
        return &timing;
}

void
loop_run(struct event_base *base)
{
        EPP_HIST_INIT(&timing, turn, SCH);
        EPP_HIST_INIT(&timing, lag, SCH);
        do {
                epp_us turn;

                if (event_base_loop(base, EVLOOP_ONCE) != 0)
                        break;
                turn = span_turn();
                if (turn >= 0)
                        epp_hist_add(&timing.turn, (double)turn / 1e6);
        } while (!event_base_got_break(base));
}

void
loop_late(epp_us due, epp_us now)
{
        if (due && timing.lag.bounds)
                epp_hist_add(&timing.lag, (double)EPP_MAX(now - due, (epp_us)0) / 1e6);
}
