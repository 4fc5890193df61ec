/* test_exchange.c - every captured body through a whole exchange: serve/stream and the director
 * with a call that is not HTTP/2. What the client is told, what the model server gets to the byte,
 * what the client gets back to the byte, what is counted; in every mode and in pieces of many
 * sizes. Nothing an upstream sends may end the exchange. */
#include <dirent.h>
#include <jansson.h>
#include <openssl/sha.h>

#include "bodies.h"
#include "plugin/plugins.h"
#include "proto/ext_proc.pb-c.h"
#include "serve/director.h"
#include "unit.h"

#define PB(name) Envoy__Service__ExtProc__V3__##name

/* The call, in place of serve/h2: keeps what it is told. */
struct epp_rpc {
        void *user;
        bool ended;
        int code;
        size_t promised;
        struct epp_buf message; /* that has begun */
        size_t size;            /* it will have */
};
static struct {
        struct epp_rpc rpc;
        bool deaf;                         /* reads only what comes at once */
        int http, headers, trailers, ends; /* of an immediate answer; answers; ends of stream */
        int untouched, chunks;             /* body answers that change nothing; that carry bytes */
        char text[300], length[32];        /* why refused; content-length, "" when it is not set */
        struct epp_buf body;               /* what goes on */
} got;

static struct {
        struct epp_pool *pool;
        struct epp_models *models;
        struct epp_director d;
        struct epp_stream_stats stats;
        struct epp_stream_config cfg;
        struct epp_rpc_handler h;
        struct epp_outcome outcome;
        void (*release)(void *ctx, void *ticket, const struct epp_outcome *o);
        int released;
        size_t passed; /* bytes that came before the end of their message */
} w;
static const struct epp_log quiet = { .level = EPP_LOG_ERROR };

void
epp_rpc_set_user(struct epp_rpc *rpc, void *user)
{
        rpc->user = user;
}

void
epp_rpc_wake(struct epp_rpc *rpc, epp_us at)
{
        (void)rpc, (void)at;
}

int
epp_rpc_promise(struct epp_rpc *rpc, size_t n)
{
        rpc->promised = n;
        return 0;
}

int
epp_rpc_code(const struct epp_rpc *rpc)
{
        return rpc->ended ? rpc->code : 1;
}

void
epp_rpc_finish(struct epp_rpc *rpc, int code, struct epp_slice text)
{
        (void)text;
        rpc->ended = true;
        rpc->code = code;
}

static void
append(struct epp_buf *b, const void *p, size_t n)
{
        ck_assert_int_eq(epp_buf_append(b, epp_slice(p, n)), 0);
}

static void
read_headers(const PB(CommonResponse) *c)
{
        const PB(HeaderMutation) *m = c ? c->header_mutation : NULL;

        for (size_t i = 0; m && i < m->n_set_headers; i++) {
                const PB(HeaderValue) *h = m->set_headers[i]->header;

                if (epp_slice_ieq(epp_slice(h->key.data, h->key.len), EPP_SLICE("content-length")))
                        snprintf(got.length, sizeof(got.length), "%.*s",
                                (int)(h->raw_value.len + h->value.len),
                                (const char *)(h->raw_value.len ? h->raw_value.data
                                                                : h->value.data));
        }
}

static void
read_body(const PB(BodyResponse) *b)
{
        const PB(BodyMutation) *m = b->response ? b->response->body_mutation : NULL;

        read_headers(b->response);
        if (!m) {
                got.untouched++;
        } else if (m->mutation_case ==
                ENVOY__SERVICE__EXT_PROC__V3__BODY_MUTATION__MUTATION_STREAMED_RESPONSE) {
                ck_assert_int_eq(got.ends, 0); /* nothing behind the end */
                ck_assert_uint_le(m->streamed_response->body.len, 62000);
                append(&got.body, m->streamed_response->body.data, m->streamed_response->body.len);
                got.chunks++;
                got.ends += m->streamed_response->end_of_stream;
        } else {
                got.chunks++;
                if (m->mutation_case == ENVOY__SERVICE__EXT_PROC__V3__BODY_MUTATION__MUTATION_BODY)
                        append(&got.body, m->body.data, m->body.len);
        }
}

static void
read_message(const struct epp_buf *b)
{
        PB(ProcessingResponse) *r;

        r = envoy__service__ext_proc__v3__processing_response__unpack(NULL, epp_buf_len(b),
                (const uint8_t *)epp_buf_slice(b).p);
        ck_assert_ptr_nonnull(r);
        switch (r->response_case) {
        case ENVOY__SERVICE__EXT_PROC__V3__PROCESSING_RESPONSE__RESPONSE_REQUEST_BODY:
        case ENVOY__SERVICE__EXT_PROC__V3__PROCESSING_RESPONSE__RESPONSE_RESPONSE_BODY:
                read_body(r->request_body);
                break;
        case ENVOY__SERVICE__EXT_PROC__V3__PROCESSING_RESPONSE__RESPONSE_IMMEDIATE_RESPONSE:
                got.http = (int)r->immediate_response->status->code;
                snprintf(got.text, sizeof(got.text), "%.*s", (int)r->immediate_response->body.len,
                        (const char *)r->immediate_response->body.data);
                break;
        case ENVOY__SERVICE__EXT_PROC__V3__PROCESSING_RESPONSE__RESPONSE_REQUEST_HEADERS:
        case ENVOY__SERVICE__EXT_PROC__V3__PROCESSING_RESPONSE__RESPONSE_RESPONSE_HEADERS:
                read_headers(r->request_headers->response);
                got.headers++;
                break;
        default:
                got.trailers++;
        }
        envoy__service__ext_proc__v3__processing_response__free_unpacked(r, NULL);
}

int
epp_rpc_send_on(struct epp_rpc *rpc, const struct epp_slice *v, size_t n)
{
        ck_assert(!rpc->ended);
        for (size_t i = 0; i < n; i++)
                append(&rpc->message, v[i].p, v[i].n);
        ck_assert_uint_le(epp_buf_len(&rpc->message), rpc->size);
        if (epp_buf_len(&rpc->message) == rpc->size) {
                read_message(&rpc->message);
                epp_buf_fini(&rpc->message);
        }
        return 0;
}

int
epp_rpc_send_begin(struct epp_rpc *rpc, const struct epp_slice *v, size_t n, size_t rest)
{
        ck_assert_uint_eq(epp_buf_len(&rpc->message), 0); /* not in the middle of another */
        rpc->size = rest;
        for (size_t i = 0; i < n; i++)
                rpc->size += v[i].n;
        return epp_rpc_send_on(rpc, v, n);
}

int
epp_rpc_send(struct epp_rpc *rpc, const struct epp_slice *v, size_t n)
{
        return epp_rpc_send_begin(rpc, v, n, 0);
}

/* ---- the world ---- */

static void
release(void *ctx, void *ticket, const struct epp_outcome *o)
{
        w.outcome = *o;
        w.released++;
        w.release(ctx, ticket, o);
}

static void
world_init(void)
{
        struct epp_ref ref;

        memset(&w, 0, sizeof(w));
        ck_assert_int_eq(epp_pool_new(1, &w.pool), 0);
        ck_assert_int_eq(epp_models_new(1, &w.models), 0);
        ck_assert_int_eq(
                epp_sched_new(EPP_TREE_V03, &epp_thresholds_default, epp_plugins, 7, &w.d.sched),
                0);
        ck_assert_int_eq(epp_pool_put(w.pool, EPP_SLICE("a"), EPP_SLICE("10.0.0.1:80"), &ref), 1);
        epp_pool_get(w.pool, ref)->load.at = 1;
        w.d.pool = w.pool;
        w.d.models = w.models;
        w.d.log = &quiet;
        w.d.ready = true;
        w.cfg = (struct epp_stream_config){ .decider = epp_director_decider(&w.d),
                .hint_key = EPP_SLICE("x-gateway-destination-endpoint"),
                .hint_ns = EPP_SLICE("envoy.lb"),
                .max_body = 64 << 20,
                .default_mode = EPP_MODE_DUPLEX,
                .stats = &w.stats };
        w.release = w.cfg.decider.release;
        w.cfg.decider.release = release;
        w.h = epp_stream_handler(&w.cfg, 65 << 20);
}

static void
world_fini(void)
{
        ck_assert_uint_eq(w.stats.begun, w.stats.ended);
        ck_assert_uint_eq(w.stats.held_bytes, 0);
        ck_assert_uint_eq(epp_pool_find(w.pool, EPP_SLICE("a"))->inflight, 0);
        epp_sched_free(w.d.sched);
        epp_models_free(w.models);
        epp_pool_free(w.pool);
        epp_buf_fini(&got.body);
        epp_buf_fini(&got.rpc.message);
}

static void
begin(void)
{
        epp_buf_fini(&got.body);
        epp_buf_fini(&got.rpc.message);
        memset(&got, 0, sizeof(got));
        ck_assert_int_eq(w.h.open(w.h.ctx, &got.rpc, 1), 0);
}

static void
end(void)
{
        w.h.closed(got.rpc.user, 9);
}

/* A length-delimited field of up to 2^28 bytes. */
static void
field(struct epp_buf *b, int no, struct epp_slice v)
{
        char head[5] = { (char)(no << 3 | 2), (char)(v.n | 0x80), (char)(v.n >> 7 | 0x80),
                (char)(v.n >> 14 | 0x80), (char)(v.n >> 21) };

        append(b, head, 5);
        append(b, v.p, v.n);
}

/* As h2 does, with the message in frames of 16 KiB. */
static void
hear(struct epp_slice m)
{
        struct epp_grpc_in g;
        struct epp_grpc_pass pass;
        struct epp_slice in, part;
        char prefix[EPP_GRPC_PREFIX];
        int r;

        epp_grpc_in_init(&g, 1 << 28);
        g.announces = true;
        epp_grpc_prefix(prefix, m.n);
        in = epp_slice(prefix, sizeof(prefix));
        r = epp_grpc_in_next(&g, &in, &part);
        while (r != EPP_GRPC_MESSAGE && !got.rpc.ended) {
                ck_assert_int_ge(r, 0);
                if (r == EPP_GRPC_MORE) {
                        in = epp_slice(m.p, EPP_MIN(m.n, (size_t)16384));
                        m = epp_slice(m.p + in.n, m.n - in.n);
                } else if (r == EPP_GRPC_PASSES) {
                        w.h.bytes(got.rpc.user, part, 2);
                        w.passed += part.n;
                } else if (w.h.begins(got.rpc.user, part, g.want, &pass, 2)) {
                        epp_grpc_in_pass(&g, &pass);
                }
                r = epp_grpc_in_next(&g, &in, &part);
        }
        if (r == EPP_GRPC_MESSAGE)
                w.h.message(got.rpc.user, part, 2);
        epp_grpc_in_fini(&g);
}

static void
say(int kind, const struct epp_buf *payload, const char *extra)
{
        struct epp_buf m = { 0 };

        append(&m, extra, strlen(extra));
        field(&m, kind, epp_buf_slice(payload));
        hear(epp_buf_slice(&m));
        while (got.rpc.promised && !got.rpc.ended && !got.deaf)
                w.h.more(got.rpc.user, 2);
        epp_buf_fini(&m);
}

static void
header(struct epp_buf *map, const char *name, struct epp_slice value)
{
        struct epp_buf h = { 0 };

        field(&h, 1, epp_slice_str(name));
        field(&h, 3, value);
        field(map, 1, epp_buf_slice(&h));
        epp_buf_fini(&h);
}

static void
say_headers(int kind, struct epp_buf *map, bool last, const char *extra)
{
        struct epp_buf b = { 0 };

        field(&b, 1, epp_buf_slice(map));
        if (last)
                append(&b, "\x18\x01", 2);
        say(kind, &b, extra);
        epp_buf_fini(&b);
        epp_buf_fini(map);
}

static void
say_body(int kind, struct epp_slice body, bool last)
{
        struct epp_buf b = { 0 };

        field(&b, 1, body);
        if (last)
                append(&b, "\x10\x01", 2);
        say(kind, &b, "");
        epp_buf_fini(&b);
}

/* How a body comes: in pieces of <step>, its end with the last one, alone, or as trailers. */
enum ending { WITH_LAST, ALONE, TRAILERS };
static void
say_pieces(int kind, const char *p, size_t n, size_t step, enum ending ending)
{
        size_t at = 0;

        do {
                size_t k = EPP_MIN(step, n - at);

                say_body(kind, epp_slice(p + at, k), ending == WITH_LAST && at + k == n);
                at += k;
        } while (at < n);
        if (ending == ALONE)
                say_body(kind, EPP_SLICE(""), true);
        else if (ending == TRAILERS)
                say(kind + 2, &(struct epp_buf){ 0 }, "");
}

#define MODE_DUPLEX "\x5a\x04\x08\x04\x10\x04"
#define MODE_BUFFERED "\x5a\x04\x08\x02\x10\x02"
#define MODE_STREAMED "\x5a\x04\x08\x01\x10\x01"

/* ---- captured bodies ---- */

static const char *
text_of(json_t *row, const char *key)
{
        return json_string_value(json_object_get(row, key));
}

static bool
same_bytes(const char *p, size_t n)
{
        return epp_slice_eq(epp_buf_slice(&got.body), epp_slice(p, n));
}

static bool
has_sum(struct epp_slice s, const char *want)
{
        unsigned char sum[32];
        char hex[65];

        SHA256((const unsigned char *)s.p, s.n, sum);
        for (size_t i = 0; i < 32; i++)
                snprintf(hex + 2 * i, 3, "%02x", sum[i]);
        return strcmp(hex, want) == 0;
}

static void
request(json_t *row, const char *p, size_t n, const char *mode, size_t step, enum ending ending)
{
        struct epp_buf map = { 0 };

        begin();
        header(&map, ":method", EPP_SLICE("POST"));
        header(&map, ":path", epp_slice_str(text_of(row, "path")));
        say_headers(EPP_EXT_REQUEST_HEADERS, &map, false, mode);
        say_pieces(EPP_EXT_REQUEST_BODY, p, n, step, ending);
        end();
}

/* Kinds that are opt-in parsers elsewhere are opaque to us: their bytes pass. */
static bool
is_opaque(json_t *row)
{
        const char *kind = text_of(row, "kind");

        return strncmp(kind, "opaque", 6) == 0 || strncmp(kind, "vllm-grpc", 9) == 0 ||
               strcmp(kind, "sglang-generate") == 0;
}

static void
check_refused(json_t *row, size_t step)
{
        const char *name = text_of(row, "file"), *error = text_of(row, "error");
        const char *says = strncmp(error, "json:", 5) == 0 ? "the body is "
                : strcmp(error, "not-object") == 0         ? "the body is not a JSON object"
                : strcmp(error, "model-missing") == 0      ? "model not found in request body"
                : strcmp(error, "model-spans") == 0        ? "too many model keys"
                : strncmp(error, "model-", 6) == 0
                ? "the model name "
                : "invalid chat completions request: must have valid";
        const char *lead = "inference error: BadRequest - ";

        ck_assert_msg(got.http == json_integer_value(json_object_get(row, "status")),
                "%s by %zu: %d", name, step, got.http);
        ck_assert_msg(strncmp(got.text, lead, strlen(lead)) == 0 &&
                        strncmp(got.text + strlen(lead), says, strlen(says)) == 0,
                "%s: %s", name, got.text);
        ck_assert(got.rpc.ended && got.rpc.code == 0);
        ck_assert_int_eq(got.chunks, 0);
}

/* In one mode, as the model's name is the target: bytes as they came, or as <rewrite> has them. */
static void
check_sent(json_t *row, json_t *rewrite, const char *p, size_t n, const char *mode, size_t step,
        enum ending ending)
{
        const char *name = text_of(row, "file");
        bool buffered = strcmp(mode, MODE_BUFFERED) == 0,
             conflict = json_is_true(json_object_get(row, "model_conflict"));

        ck_assert_msg(got.http == 0, "%s by %zu: %s", name, step, got.text);
        ck_assert_int_eq(got.headers, 1);
        ck_assert_int_eq(got.ends, !buffered && ending != TRAILERS);
        if (rewrite) {
                ck_assert_uint_eq(epp_buf_len(&got.body),
                        (size_t)json_integer_value(json_object_get(rewrite, "bytes")));
                ck_assert_msg(has_sum(epp_buf_slice(&got.body), text_of(rewrite, "sha256")),
                        "%s by %zu: renamed", name, step);
        } else if (conflict) {
                ck_assert_msg(!same_bytes(p, n), "%s: values of model still differ", name);
        } else if (buffered) {
                ck_assert_int_eq(got.untouched, 1);
                ck_assert_int_eq(got.chunks, 0);
        } else {
                ck_assert_msg(same_bytes(p, n), "%s by %zu: changed", name, step);
        }
        if (buffered && got.chunks)
                ck_assert_uint_eq(strtoul(got.length, NULL, 10), epp_buf_len(&got.body));
        else
                ck_assert_str_eq(got.length, ""); /* full duplex: the gateway's own */
}

static const size_t steps[] = { 1, 2, 3, 5, 7, 13, 64, 4095, 16384, 62000, SIZE_MAX };

/* Large bodies come in pieces of 64 and more here; test_jscan and test_sse cut them smaller. */
static size_t
first_step(size_t n)
{
        return n > 4096 ? 6 : 0;
}

static void
run_request(json_t *row, json_t *rewrite)
{
        bool refused = json_integer_value(json_object_get(row, "status")) != 200 && !is_opaque(row);
        size_t n;
        char *p = slurp(text_of(row, "file"), &n);

        ck_assert_uint_eq(n, (size_t)json_integer_value(json_object_get(row, "bytes")));
        for (size_t i = first_step(n); i <= ARRAY_LEN(steps); i++) {
                bool buffered = i == ARRAY_LEN(steps);
                const char *mode = buffered ? MODE_BUFFERED : MODE_DUPLEX;
                size_t step = buffered ? SIZE_MAX : steps[i];
                enum ending ending = buffered ? WITH_LAST : (enum ending)(i % 3);

                request(row, p, n, mode, step, ending);
                if (refused)
                        check_refused(row, step);
                else
                        check_sent(row, rewrite, p, n, mode, step, ending);
        }
        free(p);
}

static json_t *
expected(void)
{
        size_t n;
        char *text = slurp("expected.json", &n);
        json_t *doc = json_loadb(text, n, 0, NULL);

        ck_assert_ptr_nonnull(doc);
        free(text);
        return doc;
}

/* Once without models, once with the rename that is expected. */
START_TEST(requests)
{
        json_t *doc = expected(), *row;
        size_t i, rows = 0, renamed = 0, passed = 0;

        json_array_foreach(json_object_get(doc, "requests"), i, row) {
                json_t *rewrite = json_object_get(row, "rewrite");
                const char *kind = text_of(row, "kind");

                ck_assert_str_eq(epp_dialect_of(epp_slice_str(text_of(row, "path")))->name,
                        is_opaque(row) ? "opaque" : kind);
                world_init();
                run_request(row, NULL);
                if (rewrite) {
                        struct epp_target t = { epp_slice_str(text_of(rewrite, "to")), 0, 0 };
                        json_t *model = json_object_get(row, "model");

                        ck_assert_int_eq(epp_models_add(w.models,
                                                 epp_slice(json_string_value(model),
                                                         json_string_length(model)),
                                                 EPP_CRITICAL, &t, 1),
                                0);
                        run_request(row, rewrite);
                        renamed++;
                }
                passed += w.passed;
                world_fini();
                rows++;
        }
        ck_assert_uint_gt(passed, 1 << 20);
        ck_assert_uint_eq(rows, 122);
        ck_assert_uint_eq(renamed, 65);
        json_decref(doc);
}
END_TEST

static void
response(json_t *row, const char *p, size_t n, const char *mode, size_t step, enum ending ending)
{
        const char *encoding = text_of(row, "content_encoding");
        struct epp_buf map = { 0 };

        begin();
        header(&map, ":method", EPP_SLICE("GET"));
        say_headers(EPP_EXT_REQUEST_HEADERS, &map, true, mode);
        header(&map, ":status", EPP_SLICE("200"));
        header(&map, "content-type", epp_slice_str(text_of(row, "content_type")));
        if (encoding)
                header(&map, "content-encoding", epp_slice_str(encoding));
        say_headers(EPP_EXT_RESPONSE_HEADERS, &map, false, "");
        say_pieces(EPP_EXT_RESPONSE_BODY, p, n, step, ending);
        end();
}

static void
check_outcome(json_t *row, size_t n, size_t step)
{
        bool readable = !text_of(row, "content_encoding") &&
                !strstr(text_of(row, "content_type"), "grpc");
        json_t *usage = readable ? json_object_get(row, "usage") : NULL,
               *total = json_object_get(usage, "total");
        const struct epp_outcome *o = &w.outcome;

        ck_assert_msg(
                o->usage.prompt == (uint64_t)json_integer_value(json_object_get(usage, "prompt")) &&
                        o->usage.completion ==
                                (uint64_t)json_integer_value(
                                        json_object_get(usage, "completion")) &&
                        o->usage.cached ==
                                (uint64_t)json_integer_value(json_object_get(usage, "cached")),
                "%s by %zu: usage %lu %lu %lu", text_of(row, "file"), step, o->usage.prompt,
                o->usage.completion, o->usage.cached);
        ck_assert_uint_eq(o->usage.total, total ? (uint64_t)json_integer_value(total)
                                                : o->usage.prompt + o->usage.completion);
        ck_assert_uint_eq(o->events, (uint64_t)json_integer_value(json_object_get(row, "events")));
        ck_assert_uint_eq(o->bytes, n);
        ck_assert(o->complete);
        ck_assert_int_eq(o->status, 200);
        ck_assert_int_eq(o->first_us, n ? 1 : 0);
}

static void
run_response(json_t *row)
{
        const char *name = text_of(row, "file");
        size_t n;
        char *p = slurp(name, &n);

        ck_assert_uint_eq(n, (size_t)json_integer_value(json_object_get(row, "bytes")));
        for (size_t i = 2 * first_step(n); i < 2 * ARRAY_LEN(steps); i++) {
                bool duplex = i & 1;
                size_t step = steps[i / 2];
                enum ending ending = (enum ending)(i % 3);

                w.released = 0;
                response(row, p, n, duplex ? MODE_DUPLEX : MODE_STREAMED, step, ending);
                ck_assert_int_eq(w.released, 1);
                check_outcome(row, n, step);
                ck_assert_int_eq(got.headers, 2);
                ck_assert_int_eq(got.ends, duplex && ending != TRAILERS);
                if (duplex)
                        ck_assert_msg(same_bytes(p, n), "%s by %zu: changed", name, step);
                else
                        ck_assert_int_eq(got.chunks, 0); /* the gateway has them */
                ck_assert(!got.rpc.ended);
        }
        free(p);
}

START_TEST(responses)
{
        json_t *doc = expected(), *row;
        size_t i, rows = 0;

        world_init();
        json_array_foreach(json_object_get(doc, "responses"), i, row) {
                run_response(row);
                rows++;
        }
        ck_assert_uint_eq(rows, 45);
        world_fini();
        json_decref(doc);
}
END_TEST

/* No file is left out of the list. */
START_TEST(all_files)
{
        const char *root = getenv("EPP_TEST_DATA");
        json_t *doc = expected(), *row;
        size_t i, files = 0;
        struct dirent *e;
        char path[512];
        DIR *dir;

        snprintf(path, sizeof(path), "%s/bodies", root ? root : "test/data");
        dir = opendir(path);
        ck_assert_ptr_nonnull(dir);
        while ((e = readdir(dir))) {
                bool listed = *e->d_name == '.' || strcmp(e->d_name, "expected.json") == 0;

                files += !listed;
                json_array_foreach(json_object_get(doc, "requests"), i, row)
                        listed |= strcmp(text_of(row, "file"), e->d_name) == 0;
                json_array_foreach(json_object_get(doc, "responses"), i, row)
                        listed |= strcmp(text_of(row, "file"), e->d_name) == 0;
                ck_assert_msg(listed, "%s is in no test", e->d_name);
        }
        closedir(dir);
        ck_assert_uint_eq(files, 122 + 45);
        json_decref(doc);
}
END_TEST

/* ---- broken upstreams ---- */

static void
break_bytes(struct epp_rng *r, char *p, size_t n)
{
        static const char nasty[] = "{}[]\"\\:,\n\r\0\xff" "0e-";

        for (uint64_t k = epp_rng_below(r, 8); k && n; k--)
                p[epp_rng_below(r, n)] = nasty[epp_rng_below(r, sizeof(nasty) - 1)];
}

/* One response, changed at random: bytes, lengths, headers that lie; often cut off by a reset. */
static void
broken(struct epp_rng *r, const char *file, size_t n)
{
        static const char *const types[] = { "application/json", "text/event-stream", "text/html",
                "", "text/event-stream;;", "application/json\xff",
                "APPLICATION/JSON ; charset=utf-8" };
        static const char *const statuses[] = { "200", "503", "", "99999999999", "abc", "-1",
                "2\xff", "000" };
        size_t size = epp_rng_below(r, n + 1), at = 0;
        char *p = malloc(size + 1);
        bool cut = epp_rng_below(r, 3) == 0;
        struct epp_buf map = { 0 };

        memcpy(p, file, size);
        break_bytes(r, p, size);
        begin();
        w.released = 0;
        header(&map, ":method", EPP_SLICE("GET"));
        say_headers(EPP_EXT_REQUEST_HEADERS, &map, true, MODE_DUPLEX);
        header(&map, ":status", epp_slice_str(statuses[epp_rng_below(r, ARRAY_LEN(statuses))]));
        header(&map, "content-type", epp_slice_str(types[epp_rng_below(r, ARRAY_LEN(types))]));
        say_headers(EPP_EXT_RESPONSE_HEADERS, &map, false, "");
        while (at < size) {
                size_t k = 1 + epp_rng_below(r, 700);

                k = EPP_MIN(k, size - at);
                say_body(EPP_EXT_RESPONSE_BODY, epp_slice(p + at, k), false);
                at += k;
        }
        if (!cut)
                say_body(EPP_EXT_RESPONSE_BODY, EPP_SLICE(""), true);
        ck_assert(!got.rpc.ended);
        ck_assert_msg(same_bytes(p, size), "%zu bytes back of %zu, http %d", epp_buf_len(&got.body),
                size, got.http);
        ck_assert_int_eq(w.released, !cut);
        end();
        ck_assert_int_eq(w.released, 1);
        ck_assert(w.outcome.complete == !cut && w.outcome.bytes == size);
        free(p);
}

START_TEST(broken_upstreams)
{
        json_t *doc = expected(), *row;
        struct epp_rng r;
        size_t i;

        epp_rng_init(&r, 5);
        world_init();
        json_array_foreach(json_object_get(doc, "responses"), i, row) {
                size_t n;
                char *p = slurp(text_of(row, "file"), &n);

                for (int round = 0; round < 300; round++)
                        broken(&r, p, n);
                free(p);
        }
        ck_assert_uint_eq(w.d.stats.complete + w.d.stats.aborted, 45 * 300);
        world_fini();
        json_decref(doc);
}
END_TEST

/* ---- the odd ones ---- */

/* A path is known by its end, however long the query behind it is (1.2). */
START_TEST(long_query)
{
        static const struct {
                const char *path;
                int http;
        } rows[] = { { "/v1/completions", 400 }, { "/tokenize", 0 }, { "/v1/models", 0 },
                { "/", 0 }, { "", 0 } };

        world_init();
        for (size_t i = 0; i < 2 * ARRAY_LEN(rows); i++) {
                struct epp_buf map = { 0 };
                char path[6000];
                int n = i & 1 ? snprintf(path, sizeof(path), "/%04000d%s", 0, rows[i / 2].path)
                              : snprintf(path, sizeof(path), "%s?%04000d", rows[i / 2].path, 0);

                begin();
                header(&map, ":method", EPP_SLICE("POST"));
                header(&map, ":path", epp_slice(path, (size_t)n));
                say_headers(EPP_EXT_REQUEST_HEADERS, &map, false, MODE_DUPLEX);
                say_body(EPP_EXT_REQUEST_BODY, EPP_SLICE("[]"), true);
                ck_assert_msg(
                        got.http == rows[i / 2].http, "row %zu: %d %s", i, got.http, got.text);
                end();
        }
        world_fini();
}
END_TEST

/* One byte over the limit is refused, in one message and in many (row 83). */
START_TEST(body_limit)
{
        static char p[5000];

        world_init();
        w.cfg.max_body = sizeof(p) - 1;
        memset(p, ' ', sizeof(p));
        for (size_t i = 0; i < 4; i++) {
                struct epp_buf map = { 0 };

                begin();
                header(&map, ":method", EPP_SLICE("POST"));
                header(&map, ":path", EPP_SLICE("/tokenize"));
                say_headers(EPP_EXT_REQUEST_HEADERS, &map, false, MODE_DUPLEX);
                say_pieces(EPP_EXT_REQUEST_BODY, p, sizeof(p) - (i & 1), i & 2 ? 7 : SIZE_MAX,
                        WITH_LAST);
                ck_assert_int_eq(got.http, i & 1 ? 0 : 413);
                ck_assert_str_eq(got.text, i & 1 ? ""
                        : "inference error: BadRequest - request body exceeds 4999 bytes");
                end();
        }
        world_fini();
}
END_TEST

/* ---- long bodies ---- */

#define LONG 30000000

/* {"model":"old","prompt":"xxx..."}, <n> bytes. */
static char *
long_body(size_t n)
{
        static const char head[] = "{\"model\":\"old\",\"prompt\":\"";
        char *p = malloc(n);

        memset(p, 'x', n);
        memcpy(p, head, sizeof(head) - 1);
        memcpy(p + n - 2, "\"}", 2);
        return p;
}

static void
begin_long(const char *mode, size_t max)
{
        struct epp_target t = { EPP_SLICE("a-new-name"), 0, 0 };
        struct epp_buf map = { 0 };

        world_init();
        w.cfg.max_body = max;
        ck_assert_int_eq(epp_models_add(w.models, EPP_SLICE("old"), EPP_CRITICAL, &t, 1), 0);
        begin();
        header(&map, ":method", EPP_SLICE("POST"));
        header(&map, ":path", EPP_SLICE("/v1/completions"));
        say_headers(EPP_EXT_REQUEST_HEADERS, &map, false, mode);
}

static void
check_renamed(const char *p)
{
        static const char head[] = "{\"model\":\"a-new-name\"";
        struct epp_slice b = epp_buf_slice(&got.body);

        ck_assert_uint_eq(b.n, LONG + 7);
        ck_assert_mem_eq(b.p, head, sizeof(head) - 1);
        ck_assert_mem_eq(b.p + 21, p + 14, LONG - 14);
}

/* The one message of a renamed body goes out as it is read, and lets the body go. */
START_TEST(long_message)
{
        char *p = long_body(LONG);

        begin_long(MODE_BUFFERED, LONG);
        got.deaf = true;
        say_body(EPP_EXT_REQUEST_BODY, epp_slice(p, LONG), true);
        ck_assert_uint_gt(w.passed, LONG - 100);
        ck_assert_uint_eq(w.stats.held_bytes, LONG);
        ck_assert_uint_eq(epp_buf_len(&got.rpc.message) + got.rpc.promised, got.rpc.size);
        ck_assert_uint_lt(epp_buf_len(&got.rpc.message), 300000);
        while (got.rpc.promised > LONG / 2)
                w.h.more(got.rpc.user, 2);
        ck_assert_uint_le(w.stats.held_bytes, LONG / 2 + EPP_ROPE_PIECE);
        while (got.rpc.promised)
                w.h.more(got.rpc.user, 2);
        w.h.more(got.rpc.user, 2);
        ck_assert_uint_eq(w.stats.held_bytes, 0);
        check_renamed(p);
        ck_assert_uint_eq(strtoul(got.length, NULL, 10), LONG + 7);
        end();
        world_fini();
        free(p);
}
END_TEST

static void
on_died(void *ctx)
{
        ++*(int *)ctx;
}

/* A long body that is given up is freed piece by piece, later. */
START_TEST(long_body_dies)
{
        int died = 0, turns = 1;
        struct epp_stream_spare spare = { .dead = { .opened = on_died, .ctx = &died } };
        char *p = long_body(LONG);

        for (int i = 0; i < 2; i++) {
                begin_long(MODE_DUPLEX, LONG);
                w.cfg.spare = &spare;
                say_body(EPP_EXT_REQUEST_BODY, epp_slice(p, LONG), false);
                spare.dead.open = i; /* as when its connection ends */
                end();
                ck_assert_uint_eq(w.stats.held_bytes, 0);
                ck_assert_int_eq(died, i);
                world_fini();
        }
        while (epp_grave_reap(&spare.dead, 1))
                turns++;
        ck_assert_int_ge(turns, LONG / EPP_ROPE_PIECE);
        epp_stream_spare_fini(&spare);
        free(p);
}
END_TEST

/* A refusal must not become part of the message that has begun. */
START_TEST(long_message_cut)
{
        char *p = long_body(LONG);
        size_t before;

        begin_long(MODE_BUFFERED, LONG);
        got.deaf = true;
        say_body(EPP_EXT_REQUEST_BODY, epp_slice(p, LONG), true);
        before = epp_buf_len(&got.rpc.message);
        ck_assert(w.h.too_big(got.rpc.user, 1 << 30, 3));
        ck_assert(got.rpc.ended);
        ck_assert_int_eq(got.rpc.code, 13);
        ck_assert_uint_eq(epp_buf_len(&got.rpc.message), before);
        end();
        world_fini();
        free(p);
}
END_TEST

/* Values of many megabytes are passed over, so that a few bytes lie in many pieces. */
START_TEST(long_values)
{
        enum { VALUES = 64, LARGE = 15 }; /* 144 slices in one chunk */
        size_t n, each = EPP_ROPE_PIECE - 11;
        const size_t least = 14 + VALUES * 14;
        struct epp_buf b = { 0 };
        const char *modes[] = { MODE_DUPLEX, MODE_BUFFERED };
        char *at;

        append(&b, "{\"prompt\":\"p\",", 14);
        for (int i = 0; i < VALUES; i++) {
                append(&b, "\"model\":\"", 9);
                ck_assert_int_eq(epp_buf_reserve(&b, each, &at), 0);
                memset(at, 'x', each);
                epp_buf_commit(&b, i == 0 ? each - 17 : i < LARGE ? each : 3); /* what is kept lies across pieces */
                append(&b, i + 1 < VALUES ? "\"," : "\"}", 2);
        }
        n = epp_buf_len(&b);
        for (size_t m = 0; m < ARRAY_LEN(modes); m++) {
                struct epp_target t = { EPP_SLICE("new"), 0, 0 };
                struct epp_slice s;

                begin_long(modes[m], 100 << 20);
                ck_assert_int_eq(epp_models_add(w.models, EPP_SLICE("xxx"), EPP_CRITICAL, &t, 1), 0);
                say_body(EPP_EXT_REQUEST_BODY, epp_slice(epp_buf_slice(&b).p, n), true);
                s = epp_buf_slice(&got.body);
                ck_assert_msg(got.http == 0, "%s", got.text);
                ck_assert_uint_eq(s.n, least);
                for (size_t k = 14; k < s.n - 1; k += 14)
                        ck_assert_mem_eq(s.p + k, "\"model\":\"new\"", 13);
                ck_assert_int_eq(s.p[s.n - 1], '}');
                end();
                world_fini();
        }
        epp_buf_fini(&b);
}
END_TEST

/* What is answered meanwhile (a response that the gateway made up, say) waits for its end. */
START_TEST(long_message_overtaken)
{
        char *p = long_body(LONG);
        struct epp_buf map = { 0 };

        begin_long(MODE_BUFFERED, LONG);
        got.deaf = true;
        say_body(EPP_EXT_REQUEST_BODY, epp_slice(p, LONG), true);
        header(&map, ":status", EPP_SLICE("504"));
        say_headers(EPP_EXT_RESPONSE_HEADERS, &map, true, "");
        check_renamed(p);
        ck_assert_int_eq(got.headers, 2);
        while (got.rpc.promised)
                w.h.more(got.rpc.user, 2);
        ck_assert_int_eq(got.chunks, 1);
        end();
        world_fini();
        free(p);
}
END_TEST

/* STREAMED: it goes back in the first answer, the others are emptied behind it. */
START_TEST(long_streamed)
{
        char *p = long_body(LONG);

        begin_long("\x5a\x06\x08\x01\x10\x01\x18\x01", LONG);
        got.deaf = true;
        say_pieces(EPP_EXT_REQUEST_BODY, p, LONG, LONG / 3, ALONE);
        ck_assert_int_eq(got.chunks, 0);
        got.deaf = false;
        say_body(EPP_EXT_REQUEST_BODY, EPP_SLICE(""), true); /* it is repeated (#46237) */
        check_renamed(p);
        ck_assert_int_eq(got.chunks, 4);
        end();
        world_fini();
        free(p);
}
END_TEST

/* A message that ends otherwise than it begins, or never. */
START_TEST(long_message_malformed)
{
        static const char *const tails[] = { "", "\x22\x03\x0a\x01x", "\x12\x00" };
        char *p = long_body(LONG);

        for (size_t i = 0; i < ARRAY_LEN(tails); i++) {
                struct epp_buf body = { 0 }, m = { 0 };

                begin_long(MODE_BUFFERED, LONG);
                field(&body, 1, epp_slice(p, LONG));
                field(&m, EPP_EXT_REQUEST_BODY, epp_buf_slice(&body));
                append(&m, tails[i], i == 2 ? 2 : strlen(tails[i]));
                hear(epp_buf_slice(&m));
                ck_assert_int_eq(got.rpc.ended, i != 0);
                ck_assert_int_eq(got.rpc.code, i ? 13 : 0);
                ck_assert_int_eq(got.chunks, i == 0 && !got.rpc.promised);
                end();
                world_fini();
                epp_buf_fini(&body);
                epp_buf_fini(&m);
        }
        free(p);
}
END_TEST

/* Too long is known before the end; what was taken is given up with the call. */
START_TEST(long_message_refused)
{
        char *p = long_body(LONG);

        begin_long(MODE_BUFFERED, LONG);
        say_body(EPP_EXT_REQUEST_BODY, epp_slice(p, LONG / 2), false);
        ck_assert_int_eq(got.http, 400); /* no JSON document */
        end();
        world_fini();
        begin_long(MODE_DUPLEX, 1 << 20);
        say_body(EPP_EXT_REQUEST_BODY, epp_slice(p, LONG), false);
        ck_assert_int_eq(got.http, 413);
        ck_assert_uint_lt(w.passed, 1 << 21);
        end();
        world_fini();
        free(p);
}
END_TEST

UNIT_MAIN("exchange", long_message, long_message_cut, long_values, long_message_overtaken, long_body_dies, long_streamed,
        long_message_malformed,
        long_message_refused, requests, responses, all_files, broken_upstreams, long_query, body_limit)
