/* reflector.h - one kind of Kubernetes object as the API server has it, kept up to date: what to
 * ask next, what an answer means, when to try again. Never empties anything because of a fault:
 * objects go by a deletion, or by a complete list that lacks them. When the server was away, one
 * object is listed before the watch goes on: if its version is older than ours, all are.
 *
 *   SYNC (streamed or paged list) --complete--> WATCH --ends--> WATCH
 *      ^  \--404--> ABSENT                        \--expired, or long since a full sync--> SYNC
 *      \-------------- BACKOFF <--any fault-------/
 *
 * The daemon asks epp_reflector_wish, carries the request out and reports what comes; one request
 * at a time. Knows: wire/jtree. Does not know: HTTP, what objects mean. */
#ifndef EPP_REFLECTOR_H
#define EPP_REFLECTOR_H

#include "base/log.h"
#include "base/rng.h"
#include "wire/jtree.h"

struct epp_reflector;

/* Rows that every keep table must begin with, and those of its "metadata". */
#define EPP_REFLECT_KEEP                                                                           \
        { "kind", NULL }, { "code", NULL }, { "reason", NULL }, { "message", NULL },               \
        {                                                                                          \
                "details", NULL                                                                    \
        }
#define EPP_REFLECT_KEEP_META                                                                     \
        { "name", NULL }, { "namespace", NULL }, { "uid", NULL }, { "resourceVersion", NULL },    \
                { "creationTimestamp", NULL }, { "deletionTimestamp", NULL }
/* And of its "annotations": the end of a streamed list. */
#define EPP_REFLECT_KEEP_END { "k8s.io/initial-events-end", NULL }

struct epp_reflect_ops {
        /* A full enumeration begins. */
        void (*begin)(void *ctx);
        /* An object was added or changed, or may be known already; lent until the call returns. */
        void (*put)(void *ctx, const struct epp_node *object);
        /* It was deleted or no longer matches the selector; the tree is its last state. */
        void (*gone)(void *ctx, const struct epp_node *object);
        /* The enumeration is complete: what was not put since begin does not exist. */
        void (*synced)(void *ctx);
        /* The kind is not served (404): no objects, asked for again every 30 s. */
        void (*absent)(void *ctx);
};

struct epp_reflect_config {
        const char *name;              /* for logs and metrics: "pods"; borrowed */
        const struct epp_jkeep *keep;  /* of one object */
        const struct epp_reflect_ops *ops;
        void *ctx;
        const struct epp_log *log;
        bool streaming;                /* try streaming lists first */
        uint64_t seed;                 /* of jitter */
};

struct epp_reflect_stats {
        uint64_t lists, streamed_lists, watches; /* requests that were answered with 200 */
        uint64_t events[4];            /* EPP_REFLECT_EVENTS: ADDED, MODIFIED, DELETED, BOOKMARK */
        uint64_t errors[8];            /* by enum epp_reflect_error */
        uint64_t relists;              /* full enumerations after the first */
        uint64_t broken;               /* objects or events that could not be read */
        epp_us synced_at, heard_at;    /* last full enumeration, last event; 0: none yet */
};
enum epp_reflect_error { EPP_REFLECT_TRANSPORT, EPP_REFLECT_AUTH, EPP_REFLECT_FORBIDDEN,
        EPP_REFLECT_EXPIRED, EPP_REFLECT_BUSY, EPP_REFLECT_SERVER, EPP_REFLECT_FORMAT,
        EPP_REFLECT_OTHER, EPP_REFLECT_ERRORS };
#define EPP_REFLECT_EVENTS 4

enum epp_reflect_state {
        EPP_REFLECT_SYNC,
        EPP_REFLECT_WATCH,
        EPP_REFLECT_BACKOFF,
        EPP_REFLECT_ABSENT,
        EPP_REFLECT_IDLE,
        EPP_REFLECT_STATES
};
const char *epp_reflector_state_name(enum epp_reflect_state s);

/* Begins IDLE: epp_reflector_target says what to reflect. Returns 0 or EPP_ENOMEM. */
EPP_MUSTUSE int epp_reflector_new(const struct epp_reflect_config *cfg, struct epp_reflector **ret);
void epp_reflector_free(struct epp_reflector *r);
/* What to reflect from now on: <path> such as "/api/v1/namespaces/x/pods" and <query>,
 * percent-encoded selectors ("labelSelector=a%3Db", may be empty); both are copied. A new target
 * begins with a full enumeration; a NULL path stops. A running request is no longer wished for.
 * Returns 0 or EPP_ENOMEM (the old target stays). */
EPP_MUSTUSE int epp_reflector_target(struct epp_reflector *r, const char *path, const char *query,
        epp_us now);

/* What is wanted now. */
struct epp_reflect_wish {
        uint64_t request;    /* 0: nothing now, ask again at <at>; else its number: a request that
                                runs under another number is to be aborted, silently */
        epp_us at;
        const char *url;     /* path and query; lent until the next call on <r> */
        bool watch;          /* a stream: HTTP/1.1, no compression */
        unsigned timeout_ms; /* of the whole request */
};
void epp_reflector_wish(struct epp_reflector *r, epp_us now, struct epp_reflect_wish *ret);

/* The answer to request <n> begins. <retry_after_s>: of its header, -1 without one. */
void epp_reflector_status(
        struct epp_reflector *r, uint64_t n, int http, long retry_after_s, epp_us now);
/* A piece of its body. Returns 0, or an error: abort the request, then call _end with ok false. */
EPP_MUSTUSE int epp_reflector_data(struct epp_reflector *r, uint64_t n, struct epp_slice piece,
        epp_us now);
/* It has ended. <ok>: the whole answer came; false: no connection, cut, timed out. */
void epp_reflector_end(struct epp_reflector *r, uint64_t n, bool ok, epp_us now);
/* The API server has answered another reflector: one that waits because nobody did asks at once. */
void epp_reflector_nudge(struct epp_reflector *r, epp_us now);
/* The credentials changed: a request refused with 401 may be tried again at once. */
void epp_reflector_new_credentials(struct epp_reflector *r, epp_us now);

enum epp_reflect_state epp_reflector_state(const struct epp_reflector *r);
/* True once an enumeration of the present target was complete. */
bool epp_reflector_synced(const struct epp_reflector *r);
/* Of its configuration. */
const char *epp_reflector_name(const struct epp_reflector *r);
/* False once this server has refused streamed lists (or they are not to be tried). */
bool epp_reflector_streams(const struct epp_reflector *r);
/* When BACKOFF or ABSENT ends; 0 in other states. */
epp_us epp_reflector_until(const struct epp_reflector *r);
/* The last HTTP status that was an error, 0 for none since a success. */
int epp_reflector_trouble(const struct epp_reflector *r);
const struct epp_reflect_stats *epp_reflector_stats(const struct epp_reflector *r);

#endif
