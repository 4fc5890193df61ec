/* auth.h - who may see a page of the HTTP port (decisions 33): by whether there is an API server,
 * by the peer's address, or by its token, which the API server reviews (serve/review decides, this
 * carries out). Tokens are neither logged nor remembered: only their HMAC under a key of this run.
 * Knows: libevent, OpenSSL, api, serve/review. Does not know: sockets, pages. */
#ifndef EPPD_AUTH_H
#define EPPD_AUTH_H

#include "daemon/admin.h"
#include "serve/review.h"

struct api;
struct auth;

/* In the order of --metrics-endpoint-auth. */
enum auth_mode { AUTH_AUTO, AUTH_TRUE, AUTH_FALSE };

struct auth_config {
        enum auth_mode mode;
        struct api *api; /* borrowed; NULL: there is none, and <mode> is not AUTH_TRUE */
        const struct epp_log *log;
};

/* Guarded requests, by what became of them: let in after a review, let in by what was known, and
 * refused. Requests that need no token are not counted, but for those that are refused. */
struct auth_stats {
        uint64_t result[EPP_REVIEW_RESULTS];
};
/* ok, cached, unauthorized, denied, error. */
const char *auth_result_name(size_t result);

/* Returns 0 or -ENOMEM, -EIO (no random bytes). */
EPP_MUSTUSE int auth_new(struct event_base *base, const struct auth_config *cfg, struct auth **ret);
/* Whoever waits never hears. Before api_free. Accepts NULL. */
void auth_free(struct auth *a);
const struct auth_stats *auth_stats(const struct auth *a);

struct auth_question {
        enum admin_guard guard;
        bool loopback; /* the peer is on this machine */
        struct epp_slice authorization;
        struct epp_slice path; /* borrowed until the verdict */
        const char *verb;      /* the method in small letters */
};
/* The caller's, while it waits. */
struct auth_wait {
        void (*fn)(void *ctx, const struct epp_review_verdict *v); /* once, from the loop */
        void *ctx;
        struct auth *a;
};
/* May it? Returns true: *ret says; false: <w>->fn will hear, unless auth_leave comes before. */
EPP_MUSTUSE bool auth_ask(struct auth *a, const struct auth_question *q, struct auth_wait *w,
        struct epp_review_verdict *ret);
void auth_leave(struct auth_wait *w);

#endif
