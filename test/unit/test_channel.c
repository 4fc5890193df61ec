/* test_channel.c - a channel on one end of a socket pair, plain and under TLS; the test is its peer. */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "daemon/channel.h"
#include "daemon/tls.h"
#include "unit.h"

static struct {
        struct event_base *base;
        SSL_CTX *server, *client;
        SSL *ssl; /* the peer's; NULL: plain */
        int fd;   /* the peer's */
        int ours; /* the channel's */
        struct channel *c;
        struct epp_buf got;
        int drained, lost;
        size_t take; /* reads so many bytes, then listens no more; 0: all */
} w;

static void
readable(void *ctx)
{
        struct epp_slice in;
        int r;

        (void)ctx;
        while ((r = channel_read(w.c, &in)) > 0)
                ck_assert_int_eq(epp_buf_append(&w.got, in), 0);
        if (r < 0) {
                w.lost++;
                channel_free(w.c);
                w.c = NULL;
                return;
        }
        ck_assert(channel_flush(w.c));
        if (w.take && epp_buf_len(&w.got) >= w.take)
                channel_listen(w.c, false);
}

static void
drained(void *ctx)
{
        (void)ctx;
        w.drained++;
}

static void
lost(void *ctx)
{
        (void)ctx;
        w.lost++;
        channel_free(w.c);
        w.c = NULL;
}

static const struct channel_ops ops = { readable, drained, lost };

static void
begin_on(int type, bool tls, unsigned handshake_s)
{
        struct tls_config cfg = { .alpn = "h2" };
        char err[256];
        int fd[2];
        SSL *ssl = NULL;

        memset(&w, 0, sizeof(w));
        w.base = event_base_new();
        ck_assert_int_eq(socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, fd), 0);
        w.fd = fd[1];
        w.ours = fd[0];
        if (tls) {
                w.server = tls_context_new(&cfg, err, sizeof(err));
                w.client = SSL_CTX_new(TLS_client_method());
                w.ssl = SSL_new(w.client);
                ck_assert(w.server && w.ssl && SSL_set_fd(w.ssl, w.fd) == 1);
                SSL_set_connect_state(w.ssl);
                SSL_set_default_read_buffer_len(w.ssl, 64 << 10);
                SSL_set_read_ahead(w.ssl, type == SOCK_SEQPACKET);
                SSL_set_mode(w.ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
                ssl = SSL_new(w.server);
        }
        w.c = channel_new(w.base, fd[0], ssl, handshake_s, &ops, NULL);
        ck_assert(w.c != NULL);
}

static void
begin(bool tls, unsigned handshake_s)
{
        begin_on(SOCK_STREAM, tls, handshake_s);
}

static void
end(void)
{
        channel_free(w.c);
        SSL_free(w.ssl);
        SSL_CTX_free(w.client);
        SSL_CTX_free(w.server);
        close(w.fd);
        epp_buf_fini(&w.got);
        event_base_free(w.base);
}

static void
turn(void)
{
        event_base_loop(w.base, EVLOOP_NONBLOCK);
}

/* The peer writes what the socket takes of <n> bytes 'x'; returns how many. */
static size_t
peer_write(size_t n)
{
        static char text[1 << 20];
        size_t done = 0;

        memset(text, 'x', sizeof(text));
        for (;;) {
                ssize_t r = w.ssl ? SSL_write(w.ssl, text, (int)EPP_MIN(n - done, sizeof(text)))
                                  : send(w.fd, text, EPP_MIN(n - done, sizeof(text)), MSG_NOSIGNAL);

                if (r <= 0 || (done += (size_t)r) == n)
                        return done;
        }
}

/* The same for reading; what comes must be 'y' and nothing else. */
static size_t
peer_read(size_t n)
{
        static char text[1 << 16];
        size_t done = 0;
        bool alien = false;

        for (;;) {
                ssize_t r = w.ssl ? SSL_read(w.ssl, text, (int)EPP_MIN(n - done, sizeof(text)))
                                  : recv(w.fd, text, EPP_MIN(n - done, sizeof(text)), 0);

                for (ssize_t i = 0; i < r; i++)
                        alien |= text[i] != 'y';
                ck_assert(!alien); /* once a read: each assertion writes to a pipe */
                if (r <= 0 || (done += (size_t)r) == n)
                        return done;
        }
}

static void
shake_hands(void)
{
        for (int i = 0; w.ssl && !channel_open(w.c) && i < 100; i++) {
                (void)SSL_do_handshake(w.ssl);
                turn();
        }
        ck_assert(channel_open(w.c));
}

static void
put(size_t n)
{
        while (n) {
                size_t room, some = EPP_MIN(n, (size_t)9999);
                char *at = channel_room(w.c, 10000, &room);

                ck_assert(at != NULL && room >= 10000);
                memset(at, 'y', some);
                channel_put(w.c, some);
                n -= some;
        }
        ck_assert(channel_flush(w.c));
}

/* Much more than the socket takes at once, in both directions: nothing is lost, the end is told. */
static void
both_ways(bool tls)
{
        size_t sent = 0, read = 0;

        begin(tls, 5);
        shake_hands();
        put(3000000);
        ck_assert_uint_gt(channel_unsent(w.c), 0);
        for (int i = 0; i < 10000 && (sent < 2000000 || read < 3000000 || epp_buf_len(&w.got) < 2000000); i++) {
                if (sent < 2000000)
                        sent += peer_write(2000000 - sent);
                if (read < 3000000)
                        read += peer_read(3000000 - read);
                turn();
        }
        ck_assert_uint_eq(read, 3000000);
        ck_assert_uint_eq(epp_buf_len(&w.got), 2000000);
        ck_assert_uint_eq(channel_unsent(w.c), 0);
        ck_assert_int_eq(w.drained, 1);
        ck_assert_int_eq(w.lost, 0);
        put(10); /* small ones go out at once, and nobody is told */
        ck_assert_uint_eq(peer_read(10), 10);
        ck_assert_int_eq(w.drained, 1);
        end();
}

START_TEST(plain)
{
        both_ways(false);
}
END_TEST

START_TEST(tls)
{
        both_ways(true);
}
END_TEST

/* What OpenSSL had read already when nobody listened comes without a further byte of the peer. */
START_TEST(held_by_openssl)
{
        size_t sent;

        begin(true, 5);
        shake_hands();
        w.take = 1;
        sent = peer_write(150000);
        for (int i = 0; i < 200; i++)
                turn();
        ck_assert_uint_lt(epp_buf_len(&w.got), sent);
        w.take = 0;
        channel_listen(w.c, true);
        for (int i = 0; i < 200; i++)
                turn();
        ck_assert_uint_eq(epp_buf_len(&w.got), sent);
        end();
}
END_TEST

START_TEST(ends)
{
        for (int ssl = 0; ssl < 2; ssl++) {
                begin(ssl, 5);
                shake_hands();
                ck_assert_uint_eq(peer_write(100), 100);
                shutdown(w.fd, SHUT_WR);
                turn();
                turn();
                ck_assert_uint_eq(epp_buf_len(&w.got), 100);
                ck_assert_int_eq(w.lost, 1);
                if (ssl) { /* we say so, too */
                        int r = SSL_read(w.ssl, &(char){ 0 }, 1);

                        ck_assert_int_eq(SSL_get_error(w.ssl, r), SSL_ERROR_ZERO_RETURN);
                }
                end();
        }
}
END_TEST

/* Four records; a packet is what was sent with one call. */
START_TEST(one_send)
{
        for (int ssl = 0; ssl < 2; ssl++) {
                begin_on(SOCK_SEQPACKET, ssl, 5);
                shake_hands();
                while (recv(w.fd, &(char){ 0 }, 1, 0) == 1) /* the ticket */
                        continue;
                put(60000);
                ck_assert_int_ge(recv(w.fd, &(char){ 0 }, 1, MSG_TRUNC), 60000);
                ck_assert_int_lt(recv(w.fd, &(char){ 0 }, 1, 0), 0);
                end();
        }
}
END_TEST

/* The socket takes nothing of the handshake before the peer has read what was in it. */
START_TEST(full_in_handshake)
{
        BIO *out = BIO_new(BIO_s_mem()), *in = BIO_new(BIO_s_mem());
        char *hello;
        size_t junk = 0;
        long n;

        begin(true, 5);
        while (send(w.ours, "j", 1, 0) == 1)
                junk++;
        SSL_set_bio(w.ssl, in, out); /* the peer reads nothing as yet */
        ck_assert_int_lt(SSL_do_handshake(w.ssl), 1);
        n = BIO_get_mem_data(out, &hello);
        ck_assert_int_eq(send(w.fd, hello, (size_t)n, 0), n);
        ck_assert_int_eq(SSL_set_fd(w.ssl, w.fd), 1);
        turn();
        ck_assert_uint_gt(channel_unsent(w.c), 500);
        for (size_t i = 0; i < junk; i++)
                ck_assert_int_eq(recv(w.fd, &(char){ 0 }, 1, 0), 1);
        shake_hands();
        ck_assert_uint_eq(channel_unsent(w.c), 0);
        put(10);
        ck_assert_uint_eq(peer_read(10), 10);
        end();
}
END_TEST

START_TEST(handshakes)
{
        begin(true, 1); /* nobody says a word */
        event_base_loop(w.base, EVLOOP_ONCE);
        ck_assert_int_eq(w.lost, 1);
        end();
        begin(true, 5); /* not TLS */
        ck_assert_int_eq(send(w.fd, "PRI * HTTP/2.0\r\n\r\n", 18, 0), 18);
        put(10); /* waits for the handshake */
        ck_assert_uint_eq(channel_unsent(w.c), 10);
        turn();
        ck_assert_int_eq(w.lost, 1);
        end();
}
END_TEST

/* Bytes that one turn reads, and <us> is said about it. */
static size_t
paced_turn(epp_us us)
{
        size_t before = epp_buf_len(&w.got);

        peer_write(256 << 10);
        event_base_loop(w.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        channel_pace(w.c, us);
        return epp_buf_len(&w.got) - before;
}

/* What takes long is read in smaller portions, down to 4 KiB; up to 128 KiB when it does not. */
START_TEST(paced)
{
        size_t n, last;

        begin(false, 5);
        last = paced_turn(1000); /* neither */
        ck_assert_uint_eq(last, 8192);
        ck_assert_uint_eq(paced_turn(1000), last);
        for (int i = 0; i < 8; i++) {
                n = paced_turn(100);
                ck_assert_uint_ge(n, last);
                last = n;
        }
        ck_assert_uint_eq(last, 128 << 10);
        for (int i = 0; i < 8; i++) {
                n = paced_turn(5000);
                ck_assert_uint_le(n, last);
                last = n;
        }
        ck_assert_uint_eq(last, 4 << 10);
        end();
}
END_TEST

/* After a pause the next bytes wait for the next turn, and are not forgotten then. */
START_TEST(paused)
{
        for (int ssl = 0; ssl < 2; ssl++) {
                begin(ssl, 5);
                shake_hands();
                put(1000);
                ck_assert_uint_eq(peer_read(1000), 1000);
                ck_assert(channel_pause(w.c));
                put(1000);
                ck_assert_uint_eq(channel_unsent(w.c), 1000);
                ck_assert_uint_eq(peer_read(1000), 0);
                ck_assert_int_eq(w.drained, 0);
                turn();
                ck_assert_uint_eq(channel_unsent(w.c), 0);
                ck_assert_uint_eq(peer_read(1000), 1000);
                ck_assert_int_eq(w.drained, 1);
                turn();
                ck_assert_int_eq(w.drained, 1);
                ck_assert(channel_pause(w.c)); /* with nothing behind it */
                turn();
                ck_assert_int_eq(w.drained, 2);
                end();
        }
}
END_TEST

UNIT_MAIN("channel", plain, tls, held_by_openssl, ends, paced, paused, one_send, full_in_handshake,
        handshakes)
