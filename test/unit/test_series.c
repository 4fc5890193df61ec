/* test_series.c - caps of what clients choose, order, and that nothing is counted twice or lost. */
#include "model/series.h"

#include "unit.h"

#define FFFD "\xef\xbf\xbd"

static struct epp_series *s;

static void
begin(void)
{
        ck_assert_int_eq(epp_series_new(1000, 1, &s), 0);
}

static void
end(void)
{
        epp_series_free(s);
}

static struct epp_slice
text(const char *t)
{
        return epp_slice_str(t);
}

static struct epp_cell *
cell(const char *model, const char *target, const char *fairness, int32_t priority, bool pinned)
{
        return epp_series_cell(s, &(struct epp_labels){ text(model), text(target), text(fairness),
                priority, pinned, pinned });
}

static int
order(const struct epp_labels *a, const struct epp_labels *b)
{
        int c = epp_slice_cmp(a->model, b->model);

        c = c ? c : epp_slice_cmp(a->target, b->target);
        c = c ? c : (a->priority > b->priority) - (a->priority < b->priority);
        return c ? c : epp_slice_cmp(a->fairness, b->fairness);
}

/* Every page needs this: sorted, and no label set twice. Returns how many. */
static size_t
check_list(void)
{
        struct epp_cell *const *list;
        size_t n;

        list = epp_series_list(s, &n);
        for (size_t i = 1; i < n; i++)
                ck_assert_int_lt(order(&list[i - 1]->labels, &list[i]->labels), 0);
        return n;
}

static int
by_labels(const void *a, const void *b)
{
        const struct epp_tally *x = *(struct epp_tally *const *)a, *y = *(struct epp_tally *const *)b;
        int c = 0;

        for (int k = 0; k < 3 && !c; k++)
                c = epp_slice_cmp(x->label[k], y->label[k]);
        return c;
}

/* Sorted copies of what is listed, for tests to look at; none counts 0, none stands twice. */
static struct epp_tally *sorted[30000];

static size_t
check_tallies(struct epp_tally *const *list, size_t n, uint64_t *sum)
{
        ck_assert_uint_le(n, ARRAY_LEN(sorted));
        if (n)
                memcpy(sorted, list, n * sizeof(struct epp_tally *));
        qsort(sorted, n, sizeof(struct epp_tally *), by_labels);
        *sum = 0;
        for (size_t i = 0; i < n; i++) {
                ck_assert(i == 0 || by_labels(&sorted[i - 1], &sorted[i]) < 0);
                ck_assert_uint_gt(sorted[i]->n, 0);
                *sum += sorted[i]->n;
        }
        return n;
}

static size_t
check_attempts(uint64_t *sum)
{
        struct epp_tally *const *list;
        size_t n;

        list = epp_series_attempts(s, &n);
        return check_tallies(list, n, sum);
}

START_TEST(one_cell_per_labels)
{
        struct epp_cell *c = cell("m", "t", "f", 3, false);
        char model[] = "m";

        ck_assert_ptr_eq(cell("m", "t", "f", 3, false), c);
        ck_assert_ptr_eq(cell("m", "t", "f", 3, true), c);
        ck_assert_ptr_eq(cell(model, "t", "f", 3, false), c);
        model[0] = 'x';
        ck_assert(epp_slice_eq(c->labels.model, EPP_SLICE("m"))); /* its own text */
        ck_assert_ptr_ne(cell("m", "t", "f", -3, false), c);
        ck_assert_ptr_ne(cell("mt", "", "f", 3, false), c);
        ck_assert_ptr_ne(cell("m", "tf", "", 3, false), c);
        ck_assert_ptr_ne(cell("", "", "", 0, false), c);
        epp_hist_add(&c->duration, 1);
        epp_hist_add(&c->itl, 1);
        ck_assert_uint_eq(epp_hist_count(&c->duration) + epp_hist_count(&c->ttft), 1);
        ck_assert_uint_eq(check_list(), 6); /* with that of other */
}
END_TEST

/* 2,000 names: 1,000 as they are, one other, and whoever was admitted stays. */
START_TEST(two_thousand_models)
{
        struct epp_cell *other = NULL, *c;
        char name[16];
        uint64_t sum;

        cell("other", "other", "f", 0, false); /* a model of that name takes no slot */
        for (int i = 1999; i >= 0; i--) {
                snprintf(name, sizeof(name), "m%d", i);
                c = cell(name, name, "f", 0, false);
                ck_assert_uint_eq(c->requests, i < 1000 && i != 999 ? 1000 - (unsigned)i - 1 : 0);
                c->requests++;
                if (i == 999)
                        other = c;
        }
        ck_assert_uint_eq(check_list(), 1000 + 2);
        ck_assert(epp_slice_eq(other->labels.model, EPP_SLICE("other")));
        ck_assert(epp_slice_eq(other->labels.target, EPP_SLICE("other")));
        ck_assert(epp_slice_eq(other->labels.fairness, EPP_SLICE("f")));
        ck_assert_uint_eq(other->requests, 1000);
        ck_assert(epp_slice_eq(cell("m1500", "m1999", "f", 0, false)->labels.target,
                EPP_SLICE("m1999")));
        ck_assert_ptr_eq(cell("m5", "m6", "f", 0, false), other);
        /* Attempts share the names. */
        epp_series_attempt(s, EPP_SLICE("m5"), EPP_SLICE("pod"), EPP_SLICE("80"));
        epp_series_attempt(s, EPP_SLICE("m6"), EPP_SLICE("pod"), EPP_SLICE("80"));
        epp_series_attempt(s, EPP_SLICE("m1500"), EPP_SLICE("pod"), EPP_SLICE("80"));
        ck_assert_uint_eq(check_attempts(&sum), 2);
        ck_assert(epp_slice_eq(sorted[1]->target, EPP_SLICE("other")) && sorted[1]->n == 2);
}
END_TEST

START_TEST(fairness_has_its_own_thousand)
{
        char name[16];

        for (int i = 0; i < 2000; i++) {
                snprintf(name, sizeof(name), "f%d", i);
                cell("m", "m", name, 0, false)->requests++;
        }
        ck_assert_uint_eq(check_list(), 1000 + 2);
        ck_assert_uint_eq(cell("m", "m", "f1000", 0, false)->requests, 1000);
        ck_assert(epp_slice_eq(cell("n", "n", "f0", 0, false)->labels.model, EPP_SLICE("n")));
}
END_TEST

/* What the operator names takes no slot and is shown even when all are taken. */
START_TEST(pinned)
{
        struct epp_labels l = { EPP_SLICE("client"), EPP_SLICE("base"), EPP_SLICE("f"), 0, false,
                true };
        char name[16];

        for (int i = 0; i < 3000; i++) {
                snprintf(name, sizeof(name), "p%d", i);
                ck_assert(epp_slice_eq(cell(name, name, "f", 0, true)->labels.model, text(name)));
        }
        for (int i = 0; i < 1000; i++) {
                snprintf(name, sizeof(name), "m%d", i);
                ck_assert(epp_slice_eq(cell(name, name, "f", 0, false)->labels.model, text(name)));
        }
        ck_assert(epp_slice_eq(cell("more", "more", "f", 0, false)->labels.model,
                EPP_SLICE("other")));
        ck_assert(epp_slice_eq(cell("mine", "mine", "f", 0, true)->labels.model,
                EPP_SLICE("mine")));
        /* Only the target is the operator's: a rewrite of all models. */
        ck_assert(epp_slice_eq(epp_series_cell(s, &l)->labels.model, EPP_SLICE("other")));
        ck_assert(epp_slice_eq(epp_series_cell(s, &l)->labels.target, EPP_SLICE("base")));
        check_list();
}
END_TEST

START_TEST(odd_values)
{
        static char big[70000];
        struct epp_cell *c, *d;

        memset(big, 'x', sizeof(big) - 1);
        c = cell(big, big, big, 0, true);
        ck_assert(epp_slice_eq(c->labels.model, EPP_SLICE("other")));
        ck_assert(epp_slice_eq(c->labels.fairness, EPP_SLICE("other")));
        /* A model of that name, all caps reached, and memory short: one series. */
        ck_assert_ptr_eq(cell("other", "other", "other", 0, false), c);
        big[256] = 0;
        ck_assert_uint_eq(cell(big, "", "", 0, false)->labels.model.n, 256);
        big[255] = 0;
        ck_assert_uint_eq(cell(big, "", "", 0, false)->labels.model.n, 255);
        /* What is not UTF-8 is shown as such, once. */
        c = cell("a\xff\xc3", "\xc3\xa9\xed\xa0\x80", "", 0, false);
        ck_assert(epp_slice_eq(c->labels.model, EPP_SLICE("a" FFFD FFFD)));
        ck_assert(epp_slice_eq(c->labels.target, EPP_SLICE("\xc3\xa9" FFFD FFFD FFFD)));
        d = cell("a\xfe\xc3", "\xc3\xa9\xed\xa0\x80", "", 0, false);
        ck_assert_ptr_eq(c, d);
        memset(big, 0xff, 100);
        big[100] = 0;
        ck_assert(epp_slice_eq(cell(big, "", "", 0, false)->labels.model, EPP_SLICE("other")));
        check_list();
        epp_series_attempt(s, text(big), epp_slice(big, 300), epp_slice(big, 60000));
        epp_series_rewrite(s, epp_slice(big, 60000), epp_slice(big, 60000), epp_slice(big, 60000));
}
END_TEST

START_TEST(hidden_fairness)
{
        epp_series_hide_fairness(s);
        ck_assert_ptr_eq(cell("m", "m", "a", 0, false), cell("m", "m", "b", 0, false));
        ck_assert_uint_eq(cell("m", "m", "a", 0, false)->labels.fairness.n, 0);
}
END_TEST

/* 200 models times 200 fairness ids: 10,000 cells as they are, then one per model, then one. */
START_TEST(ten_thousand_cells)
{
        struct epp_cell *const *list;
        uint64_t sum = 0;
        char m[16], f[16];
        size_t n;

        for (int i = 0; i < 200; i++) {
                for (int k = 0; k < 200; k++) {
                        snprintf(m, sizeof(m), "m%d", i * 37 % 200);
                        snprintf(f, sizeof(f), "f%d", k);
                        cell(m, m, f, 0, false)->requests++;
                }
        }
        n = check_list();
        ck_assert_uint_eq(n, 10000 + 151); /* other had a place from the start */
        list = epp_series_list(s, &n);
        for (size_t i = 0; i < n; i++)
                sum += list[i]->requests;
        ck_assert_uint_eq(sum, 200 * 200);
        ck_assert_uint_eq(cell("m163", "m163", "new", 0, false)->requests, 200);
        /* Other targets use up the rest; the last cell takes what has no place. */
        for (int i = 0; i < 200; i++) {
                for (int k = 0; k < 60; k++) {
                        snprintf(m, sizeof(m), "m%d", i);
                        snprintf(f, sizeof(f), "t%d", k);
                        cell(m, f, "x", 0, false)->requests++;
                }
        }
        ck_assert_uint_eq(check_list(), 20000);
        ck_assert_uint_gt(cell("other", "other", "other", 0, false)->requests, 1000);
}
END_TEST

START_TEST(attempts)
{
        struct epp_tally *const *list;
        uint64_t sum;
        size_t n;

        for (int i = 0; i < 3; i++)
                epp_series_attempt(s, EPP_SLICE("b"), EPP_SLICE("pod"), EPP_SLICE("80"));
        epp_series_attempt(s, EPP_SLICE("b"), EPP_SLICE(""), EPP_SLICE(""));
        epp_series_attempt(s, EPP_SLICE("a"), EPP_SLICE("pod"), EPP_SLICE("81"));
        ck_assert_uint_eq(check_attempts(&sum), 3);
        list = epp_series_attempts(s, &n);
        ck_assert(list[0]->n == 3 && epp_slice_eq(list[0]->port, EPP_SLICE("80")));
        ck_assert(list[1]->n == 1 && list[1]->endpoint.n == 0);
        ck_assert(epp_slice_eq(list[2]->target, EPP_SLICE("a"))); /* the latest is the last */
        (void)epp_series_rewrites(s, &n);
        ck_assert_uint_eq(n, 0);
}
END_TEST

/* Pods come and go for years: the latest count as other, failures stay failures. */
START_TEST(attempts_full)
{
        uint64_t sum;
        char pod[16];

        for (int i = 0; i < 12000; i++) {
                snprintf(pod, sizeof(pod), "pod%d", i);
                epp_series_attempt(s, EPP_SLICE("m"), text(pod), EPP_SLICE("80"));
        }
        epp_series_attempt(s, EPP_SLICE("m"), EPP_SLICE(""), EPP_SLICE(""));
        for (int i = 0; i < 999; i++) {
                snprintf(pod, sizeof(pod), "t%d", i);
                epp_series_attempt(s, text(pod), EPP_SLICE("pod"), EPP_SLICE("80"));
        }
        ck_assert_uint_eq(check_attempts(&sum), 10000 + 1 + 1 + 999);
        ck_assert_uint_eq(sum, 12000 + 1 + 999);
        ck_assert(sorted[0]->n == 1 && sorted[0]->endpoint.n == 0);
        ck_assert(sorted[1]->n == 2000 && epp_slice_eq(sorted[1]->endpoint, EPP_SLICE("other")));
        ck_assert(epp_slice_eq(sorted[1]->port, EPP_SLICE("other")));
}
END_TEST

/* 11 objects times 1,000 models: 10,000 rows, then one per object that is new, then one for all. */
START_TEST(rewrites)
{
        struct epp_tally *const *list;
        char object[16], model[16];
        uint64_t sum;
        size_t n;

        epp_series_rewrite(s, EPP_SLICE("r"), EPP_SLICE("m"), EPP_SLICE("t"));
        epp_series_rewrite(s, EPP_SLICE("r"), EPP_SLICE("m"), EPP_SLICE("t"));
        list = epp_series_rewrites(s, &n);
        ck_assert(n == 1 && list[0]->n == 2 && epp_slice_eq(list[0]->to, EPP_SLICE("t")));
        for (int i = 0; i < 22000; i++) {
                snprintf(object, sizeof(object), "r%d", i);
                snprintf(model, sizeof(model), "m%d", i % 2000);
                epp_series_rewrite(s, text(object), text(model), EPP_SLICE("t"));
        }
        list = epp_series_rewrites(s, &n);
        ck_assert_uint_eq(check_tallies(list, n, &sum), 20000 + 1);
        ck_assert_uint_eq(sum, 22002);
        ck_assert(epp_slice_eq(sorted[0]->rewrite, EPP_SLICE("other")) && sorted[0]->n == 2001);
}
END_TEST

UNIT_MAIN_WITH("series", begin, end, one_cell_per_labels, two_thousand_models,
        fairness_has_its_own_thousand, pinned, odd_values, hidden_fairness, ten_thousand_cells,
        attempts, attempts_full, rewrites)
