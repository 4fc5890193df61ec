/* channel.h - a connected socket, plain or under TLS. What is put is sent at the end of the turn
 * with one call, under TLS as well, straight to the socket: only what the kernel does not take is
 * kept and waited for.
 * (libevent's bufferevent arms and disarms EPOLLOUT around each write: two system calls and a turn
 * of the loop more for each; measured, see man/notes/sockets.)
 * Knows: libevent, OpenSSL. Does not know: what the bytes mean. */
#ifndef EPPD_CHANNEL_H
#define EPPD_CHANNEL_H

#include <openssl/types.h>

#include "base/slice.h"

struct event_base;
struct channel;

struct channel_ops {
        /* There is something to read with channel_read. */
        void (*readable)(void *ctx);
        /* All that was put has gone out, after some of it had to wait. */
        void (*drained)(void *ctx);
        /* The handshake took too long, or the socket is broken: the owner frees the channel. */
        void (*lost)(void *ctx);
};

/* Takes over <fd> (non-blocking) and, when it succeeds, <ssl> (NULL: plain), which is accepted
 * within <handshake_s>. Reads at once, and can be read from by the one who made it. Returns NULL
 * without memory; both are then the caller's. */
struct channel *channel_new(struct event_base *base, int fd, SSL *ssl, unsigned handshake_s,
        const struct channel_ops *ops, void *ctx);
/* Closes the socket. Accepts NULL. */
void channel_free(struct channel *c);

/* Whether the handshake is over; always true of a plain one. */
bool channel_open(const struct channel *c);
/* Lends the next bytes from the peer, valid until the next call. Returns 1, 0 (no more in this
 * turn), -1 (the peer has closed, or the connection is broken: free it). From readable only, or
 * where the channel was made; channel_flush must follow: a handshake answers, too. */
EPP_MUSTUSE int channel_read(struct channel *c, struct epp_slice *ret);
/* What was read in this turn took <us> to handle: less is read in the next, or more. Under TLS a
 * turn always reads 64 KiB at most. */
void channel_pace(struct channel *c, epp_us us);
/* Room for <min> bytes (64 KiB at most) or more of what is to be sent, their number in *n; NULL
 * when the connection is broken or memory is short: free it. channel_put says how many were
 * written; channel_flush must follow in the same callback. */
EPP_MUSTUSE char *channel_room(struct channel *c, size_t min, size_t *n);
void channel_put(struct channel *c, size_t n);
/* Bytes put and not sent. */
size_t channel_unsent(const struct channel *c);
/* Sends what it can now. Returns false when the connection is broken: free it. */
EPP_MUSTUSE bool channel_flush(struct channel *c);
/* What is put from now on waits for the next turn; then drained is called. Returns as
 * channel_flush. */
EPP_MUSTUSE bool channel_pause(struct channel *c);
/* Reads, or lets the peer wait. */
void channel_listen(struct channel *c, bool on);

#endif
