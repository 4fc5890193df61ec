/* replay.c - runs a fuzz target over seed files and folders: the seeds as a test, no libFuzzer.
 * Every seed runs whole, and with each of some bytes flipped. Prints "ok" with the count. */
#include <dirent.h>
#include <sys/stat.h>

#include "fuzz.h"

static unsigned long runs;

static void
run_file(const char *path)
{
        FILE *f = fopen(path, "rb");
        uint8_t *p;
        long n;

        if (!f)
                return;
        fseek(f, 0, SEEK_END);
        n = ftell(f);
        rewind(f);
        p = malloc((size_t)n + 1);
        EPP_ASSERT(p && fread(p, 1, (size_t)n, f) == (size_t)n);
        fclose(f);
        LLVMFuzzerTestOneInput(p, (size_t)n);
        for (long at = 0; at < n && at < 100000; at += n / 40 + 1) {
                p[at] ^= (uint8_t)(1u << (at & 7));
                LLVMFuzzerTestOneInput(p, (size_t)n);
                LLVMFuzzerTestOneInput(p, (size_t)at);
                p[at] ^= (uint8_t)(1u << (at & 7));
                runs += 2;
        }
        runs++;
        free(p);
}

static void
run_path(const char *path)
{
        struct stat st;
        struct dirent *e;
        char sub[4096];
        DIR *d;

        if (stat(path, &st) < 0)
                return;
        if (!S_ISDIR(st.st_mode)) {
                run_file(path);
                return;
        }
        d = opendir(path);
        EPP_ASSERT(d);
        while ((e = readdir(d))) {
                if (e->d_name[0] == '.')
                        continue;
                snprintf(sub, sizeof(sub), "%s/%s", path, e->d_name);
                run_path(sub);
        }
        closedir(d);
}

int
main(int argc, char **argv)
{
        for (int i = 1; i < argc; i++)
                run_path(argv[i]);
        printf("%lu inputs\n", runs);
        return runs ? 0 : 1;
}
