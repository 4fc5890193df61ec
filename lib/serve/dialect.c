/* dialect.c - see dialect.h: the table of paths. */
#include "serve/dialect.h"

#include <inttypes.h>

#define CHAT "invalid chat completions request: must have valid messages field"
#define COMPLETIONS "invalid completions request: must have prompt field"

static const struct epp_dialect table[] = {
        { "/chat/completions", "chat", true, EPP_NEED_ARRAY, EPP_JK_MESSAGES, CHAT },
        { "/chat/completions/render", "chat", true, EPP_NEED_ARRAY, EPP_JK_MESSAGES, CHAT },
        { "/completions", "completions", true, EPP_NEED_TEXT, EPP_JK_PROMPT, COMPLETIONS },
        { "/completions/render", "completions", true, EPP_NEED_TEXT, EPP_JK_PROMPT, COMPLETIONS },
        { "/v1/responses", "responses", true, EPP_NEED_VALUE, EPP_JK_INPUT,
                "invalid responses request: must have input field" },
        { "/v1/conversations", "conversations", true, EPP_NEED_ARRAY, EPP_JK_ITEMS,
                "invalid conversations request: must have items field" },
        { "/embeddings", "embeddings", true, EPP_NEED_TEXT, EPP_JK_INPUT,
                "invalid embeddings request: must have input field" },
        { "/images/generations", "images", true, EPP_NEED_STRING, EPP_JK_PROMPT,
                "invalid images generations request: must have prompt field" },
        { "/v1/messages", "messages", true, EPP_NEED_ARRAY, EPP_JK_MESSAGES,
                "invalid messages request: must have valid messages field" },
        { "/inference/v1/generate", "vllm-generate", true, EPP_NEED_IDS, EPP_JK_TOKEN_IDS,
                "invalid generate request: must have token_ids field of 32-bit integers" },
};
static const struct epp_dialect opaque = { .name = "opaque", .need = EPP_NEED_NOTHING };

struct epp_slice
epp_dialect_bare(struct epp_slice path)
{
        path = epp_slice_cut(&path, '?');
        path = epp_slice_cut(&path, '#');
        if (path.n && path.p[path.n - 1] == '/')
                path.n--;
        return path;
}

const struct epp_dialect *
epp_dialect_of(struct epp_slice path)
{
        const struct epp_dialect *best = &opaque;
        size_t longest = 0;

        path = epp_dialect_bare(path);
        for (size_t i = 0; i < ARRAY_LEN(table); i++) {
                struct epp_slice end = epp_slice_str(table[i].path);

                if (end.n <= longest || path.n < end.n ||
                        memcmp(path.p + path.n - end.n, end.p, end.n) != 0)
                        continue;
                longest = end.n;
                best = &table[i];
        }
        return best;
}

const struct epp_dialect *
epp_dialect_unknown(void)
{
        static const struct epp_dialect any = {
                .name = "any", .json = true, .need = EPP_NEED_NOTHING
        };

        return &any;
}

static bool
satisfied(enum epp_need need, const struct epp_jfield *f)
{
        switch (need) {
        case EPP_NEED_NOTHING:
                return true;
        case EPP_NEED_VALUE:
                return f->type > EPP_J_NULL;
        case EPP_NEED_STRING:
                return f->type == EPP_J_STRING && f->items;
        case EPP_NEED_TEXT:
                return (f->type == EPP_J_STRING || f->type == EPP_J_ARRAY) && f->items;
        case EPP_NEED_ARRAY:
                return f->type == EPP_J_ARRAY && f->items;
        case EPP_NEED_IDS:
                return f->type == EPP_J_ARRAY && f->items && !f->odd_ids;
        }
        return false;
}

const char *
epp_dialect_check(const struct epp_dialect *d, const struct epp_jscan *j, char *buf, size_t size)
{
        static const char *const model[EPP_JM_STATES] = { NULL, "model not found in request body",
                "model not found in request body: it is not a string",
                "model not found in request body: it is empty",
                "the model name holds a control character", "the model name is not UTF-8",
                "the model name is longer than 1024 bytes" };

        if (j->error == EPP_J_EOF && j->top == EPP_J_ABSENT)
                return "the body is empty";
        if (j->error) {
                snprintf(buf, size, "the body is not JSON: %s at byte %" PRIu64,
                        epp_jerror_text(j->error), j->error_at);
                return buf;
        }
        if (j->top != EPP_J_OBJECT)
                return "the body is not a JSON object";
        if (j->model_state != EPP_JM_OK)
                return model[j->model_state];
        return satisfied(d->need, &j->field[d->member]) ? NULL : d->missing;
}
