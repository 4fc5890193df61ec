/* tls.c - see tls.h. ECDSA because a handshake costs 0.015 ms of the loop, RSA 4096 3.1 ms. */
#include "daemon/tls.h"

#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include "daemon/kubeconfig.h"

#define TEN_YEARS (10L * 365 * 24 * 3600)
/* OpenSSL's own order begins with AES-256 and SHA-384. There are instructions for SHA-256, and a
 * handshake derives a dozen keys with it: 20 us less. Go's servers prefer it, too. */
#define SUITES "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

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

/* The bytes of <path>, or NULL after saying why not. */
static BIO *
open_file(const char *path, char *err, size_t size)
{
        BIO *bio = NULL;
        char *text;
        size_t n;
        int r = kubeconfig_read_file(path, &text, &n);

        if (r < 0) {
                snprintf(err, size, "cannot read %s: %s", path, strerror(-r));
                return NULL;
        }
        bio = BIO_new(BIO_s_mem());
        if (!bio || BIO_write(bio, text, (int)n) != (int)n) {
                snprintf(err, size, "cannot read %s: out of memory", path);
                BIO_free(bio);
                bio = NULL;
        }
        OPENSSL_cleanse(text, n);
        free(text);
        return bio;
}

/* In place of a question at the terminal. */
static int
no_passphrase(char *buf, int size, int writing, void *user)
{
        (void)buf, (void)size, (void)writing;
        *(bool *)user = true;
        return -1;
}

static EVP_PKEY *
read_key(const char *path, char *err, size_t size)
{
        BIO *bio = open_file(path, err, size);
        bool encrypted = false;
        EVP_PKEY *key;

        if (!bio)
                return NULL;
        key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &encrypted);
        if (!key && encrypted)
                snprintf(err, size, "the key %s is encrypted: give it without a passphrase", path);
        else if (!key)
                snprintf(err, size, "no private key in PEM form in %s", path);
        ERR_clear_error();
        BIO_free(bio);
        return key;
}

/* The first certificate of <path> is ours, those behind it its chain. Returns ours, which <ctx>
 * owns, or NULL after saying why not. */
static X509 *
use_chain(SSL_CTX *ctx, const char *path, char *err, size_t size)
{
        BIO *bio = open_file(path, err, size);
        X509 *crt = NULL, *next;
        bool ok;

        if (!bio)
                return NULL;
        next = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        ok = next && SSL_CTX_use_certificate(ctx, next) == 1;
        if (!next)
                snprintf(err, size, "no certificate in PEM form in %s", path);
        else if (!ok)
                say(err, size, "cannot use certificate", path);
        X509_free(next);
        crt = ok ? SSL_CTX_get0_certificate(ctx) : NULL;
        while (ok && (next = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
                ok = SSL_CTX_add0_chain_cert(ctx, next) == 1;
                if (!ok)
                        X509_free(next);
        }
        if (crt && (!ok || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)) {
                say(err, size, "broken behind its first certificate:", path);
                crt = NULL;
        }
        ERR_clear_error();
        BIO_free(bio);
        return crt;
}

static bool
use_files(SSL_CTX *ctx, const char *dir, char *err, size_t size)
{
        char crt_path[4096], key_path[4096];
        struct stat st;
        EVP_PKEY *key;
        X509 *crt;
        bool ok;

        if (stat(dir, &st) < 0 || !S_ISDIR(st.st_mode)) {
                snprintf(err, size, "%s is no directory: give one that holds tls.crt and tls.key",
                        dir);
                return false;
        }
        snprintf(crt_path, sizeof(crt_path), "%s/tls.crt", dir);
        snprintf(key_path, sizeof(key_path), "%s/tls.key", dir);
        crt = use_chain(ctx, crt_path, err, size);
        key = crt ? read_key(key_path, err, size) : NULL;
        if (!key)
                return false;
        ok = X509_check_private_key(crt, key) == 1;
        if (!ok)
                snprintf(err, size, "the key %s does not fit the certificate %s", key_path,
                        crt_path);
        else if ((ok = SSL_CTX_use_PrivateKey(ctx, key) == 1) == false)
                say(err, size, "cannot use key", key_path);
        ERR_clear_error();
        EVP_PKEY_free(key);
        return ok;
}

/* Peers must show a certificate that one in <path> has signed. */
static bool
ask_clients(SSL_CTX *ctx, const char *path, char *err, size_t size)
{
        BIO *bio = open_file(path, err, size);
        bool ok = true;
        size_t n = 0;
        X509 *ca;

        if (!bio)
                return false;
        while (ok && (ca = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
                ok = X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca) == 1 &&
                     SSL_CTX_add_client_CA(ctx, ca) == 1;
                X509_free(ca);
                n++;
        }
        ok = ok && n && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
        if (!ok)
                snprintf(err, size, n ? "a broken certificate in %s"
                                      : "no certificate in PEM form in %s", path);
        ERR_clear_error();
        BIO_free(bio);
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        return ok;
}

/* Our protocol or nothing; a client that offers no ALPN at all is taken to speak it. */
static int
choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_n,
        const unsigned char *in, unsigned in_n, void *protocol)
{
        size_t n = strlen(protocol);

        (void)ssl;
        for (unsigned at = 0; at < in_n && in[at] < in_n - at; at += 1u + in[at]) {
                if (in[at] == n && memcmp(in + at + 1, protocol, n) == 0) {
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
        char why[256];
        bool ok;

        if (!ctx) {
                say(err, err_size, "no TLS context", "");
                return NULL;
        }
        SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
        SSL_CTX_set_ciphersuites(ctx, SUITES);
        SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
        SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
        SSL_CTX_set_num_tickets(ctx, 1); /* a gateway keeps its connections */
        SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"eppd", 4);
        SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, (void *)(uintptr_t)cfg->alpn);
        ok = cfg->dir ? use_files(ctx, cfg->dir, err, err_size) : use_self_signed(ctx);
        if (!ok && !cfg->dir)
                say(err, err_size, "cannot make a self-signed certificate", "");
        if (ok && (!cfg->client_ca || ask_clients(ctx, cfg->client_ca, why, sizeof(why))))
                return ctx;
        if (ok)
                snprintf(err, err_size, "the clients' CA: %s", why);
        SSL_CTX_free(ctx);
        return NULL;
}

void
tls_keep_sessions(SSL_CTX *to, SSL_CTX *from)
{
        unsigned char keys[256]; /* OpenSSL 3 has 80 bytes */
        long n = SSL_CTX_get_tlsext_ticket_keys(from, NULL, 0);

        if (n > 0 && n <= (long)sizeof(keys) &&
                SSL_CTX_get_tlsext_ticket_keys(from, keys, n) == 1)
                SSL_CTX_set_tlsext_ticket_keys(to, keys, n);
        OPENSSL_cleanse(keys, sizeof(keys));
        ERR_clear_error();
}

void
tls_expires(const SSL_CTX *ctx, char ret[32])
{
        const X509 *crt = SSL_CTX_get0_certificate(ctx);
        struct tm t;

        ret[0] = 0;
        if (crt && ASN1_TIME_to_tm(X509_get0_notAfter(crt), &t) == 1)
                strftime(ret, 32, "%Y-%m-%dT%H:%M:%SZ", &t);
}

const char *
tls_untimely(const SSL_CTX *ctx)
{
        const X509 *crt = SSL_CTX_get0_certificate(ctx);

        if (crt && X509_cmp_current_time(X509_get0_notBefore(crt)) > 0)
                return "it is not valid yet";
        if (crt && X509_cmp_current_time(X509_get0_notAfter(crt)) < 0)
                return "it has expired";
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
