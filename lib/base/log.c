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

void
epp_log_write(const struct epp_log *l, enum epp_log_level level, const char *ev,
        const struct epp_log_field *f, size_t n)
{
        epp_wall wall = l->wall ? l->wall(l->ctx) : 0;
        time_t sec = (time_t)(wall / 1000000);
        struct line line;
        struct tm tm;
        char ts[32];

        if (!l->sink)
                return;
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
