/* tls.c - see tls.h. ECDSA because a handshake costs 0.015 ms of the loop, RSA 4096 3.1 ms. */
#include "daemon/tls.h"

#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#define TEN_YEARS (10L * 365 * 24 * 3600)

static void
say(char *err, size_t size, const char *what, const char *where)
{
        unsigned long e = ERR_peek_error(); /* the cause; later ones say what failed by it */
        const char *text = ERR_SYSTEM_ERROR(e) ? strerror(ERR_GET_REASON(e))
                                               : ERR_reason_error_string(e);

        ERR_clear_error();
        snprintf(err, size, "%s%s%s%s%s", what, *where ? " " : "", where, text ? ": " : "",
                text ? text : "");
}

static bool
add_extension(X509 *crt, int nid, const char *value)
{
        X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
        bool ok = e && X509_add_ext(crt, e, -1) == 1;

        X509_EXTENSION_free(e);
        return ok;
}

static bool
fill_certificate(X509 *crt, EVP_PKEY *key)
{
        X509_NAME *name = X509_get_subject_name(crt);
        unsigned char serial[16];
        BIGNUM *n;
        bool ok;

        if (RAND_bytes(serial, sizeof(serial)) != 1)
                return false;
        n = BN_bin2bn(serial, sizeof(serial), NULL);
        ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(crt)) &&
             X509_set_version(crt, X509_VERSION_3) &&
             X509_gmtime_adj(X509_getm_notBefore(crt), 0) &&
             X509_gmtime_adj(X509_getm_notAfter(crt), TEN_YEARS) &&
             X509_set_pubkey(crt, key) &&
             X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC,
                     (const unsigned char *)"Inference Ext", -1, -1, 0) &&
             X509_set_issuer_name(crt, name) &&
             add_extension(crt, NID_basic_constraints, "critical,CA:FALSE") &&
             add_extension(crt, NID_key_usage, "critical,digitalSignature,keyEncipherment") &&
             add_extension(crt, NID_ext_key_usage, "serverAuth") &&
             X509_sign(crt, key, EVP_sha256());
        BN_free(n);
        return ok;
}

static bool
use_self_signed(SSL_CTX *ctx)
{
        EVP_PKEY *key = EVP_EC_gen("P-256");
        X509 *crt = X509_new();
        bool ok = key && crt && fill_certificate(crt, key) &&
                  SSL_CTX_use_certificate(ctx, crt) == 1 && SSL_CTX_use_PrivateKey(ctx, key) == 1;

        X509_free(crt);
        EVP_PKEY_free(key);
        return ok;
}

static bool
use_files(SSL_CTX *ctx, const char *dir, char *err, size_t size)
{
        char path[4096];

        snprintf(path, sizeof(path), "%s/tls.crt", dir);
        if (SSL_CTX_use_certificate_chain_file(ctx, path) != 1) {
                say(err, size, "cannot use certificate", path);
                return false;
        }
        snprintf(path, sizeof(path), "%s/tls.key", dir);
        if (SSL_CTX_use_PrivateKey_file(ctx, path, SSL_FILETYPE_PEM) != 1) {
                say(err, size, "cannot use key", path);
                return false;
        }
        if (SSL_CTX_check_private_key(ctx) != 1) {
                say(err, size, "the key does not fit the certificate in", dir);
                return false;
        }
        return true;
}

static bool
use_client_ca(SSL_CTX *ctx, const char *file, char *err, size_t size)
{
        STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(file);

        if (!names || SSL_CTX_load_verify_file(ctx, file) != 1) {
                sk_X509_NAME_pop_free(names, X509_NAME_free);
                say(err, size, "cannot use the clients' CA", file);
                return false;
        }
        SSL_CTX_set_client_CA_list(ctx, names);
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        return true;
}

/* Our protocol or nothing; a client that offers no ALPN at all is taken for one that speaks it. */
static int
choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_n,
        const unsigned char *in, unsigned in_n, void *arg)
{
        const char *ours = arg;
        size_t n = strlen(ours);

        (void)ssl;
        for (unsigned at = 0; at < in_n && in[at] < in_n - at; at += 1u + in[at]) {
                if (in[at] == n && memcmp(in + at + 1, ours, n) == 0) {
                        *out = in + at + 1;
                        *out_n = in[at];
                        return SSL_TLSEXT_ERR_OK;
                }
        }
        return SSL_TLSEXT_ERR_ALERT_FATAL;
}

SSL_CTX *
tls_context_new(const struct tls_config *cfg, char *err, size_t err_size)
{
        SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

        if (!ctx) {
                say(err, err_size, "no TLS context", "");
                return NULL;
        }
        SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
        SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
        SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
        SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"eppd", 4);
        SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, (void *)(uintptr_t)cfg->alpn);
        if ((cfg->dir ? use_files(ctx, cfg->dir, err, err_size) : use_self_signed(ctx)) &&
                (!cfg->client_ca || use_client_ca(ctx, cfg->client_ca, err, err_size)))
                return ctx;
        if (!cfg->dir)
                say(err, err_size, "cannot make a self-signed certificate", "");
        SSL_CTX_free(ctx);
        return NULL;
}

struct bufferevent *
tls_bufferevent(struct event_base *base, int fd, SSL_CTX *tls)
{
        struct bufferevent *bev;
        SSL *ssl;

        if (!tls)
                return bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
        ssl = SSL_new(tls);
        if (!ssl)
                return NULL;
        bev = bufferevent_openssl_socket_new(base, fd, ssl, BUFFEREVENT_SSL_ACCEPTING,
                BEV_OPT_CLOSE_ON_FREE);
        if (!bev)
                SSL_free(ssl);
        else
                bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
        return bev;
}

void
tls_end(struct bufferevent *bev)
{
        SSL *ssl = bufferevent_openssl_get_ssl(bev);

        if (ssl && SSL_is_init_finished(ssl) && SSL_shutdown(ssl) < 0)
                ERR_clear_error();
}
