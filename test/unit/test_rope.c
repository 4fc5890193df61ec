/* test_rope.c - bytes come out as they went in, however they are cut; pieces go one by one. */
#include "base/rng.h"
#include "base/rope.h"
#include "unit.h"

static char noise[5 << 20];

/* The next <n> bytes are those of noise + at. */
static void
read_back(const struct epp_rope *r, struct epp_rope_at *at, size_t from, size_t n)
{
        while (n) {
                struct epp_slice s = epp_rope_next(r, at, n);

                ck_assert_uint_gt(s.n, 0);
                ck_assert_mem_eq(s.p, noise + from, s.n);
                from += s.n, n -= s.n;
        }
}

START_TEST(in_and_out)
{
        static const size_t most[] = { 1, 300, 20000, 3 << 20 };
        struct epp_rng rng;

        epp_rng_init(&rng, 3);
        for (size_t i = 0; i < sizeof(noise); i++)
                noise[i] = (char)epp_rng_next(&rng);
        for (int round = 0; round < 200; round++) {
                size_t total = epp_rng_below(&rng, round % 4 ? 70000 : sizeof(noise)), pos = 0;
                struct epp_rope_at at = { 0 };
                struct epp_rope r = { 0 };

                while (r.n < total) {
                        size_t n = 1 + epp_rng_below(&rng, most[epp_rng_below(&rng, 4)]);

                        n = EPP_MIN(n, total - r.n);
                        ck_assert_int_eq(epp_rope_append(&r, epp_slice(noise + r.n, n)), 0);
                }
                while (pos < total) {
                        size_t n = 1 + epp_rng_below(&rng, most[epp_rng_below(&rng, 4)]);

                        n = EPP_MIN(n, total - pos);
                        if (epp_rng_below(&rng, 3))
                                read_back(&r, &at, pos, n);
                        else
                                epp_rope_skip(&r, &at, n);
                        pos += n;
                        epp_rope_release(&r, &at);
                        ck_assert_uint_le(r.gone, pos);
                        ck_assert_uint_le(pos - r.gone, EPP_ROPE_PIECE);
                }
                ck_assert_uint_eq(epp_rope_next(&r, &at, 1).n, 0);
                ck_assert_uint_eq(r.n, total);
                epp_rope_fini(&r, NULL);
        }
}
END_TEST

START_TEST(limits)
{
        struct epp_rope r = { .cap = 10 };
        struct epp_rope_at at = { 0 };

        ck_assert_uint_eq(epp_rope_next(&r, &at, 5).n, 0);
        epp_rope_release(&r, &at);
        ck_assert_int_eq(epp_rope_append(&r, EPP_SLICE("0123456789")), 0);
        ck_assert_int_eq(epp_rope_append(&r, EPP_SLICE("x")), EPP_ETOOBIG);
        ck_assert_int_eq(epp_rope_append(&r, EPP_SLICE("")), 0);
        ck_assert_uint_eq(r.n, 10);
        ck_assert(epp_slice_eq(epp_rope_next(&r, &at, 4), EPP_SLICE("0123")));
        epp_rope_skip(&r, &at, 2);
        ck_assert(epp_slice_eq(epp_rope_next(&r, &at, 99), EPP_SLICE("6789")));
        epp_rope_fini(&r, NULL);
        ck_assert_uint_eq(r.cap, 10);
        ck_assert_int_eq(epp_rope_append(&r, EPP_SLICE("again")), 0);
        epp_rope_fini(&r, NULL);
}
END_TEST

/* What was announced is had at once and does not move as it grows; nobody believes it all. */
START_TEST(announced)
{
        static const size_t hints[] = { 0, 100, 400000, 1 << 20, 1 << 30 };

        for (size_t i = 0; i < ARRAY_LEN(hints); i++) {
                struct epp_rope r = { .hint = hints[i] };
                struct epp_rope_at at = { 0 };
                void *between[400]; /* what grows could grow in place without */
                const char *first;
                size_t moved = 0, n = 0;

                ck_assert_int_eq(epp_rope_append(&r, epp_slice(noise, 1)), 0);
                first = epp_rope_next(&r, &at, 1).p;
                while (r.n + 999 < 400000) {
                        between[n++] = malloc(1000);
                        ck_assert_int_eq(epp_rope_append(&r, epp_slice(noise + r.n, 999)), 0);
                        at = (struct epp_rope_at){ 0 };
                        moved += epp_rope_next(&r, &at, 1).p != first;
                }
                ck_assert_msg((moved == 0) == (hints[i] >= 400000), "hint %zu moved %zu", hints[i], moved);
                at = (struct epp_rope_at){ 0 };
                read_back(&r, &at, 0, r.n);
                epp_rope_fini(&r, NULL);
                while (n)
                        free(between[--n]);
        }
}
END_TEST

static void
on_opened(void *ctx)
{
        ++*(int *)ctx;
}

/* Small ones are freed at once; of large ones so many as was said, and the owner is told once. */
START_TEST(buried)
{
        int opened = 0, left = 5;
        struct epp_grave g = { .opened = on_opened, .ctx = &opened };
        struct epp_rope r = { .cap = 7 << 20 };

        epp_grave_bury(&g, malloc(2 << 20), 2 << 20); /* it is not open */
        g.open = true;
        epp_grave_bury(&g, NULL, 2 << 20);
        epp_grave_bury(&g, malloc(100), 100);
        ck_assert_int_eq(opened, 0);
        for (int i = 0; i < 5; i++)
                epp_grave_bury(&g, malloc(2 << 20), 2 << 20);
        ck_assert_int_eq(opened, 1);
        while (epp_grave_reap(&g, 1))
                left--;
        ck_assert_int_eq(left, 1);
        for (int i = 0; i < 7; i++)
                ck_assert_int_eq(epp_rope_append(&r, epp_slice(noise, 1 << 20)), 0);
        epp_rope_fini(&r, &g);
        ck_assert_int_eq(opened, 2);
        ck_assert_uint_eq(r.cap, 7 << 20);
        ck_assert_uint_eq(r.n, 0);
        ck_assert(epp_grave_reap(&g, (7u << 20) / EPP_ROPE_PIECE)); /* and one that is not full */
        ck_assert(!epp_grave_reap(&g, 1));
        epp_grave_bury(NULL, malloc(2 << 20), 2 << 20);
}
END_TEST

/* A place at the very end goes on when more comes. */
START_TEST(grows_behind)
{
        struct epp_rope_at at = { 0 };
        struct epp_rope r = { 0 };

        for (size_t n = 0; n < sizeof(noise); n += 65536) {
                ck_assert_int_eq(epp_rope_append(&r, epp_slice(noise + n, 65536)), 0);
                if (n < EPP_ROPE_PIECE)
                        at = (struct epp_rope_at){ 0 }, epp_rope_skip(&r, &at, n); /* it moves yet */
                read_back(&r, &at, n, 65536);
                epp_rope_release(&r, &at);
        }
        epp_rope_fini(&r, NULL);
}
END_TEST

UNIT_MAIN("rope", in_and_out, announced, buried, limits, grows_behind)
