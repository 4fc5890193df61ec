/* fuzz_httphead.c - heads: what is cut is never taken, and refused only as the whole is; parts lie in the input. */
#include "fuzz.h"
#include "serve/httphead.h"

static void
check_inside(const struct epp_httphead *h, const char *p, int n, struct epp_slice s)
{
        if (s.n == 0 || (s.p >= h->joined && s.p + s.n <= h->joined + sizeof(h->joined)))
                return;
        EPP_ASSERT(s.p >= p && s.p + s.n <= p + n);
}

static void
check_params(struct epp_slice query)
{
        char out[8];

        (void)epp_httphead_param(query, "q", out, sizeof(out));
        EPP_ASSERT(strlen(out) < sizeof(out));
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
        static struct epp_httphead whole, cut;
        size_t a = n ? p[n / 2] * n / 256 : 0;
        char *x = fuzz_copy(p, n), *y = fuzz_copy(p, a);
        int r = epp_httphead_parse(epp_slice(x, n), &whole), c = epp_httphead_parse(epp_slice(y, a), &cut);

        EPP_ASSERT(r == EPP_EPROTO || (r >= 0 && r <= EPP_HTTPHEAD_MAX && (size_t)r <= n));
        EPP_ASSERT(c >= 0 || (r == EPP_EPROTO && whole.code == cut.code));
        EPP_ASSERT(c <= 0 || c == r);
        if (r > 0) {
                EPP_ASSERT(whole.path.n && whole.path.p[0] == '/' && memcmp(x + r - 4, "\r\n\r\n", 4) == 0);
                check_inside(&whole, x, r, whole.path);
                check_inside(&whole, x, r, whole.query);
                check_inside(&whole, x, r, whole.accept);
                check_inside(&whole, x, r, whole.authorization);
                check_inside(&whole, x, r, whole.host);
                check_params(whole.query);
        }
        check_params(epp_slice(x, n));
        free(x);
        free(y);
        return 0;
}
