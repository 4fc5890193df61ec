/* stream.c - see stream.h. One function per message kind; answers always in the order
 * headers, body, trailers; exactly one end of stream per direction. */
#include "serve/stream.h"

#define CHUNK 62000 /* body bytes per answer: gateways refuse more than 64 KB */
#define KEEP_MAX 1024

/* Client headers that steer eppd: taken out before the request goes on. */
static const char *const control[] = {
        "x-gateway-destination-endpoint-subset", "x-gateway-destination-endpoint-served",
        "x-llm-d-inference-fairness-id", "x-gateway-inference-fairness-id",
        "x-llm-d-inference-objective", "x-gateway-inference-objective",
        "x-llm-d-model-name-rewrite", "x-gateway-model-name-rewrite",
        "x-llm-d-slo-ttft-ms", "x-slo-ttft-ms", "x-llm-d-slo-tpot-ms", "x-slo-tpot-ms",
        "x-llm-d-request-dropped-reason",
};

enum phase { PHASE_NEW, PHASE_BODY, PHASE_ROUTED, PHASE_ENDED };

struct stream {
        const struct epp_stream_config *cfg;
        struct epp_rpc *rpc;
        enum phase phase;
        enum epp_body_mode mode, response_mode;
        bool began;            /* the first message was seen */
        bool mute;             /* observability: nothing is answered */
        bool headers_waiting;  /* request headers hold their answer back */
        bool request_ended;    /* the end of the request was seen and answered */
        bool response_begun, response_ended;
        bool has_subset;
        enum { BODY_OPAQUE, BODY_JSON, BODY_SSE } kind; /* how the response body is read */
        bool encoded;          /* gzip or the like: not readable */
        epp_us begun;          /* when the request headers came */
        struct epp_outcome outcome;
        union {
                struct epp_sse sse;
                struct epp_usage_walk json;
        } reader;
        uint32_t present;      /* bits of control[] */
        bool client_hint;      /* the client sent our own header */
        struct epp_buf body, subset, method, path, request_id;
        const struct epp_dialect *dialect;
        struct epp_jscan scan;
        struct epp_verdict verdict;
        bool ticket;
        epp_us now;
};

static void
send_buf(struct stream *s, struct epp_buf *b)
{
        struct epp_slice v = epp_buf_slice(b);

        if (!s->mute && epp_rpc_send(s->rpc, &v, 1) < 0)
                epp_rpc_finish(s->rpc, 8, EPP_SLICE("the peer does not read"));
        epp_buf_fini(b);
}

static void
answer(struct stream *s, enum epp_ext_kind kind, const struct epp_ext_out *o)
{
        struct epp_buf b = { 0 };

        if (epp_ext_put(&b, kind, o) < 0)
                epp_rpc_finish(s->rpc, 8, EPP_SLICE("out of memory"));
        else
                send_buf(s, &b);
}

static void
answer_empty(struct stream *s, enum epp_ext_kind kind)
{
        answer(s, kind, &(struct epp_ext_out){ 0 });
}

/* A body as pieces in order: the received bytes with other model values between them. */
struct parts {
        struct epp_slice v[2 * EPP_JSCAN_SPANS + 1];
        size_t n;
        size_t total;       /* bytes not taken yet */
        struct epp_buf name; /* the model as a JSON string */
};

static void
parts_add(struct parts *p, struct epp_slice s)
{
        if (s.n)
                p->v[p->n++] = s;
        p->total += s.n;
}

/* The body of <s> as it goes on. On EPP_ENOMEM it has none. */
static int
parts_of_body(const struct stream *s, struct parts *p)
{
        struct epp_slice body = epp_buf_slice(&s->body);
        size_t at = 0;

        p->n = p->total = 0;
        p->name = (struct epp_buf){ 0 };
        if (!s->verdict.rename) {
                parts_add(p, body);
                return 0;
        }
        if (epp_jscan_quote(&p->name, s->verdict.model) < 0)
                return EPP_ENOMEM;
        for (size_t i = 0; i < s->scan.n_spans; i++) {
                parts_add(p, epp_slice(body.p + at, s->scan.spans[i].at - at));
                parts_add(p, epp_buf_slice(&p->name));
                at = s->scan.spans[i].at + s->scan.spans[i].len;
        }
        parts_add(p, epp_slice(body.p + at, body.n - at));
        return 0;
}

/* Moves the next <n> bytes of <p> to out[]; returns how many slices they are. */
static size_t
parts_take(struct parts *p, size_t *first, size_t n, struct epp_slice *out)
{
        size_t k = 0;

        p->total -= n;
        while (n) {
                struct epp_slice *v = &p->v[*first];
                size_t part = EPP_MIN(n, v->n);

                out[k++] = epp_slice(v->p, part);
                v->p += part, v->n -= part, n -= part;
                *first += v->n == 0;
        }
        return k;
}

/* Hands body bytes back in full-duplex answers; an empty end is one empty chunk. */
static void
answer_parts(struct stream *s, enum epp_ext_kind kind, struct parts *p, bool end)
{
        struct epp_slice v[ARRAY_LEN(p->v) + 1];
        char head[EPP_EXT_CHUNK_HEAD];
        size_t first = 0;

        do {
                size_t n = EPP_MIN(p->total, CHUNK), k = parts_take(p, &first, n, v + 1);

                v[0] = epp_slice(head, epp_ext_chunk_head(head, kind, n, end && p->total == 0));
                if (!s->mute && epp_rpc_send(s->rpc, v, k + 1) < 0) {
                        epp_rpc_finish(s->rpc, 8, EPP_SLICE("the peer does not read"));
                        return;
                }
        } while (p->total);
}

static void
answer_chunks(struct stream *s, enum epp_ext_kind kind, struct epp_slice body, bool end)
{
        struct parts p = { .n = 0 };

        parts_add(&p, body);
        answer_parts(s, kind, &p, end);
}

static void
release(struct stream *s, bool complete)
{
        if (!s->ticket)
                return;
        s->ticket = false;
        s->outcome.complete = complete;
        s->outcome.all_us = s->now - s->begun;
        if (s->kind == BODY_SSE) {
                epp_sse_end(&s->reader.sse);
                s->outcome.usage = s->reader.sse.usage;
                s->outcome.events = s->reader.sse.events;
        } else if (s->kind == BODY_JSON) {
                epp_usage_end(&s->reader.json, &s->outcome.usage);
        }
        s->cfg->decider.release(s->cfg->decider.ctx, s->verdict.ticket, &s->outcome);
}

static void
refuse(struct stream *s, int http, struct epp_slice text, const char *reason)
{
        struct epp_ext_pair drop = { EPP_SLICE("x-llm-d-request-dropped-reason"),
                epp_slice_str(reason) };
        struct epp_buf b = { 0 };

        s->phase = PHASE_ENDED;
        s->cfg->stats->refused++;
        epp_buf_fini(&s->body);
        if (epp_ext_put_immediate(&b, http, text, &drop, reason != NULL) == 0)
                send_buf(s, &b);
        epp_rpc_finish(s->rpc, 0, EPP_SLICE(""));
}

/* The header changes of a routed request; <remove> holds ARRAY_LEN(control) slices. */
static struct epp_ext_out
routing(struct stream *s, struct epp_ext_pair *set, struct epp_slice *remove)
{
        struct epp_ext_out o = { .set = set, .n_set = 1, .remove = remove,
                .clear_route_cache = true, .ns = s->cfg->hint_ns, .key = s->cfg->hint_key };

        o.endpoint = epp_slice_str(s->verdict.endpoint);
        set[0] = (struct epp_ext_pair){ s->cfg->hint_key, o.endpoint };
        for (size_t i = 0; i < ARRAY_LEN(control); i++)
                if (s->present & 1u << i)
                        remove[o.n_remove++] = epp_slice_str(control[i]);
        return o;
}

/* Asks; true when routed, else the refusal has been sent. */
static bool
decide(struct stream *s, bool with_body)
{
        struct epp_ask ask = { .method = epp_buf_slice(&s->method), .path = epp_buf_slice(&s->path),
                .request_id = epp_buf_slice(&s->request_id), .has_body = with_body,
                .dialect = s->dialect, .scan = &s->scan, .has_subset = s->has_subset,
                .subset = epp_buf_slice(&s->subset), .now = s->now };

        s->cfg->decider.decide(s->cfg->decider.ctx, &ask, &s->verdict);
        s->ticket = s->verdict.ticket != NULL;
        if (s->verdict.http) {
                refuse(s, s->verdict.http, epp_slice_str(s->verdict.text), s->verdict.reason);
                return false;
        }
        s->phase = PHASE_ROUTED;
        s->cfg->stats->routed++;
        return true;
}

/* The pick goes out with the answer to the request headers. */
static void
route_headers(struct stream *s, bool with_body)
{
        struct epp_slice remove[ARRAY_LEN(control)];
        struct epp_ext_pair set[1];
        struct epp_ext_out o;

        if (!decide(s, with_body))
                return;
        o = routing(s, set, remove);
        answer(s, EPP_EXT_REQUEST_HEADERS, &o);
}

/* Everything of a full-duplex request is here: pick, then give the body back. */
static void
complete_duplex(struct stream *s, bool trailers)
{
        struct parts p;
        bool body = epp_buf_len(&s->body) || !s->method.p ||
                    epp_slice_eq(epp_buf_slice(&s->method), EPP_SLICE("POST"));

        epp_jscan_end(&s->scan);
        route_headers(s, body);
        if (s->phase != PHASE_ROUTED)
                return;
        if (parts_of_body(s, &p) < 0)
                epp_rpc_finish(s->rpc, 8, EPP_SLICE("out of memory"));
        else if (p.total || !trailers)
                answer_parts(s, EPP_EXT_REQUEST_BODY, &p, !trailers);
        epp_buf_fini(&p.name);
        s->request_ended = true;
        epp_buf_fini(&s->body);
}

/* Appends the renamed body to one buffer, for modes that take it in one piece. */
static int
join_body(const struct stream *s, struct epp_buf *out)
{
        struct parts p;
        int r = parts_of_body(s, &p);

        for (size_t i = 0; r == 0 && i < p.n; i++)
                r = epp_buf_append(out, p.v[i]);
        epp_buf_fini(&p.name);
        return r;
}

/* The pick goes out with the answer to the one body message. */
static void
complete_buffered(struct stream *s, bool whole)
{
        struct epp_slice remove[ARRAY_LEN(control)];
        struct epp_ext_pair set[2];
        struct epp_buf body = { 0 };
        struct epp_ext_out o;
        char length[24];

        epp_jscan_end(&s->scan);
        if (!decide(s, whole))
                return;
        o = routing(s, set, remove);
        if (s->verdict.rename && join_body(s, &body) == 0) {
                int n = snprintf(length, sizeof(length), "%zu", epp_buf_len(&body));

                set[o.n_set++] = (struct epp_ext_pair){ EPP_SLICE("content-length"),
                        epp_slice(length, (size_t)n) };
                o.replace_body = true;
                o.body = epp_buf_slice(&body);
        }
        answer(s, EPP_EXT_REQUEST_BODY, &o);
        epp_buf_fini(&body);
        epp_buf_fini(&s->body);
}

static void
keep(struct epp_buf *b, struct epp_slice v)
{
        epp_buf_drain(b, epp_buf_len(b)); /* the last one wins */
        if (v.n <= KEEP_MAX && epp_buf_append(b, v) < 0)
                epp_buf_fini(b);
}

static void
on_request_header(void *user, struct epp_slice name, struct epp_slice value)
{
        struct stream *s = user;

        if (epp_slice_ieq(name, EPP_SLICE(":method")))
                keep(&s->method, value);
        else if (epp_slice_ieq(name, EPP_SLICE(":path")))
                keep(&s->path, value);
        else if (epp_slice_ieq(name, EPP_SLICE("x-request-id")))
                keep(&s->request_id, value);
        else if (epp_slice_ieq(name, s->cfg->hint_key))
                s->client_hint = true;
        else if (name.n > 2 && epp_lower(name.p[0]) == 'x' && name.p[1] == '-')
                for (size_t i = 0; i < ARRAY_LEN(control); i++)
                        if (epp_slice_ieq(name, epp_slice_str(control[i])))
                                s->present |= 1u << i;
}

static void
on_subset(void *user, struct epp_slice value)
{
        struct stream *s = user;

        if (epp_buf_append(&s->subset, value) == 0 &&
                epp_buf_append(&s->subset, EPP_SLICE(",")) < 0)
                epp_buf_fini(&s->subset);
}

static void
read_subset(struct stream *s, struct epp_slice metadata)
{
        s->subset.cap = 1 << 20;
        epp_buf_drain(&s->subset, epp_buf_len(&s->subset));
        if (epp_ext_metadata(metadata, EPP_SLICE("envoy.lb.subset_hint"),
                    EPP_SLICE("x-gateway-destination-endpoint-subset"), on_subset, s) == 1)
                s->has_subset = true;
}

static void
early_answer(struct stream *s)
{
        struct epp_slice remove = s->cfg->hint_key;
        struct epp_ext_out o = { .remove = &remove, .n_remove = s->client_hint };

        answer(s, EPP_EXT_REQUEST_HEADERS, &o);
}

static void
request_headers(struct stream *s, const struct epp_ext_in *in)
{
        if (s->phase != PHASE_NEW || s->response_begun) {
                s->cfg->stats->ignored++;
                return;
        }
        if (epp_ext_headers(in->payload, on_request_header, s) < 0) {
                epp_rpc_finish(s->rpc, 13, EPP_SLICE("malformed request headers"));
                return;
        }
        s->dialect = epp_dialect_of(epp_buf_slice(&s->path));
        if (in->end_of_stream || s->mode == EPP_MODE_NONE) {
                s->request_ended = in->end_of_stream;
                route_headers(s, false);
                return;
        }
        s->phase = PHASE_BODY;
        epp_jscan_init(&s->scan);
        if (s->mode == EPP_MODE_BUFFERED || s->mode == EPP_MODE_PARTIAL)
                early_answer(s);
        else if (s->mode == EPP_MODE_STREAMED)
                route_headers(s, false);
        else
                s->headers_waiting = true;
}

static void
too_large(struct stream *s)
{
        char text[96];
        int n = snprintf(text, sizeof(text),
                "inference error: BadRequest - request body exceeds %zu bytes", s->cfg->max_body);

        refuse(s, 413, epp_slice(text, (size_t)n), NULL);
}

static void
request_body(struct stream *s, const struct epp_ext_in *in)
{
        if (s->phase == PHASE_NEW) {
                epp_rpc_finish(s->rpc, 3, EPP_SLICE("request body before request headers"));
                s->phase = PHASE_ENDED;
                return;
        }
        if (s->phase == PHASE_ROUTED && s->mode != EPP_MODE_DUPLEX) {
                answer_empty(s, EPP_EXT_REQUEST_BODY);
                return;
        }
        if (s->phase != PHASE_BODY) {
                s->cfg->stats->ignored++; /* Envoy repeats the end on large bodies (#46237) */
                return;
        }
        s->body.cap = s->cfg->max_body;
        if (epp_buf_append(&s->body, in->body) < 0) {
                too_large(s);
                return;
        }
        epp_jscan_feed(&s->scan, in->body);
        if (s->mode == EPP_MODE_BUFFERED || s->mode == EPP_MODE_PARTIAL)
                complete_buffered(s, s->mode == EPP_MODE_BUFFERED || in->end_of_stream);
        else if (in->end_of_stream)
                complete_duplex(s, false);
}

static void
request_trailers(struct stream *s)
{
        if (s->phase == PHASE_NEW) {
                epp_rpc_finish(s->rpc, 3, EPP_SLICE("request trailers before request headers"));
                s->phase = PHASE_ENDED;
                return;
        }
        if (s->phase == PHASE_BODY && s->mode == EPP_MODE_DUPLEX)
                complete_duplex(s, true);
        if (s->phase == PHASE_ROUTED)
                answer_empty(s, EPP_EXT_REQUEST_TRAILERS);
}

static void
on_response_header(void *user, struct epp_slice name, struct epp_slice value)
{
        struct stream *s = user;

        if (epp_slice_eq(name, EPP_SLICE(":status"))) {
                s->outcome.status = 0;
                for (size_t i = 0; i < value.n && i < 3; i++)
                        if (value.p[i] >= '0' && value.p[i] <= '9')
                                s->outcome.status = s->outcome.status * 10 + (value.p[i] - '0');
        } else if (epp_slice_ieq(name, EPP_SLICE("content-type"))) {
                struct epp_slice media = epp_slice_trim(epp_slice_cut(&value, ';'));

                s->kind = epp_slice_ieq(media, EPP_SLICE("text/event-stream")) ? BODY_SSE
                        : epp_slice_ieq(media, EPP_SLICE("application/json")) ? BODY_JSON
                                                                              : BODY_OPAQUE;
        } else if (epp_slice_ieq(name, EPP_SLICE("content-encoding"))) {
                s->encoded = !epp_slice_ieq(value, EPP_SLICE("identity"));
        }
}

/* Looks at response bytes; what they say is used once, at the end. */
static void
watch_body(struct stream *s, struct epp_slice body)
{
        if (body.n && !s->outcome.bytes)
                s->outcome.first_us = s->now - s->begun;
        s->outcome.bytes += body.n;
        if (s->kind == BODY_SSE)
                epp_sse_feed(&s->reader.sse, body);
        else if (s->kind == BODY_JSON)
                epp_usage_feed(&s->reader.json, body);
}

static void
response_end(struct stream *s)
{
        s->response_ended = true;
        release(s, true);
}

static void
response_headers(struct stream *s, const struct epp_ext_in *in)
{
        struct epp_ext_pair marker = { EPP_SLICE("x-went-into-resp-headers"), EPP_SLICE("true") };
        struct epp_ext_out o = { .set = &marker, .n_set = s->cfg->response_marker };

        if (s->response_begun) {
                s->cfg->stats->ignored++;
                return;
        }
        if (epp_ext_headers(in->payload, on_response_header, s) < 0)
                s->outcome.status = 0; /* a broken upstream never hurts the stream */
        if (s->encoded)
                s->kind = BODY_OPAQUE;
        if (s->kind == BODY_SSE)
                epp_sse_init(&s->reader.sse);
        else
                epp_usage_begin(&s->reader.json);
        s->response_begun = true;
        if (s->phase == PHASE_NEW || s->phase == PHASE_BODY)
                s->phase = PHASE_ROUTED; /* a local reply of Envoy: no pick, no accounting */
        answer(s, EPP_EXT_RESPONSE_HEADERS, &o);
        if (in->end_of_stream)
                response_end(s);
}

static void
response_body(struct stream *s, const struct epp_ext_in *in)
{
        if (!s->response_begun || (s->response_ended && s->response_mode == EPP_MODE_DUPLEX)) {
                s->cfg->stats->ignored++;
                return;
        }
        watch_body(s, in->body);
        if (s->response_mode != EPP_MODE_DUPLEX)
                answer_empty(s, EPP_EXT_RESPONSE_BODY);
        else if (in->body.n || in->end_of_stream)
                answer_chunks(s, EPP_EXT_RESPONSE_BODY, in->body, in->end_of_stream);
        if (in->end_of_stream)
                response_end(s);
}

static void
first_message(struct stream *s, const struct epp_ext_in *in)
{
        s->began = true;
        s->mute = in->observability;
        s->mode = in->has_config ? in->request_mode : s->cfg->default_mode;
        s->response_mode = in->has_config ? in->response_mode : s->cfg->default_mode;
}

static void
on_message(void *user, struct epp_slice msg, epp_us now)
{
        struct stream *s = user;
        struct epp_ext_in in;

        s->now = now;
        if (s->phase == PHASE_ENDED)
                return;
        if (epp_ext_parse(msg, &in) < 0) {
                epp_rpc_finish(s->rpc, 13, EPP_SLICE("malformed ProcessingRequest"));
                return;
        }
        if (!s->began && in.kind != EPP_EXT_NONE)
                first_message(s, &in);
        if (in.has_metadata && (s->phase == PHASE_NEW || (s->phase == PHASE_BODY && in.end_of_stream)))
                read_subset(s, in.metadata);
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
                answer_empty(s, EPP_EXT_RESPONSE_TRAILERS);
                response_end(s);
                break;
        case EPP_EXT_NONE:
                s->cfg->stats->ignored++;
                break;
        }
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
        return true;
}

static void
on_half_close(void *user, epp_us now)
{
        struct stream *s = user;

        s->now = now;
        epp_rpc_finish(s->rpc, 0, EPP_SLICE(""));
}

static void
on_closed(void *user, epp_us now)
{
        struct stream *s = user;

        s->now = now;
        if (s->ticket && s->response_mode != EPP_MODE_NONE)
                s->cfg->stats->disconnected++;
        /* The lean profile shows no response body: the end of the stream is the end of it. */
        release(s, s->response_begun && s->response_mode == EPP_MODE_NONE);
        s->cfg->stats->ended++;
        epp_buf_fini(&s->body);
        epp_buf_fini(&s->subset);
        epp_buf_fini(&s->method);
        epp_buf_fini(&s->path);
        epp_buf_fini(&s->request_id);
        free(s);
}

static int
on_open(void *ctx, struct epp_rpc *rpc, epp_us now)
{
        const struct epp_stream_config *cfg = ctx;
        struct stream *s = calloc(1, sizeof(*s));

        if (!s)
                return EPP_ENOMEM;
        s->cfg = cfg;
        s->rpc = rpc;
        s->now = s->begun = now;
        cfg->stats->begun++;
        epp_rpc_set_user(rpc, s);
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
                .open = on_open,
                .message = on_message,
                .half_close = on_half_close,
                .too_big = on_too_big,
                .closed = on_closed,
        };
}
