/* admin.h - the HTTP port: GET and HEAD of a table of paths, nothing else.
 * Knows: libevent. One request per connection at a time, guarded against slow and large peers. */
#ifndef EPPD_ADMIN_H
#define EPPD_ADMIN_H

#include "base/buf.h"
#include "base/log.h"

struct event_base;
struct admin;

/* Slices are borrowed for the call. */
struct admin_request {
        struct epp_slice path, query; /* query: behind '?', as it came */
        struct epp_slice accept;      /* the Accept headers, joined by commas */
};
/* The value of parameter <name> of <query>, unescaped, into <out> with a NUL, cut at <size>.
 * Returns false when it is not there. */
bool admin_param(struct epp_slice query, const char *name, char *out, size_t size);

/* Zero but for code 200 and text/plain when render gets it. */
struct admin_reply {
        int code;
        const char *type;    /* Content-Type */
        const char *headers; /* more of them, each with its CR LF; NULL: none */
        struct epp_buf body; /* all of the page, or with <more> its begin */
        /* A page too large for one turn: called on later turns, whenever the peer has read, to
         * append the next piece (about 64 KiB). Returns 1: there is more, 0: that was the last,
         * negative: the answer is cut off, so that nobody takes it for whole. */
        int (*more)(void *state, struct epp_buf *out);
        void (*done)(void *state); /* once, when <state> is not needed any longer; may be NULL */
        void *state;
};

/* Who may see a page (decisions 33). */
enum admin_guard { ADMIN_HEALTH, ADMIN_METRICS, ADMIN_DEBUG };

struct admin_page {
        const char *path;
        enum admin_guard guard;
        void (*render)(void *ctx, const struct admin_request *q, struct admin_reply *r);
};

/* Serves <pages> on <address>:<port>; what is pointed at is borrowed. Returns 0 or -errno. */
EPP_MUSTUSE int admin_new(struct event_base *base, const char *address, unsigned port,
        const struct admin_page *pages, size_t n, void *ctx, const struct epp_log *log,
        struct admin **ret);
unsigned admin_port(const struct admin *a);
/* Accepts NULL. */
void admin_free(struct admin *a);

#endif
