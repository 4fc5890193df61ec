/* opt_value.c - the kinds of opt.def: text to value, its limits, value to text. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>

#include "base/addr.h"
#include "daemon/opt_row.h"
#include "model/metricspec.h"

static void *
at(struct opt *o, const struct opt_row *r)
{
        return (char *)o + r->offset;
}

/* A decimal number without sign or exponent at *p, which goes behind it. */
static bool
decimal(const char **p, double *ret)
{
        size_t n = strspn(*p, "0123456789.");
        char text[32], *end;

        if (n == 0 || n >= sizeof(text))
                return false;
        memcpy(text, *p, n);
        text[n] = 0;
        *ret = strtod(text, &end);
        *p += n;
        return *end == 0 && end > text;
}

bool
opt_duration(const char *text, epp_us *ret)
{
        static const struct {
                const char *unit;
                double us;
        } units[] = { { "ns", 1e-3 }, { "us", 1 }, { "\u00b5s", 1 }, { "\u03bcs", 1 },
                { "ms", 1e3 }, { "s", 1e6 }, { "m", 60e6 }, { "h", 3600e6 } };
        double all = 0, v;

        if (strcmp(text, "0") == 0) {
                *ret = 0;
                return true;
        }
        for (const char *p = text; p == text || *p;) {
                size_t n, i = 0;

                if (!decimal(&p, &v))
                        return false;
                n = strcspn(p, "0123456789.");
                while (i < ARRAY_LEN(units) &&
                        !epp_slice_eq(epp_slice(p, n), epp_slice_str(units[i].unit)))
                        i++;
                if (i == ARRAY_LEN(units))
                        return false;
                all += v * units[i].us;
                p += n;
        }
        if (all >= 9e18)
                return false;
        *ret = (epp_us)all;
        return true;
}

static bool
parse_metric(const char *text)
{
        struct epp_load_metric m = { .family = NULL };
        char *copy = strdup(text);
        bool ok = copy && epp_metricspec_parse(copy, &m) == 0;

        free(copy);
        return ok;
}

static bool
parse_number(const char *text, uint64_t max, uint64_t *ret)
{
        uint64_t v;
        char *end;

        if (*text < '0' || *text > '9')
                return false;
        errno = 0;
        v = strtoull(text, &end, 10);
        if (*end || errno || v > max)
                return false;
        *ret = v;
        return true;
}

static bool
parse_bytes(const char *text, uint64_t *ret)
{
        static const struct {
                const char *unit;
                double bytes;
        } units[] = { { "", 1 }, { "B", 1 }, { "k", 1e3 }, { "K", 1e3 }, { "kB", 1e3 },
                { "KB", 1e3 }, { "M", 1e6 }, { "MB", 1e6 }, { "G", 1e9 }, { "GB", 1e9 },
                { "Ki", 1 << 10 }, { "KiB", 1 << 10 }, { "Mi", 1 << 20 }, { "MiB", 1 << 20 },
                { "Gi", 1 << 30 }, { "GiB", 1 << 30 } };
        double v;

        if (parse_number(text, UINT64_MAX, ret)) /* exact above 2^53, too */
                return true;
        if (!decimal(&text, &v))
                return false;
        for (size_t i = 0; i < ARRAY_LEN(units); i++) {
                if (strcmp(text, units[i].unit) == 0 && v * units[i].bytes < 9e18) {
                        *ret = (uint64_t)(v * units[i].bytes);
                        return true;
                }
        }
        return false;
}

static bool
parse_ratio(const char *text, double *ret)
{
        char *end;
        double v;

        if (!*text || text[strspn(text, "0123456789.e-")] || *text == '-' || *text == 'e')
                return false;
        v = strtod(text, &end);
        if (*end || !isfinite(v) || v > 1)
                return false;
        *ret = v;
        return true;
}

struct epp_slice
opt_choices(const struct opt_row *r)
{
        const char *p = strstr(r->prose, "one of ") + strlen("one of ");
        struct epp_slice s = epp_slice_str(p);
        const char *colon = strchr(p, ':');

        s.n = colon ? (size_t)(colon - p) : s.n - (p[s.n - 1] == '.');
        return s;
}

static bool
is_choice(const struct opt_row *r, const char *text, unsigned *ret)
{
        struct epp_slice rest = opt_choices(r);

        for (unsigned i = 0; rest.p; i++) {
                if (epp_slice_eq(epp_slice_cut(&rest, ' '), epp_slice_str(text))) {
                        *ret = i;
                        return true;
                }
        }
        return false;
}

bool
opt_bool(const char *text, bool *ret)
{
        static const char *const yes[] = { "true", "1", "t", "T", "TRUE", "True" };
        static const char *const no[] = { "false", "0", "f", "F", "FALSE", "False" };

        for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
                if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
                        *ret = strcmp(text, yes[i]) == 0;
                        return true;
                }
        }
        return false;
}

bool
opt_bare(const struct opt_row *r)
{
        unsigned ignored;

        return r->kind == BOOL || (r->kind == ENUM && is_choice(r, "true", &ignored));
}

/* An ENUM with true among its names was of two values once: Go's spellings of those count. */
static bool
parse_enum(const struct opt_row *r, const char *text, unsigned *ret)
{
        bool yes;

        return is_choice(r, text, ret) || (opt_bare(r) && opt_bool(text, &yes) &&
                                                  is_choice(r, yes ? "true" : "false", ret));
}

/* As controller-runtime's logger has it: a name, or a verbosity above 0. */
static bool
is_level(const char *text)
{
        static const char *const names[] = { "", "debug", "info", "error", "panic" };
        uint64_t n;

        for (size_t i = 0; i < ARRAY_LEN(names); i++)
                if (strcmp(text, names[i]) == 0)
                        return true;
        return parse_number(text, 127, &n) && n > 0;
}

static bool
is_header(const char *text)
{
        size_t n = 0;

        while (isalnum((unsigned char)text[n]) || (text[n] && strchr("!#$%&'*+-.^_`|~", text[n])))
                n++;
        return n > 0 && n < 256 && text[n] == 0;
}

static bool
is_path(const char *text)
{
        const char *p = text;

        while (*p > ' ' && *p < 0x7f)
                p++;
        return *text == '/' && *p == 0;
}

static bool
list_add(struct opt_list *l, const char *text)
{
        const char **v = realloc(l->v, (l->n + 1) * sizeof(*v));

        if (!v)
                return false;
        l->v = v;
        v[l->n++] = text;
        return true;
}

/* The kinds whose field is the text itself. */
static bool
fits(enum opt_kind kind, const char *text)
{
        switch (kind) {
        case METRIC:
                return parse_metric(text);
        case ADDRESS:
                return epp_is_ip(epp_slice_str(text));
        case HEADER:
                return is_header(text);
        case PATH:
                return is_path(text);
        case LEVEL:
                return is_level(text);
        default:
                return kind == TEXT;
        }
}

bool
opt_set(struct opt *o, const struct opt_row *r, const char *text)
{
        void *field = at(o, r);
        uint64_t n;

        switch (r->kind) {
        case LIST:
                return *text && list_add(field, text);
        case BOOL:
                return opt_bool(text, field);
        case PORT:
                if (!parse_number(text, 65535, &n))
                        return false;
                *(unsigned *)field = (unsigned)n;
                return true;
        case NUMBER:
                return parse_number(text, UINT64_MAX, field);
        case BYTES:
                return parse_bytes(text, field);
        case DURATION:
                return opt_duration(text, field);
        case RATIO:
                return parse_ratio(text, field);
        case ENUM:
                return parse_enum(r, text, field);
        default:
                if (!fits(r->kind, text))
                        return false;
                *(const char **)field = text;
                return true;
        }
}

/* The kinds that min and max are for, as a whole number; any other kind is 0. */
static uint64_t
whole(enum opt_kind kind, const char *text)
{
        uint64_t n = 0;
        epp_us us = 0;

        if (kind == NUMBER || kind == PORT)
                (void)parse_number(text, UINT64_MAX, &n);
        else if (kind == BYTES)
                (void)parse_bytes(text, &n);
        else if (kind == DURATION && opt_duration(text, &us))
                n = (uint64_t)us;
        return n;
}

bool
opt_within(const struct opt_row *r, const char *text)
{
        uint64_t v = whole(r->kind, text);

        return (v == 0 && r->zero) || ((!r->min || v >= whole(r->kind, r->min)) &&
                                              (!r->max || v <= whole(r->kind, r->max)));
}

bool
opt_range(const struct opt_row *r, char *text, size_t size)
{
        snprintf(text, size, "%s%s%s%s%s%s", r->min ? r->min : "", r->min && r->max ? " to " : "",
                r->max && !r->min ? "at most " : "", r->max ? r->max : "",
                r->zero ? r->max ? "; 0: " : "0: " : "", r->zero ? r->zero : "");
        return *text != 0;
}

const char *
opt_wants(const struct opt_row *r)
{
        static const char *const text[] = { [TEXT] = "a text", [LIST] = "a text",
                [BOOL] = "true or false", [PORT] = "a port, 0 to 65535",
                [NUMBER] = "a whole number", [BYTES] = "a size such as 64Mi",
                [DURATION] = "a duration such as 50ms or 2s", [RATIO] = "a number from 0 to 1",
                [METRIC] = "a metric such as name or name{label=value}",
                [ADDRESS] = "an IP address", [HEADER] = "the name of a header",
                [PATH] = "a path that begins with /",
                [LEVEL] = "debug, info, error, panic or a number from 1 to 127", [ENUM] = NULL };

        return text[r->kind];
}

static void
print_duration(epp_us v, FILE *out)
{
        static const struct {
                const char *unit;
                epp_us us;
        } units[] = { { "h", 3600000000 }, { "m", 60000000 }, { "s", 1000000 }, { "ms", 1000 },
                { "us", 1 } };
        size_t i = 0;

        while (v % units[i].us)
                i++;
        if (v)
                fprintf(out, "%" PRId64 "%s", v / units[i].us, units[i].unit);
        else
                fputs("0", out);
}

static void
print_bytes(uint64_t v, FILE *out)
{
        static const char *const units[] = { "", "Ki", "Mi", "Gi" };
        size_t i = 0;

        for (; v && v % 1024 == 0 && i + 1 < ARRAY_LEN(units); i++)
                v /= 1024;
        fprintf(out, "%" PRIu64 "%s", v, units[i]);
}

/* A pair of quotes is what a shell may have left and is taken off: a text with its own gets one. */
static void
print_text(const char *text, FILE *out)
{
        size_t n = strlen(text);
        bool quoted = n >= 2 && text[0] == '"' && text[n - 1] == '"';

        fprintf(out, quoted ? "\"%s\"" : "%s", text);
}

void
opt_print(const struct opt *o, const struct opt_row *r, FILE *out)
{
        const void *p = (const char *)o + r->offset;
        struct epp_slice rest, one = { NULL, 0 };

        switch (r->kind) {
        case LIST:
                break;
        case BOOL:
                fputs(*(const bool *)p ? "true" : "false", out);
                break;
        case PORT:
                fprintf(out, "%u", *(const unsigned *)p);
                break;
        case NUMBER:
                fprintf(out, "%" PRIu64, *(const uint64_t *)p);
                break;
        case BYTES:
                print_bytes(*(const uint64_t *)p, out);
                break;
        case DURATION:
                print_duration(*(const epp_us *)p, out);
                break;
        case RATIO:
                fprintf(out, "%.15g", *(const double *)p);
                break;
        case ENUM:
                rest = opt_choices(r);
                for (unsigned i = 0; i <= *(const unsigned *)p; i++)
                        one = epp_slice_cut(&rest, ' ');
                fprintf(out, SLICE_FMT, SLICE_ARG(one));
                break;
        default:
                print_text(*(const char *const *)p, out);
        }
}
