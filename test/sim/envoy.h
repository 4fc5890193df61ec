/* envoy.h - the gateway's side in memory: an HTTP/2 client that speaks ext_proc to serve/h2. */
#ifndef EPP_SIM_ENVOY_H
#define EPP_SIM_ENVOY_H

#include <nghttp2/nghttp2.h>

#include "serve/h2.h"
#include "wire/extanswer.h"

struct envoy {
        struct epp_h2 *h2;       /* the server under test; NULL when it closed the connection */
        nghttp2_session *client;
        struct call *calls;
        epp_us now;
};

/* What became of a request, as the gateway sees it. */
enum fate {
        FATE_OPEN,    /* no verdict yet */
        FATE_PICK,    /* goes on to call->endpoint */
        FATE_REFUSED, /* answered with call->http */
        FATE_ERROR,   /* the stream ended with an error: the gateway refuses */
        FATE_PASSED,  /* the stream ended well without a verdict: the gateway lets it through */
};

struct call {
        struct envoy *envoy;
        struct call *next;
        char id[32];
        int32_t stream;
        enum epp_body_mode mode;
        bool half_closed, closed, reset; /* by us; by the server; we reset it */
        bool process;                    /* answers are ext_proc's */
        bool has_body, trailers;         /* of the request as it was sent */
        int grpc;                        /* status, -1 = none came */
        struct epp_buf up, sent, body;   /* to send; the body as it came in, as it goes on */
        bool body_ended;                 /* full duplex: the whole of it came back */
        struct epp_grpc_in in;
        char answers[64];                /* numbers of the answers' oneof, as digits */
        char endpoint[64], text[256];
        int http;
};

/* One more message of a request or response. */
struct message {
        enum epp_ext_kind kind; /* NONE: bytes that are no message */
        const struct epp_ext_pair *headers;
        size_t n_headers;
        struct epp_slice body;
        bool end;
        const char *subset;     /* NULL: no hint; else ip:port,... */
        int request_mode, response_mode; /* -1: not said */
};

/* A connection to <h2> (taken: freed when it fails and by _fini). Returns 0 or EPP_ENOMEM. */
EPP_MUSTUSE int envoy_init(struct envoy *e, struct epp_h2 *h2, epp_us now);
/* Drops the connection: all calls end. */
void envoy_fini(struct envoy *e);
#define ENVOY_PROCESS "/envoy.service.ext_proc.v3.ExternalProcessor/Process"
/* A new call of <path>, or NULL when the connection takes none. Owned by <e>. */
struct call *envoy_open(struct envoy *e, const char *id, const char *path);
/* A message without any field, for other services. */
void envoy_say_empty(struct call *c);
void envoy_say(struct call *c, const struct message *m);
void envoy_half_close(struct call *c);
void envoy_reset(struct call *c, uint32_t code);
/* Moves bytes both ways until nothing more comes. */
void envoy_pump(struct envoy *e);
enum fate envoy_fate(const struct call *c);
/* The model name in the body that goes on; "" when there is none. */
void envoy_model(const struct call *c, char *out, size_t size);

#endif
