/* conn_addr.h - text and port <-> socket address; IPv4 and IPv6 literals, no names. */
#ifndef EPPD_CONN_ADDR_H
#define EPPD_CONN_ADDR_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

/* Returns the address length, or 0 when <text> is no IP literal. */
static inline int
conn_addr(const char *text, unsigned port, struct sockaddr_storage *ret)
{
        struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;

        memset(ret, 0, sizeof(*ret));
        if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
                v4->sin_family = AF_INET;
                v4->sin_port = htons((uint16_t)port);
                return sizeof(*v4);
        }
        memset(ret, 0, sizeof(*ret));
        if (inet_pton(AF_INET6, text, &v6->sin6_addr) != 1)
                return 0;
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        return sizeof(*v6);
}

static inline unsigned
conn_port(const struct sockaddr_storage *sa)
{
        return sa->ss_family == AF_INET6 ? ntohs(((const struct sockaddr_in6 *)sa)->sin6_port)
                                         : ntohs(((const struct sockaddr_in *)sa)->sin_port);
}

/* The peer's address as text, without its port. */
static inline void
conn_peer(const struct sockaddr *sa, char ret[INET6_ADDRSTRLEN])
{
        const void *ip = sa->sa_family == AF_INET6
                ? (const void *)&((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr
                : (const void *)&((const struct sockaddr_in *)(const void *)sa)->sin_addr;

        if (!inet_ntop(sa->sa_family, ip, ret, INET6_ADDRSTRLEN))
                ret[0] = 0;
}

/* 127.0.0.0/8, ::1, and the first as IPv6 sockets show it. */
static inline bool
conn_is_loopback(const struct sockaddr *sa)
{
        const struct in6_addr *six = &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
        const struct in_addr *four = &((const struct sockaddr_in *)(const void *)sa)->sin_addr;

        if (sa->sa_family == AF_INET6)
                return IN6_IS_ADDR_LOOPBACK(six) ||
                       (IN6_IS_ADDR_V4MAPPED(six) && six->s6_addr[12] == 127);
        return sa->sa_family == AF_INET && ntohl(four->s_addr) >> 24 == 127;
}

#endif
