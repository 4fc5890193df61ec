/* admin.c - see admin.h. A machine of its own for GET and HEAD: evhttp lets a byte-a-second head
 * live on and accepts 500 idle connections (measured), so the guards of decisions 7 stand here.
 *
 *     FIRST   the first byte tells TLS from clear text    \  together HEAD_MS,
 *     HEAD    up to its empty line, 8 KiB                 /  with the TLS handshake
 *     REVIEW  may it? only where a token must be reviewed
 *     TURN    waits until pages of others have had their piece
 *     ANSWER  the peer reads; a piece is made whenever little is left of the last
 *     LINGER  the peer is let see the end: closing on unread input would reset it
 *
 * A reader must take WINDOW_BYTES (or all) in each WINDOW_MS, about 8 KiB/s, and be done after
 * ANSWER_MS: 10 MB need 35 KiB/s. What waits for it here is one piece, and 128 KiB in the kernel.
 * When all places are taken the peer that has kept still for longest gives its to the next. */
#include "daemon/admin.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/status.h"
#include "daemon/acceptor.h"
#include "daemon/auth.h"
#include "daemon/conn_addr.h"
#include "daemon/loop.h"
#include "daemon/peers.h"
#include "daemon/span.h"
#include "daemon/tls.h"
#include "serve/httphead.h"

#define CONNECTIONS_MAX 64
#define HEAD_MS 5000
#define WINDOW_MS 10000
#define WINDOW_BYTES 32768
#define ANSWER_MS 300000
#define LINGER_MS 1000
#define STILL_US 1000000    /* who moved more recently keeps its place */
#define LOW (16 << 10)      /* with so much left to send the next piece is made */
#define SOCKET_BYTES 65536  /* the kernel takes twice as much */
#define REST 4 /* after a piece pages rest for so many times as long: a fifth of the loop's time */
#define TEXT "text/plain; charset=utf-8"

enum state { FIRST, HEAD, REVIEW, TURN, ANSWER, LINGER };

struct client {
        struct admin *a;
        struct client *next, *prev;
        struct client *later; /* in the queue of turns */
        bool queued;
        enum state state;
        struct event *first; /* in FIRST, when bev is not there yet */
        struct bufferevent *bev;
        struct event *deadline;
        epp_us moved; /* came, or took something */

        bool loopback;
        char peer[INET6_ADDRSTRLEN];
        char *text; /* of the head; <q> points into it */
        struct epp_httphead q;
        const struct admin_page *page;
        struct auth_wait wait;

        struct admin_reply reply;
        bool chunked;
        epp_us until;        /* of the answer */
        size_t put, taken;   /* bytes for the peer, and those it had at the last window's end */
};

struct admin {
        struct event_base *base;
        struct admin_config cfg;
        struct acceptor *acceptor;
        struct client *clients;
        size_t count;
        struct event *turn;
        struct client *queue, **queue_end;
        epp_us rest_until;
        struct peers named; /* whose mistake was told */
};

/* ---- ends ---- */

/* The page's state is not needed any longer. */
static void
end_reply(struct client *c)
{
        void (*done)(void *state) = c->reply.done;

        epp_buf_fini(&c->reply.body);
        c->reply.more = NULL;
        c->reply.done = NULL;
        if (done)
                done(c->reply.state);
}

static size_t
unsent(const struct client *c)
{
        return evbuffer_get_length(bufferevent_get_output(c->bev));
}

/* A reset instead of an end: an answer that is not whole must not look so. */
static void
reset_on_close(const struct client *c)
{
        struct linger now = { 1, 0 };

        if (c->state == ANSWER && (c->reply.more || unsent(c)))
                setsockopt(bufferevent_getfd(c->bev), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

static void
leave_queue(struct client *c)
{
        struct client **at = &c->a->queue;

        if (!c->queued)
                return;
        while (*at != c)
                at = &(*at)->later;
        *at = c->later;
        if (c->a->queue_end == &c->later)
                c->a->queue_end = at;
        c->queued = false;
}

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
        leave_queue(c);
        if (c->state == REVIEW)
                auth_leave(&c->wait);
        if (c->first) {
                evutil_closesocket(event_get_fd(c->first));
                event_free(c->first);
        }
        if (c->bev) {
                reset_on_close(c);
                bufferevent_free(c->bev);
        }
        end_reply(c);
        event_free(c->deadline);
        free(c->text);
        free(c);
}

static void
set_deadline(struct client *c, unsigned ms)
{
        struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

        evtimer_add(c->deadline, &tv);
}

static void
linger(struct client *c)
{
        struct evbuffer *in = bufferevent_get_input(c->bev);

        c->state = LINGER;
        evbuffer_drain(in, evbuffer_get_length(in)); /* full, it would not let read */
        tls_end(c->bev);
        shutdown(bufferevent_getfd(c->bev), SHUT_WR);
        set_deadline(c, LINGER_MS);
        bufferevent_enable(c->bev, EV_READ);
}

/* ---- answers ---- */

static const char *
reason(int code)
{
        static const struct {
                int code;
                const char *text;
        } table[] = { { 200, "OK" }, { 400, "Bad Request" }, { 401, "Unauthorized" },
                { 403, "Forbidden" }, { 404, "Not Found" }, { 405, "Method Not Allowed" },
                { 406, "Not Acceptable" }, { 408, "Request Timeout" }, { 414, "URI Too Long" },
                { 431, "Request Header Fields Too Large" }, { 500, "Internal Server Error" },
                { 503, "Service Unavailable" }, { 505, "HTTP Version Not Supported" } };

        for (size_t i = 0; i < ARRAY_LEN(table); i++)
                if (table[i].code == code)
                        return table[i].text;
        return "Other";
}

static void
arm_turn(struct admin *a)
{
        epp_us wait = EPP_MAX(a->rest_until - loop_now(a->base), (epp_us)0);
        struct timeval tv = { wait / 1000000, wait % 1000000 };

        evtimer_add(a->turn, &tv);
}

/* The client gets its turn, once. */
static void
queue(struct client *c)
{
        struct admin *a = c->a;

        if (c->queued)
                return;
        c->queued = true;
        c->later = NULL;
        *a->queue_end = c;
        a->queue_end = &c->later;
        if (!evtimer_pending(a->turn, NULL))
                arm_turn(a);
}

static void
free_bytes(const void *p, size_t n, void *owner)
{
        (void)p, (void)n;
        free(owner);
}

/* Moves <b> to the output, as a chunk where pieces are chunks. False: without memory. */
static bool
put_piece(struct client *c, struct epp_buf *b)
{
        struct evbuffer *out = bufferevent_get_output(c->bev);
        struct epp_slice s = epp_buf_slice(b);

        if (s.n == 0)
                return true; /* as a chunk it would be the last */
        if (c->chunked && evbuffer_add_printf(out, "%zx\r\n", s.n) < 0)
                return false;
        if (evbuffer_add_reference(out, s.p, s.n, free_bytes, b->p) < 0)
                return false;
        *b = (struct epp_buf){ .p = NULL };
        return !c->chunked || evbuffer_add(out, "\r\n", 2) == 0;
}

static bool
put_head(struct client *c)
{
        const struct admin_reply *r = &c->reply;
        struct evbuffer *out = bufferevent_get_output(c->bev);
        char length[64] = "";

        if (!r->more)
                snprintf(length, sizeof(length), "Content-Length: %zu\r\n", epp_buf_len(&r->body));
        else if (!c->q.http10)
                snprintf(length, sizeof(length), "Transfer-Encoding: chunked\r\n");
        return evbuffer_add_printf(out,
                       "HTTP/1.1 %d %s\r\nContent-Type: %s\r\n%s%sX-Content-Type-Options: "
                       "nosniff\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n",
                       r->code, reason(r->code), r->type, length,
                       r->headers ? r->headers : "") >= 0;
}

/* Sends c->reply, from its head on. */
static void
respond(struct client *c)
{
        struct admin *a = c->a;
        bool ok;

        c->state = ANSWER;
        c->moved = loop_now(a->base);
        c->until = c->moved + (epp_us)a->cfg.answer_ms * 1000;
        bufferevent_disable(c->bev, EV_READ);
        set_deadline(c, a->cfg.window_ms);
        ok = put_head(c);
        c->chunked = c->reply.more && !c->q.http10 && !c->q.head;
        if (ok && !c->q.head)
                ok = put_piece(c, &c->reply.body);
        if (!ok) {
                client_free(c);
                return;
        }
        if (c->q.head || !c->reply.more)
                end_reply(c);
        c->put = unsent(c);
}

static void
respond_text(struct client *c, int code, const char *text)
{
        c->reply = (struct admin_reply){ .code = code, .type = TEXT,
                .headers = code == 405 ? "Allow: GET, HEAD\r\n"
                         : code == 401 ? "WWW-Authenticate: Bearer\r\n" : NULL };
        if (epp_buf_append(&c->reply.body, epp_slice_str(text)) < 0)
                client_free(c);
        else
                respond(c);
}

static void
render(struct client *c)
{
        struct admin_request q = { c->q.path, c->q.query, c->q.accept };

        c->reply = (struct admin_reply){ .code = 200, .type = TEXT };
        c->page->render(c->a->cfg.ctx, &q, &c->reply);
        respond(c);
}

static void
next_piece(struct client *c)
{
        struct evbuffer *out = bufferevent_get_output(c->bev);
        size_t before = unsent(c);
        struct epp_buf b = { .p = NULL };
        int r = c->reply.more(c->reply.state, &b);
        bool ok = r >= 0 && put_piece(c, &b);

        epp_buf_fini(&b);
        if (ok && r == 0 && c->chunked)
                ok = evbuffer_add(out, "0\r\n\r\n", 5) == 0;
        if (!ok) {
                client_free(c); /* with more still set: a reset */
                return;
        }
        c->put += unsent(c) - before;
        if (r == 0)
                end_reply(c);
        if (unsent(c) == 0) { /* nothing that could be written, and call on_written */
                if (r)
                        queue(c);
                else
                        linger(c);
        }
}

/* One client's piece for each turn of the loop, and a rest in proportion. */
static void
on_turn(evutil_socket_t fd, short what, void *user)
{
        struct span span = span_begin(SPAN_ADMIN);
        struct admin *a = user;
        struct client *c = a->queue;
        epp_us now;

        (void)fd, (void)what;
        if (c) {
                leave_queue(c);
                if (c->state == TURN)
                        render(c);
                else
                        next_piece(c);
        }
        now = loop_now(a->base);
        a->rest_until = now + REST * (now - span.wall);
        if (a->queue)
                arm_turn(a);
        span_end(SPAN_ADMIN, span);
}

/* ---- requests ---- */

static void
decided(struct client *c, const struct epp_review_verdict *v)
{
        c->state = TURN;
        if (v->code != 200)
                respond_text(c, v->code, v->text);
        else if (c->page->guard == ADMIN_HEALTH)
                render(c); /* small, and asked by who restarts us */
        else
                queue(c);
}

static void
on_verdict(void *ctx, const struct epp_review_verdict *v)
{
        struct span span = span_begin(SPAN_ADMIN);

        decided(ctx, v);
        span_end(SPAN_ADMIN, span);
}

/* A name of somebody's own could be made to point here by that somebody's DNS, so that a browser on
 * this machine shows them our pages. Names without a dot cannot, nor addresses. */
static bool
foreign_host(struct epp_slice host)
{
        struct epp_slice name = epp_slice_cut(&host, ':'), local = EPP_SLICE(".localhost");
        char text[INET_ADDRSTRLEN];
        struct in_addr ip;

        if (name.n == 0 || name.p[0] == '[' || !memchr(name.p, '.', name.n))
                return false;
        if (name.n > local.n && epp_slice_ieq(epp_slice(name.p + name.n - local.n, local.n), local))
                return false;
        snprintf(text, sizeof(text), SLICE_FMT, (int)EPP_MIN(name.n, sizeof(text)), name.p);
        return inet_pton(AF_INET, text, &ip) != 1;
}

static void
serve(struct client *c)
{
        struct auth_question ask = { .loopback = c->loopback && !foreign_host(c->q.host),
                .authorization = c->q.authorization, .path = c->q.path,
                .verb = c->q.head ? "head" : "get" };
        struct epp_review_verdict v = { .code = 200 };
        const struct admin_config *cfg = &c->a->cfg;

        for (size_t i = 0; i < cfg->n_pages && !c->page; i++)
                if (epp_slice_eq(c->q.path, epp_slice_str(cfg->pages[i].path)))
                        c->page = &cfg->pages[i];
        if (!c->page) {
                respond_text(c, 404, "no such page\n");
                return;
        }
        ask.guard = c->page->guard;
        c->wait = (struct auth_wait){ .fn = on_verdict, .ctx = c };
        bufferevent_disable(c->bev, EV_READ);
        evtimer_del(c->deadline); /* the review has its own, and turns come */
        if (!cfg->auth || auth_ask(cfg->auth, &ask, &c->wait, &v))
                decided(c, &v);
        else
                c->state = REVIEW;
}

/* The head is whole: a copy of it is kept, as nothing is read any more. */
static void
take_head(struct client *c, struct epp_slice head)
{
        c->text = malloc(head.n);
        if (!c->text) {
                client_free(c);
                return;
        }
        memcpy(c->text, head.p, head.n);
        if (epp_httphead_parse(epp_slice(c->text, head.n), &c->q) > 0)
                serve(c);
}

static void
read_head(struct client *c, struct evbuffer *in)
{
        size_t n = EPP_MIN(evbuffer_get_length(in), (size_t)EPP_HTTPHEAD_MAX);
        const void *p = evbuffer_pullup(in, (ev_ssize_t)n);
        char text[128];
        int r;

        if (!p)
                return;
        r = epp_httphead_parse(epp_slice(p, n), &c->q);
        if (r > 0) {
                take_head(c, epp_slice(p, (size_t)r));
        } else if (r < 0) {
                snprintf(text, sizeof(text), "%s\n", c->q.why);
                respond_text(c, c->q.code, text);
        }
}

/* ---- sockets ---- */

static void
on_read(struct bufferevent *bev, void *user)
{
        struct evbuffer *in = bufferevent_get_input(bev);
        struct span span = span_begin(SPAN_ADMIN);
        struct client *c = user;

        if (c->state == HEAD)
                read_head(c, in);
        else if (c->state == LINGER)
                evbuffer_drain(in, evbuffer_get_length(in));
        span_end(SPAN_ADMIN, span);
}

static void
on_written(struct bufferevent *bev, void *user)
{
        struct span span = span_begin(SPAN_ADMIN);
        struct client *c = user;

        (void)bev;
        if (c->state == ANSWER) {
                c->moved = span.wall;
                if (c->reply.more)
                        queue(c);
                else if (unsent(c) == 0)
                        linger(c);
        }
        span_end(SPAN_ADMIN, span);
}

static void
on_event(struct bufferevent *bev, short what, void *user)
{
        struct span span = span_begin(SPAN_ADMIN);

        (void)bev;
        if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
                client_free(user);
        span_end(SPAN_ADMIN, span);
}

/* The end of a window: who took too little of what was there for it is too slow. */
static void
end_window(struct client *c)
{
        size_t taken = c->put - unsent(c);
        bool slow = unsent(c) && taken - c->taken < WINDOW_BYTES;

        c->taken = taken;
        if (slow || loop_now(c->a->base) >= c->until)
                client_free(c);
        else
                set_deadline(c, c->a->cfg.window_ms);
}

static void
on_deadline(evutil_socket_t fd, short what, void *user)
{
        struct span span = span_begin(SPAN_ADMIN);
        struct client *c = user;

        (void)fd, (void)what;
        if (c->state == ANSWER)
                end_window(c);
        else if (c->state == HEAD && evbuffer_get_length(bufferevent_get_input(c->bev)))
                respond_text(c, 408, "the request did not come within 5 seconds\n");
        else
                client_free(c);
        span_end(SPAN_ADMIN, span);
}

/* Says once for each peer that it speaks the wrong kind of transport. */
static void
name_mismatch(struct admin *a, const char *peer)
{
        if (peers_first(&a->named, peer))
                epp_log(a->cfg.log, EPP_LOG_WARN, "transport_mismatch", LOG_T("peer", peer),
                        LOG_N("port", admin_port(a)),
                        LOG_T("why", a->cfg.tls
                                        ? "plaintext on a TLS port: use https, or leave out "
                                          "--metrics-cert-dir"
                                        : "TLS on a plaintext port: use http, or give "
                                          "--metrics-cert-dir"));
}

/* Clear text on a TLS port gets an answer it can read, TLS on a plaintext port none. */
static void
begin(struct client *c, int fd, bool is_tls)
{
        struct admin *a = c->a;
        bool fits = is_tls == (a->cfg.tls != NULL);

        event_free(c->first);
        c->first = NULL;
        if (!fits)
                name_mismatch(a, c->peer);
        c->bev = is_tls && !fits ? NULL : tls_bufferevent(a->base, fd, is_tls ? a->cfg.tls : NULL);
        if (!c->bev) {
                evutil_closesocket(fd);
                client_free(c);
                return;
        }
        c->state = HEAD;
        bufferevent_setwatermark(c->bev, EV_READ, 0, EPP_HTTPHEAD_MAX);
        bufferevent_setwatermark(c->bev, EV_WRITE, LOW, 0);
        bufferevent_set_max_single_write(c->bev, SOCKET_BYTES);
        bufferevent_setcb(c->bev, on_read, on_written, on_event, c);
        bufferevent_enable(c->bev, EV_READ | EV_WRITE);
        if (!fits)
                respond_text(c, 400, "this port speaks TLS: https\n");
}

static void
on_first_byte(evutil_socket_t fd, short what, void *user)
{
        struct span span = span_begin(SPAN_ADMIN);
        struct client *c = user;
        unsigned char byte;

        (void)what;
        if (recv(fd, &byte, 1, MSG_PEEK) == 1)
                begin(c, fd, tls_begins(byte));
        else
                client_free(c);
        span_end(SPAN_ADMIN, span);
}

/* ---- connections ---- */

/* Frees the place of the peer that has kept still for longest, if that is long. Reviews and turns
 * are ours to end. */
static void
make_place(struct admin *a)
{
        epp_us now = loop_now(a->base);
        struct client *best = NULL;

        for (struct client *c = a->clients; c; c = c->next) {
                if (c->state == REVIEW || c->state == TURN || c->queued ||
                        (c->state != LINGER && now - c->moved < STILL_US))
                        continue;
                if (!best || c->moved < best->moved)
                        best = c;
        }
        if (best)
                client_free(best);
}

static void
set_socket(int fd)
{
        int one = 1, bytes = SOCKET_BYTES;

        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

/* As far as that goes without a place: its request may come too late to be read. */
static void
turn_away(const struct admin *a, int fd)
{
        static const char text[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: " TEXT
                "\r\nContent-Length: 21\r\nRetry-After: 1\r\nConnection: close\r\n\r\n"
                "too many connections\n";

        if (!a->cfg.tls)
                (void)!send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        evutil_closesocket(fd);
}

static struct client *
client_new(struct admin *a, int fd, const struct sockaddr *sa)
{
        struct client *c = calloc(1, sizeof(*c));

        if (!c)
                return NULL;
        *c = (struct client){ .a = a, .moved = loop_now(a->base),
                .loopback = conn_is_loopback(sa) };
        c->deadline = evtimer_new(a->base, on_deadline, c);
        c->first = event_new(a->base, fd, EV_READ, on_first_byte, c);
        if (!c->deadline || !c->first || event_add(c->first, NULL) < 0) {
                if (c->deadline)
                        event_free(c->deadline);
                if (c->first)
                        event_free(c->first);
                free(c);
                return NULL;
        }
        conn_peer(sa, c->peer);
        return c;
}

static void
on_accept(void *user, int fd, const struct sockaddr *sa)
{
        struct span span = span_begin(SPAN_ADMIN);
        struct admin *a = user;
        struct client *c;

        if (a->count >= CONNECTIONS_MAX)
                make_place(a);
        set_socket(fd);
        c = a->count < CONNECTIONS_MAX ? client_new(a, fd, sa) : NULL;
        if (c) {
                c->next = a->clients;
                if (c->next)
                        c->next->prev = c;
                a->clients = c;
                a->count++;
                set_deadline(c, a->cfg.head_ms);
        } else {
                turn_away(a, fd);
        }
        span_end(SPAN_ADMIN, span);
}

bool
admin_param(struct epp_slice query, const char *name, char *out, size_t size)
{
        return epp_httphead_param(query, name, out, size);
}

int
admin_new(struct event_base *base, const struct admin_config *cfg, struct admin **ret)
{
        struct admin *a = calloc(1, sizeof(*a));
        struct acceptor_config door = { cfg->address, cfg->port, 128, on_accept, a, cfg->log };
        int r = -ENOMEM;

        if (!a)
                return -ENOMEM;
        a->base = base;
        a->cfg = *cfg;
        a->cfg.head_ms = cfg->head_ms ? cfg->head_ms : HEAD_MS;
        a->cfg.window_ms = cfg->window_ms ? cfg->window_ms : WINDOW_MS;
        a->cfg.answer_ms = cfg->answer_ms ? cfg->answer_ms : ANSWER_MS;
        a->queue_end = &a->queue;
        a->turn = evtimer_new(base, on_turn, a);
        if (a->turn)
                r = acceptor_new(base, &door, &a->acceptor);
        if (r < 0) {
                admin_free(a);
                return r;
        }
        *ret = a;
        return 0;
}

void
admin_set_tls(struct admin *a, SSL_CTX *tls)
{
        a->cfg.tls = tls;
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
        if (a->turn)
                event_free(a->turn);
        free(a);
}
