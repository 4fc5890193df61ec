/* grave.c - see grave.h. */
#include "base/grave.h"

void
epp_grave_bury(struct epp_grave *g, void *block, size_t size)
{
        bool first;

        if (!block || !g || !g->open || !g->opened || size < EPP_GRAVE_LEAST) {
                free(block);
                return;
        }
        first = g->first == NULL;
        memcpy(block, &g->first, sizeof(g->first));
        g->first = block;
        if (first)
                g->opened(g->ctx);
}

bool
epp_grave_reap(struct epp_grave *g, size_t n)
{
        while (g->first && n--) {
                void *block = g->first;

                memcpy(&g->first, block, sizeof(g->first));
                free(block);
        }
        return g->first != NULL;
}
