/* request.h - all that a decision may look at. Knows: base. */
#ifndef EPP_REQUEST_H
#define EPP_REQUEST_H

#include "base/slice.h"

struct epp_request {
        struct epp_slice model;   /* as the client wrote it; empty: unknown */
        struct epp_slice target;  /* after the traffic split; empty: unknown */
        uint64_t target_hash;     /* XXH3 of target */
        bool critical;            /* decisions 13 */
        epp_us now;
};

#endif
