/* peers.h - who has been told of already: a ring of addresses, so that the mistake of a peer is
 * logged once. Knows: libc. */
#ifndef EPPD_PEERS_H
#define EPPD_PEERS_H

#include <netinet/in.h>

#include "base/base.h"

#define PEERS 64

struct peers {
        char named[PEERS][INET6_ADDRSTRLEN];
        unsigned next;
};

/* True for a peer that is not in the ring; it is from then on. */
static inline bool
peers_first(struct peers *p, const char *peer)
{
        for (unsigned i = 0; i < PEERS; i++)
                if (strcmp(p->named[i], peer) == 0)
                        return false;
        snprintf(p->named[p->next++ % PEERS], sizeof(p->named[0]), "%s", peer);
        return true;
}

#endif
