/* test_admin.c - the HTTP port on real sockets: pages in pieces, slow readers, ends of every kind, places. */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/admin.h"
#include "daemon/loop.h"
#include "unit.h"

#define PIECE 65536
#define MS ((epp_us)1000)

static struct event_base *base;

/* ---- pages ---- */

static struct page {
        int pieces; /* that more makes, after a first of body */
        int fail_at; /* piece that fails, 0: none */
        bool gaps;   /* every other piece is empty */
        epp_us work; /* that a piece is */
        int calls, done, open;
        char order[64]; /* which page made a piece, of /a and /b */
} page;

static void
fill(struct epp_buf *out, int i)
{
        char *at;

        ck_assert_int_eq(epp_buf_reserve(out, PIECE, &at), 0);
        memset(at, 'a' + i % 26, PIECE);
        epp_buf_commit(out, PIECE);
}

static int
more(void *state, struct epp_buf *out)
{
        ck_assert_ptr_eq(state, &page);
        ck_assert_int_eq(page.open, 1);
        page.calls++;
        for (epp_us begun = loop_now(base); loop_now(base) - begun < page.work;)
                ;
        if (page.calls == page.fail_at)
                return -1;
        if (!page.gaps || page.calls % 2 == 0)
                fill(out, page.calls);
        return page.calls < page.pieces;
}

static void
done(void *state)
{
        ck_assert_ptr_eq(state, &page);
        page.open--;
        page.done++;
}

static void
render_pieces(void *ctx, const struct admin_request *q, struct admin_reply *r)
{
        (void)ctx, (void)q;
        ck_assert_int_eq(epp_buf_append(&r->body, EPP_SLICE("begin")), 0);
        r->more = more;
        r->done = done;
        r->state = &page;
        page.open++;
}

static int
more_in_order(void *state, struct epp_buf *out)
{
        size_t n = strlen(page.order);

        page.order[n] = *(const char *)state;
        fill(out, 0);
        return page.order[n + 1] == 0 && n < 7;
}

static void
render_order(void *ctx, const struct admin_request *q, struct admin_reply *r)
{
        (void)ctx;
        r->more = more_in_order;
        r->state = (void *)(uintptr_t)(epp_slice_eq(q->path, EPP_SLICE("/a")) ? "a" : "b");
}

/* What a page is told. */
static void
render_echo(void *ctx, const struct admin_request *q, struct admin_reply *r)
{
        char text[200], value[32];

        ck_assert_ptr_eq(ctx, &page);
        if (!admin_param(q->query, "x", value, sizeof(value)))
                snprintf(value, sizeof(value), "none");
        snprintf(text, sizeof(text), SLICE_FMT "|" SLICE_FMT "|%s", SLICE_ARG(q->path), SLICE_ARG(q->accept), value);
        ck_assert_int_eq(epp_buf_append(&r->body, epp_slice_str(text)), 0);
        r->type = "x/y";
        r->code = 503;
        r->headers = "X-A: 1\r\nX-B: 2\r\n";
        r->done = done;
        r->state = &page;
        page.open++;
}

static void
render_empty(void *ctx, const struct admin_request *q, struct admin_reply *r)
{
        (void)ctx, (void)q, (void)r;
}

static const struct admin_page pages[] = { { "/pieces", ADMIN_METRICS, render_pieces },
        { "/a", ADMIN_METRICS, render_order }, { "/b", ADMIN_METRICS, render_order },
        { "/echo", ADMIN_DEBUG, render_echo }, { "/empty", ADMIN_HEALTH, render_empty } };

/* ---- the port, and its peers ---- */

static struct admin *admin;
static const struct epp_log quiet = { .level = EPP_LOG_ERROR - 1 };

static void
start(unsigned head_ms, unsigned window_ms, unsigned answer_ms)
{
        struct admin_config cfg = { .address = "127.0.0.1", .pages = pages, .n_pages = ARRAY_LEN(pages), .ctx = &page,
                .log = &quiet, .head_ms = head_ms, .window_ms = window_ms, .answer_ms = answer_ms };

        admin_free(admin);
        ck_assert_int_eq(admin_new(base, &cfg, &admin), 0);
        page = (struct page){ .pieces = 3 };
}

static void
setup(void)
{
        base = event_base_new();
        admin = NULL;
        start(0, 0, 0);
}

static void
teardown(void)
{
        admin_free(admin);
        event_base_free(base);
        ck_assert_int_eq(page.open, 0);
}

struct peer {
        int fd;
        char *got;
        size_t n, size;
        bool ended;
        int error; /* errno of the end */
};

static void
turn(void)
{
        event_base_loop(base, EVLOOP_NONBLOCK);
}

static void
rest(epp_us us)
{
        epp_us until = loop_now(base) + us;

        while (loop_now(base) < until) {
                turn();
                usleep(500);
        }
}

static struct peer
peer(const char *text, int receive)
{
        struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)admin_port(admin)),
                .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        struct peer p = { .fd = socket(AF_INET, SOCK_STREAM, 0) };

        if (receive)
                setsockopt(p.fd, SOL_SOCKET, SO_RCVBUF, &receive, sizeof(receive));
        ck_assert_int_eq(connect(p.fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
        fcntl(p.fd, F_SETFL, O_NONBLOCK);
        if (*text)
                ck_assert_int_eq(send(p.fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
        return p;
}

static void
take(struct peer *p, size_t most)
{
        ssize_t r;

        if (p->n + most >= p->size) {
                p->size = 2 * (p->n + most + 1);
                p->got = realloc(p->got, p->size);
        }
        r = recv(p->fd, p->got + p->n, most, 0);
        p->n += r > 0 ? (size_t)r : 0;
        p->got[p->n] = 0;
        p->ended = r == 0 || (r < 0 && errno != EAGAIN);
        p->error = r < 0 && p->ended ? errno : 0;
}

/* Reads to the end, <most> bytes at once with <pause> between. */
static void
read_all(struct peer *p, size_t most, epp_us pause)
{
        epp_us until = loop_now(base) + 20000 * MS;

        while (!p->ended && loop_now(base) < until) {
                take(p, most);
                if (pause)
                        rest(pause);
                else
                        turn();
        }
        ck_assert(p->ended);
}

static void
peer_close(struct peer *p)
{
        close(p->fd);
        free(p->got);
        *p = (struct peer){ .fd = -1 };
}

static const char *
body_of(const struct peer *p)
{
        const char *end = strstr(p->got, "\r\n\r\n");

        ck_assert_ptr_nonnull(end);
        return end + 4;
}

/* The body of an answer in chunks into <out>. Returns its length, or -1: the last chunk is missing. */
static ssize_t
unchunk(const struct peer *p, char *out)
{
        const char *at = body_of(p), *end = p->got + p->n;
        ssize_t n = 0;

        while (at < end) {
                char *behind;
                size_t size = strtoul(at, &behind, 16);

                ck_assert(behind > at && behind[0] == '\r' && behind[1] == '\n');
                if (size == 0)
                        return behind + 4 == end ? n : -1;
                if (behind + 2 + size + 2 > end)
                        return -1;
                memcpy(out + n, behind + 2, size);
                n += (ssize_t)size;
                at = behind + 2 + size + 2;
        }
        return -1;
}

static void
check_whole(const char *body, ssize_t n, int pieces)
{
        static char want[PIECE];

        ck_assert_int_eq(n, 5 + (ssize_t)pieces * PIECE);
        ck_assert(memcmp(body, "begin", 5) == 0);
        for (int i = 1; i <= pieces; i++) {
                memset(want, 'a' + i % 26, PIECE);
                ck_assert_int_eq(memcmp(want, body + 5 + (size_t)(i - 1) * PIECE, PIECE), 0);
        }
}

/* ---- pieces ---- */

START_TEST(chunks)
{
        struct peer p = peer("GET /pieces HTTP/1.1\r\n\r\n", 0);
        char *body;

        page.pieces = 160; /* 10 MB */
        read_all(&p, 1 << 20, 0);
        ck_assert_ptr_nonnull(strstr(p.got, "Transfer-Encoding: chunked\r\n"));
        ck_assert_ptr_null(strstr(p.got, "Content-Length"));
        body = malloc(p.n);
        check_whole(body, unchunk(&p, body), 160);
        ck_assert_int_eq(p.error, 0);
        ck_assert_int_eq(page.done, 1);
        ck_assert_int_eq(page.calls, 160);
        free(body);
        peer_close(&p);
}
END_TEST

START_TEST(http10_has_no_chunks)
{
        struct peer p = peer("GET /pieces HTTP/1.0\r\n\r\n", 0);

        read_all(&p, 1 << 20, 0);
        ck_assert_ptr_null(strstr(p.got, "Transfer-Encoding"));
        ck_assert_ptr_null(strstr(p.got, "Content-Length"));
        check_whole(body_of(&p), p.got + p.n - body_of(&p), 3);
        ck_assert_int_eq(p.error, 0);
        ck_assert_int_eq(page.done, 1);
        peer_close(&p);
}
END_TEST

START_TEST(head_has_no_pieces)
{
        for (int minor = 0; minor < 2; minor++) {
                char text[64];
                struct peer p;

                page = (struct page){ .pieces = 3 };
                snprintf(text, sizeof(text), "HEAD /pieces HTTP/1.%d\r\n\r\n", minor);
                p = peer(text, 0);
                read_all(&p, 65536, 0);
                ck_assert_str_eq(body_of(&p), "");
                ck_assert_int_eq(p.error, 0);
                ck_assert_int_eq(page.calls, 0);
                ck_assert_int_eq(page.done, 1);
                peer_close(&p);
        }
}
END_TEST

/* A piece may be empty: there is nothing to tell yet, or nothing more. */
START_TEST(empty_pieces)
{
        char *body = malloc(1 << 20);

        for (int minor = 0; minor < 2; minor++)
                for (int n = 3; n <= 4; n++) { /* the last one is empty, or not */
                        char text[64];
                        struct peer p;

                        page = (struct page){ .pieces = n, .gaps = true };
                        snprintf(text, sizeof(text), "GET /pieces HTTP/1.%d\r\n\r\n", minor);
                        p = peer(text, 0);
                        read_all(&p, 1 << 20, 0);
                        ck_assert_int_eq(p.error, 0);
                        ck_assert_int_eq(minor ? unchunk(&p, body) : p.got + p.n - body_of(&p), 5 + n / 2 * PIECE);
                        ck_assert_int_eq(page.calls, n);
                        ck_assert_int_eq(page.done, 1);
                        peer_close(&p);
                }
        free(body);
}
END_TEST

/* Not to be taken for whole: no last chunk, and a reset where the end is the only sign. */
START_TEST(failing_pieces)
{
        char *body = malloc(1 << 20);

        for (int minor = 0; minor < 2; minor++)
                for (int at = 1; at <= 3; at++) {
                        char text[64];
                        struct peer p;

                        page = (struct page){ .pieces = 3, .fail_at = at };
                        snprintf(text, sizeof(text), "GET /pieces HTTP/1.%d\r\n\r\n", minor);
                        p = peer(text, 0);
                        read_all(&p, 1 << 20, 0);
                        ck_assert_int_eq(p.error, ECONNRESET);
                        ck_assert_int_eq(page.done, 1);
                        if (minor && p.n)
                                ck_assert_int_eq(unchunk(&p, body), -1);
                        peer_close(&p);
                }
        free(body);
}
END_TEST

/* Who does not read costs a piece or two, and not for long. */
START_TEST(no_reader)
{
        struct peer p;

        start(0, 300, 0);
        page.pieces = 1000;
        p = peer("GET /pieces HTTP/1.1\r\n\r\n", 4096);
        rest(200 * MS);
        ck_assert_int_ge(page.calls, 1);
        ck_assert_int_le(page.calls, 5);
        ck_assert_int_eq(page.done, 0);
        rest(600 * MS);
        ck_assert_int_le(page.calls, 5);
        ck_assert_int_eq(page.done, 1);
        read_all(&p, 65536, 0);
        ck_assert_int_eq(p.error, ECONNRESET);
        peer_close(&p);
}
END_TEST

/* 256 bytes every 10 ms are too little for a window of 600 ms, 8 KB are not; but at some time it is enough. */
START_TEST(slow_readers)
{
        struct peer p;
        epp_us begun;

        start(0, 600, 2500);
        page.pieces = 1000;
        p = peer("GET /pieces HTTP/1.1\r\n\r\n", 4096);
        begun = loop_now(base);
        read_all(&p, 256, 10 * MS);
        ck_assert_int_lt(loop_now(base) - begun, 2300 * MS);
        ck_assert_int_eq(page.done, 1);
        peer_close(&p);

        page = (struct page){ .pieces = 1000 };
        p = peer("GET /pieces HTTP/1.1\r\n\r\n", 16384);
        begun = loop_now(base);
        read_all(&p, 8192, 5 * MS);
        ck_assert_int_ge(loop_now(base) - begun, 2400 * MS);
        ck_assert_int_eq(p.error, ECONNRESET);
        ck_assert_int_eq(page.done, 1);
        peer_close(&p);
}
END_TEST

/* A small answer that nobody takes ends, too; and one that is read late was whole. */
START_TEST(late_reader)
{
        struct peer p;

        start(0, 200, 0);
        p = peer("GET /echo HTTP/1.1\r\n\r\n", 0);
        rest(700 * MS);
        read_all(&p, 65536, 0);
        ck_assert_str_eq(body_of(&p), "/echo||none");
        ck_assert_int_eq(p.error, 0);
        peer_close(&p);
}
END_TEST

START_TEST(a_peer_that_goes)
{
        struct peer p = peer("GET /pieces HTTP/1.1\r\n\r\n", 4096);

        page.pieces = 1000;
        rest(50 * MS);
        take(&p, 4096);
        ck_assert_int_gt((int)p.n, 0);
        ck_assert_int_eq(page.done, 0);
        peer_close(&p);
        rest(50 * MS);
        ck_assert_int_eq(page.done, 1);
}
END_TEST

START_TEST(the_end_of_the_port)
{
        struct peer p = peer("GET /pieces HTTP/1.1\r\n\r\n", 4096);

        page.pieces = 1000;
        rest(50 * MS);
        ck_assert_int_eq(page.done, 0);
        admin_free(admin);
        admin = NULL;
        ck_assert_int_eq(page.done, 1);
        read_all(&p, 65536, 0); /* libevent closes sockets on its next turn */
        ck_assert_int_eq(p.error, ECONNRESET);
        peer_close(&p);
}
END_TEST

/* One piece each, in turn. */
START_TEST(turns)
{
        struct peer a = peer("GET /a HTTP/1.1\r\n\r\n", 0), b = peer("GET /b HTTP/1.1\r\n\r\n", 0);

        while (!a.ended || !b.ended) {
                turn();
                if (!a.ended)
                        take(&a, 1 << 20);
                if (!b.ended)
                        take(&b, 1 << 20);
        }
        ck_assert_msg(strstr(page.order, "abab") || strstr(page.order, "baba"), "%s", page.order);
        peer_close(&a);
        peer_close(&b);
}
END_TEST

/* Pages have a fifth of the time: 15 pieces of 2 ms take 14 * 10 ms and more. */
START_TEST(rests)
{
        struct peer p = peer("GET /pieces HTTP/1.1\r\n\r\n", 0);
        epp_us begun = loop_now(base);

        page.pieces = 15;
        page.work = 2 * MS;
        read_all(&p, 1 << 20, 0);
        ck_assert_int_ge(loop_now(base) - begun, 140 * MS);
        ck_assert_int_eq(page.done, 1);
        peer_close(&p);
}
END_TEST

/* ---- requests ---- */

START_TEST(what_a_page_is_told)
{
        struct peer p = peer("GET /echo?y=1&x=a%20b HTTP/1.1\r\nAccept: c/d\r\nAccept: e/f\r\n\r\nGET / HTTP/1.1\r\n\r\n", 0);

        read_all(&p, 65536, 0);
        ck_assert_str_eq(p.got, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: x/y\r\nContent-Length: 17\r\n"
                "X-A: 1\r\nX-B: 2\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n"
                "Connection: close\r\n\r\n/echo|c/d,e/f|a b");
        ck_assert_int_eq(page.done, 1);
        ck_assert_int_eq(p.error, 0);
        peer_close(&p);
        p = peer("HEAD /echo HTTP/1.1\r\n\r\n", 0);
        read_all(&p, 65536, 0);
        ck_assert_ptr_nonnull(strstr(p.got, "Content-Length: 11\r\n"));
        ck_assert_str_eq(body_of(&p), "");
        ck_assert_int_eq(page.done, 2);
        peer_close(&p);
        p = peer("GET /empty HTTP/1.1\r\n\r\n", 0);
        read_all(&p, 65536, 0);
        ck_assert_ptr_nonnull(strstr(p.got, "200 OK\r\n"));
        ck_assert_ptr_nonnull(strstr(p.got, "Content-Length: 0\r\n"));
        peer_close(&p);
}
END_TEST

/* Byte by byte: answered when it is whole in time, else told so; who says nothing hears nothing. */
START_TEST(slow_heads)
{
        static const char text[] = "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n";
        struct peer p, silent;

        start(300, 0, 0);
        p = peer("", 0);
        for (size_t i = 0; text[i]; i++) {
                ck_assert_int_eq(send(p.fd, text + i, 1, MSG_NOSIGNAL), 1);
                rest(2 * MS);
        }
        read_all(&p, 65536, 0);
        ck_assert_str_eq(body_of(&p), "/echo||none");
        peer_close(&p);
        p = peer("GET", 0);
        silent = peer("", 0);
        rest(100 * MS);
        take(&p, 100);
        ck_assert(p.n == 0 && !p.ended);
        rest(300 * MS);
        read_all(&p, 65536, 0);
        ck_assert_msg(strstr(p.got, "HTTP/1.1 408 "), "%s", p.got);
        read_all(&silent, 65536, 0);
        ck_assert(silent.n == 0 && silent.error == 0);
        peer_close(&p);
        peer_close(&silent);
}
END_TEST

/* 64 places. Who is new is turned away as long as nobody has kept still for a second. */
START_TEST(places)
{
        struct peer held[64], late, next;

        for (size_t i = 0; i < ARRAY_LEN(held); i++) {
                held[i] = peer("GET", 0);
                turn();
        }
        late = peer("GET /echo HTTP/1.1\r\n\r\n", 0);
        read_all(&late, 65536, 0);
        ck_assert_ptr_nonnull(strstr(late.got, "HTTP/1.1 503 "));
        ck_assert_str_eq(body_of(&late), "too many connections\n");
        rest(1100 * MS);
        next = peer("GET /echo HTTP/1.1\r\n\r\n", 0);
        read_all(&next, 65536, 0);
        ck_assert_str_eq(body_of(&next), "/echo||none");
        take(&held[0], 100);
        ck_assert(held[0].ended); /* the oldest */
        take(&held[1], 100);
        ck_assert(!held[1].ended);
        for (size_t i = 0; i < ARRAY_LEN(held); i++)
                peer_close(&held[i]);
        peer_close(&late);
        peer_close(&next);
}
END_TEST

UNIT_MAIN_WITH("admin", setup, teardown, chunks, http10_has_no_chunks, head_has_no_pieces, empty_pieces, failing_pieces,
        no_reader, slow_readers, late_reader, a_peer_that_goes, the_end_of_the_port, turns, rests, what_a_page_is_told, slow_heads,
        places)
