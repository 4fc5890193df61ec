/* fuzz_jscan.c - bodies: cut in two places, the result is the same as whole. */
#include "fuzz.h"
#include "wire/jscan.h"

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
        static struct epp_jscan whole, cut;
        size_t a = n ? p[0] * n / 256 : 0, b = a + (n ? p[n - 1] * (n - a) / 256 : 0);
        char *x = fuzz_copy(p, n), *y = fuzz_copy(p, a), *z = fuzz_copy(p + a, b - a);
        char *last = fuzz_copy(p + b, n - b);

        epp_jscan_init(&whole);
        epp_jscan_feed(&whole, epp_slice(x, n));
        epp_jscan_end(&whole);
        epp_jscan_init(&cut);
        epp_jscan_feed(&cut, epp_slice(y, a));
        epp_jscan_feed(&cut, epp_slice(z, b - a));
        epp_jscan_feed(&cut, epp_slice(last, n - b));
        epp_jscan_end(&cut);
        EPP_ASSERT(whole.error == cut.error && whole.error_at == cut.error_at);
        EPP_ASSERT(whole.n_spans == cut.n_spans && whole.conflict == cut.conflict);
        EPP_ASSERT(epp_slice_eq(epp_jscan_model(&whole), epp_jscan_model(&cut)));
        EPP_ASSERT(whole.model_state == cut.model_state && whole.top == cut.top);
        for (int k = 0; k < EPP_JK_COUNT; k++) {
                const struct epp_jfield *f = &whole.field[k], *g = &cut.field[k];

                EPP_ASSERT(f->type == g->type && f->span.at == g->span.at && f->span.len == g->span.len);
                EPP_ASSERT(f->items == g->items && f->is_true == g->is_true && f->odd_ids == g->odd_ids);
        }
        for (size_t i = 0; i < EPP_MIN(whole.n_spans, (size_t)EPP_JSCAN_SPANS); i++)
                EPP_ASSERT(whole.spans[i].at + whole.spans[i].len <= n);
        free(x);
        free(y);
        free(z);
        free(last);
        return 0;
}
