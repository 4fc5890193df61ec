/* sources.c - see sources.h. Directories are watched, not files: editors and ConfigMaps replace
 * files by renaming. Changes are gathered for a moment, and looked for every few seconds anyway. */
#include "daemon/sources.h"

#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <libgen.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "serve/endpoints.h"
#include "serve/objects.h"

#define FILE_MAX (8u << 20)
#define GATHER_US 50000
#define LOOK_SECONDS 5
#define WATCHED                                                                                   \
        (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ATTRIB)

struct sources {
        struct event_base *base;
        const struct opt *opt;
        struct epp_director *director;
        uint64_t seed;
        const struct epp_log *log;
        struct sources_stats *stats;
        int inotify;
        struct event *changed, *gather, *look;
        uint64_t stamp;    /* of all files when they were read last */
        bool starting;     /* mistakes go to stderr */
};

static void
say(void *ctx, const char *line)
{
        const struct sources *s = ctx;

        if (s->starting)
                fprintf(stderr, "eppd: %s\n", line);
        else
                epp_log(s->log, EPP_LOG_WARN, "bad_file", LOG_T("why", line));
}

static void EPP_PRINTF(2, 3)
sayf(const struct sources *s, const char *fmt, ...)
{
        char line[512];
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(line, sizeof(line), fmt, ap);
        va_end(ap);
        say((void *)(uintptr_t)s, line);
}

/* The whole file, or -1 after saying why not. */
static int
slurp(const struct sources *s, const char *path, struct epp_buf *out)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC), r = -1;
        struct stat st;
        char *at;
        ssize_t n;

        if (fd < 0 || fstat(fd, &st) < 0) {
                sayf(s, "%s: %s", path, strerror(errno));
                goto out;
        }
        if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX) {
                sayf(s, "%s: %s", path, S_ISREG(st.st_mode) ? "is larger than 8 MiB" : "is not a file");
                goto out;
        }
        do {
                if (epp_buf_reserve(out, 65536, &at) < 0)
                        goto out;
                n = read(fd, at, 65536);
                if (n > 0)
                        epp_buf_commit(out, (size_t)n);
        } while (n > 0 && epp_buf_len(out) <= FILE_MAX);
        if (n < 0)
                sayf(s, "%s: %s", path, strerror(errno));
        else
                r = 0;
out:
        if (fd >= 0)
                close(fd);
        return r;
}

/* Calls <fn> with each YAML or JSON file of <path>: itself, or what a directory holds, sorted. */
static int
each_file(const struct sources *s, const char *path, int (*fn)(void *ctx, const char *file), void *ctx)
{
        struct dirent **names;
        struct stat st;
        char file[4096];
        int n, r = 0;

        if (stat(path, &st) < 0) {
                sayf(s, "%s: %s", path, strerror(errno));
                return -1;
        }
        if (!S_ISDIR(st.st_mode))
                return fn(ctx, path);
        n = scandir(path, &names, NULL, alphasort);
        if (n < 0) {
                sayf(s, "%s: %s", path, strerror(errno));
                return -1;
        }
        for (int i = 0; i < n; i++) {
                const char *dot = strrchr(names[i]->d_name, '.');

                snprintf(file, sizeof(file), "%s/%s", path, names[i]->d_name);
                if (names[i]->d_name[0] != '.' && dot &&
                        (!strcmp(dot, ".yaml") || !strcmp(dot, ".yml") || !strcmp(dot, ".json")) &&
                        fn(ctx, file) < 0)
                        r = -1; /* and go on: every mistake is named */
                free(names[i]);
        }
        free(names);
        return r;
}

struct adding {
        const struct sources *s;
        struct epp_objects *objects;
};

static int
add_file(void *ctx, const char *file)
{
        struct adding *a = ctx;
        struct epp_buf text = { 0 };
        int r = slurp(a->s, file, &text);

        if (r == 0)
                r = epp_objects_add(a->objects, epp_slice_str(file), epp_buf_slice(&text));
        epp_buf_fini(&text);
        return r < 0 ? -1 : 0;
}

static int
read_objects(struct sources *s)
{
        const struct opt *o = s->opt;
        struct epp_models *models;
        struct adding a = { s, NULL };
        struct epp_slice pool;
        int r = 0;

        if (o->objects.n == 0)
                return 0;
        if (epp_objects_new(epp_slice_str(o->pool_name), epp_slice_str(o->pool_namespace), say, s,
                    &a.objects) < 0)
                return -1;
        for (size_t i = 0; i < o->objects.n; i++)
                if (each_file(s, o->objects.v[i], add_file, &a) < 0)
                        r = -1;
        if (r == 0)
                r = epp_objects_finish(a.objects, s->seed, &models, &pool);
        if (r == 0) {
                epp_log(s->log, EPP_LOG_INFO, "models", LOG_S("pool", pool),
                        LOG_N("models", epp_models_count(models)));
                epp_models_free(s->director->models);
                s->director->models = models;
        }
        epp_objects_free(a.objects);
        return r < 0 ? -1 : 0;
}

static int
read_endpoints(struct sources *s)
{
        const char *path = s->opt->endpoints_file;
        struct epp_buf text = { 0 };
        size_t n;
        int r;

        if (!*path)
                return 0;
        r = slurp(s, path, &text);
        if (r == 0)
                r = epp_endpoints_apply(s->director->pool, epp_slice_str(path), epp_buf_slice(&text), say, s);
        epp_buf_fini(&text);
        if (r < 0)
                return -1;
        (void)epp_pool_list(s->director->pool, &n);
        epp_log(s->log, EPP_LOG_INFO, "endpoints", LOG_N("endpoints", n));
        return 0;
}

/* --endpoint ADDR:PORT[,label=value...]; the label name= is the endpoint's name. */
static int
add_endpoint(struct sources *s, const char *text)
{
        struct epp_slice rest = epp_slice_str(text), addr = epp_slice_cut(&rest, ','), name = addr;
        int r;

        while (rest.p) {
                struct epp_slice label = epp_slice_cut(&rest, ','), value = label;
                struct epp_slice key = epp_slice_cut(&value, '=');

                if (!value.p || key.n == 0) {
                        sayf(s, "--endpoint %s: \"" SLICE_FMT "\" is not label=value", text, SLICE_ARG(label));
                        return -1;
                }
                if (epp_slice_eq(key, EPP_SLICE("name")))
                        name = value;
        }
        r = epp_pool_put(s->director->pool, name, addr, NULL);
        if (r == 1)
                return 0;
        if (r == EPP_EINVAL)
                sayf(s, "--endpoint %s: \"" SLICE_FMT "\" is not ADDR:PORT", text, SLICE_ARG(addr));
        else
                sayf(s, "--endpoint %s: %s", text,
                        r < 0 ? epp_status_text(r) : "there are two endpoints of this name");
        return -1;
}

/* Changes when any of the files does: times, sizes and inodes mixed together. */
static void
mix_stat(uint64_t *stamp, const char *path)
{
        struct stat st;
        uint64_t parts[4] = { 0 };

        if (stat(path, &st) == 0) {
                parts[0] = (uint64_t)st.st_ino;
                parts[1] = (uint64_t)st.st_size;
                parts[2] = (uint64_t)st.st_mtim.tv_sec;
                parts[3] = (uint64_t)st.st_mtim.tv_nsec;
        }
        for (size_t i = 0; i < ARRAY_LEN(parts); i++)
                *stamp = (*stamp ^ parts[i]) * 0x100000001b3u;
}

static int
mix_file(void *ctx, const char *file)
{
        mix_stat(ctx, file);
        return 0;
}

static uint64_t
stamp_now(struct sources *s)
{
        const struct opt *o = s->opt;
        struct epp_log quiet = { .level = EPP_LOG_ERROR };
        struct sources silent = *s;
        uint64_t stamp = 0xcbf29ce484222325u;

        silent.log = &quiet;
        silent.starting = false;
        for (size_t i = 0; i < o->objects.n; i++)
                each_file(&silent, o->objects.v[i], mix_file, &stamp);
        if (*o->endpoints_file)
                mix_stat(&stamp, o->endpoints_file);
        return stamp;
}

void
sources_reload(struct sources *s)
{
        int objects, endpoints;

        s->stamp = stamp_now(s);
        objects = read_objects(s);
        endpoints = read_endpoints(s);
        s->stats->reloads++;
        if (objects < 0 || endpoints < 0) {
                s->stats->failures++;
                epp_log(s->log, EPP_LOG_WARN, "reload_failed", LOG_T("kept", objects < 0 ? "models" : "endpoints"));
        }
}

static void
on_gathered(evutil_socket_t fd, short what, void *user)
{
        struct sources *s = user;

        (void)fd, (void)what;
        if (stamp_now(s) != s->stamp)
                sources_reload(s);
}

static void
on_changed(evutil_socket_t fd, short what, void *user)
{
        struct sources *s = user;
        struct timeval tv = { 0, GATHER_US };
        char buf[4096];

        (void)what;
        while (read(fd, buf, sizeof(buf)) > 0)
                ; /* which file it was does not matter */
        if (!evtimer_pending(s->gather, NULL))
                evtimer_add(s->gather, &tv);
}

static void
watch_path(struct sources *s, const char *path)
{
        char copy[4096];
        struct stat st;

        snprintf(copy, sizeof(copy), "%s", path);
        if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
                (void)inotify_add_watch(s->inotify, path, WATCHED);
        else
                (void)inotify_add_watch(s->inotify, dirname(copy), WATCHED);
}

static int
start_watching(struct sources *s)
{
        struct timeval tv = { LOOK_SECONDS, 0 };
        const struct opt *o = s->opt;

        if (o->objects.n == 0 && !*o->endpoints_file)
                return 0;
        s->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        s->gather = evtimer_new(s->base, on_gathered, s);
        s->look = event_new(s->base, -1, EV_PERSIST, on_gathered, s);
        if (!s->gather || !s->look || event_add(s->look, &tv) < 0)
                return -1;
        if (s->inotify < 0)
                return 0; /* the look every few seconds is enough */
        for (size_t i = 0; i < o->objects.n; i++)
                watch_path(s, o->objects.v[i]);
        if (*o->endpoints_file)
                watch_path(s, o->endpoints_file);
        s->changed = event_new(s->base, s->inotify, EV_READ | EV_PERSIST, on_changed, s);
        return s->changed && event_add(s->changed, NULL) == 0 ? 0 : -1;
}

int
sources_new(struct event_base *base, const struct opt *o, struct epp_director *d, uint64_t seed,
        const struct epp_log *log, struct sources_stats *stats, struct sources **ret)
{
        struct sources *s = calloc(1, sizeof(*s));
        int r = 0;

        if (!s)
                return -1;
        *s = (struct sources){ .base = base, .opt = o, .director = d, .seed = seed, .log = log,
                .stats = stats, .inotify = -1, .starting = true };
        *ret = s;
        if (o->endpoint.n && *o->endpoints_file) {
                sayf(s, "--endpoint and --endpoints-file: give one of them");
                return -1;
        }
        if (o->endpoint.n == 0 && !*o->endpoints_file) {
                sayf(s, "no source of endpoints: give --endpoint or --endpoints-file (see --help)");
                return -1;
        }
        for (size_t i = 0; i < o->endpoint.n; i++)
                if (add_endpoint(s, o->endpoint.v[i]) < 0)
                        r = -1;
        s->stamp = stamp_now(s);
        if (read_endpoints(s) < 0)
                r = -1;
        if (read_objects(s) < 0)
                r = -1;
        if (r == 0)
                r = start_watching(s);
        s->starting = false;
        return r;
}

void
sources_free(struct sources *s)
{
        struct event *events[3];

        if (!s)
                return;
        events[0] = s->changed;
        events[1] = s->gather;
        events[2] = s->look;
        for (size_t i = 0; i < ARRAY_LEN(events); i++)
                if (events[i])
                        event_free(events[i]);
        if (s->inotify >= 0)
                close(s->inotify);
        free(s);
}
