/* objects.c - see objects.h. */
#include "serve/objects.h"

struct file {
        struct file *next;
        struct epp_doc doc;
};
struct entry {
        struct epp_kobj kobj;
        struct epp_slice file;
        unsigned line;
};

struct epp_objects {
        struct epp_slice name, ns;
        void (*fn)(void *ctx, const char *line);
        void *ctx;
        struct epp_arena arena; /* name, ns and file names */
        struct file *files;     /* documents lend text to entries */
        struct entry **entries; /* pools and models */
        size_t n, size;
        struct epp_slice file;  /* being read */
        bool bad;
};

int
epp_objects_new(struct epp_slice name, struct epp_slice ns, void (*fn)(void *ctx, const char *line),
        void *ctx, struct epp_objects **ret)
{
        struct epp_objects *o = calloc(1, sizeof(*o));

        if (!o)
                return EPP_ENOMEM;
        o->name = epp_arena_copy(&o->arena, name);
        o->ns = epp_arena_copy(&o->arena, ns);
        o->fn = fn;
        o->ctx = ctx;
        if (o->arena.failed) {
                epp_objects_free(o);
                return EPP_ENOMEM;
        }
        *ret = o;
        return 0;
}

void
epp_objects_free(struct epp_objects *o)
{
        if (!o)
                return;
        for (struct file *f = o->files, *next; f; f = next) {
                next = f->next;
                epp_doc_fini(&f->doc);
                free(f);
        }
        for (size_t i = 0; i < o->n; i++)
                free(o->entries[i]);
        free(o->entries);
        epp_arena_fini(&o->arena);
        free(o);
}

static void
mistake(void *ctx, unsigned line, const char *field, const char *what)
{
        struct epp_objects *o = ctx;
        char text[512];

        o->bad = true;
        snprintf(text, sizeof(text), SLICE_FMT ":%u: %s%s%s", SLICE_ARG(o->file), line, field,
                *field ? ": " : "", what);
        o->fn(o->ctx, text);
}

static int
keep(struct epp_objects *o, const struct epp_kobj *k, unsigned line)
{
        struct entry *e;

        if (o->n == o->size) {
                size_t size = o->size ? o->size * 2 : 16;
                struct entry **v = realloc(o->entries, size * sizeof(struct entry *));

                if (!v)
                        return EPP_ENOMEM;
                o->entries = v;
                o->size = size;
        }
        e = malloc(sizeof(*e));
        if (!e)
                return EPP_ENOMEM;
        *e = (struct entry){ *k, o->file, line };
        o->entries[o->n++] = e;
        return 0;
}

/* One object, or the items of a List as `kubectl get -o yaml` prints it. */
static int
read_object(struct epp_objects *o, const struct epp_node *doc)
{
        const struct epp_node *kind = epp_node_get(doc, "kind"), *items = epp_node_get(doc, "items");
        struct epp_kobj k;
        int r = 0;

        if (kind && epp_slice_eq(kind->text, EPP_SLICE("List"))) {
                for (const struct epp_node *n = items ? items->first : NULL; n && r == 0; n = n->next)
                        r = read_object(o, n);
                return r;
        }
        if (epp_kobj_decode(doc, &k, mistake, o) < 0)
                return 0; /* said; the other objects are read all the same */
        if (k.kind != EPP_KOBJ_POOL && k.kind != EPP_KOBJ_MODEL)
                return 0;
        return keep(o, &k, doc->line);
}

int
epp_objects_add(struct epp_objects *o, struct epp_slice file, struct epp_slice text)
{
        struct file *f = calloc(1, sizeof(*f));
        bool before = o->bad;
        int r;

        o->file = epp_arena_copy(&o->arena, file);
        if (!f || !o->file.p) {
                free(f);
                return EPP_ENOMEM;
        }
        f->next = o->files;
        o->files = f;
        o->bad = false;
        r = epp_doc_parse(text, &f->doc);
        if (r == EPP_EPROTO || r == EPP_EDEEP) {
                mistake(o, f->doc.error_line, "", f->doc.error);
                r = 0;
        } else {
                for (const struct epp_node *n = f->doc.root; n && r == 0; n = n->next)
                        r = read_object(o, n);
        }
        if (r == 0 && o->bad)
                r = EPP_EINVAL;
        o->bad |= before;
        return r;
}

/* Oldest first; without a time of creation last; then by namespace and name. */
static int
by_age(const void *a, const void *b)
{
        const struct epp_kobj *x = &(*(struct entry *const *)a)->kobj, *y = &(*(struct entry *const *)b)->kobj;
        const struct epp_slice *sx[] = { &x->created, &x->ns, &x->name };
        const struct epp_slice *sy[] = { &y->created, &y->ns, &y->name };

        if ((x->created.n == 0) != (y->created.n == 0))
                return x->created.n == 0 ? 1 : -1;
        for (size_t i = 0; i < ARRAY_LEN(sx); i++) {
                int c = memcmp(sx[i]->n ? sx[i]->p : "", sy[i]->n ? sy[i]->p : "",
                        EPP_MIN(sx[i]->n, sy[i]->n));

                if (c == 0 && sx[i]->n != sy[i]->n)
                        c = sx[i]->n < sy[i]->n ? -1 : 1;
                if (c)
                        return c;
        }
        return 0;
}

static bool
is_pool_model(const struct epp_objects *o, const struct epp_kobj *k, struct epp_slice pool)
{
        return k->kind == EPP_KOBJ_MODEL && epp_slice_eq(k->ns, o->ns) && epp_slice_eq(k->pool, pool);
}

/* The pool's name: the one given, or the only InferencePool of the objects, or the only one that
 * models refer to. */
static int
find_pool(struct epp_objects *o, struct epp_slice *ret)
{
        static const enum epp_kobj_kind order[] = { EPP_KOBJ_POOL, EPP_KOBJ_MODEL };

        *ret = o->name;
        for (size_t pass = 0; pass < ARRAY_LEN(order) && ret->n == 0; pass++) {
                for (size_t i = 0; i < o->n; i++) {
                        const struct epp_kobj *k = &o->entries[i]->kobj;
                        struct epp_slice name = k->kind == EPP_KOBJ_POOL ? k->name : k->pool;

                        if (k->kind != order[pass] || epp_slice_eq(name, *ret))
                                continue;
                        if (ret->n) {
                                o->file = o->entries[i]->file;
                                mistake(o, o->entries[i]->line, "",
                                        "the objects name more than one pool: give --pool-name");
                                return EPP_EINVAL;
                        }
                        *ret = name;
                }
        }
        return 0;
}

static int
add_model(struct epp_models *models, const struct epp_kobj *k)
{
        struct epp_target t[EPP_KOBJ_TARGETS];
        int r;

        for (size_t i = 0; i < k->n_targets; i++)
                t[i] = (struct epp_target){ k->targets[i].name, k->targets[i].weight, 0 };
        r = epp_models_add(models, k->model, (enum epp_criticality)k->criticality, t, k->n_targets);
        return r == EPP_EINVAL ? 0 : r; /* an older object has the name: it wins */
}

int
epp_objects_finish(struct epp_objects *o, uint64_t seed, struct epp_models **ret,
        struct epp_slice *ret_pool)
{
        struct epp_models *models;
        int r = find_pool(o, ret_pool);

        if (r < 0 || o->bad)
                return EPP_EINVAL;
        r = epp_models_new(seed, &models);
        if (r < 0)
                return r;
        if (o->n)
                qsort(o->entries, o->n, sizeof(*o->entries), by_age);
        for (size_t i = 0; i < o->n && r == 0; i++)
                if (is_pool_model(o, &o->entries[i]->kobj, *ret_pool))
                        r = add_model(models, &o->entries[i]->kobj);
        if (r < 0) {
                epp_models_free(models);
                return r;
        }
        *ret = models;
        return 0;
}
