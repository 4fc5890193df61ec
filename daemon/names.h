/* names.h - host name -> addresses, on the loop: libevent's resolver with /etc/resolv.conf and
 * /etc/hosts. A server that does not answer delays the one who asks and nobody else; what was known
 * last is better than nothing. Knows: libevent. */
#ifndef EPPD_NAMES_H
#define EPPD_NAMES_H

#include "base/slice.h"

struct event_base;
struct names;
struct names_ask;

/* <resolv_conf>: NULL for /etc/resolv.conf. Returns 0 or EPP_ENOMEM. */
EPP_MUSTUSE int names_new(struct event_base *base, const char *resolv_conf, struct names **ret);
/* Every ask must have ended. Accepts NULL. */
void names_free(struct names *n);
bool names_is_address(const char *host);
/* An answer of the last half minute, or NULL: "127.0.0.1,[::1]". */
const char *names_known(const struct names *n, const char *host);
/* What is known led nowhere: ask again, though it stays the answer when none comes. */
void names_doubt(struct names *n);
/* Asks; <fn> is called once, later, with true when there is an answer for names_known, at most 10 s
 * from now; the ask is gone then. Returns 0 or EPP_ENOMEM. */
EPP_MUSTUSE int names_ask(struct names *n, const char *host, void (*fn)(void *ctx, bool ok),
        void *ctx, struct names_ask **ret);
/* Accepts NULL. */
void names_drop(struct names_ask *a);

#endif
