/* lease.h - leader election over a Lease object (coordination.k8s.io/v1): what to send next and
 * whether we lead. The rules are client-go's (spec kubernetes 4.3) but for one: a leader whom no
 * API server answers at all goes on leading, because a pool without a picker is worse than two for
 * some seconds. Times of the record are never compared with a clock, only its changes are timed.
 *
 *                  .--- lost: other holder, 403, or renew_deadline without a renewal ---.
 *                  v                                                                    |
 *   FOLLOWER: GET, POST or PUT when free, ~3 s --won--> LEADER: PUT, else GET and PUT, every 2 s
 *                  '------------- epp_lease_release: GET, PUT without a holder ---------'
 *
 * The daemon asks epp_lease_wish, carries the request out and reports its answer; one at a time.
 * Knows: base, jansson (documents of a few KB). Does not know: HTTP. */
#ifndef EPP_LEASE_H
#define EPP_LEASE_H

#include "base/log.h"
#include "base/rng.h"
#include "base/status.h"

#define EPP_LEASE_NAME_MAX 253
#define EPP_LEASE_BODY_MAX (64u << 10) /* bytes of an answer; larger ones are broken */

struct epp_lease_config {
        struct epp_slice ns, name, identity; /* copied */
        epp_us duration, renew_deadline, retry; /* 15 s, 10 s, 2 s */
        bool strict;        /* step down even when no API server answers */
        uint64_t seed;      /* of the followers' jitter */
        const struct epp_log *log;
        /* Leadership was won or lost; from inside _wish, _answer or _release. */
        void (*changed)(void *ctx, bool leading);
        void *ctx;
};

enum epp_lease_method { EPP_LEASE_NOTHING, EPP_LEASE_GET, EPP_LEASE_POST, EPP_LEASE_PUT };
struct epp_lease_wish {
        enum epp_lease_method method;
        epp_us at;                     /* NOTHING: ask again then */
        const char *path;              /* lent until the next call */
        struct epp_slice body;         /* of POST and PUT, likewise */
        unsigned timeout_ms;           /* of the whole exchange; then answer what came until then */
};

struct epp_lease;

/* Returns 0, EPP_EINVAL (duration > renew_deadline > 1.2 retry or one second at least does not
 * hold, or a name is empty, too long, or not of a-z 0-9 - .), EPP_ENOMEM. */
EPP_MUSTUSE int epp_lease_new(const struct epp_lease_config *cfg, struct epp_lease **ret);
/* Accepts NULL. */
void epp_lease_free(struct epp_lease *l);
/* What is wanted now; <wall> goes into the record. Another method than NOTHING is a request that
 * runs from now on: nothing else is wanted until it is answered. */
void epp_lease_wish(struct epp_lease *l, epp_us now, epp_wall wall, struct epp_lease_wish *ret);
/* The answer to it: HTTP status, 0 when none came, and the body, borrowed; a cut one is broken. */
void epp_lease_answer(struct epp_lease *l, int http, struct epp_slice body, epp_us now);
/* We no longer lead, and the lease is given up; wishes go on until epp_lease_released, for 10 s at
 * most. */
void epp_lease_release(struct epp_lease *l, epp_us now);
bool epp_lease_released(const struct epp_lease *l, epp_us now);
bool epp_lease_leading(const struct epp_lease *l);
/* Who leads, as last seen; lent until the next call, empty: nobody. */
struct epp_slice epp_lease_holder(const struct epp_lease *l);
/* Renewals that the short way, a PUT alone, did not do. */
uint64_t epp_lease_slow_renewals(const struct epp_lease *l);

#endif
