/* status.h - the status page at / and the same as JSON at /debug/pool: endpoints, models, totals,
 * scrapes, watch, the last decisions. What is shown is status.def, row by row; the page's frame,
 * style and script are the files below daemon/status. Knows: pages, show. */
#ifndef EPPD_STATUS_H
#define EPPD_STATUS_H

#include "daemon/admin.h"

/* For the table of pages: <ctx> is a struct pages, which is read until the answer is done. Both are
 * written in pieces; what changes between two of them may be missing or stand twice. */
void status_render_html(void *ctx, const struct admin_request *q, struct admin_reply *r);
void status_render_json(void *ctx, const struct admin_request *q, struct admin_reply *r);

#endif
