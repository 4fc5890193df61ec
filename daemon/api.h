/* api.h - the API server: where it is, who we are, requests to it.
 * The connection comes from --kubeconfig, KUBECONFIG, the pod's service account or ~/.kube/config,
 * in this order. Tokens, CA and client certificates are read again as they rotate; names are
 * resolved on the loop. Knows: libevent, fetch, wire/yaml. Does not know: what is asked. */
#ifndef EPPD_API_H
#define EPPD_API_H

#include "base/log.h"
#include "daemon/fetch.h"

struct event_base;
struct api;
struct api_call;

struct api_config {
        const char *kubeconfig;      /* path, or NULL */
        const char *context;         /* of it, or NULL: its current one */
        char *(*env)(const char *name); /* getenv; tests pass their own */
        const char *account;         /* directory of the service account's files */
};

/* Finds out where the API server is and who we are. Nothing is sent. Returns 0, or -1 and one line
 * in <err>: what was tried and what is wrong with it. */
EPP_MUSTUSE int api_new(struct event_base *base, const struct api_config *cfg,
        const struct epp_log *log, struct api **ret, char *err, size_t err_size);
/* Every call must have been ended. Accepts NULL. */
void api_free(struct api *a);
/* For the log: scheme, host and port. */
const char *api_server(const struct api *a);
/* The namespace of the service account or of the kubeconfig's context; "" when there is none. */
const char *api_namespace(const struct api *a);

struct api_request {
        const char *method;          /* GET, POST, PUT */
        const char *path;            /* with query; copied */
        struct epp_slice body;       /* JSON; copied */
        unsigned timeout_ms;
        bool stream;                 /* a watch: HTTP/1.1, no compression, a socket of its own */
};
struct api_ops {
        /* The answer begins. <retry_after_s>: -1 without that header. */
        void (*status)(void *ctx, int http, long retry_after_s);
        /* A piece of its body, at most 64 KiB. False: the call is to be given up. */
        bool (*data)(void *ctx, struct epp_slice piece);
        /* The end, exactly once unless api_drop came before. <ok>: the whole answer was there.
         * The call is gone when this is called; a new one may be begun. */
        void (*end)(void *ctx, bool ok);
};

/* Begins a request; <ops> and <ctx> are borrowed. After a 401 that came with a token that has since
 * changed, the next request uses the new one; <rotated> of api_on_rotation hears of it.
 * Returns 0 and *ret, or -1 (no memory); no callback is called before it returns. */
EPP_MUSTUSE int api_begin(struct api *a, const struct api_request *q, const struct api_ops *ops,
        void *ctx, struct api_call **ret);
/* Ends it without a call back. Accepts NULL; not from inside status or data. */
void api_drop(struct api_call *c);
/* <fn> is called when credentials have changed. */
void api_on_rotation(struct api *a, void (*fn)(void *ctx), void *ctx);

struct api_stats {
        uint64_t by_code[6]; /* no answer, 1xx .. 5xx: of requests */
        uint64_t rotations;
};
const struct api_stats *api_stats(const struct api *a);

#endif
