/* objects.c - see objects.h. */
#include "serve/objects.h"

#include "serve/roster.h"

struct file {
        struct file *next;
        struct epp_doc doc;
};
struct entry {
        struct epp_kobj kobj;
        struct epp_slice file;
        unsigned line;
        size_t order;  /* of reading */
        bool replaced; /* the same object came again */
};

struct epp_objects {
        struct epp_slice name, ns;
        void (*fn)(void *ctx, const char *line);
        void *ctx;
        struct epp_arena arena; /* name, ns and file names */
        struct file *files;     /* documents lend text to entries */
        struct entry **entries; /* in the order they were read */
        size_t n, size;
        size_t others;
        struct epp_slice file; /* being read */
        bool bad, named;
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
        *e = (struct entry){ .kobj = *k, .file = o->file, .line = line, .order = o->n };
        o->entries[o->n++] = e;
        return 0;
}

/* One object, or the items of a List as `kubectl get -o yaml` prints it. */
static int
read_object(struct epp_objects *o, const struct epp_node *doc)
{
        const struct epp_node *kind = epp_node_get(doc, "kind"),
                *items = epp_node_get(doc, "items");
        struct epp_kobj k;
        int r = 0;

        if (kind && epp_slice_eq(kind->text, EPP_SLICE("List"))) {
                for (const struct epp_node *n = items ? items->first : NULL; n && r == 0;
                        n = n->next)
                        r = read_object(o, n);
                return r;
        }
        if (epp_kobj_decode(doc, &k, mistake, o) < 0)
                return 0; /* said; the other objects are read all the same */
        if (k.kind == EPP_KOBJ_OTHER)
                return 0;
        return keep(o, &k, doc->line);
}

/* Forgets what the newest file gave. */
static void
undo(struct epp_objects *o, size_t n)
{
        struct file *f = o->files;

        while (o->n > n)
                free(o->entries[--o->n]);
        o->files = f->next;
        epp_doc_fini(&f->doc);
        free(f);
}

int
epp_objects_add(struct epp_objects *o, struct epp_slice file, struct epp_slice text)
{
        struct file *f = calloc(1, sizeof(*f));
        size_t before = o->n;
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
        if (r < 0)
                undo(o, before);
        return r;
}

static int
by_identity(const void *a, const void *b)
{
        const struct entry *x = *(struct entry *const *)a, *y = *(struct entry *const *)b;
        int c = (x->kobj.kind > y->kobj.kind) - (x->kobj.kind < y->kobj.kind);

        c = c ? c : epp_slice_cmp(x->kobj.ns, y->kobj.ns);
        return c ? c : epp_slice_cmp(x->kobj.name, y->kobj.name);
}

static int
by_identity_and_order(const void *a, const void *b)
{
        const struct entry *x = *(struct entry *const *)a, *y = *(struct entry *const *)b;
        int c = by_identity(a, b);

        return c ? c : (x->order > y->order) - (x->order < y->order);
}

/* Of the same object again, as when a file is applied after another, only the last counts. */
static void
mark_replaced(struct epp_objects *o)
{
        if (o->n == 0)
                return;
        qsort(o->entries, o->n, sizeof(*o->entries), by_identity_and_order);
        for (size_t i = 0; i + 1 < o->n; i++)
                o->entries[i]->replaced = by_identity(&o->entries[i], &o->entries[i + 1]) == 0;
}

/* No namespace is any. */
static bool
same_ns(struct epp_slice a, struct epp_slice b)
{
        return a.n == 0 || b.n == 0 || epp_slice_eq(a, b);
}

/* One pass over the pools, or over the pools that models refer to, of the name and namespace asked
 * for or known by now; false (told) when there are two. */
static bool
look_for(struct epp_objects *o, enum epp_kobj_kind kind, struct epp_slice *name,
        struct epp_slice *ns)
{
        const struct epp_slice want = *name;
        bool found = false;

        for (size_t i = 0; i < o->n; i++) {
                const struct epp_kobj *k = &o->entries[i]->kobj;
                struct epp_slice its = kind == EPP_KOBJ_POOL ? k->name : k->pool;

                if (k->kind != kind || k->deleted || (want.n && !epp_slice_eq(its, want)) ||
                        !same_ns(k->ns, o->ns))
                        continue;
                if (found && (!epp_slice_eq(its, *name) || !same_ns(k->ns, *ns))) {
                        o->file = o->entries[i]->file;
                        mistake(o, o->entries[i]->line, "", epp_slice_eq(its, *name)
                                ? "the pool is in more than one namespace: give --pool-namespace"
                                : "the objects name more than one pool: give --pool-name");
                        return false;
                }
                o->named = found = true;
                *name = its;
                if (ns->n == 0)
                        *ns = k->ns;
        }
        return true;
}

/* The pool served: the one asked for, or the only InferencePool of the objects, or the only one
 * that models refer to. */
static int
find_pool(struct epp_objects *o, struct epp_slice *name, struct epp_slice *ns)
{
        *name = o->name;
        *ns = o->ns;
        if (!look_for(o, EPP_KOBJ_POOL, name, ns) ||
                ((name->n == 0 || ns->n == 0) && !look_for(o, EPP_KOBJ_MODEL, name, ns)))
                return EPP_EINVAL;
        if (ns->n == 0)
                *ns = EPP_SLICE("default");
        return 0;
}

int
epp_objects_finish(struct epp_objects *o, uint64_t seed, struct epp_models **ret,
        struct epp_slice *ret_pool)
{
        struct epp_roster_pool pool = { .group = { NULL, 0 } };
        const struct epp_kobj **list;
        size_t n = 0;
        int r = find_pool(o, ret_pool, &pool.ns);

        if (r < 0)
                return r;
        pool.name = *ret_pool;
        for (size_t i = 0; i < o->n; i++)
                if (o->entries[i]->kobj.ns.n == 0)
                        o->entries[i]->kobj.ns = pool.ns;
        list = calloc(EPP_MAX(o->n, (size_t)1), sizeof(const struct epp_kobj *));
        if (!list)
                return EPP_ENOMEM;
        mark_replaced(o);
        for (size_t i = 0; i < o->n; i++)
                if (!o->entries[i]->replaced)
                        list[n++] = &o->entries[i]->kobj;
        r = epp_roster_build(list, n, &pool, seed, ret, &o->others);
        free(list);
        return r;
}

size_t
epp_objects_others(const struct epp_objects *o)
{
        return o->others;
}

bool
epp_objects_named(const struct epp_objects *o)
{
        return o->named;
}
