/* record.h - one request in a few words: what it asked, what was decided, what became of it. The
 * director fills it in; whoever keeps account (account, ring, access log) reads it.
 * Knows: model, sched (trace), response. */
#ifndef EPP_RECORD_H
#define EPP_RECORD_H

#include "model/series.h"
#include "sched/trace.h"
#include "serve/response.h"

struct epp_record {
        /* Empty or 0 until known. In ended they are the ticket's own copies. */
        struct epp_slice id, model, target, fairness;
        struct epp_slice endpoint, addr; /* name in the pool, ip:port */
        int32_t priority;
        bool critical;
        bool named, target_named;        /* by the operator: the model, the target */
        struct epp_slice rewrite;        /* decided only: the InferenceModelRewrite that did it */
        bool scheduled;                  /* a cycle ran */
        size_t request_bytes;            /* of the body as it was shown to us */
        epp_us begun, decided;           /* when the stream began; when it was decided */
        int http;                        /* 0: routed; else the code of the refusal */
        enum epp_failure failure;        /* with it: why, ... */
        const char *text;                /* ... and in words */
        const struct epp_trace *trace; /* decided only: how the cycle went; NULL: there was none, or
                                          nobody wished to know */
        const struct epp_outcome *outcome; /* ended only */
        struct epp_cell *cell;           /* where it counts; NULL without a series */
};

/* Who hears of requests. decided: once per request that asked for an endpoint, or was refused
 * before it could. ended: once per routed request. Either may be NULL. */
struct epp_observer {
        void *ctx;
        void (*decided)(void *ctx, const struct epp_record *r);
        void (*ended)(void *ctx, const struct epp_record *r);
        bool traces; /* wishes to know how cycles went */
};

#endif
