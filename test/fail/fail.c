/* fail.c - every scenario and drive again and again, each time with another allocation failing:
 * once the n-th alone, once it and all behind it. Nothing may crash, leak, hang, be released
 * wrongly or get through unrouted. All n when that is quick, else evenly chosen ones. */
#include <glob.h>
#include <time.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#define SECONDS 3.0 /* for one scenario */
#else
#define SECONDS 1.5
#endif

#include "fail/alloc.h"
#include "fail/drive.h"
#include "sim/play.h"

/* A scenario or a drive. */
struct job {
        const char *path, *text; /* NULL: a drive */
        const struct drive *drive;
        char name[200], error[700];
};

static bool
run_once(struct job *j, uint64_t nth, bool onwards)
{
        static struct play p;
        int64_t before = alloc_live();
        const char *why = NULL;

        alloc_fail(nth, onwards);
        if (j->drive)
                why = j->drive->fn();
        else if (play_text(&p, j->path, j->text, true) < 0)
                why = p.error;
        alloc_stop();
        if (!why && alloc_live() != before)
                why = "memory was not given back";
        if (why)
                snprintf(j->error, sizeof(j->error), "allocation %llu%s: %s",
                        (unsigned long long)nth, onwards ? " and all behind it" : "", why);
        return !why;
}

/* How many allocations there are; the time one run takes. */
static uint64_t
measure(struct job *j, double *ret_seconds)
{
        static struct play p;
        clock_t begun = clock();
        uint64_t n;

        alloc_fail(0, false);
        if (j->drive)
                (void)j->drive->fn();
        else
                (void)!play_text(&p, j->path, j->text, true);
        n = alloc_count();
        *ret_seconds = (double)(clock() - begun) / CLOCKS_PER_SEC;
        return n;
}

static bool
run_job(struct job *j, size_t number)
{
        double seconds;
        uint64_t n, stride, runs = 0;
        bool ok;

        (void)measure(j, &seconds); /* what is allocated once for good comes before the count */
        n = measure(j, &seconds);
        stride = 1 + (uint64_t)((double)n * 2 * seconds / SECONDS);
        ok = run_once(j, 0, false);
        for (uint64_t at = 1; ok && at <= n; at += stride, runs++)
                ok = run_once(j, at, false) && run_once(j, at, true);
#ifdef __SANITIZE_ADDRESS__
        if (ok && __lsan_do_recoverable_leak_check())
                ok = false, snprintf(j->error, sizeof(j->error), "memory leaked");
#endif
        printf("%sok %zu - %s (%llu of %llu allocations)\n%s%s", ok ? "" : "not ", number, j->name,
                (unsigned long long)runs, (unsigned long long)n, j->error, ok ? "" : "\n");
        fflush(stdout);
        return ok;
}

static bool
run_file(const char *path, size_t number)
{
        struct job j = { .path = path };
        char *text = play_read(path);
        bool ok;

        if (!text)
                return false;
        j.text = text;
        play_name(text, j.name, sizeof(j.name));
        ok = run_job(&j, number);
        free(text);
        return ok;
}

int
main(int argc, char **argv)
{
        glob_t found = { .gl_pathv = argv + 1, .gl_pathc = (size_t)(argc - 1) };
        size_t number = 0;
        bool ok = true;

        if (argc == 1 && glob("test/sim/*.sim", 0, NULL, &found) != 0)
                return EXIT_FAILURE;
        for (size_t i = 0; argc == 1 && drives[i].name; i++) {
                struct job j = { .drive = &drives[i] };

                snprintf(j.name, sizeof(j.name), "%s", drives[i].name);
                ok &= run_job(&j, ++number);
        }
        for (size_t i = 0; i < found.gl_pathc; i++)
                ok &= run_file(found.gl_pathv[i], ++number);
        if (argc == 1)
                globfree(&found);
        return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
