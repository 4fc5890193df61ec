/* jscan.c - see jscan.h. Two readers of one grammar: the byte machine (on_byte, on_string) stops
 * and goes on anywhere and is the only one that reports errors; rush() takes whole tokens below the
 * top level, where nothing is remembered, and leaves everything else to the machine. Strings, where
 * nearly all bytes are, are skipped in vectors. Only keys of the top level and the model name are
 * ever decoded. */
#include "wire/jscan.h"

#include <xxhash.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/utf8.h"

#define KEY_MAX 32 /* longer keys match nothing */

enum state { VALUE, VALUE_OR_END, KEY, KEY_OR_END, COLON, AFTER, DONE, STR, ESCAPE, HEX, NUM,
        LITERAL };
enum number { N_MINUS, N_ZERO, N_INT, N_DOT, N_FRAC, N_EXP, N_SIGN, N_DIGITS };

static const struct {
        const char *name;
        size_t n;
} keys[EPP_JK_COUNT] = {
#define KEY(k, text) [EPP_JK_##k] = { text, sizeof(text) - 1 }
        KEY(MODEL, "model"), KEY(STREAM, "stream"), KEY(MESSAGES, "messages"),
        KEY(PROMPT, "prompt"), KEY(INPUT, "input"), KEY(ITEMS, "items"),
        KEY(TOKEN_IDS, "token_ids"),
        KEY(INPUT_IDS, "input_ids"), KEY(MAX_TOKENS, "max_tokens"),
        KEY(MAX_COMPLETION_TOKENS, "max_completion_tokens"),
        KEY(MAX_OUTPUT_TOKENS, "max_output_tokens"), KEY(SAMPLING_PARAMS, "sampling_params"),
        KEY(TOOLS, "tools"), KEY(CACHE_SALT, "cache_salt"),
#undef KEY
};

const char *
epp_jerror_text(enum epp_jerror e)
{
        static const char *const text[EPP_J_ERRORS] = { "", "a value was expected",
                "a key in double quotes was expected", "a colon was expected",
                "a comma or a closing bracket was expected", "control character in a string",
                "unknown escape in a string", "bad \\u escape", "bad number", "nested too deeply",
                "data behind the document", "the document is not complete" };

        return text[e];
}

void
epp_jscan_init(struct epp_jscan *j)
{
        memset(j, 0, offsetof(struct epp_jscan, caught));
        j->model_state = EPP_JM_MISSING;
        j->state = VALUE;
        j->key = -1;
        j->caught_n = 0;
}

size_t
epp_jscan_plain_twin(const char *p, size_t n)
{
        size_t i = 0;

        while (i < n && (unsigned char)p[i] >= 0x20 && p[i] != '"' && p[i] != '\\')
                i++;
        return i;
}

/* Measured on 600 KB of prompt text: 16 bytes a step, some 10 GB/s; byte by byte 1 GB/s. */
static inline size_t
plain(const char *p, size_t n)
{
        size_t i = 0;
#ifdef __SSE2__
        const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\');
        const __m128i low = _mm_set1_epi8(0x1f);

        for (; n - i >= 16; i += 16) {
                __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
                __m128i hit = _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, slash));
                int mask;

                hit = _mm_or_si128(hit, _mm_cmpeq_epi8(_mm_min_epu8(v, low), v));
                mask = _mm_movemask_epi8(hit);
                if (mask)
                        return i + (size_t)__builtin_ctz((unsigned)mask);
        }
#endif
        return i + epp_jscan_plain_twin(p + i, n - i);
}

size_t
epp_jscan_plain(const char *p, size_t n)
{
        return plain(p, n);
}

static inline bool
is_digit(char c)
{
        return c >= '0' && c <= '9';
}

/* The escape at <p>, whole: its bytes, else 0. */
static inline size_t
escape_length(const char *p, const char *end)
{
        static const bool simple[256] = { ['"'] = true, ['\\'] = true, ['/'] = true, ['b'] = true,
                ['f'] = true, ['n'] = true, ['r'] = true, ['t'] = true };

        if (end - p < 2)
                return 0;
        if (simple[(unsigned char)p[1]])
                return 2;
        if (p[1] != 'u' || end - p < 6)
                return 0;
        for (int i = 2; i < 6; i++)
                if (!is_digit(p[i]) && (epp_lower(p[i]) < 'a' || epp_lower(p[i]) > 'f'))
                        return 0;
        return 6;
}

/* Inside a string that nobody remembers: the end of what is plain or a whole, good escape. */
static inline const char *
skip_string(const char *p, const char *end)
{
        size_t n;

        for (;;) {
                p += plain(p, (size_t)(end - p));
                if (p == end || *p != '\\')
                        return p;
                while (p < end && *p == '\\') {
                        n = escape_length(p, end);
                        if (!n)
                                return p;
                        p += n;
                }
        }
}

static void
fail(struct epp_jscan *j, enum epp_jerror e)
{
        j->error = e;
        j->error_at = j->pos;
}

static bool
in_object(const struct epp_jscan *j)
{
        return j->kind[(j->depth - 1) / 64] >> ((j->depth - 1) % 64) & 1;
}

static struct epp_jfield *
top_field(struct epp_jscan *j)
{
        return j->key >= 0 ? &j->field[(unsigned char)j->key] : NULL;
}

/* Whether items at level 2 are token ids, which are checked. */
static bool
in_ids(const struct epp_jscan *j)
{
        return j->key == EPP_JK_TOKEN_IDS || j->key == EPP_JK_INPUT_IDS;
}

/* A number of 0 .. 2^32-1 written with digits only. */
static bool
is_id(const char *p, size_t n)
{
        uint64_t v;

        return epp_slice_digits(epp_slice(p, n), &v) && v <= UINT32_MAX;
}

/* A value begins. At level 1 it is a member's, at level 2 an item of one. */
static void
value_begins(struct epp_jscan *j, enum epp_jtype type)
{
        struct epp_jfield *f = top_field(j);

        if (j->depth == 0)
                j->top = type;
        else if (j->depth == 1 && in_object(j) && f) {
                *f = (struct epp_jfield){ .type = type, .number = -1 };
                j->value_at = j->pos;
        } else if (j->depth == 2 && f && f->type == EPP_J_ARRAY) {
                f->items++;
                f->odd_ids |= in_ids(j) && type != EPP_J_NUMBER;
        }
}

static void
catch_begins(struct epp_jscan *j)
{
        j->catching = true;
        j->caught_long = false;
        j->caught_n = 0;
        j->high = 0;
}

static void
catch_byte(struct epp_jscan *j, char c)
{
        if (j->caught_n < sizeof(j->caught))
                j->caught[j->caught_n++] = c;
        else
                j->caught_long = true;
}

static bool
valid_utf8(const char *p, size_t n)
{
        for (size_t i = 0, len; i < n; i += len) {
                len = epp_utf8_len(p + i, n - i);
                if (len == 0)
                        return false;
        }
        return true;
}

static enum epp_jmodel
judge_model(const struct epp_jscan *j)
{
        if (j->caught_n == 0)
                return EPP_JM_EMPTY;
        if (j->caught_long || j->caught_n > EPP_JSCAN_MODEL)
                return EPP_JM_LONG;
        for (size_t i = 0; i < j->caught_n; i++)
                if ((unsigned char)j->caught[i] < 0x20 || j->caught[i] == 0x7f)
                        return EPP_JM_CONTROL;
        return valid_utf8(j->caught, j->caught_n) ? EPP_JM_OK : EPP_JM_UTF8;
}

/* One more "model" value; j->pos is behind it. */
static void
model_seen(struct epp_jscan *j, bool string)
{
        struct epp_jspan span = { j->value_at, j->pos - j->value_at };
        uint64_t hash = string ? XXH3_64bits(j->caught, j->caught_n) : 1;

        if (j->n_spans < EPP_JSCAN_SPANS)
                j->spans[j->n_spans] = span;
        if (j->n_spans++ && hash != j->model_hash)
                j->conflict = true;
        j->model_hash = hash;
        j->model_state = string ? judge_model(j) : EPP_JM_TYPE;
        j->model_n = 0;
        if (j->model_state == EPP_JM_OK) {
                j->model_n = j->caught_n;
                memcpy(j->model, j->caught, j->caught_n);
        }
}

/* A value has ended; j->pos is behind it and j->depth is that of its container. */
static void
value_ends(struct epp_jscan *j)
{
        struct epp_jfield *f = top_field(j);

        j->state = j->depth ? AFTER : DONE;
        if (j->depth == 1 && f) {
                f->span = (struct epp_jspan){ j->value_at, j->pos - j->value_at };
                if (f->type == EPP_J_STRING)
                        f->items = f->span.len - 2;
                if (j->key == EPP_JK_MODEL)
                        model_seen(j, f->type == EPP_J_STRING);
        }
        j->catching = false;
}

static void
open_container(struct epp_jscan *j, bool object)
{
        value_begins(j, object ? EPP_J_OBJECT : EPP_J_ARRAY);
        if (j->depth == EPP_JSCAN_DEPTH) {
                fail(j, EPP_J_DEPTH);
                return;
        }
        j->kind[j->depth / 64] &= ~((uint64_t)1 << (j->depth % 64));
        j->kind[j->depth / 64] |= (uint64_t)object << (j->depth % 64);
        j->depth++;
        j->state = object ? KEY_OR_END : VALUE_OR_END;
}

static void
close_container(struct epp_jscan *j)
{
        j->depth--;
        j->pos++; /* value_ends wants the position behind */
        value_ends(j);
        j->pos--;
}

static void
begin_string(struct epp_jscan *j, bool key)
{
        j->is_key = key;
        j->state = STR;
        if (key ? j->depth == 1 : j->depth == 1 && j->key == EPP_JK_MODEL)
                catch_begins(j);
        if (!key)
                value_begins(j, EPP_J_STRING);
}

static void
end_key(struct epp_jscan *j)
{
        j->state = COLON;
        if (j->depth != 1)
                return;
        j->catching = false;
        j->key = -1;
        if (j->caught_n > KEY_MAX)
                return;
        for (int k = 0; k < EPP_JK_COUNT; k++)
                if (keys[k].n == j->caught_n && memcmp(keys[k].name, j->caught, j->caught_n) == 0)
                        j->key = (signed char)k;
}

static void
begin_scalar(struct epp_jscan *j, char c)
{
        static const struct {
                char first;
                const char *rest;
                enum epp_jtype type;
        } literals[] = { { 't', "rue", EPP_J_BOOL }, { 'f', "alse", EPP_J_BOOL },
                { 'n', "ull", EPP_J_NULL } };

        for (size_t i = 0; i < ARRAY_LEN(literals); i++) {
                if (c == literals[i].first) {
                        value_begins(j, literals[i].type);
                        j->literal = literals[i].rest;
                        j->state = LITERAL;
                        if (j->depth == 1 && j->key >= 0)
                                top_field(j)->is_true = c == 't';
                        return;
                }
        }
        if (c != '-' && (c < '0' || c > '9')) {
                fail(j, EPP_J_VAL);
                return;
        }
        value_begins(j, EPP_J_NUMBER);
        j->state = NUM;
        j->number = c == '-' ? N_MINUS : c == '0' ? N_ZERO : N_INT;
        if (j->key >= 0 && (j->depth == 1 || (j->depth == 2 && in_ids(j)))) {
                catch_begins(j);
                catch_byte(j, c);
        }
}

static void
on_value(struct epp_jscan *j, char c)
{
        if (c == '"')
                begin_string(j, false);
        else if (c == '{' || c == '[')
                open_container(j, c == '{');
        else
                begin_scalar(j, c);
}

/* Whether the number read so far may end; c continues it or not. */
static bool
number_takes(struct epp_jscan *j, char c)
{
        bool digit = c >= '0' && c <= '9';

        switch ((enum number)j->number) {
        case N_MINUS:
                j->number = c == '0' ? N_ZERO : N_INT;
                return digit;
        case N_ZERO:
        case N_INT:
                if (digit && j->number == N_INT)
                        return true;
                if (c == '.')
                        j->number = N_DOT;
                else if (c == 'e' || c == 'E')
                        j->number = N_EXP;
                else
                        return false;
                return true;
        case N_DOT:
                j->number = N_FRAC;
                return digit;
        case N_FRAC:
                if (c == 'e' || c == 'E') {
                        j->number = N_EXP;
                        return true;
                }
                return digit;
        case N_EXP:
                j->number = digit ? N_DIGITS : N_SIGN;
                return digit || c == '+' || c == '-';
        case N_SIGN:
                j->number = N_DIGITS;
                return digit;
        case N_DIGITS:
                return digit;
        }
        return false;
}

static bool
number_complete(unsigned char before)
{
        return before == N_ZERO || before == N_INT || before == N_FRAC || before == N_DIGITS;
}

static void
number_ends(struct epp_jscan *j)
{
        if (j->catching && j->depth == 2) {
                top_field(j)->odd_ids |= !is_id(j->caught, j->caught_n);
        } else if (j->catching && j->caught_n < 31) {
                j->caught[j->caught_n] = 0;
                top_field(j)->number = strtod(j->caught, NULL);
        }
        value_ends(j);
}

/* A byte of a number; true when it was taken, else it ended the number and comes again. */
static bool
on_number(struct epp_jscan *j, char c)
{
        unsigned char before = j->number;

        if (number_takes(j, c)) {
                if (j->catching)
                        catch_byte(j, c);
                return true;
        }
        j->number = before;
        if (!number_complete(before) || (c >= '0' && c <= '9')) {
                fail(j, EPP_J_NUM);
                return true;
        }
        number_ends(j);
        return false;
}

static void
catch_code(struct epp_jscan *j, uint32_t c)
{
        if (c < 0x80) {
                catch_byte(j, (char)c);
        } else if (c < 0x800) {
                catch_byte(j, (char)(0xc0 | c >> 6));
                catch_byte(j, (char)(0x80 | (c & 0x3f)));
        } else if (c < 0x10000) {
                catch_byte(j, (char)(0xe0 | c >> 12));
                catch_byte(j, (char)(0x80 | (c >> 6 & 0x3f)));
                catch_byte(j, (char)(0x80 | (c & 0x3f)));
        } else {
                catch_byte(j, (char)(0xf0 | c >> 18));
                catch_byte(j, (char)(0x80 | (c >> 12 & 0x3f)));
                catch_byte(j, (char)(0x80 | (c >> 6 & 0x3f)));
                catch_byte(j, (char)(0x80 | (c & 0x3f)));
        }
}

/* A high surrogate that no low one followed. */
static void
settle_high(struct epp_jscan *j)
{
        if (j->high)
                catch_code(j, 0xfffd);
        j->high = 0;
}

static void
on_escape(struct epp_jscan *j, char c)
{
        static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
        const char *at = c ? strchr(from, c) : NULL;

        j->state = STR;
        if (c == 'u') {
                j->state = HEX;
                j->hex_left = 4;
                j->hex = 0;
        } else if (!at) {
                fail(j, EPP_J_ESC);
        } else if (j->catching) {
                settle_high(j);
                catch_byte(j, to[at - from]);
        }
}

static void
on_code(struct epp_jscan *j)
{
        uint32_t c = j->hex;

        if (c >= 0xdc00 && c < 0xe000 && j->high) {
                c = 0x10000 + ((j->high - 0xd800) << 10) + (c - 0xdc00);
                j->high = 0;
                catch_code(j, c);
                return;
        }
        settle_high(j);
        if (c >= 0xd800 && c < 0xdc00)
                j->high = c;
        else
                catch_code(j, c >= 0xdc00 && c < 0xe000 ? 0xfffd : c);
}

static void
on_hex(struct epp_jscan *j, char c)
{
        char l = epp_lower(c);

        if (c >= '0' && c <= '9')
                j->hex = j->hex << 4 | (uint32_t)(c - '0');
        else if (l >= 'a' && l <= 'f')
                j->hex = j->hex << 4 | (uint32_t)(l - 'a' + 10);
        else {
                fail(j, EPP_J_HEX);
                return;
        }
        if (--j->hex_left)
                return;
        j->state = STR;
        if (j->catching)
                on_code(j);
}

/* Bytes of a string from <p>; returns how many were taken. */
static size_t
on_string(struct epp_jscan *j, const char *p, size_t n)
{
        size_t k = j->catching ? plain(p, n) : (size_t)(skip_string(p, p + n) - p);

        if (j->catching && k) {
                size_t room;

                settle_high(j);
                room = sizeof(j->caught) - j->caught_n;
                memcpy(j->caught + j->caught_n, p, EPP_MIN(k, room));
                j->caught_n += EPP_MIN(k, room);
                j->caught_long |= k > room;
        }
        j->pos += k;
        if (k == n)
                return n;
        if (p[k] == '\\') {
                j->state = ESCAPE;
        } else if (p[k] != '"') {
                fail(j, EPP_J_CTL);
                return k;
        } else {
                if (j->catching)
                        settle_high(j);
                if (j->is_key) {
                        end_key(j);
                } else {
                        j->pos++;
                        value_ends(j);
                        j->pos--;
                }
        }
        j->pos++;
        return k + 1;
}

static void
on_after(struct epp_jscan *j, char c)
{
        if (c == ',')
                j->state = in_object(j) ? KEY : VALUE;
        else if (c == (in_object(j) ? '}' : ']'))
                close_container(j);
        else
                fail(j, EPP_J_DELIM);
}

static void
on_literal(struct epp_jscan *j, char c)
{
        if (c != *j->literal) {
                fail(j, EPP_J_VAL);
        } else if (!*++j->literal) {
                j->pos++;
                value_ends(j);
                j->pos--;
        }
}

static void
on_key(struct epp_jscan *j, char c)
{
        if (c == '"')
                begin_string(j, true);
        else if (c == '}' && j->state == KEY_OR_END)
                close_container(j);
        else
                fail(j, EPP_J_KEY);
}

/* One byte between tokens or inside a short one; true when it was taken. */
static bool
on_byte(struct epp_jscan *j, char c)
{
        if (j->state == NUM)
                return on_number(j, c);
        if (j->state < STR && (c == ' ' || c == '\n' || c == '\r' || c == '\t'))
                return true;
        switch ((enum state)j->state) {
        case VALUE_OR_END:
                if (c == ']') {
                        close_container(j);
                        break;
                }
                EPP_FALLTHROUGH;
        case VALUE:
                on_value(j, c);
                break;
        case KEY:
        case KEY_OR_END:
                on_key(j, c);
                break;
        case COLON:
                if (c == ':')
                        j->state = VALUE;
                else
                        fail(j, EPP_J_COLON);
                break;
        case AFTER:
                on_after(j, c);
                break;
        case DONE:
                fail(j, EPP_J_TRAILING);
                break;
        case ESCAPE:
                on_escape(j, c);
                break;
        case HEX:
                on_hex(j, c);
                break;
        case LITERAL:
                on_literal(j, c);
                break;
        case STR:
        case NUM:
                break;
        }
        return true;
}

/* A byte order mark may stand before everything; returns how many bytes of it were taken. */
static size_t
skip_mark(struct epp_jscan *j, const char *p, size_t n)
{
        static const char mark[] = "\xef\xbb\xbf";
        size_t i = 0;

        while (i < n && j->bom < 3 && j->pos == j->bom && p[i] == mark[j->bom]) {
                j->bom++;
                j->pos++;
                i++;
        }
        if (i < n && j->bom > 0 && j->bom < 3)
                fail(j, EPP_J_VAL);
        return i;
}

/* A number that has ended before <end>: the byte behind it, else NULL. */
static inline const char *
whole_number(const char *p, const char *end)
{
        p += *p == '-';
        if (p == end || !is_digit(*p))
                return NULL;
        if (*p++ != '0')
                while (p < end && is_digit(*p))
                        p++;
        if (p < end && *p == '.') {
                if (++p == end || !is_digit(*p))
                        return NULL;
                while (p < end && is_digit(*p))
                        p++;
        }
        if (p < end && (*p == 'e' || *p == 'E')) {
                p++;
                p += p < end && (*p == '+' || *p == '-');
                if (p == end || !is_digit(*p))
                        return NULL;
                while (p < end && is_digit(*p))
                        p++;
        }
        return p == end || is_digit(*p) ? NULL : p;
}

/* Where rush() stands: the machine's state while it runs, in registers. */
struct rush {
        const char *p, *end;
        unsigned state, depth;
        bool object;      /* the innermost container is one */
        bool ids, odd;    /* items at level 2 are token ids; one is not */
        uint64_t items;   /* values that began at level 2 */
};

/* A value of <n> bytes begins, n = 0 for what cannot be a token id. */
static inline void
rush_item(struct rush *r, size_t n)
{
        if (r->depth != 2)
                return;
        r->items++;
        if (r->ids)
                r->odd |= n == 0 || !is_id(r->p, n);
}

static inline bool
rush_open(struct epp_jscan *j, struct rush *r, bool object)
{
        uint64_t bit = (uint64_t)1 << (r->depth % 64), *word = &j->kind[r->depth / 64];

        if (r->depth == EPP_JSCAN_DEPTH)
                return false;
        *word = object ? *word | bit : *word & ~bit;
        rush_item(r, 0);
        r->depth++;
        r->object = object;
        r->state = object ? KEY_OR_END : VALUE_OR_END;
        r->p++;
        return true;
}

/* The end of level 2 is the machine's: the member of the top level ends with it. */
static inline bool
rush_close(const struct epp_jscan *j, struct rush *r)
{
        if (r->depth == 2)
                return false;
        r->depth--;
        r->object = j->kind[(r->depth - 1) / 64] >> ((r->depth - 1) % 64) & 1;
        r->state = AFTER;
        r->p++;
        return true;
}

/* A string; one that does not end here is left to the machine from where it was cut. */
static inline bool
rush_string(struct epp_jscan *j, struct rush *r, bool key)
{
        r->p = skip_string(r->p + 1, r->end);
        if (r->p == r->end || *r->p != '"') {
                j->is_key = key;
                r->state = STR;
                return false;
        }
        r->p++;
        r->state = key ? COLON : AFTER;
        return true;
}

static inline bool
rush_value(struct epp_jscan *j, struct rush *r)
{
        size_t left = (size_t)(r->end - r->p);
        const char *next;

        switch (*r->p) {
        case '"':
                rush_item(r, 0);
                return rush_string(j, r, false);
        case '{':
        case '[':
                return rush_open(j, r, *r->p == '{');
        case 't':
                next = left >= 4 && memcmp(r->p, "true", 4) == 0 ? r->p + 4 : NULL;
                break;
        case 'n':
                next = left >= 4 && memcmp(r->p, "null", 4) == 0 ? r->p + 4 : NULL;
                break;
        case 'f':
                next = left >= 5 && memcmp(r->p, "false", 5) == 0 ? r->p + 5 : NULL;
                break;
        default:
                next = whole_number(r->p, r->end);
        }
        if (!next)
                return false;
        rush_item(r, (size_t)(next - r->p));
        r->p = next;
        r->state = AFTER;
        return true;
}

/* One token; false: the machine takes over at r->p, in r->state. */
static inline bool
rush_token(struct epp_jscan *j, struct rush *r)
{
        char c = *r->p;

        switch (r->state) {
        case KEY_OR_END:
                if (c == '}')
                        return rush_close(j, r);
                EPP_FALLTHROUGH;
        case KEY:
                return c == '"' && rush_string(j, r, true);
        case COLON:
                r->state = c == ':' ? VALUE : COLON;
                r->p += c == ':';
                return c == ':';
        case VALUE_OR_END:
                if (c == ']')
                        return rush_close(j, r);
                EPP_FALLTHROUGH;
        case VALUE:
                return rush_value(j, r);
        case AFTER:
                if (c != ',')
                        return c == (r->object ? '}' : ']') && rush_close(j, r);
                r->state = r->object ? KEY : VALUE;
                r->p++;
                return true;
        default:
                return false;
        }
}

/* Takes whole tokens from level 2 down; returns how many bytes, 0 when the machine must work. */
static size_t
rush(struct epp_jscan *j, const char *p, const char *end)
{
        struct rush r = { p, end, j->state, j->depth, in_object(j), in_ids(j), false, 0 };
        struct epp_jfield *f = top_field(j);

        while (r.p < r.end) {
                if (*r.p == ' ' || *r.p == '\n' || *r.p == '\r' || *r.p == '\t')
                        r.p++;
                else if (!rush_token(j, &r))
                        break;
        }
        j->state = (unsigned char)r.state;
        j->depth = r.depth;
        if (f && f->type == EPP_J_ARRAY) {
                f->items += r.items;
                f->odd_ids |= r.odd;
        }
        j->pos += (uint64_t)(r.p - p);
        return (size_t)(r.p - p);
}

void
epp_jscan_feed(struct epp_jscan *j, struct epp_slice in)
{
        const char *p = in.p, *end;

        if (j->error || in.n == 0)
                return;
        end = p + in.n;
        if (j->pos == j->bom)
                p += skip_mark(j, p, in.n);
        while (p < end && !j->error) {
                size_t n = j->depth > 1 && j->state < STR ? rush(j, p, end) : 0;

                p += n;
                if (n)
                        continue;
                if (j->state == STR) {
                        p += on_string(j, p, (size_t)(end - p));
                } else if (on_byte(j, *p)) {
                        p++;
                        j->pos += !j->error;
                }
        }
}

void
epp_jscan_end(struct epp_jscan *j)
{
        if (j->error)
                return;
        if (j->state == NUM && number_complete(j->number))
                number_ends(j);
        if (j->state != DONE)
                fail(j, j->state == HEX ? EPP_J_HEX : EPP_J_EOF);
}

struct epp_slice
epp_jscan_model(const struct epp_jscan *j)
{
        return epp_slice(j->model, j->model_n);
}

int
epp_jscan_quote(struct epp_buf *out, struct epp_slice text)
{
        char *at;
        size_t n = 0;
        int r = epp_buf_reserve(out, text.n * 6 + 2, &at);

        if (r < 0)
                return r;
        at[n++] = '"';
        for (size_t i = 0; i < text.n; i++) {
                unsigned char c = (unsigned char)text.p[i];

                if (c < 0x20) {
                        n += (size_t)snprintf(at + n, 7, "\\u%04x", c);
                        continue;
                }
                if (c == '"' || c == '\\')
                        at[n++] = '\\';
                at[n++] = (char)c;
        }
        at[n++] = '"';
        epp_buf_commit(out, n);
        return 0;
}
