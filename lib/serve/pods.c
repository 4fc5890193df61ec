/* pods.c - see pods.h. */
#include "serve/pods.h"

#include "base/map.h"

struct pod {
        struct pod *next, *prev;
        struct epp_slice name, uid, version; /* in text */
        struct epp_slice ip;                 /* empty: no candidate */
        uint8_t published; /* bit per rank: there is such an endpoint */
        unsigned generation;
        bool ready, restricted;
        bool other;        /* published holds the endpoints of another pod of this name */
        unsigned active[EPP_KPOD_PORTS];
        size_t n_active;
        char text[];
};

struct epp_pods {
        struct epp_pool *pool;
        struct epp_pods_plan plan;
        struct epp_map map;
        struct pod *first;
        unsigned generation;
        bool hold;
        struct epp_pods_stats stats;
};

int
epp_pods_new(struct epp_pool *pool, uint64_t seed, struct epp_pods **ret)
{
        struct epp_pods *p = calloc(1, sizeof(*p));

        if (!p)
                return EPP_ENOMEM;
        p->pool = pool;
        p->map.seed = seed;
        *ret = p;
        return 0;
}

void
epp_pods_free(struct epp_pods *p)
{
        if (!p)
                return;
        for (struct pod *pod = p->first, *next; pod; pod = next) {
                next = pod->next;
                free(pod);
        }
        epp_map_fini(&p->map);
        free(p);
}

/* ---- publishing ---- */

static struct epp_slice
endpoint_name(const struct epp_pods *p, const struct pod *pod, size_t rank, char *buf, size_t size)
{
        int n;

        if (!p->plan.ranked)
                return pod->name;
        n = snprintf(buf, size, SLICE_FMT "-rank-%zu", SLICE_ARG(pod->name), rank);
        return epp_slice(buf, (size_t)n);
}

static uint8_t
wanted(const struct epp_pods *p, const struct pod *pod)
{
        uint8_t bits = 0;

        if (!pod->ready || !pod->ip.n)
                return 0;
        for (size_t i = 0; i < p->plan.n_ports; i++) {
                bool on = !pod->restricted;

                for (size_t k = 0; k < pod->n_active && !on; k++)
                        on = pod->active[k] == p->plan.ports[i];
                bits |= on ? (uint8_t)(1u << i) : 0;
        }
        return bits;
}

static void
unpublish(struct epp_pods *p, struct pod *pod)
{
        char name[320];

        for (size_t i = 0; i < EPP_KPOD_PORTS; i++)
                if (pod->published & 1u << i)
                        epp_pool_remove(p->pool, endpoint_name(p, pod, i, name, sizeof(name)));
        pod->published = 0;
        pod->other = false;
}

/* Brings the pool in line with one pod. Returns as epp_pods_put. */
static int
publish(struct epp_pods *p, struct pod *pod)
{
        uint8_t now = wanted(p, pod);
        char name[320], addr[80];
        int changed = 0;

        if (pod->other)
                unpublish(p, pod);
        for (size_t i = 0; i < EPP_KPOD_PORTS; i++) {
                bool v6 = pod->ip.n && memchr(pod->ip.p, ':', pod->ip.n);
                struct epp_slice n;
                int r;

                if (!((now | pod->published) & 1u << i))
                        continue; /* most pods of a large pool are not ready */
                n = endpoint_name(p, pod, i, name, sizeof(name));
                if (now & 1u << i) {
                        snprintf(addr, sizeof(addr), v6 ? "[" SLICE_FMT "]:%u" : SLICE_FMT ":%u",
                                SLICE_ARG(pod->ip), p->plan.ports[i]);
                        r = epp_pool_put(p->pool, n, epp_slice_str(addr), NULL);
                        if (r < 0)
                                return r;
                        changed |= r > 0;
                        pod->published |= (uint8_t)(1u << i);
                } else {
                        epp_pool_remove(p->pool, n);
                        pod->published &= (uint8_t)~(1u << i);
                        changed = 1;
                }
        }
        return changed;
}

static void
publish_all(struct epp_pods *p)
{
        for (struct pod *pod = p->first; pod; pod = pod->next)
                (void)publish(p, pod); /* out of memory: the next list repairs it */
}

void
epp_pods_plan(struct epp_pods *p, const struct epp_pods_plan *plan)
{
        if (p->plan.ranked != plan->ranked)
                for (struct pod *pod = p->first; pod; pod = pod->next)
                        unpublish(p, pod);
        p->plan = *plan;
        if (!p->hold)
                publish_all(p);
}

/* ---- pods ---- */

static void
drop(struct epp_pods *p, struct pod *pod)
{
        unpublish(p, pod);
        epp_map_remove(&p->map, pod->name);
        if (pod->prev)
                pod->prev->next = pod->next;
        else
                p->first = pod->next;
        if (pod->next)
                pod->next->prev = pod->prev;
        p->stats.known--;
        p->stats.ready -= pod->ready;
        free(pod);
}

static struct epp_slice
copy(char **at, struct epp_slice s)
{
        struct epp_slice out = { *at, s.n };

        if (s.n)
                memcpy(*at, s.p, s.n);
        *at += s.n;
        return out;
}

static struct pod *
make(const struct epp_kpod *k, unsigned generation)
{
        struct pod *pod = calloc(1, sizeof(*pod) + k->name.n + k->uid.n + k->version.n + k->ip.n);
        char *at;

        if (!pod)
                return NULL;
        at = pod->text;
        pod->name = copy(&at, k->name);
        pod->uid = copy(&at, k->uid);
        pod->version = copy(&at, k->version);
        pod->ip = copy(&at, k->ip);
        pod->generation = generation;
        pod->ready = k->ready && !k->terminating;
        pod->restricted = k->restricted;
        memcpy(pod->active, k->active, sizeof(pod->active));
        pod->n_active = k->n_active;
        return pod;
}

/* Puts <pod> into the places of <old> (may be NULL), whose endpoints it takes over. */
static int
replace(struct epp_pods *p, struct pod *old, struct pod *pod)
{
        if (epp_map_put(&p->map, pod->name, pod) < 0)
                return EPP_ENOMEM;
        if (old) {
                pod->published = old->published;
                pod->next = old->next;
                pod->prev = old->prev;
                p->stats.ready -= old->ready;
                free(old);
        } else {
                pod->next = p->first;
                pod->prev = NULL;
                p->stats.known++;
        }
        if (pod->next)
                pod->next->prev = pod;
        if (pod->prev)
                pod->prev->next = pod;
        else
                p->first = pod;
        p->stats.ready += pod->ready;
        return 0;
}

int
epp_pods_put(struct epp_pods *p, const struct epp_kpod *k)
{
        struct pod *old = epp_map_get(&p->map, k->name), *pod;
        bool other = old && !epp_slice_eq(old->uid, k->uid);

        if (other && !p->hold) {
                drop(p, old);
                old = NULL;
                other = false;
        }
        if (old && !other && epp_slice_eq(old->version, k->version)) {
                old->generation = p->generation;
                return 0;
        }
        pod = make(k, p->generation);
        if (pod)
                pod->other = other || (old && old->other);
        if (!pod || replace(p, old, pod) < 0) {
                free(pod);
                return EPP_ENOMEM;
        }
        return p->hold ? 0 : publish(p, pod);
}

void
epp_pods_gone(struct epp_pods *p, const struct epp_kpod *k)
{
        struct pod *pod = epp_map_get(&p->map, k->name);

        if (pod && epp_slice_eq(pod->uid, k->uid))
                drop(p, pod);
}

void
epp_pods_begin(struct epp_pods *p, bool hold)
{
        p->generation++;
        p->hold |= hold;
}

void
epp_pods_synced(struct epp_pods *p, const struct epp_pods_plan *plan)
{
        for (struct pod *pod = p->first, *next; pod; pod = next) {
                next = pod->next;
                if (pod->generation != p->generation) {
                        drop(p, pod);
                        p->stats.swept++;
                }
        }
        p->hold = false;
        if (plan)
                epp_pods_plan(p, plan);
        else
                publish_all(p); /* unchanged pods, too: one may have been lost for want of memory */
}

void
epp_pods_clear(struct epp_pods *p)
{
        while (p->first)
                drop(p, p->first);
        p->hold = false;
}

const struct epp_pods_stats *
epp_pods_stats(const struct epp_pods *p)
{
        return &p->stats;
}
