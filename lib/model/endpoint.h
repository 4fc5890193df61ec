/* endpoint.h - one endpoint of the pool. Written by the pool and by scrapes, read by cycles.
 * Knows: load. */
#ifndef EPP_ENDPOINT_H
#define EPP_ENDPOINT_H

#include "model/load.h"

/* May be kept across ticks; epp_pool_get says whether it still stands for the same endpoint. */
struct epp_ref {
        uint32_t slot, gen;
};

struct epp_endpoint {
        struct epp_ref ref;
        struct epp_slice name;   /* unique in the pool */
        struct epp_slice addr;   /* ip:port or [ip6]:port, as it goes into the header */
        struct epp_slice ip;     /* part of addr, without brackets */
        unsigned port;
        struct epp_load load;
        uint32_t inflight;       /* our own picks that have not ended */
        uint64_t picks;          /* in all */
        double ttft_us;          /* time to the first body byte, smoothed; 0 = none yet */
        bool fixed;              /* of the command line: no file takes it away or changes it */
        size_t index;            /* in the pool's list */
        void *user;              /* the daemon's (its scrape) */
};

#endif
