/* certs.c - see certs.h. A context is never changed: half a change would be worse than the old one,
 * and OpenSSL counts who still needs it. */
#include "daemon/certs.h"

#include "daemon/filewatch.h"

struct certs {
        struct certs_config cfg;
        SSL_CTX *tls;
        const char *paths[2]; /* the directory, the client CA */
        struct filewatch *files; /* NULL: not watched */
};

static void
stamp(void *ctx, uint64_t *ret)
{
        static const char *const names[] = { "tls.crt", "tls.key" };
        const struct certs *c = ctx;
        char path[4096];

        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
                snprintf(path, sizeof(path), "%s/%s", c->cfg.tls.dir, names[i]);
                filewatch_mix(ret, path);
        }
        if (c->cfg.tls.client_ca)
                filewatch_mix(ret, c->cfg.tls.client_ca);
}

/* Sessions are resumed without a look at the client's certificate: where those count, a new CA
 * must not let in whom it would refuse. */
static void
swap(struct certs *c, SSL_CTX *tls)
{
        SSL_CTX *old = c->tls;

        if (!c->cfg.tls.client_ca)
                tls_keep_sessions(tls, old);
        c->tls = tls;
        c->cfg.use(c->cfg.ctx, tls);
        SSL_CTX_free(old);
}

static void
tell(const struct certs *c)
{
        const char *wrong = tls_untimely(c->tls);
        char expires[32];

        tls_expires(c->tls, expires);
        if (wrong)
                epp_log(c->cfg.log, EPP_LOG_WARN, "certificate", LOG_T("flag", c->cfg.flag),
                        LOG_T("dir", c->cfg.tls.dir), LOG_T("expires", expires),
                        LOG_T("why", wrong));
        else
                epp_log(c->cfg.log, EPP_LOG_INFO, "certificate", LOG_T("flag", c->cfg.flag),
                        LOG_T("dir", c->cfg.tls.dir), LOG_T("expires", expires));
}

static void
read_again(void *ctx)
{
        struct certs *c = ctx;
        char why[512];
        SSL_CTX *tls = tls_context_new(&c->cfg.tls, why, sizeof(why));

        c->cfg.stats->reads++;
        if (!tls) {
                c->cfg.stats->errors++;
                epp_log(c->cfg.log, EPP_LOG_WARN, "bad_certificate", LOG_T("flag", c->cfg.flag),
                        LOG_T("kept", "the old one"), LOG_T("why", why));
                return;
        }
        swap(c, tls);
        tell(c);
}

int
certs_new(struct event_base *base, const struct certs_config *cfg, struct certs **ret, char *err,
        size_t err_size)
{
        struct certs *c = calloc(1, sizeof(*c));
        struct filewatch_config files = { .n = 1, .stamp = stamp, .changed = read_again, .ctx = c };

        snprintf(err, err_size, "out of memory");
        if (!c)
                return -1;
        c->cfg = *cfg;
        c->paths[0] = cfg->tls.dir;
        c->paths[1] = cfg->tls.client_ca;
        files.paths = c->paths;
        files.n += cfg->tls.client_ca != NULL;
        /* Watched before they are read: what changes meanwhile is read again. */
        if (cfg->watch && cfg->tls.dir && filewatch_new(base, &files, &c->files) < 0) {
                certs_free(c);
                return -1;
        }
        c->tls = tls_context_new(&c->cfg.tls, err, err_size);
        if (!c->tls) {
                certs_free(c);
                return -1;
        }
        if (cfg->tls.dir)
                tell(c);
        *ret = c;
        return 0;
}

SSL_CTX *
certs_tls(const struct certs *c)
{
        return c->tls;
}

void
certs_reload(struct certs *c)
{
        if (!c || !c->cfg.tls.dir)
                return; /* our own stays as long as we */
        if (c->files)
                filewatch_take(c->files);
        read_again(c);
}

void
certs_free(struct certs *c)
{
        if (!c)
                return;
        filewatch_free(c->files);
        SSL_CTX_free(c->tls);
        free(c);
}
