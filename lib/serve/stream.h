/* stream.h - one ext_proc exchange: an HTTP request seen through Envoy, and its response.
 * Turns messages into one question (which endpoint?) and the verdict into answers, in every
 * body mode. Knows: h2, wire/extproc. Does not know: how the question is decided. */
#ifndef EPP_STREAM_H
#define EPP_STREAM_H

#include "base/hist.h"
#include "base/rope.h"
#include "base/slab.h"
#include "serve/dialect.h"
#include "serve/h2.h"
#include "serve/response.h"
#include "wire/extanswer.h"

/* What is known of a request when it must be decided. Valid during decide only. */
struct epp_ask {
        struct epp_slice method, path, request_id;
        struct epp_slice objective; /* of the header; empty: none was named */
        struct epp_slice rewrite;   /* the target model of the header, likewise */
        struct epp_slice fairness;  /* who asks; empty: the header did not say */
        bool has_body;          /* the whole body was seen; scan says what is in it */
        const struct epp_dialect *dialect;
        const struct epp_jscan *scan;
        bool has_subset;        /* only endpoints of <subset> may be chosen */
        struct epp_slice subset; /* ip, ip:port or [ip6]:port, comma-separated */
        size_t body_bytes;      /* of the body as far as it was shown */
        epp_us begun, now;      /* begun: the stream */
        bool explain;           /* the client may know why, and asked */
};

struct epp_verdict {
        int http;               /* 0: routed; else the HTTP code of the refusal */
        char text[256];         /* why refused */
        const char *reason;     /* x-llm-d-request-dropped-reason, or NULL */
        char endpoint[64];      /* ip:port */
        void *ticket;           /* given back to release, exactly once */
        bool rename;            /* every model value in the body becomes <model> */
        struct epp_slice model; /* used before anything else is asked of the decider */
        char request_id[37];    /* sent on as x-request-id when not empty */
        uint64_t done_ns;       /* when it was decided, by the clock of epp_stream_timing; 0: that
                                 * was not measured, as it took next to nothing */
        char *explanation;      /* printable ASCII, from malloc, the asker's to free; or NULL */
};

/* Who decides. release is called once for each verdict with a ticket. All but decide and release
 * may be NULL. */
struct epp_decider {
        void *ctx;
        void (*decide)(void *ctx, const struct epp_ask *ask, struct epp_verdict *ret);
        /* Refused with code <http> before it could be asked about: dialect and scan say nothing. */
        void (*failed)(void *ctx, const struct epp_ask *ask, int http, const char *text);
        /* The gateway says that <endpoint> (ip:port) answered, which may not be the pick. */
        void (*served)(void *ctx, void *ticket, struct epp_slice endpoint);
        void (*release)(void *ctx, void *ticket, const struct epp_outcome *o);
        /* A piece of a streamed response came <us> after the one before it. */
        void (*gap)(void *ctx, void *ticket, epp_us us);
        /* A response went by whose request was not shown to us, or not routed. */
        void (*stray)(void *ctx, const struct epp_outcome *o);
};

/* Where an exchange was when its stream ended too early. */
enum epp_aborted {
        EPP_ABORTED_REQUEST, /* its body was coming */
        EPP_ABORTED_WAITING, /* routed; no response was seen */
        EPP_ABORTED_RESPONSE,
        EPP_ABORTED_COUNT
};

struct epp_stream_stats {
        uint64_t begun, ended, routed, refused, ignored, disconnected;
        uint64_t too_large, timeouts, crowded; /* refused without a question: 413, 408, 503 */
        uint64_t held_bytes; /* of request bodies, now */
        uint64_t code[EPP_GRPC_CODES];       /* of ended ones; CANCELLED: the peer went away */
        uint64_t aborted[EPP_ABORTED_COUNT]; /* exchanges that did not come to their end */
};

/* How long streams take, seconds. */
struct epp_stream_timing {
        uint64_t (*clock_ns)(void); /* of the clock that every `now` is read from */
        uint64_t mark_ns;           /* when it was read last */
        epp_us turn;                /* `now` of the last message, ... */
        unsigned pending;           /* and messages of that turn since the clock was read */
        EPP_HIST(request, RQP);     /* from the begin until the request was decided or refused */
        EPP_HIST(response, RSP);    /* streamed: the handling of its messages, as far as an eighth
                                     * of them tells; else: from its headers to its end */
        EPP_HIST(stream, STR);      /* from begin to end */
};
void epp_stream_timing_init(struct epp_stream_timing *t, uint64_t (*clock_ns)(void));
/* Memory of streams that have ended, for those to come, and what of it is to be freed. Begins as
 * zeroes; epp_stream_spare_fini when no stream is left. */
struct epp_stream_spare {
        struct epp_slab streams, scans;
        struct epp_buf answer; /* empty between answers */
        struct epp_grave dead; /* the owner reaps it */
};
void epp_stream_spare_fini(struct epp_stream_spare *s);

/* Limits of 0 are none. */
struct epp_stream_config {
        struct epp_decider decider;
        struct epp_slice hint_key, hint_ns;  /* where the endpoint goes back */
        size_t max_body;                     /* bytes of one request body */
        uint64_t max_held;                   /* of all together; above it new streams get 503 */
        epp_us upload_timeout;               /* from the request headers to the end of the body */
        enum epp_body_mode default_mode;     /* where a stream does not say */
        bool response_marker;
        bool strip_control;                  /* control headers do not reach the model server */
        bool allow_explain;                  /* clients may ask why with x-eppd-explain: 1 */
        struct epp_stream_stats *stats;
        struct epp_stream_timing *timing;    /* NULL: not measured */
        struct epp_stream_spare *spare;      /* NULL: none */
};

/* The handler of ExternalProcessor/Process; <cfg> is borrowed for its life. */
struct epp_rpc_handler epp_stream_handler(const struct epp_stream_config *cfg, size_t max_message);

#endif
