/* kubeconfig.h - where the API server is and who we are, as written down: --kubeconfig, KUBECONFIG,
 * the pod's service account or ~/.kube/config, in this order. Reads files once and checks them;
 * nothing is sent. Knows: wire/yaml, OpenSSL for PEM. Does not know: what changes later (creds). */
#ifndef EPPD_KUBECONFIG_H
#define EPPD_KUBECONFIG_H

#include "wire/yaml.h"

struct kubeconfig_source {
        const char *kubeconfig;         /* path, or NULL */
        const char *context;            /* of it, or NULL: its current one */
        char *(*env)(const char *name); /* getenv; tests pass their own */
        const char *account;            /* directory of the service account's files */
};

/* PEM text in the configuration, or in a file that may change. Both unset: none. */
struct kubeconfig_pem {
        const char *file;
        struct epp_slice data; /* wins */
};
struct kubeconfig_text {
        struct kubeconfig_text *next;
        const char *name, *value;
};
struct kubeconfig_exec {
        const char *command;          /* NULL: no plugin */
        struct kubeconfig_text *args; /* values */
        struct kubeconfig_text *env;
        const char *api_version, *hint;
        bool cluster_info;
};

/* Texts are NULL when there are none. */
struct kubeconfig {
        struct epp_arena arena; /* holds all below */
        const char *origin;     /* for the log: "in-cluster", or the file */
        const char *namespace;
        bool tls;
        const char *host, *port; /* an IPv6 address without brackets */
        const char *prefix;      /* path before every request's, without a final slash: "" */
        const char *tls_name;    /* certificate is checked against this one instead of host */
        const char *proxy;       /* proxy-url; environment variables count without it */
        bool insecure, no_gzip;
        bool ca_optional; /* a missing file means the system's CAs (in-cluster) */
        struct kubeconfig_pem ca, cert, key;
        const char *token, *token_file; /* the file wins once it was read */
        const char *username, *password;
        struct kubeconfig_text *headers; /* Impersonate-... */
        struct kubeconfig_exec exec;     /* only when there is no other credential */
};

/* Returns 0, or -1 and one line in <err>: what is wrong, where, what to do.
 * kubeconfig_fini in every case. */
EPP_MUSTUSE int kubeconfig_load(
        const struct kubeconfig_source *src, struct kubeconfig *ret, char *err, size_t err_size);
void kubeconfig_fini(struct kubeconfig *k);

/* A file of at most 1 MiB into memory that the caller frees, with a NUL behind it.
 * Returns 0 or -errno (EFBIG when it is larger). */
EPP_MUSTUSE int kubeconfig_read_file(const char *path, char **ret, size_t *ret_n);
/* Whether <pem> holds certificates, <cert> and <key> belong together. NULL, or what is wrong. */
const char *kubeconfig_check_ca(struct epp_slice pem);
const char *kubeconfig_check_pair(struct epp_slice cert, struct epp_slice key);
/* Without white space at both ends; *ret has p NULL if that is empty or holds bytes that cannot
 * stand in a header. */
struct epp_slice kubeconfig_trim_token(struct epp_slice text);
/* Strict base64, line feeds skipped. <out> has room for 3/4 of it. Returns the length, -1 if bad.
 */
long kubeconfig_base64(struct epp_slice text, char *out);

#endif
