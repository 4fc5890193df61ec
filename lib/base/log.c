/* log.c - see log.h: logfmt and JSON lines. */
#include "base/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <time.h>

#include "base/status.h"

#define LINE_MAX_BYTES 2048

static const char *const levels[] = { "error", "warn", "info", "debug" };

struct line {
        char p[LINE_MAX_BYTES];
        size_t n;
};

static void EPP_PRINTF(2, 3)
add(struct line *l, const char *fmt, ...)
{
        size_t room = sizeof(l->p) - l->n;
        va_list ap;
        int n;

        va_start(ap, fmt);
        n = vsnprintf(l->p + l->n, room, fmt, ap);
        va_end(ap);
        l->n += EPP_MIN((size_t)EPP_MAX(n, 0), room - 1);
}

/* Quotes and escapes so that one event stays one line, whatever the text. */
static void
add_quoted(struct line *l, struct epp_slice s)
{
        add(l, "\"");
        for (size_t i = 0; i < s.n && l->n < sizeof(l->p) - 16; i++) {
                unsigned char c = (unsigned char)s.p[i];

                if (c == '"' || c == '\\')
                        add(l, "\\%c", c);
                else if (c < 0x20 || c == 0x7f)
                        add(l, "\\u%04x", c);
                else
                        add(l, "%c", c);
        }
        add(l, "\"");
}

static bool
plain(struct epp_slice s)
{
        for (size_t i = 0; i < s.n; i++) {
                unsigned char c = (unsigned char)s.p[i];

                if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 0x7f)
                        return false;
        }
        return s.n > 0;
}

static void
add_field(struct line *l, bool json, const struct epp_log_field *f)
{
        add(l, json ? ",\"%s\":" : " %s=", f->key);
        if (f->kind == EPP_LOG_INT)
                add(l, "%" PRId64, f->number);
        else if (!json && plain(f->text))
                add(l, SLICE_FMT, SLICE_ARG(epp_slice(f->text.p, EPP_MIN(f->text.n, 1024))));
        else
                add_quoted(l, f->text);
}

static void
write_out(const struct epp_log *l, enum epp_log_level level, const char *ev,
        const struct epp_log_field *f, size_t n)
{
        epp_wall wall = l->wall ? l->wall(l->ctx) : 0;
        time_t sec = (time_t)(wall / 1000000);
        struct line line;
        struct tm tm;
        char ts[32];

        line.n = 0;
        gmtime_r(&sec, &tm);
        strftime(ts, sizeof(ts), "%Y-%m-%dT%H:%M:%S", &tm);
        add(&line,
                l->json ? "{\"ts\":\"%s.%06dZ\",\"level\":\"%s\",\"ev\":\"%s\""
                        : "%s.%06dZ %s ev=%s",
                ts, (int)(wall % 1000000), levels[level], ev);
        for (size_t i = 0; i < n; i++)
                add_field(&line, l->json, &f[i]);
        line.n = EPP_MIN(line.n, sizeof(line.p) - 4);
        add(&line, l->json ? "}\n" : "\n");
        l->sink(l->ctx, level, epp_slice(line.p, line.n));
}

/* Words are compared by address; in a full table the answer is NULL. */
static struct epp_log_site *
site_of(struct epp_log_limit *t, enum epp_log_level level, const char *ev)
{
        size_t at = ((uintptr_t)ev * 0x9e3779b97f4a7c15u >> 32) + (size_t)level;

        for (size_t i = 0; i < EPP_LOG_SITES; i++) {
                struct epp_log_site *s = &t->site[(at + i) % EPP_LOG_SITES];

                if (!s->ev)
                        *s = (struct epp_log_site){ .ev = ev, .level = level };
                if (s->ev == ev && s->level == level)
                        return s;
        }
        return NULL;
}

/* A bucket of EPP_LOG_BURST that gets one line back each EPP_LOG_PERIOD_US. The wall clock may
 * step: forward it fills the bucket, backward <due> is found too far ahead and begins anew. */
static bool
passes(struct epp_log_limit *t, enum epp_log_level level, const char *ev, epp_wall now)
{
        struct epp_log_site *s = site_of(t, level, ev);

        if (!s)
                return true;
        if (s->due < now || s->due > now + (epp_wall)EPP_LOG_BURST * EPP_LOG_PERIOD_US)
                s->due = now;
        if (s->due > now + (epp_wall)(EPP_LOG_BURST - 1) * EPP_LOG_PERIOD_US) {
                s->swallowed++;
                t->swallowed++;
                return false;
        }
        s->due += EPP_LOG_PERIOD_US;
        return true;
}

void
epp_log_write(const struct epp_log *l, enum epp_log_level level, const char *ev,
        const struct epp_log_field *f, size_t n)
{
        if (!l->sink)
                return;
        if (l->limit && level < EPP_LOG_DEBUG &&
                !passes(l->limit, level, ev, l->wall ? l->wall(l->ctx) : 0))
                return;
        write_out(l, level, ev, f, n);
}

void
epp_log_tell(const struct epp_log *l)
{
        for (size_t i = 0; l->limit && i < EPP_LOG_SITES; i++) {
                struct epp_log_site *s = &l->limit->site[i];
                struct epp_log_field f[] = { LOG_T("of", s->ev), LOG_N("lines", s->swallowed) };

                if (!s->swallowed)
                        continue;
                s->swallowed = 0; /* before: a sink may write lines of its own */
                write_out(l, s->level, "swallowed", f, ARRAY_LEN(f));
        }
}

int
epp_log_level_parse(struct epp_slice text, enum epp_log_level *ret)
{
        for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
                if (epp_slice_eq(text, epp_slice_str(levels[i]))) {
                        *ret = (enum epp_log_level)i;
                        return 0;
                }
        }
        return EPP_EINVAL;
}
