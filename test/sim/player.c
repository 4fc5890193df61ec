/* player.c - plays scenarios: those given, or all of test/sim. One test line for each. */
#include <glob.h>

#include "sim/play.h"

static bool
play_file(const char *path, size_t i)
{
        static struct play p;
        char *text = play_read(path), name[200];
        int r;

        if (!text)
                return false;
        play_name(text, name, sizeof(name));
        r = play_text(&p, path, text, false);
        printf("%sok %zu - %s\n", r < 0 ? "not " : "", i, name);
        if (r < 0)
                printf("%s\n", p.error);
        free(text);
        return r == 0;
}

int
main(int argc, char **argv)
{
        glob_t found = { .gl_pathv = argv + 1, .gl_pathc = (size_t)(argc - 1) };
        bool ok = true;

        if (argc == 1 && glob("test/sim/*.sim", 0, NULL, &found) != 0)
                return EXIT_FAILURE;
        for (size_t i = 0; i < found.gl_pathc; i++)
                ok &= play_file(found.gl_pathv[i], i + 1);
        if (argc == 1)
                globfree(&found);
        return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
