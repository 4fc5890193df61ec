/* fetch.h - HTTP GETs on the loop. Holds the only use of libcurl.
 * A fetch is a target that is asked again and again over one kept connection.
 * Knows: libevent, libcurl. Never resolves names: targets are IP literals. */
#ifndef EPPD_FETCH_H
#define EPPD_FETCH_H

#include "base/slice.h"

struct event_base;
struct fetcher;
struct fetch;

/* Order as in fetch_result_name. */
enum fetch_result {
        FETCH_OK,       /* 200, the whole body was delivered */
        FETCH_CONNECT,  /* refused, unreachable, reset before an answer, TLS failure */
        FETCH_TIMEOUT,  /* the deadline passed */
        FETCH_STATUS,   /* an answer other than 200; nothing was delivered */
        FETCH_TOO_LARGE,/* more than the cap; what fitted was delivered */
        FETCH_TRUNCATED,/* the body ended early */
        FETCH_ENCODING, /* compressed, which was not asked for; nothing was delivered */
        FETCH_RESULTS
};
const char *fetch_result_name(enum fetch_result r);

struct fetch_ops {
        /* A piece of the body; valid during the call. */
        void (*data)(void *ctx, struct epp_slice piece);
        /* The end of one fetch_start: exactly one call each, unless freed before. */
        void (*done)(void *ctx, enum fetch_result r, long http_status);
};

struct fetch_config {
        const char *url;    /* copied */
        const char *accept; /* Accept header, borrowed; NULL: none */
        unsigned timeout_ms;
        size_t max_body;    /* bytes */
        bool insecure;      /* certificates of https targets are not checked */
};

/* Returns 0 or EPP_ENOMEM. <connections>: kept open at most. */
EPP_MUSTUSE int fetcher_new(struct event_base *base, long connections, struct fetcher **ret);
/* Every fetch must have been freed. Accepts NULL. */
void fetcher_free(struct fetcher *fr);

/* Microseconds spent in libcurl and in callbacks since the start. */
uint64_t fetcher_spent(const struct fetcher *fr);

/* <ops> and <ctx> are borrowed. Returns 0 or EPP_ENOMEM. */
EPP_MUSTUSE int fetch_new(struct fetcher *fr, const struct fetch_config *cfg,
        const struct fetch_ops *ops, void *ctx, struct fetch **ret);
/* Starts one GET; false when the last one still runs (nothing happens) or memory is short. */
bool fetch_start(struct fetch *f);
bool fetch_busy(const struct fetch *f);
/* Ends a running GET without a call of done. Not from inside data. Accepts NULL. */
void fetch_free(struct fetch *f);

#endif
