/* admin.h - the HTTP port: GET and HEAD of a table of paths, nothing else.
 * Knows: libevent. One request per connection at a time, guarded against slow and large peers. */
#ifndef EPPD_ADMIN_H
#define EPPD_ADMIN_H

#include "base/buf.h"
#include "base/log.h"

struct event_base;
struct admin;

struct admin_page {
        const char *path;
        const char *type; /* Content-Type */
        /* Appends the page to <out>; returns the HTTP code. */
        int (*render)(void *ctx, struct epp_buf *out);
};

/* Serves <pages> on <address>:<port>; what is pointed at is borrowed. Returns 0 or -errno. */
EPP_MUSTUSE int admin_new(struct event_base *base, const char *address, unsigned port,
        const struct admin_page *pages, size_t n, void *ctx, const struct epp_log *log,
        struct admin **ret);
unsigned admin_port(const struct admin *a);
/* Accepts NULL. */
void admin_free(struct admin *a);

#endif
