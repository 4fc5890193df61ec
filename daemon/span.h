/* span.h - how long callbacks hold the loop. Whatever the loop calls brackets its work with
 * span_begin and span_end; one that took more than 5 ms is counted, and named in the log by debug
 * builds. Spans may nest: each counts for itself. Knows: base. */
#ifndef EPPD_SPAN_H
#define EPPD_SPAN_H

#include "base/log.h"

/* X(ENUM, name). cpu: what a request does not wait for is also measured in CPU time, which tells
 * our own work from a busy machine; that clock is a system call. */
#define SPANS(X) \
        X(GRPC_READ, "grpc_read", false) X(GRPC_WRITE, "grpc_write", false) \
        X(GRPC_TICK, "grpc_tick", false) X(SCRAPE, "scrape", false) \
        X(SCRAPE_TICK, "scrape_tick", true) X(API, "api", true) X(WATCH, "watch", true) \
        X(ADMIN, "admin", true) X(FILES, "files", true) X(DUMP, "dump", true) \
        X(ACCESS, "access_log", true)

enum span_kind {
#define X(id, name, cpu) SPAN_##id,
        SPANS(X)
#undef X
        SPAN_KINDS
};
const char *span_name(size_t kind);

struct span {
        epp_us wall, cpu;
};
struct span_stats {
        uint64_t slow;        /* of more than 5 ms */
        epp_us longest;       /* so far */
        epp_us longest_cpu;   /* CPU time; 0 where it is not measured */
};

/* One loop, one thread: the counts are the process's. <log> is borrowed; NULL: none. */
void span_init(const struct epp_log *log);
struct span span_begin(enum span_kind kind);
/* Returns the wall time between. */
epp_us span_end(enum span_kind kind, struct span begin);
const struct span_stats *span_stats(size_t kind);
/* Microseconds from the first span's begin to the last one's end since it was asked last; -1:
 * there was none. Costs no reading of a clock. */
epp_us span_turn(void);

#endif
