/* model_pool.c - the pool and the map under it against naive twins: long random sequences of
 * operations, everything compared after each. */
#include "base/map.h"
#include "base/rng.h"
#include "model/pool.h"
#include "unit/unit.h"

/* As ck_assert, which tells its parent of each call: too slow for some ten million. */
#define MUST(x) \
        do { \
                if (!(x)) \
                        ck_abort_msg("%s", #x); \
        } while (0)

#define NAMES 12
#define REFS 512

/* The twin: what is there, in no order, and every reference that was ever given out. */
static struct {
        bool there[NAMES];
        const char *addr[NAMES];
        struct epp_ref ref[NAMES];
        uint64_t mark[NAMES];
        struct epp_ref old[REFS];
        size_t n, n_old, removals;
        uint64_t version, marks;
        const char *going; /* the name whose removal is expected */
} twin;

static const char *const addrs[] = { "10.0.0.1:80", "10.0.0.1:81", "10.0.0.2:80", "[::1]:80",
        "[2001:db8::1]:65535" };
static const char *const bad_addrs[] = { "", "10.0.0.1", "10.0.0.1:0", "10.0.0.1:65536", "::1:80",
        "[::1]80", "host:80", "10.0.0.256:80", "10.0.0.1:8x", ":80", "[]:80" };

static struct epp_slice
name_of(size_t i)
{
        static char names[NAMES][8];

        snprintf(names[i], sizeof(names[i]), "e%zu", i);
        return epp_slice_str(names[i]);
}

static void
on_remove(void *ctx, struct epp_endpoint *e)
{
        (void)ctx;
        MUST(twin.going != NULL);
        MUST(epp_slice_eq(e->name, epp_slice_str(twin.going)));
        twin.going = NULL;
        twin.removals++;
}

static void
retire(size_t i)
{
        twin.old[twin.n_old++ % REFS] = twin.ref[i];
        twin.there[i] = false;
        twin.n--;
}

static void
do_put(struct epp_pool *p, struct epp_rng *rng)
{
        size_t i = epp_rng_below(rng, NAMES);
        bool bad = epp_rng_below(rng, 8) == 0;
        const char *addr = bad ? bad_addrs[epp_rng_below(rng, ARRAY_LEN(bad_addrs))]
                               : addrs[epp_rng_below(rng, ARRAY_LEN(addrs))];
        struct epp_ref ref = { 7777, 7777 };
        int r, expect = bad ? EPP_EINVAL : !twin.there[i] ? 1 : strcmp(twin.addr[i], addr) ? 2 : 0;

        twin.going = expect == 2 ? name_of(i).p : NULL;
        r = epp_pool_put(p, name_of(i), epp_slice_str(addr), &ref);
        MUST(r == expect);
        MUST(twin.going == NULL);
        if (expect == EPP_EINVAL)
                MUST(ref.slot == 7777);
        if (expect == 2)
                retire(i);
        if (expect == 1 || expect == 2) {
                struct epp_endpoint *e = epp_pool_get(p, ref);

                MUST(e != NULL);
                MUST(e->load.at == 0 && e->inflight == 0 && e->picks == 0 && !e->user);
                e->picks = twin.mark[i] = ++twin.marks;
                twin.there[i] = true;
                twin.addr[i] = addr;
                twin.ref[i] = ref;
                twin.n++;
        }
        if (expect == 0)
                MUST(ref.slot == twin.ref[i].slot && ref.gen == twin.ref[i].gen);
}

static void
do_remove(struct epp_pool *p, struct epp_rng *rng)
{
        size_t i = epp_rng_below(rng, NAMES);

        twin.going = twin.there[i] ? name_of(i).p : NULL;
        MUST(epp_pool_remove(p, name_of(i)) == twin.there[i]);
        MUST(twin.going == NULL);
        if (twin.there[i])
                retire(i);
}

static void
compare_one(struct epp_pool *p, size_t i, struct epp_endpoint *const *list)
{
        struct epp_endpoint *e = epp_pool_find(p, name_of(i));
        struct epp_slice ip;
        unsigned port;

        MUST((e != NULL) == twin.there[i]);
        if (!e)
                return;
        MUST(epp_pool_get(p, twin.ref[i]) == e);
        MUST(list[e->index] == e);
        MUST(epp_slice_eq(e->name, name_of(i)));
        MUST(epp_slice_eq(e->addr, epp_slice_str(twin.addr[i])));
        MUST(epp_addr_split(e->addr, &ip, &port));
        MUST(epp_slice_eq(e->ip, ip) && e->port == port);
        MUST(e->picks == twin.mark[i]); /* it is the very one that was put */
}

static void
compare(struct epp_pool *p)
{
        struct epp_endpoint *const *list;
        uint64_t version = epp_pool_version(p);
        size_t n;

        list = epp_pool_list(p, &n);
        MUST(n == twin.n);
        for (size_t i = 0; i < NAMES; i++)
                compare_one(p, i, list);
        for (size_t i = 0; i < EPP_MIN(twin.n_old, (size_t)REFS); i++)
                MUST(epp_pool_get(p, twin.old[i]) == NULL);
        MUST(epp_pool_get(p, (struct epp_ref){ 1u << 20, 1 }) == NULL);
        MUST(version >= twin.version);
        twin.version = version;
}

START_TEST(pool)
{
        for (uint64_t seed = 1; seed <= 60; seed++) {
                struct epp_pool *p;
                struct epp_rng rng;

                memset(&twin, 0, sizeof(twin));
                epp_rng_init(&rng, seed);
                MUST(epp_pool_new(seed, &p) == 0);
                epp_pool_on_remove(p, on_remove, NULL);
                for (int op = 0; op < 400; op++) {
                        uint64_t before = epp_pool_version(p);
                        size_t n = twin.n, gone = twin.removals;

                        if (epp_rng_below(&rng, 5) < 3)
                                do_put(p, &rng);
                        else
                                do_remove(p, &rng);
                        MUST((epp_pool_version(p) != before) ==
                                (twin.n != n || twin.removals != gone));
                        compare(p);
                }
                epp_pool_on_remove(p, NULL, NULL);
                epp_pool_free(p);
        }
}
END_TEST

/* The map: many keys that share their first cells, so that deletion has to shift. */
#define KEYS 40

static void
map_step(struct epp_map *m, struct epp_rng *rng, void **values)
{
        static char keys[KEYS][8], cells[64];
        size_t i = epp_rng_below(rng, KEYS), n = 0;
        struct epp_slice k;
        void *v = &cells[epp_rng_below(rng, sizeof(cells))];

        snprintf(keys[i], sizeof(keys[i]), "%zu", i);
        k = epp_slice_str(keys[i]);
        if (epp_rng_below(rng, 2)) {
                MUST(epp_map_put(m, k, v) == (values[i] == NULL));
                values[i] = v;
        } else {
                MUST(epp_map_remove(m, k) == values[i]);
                values[i] = NULL;
        }
        for (i = 0; i < KEYS; i++) {
                snprintf(keys[i], sizeof(keys[i]), "%zu", i);
                MUST(epp_map_get(m, epp_slice_str(keys[i])) == values[i]);
                n += values[i] != NULL;
        }
        MUST(m->n == n);
}

START_TEST(map)
{
        for (uint64_t seed = 1; seed <= 60; seed++) {
                struct epp_map m = { .seed = seed };
                void *values[KEYS] = { NULL };
                struct epp_rng rng;

                epp_rng_init(&rng, seed);
                for (int op = 0; op < 1000; op++)
                        map_step(&m, &rng, values);
                epp_map_fini(&m);
        }
}
END_TEST

UNIT_MAIN("model_pool", map, pool)
