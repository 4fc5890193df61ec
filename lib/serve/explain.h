/* explain.h - a decision in one line of printable ASCII, for the client that asked for it.
 * Knows: record, sched (trace). */
#ifndef EPP_EXPLAIN_H
#define EPP_EXPLAIN_H

#include "serve/record.h"

#define EPP_EXPLAIN_MAX 1024 /* bytes, NUL included */

/* What <r> says while it is decided: endpoint or refusal, candidates, each step's in>out, the load
 * and score of the chosen one, as key=value with blanks between; what does not fit is left out.
 * From malloc, the caller's to free; NULL without memory. */
char *epp_explain(const struct epp_record *r);

#endif
