/* series.c - see series.h. A cell is found by its labels packed into one key; nearly always the
 * first look finds it. Only when it does not are the values held against their caps. */
#include "model/series.h"

#include "base/arena.h"
#include "base/map.h"
#include "base/utf8.h"

#define VALUE_MAX 256     /* bytes of a label's value; longer ones count as other */
#define CELLS_MAX 10000   /* 2 KiB each */
#define TALLIES_MAX 10000
#define FIRST_LIST 64
#define OTHER EPP_SLICE("other")

/* The values of one label that clients choose. */
struct values {
        struct epp_map seen;
        size_t slots; /* taken; pinned ones take none */
};

/* Counts by three labels. <other> stands in the list once it has counted, for which there is always
 * room: whatever is full, nothing is lost. */
struct tallies {
        struct epp_map seen;
        struct epp_tally **list;
        size_t n, size;
        struct epp_tally other[2];
};

struct epp_series {
        size_t max_values;
        bool no_fairness;
        struct values models, fairness;
        struct epp_map cells;
        struct epp_cell **list;
        size_t n, size;
        struct epp_cell other;
        struct tallies attempts, rewrites;
        struct epp_arena text;
};

struct key {
        char p[3 * (VALUE_MAX + 2) + 8];
        size_t n;
};

static void
pack(struct key *k, struct epp_slice s)
{
        uint16_t n = (uint16_t)s.n;

        memcpy(k->p + k->n, &n, sizeof(n));
        if (s.n)
                memcpy(k->p + k->n + sizeof(n), s.p, s.n);
        k->n += sizeof(n) + s.n;
}

static struct epp_slice
pack_labels(struct key *k, const struct epp_labels *l)
{
        k->n = 0;
        pack(k, l->model);
        pack(k, l->target);
        pack(k, l->fairness);
        pack(k, epp_slice(&l->priority, sizeof(l->priority)));
        return epp_slice(k->p, k->n);
}

static struct epp_slice
pack_three(struct key *k, const struct epp_slice label[3])
{
        k->n = 0;
        for (int i = 0; i < 3; i++)
                pack(k, label[i]);
        return epp_slice(k->p, k->n);
}

static void
cell_init(struct epp_cell *c, const struct epp_labels *l)
{
        c->labels = *l;
#define X(name, bounds) EPP_HIST_INIT(c, name, bounds);
        EPP_CELL_HISTS(X)
#undef X
}

/* Pages are UTF-8: what is not becomes U+FFFD, here and not on the page, or two values could look
 * the same there, and a page with a series twice is refused whole. */
static struct epp_slice
clean(struct epp_slice value, char out[VALUE_MAX])
{
        size_t n = 0;

        for (size_t i = 0, len; i < value.n; i += len) {
                const char *from = value.p + i;
                size_t more;

                len = more = epp_utf8_len(from, value.n - i);
                if (len == 0)
                        from = "\xef\xbf\xbd", more = 3, len = 1;
                if (n + more > VALUE_MAX)
                        return OTHER;
                memcpy(out + n, from, more);
                n += more;
        }
        return epp_slice(out, n);
}

/* The value as it is shown: our own copy, or other. Empty passes. */
static struct epp_slice
admit(struct epp_series *s, struct values *v, struct epp_slice value, bool pinned)
{
        struct epp_slice *known;
        char text[VALUE_MAX];

        if (value.n == 0)
                return EPP_SLICE("");
        if (value.n > VALUE_MAX)
                return OTHER;
        value = clean(value, text);
        if (epp_slice_eq(value, OTHER))
                return OTHER;
        known = epp_map_get(&v->seen, value);
        if (known)
                return *known;
        if (!pinned && v->slots >= s->max_values)
                return OTHER;
        known = epp_arena_alloc(&s->text, sizeof(*known));
        if (!known)
                return OTHER;
        *known = epp_arena_copy(&s->text, value);
        if (!known->p || epp_map_put(&v->seen, *known, known) < 0)
                return OTHER;
        v->slots += !pinned;
        return *known;
}

/* <list> of <n> pointers with room for <spare> more, moved if need be; NULL without memory, then it
 * is as it was. */
static void *
room(void *list, size_t n, size_t *size, size_t spare)
{
        size_t more = *size ? *size * 2 : FIRST_LIST;
        void *p;

        if (n + spare <= *size)
                return list;
        p = realloc(list, more * sizeof(void *));
        if (p)
                *size = more;
        return p;
}

/* ---- cells ---- */

static int
order(const struct epp_labels *a, const struct epp_labels *b)
{
        int c = epp_slice_cmp(a->model, b->model);

        if (c == 0)
                c = epp_slice_cmp(a->target, b->target);
        if (c == 0)
                c = (a->priority > b->priority) - (a->priority < b->priority);
        return c ? c : epp_slice_cmp(a->fairness, b->fairness);
}

/* Puts a cell into its place of the list; false when memory is short. */
static bool
insert(struct epp_series *s, struct epp_cell *c)
{
        struct epp_cell **list = room(s->list, s->n, &s->size, 1);
        size_t low = 0, high = s->n;

        if (!list)
                return false;
        while (low < high) {
                size_t mid = (low + high) / 2;

                if (order(&c->labels, &list[mid]->labels) < 0)
                        high = mid;
                else
                        low = mid + 1;
        }
        memmove(list + low + 1, list + low, (s->n - low) * sizeof(struct epp_cell *));
        list[low] = c;
        s->list = list;
        s->n++;
        return true;
}

/* The cell of labels that have been admitted; NULL: there are <max> already, or no memory. */
static struct epp_cell *
shown_cell(struct epp_series *s, const struct epp_labels *l, size_t max)
{
        struct key key;
        struct epp_slice text = pack_labels(&key, l), kept;
        struct epp_cell *c = epp_map_get(&s->cells, text);

        if (c || s->n >= max)
                return c;
        c = calloc(1, sizeof(*c));
        if (!c)
                return NULL;
        kept = epp_arena_copy(&s->text, text);
        if (!kept.p || epp_map_put(&s->cells, kept, c) < 0) {
                free(c);
                return NULL;
        }
        cell_init(c, l);
        if (insert(s, c))
                return c;
        epp_map_remove(&s->cells, kept);
        free(c);
        return NULL;
}

struct epp_cell *
epp_series_cell(struct epp_series *s, const struct epp_labels *wanted)
{
        struct epp_labels l = *wanted;
        struct epp_cell *c = NULL;
        struct key key;

        if (s->no_fairness)
                l.fairness = EPP_SLICE("");
        if (l.model.n <= VALUE_MAX && l.target.n <= VALUE_MAX && l.fairness.n <= VALUE_MAX)
                c = epp_map_get(&s->cells, pack_labels(&key, &l));
        if (c)
                return c;
        l.model = admit(s, &s->models, l.model, l.pinned);
        l.target = admit(s, &s->models, l.target, l.pinned_target);
        l.fairness = admit(s, &s->fairness, l.fairness, false);
        c = shown_cell(s, &l, CELLS_MAX);
        if (!c) {
                l.fairness = OTHER;
                c = shown_cell(s, &l, 2 * CELLS_MAX);
        }
        return c ? c : &s->other;
}

struct epp_cell *const *
epp_series_list(const struct epp_series *s, size_t *ret_n)
{
        *ret_n = s->n;
        return s->list;
}

/* ---- tallies ---- */

/* A new one that has counted nothing and is not yet in the list; NULL without memory. */
static struct epp_tally *
tally_new(struct epp_series *s, struct tallies *t, const struct epp_slice label[3],
        struct epp_slice key)
{
        void *list = room(t->list, t->n, &t->size, 1 + ARRAY_LEN(t->other));
        struct epp_slice kept;
        struct epp_tally *a;

        if (!list)
                return NULL;
        t->list = list;
        a = epp_arena_alloc(&s->text, sizeof(*a));
        kept = epp_arena_copy(&s->text, key);
        if (!a || !kept.p)
                return NULL;
        for (int i = 0; i < 3; i++) {
                a->label[i] = epp_arena_copy(&s->text, label[i]);
                if (!a->label[i].p)
                        return NULL;
        }
        return epp_map_put(&t->seen, kept, a) < 0 ? NULL : a;
}

/* Counts under <label>; when that is one too many, with the last two, then with the first of them
 * as other. Empty ones stay empty. */
static void
tally(struct epp_series *s, struct tallies *t, struct epp_slice label[3])
{
        struct epp_tally *a = NULL;
        struct key key;

        for (int i = 0; i < 3; i++)
                if (label[i].n > VALUE_MAX)
                        label[i] = OTHER;
        for (size_t turn = 0; turn < 2 && !a; turn++) {
                struct epp_slice text = pack_three(&key, label);

                a = epp_map_get(&t->seen, text);
                if (!a && t->n < (turn + 1) * TALLIES_MAX)
                        a = tally_new(s, t, label, text);
                for (int i = 1; i < 3; i++)
                        if (label[i].n)
                                label[i] = OTHER;
        }
        if (!a)
                a = &t->other[label[1].n == 0];
        if (a->n++ == 0)
                t->list[t->n++] = a; /* there is room */
}

void
epp_series_attempt(struct epp_series *s, struct epp_slice target, struct epp_slice endpoint,
        struct epp_slice port)
{
        struct epp_slice label[3] = { admit(s, &s->models, target, false), endpoint, port };

        tally(s, &s->attempts, label);
}

void
epp_series_rewrite(struct epp_series *s, struct epp_slice rewrite, struct epp_slice model,
        struct epp_slice to)
{
        struct epp_slice label[3] = { rewrite, admit(s, &s->models, model, false),
                admit(s, &s->models, to, true) };

        tally(s, &s->rewrites, label);
}

struct epp_tally *const *
epp_series_attempts(const struct epp_series *s, size_t *ret_n)
{
        *ret_n = s->attempts.n;
        return s->attempts.list;
}

struct epp_tally *const *
epp_series_rewrites(const struct epp_series *s, size_t *ret_n)
{
        *ret_n = s->rewrites.n;
        return s->rewrites.list;
}

/* ---- life ---- */

static bool
tallies_init(struct epp_series *s, struct tallies *t)
{
        struct key key;

        t->list = room(NULL, 0, &t->size, 1);
        t->other[0] = (struct epp_tally){ .label = { OTHER, OTHER, OTHER } };
        t->other[1] = (struct epp_tally){ .label = { OTHER, EPP_SLICE(""), EPP_SLICE("") } };
        for (size_t i = 0; i < ARRAY_LEN(t->other); i++) {
                struct epp_slice kept =
                        epp_arena_copy(&s->text, pack_three(&key, t->other[i].label));

                if (!kept.p || epp_map_put(&t->seen, kept, &t->other[i]) < 0)
                        return false;
        }
        return t->list != NULL;
}

static bool
other_init(struct epp_series *s)
{
        struct epp_slice kept;
        struct key key;

        cell_init(&s->other, &(struct epp_labels){ OTHER, OTHER, OTHER, 0, true, true });
        kept = epp_arena_copy(&s->text, pack_labels(&key, &s->other.labels));
        return kept.p && epp_map_put(&s->cells, kept, &s->other) >= 0 && insert(s, &s->other);
}

int
epp_series_new(size_t values, uint64_t seed, struct epp_series **ret)
{
        struct epp_series *s = calloc(1, sizeof(*s));

        if (!s)
                return EPP_ENOMEM;
        s->max_values = values;
        s->models.seen.seed = s->fairness.seen.seed = s->cells.seed = seed;
        s->attempts.seen.seed = s->rewrites.seen.seed = seed;
        if (!other_init(s) || !tallies_init(s, &s->attempts) || !tallies_init(s, &s->rewrites)) {
                epp_series_free(s);
                return EPP_ENOMEM;
        }
        *ret = s;
        return 0;
}

void
epp_series_hide_fairness(struct epp_series *s)
{
        s->no_fairness = true;
}

void
epp_series_free(struct epp_series *s)
{
        if (!s)
                return;
        for (size_t i = 0; i < s->n; i++)
                if (s->list[i] != &s->other)
                        free(s->list[i]);
        free(s->list);
        free(s->attempts.list);
        free(s->rewrites.list);
        epp_map_fini(&s->cells);
        epp_map_fini(&s->attempts.seen);
        epp_map_fini(&s->rewrites.seen);
        epp_map_fini(&s->models.seen);
        epp_map_fini(&s->fairness.seen);
        epp_arena_fini(&s->text);
        free(s);
}
