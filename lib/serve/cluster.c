/* cluster.c - see cluster.h. One row of `kinds` per reflector; each hears of its objects through
 * struct kind, which knows the cluster. */
#include "serve/cluster.h"

#include <stdarg.h>
#include <xxhash.h>

#include "base/map.h"
#include "serve/pods.h"
#include "serve/roster.h"
#include "wire/kselect.h"

#define SECOND ((epp_us)1000000)
#define PATIENCE (10 * SECOND) /* for kinds that are not needed, once pool and pods are known */
#define REJECTED 256 /* bad objects of a kind that are remembered, so that each is named once */
#define REBUILD (SECOND / 50) /* models are rebuilt no more often: 1,000 take a millisecond */

enum { POOL_V1, POOL_X, PODS, MODELS, OBJECTIVES, OBJECTIVES_X, REWRITES, REWRITES_X, KINDS };

#define X_GROUP "inference.networking.x-k8s.io"

static const struct {
        const char *name, *group; /* "group/version" behind /apis/; NULL: the core */
        const char *plural;
        enum epp_kobj_kind kobj;
        int preferred;            /* the same kind in the group that is preferred, or -1 */
} kinds[KINDS] = {
        [POOL_V1] = { "inferencepools", "inference.networking.k8s.io/v1", "inferencepools",
                EPP_KOBJ_POOL, -1 },
        [POOL_X] = { "inferencepools-x", X_GROUP "/v1alpha2", "inferencepools", EPP_KOBJ_POOL, -1 },
        [PODS] = { "pods", NULL, "pods", EPP_KOBJ_OTHER, -1 },
        [MODELS] = { "inferencemodels", X_GROUP "/v1alpha2", "inferencemodels", EPP_KOBJ_MODEL,
                -1 },
        [OBJECTIVES] = { "inferenceobjectives", "llm-d.ai/v1alpha2", "inferenceobjectives",
                EPP_KOBJ_OBJECTIVE, -1 },
        [OBJECTIVES_X] = { "inferenceobjectives-x", X_GROUP "/v1alpha2", "inferenceobjectives",
                EPP_KOBJ_OBJECTIVE, OBJECTIVES },
        [REWRITES] = { "inferencemodelrewrites", "llm-d.ai/v1alpha2", "inferencemodelrewrites",
                EPP_KOBJ_REWRITE, -1 },
        [REWRITES_X] = { "inferencemodelrewrites-x", X_GROUP "/v1alpha2", "inferencemodelrewrites",
                EPP_KOBJ_REWRITE, REWRITES },
};

/* One object, as it was decoded last. */
struct object {
        struct epp_arena arena; /* of the tree that kobj lends from */
        struct epp_kobj kobj;
        unsigned generation;
};

struct kind {
        struct epp_cluster *c;
        int number;
        struct epp_reflector *reflector;
        struct epp_map objects; /* name -> struct object; not of pods */
        unsigned generation;
        bool absent, active;    /* active: it has a target */
        struct epp_cluster_kind stats;
        uint64_t rejected[REJECTED]; /* hashes of those named in the log, a ring */
        unsigned next_rejected;
};

struct epp_cluster {
        struct epp_cluster_config cfg;
        char *ns, *pool_name, *selector; /* of cfg, owned */
        struct kind kind[KINDS];
        struct epp_reflector *reflectors[KINDS];
        struct epp_pods *pods;
        const struct kind *pool;         /* the kind whose InferencePool is in force, or NULL */
        struct epp_pods_plan next_plan;  /* in force when its pods are listed */
        char *pod_query;                 /* the selector that pods are reflected by, or NULL */
        bool pods_pending;               /* they are being listed for the first time by it */
        bool models_dirty, pool_dirty, ready;
        epp_us built_at, waiting_since;
        struct epp_cluster_stats stats;
        char why[200];
};

static struct epp_slice
own(char **out, struct epp_slice s)
{
        *out = strndup(s.p ? s.p : "", s.n);
        return epp_slice_str(*out);
}

/* ---- objects ---- */

static void
object_free(struct object *o)
{
        epp_arena_fini(&o->arena);
        free(o);
}

static void
mark_dirty(struct kind *k)
{
        if (kinds[k->number].kobj == EPP_KOBJ_POOL)
                k->c->pool_dirty = true;
        else
                k->c->models_dirty = true;
}

static void
forget(struct kind *k, struct object *o)
{
        epp_map_remove(&k->objects, o->kobj.name);
        object_free(o);
        mark_dirty(k);
}

/* Drops the objects that are not of <generation>. */
static void
sweep(struct kind *k, unsigned generation)
{
        struct object **old = calloc(k->objects.n + 1, sizeof(struct object *));
        size_t n = 0;

        /* Removal moves cells: first find, then remove. */
        for (size_t i = 0; old && i < k->objects.size; i++) {
                struct object *o = k->objects.cells[i].value;

                if (o && o->generation != generation)
                        old[n++] = o;
        }
        while (n)
                forget(k, old[--n]);
        free(old);
}

struct complaint {
        struct kind *k;
        struct epp_slice name, version;
        bool said;
};

/* Names a mistake once per object and version. */
static void
complain(void *ctx, unsigned line, const char *field, const char *what)
{
        struct complaint *p = ctx;
        struct kind *k = p->k;
        uint64_t id = XXH3_64bits_withSeed(p->version.p, p->version.n,
                XXH3_64bits_withSeed(p->name.p, p->name.n, k->c->cfg.seed));

        (void)line;
        for (unsigned i = 0; i < REJECTED; i++)
                p->said |= k->rejected[i] == id;
        if (p->said)
                return;
        p->said = true;
        k->rejected[k->next_rejected++ % REJECTED] = id;
        epp_log(p->k->c->cfg.log, EPP_LOG_WARN, "bad_object",
                LOG_T("kind", kinds[p->k->number].plural), LOG_S("name", p->name),
                LOG_T("field", field), LOG_T("why", what));
}

static struct epp_slice
meta_text(const struct epp_node *object, const char *key)
{
        const struct epp_node *n = epp_node_get(epp_node_get(object, "metadata"), key);

        return n && n->kind == EPP_NODE_SCALAR ? n->text : epp_slice(NULL, 0);
}

static bool
is_ours(struct kind *k, const struct epp_node *object)
{
        struct epp_slice name = meta_text(object, "name");
        bool pool = kinds[k->number].kobj == EPP_KOBJ_POOL;

        if (name.n && epp_slice_eq(meta_text(object, "namespace"), k->c->cfg.ns) &&
                (!pool || epp_slice_eq(name, k->c->cfg.pool_name)))
                return true;
        k->stats.foreign++;
        return false;
}

/* Puts a decoded copy in the place of what is known; NULL leaves it. */
static void
replace(struct kind *k, struct object *o)
{
        struct object *old = epp_map_get(&k->objects, o->kobj.name);

        o->generation = k->generation;
        if (epp_map_put(&k->objects, o->kobj.name, o) < 0) {
                object_free(o);
                return;
        }
        if (old)
                object_free(old);
        mark_dirty(k);
}

static void
put_object(void *ctx, const struct epp_node *tree)
{
        struct kind *k = ctx;
        struct complaint p = { k, meta_text(tree, "name"), meta_text(tree, "resourceVersion"),
                false };
        struct object *old = epp_map_get(&k->objects, p.name), *o;
        struct epp_node *copy;

        if (!is_ours(k, tree))
                return;
        if (old)
                old->generation = k->generation;
        if (old && epp_slice_eq(old->kobj.version, p.version) &&
                epp_slice_eq(old->kobj.uid, meta_text(tree, "uid")))
                return;
        o = calloc(1, sizeof(*o));
        copy = o ? epp_node_copy(&o->arena, tree) : NULL;
        if (!copy || epp_kobj_decode(copy, &o->kobj, complain, &p) < 0 ||
                o->kobj.kind != kinds[k->number].kobj) {
                k->stats.rejected++; /* the last good version stays */
                if (o)
                        object_free(o);
                return;
        }
        replace(k, o);
}

static void
object_gone(void *ctx, const struct epp_node *tree)
{
        struct kind *k = ctx;
        struct object *o = epp_map_get(&k->objects, meta_text(tree, "name"));

        if (o && is_ours(k, tree) &&
                (!o->kobj.uid.n || epp_slice_eq(o->kobj.uid, meta_text(tree, "uid"))))
                forget(k, o);
}

static void
begin_objects(void *ctx)
{
        struct kind *k = ctx;

        k->generation++;
}

static void
objects_synced(void *ctx)
{
        struct kind *k = ctx;

        k->absent = false;
        sweep(k, k->generation);
        mark_dirty(k); /* readiness, and an older group that is no longer needed */
}

/* It stays absent until a list is complete: being asked for again, every minute, is no news. */
static void
kind_absent(void *ctx)
{
        struct kind *k = ctx;

        if (k->absent)
                return;
        epp_log(k->c->cfg.log, EPP_LOG_INFO, "kind_absent", LOG_T("kind", kinds[k->number].plural),
                LOG_T("group", kinds[k->number].group ? kinds[k->number].group : ""));
        k->absent = true;
        mark_dirty(k);
}

static const struct epp_reflect_ops object_ops = { begin_objects, put_object, object_gone,
        objects_synced, kind_absent };

/* ---- pods ---- */

static bool
read_pod(struct kind *k, const struct epp_node *tree, struct epp_kpod *ret)
{
        struct complaint p = { k, meta_text(tree, "name"), meta_text(tree, "resourceVersion"),
                false };
        const char *why;

        if (epp_kpod_decode(tree, ret, &why) < 0) {
                complain(&p, 0, why, "is missing or too long");
                k->stats.rejected++;
                return false;
        }
        if (!epp_slice_eq(ret->ns, k->c->cfg.ns) ||
                (ret->kind.n && !epp_slice_eq(ret->kind, EPP_SLICE("Pod")))) {
                k->stats.foreign++;
                return false;
        }
        return true;
}

static void
log_pod(const struct epp_cluster *c, const struct epp_kpod *pod)
{
        size_t n;

        (void)epp_pool_list(c->cfg.pool, &n);
        epp_log(c->cfg.log, EPP_LOG_DEBUG, "pod", LOG_S("pod", pod->name), LOG_N("endpoints", n));
}

static void
put_pod(void *ctx, const struct epp_node *tree)
{
        struct kind *k = ctx;
        struct epp_kpod pod;
        int r;

        if (!read_pod(k, tree, &pod))
                return;
        r = epp_pods_put(k->c->pods, &pod);
        if (r == EPP_ENOMEM)
                epp_log(k->c->cfg.log, EPP_LOG_ERROR, "pod_lost", LOG_S("pod", pod.name),
                        LOG_T("why", "out of memory"));
        else if (r > 0)
                log_pod(k->c, &pod);
}

static void
pod_gone(void *ctx, const struct epp_node *tree)
{
        struct kind *k = ctx;
        struct epp_kpod pod;

        if (!read_pod(k, tree, &pod))
                return;
        epp_pods_gone(k->c->pods, &pod);
        log_pod(k->c, &pod);
}

static void
begin_pods(void *ctx)
{
        struct kind *k = ctx;

        epp_pods_begin(k->c->pods, k->c->pods_pending);
}

static void
pods_synced(void *ctx)
{
        struct kind *k = ctx;
        struct epp_cluster *c = k->c;
        uint64_t before = epp_pods_stats(c->pods)->swept;
        const struct epp_pods_stats *s;
        size_t n;

        k->absent = false;
        epp_pods_synced(c->pods, c->pods_pending ? &c->next_plan : NULL);
        s = epp_pods_stats(c->pods);
        (void)epp_pool_list(c->cfg.pool, &n);
        if (c->pods_pending || s->swept != before)
                epp_log(c->cfg.log, n ? EPP_LOG_INFO : EPP_LOG_WARN, "pods",
                        LOG_N("pods", s->known), LOG_N("ready", s->ready), LOG_N("endpoints", n),
                        LOG_N("gone", s->swept - before));
        c->pods_pending = false;
}

static const struct epp_reflect_ops pod_ops = { begin_pods, put_pod, pod_gone, pods_synced,
        kind_absent };

/* ---- the pool in force ---- */

/* True when it is known whether the kind has our pool: listed, not served, or refused. */
static bool
is_settled(const struct kind *k)
{
        int trouble = epp_reflector_trouble(k->reflector);

        return !k->active || epp_reflector_synced(k->reflector) || k->absent || trouble == 403;
}

static struct object *
pool_of(const struct kind *k)
{
        struct object *o = epp_map_get(&k->objects, k->c->cfg.pool_name);

        return o && !o->kobj.deleted ? o : NULL;
}

static const struct kind *
choose_pool(struct epp_cluster *c)
{
        const struct kind *v1 = &c->kind[POOL_V1], *x = &c->kind[POOL_X];

        if (pool_of(v1))
                return v1;
        if (!is_settled(v1))
                return c->pool; /* as it is, until we know */
        return pool_of(x) ? x : NULL;
}

static char *
text_of(const struct epp_buf *b)
{
        return epp_buf_len(b) ? strndup(epp_buf_slice(b).p, epp_buf_len(b)) : strdup("");
}

/* "labelSelector=..." of a pool: keys sorted; empty when it selects every pod. */
static char *
pool_query(const struct epp_kobj *pool)
{
        struct epp_buf b = { 0 };
        char *out = NULL;

        if (epp_kselect_labels(&b, pool->selector) == 0)
                out = text_of(&b);
        epp_buf_fini(&b);
        return out;
}

static char *
path_of(const struct epp_cluster *c, int number)
{
        char *out = NULL;
        int n = kinds[number].group
                ? asprintf(&out, "/apis/%s/namespaces/%s/%s", kinds[number].group, c->ns,
                          kinds[number].plural)
                : asprintf(&out, "/api/v1/namespaces/%s/%s", c->ns, kinds[number].plural);

        return n < 0 ? NULL : out;
}

static bool
target(struct epp_cluster *c, int number, const char *query, epp_us now)
{
        char *path = query ? path_of(c, number) : NULL;
        int r = query && !path ? EPP_ENOMEM
                               : epp_reflector_target(c->kind[number].reflector, path, query, now);

        free(path);
        if (r == 0)
                c->kind[number].active = query != NULL;
        return r == 0;
}

/* Reflects the pods of <query> (owned) from now on; those of before serve until they are listed. */
static void
reflect_pods(struct epp_cluster *c, char *query, epp_us now)
{
        if (!query || !target(c, PODS, query, now)) {
                free(query);
                c->pool_dirty = true; /* no memory now: again at the next tick */
                return;
        }
        free(c->pod_query);
        c->pod_query = query;
        c->pods_pending = true;
}

static void
no_pool(struct epp_cluster *c, epp_us now)
{
        if (c->pool)
                epp_log(c->cfg.log, EPP_LOG_WARN, "pool_gone", LOG_S("pool", c->cfg.pool_name));
        c->pool = NULL;
        c->ready = false;
        (void)target(c, PODS, NULL, now);
        epp_pods_clear(c->pods);
        free(c->pod_query);
        c->pod_query = NULL;
}

/* Follows the InferencePool: its selector and its ports. */
static void
follow_pool(struct epp_cluster *c, epp_us now)
{
        const struct kind *k = choose_pool(c);
        const struct epp_kobj *pool = k ? &pool_of(k)->kobj : NULL;
        char *query;

        c->pool_dirty = false;
        if (!pool) {
                no_pool(c, now);
                return;
        }
        if (k != c->pool)
                epp_log(c->cfg.log, EPP_LOG_INFO, "pool", LOG_S("pool", pool->name),
                        LOG_S("group", pool->group), LOG_N("ports", pool->n_ports));
        c->models_dirty |= k != c->pool; /* objectives and rewrites name the group */
        c->pool = k;
        memcpy(c->next_plan.ports, pool->ports, sizeof(c->next_plan.ports));
        c->next_plan.n_ports = pool->n_ports;
        c->next_plan.ranked = k->number == POOL_V1;
        query = pool_query(pool);
        if (c->pod_query && query && strcmp(query, c->pod_query) == 0) {
                free(query);
                if (!c->pods_pending)
                        epp_pods_plan(c->pods, &c->next_plan);
                return;
        }
        reflect_pods(c, query, now);
}

/* ---- models ---- */

static size_t
collect(const struct epp_cluster *c, const struct epp_kobj **out)
{
        size_t n = 0;

        for (int i = MODELS; i < KINDS; i++) {
                for (size_t k = 0; k < c->kind[i].objects.size; k++) {
                        struct object *o = c->kind[i].objects.cells[k].value;

                        if (o && out)
                                out[n] = &o->kobj;
                        n += o != NULL;
                }
        }
        return n;
}

static void
rebuild_models(struct epp_cluster *c, epp_us now)
{
        struct epp_roster_pool pool = { .name = c->cfg.pool_name, .ns = c->cfg.ns,
                .group = !c->pool ? epp_slice(NULL, 0) : c->pool->number == POOL_V1
                                ? EPP_SLICE("inference.networking.k8s.io") : EPP_SLICE(X_GROUP) };
        const struct epp_kobj **list = calloc(
                collect(c, NULL) + 1, sizeof(const struct epp_kobj *));
        struct epp_models *models;
        size_t others;
        int r;

        c->built_at = now;
        r = list ? epp_roster_build(list, collect(c, list), &pool, c->cfg.seed, &models, &others)
                 : EPP_ENOMEM;
        free(list);
        if (r < 0)
                return; /* the old set stays; tried again */
        epp_models_free(*c->cfg.models);
        *c->cfg.models = models;
        c->models_dirty = false;
}

/* The older group of a kind is reflected only while the preferred one is not served. */
static void
follow_groups(struct epp_cluster *c, epp_us now)
{
        for (int i = 0; i < KINDS; i++) {
                struct kind *k = &c->kind[i],
                            *better = kinds[i].preferred < 0 ? NULL : &c->kind[kinds[i].preferred];

                if (!better)
                        continue;
                if (better->absent && !k->active) {
                        (void)target(c, i, "", now);
                } else if (k->active && !better->absent &&
                        epp_reflector_synced(better->reflector)) {
                        (void)target(c, i, NULL, now);
                        sweep(k, ++k->generation);
                }
        }
}

/* ---- life ---- */

static int
start_kind(struct epp_cluster *c, int i)
{
        struct kind *k = &c->kind[i];
        struct epp_reflect_config cfg = { .name = kinds[i].name,
                .keep = i == PODS ? epp_kpod_keep : epp_kobj_keep,
                .ops = i == PODS ? &pod_ops : &object_ops,
                .ctx = k,
                .log = c->cfg.log,
                .streaming = c->cfg.streaming,
                .seed = c->cfg.seed + (uint64_t)i };
        int r = epp_reflector_new(&cfg, &k->reflector);

        k->c = c;
        k->number = i;
        k->objects.seed = c->cfg.seed;
        c->reflectors[i] = k->reflector;
        return r;
}

static int
start_targets(struct epp_cluster *c)
{
        char query[400];

        if (c->cfg.pool_name.n == 0) {
                struct epp_buf b = { 0 };
                int r = epp_kselect_text(&b, c->cfg.selector);

                if (r == 0)
                        reflect_pods(c, text_of(&b), 0);
                epp_buf_fini(&b);
                memcpy(c->next_plan.ports, c->cfg.ports, sizeof(c->next_plan.ports));
                c->next_plan.n_ports = c->cfg.n_ports;
                c->next_plan.ranked = true;
                return r < 0 ? r : c->pod_query ? 0 : EPP_ENOMEM;
        }
        snprintf(query, sizeof(query), "fieldSelector=metadata.name%%3D%s", c->pool_name);
        for (int i = 0; i < KINDS; i++) {
                bool pool = kinds[i].kobj == EPP_KOBJ_POOL;

                if (i == PODS || kinds[i].preferred >= 0 ||
                        (i == POOL_V1 && c->cfg.group == EPP_GROUP_X) ||
                        (i == POOL_X && c->cfg.group == EPP_GROUP_V1))
                        continue;
                if (!target(c, i, pool ? query : "", 0))
                        return EPP_ENOMEM;
        }
        return 0;
}

int
epp_cluster_new(const struct epp_cluster_config *cfg, struct epp_cluster **ret)
{
        struct epp_cluster *c = calloc(1, sizeof(*c));
        int r;

        if (!c)
                return EPP_ENOMEM;
        c->cfg = *cfg;
        c->cfg.ns = own(&c->ns, cfg->ns);
        c->cfg.pool_name = own(&c->pool_name, cfg->pool_name);
        c->cfg.selector = own(&c->selector, cfg->selector);
        r = c->ns && c->pool_name && c->selector ? epp_pods_new(cfg->pool, cfg->seed, &c->pods)
                                                 : EPP_ENOMEM;
        for (int i = 0; i < KINDS && r == 0; i++)
                r = start_kind(c, i);
        if (r == 0)
                r = start_targets(c);
        if (r < 0) {
                epp_cluster_free(c);
                return r;
        }
        *ret = c;
        return 0;
}

void
epp_cluster_free(struct epp_cluster *c)
{
        if (!c)
                return;
        for (int i = 0; i < KINDS; i++) {
                struct kind *k = &c->kind[i];

                epp_reflector_free(k->reflector);
                for (size_t n = 0; n < k->objects.size; n++)
                        if (k->objects.cells[n].value)
                                object_free(k->objects.cells[n].value);
                epp_map_fini(&k->objects);
        }
        epp_pods_free(c->pods);
        free(c->pod_query);
        free(c->ns);
        free(c->pool_name);
        free(c->selector);
        free(c);
}

struct epp_reflector *const *
epp_cluster_reflectors(const struct epp_cluster *c, size_t *ret_n)
{
        *ret_n = KINDS;
        return c->reflectors;
}

void
epp_cluster_tick(struct epp_cluster *c, epp_us now)
{
        if (c->pool_dirty && c->cfg.pool_name.n)
                follow_pool(c, now);
        if (!c->models_dirty)
                return;
        follow_groups(c, now);
        if (!c->built_at || now - c->built_at >= REBUILD)
                rebuild_models(c, now);
}

epp_us
epp_cluster_next(const struct epp_cluster *c)
{
        epp_us patience = !c->ready && c->waiting_since ? c->waiting_since + PATIENCE : INT64_MAX;

        return c->models_dirty ? EPP_MIN(c->built_at + REBUILD, patience) : patience;
}

/* ---- readiness ---- */

static const char * EPP_PRINTF(2, 3)
say(struct epp_cluster *c, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(c->why, sizeof(c->why), fmt, ap);
        va_end(ap);
        return c->why;
}

/* The first optional kind that is neither listed nor known to be missing. */
static const char *
unsettled(const struct epp_cluster *c)
{
        for (int i = MODELS; i < KINDS; i++)
                if (!is_settled(&c->kind[i]))
                        return kinds[i].plural;
        return NULL;
}

/* What nothing can be answered without, or NULL. */
static const char *
lacking(struct epp_cluster *c)
{
        if (c->cfg.pool_name.n && !c->pool) {
                bool settled = is_settled(&c->kind[POOL_V1]) && is_settled(&c->kind[POOL_X]);

                return settled ? say(c, "there is no InferencePool %s in namespace %s",
                                         c->pool_name, c->ns)
                               : say(c, "InferencePool %s has not been read yet", c->pool_name);
        }
        return epp_reflector_synced(c->kind[PODS].reflector) ? NULL
                                                             : "the pods have not been listed yet";
}

bool
epp_cluster_ready(struct epp_cluster *c, epp_us now, const char **why)
{
        const char *kind;

        *why = "";
        if (c->ready)
                return true;
        *why = lacking(c);
        if (*why) {
                c->waiting_since = 0; /* what is optional is waited for later */
                return false;
        }
        *why = "";
        if (!c->waiting_since)
                c->waiting_since = now;
        kind = unsettled(c);
        if (kind && now - c->waiting_since < PATIENCE) {
                *why = say(c, "the %s have not been listed yet", kind);
                return false;
        }
        if (kind)
                epp_log(c->cfg.log, EPP_LOG_WARN, "ready_without", LOG_T("kind", kind));
        if (c->models_dirty)
                rebuild_models(c, now);
        c->waiting_since = 0;
        c->ready = true;
        return true;
}

const struct epp_cluster_stats *
epp_cluster_stats(struct epp_cluster *c)
{
        c->stats.rejected = c->stats.foreign = 0;
        for (int i = 0; i < KINDS; i++) {
                c->stats.rejected += c->kind[i].stats.rejected;
                c->stats.foreign += c->kind[i].stats.foreign;
        }
        c->stats.pods = epp_pods_stats(c->pods)->known;
        c->stats.ready_pods = epp_pods_stats(c->pods)->ready;
        return &c->stats;
}

const struct epp_cluster_kind *
epp_cluster_kind(struct epp_cluster *c, size_t i)
{
        struct kind *k = &c->kind[i];

        k->stats.objects = i == PODS ? epp_pods_stats(c->pods)->known : k->objects.n;
        return &k->stats;
}
