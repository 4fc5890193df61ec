/* grave.h - large blocks of memory that are to be freed when there is time: the pages of 64 MB take
 * 4.4 ms (measured), and a lost connection may leave a gigabyte. Knows: base. */
#ifndef EPP_GRAVE_H
#define EPP_GRAVE_H

#include "base/base.h"

#define EPP_GRAVE_LEAST (1u << 20) /* bytes of a block that is worth it */

/* Begins as zeroes, but for the last two. */
struct epp_grave {
        bool open;   /* set while much dies at once; what dies alone is freed alone, as the next one
                      * to live wants its pages (kept back always, bodies of 1.2 MB at 900 a second
                      * took 1 GB and a third more time; measured) */
        void *first; /* each block begins with the next one */
        void (*opened)(void *ctx); /* the first was put in: _reap should be called soon */
        void *ctx;
};

/* Frees <block>, which malloc gave and which has <size> bytes; later when it is large and there is
 * an open grave (<g> may be NULL). <block> may be NULL. */
void epp_grave_bury(struct epp_grave *g, void *block, size_t size);
/* Frees the last <n> blocks that came. Returns true when there are more. */
bool epp_grave_reap(struct epp_grave *g, size_t n);

#endif
