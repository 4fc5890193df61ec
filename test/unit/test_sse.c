/* test_sse.c - usage of every captured response, whole and in pieces of every size. */
#include <jansson.h>

#include "unit.h"
#include "wire/sse.h"

static char *
slurp(const char *name, size_t *n)
{
        const char *root = getenv("EPP_TEST_DATA");
        char path[512];
        FILE *f;
        char *p;

        snprintf(path, sizeof(path), "%s/bodies/%s", root ? root : "test/data", name);
        f = fopen(path, "rb");
        ck_assert_msg(f != NULL, "cannot open %s", path);
        fseek(f, 0, SEEK_END);
        *n = (size_t)ftell(f);
        rewind(f);
        p = malloc(*n + 1);
        ck_assert_uint_eq(fread(p, 1, *n, f), *n);
        fclose(f);
        return p;
}

static struct epp_usage
run(bool sse, const char *p, size_t n, size_t step, uint64_t *ret_events)
{
        struct epp_usage sum = { 0 };
        struct epp_usage_walk w;
        struct epp_sse s;

        epp_usage_begin(&w);
        epp_sse_init(&s);
        for (size_t at = 0; at < n; at += step) {
                struct epp_slice in = epp_slice(p + at, EPP_MIN(step, n - at));

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
check_row(json_t *row)
{
        const char *name = json_string_value(json_object_get(row, "file"));
        const char *type = json_string_value(json_object_get(row, "content_type"));
        bool sse = type && strstr(type, "event-stream");
        json_t *total = json_object_get(json_object_get(row, "usage"), "total");
        json_t *events = json_object_get(row, "events");
        size_t n;
        char *p = slurp(name, &n);

        for (size_t step = 1; step <= n + 1; step = step < 300 ? step + 1 : step * 2) {
                uint64_t count;
                struct epp_usage u = run(sse, p, n, step, &count);

                ck_assert_msg(u.prompt == wanted(row, "prompt"), "%s step %zu: prompt %lu", name, step, u.prompt);
                ck_assert_msg(u.completion == wanted(row, "completion"), "%s step %zu: completion %lu", name,
                        step, u.completion);
                ck_assert_msg(u.cached == wanted(row, "cached"), "%s step %zu: cached %lu", name, step, u.cached);
                if (total)
                        ck_assert_msg(u.total == wanted(row, "total"), "%s step %zu: total %lu", name, step, u.total);
                else
                        ck_assert_uint_eq(u.total, u.prompt + u.completion);
                if (sse && events)
                        ck_assert_msg(count == (uint64_t)json_integer_value(events), "%s step %zu: %lu events",
                                name, step, count);
        }
        free(p);
}

START_TEST(captured)
{
        size_t n, rows = 0, i;
        char *p = slurp("expected.json", &n);
        json_t *doc = json_loadb(p, n, 0, NULL), *row;

        ck_assert_ptr_nonnull(doc);
        json_array_foreach(json_object_get(doc, "responses"), i, row) {
                const char *type = json_string_value(json_object_get(row, "content_type"));

                if (!type || (!strstr(type, "json") && !strstr(type, "event-stream")) ||
                        json_object_get(row, "content_encoding") ||
                        strstr(json_string_value(json_object_get(row, "file")), ".gz"))
                        continue;
                rows++;
                check_row(row);
        }
        ck_assert_uint_gt(rows, 25);
        json_decref(doc);
        free(p);
}
END_TEST

START_TEST(errors)
{
        uint64_t n;
        static const char body[] = "data: {\"error\":{\"code\":500}}\n\n";
        static const char other[] = "data: {\"x\":{\"error\":{\"code\":500}}}\n\n";

        ck_assert(run(true, body, sizeof(body) - 1, 3, &n).error);
        ck_assert(run(true, body, sizeof(body) - 1, 100, &n).error);
        ck_assert(!run(true, other, sizeof(other) - 1, 100, &n).error);
}
END_TEST

UNIT_MAIN("sse", captured, errors)
