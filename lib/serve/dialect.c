/* dialect.c - see dialect.h: the table of paths. */
#include "serve/dialect.h"

#include <inttypes.h>

static const struct epp_dialect table[] = {
        { "/chat/completions", "chat", true, EPP_JK_MESSAGES, true,
                "invalid chat completions request: must have valid messages field" },
        { "/chat/completions/render", "chat", true, EPP_JK_MESSAGES, true,
                "invalid chat completions request: must have valid messages field" },
        { "/completions", "completions", true, EPP_JK_PROMPT, false,
                "invalid completions request: must have prompt field" },
        { "/completions/render", "completions", true, EPP_JK_PROMPT, false,
                "invalid completions request: must have prompt field" },
        { "/v1/responses", "responses", true, EPP_JK_INPUT, false,
                "invalid responses request: must have input field" },
        { "/v1/conversations", "conversations", true, EPP_JK_ITEMS, true,
                "invalid conversations request: must have items field" },
        { "/embeddings", "embeddings", true, EPP_JK_INPUT, false,
                "invalid embeddings request: must have input field" },
        { "/images/generations", "images", true, EPP_JK_PROMPT, false,
                "invalid images generations request: must have prompt field" },
        { "/v1/messages", "messages", true, EPP_JK_MESSAGES, true,
                "invalid messages request: must have valid messages field" },
        { "/inference/v1/generate", "vllm-generate", true, EPP_JK_TOKEN_IDS, true,
                "invalid generate request: must have token_ids field" },
};
static const struct epp_dialect opaque = { NULL, "opaque", false, EPP_JK_COUNT, false, NULL };

static struct epp_slice
bare(struct epp_slice path)
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

        path = bare(path);
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
        static const struct epp_dialect any = { NULL, "any", true, EPP_JK_COUNT, false, NULL };

        return &any;
}

static bool
present(const struct epp_dialect *d, const struct epp_jfield *f)
{
        if (d->array_only)
                return f->type == EPP_J_ARRAY && f->items;
        if (f->type == EPP_J_STRING || f->type == EPP_J_ARRAY)
                return f->items > 0;
        return d->required == EPP_JK_INPUT && f->type > EPP_J_NULL;
}

const char *
epp_dialect_check(const struct epp_dialect *d, const struct epp_jscan *j, char *buf, size_t size)
{
        static const char *const model[] = { NULL, "model not found in request body",
                "the model name holds a control character", "the model name is not UTF-8",
                "the model name is longer than 1024 bytes" };

        if (j->error) {
                snprintf(buf, size, "the body is not JSON: %s at byte %" PRIu64,
                        epp_jerror_text(j->error), j->error_at);
                return buf;
        }
        if (j->top != EPP_J_OBJECT)
                return "the body is not a JSON object";
        if (j->model_state != EPP_JM_OK)
                return model[j->model_state];
        if (j->n_spans > EPP_JSCAN_SPANS)
                return "too many model keys";
        if (d->required != EPP_JK_COUNT && !present(d, &j->field[d->required]))
                return d->missing;
        return NULL;
}
