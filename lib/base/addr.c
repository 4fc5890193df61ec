/* addr.c - see addr.h. */
#include "base/addr.h"

#include <arpa/inet.h>

static bool
parse_port(struct epp_slice text, unsigned *ret)
{
        uint64_t v;

        if (text.n > 5 || !epp_slice_digits(text, &v))
                return false;
        *ret = (unsigned)v;
        return v >= 1 && v <= 65535;
}

static bool
is_literal(struct epp_slice ip, int family)
{
        unsigned char bytes[16];
        char text[64];

        if (ip.n == 0 || ip.n >= sizeof(text))
                return false;
        memcpy(text, ip.p, ip.n);
        text[ip.n] = 0;
        return inet_pton(family, text, bytes) == 1;
}

bool
epp_is_ip(struct epp_slice text)
{
        return is_literal(text, AF_INET) || is_literal(text, AF_INET6);
}

bool
epp_addr_split(struct epp_slice addr, struct epp_slice *ret_ip, unsigned *ret_port)
{
        const char *colon = addr.n ? memrchr(addr.p, ':', addr.n) : NULL;
        struct epp_slice ip;
        bool v6;

        if (!colon)
                return false;
        ip = epp_slice(addr.p, (size_t)(colon - addr.p));
        v6 = ip.n > 2 && ip.p[0] == '[' && ip.p[ip.n - 1] == ']';
        if (v6)
                ip = epp_slice(ip.p + 1, ip.n - 2);
        if (!is_literal(ip, v6 ? AF_INET6 : AF_INET))
                return false;
        *ret_ip = ip;
        return parse_port(epp_slice(colon + 1, addr.n - (size_t)(colon + 1 - addr.p)), ret_port);
}
