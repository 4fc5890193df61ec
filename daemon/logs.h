/* logs.h - eppd's log: lines of lib/base/log to stderr, and what libraries have to say among them.
 * There is one per process, as there is one stderr. Knows: sink, base. */
#ifndef EPPD_LOGS_H
#define EPPD_LOGS_H

#include "base/log.h"

struct event_base;

struct logs_stats {
        uint64_t lost;      /* lines that whoever reads the log was too slow for */
        uint64_t swallowed; /* lines that were too many of their kind */
};

/* Makes *log, which stays the caller's, write to stderr, and libevent write to it. */
void logs_init(struct epp_log *log, enum epp_log_level level, bool json);
/* From here on <base> says once a second what was lost or swallowed. Returns 0 or EPP_ENOMEM. */
EPP_MUSTUSE int logs_run(struct event_base *base);
struct logs_stats logs_stats(void);
/* Says what is left to say; before <base> ends. Lines after that are still written. */
void logs_fini(void);

#endif
