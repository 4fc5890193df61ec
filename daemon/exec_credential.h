/* exec_credential.h - the ExecCredential objects that go to and come from a credential plugin.
 * The daemon's only use of jansson: small documents. Knows: kubeconfig. */
#ifndef EPPD_EXEC_CREDENTIAL_H
#define EPPD_EXEC_CREDENTIAL_H

#include "daemon/kubeconfig.h"

/* The value of KUBERNETES_EXEC_INFO; the caller frees it. <ca>: of the cluster, may be empty.
 * NULL when memory is short. */
char *exec_credential_info(const struct kubeconfig *k, struct epp_slice ca);

struct exec_credential {
        char *token;      /* NULL: none */
        char *cert, *key; /* PEM; both or none */
        int64_t expires;  /* seconds since 1970; 0: not said */
};
/* Reads a plugin's output. Returns 0 and *ret, or -1 and what is wrong in <err>, without any of the
 * text: it is secret. exec_credential_fini after success. */
EPP_MUSTUSE int exec_credential_parse(const struct kubeconfig *k, struct epp_slice text,
        struct exec_credential *ret, char *err, size_t err_size);
void exec_credential_fini(struct exec_credential *c);

#endif
