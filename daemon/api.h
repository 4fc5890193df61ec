/* api.h - requests to the API server. Where it is comes from kubeconfig, who we are from creds (it
 * rotates), addresses from names: all on the loop, none of it can hold it. A connection speaks
 * HTTP/1.1; a watch has one of its own.
 * Knows: libevent, fetch, kubeconfig, creds, names, proxy. Does not know: what is asked. */
#ifndef EPPD_API_H
#define EPPD_API_H

#include "base/log.h"
#include "daemon/kubeconfig.h"

struct event_base;
struct api;
struct api_call;

struct api_config {
        struct kubeconfig_source from; /* account NULL: where Kubernetes puts it */
        /* Zero: the usual. Tests have no time and no DNS server. */
        const char *resolv_conf;
        epp_us token_us, ca_us; /* how often files are read again: 50 s, 5 min */
        unsigned exec_ms;       /* a credential plugin's time: 60 s */
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
        const char *method;    /* GET, POST, PUT, DELETE; borrowed */
        const char *path;      /* with query; copied */
        struct epp_slice body; /* JSON; copied */
        unsigned timeout_ms;   /* from when it is sent: names and plugins have 10 s and 60 s */
        bool stream;           /* a watch: HTTP/1.1, no compression, a socket of its own */
};
struct api_ops {
        /* The answer begins. <retry_after_s>: 0 .. 60 (both forms of the header), -1 without it. */
        void (*status)(void *ctx, int http, long retry_after_s);
        /* A piece of its body, at most 64 KiB. False: the call is to be given up. */
        bool (*data)(void *ctx, struct epp_slice piece);
        /* The end, exactly once unless api_drop came before. <ok>: the whole answer was there.
         * The call is gone when this is called; a new one may be begun. */
        void (*end)(void *ctx, bool ok);
};

/* Begins a request; <ops> and <ctx> are borrowed. After a 401 the credentials are read again (or
 * got again from the plugin); when they are other ones <fn> of api_on_rotation hears of it, later
 * than the request's end, and the next request has them. Returns 0 and *ret, or -1 (no memory); no
 * callback is called before it returns. */
EPP_MUSTUSE int api_begin(struct api *a, const struct api_request *q, const struct api_ops *ops,
        void *ctx, struct api_call **ret);
/* Ends it without a call back. Accepts NULL; not from inside status or data. */
void api_drop(struct api_call *c);
/* <fn> is called from the loop when credentials have changed: what was refused may be tried. */
void api_on_rotation(struct api *a, void (*fn)(void *ctx), void *ctx);

struct api_stats {
        uint64_t by_code[6]; /* of ended requests: no whole head, 1xx (never) .. 5xx */
        /* The same by method and code (0: none); what finds no row is in by_code alone. */
        struct api_count {
                const char *method;
                int code;
                uint64_t n;
        } counts[32];
        size_t n_counts;
        uint64_t rotations;
};
const struct api_stats *api_stats(const struct api *a);

#endif
