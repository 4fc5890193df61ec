/* log.c - see log.h: logfmt and JSON lines. */
#include "base/log.h"

#include <stdarg.h>
#include <time.h>

#include "base/status.h"
#include "base/utf8.h"

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

static size_t
room(const struct line *l)
{
        return sizeof(l->p) - 4 - l->n; /* without the end of a line */
}

static void
put(struct line *l, const char *p, size_t n)
{
        n = EPP_MIN(n, room(l));
        memcpy(l->p + l->n, p, n);
        l->n += n;
}

/* How many bytes of <s> stand for themselves in any line. */
static size_t
plain_run(struct epp_slice s)
{
        size_t n = 0;

        while (n < s.n && (signed char)s.p[n] > ' ' && s.p[n] != '"' && s.p[n] != '=' &&
                s.p[n] != '\\' && s.p[n] != 0x7f)
                n++;
        return n;
}

/* Quotes and escapes so that one event stays one line of UTF-8, whatever the text; cut where the
 * line ends. */
static void
add_quoted(struct line *l, struct epp_slice s)
{
        put(l, "\"", 1);
        for (size_t i = 0, len; i < s.n && room(l) > 8; i += len) {
                unsigned char c = (unsigned char)s.p[i];

                len = plain_run(epp_slice(s.p + i, EPP_MIN(s.n - i, room(l) - 8)));
                if (len) {
                        put(l, s.p + i, len);
                        continue;
                }
                len = epp_utf8_len(s.p + i, s.n - i);
                if (c == '"' || c == '\\')
                        put(l, "\\", 1);
                if (c < 0x20 || c == 0x7f)
                        add(l, "\\u%04x", c);
                else if (len)
                        put(l, s.p + i, len);
                else
                        len = 1, put(l, "\\ufffd", 6);
        }
        put(l, "\"", 1);
}

/* Decimal digits; <point> of them are behind a point. */
static void
add_number(struct line *l, int64_t v, unsigned point)
{
        char text[32], *p = text + sizeof(text);
        uint64_t rest = v < 0 ? -(uint64_t)v : (uint64_t)v;

        for (unsigned i = 0; i <= point || rest; i++) {
                if (point && i == point)
                        *--p = '.';
                *--p = (char)('0' + rest % 10);
                rest /= 10;
        }
        if (v < 0)
                *--p = '-';
        put(l, p, (size_t)(text + sizeof(text) - p));
}

/* A field that has no place is left out: what is there stays whole, and JSON. */
static void
add_field(struct line *l, bool json, const struct epp_log_field *f)
{
        size_t key = strlen(f->key);

        if (room(l) < key + 40)
                return;
        put(l, ",\"", json ? 2 : 0);
        put(l, " ", !json);
        put(l, f->key, key);
        put(l, json ? "\":" : "=", json ? 2 : 1);
        if (f->kind != EPP_LOG_TEXT)
                add_number(l, f->number, f->kind == EPP_LOG_MILLI ? 3 : 0);
        else if (!json && f->text.n && plain_run(f->text) == f->text.n)
                put(l, f->text.p, EPP_MIN(f->text.n, (size_t)1024));
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
