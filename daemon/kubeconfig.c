/* kubeconfig.c - see kubeconfig.h. Entries are looked up by name in each file in turn: the first
 * file that has one wins, and paths in it are relative to that file. */
#include "daemon/kubeconfig.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (1u << 20)
#define FILES_MAX 16
#define HEADERS_MAX 60

struct file {
        const char *path, *dir;
        struct epp_doc doc;
};

struct load {
        struct kubeconfig *k;
        struct epp_arena *arena;
        struct file files[FILES_MAX];
        size_t n;
        char *err;
        size_t err_size;
};

/* A map entry and where it stands. */
struct entry {
        const struct epp_node *node;
        const struct file *file;
        const char *name;
};

static int EPP_PRINTF(2, 3) fail(struct load *l, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(l->err, l->err_size, fmt, ap);
        va_end(ap);
        return -1;
}

static const char *
copy(struct load *l, struct epp_slice s)
{
        return epp_arena_copy(l->arena, s).p;
}

static const char *EPP_PRINTF(2, 3) print(struct load *l, const char *fmt, ...)
{
        char text[4096];
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        return copy(l, epp_slice_str(text));
}

int
kubeconfig_read_file(const char *path, char **ret, size_t *ret_n)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), r = 0; /* a pipe must not hold us */
        char *text = malloc(FILE_MAX + 2);
        size_t n = 0;
        ssize_t got = 1;
        struct stat st;

        if (fd < 0 || !text || fstat(fd, &st) < 0)
                r = text ? -errno : -ENOMEM;
        else if (S_ISDIR(st.st_mode))
                r = -EISDIR;
        while (r == 0 && got > 0 && n <= FILE_MAX) {
                got = read(fd, text + n, FILE_MAX + 1 - n);
                if (got < 0)
                        r = -errno;
                else
                        n += (size_t)got;
        }
        if (r == 0 && n > FILE_MAX)
                r = -EFBIG;
        if (fd >= 0)
                close(fd);
        if (r < 0) {
                free(text);
                return r;
        }
        text[n] = 0;
        *ret = text;
        *ret_n = n;
        return 0;
}

long
kubeconfig_base64(struct epp_slice text, char *out)
{
        static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                     "0123456789+/";
        unsigned bits = 0, have = 0, count = 0, pad = 0;
        long n = 0;

        for (size_t i = 0; i < text.n; i++) {
                char c = text.p[i];
                const char *at = c ? strchr(digits, c) : NULL;

                if (c == '\n' || c == '\r')
                        continue;
                count++;
                if (c == '=' && (count % 4 == 0 || (count % 4 == 3 && pad == 0))) {
                        pad++;
                        continue;
                }
                if (!at || pad)
                        return -1;
                bits = bits << 6 | (unsigned)(at - digits);
                have += 6;
                if (have >= 8) {
                        have -= 8;
                        out[n++] = (char)(bits >> have);
                }
        }
        return count % 4 ? -1 : n;
}

struct epp_slice
kubeconfig_trim_token(struct epp_slice text)
{
        while (text.n && strchr(" \t\r\n\v\f", text.p[0]) && text.p[0])
                text.p++, text.n--;
        while (text.n && text.p[text.n - 1] && strchr(" \t\r\n\v\f", text.p[text.n - 1]))
                text.n--;
        for (size_t i = 0; i < text.n; i++)
                if (text.p[i] <= ' ' || text.p[i] > '~')
                        text.n = 0;
        return text.n ? text : (struct epp_slice){NULL, 0};
}

/* Encrypted keys: nobody is there to be asked. */
static int
no_password(char *buf, int size, int writing, void *user)
{
        (void)buf, (void)size, (void)writing, (void)user;
        return -1;
}

const char *
kubeconfig_check_ca(struct epp_slice pem)
{
        BIO *in = BIO_new_mem_buf(pem.p, (int)pem.n);
        int n = 0, reason;
        X509 *x;

        while (in && (x = PEM_read_bio_X509_AUX(in, NULL, no_password, NULL))) {
                X509_free(x);
                n++;
        }
        BIO_free(in);
        reason = ERR_GET_REASON(ERR_peek_last_error());
        ERR_clear_error();
        if (n == 0)
                return "holds no PEM certificate";
        return reason == PEM_R_NO_START_LINE ? NULL : "holds a broken PEM certificate";
}

const char *
kubeconfig_check_pair(struct epp_slice cert, struct epp_slice key)
{
        BIO *c = BIO_new_mem_buf(cert.p, (int)cert.n), *k = BIO_new_mem_buf(key.p, (int)key.n);
        X509 *x = c ? PEM_read_bio_X509(c, NULL, no_password, NULL) : NULL;
        EVP_PKEY *p = k ? PEM_read_bio_PrivateKey(k, NULL, no_password, NULL) : NULL;
        const char *why = NULL;

        if (!x)
                why = "the client certificate is not PEM";
        else if (!p)
                why = "the client key is not PEM, or is encrypted";
        else if (X509_check_private_key(x, p) != 1)
                why = "the client key does not belong to the client certificate";
        ERR_clear_error();
        X509_free(x);
        EVP_PKEY_free(p);
        BIO_free(c);
        BIO_free(k);
        return why;
}

static const char *
dir_of(struct load *l, const char *path)
{
        const char *slash = strrchr(path, '/');

        return slash ? copy(l, epp_slice(path, (size_t)(slash - path) + 1)) : "";
}

/* Reads and parses <path>; a file that is not there is an error only with <must>. */
static int
add_file(struct load *l, const char *path, bool must)
{
        struct file *f = &l->files[l->n];
        char *text;
        size_t n;
        int r = kubeconfig_read_file(path, &text, &n);

        if (r == -ENOENT && !must)
                return 0;
        if (r < 0)
                return fail(l, "kubeconfig %s: cannot be read: %s", path, strerror(-r));
        if (l->n == FILES_MAX) {
                free(text);
                return fail(l, "KUBECONFIG: names more than %d files", FILES_MAX);
        }
        *f = (struct file){.path = copy(l, epp_slice_str(path)), .dir = dir_of(l, path)};
        l->n++;
        r = epp_doc_parse(epp_slice(text, n), &f->doc);
        free(text);
        if (r < 0)
                return fail(l, "kubeconfig %s: line %u: %s", path, f->doc.error_line,
                        *f->doc.error ? f->doc.error : epp_status_text(r));
        if (f->doc.root && f->doc.root->kind != EPP_NODE_MAP && f->doc.root->kind != EPP_NODE_NULL)
                return fail(l, "kubeconfig %s: is not a kubeconfig", path);
        return 0;
}

/* The text at <key>; *ret is NULL when it is not there or empty. */
static int
get_text(struct load *l, const struct entry *e, const struct epp_node *map, const char *key,
        const char **ret)
{
        const struct epp_node *n = epp_node_get(map, key);

        *ret = NULL;
        if (!n)
                return 0;
        if (n->kind != EPP_NODE_SCALAR)
                return fail(
                        l, "kubeconfig %s: line %u: %s must be text", e->file->path, n->line, key);
        if (memchr(n->text.p, 0, n->text.n) || memchr(n->text.p, '\r', n->text.n))
                return fail(l, "kubeconfig %s: line %u: %s holds bytes that cannot stand there",
                        e->file->path, n->line, key);
        *ret = n->text.n ? copy(l, n->text) : NULL;
        return 0;
}

static int
get_bool(struct load *l, const struct entry *e, const struct epp_node *map, const char *key,
        bool *ret)
{
        const char *text;

        if (get_text(l, e, map, key, &text) < 0)
                return -1;
        *ret = text && strcmp(text, "true") == 0;
        if (text && !*ret && strcmp(text, "false") != 0)
                return fail(l, "kubeconfig %s: %s \"%s\": %s must be true or false", e->file->path,
                        "entry", e->name, key);
        return 0;
}

/* The value of <kind> in the entry of <list> that is called <name>. */
static int
find(struct load *l, const char *list, const char *kind, const char *name, const char *wanted_by,
        struct entry *ret)
{
        for (size_t i = 0; i < l->n; i++) {
                const struct epp_node *n = epp_node_get(l->files[i].doc.root, list);

                for (n = n ? n->first : NULL; n; n = n->next) {
                        const struct epp_node *key = epp_node_get(n, "name");

                        if (!key || key->kind != EPP_NODE_SCALAR ||
                                !epp_slice_eq(key->text, epp_slice_str(name)))
                                continue;
                        *ret = (struct entry){epp_node_get(n, kind), &l->files[i], name};
                        return 0;
                }
        }
        return fail(l, "kubeconfig %s: %s names the %s \"%s\", which is not there", l->k->origin,
                wanted_by, kind, name);
}

/* A path is relative to its file. */
static const char *
path_of(struct load *l, const struct entry *e, const char *path)
{
        return !path || *path == '/' ? path : print(l, "%s%s", e->file->dir, path);
}

/* KEY-data wins over KEY. The data, or what the file holds now, comes back in *now: freed by the
 * caller. */
static int
get_pem(struct load *l, const struct entry *e, const char *key, struct kubeconfig_pem *ret,
        char **now, size_t *now_n)
{
        const char *data, *file;
        char name[64];
        long n;
        int r;

        *now = NULL;
        *now_n = 0;
        snprintf(name, sizeof(name), "%s-data", key);
        if (get_text(l, e, e->node, name, &data) < 0 || get_text(l, e, e->node, key, &file) < 0)
                return -1;
        *ret = (struct kubeconfig_pem){NULL, {NULL, 0}};
        if (data) {
                *now = malloc(strlen(data) + 1);
                n = *now ? kubeconfig_base64(epp_slice_str(data), *now) : -1;
                if (n < 0)
                        return fail(l, "kubeconfig %s: entry \"%s\": %s is not base64",
                                e->file->path, e->name, name);
                *now_n = (size_t)n;
                ret->data = epp_arena_copy(l->arena, epp_slice(*now, (size_t)n));
        } else if (file) {
                ret->file = path_of(l, e, file);
                r = kubeconfig_read_file(ret->file, now, now_n);
                if (r < 0)
                        return fail(l, "kubeconfig %s: entry \"%s\": %s %s cannot be read: %s",
                                e->file->path, e->name, key, ret->file, strerror(-r));
        }
        return 0;
}

static const char *
default_port(const char *scheme)
{
        return !strcmp(scheme, "https") ? "443" : "80";
}

static bool
is_port(const char *text)
{
        char *end;
        unsigned long v = *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : 0;

        return v > 0 && v < 65536 && *end == 0;
}

/* https://host:port/prefix?dropped into its parts. */
static int
set_server(struct load *l, const struct entry *e, const char *url)
{
        struct kubeconfig *k = l->k;
        struct epp_slice rest = epp_slice_str(url), host;
        const char *bad = NULL;
        size_t n;

        k->tls = epp_slice_has_prefix(rest, EPP_SLICE("https://"));
        if (!k->tls && !epp_slice_has_prefix(rest, EPP_SLICE("http://")))
                bad = "must begin with https:// or http://";
        else
                url += k->tls ? 8 : 7;
        n = strcspn(url, "/?#");
        host = epp_slice(url, n);
        if (!bad && memchr(host.p, '@', host.n))
                bad = "must not hold a user and password";
        n += strcspn(url + n, "?#");
        rest = epp_slice(url + host.n, n - host.n);
        while (rest.n && rest.p[rest.n - 1] == '/')
                rest.n--;
        k->prefix = copy(l, rest);
        k->port = default_port(k->tls ? "https" : "http");
        if (!bad && host.n && host.p[0] == '[') {
                struct epp_slice port = host;
                struct epp_slice six = epp_slice_cut(&port, ']');

                if (!port.p || (port.n && port.p[0] != ':'))
                        bad = "has no ] after its [";
                k->host = copy(l, epp_slice(six.p + 1, six.n - 1));
                if (!bad && port.n)
                        k->port = copy(l, epp_slice(port.p + 1, port.n - 1));
        } else {
                struct epp_slice port = host;

                k->host = copy(l, epp_slice_cut(&port, ':'));
                if (port.p)
                        k->port = copy(l, port);
        }
        if (!bad && (!k->host || !*k->host || strpbrk(k->host, " \t\n")))
                bad = "names no host";
        if (!bad && (!k->port || !is_port(k->port)))
                bad = "has no number from 1 to 65535 as its port";
        if (bad)
                return fail(
                        l, "kubeconfig %s: cluster \"%s\": server %s", e->file->path, e->name, bad);
        return 0;
}

static int
set_proxy(struct load *l, const struct entry *e)
{
        static const char *const schemes[] = {"http://", "https://", "socks5://", "socks5h://"};

        if (get_text(l, e, e->node, "proxy-url", &l->k->proxy) < 0)
                return -1;
        if (!l->k->proxy)
                return 0;
        for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
                if (epp_slice_has_prefix(epp_slice_str(l->k->proxy), epp_slice_str(schemes[i])))
                        return 0;
        return fail(l,
                "kubeconfig %s: cluster \"%s\": proxy-url must begin with http://, https:// or "
                "socks5://",
                e->file->path, e->name);
}

static int
set_cluster(struct load *l, const struct entry *e)
{
        struct kubeconfig *k = l->k;
        const char *server, *why;
        char *pem = NULL;
        size_t n;
        int r = -1;

        if (get_text(l, e, e->node, "server", &server) < 0)
                return -1;
        if (!server)
                return fail(
                        l, "kubeconfig %s: cluster \"%s\" has no server", e->file->path, e->name);
        if (set_server(l, e, server) < 0 || set_proxy(l, e) < 0 ||
                get_text(l, e, e->node, "tls-server-name", &k->tls_name) < 0 ||
                get_bool(l, e, e->node, "insecure-skip-tls-verify", &k->insecure) < 0 ||
                get_bool(l, e, e->node, "disable-compression", &k->no_gzip) < 0 ||
                get_pem(l, e, "certificate-authority", &k->ca, &pem, &n) < 0)
                goto out;
        if (pem && k->insecure) {
                fail(l,
                        "kubeconfig %s: cluster \"%s\": insecure-skip-tls-verify and a certificate "
                        "authority "
                        "contradict each other: remove one",
                        e->file->path, e->name);
                goto out;
        }
        why = pem ? kubeconfig_check_ca(epp_slice(pem, n)) : NULL;
        if (why) {
                fail(l, "kubeconfig %s: cluster \"%s\": certificate-authority%s%s %s",
                        e->file->path, e->name, k->ca.file ? " " : "-data",
                        k->ca.file ? k->ca.file : "", why);
                goto out;
        }
        r = 0;
out:
        free(pem);
        return r;
}

static int
set_pair(struct load *l, const struct entry *e)
{
        char *cert = NULL, *key = NULL;
        size_t cert_n, key_n;
        const char *why = NULL;
        int r = -1;

        if (get_pem(l, e, "client-certificate", &l->k->cert, &cert, &cert_n) < 0 ||
                get_pem(l, e, "client-key", &l->k->key, &key, &key_n) < 0)
                goto out;
        if (!cert != !key)
                why = cert ? "client-certificate needs a client-key too"
                           : "client-key needs a client-certificate too";
        else if (cert)
                why = kubeconfig_check_pair(epp_slice(cert, cert_n), epp_slice(key, key_n));
        r = why ? fail(l, "kubeconfig %s: user \"%s\": %s", e->file->path, e->name, why) : 0;
out:
        free(cert);
        free(key);
        return r;
}

static int
add_text(struct load *l, struct kubeconfig_text ***tail, const char *name, const char *value)
{
        struct kubeconfig_text *t = epp_arena_alloc(l->arena, sizeof(*t));

        if (!t || !value)
                return fail(l, "out of memory");
        *t = (struct kubeconfig_text){NULL, name, value};
        **tail = t;
        *tail = &t->next;
        return 0;
}

/* Each scalar of the list <key>, under <name>. */
static int
add_list(struct load *l, const struct entry *e, const struct epp_node *list, const char *key,
        const char *name, struct kubeconfig_text ***tail)
{
        if (list && list->kind != EPP_NODE_LIST)
                return fail(l, "kubeconfig %s: line %u: %s must be a list", e->file->path,
                        list->line, key);
        for (const struct epp_node *n = list ? list->first : NULL; n; n = n->next) {
                if (n->kind != EPP_NODE_SCALAR)
                        return fail(l, "kubeconfig %s: line %u: %s must hold texts", e->file->path,
                                n->line, key);
                if (add_text(l, tail, name, copy(l, n->text)) < 0)
                        return -1;
        }
        return 0;
}

/* Header names take letters of either case and few others: the rest is percent-encoded, as the
 * server expects. */
static const char *
extra_name(struct load *l, struct epp_slice key)
{
        static const char hex[] = "0123456789ABCDEF";
        char out[512] = "Impersonate-Extra-";
        size_t n = strlen(out);

        for (size_t i = 0; i < key.n && n + 4 < sizeof(out); i++) {
                unsigned char c = (unsigned char)key.p[i];
                bool plain =
                        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

                if (plain || (c && strchr("!#$&'*+-.^_`|~", c))) {
                        out[n++] = (char)c;
                } else {
                        out[n++] = '%';
                        out[n++] = hex[c >> 4];
                        out[n++] = hex[c & 15];
                }
        }
        return copy(l, epp_slice(out, n));
}

static int
set_impersonation(struct load *l, const struct entry *e)
{
        struct kubeconfig_text **tail = &l->k->headers;
        const struct epp_node *groups = epp_node_get(e->node, "as-groups");
        const struct epp_node *extra = epp_node_get(e->node, "as-user-extra");
        const char *as, *uid;
        int n_headers = 0;

        if (get_text(l, e, e->node, "as", &as) < 0 || get_text(l, e, e->node, "as-uid", &uid) < 0)
                return -1;
        if (!as && (uid || groups || extra))
                return fail(l,
                        "kubeconfig %s: user \"%s\": as-uid, as-groups and as-user-extra need as: "
                        "whom to act as",
                        e->file->path, e->name);
        if ((as && add_text(l, &tail, "Impersonate-User", as) < 0) ||
                (uid && add_text(l, &tail, "Impersonate-Uid", uid) < 0) ||
                add_list(l, e, groups, "as-groups", "Impersonate-Group", &tail) < 0)
                return -1;
        for (const struct epp_node *n = extra ? extra->first : NULL; n; n = n->next)
                if (add_list(l, e, n, "as-user-extra", extra_name(l, n->key), &tail) < 0)
                        return -1;
        for (const struct kubeconfig_text *t = l->k->headers; t; t = t->next) {
                if (++n_headers > HEADERS_MAX)
                        return fail(l,
                                "kubeconfig %s: user \"%s\": more than %d groups and extras to act "
                                "with",
                                e->file->path, e->name, HEADERS_MAX);
                if (strpbrk(t->value, "\r\n"))
                        return fail(l, "kubeconfig %s: user \"%s\": a line feed in what to act as",
                                e->file->path, e->name);
        }
        return 0;
}

static int
set_exec_env(struct load *l, const struct entry *e, const struct epp_node *list)
{
        struct kubeconfig_text **tail = &l->k->exec.env;
        const char *name, *value;

        for (const struct epp_node *n = list ? list->first : NULL; n; n = n->next) {
                if (get_text(l, e, n, "name", &name) < 0 || get_text(l, e, n, "value", &value) < 0)
                        return -1;
                if (!name || strchr(name, '='))
                        return fail(l, "kubeconfig %s: user \"%s\": exec.env needs a name each",
                                e->file->path, e->name);
                if (add_text(l, &tail, name, value ? value : "") < 0)
                        return -1;
        }
        return 0;
}

static int
check_exec_kind(struct load *l, const struct entry *e, const char *mode)
{
        const struct kubeconfig_exec *x = &l->k->exec;
        const char *v = x->api_version ? x->api_version : "", *bad = NULL;
        bool v1 = strcmp(v, "client.authentication.k8s.io/v1") == 0;

        if (!x->command)
                bad = "exec.command is missing";
        else if (!v1 && strcmp(v, "client.authentication.k8s.io/v1beta1") != 0)
                bad = "exec.apiVersion must be client.authentication.k8s.io/v1 or /v1beta1";
        else if (v1 && !mode)
                bad = "exec.interactiveMode must be Never or IfAvailable";
        else if (mode && !strcmp(mode, "Always"))
                bad = "exec.interactiveMode Always cannot be had: nobody is there to be asked";
        else if (mode && strcmp(mode, "Never") != 0 && strcmp(mode, "IfAvailable") != 0)
                bad = "exec.interactiveMode must be Never or IfAvailable";
        return bad ? fail(l, "kubeconfig %s: user \"%s\": %s", e->file->path, e->name, bad) : 0;
}

static int
set_exec(struct load *l, const struct entry *e, const struct epp_node *n)
{
        struct kubeconfig_exec *x = &l->k->exec;
        struct kubeconfig_text **tail = &x->args;
        const char *mode;

        if (get_text(l, e, n, "command", &x->command) < 0 ||
                get_text(l, e, n, "apiVersion", &x->api_version) < 0 ||
                get_text(l, e, n, "installHint", &x->hint) < 0 ||
                get_text(l, e, n, "interactiveMode", &mode) < 0 ||
                get_bool(l, e, n, "provideClusterInfo", &x->cluster_info) < 0 ||
                check_exec_kind(l, e, mode) < 0 ||
                add_list(l, e, epp_node_get(n, "args"), "exec.args", NULL, &tail) < 0 ||
                set_exec_env(l, e, epp_node_get(n, "env")) < 0)
                return -1;
        if (strchr(x->command, '/')) /* a bare name is looked for in PATH */
                x->command = path_of(l, e, x->command);
        return 0;
}

/* What is wrong with the ways of saying who we are, taken together; NULL: nothing. */
static const char *
contradiction(const struct kubeconfig *k, const struct epp_node *user)
{
        if (epp_node_get(user, "auth-provider"))
                return "auth-provider is not supported: use exec with the provider's plugin, or a "
                       "token";
        if ((k->token || k->token_file) && (k->username || k->password))
                return "a token and a user name with password contradict each other: remove one";
        if (k->token && !kubeconfig_trim_token(epp_slice_str(k->token)).p)
                return "token is empty or holds bytes that cannot stand in a header";
        if (k->username && strchr(k->username, ':'))
                return "username holds a colon, which basic authentication cannot carry";
        return NULL;
}

static int
set_user(struct load *l, const struct entry *e)
{
        struct kubeconfig *k = l->k;
        const struct epp_node *exec = epp_node_get(e->node, "exec");
        const char *bad;

        if (get_text(l, e, e->node, "token", &k->token) < 0 ||
                get_text(l, e, e->node, "tokenFile", &k->token_file) < 0 ||
                get_text(l, e, e->node, "username", &k->username) < 0 ||
                get_text(l, e, e->node, "password", &k->password) < 0)
                return -1;
        k->token_file = path_of(l, e, k->token_file);
        bad = contradiction(k, e->node);
        if (bad)
                return fail(l, "kubeconfig %s: user \"%s\": %s", e->file->path, e->name, bad);
        if (set_pair(l, e) < 0 || set_impersonation(l, e) < 0 || (exec && set_exec(l, e, exec) < 0))
                return -1;
        if (k->token || k->token_file || k->username || k->cert.file || k->cert.data.n)
                k->exec.command = NULL;
        return 0;
}

/* The token must be there from the start unless something else stands in for it. */
static int
check_token_file(struct load *l, const struct entry *e)
{
        char *text;
        size_t n;
        int r;

        if (!l->k->token_file || l->k->token)
                return 0;
        r = kubeconfig_read_file(l->k->token_file, &text, &n);
        if (r < 0)
                return fail(l, "kubeconfig %s: user \"%s\": tokenFile %s cannot be read: %s",
                        e->file->path, e->name, l->k->token_file, strerror(-r));
        r = kubeconfig_trim_token(epp_slice(text, n)).p ? 0 : -1;
        free(text);
        return r == 0 ? 0
                      : fail(l, "kubeconfig %s: user \"%s\": tokenFile %s holds no token",
                                e->file->path, e->name, l->k->token_file);
}

static int
current_context(struct load *l, const char **ret)
{
        for (size_t i = 0; i < l->n && !*ret; i++) {
                struct entry e = {l->files[i].doc.root, &l->files[i], ""};

                if (get_text(l, &e, e.node, "current-context", ret) < 0)
                        return -1;
        }
        return *ret ? 0
                    : fail(l,
                              "kubeconfig %s: no context: set current-context in it, or give "
                              "--context",
                              l->k->origin);
}

static int
from_files(struct load *l, const char *context)
{
        struct entry e;
        const char *cluster, *user, *by;

        l->k->origin = l->files[0].path;
        by = context ? "--context" : "current-context";
        if ((!context && current_context(l, &context) < 0) ||
                find(l, "contexts", "context", context, by, &e) < 0)
                return -1;
        by = print(l, "context \"%s\"", context);
        if (get_text(l, &e, e.node, "cluster", &cluster) < 0 ||
                get_text(l, &e, e.node, "user", &user) < 0 ||
                get_text(l, &e, e.node, "namespace", &l->k->namespace) < 0)
                return -1;
        if (!cluster)
                return fail(l, "kubeconfig %s: %s names no cluster", l->k->origin, by);
        if (find(l, "clusters", "cluster", cluster, by, &e) < 0 || set_cluster(l, &e) < 0)
                return -1;
        if (!user)
                return 0;
        if (find(l, "users", "user", user, by, &e) < 0 || set_user(l, &e) < 0)
                return -1;
        return check_token_file(l, &e);
}

/* A list of files; at least one must be there. */
static int
from_env_list(struct load *l, const char *list, const char *context)
{
        struct epp_slice rest = epp_slice_str(list);

        while (rest.p) {
                struct epp_slice part = epp_slice_cut(&rest, ':');

                if (part.n && add_file(l, copy(l, part), false) < 0)
                        return -1;
        }
        if (l->n == 0)
                return fail(l, "KUBECONFIG: none of its files is there: %s", list);
        return from_files(l, context);
}

static int
from_account(
        struct load *l, const struct kubeconfig_source *src, const char *host, const char *port)
{
        struct kubeconfig *k = l->k;
        char *text;
        size_t n;

        if (src->context)
                return fail(l,
                        "--context needs a kubeconfig: in a pod there is none; add --kubeconfig");
        k->origin = "in-cluster";
        k->tls = k->ca_optional = true;
        k->host = copy(l, epp_slice_str(host));
        k->port = copy(l, epp_slice_str(port));
        k->prefix = "";
        k->token_file = print(l, "%s/token", src->account);
        k->ca.file = print(l, "%s/ca.crt", src->account);
        if (!is_port(k->port))
                return fail(l, "KUBERNETES_SERVICE_PORT: \"%s\" is no port", port);
        if (kubeconfig_read_file(print(l, "%s/namespace", src->account), &text, &n) == 0) {
                struct epp_slice ns = kubeconfig_trim_token(epp_slice(text, n));

                k->namespace = ns.p ? copy(l, ns) : NULL;
                free(text);
        }
        return 0;
}

static const char *
env_of(const struct kubeconfig_source *src, const char *name)
{
        const char *v = src->env(name);

        return v && *v ? v : NULL;
}

static int
choose(struct load *l, const struct kubeconfig_source *src)
{
        const char *list = env_of(src, "KUBECONFIG"), *home = env_of(src, "HOME");
        const char *host = env_of(src, "KUBERNETES_SERVICE_HOST");
        const char *port = env_of(src, "KUBERNETES_SERVICE_PORT");
        const char *token = print(l, "%s/token", src->account);
        const char *ours = home ? print(l, "%s/.kube/config", home) : NULL;

        if (src->kubeconfig)
                return add_file(l, src->kubeconfig, true) < 0 ? -1 : from_files(l, src->context);
        if (list)
                return from_env_list(l, list, src->context);
        if (host && port && token && access(token, R_OK) == 0)
                return from_account(l, src, host, port);
        if (ours && access(ours, F_OK) == 0)
                return add_file(l, ours, true) < 0 ? -1 : from_files(l, src->context);
        return fail(l,
                "no API server is known: --kubeconfig is not given; KUBECONFIG is not set; %s; "
                "%s%s",
                !host || !port ? "KUBERNETES_SERVICE_HOST and _PORT are not set (not in a pod)"
                               : print(l, "%s cannot be read (not in a pod?)", token),
                ours ? ours : "HOME is not set", ours ? " is not there" : "");
}

int
kubeconfig_load(
        const struct kubeconfig_source *src, struct kubeconfig *ret, char *err, size_t err_size)
{
        struct load l = {.k = ret, .arena = &ret->arena, .err = err, .err_size = err_size};
        int r;

        *ret = (struct kubeconfig){.tls = false};
        r = choose(&l, src);
        if (r == 0 && ret->arena.failed)
                r = fail(&l, "out of memory");
        for (size_t i = 0; i < l.n; i++)
                epp_doc_fini(&l.files[i].doc);
        return r;
}

void
kubeconfig_fini(struct kubeconfig *k)
{
        epp_arena_fini(&k->arena);
}
