/* dump.h - the state of everything as log lines, for SIGUSR1: at most 300, a few at a time, so that
 * neither the loop nor a pipe behind the log is held up. Knows: the modules it shows. */
#ifndef EPPD_DUMP_H
#define EPPD_DUMP_H

#include "daemon/pages.h"

struct dump;

/* <what> and <log> are borrowed until _free. Returns 0 or EPP_ENOMEM. */
EPP_MUSTUSE int dump_new(struct event_base *base, const struct pages *what,
        const struct epp_log *log, struct dump **ret);
/* Begins one, unless one is being written. Its lines do not ask for --log-level. */
void dump_start(struct dump *d);
/* Accepts NULL. */
void dump_free(struct dump *d);

#endif
