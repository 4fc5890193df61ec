/* conn.c - see conn.h. Input goes to h2 from the socket's buffer; all that h2 wants to say is
 * gathered and handed to the socket once per turn. */
#include "daemon/conn.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "daemon/acceptor.h"
#include "daemon/channel.h"
#include "daemon/conn_addr.h"
#include "daemon/loop.h"
#include "daemon/peers.h"
#include "daemon/span.h"
#include "daemon/tls.h"

#define OUTPUT_HIGH (1 << 20) /* above this the socket is slower than we: stop asking h2 */
#define TURN_MAX (1 << 20)    /* and so much is asked of it in a turn: others wait, too */
#define FIRST_BYTE_SECONDS 10 /* and as long again for the TLS handshake */
#define TICK_MIN_US 10000     /* ticks come no closer together */

struct conn {
        struct listener *l;
        struct conn *next, *prev;
        struct event *first;     /* waits for the first byte; channel and h2 are NULL meanwhile */
        struct channel *channel;
        struct epp_h2 *h2;
        bool closing;            /* send what is queued, then close */
        char peer[INET6_ADDRSTRLEN];
};

struct listener {
        struct event_base *base;
        struct acceptor *acceptor;
        struct listener_config cfg;
        struct conn *conns;
        struct event *tick;
        epp_us next;             /* when tick is armed for */
        struct peers named; /* whose mistake was told */
        struct epp_rng rng;      /* of ages */
};

static void
conn_free(struct conn *c)
{
        if (c->prev)
                c->prev->next = c->next;
        else
                c->l->conns = c->next;
        if (c->next)
                c->next->prev = c->prev;
        epp_h2_free(c->h2, loop_now(c->l->base));
        if (c->first) {
                int fd = event_get_fd(c->first);

                event_free(c->first);
                evutil_closesocket(fd);
        }
        channel_free(c->channel);
        free(c);
}

/* Moves what h2 wants to send to the channel, as far as it takes it; false when that is broken. */
static bool
conn_put(struct conn *c, epp_us now)
{
        size_t put = 0, n;

        while (channel_unsent(c->channel) < OUTPUT_HIGH) {
                char *at = channel_room(c->channel, EPP_H2_ROOM, &n);
                ssize_t r = at ? epp_h2_drain(c->h2, at, n, now) : -1;

                if (r < 0)
                        return false;
                channel_put(c->channel, (size_t)r);
                put += (size_t)r;
                if (n - (size_t)r >= EPP_H2_ROOM)
                        break;
                if (put >= TURN_MAX)
                        return channel_pause(c->channel);
        }
        return true;
}

/* Sends what there is. Returns false when the connection is gone.
 * A peer that does not read is not read from either: its answers would pile up in h2, a kilobyte
 * for ten bytes of a request. The socket empties without its help or the tick ends it. */
static bool
conn_flush(struct conn *c)
{
        bool whole = conn_put(c, loop_now(c->l->base)) && channel_flush(c->channel);
        size_t unsent = channel_unsent(c->channel);

        if (!whole || ((c->closing || !epp_h2_alive(c->h2)) && unsent == 0)) {
                conn_free(c);
                return false;
        }
        channel_listen(c->channel, unsent < OUTPUT_HIGH);
        return true;
}

/* Has the listener look at its connections at <at>, or at the time it had in mind if earlier. */
static void
listener_wake(struct listener *l, epp_us at, epp_us now)
{
        epp_us wait = EPP_MAX(at - now, (epp_us)TICK_MIN_US);
        struct timeval tv = { wait / 1000000, wait % 1000000 };

        if (l->next && l->next <= at)
                return;
        l->next = now + wait;
        evtimer_add(l->tick, &tv);
}

static void
on_tick(evutil_socket_t fd, short what, void *user)
{
        struct listener *l = user;
        struct span span = span_begin(SPAN_GRPC_TICK);
        epp_us now = span.wall;

        (void)fd, (void)what;
        loop_late(l->next, now);
        l->next = 0;
        for (struct conn *c = l->conns, *next; c; c = next) {
                next = c->next;
                if (!c->h2)
                        continue;
                if (epp_h2_tick(c->h2, now) < 0)
                        conn_free(c);
                else if (conn_flush(c))
                        listener_wake(l, epp_h2_next(c->h2), now);
        }
        span_end(SPAN_GRPC_TICK, span);
}

/* What comes after a mistake is read, not to wait here, and dropped. */
static void
on_readable(void *user)
{
        struct conn *c = user;
        struct span span = span_begin(SPAN_GRPC_READ);
        struct listener *l = c->l; /* c may go */
        struct epp_slice in;
        epp_us us;
        int r;

        while ((r = channel_read(c->channel, &in)) > 0)
                if (!c->closing && epp_h2_feed(c->h2, in, span.wall) < 0)
                        c->closing = true;
        if (r < 0)
                conn_free(c);
        else if (conn_flush(c)) /* it may never say a word */
                listener_wake(l, epp_h2_next(c->h2), span.wall);
        else
                r = -1;
        us = span_end(SPAN_GRPC_READ, span);
        if (r >= 0)
                channel_pace(c->channel, us);
}

static void
on_drained(void *user)
{
        struct span span = span_begin(SPAN_GRPC_WRITE);

        (void)conn_flush(user);
        span_end(SPAN_GRPC_WRITE, span);
}

static void
on_lost(void *user)
{
        conn_free(user);
}

/* Says once per peer that it speaks the wrong kind of transport. */
static void
name_mismatch(struct listener *l, const char *peer)
{
        if (!peers_first(&l->named, peer))
                return;
        epp_log(l->cfg.log, EPP_LOG_WARN, "transport_mismatch", LOG_T("peer", peer),
                LOG_N("port", listener_port(l)),
                LOG_T("why", l->cfg.tls ? "plaintext on a TLS port: set --secure-serving=false or "
                                          "let the gateway use TLS"
                                        : "TLS on a plaintext port: set --secure-serving=true or "
                                          "let the gateway use clear HTTP/2"));
}

static const struct channel_ops channel_ops = { on_readable, on_drained, on_lost };

/* Hands the socket on; false without memory, and it stays ours. */
static bool
open_channel(struct conn *c, int fd)
{
        SSL *ssl = c->l->cfg.tls ? SSL_new(c->l->cfg.tls) : NULL;

        if (c->l->cfg.tls && !ssl)
                return false;
        c->channel = channel_new(c->l->base, fd, ssl, FIRST_BYTE_SECONDS, &channel_ops, c);
        if (!c->channel)
                SSL_free(ssl);
        return c->channel != NULL;
}

/* The first byte is here. */
static void
on_first_byte(evutil_socket_t fd, short what, void *user)
{
        struct conn *c = user;
        unsigned char byte;

        if ((what & EV_TIMEOUT) || recv(fd, &byte, 1, MSG_PEEK) != 1) {
                conn_free(c);
                return;
        }
        if (tls_begins(byte) != (c->l->cfg.tls != NULL)) {
                name_mismatch(c->l, c->peer);
                conn_free(c);
                return;
        }
        if (epp_h2_new(c->l->cfg.handlers, c->l->cfg.n_handlers, c->l->cfg.stats, &c->h2) < 0 ||
                !open_channel(c, fd)) {
                conn_free(c);
                return;
        }
        event_free(c->first); /* now that the channel waits for the socket: epoll sees no change */
        c->first = NULL;
        if (c->l->cfg.age)
                epp_h2_age(c->h2, c->l->cfg.age, &c->l->rng, loop_now(c->l->base));
        on_readable(c);
}

static void
on_accept(void *user, int fd, const struct sockaddr *sa)
{
        struct listener *l = user;
        struct conn *c = calloc(1, sizeof(*c));
        struct timeval wait = { FIRST_BYTE_SECONDS, 0 };
        int one = 1;

        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
        if (c)
                c->first = event_new(l->base, fd, EV_READ | EV_PERSIST, on_first_byte, c);
        if (!c || !c->first || event_add(c->first, &wait) < 0) {
                if (c && c->first)
                        event_free(c->first);
                free(c);
                evutil_closesocket(fd);
                return;
        }
        c->l = l;
        conn_peer(sa, c->peer);
        c->next = l->conns;
        if (l->conns)
                l->conns->prev = c;
        l->conns = c;
}

int
listener_new(struct event_base *base, const struct listener_config *cfg, struct listener **ret)
{
        struct listener *l = calloc(1, sizeof(*l));
        struct acceptor_config door = { cfg->address, cfg->port, 1024, on_accept, l, cfg->log };
        int r = -ENOMEM;

        if (!l)
                return -ENOMEM;
        l->base = base;
        l->cfg = *cfg;
        epp_rng_init(&l->rng, (uint64_t)loop_wall());
        l->tick = evtimer_new(base, on_tick, l);
        if (l->tick)
                r = acceptor_new(base, &door, &l->acceptor);
        if (r < 0) {
                listener_free(l);
                return r;
        }
        *ret = l;
        return 0;
}

void
listener_set_tls(struct listener *l, SSL_CTX *tls)
{
        l->cfg.tls = tls;
}

unsigned
listener_port(const struct listener *l)
{
        return acceptor_port(l->acceptor);
}

size_t
listener_connections(const struct listener *l)
{
        size_t n = 0;

        for (const struct conn *c = l->conns; c; c = c->next)
                n += c->h2 != NULL;
        return n;
}

void
listener_flush(struct listener *l)
{
        for (struct conn *c = l->conns, *next; c; c = next) {
                next = c->next;
                if (c->h2)
                        (void)conn_flush(c);
        }
}

void
listener_shutdown(struct listener *l, bool final)
{
        if (final)
                acceptor_stop(l->acceptor);
        for (struct conn *c = l->conns; c; c = c->next) {
                if (!c->h2)
                        continue;
                epp_h2_shutdown(c->h2, final);
                if (final)
                        epp_h2_reset(c->h2);
        }
        listener_flush(l);
}

void
listener_free(struct listener *l)
{
        if (!l)
                return;
        while (l->conns)
                conn_free(l->conns);
        acceptor_free(l->acceptor);
        if (l->tick)
                event_free(l->tick);
        free(l);
}
