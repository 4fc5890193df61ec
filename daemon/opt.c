/* opt.c - see opt.h: the environment and the command line. */
#include <ctype.h>
#include <stdarg.h>

#include "base/log.h"
#include "daemon/opt_row.h"

#define MAX_SAID 10 /* mistakes that are told one by one */
#define SHOWN 80    /* bytes of a wrong value that are */

const struct opt_row opt_rows[] = {
#define GROUP(title) { .group = title },
#define OPT(f, k, n, o, d, p, ...) { .name = n, .old = o, .def = d, .prose = p, .kind = k, \
        .offset = offsetof(struct opt, f), .id = OPT_ID_##f, ##__VA_ARGS__ },
#define UNBUILT(...)
#include "daemon/opt.def"
#undef UNBUILT
#undef OPT
#undef GROUP
};
const size_t opt_rows_n = ARRAY_LEN(opt_rows);

const struct opt_unbuilt opt_unbuilt[] = {
#define GROUP(title)
#define OPT(...)
#define UNBUILT(kind, n, o, off) { n, o, kind == BOOL, off },
#include "daemon/opt.def"
#undef UNBUILT
#undef OPT
#undef GROUP
};
const size_t opt_unbuilt_n = ARRAY_LEN(opt_unbuilt);

struct parser {
        struct opt *o;
        void (*say)(const char *line);
        unsigned mistakes;
        enum opt_from from;
        const struct opt_row *bare; /* the flag before this word, when it took no value */
        bool skip;                  /* the flag before is unknown: this may be its value */
        void (*show)(void);         /* --help and the like */
        bool dump;
};

static void EPP_PRINTF(2, 3)
mistake(struct parser *p, const char *fmt, ...)
{
        char line[512];
        va_list ap;

        if (++p->mistakes > MAX_SAID)
                return;
        va_start(ap, fmt);
        vsnprintf(line, sizeof(line), fmt, ap);
        va_end(ap);
        p->say(line);
}

/* What the user gave, so that it stays one short line. */
static const char *
shown(struct epp_slice s, char *out, size_t size)
{
        size_t n = EPP_MIN(s.n, (size_t)SHOWN);

        for (size_t i = 0; i < n; i++)
                out[i] = iscntrl((unsigned char)s.p[i]) ? '?' : s.p[i];
        snprintf(out + n, size - n, "%s", s.n > n ? "..." : "");
        return out;
}
#define SHOWN_TEXT(s) shown(s, (char[SHOWN + 4]){ 0 }, SHOWN + 4)

static void
bad_value(struct parser *p, const char *flag, const struct opt_row *r, const char *text)
{
        const char *value = SHOWN_TEXT(epp_slice_str(text));

        if (r->kind == ENUM)
                mistake(p, "%s: \"%s\" is none of: " SLICE_FMT, flag, value,
                        SLICE_ARG(opt_choices(r)));
        else
                mistake(p, "%s: \"%s\" is not %s%s%s", flag, value, opt_wants(r),
                        r->zero ? "; 0: " : "", r->zero ? r->zero : "");
}

/* A value for a row, from wherever; <flag> is what messages call it. */
static void
give(struct parser *p, const char *flag, const struct opt_row *r, const char *text)
{
        char range[96];

        if (!opt_set(p->o, r, text)) {
                bad_value(p, flag, r, text);
        } else if (!opt_within(r, text)) {
                opt_range(r, range, sizeof(range));
                mistake(p, "%s: \"%s\" is out of range: %s", flag,
                        SHOWN_TEXT(epp_slice_str(text)), range);
        }
        p->o->from[r->id] = (unsigned char)p->from;
}

static void
drop_list(struct opt_list *l)
{
        free(l->v);
        free(l->copy);
        *l = (struct opt_list){ NULL };
}

static struct opt_list *
list_of(struct opt *o, const struct opt_row *r)
{
        return r->kind == LIST ? (struct opt_list *)(void *)((char *)o + r->offset) : NULL;
}

/* The environment: EPPD_ and the flag in capitals, - as _. */
#define PREFIX "EPPD_"

static bool
is_variable(const struct opt_row *r, struct epp_slice name)
{
        if (r->group || strlen(r->name) != name.n)
                return false;
        for (size_t i = 0; i < name.n; i++)
                if ((r->name[i] == '-' ? '_' : toupper((unsigned char)r->name[i])) != name.p[i])
                        return false;
        return true;
}

/* True at <word> in <name> where a word begins. */
static const char *
word_in(const char *name, const char *word)
{
        const char *p = strstr(name, word);

        while (p && p != name && p[-1] != '_')
                p = strstr(p + 1, word);
        return p;
}

/* Kubernetes tells each pod of the Services around it: for one called eppd, or eppd-metrics, in
 * variables that look like ours. EPPD_METRICS_PORT=tcp://10.0.0.1:9090 is no port for us. */
static bool
is_service(const char *name, const char *value)
{
        const char *port = word_in(name, "PORT");

        if (word_in(name, "SERVICE_HOST") || word_in(name, "SERVICE_PORT"))
                return true;
        for (; port; port = word_in(port + 1, "PORT")) {
                if (port[4] == '_' && isdigit((unsigned char)port[5]))
                        return true;
                if (!port[4] && strstr(value, "://"))
                        return true;
        }
        return false;
}

/* Members stand between blanks or newlines: a comma may be inside an endpoint. */
static void
give_list(struct parser *p, const char *flag, const struct opt_row *r, const char *text)
{
        struct opt_list *l = list_of(p->o, r);
        char *rest;

        drop_list(l);
        l->copy = rest = strdup(text);
        for (char *one; rest && (one = strsep(&rest, " \t\r\n"));)
                if (*one)
                        give(p, flag, r, one);
}

static bool
take_variable(struct parser *p, const char *name, const char *value)
{
        char flag[128];

        snprintf(flag, sizeof(flag), PREFIX "%s", name);
        for (size_t i = 0; i < opt_rows_n; i++) {
                const struct opt_row *r = &opt_rows[i];

                if (!is_variable(r, epp_slice_str(name)))
                        continue;
                if (r->kind == LIST)
                        give_list(p, flag, r, value);
                else
                        give(p, flag, r, value);
                return true;
        }
        return false;
}

static void
take_environment(struct parser *p, char *const *env)
{
        char unknown[256];
        size_t n = 0;

        p->from = OPT_BY_ENV;
        for (; env && *env; env++) {
                const char *equal = strchr(*env, '='), *name = *env + strlen(PREFIX);
                struct epp_slice text;
                char copy[96];

                if (!equal || !equal[1] || strncmp(*env, PREFIX, strlen(PREFIX)) != 0)
                        continue;
                text = epp_slice(name, (size_t)(equal - name));
                snprintf(copy, sizeof(copy), SLICE_FMT, SLICE_ARG(text));
                if (is_service(copy, equal + 1) || take_variable(p, copy, equal + 1))
                        continue;
                if (n < sizeof(unknown) - sizeof(copy) - 10)
                        n += (size_t)snprintf(unknown + n, sizeof(unknown) - n, "%s" PREFIX "%s",
                                n ? ", " : "", SHOWN_TEXT(epp_slice_str(copy)));
        }
        if (n) {
                char line[320];

                snprintf(line, sizeof(line), "no flag goes by %s (see --help)", unknown);
                p->say(line);
        }
}

/* The command line. */

static const struct opt_row *
find(struct epp_slice name, bool *ret_old)
{
        for (size_t i = 0; i < opt_rows_n; i++) {
                const struct opt_row *r = &opt_rows[i];

                if (r->group)
                        continue;
                *ret_old = r->old && epp_slice_eq(name, epp_slice_str(r->old));
                if (*ret_old || epp_slice_eq(name, epp_slice_str(r->name)))
                        return r;
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

/* The flag that <name> is a typo of: fewer edits than half its letters, at most 3. */
static const char *
nearest(struct epp_slice name)
{
        unsigned best = (unsigned)EPP_MIN((name.n + 1) / 2, (size_t)4);
        const char *near = NULL;

        for (size_t i = 0; i < opt_rows_n && name.n < 64; i++) {
                unsigned d = opt_rows[i].group ? 99
                                               : distance(name, epp_slice_str(opt_rows[i].name));

                if (d < best) {
                        best = d;
                        near = opt_rows[i].name;
                }
        }
        return near;
}

static const struct opt_unbuilt *
find_unbuilt(struct epp_slice name)
{
        for (size_t i = 0; i < opt_unbuilt_n; i++) {
                const struct opt_unbuilt *u = &opt_unbuilt[i];

                if (epp_slice_eq(name, epp_slice_str(u->name)) ||
                        (u->old && epp_slice_eq(name, epp_slice_str(u->old))))
                        return u;
        }
        return NULL;
}

/* <value> is NULL for none. */
static void
take_unbuilt(struct parser *p, const struct opt_unbuilt *u, const char *value)
{
        bool on = true;

        if (u->boolean && value && !opt_bool(value, &on))
                mistake(p, "--%s: \"%s\" is not true or false", u->name,
                        SHOWN_TEXT(epp_slice_str(value)));
        else if (u->boolean ? on : strcmp(value, u->off) != 0)
                mistake(p, "--%s: this feature is not built yet%s%s%s", u->name,
                        *u->off ? " (only " : "", u->off, *u->off ? " is taken)" : "");
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

static void
take_row(struct parser *p, const struct opt_row *r, const char *value, bool old)
{
        struct opt_list *l = list_of(p->o, r);
        char flag[96];

        snprintf(flag, sizeof(flag), "--%s", r->name);
        if (l && p->o->from[r->id] == OPT_BY_ENV)
                drop_list(l);
        give(p, flag, r, value);
        if (old) {
                char line[160];

                snprintf(line, sizeof(line), "-%s is the old spelling of --%s", r->old, r->name);
                p->say(line);
        }
}

static void
stray(struct parser *p, const char *word)
{
        const char *text = SHOWN_TEXT(epp_slice_str(word));

        if (p->bare)
                mistake(p, "unexpected argument \"%s\": a value of --%s goes behind =, as --%s=%s",
                        text, p->bare->name, p->bare->name, text);
        else if (!p->skip)
                mistake(p, "unexpected argument \"%s\": flags begin with --", text);
}

/* The word at argv[*i], and its value; advances *i. */
static void
take(struct parser *p, int argc, char **argv, int *i)
{
        struct epp_slice name = epp_slice_str(argv[*i]);
        char *equal = strchr(argv[*i], '=');
        const struct opt_unbuilt *u;
        const struct opt_row *r;
        const char *value = NULL, *near;
        bool old, bare;

        if (name.n < 2 || name.p[0] != '-') {
                stray(p, argv[*i]);
                return;
        }
        name.p += name.p[1] == '-' ? 2 : 1;
        name.n = equal ? (size_t)(equal - name.p) : strlen(name.p);
        r = find(name, &old);
        u = r ? NULL : find_unbuilt(name);
        bare = (r && opt_bare(r)) || (u && u->boolean);
        if (equal)
                value = unquote(equal + 1);
        else if ((r || u) && !bare && *i + 1 < argc)
                value = unquote(argv[++*i]);
        p->bare = bare && !equal ? r : NULL;
        p->skip = !r && !equal;
        if ((r || u) && !bare && !value)
                mistake(p, "--%s needs %s", r ? r->name : u->name,
                        r && opt_wants(r) ? opt_wants(r) : "a value");
        else if (r)
                take_row(p, r, value ? value : "true", old);
        else if (u)
                take_unbuilt(p, u, value);
        else {
                near = nearest(name);
                mistake(p, "unknown flag --%s%s%s%s", SHOWN_TEXT(name),
                        near ? "; did you mean --" : " (see --help)", near ? near : "",
                        near ? "?" : "");
        }
}

static void
version(void)
{
        printf("eppd %s\n", EPPD_VERSION);
}

/* Flags that ask to be told something, not for a value. */
static bool
take_question(struct parser *p, const char *word)
{
        static const struct {
                const char *name;
                void (*show)(void);
        } rows[] = { { "-help", opt_help }, { "-h", opt_help }, { "-version", version },
                { "-dump-mdoc", opt_mdoc }, { "-dump-markdown", opt_markdown },
                { "-dump-config", NULL } };

        word += strncmp(word, "--", 2) == 0;
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                if (strcmp(word, rows[i].name) == 0) {
                        p->show = rows[i].show ? rows[i].show : p->show;
                        p->dump |= !rows[i].show;
                        return true;
                }
        }
        return false;
}

/* --log-level wins over the Go pickers' flags, of which zap-log-level wins over v, as there. Their
 * verbosity 4 is what they call debug, from there on we do; below, 0 included, they say what
 * starts, ends and changes: our info. */
static void
settle_log(struct opt *o)
{
        const char *zap = o->zap_log_level;
        uint64_t v = *zap >= '0' && *zap <= '9' ? strtoull(zap, NULL, 10) : o->verbosity;

        if (!o->from[OPT_ID_log_level]) {
                o->log_level = v >= 4 ? EPP_LOG_DEBUG : EPP_LOG_INFO;
                if (strcmp(zap, "debug") == 0)
                        o->log_level = EPP_LOG_DEBUG;
                else if (strcmp(zap, "info") == 0)
                        o->log_level = EPP_LOG_INFO;
                else if (strcmp(zap, "error") == 0 || strcmp(zap, "panic") == 0)
                        o->log_level = EPP_LOG_ERROR;
        }
        if (!o->from[OPT_ID_log_format] && o->zap_encoder == 1)
                o->log_format = 1;
}

static void
set_defaults(struct opt *o)
{
        memset(o, 0, sizeof(*o));
        for (size_t i = 0; i < opt_rows_n; i++) {
                const struct opt_row *r = &opt_rows[i];
                /* a list begins without members */
                bool ok = r->group || r->kind == LIST ||
                          (opt_set(o, r, r->def) && opt_within(r, r->def));

                EPP_ASSERT(ok); /* a default that its own row refuses */
        }
}

enum opt_result
opt_parse(struct opt *o, int argc, char **argv, char *const *env, void (*say)(const char *line))
{
        struct parser p = { .o = o, .say = say };

        set_defaults(o);
        for (int i = 1; i < argc && !p.show; i++)
                (void)take_question(&p, argv[i]);
        if (p.show) { /* before any mistake: who asks for help may have made one */
                p.show();
                return OPT_DONE;
        }
        take_environment(&p, env);
        p.from = OPT_BY_FLAG;
        for (int i = 1; i < argc; i++)
                if (!take_question(&p, argv[i]))
                        take(&p, argc, argv, &i);
        if (p.mistakes > MAX_SAID) {
                char line[64];

                snprintf(line, sizeof(line), "and %u more mistakes", p.mistakes - MAX_SAID);
                say(line);
        }
        if (p.mistakes)
                return OPT_BAD;
        settle_log(o);
        if (p.dump)
                opt_dump(o, stdout);
        return p.dump ? OPT_DONE : OPT_RUN;
}

void
opt_fini(struct opt *o)
{
        for (size_t i = 0; i < opt_rows_n; i++)
                if (!opt_rows[i].group && list_of(o, &opt_rows[i]))
                        drop_list(list_of(o, &opt_rows[i]));
        memset(o, 0, sizeof(*o));
}
