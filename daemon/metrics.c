/* metrics.c - see metrics.h. A page walks rows, and in a row samples, one step at a time, and stops
 * between steps when a piece is full. What it walks does not change meanwhile: cells stay for life
 * and their list is copied, endpoints of one family come in one step. Values are read as they are
 * then; a histogram is summed up first and written from the sum, so that its +Inf is its count. */
#include "daemon/metrics.h"

#include <math.h>

#include "daemon/loop.h"
#include "daemon/stat.h"
#include "daemon/text.h"

#define PIECE 65536      /* bytes */
#define PIECE_STEPS 4096 /* cells looked at, most of them cold: 0.2 us each */
#define BOUNDS_MAX 64

struct le {
        char text[30]; /* le="0.005"} and a blank */
        unsigned char n;
};

struct metrics {
        const struct stat_row **rows; /* those that are shown, by name */
        size_t n;
        struct le le[EPP_BOUNDS_COUNT][BOUNDS_MAX];
        double start;                 /* of the process */
        struct stat_facts last;       /* averages of the last page that had a fresh endpoint */
        double render_seconds, page_bytes;
};

struct page {
        struct metrics *m;
        struct stat_facts facts;
        struct stat_at at;
        bool openmetrics;
        struct epp_cell **cells; /* in the order of the series */
        size_t n_cells;
        size_t row;              /* where it is: in the table, ... */
        size_t run, cell;        /* ... where the run of cells began, which one is next */
        bool begun;              /* the family's HELP and TYPE are written */
        struct {                 /* of the run */
                bool seen;
                double value;
                struct epp_hist hist;
                uint64_t buckets[BOUNDS_MAX];
        } sum;
        struct epp_buf labels, head; /* of the sample; and what the lines of a histogram share */
        bool failed;                 /* memory: they are not whole */
        double bytes;
        epp_us spent;
};

/* ---- once ---- */

static int
by_name(const void *a, const void *b)
{
        return strcmp((*(const struct stat_row *const *)a)->name,
                (*(const struct stat_row *const *)b)->name);
}

static int
parse_generations(const char *text, unsigned *ret, char *err, size_t err_size)
{
        static const struct {
                struct epp_slice name;
                unsigned bit;
        } names[] = { { EPP_SLICE("gaie-v0"), STAT_gaie_v0 },
                { EPP_SLICE("gaie-v1"), STAT_gaie_v1 }, { EPP_SLICE("current"), STAT_current },
                { EPP_SLICE("eppd"), STAT_eppd } };
        struct epp_slice rest = epp_slice_str(text);

        *ret = 0;
        while (rest.n) {
                struct epp_slice name = epp_slice_trim(epp_slice_cut(&rest, ','));
                size_t i = 0;

                while (i < ARRAY_LEN(names) && !epp_slice_eq(name, names[i].name))
                        i++;
                if (i == ARRAY_LEN(names)) {
                        snprintf(err, err_size,
                                "\"" SLICE_FMT "\" is none of: gaie-v0 gaie-v1 current eppd",
                                SLICE_ARG(name));
                        return EPP_EINVAL;
                }
                *ret |= names[i].bit;
        }
        return 0;
}

static int
make_le(struct le *le, double bound)
{
        struct epp_buf out = { .cap = sizeof(le->text) };
        struct text t = { &out, false };

        text_putf(&t, "le=\"");
        text_number(&t, bound);
        text_putf(&t, "\"} ");
        if (!t.failed)
                memcpy(le->text, epp_buf_slice(&out).p, epp_buf_len(&out));
        le->n = (unsigned char)epp_buf_len(&out);
        epp_buf_fini(&out);
        return t.failed ? EPP_ENOMEM : 0;
}

static int
make_bounds(struct metrics *m)
{
        int r = 0;

        for (size_t b = 0; b < EPP_BOUNDS_COUNT; b++) {
                size_t n = epp_bounds[b].n;

                EPP_ASSERT(n < BOUNDS_MAX);
                for (size_t i = 0; i <= n && r == 0; i++)
                        r = make_le(&m->le[b][i], i < n ? epp_bounds[b].le[i] : INFINITY);
        }
        return r;
}

int
metrics_new(const char *generations, char *err, size_t err_size, struct metrics **ret)
{
        size_t n;
        const struct stat_row *rows = stat_rows(&n);
        struct metrics *m;
        unsigned shown;

        if (parse_generations(generations, &shown, err, err_size) < 0)
                return EPP_EINVAL;
        m = calloc(1, sizeof(*m));
        if (!m)
                return EPP_ENOMEM;
        m->rows = calloc(n, sizeof(*m->rows));
        if (!m->rows || make_bounds(m) < 0) {
                metrics_free(m);
                return EPP_ENOMEM;
        }
        for (size_t i = 0; i < n; i++)
                if (rows[i].generation == STAT_process || rows[i].generation & shown)
                        m->rows[m->n++] = &rows[i];
        qsort(m->rows, m->n, sizeof(*m->rows), by_name);
        m->start = process_start();
        *ret = m;
        return 0;
}

void
metrics_free(struct metrics *m)
{
        if (!m)
                return;
        free(m->rows);
        free(m);
}

/* ---- what a page knows from the beginning ---- */

enum { KV, QUEUE, RUNNING };

static double
load_value(const struct epp_load *l, int which)
{
        return which == KV ? l->kv_ratio : (double)(which == QUEUE ? l->waiting : l->running);
}

/* Mean and sample deviation over fresh endpoints, NAN without any. Exact, where the Go pickers
 * round to two places or divide whole numbers. Returns how many there are. */
static size_t
average(const struct epp_pool *pool, int which, double *ret_mean, double *ret_spread)
{
        double n = 0, sum = 0, squares = 0;
        struct epp_endpoint *const *list;
        size_t all;

        list = epp_pool_list(pool, &all);
        for (size_t i = 0; i < all; i++) {
                if (list[i]->load.state != EPP_LOAD_FRESH)
                        continue;
                sum += load_value(&list[i]->load, which);
                n++;
        }
        *ret_mean = n > 0 ? sum / n : NAN;
        for (size_t i = 0; i < all; i++) {
                double off = load_value(&list[i]->load, which) - *ret_mean;

                if (list[i]->load.state == EPP_LOAD_FRESH)
                        squares += off * off;
        }
        *ret_spread = n > 0 ? sqrt(squares / EPP_MAX(1, n - 1)) : NAN;
        return (size_t)n;
}


static void
gather(struct stat_facts *f, struct metrics *m, const struct pages *p)
{
        bool keep = p->opt->compat_averages && m->last.fresh;

        f->fresh = average(p->pool, KV, &f->kv, &f->kv_spread);
        average(p->pool, QUEUE, &f->queue, &f->queue_spread);
        average(p->pool, RUNNING, &f->running, &f->running_spread);
        if (f->fresh) {
                m->last = *f;
        } else if (keep) {
                *f = m->last;
                f->fresh = 0;
        }
        process_read(&f->process);
        f->start = m->start;
        f->pool = pages_pool(p);
        f->render_seconds = m->render_seconds;
        f->page_bytes = m->page_bytes;
        f->fairness = p->opt->metrics_fairness;
}

static int
copy_cells(struct page *g, const struct epp_series *s)
{
        struct epp_cell *const *list;

        if (!s)
                return 0;
        list = epp_series_list(s, &g->n_cells);
        g->cells = malloc(g->n_cells * sizeof(struct epp_cell *));
        if (!g->cells)
                return EPP_ENOMEM;
        memcpy(g->cells, list, g->n_cells * sizeof(struct epp_cell *));
        return 0;
}

/* ---- samples ---- */

/* The family's name; OpenMetrics has counters' without their ending. */
static void
begin_family(struct page *g, struct text *t, const struct stat_row *r)
{
        size_t n = strlen(r->name);

        if (g->begun)
                return;
        g->begun = true;
        if (g->openmetrics && strcmp(r->type, "counter") == 0)
                n -= strlen("_total");
        text_putf(t, "# HELP %.*s ", (int)n, r->name);
        text_put(t, epp_slice_str(r->help));
        text_putf(t, "\n# TYPE %.*s %s\n", (int)n, r->name, r->type);
}

/* a="x",b="y" into g->labels. */
static void
make_labels(struct page *g, const struct stat_row *r)
{
        const struct stat_label *l = r->labels->label;
        struct text t = { &g->labels, false };

        epp_buf_drain(&g->labels, epp_buf_len(&g->labels));
        for (size_t i = 0; i < STAT_LABELS_MAX && l[i].name; i++) {
                text_putf(&t, i ? ",%s=\"" : "%s=\"", l[i].name);
                text_label(&t, l[i].value(&g->at));
                text_put(&t, EPP_SLICE("\""));
        }
        g->failed |= t.failed;
}

/* name_end{labels} and a blank. */
static void
put_head(struct page *g, struct text *t, const char *name, const char *end)
{
        struct epp_slice labels = epp_buf_slice(&g->labels);

        text_put(t, epp_slice_str(name));
        text_put(t, epp_slice_str(end));
        if (labels.n) {
                text_put(t, EPP_SLICE("{"));
                text_put(t, labels);
                text_put(t, EPP_SLICE("}"));
        }
        text_put(t, EPP_SLICE(" "));
}

static void
put_value(struct page *g, struct text *t, const struct stat_row *r, double v)
{
        begin_family(g, t, r);
        make_labels(g, r);
        put_head(g, t, r->name, "");
        text_number(t, v);
        text_put(t, EPP_SLICE("\n"));
}

/* name_bucket{labels, into g->head: what all buckets begin with. */
static void
make_head(struct page *g, const struct stat_row *r)
{
        struct text t = { &g->head, false };

        epp_buf_drain(&g->head, epp_buf_len(&g->head));
        text_put(&t, epp_slice_str(r->name));
        text_put(&t, EPP_SLICE("_bucket{"));
        text_put(&t, epp_buf_slice(&g->labels));
        if (epp_buf_len(&g->labels))
                text_put(&t, EPP_SLICE(","));
        g->failed |= t.failed;
}

static void
put_hist(struct page *g, struct text *t, const struct stat_row *r, const struct epp_hist *h)
{
        const struct le *le = g->m->le[h->bounds - epp_bounds];
        uint64_t count = 0;

        begin_family(g, t, r);
        make_labels(g, r);
        make_head(g, r);
        for (size_t i = 0; i <= h->bounds->n; i++) {
                count += h->cell[i];
                text_put(t, epp_buf_slice(&g->head));
                text_put(t, epp_slice(le[i].text, le[i].n));
                text_number(t, (double)count);
                text_put(t, EPP_SLICE("\n"));
        }
        put_head(g, t, r->name, "_sum");
        text_number(t, h->sum);
        text_put(t, EPP_SLICE("\n"));
        put_head(g, t, r->name, "_count");
        text_number(t, (double)count);
        text_put(t, EPP_SLICE("\n"));
}

/* The sample at g->at, if it is one. */
static void
put_sample(struct page *g, struct text *t, const struct stat_row *r)
{
        const struct epp_hist *h = r->hist ? r->hist(&g->at) : NULL;
        double v = r->value ? r->value(&g->at) : NAN;

        if (h && h->bounds && epp_hist_count(h))
                put_hist(g, t, r, h);
        else if (!isnan(v))
                put_value(g, t, r, v);
}

/* ---- steps: each writes at most a sample and says whether the row goes on ---- */

static bool
step_each(struct page *g, struct text *t, const struct stat_row *r)
{
        size_t n = r->labels->count(g->at.p);

        if (g->at.i < n)
                put_sample(g, t, r);
        return ++g->at.i < n;
}

static bool
step_endpoints(struct page *g, struct text *t, const struct stat_row *r)
{
        struct epp_endpoint *const *list;
        size_t n;

        list = epp_pool_list(g->at.p->pool, &n);
        for (size_t i = 0; i < n; i++) {
                g->at.e = list[i];
                put_sample(g, t, r);
        }
        return false;
}

static void
add_hist(struct page *g, const struct epp_hist *h)
{
        struct epp_hist *sum = &g->sum.hist;
        uint64_t any = 0;

        if (!sum->bounds) {
                memset(g->sum.buckets, 0, sizeof(g->sum.buckets));
                *sum = (struct epp_hist){ h->bounds, 0, g->sum.buckets };
        }
        for (size_t i = 0; i <= h->bounds->n; i++) {
                sum->cell[i] += h->cell[i];
                any |= h->cell[i];
        }
        sum->sum += h->sum;
        g->sum.seen |= any != 0;
}

static void
add_cell(struct page *g, const struct stat_row *r)
{
        double v;

        if (r->hist) {
                add_hist(g, r->hist(&g->at));
                return;
        }
        v = r->value(&g->at);
        if (isnan(v))
                return;
        g->sum.seen = true;
        g->sum.value += v;
}

/* Whether both count for the same sample. */
static bool
same_run(const struct page *g, enum stat_over over, const struct epp_labels *a,
        const struct epp_labels *b)
{
        return epp_slice_eq(a->model, b->model) &&
               (over < STAT_TARGET || epp_slice_eq(a->target, b->target)) &&
               (over < STAT_PRIORITY || a->priority == b->priority) &&
               (over < STAT_FAIRNESS || !g->facts.fairness ||
                       epp_slice_eq(a->fairness, b->fairness));
}

/* Adds a cell; with the last of a run, writes the sum and goes through the run with the next i. */
static bool
step_cells(struct page *g, struct text *t, const struct stat_row *r)
{
        const struct epp_cell *c;

        if (g->cell == g->n_cells)
                return false;
        c = g->at.c = g->cells[g->cell++];
        add_cell(g, r);
        if (g->cell < g->n_cells &&
                same_run(g, r->labels->over, &c->labels, &g->cells[g->cell]->labels))
                return true;
        if (g->sum.seen && r->hist)
                put_hist(g, t, r, &g->sum.hist);
        else if (g->sum.seen)
                put_value(g, t, r, g->sum.value);
        g->sum.seen = false;
        g->sum.value = 0;
        g->sum.hist.bounds = NULL;
        if (++g->at.i < r->labels->count(g->at.p)) {
                g->cell = g->run;
                return true;
        }
        g->at.i = 0;
        g->run = g->cell;
        return g->cell < g->n_cells;
}

static bool
step(struct page *g, struct text *t, const struct stat_row *r)
{
        switch (r->labels->over) {
        case STAT_EACH:
        case STAT_LONG:
                return step_each(g, t, r);
        case STAT_ENDPOINTS:
                return step_endpoints(g, t, r);
        default:
                return step_cells(g, t, r);
        }
}

/* Only what does not change between pieces may be cut. */
static bool
may_stop(const struct page *g)
{
        return g->row == g->m->n || g->at.i == 0 || g->m->rows[g->row]->labels->over != STAT_EACH;
}

/* ---- pieces ---- */

static void
next_row(struct page *g)
{
        g->row++;
        g->begun = false;
        g->at.i = g->run = g->cell = 0;
}

static int
piece(void *state, struct epp_buf *out)
{
        struct page *g = state;
        struct text t = { out, false };
        size_t before = epp_buf_len(out), steps = 0;
        epp_us begun = loop_now(NULL);

        while (g->row < g->m->n && !(may_stop(g) && (epp_buf_len(out) - before >= PIECE ||
                        steps >= PIECE_STEPS))) {
                steps++;
                if (!step(g, &t, g->m->rows[g->row]))
                        next_row(g);
        }
        if (g->row == g->m->n && g->openmetrics)
                text_putf(&t, "# EOF\n");
        g->bytes += (double)(epp_buf_len(out) - before);
        g->spent += loop_now(NULL) - begun;
        if (t.failed || g->failed)
                return EPP_ENOMEM;
        if (g->row < g->m->n)
                return 1;
        g->m->render_seconds = (double)g->spent / 1e6;
        g->m->page_bytes = g->bytes;
        return 0;
}

static void
page_free(void *state)
{
        struct page *g = state;

        epp_buf_fini(&g->labels);
        epp_buf_fini(&g->head);
        free(g->cells);
        free(g);
}

/* ---- which form ---- */

/* The weight of one range of an Accept header, 0 to 1; 1 when it does not say. */
static double
weight(struct epp_slice params)
{
        char text[8];

        while (params.n) {
                struct epp_slice value = epp_slice_cut(&params, ';'), name;

                name = epp_slice_trim(epp_slice_cut(&value, '='));
                if (!epp_slice_ieq(name, EPP_SLICE("q")))
                        continue;
                snprintf(text, sizeof(text), SLICE_FMT, SLICE_ARG(epp_slice_trim(value)));
                return strtod(text, NULL);
        }
        return 1;
}

/* OpenMetrics is given to those who name it and like it no less than plain text. */
static bool
wants_openmetrics(struct epp_slice accept)
{
        double open = 0, plain = 0;

        while (accept.n) {
                struct epp_slice params = epp_slice_cut(&accept, ','), range;
                double q;

                range = epp_slice_trim(epp_slice_cut(&params, ';'));
                q = weight(params);
                if (epp_slice_ieq(range, EPP_SLICE("application/openmetrics-text")))
                        open = EPP_MAX(open, q);
                else if (epp_slice_ieq(range, EPP_SLICE("text/plain")) ||
                         epp_slice_ieq(range, EPP_SLICE("text/*")))
                        plain = EPP_MAX(plain, q);
        }
        return open > 0 && open >= plain;
}

void
metrics_render(void *ctx, const struct admin_request *q, struct admin_reply *r)
{
        const struct pages *p = ctx;
        bool open = wants_openmetrics(q->accept);
        struct page *g = calloc(1, sizeof(*g));
        int more = EPP_ENOMEM;

        if (g) {
                g->m = p->metrics;
                g->at = (struct stat_at){ .p = p, .f = &g->facts };
                g->openmetrics = open;
                gather(&g->facts, g->m, p);
                if (copy_cells(g, p->director->series) == 0)
                        more = piece(g, &r->body);
        }
        if (more > 0) {
                r->more = piece;
                r->done = page_free;
                r->state = g;
        } else if (g) {
                page_free(g);
        }
        if (more < 0)
                epp_buf_fini(&r->body);
        r->code = more < 0 ? 500 : 200;
        r->type = open ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                       : "text/plain; version=0.0.4; charset=utf-8";
}
