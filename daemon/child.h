/* child.h - runs a program on the loop and gathers what it prints. Nothing blocks: pipes are read
 * as they fill, the end is looked for by a timer while it runs (no signal handler to share). Knows:
 * libevent. */
#ifndef EPPD_CHILD_H
#define EPPD_CHILD_H

#include "base/slice.h"

struct event_base;
struct child;

struct child_config {
        const char *command; /* with a slash a path, else looked for in PATH */
        char *const *argv;   /* NULL at the end */
        char *const *environment;
        unsigned limit_ms; /* then SIGTERM, two seconds later SIGKILL */
        size_t max_output; /* more ends it, too */
};
/* <why>: NULL when it ended with 0 and all its output is here; else what happened. <out> and
 * <errors> (the first of its stderr) are valid during the call. The child is gone when this is
 * called. */
typedef void (*child_end)(
        void *ctx, const char *why, struct epp_slice out, struct epp_slice errors);

/* Returns 0 and *ret, or -errno: <end> is not called then, nor before this returns. */
EPP_MUSTUSE int child_start(struct event_base *base, const struct child_config *cfg, child_end end,
        void *ctx, struct child **ret);
/* Kills it without a call of end. Accepts NULL. */
void child_free(struct child *c);

#endif
