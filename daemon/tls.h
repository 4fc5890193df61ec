/* tls.h - the listener's certificate and TLS context. Knows: OpenSSL. */
#ifndef EPPD_TLS_H
#define EPPD_TLS_H

#include <openssl/ssl.h>

#include "base/base.h"

/* A server context that speaks h2. <dir> NULL: a fresh self-signed ECDSA P-256 certificate
 * (organization "Inference Ext", ten years); else <dir>/tls.crt and <dir>/tls.key.
 * Returns the context, owned by the caller (SSL_CTX_free), or NULL and one line in <err>. */
SSL_CTX *tls_context_new(const char *dir, char *err, size_t err_size);

#endif
