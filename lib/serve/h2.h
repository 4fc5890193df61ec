/* h2.h - the server side of gRPC over HTTP/2: bytes in, bytes out.
 * Holds the only use of nghttp2. The caller feeds what the socket gave and sends what
 * _drain writes; calls (struct epp_rpc) are handed to handlers by path.
 * Knows: wire/grpc. Does not know: sockets, TLS, what a message means. */
#ifndef EPP_H2_H
#define EPP_H2_H

#include "base/grave.h"
#include "base/rng.h"
#include "wire/grpc.h"

/* A frame of 16 KiB with head and padding. */
#define EPP_H2_ROOM (17u << 10)

struct epp_h2;
struct epp_rpc;

/* One method. Callbacks may answer (epp_rpc_send, _finish) at once. */
struct epp_rpc_handler {
        const char *service, *method;
        void *ctx;
        size_t max_message; /* bytes */
        struct epp_grave *grave; /* open while a connection ends with all its calls; or NULL */
        size_t max_queue;   /* bytes of answers that may wait for the peer to read; 0: no limit */
        /* A call begins. Returns 0 (user set with epp_rpc_set_user) or an error that ends it. */
        int (*open)(void *ctx, struct epp_rpc *rpc, epp_us now);
        /* One message; <msg> is valid during the call only. */
        void (*message)(void *user, struct epp_slice msg, epp_us now);
        /* A long message of <n> bytes begins with <first>. Returns true when *ret says what of it
         * is handed to bytes() as it comes: the message is then what remains. NULL: never. */
        bool (*begins)(void *user, struct epp_slice first, size_t n, struct epp_grpc_pass *ret,
                epp_us now);
        void (*bytes)(void *user, struct epp_slice bytes, epp_us now);
        /* The peer will send no more. */
        void (*half_close)(void *user, epp_us now);
        /* A message of <n> bytes is over max_message. Returns true when it answered. */
        bool (*too_big)(void *user, size_t n, epp_us now);
        /* The peer has read most of what was sent, and more of it was promised. NULL: never is. */
        void (*more)(void *user, epp_us now);
        /* The time of epp_rpc_wake has come. */
        void (*wake)(void *user, epp_us now);
        /* The call is gone (answered, reset or connection lost): exactly once per open. */
        void (*closed)(void *user, epp_us now);
};

struct epp_h2_stats {
        uint64_t opened, closed; /* connections */
        uint64_t streams;   /* calls begun */
        uint64_t resets;    /* ended by the peer's RST_STREAM */
        uint64_t refused;   /* unknown path, bad method or content type */
        uint64_t malformed; /* framing errors */
        uint64_t dead;      /* connections closed because the peer did not answer a PING */
        uint64_t abusive;   /* connections closed for resetting too many calls before they began */
        uint64_t stalled;   /* reset by us: their peer did not read */
        uint64_t aged;      /* connections asked to end for their age */
};

/* A session over <n> handlers (borrowed until _free). stats may be shared; borrowed.
 * Returns 0 or EPP_ENOMEM. */
EPP_MUSTUSE int epp_h2_new(const struct epp_rpc_handler *handlers, size_t n,
        struct epp_h2_stats *stats, struct epp_h2 **ret);
/* Ends every call (closed is called for each) and frees. */
void epp_h2_free(struct epp_h2 *h, epp_us now);
/* Takes bytes from the peer. Returns 0, or EPP_EPROTO / EPP_ENOMEM: close the connection
 * after sending what _drain still gives. */
EPP_MUSTUSE int epp_h2_feed(struct epp_h2 *h, struct epp_slice in, epp_us now);
/* Wakes calls whose time has come and asks silent peers for a sign of life (PING after 60 s without
 * a byte). Call at epp_h2_next or later; returns 0, or EPP_EPROTO: the peer has not answered for
 * 20 s, close the connection. There may be bytes to drain afterwards. */
EPP_MUSTUSE int epp_h2_tick(struct epp_h2 *h, epp_us now);
/* When epp_h2_tick is due; changes with every call on <h>. */
epp_us epp_h2_next(const struct epp_h2 *h);
/* Writes what is to be sent to <at>, which has room for <n> bytes, EPP_H2_ROOM or more. Returns how
 * many; 0: nothing to send now; EPP_ENOMEM. When less than EPP_H2_ROOM is left there may be more.
 * Not from inside a handler. */
EPP_MUSTUSE ssize_t epp_h2_drain(struct epp_h2 *h, char *at, size_t n, epp_us now);
/* False when both directions are finished: the connection can be closed. */
bool epp_h2_alive(const struct epp_h2 *h);
size_t epp_h2_calls(const struct epp_h2 *h);
/* GOAWAY: running calls go on. final=false announces, final=true refuses new calls. */
void epp_h2_shutdown(struct epp_h2 *h, bool final);
/* Asks the peer to go elsewhere when <age> from now has passed, give or take a tenth by <rng>, so
 * that peers which came together do not leave together. GOAWAY in two steps: new calls are refused
 * only when the peer has answered a PING behind the first, so none is lost; running ones go on to
 * their end, and epp_h2_alive is false after the last. */
void epp_h2_age(struct epp_h2 *h, epp_us age, struct epp_rng *rng, epp_us now);
/* Resets (CANCEL) every call that has not ended. */
void epp_h2_reset(struct epp_h2 *h);

void epp_rpc_set_user(struct epp_rpc *rpc, void *user);
/* handler->wake is called at <at> (or soon after); 0: not at all. Replaces the last wish. */
void epp_rpc_wake(struct epp_rpc *rpc, epp_us at);
/* Queues one message made of the <n> pieces <v>, copied. Returns 0, EPP_ENOMEM, EPP_ETOOBIG (the
 * peer does not read: max_queue bytes wait, or 256 MiB of all calls; the call is reset). */
EPP_MUSTUSE int epp_rpc_send(struct epp_rpc *rpc, const struct epp_slice *v, size_t n);
/* The same with the begin of a message that has <rest> bytes more. They must follow, as pieces of
 * epp_rpc_send_on, before any other message; unless the call is ended: then they are cut off. */
EPP_MUSTUSE int epp_rpc_send_begin(
        struct epp_rpc *rpc, const struct epp_slice *v, size_t n, size_t rest);
EPP_MUSTUSE int epp_rpc_send_on(struct epp_rpc *rpc, const struct epp_slice *v, size_t n);
/* From now on <n> bytes more (0: none) will be sent from handler->more, as the peer reads: they are
 * kept by the caller meanwhile and count as unsent. Returns 0, EPP_ETOOBIG as epp_rpc_send. */
EPP_MUSTUSE int epp_rpc_promise(struct epp_rpc *rpc, size_t n);
/* Ends the call after what is queued, with gRPC <code> and <text> (copied, may be empty). */
void epp_rpc_finish(struct epp_rpc *rpc, int code, struct epp_slice text);
/* The gRPC code it was ended with; 1 (CANCELLED): the peer has ended it, or will have. */
int epp_rpc_code(const struct epp_rpc *rpc);

#endif
