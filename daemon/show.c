/* show.c - see show.h. */
#include "daemon/show.h"

#include <inttypes.h>
#include <math.h>

#define DASH "\xe2\x80\x93"
#define THIN "\xe2\x80\xaf" /* between groups of three digits; nothing breaks there */

double
show_rounded(double n, double places)
{
        double scale = pow(10, places);

        return floor(n * scale + 0.5) / scale;
}

const char *
show_look(enum look l)
{
        static const char *const words[] = {
#define X(id, word) word,
                LOOKS(X)
#undef X
        };

        return words[l];
}

/* JSON has neither NaN nor infinity; and text_number would write counts from a million on with an
 * exponent, which nobody wants to read. */
static void
json_number(struct text *t, double n)
{
        if (!isfinite(n))
                text_putf(t, "null");
        else if (n == floor(n) && fabs(n) < 1e15)
                text_putf(t, "%.0f", n);
        else
                text_putf(t, "%.12g", n);
}

void
show_json(struct text *t, enum look l, struct value v)
{
        if (v.kind == VALUE_NONE)
                text_putf(t, "null");
        else if (v.kind == VALUE_TEXT)
                text_json(t, v.text);
        else if (l == LOOK_YES)
                text_putf(t, v.n ? "true" : "false");
        else
                json_number(t, v.n);
}

static void
grouped(struct text *t, double n)
{
        char digits[32];
        int len = snprintf(digits, sizeof(digits), "%.0f", n);

        for (int i = 0; i < len; i++)
                text_putf(t, "%s%c", i && (len - i) % 3 == 0 ? THIN : "", digits[i]);
}

static void
seconds(struct text *t, double s)
{
        if (s < 100)
                text_putf(t, "%.0f s", floor(s));
        else if (s < 6000)
                text_putf(t, "%.0f min", floor(s / 60));
        else if (s < 172800)
                text_putf(t, "%.0f h", floor(s / 3600));
        else
                text_putf(t, "%.0f d", floor(s / 86400));
}

static void
milliseconds(struct text *t, double ms)
{
        if (ms < 10)
                text_putf(t, "%.1f ms", show_rounded(ms, 1));
        else if (ms < 10000)
                text_putf(t, "%.0f ms", floor(ms + 0.5));
        else
                seconds(t, ms / 1000);
}

static void
bytes(struct text *t, double n)
{
        static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
        size_t unit = 0;

        for (; n >= 1024 && unit + 1 < ARRAY_LEN(units); unit++)
                n /= 1024;
        if (unit)
                text_putf(t, "%.1f %s", show_rounded(n, 1), units[unit]);
        else
                text_putf(t, "%.0f B", n);
}

/* A bar's width is an attribute of SVG: the page's policy lets no style attribute through. */
static void
share(struct text *t, double ratio)
{
        double percent = show_rounded(ratio * 100, 1);

        text_putf(t, "<svg class=bar aria-hidden=true><rect width=\"%.1f%%\"/></svg>"
                     "<span>%.1f %%</span>",
                fmax(0, fmin(100, percent)), percent);
}

static void
number(struct text *t, enum look l, double n)
{
        if (!isfinite(n))
                text_putf(t, DASH);
        else if (l == LOOK_SHARE)
                share(t, n);
        else if (l == LOOK_MS)
                milliseconds(t, n);
        else if (l == LOOK_SECONDS)
                seconds(t, n);
        else if (l == LOOK_BYTES)
                bytes(t, n);
        else if (l == LOOK_YES)
                text_putf(t, n ? "<i class=yes></i>yes" : "<i class=no></i>no");
        else
                grouped(t, n);
}

void
show_html(struct text *t, enum look l, struct value v)
{
        if (v.kind == VALUE_NONE) {
                text_putf(t, DASH);
        } else if (v.kind == VALUE_NUMBER) {
                number(t, l, v.n);
        } else if (l == LOOK_STATE) { /* one of our own words */
                text_putf(t, "<i class=\"%.*s\"></i>%.*s", SLICE_ARG(v.text), SLICE_ARG(v.text));
        } else {
                text_html(t, v.text);
        }
}

void
show_count(struct text *t, bool html, bool *begun, const char *name, uint64_t n)
{
        if (html)
                text_putf(t, "%s%s ", *begun ? " \xc2\xb7 " : "", name);
        else
                text_putf(t, "%s\"%s\":", *begun ? "," : "", name);
        if (html)
                grouped(t, (double)n);
        else
                text_putf(t, "%" PRIu64, n);
        *begun = true;
}
