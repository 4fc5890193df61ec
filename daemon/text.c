/* text.c - see text.h. */
#include "daemon/text.h"

#include <math.h>
#include <stdarg.h>

#include "base/utf8.h"

void
text_put(struct text *t, struct epp_slice s)
{
        t->failed |= epp_buf_append(t->out, s) < 0;
}

void
text_putf(struct text *t, const char *fmt, ...)
{
        char line[512];
        va_list ap;
        int n;

        va_start(ap, fmt);
        n = vsnprintf(line, sizeof(line), fmt, ap);
        va_end(ap);
        t->failed |= n < 0 || (size_t)n >= sizeof(line);
        if (!t->failed)
                text_put(t, epp_slice(line, (size_t)n));
}

/* Writes <s> with every byte that <escape> names replaced by what it writes. */
static void
put_escaped(struct text *t, struct epp_slice s, bool (*escape)(struct text *t, unsigned char c))
{
        size_t from = 0, n;

        for (size_t i = 0; i < s.n; i += n ? n : 1) {
                struct epp_slice before = epp_slice(s.p + from, i - from);
                unsigned char c = (unsigned char)s.p[i];

                n = epp_utf8_len(s.p + i, s.n - i);
                if (n && (n > 1 || !escape(NULL, c)))
                        continue;
                text_put(t, before);
                from = i + 1;
                if (n)
                        (void)escape(t, c);
                else
                        text_put(t, EPP_SLICE("\xef\xbf\xbd"));
        }
        text_put(t, epp_slice(s.p + from, s.n - from));
}

/* Each says whether <c> needs another form, and writes it when there is a page. */
static bool
label_escape(struct text *t, unsigned char c)
{
        if (c != '\\' && c != '"' && c != '\n')
                return false;
        if (t)
                text_putf(t, "\\%c", c == '\n' ? 'n' : c);
        return true;
}

static bool
json_escape(struct text *t, unsigned char c)
{
        if (c != '\\' && c != '"' && c >= 0x20 && c != 0x7f)
                return false;
        if (t)
                text_putf(t, c == '\\' || c == '"' ? "\\%c" : "\\u%04x", c);
        return true;
}

static bool
html_escape(struct text *t, unsigned char c)
{
        if (c != '&' && c != '<' && c != '>' && c != '"' && c != '\'')
                return false;
        if (t)
                text_putf(t, "&#%d;", c);
        return true;
}

void
text_label(struct text *t, struct epp_slice value)
{
        put_escaped(t, value, label_escape);
}

void
text_json(struct text *t, struct epp_slice value)
{
        text_put(t, EPP_SLICE("\""));
        put_escaped(t, value, json_escape);
        text_put(t, EPP_SLICE("\""));
}

void
text_html(struct text *t, struct epp_slice value)
{
        put_escaped(t, value, html_escape);
}

/* The shortest digits that read back to <v> (positive, finite), and the exponent of the first.
 * A double that 15 digits give is given by no other 15 digits, so zeros at their end can go. */
static int
shortest(double v, char digits[20], int *ret_exponent)
{
        char text[32];
        int n = 0;

        for (int digit = 15; digit <= 17; digit++) {
                snprintf(text, sizeof(text), "%.*e", digit - 1, v);
                if (strtod(text, NULL) == v)
                        break;
        }
        for (const char *p = text; *p != 'e'; p++)
                if (*p != '.')
                        digits[n++] = *p;
        while (n > 1 && digits[n - 1] == '0')
                n--;
        *ret_exponent = (int)strtol(strchr(text, 'e') + 1, NULL, 10);
        return n;
}

/* Digits with the point behind the first 1 + <e>. */
static void
put_plain(struct text *t, const char *digits, int n, int e)
{
        if (e < 0)
                text_putf(t, "0.%.*s%.*s", -e - 1, "000", n, digits);
        else if (n <= e + 1)
                text_putf(t, "%.*s%.*s", n, digits, e + 1 - n, "00000");
        else
                text_putf(t, "%.*s.%.*s", e + 1, digits, n - e - 1, digits + e + 1);
}

/* A small whole number: most of a page is such, and printf makes it a third slower. */
static void
put_count(struct text *t, int n)
{
        char digits[12], *p = digits + sizeof(digits);
        unsigned rest = (unsigned)abs(n);

        do
                *--p = (char)('0' + rest % 10);
        while (rest /= 10);
        if (n < 0)
                *--p = '-';
        text_put(t, epp_slice(p, (size_t)(digits + sizeof(digits) - p)));
}

void
text_number(struct text *t, double v)
{
        char digits[20];
        int n, e;

        if (v == floor(v) && fabs(v) < 1e6) {
                put_count(t, (int)v); /* nearly always */
                return;
        }
        if (isnan(v) || isinf(v)) {
                text_putf(t, "%s", isnan(v) ? "NaN" : v > 0 ? "+Inf" : "-Inf");
                return;
        }
        if (v < 0)
                text_putf(t, "-");
        n = shortest(fabs(v), digits, &e);
        if (e >= -4 && e < 6)
                put_plain(t, digits, n, e);
        else
                text_putf(t, "%c%s%.*se%c%02d", digits[0], n > 1 ? "." : "", n - 1, digits + 1,
                        e < 0 ? '-' : '+', abs(e));
}
