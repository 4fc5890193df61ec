/* access.h - where the access log goes: a file, a pipe or stdout that may be slow.
 * Lines are gathered and written every 100 ms, or when 32 KiB wait: a system call is not the price
 * of a request. What the other side does not take waits, up to 64 KiB; then lines are dropped and
 * counted. Knows: libevent, sink, serve/access. */
#ifndef EPPD_ACCESS_H
#define EPPD_ACCESS_H

#include "base/log.h"
#include "serve/record.h"

struct event_base;
struct access;

struct access_stats {
        uint64_t lines; /* taken; what waits when eppd dies at once is lost */
        uint64_t lost;  /* dropped */
};

/* Opens <path> ("-": stdout) and tells <log> when lines were lost; <json>: its format. What is
 * pointed at is borrowed. Returns 0, EPP_ENOMEM, or -errno of open(2) as *ret_errno and EPP_EINVAL.
 */
EPP_MUSTUSE int access_new(struct event_base *base, const char *path, bool json,
        const struct epp_log *log, struct access_stats *stats, struct access **ret, int *ret_errno);
/* For the director. */
struct epp_observer access_observer(struct access *a);
/* The file has been moved away: what waits goes to the old one, new lines to a new one of its name.
 * When that cannot be opened the old one stays, and the log says so. */
void access_reopen(struct access *a);
/* Writes what waits if that can be done at once. Accepts NULL. */
void access_free(struct access *a);

#endif
