/* narrow.c - see narrow.h. */
#include "serve/narrow.h"

void
epp_narrow_off(struct epp_narrow *n)
{
        *n = (struct epp_narrow){ .state = EPP_NARROW_NEVER, .breaks = EPP_NARROW_BREAKS };
}

bool
epp_narrow_asks(const struct epp_narrow *n)
{
        return n->state == EPP_NARROW_TRIAL || n->state == EPP_NARROW_ON;
}

/* Whether the answer to a query speaks against asking so. Once the server has shown what it can,
 * late answers and lost connections do not: whole pages would have them too. */
static bool
speaks_against(const struct epp_narrow *n, enum epp_came came, uint32_t found, uint64_t bytes)
{
        bool trial = n->state == EPP_NARROW_TRIAL;

        if (came != EPP_CAME_PAGE)
                return trial || (came != EPP_CAME_LATE && came != EPP_CAME_NOTHING);
        return (n->had & ~found) != 0 || (trial && bytes >= n->bytes / 2);
}

bool
epp_narrow_judge(struct epp_narrow *n, enum epp_came came, uint32_t found, uint64_t bytes)
{
        if (epp_narrow_asks(n) && speaks_against(n, came, found, bytes)) {
                n->breaks += n->state == EPP_NARROW_TRIAL && came >= EPP_CAME_CUT;
                n->state = EPP_NARROW_NEVER;
                return false;
        }
        if (came == EPP_CAME_NOTHING && n->breaks < EPP_NARROW_BREAKS)
                *n = (struct epp_narrow){ .breaks = n->breaks };
        if (came != EPP_CAME_PAGE || found == 0)
                return true;
        if (n->state == EPP_NARROW_WHOLE) {
                n->state = EPP_NARROW_TRIAL;
                n->bytes = bytes;
        } else if (n->state == EPP_NARROW_TRIAL) {
                n->state = EPP_NARROW_ON;
        }
        n->had |= found;
        return true;
}
