/* base.h - attributes, small helpers and the functions nobody here may call.
 * Knows: libc only. */
#ifndef EPP_BASE_H
#define EPP_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h> /* before the poison below */
#include <stdlib.h>
#include <string.h>

#define EPP_MUSTUSE __attribute__((warn_unused_result))
#define EPP_INLINE inline __attribute__((always_inline)) /* where a call was measured */
#define EPP_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) \
        ((type *)(void *)((char *)(ptr) - offsetof(type, member)))
#define EPP_MIN(a, b) ((a) < (b) ? (a) : (b))
#define EPP_MAX(a, b) ((a) > (b) ? (a) : (b))
#define EPP_LIKELY(x) __builtin_expect(!!(x), 1)
#define EPP_FALLTHROUGH __attribute__((fallthrough))
#define EPP_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Checked arithmetic on sizes: true when the result did not fit. */
#define epp_add_overflows(a, b, out) __builtin_add_overflow(a, b, out)
#define epp_mul_overflows(a, b, out) __builtin_mul_overflow(a, b, out)

/* Time is handed in; nothing in lib reads a clock. */
typedef int64_t epp_us;   /* monotonic microseconds */
typedef int64_t epp_wall; /* microseconds since 1970-01-01 UTC */

/* Stays on in release builds. The handler is the daemon's; it must not return. */
typedef void (*epp_assert_fn)(const char *expr, const char *file, int line);
extern epp_assert_fn epp_assert_handler;
void epp_assert_fail(const char *expr, const char *file, int line)
        __attribute__((noreturn));
#define EPP_ASSERT(x) \
        (EPP_LIKELY(x) ? (void)0 : epp_assert_fail(#x, __FILE__, __LINE__))

#pragma GCC poison strcpy strcat sprintf vsprintf strtok atoi

#endif
