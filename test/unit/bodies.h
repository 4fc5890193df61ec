/* bodies.h - the captured bodies in test/data/bodies. */
#ifndef EPP_TEST_BODIES_H
#define EPP_TEST_BODIES_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

/* The whole file and its size; to be freed. A file that is not there fails the test. */
static inline char *
slurp(const char *name, size_t *n)
{
        const char *root = getenv("EPP_TEST_DATA");
        char path[512];
        FILE *f;
        char *p;

        snprintf(path, sizeof(path), "%s/bodies/%s", root ? root : "test/data", name);
        f = fopen(path, "rb");
        ck_assert_msg(f != NULL, "cannot open %s", path);
        fseek(f, 0, SEEK_END);
        *n = (size_t)ftell(f);
        rewind(f);
        p = malloc(*n + 1);
        ck_assert_uint_eq(fread(p, 1, *n, f), *n);
        fclose(f);
        return p;
}

#endif
