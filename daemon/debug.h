/* debug.h - pages below /debug/, with a struct pages as their context: what was decided and why,
 * the flags in force, memory. Knows: pages, serve/ring, opt. */
#ifndef EPPD_DEBUG_H
#define EPPD_DEBUG_H

#include "daemon/admin.h"

/* Which pages there are. */
void debug_index(void *ctx, const struct admin_request *q, struct admin_reply *r);
/* The newest first, as JSON, in pieces. Parameters, all of which must hold: model=NAME,
 * endpoint=NAME (a candidate that is shown; its namespace may be left out), id=ID of the request,
 * since=NUMBER (only later ones), last=COUNT (no more than that). */
void debug_decisions(void *ctx, const struct admin_request *q, struct admin_reply *r);
void debug_config(void *ctx, const struct admin_request *q, struct admin_reply *r);
void debug_memory(void *ctx, const struct admin_request *q, struct admin_reply *r);

#endif
