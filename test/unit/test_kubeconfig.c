/* test_kubeconfig.c - files and environments, and what is made of them: a description or one line of
 * error. Proxies and ExecCredential objects, too. */
#include "daemon/kubeconfig.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/exec_credential.h"
#include "daemon/proxy.h"
#include "unit.h"

static char dir[64], err[1024];

/* In rows DIR is the test's directory, CRT KEY OTHER are base64 of PEM in files of these names. */
static void
write_file(const char *name, const char *text, size_t n)
{
        char path[200];
        FILE *f;

        snprintf(path, sizeof(path), "%s/%s", dir, name);
        f = fopen(path, "w");
        ck_assert_ptr_nonnull(f);
        ck_assert_uint_eq(fwrite(text, 1, n, f), n);
        fclose(f);
}

static char pem[3][4096], base64[3][6000];

static void
make_pem(void)
{
        EVP_PKEY *key = EVP_EC_gen("P-256"), *other = EVP_EC_gen("P-256");
        X509 *x = X509_new();
        static const char *const names[] = { "crt", "key", "other" };

        X509_gmtime_adj(X509_getm_notBefore(x), 0);
        X509_gmtime_adj(X509_getm_notAfter(x), 3600);
        X509_set_pubkey(x, key);
        ck_assert(X509_sign(x, key, EVP_sha256()) > 0);
        for (int i = 0; i < 3; i++) {
                BIO *b = BIO_new(BIO_s_mem());
                int n;

                if (i == 0)
                        PEM_write_bio_X509(b, x);
                else
                        PEM_write_bio_PrivateKey(b, i == 1 ? key : other, NULL, NULL, 0, NULL, NULL);
                n = BIO_read(b, pem[i], sizeof(pem[i]) - 1);
                ck_assert_int_gt(n, 0);
                write_file(names[i], pem[i], (size_t)n);
                EVP_EncodeBlock((unsigned char *)base64[i], (unsigned char *)pem[i], n);
                BIO_free(b);
        }
        X509_free(x);
        EVP_PKEY_free(key);
        EVP_PKEY_free(other);
}

static const char *env_list[16]; /* NAME=VALUE */

static char *
env(const char *name)
{
        size_t n = strlen(name);
        static char value[8][300];
        static unsigned at;

        for (size_t i = 0; i < ARRAY_LEN(env_list) && env_list[i]; i++)
                if (strncmp(env_list[i], name, n) == 0 && env_list[i][n] == '=') {
                        char *out = value[at++ % 8];
                        const char *v = env_list[i] + n + 1, *mark;
                        size_t used = 0;

                        out[0] = 0;
                        while ((mark = strstr(v, "DIR"))) {
                                used += (size_t)snprintf(out + used, 300 - used, "%.*s%s", (int)(mark - v), v, dir);
                                v = mark + 3;
                        }
                        snprintf(out + used, 300 - used, "%s", v);
                        return out;
                }
        return NULL;
}

static void
expand(const char *in, char *out, size_t size)
{
        const struct { const char *mark, *text; } marks[] = { { "DIR", dir }, { "@CRT", base64[0] },
                { "@KEY", base64[1] }, { "@OTHER", base64[2] } };
        size_t n = 0;

        while (*in) {
                size_t i = 0;

                while (i < ARRAY_LEN(marks) && strncmp(in, marks[i].mark, strlen(marks[i].mark)) != 0)
                        i++;
                if (i < ARRAY_LEN(marks)) {
                        n += (size_t)snprintf(out + n, size - n, "%s", marks[i].text);
                        in += strlen(marks[i].mark);
                } else {
                        out[n++] = *in++;
                }
                ck_assert_uint_lt(n, size);
        }
        out[n] = 0;
}

static char told[4096];
static size_t told_n;

static void EPP_PRINTF(1, 2)
tell(const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        told_n += (size_t)vsnprintf(told + told_n, sizeof(told) - told_n, fmt, ap);
        va_end(ap);
}

static void
tell_text(const char *name, const char *value)
{
        if (value)
                tell(" %s=%s", name, value);
}

static void
tell_pem(const char *name, const struct kubeconfig_pem *p)
{
        if (p->data.n)
                tell(" %s=%zu bytes", name, p->data.n);
        tell_text(name, p->file);
}

/* All that is set, in one line; DIR stands for the directory. */
static const char *
describe(const struct kubeconfig *k)
{
        char *at;

        told_n = 0;
        tell("%s %s %s", k->tls ? "https" : "http", k->host, k->port);
        tell_text("prefix", *k->prefix ? k->prefix : NULL);
        tell_text("ns", k->namespace);
        tell_text("name", k->tls_name);
        tell_text("proxy", k->proxy);
        tell("%s%s%s", k->insecure ? " insecure" : "", k->no_gzip ? " plain" : "", k->ca_optional ? " ca?" : "");
        tell_pem("ca", &k->ca);
        tell_pem("cert", &k->cert);
        tell_pem("key", &k->key);
        tell_text("token", k->token);
        tell_text("file", k->token_file);
        tell_text("user", k->username);
        tell_text("password", k->password);
        for (const struct kubeconfig_text *t = k->headers; t; t = t->next)
                tell(" %s:%s", t->name, t->value);
        tell_text("exec", k->exec.command);
        if (k->exec.command) {
                for (const struct kubeconfig_text *t = k->exec.args; t; t = t->next)
                        tell(" <%s>", t->value);
                for (const struct kubeconfig_text *t = k->exec.env; t; t = t->next)
                        tell(" %s=%s", t->name, t->value);
        }
        while ((at = strstr(told, dir))) {
                memcpy(at, "DIR", 3);
                memmove(at + 3, at + strlen(dir), strlen(at + strlen(dir)) + 1);
        }
        return told;
}

#define HEAD "current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n"
#define NOUSER "current-context: c\ncontexts: [{name: c, context: {cluster: k}}]\n"
#define S "server: 'https://h:1'"
#define CLUSTER(...) "clusters: [{name: k, cluster: {" __VA_ARGS__ "}}]\n"
#define USER(...) HEAD CLUSTER(S) "users: [{name: u, user: {" __VA_ARGS__ "}}]\n"
#define ONLY(...) NOUSER CLUSTER(__VA_ARGS__)
#define EXEC(...) USER("exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, " \
        __VA_ARGS__ "}")
#define V1 "apiVersion: client.authentication.k8s.io/v1"

static const struct {
        const char *text, *want; /* "! " and an error's part, or a description */
} files[] = {
        /* servers */
        { ONLY(S), "https h 1" },
        { "{\"current-context\": \"c\", \"contexts\": [{\"name\": \"c\", \"context\": {\"cluster\": \"k\"}}],"
          "\"clusters\": [{\"name\": \"k\", \"cluster\": {\"server\": \"https://h\"}}]}", "https h 443" },
        { ONLY("server: 'http://h'"), "http h 80" },
        { ONLY("server: 'https://10.0.0.1:6443/k8s/clusters/x/?a=b#c'"),
                "https 10.0.0.1 6443 prefix=/k8s/clusters/x" },
        { ONLY("server: 'https://[fd00::1]:6443'"), "https fd00::1 6443" },
        { ONLY("server: 'https://[fd00::1]'"), "https fd00::1 443" },
        { ONLY("server: 'https://[fd00::1'"), "! cluster \"k\": server has no ]" },
        { ONLY("server: 'https://[fd00::1]x'"), "! server has no ] after" },
        { ONLY("server: 'h:1'"), "! server must begin with https:// or http://" },
        { ONLY("server: 'https://'"), "! server names no host" },
        { ONLY("server: 'https://h:70000'"), "! server has no number from 1 to 65535" },
        { ONLY("server: 'https://h:'"), "! server has no number from 1 to 65535" },
        { ONLY("server: 'https://u:p@h:1'"), "! server must not hold a user" },
        { ONLY("server: ''"), "! cluster \"k\" has no server" },
        { ONLY("server: [a]"), "! line 3: server must be text" },
        { ONLY(S ", tls-server-name: api.example, disable-compression: true, proxy-url: 'socks5://p:1'"),
                "https h 1 name=api.example proxy=socks5://p:1 plain" },
        { ONLY(S ", proxy-url: 'p:1'"), "! proxy-url must begin with http://, https:// or socks5://" },
        { ONLY(S ", disable-compression: yes"), "! disable-compression must be true or false" },
        /* certificate authorities */
        { ONLY(S ", insecure-skip-tls-verify: true"), "https h 1 insecure" },
        { ONLY(S ", insecure-skip-tls-verify: false, certificate-authority: crt"), "https h 1 ca=DIR/crt" },
        { ONLY(S ", certificate-authority: DIR/crt"), "https h 1 ca=DIR/crt" },
        { ONLY(S ", certificate-authority-data: '@CRT', certificate-authority: nowhere"), "https h 1 ca=# bytes" },
        { ONLY(S ", certificate-authority-data: '@CRT', insecure-skip-tls-verify: true"),
                "! insecure-skip-tls-verify and a certificate authority contradict" },
        { ONLY(S ", certificate-authority: crt, insecure-skip-tls-verify: true"),
                "! contradict each other: remove one" },
        { ONLY(S ", certificate-authority: nowhere"),
                "! certificate-authority DIR/nowhere cannot be read: No such file" },
        { ONLY(S ", certificate-authority: key"), "! certificate-authority DIR/key holds no PEM certificate" },
        { ONLY(S ", certificate-authority-data: '@KEY'"), "! certificate-authority-data holds no PEM" },
        { ONLY(S ", certificate-authority-data: 'abc'"), "! certificate-authority-data is not base64" },
        { ONLY(S ", certificate-authority-data: 'ab=c'"), "! is not base64" },
        { ONLY(S ", certificate-authority-data: 'ab c'"), "! is not base64" },
        /* who we are */
        { USER("token: abc"), "https h 1 token=abc" },
        { USER("token: abc, tokenFile: nowhere"), "https h 1 token=abc file=DIR/nowhere" },
        { USER("tokenFile: token"), "https h 1 file=DIR/token" },
        { USER("tokenFile: nowhere"), "! user \"u\": tokenFile DIR/nowhere cannot be read" },
        { USER("tokenFile: empty"), "! tokenFile DIR/empty holds no token" },
        { USER("token: \"a\\nb\""), "! token is empty or holds bytes" },
        { USER("username: a, password: b"), "https h 1 user=a password=b" },
        { USER("username: 'a:b', password: b"), "! username holds a colon" },
        { USER("token: t, username: a"), "! a token and a user name with password contradict" },
        { USER("tokenFile: token, password: a"), "! a token and a user name with password contradict" },
        { USER("client-certificate: crt, client-key: key"), "https h 1 cert=DIR/crt key=DIR/key" },
        { USER("client-certificate-data: '@CRT', client-key-data: '@KEY', client-key: nowhere"),
                "https h 1 cert=# bytes key=# bytes" },
        { USER("client-certificate-data: '@CRT', client-key: key, token: t"),
                "https h 1 cert=# bytes key=DIR/key token=t" },
        { USER("client-certificate: crt"), "! client-certificate needs a client-key" },
        { USER("client-key: key"), "! client-key needs a client-certificate" },
        { USER("client-certificate: key, client-key: key"), "! the client certificate is not PEM" },
        { USER("client-certificate: crt, client-key: crt"), "! the client key is not PEM, or is encrypted" },
        { USER("client-certificate: crt, client-key: other"), "! key does not belong to the client cert" },
        { USER("as: joe, as-uid: '7', as-groups: [a, b], as-user-extra: {'x/Y z': [1, 2]}"),
                "https h 1 Impersonate-User:joe Impersonate-Uid:7 Impersonate-Group:a Impersonate-Group:b "
                "Impersonate-Extra-x%2FY%20z:1 Impersonate-Extra-x%2FY%20z:2" },
        { USER("as-groups: [a]"), "! as-uid, as-groups and as-user-extra need as" },
        { USER("as-uid: x"), "! as-uid, as-groups and as-user-extra need as" },
        { USER("as: \"a\\nb\""), "! a line feed in what to act as" },
        { USER("as: a, as-groups: b"), "! as-groups must be a list" },
        { USER("auth-provider: {name: gcp}"), "! auth-provider is not supported: use exec" },
        /* plugins */
        { EXEC("command: login, args: [a, 'b c'], env: [{name: A, value: b}, {name: C}]"),
                "https h 1 exec=login <a> <b c> A=b C=" },
        { EXEC("command: ./bin/login"), "https h 1 exec=DIR/./bin/login" },
        { USER("token: t, exec: {" V1 ", interactiveMode: Never, command: x}"), "https h 1 token=t" },
        { USER("exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: x}"), "https h 1 exec=x" },
        { USER("exec: {apiVersion: client.authentication.k8s.io/v1alpha1, command: x}"),
                "! exec.apiVersion must be client.authentication.k8s.io/v1 or" },
        { USER("exec: {command: x}"), "! exec.apiVersion must be" },
        { USER("exec: {" V1 ", command: x}"), "! exec.interactiveMode must be Never or IfAvailable" },
        { USER("exec: {" V1 ", interactiveMode: Always, command: x}"), "! Always cannot be had" },
        { USER("exec: {" V1 ", interactiveMode: Never}"), "! exec.command is missing" },
        { EXEC("command: x, env: [{value: a}]"), "! exec.env needs a name" },
        /* the whole */
        { "", "! no context: set current-context in it, or give --context" },
        { "a: [", "! kubeconfig DIR/config: line " },
        { "[]", "! is not a kubeconfig" },
        { "current-context: c\n", "! current-context names the context \"c\", which is not there" },
        { "current-context: c\ncontexts: [{name: c, context: {cluster: k}}]\n",
                "! context \"c\" names the cluster \"k\", which is not there" },
        { HEAD CLUSTER(S), "! context \"c\" names the user \"u\", which is not there" },
        { "current-context: c\ncontexts: [{name: c}]\n", "! context \"c\" names no cluster" },
        { "current-context: c\ncontexts: [{name: d}, {name: c, context: {cluster: k, namespace: n}}]\n"
          "preferences: {}\nextensions: [{name: x}]\n" CLUSTER(S), "https h 1 ns=n" },
};

static void
set_up(void)
{
        snprintf(dir, sizeof(dir), "/tmp/eppd-kc-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(dir));
        make_pem();
        write_file("token", " t1\n", 4);
        write_file("empty", " \n", 2);
        memset(env_list, 0, sizeof(env_list));
}

static void
tear_down(void)
{
        char command[100];

        snprintf(command, sizeof(command), "rm -rf %s", dir);
        ck_assert_int_eq(system(command), 0);
}

/* "# bytes" of <want> stands for any number. */
static bool
fits(const char *want, const char *got)
{
        for (; *want; want++) {
                if (*want != '#') {
                        if (*want != *got++)
                                return false;
                        continue;
                }
                got += strspn(got, "0123456789");
        }
        return *got == 0;
}

static void
check_load(const struct kubeconfig_source *src, const char *want, size_t row)
{
        struct kubeconfig k;
        char text[1024];
        int r;

        err[0] = 0;
        r = kubeconfig_load(src, &k, err, sizeof(err));
        if (*want == '!') {
                expand(want + 2, text, sizeof(text));
                ck_assert_msg(r < 0 && strstr(err, text), "row %zu: wanted error %s, got %d %s", row, text, r, err);
                ck_assert_msg(!strchr(err, '\n'), "row %zu: more than a line", row);
        } else {
                ck_assert_msg(r == 0, "row %zu: wanted %s, got error %s", row, want, err);
                ck_assert_msg(fits(want, describe(&k)), "row %zu: wanted %s, got %s", row, want, told);
        }
        kubeconfig_fini(&k);
}

START_TEST(rows)
{
        char text[20000], path[100];
        struct kubeconfig_source src = { .kubeconfig = path, .env = env, .account = "/nowhere" };

        set_up();
        snprintf(path, sizeof(path), "%s/config", dir);
        for (size_t i = 0; i < ARRAY_LEN(files); i++) {
                expand(files[i].text, text, sizeof(text));
                write_file("config", text, strlen(text));
                check_load(&src, files[i].want, i);
        }
        tear_down();
}
END_TEST

#define POD "KUBERNETES_SERVICE_HOST=10.0.0.1", "KUBERNETES_SERVICE_PORT=443"

/* Files one and two name clusters "one" and "two", contexts a and b; DIR/.kube/config names "home". */
static const struct {
        const char *flag, *context, *env[6], *account, *want;
} places[] = {
        { "one", NULL, { POD, "KUBECONFIG=DIR/two" }, "DIR", "https one 443" },
        { "none", NULL, { POD, "KUBECONFIG=DIR/two" }, "DIR", "! kubeconfig DIR/none: cannot be read: No such" },
        { ".", NULL, { NULL }, "DIR", "! cannot be read: Is a directory" },
        { "one", "b", { NULL }, "DIR", "! --context names the context \"b\", which is not there" },
        { NULL, NULL, { POD, "KUBECONFIG=DIR/two" }, "DIR", "https two 443 ns=n2 file=DIR/sub/token" },
        { NULL, NULL, { "KUBECONFIG=DIR/none:DIR/one:DIR/two" }, "DIR", "https one 443" },
        { NULL, NULL, { "KUBECONFIG=DIR/sub/two::DIR/one" }, "DIR", "https two 443 ns=n2 file=DIR/sub/sub/token" },
        { NULL, "b", { "KUBECONFIG=DIR/one:DIR/two" }, "DIR", "https two 443 ns=n2 file=DIR/sub/token" },
        { NULL, NULL, { POD, "KUBECONFIG=DIR/none:DIR/gone" }, "DIR", "! KUBECONFIG: none of its files is there" },
        { NULL, NULL, { POD, "KUBECONFIG=", "HOME=DIR" }, "DIR",
                "https 10.0.0.1 443 ns=prod ca? ca=DIR/ca.crt file=DIR/token" },
        { NULL, NULL, { "KUBERNETES_SERVICE_HOST=fd00::1", "KUBERNETES_SERVICE_PORT=6443" }, "DIR",
                "https fd00::1 6443 ns=prod ca? ca=DIR/ca.crt file=DIR/token" },
        { NULL, NULL, { "KUBERNETES_SERVICE_HOST=h", "KUBERNETES_SERVICE_PORT=tcp" }, "DIR",
                "! KUBERNETES_SERVICE_PORT: \"tcp\" is no port" },
        { NULL, "a", { POD }, "DIR", "! --context needs a kubeconfig" },
        { NULL, NULL, { POD, "HOME=DIR" }, "/nowhere", "https home 443" },
        { NULL, NULL, { "KUBERNETES_SERVICE_HOST=h", "HOME=DIR" }, "DIR", "https home 443" },
        { NULL, NULL, { NULL }, "DIR", "! no API server is known: --kubeconfig is not given; KUBECONFIG is not "
                "set; KUBERNETES_SERVICE_HOST and _PORT are not set (not in a pod); HOME is not set" },
        { NULL, NULL, { POD, "HOME=/nowhere" }, "/nowhere", "! /nowhere/token cannot be read (not in a pod?); "
                "/nowhere/.kube/config is not there" },
};

static void
write_config(const char *name, const char *context, const char *host, const char *more, const char *user)
{
        char text[1024];
        int n = snprintf(text, sizeof(text), "current-context: %s\n"
                "contexts: [{name: %s, context: {cluster: %s, user: %s%s}}]\n"
                "clusters: [{name: %s, cluster: {server: 'https://%s'}}]\n"
                "users: [{name: %s, user: {%s}}]\n", context, context, host, host, more, host, host, host, user);

        write_file(name, text, (size_t)n);
}

START_TEST(environments)
{
        char path[100], account[100], sub[100];
        static const char *const folders[] = { ".kube", "sub", "sub/sub" };

        set_up();
        for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
                snprintf(sub, sizeof(sub), "%s/%s", dir, folders[i]);
                ck_assert_int_eq(mkdir(sub, 0700), 0);
        }
        write_file("namespace", "prod\n", 5);
        write_file("sub/token", "t", 1);
        write_file("sub/sub/token", "t", 1);
        write_config("one", "a", "one", "", "");
        write_config("two", "b", "two", ", namespace: n2", "tokenFile: sub/token");
        write_config("sub/two", "b", "two", ", namespace: n2", "tokenFile: sub/token");
        write_config(".kube/config", "h", "home", "", "");
        for (size_t i = 0; i < ARRAY_LEN(places); i++) {
                struct kubeconfig_source src = { .context = places[i].context, .env = env, .account = account };

                expand(places[i].account, account, sizeof(account));
                snprintf(path, sizeof(path), "%s/%s", dir, places[i].flag ? places[i].flag : "");
                if (places[i].flag)
                        src.kubeconfig = path;
                memcpy(env_list, places[i].env, sizeof(places[i].env));
                check_load(&src, places[i].want, i);
        }
        tear_down();
}
END_TEST

static const struct {
        const char *proxy_url, *host, *env[4], *want; /* URL, or "!" */
        bool plain;
} proxies[] = {
        { NULL, "10.0.0.1", { NULL }, "", false },
        { NULL, "10.0.0.1", { "HTTPS_PROXY=http://p:3128" }, "http://p:3128", false },
        { NULL, "10.0.0.1", { "https_proxy=p" }, "http://p:80", false },
        { NULL, "10.0.0.1", { "HTTPS_PROXY=", "https_proxy=p:1" }, "http://p:1", false },
        { NULL, "10.0.0.1", { "HTTPS_PROXY=http://p", "HTTP_PROXY=http://q" }, "http://q:80", true },
        { NULL, "10.0.0.1", { "HTTPS_PROXY=http://u:s@p/x" }, "http://u:s@p:80", false },
        { NULL, "10.0.0.1", { "HTTPS_PROXY=http://[fd00::2]:8" }, "http://[fd00::2]:8", false },
        { NULL, "10.0.0.1", { "HTTPS_PROXY=ftp://p" }, "!", false },
        { NULL, "10.0.0.1", { "HTTPS_PROXY=http://" }, "!", false },
        { "socks5://p", "10.0.0.1", { "HTTPS_PROXY=http://q", "NO_PROXY=*" }, "socks5h://p:1080", false },
        { "https://p", "10.0.0.1", { NULL }, "https://p:443", false },
        { NULL, "10.0.0.1", { "HTTPS_PROXY=http://p", "NO_PROXY=10.0.0.0/8" }, "", false },
        { NULL, "127.0.0.1", { "HTTPS_PROXY=http://p" }, "", false },
        { NULL, "localhost", { "HTTPS_PROXY=http://p" }, "", false },
        { NULL, "::1", { "HTTPS_PROXY=http://p" }, "", false },
};

START_TEST(proxy)
{
        for (size_t i = 0; i < ARRAY_LEN(proxies); i++) {
                struct kubeconfig k = { .tls = !proxies[i].plain, .host = proxies[i].host, .port = "443",
                        .proxy = proxies[i].proxy_url };
                struct proxy p;
                int r;

                memset(env_list, 0, sizeof(env_list));
                memcpy(env_list, proxies[i].env, sizeof(proxies[i].env));
                r = proxy_choose(&k, env, &p, err, sizeof(err));
                ck_assert_msg((r < 0) == (*proxies[i].want == '!'), "row %zu", i);
                if (r == 0)
                        ck_assert_msg(strcmp(p.url, proxies[i].want) == 0, "row %zu: got %s", i, p.url);
        }
}
END_TEST

static const struct {
        const char *list, *host;
        bool want;
} excluded[] = {
        { "", "h", false }, { "*", "h", true }, { "h", "h", true }, { "H", "h", true }, { "a, h", "h", true },
        { "h:443", "h", true }, { "h:80", "h", false }, { "example.com", "api.example.com", true },
        { "example.com", "notexample.com", false }, { ".example.com", "api.example.com", true },
        { ".example.com", "example.com", false }, { "*.example.com", "a.example.com", true },
        { "10.0.0.1", "10.0.0.1", true }, { "10.0.0.1:443", "10.0.0.1", true }, { "10.0.0.2", "10.0.0.1", false },
        { "10.0.0.0/7", "11.0.0.1", true }, { "10.0.0.0/8", "11.0.0.1", false }, { "10.0.0.0/33", "10.0.0.1", false },
        { "0.0.0.0/0", "9.9.9.9", true }, { "10.0.0.0/x", "10.0.0.1", false }, { "fd00::/8", "fd00::1", true },
        { "fd00::1", "fd00::1", true }, { "[fd00::1]:443", "fd00::1", true }, { "[fd00::1]:1", "fd00::1", false },
        { ",,", "h", false }, { "[", "h", false },
};

START_TEST(no_proxy)
{
        for (size_t i = 0; i < ARRAY_LEN(excluded); i++)
                ck_assert_msg(proxy_excluded(excluded[i].list, excluded[i].host, "443") == excluded[i].want,
                        "row %zu: %s %s", i, excluded[i].list, excluded[i].host);
}
END_TEST

static const struct {
        const char *text;
        const char *want; /* "!" and an error's part, or the token */
        int64_t expires;
} answers[] = {
#define CRED(status) "{\"kind\":\"ExecCredential\",\"apiVersion\":\"v\",\"status\":" status "}"
        { CRED("{\"token\":\"t\"}"), "t", 0 },
        { CRED("{\"token\":\"t\",\"expirationTimestamp\":\"2030-01-01T00:00:00Z\"}"), "t", 1893456000 },
        { CRED("{\"token\":\"t\",\"expirationTimestamp\":\"2030-01-01T02:00:00.5+02:00\"}"), "t", 1893456000 },
        { CRED("{\"token\":\"t\",\"expirationTimestamp\":\"soon\"}"), "!an expirationTimestamp that is no time", 0 },
        { CRED("{\"token\":\"t\",\"expirationTimestamp\":\"2030-01-01T00:00:00\"}"), "!that is no time", 0 },
        { CRED("{\"token\":\"\"}"), "!neither a token nor", 0 },
        { CRED("{\"token\":\"a b\"}"), "!cannot stand in a header", 0 },
        { CRED("{\"clientCertificateData\":\"x\"}"), "!only one of", 0 },
        { CRED("{\"clientCertificateData\":\"x\",\"clientKeyData\":\"y\"}"), "!not PEM", 0 },
        { CRED("[]"), "!no status", 0 },
        { "", "!no JSON", 0 },
        { "{\"kind\":\"Other\"}", "!no ExecCredential", 0 },
        { "{\"kind\":\"ExecCredential\",\"apiVersion\":\"w\"}", "!another apiVersion", 0 },
};

START_TEST(exec_answers)
{
        struct kubeconfig k = { .exec = { .api_version = "v" } };

        for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
                struct exec_credential c;
                int r = exec_credential_parse(&k, epp_slice_str(answers[i].text), &c, err, sizeof(err));

                if (*answers[i].want == '!') {
                        ck_assert_msg(r < 0 && strstr(err, answers[i].want + 1), "row %zu: %d %s", i, r, err);
                        continue;
                }
                ck_assert_msg(r == 0, "row %zu: %s", i, err);
                ck_assert_str_eq(c.token, answers[i].want);
                ck_assert_int_eq(c.expires, answers[i].expires);
                exec_credential_fini(&c);
        }
}
END_TEST

START_TEST(exec_info)
{
        struct kubeconfig k = { .tls = true, .host = "fd00::1", .port = "1", .prefix = "/p", .tls_name = "n",
                .exec = { .api_version = "v", .cluster_info = true } };
        char *text = exec_credential_info(&k, EPP_SLICE("ca"));

        ck_assert_str_eq(text, "{\"apiVersion\":\"v\",\"kind\":\"ExecCredential\",\"spec\":{\"interactive\":false,"
                               "\"cluster\":{\"server\":\"https://[fd00::1]:1/p\",\"tls-server-name\":\"n\","
                               "\"certificate-authority-data\":\"Y2E=\"}}}");
        free(text);
        k.exec.cluster_info = false;
        text = exec_credential_info(&k, EPP_SLICE("ca"));
        ck_assert_str_eq(text, "{\"apiVersion\":\"v\",\"kind\":\"ExecCredential\",\"spec\":{\"interactive\":false}}");
        free(text);
}
END_TEST

START_TEST(base64_rows)
{
        static const struct { const char *text; long n; const char *bytes; } r[] = { { "", 0, "" },
                { "YQ==", 1, "a" }, { "YWI=", 2, "ab" }, { "YWJj", 3, "abc" }, { "YW\nJj\r\n", 3, "abc" },
                { "YQ=", -1, "" }, { "Y===", -1, "" }, { "====", -1, "" }, { "YQ==YQ==", -1, "" },
                { "YWJ", -1, "" }, { "YW-_", -1, "" }, { "+/+/", 3, "\xfb\xff\xbf" } };

        for (size_t i = 0; i < ARRAY_LEN(r); i++) {
                char out[16];
                long n = kubeconfig_base64(epp_slice_str(r[i].text), out);

                ck_assert_msg(n == r[i].n, "row %zu: %ld", i, n);
                if (n > 0)
                        ck_assert(memcmp(out, r[i].bytes, (size_t)n) == 0);
        }
}
END_TEST

UNIT_MAIN("kubeconfig", rows, environments, proxy, no_proxy, exec_answers, exec_info, base64_rows)
