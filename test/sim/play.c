/* play.c - see play.h. One function per verb; a verb that fails says why and the play ends. */
#include "sim/play.h"

#include <math.h>
#include <stdarg.h>

#include "fail/alloc.h"
#include "sim/verbs.h"

#define WORDS_MAX 2048

bool EPP_PRINTF(2, 3)
play_fail(struct play *p, const char *fmt, ...)
{
        int n;
        va_list ap;

        if (p->failed)
                return false;
        p->failed = true;
        n = snprintf(p->error, sizeof(p->error), "%s:%u: ", p->file, p->line);
        va_start(ap, fmt);
        vsnprintf(p->error + n, sizeof(p->error) - (size_t)n, fmt, ap);
        va_end(ap);
        return false;
}

/* Out of memory is an end where nothing was made to fail, and else part of the play. */
bool
play_result(struct play *p, int r)
{
        if (r >= 0 || (p->lenient && r == EPP_ENOMEM)) {
                p->degraded |= r < 0;
                return true;
        }
        return play_fail(p, "%s", epp_status_text(r));
}

const char *
play_option(const struct play *p, const char *key)
{
        size_t n = strlen(key);

        for (size_t i = 0; i < p->n; i++)
                if (strncmp(p->word[i], key, n) == 0 && p->word[i][n] == '=')
                        return p->word[i] + n + 1;
        return NULL;
}

bool
play_flag(const struct play *p, const char *word)
{
        for (size_t i = 0; i < p->n; i++)
                if (strcmp(p->word[i], word) == 0)
                        return true;
        return false;
}

/* Times are taken as microseconds when they have a unit. */
bool
play_number(const char *text, double *ret)
{
        static const struct {
                const char *unit;
                double factor;
        } units[] = { { "", 1 }, { "us", 1 }, { "ms", 1e3 }, { "s", 1e6 }, { "m", 6e7 },
                { "h", 3.6e9 }, { "%", .01 } };
        char *end;
        double v = strtod(text, &end);

        if (end == text)
                return false;
        for (size_t i = 0; i < ARRAY_LEN(units); i++) {
                if (strcmp(end, units[i].unit) == 0) {
                        *ret = v * units[i].factor;
                        return true;
                }
        }
        return false;
}

double
play_number_option(struct play *p, const char *key, double def)
{
        const char *text = play_option(p, key);
        double v = def;

        if (text && !play_number(text, &v))
                play_fail(p, "%s=%s is no number", key, text);
        return v;
}

/* N, or LOW..HIGH. */
bool
play_range(struct play *p, const char *text, double *low, double *high)
{
        const char *dots = strstr(text, "..");
        char first[64];

        if (!dots) {
                if (!play_number(text, low))
                        return play_fail(p, "\"%s\" is no number", text);
                *high = *low;
                return true;
        }
        snprintf(first, sizeof(first), "%.*s", (int)(dots - text), text);
        if (!play_number(first, low) || !play_number(dots + 2, high))
                return play_fail(p, "\"%s\" is no range", text);
        return true;
}

/* Calls <fn> with <word>, or with each of what "a-{1..9}" stands for. */
bool
play_each(struct play *p, const char *word, bool (*fn)(struct play *p, const char *name))
{
        const char *open = strchr(word, '{'), *close = open ? strchr(open, '}') : NULL;
        char range[64], name[128];
        double low, high;

        if (!close)
                return fn(p, word);
        snprintf(range, sizeof(range), "%.*s", (int)(close - open - 1), open + 1);
        if (!play_range(p, range, &low, &high))
                return false;
        for (int i = (int)low; i <= (int)high; i++) {
                snprintf(name, sizeof(name), "%.*s%d%s", (int)(open - word), word, i, close + 1);
                if (!fn(p, name))
                        return false;
        }
        return true;
}

/* The next line without its end, or NULL. */
static const char *
next_line(struct play *p, size_t *ret_n)
{
        const char *line = p->rest, *end;

        if (!*line)
                return NULL;
        end = strchrnul(line, '\n');
        *ret_n = (size_t)(end - line);
        p->rest = *end ? end + 1 : end;
        p->line++;
        return line;
}

/* The lines up to "end", as they are. */
bool
play_block(struct play *p, struct epp_buf *out)
{
        unsigned from = p->line;
        const char *line;
        size_t n;

        while ((line = next_line(p, &n)) != NULL) {
                if (n == 3 && strncmp(line, "end", 3) == 0)
                        return true;
                EPP_ASSERT(epp_buf_append(out, epp_slice(line, n)) == 0 &&
                        epp_buf_append(out, EPP_SLICE("\n")) == 0);
        }
        p->line = from;
        return play_fail(p, "the block has no line \"end\"");
}

/* Words of <line> (changed) into p->word: blanks part them, '...' keeps them together. */
static bool
split(struct play *p, char *line)
{
        static char *words[WORDS_MAX];
        char *in = line, *out = line;

        p->word = words;
        for (p->n = 0;;) {
                bool quoted = false;

                in += strspn(in, " \t");
                if (!*in || *in == '#')
                        return true;
                if (p->n == WORDS_MAX)
                        return play_fail(p, "too many words");
                words[p->n++] = out;
                for (; *in && (quoted || (*in != ' ' && *in != '\t')); in++) {
                        if (*in == '\'')
                                quoted = !quoted;
                        else
                                *out++ = *in;
                }
                if (quoted)
                        return play_fail(p, "a quote is not closed");
                in += *in != 0;
                *out++ = 0;
        }
}

/* "at TIME" moves the clock; what follows happens then. */
static bool
move_clock(struct play *p)
{
        double t;
        epp_us to;

        if (p->n < 2 || !play_number(p->word[1] + (p->word[1][0] == '+'), &t))
                return play_fail(p, "at needs a time, as 10ms or +2s");
        to = (epp_us)t + (p->word[1][0] == '+' ? p->w.now : WORLD_BEGIN);
        if (to < p->w.now && !p->lenient)
                return play_fail(p, "time goes back from %.3f s",
                        (double)(p->w.now - WORLD_BEGIN) / 1e6);
        if (p->lenient) /* hours add nothing but time when allocations fail */
                to = EPP_MIN(to, p->w.now + 60000000);
        world_advance(&p->w, to);
        p->word += 2;
        p->n -= 2;
        return true;
}

static bool
play_line(struct play *p)
{
        if (p->n && strcmp(p->word[0], "at") == 0 && !move_clock(p))
                return false;
        if (p->n == 0)
                return true;
        for (const struct verb *v = verbs; v->name; v++) {
                if (strcmp(v->name, p->word[0]) != 0)
                        continue;
                p->word++, p->n--;
                if (p->n < v->least)
                        return play_fail(p, "usage: %s %s", v->name, v->usage);
                return v->fn(p);
        }
        return play_fail(p, "no such verb: %s", p->word[0]);
}

static bool
play_lines(struct play *p)
{
        const char *line;
        char copy[32768];
        size_t n;

        while ((line = next_line(p, &n)) != NULL) {
                if (n >= sizeof(copy))
                        return play_fail(p, "the line is too long");
                memcpy(copy, line, n);
                copy[n] = 0;
                if (!split(p, copy) || !play_line(p) || p->failed)
                        return false;
        }
        return true;
}

/* What must hold at the end of every play, whatever happened in it. */
/* What is counted by model adds up to what streams saw, whatever happened: nothing runs, nothing is
 * lost or counted twice. */
static void
check_series(struct play *p)
{
        const struct world *w = &p->w;
        uint64_t requests = 0, refused = 0, whole = 0, picks = 0;
        struct epp_cell *const *list;
        struct epp_tally *const *tries;
        size_t n;

        if (!w->director.series)
                return;
        list = epp_series_list(w->director.series, &n);
        for (size_t i = 0; i < n; i++) {
                const struct epp_cell *c = list[i];

                requests += c->requests;
                whole += epp_hist_count(&c->duration);
                for (int k = 0; k < EPP_FAIL_MODEL_SERVER; k++)
                        refused += c->failures[k];
                if (c->running || epp_hist_count(&c->request_bytes) != c->requests)
                        play_fail(p, "of model " SLICE_FMT " %" PRIu64 " requests run at the end",
                                SLICE_ARG(c->labels.model), c->running);
        }
        tries = epp_series_attempts(w->director.series, &n);
        for (size_t i = 0; i < n; i++)
                picks += tries[i]->endpoint.n ? tries[i]->n : 0;
        if (requests != w->stats.routed || refused != w->stats.refused || picks < requests ||
                whole < w->director.stats.complete)
                play_fail(p, "by model: %" PRIu64 " routed, %" PRIu64 " refused, %" PRIu64
                        " picks, %" PRIu64 " whole; by stream: %" PRIu64 ", %" PRIu64, requests,
                        refused, picks, whole, w->stats.routed, w->stats.refused);
}

static void
check_end(struct play *p)
{
        struct world *w = &p->w;
        uint64_t ended, left;

        envoy_fini(&w->envoy);
        ended = w->director.stats.complete + w->director.stats.aborted +
                w->director.stats.unseen;
        left = w->pool ? world_inflight(w) : 0;
        if (left)
                play_fail(p, "at the end %" PRIu64 " requests are still in flight", left);
        if (w->stats.begun != w->stats.ended)
                play_fail(p, "%" PRIu64 " streams begun, %" PRIu64 " ended", w->stats.begun,
                        w->stats.ended);
        if (w->stats.routed != ended)
                play_fail(p, "%" PRIu64 " requests routed, %" PRIu64 " released",
                        w->stats.routed, ended);
        check_series(p);
}

/* After a failed allocation, and with memory again, requests are answered as ever. */
static void
check_recovery(struct play *p)
{
        char line[] = "request recovery model=any -> whatever";
        const struct verb *v = verbs;
        const struct call *c;
        enum fate fate;

        alloc_stop();
        p->w.director.ready = true;
        p->w.director.match = EPP_MATCH_PASSTHROUGH;
        if (!p->w.sched || !split(p, line))
                return;
        while (strcmp(v->name, "request") != 0)
                v++;
        p->word++, p->n--;
        if (!v->fn(p))
                return;
        c = play_call(p, "recovery");
        fate = c ? envoy_fate(c) : FATE_ERROR;
        if (fate != FATE_PICK && fate != FATE_REFUSED)
                play_fail(p, "with memory again, a request still fails");
}

int
play_text(struct play *p, const char *file, const char *text, bool lenient)
{
        *p = (struct play){ .file = file, .rest = text, .lenient = lenient };
        if (play_result(p, world_init(&p->w)) && p->w.sched && play_lines(p) && lenient)
                check_recovery(p);
        check_end(p);
        world_fini(&p->w);
        return p->failed ? -1 : 0;
}

void
play_name(const char *text, char *out, size_t size)
{
        text += strspn(text, "# ");
        snprintf(out, size, "%.*s", (int)strcspn(text, "\n"), text);
}

char *
play_read(const char *path)
{
        FILE *f = fopen(path, "r");
        char *text = malloc(1 << 20);
        size_t n = f && text ? fread(text, 1, (1 << 20) - 1, f) : 0;

        if (n == 0)
                fprintf(stderr, "%s: cannot be read\n", path);
        else
                text[n] = 0;
        if (f)
                fclose(f);
        if (n)
                return text;
        free(text);
        return NULL;
}
