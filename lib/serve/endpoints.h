/* endpoints.h - the file-discovery format: text -> endpoints. Knows: wire/yaml, model/pool. */
#ifndef EPP_ENDPOINTS_H
#define EPP_ENDPOINTS_H

#include "model/pool.h"
#include "wire/yaml.h"

/* Reads an endpoints file and makes <pool> hold exactly its endpoints, beside those that are fixed:
 * all or nothing; of entries with one name the last counts. <fn> hears of mistakes as
 * "file:line: field: what". Returns 0, EPP_EINVAL (mistakes; the pool is unchanged), EPP_ENOMEM
 * (the pool may hold a part). */
EPP_MUSTUSE int epp_endpoints_apply(struct epp_pool *pool, struct epp_slice file,
        struct epp_slice text, void (*fn)(void *ctx, const char *line), void *ctx);

#endif
