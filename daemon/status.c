/* status.c - see status.h. A page is a frame, text with places such as @@models@@, and what belongs
 * there: a section of status.def. It is written piece by piece, a row at a time, and looks at the
 * pool, the models and the counts anew for each row: between two pieces anything may change. */
#include "daemon/status.h"

#include <time.h>

#include "daemon/loop.h"
#include "daemon/opt.h"
#include "daemon/pages.h"
#include "daemon/show.h"
#include "status_files.h" /* of daemon/status: status_page, status_style, status_script, hashes */

#define PIECE (64 << 10)   /* bytes; 0.3 ms of rows */
#define DECISIONS 20
#define SORTED_MAX 4096    /* endpoints; to sort more would hold the loop: script.js can */

#define SECTIONS(X) \
        X(head) X(load) X(endpoints) X(models) X(targets) X(decisions) X(totals) X(scrapes) \
        X(watch) X(sources) X(lease)
enum section_id {
#define X(name) SECTION_##name,
        SECTIONS(X)
#undef X
        SECTION_COUNT
};

/* Of all endpoints, when the page was begun. */
struct sum {
        size_t endpoints, fresh, known;
        int64_t waiting, running;
        uint64_t in_flight;
        double kv;
};

/* What one row is about, as far as its section needs it. */
struct row {
        const struct pages *p;
        epp_us now;
        const struct sum *sum;
        const struct epp_endpoint *e;
        struct epp_slice name;         /* of a model, and ... */
        const struct epp_model *model; /* ... its InferenceModel or rewrite, or NULL */
        bool declared;                 /* it is an InferenceModel */
        struct epp_cell *const *cells; /* what was counted under its name */
        size_t n_cells;
        const struct epp_target *target;
        double wanted;
        uint64_t target_requests, targets_requests; /* this one's, all current ones' */
        const struct epp_decision *d;
        const struct epp_reflector *reflector;
        const struct epp_cluster_kind *kind;
        char text[512];                /* room for a value that is made up */
};

/* One page while it is written. */
struct status {
        const struct pages *p;
        bool html;
        epp_us now;
        struct sum sum;
        struct epp_slice frame;        /* what is left of it */
        const struct section *section; /* being written, or NULL */
        bool begun;                    /* a row of it has been written */
        size_t i;                      /* which is next */
        struct epp_slice last;         /* model that only clients have named: the last one shown */
        uint64_t number;               /* of the next decision */
        size_t n_refs;
        struct epp_ref refs[];         /* the endpoints, by name */
};

/* ---- values of status.def ---- */

static const struct value none = { .kind = VALUE_NONE };

static struct value
total(uint64_t n)
{
        return value_number((double)n);
}

static struct value
ratio(double r)
{
        return value_number(show_rounded(r, 4));
}

static struct value
since(const struct row *r, epp_us at)
{
        return value_number(show_rounded((double)(r->now - at) / 1e3, 3));
}

/* Whether its load has been read at least once. */
static bool
known(const struct row *r)
{
        return r->e->load.at != 0;
}

static struct value
wall_time(struct row *r)
{
        epp_wall wall = loop_wall();
        time_t at = (time_t)(wall / 1000000);
        struct tm tm;
        size_t n;

        gmtime_r(&at, &tm);
        n = strftime(r->text, sizeof(r->text), "%Y-%m-%dT%H:%M:%S", &tm);
        snprintf(r->text + n, sizeof(r->text) - n, ".%03dZ", (int)(wall / 1000 % 1000));
        return value_text(epp_slice_str(r->text));
}

static struct value
why_not(const struct row *r)
{
        return epp_health_ready(r->p->health) ? none : value_text(epp_slice_str(*r->p->why));
}

static struct value
criticality(const struct row *r)
{
        return r->declared
                ? value_text(epp_slice_str(epp_criticality_name(r->model->criticality))) : none;
}

static uint64_t
count_requests(const struct row *r)
{
        uint64_t n = 0;

        for (size_t i = 0; i < r->n_cells; i++)
                n += r->cells[i]->requests;
        return n;
}

/* False for what stands in the series and was never used: "other". */
static bool
counted(const struct row *r)
{
        uint64_t n = count_requests(r);

        for (size_t i = 0; i < r->n_cells && n == 0; i++)
                for (size_t k = 0; k < EPP_FAIL_COUNT; k++)
                        n += r->cells[i]->failures[k];
        return n;
}

/* How much of a plugin's name says something here: least-queue of least-queue-filter. */
static int
short_name(const char *plugin)
{
        const char *dash = strrchr(plugin, '-');

        return dash && dash > plugin ? (int)(dash - plugin) : (int)strlen(plugin);
}

/* "12 -> least-queue 4 -> random 1": how many candidates there were, and what narrowed them. A
 * filter that let none pass (0) was passed by. */
static struct value
reason(struct row *r)
{
        const struct epp_decision *d = r->d;
        int n;

        if (d->http)
                return value_text(d->why);
        n = snprintf(r->text, sizeof(r->text), "%u", d->candidates);
        for (unsigned i = 0; i < d->n_steps && n >= 0 && (size_t)n < sizeof(r->text); i++)
                if (d->step[i].out && d->step[i].out != d->step[i].in)
                        n += snprintf(r->text + n, sizeof(r->text) - (size_t)n,
                                " \xe2\x86\x92 %.*s %u", short_name(d->step[i].plugin),
                                d->step[i].plugin, d->step[i].out);
        return value_text(epp_slice_str(r->text));
}

static struct value
heard(const struct row *r)
{
        epp_us at = epp_reflector_stats(r->reflector)->heard_at;

        return at ? value_number(show_rounded((double)(r->now - at) / 1e6, 3)) : none;
}

static struct value
watch_errors(const struct row *r)
{
        const struct epp_reflect_stats *stats = epp_reflector_stats(r->reflector);
        uint64_t n = 0;

        for (size_t i = 0; i < EPP_REFLECT_ERRORS; i++)
                n += stats->errors[i];
        return value_number((double)n);
}

/* ---- values with parts: written both ways by a function each ---- */

static void
put_pool(struct text *t, bool html, struct row *r)
{
        struct value name = value_text(pages_pool(r->p)),
                ns = value_text(epp_slice_str(r->p->watch ? watch_namespace(r->p->watch)
                                                          : r->p->opt->pool_namespace));

        if (!html)
                text_putf(t, "{\"name\":");
        if (html && ns.kind != VALUE_NONE) {
                show_html(t, LOOK_TEXT, ns);
                text_putf(t, "/");
        }
        if (html) {
                show_html(t, LOOK_TEXT, name);
                return;
        }
        show_json(t, LOOK_TEXT, name);
        text_putf(t, ",\"namespace\":");
        show_json(t, LOOK_TEXT, ns);
        text_putf(t, "}");
}

static void
put_adapters(struct text *t, bool html, struct row *r)
{
        const struct epp_loras *l = &r->e->load.lora_v03;

        if (html && l->n == 0)
                show_html(t, LOOK_TEXT, none);
        for (uint32_t i = 0; i < l->n; i++) {
                struct epp_slice name = epp_slice(l->text + l->v[i].off, l->v[i].len);

                text_putf(t, "%s", !html ? i ? "," : "[" : i ? ", " : "");
                if (html)
                        text_html(t, name);
                else
                        text_json(t, name);
        }
        if (!html)
                text_putf(t, l->n ? "]" : "[]");
}

/* <n> counts, with their names; those of 0 are not shown to people. */
static void
put_counts(struct text *t, bool html, const uint64_t *counts, size_t n, bool zeros,
        const char *(*name)(size_t i))
{
        bool begun = false;

        text_putf(t, html ? "" : "{");
        for (size_t i = 0; i < n; i++)
                if (counts[i] || (zeros && !html))
                        show_count(t, html, &begun, name(i), counts[i]);
        if (html && !begun)
                show_html(t, LOOK_TEXT, none);
        text_putf(t, html ? "" : "}");
}

static const char *
failure_name(size_t i)
{
        return epp_failure_name((enum epp_failure)i);
}

static const char *
scrape_name(size_t i)
{
        return fetch_result_name((enum fetch_result)i);
}

static void
put_model_errors(struct text *t, bool html, struct row *r)
{
        uint64_t n[EPP_FAIL_COUNT] = { 0 };

        for (size_t i = 0; i < r->n_cells; i++)
                for (size_t k = 0; k < EPP_FAIL_COUNT; k++)
                        n[k] += r->cells[i]->failures[k];
        put_counts(t, html, n, EPP_FAIL_COUNT, false, failure_name);
}

static void
put_refused(struct text *t, bool html, struct row *r)
{
        put_counts(t, html, r->p->director->stats.refused, EPP_FAIL_MODEL_SERVER, true,
                failure_name);
}

static void
put_scrapes(struct text *t, bool html, struct row *r)
{
        put_counts(t, html, r->p->scrape->result, FETCH_RESULTS, true, scrape_name);
}

static void put_targets(struct text *t, bool html, struct row *r);

/* ---- the table ---- */

#define SHOW(section, key, title, look, place, expr, help) \
        static struct value value_of_##section##_##key(struct row *r) \
        { \
                (void)r; \
                return expr; \
        }
#define PARTS(section, key, title, look, place, function, help)
#define DRAWN(section, key, title, look, help)
#include "daemon/status.def"
#undef SHOW
#undef PARTS
#undef DRAWN

static const struct column {
        enum section_id section;
        const char *key, *title, *help;
        enum look look;
        enum place { ALL, WIDE, HIDDEN, BY_SCRIPT } place;
        struct value (*value)(struct row *r);
        void (*put)(struct text *t, bool html, struct row *r); /* instead */
} columns[] = {
#define SHOW(section, key, title, look, place, expr, help) \
        { SECTION_##section, #key, title, help, LOOK_##look, place, \
                value_of_##section##_##key, NULL },
#define PARTS(section, key, title, look, place, function, help) \
        { SECTION_##section, #key, title, help, LOOK_##look, place, NULL, function },
#define DRAWN(section, key, title, look, help) \
        { SECTION_##section, #key, title, help, LOOK_##look, BY_SCRIPT, NULL, NULL },
#include "daemon/status.def"
#undef SHOW
#undef PARTS
#undef DRAWN
};

/* The columns of a section, one after the other: <c> from NULL on, NULL after the last. */
static const struct column *
column_next(enum section_id section, const struct column *c)
{
        for (c = c ? c + 1 : columns; c < columns + ARRAY_LEN(columns); c++)
                if (c->section == section)
                        return c;
        return NULL;
}

static void
put_cell(struct text *t, bool html, const struct column *c, struct row *r)
{
        if (c->put)
                c->put(t, html, r);
        else if (!html)
                show_json(t, c->look, c->value(r));
        else if (c->value)
                show_html(t, c->look, c->value(r));
}

/* "key":value,... without braces. */
static void
put_members(struct text *t, enum section_id section, struct row *r)
{
        const char *comma = "";

        for (const struct column *c = NULL; (c = column_next(section, c));) {
                if (c->place == BY_SCRIPT)
                        continue;
                text_putf(t, "%s\"%s\":", comma, c->key);
                put_cell(t, false, c, r);
                comma = ",";
        }
}

static const char *
place_class(const struct column *c)
{
        return c->place == WIDE ? " wide" : c->place == BY_SCRIPT ? " scripted" : "";
}

static void
put_help(struct text *t, const struct column *c)
{
        if (*c->help)
                text_putf(t, " title=\"%s\"", c->help);
}

/* Pairs of a name and a value. */
static void
put_pairs(struct text *t, enum section_id section, const char *name, struct row *r)
{
        text_putf(t, "<dl data-of=\"%s\">", name);
        for (const struct column *c = NULL; (c = column_next(section, c));) {
                bool is = !c->value || c->value(r).kind != VALUE_NONE;

                text_putf(t, "\n<div%s", is ? "" : " class=none");
                put_help(t, c);
                text_putf(t, "><dt>%s</dt><dd data-key=%s data-look=%s>", c->title, c->key,
                        show_look(c->look));
                put_cell(t, true, c, r);
                text_putf(t, "</dd></div>");
        }
        text_putf(t, "</dl>\n");
}

static void
put_heads(struct text *t, enum section_id section, const char *name)
{
        text_putf(t, "<table data-of=\"%s\"><thead><tr>", name);
        for (const struct column *c = NULL; (c = column_next(section, c));) {
                if (c->place == HIDDEN)
                        continue;
                text_putf(t, "\n<th scope=col class=\"%s%s\" data-key=%s", show_look(c->look),
                        place_class(c), c->key);
                put_help(t, c);
                text_putf(t, ">%s</th>", c->title);
        }
        text_putf(t, "</tr></thead>\n<tbody>");
}

/* A row of a table; its first cell is its head. */
static void
put_line(struct text *t, enum section_id section, struct row *r)
{
        const char *cell = "th scope=row";

        text_putf(t, "\n<tr>");
        for (const struct column *c = NULL; (c = column_next(section, c)); cell = "td") {
                if (c->place == HIDDEN)
                        continue;
                text_putf(t, "<%s class=\"%s%s\">", cell, show_look(c->look), place_class(c));
                put_cell(t, true, c, r);
                text_putf(t, "</%.2s>", cell);
        }
        text_putf(t, "</tr>");
}

/* ---- models and their targets ---- */

/* The first cell of the list that is not before (<model>, <target>), or with <behind> the first
 * that is behind it; without a target, all of the model's count as equal. */
static size_t
bound(struct epp_cell *const *list, size_t n, struct epp_slice model,
        const struct epp_slice *target, bool behind)
{
        size_t low = 0;

        while (low < n) {
                size_t mid = low + (n - low) / 2;
                int c = epp_slice_cmp(list[mid]->labels.model, model);

                if (c == 0 && target)
                        c = epp_slice_cmp(list[mid]->labels.target, *target);
                if (c < 0 || (c == 0 && behind))
                        low = mid + 1;
                else
                        n = mid;
        }
        return low;
}

static void
find_cells(struct row *r)
{
        struct epp_cell *const *list = NULL;
        size_t n = 0, from;

        if (r->p->director->series)
                list = epp_series_list(r->p->director->series, &n);
        from = bound(list, n, r->name, NULL, false);
        r->cells = list + from;
        r->n_cells = bound(list, n, r->name, NULL, true) - from;
}

static uint64_t
requests_of(const struct row *r, struct epp_slice target)
{
        size_t to = bound(r->cells, r->n_cells, r->name, &target, true);
        uint64_t n = 0;

        for (size_t i = bound(r->cells, r->n_cells, r->name, &target, false); i < to; i++)
                n += r->cells[i]->requests;
        return n;
}

/* As epp_model_draw draws: by weight, or without weights all alike. */
static double
wanted_share(const struct epp_model *m, size_t i)
{
        double sum = 0;

        for (size_t k = 0; k < m->n_targets; k++)
                sum += m->targets[k].weight;
        return m->targets[0].weight == 0 ? 1 / (double)m->n_targets : m->targets[i].weight / sum;
}

/* To people: a bar of what was, a mark at what was wanted, and both in numbers. */
static void
show_target(struct text *t, struct row *r)
{
        struct value actual = value_of_targets_actual_share(r);
        double wanted = value_of_targets_wanted_share(r).n;

        text_putf(t, "<div><b>");
        text_html(t, r->target->name);
        text_putf(t, "</b><svg class=bar aria-hidden=true><rect width=\"%.1f%%\"/>"
                     "<rect class=mark x=\"%.1f%%\"/></svg><span>",
                show_rounded(actual.n * 100, 1), show_rounded(wanted * 100, 1));
        if (actual.kind == VALUE_NONE)
                show_html(t, LOOK_TEXT, none);
        else
                text_putf(t, "%.1f %%", show_rounded(actual.n * 100, 1));
        text_putf(t, " of %.1f %%</span></div>", show_rounded(wanted * 100, 1));
}

static void
put_targets(struct text *t, bool html, struct row *r)
{
        const struct epp_model *m = r->model;
        size_t n = m ? m->n_targets : 0;

        if (html && n == 0)
                show_html(t, LOOK_TEXT, none);
        r->targets_requests = 0;
        for (size_t i = 0; i < n; i++)
                r->targets_requests += requests_of(r, m->targets[i].name);
        text_putf(t, html ? "" : "[");
        for (size_t i = 0; i < n; i++) {
                r->target = &m->targets[i];
                r->wanted = wanted_share(m, i);
                r->target_requests = requests_of(r, r->target->name);
                if (html) {
                        show_target(t, r);
                        continue;
                }
                text_putf(t, i ? ",{" : "{");
                put_members(t, SECTION_targets, r);
                text_putf(t, "}");
        }
        text_putf(t, html ? "" : "]");
}

/* ---- the rows of each section ---- */

static bool
next_endpoint(struct status *s, struct row *r)
{
        while (s->i < s->n_refs) {
                r->e = epp_pool_get(s->p->pool, s->refs[s->i++]);
                if (r->e) /* else it went while the page was written */
                        return true;
        }
        return false;
}

/* InferenceModels; behind them, in the order of the series, the names that only clients said. */
static bool
next_model(struct status *s, struct row *r)
{
        const struct epp_models *models = s->p->director->models;
        struct epp_cell *const *list;
        size_t n = 0, i;

        if (s->i < epp_models_count(models)) {
                r->model = epp_models_list(models)[s->i++];
                r->name = r->model->name;
                r->declared = true;
                find_cells(r);
                return true;
        }
        s->i = SIZE_MAX;
        list = s->p->director->series ? epp_series_list(s->p->director->series, &n) : NULL;
        for (i = s->last.p ? bound(list, n, s->last, NULL, true) : 0; i < n; i += r->n_cells) {
                s->last = r->name = list[i]->labels.model;
                find_cells(r);
                r->model = epp_models_rewrite(models, r->name);
                if (!epp_models_find(models, r->name) && counted(r))
                        return true;
        }
        return false;
}

static bool
next_decision(struct status *s, struct row *r)
{
        r->d = s->i < DECISIONS && s->number ? epp_ring_get(s->p->ring, s->number) : NULL;
        s->i++;
        s->number--;
        return r->d != NULL;
}

static bool
next_kind(struct status *s, struct row *r)
{
        struct epp_cluster *c = watch_cluster(s->p->watch);
        struct epp_reflector *const *list;
        size_t n;

        list = epp_cluster_reflectors(c, &n);
        if (s->i >= n)
                return false;
        r->reflector = list[s->i];
        r->kind = epp_cluster_kind(c, s->i++);
        return true;
}

static bool
has_ring(const struct pages *p)
{
        return p->ring != NULL;
}

static bool
has_watch(const struct pages *p)
{
        return p->watch != NULL;
}

static bool
has_lease(const struct pages *p)
{
        return p->lease != NULL;
}

static const struct section {
        const char *name;
        enum section_id id;
        bool bare;                                        /* JSON: members without braces */
        bool (*next)(struct status *s, struct row *r);    /* rows; NULL: pairs */
        bool (*there)(const struct pages *p);             /* NULL: always */
        const unsigned char *file;                        /* NULL, or it stands there as it is */
        size_t size;
} sections[] = {
        { .name = "head", .id = SECTION_head, .bare = true },
        { .name = "load", .id = SECTION_load },
        { .name = "endpoints", .id = SECTION_endpoints, .next = next_endpoint },
        { .name = "models", .id = SECTION_models, .next = next_model },
        { .name = "decisions", .id = SECTION_decisions, .next = next_decision, .there = has_ring },
        { .name = "totals", .id = SECTION_totals },
        { .name = "scrapes", .id = SECTION_scrapes },
        { .name = "watch", .id = SECTION_watch, .next = next_kind, .there = has_watch },
        { .name = "sources", .id = SECTION_sources },
        { .name = "lease", .id = SECTION_lease, .there = has_lease },
        { .name = "style", .file = status_style, .size = sizeof(status_style) },
        { .name = "script", .file = status_script, .size = sizeof(status_script) },
};

/* ---- a page, step by step ---- */

static const char json_frame[] =
        "{@@head@@,\"load\":@@load@@,\n\"endpoints\":@@endpoints@@,\n\"models\":@@models@@,\n"
        "\"totals\":@@totals@@,\n\"scrapes\":@@scrapes@@,\n\"watch\":@@watch@@,\n"
        "\"sources\":@@sources@@,\n\"lease\":@@lease@@,\n\"decisions\":@@decisions@@}\n";

/* The frame as far as the next place, which becomes the section to write. */
static void
step_frame(struct status *s, struct text *t)
{
        const char *at = memmem(s->frame.p, s->frame.n, "@@", 2);
        struct epp_slice name;

        text_put(t, epp_slice(s->frame.p, at ? (size_t)(at - s->frame.p) : s->frame.n));
        if (!at) {
                s->frame.n = 0;
                return;
        }
        s->frame = epp_slice(at + 2, s->frame.n - (size_t)(at + 2 - s->frame.p));
        name = epp_slice_cut(&s->frame, '@');
        s->frame.p++, s->frame.n--;
        for (size_t i = 0; i < ARRAY_LEN(sections); i++)
                if (epp_slice_eq(name, epp_slice_str(sections[i].name)))
                        s->section = &sections[i];
        EPP_ASSERT(s->section);
        s->begun = false;
        s->i = 0;
}

/* All of a section that has no rows. */
static void
put_whole(struct status *s, struct text *t, struct row *r)
{
        const struct section *c = s->section;

        if (c->file)
                text_put(t, epp_slice(c->file, c->size));
        else if (c->there && !c->there(s->p))
                text_putf(t, s->html ? "<p class=absent>Not in use.</p>\n" : "null");
        else if (s->html)
                put_pairs(t, c->id, c->name, r);
        else {
                text_putf(t, c->bare ? "" : "{");
                put_members(t, c->id, r);
                text_putf(t, c->bare ? "" : "}");
        }
}

/* The next row, or the end behind the last one. */
static void
step_section(struct status *s, struct text *t)
{
        struct row r = { .p = s->p, .now = s->now, .sum = &s->sum };
        const struct section *c = s->section;

        if (!c->next || (c->there && !c->there(s->p))) {
                put_whole(s, t, &r);
                s->section = NULL;
                return;
        }
        if (!s->begun && s->html)
                put_heads(t, c->id, c->name);
        if (!c->next(s, &r)) {
                text_putf(t, s->html ? "</tbody></table>\n" : s->begun ? "]" : "[]");
                s->section = NULL;
                return;
        }
        if (s->html) {
                put_line(t, c->id, &r);
        } else {
                text_putf(t, s->begun ? ",\n{" : "[\n{");
                put_members(t, c->id, &r);
                text_putf(t, "}");
        }
        s->begun = true;
}

static int
more(void *state, struct epp_buf *out)
{
        size_t end = epp_buf_len(out) + PIECE;
        struct text t = { out, false };
        struct status *s = state;

        while (epp_buf_len(out) < end && !t.failed && (s->section || s->frame.n)) {
                if (s->section)
                        step_section(s, &t);
                else
                        step_frame(s, &t);
        }
        if (t.failed)
                return EPP_ENOMEM;
        return s->section || s->frame.n;
}

static int
by_name(const void *a, const void *b)
{
        const struct epp_endpoint *const *x = a, *const *y = b;

        return epp_slice_cmp((*x)->name, (*y)->name);
}

static void
add_up(struct sum *sum, const struct epp_endpoint *e)
{
        sum->endpoints++;
        sum->in_flight += e->inflight;
        sum->fresh += e->load.state == EPP_LOAD_FRESH;
        if (!e->load.at)
                return;
        sum->known++;
        sum->waiting += e->load.waiting;
        sum->running += e->load.running;
        sum->kv += e->load.kv_ratio;
}

static struct status *
begin(const struct pages *p, bool html)
{
        struct epp_endpoint *const *list, **sorted;
        struct status *s;
        size_t n;

        list = epp_pool_list(p->pool, &n);
        s = calloc(1, sizeof(*s) + n * sizeof(s->refs[0]));
        sorted = calloc(n ? n : 1, sizeof(struct epp_endpoint *));
        if (!s || !sorted) {
                free(s);
                free(sorted);
                return NULL;
        }
        *s = (struct status){ .p = p, .html = html, .now = loop_now(NULL), .n_refs = n,
                .number = p->ring ? epp_ring_last(p->ring) : 0 };
        for (size_t i = 0; i < n; i++)
                sorted[i] = list[i];
        if (n <= SORTED_MAX)
                qsort(sorted, n, sizeof(struct epp_endpoint *), by_name);
        for (size_t i = 0; i < n; i++) {
                add_up(&s->sum, sorted[i]);
                s->refs[i] = sorted[i]->ref;
        }
        free(sorted);
        return s;
}

static void
render(void *ctx, bool html, struct epp_slice frame, struct admin_reply *r)
{
        struct status *s = begin(ctx, html);

        if (!s) {
                r->code = 500;
                return;
        }
        s->frame = frame;
        r->more = more;
        r->done = free;
        r->state = s;
}

void
status_render_json(void *ctx, const struct admin_request *q, struct admin_reply *r)
{
        (void)q;
        r->type = "application/json";
        render(ctx, false, EPP_SLICE(json_frame), r);
}

/* Nothing is loaded from anywhere, nothing runs but the style and the script that are in the page,
 * and the script speaks to us alone. data: is the icon. */
void
status_render_html(void *ctx, const struct admin_request *q, struct admin_reply *r)
{
        (void)q;
        r->type = "text/html; charset=utf-8";
        r->headers = "Content-Security-Policy: default-src 'none'; img-src data:; "
                     "style-src 'sha256-" STATUS_STYLE_SHA256 "'; "
                     "script-src 'sha256-" STATUS_SCRIPT_SHA256 "'; connect-src 'self'; "
                     "base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
                     "Referrer-Policy: no-referrer\r\n";
        render(ctx, true, epp_slice(status_page, sizeof(status_page)), r);
}
