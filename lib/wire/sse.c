/* sse.c - see sse.h. Most events hold no usage: a chunk of whole events without the words that
 * matter is skipped with one search, the rest walks byte by byte. */
#include "wire/sse.h"

enum { LINE_OTHER = 100, LINE_DATA = 101, NOT_DONE = 102 };

static const char prefix[] = "data:";
static const char done[] = "[DONE]";

void
epp_sse_init(struct epp_sse *s)
{
        *s = (struct epp_sse){ 0 };
}

static void
event_end(struct epp_sse *s)
{
        if (!s->walking)
                return;
        epp_usage_end(&s->walk, &s->usage);
        s->events += s->counts;
        s->walking = s->counts = false;
}

/* A line break: a blank line ends the event; data other than [DONE] makes it count. */
static void
line_end(struct epp_sse *s)
{
        if (s->at == 0)
                event_end(s);
        else if (s->at == LINE_DATA && s->done != sizeof(done) - 1) {
                s->counts = true;
                if (s->done < sizeof(done) - 1)
                        epp_usage_feed(&s->walk, epp_slice(done, s->done)); /* held back so far */
        }
        s->at = 0;
}

static void
data_begins(struct epp_sse *s)
{
        s->at = LINE_DATA;
        s->done = 0;
        s->skip_space = true;
        if (s->walking)
                epp_usage_feed(&s->walk, EPP_SLICE("\n")); /* lines of one event are joined */
        else
                epp_usage_begin(&s->walk);
        s->walking = true;
}

/* Bytes of a data line up to its end; returns how many. */
static size_t
in_data(struct epp_sse *s, struct epp_slice in)
{
        size_t n = 0;

        if (s->skip_space) {
                s->skip_space = false;
                if (*in.p == ' ')
                        return 1;
        }
        while (n < in.n && in.p[n] != '\n' && in.p[n] != '\r')
                n++;
        for (size_t i = 0; i < n && s->done < sizeof(done) - 1; i++) {
                if (in.p[i] == done[s->done]) {
                        s->done++;
                        continue;
                }
                epp_usage_feed(&s->walk, epp_slice(done, s->done)); /* held back so far */
                epp_usage_feed(&s->walk, epp_slice(in.p + i, n - i));
                s->done = NOT_DONE;
                return n;
        }
        if (s->done == NOT_DONE)
                epp_usage_feed(&s->walk, epp_slice(in.p, n));
        return n;
}

static void
walk(struct epp_sse *s, struct epp_slice in)
{
        while (in.n) {
                char c = *in.p;
                size_t n = 1;

                if (c == '\n' || c == '\r') {
                        if (c != '\n' || !s->cr)
                                line_end(s);
                        s->cr = c == '\r';
                } else {
                        s->cr = false;
                        if (s->at == LINE_DATA)
                                n = in_data(s, in);
                        else if (s->at < sizeof(prefix) - 1 && c == prefix[s->at]) {
                                if (++s->at == sizeof(prefix) - 1)
                                        data_begins(s);
                        } else
                                s->at = LINE_OTHER;
                }
                in.p += n, in.n -= n;
        }
}

/* "usage" with anything but null behind it. */
static bool
says_usage(struct epp_slice in)
{
        static const char word[] = "\"usage\"", none[] = ":null";
        const char *at;

        while ((at = memmem(in.p, in.n, word, sizeof(word) - 1))) {
                in.n -= (size_t)(at - in.p) + sizeof(word) - 1;
                in.p = at + sizeof(word) - 1;
                if (in.n < sizeof(none) - 1 || memcmp(in.p, none, sizeof(none) - 1) != 0)
                        return true;
        }
        return false;
}

/* True when <in> is whole events, none of which can hold usage or an error. */
static bool
boring(const struct epp_sse *s, struct epp_slice in)
{
        return s->at == 0 && !s->walking && in.n >= 2 && in.p[in.n - 1] == '\n' &&
               in.p[in.n - 2] == '\n' && !memchr(in.p, '\r', in.n) &&
               !says_usage(in) &&
               !memmem(in.p, in.n, "\"error\"", 7) && !memmem(in.p, in.n, "\"meta_info\"", 11);
}

static void
count_events(struct epp_sse *s, struct epp_slice in)
{
        bool counts = false;

        while (in.n) {
                struct epp_slice line = epp_slice_cut(&in, '\n');

                if (line.n == 0) {
                        s->events += counts;
                        counts = false;
                } else if (epp_slice_has_prefix(line, EPP_SLICE("data:"))) {
                        line.p += 5, line.n -= 5;
                        if (line.n && *line.p == ' ')
                                line.p++, line.n--;
                        counts |= !epp_slice_has_prefix(line, EPP_SLICE("[DONE]"));
                }
        }
}

void
epp_sse_feed(struct epp_sse *s, struct epp_slice in)
{
        if (boring(s, in)) {
                s->cr = false;
                count_events(s, in);
        } else {
                walk(s, in);
        }
}

void
epp_sse_end(struct epp_sse *s)
{
        line_end(s);
        event_end(s);
}
