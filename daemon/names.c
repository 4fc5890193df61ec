/* names.c - see names.h. One host is asked for (the API server, or the proxy before it): the last
 * one's answer is kept. */
#include "daemon/names.h"

#include <arpa/inet.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>
#include <netdb.h>

#include "base/status.h"
#include "daemon/loop.h"

#define FRESH_US 30000000
#define LIMIT_S 10

struct names {
        struct event_base *base;
        struct evdns_base *dns;
        char host[256], answer[512];
        epp_us until; /* the answer is used without asking */
};

struct names_ask {
        struct names *n;
        struct evdns_getaddrinfo_request *request; /* NULL: it has called back */
        struct event *end;                         /* the limit; made active by the answer */
        char host[256];
        bool ok, dropped; /* dropped: freed when the request has called back */
        void (*fn)(void *ctx, bool ok);
        void *ctx;
};

int
names_new(struct event_base *base, const char *resolv_conf, struct names **ret)
{
        struct names *n = calloc(1, sizeof(*n));

        if (!n)
                return EPP_ENOMEM;
        n->base = base;
        n->dns = evdns_base_new(base, 0);
        if (!n->dns) {
                free(n);
                return EPP_ENOMEM;
        }
        /* Mixed-case queries upset some servers; the default timeout is 5 s, three times. */
        evdns_base_set_option(n->dns, "randomize-case:", "0");
        evdns_base_set_option(n->dns, "timeout:", "3");
        (void)evdns_base_resolv_conf_parse(
                n->dns, DNS_OPTIONS_ALL, resolv_conf ? resolv_conf : "/etc/resolv.conf");
        *ret = n;
        return 0;
}

void
names_free(struct names *n)
{
        if (!n)
                return;
        evdns_base_free(n->dns, 0);
        free(n);
}

bool
names_is_address(const char *host)
{
        unsigned char ip[16];

        return inet_pton(AF_INET, host, ip) == 1 || inet_pton(AF_INET6, host, ip) == 1;
}

const char *
names_known(const struct names *n, const char *host)
{
        bool ours = *n->answer && strcmp(n->host, host) == 0;

        return ours && loop_now(n->base) < n->until ? n->answer : NULL;
}

void
names_doubt(struct names *n)
{
        n->until = 0;
}

/* The addresses with commas between, as libcurl takes them. */
static void
keep_answer(struct names *n, const char *host, const struct evutil_addrinfo *list)
{
        char all[sizeof(n->answer)] = "";
        size_t used = 0;

        for (; list; list = list->ai_next) {
                char ip[INET6_ADDRSTRLEN] = "";
                bool six = list->ai_family == AF_INET6;

                if (getnameinfo(list->ai_addr, list->ai_addrlen, ip, sizeof(ip), NULL, 0,
                            NI_NUMERICHOST) != 0 ||
                        strchr(ip, '%') || used + strlen(ip) + 4 > sizeof(all))
                        continue;
                used += (size_t)snprintf(all + used, sizeof(all) - used, "%s%s%s%s",
                        used ? "," : "", six ? "[" : "", ip, six ? "]" : "");
        }
        if (!used)
                return;
        snprintf(n->host, sizeof(n->host), "%s", host);
        memcpy(n->answer, all, sizeof(all));
        n->until = loop_now(n->base) + FRESH_US;
}

static void
on_answer(int error, struct evutil_addrinfo *list, void *user)
{
        struct names_ask *a = user;

        a->request = NULL;
        if (error == 0 && !a->dropped) {
                keep_answer(a->n, a->host, list);
                a->ok = names_known(a->n, a->host) != NULL;
        }
        if (list)
                evutil_freeaddrinfo(list);
        if (a->dropped)
                free(a);
        else
                event_active(a->end, EV_TIMEOUT, 0);
}

void
names_drop(struct names_ask *a)
{
        struct evdns_getaddrinfo_request *running;

        if (!a)
                return;
        event_free(a->end);
        running = a->request;
        a->dropped = true;
        if (running)
                evdns_getaddrinfo_cancel(running); /* calls back, now or soon */
        else
                free(a);
}

static void
on_end(evutil_socket_t fd, short what, void *user)
{
        struct names_ask *a = user;
        struct names *n = a->n;
        void (*fn)(void *ctx, bool ok) = a->fn;
        void *ctx = a->ctx;
        bool ok = a->ok;

        (void)fd, (void)what;
        if (!ok && *n->answer && strcmp(n->host, a->host) == 0) {
                n->until = loop_now(n->base) + FRESH_US;
                ok = true;
        }
        names_drop(a);
        fn(ctx, ok);
}

int
names_ask(struct names *n, const char *host, void (*fn)(void *ctx, bool ok), void *ctx,
        struct names_ask **ret)
{
        struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
        struct timeval limit = {LIMIT_S, 0};
        struct names_ask *a = calloc(1, sizeof(*a));
        struct evdns_getaddrinfo_request *request;

        if (!a)
                return EPP_ENOMEM;
        *a = (struct names_ask){.n = n, .fn = fn, .ctx = ctx};
        snprintf(a->host, sizeof(a->host), "%s", host);
        a->end = evtimer_new(n->base, on_end, a);
        if (!a->end || evtimer_add(a->end, &limit) < 0) {
                if (a->end)
                        event_free(a->end);
                free(a);
                return EPP_ENOMEM;
        }
        request = evdns_getaddrinfo(n->dns, host, NULL, &hints, on_answer, a);
        a->request = request; /* NULL when it has called back already */
        *ret = a;
        return 0;
}
