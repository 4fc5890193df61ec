/* creds.c - see creds.h. No secret is ever logged. */
#include "daemon/creds.h"

#include <event2/event.h>
#include <openssl/evp.h>
#include <time.h>
#include <unistd.h>

#include "daemon/child.h"
#include "daemon/exec_credential.h"
#include "daemon/loop.h"

#define TOKEN_US 50000000 /* the kubelet replaces it at 80 % of an hour */
#define CA_US 300000000
#define EXEC_MS 60000
#define EXEC_AGAIN_US 5000000 /* between runs, whatever asks for one */
#define EXEC_OUTPUT_MAX 65536

struct text {
        char *p;
        size_t n;
};

struct creds {
        struct event_base *base;
        struct creds_config cfg;
        const struct kubeconfig *k;
        struct text token, ca, cert, key;
        char *header;
        uint64_t version;
        epp_us token_at, ca_at; /* read last */
        bool complained;        /* of the token file; told once per trouble */
        struct event *tell;
        bool started;            /* there were others before */
        /* The plugin. */
        struct child *child;
        struct event *retell;
        bool have;       /* what it gave last can be used */
        int64_t expires; /* wall seconds; 0: not said */
        epp_us ran_at;   /* ended last; 0: never */
};

static void
text_fini(struct text *t)
{
        if (t->p)
                explicit_bzero(t->p, t->n);
        free(t->p);
        *t = (struct text){NULL, 0};
}

/* True when it is another one than before. */
static bool
text_set(struct text *t, struct epp_slice s)
{
        char *p;

        if (epp_slice_eq(epp_slice(t->p, t->n), s))
                return false;
        p = malloc(s.n + 1);
        if (!p)
                return false;
        if (s.n)
                memcpy(p, s.p, s.n);
        p[s.n] = 0;
        text_fini(t);
        *t = (struct text){p, s.n};
        return true;
}

static void
complain(struct creds *c, const char *what, const char *file, const char *why)
{
        epp_log(c->cfg.log, EPP_LOG_WARN, "credentials", LOG_T("what", what),
                LOG_T("file", file ? file : ""), LOG_T("why", why));
}

static void
soon(struct event *ev)
{
        struct timeval now = {0, 0};

        evtimer_add(ev, &now);
}

/* "Authorization: Basic ...", or NULL when memory is short. */
static char *
basic_header(const struct kubeconfig *k)
{
        char *pair = NULL, *base64 = NULL, *header = NULL;
        int n = asprintf(
                &pair, "%s:%s", k->username ? k->username : "", k->password ? k->password : "");

        if (n < 0)
                return NULL;
        base64 = calloc(1, (size_t)(n + 2) / 3 * 4 + 1);
        if (base64) {
                EVP_EncodeBlock((unsigned char *)base64, (const unsigned char *)pair, n);
                if (asprintf(&header, "Authorization: Basic %s", base64) < 0)
                        header = NULL;
        }
        free(base64);
        explicit_bzero(pair, (size_t)n);
        free(pair);
        return header;
}

static void
build_header(struct creds *c)
{
        const struct kubeconfig *k = c->k;

        free(c->header);
        c->header = NULL;
        if (!k->tls)
                return; /* anybody could read it */
        if (c->token.n && asprintf(&c->header, "Authorization: Bearer %s", c->token.p) < 0)
                c->header = NULL;
        if (!c->token.n && (k->username || k->password))
                c->header = basic_header(k);
}

static void
note_change(struct creds *c, const char *what)
{
        build_header(c);
        c->version++;
        if (c->started) {
                epp_log(c->cfg.log, EPP_LOG_INFO, "rotated", LOG_T("what", what));
                soon(c->tell);
        }
}

/* A bad or missing file leaves the token as it is. */
static void
read_token(struct creds *c)
{
        const char *path = c->k->token_file, *why = NULL;
        struct epp_slice token = {NULL, 0};
        char *text = NULL;
        size_t n = 0;
        int r;

        if (!path)
                return;
        c->token_at = loop_now(c->base);
        r = kubeconfig_read_file(path, &text, &n);
        if (r < 0)
                why = strerror(-r);
        else
                token = kubeconfig_trim_token(epp_slice(text, n));
        if (!why && !token.p)
                why = "is empty or holds bytes that cannot stand in a header";
        if (why && !c->complained)
                complain(c, "token", path, why);
        c->complained = why != NULL;
        if (!why && text_set(&c->token, token))
                note_change(c, "token");
        if (text)
                explicit_bzero(text, n);
        free(text);
}

static void
read_ca(struct creds *c)
{
        const char *path = c->k->ca.file, *why;
        char *text;
        size_t n;
        int r;

        c->ca_at = loop_now(c->base);
        if (c->k->ca.data.n || !path)
                return;
        r = kubeconfig_read_file(path, &text, &n);
        if (r < 0) {
                complain(c, c->ca.n ? "ca, the one before is kept" : "ca, the system's are used",
                        path, strerror(-r));
                return;
        }
        why = kubeconfig_check_ca(epp_slice(text, n));
        if (why)
                complain(c, c->ca.n ? "ca, the one before is kept" : "ca, the system's are used",
                        path, why);
        else if (text_set(&c->ca, epp_slice(text, n)))
                note_change(c, "ca");
        free(text);
}

/* What a PEM item is now: its data, or the file's content in *ret_owned. */
static struct epp_slice
pem_now(const struct kubeconfig_pem *p, char **ret_owned)
{
        size_t n;

        *ret_owned = NULL;
        if (p->data.n || !p->file)
                return p->data;
        return kubeconfig_read_file(p->file, ret_owned, &n) < 0 ? epp_slice(NULL, 0)
                                                                : epp_slice(*ret_owned, n);
}

static void
read_pair(struct creds *c)
{
        char *owned_cert, *owned_key;
        struct epp_slice cert = pem_now(&c->k->cert, &owned_cert),
                         key = pem_now(&c->k->key, &owned_key);
        bool same = epp_slice_eq(cert, epp_slice(c->cert.p, c->cert.n)) &&
                    epp_slice_eq(key, epp_slice(c->key.p, c->key.n));
        const char *why = same ? NULL : kubeconfig_check_pair(cert, key);

        if (why) {
                complain(c, "client certificate, the one before is kept", c->k->cert.file, why);
        } else if (!same) {
                text_set(&c->cert, cert);
                text_set(&c->key, key);
                note_change(c, "client certificate");
        }
        if (owned_key)
                explicit_bzero(owned_key, key.n);
        free(owned_cert);
        free(owned_key);
}

static void
read_again(struct creds *c, epp_us token_us, epp_us ca_us)
{
        epp_us now = loop_now(c->base);

        if (now - c->token_at >= token_us) {
                read_token(c);
                if (c->k->cert.file || c->k->key.file)
                        read_pair(c);
                c->token_at = now;
        }
        if (now - c->ca_at >= ca_us)
                read_ca(c);
}

static void
take(struct creds *c, const struct exec_credential *got)
{
        bool other = text_set(&c->token, epp_slice_str(got->token));

        other |= text_set(&c->cert, epp_slice_str(got->cert));
        other |= text_set(&c->key, epp_slice_str(got->key));
        c->expires = got->expires;
        c->have = true;
        if (other)
                note_change(c, "exec");
        c->started = true;
}

static void
on_child(void *ctx, const char *why, struct epp_slice out, struct epp_slice errors)
{
        struct creds *c = ctx;
        struct exec_credential got;
        char err[160];

        c->child = NULL;
        c->ran_at = loop_now(c->base);
        if (!why && exec_credential_parse(c->k, out, &got, err, sizeof(err)) == 0) {
                take(c, &got);
                exec_credential_fini(&got);
        } else {
                epp_log(c->cfg.log, EPP_LOG_WARN, "credentials", LOG_T("what", "exec"),
                        LOG_T("file", c->k->exec.command), LOG_T("why", why ? why : err),
                        LOG_S("stderr", errors));
        }
        soon(c->retell);
}

/* The environment with <texts> in place of what they name; only the array is to be freed. */
static char **
environment(char *const *texts, size_t n_texts)
{
        char **all;
        size_t n = 0, had = 0;

        while (environ[had])
                had++;
        all = calloc(had + n_texts + 1, sizeof(*all));
        for (size_t i = 0; all && i < had; i++) {
                size_t name = strcspn(environ[i], "=") + 1;
                bool ours = false;

                for (size_t j = 0; j < n_texts; j++)
                        ours |= texts[j] && strncmp(texts[j], environ[i], name) == 0;
                if (!ours)
                        all[n++] = environ[i];
        }
        for (size_t j = 0; all && j < n_texts; j++)
                if (texts[j])
                        all[n++] = texts[j];
        return all;
}

static size_t
count(const struct kubeconfig_text *t)
{
        size_t n = 0;

        for (; t; t = t->next)
                n++;
        return n;
}

static int
spawn(struct creds *c)
{
        const struct kubeconfig_exec *x = &c->k->exec;
        struct child_config cfg = {
                .command = x->command, .limit_ms = c->cfg.exec_ms, .max_output = EXEC_OUTPUT_MAX};
        size_t n_env = count(x->env) + 1, n_args = count(x->args) + 2, i = 0;
        char **texts = calloc(n_env, sizeof(*texts)), **argv = calloc(n_args, sizeof(*argv)),
             **env = NULL;
        char *info = exec_credential_info(c->k, creds_ca(c));
        int r = -1;

        if (!texts || !argv || !info)
                goto out;
        for (const struct kubeconfig_text *t = x->env; t; t = t->next)
                if (asprintf(&texts[i++], "%s=%s", t->name, t->value) < 0)
                        goto out;
        if (asprintf(&texts[i], "KUBERNETES_EXEC_INFO=%s", info) < 0)
                goto out;
        i = 0;
        memcpy(&argv[i++], &x->command, sizeof(*argv)); /* posix_spawn only reads them */
        for (const struct kubeconfig_text *t = x->args; t; t = t->next)
                memcpy(&argv[i++], &t->value, sizeof(*argv));
        env = environment(texts, n_env);
        cfg.argv = argv;
        cfg.environment = env;
        r = env ? child_start(c->base, &cfg, on_child, c, &c->child) : -1;
out:
        for (i = 0; texts && i < n_env; i++)
                free(texts[i]);
        free(texts);
        free(argv);
        free(env);
        free(info);
        return r;
}

static bool
run_plugin(struct creds *c)
{
        epp_us now = loop_now(c->base);
        int r;

        if (c->child)
                return true;
        if (c->ran_at && now - c->ran_at < EXEC_AGAIN_US)
                return false;
        r = spawn(c);
        if (r == 0)
                return true;
        c->ran_at = now;
        epp_log(c->cfg.log, EPP_LOG_WARN, "credentials", LOG_T("what", "exec"),
                LOG_T("file", c->k->exec.command), LOG_T("why", strerror(-r)),
                LOG_T("hint",
                        c->k->exec.hint ? c->k->exec.hint : "install it, or correct exec.command"));
        return false;
}

enum creds_state
creds_ready(struct creds *c)
{
        if (!c->k->tls)
                return CREDS_OK;
        read_again(c, c->cfg.token_us, c->cfg.ca_us);
        if (!c->k->exec.command || (c->have && (!c->expires || time(NULL) < c->expires)))
                return CREDS_OK;
        return run_plugin(c) ? CREDS_WAIT : CREDS_NONE;
}

void
creds_refused(struct creds *c, uint64_t version)
{
        if (!c->k->tls || version != c->version)
                return; /* there are others already */
        if (c->k->exec.command)
                (void)(run_plugin(c) && (c->have = false));
        else
                read_again(c, 0, c->cfg.ca_us);
}

static void
on_tell(evutil_socket_t fd, short what, void *user)
{
        struct creds *c = user;

        (void)fd, (void)what;
        c->cfg.changed(c->cfg.ctx);
}

static void
on_retell(evutil_socket_t fd, short what, void *user)
{
        struct creds *c = user;

        (void)fd, (void)what;
        c->cfg.ended(c->cfg.ctx);
}

int
creds_new(struct event_base *base, const struct creds_config *cfg, struct creds **ret, char *err,
        size_t err_size)
{
        struct creds *c = calloc(1, sizeof(*c));

        if (!c) {
                snprintf(err, err_size, "out of memory");
                return -1;
        }
        *c = (struct creds){.base = base, .cfg = *cfg, .k = cfg->k};
        c->cfg.token_us = cfg->token_us ? cfg->token_us : TOKEN_US;
        c->cfg.ca_us = cfg->ca_us ? cfg->ca_us : CA_US;
        c->cfg.exec_ms = cfg->exec_ms ? cfg->exec_ms : EXEC_MS;
        c->tell = evtimer_new(base, on_tell, c);
        c->retell = evtimer_new(base, on_retell, c);
        if (!c->tell || !c->retell) {
                creds_free(c);
                snprintf(err, err_size, "out of memory");
                return -1;
        }
        if (c->k->token)
                text_set(&c->token, kubeconfig_trim_token(epp_slice_str(c->k->token)));
        text_set(&c->ca, c->k->ca.data);
        if (c->k->tls) {
                read_token(c);
                read_ca(c);
                if (c->k->cert.file || c->k->cert.data.n)
                        read_pair(c);
        }
        build_header(c);
        c->started = !c->k->exec.command;
        *ret = c;
        return 0;
}

void
creds_free(struct creds *c)
{
        struct text *all[4];

        if (!c)
                return;
        all[0] = &c->token;
        all[1] = &c->ca;
        all[2] = &c->cert;
        all[3] = &c->key;
        for (size_t i = 0; i < ARRAY_LEN(all); i++)
                text_fini(all[i]);
        child_free(c->child);
        if (c->tell)
                event_free(c->tell);
        if (c->retell)
                event_free(c->retell);
        free(c->header);
        free(c);
}

const char *
creds_header(const struct creds *c)
{
        return c->header;
}

struct epp_slice
creds_ca(const struct creds *c)
{
        return epp_slice(c->ca.p, c->ca.n);
}

struct epp_slice
creds_cert(const struct creds *c)
{
        return epp_slice(c->cert.p, c->cert.n);
}

struct epp_slice
creds_key(const struct creds *c)
{
        return epp_slice(c->key.p, c->key.n);
}

uint64_t
creds_version(const struct creds *c)
{
        return c->version;
}
