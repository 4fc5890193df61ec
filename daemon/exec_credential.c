/* exec_credential.c - see exec_credential.h. */
#include "daemon/exec_credential.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <time.h>

static json_t *
cluster_of(const struct kubeconfig *k, struct epp_slice ca)
{
        bool six = strchr(k->host, ':') != NULL;
        size_t n = (ca.n + 2) / 3 * 4;
        unsigned char *base64 = calloc(1, n + 1);
        char url[1024];
        json_t *c = json_object();

        snprintf(url, sizeof(url), "http%s://%s%s%s:%s%s", k->tls ? "s" : "", six ? "[" : "",
                k->host, six ? "]" : "", k->port, k->prefix);
        json_object_set_new(c, "server", json_string(url));
        if (k->tls_name)
                json_object_set_new(c, "tls-server-name", json_string(k->tls_name));
        if (k->insecure)
                json_object_set_new(c, "insecure-skip-tls-verify", json_true());
        if (k->proxy)
                json_object_set_new(c, "proxy-url", json_string(k->proxy));
        if (base64 && ca.n) {
                EVP_EncodeBlock(base64, (const unsigned char *)ca.p, (int)ca.n);
                json_object_set_new(c, "certificate-authority-data", json_string((char *)base64));
        }
        free(base64);
        return c;
}

char *
exec_credential_info(const struct kubeconfig *k, struct epp_slice ca)
{
        json_t *spec = json_pack("{s:b}", "interactive", 0);
        json_t *o = json_pack(
                "{s:s, s:s}", "apiVersion", k->exec.api_version, "kind", "ExecCredential");
        char *text;

        if (k->exec.cluster_info)
                json_object_set_new(spec, "cluster", cluster_of(k, ca));
        json_object_set_new(o, "spec", spec);
        text = json_dumps(o, JSON_COMPACT);
        json_decref(o);
        return text;
}

/* RFC 3339 in seconds since 1970; -1 when <text> is none. */
static int64_t
time_of(const char *text)
{
        struct tm tm = {.tm_isdst = 0};
        const char *p = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
        int h, m, used = 0;
        int64_t at;

        if (!p)
                return -1;
        at = timegm(&tm);
        if (*p == '.')
                p += 1 + strspn(p + 1, "0123456789");
        if (strcmp(p, "Z") == 0)
                return at;
        if ((*p != '+' && *p != '-') || sscanf(p + 1, "%2d:%2d%n", &h, &m, &used) != 2 ||
                p[1 + used])
                return -1;
        return at + (*p == '+' ? -1 : 1) * (h * 3600 + m * 60);
}

static const char *
read_status(const json_t *status, struct exec_credential *c)
{
        const char *token = json_string_value(json_object_get(status, "token"));
        const char *cert = json_string_value(json_object_get(status, "clientCertificateData"));
        const char *key = json_string_value(json_object_get(status, "clientKeyData"));
        const char *end = json_string_value(json_object_get(status, "expirationTimestamp"));

        if (!json_is_object(status))
                return "no status";
        if ((cert && *cert) != (key && *key))
                return "only one of clientCertificateData and clientKeyData";
        if ((!token || !*token) && (!cert || !*cert))
                return "neither a token nor a client certificate";
        if (token && *token && !kubeconfig_trim_token(epp_slice_str(token)).p)
                return "a token that cannot stand in a header";
        if (cert && *cert && kubeconfig_check_pair(epp_slice_str(cert), epp_slice_str(key)))
                return kubeconfig_check_pair(epp_slice_str(cert), epp_slice_str(key));
        c->expires = end ? time_of(end) : 0;
        if (c->expires < 0)
                return "an expirationTimestamp that is no time";
        c->token = token && *token ? strdup(token) : NULL;
        c->cert = cert && *cert ? strdup(cert) : NULL;
        c->key = c->cert ? strdup(key) : NULL;
        return NULL;
}

int
exec_credential_parse(const struct kubeconfig *k, struct epp_slice text,
        struct exec_credential *ret, char *err, size_t err_size)
{
        json_t *o = json_loadb(text.p ? text.p : "", text.n, JSON_REJECT_DUPLICATES, NULL);
        const char *version = json_string_value(json_object_get(o, "apiVersion"));
        const char *kind = json_string_value(json_object_get(o, "kind")), *why;

        *ret = (struct exec_credential){.token = NULL};
        if (!o)
                why = "no JSON";
        else if (!kind || strcmp(kind, "ExecCredential") != 0)
                why = "no ExecCredential";
        else if (!version || strcmp(version, k->exec.api_version) != 0)
                why = "another apiVersion than the kubeconfig names";
        else
                why = read_status(json_object_get(o, "status"), ret);
        json_decref(o);
        if (!why)
                return 0;
        snprintf(err, err_size, "it printed %s", why);
        return -1;
}

void
exec_credential_fini(struct exec_credential *c)
{
        char *all[] = {c->token, c->cert, c->key};

        for (size_t i = 0; i < ARRAY_LEN(all); i++) {
                if (all[i])
                        explicit_bzero(all[i], strlen(all[i]));
                free(all[i]);
        }
        *c = (struct exec_credential){.token = NULL};
}
