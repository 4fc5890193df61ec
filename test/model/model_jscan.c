/* model_jscan.c - the scanner against jansson: every short sequence of tokens, then longer
 * documents made at random and spoilt; valid or not, the model, and the same from any cut.
 * The deliberate differences are kept out of the texts: numbers that do not fit, lone surrogates,
 * invalid UTF-8, the byte order mark, NUL in keys, depth (test_jscan has those). */
#include <jansson.h>

#include "base/rng.h"
#include "unit/unit.h"
#include "wire/jscan.h"

/* As ck_assert_msg, which tells its parent of each call: too slow for millions. */
#define MUST(x, ...) \
        do { \
                if (!(x)) \
                        ck_abort_msg(__VA_ARGS__); \
        } while (0)

#ifdef __SANITIZE_ADDRESS__
#define LENGTH 4
#define DOCUMENTS 30000
#else
#define LENGTH 5
#define DOCUMENTS 200000
#endif

static struct epp_jscan whole, cut;

static bool
has_control(const char *p, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if ((unsigned char)p[i] < 0x20 || p[i] == 0x7f)
                        return true;
        return false;
}

/* What jansson says of the model: the last member of that name. */
static enum epp_jmodel
twin_model(const json_t *doc, struct epp_slice *ret)
{
        json_t *v = json_object_get(doc, "model"); /* NULL for what is no object */

        *ret = epp_slice(json_string_value(v), json_string_length(v));
        return !v ? EPP_JM_MISSING
             : !json_is_string(v) ? EPP_JM_TYPE
             : ret->n == 0 ? EPP_JM_EMPTY
             : has_control(ret->p, ret->n) ? EPP_JM_CONTROL : EPP_JM_OK;
}

static void
compare(const char *text, size_t n)
{
        json_t *doc = json_loadb(text, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        struct epp_slice model = epp_jscan_model(&whole);
        struct epp_slice want;

        MUST((whole.error == EPP_J_OK) == (doc != NULL), "%.*s: scanner %d, jansson %s", (int)n,
                text, whole.error, doc ? "valid" : "invalid");
        if (doc) {
                enum epp_jmodel state = twin_model(doc, &want);

                MUST((whole.top == EPP_J_OBJECT) == json_is_object(doc), "%.*s: type", (int)n,
                        text);
                MUST(whole.model_state == state, "%.*s: state %d, expected %d", (int)n, text,
                        whole.model_state, state);
                if (state == EPP_JM_OK)
                        MUST(epp_slice_eq(model, want), "%.*s: model \"%.*s\"",
                                (int)n, text, SLICE_ARG(model));
        }
        json_decref(doc);
}

/* The span of each "model" value reads as a document of its own. */
static void
compare_spans(const char *text)
{
        size_t n = EPP_MIN(whole.n_spans, (size_t)EPP_JSCAN_SPANS);

        for (size_t i = 0; !whole.error && i < n; i++) {
                json_t *v = json_loadb(text + whole.spans[i].at, whole.spans[i].len,
                        JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

                MUST(v != NULL, "%s: span %zu", text, i);
                json_decref(v);
        }
}

static void
compare_cut(const char *text, size_t n, struct epp_rng *rng)
{
        size_t at = 0;

        epp_jscan_init(&cut);
        while (at < n) {
                size_t k = 1 + epp_rng_below(rng, 5);

                k = EPP_MIN(k, n - at);
                epp_jscan_feed(&cut, epp_slice(text + at, k));
                at += k;
        }
        epp_jscan_end(&cut);
        MUST(cut.error == whole.error && cut.error_at == whole.error_at &&
                        cut.n_spans == whole.n_spans && cut.conflict == whole.conflict &&
                        cut.model_state == whole.model_state && cut.top == whole.top &&
                        epp_slice_eq(epp_jscan_model(&cut), epp_jscan_model(&whole)) &&
                        memcmp(cut.spans, whole.spans, sizeof(cut.spans)) == 0,
                "%.*s: cut it reads differently", (int)n, text);
}

static void
check_text(const char *text, size_t n, struct epp_rng *rng)
{
        epp_jscan_init(&whole);
        epp_jscan_feed(&whole, epp_slice(text, n));
        epp_jscan_end(&whole);
        compare(text, n);
        compare_spans(text);
        compare_cut(text, n, rng);
}

static const char *const tokens[] = { "{", "}", "[", "]", ",", ":", "\"model\"", "\"a\"", "\"\"",
        "1", "-", "0", "null", " ", "\"\\u006dodel\"" };

START_TEST(short_sequences)
{
        size_t digit[LENGTH] = { 0 };
        struct epp_rng rng;
        char text[256];

        epp_rng_init(&rng, 1);
        for (size_t len = 0; len <= LENGTH; len++) {
                size_t i;

                memset(digit, 0, sizeof(digit));
                do {
                        size_t n = 0;

                        for (i = 0; i < len; i++)
                                n += (size_t)snprintf(text + n, sizeof(text) - n, "%s",
                                        tokens[digit[i]]);
                        text[n] = 0;
                        check_text(text, n, &rng);
                        for (i = 0; i < len && ++digit[i] == ARRAY_LEN(tokens); i++)
                                digit[i] = 0;
                } while (i < len);
        }
}
END_TEST

/* A growing text; what does not fit is left out, which makes one more invalid document. */
struct text {
        char p[4096];
        size_t n;
        struct epp_rng *rng;
};

static void
put(struct text *t, const char *s)
{
        size_t n = strlen(s);

        if (n >= sizeof(t->p) - t->n)
                return;
        memcpy(t->p + t->n, s, n + 1);
        t->n += n;
}

static const char *
any_of(struct text *t, const char *const *v, size_t n)
{
        return v[epp_rng_below(t->rng, n)];
}
#define LIST(...) ((const char *const[]){ __VA_ARGS__ })
#define ANY_OF(t, ...) any_of(t, LIST(__VA_ARGS__), ARRAY_LEN(LIST(__VA_ARGS__)))

static void
put_string(struct text *t)
{
        put(t, "\"");
        for (uint64_t k = epp_rng_below(t->rng, 5); k; k--)
                put(t, ANY_OF(t, "a", "model", "\\n", "\\\"", "\\\\", "\\/", "\\u00e9",
                        "\\uD83D\\uDE00", "\xc3\xbc", "{", "\x7f", "\\u0001",
                        "plain text of more than sixteen bytes"));
        put(t, "\"");
}

/* Below <depth> more levels; the document itself is mostly an object. */
static void
put_value(struct text *t, unsigned depth)
{
        uint64_t kind = epp_rng_below(t->rng, t->n == 0 ? 12 : depth ? 6 : 3);
        uint64_t n = epp_rng_below(t->rng, 4);
        bool object = kind > 3;

        if (kind == 0) {
                put(t, ANY_OF(t, "0", "-0", "12", "1.5", "-3e2", "1E+2", "0.0e-1", "true",
                        "false", "null"));
        } else if (kind < 3) {
                put_string(t);
        } else {
                put(t, object ? "{" : "[");
                for (uint64_t i = 0; i < n; i++) {
                        put(t, i ? "," : "");
                        put(t, ANY_OF(t, "", "", " ", "\n\t\r "));
                        if (object) {
                                put(t, ANY_OF(t, "\"model\"", "\"stream\"", "\"m\\u006fdel\"",
                                        "\"b\"", "\"\""));
                                put(t, ANY_OF(t, ":", " : "));
                        }
                        put_value(t, depth - 1);
                }
                put(t, object ? "}" : "]");
        }
}

/* Half of them lose, gain or change a byte; only ASCII goes in, and no character is cut. */
static void
spoil(struct text *t)
{
        static const char with[] = "{}[],:\"\\0-e.u ";
        size_t at = t->n ? epp_rng_below(t->rng, t->n) : 0;

        if (t->n == 0 || (unsigned char)t->p[at] >= 0x80)
                return;
        switch (epp_rng_below(t->rng, 6)) {
        case 0:
                t->n = at;
                break;
        case 1:
                t->p[at] = with[epp_rng_below(t->rng, sizeof(with) - 1)];
                break;
        case 2:
                memmove(t->p + at, t->p + at + 1, t->n - at - 1);
                t->n--;
                break;
        default:
                break;
        }
        t->p[t->n] = 0;
}

/* Spoiling can make what jansson refuses and we take on purpose: a lone surrogate, NUL in a key. */
static bool
deliberate(const char *text)
{
        const char *low = strstr(text, "\\uDE00");

        for (const char *p = text; (p = strcasestr(p, "\\ud8")); p++)
                if (strncmp(p, "\\uD83D\\uDE00", 12))
                        return true;
        for (; low; low = strstr(low + 1, "\\uDE00"))
                if (low - text < 6 || strncmp(low - 6, "\\uD83D", 6))
                        return true;
        return strcasestr(text, "\\u0000") || strstr(text, "\\\\u") ||
               strcasestr(text, "\\uD") != strstr(text, "\\uD83D\\uDE00");
}

START_TEST(random_documents)
{
        static struct text t;
        struct epp_rng rng;
        size_t valid = 0, models = 0;

        epp_rng_init(&rng, 2);
        for (size_t i = 0; i < DOCUMENTS; i++) {
                t.n = 0;
                t.rng = &rng;
                put_value(&t, 1 + (unsigned)epp_rng_below(&rng, 4));
                spoil(&t);
                if (deliberate(t.p))
                        continue;
                check_text(t.p, t.n, &rng);
                valid += whole.error == EPP_J_OK;
                models += whole.error == EPP_J_OK && whole.model_state == EPP_JM_OK;
        }
        printf("%zu valid, %zu with a model, of %d\n", valid, models, DOCUMENTS);
        ck_assert_uint_gt(valid, DOCUMENTS / 4);
        ck_assert_uint_gt(models, DOCUMENTS / 50);
}
END_TEST

UNIT_MAIN("model_jscan", short_sequences, random_documents)
