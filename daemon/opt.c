/* opt.c - see opt.h. */
#include "daemon/opt.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>

#include "model/metricspec.h"

enum kind { TEXT, LIST, BOOL, PORT, NUMBER, BYTES, DURATION, RATIO, METRIC, ENUM };

struct row {
        const char *group; /* a heading; the rest is unset */
        const char *name, *old, *def, *prose;
        enum kind kind;
        size_t offset;
};

static const struct row rows[] = {
#define GROUP(title) { .group = title },
#define OPT(field, k, n, o, d, p) { NULL, n, o, d, p, k, offsetof(struct opt, field) },
#include "daemon/opt.def"
#undef OPT
#undef GROUP
};

/* Flags of today's picker whose feature is not built: refused by name, never ignored. */
static const char *const unbuilt[] = { "config-file", "config-text", "enable-pprof",
        "metrics-client-cert-auth", "tls-min-version", "tls-cipher-suites", "endpoint-dns",
        "emit-endpoint-scores", "enable-flow-control" };
/* Flags that only ask for what is so anyway, with the values that ask for it. */
static const struct {
        const char *name, *value;
} harmless[] = { { "tracing", "false" },
        { "health-checking", "true" }, { "healthChecking", "true" } };

static void *
at(struct opt *o, const struct row *r)
{
        return (char *)o + r->offset;
}

static bool
scaled(const char *text, const char *const *units, const double *factor, size_t n, double *ret)
{
        char *end;
        double v;

        errno = 0;
        v = strtod(text, &end);
        if (end == text || errno || !isfinite(v) || v < 0)
                return false;
        for (size_t i = 0; i < n; i++) {
                if (strcmp(end, units[i]) == 0) {
                        *ret = v * factor[i];
                        return *ret < 9e18;
                }
        }
        return false;
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
parse_bytes(const char *text, uint64_t *ret)
{
        static const char *const units[] = { "", "B", "k", "K", "kB", "KB", "M", "MB", "G", "GB",
                "Ki", "KiB", "Mi", "MiB", "Gi", "GiB" };
        static const double factor[] = { 1, 1, 1e3, 1e3, 1e3, 1e3, 1e6, 1e6, 1e9, 1e9, 1024, 1024,
                1 << 20, 1 << 20, 1 << 30, 1 << 30 };
        double v;

        if (!scaled(text, units, factor, ARRAY_LEN(units), &v))
                return false;
        *ret = (uint64_t)v;
        return true;
}

/* The names an ENUM row allows stand in its prose behind "one of ", up to ':' or '.'. */
static struct epp_slice
choices(const struct row *r)
{
        const char *p = strstr(r->prose, "one of ") + strlen("one of ");
        struct epp_slice s = epp_slice_str(p);
        const char *colon = strchr(p, ':');

        s.n = colon ? (size_t)(colon - p) : s.n - (p[s.n - 1] == '.');
        return s;
}

static bool
parse_enum(const struct row *r, const char *text, unsigned *ret)
{
        struct epp_slice rest = choices(r);

        for (unsigned i = 0; rest.p; i++) {
                if (epp_slice_eq(epp_slice_cut(&rest, ' '), epp_slice_str(text))) {
                        *ret = i;
                        return true;
                }
        }
        return false;
}

static bool
parse_bool(const char *text, bool *ret)
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

static bool
parse_number(const char *text, uint64_t max, uint64_t *ret)
{
        char *end;

        if (*text < '0' || *text > '9')
                return false;
        errno = 0;
        *ret = strtoull(text, &end, 10);
        return *end == 0 && errno == 0 && *ret <= max;
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

static bool
set(struct opt *o, const struct row *r, const char *text)
{
        uint64_t n;

        switch (r->kind) {
        case METRIC:
                if (!parse_metric(text))
                        return false;
                EPP_FALLTHROUGH;
        case TEXT:
                *(const char **)at(o, r) = text;
                return true;
        case LIST:
                return *text && list_add(at(o, r), text);
        case BOOL:
                return parse_bool(text, at(o, r));
        case PORT:
                if (!parse_number(text, 65535, &n))
                        return false;
                *(unsigned *)at(o, r) = (unsigned)n;
                return true;
        case NUMBER:
                return parse_number(text, UINT64_MAX, at(o, r));
        case BYTES:
                return parse_bytes(text, at(o, r));
        case DURATION:
                return opt_duration(text, at(o, r));
        case RATIO: {
                static const char *const units[] = { "" };
                static const double factor[] = { 1 };

                return scaled(text, units, factor, 1, at(o, r)) && *(double *)at(o, r) <= 1;
        }
        case ENUM:
                return parse_enum(r, text, at(o, r));
        }
        return false;
}

static const char *
wants(const struct row *r)
{
        static const char *const text[] = { "a text", "a text", "true or false",
                "a port, 0 to 65535", "a whole number", "a size such as 64Mi",
                "a duration such as 50ms or 2s", "a number from 0 to 1",
                "a metric such as name or name{label=value}", NULL };

        return text[r->kind];
}

static void
bad_value(const struct row *r, const char *text, char *err, size_t size)
{
        if (r->kind == ENUM)
                snprintf(err, size, "--%s: \"%s\" is none of: " SLICE_FMT, r->name, text,
                        SLICE_ARG(choices(r)));
        else
                snprintf(err, size, "--%s: \"%s\" is not %s", r->name, text, wants(r));
}

static const struct row *
find(struct epp_slice name, bool *ret_old)
{
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                if (rows[i].group)
                        continue;
                *ret_old = rows[i].old && epp_slice_eq(name, epp_slice_str(rows[i].old));
                if (*ret_old || epp_slice_eq(name, epp_slice_str(rows[i].name)))
                        return &rows[i];
        }
        return NULL;
}

/* Edits from <a> to <b>; names are short, so the plain table does. */
static unsigned
distance(struct epp_slice a, struct epp_slice b)
{
        unsigned row[64];

        if (b.n >= ARRAY_LEN(row))
                return 99;
        for (unsigned j = 0; j <= b.n; j++)
                row[j] = j;
        for (unsigned i = 1; i <= a.n; i++) {
                unsigned diagonal = row[0];

                row[0] = i;
                for (unsigned j = 1; j <= b.n; j++) {
                        unsigned above = row[j], cost = diagonal + (a.p[i - 1] != b.p[j - 1]);

                        cost = EPP_MIN(cost, above + 1);
                        row[j] = EPP_MIN(cost, row[j - 1] + 1);
                        diagonal = above;
                }
        }
        return row[b.n];
}

static void
unknown(struct epp_slice name, char *err, size_t size)
{
        unsigned best = (unsigned)EPP_MIN((name.n + 1) / 2, (size_t)4); /* edits of a typo: fewer */
        const char *near = NULL;

        for (size_t i = 0; i < ARRAY_LEN(unbuilt); i++) {
                if (epp_slice_eq(name, epp_slice_str(unbuilt[i]))) {
                        snprintf(err, size, "--%s: this feature is not built yet", unbuilt[i]);
                        return;
                }
        }
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                unsigned d = rows[i].group ? 99 : distance(name, epp_slice_str(rows[i].name));

                if (d < best) {
                        best = d;
                        near = rows[i].name;
                }
        }
        snprintf(err, size, "unknown flag --" SLICE_FMT "%s%s%s", SLICE_ARG(name),
                near ? "; did you mean --" : " (see --help)", near ? near : "", near ? "?" : "");
}

static bool
is_harmless(struct epp_slice name, const char *value)
{
        for (size_t i = 0; i < ARRAY_LEN(harmless); i++)
                if (epp_slice_eq(name, epp_slice_str(harmless[i].name)) &&
                        strcmp(value ? value : "true", harmless[i].value) == 0)
                        return true;
        return false;
}

/* Prints <text> wrapped at 79 columns behind <indent> blanks. */
static void
print_wrapped(const char *text, int indent)
{
        int column = indent;

        printf("%*s", indent, "");
        while (*text) {
                int n = (int)strcspn(text, " ");

                if (column > indent && column + n > 79) {
                        printf("\n%*s", indent, "");
                        column = indent;
                }
                printf("%s%.*s", column > indent ? " " : "", n, text);
                column += n + 1;
                text += n + (text[n] == ' ');
        }
        printf("\n");
}

static void
help(void)
{
        printf("eppd - endpoint picker for inference gateways\n\nusage: eppd [flags]\n");
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                const struct row *r = &rows[i];

                if (r->group) {
                        printf("\n%s\n", r->group);
                        continue;
                }
                printf("  --%s%s%s\n", r->name, *r->def ? "=" : "", r->def);
                print_wrapped(r->prose, 8);
        }
        printf("\n  --dump-config\n        Prints every flag with its value and ends.\n"
               "  --help, --version\n");
}

/* Prose as mdoc wants it: a new line for each sentence. */
static void
mdoc_prose(const char *prose)
{
        for (const char *end; (end = strstr(prose, ". ")); prose = end + 2)
                printf("%.*s\n", (int)(end + 1 - prose), prose);
        printf("%s\n", prose);
}

/* The same for the manual: mdoc, included by man/eppd.8.in. */
static void
mdoc(void)
{
        bool open = false;

        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                const struct row *r = &rows[i];

                if (r->group) {
                        printf("%s.Ss %s\n.Bl -tag -width 4n\n", open ? ".El\n" : "", r->group);
                        open = true;
                        continue;
                }
                printf(".It Fl -%s", r->name);
                if (*r->def)
                        printf(" Ns = Ns Ar %s", r->def);
                printf("\n");
                mdoc_prose(r->prose);
                if (r->old)
                        printf("Old spelling:\n.Fl %s .\n", r->old);
        }
        printf(".El\n");
}

static const char *
unquote(char *text)
{
        size_t n = strlen(text);

        if (n >= 2 && text[0] == '"' && text[n - 1] == '"') {
                text[n - 1] = 0;
                return text + 1;
        }
        return text;
}

/* One flag at argv[*i], and its value; advances *i. */
static enum opt_result
take(struct opt *o, int argc, char **argv, int *i, char *err, size_t size,
        void (*warn)(const char *))
{
        struct epp_slice name = epp_slice_str(argv[*i]);
        const char *value = NULL;
        const struct row *r;
        char *equal;
        bool old;

        if (name.n < 2 || name.p[0] != '-') {
                bool ignored;

                snprintf(err, size, "unexpected argument \"%s\": %s", argv[*i],
                        parse_bool(argv[*i], &ignored)
                                ? "true and false are written behind =, as --flag=false"
                                : "flags begin with --");
                return OPT_BAD;
        }
        name.p += name.p[1] == '-' ? 2 : 1;
        name.n = strlen(name.p);
        equal = strchr(argv[*i], '=');
        if (equal) {
                name.n = (size_t)(equal - name.p);
                value = unquote(equal + 1);
        }
        r = find(name, &old);
        if (!r && is_harmless(name, value))
                return OPT_RUN;
        if (!r) {
                unknown(name, err, size);
                return OPT_BAD;
        }
        if (!value && r->kind == BOOL)
                value = "true";
        if (!value) {
                if (++*i >= argc) {
                        snprintf(err, size, "--%s needs %s", r->name,
                                wants(r) ? wants(r) : "a value");
                        return OPT_BAD;
                }
                value = unquote(argv[*i]);
        }
        if (!set(o, r, value)) {
                bad_value(r, value, err, size);
                return OPT_BAD;
        }
        if (old && warn) {
                char line[160];

                snprintf(line, sizeof(line), "-%s is the old spelling of --%s", r->old, r->name);
                warn(line);
        }
        return OPT_RUN;
}

enum opt_result
opt_parse(struct opt *o, int argc, char **argv, char *err, size_t err_size,
        void (*warn)(const char *line))
{
        bool dump = false;

        memset(o, 0, sizeof(*o));
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                /* a list begins without members */
                bool ok = rows[i].group || rows[i].kind == LIST || set(o, &rows[i], rows[i].def);

                EPP_ASSERT(ok); /* a default that its own row refuses */
        }
        for (int i = 1; i < argc; i++) {
                const char *a = argv[i] + (strncmp(argv[i], "--", 2) == 0);

                if (strcmp(a, "-help") == 0 || strcmp(a, "-h") == 0) {
                        help();
                        return OPT_DONE;
                }
                if (strcmp(a, "-version") == 0) {
                        printf("eppd %s\n", EPPD_VERSION);
                        return OPT_DONE;
                }
                if (strcmp(a, "-dump-mdoc") == 0) {
                        mdoc();
                        return OPT_DONE;
                }
                if (strcmp(a, "-dump-config") == 0)
                        dump = true;
                else if (take(o, argc, argv, &i, err, err_size, warn) == OPT_BAD)
                        return OPT_BAD;
        }
        if (dump)
                opt_dump(o, stdout);
        return dump ? OPT_DONE : OPT_RUN;
}

void
opt_fini(struct opt *o)
{
        for (size_t i = 0; i < ARRAY_LEN(rows); i++)
                if (!rows[i].group && rows[i].kind == LIST)
                        free(((struct opt_list *)at(o, &rows[i]))->v);
        memset(o, 0, sizeof(*o));
}

static void
dump_value(const struct row *r, const void *p, FILE *out)
{
        struct epp_slice rest, one = { NULL, 0 };

        switch (r->kind) {
        case TEXT:
        case METRIC:
                fprintf(out, "%s", *(const char *const *)p);
                break;
        case BOOL:
                fprintf(out, "%s", *(const bool *)p ? "true" : "false");
                break;
        case PORT:
                fprintf(out, "%u", *(const unsigned *)p);
                break;
        case NUMBER:
        case BYTES:
                fprintf(out, "%" PRIu64, *(const uint64_t *)p);
                break;
        case DURATION:
                fprintf(out, "%" PRId64 "us", *(const epp_us *)p);
                break;
        case RATIO:
                fprintf(out, "%g", *(const double *)p);
                break;
        case ENUM:
                rest = choices(r);
                for (unsigned i = 0; i <= *(const unsigned *)p; i++)
                        one = epp_slice_cut(&rest, ' ');
                fprintf(out, SLICE_FMT, SLICE_ARG(one));
                break;
        case LIST:
                break;
        }
}

void
opt_dump(const struct opt *o, FILE *out)
{
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                const struct row *r = &rows[i];
                const void *p = (const char *)o + r->offset;

                if (r->group)
                        continue;
                if (r->kind == LIST) {
                        const struct opt_list *l = p;

                        for (size_t k = 0; k < l->n; k++)
                                fprintf(out, "--%s=%s\n", r->name, l->v[k]);
                        continue;
                }
                fprintf(out, "--%s=", r->name);
                dump_value(r, p, out);
                fprintf(out, "\n");
        }
}
