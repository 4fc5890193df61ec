/* alloc.c - see alloc.h. In plain builds this file replaces malloc for the whole process, libraries
 * included. Under AddressSanitizer, which has that place, the linker's --wrap sends the calls of
 * our own objects here; what libraries allocate is not failed there. */
#include "fail/alloc.h"

#include <errno.h>
#include <stddef.h>

#ifdef __SANITIZE_ADDRESS__
#define REAL(f) __real_##f
#define OURS(f) __wrap_##f
#else
#define REAL(f) __libc_##f
#define OURS(f) f
#endif

extern void *REAL(malloc)(size_t n);
extern void *REAL(calloc)(size_t n, size_t size);
extern void *REAL(realloc)(void *p, size_t n);
extern void REAL(free)(void *p);

#define SHOWN __attribute__((visibility("default"))) /* so that libraries find it */
SHOWN void *OURS(malloc)(size_t n);
SHOWN void *OURS(calloc)(size_t n, size_t size);
SHOWN void *OURS(realloc)(void *p, size_t n);
SHOWN void OURS(free)(void *p);

static struct {
        unsigned armed;
        uint64_t count, failed, nth;
        bool onwards, stopped;
        int64_t live;
} a;

void
alloc_fail(uint64_t nth, bool onwards)
{
        a.nth = nth;
        a.onwards = onwards;
        a.count = a.failed = 0;
        a.stopped = false;
}

void
alloc_stop(void)
{
        a.stopped = true;
}

void
alloc_arm(void)
{
        a.armed++;
}

void
alloc_disarm(void)
{
        a.armed--;
}

uint64_t
alloc_count(void)
{
        return a.count;
}

uint64_t
alloc_failed(void)
{
        return a.failed;
}

int64_t
alloc_live(void)
{
        return a.live;
}

static bool
refused(void)
{
        if (!a.armed || a.stopped)
                return false;
        a.count++;
        if (a.nth == 0 || a.count < a.nth || (a.count > a.nth && !a.onwards))
                return false;
        a.failed++;
        errno = ENOMEM;
        return true;
}

void *
OURS(malloc)(size_t n)
{
        void *p = refused() ? NULL : REAL(malloc)(n);

        a.live += p != NULL;
        return p;
}

void *
OURS(calloc)(size_t n, size_t size)
{
        void *p = refused() ? NULL : REAL(calloc)(n, size);

        a.live += p != NULL;
        return p;
}

void *
OURS(realloc)(void *old, size_t n)
{
        void *p = refused() ? NULL : REAL(realloc)(old, n);

        a.live += p != NULL && !old;
        return p;
}

void
OURS(free)(void *p)
{
        a.live -= p != NULL;
        REAL(free)(p);
}
