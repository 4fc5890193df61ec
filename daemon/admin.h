/* admin.h - the HTTP port: GET and HEAD of a table of paths, nothing else. One request for each
 * connection, guarded against slow, large and hostile peers; pages are made one piece at a time and
 * in a share of the loop's time, so that picks do not wait for them.
 * Knows: libevent, serve/httphead, auth, tls. */
#ifndef EPPD_ADMIN_H
#define EPPD_ADMIN_H

#include <openssl/types.h>

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
 * Returns false, and "", when it is not there. */
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
        int (*more)(void *state, struct epp_buf *out); /* never called for HEAD */
        void (*done)(void *state); /* once, when <state> is not needed any longer: after the last
                                    * piece, or when the peer is gone or too slow; may be NULL */
        void *state;
};

/* Who may see a page (decisions 33). */
enum admin_guard { ADMIN_HEALTH, ADMIN_METRICS, ADMIN_DEBUG };

struct admin_page {
        const char *path;
        enum admin_guard guard;
        void (*render)(void *ctx, const struct admin_request *q, struct admin_reply *r);
};

struct auth;
/* What is pointed at is borrowed until admin_free. */
struct admin_config {
        const char *address; /* IP literal */
        unsigned port;       /* 0: any free one */
        const struct admin_page *pages;
        size_t n_pages;
        void *ctx;         /* of the pages */
        struct auth *auth; /* NULL: every page is open */
        SSL_CTX *tls;      /* see admin_set_tls; NULL: clear text */
        const struct epp_log *log;
        /* Zero: the usual, see admin.c. Tests have no time. */
        unsigned head_ms, window_ms, answer_ms;
};

/* Listens and serves. Returns 0 or -errno. */
EPP_MUSTUSE int admin_new(struct event_base *base, const struct admin_config *cfg,
        struct admin **ret);
/* New connections use <tls> (a reference is not taken); running ones keep theirs. */
void admin_set_tls(struct admin *a, SSL_CTX *tls);
unsigned admin_port(const struct admin *a);
/* Answers in progress are cut off. Accepts NULL. */
void admin_free(struct admin *a);

#endif
