/* fuzz_sse.c - responses: usage and event count do not depend on the cut. */
#include "fuzz.h"
#include "wire/sse.h"

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
        struct epp_sse whole, cut;
        size_t a = n ? p[0] * n / 256 : 0;
        char *x = fuzz_copy(p, n), *y = fuzz_copy(p, a), *z = fuzz_copy(p + a, n - a);

        epp_sse_init(&whole);
        epp_sse_feed(&whole, epp_slice(x, n));
        epp_sse_end(&whole);
        epp_sse_init(&cut);
        epp_sse_feed(&cut, epp_slice(y, a));
        epp_sse_feed(&cut, epp_slice(z, n - a));
        epp_sse_end(&cut);
        EPP_ASSERT(whole.events == cut.events);
        EPP_ASSERT(whole.usage.prompt == cut.usage.prompt && whole.usage.total == cut.usage.total);
        EPP_ASSERT(whole.usage.error == cut.usage.error && whole.usage.cached == cut.usage.cached);
        free(x);
        free(y);
        free(z);
        return 0;
}
