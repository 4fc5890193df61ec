/* fuzz_extproc.c - ext_proc messages: any bytes are parsed or refused, spans stay inside. */
#include "fuzz.h"
#include "wire/extproc.h"

static size_t seen;

static void
on_header(void *user, struct epp_slice name, struct epp_slice value)
{
        (void)user;
        for (size_t i = 0; i < name.n; i++)
                seen += (unsigned char)name.p[i];
        for (size_t i = 0; i < value.n; i++)
                seen += (unsigned char)value.p[i];
}

static void
on_string(void *user, struct epp_slice value)
{
        on_header(user, value, value);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
        size_t size = 70000 + n * 1000;
        char *x = fuzz_copy(p, n);
        struct epp_grpc_pass pass;
        struct epp_slice body;
        struct epp_ext_in in;

        if (epp_ext_parse(epp_slice(x, n), &in) == 0) {
                EPP_ASSERT(in.body.n == 0 || (in.body.p >= x && in.body.p + in.body.n <= x + n));
                (void)!epp_ext_headers(in.payload, on_header, NULL);
                (void)!epp_ext_metadata(in.metadata, EPP_SLICE("envoy.lb"), EPP_SLICE("k"),
                        on_string, NULL);
        }
        if (n >= EPP_GRPC_SHOWN && epp_ext_long_body(epp_slice(x, EPP_GRPC_SHOWN), size, &body, &pass))
                EPP_ASSERT(pass.n <= size - EPP_GRPC_SHOWN && body.p + body.n == x + EPP_GRPC_SHOWN);
        (void)!epp_ext_headers(epp_slice(x, n), on_header, NULL);
        (void)!epp_ext_metadata(epp_slice(x, n), EPP_SLICE("ns"), EPP_SLICE("k"), on_string, NULL);
        free(x);
        return 0;
}
