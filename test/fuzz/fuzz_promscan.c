/* fuzz_promscan.c - metrics pages: cut in two places, the samples and counts are those of the
 * whole; what they fold into is in its limits. */
#include "fuzz.h"
#include "model/load.h"
#include "wire/promscan.h"

#include <math.h>
#include <xxhash.h>

struct seen {
        struct epp_load_fold fold;
        uint64_t hash;
};

static void
on_sample(void *arg, unsigned family, const struct epp_slice *labels, size_t n, double value,
        int64_t ts)
{
        struct seen *s = arg;

        s->hash = XXH3_64bits_withSeed(&value, sizeof(value), s->hash + family);
        s->hash = XXH3_64bits_withSeed(&ts, sizeof(ts), s->hash);
        for (size_t i = 0; i < 2 * n; i++)
                s->hash = XXH3_64bits_withSeed(labels[i].p, labels[i].n, s->hash);
        epp_load_fold_sample(&s->fold, family, labels, n, value, ts);
}

static uint64_t
scan(struct seen *s, const struct epp_slice *piece, size_t n, struct epp_load *l)
{
        static struct epp_promscan p;
        uint64_t sum;

        s->hash = 0;
        epp_load_fold_init(&s->fold, epp_load_spec_default());
        EPP_ASSERT(epp_promscan_init(&p, s->fold.names, s->fold.n_names, on_sample, s) == 0);
        epp_load_fold_begin(&s->fold, 1, 1700000000 * (epp_wall)1000000);
        for (size_t i = 0; i < n; i++)
                EPP_ASSERT(epp_promscan_feed(&p, piece[i]) == 0);
        EPP_ASSERT(epp_promscan_end(&p, true) == 0);
        EPP_ASSERT(epp_load_fold_end(&s->fold, l) >= 0);
        EPP_ASSERT(l->waiting >= 0 && l->waiting <= INT32_MAX && l->running >= 0 &&
                isfinite(l->kv_ratio) && l->kv_ratio >= 0 && l->kv_ratio <= 100 &&
                l->max_lora >= 0 && l->block_size >= 0 && l->blocks >= 0);
        sum = s->hash ^ (p.errors << 40) ^ (p.samples << 20) ^ p.lines;
        epp_promscan_fini(&p);
        epp_load_fold_fini(&s->fold);
        return sum;
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
        size_t a = n ? p[0] * n / 256 : 0, b = a + (n ? p[n - 1] * (n - a) / 256 : 0);
        char *x = fuzz_copy(p, n), *y = fuzz_copy(p, a), *z = fuzz_copy(p + a, b - a);
        char *last = fuzz_copy(p + b, n - b);
        struct epp_slice whole = epp_slice(x, n);
        struct epp_slice cut[] = { epp_slice(y, a), epp_slice(z, b - a), epp_slice(last, n - b) };
        struct epp_load one = { 0 }, other = { 0 };
        struct seen s;

        EPP_ASSERT(scan(&s, &whole, 1, &one) == scan(&s, cut, 3, &other));
        EPP_ASSERT(one.waiting == other.waiting && one.kv_ratio == other.kv_ratio);
        epp_load_fini(&one);
        epp_load_fini(&other);
        free(x);
        free(y);
        free(z);
        free(last);
        return 0;
}
