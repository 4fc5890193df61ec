/* load.h - the parts of the load generator.
 * A plan is made once: every byte that a stream will send, cut into steps, and what must have come
 * back before the next step. A stream then only walks the plan.
 * Shares base.h with eppd and nothing else, so that both cannot be wrong in the same way. */
#ifndef LOAD_H
#define LOAD_H

#include <inttypes.h>

#include "base/base.h"

enum load_mode { MODE_DUPLEX, MODE_LEAN, MODE_BUFFERED, MODE_NONE };
enum load_hold { HOLD_PICK, HOLD_END };
enum load_abort { ABORT_NO, ABORT_HEADERS, ABORT_BODY, ABORT_RESPONSE };

struct load_options {
        const char *address, *model, *subset; /* subset: ADDR:PORT,... or NULL */
        uint16_t port;
        bool tls, half_close, lockstep, drop, deaf, resume, spread;
        unsigned connections, streams; /* streams: at once, per connection */
        uint64_t requests;             /* 0: until the duration is over */
        unsigned per_connection;       /* requests, then a new connection; 0: no limit */
        unsigned endpoints;            /* that could have been picked */
        double duration, rate, hold, timeout; /* seconds, requests per second */
        double spacing;                /* of response chunks, ms */
        enum load_mode mode;
        enum load_abort abort;
        enum load_hold hold_at;
        size_t body, request_chunk, chunks, chunk_size, window;
        unsigned stall; /* so many streams of each connection never open their window */
        int pid;
};

/* What has come back on one stream. */
struct tally {
        uint64_t req_bytes, resp_bytes;   /* echoed */
        uint32_t req_heads, resp_heads;
        uint32_t req_bodies;              /* body answers without streamed_response */
        uint32_t req_ends, resp_ends;     /* end_of_stream, by direction */
};

struct step {
        const uint8_t *p; /* gRPC messages with their prefixes */
        size_t n;
        struct tally want; /* before the next step */
};

struct plan {
        struct step *steps;
        size_t n, size;
        size_t pick_step;   /* its answers hold the pick */
        size_t hold_step;   /* behind it streams wait for each other, if they do */
        size_t spaced_step; /* from here on each step has its time; SIZE_MAX: none */
        uint8_t *bytes;     /* of all steps */
        size_t bytes_n, bytes_size;
        const uint8_t *body; /* the request body, to compare the echo with */
        size_t body_n;
        uint8_t *response;  /* the same of the response */
        size_t response_n;
};

void plan_make(struct plan *p, const struct load_options *o);
void plan_free(struct plan *p);

/* One ProcessingResponse. */
struct answer {
        unsigned kind; /* its field number: 1 request headers ... 7 immediate; 0 none */
        bool streamed, end;
        const uint8_t *destination, *body;
        size_t destination_n, body_n;
        unsigned http; /* of an immediate response */
};
/* Returns false when <msg> is no such message. */
bool answer_read(const uint8_t *msg, size_t n, struct answer *a);

/* Log-linear counts: 32 cells for each power of two, so a value is off by 3 % at most. */
struct hist {
        uint64_t cell[32 * 64], n, max;
};
void hist_add(struct hist *h, uint64_t us);
uint64_t hist_at(const struct hist *h, double share);

/* Destinations by their text, in an open hash table. */
struct dest {
        uint64_t picks;
        uint8_t n; /* 0: the cell is free */
        bool allowed;
        uint8_t text[54];
};
struct dests {
        struct dest cell[4096];
        unsigned n;
        bool restricted; /* to those that are allowed */
};
/* The subset: ADDR:PORT,... */
void dests_allow(struct dests *d, const char *list);
/* Counts a pick; false when it is not one that is allowed. */
bool dests_pick(struct dests *d, const uint8_t *p, size_t n);
/* Prints the least and the most picks; 0 is the least when fewer than <endpoints> were seen. */
void dests_print(const struct dests *d, unsigned endpoints);

struct run {
        const struct load_options *opt;
        struct plan plan;
        struct hist pick_us, routed_us; /* routed: the request's half is answered whole */
        struct dests dests;
        uint64_t connections, resumed; /* opened; of those with an old TLS session */
        uint64_t begun, ended, failed, answers, goaways;
        uint64_t stalled, stalled_resets; /* begun without reading, of those ended */
        uint64_t held;       /* streams that wait for each other */
        int64_t release_at;  /* when they go on; 0: not all are there yet */
        int64_t first_us, last_us; /* when the run began; when the last stream ended */
        bool released, stop; /* stop: no new streams */
        char why[160];       /* of the first failure */
};

struct conn;
struct conn *conn_open(struct run *run);
void conn_free(struct conn *c, bool reset);
int conn_fd(const struct conn *c);
bool conn_wants_write(const struct conn *c);
bool conn_wants_read(const struct conn *c);
/* True when all its requests are over (--per-connection) and another one should take its place. */
bool conn_spent(const struct conn *c);
/* When the next chunk of one of its streams is due; INT64_MAX: none waits for a time. */
int64_t conn_wakes(const struct conn *c);
/* True when the connection has a place for one more stream. */
bool conn_free_slot(const struct conn *c);
/* Begins a stream that should have begun at <due>. */
void conn_begin(struct conn *c, int64_t due);
/* Lets held streams go on. */
void conn_release(struct conn *c);
/* Reads, walks, writes. Returns false when the connection is lost: its streams have failed. */
bool conn_turn(struct conn *c, bool readable);
unsigned conn_live(const struct conn *c);

int64_t now_us(void);
void fail(struct run *run, const char *fmt, ...) EPP_PRINTF(2, 3);

#endif
