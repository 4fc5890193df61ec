/* usage.c - see usage.h. Names: OpenAI (prompt_tokens ...), responses API and Anthropic
 * (input_tokens ...), SGLang (meta_info). */
#include "wire/usage.h"

#include <errno.h>

enum key { K_OTHER, K_USAGE, K_RESPONSE, K_MESSAGE, K_META, K_DETAILS, K_ERROR, K_FINISH,
        K_PROMPT, K_INPUT, K_COMPLETION, K_OUTPUT, K_TOTAL, K_CACHED, K_CACHE_READ };
enum state { BETWEEN, STRING, ESCAPE, SCALAR };

static const struct {
        const char *name;
        enum key key;
} keys[] = {
        { "usage", K_USAGE }, { "response", K_RESPONSE }, { "message", K_MESSAGE },
        { "meta_info", K_META }, { "prompt_tokens_details", K_DETAILS },
        { "input_tokens_details", K_DETAILS }, { "error", K_ERROR }, { "finish_reason", K_FINISH },
        { "prompt_tokens", K_PROMPT }, { "input_tokens", K_INPUT },
        { "completion_tokens", K_COMPLETION }, { "output_tokens", K_OUTPUT },
        { "total_tokens", K_TOTAL }, { "cached_tokens", K_CACHED },
        { "cache_read_input_tokens", K_CACHE_READ },
};

void
epp_usage_begin(struct epp_usage_walk *w)
{
        *w = (struct epp_usage_walk){ 0 };
}

static bool
in_object(const struct epp_usage_walk *w)
{
        return w->depth && w->depth < 64 && (w->objects >> w->depth & 1);
}

static void
key_done(struct epp_usage_walk *w)
{
        struct epp_slice name = epp_slice(w->text, w->text_n);

        if (w->depth > EPP_USAGE_LEVELS)
                return;
        w->key[w->depth] = K_OTHER;
        if (w->text_long)
                return;
        for (size_t i = 0; i < ARRAY_LEN(keys); i++)
                if (epp_slice_eq(name, epp_slice_str(keys[i].name)))
                        w->key[w->depth] = (unsigned char)keys[i].key;
}

/* The level of the usage object that the walk stands in (its fields), or 0. */
static unsigned
usage_level(const struct epp_usage_walk *w)
{
        const unsigned char *k = w->key;

        if (k[1] == K_USAGE || k[1] == K_META)
                return 2;
        return (k[1] == K_RESPONSE || k[1] == K_MESSAGE) && k[2] == K_USAGE ? 3 : 0;
}

enum { STRONG_PROMPT = 1, STRONG_COMPLETION = 2, STRONG_CACHED = 4 };

/* One of two names for the same number: the strong one counts wherever it stands. */
static void
store(struct epp_usage_walk *w, uint64_t *field, uint64_t v, unsigned char bit, bool strong)
{
        if (strong)
                w->strong |= bit;
        if (strong || !(w->strong & bit))
                *field = v;
}

static void
number_done(struct epp_usage_walk *w, uint64_t v)
{
        unsigned level = usage_level(w);
        struct epp_usage *u = w->key[1] == K_META ? &w->meta : &w->got;

        if (!level || w->depth > EPP_USAGE_LEVELS)
                return;
        if (w->depth == level + 1 && w->key[level] == K_DETAILS && w->key[level + 1] == K_CACHED)
                store(w, &u->cached, v, STRONG_CACHED, true); /* details began with the object */
        if (w->depth != level)
                return;
        switch (w->key[level]) {
        case K_PROMPT:
        case K_INPUT:
                store(w, &u->prompt, v, STRONG_PROMPT, w->key[level] == K_PROMPT);
                break;
        case K_COMPLETION:
        case K_OUTPUT:
                store(w, &u->completion, v, STRONG_COMPLETION, w->key[level] == K_COMPLETION);
                break;
        case K_TOTAL:
                u->total = v;
                break;
        case K_CACHED:
        case K_CACHE_READ:
                store(w, &u->cached, v, STRONG_CACHED, false);
                u->details = true;
                break;
        default:
                break;
        }
}

/* A scalar or a string value ended; <text> holds it when it is short enough. */
static void
value_done(struct epp_usage_walk *w, bool string)
{
        uint64_t exact;
        double d;
        char *end;

        if (in_object(w) && w->depth == 2 && w->key[1] == K_META && w->key[2] == K_FINISH)
                w->finished = string || w->text_n == 0 || w->text[0] != 'n';
        if (!in_object(w) || w->text_long || w->text_n == 0 || w->text_n >= sizeof(w->text))
                return;
        w->text[w->text_n] = 0;
        if ((*w->text < '0' || *w->text > '9') && *w->text != '-' && *w->text != '.')
                return; /* strtod knows more spellings than JSON: inf, nan, leading blanks */
        if (w->text[1] == 'x' || w->text[1] == 'X')
                return; /* and hexadecimal ones */
        errno = 0;
        exact = strtoull(w->text, &end, 10);
        if (*end == 0 && errno == 0 && *w->text >= '0' && *w->text <= '9') {
                number_done(w, exact);
                return;
        }
        errno = 0;
        d = strtod(w->text, &end);
        if (*end == 0 && d >= 0 && d < 9e18 && errno == 0)
                number_done(w, (uint64_t)d);
}

/* A usage object begins: of several in one document the last counts, whole. */
static void
usage_begins(struct epp_usage_walk *w)
{
        bool error = w->got.error;

        if (w->key[1] == K_META) {
                w->meta = (struct epp_usage){ 0 };
                w->finished = false;
        } else {
                w->got = (struct epp_usage){ .error = error };
        }
        w->strong = 0;
}

static void
open_level(struct epp_usage_walk *w, bool object)
{
        if (object && w->depth == 1 && w->key[1] == K_ERROR)
                w->got.error = true;
        if (object && w->depth == 2 && w->key[1] == K_META && w->key[2] == K_FINISH)
                w->finished = true;
        w->depth++;
        if (w->depth < 64) {
                w->objects &= ~((uint64_t)1 << w->depth);
                w->objects |= (uint64_t)object << w->depth;
        }
        if (w->depth <= EPP_USAGE_LEVELS)
                w->key[w->depth] = K_OTHER;
        if (object && w->depth > 1 && w->depth == usage_level(w))
                usage_begins(w);
        if (object && w->depth > 2 && w->depth == usage_level(w) + 1 &&
                w->key[w->depth - 1] == K_DETAILS)
                (w->key[1] == K_META ? &w->meta : &w->got)->details = true;
        w->wants_key = object;
}

static void
between(struct epp_usage_walk *w, char c)
{
        switch (c) {
        case '{':
        case '[':
                open_level(w, c == '{');
                break;
        case '}':
        case ']':
                if (w->depth == 0)
                        w->dead = true;
                else
                        w->depth--;
                w->wants_key = false;
                break;
        case ',':
                w->wants_key = in_object(w);
                break;
        case '"':
                w->state = STRING;
                w->text_n = 0;
                w->text_long = false;
                break;
        case ':':
        case ' ':
        case '\t':
        case '\r':
        case '\n':
                break;
        default:
                w->state = SCALAR;
                w->text[0] = c;
                w->text_n = 1;
                w->text_long = false;
        }
}

static void
take(struct epp_usage_walk *w, char c)
{
        if (w->text_n < sizeof(w->text) - 1)
                w->text[w->text_n++] = c;
        else
                w->text_long = true;
}

static void
string_end(struct epp_usage_walk *w)
{
        w->state = BETWEEN;
        if (w->wants_key)
                key_done(w);
        else
                value_done(w, true);
        w->wants_key = false;
}

/* Takes what belongs to the string being read; returns how many bytes. */
static size_t
in_string(struct epp_usage_walk *w, struct epp_slice in)
{
        size_t i = 0;

        for (; i < in.n; i++) {
                char c = in.p[i];

                if (w->state == ESCAPE) {
                        w->state = STRING;
                        w->text_long = true; /* no name of ours has an escape */
                } else if (c == '\\') {
                        w->state = ESCAPE;
                } else if (c == '"') {
                        string_end(w);
                        return i + 1;
                } else if (!w->text_long) {
                        take(w, c);
                }
        }
        return i;
}

void
epp_usage_feed(struct epp_usage_walk *w, struct epp_slice in)
{
        while (in.n && !w->dead) {
                char c = *in.p;
                size_t n = 1;

                if (w->state == STRING || w->state == ESCAPE) {
                        n = in_string(w, in);
                } else if (w->state == SCALAR) {
                        if (strchr(",]} \t\r\n", c) && c) {
                                w->state = BETWEEN;
                                value_done(w, false);
                                n = 0;
                        } else {
                                take(w, c);
                        }
                } else {
                        between(w, c);
                }
                in.p += n, in.n -= n;
        }
}

void
epp_usage_end(struct epp_usage_walk *w, struct epp_usage *sum)
{
        struct epp_usage *u = w->finished ? &w->meta : &w->got;

        if (w->depth || w->dead || w->state != BETWEEN)
                return; /* cut short: nothing of it counts */
        sum->error |= w->got.error;
        sum->details |= u->details;
        if (u->prompt)
                sum->prompt = u->prompt;
        if (u->completion)
                sum->completion = u->completion;
        if (u->cached)
                sum->cached = u->cached;
        if (u->total)
                sum->total = u->total;
        else if (u->prompt || u->completion)
                sum->total = sum->prompt + sum->completion;
}
