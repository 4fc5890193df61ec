/* fuzz.h - what a fuzz target defines; replay.c and libFuzzer call it. */
#ifndef EPP_FUZZ_H
#define EPP_FUZZ_H

#include "base/slice.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* A copy of exactly <n> bytes, so that a read past the end is seen. */
static inline char *
fuzz_copy(const uint8_t *p, size_t n)
{
        char *copy = malloc(n ? n : 1);

        EPP_ASSERT(copy);
        if (n)
                memcpy(copy, p, n);
        return copy;
}

#endif
