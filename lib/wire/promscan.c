/* promscan.c - see promscan.h. Most lines are not wanted: of these it looks for the end, 64 bytes
 * at a time, and at the first eight bytes. */
#include "wire/promscan.h"

#include <math.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { ALIEN, NAME, LOOK }; /* what a line's first byte says, in epp_promscan.first */

/* What a line turned out to be. */
enum line { LINE_SKIP, LINE_SAMPLE, LINE_BAD };

struct cur {
        const char *p, *end;
};

static bool
is_blank(char c)
{
        return c == ' ' || c == '\t';
}

static bool
is_digit(char c)
{
        return c >= '0' && c <= '9';
}

static bool
is_label_char(char c)
{
        static const bool yes[256] = { ['0' ... '9'] = true, ['A' ... 'Z'] = true,
                ['a' ... 'z'] = true, ['_'] = true };

        return yes[(unsigned char)c];
}

static void
blanks(struct cur *c)
{
        while (c->p < c->end && is_blank(*c->p))
                c->p++;
}

/* Eats <ch> when it is next. */
static bool
eat(struct cur *c, char ch)
{
        if (c->p == c->end || *c->p != ch)
                return false;
        c->p++;
        return true;
}

/* What all names begin with, and the bytes behind that. */
static void
find_common(struct epp_promscan *p)
{
        struct epp_slice one = p->n_names ? p->names[0] : epp_slice(NULL, 0);
        size_t n;

        p->common = one.n;
        for (unsigned i = 1; i < p->n_names; i++) {
                size_t k = 0;

                while (k < p->common && k < p->names[i].n && p->names[i].p[k] == one.p[k])
                        k++;
                p->common = k;
        }
        n = EPP_MIN(p->common, sizeof(p->head));
        if (n) {
                memcpy(&p->head, one.p, n);
                memset(&p->head_mask, 0xff, n);
        }
        for (unsigned i = 0; i < p->n_names; i++)
                if (p->names[i].n == p->common)
                        memset(p->next, true, sizeof(p->next)); /* anything may follow */
                else
                        p->next[(unsigned char)p->names[i].p[p->common]] = true;
}

/* A line whose name is none of ours: most lines of a page, and told by a few bytes; what is not
 * told here plain_name tells. A page of 60 KB takes 12 us so, 25 us when each name is read
 * (measured). */
static inline bool
is_alien(const struct epp_promscan *p, struct epp_slice s)
{
        uint8_t first = p->first[(unsigned char)s.p[0]];
        uint64_t head;

        if (first != NAME)
                return first == ALIEN;
        if (s.n >= sizeof(head)) {
                memcpy(&head, s.p, sizeof(head));
                if ((head ^ p->head) & p->head_mask)
                        return true;
        }
        return s.n > p->common && !p->next[(unsigned char)s.p[p->common]];
}

int
epp_promscan_init(struct epp_promscan *p, const struct epp_slice *names, size_t n,
        epp_prom_sample_fn fn, void *arg)
{
        *p = (struct epp_promscan){ .fn = fn, .arg = arg };
        if (n > EPP_PROM_FAMILIES_MAX)
                return EPP_EINVAL;
        for (size_t i = 0; i < n; i++) {
                if (names[i].n == 0)
                        return EPP_EINVAL;
                p->names[i] = names[i];
                p->first[(unsigned char)names[i].p[0]] = NAME;
        }
        p->n_names = (unsigned)n;
        find_common(p);
        /* Leading blanks, the name inside braces, a byte order mark. */
        p->first[' '] = p->first['\t'] = p->first['{'] = p->first[0xef] = LOOK;
        p->carry.cap = EPP_PROM_LINE_MAX;
        return 0;
}

void
epp_promscan_fini(struct epp_promscan *p)
{
        epp_buf_fini(&p->carry);
        epp_buf_fini(&p->scratch);
}

void
epp_promscan_begin(struct epp_promscan *p)
{
        epp_buf_drain(&p->carry, epp_buf_len(&p->carry));
        p->skip = p->nomem = false;
        p->lines = p->samples = p->errors = p->bytes = 0;
}

/* Unescapes <raw> into room made for the whole line, so earlier slices stay where they are. */
static bool
unescape(struct epp_promscan *p, struct epp_slice raw, struct epp_slice *ret)
{
        char *out, *w;

        if (epp_buf_reserve(&p->scratch, raw.n, &out) < 0) {
                p->nomem = true;
                return false;
        }
        w = out;
        for (size_t i = 0; i < raw.n; i++) {
                char c = raw.p[i];

                if (c == '\\') {
                        c = raw.p[++i]; /* the reader of the quotes saw that it is there */
                        if (c == 'n')
                                c = '\n';
                        else if (c != '\\' && c != '"')
                                return false;
                }
                *w++ = c;
        }
        *ret = epp_slice(out, (size_t)(w - out));
        epp_buf_commit(&p->scratch, ret->n);
        return true;
}

/* Reads a text in quotes; the opening quote is next. */
static bool
quoted(struct epp_promscan *p, struct cur *c, struct epp_slice *ret)
{
        const char *start = c->p + 1;
        bool escapes = false;

        if (!eat(c, '"'))
                return false;
        while (c->p < c->end && *c->p != '"') {
                if (*c->p == '\\') {
                        escapes = true;
                        c->p++;
                        if (c->p == c->end)
                                return false;
                }
                c->p++;
        }
        *ret = epp_slice(start, (size_t)(c->p - start));
        return eat(c, '"') && (!escapes || unescape(p, *ret, ret));
}

static bool
label_name(struct epp_promscan *p, struct cur *c, struct epp_slice *ret)
{
        const char *start = c->p;

        if (c->p < c->end && *c->p == '"')
                return quoted(p, c, ret) && ret->n > 0;
        if (c->p == c->end || is_digit(*c->p))
                return false;
        while (c->p < c->end && is_label_char(*c->p))
                c->p++;
        *ret = epp_slice(start, (size_t)(c->p - start));
        return ret->n > 0;
}

static bool
label_known(const struct epp_promscan *p, size_t n, struct epp_slice name)
{
        for (size_t i = 0; i < n; i++) {
                if (epp_slice_eq(p->labels[2 * i], name))
                        return true;
        }
        return false;
}

/* Reads labels up to and with the closing brace. */
static bool
labels(struct epp_promscan *p, struct cur *c, size_t *ret_n)
{
        size_t n = 0;

        for (blanks(c); !eat(c, '}'); blanks(c)) {
                struct epp_slice name, value;

                if (n == EPP_PROM_LABELS_MAX || !label_name(p, c, &name))
                        return false;
                if (epp_slice_eq(name, EPP_SLICE("__name__")) || label_known(p, n, name))
                        return false;
                blanks(c);
                if (!eat(c, '='))
                        return false;
                blanks(c);
                if (!quoted(p, c, &value))
                        return false;
                p->labels[2 * n] = name;
                p->labels[2 * n + 1] = value;
                n++;
                blanks(c);
                if (!eat(c, ',') && (c->p == c->end || *c->p != '}'))
                        return false;
        }
        *ret_n = n;
        return true;
}

static struct epp_slice
word(struct cur *c)
{
        const char *start = c->p;

        while (c->p < c->end && !is_blank(*c->p))
                c->p++;
        return epp_slice(start, (size_t)(c->p - start));
}

static bool
number_word(struct epp_slice s, bool minus, bool sign, double *ret)
{
        if (epp_slice_ieq(s, EPP_SLICE("inf")) || epp_slice_ieq(s, EPP_SLICE("infinity")))
                *ret = minus ? -INFINITY : INFINITY;
        else if (!sign && epp_slice_ieq(s, EPP_SLICE("nan")))
                *ret = NAN;
        else
                return false;
        return true;
}

/* True when <s> is digits with at most one point and an exponent; strtod alone takes more. */
static bool
number_form(struct epp_slice s)
{
        size_t i = 0, digits = 0;

        for (; i < s.n && is_digit(s.p[i]); i++)
                digits++;
        if (i < s.n && s.p[i] == '.')
                i++;
        for (; i < s.n && is_digit(s.p[i]); i++)
                digits++;
        if (digits == 0)
                return false;
        if (i < s.n && (s.p[i] == 'e' || s.p[i] == 'E')) {
                i++;
                if (i < s.n && (s.p[i] == '+' || s.p[i] == '-'))
                        i++;
                if (i == s.n)
                        return false;
                while (i < s.n && is_digit(s.p[i]))
                        i++;
        }
        return i == s.n;
}

/* Digits with at most one point, 15 of them at most: the quotient of two numbers that a double
 * holds exactly is the nearest one (Clinger 1990), as strtod's is. Most values of a page. */
static bool
short_number(struct epp_slice s, double *ret)
{
        static const double ten[] = { 1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
                1e12, 1e13, 1e14, 1e15 };
        uint64_t v = 0;
        size_t point = s.n;

        if (s.n == 0 || s.n > 16)
                return false;
        for (size_t i = 0; i < s.n; i++) {
                if (s.p[i] == '.' && point == s.n)
                        point = i;
                else if (is_digit(s.p[i]))
                        v = v * 10 + (uint64_t)(s.p[i] - '0');
                else
                        return false;
        }
        if (s.n - (point < s.n) > 15 || s.n == (point < s.n))
                return false;
        *ret = (double)v / ten[point < s.n ? s.n - 1 - point : 0];
        return true;
}

static bool
number(struct epp_slice s, double *ret)
{
        char text[512]; /* longer than any double printed in full; longer words are errors */
        bool sign = s.n && (s.p[0] == '-' || s.p[0] == '+');
        bool minus = sign && s.p[0] == '-';

        if (sign)
                s.p++, s.n--;
        if (number_word(s, minus, sign, ret))
                return true;
        if (!short_number(s, ret)) {
                if (s.n >= sizeof(text) || !number_form(s))
                        return false;
                memcpy(text, s.p, s.n);
                text[s.n] = '\0';
                *ret = strtod(text, NULL);
        }
        if (minus)
                *ret = -*ret;
        return true;
}

/* Milliseconds as an integer, or OpenMetrics seconds with a point. */
static bool
timestamp(struct epp_slice s, int64_t *ret)
{
        bool minus = s.n && s.p[0] == '-';
        size_t i = s.n && (minus || s.p[0] == '+');
        int64_t v = 0;
        int scale = -1; /* digits read after the point, -1 before it */

        if (i == s.n || !is_digit(s.p[i]))
                return false;
        for (; i < s.n; i++) {
                int64_t d = s.p[i] - '0';

                if (s.p[i] == '.' && scale < 0) {
                        scale = 0;
                        continue;
                }
                if (!is_digit(s.p[i]))
                        return false;
                if (scale >= 3)
                        continue;
                if (__builtin_mul_overflow(v, 10, &v) ||
                        __builtin_add_overflow(v, minus ? -d : d, &v))
                        return false;
                scale += scale >= 0;
        }
        for (; scale >= 0 && scale < 3; scale++) {
                if (__builtin_mul_overflow(v, 10, &v))
                        return false;
        }
        *ret = v;
        return true;
}

/* Reads what follows name and labels: value, timestamp or exemplar perhaps, blanks. */
static bool
tail(struct cur *c, double *ret_value, int64_t *ret_ts)
{
        *ret_ts = 0;
        blanks(c);
        if (!number(word(c), ret_value))
                return false;
        blanks(c);
        if (c->p < c->end && *c->p != '#') {
                if (!timestamp(word(c), ret_ts))
                        return false;
                blanks(c);
        }
        if (eat(c, '#')) { /* an exemplar: not used, not checked beyond its brace */
                blanks(c);
                return eat(c, '{');
        }
        return c->p == c->end;
}

static int
family_of(const struct epp_promscan *p, struct epp_slice name)
{
        for (unsigned i = 0; i < p->n_names; i++) {
                if (epp_slice_eq(p->names[i], name))
                        return (int)i;
        }
        return -1;
}

/* Reads `{"name", label="x"}`; <n> labels are left in p->labels. */
static enum line
braced_name(struct epp_promscan *p, struct cur *c, int *ret_family, size_t *ret_n)
{
        struct epp_slice name;

        eat(c, '{');
        blanks(c);
        if (eat(c, '}'))
                return LINE_BAD;
        if (c->p == c->end || *c->p != '"' || !quoted(p, c, &name))
                return LINE_SKIP;
        *ret_family = family_of(p, name);
        if (*ret_family < 0)
                return LINE_SKIP;
        blanks(c);
        if (!eat(c, ',') && (c->p == c->end || *c->p != '}'))
                return LINE_BAD;
        return labels(p, c, ret_n) ? LINE_SAMPLE : LINE_BAD;
}

static enum line
plain_name(struct epp_promscan *p, struct cur *c, int *ret_family, size_t *ret_n)
{
        const char *start = c->p;

        while (c->p < c->end && (is_label_char(*c->p) || *c->p == ':'))
                c->p++;
        *ret_family = family_of(p, epp_slice(start, (size_t)(c->p - start)));
        if (*ret_family < 0)
                return LINE_SKIP;
        if (c->p == c->end)
                return LINE_BAD;
        /* A longer name of a newer format, not a broken line of ours. */
        if (*c->p == '-' || *c->p == '.' || (unsigned char)*c->p >= 0x80)
                return LINE_SKIP;
        if (!is_blank(*c->p) && *c->p != '{')
                return LINE_BAD;
        blanks(c);
        *ret_n = 0;
        if (eat(c, '{') && !labels(p, c, ret_n))
                return LINE_BAD;
        return LINE_SAMPLE;
}

static enum line
parse(struct epp_promscan *p, struct cur *c)
{
        enum line kind;
        double value;
        int64_t ts;
        int family;
        size_t n;
        char *room;

        blanks(c);
        if (c->p == c->end || p->first[(unsigned char)*c->p] == ALIEN)
                return LINE_SKIP;
        epp_buf_drain(&p->scratch, epp_buf_len(&p->scratch));
        if (memchr(c->p, '\\', (size_t)(c->end - c->p)) &&
                epp_buf_reserve(&p->scratch, (size_t)(c->end - c->p), &room) < 0) {
                p->nomem = true;
                return LINE_BAD;
        }
        kind = *c->p == '{' ? braced_name(p, c, &family, &n) : plain_name(p, c, &family, &n);
        if (kind != LINE_SAMPLE)
                return kind;
        if (!tail(c, &value, &ts))
                return LINE_BAD;
        p->samples++;
        p->fn(p->arg, (unsigned)family, p->labels, n, value, ts);
        return LINE_SAMPLE;
}

/* Takes one line without its LF. */
static void
line(struct epp_promscan *p, struct epp_slice s)
{
        struct cur c;

        p->lines++;
        if (s.n > EPP_PROM_LINE_MAX) {
                p->errors++;
                return;
        }
        if (s.n == 0 || is_alien(p, s))
                return;
        if (p->lines == 1 && epp_slice_has_prefix(s, EPP_SLICE("\xef\xbb\xbf")))
                s.p += 3, s.n -= 3;
        if (s.n && s.p[s.n - 1] == '\r')
                s.n--;
        c = (struct cur){ s.p, s.p + s.n };
        if (parse(p, &c) == LINE_BAD)
                p->errors++;
}

/* Keeps the start of a line whose end has not come. */
static void
keep(struct epp_promscan *p, struct epp_slice s)
{
        int r;

        if (p->skip || s.n == 0)
                return;
        r = epp_buf_append(&p->carry, s);
        if (r == 0)
                return;
        p->nomem |= r == EPP_ENOMEM;
        p->skip = true;
        p->errors++;
        p->lines++;
        epp_buf_drain(&p->carry, epp_buf_len(&p->carry));
}

static void
finish_carry(struct epp_promscan *p)
{
        if (!p->skip && epp_buf_len(&p->carry))
                line(p, epp_buf_slice(&p->carry));
        else if (!p->skip)
                p->lines++; /* an empty line */
        epp_buf_drain(&p->carry, epp_buf_len(&p->carry));
        p->skip = false;
}

/* Takes the whole lines of <s>; returns what is left behind the last. */
static struct epp_slice
whole_lines(struct epp_promscan *p, struct epp_slice s)
{
        const char *at = s.p, *end = s.p + s.n, *begin = s.p, *lf;

#ifdef __SSE2__
        for (; end - at >= 64; at += 64) {
                const __m128i *v = (const __m128i *)(const void *)at, want = _mm_set1_epi8('\n');
                uint64_t found = 0;

                for (int i = 3; i >= 0; i--)
                        found = found << 16 |
                                (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128(v + i), want));
                for (; found; found &= found - 1) {
                        lf = at + __builtin_ctzll(found);
                        line(p, epp_slice(begin, (size_t)(lf - begin)));
                        begin = lf + 1;
                }
        }
#endif
        while ((lf = memchr(at, '\n', (size_t)(end - at))) != NULL) {
                line(p, epp_slice(begin, (size_t)(lf - begin)));
                at = begin = lf + 1;
        }
        return epp_slice(begin, (size_t)(end - begin));
}

int
epp_promscan_feed(struct epp_promscan *p, struct epp_slice s)
{
        p->bytes += s.n;
        if (s.n && (p->skip || epp_buf_len(&p->carry))) {
                const char *lf = memchr(s.p, '\n', s.n);
                size_t n = lf ? (size_t)(lf - s.p) : s.n;

                keep(p, epp_slice(s.p, n));
                if (lf)
                        finish_carry(p);
                s.p += n + (lf != NULL);
                s.n -= n + (lf != NULL);
        }
        if (s.n)
                keep(p, whole_lines(p, s));
        return p->nomem ? EPP_ENOMEM : 0;
}

int
epp_promscan_end(struct epp_promscan *p, bool complete)
{
        if (epp_buf_len(&p->carry) && !complete) {
                p->errors++;
                p->lines++;
                epp_buf_drain(&p->carry, epp_buf_len(&p->carry));
        } else if (epp_buf_len(&p->carry)) {
                finish_carry(p);
        }
        p->skip = false;
        return p->nomem ? EPP_ENOMEM : 0;
}
