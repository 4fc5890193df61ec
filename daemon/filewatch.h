/* filewatch.h - tells when files have changed and come to rest. Folders are watched, not files:
 * editors, ConfigMaps and Secrets replace files by renaming. Changes are gathered until two looks
 * 50 ms apart find the same (a second at most, for files that never rest), and looked for every
 * 5 s anyway, as inotify does not see everything. Knows: libevent, inotify. */
#ifndef EPPD_FILEWATCH_H
#define EPPD_FILEWATCH_H

#include "base/base.h"

struct event_base;
struct filewatch;

struct filewatch_config {
        const char *const *paths; /* files, or folders whose entries count; borrowed */
        size_t n;
        /* Mixes all files that count into *stamp, with filewatch_mix. */
        void (*stamp)(void *ctx, uint64_t *stamp);
        /* They rest, and are others than when they were taken last; from now on these are. */
        void (*changed)(void *ctx);
        void *ctx;
};

/* Takes the files as they are now. Returns 0 and *ret, or -ENOMEM. */
EPP_MUSTUSE int filewatch_new(struct event_base *base, const struct filewatch_config *cfg,
        struct filewatch **ret);
/* The caller is about to read them, unasked: only later changes are told. */
void filewatch_take(struct filewatch *f);
/* Accepts NULL. */
void filewatch_free(struct filewatch *f);

/* Changes *stamp with anything that says that <path>, or what it links to, is not what it was. */
void filewatch_mix(uint64_t *stamp, const char *path);

#endif
