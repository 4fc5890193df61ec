/* proxy.c - see proxy.h. NO_PROXY is read as Go does. */
#include "daemon/proxy.h"

#include <arpa/inet.h>

/* The bytes of an IP literal: 4 or 16; 0 when <text> is none. */
static size_t
address(struct epp_slice text, unsigned char *out)
{
        char copy[64];

        if (text.n >= sizeof(copy))
                return 0;
        memcpy(copy, text.p, text.n);
        copy[text.n] = 0;
        return inet_pton(AF_INET, copy, out) == 1    ? 4
               : inet_pton(AF_INET6, copy, out) == 1 ? 16
                                                     : 0;
}

static bool
in_range(struct epp_slice range, const unsigned char *ip, size_t n)
{
        struct epp_slice net = epp_slice_cut(&range, '/');
        unsigned char base[16];
        unsigned bits = 0;

        if (!range.p || range.n == 0 || range.n > 3 || address(net, base) != n)
                return false;
        for (size_t i = 0; i < range.n; i++) {
                if (range.p[i] < '0' || range.p[i] > '9')
                        return false;
                bits = bits * 10 + (unsigned)(range.p[i] - '0');
        }
        if (bits > n * 8 || memcmp(base, ip, bits / 8) != 0)
                return false;
        return bits % 8 == 0 || (base[bits / 8] ^ ip[bits / 8]) >> (8 - bits % 8) == 0;
}

/* Takes ":port" off <item>; false when it is another one than <port>. */
static bool
port_fits(struct epp_slice *item, const char *port)
{
        struct epp_slice head = *item;
        const char *colon = memchr(item->p, ':', item->n);
        size_t n;

        if (item->p[0] == '[') {
                const char *end = memchr(item->p, ']', item->n);

                if (!end)
                        return true;
                head = epp_slice(item->p + 1, (size_t)(end - item->p) - 1);
                colon = end + 1 < item->p + item->n ? end + 1 : NULL;
        } else if (!colon || memchr(colon + 1, ':', (size_t)(item->p + item->n - colon) - 1)) {
                return true; /* an IPv6 address needs no brackets without a port */
        } else {
                head.n = (size_t)(colon - item->p);
        }
        n = colon ? (size_t)(item->p + item->n - colon) - 1 : 0;
        *item = head;
        return !colon || epp_slice_eq(epp_slice(colon + 1, n), epp_slice_str(port));
}

/* "x.y" names x.y and all below it; ".x.y" and "*.x.y" only what is below. */
static bool
domain_fits(struct epp_slice item, struct epp_slice host)
{
        if (item.n > 1 && item.p[0] == '*' && item.p[1] == '.')
                item.p++, item.n--;
        if (item.n && item.p[0] != '.' && epp_slice_ieq(item, host))
                return true;
        if (host.n <= item.n || item.n == 0)
                return false;
        return epp_slice_ieq(item, epp_slice(host.p + host.n - item.n, item.n)) &&
               (item.p[0] == '.' || host.p[host.n - item.n - 1] == '.');
}

bool
proxy_excluded(const char *list, const char *host, const char *port)
{
        struct epp_slice rest = epp_slice_str(list), h = epp_slice_str(host);
        unsigned char ip[16], other[16];
        size_t n = address(h, ip);

        if (epp_slice_ieq(h, EPP_SLICE("localhost")) || (n == 4 && ip[0] == 127) ||
                (n == 16 && in_range(EPP_SLICE("::1/128"), ip, n)))
                return true;
        while (rest.p) {
                struct epp_slice item = epp_slice_trim(epp_slice_cut(&rest, ','));

                if (epp_slice_eq(item, EPP_SLICE("*")))
                        return true;
                if (item.n == 0 || !port_fits(&item, port))
                        continue;
                if (n && (in_range(item, ip, n) ||
                                 (address(item, other) == n && !memcmp(ip, other, n))))
                        return true;
                if (!n && domain_fits(item, h))
                        return true;
        }
        return false;
}

static const char *
env_of(char *(*env)(const char *name), const char *upper, const char *lower)
{
        const char *v = env(upper);

        return v && *v ? v : env(lower);
}

/* The URL with "http://" and the port written out, its host and port apart. */
static bool
split(const char *url, struct proxy *ret)
{
        static const struct {
                const char *name, *used, *port;
        } schemes[] = {{"http://", "http://", "80"}, {"https://", "https://", "443"},
                {"socks5://", "socks5h://", "1080"}, {"socks5h://", "socks5h://", "1080"}};
        const char *scheme = strstr(url, "://") ? NULL : "http://", *port = "80";
        struct epp_slice rest, user = {NULL, 0}, host;
        const char *at;

        for (size_t i = 0; i < ARRAY_LEN(schemes) && !scheme; i++) {
                if (!epp_slice_has_prefix(epp_slice_str(url), epp_slice_str(schemes[i].name)))
                        continue;
                url += strlen(schemes[i].name);
                scheme = schemes[i].used; /* names are the proxy's to resolve, as in Go */
                port = schemes[i].port;
        }
        if (!scheme)
                return false;
        rest = epp_slice(url, strcspn(url, "/?#"));
        at = memrchr(rest.p, '@', rest.n);
        if (at) {
                user = epp_slice(rest.p, (size_t)(at - rest.p) + 1);
                rest = epp_slice(at + 1, rest.n - user.n);
        }
        host = rest;
        if (rest.n && *rest.p == '[') {
                host = epp_slice_cut(&rest, ']');
                host.p++, host.n--;
                (void)epp_slice_cut(&rest, ':');
        } else {
                host = epp_slice_cut(&rest, ':');
        }
        if (host.n == 0 || host.n >= sizeof(ret->host) || rest.n >= sizeof(ret->port))
                return false;
        snprintf(ret->host, sizeof(ret->host), SLICE_FMT, SLICE_ARG(host));
        snprintf(ret->port, sizeof(ret->port), SLICE_FMT, SLICE_ARG(rest));
        if (rest.n == 0)
                snprintf(ret->port, sizeof(ret->port), "%s", port);
        at = strchr(ret->host, ':');
        return snprintf(ret->url, sizeof(ret->url), "%s" SLICE_FMT "%s%s%s:%s", scheme,
                       SLICE_ARG(user), at ? "[" : "", ret->host, at ? "]" : "",
                       ret->port) < (int)sizeof(ret->url);
}

int
proxy_choose(const struct kubeconfig *k, char *(*env)(const char *name), struct proxy *ret,
        char *err, size_t err_size)
{
        const char *url = k->proxy, *no, *from = "proxy-url";

        *ret = (struct proxy){.url = ""};
        if (!url) {
                no = env_of(env, "NO_PROXY", "no_proxy");
                from = k->tls ? "HTTPS_PROXY" : "HTTP_PROXY";
                url = k->tls ? env_of(env, "HTTPS_PROXY", "https_proxy")
                             : env_of(env, "HTTP_PROXY", "http_proxy");
                if (!url || !*url || proxy_excluded(no ? no : "", k->host, k->port))
                        return 0;
        }
        if (split(url, ret))
                return 0;
        /* Not the text: it may hold a password. */
        snprintf(err, err_size, "%s: must be http://, https:// or socks5://host:port", from);
        return -1;
}
