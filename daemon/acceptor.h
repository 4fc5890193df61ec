/* acceptor.h - a listening socket. When descriptors or memory run out it rests for a moment: peers
 * wait in the kernel's queue, and the loop does not spin on a socket that stays readable.
 * Knows: libevent. Does not know: what a connection is for. */
#ifndef EPPD_ACCEPTOR_H
#define EPPD_ACCEPTOR_H

#include "base/log.h"

struct event_base;
struct sockaddr;
struct acceptor;

struct acceptor_config {
        const char *address; /* IP literal */
        unsigned port;       /* 0: any free one; a passed socket of it is used (systemd.h) */
        int backlog;
        void (*fn)(void *ctx, int fd, const struct sockaddr *peer); /* owns <fd> */
        void *ctx;
        const struct epp_log *log; /* borrowed */
};

/* Listens. Returns 0 and *ret, or -errno. */
EPP_MUSTUSE int acceptor_new(struct event_base *base, const struct acceptor_config *cfg,
        struct acceptor **ret);
/* The port in use. */
unsigned acceptor_port(const struct acceptor *a);
/* Takes no more connections, ever. */
void acceptor_stop(struct acceptor *a);
/* Closes the socket. Accepts NULL. */
void acceptor_free(struct acceptor *a);

#endif
