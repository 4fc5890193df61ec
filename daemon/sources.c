/* sources.c - see sources.h. */
#include "daemon/sources.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/filewatch.h"
#include "serve/endpoints.h"
#include "serve/objects.h"

#define OBJECTS_MAX (8u << 20)
#define ENDPOINTS_MAX (1u << 20) /* as the file-discovery format has it */

/* An object file that was good: what it said stands until it is good again, or gone. */
struct text {
        struct text *next;
        size_t root; /* index of the --objects it came from */
        char *path;
        struct epp_buf bytes;
};

struct sources {
        struct event_base *base;
        const struct opt *opt;
        struct epp_director *director;
        uint64_t seed;
        const struct epp_log *log;
        struct sources_stats *stats;
        struct filewatch *files; /* NULL: there are none */
        const char **paths;
        struct text *good;
        char *pool;        /* the name in force, or NULL */
        bool starting;     /* mistakes go to stderr, each on its line */
        uint64_t mistakes; /* else they are gathered for one log line */
        char why[512];
};

static void
say(void *ctx, const char *line)
{
        struct sources *s = ctx;
        size_t n = strlen(s->why);

        if (s->starting)
                fprintf(stderr, "eppd: %s\n", line);
        else if (n < sizeof(s->why))
                snprintf(s->why + n, sizeof(s->why) - n, "%s%s", n ? "; " : "", line);
        s->mistakes++;
}

static void EPP_PRINTF(2, 3)
sayf(struct sources *s, const char *fmt, ...)
{
        char line[512];
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(line, sizeof(line), fmt, ap);
        va_end(ap);
        say(s, line);
}

/* The whole file of at most <max> bytes, or -1 after saying why not. */
static int
slurp(struct sources *s, const char *path, size_t max, struct epp_buf *out)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not hold us */
        int r = -1;
        struct stat st;
        ssize_t n = 1;
        char *at;

        if (fd < 0 || fstat(fd, &st) < 0) {
                sayf(s, "%s: %s", path, strerror(errno));
                goto out;
        }
        if (!S_ISREG(st.st_mode)) {
                sayf(s, "%s: is not a file", path);
                goto out;
        }
        while (n > 0 && epp_buf_len(out) <= max) {
                n = epp_buf_reserve(out, 65536, &at) < 0 ? -1 : read(fd, at, 65536);
                if (n > 0)
                        epp_buf_commit(out, (size_t)n);
        }
        if (n < 0)
                sayf(s, "%s: %s", path, strerror(errno));
        else if (epp_buf_len(out) > max)
                sayf(s, "%s: is larger than %zu MiB", path, max >> 20);
        else
                r = 0;
out:
        if (fd >= 0)
                close(fd);
        return r;
}

/* Calls <fn> with each YAML or JSON file of <path>: itself, or what a directory holds, sorted. */
static int
each_file(struct sources *s, const char *path, int (*fn)(void *ctx, const char *file), void *ctx)
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

static void
texts_free(struct text *t)
{
        for (struct text *next; t; t = next) {
                next = t->next;
                epp_buf_fini(&t->bytes);
                free(t->path);
                free(t);
        }
}

/* One reading of all object files. */
struct reading {
        struct sources *s;
        struct epp_objects *objects;
        struct text *good; /* becomes the sources' when all is well */
        struct text **tail;
        size_t root;
        bool bad;
};

/* Takes <bytes> over, in every case. */
static int
add_text(struct reading *r, const char *path, struct epp_buf *bytes)
{
        struct text *t = calloc(1, sizeof(*t));
        int result = EPP_ENOMEM;

        if (t)
                result = epp_objects_add(r->objects, epp_slice_str(path), epp_buf_slice(bytes));
        if (t)
                *t = (struct text){ NULL, r->root, strdup(path), *bytes };
        if (result == 0 && t->path) {
                *r->tail = t;
                r->tail = &t->next;
                return 0;
        }
        epp_buf_fini(bytes);
        if (t)
                free(t->path);
        free(t);
        return -1;
}

/* Adds what was good of <path>, or of all the root's files when it is NULL. */
static void
add_old(struct reading *r, const char *path)
{
        for (const struct text *t = r->s->good; t; t = t->next) {
                struct epp_buf copy = { 0 };

                if (t->root == r->root && (!path || strcmp(t->path, path) == 0) &&
                        epp_buf_append(&copy, epp_buf_slice(&t->bytes)) == 0)
                        (void)add_text(r, t->path, &copy);
        }
}

static int
add_file(void *ctx, const char *file)
{
        struct reading *r = ctx;
        struct epp_buf bytes = { 0 };

        if (slurp(r->s, file, OBJECTS_MAX, &bytes) == 0) {
                if (add_text(r, file, &bytes) == 0)
                        return 0;
        } else {
                epp_buf_fini(&bytes);
        }
        r->bad = true;
        add_old(r, file);
        return 0;
}

static void
take_models(struct sources *s, struct reading *r, struct epp_models *models, struct epp_slice pool)
{
        epp_log(s->log, EPP_LOG_INFO, "models", LOG_S("pool", pool),
                LOG_N("models", epp_models_count(models)),
                LOG_N("others", epp_objects_others(r->objects)));
        if (!epp_objects_named(r->objects) && epp_models_count(models) == 0)
                epp_log(s->log, EPP_LOG_WARN, "no_pool", LOG_S("pool", pool),
                        LOG_T("why", "no object is or names this pool: see --pool-name"));
        free(s->pool);
        s->pool = strndup(pool.n ? pool.p : "", pool.n);
        epp_models_free(s->director->models);
        s->director->models = models;
        texts_free(s->good);
        s->good = r->good;
        r->good = NULL;
}

/* The flag's namespace; else the environment's, as for today's picker; else the pool's object's. */
static const char *
pool_namespace(const struct opt *o)
{
        const char *ns = getenv("NAMESPACE");

        return *o->pool_namespace || !ns ? o->pool_namespace : ns;
}

static int
read_objects(struct sources *s)
{
        const struct opt *o = s->opt;
        struct reading r = { .s = s };
        struct epp_models *models;
        struct epp_slice pool;

        if (o->objects.n == 0)
                return 0;
        r.tail = &r.good;
        if (epp_objects_new(epp_slice_str(o->pool_name), epp_slice_str(pool_namespace(o)), say, s,
                    &r.objects) < 0)
                return -1;
        for (r.root = 0; r.root < o->objects.n; r.root++) {
                if (each_file(s, o->objects.v[r.root], add_file, &r) < 0) {
                        r.bad = true; /* not there at all: what it held stays */
                        add_old(&r, NULL);
                }
        }
        if (!(s->starting && r.bad)) {
                if (epp_objects_finish(r.objects, s->seed, &models, &pool) == 0)
                        take_models(s, &r, models, pool);
                else
                        r.bad = true;
        }
        texts_free(r.good);
        epp_objects_free(r.objects);
        return r.bad ? -1 : 0;
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
        r = slurp(s, path, ENDPOINTS_MAX, &text);
        if (r == 0)
                r = epp_endpoints_apply(s->director->pool, epp_slice_str(path),
                        epp_buf_slice(&text), say, s);
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
                        sayf(s, "--endpoint %s: \"" SLICE_FMT "\" is not label=value", text,
                                SLICE_ARG(label));
                        return -1;
                }
                if (epp_slice_eq(key, EPP_SLICE("name")))
                        name = value;
        }
        r = epp_pool_put(s->director->pool, name, addr, NULL);
        if (r == 1) {
                epp_pool_find(s->director->pool, name)->fixed = true;
                return 0;
        }
        if (r == EPP_EINVAL)
                sayf(s, "--endpoint %s: \"" SLICE_FMT
                        "\" is not ADDR:PORT (names are not resolved)", text, SLICE_ARG(addr));
        else
                sayf(s, "--endpoint %s: %s", text,
                        r < 0 ? epp_status_text(r) : "there are two endpoints of this name");
        return -1;
}

static int
mix_file(void *ctx, const char *file)
{
        filewatch_mix(ctx, file);
        return 0;
}

static void
stamp(void *ctx, uint64_t *ret)
{
        struct sources *s = ctx;
        const struct opt *o = s->opt;
        struct sources silent = *s; /* gathers what is said, and is dropped */

        silent.starting = false;
        for (size_t i = 0; i < o->objects.n; i++)
                each_file(&silent, o->objects.v[i], mix_file, ret);
        if (*o->endpoints_file)
                filewatch_mix(ret, o->endpoints_file);
}

static void
read_again(void *ctx)
{
        struct sources *s = ctx;
        int objects, endpoints;

        s->mistakes = 0;
        s->why[0] = 0;
        objects = read_objects(s);
        endpoints = read_endpoints(s);
        s->stats->reloads++;
        if (objects == 0 && endpoints == 0)
                return;
        s->stats->failures++;
        epp_log(s->log, EPP_LOG_WARN, "bad_file",
                LOG_T("kept", objects == 0 ? "endpoints" : endpoints == 0 ? "objects" : "both"),
                LOG_N("mistakes", s->mistakes), LOG_T("why", s->why));
}

void
sources_reload(struct sources *s)
{
        if (s->files)
                filewatch_take(s->files);
        read_again(s);
}

static int
start_watching(struct sources *s)
{
        const struct opt *o = s->opt;
        struct filewatch_config cfg = { .stamp = stamp, .changed = read_again, .ctx = s };

        if (o->objects.n == 0 && !*o->endpoints_file)
                return 0;
        s->paths = calloc(o->objects.n + 1, sizeof(*s->paths));
        if (!s->paths)
                return -1;
        for (size_t i = 0; i < o->objects.n; i++)
                s->paths[cfg.n++] = o->objects.v[i];
        if (*o->endpoints_file)
                s->paths[cfg.n++] = o->endpoints_file;
        cfg.paths = s->paths;
        return filewatch_new(s->base, &cfg, &s->files);
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
                .stats = stats, .starting = true };
        *ret = s;
        for (size_t i = 0; i < o->endpoint.n; i++)
                if (add_endpoint(s, o->endpoint.v[i]) < 0)
                        r = -1;
        if (start_watching(s) < 0) /* before they are read: what changes meanwhile is told */
                r = -1;
        if (read_endpoints(s) < 0)
                r = -1;
        if (read_objects(s) < 0)
                r = -1;
        s->starting = false;
        return r;
}

const char *
sources_pool(const struct sources *s)
{
        return s->pool ? s->pool : "";
}

void
sources_free(struct sources *s)
{
        if (!s)
                return;
        filewatch_free(s->files);
        free(s->paths);
        texts_free(s->good);
        free(s->pool);
        free(s);
}
