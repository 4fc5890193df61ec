/* fetch.h - HTTP requests on the loop. Holds the only use of libcurl.
 * A fetch is a target that is asked again and again over one kept connection: a metrics page. With
 * fetch_more it is a request of another kind: any method, any answer, streams, TLS of its own.
 * Knows: libevent, libcurl. Never resolves names: hosts are IP literals, or their addresses are
 * given. */
#ifndef EPPD_FETCH_H
#define EPPD_FETCH_H

#include "base/slice.h"
#include "daemon/span.h"

struct event_base;
struct fetcher;
struct fetch;

/* Order as in fetch_result_name. */
enum fetch_result {
        FETCH_OK,       /* 200, the whole body was delivered */
        FETCH_CONNECT,  /* refused, unreachable, reset before an answer, TLS failure */
        FETCH_TIMEOUT,  /* the deadline passed */
        FETCH_STATUS,   /* an answer other than 200; nothing was delivered */
        FETCH_TOO_LARGE,/* more than the cap, or than data wanted; what fitted was delivered */
        FETCH_TRUNCATED,/* the body ended early */
        FETCH_ENCODING, /* compressed, not asked for (nothing was delivered) or badly */
        FETCH_RESULTS
};
const char *fetch_result_name(enum fetch_result r);

struct fetch_ops {
        /* A piece of the body; valid during the call. False: no more of it is wanted. */
        bool (*data)(void *ctx, struct epp_slice piece);
        /* The end of one fetch_start: exactly one call each, unless freed before; <f> may be freed
         * and others may be started. */
        void (*done)(void *ctx, enum fetch_result r, long http_status);
        /* All headers of the answer are there (fetch_header reads them); may be NULL. */
        void (*status)(void *ctx, long http_status);
};

/* What a request needs that a scrape does not. Everything is copied. */
struct fetch_more {
        const char *method;          /* NULL: GET */
        const struct epp_slice *body; /* NULL: none */
        const char *const *headers;  /* "Name: value" */
        size_t n_headers;
        const char *user_agent;
        const char *resolve;         /* "host:port:address,address", or NULL */
        const char *connect_to;      /* "::host:port": where the URL's host is, or NULL */
        const char *proxy;           /* its URL, or NULL: none */
        struct epp_slice ca, cert, key; /* PEM; without ca: the system's */
        unsigned connect_timeout_ms;
        bool gzip;                   /* ask for it, and unpack it */
        bool own_socket;             /* a new connection, not kept afterwards */
};

struct fetch_config {
        const char *url;    /* copied */
        const char *accept; /* Accept header, borrowed; NULL: none */
        unsigned timeout_ms;
        size_t max_body;    /* bytes */
        bool insecure;      /* certificates of https targets are not checked */
        /* NULL: a scrape, of which only answers with 200 are delivered. Else every answer is,
         * FETCH_STATUS means a whole one other than 200, and a dead peer is noticed in 75 s. */
        const struct fetch_more *more;
};

/* Returns 0 or EPP_ENOMEM. <connections>: kept open at most. <span>: what callbacks count as. */
EPP_MUSTUSE int fetcher_new(struct event_base *base, long connections, enum span_kind span,
        struct fetcher **ret);
/* Every fetch must have been freed. Accepts NULL. */
void fetcher_free(struct fetcher *fr);

/* Microseconds spent in libcurl and in callbacks since the start. */
uint64_t fetcher_spent(const struct fetcher *fr);

/* <ops> and <ctx> are borrowed. Returns 0 or EPP_ENOMEM. */
EPP_MUSTUSE int fetch_new(struct fetcher *fr, const struct fetch_config *cfg,
        const struct fetch_ops *ops, void *ctx, struct fetch **ret);
/* The address of later requests (copied); not while one runs. The connection is kept when the
 * server is the same. Returns 0 or EPP_ENOMEM (unchanged). */
EPP_MUSTUSE int fetch_url(struct fetch *f, const char *url);
/* Starts one request; false when the last one still runs (nothing happens) or memory is short. */
bool fetch_start(struct fetch *f);
/* Ends a running request without a call of done. Not from inside data or status. Accepts NULL. */
void fetch_free(struct fetch *f);

/* The <i>th header <name> of the answer, or NULL; valid during status and done. */
const char *fetch_header(const struct fetch *f, const char *name, size_t i);
/* What went wrong, for the log; "" when nothing is known. With fetch_more only. */
const char *fetch_error(const struct fetch *f);
/* Seconds since 1970 of an HTTP date, -1 when it is none. */
int64_t fetch_date(const char *text);

#endif
