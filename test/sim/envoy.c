/* envoy.c - see envoy.h. */
#include "sim/envoy.h"

#include "fail/alloc.h"
#include "proto/ext_proc.pb-c.h"
#include "wire/jscan.h"

#define PB(name) Envoy__Service__ExtProc__V3__##name
#define PBF(name) envoy__service__ext_proc__v3__##name

#define STREAMED ENVOY__SERVICE__EXT_PROC__V3__BODY_MUTATION__MUTATION_STREAMED_RESPONSE
#define WHOLE ENVOY__SERVICE__EXT_PROC__V3__BODY_MUTATION__MUTATION_BODY
#define HINT "x-gateway-destination-endpoint"

/* ---- messages out ---- */

static void
put(struct epp_buf *b, struct epp_slice s)
{
        EPP_ASSERT(epp_buf_append(b, s) == 0);
}

static void
put_varint(struct epp_buf *b, uint64_t v)
{
        char byte;

        do {
                byte = (char)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
                put(b, epp_slice(&byte, 1));
                v >>= 7;
        } while (v);
}

static void
put_number(struct epp_buf *b, unsigned field, uint64_t v)
{
        put_varint(b, field << 3);
        put_varint(b, v);
}

static void
put_bytes(struct epp_buf *b, unsigned field, struct epp_slice s)
{
        put_varint(b, field << 3 | 2);
        put_varint(b, s.n);
        put(b, s);
}

/* Puts <inner> as a message and empties it. */
static void
put_inner(struct epp_buf *b, unsigned field, struct epp_buf *inner)
{
        put_bytes(b, field, epp_buf_slice(inner));
        epp_buf_fini(inner);
}

static void
put_payload(struct epp_buf *b, const struct message *m)
{
        struct epp_buf payload = { 0 }, map = { 0 }, pair = { 0 };

        switch (m->kind) {
        case EPP_EXT_REQUEST_HEADERS:
        case EPP_EXT_RESPONSE_HEADERS:
                for (size_t i = 0; i < m->n_headers; i++) {
                        put_bytes(&pair, 1, m->headers[i].name);
                        put_bytes(&pair, 3, m->headers[i].value);
                        put_inner(&map, 1, &pair);
                }
                put_inner(&payload, 1, &map);
                if (m->end)
                        put_number(&payload, 3, 1);
                break;
        case EPP_EXT_REQUEST_BODY:
        case EPP_EXT_RESPONSE_BODY:
                put_bytes(&payload, 1, m->body);
                if (m->end)
                        put_number(&payload, 2, 1);
                break;
        case EPP_EXT_NONE:
        case EPP_EXT_REQUEST_TRAILERS:
        case EPP_EXT_RESPONSE_TRAILERS:
                break;
        }
        put_inner(b, m->kind, &payload);
}

static void
put_subset(struct epp_buf *b, const char *subset)
{
        struct epp_buf value = { 0 }, entry = { 0 }, inner = { 0 }, outer = { 0 }, meta = { 0 };

        put_bytes(&value, 3, epp_slice_str(subset));
        put_bytes(&entry, 1, EPP_SLICE("x-gateway-destination-endpoint-subset"));
        put_inner(&entry, 2, &value);
        put_inner(&inner, 1, &entry);
        put_bytes(&outer, 1, EPP_SLICE("envoy.lb.subset_hint"));
        put_inner(&outer, 2, &inner);
        put_inner(&meta, 1, &outer);
        put_inner(b, 8, &meta);
}

static void
send_up(struct call *c, struct epp_slice msg)
{
        char head[EPP_GRPC_PREFIX];

        epp_grpc_prefix(head, msg.n);
        put(&c->up, epp_slice(head, sizeof(head)));
        put(&c->up, msg);
        if (!c->closed && c->envoy->client)
                nghttp2_session_resume_data(c->envoy->client, c->stream);
        envoy_pump(c->envoy);
}

void
envoy_say_empty(struct call *c)
{
        send_up(c, EPP_SLICE(""));
}

void
envoy_say(struct call *c, const struct message *m)
{
        struct epp_buf msg = { 0 }, config = { 0 };

        if (m->kind == EPP_EXT_NONE)
                put(&msg, EPP_SLICE("\x07"));
        else
                put_payload(&msg, m);
        if (m->subset)
                put_subset(&msg, m->subset);
        if (m->request_mode >= 0) {
                put_number(&config, 1, (uint64_t)m->request_mode);
                put_number(&config, 2, (uint64_t)m->response_mode);
                put_inner(&msg, 11, &config);
        }
        if (m->kind == EPP_EXT_REQUEST_BODY)
                put(&c->sent, m->body);
        send_up(c, epp_buf_slice(&msg));
        epp_buf_fini(&msg);
}

/* ---- answers in ---- */

static void
copy_text(char *out, size_t size, ProtobufCBinaryData d)
{
        snprintf(out, size, "%.*s", (int)d.len, d.len ? (const char *)d.data : "");
}

static void
read_common(struct call *c, const PB(CommonResponse) *r)
{
        const PB(HeaderMutation) *h = r ? r->header_mutation : NULL;
        const PB(BodyMutation) *b = r ? r->body_mutation : NULL;

        for (size_t i = 0; h && i < h->n_set_headers; i++) {
                const PB(HeaderValue) *v = h->set_headers[i]->header;

                if (epp_slice_eq(epp_slice(v->key.data, v->key.len), EPP_SLICE(HINT)))
                        copy_text(c->endpoint, sizeof(c->endpoint), v->raw_value);
        }
        if (b && b->mutation_case == WHOLE) {
                epp_buf_drain(&c->body, epp_buf_len(&c->body));
                put(&c->body, epp_slice(b->body.data, b->body.len));
        } else if (b && b->mutation_case == STREAMED) {
                put(&c->body, epp_slice(b->streamed_response->body.data,
                                      b->streamed_response->body.len));
                c->body_ended |= b->streamed_response->end_of_stream;
        } else if (c->mode != EPP_MODE_DUPLEX) {
                put(&c->body, epp_buf_slice(&c->sent)); /* as it came */
        }
}

static void
on_answer(struct call *c, struct epp_slice msg)
{
        PB(ProcessingResponse) *r =
                PBF(processing_response__unpack)(NULL, msg.n, (const uint8_t *)msg.p);
        size_t n = strlen(c->answers);

        EPP_ASSERT(r);
        if (n + 1 < sizeof(c->answers))
                c->answers[n] = (char)('0' + r->response_case), c->answers[n + 1] = 0;
        switch ((int)r->response_case) {
        case 1:
                read_common(c, r->request_headers->response);
                if (c->mode != EPP_MODE_DUPLEX)
                        epp_buf_fini(&c->body);
                break;
        case 3:
                read_common(c, r->request_body->response);
                break;
        case 5:
                c->body_ended = true;
                break;
        case 7:
                if (r->immediate_response->status)
                        c->http = (int)r->immediate_response->status->code;
                copy_text(c->text, sizeof(c->text), r->immediate_response->body);
                break;
        default:
                break;
        }
        PBF(processing_response__free_unpacked)(r, NULL);
}

static struct call *
call_of(nghttp2_session *s, int32_t id)
{
        return nghttp2_session_get_stream_user_data(s, id);
}

static int
on_data(nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *user)
{
        struct call *c = call_of(s, id);
        struct epp_slice in = epp_slice(p, n), msg;

        (void)flags, (void)user;
        while (c && epp_grpc_in_next(&c->in, &in, &msg) == 1)
                if (c->process)
                        on_answer(c, msg);
        return 0;
}

static int
on_header(nghttp2_session *s, const nghttp2_frame *f, const uint8_t *k, size_t kn, const uint8_t *v,
        size_t vn, uint8_t flags, void *user)
{
        struct call *c = call_of(s, f->hd.stream_id);

        (void)flags, (void)user;
        if (c && epp_slice_eq(epp_slice(k, kn), EPP_SLICE("grpc-status"))) {
                c->grpc = 0;
                for (size_t i = 0; i < vn; i++)
                        c->grpc = c->grpc * 10 + (v[i] - '0');
        }
        return 0;
}

static int
on_close(nghttp2_session *s, int32_t id, uint32_t code, void *user)
{
        struct call *c = call_of(s, id);

        (void)code, (void)user;
        if (c)
                c->closed = true;
        return 0;
}

static ssize_t
read_up(nghttp2_session *s, int32_t id, uint8_t *p, size_t n, uint32_t *flags,
        nghttp2_data_source *source, void *user)
{
        struct call *c = source->ptr;
        size_t take = EPP_MIN(n, epp_buf_len(&c->up));

        (void)s, (void)id, (void)user;
        if (!take && !c->half_closed)
                return NGHTTP2_ERR_DEFERRED;
        if (take)
                memcpy(p, epp_buf_slice(&c->up).p, take);
        epp_buf_drain(&c->up, take);
        if (c->half_closed && epp_buf_len(&c->up) == 0)
                *flags |= NGHTTP2_DATA_FLAG_EOF;
        return (ssize_t)take;
}

/* ---- the connection ---- */

int
envoy_init(struct envoy *e, struct epp_h2 *h2, epp_us now)
{
        nghttp2_session_callbacks *cb;

        *e = (struct envoy){ .h2 = h2, .now = now };
        EPP_ASSERT(nghttp2_session_callbacks_new(&cb) == 0);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
        nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
        nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
        EPP_ASSERT(nghttp2_session_client_new(&e->client, cb, e) == 0);
        nghttp2_session_callbacks_del(cb);
        nghttp2_submit_settings(e->client, 0, NULL, 0);
        envoy_pump(e);
        return e->h2 ? 0 : EPP_ENOMEM;
}

static void
server_gone(struct envoy *e)
{
        struct epp_h2 *h2 = e->h2;

        if (!h2)
                return;
        e->h2 = NULL;
        alloc_arm();
        epp_h2_free(h2, e->now);
        alloc_disarm();
        for (struct call *c = e->calls; c; c = c->next)
                c->closed = true;
}

void
envoy_fini(struct envoy *e)
{
        server_gone(e);
        if (e->client)
                nghttp2_session_del(e->client);
        e->client = NULL;
        for (struct call *c = e->calls, *next; c; c = next) {
                next = c->next;
                epp_buf_fini(&c->up);
                epp_buf_fini(&c->sent);
                epp_buf_fini(&c->body);
                epp_grpc_in_fini(&c->in);
                free(c);
        }
        e->calls = NULL;
}

/* The server's bytes to the client; false when there are none. */
static bool
pump_down(struct envoy *e)
{
        static char room[3 * EPP_H2_ROOM];
        ssize_t r = ARMED(epp_h2_drain(e->h2, room, sizeof(room), e->now));

        if (r > 0)
                EPP_ASSERT(nghttp2_session_mem_recv(e->client, (uint8_t *)room, (size_t)r) == r);
        else if (r < 0 || !epp_h2_alive(e->h2))
                server_gone(e);
        return r > 0;
}

void
envoy_pump(struct envoy *e)
{
        bool moved = true;

        while (e->h2 && moved) {
                const uint8_t *p;
                ssize_t n = nghttp2_session_mem_send(e->client, &p);
                bool broken = n > 0 &&
                              ARMED(epp_h2_feed(e->h2, epp_slice(p, (size_t)n), e->now)) < 0;

                moved = n > 0;
                while (e->h2 && pump_down(e))
                        moved = true;
                if (broken)
                        server_gone(e);
        }
}

static nghttp2_nv
nv(const char *name, const char *value)
{
        return (nghttp2_nv){ (uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                strlen(value), 0 };
}

struct call *
envoy_open(struct envoy *e, const char *id, const char *path)
{
        nghttp2_nv h[] = { nv(":method", "POST"), nv(":scheme", "http"), nv(":authority", "eppd"),
                nv(":path", path), nv("content-type", "application/grpc") };
        nghttp2_data_provider data = { { .ptr = NULL }, read_up };
        struct call *c;

        if (!e->h2)
                return NULL;
        c = calloc(1, sizeof(*c));
        EPP_ASSERT(c);
        data.source.ptr = c;
        c->stream = nghttp2_submit_request(e->client, NULL, h, ARRAY_LEN(h), &data, c);
        if (c->stream < 0) {
                free(c);
                return NULL;
        }
        snprintf(c->id, sizeof(c->id), "%s", id);
        epp_grpc_in_init(&c->in, 1 << 26);
        c->process = strcmp(path, ENVOY_PROCESS) == 0;
        c->grpc = -1;
        c->envoy = e;
        c->next = e->calls;
        e->calls = c;
        envoy_pump(e);
        return c;
}

void
envoy_half_close(struct call *c)
{
        c->half_closed = true;
        if (!c->closed)
                nghttp2_session_resume_data(c->envoy->client, c->stream);
        envoy_pump(c->envoy);
}

void
envoy_reset(struct call *c, uint32_t code)
{
        c->reset = true;
        if (!c->closed)
                nghttp2_submit_rst_stream(c->envoy->client, 0, c->stream, code);
        envoy_pump(c->envoy);
}

enum fate
envoy_fate(const struct call *c)
{
        bool whole = c->mode != EPP_MODE_DUPLEX || !c->has_body || c->body_ended;

        if (c->http)
                return FATE_REFUSED;
        if (c->closed && !c->reset && c->grpc != 0)
                return FATE_ERROR;
        if (c->endpoint[0] && whole)
                return FATE_PICK;
        if (!c->closed)
                return FATE_OPEN;
        return c->grpc == 0 ? FATE_PASSED : FATE_ERROR;
}

void
envoy_model(const struct call *c, char *out, size_t size)
{
        static struct epp_jscan j;

        epp_jscan_init(&j);
        epp_jscan_feed(&j, epp_buf_slice(&c->body));
        epp_jscan_end(&j);
        snprintf(out, size, SLICE_FMT, SLICE_ARG(epp_jscan_model(&j)));
}
