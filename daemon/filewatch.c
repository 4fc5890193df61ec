/* filewatch.c - see filewatch.h. */
#include "daemon/filewatch.h"

#include <errno.h>
#include <event2/event.h>
#include <libgen.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/span.h"

#define GATHER_US 50000
#define GATHER_ROUNDS 20 /* files that never come to rest are told all the same after a second */
#define LOOK_SECONDS 5
#define WATCHED                                                                                   \
        (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ATTRIB)

struct filewatch {
        struct filewatch_config cfg;
        int inotify;
        struct event *changed, *gather, *look;
        uint64_t taken;  /* stamp of all files when they were taken last */
        uint64_t seen;   /* and when they were looked at last */
        unsigned rounds; /* looks that found them changing */
};

/* Inode, size and times: the time of change is among them, as a file can be written over with its
 * old size and date. */
void
filewatch_mix(uint64_t *stamp, const char *path)
{
        struct stat st;
        uint64_t parts[6] = { 0 };

        for (const char *p = path; *p; p++)
                *stamp = (*stamp ^ (unsigned char)*p) * 0x100000001b3u;
        if (stat(path, &st) == 0) {
                parts[0] = (uint64_t)st.st_ino;
                parts[1] = (uint64_t)st.st_size;
                parts[2] = (uint64_t)st.st_mtim.tv_sec;
                parts[3] = (uint64_t)st.st_mtim.tv_nsec;
                parts[4] = (uint64_t)st.st_ctim.tv_sec;
                parts[5] = (uint64_t)st.st_ctim.tv_nsec;
        }
        for (size_t i = 0; i < ARRAY_LEN(parts); i++)
                *stamp = (*stamp ^ parts[i]) * 0x100000001b3u;
}

static uint64_t
stamp_now(const struct filewatch *f)
{
        uint64_t stamp = 0xcbf29ce484222325u;

        f->cfg.stamp(f->cfg.ctx, &stamp);
        return stamp;
}

static void
gather(struct filewatch *f)
{
        struct timeval tv = { 0, GATHER_US };

        if (!evtimer_pending(f->gather, NULL))
                evtimer_add(f->gather, &tv);
}

/* Watching the same folder again changes nothing; it may be another one by now. */
static void
watch_all(struct filewatch *f)
{
        for (size_t i = 0; f->inotify >= 0 && i < f->cfg.n; i++) {
                const char *path = f->cfg.paths[i];
                char copy[4096];
                struct stat st;

                snprintf(copy, sizeof(copy), "%s", path);
                if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
                        (void)inotify_add_watch(f->inotify, path, WATCHED);
                else
                        (void)inotify_add_watch(f->inotify, dirname(copy), WATCHED);
        }
}

/* A file that is being written is not taken for short. */
static void
on_gathered(evutil_socket_t fd, short what, void *user)
{
        struct filewatch *f = user;
        struct span span = span_begin(SPAN_FILES);
        uint64_t now = stamp_now(f), before = f->seen;

        (void)fd, (void)what;
        f->seen = now;
        watch_all(f);
        if (now == f->taken) {
                f->rounds = 0;
        } else if (now == before || ++f->rounds == GATHER_ROUNDS) {
                f->taken = now;
                f->rounds = 0;
                f->cfg.changed(f->cfg.ctx);
        } else {
                gather(f);
        }
        span_end(SPAN_FILES, span);
}

static void
on_changed(evutil_socket_t fd, short what, void *user)
{
        char buf[4096];

        (void)what;
        while (read(fd, buf, sizeof(buf)) > 0)
                ; /* which file it was does not matter */
        gather(user);
}

static bool
start(struct filewatch *f, struct event_base *base)
{
        struct timeval tv = { LOOK_SECONDS, 0 };

        f->gather = evtimer_new(base, on_gathered, f);
        f->look = event_new(base, -1, EV_PERSIST, on_gathered, f);
        if (!f->gather || !f->look || event_add(f->look, &tv) < 0)
                return false;
        f->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        if (f->inotify < 0)
                return true; /* the look every few seconds is enough */
        watch_all(f);
        f->changed = event_new(base, f->inotify, EV_READ | EV_PERSIST, on_changed, f);
        return f->changed && event_add(f->changed, NULL) == 0;
}

int
filewatch_new(struct event_base *base, const struct filewatch_config *cfg, struct filewatch **ret)
{
        struct filewatch *f = calloc(1, sizeof(*f));

        if (!f)
                return -ENOMEM;
        *f = (struct filewatch){ .cfg = *cfg, .inotify = -1 };
        if (!start(f, base)) {
                filewatch_free(f);
                return -ENOMEM;
        }
        filewatch_take(f);
        *ret = f;
        return 0;
}

void
filewatch_take(struct filewatch *f)
{
        f->taken = f->seen = stamp_now(f);
        f->rounds = 0;
}

void
filewatch_free(struct filewatch *f)
{
        struct event *events[3];

        if (!f)
                return;
        events[0] = f->changed;
        events[1] = f->gather;
        events[2] = f->look;
        for (size_t i = 0; i < ARRAY_LEN(events); i++)
                if (events[i])
                        event_free(events[i]);
        if (f->inotify >= 0)
                close(f->inotify);
        free(f);
}
