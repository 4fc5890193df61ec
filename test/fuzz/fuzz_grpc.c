/* fuzz_grpc.c - message framing: the same messages however the bytes are cut. */
#include "fuzz.h"
#include "wire/grpc.h"

static int
run(struct epp_grpc_in *g, struct epp_slice in, size_t *count, size_t *bytes)
{
        struct epp_slice m;
        int r;

        while ((r = epp_grpc_in_next(g, &in, &m)) == 1) {
                *count += 1;
                *bytes += m.n;
                for (size_t i = 0; i < m.n; i++)
                        *bytes += (unsigned char)m.p[i];
        }
        return r;
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
        struct epp_grpc_in whole, cut;
        size_t a = n ? p[n / 2] * n / 256 : 0, count[2] = { 0 }, bytes[2] = { 0 };
        char *x = fuzz_copy(p, n), *y = fuzz_copy(p, a), *z = fuzz_copy(p + a, n - a);
        int r1, r2;

        epp_grpc_in_init(&whole, 1000);
        r1 = run(&whole, epp_slice(x, n), &count[0], &bytes[0]);
        epp_grpc_in_init(&cut, 1000);
        r2 = run(&cut, epp_slice(y, a), &count[1], &bytes[1]);
        if (r2 == 0)
                r2 = run(&cut, epp_slice(z, n - a), &count[1], &bytes[1]);
        EPP_ASSERT(r1 == r2 && count[0] == count[1] && bytes[0] == bytes[1]);
        epp_grpc_in_fini(&whole);
        epp_grpc_in_fini(&cut);
        free(x);
        free(y);
        free(z);
        return 0;
}
