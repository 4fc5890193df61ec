/* stream.c - see stream.h. One function per message kind; answers always in the order
 * headers, body, trailers; exactly one end of stream per direction.
 *
 *   NEW --headers--> BODY --end of body, decided--> ROUTED --response--> (stream ends)
 *                      \--refused, or malformed--> ENDED
 *
 * When the pick goes out, and in which answer, depends on the body mode: see begin_body (what is
 * said at once) and complete_body (what is said when the body is whole). */
#include "serve/stream.h"

#include "serve/parts.h"
#include "serve/reqhead.h"

#define CHUNK 62000 /* body bytes per answer: gateways refuse more than 64 KB */
#define CHUNKS_AT_ONCE 4 /* the rest of a body as the peer reads: 60 MB at once took 48 ms */
#define ANSWER_KEPT (64u << 10)
#define QUEUE_SPARE (8u << 20)
/* STREAMED without waiting: the gateway stops reading its client when its buffer is full, so a
 * large body never ends while its headers are held, and its message timer (200 ms) runs. */
#define HOLD_US 50000
#define SILENCE_US 30000000 /* from the begin of a stream to its first message */

enum phase { PHASE_NEW, PHASE_BODY, PHASE_ROUTED, PHASE_ENDED };

/* A request body on its way back. */
struct giving {
        struct epp_parts parts; /* what is left */
        bool whole;             /* as one message, which has begun; else in chunks, ... */
        bool end;               /* whose last one ends the direction */
        /* What waits for the last of it: */
        unsigned cleared;       /* answers that leave the other messages of the body empty */
        bool trailers, finish;  /* the answer to them, the end of the call */
};

struct stream {
        const struct epp_stream_config *cfg;
        struct epp_rpc *rpc;
        enum phase phase;
        enum epp_body_mode mode, response_mode;
        bool began;            /* the first message was seen */
        bool has_config;       /* and said its modes */
        bool early_body;       /* STREAMED: the body comes before the headers are answered */
        bool mute;             /* observability: nothing is answered */
        bool no_headers;       /* the body came first: request headers are not shown to us */
        bool echo;             /* an upgrade: body bytes go back as they come */
        bool no_body;          /* the request ended with its headers */
        bool body_ended;       /* the end of the request body was answered */
        bool half_closed;
        bool response_begun, response_ended;
        bool trailers_answered[2]; /* request, response */
        bool has_subset;
        unsigned held;         /* body messages not answered while headers are held */
        epp_us begun;          /* when the request headers came */
        struct epp_response response;
        struct epp_reqhead head;
        struct epp_rope body;
        bool passed;           /* bytes of it were taken before the end of their message */
        struct epp_buf subset;
        const struct epp_dialect *dialect;
        struct epp_jscan *scan; /* while a body is read */
        struct giving *giving;  /* NULL: nothing is left of it */
        struct epp_verdict verdict;
        bool ticket;
        bool stray;            /* a response without a pick */
        bool handled;          /* the request was, in the message at hand: to be measured */
        uint64_t spent_ns;     /* on <measured> of the <messages> of a streamed response */
        unsigned messages, measured;
        epp_us response_at, response_over; /* its first and last message; 0: not yet */
        epp_us now;
};

/* ---- answers ---- */

static void
end_call(struct stream *s, int code, const char *text)
{
        s->phase = PHASE_ENDED;
        epp_rpc_finish(s->rpc, code, epp_slice_str(text));
}

static void
sent(struct stream *s, int r)
{
        if (r < 0)
                end_call(s, 8, "the peer does not read");
}

/* The next <most> answers with body bytes, or as many bytes of the one message. <tail>: more of the
 * first answer. An empty body is one empty answer. */
static void
give(struct stream *s, struct giving *g, struct epp_slice tail, size_t most)
{
        struct epp_slice v[EPP_PARTS + 2];
        char head[EPP_EXT_CHUNK_HEAD];
        size_t n, k;

        do {
                n = EPP_MIN(g->parts.total, (size_t)CHUNK);
                k = epp_parts_take(&g->parts, &n, v + 1);
                if (g->whole) {
                        sent(s, epp_rpc_send_on(s->rpc, v + 1, k));
                        continue;
                }
                v[0] = epp_slice(head, epp_ext_chunk_head(head, EPP_EXT_REQUEST_BODY, n,
                        g->end && g->parts.total == 0));
                if (tail.n)
                        v[++k] = tail;
                tail.n = 0;
                sent(s, epp_rpc_send(s->rpc, v, k + 1));
        } while (g->parts.total && --most && s->phase != PHASE_ENDED);
}

/* In a message that has begun. */
static bool
is_midway(const struct stream *s)
{
        return s->giving && s->giving->whole && s->giving->parts.total;
}

/* One message. It cannot stand in the middle of another. */
static void
send_pieces(struct stream *s, const struct epp_slice *v, size_t n, size_t rest)
{
        if (s->mute)
                return;
        if (is_midway(s)) {
                (void)!epp_rpc_promise(s->rpc, 1); /* on_more is still to come */
                give(s, s->giving, epp_slice(NULL, 0), SIZE_MAX);
        }
        if (s->phase != PHASE_ENDED)
                sent(s, epp_rpc_send_begin(s->rpc, v, n, rest));
}

/* It is put together in a buffer that serves all streams in turn. */
static void
answer(struct stream *s, enum epp_ext_kind kind, const struct epp_ext_out *o)
{
        struct epp_buf own = { 0 }, *b = s->cfg->spare ? &s->cfg->spare->answer : &own;
        struct epp_slice v;

        if (epp_ext_put(b, kind, o) < 0) {
                end_call(s, 8, "out of memory");
        } else {
                v = epp_buf_slice(b);
                send_pieces(s, &v, 1, o->replace_body ? o->body_n : 0);
        }
        epp_buf_drain(b, epp_buf_len(b));
        if (b == &own || b->size > ANSWER_KEPT)
                epp_buf_fini(b);
}

static void
answer_empty(struct stream *s, enum epp_ext_kind kind)
{
        answer(s, kind, &(struct epp_ext_out){ 0 });
}

/* Hands body bytes back at once in full-duplex answers; an empty end is one empty chunk. */
static void
answer_chunks(struct stream *s, enum epp_ext_kind kind, struct epp_slice body, bool end)
{
        char head[EPP_EXT_CHUNK_HEAD];

        do {
                size_t n = EPP_MIN(body.n, (size_t)CHUNK);
                struct epp_slice v[2] = { { head, 0 }, { body.p, n } };

                body = epp_slice(body.p + n, body.n - n);
                v[0].n = epp_ext_chunk_head(head, kind, n, end && body.n == 0);
                send_pieces(s, v, 2, 0);
        } while (body.n && s->phase != PHASE_ENDED);
}

static void
drop_scan(struct stream *s)
{
        epp_slab_give(s->cfg->spare ? &s->cfg->spare->scans : NULL, s->scan);
        s->scan = NULL;
}

void
epp_stream_spare_fini(struct epp_stream_spare *s)
{
        epp_slab_fini(&s->streams);
        epp_slab_fini(&s->scans);
        epp_buf_fini(&s->answer);
        (void)epp_grave_reap(&s->dead, SIZE_MAX);
}

static void
drop_body(struct stream *s)
{
        s->cfg->stats->held_bytes -= s->body.n - s->body.gone;
        epp_rope_fini(&s->body, s->cfg->spare ? &s->cfg->spare->dead : NULL);
        drop_scan(s);
        if (s->giving)
                epp_parts_fini(&s->giving->parts);
        free(s->giving);
        s->giving = NULL;
}

/* What waited for the last of a body. */
static void
given(struct stream *s, const struct giving *g)
{
        for (unsigned i = 0; i < g->cleared; i++)
                answer(s, EPP_EXT_REQUEST_BODY, &(struct epp_ext_out){ .clear_body = true });
        if (g->trailers)
                answer_empty(s, EPP_EXT_REQUEST_TRAILERS);
        if (g->finish)
                epp_rpc_finish(s->rpc, 0, EPP_SLICE(""));
}

/* Frees what of a body has gone back. */
static void
shorten(struct stream *s)
{
        s->cfg->stats->held_bytes += s->body.gone;
        epp_rope_release(&s->body, &s->giving->parts.at);
        s->cfg->stats->held_bytes -= s->body.gone;
}

static void
on_more(void *user, epp_us now)
{
        struct stream *s = user;
        struct giving *g = s->giving, last;

        s->now = now;
        if (!g)
                return;
        if (s->phase != PHASE_ENDED && g->parts.total)
                give(s, g, epp_slice(NULL, 0), CHUNKS_AT_ONCE);
        (void)!epp_rpc_promise(s->rpc, g->parts.total); /* less never fails */
        if (s->phase != PHASE_ENDED && g->parts.total) {
                shorten(s);
                return;
        }
        last = *g;
        drop_body(s);
        if (s->phase != PHASE_ENDED)
                given(s, &last);
}

static void
release(struct stream *s, bool complete)
{
        struct epp_outcome o;

        if (!s->ticket && !s->stray)
                return;
        o = epp_response_end(&s->response, s->begun, s->now, complete);
        if (s->ticket)
                s->cfg->decider.release(s->cfg->decider.ctx, s->verdict.ticket, &o);
        else if (s->cfg->decider.stray)
                s->cfg->decider.stray(s->cfg->decider.ctx, &o);
        s->ticket = s->stray = false;
}

static struct epp_ext_pair
explanation(const struct stream *s)
{
        return (struct epp_ext_pair){ EPP_SLICE(EPP_EXPLAIN),
                epp_slice_str(s->verdict.explanation) };
}

static void
refuse(struct stream *s, int http, const char *text, const char *reason)
{
        struct epp_ext_pair set[2];
        struct epp_buf b = { 0 };
        bool midway = is_midway(s);
        struct epp_slice v;
        size_t n = 0;

        s->cfg->stats->refused++;
        drop_body(s);
        if (midway) { /* an answer would become part of the one that has begun */
                end_call(s, 13, text);
                return;
        }
        if (reason)
                set[n++] = (struct epp_ext_pair){ EPP_SLICE("x-llm-d-request-dropped-reason"),
                        epp_slice_str(reason) };
        if (s->verdict.explanation)
                set[n++] = explanation(s);
        /* A good end without an answer lets the request through: the gateway must see a failure. */
        if (epp_ext_put_immediate(&b, http, epp_slice_str(text), set, n) < 0) {
                end_call(s, 8, "out of memory");
        } else {
                v = epp_buf_slice(&b);
                send_pieces(s, &v, 1, 0);
        }
        epp_buf_fini(&b);
        end_call(s, 0, ""); /* unless it has ended otherwise */
}

static struct epp_ask
question(struct stream *s)
{
        const struct epp_reqhead *h = &s->head;

        return (struct epp_ask){ .method = epp_reqhead_get(h, EPP_KEPT_METHOD),
                .path = epp_reqhead_get(h, EPP_KEPT_PATH),
                .request_id = epp_reqhead_get(h, EPP_KEPT_REQUEST_ID),
                .objective = epp_reqhead_either(h, EPP_KEPT_OBJECTIVE, EPP_KEPT_OLD_OBJECTIVE),
                .rewrite = epp_reqhead_either(h, EPP_KEPT_REWRITE, EPP_KEPT_OLD_REWRITE),
                .fairness = epp_reqhead_either(h, EPP_KEPT_FAIRNESS, EPP_KEPT_OLD_FAIRNESS),
                .dialect = s->dialect,
                .scan = s->scan, .has_subset = s->has_subset,
                .subset = epp_buf_slice(&s->subset), .body_bytes = s->body.n,
                .begun = s->begun, .now = s->now,
                .explain = s->cfg->allow_explain &&
                        epp_slice_eq(epp_reqhead_get(h, EPP_KEPT_EXPLAIN), EPP_SLICE("1")) };
}

/* The same when nothing was asked yet. */
static void
fail(struct stream *s, int http, const char *text, const char *reason)
{
        struct epp_ask ask = question(s);

        s->handled = true;
        if (s->cfg->decider.failed)
                s->cfg->decider.failed(s->cfg->decider.ctx, &ask, http, text);
        refuse(s, http, text, reason);
}

static void
too_large(struct stream *s)
{
        char text[96];

        s->cfg->stats->too_large++;
        snprintf(text, sizeof(text), "inference error: BadRequest - request body exceeds %zu bytes",
                s->cfg->max_body);
        fail(s, 413, text, NULL);
}

/* ---- the pick ---- */

#define SET_MAX 3 /* endpoint, request id, content length */

/* The header changes of a routed request; <remove> has EPP_REQHEAD_CONTROLS slices. */
static struct epp_ext_out
routing(struct stream *s, struct epp_ext_pair set[SET_MAX], struct epp_slice *remove)
{
        struct epp_ext_out o = { .set = set, .n_set = 1, .remove = remove,
                .clear_route_cache = true, .ns = s->cfg->hint_ns, .key = s->cfg->hint_key };

        o.endpoint = epp_slice_str(s->verdict.endpoint);
        set[0] = (struct epp_ext_pair){ s->cfg->hint_key, o.endpoint };
        if (*s->verdict.request_id)
                set[o.n_set++] = (struct epp_ext_pair){ EPP_SLICE("x-request-id"),
                        epp_slice_str(s->verdict.request_id) };
        if (s->cfg->strip_control)
                o.n_remove = epp_reqhead_control(&s->head, remove);
        return o;
}

/* Asks; true when routed, else the refusal has been sent. */
static bool
decide(struct stream *s, bool with_body)
{
        struct epp_ask ask = question(s);

        ask.has_body = with_body;
        s->handled = true;
        epp_rpc_wake(s->rpc, 0);
        s->cfg->decider.decide(s->cfg->decider.ctx, &ask, &s->verdict);
        s->ticket = s->verdict.ticket != NULL;
        if (s->verdict.http) {
                refuse(s, s->verdict.http, s->verdict.text, s->verdict.reason);
                return false;
        }
        s->phase = PHASE_ROUTED;
        s->cfg->stats->routed++;
        return true;
}

/* The pick goes out with the answer to the request headers. */
static bool
route_headers(struct stream *s, bool with_body)
{
        struct epp_slice remove[EPP_REQHEAD_CONTROLS];
        struct epp_ext_pair set[SET_MAX];
        struct epp_ext_out o;

        if (!decide(s, with_body))
                return false;
        if (s->no_headers)
                return true;
        o = routing(s, set, remove);
        answer(s, EPP_EXT_REQUEST_HEADERS, &o);
        return s->phase == PHASE_ROUTED;
}

static int
body_parts(struct stream *s, struct epp_parts *p)
{
        if (s->verdict.rename)
                return epp_parts_renamed(p, &s->body, s->scan, s->verdict.model);
        epp_parts_plain(p, &s->body);
        return 0;
}

/* Begins to give the body back; <g> is taken over. */
static void
begin_giving(struct stream *s, struct giving *g, struct epp_slice tail)
{
        if (!s->mute && s->phase != PHASE_ENDED)
                give(s, g, tail, CHUNKS_AT_ONCE);
        if (s->mute || s->phase == PHASE_ENDED || g->parts.total == 0) {
                epp_parts_fini(&g->parts);
                if (s->phase != PHASE_ENDED)
                        given(s, g);
                return;
        }
        s->giving = malloc(sizeof(*g));
        if (!s->giving) {
                epp_parts_fini(&g->parts);
                end_call(s, 8, "out of memory");
                return;
        }
        *s->giving = *g;
        sent(s, epp_rpc_promise(s->rpc, g->parts.total));
}

/* Everything of a full-duplex request is here: pick, then give the body back. */
static void
complete_duplex(struct stream *s, bool trailers)
{
        struct epp_ext_out o = { .ns = s->cfg->hint_ns, .key = s->cfg->hint_key };
        struct epp_slice method = epp_reqhead_get(&s->head, EPP_KEPT_METHOD);
        bool body = s->body.n || !method.n || epp_slice_eq(method, EPP_SLICE("POST"));
        struct giving g = { .end = !trailers };
        struct epp_buf hint = { 0 };

        if (!route_headers(s, body))
                return;
        o.endpoint = epp_slice_str(s->verdict.endpoint);
        if (body_parts(s, &g.parts) < 0 || (s->no_headers && epp_ext_put_hint(&hint, &o) < 0)) {
                epp_parts_fini(&g.parts);
                end_call(s, 8, "out of memory");
        } else if (g.parts.total || !trailers) {
                begin_giving(s, &g, epp_buf_slice(&hint));
        } else {
                epp_parts_fini(&g.parts);
        }
        epp_buf_fini(&hint);
}

/* The answer <o> to a body message with the renamed body in it, and its length where headers can be
 * <set>; <cleared> more messages of the body become empty. */
static void
answer_renamed(struct stream *s, struct epp_ext_out *o, struct epp_ext_pair *set, unsigned cleared)
{
        struct giving g = { .whole = true, .cleared = cleared };
        char length[24];

        if (body_parts(s, &g.parts) < 0) {
                end_call(s, 8, "out of memory");
                return;
        }
        snprintf(length, sizeof(length), "%zu", g.parts.total);
        if (set)
                set[o->n_set++] = (struct epp_ext_pair){ EPP_SLICE("content-length"),
                        epp_slice_str(length) };
        o->replace_body = true;
        o->body_n = g.parts.total;
        answer(s, EPP_EXT_REQUEST_BODY, o);
        begin_giving(s, &g, epp_slice(NULL, 0));
}

/* The pick goes out with the answer to the one body message. */
static void
complete_buffered(struct stream *s, bool whole)
{
        struct epp_slice remove[EPP_REQHEAD_CONTROLS];
        struct epp_ext_pair set[SET_MAX];
        struct epp_ext_out o;

        if (!decide(s, whole))
                return;
        o = routing(s, set, remove);
        if (s->verdict.rename)
                answer_renamed(s, &o, set, 0);
        else
                answer(s, EPP_EXT_REQUEST_BODY, &o);
}

/* STREAMED, headers held until now: the pick, then one answer per body message. A renamed body goes
 * back whole in the first, the others are emptied. */
static void
complete_streamed(struct stream *s, bool whole)
{
        struct epp_ext_out o = { 0 };

        if (!route_headers(s, whole))
                return;
        if (whole && s->verdict.rename && s->held) {
                answer_renamed(s, &o, NULL, s->held - 1);
                return;
        }
        for (; s->held && s->phase == PHASE_ROUTED; s->held--)
                answer(s, EPP_EXT_REQUEST_BODY, &o);
}

/* The body is whole (<end> false: as far as it will be shown). */
static void
complete_body(struct stream *s, bool end, bool trailers)
{
        epp_jscan_end(s->scan);
        if (s->mode == EPP_MODE_DUPLEX)
                complete_duplex(s, trailers);
        else if (s->mode == EPP_MODE_STREAMED)
                complete_streamed(s, end);
        else
                complete_buffered(s, s->mode == EPP_MODE_BUFFERED || end);
        s->body_ended = end || s->mode != EPP_MODE_STREAMED;
        if (s->giving && s->phase != PHASE_ENDED)
                drop_scan(s);
        else
                drop_body(s);
}

/* ---- the request as it comes ---- */

static void
on_request_header(void *user, struct epp_slice name, struct epp_slice value)
{
        struct stream *s = user;

        epp_reqhead_add(&s->head, s->cfg->hint_key, name, value);
}

struct hint {
        struct epp_buf text;
        bool nomem;
};

static void
on_subset(void *user, struct epp_slice value)
{
        struct hint *h = user;

        h->nomem |= epp_buf_append(&h->text, value) == EPP_ENOMEM ||
                epp_buf_append(&h->text, EPP_SLICE(",")) == EPP_ENOMEM;
}

/* A message without the hint leaves the last one in force. False when the stream has ended: a hint
 * that cannot be read (protobuf-c does not tell lack of memory from a broken message) must not
 * become no hint, as then any endpoint could be chosen. */
static bool
read_subset(struct stream *s, struct epp_slice metadata)
{
        struct hint h = { .text.cap = 1 << 20 };
        int r = epp_ext_metadata(metadata, EPP_SLICE("envoy.lb.subset_hint"),
                EPP_SLICE("x-gateway-destination-endpoint-subset"), on_subset, &h);

        if (r == 1 && !h.nomem) {
                s->has_subset = true;
                epp_buf_fini(&s->subset);
                s->subset = h.text;
                return true;
        }
        epp_buf_fini(&h.text);
        if (!h.nomem && (r == 0 || r == EPP_EDEEP))
                return true;
        end_call(s, h.nomem ? 8 : 13, "the metadata cannot be read");
        return false;
}

/* A body will come: what is said at once. */
static void
begin_body(struct stream *s)
{
        struct epp_slice remove = s->cfg->hint_key;
        struct epp_ext_out o = { .remove = &remove, .n_remove = s->head.hint };

        s->phase = PHASE_BODY;
        s->scan = epp_slab_take(s->cfg->spare ? &s->cfg->spare->scans : NULL,
                sizeof(*s->scan));
        if (!s->scan) {
                end_call(s, 8, "out of memory");
                return;
        }
        epp_jscan_init(s->scan);
        s->body.cap = s->cfg->max_body;
        s->body.hint = s->head.body_n;
        if (s->mode == EPP_MODE_STREAMED && !s->early_body) {
                (void)route_headers(s, false);
                return;
        }
        if ((s->mode == EPP_MODE_BUFFERED || s->mode == EPP_MODE_PARTIAL) && !s->no_headers)
                answer(s, EPP_EXT_REQUEST_HEADERS, &o); /* else the gateway never sends the body */
        if (s->mode == EPP_MODE_STREAMED)
                epp_rpc_wake(s->rpc, s->now + HOLD_US);
        else if (s->cfg->upload_timeout)
                epp_rpc_wake(s->rpc, s->now + s->cfg->upload_timeout);
}

/* True when bodies of other requests have used up what may be held: this one is refused. */
static bool
crowded(struct stream *s)
{
        if (!s->cfg->max_held || s->cfg->stats->held_bytes <= s->cfg->max_held)
                return false;
        s->cfg->stats->crowded++;
        fail(s, 503, "inference error: ServiceUnavailable - too many request bodies are held",
                "rejected-saturated");
        return true;
}

static void
request_headers(struct stream *s, const struct epp_ext_in *in)
{
        if (s->phase != PHASE_NEW || s->response_begun) {
                s->cfg->stats->ignored++;
                return;
        }
        if (epp_ext_headers(in->payload, on_request_header, s) < 0) {
                end_call(s, 13, "malformed request headers");
                return;
        }
        if (s->head.nomem) {
                end_call(s, 8, "out of memory");
                return;
        }
        if (crowded(s))
                return;
        s->dialect = epp_reqhead_dialect(&s->head);
        s->echo = s->head.upgrade || epp_slice_eq(epp_reqhead_get(&s->head, EPP_KEPT_METHOD),
                                             EPP_SLICE("CONNECT"));
        if (!in->end_of_stream && s->mode != EPP_MODE_NONE && !s->echo) {
                begin_body(s);
                return;
        }
        s->no_body = in->end_of_stream;
        (void)route_headers(s, false);
}

/* The body of a request whose headers were not shown (request_header_mode SKIP). */
static void
begin_without_headers(struct stream *s)
{
        struct epp_ext_out o = { .ns = s->cfg->hint_ns, .key = s->cfg->hint_key };

        if (!s->has_config) {
                end_call(s, 3, "request body before request headers");
                return;
        }
        if (crowded(s))
                return;
        s->no_headers = true;
        s->early_body = false;
        s->dialect = epp_dialect_unknown();
        begin_body(s);
        if (s->phase != PHASE_ROUTED)
                return;
        o.endpoint = epp_slice_str(s->verdict.endpoint); /* STREAMED: only metadata can carry it */
        answer(s, EPP_EXT_REQUEST_BODY, &o);
}

/* A body message after the pick. */
static void
late_body(struct stream *s, const struct epp_ext_in *in)
{
        if (s->body_ended)
                s->cfg->stats->ignored++; /* Envoy repeats the end on large bodies (#46237) */
        else if (s->mode != EPP_MODE_DUPLEX)
                answer_empty(s, EPP_EXT_REQUEST_BODY);
        else if (!s->echo)
                s->cfg->stats->ignored++;
        else if (in->body.n || in->end_of_stream)
                answer_chunks(s, EPP_EXT_REQUEST_BODY, in->body, in->end_of_stream);
        s->body_ended |= in->end_of_stream;
}

/* Keeps body bytes and scans them; false when the request has been refused. */
static bool
take_body(struct stream *s, struct epp_slice body)
{
        int r;

        s->cfg->stats->held_bytes -= s->body.n;
        r = epp_rope_append(&s->body, body);
        s->cfg->stats->held_bytes += s->body.n;
        if (r == EPP_ETOOBIG)
                too_large(s);
        else if (r < 0)
                fail(s, 503, "inference error: ServiceUnavailable - out of memory", NULL);
        if (r < 0)
                return false;
        epp_jscan_feed(s->scan, body);
        return true;
}

static void
request_body(struct stream *s, const struct epp_ext_in *in)
{
        bool first = s->phase == PHASE_NEW;

        if (first)
                begin_without_headers(s);
        if (s->phase == PHASE_ROUTED && !first)
                late_body(s, in);
        if (s->phase != PHASE_BODY || !take_body(s, in->body))
                return;
        s->held++;
        if (in->end_of_stream || s->mode == EPP_MODE_BUFFERED || s->mode == EPP_MODE_PARTIAL)
                complete_body(s, in->end_of_stream, false);
}

static void
answer_trailers(struct stream *s, enum epp_ext_kind kind)
{
        bool *answered = &s->trailers_answered[kind == EPP_EXT_RESPONSE_TRAILERS];

        if (*answered)
                s->cfg->stats->ignored++;
        else if (s->giving && kind == EPP_EXT_REQUEST_TRAILERS)
                s->giving->trailers = true;
        else
                answer_empty(s, kind);
        *answered = true;
}

static void
request_trailers(struct stream *s)
{
        bool over = s->mode == EPP_MODE_DUPLEX && (s->no_body || s->body_ended);

        if (s->phase == PHASE_NEW) {
                end_call(s, 3, "request trailers before request headers");
                return;
        }
        if (s->phase == PHASE_BODY)
                complete_body(s, true, true);
        if (over)
                s->cfg->stats->ignored++; /* the end has been answered */
        else if (s->phase == PHASE_ROUTED)
                answer_trailers(s, EPP_EXT_REQUEST_TRAILERS);
}

/* ---- the response as it goes by ---- */

static void
on_response_header(void *user, struct epp_slice name, struct epp_slice value)
{
        struct stream *s = user;

        epp_response_header(&s->response, name, value);
}

static void
on_served(void *user, struct epp_slice value)
{
        struct stream *s = user;

        s->cfg->decider.served(s->cfg->decider.ctx, s->verdict.ticket, value);
}

static void
response_end(struct stream *s)
{
        s->response_ended = true;
        s->response_over = s->now;
        release(s, true);
}

/* A response without a pick: a local reply of the gateway, or a request not shown to us. */
static void
begin_response(struct stream *s)
{
        epp_response_begin(&s->response);
        s->response_begun = true;
        s->response_at = s->now;
        s->stray = !s->ticket;
        epp_rpc_wake(s->rpc, 0);
        if (s->phase == PHASE_BODY)
                drop_body(s);
        s->phase = PHASE_ROUTED;
}

static void
response_headers(struct stream *s, const struct epp_ext_in *in)
{
        struct epp_ext_pair set[2];
        struct epp_ext_out o = { .set = set };

        if (s->response_begun) {
                s->cfg->stats->ignored++;
                return;
        }
        if (epp_ext_headers(in->payload, on_response_header, s) < 0)
                s->response.status = 0; /* a broken upstream never hurts the stream */
        if (s->ticket && in->has_metadata && s->cfg->decider.served)
                (void)!epp_ext_metadata(in->metadata, EPP_SLICE("envoy.lb"),
                        EPP_SLICE("x-gateway-destination-endpoint-served"), on_served, s);
        begin_response(s);
        if (s->cfg->response_marker)
                set[o.n_set++] = (struct epp_ext_pair){ EPP_SLICE("x-went-into-resp-headers"),
                        EPP_SLICE("true") };
        if (s->verdict.explanation)
                set[o.n_set++] = explanation(s);
        answer(s, EPP_EXT_RESPONSE_HEADERS, &o);
        if (in->end_of_stream)
                response_end(s);
}

static void
response_body(struct stream *s, const struct epp_ext_in *in)
{
        epp_us gap;

        if (s->response_ended && s->response_mode == EPP_MODE_DUPLEX) {
                s->cfg->stats->ignored++;
                return;
        }
        if (!s->response_begun)
                begin_response(s); /* response_header_mode SKIP */
        gap = epp_response_body(&s->response, in->body, s->now);
        if (gap >= 0 && s->ticket && s->cfg->decider.gap)
                s->cfg->decider.gap(s->cfg->decider.ctx, s->verdict.ticket, gap);
        if (s->response_mode != EPP_MODE_DUPLEX)
                answer_empty(s, EPP_EXT_RESPONSE_BODY);
        else if (in->body.n || in->end_of_stream)
                answer_chunks(s, EPP_EXT_RESPONSE_BODY, in->body, in->end_of_stream);
        if (in->end_of_stream)
                response_end(s);
}

static void
response_trailers(struct stream *s)
{
        if (!s->response_begun)
                begin_response(s);
        answer_trailers(s, EPP_EXT_RESPONSE_TRAILERS);
        response_end(s);
}

/* ---- time ---- */

void
epp_stream_timing_init(struct epp_stream_timing *t, uint64_t (*clock_ns)(void))
{
        *t = (struct epp_stream_timing){ .clock_ns = clock_ns };
        EPP_HIST_INIT(t, request, RQP);
        EPP_HIST_INIT(t, response, RSP);
        EPP_HIST_INIT(t, stream, STR);
}

/* A message has been handled. The clock is read behind the first and each eighth of a streamed
 * response only (a reading would be a tenth of what a chunk costs); when a request was decided is
 * known. Messages of one turn that were not measured share the time with the one that is. */
static void
measure(struct stream *s)
{
        struct epp_stream_timing *t = s->cfg->timing;
        uint64_t begin, end;

        if (!t)
                return;
        if (s->handled) {
                end = EPP_MAX(s->verdict.done_ns, (uint64_t)s->now * 1000);
                epp_hist_add(&t->request, ((double)end / 1e3 - (double)s->begun) / 1e6);
                s->handled = false;
        }
        t->pending = s->now == t->turn ? t->pending + 1 : 1;
        t->turn = s->now;
        if (!s->response_begun || s->response.kind != EPP_BODY_SSE || s->messages++ % 8)
                return;
        end = t->clock_ns();
        begin = EPP_MAX((uint64_t)s->now * 1000, t->mark_ns);
        t->mark_ns = end;
        s->measured++;
        if (end > begin)
                s->spent_ns += (end - begin) / t->pending;
        t->pending = 0;
}

static void
measure_end(struct stream *s)
{
        struct epp_stream_timing *t = s->cfg->timing;
        epp_us over = s->response_over ? s->response_over : s->now;

        if (!t)
                return;
        epp_hist_add(&t->stream, (double)(s->now - s->begun) / 1e6);
        if (s->measured)
                epp_hist_add(&t->response, (double)s->spent_ns / 1e9 * s->messages / s->measured);
        else if (s->response_begun)
                epp_hist_add(&t->response, (double)(over - s->response_at) / 1e6);
}

/* ---- one message ---- */

static void
first_message(struct stream *s, const struct epp_ext_in *in)
{
        s->began = true;
        epp_rpc_wake(s->rpc, 0);
        s->mute = in->observability;
        s->has_config = in->has_config;
        s->early_body = in->early_body;
        s->mode = in->has_config ? in->request_mode : s->cfg->default_mode;
        s->response_mode = in->has_config ? in->response_mode : s->cfg->default_mode;
}

static void
on_message(void *user, struct epp_slice msg, epp_us now)
{
        struct stream *s = user;
        struct epp_ext_in in;
        bool last;

        s->now = now;
        if (s->phase == PHASE_ENDED)
                return;
        if (epp_ext_parse(msg, &in) < 0) {
                end_call(s, 13, "malformed ProcessingRequest");
                return;
        }
        /* Of two members the last wins, but the body of the first has been taken: no gateway sends
         * such a message. */
        if (s->passed && (in.kind != EPP_EXT_REQUEST_BODY || in.body.n)) {
                end_call(s, 13, "malformed ProcessingRequest");
                return;
        }
        s->passed = false;
        if (!s->began && in.kind != EPP_EXT_NONE)
                first_message(s, &in);
        last = in.end_of_stream || in.kind == EPP_EXT_REQUEST_TRAILERS;
        if (in.has_metadata && (s->phase == PHASE_NEW || (s->phase == PHASE_BODY && last)) &&
                !read_subset(s, in.metadata))
                return;
        switch (in.kind) {
        case EPP_EXT_REQUEST_HEADERS:
                request_headers(s, &in);
                break;
        case EPP_EXT_REQUEST_BODY:
                request_body(s, &in);
                break;
        case EPP_EXT_REQUEST_TRAILERS:
                request_trailers(s);
                break;
        case EPP_EXT_RESPONSE_HEADERS:
                response_headers(s, &in);
                break;
        case EPP_EXT_RESPONSE_BODY:
                response_body(s, &in);
                break;
        case EPP_EXT_RESPONSE_TRAILERS:
                response_trailers(s);
                break;
        case EPP_EXT_NONE:
                s->cfg->stats->ignored++;
                break;
        }
        measure(s);
}

/* A long message: the body in it is taken as it comes. In Envoy's buffered mode it is a whole one:
 * gathered first, 16 MiB took 42 ms at its end. */
static bool
on_begins(void *user, struct epp_slice first, size_t n, struct epp_grpc_pass *ret, epp_us now)
{
        struct stream *s = user;
        struct epp_slice body;

        s->now = now;
        if (s->phase != PHASE_BODY || !epp_ext_long_body(first, n, &body, ret))
                return false;
        s->passed = true;
        s->body.hint = EPP_MAX(s->body.hint, s->body.n + body.n + ret->n);
        if (take_body(s, body))
                return true;
        measure(s);
        return false;
}

static void
on_bytes(void *user, struct epp_slice bytes, epp_us now)
{
        struct stream *s = user;

        s->now = now;
        if (s->phase == PHASE_BODY && !take_body(s, bytes))
                measure(s);
}

static bool
on_too_big(void *user, size_t n, epp_us now)
{
        struct stream *s = user;

        (void)n;
        s->now = now;
        if (!s->began || s->phase == PHASE_ENDED)
                return false;
        too_large(s);
        measure(s);
        return true;
}

static void
on_wake(void *user, epp_us now)
{
        struct stream *s = user;

        s->now = now;
        if (s->phase == PHASE_NEW && !s->began)
                end_call(s, 4, "no message came");
        if (s->phase != PHASE_BODY)
                return;
        if (s->mode == EPP_MODE_STREAMED) {
                complete_body(s, false, false);
        } else {
                s->cfg->stats->timeouts++;
                fail(s, 408,
                        "inference error: BadRequest - the request body did not arrive in time",
                        NULL);
        }
        measure(s);
}

static void
on_half_close(void *user, epp_us now)
{
        struct stream *s = user;

        s->now = now;
        s->half_closed = true;
        if (s->giving && s->phase != PHASE_ENDED)
                s->giving->finish = true;
        else
                epp_rpc_finish(s->rpc, 0, EPP_SLICE(""));
}

/* What the end of the stream cut off, if anything. */
static void
count_end(struct stream *s, bool natural)
{
        struct epp_stream_stats *c = s->cfg->stats;
        bool cut = !natural && (s->ticket || s->stray);

        c->ended++;
        c->disconnected += s->ticket && !natural;
        c->code[epp_rpc_code(s->rpc)]++;
        if (s->phase == PHASE_BODY)
                c->aborted[EPP_ABORTED_REQUEST]++;
        else if (cut)
                c->aborted[s->response_begun ? EPP_ABORTED_RESPONSE : EPP_ABORTED_WAITING]++;
}

static void
on_closed(void *user, epp_us now)
{
        struct stream *s = user;
        /* The lean profile shows no response body, other gateways no response at all: there the end
         * of the stream is the end of the response. */
        bool natural = s->response_begun ? s->response_mode == EPP_MODE_NONE
                                         : s->half_closed || s->response_mode == EPP_MODE_NONE;

        s->now = now;
        count_end(s, natural);
        measure_end(s);
        release(s, natural && (s->response_begun || s->half_closed));
        drop_body(s);
        epp_buf_fini(&s->subset);
        epp_reqhead_fini(&s->head);
        free(s->verdict.explanation);
        epp_slab_give(s->cfg->spare ? &s->cfg->spare->streams : NULL, s);
}

static int
on_open(void *ctx, struct epp_rpc *rpc, epp_us now)
{
        const struct epp_stream_config *cfg = ctx;
        struct stream *s = epp_slab_take(cfg->spare ? &cfg->spare->streams : NULL, sizeof(*s));

        if (!s)
                return EPP_ENOMEM;
        *s = (struct stream){ .cfg = cfg, .rpc = rpc, .now = now, .begun = now };
        cfg->stats->begun++;
        epp_rpc_set_user(rpc, s);
        epp_rpc_wake(rpc, now + SILENCE_US);
        return 0;
}

struct epp_rpc_handler
epp_stream_handler(const struct epp_stream_config *cfg, size_t max_message)
{
        return (struct epp_rpc_handler){
                .service = "envoy.service.ext_proc.v3.ExternalProcessor",
                .method = "Process",
                .ctx = (void *)(uintptr_t)cfg,
                .max_message = max_message,
                .grave = cfg->spare ? &cfg->spare->dead : NULL,
                /* The rest of a whole body may have to go at once (send_pieces); response bodies
                 * wait for the window long before the spare is used up. */
                .max_queue = cfg->max_body ? cfg->max_body + QUEUE_SPARE : 0,
                .open = on_open,
                .message = on_message,
                .begins = on_begins,
                .bytes = on_bytes,
                .half_close = on_half_close,
                .too_big = on_too_big,
                .more = on_more,
                .wake = on_wake,
                .closed = on_closed,
        };
}
