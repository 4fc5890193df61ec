/* test_model.c - the pool, the models and their split, the map and the generator below them. */
#include "base/map.h"
#include "model/objective.h"
#include "model/pool.h"
#include "unit.h"

START_TEST(generator)
{
        struct epp_rng a, b;
        size_t count[10] = { 0 };

        epp_rng_init(&a, 42);
        epp_rng_init(&b, 42);
        for (int i = 0; i < 100000; i++) {
                uint64_t x = epp_rng_below(&a, 10);
                double u;

                ck_assert_uint_eq(x, epp_rng_below(&b, 10));
                count[x]++;
                u = epp_rng_unit(&a);
                ck_assert(u >= 0 && u < 1);
                (void)epp_rng_unit(&b);
        }
        for (size_t i = 0; i < 10; i++)
                ck_assert(count[i] > 9600 && count[i] < 10400); /* four sigma is 380 */
}
END_TEST

START_TEST(map_twin)
{
        struct epp_map m = { .seed = 5 };
        static char key[512][8];
        bool there[512] = { false };
        struct epp_rng r;
        size_t n = 0;

        epp_rng_init(&r, 1);
        for (size_t i = 0; i < 512; i++)
                snprintf(key[i], sizeof(key[i]), "k%zu", i);
        for (int round = 0; round < 200000; round++) {
                size_t i = epp_rng_below(&r, 512);
                struct epp_slice k = epp_slice_str(key[i]);

                if (epp_rng_below(&r, 2)) {
                        ck_assert_int_eq(epp_map_put(&m, k, key[i]), !there[i]);
                        n += !there[i];
                        there[i] = true;
                } else {
                        ck_assert_ptr_eq(epp_map_remove(&m, k), there[i] ? key[i] : NULL);
                        n -= there[i];
                        there[i] = false;
                }
                ck_assert_uint_eq(m.n, n);
                i = epp_rng_below(&r, 512);
                ck_assert_ptr_eq(epp_map_get(&m, epp_slice_str(key[i])), there[i] ? key[i] : NULL);
        }
        epp_map_fini(&m);
}
END_TEST

static int removed;

static void
on_remove(void *ctx, struct epp_endpoint *e)
{
        (void)ctx, (void)e;
        removed++;
}

START_TEST(pool)
{
        struct epp_pool *p;
        struct epp_ref a, b, c;
        size_t n;

        ck_assert_int_eq(epp_pool_new(1, &p), 0);
        epp_pool_on_remove(p, on_remove, NULL);
        ck_assert_int_eq(epp_pool_put(p, EPP_SLICE("a"), EPP_SLICE("1.2.3.4:80"), &a), 1);
        ck_assert_int_eq(epp_pool_put(p, EPP_SLICE("b"), EPP_SLICE("[fd00::1]:8000"), &b), 1);
        ck_assert_int_eq(epp_pool_put(p, EPP_SLICE("a"), EPP_SLICE("1.2.3.4:80"), &c), 0);
        ck_assert_uint_eq(a.gen, c.gen);
        ck_assert(epp_slice_eq(epp_pool_get(p, b)->ip, EPP_SLICE("fd00::1")));
        ck_assert_uint_eq(epp_pool_get(p, b)->port, 8000);
        ck_assert_int_eq(epp_pool_put(p, EPP_SLICE("a"), EPP_SLICE("1.2.3.5:80"), &c), 2);
        ck_assert_ptr_null(epp_pool_get(p, a));
        ck_assert_ptr_nonnull(epp_pool_get(p, c));
        ck_assert(epp_pool_remove(p, EPP_SLICE("a")));
        ck_assert(!epp_pool_remove(p, EPP_SLICE("a")));
        ck_assert_ptr_null(epp_pool_get(p, c));
        ck_assert_ptr_null(epp_pool_get(p, (struct epp_ref){ 99, 1 }));
        (void)epp_pool_list(p, &n);
        ck_assert_uint_eq(n, 1);
        ck_assert_int_eq(removed, 2);
        epp_pool_free(p);
        ck_assert_int_eq(removed, 3);
}
END_TEST

/* Endpoints come, move and go at random: the table is what a plain list says, and a reference
 * finds the endpoint it was made for or nothing. */
START_TEST(pool_twin)
{
        static struct {
                int port; /* 0: not there */
                struct epp_ref ref;
        } twin[64];
        static struct epp_ref old[4096];
        struct epp_pool *p;
        struct epp_rng r;
        size_t n_old = 0, n;

        epp_rng_init(&r, 3);
        ck_assert_int_eq(epp_pool_new(1, &p), 0);
        for (int round = 0; round < 50000; round++) {
                size_t i = epp_rng_below(&r, ARRAY_LEN(twin)), there = 0;
                int port = 1 + (int)epp_rng_below(&r, 3), had = twin[i].port, result;
                char name[24], addr[24];

                snprintf(name, sizeof(name), "e%zu", i);
                snprintf(addr, sizeof(addr), "10.0.0.1:%d", port);
                if (had && n_old < ARRAY_LEN(old))
                        old[n_old++] = twin[i].ref;
                if (epp_rng_below(&r, 2)) {
                        result = epp_pool_put(
                                p, epp_slice_str(name), epp_slice_str(addr), &twin[i].ref);
                        ck_assert_int_eq(result, !had ? 1 : had == port ? 0 : 2);
                        twin[i].port = port;
                } else {
                        ck_assert_int_eq(epp_pool_remove(p, epp_slice_str(name)), had != 0);
                        twin[i].port = 0;
                }
                for (size_t k = 0; k < ARRAY_LEN(twin); k++)
                        there += twin[k].port != 0;
                (void)epp_pool_list(p, &n);
                ck_assert_uint_eq(n, there);
                i = epp_rng_below(&r, ARRAY_LEN(twin));
                if (twin[i].port) {
                        struct epp_endpoint *e = epp_pool_get(p, twin[i].ref);

                        ck_assert_ptr_nonnull(e);
                        ck_assert_uint_eq(e->port, (unsigned)twin[i].port);
                        ck_assert_ptr_eq(epp_pool_list(p, &n)[e->index], e);
                }
        }
        for (size_t i = 0; i < n_old; i++) {
                struct epp_endpoint *e = epp_pool_get(p, old[i]);
                bool lives = false;

                for (size_t k = 0; k < ARRAY_LEN(twin); k++)
                        lives |= twin[k].port && twin[k].ref.slot == old[i].slot &&
                                 twin[k].ref.gen == old[i].gen;
                ck_assert_int_eq(e != NULL, lives);
        }
        epp_pool_free(p);
}
END_TEST

START_TEST(addresses)
{
        static const char *const bad[] = { "", "1.2.3.4", "1.2.3.4:", "1.2.3.4:0", "1.2.3.4:65536",
                "1.2.3:80", "fd00::1:80", "[fd00::1]", "[1.2.3.4]:80", "host:80", "1.2.3.4:8a",
                ":80",
                "[]:80", "1.2.3.4:-1", "1.2.3.4:999999999999" };
        struct epp_slice ip;
        unsigned port;

        for (size_t i = 0; i < ARRAY_LEN(bad); i++)
                ck_assert_msg(!epp_addr_split(epp_slice_str(bad[i]), &ip, &port), "%s", bad[i]);
        ck_assert(epp_addr_split(EPP_SLICE("[::1]:65535"), &ip, &port));
        ck_assert_uint_eq(port, 65535);
}
END_TEST

static void
draws(const uint32_t *weights, size_t n, const double *expect)
{
        static const char *const names[] = { "a", "b", "c" };
        struct epp_target t[3];
        struct epp_models *m;
        struct epp_rng r;
        size_t count[3] = { 0 };

        for (size_t i = 0; i < n; i++)
                t[i] = (struct epp_target){ epp_slice_str(names[i]), weights[i], 0 };
        ck_assert_int_eq(epp_models_new(1, &m), 0);
        ck_assert_int_eq(epp_models_add(m, EPP_SLICE("m"), EPP_CRITICAL, t, n), 0);
        ck_assert_int_eq(epp_models_add(m, EPP_SLICE("m"), EPP_CRITICAL, NULL, 0), EPP_EINVAL);
        ck_assert_ptr_null(epp_models_find(m, EPP_SLICE("M")));
        epp_rng_init(&r, 3);
        for (int i = 0; i < 20000; i++)
                count[epp_model_draw(epp_models_find(m, EPP_SLICE("m")), &r)->name.p[0] - 'a']++;
        for (size_t i = 0; i < n; i++)
                ck_assert_msg(count[i] > expect[i] * 20000 - 300 &&
                        count[i] < expect[i] * 20000 + 300,
                        "%zu: %zu", i, count[i]);
        epp_models_free(m);
}

START_TEST(split)
{
        draws((uint32_t[]){ 1, 2, 7 }, 3, (double[]){ .1, .2, .7 });
        draws((uint32_t[]){ 0, 2, 7 }, 3, (double[]){ 1 / 3., 1 / 3., 1 / 3. });
        draws((uint32_t[]){ 3, 0, 1 }, 3, (double[]){ .75, 0, .25 });
        draws((uint32_t[]){ 0 }, 1, (double[]){ 1 });
}
END_TEST

UNIT_MAIN("model", generator, map_twin, pool, pool_twin, addresses, split)
