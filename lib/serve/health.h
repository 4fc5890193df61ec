/* health.h - grpc.health.v1 on a listener. Knows: h2, protobuf-c. */
#ifndef EPP_HEALTH_H
#define EPP_HEALTH_H

#include "serve/h2.h"

#define EPP_HEALTH_HANDLERS 3

struct epp_health;

/* Not ready at first. Returns 0 or EPP_ENOMEM. */
EPP_MUSTUSE int epp_health_new(struct epp_health **ret);
void epp_health_free(struct epp_health *h);
/* There is a leader election: List names the probes, too, as today's picker does. */
void epp_health_elects(struct epp_health *h);
/* Changes the overall readiness; every Watch is told, and its connection has something to drain. */
void epp_health_set(struct epp_health *h, bool ready);
bool epp_health_ready(const struct epp_health *h);
/* Check, List and Watch, into <out>; <h> is borrowed for their life. */
void epp_health_handlers(struct epp_health *h, struct epp_rpc_handler out[EPP_HEALTH_HANDLERS]);

#endif
