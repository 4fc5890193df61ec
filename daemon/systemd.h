/* systemd.h - a service manager's two protocols, spoken directly: datagrams to $NOTIFY_SOCKET, and
 * listening sockets that were passed as descriptors. Without their variables nothing happens. The
 * process has one manager: what is known is the process's. Knows: libevent, sockets. */
#ifndef EPPD_SYSTEMD_H
#define EPPD_SYSTEMD_H

#include "base/log.h"

struct event_base;

struct systemd_port {
        const char *name; /* of a passed socket, FileDescriptorName= */
        unsigned *port;   /* configured; becomes that of the socket of this name */
};

/* Takes the variables out of the environment, so that no child speaks for us, answers the watchdog
 * from the loop, and holds each passed socket for one of <ports>: by its name, else by its port.
 * Returns 0, or -1 and one line in <err>. <log> is borrowed. */
EPP_MUSTUSE int systemd_start(struct event_base *base, const struct systemd_port *ports, size_t n,
        const struct epp_log *log, char *err, size_t err_size);
/* The passed socket that listens on <port>, from then on the caller's; -1: there is none. */
int systemd_take(unsigned port);
/* Starting is over / the end begins, which may take <limit> / files are read again, until ready. */
void systemd_ready(void);
void systemd_stopping(epp_us limit);
void systemd_reloading(epp_us now);
/* A line for people, sent when it is another one than before; cut at 200 bytes. */
void systemd_status(const char *text);
/* Closes everything. */
void systemd_end(void);

#endif
