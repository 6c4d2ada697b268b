/* NSS lends its exporter. */
#include "stack.h"

#include <stdio.h>

#include <nspr.h>
#include <private/pprio.h>

#include <cert.h>
#include <keyhi.h>
#include <nss.h>
#include <pk11pub.h>
#include <secerr.h>
#include <ssl.h>
#include <sslproto.h>

static PRFileDesc *ssl;
static PRIOMethods watching;

static const char *version(void)
{
    return NSS_GetVersion();
}

static int trouble(const char *what)
{
    PRErrorCode e = PR_GetError();
    const char *name = PR_ErrorToName(e);

    return lines_problem("%s: %s (%d)", what, name != NULL ? name : "error", e);
}

static PRInt32 watched_send(PRFileDesc *fd, const void *p, PRInt32 len, PRIntn flags, PRIntervalTime timeout)
{
    PRInt32 n = fd->lower->methods->send(fd->lower, p, len, flags, timeout);

    if (n > 0) {
        client_hello_written(p, (size_t) n);
    }
    return n;
}

/* A layer below TLS that sees what is written. */
static int watch(PRFileDesc *socket)
{
    PRDescIdentity id = PR_GetUniqueIdentity("ClientHello");
    PRFileDesc *layer;

    watching = *PR_GetDefaultIOMethods();
    watching.send = watched_send;
    layer = PR_CreateIOLayerStub(id, &watching);
    if (layer == NULL || PR_PushIOLayer(socket, PR_TOP_IO_LAYER, layer) != PR_SUCCESS) {
        return trouble("layer");
    }
    return 0;
}

static int file(const char *name, SECItem *item)
{
    static unsigned char room[2][1 << 16];
    static int used;
    FILE *f = fopen(name, "rb");

    if (f == NULL || used == 2) {
        return lines_problem("%s cannot be read", name);
    }
    item->type = siBuffer;
    item->data = room[used++];
    item->len = (unsigned) fread(item->data, 1, sizeof(room[0]), f);
    fclose(f);
    return 0;
}

static int own_certificate(const struct setting *s)
{
    SECItem der, info;
    CERTCertificate *cert;
    SECKEYPublicKey *public_key;
    SECKEYPrivateKey *key = NULL;
    SECItem name = { siBuffer, (unsigned char *) "exporter", 8 };
    PK11SlotInfo *slot = PK11_GetInternalSlot();

    if (file(s->cert, &der) != 0 || file(s->key, &info) != 0) {
        return -1;
    }
    cert = CERT_DecodeCertFromPackage((char *) der.data, (int) der.len);
    if (cert == NULL || (public_key = CERT_ExtractPublicKey(cert)) == NULL) {
        return trouble("certificate");
    }
    if (PK11_ImportDERPrivateKeyInfoAndReturnKey(slot, &info, &name, public_key->keyType == ecKey ?
                                                 &public_key->u.ec.publicValue : &public_key->u.rsa.modulus,
                                                 PR_FALSE, PR_FALSE, KU_ALL, &key, NULL) != SECSuccess) {
        return trouble("key");
    }
    return SSL_ConfigServerCert(ssl, cert, key, NULL, 0) == SECSuccess ? 0 : trouble("certificate and key");
}

static SECStatus any_certificate(void *arg, PRFileDesc *fd, PRBool check, PRBool server)
{
    (void) arg;
    (void) fd;
    (void) check;
    (void) server;
    return SECSuccess;
}

static int only(int suite)
{
    const PRUint16 *all = SSL_GetImplementedCiphers();

    for (int i = 0; i < SSL_GetNumImplementedCiphers(); i++) {
        if (SSL_CipherPrefSet(ssl, all[i], all[i] == suite) != SECSuccess) {
            return trouble("cipher suite");
        }
    }
    return 0;
}

static int make(int fd, const struct setting *s)
{
    SSLVersionRange range = { SSL_LIBRARY_VERSION_TLS_1_3, SSL_LIBRARY_VERSION_TLS_1_3 };
    PRFileDesc *socket;

    if (NSS_NoDB_Init(NULL) != SECSuccess || NSS_SetDomesticPolicy() != SECSuccess) {
        return trouble("NSS");
    }
    socket = PR_ImportTCPSocket(fd);
    if (socket == NULL) {
        return trouble("socket");
    }
    if (!s->server && watch(socket) != 0) {
        return -1;
    }
    ssl = SSL_ImportFD(NULL, socket);
    if (ssl == NULL || SSL_VersionRangeSet(ssl, &range) != SECSuccess) {
        return trouble("connection");
    }
    SSL_OptionSet(ssl, SSL_SECURITY, PR_TRUE);
    SSL_OptionSet(ssl, SSL_HANDSHAKE_AS_SERVER, s->server);
    SSL_OptionSet(ssl, SSL_HANDSHAKE_AS_CLIENT, !s->server);
    SSL_OptionSet(ssl, SSL_NO_CACHE, PR_TRUE);
    SSL_OptionSet(ssl, SSL_ENABLE_OCSP_STAPLING, PR_TRUE);
    SSL_AuthCertificateHook(ssl, any_certificate, NULL);
    if (s->suite != 0 && only(s->suite) != 0) {
        return -1;
    }
    if (s->server && own_certificate(s) != 0) {
        return -1;
    }
    if (!s->server) {
        SSL_SetURL(ssl, "exporter");
    }
    if (SSL_ResetHandshake(ssl, s->server) != SECSuccess || SSL_ForceHandshake(ssl) != SECSuccess) {
        return trouble("handshake");
    }
    return 0;
}

static const char *hash(void)
{
    SSLChannelInfo channel;
    SSLCipherSuiteInfo suite;

    if (SSL_GetChannelInfo(ssl, &channel, sizeof(channel)) != SECSuccess ||
        SSL_GetCipherSuiteInfo(channel.cipherSuite, &suite, sizeof(suite)) != SECSuccess) {
        return "unknown";
    }
    return suite.kdfHash == ssl_hash_sha384 ? "SHA384" : "SHA256";
}

static int export(void *c, const struct field *label, const struct field *value, unsigned char *out, size_t len)
{
    (void) c;
    /* NSS refuses a context without octets, which in TLS 1.3 is the same as none. */
    return SSL_ExportKeyingMaterial(ssl, (const char *) label->p, (unsigned) label->len, value->len > 0, value->p,
                                    (unsigned) value->len, out, (unsigned) len) == SECSuccess ? 0 :
           trouble("SSL_ExportKeyingMaterial");
}

static int write_all(void *c, const unsigned char *p, size_t len)
{
    (void) c;
    while (len > 0) {
        PRInt32 n = PR_Write(ssl, p, (PRInt32) len);
        if (n <= 0) {
            return trouble("PR_Write");
        }
        p += n;
        len -= (size_t) n;
    }
    return 0;
}

static int read_all(void *c, unsigned char *p, size_t len)
{
    (void) c;
    while (len > 0) {
        PRInt32 n = PR_Read(ssl, p, (PRInt32) len);
        if (n == 0) {
            return lines_problem("PR_Read: the connection has ended");
        }
        if (n < 0) {
            return trouble("PR_Read");
        }
        p += n;
        len -= (size_t) n;
    }
    return 0;
}

static int close_it(void *c)
{
    (void) c;
    return PR_Close(ssl) == PR_SUCCESS ? 0 : trouble("PR_Close");
}

const struct stack stack = { "NSS", version, make, hash, { NULL, export, write_all, read_all, close_it, NULL } };
