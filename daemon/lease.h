/* lease.h - who of several eppd is the leader: drives serve/lease over api.
 * Knows: api, opt, serve/lease. Does not know: what the leader does. */
#ifndef EPPD_LEASE_H
#define EPPD_LEASE_H

#include "daemon/api.h"
#include "daemon/opt.h"

struct event_base;
struct lease;

/* Begins to stand for election as --ha-* say, over the Lease in <ns>; <api> and <log> are borrowed.
 * <changed> is called whenever lease_leading or what lease_why says may have changed. Mistakes go
 * to stderr, one line. Returns 0 or -1. */
EPP_MUSTUSE int lease_new(struct event_base *base, const struct opt *o, struct api *api,
        const char *ns, uint64_t seed, const struct epp_log *log, void (*changed)(void *ctx),
        void *ctx, struct lease **ret);
/* Accepts NULL. Before the api goes. */
void lease_free(struct lease *e);
bool lease_leading(const struct lease *e);
/* Why we do not lead, for people: "not the leader: X leads"; lent until the next call. */
const char *lease_why(struct lease *e);
/* Gives the lease up; lease_released says when that is done, after 10 s at most. */
void lease_release(struct lease *e);
bool lease_released(const struct lease *e);
const char *lease_name(const struct lease *e);
uint64_t lease_slow_renewals(const struct lease *e);

#endif
