/* conn.h - sockets of gRPC peers <-> serve/h2. Knows: libevent, serve/h2. */
#ifndef EPPD_CONN_H
#define EPPD_CONN_H

#include <openssl/types.h>

#include "base/log.h"
#include "serve/h2.h"

struct event_base;
struct listener;

struct listener_config {
        const char *address; /* IP literal */
        unsigned port;       /* 0: any free one */
        SSL_CTX *tls;        /* NULL: clear HTTP/2; borrowed, see listener_set_tls */
        const struct epp_rpc_handler *handlers;
        size_t n_handlers;
        struct epp_h2_stats *stats;
        const struct epp_log *log;
        epp_us age;          /* at which connections are asked to end; 0: never */
};

/* Listens and serves the handlers to each peer; what <cfg> points at is borrowed.
 * Returns 0 and *ret, or -errno. */
EPP_MUSTUSE int listener_new(struct event_base *base, const struct listener_config *cfg,
        struct listener **ret);
/* New connections use <tls> (a reference is not taken); running ones keep theirs. */
void listener_set_tls(struct listener *l, SSL_CTX *tls);
/* The port in use. */
unsigned listener_port(const struct listener *l);
/* Open ones that have said something. */
size_t listener_connections(const struct listener *l);
/* Sends what handlers said to other calls than the one that was fed: a health Watch. */
void listener_flush(struct listener *l);
/* GOAWAY to every peer; final takes no more connections, and resets the calls that still run: each
 * connection closes when it has sent that. */
void listener_shutdown(struct listener *l, bool final);
/* Closes everything; every call of every peer ends. Accepts NULL. */
void listener_free(struct listener *l);

#endif
