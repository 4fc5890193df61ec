/* test_stream.c - whole conversations: a real HTTP/2 client session against serve/h2 and
 * serve/stream in memory. A row is a script of what the gateway sends and what must come back.
 *
 * Sent, separated by blanks (`.` behind it: end_of_stream):
 *   c44 c1e   protocol_config of the next message: request and response mode (e: early body)
 *   O M<ip>   observability; subset hint <ip> on the next message      S<addr> served endpoint
 *   P<path>   :path of the next headers       K<name>[=<value>] a header, value "v"
 *   H G h     POST, GET, response headers     B<text> b<text> body      T t trailers
 *   0 ~       empty message, malformed one    / half-close    ! RST_STREAM    @<ms> time goes on
 * Comes back: H h headers, T t trailers, B<n> b<n> streamed body of n bytes, B= b= empty body
 * answer, Bn! replaced body, Bx emptied, I<code> immediate; `.` end_of_stream; +name set, -name
 * removed header; * dynamic metadata. */
#include <nghttp2/nghttp2.h>

#include "proto/ext_proc.pb-c.h"
#include "serve/health.h"
#include "serve/stream.h"
#include "unit.h"

#define PB(name) Envoy__Service__ExtProc__V3__##name

static struct {
        struct epp_h2 *h2;
        nghttp2_session *client;
        epp_us now;
        struct epp_h2_stats h2_stats;
        struct epp_stream_stats stats;
        struct epp_stream_config cfg;
        struct epp_rpc_handler handlers[1 + EPP_HEALTH_HANDLERS];
        struct epp_health *health;
        struct epp_buf got;          /* DATA the client received */
        struct epp_buf up, msg;      /* to send by the client; being built */
        bool end, has_body, deaf;
        char grpc_status[8], http_status[8], subset[64], served[64], asked[128];
        int decided, released, goaways;
        int32_t goaway_last; /* of the last */
        uint32_t reset_code;
        enum epp_jerror scan_error;
        const char *dialect;
        int verdict_http;
        bool no_rename, pings, explain;
        uint64_t decide_ns; /* so long does a decision take */
        struct epp_outcome outcome;
} w;

static void
decide(void *ctx, const struct epp_ask *ask, struct epp_verdict *v)
{
        (void)ctx;
        memset(v, 0, sizeof(*v));
        w.decided++;
        w.has_body = ask->has_body;
        w.dialect = ask->dialect->name;
        w.scan_error = ask->has_body ? ask->scan->error : EPP_J_OK;
        snprintf(w.subset, sizeof(w.subset), "%s" SLICE_FMT, ask->has_subset ? "=" : "",
                SLICE_ARG(ask->subset));
        snprintf(w.asked, sizeof(w.asked), "id=" SLICE_FMT " objective=" SLICE_FMT " rewrite="
                SLICE_FMT " fairness=" SLICE_FMT, SLICE_ARG(ask->request_id),
                SLICE_ARG(ask->objective), SLICE_ARG(ask->rewrite), SLICE_ARG(ask->fairness));
        v->rename = ask->has_body && ask->scan->n_spans && !w.no_rename;
        v->model = EPP_SLICE("new-name");
        v->http = w.verdict_http;
        v->reason = w.verdict_http == 503 ? "rejected-no-endpoints" : NULL;
        snprintf(v->text, sizeof(v->text), "why");
        snprintf(v->endpoint, sizeof(v->endpoint), "10.0.0.1:80");
        v->done_ns = (uint64_t)w.now * 1000 + w.decide_ns;
        v->ticket = w.verdict_http ? NULL : &w;
        w.explain = ask->explain;
        v->explanation = ask->explain ? strdup("because") : NULL;
}

static void
served(void *ctx, void *ticket, struct epp_slice endpoint)
{
        (void)ctx;
        ck_assert_ptr_eq(ticket, &w);
        snprintf(w.served, sizeof(w.served), SLICE_FMT, SLICE_ARG(endpoint));
}

static void
release(void *ctx, void *ticket, const struct epp_outcome *o)
{
        (void)ctx;
        w.outcome = *o;
        ck_assert_ptr_eq(ticket, &w);
        w.released++;
}

/* ---- the client ---- */

static int
client_data(nghttp2_session *s, uint8_t f, int32_t id, const uint8_t *p, size_t n, void *u)
{
        (void)s, (void)f, (void)id, (void)u;
        ck_assert_int_eq(epp_buf_append(&w.got, epp_slice(p, n)), 0);
        return 0;
}

static int
client_header(nghttp2_session *s, const nghttp2_frame *fr, const uint8_t *k, size_t kn,
        const uint8_t *v, size_t vn, uint8_t f, void *u)
{
        struct epp_slice name = epp_slice(k, kn);

        (void)s, (void)fr, (void)f, (void)u;
        if (epp_slice_eq(name, EPP_SLICE("grpc-status")))
                snprintf(w.grpc_status, sizeof(w.grpc_status), "%.*s", (int)vn, (const char *)v);
        if (epp_slice_eq(name, EPP_SLICE(":status")))
                snprintf(w.http_status, sizeof(w.http_status), "%.*s", (int)vn, (const char *)v);
        return 0;
}

static int
client_frame(nghttp2_session *s, const nghttp2_frame *f, void *u)
{
        (void)s, (void)u;
        if (f->hd.type == NGHTTP2_GOAWAY) {
                w.goaways++;
                w.goaway_last = f->goaway.last_stream_id;
        }
        w.pings |= f->hd.type == NGHTTP2_PING;
        return 0;
}

static int
client_close(nghttp2_session *s, int32_t id, uint32_t code, void *u)
{
        (void)s, (void)id, (void)u;
        w.reset_code = code;
        return 0;
}

static ssize_t
client_read(nghttp2_session *s, int32_t id, uint8_t *p, size_t n, uint32_t *flags,
        nghttp2_data_source *src, void *u)
{
        size_t take = EPP_MIN(n, epp_buf_len(&w.up));

        (void)s, (void)id, (void)src, (void)u;
        if (!take && !w.end)
                return NGHTTP2_ERR_DEFERRED;
        if (take)
                memcpy(p, epp_buf_slice(&w.up).p, take);
        epp_buf_drain(&w.up, take);
        if (w.end && epp_buf_len(&w.up) == 0)
                *flags |= NGHTTP2_DATA_FLAG_EOF;
        return (ssize_t)take;
}

/* Bytes to and fro until both sides have said all; a deaf client's answers are kept from it. */
static void
pump(void)
{
        bool moved = true;

        while (moved) {
                static char room[3 * EPP_H2_ROOM];
                const uint8_t *p;
                ssize_t n = nghttp2_session_mem_send(w.client, &p), m;

                moved = n > 0;
                if (n > 0 && epp_h2_feed(w.h2, epp_slice(p, (size_t)n), w.now) < 0)
                        return;
                while (!w.deaf && (m = epp_h2_drain(w.h2, room, sizeof(room), w.now)) > 0) {
                        moved = true;
                        ck_assert_int_eq(nghttp2_session_mem_recv(w.client, (uint8_t *)room,
                                (size_t)m), m);
                }
        }
}

/* A client that is <deaf> never opens a window again: it takes 64 KB. */
static void
client_new(bool deaf)
{
        nghttp2_session_callbacks *cb;
        nghttp2_option *opt;

        nghttp2_session_callbacks_new(&cb);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, client_data);
        nghttp2_session_callbacks_set_on_header_callback(cb, client_header);
        nghttp2_session_callbacks_set_on_frame_recv_callback(cb, client_frame);
        nghttp2_session_callbacks_set_on_stream_close_callback(cb, client_close);
        nghttp2_option_new(&opt);
        nghttp2_option_set_no_auto_window_update(opt, deaf);
        nghttp2_session_client_new2(&w.client, cb, NULL, opt);
        nghttp2_option_del(opt);
        nghttp2_session_callbacks_del(cb);
        nghttp2_submit_settings(w.client, 0, NULL, 0);
        nghttp2_session_set_local_window_size(w.client, 0, 0, 1 << 20);
}

static void
world_init(void)
{
        memset(&w, 0, sizeof(w));
        w.now = 1;
        w.cfg = (struct epp_stream_config){ .decider = { .decide = decide, .served = served,
                .release = release },
                .hint_key = EPP_SLICE("x-gateway-destination-endpoint"),
                .hint_ns = EPP_SLICE("envoy.lb"),
                .max_body = 200000,
                .upload_timeout = 300000000,
                .default_mode = EPP_MODE_DUPLEX,
                .strip_control = true,
                .stats = &w.stats };
        w.handlers[0] = epp_stream_handler(&w.cfg, 300000);
        ck_assert_int_eq(epp_health_new(&w.health), 0);
        epp_health_handlers(w.health, w.handlers + 1);
        ck_assert_int_eq(epp_h2_new(w.handlers, ARRAY_LEN(w.handlers), &w.h2_stats, &w.h2), 0);
        client_new(false);
}

static void
world_fini(void)
{
        epp_h2_free(w.h2, w.now + 1);
        epp_health_free(w.health);
        nghttp2_session_del(w.client);
        epp_buf_fini(&w.got);
        epp_buf_fini(&w.up);
        epp_buf_fini(&w.msg);
        ck_assert_uint_eq(w.stats.begun, w.stats.ended);
        ck_assert_uint_eq(w.stats.held_bytes, 0);
}

static int32_t
call_with(
        const char *path, const char *type, const char *method, const char *name, const char *value)
{
        nghttp2_data_provider data = { { .ptr = NULL }, client_read };
        const char *const text[][2] = { { ":method", method }, { ":scheme", "http" },
                { ":authority", "a" }, { ":path", path }, { "content-type", type },
                { name, value } };
        nghttp2_nv h[ARRAY_LEN(text)];
        size_t n = name ? ARRAY_LEN(text) : ARRAY_LEN(text) - 1;

        for (size_t i = 0; i < n; i++)
                h[i] = (nghttp2_nv){ (uint8_t *)(uintptr_t)text[i][0],
                        (uint8_t *)(uintptr_t)text[i][1], strlen(text[i][0]), strlen(text[i][1]),
                        0 };
        return nghttp2_submit_request(w.client, NULL, h, n, &data, NULL);
}

static int32_t
call(const char *path, const char *type)
{
        return call_with(path, type, "POST", NULL, NULL);
}

static int32_t
process(void)
{
        return call("/envoy.service.ext_proc.v3.ExternalProcessor/Process", "application/grpc");
}

static void
say(int32_t id, struct epp_slice msg)
{
        char head[EPP_GRPC_PREFIX];

        epp_grpc_prefix(head, msg.n);
        ck_assert_int_eq(epp_buf_append(&w.up, epp_slice(head, sizeof(head))), 0);
        ck_assert_int_eq(epp_buf_append(&w.up, msg), 0);
        nghttp2_session_resume_data(w.client, id);
        pump();
}

/* ---- scripts ---- */

static void
put(struct epp_buf *b, const void *p, size_t n)
{
        ck_assert_int_eq(epp_buf_append(b, epp_slice(p, n)), 0);
}

/* A length-delimited field of up to 2^21 bytes. */
static void
field(struct epp_buf *b, int no, struct epp_slice v)
{
        char head[4] = { (char)(no << 3 | 2), (char)(v.n | 0x80), (char)(v.n >> 7 | 0x80),
                (char)(v.n >> 14) };

        put(b, head, 4);
        put(b, v.p, v.n);
}

static void
wrap(struct epp_buf *b, int no)
{
        struct epp_buf inner = *b;

        *b = (struct epp_buf){ 0 };
        field(b, no, epp_buf_slice(&inner));
        epp_buf_fini(&inner);
}

static void
header(struct epp_buf *map, const char *name, const char *value)
{
        struct epp_buf h = { 0 };

        field(&h, 1, epp_slice_str(name));
        field(&h, 3, epp_slice_str(value));
        field(map, 1, epp_buf_slice(&h));
        epp_buf_fini(&h);
}

/* Metadata ns { key: value } into the message being built. */
static void
metadata(const char *ns, const char *key, const char *value)
{
        struct epp_buf b = { 0 }, entry = { 0 };

        field(&b, 3, epp_slice_str(value)); /* Value */
        wrap(&b, 2);
        field(&entry, 1, epp_slice_str(key));
        put(&entry, epp_buf_slice(&b).p, epp_buf_len(&b));
        wrap(&entry, 1); /* Struct.fields */
        wrap(&entry, 2);
        epp_buf_fini(&b);
        field(&b, 1, epp_slice_str(ns));
        put(&b, epp_buf_slice(&entry).p, epp_buf_len(&entry));
        wrap(&b, 1); /* filter_metadata */
        field(&w.msg, 8, epp_buf_slice(&b));
        epp_buf_fini(&b);
        epp_buf_fini(&entry);
}

static void
step(int32_t id, char *word, struct epp_buf *headers)
{
        size_t n = strlen(word);
        bool end = n > 1 && word[n - 1] == '.';
        struct epp_buf b = { 0 };
        char modes[4] = { 0x08, 0, 0x10, 0 }, *value;

        if (end)
                word[--n] = 0;
        switch (*word) {
        case 'c':
                modes[1] = (char)(word[1] - '0');
                modes[3] = (char)(word[2] == 'e' ? 1 : word[2] - '0');
                put(&b, modes, 4);
                if (word[2] == 'e')
                        put(&b, "\x18\x01", 2);
                field(&w.msg, 11, epp_buf_slice(&b));
                epp_buf_fini(&b);
                return;
        case 'O':
                put(&w.msg, "\x50\x01", 2);
                return;
        case 'M':
                metadata("envoy.lb.subset_hint", "x-gateway-destination-endpoint-subset", word + 1);
                return;
        case 'S':
                metadata("envoy.lb", "x-gateway-destination-endpoint-served", word + 1);
                return;
        case 'P':
                header(headers, ":path", word + 1);
                return;
        case 'K':
                value = strchr(word, '=');
                if (value)
                        *value++ = 0;
                header(headers, word + 1, value ? value : "v");
                return;
        case 'H':
        case 'G':
        case 'h':
                if (*word == 'h')
                        header(headers, ":status", "200");
                else
                        header(headers, ":method", *word == 'H' ? "POST" : "GET");
                field(&b, 1, epp_buf_slice(headers));
                epp_buf_fini(headers);
                break;
        case 'B':
        case 'b':
                field(&b, 1, epp_slice_str(word + 1));
                break;
        case '/':
                w.end = true;
                nghttp2_session_resume_data(w.client, id);
                pump();
                return;
        case '!':
                nghttp2_submit_rst_stream(w.client, 0, id, NGHTTP2_CANCEL);
                pump();
                return;
        case '@':
                w.now += (epp_us)strtol(word + 1, NULL, 10) * 1000;
                if (epp_h2_tick(w.h2, w.now) == 0)
                        pump();
                return;
        }
        if (end && strchr("HGh", *word))
                put(&b, "\x18\x01", 2);
        else if (end)
                put(&b, "\x10\x01", 2);
        if (strchr("HGhBbTt", *word)) {
                field(&w.msg, *word == 'H' || *word == 'G' ? 2 : *word == 'h' ? 3 : *word == 'B' ? 4
                        : *word == 'b' ? 5 : *word == 'T' ? 6 : 7, epp_buf_slice(&b));
        } else if (*word == '~') {
                put(&w.msg, "\x07", 1);
        }
        say(id, epp_buf_slice(&w.msg));
        epp_buf_fini(&w.msg);
        epp_buf_fini(&b);
}

static void
play(int32_t id, const char *script)
{
        struct epp_buf headers = { 0 };
        char *copy = strdup(script), *save = NULL;

        for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
                step(id, word, &headers);
        free(copy);
        epp_buf_fini(&headers);
}

static void
tell_body(char *out, size_t size, const PB(BodyResponse) *b)
{
        const PB(BodyMutation) *m = b->response ? b->response->body_mutation : NULL;

        if (!m)
                snprintf(out, size, "=");
        else if (m->mutation_case ==
                ENVOY__SERVICE__EXT_PROC__V3__BODY_MUTATION__MUTATION_STREAMED_RESPONSE)
                snprintf(out, size, "%zu%s", m->streamed_response->body.len,
                        m->streamed_response->end_of_stream ? "." : "");
        else if (m->mutation_case == ENVOY__SERVICE__EXT_PROC__V3__BODY_MUTATION__MUTATION_BODY)
                snprintf(out, size, "%zu!", m->body.len);
        else
                snprintf(out, size, "x");
}

static void
tell_headers(char *out, size_t size, const PB(CommonResponse) *c)
{
        const PB(HeaderMutation) *m = c ? c->header_mutation : NULL;
        size_t at = 0;

        *out = 0;
        for (size_t i = 0; m && i < m->n_set_headers; i++)
                at += (size_t)snprintf(out + at, size - at, "+%.*s",
                        (int)m->set_headers[i]->header->key.len,
                        (const char *)m->set_headers[i]->header->key.data);
        for (size_t i = 0; m && i < m->n_remove_headers; i++)
                at += (size_t)snprintf(out + at, size - at, "-%.*s", (int)m->remove_headers[i].len,
                        (const char *)m->remove_headers[i].data);
}

/* What came back, in the words of the file's head. */
static const char *
answers(void)
{
        static char out[4096];
        struct epp_grpc_in g;
        struct epp_slice in = epp_buf_slice(&w.got), m;
        size_t at = 0;

        *out = 0;
        epp_grpc_in_init(&g, 1 << 24);
        while (epp_grpc_in_next(&g, &in, &m) == 1 && at < sizeof(out) - 512) {
                PB(ProcessingResponse) *r =
                        envoy__service__ext_proc__v3__processing_response__unpack(
                                NULL, m.n, (const uint8_t *)m.p);
                char body[64] = "", headers[400] = "";

                ck_assert_ptr_nonnull(r);
                if (r->response_case == 3 || r->response_case == 4) {
                        tell_body(body, sizeof(body), r->request_body);
                        tell_headers(headers, sizeof(headers), r->request_body->response);
                } else if (r->response_case == 1 || r->response_case == 2) {
                        tell_headers(headers, sizeof(headers), r->request_headers->response);
                } else if (r->response_case == 7) {
                        snprintf(body, sizeof(body), "%u", r->immediate_response->status->code);
                }
                at += (size_t)snprintf(out + at, sizeof(out) - at, "%s%c%s%s%s", at ? " " : "",
                        "0HhBbTtI"[r->response_case], body, headers,
                        r -> dynamic_metadata ? "*" : "");
                envoy__service__ext_proc__v3__processing_response__free_unpacked(r, NULL);
        }
        epp_grpc_in_fini(&g);
        return out;
}

#define E "+x-gateway-destination-endpoint"
#define D "-x-gateway-destination-endpoint"

static const struct row {
        const char *name, *script, *expect;
        int decided, released;
        const char *grpc_status; /* "" while the stream is open */
} rows[] = {
        { "full duplex", "c44 H B{} B. h bhi b.", "H" E "* B2. h b2 b0.", 1, 1, "" },
        { "duplex, one message", "c44 H B{}.", "H" E "* B2.", 1, 0, "" },
        { "duplex is the default", "H B{}.", "H" E "* B2.", 1, 0, "" },
        { "held until the end", "c44 H B{", "", 0, 0, "" },
        { "GET with an end of body", "c44 G B.", "H" E "* B0.", 1, 0, "" },
        { "no body at all", "c44 G.", "H" E "*", 1, 0, "" },
        { "body after no body", "c44 G. Bx.", "H" E "*", 1, 0, "" },
        { "#9 a second end", "c44 H B{}. B. B{}", "H" E "* B2.", 1, 0, "" },
        { "#40 request trailers", "c44 H B{} T", "H" E "* B2 T", 1, 0, "" },
        { "trailers without a body", "c44 G T", "H" E "* T", 1, 0, "" },
        { "trailers twice", "c44 H B{} T T", "H" E "* B2 T", 1, 0, "" },
        { "trailers after the end", "c44 H B{}. T", "H" E "* B2.", 1, 0, "" },
        { "#42 response trailers", "c44 G. h bhi t", "H" E "* h b2 t", 1, 1, "" },
        { "response trailers twice", "c44 G. h t t", "H" E "* h t", 1, 1, "" },
        { "#43 a response without body", "c44 G. h.", "H" E "* h", 1, 1, "" },
        { "response body after its end", "c44 G. h bx. by b.", "H" E "* h b1.", 1, 1, "" },
        { "an empty chunk in the middle", "c44 G. h b bx b.", "H" E "* h b1 b0.", 1, 1, "" },
        { "#47 response headers skipped", "c44 G. bx.", "H" E "* b1.", 1, 1, "" },
        { "#7 headers twice", "c44 H H B{}.", "H" E "* B2.", 1, 0, "" },
        { "#8 response headers first", "c44 h bx.", "h b1.", 0, 0, "" },
        { "#76 a local reply", "c44 H B{ h bx. T", "h b1. T", 0, 0, "" },
        { "#6 body first", "B{}.", "", 0, 0, "3" },
        { "request headers skipped, duplex", "c44 B{} B.", "B2.*", 1, 0, "" },
        { "request headers skipped, buffered", "c22 B{}.", "B=" E "*", 1, 0, "" },
        { "request headers skipped, streamed", "c11 B{} Bx.", "B=* B=", 1, 0, "" },
        { "trailers first", "c44 T", "", 0, 0, "3" },
        { "#2 nothing set", "0 c44 H B{}.", "H" E "* B2.", 1, 0, "" },
        { "#1 not protobuf", "~", "", 0, 0, "13" },
        { "#67 buffered", "c22 H", "H", 0, 0, "" },
        { "buffered, picked", "c22 H B{}. h bx.", "H B=" E "* h b=", 1, 1, "" },
        { "#41 buffered, trailers", "c22 H B{} T", "H B=" E "* T", 1, 0, "" },
        { "#37 buffered, client's own header", "c22 Kx-gateway-destination-endpoint H", "H" D, 0, 0,
                "" },
        { "buffered without body", "c22 H. Bx.", "H" E "* B=", 1, 0, "" },
        { "buffered twice", "c22 H B{}. B{}.", "H B=" E "*", 1, 0, "" },
        { "partial", "c33 H B{}. h bx.", "H B=" E "* h b=", 1, 1, "" },
        { "partial, cut", "c33 H B{\"model\":\"a", "H B=" E "*", 1, 0, "" },
        { "#69 streamed", "c11 H B{} Bx. h bx by.", "H" E "* B= B= h b= b=", 1, 1, "" },
        { "streamed, trailers", "c11 H B{} T", "H" E "* B= T", 1, 0, "" },
        { "streamed early", "c1e H B{} Bx B.", "H" E "* B= B= B=", 1, 0, "" },
        { "streamed early, renamed", "c1e H B{\"model\": B\"a\"} B.", "H" E "* B20! Bx Bx", 1, 0,
                "" },
        { "streamed early, slow", "c1e H B{} @60 Bx By.", "H" E "* B= B= B=", 1, 0, "" },
        { "#70 none", "c00 H h", "H" E "* h", 1, 0, "" },
        { "#72 observed", "O c44 H B{}. h bx. /", "", 1, 1, "0" },
        { "#28 nothing at all", "/", "", 0, 0, "0" },
        { "#54 half-close after the body", "H B{}. /", "H" E "* B2.", 1, 1, "0" },
        { "#55 half-close before the body", "H /", "", 0, 0, "0" },
        { "#49 reset during the body", "c44 H B{ !", "", 0, 0, "" },
        { "#50 reset during the response", "c44 H B{}. h bx !", "H" E "* B2. h b1", 1, 1, "" },
        { "#33 control headers go", "c44 Kx-llm-d-inference-objective KX-SLO-TTFT-MS H.",
                "H" E "-x-llm-d-inference-objective-x-slo-ttft-ms*", 1, 0, "" },
        { "#38 the subset is no header", "c44 Kx-gateway-destination-endpoint-subset H.",
                "H" E "-x-gateway-destination-endpoint-subset*", 1, 0, "" },
        { "an upgrade", "c44 Kupgrade H Bx By.", "H" E "* B1 B1.", 1, 0, "" },
        { "a stream that says nothing", "@0 @29900 @200", "", 0, 0, "4" },
        { "a body that does not come", "c44 H B{ @299000 @2000", "I408", 0, 0, "0" },
        { "after the pick time does not matter", "c44 H B{}. @301000", "H" E "* B2.", 1, 0, "" },
};

START_TEST(conversations)
{
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                const struct row *r = &rows[i];

                world_fini();
                world_init();
                play(process(), r->script);
                pump();
                ck_assert_msg(strcmp(answers(), r->expect) == 0, "%s: %s\nwanted: %s\ngot:    %s",
                        r->name, r->script, r->expect, answers());
                ck_assert_msg(w.decided == r->decided && w.released == r->released,
                        "%s: %d decided, %d released", r->name, w.decided, w.released);
                ck_assert_msg(strcmp(w.grpc_status, r->grpc_status) == 0, "%s: status '%s'",
                        r->name, w.grpc_status);
                ck_assert_int_eq(w.goaways, 0);
        }
}
END_TEST

/* What the decider and the counters see. */
/* Every header that means something to us: <kept> is what decide() sees, <control> ones are taken
 * out; written in small letters, in capitals and mixed. */
static const struct {
        const char *name, *kept;
        bool control;
} names[] = {
        { ":path", "path", false }, { "x-original-path", "path", false },
        { "x-forwarded-path", "path", false }, { "x-request-id", "id=/v1/completions", false },
        { "x-llm-d-inference-objective", "objective=/v1/completions", true },
        { "x-gateway-inference-objective", "objective=/v1/completions", true },
        { "x-llm-d-model-name-rewrite", "rewrite=/v1/completions", true },
        { "x-gateway-model-name-rewrite", "rewrite=/v1/completions", true },
        { "x-llm-d-inference-fairness-id", "fairness=/v1/completions", true },
        { "x-gateway-inference-fairness-id", "fairness=/v1/completions", true },
        { "x-gateway-destination-endpoint-subset", "", true },
        { "x-gateway-destination-endpoint-served", "", true },
        { "x-llm-d-slo-ttft-ms", "", true }, { "x-slo-ttft-ms", "", true },
        { "x-llm-d-slo-tpot-ms", "", true }, { "x-slo-tpot-ms", "", true },
        { "x-llm-d-request-dropped-reason", "", true }, { "x-eppd-explain", "", true },
        { "x-slo-ttft-ns", "", false }, { "y-slo-ttft-ms", "", false }, { "x", "", false },
};

static void
check_name(size_t row, int spelling)
{
        char name[64], script[128], answer[128];
        size_t n = strlen(names[row].name);

        for (size_t i = 0; i <= n; i++) {
                char c = names[row].name[i];

                name[i] = c >= 'a' && c <= 'z' && (spelling == 1 || (spelling == 2 && i % 2 == 0))
                        ? (char)(c - 32) : c;
        }
        snprintf(answer, sizeof(answer), "H" E "%s%s*", names[row].control ? "-" : "",
                names[row].control ? names[row].name : "");
        snprintf(script, sizeof(script), "c44 K%s=/v1/completions H.", name);
        epp_buf_drain(&w.got, epp_buf_len(&w.got));
        play(process(), script);
        if (strcmp(names[row].kept, "path") == 0)
                ck_assert_msg(strcmp(w.dialect, "completions") == 0, "%s: %s", name, w.dialect);
        else
                ck_assert_msg(strstr(w.asked, names[row].kept) != NULL, "%s: %s", name, w.asked);
        ck_assert_str_eq(answers(), answer);
}

START_TEST(header_names)
{
        for (size_t row = 0; row < ARRAY_LEN(names); row++)
                for (int spelling = 0; spelling < 3; spelling++)
                        check_name(row, spelling);
}
END_TEST

START_TEST(seen)
{
        static const struct {
                const char *script, *dialect, *subset, *served;
                bool has_body;
                uint64_t ignored, disconnected;
        } table[] = {
                { "c44 P/v1/chat/completions?a=/v1/embeddings H B{}.", "chat", "", "", true, 0, 0 },
                { "c44 H B{}.", "any", "", "", true, 0, 0 },
                { "c44 P/x H B{}. B.", "opaque", "", "", true, 1, 0 },
                { "c44 M10.0.0.1 H B{}.", "any", "=10.0.0.1,", "", true, 0, 0 },
                { "c44 M10.0.0.1 H M10.0.0.2 B{}.", "any", "=10.0.0.2,", "", true, 0, 0 },
                { "c44 H M10.0.0.3 B{} T", "any", "", "", true, 0, 0 },
                { "c44 G. S10.0.0.9:80 h !", "any", "", "10.0.0.9:80", false, 0, 1 },
                { "c44 H B{}. /", "any", "", "", true, 0, 0 },
                { "c44 H B{}. !", "any", "", "", true, 0, 1 },
                { "c44 H B{}. h bx. !", "any", "", "", true, 0, 0 },
                { "c40 H B{}. h !", "any", "", "", true, 0, 0 },
                { "c40 H B{}. !", "any", "", "", true, 0, 0 },
        };

        for (size_t i = 0; i < ARRAY_LEN(table); i++) {
                world_fini();
                world_init();
                play(process(), table[i].script);
                ck_assert_str_eq(w.dialect, table[i].dialect);
                ck_assert_msg(strcmp(w.subset, table[i].subset) == 0, "%s: subset %s",
                        table[i].script, w.subset);
                ck_assert_str_eq(w.served, table[i].served);
                ck_assert(w.has_body == table[i].has_body);
                ck_assert_uint_eq(w.stats.ignored, table[i].ignored);
                ck_assert_msg(w.stats.disconnected == table[i].disconnected, "%s", table[i].script);
        }
}
END_TEST

static bool
got_contains(const char *text)
{
        struct epp_slice all = epp_buf_slice(&w.got);

        return memmem(all.p, all.n, text, strlen(text)) != NULL;
}

/* The model's bytes change, no others do; content-length goes along where the body is one piece. */
START_TEST(renames)
{
        int32_t id = process();

        play(id, "c44 H B{\"x\":1e400, B\"model\":\"old\",");
        say(id, EPP_SLICE("\x22\x06\x0a\x02 }\x10\x01"));
        ck_assert(got_contains("{\"x\":1e400,\"model\":\"new-name\", }"));
        world_fini();
        world_init();
        play(process(), "c22 H B{\"model\":\"old\"}.");
        ck_assert_str_eq(answers(), "H B20!" E "+content-length*");
        ck_assert(got_contains("{\"model\":\"new-name\"}"));
        ck_assert(got_contains("content-length\x1a\x02" "20"));
        world_fini();
        world_init();
        w.no_rename = true; /* #84 */
        play(process(), "c22 H B{\"model\":\"old\"}.");
        ck_assert_str_eq(answers(), "H B=" E "*");
}
END_TEST

START_TEST(refused)
{
        w.verdict_http = 503;
        play(process(), "c44 G.");
        ck_assert_str_eq(answers(), "I503");
        ck_assert(got_contains("rejected-no-endpoints"));
        ck_assert_str_eq(w.grpc_status, "0");
        ck_assert_int_eq(w.released, 0);
        world_fini();
        world_init();
        w.verdict_http = 404;
        play(process(), "c44 H B{}. B.");
        ck_assert_str_eq(answers(), "I404");
        ck_assert(!got_contains("x-llm-d-request-dropped-reason"));
        world_fini();
        world_init();
        w.cfg.max_held = 3;
        play(process(), "c44 H B{ooo");
        play(process(), "c44 H");
        ck_assert_str_eq(answers(), "I503");
        ck_assert_uint_eq(w.stats.crowded, 1);
}
END_TEST

/* <n> body bytes in one message. */
static void
say_body(int32_t id, char kind, size_t n, bool end)
{
        struct epp_buf b = { 0 }, m = { 0 };
        char *bytes = malloc(n ? n : 1);

        memset(bytes, ' ', n);
        field(&b, 1, epp_slice(bytes, n));
        if (end)
                put(&b, "\x10\x01", 2);
        field(&m, kind == 'B' ? 4 : 5, epp_buf_slice(&b));
        say(id, epp_buf_slice(&m));
        free(bytes);
        epp_buf_fini(&b);
        epp_buf_fini(&m);
}

/* #15: chunks of 62,000 bytes, the end on the last, no empty tail. */
START_TEST(chunks)
{
        static const struct {
                size_t n;
                const char *expect;
        } table[] = { { 61999, "b61999." }, { 62000, "b62000." }, { 62001, "b62000 b1." },
                { 124000, "b62000 b62000." }, { 0, "b0." } };
        int32_t last;

        for (size_t i = 0; i < ARRAY_LEN(table); i++) {
                char expect[128];
                int32_t id;

                world_fini();
                world_init();
                id = process();
                play(id, "c44 G. h");
                say_body(id, 'b', table[i].n, true);
                snprintf(expect, sizeof(expect), "H" E "* h %s", table[i].expect);
                ck_assert_str_eq(answers(), expect);
                ck_assert_uint_eq(w.outcome.bytes, table[i].n);
        }
        world_fini();
        world_init();
        last = process();
        play(last, "c44 H");
        say_body(last, 'B', 124001, true);
        ck_assert_str_eq(answers(), "H" E "* B62000 B62000 B1.");
}
END_TEST

/* #14: a byte at a time; #16, #17, #18: limits. */
START_TEST(sizes)
{
        int32_t id = process();

        play(id, "c44 H");
        for (int i = 0; i < 10000; i++)
                play(id, "B1");
        play(id, "B.");
        ck_assert_str_eq(answers(), "H" E "* B10000.");
        id = process();
        epp_buf_drain(&w.got, epp_buf_len(&w.got));
        play(id, "c44 H");
        say_body(id, 'B', 150000, false);
        say_body(id, 'B', 60000, false);
        ck_assert_str_eq(answers(), "I413");
        ck_assert_uint_eq(w.stats.held_bytes, 0);
        say_body(id, 'B', 10, true);
        ck_assert_str_eq(answers(), "I413");
        epp_buf_drain(&w.got, epp_buf_len(&w.got));
        epp_buf_drain(&w.up, epp_buf_len(&w.up)); /* nobody takes it any more */
        id = process();
        play(id, "c44 H");
        put(&w.up, "\0\xff\xff\xff\xff", 5);
        nghttp2_session_resume_data(w.client, id);
        pump();
        ck_assert_str_eq(answers(), "I413");
        ck_assert_uint_eq(w.stats.too_large, 2);
        id = process();
        put(&w.up, "\0\xff\xff\xff\xff", 5);
        nghttp2_session_resume_data(w.client, id);
        pump();
        ck_assert_str_eq(w.grpc_status, "8");
}
END_TEST

/* Framing and calls that are none: #21, #22, #23, #25, #26, #27, #29. */
START_TEST(calls)
{
        static const char path[] = "/envoy.service.ext_proc.v3.ExternalProcessor/Process";
        static const struct {
                const char *path, *type, *method, *name, *value, *bytes;
                size_t n;
                bool end;
                const char *http, *grpc;
        } table[] = {
                { "/nobody/Process", "application/grpc", "POST", NULL, NULL, "", 0, false, "200",
                        "12" },
                { "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "application/grpc",
                        "POST", NULL, NULL, "", 0, false, "200", "12" },
                { "/envoy.service.ext_proc.v3.ExternalProcessor/No", "application/grpc+proto",
                        "POST", NULL, NULL, "", 0, false, "200", "12" },
                { "nopath", "application/grpc", "POST", NULL, NULL, "", 0, false, "", "" },
                { "/one", "application/grpc", "POST", NULL, NULL, "", 0, false, "200", "12" },
                { path, "application/json", "POST", NULL, NULL, "", 0, false, "415", "3" },
                { path, "application/grpcx", "POST", NULL, NULL, "", 0, false, "415", "3" },
                { path, "application/grpc;x=y", "GET", NULL, NULL, "", 0, false, "405", "13" },
                { path, "application/grpc", "POST", "grpc-timeout", "10x", "", 0, false, "400",
                        "13" },
                { path, "application/grpc", "POST", "grpc-timeout", "123456789S", "", 0, false,
                        "400", "13" },
                { path, "application/grpc", "POST", "grpc-timeout", "S", "", 0, false, "400",
                        "13" },
                { path, "application/grpc", "POST", "grpc-timeout", "12345678S", "", 0, true, "200",
                        "0" },
                { path, "application/grpc", "POST", "grpc-encoding", "gzip", "", 0, false, "200",
                        "12" },
                { path, "application/grpc", "POST", "grpc-encoding", "identity", "", 0, true, "200",
                        "0" },
                { path, "application/grpc", "POST", NULL, NULL, "\1\0\0\0\0", 5, false, "200",
                        "13" },
                { path, "application/grpc", "POST", NULL, NULL, "\2\0\0\0\0", 5, false, "200",
                        "13" },
                { path, "application/grpc", "POST", NULL, NULL, "\0\0\0\0\2\0", 6, true, "200",
                        "13" },
                { path, "application/grpc", "POST", NULL, NULL, "\0\0", 2, true, "200", "13" },
        };

        for (size_t i = 0; i < ARRAY_LEN(table); i++) {
                int32_t id;

                world_fini();
                world_init();
                id = call_with(table[i].path, table[i].type, table[i].method, table[i].name,
                        table[i].value);
                put(&w.up, table[i].bytes, table[i].n);
                w.end = table[i].end;
                nghttp2_session_resume_data(w.client, id);
                pump();
                ck_assert_msg(strcmp(w.http_status, table[i].http) == 0 &&
                                      strcmp(w.grpc_status, table[i].grpc) == 0,
                        "row %zu: %s %s", i, w.http_status, w.grpc_status);
                ck_assert_uint_eq(epp_h2_calls(w.h2), 0);
                ck_assert_int_eq(w.goaways, 0);
        }
}
END_TEST

/* #19, #20: messages across DATA frames and many in one. */
START_TEST(any_split)
{
        static const char text[] = "\0\0\0\0\x0a\x5a\x04\x08\x04\x10\x04\x12\x02\x18\0"
                "\0\0\0\0\6\x22\4\x0a\2{}" "\0\0\0\0\4\x22\2\x10\1" "\0\0\0\0\2\x1a\0"
                "\0\0\0\0\6\x2a\4\x0a\2hi" "\0\0\0\0\4\x2a\2\x10\1";

        for (size_t size = 1; size < sizeof(text); size++) {
                int32_t id;

                world_fini();
                world_init();
                id = process();
                for (size_t at = 0; at < sizeof(text) - 1; at += size) {
                        put(&w.up, text + at, EPP_MIN(size, sizeof(text) - 1 - at));
                        nghttp2_session_resume_data(w.client, id);
                        pump();
                }
                ck_assert_str_eq(answers(), "H" E "* B2. h b2 b0.");
        }
}
END_TEST

/* Envoy resets every stream: no limiter may trip. */
START_TEST(reset_storm)
{
        for (int i = 0; i < 20000; i++) {
                int32_t id = process();

                play(id, "c44 G.");
                nghttp2_submit_rst_stream(w.client, 0, id, NGHTTP2_NO_ERROR);
                pump();
                epp_buf_drain(&w.got, epp_buf_len(&w.got));
        }
        ck_assert_int_eq(w.goaways, 0);
        ck_assert_int_eq(w.released, 20000);
        ck_assert_uint_eq(epp_h2_calls(w.h2), 0);
}
END_TEST

/* #53: headers and reset, over and over, within a second is the rapid-reset attack. */
START_TEST(rapid_reset)
{
        for (int i = 0; i < 10002 && !w.goaways; i++) {
                int32_t id = process();

                pump();
                nghttp2_submit_rst_stream(w.client, 0, id, NGHTTP2_CANCEL);
                pump();
                if (i == 5000) /* a slower peer is not touched */
                        w.now += 1000000;
                if (i == 9999)
                        ck_assert_int_eq(w.goaways, 0);
        }
        ck_assert_int_eq(w.goaways, 0);
        for (int i = 0; i < 10002 && !w.goaways; i++) {
                int32_t id = process();

                pump();
                nghttp2_submit_rst_stream(w.client, 0, id, NGHTTP2_CANCEL);
                pump();
        }
        ck_assert_int_eq(w.goaways, 1);
        ck_assert_uint_eq(w.h2_stats.abusive, 1);
}
END_TEST

/* Sends <count> response chunks of 16,000 bytes. */
static void
pour(int32_t id, int count)
{
        static char chunk[16000];
        struct epp_buf m = { 0 };

        ck_assert_int_eq(epp_buf_append(&m, EPP_SLICE("\x2a\x83\x7d\x0a\x80\x7d")), 0);
        ck_assert_int_eq(epp_buf_append(&m, epp_slice(chunk, sizeof(chunk))), 0);
        for (int i = 0; i < count; i++)
                say(id, epp_buf_slice(&m));
        epp_buf_fini(&m);
}

/* #56: a peer that does not read is not read from for long; the other calls go on. */
START_TEST(deaf_peer_waits)
{
        int32_t id, other;

        nghttp2_session_del(w.client);
        client_new(true);
        id = process();
        play(id, "c44 G. h");
        pour(id, 400); /* 6.4 MB */
        ck_assert_int_eq(nghttp2_session_get_stream_remote_window_size(w.client, id), 0);
        ck_assert_uint_gt(w.up.tail - w.up.head, 4000000);
        epp_buf_drain(&w.up, epp_buf_len(&w.up));
        epp_buf_drain(&w.got, epp_buf_len(&w.got));
        other = process();
        play(other, "c44 G.");
        ck_assert_str_eq(answers(), "H" E "*");
        nghttp2_session_consume(w.client, id, 65535); /* it reads again */
        pump();
        ck_assert_uint_gt(epp_buf_len(&w.got), 60000);
        nghttp2_submit_rst_stream(w.client, 0, id, NGHTTP2_CANCEL);
        nghttp2_submit_rst_stream(w.client, 0, other, NGHTTP2_CANCEL);
        pump();
        ck_assert_int_eq(w.released, 2);
}
END_TEST

/* More answers wait than ever should: the call is reset and released, what waited is freed. */
START_TEST(deaf_peer_is_reset)
{
        int32_t id;

        nghttp2_session_del(w.client);
        client_new(true);
        w.handlers[0].max_queue = 100000;
        id = process();
        play(id, "c44 G. h");
        pour(id, 12);
        ck_assert_uint_eq(w.h2_stats.stalled, 1);
        ck_assert_int_eq(w.released, 1);
        ck_assert_uint_eq(epp_h2_calls(w.h2), 0);
}
END_TEST

/* A long body goes back as the peer reads it; what is said in its direction, and the end, wait behind
 * it; a response does not. What the peer leaves unread goes with the call. */
START_TEST(long_body)
{
        for (int reads = 0; reads < 2; reads++) {
                const char *told, *at;
                size_t read = 0, bodies = 0;
                int32_t id;

                world_fini();
                world_init();
                nghttp2_session_del(w.client);
                client_new(true);
                w.cfg.max_body = 1000000;
                id = process();
                play(id, "c44 H");
                for (int i = 0; i < 5; i++)
                        say_body(id, 'B', 200000, false);
                play(id, "T h /");
                ck_assert_uint_eq(w.stats.held_bytes, 1000000);
                ck_assert_str_eq(w.grpc_status, "");
                while (reads && read < epp_buf_len(&w.got)) {
                        size_t more = epp_buf_len(&w.got) - read;

                        read += more;
                        nghttp2_session_consume(w.client, id, more);
                        pump();
                }
                if (!reads)
                        play(id, "!");
                ck_assert_uint_eq(w.stats.held_bytes, 0);
                ck_assert_uint_eq(epp_h2_calls(w.h2), 0);
                if (!reads)
                        continue;
                told = answers();
                ck_assert_msg(strstr(told, "B62000 h B62000"), "%s", told); /* not behind all of it */
                for (at = told; (at = strstr(at, "B62000")) != NULL; at++)
                        bodies++;
                ck_assert_uint_eq(bodies, 16);
                ck_assert_str_eq(strstr(told, "B8000"), "B8000 T");
                ck_assert_str_eq(w.grpc_status, "0");
        }
}
END_TEST

/* A silent peer is asked for a sign of life, and given up without one. */
START_TEST(keepalive)
{
        int32_t id = process();

        play(id, "c44 G. h");
        ck_assert_int_eq(epp_h2_tick(w.h2, w.now += 59000000), 0);
        pump();
        ck_assert(!w.pings);
        ck_assert_int_eq(epp_h2_next(w.h2), w.now + 1000000);
        play(id, "@2000"); /* the client answers by itself */
        ck_assert(w.pings);
        ck_assert_int_eq(epp_h2_tick(w.h2, w.now += 21000000), 0);
        w.deaf = true;
        ck_assert_int_eq(epp_h2_tick(w.h2, w.now += 61000000), 0);
        ck_assert_int_eq(epp_h2_tick(w.h2, w.now + 19000000), 0);
        ck_assert_int_eq(epp_h2_tick(w.h2, w.now + 20000000), EPP_EPROTO);
        ck_assert_uint_eq(w.h2_stats.dead, 1);
}
END_TEST

/* A tenth more or less, all of it used; the tick is due then and not before. */
START_TEST(age_jitter)
{
        struct epp_rng rng;
        epp_us low = INT64_MAX, high = 0;

        epp_rng_init(&rng, 7);
        for (int i = 0; i < 1000; i++) {
                epp_h2_age(w.h2, 10000000, &rng, 1000);
                low = EPP_MIN(low, epp_h2_next(w.h2) - 1000);
                high = EPP_MAX(high, epp_h2_next(w.h2) - 1000);
        }
        ck_assert_int_ge(low, 9000000);
        ck_assert_int_le(low, 9050000);
        ck_assert_int_le(high, 11000000);
        ck_assert_int_ge(high, 10950000);
}
END_TEST

/* Old: asked to leave, once. The call that was begun before the peer read of it is served, as the
 * one that runs; with the end of both the connection is done. */
START_TEST(aged)
{
        static char held[EPP_H2_ROOM];
        struct epp_rng rng;
        int32_t id = process(), late;
        ssize_t n;

        epp_rng_init(&rng, 1);
        epp_h2_age(w.h2, 1000000, &rng, w.now);
        play(id, "c44 G. h");
        w.now = epp_h2_next(w.h2);
        ck_assert_int_eq(epp_h2_tick(w.h2, w.now - 1), 0);
        pump();
        ck_assert_int_eq(w.goaways, 0);
        ck_assert_int_eq(epp_h2_tick(w.h2, w.now), 0);
        n = epp_h2_drain(w.h2, held, sizeof(held), w.now);
        w.deaf = true;
        late = process();
        pump(); /* on its way while the GOAWAY is */
        w.deaf = false;
        ck_assert_int_gt(n, 0);
        ck_assert_int_eq(nghttp2_session_mem_recv(w.client, (uint8_t *)held, (size_t)n), n);
        ck_assert_int_eq(w.goaways, 1);
        ck_assert_int_eq(w.goaway_last, INT32_MAX);
        pump();
        ck_assert_int_eq(w.goaways, 2);
        ck_assert_int_eq(w.goaway_last, late);
        play(late, "c44 G.");
        play(id, "b.");
        ck_assert_uint_eq(epp_h2_calls(w.h2), 2);
        ck_assert(epp_h2_alive(w.h2));
        play(id, "/");
        play(late, "/");
        ck_assert_uint_eq(epp_h2_calls(w.h2), 0);
        ck_assert(!epp_h2_alive(w.h2));
        ck_assert_uint_eq(w.h2_stats.aged, 1);
        ck_assert_int_eq(w.released, 2);
}
END_TEST

/* The end of a drain: what still runs is reset, and the connection is done. */
START_TEST(all_reset)
{
        int32_t id = process();

        play(id, "c44 G. h");
        ck_assert_int_eq(w.released, 0);
        epp_h2_shutdown(w.h2, true);
        epp_h2_reset(w.h2);
        pump();
        ck_assert_uint_eq(w.reset_code, NGHTTP2_CANCEL);
        ck_assert_int_eq(w.released, 1);
        ck_assert(!epp_h2_alive(w.h2));
}
END_TEST

START_TEST(usage)
{
        int32_t id = process();

        play(id, "c44 G.");
        say(id,
                EPP_SLICE("\x1a\x24\x0a\x22\x0a\x20\x0a\x0c"
                          "content-type\x1a\x10"
                          "application/json"));
        play(id, "b{\"usage\":{\"compl betion_tokens\":7}}.");
        ck_assert_int_eq(w.released, 1);
        ck_assert_uint_eq(w.outcome.usage.completion, 7);
        ck_assert_uint_eq(w.outcome.bytes, 33);
        ck_assert(w.outcome.complete);
}
END_TEST

#define SSE_HEAD \
        EPP_SLICE("\x1a\x25\x0a\x23\x0a\x21\x0a\x0c" \
                  "content-type\x1a\x11" \
                  "text/event-stream")

static unsigned clock_read;
static uint64_t clock_step; /* ns: so much later than the message is each further reading */

static uint64_t
clock_ns(void)
{
        return (uint64_t)w.now * 1000 + ++clock_read * clock_step;
}

static void
near(double got, double want)
{
        ck_assert_msg(got > want - 1e-12 && got < want + 1e-12, "%.12f, wanted %.12f", got, want);
}

/* Requests from the stream's begin to their handling; streamed responses by the work they took,
 * others by their length; the clock is read for every eighth message of a streamed response. */
START_TEST(timing)
{
        static const struct {
                bool sse;
                const char *before, *after; /* the response's head */
                unsigned reads, request, response;
                double request_us, response_us;
        } cases[] = {
                { false, "c44 @7 G.", "@5 bxxx @6 byyy. @9 /", 0, 1, 1, 7001, 11000 },
                { true, "c44 @7 @1 G. @1", "@5 bxxx @6 byyy. @9 /", 1, 1, 1, 8001, 3 * 1 },
                { true, "c44 @7 G. @1", "@1 bx @1 bx @1 bx @1 bx @1 bx @1 bx @1 bx @1 bx.", 2, 1, 1,
                        7001, 9 * (1 + 2) / 2. },
                { true, "c44 @7 G. @1", "@1 bx bx bx bx bx bx bx bx.", 2, 1, 1, 7001,
                        9 * (1 + 2 / 8.) / 2 },
                { true, "c44 H @3 B{} @4 B.", "", 1, 1, 1, 7001, 1 / 2. },
                { false, "c44 H @3 B{} @4 B.", "@5 bxx @20 !", 0, 1, 1, 7001, 25000 },
                { true, "c44 H @3 B{} @4 B. @1", "@5 bxx !", 1, 1, 1, 7001, 2 * 1 },
                { false, "c44 H @3 B{}", NULL, 0, 0, 0, 0, 0 },
                { false, "c44 /", NULL, 0, 0, 0, 0, 0 },
        };

        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                struct epp_stream_timing t;
                epp_us begun;
                int32_t id;

                world_fini();
                world_init();
                epp_stream_timing_init(&t, clock_ns);
                w.cfg.timing = &t;
                w.now = begun = 5000000;
                clock_read = 0;
                w.decide_ns = clock_step = 1000;
                id = process();
                play(id, "@0"); /* the stream begins */
                play(id, cases[i].before);
                if (cases[i].sse)
                        say(id, SSE_HEAD);
                play(id, !cases[i].after ? "@0" : cases[i].sse ? cases[i].after : "h");
                if (cases[i].after && !cases[i].sse)
                        play(id, cases[i].after);
                play(id, "!");
                ck_assert_msg(clock_read == cases[i].reads, "%zu: %u", i, clock_read);
                ck_assert_uint_eq(epp_hist_count(&t.request), cases[i].request);
                near(t.request.sum, cases[i].request_us / 1e6);
                ck_assert_uint_eq(epp_hist_count(&t.response), cases[i].response);
                near(t.response.sum, cases[i].response_us / 1e6);
                ck_assert_uint_eq(epp_hist_count(&t.stream), 1);
                near(t.stream.sum, (double)(w.now - begun) / 1e6);
        }
}
END_TEST

/* Refused requests take time too, whether they were asked about or not. */
START_TEST(timing_of_refusals)
{
        struct epp_stream_timing t;

        epp_stream_timing_init(&t, clock_ns);
        w.cfg.timing = &t;
        w.cfg.max_body = 3;
        clock_step = 0;
        play(process(), "@0 c44 H @2 Bxxxx");
        ck_assert_uint_eq(epp_hist_count(&t.request), 1);
        near(t.request.sum, 0.002);
        w.verdict_http = 404;
        w.decide_ns = 4000;
        play(process(), "@0 c44 @3 G.");
        ck_assert_uint_eq(epp_hist_count(&t.request), 2);
        near(t.request.sum, 0.005004);
        ck_assert_uint_eq(epp_hist_count(&t.response), 0);
        ck_assert_uint_eq(epp_hist_count(&t.stream), 2);
}
END_TEST

/* How streams end: the code, and what was cut off. */
START_TEST(ends)
{
        static const struct {
                const char *script;
                int code, aborted; /* a phase; -1: nothing was cut off */
        } cases[] = {
                { "c44 G. h bx. /", 0, -1 }, { "c44 G. h bx. !", 1, -1 },
                { "c44 H !", 1, EPP_ABORTED_REQUEST }, { "c44 H B{} /", 0, EPP_ABORTED_REQUEST },
                { "c44 G. !", 1, EPP_ABORTED_WAITING }, { "c44 G. /", 0, -1 },
                { "c44 G. h !", 1, EPP_ABORTED_RESPONSE },
                { "c44 G. h bx /", 0, EPP_ABORTED_RESPONSE }, { "c44 h bx !", 1,
                EPP_ABORTED_RESPONSE }, { "c44 h bx. !", 1, -1 }, { "c40 G. h !", 1, -1 },
                { "c40 G. !", 1, -1 }, { "@0 !", 1, -1 }, { "~", 13, -1 }, { "c44 G. ~", 13,
                EPP_ABORTED_WAITING }, { "c44 T", 3, -1 }, { "@0 @31000", 4, -1 },
        };

        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                uint64_t aborted = 0;

                world_fini();
                world_init();
                play(process(), cases[i].script);
                ck_assert_msg(w.stats.ended == 1 && w.stats.code[cases[i].code] == 1, "%s",
                        cases[i].script);
                for (int k = 0; k < EPP_ABORTED_COUNT; k++)
                        aborted += w.stats.aborted[k];
                ck_assert_msg(aborted == (cases[i].aborted >= 0), "%s", cases[i].script);
                if (cases[i].aborted >= 0)
                        ck_assert_msg(w.stats.aborted[cases[i].aborted] == 1, "%s", cases[i].script);
        }
        w.verdict_http = 404;
        play(process(), "c44 G.");
        ck_assert_uint_eq(w.stats.code[0], 1);
        ck_assert_str_eq(epp_grpc_code_name(1), "Canceled");
        ck_assert_str_eq(epp_grpc_code_name(EPP_GRPC_CODES - 1), "Unauthenticated");
}
END_TEST

START_TEST(marker)
{
        w.cfg.response_marker = true;
        play(process(), "c44 G. h");
        ck_assert_str_eq(answers(), "H" E "* h+x-went-into-resp-headers");
}
END_TEST

static bool
got_text(const char *text)
{
        struct epp_slice got = epp_buf_slice(&w.got);

        return memmem(got.p, got.n, text, strlen(text)) != NULL;
}

#define ASKED "Kx-eppd-explain=1"
#define GONE "-x-eppd-explain*"

/* Who may ask why, how, and where the answer stands. The question itself never goes on. */
START_TEST(explained)
{
        static const struct {
                const char *script, *expect;
                bool allowed, marker, told;
                int http;
        } cases[] = {
                { "c44 " ASKED " G. h", "H" E GONE " h+x-eppd-explain", true, false, true, 0 },
                { "c44 " ASKED " G. h", "H" E GONE " h+x-went-into-resp-headers+x-eppd-explain",
                        true, true, true, 0 },
                { "c44 " ASKED " G. h", "H" E GONE " h", false, false, false, 0 },
                { "c44 Kx-eppd-explain=0 G. h", "H" E GONE " h", true, false, false, 0 },
                { "c44 Kx-eppd-explain=true G. h", "H" E GONE " h", true, false, false, 0 },
                { "c44 G. h", "H" E "* h", true, false, false, 0 },
                { "c44 KX-Eppd-Explain=1 H B{}. h bx.",
                        "H" E GONE " B2. h+x-eppd-explain b1.", true, false, true, 0 },
                { "c22 " ASKED " H B{}. h bx.", "H B=" E GONE " h+x-eppd-explain b=", true, false,
                        true, 0 },
                { "c11 " ASKED " H B{}. h bx.", "H" E GONE " B= h+x-eppd-explain b=", true, false,
                        true, 0 },
                { "c44 " ASKED " G. bx.", "H" E GONE " b1.", true, false, false, 0 }, /* none shown */
                { "c44 " ASKED " G. !", "H" E GONE, true, false, false, 0 },
                { "c44 " ASKED " G.", "I429", true, false, true, 429 },
                { "c44 " ASKED " G.", "I503", true, false, true, 503 },
                { "c44 " ASKED " G.", "I429", false, false, false, 429 },
        };

        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                world_fini();
                world_init();
                w.cfg.allow_explain = cases[i].allowed;
                w.cfg.response_marker = cases[i].marker;
                w.verdict_http = cases[i].http;
                play(process(), cases[i].script);
                ck_assert_msg(strcmp(answers(), cases[i].expect) == 0, "%zu: %s", i, answers());
                ck_assert_msg(got_text("because") == cases[i].told, "%zu: told", i);
                ck_assert_int_eq(got_text("rejected-no-endpoints"), cases[i].http == 503);
        }
}
END_TEST

static void
probe(const char *path, struct epp_slice request, struct epp_slice expect)
{
        epp_buf_drain(&w.got, epp_buf_len(&w.got));
        say(call(path, "application/grpc"), request);
        ck_assert(epp_slice_eq(epp_buf_slice(&w.got), expect));
}

START_TEST(health)
{
        const char *check = "/grpc.health.v1.Health/Check";

        probe(check, EPP_SLICE(""), EPP_SLICE("\0\0\0\0\2\x08\2"));
        probe(check, EPP_SLICE("\x0a\x08liveness"), EPP_SLICE("\0\0\0\0\2\x08\1"));
        probe("/grpc.health.v1.Health/Watch", EPP_SLICE(""), EPP_SLICE("\0\0\0\0\2\x08\2"));
        epp_health_set(w.health, true);
        epp_health_set(w.health, true); /* no change: nothing is said */
        pump();
        ck_assert(epp_slice_eq(epp_buf_slice(&w.got),
                EPP_SLICE("\0\0\0\0\2\x08\2\0\0\0\0\2\x08\1")));
        probe(check, EPP_SLICE("\x0a\x01x"), EPP_SLICE("\0\0\0\0\2\x08\1"));
        probe(check, EPP_SLICE("\x0a\x13inference-extension"), EPP_SLICE("\0\0\0\0\2\x08\1"));
        ck_assert_str_eq(w.grpc_status, "0");
        call(check, "application/grpc"); /* #80: a name of more than 64 KiB */
        put(&w.up, "\0\0\x11\0\0", 5);
        pump();
        ck_assert_str_eq(w.grpc_status, "8");
}
END_TEST

UNIT_MAIN_WITH("stream", world_init, world_fini, conversations, header_names, seen, renames,
        refused, chunks, sizes, calls, any_split, reset_storm, rapid_reset, keepalive, age_jitter,
        aged, all_reset, usage, timing, timing_of_refusals, ends, marker, explained, health,
        deaf_peer_waits, deaf_peer_is_reset, long_body)
