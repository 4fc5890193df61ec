/* play.h - plays one scenario text. See README for the language. */
#ifndef EPP_SIM_PLAY_H
#define EPP_SIM_PLAY_H

#include "sim/world.h"

struct play {
        const char *file;
        unsigned line;
        const char *rest;   /* text not read yet */
        bool lenient;       /* allocations fail: only what must hold even then is checked */
        bool degraded;      /* one did, before requests: models or endpoints are not as written */
        bool failed;
        char error[600];    /* file:line: what, after a failure */
        struct world w;
        char **word;        /* of the line being played */
        size_t n;
};

/* Returns 0, or -1 with p->error. Nothing is left allocated in either case. */
EPP_MUSTUSE int play_text(struct play *p, const char *file, const char *text, bool lenient);
/* The text after '#' in the first line. */
void play_name(const char *text, char *out, size_t size);
/* The whole file, NUL-terminated, to be freed; NULL after a message. */
char *play_read(const char *path);

#endif
