/* access.h - the access log: one line for each request that was refused or has ended.
 * An observer of the director. Lines are those of base/log with the word `request`; what is not
 * known is left out. No body, and of headers only the request's id. Knows: record, log. */
#ifndef EPP_ACCESS_H
#define EPP_ACCESS_H

#include "base/log.h"
#include "serve/record.h"

/* Lines go to the sink of <log> (at level info), which is borrowed. */
struct epp_observer epp_access_observer(const struct epp_log *log);

#endif
