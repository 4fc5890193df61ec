/* kselect.c - see kselect.h. */
#include "wire/kselect.h"

#define LABELS_MAX 64

static int
by_key(const void *a, const void *b)
{
        const struct epp_node *x = *(const struct epp_node *const *)a,
                              *y = *(const struct epp_node *const *)b;

        return epp_slice_cmp(x->key, y->key);
}

int
epp_kselect_labels(struct epp_buf *out, const struct epp_node *labels)
{
        const struct epp_node *list[LABELS_MAX];
        size_t n = 0;
        int r = 0;

        for (const struct epp_node *l = labels ? labels->first : NULL; l; l = l->next) {
                if (n == LABELS_MAX)
                        return EPP_EINVAL;
                list[n++] = l;
        }
        if (n == 0)
                return 0;
        qsort(list, n, sizeof(list[0]), by_key);
        for (size_t i = 0; i < n && r == 0; i++) {
                r = epp_buf_append(out, i ? EPP_SLICE("%2C") : EPP_SLICE("labelSelector="));
                r = r ? r : epp_buf_append_escaped(out, list[i]->key);
                r = r ? r : epp_buf_append(out, EPP_SLICE("%3D"));
                r = r ? r : epp_buf_append_escaped(out, list[i]->text);
        }
        return r;
}

/* ---- kubectl's syntax ---- */

static void
blanks(struct epp_slice *s)
{
        while (s->n && (*s->p == ' ' || *s->p == '\t'))
                s->p++, s->n--;
}

static bool
take(struct epp_slice *s, const char *token)
{
        blanks(s);
        if (!epp_slice_has_prefix(*s, epp_slice_str(token)))
                return false;
        s->p += strlen(token), s->n -= strlen(token);
        return true;
}

/* Letters, digits and -._/ ; may be empty. */
static struct epp_slice
word(struct epp_slice *s)
{
        struct epp_slice w;

        blanks(s);
        w = epp_slice(s->p, 0);
        while (s->n &&
                ((*s->p >= '0' && *s->p <= '9') ||
                        (epp_lower(*s->p) >= 'a' && epp_lower(*s->p) <= 'z') ||
                        strchr("-._/", *s->p)))
                s->p++, s->n--, w.n++;
        return w;
}

static bool
is_value(struct epp_slice w)
{
        return w.n <= 63 && (w.n == 0 || !memchr(w.p, '/', w.n));
}

static bool
is_integer(struct epp_slice w)
{
        size_t i = w.n && *w.p == '-';

        if (i == w.n)
                return false;
        for (; i < w.n; i++)
                if (w.p[i] < '0' || w.p[i] > '9')
                        return false;
        return true;
}

/* "(a, b)" behind in or notin. */
static bool
value_set(struct epp_slice *s)
{
        if (!take(s, "("))
                return false;
        do {
                if (!is_value(word(s)))
                        return false;
        } while (take(s, ","));
        return take(s, ")");
}

static bool
requirement(struct epp_slice *s)
{
        bool negated = take(s, "!");
        struct epp_slice key = word(s), at = *s, op;

        if (key.n == 0 || key.n > 317)
                return false;
        blanks(s);
        if (negated || s->n == 0 || *s->p == ',')
                return true;
        if (take(s, "==") || take(s, "!=") || take(s, "="))
                return is_value(word(s));
        if (take(s, ">") || take(s, "<"))
                return is_integer(word(s));
        at = *s;
        op = word(&at);
        *s = at;
        return (epp_slice_eq(op, EPP_SLICE("in")) || epp_slice_eq(op, EPP_SLICE("notin"))) &&
                value_set(s);
}

int
epp_kselect_text(struct epp_buf *out, struct epp_slice text)
{
        struct epp_slice s = text;
        int r;

        blanks(&s);
        if (s.n == 0)
                return 0;
        do {
                if (!requirement(&s))
                        return EPP_EINVAL;
        } while (take(&s, ","));
        blanks(&s);
        if (s.n)
                return EPP_EINVAL;
        r = epp_buf_append(out, EPP_SLICE("labelSelector="));
        return r < 0 ? r : epp_buf_append_escaped(out, text);
}
