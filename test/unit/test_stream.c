/* test_stream.c - whole conversations: a real HTTP/2 client session against serve/h2 and
 * serve/stream in memory, mode by mode. */
#include <nghttp2/nghttp2.h>

#include "serve/health.h"
#include "serve/stream.h"
#include "unit.h"

static struct {
        struct epp_h2 *h2;
        nghttp2_session *client;
        struct epp_h2_stats h2_stats;
        struct epp_stream_stats stats;
        struct epp_stream_config cfg;
        struct epp_rpc_handler handlers[1 + EPP_HEALTH_HANDLERS];
        struct epp_health *health;
        struct epp_buf got; /* DATA the client received */
        enum epp_jerror scan_error;
        struct epp_buf up;           /* to send by the client */
        bool end, has_body;
        char grpc_status[8];
        int decided, released, goaways;
        int verdict_http;
        struct epp_outcome outcome;
} w;

static void
decide(void *ctx, const struct epp_ask *ask, struct epp_verdict *v)
{
        (void)ctx;
        w.decided++;
        w.has_body = ask->has_body;
        w.scan_error = ask->has_body ? ask->scan->error : EPP_J_OK;
        v->rename = ask->has_body && ask->scan->n_spans;
        v->model = EPP_SLICE("new-name");
        v->http = w.verdict_http;
        snprintf(v->text, sizeof(v->text), "why");
        snprintf(v->endpoint, sizeof(v->endpoint), "10.0.0.1:80");
        v->ticket = w.verdict_http ? NULL : &w;
}

static void
release(void *ctx, void *ticket, const struct epp_outcome *o)
{
        (void)ctx;
        w.outcome = *o;
        ck_assert_ptr_eq(ticket, &w);
        w.released++;
}

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
        (void)s, (void)fr, (void)f, (void)u;
        if (epp_slice_eq(epp_slice(k, kn), EPP_SLICE("grpc-status")))
                snprintf(w.grpc_status, sizeof(w.grpc_status), "%.*s", (int)vn, (const char *)v);
        return 0;
}

static int
client_frame(nghttp2_session *s, const nghttp2_frame *f, void *u)
{
        (void)s, (void)u;
        w.goaways += f->hd.type == NGHTTP2_GOAWAY;
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

static void
pump(void)
{
        bool moved = true;

        while (moved) {
                const uint8_t *p;
                struct epp_slice s;
                ssize_t n = nghttp2_session_mem_send(w.client, &p);

                moved = n > 0;
                if (n > 0)
                        ck_assert_int_eq(epp_h2_feed(w.h2, epp_slice(p, (size_t)n), 1), 0);
                while (epp_h2_drain(w.h2, &s, 1) == 1) {
                        moved = true;
                        ck_assert_int_eq(nghttp2_session_mem_recv(w.client, (const uint8_t *)s.p, s.n),
                                (ssize_t)s.n);
                }
        }
}

static void
world_init(void)
{
        nghttp2_session_callbacks *cb;

        memset(&w, 0, sizeof(w));
        w.cfg = (struct epp_stream_config){ { NULL, decide, release },
                EPP_SLICE("x-gateway-destination-endpoint"), EPP_SLICE("envoy.lb"), 200000,
                EPP_MODE_DUPLEX, false, &w.stats };
        w.handlers[0] = epp_stream_handler(&w.cfg, 300000);
        ck_assert_int_eq(epp_health_new(&w.health), 0);
        epp_health_handlers(w.health, w.handlers + 1);
        ck_assert_int_eq(epp_h2_new(w.handlers, ARRAY_LEN(w.handlers), &w.h2_stats, &w.h2), 0);
        nghttp2_session_callbacks_new(&cb);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, client_data);
        nghttp2_session_callbacks_set_on_header_callback(cb, client_header);
        nghttp2_session_callbacks_set_on_frame_recv_callback(cb, client_frame);
        nghttp2_session_client_new(&w.client, cb, NULL);
        nghttp2_session_callbacks_del(cb);
        nghttp2_submit_settings(w.client, 0, NULL, 0);
}

static void
world_fini(void)
{
        epp_h2_free(w.h2, 2);
        epp_health_free(w.health);
        nghttp2_session_del(w.client);
        epp_buf_fini(&w.got);
        epp_buf_fini(&w.up);
        ck_assert_uint_eq(w.stats.begun, w.stats.ended);
}

static int32_t
call(const char *path, const char *type)
{
        nghttp2_data_provider data = { { .ptr = NULL }, client_read };
        nghttp2_nv h[] = {
                { (uint8_t *)(uintptr_t)":method", (uint8_t *)(uintptr_t)"POST", 7, 4, 0 },
                { (uint8_t *)(uintptr_t)":scheme", (uint8_t *)(uintptr_t)"http", 7, 4, 0 },
                { (uint8_t *)(uintptr_t)":authority", (uint8_t *)(uintptr_t)"a", 10, 1, 0 },
                { (uint8_t *)(uintptr_t)":path", (uint8_t *)(uintptr_t)path, 5, strlen(path), 0 },
                { (uint8_t *)(uintptr_t)"content-type", (uint8_t *)(uintptr_t)type, 12, strlen(type), 0 },
        };

        return nghttp2_submit_request(w.client, NULL, h, ARRAY_LEN(h), &data, NULL);
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

/* The oneof fields of the answers received so far, as a string of digits. */
static const char *
answers(void)
{
        static char out[64];
        struct epp_grpc_in g;
        struct epp_slice in = epp_buf_slice(&w.got), m;
        size_t n = 0;

        epp_grpc_in_init(&g, 1 << 24);
        while (epp_grpc_in_next(&g, &in, &m) == 1 && n < sizeof(out) - 1)
                out[n++] = (char)('0' + (m.p[0] >> 3));
        out[n] = 0;
        epp_grpc_in_fini(&g);
        return out;
}

#define DUPLEX "\x5a\x04\x08\x04\x10\x04"
#define RH "\x12\x11\x0a\x0f\x0a\x0d\x0a\x07:method\x1a\x02XX" /* a body request */

START_TEST(duplex)
{
        int32_t id = process();

        say(id, EPP_SLICE(DUPLEX RH));
        ck_assert_str_eq(answers(), "");
        say(id, EPP_SLICE("\x22\x04\x0a\x02{}"));
        ck_assert_int_eq(w.decided, 0);
        say(id, EPP_SLICE("\x22\x02\x10\x01"));
        ck_assert_str_eq(answers(), "13");
        ck_assert_int_eq(w.scan_error, EPP_J_OK);
        say(id, EPP_SLICE("\x22\x02\x10\x01")); /* Envoy #46237: a second end */
        ck_assert_str_eq(answers(), "13");
        ck_assert_int_eq(w.decided, 1);
        say(id, EPP_SLICE("\x1a\x00"));
        say(id, EPP_SLICE("\x2a\x04\x0a\x02hi"));
        ck_assert_str_eq(answers(), "1324");
        ck_assert_int_eq(w.released, 0);
        say(id, EPP_SLICE("\x2a\x02\x10\x01"));
        ck_assert_str_eq(answers(), "13244");
        ck_assert_int_eq(w.released, 1);
        ck_assert(w.outcome.complete);
        ck_assert_uint_eq(w.outcome.bytes, 2);
        w.end = true;
        nghttp2_session_resume_data(w.client, id);
        pump();
        ck_assert_str_eq(w.grpc_status, "0");
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

        say(id, EPP_SLICE(DUPLEX RH));
        say(id, EPP_SLICE("\x22\x0e\x0a\x0c{ \"x\":1e400,"));
        say(id, EPP_SLICE("\x22\x15\x0a\x13 \"model\" : \"old\" , "));
        say(id, EPP_SLICE("\x22\x06\x0a\x02 }\x10\x01"));
        ck_assert_str_eq(answers(), "13");
        ck_assert(got_contains("{ \"x\":1e400, \"model\" : \"new-name\" ,  }"));
        world_fini();
        world_init();
        id = process();
        say(id, EPP_SLICE("\x5a\x02\x08\x02" RH));
        say(id, EPP_SLICE("\x22\x13\x0a\x0f{\"model\":\"old\"}\x10\x01"));
        ck_assert(got_contains("{\"model\":\"new-name\"}"));
        ck_assert(got_contains("content-length\x1a\x02" "20"));
}
END_TEST

START_TEST(duplex_trailers)
{
        int32_t id = process();

        say(id, EPP_SLICE(DUPLEX RH));
        say(id, EPP_SLICE("\x22\x04\x0a\x02{}"));
        say(id, EPP_SLICE("\x32\x00"));
        ck_assert_str_eq(answers(), "135");
}
END_TEST

START_TEST(other_modes)
{
        static const struct {
                const char *config, *expect; /* request mode; answers to RH and a whole body */
                int decided;
        } rows[] = {
                { "\x5a\x02\x08\x02", "13", 1 }, { "\x5a\x02\x08\x03", "13", 1 },
                { "\x5a\x02\x08\x01", "13", 1 },
        };

        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                struct epp_buf first = { 0 };
                int32_t id;

                world_fini();
                world_init();
                id = process();
                ck_assert_int_eq(epp_buf_append(&first, epp_slice_str(rows[i].config)), 0);
                ck_assert_int_eq(epp_buf_append(&first, EPP_SLICE(RH)), 0);
                say(id, epp_buf_slice(&first));
                ck_assert_str_eq(answers(), "1");
                say(id, EPP_SLICE("\x22\x06\x0a\x02{}\x10\x01"));
                ck_assert_str_eq(answers(), rows[i].expect);
                ck_assert_int_eq(w.decided, rows[i].decided);
                epp_buf_fini(&first);
        }
}
END_TEST

START_TEST(bodyless_and_refused)
{
        int32_t id = process();

        w.verdict_http = 503;
        say(id, EPP_SLICE(DUPLEX "\x12\x02\x18\x01"));
        ck_assert_str_eq(answers(), "7");
        ck_assert_str_eq(w.grpc_status, "0");
        ck_assert(!w.has_body);
        ck_assert_int_eq(w.released, 0);
}
END_TEST

START_TEST(body_limit)
{
        static char big[250000];
        struct epp_buf m = { 0 };
        int32_t id = process();

        say(id, EPP_SLICE(DUPLEX RH));
        ck_assert_int_eq(epp_buf_append(&m, EPP_SLICE("\x22\x94\xa1\x0f\x0a\x90\xa1\x0f")), 0);
        ck_assert_int_eq(epp_buf_append(&m, epp_slice(big, 250000)), 0);
        say(id, epp_buf_slice(&m));
        ck_assert_str_eq(answers(), "7");
        epp_buf_fini(&m);
}
END_TEST

START_TEST(reset_releases_once)
{
        int32_t id = process();

        say(id, EPP_SLICE(DUPLEX "\x12\x02\x18\x01"));
        ck_assert_int_eq(w.decided, 1);
        nghttp2_submit_rst_stream(w.client, 0, id, NGHTTP2_CANCEL);
        pump();
        ck_assert_int_eq(w.released, 1);
        ck_assert_uint_eq(epp_h2_calls(w.h2), 0);
}
END_TEST

START_TEST(refusals)
{
        call("/nobody/Process", "application/grpc");
        pump();
        ck_assert_str_eq(w.grpc_status, "12");
        call("/envoy.service.ext_proc.v3.ExternalProcessor/No", "application/grpc+proto");
        pump();
        ck_assert_str_eq(w.grpc_status, "12");
        call("/envoy.service.ext_proc.v3.ExternalProcessor/Process", "application/json");
        pump();
        ck_assert_str_eq(w.grpc_status, "3");
        say(process(), EPP_SLICE("\x07"));
        ck_assert_str_eq(w.grpc_status, "13");
}
END_TEST

/* Envoy resets every stream: no limiter may trip. */
START_TEST(reset_storm)
{
        for (int i = 0; i < 20000; i++) {
                int32_t id = process();

                say(id, EPP_SLICE(DUPLEX "\x12\x02\x18\x01"));
                nghttp2_submit_rst_stream(w.client, 0, id, NGHTTP2_NO_ERROR);
                pump();
                epp_buf_drain(&w.got, epp_buf_len(&w.got));
        }
        ck_assert_int_eq(w.goaways, 0);
        ck_assert_int_eq(w.released, 20000);
        ck_assert_uint_eq(epp_h2_calls(w.h2), 0);
}
END_TEST

/* Response headers SEND, body NONE, trailers SEND: released when the stream ends, complete. */
START_TEST(lean)
{
        int32_t id = process();

        say(id, EPP_SLICE("\x5a\x02\x08\x04\x12\x02\x18\x01"));
        say(id, EPP_SLICE("\x1a\x12\x0a\x10\x0a\x0e\x0a\x07:status\x1a\x03" "429"));
        ck_assert_int_eq(w.released, 0);
        nghttp2_submit_rst_stream(w.client, 0, id, NGHTTP2_NO_ERROR);
        pump();
        ck_assert_int_eq(w.released, 1);
        ck_assert(w.outcome.complete);
        ck_assert_int_eq(w.outcome.status, 429);
        ck_assert_uint_eq(w.stats.disconnected, 0);
}
END_TEST

START_TEST(usage)
{
        static const char part1[] = "{\"usage\":{\"compl", part2[] = "etion_tokens\":7}}";
        struct epp_buf m = { 0 };
        int32_t id = process();

        say(id, EPP_SLICE(DUPLEX "\x12\x02\x18\x01"));
        say(id, EPP_SLICE("\x1a\x24\x0a\x22\x0a\x20\x0a\x0c" "content-type\x1a\x10" "application/json"));
        ck_assert_int_eq(epp_buf_append(&m, EPP_SLICE("\x2a\x12\x0a\x10")), 0);
        ck_assert_int_eq(epp_buf_append(&m, epp_slice(part1, 16)), 0);
        say(id, epp_buf_slice(&m));
        epp_buf_fini(&m);
        ck_assert_int_eq(epp_buf_append(&m, EPP_SLICE("\x2a\x15\x0a\x11")), 0);
        ck_assert_int_eq(epp_buf_append(&m, epp_slice(part2, 17)), 0);
        ck_assert_int_eq(epp_buf_append(&m, EPP_SLICE("\x10\x01")), 0);
        say(id, epp_buf_slice(&m));
        epp_buf_fini(&m);
        ck_assert_int_eq(w.released, 1);
        ck_assert_uint_eq(w.outcome.usage.completion, 7);
        ck_assert_uint_eq(w.outcome.bytes, 33);
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
        ck_assert_str_eq(w.grpc_status, "0");
}
END_TEST

int
main(void)
{
        const TTest *tests[] = { duplex, renames, duplex_trailers, other_modes, bodyless_and_refused,
                body_limit, reset_releases_once, refusals, reset_storm, health, lean, usage };
        Suite *s = suite_create("stream");
        TCase *tc = tcase_create("stream");
        SRunner *r = srunner_create(s);
        int failed;

        tcase_add_checked_fixture(tc, world_init, world_fini);
        tcase_set_timeout(tc, 300);
        for (size_t i = 0; i < ARRAY_LEN(tests); i++)
                tcase_add_test(tc, tests[i]);
        suite_add_tcase(s, tc);
        srunner_run_all(r, CK_NORMAL);
        failed = srunner_ntests_failed(r);
        srunner_free(r);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
