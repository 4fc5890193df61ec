/* series.c - see series.h. A cell is found by its labels packed into one key; nearly always the
 * first look finds it. Only when it does not are the values held against their caps. */
#include "model/series.h"

#include "base/arena.h"
#include "base/map.h"

#define VALUE_MAX 256     /* bytes of a label's value; longer ones count as other */
#define CELLS_MAX 10000   /* 2 KiB each */
#define ATTEMPTS_MAX 10000
#define OTHER EPP_SLICE("other")

/* The values of one label that clients choose. */
struct values {
        struct epp_map seen;
        size_t slots; /* taken; pinned ones take none */
};

struct epp_series {
        size_t max_values;
        struct values models, fairness;
        struct epp_map cells, attempts;
        struct epp_arena text;
        struct epp_cell **list;
        struct epp_attempt **attempt_list;
        size_t n, size, n_attempts, attempts_size;
        struct epp_cell other;
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

static void
cell_init(struct epp_cell *c, const struct epp_labels *l)
{
        c->labels = *l;
#define X(name, bounds) EPP_HIST_INIT(c, name, bounds);
        EPP_CELL_HISTS(X)
#undef X
}

/* The value as it is shown: our own copy, or other. Empty passes. */
static struct epp_slice
admit(struct epp_series *s, struct values *v, struct epp_slice value, bool pinned)
{
        struct epp_slice *known = epp_map_get(&v->seen, value);

        if (value.n == 0)
                return EPP_SLICE("");
        if (known)
                return *known;
        if (value.n > VALUE_MAX || (!pinned && v->slots >= s->max_values))
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
        size_t at = s->n;

        if (s->n == s->size) {
                size_t size = s->size ? s->size * 2 : 64;
                struct epp_cell **list = realloc(s->list, size * sizeof(struct epp_cell *));

                if (!list)
                        return false;
                s->list = list;
                s->size = size;
        }
        while (at && order(&c->labels, &s->list[at - 1]->labels) < 0)
                at--;
        memmove(s->list + at + 1, s->list + at, (s->n - at) * sizeof(struct epp_cell *));
        s->list[at] = c;
        s->n++;
        return true;
}

int
epp_series_new(size_t values, uint64_t seed, struct epp_series **ret)
{
        struct epp_series *s = calloc(1, sizeof(*s));

        if (!s)
                return EPP_ENOMEM;
        s->max_values = values;
        s->models.seen.seed = s->fairness.seen.seed = seed;
        s->cells.seed = s->attempts.seed = seed;
        cell_init(&s->other, &(struct epp_labels){ OTHER, OTHER, OTHER, 0, true });
        if (!insert(s, &s->other)) {
                free(s);
                return EPP_ENOMEM;
        }
        *ret = s;
        return 0;
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
        free(s->attempt_list);
        epp_map_fini(&s->cells);
        epp_map_fini(&s->attempts);
        epp_map_fini(&s->models.seen);
        epp_map_fini(&s->fairness.seen);
        epp_arena_fini(&s->text);
        free(s);
}

static struct epp_cell *
add_cell(struct epp_series *s, const struct epp_labels *l, struct epp_slice key)
{
        struct epp_cell *c = s->n < CELLS_MAX ? calloc(1, sizeof(*c)) : NULL;
        struct epp_slice kept;

        if (!c)
                return &s->other;
        cell_init(c, l);
        kept = epp_arena_copy(&s->text, key);
        if (kept.p && epp_map_put(&s->cells, kept, c) >= 0) {
                if (insert(s, c))
                        return c;
                epp_map_remove(&s->cells, kept);
        }
        free(c);
        return &s->other;
}

struct epp_cell *
epp_series_cell(struct epp_series *s, const struct epp_labels *l)
{
        bool fits = l->model.n <= VALUE_MAX && l->target.n <= VALUE_MAX &&
                    l->fairness.n <= VALUE_MAX;
        struct epp_labels shown;
        struct epp_slice text;
        struct epp_cell *c;
        struct key key;

        c = fits ? epp_map_get(&s->cells, pack_labels(&key, l)) : NULL;
        if (c)
                return c;
        shown = (struct epp_labels){ admit(s, &s->models, l->model, l->pinned),
                admit(s, &s->models, l->target, l->pinned),
                admit(s, &s->fairness, l->fairness, false), l->priority, l->pinned };
        text = pack_labels(&key, &shown);
        c = epp_map_get(&s->cells, text);
        return c ? c : add_cell(s, &shown, text);
}

struct epp_cell *const *
epp_series_list(const struct epp_series *s, size_t *ret_n)
{
        *ret_n = s->n;
        return s->list;
}

static struct epp_attempt *
add_attempt(struct epp_series *s, struct epp_slice key, const struct epp_attempt *like)
{
        struct epp_attempt *a = epp_arena_alloc(&s->text, sizeof(*a));
        struct epp_slice kept = epp_arena_copy(&s->text, key);

        if (s->n_attempts == s->attempts_size) {
                size_t size = s->attempts_size ? s->attempts_size * 2 : 64;
                struct epp_attempt **list =
                        realloc(s->attempt_list, size * sizeof(struct epp_attempt *));

                if (!list)
                        return NULL;
                s->attempt_list = list;
                s->attempts_size = size;
        }
        if (!a || !kept.p || epp_map_put(&s->attempts, kept, a) < 0)
                return NULL;
        *a = (struct epp_attempt){ epp_arena_copy(&s->text, like->target),
                epp_arena_copy(&s->text, like->endpoint), epp_arena_copy(&s->text, like->port), 0 };
        s->attempt_list[s->n_attempts++] = a;
        return a;
}

void
epp_series_attempt(struct epp_series *s, struct epp_slice target, struct epp_slice endpoint,
        struct epp_slice port)
{
        struct epp_attempt like = { admit(s, &s->models, target, false), endpoint, port, 0 }, *a;
        struct epp_slice text;
        struct key key = { .n = 0 };

        if (endpoint.n > VALUE_MAX)
                like.endpoint = OTHER;
        for (int turn = 0; turn < 2; turn++) {
                key.n = 0;
                pack(&key, like.target);
                pack(&key, like.endpoint);
                pack(&key, like.port);
                text = epp_slice(key.p, key.n);
                a = epp_map_get(&s->attempts, text);
                if (!a && s->n_attempts < ATTEMPTS_MAX)
                        a = add_attempt(s, text, &like);
                if (a) {
                        a->n++;
                        return;
                }
                like.endpoint = OTHER;
                like.port = EPP_SLICE("");
        }
}

struct epp_attempt *const *
epp_series_attempts(const struct epp_series *s, size_t *ret_n)
{
        *ret_n = s->n_attempts;
        return s->attempt_list;
}
