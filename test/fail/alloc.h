/* alloc.h - an allocator that fails when told to. Only while armed: that is, in the code under
 * test, not in what plays it. Linked into the test programs; off until alloc_fail is called. */
#ifndef EPP_TEST_ALLOC_H
#define EPP_TEST_ALLOC_H

#include <stdbool.h>
#include <stdint.h>

/* Counts from now on; the <nth> armed allocation fails (0: none), with <onwards> all behind it. */
void alloc_fail(uint64_t nth, bool onwards);
/* No more fail, and no more are counted. */
void alloc_stop(void);
/* Nests. */
void alloc_arm(void);
void alloc_disarm(void);
uint64_t alloc_count(void);  /* armed allocations since alloc_fail */
uint64_t alloc_failed(void); /* those of them that failed */
int64_t alloc_live(void);    /* blocks not freed, armed or not */

#define ARMED(expr) \
        __extension__({ \
                alloc_arm(); \
                __typeof__(expr) armed_ = (expr); \
                alloc_disarm(); \
                armed_; \
        })

#endif
