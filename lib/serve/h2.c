/* h2.c - see h2.h. Windows, reset limits and frame rules: the numbers and why stand beside them. */
#include "serve/h2.h"

#include <nghttp2/nghttp2.h>
#include <stddef.h>

#include "base/slab.h"

#define STREAM_WINDOW (1 << 20)      /* a prompt of 1 MiB without a round trip */
#define CONNECTION_WINDOW (16 << 20) /* thousands of streams share one connection */
#define HEADER_LIST_MAX (64 << 10)   /* of the gRPC request itself */
#define QUEUE_HIGH (1u << 20)        /* unsent bytes of a call from which its peer must wait */
#define QUEUE_ALL (256u << 20)       /* unsent bytes of all calls together */
#define MORE_AT (64u << 10)          /* unsent bytes at which a promise is redeemed */
/* Calls at once on one connection. A request to a model holds one for its whole life and gateways
 * have been seen to allow 40,000; a call that says nothing takes 1.5 KB. */
#define CALLS_MAX 100000
#define TEXT_MAX 512
#define SPARES 64            /* empty buffers kept, ... */
#define SPARE_ALL (1u << 20) /* ... and the most they take while there are calls */
#define SPARE_IDLE (64u << 10)
#define SILENCE_US 60000000          /* then a PING */
#define PING_US 20000000             /* and as long for its answer */
/* Streams reset before their first message, per second: gateways do that when clients leave at
 * once; far above any real rate it is the rapid-reset attack. */
#define EARLY_RESETS_MAX 10000
#define FRAME_HEAD 9
#define AGE_PING "goaway-1"          /* 8 bytes: its answer says that the peer knows */

struct epp_rpc {
        struct epp_h2 *h;
        struct epp_rpc *next, *prev;
        int32_t id;
        const struct epp_rpc_handler *handler;
        void *user;
        bool open, post, grpc_type, alien_encoding, bad_timeout, answered, finished, half_closed;
        bool spoke;          /* a message came */
        epp_us wake;         /* 0: never */
        size_t header_bytes;
        struct epp_slice path;
        struct epp_grpc_in in;
        struct epp_buf out;
        size_t promised; /* bytes that handler->more will send; unsent, too */
        size_t owed; /* bytes received while too much was unsent: no window for them yet */
        epp_us moved; /* when the peer last took bytes of out, or out began to fill */
        int code;
        size_t text_n;
        /* From here on not cleared when a call begins. */
        char path_text[128], text[TEXT_MAX];
};

struct epp_h2 {
        nghttp2_session *session;
        const struct epp_rpc_handler *handlers;
        size_t n;
        struct epp_h2_stats *stats;
        struct epp_rpc *calls;
        size_t count;
        size_t queued; /* unsent bytes of all calls, with those promised */
        struct epp_buf spare[SPARES]; /* empty, see let_go */
        unsigned n_spare;
        size_t spare_bytes;
        struct epp_slab ended; /* calls, for the next ones */
        char *room;           /* of epp_h2_drain, while it runs: what is left */
        size_t room_n;
        epp_us now, heard, pinged; /* pinged: an answer is due, 0 = none */
        epp_us wake;               /* the earliest of the calls', or earlier */
        unsigned early_resets;     /* within the second that began at early_since */
        epp_us early_since;
        epp_us leave_at;           /* of epp_h2_age; 0: never, or asked already */
        /* What the peer was told then; ASKED: the PING behind it is out. */
        enum { STAYS, ANNOUNCED, ASKED } leaving;
        bool abusive;
        bool broken; /* memory was short where a peer would wait for ever: the connection must go */
};

/* Not even an answer could be queued: the call is reset, or else the connection has to end. */
static void
drop(struct epp_rpc *rpc)
{
        rpc->finished = true;
        if (nghttp2_submit_rst_stream(rpc->h->session, NGHTTP2_FLAG_NONE, rpc->id,
                    NGHTTP2_INTERNAL_ERROR) != 0)
                rpc->h->broken = true;
}

/* There is something to read for the peer. */
static void
wake(struct epp_rpc *rpc)
{
        if (nghttp2_is_fatal(nghttp2_session_resume_data(rpc->h->session, rpc->id)))
                drop(rpc);
}

static nghttp2_nv
nv(const char *name, const char *value, size_t n)
{
        return (nghttp2_nv){ (uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                n, NGHTTP2_NV_FLAG_NO_COPY_NAME };
}

/* Fills status trailers into <out>; returns how many. */
static size_t
status_fields(struct epp_rpc *rpc, char code[2], nghttp2_nv *out)
{
        size_t n = 0;

        if (rpc->code >= 10) /* below EPP_GRPC_CODES: two digits */
                code[n++] = (char)('0' + rpc->code / 10);
        code[n++] = (char)('0' + rpc->code % 10);
        out[0] = nv("grpc-status", code, n);
        if (!rpc->text_n)
                return 1;
        out[1] = nv("grpc-message", rpc->text, rpc->text_n);
        return 2;
}

/* A single HEADERS frame with END_STREAM: an answer without any message. */
static void
trailers_only(struct epp_rpc *rpc, const char *http)
{
        nghttp2_nv f[4];
        char code[2];

        f[0] = nv(":status", http, 3);
        f[1] = nv("content-type", "application/grpc", 16);
        rpc->answered = true;
        if (nghttp2_submit_response(rpc->h->session, rpc->id, f,
                    2 + status_fields(rpc, code, f + 2), NULL) != 0)
                drop(rpc);
}

/* A call has a buffer while data is in flight only; those let go are the next ones', so that they
 * do not grow from nothing each time. */
static void
let_go(struct epp_rpc *rpc)
{
        struct epp_h2 *h = rpc->h;

        if (rpc->out.p && h->n_spare < SPARES && h->spare_bytes + rpc->out.size <= SPARE_ALL) {
                h->spare_bytes += rpc->out.size;
                h->spare[h->n_spare++] = rpc->out;
                rpc->out = (struct epp_buf){ .cap = rpc->out.cap };
        } else {
                epp_buf_fini(&rpc->out);
        }
}

/* What waits is not sent any more. */
static void
drop_out(struct epp_rpc *rpc)
{
        epp_grave_bury(rpc->handler ? rpc->handler->grave : NULL, rpc->out.p, rpc->out.size);
        rpc->out = (struct epp_buf){ .cap = rpc->out.cap };
}

static void
take_spare(struct epp_rpc *rpc)
{
        struct epp_h2 *h = rpc->h;
        size_t cap = rpc->out.cap;

        if (rpc->out.p || !h->n_spare)
                return;
        rpc->out = h->spare[--h->n_spare];
        h->spare_bytes -= rpc->out.size;
        rpc->out.cap = cap;
}

static void
free_spares(struct epp_h2 *h, size_t most)
{
        while (h->n_spare && h->spare_bytes > most) {
                h->spare_bytes -= h->spare[--h->n_spare].size;
                epp_buf_fini(&h->spare[h->n_spare]);
        }
}

/* Of answers that are not with nghttp2. */
static size_t
unsent(const struct epp_rpc *rpc)
{
        return epp_buf_len(&rpc->out) + rpc->promised;
}

/* The payload of a DATA frame. While there is room it is written to its place in the caller's and
 * send_data puts the head before it: a copy less for each byte. The last frame that fits goes
 * through nghttp2's buffer <at>. */
static ssize_t
read_out(nghttp2_session *session, int32_t id, uint8_t *at, size_t n, uint32_t *flags,
        nghttp2_data_source *source, void *user)
{
        struct epp_rpc *rpc = source->ptr;
        struct epp_h2 *h = user;
        size_t take = EPP_MIN(n, epp_buf_len(&rpc->out));

        if (take && h->room_n >= FRAME_HEAD + take + EPP_H2_ROOM) {
                at = (uint8_t *)h->room + FRAME_HEAD;
                *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
        }
        if (take) {
                memcpy(at, epp_buf_slice(&rpc->out).p, take);
                epp_buf_drain(&rpc->out, take);
                rpc->h->queued -= take;
                rpc->moved = rpc->h->now;
        }
        if (rpc->promised && !rpc->finished && epp_buf_len(&rpc->out) <= MORE_AT)
                rpc->handler->more(rpc->user, h->now);
        if (rpc->owed && epp_buf_len(&rpc->out) <= QUEUE_HIGH) {
                nghttp2_session_consume_stream(session, id, rpc->owed);
                rpc->owed = 0;
        }
        if (epp_buf_len(&rpc->out) == 0) {
                let_go(rpc);
                if (rpc->finished) {
                        nghttp2_nv f[2];
                        char code[2];

                        *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
                        if (nghttp2_submit_trailer(session, id, f,
                                    status_fields(rpc, code, f)) != 0)
                                return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* resets the call */
                } else if (!take) {
                        return NGHTTP2_ERR_DEFERRED; /* Envoy counts empty frames */
                }
        }
        return (ssize_t)take;
}

/* Follows read_out at once. */
static int
send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t n,
        nghttp2_data_source *source, void *user)
{
        struct epp_h2 *h = user;

        (void)session, (void)frame, (void)source;
        memcpy(h->room, head, FRAME_HEAD);
        h->room += FRAME_HEAD + n;
        h->room_n -= FRAME_HEAD + n;
        return 0;
}

void
epp_rpc_wake(struct epp_rpc *rpc, epp_us at)
{
        rpc->wake = at;
        if (at && (!rpc->h->wake || at < rpc->h->wake))
                rpc->h->wake = at;
}

void
epp_rpc_set_user(struct epp_rpc *rpc, void *user)
{
        rpc->user = user;
}

/* The peer lets answers lie: what waits is dropped and the call with it. */
static void
give_up(struct epp_rpc *rpc)
{
        rpc->h->stats->stalled++;
        rpc->h->queued -= unsent(rpc);
        rpc->promised = 0;
        drop_out(rpc);
        rpc->finished = true;
        nghttp2_submit_rst_stream(rpc->h->session, NGHTTP2_FLAG_NONE, rpc->id,
                NGHTTP2_ENHANCE_YOUR_CALM);
}

/* Whether <a> rather than <b> is left unread by the peer: its window is shut, or it moved longer
 * ago. A call with an open window waits for the socket, as all calls do. */
static bool
is_idler(const struct epp_rpc *a, const struct epp_rpc *b)
{
        bool a_shut = nghttp2_session_get_stream_remote_window_size(a->h->session, a->id) == 0;
        bool b_shut = nghttp2_session_get_stream_remote_window_size(b->h->session, b->id) == 0;

        return a_shut != b_shut ? a_shut : a->moved < b->moved;
}

/* Keeps the unsent bytes of all calls below QUEUE_ALL, at the cost of the calls that the peer
 * leaves unread. Returns false when that was <rpc>. One call alone may have more. */
static bool
make_room(struct epp_rpc *rpc, size_t size)
{
        struct epp_h2 *h = rpc->h;

        while (h->queued > unsent(rpc) && h->queued + size > QUEUE_ALL) {
                struct epp_rpc *idle = NULL;

                for (struct epp_rpc *r = h->calls; r; r = r->next)
                        if (unsent(r) && (!idle || is_idler(r, idle)))
                                idle = r;
                give_up(idle);
                if (idle == rpc)
                        return false;
        }
        return true;
}

/* The peer has something to read that it had not: the answer begins, or goes on. */
static void
show(struct epp_rpc *rpc)
{
        nghttp2_nv f[2] = { nv(":status", "200", 3), nv("content-type", "application/grpc", 16) };
        nghttp2_data_provider data = { { .ptr = rpc }, read_out };

        if (rpc->answered) {
                wake(rpc);
                return;
        }
        rpc->answered = true;
        if (nghttp2_submit_response(rpc->h->session, rpc->id, f, 2, &data) != 0)
                drop(rpc);
}

static size_t
sum(const struct epp_slice *v, size_t n)
{
        size_t size = 0;

        for (size_t i = 0; i < n; i++)
                size += v[i].n;
        return size;
}

/* Queues <size> bytes of <v>, behind the prefix of a message of <message> bytes unless it is
 * NULL. */
static int
queue(struct epp_rpc *rpc, const struct epp_slice *v, size_t n, size_t size, const size_t *message)
{
        bool idle = epp_buf_len(&rpc->out) == 0;
        size_t all = size + (message ? EPP_GRPC_PREFIX : 0);
        char *at;
        int r;

        if (rpc->finished)
                return 0;
        if (!make_room(rpc, all))
                return EPP_ETOOBIG;
        take_spare(rpc);
        r = epp_buf_reserve(&rpc->out, all, &at);
        if (r == EPP_ETOOBIG)
                give_up(rpc);
        if (r < 0)
                return r;
        if (message) {
                epp_grpc_prefix(at, *message);
                at += EPP_GRPC_PREFIX;
        }
        for (size_t i = 0; i < n; i++) {
                if (v[i].n)
                        memcpy(at, v[i].p, v[i].n);
                at += v[i].n;
        }
        epp_buf_commit(&rpc->out, all);
        rpc->h->queued += all;
        if (idle) { /* else it is awake, or waits for a window */
                rpc->moved = rpc->h->now;
                show(rpc);
        }
        return 0;
}

int
epp_rpc_send_begin(struct epp_rpc *rpc, const struct epp_slice *v, size_t n, size_t rest)
{
        size_t size = sum(v, n), message = size + rest;

        return queue(rpc, v, n, size, &message);
}

int
epp_rpc_send(struct epp_rpc *rpc, const struct epp_slice *v, size_t n)
{
        return epp_rpc_send_begin(rpc, v, n, 0);
}

int
epp_rpc_send_on(struct epp_rpc *rpc, const struct epp_slice *v, size_t n)
{
        return queue(rpc, v, n, sum(v, n), NULL);
}

int
epp_rpc_promise(struct epp_rpc *rpc, size_t n)
{
        if (rpc->finished)
                return 0;
        if (n > rpc->promised && !make_room(rpc, n - rpc->promised))
                return EPP_ETOOBIG;
        rpc->h->queued = rpc->h->queued - rpc->promised + n;
        rpc->promised = n;
        return 0;
}

static void
finish_http(struct epp_rpc *rpc, const char *http, int code, struct epp_slice text)
{
        if (rpc->finished)
                return;
        rpc->finished = true;
        rpc->code = code;
        rpc->text_n = epp_grpc_quote(text, rpc->text, sizeof(rpc->text));
        if (rpc->answered)
                wake(rpc);
        else
                trailers_only(rpc, http);
}

void
epp_rpc_finish(struct epp_rpc *rpc, int code, struct epp_slice text)
{
        finish_http(rpc, "200", code, text);
}

int
epp_rpc_code(const struct epp_rpc *rpc)
{
        return rpc->finished ? rpc->code : 1;
}

static void
rpc_free(struct epp_rpc *rpc)
{
        struct epp_h2 *h = rpc->h;

        if (rpc->open && rpc->handler->closed)
                rpc->handler->closed(rpc->user, h->now);
        if (rpc->prev)
                rpc->prev->next = rpc->next;
        else
                h->calls = rpc->next;
        if (rpc->next)
                rpc->next->prev = rpc->prev;
        h->count--;
        h->queued -= unsent(rpc);
        epp_grpc_in_fini(&rpc->in);
        drop_out(rpc);
        epp_slab_give(&h->ended, rpc);
        if (h->count == 0)
                free_spares(h, SPARE_IDLE);
}

static int
on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
        struct epp_h2 *h = user;
        struct epp_rpc *rpc;

        if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
                return 0;
        rpc = epp_slab_take(&h->ended, sizeof(*rpc));
        if (!rpc)
                return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        memset(rpc, 0, offsetof(struct epp_rpc, path_text));
        rpc->h = h;
        rpc->id = frame->hd.stream_id;
        rpc->next = h->calls;
        if (h->calls)
                h->calls->prev = rpc;
        h->calls = rpc;
        h->count++;
        h->stats->streams++;
        nghttp2_session_set_stream_user_data(session, rpc->id, rpc);
        return 0;
}

static bool
is_grpc_type(struct epp_slice v)
{
        struct epp_slice base = EPP_SLICE("application/grpc");

        return epp_slice_has_prefix(v, base) &&
               (v.n == base.n || v.p[base.n] == '+' || v.p[base.n] == ';');
}

/* One to eight digits and a unit. It is checked, not enforced: Envoy's own timers rule. */
static bool
is_timeout(struct epp_slice v)
{
        if (v.n < 2 || v.n > 9 || !memchr("HMSmun", v.p[v.n - 1], 6))
                return false;
        for (size_t i = 0; i + 1 < v.n; i++)
                if (v.p[i] < '0' || v.p[i] > '9')
                        return false;
        return true;
}

static int
on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
        size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags, void *user)
{
        struct epp_rpc *rpc = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
        struct epp_slice k = epp_slice(name, name_n), v = epp_slice(value, value_n);

        (void)flags, (void)user;
        if (!rpc)
                return 0;
        rpc->header_bytes += name_n + value_n + 32;
        if (rpc->header_bytes > HEADER_LIST_MAX)
                return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        if (epp_slice_eq(k, EPP_SLICE(":method")))
                rpc->post = epp_slice_eq(v, EPP_SLICE("POST"));
        else if (epp_slice_eq(k, EPP_SLICE("content-type")))
                rpc->grpc_type = is_grpc_type(v);
        else if (epp_slice_eq(k, EPP_SLICE("grpc-timeout")))
                rpc->bad_timeout = !is_timeout(v);
        else if (epp_slice_eq(k, EPP_SLICE("grpc-encoding")))
                rpc->alien_encoding = !epp_slice_eq(v, EPP_SLICE("identity"));
        else if (epp_slice_eq(k, EPP_SLICE(":path"))) {
                size_t n = EPP_MIN(v.n, sizeof(rpc->path_text));

                memcpy(rpc->path_text, v.p, n);
                rpc->path = epp_slice(rpc->path_text, n);
        }
        return 0;
}

static const struct epp_rpc_handler *
route(const struct epp_h2 *h, struct epp_slice path, const char **why)
{
        struct epp_slice service, method = path;

        *why = "malformed method name";
        if (path.n == 0 || path.p[0] != '/')
                return NULL;
        method.p++, method.n--;
        service = epp_slice_cut(&method, '/');
        if (!method.p)
                return NULL;
        *why = "unknown service";
        for (size_t i = 0; i < h->n; i++) {
                if (!epp_slice_eq(service, epp_slice_str(h->handlers[i].service)))
                        continue;
                *why = "unknown method";
                if (epp_slice_eq(method, epp_slice_str(h->handlers[i].method)))
                        return &h->handlers[i];
        }
        return NULL;
}

static void
refuse(struct epp_rpc *rpc, const char *http, int code, const char *why)
{
        char text[TEXT_MAX];
        int n = snprintf(text, sizeof(text), "%s: \"" SLICE_FMT "\"", why, SLICE_ARG(rpc->path));

        rpc->h->stats->refused++;
        finish_http(rpc, http, code, epp_slice(text, EPP_MIN((size_t)n, sizeof(text) - 1)));
}

static void
begin_call(struct epp_rpc *rpc)
{
        struct epp_h2 *h = rpc->h;
        const char *why;
        int r;

        if (!rpc->grpc_type) {
                refuse(rpc, "415", 3, "invalid gRPC request content-type for");
                return;
        }
        if (!rpc->post) {
                refuse(rpc, "405", 13, "method must be POST for");
                return;
        }
        if (rpc->bad_timeout) {
                refuse(rpc, "400", 13, "malformed grpc-timeout for");
                return;
        }
        if (rpc->alien_encoding) {
                refuse(rpc, "200", 12, "Decompressor is not installed for the grpc-encoding of");
                return;
        }
        rpc->handler = route(h, rpc->path, &why);
        if (!rpc->handler) {
                refuse(rpc, "200", 12, why);
                return;
        }
        epp_grpc_in_init(&rpc->in, rpc->handler->max_message);
        rpc->in.announces = rpc->handler->begins != NULL;
        rpc->out.cap = rpc->handler->max_queue;
        r = rpc->handler->open(rpc->handler->ctx, rpc, h->now);
        if (r < 0)
                epp_rpc_finish(rpc, epp_status_grpc(r), epp_slice_str(epp_status_text(r)));
        else
                rpc->open = true;
}

static void
end_of_input(struct epp_rpc *rpc)
{
        rpc->half_closed = true;
        if (!rpc->open || rpc->finished)
                return;
        if (epp_grpc_in_midway(&rpc->in)) {
                rpc->h->stats->malformed++;
                epp_rpc_finish(rpc, 13, EPP_SLICE("unexpected end inside a message"));
                return;
        }
        rpc->handler->half_close(rpc->user, rpc->h->now);
}

static void
count_early_reset(struct epp_h2 *h)
{
        if (h->now - h->early_since >= 1000000) {
                h->early_since = h->now;
                h->early_resets = 0;
        }
        if (++h->early_resets > EARLY_RESETS_MAX && !h->abusive) {
                h->abusive = true;
                h->stats->abusive++;
                nghttp2_session_terminate_session(h->session, NGHTTP2_ENHANCE_YOUR_CALM);
        }
}

/* The answer to the PING behind the first GOAWAY: what the peer began before that is here. */
static void
on_ping(struct epp_h2 *h, const nghttp2_ping *ping)
{
        if (h->leaving != ASKED || !(ping->hd.flags & NGHTTP2_FLAG_ACK) ||
                memcmp(ping->opaque_data, AGE_PING, sizeof(ping->opaque_data)) != 0)
                return;
        h->leaving = STAYS;
        epp_h2_shutdown(h, true);
}

static int
on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
        struct epp_h2 *h = user;
        struct epp_rpc *rpc;

        if (frame->hd.type == NGHTTP2_PING)
                on_ping(h, &frame->ping);
        rpc = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
        if (frame->hd.type == NGHTTP2_RST_STREAM) {
                h->stats->resets++;
                if (rpc && !rpc->spoke)
                        count_early_reset(h);
        }
        if (!rpc || (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA))
                return 0;
        if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
                begin_call(rpc);
        if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
                end_of_input(rpc);
        return 0;
}

static void
framing_error(struct epp_rpc *rpc, int r)
{
        char text[96];
        int n;

        rpc->h->stats->malformed++;
        if (r == EPP_ETOOBIG) {
                if (rpc->handler->too_big &&
                        rpc->handler->too_big(rpc->user, rpc->in.want, rpc->h->now))
                        return;
                n = snprintf(text, sizeof(text), "message larger than max (%zu vs. %zu)",
                        rpc->in.want, rpc->in.max);
        } else if (r == EPP_EUNIMPL && rpc->in.flag == 1) {
                r = EPP_EINTERNAL;
                n = snprintf(text, sizeof(text),
                        "compressed flag set with identity or empty encoding");
        } else if (r == EPP_EUNIMPL) {
                r = EPP_EINTERNAL;
                n = snprintf(text, sizeof(text), "unexpected payload format %u", rpc->in.flag);
        } else {
                n = snprintf(text, sizeof(text), "%s", epp_status_text(r));
        }
        epp_rpc_finish(rpc, epp_status_grpc(r), epp_slice(text, (size_t)n));
}

/* Hands on what is in <in>. */
static void
take(struct epp_rpc *rpc, struct epp_slice in)
{
        const struct epp_rpc_handler *on = rpc->handler;
        epp_us now = rpc->h->now;
        struct epp_grpc_pass pass;
        struct epp_slice got;
        int r;

        while (!rpc->finished && (r = epp_grpc_in_next(&rpc->in, &in, &got)) != EPP_GRPC_MORE) {
                if (r == EPP_GRPC_MESSAGE) {
                        rpc->spoke = true;
                        on->message(rpc->user, got, now);
                } else if (r == EPP_GRPC_PASSES) {
                        on->bytes(rpc->user, got, now);
                } else if (r < 0) {
                        framing_error(rpc, r);
                        return;
                } else if (on->begins(rpc->user, got, rpc->in.want, &pass, now)) {
                        epp_grpc_in_pass(&rpc->in, &pass);
                }
        }
}

static int
on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t n,
        void *user)
{
        struct epp_rpc *rpc = nghttp2_session_get_stream_user_data(session, id);
        struct epp_h2 *h = user;
        int r;

        (void)flags;
        if (rpc && rpc->open)
                take(rpc, epp_slice(data, n));
        /* Back-pressure is by call: the window of the connection belongs to all of them. */
        r = nghttp2_session_consume_connection(session, n);
        if (rpc && epp_buf_len(&rpc->out) > QUEUE_HIGH)
                rpc->owed += n;
        else if (!nghttp2_is_fatal(r))
                r = nghttp2_session_consume_stream(session, id, n);
        if (nghttp2_is_fatal(r))
                h->broken = true; /* the windows would never open again */
        return 0;
}

/* An early end needs RST_STREAM(NO_ERROR) behind the trailers; submitted any earlier it
 * overtakes queued DATA and the answer is lost (measured). */
static int
on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
        struct epp_h2 *h = user;
        struct epp_rpc *rpc;

        /* Not before: a PING overtakes what is queued. */
        if (frame->hd.type == NGHTTP2_GOAWAY && h->leaving == ANNOUNCED) {
                h->leaving = ASKED;
                nghttp2_submit_ping(session, NGHTTP2_FLAG_NONE, (const uint8_t *)AGE_PING);
        }
        if (frame->hd.type != NGHTTP2_HEADERS || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
                return 0;
        rpc = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
        if (rpc && !rpc->half_closed &&
                nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, rpc->id,
                        NGHTTP2_NO_ERROR) != 0)
                h->broken = true;
        return 0;
}

static int
on_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
        struct epp_rpc *rpc = nghttp2_session_get_stream_user_data(session, id);

        (void)code, (void)user;
        if (rpc) {
                nghttp2_session_set_stream_user_data(session, id, NULL);
                rpc_free(rpc);
        }
        return 0;
}

static int
session_new(struct epp_h2 *h)
{
        nghttp2_session_callbacks *cb = NULL;
        nghttp2_option *opt = NULL;
        int r = EPP_ENOMEM;

        if (nghttp2_session_callbacks_new(&cb) || nghttp2_option_new(&opt))
                goto out;
        nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
        nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
        nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
        nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_sent);
        nghttp2_session_callbacks_set_send_data_callback(cb, send_data);
        nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
        nghttp2_option_set_no_auto_window_update(opt, 1);
        /* Without this 26 KB grow to 53 MB over 200,000 streams (measured). */
        nghttp2_option_set_no_closed_streams(opt, 1);
        /* Envoy resets every stream at its end; the default kills it at 33 per second. */
        nghttp2_option_set_stream_reset_rate_limit(opt, (uint64_t)1 << 62, (uint64_t)1 << 62);
        if (nghttp2_session_server_new2(&h->session, cb, h, opt) == 0)
                r = 0;
out:
        nghttp2_option_del(opt);
        nghttp2_session_callbacks_del(cb);
        return r;
}

int
epp_h2_new(const struct epp_rpc_handler *handlers, size_t n, struct epp_h2_stats *stats,
        struct epp_h2 **ret)
{
        nghttp2_settings_entry settings[] = {
                { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW },
                { NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEADER_LIST_MAX },
                { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, CALLS_MAX },
        };
        struct epp_h2 *h = calloc(1, sizeof(*h));

        if (!h)
                return EPP_ENOMEM;
        h->handlers = handlers;
        h->n = n;
        h->stats = stats;
        stats->opened++;
        if (session_new(h) < 0 ||
                nghttp2_submit_settings(h->session, 0, settings, ARRAY_LEN(settings)) ||
                nghttp2_session_set_local_window_size(h->session, 0, 0, CONNECTION_WINDOW)) {
                epp_h2_free(h, 0);
                return EPP_ENOMEM;
        }
        *ret = h;
        return 0;
}

static void
open_graves(struct epp_h2 *h, bool open)
{
        for (size_t i = 0; i < h->n; i++)
                if (h->handlers[i].grave)
                        h->handlers[i].grave->open = open;
}

void
epp_h2_free(struct epp_h2 *h, epp_us now)
{
        struct epp_rpc *rpc, *next;

        if (!h)
                return;
        h->now = now;
        open_graves(h, true);
        for (rpc = h->calls; rpc; rpc = next) {
                next = rpc->next;
                rpc->finished = true; /* nothing can be sent any more */
                rpc_free(rpc);
        }
        open_graves(h, false);
        h->stats->closed++;
        nghttp2_session_del(h->session);
        free_spares(h, 0);
        epp_slab_fini(&h->ended);
        free(h);
}

int
epp_h2_feed(struct epp_h2 *h, struct epp_slice in, epp_us now)
{
        ssize_t r;

        h->now = h->heard = now;
        h->pinged = 0;
        r = nghttp2_session_mem_recv(h->session, (const uint8_t *)in.p, in.n);
        if (r == NGHTTP2_ERR_NOMEM || h->broken)
                return EPP_ENOMEM;
        return r < 0 || (size_t)r != in.n ? EPP_EPROTO : 0;
}

static void
wake_calls(struct epp_h2 *h, epp_us now)
{
        h->wake = 0;
        for (struct epp_rpc *rpc = h->calls; rpc; rpc = rpc->next) {
                epp_us at = rpc->wake;

                if (rpc->finished || !at)
                        continue;
                rpc->wake = 0;
                if (now < at)
                        epp_rpc_wake(rpc, at);
                else
                        rpc->handler->wake(rpc->user, now);
        }
}

int
epp_h2_tick(struct epp_h2 *h, epp_us now)
{
        h->now = now;
        if (!h->heard)
                h->heard = now;
        if (h->wake && now >= h->wake)
                wake_calls(h, now);
        if (h->leave_at && now >= h->leave_at) {
                h->leave_at = 0;
                h->leaving = ANNOUNCED;
                h->stats->aged++;
                epp_h2_shutdown(h, false);
        }
        if (h->pinged && now - h->pinged >= PING_US) {
                h->stats->dead++;
                return EPP_EPROTO;
        }
        if (!h->pinged && now - h->heard >= SILENCE_US) {
                h->pinged = now;
                nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, NULL);
        }
        return 0;
}

epp_us
epp_h2_next(const struct epp_h2 *h)
{
        epp_us at = h->pinged ? h->pinged + PING_US : h->heard + SILENCE_US;

        if (h->leave_at)
                at = EPP_MIN(at, h->leave_at);
        return h->wake && h->wake < at ? h->wake : at;
}

ssize_t
epp_h2_drain(struct epp_h2 *h, char *at, size_t n, epp_us now)
{
        const uint8_t *p;
        ssize_t r = 1;

        EPP_ASSERT(n >= EPP_H2_ROOM);
        h->now = now;
        h->room = at;
        h->room_n = n;
        while (h->room_n >= EPP_H2_ROOM && (r = nghttp2_session_mem_send(h->session, &p)) > 0) {
                EPP_ASSERT((size_t)r <= h->room_n);
                memcpy(h->room, p, (size_t)r);
                h->room += r;
                h->room_n -= (size_t)r;
        }
        if (r < 0 || h->broken)
                return EPP_ENOMEM;
        return h->room - at;
}

bool
epp_h2_alive(const struct epp_h2 *h)
{
        return nghttp2_session_want_read(h->session) || nghttp2_session_want_write(h->session);
}

size_t
epp_h2_calls(const struct epp_h2 *h)
{
        return h->count;
}

void
epp_h2_shutdown(struct epp_h2 *h, bool final)
{
        if (!final)
                nghttp2_submit_shutdown_notice(h->session);
        else
                nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(h->session), NGHTTP2_NO_ERROR,
                        NULL, 0);
}

void
epp_h2_age(struct epp_h2 *h, epp_us age, struct epp_rng *rng, epp_us now)
{
        epp_us tenth = EPP_MAX(age, 0) / 10;

        h->leave_at = now + age - tenth + (epp_us)epp_rng_below(rng, (uint64_t)(2 * tenth + 1));
}

void
epp_h2_reset(struct epp_h2 *h)
{
        for (struct epp_rpc *rpc = h->calls; rpc; rpc = rpc->next) {
                if (rpc->finished)
                        continue;
                rpc->finished = true;
                if (nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, rpc->id,
                            NGHTTP2_CANCEL) != 0)
                        h->broken = true;
        }
}
