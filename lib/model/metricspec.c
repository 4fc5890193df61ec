/* metricspec.c - see metricspec.h. Where the pickers of the past disagree (quotes, an empty pair of
 * braces, a last comma) what any of them takes is taken; other matchers than = are refused. */
#include "model/metricspec.h"

static char *
blanks(char *p)
{
        while (*p == ' ' || *p == '\t')
                p++;
        return p;
}

/* The end of a name at <p>; <p> itself when there is none. */
static char *
name_end(char *p, const char *also)
{
        static const char first[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
        char *end = p;

        while (*end && (strchr(first, *end) || strchr(also, *end) ||
                       (end > p && *end >= '0' && *end <= '9')))
                end++;
        return end;
}

/* The value at *p, ended with NUL; *p goes behind it, and *ret_next is what stood there. */
static char *
value(char **p, char *ret_next)
{
        bool quoted = **p == '"';
        char *start = *p + quoted, *end = start + strcspn(start, quoted ? "\"" : ",}");
        char *after = end;

        if (quoted && *end != '"')
                return NULL;
        if (quoted)
                after = blanks(end + 1);
        else
                while (end > start && (end[-1] == ' ' || end[-1] == '\t'))
                        end--;
        if (!quoted && (end == start || memchr(start, '"', (size_t)(end - start))))
                return NULL;
        *ret_next = *after;
        *p = *after ? after + 1 : after;
        *end = 0;
        return start;
}

/* The pairs behind the opening brace, to the end of the text. */
static bool
labels(char *p, struct epp_load_metric *m)
{
        for (size_t n = 0;; n++) {
                char *name = blanks(p), *end = name_end(name, ""), next;

                if (*name == '}')
                        return *blanks(name + 1) == 0;
                p = blanks(end);
                if (n == EPP_LOAD_LABELS || end == name || *p != '=')
                        return false;
                p = blanks(p + 1);
                *end = 0;
                m->label[n].name = name;
                m->label[n].value = value(&p, &next);
                if (!m->label[n].value || (next != ',' && next != '}'))
                        return false;
                if (next == '}')
                        return *blanks(p) == 0;
        }
}

int
epp_metricspec_parse(char *text, struct epp_load_metric *ret)
{
        struct epp_load_metric m = { .rows = ret->rows };
        char *start = blanks(text), *end = name_end(start, ":"), *p = blanks(end);
        bool braces = *p == '{';

        if (end == start) {
                if (*p)
                        return EPP_EINVAL;
                *ret = m;
                return 0;
        }
        m.family = start;
        if ((*p && !braces) || (braces && !labels(p + 1, &m)))
                return EPP_EINVAL;
        *end = 0;
        *ret = m;
        return 0;
}
