/* test_dialect.c - which path speaks what, and what each kind of body must hold. */
#include "serve/dialect.h"
#include "unit.h"

static const struct {
        const char *path, *name;
} paths[] = {
        { "/v1/completions", "completions" },
        { "/v1/completions/", "completions" },
        { "/v1/completions?x=1", "completions" },
        { "/v1/completions/?x=/v1/messages", "completions" },
        { "/v1/completions#/v1/messages", "completions" },
        { "/v1/completions/render", "completions" },
        { "/team-a/v1/completions", "completions" },
        { "/v1/mycompletions", "opaque" },
        { "/mycompletions", "opaque" },
        { "completions", "opaque" },
        { "/completions", "completions" },
        { "/v1/completions//", "opaque" },
        { "/v1/completions/x", "opaque" },
        { "/v1/Completions", "opaque" },
        { "/v1/chat/completions", "chat" },
        { "/v1/chat/completions?x=1", "chat" },
        { "/v1/chat/completions/render", "chat" },
        { "/v1/notchat/completions", "completions" },
        { "/v1/responses", "responses" },
        { "/v1/responses/resp_1/cancel", "opaque" },
        { "/v1/conversations", "conversations" },
        { "/v1/embeddings", "embeddings" },
        { "/v1/images/generations", "images" },
        { "/v1/images/edits", "opaque" },
        { "/v1/messages", "messages" },
        { "/v1/messages?beta=true", "messages" },
        { "/v1/messages/", "messages" },
        { "/v1/messages/count_tokens", "opaque" },
        { "/v1/threads/t/messages", "opaque" },
        { "/inference/v1/generate", "vllm-generate" },
        { "/generate", "opaque" },
        { "/v1/generate", "opaque" },
        { "/tokenize", "opaque" },
        { "/detokenize", "opaque" },
        { "/v1/rerank", "opaque" },
        { "/v1/score", "opaque" },
        { "/pooling", "opaque" },
        { "/classify", "opaque" },
        { "/v1/audio/transcriptions", "opaque" },
        { "/vllm.grpc.engine.VllmEngine/Generate", "opaque" },
        { "/vllm.grpc.engine.VllmEngine/Embed", "opaque" },
        { "/v1/models", "opaque" },
        { "/", "opaque" },
        { "?", "opaque" },
        { "", "opaque" },
};

START_TEST(names)
{
        for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
                const struct epp_dialect *d = epp_dialect_of(epp_slice_str(paths[i].path));

                ck_assert_msg(strcmp(d->name, paths[i].name) == 0, "%s: %s, not %s", paths[i].path,
                        d->name, paths[i].name);
                ck_assert(d->json == (strcmp(d->name, "opaque") != 0));
        }
        ck_assert_str_eq(epp_dialect_of(epp_slice(NULL, 0))->name, "opaque");
}
END_TEST

#define CHAT "invalid chat completions request: must have valid messages field"
#define COMPLETIONS "invalid completions request: must have prompt field"
#define RESPONSES "invalid responses request: must have input field"
#define CONVERSATIONS "invalid conversations request: must have items field"
#define EMBEDDINGS "invalid embeddings request: must have input field"
#define IMAGES "invalid images generations request: must have prompt field"
#define MESSAGES "invalid messages request: must have valid messages field"
#define GENERATE "invalid generate request: must have token_ids field of 32-bit integers"
#define MISSING "model not found in request body"
#define M "{\"model\":\"m\","

static const struct {
        const char *path, *body;
        const char *wrong; /* NULL: good */
} bodies[] = {
        /* The document. */
        { "/v1/completions", "", "the body is empty" },
        { "/v1/completions", " \n\t\r", "the body is empty" },
        { "/v1/completions", "\xef\xbb\xbf", "the body is empty" },
        { "/v1/completions", "\xef\xbb", "the body is empty" },
        { "/v1/completions", "nope", "the body is not JSON: a value was expected at byte 1" },
        { "/v1/completions", M, "the body is not JSON: the document is not complete at byte 13" },
        { "/v1/completions", M "\"prompt\":\"x\"}x",
                "the body is not JSON: data behind the document at byte 26" },
        { "/v1/completions", M "'a'}",
                "the body is not JSON: a key in double quotes was expected at byte 13" },
        { "/v1/completions", M "\"a\" 1}",
                "the body is not JSON: a colon was expected at byte 17" },
        { "/v1/completions", M "\"a\":1 2}",
                "the body is not JSON: a comma or a closing bracket was expected at byte 19" },
        { "/v1/completions", M "\"a\":\"\n\"}",
                "the body is not JSON: control character in a string at byte 18" },
        { "/v1/completions", M "\"a\":\"\\x\"}",
                "the body is not JSON: unknown escape in a string at byte 19" },
        { "/v1/completions", M "\"a\":\"\\u12g4\"}",
                "the body is not JSON: bad \\u escape at byte 22" },
        { "/v1/completions", M "\"a\":01}", "the body is not JSON: bad number at byte 18" },
        { "/v1/completions", M "\"a\":NaN}",
                "the body is not JSON: a value was expected at byte 17" },
        { "/v1/completions", M "\"a\":Infinity}",
                "the body is not JSON: a value was expected at byte 17" },
        { "/v1/completions", "null", "the body is not a JSON object" },
        { "/v1/completions", "[]", "the body is not a JSON object" },
        { "/v1/completions", "[\"model\",\"m\"]", "the body is not a JSON object" },
        { "/v1/completions", "\"model\"", "the body is not a JSON object" },
        { "/v1/completions", "42", "the body is not a JSON object" },
        /* The model. */
        { "/v1/completions", "{\"prompt\":\"x\"}", MISSING },
        { "/v1/completions", "{}", MISSING },
        { "/v1/completions", "{\"Model\":\"m\",\"prompt\":\"x\"}", MISSING },
        { "/v1/completions", "{\"a\":{\"model\":\"m\"},\"prompt\":\"x\"}", MISSING },
        { "/v1/completions", "{\"model\\u0000\":\"m\",\"prompt\":\"x\"}", MISSING },
        { "/v1/completions", "{\"model\":1,\"prompt\":\"x\"}", MISSING ": it is not a string" },
        { "/v1/completions", "{\"model\":null,\"prompt\":\"x\"}", MISSING ": it is not a string" },
        { "/v1/completions", "{\"model\":[\"m\"],\"prompt\":\"x\"}",
                MISSING ": it is not a string" },
        { "/v1/completions", "{\"model\":\"m\",\"model\":{}}", MISSING ": it is not a string" },
        { "/v1/completions", "{\"model\":\"\",\"prompt\":\"x\"}", MISSING ": it is empty" },
        { "/v1/completions", "{\"model\":\"a\\n\",\"prompt\":\"x\"}",
                "the model name holds a control character" },
        { "/v1/completions", "{\"model\":\"a\\u007f\",\"prompt\":\"x\"}",
                "the model name holds a control character" },
        { "/v1/completions", "{\"model\":\"a\xff\",\"prompt\":\"x\"}",
                "the model name is not UTF-8" },
        { "/v1/completions", "{\"model\":\"\xed\xa0\x80\",\"prompt\":\"x\"}",
                "the model name is not UTF-8" },
        { "/v1/completions", "{\"model\":\"\xc0\x80\",\"prompt\":\"x\"}",
                "the model name is not UTF-8" },
        { "/v1/completions", "{\"mod\\u0065l\":\"m\",\"prompt\":\"x\"}", NULL },
        { "/v1/completions", "{\"model\":1,\"prompt\":\"x\",\"model\":\"m\"}", NULL },
        { "/v1/completions", "\xef\xbb\xbf{\"model\":\"m\",\"prompt\":\"x\"} \n", NULL },
        /* What each kind needs. */
        { "/v1/chat/completions", M "\"messages\":[1]}", NULL },
        { "/v1/chat/completions", M "\"messages\":[{\"role\":1,\"content\":{}}]}", NULL },
        { "/v1/chat/completions", M "\"messages\":[]}", CHAT },
        { "/v1/chat/completions", M "\"messages\":\"x\"}", CHAT },
        { "/v1/chat/completions", M "\"messages\":{}}", CHAT },
        { "/v1/chat/completions", M "\"messages\":null}", CHAT },
        { "/v1/chat/completions", M "\"prompt\":\"x\"}", CHAT },
        { "/v1/chat/completions", M "\"messages\":[1],\"messages\":[]}", CHAT },
        { "/v1/chat/completions", M "\"messages\":[],\"messages\":[1]}", NULL },
        { "/v1/completions", M "\"prompt\":\"x\"}", NULL },
        { "/v1/completions", M "\"prompt\":[\"a\",1]}", NULL },
        { "/v1/completions", M "\"prompt\":[[1,2],[3]]}", NULL },
        { "/v1/completions", M "\"prompt\":\"\"}", COMPLETIONS },
        { "/v1/completions", M "\"prompt\":[]}", COMPLETIONS },
        { "/v1/completions", M "\"prompt\":7}", COMPLETIONS },
        { "/v1/completions", M "\"prompt\":{\"a\":1}}", COMPLETIONS },
        { "/v1/completions", M "\"PROMPT\":\"x\"}", COMPLETIONS },
        { "/v1/embeddings", M "\"input\":\"x\"}", NULL },
        { "/v1/embeddings", M "\"input\":[1]}", NULL },
        { "/v1/embeddings", M "\"input\":\"\"}", EMBEDDINGS },
        { "/v1/embeddings", M "\"input\":[]}", EMBEDDINGS },
        { "/v1/embeddings", M "\"input\":7}", EMBEDDINGS },
        { "/v1/embeddings", M "\"input\":true}", EMBEDDINGS },
        { "/v1/responses", M "\"input\":\"x\"}", NULL },
        { "/v1/responses", M "\"input\":\"\"}", NULL },
        { "/v1/responses", M "\"input\":[]}", NULL },
        { "/v1/responses", M "\"input\":7}", NULL },
        { "/v1/responses", M "\"input\":null}", RESPONSES },
        { "/v1/responses", M "\"x\":1}", RESPONSES },
        { "/v1/conversations", M "\"items\":[{}]}", NULL },
        { "/v1/conversations", M "\"items\":[]}", CONVERSATIONS },
        { "/v1/conversations", M "\"items\":\"x\"}", CONVERSATIONS },
        { "/v1/images/generations", M "\"prompt\":\"x\"}", NULL },
        { "/v1/images/generations", M "\"prompt\":\"\"}", IMAGES },
        { "/v1/images/generations", M "\"prompt\":[\"x\"]}", IMAGES },
        { "/v1/messages", M "\"messages\":[{}]}", NULL },
        { "/v1/messages", M "\"messages\":[]}", MESSAGES },
        { "/inference/v1/generate", M "\"token_ids\":[0,4294967295]}", NULL },
        { "/inference/v1/generate", M "\"token_ids\":[]}", GENERATE },
        { "/inference/v1/generate", M "\"token_ids\":[1,-1]}", GENERATE },
        { "/inference/v1/generate", M "\"token_ids\":[4294967296]}", GENERATE },
        { "/inference/v1/generate", M "\"token_ids\":[99999999999999999999]}", GENERATE },
        { "/inference/v1/generate", M "\"token_ids\":[1.0]}", GENERATE },
        { "/inference/v1/generate", M "\"token_ids\":[1e2]}", GENERATE },
        { "/inference/v1/generate", M "\"token_ids\":[\"1\"]}", GENERATE },
        { "/inference/v1/generate", M "\"token_ids\":[1,[2]]}", GENERATE },
        { "/inference/v1/generate", M "\"token_ids\":[true]}", GENERATE },
        { "/inference/v1/generate", M "\"token_ids\":[-1],\"token_ids\":[1]}", NULL },
        /* An unknown path needs nothing but is asked only about objects. */
        { "/tokenize", M "\"x\":1}", NULL },
};

static const char *
check(const char *path, const char *body, size_t step, char *buf, size_t size)
{
        static struct epp_jscan j;
        size_t n = strlen(body);

        epp_jscan_init(&j);
        for (size_t at = 0; at < n; at += step)
                epp_jscan_feed(&j, epp_slice(body + at, EPP_MIN(step, n - at)));
        epp_jscan_end(&j);
        return epp_dialect_check(epp_dialect_of(epp_slice_str(path)), &j, buf, size);
}

START_TEST(requirements)
{
        for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
                for (size_t step = 1; step < 80; step++) {
                        char buf[160];
                        const char *got = check(
                                bodies[i].path, bodies[i].body, step, buf, sizeof(buf));

                        ck_assert_msg(got == bodies[i].wrong ||
                                        (got && bodies[i].wrong &&
                                                strcmp(got, bodies[i].wrong) == 0),
                                "%s %s by %zu: %s", bodies[i].path, bodies[i].body, step,
                                got ? got : "good");
                }
        }
}
END_TEST

UNIT_MAIN("dialect", names, requirements)
