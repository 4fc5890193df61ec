/* admin.c - see admin.h. A machine of its own for GET and HEAD: evhttp lets a byte-a-second head
 * live on and accepts 500 idle connections (measured), so the guards of decisions 7 stand here:
 * head <= 8 KiB within 5 s, no request body, 64 connections, absolute deadlines. */
#include "daemon/admin.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "base/status.h"
#include "daemon/acceptor.h"
#include "daemon/span.h"

#define HEAD_MAX 8192
#define CONNECTIONS_MAX 64
#define HEAD_SECONDS 5
#define ANSWER_SECONDS 30

struct client {
        struct admin *a;
        struct client *next, *prev;
        struct bufferevent *bev;
        struct event *deadline;
        bool answering;
};

struct admin {
        struct event_base *base;
        struct acceptor *acceptor;
        const struct admin_page *pages;
        size_t n, count;
        void *ctx;
        struct client *clients;
};

static void
client_free(struct client *c)
{
        if (c->prev)
                c->prev->next = c->next;
        else
                c->a->clients = c->next;
        if (c->next)
                c->next->prev = c->prev;
        c->a->count--;
        event_free(c->deadline);
        bufferevent_free(c->bev);
        free(c);
}

static const char *
reason(int code)
{
        static const struct {
                int code;
                const char *text;
        } table[] = { { 200, "OK" }, { 400, "Bad Request" }, { 404, "Not Found" },
                { 405, "Method Not Allowed" }, { 431, "Request Header Fields Too Large" },
                { 503, "Service Unavailable" } };

        for (size_t i = 0; i < ARRAY_LEN(table); i++)
                if (table[i].code == code)
                        return table[i].text;
        return "Internal Server Error";
}

static void
respond(struct client *c, int code, const char *type, struct epp_slice body, bool head)
{
        struct evbuffer *out = bufferevent_get_output(c->bev);
        struct timeval tv = { ANSWER_SECONDS, 0 };

        c->answering = true;
        bufferevent_disable(c->bev, EV_READ);
        evtimer_add(c->deadline, &tv);
        evbuffer_add_printf(out,
                "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s"
                "X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n"
                "Connection: close\r\n\r\n",
                code, reason(code), type, body.n, code == 405 ? "Allow: GET, HEAD\r\n" : "");
        if (!head)
                evbuffer_add(out, body.p, body.n);
}

static void
respond_text(struct client *c, int code, const char *text)
{
        respond(c, code, "text/plain; charset=utf-8", epp_slice_str(text), false);
}

/* A body, or framing that proxies read differently, is refused. */
static bool
has_body(struct epp_slice head)
{
        while (head.n) {
                struct epp_slice value = epp_slice_cut(&head, '\n'),
                        name = epp_slice_cut(&value, ':');

                if (value.n && value.p[value.n - 1] == '\r')
                        value.n--;
                if (epp_slice_ieq(epp_slice_trim(name), EPP_SLICE("transfer-encoding")))
                        return true;
                if (epp_slice_ieq(epp_slice_trim(name), EPP_SLICE("content-length")) &&
                        !epp_slice_eq(epp_slice_trim(value), EPP_SLICE("0")))
                        return true;
        }
        return false;
}

static void
serve_page(struct client *c, struct epp_slice target, bool head)
{
        struct admin_reply r = { .code = 200, .type = "text/plain; charset=utf-8" };
        struct span span = span_begin(SPAN_ADMIN);
        struct admin_request q = { .query = target };

        q.path = epp_slice_cut(&q.query, '?');
        for (size_t i = 0; i < c->a->n; i++) {
                if (!epp_slice_eq(q.path, epp_slice_str(c->a->pages[i].path)))
                        continue;
                c->a->pages[i].render(c->a->ctx, &q, &r);
                respond(c, r.code, r.type, epp_buf_slice(&r.body), head);
                epp_buf_fini(&r.body);
                span_end(SPAN_ADMIN, span);
                return;
        }
        respond_text(c, 404, "no such page\n");
}

static void
serve_head(struct client *c, struct epp_slice text)
{
        struct epp_slice rest = text, line = epp_slice_cut(&rest, '\n'), method, target;

        if (line.n && line.p[line.n - 1] == '\r')
                line.n--;
        method = epp_slice_cut(&line, ' ');
        target = epp_slice_cut(&line, ' ');
        if (!epp_slice_eq(line, EPP_SLICE("HTTP/1.1")) &&
                !epp_slice_eq(line, EPP_SLICE("HTTP/1.0"))) {
                respond_text(c, 400, "not an HTTP/1.x request\n");
                return;
        }
        if (has_body(rest)) {
                respond_text(c, 400, "a request body is not taken here\n");
                return;
        }
        if (epp_slice_eq(method, EPP_SLICE("GET")))
                serve_page(c, target, false);
        else if (epp_slice_eq(method, EPP_SLICE("HEAD")))
                serve_page(c, target, true);
        else
                respond_text(c, 405, "only GET and HEAD\n");
}

static void
on_read(struct bufferevent *bev, void *user)
{
        struct client *c = user;
        struct evbuffer *in = bufferevent_get_input(bev);
        struct evbuffer_ptr end = evbuffer_search(in, "\r\n\r\n", 4, NULL);
        const unsigned char *head;
        size_t n;

        if (c->answering)
                return;
        if (end.pos < 0) {
                if (evbuffer_get_length(in) >= HEAD_MAX)
                        respond_text(c, 431, "request head over 8 KiB\n");
                return;
        }
        n = (size_t)end.pos + 2;
        if (n > HEAD_MAX) {
                respond_text(c, 431, "request head over 8 KiB\n");
                return;
        }
        head = evbuffer_pullup(in, end.pos + 2);
        if (head)
                serve_head(c, epp_slice(head, n));
        else
                client_free(c); /* no memory */
}

static void
on_written(struct bufferevent *bev, void *user)
{
        struct client *c = user;

        if (c->answering && evbuffer_get_length(bufferevent_get_output(bev)) == 0)
                client_free(c);
}

static void
on_event(struct bufferevent *bev, short what, void *user)
{
        (void)bev;
        if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
                client_free(user);
}

static void
on_deadline(evutil_socket_t fd, short what, void *user)
{
        (void)fd, (void)what;
        client_free(user);
}

static void
on_accept(void *user, int fd, const struct sockaddr *sa)
{
        struct admin *a = user;
        struct timeval tv = { HEAD_SECONDS, 0 };
        struct client *c;

        (void)sa;
        c = a->count < CONNECTIONS_MAX ? calloc(1, sizeof(*c)) : NULL;
        if (!c) {
                evutil_closesocket(fd);
                return;
        }
        c->a = a;
        c->deadline = evtimer_new(a->base, on_deadline, c);
        c->bev = c->deadline ? bufferevent_socket_new(a->base, fd, BEV_OPT_CLOSE_ON_FREE) : NULL;
        if (!c->bev) {
                if (c->deadline)
                        event_free(c->deadline);
                free(c);
                evutil_closesocket(fd);
                return;
        }
        c->next = a->clients;
        if (c->next)
                c->next->prev = c;
        a->clients = c;
        a->count++;
        evtimer_add(c->deadline, &tv);
        bufferevent_setwatermark(c->bev, EV_READ, 0, HEAD_MAX + 4);
        bufferevent_setcb(c->bev, on_read, on_written, on_event, c);
        bufferevent_enable(c->bev, EV_READ | EV_WRITE);
}

int
admin_new(struct event_base *base, const char *address, unsigned port,
        const struct admin_page *pages, size_t n, void *ctx, const struct epp_log *log,
        struct admin **ret)
{
        struct admin *a = calloc(1, sizeof(*a));
        struct acceptor_config door = { address, port, 128, on_accept, a, log };
        int r;

        if (!a)
                return -ENOMEM;
        *a = (struct admin){ .base = base, .pages = pages, .n = n, .ctx = ctx };
        r = acceptor_new(base, &door, &a->acceptor);
        if (r < 0) {
                free(a);
                return r;
        }
        *ret = a;
        return 0;
}

unsigned
admin_port(const struct admin *a)
{
        return acceptor_port(a->acceptor);
}

void
admin_free(struct admin *a)
{
        if (!a)
                return;
        while (a->clients)
                client_free(a->clients);
        acceptor_free(a->acceptor);
        free(a);
}
