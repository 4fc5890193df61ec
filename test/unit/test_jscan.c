/* test_jscan.c - every captured body, whole and cut; the vector skip against its twin. */
#include <jansson.h>
#include <openssl/sha.h>

#include "base/rng.h"
#include "bodies.h"
#include "unit.h"
#include "wire/jscan.h"

static const char *const names[EPP_J_ERRORS] = { "", "json:val", "json:key", "json:colon",
        "json:delim", "json:ctl", "json:esc", "json:hex", "json:num", "json:depth", "json:trailing",
        "json:eof" };
static const char *const model_names[EPP_JM_STATES] = { "", "model-missing", "model-missing",
        "model-missing", "model-control", "model-utf8", "model-long" };

static void
scan(struct epp_jscan *j, const char *p, size_t n, size_t cut, size_t step)
{
        epp_jscan_init(j);
        epp_jscan_feed(j, epp_slice(p, cut));
        for (size_t at = cut; at < n; at += step)
                epp_jscan_feed(j, epp_slice(p + at, EPP_MIN(step, n - at)));
        epp_jscan_end(j);
}

/* Cuts change nothing that can be seen. */
static void
same(const struct epp_jscan *a, const struct epp_jscan *b, const char *name, size_t cut)
{
        ck_assert_msg(a->error == b->error && a->error_at == b->error_at,
                "%s cut at %zu: %s at %lu", name, cut, names[b->error], b->error_at);
        ck_assert_msg(memcmp(a->field, b->field, sizeof(a->field)) == 0, "%s cut at %zu", name,
                cut);
        ck_assert_uint_eq(a->n_spans, b->n_spans);
        ck_assert_int_eq(memcmp(a->spans, b->spans, sizeof(a->spans)), 0);
        ck_assert_int_eq(a->model_state, b->model_state);
        ck_assert(a->conflict == b->conflict && a->top == b->top);
        ck_assert(epp_slice_eq(epp_jscan_model(a), epp_jscan_model(b)));
}

static const size_t steps[] = { 1, 2, 3, 5, 7, 13, 64, 4095, 16384, 62000 };

/* In two at every place up to 4 KiB, sampled above; in pieces of one size. */
static void
check_cuts(const char *name, const char *p, size_t n, const struct epp_jscan *whole)
{
        static struct epp_jscan j;
        size_t jump = n <= 4096 ? 1 : n / 97 + 1;

        for (size_t cut = 0; cut <= n; cut += jump) {
                scan(&j, p, n, cut, n ? n : 1);
                same(whole, &j, name, cut);
        }
        for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
                scan(&j, p, n, 0, steps[i]);
                same(whole, &j, name, steps[i]);
        }
}

static const char *
verdict(const struct epp_jscan *j, json_t *row)
{
        const char *kind = json_string_value(json_object_get(row, "kind"));
        const struct epp_jfield *m = &j->field[EPP_JK_MESSAGES];

        if (j->error)
                return names[j->error];
        if (j->top != EPP_J_OBJECT)
                return "not-object";
        if (j->model_state != EPP_JM_OK && strcmp(kind, "sglang-generate") != 0)
                return model_names[j->model_state];
        if (j->n_spans > EPP_JSCAN_SPANS)
                return "model-spans";
        if (strcmp(kind, "chat") == 0 && (m->type != EPP_J_ARRAY || m->items == 0))
                return "messages-missing";
        return NULL;
}

static void
check_splice(const struct epp_jscan *j, const char *p, size_t n, json_t *rewrite, const char *name)
{
        const char *to = json_string_value(json_object_get(rewrite, "to"));
        const char *want = json_string_value(json_object_get(rewrite, "sha256"));
        struct epp_buf out = { 0 };
        unsigned char sum[32];
        char hex[65];
        size_t at = 0;

        for (size_t i = 0; i < j->n_spans; i++) {
                ck_assert_int_eq(epp_buf_append(&out, epp_slice(p + at, j->spans[i].at - at)), 0);
                ck_assert_int_eq(epp_jscan_quote(&out, epp_slice_str(to)), 0);
                at = j->spans[i].at + j->spans[i].len;
        }
        ck_assert_int_eq(epp_buf_append(&out, epp_slice(p + at, n - at)), 0);
        SHA256((const unsigned char *)epp_buf_slice(&out).p, epp_buf_len(&out), sum);
        for (size_t i = 0; i < 32; i++)
                snprintf(hex + 2 * i, 3, "%02x", sum[i]);
        ck_assert_msg(strcmp(hex, want) == 0, "%s: spliced body differs", name);
        epp_buf_fini(&out);
}

static void
check_span(const struct epp_jscan *j, enum epp_jkey key, json_t *want, const char *name)
{
        if (want)
                ck_assert_msg(j->field[key].span.at ==
                                        (uint64_t)json_integer_value(json_array_get(want, 0)) &&
                                j->field[key].span.len ==
                                        (uint64_t)json_integer_value(json_array_get(want, 1)),
                        "%s: span of field %d", name, key);
}

/* The client's cap of output tokens: the first of its kind's fields with a whole number; -1: none.
 */
static double
cap_of(const struct epp_jscan *j, const char *kind)
{
        enum epp_jkey keys[] = { EPP_JK_MAX_COMPLETION_TOKENS, EPP_JK_MAX_TOKENS };

        if (strcmp(kind, "responses") == 0)
                keys[0] = keys[1] = EPP_JK_MAX_OUTPUT_TOKENS;
        for (size_t i = strcmp(kind, "chat") ? 1 : 0; i < 2; i++) {
                double v = j->field[keys[i]].number;

                if (j->field[keys[i]].type == EPP_J_NUMBER && v >= 0 && v == (double)(uint64_t)v)
                        return v;
        }
        return -1;
}

static void
check_found(const struct epp_jscan *j, json_t *row, const char *name)
{
        json_t *spans = json_object_get(row, "model_spans"), *span, *v;
        size_t i;

        json_array_foreach(spans, i, span) {
                ck_assert_msg(j->spans[i].at ==
                                        (uint64_t)json_integer_value(json_array_get(span, 0)) &&
                        j->spans[i].len == (uint64_t)json_integer_value(json_array_get(span, 1)),
                        "%s: span %zu is %lu,%lu", name, i, j->spans[i].at, j->spans[i].len);
        }
        if ((v = json_object_get(row, "model")))
                ck_assert_msg(epp_slice_eq(epp_jscan_model(j), epp_slice(json_string_value(v),
                        json_string_length(v))), "%s: model", name);
        if ((v = json_object_get(row, "model_conflict")))
                ck_assert_msg(j->conflict == json_is_true(v), "%s: conflict", name);
        if ((v = json_object_get(row, "stream")))
                ck_assert_msg(j->field[EPP_JK_STREAM].is_true == json_is_true(v), "%s: stream",
                        name);
        if ((v = json_object_get(row, "messages")))
                ck_assert_msg(j->field[EPP_JK_MESSAGES].items == (uint64_t)json_integer_value(v),
                        "%s: messages", name);
        if ((v = json_object_get(row, "model_span_count")))
                ck_assert_uint_eq(j->n_spans, (uint64_t)json_integer_value(v));
        else if (spans)
                ck_assert_uint_eq(j->n_spans, json_array_size(spans));
        check_span(j, EPP_JK_TOOLS, json_object_get(row, "tools_span"), name);
        check_span(j, EPP_JK_INPUT, json_object_get(row, "input_span"), name);
}

/* What is counted and capped, by kind. */
static void
check_counts(const struct epp_jscan *j, json_t *row, const char *p, const char *name)
{
        const char *kind = json_string_value(json_object_get(row, "kind"));
        const struct epp_jfield *salt = &j->field[EPP_JK_CACHE_SALT];
        bool generate = strstr(kind, "-generate") != NULL;
        uint64_t ids = j->field[EPP_JK_TOKEN_IDS].items + j->field[EPP_JK_INPUT_IDS].items;
        json_t *v;

        if ((v = json_object_get(row, "cache_salt")) && salt->type == EPP_J_STRING)
                ck_assert_msg(epp_slice_eq(epp_slice(p + salt->span.at + 1, salt->items),
                        epp_slice_str(json_string_value(v))), "%s: salt", name);
        if (generate)
                ck_assert_uint_eq(
                        ids, (uint64_t)json_integer_value(json_object_get(row, "token_ids")));
        ck_assert(!j->field[EPP_JK_TOKEN_IDS].odd_ids && !j->field[EPP_JK_INPUT_IDS].odd_ids);
        if (!generate) {
                v = json_object_get(row, "max_output_tokens");
                ck_assert_msg(cap_of(j, kind) == (v ? (double)json_integer_value(v) : -1),
                        "%s: cap %g", name, cap_of(j, kind));
        }
}

START_TEST(captured)
{
        static struct epp_jscan j;
        size_t n, i, rows = 0;
        char *text = slurp("expected.json", &n);
        json_t *doc = json_loadb(text, n, 0, NULL), *row;

        json_array_foreach(json_object_get(doc, "requests"), i, row) {
                const char *name = json_string_value(json_object_get(row, "file"));
                const char *kind = json_string_value(json_object_get(row, "kind"));
                const char *want = json_string_value(json_object_get(row, "error")), *got;
                json_t *rewrite = json_object_get(row, "rewrite");
                size_t size;
                char *p = slurp(name, &size);

                scan(&j, p, size, size, 1);
                check_cuts(name, p, size, &j);
                if (strncmp(kind, "opaque", 6) != 0 && strncmp(kind, "vllm-grpc", 9) != 0) {
                        rows++;
                        got = verdict(&j, row);
                        ck_assert_msg(got == want || (got && want && strcmp(got, want) == 0),
                                "%s: %s, not %s", name, got ? got : "fine", want ? want : "fine");
                        check_found(&j, row, name);
                        if (!want)
                                check_counts(&j, row, p, name);
                        if (rewrite)
                                check_splice(&j, p, size, rewrite, name);
                }
                free(p);
        }
        ck_assert_uint_eq(i, 122);
        ck_assert_uint_eq(rows, 112); /* the others are opaque: scanned, but only for a model */
        json_decref(doc);
        free(text);
}
END_TEST

#define KEY32 "0123456789abcdef0123456789abcdef"

/* What a small document says of one field, however it is cut. */
static const struct {
        const char *text;
        enum epp_jkey key;
        enum epp_jtype type;
        uint64_t at, len, items;
        double number;
        bool flag; /* is_true, odd_ids */
} fields[] = {
        { "{}", EPP_JK_STREAM, EPP_J_ABSENT, 0, 0, 0, 0, false },
        { "{\"stream\":true}", EPP_JK_STREAM, EPP_J_BOOL, 10, 4, 0, -1, true },
        { "{\"stream\":false}", EPP_JK_STREAM, EPP_J_BOOL, 10, 5, 0, -1, false },
        { "{\"stream\":\"true\"}", EPP_JK_STREAM, EPP_J_STRING, 10, 6, 4, -1, false },
        { "{\"stream\":null}", EPP_JK_STREAM, EPP_J_NULL, 10, 4, 0, -1, false },
        { "{\"stream\":true,\"stream\":1}", EPP_JK_STREAM, EPP_J_NUMBER, 24, 1, 0, 1, false },
        { "{\"x\":{\"stream\":true}}", EPP_JK_STREAM, EPP_J_ABSENT, 0, 0, 0, 0, false },
        { "{\"Stream\":true}", EPP_JK_STREAM, EPP_J_ABSENT, 0, 0, 0, 0, false },
        { "{\"str\\u0065am\" : true }", EPP_JK_STREAM, EPP_J_BOOL, 17, 4, 0, -1, true },
        { "{\"stream\\u0000\":true}", EPP_JK_STREAM, EPP_J_ABSENT, 0, 0, 0, 0, false },
        { "{\"stream\\ud83d\\ude00\":true}", EPP_JK_STREAM, EPP_J_ABSENT, 0, 0, 0, 0, false },
        { "{\"" KEY32 "stream\":true}", EPP_JK_STREAM, EPP_J_ABSENT, 0, 0, 0, 0, false },
        { "{\"messages\":[ ]}", EPP_JK_MESSAGES, EPP_J_ARRAY, 12, 3, 0, -1, false },
        { "{\"messages\":[{},[1,2],\"[,]\",3,null]}", EPP_JK_MESSAGES, EPP_J_ARRAY, 12, 23, 5, -1,
                false },
        { "{\"messages\":[[[1,2],[3]]]}", EPP_JK_MESSAGES, EPP_J_ARRAY, 12, 13, 1, -1, false },
        { "{\"messages\":{\"a\":1,\"b\":2}}", EPP_JK_MESSAGES, EPP_J_OBJECT, 12, 13, 0, -1, false },
        { "{\"messages\":[1],\"messages\":[2,3]}", EPP_JK_MESSAGES, EPP_J_ARRAY, 27, 5, 2, -1,
                false },
        { "{\"messages\":[1],\"messages\":0}", EPP_JK_MESSAGES, EPP_J_NUMBER, 27, 1, 0, 0, false },
        { "{\"prompt\":\"a\\n\\u00e9\"}", EPP_JK_PROMPT, EPP_J_STRING, 10, 11, 9, -1, false },
        { "{\"prompt\":\"\"}", EPP_JK_PROMPT, EPP_J_STRING, 10, 2, 0, -1, false },
        { "{\"max_completion_tokens\":1e3}", EPP_JK_MAX_COMPLETION_TOKENS, EPP_J_NUMBER, 25, 3, 0,
                1000, false },
        { "{\"max_tokens\":-0.5E+1 }", EPP_JK_MAX_TOKENS, EPP_J_NUMBER, 14, 7, 0, -5, false },
        { "{\"max_tokens\":0}", EPP_JK_MAX_TOKENS, EPP_J_NUMBER, 14, 1, 0, 0, false },
        { "{\"max_tokens\":1234567890123456789012345678901}", EPP_JK_MAX_TOKENS, EPP_J_NUMBER, 14,
                31, 0, -1, false },
        { "{\"token_ids\":[0,4294967295]}", EPP_JK_TOKEN_IDS, EPP_J_ARRAY, 13, 14, 2, -1, false },
        { "{\"token_ids\":[4294967296]}", EPP_JK_TOKEN_IDS, EPP_J_ARRAY, 13, 12, 1, -1, true },
        { "{\"token_ids\":[1 , 2.0]}", EPP_JK_TOKEN_IDS, EPP_J_ARRAY, 13, 9, 2, -1, true },
        { "{\"input_ids\":[1,[-1]]}", EPP_JK_INPUT_IDS, EPP_J_ARRAY, 13, 8, 2, -1, true },
        { "{\"input_ids\":[-1],\"input_ids\":[1]}", EPP_JK_INPUT_IDS, EPP_J_ARRAY, 30, 3, 1, -1,
                false },
        { "{\"prompt\":[-1,1.5]}", EPP_JK_PROMPT, EPP_J_ARRAY, 10, 8, 2, -1, false },
};

START_TEST(small)
{
        static struct epp_jscan j;

        for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
                const char *p = fields[i].text;
                const struct epp_jfield *f = &j.field[fields[i].key];
                size_t n = strlen(p);

                scan(&j, p, n, n, 1);
                ck_assert_msg(!j.error && f->type == fields[i].type && f->span.at == fields[i].at &&
                                f->span.len == fields[i].len && f->items == fields[i].items &&
                                f->number == fields[i].number &&
                                (f->is_true || f->odd_ids) == fields[i].flag,
                        "%s: error %d, type %d at %lu,%lu: %lu items, %g", p, j.error, f->type,
                        f->span.at, f->span.len, f->items, f->number);
                check_cuts(p, p, n, &j);
        }
}
END_TEST

/* <n> levels in all: 1024 are read, one more is refused where it begins. */
static enum epp_jerror
nested(size_t n, char open, char close, size_t step, uint64_t *ret_at)
{
        static struct epp_jscan j;
        struct epp_buf b = { 0 };

        ck_assert_int_eq(epp_buf_append(&b, EPP_SLICE("{\"a\":")), 0);
        for (size_t i = 1; i < n; i++)
                ck_assert_int_eq(
                        epp_buf_append(&b, open == '[' ? EPP_SLICE("[") : EPP_SLICE("{\"b\":")), 0);
        ck_assert_int_eq(epp_buf_append(&b, EPP_SLICE("1")), 0);
        for (size_t i = 1; i < n; i++)
                ck_assert_int_eq(epp_buf_append(&b, epp_slice(&close, 1)), 0);
        ck_assert_int_eq(epp_buf_append(&b, EPP_SLICE("}")), 0);
        scan(&j, epp_buf_slice(&b).p, epp_buf_len(&b), 0, step);
        epp_buf_fini(&b);
        *ret_at = j.error_at;
        return j.error;
}

START_TEST(depth)
{
        for (size_t step = 1; step < 9000; step = step * 3 + 1) {
                uint64_t at;

                ck_assert_int_eq(nested(EPP_JSCAN_DEPTH, '[', ']', step, &at), EPP_J_OK);
                ck_assert_int_eq(nested(EPP_JSCAN_DEPTH, '{', '}', step, &at), EPP_J_OK);
                ck_assert_int_eq(nested(EPP_JSCAN_DEPTH + 1, '[', ']', step, &at), EPP_J_DEPTH);
                ck_assert_uint_eq(at, 5 + 1023);
                ck_assert_int_eq(nested(EPP_JSCAN_DEPTH + 1, '{', '}', step, &at), EPP_J_DEPTH);
                ck_assert_uint_eq(at, 5 + 1023 * 5);
                ck_assert_int_eq(nested(70, '[', '}', step, &at), EPP_J_DELIM);
        }
}
END_TEST

/* A model name of 1024 decoded bytes is the longest, however it is written. */
START_TEST(model_length)
{
        static struct epp_jscan j;

        for (size_t n = 1020; n < 1040; n++) {
                for (int escaped = 0; escaped < 2; escaped++) {
                        struct epp_buf b = { 0 };

                        ck_assert_int_eq(epp_buf_append(&b, EPP_SLICE("{\"model\":\"")), 0);
                        for (size_t i = 0; i < n; i++)
                                ck_assert_int_eq(epp_buf_append(&b, escaped ? EPP_SLICE("\\u0061")
                                                                            : EPP_SLICE("a")), 0);
                        ck_assert_int_eq(epp_buf_append(&b, EPP_SLICE("\"}")), 0);
                        scan(&j, epp_buf_slice(&b).p, epp_buf_len(&b), 0, 100);
                        ck_assert_int_eq(j.model_state, n <= 1024 ? EPP_JM_OK : EPP_JM_LONG);
                        ck_assert_uint_eq(epp_jscan_model(&j).n, n <= 1024 ? n : 0);
                        epp_buf_fini(&b);
                }
        }
}
END_TEST


START_TEST(plain_twin)
{
        static char p[300];
        struct epp_rng r;

        epp_rng_init(&r, 9);
        for (int round = 0; round < 20000; round++) {
                size_t at = epp_rng_below(&r, 32), n = epp_rng_below(&r, 200);

                for (size_t i = 0; i < sizeof(p); i++)
                        p[i] = (char)(0x20 + epp_rng_below(&r, 224));
                for (uint64_t k = epp_rng_below(&r, 3); k; k--)
                        p[epp_rng_below(&r, sizeof(p))] = "\"\\\n\0\x1f"[epp_rng_below(&r, 5)];
                ck_assert_uint_eq(epp_jscan_plain(p + at, n), epp_jscan_plain_twin(p + at, n));
        }
}
END_TEST

START_TEST(quotes)
{
        struct epp_buf out = { 0 };

        ck_assert_int_eq(epp_jscan_quote(&out, EPP_SLICE("ziel-\xc3\xbc\"q\\\n")), 0);
        ck_assert(epp_slice_eq(epp_buf_slice(&out),
                EPP_SLICE("\"ziel-\xc3\xbc\\\"q\\\\\\u000a\"")));
        epp_buf_fini(&out);
}
END_TEST

/* Small documents of tokens and noise, also below the levels that the quick reader takes, against
 * jansson as a judge of validity; and cut after each byte, against themselves. */
START_TEST(jansson_twin)
{
        static const char *const tokens[] = { "{", "}", "[", "]", ":", ",", "\"", "\\", " ", "\n",
                "0", "1", "-", ".", "e", "E", "+", "true", "null", "fals", "\"a\"", "\"a\":", "\\n",
                "\\u", "00e9", "\"\\u00E9\"", "-1.5e+3", "[[", "]]", "{\"b\":", "\t", "x" };
        static struct epp_jscan whole, cut;
        struct epp_rng r;

        epp_rng_init(&r, 11);
        for (int round = 0; round < 150000; round++) {
                char p[160];
                bool deep = round & 1;
                size_t n = (size_t)snprintf(p, sizeof(p), "%s", deep ? "{\"input_ids\":[" : "");
                json_t *doc;

                for (uint64_t k = 1 + epp_rng_below(&r, 11); k; k--)
                        n += (size_t)snprintf(p + n, sizeof(p) - n, "%s",
                                tokens[epp_rng_below(&r, ARRAY_LEN(tokens))]);
                n += (size_t)snprintf(p + n, sizeof(p) - n, "%s", deep ? "]}" : "");
                doc = json_loadb(p, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
                scan(&whole, p, n, n, 1);
                scan(&cut, p, n, 0, 1);
                same(&whole, &cut, p, 1);
                /* numbers beyond a double are grammar to us and an error to jansson */
                if ((doc == NULL) != (whole.error != EPP_J_OK) && !memchr(p, 'e', n) &&
                        !memchr(p, 'E', n))
                        ck_abort_msg("%.*s: jansson %s, we %s", (int)n, p,
                                doc ? "takes it" : "does not", names[whole.error]);
                json_decref(doc);
        }
}
END_TEST

UNIT_MAIN("jscan", captured, small, depth, model_length, plain_twin, quotes, jansson_twin)
