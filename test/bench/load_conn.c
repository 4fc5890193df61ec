/* load_conn.c - one connection and its streams. Frames are made by nghttp2 and gathered, so that a
 * turn costs one read and one write however many streams moved. */
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <fcntl.h>
#include <unistd.h>

#include "test/bench/load.h"

#define READ_SIZE (256u << 10)
#define OUT_HIGH (512u << 10)  /* gathered output above this waits for the socket */
#define CONNECTION_WINDOW (256 << 20)
#define STUCK_US 200000        /* without a byte sent */
#define MESSAGE_MAX (1u << 20) /* eppd cuts bodies to 62,000 bytes; buffered echoes do not occur */

struct stream {
        struct conn *c;
        int32_t id;          /* 0: the place is free */
        size_t step, sent;   /* of the step */
        struct tally got;
        int64_t due;         /* when it should have begun */
        uint8_t *part;       /* of a message cut by a frame */
        size_t part_n, part_size;
        int64_t next_at;     /* when the next spaced step is due */
        bool picked, routed, held, waiting, closing, aborting, ok, stalled, grpc_ok;
};

struct conn {
        struct run *run;
        int fd;
        SSL *ssl;
        nghttp2_session *session;
        struct stream *streams;
        unsigned live, *free_list, n_free, begun;
        unsigned waiting;    /* streams that wait for their next_at */
        int64_t wakes;       /* not after the first of these */
        uint8_t *out, *in;
        size_t out_n, out_at, out_size;
        bool wants_write;
        int64_t now, muttered; /* when a stalled stream last sent something */
};

static bool
reached(const struct tally *got, const struct tally *want)
{
        return got->req_bytes >= want->req_bytes && got->resp_bytes >= want->resp_bytes &&
               got->req_heads >= want->req_heads && got->resp_heads >= want->resp_heads &&
               got->req_bodies >= want->req_bodies && got->req_ends >= want->req_ends &&
               got->resp_ends >= want->resp_ends;
}

static const struct tally *
expected(const struct stream *s)
{
        const struct plan *p = &s->c->run->plan;

        return &p->steps[EPP_MIN(s->step, p->n - 1)].want;
}

/* What has come is what was wanted, nothing twice. */
static bool
exact(const struct stream *s)
{
        const struct tally *want = expected(s);

        return memcmp(&s->got, want, sizeof(*want)) == 0;
}

/* False: the time of the next step has not come. Times are one apart from the response's headers on, so
 * that a late chunk delays none behind it. */
static bool
time_has_come(struct stream *s)
{
        const struct plan *p = &s->c->run->plan;
        bool spaced = s->step + 1 < p->n && s->step + 1 >= p->spaced_step;
        bool wait = spaced && s->c->now < s->next_at;

        s->c->waiting += wait;
        s->c->waiting -= s->waiting;
        s->waiting = wait;
        if (wait)
                s->c->wakes = EPP_MIN(s->c->wakes, s->next_at);
        return !wait;
}

static void
next_step(struct stream *s)
{
        const struct plan *p = &s->c->run->plan;
        int64_t spacing_us = (int64_t)(s->c->run->opt->spacing * 1000);

        s->sent = 0;
        s->step++;
        s->closing = s->step == p->n;
        s->next_at = (s->step >= p->spaced_step ? s->next_at : s->c->now) + spacing_us;
}

/* The step is answered: the next one, the end, or a wait for the other streams. */
static void
walk(struct stream *s)
{
        struct run *run = s->c->run;
        const struct plan *p = &run->plan;

        while (!s->closing && !s->held && !s->aborting && s->step < p->n &&
                s->sent == p->steps[s->step].n && reached(&s->got, &p->steps[s->step].want)) {
                if (s->step == p->pick_step && !s->routed) {
                        s->routed = true;
                        hist_add(&run->routed_us, (uint64_t)EPP_MAX(s->c->now - s->due, 0));
                }
                if (run->opt->hold >= 0 && s->step == p->hold_step && !run->released) {
                        s->held = true;
                        run->held++;
                        return;
                }
                if (!time_has_come(s))
                        return;
                next_step(s);
                nghttp2_session_resume_data(s->c->session, s->id);
        }
}

static ssize_t
read_step(nghttp2_session *session, int32_t id, uint8_t *at, size_t n, uint32_t *flags,
        nghttp2_data_source *source, void *user)
{
        struct stream *s = source->ptr;
        const struct plan *p = &s->c->run->plan;
        const struct step *step;
        size_t take;

        (void)session, (void)id, (void)user;
        if (s->stalled && s->sent == p->steps[s->step].n && s->step + 1 < p->n)
                s->step++, s->sent = 0; /* it reads no answer, so it waits for none */
        step = &p->steps[EPP_MIN(s->step, p->n - 1)];
        take = s->closing ? 0 : EPP_MIN(n, step->n - s->sent);
        if (take)
                memcpy(at, step->p + s->sent, take);
        s->sent += take;
        if (s->stalled && take)
                s->c->muttered = s->c->now;
        if (s->closing)
                *flags |= NGHTTP2_DATA_FLAG_EOF;
        else if (!take)
                return NGHTTP2_ERR_DEFERRED;
        return (ssize_t)take;
}

/* RST_STREAM is put in only when what goes before it is out: nghttp2 would send it first. */
static int
on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
        struct stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
        struct conn *c = user;
        const struct load_options *o = c->run->opt;
        const struct plan *p = &c->run->plan;

        if (!s || frame->hd.type != NGHTTP2_DATA)
                return 0;
        if (o->abort != ABORT_NO && s->step == p->n - 1 && s->sent == p->steps[s->step].n) {
                s->aborting = s->ok = true;
                nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_CANCEL);
        } else if (s->closing && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) && !o->half_close) {
                s->ok = exact(s);
                nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_CANCEL);
        } else if (!s->stalled) {
                walk(s); /* a step may want no answer */
        }
        return 0;
}

static void
break_off(struct stream *s)
{
        s->aborting = true;
        nghttp2_submit_rst_stream(s->c->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_CANCEL);
}

static bool
same_bytes(const struct answer *a, uint64_t at, const uint8_t *body, size_t n)
{
        return at + a->body_n <= n && (!a->body_n || memcmp(body + at, a->body, a->body_n) == 0);
}

/* Counts <a>; false when it should not have come. */
static bool
count_answer(struct stream *s, const struct answer *a)
{
        const struct plan *p = &s->c->run->plan;
        struct tally *t = &s->got;

        switch (a->kind) {
        case 1:
                t->req_heads++;
                break;
        case 2:
                t->resp_heads++;
                break;
        case 3:
                t->req_bodies += !a->streamed;
                if (!same_bytes(a, t->req_bytes, p->body, p->body_n) || t->req_ends)
                        return false;
                t->req_bytes += a->body_n;
                t->req_ends += a->end;
                break;
        case 4:
                if (!same_bytes(a, t->resp_bytes, p->response, p->response_n) || t->resp_ends)
                        return false;
                t->resp_bytes += a->body_n;
                t->resp_ends += a->end;
                break;
        default:
                return false;
        }
        return true;
}

static void
take_answer(struct stream *s, const uint8_t *msg, size_t n)
{
        struct run *run = s->c->run;
        struct answer a;

        if (s->aborting)
                return;
        run->answers++;
        if (!answer_read(msg, n, &a) || !count_answer(s, &a)) {
                fail(run, "stream %d: answer of kind %u (HTTP %u) was not wanted here", s->id,
                        a.kind, a.http);
                break_off(s);
                return;
        }
        if (a.destination && !s->picked) {
                s->picked = true;
                hist_add(&run->pick_us, (uint64_t)EPP_MAX(s->c->now - s->due, 0));
                if (!dests_pick(&run->dests, a.destination, a.destination_n)) {
                        fail(run, "stream %d: %.*s is not in the subset", s->id,
                                (int)a.destination_n, (const char *)a.destination);
                        break_off(s);
                        return;
                }
        }
        if (s->step == run->plan.pick_step && !s->picked && reached(&s->got, expected(s))) {
                fail(run, "stream %d: no destination in the answer", s->id);
                break_off(s);
                return;
        }
        walk(s);
}

static void
keep_part(struct stream *s, const uint8_t *p, size_t n)
{
        if (s->part_size - s->part_n < n) {
                s->part_size = s->part_n + n + 4096;
                s->part = realloc(s->part, s->part_size);
                if (!s->part)
                        err(2, "realloc");
        }
        memcpy(s->part + s->part_n, p, n);
        s->part_n += n;
}

/* Bytes that the message at <p> has in all; 0 = the prefix is not complete. */
static size_t
message_size(const uint8_t *p, size_t n)
{
        return n < 5 ? 0 : 5 + ((size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4]);
}

static int
on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *user)
{
        struct stream *s = nghttp2_session_get_stream_user_data(session, id);
        size_t total = n;

        (void)flags, (void)user;
        if (!s || s->stalled) {
                nghttp2_session_consume_connection(session, total);
                return 0;
        }
        while (n) {
                size_t size = message_size(s->part_n ? s->part : p, s->part_n ? s->part_n : n);
                size_t take;

                if (s->part_n == 0 && size && size <= n) {
                        take_answer(s, p + 5, size - 5);
                        p += size, n -= size;
                        continue;
                }
                if (size > MESSAGE_MAX)
                        return NGHTTP2_ERR_CALLBACK_FAILURE;
                take = EPP_MIN(n, s->part_n < 5 && !size ? 5 - s->part_n : size - s->part_n);
                keep_part(s, p, take);
                p += take, n -= take;
                if (message_size(s->part, s->part_n) == s->part_n) {
                        s->part_n = 0;
                        take_answer(s, s->part + 5, message_size(s->part, 5) - 5);
                }
        }
        nghttp2_session_consume(session, id, total);
        return 0;
}

static int
on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *k, size_t kn,
        const uint8_t *v, size_t vn, uint8_t flags, void *user)
{
        struct stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
        struct conn *c = user;

        (void)flags;
        if (!s || kn != 11 || memcmp(k, "grpc-status", 11) != 0)
                return 0;
        s->grpc_ok = vn == 1 && *v == '0';
        if (!s->grpc_ok && !s->stalled)
                fail(c->run, "stream %d: grpc-status %.*s", s->id, (int)vn, (const char *)v);
        return 0;
}

static int
on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
        struct conn *c = user;

        (void)session;
        if (frame->hd.type == NGHTTP2_GOAWAY) {
                c->run->goaways++;
                fail(c->run, "GOAWAY %s", nghttp2_http2_strerror(frame->goaway.error_code));
        }
        return 0;
}

static int
on_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
        struct stream *s = nghttp2_session_get_stream_user_data(session, id);
        struct conn *c = user;
        struct run *run = c->run;

        if (!s)
                return 0;
        if (run->opt->half_close && s->closing && s->grpc_ok && code == 0)
                s->ok = exact(s);
        run->stalled_resets += s->stalled;
        run->ended++;
        run->last_us = c->now;
        if (!s->ok && !s->stalled) {
                run->failed++;
                fail(run, "stream %d: closed in step %zu, code %s", id, s->step,
                        nghttp2_http2_strerror(code));
        }
        s->id = 0;
        c->waiting -= s->waiting;
        s->waiting = false;
        free(s->part);
        s->part = NULL;
        c->live--;
        c->free_list[c->n_free++] = (unsigned)(s - c->streams);
        return 0;
}

static void
session_new(struct conn *c)
{
        nghttp2_session_callbacks *cb;
        nghttp2_option *opt;
        nghttp2_settings_entry set[] = {
                { NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
                { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, (uint32_t)c->run->opt->window } };

        if (nghttp2_session_callbacks_new(&cb) || nghttp2_option_new(&opt))
                errx(2, "nghttp2: no memory");
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
        nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
        nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
        nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_sent);
        nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
        nghttp2_option_set_no_auto_window_update(opt, 1);
        nghttp2_option_set_no_closed_streams(opt, 1);
        nghttp2_option_set_peer_max_concurrent_streams(opt, INT32_MAX);
        if (nghttp2_session_client_new2(&c->session, cb, c, opt) ||
                nghttp2_submit_settings(c->session, 0, set, ARRAY_LEN(set)) ||
                nghttp2_session_set_local_window_size(c->session, 0, 0, CONNECTION_WINDOW))
                errx(2, "nghttp2: no session");
        nghttp2_option_del(opt);
        nghttp2_session_callbacks_del(cb);
}

/* The newest session that a server gave; it is asked for in the next handshake. */
static SSL_SESSION *last_session;

static int
keep_session(SSL *ssl, SSL_SESSION *session)
{
        (void)ssl;
        SSL_SESSION_free(last_session);
        last_session = session;
        return 1; /* ours now */
}

static SSL_CTX *
tls_context(bool resume)
{
        SSL_CTX *ctx = SSL_CTX_new(TLS_client_method()); /* checks no certificate */

        if (!ctx)
                errx(2, "no TLS context");
        if (resume) {
                SSL_CTX_set_session_cache_mode(ctx,
                        SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
                SSL_CTX_sess_set_new_cb(ctx, keep_session);
        }
        return ctx;
}

static void
tls_connect(struct conn *c)
{
        static SSL_CTX *ctx;
        struct timeval limit = { 20, 0 };

        if (!ctx)
                ctx = tls_context(c->run->opt->resume);
        setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
        c->ssl = SSL_new(ctx);
        if (!c->ssl || SSL_set_alpn_protos(c->ssl, (const unsigned char *)"\x02h2", 3) != 0 ||
                SSL_set_fd(c->ssl, c->fd) != 1 ||
                (last_session && SSL_set_session(c->ssl, last_session) != 1) ||
                SSL_connect(c->ssl) != 1)
                errx(1, "TLS handshake failed");
        c->run->resumed += SSL_session_reused(c->ssl) == 1;
        SSL_set_mode(c->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}

struct conn *
conn_open(struct run *run)
{
        const struct load_options *o = run->opt;
        struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(o->port) };
        struct conn *c = calloc(1, sizeof(*c));
        int one = 1;

        if (!c)
                err(2, "calloc");
        c->run = run;
        c->now = now_us();
        c->wakes = INT64_MAX;
        run->connections++;
        c->streams = calloc(o->streams, sizeof(*c->streams));
        c->free_list = calloc(o->streams, sizeof(*c->free_list));
        c->in = malloc(READ_SIZE);
        c->out_size = OUT_HIGH + (64u << 10);
        c->out = malloc(c->out_size);
        if (!c->streams || !c->free_list || !c->in || !c->out)
                err(2, "malloc");
        for (unsigned i = 0; i < o->streams; i++)
                c->free_list[c->n_free++] = o->streams - 1 - i;
        c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (inet_pton(AF_INET, o->address, &sin.sin_addr) != 1)
                errx(2, "%s: not an IPv4 address", o->address);
        if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&sin, sizeof(sin)) < 0)
                err(1, "%s:%u", o->address, o->port);
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        if (o->tls)
                tls_connect(c);
        fcntl(c->fd, F_SETFL, O_NONBLOCK);
        session_new(c);
        return c;
}

void
conn_free(struct conn *c, bool reset)
{
        struct linger now = { 1, 0 }; /* close sends RST */

        if (reset)
                setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
        if (c->ssl && !reset)
                SSL_shutdown(c->ssl); /* else the session cannot be resumed */
        SSL_free(c->ssl);
        close(c->fd);
        nghttp2_session_del(c->session);
        for (unsigned i = 0; i < c->run->opt->streams; i++)
                free(c->streams[i].part);
        free(c->streams);
        free(c->free_list);
        free(c->in);
        free(c->out);
        free(c);
}

int
conn_fd(const struct conn *c)
{
        return c->fd;
}

bool
conn_wants_write(const struct conn *c)
{
        return c->wants_write;
}

/* A deaf connection hears the server's settings and then nothing. */
bool
conn_wants_read(const struct conn *c)
{
        return !c->run->opt->deaf || c->run->begun == 0;
}

/* Streams that read begin when those that do not are stuck: else who is the slower is a race. */
bool
conn_free_slot(const struct conn *c)
{
        unsigned most = c->run->opt->per_connection;

        if (c->n_free == 0 || (most && c->begun >= most))
                return false;
        return c->free_list[c->n_free - 1] < c->run->opt->stall ||
               c->now - c->muttered >= STUCK_US;
}

bool
conn_spent(const struct conn *c)
{
        unsigned most = c->run->opt->per_connection;

        return most && c->begun == most && !c->live && !c->wants_write;
}

int64_t
conn_wakes(const struct conn *c)
{
        return c->waiting ? c->wakes : INT64_MAX;
}

unsigned
conn_live(const struct conn *c)
{
        return c->live;
}

static nghttp2_nv
nv(const char *name, const char *value)
{
        return (nghttp2_nv){ (uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                strlen(value), NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE };
}

void
conn_begin(struct conn *c, int64_t due)
{
        unsigned at = c->free_list[--c->n_free];
        struct stream *s = &c->streams[at];
        nghttp2_data_provider data = { { .ptr = s }, read_step };
        nghttp2_nv h[] = { nv(":method", "POST"), nv(":scheme", "http"), nv(":authority", "eppd"),
                nv(":path", "/envoy.service.ext_proc.v3.ExternalProcessor/Process"),
                nv("te", "trailers"), nv("content-type", "application/grpc"),
                nv("x-envoy-internal", "true"), nv("user-agent", "load") };

        *s = (struct stream){ .c = c, .due = due, .stalled = at < c->run->opt->stall };
        s->id = nghttp2_submit_request(c->session, NULL, h, ARRAY_LEN(h), &data, s);
        if (s->id < 0)
                errx(1, "cannot begin a stream: %s", nghttp2_strerror(s->id));
        c->live++;
        c->begun++;
        c->run->begun++;
        c->run->stalled += s->stalled;
        if (s->stalled)
                c->muttered = due;
}

void
conn_release(struct conn *c)
{
        for (unsigned i = 0; i < c->run->opt->streams; i++)
                if (c->streams[i].id && c->streams[i].held) {
                        c->streams[i].held = false;
                        walk(&c->streams[i]);
                }
}

/* Lets spaced streams go on whose time has come. */
static void
wake(struct conn *c)
{
        if (!c->waiting || c->now < c->wakes)
                return;
        c->wakes = INT64_MAX;
        for (unsigned i = 0; i < c->run->opt->streams; i++)
                if (c->streams[i].waiting)
                        walk(&c->streams[i]);
}

/* Returns bytes moved, 0 when it would block, -1 when the connection is gone. */
static ssize_t
socket_move(struct conn *c, bool write_out, uint8_t *p, size_t n)
{
        ssize_t r;

        if (!c->ssl) {
                r = write_out ? send(c->fd, p, n, MSG_NOSIGNAL) : recv(c->fd, p, n, 0);
                if (r < 0 && (errno == EAGAIN || errno == EINTR))
                        return 0;
                return r > 0 ? r : -1;
        }
        r = write_out ? SSL_write(c->ssl, p, (int)EPP_MIN(n, 1u << 20))
                      : SSL_read(c->ssl, p, (int)n);
        if (r > 0)
                return r;
        switch (SSL_get_error(c->ssl, (int)r)) {
        case SSL_ERROR_WANT_READ:
        case SSL_ERROR_WANT_WRITE:
                return 0;
        default:
                return -1;
        }
}

/* Gathers frames up to OUT_HIGH and sends them. */
static bool
send_out(struct conn *c)
{
        for (;;) {
                const uint8_t *p;
                ssize_t n = 0;

                if (c->out_at == c->out_n)
                        c->out_at = c->out_n = 0;
                while (c->out_n < OUT_HIGH && (n = nghttp2_session_mem_send(c->session, &p)) > 0) {
                        if ((size_t)n > c->out_size - c->out_n)
                                errx(2, "a frame of %zd bytes", n);
                        memcpy(c->out + c->out_n, p, (size_t)n);
                        c->out_n += (size_t)n;
                }
                if (n < 0)
                        return false;
                c->wants_write = c->out_at < c->out_n;
                if (!c->wants_write)
                        return true;
                n = socket_move(c, true, c->out + c->out_at, c->out_n - c->out_at);
                if (n <= 0)
                        return n == 0;
                c->out_at += (size_t)n;
        }
}

static bool
turn(struct conn *c, bool readable)
{
        /* Two rounds, then the other connections. */
        for (int i = 0; readable && i < 2; i++) {
                ssize_t n = socket_move(c, false, c->in, READ_SIZE);

                c->now = now_us();
                if (n < 0)
                        return false;
                if (n == 0)
                        break;
                if (nghttp2_session_mem_recv(c->session, c->in, (size_t)n) != n)
                        return false;
        }
        /* Bytes that TLS holds are not seen by epoll. */
        while (readable && c->ssl && SSL_pending(c->ssl)) {
                ssize_t n = socket_move(c, false, c->in, READ_SIZE);

                if (n <= 0 || nghttp2_session_mem_recv(c->session, c->in, (size_t)n) != n)
                        return n == 0;
        }
        return send_out(c);
}

bool
conn_turn(struct conn *c, bool readable)
{
        c->now = now_us();
        wake(c);
        if (turn(c, readable))
                return true;
        fail(c->run, "connection lost with %u streams", c->live);
        c->run->failed += c->live;
        c->run->ended += c->live;
        return false;
}
