/* proxy.h - through which proxy the API server is reached, if any. Knows: kubeconfig. */
#ifndef EPPD_PROXY_H
#define EPPD_PROXY_H

#include "daemon/kubeconfig.h"

struct proxy {
        char url[1024]; /* with its port; "" = none */
        char host[256]; /* without brackets */
        char port[8];
};

/* proxy-url, else HTTPS_PROXY or HTTP_PROXY (either case) unless NO_PROXY names the server.
 * Returns 0, or -1 and one line in <err>. */
EPP_MUSTUSE int proxy_choose(const struct kubeconfig *k, char *(*env)(const char *name),
        struct proxy *ret, char *err, size_t err_size);
/* Whether the NO_PROXY list <list> names host:port: "*", names (and what ends in them), addresses,
 * CIDR ranges, each with an optional port. Loopback is always named, as in Go. */
bool proxy_excluded(const char *list, const char *host, const char *port);

#endif
