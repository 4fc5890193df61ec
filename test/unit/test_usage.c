/* test_usage.c - token counts out of one JSON document: names, places, numbers, nonsense. */
#include "unit.h"
#include "wire/usage.h"

#define U(x) "{\"usage\":{" x "}}"
#define PROMPT(x) U("\"prompt_tokens\":" x)

static const struct {
        const char *text;
        uint64_t prompt, completion, total, cached;
} rows[] = {
        /* Names. */
        { U("\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":9"), 1, 2, 9, 0 },
        { U("\"prompt_tokens\":1,\"completion_tokens\":2"), 1, 2, 3, 0 },
        { U("\"input_tokens\":1,\"output_tokens\":2"), 1, 2, 3, 0 },
        { U("\"prompt_tokens\":1,\"input_tokens\":5"), 1, 0, 1, 0 },
        { U("\"input_tokens\":5,\"prompt_tokens\":1"), 1, 0, 1, 0 },
        { U("\"prompt_tokens\":0,\"input_tokens\":5"), 0, 0, 0, 0 },
        { U("\"output_tokens\":5,\"completion_tokens\":1"), 0, 1, 1, 0 },
        { U("\"completion_tokens\":1,\"output_tokens\":5"), 0, 1, 1, 0 },
        { U("\"prompt_tokens\":7,\"prompt_tokens_details\":{\"cached_tokens\":3}"), 7, 0, 7, 3 },
        { U("\"prompt_tokens\":7,\"input_tokens_details\":{\"cached_tokens\":3}"), 7, 0, 7, 3 },
        { U("\"prompt_tokens\":7,\"prompt_token_details\":{\"cached_tokens\":3}"), 7, 0, 7, 0 },
        { U("\"input_tokens\":7,\"cache_read_input_tokens\":2000"), 7, 0, 7, 2000 },
        { U("\"cache_read_input_tokens\":9,\"input_tokens\":7,\"input_tokens_details\":{\"cached_"
            "tokens\":3}"),
                7, 0, 7, 3 },
        { U("\"Prompt_tokens\":1,\"prompt_tokensx\":2,\"\":3"), 0, 0, 0, 0 },
        /* Places. */
        { "{\"response\":{\"usage\":{\"input_tokens\":4}}}", 4, 0, 4, 0 },
        { "{\"message\":{\"usage\":{\"input_tokens\":4}}}", 4, 0, 4, 0 },
        { "{\"response\":{\"x\":{\"usage\":{\"input_tokens\":4}}}}", 0, 0, 0, 0 },
        { "{\"other\":{\"usage\":{\"input_tokens\":4}}}", 0, 0, 0, 0 },
        { "{\"choices\":[{\"usage\":{\"input_tokens\":4}}]}", 0, 0, 0, 0 },
        { "[{\"usage\":{\"input_tokens\":4}}]", 0, 0, 0, 0 },
        { "{\"usage\":[{\"prompt_tokens\":4}]}", 0, 0, 0, 0 },
        { "{\"usage\":[4]}", 0, 0, 0, 0 },
        { "{\"usage\":null}", 0, 0, 0, 0 },
        { "{\"usage\":{\"x\":{\"prompt_tokens\":4}}}", 0, 0, 0, 0 },
        { "{\"prompt_tokens\":4}", 0, 0, 0, 0 },
        { "{\"x\":\"\\\"usage\\\":{\\\"prompt_tokens\\\":4}\"}", 0, 0, 0, 0 },
        { "{\"usage\":{\"prompt_tokens_details\":[{\"cached_tokens\":3}]}}", 0, 0, 0, 0 },
        { "{\"meta_info\":{\"finish_reason\":{\"type\":\"stop\"},\"prompt_tokens\":4,\"cached_"
          "tokens\":2}}",
                4, 0, 4, 2 },
        { "{\"meta_info\":{\"prompt_tokens\":4,\"finish_reason\":\"stop\"}}", 4, 0, 4, 0 },
        { "{\"meta_info\":{\"prompt_tokens\":4,\"finish_reason\":null}}", 0, 0, 0, 0 },
        { "{\"meta_info\":{\"prompt_tokens\":4}}", 0, 0, 0, 0 },
        /* Numbers: digits exactly, other forms cut off, anything else absent. */
        { PROMPT("18446744073709551615"), UINT64_MAX, 0, UINT64_MAX, 0 },
        { PROMPT("9007199254740993"), 9007199254740993, 0, 9007199254740993, 0 },
        { PROMPT("18446744073709551616"), 0, 0, 0, 0 },
        { PROMPT("1e3"), 1000, 0, 1000, 0 },
        { PROMPT("7.9"), 7, 0, 7, 0 },
        { PROMPT("1e400"), 0, 0, 0, 0 },
        { PROMPT("-1"), 0, 0, 0, 0 },
        { PROMPT("-0"), 0, 0, 0, 0 },
        { PROMPT("\"12\""), 12, 0, 12, 0 },
        { PROMPT("\"1.5e1\""), 15, 0, 15, 0 },
        { PROMPT("\"0x10\""), 0, 0, 0, 0 },
        { PROMPT("\"inf\""), 0, 0, 0, 0 },
        { PROMPT("\"nan\""), 0, 0, 0, 0 },
        { PROMPT("\" 5\""), 0, 0, 0, 0 },
        { PROMPT("\"5 \""), 0, 0, 0, 0 },
        { PROMPT("\"\""), 0, 0, 0, 0 },
        { PROMPT("\"\\u0035\""), 0, 0, 0, 0 },
        { PROMPT("true"), 0, 0, 0, 0 },
        { PROMPT("null"), 0, 0, 0, 0 },
        { PROMPT("[5]"), 0, 0, 0, 0 },
        { PROMPT("{\"a\":5}"), 0, 0, 0, 0 },
        { PROMPT("00000000000000000000000000000000005"), 0, 0, 0, 0 }, /* longer than any number */
        /* Repeated: the last. */
        { U("\"prompt_tokens\":1,\"prompt_tokens\":2"), 2, 0, 2, 0 },
        { U("\"input_tokens\":1,\"input_tokens\":2"), 2, 0, 2, 0 },
        { "{\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":5},\"usage\":{\"prompt_tokens\":2}"
          "}",
                2, 0, 2, 0 },
        { "{\"usage\":{\"prompt_tokens\":1},\"usage\":{\"input_tokens\":2}}", 2, 0, 2, 0 },
        /* White space, and what is no document. */
        { " { \"usage\" :\n{\t\"prompt_tokens\" : 5 \r} } \n", 5, 0, 5, 0 },
        { "", 0, 0, 0, 0 },
        { "null", 0, 0, 0, 0 },
        { "Internal Server Error", 0, 0, 0, 0 },
        { "{\"usage\":{\"prompt_tokens\":5}", 0, 0, 0, 0 },
        { "{\"usage\":{\"prompt_tokens\":5}}}", 0, 0, 0, 0 },
        { "{\"usage\":{\"prompt_tokens\":5}}\"x", 0, 0, 0, 0 },
        { "}}}}]]]]{{{{", 0, 0, 0, 0 },
        { "<html>\"usage\":{\"prompt_tokens\":5}</html>", 0, 0, 0, 0 },
        { "\"\\", 0, 0, 0, 0 },
};

static struct epp_usage
run(const char *p, size_t n, size_t step, struct epp_usage sum)
{
        struct epp_usage_walk w;

        epp_usage_begin(&w);
        for (size_t at = 0; at < n; at += step)
                epp_usage_feed(&w, epp_slice(p + at, EPP_MIN(step, n - at)));
        epp_usage_end(&w, &sum);
        return sum;
}

/* How many were cached is said with 0 too; null and the like say nothing. */
START_TEST(details)
{
        static const struct {
                const char *text;
                bool details;
        } said[] = {
                { U("\"prompt_tokens\":7,\"prompt_tokens_details\":{\"cached_tokens\":0}"), true },
                { U("\"prompt_tokens\":7,\"input_tokens_details\":{\"cached_tokens\":3}"), true },
                { U("\"prompt_tokens_details\":{}"), true },
                { U("\"prompt_tokens\":7,\"prompt_tokens_details\":null"), false },
                { U("\"prompt_tokens\":7,\"prompt_tokens_details\":[]"), false },
                { U("\"prompt_tokens\":7,\"completion_tokens_details\":{\"x\":0}"), false },
                { U("\"prompt_tokens\":7"), false },
                { U("\"x\":{\"prompt_tokens_details\":{}}"), false },
                { "{\"prompt_tokens_details\":{\"cached_tokens\":0}}", false },
                { U("\"input_tokens\":7,\"cache_read_input_tokens\":0"), true },
                { "{\"message\":{\"usage\":{\"input_tokens_details\":{\"a\":1}}}}", true },
                { "{\"meta_info\":{\"finish_reason\":\"stop\",\"cached_tokens\":0}}", true },
                { "{\"meta_info\":{\"finish_reason\":null,\"cached_tokens\":0}}", false },
                { "{\"usage\":{\"prompt_tokens_details\":{}},\"usage\":{}}", false },
                { U("\"prompt_tokens_details\":{") , false },
        };

        for (size_t i = 0; i < ARRAY_LEN(said); i++) {
                size_t n = strlen(said[i].text);

                ck_assert_msg(run(said[i].text, n, n, (struct epp_usage){ 0 }).details ==
                                said[i].details, "%s", said[i].text);
        }
        ck_assert(run("{}", 2, 2, (struct epp_usage){ .details = true }).details);
}
END_TEST

START_TEST(documents)
{
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                size_t n = strlen(rows[i].text);

                for (size_t step = 1; step <= n + 1; step++) {
                        struct epp_usage u = run(rows[i].text, n, step, (struct epp_usage){ 0 });

                        ck_assert_msg(u.prompt == rows[i].prompt &&
                                        u.completion == rows[i].completion &&
                                        u.total == rows[i].total && u.cached == rows[i].cached &&
                                        !u.error,
                                "%s by %zu: %lu %lu %lu %lu", rows[i].text, step, u.prompt,
                                u.completion, u.total, u.cached);
                }
        }
}
END_TEST

/* Events of one response: what a later one says replaces, what it does not say stays. */
START_TEST(events)
{
        struct epp_usage u = { 0 };
        static const char start[] =
                "{\"message\":{\"usage\":{\"input_tokens\":25,\"output_tokens\":1}}}";
        static const char delta[] = "{\"usage\":{\"output_tokens\":15}}",
                          none[] = "{\"usage\":null}";
        static const char error[] = "{\"error\":{}}";

        u = run(start, sizeof(start) - 1, 100, u);
        ck_assert(u.prompt == 25 && u.completion == 1 && u.total == 26);
        u = run(delta, sizeof(delta) - 1, 100, u);
        u = run(none, sizeof(none) - 1, 100, u);
        ck_assert(u.prompt == 25 && u.completion == 15 && u.total == 40 && !u.error);
        u = run(error, sizeof(error) - 1, 100, u);
        ck_assert(u.prompt == 25 && u.error);
}
END_TEST

/* A megabyte of brackets costs what any megabyte costs, and counts nothing. */
START_TEST(deep)
{
        static char p[1 << 20];
        struct epp_usage u;

        memset(p, '[', sizeof(p));
        u = run(p, sizeof(p), 4096, (struct epp_usage){ 0 });
        ck_assert(u.prompt == 0 && u.total == 0);
        memset(p, '{', sizeof(p) / 2);
        memset(p + sizeof(p) / 2, '}', sizeof(p) / 2);
        u = run(p, sizeof(p), 4096, (struct epp_usage){ 0 });
        ck_assert(u.prompt == 0 && u.total == 0);
}
END_TEST

UNIT_MAIN("usage", details, documents, events, deep)
