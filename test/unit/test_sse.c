/* test_sse.c - usage of every captured response, whole and in pieces of every size. */
#include <jansson.h>

#include "base/rng.h"
#include "bodies.h"
#include "unit.h"
#include "wire/sse.h"

/* The first <first> bytes, then <step> at a time. */
static struct epp_usage
run(bool sse, const char *p, size_t n, size_t first, size_t step, uint64_t *ret_events)
{
        struct epp_usage sum = { 0 };
        struct epp_usage_walk w;
        struct epp_sse s;
        size_t take = first ? first : step;

        epp_usage_begin(&w);
        epp_sse_init(&s);
        for (size_t at = 0; at < n; at += take, take = at == first ? step : take) {
                struct epp_slice in = epp_slice(p + at, EPP_MIN(take, n - at));

                if (sse)
                        epp_sse_feed(&s, in);
                else
                        epp_usage_feed(&w, in);
        }
        epp_sse_end(&s);
        epp_usage_end(&w, &sum);
        *ret_events = s.events;
        return sse ? s.usage : sum;
}

static uint64_t
wanted(json_t *row, const char *key)
{
        return (uint64_t)json_integer_value(json_object_get(json_object_get(row, "usage"), key));
}

static void
check_result(json_t *row, const struct epp_usage *u, uint64_t events, size_t step, bool sse)
{
        const char *name = json_string_value(json_object_get(row, "file"));
        json_t *total = json_object_get(json_object_get(row, "usage"), "total");
        json_t *count = json_object_get(row, "events");

        ck_assert_msg(u->prompt == wanted(row, "prompt"), "%s step %zu: prompt %lu", name, step,
                u->prompt);
        ck_assert_msg(u->completion == wanted(row, "completion"), "%s step %zu: completion %lu",
                name, step, u->completion);
        ck_assert_msg(u->cached == wanted(row, "cached"), "%s step %zu: cached %lu", name, step,
                u->cached);
        if (total)
                ck_assert_msg(u->total == wanted(row, "total"), "%s step %zu: total %lu", name,
                        step, u->total);
        else
                ck_assert_uint_eq(u->total, u->prompt + u->completion);
        if (!sse)
                return;
        ck_assert_msg(events == (uint64_t)json_integer_value(count), "%s step %zu: %lu events",
                name, step, events);
        ck_assert_msg(
                u->error == json_is_true(json_object_get(row, "error_event")), "%s: error", name);
}

/* Steps as inference-api 7.1 has them, and every cut in two up to 4 KiB. */
static void
check_row(json_t *row)
{
        const char *name = json_string_value(json_object_get(row, "file"));
        bool sse = strstr(json_string_value(json_object_get(row, "content_type")), "event-stream");
        struct epp_usage u;
        uint64_t count;
        size_t n;
        char *p = slurp(name, &n);

        for (size_t step = 1; step <= n + 1; step = step < 300 ? step + 1 : step * 2) {
                u = run(sse, p, n, 0, step, &count);
                check_result(row, &u, count, step, sse);
        }
        for (size_t cut = 1; cut < n; cut += n <= 4096 ? 1 : n / 97) {
                u = run(sse, p, n, cut, n, &count);
                check_result(row, &u, count, cut, sse);
        }
        free(p);
}

/* All but three: a compressed body and two of gRPC are never read (test_exchange passes them on).
 */
START_TEST(captured)
{
        size_t n, rows = 0, unread = 0, i;
        char *p = slurp("expected.json", &n);
        json_t *doc = json_loadb(p, n, 0, NULL), *row;

        ck_assert_ptr_nonnull(doc);
        json_array_foreach(json_object_get(doc, "responses"), i, row) {
                if (json_object_get(row, "content_encoding") ||
                        strstr(json_string_value(json_object_get(row, "content_type")), "grpc")) {
                        unread++;
                        continue;
                }
                rows++;
                check_row(row);
        }
        ck_assert_uint_eq(rows, 42);
        ck_assert_uint_eq(unread, 3);
        json_decref(doc);
        free(p);
}
END_TEST

#define USE(n) "data: {\"usage\":{\"prompt_tokens\":" #n "}}"

static const struct {
        const char *text;
        uint64_t events, prompt;
        bool error;
} rows[] = {
        { "", 0, 0, false },
        { "\n\n\n", 0, 0, false },
        { USE(5) "\n\n", 1, 5, false },
        { USE(5) "\r\n\r\n", 1, 5, false },
        { USE(5) "\r\r", 1, 5, false },
        { USE(5) "\r\n\n", 1, 5, false },
        { USE(5) "\n", 1, 5, false },
        { USE(5), 1, 5, false }, /* no line end at all */
        { USE(5) "\n\n" USE(7) "\n\n", 2, 7, false },
        { USE(5) "\n\n" USE(0) "\n\n", 2, 5, false }, /* a later zero says nothing */
        { USE(5) "\n\ndata: {\"usage\":null}\n\ndata: [DONE]\n\n", 2, 5, false },
        { "data:{\"usage\":{\"prompt_tokens\":5}}\n\n", 1, 5, false },
        { "data:  {\"usage\":{\"prompt_tokens\":5}}\n\n", 1, 5, false },
        { ": usage\n\nevent: x\nid: 1\nretry: 5\n" USE(5) "\n\n", 1, 5, false },
        { "event: ping\n\n:\n\n", 0, 0, false },
        { "dat: x\n\ndatax: y\n\nxdata: z\n\n", 0, 0, false },
        { "data: [DONE]\n\n", 0, 0, false },
        { "data:[DONE]\r\n\r\n", 0, 0, false },
        { "data: [DONE]", 0, 0, false },
        { "data:  [DONE]\n\n", 1, 0, false }, /* one space is dropped, the other is data */
        { "data: [DON]\n\n", 1, 0, false },
        { "data: \n\n", 1, 0, false },
        { "data:\n\n", 1, 0, false },
        { "data: a\ndata: b\n\n", 1, 0, false },
        /* Lines of one event are joined: by a line feed, not by nothing. */
        { "data: {\"usage\":\ndata: {\"prompt_tokens\":\ndata: 5}}\n\n", 1, 5, false },
        { "data: {\"usage\":{\"prompt_tokens\":1\ndata: 2}}\n\n", 1, 2, false }, /* not 12 */
        /* What only looks like [DONE] is not lost when a chunk ends inside it. */
        { "data: [{\"usage\":{\"prompt_tokens\":5}}]\n\n", 1, 0, false },
        { "data: [{\"usage\":{\"prompt_tokens\":5}}\n\n", 1, 0, false },
        { "data: [\ndata: {\"usage\":{\"prompt_tokens\":5}}\n\n", 1, 0, false },
        /* Places that do not count. */
        { "data: {\"choices\":[{\"usage\":{\"prompt_tokens\":5}}]}\n\n", 1, 0, false },
        { "data: {\"text\":\"\\\"usage\\\":{\\\"prompt_tokens\\\":5}\"}\n\n", 1, 0, false },
        { "data: {\"usage\":{\"prompt_tokens\":5}\n\n", 1, 0, false }, /* cut short */
        { "data: }{\n\n" USE(5) "\n\n", 2, 5, false }, /* garbage ends with its event */
        { "data: \"\n\n" USE(5) "\n\n", 2, 5, false },
        { "data: {\"error\":{\"code\":500}}\n\n", 1, 0, true },
        { "data: {\"error\": {}}\n\n" USE(5) "\n\n", 2, 5, true },
        { "data: {\"error\":null}\n\n", 1, 0, false },
        { "data: {\"x\":{\"error\":{}}}\n\n", 1, 0, false },
};

START_TEST(framing)
{
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                size_t n = strlen(rows[i].text);

                for (size_t step = 1; step <= n + 1; step++) {
                        for (size_t cut = 0; cut < n + !n; cut++) {
                                uint64_t events;
                                struct epp_usage u = run(true, rows[i].text, n, cut, step, &events);

                                ck_assert_msg(events == rows[i].events &&
                                                u.prompt == rows[i].prompt &&
                                                u.error == rows[i].error,
                                        "row %zu, %zu then by %zu: %lu events, %lu", i, cut, step,
                                        events, u.prompt);
                        }
                }
        }
}
END_TEST

/* Random lines, whole and by the byte: the quick way through whole events against the walk. */
START_TEST(twins)
{
        static const char *const parts[] = { "data:", "data: ", "[DONE]", "[D", " ", "\n", "\n\n",
                "\r\n", "\r", "x", "event: y\n", ": z\n", "{\"usage\":{\"prompt_tokens\":", "3",
                "}}", "\"error\"", "{\"error\":{}}", "null", "data: {\"a\":1}\n\n", "{", "[",
                "\"" };
        struct epp_rng r;

        epp_rng_init(&r, 3);
        for (int round = 0; round < 100000; round++) {
                char p[512];
                size_t n = 0;
                uint64_t e1, e2;
                struct epp_usage a, b;

                for (uint64_t k = epp_rng_below(&r, 14); k; k--)
                        n += (size_t)snprintf(p + n, sizeof(p) - n, "%s",
                                parts[epp_rng_below(&r, ARRAY_LEN(parts))]);
                n += (size_t)snprintf(p + n, sizeof(p) - n, "%s", round & 1 ? "\n\n" : "");
                a = run(true, p, n, epp_rng_below(&r, n + 1), n + 1, &e1);
                b = run(true, p, n, 0, 1, &e2);
                ck_assert_msg(e1 == e2 && a.prompt == b.prompt && a.total == b.total &&
                                a.error == b.error,
                        "%lu %lu, %lu %lu, %d %d:\n%.*s", e1, e2, a.prompt, b.prompt, a.error,
                        b.error, (int)n, p);
        }
}
END_TEST

/* The vectors find what the plain loop finds, at every place and in every length. */
START_TEST(suspects)
{
        static const char alphabet[] = "\"\"uem\rxy, ";
        struct epp_rng rng;
        char text[80];

        epp_rng_init(&rng, 5);
        for (int round = 0; round < 20000; round++) {
                size_t n = epp_rng_below(&rng, sizeof(text) + 1), i;

                for (i = 0; i < n; i++)
                        text[i] = epp_rng_below(&rng, 4) ? 'x'
                                : alphabet[epp_rng_below(&rng, sizeof(alphabet) - 1)];
                for (i = 0; i <= n; i++)
                        ck_assert_uint_eq(epp_sse_suspect(text, n, i),
                                epp_sse_suspect_twin(text, n, i));
        }
}
END_TEST

UNIT_MAIN("sse", captured, framing, twins, suspects)
