/* pool.c - see pool.h. Endpoints live in slots; a freed slot is used again with the next
 * generation, so an old reference never finds a newcomer. */
#include "model/pool.h"

#include "base/map.h"

struct slot {
        struct epp_endpoint *e; /* NULL: free */
        uint32_t gen;
};

struct epp_pool {
        struct slot *slots;
        size_t n_slots, first_free; /* no slot below it is free */
        struct epp_endpoint **list;
        size_t n, size;
        struct epp_map names;
        uint64_t version;
        void (*on_remove)(void *ctx, struct epp_endpoint *e);
        void *on_remove_ctx;
};

int
epp_pool_new(uint64_t seed, struct epp_pool **ret)
{
        struct epp_pool *p = calloc(1, sizeof(*p));

        if (!p)
                return EPP_ENOMEM;
        p->names.seed = seed;
        *ret = p;
        return 0;
}

void
epp_pool_free(struct epp_pool *p)
{
        if (!p)
                return;
        while (p->n)
                epp_pool_remove(p, p->list[p->n - 1]->name);
        epp_map_fini(&p->names);
        free(p->list);
        free(p->slots);
        free(p);
}

static int
grow_list(struct epp_pool *p)
{
        size_t size = p->size ? p->size * 2 : 16;
        struct epp_endpoint **list = realloc(p->list, size * sizeof(struct epp_endpoint *));

        if (!list)
                return EPP_ENOMEM;
        p->list = list;
        p->size = size;
        return 0;
}

/* A free slot's index; the slots grow by one when none is free. */
static int
take_slot(struct epp_pool *p, uint32_t *ret)
{
        struct slot *slots;

        for (; p->first_free < p->n_slots; p->first_free++) {
                if (!p->slots[p->first_free].e) {
                        *ret = (uint32_t)p->first_free;
                        return 0;
                }
        }
        slots = realloc(p->slots, (p->n_slots + 1) * sizeof(*slots));
        if (!slots)
                return EPP_ENOMEM;
        p->slots = slots;
        slots[p->n_slots] = (struct slot){ NULL, 1 };
        *ret = (uint32_t)p->n_slots++;
        return 0;
}

/* One block holds the endpoint and its texts. */
static struct epp_endpoint *
endpoint_new(struct epp_slice name, struct epp_slice addr, struct epp_slice ip, unsigned port)
{
        struct epp_endpoint *e = calloc(1, sizeof(*e) + name.n + addr.n);
        char *text;

        if (!e)
                return NULL;
        text = (char *)(e + 1);
        memcpy(text, addr.p, addr.n);
        if (name.n)
                memcpy(text + addr.n, name.p, name.n);
        e->addr = epp_slice(text, addr.n);
        e->name = epp_slice(text + addr.n, name.n);
        e->ip = epp_slice(text + (ip.p - addr.p), ip.n);
        e->port = port;
        return e;
}

static int
add(struct epp_pool *p, struct epp_endpoint *e)
{
        uint32_t slot;

        if ((p->n == p->size && grow_list(p) < 0) || take_slot(p, &slot) < 0 ||
                epp_map_put(&p->names, e->name, e) < 0)
                return EPP_ENOMEM;
        e->ref = (struct epp_ref){ slot, p->slots[slot].gen };
        p->slots[slot].e = e;
        e->index = p->n;
        p->list[p->n++] = e;
        p->version++;
        return 1;
}

int
epp_pool_put(struct epp_pool *p, struct epp_slice name, struct epp_slice addr,
        struct epp_ref *ret_ref)
{
        struct epp_endpoint *old = epp_pool_find(p, name), *e;
        struct epp_slice ip;
        unsigned port;
        int r;

        if (name.n == 0 || !epp_addr_split(addr, &ip, &port))
                return EPP_EINVAL;
        if (old && epp_slice_eq(old->addr, addr)) {
                if (ret_ref)
                        *ret_ref = old->ref;
                return 0;
        }
        e = endpoint_new(name, addr, ip, port);
        if (!e)
                return EPP_ENOMEM;
        if (old)
                epp_pool_remove(p, name);
        r = add(p, e);
        if (r < 0) {
                free(e);
                return r;
        }
        if (ret_ref)
                *ret_ref = e->ref;
        return old ? 2 : 1;
}

bool
epp_pool_remove(struct epp_pool *p, struct epp_slice name)
{
        struct epp_endpoint *e = epp_map_remove(&p->names, name), *last;

        if (!e)
                return false;
        if (p->on_remove)
                p->on_remove(p->on_remove_ctx, e);
        last = p->list[--p->n];
        p->list[e->index] = last;
        last->index = e->index;
        p->slots[e->ref.slot] = (struct slot){ NULL, e->ref.gen + 1 };
        p->first_free = EPP_MIN(p->first_free, (size_t)e->ref.slot);
        p->version++;
        epp_load_fini(&e->load);
        free(e);
        return true;
}

struct epp_endpoint *
epp_pool_find(const struct epp_pool *p, struct epp_slice name)
{
        return epp_map_get(&p->names, name);
}

struct epp_endpoint *
epp_pool_get(const struct epp_pool *p, struct epp_ref ref)
{
        if (ref.slot >= p->n_slots || p->slots[ref.slot].gen != ref.gen)
                return NULL;
        return p->slots[ref.slot].e;
}

struct epp_endpoint *const *
epp_pool_list(const struct epp_pool *p, size_t *ret_n)
{
        *ret_n = p->n;
        return p->list;
}

uint64_t
epp_pool_version(const struct epp_pool *p)
{
        return p->version;
}

void
epp_pool_on_remove(struct epp_pool *p, void (*fn)(void *ctx, struct epp_endpoint *e), void *ctx)
{
        p->on_remove = fn;
        p->on_remove_ctx = ctx;
}
