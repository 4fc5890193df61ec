/* floor.c - the least that an ext_proc server on libevent and nghttp2 can cost: every message is
 * answered at once, nothing is parsed beyond what echoing needs, nothing is decided; one read and
 * one write per turn. eppd's figures are ratios to it. Serves one kind of peer, `load`; everything unexpected ends the process.
 *   floor [--port N] [--endpoint ADDR:PORT]      prints "listen PORT" */
#include <arpa/inet.h>
#include <err.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <signal.h>
#include <unistd.h>

#include "base/base.h"

#define HINT "x-gateway-destination-endpoint"

struct stream {
        int32_t id;
        bool answered;
        uint8_t *out, *part; /* unsent answers; a message cut by a frame */
        size_t out_n, out_at, out_size, part_n, part_size;
};

struct conn {
        struct event *in, *out;
        nghttp2_session *session;
        uint8_t *unsent; /* what the socket did not take */
        size_t unsent_n, unsent_size;
};

static uint8_t room[128 << 10];

static uint8_t headers_answer[256];
static size_t headers_answer_n;
static struct event_base *base;

static void
reserve(uint8_t **p, size_t *size, size_t want)
{
        if (want <= *size)
                return;
        *size = EPP_MAX(want, 2 * *size);
        *p = realloc(*p, *size);
        if (!*p)
                err(1, "realloc");
}

static size_t
put_varint(uint8_t *at, size_t v)
{
        size_t n = 0;

        for (; v >= 0x80; v >>= 7)
                at[n++] = (uint8_t)(v | 0x80);
        at[n++] = (uint8_t)v;
        return n;
}

static size_t
varint_size(size_t v)
{
        uint8_t ignored[10];

        return put_varint(ignored, v);
}

/* One message of <n> bytes begins: the prefix of gRPC, then the caller's bytes. */
static uint8_t *
begin_message(struct stream *s, size_t n)
{
        uint8_t *at;

        if (s->out_at == s->out_n)
                s->out_at = s->out_n = 0;
        reserve(&s->out, &s->out_size, s->out_n + 5 + n);
        at = s->out + s->out_n;
        at[0] = 0;
        for (int i = 0; i < 4; i++)
                at[1 + i] = (uint8_t)(n >> (24 - 8 * i));
        s->out_n += 5 + n;
        return at + 5;
}

/* A body answer in full duplex: kind { response { body_mutation { streamed { body, end } } } }. */
static void
answer_body(struct stream *s, unsigned kind, const uint8_t *body, size_t n, bool end)
{
        size_t streamed = (n ? 1 + varint_size(n) + n : 0) + 2 * end;
        size_t mutation = 1 + varint_size(streamed) + streamed;
        size_t common = 1 + varint_size(mutation) + mutation;
        size_t response = 1 + varint_size(common) + common;
        uint8_t *at = begin_message(s, 1 + varint_size(response) + response);

        *at++ = (uint8_t)(kind << 3 | 2);
        at += put_varint(at, response);
        *at++ = 1 << 3 | 2;
        at += put_varint(at, common);
        *at++ = 3 << 3 | 2;
        at += put_varint(at, mutation);
        *at++ = 3 << 3 | 2;
        at += put_varint(at, streamed);
        if (n) {
                *at++ = 1 << 3 | 2;
                at += put_varint(at, n);
                memcpy(at, body, n);
                at += n;
        }
        if (end)
                memcpy(at, "\x10\x01", 2);
}

static size_t
read_varint(const uint8_t **p)
{
        size_t v = 0;

        for (unsigned shift = 0;; shift += 7) {
                v |= (size_t)(**p & 0x7f) << shift;
                if (!(*(*p)++ & 0x80))
                        return v;
        }
}

/* The chunk of an HttpBody: body = 1, end_of_stream = 2. */
static void
echo(struct stream *s, unsigned kind, const uint8_t *p, size_t n)
{
        const uint8_t *end = p + n, *body = NULL;
        size_t body_n = 0;
        bool last = false;

        while (p < end) {
                unsigned tag = *p++;
                size_t v = read_varint(&p);

                if (tag == (1 << 3 | 2)) {
                        body = p;
                        body_n = v;
                        p += v;
                } else {
                        last = v;
                }
        }
        if (body_n || last)
                answer_body(s, kind, body, body_n, last);
}

static void
message(struct stream *s, const uint8_t *p)
{
        unsigned kind = *p++ >> 3;
        size_t n = read_varint(&p);

        switch (kind) {
        case 2: /* request headers */
                memcpy(begin_message(s, headers_answer_n), headers_answer, headers_answer_n);
                break;
        case 3: /* response headers */
                memcpy(begin_message(s, 2), "\x12\x00", 2);
                break;
        case 4:
                echo(s, 3, p, n);
                break;
        case 5:
                echo(s, 4, p, n);
                break;
        default:
                errx(1, "a message of kind %u", kind);
        }
}

static ssize_t
read_out(nghttp2_session *session, int32_t id, uint8_t *at, size_t n, uint32_t *flags,
        nghttp2_data_source *source, void *user)
{
        struct stream *s = source->ptr;
        size_t take = EPP_MIN(n, s->out_n - s->out_at);

        (void)session, (void)id, (void)flags, (void)user;
        if (!take)
                return NGHTTP2_ERR_DEFERRED;
        memcpy(at, s->out + s->out_at, take);
        s->out_at += take;
        return (ssize_t)take;
}

static void
send_answers(nghttp2_session *session, struct stream *s)
{
        nghttp2_nv f[] = { { (uint8_t *)(uintptr_t)":status", (uint8_t *)(uintptr_t)"200", 7, 3, 0 },
                { (uint8_t *)(uintptr_t)"content-type", (uint8_t *)(uintptr_t)"application/grpc", 12,
                        16, 0 } };
        nghttp2_data_provider data = { { .ptr = s }, read_out };

        if (s->out_at == s->out_n)
                return;
        if (s->answered)
                nghttp2_session_resume_data(session, s->id);
        else
                nghttp2_submit_response(session, s->id, f, 2, &data);
        s->answered = true;
}

static int
on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *user)
{
        struct stream *s = nghttp2_session_get_stream_user_data(session, id);

        (void)flags, (void)user;
        if (!s)
                return 0;
        while (n) {
                const uint8_t *head = s->part_n ? s->part : p;
                size_t have = s->part_n ? s->part_n : n, take;
                size_t size = have < 5 ? 0 : 5 + ((size_t)head[1] << 24 | (size_t)head[2] << 16 |
                                (size_t)head[3] << 8 | head[4]);

                if (!s->part_n && size && size <= n) {
                        message(s, p + 5);
                        p += size, n -= size;
                        continue;
                }
                take = size ? EPP_MIN(n, size - s->part_n) : EPP_MIN(n, 5 - s->part_n);
                reserve(&s->part, &s->part_size, EPP_MAX(size, s->part_n + take));
                memcpy(s->part + s->part_n, p, take);
                s->part_n += take;
                p += take, n -= take;
                if (size && s->part_n == size) {
                        s->part_n = 0;
                        message(s, s->part + 5);
                }
        }
        send_answers(session, s);
        return 0;
}

static int
on_begin(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
        struct stream *s = calloc(1, sizeof(*s));

        (void)user;
        if (!s)
                err(1, "calloc");
        s->id = frame->hd.stream_id;
        nghttp2_session_set_stream_user_data(session, s->id, s);
        return 0;
}

static int
on_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
        struct stream *s = nghttp2_session_get_stream_user_data(session, id);

        (void)code, (void)user;
        if (s) {
                free(s->out);
                free(s->part);
                free(s);
        }
        return 0;
}

static void
flush(struct conn *c)
{
        const uint8_t *p;
        ssize_t n;

        while (c->unsent_n < 256 << 10 && (n = nghttp2_session_mem_send(c->session, &p)) > 0) {
                reserve(&c->unsent, &c->unsent_size, c->unsent_n + (size_t)n);
                memcpy(c->unsent + c->unsent_n, p, (size_t)n);
                c->unsent_n += (size_t)n;
        }
        if (!c->unsent_n)
                return;
        n = send(event_get_fd(c->in), c->unsent, c->unsent_n, MSG_NOSIGNAL);
        if (n > 0) {
                c->unsent_n -= (size_t)n;
                memmove(c->unsent, c->unsent + n, c->unsent_n);
        }
        if (c->unsent_n || nghttp2_session_want_write(c->session))
                event_add(c->out, NULL);
}

static void
on_writable(evutil_socket_t fd, short what, void *user)
{
        (void)fd, (void)what;
        flush(user);
}

static void
on_readable(evutil_socket_t fd, short what, void *user)
{
        struct conn *c = user;
        ssize_t n = recv(fd, room, sizeof(room), 0);

        (void)what;
        if (n > 0) {
                if (nghttp2_session_mem_recv(c->session, room, (size_t)n) < 0)
                        errx(1, "not HTTP/2");
                flush(c);
                return;
        }
        event_free(c->in);
        event_free(c->out);
        nghttp2_session_del(c->session);
        free(c->unsent);
        free(c);
        close(fd);
}

static void
on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int n, void *user)
{
        nghttp2_settings_entry set[] = { { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 20 },
                { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 100000 } };
        nghttp2_session_callbacks *cb;
        nghttp2_option *opt;
        struct conn *c = calloc(1, sizeof(*c));
        int one = 1;

        (void)l, (void)sa, (void)n, (void)user;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        if (!c || nghttp2_session_callbacks_new(&cb) || nghttp2_option_new(&opt))
                err(1, "memory");
        nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
        nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
        nghttp2_option_set_no_closed_streams(opt, 1);
        nghttp2_option_set_stream_reset_rate_limit(opt, (uint64_t)1 << 62, (uint64_t)1 << 62);
        if (nghttp2_session_server_new2(&c->session, cb, c, opt) ||
                nghttp2_submit_settings(c->session, 0, set, ARRAY_LEN(set)) ||
                nghttp2_session_set_local_window_size(c->session, 0, 0, 16 << 20))
                errx(1, "nghttp2");
        nghttp2_option_del(opt);
        nghttp2_session_callbacks_del(cb);
        c->in = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, c);
        c->out = event_new(base, fd, EV_WRITE, on_writable, c);
        event_add(c->in, NULL);
        flush(c);
}

/* headers { response { header_mutation { set_headers { header { key, raw_value } } } } } */
static void
make_headers_answer(const char *endpoint)
{
        static const unsigned tags[] = { 1 << 3 | 2, 1 << 3 | 2, 2 << 3 | 2, 1 << 3 | 2, 1 << 3 | 2 };
        uint8_t inner[200], outer[200];
        size_t n = 0, k = strlen(HINT), v = strlen(endpoint);

        inner[n++] = 1 << 3 | 2;
        n += put_varint(inner + n, k);
        memcpy(inner + n, HINT, k);
        n += k;
        inner[n++] = 3 << 3 | 2;
        n += put_varint(inner + n, v);
        memcpy(inner + n, endpoint, v);
        n += v;
        for (size_t i = ARRAY_LEN(tags); i--;) {
                size_t m = 0;

                outer[m++] = (uint8_t)tags[i];
                m += put_varint(outer + m, n);
                memcpy(outer + m, inner, n);
                n += m;
                memcpy(inner, outer, n);
        }
        memcpy(headers_answer, inner, n);
        headers_answer_n = n;
}

int
main(int argc, char **argv)
{
        static const struct option options[] = { { "port", 1, NULL, 'p' },
                { "endpoint", 1, NULL, 'e' }, { NULL, 0, NULL, 0 } };
        struct sockaddr_in sin = { .sin_family = AF_INET,
                .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        const char *endpoint = "127.0.0.1:8000";
        socklen_t n = sizeof(sin);
        struct evconnlistener *l;
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
                if (c == 'p')
                        sin.sin_port = htons((uint16_t)strtoul(optarg, NULL, 10));
                else if (c == 'e' && strlen(optarg) < 64)
                        endpoint = optarg;
                else
                        errx(2, "usage: floor [--port N] [--endpoint ADDR:PORT]");
        }
        signal(SIGPIPE, SIG_IGN);
        make_headers_answer(endpoint);
        base = event_base_new();
        l = base ? evconnlistener_new_bind(base, on_accept, NULL,
                LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_FREE, 128, (struct sockaddr *)&sin, sizeof(sin))
                 : NULL;
        if (!l || getsockname(evconnlistener_get_fd(l), (struct sockaddr *)&sin, &n) < 0)
                err(1, "cannot listen");
        printf("listen %u\n", ntohs(sin.sin_port));
        fflush(stdout);
        event_base_dispatch(base);
        return 0;
}
