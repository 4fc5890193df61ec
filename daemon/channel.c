/* channel.c - see channel.h. */
#include "daemon/channel.h"

#include <errno.h>
#include <event2/event.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "daemon/loop.h"

/* One read of the socket; what is more waits for the next turn, behind the other sockets. Full of
 * PINGs, or of calls, the largest takes 15 ms (measured): channel_pace. */
#define READ_SIZE (128u << 10)
#define READ_FIRST (8u << 10)
#define READ_LEAST (4u << 10)
#define PACE_SLOW_US 2000
#define PACE_FAST_US 500
/* What is put is gathered up to so much before it is sent. */
#define SEND_SIZE (256u << 10)
#define ROOM_MAX (64u << 10)
/* OpenSSL reads so much at once and hands it out record by record; else it asks the socket twice
 * for each record, for its head and for the rest. Freed when empty (SSL_MODE_RELEASE_BUFFERS). */
#define READ_AHEAD (64u << 10)
/* Sealed records are gathered up to so much; one is 16 KiB and a little. */
#define SEALED_SIZE (128u << 10)

struct channel {
        struct event *in, *out;
        SSL *ssl;
        const struct channel_ops *ops;
        void *ctx;
        size_t gathered;       /* bytes put in this callback, in <outgoing> */
        struct epp_buf unsent; /* what the kernel did not take; under TLS, what is not sealed */
        size_t read_size;      /* of a plain socket */
        size_t sealed_n;       /* bytes sealed in this callback, in <sealed> */
        struct epp_buf held;   /* of those, what the kernel did not take; <sealed_n> is 0 then */
        bool broken;     /* the socket: OpenSSL is told */
        bool dry;        /* the socket, in this turn */
        bool done;       /* with reading, in this turn */
        bool filled;     /* the last read took all it could */
        bool open;       /* the handshake is over */
        epp_us deadline; /* of the handshake */
        bool listens, waits; /* in, out are armed */
        int fd;
};

/* Of one loop, one thread: used up before the callback ends, so channels share them and an idle
 * connection holds no buffer. */
static char room[READ_SIZE], outgoing[SEND_SIZE], sealed[SEALED_SIZE];

enum { BROKEN = -3, WANTS_WRITE = -2, WANTS_READ = -1, ENDED = 0 };

static ssize_t
send_some(const struct channel *c, struct epp_slice s)
{
        ssize_t r = send(c->fd, s.p, s.n, MSG_NOSIGNAL);

        if (r >= 0)
                return r;
        return errno == EAGAIN || errno == EINTR ? WANTS_WRITE : BROKEN;
}

static bool
wait_writable(struct channel *c)
{
        if (!c->waits)
                c->waits = event_add(c->out, NULL) == 0;
        return c->waits;
}

/* Sends what was sealed in an earlier callback; false when the socket is broken. */
static bool
send_held(struct channel *c)
{
        ssize_t r = 1;

        while (epp_buf_len(&c->held) && r > 0)
                if ((r = send_some(c, epp_buf_slice(&c->held))) > 0)
                        epp_buf_drain(&c->held, (size_t)r);
        if (epp_buf_len(&c->held))
                return r != BROKEN && wait_writable(c);
        epp_buf_fini(&c->held);
        return true;
}

/* The same for what was sealed in this callback, with one send; what is left is held. */
static bool
empty_sealed(struct channel *c)
{
        size_t n = c->sealed_n;
        ssize_t sent;

        c->sealed_n = 0;
        if (n == 0)
                return true;
        sent = send_some(c, epp_slice(sealed, n));
        if (sent == BROKEN)
                return false;
        sent = EPP_MAX(sent, 0);
        if ((size_t)sent == n)
                return true;
        return epp_buf_append(&c->held, epp_slice(sealed + sent, n - (size_t)sent)) == 0 &&
               send_held(c);
}

/* OpenSSL's socket. It would send each flight, each record by itself: a ticket, the first answer,
 * every 16 KiB of a body. Here they wait for the end of the callback (man/notes/sockets). */
static int
wire_write(BIO *bio, const char *p, int n)
{
        struct channel *c = BIO_get_data(bio);

        BIO_clear_retry_flags(bio);
        if (c->sealed_n + (size_t)n > sizeof(sealed) && !empty_sealed(c))
                c->broken = true;
        if (c->broken)
                return -1;
        if (epp_buf_len(&c->held)) {
                BIO_set_retry_write(bio);
                return -1;
        }
        EPP_ASSERT((size_t)n <= sizeof(sealed));
        memcpy(sealed + c->sealed_n, p, (size_t)n);
        c->sealed_n += (size_t)n;
        return n;
}

/* Less than was asked for is all that is there: OpenSSL, which asks until it hears that, hears it
 * without a system call. */
static int
wire_read(BIO *bio, char *p, int n)
{
        struct channel *c = BIO_get_data(bio);
        ssize_t r = -1;

        BIO_clear_retry_flags(bio);
        if (!c->dry) {
                r = recv(c->fd, p, (size_t)n, 0);
                c->dry = r < n;
                if (r >= 0 || (errno != EAGAIN && errno != EINTR))
                        return (int)r;
        }
        BIO_set_retry_read(bio);
        return -1;
}

static long
wire_ctrl(BIO *bio, int what, long n, void *p)
{
        (void)bio, (void)n, (void)p;
        return what == BIO_CTRL_FLUSH;
}

/* A BIO of <c>, which outlives it; NULL without memory. */
static BIO *
wire_new(struct channel *c)
{
        static BIO_METHOD *wire; /* a table, made once */
        BIO *bio;

        if (!wire) {
                wire = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "channel");
                if (!wire || !BIO_meth_set_write(wire, wire_write) ||
                        !BIO_meth_set_read(wire, wire_read) || !BIO_meth_set_ctrl(wire, wire_ctrl))
                        return NULL;
        }
        bio = BIO_new(wire);
        if (bio) {
                BIO_set_data(bio, c);
                BIO_set_init(bio, 1);
        }
        return bio;
}

/* What a TLS call that failed wants. */
static int
tls_wants(struct channel *c, int r)
{
        switch (SSL_get_error(c->ssl, r)) {
        case SSL_ERROR_WANT_READ:
                return WANTS_READ;
        case SSL_ERROR_WANT_WRITE:
                return WANTS_WRITE;
        case SSL_ERROR_ZERO_RETURN:
                return ENDED;
        default:
                return BROKEN;
        }
}

static int
receive(struct channel *c)
{
        ssize_t r;

        if (c->ssl) {
                ERR_clear_error();
                r = SSL_read(c->ssl, room, sizeof(room));
                return r > 0 ? (int)r : tls_wants(c, (int)r);
        }
        r = recv(c->fd, room, c->read_size, 0);
        c->filled = r == (ssize_t)c->read_size;
        if (r >= 0)
                return (int)r;
        return errno == EAGAIN || errno == EINTR ? WANTS_READ : BROKEN;
}

static int
transmit(struct channel *c, struct epp_slice s)
{
        ssize_t r;

        if (c->ssl) {
                ERR_clear_error();
                r = SSL_write(c->ssl, s.p, (int)s.n);
                r = r > 0 ? r : tls_wants(c, (int)r);
                return r == ENDED ? BROKEN : (int)r;
        }
        return (int)send_some(c, s);
}

/* The limit of the handshake hangs on the read event; from here on a peer may be silent. */
static void
note_open(struct channel *c)
{
        if (c->open || !SSL_is_init_finished(c->ssl))
                return;
        c->open = true;
        event_remove_timer(c->in);
}

static void
on_readable(evutil_socket_t fd, short what, void *user)
{
        struct channel *c = user;

        (void)fd;
        /* Each byte would put the event's own limit off: it is for those who say nothing. */
        if ((what & EV_TIMEOUT) || (!c->open && loop_now(NULL) >= c->deadline)) {
                c->ops->lost(c->ctx);
                return;
        }
        c->done = c->dry = false;
        if (c->ssl)
                SSL_set_read_ahead(c->ssl, 1);
        c->ops->readable(c->ctx);
}

/* A plain socket is asked once: what is left makes it readable again. Under TLS each read gives a
 * record of what the first one found, and completes the last: what is left is in the socket. */
int
channel_read(struct channel *c, struct epp_slice *ret)
{
        int r;

        if (c->done)
                return 0;
        r = receive(c);
        if (c->ssl)
                note_open(c);
        if (r == WANTS_READ || r == WANTS_WRITE) /* the latter when the socket has no room: held */
                return 0;
        if (r <= 0)
                return -1;
        c->done = !c->ssl || !SSL_has_pending(c->ssl);
        if (!c->done)
                SSL_set_read_ahead(c->ssl, 0);
        *ret = epp_slice(room, (size_t)r);
        return 1;
}

void
channel_pace(struct channel *c, epp_us us)
{
        if (us > PACE_SLOW_US && c->read_size > READ_LEAST)
                c->read_size /= 2;
        else if (us < PACE_FAST_US && c->filled && c->read_size < READ_SIZE)
                c->read_size *= 2;
}

/* Sends <s>; returns how much went, or BROKEN. The socket is waited for when it is full. */
static ssize_t
push(struct channel *c, struct epp_slice s)
{
        size_t sent = 0;
        int r = 0;

        while (!c->waits && c->open && sent < s.n) {
                r = transmit(c, epp_slice(s.p + sent, s.n - sent));
                if (r == BROKEN)
                        return BROKEN;
                if (r == WANTS_READ)
                        break; /* the next read goes on */
                if (r == WANTS_WRITE) {
                        if (!wait_writable(c))
                                return BROKEN;
                        break;
                }
                sent += (size_t)r;
        }
        return (ssize_t)sent;
}

static void
on_writable(evutil_socket_t fd, short what, void *user)
{
        struct channel *c = user;

        (void)fd, (void)what;
        c->waits = false;
        if (!c->open && send_held(c)) {
                on_readable(fd, EV_READ, c);
                return;
        }
        if (!channel_flush(c))
                c->ops->lost(c->ctx);
        else if (channel_unsent(c) == 0)
                c->ops->drained(c->ctx);
}

struct channel *
channel_new(struct event_base *base, int fd, SSL *ssl, unsigned handshake_s,
        const struct channel_ops *ops, void *ctx)
{
        struct timeval limit = { handshake_s, 0 };
        struct channel *c = calloc(1, sizeof(*c));
        BIO *bio;

        if (!c)
                return NULL;
        *c = (struct channel){ .fd = fd, .ssl = ssl, .ops = ops, .ctx = ctx, .open = !ssl,
                .listens = true, .read_size = READ_FIRST,
                .deadline = loop_now(NULL) + (epp_us)handshake_s * 1000000 };
        bio = ssl ? wire_new(c) : NULL;
        c->in = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, c);
        c->out = event_new(base, fd, EV_WRITE, on_writable, c);
        if (!c->in || !c->out || event_add(c->in, ssl ? &limit : NULL) < 0 ||
                (ssl && !bio)) {
                BIO_free(bio);
                if (c->in)
                        event_free(c->in);
                if (c->out)
                        event_free(c->out);
                free(c);
                return NULL;
        }
        if (ssl) {
                SSL_set_bio(ssl, bio, bio);
                SSL_set_accept_state(ssl);
                SSL_set_read_ahead(ssl, 1);
                SSL_set_default_read_buffer_len(ssl, READ_AHEAD);
                SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE |
                        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        }
        return c;
}

void
channel_free(struct channel *c)
{
        if (!c)
                return;
        if (c->ssl && c->open)
                (void)SSL_shutdown(c->ssl);
        if (c->sealed_n) /* that, or why the handshake failed */
                (void)send_some(c, epp_slice(sealed, c->sealed_n));
        ERR_clear_error();
        SSL_free(c->ssl);
        event_free(c->in);
        event_free(c->out);
        close(c->fd);
        epp_buf_fini(&c->unsent);
        epp_buf_fini(&c->held);
        free(c);
}

bool
channel_open(const struct channel *c)
{
        return c->open;
}

size_t
channel_unsent(const struct channel *c)
{
        return c->gathered + epp_buf_len(&c->unsent) + c->sealed_n + epp_buf_len(&c->held);
}

/* Sends what was gathered; the rest moves to <unsent>. */
static bool
empty_outgoing(struct channel *c)
{
        size_t n = c->gathered;
        ssize_t sent = push(c, epp_slice(outgoing, n));

        c->gathered = 0;
        if (sent < 0)
                return false;
        return (size_t)sent == n ||
               epp_buf_append(&c->unsent, epp_slice(outgoing + sent, n - (size_t)sent)) == 0;
}

char *
channel_room(struct channel *c, size_t min, size_t *n)
{
        char *at;

        EPP_ASSERT(min <= ROOM_MAX);
        if (c->gathered + min > sizeof(outgoing) && !empty_outgoing(c))
                return NULL;
        if (epp_buf_len(&c->unsent)) {
                *n = ROOM_MAX;
                return epp_buf_reserve(&c->unsent, ROOM_MAX, &at) == 0 ? at : NULL;
        }
        *n = sizeof(outgoing) - c->gathered;
        return outgoing + c->gathered;
}

void
channel_put(struct channel *c, size_t n)
{
        if (epp_buf_len(&c->unsent))
                epp_buf_commit(&c->unsent, n);
        else
                c->gathered += n;
}

/* Under TLS into <sealed>. */
static bool
flush_plain(struct channel *c)
{
        ssize_t sent;

        if (c->gathered)
                return empty_outgoing(c);
        sent = push(c, epp_buf_slice(&c->unsent));
        if (sent < 0)
                return false;
        epp_buf_drain(&c->unsent, (size_t)sent);
        if (epp_buf_len(&c->unsent) == 0)
                epp_buf_fini(&c->unsent);
        return true;
}

bool
channel_flush(struct channel *c)
{
        if (!c->waits && !send_held(c))
                return false;
        return flush_plain(c) && empty_sealed(c);
}

bool
channel_pause(struct channel *c)
{
        return wait_writable(c);
}

void
channel_listen(struct channel *c, bool on)
{
        if (c->listens == on || !c->open)
                return;
        c->listens = on;
        if (!on) {
                event_del(c->in);
                return;
        }
        c->listens = event_add(c->in, NULL) == 0; /* else the next turn tries again */
}
